"""Descriptive tables: who the people are, group by group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from walkrisk.cohorts.cohort import Variable
from walkrisk.estimates.characteristics import SMD, TOTAL
from walkrisk.estimates.disclosure import (
    NOT_REPORTED,
    UNKNOWN,
    CharacteristicCell,
    characteristic_marks,
    shown_count,
    suppression_note,
)
from walkrisk.estimates.group_differences import difference_hidden
from walkrisk.estimates.numbers import JAMA, Rounding, count, fixed
from walkrisk.estimates.results import Characteristic
from walkrisk.estimates.suppression import Mark, is_small
from walkrisk.tables.cells import ABSENT
from walkrisk.tables.table import Head, Row, Table

SMD_NOTE = (
    "Standardised mean difference, without sign: a difference of means over the root of the mean variance; of shares, "
    "the Mahalanobis distance (Yang and Dalton). Among those whose value is known."
)
SMD_LARGEST = " The largest between any two of the groups."


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
    missing: bool = True,
    rounding: Rounding = JAMA,
    number: str = "",
) -> Table:
    """No., mean (SD) and No. (%) by group. `rows` are all descriptive rows of the run; those of table `id` are shown.

    `span` is the head over the groups (but for the total), `group_labels` what a group is called, `group_note` a
    footnote of the span. Percentages are of the known; with `missing`, people whose value is unknown have a row where
    there are any. Standardised differences have a column if the rows hold them.
    """
    marks = characteristic_marks(rows, min_cell=min_cell) if marks is None else marks
    maker = _Maker(id, [r for r in rows if r.table == id], variables, marks, min_cell, missing, rounding)
    labels = group_labels or {}
    unknowns = any(maker.unknown(g, v) != 0 for g in maker.groups for v in maker.described)
    mine = {cell: mark for cell, mark in marks.items() if cell[0] == id}
    left_out = any(cell[3] == UNKNOWN and variables[cell[2]].levels for cell in mine)
    known = "Percentages" if missing else "Percentages and means"
    notes = (
        f"{known} are of those whose value is known." if unknowns else "",
        suppression_note(min_cell, mine.values()),
        "Percentages are left out where they would give the number of unknown away." if left_out else "",
    )
    return Table(
        id=id,
        title=title,
        number=number,
        header=tuple(_header(maker, labels, span, group_note)),
        rows=tuple(maker.rows()),
        notes=tuple(n for n in notes if n),
    )


def _header(maker: _Maker, labels: Mapping[str, str], span: str, note: str) -> Iterator[Head]:
    yield Head("Characteristic")
    inside = [g for g in maker.groups if g != TOTAL or not span]
    heads = tuple(Head(labels.get(g, g)) for g in inside)
    if span:
        yield Head(span, note, parts=heads)
    else:
        yield from heads
    yield from (Head(labels.get(g, g)) for g in maker.groups if g not in inside)
    if maker.differences:
        yield Head("SMD", SMD_NOTE + ("" if len(maker.compared) == 2 else SMD_LARGEST))


class _Maker:
    def __init__(
        self,
        table: str,
        rows: Sequence[Characteristic],
        variables: Mapping[str, Variable],
        marks: Mapping[CharacteristicCell, Mark],
        min_cell: int,
        missing: bool,
        rounding: Rounding,
    ) -> None:
        self.table, self.variables, self.marks, self.min_cell = table, variables, marks, min_cell
        self.missing, self.rounding = missing, rounding
        self.rows_of_all = rows
        self.differences = {r.variable: r.value for r in rows if r.statistic == SMD}
        cells = [r for r in rows if r.statistic != SMD]
        self.groups = list(dict.fromkeys(r.group for r in cells))
        self.compared = [g for g in self.groups if g != TOTAL]
        self.described = list(dict.fromkeys(r.variable for r in cells if r.variable))
        self.cells = {(r.group, r.variable, r.level, r.statistic): r for r in cells}
        self.known = {(r.group, r.variable): r.known for r in cells}

    def unknown(self, group: str, variable: str) -> int | None:
        """People of a group whose value is unknown; None where their number is withheld."""
        everyone, known = self.known[group, ""], self.known[group, variable]
        return None if everyone is None or known is None else everyone - known

    def rows(self) -> Iterator[Row]:
        yield self._row("No.", (self._count(g, "", "", self.known[g, ""]) for g in self.groups))
        for name in self.described:
            variable = self.variables[name]
            if variable.levels is None or (self.groups[0], name, "", "mean") in self.cells:
                said = not variable.unit or variable.label.lower().endswith(variable.unit.lower())
                unit = "" if said else f", {variable.unit}"
                cells = (self._mean(g, name, variable.decimals) for g in self.groups)
                yield self._row(f"{variable.label}, mean (SD){unit}", cells, of=name)
            else:
                yield self._over_levels(name, f"{variable.label}, No. (%)")
                for code, text in variable.levels.items():
                    yield self._row(text, (self._share(g, name, str(code)) for g in self.groups), indent=1)
            if self.missing and any(self.unknown(g, name) != 0 for g in self.groups):
                cells = (self._count(g, name, UNKNOWN, self.unknown(g, name)) for g in self.groups)
                yield self._row("Unknown, No.", cells, indent=1)

    def _row(self, label: str, cells: Iterable[str], *, of: str = "", indent: int = 0) -> Row:
        """A row of the table, with the standardised difference of the variable it is the first row of."""
        ends = ([self._difference(of)] if of else [""]) if self.differences else []
        return Row(cells=(label, *cells, *ends), indent=indent)

    def _over_levels(self, variable: str, label: str) -> Row:
        if not self.differences:
            return Row(kind="heading", cells=(label,))
        return self._row(label, [""] * len(self.groups), of=variable)

    def _difference(self, variable: str) -> str:
        if difference_hidden(self.marks, self.rows_of_all, self.table, variable, self.min_cell):
            return NOT_REPORTED
        value = self.differences.get(variable)
        return ABSENT if value is None else fixed(value, self.rounding.smd)

    def _mark(self, group: str, variable: str, level: str) -> Mark | None:
        return self.marks.get((self.table, group, variable, level))

    def _count(self, group: str, variable: str, level: str, n: float | None) -> str:
        text = NOT_REPORTED if n is None else count(n)
        return shown_count(text, self._mark(group, variable, level), self.min_cell)

    def _share(self, group: str, variable: str, level: str) -> str:
        n = self.cells[group, variable, level, "count"].value
        if n is None or self._mark(group, variable, level) or self._mark(group, variable, UNKNOWN):
            return self._count(group, variable, level, n)
        return self.rounding.share(n, self.cells[group, variable, level, "percent"].value)

    def _mean(self, group: str, variable: str, decimals: int) -> str:
        mean = self.cells[group, variable, "", "mean"].value
        known = self.known[group, variable]
        if is_small(known or 0, self.min_cell) or (mean is None and known != 0):
            return NOT_REPORTED
        return self.rounding.mean(mean, self.cells[group, variable, "", "sd"].value, decimals)
