"""What an adjusted ratio would be if those lost to follow-up had had other risks: worst cases, and k times the risk.

Each lost person j enters the outcome model with an assumed risk p_j in place of the outcome: as two rows, an event of
weight p_j and none of weight 1 - p_j, which is the same score. With r_j the risk of those followed (the risk that the
model fitted to them gives people with the same exposure and covariates, or that of the exposure category) and a_j the
exposure category,

    risk scale  p_j = k(a_j) r_j          odds scale  p_j / (1 - p_j) = k(a_j) r_j / (1 - r_j)

or p_j is set, 0 and 1 being the worst cases. With the model as anchor and k = 1 everywhere the estimates, and their
variance, are those of the people followed. Assumed: k holds within the category whatever the covariates.

The variance is that of the stacked equations: the score of person i and, as r is estimated, sum_j (d score_j/d r_j)
(d r_j/d theta) IF_theta,i. Risks that are set are taken as if they had been observed.

References: White, Carpenter & Horton 2018 doi 10.5705/ss.202016.0308 (mean score);
White, Higgins & Wood 2008 doi 10.1002/sim.3008 (informative missingness); Horowitz & Manski 2000
doi 10.1080/01621459.2000.10473902 (worst cases).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from walkrisk.models.design import Design
from walkrisk.models.fit import FAMILIES, Fit, fit_model

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]
Scale = Literal["risk", "odds"]
Anchor = Literal["model", "category"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lost:
    """Those followed and those lost, ready to be given risks.

    Of n people, `followed` (n,) have an outcome; `levels` (n,) is the exposure category 0 .. K-1. `twice` is the design
    of the followed, then of the lost as events, then of the lost without. `fit` is the model of the followed and
    `own` (n, q) everyone's influence on its coefficients. `risks` (m,) are those of the m lost under the `anchor`, and
    `slope` (m, r) their derivative by what the anchor estimates, whose influence is `of_anchor` (n, r).
    """

    method: str
    followed: BoolArray
    levels: IntArray
    y: FloatArray
    sampling: FloatArray
    twice: Design
    fit: Fit
    own: FloatArray
    anchor: Anchor
    risks: FloatArray
    slope: FloatArray
    of_anchor: FloatArray
    engine: str

    @property
    def lost_levels(self) -> IntArray:
        """The exposure category (m,) of those lost."""
        return self.levels[~self.followed]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Assumed:
    """An outcome model with assumed risks (m,) of those lost, and each person's influence (n, q) on it."""

    fit: Fit
    risks: FloatArray
    influence: FloatArray


def prepare(
    method: str,
    design: Design,
    y: FloatArray,
    followed: BoolArray,
    levels: IntArray,
    *,
    anchor: Anchor = "model",
    sampling: FloatArray | None = None,
    engine: str = "newton",
) -> Lost:
    """Fit `method` to the followed of n people (design (n, p), outcome y (n,), not looked at for those lost).

    Raises ValueError if nobody or everybody was lost, if the model of the followed has no Wald variance, or if with
    the category as anchor nobody in some category with losses was followed.
    """
    if followed.all():
        raise ValueError("Nobody was lost to follow-up, so there is no worst case; leave this analysis out.")
    if not followed.any():
        raise ValueError("Everybody was lost to follow-up, so there is no risk to start from; check the step of loss.")
    s = np.ones(len(y)) if sampling is None else sampling
    fit = fit_model(method, _rows(design, np.flatnonzero(followed)), y[followed], weights=s[followed], engine=engine)
    if not fit.converged or not fit.wald:
        raise ValueError("The model of those followed gives no estimate with a variance; choose modified_poisson.")
    own = np.zeros((len(y), fit.parameters))
    here = np.flatnonzero(followed)[fit.rows]
    own[here] = fit.scores @ fit.bread
    lost = np.flatnonzero(~followed)
    at = np.flatnonzero(fit.estimated)
    if anchor == "model":
        if not fit.rows.all():
            raise ValueError(
                "In some group of the covariates nobody followed has the outcome, so that the model gives no risk for "
                "those lost there; merge categories, or take the exposure category as anchor."
            )
        x = design.matrix[np.ix_(lost, at)]
        eta = x @ fit.coefficients[at]
        risks = FAMILIES[method].mean(eta)
        gradient = {"log": risks, "logit": risks * (1 - risks), "identity": np.ones(len(lost))}[fit.link]
        slope, of_anchor = x * gradient[:, None], own
    else:
        risks, slope, of_anchor = _by_category(y, followed, levels, s)
    return Lost(
        method=method,
        followed=followed,
        levels=levels,
        y=y[followed],
        sampling=s,
        twice=_rows(design, np.concatenate([np.flatnonzero(followed), lost, lost])),
        fit=fit,
        own=own,
        anchor=anchor,
        risks=risks,
        slope=slope,
        of_anchor=of_anchor,
        engine=engine,
    )


def _rows(design: Design, at: IntArray) -> Design:
    """The design of some rows, in their order."""
    cells = {term: cell[at] for term, cell in design.cells.items()}
    return Design(np.asfortranarray(design.matrix[at]), design.names, design.columns_of, cells)


def _by_category(
    y: FloatArray, followed: BoolArray, levels: IntArray, s: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The risk of each category among the followed, as that of the lost (m,), its slope (m, K) and influence (n, K)."""
    k = int(levels.max()) + 1
    own = (levels[:, None] == np.arange(k)) * (followed * s)[:, None]
    people = own.sum(axis=0)
    needed = np.bincount(levels[~followed], minlength=k) > 0
    if (needed & (people <= 0)).any():
        raise ValueError("In a category of the exposure everybody was lost, so it has no risk to start from.")
    safe = np.where(people > 0, people, 1)
    known = np.where(followed, y, 0.0)
    risk = known @ own / safe
    at = levels[~followed]
    return risk[at], (at[:, None] == np.arange(k)).astype(float), own * (known[:, None] - risk) / safe


def largest_multiplier(lost: Lost) -> FloatArray:
    """The largest k (K,) of each category on the risk scale at which no assumed risk is above 1; inf without losses."""
    out = np.full(int(lost.levels.max()) + 1, np.inf)
    for level in np.unique(lost.lost_levels):
        highest = lost.risks[lost.lost_levels == level].max()
        out[level] = 1 / highest if highest > 0 else np.inf
    return out


def assumed(lost: Lost, k: FloatArray, *, scale: Scale = "risk", set_to: FloatArray | None = None) -> Assumed:
    """The outcome model with the risks of those lost multiplied by k (K,) of their category.

    `set_to` (K,) sets the risk of whole categories instead, NaN where k holds. Raises ValueError for a negative k,
    a risk outside 0 to 1 (with the largest k allowed), or a model that gives no estimate.
    """
    if (k < 0).any() or not np.isfinite(k).all():
        raise ValueError("The multipliers k of the risk of those lost must be finite and 0 or more.")
    own_k = k[lost.lost_levels]
    if scale == "risk":
        p, change = own_k * lost.risks, own_k
        _refuse_above_one(lost, k, p)
    else:
        below = 1 - lost.risks + own_k * lost.risks
        if (lost.risks > 1).any():
            raise ValueError("The model gives some of those lost a risk above 1, which has no odds; choose scale risk.")
        p, change = own_k * lost.risks / below, own_k / below**2
    if set_to is not None:
        fixed = set_to[lost.lost_levels]
        p, change = np.where(np.isnan(fixed), p, fixed), np.where(np.isnan(fixed), change, 0.0)
    return _fitted(lost, p, change)


def _refuse_above_one(lost: Lost, k: FloatArray, p: FloatArray) -> None:
    above = p > 1 + 1e-12
    if above.any():
        where = np.unique(lost.lost_levels[above])
        limit = np.floor(100 * largest_multiplier(lost)[where].min()) / 100
        raise ValueError(
            f"k = {k[where].max():g} gives {int(above.sum())} of those lost a risk above 1; the largest k allowed is "
            f"{limit:.2f} on the risk scale, and the odds scale has no limit."
        )


def _fitted(lost: Lost, p: FloatArray, change: FloatArray) -> Assumed:
    n, m = len(lost.followed), len(p)
    p = np.clip(p, 0.0, 1.0)
    s = lost.sampling[~lost.followed]
    y = np.concatenate([lost.y, np.ones(m), np.zeros(m)])
    weights = np.concatenate([lost.sampling[lost.followed], s * p, s * (1 - p)])
    fit = fit_model(lost.method, lost.twice, y, weights=weights, engine=lost.engine)
    if not fit.converged or not fit.wald:
        raise ValueError("With these risks of those lost the outcome model gives no estimate with a variance.")
    person = np.concatenate([np.flatnonzero(lost.followed), *[np.flatnonzero(~lost.followed)] * 2])
    scores = np.zeros((n, fit.parameters))
    np.add.at(scores, person[fit.rows], fit.scores)
    at = np.flatnonzero(fit.estimated)
    x = lost.twice.matrix[-m:][:, at]
    eta = x @ fit.coefficients[at]
    family = FAMILIES[lost.method]
    used = fit.rows[-2 * m : -m] | fit.rows[-m:]  # rows set aside have a risk of 0 whatever is assumed of others
    step = used * (family.score(eta, np.ones(m)) - family.score(eta, np.zeros(m)))  # d score / d p, along x
    moved = lost.slope.T @ (x * (s * step * change)[:, None])
    return Assumed(fit=fit, risks=p, influence=(scores + lost.of_anchor @ moved) @ fit.bread)


def log_ratio(made: Assumed, column: int) -> tuple[float, float]:
    """The coefficient of a design column and its standard error (HC0); NaN where it is not estimable."""
    if not made.fit.estimable[column]:
        return math.nan, math.nan
    phi = made.influence[:, made.fit.position((column,))[0]]
    return float(made.fit.coefficients[column]), float(np.sqrt(phi @ phi))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tipping:
    """The k at which a ratio, or its limit, is 1: NaN if it does not get there within `low` to `high`."""

    k: float
    low: float
    high: float
    evaluations: int


class _Unknown(Exception):
    """A value on the way to a root could not be computed."""


def tipping(value: Callable[[float], float], *, low: float, high: float, tolerance: float = 1e-10) -> Tipping:
    """The k within [low, high] at which `value` (a log ratio or its limit) crosses 0, by Brent's method on log k.

    `value` must be continuous; where it has the same sign at both ends, or is NaN on the way, no k is given.
    """
    from scipy.optimize import brentq

    count = 0

    def at(log_k: float) -> float:
        nonlocal count
        count += 1
        return value(math.exp(log_k))

    def known(log_k: float) -> float:
        found = at(log_k)
        if math.isnan(found):
            raise _Unknown
        return found

    ends = at(math.log(low)), at(math.log(high))
    if not all(map(math.isfinite, ends)) or ends[0] * ends[1] > 0:
        return Tipping(k=math.nan, low=low, high=high, evaluations=count)
    try:
        root = brentq(known, math.log(low), math.log(high), xtol=tolerance, rtol=1e-14)
    except _Unknown:
        root = math.nan
    return Tipping(k=math.exp(root), low=low, high=high, evaluations=count)
