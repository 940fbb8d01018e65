"""Which tables a study has, from its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from walkrisk.cohorts.cohort import Variable
from walkrisk.estimates.disclosure import CharacteristicCell, Mark, RatioCell
from walkrisk.estimates.marking import Marks, count_marks
from walkrisk.estimates.results import Results
from walkrisk.runs.section_tables import SectionTables
from walkrisk.studies.kinds import section_table_ids
from walkrisk.studies.names import variables_of
from walkrisk.studies.study import Characteristics, Exposure, RatioAnalysis, RatioTable, Study, Trend
from walkrisk.tables.categories import ExposureLabel, category_labels, cuts_of, rounding_note
from walkrisk.tables.cells import Guard
from walkrisk.tables.characteristics import characteristics_table
from walkrisk.tables.diagnostics import diagnostics_table, p_value_table
from walkrisk.tables.matrix import matrix_table
from walkrisk.tables.ratios import AnalysisPart, ModelColumn, ratio_table
from walkrisk.tables.risks import Shown
from walkrisk.tables.side_by_side import Published, published_fact_table, published_ratio_table
from walkrisk.tables.table import Table


@dataclass(frozen=True, slots=True, eq=False)
class Tabulation:
    """A study's rows with the names for people and the counts that must not be shown."""

    study: Study
    results: Results
    simulated: bool
    variables: Mapping[str, Variable]
    exposures: Mapping[str, ExposureLabel]
    ratio_marks: Mapping[RatioCell, Mark]
    characteristic_marks: Mapping[CharacteristicCell, Mark]


def tabulation(study: Study, results: Results, *, simulated: bool, marks: Marks | None = None) -> Tabulation:
    """Names and suppressed cells of rows that may be published; `marks` are worked out on the rows if not given."""
    k = study.settings.min_cell
    marks = marks or count_marks(results.estimates, results.characteristics, min_cell=k)
    exposures = {
        name: ExposureLabel(
            id=name,
            label=e.label or name,
            unit=e.unit,
            decimals=e.decimals,
            cross=e.cross,
            whole=_whole(study, e),
        )
        for name, e in study.exposures.items()
    }
    return Tabulation(
        study, results, simulated, variables_of(study), exposures,
        marks.ratio, marks.characteristic,
    )  # fmt: skip


def _whole(study: Study, e: Exposure) -> bool:
    column = study.columns.get(e.variable or "")
    return column is not None and column.kind == "integer" and e.winsorise_percentile is None


def numbers(study: Study) -> dict[str, str]:
    """Table id -> what it is called: Table 1, 2, ... where the id says so, eTable 1, ... for the others as they come.

    In the report the main tables of ratios come first, then the others, then those of the sections of absolute risks
    and the like, then the further descriptive tables.
    """
    main_first = sorted(study.tables, key=lambda t: not is_main(study, t))
    described = [c.id for c in study.characteristics]
    ids = [*described[:1], *(t.id for t in main_first), *section_table_ids(study), *described[1:]]
    main = {i: f"Table {i[5:]}" for i in ids if i.startswith("table") and i[5:].isdigit()}
    others = [i for i in ids if i not in main]
    return main | {i: f"eTable {n}" for n, i in enumerate(others, start=1)}


def is_main(study: Study, table: RatioTable) -> bool:
    """Whether a table of ratios shows a main analysis."""
    return any(a.id in table.analysis and a.group == "main" for a in study.analyses)


def descriptive_tables(made: Tabulation) -> Iterator[Table]:
    """Every declared descriptive table."""
    for declared in made.study.characteristics:
        yield _characteristics(made, declared)


def ratio_tables(made: Tabulation) -> Iterator[Table]:
    """Every declared table of ratios."""
    for declared in made.study.tables:
        yield _ratios(made, declared)


def section_tables(made: Tabulation) -> Iterator[Table]:
    """The tables of absolute risks, methods side by side, joint effects, attributable fractions and moved time."""
    return SectionTables(made.study, _shown(made), numbers(made.study), made.variables).tables()


def _shown(made: Tabulation) -> Shown:
    """What the tables of an analysis start from."""
    s = made.study.settings
    return Shown(
        analysis="",
        results=made.results,
        exposures=made.exposures,
        variance=s.variances[0],
        events="",
        conf_level=s.conf_level,
        guard=Guard(made.ratio_marks, s.min_cell),
        rounding=made.study.rounding,
    )


def test_table(made: Tabulation) -> Table | None:
    """P for trend, interaction and non-linearity; None if the study declares no test."""
    study = made.study
    if not (study.trends or study.interactions or study.curves):
        return None
    modifiers = {i.modifier: _modifier_label(made, i.modifier) for i in study.interactions}
    return p_value_table(
        made.results.estimates,
        exposures={n: e.label for n, e in made.exposures.items()},
        models=_model_labels(study),
        variance=study.settings.variances[0],
        modifiers=modifiers,
        analyses={c.analysis: c.title for c in study.curves if c.title},
        rounding=study.rounding,
    )


def warning_table(made: Tabulation) -> Table | None:
    """Fits that carry a remark; None if there are none."""
    return diagnostics_table(made.results.diagnostics)


def published_tables(made: Tabulation, published: Published) -> tuple[Table, Table]:
    """Published ratios and other numbers beside those of the run."""
    study = made.study
    ratios = published_ratio_table(
        published,
        made.results,
        exposures=made.exposures,
        models=_model_labels(study),
        variance=study.settings.variances[0],
        simulated=made.simulated,
        rounding=study.rounding,
    )
    facts = published_fact_table(
        published,
        made.results,
        simulated=made.simulated,
        characteristic_marks=made.characteristic_marks,
        min_cell=study.settings.min_cell,
    )
    return ratios, facts


def _characteristics(made: Tabulation, declared: Characteristics) -> Table:
    span, labels, note = "", dict[str, str](), ""
    if declared.by_exposure:
        exposure = made.exposures[declared.by_exposure]
        cuts = next((c for a in made.study.analyses if (c := cuts_of(made.results.cutpoints, a.id, exposure.id))), ())
        names = [c.group for c in made.results.characteristics if c.table == declared.id and c.statistic == "n"]
        span, note = exposure.heading, rounding_note(cuts, whole=exposure.whole)
        texts = category_labels(cuts, exposure.decimals, whole=exposure.whole)
        labels = {n: f"{n} ({text})" for n, text in zip(names, texts, strict=False)}
    return characteristics_table(
        declared.id,
        declared.title,
        made.results.characteristics,
        made.variables,
        span=span,
        group_labels=labels,
        group_note=note,
        min_cell=made.study.settings.min_cell,
        marks=made.characteristic_marks,
        missing=declared.missing,
        rounding=made.study.rounding,
        number=numbers(made.study)[declared.id],
    )


def _ratios(made: Tabulation, declared: RatioTable) -> Table:
    study = made.study
    parts = [_part(study, next(a for a in study.analyses if a.id == i), declared.models) for i in declared.analysis]
    footnotes = dict(zip(declared.models, declared.footnotes, strict=False))
    columns = [
        ModelColumn(
            id=m, label=study.models[m].label or m, footnote=footnotes.get(m, ""), crude=not study.models[m].covariates
        )
        for m in declared.models
    ]
    first = next(a for a in study.analyses if a.id == declared.analysis[0])
    variance = (first.variances or study.settings.variances)[0]
    events = study.outcomes[first.outcome or study.settings.outcome].event_word
    if declared.form == "matrix":
        shown = replace(_shown(made), analysis=first.id, variance=variance, events=events)
        return matrix_table(
            declared.id,
            declared.title,
            shown,
            exposure=first.exposures[0],
            models=columns,
            counts=declared.counts,
            number=numbers(study)[declared.id],
        )
    return ratio_table(
        declared.id,
        declared.title,
        made.results,
        analyses=parts,
        exposures=made.exposures,
        models=columns,
        variance=variance,
        events=events,
        conf_level=study.settings.conf_level,
        min_cell=study.settings.min_cell,
        marks=made.ratio_marks,
        rounding=study.rounding,
        number=numbers(study)[declared.id],
    )


def _part(study: Study, analysis: RatioAnalysis, models: tuple[str, ...]) -> AnalysisPart:
    """An analysis with the trend, interaction and E-values that belong to it under the models shown."""
    plain = not (analysis.restrict or analysis.stratify or analysis.add or analysis.fixed_cuts or analysis.outcome)
    own = plain and not (analysis.weighted or analysis.method or analysis.replace_covariates)

    def fits(trend: Trend) -> bool:
        return set(analysis.exposures) <= set(trend.exposures) and bool(set(models) & set(trend.models))

    trend = next((t.analysis for t in study.trends if own and fits(t)), "")
    by = analysis.stratify.by if analysis.stratify else ""
    modifier = by if by and any(i.modifier == by for i in study.interactions) else ""
    evalues = next((v.analysis for v in study.evalues if analysis.id in v.of and v.model in models), "")
    return AnalysisPart(id=analysis.id, title=analysis.title, trend=trend, modifier=modifier, evalues=evalues)


def _model_labels(study: Study) -> dict[str, str]:
    return {name: m.label or name for name, m in study.models.items()}


def _modifier_label(made: Tabulation, name: str) -> str:
    if name in made.exposures:
        return made.exposures[name].label
    return made.variables[name].label if name in made.variables else name
