"""Panels of lines, dots, steps, bars and bands with reference lines: the plain pictures of sensitivity analyses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from walkrisk.figures import render as r
from walkrisk.figures import spoken
from walkrisk.figures.drawn import remembered
from walkrisk.figures.scales import nice_step, ratio_ticks, spaced_ticks, tick_texts
from walkrisk.figures.svg import Tip

FloatArray = npt.NDArray[np.float64]
Numbers = Sequence[float | None] | FloatArray

COLOURS = (r.BLUE, "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)), (0, (1, 1)), (0, (8, 3)))
DOTS = ("o", "s", "^", "D", "v", "P")

_HEIGHT_IN = 1.75
_TITLE_GAP_IN = 0.07
_MOST_STEPS = 2
_STRIP_IN = 0.045  # least width of a mark that tells values
_LEFT_IN, _RIGHT_IN, _BETWEEN_IN = 0.62, 0.12, 0.3
_NUMBERS_IN, _LEGEND_ROW_IN, _HANDLE_IN = 0.24, 0.19, 0.3
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
_WORDS: dict[str, Any] = {"size": r.SMALL_PT, "color": r.QUIET, "zorder": 6, "bbox": _PAPER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something drawn in a panel: `y` (k,) at `x` (k,), None or NaN where unknown.

    A band runs from `low` to `high`, whiskers too with a dot at `y`; steps are levels of a histogram whose bins start
    at `x` (and have all the same width), bars too, filled. More than two steps in a panel are drawn as polygons over
    the middles of their bins, which are told apart where they cross. `colour` is a place in the palette; dashes and
    dots follow it, so that grey print tells them apart; a mark without a `label` has no entry in the legend.
    """

    kind: Literal["line", "dots", "steps", "polygon", "bars", "band", "whiskers"]
    x: Numbers
    y: Numbers = ()
    low: Numbers = ()
    high: Numbers = ()
    label: str = ""
    colour: int = 0
    pale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One pair of axes. Reference lines are (value, words beside them); words may be empty.

    `x_names` puts names at 0, 1, 2, ... in place of numbers; limits are those of the marks unless given.
    """

    title: str
    x_label: str
    y_label: str
    marks: Sequence[Mark]
    horizontal: Sequence[tuple[float, str]] = ()
    vertical: Sequence[tuple[float, str]] = ()
    log_x: bool = False
    log_y: bool = False
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    x_names: Sequence[str] = ()


@remembered
def panel_figure(
    panels: Sequence[Panel],
    *,
    columns: int = 2,
    simulated: bool = False,
    title: str = "",
    width: r.Width = "double",
    height_in: float = _HEIGHT_IN,
) -> Figure:
    """Panels in rows of `columns` (half as many on a single column), with one legend below them all."""
    with r.styled():
        room = r.WIDTHS_IN[width] - 2 * r.MARGIN_IN
        columns = columns if width == "double" else max(columns // 2, 1)
        across = (room - (columns - 1) * _BETWEEN_IN) / columns
        plot = across - _LEFT_IN - _RIGHT_IN
        titles = [r.wrap(p.title, across, r.TEXT_PT, bold=True) for p in panels]
        labels = [r.wrap(p.x_label, across) for p in panels]
        rows = [range(i, min(i + columns, len(panels))) for i in range(0, len(panels), columns)]
        heads = [max(len(titles[i]) for i in row) * r.line_in(r.TEXT_PT) + _TITLE_GAP_IN for row in rows]
        names = [_name_lines(p, plot) for p in panels]
        numbers = [_NUMBERS_IN + (max(names[i] for i in row) - 1) * r.line_in(r.SMALL_PT) for row in rows]
        feet = [
            max(len(labels[i]) for i in row) * r.line_in(r.TEXT_PT) + below
            for row, below in zip(rows, numbers, strict=True)
        ]
        legend = list(_legend_rows(panels, room))
        gaps = _BETWEEN_IN / 2 * (len(rows) - 1)
        content = sum(heads) + sum(feet) + height_in * len(rows) + gaps + len(legend) * _LEGEND_ROW_IN + r.MARGIN_IN
        figure = r.page(content, title=title, simulated=simulated, width_in=r.WIDTHS_IN[width])
        top = content
        for row, head, foot, below in zip(rows, heads, feet, numbers, strict=True):
            for i in row:
                left = r.MARGIN_IN + (i - row.start) * (across + _BETWEEN_IN)
                r.put(figure, left, top - (head - _TITLE_GAP_IN) / 2, titles[i], bold=True)
                ax = r.axes_at(figure, left + _LEFT_IN, top - head - height_in, plot, height_in)
                middle = left + _LEFT_IN + plot / 2
                label_y = top - head - height_in - below - len(labels[i]) * r.line_in(r.TEXT_PT) / 2
                r.put(figure, middle, label_y, labels[i], align="center")
                _draw(ax, panels[i], plot, height_in)
                figure.tips += _tips(ax, panels[i], (left + _LEFT_IN, top - head - height_in, plot, height_in))
            top -= head + height_in + foot + _BETWEEN_IN / 2
        _put_legend(figure, legend, r.WIDTHS_IN[width])
        figure.alt = spoken.of_panels(panels)
    return figure


def _tips(ax: Axes, panel: Panel, place: tuple[float, float, float, float]) -> Iterator[Tip]:
    """Upright strips side by side, each with what the lines and dots are at one value; none over bars and shares."""
    said = {} if panel.x_names else spoken.values_at(panel)
    left, bottom, width, height = place
    known = sorted(said)
    to_share = ax.transData + ax.transAxes.inverted()
    at = width * np.array([to_share.transform((x, 1.0))[0] for x in known])
    inside = [i for i in range(len(known)) if -1e-6 <= at[i] <= width + 1e-6]
    kept: list[int] = []
    for i in sorted(inside, key=lambda i: -said[known[i]].count("; ")):  # where most is drawn first
        if all(abs(at[i] - at[j]) >= _STRIP_IN for j in kept):
            kept.append(i)
    kept.sort()
    edges = r.between(at[kept], width)
    for i, low, high in zip(kept, edges[:-1], edges[1:], strict=True):
        yield Tip(left + low, bottom, high - low, height, said[known[i]])


def _draw(ax: Axes, panel: Panel, width_in: float, height_in: float) -> None:
    if panel.log_x:
        ax.set_xscale("log")
    if panel.log_y:
        ax.set_yscale("log")
    many = sum(mark.kind == "steps" for mark in panel.marks) > _MOST_STEPS
    for mark in panel.marks:
        _draw_mark(ax, replace(mark, kind="polygon") if many and mark.kind == "steps" else mark)
    _limits(ax, panel)
    _ticks(ax, panel, width_in, height_in)
    lines = max(int(height_in / 0.2), 1)
    ax.set_ylabel("\n".join(r.wrap(panel.y_label, height_in)[:lines]), labelpad=2)
    for value, words in panel.horizontal:
        ax.axhline(value, color=r.RULE, linewidth=0.8, zorder=1)
        if words:
            place = ax.get_yaxis_transform()
            ax.text(0.99, value, words, transform=place, ha="right", va="bottom", **_WORDS)
    for value, words in panel.vertical:
        ax.axvline(value, color=r.RULE, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
        if words:
            place = ax.get_xaxis_transform()
            right = ax.transAxes.inverted().transform(ax.transData.transform((value, ax.get_ylim()[0])))[0] > 0.6
            align = "right" if right else "left"
            text = f"{words} " if right else f" {words}"
            ax.text(value, 0.98, text, transform=place, ha=align, va="top", **_WORDS)


def _draw_mark(ax: Axes, mark: Mark) -> None:
    colour, alpha = COLOURS[mark.colour % len(COLOURS)], 0.35 if mark.pale else 1.0
    x = _numbers(mark.x)
    if mark.kind == "band":
        low, high = _numbers(mark.low), _numbers(mark.high)
        ax.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0, zorder=2)
        return
    y = _numbers(mark.y)
    if mark.kind == "line":
        ax.plot(x, y, color=colour, alpha=alpha, linewidth=1.2, linestyle=DASHES[mark.colour % len(DASHES)], zorder=4)
    elif mark.kind in ("dots", "whiskers"):
        if mark.kind == "whiskers":
            low, high = _numbers(mark.low), _numbers(mark.high)
            ax.vlines(x, low, high, color=colour, alpha=alpha, linewidth=1.0, zorder=3)
        dot = DOTS[mark.colour % len(DOTS)]
        ax.plot(x, y, linestyle="none", marker=dot, markersize=3.5, color=colour, alpha=alpha, zorder=5)
    elif len(x):
        step = float(np.min(np.diff(x))) if len(x) > 1 else 1.0
        if mark.kind == "polygon":
            look = {"linestyle": DASHES[mark.colour % len(DASHES)], "marker": DOTS[mark.colour % len(DOTS)]}
            ax.plot(x + step / 2, y, color=colour, linewidth=1.0, markersize=3, zorder=4, **look)
        elif mark.kind == "bars":
            ax.bar(x, y, width=step, align="edge", color=colour, alpha=0.45, linewidth=0, zorder=2)
        else:
            edges = np.append(x, x[-1] + step)
            ax.stairs(y, edges, color=colour, linewidth=1.2, linestyle=DASHES[mark.colour % len(DASHES)], zorder=4)


def _limits(ax: Axes, panel: Panel) -> None:
    for axis, given, log, values in (
        ("x", panel.x_limits, panel.log_x, [*_all_x(panel), *(v for v, _ in panel.vertical)]),
        ("y", panel.y_limits, panel.log_y, [*_all_y(panel), *(v for v, _ in panel.horizontal)]),
    ):
        known = np.array([v for v in values if math.isfinite(v) and (v > 0 or not log)])
        if given is None and known.size:
            low, high = float(known.min()), float(known.max())
            if log:
                room = max((high / low) ** 0.05, 1.02)
                given = low / room, high * room
            else:
                room = 0.05 * (high - low) or 0.5 * abs(high) or 0.5
                given = low - (0 if axis == "y" and low == 0 else room), high + room
        if given is not None:
            (ax.set_xlim if axis == "x" else ax.set_ylim)(*given)


def _ticks(ax: Axes, panel: Panel, width_in: float, height_in: float) -> None:
    if panel.x_names:
        texts = ["\n".join(r.wrap(n, width_in / len(panel.x_names), r.SMALL_PT)) for n in panel.x_names]
        ax.set_xticks(range(len(texts)), texts)
        ax.set_xlim(-0.5, len(texts) - 0.5)
    else:
        _number_ticks(ax.xaxis, ax.get_xlim(), panel.log_x, width_in, 0.38)
    _number_ticks(ax.yaxis, ax.get_ylim(), panel.log_y, height_in, 0.22)


def _name_lines(panel: Panel, width_in: float) -> int:
    """Lines that the names below an axis take."""
    return max((len(r.wrap(n, width_in / len(panel.x_names), r.SMALL_PT)) for n in panel.x_names), default=1)


def _number_ticks(axis: Any, limits: tuple[float, float], log: bool, length_in: float, apart_in: float) -> None:
    low, high = min(limits), max(limits)
    if log:
        ticks = ratio_ticks((low, high), length_in=length_in, apart_in=apart_in)
    else:
        ticks = spaced_ticks((low, high), nice_step((low, high), at_most=max(int(length_in / apart_in), 2)))
    axis.set_ticks(ticks, tick_texts(ticks))
    axis.set_ticks([], minor=True)


def _all_x(panel: Panel) -> Iterator[float]:
    for mark in panel.marks:
        x = _numbers(mark.x)
        yield from x.tolist()
        if mark.kind in ("steps", "bars") and len(x) > 1:
            yield float(x[-1] + np.min(np.diff(x)))


def _all_y(panel: Panel) -> Iterator[float]:
    for mark in panel.marks:
        for values in (mark.y, mark.low, mark.high):
            yield from _numbers(values).tolist()
        if mark.kind in ("steps", "bars"):
            yield 0.0


def _numbers(values: Numbers) -> FloatArray:
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def _legend_rows(panels: Sequence[Panel], room: float) -> Iterator[list[tuple[Mark, str]]]:
    """Entries of the legend, as many a row as fit."""
    entries: dict[str, Mark] = {}
    for panel in panels:
        many = sum(mark.kind == "steps" for mark in panel.marks) > _MOST_STEPS
        for mark in panel.marks:
            if mark.label:
                shown = replace(mark, kind="polygon") if many and mark.kind == "steps" else mark
                entries.setdefault(mark.label, shown)
    row: list[tuple[Mark, str]] = []
    used = 0.0
    for label, mark in entries.items():
        size = _entry_in(label)
        if row and used + size > room:
            yield row
            row, used = [], 0.0
        row.append((mark, label))
        used += size
    if row:
        yield row


def _entry_in(label: str) -> float:
    return _HANDLE_IN + 0.08 + r.text_width(label, r.SMALL_PT) + 0.25


def _put_legend(figure: Figure, rows: Sequence[Sequence[tuple[Mark, str]]], page_in: float) -> None:
    place = figure.dpi_scale_trans
    for i, row in enumerate(rows):
        y = r.MARGIN_IN / 2 + (len(rows) - i - 0.5) * _LEGEND_ROW_IN
        x = r.MARGIN_IN + _LEFT_IN if sum(_entry_in(t) for _, t in row) < page_in - _LEFT_IN else r.MARGIN_IN
        for mark, label in row:
            colour = COLOURS[mark.colour % len(COLOURS)]
            if mark.kind in ("band", "bars"):
                handle: Any = Patch(facecolor=colour, alpha=0.3)
                r.box(figure, x, y - 0.045, _HANDLE_IN, 0.09, facecolor=handle.get_facecolor(), edgecolor="none")
            else:
                dotted = mark.kind in ("dots", "whiskers")
                handle = Line2D(
                    [x, x + _HANDLE_IN / 2, x + _HANDLE_IN],
                    [y, y, y],
                    color=colour,
                    linewidth=1.2,
                    linestyle="none" if mark.kind == "dots" else "-" if dotted else DASHES[mark.colour % len(DASHES)],
                    marker=DOTS[mark.colour % len(DOTS)] if dotted or mark.kind == "polygon" else None,
                    markevery=[1],
                    markersize=3.5,
                    transform=place,
                )
                figure.add_artist(handle)
            r.put(figure, x + _HANDLE_IN + 0.08, y, [label], size=r.SMALL_PT)
            x += _entry_in(label)
