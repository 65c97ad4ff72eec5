"""What a route asks of a series, answered from one header of it (config.Condition)."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydicom import Dataset

from node.dicom.header import find_value
from node.sections import Condition, Plain


def find_mismatch(when: Mapping[str, Condition], header: Dataset, *, quote: bool = False) -> str | None:
    """The first condition that `header` does not meet, as a sentence; None when it meets all.

    Text compares without case or outer spaces, numbers as numbers; of a multi-valued attribute, and of the items of a
    sequence, any value may match. The sentence quotes the condition; what the images say, which may be the patient's,
    only with `quote`.
    """
    for path, condition in when.items():
        values = [_plain(value) for value in find_values(header, path.split("."))]
        if (words := _find_fault(condition, values)) is not None:
            shown = f", it is {' and '.join(values)}" if quote and values else ""
            return f"{path} is {words}{shown}"
    return None


def find_values(header: Dataset, keywords: list[str]) -> Iterator[Any]:
    """The values of an attribute, through the items of the sequences that lead to it; none where it is empty, or so
    damaged that it has no value."""
    first, *rest = keywords
    value: Any = find_value(header, first)
    if value is None or value == "":
        return
    many = value if hasattr(value, "append") else [value]
    for one in many:
        if rest and isinstance(one, Dataset):
            yield from find_values(one, rest)
        elif not rest:
            yield one


def _find_fault(condition: Condition, values: list[str]) -> str | None:
    if condition.absent is not None and condition.absent == bool(values):
        return "not absent" if condition.absent else "absent"
    wanted = {_plain(option) for option in condition.any}
    if wanted and not wanted & set(values):
        return f"{'' if values else 'absent, '}not {' or '.join(sorted(wanted))}"
    unwanted = {_plain(option) for option in condition.none} & set(values)
    if unwanted:
        return f"{' and '.join(sorted(unwanted))}, which is kept out"
    if condition.like and not any(re.search(condition.like, value, re.IGNORECASE) for value in values):
        return f"{'' if values else 'absent, '}not like {condition.like!r}"
    low = -math.inf if condition.min is None else condition.min
    high = math.inf if condition.max is None else condition.max
    if (low, high) != (-math.inf, math.inf) and not any(low <= number <= high for number in _numbers(values)):
        return f"{'' if values else 'absent, '}not within {low:.12g} to {high:.12g}"
    return None


def _numbers(values: list[str]) -> Iterator[float]:
    for value in values:
        try:
            yield float(value)
        except ValueError:
            continue


def _plain(value: Plain | Any) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{float(value):.12g}"
    return str(value).strip().upper()
