"""Mantel-Haenszel estimates of a categorical exposure over the strata of categorical covariates, as rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from walkrisk.doors.faults import as_faults
from walkrisk.doors.regression import Asking, level_counts, with_levels
from walkrisk.doors.results import Estimates, estimates
from walkrisk.errors import UsageFault
from walkrisk.estimates.rows import Estimate, two_sided_p
from walkrisk.estimates.stratified import MantelHaenszel, mantel_haenszel_levels
from walkrisk.estimates.two_by_two import Interval
from walkrisk.models.design import Factor

ESTIMANDS = ("risk_ratio", "risk_difference", "odds_ratio")


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
    numeric = [
        t.name if not hasattr(t, "first") else "a product" for t in frame.covariates if not isinstance(t, Factor)
    ]
    faults = []
    if numeric:
        faults.append(
            f"Mantel-Haenszel strata are made of categories, but {', '.join(numeric)} enters as a number; "
            "write categories(...) with quantiles or limits."
        )
    if frame.weights is not None or frame.cluster is not None or frame.strata is not None:
        faults.append("Mantel-Haenszel knows no weights, clusters or survey design; choose a regression method.")
    if faults:
        raise UsageFault(faults)
    strata = [frame.columns[t.name] for t in frame.covariates if isinstance(t, Factor)] or [np.zeros(frame.n)]
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
    said = [*frame.sentences, *(sentence for m in made for sentence in m.sentences)]
    return estimates(rows, said=said, tried=tried, details={"tests": _tests(made)})


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
    if found.estimate is None:
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
