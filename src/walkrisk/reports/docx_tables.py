"""Tables as Word tables in the layout of a journal: three rules, lettered footnotes, heads again on every page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from docx.enum.table import WD_CELL_VERTICAL_ALIGNMENT as VERTICAL
from docx.enum.text import WD_ALIGN_PARAGRAPH as ALIGN
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls, qn
from docx.oxml.parser import OxmlElement
from docx.oxml.table import CT_Tc
from docx.shared import Mm, Pt
from docx.table import _Cell
from docx.text.paragraph import Paragraph

from walkrisk.reports.docx_file import ALARM, STAMP, blank, clean, packed, table_style, turn
from walkrisk.reports.html import TableView, table_view
from walkrisk.reports.layout import HANG_MM, INDENT_MM, Setting, is_words, setting
from walkrisk.tables.table import Row, Table

if TYPE_CHECKING:
    from docx.document import Document


SHORT_GROUP = 12  # rows of a long table that are kept on one page


def table_docx(table: Table, *, simulated: bool) -> bytes:
    """One table as a Word file of its own. Same input, same bytes."""
    document = blank(table.title, simulated=simulated)
    add_table(document, table, simulated=simulated)
    return packed(document)


def add_table(document: Document, table: Table, *, simulated: bool) -> None:
    """Caption, table and footnotes at the end of a document, on a page the right way up for it.

    A table that fits on a page is kept on one.
    """
    laid = setting(table)
    turn(document, landscape=laid.sideways)
    add_caption(document, table.number, table.title, simulated=simulated).paragraph_format.keep_with_next = True
    view = table_view(table)
    grid = document.add_table(len(view.tiers) + len(table.rows), table.columns, style="Journal table")
    grid.autofit = False
    for tag, text in (("w:tblCaption", table.title), ("w:tblDescription", "; ".join(table.leaves))):
        grid._tbl.tblPr.append(OxmlElement(tag, {qn("w:val"): clean(text)}))
    for column, width in zip(grid.columns, laid.widths_mm, strict=True):
        column.width = Mm(width)
    cells = [row.cells for row in grid.rows]
    for row in grid._tbl.tr_lst:
        row.get_or_add_trPr().append(OxmlElement("w:cantSplit"))
        for tc, width in zip(row.tc_lst, laid.widths_mm, strict=True):
            tc.width = Mm(width)
    _head(view, laid, cells)
    for row in grid._tbl.tr_lst[: len(view.tiers)]:
        row.get_or_add_trPr().append(OxmlElement("w:tblHeader"))
        for tc in row.tc_lst:
            _rule_below(tc)
    body = iter(cells[len(view.tiers) :])
    for line, together in _rows(view, laid):
        _row(view, laid, line, next(body), together=together)
    _notes(document, view)


def add_caption(document: Document, number: str, title: str, *, simulated: bool) -> Paragraph:
    """What a table or figure is called, with the stamp of simulated data."""
    said = document.add_paragraph(style="Caption")
    if simulated:
        said.add_run(f"[{STAMP}] ").font.color.rgb = ALARM
    said.add_run(clean(f"{number}. {title}" if number else title))
    return said


def _notes(document: Document, view: TableView) -> None:
    """Lettered footnotes, then notes, together under the table."""
    lines = [*((letter, f" {note}") for note, letter in view.letters.items()), *(("", n) for n in view.table.notes)]
    for i, (letter, text) in enumerate(lines, start=1):
        said = _write(document.add_paragraph(style="Note"), "", letter)
        said.add_run(clean(text))
        said.paragraph_format.keep_with_next = i < len(lines)
        if i == 1:
            said.paragraph_format.space_before = Pt(4)


def _head(view: TableView, laid: Setting, cells: list[tuple[_Cell, ...]]) -> None:
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
            said._p.get_or_add_pPr().style = table_style("head", laid.points)
            said.alignment = ALIGN.LEFT if head.css == "label" else ALIGN.CENTER if head.css == "span" else ALIGN.RIGHT
            said.paragraph_format.keep_with_next = True
            _write(said, head.text, head.letter)
            free += mine if i + head.rowspan < len(view.tiers) else []


def _rows(view: TableView, laid: Setting) -> Iterator[tuple[Row, bool]]:
    """Rows, each with whether it must stay with what follows: a table is kept whole, one of pages by short groups."""
    for i, group in enumerate(view.bodies, start=1):
        for j, line in enumerate(group, start=1):
            if j < len(group):
                yield line, line.kind == "heading" or not laid.long or len(group) <= SHORT_GROUP
            else:
                ends = i == len(view.bodies)
                yield line, bool(view.letters or view.table.notes) if ends else not laid.long


def _row(view: TableView, laid: Setting, line: Row, cells: tuple[_Cell, ...], *, together: bool) -> None:
    if line.kind == "heading":
        cells = (cells[0].merge(cells[-1]),)
    for i, (cell, text) in enumerate(zip(cells, line.cells, strict=True)):
        said = cell.paragraphs[0]
        said._p.get_or_add_pPr().style = table_style("text", laid.points)  # by id: by name each costs a search
        form = said.paragraph_format
        if together:
            form.keep_with_next = True
        if is_words(view, i):
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
