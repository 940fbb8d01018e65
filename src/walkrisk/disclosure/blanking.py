"""Rows as they may be published: counts that are marked are empty, and so is every number that would give one back."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from walkrisk.disclosure.crude import is_crude, is_crude_specification
from walkrisk.estimates.characteristics import SMD
from walkrisk.estimates.marking import Marks
from walkrisk.estimates.numbers import fixed
from walkrisk.estimates.ratio_counts import Block, Place, total_of
from walkrisk.estimates.results import Characteristic, Diagnostic, Specification
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.samples import Secret
from walkrisk.estimates.suppression import Mark, is_small
from walkrisk.estimates.telling_moments import telling_moments
from walkrisk.estimates.withheld import COUNTED, RATIOS, UNKNOWN, Reason, Withheld
from walkrisk.studies.study import Study

Row = TypeVar("Row", Estimate, Specification)
OF_SHARES = ("exposure_association", "bias_factor")  # of a covariate with levels ratios of its shares by category
LEAST_FOR_MEANS = 10  # with fewer people one decimal of a mean tells how many they are


@dataclass(frozen=True, slots=True)
class Secrets:
    """What must not be told: marked counts of categories and groups, and whole samples that keep their counts."""

    study: Study
    marks: Marks
    samples: Mapping[tuple[int, int | None], Secret]
    min_cell: int
    first: Mapping[tuple[str, str, str, str, str], str]  # the variance that a fit's rows are shown with
    blocks: Mapping[Place, Sequence[Block]]
    two_valued: frozenset[str] = frozenset()  # numbers that descriptive tables show to have two values only

    def mark(self, row: Estimate, level: str, what: str) -> Mark | None:
        """How a count of a category is shown: by its own place, or where the same people are counted; of a reference
        that its place does not count, by any place of its exposure."""
        places = self._places(row)
        if level and not any(level in b for p in places for b in self.blocks[p]):
            places = [p for p in self.blocks if p[1] == row.exposure]
        return next((m for p in places if (m := self.marks.ratio.get((*p, level, what)))), None)

    def behind(self, row: Estimate | Diagnostic) -> bool:
        """Whether a hidden count stands behind the numbers of a row without category: one of its place, or of its
        exposure where no place counts the row's people."""
        places = set(self._places(row))
        return any(c[3] and c[:3] in places for c in self.marks.ratio) if places else self.any_behind(row.exposure)

    def any_behind(self, exposure: str) -> bool:
        """Whether some count of an exposure's categories is hidden."""
        return any(c[1] == exposure and c[3] for c in self.marks.ratio)

    def counted(self, row: Estimate | Diagnostic) -> bool:
        """Whether the people of a row are told by category, so that small counts among them are known."""
        return row.n is None or not row.exposure or bool(self._places(row))

    def _places(self, row: Estimate | Diagnostic) -> list[Place]:
        """The place of a row if categories are counted there, else the places of its exposure that count as many."""
        own = (row.analysis, row.exposure, row.stratum)
        if own in self.blocks:
            return [own]
        of_exposure = [(p, b) for p, found in self.blocks.items() if p[1] == row.exposure for b in found]
        if isinstance(row, Estimate) and row.estimand == "paf" and row.level != "total":
            return [p for p, b in of_exposure if b.get(row.level) == (row.n, row.events)]
        same = [p for p, b in of_exposure if total_of(b) == (row.n, row.events)]
        if isinstance(row, Estimate) and row.estimand == "paf":  # of the declared categories, which come first
            return same[:1]
        return same or [p for p, _ in of_exposure if p[0] == row.analysis]

    def described(self, variable: str, exposure: str) -> bool:
        """Whether a descriptive table by an exposure hides how many of a category have which level of a variable."""
        tables = {c.id for c in self.study.characteristics if c.by_exposure == exposure}
        return any(cell[0] in tables and cell[2] in (variable, "") for cell in self.marks.characteristic)

    def of_sample(self, n: int | None, events: int | None) -> tuple[bool, bool]:
        """Whether a whole sample keeps its people and its events back."""
        if n is None:
            return False, False
        what = self.samples.get((n, events))
        people = what == "n" or is_small(n, self.min_cell)
        few = events is not None and (is_small(events, self.min_cell) or is_small(n - events, self.min_cell))
        return people, people or what == "events" or few

    def crude(self, row: Estimate | Diagnostic) -> bool:
        """Whether a row's numbers follow from counts alone (see `is_crude`)."""
        return is_crude(self.study, row, self.two_valued)


def blanked_estimates(rows: Sequence[Estimate], secrets: Secrets) -> tuple[list[Estimate], list[Withheld]]:
    """Estimates without hidden counts, and without what would give one back."""
    out: list[Estimate] = []
    said: dict[Withheld, None] = {}
    for row in rows:
        made, why = _estimate(row, secrets)
        out.append(made)
        said.update(dict.fromkeys(why))
    return out, list(said)


def _estimate(row: Estimate, secrets: Secrets) -> tuple[Estimate, list[Withheld]]:
    of_category = bool(row.level) and row.estimand in (*COUNTED, "nnt", "paf") and row.events is not None
    level = row.level if of_category and row.level != "total" else ""
    n, events = (secrets.mark(row, level, what) is not None for what in ("n", "events"))
    if not level:
        whole = secrets.of_sample(row.n, row.events)
        n, events = n or whole[0], events or whole[1]
    said: list[Withheld] = []
    made = replace(row, n=None if n else row.n, events=None if events else row.events)
    if not level and not (row.estimand == "count" and is_small(row.n or 0, secrets.min_cell)):
        said += [row_of(row, c, "difference") for c, gone in (("n", n), ("events", events)) if gone]
    if row.estimate != 1.0 or row.level != row.reference:
        if _gives_away(row, level, secrets):
            said.append(row_of(row, "estimate", "derived"))
            made = emptied(made)
        elif _second(row, secrets) and _sample_hidden(row, secrets):
            said.append(row_of(row, "std_error", "derived", item=row.variance))
            made = replace(made, std_error=None, conf_low=None, conf_high=None, p_value=None)
    return made, said


def emptied(row: Row) -> Row:
    """A row without its numbers."""
    return replace(row, estimate=None, std_error=None, conf_low=None, conf_high=None, p_value=None)


def _gives_away(row: Estimate, level: str, secrets: Secrets) -> bool:
    """Whether the numbers of a row would give a hidden count back."""
    crude = secrets.crude(row)
    if row.estimand == "paf":
        return secrets.behind(row)
    if crude and row.estimand in COUNTED and not secrets.counted(row):
        return True
    if row.estimand in OF_SHARES:
        return secrets.described(row.stratum, row.exposure)
    marks = [secrets.mark(row, v, what) for v in (row.level, row.reference) if v for what in ("n", "events")]
    if row.estimand in RATIOS and level:
        return crude and (secrets.behind(row) if "/" in row.level and row.stratum else any(marks))
    if row.estimand in ("risk", "risk_difference", "nnt") and level:
        return any(m == "small" or (crude and m is not None) for m in marks)
    if row.estimand == "p_interaction":
        return crude and any(cell[1] == row.exposure for cell in secrets.marks.ratio)
    return crude and (secrets.behind(row) or any(marks))


def _second(row: Estimate, secrets: Secrets) -> bool:
    """Whether a row has another variance than the one shown: two of them together tell the number of people."""
    first = secrets.first.get((row.analysis, row.exposure, row.stratum, row.model, row.method))
    return bool(row.variance) and first not in (None, row.variance)


def _sample_hidden(row: Estimate, secrets: Secrets) -> bool:
    place = (row.analysis, row.exposure, row.stratum)
    return (*place, "", "n") in secrets.marks.ratio or secrets.of_sample(row.n, row.events)[0]


def first_variances(rows: Sequence[Estimate], preferred: str) -> dict[tuple[str, str, str, str, str], str]:
    """The variance each fit is shown with: the declared one, or the first it has."""
    there: dict[tuple[str, str, str, str, str], dict[str, None]] = {}
    for e in rows:
        if e.variance:
            there.setdefault((e.analysis, e.exposure, e.stratum, e.model, e.method), {}).setdefault(e.variance)
    return {fit: preferred if preferred in found else next(iter(found)) for fit, found in there.items()}


def row_of(row: Estimate, column: str, reason: Reason, *, item: str = "") -> Withheld:
    return Withheld(
        file="estimates",
        analysis=row.analysis,
        exposure=row.exposure,
        stratum=row.stratum,
        level=row.level,
        item=": ".join(t for t in (row.estimand, row.model, item) if t),
        column=column,
        reason=reason,
    )


# ---------------------------------------------------------------- descriptive tables


def blanked_characteristics(
    rows: Sequence[Characteristic], secrets: Secrets
) -> tuple[list[Characteristic], list[Withheld]]:
    """Descriptive cells without hidden counts; their percentages, and means that would give one back, go with them, as
    do those of whole numbers that hardly vary.

    Where only the number of unknown is hidden, means and deviations keep one decimal.
    """
    marks = secrets.marks.characteristic
    out: list[Characteristic] = []
    said: dict[Withheld, None] = {}
    marked = {(cell[0], cell[2]) for cell in marks}
    sized = {cell[0] for cell in marks if cell[2] == ""}
    telling = telling_moments(rows, secrets.min_cell)
    if secrets.marks.ratio:  # the mean of an outcome is its events over its people
        telling |= {(r.table, o.variable) for r in rows for o in secrets.study.outcomes.values()}
    for row in rows:
        size = (row.table, row.group, "", "") in marks
        unknown = size or (row.table, row.group, row.variable, UNKNOWN) in marks
        value = row.value
        if row.statistic == SMD:
            gone = row.table in sized or (row.table, row.variable) in marked
            gone = gone or (row.table, row.variable) in telling or _rests_on_few(rows, row, secrets.min_cell)
            value, unknown = (None if gone else value), gone or unknown
        elif row.statistic in ("n", "count"):
            value = None if (row.table, row.group, row.variable, row.level) in marks else value
        elif row.statistic == "percent":
            value = None if unknown or (row.table, row.group, row.variable, row.level) in marks else value
        else:
            hidden = size or (row.table, row.variable) in telling
            value = _moment(row, hidden, unknown, secrets.min_cell)
        if value is None and row.value is not None and row.statistic not in ("n", "count"):
            said[_cell_of(row, row.statistic, "derived")] = None
        out.append(replace(row, value=value, known=None if unknown else row.known))
    return out, list(said)


def _moment(row: Characteristic, hidden: bool, unknown: bool, min_cell: int) -> float | None:
    known = row.known or 0
    if row.value is None or hidden or is_small(known, min_cell):
        return None
    if not unknown:
        return row.value
    return None if known < LEAST_FOR_MEANS else float(fixed(row.value, 1).replace("−", "-"))


def _rests_on_few(rows: Sequence[Characteristic], smd: Characteristic, min_cell: int) -> bool:
    mine = (r for r in rows if (r.table, r.variable) == (smd.table, smd.variable) and r.group)
    return any(is_small(r.known or 0, min_cell) for r in mine)


def _cell_of(row: Characteristic, column: str, reason: Reason) -> Withheld:
    return Withheld(
        file="characteristics",
        analysis=row.table,
        exposure=row.variable,
        stratum=row.group,
        level=row.level,
        column=column,
        reason=reason,
    )


# ---------------------------------------------------------------- fits and specifications


def blanked_diagnostics(rows: Sequence[Diagnostic], secrets: Secrets) -> tuple[list[Diagnostic], list[Withheld]]:
    """Fits without hidden sizes; a crude fit of hidden counts without its likelihood and its largest risk."""
    out, said = [], []
    for row in rows:
        place = (row.analysis, row.exposure, row.stratum)
        whole = secrets.of_sample(row.n, row.events)
        n, events = (
            (*place, "", what) in secrets.marks.ratio or gone for what, gone in zip(("n", "events"), whole, strict=True)
        )
        derived = secrets.crude(row) and (secrets.behind(row) or not secrets.counted(row))
        made = replace(row, n=None if n else row.n, events=None if events else row.events)
        if derived:
            made = replace(made, max_fitted_risk=None, log_likelihood=None)
        out.append(made)
        gone = {"n": n, "events": events, "max_fitted_risk": derived, "log_likelihood": derived}
        said += [
            Withheld(
                file="diagnostics",
                analysis=row.analysis,
                exposure=row.exposure,
                stratum=row.stratum,
                item=f"{row.model}: {row.method}",
                column=column,
                reason="derived" if column not in ("n", "events") else "difference",
            )
            for column, hidden in gone.items()
            if hidden
        ]
    return out, said


def blanked_specifications(
    rows: Sequence[Specification], secrets: Secrets
) -> tuple[list[Specification], list[Withheld]]:
    """Specifications without the sizes of samples that keep them back, and without what follows from hidden counts."""
    out, said = [], []
    for row in rows:
        n, events = secrets.of_sample(row.n, row.events)
        derived = secrets.any_behind(row.exposure) and is_crude_specification(secrets.study, row, secrets.two_valued)
        made = replace(row, n=None if n else row.n, events=None if events else row.events)
        out.append(emptied(made) if derived else made)
        said += [
            Withheld(
                file="specifications",
                analysis=row.analysis,
                exposure=row.exposure,
                level=row.level,
                item=str(row.specification),
                column=column,
                reason="derived" if column == "estimate" else "difference",
            )
            for column, gone in (("n", n), ("events", events), ("estimate", derived))
            if gone
        ]
    return out, said


def marked_cells(marks: Marks) -> Iterator[Withheld]:
    """The marked counts of categories and of descriptive tables, as rows of disclosure.csv."""
    for analysis, exposure, stratum, level, what in marks.ratio:
        reason = marks.reasons[analysis, exposure, stratum, level, what]
        yield Withheld(
            file="estimates",
            analysis=analysis,
            exposure=exposure,
            stratum=stratum,
            level=level,
            column=what,
            reason=reason,
        )
    for table, group, variable, level in marks.characteristic:
        reason = marks.reasons[table, group, variable, level]
        column = "known" if level == UNKNOWN else "value"
        yield Withheld(
            file="characteristics",
            analysis=table,
            exposure=variable,
            stratum=group,
            level=level,
            item="count",
            column=column,
            reason=reason,
        )


def marks_from(rows: Collection[Withheld]) -> Marks:
    """The marks that `marked_cells` wrote."""
    ratio: dict[tuple[str, str, str, str, str], Reason] = {
        (r.analysis, r.exposure, r.stratum, r.level, r.column): r.reason
        for r in rows
        if r.file == "estimates" and (not r.item or r.column == "estimate")
    }
    described: dict[tuple[str, str, str, str], Reason] = {
        (r.analysis, r.stratum, r.exposure, r.level): r.reason
        for r in rows
        if r.file == "characteristics" and r.item == "count"
    }
    reasons: dict[tuple[str, ...], Reason] = {}
    for cell, why in (*ratio.items(), *described.items()):
        reasons[cell] = why
    return Marks(
        {cell: "small" if why == "small" else "hidden" for cell, why in ratio.items()},
        {cell: "small" if why == "small" else "hidden" for cell, why in described.items()},
        reasons,
    )
