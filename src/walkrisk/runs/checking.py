"""What `walkrisk check` says: every fault of a study and its data, or what will be run, and on whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from walkrisk.cohorts.cohort import Cohort
from walkrisk.declarations import build, read_toml
from walkrisk.errors import StudyFault, UsageFault, WalkriskError
from walkrisk.estimates.disclosure import merge_small_steps
from walkrisk.estimates.numbers import count
from walkrisk.runs.compute import make_cohort, planned_variations
from walkrisk.runs.pointing import pointing_at_data, with_declared
from walkrisk.runs.reading import read_data
from walkrisk.runs.run import PUBLISHED_FILE, published_text
from walkrisk.studies.bench import make_bench
from walkrisk.studies.declaration import contracts, load_study
from walkrisk.studies.kinds import categorical, category_names, without_display
from walkrisk.studies.sensitivity import ids
from walkrisk.studies.study import RatioAnalysis, Study

MOST_LISTED = 12
PARTS = ("curves", "trends", "interactions", "standardised", "comparisons", "attributable", "substitutions", "horizons")


def check_files(path: Path, data: Path | None, days: Path | None = None, *, sensitivity: bool = False) -> list[str]:
    """What is said when nothing is at fault: what will be run, with `data` also the people at each step.

    Raises StudyFault with the faults of the declaration, and those of the data beside them where the data can be
    looked at nevertheless; DataFault and ModelFault with those of the data alone; UsageFault without the files.
    """
    if data is None and days is not None:
        raise UsageFault("Days were given without the participants they belong to; give --data too.")
    try:
        study = load_study(path, sensitivity=sensitivity)
        published_text(path.with_name(PUBLISHED_FILE))
    except StudyFault as fault:
        raise StudyFault((*fault.faults, *_faults_of_data(path, data, days))) from None
    n_columns = len(contracts(study))
    said = [f"{path.name}: the declaration is in order ({_number(len(study.analyses), 'ratio analysis')}, "
            f"{_number(n_columns, 'column')})."]  # fmt: skip
    if data is None:
        return [*said, *planned(study)]
    with pointing_at_data(path, study):
        extract, _ = read_data(study, data, days)
        cohort, warnings = make_cohort(study, extract)
        planned_variations(study, extract, make_bench(study, cohort))
    if extract.days:
        said.append(f"{extract.days.name}: the days are in order ({extract.days.rows} rows).")
    known = [] if _few_leave(study, cohort) else [_number(cohort.n_all, "row")]
    known.append("1 person analysed" if cohort.n == 1 else f"{cohort.n} people analysed")
    said.append(f"{extract.name}: the data are in order ({', '.join(known)}).")
    return [*said, *warnings, *people(study, cohort), *planned(study)]


def _faults_of_data(path: Path, data: Path | None, days: Path | None) -> Sequence[str]:
    """The faults of the data under a declaration whose names are at fault, but not its grammar."""
    study = None
    try:
        study = build(Study, read_toml(path, "a study declaration"), "", [])
        if study is None or data is None:
            return ()
        read_data(study, data, days)
    except WalkriskError as fault:
        return with_declared(fault.faults, path, study) if study else fault.faults
    return ()


def people(study: Study, cohort: Cohort) -> Iterator[str]:
    """The people left at each step; steps that exclude very few people are told together, as in the report."""
    steps = merge_small_steps(cohort.flow, min_cell=study.settings.min_cell)
    yield "Who is analysed:"
    if _few_leave(study, cohort):
        yield "  few people leave at the exclusions; the report does not say how many"
    for step in steps:
        sum_left = f"{count(step.n_before)} - {count(step.n_excluded)} = {count(step.n_after)}"
        yield f"  {sum_left}  {step.reason} ({step.step})"
    outcome = study.outcomes[study.settings.outcome]
    events = int((cohort.analytic(outcome.variable) == 1).sum())
    shown = count(events) if events >= study.settings.min_cell else f"fewer than {study.settings.min_cell}"
    yield f"  {count(cohort.n)} people analysed, {shown} of them with the outcome"


def _few_leave(study: Study, cohort: Cohort) -> bool:
    """Whether all exclusions together are of so few people that their number is not told."""
    return bool(cohort.flow) and not merge_small_steps(cohort.flow, min_cell=study.settings.min_cell)


def planned(study: Study) -> Iterator[str]:
    """What will be run, a line each."""
    s = study.settings
    outcome = study.outcomes[s.outcome]
    yield "What will be run:"
    yield f"  outcome: {outcome.label} ({outcome.variable} = 1)"
    yield from _listed("exposure", [f"{name}: {_exposure(study, name)}" for name in study.exposures])
    yield from _listed(
        "model", [f"{name}: {', '.join(m.covariates) or 'no covariates'}" for name, m in study.models.items()]
    )
    yield from _listed("analysis", [_analysis(study, a) for a in study.analyses])
    sections = [f"{part}: {', '.join(_names(getattr(study, part)))}" for part in PARTS if getattr(study, part)]
    yield from _listed("section", sections)
    if study.evalues:
        yield f"  E-values of {', '.join(dict.fromkeys(i for e in study.evalues for i in e.of))}"
    if ids(study.sensitivity):
        yield f"  sensitivity analyses: {_first(ids(study.sensitivity))}"
    figures = [*(f.id for f in study.curve_figures), *(f.id for f in study.forest_figures)]
    figures += [f.id for f in study.heat_figures]
    tables = [*(c.id for c in study.characteristics), *(t.id for t in study.tables)]
    yield f"  tables: {_first(tables) or 'none declared'}"
    yield f"  figures: {_first(['flow', *figures])}"
    if hidden := without_display(study):
        yield f"  in estimates.csv only, as no [[tables]] or figure names it: {_first(hidden)}"


def _analysis(study: Study, a: RatioAnalysis) -> str:
    how = [a.method or study.settings.method, ", ".join(a.variances or study.settings.variances)]
    if a.form == "per_unit":
        how.append("per unit")
    if a.stratify:
        how.append(f"within {a.stratify.by}")
    if a.restrict:
        how.append(f"where {', '.join(c.variable for c in a.restrict)} is as declared")
    return f"{a.id}: {', '.join(a.exposures)} under {', '.join(a.models)} ({'; '.join(how)})"


def _exposure(study: Study, name: str) -> str:
    e = study.exposures[name]
    if e.cross:
        return " x ".join(e.cross)
    if e.quantiles:
        return f"{e.quantiles} quantile groups of {e.variable}"
    if e.cuts:
        return f"{e.variable} cut at {', '.join(f'{c:g}' for c in e.cuts)}"
    if name in categorical(study):
        return f"{e.variable} ({_first(category_names(study, name))})"
    return f"{e.variable} per {e.per:g}" if e.per else str(e.variable)


def _names(section: Sequence[object]) -> list[str]:
    return list(dict.fromkeys(str(getattr(entry, "analysis", "")) for entry in section))


def _listed(what: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines[:MOST_LISTED]:
        yield f"  {what} {line}"
    if len(lines) > MOST_LISTED:
        yield f"  and {len(lines) - MOST_LISTED} more of these"


def _first(names: Sequence[str]) -> str:
    more = len(names) - MOST_LISTED
    return ", ".join(names[:MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


def _number(n: int, what: str) -> str:
    plural = f"{what[:-2]}es" if what.endswith("is") else f"{what}s"
    return f"{n} {what if n == 1 else plural}"
