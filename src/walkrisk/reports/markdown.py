"""A table as Markdown: a pipe table, its title above, its notes below; as GitHub and Pandoc read it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from walkrisk.reports.html import TableView, table_view
from walkrisk.reports.layout import is_words
from walkrisk.tables.table import Head, Row, Table

STAMP = "[Simulated data] "
SPECIAL = re.compile(r"([\\`*_\[\]<>|~^$#])")
INDENT = "&emsp;"


def escape(text: str) -> str:
    """Text that Markdown prints as it is."""
    return SPECIAL.sub(r"\\\1", text).replace("&", "&amp;")


def table_markdown(table: Table, *, simulated: bool) -> str:
    """A table as Markdown. Heads under a span carry its name in front; headings stand in bold in the first column."""
    view = table_view(table)
    name = f"{table.number}. {table.title}" if table.number else table.title
    lines = [f"**{escape((STAMP if simulated else '') + name)}**", "", *_grid(view)]
    for note in _notes(view):
        lines += ["", note]
    return "\n".join(lines) + "\n"


def _grid(view: TableView) -> Iterator[str]:
    yield _line(_heads(view))
    yield _line([":---" if is_words(view, i) else "---:" for i in range(view.table.columns)])
    yield from (_line(_row(view, row)) for row in view.table.rows)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _heads(view: TableView) -> list[str]:
    def said(head: Head) -> str:
        return escape(head.text) + _mark(view.letters.get(head.note, ""))

    spans = view.table.header
    return [text for h in spans for text in ([f"{said(h)}: {said(p)}" for p in h.parts] or [said(h)])]


def _row(view: TableView, row: Row) -> list[str]:
    mark = _mark(view.letters.get(row.note, ""))
    first, *rest = (escape(c) for c in row.cells)
    if row.kind == "heading":
        return [f"{INDENT * row.indent}**{first}**{mark}", *[""] * (view.table.columns - 1)]
    return [f"{INDENT * row.indent}{first}{mark}", *rest]


def _mark(letter: str) -> str:
    return f"<sup>{letter}</sup>" if letter else ""


def _notes(view: TableView) -> Iterator[str]:
    yield from (f"<sup>{letter}</sup> {escape(note)}" for note, letter in view.letters.items())
    yield from (escape(note) for note in view.table.notes)
