"""Estimates of imputed data sets pooled into one, row by row, by Rubin's rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from walkrisk.doors.faults import as_faults, door
from walkrisk.doors.results import ON_LOG_SCALE, Estimates, FittedModel, estimates
from walkrisk.errors import UsageFault
from walkrisk.estimates.rows import CurvePoint, Estimate
from walkrisk.sensitivity.pooling import Pooled, PooledScalar, pool_coefficients, pool_scalar

RECODED = "recoded"  # another joint reference, chosen by each set's own risks
TESTS = ("p_trend", "p_interaction", "p_nonlinearity", "nnt", "e_value", "e_value_ci")


@door
def pool(sets: Sequence[Estimates], *, dfcom: float | None = None, conf_level: float = 0.95) -> Estimates:
    """One set of estimates from those of m imputed data sets, asked in the same way of each.

    Each row is pooled on its analysis scale (the log for ratios, the logit for risks) by Rubin's rules with the degrees
    of freedom of Barnard and Rubin; limits are Student's t. `dfcom` are the degrees of freedom without missing data: by
    default n less the coefficients for a fitted model, clusters - 1 where these are so few that limits are of t, and
    infinite without a model. Rows of tests, numbers needed and MOVER limits are left out, as they have no variance of
    their own. Coefficients are pooled with their whole covariance in `fit`. Details: `pooling`, a row an estimate, with
    the between and within variances, the fraction of missing information and the degrees of freedom.

    Raises UsageFault if the sets do not have the same rows, or a row has an estimate in some sets only.

    >>> from walkrisk import example_cohort, pool, risk_ratios
    >>> cohorts = [example_cohort(seed=seed) for seed in (1, 2)]
    >>> sets = [risk_ratios(cohort, outcome="event", exposure="sex", covariates=["age"]) for cohort in cohorts]
    >>> pool(sets).rows[1].level
    'male'

    References: Rubin 1987 doi 10.1002/9780470316696; Barnard & Rubin 1999 doi 10.1093/biomet/86.4.948.
    """
    if len(sets) < 2:
        raise UsageFault(f"Pooling needs the estimates of two or more imputed data sets, got {len(sets)}.")
    sets = [replace(s, rows=tuple(r for r in s.rows if r.stratum != RECODED)) for s in sets]
    keys = [[_key(row) for row in s.rows] for s in sets]
    if any(k != keys[0] for k in keys[1:]):
        raise UsageFault(
            "The sets do not have the same rows (levels, methods, variances); ask the same question of each, with "
            "categories cut by fixed limits or levels that occur in every set."
        )
    df = dfcom
    if df is None and all(s.fit is not None for s in sets):
        df = float(min(s.fit.n - s.fit.parameters for s in sets if s.fit is not None))
        df = min([df, *(float(s.details["df"]) for s in sets if "df" in s.details)])
    rows: list[Estimate] = []
    table: list[dict[str, object]] = []
    with as_faults():
        for same in zip(*(s.rows for s in sets), strict=True):
            row, pooled = _pooled_row(same, df, conf_level)
            if row is not None:
                rows.append(row)
            if pooled is not None and row is not None:
                table.append({"level": row.level, "estimand": row.estimand, **_measures(pooled)})
        fit = _pooled_fit(sets, df, conf_level)
        curve = _pooled_curve(sets, df, conf_level)
    said = [s for one in sets for s in one.warnings]
    return estimates(rows, fit=fit, curve=curve, said=said, details={"pooling": pd.DataFrame(table), "sets": len(sets)})


def _key(row: Estimate) -> tuple[str, ...]:
    return (row.exposure, row.stratum, row.level, row.reference, row.model, row.estimand, row.method, row.variance)


def _pooled_row(
    same: Sequence[Estimate], dfcom: float | None, conf_level: float
) -> tuple[Estimate | None, PooledScalar | None]:
    first = same[0]
    if first.estimand in TESTS:
        return None, None
    base = replace(
        first,
        n=_mean(r.n for r in same),
        events=_mean(r.events for r in same),
        estimate=None,
        std_error=None,
        conf_low=None,
        conf_high=None,
        p_value=None,
    )
    known = [r for r in same if r.estimate is not None]
    if not known:
        return base, None
    if len(known) < len(same) and first.estimand == "synergy":
        return base, None  # undefined where excess risks differ in sign
    if len(known) < len(same):
        raise UsageFault(
            f"{first.estimand} of {first.level or first.exposure} has an estimate in {len(known)} of {len(same)} sets "
            "only, so it cannot be pooled; merge small categories."
        )
    if all(r.std_error is None and r.estimate in (0.0, 1.0) for r in same):
        return replace(base, estimate=first.estimate), None  # a reference
    if first.method.endswith("_mover"):
        return None, None  # limits without a standard error, which Rubin's rules cannot pool
    if any(r.std_error is None for r in same):
        raise UsageFault(
            f"{first.estimand} of {first.level or first.exposure} has no standard error in some sets (a maximum on the "
            "boundary); choose modified_poisson or a marginal method."
        )
    if first.estimand == "risk" and all(0 < (r.estimate or 0.0) < 1 for r in same):
        return _pooled_risk(base, same, dfcom, conf_level)
    log = first.estimand in ON_LOG_SCALE
    values = np.array([float(r.estimate or 0.0) for r in same])
    made = pool_scalar(
        np.log(values) if log else values,
        np.array([float(r.std_error or 0.0) ** 2 for r in same]),
        dfcom=dfcom,
        conf_level=conf_level,
    )
    middle, low, high = (float(np.exp(v)) if log else v for v in (made.estimate, made.conf_low, made.conf_high))
    row = replace(base, estimate=middle, std_error=made.std_error, conf_low=low, conf_high=high, p_value=made.p_value)
    return row, made


def _pooled_risk(
    base: Estimate, same: Sequence[Estimate], dfcom: float | None, conf_level: float
) -> tuple[Estimate, PooledScalar]:
    """A risk pooled on the logit scale, so that its limits stay within 0 to 1; no test is made of it."""
    p = np.array([float(r.estimate or 0.0) for r in same])
    errors = np.array([float(r.std_error or 0.0) for r in same]) / (p * (1 - p))
    made = pool_scalar(np.log(p / (1 - p)), errors**2, dfcom=dfcom, conf_level=conf_level)
    middle, low, high = (float(1 / (1 + np.exp(-v))) for v in (made.estimate, made.conf_low, made.conf_high))
    row = replace(base, estimate=middle, std_error=made.std_error * middle * (1 - middle), conf_low=low, conf_high=high)
    return row, made


def _mean(counts: object) -> int | None:
    known = [c for c in counts if c is not None]  # type: ignore[attr-defined]
    return round(sum(known) / len(known)) if known else None


def _measures(pooled: PooledScalar) -> dict[str, object]:
    return {
        "estimate": pooled.estimate,
        "std_error": pooled.std_error,
        "within": pooled.within,
        "between": pooled.between,
        "fraction_missing_information": pooled.fmi,
        "relative_increase": pooled.riv,
        "df": pooled.df,
    }


def _pooled_fit(sets: Sequence[Estimates], dfcom: float | None, conf_level: float) -> FittedModel | None:
    fits = [s.fit for s in sets if s.fit is not None]
    if len(fits) < len(sets) or any(list(f.coefficients.index) != list(fits[0].coefficients.index) for f in fits):
        return None
    kept = np.flatnonzero(np.isfinite([f.coefficients.to_numpy() for f in fits]).all(axis=0))
    matrices = np.array([f.covariance.to_numpy()[np.ix_(kept, kept)] for f in fits])
    if not kept.size or not np.isfinite(matrices).all():
        return None
    names = [str(fits[0].coefficients.index[int(i)]) for i in kept]
    values = np.array([f.coefficients.to_numpy()[kept] for f in fits])
    made: Pooled = pool_coefficients(names, values, matrices, dfcom=dfcom, conf_level=conf_level)
    first = fits[0]
    return replace(
        first,
        coefficients=pd.Series(made.estimates, index=names),
        covariance=pd.DataFrame(made.total, index=names, columns=names),
        log_likelihood=float("nan"),
        converged=all(f.converged for f in fits),
        boundary=any(f.boundary for f in fits),
        iterations=max(f.iterations for f in fits),
        max_fitted_risk=max(f.max_fitted_risk for f in fits),
        n=round(float(np.mean([f.n for f in fits]))),
        events=round(float(np.mean([f.events for f in fits]))),
        warnings=tuple(dict.fromkeys(w for f in fits for w in f.warnings)),
    )


def _pooled_curve(sets: Sequence[Estimates], dfcom: float | None, conf_level: float) -> tuple[CurvePoint, ...]:
    """Points pooled on the log scale, where every set has them at the same x and reference."""
    if not all(s.curve for s in sets):
        return ()
    places = [[(p.x, p.reference) for p in s.curve] for s in sets]
    if any(p != places[0] for p in places[1:]):
        raise UsageFault("The curves of the sets are at different points; give `at` and `reference` to each.")
    logs = np.log([[p.estimate for p in s.curve] for s in sets])
    errors = np.array([s.details["curve_std_errors"] for s in sets])
    out = []
    for point, values, se in zip(sets[0].curve, logs.T, errors.T, strict=True):
        if not (se > 0).all():  # the reference itself
            out.append(point)
            continue
        made = pool_scalar(values, se**2, dfcom=dfcom, conf_level=conf_level)
        middle, low, high = np.exp([made.estimate, made.conf_low, made.conf_high])
        out.append(replace(point, estimate=float(middle), conf_low=float(low), conf_high=float(high)))
    return tuple(out)
