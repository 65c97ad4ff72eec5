"""A coded concept (PS3.3 section 8.8): what a thing is called in a terminology that machines share."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept.

    value: Code Value, at most 16 characters.
    scheme: Coding Scheme Designator: `SCT`, `DCM`, `UCUM`, `LN`, or `99WETREAD` for our own.
    meaning: Code Meaning, at most 64 characters.
    """

    value: str
    scheme: str
    meaning: str

    def __post_init__(self) -> None:
        for name, limit in (("value", 16), ("scheme", 16), ("meaning", 64)):
            text = getattr(self, name)
            if not text or len(text) > limit:
                raise ValueError(f"Code {name} {text!r} must have 1 to {limit} characters")

    def __str__(self) -> str:
        return f"({self.value}, {self.scheme}, {self.meaning!r})"

    @classmethod
    def parse(cls, text: str) -> "Code":
        """`"39607008 SCT Lung"` as a Code; raises ValueError when a part is missing."""
        parts = text.split(maxsplit=2)
        if len(parts) != 3:
            raise ValueError(f"{text!r} is not a code: write 'value scheme meaning'")
        return cls(*parts)
