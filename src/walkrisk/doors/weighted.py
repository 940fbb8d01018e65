"""Inverse-probability-weighted and doubly robust risks of a categorical exposure, as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from walkrisk.doors.faults import as_faults
from walkrisk.doors.frames import ModelFrame
from walkrisk.doors.regression import Asking, fit_by, with_levels
from walkrisk.doors.results import Estimates, estimates
from walkrisk.doors.standardised import ALL, RiskLimits, risk_rows
from walkrisk.errors import ModelFault, UsageFault
from walkrisk.estimates.balance import Covariate, balance_table
from walkrisk.estimates.counterfactuals import level_designs
from walkrisk.estimates.doubly_robust import aipw_risks, outcome_model, tmle_risks
from walkrisk.estimates.risk_influence import risk_covariance
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.weighting import (
    Weights,
    combined,
    exposure_weights,
    hajek_risks,
    loss_weights,
    positivity,
    truncated,
    weight_summary,
)
from walkrisk.models.design import Factor, Product, Term, build_design, variables_of
from walkrisk.models.propensity import Propensity, fit_propensity

FloatArray = npt.NDArray[np.float64]

METHODS = ("iptw", "aipw", "tmle")
PROPENSITY, LOSS = "propensity_covariates", "loss_covariates"  # terms of further models in a frame
RANGE = "The probability of "  # how sentences begin that only report


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighting:
    """Whose effect is wanted, and what is done to the weights.

    `estimand` is ATE (everyone), ATT (people of the level `target`) or ATO (the overlap population); `truncate` are two
    percentiles beyond which weights are cut off; `fixed` takes the weights as known in the variance.
    """

    estimand: str = "ATE"
    target: str | None = None
    stabilised: bool = True
    truncate: tuple[float, float] | None = None
    fixed: bool = False
    risk_limits: RiskLimits = "logit"


def weighted(
    asking: Asking, method: str, weighting: Weighting, *, estimands: Sequence[str] = ALL, tried: tuple[str, ...] = ()
) -> Estimates:
    """Rows of weighted risks and their contrasts; details hold the weights' summary and the balance of covariates."""
    asking = with_levels(asking)
    frame = asking.frame
    exposure = frame.exposure
    assert isinstance(exposure, Factor)
    with as_faults():
        terms = _confounders(frame, method)
        covariates = build_design(frame.columns, terms, frame.n)
        propensity = fit_propensity(covariates, frame.columns[exposure.name], exposure, weights=frame.weights)
        if method != "iptw":  # a doubly robust risk adds weighted residuals, whose weights have no other scale
            weighting = replace(weighting, stabilised=False)
        weights = _weights(weighting, propensity, frame)
        risks, phi, said = _risks(asking, method, weighting, propensity, weights)
        matrix = risk_covariance(phi, asking.choice.name, cluster=asking.choice.cluster, design=asking.choice.survey)
        summary = weight_summary(weights, propensity.index)
        used = weights.values if frame.weights is None else weights.values * frame.weights
        balance = balance_table(_covariates(frame.columns, terms), propensity.index, exposure.labels, weights=used)
    made = risk_rows(
        asking, method, exposure.labels, risks, matrix, df=asking.choice.groups_df(), risk_limits=weighting.risk_limits
    )
    rows = [_of_observed(frame, r) for r in made if r.estimand in estimands]
    details: dict[str, Any] = {
        "weights": pd.DataFrame(
            {
                "level": exposure.labels,
                "effective_sample_size": summary.effective_size,
                "largest_weight": summary.largest,
            }
        ),
        "weight_summary": pd.Series(
            {
                "n": summary.n,
                "mean": summary.mean,
                "std": summary.std,
                "smallest": summary.smallest,
                "largest": summary.largest,
                "total": summary.total,
            }
        ),
        "balance": pd.DataFrame([asdict(row) for row in balance.rows]),
        "risk_covariance": matrix,
    }
    found = positivity(propensity, weights)
    ranges = [s for s in found if s.startswith(RANGE)]
    details["scores"] = ranges
    sentences = [*asking.said(), *propensity.warnings, *weights.warnings, *(s for s in found if s not in ranges), *said]
    return estimates(rows, said=sentences, tried=tried, details=details)


def _confounders(frame: ModelFrame, method: str) -> list[Term]:
    """The terms of the model of the exposure: its own, or the covariates less products with the exposure."""
    own = frame.also.get(PROPENSITY)
    terms = list(frame.covariates if own is None else own)
    mine = frame.exposure.name
    kept = [t for t in terms if mine not in variables_of(t)]
    if len(kept) < len(terms) and (method == "iptw" or own is not None):
        raise UsageFault(
            f"A model of {frame.exposure_name} cannot hold {frame.exposure_name} itself; take its products out, or "
            "choose aipw or tmle, whose outcome model may hold them."
        )
    return kept


def _of_observed(frame: ModelFrame, row: Estimate) -> Estimate:
    """A row that counts people with a known outcome only, where some are lost."""
    exposure = frame.exposure
    if frame.observed is None or row.n is None or not isinstance(exposure, Factor):
        return row
    code = exposure.levels[exposure.labels.index(row.level)]
    return replace(row, n=int((frame.observed & (frame.columns[exposure.name] == code)).sum()))


def _covariates(columns: Mapping[str, FloatArray], terms: Sequence[Term]) -> list[Covariate]:
    """The covariates of a question as the balance table takes them, each variable once."""
    out: dict[str, Covariate] = {}
    for term in terms:
        for main in (term.first, term.second) if isinstance(term, Product) else (term,):
            values = columns.get(main.name)
            if values is None or main.name in out:
                continue
            if isinstance(main, Factor):
                out[main.name] = Covariate(name=main.name, values=values, kind="categorical", labels=main.labels)
            else:
                binary = bool(np.isin(values, (0.0, 1.0)).all())
                out[main.name] = Covariate(name=main.name, values=values, kind="binary" if binary else "continuous")
    return list(out.values())


def _weights(weighting: Weighting, propensity: Propensity, frame: ModelFrame) -> Weights:
    exposure, sampling, target = propensity.exposure, frame.weights, None
    if weighting.target is not None:
        if weighting.target not in exposure.labels:
            raise UsageFault(f"`target` must be a level of the exposure ({', '.join(exposure.labels)}).")
        target = exposure.labels.index(weighting.target)
    made = exposure_weights(
        propensity, estimand=weighting.estimand, target=target, stabilised=weighting.stabilised, weights=sampling
    )
    if frame.observed is not None:
        terms = [exposure, *frame.also[LOSS]]
        lost = loss_weights(build_design(frame.columns, terms, frame.n), frame.observed, weights=sampling)
        made = combined(made, lost)
    return truncated(made, weighting.truncate) if weighting.truncate else made


def _risks(
    asking: Asking, method: str, weighting: Weighting, propensity: Propensity, weights: Weights
) -> tuple[FloatArray, FloatArray, tuple[str, ...]]:
    frame = asking.frame
    exposure = frame.exposure
    assert isinstance(exposure, Factor)
    if method == "iptw":
        found = hajek_risks(frame.y, propensity.index, exposure.labels, weights, sampling=frame.weights)
        return found.risks, found.fixed_influence if weighting.fixed else found.influence, found.warnings
    if frame.observed is not None:
        raise UsageFault("Weights for loss to follow-up go with method iptw; aipw and tmle do not take them here.")
    if weighting.estimand == "ATO":
        raise ModelFault(f"{method} is for the ATE and ATT; take method 'iptw' for the overlap population.")
    fit = fit_by("logistic", frame)
    designs = list(level_designs(frame.columns, frame.terms(), frame.n, exposure).values())
    model = outcome_model(fit, designs, y=frame.y, weights=frame.weights)
    if method == "aipw":
        both = aipw_risks(frame.y, propensity.index, exposure.labels, weights, model, sampling=frame.weights)
    else:
        both = tmle_risks(
            frame.y,
            propensity.index,
            exposure.labels,
            weights,
            model,
            scores=propensity.scores if weighting.estimand == "ATE" and weighting.truncate is None else None,
            sampling=frame.weights,
        )
    influence = both.influence if weighting.fixed or both.stacked_influence is None else both.stacked_influence
    return both.risks, influence, both.warnings
