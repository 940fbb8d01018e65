"""Inverse probability weights for an exposure with any number of levels and for loss to follow-up, and weighted risks.

A person's weight is w_i = h(e_i) / e_i(a_i), e_i(k) the probability of level k given covariates, a_i the level had:
ATE h = 1; ATT of level t h = e(t); overlap (ATO) h = 1 / sum_k 1/e(k). Those of loss are 1 / P(observed). Weights know
how they depend on the models they come from (`WeightPart`), so that any weighted estimate whose influence is phi (n, k)
for fixed weights has, with the weights estimated, phi_i + sum over models IF_i' sum_j (d log w_j / d gamma) phi_j.

References: Lunceford & Davidian 2004 doi 10.1002/sim.1903; Li & Li 2019 doi 10.1214/19-AOAS1282;
Robins, Hernan & Brumback 2000 doi 10.1097/00001648-200009000-00011; Cole & Hernan 2008 doi 10.1093/aje/kwn164.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from walkrisk.models.design import Design
from walkrisk.models.fit import Fit, fit_model
from walkrisk.models.propensity import Propensity

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

ESTIMANDS = ("ATE", "ATT", "ATO")


@dataclass(frozen=True, slots=True, eq=False)
class WeightPart:
    """One model behind weights: `gradient` (n, r) of the log weights by its parameters, `influence` (n, r) on them."""

    gradient: FloatArray
    influence: FloatArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Weights:
    """Weights (n,), 0 for a person whose outcome was not observed, the models they rest on, and what is to be said.

    `target` (n,) is the share of each person in the population the weights stand for: 1 for everyone (ATE), 1 for the
    target level and 0 for others (ATT), h(e) for the overlap population.
    """

    values: FloatArray
    parts: tuple[WeightPart, ...]
    target: FloatArray
    estimand: str = ""
    truncated: int = 0
    limits: tuple[float, float] | None = None
    stabilised: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class WeightSummary:
    """Distribution of the weights above 0, and effective sample size (sum w)^2 / sum w^2 of each level (K,)."""

    n: int
    mean: float
    std: float
    smallest: float
    largest: float
    total: float
    effective_size: FloatArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class WeightedRisks:
    """Risks (K,) of the levels, each person's `influence` (n, K) on them with the weights estimated (`influence`) and
    taken as known (`fixed_influence`); `n`, `events` (K,) count people with a known outcome. A level whose risk is 0 or
    1 has NaN influence: its sampling variance cannot be estimated."""

    levels: tuple[str, ...]
    estimand: str
    risks: FloatArray
    influence: FloatArray
    fixed_influence: FloatArray
    n: IntArray
    events: IntArray
    warnings: tuple[str, ...]


def exposure_weights(
    propensity: Propensity,
    *,
    estimand: str = "ATE",
    target: int | None = None,
    stabilised: bool = False,
    weights: FloatArray | None = None,
) -> Weights:
    """Weights (n,) of the exposure for an estimand; `target` is the place of the target level of ATT (0 .. K-1).

    Stabilised weights are multiplied by the (sampling-weighted) share of the person's level, whose estimation counts
    in the parts too. `weights` are those of sampling given to the propensity model; they are not multiplied in.

    Raises ValueError for another estimand, or ATT without a target level.
    """
    e, index, k = propensity.scores, propensity.index, propensity.scores.shape[1]
    if estimand not in ESTIMANDS:
        raise ValueError(f"Estimand '{estimand}' is unknown; choose from {', '.join(ESTIMANDS)}.")
    if estimand == "ATT" and (target is None or not 0 <= target < k):
        raise ValueError("ATT is the effect among people of one level: name that level as target.")
    own = (index[:, None] == np.arange(k)).astype(float)
    if estimand == "ATE":
        share, slope, population = np.ones(len(e)), e, np.ones(len(e))
    elif estimand == "ATT":
        assert target is not None
        population, share = own[:, target], e[:, target]
        slope = np.broadcast_to(np.arange(k) == target, e.shape).astype(float)
    else:
        share = 1 / (1 / e).sum(axis=1)
        slope, population = share[:, None] / e, share
    values = share / e[np.arange(len(e)), index]
    change = (slope - own)[:, 1:]  # of the log weight, by each linear predictor
    gradient = np.concatenate([propensity.basis * change[:, [j]] for j in range(k - 1)], axis=1)
    parts = [WeightPart(gradient, propensity.influence)]
    if stabilised:
        s = np.ones(len(e)) if weights is None else weights
        p = s @ own / s.sum()
        values = values * p[index]
        parts.append(WeightPart(own, s[:, None] * (own - p) / (p * s.sum())))
    return Weights(
        values=values,
        parts=tuple(parts),
        target=population,
        estimand=estimand,
        stabilised=stabilised,
        warnings=propensity.warnings,
    )


def loss_weights(
    design: Design,
    observed: BoolArray,
    *,
    levels: IntArray | None = None,
    weights: FloatArray | None = None,
) -> Weights:
    """Weights 1 / P(observed | x) (n,) of people with a known outcome, 0 for the others, by logistic regression.

    With `levels` (n,) they are stabilised by the share observed within the person's level. People in groups where
    nobody was lost have probability 1.

    Raises ValueError if nobody is observed, if in some group everybody was lost, or if the model cannot be fitted.
    """
    n = len(observed)
    s = np.ones(n) if weights is None else weights
    if not observed[s > 0].any():
        raise ValueError("Nobody has a known outcome, so there is nothing to weight; check the outcome.")
    values, parts, said = observed.astype(float), list[WeightPart](), list[str]()
    if not observed[s > 0].all():
        fit = fit_model("logistic", design, (~observed).astype(float), weights=s)
        if (~observed & ~fit.rows & (s > 0)).any():
            raise ValueError(
                "In some group of the covariates everybody was lost to follow-up, so no weight can stand for them; "
                "merge categories, or leave that group out."
            )
        if not fit.converged:
            raise ValueError("The model of loss to follow-up did not converge; use fewer or coarser covariates.")
        x = design.matrix[:, fit.estimated]
        lost = np.zeros(n)
        lost[fit.rows] = 1 / (1 + np.exp(-(x[fit.rows] @ fit.coefficients[fit.estimated])))
        values = observed / (1 - lost)
        influence = np.zeros(x.shape)
        influence[fit.rows] = fit.scores @ fit.bread
        parts.append(WeightPart(x * lost[:, None], influence))
        sure = int((~fit.rows & (s > 0)).sum())
        if sure:
            said.append(f"{sure} people are in groups where nobody was lost: their weight for loss is 1.")
    if levels is not None:
        values, part = _stabilised_by_level(values, observed, levels, s)
        parts.append(part)
    return Weights(values=values, parts=tuple(parts), target=np.ones(n), warnings=tuple(said))


def _stabilised_by_level(
    values: FloatArray, observed: BoolArray, levels: IntArray, s: FloatArray
) -> tuple[FloatArray, WeightPart]:
    own = (levels[:, None] == np.arange(int(levels.max()) + 1)).astype(float)
    people = s @ own
    share = (s * observed) @ own / np.where(people > 0, people, 1)
    if (share[people > 0] <= 0).any():
        raise ValueError("A level of the exposure has nobody with a known outcome; leave that level out.")
    safe = np.where(people > 0, share * people, 1)
    influence = s[:, None] * own * (observed[:, None] - share) / safe
    return values * share[levels], WeightPart(own, influence)


def combined(*weights: Weights) -> Weights:
    """The product of weights, such as those of exposure and of loss; the target population is that of the first."""
    values = np.prod([w.values for w in weights], axis=0)
    parts = tuple(part for w in weights for part in w.parts)
    said = tuple(dict.fromkeys(text for w in weights for text in w.warnings))
    stabilised = any(w.stabilised for w in weights)
    return replace(weights[0], values=values, parts=parts, stabilised=stabilised, warnings=said)


def truncated(weights: Weights, percentiles: tuple[float, float]) -> Weights:
    """Weights above 0 cut at two of their percentiles (such as 1 and 99), with a sentence on how many were.

    A weight that was cut no longer depends on the models; that the cut points are estimated is not accounted for.
    """
    low, high = percentiles
    if not 0 <= low < high <= 100:
        raise ValueError(f"Truncation at percentiles {low:g} and {high:g} is no range; give two within 0 to 100.")
    used = weights.values > 0
    a, b = (float(v) for v in np.percentile(weights.values[used], [low, high]))
    cut = used & ((weights.values < a) | (weights.values > b))
    parts = tuple(WeightPart(p.gradient * ~cut[:, None], p.influence) for p in weights.parts)
    said = (
        f"{int(cut.sum())} of {int(used.sum())} weights were truncated to {a:.3f} to {b:.3f} "
        f"(percentiles {low:g} and {high:g}): less variance, some bias."
    )
    values = np.where(cut, np.clip(weights.values, a, b), weights.values)
    return replace(
        weights,
        values=values,
        parts=parts,
        truncated=int(cut.sum()),
        limits=(a, b),
        warnings=(*weights.warnings, said),
    )


def weight_summary(weights: Weights, levels: IntArray, *, rows: BoolArray | None = None) -> WeightSummary:
    """Mean, spread, range and sum of the weights above 0, and the effective sample size of each level."""
    w = weights.values if rows is None else weights.values[rows]
    index = levels if rows is None else levels[rows]
    used = w[w > 0]
    k = int(levels.max()) + 1
    total, squares = np.bincount(index, weights=w, minlength=k), np.bincount(index, weights=w * w, minlength=k)
    with np.errstate(invalid="ignore"):
        size = total**2 / squares
    return WeightSummary(
        n=len(used),
        mean=float(used.mean()),
        std=float(used.std(ddof=1)) if len(used) > 1 else float("nan"),
        smallest=float(used.min()),
        largest=float(used.max()),
        total=float(used.sum()),
        effective_size=size,
    )


def positivity(
    propensity: Propensity, weights: Weights, *, smallest_score: float = 0.01, largest_weight: float = 10.0
) -> tuple[str, ...]:
    """Sentences on positivity: for each level the range of scores, and whom scores below `smallest_score`, weights
    above `largest_weight` times the level's mean, or an effective sample size below half of the level concern."""
    said: list[str] = []
    summary = weight_summary(weights, propensity.index)
    for k, label in enumerate(propensity.exposure.labels):
        e, has = propensity.scores[:, k], propensity.index == k
        w = weights.values[has & (weights.values > 0)]
        said.append(f"The probability of {label} ranges from {e.min():.4f} to {e.max():.4f}.")
        rare = int((e < smallest_score).sum())
        if rare:
            said.append(
                f"{rare} of {len(e)} people had a probability of {label} below {smallest_score:g}: "
                "its risk among them rests on the model rather than on people."
            )
        heavy = int((w > largest_weight * w.mean()).sum()) if w.size else 0
        if heavy:
            said.append(
                f"{heavy} weights of {label} exceed {largest_weight:g} times their mean (largest {w.max():.1f})."
            )
        if w.size and summary.effective_size[k] < 0.5 * len(w):
            said.append(
                f"The weights leave {label} an effective sample size of {summary.effective_size[k]:.0f} of {len(w)}."
            )
    return tuple(said)


def with_weights_estimated(phi: FloatArray, weights: Weights, rows: BoolArray | None = None) -> FloatArray:
    """Influence (n, k) of an estimate with its weights estimated, from that with fixed weights (n, k or m, k).

    `phi` must be linear in the person's weight (w_i times the derivative by w_i); `rows` (n,) marks the m people it
    refers to, when it is not everyone.
    """
    full = phi
    if rows is not None:
        full = np.zeros((len(rows), phi.shape[1]))
        full[rows] = phi
    out = full.copy()
    for part in weights.parts:
        out += part.influence @ (part.gradient.T @ full)
    return out


def hajek_risks(
    y: FloatArray,
    levels: IntArray,
    labels: Sequence[str],
    weights: Weights,
    *,
    sampling: FloatArray | None = None,
) -> WeightedRisks:
    """The weighted risk of each level, m_k = sum w 1(a=k) y / sum w 1(a=k), of a 0/1 outcome y (n,).

    Outcomes of people with weight 0 are not looked at. `influence` is that of the stacked estimating equations of
    weights and risks, `fixed_influence` takes the weights as known.

    Raises ValueError if a used outcome is missing, a weight is negative or not finite, or a level has no weight.
    """
    s = weights.values if sampling is None else weights.values * sampling
    if not np.isfinite(s).all() or (s < 0).any():
        raise ValueError("Weights must be finite and not negative; look at the positivity sentences.")
    used = s > 0
    if np.isnan(y[used]).any():
        raise ValueError("Some outcomes are missing; weight for loss to follow-up, or leave these people out.")
    own = (levels[:, None] == np.arange(len(labels))) * s[:, None]
    totals = own.sum(axis=0)
    if (totals <= 0).any():
        raise ValueError(f"Nobody with a weight has {labels[int(np.argmin(totals))]}; leave that level out.")
    known = np.where(used, y, 0.0)
    risks = known @ own / totals
    fixed = own * (known[:, None] - risks) / totals
    whole = with_weights_estimated(fixed, weights)
    n = np.bincount(levels[used], minlength=len(labels))
    events = np.bincount(levels[used], weights=known[used], minlength=len(labels)).astype(np.intp)
    whole, fixed, said = without_variance(labels, (whole, fixed), events, n)
    return WeightedRisks(
        levels=tuple(labels),
        estimand=weights.estimand,
        risks=risks,
        influence=whole,
        fixed_influence=fixed,
        n=n,
        events=events,
        warnings=(*weights.warnings, *said),
    )


def without_variance(
    labels: Sequence[str], influences: tuple[FloatArray, FloatArray], events: IntArray, n: IntArray
) -> tuple[FloatArray, FloatArray, list[str]]:
    """Influences with NaN for levels where nobody or everybody has the outcome, and sentences on these."""
    none, every = events == 0, events == n
    first, second = (np.where(none | every, np.nan, phi) for phi in influences)
    said = [
        f"{labels[k]} has no events: no risk ratio and no interval can be given." for k in np.flatnonzero(none).tolist()
    ]
    said += [
        f"Everyone of {labels[k]} has the outcome: no interval can be given."
        for k in np.flatnonzero(every & ~none).tolist()
    ]
    return first, second, said


def outcome_influence(fit: Fit, weights: Weights, rows: BoolArray) -> FloatArray:
    """Influence (n, q) on the coefficients of an outcome regression weighted by `weights`, these being estimated.

    `fit` was fitted to the people `rows` (n,) marks with weights.values[rows]. Its crossproduct is the stacked HC0;
    that of the fit alone takes the weights as known.
    """
    if int(rows.sum()) != fit.n:
        raise ValueError("The outcome model was fitted to other people than those marked; mark the rows it was given.")
    scores = np.zeros((fit.n, fit.parameters))
    scores[fit.rows] = fit.scores @ fit.bread
    return with_weights_estimated(scores, weights, rows)
