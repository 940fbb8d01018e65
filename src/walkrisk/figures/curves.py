"""Dose-response curves: the ratio along an exposure, and how many people stand where."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from walkrisk.estimates.numbers import count
from walkrisk.figures import render as r
from walkrisk.figures import spoken
from walkrisk.figures.curve_panel import (
    CENTRAL_PERCENT,
    central_of,
    curve_of,
    parts_of,
    percentiles,
    x_limits_of,
    y_limits_of,
)
from walkrisk.figures.curve_panel import CurvePanel as CurvePanel
from walkrisk.figures.drawn import remembered
from walkrisk.figures.scales import (
    nice_step,
    ratio_ticks,
    spaced_ticks,
    tick_texts,
)
from walkrisk.figures.svg import Tip

_RUG_PERCENT = tuple(float(p) for p in range(5, 100, 5))
_PLOT_HEIGHT_IN = 2.35
_LEFT_IN, _RIGHT_IN = 0.5, 0.58  # for the two scales; a second line of a label comes on top
_TWO_PANELS_IN = 5.0  # least width of a page that holds two
_STRIP_IN = 0.035  # least width of a mark that tells a value
_BARS_SHARE = 0.42  # of the height of a panel, for the tallest bar
_NUMBERS_IN = 0.23  # below an axis
_LABEL_IN = 0.2  # for the letter of a panel


Lines = list[str]


@remembered
def dose_response_figure(
    panels: Sequence[CurvePanel],
    *,
    title: str = "",
    simulated: bool = False,
    min_cell: int = 5,
    y_label: str = "Risk ratio",
    conf_level: float = 0.95,
    histogram_label: str = "Participants",
    people: Literal["histogram", "rug", "none"] = "histogram",
    width: r.Width = "double",
    no_curve: str = "No curve could be fitted",
) -> Figure:
    """Curves with their confidence bands on one log scale for all panels, two panels a row, bars of people behind.

    Bars of fewer than `min_cell` people are not drawn. A rug marks the percentiles 5, 10, ..., 95 of people by the
    bins, so that no mark is a person. The scale holds every ratio between the 1st and the 99th
    percentile of people; beyond them curve and band are pale, and a wide band leaves the panel.
    """
    with r.styled():
        handles = _legend(panels, people, conf_level=conf_level, histogram_label=histogram_label, y_label=y_label)
        right = _RIGHT_IN if people == "histogram" else 2 * r.MARGIN_IN
        frame = _frame(panels, handles, f"{y_label} ({100 * conf_level:g}% CI)", r.WIDTHS_IN[width], right)
        figure = r.page(frame.height, title=title, simulated=simulated, width_in=frame.width)
        limits = y_limits_of(panels)
        for i, panel in enumerate(panels):
            left, bottom = frame.corner(i)
            bars, axes = (r.axes_at(figure, left, bottom, frame.plot, _PLOT_HEIGHT_IN) for _ in range(2))
            x_limits = x_limits_of(panel)
            least = max(min_cell, 1) if people == "histogram" else math.inf
            _draw_bars(bars, panel, x_limits, least=least, label=histogram_label)
            _scale(axes, x_limits, limits, y_lines=frame.y_lines)
            _number_x(axes, panel, x_limits, frame.plot)
            _draw_curve(axes, panel, no_curve=no_curve)
            _draw_signs(axes, panel, rug=people == "rug")
            _put_words(figure, panel, frame, i)
            figure.tips += _tips(panel, x_limits, (left, bottom, frame.plot))
        if handles:
            figure.legend(handles=handles, loc="lower center", ncols=frame.key_columns, borderaxespad=0.4, **_KEY)
        drawn = [spoken.central(*curve_of(p), limits=central_of(p)) for p in panels]
        figure.alt = spoken.of_curves(panels, drawn, y_label=y_label)
    return figure


# ---------------------------------------------------------------- layout
@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Where panels stand (inches), and their words in lines."""

    columns: int
    rows: int
    width: float
    left: float  # from the edge of a panel's cell to its axis
    right: float
    head: float
    foot: float
    key: float
    key_columns: int
    y_lines: Lines
    names: Sequence[Lines]
    notes: Sequence[Lines]
    feet: Sequence[Lines]

    @property
    def cell(self) -> float:
        return self.width / self.columns

    @property
    def plot(self) -> float:
        return self.cell - self.left - self.right

    @property
    def row(self) -> float:
        return self.head + _PLOT_HEIGHT_IN + self.foot

    @property
    def height(self) -> float:
        return self.key + self.rows * self.row

    def corner(self, panel: int) -> tuple[float, float]:
        """Lower left corner of a panel's axes."""
        row, column = divmod(panel, self.columns)
        return column * self.cell + self.left, self.key + (self.rows - 1 - row) * self.row + self.foot


def _frame(panels: Sequence[CurvePanel], handles: Sequence[Artist], y_label: str, width: float, right: float) -> _Frame:
    columns = 2 if len(panels) > 1 and width > _TWO_PANELS_IN else 1
    cell = width / columns
    indents = [_indent(p) for p in panels]
    names = [r.wrap(p.exposure, cell - i - 0.1, bold=True) for p, i in zip(panels, indents, strict=True)]
    notes = [r.wrap(p.note, cell - i - 0.1, r.SMALL_PT) for p, i in zip(panels, indents, strict=True)]
    feet = [r.wrap(f"{p.exposure}, {p.unit}" if p.unit else p.exposure, cell - 0.6) for p in panels]
    y_lines = r.wrap(y_label, _PLOT_HEIGHT_IN)
    key_columns = _key_columns(handles, width)
    heads = [
        max(len(name), 1) * r.line_in(r.TEXT_PT) + len(note) * r.line_in(r.SMALL_PT) + r.MARGIN_IN
        for name, note in zip(names, notes, strict=True)
    ]
    return _Frame(
        columns=columns,
        rows=math.ceil(len(panels) / columns),
        width=width,
        left=_LEFT_IN + len(y_lines) * r.line_in(r.TEXT_PT),
        right=right,
        head=max(heads, default=0.0),
        foot=_NUMBERS_IN + max((len(f) for f in feet), default=0) * r.line_in(r.TEXT_PT) + r.MARGIN_IN,
        key=math.ceil(len(handles) / key_columns) * r.line_in(r.SMALL_PT) + 2 * r.MARGIN_IN,
        key_columns=key_columns,
        y_lines=y_lines,
        names=names,
        notes=notes,
        feet=feet,
    )


def _indent(panel: CurvePanel) -> float:
    """From the edge of a panel's cell to its name, behind its letter."""
    return r.MARGIN_IN + (max(_LABEL_IN, r.text_width(panel.label, r.TITLE_PT, True) + 0.08) if panel.label else 0)


# ---------------------------------------------------------------- drawing
def _draw_bars(axes: Axes, panel: CurvePanel, x_limits: tuple[float, float], *, least: float, label: str) -> None:
    axes.set_xlim(x_limits)
    axes.set_xticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.yaxis.tick_right()
    shown = [b for b in panel.bins if b.n >= least and b.high > x_limits[0] and b.low < x_limits[1]]
    tallest = max((b.n for b in shown), default=0)
    axes.set_ylim(0, tallest / _BARS_SHARE or 1)
    if not shown:
        axes.set_yticks([])
        return
    axes.bar(
        [b.low for b in shown],
        [b.n for b in shown],
        [b.high - b.low for b in shown],
        align="edge",
        color=r.BAR,
        edgecolor=r.BAR_EDGE,
        linewidth=0.4,
    )
    step = max(nice_step((0, tallest), at_most=5), 1.0)
    ticks = spaced_ticks((0, tallest), step)
    axes.set_yticks(ticks, [count(int(t)) for t in ticks])
    axes.tick_params(axis="y", labelcolor=r.QUIET)
    axes.yaxis.set_label_position("right")
    middle = max(_BARS_SHARE / 2, r.text_width(label, r.SMALL_PT) / _PLOT_HEIGHT_IN / 2)
    axes.set_ylabel(label, color=r.QUIET, size=r.SMALL_PT, y=middle)


def _scale(axes: Axes, x_limits: tuple[float, float], limits: tuple[float, float], *, y_lines: Lines) -> None:
    axes.patch.set_visible(False)
    axes.set_yscale("log")
    axes.set_ylim(limits)
    axes.set_xlim(x_limits)
    ticks = ratio_ticks(limits, length_in=_PLOT_HEIGHT_IN, apart_in=0.16)
    axes.set_yticks(ticks, tick_texts(ticks))
    axes.set_yticks([], minor=True)
    axes.set_ylabel("\n".join(y_lines))
    axes.axhline(1, color=r.QUIET, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)


def _draw_curve(axes: Axes, panel: CurvePanel, *, no_curve: str) -> None:
    x, estimate, conf_low, conf_high = curve_of(panel)
    if not x.size:
        axes.text(0.5, 0.75, no_curve, transform=axes.transAxes, ha="center", color=r.QUIET)
        return
    for part, central in parts_of(x, central_of(panel)):
        style = _CENTRAL if central else _TAIL
        axes.fill_between(x[part], conf_low[part], conf_high[part], **style["band"], zorder=2)
        axes.plot(x[part], estimate[part], **style["line"], zorder=3)


def _draw_signs(axes: Axes, panel: CurvePanel, *, rug: bool) -> None:
    """Reference, knots, and the rug."""
    start, end = axes.get_xlim()
    if not curve_of(panel)[0].size:
        return
    if panel.reference is not None and start <= panel.reference <= end:
        axes.plot([panel.reference], [1], **_REFERENCE, zorder=5)
    knots = [k for k in panel.knots if start <= k <= end]
    place = axes.get_xaxis_transform()
    axes.plot(knots, [0.05 if rug else 0.012] * len(knots), **_KNOT, transform=place, zorder=4)
    if rug:
        marks = [x for x in percentiles(panel, _RUG_PERCENT) if start <= x <= end]
        axes.plot(marks, [0.018] * len(marks), **_RUG, transform=place, zorder=4)


def _number_x(axes: Axes, panel: CurvePanel, limits: tuple[float, float], width: float) -> None:
    """Ticks at multiples of the step, numbers at every second (third, ...) where they would touch."""
    if not panel.points and not panel.bins:
        axes.set_xticks([])
        return
    step = panel.x_tick or nice_step(limits, at_most=6)
    while len(spaced_ticks(limits, step)) > 200:
        step *= 10
    for every in range(1, 201):
        ticks = spaced_ticks(limits, step * every)
        texts = tick_texts(ticks)
        widest = max((r.text_width(t, r.SMALL_PT) for t in texts), default=0.0)
        if len(ticks) < 2 or (widest + 0.1) * (limits[1] - limits[0]) <= width * step * every:
            break
    axes.set_xticks(ticks, texts)
    axes.set_xticks([t for t in spaced_ticks(limits, step) if t not in ticks], minor=True)


def _put_words(figure: Figure, panel: CurvePanel, frame: _Frame, place: int) -> None:
    """Letter, name and note above a panel, the exposure and its unit below."""
    left, bottom = frame.corner(place)
    edge, top = left - frame.left, bottom + _PLOT_HEIGHT_IN + frame.head
    name, note, foot = frame.names[place], frame.notes[place], frame.feet[place]
    line, small = r.line_in(r.TEXT_PT), r.line_in(r.SMALL_PT)
    letter = [panel.label] if panel.label else []
    r.put(figure, edge + r.MARGIN_IN, top - line / 2, letter, size=r.TITLE_PT, bold=True)
    x, middle = edge + _indent(panel), top - len(name) * line / 2
    r.put(figure, x, middle, name, bold=True)
    r.put(figure, x, top - len(name) * line - len(note) * small / 2, note, size=r.SMALL_PT, color=r.QUIET)
    half = max((r.text_width(f) for f in foot), default=0.0) / 2
    x = min(max(left + frame.plot / 2, edge + half + r.MARGIN_IN), edge + frame.cell - half - r.MARGIN_IN)
    r.put(figure, x, bottom - _NUMBERS_IN - len(foot) * line / 2, foot, align="center")


def _tips(panel: CurvePanel, limits: tuple[float, float], place: tuple[float, float, float]) -> Iterator[Tip]:
    """Upright strips side by side over a panel at `place` (left, bottom, width), each with the ratio in its middle."""
    x, *ratios = curve_of(panel)
    left, bottom, width = place
    at = (x - limits[0]) / (limits[1] - limits[0]) * width
    kept = r.spread(at, _STRIP_IN)
    edges = r.between(at[kept], width)
    for i, low, high in zip(kept, edges[:-1], edges[1:], strict=True):
        value = spoken.on_axis(float(x[i]), limits[1] - limits[0])
        text = f"{value} {panel.unit}".strip() + f": {spoken.ratio_of(*(float(v[i]) for v in ratios))}"
        yield Tip(left + low, bottom, high - low, _PLOT_HEIGHT_IN, text)


# ---------------------------------------------------------------- signs
_CENTRAL: Mapping[str, Mapping[str, Any]] = {
    "band": {"color": r.BLUE, "alpha": 0.22, "linewidth": 0},
    "line": {"color": r.BLUE, "linewidth": 1.6},
}
_TAIL: Mapping[str, Mapping[str, Any]] = {
    "band": {"color": r.BLUE, "alpha": 0.09, "linewidth": 0},
    "line": {"color": r.BLUE, "linewidth": 1.1, "alpha": 0.6, "linestyle": (0, (3, 2))},
}
_REFERENCE: Mapping[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "markersize": 4.5,
    "markerfacecolor": "white",
    "markeredgecolor": r.BLUE,
    "markeredgewidth": 1.2,
}
_KNOT: Mapping[str, Any] = {"linestyle": "none", "marker": "^", "markersize": 3.5, "color": r.INK, "markeredgewidth": 0}
_RUG: Mapping[str, Any] = {
    "linestyle": "none",
    "marker": "|",
    "markersize": 6,
    "color": r.QUIET,
    "markeredgewidth": 0.8,
}
_KEY: Mapping[str, Any] = {"handlelength": 1.8, "handletextpad": 0.5, "columnspacing": 1.4, "labelspacing": 0.3}


def _legend(
    panels: Sequence[CurvePanel], people: str, *, conf_level: float, histogram_label: str, y_label: str
) -> list[Artist]:
    """What stands in any of the panels, each sign once."""
    signs: list[Artist] = []
    if any(curve_of(p)[0].size for p in panels):
        low, high = CENTRAL_PERCENT
        signs += [
            Line2D([], [], **_CENTRAL["line"], label=y_label if len(y_label) <= 20 else "Ratio"),
            Patch(**_CENTRAL["band"], label=f"{100 * conf_level:g}% CI"),
        ]
        if any(len(parts_of(curve_of(p)[0], central_of(p))) > 1 for p in panels):
            label = f"Below the {low:g}st or above the {high:g}th percentile"
            signs.append(Line2D([], [], **_TAIL["line"], label=label))
        if any(p.reference is not None for p in panels):
            signs.append(Line2D([], [], **_REFERENCE, label="Reference"))
        if any(p.knots for p in panels):
            signs.append(Line2D([], [], **_KNOT, label="Knots"))
    if people == "histogram" and any(b.n > 0 for p in panels for b in p.bins):
        signs.append(Patch(facecolor=r.BAR, edgecolor=r.BAR_EDGE, linewidth=0.4, label=histogram_label))
    if people == "rug" and any(b.n > 0 for p in panels for b in p.bins):
        signs.append(Line2D([], [], **_RUG, label="Percentiles 5, 10, ..., 95"))
    return signs


def _key_columns(handles: Sequence[Artist], width: float) -> int:
    """As many signs a row as fit."""
    widths = [r.text_width(str(h.get_label()), r.SMALL_PT) + 3.9 * r.SMALL_PT / 72 for h in handles]
    for columns in range(len(widths), 1, -1):
        needed = sum(max(widths[i::columns]) for i in range(columns))
        if needed <= width - 2 * r.MARGIN_IN:
            return columns
    return 1
