"""Which characters can be written on a picture or a page, and with which of this machine's fonts.

Names come in every script, fonts do not. What cannot be written is never guessed: a caller asks first, and leaves out
what would come out as boxes or as letters in the wrong form and order.
"""

import unicodedata
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

from fontTools.ttLib import TTFont, TTLibError

FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
NAMES = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf",
    "DroidSansFallbackFull.ttf", "NanumGothic.ttf",
)  # fmt: skip
"""The fonts that are used, the better first: for Latin, Greek and Cyrillic; for Chinese and Japanese; for Korean. They
are in Debian's fonts-dejavu-core, fonts-noto-core, fonts-liberation, fonts-droid-fallback and fonts-nanum. All have
TrueType outlines, so that a part of them can be put into a PDF."""

ASCII = frozenset(range(0x20, 0x7F))


@dataclass(frozen=True, slots=True)
class Face:
    """A font file and the code points that it has glyphs for."""

    path: Path
    characters: frozenset[int]


@dataclass(frozen=True, slots=True)
class Lettering:
    """The faces to write with. The first that has Latin letters is for text; others lend what it lacks.

    faces: with the one for text first; empty where there is none. built_in: code points of the font that the medium
    has by itself, used for everything when there are no faces.
    """

    faces: tuple[Face, ...]
    built_in: frozenset[int] = ASCII

    def find_face(self, character: str) -> Face | None:
        """The face that writes `character`; None for the built-in font, and for what none can write."""
        return next((face for face in self.faces if ord(character) in face.characters), None)

    def can_write(self, text: str) -> bool:
        """True when every character has a glyph and needs no other one beside it to take its form or place."""
        composed = unicodedata.normalize("NFC", text)
        return all(self._has(character) and not _is_shaped(character) for character in composed)

    def make_writable(self, text: str) -> str:
        """`text` with what cannot be written as plain Latin letters where it is made of one, else as "?".

        For labels and sentences; never for a name or a number of a patient's.
        """
        return "".join(self._replace(character) for character in unicodedata.normalize("NFC", text))

    def find_used(self, text: str) -> tuple[Face, ...]:
        """Of the faces, the one for text and those that lend it characters of `text`."""
        used = {self.find_face(character) for character in set(unicodedata.normalize("NFC", text))}
        return tuple(face for n, face in enumerate(self.faces) if n == 0 or face in used)

    def cut_runs(self, text: str) -> list[tuple[Face | None, str]]:
        """`text` in pieces of one face each (None: the built-in font)."""
        return [(face, "".join(characters)) for face, characters in groupby(text, self.find_face)]

    def _has(self, character: str) -> bool:
        return self.find_face(character) is not None or (not self.faces and ord(character) in self.built_in)

    def _replace(self, character: str) -> str:
        if self.can_write(character):
            return character
        plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode("ascii")
        return plain or (" " if character.isspace() else "?")


def find_lettering(built_in: frozenset[int] = ASCII) -> Lettering:
    """The lettering of this machine: with none of NAMES that has Latin letters, the built-in font alone."""
    faces = find_faces(FOLDERS)
    latin = [face for face in faces if face.characters >= ASCII]
    return Lettering((latin[0], *(face for face in faces if face != latin[0])) if latin else (), built_in)


@cache
def find_faces(folders: tuple[Path, ...]) -> tuple[Face, ...]:
    """The fonts of NAMES that lie in `folders`, in the order of NAMES."""
    files = {path.name: path for folder in folders for path in sorted(folder.rglob("*.ttf"))}
    faces = (_read_face(files[name]) for name in NAMES if name in files)
    return tuple(face for face in faces if face is not None)


def _read_face(path: Path) -> Face | None:
    try:
        with TTFont(path, lazy=True) as font:
            return Face(path, frozenset(font.getBestCmap() or ()))
    except (OSError, TTLibError):
        return None


def _is_shaped(character: str) -> bool:
    """True for scripts from right to left and for marks that a letter carries: they need a shaping engine."""
    return unicodedata.bidirectional(character) in {"R", "AL"} or unicodedata.category(character) in {"Mn", "Mc", "Me"}
