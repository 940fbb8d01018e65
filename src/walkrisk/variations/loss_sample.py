"""Who was eligible, who was followed up and who was lost, with what a model of loss needs to know of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.categories import cut_fixed, cut_up
from walkrisk.cohorts.cohort import Variable
from walkrisk.cohorts.eligibility import holds
from walkrisk.cohorts.samples import CategoryRule, Sample
from walkrisk.estimates.balance import Covariate
from walkrisk.estimates.suppression import is_small
from walkrisk.models.design import Linear, Spline, Term, factor
from walkrisk.models.splines import harrell_knots
from walkrisk.studies.bench import Bench, variable_of
from walkrisk.studies.losses import LossWeights, before_and_after
from walkrisk.studies.names import variables_of
from walkrisk.studies.study import Study
from walkrisk.variations.ground import Ground, exposures_of, main_analysis

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class People:
    """Eligible people as positions `at` (n,) among everyone: all variables and exposure categories (n,) of theirs, with
    the cut points of the main analysis, and who of them was `followed` (n,). `left_out` says who is not eligible."""

    at: IntArray
    sample: Sample
    followed: BoolArray
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LossModel:
    """Columns (n,) and terms of a model of loss, its strata (n,), the covariates as balance tables take them, and what
    was done about unknown values."""

    people: People
    columns: Mapping[str, FloatArray]
    terms: tuple[Term, ...]
    strata: FloatArray | None
    stratum_names: Mapping[float, str]
    covariates: tuple[Covariate, ...]
    said: tuple[str, ...]


def counted(n: int, min_cell: int) -> str:
    """A count of people as sentences may say it; the first word of a sentence."""
    return f"Fewer than {min_cell}" if is_small(n, min_cell) else f"{n}"


def people_of(
    ground: Ground,
    bench: Bench,
    steps: Sequence[str],
    *,
    also: Sequence[str] = (),
    later: bool = False,
    placed: Sequence[str] | None = None,
    among: BoolArray | None = None,
) -> People:
    """Everyone who passes the exclusions before the first of `steps` (and those named in `also`, or with `later` all
    others too) on a bench.

    Who was followed is what the data as read say. People whose category of an exposure in `placed` (those followed
    through, by default) is unknown are left out; so are those outside the restriction of the main analysis, and all
    who are not `among` some (n_all,).
    """
    study, cohort = ground.study, bench.cohort
    before, after = before_and_after(study, steps)
    names = (*before, *(after if later else also))
    passed = [cohort.step_alone[s] for s in names if s in cohort.step_alone]
    eligible = np.logical_and.reduce([np.ones(cohort.n_all, dtype=bool) if among is None else among, *passed])
    for condition in main_analysis(study).restrict:
        eligible &= holds(condition, cohort.everyone)
    followed = np.logical_and.reduce([ground.bench.cohort.step_alone[s] for s in steps])
    columns = {**cohort.everyone, **_winsorised(bench)}
    categories = _categories(bench, columns)
    needed = exposures_of(study) if placed is None else placed
    known = np.logical_and.reduce([np.ones(cohort.n_all, dtype=bool), *(~np.isnan(categories[e]) for e in needed)])
    lacking, k = int((eligible & ~known).sum()), study.settings.min_cell
    said = []
    if lacking:
        said.append(
            f"{counted(lacking, k)} people have no known category of an exposure and are not counted as eligible."
        )
    at = np.flatnonzero(eligible & known)
    own = {n: v[at] for n, v in categories.items()}
    sample = Sample({n: v[at] for n, v in columns.items()}, own, bench.sample.cuts, len(at))
    return People(at=at, sample=sample, followed=followed[at], left_out=tuple(said))


def eligible_people(
    ground: Ground, bench: Bench, declared: LossWeights, *, later: bool = False, among: BoolArray | None = None
) -> People:
    """The people of declared weights: exposures must be known where the model of loss, or its strata, hold them."""
    names = (
        *(declared.covariates or default_covariates(ground.study)),
        *([declared.strata] if declared.strata else []),
    )
    placed = [n for n in names if n in bench.rules]
    return people_of(ground, bench, declared.steps, also=declared.also, later=later, placed=placed, among=among)


def _winsorised(bench: Bench) -> dict[str, FloatArray]:
    """The columns of winsorised exposures for everyone, with the limit of the analytic sample."""
    out = {}
    for name, exposure in bench.study.exposures.items():
        if exposure.variable and exposure.winsorise_percentile:
            column = variable_of(bench.study, name)
            out[column] = np.minimum(bench.cohort.everyone[exposure.variable], np.nanmax(bench.sample.columns[column]))
    return out


def _categories(bench: Bench, columns: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """The category (n_all,) of every exposure by the cut points of the analytic sample."""
    out: dict[str, FloatArray] = {}
    for name, rule in sorted(bench.rules.items(), key=lambda item: bool(item[1].cross)):
        if rule.cross:
            first, second = rule.cross
            out[name] = (out[first] - 1) * len(bench.rules[second].labels(bench.rules)) + out[second]
        else:
            out[name] = _cut(rule, columns[rule.variable], bench.sample.cuts.get(name))
    return out


def _cut(rule: CategoryRule, values: FloatArray, cuts: FloatArray | None) -> FloatArray:
    if rule.codes:
        places = [np.where(values == code, i, np.nan) for i, (code, _) in enumerate(rule.codes, start=1)]
        return np.asarray(np.fmax.reduce(places))
    assert cuts is not None
    return cut_up(values, cuts) if rule.quantiles else cut_fixed(values, cuts)


def loss_model(bench: Bench, people: People, declared: LossWeights) -> LossModel:
    """The model of loss declared, over eligible people; those who lack a covariate have a category of their own, or
    are left out. Raises ValueError where the knots of a spline coincide."""
    study, variables = bench.study, variables_of(bench.study)
    names = declared.covariates or default_covariates(study)
    values = {n: _values(people.sample, n) for n in (*names, *([declared.strata] if declared.strata else []))}
    said = list(people.left_out)
    if declared.missing == "exclude":
        people, values, more = _complete(people, values, study.settings.min_cell)
        said += more
    columns: dict[str, FloatArray] = {}
    terms: list[Term] = []
    for name in names:
        levels = _levels(bench, variables, name)
        made = _number(name, values[name], declared) if levels is None else _factor(name, values[name], levels)
        columns |= made[0]
        terms += made[1]
        lacking = int(np.isnan(values[name]).sum())
        if lacking:
            how = "who have the mean and an indicator" if levels is None else "who have a category of their own"
            few = counted(lacking, study.settings.min_cell).lower()
            said.append(f"{_label(study, variables, name)} is unknown for {few} eligible people, {how}.")
    strata, stratum_names = None, dict[float, str]()
    if declared.strata:
        strata, own = _with_unknown(values[declared.strata], _levels(bench, variables, declared.strata) or {})
        label = _label(study, variables, declared.strata)
        stratum_names = {float(code): f"{label} {text}" for code, text in own.items()}
    return LossModel(
        people=people,
        columns=columns,
        terms=tuple(terms),
        strata=strata,
        stratum_names=stratum_names,
        covariates=tuple(_covariate(n, values[n], _levels(bench, variables, n)) for n in names),
        said=tuple(said),
    )


Made = tuple[dict[str, FloatArray], list[Term]]


def _factor(name: str, values: FloatArray, levels: Mapping[int, str]) -> Made:
    codes, named = _with_unknown(values, levels)
    return {name: codes}, [factor(name, codes, named)]


def _number(name: str, values: FloatArray, declared: LossWeights) -> Made:
    """A number as a line or spline; where it is unknown, its mean and an indicator."""
    unknown = np.isnan(values)
    knots = declared.splines.get(name)
    term = Spline(name, harrell_knots(values, knots)) if knots else Linear(name)
    if not unknown.any():
        return {name: values}, [term]
    mean = float(values[~unknown].mean()) if not unknown.all() else 0.0
    flag = f"{name} unknown"
    columns = {name: np.where(unknown, mean, values), flag: unknown.astype(float)}
    return columns, [term, factor(flag, columns[flag], {0: "No", 1: "Yes"})]


def default_covariates(study: Study) -> tuple[str, ...]:
    """The exposures followed and the covariates of the main model."""
    analysis = main_analysis(study)
    own = [analysis.replace_covariates.get(c, c) for c in study.models[analysis.models[0]].covariates]
    return tuple(dict.fromkeys([*exposures_of(study), *own]))


def _values(sample: Sample, name: str) -> FloatArray:
    return sample.categories[name] if name in sample.categories else sample.columns[name]


def _levels(bench: Bench, variables: Mapping[str, Variable], name: str) -> dict[int, str] | None:
    """Code -> name of a factor's or an exposure's categories; None for a number."""
    if name in bench.rules:
        return dict(enumerate(bench.rules[name].labels(bench.rules), start=1))
    levels = variables[name].levels if name in variables else None
    return {int(k): v for k, v in levels.items()} if levels else None


def _label(study: Study, variables: Mapping[str, Variable], name: str) -> str:
    return study.exposures[name].label or name if name in study.exposures else variables[name].label


def _with_unknown(values: FloatArray, levels: Mapping[int, str]) -> tuple[FloatArray, dict[int, str]]:
    """Codes with those unknown as a level of its own, above all others."""
    unknown = np.isnan(values)
    if not unknown.any():
        return values, dict(levels)
    code = int(max([*levels, np.nanmax(values, initial=0.0)])) + 1
    return np.where(unknown, float(code), values), {**levels, code: UNKNOWN}


def _complete(
    people: People, values: Mapping[str, FloatArray], min_cell: int
) -> tuple[People, dict[str, FloatArray], list[str]]:
    keep = np.logical_and.reduce([~np.isnan(v) for v in values.values()])
    gone = int((~keep).sum())
    said = []
    if gone:
        said.append(
            f"{counted(gone, min_cell)} people lack a covariate of the model of loss and are not counted as eligible."
        )
    kept = People(
        at=people.at[keep], sample=people.sample.where(keep), followed=people.followed[keep], left_out=people.left_out
    )
    return kept, {n: v[keep] for n, v in values.items()}, said


def _covariate(name: str, values: FloatArray, levels: Mapping[int, str] | None) -> Covariate:
    """A covariate as balance tables take it, unknown values left unknown."""
    known = np.unique(values[~np.isnan(values)])
    if levels is not None and len(known) > 1:
        return Covariate(
            name=name, values=values, kind="categorical", labels=tuple(levels.get(int(c), f"{c:g}") for c in known)
        )
    binary = bool(np.isin(known, (0.0, 1.0)).all())
    return Covariate(name=name, values=values, kind="binary" if binary else "continuous")


def describing(study: Study, names: Sequence[str]) -> dict[str, str]:
    """The variables that describe people by the covariates of a model: an exposure by the variable it is cut from."""
    out: dict[str, str] = {}
    for name in names:
        exposure = study.exposures.get(name)
        for part in (exposure.cross or (name,)) if exposure else (name,):
            variable = (study.exposures[part].variable if part in study.exposures else None) or part
            if variable not in out.values():
                out[part] = variable
    return out


def described_covariate(study: Study, sample: Sample, name: str) -> Covariate:
    """A variable as balance tables take it, its levels by their codes, as descriptive rows have them."""
    levels = variables_of(study)[name].levels
    coded = {int(k): str(int(k)) for k in levels} if levels else None
    return _covariate(name, sample.columns[name], coded)
