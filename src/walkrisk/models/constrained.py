"""The maximum of a log-binomial or identity-link model wherever it lies, with its certificate.

b maximises the concave log-likelihood within the edge of its domain (`barrier`) if and only if there are multipliers
lambda >= 0 of the rows that lie on the edge with

    score(b) = sum of lambda * sign * x over these rows        (Karush, Kuhn & Tucker)

Newton's method goes first. If the edge is in its way the interior point method follows, and from its end an active-set
Newton iteration that puts the rows on the edge exactly on it. The certificate takes the result, b and lambda, and no
word of whatever found it: the slack of every row, who lies on the edge, the sign of lambda and what is left of the
score are computed from these two. b is judged in the coordinates (p,) that make the columns orthonormal.

References: Boyd & Vandenberghe 2004, chapters 5 and 11, doi 10.1017/CBO9780511804441; on why other programs fail here,
Williamson, Eliasziw & Fick 2013, doi 10.1186/1742-7622-10-14.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from walkrisk.models.barrier import Aim, Interior, Program, feasible, interior_point, program, solve_positive
from walkrisk.models.solver import Family, Solution, gram, score_scale

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]
Verdict = Literal["interior", "boundary", "none"]

ON_EDGE = 1e-9  # slack in units of eta
ROUNDING = 1e-10  # what rounding may leave of a slack of 0, relative to the largest term of a linear predictor (or 1)
FLAT = 1e-10  # curvature, relative to the largest, below which a direction has none
STATIONARY = 1e-9  # what is left of the score, relative to it, once the multipliers are taken off
NEARLY, GAP = 1e-6, 1e-9  # the least a certificate asks of the KKT residual, and of the gap for its likelihood
ROUNDS = 40


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Certificate:
    """Why a fit is a maximum.

    `verdict`: an interior maximum, one on the boundary, or none found. `kkt_residual` is the largest component of
    score - sum of lambda x, each on its own scale (sum of |x| times the larger of outcome and mean). `gap` bounds how
    much higher the log-likelihood could be: sum of lambda times slack (a bound by concavity) plus half the Newton
    decrement of the residual (to second order). No maximum is certified for a row beyond the edge by more than
    rounding, or for a lambda below 0. `active` (m,) marks the rows that lie on the edge, in
    `active_patterns` distinct patterns of covariates; `multipliers` (m,) are their lambda, in people, all at least 0.
    `flat` (p,) marks coefficients that equally good maxima have different values of.
    """

    verdict: Verdict
    kkt_residual: float
    gap: float
    active: BoolArray
    active_patterns: int
    multipliers: FloatArray
    flat: BoolArray


def maximum_on_the_edge(
    family: Family, x: FloatArray, y: FloatArray, w: FloatArray, found: Solution
) -> tuple[Solution, Certificate]:
    """The maximum over coefficients (p,) that Newton's method did not reach (`found`), on the edge or not.

    For x (n, p) of full column rank, 0/1 outcome y (n,) and weights above 0. There is one in finite coefficients
    unless people without the outcome can be given ever lower risks at no cost to the others
    (`support.separated_rows`): these must be gone.
    """
    made = program(family, x, y, w)
    begin = feasible(made)
    if begin is None:
        return found, interior_certificate(found, x.shape[1])
    inner = interior_point(made, Aim(), begin)
    end = _on_the_edge(made, inner) or _as_it_is(inner)
    return _judged(made, end, (x, y, w), found.iterations + inner.iterations)


def interior_certificate(found: Solution, p: int) -> Certificate:
    """The certificate of a maximum that no edge holds; its gap is the caller's to fill in from the information."""
    n = len(found.eta)
    nothing = np.zeros(n, dtype=bool)
    verdict: Verdict = "interior" if found.converged else "none"
    return Certificate(
        verdict=verdict,
        kkt_residual=found.relative_score,
        gap=np.inf,
        active=nothing,
        active_patterns=0,
        multipliers=np.zeros(n),
        flat=np.zeros(p, dtype=bool),
    )


@dataclass(frozen=True, slots=True, eq=False)
class End:
    """A candidate maximum: gamma (p,), the edged rows that are active, their multipliers, flat directions (p, k)."""

    gamma: FloatArray
    active: IntArray
    multipliers: FloatArray
    flat: FloatArray


def _as_it_is(inner: Interior) -> End:
    active = np.flatnonzero(inner.at.slack <= 1e-6)
    return End(inner.at.gamma, active, inner.multipliers[active], np.zeros((len(inner.at.gamma), 0)))


def _on_the_edge(p: Program, inner: Interior) -> End | None:
    """The maximum with its active rows exactly on the edge, or None if no set of them satisfies the conditions."""
    nu = inner.multipliers / p.share
    active = set(np.flatnonzero(inner.at.slack < np.minimum(1e-4, 1e-3 * nu)).tolist())
    for _ in range(ROUNDS):
        rows = np.array(sorted(active), dtype=np.intp)
        normals = p.z[p.edged[rows]] * p.sign[rows][:, None]
        gamma, flat = _within(p, inner.at.gamma, normals, p.cap[rows])
        eta = p.z @ gamma
        slack = p.cap - p.sign * eta[p.edged]
        off = float(np.max(np.abs(slack[rows]), initial=0.0))  # not 0: these rows cannot all be on the edge
        if (worst := int(np.argmin(slack))) not in active and slack[worst] < -1e-11:
            active.add(worst)
            continue
        eta = _inside(p, eta, rows)
        with np.errstate(all="ignore"):
            gradient = p.z.T @ (p.w * p.family.score(eta, p.y))
            possible = np.isfinite(p.family.log_likelihood(eta, p.y)).all()
        if not (possible and np.isfinite(gradient).all()):
            return None
        multipliers, rest = _nonnegative(normals, gradient)
        if np.max(np.abs(rest)) <= STATIONARY * (1 + np.max(np.abs(gradient))):
            return End(gamma, rows, multipliers, flat) if off <= ON_EDGE else None
        leaving = normals @ rest < -1e-10 * np.linalg.norm(rest) * np.linalg.norm(normals, axis=1)
        if not leaving.any():
            return None
        active -= set(rows[leaving].tolist())
    return None


def _inside(p: Program, eta: FloatArray, active: IntArray) -> FloatArray:
    """`eta` with the active rows exactly on the edge, free of rounding."""
    out = eta.copy()
    out[p.edged[active]] = (p.cap * p.sign)[active]
    return out


def _within(p: Program, gamma: FloatArray, normals: FloatArray, cap: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Newton's method with normals @ gamma = cap held: where it ends, and the directions (p, k) it finds flat."""
    free = np.eye(len(gamma))
    if len(normals):
        size = np.linalg.norm(normals, axis=1)
        _, values, right = np.linalg.svd(normals / size[:, None], full_matrices=True)
        rank = int(np.sum(values > 1e-9 * values[0]))
        span, free = right[:rank], right[rank:].T
        target = np.linalg.lstsq((normals / size[:, None]) @ span.T, cap / size, rcond=None)[0]
        gamma = free @ (free.T @ gamma) + span.T @ target
    if not free.shape[1]:
        return gamma, free
    eta = p.z @ gamma
    with np.errstate(all="ignore"):
        bent = p.w * np.minimum(np.nan_to_num(p.family.information(eta, p.y), posinf=1.0), 1.0)
    values, vectors = np.linalg.eigh(gram(p.z @ free, bent))
    flat = values <= FLAT * values[-1]
    moves = free @ vectors[:, ~flat]
    zm = p.z @ moves
    for _ in range(30):
        eta = p.z @ gamma
        with np.errstate(all="ignore"):
            curvature = p.w * np.nan_to_num(p.family.information(eta, p.y), posinf=0.0)
            score = zm.T @ (p.w * np.nan_to_num(p.family.score(eta, p.y), posinf=0.0, neginf=0.0))
        gamma, moved = _guarded(p, gamma, moves @ solve_positive(gram(zm, curvature), score))
        if moved < 1e-13:
            break
    return gamma, free @ vectors[:, flat]


def _guarded(p: Program, gamma: FloatArray, step: FloatArray) -> tuple[FloatArray, float]:
    """The step, halved until nobody leaves the likelihood's own domain; and how far it moved any linear predictor."""
    size = 1.0
    kind = p.family.link
    event = p.y == 1
    while size > 1e-12:
        eta = p.z @ (gamma + size * step)
        own = -eta[~event] if kind == "log" else eta[event]
        other = 1 - eta[~event] if p.family.name == "identity_binomial" else np.ones(1)
        if np.all(own > 0) and np.all(other > 0):
            return gamma + size * step, float(np.max(np.abs(p.z @ step)))
        size /= 2
    return gamma, 0.0


def _nonnegative(normals: FloatArray, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Multipliers of 0 or more that bring normals' @ multipliers nearest to the gradient, and what is left of it."""
    if not len(normals):
        return np.zeros(0), gradient
    from scipy.optimize import nnls

    size = np.linalg.norm(normals, axis=1)
    scaled = normals.T / size
    try:
        found = nnls(scaled, gradient, maxiter=50 * max(scaled.shape))[0]
    except RuntimeError:
        found = np.maximum(np.linalg.lstsq(scaled, gradient, rcond=None)[0], 0)
    used = found > 0  # solved once more on those used, for the last digits
    if used.any():
        again = np.linalg.lstsq(scaled[:, used], gradient, rcond=None)[0]
        if np.all(again >= 0):
            found[used] = again
    return found / size, gradient - scaled @ found


def _judged(
    p: Program, end: End, data: tuple[FloatArray, FloatArray, FloatArray], steps: int
) -> tuple[Solution, Certificate]:
    """The solution and its certificate, recomputed in the original coordinates."""
    x, y, w = data
    beta = np.asarray(np.linalg.solve(p.triangle, end.gamma), dtype=np.float64)
    eta, slack, inside = _slacks(p, end.gamma)
    nu = np.zeros(len(p.edged))
    nu[end.active] = end.multipliers
    with np.errstate(all="ignore"):
        value = float(p.w @ p.family.log_likelihood(eta, p.y))
        score = p.w * p.family.score(eta, p.y)
    score[p.edged] -= nu * p.sign
    rest = p.z.T @ score
    relative = float(np.max(np.abs(p.triangle.T @ rest) / score_scale(x, y, w)))
    information = gram(p.z, p.w * np.minimum(np.nan_to_num(p.family.information(eta, p.y)), 1e8))
    values, vectors = np.linalg.eigh(information)
    decrement = np.sum((vectors.T @ rest) ** 2 / np.maximum(values, 1e-8 * max(values[-1], 1.0)))
    gap = float(nu @ slack + 0.5 * decrement)
    on = slack <= ON_EDGE
    mark = np.zeros(len(p.z), dtype=bool)
    mark[p.edged[on]] = True
    multiplier = np.zeros(len(p.z))
    multiplier[p.edged[on]] = nu[on] / p.w[p.edged[on]]
    moves = np.abs(np.linalg.solve(p.triangle, end.flat)) * np.linalg.norm(p.triangle, axis=0)[:, None]
    inside = inside and bool(np.all(nu >= 0)) and bool(np.isfinite(value))
    converged = inside and relative < NEARLY and gap < GAP * (1 + abs(value))
    verdict: Verdict = ("boundary" if on.any() else "interior") if converged else "none"
    certificate = Certificate(
        verdict=verdict,
        kkt_residual=relative,
        gap=gap,
        active=mark[p.of],
        active_patterns=len(np.unique(p.z[mark], axis=0)),
        multipliers=w * multiplier[p.of],
        flat=(moves > 1e-6 * max(1.0, float(moves.max(initial=0.0)))).any(axis=1),
    )
    return Solution(beta, eta[p.of], value, converged, steps, relative), certificate


def _slacks(p: Program, gamma: FloatArray) -> tuple[FloatArray, FloatArray, bool]:
    """Linear predictors (m,) and slacks of the edged rows at gamma, and whether nobody is beyond the edge.

    What is within rounding of the edge, on either side, is put on it: beyond, a likelihood has no value.
    """
    eta = p.z @ gamma
    slack = p.cap - p.sign * eta[p.edged]
    tolerance = ROUNDING * max(1.0, float(np.max(np.abs(p.z) @ np.abs(gamma))))
    near = np.abs(slack) <= tolerance
    eta[p.edged[near]] = (p.cap * p.sign)[near]
    return eta, np.where(near, 0.0, slack), bool(np.all(slack >= -tolerance))
