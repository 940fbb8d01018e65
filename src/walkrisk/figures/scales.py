"""Axes and numbers as people read them: limits, ticks, counts and ratios."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.numbers import count, fixed

FloatArray = npt.NDArray[np.float64]

NO_BREAK_SPACE = "\u00a0"
_SMALLEST, _LARGEST = 1e-6, 1e6  # beyond them a ratio is off any axis
_MOST_TICKS = 8
_MANTISSAS: tuple[tuple[float, ...], ...] = (
    (1, 1.1, 1.2, 1.3, 1.5, 1.7, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9),
    (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8),
    (1, 1.2, 1.5, 2, 3, 4, 6, 8),
    (1, 1.5, 2, 3, 5, 7),
    (1, 2, 5),
    (1, 3),
    (1,),
)


def n_text(n: int, *, min_cell: int = 0) -> str:
    """A count as n = 2798; one of 1 to min_cell - 1 reads n < min_cell. Its parts stay on one line."""
    text = f"n < {min_cell}" if 0 < n < min_cell else f"n = {count(n)}"
    return text.replace(" ", NO_BREAK_SPACE)


def ratio_text(estimate: float, low: float | None, high: float | None) -> str:
    """A ratio with its interval: 0.87 (0.77-0.98)."""
    text = _number_text(estimate)
    return text if low is None or high is None else f"{text} ({_number_text(low)}-{_number_text(high)})"


def _number_text(value: float) -> str:
    if not math.isfinite(value):
        return "∞" if value > 0 else "?"
    return fixed(value, 2) if value < 1000 else f"{value:.0f}" if value < _LARGEST else f"{value:.1e}"


def on_log_axis(values: Iterable[float]) -> FloatArray:
    """Ratios that a log axis can take: zero and infinity become far outside any axis, unknown stays unknown."""
    return np.clip(np.asarray(list(values), dtype=float), _SMALLEST, _LARGEST)


def ratio_limits(
    estimates: FloatArray, low: FloatArray, high: FloatArray, *, stretch: float = 4.0, widest: float = 20.0
) -> tuple[float, float]:
    """Limits of a log axis: they hold 1, every estimate from 1/widest to widest, and the intervals as far as
    `stretch` times beyond the outermost estimate."""
    known = np.isfinite(estimates)
    if not known.any():
        return 0.5, 2.0
    bottom = min(1.0, float(estimates[known].min()))
    top = max(1.0, float(estimates[known].max()))
    if np.isfinite(low).any():
        bottom = min(bottom, max(float(np.nanmin(low)), bottom / stretch))
    if np.isfinite(high).any():
        top = max(top, min(float(np.nanmax(high)), top * stretch))
    bottom, top = max(bottom, 1 / widest), min(top, widest)
    room = max((top / bottom) ** 0.06, 1.02)
    return bottom / room, top * room


def ratio_ticks(limits: tuple[float, float], *, length_in: float, apart_in: float) -> list[float]:
    """Round ticks of a log axis of ratios, such as 0.5, 0.7, 1, 1.5, 2: as many as stand `apart_in` inches or more."""
    bottom, top = limits
    apart = math.log(top / bottom) * apart_in / length_in
    for step in (0.02, 0.05):  # a narrow axis has no other round numbers
        if top - bottom <= step * 8 and math.log1p(step / top) >= apart:
            return spaced_ticks(limits, step)
    decades = range(math.floor(math.log10(bottom)), math.ceil(math.log10(top)) + 1)
    ticks: list[float] = []
    for mantissas in _MANTISSAS:
        ticks = [float(f"{m}e{d}") for d in decades for m in mantissas]
        ticks = [t for t in ticks if bottom <= t <= top]
        if len(ticks) <= _MOST_TICKS and (np.diff(np.log(ticks)) >= apart).all():
            break
    return ticks


def spaced_ticks(limits: tuple[float, float], step: float) -> list[float]:
    """Multiples of `step` within limits."""
    first, last = math.ceil(limits[0] / step - 1e-9), math.floor(limits[1] / step + 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def nice_step(limits: tuple[float, float], *, at_most: int) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that gives no more than `at_most` ticks."""
    span = limits[1] - limits[0]
    power = 10.0 ** math.floor(math.log10(span / at_most))
    return next(s for m in (1, 2, 5, 10, 20) if span / (s := m * power) <= at_most)


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """Ticks in plain digits: evenly spaced ones with the same decimals, others with as few as each needs."""
    steps = np.diff(ticks)
    texts = [f"{t:.6g}" for t in ticks]
    if len(ticks) > 1 and np.allclose(steps, steps[0]):
        decimals = max((len(t.partition(".")[2]) for t in texts if "e" not in t), default=0)
        texts = [f"{t:.{decimals}f}" for t in ticks]
    return [t.replace("-", "−") for t in texts]
