"""What one check found."""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass

from node.web.check.line import Answer


@dataclass(frozen=True, slots=True)
class Finding:
    """clause: of PS3.18. asked, expected, got: in words. ok: None where the standard leaves it open, or nothing was
    there to try it on."""

    clause: str
    asked: str
    expected: str
    got: str
    ok: bool | None

    def to_dict(self) -> dict[str, str | bool | None]:
        """For JSON."""
        return asdict(self)


def find_status(clause: str, asked: str, answer: Answer, right: Collection[int], *, must: bool = True) -> Finding:
    """Whether the status is one of `right`. must: False where the standard lets a server do otherwise."""
    ok = answer.status in right
    expected = " or ".join(map(str, sorted(right)))
    return Finding(clause, asked, expected, str(answer.status), ok if ok or must else None)


def find_missing(clause: str, asked: str, model: dict[str, object], keys: dict[str, str]) -> Finding:
    """Whether a dataset has all of `keys`, tag -> keyword."""
    missing = [keyword for tag, keyword in keys.items() if tag not in model]
    return Finding(clause, asked, f"{len(keys)} attributes", tell(missing) if missing else "all", not missing)


def find_equal(clause: str, asked: str, expected: object, got: object) -> Finding:
    """Whether `got` is `expected`."""
    return Finding(clause, asked, str(expected), str(got), got == expected)


def skip(clause: str, asked: str, why: str) -> Finding:
    """Nothing to try it on."""
    return Finding(clause, asked, "", why, None)


def tell(missing: Iterable[str]) -> str:
    """Half a sentence."""
    return "without " + ", ".join(missing)
