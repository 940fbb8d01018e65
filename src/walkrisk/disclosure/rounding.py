"""Counts rounded to a multiple of a base, and everything that would give the exact ones back made as coarse.

A count is rounded to the nearest multiple of the base, halves up; percentages and shares are those of the rounded
counts. Ratios and risks without covariates follow from counts alone: they keep two decimals, and only
where enough people had and did not have the outcome; of several variances of one fit only the first stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from walkrisk.cohorts.eligibility import FlowStep
from walkrisk.disclosure.blanking import Secrets, emptied, first_variances, row_of
from walkrisk.disclosure.crude import is_crude_specification
from walkrisk.disclosure.imputed import OF_POOLING
from walkrisk.disclosure.sayings import published_text
from walkrisk.disclosure.sensitivity_counts import NOT_PEOPLE, places_of_crude_ratios
from walkrisk.estimates.characteristics import SMD
from walkrisk.estimates.marking import Marks
from walkrisk.estimates.numbers import fixed
from walkrisk.estimates.results import Characteristic, Diagnostic, Point, Results
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.withheld import COUNTED, Withheld
from walkrisk.studies.study import Study

ENOUGH = 50  # people with, and without, the outcome in both categories of a crude ratio of two decimals
PEOPLE = ("missing", "imputed people", "weights", "histogram", "changes", "distribution", "days", "unit", "left_out")


def to_base(n: int | None, base: int) -> int | None:
    """The nearest multiple of the base, halves up; the number itself where the base is 0."""
    return n if n is None or not base else base * ((2 * n + base) // (2 * base))


def rounded(
    study: Study, results: Results, base: int, two_valued: frozenset[str] = frozenset()
) -> tuple[Results, list[Withheld]]:
    """The rows with rounded counts, and the estimates that are withheld; the rows themselves where the base is 0."""
    if not base:
        return results, []
    first = first_variances(results.estimates, study.settings.variances[0])
    secrets = Secrets(study, Marks(), {}, 0, first, {}, two_valued)
    crude = places_of_crude_ratios(study, results, two_valued)
    counts = {(e.analysis, e.exposure, e.stratum, e.level): (e.n, e.events) for e in results.estimates if e.level}
    estimates = [_estimate(e, secrets, counts, base) for e in results.estimates]
    pairs = zip(results.estimates, estimates, strict=True)
    gone = [row_of(e, "estimate", "derived") for e, new in pairs if e.estimate is not None and new.estimate is None]
    made = replace(
        results,
        estimates=tuple(estimates),
        flow=tuple(_step(s, base) for s in results.flow),
        characteristics=tuple(_characteristics(results.characteristics, base)),
        diagnostics=tuple(_diagnostic(d, secrets, base) for d in results.diagnostics),
        histograms=tuple(replace(b, n=to_base(b.n, base) or 0) for b in results.histograms),
        points=tuple(_point(p, base) for p in results.points if (p.analysis, p.exposure) not in crude),
        specifications=tuple(
            replace(
                emptied(s) if is_crude_specification(study, s, two_valued) else s,
                n=to_base(s.n, base),
                events=to_base(s.events, base),
            )
            for s in results.specifications
        ),
    )
    return made, gone


def _step(s: FlowStep, base: int) -> FlowStep:
    before, excluded, after = (to_base(n, base) or 0 for n in (s.n_before, s.n_excluded, s.n_after))
    return replace(s, n_before=before, n_excluded=excluded, n_after=after)


def _estimate(
    e: Estimate,
    secrets: Secrets,
    counts: Mapping[tuple[str, str, str, str], tuple[int | None, int | None]],
    base: int,
) -> Estimate:
    if e.estimand in NOT_PEOPLE:
        return e
    n, events = to_base(e.n, base), to_base(e.events, base)
    made = replace(e, n=n, events=events)
    if e.estimate is None or (e.level and e.level == e.reference):
        return made
    if e.estimand == "count":
        return replace(made, estimate=float(to_base(round(e.estimate), base) or 0))
    if e.estimand == "share":
        some = to_base(round((e.n or 0) * e.estimate), base)
        return replace(made, estimate=(some or 0) / n if n else None)
    if e.estimand == "paf":
        return _two_decimals(made)
    if secrets.crude(e):
        place = (e.analysis, e.exposure, e.stratum)
        pair = [counts.get((*place, level), (None, None)) for level in (e.level, e.reference or e.level)]
        enough = e.estimand in COUNTED and all(min(b or 0, (a or 0) - (b or 0)) >= ENOUGH for a, b in pair)
        return _two_decimals(made) if enough else emptied(made)
    first = secrets.first.get((e.analysis, e.exposure, e.stratum, e.model, e.method))
    if e.variance and first not in (None, e.variance):
        return replace(made, std_error=None, conf_low=None, conf_high=None, p_value=None)
    pooled = e.analysis in {m.id for m in secrets.study.sensitivity.imputations}  # with limits it gives their number
    return replace(made, std_error=None, p_value=None) if pooled else made


def _two_decimals(e: Estimate) -> Estimate:
    """A row whose numbers have two decimals, without a standard error."""
    low, high = (_decimals(v, 2) for v in (e.conf_low, e.conf_high))
    return replace(
        e,
        estimate=_decimals(e.estimate, 2),
        std_error=None,
        conf_low=low,
        conf_high=high,
        p_value=_decimals(e.p_value, 2),
    )


def _decimals(value: float | None, places: int) -> float | None:
    return None if value is None else float(fixed(value, places).replace("−", "-"))


def _characteristics(rows: Sequence[Characteristic], base: int) -> list[Characteristic]:
    counts = {(r.table, r.group, r.variable, r.level): r.value for r in rows if r.statistic == "count"}
    out = []
    for r in rows:
        known, value = to_base(r.known, base), r.value
        if value is not None and r.statistic in ("n", "count"):
            value = float(to_base(round(value), base) or 0)
        elif value is not None and r.statistic == "percent":
            count = counts[r.table, r.group, r.variable, r.level]
            value = 100 * (to_base(round(count), base) or 0) / known if known and count is not None else None
        else:
            value = _decimals(value, 2 if r.statistic == SMD else 1)
        out.append(replace(r, value=value, known=known))
    return out


def _diagnostic(d: Diagnostic, secrets: Secrets, base: int) -> Diagnostic:
    made = replace(d, n=to_base(d.n, base), events=to_base(d.events, base))
    made = replace(made, warnings=published_text(d.warnings, min_cell=0, base=base))
    return replace(made, max_fitted_risk=None, log_likelihood=None) if secrets.crude(d) else made


def _point(p: Point, base: int) -> Point:
    if p.series in OF_POOLING or p.series == "chance":  # people over people, or what gives their number
        return replace(p, y=None)
    if p.series not in PEOPLE:
        return p
    n = to_base(p.n, base)
    if p.series in ("missing", "imputed people"):
        x = None if p.x is None else float(to_base(round(p.x), base) or 0)
        return replace(p, n=n, x=x, y=n / x if n is not None and x else None)
    if p.series == "weights":
        return replace(p, n=n, y=_decimals(p.y, 2) if p.n is None else float(n or 0))
    return replace(p, n=n, y=_decimals(p.y, 2) if p.series in ("histogram", "distribution", "days") else p.y)
