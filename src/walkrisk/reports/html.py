"""The report as one self-contained page, and tables as pages and CSV. Nothing here reads or writes a file."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from walkrisk.estimates.numbers import NARROW_SPACE
from walkrisk.tables.table import Row, Table, footnotes, letters, plain_rows

BANNER = "Simulated data: these numbers are not results about people"
LONG_TABLE = 34  # rows; a longer table may break between pages
WIDE_TABLE = 7  # columns; so wide a table is set smaller on paper
FORMATS = {"svg": "image/svg+xml", "png": "image/png"}


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
    """A picture (SVG text or PNG bytes) with its caption; `alt` says in words what it shows."""

    id: str
    title: str
    image: str | bytes
    alt: str
    caption: str = ""
    number: str = ""
    format: Literal["svg", "png"] = "svg"

    @property
    def source(self) -> str:
        """The picture as a data address: it stays apart from the page, and nothing in it can run."""
        data = self.image.encode() if isinstance(self.image, str) else self.image
        return f"data:{FORMATS[self.format]};base64,{base64.b64encode(data).decode('ascii')}"


Block = Table | FigureBlock | Paragraphs | Facts | Commands


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of the report; its tables and figures stand in the table of contents."""

    id: str
    title: str
    blocks: tuple[Block, ...]

    @property
    def entries(self) -> tuple[Table | FigureBlock, ...]:
        """What the contents list under the section."""
        return tuple(b for b in self.blocks if isinstance(b, Table | FigureBlock))

    @property
    def views(self) -> tuple[tuple[str, Any], ...]:
        """Blocks by kind, as the template takes them."""
        kinds = {Table: "table", FigureBlock: "figure", Facts: "facts", Commands: "commands", Paragraphs: "text"}
        return tuple((kinds[type(b)], table_view(b) if isinstance(b, Table) else b) for b in self.blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportParts:
    """Everything of a report, in its order."""

    title: str
    simulated: bool
    summary: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    subtitle: str = ""
    footer: str = ""


def report_html(report: ReportParts) -> str:
    """The report as one page that needs nothing from outside. Raises ValueError if two parts have the same id."""
    ids = [i for s in report.sections for i in (s.id, *(e.id for e in s.entries))]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise ValueError(f"parts of the report share an id: {', '.join(twice)}")
    return templates().get_template("report.html.j2").render(report=report, css=css(), banner=BANNER)


def table_html(table: Table, *, simulated: bool, source: str = "") -> str:
    """A table as a page of its own; `source` is the line at its foot."""
    template = templates().get_template("table.html.j2")
    return template.render(view=table_view(table), simulated=simulated, source=source, css=css(), banner=BANNER)


def table_csv(table: Table, *, simulated: bool) -> str:
    """A table as CSV: one header line, the rows as printed, then title, footnotes and notes in the first column.

    Every line has as many fields as the header. With simulated data a last column `data` says so on every line.
    Thousands are not spaced, so that a count is read as a number.
    """
    width = table.columns
    header, *rows = plain_rows(table)
    name = f"{table.number}. {table.title}" if table.number else table.title
    rows += [[text, *[""] * (width - 1)] for text in (f"Title: {name}", *(f"Note: {t}" for t in footnotes(table)))]
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
    """A head with its place in the header."""

    text: str
    letter: str
    scope: str
    css: str
    colspan: int = 1
    rowspan: int = 1


@dataclass(frozen=True, slots=True)
class TableView:
    """A table with its header in tiers and its rows in groups."""

    table: Table
    tiers: tuple[tuple[HeadView, ...], ...]
    bodies: tuple[tuple[Row, ...], ...]
    letters: Mapping[str, str]
    words: tuple[bool, ...]
    classes: str
    long: bool


def table_view(table: Table) -> TableView:
    """A table laid out for HTML: spans, groups of rows, letters of footnotes."""
    return TableView(
        table=table,
        tiers=tuple(_tiers(table)),
        bodies=tuple(_bodies(table.rows)),
        letters=letters(table),
        words=tuple(leaf.words for h in table.header for leaf in (h.parts or (h,))),
        classes="wide" if table.columns >= WIDE_TABLE else "",
        long=len(table.rows) > LONG_TABLE,
    )


def _tiers(table: Table) -> list[tuple[HeadView, ...]]:
    marks = letters(table)
    deep = any(h.parts for h in table.header)
    first: list[HeadView] = []
    second: list[HeadView] = []
    for i, h in enumerate(table.header):
        css = "label" if i < table.label_columns or h.words else ""
        if h.parts:
            first.append(HeadView(h.text, marks.get(h.note, ""), "colgroup", "span", colspan=len(h.parts)))
            second += [HeadView(p.text, marks.get(p.note, ""), "col", "") for p in h.parts]
        else:
            first.append(HeadView(h.text, marks.get(h.note, ""), "col", css, rowspan=2 if deep else 1))
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


@cache
def templates() -> Environment:
    """The page templates of this room, everything escaped."""
    return Environment(
        loader=PackageLoader("walkrisk", "reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def css() -> Markup:
    """The style sheet of every page."""
    loader = templates().loader
    assert loader is not None
    return Markup(loader.get_source(templates(), "style.css")[0])  # our own file
