"""The report as a Word file whose tables can be sent to a journal. Nothing here reads or writes a file."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from typing import TYPE_CHECKING

from docx.enum.section import WD_ORIENT
from docx.enum.table import WD_CELL_VERTICAL_ALIGNMENT as VERTICAL
from docx.enum.text import WD_ALIGN_PARAGRAPH as ALIGN
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls, qn
from docx.oxml.parser import OxmlElement
from docx.oxml.table import CT_Tc
from docx.shared import Mm, Pt
from docx.table import _Cell
from docx.text.paragraph import Paragraph

from walkrisk.reports.docx_file import (
    ALARM,
    CELL_MM,
    LONG_MM,
    MARGIN_MM,
    QUIET,
    SHORT_MM,
    STAMP,
    TABLE_PT,
    blank,
    clean,
    packed,
    turn,
)
from walkrisk.reports.html import (
    LONG_TABLE,
    Block,
    Commands,
    Facts,
    FigureBlock,
    Paragraphs,
    ReportParts,
    Section,
    TableView,
    table_view,
)
from walkrisk.tables.table import Row, Table

if TYPE_CHECKING:
    from docx.document import Document

TEXT_MM, TURNED_MM = SHORT_MM - 2 * MARGIN_MM, LONG_MM - 2 * MARGIN_MM  # room for text, upright and on the side
HEADING_MM, LINE_MM = 14.0, 4.0  # room a figure leaves to a heading, and to every line of its caption
INDENT_MM, HANG_MM = 3.5, 2.0  # a level of a table; a line that goes on
LABEL_MM = 32.0  # a column of words is not set narrower for want of room, unless its words are short
STRETCH = 1.35  # a small table is spread by so much at most
SHORT_CELL = 22  # characters; so short a cell is kept on one line
BOLD = 1.07  # times as wide


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
    _facts(document, report.summary)
    for section in report.sections:
        _section(document, section, pictures, report.simulated)
    if report.footer:
        _say(document, report.footer, "Note").paragraph_format.space_before = Pt(18)
    return packed(document)


# ---------------------------------------------------------------- blocks


def _section(document: Document, section: Section, pictures: Mapping[str, bytes], simulated: bool) -> None:
    for i, block in enumerate(section.blocks):
        turn(document, landscape=isinstance(block, Table) and is_wide(block))
        if i == 0:
            _say(document, section.title, "Heading 1")
        _block(document, block, pictures, simulated)


def _block(document: Document, block: Block, pictures: Mapping[str, bytes], simulated: bool) -> None:
    match block:
        case Table():
            _table(document, block, simulated)
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


def _caption(document: Document, block: Table | FigureBlock, simulated: bool) -> Paragraph:
    said = document.add_paragraph(style="Caption")
    if simulated:
        said.add_run(f"[{STAMP}] ").font.color.rgb = ALARM
    said.add_run(clean(f"{block.number}. {block.title}" if block.number else block.title))
    return said


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
    caption = _caption(document, block, simulated)
    caption.paragraph_format.space_before = Pt(6)
    caption.paragraph_format.keep_with_next = bool(block.caption)
    if block.caption:
        _say(document, block.caption, "Note").paragraph_format.space_after = Pt(12)


# ---------------------------------------------------------------- tables


def _table(document: Document, table: Table, simulated: bool) -> None:
    """Caption, table in three rules, footnotes; a table that fits on a page is kept on one."""
    _caption(document, table, simulated).paragraph_format.keep_with_next = True
    view = table_view(table)
    landscape = document.sections[-1].orientation == WD_ORIENT.LANDSCAPE
    grid = document.add_table(len(view.tiers) + len(table.rows), table.columns, style="Journal table")
    grid.autofit = False
    for tag, text in (("w:tblCaption", table.title), ("w:tblDescription", "; ".join(table.leaves))):
        grid._tbl.tblPr.append(OxmlElement(tag, {qn("w:val"): clean(text)}))
    widths = column_widths(table, TURNED_MM if landscape else TEXT_MM)
    for column, width in zip(grid.columns, widths, strict=True):
        column.width = Mm(width)
    cells = [row.cells for row in grid.rows]
    for row in grid._tbl.tr_lst:
        row.get_or_add_trPr().append(OxmlElement("w:cantSplit"))
        for tc, width in zip(row.tc_lst, widths, strict=True):
            tc.width = Mm(width)
    _head(view, cells)
    for row in grid._tbl.tr_lst[: len(view.tiers)]:
        row.get_or_add_trPr().append(OxmlElement("w:tblHeader"))
        for tc in row.tc_lst:
            _rule_below(tc)
    body = iter(cells[len(view.tiers) :])
    for line, together in _rows(view):
        _row(view, line, next(body), together=together)
    _notes(document, view)


def _notes(document: Document, view: TableView) -> None:
    """Lettered footnotes, then notes, together under the table."""
    lines = [*((letter, f" {note}") for note, letter in view.letters.items()), *(("", n) for n in view.table.notes)]
    for i, (letter, text) in enumerate(lines, start=1):
        said = _write(_say(document, "", "Note"), "", letter)
        said.add_run(clean(text))
        said.paragraph_format.keep_with_next = i < len(lines)
        if i == 1:
            said.paragraph_format.space_before = Pt(4)


def _head(view: TableView, cells: list[tuple[_Cell, ...]]) -> None:
    """The tiers of heads, spans merged; heads without parts stand beside them at full height."""
    free = list(range(view.table.columns))
    for i, (tier, row) in enumerate(zip(view.tiers, cells, strict=False)):
        columns, free = iter(free), []
        for head in tier:
            mine = [next(columns) for _ in range(head.colspan)]
            first, last = row[mine[0]], cells[i + head.rowspan - 1][mine[-1]]
            cell = first.merge(last) if first is not last else first
            cell.vertical_alignment = VERTICAL.BOTTOM
            said = cell.paragraphs[0]
            said.style = "Table head"
            said.alignment = ALIGN.LEFT if head.css == "label" else ALIGN.CENTER if head.css == "span" else ALIGN.RIGHT
            said.paragraph_format.keep_with_next = True
            _write(said, head.text, head.letter)
            free += mine if i + head.rowspan < len(view.tiers) else []


def _rows(view: TableView) -> Iterator[tuple[Row, bool]]:
    """Rows, each with whether it must stay with what follows: a short table is kept whole, a long one by its groups."""
    for i, group in enumerate(view.bodies, start=1):
        for j, line in enumerate(group, start=1):
            if j < len(group):
                yield line, line.kind == "heading" or len(group) <= LONG_TABLE
            else:
                ends = i == len(view.bodies)
                yield line, bool(view.letters or view.table.notes) if ends else not view.long


def _row(view: TableView, line: Row, cells: tuple[_Cell, ...], *, together: bool) -> None:
    if line.kind == "heading":
        cells = (cells[0].merge(cells[-1]),)
    for i, (cell, text) in enumerate(zip(cells, line.cells, strict=True)):
        said = cell.paragraphs[0]
        said.style = "Table text"
        form = said.paragraph_format
        if together:
            form.keep_with_next = True
        if _is_words(view, i):
            form.left_indent = Mm(HANG_MM + (line.indent * INDENT_MM if i == 0 else 0))
            form.first_line_indent = Mm(-HANG_MM)
        else:
            said.alignment = ALIGN.RIGHT
        _write(said, text, view.letters.get(line.note, "") if i == 0 else "", bold=line.kind == "heading")


def _write(said: Paragraph, text: str, letter: str, *, bold: bool = False) -> Paragraph:
    if text:
        said.add_run(clean(text)).bold = bold or None
    if letter:
        said.add_run(letter).font.superscript = True
    return said


def _rule_below(tc: CT_Tc) -> None:
    rule = f'<w:tcBorders {nsdecls("w")}><w:bottom w:val="single" w:sz="4" w:space="0" w:color="auto"/></w:tcBorders>'
    after = ("w:shd", "w:noWrap", "w:tcMar", "w:textDirection", "w:tcFitText", "w:vAlign", "w:hideMark")
    tc.get_or_add_tcPr().insert_element_before(parse_xml(rule), *after)


def _is_words(view: TableView, column: int) -> bool:
    return column < view.table.label_columns or view.words[column]


def is_wide(table: Table) -> bool:
    """Whether a table needs a page on its side, because its numbers and words would not stand on an upright one."""
    least, _ = _needed(table)
    return sum(least) > TEXT_MM


def column_widths(table: Table, room_mm: float) -> list[float]:
    """Widths in mm, together `room_mm` at most: numbers on one line, words in what is left."""
    least, best = _needed(table)
    if sum(best) <= room_mm:
        factor = min(STRETCH, room_mm / sum(best))
        return [b * factor for b in best]
    if sum(least) >= room_mm:
        return [w * room_mm / sum(least) for w in least]
    share = (room_mm - sum(least)) / (sum(best) - sum(least))
    return [w + (b - w) * share for w, b in zip(least, best, strict=True)]


def _needed(table: Table) -> tuple[list[float], list[float]]:
    """The narrowest and the best width of every column, in mm; columns of numbers under one span are alike."""
    view = table_view(table)
    rows = [r for r in table.rows if r.kind == "data"]
    deepest = max((r.indent for r in rows), default=0) * INDENT_MM
    least, best = [], []
    for i, head in enumerate(part.text for h in table.header for part in (h.parts or (h,))):
        texts = [r.cells[i] for r in rows]
        word = _longest(w for t in (*texts, head) for w in t.split(" "))
        named = text_mm(head) * BOLD / (1 if len(head) <= SHORT_CELL else 2)
        space = 2 * CELL_MM
        if _is_words(view, i):
            space += HANG_MM + (deepest if i == 0 else 0)
            kept, whole = max(word, min(_longest(texts), LABEL_MM)), _longest(texts)
        else:
            kept, whole = max(word, _longest(t for t in texts if len(t) <= SHORT_CELL)), 0.0
        least.append(kept + space)
        best.append(max(kept, named, whole) + space)
    return _level(view, least), _level(view, best)


def _longest(texts: Iterable[str]) -> float:
    return max((text_mm(t) for t in texts), default=0.0)


def _level(view: TableView, widths: list[float]) -> list[float]:
    out, start = list(widths), 0
    for head in view.table.header:
        end = start + (len(head.parts) or 1)
        if not any(_is_words(view, i) for i in range(start, end)):
            out[start:end] = [max(widths[start:end])] * (end - start)
        start = end
    return out


def text_mm(text: str, points: float = TABLE_PT) -> float:
    """About the width of a line of text in Arial, a little to the safe side."""
    return sum(_em(c) for c in text) * points * 25.4 / 72


def _em(character: str) -> float:
    if character in " .,:;/!'|()[]-–ijlftrI\u202f":
        return 0.33
    if character in "mwMW%@":
        return 0.9
    return 0.75 if character.isupper() else 0.585
