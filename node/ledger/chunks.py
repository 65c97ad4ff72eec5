"""Long lists of values, a part at a time: a statement takes so many and no more."""

from collections.abc import Iterable, Iterator, Sequence

CHUNK = 400
"""Values in one IN (...)."""


def cut(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """`values` in their order, at most CHUNK at once, each part filled up (`fill_up`)."""
    return (fill_up(values[at : at + CHUNK]) for at in range(0, len(values), CHUNK))


def fill_up(values: Iterable[str]) -> Sequence[str]:
    """`values` for an IN (...), the last of them again and again until there are 1, 2, 4, 8 and so on.

    A list of another length is another statement. SQLite keeps the last 128 statements of a connection, each with room
    for all of its values: lists of every length would come to 10 MB.
    """
    some = list(values)
    return some + some[-1:] * ((1 << (len(some) - 1).bit_length()) - len(some)) if some else some
