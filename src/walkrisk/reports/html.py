"""The report as one self-contained page, and tables as pages and CSV. Nothing here reads or writes a file."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from markupsafe import Markup, escape

from walkrisk.estimates.numbers import NARROW_SPACE
from walkrisk.reports.pages import page_html
from walkrisk.tables.table import Row, Table, footnotes, letters, plain_rows

LONG_TABLE = 34  # rows; a longer table may break between pages of a Word file
WHOLE_TABLE = 20  # rows; a longer table may break between pages of a printed page, which is set tighter
WIDE_TABLE = 7  # columns; so wide a table is set smaller on paper
FORMATS = {"svg": "image/svg+xml", "png": "image/png"}
ALIVE = re.compile(  # what may not stand in a picture that is part of a page
    r"<(script|style|foreignObject|iframe|a)\b|\son\w+\s*=|(href|src)\s*=\s*[\"'](?!#|data:image/png)|url\((?!#)", re.I
)
NAMED = re.compile(r"\be?(?:Table|Figure) \d+\b|“[^”]+”")  # how texts name a part of the report


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraphs:
    """Running text, then a list, under a small heading if there is a title."""

    texts: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Pairs of label and value."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """Lines to type in a terminal."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureBlock:
    """A picture with its caption; `alt` says in words what it shows.

    Its format is svg (text) or png (bytes), which a page takes as a data address, or inline: an <svg> element of our
    own that becomes part of the page.
    """

    id: str
    title: str
    image: str | bytes
    alt: str
    caption: str = ""
    number: str = ""
    format: Literal["svg", "png", "inline"] = "svg"

    @property
    def source(self) -> str:
        """The picture as a data address: it stays apart from the page, and nothing in it can run."""
        data = self.image.encode() if isinstance(self.image, str) else self.image
        return f"data:{FORMATS[self.format]};base64,{base64.b64encode(data).decode('ascii')}"

    @property
    def markup(self) -> Markup:
        """The <svg> element of an inline picture. Raises ValueError if something in it could run or be fetched."""
        if not isinstance(self.image, str) or ALIVE.search(self.image):
            raise ValueError(f"{self.id}: a picture that could run or fetch something cannot stand in a page")
        return Markup(self.image)


Block = Table | FigureBlock | Paragraphs | Facts | Commands


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the contents; `within` are the numbered tables and figures under a heading, with their ids."""

    id: str
    text: str
    within: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of the report. Where it is `linked`, its texts lead to the tables, figures and sections they name."""

    id: str
    title: str
    blocks: tuple[Block, ...]
    linked: bool = False

    @property
    def views(self) -> tuple[tuple[str, Any, str], ...]:
        """Blocks by kind with their ids, as the template takes them; text has an id under a heading only."""
        kinds = {Table: "table", FigureBlock: "figure", Facts: "facts", Commands: "commands", Paragraphs: "text"}
        return tuple(
            (kinds[type(b)], table_view(b) if isinstance(b, Table) else b, self._id(i, b))
            for i, b in enumerate(self.blocks)
        )

    @property
    def ids(self) -> tuple[str, ...]:
        """Every id in the section, its own first."""
        return (self.id, *(i for n, b in enumerate(self.blocks) if (i := self._id(n, b))))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What the contents list under the section: headings, and tables and figures, by number where under one."""
        found: list[Entry] = []
        headed = False
        for i, block in enumerate(self.blocks):
            if isinstance(block, Paragraphs) and block.title:
                headed = True
                found.append(Entry(self._id(i, block), block.title))
            elif isinstance(block, Table | FigureBlock) and headed and block.number:
                found[-1] = replace(found[-1], within=(*found[-1].within, (block.id, block.number)))
            elif isinstance(block, Table | FigureBlock):
                found.append(Entry(block.id, named(block)))
        return tuple(found)

    def _id(self, place: int, block: Block) -> str:
        if isinstance(block, Table | FigureBlock):
            return block.id
        return f"{self.id}_{place + 1}" if isinstance(block, Paragraphs) and block.title else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportParts:
    """Everything of a report, in its order; `headline` says the main result before the facts of the `summary`."""

    title: str
    simulated: bool
    summary: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    subtitle: str = ""
    headline: tuple[str, ...] = ()
    footer: str = ""

    @property
    def tables(self) -> dict[str, Table]:
        """Every table of the report by its id."""
        return {b.id: b for s in self.sections for b in s.blocks if isinstance(b, Table)}

    @property
    def places(self) -> dict[str, str]:
        """What texts call a part of the report -> its id: Table 2, Figure 1, “Methods”."""
        numbered = (b for s in self.sections for b in s.blocks if isinstance(b, Table | FigureBlock) and b.number)
        return {f"“{s.title}”": s.id for s in self.sections} | {b.number: b.id for b in numbered}


def named(block: Table | FigureBlock) -> str:
    """The title of a table or figure with its number."""
    return f"{block.number}. {block.title}" if block.number else block.title


def report_html(report: ReportParts, *, font: str = "") -> str:
    """The report as one page that needs nothing from outside; `font` is CSS that brings the font of its pictures.

    Raises ValueError if two parts have the same id.
    """
    ids = [i for s in report.sections for i in s.ids]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise ValueError(f"parts of the report share an id: {', '.join(twice)}")
    places = report.places

    def links(text: str) -> Markup:
        """The text, escaped, with links where it names a part of the report."""
        out, end = Markup(""), 0
        for found in NAMED.finditer(text):
            if place := places.get(found[0]):
                out += escape(text[end : found.start()]) + Markup('<a href="#{}">{}</a>').format(place, found[0])
                end = found.end()
        return out + escape(text[end:])

    return page_html(
        "report.html.j2", title=report.title, simulated=report.simulated, css=font, report=report, links=links
    )


def table_html(table: Table, *, simulated: bool, source: str = "") -> str:
    """A table as a page of its own; `source` is the line at its foot."""
    return page_html("table.html.j2", title=table.title, simulated=simulated, view=table_view(table), source=source)


def table_csv(table: Table, *, simulated: bool) -> str:
    """A table as CSV: one header line, the rows as printed, then title, footnotes and notes in the first column.

    Every line has as many fields as the header. With simulated data a last column `data` says so on every line.
    Thousands are not spaced, so that a count is read as a number.
    """
    width = table.columns
    header, *rows = plain_rows(table)
    rows += [
        [text, *[""] * (width - 1)] for text in (f"Title: {named(table)}", *(f"Note: {t}" for t in footnotes(table)))
    ]
    if simulated:
        header, rows = [*header, "data"], [[*row, "simulated"] for row in rows]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(
        [text.replace(NARROW_SPACE, "") for text in row] for row in (header, *rows)
    )
    return out.getvalue()


# ---------------------------------------------------------------- a table as the template takes it


@dataclass(frozen=True, slots=True)
class HeadView:
    """A head with its place in the header; `column` is that of a head over one column."""

    text: str
    letter: str
    scope: str
    css: str
    colspan: int = 1
    rowspan: int = 1
    column: int | None = None


@dataclass(frozen=True, slots=True)
class TableView:
    """A table with its header in tiers and its rows in groups."""

    table: Table
    name: str
    tiers: tuple[tuple[HeadView, ...], ...]
    bodies: tuple[tuple[Row, ...], ...]
    letters: Mapping[str, str]
    words: tuple[bool, ...]
    classes: str
    long: bool
    splits: bool


def table_view(table: Table) -> TableView:
    """A table laid out for HTML: spans, groups of rows, letters of footnotes."""
    return TableView(
        table=table,
        name=named(table),
        tiers=tuple(_tiers(table)),
        bodies=tuple(_bodies(table.rows)),
        letters=letters(table),
        words=tuple(leaf.words for h in table.header for leaf in (h.parts or (h,))),
        classes="wide" if table.columns >= WIDE_TABLE else "",
        long=len(table.rows) > LONG_TABLE,
        splits=len(table.rows) > WHOLE_TABLE,
    )


def _tiers(table: Table) -> list[tuple[HeadView, ...]]:
    marks = letters(table)
    deep = any(h.parts for h in table.header)
    first: list[HeadView] = []
    second: list[HeadView] = []
    column = 0
    for i, h in enumerate(table.header):
        css = "label" if i < table.label_columns or h.words else ""
        if h.parts:
            first.append(HeadView(h.text, marks.get(h.note, ""), "colgroup", "span", colspan=len(h.parts)))
            parts = enumerate(h.parts, start=column)
            second += [HeadView(p.text, marks.get(p.note, ""), "col", "", column=n) for n, p in parts]
        else:
            rowspan = 2 if deep else 1
            first.append(HeadView(h.text, marks.get(h.note, ""), "col", css, rowspan=rowspan, column=column))
        column += len(h.parts) or 1
    return [tuple(first), tuple(second)] if deep else [tuple(first)]


def _bodies(rows: tuple[Row, ...]) -> list[tuple[Row, ...]]:
    """Rows in groups, each beginning with its headings."""
    bodies: list[list[Row]] = []
    for before, row in zip((None, *rows), rows, strict=False):
        starts = row.kind == "heading" and (before is None or before.kind != "heading")
        if not bodies or starts:
            bodies.append([])
        bodies[-1].append(row)
    return [tuple(b) for b in bodies]
