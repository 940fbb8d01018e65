"""study.toml -> Study: read, check every name against every other, report all faults together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from walkrisk.cohorts.days import layout_faults
from walkrisk.cohorts.variables import sources_of
from walkrisk.declarations import build, json_schema, read_toml
from walkrisk.errors import StudyFault
from walkrisk.estimates.disclosure import min_cell_faults, round_counts_faults
from walkrisk.estimates.numbers import rounding_faults
from walkrisk.estimates.results import OUTCOME_TABLE
from walkrisk.places import pointing
from walkrisk.schema import ColumnContract
from walkrisk.studies.faults import Faults
from walkrisk.studies.kinds import categorical, is_factor, section_table_ids
from walkrisk.studies.method_checks import Combination, check_bootstrap, check_combination, check_variance_needs
from walkrisk.studies.section_checks import check_sections
from walkrisk.studies.sensitivity_checks import check_sensitivity
from walkrisk.studies.study import RatioAnalysis, Study
from walkrisk.studies.vocabulary import COMMON_KEYS, COX, MANTEL_HAENSZEL, REGRESSIONS, estimand_asked, estimand_of

SENSITIVITY_FILE = "sensitivity.toml"
OWN_IDS = ("flow", "tests", "published_ratios", "published_facts", "diagnostics")  # every report may have these


def load_study(path: str | Path, *, sensitivity: bool = False) -> Study:
    """The study declared in a TOML file; with `sensitivity`, with the section that sensitivity.toml beside it holds.

    Raises UsageFault if there is no such file, StudyFault with every fault of the declaration, its line and its key.
    """
    path, beside = Path(path), Path(path).with_name(SENSITIVITY_FILE)
    table = read_toml(path, "a study declaration")
    if not sensitivity:
        with pointing(path):
            return study_from(table)
    section = read_toml(beside, "the sensitivity analyses of the study")
    if "sensitivity" in table:
        with pointing(path):
            raise StudyFault(
                f"sensitivity: the study has this section itself, so {SENSITIVITY_FILE} beside it would be a second "
                "one; keep one of them."
            )
    with pointing(path, sensitivity=beside):
        return study_from({**table, "sensitivity": section})


def study_from(table: Mapping[str, Any]) -> Study:
    """The study declared in a mapping of the grammar of study.toml. Raises StudyFault with every fault."""
    faults: list[str] = []
    study = build(Study, table, "", faults)
    if study is None:
        raise StudyFault(faults)
    check_study(study)
    return study


def study_schema() -> dict[str, Any]:
    """JSON Schema of study.toml, for editors."""
    return json_schema(Study, title="walkrisk study declaration", common=COMMON_KEYS)


def contracts(study: Study) -> tuple[ColumnContract, ...]:
    """Column contracts of everything the study reads of its extract, daily columns in the wide layout included."""
    out = [
        ColumnContract(
            name=name,
            kind=c.kind,
            codes=c.codes,
            categories=c.categories,
            minimum=c.minimum,
            maximum=c.maximum,
            missing_codes=c.missing_codes,
            unit=c.unit,
            meaning=c.meaning,
            labels=c.labels,
            required=c.required,
            source=c.source,
        )
        for name, c in study.columns.items()
    ]
    if study.days and study.days.layout == "wide":
        out += [
            ColumnContract(name=c, kind="number", unit="s", meaning=f"{activity} on day {d}")
            for activity in study.days.columns
            for d, c in enumerate(study.days.column_names(activity), start=1)
        ]
    return tuple(out)


def check_study(study: Study) -> None:
    """Raises StudyFault with every name that leads nowhere and every setting that contradicts another."""
    faults = Faults()
    known = _check_variables(study, faults)
    _check_settings(study, known, faults)
    _check_exposures(study, known, faults)
    _check_analyses(study, known, faults)
    check_sections(study, known, faults)
    _check_evalues(study, faults)
    check_sensitivity(study, known, faults)
    _check_outputs(study, known, faults)
    if faults.sentences:
        raise StudyFault(faults.sentences)


def _check_variables(study: Study, faults: Faults) -> list[str]:
    """Names in the order they become known: columns, day values, derived variables."""
    known = [n for n, c in study.columns.items() if c.kind != "id"]
    ids = [n for n, c in study.columns.items() if c.kind == "id"]
    if len(ids) != 1:
        faults.add("columns", f"exactly one column must be of kind 'id', found {len(ids)}.")
    for name, column in study.columns.items():
        if column.kind == "code" and not column.codes:
            faults.add(f"columns.{name}.codes", "a column of kind 'code' needs its codes.")
        if column.kind == "category" and not column.categories:
            faults.add(f"columns.{name}.categories", "a column of kind 'category' needs its categories.")
        if column.minimum is not None and column.maximum is not None and column.minimum > column.maximum:
            faults.add(f"columns.{name}.minimum", "must not be above maximum.")
    _check_sources(study, faults)
    for i, order in enumerate(study.checks):
        faults.names(f"checks[{i}]", (order.earlier, order.later), known, "column")
    known += _check_days(study, faults)
    for name, derivation in study.variables.items():
        key = f"variables.{name}"
        if name in known:
            faults.add(key, "a column or variable of this name exists already; choose another name.")
        faults.names(f"{key}", sources_of(derivation), known, "column or earlier variable")
        known.append(name)
    return known


def _check_sources(study: Study, faults: Faults) -> None:
    """Faults of two columns that are the same one of the file."""
    taken: dict[str, str] = {}
    for c in contracts(study):
        if c.in_file in taken:
            where = f"columns.{c.name}.from" if c.source is not None else f"columns.{taken[c.in_file]}.from"
            faults.add(where, f"the column {c.in_file!r} of the file is read under another name too; copy a variable.")
        taken[c.in_file] = c.name


def _check_days(study: Study, faults: Faults) -> list[str]:
    days = study.days
    if days is None:
        return []
    for key, sentence in layout_faults(days):
        faults.add(key, sentence)
    activities = list(days.sources)
    faults.names("days.day_total", days.day_total, activities, "activity")
    faults.names("days.valid.zero_invalidates", days.valid.zero_invalidates, activities, "activity")
    faults.names("days.valid.total_of", days.valid.total_of, activities, "activity")
    faults.names("days.valid.not_worn", days.valid.not_worn, activities, "activity")
    for name in [*days.counts, *days.means]:
        if name in study.columns:
            faults.add(f"days.{name}", "a column of this name exists already; choose another name.")
    for name, count in days.counts.items():
        faults.names(f"days.counts.{name}.any_of", count.any_of, activities, "activity")
    for name, mean in days.means.items():
        faults.name(f"days.means.{name}.of", mean.of, activities, "activity")
    return [*days.counts, *days.means]


def _check_settings(study: Study, known: list[str], faults: Faults) -> None:
    s = study.settings
    faults.name("settings.outcome", s.outcome, study.outcomes, "outcome")
    if not 0.5 <= s.conf_level < 1:
        faults.add("settings.conf_level", f"must be from 0.5 to below 1, got {s.conf_level}; 0.95 is usual.")
    faults.sentences += [f"settings.{fault}" for fault in min_cell_faults(s.min_cell)]
    faults.sentences += [f"settings.{fault}" for fault in round_counts_faults(s.round_counts, s.min_cell)]
    if not s.variances:
        faults.add("settings.variances", 'name at least one variance, for example ["HC0"].')
    check_variance_needs(study, "settings.variances", s.variances, faults)
    for name, outcome in study.outcomes.items():
        used = [v for v in (outcome.variable, outcome.time, outcome.event) if v]
        faults.names(f"outcomes.{name}", used, known, "variable")
    faults.unique("exclusions", [step.id for step in study.exclusions])
    asked = Combination(method=s.method, estimand=s.estimand, variances=s.variances, own=False)
    check_combination(study, "settings", asked, faults)
    check_bootstrap(study, faults)
    for i, step in enumerate(study.exclusions):
        key = f"exclusions[{i}] ({step.id})"
        if not step.require and not step.known:
            faults.add(key, "names no condition; give require or known.")
        faults.names(key, [c.variable for c in step.require] + list(step.known), known, "variable")
    for field in ("weights", "strata", "psu", "cluster"):
        name = getattr(study.design, field)
        if name:
            faults.name(f"design.{field}", name, known, "variable")
    for name, model in study.models.items():
        faults.names(f"models.{name}.covariates", model.covariates, known, "variable")
        for covariate in model.covariates:
            column = study.columns.get(covariate)
            if column and column.kind == "code" and len(column.codes) > 2 and not column.labels:
                faults.add(
                    f"models.{name}.covariates",
                    f"{covariate} is a coded column without labels, which would enter as a number; give it labels to "
                    "make it a factor, or copy it into a variable without levels to mean the number.",
                )


def _check_exposures(study: Study, known: list[str], faults: Faults) -> None:
    for name, e in study.exposures.items():
        key = f"exposures.{name}"
        if name in known:
            faults.add(key, "a column or variable of this name exists already; choose another name.")
        if bool(e.variable) == bool(e.cross):
            faults.add(key, "give either variable or cross.")
        if e.variable:
            faults.name(f"{key}.variable", e.variable, known, "variable")
            if e.quantiles is None and not e.cuts and e.per is None and not is_factor(study, e.variable):
                faults.add(
                    key,
                    "say how it is used: quantiles (4 makes quartiles), cuts (a list of limits), per (units of a "
                    "linear term), or a variable with levels, which are then its categories.",
                )
        if e.quantiles is not None and not 2 <= e.quantiles <= 100:
            faults.add(f"{key}.quantiles", f"must be from 2 to 100, got {e.quantiles}; 4 makes quartiles.")
        if e.quantiles is not None and e.cuts:
            faults.add(key, "give quantiles or cuts, not both.")
        faults.increasing(f"{key}.cuts", e.cuts)
        if e.cross:
            parts = [n for n in categorical(study) if study.exposures[n].variable]
            faults.names(f"{key}.cross", e.cross, parts, "exposure with categories")
            if len(e.cross) != 2:
                faults.add(f"{key}.cross", f"two exposures are crossed, got {len(e.cross)}.")
        if e.per is not None and e.per <= 0:
            faults.add(f"{key}.per", f"must be positive, got {e.per}.")
        if e.winsorise_percentile is not None and not 50 < e.winsorise_percentile < 100:
            faults.add(f"{key}.winsorise_percentile", f"must be between 50 and 100, got {e.winsorise_percentile}.")


def _check_analyses(study: Study, known: list[str], faults: Faults) -> None:
    seen: set[str] = set()
    for i, a in enumerate(study.analyses):
        key = f"analyses[{i}] ({a.id})"
        if a.id in seen:
            faults.add(key, "this id is taken by an earlier analysis; ids are unique.")
        seen.add(a.id)
        faults.names(f"{key}.exposures", a.exposures, study.exposures, "exposure")
        faults.names(f"{key}.models", a.models, study.models, "model")
        if a.outcome:
            faults.name(f"{key}.outcome", a.outcome, study.outcomes, "outcome")
        check_variance_needs(study, f"{key}.variances", a.variances, faults)
        for addition in a.add:
            pool = [*known, *(n for n, e in study.exposures.items() if e.variable)]
            faults.names(f"{key}.add.covariates", addition.covariates, pool, "variable, or exposure with a variable,")
            faults.names(f"{key}.add.models", addition.models, a.models, "model of this analysis")
            faults.names(f"{key}.add.exposures", addition.exposures, a.exposures, "exposure of this analysis")
        faults.names(f"{key}.restrict", [c.variable for c in a.restrict], known, "variable")
        faults.names(
            f"{key}.replace_covariates", [*a.replace_covariates, *a.replace_covariates.values()], known, "variable"
        )
        in_models = {c for m in a.models if m in study.models for c in study.models[m].covariates}
        faults.names(f"{key}.replace_covariates", a.replace_covariates, in_models, "covariate in the models")
        for exposure, cuts in a.fixed_cuts.items():
            faults.name(f"{key}.fixed_cuts", exposure, a.exposures, "exposure of this analysis")
            faults.increasing(f"{key}.fixed_cuts.{exposure}", cuts)
        if a.stratify:
            pool = [*known, *categorical(study)]
            faults.name(f"{key}.stratify.by", a.stratify.by, pool, "variable, or exposure with categories,")
            faults.unique(f"{key}.stratify.names", list(a.stratify.names.values()))
            faults.names(f"{key}.stratify.drop", a.stratify.drop, known, "variable")
        _check_form(study, a, key, faults)


def _check_form(study: Study, a: RatioAnalysis, key: str, faults: Faults) -> None:
    s = study.settings
    method = a.method or s.method
    asked = Combination(
        method=method,
        estimand=estimand_asked(method, a.estimand, s.estimand),
        variances=a.variances or s.variances,
        own=bool(a.variances),
        outcome=a.outcome,
        weighted=a.weighted,
        models=a.models,
    )
    if a.method or a.estimand or a.variances or a.weighted or method == MANTEL_HAENSZEL:
        check_combination(study, key, asked, faults)
    if a.form == "per_unit" and method not in (*REGRESSIONS, COX):
        faults.add(f"{key}.form", f"{method} compares categories; choose a regression for a ratio per unit.")
    for name in a.exposures:
        e = study.exposures.get(name)
        if e is None:
            continue
        if a.form == "per_unit" and (e.per is None or not e.variable):
            faults.add(f"{key}.form", f"exposure {name!r} has no per, so there is no unit to give a ratio for.")
        if a.form == "categories" and name not in (*categorical(study), *a.fixed_cuts):
            faults.add(f"{key}.form", f"exposure {name!r} has no categories; give it quantiles or cuts.")


def _check_evalues(study: Study, faults: Faults) -> None:
    ids = [a.id for a in study.analyses]
    for i, v in enumerate(study.evalues):
        faults.names(f"evalues[{i}].of", v.of, ids, "ratio analysis")
        faults.name(f"evalues[{i}].model", v.model, study.models, "model")
        without = [a.id for a in study.analyses if a.id in v.of and v.model not in a.models]
        if without:
            faults.add(f"evalues[{i}].model", f"{', '.join(without)} has no model {v.model!r}.")


def _check_outputs(study: Study, known: list[str], faults: Faults) -> None:
    ids = [a.id for a in study.analyses]
    steps = [*(s.id for s in study.exclusions), "included"]
    declared = [c.id for c in study.characteristics] + [t.id for t in study.tables]
    declared += [f.id for f in study.curve_figures] + [f.id for f in study.forest_figures]
    declared += [f.id for f in study.heat_figures]
    declared += section_table_ids(study)
    differences = _differences(study)
    faults.unique("tables and figures", [*declared, *OWN_IDS])
    for c in study.characteristics:
        key = f"characteristics ({c.id})"
        if c.id == OUTCOME_TABLE:
            faults.add(key, "this id is taken by the table of outcomes that every run has; choose another.")
        faults.names(f"{key}.rows", c.rows, known, "variable")
        if c.by_exposure and c.by_step:
            faults.add(key, "give by_exposure or by_step, not both.")
        if c.smd and not (c.by_exposure or c.by_step):
            faults.add(f"{key}.smd", "needs groups to compare; give by_exposure or by_step.")
        if c.by_exposure:
            faults.name(f"{key}.by_exposure", c.by_exposure, categorical(study), "exposure with categories")
        if c.by_step:
            faults.name(f"{key}.by_step", c.by_step, steps, "exclusion step (or 'included')")
    for t in study.tables:
        if 0 < len(differences & set(t.analysis)) < len(t.analysis):
            faults.add(f"tables ({t.id}).analysis", "mixes ratios and differences; give each a table of its own.")
        faults.names(f"tables ({t.id}).analysis", t.analysis, ids, "ratio analysis")
        faults.names(f"tables ({t.id}).models", t.models, study.models, "model")
        shown = [e for a in study.analyses if a.id in t.analysis for e in a.exposures]
        if t.form == "matrix" and not (
            len(shown) == 1 and shown[0] in study.exposures and study.exposures[shown[0]].cross
        ):
            faults.add(f"tables ({t.id}).form", "a matrix shows one analysis of one crossed exposure; leave form out.")
    for rounding_key, sentence in rounding_faults(study.rounding):
        faults.add(f"rounding.{rounding_key}", sentence)
    for f in study.curve_figures:
        faults.name(f"curve_figures ({f.id}).analysis", f.analysis, [c.analysis for c in study.curves], "curve")
    for g in study.forest_figures:
        wrong = [i for i in g.analyses if i in differences]
        if wrong:
            faults.add(
                f"forest_figures ({g.id}).analyses", f"{', '.join(wrong)} gives differences; a forest has ratios."
            )
        faults.names(f"forest_figures ({g.id}).analyses", g.analyses, ids, "ratio analysis")
        faults.name(f"forest_figures ({g.id}).model", g.model, study.models, "model")
        faults.names(f"forest_figures ({g.id}).exposures", g.exposures, study.exposures, "exposure")
    for h in study.heat_figures:
        ratios = [i for i in ids if i not in differences]
        faults.name(f"heat_figures ({h.id}).analysis", h.analysis, ratios, "ratio analysis")
        faults.name(f"heat_figures ({h.id}).model", h.model, study.models, "model")
        crossed = [e in study.exposures and bool(study.exposures[e].cross) for e in _exposures_of(study, h.analysis)]
        if crossed not in ([], [True]):
            faults.add(f"heat_figures ({h.id}).analysis", "a heat map shows one analysis of one crossed exposure.")


def _exposures_of(study: Study, analysis: str) -> list[str]:
    return [e for a in study.analyses if a.id == analysis for e in a.exposures]


def _differences(study: Study) -> set[str]:
    """The ratio analyses that estimate risk differences."""
    s = study.settings
    asked = {a.id: (a.method or s.method, a.estimand) for a in study.analyses}
    return {
        i for i, (m, own) in asked.items() if estimand_of(m, estimand_asked(m, own, s.estimand)) == "risk_difference"
    }
