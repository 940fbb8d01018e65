"""Regression calibration: ratios for a person's usual exposure, where a few days of it were measured.

W_i = X_i + U_i (q exposures), U_i with covariance S_u / k_i for the mean of k_i days, unrelated to X_i, to covariates
z_i and to the outcome; X_i = z_i' G + e_i, e_i with covariance S_x. In place of W_i the outcome model takes

    E[X_i | W_i, z_i, k_i] = z_i' G + L_i (W_i - z_i' G),  L_i = S_x (S_x + S_u / k_i)^-1

so that who has fewer days is drawn closer to what is expected of people like them. G is estimated by least squares of W
on z, S_u from the days within persons, S_x = c mean(r r') - S_u mean(1 / k), r = W - z'G, c = n / (n - p). z are the
covariates of the outcome model with the intercept (others may be added): a covariate left out of z would be adjusted
for wrongly. With equal k and the same z the corrected coefficient of one exposure is the naive one divided by L, and
the fitted risks do not change. For a log link and rare or small effects this is consistent to first order; ratios of
a curve replace each column f(X) of its basis by E[f(X) | W, z, k], X normal about its expectation.

Influence functions are those of the stacked equations of S_u, G, S_x and the outcome model, so that limits include what
calibration adds. References: Carroll, Ruppert, Stefanski & Crainiceanu 2006, doi 10.1201/9781420010138, chapter 4;
Rosner, Spiegelman & Willett 1990, doi 10.1093/oxfordjournals.aje.a115715.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from walkrisk.models.covariance import SurveyDesign, influence, influence_covariance
from walkrisk.models.design import Design
from walkrisk.models.fit import FAMILIES, Fit, fit_model
from walkrisk.models.resampling import Resampling
from walkrisk.models.solver import maximise

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

NOTHING = 1e-12  # of the variance found, up to which a variance of usual exposure is none
STEP = 1e-4  # of central differences by nuisance parameters, on the scale of each
NOT_POSITIVE = (
    "Given the covariates, persons differ no more than their days do, so nothing is left to calibrate with (the "
    "variance of usual exposure comes out at 0 or below); use more days, fewer covariates, or declare a reliability."
)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Measured:
    """Exposures as measured: `mean` (n, q), error covariance `share` (n,) times S_u, and how S_u is known.

    From days: `share` is 1 / k_i, `squares` (n, q, q) the products of a person's days about their mean, `spare` (n,)
    k_i - 1. Known: `error` (q, q) is S_u itself, with `share` 1 for everyone as a rule.
    """

    mean: FloatArray
    share: FloatArray
    squares: FloatArray | None = None
    spare: FloatArray | None = None
    error: FloatArray | None = None

    @property
    def n(self) -> int:
        """Number of persons."""
        return len(self.mean)

    def where(self, rows: BoolArray) -> Measured:
        """The persons that `rows` (n,) marks."""
        return Measured(
            mean=self.mean[rows],
            share=self.share[rows],
            squares=None if self.squares is None else self.squares[rows],
            spare=None if self.spare is None else self.spare[rows],
            error=self.error,
        )


def measured_by_days(values: Sequence[FloatArray]) -> Measured:
    """q exposures (each (n, D) daily values, NaN where a day does not count) by the days that count for all of them.

    Raises ValueError for a person without such a day.
    """
    stacked = np.stack(values, axis=-1)
    known: BoolArray = ~np.any(np.isnan(stacked), axis=-1)
    days = known.sum(axis=1).astype(np.float64)
    if not days.all():
        raise ValueError(f"{int((days == 0).sum())} persons have no day with every exposure; leave them out first.")
    filled = np.where(known[..., None], stacked, 0.0)
    mean = filled.sum(axis=1) / days[:, None]
    apart = np.where(known[..., None], stacked - mean[:, None], 0.0)
    return Measured(mean=mean, share=1 / days, squares=np.einsum("ndp,ndq->npq", apart, apart), spare=days - 1)


def measured_with_reliability(mean: FloatArray, reliability: FloatArray | float) -> Measured:
    """q exposures (n, q) whose reliabilities (q,) are known from elsewhere; errors are taken as unrelated.

    The error variance is (1 - R) times the variance found here. Raises ValueError unless 0 < R <= 1.
    """
    r = np.broadcast_to(np.asarray(reliability, dtype=np.float64), mean.shape[1:])
    if not ((r > 0) & (r <= 1)).all():
        raise ValueError(f"A reliability lies above 0 and up to 1, not at {', '.join(f'{v:g}' for v in r)}.")
    return Measured(mean=mean, share=np.ones(len(mean)), error=np.diag((1 - r) * mean.var(axis=0, ddof=1)))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Calibration:
    """Expected usual exposures `expected` (n, q) with residual covariance `left` (n, q, q), and what made them.

    `within` S_u, `between` S_x given the covariates (q, q), `slopes` G (p, q), `kept` (n, q, q) L_i. `influence` (n, t)
    is what each person adds to the estimates of the t nuisance parameters `theta`: S_u, G, S_x, matrices by their upper
    triangle.
    """

    measured: Measured
    z: FloatArray
    within: FloatArray
    between: FloatArray
    slopes: FloatArray
    expected: FloatArray
    kept: FloatArray
    left: FloatArray
    theta: FloatArray
    influence: FloatArray

    @property
    def q(self) -> int:
        """Number of exposures."""
        return len(self.within)


def calibrate(measured: Measured, z: FloatArray, *, weights: FloatArray | None = None) -> Calibration:
    """Expected usual exposures given what was measured, covariates z (n, p) with the intercept, and the days.

    Raises ValueError where S_x does not come out positive definite, or no one has two days.
    """
    w = np.ones(measured.n) if weights is None else weights
    within, slopes, between, residual, gram = _moments(measured, z, w)
    expected, kept, left = _expected(measured, z, within, slopes, between)
    return Calibration(
        measured=measured,
        z=z,
        within=within,
        between=between,
        slopes=slopes,
        expected=expected,
        kept=kept,
        left=left,
        theta=np.concatenate([within[_upper(len(within))], slopes.ravel(), between[_upper(len(within))]]),
        influence=_nuisance_influence(measured, z, w, (within, between, residual, gram)),
    )


Moments = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]


def _moments(m: Measured, z: FloatArray, w: FloatArray) -> Moments:
    """S_u, G, S_x, residuals (n, q) and the inverse of z'wz, under weights (n,)."""
    gram: FloatArray = np.asarray(np.linalg.inv((z * w[:, None]).T @ z), dtype=np.float64)
    slopes = gram @ (z.T @ (w[:, None] * m.mean))
    residual = m.mean - z @ slopes
    if m.error is not None:
        within = m.error
    else:
        assert m.squares is not None
        assert m.spare is not None
        spare = float(w @ m.spare)
        if spare <= 0:
            raise ValueError(
                "Nobody has two valid days or more, so variation from day to day cannot be seen; declare the "
                "reliability instead, with its source."
            )
        within = np.tensordot(w, m.squares, axes=1) / spare
    total = w.sum()
    crude = _correction(len(z), z.shape[1]) * (residual * w[:, None]).T @ residual / total
    between = np.asarray(crude - within * float(w @ m.share) / total, dtype=np.float64)
    sd = m.mean.std(axis=0)
    if not sd.all() or np.linalg.eigvalsh(between / np.outer(sd, sd))[0] <= NOTHING:
        raise ValueError(NOT_POSITIVE)
    return within, slopes, between, residual, gram


def _correction(n: int, p: int) -> float:
    return n / (n - p)


def _expected(
    m: Measured, z: FloatArray, within: FloatArray, slopes: FloatArray, between: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Expected exposures (n, q), L_i (n, q, q) and the covariance (n, q, q) that is left."""
    center = z @ slopes
    shares, which = np.unique(m.share, return_inverse=True)  # few different numbers of days
    kinds = np.stack([between @ np.linalg.inv(between + within * share) for share in shares])
    kept = kinds[which.reshape(-1)]
    expected = center + np.einsum("nab,nb->na", kept, m.mean - center)
    left = (np.stack([between - kind @ between for kind in kinds]))[which.reshape(-1)]
    return expected, kept, left


def _upper(q: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    i, j = np.triu_indices(q)
    return i, j


def _nuisance_influence(
    m: Measured, z: FloatArray, w: FloatArray, found: tuple[FloatArray, FloatArray, FloatArray, FloatArray]
) -> FloatArray:
    within, between, residual, gram = found
    i, j = _upper(len(within))
    n, total = m.n, w.sum()
    if m.error is not None:
        of_within = np.zeros((n, len(i)))
    else:
        assert m.squares is not None
        assert m.spare is not None
        apart = m.squares[:, i, j] - m.spare[:, None] * within[i, j]
        of_within = w[:, None] * apart / float(w @ m.spare)
    of_slopes = np.einsum("np,nq->npq", (z * w[:, None]) @ gram, residual).reshape(n, -1)
    squares = _correction(n, z.shape[1]) * residual[:, i] * residual[:, j]
    apart = squares - m.share[:, None] * within[i, j] - between[i, j]
    of_between = w[:, None] * apart / total - float(w @ m.share) / total * of_within
    return np.hstack([of_within, of_slopes, of_between])


def _from_theta(c: Calibration, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Expected exposures and the covariance left under other nuisance parameters."""
    q, (i, j) = c.q, _upper(c.q)
    within, between = np.empty((q, q)), np.empty((q, q))
    within[i, j] = within[j, i] = theta[: len(i)]
    between[i, j] = between[j, i] = theta[-len(i) :]
    slopes = theta[len(i) : -len(i)].reshape(c.slopes.shape)
    expected, _, left = _expected(c.measured, c.z, within, slopes, between)
    return expected, left


# ---------------------------------------------------------------- the outcome model


def calibrated_columns(expected: FloatArray, left: FloatArray, *, knots: Sequence[float] | None = None) -> FloatArray:
    """Columns (n, c) for usual exposure: its expectation, or with `knots` (one exposure) that of a spline's basis."""
    if knots is None:
        return expected
    return expected_spline_basis(expected[:, 0], np.sqrt(np.maximum(left[:, 0, 0], 0.0)), knots)


def expected_spline_basis(mean: FloatArray, sd: FloatArray, knots: Sequence[float]) -> FloatArray:
    """E[basis(X)] (n, k - 1) of a restricted cubic spline (`splines.restricted_cubic_basis`), X normal (mean, sd) (n,).

    With m = mean - t, E[(X - t)+^3] = (m^3 + 3 m sd^2) Phi(m / sd) + (m^2 sd + 2 sd^3) phi(m / sd).
    """
    t = np.asarray(knots, dtype=np.float64)
    last, before = float(t[-1]), float(t[-2])
    cubes = [_expected_cube(mean - knot, sd) for knot in t]
    out = np.empty((len(mean), t.size - 1), order="F")
    out[:, 0] = mean
    for j, knot in enumerate(t[:-2].tolist()):
        tail = (cubes[-2] * (last - knot) - cubes[-1] * (before - knot)) / (last - before)
        out[:, j + 1] = (cubes[j] - tail) / (last - float(t[0])) ** 2
    return out


def _expected_cube(m: FloatArray, sd: FloatArray) -> FloatArray:
    from scipy import special

    safe = np.where(sd > 0, sd, 1.0)
    u = m / safe
    density = np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi)
    found = (m**3 + 3 * m * sd**2) * special.ndtr(u) + (m**2 * sd + 2 * sd**3) * density
    return np.where(sd > 0, found, np.maximum(m, 0.0) ** 3)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CalibratedFit:
    """The outcome model on calibrated columns: `fit`, and `adds` (n, q), what calibration adds to each influence."""

    fit: Fit
    columns: tuple[int, ...]
    calibration: Calibration
    adds: FloatArray

    def coefficients(self) -> FloatArray:
        """Of the calibrated columns (c,)."""
        return np.asarray(self.fit.coefficients[list(self.columns)])

    def covariance(
        self, variance: str, *, cluster: npt.NDArray[Any] | None = None, design: SurveyDesign | None = None
    ) -> FloatArray:
        """Covariance (c, c) of the calibrated columns' coefficients, the calibration's own uncertainty included.

        `variance` names how the outcome model's share is made and what is summed (persons, clusters, PSUs); raises
        ValueError as `models.covariance.covariance` does.
        """
        at = self.fit.position(self.columns)
        phi = influence(self.fit, variance, cluster=cluster) + self.adds
        pick = np.eye(self.fit.parameters)[at]
        return influence_covariance(phi[:, at], self.fit, variance, cluster=cluster, design=design, gradient=pick)


def fit_calibrated(
    method: str,
    design: Design,
    y: FloatArray,
    calibration: Calibration,
    columns: tuple[int, ...],
    *,
    weights: FloatArray | None = None,
    knots: Sequence[float] | None = None,
) -> CalibratedFit:
    """The outcome model `method` with `columns` of its design put in the place of what was measured.

    Raises ValueError as `fit_model` does, and where a column cannot be estimated.
    """
    made = _with_columns(design, columns, calibrated_columns(calibration.expected, calibration.left, knots=knots))
    fit = fit_model(method, made, y, weights=weights)
    if len(fit.position(columns)) < len(columns):
        raise ValueError("The calibrated exposure is a combination of the covariates, so it has no ratio of its own.")
    adds = np.zeros((fit.n, fit.parameters))
    if np.isfinite(fit.bread).all():
        adds = calibration.influence @ _gradient(fit, y, calibration, columns, weights, knots) @ fit.bread
    return CalibratedFit(fit=fit, columns=columns, calibration=calibration, adds=adds)


def _with_columns(design: Design, columns: tuple[int, ...], values: FloatArray) -> Design:
    matrix = np.array(design.matrix, order="F")
    matrix[:, list(columns)] = values
    return replace(design, matrix=matrix)


def _gradient(
    fit: Fit,
    y: FloatArray,
    c: Calibration,
    columns: tuple[int, ...],
    weights: FloatArray | None,
    knots: Sequence[float] | None,
) -> FloatArray:
    """The derivative (t, q) of the outcome model's total score by the nuisance parameters, by central differences."""
    family = FAMILIES[fit.method]
    at = np.flatnonzero(fit.estimated)
    place = fit.position(columns)
    beta = fit.coefficients[at]
    x = np.array(fit.design.matrix[:, at], order="F")
    used = np.where(fit.rows, 1.0 if weights is None else weights, 0.0)

    def total(theta: FloatArray) -> FloatArray:
        x[:, place] = calibrated_columns(*_from_theta(c, theta), knots=knots)
        return np.asarray(x.T @ (used * family.score(x @ beta, y)))

    spread = np.sqrt((c.influence**2).sum(axis=0))
    out = np.zeros((len(c.theta), len(at)))
    for t in np.flatnonzero(spread > 0):
        step = np.zeros(len(c.theta))
        step[t] = STEP * spread[t]
        out[t] = (total(c.theta + step) - total(c.theta - step)) / (2 * step[t])
    return out


def bootstrap_calibrated(
    method: str,
    design: Design,
    y: FloatArray,
    measured: Measured,
    z: FloatArray,
    columns: tuple[int, ...],
    draw: Resampling,
    *,
    first: int,
    stop: int,
    start: FloatArray,
    weights: FloatArray | None = None,
) -> FloatArray:
    """Coefficients (stop - first, c) of calibrated columns in replicates first .. stop-1, each calibrated anew.

    `start` (p,) is the fit of everyone. A replicate that cannot be calibrated or fitted is NaN.
    """
    family = FAMILIES[method]
    out = np.full((stop - first, len(columns)), np.nan)
    own = np.ones(len(y)) if weights is None else weights
    for r, counts in enumerate(draw.weights(first, stop)):
        w = counts * own
        rows = w > 0
        part, kept = measured.where(rows), w[rows]
        try:
            within, slopes, between, _, _ = _moments(part, z[rows], kept)
        except (ValueError, np.linalg.LinAlgError):
            continue
        x = np.array(design.matrix[rows], order="F")
        x[:, list(columns)] = _expected(part, z[rows], within, slopes, between)[0]
        found = maximise(family, x, y[rows], weights=kept, start=start)
        if found.converged:
            out[r] = found.coefficients[list(columns)]
    return out
