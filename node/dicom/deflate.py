"""Deflated datasets (PS3.5 A.5): how much would they become?"""

import zlib
from pathlib import Path

from node.errors import CannotUnderstand

DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
"""Deflated Explicit VR Little Endian, and the two JPIP syntaxes that deflate the dataset."""

STEP = 1 << 18
ALLOWANCE = 1 << 24
"""Bytes that any deflated dataset may become, whatever its ratio."""


def check_inflation(path: Path, offset: int, ratio: int) -> None:
    """Raises CannotUnderstand when the deflated dataset of `path`, from `offset`, is no such stream or becomes more
    than `ratio` times as long (and more than ALLOWANCE). Keeps nothing, reads no further."""
    most = max(ratio * (path.stat().st_size - offset), ALLOWANCE)
    stream, length = zlib.decompressobj(-zlib.MAX_WBITS), 0
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while not stream.eof and (piece := stream.unconsumed_tail or file.read(STEP)):
                length += len(stream.decompress(piece, STEP))
                if length > most:
                    raise CannotUnderstand(f"a deflated dataset that becomes more than {ratio} times as long")
    except zlib.error:
        raise CannotUnderstand("the deflated dataset is damaged") from None
