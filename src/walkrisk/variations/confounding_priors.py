"""Probabilistic bias analyses of the main model in rows: an unmeasured confounder, or selection, by priors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from walkrisk.errors import DataFault
from walkrisk.estimates.results import Diagnostic, Point
from walkrisk.estimates.rows import Estimate
from walkrisk.models.design import Factor
from walkrisk.sensitivity.confounding_draws import (
    FEWEST,
    ConfounderDraws,
    CorrectedRatios,
    SelectionDraws,
    confounder_draws,
    corrected_ratios,
    require_possible,
    selection_draws,
    summarised,
)
from walkrisk.sensitivity.confounding_records import (
    Covariance,
    Refits,
    confounder_refits,
    selection_refits,
    with_random_error,
)
from walkrisk.studies.bench import Rows
from walkrisk.studies.confounding import ProbabilisticConfounder, ProbabilisticSelection
from walkrisk.studies.fitting import Fitted, NoEstimate, with_warning
from walkrisk.studies.vocabulary import BOOTSTRAP
from walkrisk.variations.ground import Ground, exposures_of, main_fit, main_model, main_rows, seed_of
from walkrisk.variations.variation import Arrays, Part, Variation

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

BLOCK = 50  # refits of a part
FEWEST_BINS, MOST_BINS = 10, 40
PARAMETERS, ERROR, RECORDS, RECORDS_ERROR = range(4)  # the random streams of an exposure
SYSTEMATIC, ON_RECORDS = "_systematic", "_records"

Declared = ProbabilisticConfounder | ProbabilisticSelection


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Adjusted:
    """The main model of an exposure: log ratios (K,) of its levels with a covariance (K, K) by variance, observed risks
    (K + 1,), and its ratio rows."""

    exposure: str
    fitted: Fitted
    columns: tuple[int, ...]
    levels: tuple[str, ...]
    log_ratios: FloatArray
    covariances: dict[str, FloatArray]
    risks: FloatArray
    rows: tuple[Estimate, ...]

    @property
    def first(self) -> str:
        """The variance that tables show."""
        return next(iter(self.covariances))

    def covariance(self) -> Covariance:
        """The covariance of a refit under the first variance; of a bootstrap, that of the main model."""
        choice = self.fitted.choices[self.first]
        if choice.name == BOOTSTRAP:
            return lambda again: self.fitted.covariances[self.first]
        return choice.covariance


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """One exposure of a declared analysis: its model, and the draws of the bias parameters."""

    number: int
    adjusted: Adjusted
    draws: ConfounderDraws | SelectionDraws


def method_of(declared: Declared) -> str:
    """The method that rows of an analysis name."""
    return "probabilistic_confounder" if isinstance(declared, ProbabilisticConfounder) else "probabilistic_selection"


def probabilistic(ground: Ground, declared: Declared) -> Variation:
    """A probabilistic bias analysis of every exposure, its refits in parts of 50.

    Raises DataFault if the priors contradict the data in so many draws that no limits are left.
    """
    followed = declared.exposures or exposures_of(ground.study)
    cases: list[_Case] = []
    none: list[Diagnostic] = []
    for number, exposure in enumerate(followed):
        try:
            adjusted = adjusted_of(ground, exposure)
        except NoEstimate as without:
            none.append(replace(without.diagnostic, analysis=declared.id))
            continue
        cases.append(_Case(number, adjusted, _draws(ground, declared, adjusted, number)))
    parts: list[Part] = []
    blocks: list[int] = []
    for case in cases:
        mine = list(_parts(ground, declared, case))
        blocks.append(len(mine))
        parts += mine
    finish = partial(_finish, ground, declared, cases, blocks, none)
    return Variation(declared.id, declared.title, tuple(parts), finish)


def adjusted_of(ground: Ground, exposure: str) -> Adjusted:
    """The main model of an exposure. Raises NoEstimate where a level has no ratio with a variance."""
    fitted, terms = main_fit(ground.bench, exposure)
    model = main_model(ground.bench, exposure)
    fit, exposed = fitted.fit, terms[0]
    assert isinstance(exposed, Factor)
    columns = tuple(fit.design.columns_of[exposed])
    usable = {v: m for v, m in fitted.covariances.items() if np.isfinite(m).all()}
    if not fit.converged or not fit.wald or not usable or not fit.estimable[list(columns)].all():
        raise NoEstimate(
            model.asked.request,
            "The main model has no ratio with a variance for every category, so no bias can be taken off; merge "
            "categories without people or events.",
            n=fit.n,
            events=fit.events,
        )
    at = fit.position(columns)
    frame = model.assembled.frame
    codes = exposed.codes(frame.columns)
    w = np.ones(frame.n) if frame.weights is None else frame.weights
    people = np.bincount(codes, weights=w)
    return Adjusted(
        exposure=exposure,
        fitted=fitted,
        columns=columns,
        levels=exposed.labels,
        log_ratios=fit.coefficients[list(columns)],
        covariances={v: m[np.ix_(at, at)] for v, m in usable.items()},
        risks=np.bincount(codes, weights=w * frame.y) / people,
        rows=main_rows(ground.bench, exposure).estimates,
    )


def _draws(ground: Ground, declared: Declared, adjusted: Adjusted, number: int) -> ConfounderDraws | SelectionDraws:
    rng = seed_of(ground, declared.id, number, PARAMETERS)
    section = "confounders" if isinstance(declared, ProbabilisticConfounder) else "selections"
    try:
        made: ConfounderDraws | SelectionDraws
        if isinstance(declared, ProbabilisticConfounder):
            made = confounder_draws(
                association=declared.association.prior(),
                prevalence=[declared.prevalence[level].prior() for level in adjusted.levels],
                risks=adjusted.risks,
                draws=declared.draws,
                rng=rng,
                correlation=declared.correlation,
            )
        else:
            made = selection_draws(
                with_outcome=[declared.with_outcome[level].prior() for level in adjusted.levels],
                without_outcome=[declared.without_outcome[level].prior() for level in adjusted.levels],
                risks=adjusted.risks,
                draws=declared.draws,
                rng=rng,
                correlation=declared.correlation,
            )
        require_possible(declared.draws, int((~made.possible).sum()))
    except ValueError as error:
        where = f"sensitivity.probabilistic_{section} ({declared.id}), {adjusted.exposure}"
        raise DataFault(f"{where}: {error}") from None
    return made


# ---------------------------------------------------------------- refits


def _parts(ground: Ground, declared: Declared, case: _Case) -> Iterator[Part]:
    at = np.flatnonzero(case.draws.possible)[: declared.refits]
    for block, start in enumerate(range(0, len(at), BLOCK)):
        work = partial(_refits, ground, declared, case, at[start : start + BLOCK], block)
        exposure = case.adjusted.exposure
        yield Part(f"{exposure}_{block}", f"{exposure}, refits {start + 1}-{min(start + BLOCK, len(at))}", work)


def _refits(ground: Ground, declared: Declared, case: _Case, at: npt.NDArray[np.intp], block: int) -> Arrays:
    adjusted, draws = case.adjusted, case.draws
    fit, columns, covariance = adjusted.fitted.fit, adjusted.columns, adjusted.covariance()
    if isinstance(draws, ConfounderDraws):
        made = confounder_refits(
            fit,
            columns,
            association=draws.association[at],
            prevalence=draws.prevalence[at],
            covariance=covariance,
            rng=seed_of(ground, declared.id, case.number, RECORDS, block),
        )
    else:
        made = selection_refits(fit, columns, probability=draws.probability[at], covariance=covariance)
    return {
        "log_ratios": made.log_ratios,
        "covariances": made.covariances,
        "association": made.association,
        "above_one": made.above_one,
    }


def _together(parts: Sequence[Arrays]) -> Refits:
    names = ("log_ratios", "covariances", "association", "above_one")
    return Refits(**{name: np.concatenate([part[name] for part in parts]) for name in names})


# ---------------------------------------------------------------- rows


def _finish(
    ground: Ground,
    declared: Declared,
    cases: Sequence[_Case],
    blocks: Sequence[int],
    none: Sequence[Diagnostic],
    parts: Sequence[Arrays],
) -> Rows:
    estimates: list[Estimate] = []
    points: list[Point] = []
    diagnostics = list(none)
    start = 0
    for case, count in zip(cases, blocks, strict=True):
        mine = parts[start : start + count]
        start += count
        rows, shown, diagnostic = _case_rows(ground, declared, case, mine)
        estimates += rows
        points += shown
        diagnostics.append(diagnostic)
    return Rows(estimates=tuple(estimates), points=tuple(points), diagnostics=tuple(diagnostics))


def _case_rows(
    ground: Ground, declared: Declared, case: _Case, parts: Sequence[Arrays]
) -> tuple[list[Estimate], list[Point], Diagnostic]:
    adjusted, level = case.adjusted, ground.study.settings.conf_level
    method = method_of(declared)
    diagnostic = replace(adjusted.fitted.diagnostic, analysis=declared.id)
    estimates: list[Estimate] = []
    points: list[Point] = []
    for variance, covariance in adjusted.covariances.items():
        rng = seed_of(ground, declared.id, case.number, ERROR)
        made = corrected_ratios(
            adjusted.log_ratios, covariance, case.draws.log_bias, case.draws.possible, rng, conf_level=level
        )
        estimates += _ratio_rows(declared, adjusted, made, method, variance, total=True)
        if variance == adjusted.first:
            estimates += _ratio_rows(declared, adjusted, made, f"{method}{SYSTEMATIC}", variance, total=False)
            estimates.append(_count_row(declared, adjusted, method, made))
            points += _distribution(declared, adjusted, made, method)
    if made.impossible:
        diagnostic = with_warning(
            diagnostic,
            f"{made.impossible} of {made.draws} draws of the priors contradict the data (a risk above 1 or a selection "
            "probability of 0) and were set aside; the distribution is that of the others.",
        )
    if parts:
        refits = _together(parts)
        more, shown, said = _record_rows(ground, declared, case, refits)
        estimates += more
        points += shown
        for sentence in said:
            diagnostic = with_warning(diagnostic, sentence)
    return estimates, points, diagnostic


def _record_rows(
    ground: Ground, declared: Declared, case: _Case, refits: Refits
) -> tuple[list[Estimate], list[Point], list[str]]:
    """Rows of the refits, and what there is to say of them."""
    adjusted, method = case.adjusted, f"{method_of(declared)}{ON_RECORDS}"
    good: BoolArray = np.all(np.isfinite(refits.log_ratios), axis=1)
    good &= np.all(np.isfinite(refits.covariances), axis=(1, 2))
    failed, above = int((~good).sum()), int((refits.above_one > 0).sum())
    said: list[str] = []
    if failed:
        said.append(f"{failed} of {len(good)} refits gave no ratio for every category and were set aside.")
    if above:
        said.append(
            f"In {above} of {len(good)} refits some fitted risks would be above 1 with or without the confounder; they "
            "were taken as 1."
        )
    if len(good) - failed < FEWEST:
        return [], [], [*said, f"Fewer than {FEWEST} refits are left, so the records give no limits."]
    total = with_random_error(refits, seed_of(ground, declared.id, case.number, RECORDS_ERROR))
    made = summarised(
        refits.log_ratios[good], total[good], impossible=failed, conf_level=ground.study.settings.conf_level
    )
    estimates = [
        *_ratio_rows(declared, adjusted, made, method, adjusted.first, total=True),
        *_ratio_rows(declared, adjusted, made, f"{method}{SYSTEMATIC}", adjusted.first, total=False),
        _count_row(declared, adjusted, method, made),
    ]
    return estimates, _distribution(declared, adjusted, made, method), said


def _ratio_rows(
    declared: Declared, adjusted: Adjusted, made: CorrectedRatios, method: str, variance: str, *, total: bool
) -> list[Estimate]:
    """A row a level: the median, and simulation limits as its limits."""
    rows = {e.level: e for e in adjusted.rows if e.variance == adjusted.first}
    summaries = made.total if total else made.systematic
    return [
        replace(
            rows[level],
            analysis=declared.id,
            estimate=s.median,
            std_error=None,
            conf_low=s.low,
            conf_high=s.high,
            p_value=None,
            method=method,
            variance=variance,
        )
        for level, s in zip(adjusted.levels[1:], summaries, strict=True)
    ]


def _count_row(declared: Declared, adjusted: Adjusted, method: str, made: CorrectedRatios) -> Estimate:
    """How many draws were set aside; `n` says of how many."""
    return Estimate(
        analysis=declared.id,
        exposure=adjusted.exposure,
        model=adjusted.rows[0].model,
        estimand="impossible_draws",
        n=made.draws,
        estimate=float(made.impossible),
        method=method,
        variance=adjusted.first,
    )


def _distribution(declared: Declared, adjusted: Adjusted, made: CorrectedRatios, method: str) -> list[Point]:
    """Densities of the log ratio on a common grid for a figure, and the Monte Carlo errors of median and limits."""
    points: list[Point] = []
    for k, level in enumerate(adjusted.levels[1:]):
        base = Point(analysis=declared.id, exposure=adjusted.exposure, level=level, series="")
        for name, values, s in (
            (f"{method}{SYSTEMATIC}", made.ratios[:, k], made.systematic[k]),
            (method, made.ratios_total[:, k], made.total[k]),
        ):
            error = replace(base, series="monte_carlo_error", item=name, y=s.error_of_median)
            points.append(replace(error, low=s.error_of_low, high=s.error_of_high))
            logs = np.log(values)
            low, high = np.quantile(logs, [0.001, 0.999])
            if high - low < 1e-9:
                continue  # constants have no distribution
            bins = int(np.clip(1.5 * np.cbrt(len(logs)), FEWEST_BINS, MOST_BINS))
            heights, edges = np.histogram(logs, bins=bins, range=(low, high))
            density = heights / (len(logs) * (edges[1] - edges[0]))
            middles = np.exp((edges[:-1] + edges[1:]) / 2)
            points += [
                replace(base, series="density", item=name, x=float(x), y=float(y))
                for x, y in zip(middles, density, strict=True)
            ]
    return points
