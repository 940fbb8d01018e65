"""The specification curve: every estimate in order, its limits, and below it which options it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from walkrisk.estimates.numbers import fixed
from walkrisk.figures import render as r
from walkrisk.figures.scales import on_log_axis, ratio_limits, ratio_ticks, tick_texts

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

OWN = "#D55E00"  # the study's own specification
INTERVAL = "#C9D8E6"
_CURVE_IN, _ROW_IN, _HEAD_IN, _GAP_IN = 2.3, 0.155, 0.19, 0.06
_LABEL_IN, _MEDIAN_IN, _AXIS_IN, _LEGEND_IN = 2.05, 0.55, 0.3, 0.24
_BINS = 240  # columns of the dashboard, at most
_BAR_IN = 0.2
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
) -> Figure:
    """Ratios (K,) from the smallest to the largest with their limits (NaN where there are none), and the options.

    `own` is the place of the study's own specification, None if it has no estimate. With more specifications than
    columns a column of the dashboard stands for several neighbours: the darker, the more of them took the option.
    """
    order = np.argsort(estimate, kind="stable")
    rows_in = sum(_HEAD_IN + _ROW_IN * len(d.options) for d in decisions)
    content = _AXIS_IN + rows_in + _GAP_IN + _CURVE_IN + _LEGEND_IN
    with r.styled():
        figure = r.page(content, title=title, simulated=simulated)
        left = r.MARGIN_IN + _LABEL_IN
        width = r.WIDTH_IN - left - _MEDIAN_IN - r.MARGIN_IN
        place = None if own is None else int(np.flatnonzero(order == own)[0])
        bottom = _AXIS_IN + rows_in + _GAP_IN
        curve = r.axes_at(figure, left, bottom, width, _CURVE_IN)
        _draw_curve(curve, (estimate[order], low[order], high[order]), place, median)
        figure.text(
            left - 0.48,
            bottom + _CURVE_IN / 2,
            y_label,
            rotation=90,
            size=r.TEXT_PT,
            ha="center",
            va="center",
            transform=figure.dpi_scale_trans,
        )
        _legend(curve, place is not None, len(estimate))
        _dashboard(figure, decisions, order, place, (left, width, _AXIS_IN + rows_in), beside)
    return figure


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


def _legend(axes: Axes, own: bool, k: int) -> None:
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=r.BLUE, linewidth=1.4, label=f"{k:,} specifications".replace(",", " ")),
        Patch(facecolor=INTERVAL, label="Intervals"),
        Line2D([], [], color=r.INK, linewidth=0.7, linestyle=(0, (4, 2)), label="Median"),
    ]
    if own:
        handles.append(Line2D([], [], color=OWN, marker="D", markersize=4, linewidth=1.2, label="Main analysis"))
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, borderaxespad=0.1)


def _dashboard(
    figure: Figure,
    decisions: Sequence[DecisionRows],
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
    for d in decisions:
        top -= _HEAD_IN
        r.put(figure, r.MARGIN_IN, top + 0.07, [d.title], size=r.SMALL_PT, bold=True)
        taken = d.taken[order]
        height = _ROW_IN * len(d.options)
        share = np.stack(
            [np.bincount(column, weights=(taken == i), minlength=bins) / size for i in range(len(d.options))]
        )
        axes = r.axes_at(figure, left, top - height, width, height)
        axes.imshow(_shades(share), aspect="auto", interpolation="nearest", extent=(0, k, len(d.options), 0), zorder=1)
        for i in range(1, len(d.options)):
            axes.axhline(i, color="white", linewidth=1.2, zorder=2)
        if place is not None:
            axes.axvline(place + 0.5, color=OWN, linewidth=0.7, zorder=3)
        axes.set(xlim=(0, k), ylim=(len(d.options), 0), xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_visible(False)
        for i, name in enumerate(d.options):
            y = top - _ROW_IN * (i + 0.5)
            text = _short(name, _LABEL_IN - 0.32)
            r.put(figure, r.MARGIN_IN + 0.2, y, [text], size=r.SMALL_PT, color=r.INK)
            if i == d.own:
                r.put(figure, r.MARGIN_IN + 0.07, y, ["◆"], size=5.5, color=OWN)
            if i < len(d.beside):
                r.put(figure, right, y, [d.beside[i]], size=r.SMALL_PT, color=r.QUIET)
        top -= height
    figure.text(
        left + width / 2,
        0.13,
        "Specifications, from the smallest to the largest ratio",
        size=r.TEXT_PT,
        ha="center",
        va="center",
        transform=figure.dpi_scale_trans,
    )


def _shades(share: FloatArray) -> FloatArray:
    """Colours (rows, columns, 3): the paper where no specification took an option, blue where all did."""
    paper, full = np.array(to_rgb(r.ZEBRA)), np.array(to_rgb(r.BLUE))
    return np.asarray(paper + share[:, :, None] * (full - paper))


def _short(text: str, width_in: float) -> str:
    """A text cut to a width, with an ellipsis."""
    if r.text_width(text, r.SMALL_PT) <= width_in:
        return text
    while text and r.text_width(text + "…", r.SMALL_PT) > width_in:
        text = text[:-1]
    return text.rstrip() + "…"


def shares_figure(
    names: Sequence[str],
    shares: Sequence[tuple[str, Sequence[float | None]]],
    *,
    x_label: str,
    title: str = "",
    simulated: bool = False,
) -> Figure:
    """Bars of shares (0 to 1) of `names`, one panel for each (heading, shares); None where something did not vary."""
    height = _BAR_IN * len(names)
    with r.styled():
        figure = r.page(height + 0.45 + 0.25, title=title, simulated=simulated)
        left = r.MARGIN_IN + max((r.text_width(n, r.SMALL_PT) for n in names), default=0.5) + 0.12
        between = 0.3
        width = (r.WIDTH_IN - left - r.MARGIN_IN - 0.15 - between * (len(shares) - 1)) / max(1, len(shares))
        most = max([0.05, *(v for _, values in shares for v in values if v is not None)])
        for p, (heading, values) in enumerate(shares):
            axes = r.axes_at(figure, left + p * (width + between), 0.45, width, height)
            y = np.arange(len(names))[::-1]
            axes.barh(y, [v or 0.0 for v in values], height=0.62, color=r.BLUE, zorder=2)
            for at, value in zip(y, values, strict=True):
                text = "not varied" if value is None else f"{fixed(100 * value, 0)}%"
                axes.text((value or 0.0) + most * 0.02, at, text, size=r.SMALL_PT, va="center", color=r.INK)
            axes.set(xlim=(0, most * 1.18), ylim=(-0.6, len(names) - 0.4))
            axes.set_yticks(y, list(names) if p == 0 else [""] * len(names))
            axes.tick_params(axis="y", length=0, labelcolor=r.INK)
            ticks = [t for t in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0) if t <= most * 1.18]
            axes.set_xticks(ticks, [f"{100 * t:.0f}" for t in ticks])
            axes.set_xlabel(x_label)
            axes.set_title(heading, size=r.TEXT_PT, loc="left", pad=4)
    return figure
