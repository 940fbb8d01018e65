"""The grammar of loss to follow-up: weights for it, with or without imputation, and what the lost could have been."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from walkrisk.declarations import Name, option
from walkrisk.studies.faults import Faults
from walkrisk.studies.vocabulary import COX

if TYPE_CHECKING:
    from walkrisk.studies.study import Study

WEIGHTED = ("modified_poisson", "log_binomial", "logistic")
"""Methods of the main analysis whose outcome model can be fitted under weights, or with risks in place of outcomes."""
FEWEST_KNOTS, MOST_KNOTS = 3, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """The main model weighted by the inverse probability of being followed up.

    Eligible is whoever passes every exclusion before the first step of loss; the model of loss is logistic, over
    everyone eligible. Limits take the estimation of the weights into account; rows that take them as known stand
    beside, their variance ending in `weights_known`.
    """

    id: Name
    title: str = "Weighted for loss to follow-up"
    steps: tuple[Name, ...] = option(doc="The exclusions at which people are lost to follow-up.")
    also: tuple[Name, ...] = option(
        (), doc="Later exclusions that decide who is eligible too, being of baseline: a range of age."
    )
    covariates: tuple[Name, ...] = option(
        (),
        doc="Of the model of loss: variables (factors where they have levels) and exposures (their categories, as cut "
        "in the main analysis); by default the exposures followed and the covariates of the main model.",
    )
    splines: Mapping[Name, int] = option(
        factory=dict, doc="Covariate -> knots of its restricted cubic spline (Harrell's positions); others are linear."
    )
    strata: Name | None = option(
        None, doc="A factor or exposure within whose levels a model each is fitted, so that it modifies every term."
    )
    stabilised: bool = option(
        True,
        doc="Weights are multiplied by the share followed in the exposure's category (of everyone, where those lost "
        "have no known exposure).",
    )
    truncate: tuple[float, ...] = option(
        (1.0, 99.0), doc="Percentiles beyond which weights are cut off; an empty list for none."
    )
    missing: Literal["category", "exclude"] = option(
        "category",
        doc="What becomes of eligible people who lack a covariate of the model of loss: a category of their own (of a "
        "number: its mean, and an indicator), or they are left out of those eligible. With imputation nobody lacks.",
    )
    least_chance: float = option(0.05, doc="People with a smaller chance of being followed are counted.")
    imputation: Name | None = option(None, doc="The imputation whose sets the weights are made in, and pooled over.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstCases:
    """Bounds: those lost as all cases or none, and with k times the risk of those followed.

    The lost are people who pass every exclusion but the steps of loss and have all covariates of the main model.
    """

    id: Name
    title: str = "Worst cases of loss to follow-up"
    steps: tuple[Name, ...] = option(doc="The exclusions at which people are lost to follow-up.")
    multipliers: tuple[float, ...] = option(
        (0.5, 0.75, 1.0, 1.5, 2.0, 3.0), doc="The grid of k, increasing; 1 is as those followed."
    )
    scale: Literal["odds", "risk"] = option(
        "odds", doc="What is k times: the odds, which has no limit, or the risk, which must not pass 1."
    )
    anchor: Literal["model", "category"] = option(
        "model",
        doc="Whose risk is multiplied: that which the main model of the followed gives people with the same exposure "
        "and covariates (k of 1 is then the main analysis), or that of everyone followed in the exposure's category.",
    )
    widest: float = option(20.0, doc="Tipping points are sought for k from 1/widest to widest.")


def check_weights(declared: tuple[LossWeights, ...], study: Study, known: list[str], faults: Faults) -> None:
    """Every name that leads nowhere and every setting that contradicts another, in all weights for loss."""
    for i, d in enumerate(declared):
        key = f"sensitivity.losses[{i}] ({d.id})"
        _check_steps(d.steps, study, key, faults)
        ids = [step.id for step in study.exclusions]
        faults.names(f"{key}.also", d.also, [i for i in ids if i not in d.steps], "other exclusion")
        pool = [*known, *study.exposures]
        faults.names(f"{key}.covariates", d.covariates, pool, "variable or exposure")
        faults.unique(f"{key}.covariates", d.covariates)
        faults.names(f"{key}.splines", d.splines, d.covariates, "covariate of this model of loss")
        for name, knots in d.splines.items():
            if not FEWEST_KNOTS <= knots <= MOST_KNOTS:
                faults.add(f"{key}.splines.{name}", f"must be from 3 to 7 knots, got {knots}; 4 is usual.")
            if name in study.exposures or _levels(study, name):
                faults.add(f"{key}.splines.{name}", "has categories; a spline is of a number, name its variable.")
        if d.strata is not None:
            faults.name(f"{key}.strata", d.strata, pool, "variable or exposure")
            if d.strata in known and not _levels(study, d.strata):
                faults.add(f"{key}.strata", f"{d.strata} has no levels; name a factor, or an exposure.")
        _check_percentiles(d, key, faults)
        if not 0 < d.least_chance < 1:
            faults.add(f"{key}.least_chance", f"must be between 0 and 1, got {d.least_chance:g}; 0.05 is usual.")
        if d.imputation is not None:
            imputations = [m.id for m in study.sensitivity.imputations]
            faults.name(f"{key}.imputation", d.imputation, imputations, "imputation")
        _check_method(study, key, faults)


def check_worst(declared: tuple[WorstCases, ...], study: Study, faults: Faults) -> None:
    """Every name that leads nowhere and every setting that contradicts another, in all worst cases."""
    for i, d in enumerate(declared):
        key = f"sensitivity.worst_cases[{i}] ({d.id})"
        _check_steps(d.steps, study, key, faults)
        faults.increasing(f"{key}.multipliers", d.multipliers)
        if any(k <= 0 for k in d.multipliers):
            faults.add(f"{key}.multipliers", "must be above 0; the worst cases themselves have risks of 0 and 1.")
        if not d.multipliers:
            faults.add(f"{key}.multipliers", "names no k; give a grid such as [0.5, 1.0, 2.0].")
        if d.widest <= 1:
            faults.add(f"{key}.widest", f"must be above 1, got {d.widest:g}; 20 is usual.")
        _check_method(study, key, faults)


def title_of(declared: LossWeights) -> str:
    """The title of weights, which says that they are made in imputed sets."""
    if declared.imputation is None or "imput" in declared.title.lower():
        return declared.title
    return f"{declared.title}, with imputation"


def before_and_after(study: Study, steps: Sequence[str]) -> tuple[list[str], list[str]]:
    """The exclusions before the first step of loss, and those after it that are no loss."""
    ids = [step.id for step in study.exclusions]
    first = min(ids.index(step) for step in steps)
    return ids[:first], [i for i in ids[first:] if i not in steps]


def _check_steps(steps: Sequence[str], study: Study, key: str, faults: Faults) -> None:
    ids = [step.id for step in study.exclusions]
    if not steps:
        faults.add(f"{key}.steps", "names no exclusion at which people are lost; name one.")
    faults.names(f"{key}.steps", steps, ids, "exclusion")


def _check_percentiles(d: LossWeights, key: str, faults: Faults) -> None:
    if d.truncate and (len(d.truncate) != 2 or not 0 <= d.truncate[0] < d.truncate[-1] <= 100):
        faults.add(
            f"{key}.truncate",
            f"must be two percentiles in order, from 0 to 100, got {list(d.truncate)}; [1, 99] is usual, [] cuts none.",
        )


def _check_method(study: Study, key: str, faults: Faults) -> None:
    main = next((a for a in study.analyses if a.id == study.sensitivity.analysis), None)
    method = (main.method if main else None) or study.settings.method
    if method in WEIGHTED:
        return
    why = "follow-up time handles loss by censoring" if method == COX else "it is no single model of the outcome"
    faults.add(key, f"the main analysis is by {method}: {why}; choose one by {', '.join(WEIGHTED)}.")


def _levels(study: Study, name: str) -> bool:
    column = study.columns.get(name)
    if name in study.variables:
        return bool(study.variables[name].levels)
    return bool(column and (column.labels or column.categories))
