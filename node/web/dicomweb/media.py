"""What a client accepts, and which of what we offer it gets (PS3.18 8.7)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from starlette.requests import Request

from node.web.dicomweb.problem import Problem

ANY = "*/*"
MULTIPART = "multipart/related"
DICOM, JSON, XML = "application/dicom", "application/dicom+json", "application/dicom+xml"
OCTETS = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Accepted:
    """One media range. kind: of a part where `multipart`; None of `multipart`: either will do.

    syntax: its transfer-syntax parameter, a UID or "*" or "" for none. weight: 0..1.
    """

    kind: str
    multipart: bool | None
    syntax: str
    weight: float

    def takes(self, kind: str) -> bool:
        """Whether `kind`, a media type without parameters, falls in this range."""
        return self.kind in (ANY, kind) or (self.kind.endswith("/*") and kind.startswith(self.kind[:-1]))


def read_accept(request: Request) -> list[Accepted]:
    """What the client accepts, best first: the `accept` query parameter before the header (PS3.18 8.3.3.1); anything
    when it does not say. Raises Problem 400 for what is no list of media ranges."""
    asked = request.query_params.getlist("accept")
    text = ",".join(asked).replace("dicom json", "dicom+json").replace("dicom xml", "dicom+xml")
    text = text or ",".join(request.headers.getlist("accept")) or ANY
    ranges = [_read_range(part) for part in _split(text, ",") if part.strip()]
    return sorted((one for one in ranges if one.weight > 0), key=lambda one: -one.weight)


def choose(accepted: Sequence[Accepted], offers: Sequence[tuple[str, bool]]) -> tuple[str, bool]:
    """The offer (media type, multipart) that the client likes best; of equals the one offered first. Raises Problem
    406."""
    for one in accepted:
        for kind, multipart in offers:
            if one.takes(kind) and one.multipart in (None, multipart):
                return kind, multipart
    raise not_acceptable([f"{MULTIPART}; type={kind}" if multipart else kind for kind, multipart in offers])


def not_acceptable(offers: Sequence[str]) -> Problem:
    """406, with what there is instead."""
    return Problem(406, f"none of the media types asked for is to be had; there are: {', '.join(offers)}")


def _read_range(text: str) -> Accepted:
    kind, *parameters = (part.strip() for part in _split(text, ";"))
    kind = ANY if kind == "*" else kind.lower()
    if kind.count("/") != 1:
        raise Problem(400, "the Accept header is no list of media types")
    said = dict(_read_parameters(parameters))
    try:
        weight = float(said.get("q", "1"))
    except ValueError:
        raise Problem(400, "a weight in the Accept header is no number") from None
    syntax = said.get("transfer-syntax", "")
    if kind == MULTIPART:
        return Accepted(said.get("type", ANY).lower(), True, syntax, weight)
    return Accepted(kind, None if kind.endswith("/*") else False, syntax, weight)


def _read_parameters(parameters: Sequence[str]) -> Iterator[tuple[str, str]]:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        yield name.strip().lower(), value.strip().strip('"')


def _split(text: str, mark: str) -> list[str]:
    """At each `mark` outside of quotes."""
    parts, quoted = [""], False
    for letter in text:
        quoted ^= letter == '"'
        if letter == mark and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
