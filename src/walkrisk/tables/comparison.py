"""Two runs side by side as tables: the steps from data to fits, the flow, cut points, ratios."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from walkrisk.estimates.numbers import NOT_AVAILABLE, count, fixed, ratio_interval
from walkrisk.estimates.pairs import CountPair, Pair
from walkrisk.estimates.rows import Estimate
from walkrisk.tables.table import Head, Row, Table

MOST_RATIOS, MOST_CUTS, MOST_NAMED = 40, 40, 3
Labels = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """A step of the way from data to fits, in words."""

    step: str
    verdict: str
    what: str


def steps_table(rows: Sequence[StepRow], *, labels: Labels, notes: Sequence[str] = ()) -> Table:
    """Every step with whether both runs have it alike, and what differs."""
    heads = (Head("Step"), Head("Verdict", words=True), Head("What differs", words=True))
    return Table(
        id="comparison_steps",
        title=f"{labels[0]} and {labels[1]}, step by step",
        header=heads,
        rows=tuple(Row(cells=(r.step, r.verdict, r.what)) for r in rows),
        notes=tuple(notes),
    )


def flow_table(pairs: Sequence[CountPair], *, labels: Labels) -> Table | None:
    """People excluded at and left after each step that both runs have; None without any."""
    cells = {(p.place[1], p.what): p for p in pairs}
    steps = list(dict.fromkeys(p.place[1] for p in pairs))
    if not steps:
        return None
    parts = (Head(labels[0]), Head(labels[1]))
    rows = []
    for step in steps:
        out, left = cells[step, "n_excluded"], cells[step, "n_after"]
        change = NOT_AVAILABLE if left.a is None or left.b is None else _signed(left.b - left.a)
        rows.append(Row(cells=(step, count(out.a), count(out.b), count(left.a), count(left.b), change)))
    return Table(
        id="comparison_flow",
        title="Participant flow",
        header=(Head("Step"), Head("Excluded", parts=parts), Head("Left", parts=parts), Head("Difference, left")),
        rows=tuple(rows),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CutPair:
    """A cut point in both runs, and the analyses it is of."""

    exposure: str
    cut: str
    a: float | None
    b: float | None
    analyses: tuple[str, ...]


def cut_table(pairs: Sequence[CutPair], *, labels: Labels) -> Table | None:
    """Cut points that differ or that one run has only; None if all are the same."""
    if not pairs:
        return None
    rows = [Row(cells=(p.exposure, p.cut, _value(p.a), _value(p.b), _listed(p.analyses))) for p in pairs[:MOST_CUTS]]
    more = f"The first {MOST_CUTS} of {count(len(pairs))}; all are in cutpoints.csv of the two."
    heads = (Head("Exposure"), Head("Cut point", words=True), Head(labels[0]), Head(labels[1]))
    return Table(
        id="comparison_cutpoints",
        title="Cut points that differ",
        header=(*heads, Head("Analyses", words=True)),
        rows=tuple(rows),
        notes=(more,) if len(pairs) > MOST_CUTS else (),
    )


def _listed(analyses: tuple[str, ...]) -> str:
    more = len(analyses) - MOST_NAMED
    return ", ".join(analyses[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def ratio_table(pairs: Sequence[Pair], *, labels: Labels, name: Callable[[Estimate], str], same_people: bool) -> Table:
    """The ratios of both, largest difference first: B/A, the difference in standard errors, overlap of the limits."""
    rows = []
    for p in pairs[:MOST_RATIOS]:
        z = "" if p.z is None else fixed(p.z, 2)
        overlap = {True: "Yes", False: "No", None: ""}[p.limits_overlap]
        rows.append(Row(cells=(name(p.a), _ratio(p.a), _ratio(p.b), fixed(p.difference, 3), z, overlap)))
    se = Head(
        "Difference in SE",
        note="Difference of the logs over the standard error it would have if the two were of different people.",
    )
    notes = []
    if same_people:
        notes.append(
            "Of the same people two estimates go up and down together: their difference then has a smaller standard "
            "error, and is larger in standard errors than shown."
        )
    if len(pairs) > MOST_RATIOS:
        notes.append(f"The {MOST_RATIOS} of {count(len(pairs))} ratios that differ most; all are in comparison.csv.")
    quotient = Head(f"{labels[1]} / {labels[0]}")
    return Table(
        id="comparison_ratios",
        title="Ratios, the largest difference first",
        header=(Head("Ratio"), Head(labels[0]), Head(labels[1]), quotient, se, Head("Limits overlap")),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def _ratio(e: Estimate) -> str:
    return NOT_AVAILABLE if e.estimate is None else ratio_interval(e.estimate, e.conf_low, e.conf_high)


def _signed(value: int) -> str:
    return count(value) if value <= 0 else f"+{count(value)}"


def _value(value: float | None) -> str:
    return NOT_AVAILABLE if value is None else f"{value:.6g}"
