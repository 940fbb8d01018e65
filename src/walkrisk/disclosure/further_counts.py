"""Counts that sensitivity analyses have beside those of ratio analyses, as cells of the one additive table.

Those lost to follow-up by category, followed people who are not in the model, those that worst cases add, people left
when one level of a variable is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from walkrisk.estimates.marking import Further
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.suppression import Sum
from walkrisk.estimates.withheld import Key
from walkrisk.studies.kinds import levels_of
from walkrisk.studies.study import Study

WITHOUT = "without "


def further_counts(study: Study, rows: Sequence[Estimate]) -> Further:
    """The further counts of a run, from its estimates."""
    further = Further()
    main = _main_counts(study, rows)
    for d in study.sensitivity.losses:
        _add_losses(further, [e for e in rows if e.analysis == d.id], d.id, main)
    for w in study.sensitivity.worst_cases:
        _add_worst(further, [e for e in rows if e.analysis == w.id], w.id, main)
    for left in study.sensitivity.leave_one_out:
        _add_left_out(further, study, [e for e in rows if e.analysis == left.id], left.id)
    _tie_losses(further)
    return further


def cell_of(e: Estimate) -> Key | None:
    """The further cell whose number a row tells: its share or count, or its `n`."""
    if e.estimand == "share" and e.exposure:
        return ("lost", e.analysis, e.exposure, e.level)
    if e.estimand == "count" and e.stratum in ("lost", "incomplete"):
        return ("added", e.analysis, e.exposure, e.level if e.stratum == "lost" else "incomplete")
    return None


def people_cell_of(e: Estimate) -> Key | None:
    """The further cell that is the `n` of a row."""
    if e.estimand == "share" and e.exposure:
        return ("eligible", e.analysis, e.exposure, e.level)
    if e.stratum.startswith(WITHOUT):
        return ("left", e.analysis, e.exposure, e.stratum)
    if e.stratum in ("highest", "lowest", "all cases", "no cases"):
        return ("both", e.analysis, e.exposure, e.level)
    return None


def _main_counts(study: Study, rows: Sequence[Estimate]) -> Mapping[tuple[str, str], int]:
    main = study.sensitivity.analysis
    return {
        (e.exposure, e.level): e.n for e in rows if e.analysis == main and not e.stratum and e.level and e.n is not None
    }


def _add(further: Further, cell: Key, value: int, *, cost: int | None = None) -> Key:
    further.values[cell] = value
    if cost is None:
        further.unseen.add(cell)
    else:
        further.cost[cell] = cost
    return cell


def _add_losses(further: Further, rows: Sequence[Estimate], analysis: str, main: Mapping[tuple[str, str], int]) -> None:
    for e in rows:
        if e.estimand != "share" or not e.exposure or e.n is None:
            continue
        lost = round(e.n * (e.estimate or 0.0))
        eligible = _add(further, ("eligible", analysis, e.exposure, e.level), e.n, cost=1)
        gone = _add(further, ("lost", analysis, e.exposure, e.level), lost, cost=1)
        kept = _add(further, ("kept", analysis, e.exposure, e.level), e.n - lost)
        further.sums.append(Sum(eligible, (gone, kept)))
        dropped = e.n - lost - main.get((e.exposure, e.level), e.n)
        if dropped >= 0:
            rest = _add(further, ("dropped", analysis, e.exposure, e.level), dropped)
            further.sums.append(Sum(kept, (_main(further, e, main), rest)))
    for exposure in dict.fromkeys(e.exposure for e in rows if e.estimand == "share" and e.exposure):
        for what in ("eligible", "lost"):
            parts = tuple(k for k in further.values if k[:3] == (what, analysis, exposure))
            whole: Key = (what, analysis, exposure, "")
            further.values[whole] = sum(further.values[k] for k in parts)  # known: the flow tells it
            further.sums.append(Sum(whole, parts))


def _tie_losses(further: Further) -> None:
    """Ties the lost by category of analyses that count the same people lost, each of which hides others."""
    blocks: dict[tuple[str, str, str], dict[str, Key]] = {}
    for cell in further.values:
        if cell[0] in ("lost", "added") and cell[3] not in ("", "incomplete", "everyone lost"):
            what, analysis, exposure, level = (str(part) for part in cell)
            blocks.setdefault((what, analysis, exposure), {})[level] = cell
    for (place, one), (other, two) in combinations(blocks.items(), 2):
        counts = ({level: further.values[cell] for level, cell in block.items()} for block in (one, two))
        if place[2] == other[2] and next(counts) == next(counts):
            further.sums.extend(Sum(one[level], (two[level],)) for level in one)


def _main(further: Further, e: Estimate, main: Mapping[tuple[str, str], int]) -> Key:
    """The cell that stands for a category of the main analysis."""
    cell: Key = ("main", e.exposure, e.level)
    further.values[cell] = main[e.exposure, e.level]
    further.unseen.add(cell)
    further.main[cell] = (e.exposure, e.level)
    return cell


def _add_worst(further: Further, rows: Sequence[Estimate], analysis: str, main: Mapping[tuple[str, str], int]) -> None:
    for e in rows:
        if e.estimand == "count" and e.stratum == "lost" and e.level:
            added = _add(further, ("added", analysis, e.exposure, e.level), round(e.estimate or 0), cost=1)
            if (e.exposure, e.level) in main:
                n = further.values[added] + main[e.exposure, e.level]
                both = _add(further, ("both", analysis, e.exposure, e.level), n, cost=1)
                further.sums.append(Sum(both, (added, _main(further, e, main))))
    for exposure in dict.fromkeys(e.exposure for e in rows):
        parts = tuple(
            k for k in further.values if k[:3] == ("added", analysis, exposure) and k[3] not in ("", "incomplete")
        )
        totals = {
            e.stratum: round(e.estimate or 0)
            for e in rows
            if e.exposure == exposure and e.estimand == "count" and not e.level
        }
        if parts and "incomplete" in totals:
            whole = _add(further, ("added", analysis, exposure, ""), totals.get("lost", 0), cost=2)
            incomplete = _add(further, ("added", analysis, exposure, "incomplete"), totals["incomplete"], cost=2)
            everyone: Key = ("added", analysis, exposure, "everyone lost")
            further.values[everyone] = totals.get("lost", 0) + totals["incomplete"]  # known: the flow tells it
            further.sums.extend((Sum(whole, parts), Sum(everyone, (whole, incomplete))))


def _add_left_out(further: Further, study: Study, rows: Sequence[Estimate], analysis: str) -> None:
    for e in rows:
        if e.stratum.startswith(WITHOUT) and e.n is not None:
            variable, _, label = e.stratum.removeprefix(WITHOUT).partition(": ")
            code = next((str(c) for c, text in levels_of(study, variable).items() if text == label), label)
            left = _add(further, ("left", analysis, e.exposure, e.stratum), e.n, cost=1)
            further.described[left] = (variable, code)
