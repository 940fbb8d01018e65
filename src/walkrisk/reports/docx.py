"""The report as a Word file whose tables can be sent to a journal. Nothing here reads or writes a file."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING

from docx.shared import Mm, Pt
from docx.text.paragraph import Paragraph

from walkrisk.reports.docx_file import QUIET, blank, clean, packed, turn
from walkrisk.reports.docx_tables import add_caption, add_table
from walkrisk.reports.html import Block, Commands, Facts, FigureBlock, Paragraphs, ReportParts, Section
from walkrisk.reports.layout import TEXT_MM, TURNED_MM, setting
from walkrisk.tables.table import Table

if TYPE_CHECKING:
    from docx.document import Document

HEADING_MM, LINE_MM = 14.0, 4.0  # room a figure leaves to a heading, and to every line of its caption


def report_docx(report: ReportParts, *, pictures: Mapping[str, bytes]) -> bytes:
    """The report as a Word file; `pictures` has the PNG of every figure by its id. Same input, same bytes.

    Raises ValueError if a figure has no picture.
    """
    figures = [b.id for s in report.sections for b in s.blocks if isinstance(b, FigureBlock)]
    missing = [i for i in figures if i not in pictures]
    if missing:
        raise ValueError(f"figures of the report without a picture: {', '.join(missing)}")
    document = blank(report.title, simulated=report.simulated)
    _say(document, report.title, "Title")
    if report.subtitle:
        _say(document, report.subtitle, "Subtitle")
    for text in report.headline:
        _say(document, text, "Normal")
    _facts(document, report.summary)
    for section in report.sections:
        _section(document, section, pictures, report.simulated)
    if report.footer:
        _say(document, report.footer, "Note").paragraph_format.space_before = Pt(18)
    return packed(document)


# ---------------------------------------------------------------- blocks


def _section(document: Document, section: Section, pictures: Mapping[str, bytes], simulated: bool) -> None:
    for i, block in enumerate(section.blocks):
        turn(document, landscape=isinstance(block, Table) and setting(block).sideways)
        if i == 0:
            _say(document, section.title, "Heading 1")
        _block(document, block, pictures, simulated)


def _block(document: Document, block: Block, pictures: Mapping[str, bytes], simulated: bool) -> None:
    match block:
        case Table():
            add_table(document, block, simulated=simulated)
        case FigureBlock():
            _figure(document, block, pictures[block.id], simulated)
        case Facts():
            _facts(document, block.rows)
        case Commands():
            for line in block.lines:
                _say(document, line, "Command")
        case Paragraphs():
            if block.title:
                _say(document, block.title, "Heading 2")
            for text in block.texts:
                _say(document, text, "Normal")
            for text in block.points:
                _say(document, text, "List Bullet")


def _say(document: Document, text: str, style: str) -> Paragraph:
    return document.add_paragraph(clean(text), style=style)


def _facts(document: Document, rows: Iterable[tuple[str, str]]) -> None:
    said = None
    for label, value in rows:
        said = document.add_paragraph(style="Fact")
        said.add_run(f"{clean(label)}\t").font.color.rgb = QUIET
        said.add_run(clean(value))
    if said:
        said.paragraph_format.space_after = Pt(10)


def _figure(document: Document, block: FigureBlock, png: bytes, simulated: bool) -> None:
    wide, high = struct.unpack(">II", png[16:24])  # pixels, as the PNG's header has them
    lines = 2 + len(block.caption) // 100
    room = TURNED_MM - HEADING_MM - (lines + 2) * LINE_MM
    width = min(TEXT_MM, room * wide / high)
    place = document.add_paragraph()
    place.paragraph_format.keep_with_next = True
    place.paragraph_format.space_before, place.paragraph_format.space_after = Pt(8), Pt(0)
    shape = place.add_run().add_picture(BytesIO(png), width=Mm(width))
    for side in ("distT", "distB", "distL", "distR"):  # not every program takes 0 for granted
        shape._inline.set(side, "0")
    for name, text in (("name", block.number or block.id), ("descr", block.alt)):
        shape._inline.docPr.set(name, clean(text))
    caption = add_caption(document, block.number, block.title, simulated=simulated)
    caption.paragraph_format.space_before = Pt(6)
    caption.paragraph_format.keep_with_next = bool(block.caption)
    if block.caption:
        _say(document, block.caption, "Note").paragraph_format.space_after = Pt(12)
