"""Propensity scores: the probability of each level of an exposure given covariates, by multinomial logistic regression.

With K levels, x (n, p) and level 0 the base, P(A = k | x) = exp(x b_k) / (1 + sum_j exp(x b_j)), b_0 = 0; for two
levels this is logistic regression. The log-likelihood is concave, so Newton's method with step halving finds the
maximum where there is one; the score and the last whole step certify it, as in `solver`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.models.design import Design, Factor, Product
from walkrisk.models.support import independent_columns

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Propensity:
    """Fitted probabilities of the levels of an exposure.

    `index` (n,) numbers each person's level 0 .. K-1; `scores` (n, K) are the probabilities; `coefficients` (p, K-1)
    of the design, NaN for a column left out. `basis` (n, q) spans the columns used: the linear predictors are
    basis @ gamma, and `influence` (n, q (K-1)), level by level, is each person's on gamma.
    """

    exposure: Factor
    index: IntArray
    scores: FloatArray
    coefficients: FloatArray
    basis: FloatArray
    influence: FloatArray
    log_likelihood: float
    iterations: int
    relative_score: float
    warnings: tuple[str, ...]


def fit_propensity(
    design: Design,
    codes: FloatArray,
    exposure: Factor,
    *,
    weights: FloatArray | None = None,
    max_iterations: int = 60,
) -> Propensity:
    """Multinomial logistic regression of the level `codes` (n,) of `exposure` on a design (n, p) of covariates.

    A column that is a combination of earlier ones is left out, which is said. `weights` (n,) are of sampling.

    Raises ValueError if a code is no level of the exposure, a level has nobody, weights are negative, not finite or
    all 0, or if there is no maximum: some level never occurs, or always, where covariates take certain values.
    Reference: Imbens 2000 doi 10.1093/biomet/87.3.706.
    """
    w = _checked_weights(weights, len(codes))
    index = _level_index(codes, exposure, w)
    kept = independent_columns(design.matrix[w > 0])
    q, triangle = np.linalg.qr(design.matrix[:, kept])
    root = np.sqrt(len(codes))
    basis = np.ascontiguousarray(q * root)
    gamma, scores, iterations, moved, relative = _maximise(basis, index, w, len(exposure.levels), max_iterations)
    if not (moved < 1e-8 and relative < 1e-9):
        raise ValueError(_no_maximum(design, index, exposure, w, iterations))
    coefficients = np.full((design.matrix.shape[1], gamma.shape[1]), np.nan)
    coefficients[kept] = np.linalg.solve(triangle / root, gamma)
    gone = [design.names[c] for c in range(len(design.names)) if c not in kept]
    said = (
        (f"{', '.join(gone)}: a combination of earlier columns, so left out of the propensity model.",) if gone else ()
    )
    return Propensity(
        exposure=exposure,
        index=index,
        scores=scores,
        coefficients=coefficients,
        basis=basis,
        influence=_influence(basis, index, w, scores),
        log_likelihood=float(w @ np.log(scores[np.arange(len(index)), index])),
        iterations=iterations,
        relative_score=relative,
        warnings=said,
    )


def cells_without_level(design: Design, index: IntArray, exposure: Factor, w: FloatArray) -> tuple[str, ...]:
    """A sentence for each category (or pair of categories) of a covariate where nobody has some level."""
    said: list[str] = []
    for term, cell in design.cells.items():
        size = int(cell.max(initial=-1)) + 1
        people = np.bincount(cell[w > 0], minlength=size)
        for k, label in enumerate(exposure.labels):
            has = np.bincount(cell[(w > 0) & (index == k)], minlength=size)
            for empty in np.flatnonzero((people > 0) & (has == 0)):
                said.append(f"nobody of the {int(people[empty])} in {_cell_name(term, int(empty))} has {label}")
    return tuple(said)


def _cell_name(term: object, cell: int) -> str:
    if isinstance(term, Product) and isinstance(term.first, Factor) and isinstance(term.second, Factor):
        a, b = divmod(cell, len(term.second.levels))
        return f"{term.first.name} {term.first.labels[a]} with {term.second.name} {term.second.labels[b]}"
    assert isinstance(term, Factor)
    return f"{term.name} {term.labels[cell]}"


def _checked_weights(weights: FloatArray | None, n: int) -> FloatArray:
    w = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    if not np.isfinite(w).all() or (w < 0).any() or not w.any():
        raise ValueError("Weights must be finite, not negative and not all 0; correct them, or leave them out.")
    return w


def _level_index(codes: FloatArray, exposure: Factor, w: FloatArray) -> IntArray:
    if len(exposure.levels) < 2:
        raise ValueError(
            f"{exposure.name} has a single level, so there is nothing to compare; choose another exposure."
        )
    if not np.isin(codes, exposure.levels).all():
        raise ValueError(
            f"{exposure.name} has missing values or codes that are none of its levels; leave these people out."
        )
    index = np.searchsorted(exposure.levels, codes)
    n = np.bincount(index[w > 0], minlength=len(exposure.levels))
    if (n == 0).any():
        empty = exposure.labels[int(np.argmin(n))]
        raise ValueError(f"Nobody has {exposure.name} {empty}; leave that level out of the comparison.")
    return np.asarray(index, dtype=np.intp)


def _probabilities(eta: FloatArray) -> FloatArray:
    full = np.column_stack([np.zeros(len(eta)), eta])
    full -= full.max(axis=1, keepdims=True)
    e = np.exp(full)
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def _log_likelihood(eta: FloatArray, index: IntArray, w: FloatArray) -> float:
    full = np.column_stack([np.zeros(len(eta)), eta])
    top = full.max(axis=1)
    own = full[np.arange(len(index)), index]
    return float(w @ (own - top - np.log(np.exp(full - top[:, None]).sum(axis=1))))


def _information(x: FloatArray, w: FloatArray, scores: FloatArray) -> FloatArray:
    q, m = x.shape[1], scores.shape[1] - 1
    out = np.empty((m * q, m * q))
    for k in range(m):
        for j in range(k, m):
            weight = w * scores[:, k + 1] * ((1.0 if k == j else 0.0) - scores[:, j + 1])
            block = (x * weight[:, None]).T @ x
            out[k * q : (k + 1) * q, j * q : (j + 1) * q] = block
            out[j * q : (j + 1) * q, k * q : (k + 1) * q] = block
    return out


def _residuals(index: IntArray, w: FloatArray, scores: FloatArray) -> FloatArray:
    return np.asarray(w[:, None] * ((index[:, None] == np.arange(scores.shape[1])) - scores)[:, 1:])


def _maximise(
    x: FloatArray, index: IntArray, w: FloatArray, levels: int, max_iterations: int
) -> tuple[FloatArray, FloatArray, int, float, float]:
    """Coefficients (q, K-1), probabilities (n, K), iterations, how far the last whole step moved, relative score."""
    q = x.shape[1]
    gamma = np.zeros((q, levels - 1))
    eta = x @ gamma
    value = _log_likelihood(eta, index, w)
    scale = np.abs(x).T @ w + 1e-300
    moved, relative, iteration = np.inf, np.inf, 0
    while iteration < max_iterations and moved >= 1e-8:
        iteration += 1
        scores = _probabilities(eta)
        gradient = x.T @ _residuals(index, w, scores)
        try:
            half = np.linalg.cholesky(_information(x, w, scores))
        except np.linalg.LinAlgError:
            break
        step = np.linalg.solve(half.T, np.linalg.solve(half, gradient.T.reshape(-1))).reshape(levels - 1, q).T
        move = x @ step
        moved, size = float(np.abs(move).max()), 1.0
        while (new := _log_likelihood(eta + size * move, index, w)) < value - 1e-12 * abs(value) and size > 1e-12:
            size /= 2
        gamma, value = gamma + size * step, new
        eta = x @ gamma
        relative = float((np.abs(x.T @ _residuals(index, w, _probabilities(eta))) / scale[:, None]).max())
    return gamma, _probabilities(eta), iteration, moved, relative


def _influence(x: FloatArray, index: IntArray, w: FloatArray, scores: FloatArray) -> FloatArray:
    residual = _residuals(index, w, scores)
    u = np.concatenate([x * residual[:, [k]] for k in range(residual.shape[1])], axis=1)
    return np.asarray(np.linalg.solve(_information(x, w, scores), u.T).T)


def _no_maximum(design: Design, index: IntArray, exposure: Factor, w: FloatArray, iterations: int) -> str:
    cells = cells_without_level(design, index, exposure, w)
    why = "; ".join(cells) if cells else "the covariates together foretell a level with certainty for some people"
    return (
        f"The propensity model of {exposure.name} has no maximum ({iterations} iterations): {why}. "
        "Merge such categories, or leave out people who could not have had every level."
    )
