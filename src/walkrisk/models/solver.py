"""Maximum likelihood of the generalised linear models in use, by Newton's method, with a certificate.

Every log-likelihood here is concave in the coefficients, so Newton's method with step halving finds the maximum where
it lies inside the domain, and the size of the score tells whether it did. `converged` is never taken on trust from an
iteration count. A maximum on the edge of the domain (a fitted risk of 1 under a log link, of 0 or 1 under an identity
link) is `constrained`'s to find.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Link = Literal["log", "logit", "identity"]

BLOCK = 8192  # rows multiplied at a time: the products stay in cache, and no n x p temporary is made
SUBSAMPLE = 8000  # rows that give a start value for many more
NO_RISK = 1e-8  # below this, a fitted risk may be on its way to 0
BLOCKED_STEPS = 3  # full steps out of the domain before the edge is taken to be in the way


@dataclass(frozen=True, slots=True)
class Family:
    """A likelihood by its linear predictor `eta`, 0/1 outcome `y` (so that y! is 1) and derivatives by `eta`.

    `score` is dl/d eta, `information` the observed -d2l/d eta2, `expected` its expectation, `mean` the inverse link.
    `bounded` says that eta has a domain, outside which the log-likelihood is -inf.
    """

    name: str
    link: Link
    log_likelihood: Callable[[FloatArray, FloatArray], FloatArray]
    score: Callable[[FloatArray, FloatArray], FloatArray]
    information: Callable[[FloatArray, FloatArray], FloatArray]
    expected: Callable[[FloatArray, FloatArray], FloatArray]
    mean: Callable[[FloatArray], FloatArray]
    bounded: bool = False


def _expit(eta: FloatArray) -> FloatArray:
    return np.exp(-np.logaddexp(0, -eta))


def _log_binomial_likelihood(eta: FloatArray, y: FloatArray) -> FloatArray:
    if np.any(eta > np.where(y == 1, 0.0, -1e-300)):
        return np.full(eta.shape, -np.inf)
    return np.where(y == 1, eta, np.log(-np.expm1(np.where(y == 1, -1.0, eta))))


def _identity_likelihood(eta: FloatArray, y: FloatArray) -> FloatArray:
    own = np.where(y == 1, eta, 1 - eta)  # the fitted chance of what happened
    if np.any(own <= 0) or np.any(own > 1):
        return np.full(eta.shape, -np.inf)
    return np.asarray(np.log(own))


def _identity_poisson_likelihood(eta: FloatArray, y: FloatArray) -> FloatArray:
    if np.any(eta < np.where(y == 1, 1e-300, 0.0)):
        return np.full(eta.shape, -np.inf)
    return np.where(y == 1, np.log(np.where(y == 1, eta, 1.0)), 0.0) - eta


def _where_event(y: FloatArray, event: FloatArray | float, other: FloatArray | float) -> FloatArray:
    return np.where(y == 1, event, other)


def _identity_curvature(eta: FloatArray, y: FloatArray) -> FloatArray:
    return np.asarray(1 / np.where(y == 1, eta, 1 - eta) ** 2)


POISSON = Family(
    "poisson",
    "log",
    lambda eta, y: y * eta - np.exp(eta),
    lambda eta, y: y - np.exp(eta),
    lambda eta, y: np.exp(eta),
    lambda eta, y: np.exp(eta),
    np.exp,
)
LOG_BINOMIAL = Family(
    "log_binomial",
    "log",
    _log_binomial_likelihood,
    lambda eta, y: _where_event(y, 1.0, np.exp(eta) / np.expm1(_where_event(y, -1.0, eta))),
    lambda eta, y: _where_event(y, 0.0, np.exp(eta) / np.expm1(_where_event(y, -1.0, eta)) ** 2),
    lambda eta, y: np.exp(eta) / -np.expm1(eta),
    np.exp,
    bounded=True,
)
LOGISTIC = Family(
    "logistic",
    "logit",
    lambda eta, y: y * eta - np.logaddexp(0, eta),
    lambda eta, y: y - _expit(eta),
    lambda eta, y: _expit(eta) * (1 - _expit(eta)),
    lambda eta, y: _expit(eta) * (1 - _expit(eta)),
    _expit,
)
IDENTITY_BINOMIAL = Family(
    "identity_binomial",
    "identity",
    _identity_likelihood,
    lambda eta, y: (2 * y - 1) / np.where(y == 1, eta, 1 - eta),
    _identity_curvature,
    lambda eta, y: 1 / (eta * (1 - eta)),
    np.asarray,
    bounded=True,
)
IDENTITY_POISSON = Family(
    "identity_poisson",
    "identity",
    _identity_poisson_likelihood,
    lambda eta, y: y / _where_event(y, eta, 1.0) - 1,
    lambda eta, y: y / _where_event(y, eta, 1.0) ** 2,
    lambda eta, y: 1 / eta,
    np.asarray,
    bounded=True,
)
LEAST_SQUARES = Family(
    "linear",
    "identity",
    lambda eta, y: -0.5 * (y - eta) ** 2,
    lambda eta, y: y - eta,
    lambda eta, y: np.ones_like(eta),
    lambda eta, y: np.ones_like(eta),
    np.asarray,
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
    the mean), and the last Newton step moved no linear predictor by more than 1e-8. A step that small may be taken
    with the information of the step before, once that one moved no linear predictor by more than 1e-3; and that no
    combination of coefficients is held by nothing but vanished risks (`vanished`), where a score of 0 proves nothing.
    Never raises for a poor fit: the caller reads `converged`. A bounded family whose steps keep leaving its domain is
    given up.
    """
    w = np.ones(len(y)) if weights is None else weights
    beta = _start(family, x, y, w) if start is None else np.asarray(start, dtype=np.float64)
    with np.errstate(all="ignore"):
        eta = x @ beta
        value = float(w @ family.log_likelihood(eta, y))
        scale = score_scale(x, y, w)
        gradient = x.T @ (w * family.score(eta, y))
        relative, moved, iteration, blocked = np.inf, np.inf, 0, 0
        while iteration < max_iterations and moved >= 1e-8 and np.isfinite(value) and blocked < BLOCKED_STEPS:
            iteration += 1
            solve = newton_solver(x, w * family.information(eta, y), w * family.score(eta, y))
            if solve is None:
                break
            move = x @ (step := solve(gradient))
            moved = float(np.max(np.abs(move)))  # the whole step: one that was cut short proves nothing
            size, value = _line_search(family, eta, move, y, w, value)
            blocked += family.bounded and size < 1.0
            beta = beta + size * step
            eta = x @ beta
            gradient = x.T @ (w * family.score(eta, y))
            if size == 1.0 and moved < 1e-3:
                beta, eta, gradient, moved = _refined(family, x, y, w, (beta, eta, gradient, moved), solve)
            relative = float(np.max(np.abs(gradient) / scale))
            if size == 0.0:
                break
        value = float(w @ family.log_likelihood(eta, y))
        converged = moved < 1e-8 and relative < 1e-9 and not vanished(family, x, family.mean(eta)).any()
    return Solution(beta, eta, value, converged, iteration, relative)


def vanished(family: Family, x: FloatArray, mean: FloatArray) -> BoolArray:
    """Rows (n,) whose fitted risk is all but 0 (in a logistic model also 1), if the others leave coefficients open.

    Then nothing but these rows holds some combination of coefficients, and it runs to infinity. A risk that is merely
    very small where the others determine everything is a risk like any other: then no row is marked.
    """
    rows = mean < NO_RISK
    if family is LOGISTIC:
        rows |= mean > 1 - NO_RISK
    if family.link == "identity" or not rows.any() or _determined(x[~rows]):
        return np.zeros(mean.shape, dtype=bool)
    return rows


def _determined(x: FloatArray) -> bool:
    """Whether the rows of x (m, p) have full column rank, to a relative 1e-9."""
    size = np.abs(x).max(axis=0, initial=0.0)
    if len(x) < x.shape[1] or not size.all():
        return False
    values = np.linalg.svd(np.linalg.qr(x / size, mode="r"), compute_uv=False)
    return bool(values[-1] > 1e-9 * values[0])


State = tuple[FloatArray, FloatArray, FloatArray, float]


def _refined(
    family: Family,
    x: FloatArray,
    y: FloatArray,
    w: FloatArray,
    state: State,
    solve: Callable[[FloatArray], FloatArray],
) -> State:
    """Up to four more steps with the information at hand, as long as each is a tenth of the one before or less."""
    for _ in range(4):
        beta, _, gradient, moved = state
        step = solve(gradient)
        further = float(np.max(np.abs(x @ step)))
        new = x @ (beta + step)
        if not further <= 0.1 * moved or not np.isfinite(family.log_likelihood(new, y)).all():
            break
        state = beta + step, new, x.T @ (w * family.score(new, y)), further
        if further < 1e-12:
            break
    return state


def score_scale(x: FloatArray, y: FloatArray, w: FloatArray) -> FloatArray:
    """The scale (p,) on which each component of a score is judged."""
    size = w * np.maximum(y, y.mean())
    if len(x) <= BLOCK:
        return np.asarray(np.abs(x).T @ size) + 1e-300
    parts = (np.abs(x[i : i + BLOCK]).T @ size[i : i + BLOCK] for i in range(0, len(x), BLOCK))
    return np.asarray(np.sum(list(parts), axis=0)) + 1e-300


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


def gram(x: FloatArray, weight: FloatArray | None = None) -> FloatArray:
    """The cross product x' diag(weight) x (p, p) of x (n, p), for weights (n,) of 0 or more, a block of rows a time."""
    n, p = x.shape
    root = None if weight is None else np.sqrt(weight)
    total = np.zeros((p, p))
    buffer = np.empty((min(n, BLOCK), p), order="F" if x.flags.f_contiguous else "C")
    for i in range(0, n, BLOCK):
        block = x[i : i + BLOCK]
        if root is not None:
            block = np.multiply(block, root[i : i + BLOCK, None], out=buffer[: len(block)])
        total += block.T @ block
    return total


def inverse_information(
    family: Family, x: FloatArray, y: FloatArray, eta: FloatArray, w: FloatArray, *, expected: bool = False
) -> FloatArray:
    """Inverse (p, p) of the observed (or expected) information of all n rows.

    By Cholesky, or through a QR decomposition of the weighted design where that does not keep eight digits. NaN where
    the information is singular.
    """
    weight = w * (family.expected if expected else family.information)(eta, y)
    inverse = cholesky_inverse(x, weight)
    if inverse is not None:
        return inverse
    try:
        with np.errstate(all="ignore"):
            root = np.sqrt(weight)
            d = 1 / np.sqrt(weight @ x**2)
            triangle = np.linalg.qr(x * root[:, None] * d, mode="r")
        if not np.isfinite(triangle).all() or len(triangle) < x.shape[1] or np.min(np.abs(np.diag(triangle))) < 1e-12:
            raise np.linalg.LinAlgError
        root = np.linalg.inv(triangle) * d[:, None]
        return np.asarray(root @ root.T)
    except np.linalg.LinAlgError:
        return np.full((x.shape[1], x.shape[1]), np.nan)


def cholesky_inverse(x: FloatArray, weight: FloatArray) -> FloatArray | None:
    """Inverse (p, p) of x' diag(weight) x, scaled to a unit diagonal; None where it would not keep eight digits."""
    with np.errstate(all="ignore"):
        information = gram(x, weight)
        d = 1 / np.sqrt(np.diag(information))
        scaled = information * d[:, None] * d
    if not np.isfinite(scaled).all():
        return None
    try:
        root = np.linalg.inv(np.linalg.cholesky(scaled)).T * d[:, None]
    except np.linalg.LinAlgError:
        return None
    return np.asarray(root @ root.T) if np.min(d / np.diag(root)) > 1e-4 else None


def flat_start(family: Family, x: FloatArray, y: FloatArray, w: FloatArray) -> FloatArray:
    """Coefficients that give everyone the mean risk; 0 if the first column of x is not the intercept."""
    mean = float(np.clip(w @ y / w.sum(), 1e-6, 1 - 1e-6 if family.name != "poisson" else np.inf))
    beta = np.zeros(x.shape[1])
    if not np.all(x[:, 0] == 1):
        return beta
    beta[0] = {"log": np.log(mean), "logit": np.log(mean) - np.log1p(-min(mean, 1 - 1e-6)), "identity": mean}[
        family.link
    ]
    return beta


def _start(family: Family, x: FloatArray, y: FloatArray, w: FloatArray) -> FloatArray:
    """The flat start, or for many rows the maximum of every so manieth of them, drawn into the domain of all."""
    flat = flat_start(family, x, y, w)
    every = len(y) // max(SUBSAMPLE, 100 * x.shape[1])
    if every < 3 or family is LEAST_SQUARES:
        return flat
    some = slice(None, None, every)
    if not 0 < y[some].sum() < len(y[some]):
        return flat
    beta = maximise(family, np.asfortranarray(x[some]), y[some], weights=w[some], start=flat, max_iterations=8)
    if not beta.converged:
        return flat
    floor = float(w @ family.log_likelihood(x @ flat, y))
    for size in (1.0, 0.5, 0.25):
        drawn = flat + size * (beta.coefficients - flat)
        with np.errstate(all="ignore"):
            if float(w @ family.log_likelihood(x @ drawn, y)) > floor:
                return drawn
    return flat


def newton_solver(x: FloatArray, weight: FloatArray, score: FloatArray) -> Callable[[FloatArray], FloatArray] | None:
    """Solves information @ step = gradient for the information x' diag(weight) x; None if that is singular.

    Where the information is too ill-conditioned for a Cholesky decomposition, by least squares on the weighted design,
    which keeps twice the digits (for the gradient x' score only).
    """
    information = gram(x, weight)
    diagonal = np.diag(information)
    if not np.all(np.isfinite(information)) or np.any(diagonal <= 0):
        return None
    d = 1 / np.sqrt(diagonal)
    try:
        half = np.linalg.inv(np.linalg.cholesky(information * d[:, None] * d))
        return lambda gradient: np.asarray(half.T @ (half @ (gradient * d)) * d)
    except np.linalg.LinAlgError:
        pass
    root = np.sqrt(weight)
    target = np.divide(score, root, out=np.zeros_like(score), where=root > 0)
    step, _, rank, _ = np.linalg.lstsq(x * root[:, None] * d, target, rcond=1e-13)
    return (lambda gradient: np.asarray(step * d)) if rank == x.shape[1] else None
