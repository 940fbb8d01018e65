"""Descriptive tables: who the people are, group by group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from walkrisk.cohorts.cohort import Variable
from walkrisk.estimates.disclosure import (
    NOT_REPORTED,
    UNKNOWN,
    CharacteristicCell,
    characteristic_marks,
    shown_count,
    suppression_note,
)
from walkrisk.estimates.numbers import count, count_percent, mean_sd
from walkrisk.estimates.results import Characteristic
from walkrisk.estimates.suppression import Mark, is_small
from walkrisk.tables.table import Head, Row, Table

Cell = tuple[str, str, str]  # group, variable, level


def characteristics_table(
    id: str,
    title: str,
    rows: Sequence[Characteristic],
    variables: Mapping[str, Variable],
    *,
    span: str = "",
    group_labels: Mapping[str, str] | None = None,
    group_note: str = "",
    min_cell: int = 0,
    marks: Mapping[CharacteristicCell, Mark] | None = None,
    number: str = "",
) -> Table:
    """No., mean (SD) and No. (%) by group. `rows` are all descriptive rows of the run; those of table `id` are shown.

    `span` is the head over the groups (but for the total), `group_labels` what a group is called, `group_note` a
    footnote of the span. Percentages are of the known; people whose value is unknown have a row where there are any.
    """
    marks = characteristic_marks(rows, min_cell=min_cell) if marks is None else marks
    maker = _Maker(id, [r for r in rows if r.table == id], variables, marks, min_cell)
    labels = group_labels or {}
    unknowns = any(maker.unknown(g, v) for g in maker.groups for v in maker.described)
    mine = {cell: mark for cell, mark in marks.items() if cell[0] == id}
    left_out = any(cell[3] == UNKNOWN and variables[cell[2]].levels for cell in mine)
    notes = (
        "Percentages are of those whose value is known." if unknowns else "",
        suppression_note(min_cell, mine.values()),
        "Percentages are left out where they would give the number of unknown away." if left_out else "",
    )
    return Table(
        id=id,
        title=title,
        number=number,
        header=tuple(_header(maker.groups, labels, span, group_note)),
        rows=tuple(maker.rows()),
        notes=tuple(n for n in notes if n),
    )


def _header(groups: Sequence[str], labels: Mapping[str, str], span: str, note: str) -> Iterator[Head]:
    yield Head("Characteristic")
    heads = [Head(labels.get(g, g)) for g in groups]
    if not span:
        yield from heads
        return
    inside = [h for h, g in zip(heads, groups, strict=True) if g != "Total"]
    yield Head(span, note, parts=tuple(inside))
    yield from (h for h, g in zip(heads, groups, strict=True) if g == "Total")


class _Maker:
    def __init__(
        self,
        table: str,
        rows: Sequence[Characteristic],
        variables: Mapping[str, Variable],
        marks: Mapping[CharacteristicCell, Mark],
        min_cell: int,
    ) -> None:
        self.table, self.variables, self.marks, self.min_cell = table, variables, marks, min_cell
        self.groups = list(dict.fromkeys(r.group for r in rows))
        self.described = list(dict.fromkeys(r.variable for r in rows if r.variable))
        self.cells = {(r.group, r.variable, r.level, r.statistic): r for r in rows}
        self.known = {(r.group, r.variable): r.known for r in rows}

    def unknown(self, group: str, variable: str) -> int:
        """People of a group whose value is unknown."""
        return self.known[group, ""] - self.known[group, variable]

    def rows(self) -> Iterator[Row]:
        yield Row(cells=("No.", *(self._count(g, "", "", self.known[g, ""]) for g in self.groups)))
        for name in self.described:
            variable = self.variables[name]
            if variable.levels is None:
                said = not variable.unit or variable.label.lower().endswith(variable.unit.lower())
                unit = "" if said else f", {variable.unit}"
                cells = (self._mean(g, name, variable.decimals) for g in self.groups)
                yield Row(cells=(f"{variable.label}, mean (SD){unit}", *cells))
            else:
                yield Row(kind="heading", cells=(f"{variable.label}, No. (%)",))
                for code, text in variable.levels.items():
                    yield Row(cells=(text, *(self._share(g, name, str(code)) for g in self.groups)), indent=1)
            if any(self.unknown(g, name) for g in self.groups):
                cells = (self._count(g, name, UNKNOWN, self.unknown(g, name)) for g in self.groups)
                yield Row(cells=("Unknown, No.", *cells), indent=1)

    def _mark(self, group: str, variable: str, level: str) -> Mark | None:
        return self.marks.get((self.table, group, variable, level))

    def _count(self, group: str, variable: str, level: str, n: int) -> str:
        return shown_count(count(n), self._mark(group, variable, level), self.min_cell)

    def _share(self, group: str, variable: str, level: str) -> str:
        n = self.cells[group, variable, level, "count"].value or 0.0
        mark = self._mark(group, variable, level)
        if mark:
            return shown_count("", mark, self.min_cell)
        percent = self.cells[group, variable, level, "percent"].value
        return count(n) if self._mark(group, variable, UNKNOWN) else count_percent(n, percent)

    def _mean(self, group: str, variable: str, decimals: int) -> str:
        mean = self.cells[group, variable, "", "mean"].value
        if is_small(self.known[group, variable], self.min_cell):
            return NOT_REPORTED
        return mean_sd(mean, self.cells[group, variable, "", "sd"].value, decimals)
