"""The specification curve: every estimate in order, its limits, and below it which options it took."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from walkrisk.estimates.numbers import count, fixed
from walkrisk.figures import render as r
from walkrisk.figures import spoken
from walkrisk.figures.drawn import remembered
from walkrisk.figures.scales import nice_step, on_log_axis, ratio_limits, ratio_ticks, spaced_ticks, tick_texts
from walkrisk.figures.svg import Tip

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

OWN = "#D55E00"  # the study's own specification
INTERVAL = "#C9D8E6"
_CURVE_IN, _ROW_IN, _HEAD_IN, _GAP_IN = 2.3, 0.155, 0.19, 0.06
_MEDIAN_IN, _AXIS_IN, _LEGEND_IN = 0.55, 0.3, 0.24
_LABEL_IN: dict[r.Width, float] = {"single": 1.3, "double": 2.05}
_INDENT_IN, _SCALE_IN = 0.2, 0.48  # of options; of the numbers beside the curve and its name
_BINS = 240  # columns of the dashboard, at most
_TIPS = 160  # marks that tell values along the curve, at most
_BAR_IN, _APART_IN = 0.2, 0.3
_SEPARATE = 80  # specifications that are told apart by dots, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRows:
    """A decision of the dashboard: its options, which of them is the study's own, which each specification took (K,),
    and what stands beside each option, such as its median."""

    title: str
    options: Sequence[str]
    own: int
    taken: IntArray
    beside: Sequence[str] = ()


@remembered
def specification_figure(
    estimate: FloatArray,
    low: FloatArray,
    high: FloatArray,
    decisions: Sequence[DecisionRows],
    *,
    own: int | None,
    median: float,
    y_label: str,
    beside: str = "Median",
    title: str = "",
    simulated: bool = False,
    width: r.Width = "double",
) -> Figure:
    """Ratios (K,) from the smallest to the largest with their limits (NaN where there are none), and the options.

    `own` is the place of the study's own specification, None if it has no estimate. With more specifications than
    columns a column of the dashboard stands for several neighbours: the darker, the more of them took the option.
    """
    order = np.argsort(estimate, kind="stable")
    ordered = estimate[order], low[order], high[order]
    place = None if own is None else int(np.flatnonzero(order == own)[0])
    with r.styled():
        page_in, left = r.WIDTHS_IN[width], r.MARGIN_IN + _LABEL_IN[width]
        rows = [_rows_of(d, _LABEL_IN[width], page_in) for d in decisions]
        legend = _legend(own is not None, len(estimate), page_in)
        foot = r.wrap("Specifications, from the smallest to the largest ratio", page_in - left - r.MARGIN_IN)
        axis_in = _AXIS_IN + (len(foot) - 1) * r.line_in(r.TEXT_PT)
        bottom = axis_in + sum(row.height for row in rows) + _GAP_IN
        legend_in = len(legend) * r.line_in(r.SMALL_PT) + r.MARGIN_IN
        figure = r.page(bottom + _CURVE_IN + legend_in, title=title, simulated=simulated, width_in=page_in)
        wide = page_in - left - _MEDIAN_IN - r.MARGIN_IN
        curve = r.axes_at(figure, left, bottom, wide, _CURVE_IN)
        _draw_curve(curve, ordered, place, median)
        upright: dict[str, Any] = {"rotation": 90, "size": r.TEXT_PT, "ha": "center", "va": "center"}
        figure.text(left - _SCALE_IN, bottom + _CURVE_IN / 2, y_label, transform=figure.dpi_scale_trans, **upright)
        _put_legend(figure, legend, left if width == "double" else r.MARGIN_IN, bottom + _CURVE_IN)
        _dashboard(figure, rows, order, place, (left, wide, bottom - _GAP_IN), beside)
        r.put(figure, left + wide / 2, 0.13 + (axis_in - _AXIS_IN) / 2, foot, align="center")
        figure.tips += _tips(ordered, place, (left, bottom, wide))
        figure.alt = spoken.of_specifications((estimate, low, high), decisions, own=own, median=median)
    return figure


def _tips(
    ordered: tuple[FloatArray, FloatArray, FloatArray], own: int | None, where: tuple[float, float, float]
) -> Iterator[Tip]:
    """Upright strips over the curve, each with its place in the order and its ratio."""
    left, bottom, width = where
    k = len(ordered[0])
    kept = sorted({*np.linspace(0, k - 1, min(k, _TIPS)).round().astype(int).tolist(), *([] if own is None else [own])})
    edges = r.between((np.array(kept) + 0.5) * width / k, width)
    for i, low, high in zip(kept, edges[:-1], edges[1:], strict=True):
        name = f"{i + 1} of {k}" + (", main analysis" if i == own else "")
        text = f"{name}: {spoken.ratio_of(*(float(v[i]) for v in ordered))}"
        yield Tip(left + low, bottom, high - low, _CURVE_IN, text)


def _draw_curve(
    axes: Axes, ordered: tuple[FloatArray, FloatArray, FloatArray], place: int | None, median: float
) -> None:
    estimate, low, high = ordered
    x = np.arange(len(estimate)) + 0.5
    axes.set_yscale("log")
    limits = ratio_limits(estimate, low, high)
    axes.set_ylim(*limits)
    axes.set_xlim(0, len(estimate))
    known = np.isfinite(low) & np.isfinite(high)
    lines = axes.vlines(
        x[known], on_log_axis(low[known]), on_log_axis(high[known]), color=INTERVAL, linewidth=_width(len(x)), zorder=1
    )
    lines.set_rasterized(len(x) > _BINS)
    axes.axhline(1, color=r.RULE, linewidth=0.8, zorder=2)
    axes.axhline(median, color=r.INK, linewidth=0.7, linestyle=(0, (4, 2)), zorder=3)
    dots = {"marker": "o", "markersize": 3.5} if len(x) <= _SEPARATE else {}
    axes.plot(x, estimate, color=r.BLUE, linewidth=0.6 if dots else 1.4, zorder=4, solid_capstyle="butt", **dots)  # type: ignore[arg-type]
    if place is not None:
        if np.isfinite(low[place]) and np.isfinite(high[place]):
            axes.vlines(x[place], low[place], high[place], color=OWN, linewidth=1.2, zorder=5)
        axes.plot(x[place], estimate[place], "D", color=OWN, markersize=5, markeredgecolor="white", zorder=6)
    ticks = ratio_ticks(limits, length_in=_CURVE_IN, apart_in=0.2)
    axes.set_yticks(ticks, tick_texts(ticks))
    axes.minorticks_off()
    axes.tick_params(axis="x", bottom=False, labelbottom=False)
    axes.spines["bottom"].set_visible(False)


def _width(k: int) -> float:
    return float(np.clip(300 / max(k, 1), 0.35, 3.0))


_Signed = tuple[str, dict[str, Any]]  # words, and the look of their sign


def _legend(own: bool, k: int, page_in: float) -> list[list[_Signed]]:
    """Entries above the curve, as many a row as fit."""
    entries: list[_Signed] = [
        (f"{count(k)} specifications", {"color": r.BLUE, "linewidth": 1.4}),
        ("Intervals", {"color": INTERVAL, "linewidth": 5.0}),
        ("Median", {"color": r.INK, "linewidth": 0.7, "linestyle": (0, (4, 2))}),
    ]
    if own:
        main = {"color": OWN, "marker": "D", "markersize": 4, "linewidth": 1.2, "markevery": [1]}
        entries.append(("Main analysis", main))
    rows: list[list[_Signed]] = [[]]
    for entry in entries:
        if rows[-1] and sum(_entry_in(e) for e in (*rows[-1], entry)) > page_in - 2 * r.MARGIN_IN:
            rows.append([])
        rows[-1].append(entry)
    return rows


def _entry_in(entry: _Signed) -> float:
    return 0.3 + r.text_width(entry[0], r.SMALL_PT) + 0.2


def _put_legend(figure: Figure, rows: Sequence[Sequence[_Signed]], left: float, bottom: float) -> None:
    line = r.line_in(r.SMALL_PT)
    for i, row in enumerate(rows):
        x, y = left, bottom + (len(rows) - i - 0.5) * line + r.MARGIN_IN / 2
        for words, look in row:
            sign = Line2D([x, x + 0.11, x + 0.22], [y] * 3, solid_capstyle="butt", **look)
            sign.set_transform(figure.dpi_scale_trans)
            figure.add_artist(sign)
            r.put(figure, x + 0.27, y, [words], size=r.SMALL_PT)
            x += _entry_in((words, look))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """A decision with its texts in lines, and the heights of its options (inches)."""

    decision: DecisionRows
    title: Sequence[str]
    options: Sequence[Sequence[str]]
    heights: Sequence[float]

    @property
    def head(self) -> float:
        return _HEAD_IN + (len(self.title) - 1) * r.line_in(r.SMALL_PT)

    @property
    def height(self) -> float:
        return self.head + sum(self.heights)


def _rows_of(decision: DecisionRows, label_in: float, page_in: float) -> _Rows:
    options = [r.wrap(name, label_in - _INDENT_IN - 0.08, r.SMALL_PT) or [""] for name in decision.options]
    title = r.wrap(decision.title, page_in - 2 * r.MARGIN_IN - _MEDIAN_IN, r.SMALL_PT, bold=True) or [""]
    heights = [_ROW_IN + (len(lines) - 1) * r.line_in(r.SMALL_PT) for lines in options]
    return _Rows(decision=decision, title=title, options=options, heights=heights)


def _dashboard(
    figure: r.Page,
    rows: Sequence[_Rows],
    order: IntArray,
    place: int | None,
    where: tuple[float, float, float],
    beside: str,
) -> None:
    """The options, a row each, below `where` = (left, width, top)."""
    left, width, top = where
    k = len(order)
    bins = min(k, _BINS)
    column = np.arange(k) * bins // k
    size = np.bincount(column, minlength=bins)
    right = left + width + 0.06
    r.put(figure, right, top + 0.09, [beside], size=r.SMALL_PT, color=r.QUIET)
    for row in rows:
        d = row.decision
        r.put(figure, r.MARGIN_IN, top - row.head + 0.07, row.title[-1:], size=r.SMALL_PT, bold=True)
        for i, line in enumerate(reversed(row.title[:-1]), start=1):
            y = top - row.head + 0.07 + i * r.line_in(r.SMALL_PT)
            r.put(figure, r.MARGIN_IN, y, [line], size=r.SMALL_PT, bold=True)
        top -= row.head
        taken, height = d.taken[order], sum(row.heights)
        share = np.stack(
            [np.bincount(column, weights=(taken == i), minlength=bins) / size for i in range(len(d.options))]
        )
        ends = np.cumsum([0.0, *row.heights])
        axes = r.axes_at(figure, left, top - height, width, height)
        for shades, start, stop in zip(_shades(share), ends[:-1], ends[1:], strict=True):
            extent = (0, k, stop, start)
            axes.imshow(shades[None], aspect="auto", interpolation="nearest", extent=extent, zorder=1)
        for end in ends[1:-1]:
            axes.axhline(end, color="white", linewidth=1.2, zorder=2)
        if place is not None:
            axes.axvline(place + 0.5, color=OWN, linewidth=0.7, zorder=3)
        axes.set(xlim=(0, k), ylim=(height, 0), xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_visible(False)
        for i, lines in enumerate(row.options):
            y = top - (ends[i] + ends[i + 1]) / 2
            r.put(figure, r.MARGIN_IN + _INDENT_IN, y, lines, size=r.SMALL_PT, color=r.INK)
            if i == d.own:
                diamond = Line2D([r.MARGIN_IN + 0.11], [y], marker="D", markersize=3.2, color=OWN, linestyle="none")
                diamond.set_transform(figure.dpi_scale_trans)
                figure.add_artist(diamond)
            if i < len(d.beside) and d.beside[i]:
                r.put(figure, right, y, [d.beside[i]], size=r.SMALL_PT, color=r.QUIET)
                text = f"{d.title}, {d.options[i]}: {beside.lower()} {d.beside[i]}"
                figure.tips.append(Tip(left, y - row.heights[i] / 2, width, row.heights[i], text))
        top -= height


def _shades(share: FloatArray) -> FloatArray:
    """Colours (rows, columns, 3): the paper where no specification took an option, blue where all did."""
    paper, full = np.array(to_rgb(r.ZEBRA)), np.array(to_rgb(r.BLUE))
    return np.asarray(paper + share[:, :, None] * (full - paper))


@remembered
def shares_figure(
    names: Sequence[str],
    shares: Sequence[tuple[str, Sequence[float | None]]],
    *,
    x_label: str,
    title: str = "",
    simulated: bool = False,
    width: r.Width = "double",
) -> Figure:
    """Bars of shares (0 to 1) of `names`, one panel for each (heading, shares); None where something did not vary.

    On a single column the panels stand below one another.
    """
    with r.styled():
        page_in = r.WIDTHS_IN[width]
        texts = [r.wrap(n, 0.38 * page_in, r.SMALL_PT) for n in names]
        lines = max((len(text) for text in texts), default=1)
        height = (_BAR_IN + (lines - 1) * r.line_in(r.SMALL_PT)) * len(names)
        across = 1 if width == "single" else max(len(shares), 1)
        rows = math.ceil(len(shares) / across)
        cell = height + 0.45 + 0.25
        figure = r.page(rows * cell, title=title, simulated=simulated, width_in=page_in)
        left = r.MARGIN_IN + max((r.text_width(t, r.SMALL_PT) for text in texts for t in text), default=0.5) + 0.12
        wide = (page_in - left - r.MARGIN_IN - 0.15 - _APART_IN * (across - 1)) / across
        most = max([0.05, *(v for _, values in shares for v in values if v is not None)])
        for p, (heading, values) in enumerate(shares):
            row, place = divmod(p, across)
            corner = left + place * (wide + _APART_IN), (rows - 1 - row) * cell + 0.45
            axes = r.axes_at(figure, *corner, wide, height)
            words = ["\n".join(text) for text in texts] if place == 0 else [""] * len(names)
            _draw_shares(axes, values, words, most=most, wide=wide, heading=heading, x_label=x_label)
        figure.alt = spoken.of_shares(names, shares, x_label=x_label)
    return figure


def _draw_shares(
    axes: Axes,
    values: Sequence[float | None],
    names: Sequence[str],
    *,
    most: float,
    wide: float,
    heading: str,
    x_label: str,
) -> None:
    y = np.arange(len(names))[::-1]
    axes.barh(y, [v or 0.0 for v in values], height=0.62, color=r.BLUE, zorder=2)
    end = most / (1 - (r.text_width("not varied", r.SMALL_PT) if None in values else 0.32) / wide)
    for at, value in zip(y, values, strict=True):
        text = "not varied" if value is None else f"{fixed(100 * value, 0)}%"
        axes.text((value or 0.0) + end * 0.02, at, text, size=r.SMALL_PT, va="center", color=r.INK)
    axes.set(xlim=(0, end), ylim=(-0.6, len(names) - 0.4))
    axes.set_yticks(y, list(names))
    axes.tick_params(axis="y", length=0, labelcolor=r.INK)
    step = nice_step((0.0, 100 * end), at_most=max(int(wide / 0.35), 2))
    ticks = spaced_ticks((0.0, min(100 * end, 100.0)), step)
    axes.set_xticks([t / 100 for t in ticks], tick_texts(ticks))
    axes.set_xlabel(x_label)
    axes.set_title(heading, size=r.TEXT_PT, loc="left", pad=4)
