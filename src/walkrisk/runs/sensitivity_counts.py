"""Counts that sensitivity analyses have of their own: of those lost, added, influential, left out as a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from walkrisk.estimates.results import Point, Results
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.suppression import is_small
from walkrisk.estimates.withheld import Withheld
from walkrisk.runs.blanking import Secrets, row_of
from walkrisk.studies.study import Study

NOT_PEOPLE = ("impossible_draws", "monte_carlo_error", "power", "minimal_detectable_ratio")
WHOLE = ("eligible", "followed")  # counts of losses that are whole samples
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
    """Rows (blanked already) without the small counts of sensitivity analyses, and what gives them back."""
    hidden: set[int] = set()
    before = results.estimates
    for d in study.sensitivity.losses:
        hidden |= _lost(before, d.id, secrets)
    for w in study.sensitivity.worst_cases:
        hidden |= _added(before, w.id, secrets)
    for x in study.sensitivity.influence:
        hidden |= _few(before, x.id, ("count", "share"), secrets.min_cell)
    for j in study.sensitivity.jackknives:
        hidden |= _groups(before, j.id, secrets.min_cell)
    out, said = list(rows), []
    for i in sorted(hidden):
        counted = rows[i].estimand in ("count", "share")
        out[i] = replace(rows[i], n=None, estimate=None if counted else rows[i].estimate)
        said.append(row_of(before[i], "estimate" if counted else "n", "small"))
    for i, (old, new) in enumerate(zip(before, out, strict=True)):
        if old.estimand == "count" and old.n is not None and new.n is None and old.estimate == old.n:
            out[i] = replace(new, estimate=None)
    return out, said


def _lost(rows: Sequence[Estimate], analysis: str, secrets: Secrets) -> set[int]:
    """Rows of a loss to follow-up whose count, or those followed of a category beside the main model, are few."""
    k = secrets.min_cell
    mine = [(i, e) for i, e in enumerate(rows) if e.analysis == analysis and e.n is not None]
    hidden = {i for i, e in mine if e.estimand == "count" and is_small(e.estimate or 0, k)}
    lost = next((e.estimate for _, e in mine if e.estimand == "count" and e.level == "lost"), None)
    if lost is not None and is_small(lost, k):
        hidden |= {i for i, e in mine if e.estimand == "share"}
    analysed = {(e.exposure, e.level): e.n for _, e in mine if e.estimand not in ("count", "share")}
    shares: dict[str, list[tuple[int, Estimate]]] = {}
    for i, e in mine:
        if e.estimand == "share" and e.exposure:
            shares.setdefault(e.exposure, []).append((i, e))
    for group in shares.values():
        few = {i for i, e in group if any(is_small(v, k) for v in _parts(e, analysed))}
        if len(few) == 1:
            rest = [(i, e) for i, e in group if i not in few]
            few |= {min(rest, key=lambda found: (found[1].n or 0) * (found[1].estimate or 0))[0]} if rest else set()
        hidden |= few
    return hidden


def _parts(e: Estimate, analysed: Mapping[tuple[str, str], int | None]) -> tuple[int, int, int]:
    """Of a category: those lost, those followed, those followed who are not in the weighted model."""
    n = e.n or 0
    lost = round(n * (e.estimate or 0.0))
    return lost, n - lost, n - lost - (analysed.get((e.exposure, e.level)) or 0)


def _added(rows: Sequence[Estimate], analysis: str, secrets: Secrets) -> set[int]:
    """Rows of worst cases: all counts of an exposure where few were lost, those hidden in the main model."""
    k = secrets.min_cell
    mine = [(i, e) for i, e in enumerate(rows) if e.analysis == analysis and e.n is not None]
    main = secrets.study.sensitivity.analysis
    hidden: set[int] = set()
    for exposure in dict.fromkeys(e.exposure for _, e in mine):
        own = [(i, e) for i, e in mine if e.exposure == exposure]
        few = any(e.estimand == "count" and is_small(e.estimate or 0, k) for _, e in own)
        for i, e in own:
            marked = bool(e.level) and (main, exposure, "", e.level, "n") in secrets.marks.ratio
            if marked or (few and e.stratum != "followed"):
                hidden.add(i)
    return hidden


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
    study: Study, points: Sequence[Point], secrets: Secrets, estimates: Sequence[Estimate]
) -> tuple[list[Point], list[Withheld]]:
    """Points without the differences of shares whose counts are hidden."""
    withheld = {
        (e.analysis, e.exposure) for e in estimates if e.estimand == "share" and e.exposure and e.estimate is None
    }
    described = {(cell[0], cell[2]) for cell in secrets.marks.characteristic}
    out, said = [], []
    for p in points:
        tables = [f"{d.id}_followed" for d in study.sensitivity.losses]
        marked = any((t, name) in described for t in tables for name in (p.item, ""))
        if p.series in ("lost", "balance") and (marked or (p.analysis, p.item) in withheld):
            out.append(replace(p, x=None, y=None))
            said.append(
                Withheld(
                    file="points",
                    analysis=p.analysis,
                    level=p.level,
                    item=f"{p.series}: {p.item}",
                    column="x",
                    reason="derived",
                )
            )
        else:
            out.append(p)
    return out, said
