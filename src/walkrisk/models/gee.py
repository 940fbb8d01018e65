"""Generalised estimating equations for repeated 0/1 outcomes: Poisson (log) or logistic, four working correlations.

With Pearson residuals r = (y - mean)/sqrt(v), D = d mean/d beta over sqrt(v), weights W, correlation R(alpha), scale
phi:

    sum_j D_j' W_j^1/2 R_j^-1 W_j^1/2 r_j = 0;  phi = sum w r^2 / sum w
    alpha minimises sum over pairs of a cluster w_i w_j (r_i r_j / phi - R_ij(alpha))^2
    V = A^-1 (sum_j u_j u_j') A^-1, u_j the term of cluster j, A = sum_j D_j' W_j^1/2 R_j^-1 W_j^1/2 D_j

phi and alpha are moments without a correction for the number of coefficients, and R_ij under `ar1` is alpha to the
power |wave_i - wave_j| over ALL pairs. statsmodels differs there (it divides by n - k unless told ddof_scale=0, takes
lag 1 alone or a search for `ar1`), hence this solver; independence and exchangeable are the same. Rows in categories
without events are set aside first, as in `fit_model`. References: Liang & Zeger 1986 doi 10.1093/biomet/73.1.13;
Yan & Fine 2004 doi 10.1002/sim.1650; Paik 1988 doi 10.1080/03610918808812731 (jackknife).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from walkrisk.models.cluster_robust import batches, enough, group_totals, numbered
from walkrisk.models.design import Design
from walkrisk.models.fit import Fit, fit_model

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Correlation = Literal["independence", "exchangeable", "ar1", "unstructured"]
MOST_WAVES = 60  # of an unstructured correlation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gee:
    """A fit by estimating equations.

    `fit` has the coefficients, the terms of the equations as `scores` (m, q) and A^-1 as `bread`: its variances `CR0`
    (= `covariance`), `cluster`, `CR1S` are those of the estimate; leverage-based ones do not exist. `covariance` and
    `naive` (q, q) are robust and model-based (phi A^-1); `alpha` (r,) the correlation, one number, or for
    `unstructured` those of the pairs of waves in the order (1,2), (1,3) ... (2,3) ... Where the fit is not `converged`
    both covariances are NaN.
    """

    fit: Fit
    correlation: str
    covariance: FloatArray
    naive: FloatArray
    alpha: FloatArray
    phi: float
    clusters: int
    largest_cluster: int


@dataclass(frozen=True, slots=True, eq=False)
class _Data:
    x: FloatArray
    y: FloatArray
    w: FloatArray
    number: IntArray
    wave: IntArray
    waves: int
    poisson: bool
    correlation: str
    batches: tuple[IntArray, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    beta: FloatArray
    phi: float
    alpha: FloatArray
    converged: bool = False
    iterations: int = 0


def gee(
    method: str,
    design: Design,
    y: FloatArray,
    cluster: npt.NDArray[Any],
    *,
    correlation: Correlation = "exchangeable",
    wave: IntArray | None = None,
    weights: FloatArray | None = None,
    tolerance: float = 1e-10,
    max_iterations: int = 200,
) -> Gee:
    """Solve the estimating equations of modified_poisson or logistic for a 0/1 outcome (n,) in clusters (n,).

    `wave` (n,) is the time of each row (whole numbers), by default its position among the rows of its cluster.
    Stops when beta, phi and alpha each move by no more than `tolerance` (geepack stops at 1e-4, where its numbers are
    still up to 2e-5 off: the same tolerance gives the same numbers). A fit that did not, or whose working
    correlation is not positive definite, is not `converged` and says so. Raises ValueError for unknown names, missing
    clusters, a single cluster or fewer than coefficients, and two rows of a cluster at the same wave.
    """
    if method not in ("modified_poisson", "logistic") or correlation not in get_args(Correlation):
        raise ValueError(
            f"no estimating equations of method {method!r} with correlation {correlation!r}; choose modified_poisson "
            f"or logistic, and {', '.join(get_args(Correlation))}"
        )
    start = fit_model(method, design, y, weights=weights)
    name = f"gee_{method}"
    number, clusters = numbered(cluster)
    if not start.converged:
        nothing = np.zeros((0, 0))
        return _result(replace(start, method=name, converged=False), correlation, nothing, np.zeros(0), np.nan, number)
    enough(clusters, start.parameters)
    data = _data(start, y, weights, number, _position(number) if wave is None else wave, correlation)
    state = _solve(data, _initial(data, start), tolerance, max_iterations)
    fit = _fitted(replace(start, method=name), data, state)
    return _result(fit, correlation, fit.bread, state.alpha, state.phi, number)


def _fitted(start: Fit, data: _Data, state: _State) -> Fit:
    """The plain fit with coefficients, equations and verdict of the estimating equations in place of its own."""
    sentences = _verdict(data, state)
    scores, bread = np.full_like(data.x, np.nan), np.full((data.x.shape[1],) * 2, np.nan)
    if not sentences:
        scores, information = _equations(data, state)
        bread = np.asarray(np.linalg.inv(information), dtype=np.float64)
    coefficients = np.full(len(start.coefficients), np.nan)
    coefficients[start.estimated] = state.beta
    return replace(
        start,
        coefficients=coefficients,
        scores=scores,
        bread=bread,
        expected_bread=bread,
        working=None,
        everyone=None,
        certificate=None,
        log_likelihood=float("nan"),
        converged=state.converged and not sentences,
        iterations=state.iterations,
        max_fitted_risk=float(_mean(data, state.beta)[0].max()),
        warnings=(*start.warnings, *sentences),
    )


def jackknife(result: Gee, y: FloatArray, cluster: npt.NDArray[Any], **how: Any) -> FloatArray:
    """Covariance (q, q) from leaving out each cluster and iterating from the full fit until it stands still.

    (G - q - r - 1)/G sum_j (b_(j) - b)(b_(j) - b)', r the number of correlations. `how` takes `wave`, `weights`,
    `tolerance`, `max_iterations` as `gee` does. Raises ValueError where a refit fails.
    """
    fit, (number, groups) = result.fit, numbered(cluster)
    wave = how.get("wave")
    data = _data(fit, y, how.get("weights"), number, _position(number) if wave is None else wave, result.correlation)
    full = _State(fit.coefficients[fit.estimated], result.phi, result.alpha)
    out = np.zeros_like(result.covariance)
    for j in range(groups):
        left = replace(data, w=np.where(data.number == j, 0.0, data.w))
        state = _solve(left, full, how.get("tolerance", 1e-10), how.get("max_iterations", 200))
        if not state.converged:
            raise ValueError("a fit without one of the clusters does not converge; use the robust covariance instead")
        out += np.outer(state.beta - full.beta, state.beta - full.beta)
    return out * (groups - len(full.beta) - len(full.alpha) - 1) / groups


def _result(fit: Fit, correlation: str, bread: FloatArray, alpha: FloatArray, phi: float, number: IntArray) -> Gee:
    sizes = np.bincount(number)
    totals = group_totals(fit.scores, number[fit.rows], len(sizes)) @ bread if bread.size else bread
    return Gee(
        fit=fit,
        correlation=correlation,
        covariance=totals.T @ totals,
        naive=bread * phi,
        alpha=alpha,
        phi=phi,
        clusters=len(sizes),
        largest_cluster=int(sizes.max()),
    )


def _position(number: IntArray) -> IntArray:
    """Position of each row among the rows of its cluster, from 0."""
    order = np.argsort(number, kind="stable")
    sizes = np.bincount(number)
    out = np.empty(len(number), dtype=np.intp)
    out[order] = np.arange(len(number)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return out


def _data(
    fit: Fit, y: FloatArray, weights: FloatArray | None, number: IntArray, wave: npt.NDArray[Any], correlation: str
) -> _Data:
    times = np.asarray(wave)
    if len(np.unique(np.column_stack([number, times]), axis=0)) < len(number):
        raise ValueError("two rows of a cluster have the same wave; give each row of a cluster a time of its own")
    if correlation == "unstructured":
        _, times = np.unique(times, return_inverse=True)
        times = times.reshape(-1)
    waves = int(times.max()) + 1 if correlation == "unstructured" else 0
    if waves > MOST_WAVES:
        raise ValueError(
            f"an unstructured correlation of {waves} waves has {waves * (waves - 1) // 2} numbers; choose exchangeable"
        )
    rows = fit.rows
    x = np.ascontiguousarray(fit.design.matrix[np.ix_(rows, fit.estimated)])
    w = np.ones(len(y)) if weights is None else weights
    inside = number[rows]
    made = tuple(batches(inside, lambda size: size * size + size * x.shape[1]))
    poisson = "poisson" in fit.method
    return _Data(x, y[rows], w[rows], inside, times[rows].astype(np.intp), waves, poisson, correlation, made)


def _initial(data: _Data, start: Fit) -> _State:
    beta = start.coefficients[start.estimated]
    mean, variance, _ = _mean(data, beta)
    numbers = {"independence": 0, "exchangeable": 1, "ar1": 1}.get(data.correlation, data.waves * (data.waves - 1) // 2)
    return _State(beta, float(np.mean((data.y - mean) ** 2 / variance)), np.zeros(numbers))


def _mean(data: _Data, beta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean, variance and derivative of the mean (m,)."""
    eta = data.x @ beta
    with np.errstate(over="ignore"):
        if data.poisson:
            mean = np.exp(eta)
            return mean, mean, mean
        mean = np.exp(-np.logaddexp(0, -eta))
    variance = mean * np.exp(-np.logaddexp(0, eta))
    return mean, variance, variance


def _correlations(data: _Data, at: IntArray, alpha: FloatArray) -> FloatArray:
    """R of the clusters of a batch (b, s, s)."""
    wave, size = data.wave[at], at.shape[1]
    if data.correlation == "ar1":
        return np.asarray(alpha[0] ** np.abs(wave[:, :, None] - wave[:, None, :]))
    if data.correlation == "unstructured":
        table = np.eye(data.waves)
        table[np.triu_indices(data.waves, 1)] = alpha
        table = np.triu(table) + np.triu(table, 1).T
        return np.asarray(table[wave[:, :, None], wave[:, None, :]])
    common = alpha[0] if data.correlation == "exchangeable" else 0.0
    return np.broadcast_to(np.eye(size) * (1 - common) + common, (len(at), size, size))


def _equations(data: _Data, state: _State) -> tuple[FloatArray, FloatArray]:
    """What each row adds to the equations (m, q), and A (q, q); phi is left out of both."""
    mean, variance, derivative = _mean(data, state.beta)
    root = np.sqrt(data.w)
    residual = root * (data.y - mean) / np.sqrt(variance)
    d = data.x * (root * derivative / np.sqrt(variance))[:, None]
    if data.correlation == "independence":
        return d * residual[:, None], d.T @ d
    scores, information = np.empty_like(d), np.zeros((d.shape[1], d.shape[1]))
    for at in data.batches:
        both = np.concatenate([d[at], residual[at][:, :, None]], axis=2)
        solved = np.linalg.solve(_correlations(data, at, state.alpha), both) if at.shape[1] > 1 else both
        scores[at] = d[at] * solved[:, :, -1:]
        information += np.einsum("bsi,bsj->ij", d[at], solved[:, :, :-1])
    return scores, information


def _solve(data: _Data, state: _State, tolerance: float, max_iterations: int) -> _State:
    """Alternate a scoring step for beta with the moments of phi and alpha."""
    for iteration in range(1, max_iterations + 1):
        try:
            scores, information = _equations(data, state)
            step = np.linalg.solve(information, scores.sum(axis=0))
        except np.linalg.LinAlgError:
            break
        if not np.isfinite(step).all():
            break
        beta = state.beta + step
        mean, variance, _ = _mean(data, beta)
        pearson = (data.y - mean) / np.sqrt(variance)
        phi = float(data.w @ pearson**2 / data.w.sum())
        alpha = _alpha(data, pearson / np.sqrt(phi), state.alpha)
        moved = max(
            float(np.max(np.abs(step))), abs(phi - state.phi), float(np.max(np.abs(alpha - state.alpha), initial=0.0))
        )
        state = _State(beta, phi, alpha, moved <= tolerance, iteration)
        if state.converged or not np.isfinite(moved):
            break
    return state


def _alpha(data: _Data, standard: FloatArray, alpha: FloatArray) -> FloatArray:
    """The next correlation(s): mean weighted products of residuals, or one least-squares step for `ar1`."""
    if not alpha.size:
        return alpha
    above, below = np.zeros(len(alpha)), np.zeros(len(alpha))
    for at in data.batches:
        if at.shape[1] < 2:
            continue
        r, w, wave = standard[at], data.w[at], data.wave[at]
        if data.correlation == "exchangeable":
            wr = w * r
            above += (wr.sum(axis=1) ** 2 - np.square(wr).sum(axis=1)).sum() / 2
            below += (w.sum(axis=1) ** 2 - np.square(w).sum(axis=1)).sum() / 2
            continue
        i, j = np.triu_indices(at.shape[1], 1)
        product, weight = r[:, i] * r[:, j], w[:, i] * w[:, j]
        if data.correlation == "ar1":
            lag = np.abs(wave[:, i] - wave[:, j])
            slope = lag * alpha[0] ** (lag - 1.0)
            above += (weight * slope * (product - alpha[0] ** lag)).sum()
            below += (weight * slope**2).sum()
        else:
            low, high = np.minimum(wave[:, i], wave[:, j]), np.maximum(wave[:, i], wave[:, j])
            cell = (low * (2 * data.waves - low - 1) // 2 + high - low - 1).ravel()
            above += np.bincount(cell, weights=(weight * product).ravel(), minlength=len(alpha))
            below += np.bincount(cell, weights=weight.ravel(), minlength=len(alpha))
    known = below > 0
    new = np.divide(above, below, out=np.zeros_like(above), where=known)
    return alpha + new if data.correlation == "ar1" else new


def _verdict(data: _Data, state: _State) -> list[str]:
    way_out = "Choose correlation independence, or modified Poisson with variance CR2."
    if not state.converged:
        return [f"The estimating equations did not settle in {state.iterations} iterations. {way_out}"]
    for at in data.batches if data.correlation != "independence" else ():
        if float(np.linalg.eigvalsh(_correlations(data, at, state.alpha)).min()) < 1e-10:
            return [f"The estimated {data.correlation} correlation is not positive definite. {way_out}"]
    return []
