"""Forest plots: ratios with their intervals, a row each, exposures side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from walkrisk.figures import render as r
from walkrisk.figures import spoken
from walkrisk.figures.drawn import remembered
from walkrisk.figures.scales import on_log_axis, ratio_limits, ratio_text, ratio_ticks, tick_texts
from walkrisk.figures.svg import Tip

_PT = 7.5
_PAD_IN = 0.08  # between columns
_BETWEEN_IN = 0.16  # between panels
_ROW_PAD_IN = 0.035  # above and below the text of a row
_WIDEST_IN: Mapping[r.Width, Mapping[str, float]] = {
    "single": {"label": 1.2, "counts": 0.8, "text": 1.0},
    "double": {"label": 2.0, "counts": 1.0, "text": 1.35},
}
_NARROWEST_IN = 0.75  # of a plot
_HEADER_IN = 0.75
_AXIS_IN = 0.22  # for the numbers below an axis
_INDENT_IN = 0.1
_GAP_IN = 0.12  # between panels below one another

_ONE: Mapping[str, Any] = {"color": r.RULE, "linewidth": 0.8, "zorder": 1}

Lines = list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestCell:
    """One estimate.

    `text` is what stands in the column on the right; without it the numbers do, or, when `estimate` is None, that it
    could not be estimated. A reference is drawn as an open circle. `counts` is formatted by the caller.
    """

    estimate: float | None = None
    conf_low: float | None = None
    conf_high: float | None = None
    counts: str = ""
    text: str = ""
    reference: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestRow:
    """One row: a cell a panel, None where a panel has nothing to say. A row without cells is a heading."""

    label: str
    cells: tuple[ForestCell | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Widths in inches; each includes the space on its right. `across` panels stand side by side, _BETWEEN_IN apart.

    Without a width for counts they stand below the texts.
    """

    label: float
    counts: float
    plot: float
    text: float
    across: int
    page: float

    @property
    def panel(self) -> float:
        return self.counts + self.plot + self.text

    def left(self, place: int) -> float:
        """Left edge of the panel at a place from the left."""
        return r.MARGIN_IN + self.label + place * (self.panel + _BETWEEN_IN)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Laid:
    """A row in lines of text, and where it stands: its middle above the axis, its height (inches)."""

    row: ForestRow
    label: Lines
    texts: Sequence[Lines]
    middle: float
    height: float
    shaded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Band:
    """Panels that stand side by side with their rows; `body` is the height of these in inches."""

    panels: Sequence[str]
    laid: Sequence[_Laid]
    body: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """Names of panels, headers of columns (label, counts, text) and the name of the axis, in lines and inches."""

    heads: Sequence[Lines]
    headers: Sequence[Lines]
    foot: Lines
    heads_in: float
    headers_in: float
    foot_in: float

    @property
    def above(self) -> float:
        return self.heads_in + self.headers_in

    @property
    def below(self) -> float:
        return self.foot_in + _AXIS_IN


@remembered
def forest_figure(
    rows: Sequence[ForestRow],
    *,
    panels: Sequence[str],
    x_label: str = "Risk ratio (95% CI), log scale",
    label_header: str = "",
    counts_header: str = "",
    text_header: str = "RR (95% CI)",
    simulated: bool = False,
    title: str = "",
    width: r.Width = "double",
    not_estimable: str = "not estimable",
    x_limits: tuple[float, float] | None = None,
) -> Figure:
    """Rows of ratios on one log scale for all panels; the height follows the rows.

    An interval that leaves the axis ends in an arrowhead. Every second group (a heading and its rows), or without
    headings every second row, stands on a pale ground. Panels that the page does not hold side by side stand below
    one another, with their rows again.
    """
    with r.styled():
        columns = _columns(rows, panels, (counts_header, text_header), not_estimable, width)
        bands = [range(i, min(i + columns.across, len(panels))) for i in range(0, len(panels), columns.across)]
        parts = [_band(rows, columns, panels, band, not_estimable) for band in bands or [range(0)]]
        headers = label_header, counts_header, text_header
        words = [_words(columns, part.panels, headers, x_label) for part in parts]
        content = sum(part.body + w.above + w.below for part, w in zip(parts, words, strict=True))
        content += _GAP_IN * (len(parts) - 1)
        figure = r.page(content, title=title, simulated=simulated, width_in=columns.page)
        limits, top = x_limits or _limits(rows), content
        for part, said in zip(parts, words, strict=True):
            bottom = top - said.above - part.body
            _draw_rows(figure, part, columns, bottom=bottom)
            _draw_words(figure, said, columns, top=bottom + part.body, below=bottom - said.below)
            for place in range(len(part.panels)):
                _draw_panel(figure, part, columns, place=place, bottom=bottom, limits=limits)
            top = bottom - said.below - _GAP_IN
        texts = [[_cell_text(c, not_estimable) if c else "" for c in row.cells] for row in rows]
        figure.alt = spoken.of_forest(rows, panels, x_label=x_label, said_of=texts)
    return figure


# ---------------------------------------------------------------- layout
def _cell_text(cell: ForestCell, not_estimable: str) -> str:
    if cell.text:
        return cell.text
    if cell.reference:
        return "1 (reference)"
    return not_estimable if cell.estimate is None else ratio_text(cell.estimate, cell.conf_low, cell.conf_high)


def _width(lines: Sequence[str], size: float = _PT, bold: bool = False) -> float:
    return max((r.text_width(line, size, bold) for line in lines), default=0.0)


def _header_in(header: str) -> float:
    """A header breaks into lines rather than widen its column much."""
    return max(_width(header.split(" "), r.SMALL_PT), min(_width([header], r.SMALL_PT), _HEADER_IN))


def _columns(
    rows: Sequence[ForestRow], panels: Sequence[str], headers: tuple[str, str], not_estimable: str, page: r.Width
) -> _Columns:
    """Text columns as wide as their text up to a limit, the plots the rest of the page."""
    cells = [c for row in rows for c in row.cells if c is not None]
    widest, room = _WIDEST_IN[page], r.WIDTHS_IN[page] - 2 * r.MARGIN_IN
    label = _INDENT_IN + _width([row.label for row in rows if row.cells])
    counts = max(_width([c.counts for c in cells]), _header_in(headers[0]))
    text = max(_width([_cell_text(c, not_estimable) for c in cells]), _header_in(headers[1]))
    label = min(max(label, 0.6), widest["label"]) + 2 * _PAD_IN
    counts = min(counts, widest["counts"]) + (1.5 * _PAD_IN if counts else 0)
    text = min(text, widest["text"]) + _PAD_IN
    if label + counts + _NARROWEST_IN + text > room:
        counts = 0.0
    across = max(int((room - label + _BETWEEN_IN) / (counts + _NARROWEST_IN + text + _BETWEEN_IN)), 1)
    bands = math.ceil(len(panels) / across) or 1
    across = math.ceil(len(panels) / bands) or 1  # as many in each band
    plot = (room - label + _BETWEEN_IN) / across - _BETWEEN_IN - counts - text
    return _Columns(label=label, counts=counts, plot=plot, text=text, across=across, page=r.WIDTHS_IN[page])


def _band(
    rows: Sequence[ForestRow], columns: _Columns, panels: Sequence[str], band: range, not_estimable: str
) -> _Band:
    mine = [replace(row, cells=row.cells[band.start : band.stop] or (None,) * bool(row.cells)) for row in rows]
    if len(band) < len(panels):
        mine = list(_with_something(mine))
    laid = _lay(mine, columns, not_estimable)
    body = max(sum(row.height for row in laid), 0.01)
    return _Band(panels=panels[band.start : band.stop], laid=laid, body=body)


def _with_something(rows: Sequence[ForestRow]) -> Iterator[ForestRow]:
    """Rows in which a panel has something to say, and the headings that stand over any."""
    heading: ForestRow | None = None
    for row in rows:
        if not row.cells:
            heading = row
        elif any(cell is not None for cell in row.cells):
            if heading is not None:
                yield heading
                heading = None
            yield row


def _lay(rows: Sequence[ForestRow], columns: _Columns, not_estimable: str) -> list[_Laid]:
    """Rows from the top down, their middles measured up from the axis."""
    everywhere = columns.page - 2 * r.MARGIN_IN
    laid: list[tuple[ForestRow, Lines, list[Lines], float, bool]] = []
    shaded, grouped = True, any(not row.cells for row in rows)
    for row in rows:
        shaded = shaded if grouped and row.cells else not shaded
        width = columns.label - _PAD_IN - _INDENT_IN if row.cells else everywhere
        label = r.wrap(row.label, width, _PT, bold=not row.cells)
        texts = [_texts(c, columns, not_estimable) if c else [] for c in row.cells]
        lines = max(1, len(label), *(len(t) for t in texts))
        laid.append((row, label, texts, lines * r.line_in(_PT) + 2 * _ROW_PAD_IN, shaded))
    tops = np.cumsum([0.0, *(height for *_, height, _ in reversed(laid))])[::-1]
    return [
        _Laid(row=row, label=label, texts=texts, middle=float(top) - height / 2, height=height, shaded=ground)
        for (row, label, texts, height, ground), top in zip(laid, tops, strict=False)
    ]


def _texts(cell: ForestCell, columns: _Columns, not_estimable: str) -> Lines:
    """What stands on the right, and below it the counts that have no column."""
    lines = r.wrap(_cell_text(cell, not_estimable), columns.text - _PAD_IN, _PT)
    return lines if columns.counts else lines + r.wrap(cell.counts, columns.text - _PAD_IN, _PT)


def _words(columns: _Columns, panels: Sequence[str], headers: tuple[str, str, str], x_label: str) -> _Words:
    heads = [r.wrap(p, columns.panel, _PT, bold=True) for p in panels]
    label, counts, text = (
        r.wrap(h, w - _PAD_IN, r.SMALL_PT)
        for h, w in zip(headers, (columns.label, columns.counts or columns.text, columns.text), strict=True)
    )
    headed = [label, counts, text] if columns.counts else [label, [], text + counts]
    foot = r.wrap(x_label, columns.panel, r.SMALL_PT)
    return _Words(
        heads=heads,
        headers=headed,
        foot=foot,
        heads_in=max((len(h) for h in heads), default=0) * r.line_in(_PT) + _ROW_PAD_IN,
        headers_in=max(len(h) for h in headed) * r.line_in(r.SMALL_PT) + _ROW_PAD_IN,
        foot_in=len(foot) * r.line_in(r.SMALL_PT) + r.MARGIN_IN,
    )


def _limits(rows: Sequence[ForestRow]) -> tuple[float, float]:
    cells = [c for row in rows for c in row.cells if c is not None and c.estimate is not None and c.estimate > 0]
    return ratio_limits(
        np.asarray([c.estimate for c in cells], dtype=float),
        on_log_axis(np.nan if c.conf_low is None else c.conf_low for c in cells),
        on_log_axis(np.nan if c.conf_high is None else c.conf_high for c in cells),
        stretch=3.0,
        widest=10.0,
    )


# ---------------------------------------------------------------- drawing
def _draw_rows(figure: Figure, part: _Band, columns: _Columns, *, bottom: float) -> None:
    """Grounds, labels, counts and texts."""
    for row in part.laid:
        y = bottom + row.middle
        if row.shaded:
            width = columns.page - 2 * r.MARGIN_IN
            r.box(figure, r.MARGIN_IN, y - row.height / 2, width, row.height, facecolor=r.ZEBRA, edgecolor="none")
        heading = not row.row.cells
        r.put(figure, r.MARGIN_IN + (0 if heading else _INDENT_IN), y, row.label, size=_PT, bold=heading)
        for i, cell in enumerate(row.row.cells):
            if cell is None:
                continue
            left = columns.left(i)
            known = cell.estimate is not None or cell.reference
            if columns.counts:
                r.put(figure, left, y, [cell.counts] if cell.counts else [], size=_PT)
            text_x = left + columns.counts + columns.plot
            r.put(figure, text_x, y, row.texts[i], size=_PT, color=r.INK if known else r.QUIET)


def _draw_words(figure: Figure, words: _Words, columns: _Columns, *, top: float, below: float) -> None:
    """What stands above the rows, which end at `top`, and below them down to `below`."""
    y = top + words.headers_in / 2
    r.rule(figure, r.MARGIN_IN, top, columns.page - r.MARGIN_IN)
    r.put(figure, r.MARGIN_IN, y, words.headers[0], size=r.SMALL_PT, color=r.QUIET)
    for i, head in enumerate(words.heads):
        left = columns.left(i)
        r.put(figure, left, top + words.headers_in + words.heads_in / 2, head, size=_PT, bold=True)
        r.put(figure, left, y, words.headers[1], size=r.SMALL_PT, color=r.QUIET)
        r.put(figure, left + columns.counts + columns.plot, y, words.headers[2], size=r.SMALL_PT, color=r.QUIET)
        half = _width(words.foot, r.SMALL_PT) / 2
        x = left + columns.counts + (columns.plot - _PAD_IN) / 2
        x = min(max(x, left + half), left + columns.panel - half)
        middle = below + words.foot_in - len(words.foot) * r.line_in(r.SMALL_PT) / 2
        r.put(figure, x, middle, words.foot, size=r.SMALL_PT, align="center")


def _draw_panel(
    figure: r.Page, part: _Band, columns: _Columns, *, place: int, bottom: float, limits: tuple[float, float]
) -> None:
    """Marks of one panel, and what tells their values."""
    left, size = columns.left(place) + columns.counts, (columns.plot - _PAD_IN, part.body)
    axes = r.axes_at(figure, left, bottom, *size)
    _scale(axes, size, limits)
    heading = ""
    for row in part.laid:
        if not row.row.cells:
            heading = " ".join(row.label)
        cell = row.row.cells[place] if place < len(row.row.cells) else None
        if cell is None:
            continue
        foot = row.middle - row.height / 2
        axes.vlines(1, foot, foot + row.height, **_ONE)
        _draw_cell(axes, cell, row.middle)
        name = ", ".join(words for words in (heading, " ".join(row.label)) if words)
        text = f"{name}: {' '.join(row.texts[place])}"
        figure.tips.append(Tip(left, bottom + foot, size[0], row.height, text))


def _scale(axes: Axes, size: tuple[float, float], limits: tuple[float, float]) -> None:
    """The axis of ratios; heights are inches."""
    axes.patch.set_visible(False)
    axes.set_xscale("log")
    axes.set_xlim(limits)
    axes.set_ylim(0, size[1])
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    ticks = ratio_ticks(limits, length_in=size[0], apart_in=0.225)
    axes.set_xticks(ticks, tick_texts(ticks))
    axes.set_xticks([], minor=True)


def _draw_cell(axes: Axes, cell: ForestCell, y: float) -> None:
    """Mark and interval; an end beyond the axis is an arrowhead, and a mark beyond it is left out."""
    if cell.reference:
        axes.plot([1], [y], marker="o", markersize=4, color="white", markeredgecolor=r.BLUE, zorder=3)
        return
    known = [cell.estimate if v is None else v for v in (cell.conf_low, cell.estimate, cell.conf_high)]
    if cell.estimate is None or np.isnan(np.asarray(known, dtype=float)).any():
        return
    low, estimate, high = on_log_axis(v for v in known if v is not None)
    start, end = axes.get_xlim()
    axes.plot(np.clip([low, high], start, end), [y, y], color=r.BLUE, linewidth=1.1, solid_capstyle="butt", zorder=2)
    marks = [(start, "<", low < start), (end, ">", high > end), (estimate, "s", start <= estimate <= end)]
    for x, marker, shown in marks:
        if shown:
            axes.plot([x], [y], marker=marker, markersize=4, color=r.BLUE, markeredgewidth=0, clip_on=False, zorder=4)
