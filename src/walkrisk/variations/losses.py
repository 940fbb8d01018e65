"""The main model weighted for loss to follow-up, in the data as read or in every imputed set, and its diagnostics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.eligibility import holds
from walkrisk.errors import DataFault
from walkrisk.estimates.ratios import count_levels
from walkrisk.models.covariance import SurveyDesign, survey_design
from walkrisk.models.design import Factor, build_design
from walkrisk.sensitivity.loss_weights import FollowUp, WeightedFit, balance_of_followed, follow_up, weighted_fit
from walkrisk.studies.bench import Bench, Rows
from walkrisk.studies.fitting import NoEstimate, Request, sentence_of
from walkrisk.studies.losses import LossWeights, title_of
from walkrisk.variations import loss_rows
from walkrisk.variations.ground import Ground, MainModel, exposures_of, main_analysis, main_model
from walkrisk.variations.loss_imputation import LossImputing, loss_imputing
from walkrisk.variations.loss_sample import LossModel, People, counted, eligible_people, loss_model
from walkrisk.variations.variation import Arrays, Part, Variation, whichever_can
from walkrisk.variations.worst_cases import worst_cases

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

NOBODY = "Nobody was lost to follow-up, so there is nothing to weight for; leave these weights out."
FALLBACK = "HC0"  # where none of the variances asked for is a sum over persons


def plan(ground: Ground) -> Iterator[Variation]:
    """The declared weights for loss, then the worst cases. Raises DataFault for what cannot be done with these data."""
    s = ground.study.sensitivity
    return whichever_can(
        [
            *(partial(_weighted, ground, declared) for declared in s.losses),
            *(partial(worst_cases, ground, declared) for declared in s.worst_cases),
        ]
    )


def _weighted(ground: Ground, declared: LossWeights) -> Variation:
    key = f"sensitivity.losses ({declared.id})"
    people = eligible_people(ground, ground.bench, declared)
    try:
        if declared.imputation is None:
            loss = loss_model(ground.bench, people, declared)
            _of_loss(loss, _unstabilised(ground.bench, loss, declared), _sampling(ground.bench, loss.people), declared)
        elif people.followed.all():
            raise ValueError(NOBODY)
    except ValueError as error:
        raise DataFault(f"{key}: {error}") from None
    if declared.imputation is None:
        finish = partial(_finish_as_read, ground, declared)
        return Variation(declared.id, declared.title, (), finish)
    imputation = next(m for m in ground.study.sensitivity.imputations if m.id == declared.imputation)
    made = loss_imputing(ground, imputation, people, declared.steps)
    parts = tuple(
        Part(f"set{i + 1}", f"imputed set {i + 1}", partial(_in_set, ground, declared, made, i))
        for i in range(imputation.sets)
    )
    return Variation(declared.id, title_of(declared), parts, partial(loss_rows.rows, ground, declared))


def _finish_as_read(ground: Ground, declared: LossWeights, _: Sequence[Arrays]) -> Rows:
    people = eligible_people(ground, ground.bench, declared)
    return loss_rows.rows(ground, declared, [_numbers(ground.bench, people, declared)])


def _in_set(ground: Ground, declared: LossWeights, made: LossImputing, number: int) -> Arrays:
    bench = made.bench(number)
    return _numbers(bench, eligible_people(ground, bench, declared, later=True, among=made.eligible), declared)


# ---------------------------------------------------------------- one data set


def _numbers(bench: Bench, people: People, declared: LossWeights) -> dict[str, npt.NDArray[np.generic]]:
    """Everything the rows are made of, from one data set, as arrays; names begin with the exposure they are of."""
    loss = loss_model(bench, people, declared)
    sampling = _sampling(bench, loss.people)
    out: dict[str, npt.NDArray[np.generic]] = {}
    said = list(loss.said)
    whole = _unstabilised(bench, loss, declared)
    for exposure in exposures_of(bench.study):
        own = _of_exposure(bench, loss, exposure, declared)
        out |= {f"{exposure}.{name}": values for name, values in own.items()}
    out |= _of_loss(loss, whole, sampling, declared)
    said += [w for w in whole.warnings if w not in whole.weights.warnings]  # the limits of weights that are not used
    out["said"] = np.array(list(dict.fromkeys(said)) or [""])
    return out


def _sampling(bench: Bench, people: People) -> FloatArray | None:
    """The sampling weights (n,) of eligible people, where the main analysis takes them."""
    name = bench.study.design.weights if main_analysis(bench.study).weighted else None
    return _known(people.sample.columns, name)


def _known(columns: Mapping[str, FloatArray], name: str | None) -> FloatArray | None:
    if name is None:
        return None
    unknown = int(np.isnan(columns[name]).sum())
    if unknown:
        raise ValueError(f"{name} is unknown for {unknown} eligible people; exclude them before the step of loss.")
    return columns[name]


def _unstabilised(bench: Bench, loss: LossModel, declared: LossWeights) -> FollowUp:
    """The chances of follow-up, and weights that make the followed like everyone eligible in all covariates."""
    return _followed_up(bench, loss, declared, None)


def _followed_up(bench: Bench, loss: LossModel, declared: LossWeights, levels: IntArray | None) -> FollowUp:
    return follow_up(
        loss.columns,
        loss.terms,
        loss.people.followed,
        strata=loss.strata,
        names=loss.stratum_names,
        levels=levels,
        truncate=(declared.truncate[0], declared.truncate[1]) if declared.truncate else None,
        sampling=_sampling(bench, loss.people),
    )


def _of_loss(
    loss: LossModel, whole: FollowUp, sampling: FloatArray | None, declared: LossWeights
) -> dict[str, npt.NDArray[np.generic]]:
    """Counts of the model of loss, and the balance of the followed against everyone before and after weighting."""
    followed = loss.people.followed
    seen = [c for c in loss.covariates if not np.isnan(c.values[followed]).all()]
    table = balance_of_followed(seen, followed, whole.weights.values, sampling=sampling)
    rows = [r for r in table.rows if not (r.kind == "categorical" and r.level == "")]
    return {
        "counts": np.array(
            [
                len(followed),
                int(followed.sum()),
                int((~followed).sum()),
                int((whole.chance < declared.least_chance).sum()),
                whole.models,
                whole.parameters,
            ],
            dtype=np.float64,
        ),
        "chance": np.array([whole.chance.min(), whole.chance.max(), whole.chance.mean()]),
        "balance": np.array([[r.standardised, r.weighted_standardised, r.missing] for r in rows]),
        "balance_of": np.array([[r.covariate, r.level] for r in rows]),
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Entering:
    """The rows of the main model that have a weight, among eligible people (n,), and which of the frame they are."""

    rows: BoolArray
    kept: BoolArray


def _of_exposure(
    bench: Bench, loss: LossModel, exposure: str, declared: LossWeights
) -> dict[str, npt.NDArray[np.generic]]:
    model = main_model(bench, exposure)
    request, frame = model.asked.request, model.assembled.frame
    entering = _entering(bench, model, loss.people)
    columns = {n: v[entering.kept] for n, v in frame.columns.items()}
    design = build_design(columns, frame.terms(), int(entering.kept.sum()))
    y = frame.y[entering.kept]
    sample = loss.people.sample
    variances = tuple(v for v in request.variances) or (FALLBACK,)
    try:
        made = _stabilised(bench, loss, exposure, declared)
        fit = weighted_fit(
            request.method,
            design,
            y,
            made.weights,
            entering.rows,
            variances=(*variances, FALLBACK),
            cluster=_known(sample.columns, request.cluster),
            survey=_survey(bench, loss.people, request),
            sampling=_sampling(bench, loss.people),
            engine=request.engine,
        )
    except ValueError as error:
        raise NoEstimate(request, sentence_of(error), n=frame.n, events=int(frame.y.sum())) from None
    if not fit.estimated:
        said = "Under these weights the model gives no estimate with a variance; choose modified_poisson."
        raise NoEstimate(request, said, n=frame.n, events=int(y.sum()))
    return {
        **_level_numbers(model, fit, exposure),
        **loss_rows.spread_numbers(
            made.weights, sample.categories[exposure], len(model.asked.labels[exposure]), model=entering.rows
        ),
        "lost_by_level": _lost_by_level(loss.people, exposure, len(model.asked.labels[exposure])),
        "fit": np.array([fit.fit.n, fit.fit.events, fit.fit.parameters, fit.fit.iterations, fit.fit.max_fitted_risk]),
        "said": np.array(_sentences(fit, made, int((~entering.kept).sum()), bench.study.settings.min_cell) or [""]),
    }


def _sentences(fit: WeightedFit, made: FollowUp, without: int, min_cell: int) -> list[str]:
    said = [*fit.fit.warnings, *made.weights.warnings]
    if fit.left_out:
        said.append(f"{', '.join(fit.left_out)}: no sum over persons, so not given with estimated weights.")
    if without:
        said.append(
            f"{counted(without, min_cell)} people of the main model are not counted as eligible and have no weight."
        )
    return said


def _stabilised(bench: Bench, loss: LossModel, exposure: str, declared: LossWeights) -> FollowUp:
    """The weights of one exposure, stabilised where declared: by its category, or by the share of everyone where those
    lost have no known category."""
    if not declared.stabilised:
        return _unstabilised(bench, loss, declared)
    categories = loss.people.sample.categories[exposure]
    if np.isnan(categories).any():
        return _followed_up(bench, loss, declared, np.zeros(len(categories), dtype=np.intp))
    return _followed_up(bench, loss, declared, categories.astype(np.intp) - 1)


def _entering(bench: Bench, model: MainModel, people: People) -> _Entering:
    included = np.ones(bench.sample.n, dtype=bool)
    for condition in main_analysis(bench.study).restrict:
        included &= holds(condition, bench.sample.columns)
    at = np.flatnonzero(bench.cohort.included)[included][model.assembled.frame.rows]
    return _Entering(rows=np.isin(people.at, at), kept=np.isin(at, people.at))


def _survey(bench: Bench, people: People, request: Request) -> SurveyDesign | None:
    if not (request.strata and request.psu) or not any(v.startswith("survey") for v in request.variances):
        return None
    everyone = bench.cohort.everyone
    return survey_design(
        people.sample.columns[request.strata],
        people.sample.columns[request.psu],
        whole=(everyone[request.strata], everyone[request.psu]),
    )


def _level_numbers(model: MainModel, fit: WeightedFit, exposure: str) -> dict[str, npt.NDArray[np.generic]]:
    """Log ratios (K,) and their variances (V, K) of all categories, NaN where not estimable; counts as in the main."""
    labels, people = model.asked.labels[exposure], model.asked.people
    factor = model.assembled.frame.exposure
    assert isinstance(factor, Factor)
    logs = np.full(len(labels), np.nan)
    names = [*fit.estimated, *(f"{v}{loss_rows.KNOWN}" for v in fit.known)]
    matrices = [*fit.estimated.values(), *fit.known.values()]
    variances = np.full((len(names), len(labels)), np.nan)
    columns = fit.fit.design.columns_of[factor]
    usable = factor not in fit.fit.no_reference
    for code, column in zip(factor.levels[1:], columns, strict=True):
        if usable and fit.fit.estimable[column]:
            at = fit.fit.position((column,))[0]
            logs[int(code) - 1] = fit.fit.coefficients[column]
            variances[:, int(code) - 1] = [m[at, at] for m in matrices]
    counts = count_levels(people.categories[exposure], people.columns[model.asked.request.outcome], labels)
    return {
        "log": logs,
        "variances": variances,
        "variance_names": np.array(names),
        "n": np.array([c.n for c in counts], dtype=np.float64),
        "events": np.array([c.events for c in counts], dtype=np.float64),
        "reference": np.array([int(factor.levels[0]) - 1]),
    }


def _lost_by_level(people: People, exposure: str, levels: int) -> FloatArray:
    """People eligible and people lost (2, K) by category of an exposure; NaN where it is not known of all."""
    if np.isnan(people.sample.categories[exposure]).any():
        return np.full((2, levels), np.nan)
    at = people.sample.categories[exposure].astype(np.intp) - 1
    return np.array(
        [np.bincount(at, minlength=levels), np.bincount(at[~people.followed], minlength=levels)], dtype=np.float64
    )
