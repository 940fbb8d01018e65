"""Concave likelihoods with an edge: the models as convex programs, and the interior point method that solves them.

The log-likelihood sum w l(eta), eta = X beta, is concave, and so is the set it is maximised over:

    log-binomial        eta <= 0       of people with the outcome (the others keep off it by their likelihood)
    identity binomial   eta <= 1       of people with the outcome,  eta >= 0 of the others
    identity Poisson    eta >= 0       of people without the outcome

A primal-dual Newton iteration follows the logarithmic barrier mu * log(slack); its line search on the barrier function
makes it converge from any strictly feasible start. The barrier of the log-binomial model, mu log(-eta), is what the
COPY method's extra copies with the outcome reversed amount to (Petersen & Deddens 2008, doi 10.1186/1471-2288-8-9):
here their share goes to 0.

Reference: Boyd & Vandenberghe 2004, chapter 11, doi 10.1017/CBO9780511804441.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.models.solver import IDENTITY_BINOMIAL, LOG_BINOMIAL, Family, gram

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

MAX_ITERATIONS = 300
MU_START, MU_END = 0.1, 1e-11


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A model in coordinates gamma = `triangle` beta that make Z' diag(w) Z the identity; one row a pattern.

    The edge is `sign` * eta <= `cap` on the rows `edged`; `w` (m,) are weights, `share` (m,) those of the barrier,
    `of` (n,) the pattern of each row.
    """

    family: Family
    z: FloatArray
    y: FloatArray
    w: FloatArray
    sign: FloatArray
    cap: FloatArray
    edged: IntArray
    share: FloatArray
    triangle: FloatArray
    of: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Aim:
    """What an interior point method maximises: the log-likelihood plus `tilt` (p,) times gamma.

    It gives up where the log-likelihood falls below `stop`: a tilt may outweigh it without end.
    """

    tilt: FloatArray | None = None
    stop: float = -np.inf


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A strictly feasible point: `gamma` (p,), `eta` (m,), `slack` of the edged rows, log-likelihood and barrier."""

    gamma: FloatArray
    eta: FloatArray
    slack: FloatArray
    value: float
    barrier: float


def edges(family: Family, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """`sign` and `cap` (n,) of the edge sign * eta <= cap of each row; a sign of 0 where there is none."""
    event = y == 1
    if family is LOG_BINOMIAL:
        return event.astype(float), np.zeros(len(y))
    if family is IDENTITY_BINOMIAL:
        return np.where(event, 1.0, -1.0), event.astype(float)
    if family.name == "identity_poisson":
        return event - 1.0, np.zeros(len(y))
    return np.zeros(len(y)), np.zeros(len(y))


def program(family: Family, x: FloatArray, y: FloatArray, w: FloatArray) -> Program:
    """The model of x (n, p) of full column rank, equal rows taken together."""
    first, of = _patterns(np.column_stack([x, y]))
    total = np.bincount(of, weights=w).astype(np.float64)
    x, y = x[first], y[first]
    triangle = np.asarray(np.linalg.qr(x * np.sqrt(total)[:, None], mode="r"))
    sign, cap = edges(family, y)
    edged = np.flatnonzero(sign)
    z = np.linalg.solve(triangle.T, x.T).T
    return Program(family, z, y, total, sign[edged], cap[edged], edged, total[edged], triangle, of)


def _patterns(rows: FloatArray) -> tuple[IntArray, IntArray]:
    """The first of each set of equal rows, and the set of each row; each row by itself where few are equal."""
    each = np.arange(len(rows))
    spread = np.random.default_rng(0).normal(size=rows.shape[1])
    scale = np.abs(rows).max(axis=0)
    mixed = np.einsum("ij,j->i", rows, spread / np.where(scale > 0, scale, 1.0))
    _, first, of = np.unique(np.round(mixed, 10), return_index=True, return_inverse=True)
    same = len(first) < 0.7 * len(rows) and np.array_equal(rows[first[of.reshape(-1)]], rows)
    return (first, of.reshape(-1)) if same else (each, each)


# ---------------------------------------------------------------- interior point


def feasible(p: Program, near: FloatArray | None = None) -> FloatArray | None:
    """A point strictly inside the domain: `near`, one risk for everyone, or by linear programming; None if none is."""
    mean = float(np.clip(p.w @ p.y / p.w.sum(), 0.005, 0.995))
    level = np.log(mean) if p.family.link == "log" else mean
    flat = p.z.T @ (p.w * level)
    for gamma in (near, flat):
        if gamma is not None and np.isfinite(_point(p, Aim(), gamma, MU_START).barrier):
            return gamma
    return _feasible_by_linear_programming(p)


def _feasible_by_linear_programming(p: Program) -> FloatArray | None:
    from scipy.optimize import linprog

    size = np.abs(p.z).max()
    upper = p.family.link == "log" or p.family is IDENTITY_BINOMIAL
    rows, bounds = [], []
    if upper:
        rows.append(np.column_stack([p.z / size, np.ones(len(p.z))]))
        bounds.append(np.full(len(p.z), 0.0 if p.family.link == "log" else 1.0))
    if p.family.link == "identity":
        rows.append(np.column_stack([-p.z / size, np.ones(len(p.z))]))
        bounds.append(np.zeros(len(p.z)))
    limits = [(None, None)] * p.z.shape[1] + [(None, 0.1)]
    aim = np.append(np.zeros(p.z.shape[1]), -1.0)
    found = linprog(aim, A_ub=np.vstack(rows), b_ub=np.concatenate(bounds), bounds=limits, method="highs")
    gamma = None if found.x is None else np.asarray(found.x[:-1]) / size
    inside = gamma is not None and found.x[-1] > 1e-9 and np.isfinite(_point(p, Aim(), gamma, MU_START).barrier)
    return gamma if inside else None


def _point(p: Program, aim: Aim, gamma: FloatArray, mu: float) -> Point:
    eta = p.z @ gamma
    slack = p.cap - p.sign * eta[p.edged]
    with np.errstate(all="ignore"):
        value = float(p.w @ p.family.log_likelihood(eta, p.y)) if np.all(slack > 0) else -np.inf
        if not np.isfinite(value):
            return Point(gamma, eta, slack, value, np.inf)
        low = -value if aim.tilt is None else -value - float(aim.tilt @ gamma)
        barrier = low - mu * float(p.share @ np.log(slack))
    return Point(gamma, eta, slack, value, barrier if np.isfinite(barrier) else np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class Interior:
    """Where the interior point method ended: the point, multipliers by edged row, barrier weight, what is left over."""

    at: Point
    multipliers: FloatArray
    mu: float
    error: float
    iterations: int


def interior_point(
    p: Program, aim: Aim, start: FloatArray, *, mu: float = MU_START, mu_end: float = MU_END
) -> Interior:
    """Follow the barrier from a strictly feasible start, its weight falling from `mu` to `mu_end`.

    At the end multipliers * slack = mu * share, so what is maximised is within mu * sum of share of its best.
    """
    at = _point(p, aim, start, mu)
    nu = mu / at.slack
    error, short, iteration = np.inf, 0, 0
    while iteration < MAX_ITERATIONS and at.value >= aim.stop:
        iteration += 1
        with np.errstate(all="ignore"):
            gradient = p.z.T @ (p.w * p.family.score(at.eta, p.y))
        gradient = gradient if aim.tilt is None else gradient + aim.tilt
        error = _error(p, aim, at, gradient, (nu, mu))
        while error <= 10 * mu and mu > mu_end:
            mu = max(mu_end, min(0.1 * mu, mu**1.5))
            error = _error(p, aim, at, gradient, (nu, mu))
        if (error <= 10 * mu and mu <= mu_end) or short >= 3:
            break
        at = _point(p, aim, at.gamma, mu)
        step, slope = _direction(p, at, gradient, nu, mu)
        change = -p.sign * (p.z @ step)[p.edged]
        size, new = _search(p, aim, at, step, (mu, slope, change))
        short = short + 1 if size < 1e-8 else 0
        nu = _toward(nu, mu / at.slack - nu - nu / at.slack * change, mu / new.slack)
        at = new
    return Interior(at, p.share * nu, mu, error, iteration)


def _error(p: Program, aim: Aim, at: Point, gradient: FloatArray, dual: tuple[FloatArray, float]) -> float:
    """How far the conditions of a barrier's maximum are from holding, the gradient on its own scale."""
    nu, mu = dual
    residual = gradient - p.z[p.edged].T @ (p.sign * p.share * nu)
    scale = float(np.sqrt(p.w.sum())) + (0.0 if aim.tilt is None else float(np.linalg.norm(aim.tilt)))
    worst = float(np.max(np.abs(nu * at.slack - mu), initial=0.0))
    return max(worst, float(np.max(np.abs(residual))) / scale)


def _direction(p: Program, at: Point, gradient: FloatArray, nu: FloatArray, mu: float) -> tuple[FloatArray, float]:
    """The primal-dual Newton step, and the slope of the barrier function along it (negative: downhill)."""
    with np.errstate(all="ignore"):
        curvature = p.w * p.family.information(at.eta, p.y)
    curvature[p.edged] += p.share * nu / at.slack
    uphill = gradient - mu * (p.z[p.edged].T @ (p.sign * p.share / at.slack))
    step = solve_positive(gram(p.z, curvature), uphill)
    return step, -float(uphill @ step)


def solve_positive(a: FloatArray, b: FloatArray) -> FloatArray:
    """The solution of a s = b for a positive (semi)definite a (p, p), scaled, with a ridge if it must be."""
    d = 1 / np.sqrt(np.maximum(np.diag(a), 1e-300))
    scaled = a * d[:, None] * d
    for ridge in (0.0, 1e-14, 1e-12, 1e-10, 1e-6, 1.0):
        try:
            half = np.linalg.inv(np.linalg.cholesky(scaled + ridge * np.eye(len(b))))
            return np.asarray(half.T @ (half @ (b * d)) * d)
        except np.linalg.LinAlgError:
            continue
    return b


def _search(
    p: Program, aim: Aim, at: Point, step: FloatArray, along: tuple[float, float, FloatArray]
) -> tuple[float, Point]:
    """A step that keeps 1 % of the slack (less as mu falls) and lowers the barrier function (Armijo)."""
    mu, slope, change = along
    keep = min(0.01, mu)
    closing = change < 0
    size = min(1.0, (1 - keep) * float(np.min(at.slack[closing] / -change[closing], initial=np.inf)))
    while True:
        new = _point(p, aim, at.gamma + size * step, mu)
        if new.barrier <= at.barrier + 1e-4 * size * slope + 1e-14 * abs(at.barrier):
            return size, new
        size /= 2
        if size < 1e-14:
            return 0.0, at


def _toward(value: FloatArray, change: FloatArray, central: FloatArray) -> FloatArray:
    """A multiplier after its step, kept positive and within a factor 1e10 of its central value."""
    return np.asarray(np.clip(np.maximum(value + change, 0.005 * value), 1e-10 * central, 1e10 * central))
