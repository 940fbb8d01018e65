"""A table as a value: heads, rows of text, notes. Renderers turn it into HTML or CSV; nothing is computed in one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Head:
    """A column head, or a span over `parts`; `note` becomes a lettered footnote; `words` columns hold text."""

    text: str
    note: str = ""
    parts: tuple[Head, ...] = ()
    words: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row: a heading over the rows that follow (its first cell only), or data, one text a column."""

    cells: tuple[str, ...]
    kind: Literal["heading", "data"] = "data"
    indent: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of text. The first `label_columns` columns name a row; `number` is what it is called ("Table 2").

    Raises ValueError if a row has other columns than the header.
    """

    id: str
    title: str
    header: tuple[Head, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    number: str = ""
    label_columns: int = 1

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != (1 if row.kind == "heading" else self.columns):
                raise ValueError(f"{self.id}: a {row.kind} row has {len(row.cells)} cells under {self.columns} columns")

    @property
    def columns(self) -> int:
        """Number of columns."""
        return sum(len(h.parts) or 1 for h in self.header)

    @property
    def leaves(self) -> tuple[str, ...]:
        """One name a column, a span's name in front of those under it."""
        return tuple(name for h in self.header for name in ([f"{h.text}: {p.text}" for p in h.parts] or [h.text]))


def letters(table: Table) -> Mapping[str, str]:
    """Footnote -> its letter (a, b, ..., z, aa, ...), in reading order; the same text has one letter."""
    notes = [n for n in _noted(table) if n]
    return {note: _letter(i) for i, note in enumerate(dict.fromkeys(notes))}


def _noted(table: Table) -> Iterator[str]:
    for head in table.header:
        yield head.note
        yield from (p.note for p in head.parts)
    yield from (r.note for r in table.rows)


def _letter(i: int) -> str:
    whole, rest = divmod(i, 26)
    return ("" if not whole else _letter(whole - 1)) + "abcdefghijklmnopqrstuvwxyz"[rest]


def plain_rows(table: Table) -> list[list[str]]:
    """Header and rows as lists of one text a column, without notes; headings stand in the first column."""
    width = table.columns
    return [list(table.leaves)] + [[*row.cells, *[""] * (width - len(row.cells))] for row in table.rows]


def footnotes(table: Table) -> list[str]:
    """Lettered footnotes, then notes, as lines of text."""
    return [f"{letter} {note}" for note, letter in letters(table).items()] + list(table.notes)
