"""Inverse probability of being followed up: weights with or without strata, their spread, and a weighted model.

Of n eligible people R_i = 1 are followed. With pi(x_i) = P(R = 1 | x_i) by logistic regression (one model, or one
within each stratum) a followed person has the weight w_i = h(a_i)/pi(x_i), h = 1 or, stabilised, the share followed in
the person's exposure category a_i; others have 0. The weighted score of an outcome model, sum w_i s_i(beta), then
stands for everyone eligible, if loss does not depend on the outcome given x (missing at random) and pi > 0 for all.

Two variances are made. Taking the weights as known, sandwich = A^-1 (sum phi_i phi_i') A^-1 over the followed. With
the weights estimated (the main one), person i gains IF_gamma,i' sum_j (d log w_j/d gamma) phi_j of each model behind
the weights, over everyone eligible: the stacked estimating equations. Estimating pi usually makes the variance
smaller, so that weights taken as known err on the wide side.

References: Robins, Rotnitzky & Zhao 1995 doi 10.1080/01621459.1995.10476493; Cole & Hernan 2008 doi 10.1093/aje/kwn164;
Seaman & White 2013 doi 10.1177/0962280210395740.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.balance import BalanceTable, Covariate, balance_table
from walkrisk.estimates.risk_influence import risk_covariance
from walkrisk.estimates.weighting import WeightPart, Weights, combined, loss_weights, truncated, with_weights_estimated
from walkrisk.models.covariance import LEVERAGED, SurveyDesign, influence
from walkrisk.models.design import Design, Factor, Product, Term, build_design, factor
from walkrisk.models.fit import Fit, fit_model

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

PERCENTILES = (1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0)
STACKED = ("HC0", "stata", "HC1", *LEVERAGED, "cluster", "survey")  # variances that are sums over persons
LEAST = 1e-8  # a chance of being followed below which the fit has run off to 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FollowUp:
    """The chance (n,) of being followed, of everyone eligible, and the weights that come of it.

    `weights.values` (n,) are 0 for those lost; `parts` of the weights know the models. `untruncated` are the weights
    before truncation. `models` counts the logistic models fitted, `parameters` all their coefficients.
    """

    chance: FloatArray
    weights: Weights
    untruncated: FloatArray
    models: int
    parameters: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Spread:
    """How weights above 0 are spread: `effective` is (sum w)^2 / sum w^2, `truncated` counts those cut off."""

    n: int
    mean: float
    std: float
    smallest: float
    largest: float
    percentiles: Mapping[float, float]
    effective: float
    truncated: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class WeightedFit:
    """An outcome model under weights; covariances by variance name with the weights `estimated` and taken as `known`.

    `left_out` are variances asked for that are no sums over persons, so that nothing can be stacked onto them.
    """

    fit: Fit
    estimated: Mapping[str, FloatArray]
    known: Mapping[str, FloatArray]
    left_out: tuple[str, ...]


def follow_up(
    columns: Mapping[str, FloatArray],
    terms: Sequence[Term],
    followed: BoolArray,
    *,
    strata: FloatArray | None = None,
    names: Mapping[float, str] | None = None,
    levels: IntArray | None = None,
    truncate: tuple[float, float] | None = None,
    sampling: FloatArray | None = None,
) -> FollowUp:
    """Chances and weights of follow-up of n eligible people, by a model of `terms` (within each of `strata` (n,)).

    `levels` (n,) stabilises by the share followed within the exposure category 0 .. K-1; `truncate` are two
    percentiles of the weights of those followed; `names` are those of strata, for sentences; `sampling` (n,) weights.

    Raises ValueError if nobody or everybody was lost, if in a stratum (or a group of covariates within it) everybody
    was, or if a model does not converge.
    """
    n = len(followed)
    if followed.all():
        raise ValueError("Nobody was lost to follow-up, so there is nothing to weight for; leave these weights out.")
    if not followed.any():
        raise ValueError("Everybody was lost to follow-up, so nobody is left to be weighted; check the step of loss.")
    values, chance, parts, said, models = followed.astype(float), np.ones(n), list[WeightPart](), list[str](), 0
    for where, name in _strata(strata, names or {}, n):
        lost = int((~followed[where]).sum())
        if not lost:
            said.append(f"Nobody of {name} was lost: their weights are 1.")
            continue
        try:
            own = _own_weights(columns, terms, followed, where, sampling)
        except ValueError as error:
            raise ValueError(f"{name}: {error}" if name else str(error)) from None
        models += 1
        values[where] = own.values
        chance[where] = 1 - own.parts[0].gradient[:, 0]  # the column of the intercept: P(lost)
        parts.append(_in_place(own.parts[0], where, n))
        said += [f"{name}: {text}" if name else text for text in own.warnings]
    if (chance[followed] < LEAST).any():
        raise ValueError(
            "The covariates foretell with certainty who is lost to follow-up, so no weight can stand for them; use "
            "fewer or coarser covariates."
        )
    made = Weights(values=values, parts=tuple(parts), target=np.ones(n))
    if levels is not None:
        made = replace(combined(made, _numerator(followed, levels, sampling)), stabilised=True)
    cut = made if truncate is None else truncated(made, truncate)
    return FollowUp(
        chance=chance,
        weights=cut,
        untruncated=made.values,
        models=models,
        parameters=sum(part.gradient.shape[1] for part in parts),
        warnings=(*said, *cut.warnings),
    )


def _strata(strata: FloatArray | None, names: Mapping[float, str], n: int) -> list[tuple[IntArray, str]]:
    """The people of each stratum, as positions, and its name."""
    if strata is None:
        return [(np.arange(n, dtype=np.intp), "")]
    if np.isnan(strata).any():
        raise ValueError("Some stratum of the model of loss is unknown; give these people a category of their own.")
    return [(np.flatnonzero(strata == code), names.get(float(code), f"{code:g}")) for code in np.unique(strata)]


def _own_weights(
    columns: Mapping[str, FloatArray],
    terms: Sequence[Term],
    followed: BoolArray,
    where: IntArray,
    sampling: FloatArray | None,
) -> Weights:
    """The weights of one stratum's people; factors have the levels that occur among them."""
    used = {name: values[where] for name, values in columns.items()}
    made = [_occurring(term, used) for term in terms]
    if not followed[where].any():
        raise ValueError(
            "Everybody in this stratum was lost to follow-up, so no weight can stand for them; merge strata, or leave "
            "these people out before the step of loss."
        )
    nobody = [name for term in made for name in _all_lost(term, used, followed[where])]
    if nobody:
        raise ValueError(
            f"Everybody with {'; '.join(nobody)} was lost to follow-up, so no weight can stand for them; merge "
            "categories, or leave these people out before the step of loss."
        )
    return loss_weights(
        build_design(used, made, len(where)), followed[where], weights=None if sampling is None else sampling[where]
    )


def _all_lost(term: Term, columns: Mapping[str, FloatArray], followed: BoolArray) -> list[str]:
    """The levels of a factor that nobody who was followed has."""
    if not isinstance(term, Factor):
        return []
    kept = np.bincount(term.codes(columns)[followed], minlength=len(term.levels))
    return [f"{term.name} {label}" for label, n in zip(term.labels, kept, strict=True) if n == 0]


def _occurring(term: Term, columns: Mapping[str, FloatArray]) -> Term:
    if isinstance(term, Product):
        raise ValueError("A model of loss takes no products; fit it within strata instead.")
    if not isinstance(term, Factor):
        return term
    labels = {int(code): label for code, label in zip(term.levels, term.labels, strict=True)}
    return factor(term.name, columns[term.name], labels)


def _in_place(part: WeightPart, where: IntArray, n: int) -> WeightPart:
    """A part of one stratum's people as one of everyone, to which the others add nothing."""
    if len(where) == n:
        return part
    gradient, own = np.zeros((n, part.gradient.shape[1])), np.zeros((n, part.influence.shape[1]))
    gradient[where], own[where] = part.gradient, part.influence
    return WeightPart(gradient, own)


def _numerator(followed: BoolArray, levels: IntArray, sampling: FloatArray | None) -> Weights:
    """The share followed of each person's exposure category (n,), with the influence of its estimation."""
    s = np.ones(len(followed)) if sampling is None else sampling
    own = (levels[:, None] == np.arange(int(levels.max()) + 1)).astype(float)
    people = s @ own
    share = (s * followed) @ own / np.where(people > 0, people, 1)
    if (share[people > 0] <= 0).any():
        raise ValueError("A category of the exposure has nobody who was followed; leave it out, or merge categories.")
    safe = np.where(people > 0, share * people, 1)
    part = WeightPart(own, s[:, None] * own * (followed[:, None] - share) / safe)
    return Weights(values=share[levels], parts=(part,), target=np.ones(len(followed)))


def spread(weights: Weights, *, percentiles: Sequence[float] = PERCENTILES) -> Spread:
    """How the weights above 0 are spread; percentiles by linear interpolation."""
    w = weights.values[weights.values > 0]
    return Spread(
        n=len(w),
        mean=float(w.mean()),
        std=float(w.std(ddof=1)) if len(w) > 1 else float("nan"),
        smallest=float(w.min()),
        largest=float(w.max()),
        percentiles={p: float(v) for p, v in zip(percentiles, np.percentile(w, percentiles), strict=True)},
        effective=float(w.sum() ** 2 / (w @ w)),
        truncated=weights.truncated,
    )


def balance_of_followed(
    covariates: Sequence[Covariate],
    followed: BoolArray,
    weights: FloatArray,
    *,
    sampling: FloatArray | None = None,
) -> BalanceTable:
    """Balance of those followed against everyone eligible (n,), without and with weights (n,); `sampling` weights (n,)
    count in both groups once the weights do.

    The standardised difference is (mean among the followed - mean among all) / s, s^2 the mean of the two variances
    without weights. Missing values are left out covariate by covariate, and counted over both groups.
    """
    both = [replace(c, values=np.concatenate([c.values, c.values[followed]])) for c in covariates]
    group = np.repeat(np.array([0, 1], dtype=np.intp), [len(followed), int(followed.sum())])
    s = np.ones(len(followed)) if sampling is None else sampling
    used = np.concatenate([s, (weights * s)[followed]])
    return balance_table(both, group, ("Eligible", "Followed up"), weights=used)


def weighted_fit(
    method: str,
    design: Design,
    y: FloatArray,
    weights: Weights,
    rows: BoolArray,
    *,
    variances: Sequence[str] = ("HC0",),
    cluster: FloatArray | None = None,
    survey: SurveyDesign | None = None,
    sampling: FloatArray | None = None,
    engine: str = "newton",
) -> WeightedFit:
    """Fit `method` to the m people `rows` (n,) marks, by design (m, p) and outcome y (m,), under weights of n people.

    Covariances (q, q) come with the weights estimated and taken as known; HC1's factor m/(m - q) is of those fitted,
    stata's is n/(n - 1) of everyone whose influence counts. `cluster`, `survey` and `sampling` are of all n. A variance
    that is no sum over persons is `left_out`; so are all where the fit has no Wald variance.

    Raises ValueError for rows without a weight, and as `fit_model` does.
    """
    s = weights.values if sampling is None else weights.values * sampling
    if (weights.values[rows] <= 0).any():
        raise ValueError("Somebody in the outcome model has no weight; only people who were followed can enter it.")
    fit = fit_model(method, design, y, weights=s[rows], engine=engine)
    whole: dict[str, FloatArray] = {}
    fixed: dict[str, FloatArray] = {}
    usable = [v for v in variances if v in STACKED and fit.converged and fit.wald]
    for name in usable:
        phi = influence(fit, name if name in LEVERAGED else "HC0")
        whole[name] = _summed(with_weights_estimated(phi, weights, rows), name, fit, cluster, survey)
        if name == "survey":
            fixed[name] = _summed(_embedded(phi, rows), name, fit, None, survey)
        else:
            fixed[name] = _summed(phi, name, fit, None if cluster is None else cluster[rows], None)
    return WeightedFit(fit=fit, estimated=whole, known=fixed, left_out=tuple(v for v in variances if v not in usable))


def _embedded(phi: FloatArray, rows: BoolArray) -> FloatArray:
    out = np.zeros((len(rows), phi.shape[1]))
    out[rows] = phi
    return out


def _summed(
    phi: FloatArray, name: str, fit: Fit, cluster: FloatArray | None, survey: SurveyDesign | None
) -> FloatArray:
    """The covariance of a named variance from the influence (n, q) of persons."""
    if name in ("stata", "cluster", "survey"):
        return risk_covariance(phi, name, cluster=cluster, design=survey)
    return risk_covariance(phi) * (fit.n / max(fit.n - fit.parameters, 1) if name == "HC1" else 1.0)
