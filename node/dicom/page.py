"""A result as pages to read and to print: a PDF that is the same, byte for byte, whenever the same is said."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from fpdf import FPDF
from fpdf.enums import TableBordersLayout, XPos, YPos
from fpdf.fonts import FontFace
from PIL import Image

from node.dicom.lettering import Lettering
from node.dicom.overlay import Picture

logging.getLogger("fontTools.subset").setLevel(logging.ERROR)  # it tells of each table of a font that it leaves out

LATIN_1 = frozenset(range(0x20, 0x7F)) | frozenset(range(0xA1, 0x100)) - {0xAD}
"""What Helvetica, which every PDF reader has by itself, is given to write."""

TITLE_PT, HEADING_PT, TEXT_PT, FOOT_PT = 18, 11, 9, 8
INK, CAUTION, RULE = (20, 20, 24), (170, 40, 10), (190, 190, 195)
LEADING = 1.35
POINT_MM = 25.4 / 72
LABEL_MM = 38


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, then pairs of a label and what it says, a table with its own headings, and sentences."""

    heading: str
    pairs: Sequence[tuple[str, str]] = ()
    table: Sequence[Sequence[str]] = ()
    widths: Sequence[int] = ()
    sentences: Sequence[str] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """All that the pages say. footer: at the foot of each page; picture: RGB, on a page of its own."""

    title: str
    caution: str
    sections: Sequence[Section]
    picture: Picture
    caption: str
    footer: str


def write_pages(content: Content, created: datetime, lettering: Lettering) -> bytes:
    """The pages as PDF, A4. created: aware; the only time that stands in it. Fonts are embedded, as far as used.

    Characters that cannot be written become plain letters or "?": what must not, is to be tested before by
    lettering.can_write.
    """
    paper = _Paper(content.footer, Lettering(lettering.find_used("".join(_texts(content))), lettering.built_in))
    paper.set_creation_date(created)
    paper.set_title(lettering.make_writable(content.title))
    paper.set_lang("en")
    paper.add_page()
    paper.say(content.title, TITLE_PT)
    paper.say(content.caution, HEADING_PT, CAUTION)
    for section in content.sections:
        paper.add_section(section)
    paper.add_picture(content.picture, content.caption)
    return bytes(paper.output())


def _texts(content: Content) -> Iterator[str]:
    yield from (content.title, content.caution, content.caption, content.footer)
    for section in content.sections:
        yield section.heading
        yield from section.sentences
        for row in (*section.pairs, *section.table):
            yield from row


class _Paper(FPDF):
    """An A4 page with margins of 15 mm and the fonts of a lettering."""

    def __init__(self, footer: str, lettering: Lettering) -> None:
        super().__init__(format="A4")
        self._footer, self._lettering = footer, lettering
        self.set_margin(15)
        self.set_auto_page_break(True, 18)
        names = [f"face{n}" for n, _ in enumerate(lettering.faces)]
        for name, face in zip(names, lettering.faces, strict=True):
            self.add_font(name, fname=face.path)
        self._family = names[0] if names else "helvetica"
        self.set_fallback_fonts(names[1:], exact_match=False)
        self.set_draw_color(*RULE)

    def footer(self) -> None:
        """At the foot of each page, called by the page itself: the caution, whose it is, the page's number."""
        self.set_y(-13)
        self.say(f"{self._footer}    page {self.page_no()}", FOOT_PT, CAUTION)

    def say(self, text: str, size: float = TEXT_PT, ink: tuple[int, int, int] = INK, left: float = 0) -> None:
        """A paragraph over the width of the page, `left` mm further in."""
        self._use(size, ink)
        self.set_x(self.l_margin + left)
        self.multi_cell(
            self.epw - left, size * POINT_MM * LEADING, self._lettering.make_writable(text),
            align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT,
        )  # fmt: skip

    def add_section(self, section: Section) -> None:
        """The section beneath what is there; on a new page where there is no room for its first lines."""
        if self.will_page_break(25):
            self.add_page()
        self.ln(3)
        self.say(section.heading, HEADING_PT)
        self.line(self.l_margin, self.y, self.l_margin + self.epw, self.y)
        self.ln(1)
        for label, text in section.pairs:
            self._add_pair(label, text)
        if section.table:
            self._add_table(section)
        for sentence in section.sentences:
            self.say(sentence)

    def _add_pair(self, label: str, text: str) -> None:
        height = TEXT_PT * POINT_MM * LEADING
        if self.will_page_break(2 * height):
            self.add_page()
        page, top = self.page, self.y
        self.say(text, left=LABEL_MM)
        page_after, bottom = self.page, self.y
        self.page, self.y = page, top
        self._use(TEXT_PT, (110, 110, 115))
        self.cell(LABEL_MM, height, self._lettering.make_writable(label))
        self.page, self.y = page_after, bottom
        self.set_x(self.l_margin)

    def _add_table(self, section: Section) -> None:
        self._use(TEXT_PT, INK)
        with self.table(
            borders_layout=TableBordersLayout.HORIZONTAL_LINES, text_align="LEFT", padding=0.8,
            col_widths=tuple(section.widths) or None, line_height=TEXT_PT * POINT_MM * LEADING,
            headings_style=FontFace(emphasis="", fill_color=(238, 238, 240)),
        ) as table:  # fmt: skip
            for values in section.table:
                row = table.row()
                for value in values:
                    row.cell(self._lettering.make_writable(value))

    def add_picture(self, picture: Picture, caption: str) -> None:
        """On a page of its own, as large as fits."""
        self.add_page()
        self.say(caption, HEADING_PT)
        height, width = picture.shape[:2]
        room = self.h - self.y - 20
        share = min(self.epw / width, room / height)
        self.image(Image.fromarray(picture), w=width * share, h=height * share, alt_text=caption)

    def _use(self, size: float, ink: tuple[int, int, int]) -> None:
        self.set_font(self._family, size=size)
        self.set_text_color(*ink)
