"""What is wrong with a configuration, key by key, in words for whoever wrote it."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

DURATION = 'is no duration: write "PT30S", "PT5M", "PT2H" or "P3D"'
SENTENCES = {
    "missing": "is missing",
    "bool_parsing": "should be true or false",
    "bool_type": "should be true or false",
    "int_parsing": "should be a whole number",
    "int_type": "should be a whole number",
    "list_type": 'should be a list: ["a", "b"], or tables under [[...]]',
    "string_type": "should be text, in quotes",
    "time_delta_parsing": DURATION,
    "time_delta_type": DURATION,
}


def describe_faults(error: ValidationError, root: type[BaseModel], environ: Mapping[str, str]) -> str:
    """Every key that is at fault and why, and the variable of the environment where it stands in one. Values are not
    quoted but where a section does so itself: they may be secret."""
    return "; ".join(_describe(fault, root, environ) for fault in error.errors())


def _describe(fault: Any, root: type[BaseModel], environ: Mapping[str, str]) -> str:
    place = "".join(_spell(fault["loc"])).removeprefix(".")
    variable = "WETREAD_" + "__".join(str(part).upper() for part in fault["loc"])
    origin = f" (set by {variable})" if variable in environ else ""
    return f"{place}{origin}: {_say(fault, root)}" if place else _say(fault, root)


def _spell(loc: Sequence[str | int]) -> Iterator[str]:
    for part in loc:
        yield f"[{part}]" if isinstance(part, int) else f".{part}"


def _say(fault: Any, root: type[BaseModel]) -> str:
    if fault["type"] == "extra_forbidden":
        return _find_meant(fault["loc"], root)
    if sentence := SENTENCES.get(fault["type"]):
        return sentence
    return str(fault.get("ctx", {}).get("error") or fault["msg"].replace("Input should", "should"))


def _find_meant(loc: Sequence[str | int], root: type[BaseModel]) -> str:
    known = _find_keys(loc[:-1], root)
    near = get_close_matches(str(loc[-1]), known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}" if known else ""
    return "there is no such key" + (f"; {hint}" if hint else "")


def _find_keys(loc: Sequence[str | int], model: type[BaseModel]) -> list[str]:
    """The keys of the section at `loc`; none where it is no section."""
    parts = iter(loc)
    for part in parts:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if part not in fields:
            return []
        annotation = fields[str(part)].annotation
        section = _find_section(annotation)
        if section is None:
            return []
        if get_origin(annotation) in {dict, list}:
            next(parts, None)  # the name or the number of one of several
        model = section
    return sorted(field.alias or name for name, field in model.model_fields.items())


def _find_section(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in get_args(annotation) if (found := _find_section(one))), None)
