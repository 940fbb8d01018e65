"""Tables of joint effects and additive interaction, of attributable fractions, and of time moved within the day."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from walkrisk.estimates.disclosure import NOT_REPORTED, suppression_note
from walkrisk.estimates.numbers import Rounding
from walkrisk.estimates.rows import Estimate
from walkrisk.tables.cells import ABSENT, NOT_FITTED, percent, scaled_interval, why_not
from walkrisk.tables.ratios import ModelColumn
from walkrisk.tables.risks import Shown
from walkrisk.tables.table import Head, Row, Table

JOINED = " / "
MEASURES = (("reri", "RERI"), ("ap", "AP"), ("synergy", "S"))
JOINT_ABBREVIATIONS = (
    "Abbreviations: AP, attributable proportion; CI, confidence interval; MOVER, method of variance estimates "
    "recovery; RERI, relative excess risk due to interaction; RR, risk ratio; S, synergy index."
)
JOINT_NOTE = (
    "All from one model with the product of both. RERI, relative excess risk due to interaction; AP, attributable "
    "proportion; S, synergy index: 0, 0 and 1 where risks add up. Limits by the delta method, of RERI also by MOVER."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Modifier:
    """The second exposure of joint effects: its id, what it is called, and level -> what that is called."""

    id: str
    label: str
    levels: Mapping[str, str]


def joint_table(
    id: str,
    title: str,
    shown: Shown,
    *,
    exposure: str,
    modifier: Modifier,
    crude: bool = False,
    notes: Sequence[str] = (),
    number: str = "",
) -> Table:
    """Joint effects of an exposure and a modifier, ratios within strata of each, and interaction on both scales."""
    found = _latest(shown.rows(exposure))
    levels = list(dict.fromkeys(e.level.split("/")[0] for e in found.joint))
    names = shown.names(exposure, levels)
    maker = _Joint(shown, exposure, modifier, found, levels, names, crude)
    header = (
        Head(shown.exposures[exposure].heading, shown.limits_note(exposure)),
        *(
            Head(name, parts=(Head(f"{shown.events.capitalize()}{JOINED}No."), Head(f"Estimate ({shown.level} CI)")))
            for name in modifier.levels.values()
        ),
    )
    words = (JOINT_ABBREVIATIONS, JOINT_NOTE, *notes, shown.suppression())
    return Table(
        id=id, title=title, number=number, header=header, rows=tuple(maker.rows()), notes=tuple(n for n in words if n)
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """The rows of joint effects by kind, each by its level (exposure/modifier)."""

    joint: list[Estimate]
    within: Mapping[tuple[str, str], Estimate]
    measures: Mapping[tuple[str, str, str, str], Estimate]


def _latest(rows: Sequence[Estimate]) -> _Found:
    ratios = [e for e in rows if e.estimand in ("risk_ratio", "odds_ratio")]
    additive = [e for e in rows if e.estimand in ("reri", "ap", "synergy")]
    return _Found(
        joint=[e for e in ratios if not e.stratum],
        within={(e.stratum, e.level): e for e in ratios},
        measures={
            (e.estimand, "mover" if e.method.endswith("_mover") else "delta", e.stratum, e.level): e for e in additive
        },
    )


@dataclass(frozen=True, slots=True)
class _Joint:
    shown: Shown
    exposure: str
    modifier: Modifier
    found: _Found
    levels: Sequence[str]
    names: Mapping[str, str]
    crude: bool

    def rows(self) -> Iterator[Row]:
        if not self.found.joint:
            yield Row(cells=(NOT_FITTED, *[ABSENT] * (2 * len(self.modifier.levels))))
            return
        kind = "OR" if self.found.joint[0].estimand == "odds_ratio" else "RR"
        first, second = self.shown.exposures[self.exposure].label, self.modifier.label
        yield self._heading(f"Joint effects, {kind} against the reference of both")
        for a in self.levels:
            yield self._row(a, lambda level: self._cell("", level), counts=True)
        yield self._heading(f"{_capital(first)} within each level of {_lower(second)}, {kind}")
        for a in self.levels:
            yield self._row(a, lambda level: self._cell(f"{self.modifier.id}={level.split('/')[1]}", level))
        yield self._heading(f"{_capital(second)} within each level of {_lower(first)}, {kind}")
        for a in self.levels:
            yield self._row(a, lambda level: self._cell(f"{self.exposure}={level.split('/')[0]}", level))
        yield self._heading(f"Ratio of {kind}s (multiplicative interaction)")
        for a in self.levels[1:]:
            yield self._row(a, lambda level: self._cell("interaction", level))
        yield from self._measure_rows("")
        yield from self._measure_rows("recoded")

    def _measure_rows(self, stratum: str) -> Iterator[Row]:
        mine = [k for k in self.found.measures if k[2] == stratum]
        if not mine:
            return
        reference = self.found.measures[mine[0]].reference
        a, b = reference.split("/")
        against = f"{self.names.get(a, a)}{JOINED}{self.modifier.levels.get(b, b)}"
        recoded = ", recoded to the group of lowest risk" if stratum else ""
        for estimand, short in MEASURES:
            for method in ("delta", "mover") if estimand == "reri" and not stratum else ("delta",):
                what = "additive interaction" if estimand == "reri" else ""
                said = ", ".join(t for t in (what, f"limits by {'MOVER' if method == 'mover' else 'delta'}") if t)
                yield self._heading(f"{short} ({said}), reference {against}{recoded}")
                for level in self.levels:
                    if any(
                        (estimand, method, stratum, f"{level}/{m}") in self.found.measures for m in self.modifier.levels
                    ):
                        yield self._row(level, partial(self._measure, estimand, method, stratum))

    def _heading(self, text: str) -> Row:
        return Row(kind="heading", cells=(text,))

    def _row(self, level: str, cell: Callable[[str], str], counts: bool = False) -> Row:
        cells: list[str] = []
        for m in self.modifier.levels:
            key = f"{level}/{m}"
            row = next((e for e in self.found.joint if e.level == key), None)
            text = ""
            if counts and row is not None:
                n, events = self.shown.guard.counts(row)
                text = f"{events}{JOINED}{n}"
            cells += [text, cell(key)]
        return Row(cells=(self.names[level], *cells), indent=1)

    def _cell(self, stratum: str, level: str) -> str:
        row = self.found.within.get((stratum, level))
        if row is None:
            return ABSENT
        if row.estimate == 1.0 and row.conf_low is None:
            return "1 [Reference]"
        if row.estimate is None:
            return why_not(row, row, self.shown.guard, self.shown.events)
        if self._hidden(level):
            return NOT_REPORTED
        return self.shown.rounding.interval(row.estimate, row.conf_low, row.conf_high)

    def _measure(self, estimand: str, method: str, stratum: str, level: str) -> str:
        row = self.found.measures.get((estimand, method, stratum, level))
        if row is None:
            return ABSENT
        if self._hidden(row.level):
            return NOT_REPORTED
        return NOT_FITTED if row.estimate is None else scaled_interval(row, places=self.shown.rounding.ratios)

    def _hidden(self, level: str) -> bool:
        """Whether a crude estimate of a joint group would give a hidden count of any group it rests on away."""
        a, b = level.split("/")
        corners = [
            e for e in self.found.joint if e.level.split("/")[0] in (a, self.levels[0]) or e.level.endswith(f"/{b}")
        ]
        return self.shown.guard.hides_ratio(*corners, crude=self.crude)


def _capital(label: str) -> str:
    return label[:1].upper() + label[1:]


def _lower(label: str) -> str:
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


# ---------------------------------------------------------------- attributable fractions


def fraction_table(
    id: str,
    title: str,
    shown: Shown,
    *,
    exposures: Sequence[str],
    models: Sequence[ModelColumn],
    notes: Sequence[str] = (),
    number: str = "",
) -> Table:
    """The share of cases attributable to each category of each exposure, and in total, by model.

    Where a count of a category is not shown only the total is: its part would give the count away.
    """
    head = Head(f"Attributable fraction, % ({shown.level} CI)", parts=tuple(Head(m.label, m.footnote) for m in models))
    rows: list[Row] = []
    for exposure in exposures:
        rows.append(Row(kind="heading", cells=(shown.exposures[exposure].heading,), note=shown.limits_note(exposure)))
        by = {(e.level, e.model): e for e in shown.rows(exposure, estimand="paf")}
        levels = list(dict.fromkeys(level for level, _ in by))
        reference = next((e.reference for e in by.values()), "")
        names = shown.names(exposure, [reference, *(v for v in levels if v != "total")])
        secret = any(_is_marked(shown, exposure, v) for v in [reference, *levels])
        if not levels:
            rows.append(Row(cells=(NOT_FITTED, *[ABSENT] * len(models)), indent=1))
        for level in levels:
            cells = (_fraction(by.get((level, m.id)), secret, level == "total", shown.rounding) for m in models)
            text = "Total" if level == "total" else f"{names[level]} (against {names[reference]})"
            rows.append(Row(cells=(text, *cells), indent=1))
    hidden = suppression_note(shown.guard.min_cell, ["hidden"] if any(NOT_REPORTED in r.cells for r in rows) else [])
    words = ("Abbreviation: CI, confidence interval.", *notes, hidden)
    return Table(
        id=id, title=title, number=number, header=(Head("Category"), head), rows=tuple(rows),
        notes=tuple(n for n in words if n),
    )  # fmt: skip


def _is_marked(shown: Shown, exposure: str, level: str) -> bool:
    """Whether a count of a category is hidden in any analysis without strata."""
    marks = shown.guard.marks
    return any(cell[1:4] == (exposure, "", level) and cell[4] in ("n", "events") for cell in marks)


def _fraction(e: Estimate | None, secret: bool, total: bool, rounding: Rounding) -> str:
    if e is None:
        return NOT_FITTED
    if e.estimate is None:
        return NOT_REPORTED if secret else NOT_FITTED
    return NOT_REPORTED if secret and not total else percent(e, rounding)


# ---------------------------------------------------------------- time moved within the day


def substitution_table(
    id: str,
    title: str,
    shown: Shown,
    *,
    exposure: str,
    parts: Mapping[str, str],
    unit: str,
    notes: Sequence[str] = (),
    number: str = "",
) -> Table:
    """The ratio for moving each amount of time from one part of the day to another."""
    mine = {e.level: e for e in shown.rows(exposure)}
    rows: list[Row] = []
    for amount in dict.fromkeys(level.split(": ")[0] for level in mine):
        rows.append(Row(kind="heading", cells=(f"{amount} {unit} moved".replace("  ", " "),)))
        for level, e in mine.items():
            if level.split(": ")[0] == amount:
                source, target = level.split(": ", 1)[1].split(" -> ")
                text = f"{parts.get(source, source)} → {parts.get(target, target)}"
                value = (
                    NOT_FITTED if e.estimate is None else shown.rounding.interval(e.estimate, e.conf_low, e.conf_high)
                )
                rows.append(Row(cells=(text, value, shown.rounding.p(e.p_value)), indent=1))
    kind = next((e.estimand for e in mine.values()), "risk_ratio").replace("_", " ").capitalize()
    words = ("Abbreviation: CI, confidence interval.", *notes)
    return Table(
        id=id,
        title=title,
        number=number,
        header=(Head("From → to"), Head(f"{kind} ({shown.level} CI)"), Head("P value")),
        rows=tuple(rows) or (Row(cells=(NOT_FITTED, ABSENT, ABSENT)),),
        notes=tuple(n for n in words if n),
    )
