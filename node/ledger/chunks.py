"""Long lists of values, a part at a time: a statement takes so many and no more."""

from collections.abc import Iterator, Sequence

CHUNK = 400
"""Values in one IN (...)."""


def cut(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """`values` in their order, at most CHUNK at once."""
    return (values[at : at + CHUNK] for at in range(0, len(values), CHUNK))
