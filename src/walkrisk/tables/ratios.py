"""Tables of counts and ratios in the layout of a journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from walkrisk.estimates.disclosure import (
    NOT_REPORTED,
    RATIOS,
    RatioCell,
    ratio_marks,
    suppression_note,
)
from walkrisk.estimates.numbers import JAMA, Rounding, ratio
from walkrisk.estimates.results import Diagnostic, Results
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.suppression import Mark
from walkrisk.tables.categories import ExposureLabel, level_names, limits_note
from walkrisk.tables.cells import ABSENT, NOT_FITTED, Guard, difference, in_one_variance, why_not
from walkrisk.tables.table import Head, Row, Table

DIFFERENCE = "risk_difference"
MEASURES = (*RATIOS, DIFFERENCE)
SHORT = {"risk_ratio": "RR", "odds_ratio": "OR", "hazard_ratio": "HR", DIFFERENCE: "RD"}
LONG = {
    "risk_ratio": "risk ratio",
    "odds_ratio": "odds ratio",
    "hazard_ratio": "hazard ratio",
    DIFFERENCE: "risk difference, in percentage points",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisPart:
    """An analysis in a table, with the analyses its tests and E-values are rows of (empty: not shown)."""

    id: str
    title: str
    trend: str = ""
    trend_score: str = "quartile_median"
    modifier: str = ""
    evalues: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelColumn:
    """A model as a column. `crude` models (no covariates) show no ratio that would give a hidden count away."""

    id: str
    label: str
    footnote: str = ""
    crude: bool = False


def ratio_table(
    id: str,
    title: str,
    results: Results,
    *,
    analyses: Sequence[AnalysisPart],
    exposures: Mapping[str, ExposureLabel],
    models: Sequence[ModelColumn],
    variance: str,
    events: str = "cases",
    conf_level: float = 0.95,
    min_cell: int = 0,
    marks: Mapping[RatioCell, Mark] | None = None,
    rounding: Rounding = JAMA,
    number: str = "",
) -> Table:
    """Participants, events and a column of ratios a model, by category of each exposure, stratum and analysis.

    One variance is shown: `variance`, or the first an analysis has. `marks` are those of `ratio_marks` on all
    estimates of the run, made here if not given. An analysis' `trend`, `modifier` and `evalues` add its P for trend, P
    for interaction (likelihood-ratio and robust) and E-value columns.
    """
    marks = ratio_marks(results.estimates, min_cell=min_cell) if marks is None else marks
    maker = _Maker(results, analyses, exposures, models, variance, events, min_cell, marks, rounding)
    shown = [c for c in marks if c[0] in {a.id for a in analyses}]
    notes = (maker.abbreviations(conf_level), suppression_note(min_cell, [marks[c] for c in shown]))
    return Table(
        id=id,
        title=title,
        number=number,
        header=tuple(maker.header(conf_level)),
        rows=tuple(row for a in analyses for row in maker.analysis_rows(a)),
        notes=tuple(n for n in notes if n),
        label_columns=len(maker.label_heads),
    )


@dataclass(frozen=True, slots=True)
class _Maker:
    results: Results
    analyses: Sequence[AnalysisPart]
    exposures: Mapping[str, ExposureLabel]
    models: Sequence[ModelColumn]
    variance: str
    events: str
    min_cell: int
    marks: Mapping[RatioCell, Mark]
    rounding: Rounding

    # ------------------------------------------------------------ header and notes

    @property
    def label_heads(self) -> tuple[str, ...]:
        """Heads of the label columns: two where every exposure of the table is the same crossing."""
        return tuple(self.exposures[e].heading for e in self._crossing.cross) if self._crossing else ("Category",)

    @property
    def _crossing(self) -> ExposureLabel | None:
        """The crossing that is the only exposure of the table, if it is one."""
        labels = {e: self.exposures[e] for a in self.analyses for e in self._exposures_of(a)}
        only = next(iter(labels.values()), None)
        return only if only and len(labels) == 1 and only.cross else None

    @property
    def estimands(self) -> list[str]:
        """Kinds of ratio in the table."""
        ids = {a.id for a in self.analyses}
        return [r for r in MEASURES if any(e.estimand == r and e.analysis in ids for e in self.results.estimates)]

    @property
    def with_evalues(self) -> bool:
        return any(a.evalues for a in self.analyses)

    def header(self, conf_level: float) -> Iterator[Head]:
        kinds = self.estimands
        kind = f"{SHORT[kinds[0]] if len(kinds) == 1 else 'Ratio'} ({100 * conf_level:g}% CI)"
        heads = self.label_heads
        note = self._limits_note(self.analyses[0].id, self._crossing) if len(heads) > 1 and self._crossing else ""
        yield from (Head(h, note) for h in heads)
        yield from (Head("No. of participants"), Head(f"No. of {self.events}"))
        parts = tuple(Head(m.label, m.footnote) for m in self.models)
        yield Head(kind, parts=parts)
        if self.with_evalues:
            of = self.models[-1].label.lower()
            note = f"Of the {of} ratio: how strong unmeasured confounding would have to be to explain it away."
            yield Head("E-value", note, parts=(Head("Estimate"), Head("CI limit")))

    def abbreviations(self, conf_level: float) -> str:
        words = {SHORT[k]: LONG[k] for k in self.estimands} | {"CI": "confidence interval"}
        return "Abbreviations: " + "; ".join(f"{short}, {words[short]}" for short in sorted(words)) + "."

    # ------------------------------------------------------------ rows

    def _exposures_of(self, part: AnalysisPart) -> list[str]:
        mine = (e.exposure for e in self.results.estimates if e.analysis == part.id and e.estimand in MEASURES)
        also = (d.exposure for d in self.results.diagnostics if d.analysis == part.id and d.exposure in self.exposures)
        return list(dict.fromkeys([*mine, *also]))

    def analysis_rows(self, part: AnalysisPart) -> Iterator[Row]:
        depth = 0
        if len(self.analyses) > 1:
            yield Row(kind="heading", cells=(part.title + self._kind(part),))
            depth = 1
        for exposure in self._exposures_of(part):
            label = self.exposures[exposure]
            inner = depth
            if not label.cross or len(self.label_heads) == 1:
                yield Row(kind="heading", cells=(label.heading,), indent=depth, note=self._limits_note(part.id, label))
                inner = depth + 1
            for stratum in self._strata(part.id, exposure):
                if stratum:
                    yield Row(kind="heading", cells=(_sentence_case(stratum),), indent=inner)
                yield from self._block_rows(part, label, stratum, inner + bool(stratum))
            yield from self._test_rows(part, exposure, inner)

    def _kind(self, part: AnalysisPart) -> str:
        kinds = {e.estimand for e in self.results.estimates if e.analysis == part.id and e.estimand in MEASURES}
        return f" ({', '.join(SHORT[k] for k in sorted(kinds))})" if len(self.estimands) > 1 and kinds else ""

    def _limits_note(self, analysis: str, label: ExposureLabel) -> str:
        return limits_note(self.results.cutpoints, analysis, label, self.exposures)

    def _strata(self, analysis: str, exposure: str) -> list[str]:
        rows: tuple[Diagnostic | Estimate, ...] = (*self.results.diagnostics, *self.results.estimates)
        return list(dict.fromkeys(r.stratum for r in rows if r.analysis == analysis and r.exposure == exposure))

    def _block_rows(self, part: AnalysisPart, label: ExposureLabel, stratum: str, indent: int) -> Iterator[Row]:
        rows = self._estimates(part.id, label.id, stratum)
        levels = list(dict.fromkeys(level for level, _ in rows))
        if not levels:
            width = len(self.label_heads) + 1 + len(self.models) + 2 * self.with_evalues
            yield Row(cells=("Nobody in this stratum", *[ABSENT] * width), indent=indent)
        all_levels = self._all_levels(part.id, label.id)
        names = level_names(all_levels, self.results.cutpoints, part.id, label, self.exposures)
        for level in levels:
            name = names[level] if len(self.label_heads) > 1 else (", ".join(names[level]),)
            cells = (self._ratio(rows, level, m, (part.id, label.id, stratum)) for m in self.models)
            counts = self._guard.counts(next(r for (lv, _), r in rows.items() if lv == level))
            yield Row(cells=(*name, *counts, *cells, *self._evalues(part, label.id, level)), indent=indent)

    def _all_levels(self, analysis: str, exposure: str) -> list[str]:
        rows = self.results.estimates
        return list(
            dict.fromkeys(
                e.level for e in rows if e.analysis == analysis and e.exposure == exposure and e.estimand in MEASURES
            )
        )

    def _estimates(self, analysis: str, exposure: str, stratum: str) -> dict[tuple[str, str], Estimate]:
        mine = [
            e
            for e in self.results.estimates
            if (e.analysis, e.exposure, e.stratum) == (analysis, exposure, stratum) and e.estimand in MEASURES
        ]
        return {(e.level, e.model): e for e in in_one_variance(mine, self.variance)}

    # ------------------------------------------------------------ cells

    @property
    def _guard(self) -> Guard:
        return Guard(self.marks, self.min_cell)

    def _ratio(
        self, rows: Mapping[tuple[str, str], Estimate], level: str, model: ModelColumn, place: tuple[str, str, str]
    ) -> str:
        if (level, model.id) in rows:
            return ratio_cell(rows, level, model, self._guard, self.events, self.rounding)
        fitted = any(
            (d.analysis, d.exposure, d.stratum) == place and d.model == model.id for d in self.results.diagnostics
        )
        return NOT_FITTED if fitted else ABSENT

    def _evalues(self, part: AnalysisPart, exposure: str, level: str) -> tuple[str, ...]:
        if not self.with_evalues:
            return ()
        model = self.models[-1].id
        mine = {
            e.estimand: e.estimate
            for e in in_one_variance(
                [
                    e
                    for e in self.results.estimates
                    if (e.analysis, e.exposure, e.level, e.model) == (part.evalues, exposure, level, model)
                ],
                self.variance,
            )
        }
        values = (mine.get(k) for k in ("e_value", "e_value_ci"))
        return tuple(ABSENT if v is None else ratio(v) for v in values)

    # ------------------------------------------------------------ tests

    def _test_rows(self, part: AnalysisPart, exposure: str, indent: int) -> Iterator[Row]:
        if part.trend:
            found = {
                e.model: e.p_value
                for e in self.results.estimates
                if (e.analysis, e.exposure, e.level) == (part.trend, exposure, part.trend_score)
                and e.variance == self.variance
            }
            if found:
                yield self._test_row("P for trend", found, indent, _trend_note(part.trend_score))
        tests = [
            e
            for e in self.results.estimates
            if part.modifier and e.estimand == "p_interaction" and (e.exposure, e.stratum) == (exposure, part.modifier)
        ]
        likelihood = {e.model: e.p_value for e in tests if e.method == "likelihood_ratio"}
        robust = {e.model: e.p_value for e in tests if e.method == "wald" and e.variance == self.variance}
        for name, found in (("likelihood ratio", likelihood), ("robust Wald", robust)):
            if found:
                yield self._test_row(f"P for interaction, {name}", found, indent, "")

    def _test_row(self, label: str, by_model: Mapping[str, float | None], indent: int, note: str) -> Row:
        before = [""] * (len(self.label_heads) + 1)
        cells = [self.rounding.p(by_model[m.id]) if m.id in by_model else "" for m in self.models]
        return Row(cells=(label, *before, *cells, *[""] * (2 * self.with_evalues)), indent=indent, note=note)


def ratio_cell(
    rows: Mapping[tuple[str, str], Estimate],
    level: str,
    model: ModelColumn,
    guard: Guard,
    events: str,
    rounding: Rounding = JAMA,
) -> str:
    """The ratio (or difference) of a level as printed; `rows` are by level and model. Raises KeyError without one."""
    e = rows[level, model.id]
    reference = rows.get((e.reference, model.id), e)
    if level == e.reference:
        one = "0" if e.estimand == DIFFERENCE else "1"
        return "[Reference]" if e.events == 0 else f"{one} [Reference]"
    if e.estimate is None:
        return why_not(e, reference, guard, events)
    if guard.hides_ratio(e, reference, crude=model.crude):
        return NOT_REPORTED
    if e.estimand == DIFFERENCE:
        return difference(e, rounding)
    return rounding.interval(e.estimate, e.conf_low, e.conf_high)


def _sentence_case(text: str) -> str:
    return (text[:1].upper() + text[1:]).replace(">=", "≥").replace("<=", "≤")


def _trend_note(score: str) -> str:
    what = {
        "quartile_median": "the median of each category as a linear term",
        "quartile_score": "the number of the category (1, 2, ...) as a linear term",
        "continuous": "the exposure itself as a linear term",
    }
    return f"Test for trend: {what.get(score, score)}."
