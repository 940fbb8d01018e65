"""Mantel-Haenszel estimates of a categorical exposure over the strata of categorical covariates, as rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from walkrisk.doors.faults import as_faults
from walkrisk.doors.frames import ModelFrame
from walkrisk.doors.regression import Asking, level_counts, with_levels
from walkrisk.doors.results import Estimates, estimates
from walkrisk.errors import UsageFault
from walkrisk.estimates.rows import Estimate, two_sided_p
from walkrisk.estimates.stratified import MantelHaenszel, mantel_haenszel_levels
from walkrisk.estimates.two_by_two import Interval
from walkrisk.models.design import Factor, Linear, Product, Term

ESTIMANDS = ("risk_ratio", "risk_difference", "odds_ratio")
USUAL = ("HC0", "stata", "model", "mantel_haenszel")  # variances that a default may name


def mantel_haenszel_rows(
    asking: Asking, *, estimands: Sequence[str] = ESTIMANDS, tried: tuple[str, ...] = ()
) -> Estimates:
    """Risk ratios (Greenland-Robins), differences (Sato) and odds ratios (Robins-Breslow-Greenland) by level.

    Details hold the tests of homogeneity and association, a row a level and test. Raises UsageFault for covariates that
    are no categories, weights, clusters or a survey design, which Mantel-Haenszel does not know.
    """
    asking = with_levels(asking)
    frame = asking.frame
    exposure = frame.exposure
    assert isinstance(exposure, Factor)
    numeric = [_name(t) for t in frame.covariates if not _makes_strata(t, frame)]
    faults = []
    if numeric:
        faults.append(
            f"Mantel-Haenszel strata are made of categories, but {', '.join(numeric)} enters as a number; "
            "write categories(...) with quantiles or limits."
        )
    if frame.weights is not None or frame.cluster is not None or frame.strata is not None:
        faults.append("Mantel-Haenszel knows no weights, clusters or survey design; choose a regression method.")
    own = asking.choice
    grouped = frame.cluster is not None or frame.strata is not None
    ignored = [] if own.name in USUAL or grouped else [f"variance {own.name}"]
    ignored += ["t limits"] if own.limits == "t" else []
    if ignored:
        faults.append(f"Mantel-Haenszel has variances of its own and normal limits, not {' and '.join(ignored)}.")
    if faults:
        raise UsageFault(faults)
    strata = [frame.columns[_name(t)] for t in frame.covariates] or [np.zeros(frame.n)]
    with as_faults():
        made = mantel_haenszel_levels(
            frame.columns[exposure.name],
            frame.y,
            strata,
            levels=exposure.levels,
            labels=exposure.labels,
            conf_level=asking.conf_level,
        )
    rows = [row for estimand in ESTIMANDS if estimand in estimands for row in _rows(asking, made, estimand)]
    none = [r.level for r in rows if r.estimate is None and r.n]
    said = [*frame.sentences, *(sentence for m in made for sentence in m.sentences)]
    if none:
        said.append(
            f"{', '.join(dict.fromkeys(none))}: not estimable, as it or the reference has no cases in any stratum."
        )
    return estimates(rows, said=said, tried=tried, details={"tests": _tests(made)})


def _name(term: Term) -> str:
    return "a product" if isinstance(term, Product) else term.name


def _makes_strata(term: Term, frame: ModelFrame) -> bool:
    """Whether a covariate has levels: a factor, or a 0/1 number."""
    if isinstance(term, Linear):
        return bool(np.isin(frame.columns[term.name], (0.0, 1.0)).all())
    return isinstance(term, Factor)


def _rows(asking: Asking, made: Sequence[MantelHaenszel], estimand: str) -> list[Estimate]:
    exposure = asking.frame.exposure
    assert isinstance(exposure, Factor)
    by_level = {m.level: m for m in made}
    variance = {"risk_ratio": "greenland_robins", "risk_difference": "sato", "odds_ratio": "robins_breslow_greenland"}
    base = replace(asking.row(estimand, "mantel_haenszel"), variance=variance[estimand], reference=exposure.labels[0])
    rows = []
    for count in level_counts(asking.frame):
        row = replace(base, level=count.label, n=count.n, events=count.events)
        if count.label == exposure.labels[0]:
            rows.append(replace(row, estimate=0.0 if estimand == "risk_difference" else 1.0))
            continue
        m = by_level.get(count.label)
        if m is not None:
            found = m.risk_difference["sato"] if estimand == "risk_difference" else getattr(m, estimand)
            row = _filled(row, found)
        rows.append(row)
    return rows


def _filled(row: Estimate, found: Interval) -> Estimate:
    ratio = row.estimand != "risk_difference"
    if found.estimate is None or not math.isfinite(found.estimate) or (found.estimate == 0 and ratio):
        return row
    p = None
    if found.std_error:
        value = found.estimate if row.estimand == "risk_difference" else math.log(found.estimate)
        p = two_sided_p(value / found.std_error)
    return replace(
        row, estimate=found.estimate, std_error=found.std_error, conf_low=found.low, conf_high=found.high, p_value=p
    )


def _tests(made: Sequence[MantelHaenszel]) -> pd.DataFrame:
    rows = [
        {"level": m.level, "test": kind, "of": name, "chi_square": t.statistic, "df": t.df, "p_value": t.p_value}
        for m in made
        for kind, tests in (("homogeneity", m.homogeneity), ("association", m.association))
        for name, t in tests.items()
    ]
    return pd.DataFrame(rows, columns=["level", "test", "of", "chi_square", "df", "p_value"])
