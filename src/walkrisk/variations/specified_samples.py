"""What specifications of a multiverse share, made once: variables, people, outcomes, covariates, exposure columns."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.categories import winsorise_upper
from walkrisk.cohorts.cohort import Cohort
from walkrisk.cohorts.eligibility import eligible, holds
from walkrisk.cohorts.prepare import prepare_cohort
from walkrisk.cohorts.samples import categorise
from walkrisk.errors import DataFault
from walkrisk.models.covariance import SurveyDesign, survey_design
from walkrisk.models.design import Linear, Spline, Term, build_design, factor
from walkrisk.models.many_specifications import FAMILIES
from walkrisk.models.specification_columns import (
    Covariates,
    ExposureColumns,
    covariate_block,
    covariate_start,
    exposure_columns,
)
from walkrisk.studies.analyse import asked_of
from walkrisk.studies.bench import Bench, category_rule, make_bench, variable_of
from walkrisk.studies.multiverse import PerUnitOption, SplineOption
from walkrisk.studies.names import source_variables
from walkrisk.studies.study import Study
from walkrisk.variations.ground import Ground
from walkrisk.variations.imputed import Imputing, bench_of, imputed_set, imputing
from walkrisk.variations.specifications import Specified, filled_indicators, knots_of, two_values

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True, eq=False)
class ExposureOf:
    """An exposure in the sample and the form of a specification: columns among everyone of the workshop's people, who
    has it (n,), the factor that brings its contrast to the common distance, and the names of the two values."""

    columns: ExposureColumns
    known: BoolArray
    factor: float
    level: str
    reference: str


@dataclass(slots=True, eq=False)
class Workshop:
    """Everything that specifications share, kept by what it depends on.

    Nothing kept here depends on the order of asking, so that parts of a multiverse may be made in any order or at once.
    """

    ground: Ground
    specs: Mapping[str, Sequence[Specified]]
    kept: dict[Hashable, Any] = field(default_factory=dict)
    lock: Any = field(default_factory=RLock)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` gives, made the first time, whoever asks first."""
        if key not in self.kept:
            with (
                self.lock
            ):  # all threads share one thing, so that specifications are grouped alike by every number of them
                if key not in self.kept:
                    self.kept[key] = make()
        made: Made = self.kept[key]
        return made

    # ------------------------------------------------------------ variables and people

    def cohort(self, spec: Specified, number: int | None = None) -> Cohort:
        """Everyone's variables as a specification derives them, in imputed set `number` where it imputes."""
        return self.once(("cohort", spec.data, number), lambda: self._cohort(spec, number))

    def _cohort(self, spec: Specified, number: int | None) -> Cohort:
        study, ground = spec.study, self.ground
        given: dict[str, FloatArray] = {}
        if study.days is not None and ground.study.days is not None and study.days == ground.study.days:
            before = ground.bench.cohort.everyone
            given = {name: before[name] for name in (*study.days.counts, *study.days.means)}
        if spec.missing is not None and spec.missing.approach == "indicator":
            given |= filled_indicators(spec.missing, study, ground.bench.cohort.everyone)
        if number is not None:
            given |= self._imputed(spec, number)
        return prepare_cohort(
            ground.columns,
            days=study.days,
            derivations=study.variables,
            exclusions=(),
            source_variables=source_variables(study),
            day_values=ground.day_values,
            given=given,
        )

    def imputation(self, spec: Specified) -> Imputing:
        """The imputation a specification draws its sets from, made under the study as declared."""
        assert spec.missing is not None
        name = spec.missing.imputation
        declared = next(i for i in self.ground.study.sensitivity.imputations if i.id == name)
        return self.once(("imputing", name), lambda: imputing(self.ground, declared))

    def _imputed(self, spec: Specified, number: int) -> dict[str, FloatArray]:
        made = self.imputation(spec)
        prepared = made.prepared
        if prepared is None:
            return {}

        def values() -> dict[str, FloatArray]:
            bench = bench_of(made, imputed_set(made, number))
            return {name: bench.cohort.everyone[name] for name in prepared.names}

        return self.once(("imputed", made.declared.id, number), values)

    def sets(self, spec: Specified) -> tuple[int | None, ...]:
        """The imputed sets a specification is made in; one without a number where it imputes nothing."""
        if spec.missing is None or spec.missing.approach != "imputed":
            return (None,)
        return tuple(range(spec.missing.sets))

    def included(self, spec: Specified, number: int | None = None) -> BoolArray:
        """Who is in the analytic sample (n_all,), by the exclusions of the specification."""

        def make() -> BoolArray:
            everyone = self.cohort(spec, number).everyone
            keep = np.ones(len(next(iter(everyone.values()))), dtype=bool)
            for step in spec.study.exclusions:
                if number is not None and step.id in self.imputation(spec).declared.replaces:
                    continue
                keep &= self.once(("step", spec.data, number, repr(step)), lambda s=step: eligible(s, everyone))  # type: ignore[misc]
            if number is not None and self.imputation(spec).declared.delete_imputed_outcomes:
                outcome = self.ground.study.outcomes[spec.outcome].variable
                keep &= ~np.isnan(self.ground.bench.cohort.everyone[outcome])
            return keep

        return self.once(("included", spec.data, spec.people, number), make)

    def universe(self, number: int | None = None) -> npt.NDArray[np.intp]:
        """The people of any specification (m,), of those that impute nothing, or of those that impute in one set."""

        def make() -> npt.NDArray[np.intp]:
            anyone: BoolArray | None = None
            every = [s for specs in self.specs.values() for s in specs if number in self.sets(s)]
            for spec in {(s.data, s.people): s for s in every}.values():
                one = self.included(spec, number)
                anyone = one if anyone is None else anyone | one
            assert anyone is not None
            return np.flatnonzero(anyone)

        return self.once(("universe", number), make)

    def column(self, spec: Specified, name: str, number: int | None = None) -> FloatArray:
        """A variable (m,) of the people of the universe; the same array wherever the values are the same."""
        whole = self.cohort(spec, number).everyone[name]

        def make() -> FloatArray:
            mine = np.ascontiguousarray(whole[self.universe(number)])
            pool: list[FloatArray] = self.once(("pool", name, number), list)
            for held in pool:
                if np.array_equal(held, mine, equal_nan=True):
                    return held
            pool.append(mine)
            return mine

        return self.once(("column", id(whole), number), make)

    def sample(self, spec: Specified, number: int | None = None) -> BoolArray:
        """Who of the universe is in the analytic sample (m,)."""
        return self.once(
            ("sample", spec.data, spec.people, number), lambda: self.included(spec, number)[self.universe(number)]
        )

    def analysed(self, spec: Specified, number: int | None = None) -> BoolArray:
        """Who of the universe is in the main analysis (m,), which may restrict the sample."""
        mask = self.sample(spec, number)
        for condition in spec.analysis.restrict:
            values = {condition.variable: self.column(spec, condition.variable, number)}
            mask = mask & holds(condition, values)
        return mask

    # ------------------------------------------------------------ covariates, outcome, exposure

    def terms(self, spec: Specified, exposure: str) -> tuple[Term | str, ...]:
        """The covariates of a specification; a text names a factor."""
        key = ("terms", exposure, spec.study.models[spec.analysis.models[0]].covariates, spec.missing)

        def make() -> tuple[Term | str, ...]:
            ground = self.ground.bench
            bench = Bench(spec.study, self.cohort(spec, self.sets(spec)[0]), ground.rules, ground.sample, ground.z)
            return asked_of(bench, spec.analysis, exposure, spec.analysis.models[0]).terms[1:]

        return self.once(key, make)

    def covariates(self, spec: Specified, exposure: str, number: int | None = None) -> Covariates | None:
        """The covariate block of a specification among the universe; the same one for all that have the same values."""
        terms = self.terms(spec, exposure)
        names = [t if isinstance(t, str) else t.name for t in terms]  # type: ignore[union-attr]
        columns = {n: self.column(spec, n, number) for n in names}
        same = ("block", tuple(map(repr, terms)), number, tuple(id(c) for c in columns.values()))
        return self.once(same, lambda: self._block(spec, terms, columns, number))

    def _block(
        self, spec: Specified, terms: Sequence[Term | str], columns: dict[str, FloatArray], number: int | None
    ) -> Covariates | None:
        m = len(self.universe(number))
        known = np.ones(m, dtype=bool)
        for values in columns.values():
            known &= ~np.isnan(values)
        used = {n: v[known] for n, v in columns.items()}
        levels = self.cohort(spec, number).variables
        made = [factor(t, used[t], levels[t].levels) if isinstance(t, str) else t for t in terms]
        try:
            design = build_design(used, made, int(known.sum()))
        except ValueError:
            return None
        x = np.zeros((m, design.matrix.shape[1]))
        x[known] = design.matrix
        return covariate_block(x, known)

    def outcome(self, spec: Specified, number: int | None = None) -> tuple[FloatArray, BoolArray]:
        """The outcome (m,), 0 where unknown, and who has it known."""
        values = self.column(spec, spec.study.outcomes[spec.outcome].variable, number)

        def make() -> tuple[FloatArray, BoolArray]:
            known = ~np.isnan(values)
            return np.where(known, values, 0.0), known

        return self.once(("outcome", id(values)), make)

    def start(self, spec: Specified, covariates: Covariates, family: str, number: int | None = None) -> FloatArray:
        """Where the coefficients of covariates are looked for: the model of them alone, whoever else is left out."""
        outcome, known = self.outcome(spec, number)
        key = ("start", id(covariates), id(outcome), family)
        return self.once(key, lambda: covariate_start(FAMILIES[family], covariates, outcome, known))

    def exposure(self, spec: Specified, exposure: str, scale: str, number: int | None = None) -> ExposureOf | None:
        """The exposure of a specification among the universe; None where only the single fit knows what to do."""
        form = (spec.form, spec.study.exposures[exposure])
        key = ("exposure", exposure, spec.data, spec.people, number, repr(form))
        return self.once(key, lambda: self._exposure(spec, exposure, scale, number))

    def _exposure(self, spec: Specified, exposure: str, scale: str, number: int | None) -> ExposureOf | None:
        study, declared = self.ground.study, spec.study.exposures[exposure]
        assert declared.variable
        mask, inside = self.sample(spec, number), self.analysed(spec, number)
        values = self.column(spec, declared.variable, number)
        values = np.where(mask, values, np.nan)
        if declared.winsorise_percentile:
            values = winsorise_upper(values, declared.winsorise_percentile)
        known = inside & ~np.isnan(values)
        if isinstance(spec.form, PerUnitOption | SplineOption):
            return self._values(spec, exposure, (values, known), scale_values=two_values(study, exposure, values[mask]))
        rule = category_rule(spec.study, exposure, self.cohort(spec, number).variables)
        made = categorise({rule.variable: values}, {exposure: rule}, len(values))
        groups, names = made.categories[exposure], rule.labels({exposure: rule})
        if np.any(np.diff(made.cuts.get(exposure, [])) == 0):
            return None
        known = known & ~np.isnan(groups)
        last = len(names)
        if any(not np.any(groups[known] == g) for g in range(1, last + 1)):
            return None
        raw = np.column_stack([(groups == g).astype(np.float64) for g in range(2, last + 1)])
        high = np.zeros(last - 1)
        high[-1] = 1.0
        columns = exposure_columns(raw, known, high=high, low=np.zeros(last - 1))
        factor_ = 1.0
        if scale == "distance":
            low_, high_ = two_values(study, exposure, values[mask])
            own = [float(np.median(values[groups == g])) for g in (1, last)]
            factor_ = (high_ - low_) / (own[1] - own[0])
        if columns is None:
            return None
        return ExposureOf(columns, known, factor_, names[-1], names[0])

    def _values(
        self,
        spec: Specified,
        exposure: str,
        data: tuple[FloatArray, BoolArray],
        *,
        scale_values: tuple[float, float],
    ) -> ExposureOf | None:
        values, known = data
        low, high = scale_values
        if not high > low:
            return None
        name = variable_of(spec.study, exposure)
        term: Linear | Spline = Linear(name)
        if isinstance(spec.form, SplineOption):
            try:
                term = Spline(name, knots_of(spec.form, values[known]))
            except ValueError:
                return None
        filled = np.where(known, values, low)
        raw = np.asarray(term.eval({name: filled}))
        ends = np.asarray(term.eval({name: np.array([high, low])}))
        raw, ends = raw.reshape(len(filled), -1), ends.reshape(2, -1)
        columns = exposure_columns(raw, known, high=ends[0], low=ends[1])
        if columns is None:
            return None
        return ExposureOf(columns, known, 1.0, f"{high:.6g}", f"{low:.6g}")

    def weights(
        self, spec: Specified, exposure: ExposureOf, covariates: Covariates, number: int | None = None
    ) -> FloatArray:
        """1 (or the sampling weight) for the complete rows of a specification, 0 for all others (m,)."""
        rows = exposure.known & covariates.known & self.outcome(spec, number)[1]
        design = spec.study.design
        for name in self.needed(spec):
            rows = rows & ~np.isnan(self.column(spec, name, number))
        if spec.analysis.weighted and design.weights:
            return np.where(rows, np.nan_to_num(self.column(spec, design.weights, number)), 0.0)
        return self.once(("rows", number, rows.tobytes()), lambda: rows.astype(np.float64))

    def needed(self, spec: Specified) -> tuple[str, ...]:
        """Columns of the sampling design that must be known."""
        d = spec.study.design
        names = [d.weights] if spec.analysis.weighted else []
        names += [d.strata, d.psu] if spec.variance == "survey" else []
        names += [d.cluster] if spec.variance in ("cluster", "CR1", "CR0") else []
        return tuple(n for n in names if n)

    def survey(self, spec: Specified, rows: BoolArray, number: int | None = None) -> SurveyDesign | None:
        """The survey design of the complete rows, everyone's units counted."""
        d = spec.study.design
        if spec.variance != "survey" or not d.strata or not d.psu:
            return None
        everyone = self.cohort(spec, number).everyone
        strata, psu = (self.column(spec, n, number)[rows] for n in (d.strata, d.psu))
        return survey_design(strata, psu, whole=(everyone[d.strata], everyone[d.psu]))

    def bench(self, spec: Specified, number: int | None = None) -> Bench:
        """The study of a specification on its analytic sample, as the ordinary machinery has it. Raises DataFault."""
        cohort = self.cohort(spec, number)
        included = self.included(spec, number)
        if not included.any():
            raise DataFault("Nobody is left in this specification.")
        whole = Cohort(
            everyone=cohort.everyone,
            variables=cohort.variables,
            included=included,
            step_alone={},
            flow=(),
            n_all=cohort.n_all,
        )
        return make_bench(spec.study, whole)


def plain(study: Study, spec: Specified) -> bool:
    """Whether many specifications of this kind are solved at once: exposures cut on the whole sample, our engine."""
    a = spec.analysis
    return not (a.stratify or a.fixed_cuts or (a.recut and a.restrict)) and study.settings.engine == "newton"
