"""Profile-likelihood limits and likelihood-ratio P values: inference that holds where a maximum is on the boundary.

The limits of a contrast c'b at level 1 - alpha are the least and the greatest c'b among all coefficients b with

    2 (l(max) - l(b)) <= z^2,     z the standard normal quantile of 1 - alpha/2,

and its P value refers 2 (l(max) - l(max with c'b = 0)) to the chi-square distribution with one degree of freedom. Both
likelihoods are maximised under the constraints of the model, so that every b counted gives risks of 1 at most. The set
of such b is convex, so each limit is the value of a convex program, found through its dual with bounds from either
side (`gap`): there is no search that could miss it. A limit is infinite where the likelihood never falls that far, as
below a level without events.

The chi-square reference is that of a true value inside the parameter space. If nobody's true risk is 1, a maximum on
the boundary is an event of the sample: the constraints hold in both likelihoods, and in large samples the reference is
exact. If some true risks are 1, the distribution of the likelihood ratio is a mixture that depends on the angle between
contrast and edge (Self & Liang 1987), and the reference an approximation. In simulations of a slope (600 samples each,
60 or 200 people, largest true risk 0.95 or 1, 21 to 64 % of maxima on the boundary) 95 % limits covered 96 to 97 %.

References: Venzon & Moolgavkar 1988, doi 10.2307/2347496; Self & Liang 1987, doi 10.1080/01621459.1987.10478472.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from walkrisk.models.barrier import Aim, Program, feasible, interior_point, program
from walkrisk.models.fit import FAMILIES, Fit, solve, used_part
from walkrisk.models.support import independent_columns, null_space

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

ACCURACY = 1e-10  # of a limit, in units near its standard error
EVALUATIONS = 100
STEEP = 3e7  # times as much tilt as a quadratic profile takes: the edge of the domain comes before the limit
ROUGH = 1e-4  # of the interval's width: a limit known no better is not given
WITHOUT_PROFILE = ("linear", "cox")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileInterval:
    """Limits of a contrast by profile likelihood, on the scale of the linear predictor.

    `estimate` is the contrast at the maximum (infinite where the maximum is a limit there, NaN where it is not
    unique), `low` and `high` may be infinite. `statistic` and `p_value` test a contrast of 0 (NaN where a contrast of 0
    leaves no risks strictly inside the domain). `gap` bounds the error of the limits; a limit not known to 1e-4 of the
    interval's width is NaN. `verdict` is empty, or a sentence where something must be known of the limits.
    """

    estimate: float
    low: float
    high: float
    statistic: float
    p_value: float
    gap: float
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LikelihoodRatio:
    """Twice the log-likelihood that `df` linear constraints on the coefficients cost, and its chi-square P value."""

    statistic: float
    df: int
    p_value: float


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """What a profile runs over: rows, and columns `at` of the design; whether the rows used determine the contrasts."""

    x: FloatArray
    y: FloatArray
    w: FloatArray
    at: IntArray
    determined: bool


def profile_interval(fit: Fit, contrast: FloatArray, *, conf_level: float = 0.95) -> ProfileInterval:
    """The profile-likelihood interval and likelihood-ratio P value of contrast' beta.

    `contrast` (p,) is over the columns of the whole design. A contrast that rests on people set aside (a level without
    events) is profiled over everyone, its likelihood's supremum being that of the fit: then one limit is infinite.

    Raises ValueError for a model without a likelihood of this kind (least squares, Cox), a fit that did not converge,
    a contrast of 0, one of columns that are combinations of others, and a level outside 0 to 1.
    """
    if not 0 < conf_level < 1:
        raise ValueError(f"A confidence level lies between 0 and 1, so {conf_level:g} is none.")
    contrasts = np.asarray(contrast, dtype=np.float64)[None, :]
    sample = _sample(fit, contrasts)
    c = contrasts[0, sample.at]
    drop = NormalDist().inv_cdf((1 + conf_level) / 2) ** 2 / 2
    p = program(FAMILIES[fit.method], sample.x, sample.y, sample.w)
    begin = _start(p, fit, sample, drop)
    open_below, open_above = (False, False) if sample.determined else _open_ends(fit, sample, c)
    low, low_gap = (np.inf, 0.0) if open_below else _limit(p, begin, -c, fit.log_likelihood, drop)
    high, high_gap = (np.inf, 0.0) if open_above else _limit(p, begin, c, fit.log_likelihood, drop)
    size = low + high if np.isfinite(low + high) else abs(low if open_above else high)
    low, high = (limit if gap <= ROUGH * size else np.nan for limit, gap in ((-low, low_gap), (high, high_gap)))
    test = likelihood_ratio_test(fit, contrasts)
    return ProfileInterval(
        estimate=_estimate(fit, contrasts[0], (open_below, open_above)),
        low=low,
        high=high,
        statistic=test.statistic,
        p_value=test.p_value,
        gap=max(low_gap, high_gap),
        verdict=_verdict((low, high), max(low_gap, high_gap), size, open_below, open_above),
    )


def likelihood_ratio_test(fit: Fit, contrasts: FloatArray) -> LikelihoodRatio:
    """The likelihood-ratio test that contrasts (k, p) @ beta = 0, under the constraints of the model.

    Raises ValueError as `profile_interval` does, and for contrasts that are combinations of each other.
    """
    contrasts = np.asarray(contrasts, dtype=np.float64)
    sample = _sample(fit, contrasts)
    rows = contrasts[:, sample.at]
    if len(independent_columns(rows.T)) < len(rows):
        raise ValueError("The contrasts to be tested must not be combinations of each other.")
    top = _highest(fit, sample, rows)
    if sample.determined and np.all(np.abs(rows @ fit.coefficients[sample.at]) <= 1e-12 * np.abs(rows).sum(axis=1)):
        top = fit.log_likelihood  # the null holds at the maximum itself, perhaps on the edge
    statistic = float(np.maximum(2 * (fit.log_likelihood - top), 0.0))
    df = len(rows)
    return LikelihoodRatio(statistic=statistic, df=df, p_value=_chi_square_tail(statistic, df))


def _chi_square_tail(statistic: float, df: int) -> float:
    """The upper tail in closed form: Q(1) = erfc(sqrt h), Q(2) = e^-h, Q(k+2) = Q(k) + h^(k/2) e^-h / Gamma(k/2+1)."""
    h = statistic / 2
    if math.isnan(h):
        return h
    if h <= 0:
        return 1.0
    if math.isinf(h):
        return 0.0
    tail = math.erfc(math.sqrt(h)) if df % 2 else math.exp(-h)
    for k in range(2 - df % 2, df, 2):
        tail += math.exp(k / 2 * math.log(h) - h - math.lgamma(k / 2 + 1))
    return tail


# ---------------------------------------------------------------- the rows and columns a contrast needs


def _sample(fit: Fit, contrasts: FloatArray) -> _Sample:
    if fit.method in WITHOUT_PROFILE or fit.outcome is None or fit.weights is None or fit.everyone is None:
        raise ValueError(f"There is no profile likelihood of a {fit.method} fit; its Wald limits stand.")
    if not fit.converged:
        raise ValueError("The fit did not converge, so its likelihood has no profile.")
    if contrasts.ndim != 2 or contrasts.shape[1] != len(fit.names) or not np.isfinite(contrasts).all():
        raise ValueError("A contrast needs one finite number for each column of the design.")
    if not contrasts.any(axis=1).all():
        raise ValueError("A contrast of 0 in every column has no limits.")
    asked = contrasts.any(axis=0)
    lost = ~fit.estimable if fit.certificate is None else ~fit.estimable & ~_flat(fit)
    if not np.any(asked & (lost | ~fit.estimated)):
        return _Sample(fit.x, fit.outcome, fit.weights, np.flatnonzero(fit.estimated), True)
    y, w = fit.everyone
    rows = w > 0
    at = independent_columns(used_part(fit.design.matrix, rows, np.arange(len(fit.names))))
    if outside := [fit.names[c] for c in np.flatnonzero(asked) if c not in at]:
        raise ValueError(f"{', '.join(outside)}: left out as a combination of other columns, so it has no limits.")
    return _Sample(used_part(fit.design.matrix, rows, at), y[rows], w[rows], at, False)


def _flat(fit: Fit) -> BoolArray:
    """Columns (p,) that equally good maxima have different coefficients of."""
    out = np.zeros(len(fit.names), dtype=bool)
    if fit.certificate is not None:
        out[fit.estimated] = fit.certificate.flat
    return out


def _open_ends(fit: Fit, sample: _Sample, c: FloatArray) -> tuple[bool, bool]:
    """Whether the contrast can fall, or rise, for ever at the supremum of the likelihood.

    It can along d if X d = 0 for the rows used and X d <= 0 for those set aside (>= 0 if they have the outcome).
    """
    from scipy.optimize import linprog

    assert fit.everyone is not None
    aside = ~fit.rows[fit.everyone[1] > 0]
    free = null_space(sample.x[~aside] / (size := np.abs(sample.x).max(axis=0)))
    fall = np.where(sample.y == 1, -1.0, 1.0)[aside, None] * (sample.x[aside] / size) @ free
    aim = (c / size) @ free
    aim = aim / max(np.abs(aim).max(initial=0.0), 1e-300)
    ends = []
    for sign in (1.0, -1.0):
        found = linprog(
            sign * aim, A_ub=np.unique(fall, axis=0), b_ub=np.zeros(len(np.unique(fall, axis=0))), bounds=(-1, 1)
        )
        ends.append(bool(found.x is not None and found.fun < -1e-6))
    return ends[0], ends[1]


# ---------------------------------------------------------------- limits and the likelihood under the null


def _start(p: Program, fit: Fit, sample: _Sample, drop: float) -> FloatArray:
    """A strictly feasible point whose log-likelihood is within a tenth of `drop` of the highest."""
    near = None
    if sample.determined and not fit.boundary:
        near = p.triangle @ fit.coefficients[fit.estimated]
    begin = feasible(p, near)
    if begin is None:
        raise ValueError("No coefficients give everyone a risk inside the domain of this model.")
    if near is not None and begin is near:
        return begin
    end = 0.1 * drop / p.w.sum()
    return interior_point(p, Aim(), begin, mu=max(0.1, end), mu_end=end).at.gamma


def _limit(p: Program, begin: FloatArray, c: FloatArray, top: float, drop: float) -> tuple[float, float]:
    """The greatest c'beta with a log-likelihood of top - drop or more, from below, and a bound of its error.

    Every kappa > 0 gives, by maximising l + kappa c'beta, an upper bound (max - floor) / kappa of the limit; two
    feasible points with a likelihood above and below the floor give a lower one, where their chord crosses it. kappa
    follows that of a quadratic profile, kept between those already known to be too small and too large.
    """
    direction = np.asarray(np.linalg.solve(p.triangle.T, c), dtype=np.float64)
    length, floor = float(np.linalg.norm(direction)), top - drop
    total = max(float(p.share.sum()), 1.0)
    mu, mu_end = max(0.1 * drop / total, 1e-13), max(ACCURACY * drop / total, 1e-14)
    kappa, bracket = float(np.sqrt(2 * drop)) / length, _Bracket()
    over, under = (float(direction @ begin), _value(p, begin)), (np.nan, -np.inf)
    upper, lower = np.inf, -np.inf
    for _ in range(EVALUATIONS):
        aim = Aim(kappa * direction, floor - 200 * (1 + drop))
        weight = max(1.0, kappa * length / np.sqrt(2 * drop))  # of the tilt: what is asked for is its accuracy
        found = interior_point(p, aim, begin, mu=mu * weight, mu_end=mu_end * weight)
        theta, value = float(direction @ found.at.gamma), found.at.value
        ended = value >= aim.stop and found.mu <= mu_end * weight
        if ended:
            excess = found.mu * total + found.error * (np.sqrt(p.w.sum()) + kappa * length)
            upper = min(upper, theta + (value + excess - floor) / kappa)
        if value >= floor:
            over, lower = max(over, (theta, value)), max(lower, theta)
        else:
            under = (theta, value)
        if np.isfinite(under[1]):
            share = (over[1] - floor) / (over[1] - under[1])
            lower = max(lower, over[0] + share * (under[0] - over[0]))
        bracket = bracket.narrowed(kappa, (top - value) / drop if ended else np.inf)
        if upper - lower <= ACCURACY * length * 10 or bracket.closed or weight > STEEP:
            break
        kappa = bracket.next()
    return lower, max(float(upper - lower), 0.0)


@dataclass(frozen=True, slots=True)
class _Bracket:
    """Logs of a kappa too small and one too large, of how far (in what is asked for) the likelihood falls at each.

    `halve` says that the last step did not halve the bracket, so that the next one must.
    """

    small: float = -np.inf
    large: float = np.inf
    fallen_small: float = -np.inf
    fallen_large: float = np.inf
    halve: bool = False

    @property
    def closed(self) -> bool:
        return self.large - self.small <= 1e-14

    def narrowed(self, kappa: float, fallen: float) -> _Bracket:
        """The bracket once a kappa is known to let the log-likelihood fall by `fallen` times what it should."""
        at, by = math.log(kappa), math.log(max(fallen, 1e-12)) if np.isfinite(fallen) else np.inf
        width = self.large - self.small
        new = replace(self, small=at, fallen_small=by) if by <= 0 else replace(self, large=at, fallen_large=by)
        return replace(new, halve=np.isfinite(width) and new.large - new.small > 0.5 * width)

    def next(self) -> float:
        """As if the fall were a power of kappa (a quadratic profile: its square), between the two bounds."""
        if np.isinf(self.large):
            return math.exp(self.small + min(max(-0.5 * self.fallen_small, 0.1), 3.0))
        if np.isinf(self.small):
            return math.exp(self.large - (min(max(0.5 * self.fallen_large, 0.1), 3.0) if self.known else 1.4))
        share = 0.5
        if self.known and not self.halve:
            share = min(max(self.fallen_small / (self.fallen_small - self.fallen_large), 0.001), 0.999)
        return math.exp(self.small + share * (self.large - self.small))

    @property
    def known(self) -> bool:
        return bool(np.isfinite(self.fallen_large))


def _value(p: Program, gamma: FloatArray) -> float:
    with np.errstate(all="ignore"):
        return float(p.w @ p.family.log_likelihood(p.z @ gamma, p.y))


def _estimate(fit: Fit, contrast: FloatArray, ends: tuple[bool, bool]) -> float:
    if any(ends):
        return float("nan") if all(ends) else -np.inf if ends[0] else np.inf
    used = contrast != 0
    return float(contrast[used] @ fit.coefficients[used]) if fit.estimable[used].all() else float("nan")


def _verdict(limits: tuple[float, float], gap: float, size: float, below: bool, above: bool) -> str:
    said = []
    if lost := [name for name, limit in zip(("lower", "upper"), limits, strict=True) if np.isnan(limit)]:
        said.append(f"The {' and '.join(lost)} profile-likelihood limit was not found, so none is given.")
    elif gap > 1e-6 * size:
        said.append(f"The profile-likelihood limits are known to {gap:.1e} only.")
    if below or above:
        side = "on either side" if below and above else "below" if below else "above"
        said.append(f"The likelihood never falls far enough {side}, so there is no finite limit there.")
    return " ".join(said)


def _highest(fit: Fit, sample: _Sample, rows: FloatArray) -> float:
    """The highest log-likelihood with rows (k, q) @ beta = 0; NaN if no risks strictly inside the domain are left."""
    family = FAMILIES[fit.method]
    x = np.asfortranarray(sample.x @ _kernel(rows, np.abs(sample.x).max(axis=0)))
    if not x.shape[1]:
        with np.errstate(all="ignore"):
            return float(sample.w @ family.log_likelihood(np.zeros(len(sample.y)), sample.y))
    everyone = np.ones(len(sample.y), dtype=bool)
    solved = solve(family, x, sample.y, sample.w, rows=everyone, independent=np.arange(x.shape[1]))
    assert solved.solution is not None
    if solved.solution.converged:
        return solved.solution.log_likelihood
    if family.bounded and feasible(program(family, x, sample.y, sample.w)) is None:
        return float("nan")
    raise ValueError("The model without the contrast did not converge, so there is no likelihood-ratio test of it.")


def _kernel(rows: FloatArray, size: FloatArray) -> FloatArray:
    """A basis (q, q - k) of the coefficients with rows (k, q) @ beta = 0, by elimination: most columns stay.

    `size` (q,) is that of the columns of the design: the pivots are the largest in their units.
    """
    left = rows / size
    left = left / np.abs(left).max(axis=1, keepdims=True)
    pivots: list[int] = []
    for i in range(len(left)):
        open_columns = np.abs(left[i])
        open_columns[pivots] = 0.0
        pivots.append(int(np.argmax(open_columns)))
        left[i] /= left[i, pivots[i]]
        for k in range(len(left)):
            if k != i:
                left[k] -= left[k, pivots[i]] * left[i]
    kept = [c for c in range(rows.shape[1]) if c not in pivots]
    basis = np.zeros((rows.shape[1], len(kept)))
    basis[kept, np.arange(len(kept))] = 1.0
    basis[pivots] = -left[:, kept] * size[kept] / size[pivots][:, None]
    return basis
