"""A correction to pydicom, which leaves the escape sequences of ISO 2022 IR 58 in Chinese text that it decodes.

It holds that Python's codec strips them, as those for Japanese do; Python's iso_ir_58 is GB 2312 and does not (seen in
pydicom 3.0.2). Told that the codec does not, pydicom strips them itself, as it does for Korean (PS3.5 annex K).
"""

from pydicom import charset

CHINESE = "iso_ir_58"


def correct_chinese() -> None:
    """Make pydicom decode ISO 2022 IR 58, here and in all that is read later in this process."""
    charset.handled_encodings = tuple(  # type: ignore[assignment]
        codec for codec in charset.handled_encodings if codec != CHINESE
    )
