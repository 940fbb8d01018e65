"""Two runs in pictures: ratios of both in pairs, and their ratio of ratios against their mean.

Reference: Bland & Altman 1986 doi 10.1016/S0140-6736(86)90837-8 (differences against means, limits of agreement).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from walkrisk.figures import render as r
from walkrisk.figures.scales import on_log_axis, ratio_limits, ratio_ticks, tick_texts
from walkrisk.figures.svg import Tip

ORANGE = "#D55E00"  # Okabe and Ito's vermilion
_LABEL_IN, _TEXT_IN, _ROW_IN, _NUMBERS_IN, _LEGEND_IN, _FOOT_IN = 2.15, 1.2, 0.3, 0.24, 0.24, 0.2
_HEADING_IN, _INDENT_IN, _TEXT_PT = 0.21, 0.1, 6.2
_APART_IN = 0.055  # of the two marks of a row from its middle
_FIRST: dict[str, Any] = {"color": r.BLUE, "marker": "s", "markersize": 4.0, "markeredgewidth": 0.0}
_SECOND: dict[str, Any] = {"color": ORANGE, "marker": "o", "markersize": 4.2, "markerfacecolor": "white"}
_HEIGHT_IN, _TIP_IN = 3.0, 0.09


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioMark:
    """A ratio with its limits and the text that stands for it."""

    estimate: float | None
    conf_low: float | None = None
    conf_high: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """A row of the paired picture; without marks it is a heading."""

    label: str
    first: RatioMark | None = None
    second: RatioMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferencePoint:
    """A pair of ratios: their geometric mean, second over first, whether their limits overlap, and what they are of."""

    mean: float
    ratio: float
    overlap: bool = True
    label: str = ""


# ---------------------------------------------------------------- ratios in pairs


def paired_figure(
    rows: Sequence[PairRow],
    *,
    labels: tuple[str, str],
    x_label: str = "Ratio (95% CI), log scale",
    simulated: bool = False,
    title: str = "",
    alt: str = "",
) -> Figure:
    """Every row's two ratios on one log axis, the first a filled square above, the second an open circle below."""
    with r.styled():
        everywhere = r.WIDTH_IN - 2 * r.MARGIN_IN
        texts = [
            r.wrap(row.label, _LABEL_IN - _INDENT_IN - 0.1 if row.first else everywhere, r.SMALL_PT, bold=not row.first)
            for row in rows
        ]
        laid = _lay(rows, texts)
        body = max(sum(row.height for row in laid), 0.1)
        bottom = r.MARGIN_IN / 2 + _LEGEND_IN + _FOOT_IN + _NUMBERS_IN
        figure = r.page(bottom + body + r.MARGIN_IN, title=title, simulated=simulated)
        figure.alt = alt
        left = r.MARGIN_IN + _LABEL_IN
        width = r.WIDTH_IN - r.MARGIN_IN - left - _TEXT_IN - 0.1
        axes = _paired_axes(figure, rows, (left, bottom, width, body))
        for row in laid:
            _draw_row(figure, axes, row, bottom=bottom, labels=labels)
        r.put(figure, left + width / 2, bottom - _NUMBERS_IN - _FOOT_IN / 2, [x_label], size=r.SMALL_PT, align="center")
        _legend(figure, left, labels)
    return figure


@dataclass(frozen=True, slots=True, kw_only=True)
class _Laid:
    """A row in lines of text, its middle above the axis and its height in inches."""

    row: PairRow
    text: list[str]
    middle: float
    height: float
    shaded: bool


def _lay(rows: Sequence[PairRow], texts: Sequence[list[str]]) -> list[_Laid]:
    """Rows from the top down; every second row under a heading is shaded."""
    heights = [
        max(_ROW_IN if row.first else _HEADING_IN, len(text) * r.line_in(r.SMALL_PT) + 0.06)
        for row, text in zip(rows, texts, strict=True)
    ]
    top, laid, shaded = sum(heights), [], True
    for row, text, height in zip(rows, texts, heights, strict=True):
        shaded = bool(row.first) and not shaded
        laid.append(_Laid(row=row, text=text, middle=top - height / 2, height=height, shaded=shaded))
        top -= height
    return laid


def _draw_row(figure: r.Page, axes: Axes, laid: _Laid, *, bottom: float, labels: tuple[str, str]) -> None:
    row, middle = laid.row, laid.middle
    low = bottom + middle - laid.height / 2
    width = r.WIDTH_IN - 2 * r.MARGIN_IN
    if laid.shaded:
        r.box(figure, r.MARGIN_IN, low, width, laid.height, facecolor=r.ZEBRA, edgecolor="none")
    indent = _INDENT_IN if row.first else 0.0
    r.put(figure, r.MARGIN_IN + indent, bottom + middle, laid.text, size=r.SMALL_PT, bold=not row.first)
    if row.first is None:
        return
    axes.vlines(1, middle - laid.height / 2, middle + laid.height / 2, color=r.RULE, linewidth=0.8, zorder=1)
    marks = [(row.first, _FIRST, _APART_IN), (row.second, _SECOND, -_APART_IN)]
    for mark, style, shift in marks:
        if mark is not None:
            _draw_mark(axes, mark, middle + shift, style)
            x = r.WIDTH_IN - r.MARGIN_IN - _TEXT_IN
            r.put(figure, x, bottom + middle + shift * 1.15, [mark.text], size=_TEXT_PT, color=style["color"])
    words = [f"{label} {m.text}" for label, (m, _, _) in zip(labels, marks, strict=True) if m is not None]
    figure.tips.append(Tip(r.MARGIN_IN, low, width, laid.height, f"{row.label}: {'; '.join(words)}"))


def _paired_axes(figure: Figure, rows: Sequence[PairRow], place: tuple[float, float, float, float]) -> Axes:
    marks = [m for row in rows for m in (row.first, row.second) if m is not None and m.estimate]
    axes = r.axes_at(figure, *place)
    limits = ratio_limits(
        np.asarray([m.estimate for m in marks], dtype=float),
        on_log_axis(np.nan if m.conf_low is None else m.conf_low for m in marks),
        on_log_axis(np.nan if m.conf_high is None else m.conf_high for m in marks),
        stretch=3.0,
        widest=10.0,
    )
    axes.set_xscale("log")
    axes.set_xlim(limits)
    axes.set_ylim(0, place[3])
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.patch.set_alpha(0.0)
    _ratio_axis(axes.xaxis, limits, place[2], 0.25)
    return axes


def _ratio_axis(axis: Any, limits: tuple[float, float], length_in: float, apart_in: float) -> None:
    ticks = ratio_ticks(limits, length_in=length_in, apart_in=apart_in)
    axis.set_ticks(ticks, tick_texts(ticks))
    axis.set_ticks([], minor=True)


def _draw_mark(axes: Axes, mark: RatioMark, y: float, style: dict[str, Any]) -> None:
    if not mark.estimate or mark.estimate <= 0:
        return
    start, end = axes.get_xlim()
    if mark.conf_low is not None and mark.conf_high is not None:
        low, high = np.clip(on_log_axis([mark.conf_low, mark.conf_high]), start, end)
        axes.plot([low, high], [y, y], color=style["color"], linewidth=1.1, solid_capstyle="butt", zorder=2)
    if start <= mark.estimate <= end:
        axes.plot([mark.estimate], [y], linestyle="none", zorder=4, clip_on=False, **style)


def _legend(figure: Figure, left: float, labels: tuple[str, str]) -> None:
    y, x = r.MARGIN_IN / 2 + _LEGEND_IN / 2, left
    for label, style in zip(labels, (_FIRST, _SECOND), strict=True):
        place = figure.dpi_scale_trans
        figure.add_artist(Line2D([x + 0.08], [y], linestyle="none", transform=place, **style))
        r.put(figure, x + 0.2, y, [label], size=r.SMALL_PT)
        x += 0.5 + r.text_width(label, r.SMALL_PT)


# ---------------------------------------------------------------- differences against means


def difference_figure(
    points: Sequence[DifferencePoint],
    *,
    labels: tuple[str, str],
    mean: float,
    low: float | None = None,
    high: float | None = None,
    simulated: bool = False,
    title: str = "",
    alt: str = "",
) -> Figure:
    """Second over first against the geometric mean of both, on log axes, with the mean and limits of agreement.

    Pairs whose confidence limits do not overlap are filled.
    """
    with r.styled():
        bottom = r.MARGIN_IN / 2 + _LEGEND_IN + _FOOT_IN + _NUMBERS_IN
        figure = r.page(bottom + _HEIGHT_IN + r.MARGIN_IN, title=title, simulated=simulated)
        figure.alt = alt
        left = r.MARGIN_IN + 0.62
        corner = (left, bottom, r.WIDTH_IN - left - 1.15, _HEIGHT_IN)
        lines = [v for v in (mean, low, high) if v is not None]
        axes = _difference_axes(figure, points, lines, corner)
        _agreement_lines(figure, axes, left + corner[2], bottom, mean=mean, low=low, high=high)
        for overlap in (True, False):
            chosen = [p for p in points if p.overlap is overlap]
            face = "none" if overlap else ORANGE
            edge = r.BLUE if overlap else ORANGE
            x, y = [p.mean for p in chosen], [p.ratio for p in chosen]
            axes.scatter(x, y, s=13, facecolors=face, edgecolors=edge, linewidths=0.8, zorder=3)
        found = (_tip(p, corner, axes.get_xlim(), axes.get_ylim()) for p in points)
        figure.tips += [tip for tip in found if tip is not None]
        axes.set_ylabel(f"{labels[1]} / {labels[0]}, log scale", fontsize=r.SMALL_PT)
        foot, middle = f"Geometric mean of {labels[0]} and {labels[1]}, log scale", left + corner[2] / 2
        r.put(figure, middle, bottom - _NUMBERS_IN - _FOOT_IN / 2, [foot], size=r.SMALL_PT, align="center")
        _point_legend(figure, left, any(not p.overlap for p in points))
    return figure


def _difference_axes(
    figure: Figure, points: Sequence[DifferencePoint], lines: Sequence[float], place: tuple[float, float, float, float]
) -> Axes:
    """Log axes that hold every point and line, with a line at 1."""
    axes = r.axes_at(figure, *place)
    none = np.full(2, np.nan)
    x_limits = ratio_limits(np.asarray([p.mean for p in points], dtype=float), none, none)
    y_limits = ratio_limits(np.asarray([*(p.ratio for p in points), *lines], dtype=float), none, none)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(x_limits)
    axes.set_ylim(y_limits)
    _ratio_axis(axes.xaxis, x_limits, place[2], 0.25)
    _ratio_axis(axes.yaxis, y_limits, place[3], 0.25)
    axes.axhline(1, color=r.RULE, linewidth=0.8, zorder=1)
    return axes


def _tip(
    p: DifferencePoint,
    corner: tuple[float, float, float, float],
    x_limits: tuple[float, float],
    y_limits: tuple[float, float],
) -> Tip | None:
    """What a pointer at a point is told; nothing without a label."""
    places = [np.log(v / a) / np.log(b / a) for v, (a, b) in ((p.mean, x_limits), (p.ratio, y_limits))]
    if not p.label or not all(0 <= place <= 1 for place in places):
        return None
    x, y = corner[0] + corner[2] * float(places[0]), corner[1] + corner[3] * float(places[1])
    return Tip(x - _TIP_IN / 2, y - _TIP_IN / 2, _TIP_IN, _TIP_IN, p.label)


def _agreement_lines(
    figure: Figure, axes: Axes, right: float, bottom: float, *, mean: float, low: float | None, high: float | None
) -> None:
    start, end = axes.get_ylim()
    for value, words, dashes in (
        (mean, "mean", (0, (6, 2))),
        (low, "−1.96 SD", (0, (2, 2))),
        (high, "+1.96 SD", (0, (2, 2))),
    ):
        if value is not None and start <= value <= end:
            axes.axhline(value, color=r.QUIET, linewidth=0.8, linestyle=dashes, zorder=2)
            y = bottom + _HEIGHT_IN * (np.log(value / start) / np.log(end / start))
            r.put(figure, right + 0.06, y, [f"{words} {value:.3f}"], size=_TEXT_PT, color=r.QUIET)


def _point_legend(figure: Figure, left: float, apart: bool) -> None:
    y, x = r.MARGIN_IN / 2 + _LEGEND_IN / 2, left
    kinds = [("Confidence limits overlap", r.BLUE, "none")] + ([("They do not", ORANGE, ORANGE)] if apart else [])
    for label, edge, face in kinds:
        mark = Line2D(
            [x + 0.08],
            [y],
            linestyle="none",
            marker="o",
            markersize=4,
            color=edge,
            markerfacecolor=face,
            transform=figure.dpi_scale_trans,
        )
        figure.add_artist(mark)
        r.put(figure, x + 0.2, y, [label], size=r.SMALL_PT)
        x += 0.5 + r.text_width(label, r.SMALL_PT)
