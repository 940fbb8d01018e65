"""Dose-response curves from restricted cubic splines, and the test of non-linearity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.rows import CurvePoint, Estimate, chi_square_p, wald_statistic
from walkrisk.models.design import Spline
from walkrisk.models.fit import Fit
from walkrisk.models.splines import restricted_cubic_basis

FloatArray = npt.NDArray[np.float64]


def grid(values: FloatArray, step: float) -> FloatArray:
    """From the smallest known value to the largest in steps of `step` (the last step that fits is the last point)."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return low + step * np.arange(int(np.floor((high - low) / step + 1e-9)) + 1, dtype=np.float64)


def curve(
    fit: Fit, spline: Spline, covariance: FloatArray, x: FloatArray, *, reference: float, row: CurvePoint, z: float
) -> list[CurvePoint]:
    """The ratio at each x against `reference`: log RR(x) = b'(s(x) - s(reference)), with its Wald interval."""
    columns = fit.design.columns_of[spline]
    at = fit.position(columns)
    if not fit.converged or not all(fit.estimable[c] for c in columns):
        return []
    contrast = restricted_cubic_basis(x, spline.knots) - restricted_cubic_basis(np.array([reference]), spline.knots)
    log_ratio = contrast @ fit.coefficients[list(columns)]
    variance = np.einsum("ij,jk,ik->i", contrast, covariance[np.ix_(at, at)], contrast)
    se = np.sqrt(np.maximum(variance, 0.0))
    low, mid, high = np.exp(log_ratio - z * se), np.exp(log_ratio), np.exp(log_ratio + z * se)
    return [
        replace(row, x=float(a), estimate=float(b), conf_low=float(c), conf_high=float(d), reference=reference)
        for a, b, c, d in zip(x, mid, low, high, strict=True)
    ]


def nonlinearity(fit: Fit, spline: Spline, covariances: dict[str, FloatArray], *, row: Estimate) -> list[Estimate]:
    """A row a variance: the Wald chi-square that all curved columns of the spline are 0."""
    curved = fit.design.columns_of[spline][1:]
    at = fit.position(curved)
    rows = []
    for variance, v in covariances.items():
        base = replace(row, variance=variance, n=fit.n, events=fit.events, method="wald", estimand="p_nonlinearity")
        if fit.converged and all(fit.estimable[c] for c in curved):
            chi2 = wald_statistic(fit.coefficients[list(curved)], v[np.ix_(at, at)])
            base = replace(base, estimate=chi2, p_value=chi_square_p(chi2, len(at)))
        rows.append(base)
    return rows
