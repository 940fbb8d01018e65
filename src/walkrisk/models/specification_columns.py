"""Columns that many specifications share: covariates and exposures in coordinates that keep their digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from walkrisk.models.solver import POISSON, Family, maximise

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
AnyArray = npt.NDArray[Any]  # of doubles or of singles

LARGEST = 20.0  # of a linear predictor, at a start
DIGITS = 1e-2  # the least a column may keep beyond the others; with less the single fit is asked, which has other ways


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """Orthonormal columns q (n, c) and the same transposed, in one precision."""

    q: AnyArray
    qt: AnyArray


@dataclass(frozen=True, slots=True, eq=False)
class Covariates:
    """The covariates of many specifications: `q` (n, c) their orthonormal columns, 0 where not all are known, `back`
    (c, c) with x = q back, `size` (n, c) |x|, who has them (n,), the largest norm of a row of q, q in double precision
    and in single, which steers, and the products (n, c(c+1)/2) of pairs of its columns in single."""

    q: FloatArray
    back: FloatArray
    size: FloatArray
    known: BoolArray
    reach: float
    double: Basis
    single: Basis
    products: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class ExposureColumns:
    """The columns (e, n) of an exposure in coordinates of its own, 0 for people without it, two of its values (e,),
    and the largest norm of a person's columns."""

    columns: FloatArray
    high: FloatArray
    low: FloatArray
    reach: float


def covariate_block(x: FloatArray, known: BoolArray) -> Covariates | None:
    """Covariates x (n, c), the first column the intercept, among the people `known` (n,) to have them all.

    None where they are collinear, or so nearly that digits are at stake: then each specification is fitted alone.
    """
    x = np.where(known[:, None], x, 0.0)
    used, m = x[known], int(known.sum())
    if m < x.shape[1] or not np.all(used[:, 0] == 1):
        return None
    centred = used.copy()
    centred[:, 1:] -= used[:, 1:].mean(axis=0)
    size = np.sqrt((centred**2).sum(axis=0))
    if not np.all(size > 1e-8 * np.sqrt((used**2).sum(axis=0))):
        return None
    scaled = centred / size
    try:
        root = np.linalg.cholesky(scaled.T @ scaled)
    except np.linalg.LinAlgError:
        return None
    if np.min(np.diag(root)) < DIGITS:
        return None
    q = np.zeros(x.shape)
    q[known] = scaled @ np.linalg.inv(root).T * np.sqrt(m)
    back = np.asarray(np.linalg.solve(q.T @ q, q[known].T @ used), dtype=np.float64)
    i, j = np.triu_indices(x.shape[1])
    reach = float(np.sqrt((q**2).sum(axis=1).max()))
    double = Basis(q, np.ascontiguousarray(q.T))
    single = Basis(q.astype(np.float32), double.qt.astype(np.float32))
    return Covariates(q, back, np.abs(x), known, reach, double, single, single.q[:, i] * single.q[:, j])


def exposure_columns(
    values: FloatArray, known: BoolArray, *, high: Sequence[float] | FloatArray, low: Sequence[float] | FloatArray
) -> ExposureColumns | None:
    """Columns `values` (n, e) of an exposure among the people `known` (n,), and the rows (e,) of its two values.

    They are centred and made orthonormal, which an intercept leaves without effect on any contrast. None if collinear.
    """
    used, m = values[known], int(known.sum())
    if m <= used.shape[1]:
        return None
    mean = used.mean(axis=0)
    centred = used - mean
    size = np.sqrt((centred**2).sum(axis=0))
    if not np.all(size > 1e-8 * np.sqrt((used**2).sum(axis=0))):
        return None
    basis, triangle = np.linalg.qr(centred / size)
    if np.min(np.abs(np.diag(triangle))) < DIGITS:
        return None
    columns = np.zeros((used.shape[1], len(known)))
    columns[:, known] = basis.T * np.sqrt(m)
    made = [np.linalg.solve(triangle.T, (np.asarray(v) - mean) / size) * np.sqrt(m) for v in (high, low)]
    return ExposureColumns(columns, made[0], made[1], float(np.sqrt((columns**2).sum(axis=0).max())))


def covariate_start(family: Family, covariates: Covariates, outcome: FloatArray, rows: BoolArray) -> FloatArray:
    """Coefficients (c,) of the covariates alone, of up to 4,000 of the people `rows` (n,); the mean risk if none."""
    used = np.flatnonzero(rows & covariates.known)
    used = used[:: max(1, len(used) // 4000)]
    found = maximise(family, covariates.q[used], outcome[used], max_iterations=8)
    if np.isfinite(found.coefficients).all() and np.max(np.abs(found.eta)) < LARGEST:
        return found.coefficients
    risk = float(np.clip(outcome[used].mean(), 1e-6, 1 - 1e-6))
    out = np.zeros(covariates.q.shape[1])
    level = np.log(risk) if family is POISSON else np.log(risk / (1 - risk))
    out[0] = level / covariates.q[used][0, 0]
    return out
