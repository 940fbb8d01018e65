"""Tables of absolute risks, and of several methods side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from walkrisk.estimates.disclosure import NOT_REPORTED, suppression_note
from walkrisk.estimates.numbers import JAMA, Rounding
from walkrisk.estimates.results import Results
from walkrisk.estimates.rows import Estimate
from walkrisk.tables.categories import ExposureLabel, level_names, limits_note
from walkrisk.tables.cells import ABSENT, NOT_FITTED, Guard, difference, in_one_variance, needed, percent, why_not
from walkrisk.tables.ratios import ModelColumn
from walkrisk.tables.table import Head, Row, Table

COLUMNS = ("risk", "risk_difference", "risk_ratio", "odds_ratio", "nnt")
HEADS = {
    "risk": "Risk, %",
    "risk_difference": "RD, % points",
    "risk_ratio": "RR",
    "odds_ratio": "OR",
    "nnt": "NNT",
}
WORDS = {
    "risk_difference": "RD, risk difference",
    "risk_ratio": "RR, risk ratio",
    "odds_ratio": "OR, odds ratio",
    "nnt": "NNT, number needed to treat",
}
NEEDED = (
    "People for one fewer case (NNTB, benefit) or one more (NNTH, harm) than in the reference; where "
    "the interval of the difference holds 0 it runs through infinity."
)

METHOD_LABELS = {
    "modified_poisson": "Modified Poisson",
    "log_binomial": "Log-binomial",
    "case_duplication": "Case duplication",
    "bias_reduced_poisson": "Poisson, bias-reduced",
    "logistic": "Logistic",
    "firth_logistic": "Logistic, Firth",
    "identity_binomial": "Binomial, identity link",
    "identity_poisson": "Poisson, identity link",
    "linear": "Least squares",
    "standardisation_logistic": "Standardised, logistic",
    "standardisation_poisson": "Standardised, Poisson",
    "standardisation_log_binomial": "Standardised, log-binomial",
    "iptw": "Inverse probability weighting",
    "aipw": "Augmented weighting (AIPW)",
    "tmle": "Targeted maximum likelihood",
    "mantel_haenszel": "Mantel-Haenszel",
    "auto": "Chosen automatically",
}
MARGINAL = ("standardisation", "iptw", "aipw", "tmle")
MEASURE = {"risk_ratio": "Risk ratio", "odds_ratio": "Odds ratio", "risk_difference": "Risk difference"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the tables of one analysis have in common: its rows' place, the words, and what may be shown."""

    analysis: str
    results: Results
    exposures: Mapping[str, ExposureLabel]
    variance: str
    events: str
    conf_level: float
    guard: Guard
    rounding: Rounding = JAMA

    @property
    def level(self) -> str:
        """The level of confidence as printed."""
        return f"{100 * self.conf_level:g}%"

    def rows(self, exposure: str, **equal: str) -> list[Estimate]:
        """The rows of an exposure, in one variance: the one shown, or the first there is."""
        mine = [
            e
            for e in self.results.estimates
            if (e.analysis, e.exposure) == (self.analysis, exposure)
            and all(getattr(e, k) == v for k, v in equal.items())
        ]
        return in_one_variance(mine, self.variance)

    def names(self, exposure: str, levels: Sequence[str]) -> dict[str, str]:
        """Level -> what it is called."""
        label = self.exposures[exposure]
        found = level_names(list(levels), self.results.cutpoints, self.analysis, label, self.exposures)
        return {level: ", ".join(text) for level, text in found.items()}

    def limits_note(self, exposure: str) -> str:
        """The footnote on the limits of an exposure's categories."""
        label = self.exposures[exposure]
        return limits_note(self.results.cutpoints, self.analysis, label, self.exposures)

    def suppression(self) -> str:
        """The footnote on counts that are not shown."""
        marks = [m for cell, m in self.guard.marks.items() if cell[0] == self.analysis]
        return suppression_note(self.guard.min_cell, marks)


def risk_table(
    id: str,
    title: str,
    shown: Shown,
    *,
    exposures: Sequence[str],
    models: Sequence[ModelColumn],
    estimands: Sequence[str],
    values: Mapping[str, Sequence[float]] | None = None,
    notes: Sequence[str] = (),
    number: str = "",
) -> Table:
    """People, events, absolute risk, difference, ratio and number needed by category of each exposure and model.

    `values` are the exposures compared at values, whose rows are of everyone. A risk of a category of fewer than
    `min_cell` events is not shown, nor what is compared with it.
    """
    columns = [c for c in COLUMNS if c in estimands]
    heads = [Head("Category"), Head("No. of participants"), Head(f"No. of {shown.events}")]
    parts = tuple(Head(HEADS[c], NEEDED if c == "nnt" else "") for c in columns)
    heads.append(Head(f"Estimate ({shown.level} CI)", parts=parts))
    rows: list[Row] = []
    for exposure in exposures:
        rows.append(Row(kind="heading", cells=(shown.exposures[exposure].heading,), note=shown.limits_note(exposure)))
        for model in models:
            if len(models) > 1:
                rows.append(Row(kind="heading", cells=(model.label,), indent=1, note=model.footnote))
            at = (values or {}).get(exposure, ())
            rows += _risk_rows(shown, exposure, model, columns, at, indent=1 + (len(models) > 1))
    short = "; ".join(sorted(["CI, confidence interval", *(WORDS[c] for c in columns if c in WORDS)]))
    words = (f"Abbreviations: {short}.", *notes, shown.suppression())
    return Table(id=id, title=title, number=number, header=tuple(heads), rows=tuple(rows), notes=_some(words))


def _some(notes: Sequence[str]) -> tuple[str, ...]:
    return tuple(n for n in notes if n)


def _risk_rows(
    shown: Shown, exposure: str, model: ModelColumn, columns: Sequence[str], at: Sequence[float], indent: int
) -> Iterator[Row]:
    found = shown.rows(exposure, model=model.id)
    by: dict[tuple[str, str], Estimate] = {(e.estimand, e.level): e for e in found}
    levels = list(dict.fromkeys(e.level for e in found))
    if not levels:
        yield Row(cells=(NOT_FITTED, *[ABSENT] * (2 + len(columns))), indent=indent)
        return
    unit = shown.exposures[exposure].unit
    names = {v: f"{v} {unit}".strip() for v in levels} if at else shown.names(exposure, levels)
    reference = next((e.reference for e in found if e.reference), "")
    for level in levels:
        first = next(e for e in found if e.level == level)
        counts = (ABSENT, ABSENT) if at else shown.guard.counts(first)
        cells = (_risk_cell(shown, by, c, level, reference, model.crude) for c in columns)
        yield Row(cells=(names[level], *counts, *cells), indent=indent)


def _risk_cell(
    shown: Shown, by: Mapping[tuple[str, str], Estimate], column: str, level: str, reference: str, crude: bool
) -> str:
    row = by.get((column, level))
    if column == "nnt" and level == reference:
        return ABSENT
    if row is None:
        return NOT_FITTED
    against = by.get((column, reference)) or by.get(("risk", reference)) or row
    guard = shown.guard
    if column == "risk":
        if guard.hides_risk(row, crude=crude):
            return NOT_REPORTED
        return (
            why_not(row, row, guard, shown.events)
            if row.estimate is None or not row.events
            else percent(row, shown.rounding)
        )
    if level == reference:
        return "0 [Reference]" if column == "risk_difference" else "1 [Reference]"
    if guard.hides_risk(row, against, crude=crude):
        return NOT_REPORTED
    if row.estimate is None or not row.events:
        return why_not(row, against, guard, shown.events)
    if column == "risk_difference":
        return difference(row, shown.rounding)
    if column == "nnt":
        return needed(by.get(("risk_difference", level), row))
    return shown.rounding.interval(row.estimate, row.conf_low, row.conf_high)


# ---------------------------------------------------------------- methods side by side


def comparison_table(
    id: str,
    title: str,
    shown: Shown,
    *,
    exposure: str,
    methods: Sequence[str],
    crude: bool = False,
    notes: Sequence[str] = (),
    number: str = "",
) -> Table:
    """One row a method, one column a category: the answers of several methods to one question."""
    rows = {m: _of_method(shown, exposure, m) for m in methods}
    levels = list(dict.fromkeys(e.level for found in rows.values() for e in found))
    names = shown.names(exposure, levels)
    counts = [shown.guard.counts(next(e for found in rows.values() for e in found if e.level == v)) for v in levels]
    label = shown.exposures[exposure]
    parts = tuple(Head(names[v]) for v in levels) or (Head("Category"),)
    header = (
        Head("Method", words=True),
        Head("Measure", words=True),
        Head(label.heading, shown.limits_note(exposure), parts=parts),
    )
    width = max(len(levels), 1)
    body = [
        Row(cells=("No. of participants", "", *([n for n, _ in counts] or [ABSENT]))),
        Row(cells=(f"No. of {shown.events}", "", *([e for _, e in counts] or [ABSENT]))),
    ]
    for method, found in rows.items():
        name = METHOD_LABELS.get(method, method)
        if not found:
            body.append(Row(cells=(name, ABSENT, *[NOT_FITTED] * width)))
            continue
        by = {e.level: e for e in found}
        cells = (_method_cell(shown, by, v, crude) for v in levels)
        body.append(Row(cells=(name, _measure(found[0]), *cells)))
    conditional = (
        "Conditional measures hold at given values of the covariates, marginal ones average over everyone's: they "
        "answer different questions, and differ where the effect is not the same for everyone."
    )
    words = (f"Estimates with {shown.level} confidence intervals.", conditional, *notes, shown.suppression())
    return Table(
        id=id, title=title, number=number, header=header, rows=tuple(body), notes=_some(words), label_columns=2
    )


def _of_method(shown: Shown, exposure: str, method: str) -> list[Estimate]:
    mine = [
        e
        for e in shown.results.estimates
        if (e.analysis, e.exposure) == (shown.analysis, exposure)
        and (e.method == method or (method == "auto" and e.method.startswith("auto_")))
    ]
    first = mine[0].variance if mine else ""
    return [e for e in mine if e.variance == first]


def _measure(e: Estimate) -> str:
    kind = "marginal" if e.method.removeprefix("auto_").startswith(MARGINAL) else "conditional"
    unit = ", percentage points" if e.estimand == "risk_difference" else ""
    return f"{MEASURE.get(e.estimand, e.estimand)}{unit}, {kind}"


def _method_cell(shown: Shown, by: Mapping[str, Estimate], level: str, crude: bool) -> str:
    row = by.get(level)
    if row is None:
        return NOT_FITTED
    reference = by.get(row.reference, row)
    if level == row.reference:
        return "0 [Reference]" if row.estimand == "risk_difference" else "1 [Reference]"
    if row.estimate is None:
        return why_not(row, reference, shown.guard, shown.events)
    if shown.guard.hides_ratio(row, reference, crude=crude):
        return NOT_REPORTED
    if row.estimand == "risk_difference":
        return NOT_REPORTED if shown.guard.hides_risk(row, reference, crude=crude) else difference(row, shown.rounding)
    return shown.rounding.interval(row.estimate, row.conf_low, row.conf_high)
