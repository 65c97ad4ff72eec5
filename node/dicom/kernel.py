"""Whether a CT was reconstructed smooth or sharp, from each vendor's names for its kernels (Convolution Kernel).

Names are the vendors' own and undocumented in the Standard. What no rule here knows is not guessed.
"""

import re

from pipelines.terms import Kernel

SMOOTH = {"STANDARD", "SOFT", "STND", "SMOOTH", "A", "B", "C", "UA", "UB", "SA", "SB", "BODY", "BRAIN"}
SHARP = {
    "LUNG", "BONE", "BONEPLUS", "BONE PLUS", "EDGE", "ULTRA", "CHST", "HD LUNG", "HD BONE", "L", "D", "E", "YD", "YE",
    "YC", "YB",
}  # fmt: skip
"""GE's words; Philips' letters: A to C smooth, D and E sharp, L lung, Y high resolution."""
SIEMENS = re.compile(r"[A-Z]{1,2}(\d{2})[A-Z]?\b")
"""B31f, Br40d, I70f: the number rises with sharpness; from 50 on lung and bone."""
SIEMENS_SHARP = 50
TOSHIBA = re.compile(r"FC(\d{2})\b")
TOSHIBA_SMOOTH, TOSHIBA_SHARP = range(1, 30), (*range(30, 40), *range(50, 60), *range(80, 90))
"""FC01 to FC19 for the body and FC20 to FC29 for the head; FC3x for bone, FC5x and FC8x for lung."""


def name_kernel(said: str) -> Kernel | None:
    """The kind of the kernel `said`; None when it is not known."""
    word = said.strip().upper()
    if word in SMOOTH | SHARP:
        return Kernel.SHARP if word in SHARP else Kernel.SOFT
    if (match := TOSHIBA.match(word)) is not None:
        number = int(match[1])
        if number in TOSHIBA_SMOOTH or number in TOSHIBA_SHARP:
            return Kernel.SHARP if number in TOSHIBA_SHARP else Kernel.SOFT
        return None
    if (match := SIEMENS.match(word)) is not None:
        return Kernel.SHARP if int(match[1]) >= SIEMENS_SHARP else Kernel.SOFT
    return None
