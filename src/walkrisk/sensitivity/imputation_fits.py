"""Maximum likelihood of multinomial and proportional-odds models in the chains of an imputation.

The rows come as blocks (Rows): people complete in every variable, whose rows never change and are shared by all sets
and cycles; people with holes whose target is known; augmented rows with small weights. Only the second is renewed.

    multinomial (binary with 2 levels):  P(y = k) = exp(x b_k)/(1 + sum_j exp(x b_j)),  b of the first level 0
    proportional odds:                   P(y <= k) = F(theta_k - x b),  F the logistic distribution

Both log-likelihoods are concave. A fit starts where the chain's last visit to the variable ended, and steps with that
visit's information until a step no longer shrinks by a tenth (a chord method, Newton's where it has to be). The
tolerance is a Newton decrement of 1e-8, a ten-thousandth of a standard error: the draw that follows adds a whole one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg, special

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

TOLERANCE = 1e-8  # Newton decrement
NEAR_ENOUGH = 1e-4  # decrement up to which an information is that of the maximum
MAXIMUM_STEPS = 60
CHUNK = 512  # rows at a time in weighted cross-products


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Blocks of rows (n_b, P) with the level of the target, 0, 1, ..., (n,) and the weight (n,) of every row."""

    blocks: tuple[FloatArray, ...]
    level: IntArray
    weight: FloatArray

    def times(self, b: FloatArray) -> FloatArray:
        """X b (n, q)."""
        return np.concatenate([x @ b for x in self.blocks])

    def sums(self, r: FloatArray) -> FloatArray:
        """X' r (P, q)."""
        out = np.zeros((self.blocks[0].shape[1], r.shape[1]))
        at = 0
        for x in self.blocks:
            out += x.T @ r[at : at + len(x)]
            at += len(x)
        return out

    def cross(self, w: FloatArray) -> FloatArray:
        """X' diag(w) X (P, P)."""
        p = self.blocks[0].shape[1]
        out = np.zeros((p, p))
        at = 0
        for x in self.blocks:
            for start in range(0, len(x), CHUNK):
                part = x[start : start + CHUNK]
                out += part.T @ (w[at + start : at + start + len(part), None] * part)
            at += len(x)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Maximum:
    """A maximum (k,), the lower Cholesky factor (k, k) of the information at it, and how it was reached."""

    parameters: FloatArray
    factor: FloatArray
    converged: bool
    steps: int


Likelihood = Callable[[FloatArray], tuple[float, FloatArray]]
Information = Callable[[FloatArray], FloatArray]


def fit_multinomial(rows: Rows, use: IntArray, levels: int, warm: Maximum | None) -> Maximum:
    """The multinomial logit of `levels` levels on columns `use`; parameters (levels - 1, columns) row by row."""
    q, p, width = levels - 1, len(use), rows.blocks[0].shape[1]
    target = (rows.level[:, None] == np.arange(1, levels)).astype(np.float64)

    def spread(b: FloatArray) -> FloatArray:
        full = np.zeros((width, q))
        full[use] = b.reshape(q, p).T
        return rows.times(full)

    def likelihood(b: FloatArray) -> tuple[float, FloatArray]:
        eta = spread(b)
        value = float(rows.weight @ ((target * eta).sum(axis=1) - _log_total(eta)))
        residual = rows.weight[:, None] * (target - shares(eta))
        return value, rows.sums(residual)[use].T.ravel()

    def information(b: FloatArray) -> FloatArray:
        pi = shares(spread(b))
        out = np.empty((q, p, q, p))
        for j in range(q):
            for k in range(j + 1):
                w = rows.weight * pi[:, j] * ((j == k) - pi[:, k])
                out[j, :, k, :] = out[k, :, j, :] = rows.cross(w)[np.ix_(use, use)]
        return out.reshape(q * p, q * p)

    start = np.zeros(q * p)
    if warm is None:
        counts = np.bincount(rows.level, weights=rows.weight, minlength=levels)
        start[::p] = np.log(counts[1:] / counts[0])  # the first column is the intercept
    return maximise(likelihood, information, start, warm)


def fit_proportional_odds(rows: Rows, use: IntArray, levels: int, warm: Maximum | None) -> Maximum:
    """Proportional odds of `levels` levels on columns `use` (no intercept); parameters are theta, then b."""
    q, width = levels - 1, rows.blocks[0].shape[1]
    every = np.arange(len(rows.level))
    has_upper, has_lower = rows.level < q, rows.level > 0
    upper_at, lower_at = rows.level[has_upper], rows.level[has_lower] - 1

    def limits(b: FloatArray) -> tuple[FloatArray, FloatArray]:
        full = np.zeros((width, 1))
        full[use, 0] = b[q:]
        theta = np.concatenate([[-np.inf], b[:q], [np.inf]])
        eta = rows.times(full)[:, 0]
        return theta[rows.level + 1] - eta, theta[rows.level] - eta

    def likelihood(b: FloatArray) -> tuple[float, FloatArray]:
        if np.any(np.diff(b[:q]) <= 0):
            return -np.inf, b
        upper, lower = limits(b)
        high, low = special.expit(upper), special.expit(lower)
        inside = _between(upper, lower, high, low)
        score = np.empty_like(b)
        score[q:] = rows.sums((rows.weight * (high + low - 1))[:, None])[use, 0]
        by_upper = rows.weight * high * (1 - high) / inside
        by_lower = rows.weight * low * (1 - low) / inside
        score[:q] = np.bincount(upper_at, by_upper[has_upper], q) - np.bincount(lower_at, by_lower[has_lower], q)
        return float(rows.weight @ np.log(inside)), score

    def information(b: FloatArray) -> FloatArray:
        upper, lower = limits(b)
        high, low = special.expit(upper), special.expit(lower)
        inside = _between(upper, lower, high, low)
        f, g = high * (1 - high), low * (1 - low)
        out = np.zeros((len(b), len(b)))
        out[q:, q:] = rows.cross(rows.weight * (f + g))[np.ix_(use, use)]
        beside = np.zeros((len(every), q))
        beside[every[has_upper], upper_at] = (rows.weight * f)[has_upper]
        beside[every[has_lower], lower_at] += (rows.weight * g)[has_lower]
        out[q:, :q] = -rows.sums(beside)[use]
        out[:q, q:] = out[q:, :q].T
        twice_upper = rows.weight * ((f / inside) ** 2 - f * (1 - 2 * high) / inside)
        twice_lower = rows.weight * ((g / inside) ** 2 + g * (1 - 2 * low) / inside)
        mixed = rows.weight * f * g / inside**2
        at = np.arange(q)
        out[at, at] = np.bincount(upper_at, twice_upper[has_upper], q) + np.bincount(
            lower_at, twice_lower[has_lower], q
        )
        between = np.bincount(upper_at, np.where(has_lower, mixed, 0.0)[has_upper], q)[1:]
        out[at[1:], at[:-1]] = out[at[:-1], at[1:]] = -between
        return out

    start = np.zeros(q + len(use))
    if warm is None:
        counts = np.bincount(rows.level, weights=rows.weight, minlength=levels)
        start[:q] = special.logit(np.cumsum(counts)[:-1] / counts.sum())
    return maximise(likelihood, information, start, warm)


def shares(eta: FloatArray) -> FloatArray:
    """Probabilities (n, q) of the levels after the first, from linear predictors (n, q)."""
    top = np.maximum(eta.max(axis=1, keepdims=True), 0.0)
    raised = np.exp(eta - top)
    return np.asarray(raised / (raised.sum(axis=1, keepdims=True) + np.exp(-top)))


def maximise(likelihood: Likelihood, information: Information, start: FloatArray, warm: Maximum | None) -> Maximum:
    """The maximum of a concave log-likelihood; `warm` is where to start, with the information to step with at first."""
    b = start if warm is None else warm.parameters
    factor = None if warm is None else warm.factor
    value, score = likelihood(b)
    fresh = False  # whether the factor is that of this likelihood near b
    before = np.inf
    for steps in range(1, MAXIMUM_STEPS + 1):
        if factor is None:
            factor, fresh = _factor(information(b)), True
        step = linalg.cho_solve((factor, True), score)
        decrement = float(score @ step)
        if decrement < TOLERANCE:
            return Maximum(b, factor if fresh else _factor(information(b)), True, steps)
        if decrement > 0.01 * before and not fresh:  # a step of the old information shrank by less than a tenth
            factor, before = None, np.inf
            continue
        b, value, score, moved = _stepped(likelihood, b, step, value, score)
        if not moved:
            if fresh:
                break
            factor, before = None, np.inf
            continue
        before = decrement
        if fresh and decrement > NEAR_ENOUGH:
            factor, fresh = None, False
    return Maximum(b, _factor(information(b)), False, MAXIMUM_STEPS)


def _stepped(
    likelihood: Likelihood, b: FloatArray, step: FloatArray, value: float, score: FloatArray
) -> tuple[FloatArray, float, FloatArray, bool]:
    """The full step or the first of its halves that does not lower the log-likelihood."""
    for half in range(20):
        new = b + step / 2**half
        at, gradient = likelihood(new)
        if at >= value - 1e-9 * abs(value):
            return new, at, gradient, True
    return b, value, score, False


def _factor(information: FloatArray) -> FloatArray:
    """Lower Cholesky factor; a ridge of 1e-8 of the diagonal, and ten times more as often as needed, if singular."""
    ridge = 0.0
    while True:
        try:
            lifted = information + np.diag(ridge * np.diag(information).clip(min=1e-12)) if ridge else information
            return np.asarray(linalg.cholesky(lifted, lower=True))
        except linalg.LinAlgError:
            ridge = max(1e-8, 10 * ridge)
            if ridge > 1:
                raise ValueError("The information of an imputation model is not positive definite.") from None


def _between(upper: FloatArray, lower: FloatArray, high: FloatArray, low: FloatArray) -> FloatArray:
    """F(upper) - F(lower) without cancellation in either tail."""
    inside = np.where(lower > 0, special.expit(-lower) - special.expit(-upper), high - low)
    return np.asarray(np.maximum(inside, 1e-300))


def _log_total(eta: FloatArray) -> FloatArray:
    top = np.maximum(eta.max(axis=1), 0.0)
    return np.asarray(top + np.log(np.exp(-top) + np.exp(eta - top[:, None]).sum(axis=1)))
