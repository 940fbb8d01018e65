"""A study completed by imputation: what is missing among the people who may be analysed, filled in set by set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.cohort import Variable
from walkrisk.errors import DataFault
from walkrisk.sensitivity.imputation import Chain, Kind, Prepared, Shift, Target, check_shift, prepare, run_chain
from walkrisk.studies.bench import Bench
from walkrisk.studies.missing_data import Imputation, ancestors, outcome_of
from walkrisk.studies.names import variables_of
from walkrisk.studies.study import Outcome, Study
from walkrisk.studies.vocabulary import COX
from walkrisk.variations.ground import Ground, exposures_of, main_analysis, seed_of, vary

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

CATEGORIES = "{} (categories)"  # an exposure's categories as a predictor beside its value
HAZARD = "cumulative hazard"  # with the event, what a model of a covariate needs of survival times


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Imputing:
    """An imputation ready to be drawn from: the people imputed are rows `rows` of everyone, the bench theirs as read.

    `prepared` is None if none of them lacks anything. `also` are the auxiliaries imputed because they have holes.
    """

    ground: Ground
    declared: Imputation
    base: Bench
    rows: IntArray
    prepared: Prepared | None
    kinds: dict[str, Kind]
    also: tuple[str, ...]


def imputing(ground: Ground, declared: Imputation) -> Imputing:
    """What an imputation starts from: everyone left by the exclusions it does not replace, `known` values known.

    Raises DataFault if a variable is missing for all of them, a predictor is missing and not imputed, a model has more
    parameters than known values, a shift names a level that nobody has, or people would still lack what the main model
    needs.
    """
    everyone = ground.bench.cohort.everyone
    people = np.logical_and.reduce([~np.isnan(everyone[n]) for n in declared.known]) if declared.known else None
    base = vary(ground, without=declared.replaces, people=people)
    rows = np.flatnonzero(base.cohort.included)
    columns, factors = _columns(ground, declared, base, rows)
    holes = {name for name, values in columns.items() if np.isnan(values).any()}
    also = tuple(n for n in declared.auxiliaries if n in holes)
    variables = variables_of(ground.study)
    kinds: dict[str, Kind] = {
        name: _kind(declared.impute.get(name, "auto"), variables.get(name), columns[name])
        for name in (*declared.impute, *also)
    }
    targets = [Target(name=name, kind=kind, donors=declared.donors) for name, kind in kinds.items()]
    try:
        prepared = prepare(columns, targets, factors=factors) if holes else None
        for delta in declared.deltas:
            if prepared is not None:
                check_shift(prepared, Shift(name=delta.variable, delta=0.0, level=delta.level))
    except ValueError as error:
        raise DataFault(f"sensitivity.imputations ({declared.id}): {error}") from None
    made = Imputing(ground=ground, declared=declared, base=base, rows=rows, prepared=prepared, kinds=kinds, also=also)
    _check_complete(made)
    return made


def imputed_set(made: Imputing, number: int, shift: Shift | None = None) -> Chain:
    """Set `number` (0, 1, ...) of an imputation; the same random numbers under every shift."""
    assert made.prepared is not None
    stream = seed_of(made.ground, made.declared.id, number)
    return run_chain(made.prepared, stream, cycles=made.declared.cycles, shift=shift)


def bench_of(made: Imputing, chain: Chain) -> Bench:
    """The study carried up with the values of one set, everything derived and every quantile made again."""
    return _bench(made, {name: chain.values[name] for name in made.prepared.names} if made.prepared else {})


def completed(ground: Ground, declared: Imputation, number: int, *, shift: Shift | None = None) -> Bench:
    """The study in imputed set `number` (0 to sets - 1): its people, derived variables and categories.

    With nothing missing every set is the study as it is. For many sets, make `imputing` once and ask it for
    `imputed_set` and `bench_of`. Raises DataFault as `imputing` does.
    """
    made = imputing(ground, declared)
    return made.base if made.prepared is None else bench_of(made, imputed_set(made, number, shift))


def _bench(made: Imputing, values: dict[str, FloatArray]) -> Bench:
    everyone = made.base.cohort.everyone
    given = {}
    for name, filled in values.items():
        assert made.prepared is not None
        whole = everyone[name].copy()
        whole[made.rows[made.prepared.visit(name).rows]] = filled
        given[name] = whole
    people = made.base.cohort.included
    if made.declared.delete_imputed_outcomes:
        outcome = _outcome(made.ground.study)
        people = people & ~np.isnan(everyone[outcome.event or outcome.variable if _is_cox(made) else outcome.variable])
    return vary(made.ground, given=given, without=made.declared.replaces, people=people)


def _is_cox(made: Imputing) -> bool:
    study = made.ground.study
    return (main_analysis(study).method or study.settings.method) == COX


def _outcome(study: Study) -> Outcome:
    return study.outcomes[outcome_of(study)]


def _columns(
    ground: Ground, declared: Imputation, base: Bench, rows: IntArray
) -> tuple[dict[str, FloatArray], set[str]]:
    """Every variable of the imputation models (n,) among the people imputed, and which of them are factors."""
    study, variables = ground.study, variables_of(ground.study)
    analysis = main_analysis(study)
    out: dict[str, FloatArray] = {}
    factors: set[str] = set()
    for name in _outcome_names(study, analysis.method or study.settings.method):
        out[name] = base.cohort.everyone[name][rows]
    if (analysis.method or study.settings.method) == COX:
        outcome = _outcome(study)
        assert outcome.event
        assert outcome.time
        out[HAZARD] = nelson_aalen(out[outcome.event], out.pop(outcome.time))
    for name in _simple_exposures(study):
        variable = study.exposures[name].variable
        assert variable
        if variable not in out:
            out[variable] = base.cohort.everyone[variable][rows]
        rule = base.rules.get(name)
        imputed = variable in {*declared.impute, *declared.auxiliaries} or _follows(study, variable, declared)
        if rule and (rule.quantiles or rule.cuts) and not imputed:
            out[CATEGORIES.format(name)] = base.sample.categories[name]
            factors.add(CATEGORIES.format(name))
        if rule and rule.codes:
            factors.add(variable)
    weights = [study.design.weights] if analysis.weighted and study.design.weights else []
    for name in (*_covariates(study), *weights, *declared.impute, *declared.auxiliaries):
        if name not in out and not _follows(study, name, declared):
            out[name] = base.cohort.everyone[name][rows]
            if name in variables and variables[name].levels:
                factors.add(name)
    return out, factors


def _outcome_names(study: Study, method: str) -> tuple[str, ...]:
    outcome = _outcome(study)
    if method == COX:
        assert outcome.event
        assert outcome.time
        return (outcome.event, outcome.time)
    return (outcome.variable,)


def _simple_exposures(study: Study) -> Iterator[str]:
    """The exposures followed through, crossed ones as their parts."""
    seen: list[str] = []
    for name in exposures_of(study):
        seen += [n for n in study.exposures[name].cross or (name,) if n not in seen]
    yield from seen


def _covariates(study: Study) -> tuple[str, ...]:
    analysis = main_analysis(study)
    names = [analysis.replace_covariates.get(c, c) for c in study.models[analysis.models[0]].covariates]
    for addition in analysis.add:
        if analysis.models[0] in addition.models:
            names += [study.exposures[c].variable or c if c in study.exposures else c for c in addition.covariates]
    return tuple(dict.fromkeys(names))


def _follows(study: Study, name: str, declared: Imputation) -> bool:
    """Whether a variable is derived from one that is imputed, which then stands for it."""
    return bool(ancestors(study, name) & {*declared.impute, *declared.auxiliaries})


def _kind(asked: str, variable: Variable | None, values: FloatArray) -> Kind:
    if asked != "auto":
        return asked  # type: ignore[return-value]
    if len(np.unique(values[~np.isnan(values)])) <= 2:
        return "binary"
    return "nominal" if variable is not None and variable.levels else "pmm"


def _check_complete(made: Imputing) -> None:
    """Raises DataFault if, with every hole filled, people still lack a variable of the main model."""
    fill = {}
    if made.prepared is not None:
        fill = {v.target.name: np.resize(v.values, len(v.rows)) for v in made.prepared.visits}
    cohort = _bench(made, fill).cohort
    study = made.ground.study
    method = main_analysis(study).method or study.settings.method
    exposures = [study.exposures[n].variable or "" for n in _simple_exposures(study)]
    lacking = []
    for name in dict.fromkeys([*_outcome_names(study, method), *exposures, *_covariates(study)]):
        count = int(np.isnan(cohort.analytic(name)).sum())
        if count:
            lacking.append(f"{name} ({count} people)")
    if lacking:
        raise DataFault(
            f"sensitivity.imputations ({made.declared.id}): the main model would still lack {', '.join(lacking)}; "
            "impute these too, or keep the exclusion of people without them out of `replaces`."
        )


def nelson_aalen(event: FloatArray, time: FloatArray) -> FloatArray:
    """The Nelson-Aalen cumulative hazard (n,) at each person's time: with the event, what a model of a covariate needs
    of survival times (White & Royston 2009, doi 10.1002/sim.3618). NaN where either is missing."""
    known = ~(np.isnan(event) | np.isnan(time))
    times, place = np.unique(time[known], return_inverse=True)
    events = np.bincount(place, event[known], len(times))
    at_risk = np.cumsum(np.bincount(place, minlength=len(times))[::-1])[::-1]
    out = np.full(event.shape, np.nan)
    out[known] = np.cumsum(events / at_risk)[place]
    return out
