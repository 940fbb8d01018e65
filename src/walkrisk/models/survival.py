"""Risks at a horizon from follow-up times, with each person's influence on them.

With d_j events, d_cj of the cause of interest, and r_j people at risk (sums of weights) at event time t_j, the survival
free of any event is S_j = prod_{l <= j} (1 - d_l / r_l) (Kaplan & Meier) and the risk of the cause in the presence of
competing events F = sum_{t_j <= h} S_{j-1} d_cj / r_j (Aalen & Johansen); with one cause F = 1 - S. The influence of a
person is w_i dF/dw_i, the infinitesimal jackknife: without weights its squares add up to Greenwood's variance exactly.
Ties stay ties (lifelines breaks them at random), people lost at an event time are at risk at it.

References: Kaplan & Meier 1958 doi 10.2307/2281868; Aalen & Johansen 1978 (no DOI; Scand J Statist 5:141);
Jaeckel 1972 (Bell Laboratories memorandum); Reid 1981 doi 10.1093/biomet/68.1.73; Breslow 1972 (JRSS B 34:216);
Efron 1977 doi 10.1080/01621459.1977.10480613.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.models.design import Design
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

SAME_TIME = 1e-9  # of the longest follow-up: nearer times differ by rounding only


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class GroupRisk:
    """The risk of a cause by a horizon in one group, and each member's influence (n,) on it.

    `at_risk` and `events` count people: those followed to the horizon without event, and those with the cause by it.
    `determined` is False if nobody was followed to the horizon and not everyone had an event: the risk is then NaN.
    """

    risk: float
    influence: FloatArray
    events: int
    competing: int
    at_risk: int
    determined: bool


def tied_times(time: FloatArray) -> FloatArray:
    """Times (n,) of which those that differ by less than 1e-9 of the longest are made equal (to the earliest)."""
    unique, place = np.unique(time, return_inverse=True)
    if not len(unique):
        return time
    apart = np.diff(unique, prepend=-np.inf) > SAME_TIME * np.abs(unique[-1])
    return np.asarray(unique[np.flatnonzero(apart)][np.cumsum(apart) - 1][place.reshape(-1)])


def checked_follow_up(time: FloatArray, event: FloatArray, horizon: float) -> None:
    """Raises ValueError for times that are negative or not finite, events that are no whole codes, or no horizon."""
    if not np.isfinite(time).all() or (time < 0).any():
        raise ValueError("Follow-up times must be finite and not negative; correct them or leave these people out.")
    if not np.isfinite(event).all() or (event < 0).any() or (event != np.round(event)).any():
        raise ValueError("Events must be 0 (censored) or a whole number for the cause; correct them.")
    if not (np.isfinite(horizon) and horizon > 0):
        raise ValueError("The horizon must be a time above 0.")


def group_risk(
    time: FloatArray, event: FloatArray, horizon: float, *, cause: int = 1, weights: FloatArray | None = None
) -> GroupRisk:
    """Aalen-Johansen risk of `cause` by `horizon`; `event` (n,) is 0 for censored, else the cause; weights (n,).

    With a single cause this is one minus Kaplan-Meier. Raises ValueError for impossible times, events or weights.
    """
    checked_follow_up(time, event, horizon)
    w = np.ones(len(time)) if weights is None else weights
    if not np.isfinite(w).all() or (w < 0).any() or not w.any():
        raise ValueError("Weights must be finite, not negative and not all 0 in a group; correct them.")
    time = tied_times(time)
    limit = horizon * (1 + SAME_TIME)
    hit = (event > 0) & (time <= limit) & (w > 0)
    grid = np.unique(time[hit])
    reach = np.searchsorted(grid, time, side="right")  # number of event times at which a person is at risk
    at = reach - 1
    r = _at_risk(reach, w, len(grid))
    d = np.bincount(at[hit], weights=w[hit], minlength=len(grid))
    own = hit & (event == cause)
    d_cause = np.bincount(at[own], weights=w[own], minlength=len(grid))
    everyone = np.bincount(reach, minlength=len(grid) + 1)[::-1].cumsum()[::-1][1:]
    dead = np.bincount(at[hit], minlength=len(grid))
    last = (everyone == dead) & (_at_risk(reach, (w > 0).astype(float), len(grid)) == dead)
    survival = np.cumprod(np.where(last, 0.0, 1 - d / r))
    before = np.concatenate([[1.0], survival[:-1]]) if len(grid) else survival
    risk = np.cumsum(before * d_cause / r)
    total = float(risk[-1]) if len(grid) else 0.0
    ended = bool(len(grid)) and survival[-1] == 0.0
    determined = ended or bool((time[w > 0] >= horizon * (1 - SAME_TIME)).any())
    a = before / r
    with np.errstate(divide="ignore", invalid="ignore"):
        b = np.where(survival > 0, (total - risk) / (r - d), 0.0)
    spent = np.concatenate([[0.0], np.cumsum(a * d_cause / r - b * d / r)])
    influence = -spent[reach]
    influence[own] += a[at[own]]
    influence[hit] -= b[at[hit]]
    return GroupRisk(
        risk=total if determined else float("nan"),
        influence=influence * w if determined else np.full(len(time), np.nan),
        events=int(own.sum()),
        competing=int(hit.sum() - own.sum()),
        at_risk=int(((time >= horizon * (1 - SAME_TIME)) & ~hit & (w > 0)).sum()),
        determined=determined,
    )


def _at_risk(reach: IntArray, w: FloatArray, times: int) -> FloatArray:
    """Sums (times,) of w over those with reach > j."""
    return np.asarray(np.bincount(reach, weights=w, minlength=times + 1)[::-1].cumsum()[::-1][1:])


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BaselineHazard:
    """Cumulative baseline hazard at a horizon for covariates at `centre` (q,), with what its variance needs.

    `gradient` (q,) is its derivative by the coefficients; `influence` (n,) each person's influence with these fixed;
    `variance` its model-based variance with these fixed (NaN with weights that differ).
    """

    value: float
    centre: FloatArray
    gradient: FloatArray
    influence: FloatArray
    variance: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CoxRisks:
    """Risks (K,) at a horizon standardised by a Cox model, each person's influence (n, K), and the model-based
    covariance (K, K), which takes the covariates of the population as fixed (NaN with weights that differ)."""

    risks: FloatArray
    influence: FloatArray
    model_covariance: FloatArray
    baseline: BaselineHazard


def baseline_hazard(
    fit: Fit, time: FloatArray, event: FloatArray, horizon: float, *, weights: FloatArray | None = None
) -> BaselineHazard:
    """Cumulative baseline hazard of a Cox fit to `time`, `event` (n,), Efron's way with ties, as its coefficients.

    With nd deaths at t_j, of weights adding up to W: sum over k = 0 .. nd-1 of (W/nd) / (s0 - (k/nd) d0), s0 and d0 the
    sums of w exp(x b) over those at risk and those who die.
    """
    checked_follow_up(time, event, horizon)
    n = len(time)
    w_all = np.ones(n) if weights is None else weights
    rows = np.flatnonzero(fit.rows & (w_all > 0))
    t, w, at_columns = tied_times(time)[rows], w_all[rows], np.flatnonzero(fit.estimated)
    x = fit.design.matrix[np.ix_(rows, at_columns)]
    centre = x.mean(axis=0)
    x = x - centre
    hazard = w * np.exp(x @ fit.coefficients[at_columns])
    hit = (event[rows] == 1) & (t <= horizon * (1 + SAME_TIME))
    grid = np.unique(t[hit])
    reach = np.searchsorted(grid, t, side="right")
    j = reach[hit] - 1
    dead = np.bincount(j, minlength=len(grid))
    share = np.bincount(j, weights=w[hit], minlength=len(grid)) / dead
    s0, d0 = _at_risk(reach, hazard, len(grid)), np.bincount(j, weights=hazard[hit], minlength=len(grid))
    tie = np.repeat(np.arange(len(grid)), dead)  # one entry for each death, f the share of the tied already gone
    f = (np.arange(len(tie)) - np.repeat(np.cumsum(dead) - dead, dead)) / dead[tie]
    denominator = s0[tie] - f * d0[tie]
    square = share[tie] / denominator**2
    by_time = {
        "one": np.bincount(tie, weights=1 / denominator, minlength=len(grid)),
        "square": np.bincount(tie, weights=square, minlength=len(grid)),
        "tied": np.bincount(tie, weights=square * f, minlength=len(grid)),
    }
    gradient = np.zeros(x.shape[1])
    for c in range(x.shape[1]):
        s1 = _at_risk(reach, hazard * x[:, c], len(grid))
        d1 = np.bincount(j, weights=(hazard * x[:, c])[hit], minlength=len(grid))
        gradient[c] = -(by_time["square"] @ s1 - by_time["tied"] @ d1)
    influence = -hazard * np.concatenate([[0.0], np.cumsum(by_time["square"])])[reach]
    influence[hit] += w[hit] / dead[j] * by_time["one"][j] + hazard[hit] * by_time["tied"][j]
    full = np.zeros(n)
    full[rows] = influence
    even = bool(np.ptp(w) <= 1e-12 * w.max())
    return BaselineHazard(
        value=float(share @ by_time["one"]),
        centre=centre,
        gradient=gradient,
        influence=full,
        variance=float(by_time["square"].sum() * share.max()) if even and len(grid) else float("nan"),
    )


def cox_risks(
    fit: Fit,
    time: FloatArray,
    event: FloatArray,
    designs: Sequence[Design],
    horizon: float,
    *,
    weights: FloatArray | None = None,
    population: FloatArray | None = None,
) -> CoxRisks:
    """Mean risk by `horizon` under each of K counterfactual designs, m_k = mean of 1 - exp(-H0(h) exp(x_ik b)).

    The mean is over all n people, with `weights` (n,), times `population` (n,) where the target is not everyone. The
    influence has three parts: the person in the mean, in the coefficients, in the baseline hazard. A person in a
    category without events has a risk of 0.

    Raises ValueError if the fit did not converge, nobody is followed to the horizon, or a counterfactual needs
    coefficients that the fit does not determine.
    """
    if fit.method != "cox" or not fit.converged:
        raise ValueError("A standardised risk at a horizon needs a Cox model that converged; simplify the model.")
    w = np.ones(len(time)) if weights is None else weights
    if not (tied_times(time)[w > 0] >= horizon * (1 - SAME_TIME)).any():
        raise ValueError("Nobody was followed to the horizon, so no risk can be given for it; choose an earlier one.")
    base = baseline_hazard(fit, time, event, horizon, weights=weights)
    target = w if population is None else w * population
    if not target.sum() > 0:
        raise ValueError("Nobody is in the population to standardise over; check it.")
    at = np.flatnonzero(fit.estimated)
    coefficient_influence = np.zeros((len(time), len(at)))
    coefficient_influence[fit.rows] = fit.scores @ fit.bread
    risks, columns, by_b, by_h = [], [], [], []
    for design in designs:
        none = _no_hazard(fit, design, event, w)
        x = design.matrix[:, at] - base.centre
        ratio = np.where(none, 0.0, np.exp(x @ fit.coefficients[at]))
        survived = np.exp(-base.value * ratio)
        slope = target * survived * ratio / target.sum()
        risks.append(float(target @ (1 - survived) / target.sum()))
        by_h.append(float(slope.sum()))
        by_b.append(base.value * (slope @ x) + slope.sum() * base.gradient)
        columns.append(
            target * (1 - survived - risks[-1]) / target.sum()
            + coefficient_influence @ by_b[-1]
            + base.influence * by_h[-1]
        )
    g, h = np.array(by_b), np.array(by_h)
    scale = 1 / w.max()  # weights that are all equal leave the variance what it is without them
    model = g @ (fit.bread / scale) @ g.T + np.outer(h, h) * base.variance
    return CoxRisks(risks=np.array(risks), influence=np.column_stack(columns), model_covariance=model, baseline=base)


def _no_hazard(fit: Fit, design: Design, event: FloatArray, w: FloatArray) -> BoolArray:
    """Rows (n,) in a cell whose people were set aside for want of events; raises if another row is undetermined."""
    none = np.zeros(len(design.matrix), dtype=bool)
    for term, cell in fit.design.cells.items():
        size = int(max(cell.max(initial=-1), design.cells[term].max(initial=-1))) + 1
        people = np.bincount(cell[w > 0], minlength=size)
        events = np.bincount(cell[(w > 0) & (event == 1)], minlength=size)
        none |= ((people > 0) & (events == 0))[design.cells[term]]
    at = np.flatnonzero(fit.estimated)
    lost = np.array([c for c in np.flatnonzero(~fit.estimated) if c != 0], dtype=np.intp)
    if lost.size:
        span = [0, *at]
        used = fit.design.matrix[fit.rows]
        weight, *_ = np.linalg.lstsq(used[:, span], used[:, lost], rcond=None)
        x = design.matrix[~none]
        off = np.abs(x[:, lost] - x[:, span] @ weight)
        size_ = np.abs(x[:, lost]) + np.abs(x[:, span]) @ np.abs(weight) + np.abs(used[:, lost]).max(axis=0)
        if (off > 1e-6 * size_).any():
            raise ValueError(
                "The Cox model does not determine the risk of some people under some level of the exposure; "
                "use fewer or coarser covariates, or leave that level out."
            )
    return none
