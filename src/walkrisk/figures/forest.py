"""Forest plots: ratios with their intervals, a row each, exposures side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from walkrisk.figures import render as r
from walkrisk.figures.scales import on_log_axis, ratio_limits, ratio_text, ratio_ticks, tick_texts

_PT = 7.5
_PAD_IN = 0.08  # between columns
_BETWEEN_IN = 0.16  # between panels
_ROW_PAD_IN = 0.035  # above and below the text of a row
_WIDEST_IN = {"label": 2.0, "counts": 1.0, "text": 1.35}
_NARROWEST_IN = {"one": 2.6, "several": 1.2}  # of a plot, by how many panels there are
_AXIS_IN = 0.22  # for the numbers below an axis
_INDENT_IN = 0.1

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
    """Widths in inches; each includes the space on its right. Panels stand _BETWEEN_IN apart."""

    label: float
    counts: float
    plot: float
    text: float
    panels: int

    @property
    def panel(self) -> float:
        return self.counts + self.plot + self.text

    @property
    def page(self) -> float:
        return 2 * r.MARGIN_IN + self.label + self.panels * (self.panel + _BETWEEN_IN) - _BETWEEN_IN

    def left(self, panel: int) -> float:
        """Left edge of a panel."""
        return r.MARGIN_IN + self.label + panel * (self.panel + _BETWEEN_IN)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Laid:
    """A row in lines of text, and where it stands: its middle above the axis, its height (inches)."""

    row: ForestRow
    label: Lines
    texts: Sequence[Lines]
    middle: float
    height: float
    shaded: bool


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
    not_estimable: str = "not estimable",
    x_limits: tuple[float, float] | None = None,
) -> Figure:
    """Rows of ratios on one log scale for all panels; the height follows the rows.

    An interval that leaves the axis ends in an arrowhead. Every second group (a heading and its rows), or without
    headings every second row, stands on a pale ground. More than the page holds makes the page wider.
    """
    with r.styled():
        columns = _columns(rows, panels, (counts_header, text_header), not_estimable)
        laid = _lay(rows, columns, not_estimable)
        body = sum(row.height for row in laid)
        heads = [r.wrap(p, columns.panel - _PAD_IN, _PT, bold=True) for p in panels]
        words = [
            r.wrap(text, width - _PAD_IN, r.SMALL_PT)
            for text, width in ((label_header, columns.label), (counts_header, columns.counts), (text_header, columns.text))
        ]
        foot = r.wrap(x_label, columns.panel - _PAD_IN, r.SMALL_PT)
        below = _AXIS_IN + len(foot) * r.line_in(r.SMALL_PT) + r.MARGIN_IN
        words_in = max(len(w) for w in words) * r.line_in(r.SMALL_PT) + _ROW_PAD_IN
        heads_in = max((len(h) for h in heads), default=0) * r.line_in(_PT) + _ROW_PAD_IN
        content = below + body + words_in + heads_in
        figure = r.page(content, title=title, simulated=simulated, width_in=columns.page)
        limits = x_limits or _limits(rows)
        words_y = below + body + words_in / 2
        r.put(figure, r.MARGIN_IN, words_y, words[0], size=r.SMALL_PT, color=r.QUIET)
        _draw_rows(figure, laid, columns, bottom=below)
        for i, head in enumerate(heads):
            left = columns.left(i)
            r.put(figure, left, content - heads_in / 2, head, size=_PT, bold=True)
            r.put(figure, left, words_y, words[1], size=r.SMALL_PT, color=r.QUIET)
            text_x = left + columns.counts + columns.plot
            r.put(figure, text_x, words_y, words[2], size=r.SMALL_PT, color=r.QUIET)
            middle = left + columns.counts + (columns.plot - _PAD_IN) / 2
            foot_x = min(middle, columns.page - r.MARGIN_IN - _width(foot, r.SMALL_PT) / 2)
            r.put(figure, foot_x, below - _AXIS_IN - len(foot) * r.line_in(r.SMALL_PT) / 2, foot, size=r.SMALL_PT,
                  align="center")
            size = columns.plot - _PAD_IN, max(body, 0.01)
            axes = r.axes_at(figure, left + columns.counts, below, *size)
            _draw_panel(axes, size, laid, i, limits)
        r.rule(figure, r.MARGIN_IN, below + body, columns.page - r.MARGIN_IN)
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


def _columns(
    rows: Sequence[ForestRow], panels: Sequence[str], headers: tuple[str, str], not_estimable: str
) -> _Columns:
    """Text columns as wide as their text up to a limit, the plots the rest of the page."""
    cells = [c for row in rows for c in row.cells if c is not None]
    label = _INDENT_IN + _width([row.label for row in rows if row.cells])
    counts = max(_width([c.counts for c in cells]), _width(headers[0].split(" "), r.SMALL_PT))
    text = max(_width([_cell_text(c, not_estimable) for c in cells]), _width(headers[1].split(" "), r.SMALL_PT))
    label = min(max(label, 0.6), _WIDEST_IN["label"]) + 2 * _PAD_IN
    counts = min(counts, _WIDEST_IN["counts"]) + (1.5 * _PAD_IN if counts else 0)
    text = min(text, _WIDEST_IN["text"]) + _PAD_IN
    n = max(len(panels), 1)
    left = (r.WIDTH_IN - 2 * r.MARGIN_IN - label + _BETWEEN_IN) / n - _BETWEEN_IN - counts - text
    narrowest = _NARROWEST_IN["one" if n == 1 else "several"]
    return _Columns(label=label, counts=counts, plot=max(left, narrowest), text=text, panels=n)


def _lay(rows: Sequence[ForestRow], columns: _Columns, not_estimable: str) -> list[_Laid]:
    """Rows from the top down, their middles measured up from the axis."""
    everywhere = columns.page - 2 * r.MARGIN_IN
    laid: list[tuple[ForestRow, Lines, list[Lines], float, bool]] = []
    shaded, grouped = True, any(not row.cells for row in rows)
    for row in rows:
        shaded = shaded if grouped and row.cells else not shaded
        width = columns.label - _PAD_IN - _INDENT_IN if row.cells else everywhere
        label = r.wrap(row.label, width, _PT, bold=not row.cells)
        texts = [r.wrap(_cell_text(c, not_estimable), columns.text - _PAD_IN, _PT) if c else [] for c in row.cells]
        lines = max(1, len(label), *(len(t) for t in texts))
        laid.append((row, label, texts, lines * r.line_in(_PT) + 2 * _ROW_PAD_IN, shaded))
    tops = np.cumsum([0.0, *(height for *_, height, _ in reversed(laid))])[::-1]
    return [
        _Laid(row=row, label=label, texts=texts, middle=float(top) - height / 2, height=height, shaded=ground)
        for (row, label, texts, height, ground), top in zip(laid, tops, strict=False)
    ]


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
def _draw_rows(figure: Figure, laid: Sequence[_Laid], columns: _Columns, *, bottom: float) -> None:
    """Grounds, labels, counts and texts."""
    for row in laid:
        y = bottom + row.middle
        if row.shaded:
            width = columns.page - 2 * r.MARGIN_IN
            r.box(figure, r.MARGIN_IN, y - row.height / 2, width, row.height, facecolor=r.ZEBRA, edgecolor="none")
        heading = not row.row.cells
        r.put(figure, r.MARGIN_IN + (0 if heading else _INDENT_IN), y, row.label, size=_PT, bold=heading)
        for i, cell in enumerate(row.row.cells[: columns.panels]):
            if cell is None:
                continue
            left = columns.left(i)
            known = cell.estimate is not None or cell.reference
            r.put(figure, left, y, [cell.counts] if cell.counts else [], size=_PT)
            text_x = left + columns.counts + columns.plot
            r.put(figure, text_x, y, row.texts[i], size=_PT, color=r.INK if known else r.QUIET)


def _draw_panel(axes: Axes, size: tuple[float, float], laid: Sequence[_Laid], panel: int, limits: tuple[float, float]) -> None:
    """One exposure's marks and intervals, on an axis whose heights are inches."""
    axes.patch.set_visible(False)
    axes.set_xscale("log")
    axes.set_xlim(limits)
    axes.set_ylim(0, size[1])
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    ticks = ratio_ticks(limits, length_in=size[0], apart_in=0.27)
    axes.set_xticks(ticks, tick_texts(ticks))
    axes.set_xticks([], minor=True)
    axes.axvline(1, color=r.QUIET, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    for row in laid:
        cell = row.row.cells[panel] if panel < len(row.row.cells) else None
        if cell is not None:
            _draw_cell(axes, cell, row.middle, limits)


def _draw_cell(axes: Axes, cell: ForestCell, y: float, limits: tuple[float, float]) -> None:
    if cell.reference:
        axes.plot([1], [y], marker="o", markersize=4, color="white", markeredgecolor=r.BLUE, zorder=3)
        return
    if cell.estimate is None:
        return
    estimate, low, high = on_log_axis(
        (cell.estimate, cell.estimate if cell.conf_low is None else cell.conf_low,
         cell.estimate if cell.conf_high is None else cell.conf_high)
    )
    if not np.isfinite([estimate, low, high]).all():
        return
    ends = np.clip([low, high], *limits)
    axes.plot(ends, [y, y], color=r.BLUE, linewidth=1.1, solid_capstyle="butt", zorder=2)
    arrow = {"markersize": 4.5, "color": r.BLUE, "markeredgewidth": 0, "clip_on": False, "zorder": 3}
    if low < limits[0]:
        axes.plot([limits[0]], [y], marker="<", **arrow)  # type: ignore[arg-type]
    if high > limits[1]:
        axes.plot([limits[1]], [y], marker=">", **arrow)  # type: ignore[arg-type]
    if limits[0] <= estimate <= limits[1]:
        axes.plot([estimate], [y], marker="s", markersize=4, color=r.BLUE, markeredgewidth=0, zorder=4)
