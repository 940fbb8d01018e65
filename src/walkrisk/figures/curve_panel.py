"""One curve with its bins of people: what of it is drawn, and where on the axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from walkrisk.estimates.results import HistogramBin
from walkrisk.estimates.rows import CurvePoint
from walkrisk.figures.scales import FloatArray, on_log_axis, ratio_limits

CENTRAL_PERCENT = (1.0, 99.0)  # of people: outside them a curve is drawn pale


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePanel:
    """One curve and its histogram.

    `label` is the letter of the panel. The axis runs over points and bins, and ends at `x_min` and `x_max` where they
    are given. `note` stands below the exposure, for example the P value of a test.
    """

    exposure: str
    unit: str = ""
    label: str = ""
    points: Sequence[CurvePoint] = ()
    bins: Sequence[HistogramBin] = ()
    reference: float | None = None
    knots: Sequence[float] = ()
    x_tick: float | None = None
    x_min: float | None = None
    x_max: float | None = None
    note: str = ""


def x_limits_of(panel: CurvePanel) -> tuple[float, float]:
    ends = [p.x for p in panel.points if math.isfinite(p.x)]
    ends += [end for b in panel.bins for end in (b.low, b.high)]
    low = panel.x_min if panel.x_min is not None else min(ends, default=0.0)
    high = panel.x_max if panel.x_max is not None else max(ends, default=1.0)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def central_of(panel: CurvePanel) -> tuple[float, float]:
    """Where the people between the two percentiles stand; all, without bins."""
    ends = percentiles(panel, CENTRAL_PERCENT)
    return (float(ends[0]), float(ends[1])) if len(ends) else (-math.inf, math.inf)


def percentiles(panel: CurvePanel, percent: Sequence[float]) -> FloatArray:
    """Percentiles of people by linear interpolation within bins; none without people."""
    bins = sorted(panel.bins, key=lambda b: b.low)
    people = np.cumsum([0, *(b.n for b in bins)], dtype=float)
    if people[-1] <= 0:
        return np.empty(0)
    edges = np.asarray([bins[0].low, *(b.high for b in bins)])
    return np.interp(np.asarray(percent) / 100 * people[-1], people, edges)


def curve_of(panel: CurvePanel) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """x, ratio and limits of what is drawn, in the order of x."""
    low, high = x_limits_of(panel)
    points = sorted(
        (p for p in panel.points if math.isfinite(p.estimate) and p.estimate > 0 and low <= p.x <= high),
        key=lambda p: p.x,
    )
    return (
        np.asarray([p.x for p in points], dtype=float),
        on_log_axis(p.estimate for p in points),
        on_log_axis(p.conf_low for p in points),
        on_log_axis(p.conf_high for p in points),
    )


def y_limits_of(panels: Sequence[CurvePanel]) -> tuple[float, float]:
    parts = []
    for panel in panels:
        x, *ratios = curve_of(panel)
        low, high = central_of(panel)
        inside = (x >= low) & (x <= high)
        parts.append([v[inside] if inside.any() else v for v in ratios])
    if not parts:
        return ratio_limits(np.empty(0), np.empty(0), np.empty(0))
    estimate, conf_low, conf_high = (np.concatenate(v) for v in zip(*parts, strict=True))
    return ratio_limits(estimate, conf_low, conf_high)


def parts_of(x: FloatArray, central: tuple[float, float]) -> list[tuple[slice, bool]]:
    """The central part of a curve and its tails, which share a point with it."""
    first = int(np.searchsorted(x, central[0], side="left"))
    last = int(np.searchsorted(x, central[1], side="right")) - 1
    if first >= last:
        return [(slice(0, x.size), True)]
    tails = [(slice(0, first + 1), False), (slice(last, x.size), False)]
    return [(slice(first, last + 1), True), *(t for t in tails if t[0].stop - t[0].start > 1)]
