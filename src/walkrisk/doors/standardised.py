"""Standardised risks, their ratios and differences (g-computation), as rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from walkrisk.doors.faults import as_faults
from walkrisk.doors.frames import ModelFrame
from walkrisk.doors.regression import Asking, fit_by, level_counts, with_levels
from walkrisk.doors.results import Estimates, estimates, fitted_model
from walkrisk.doors.variances import BOOTSTRAP
from walkrisk.errors import UsageFault
from walkrisk.estimates.bootstrapped_risks import bootstrapped_contrasts
from walkrisk.estimates.counterfactuals import counterfactual_design, level_designs
from walkrisk.estimates.risk_contrasts import Quantity, RiskContrast, level_risks, risk_contrasts
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.standardisation import StandardisedRisks, risk_covariance, standardise
from walkrisk.models.design import Design, Factor, Linear
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]
Population = str | npt.ArrayLike | None
Intervals = Literal["delta", "normal", "basic", "percentile", "bca"]
RiskLimits = Literal["logit", "identity", "log"]  # the scale on which limits of a risk are symmetric

MODELS = {
    "standardisation_logistic": "logistic",
    "standardisation_poisson": "modified_poisson",
    "standardisation_log_binomial": "log_binomial",
}
ALL = ("risk", "risk_ratio", "risk_difference", "odds_ratio", "nnt")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Standard:
    """Over whom risks are standardised, at which values of a numeric exposure, and how intervals are made.

    `population` is None (everyone), a mask or weights (n,) on the complete rows; `sampled` adds the sampling of the
    covariates to the variance. `intervals` other than delta are from `replicates` bootstrap samples by `seed`.
    """

    population: FloatArray | None = None
    sampled: bool = True
    at: tuple[float, ...] = ()
    intervals: Intervals = "delta"
    replicates: int = 2000
    seed: int = 1
    risk_limits: RiskLimits = "logit"


def population_weights(frame: ModelFrame, population: Population) -> FloatArray | None:
    """The standard population as weights of the complete rows."""
    if isinstance(population, pd.Series) and frame.index is not None and not population.index.equals(frame.index):
        raise UsageFault("`population` has another index than the data; give it in the order of the data's rows.")
    if population is None or (isinstance(population, str) and population == "everyone"):
        return None
    if isinstance(population, str):
        if population not in frame.levels and frame.levels:
            raise UsageFault(
                f"`population` {population!r} is no level of the exposure ({', '.join(frame.levels)}); "
                "give one, or a mask with a value for each row."
            )
        exposure = frame.exposure
        labels: tuple[str, ...] = getattr(exposure, "labels", ("0", "1"))
        if population not in labels:
            raise UsageFault(f"`population` {population!r} is no level of the exposure ({', '.join(labels)}).")
        codes = getattr(exposure, "levels", (0.0, 1.0))
        return np.asarray(frame.columns[exposure.name] == codes[labels.index(population)], dtype=np.float64)
    values = np.asarray(population, dtype=np.float64)
    if values.shape != frame.rows.shape:
        raise UsageFault(f"`population` has {values.size} values for {frame.rows.size} rows; give one for each row.")
    return np.asarray(values[frame.rows])


def scenarios(asking: Asking, standard: Standard) -> Mapping[str, Design]:
    """The counterfactual designs by level of the exposure (the reference first) or by value of a numeric one."""
    frame = asking.frame
    exposure = frame.exposure
    if isinstance(exposure, Factor):
        return level_designs(frame.columns, frame.terms(), frame.n, exposure)
    values = standard.at
    if not values:
        raise UsageFault(
            "A numeric exposure needs `at`, the values whose risks are compared, the first the reference: at=(60, 90)."
        )
    if len(values) < 2:
        raise UsageFault("`at` needs two or more values of the exposure, the first the reference; for example (0, 1).")
    return {
        f"{v:.15g}": counterfactual_design(frame.columns, frame.terms(), frame.n, {exposure.name: v}) for v in values
    }


def _is_binary(values: FloatArray) -> bool:
    return bool(np.isin(values, (0.0, 1.0)).all())


def standardised(
    asking: Asking, method: str, standard: Standard, *, estimands: Sequence[str] = ALL, tried: tuple[str, ...] = ()
) -> Estimates:
    """Rows of standardised risks and their contrasts after the model of `method`."""
    exposure = asking.frame.exposure
    if not standard.at and isinstance(exposure, Linear) and _is_binary(asking.frame.columns[exposure.name]):
        asking = with_levels(asking)
    frame, choice = asking.frame, asking.choice
    if standard.intervals != "delta" and not standard.sampled:
        raise UsageFault("A bootstrap resamples covariates with the people; leave `sampled` as it is, or take delta.")
    details: dict[str, Any]
    fit = fit_by(MODELS[method], frame)
    with as_faults():
        designs = scenarios(asking, standard)
        risks = standardise(fit, designs, y=frame.y, weights=frame.weights, population=standard.population)
        if standard.intervals == "delta":
            matrix = risk_covariance(
                risks, fit, choice.name, cluster=choice.cluster, design=choice.survey, unconditional=standard.sampled
            )
            rows = _delta_rows(asking, method, risks, matrix, choice.df(fit), standard.risk_limits)
            compared = risk_contrasts(risks, matrix, conf_level=asking.conf_level)
            said = [*asking.said(), *risks.warnings]
            details = {"risk_covariance": matrix, "number_needed": _needed(compared)}
            if math.isfinite(choice.groups_df()):
                details["df"] = choice.groups_df()
        else:
            rows, said, details = _bootstrap_rows(asking, method, fit, designs, standard)
        model = fitted_model(fit, choice.name, choice.covariance(fit))
    kept = [row for row in rows if row.estimand in estimands]
    return estimates(kept, fit=model, said=said, tried=tried, details=details)


def risk_rows(
    asking: Asking,
    method: str,
    levels: Sequence[str],
    risks: FloatArray,
    covariance: FloatArray,
    *,
    df: float = math.inf,
    risk_limits: RiskLimits = "logit",
) -> list[Estimate]:
    """Rows of risks (K,) of levels and their contrasts by the delta method, from their covariance (K, K)."""
    none = np.zeros(len(levels), dtype=np.intp)
    as_risks = StandardisedRisks(
        levels=tuple(levels),
        risks=risks,
        gradients=np.zeros((len(levels), 0)),
        deviations=None,
        exact=none.astype(bool),
        outside=none,
        settled=none,
        unknown=none,
        population=asking.frame.n,
        warnings=(),
    )
    return _delta_rows(asking, method, as_risks, covariance, df, risk_limits)


def _delta_rows(
    asking: Asking, method: str, risks: StandardisedRisks, matrix: FloatArray, df: float, scale: RiskLimits
) -> list[Estimate]:
    finite = None if math.isinf(df) else df
    by_level = level_risks(risks, matrix, conf_level=asking.conf_level, df=finite, scale=scale)
    compared = risk_contrasts(risks, matrix, conf_level=asking.conf_level, df=finite)
    return _rows(asking, method, risks.levels, by_level, compared)


def _needed(compared: Sequence[RiskContrast]) -> dict[str, str]:
    """Numbers needed in words, by level: to benefit (NNTB) or to harm (NNTH), through infinity where so."""
    return {c.level: c.number_needed.text() for c in compared}


def _bootstrap_rows(
    asking: Asking, method: str, fit: Fit, designs: Mapping[str, Design], standard: Standard
) -> tuple[list[Estimate], list[str], dict[str, Any]]:
    frame = asking.frame
    made = bootstrapped_contrasts(
        fit,
        designs,
        y=frame.y,
        seed=standard.seed,
        weights=frame.weights,
        population=standard.population,
        cluster=frame.psu if frame.psu is not None else frame.cluster,
        strata=frame.strata,
        kind=standard.intervals,
        replicates=standard.replicates,
        conf_level=asking.conf_level,
    )
    rows = _rows(asking, method, made.levels, made.risks, made.contrasts)
    said = [
        *frame.sentences,
        f"Limits are {standard.intervals} limits of {made.replicates} bootstrap samples (seed {standard.seed}), "
        f"{made.failed} of which had no estimate.",
        *made.warnings,
    ]
    return [replace(row, variance=BOOTSTRAP) for row in rows], said, {"number_needed": _needed(made.contrasts)}


def _rows(
    asking: Asking,
    method: str,
    levels: Sequence[str],
    by_level: Sequence[Quantity],
    compared: Sequence[RiskContrast],
) -> list[Estimate]:
    counts = _counts(asking, levels)
    rows = [
        _counted(replace(_filled(asking.row("risk", method), q), level=level), counts)
        for level, q in zip(levels, by_level, strict=True)
    ]
    for estimand in ("risk_ratio", "risk_difference", "odds_ratio"):
        base = replace(asking.row(estimand, method), reference=levels[0])
        first = replace(base, level=levels[0], estimate=0.0 if estimand == "risk_difference" else 1.0)
        rows.append(_counted(first, counts))
        rows += [_counted(replace(_filled(base, getattr(c, estimand)), level=c.level), counts) for c in compared]
    rows += [_counted(_nnt(asking, method, c), counts) for c in compared]
    return _in_order(asking, rows)


def _counts(asking: Asking, levels: Sequence[str]) -> dict[str, tuple[int | None, int | None]]:
    if isinstance(asking.frame.exposure, Factor):
        return {c.label: (c.n, c.events) for c in level_counts(asking.frame)}
    n, events = asking.frame.n, int(asking.frame.y.sum())
    return dict.fromkeys(levels, (n, events))


def _counted(row: Estimate, counts: Mapping[str, tuple[int | None, int | None]]) -> Estimate:
    return replace(row, n=counts[row.level][0], events=counts[row.level][1])


def _in_order(asking: Asking, rows: list[Estimate]) -> list[Estimate]:
    """Levels of a factor in their own order within each estimand."""
    levels = list(asking.frame.levels)
    estimands = list(ALL)
    return sorted(rows, key=lambda r: (estimands.index(r.estimand), levels.index(r.level) if r.level in levels else 0))


def _filled(row: Estimate, q: Quantity) -> Estimate:
    if not math.isfinite(q.estimate):
        return row
    return replace(
        row,
        estimate=q.estimate,
        std_error=_known(q.std_error),
        conf_low=_known(q.conf_low),
        conf_high=_known(q.conf_high),
        p_value=_known(q.p_value),
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _nnt(asking: Asking, method: str, contrast: RiskContrast) -> Estimate:
    """The number needed; an interval through infinity has no limits here, its words are in the details."""
    row = replace(asking.row("nnt", method), level=contrast.level, reference=contrast.reference)
    needed = contrast.number_needed
    if not math.isfinite(needed.number):
        return row
    row = replace(row, estimate=needed.number)
    if needed.through_infinity or not math.isfinite(needed.first):
        return row
    return replace(row, conf_low=needed.first, conf_high=needed.last)
