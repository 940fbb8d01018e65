"""Restricted cubic splines: linear beyond the outer knots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def restricted_cubic_basis(x: FloatArray, knots: Sequence[float]) -> FloatArray:
    """The basis (n, k - 1) of a restricted cubic spline with k knots: x itself, then k - 2 curved columns.

    For knots t1 < ... < tk and j = 1 .. k - 2, with (u)+ = max(u, 0):

        [(x - tj)+^3 - (x - t(k-1))+^3 (tk - tj)/(tk - t(k-1)) + (x - tk)+^3 (t(k-1) - tj)/(tk - t(k-1))] / (tk - t1)^2

    Raises ValueError unless there are 3 or more increasing knots.
    Reference: Harrell, Regression Modeling Strategies, 2nd ed. 2015, section 2.4.5, doi 10.1007/978-3-319-19425-7;
    the scaling by (tk - t1)^2 is that of Stata's `mkspline, cubic`. The fitted curve does not depend on it.
    """
    t = np.asarray(knots, dtype=np.float64)
    if t.size < 3 or not np.all(np.diff(t) > 0):
        raise ValueError("a restricted cubic spline needs three or more knots in increasing order")
    last, before = t[-1], t[-2]
    gap = last - before
    columns = [x]
    for tj in t[:-2]:
        curved = _cube(x - tj) - (_cube(x - before) * (last - tj) - _cube(x - last) * (before - tj)) / gap
        columns.append(curved / (last - t[0]) ** 2)
    return np.column_stack(columns)


def _cube(u: FloatArray) -> FloatArray:
    positive = np.maximum(u, 0.0)
    return positive * positive * positive
