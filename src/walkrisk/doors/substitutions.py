"""What a day spent otherwise would mean: isotemporal substitution and compositional reallocation of time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from walkrisk.doors.curves import METHODS
from walkrisk.doors.faults import as_faults, door
from walkrisk.doors.frames import Asked, Clusters, Data, Subset
from walkrisk.doors.ratios import asking as asking_of
from walkrisk.doors.regression import Asking, fit_by
from walkrisk.doors.results import Estimates, estimates, fitted_model
from walkrisk.doors.terms import DeclaredTerm, LinearTerm
from walkrisk.errors import UsageFault
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.substitution import (
    Substitutions,
    composition_test,
    feasible_amounts,
    isotemporal,
    part_contrasts,
    pro_rata,
    reallocations,
    total_varies,
)
from walkrisk.models.compositions import mean_composition
from walkrisk.models.design import Composition, Linear, Term, build_design
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]

MODELS = ("isotemporal", "compositional")


@door
def time_substitution(
    data: Data,
    *,
    outcome: str,
    parts: Sequence[str],
    amounts: Sequence[float] = (30.0,),
    covariates: Sequence[str | DeclaredTerm] = (),
    model: str = "isotemporal",
    method: str = "modified_poisson",
    variance: str = "HC0",
    cluster: Clusters = None,
    weights: str | None = None,
    conf_level: float = 0.95,
    strata: str | None = None,
    psu: str | None = None,
    lonely: str = "fail",
    subset: Subset = None,
    limits: str | None = None,
) -> Estimates:
    """The risk ratio for moving `amounts` of time (in the unit of `parts`) from one behaviour to another, all pairs.

    `isotemporal`: linear in the parts, their total held constant. `compositional`: linear in the isometric log-ratio
    coordinates of the parts, moves made at the mean composition of the sample, one to one and pro rata (from all others
    in proportion). Rows have the level "amount: from -> to". Details of a compositional model: the mean composition,
    the joint test, the coordinate of each part against the others, and how much can be moved within the observed range.

    Raises UsageFault, DataFault or ModelFault: a compositional model has no logarithm of a part of 0, and no part can
    give more than it has.

    >>> from walkrisk import example_cohort, time_substitution
    >>> day = ["sleep_min", "sitting_min", "light_min", "walking_min_day"]
    >>> found = time_substitution(example_cohort(), outcome="event", parts=day, covariates=["age"])
    >>> found.rows[0].level
    '30: sleep_min -> sitting_min'

    References: Mekary et al. 2009 doi 10.1093/aje/kwp163; Dumuid et al. 2019 doi 10.1177/0962280217737805.
    """
    faults = []
    if model not in MODELS:
        faults.append(f"`model` must be one of {', '.join(MODELS)}, got {model!r}.")
    if method not in METHODS:
        faults.append(f"`method` must be one of {', '.join(METHODS)}, got {method!r}.")
    if isinstance(parts, str) or len(set(parts)) < 2:
        faults.append("`parts` must be two or more different columns.")
    if not len(amounts) or not all(math.isfinite(a) and a > 0 for a in amounts):
        faults.append("`amounts` must be positive.")
    if faults:
        raise UsageFault(faults)
    asked = Asked(
        outcome=outcome,
        exposure=LinearTerm(parts[0]),
        covariates=[*(LinearTerm(p) for p in parts[1:]), *covariates],
        weights=weights,
        cluster=cluster,
        strata=strata,
        psu=psu,
        subset=subset,
    )
    question = asking_of(data, asked, variance=variance, limits=limits, conf_level=conf_level, lonely=lonely)
    others = list(question.frame.covariates[len(parts) - 1 :])
    with as_faults():
        by = _isotemporal if model == "isotemporal" else _compositional
        return by(question, method, tuple(parts), [float(a) for a in amounts], others)


def _isotemporal(
    question: Asking, method: str, parts: tuple[str, ...], amounts: list[float], others: list[Term]
) -> Estimates:
    frame = question.frame
    varies = total_varies(frame.columns, parts)
    kept = parts if varies else parts[:-1]
    terms: list[Term] = [*(Linear(p) for p in kept), *others]
    fit = fit_by(method, frame, build_design(frame.columns, terms, frame.n))
    v, limits = question.choice.covariance(fit), _limits(question, fit)
    rows = []
    for amount in amounts:
        made = isotemporal(fit, parts, v, amount, omitted=None if varies else parts[-1], **limits)
        rows += _rows(question, method, made)
    said = question.said()
    if varies:
        said = [*said, "The total of the parts differs between people; moves keep each person's total as it is."]
    return estimates(rows, fit=fitted_model(fit, question.choice.name, v), said=said)


def _limits(question: Asking, fit: Fit) -> dict[str, Any]:
    df = question.choice.df(fit)
    return {"conf_level": question.conf_level, "df": None if math.isinf(df) else df}


def _compositional(
    question: Asking, method: str, parts: tuple[str, ...], amounts: list[float], others: list[Term]
) -> Estimates:
    frame = question.frame
    term = Composition(parts)
    fit = fit_by(method, frame, build_design(frame.columns, [term, *others], frame.n))
    v, limits = question.choice.covariance(fit), _limits(question, fit)
    matrix = np.column_stack([frame.columns[p] for p in parts])
    total = float(matrix.sum(axis=1).mean())
    base = mean_composition(matrix, total=total, weights=frame.weights)
    rows = _rows(question, method, reallocations(fit, term, v, base, amounts, **limits))
    rows += _rows(question, method, pro_rata(fit, term, v, base, amounts, **limits))
    against = part_contrasts(fit, term, v, **limits)
    details = {
        "mean_composition": pd.Series(base, index=list(parts)),
        "joint_test": composition_test(fit, term, v),
        "parts": pd.DataFrame(
            {
                "log_ratio": against.log_ratio,
                "std_error": against.std_error,
                "conf_low": against.log_low,
                "conf_high": against.log_high,
                "p_value": against.p_value,
            },
            index=list(parts),
        ),
        "feasible": pd.DataFrame(feasible_amounts(matrix, base), index=list(parts), columns=list(parts)),
    }
    return estimates(rows, fit=fitted_model(fit, question.choice.name, v), said=question.said(), details=details)


def _rows(question: Asking, method: str, made: Substitutions) -> list[Estimate]:
    estimand = "odds_ratio" if method == "logistic" else "risk_ratio"
    v = made.values
    return [
        replace(
            question.row(estimand, method),
            exposure="time",
            level=f"{amount:g}: {source} -> {target}",
            n=question.frame.n,
            events=int(question.frame.y.sum()),
            estimate=float(v.ratio[i]),
            std_error=float(v.std_error[i]),
            conf_low=float(v.low[i]),
            conf_high=float(v.high[i]),
            p_value=float(v.p_value[i]),
        )
        for i, (amount, source, target) in enumerate(zip(made.amount, made.source, made.target, strict=True))
    ]
