"""Counts that sensitivity analyses have of their own: of those lost, added, influential, left out as a group."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from walkrisk.disclosure.blanking import Secrets, emptied, row_of
from walkrisk.disclosure.crude import is_crude_specification, of_counts
from walkrisk.disclosure.further_counts import cell_of, people_cell_of
from walkrisk.estimates.results import Point, Results
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.suppression import is_small
from walkrisk.estimates.telling_moments import telling_moments
from walkrisk.estimates.withheld import Withheld
from walkrisk.studies.study import Study

NOT_PEOPLE = ("impossible_draws", "monte_carlo_error", "power", "minimal_detectable_ratio")
WHOLE = ("eligible", "followed")  # counts of losses that are whole samples
_PERCENTILE = re.compile(r"p[\d.]+")  # of weights, many of which are the share of a category that stayed
GROUPS = ("smallest", "largest", "largest_change")  # strata of a jackknife: the people of one group left out


def counts_people(study: Study, row: Estimate) -> bool:
    """Whether the `n` of a row that is of no category is a whole sample."""
    s = study.sensitivity
    if row.estimand in NOT_PEOPLE:
        return False
    if row.analysis in {d.id for d in s.losses}:
        return row.estimand not in ("count", "share") or row.level in WHOLE
    if row.analysis in {d.id for d in s.jackknives}:
        return row.stratum not in GROUPS
    return row.analysis not in {d.id for d in s.worst_cases}


def guarded(
    study: Study, results: Results, rows: Sequence[Estimate], secrets: Secrets
) -> tuple[list[Estimate], list[Withheld]]:
    """Rows (blanked already) without the hidden counts of sensitivity analyses, and what gives them back."""
    before, further = results.estimates, secrets.marks.further
    few: set[int] = set()
    for d in study.sensitivity.losses:
        few |= _totals(before, d.id, secrets.min_cell)
    for x in study.sensitivity.influence:
        few |= _few(before, x.id, ("count", "share"), secrets.min_cell)
    for j in study.sensitivity.jackknives:
        few |= _groups(before, j.id, secrets.min_cell)
    out, said = list(rows), []
    for i, old in enumerate(before):
        n, number = people_cell_of(old) in further, cell_of(old) in further
        followed = old.estimand == "count" and old.stratum == "followed" and _hidden_in_main(old, secrets)
        counted = old.estimand in ("count", "share")
        if i in few or number or followed:
            out[i] = replace(out[i], n=None if i in few or old.estimand == "count" else out[i].n)
            out[i] = replace(out[i], estimate=None) if counted else out[i]
            said.append(row_of(old, "estimate" if counted else "n", "small" if i in few else "complementary"))
        if n:
            out[i] = replace(out[i], n=None)
            said.append(row_of(old, "n", "complementary"))
        if old.estimand == "count" and old.n is not None and out[i].n is None and old.estimate == old.n:
            out[i] = replace(out[i], estimate=None)
        if _sums_up(study, results, old, secrets):
            out[i] = emptied(out[i])
            said.append(row_of(old, "estimate", "derived"))
    return out, said


def _sums_up(study: Study, results: Results, row: Estimate, secrets: Secrets) -> bool:
    """Whether a row sums up specifications some of whose numbers follow from hidden counts."""
    if row.analysis not in {m.id for m in study.sensitivity.multiverses} or row.estimand == "count":
        return False
    mine = (s for s in results.specifications if (s.analysis, s.exposure) == (row.analysis, row.exposure))
    return secrets.any_behind(row.exposure) and any(is_crude_specification(study, s, secrets.two_valued) for s in mine)


def _hidden_in_main(row: Estimate, secrets: Secrets) -> bool:
    main = secrets.study.sensitivity.analysis
    return (main, row.exposure, "", row.level, "n") in secrets.marks.ratio


def _totals(rows: Sequence[Estimate], analysis: str, k: int) -> set[int]:
    """Rows of a loss to follow-up whose count is small; with few lost, the share too."""
    mine = [(i, e) for i, e in enumerate(rows) if e.analysis == analysis and e.n is not None]
    few = {i for i, e in mine if e.estimand == "count" and is_small(e.estimate or 0, k)}
    if any(rows[i].level == "lost" for i in few):
        few |= {i for i, e in mine if e.estimand == "share"}
    return few


def _few(rows: Sequence[Estimate], analysis: str, estimands: Sequence[str], k: int) -> set[int]:
    """Rows of counts that are small, with the shares that are the same counts."""
    mine = [(i, e) for i, e in enumerate(rows) if e.analysis == analysis and e.estimand in estimands]
    return {
        i
        for i, e in mine
        if is_small(round((e.n or 0) * (e.estimate or 0)) if e.estimand == "share" else e.estimate or 0, k)
    }


def _groups(rows: Sequence[Estimate], analysis: str, k: int) -> set[int]:
    mine = [(i, e) for i, e in enumerate(rows) if e.analysis == analysis]
    small = {i for i, e in mine if e.stratum in GROUPS and is_small(e.n or 0, k)}
    return small | {i for i, e in mine if e.stratum == "smallest_group" and is_small(e.estimate or 0, k)}


def guarded_points(
    study: Study, results: Results, points: Sequence[Point], secrets: Secrets, estimates: Sequence[Estimate]
) -> tuple[list[Point], list[Withheld]]:
    """Points without the differences of shares whose counts are hidden, nor ratios that follow from hidden counts."""
    withheld = shares_hidden(estimates)
    described = {(cell[0], cell[2]) for cell in secrets.marks.characteristic}
    described |= telling_moments(results.characteristics, secrets.min_cell)
    derived = {p for p in places_of_crude_ratios(study, results, secrets.two_valued) if secrets.any_behind(p[1])}
    out, said = [], []
    for p in points:
        few_lost = (p.analysis, p.exposure) in withheld
        if few_lost and p.series == "weights" and _PERCENTILE.fullmatch(p.item):
            out.append(replace(p, y=None))
            said.append(_gone(p, "y"))
            continue
        if (p.analysis, p.exposure) in derived or (few_lost and p.series == "histogram"):
            said.append(_gone(p, "y"))
            continue
        tables = [f"{d.id}_followed" for d in study.sensitivity.losses]
        marked = any((t, name) in described for t in tables for name in (p.item, ""))
        if p.series in ("lost", "balance") and (marked or (p.analysis, p.item) in withheld):
            out.append(replace(p, x=None, y=None))
            said.append(_gone(p, "x"))
        else:
            out.append(p)
    return out, list(dict.fromkeys(said))


def shares_hidden(estimates: Sequence[Estimate]) -> set[tuple[str, str]]:
    """(analysis, exposure) of losses of which a category's share is hidden: many weights are such a share."""
    return {(e.analysis, e.exposure) for e in estimates if e.estimand == "share" and e.exposure and e.estimate is None}


def places_of_crude_ratios(study: Study, results: Results, two_valued: Collection[str]) -> set[tuple[str, str]]:
    """(analysis, exposure) of points whose ratios follow from counts alone."""
    s, model = study.sensitivity, study.models.get(study.sensitivity.model)
    ids = {
        *(x.id for x in s.worst_cases), *(x.id for x in s.confounder_arrays), *(x.id for x in s.contours),
        *(x.id for x in s.benchmarks), *(x.id for x in s.probabilistic_confounders), *(x.id for x in s.jackknives),
        *(x.id for x in s.probabilistic_selections), *(x.id for x in s.misclassified_outcomes),
    }  # fmt: skip
    crude = model is not None and of_counts(study, model.covariates, two_valued)
    places = {(p.analysis, p.exposure) for p in results.points if crude and p.analysis in ids}
    crude_ones = (x for x in results.specifications if is_crude_specification(study, x, two_valued))
    return places | {(x.analysis, x.exposure) for x in crude_ones}


def _gone(p: Point, column: str) -> Withheld:
    item = f"{p.series}: {p.item}"
    return Withheld(file="points", analysis=p.analysis, level=p.level, item=item, column=column, reason="derived")
