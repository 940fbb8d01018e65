"""Contours of a ratio over two strengths of a confounder, with measured covariates as numbered dots."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from walkrisk.estimates.numbers import fixed
from walkrisk.figures import render as r
from walkrisk.figures import spoken
from walkrisk.figures.drawn import remembered
from walkrisk.figures.scales import ratio_ticks, tick_texts
from walkrisk.figures.svg import Tip

Kind = Literal["contour", "estimate", "limit"]

_TITLE_GAP_IN = 0.08
_LEFT_IN, _RIGHT_IN, _BETWEEN_IN, _NUMBERS_IN = 0.5, 0.14, 0.3, 0.22
_PLOT_IN = 2.5
_KEY_ROW_IN, _HANDLE_IN = 0.185, 0.32
_CLEAR_IN = 0.2  # between labels along the diagonal
_EDGE_IN = 0.14  # of a label from the frame
_TIP_IN = 0.16
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.9}
_DOT = "#D55E00"
_STYLES: dict[str, dict[str, Any]] = {
    "contour": {"color": r.RULE, "linewidth": 0.8, "linestyle": "-", "zorder": 2},
    "estimate": {"color": r.BLUE, "linewidth": 1.8, "linestyle": "-", "zorder": 3},
    "limit": {"color": r.BLUE, "linewidth": 1.4, "linestyle": (0, (4, 2)), "zorder": 3},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContourLine:
    """A line of equal bias: a `contour` labelled on it, or where the `estimate` or its `limit` comes to 1."""

    kind: Kind
    x: Sequence[float]
    y: Sequence[float]
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A measured covariate: its number in the key, and its two associations."""

    number: int
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ContourPanel:
    """One ratio; both axes run from 1 to `largest`, on a log scale."""

    title: str
    lines: Sequence[ContourLine]
    marks: Sequence[Marked]
    largest: float


@remembered
def contour_figure(
    panels: Sequence[ContourPanel],
    *,
    x_label: str,
    y_label: str,
    key: Sequence[str] = (),
    lines: Sequence[tuple[Kind, str]] = (),
    simulated: bool = False,
    title: str = "",
    width: r.Width = "double",
) -> Figure:
    """Panels two in a row (one on a single column).

    Below them stands what the `lines` are, and the names of the numbered dots (`key`, from 1).
    """
    with r.styled():
        columns, room = (1 if width == "single" else 2), r.WIDTHS_IN[width] - 2 * r.MARGIN_IN
        across = (room - (columns - 1) * _BETWEEN_IN) / columns
        plot = min(_PLOT_IN, across - _LEFT_IN - _RIGHT_IN)
        titles = [r.wrap(p.title, across, r.TEXT_PT, bold=True) for p in panels]
        x_lines, y_lines = r.wrap(x_label, across), r.wrap(y_label, plot)
        rows = [range(i, min(i + columns, len(panels))) for i in range(0, len(panels), columns)]
        heads = [max(len(titles[i]) for i in row) * r.line_in(r.TEXT_PT) + _TITLE_GAP_IN for row in rows]
        foot = _NUMBERS_IN + len(x_lines) * r.line_in(r.TEXT_PT)
        below = list(_key_rows(lines, key, room))
        content = sum(heads) + (plot + foot + _BETWEEN_IN / 2) * len(rows) + len(below) * _KEY_ROW_IN + r.MARGIN_IN
        figure = r.page(content, title=title, simulated=simulated, width_in=r.WIDTHS_IN[width])
        top = content
        for row, head in zip(rows, heads, strict=True):
            for i in row:
                left = r.MARGIN_IN + (i - row.start) * (across + _BETWEEN_IN)
                r.put(figure, left, top - (head - _TITLE_GAP_IN) / 2, titles[i], bold=True)
                ax = r.axes_at(figure, left + _LEFT_IN, top - head - plot, plot, plot)
                _draw(ax, panels[i], plot)
                ax.set_ylabel("\n".join(y_lines), labelpad=2)
                middle = top - head - plot - _NUMBERS_IN - len(x_lines) * r.line_in(r.TEXT_PT) / 2
                r.put(figure, left + _LEFT_IN + plot / 2, middle, x_lines, align="center")
                figure.tips += _tips(panels[i], (left + _LEFT_IN, top - head - plot, plot), key)
            top -= head + plot + foot + _BETWEEN_IN / 2
        _put_key(figure, below)
        figure.alt = spoken.of_contours(panels, key=key, x_label=x_label, y_label=y_label)
    return figure


def _tips(panel: ContourPanel, place: tuple[float, float, float], key: Sequence[str]) -> Iterator[Tip]:
    """Around each dot its covariate and both associations."""
    left, bottom, plot = place
    per_in, half = plot / math.log(panel.largest), _TIP_IN / 2
    for mark in panel.marks:
        if max(mark.x, mark.y) <= panel.largest and mark.number <= len(key):
            x, y = (math.log(max(v, 1.0)) * per_in - half for v in (mark.x, mark.y))
            text = f"{mark.number}, {key[mark.number - 1]}: {fixed(mark.x, 2)} across, {fixed(mark.y, 2)} up"
            yield Tip(left + x, bottom + y, _TIP_IN, _TIP_IN, text)


def _draw(ax: Axes, panel: ContourPanel, plot_in: float) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(1, panel.largest)
    ax.set_ylim(1, panel.largest)
    ticks = ratio_ticks((1, panel.largest), length_in=plot_in, apart_in=0.36)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(ticks, tick_texts(ticks))
        axis.set_ticks([], minor=True)
    taken: list[tuple[float, float]] = []
    per_in = plot_in / math.log(panel.largest)
    dots = [(math.log(max(m.x, 1.0)) * per_in, math.log(max(m.y, 1.0)) * per_in) for m in panel.marks]
    for line in sorted(panel.lines, key=lambda other: other.kind == "contour"):
        place = spoken.on_diagonal(line.x, line.y)
        if place is None:
            continue
        at = math.log(place) * per_in
        if line.kind != "contour":
            ax.plot(line.x, line.y, **_STYLES[line.kind])
            taken.append((at, at))
            continue
        near = any(abs(at - other) < _CLEAR_IN for other, _ in taken)
        if near or not _EDGE_IN < at < plot_in - _EDGE_IN:
            continue  # a contour without room for its number would say nothing
        ax.plot(line.x, line.y, **_STYLES[line.kind])
        words: dict[str, Any] = {"size": r.SMALL_PT, "color": r.QUIET, "ha": "center", "va": "center", "bbox": _PAPER}
        x, y = _label_at(line, dots, per_in, plot_in)
        taken += [(at, at), (x, y), (x - 0.09, y), (x + 0.09, y)]
        ax.text(math.exp(x / per_in), math.exp(y / per_in), line.label, zorder=4, **words)
    _put_marks(ax, panel, per_in, plot_in, taken)


def _label_at(
    line: ContourLine, dots: Sequence[tuple[float, float]], per_in: float, plot_in: float
) -> tuple[float, float]:
    """Where on a line its number stands (inches): by the diagonal, or as near to it as leaves room for dots."""
    on_line = [(math.log(x) * per_in, math.log(y) * per_in) for x, y in zip(line.x, line.y, strict=True)]
    inside = [p for p in on_line if min(p) > _EDGE_IN and max(p) < plot_in - _EDGE_IN] or on_line
    by_diagonal = sorted(inside, key=lambda p: abs(p[0] - p[1]))

    def free(p: tuple[float, float]) -> bool:
        return all(max(abs(p[0] - x) - 0.12, abs(p[1] - y)) > 0.13 for x, y in dots)

    return next((p for p in by_diagonal if free(p)), by_diagonal[0])


def _put_marks(
    ax: Axes, panel: ContourPanel, per_in: float, plot_in: float, taken: Sequence[tuple[float, float]]
) -> None:
    """Dots with their numbers, each number where it meets least of what stands already."""
    inside = [m for m in panel.marks if m.x <= panel.largest and m.y <= panel.largest]
    dots = [(math.log(max(m.x, 1.0)) * per_in, math.log(max(m.y, 1.0)) * per_in) for m in inside]
    ax.plot(
        [m.x for m in inside],
        [m.y for m in inside],
        linestyle="none",
        marker="o",
        markersize=4,
        color=_DOT,
        markeredgecolor="white",
        markeredgewidth=0.4,
        zorder=6,
        clip_on=False,
    )
    placed = list(taken)
    for mark, (x, y) in zip(inside, dots, strict=True):
        others = [*(d for d in dots if d != (x, y)), *placed]
        dx, dy = min(_directions(), key=lambda d: _crowded((x + d[0], y + d[1]), others, plot_in))
        placed.append((x + dx, y + dy))
        ax.annotate(
            str(mark.number),
            (mark.x, mark.y),
            xytext=(72 * dx, 72 * dy),
            textcoords="offset points",
            size=r.SMALL_PT,
            ha="center",
            va="center",
            zorder=7,
            arrowprops={"arrowstyle": "-", "color": r.QUIET, "linewidth": 0.4, "shrinkA": 3.5, "shrinkB": 1.5},
            bbox={**_PAPER, "pad": 0.3, "alpha": 0.8},
        )


def _directions() -> Iterator[tuple[float, float]]:
    for distance in (0.12, 0.2, 0.3, 0.42, 0.56):
        for turn in range(12):
            angle = math.pi * (0.25 + turn / 6)
            yield distance * math.cos(angle), distance * math.sin(angle)


def _crowded(at: tuple[float, float], others: Sequence[tuple[float, float]], plot_in: float) -> float:
    """How near a number would come to dots, other numbers and the frame; 0 where it has room."""
    x, y = at
    if min(x, y) < 0.08 or max(x, y) > plot_in - 0.08:
        return 100.0
    return sum(max(0.0, 0.17 - math.hypot(x - a, y - b)) for a, b in others)


_Entry = tuple[str, str]  # kind of line, or the number of a dot; words


def _key_rows(lines: Sequence[tuple[str, str]], key: Sequence[str], room: float) -> Iterator[list[_Entry]]:
    """Entries below the panels, as many a row as fit; lines first, then dots."""
    for entries in (list(lines), [(str(i), name) for i, name in enumerate(key, start=1)]):
        row: list[_Entry] = []
        used = 0.0
        for entry in entries:
            if row and used + _entry_in(entry) > room:
                yield row
                row, used = [], 0.0
            row.append(entry)
            used += _entry_in(entry)
        if row:
            yield row


def _entry_in(entry: _Entry) -> float:
    return (_HANDLE_IN if entry[0] in _STYLES else 0.22) + 0.06 + r.text_width(entry[1], r.SMALL_PT) + 0.2


def _put_key(figure: Figure, rows: Sequence[Sequence[_Entry]]) -> None:
    place = figure.dpi_scale_trans
    for i, row in enumerate(rows):
        y = r.MARGIN_IN / 2 + (len(rows) - i - 0.5) * _KEY_ROW_IN
        x = r.MARGIN_IN
        for kind, words in row:
            if kind in _STYLES:
                style = {k: v for k, v in _STYLES[kind].items() if k != "zorder"}
                figure.add_artist(Line2D([x, x + _HANDLE_IN], [y, y], transform=place, **style))
                r.put(figure, x + _HANDLE_IN + 0.06, y, [words], size=r.SMALL_PT)
            else:
                dot = Line2D([x + 0.04], [y], transform=place, marker="o", markersize=4, color=_DOT, linestyle="none")
                figure.add_artist(dot)
                r.put(figure, x + 0.1, y, [kind], size=r.SMALL_PT)
                r.put(figure, x + 0.28, y, [words], size=r.SMALL_PT)
            x += _entry_in((kind, words))
