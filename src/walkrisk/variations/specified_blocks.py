"""Many specifications of a multiverse solved together, and one by one where only the single fit will do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from walkrisk.errors import WalkriskError
from walkrisk.models.covariance import survey_meat
from walkrisk.models.many_specifications import Contrasts, Wanted, block_length, fit_specifications
from walkrisk.models.specification_columns import Covariates
from walkrisk.sensitivity.pooling import pool_scalar
from walkrisk.studies.fitting import sentence_of
from walkrisk.variations.specifications import STANDARDISED, Found, Specified, alone, with_limits
from walkrisk.variations.specified_samples import ExposureOf, Workshop, plain

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

AT_ONCE = ("modified_poisson", "logistic", "standardisation_logistic", "standardisation_poisson")
SUMS = ("HC0", "stata", "HC1", "survey")  # variances made of the influence of people
FEW_EVENTS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A specification of one data set, ready to be solved with others."""

    spec: Specified
    number: int | None
    covariates: Covariates
    exposure: ExposureOf
    wanted: Wanted
    family: str
    marginal: bool


def solved(shop: Workshop, specs: Sequence[Specified], exposure: str, *, scale: str) -> list[Found]:
    """What each specification gives, in the order given."""
    found: dict[tuple[int, int | None], Found] = {}
    groups: dict[tuple[object, ...], list[Ready]] = {}
    for spec in specs:
        for number in shop.sets(spec):
            ready = _ready(shop, spec, exposure, scale, number)
            if isinstance(ready, Found):
                found[spec.number, number] = ready
            elif ready is not None:
                width = len(ready.wanted.exposure.columns)
                groups.setdefault((id(ready.covariates), ready.family, ready.marginal, width), []).append(ready)
    for group in groups.values():
        for block in blocks_of(group):
            _solve_block(shop, block, found)
    for spec in specs:
        for number in shop.sets(spec):
            if (spec.number, number) not in found:
                found[spec.number, number] = _alone(shop, spec, exposure, scale, number)
    return [_pooled(shop, spec, [found[spec.number, number] for number in shop.sets(spec)]) for spec in specs]


def blocks_of(group: Sequence[Ready]) -> list[Sequence[Ready]]:
    """Specifications alike in covariates and width, in blocks of nearly equal length."""
    most = block_length(len(group[0].covariates.known), len(group[0].wanted.exposure.columns))
    number = -(-len(group) // most)
    limits = [len(group) * i // number for i in range(number + 1)]
    return [group[a:b] for a, b in pairwise(limits)]


def ready_for(shop: Workshop, spec: Specified, exposure: str, scale: str) -> Ready | None:
    """A specification made ready, if it can be solved with others and imputes nothing."""
    if shop.sets(spec) != (None,):
        return None
    made = _ready(shop, spec, exposure, scale, None)
    return None if isinstance(made, Found) else made


def _ready(shop: Workshop, spec: Specified, exposure: str, scale: str, number: int | None) -> Ready | Found | None:
    """A specification made ready to be solved with others; None if it is to be solved alone."""
    try:
        if not shop.sample(spec, number).any():
            return Found(warnings="Nobody is left in this specification.")
        if spec.method not in AT_ONCE or spec.variance not in SUMS or not plain(shop.ground.study, spec):
            return None
        covariates = shop.covariates(spec, exposure, number)
        made = shop.exposure(spec, exposure, scale, number)
    except WalkriskError as fault:
        return Found(warnings=" ".join(fault.faults))
    if covariates is None or made is None:
        return None
    outcome, _ = shop.outcome(spec, number)
    weights = shop.weights(spec, made, covariates, number)
    if not (weights > 0).any():
        return None
    family = STANDARDISED.get(spec.method, spec.method)
    wanted = Wanted(made.columns, outcome, weights, shop.start(spec, covariates, family, number))
    return Ready(spec, number, covariates, made, wanted, family, spec.method in STANDARDISED)


def _solve_block(shop: Workshop, block: Sequence[Ready], found: dict[tuple[int, int | None], Found]) -> None:
    first = block[0]
    contrasts = fit_specifications(
        first.family, first.covariates, [one.wanted for one in block], marginal=first.marginal
    )
    for k, one in enumerate(block):
        if contrasts.accepted[k]:
            found[one.spec.number, one.number] = _from_influence(shop, one, contrasts, k)


def _from_influence(shop: Workshop, one: Ready, contrasts: Contrasts, k: int) -> Found:
    rows = one.wanted.weights > 0
    if one.spec.analysis.weighted:
        rows = shop.weights(one.spec, one.exposure, one.covariates, one.number) > 0
    n, events = int(rows.sum()), int(one.wanted.outcome[rows].sum())
    parameters = one.covariates.q.shape[1] + len(one.wanted.exposure.columns)
    influence = contrasts.influence[k]
    if one.spec.variance == "survey":
        design = shop.survey(one.spec, rows, one.number)
        assert design is not None
        variance = float(survey_meat(influence[rows][:, None], design, np.ones(n, dtype=bool))[0, 0])
    else:
        factor = {"HC0": 1.0, "stata": n / (n - 1), "HC1": n / (n - parameters)}[one.spec.variance]
        variance = factor * float(influence @ influence)
    said = []
    if contrasts.above_one[k]:
        said.append(f"{contrasts.above_one[k]} fitted risks exceed 1 (largest {contrasts.largest[k]:.3f}).")
    if events < FEW_EVENTS * parameters:
        said.append(f"{events} events for {parameters} coefficients: fewer than {FEW_EVENTS} events each.")
    base = Found(
        n=n, events=events, level=one.exposure.level, reference=one.exposure.reference, warnings=" ".join(said)
    )
    scaled = one.exposure.factor
    se = abs(scaled) * float(np.sqrt(variance))
    return with_limits(base, scaled * float(contrasts.log_ratio[k]), se, shop.ground.bench.z)


def _alone(shop: Workshop, spec: Specified, exposure: str, scale: str, number: int | None) -> Found:
    try:
        bench = shop.bench(spec, number)
    except WalkriskError as fault:
        return Found(warnings=" ".join(fault.faults))
    return alone(shop.ground.study, spec, bench, exposure, scale=scale)


def _pooled(shop: Workshop, spec: Specified, sets: Sequence[Found]) -> Found:
    """The sets of a specification pooled by Rubin's rules; one set is itself."""
    if len(sets) == 1:
        return sets[0]
    lost = [s for s in sets if s.log_ratio is None or not s.std_error]
    said = " ".join(dict.fromkeys(s.warnings for s in sets if s.warnings))
    if lost:
        said = f"{len(lost)} of {len(sets)} imputed sets give no estimate. {said}".strip()
        return replace(lost[0], log_ratio=None, std_error=None, conf_low=None, conf_high=None, warnings=said)
    level = shop.ground.study.settings.conf_level
    try:
        pooled = pool_scalar(
            [s.log_ratio or 0.0 for s in sets], [(s.std_error or 0.0) ** 2 for s in sets], conf_level=level
        )
    except ValueError as error:
        return replace(
            sets[0], log_ratio=None, std_error=None, conf_low=None, conf_high=None, warnings=sentence_of(error)
        )
    return replace(
        sets[0],
        log_ratio=pooled.estimate,
        std_error=pooled.std_error,
        conf_low=float(np.exp(pooled.conf_low)),
        conf_high=float(np.exp(pooled.conf_high)),
        p_value=pooled.p_value,
        warnings=said,
    )
