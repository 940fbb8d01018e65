"""Extract -> cohort -> every row of a study's results."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.checks import check_daily_seconds, row_list
from walkrisk.cohorts.cohort import Cohort
from walkrisk.cohorts.days import daily_seconds
from walkrisk.cohorts.prepare import prepare_cohort
from walkrisk.cohorts.readers import Extract
from walkrisk.doors.results import WalkriskWarning
from walkrisk.errors import DataFault, ModelFault
from walkrisk.estimates.characteristics import TOTAL, describe, histogram
from walkrisk.estimates.group_differences import standardised_differences
from walkrisk.estimates.results import OUTCOME_TABLE, Characteristic, HistogramBin, Results
from walkrisk.execution import in_order
from walkrisk.reports.kept import KeptParts
from walkrisk.runs.sensitivity import sensitivity_rows
from walkrisk.studies.analyse import carry_out, evalues, tasks
from walkrisk.studies.bench import Bench, Rows, joined, make_bench, variable_of
from walkrisk.studies.names import outcome_variables, source_variables
from walkrisk.studies.sensitivity import declares_any
from walkrisk.studies.study import Characteristics, Study
from walkrisk.variations.ground import Ground
from walkrisk.variations.variation import Variation

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
LARGEST_VALUE = 1e100
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """A run's rows, with the sentences its data gave rise to."""

    results: Results
    cohort: Cohort
    warnings: tuple[str, ...]


def silent(task: str, done: int, of: int) -> None:
    """A progress callback that says nothing."""


def make_cohort(study: Study, extract: Extract) -> tuple[Cohort, tuple[str, ...]]:
    """The cohort of an extract, with warnings. Raises DataFault with every fault of the data, or if nobody is left."""
    columns = _source_columns(study, extract)
    faults, warnings = _check_across(study, columns)
    huge = [name for name, values in columns.items() if np.nanmax(np.abs(values), initial=0.0) > LARGEST_VALUE]
    if huge:
        faults.append(f"{', '.join(huge)}: values beyond {LARGEST_VALUE:g}, which nothing measured can be; mend them.")
    if faults:
        raise DataFault(faults)
    cohort = prepare_cohort(
        columns,
        days=study.days,
        derivations=study.variables,
        exclusions=study.exclusions,
        source_variables=source_variables(study),
        day_values=extract.days.values if extract.days else None,
    )
    if cohort.n == 0:
        steps = "; ".join(f"{s.step} {s.n_after}" for s in cohort.flow)
        raise DataFault(
            f"Nobody is left after the exclusions (people left after each step: {steps or 'none'}); "
            "check the codes of the columns behind the step that empties the sample."
        )
    faults = _outcome_faults(study, cohort)
    if faults:
        raise DataFault(faults)
    outcome = study.outcomes[study.settings.outcome]
    if not (cohort.analytic(outcome.variable) == 1).any():
        raise ModelFault(
            f"Nobody in the analytic sample ({cohort.n} people) has the outcome {outcome.variable}, so no ratio can be "
            "estimated; check the codes behind it."
        )
    said = extract.days.warnings if extract.days else ()
    return cohort, (*extract.warnings, *said, *warnings)


def compute(
    study: Study, extract: Extract, *, jobs: int = 1, progress: Progress = silent, kept: KeptParts | None = None
) -> Computed:
    """Every row of a study's results, the same whatever `jobs`; finished parts of sensitivity analyses are `kept`.

    What is impossible in a sensitivity analysis is raised before anything is computed.
    """
    cohort, warnings = make_cohort(study, extract)
    bench = make_bench(study, cohort)
    work = [(title, partial(carry_out, task, bench)) for title, task in tasks(study)]
    with warnings_in_diagnostics():
        planned = planned_variations(study, extract, bench)
        rows: list[Rows] = in_order(work, jobs=jobs, progress=progress)
        if planned:
            from threadpoolctl import threadpool_limits

            with threadpool_limits(1):  # small products: threads cost more than they give, and change the last digits
                rows += sensitivity_rows(planned, jobs=jobs, progress=progress, kept=kept)
    found = joined(rows)
    results = Results(
        estimates=(*found.estimates, *evalues(study, found.estimates, found.diagnostics)),
        curves=found.curves,
        flow=cohort.flow,
        cutpoints=tuple(dict.fromkeys(found.cutpoints)),
        characteristics=(
            *_outcome(bench),
            *(c for d in study.characteristics for c in _characteristics(bench, d)),
            *found.characteristics,
        ),
        diagnostics=found.diagnostics,
        histograms=_histograms(bench),
        points=found.points,
        specifications=found.specifications,
    )
    return Computed(results, cohort, warnings)


def planned_variations(study: Study, extract: Extract, bench: Bench) -> list[Variation]:
    """The declared sensitivity analyses as work, none without any. Raises every fault of impossible ones together."""
    if not declares_any(study.sensitivity):
        return []
    from threadpoolctl import threadpool_limits

    from walkrisk.variations.every import every_variation

    columns = _source_columns(study, extract)
    day_values = extract.days.values if extract.days else None
    if study.days and study.days.layout == "wide":
        day_values = daily_seconds(study.days, columns)
    with threadpool_limits(1):
        return every_variation(Ground(study, columns, day_values, bench))


@contextmanager
def warnings_in_diagnostics() -> Iterator[None]:
    """Within it the doors' sentences are not raised as warnings: the diagnostics have them. Set before any thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WalkriskWarning)
        yield


def _source_columns(study: Study, extract: Extract) -> dict[str, FloatArray]:
    """The columns of an extract but the participants' ids."""
    return {
        name: extract.frame[name].to_numpy(dtype=np.float64)
        for name in extract.frame.columns
        if name not in study.columns or study.columns[name].kind != "id"
    }


def _outcome_faults(study: Study, cohort: Cohort) -> list[str]:
    faults = []
    competing = _competing_events(study)
    for name in dict.fromkeys(v for o in study.outcomes.values() for v in (o.variable, o.event) if v):
        values = cohort.analytic(name)
        codes, known = ("0, 1 and 2", (0.0, 1.0, 2.0)) if name in competing else ("0 and 1", (0.0, 1.0))
        if not np.isin(values[~np.isnan(values)], known).all():
            faults.append(f"The outcome {name} takes other values than {codes} in the analytic sample; recode it.")
    for name in dict.fromkeys(o.time for o in study.outcomes.values() if o.time):
        negative = int((cohort.analytic(name) < 0).sum())
        if negative:
            faults.append(f"The follow-up time {name} is negative for {negative} people in the analytic sample.")
    for exposure in study.exposures.values():
        if exposure.variable and np.isnan(cohort.analytic(exposure.variable)).all():
            faults.append(f"The exposure {exposure.variable} is unknown for everyone in the analytic sample.")
    weights = study.design.weights
    if weights and (cohort.everyone[weights] < 0).any():
        faults.append(f"The weights {weights} are negative for {int((cohort.everyone[weights] < 0).sum())} people.")
    return faults


def _competing_events(study: Study) -> set[str]:
    """The events of which 2 is a competing one: those of Aalen-Johansen risks that are no outcome of a model."""
    asked = {h.outcome or study.settings.outcome for h in study.horizons if h.method == "aalen_johansen"}
    return {str(study.outcomes[o].event) for o in asked} - {o.variable for o in study.outcomes.values()}


def _check_across(study: Study, columns: Mapping[str, FloatArray]) -> tuple[list[str], list[str]]:
    faults: list[str] = []
    warnings: list[str] = []
    for order in study.checks:
        wrong = np.flatnonzero(columns[order.later] < columns[order.earlier])
        if wrong.size:
            faults.append(
                f"{order.later} comes before {order.earlier} in {row_list(wrong)}; "
                "check that the two columns are not exchanged and that both hold dates."
            )
    if study.days and study.days.layout == "wide":
        names = {a: study.days.column_names(a) for a in study.days.columns}
        more, said = check_daily_seconds(daily_seconds(study.days, columns), study.days.day_total, names)
        faults += more
        warnings += said
    return faults, warnings


def _outcome(bench: Bench) -> Iterator[Characteristic]:
    """How many people of the analytic sample have each outcome, as a table of its own."""
    everyone = {TOTAL: np.ones(bench.sample.n, dtype=bool)}
    rows = list(outcome_variables(bench.study).values())
    return describe(OUTCOME_TABLE, bench.sample.columns, rows, everyone)


def _characteristics(bench: Bench, declared: Characteristics) -> list[Characteristic]:
    variables = bench.cohort.variables
    rows = [variables[name] for name in declared.rows]
    if declared.by_step:
        columns: Mapping[str, FloatArray] = bench.cohort.everyone
        mask = bench.cohort.included if declared.by_step == "included" else bench.cohort.step_alone[declared.by_step]
        groups = {declared.group_names.get(0, "No"): ~mask, declared.group_names.get(1, "Yes"): mask}
        everyone = np.ones(bench.cohort.n_all, dtype=bool)
    else:
        columns = bench.sample.columns
        groups = _category_groups(bench, declared.by_exposure) if declared.by_exposure else {}
        everyone = np.ones(bench.sample.n, dtype=bool)
    if declared.total or not groups:
        groups = {**groups, TOTAL: everyone}
    described = list(describe(declared.id, columns, rows, groups))
    return [*described, *(standardised_differences(described) if declared.smd else ())]


def _category_groups(bench: Bench, exposure: str) -> dict[str, BoolArray]:
    codes = bench.sample.categories[exposure]
    return {label: codes == i for i, label in enumerate(bench.labels()[exposure], start=1)}


def _histograms(bench: Bench) -> tuple[HistogramBin, ...]:
    shown = dict.fromkeys(e for c in bench.study.curves for e in c.exposures)
    return tuple(b for e in shown for b in histogram(e, bench.sample.columns[variable_of(bench.study, e)]))
