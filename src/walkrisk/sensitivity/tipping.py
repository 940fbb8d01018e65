"""Where a scan over shifts first says something else: the tipping point, on a grid, by linear interpolation.

A scan gives an estimate and its limits at each shift. Its tipping point is the shift nearest to 0 at which the estimate
reaches 0 (a log ratio: the ratio 1); that of its interval is where the interval begins to include 0, if it does not
without a shift, or ceases to, if it does. Between grid points the curve is taken as straight: with the same random
numbers at every shift it is nearly smooth, and no further imputation is needed.

Reference: van Buuren 2018, Flexible Imputation of Missing Data, doi 10.1201/9780429492259, on adjustment by delta.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def tipping_point(shifts: npt.ArrayLike, values: npt.ArrayLike) -> float | None:
    """The shift nearest to 0 at which the straight lines through (`shifts`, `values`) (g,) reach 0; None if nowhere.

    Raises ValueError for shifts that do not increase or values that are not finite.
    """
    found = _crossings(shifts, values)
    return min(found, key=abs) if found else None


def interval_tipping_point(shifts: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike) -> float | None:
    """The shift nearest to 0 at which the interval begins, or ceases, to include 0; None if nowhere on the grid."""
    found = [*_crossings(shifts, low), *_crossings(shifts, high)]
    return min(found, key=abs) if found else None


def _crossings(shifts: npt.ArrayLike, values: npt.ArrayLike) -> Sequence[float]:
    x, y = np.asarray(shifts, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(f"A scan needs one finite value at each shift, got {x.shape} and {y.shape}.")
    if (np.diff(x) <= 0).any():
        raise ValueError("The shifts of a scan must increase.")
    found = [float(v) for v in x[y == 0]]
    at = np.flatnonzero(y[:-1] * y[1:] < 0)
    found += [float(x[i] - y[i] * (x[i + 1] - x[i]) / (y[i + 1] - y[i])) for i in at]
    return found
