"""Doubly robust risks of the levels of an exposure: augmented inverse probability weighting, and targeted learning.

With q_k the fitted risk of each person had everyone level k, W the weights (of exposure, and of loss), g each person's
share in the target population, the augmented risk is m_k = sum g q_k + 1(a=k) W (y - q_k) over sum g. It is consistent
if either the model of the outcome or that of the exposure is right. Targeted learning first updates logit q_k along the
weights until sum 1(a=k) W (y - q_k) = 0, then takes m_k = sum g q_k / sum g, which stays within 0 to 1.

References: Robins, Rotnitzky & Zhao 1994 doi 10.1080/01621459.1994.10476818; Bang & Robins 2005
doi 10.1111/j.1541-0420.2005.00377.x; van der Laan & Rubin 2006 doi 10.2202/1557-4679.1043.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.counterfactuals import predicted
from walkrisk.estimates.weighting import Weights, with_weights_estimated, without_variance
from walkrisk.models.design import Design
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class OutcomeModel:
    """Risks (n, K) of each person under each level by a model with r parameters, and how these rest on it.

    `gradients` (K of (n, r)) are derivatives of the risks by the parameters, `influence` (n, r) each person's on them.
    """

    risks: FloatArray
    gradients: tuple[FloatArray, ...]
    influence: FloatArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DoublyRobustRisks:
    """Risks (K,) and each person's influence (n, K) on them.

    `influence` is the efficient influence function, right if both models are; `stacked_influence` accounts for the
    estimation of both and is right if either is (None where it is not computed). `epsilon` (K,) is the update of
    targeted learning (zeros otherwise). A level whose risk has no variance to estimate has NaN influence.
    """

    levels: tuple[str, ...]
    method: str
    estimand: str
    risks: FloatArray
    influence: FloatArray
    stacked_influence: FloatArray | None
    epsilon: FloatArray
    n: IntArray
    events: IntArray
    warnings: tuple[str, ...]


def outcome_model(
    fit: Fit,
    designs: Sequence[Design],
    *,
    y: FloatArray,
    weights: FloatArray | None = None,
    rows: BoolArray | None = None,
) -> OutcomeModel:
    """Risks of n people under each of K counterfactual designs by a logistic fit to `rows` (n,) of them (or everyone).

    `y` and `weights` (m,) are what the fit was given. Raises ValueError if the fit is not logistic, did not converge,
    or leaves the risk of somebody under some level undetermined.
    """
    n = len(designs[0].matrix)
    used = np.ones(n, dtype=bool) if rows is None else rows
    if fit.method != "logistic" or not fit.converged:
        raise ValueError("A doubly robust risk needs a logistic outcome model that converged; simplify the model.")
    w = np.ones(len(y)) if weights is None else weights
    risks, gradients = [], []
    for design in designs:
        made = predicted(fit, design, y=y, weights=w, same_people=rows is None)
        if made.unknown.any():
            raise ValueError(
                f"The outcome model does not determine the risk of {int(made.unknown.sum())} people under some level "
                "of the exposure; use fewer or coarser covariates, or leave that level out."
            )
        risks.append(made.risk)
        gradients.append(design.matrix[:, fit.estimated] * made.slope[:, None])
    influence = np.zeros((n, fit.parameters))
    influence[np.flatnonzero(used)[fit.rows]] = fit.scores @ fit.bread
    return OutcomeModel(risks=np.column_stack(risks), gradients=tuple(gradients), influence=influence)


def aipw_risks(
    y: FloatArray,
    levels: IntArray,
    labels: Sequence[str],
    weights: Weights,
    outcome: OutcomeModel | FloatArray,
    *,
    sampling: FloatArray | None = None,
) -> DoublyRobustRisks:
    """Augmented inverse probability weighted risks of a 0/1 outcome y (n,), for weights of the ATE or ATT (not ATO).

    `outcome` is a model, or the risks (n, K) alone, taken as known: then there is no stacked influence.

    Raises ValueError for risks outside 0 to 1, a missing outcome with weight, or weights of the overlap population.
    """
    made = _parts(y, levels, labels, weights, outcome, sampling)
    total = made.share.sum()
    rest = made.own * (made.y[:, None] - made.q)
    risks = (made.share @ made.q + rest.sum(axis=0)) / total
    influence = (made.share[:, None] * (made.q - risks) + rest) / total
    stacked = None
    if isinstance(outcome, OutcomeModel):
        stacked = influence + (with_weights_estimated(rest, weights) - rest) / total
        for k, gradient in enumerate(outcome.gradients):
            stacked[:, k] += outcome.influence @ (gradient.T @ (made.share - made.own[:, k])) / total
    return _result("aipw", labels, weights, made, risks, influence, stacked, np.zeros(len(labels)))


def tmle_risks(
    y: FloatArray,
    levels: IntArray,
    labels: Sequence[str],
    weights: Weights,
    outcome: OutcomeModel | FloatArray,
    *,
    scores: FloatArray | None = None,
    sampling: FloatArray | None = None,
) -> DoublyRobustRisks:
    """Targeted maximum likelihood risks of a 0/1 outcome y (n,), for weights of the ATE or ATT (not ATO).

    With `scores` (n, K), the probabilities of the levels, logit q_k moves along the clever covariate 1 / e(k), a slope
    epsilon_k for each level (ATE, nobody lost). Without, an intercept epsilon_k is fitted with the weights W, which
    serves the ATT and loss to follow-up too.

    Raises ValueError as `aipw_risks`, or if `scores` come with other weights, or the update has no maximum.
    """
    made = _parts(y, levels, labels, weights, outcome, sampling)
    s = np.ones(len(y)) if sampling is None else sampling
    if scores is not None and not np.allclose(weights.values, 1 / scores[np.arange(len(y)), levels], rtol=1e-9):
        raise ValueError("The clever covariate 1/e(k) is for plain weights of the ATE; leave the scores out.")
    updated, epsilon = np.empty_like(made.q), np.zeros(len(labels))
    for k in range(len(labels)):
        on = made.own[:, k] > 0
        clever = np.ones(len(y)) if scores is None else 1 / scores[:, k]
        w = made.own[on, k] if scores is None else s[on]
        with np.errstate(divide="ignore"):
            offset = np.log(made.q[:, k]) - np.log1p(-made.q[:, k])
        epsilon[k] = _fluctuation(clever[on], made.y[on], offset[on], w, labels[k])
        updated[:, k] = _expit(offset + epsilon[k] * clever)
    total = made.share.sum()
    risks = made.share @ updated / total
    influence = (made.share[:, None] * (updated - risks) + made.own * (made.y[:, None] - updated)) / total
    return _result("tmle", labels, weights, made, risks, influence, None, epsilon)


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    y: FloatArray
    q: FloatArray
    own: FloatArray  # (n, K): weight in the level that the person had
    share: FloatArray
    n: IntArray
    events: IntArray


def _parts(
    y: FloatArray,
    levels: IntArray,
    labels: Sequence[str],
    weights: Weights,
    outcome: OutcomeModel | FloatArray,
    sampling: FloatArray | None,
) -> _Parts:
    if weights.estimand not in ("ATE", "ATT"):
        raise ValueError(
            "A doubly robust risk is for everyone (ATE) or one level (ATT), not for an overlap population."
        )
    if weights.stabilised:
        raise ValueError("A doubly robust risk adds weighted residuals, so its weights must not be stabilised.")
    q = outcome.risks if isinstance(outcome, OutcomeModel) else outcome
    if q.shape != (len(y), len(labels)) or not np.isfinite(q).all() or (q < 0).any() or (q > 1).any():
        raise ValueError(
            "The outcome model must give each person a risk within 0 to 1 under each level; use a logistic one."
        )
    s = np.ones(len(y)) if sampling is None else sampling
    w = weights.values * s
    used = w > 0
    if not np.isfinite(w).all() or (w < 0).any() or np.isnan(y[used]).any():
        raise ValueError("Weights must be finite and not negative, and outcomes with a weight known; correct them.")
    known = np.where(used, y, 0.0)
    own = (levels[:, None] == np.arange(len(labels))) * w[:, None]
    if (own.sum(axis=0) <= 0).any():
        raise ValueError("A level of the exposure has nobody with a known outcome; leave that level out.")
    n = np.bincount(levels[used], minlength=len(labels))
    events = np.bincount(levels[used], weights=known[used], minlength=len(labels)).astype(np.intp)
    return _Parts(known, q, own, s * weights.target, n, events)


def _result(
    method: str,
    labels: Sequence[str],
    weights: Weights,
    made: _Parts,
    risks: FloatArray,
    influence: FloatArray,
    stacked: FloatArray | None,
    epsilon: FloatArray,
) -> DoublyRobustRisks:
    other = influence if stacked is None else stacked
    influence, other, said = without_variance(labels, (influence, other), made.events, made.n)
    outside = (risks < 0) | (risks > 1)
    said += [
        f"The augmented risk of {labels[k]} is {risks[k]:.4f}, outside 0 to 1: weights too extreme; use tmle."
        for k in np.flatnonzero(outside).tolist()
    ]
    return DoublyRobustRisks(
        levels=tuple(labels),
        method=method,
        estimand=weights.estimand,
        risks=np.where(outside, np.nan, risks),
        influence=influence,
        stacked_influence=None if stacked is None else other,
        epsilon=epsilon,
        n=made.n,
        events=made.events,
        warnings=(*weights.warnings, *said),
    )


def _expit(eta: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-np.logaddexp(0, -eta)))


def _fluctuation(clever: FloatArray, y: FloatArray, offset: FloatArray, w: FloatArray, label: str) -> float:
    """The slope of a logistic regression of y on one covariate with an offset, no intercept, by guarded Newton."""
    moving = np.isfinite(offset)
    h, t, o, w = clever[moving], y[moving], offset[moving], w[moving]
    wh = w * h
    if not moving.any():  # a level without cases, or of cases only: its risk is 0 or 1 whatever the slope
        return 0.0

    def score(epsilon: float) -> float:
        return float(wh @ (t - _expit(o + epsilon * h)))

    low, high = -1.0 / float(h.mean()), 1.0 / float(h.mean())
    for _ in range(60):
        if score(low) > 0 and score(high) < 0:
            break
        low, high = (low, high * 2) if score(high) >= 0 else (low * 2, high)
    epsilon = 0.0
    for _ in range(200):
        value = score(epsilon)
        if abs(value) <= 1e-12 * float(wh.sum()):
            return epsilon
        low, high = (epsilon, high) if value > 0 else (low, epsilon)
        p = _expit(o + epsilon * h)
        slope = float((wh * h) @ (p * (1 - p)))
        new = epsilon + value / slope if slope > 0 else np.nan
        epsilon = new if low < new < high else (low + high) / 2
    raise ValueError(
        f"The targeting step of {label} has no maximum; it has too few people with or without the outcome."
    )
