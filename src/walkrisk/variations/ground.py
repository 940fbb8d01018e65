"""What every variation of a study starts from: its data as read, the study carried up to its analytic sample, the model
everything is set beside; and the way up again with something changed."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.prepare import prepare_cohort
from walkrisk.errors import DataFault
from walkrisk.models.design import Term
from walkrisk.studies.analyse import Asked, asked_of, ratio_rows
from walkrisk.studies.bench import Bench, Rows, everyone, make_bench
from walkrisk.studies.fitting import Assembled, Fitted, assemble, fit_terms
from walkrisk.studies.names import source_variables
from walkrisk.studies.study import RatioAnalysis, Study

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
NOTHING: Mapping[str, FloatArray] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """A study with its data: source columns (n_all,), daily values (n_all, D) by activity, its bench as declared."""

    study: Study
    columns: Mapping[str, FloatArray]
    day_values: Mapping[str, FloatArray] | None
    bench: Bench


def vary(
    ground: Ground,
    *,
    study: Study | None = None,
    given: Mapping[str, FloatArray] = NOTHING,
    without: Sequence[str] = (),
    people: BoolArray | None = None,
) -> Bench:
    """The analytic sample again, with a changed study, values `given` (n_all,) in place of columns or variables,
    exclusions `without` left out, or only some `people` (n_all,); everything derived follows, and quantiles are cut
    again. Raises DataFault if nobody is left.
    """
    declared = ground.study if study is None else study
    days = declared.days
    person: Mapping[str, FloatArray] = NOTHING
    if days is not None and days == ground.study.days:  # the same days give the same person values
        before = ground.bench.cohort.everyone
        person = {name: before[name] for name in (*days.counts, *days.means)}
    cohort = prepare_cohort(
        ground.columns,
        days=days,
        derivations=declared.variables,
        exclusions=[step for step in declared.exclusions if step.id not in without],
        source_variables=source_variables(declared),
        day_values=ground.day_values,
        given={**person, **given},
        people=people,
    )
    if cohort.n == 0:
        steps = "; ".join(f"{s.step} {s.n_after}" for s in cohort.flow)
        raise DataFault(f"Nobody is left in a variation of the study (people left after each step: {steps}).")
    return make_bench(declared, cohort)


def main_analysis(study: Study) -> RatioAnalysis:
    """The ratio analysis that sensitivity analyses are set beside, under its one model."""
    analysis = next(a for a in study.analyses if a.id == study.sensitivity.analysis)
    return replace(analysis, models=(study.sensitivity.model or analysis.models[-1],))


def exposures_of(study: Study) -> tuple[str, ...]:
    """The exposures that sensitivity analyses follow through."""
    return study.sensitivity.exposures or main_analysis(study).exposures


def main_rows(bench: Bench, exposure: str, *, analysis: RatioAnalysis | None = None) -> Rows:
    """The ratio rows of an exposure in the main analysis, or in a variant of it, on a bench."""
    return ratio_rows(bench, analysis or main_analysis(bench.study), exposure)


@dataclass(frozen=True, slots=True, eq=False)
class MainModel:
    """The main model of an exposure on a bench: what is asked, its complete rows as a frame, the exposure its first
    term; `people.columns` are those of the whole sample, of which `frame.rows` marks the rows used."""

    asked: Asked
    assembled: Assembled


def main_model(bench: Bench, exposure: str, *, analysis: RatioAnalysis | None = None) -> MainModel:
    """The main model of an exposure before it is fitted. Raises NoEstimate if nobody can enter it."""
    variant = analysis or main_analysis(bench.study)
    asked = asked_of(bench, variant, exposure, variant.models[0])
    assembled = assemble(
        asked.request,
        asked.people,
        asked.terms,
        bench.cohort.variables,
        labels=asked.labels,
        design_sample=everyone(bench, asked.request),
    )
    return MainModel(asked, assembled)


def main_fit(bench: Bench, exposure: str, *, analysis: RatioAnalysis | None = None) -> tuple[Fitted, list[Term]]:
    """The main model of an exposure fitted by a regression, with its covariances, and its terms."""
    variant = analysis or main_analysis(bench.study)
    asked = asked_of(bench, variant, exposure, variant.models[0])
    return fit_terms(
        asked.request,
        asked.people,
        asked.terms,
        bench.cohort.variables,
        labels=asked.labels,
        design_sample=everyone(bench, asked.request),
    )


def seed_of(ground: Ground, analysis: str, *numbers: int) -> np.random.Generator:
    """The random stream of one piece of an analysis: its own, whatever else is run, and in whatever order."""
    return np.random.default_rng([ground.study.settings.seed, zlib.crc32(analysis.encode()), *numbers])
