"""How a table is set on paper: upright or on its side, in which size, how wide its columns are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil

from walkrisk.reports.html import TableView, table_view
from walkrisk.tables.table import Table

SHORT_MM, LONG_MM, MARGIN_MM = 210.0, 297.0, 20.0  # A4
TEXT_MM, TURNED_MM = SHORT_MM - 2 * MARGIN_MM, LONG_MM - 2 * MARGIN_MM  # room for text, upright and on the side
SIZES = ((False, 9.0), (False, 8.0), (True, 9.0), (True, 8.0), (True, 7.0))  # on its side, points: the first that fits
CELL_MM = 1.2  # space at either side of a cell
INDENT_MM, HANG_MM = 3.5, 2.0  # a level of a table; a line that goes on
LABEL_MM = 32.0  # a column of words is not set narrower for want of room, unless its words are short
STRETCH = 1.35  # a small table is spread by so much at most
TALL_CELL = 12  # lines; a table with so tall a cell is turned on its side where that helps
SHORT_CELL = 22  # characters; so short a cell is kept on one line
SAFE = 1.04  # programs set the same text a little differently
MM = 25.4 / 72  # a point
LINE, ROW_PT, NOTE_PT = 1.17, 2.5, 8.0  # height of a line to its size; space of a row; size of notes
CAPTION_MM = 25.0  # room for a heading and the caption

WIDTHS = {  # thousandths of the size in Arial, and in what is set like it
    191: "'", 200: "\u202f", 222: "ijl", 278: " !,./:;I[]\\ft", 333: "-()r", 355: '"', 389: "*", 500: "Jckszvxy",
    584: "<>=+~−≤≥×", 611: "FTZ", 667: "&ABEKPSVXY", 722: "CDHNRUw∞", 778: "GOQ", 833: "Mm", 889: "%", 944: "W",
    1000: "→", 1015: "@",
}  # fmt: skip
BOLD_WIDTHS = {  # the same of bold letters
    200: "\u202f", 238: "'", 278: " ,./\\ijlI", 333: "!()-:;[]ft", 389: "*r", 474: '"', 500: "z",
    556: "0123456789aceksvxyJ$", 584: "<>=+~−≤≥×", 667: "EPSVXY", 722: "&ABCDHKNRU∞", 778: "GOQw", 833: "M", 889: "%m",
    944: "W", 975: "@", 1000: "→",
}  # fmt: skip


def _by_letter(widths: Mapping[int, str]) -> dict[str, float]:
    return {letter: width / 1000 for width, letters in widths.items() for letter in letters}


EM, BOLD_EM = _by_letter(WIDTHS), _by_letter(BOLD_WIDTHS)
OTHER, BOLD_OTHER = 0.556, 0.611  # digits and most small letters


@dataclass(frozen=True, slots=True)
class Setting:
    """A table on its page: `sideways` or upright, the size of its letters, its columns' widths, about how high it is.

    A `long` one takes more than a page.
    """

    sideways: bool
    points: float
    widths_mm: tuple[float, ...]
    height_mm: float

    @property
    def long(self) -> bool:
        """Whether it does not fit on a page with its caption."""
        return self.height_mm > (TEXT_MM if self.sideways else TURNED_MM) - CAPTION_MM


def setting(table: Table) -> Setting:
    """The largest setting, upright if that can be, in which no word and no short cell is broken and no cell is tall.

    Where there is none cells may be tall; where that does not help the table lies on its side in the smallest size,
    and its cells are broken between words.
    """
    view = table_view(table)
    fitting = []
    for sideways, points in SIZES:
        least, best = _needed(view, points)
        if sum(least) <= _room(sideways):
            laid, tallest = _set(view, sideways, points, least, best)
            if tallest <= TALL_CELL:
                return laid
            fitting.append((tallest, laid))
    if fitting:
        return min(fitting, key=lambda found: found[0])[1]
    sideways, points = SIZES[-1]
    return _set(view, sideways, points, *_needed(view, points, whole=False))[0]


def _set(view: TableView, sideways: bool, points: float, least: list[float], best: list[float]) -> tuple[Setting, int]:
    """A setting, and the lines of its tallest row."""
    widths = tuple(_shared(least, best, _room(sideways)))
    table, room = view.table, sum(widths)
    heads = tuple(part.text for h in table.header for part in (h.parts or (h,)))
    rows = [(r.cells, (room,) if r.kind == "heading" else widths, r.indent * INDENT_MM) for r in table.rows]
    lines = [_lines(heads, widths, 0.0, points, bold=True) + len(view.tiers) - 1, *(_lines(*r, points) for r in rows)]
    notes = [*view.letters, *table.notes]
    noted = sum(ceil(text_mm(n, NOTE_PT) / _room(sideways)) for n in notes)
    height = MM * (sum(n * points * LINE + ROW_PT for n in lines) + noted * NOTE_PT * LINE)
    return Setting(sideways, points, widths, height), max(lines)


def _lines(
    cells: tuple[str, ...], widths: tuple[float, ...], indent_mm: float, points: float, *, bold: bool = False
) -> int:
    """About how many lines a row has."""
    rooms = (w - 2 * CELL_MM - (indent_mm if i == 0 else 0.0) for i, w in enumerate(widths))
    return max(ceil(text_mm(c, points, bold=bold) / max(room, 1.0)) for c, room in zip(cells, rooms, strict=True))


def _room(sideways: bool) -> float:
    return TURNED_MM if sideways else TEXT_MM


def _shared(least: list[float], best: list[float], room: float) -> list[float]:
    """Widths in mm, together `room` at most: numbers on one line, words in what is left."""
    if sum(best) <= room:
        factor = min(STRETCH, room / sum(best))
        return [b * factor for b in best]
    if sum(least) >= room:
        return [w * room / sum(least) for w in least]
    share = (room - sum(least)) / (sum(best) - sum(least))
    return [w + (b - w) * share for w, b in zip(least, best, strict=True)]


def _needed(view: TableView, points: float, *, whole: bool = True) -> tuple[list[float], list[float]]:
    """The narrowest and the best width of every column, in mm; columns of numbers under one span are alike."""
    table = view.table
    rows = [r for r in table.rows if r.kind == "data"]
    deepest = max((r.indent for r in rows), default=0) * INDENT_MM
    least, best = [], []
    for i, head in enumerate(part.text for h in table.header for part in (h.parts or (h,))):
        texts = [r.cells[i] for r in rows]
        word = max(_longest(_words(texts), points), _longest(_words([head]), points, bold=True))
        named = text_mm(head, points, bold=True) / (1 if len(head) <= SHORT_CELL else 2)
        space = 2 * CELL_MM
        if is_words(view, i):
            space += HANG_MM + (deepest if i == 0 else 0)
            full = _longest(texts, points)
            kept = max(word, min(full, LABEL_MM * points / SIZES[0][1]))
        else:
            full = _longest((t for t in texts if len(t) <= SHORT_CELL), points)
            kept = max(word, full if whole else 0.0)
        least.append(kept + space)
        best.append(max(kept, named, full) + space)
    return _level(view, least, points), _level(view, best, points)


def _words(texts: Iterable[str]) -> Iterable[str]:
    """Parts of texts between which a line may end."""
    return (w for t in texts for w in t.replace("-", "- ").split(" "))


def _longest(texts: Iterable[str], points: float, *, bold: bool = False) -> float:
    return max((text_mm(t, points, bold=bold) for t in texts), default=0.0)


def _level(view: TableView, widths: list[float], points: float) -> list[float]:
    """Columns of numbers under one span made alike, and together as wide as the longest word of its head."""
    out, start = list(widths), 0
    for head in view.table.header:
        end = start + (len(head.parts) or 1)
        if not any(is_words(view, i) for i in range(start, end)):
            named = (_longest(_words([head.text]), points, bold=True) + 2 * CELL_MM) / (end - start)
            out[start:end] = [max(*widths[start:end], named)] * (end - start)
        start = end
    return out


def is_words(view: TableView, column: int) -> bool:
    """Whether a column names rows or holds words, and is set to the left."""
    return column < view.table.label_columns or view.words[column]


def text_mm(text: str, points: float, *, bold: bool = False) -> float:
    """The width of a line of text in Arial, a little to the safe side."""
    known, other = (BOLD_EM, BOLD_OTHER) if bold else (EM, OTHER)
    return SAFE * sum(known.get(c, 0.78 if c.isupper() else other) for c in text) * points * MM
