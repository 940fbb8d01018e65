"""Maximum likelihood of the generalised linear models in use, by Newton's method, with a certificate.

Poisson (log link), binomial (log link) and logistic log-likelihoods are concave, so Newton's method with step halving
finds the maximum where there is one, and the size of the score tells whether it did. `converged` is never taken on
trust from an iteration count. `maximise_with_statsmodels` solves the same equations by iteratively reweighted least
squares, at about ten times the cost, under the same certificate.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Family:
    """A likelihood by its linear predictor `eta`, 0/1 outcome `y` (so that y! is 1) and derivatives by `eta`.

    `score` is dl/d eta, `information` the observed -d2l/d eta2, `expected` its expectation, `mean` the inverse link.
    """

    name: str
    log_likelihood: Callable[[FloatArray, FloatArray], FloatArray]
    score: Callable[[FloatArray, FloatArray], FloatArray]
    information: Callable[[FloatArray, FloatArray], FloatArray]
    expected: Callable[[FloatArray, FloatArray], FloatArray]
    mean: Callable[[FloatArray], FloatArray]


def _expit(eta: FloatArray) -> FloatArray:
    return np.exp(-np.logaddexp(0, -eta))


def _log_binomial_likelihood(eta: FloatArray, y: FloatArray) -> FloatArray:
    if np.any(eta >= 0):
        return np.full(eta.shape, -np.inf)
    return y * eta + (1 - y) * np.log(-np.expm1(eta))


POISSON = Family(
    "poisson",
    lambda eta, y: y * eta - np.exp(eta),
    lambda eta, y: y - np.exp(eta),
    lambda eta, y: np.exp(eta),
    lambda eta, y: np.exp(eta),
    np.exp,
)
LOG_BINOMIAL = Family(
    "log_binomial",
    _log_binomial_likelihood,
    lambda eta, y: (y - np.exp(eta)) / -np.expm1(eta),
    lambda eta, y: (1 - y) * np.exp(eta) / np.expm1(eta) ** 2,
    lambda eta, y: np.exp(eta) / -np.expm1(eta),
    np.exp,
)
LOGISTIC = Family(
    "logistic",
    lambda eta, y: y * eta - np.logaddexp(0, eta),
    lambda eta, y: y - _expit(eta),
    lambda eta, y: _expit(eta) * (1 - _expit(eta)),
    lambda eta, y: _expit(eta) * (1 - _expit(eta)),
    _expit,
)


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """What the iteration found: coefficients (p,), linear predictor (n,), and whether it is the maximum."""

    coefficients: FloatArray
    eta: FloatArray
    log_likelihood: float
    converged: bool
    iterations: int
    relative_score: float


def maximise(
    family: Family,
    x: FloatArray,
    y: FloatArray,
    *,
    weights: FloatArray | None = None,
    start: FloatArray | None = None,
    max_iterations: int = 60,
) -> Solution:
    """The maximum of a weighted log-likelihood over coefficients (p,), for x (n, p) of full column rank and y (n,).

    Converged means: every component of the score is below 1e-9 of its own scale (sum of |x| times the larger of y and
    the mean), and the last Newton step moved no linear predictor by more than 1e-8. Never raises for a poor fit: the
    caller reads `converged`.
    """
    w = np.ones(len(y)) if weights is None else weights
    beta = _start(family, x, y, w) if start is None else np.asarray(start, dtype=np.float64)
    eta = x @ beta
    value = float(w @ family.log_likelihood(eta, y))
    relative, moved, iteration = np.inf, np.inf, 0
    while iteration < max_iterations and moved >= 1e-8 and np.isfinite(value):
        iteration += 1
        step = _newton_step(family, x, y, w, eta)
        if step is None:
            break
        with np.errstate(over="ignore"):
            size, value = _line_search(family, eta, x @ step, y, w, value)
        moved = float(np.max(np.abs(x @ step)))  # the whole step: one that was cut short proves nothing
        beta = beta + size * step
        eta = x @ beta
        relative = _relative_score(family, x, y, w, eta)
        if size == 0.0:
            break
    return Solution(beta, eta, value, moved < 1e-8 and relative < 1e-9, iteration, relative)


def maximise_with_statsmodels(
    family: Family, x: FloatArray, y: FloatArray, *, weights: FloatArray | None = None, start: FloatArray | None = None
) -> Solution:
    """What `maximise` does, with the coefficients from statsmodels' GLM, judged by the same certificate."""
    import statsmodels.api as sm
    from statsmodels.tools.sm_exceptions import PerfectSeparationError

    links = {"poisson": sm.families.Poisson, "logistic": sm.families.Binomial}
    log_binomial = family.name == "log_binomial"
    glm_family = sm.families.Binomial(sm.families.links.Log()) if log_binomial else links[family.name]()
    w = np.ones(len(y)) if weights is None else weights
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = sm.GLM(y, x, family=glm_family, freq_weights=w).fit(
                start_params=start, tol=1e-12, tol_criterion="params", maxiter=200
            )
        beta, iterations = np.asarray(fit.params, dtype=np.float64), int(fit.fit_history["iteration"])
    except (ValueError, np.linalg.LinAlgError, PerfectSeparationError):
        beta, iterations = np.full(x.shape[1], np.nan), 0
    eta = x @ beta
    with np.errstate(all="ignore"):
        value = float(w @ family.log_likelihood(eta, y))
        relative = _relative_score(family, x, y, w, eta)
        step = _newton_step(family, x, y, w, eta)
    moved = np.inf if step is None else float(np.max(np.abs(x @ step)))
    return Solution(beta, eta, value, moved < 1e-6 and relative < 1e-9, iterations, relative)


def _relative_score(family: Family, x: FloatArray, y: FloatArray, w: FloatArray, eta: FloatArray) -> float:
    """The largest component of the score, each on its own scale: 0 at the maximum."""
    scale = np.abs(x).T @ (w * np.maximum(y, y.mean())) + 1e-300
    return float(np.max(np.abs(x.T @ (w * family.score(eta, y))) / scale))


def _line_search(
    family: Family, eta: FloatArray, move: FloatArray, y: FloatArray, w: FloatArray, value: float
) -> tuple[float, float]:
    """The first step size of 1, 1/2, 1/4 ... that stays in the domain and does not lower the likelihood."""
    size = 1.0
    while True:
        new = float(w @ family.log_likelihood(eta + size * move, y))
        if new >= value - 1e-12 * abs(value):
            return size, new
        if size < 1e-12:
            return 0.0, value
        size /= 2


def inverse_information(
    family: Family, x: FloatArray, y: FloatArray, eta: FloatArray, w: FloatArray, *, expected: bool = False
) -> FloatArray:
    """Inverse (p, p) of the observed (or expected) information of all n rows.

    By Cholesky of the information scaled to a unit diagonal; through a QR decomposition of the weighted design where
    that is too ill-conditioned to keep eight digits. NaN where the information is singular.
    """
    weight = w * (family.expected if expected else family.information)(eta, y)
    information = (x * weight[:, None]).T @ x
    with np.errstate(all="ignore"):
        d = 1 / np.sqrt(np.diag(information))
        scaled = information * d[:, None] * d
    try:
        root = np.linalg.inv(np.linalg.cholesky(scaled)).T * d[:, None]
        if np.min(d / np.diag(root)) > 1e-4:
            return np.asarray(root @ root.T)
    except np.linalg.LinAlgError:
        pass
    try:
        root = np.linalg.inv(np.linalg.qr(x * np.sqrt(weight)[:, None], mode="r"))
        return np.asarray(root @ root.T)
    except np.linalg.LinAlgError:
        return np.full((x.shape[1], x.shape[1]), np.nan)


def _start(family: Family, x: FloatArray, y: FloatArray, w: FloatArray) -> FloatArray:
    mean = float(np.clip(w @ y / w.sum(), 1e-6, 1 - 1e-6 if family.name != "poisson" else np.inf))
    beta = np.zeros(x.shape[1])
    beta[0] = np.log(mean / (1 - mean)) if family.name == "logistic" else np.log(mean)
    return beta


def _newton_step(family: Family, x: FloatArray, y: FloatArray, w: FloatArray, eta: FloatArray) -> FloatArray | None:
    weight, score = w * family.information(eta, y), w * family.score(eta, y)
    information = (x * weight[:, None]).T @ x
    diagonal = np.diag(information)
    if not np.all(np.isfinite(information)) or np.any(diagonal <= 0):
        return None
    d = 1 / np.sqrt(diagonal)
    scaled = information * d[:, None] * d
    try:
        half = np.linalg.inv(np.linalg.cholesky(scaled))
        return np.asarray(half.T @ (half @ ((x.T @ score) * d)) * d)
    except np.linalg.LinAlgError:
        pass
    root = np.sqrt(weight)  # ill-conditioned: least squares on the weighted design, which keeps twice the digits
    target = np.divide(score, root, out=np.zeros_like(score), where=root > 0)
    step, _, rank, _ = np.linalg.lstsq(x * root[:, None] * d, target, rcond=1e-13)
    return np.asarray(step * d) if rank == x.shape[1] else None
