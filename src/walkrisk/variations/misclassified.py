"""The main ratios corrected for a misclassified outcome, in rows and points: given values, then draws in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from walkrisk.errors import DataFault
from walkrisk.estimates.results import Diagnostic, Point
from walkrisk.estimates.rows import Estimate
from walkrisk.models.design import Design, Factor
from walkrisk.models.fit import Fit, fit_model
from walkrisk.sensitivity.misclassified_outcome import (
    Corrected,
    CorrectedDraws,
    compatible_draws,
    correct_outcome,
    corrected_draws,
    distribution_of,
    draw_from_kappa,
    lowest_specificity,
    sensitivity_of_kappa,
)
from walkrisk.sensitivity.priors import Constant, Prior, PriorPair, Uniform
from walkrisk.sensitivity.probabilistic_bias import draw_classification
from walkrisk.studies.bench import Rows
from walkrisk.studies.fitting import NoEstimate, choice_of, sentence_of
from walkrisk.studies.measurement import MisclassifiedOutcome
from walkrisk.studies.priors import DeclaredPrior
from walkrisk.variations.ground import Ground, exposures_of, seed_of
from walkrisk.variations.measured import People, diagnostic_of, people_of, ratio_row, row_of, variances_of
from walkrisk.variations.variation import Arrays, Part, Variation

FloatArray = npt.NDArray[np.float64]

BLOCK = 50  # draws of a part
FEWEST = 10  # draws that a distribution needs
PARAMETERS, ERROR = 0, 1  # the random streams of an exposure
BINS = 24
PROBABILISTIC, SYSTEMATIC = "probabilistic", "probabilistic, without random error"  # strata


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """An exposure's main model: its design, the columns and names of its categories, draws of Se and Sp (draws, g)."""

    number: int
    people: People
    design: Design
    columns: tuple[int, ...]
    levels: tuple[str, ...]
    reference: npt.NDArray[np.intp] | None
    sensitivity: FloatArray
    specificity: FloatArray

    def fit(self) -> Fit:
        """The main model as answered, whose clusters and factors variances take."""
        return fit_model("modified_poisson", self.design, self.people.y, weights=self.people.weights)

    def corrected(self, se: Sequence[float], sp: Sequence[float], estimator: str) -> Corrected:
        """The main model under one sensitivity and specificity, or one pair each for others and the reference."""
        both = (np.asarray(se), np.asarray(sp))
        if self.reference is not None:
            both = both[0][self.reference], both[1][self.reference]
        return correct_outcome(
            np.asarray(self.design.matrix),
            self.people.y,
            both[0] if self.reference is not None else float(both[0][0]),
            both[1] if self.reference is not None else float(both[1][0]),
            weights=self.people.weights,
            estimator=estimator,
        )


def misclassified(ground: Ground, declared: MisclassifiedOutcome) -> Variation:
    """A declared correction, its draws in parts of 50. Raises DataFault if hardly any draw is compatible."""
    cases: list[_Case] = []
    none: list[Diagnostic] = []
    for number, exposure in enumerate(declared.exposures or exposures_of(ground.study)):
        try:
            people = people_of(ground, exposure, by_days=False)
        except NoEstimate as without:
            none.append(replace(without.diagnostic, analysis=declared.id))
            continue
        cases.append(_case(ground, declared, people, number))
    parts = [
        Part(f"{c.people.exposure}_{first}", f"{c.people.exposure}, draws from {first + 1}", work)
        for c in cases
        for first in range(0, declared.draws, BLOCK)
        for work in [partial(_draws, declared, c, first)]
    ]
    return Variation(declared.id, declared.title, tuple(parts), partial(_finish, ground, declared, cases, none))


def _case(ground: Ground, declared: MisclassifiedOutcome, people: People, number: int) -> _Case:
    frame = people.model.assembled.frame
    exposed = frame.exposure
    assert isinstance(exposed, Factor)
    design = frame.design()
    differs = declared.sensitivity_reference is not None or declared.specificity_reference is not None
    codes = exposed.codes(frame.columns)
    reference = np.asarray(codes == 0, dtype=np.intp) if differs else None
    rng = seed_of(ground, declared.id, number, PARAMETERS)
    if declared.kappa:
        drawn = draw_from_kappa(_prior_of_kappa(declared.kappa), observed_share(declared, people), declared.draws, rng)
        se, sp = (v[:, None] for v in drawn)
    else:
        of_se, of_sp = (_pair(declared, name) for name in ("sensitivity", "specificity"))
        made = draw_classification(of_se, of_sp, declared.draws, rng, correlation=declared.correlation)
        width = 2 if differs else 1
        se, sp = made.sensitivity[:, :width], made.specificity[:, :width]
    fine = compatible_draws(np.asarray(design.matrix), people.y, se, sp, group=reference, weights=people.weights)
    if fine.sum() < FEWEST:
        raise DataFault(
            f"{people.exposure}: {int((~fine).sum())} of {declared.draws} draws of sensitivity and specificity "
            "contradict the data (a category of the model would hold no true cases or fewer); take priors with a "
            "higher specificity, or merge the category with the lowest risk with another."
        )
    return _Case(number, people, design, tuple(design.columns_of[exposed]), exposed.labels, reference, se, sp)


def _prior_of_kappa(kappa: Sequence[float]) -> Prior:
    return Constant(kappa[0]) if kappa[0] == kappa[1] else Uniform(kappa[0], kappa[1])


def observed_share(declared: MisclassifiedOutcome, people: People) -> float:
    """The share of yes answers at which kappa is read: declared, or that of these people."""
    return declared.observed or float(np.average(people.y, weights=people.weights))


def _pair(declared: MisclassifiedOutcome, name: str) -> PriorPair:
    """The prior of everyone, or those of the other categories and of the reference."""
    prior: DeclaredPrior = getattr(declared, name)
    other: DeclaredPrior | None = getattr(declared, f"{name}_reference")
    differs = declared.sensitivity_reference is not None or declared.specificity_reference is not None
    if not differs:
        return prior.prior()
    return prior.prior(), (other or prior).prior()


def _draws(declared: MisclassifiedOutcome, case: _Case, first: int) -> Arrays:
    part = slice(first, min(first + BLOCK, declared.draws))
    like, variance = case.fit(), variances_of(case.people, summed=True)[0]
    found = corrected_draws(
        np.asarray(case.design.matrix),
        case.people.y,
        case.sensitivity[part],
        case.specificity[part],
        case.columns,
        group=case.reference,
        weights=case.people.weights,
        estimator=declared.estimator,
        covariance=_summed(case, like, variance),
    )
    return {"estimates": found.estimates, "std_errors": found.std_errors}


def _summed(case: _Case, like: Fit, variance: str) -> Callable[[Corrected], FloatArray]:
    choice = choice_of(case.people.model.asked.request, case.people.model.assembled, variance)
    return lambda c: c.covariance(like, variance, cluster=choice.cluster, design=choice.survey)


# ---------------------------------------------------------------- rows


def _finish(
    ground: Ground,
    declared: MisclassifiedOutcome,
    cases: Sequence[_Case],
    none: Sequence[Diagnostic],
    parts: Sequence[Arrays],
) -> Rows:
    estimates: list[Estimate] = []
    points: list[Point] = []
    diagnostics = list(none)
    each = -(-declared.draws // BLOCK)
    for i, case in enumerate(cases):
        mine = parts[each * i : each * (i + 1)]
        found = CorrectedDraws(
            estimates=np.concatenate([p["estimates"] for p in mine]),
            std_errors=np.concatenate([p["std_errors"] for p in mine]),
        )
        like = case.fit()
        made, said = _scenarios(ground, declared, case, like)
        estimates += made
        made, more, sentences = _distribution(ground, declared, case, found)
        estimates += made
        points += more
        if declared.kappa:
            points += _kappa_points(declared, case)
        diagnostics.append(diagnostic_of(case.people, declared.id, like, [*said, *sentences], stratum=PROBABILISTIC))
    return Rows(estimates=tuple(estimates), points=tuple(points), diagnostics=tuple(diagnostics))


def scenarios(declared: MisclassifiedOutcome, people: People) -> list[tuple[list[float], list[float]]]:
    """Given pairs of Se and Sp: of each kappa with Sp at its lowest, in the middle, and 1; or the priors' medians."""
    if not declared.kappa:
        middle = np.array([0.5])
        out: list[list[float]] = []
        for name in ("sensitivity", "specificity"):
            pair = _pair(declared, name)
            priors = pair if isinstance(pair, tuple) else (pair,)
            out.append([float(p.quantile(middle)[0]) for p in priors])
        return [(out[0], out[1])]
    q = observed_share(declared, people)
    found = []
    for kappa in dict.fromkeys(declared.kappa):
        low = float(lowest_specificity(kappa, q))
        for sp in (low, (low + 1) / 2, 1.0):
            found.append(([min(float(sensitivity_of_kappa(kappa, sp, q)), 1.0)], [sp]))
    return found


def _scenarios(
    ground: Ground, declared: MisclassifiedOutcome, case: _Case, like: Fit
) -> tuple[list[Estimate], list[str]]:
    rows: list[Estimate] = []
    said: list[str] = []
    q = observed_share(declared, case.people)
    kappas = [k for k in dict.fromkeys(declared.kappa) for _ in range(3)]
    for i, (se, sp) in enumerate(scenarios(declared, case.people)):
        stratum = f"values {i + 1}"
        row = replace(row_of(case.people, declared.id, stratum=stratum), method=f"misclassified_{declared.estimator}")
        made = case.corrected(se, sp, declared.estimator)
        about = replace(row, variance="", n=None, events=None)
        for j, level in enumerate(("", "reference")[: len(se)]):
            rows.append(replace(about, estimand="sensitivity", level=level, estimate=se[j]))
            rows.append(replace(about, estimand="specificity", level=level, estimate=sp[j]))
        if kappas:
            rows.append(replace(about, estimand="kappa", estimate=kappas[i]))
        if declared.kappa and declared.observed is None:
            rows.append(replace(about, estimand="observed_share", estimate=q))
        if not made.converged:
            said.append(f"With values {i + 1}: {made.sentence}")
        else:
            share = made.expected_cases / float(
                case.people.n if case.people.weights is None else case.people.weights.sum()
            )
            rows.append(replace(about, estimand="true_share", estimate=share))
        rows += _ratios(ground, case, made, like, row)
    return rows, said


def _ratios(ground: Ground, case: _Case, made: Corrected, like: Fit, row: Estimate) -> Iterator[Estimate]:
    for variance in variances_of(case.people, summed=True):
        base = replace(row, variance=variance, reference=case.levels[0], n=None, events=None)
        yield replace(base, level=case.levels[0], estimate=1.0)
        if not made.converged:
            yield from (replace(base, level=level) for level in case.levels[1:])
            continue
        v = _summed(case, like, variance)(made)
        for level, column in zip(case.levels[1:], case.columns, strict=True):
            yield ratio_row(
                replace(base, level=level), float(made.coefficients[column]), float(v[column, column]), ground.bench.z
            )


def _distribution(
    ground: Ground, declared: MisclassifiedOutcome, case: _Case, found: CorrectedDraws
) -> tuple[list[Estimate], list[Point], list[str]]:
    row = replace(row_of(case.people, declared.id), method=f"misclassified_{declared.estimator}", variance="")
    counted = replace(row, estimand="count", stratum=PROBABILISTIC, n=None, events=None)
    rows = [
        replace(counted, level="draws", estimate=float(declared.draws)),
        replace(counted, level="set aside", estimate=float(found.impossible)),
    ]
    rng = seed_of(ground, declared.id, case.number, ERROR)
    try:
        made = distribution_of(found, rng, conf_level=ground.study.settings.conf_level)
    except ValueError as error:
        return rows, [], [sentence_of(error)]
    said = []
    if found.impossible:
        said.append(
            f"{found.impossible} of {declared.draws} draws of sensitivity and specificity contradict the data (a "
            "category would hold no true cases or fewer) and were set aside."
        )
    row = replace(row, reference=case.levels[0], n=None, events=None)
    points: list[Point] = []
    for stratum, values in ((PROBABILISTIC, made.total), (SYSTEMATIC, made.systematic)):
        rows.append(replace(row, stratum=stratum, level=case.levels[0], estimate=1.0))
        for j, level in enumerate(case.levels[1:]):
            middle, low, high = np.exp(values[:, j]).tolist()
            rows.append(replace(row, stratum=stratum, level=level, estimate=middle, conf_low=low, conf_high=high))
            if stratum == PROBABILISTIC:
                error_of = replace(row, stratum=stratum, level=level, estimand="monte_carlo_error")
                rows.append(replace(error_of, estimate=float(np.max(made.monte_carlo[:, j]))))
    fine = np.isfinite(found.estimates).all(axis=1)
    for j, level in enumerate(case.levels[1:]):
        points += _histogram(declared, case, level, found.estimates[fine, j])
    return rows, points, said


def _histogram(declared: MisclassifiedOutcome, case: _Case, level: str, log_ratios: FloatArray) -> Iterator[Point]:
    """Shares of draws by corrected ratio: x the lower edge of a bin."""
    ratios = np.exp(log_ratios)
    low, high = np.quantile(ratios, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low * 1.01 + 1e-9, BINS + 1)
    counts, _ = np.histogram(ratios.clip(edges[0], edges[-1]), edges)
    for i, count in enumerate(counts.tolist()):
        yield Point(
            analysis=declared.id,
            exposure=case.people.exposure,
            level=level,
            series="corrected ratios",
            x=float(edges[i]),
            y=count / len(ratios),
        )


def _kappa_points(declared: MisclassifiedOutcome, case: _Case) -> Iterator[Point]:
    """Pairs of specificity (x) and sensitivity (y) that agree with the lowest and the highest kappa."""
    q = observed_share(declared, case.people)
    for kappa in dict.fromkeys(declared.kappa):
        for sp in np.linspace(float(lowest_specificity(kappa, q)), 1.0, 41):
            yield Point(
                analysis=declared.id,
                exposure=case.people.exposure,
                series="kappa",
                item=f"{kappa:g}",
                x=float(sp),
                y=min(float(sensitivity_of_kappa(kappa, float(sp), q)), 1.0),
            )
