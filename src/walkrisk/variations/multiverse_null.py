"""Data sets without association, in which every specification of a multiverse is estimated again, one step each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from walkrisk.models.many_specifications import Wanted, fit_specifications
from walkrisk.models.specification_nulls import (
    NullModel,
    OneStep,
    classes_of,
    left_over,
    null_model,
    one_step,
    shuffled_steps,
    shuffles,
)
from walkrisk.sensitivity.specification_curve import STATISTICS, together
from walkrisk.studies.multiverse import Multiverse
from walkrisk.variations.ground import seed_of
from walkrisk.variations.specified_blocks import Ready, ready_for
from walkrisk.variations.specified_samples import Workshop
from walkrisk.variations.variation import Arrays

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

NOBODY: FloatArray = np.zeros(0)  # influences that are not needed again
NULLS = 50  # data sets of a part
REFITTED = 64  # specifications refitted in each shuffle that is checked
CHECKED = 2  # shuffles that are checked


def null_part(shop: Workshop, declared: Multiverse, exposure: str, first: int, number: int) -> Arrays:
    """Summaries of all specifications in data sets first .. first + number - 1; number 0 is the data as observed.

    `numbers` are the specifications in the joint test: those solved together that impute nothing and have a certified
    null model.
    """
    joint = _joint(shop, declared, exposure)
    z = shop.ground.bench.z
    numbers = np.array([one.spec.number for one, _, _ in joint], dtype=np.int64)
    value, se = np.empty((number, len(joint))), np.empty((number, len(joint)))
    if declared.null == "flipped":
        signs = np.stack([_signs(shop, declared, exposure, k) for k in range(first, first + number)])
        for k, (_, _, step) in enumerate(joint):
            value[:, k], se[:, k] = signs @ step.influence, step.std_error
    else:
        places = np.concatenate([_places(shop, declared, exposure, joint, k) for k in range(first, first + number)])
        for at in _alike(joint):
            one = joint[at[0]][0]
            nulls = [joint[k][1] for k in at]
            value[:, at], se[:, at] = shuffled_steps(nulls, _left_over(one), _contrast(one), places)
        if first == 0:
            value[0], se[0] = [step.value for _, _, step in joint], [step.std_error for _, _, step in joint]
    out: dict[str, npt.NDArray[np.generic]] = {"numbers": numbers}
    if not len(joint):
        return out | {name: np.zeros(number) for name in STATISTICS} | {"one_step": numbers, "one_step_se": numbers}
    factors = np.array([one.exposure.factor for one, _, _ in joint])
    summary = together(value * factors, se * np.abs(factors), z)
    out |= {name: getattr(summary, name) for name in STATISTICS}
    out["one_step"] = np.array([step.value for _, _, step in joint]) * factors
    out["one_step_se"] = np.array([step.std_error for _, _, step in joint]) * np.abs(factors)
    return out


def validation_part(shop: Workshop, declared: Multiverse, exposure: str) -> Arrays:
    """One-step estimates and full fits of some specifications in the first shuffles."""
    joint = _joint(shop, declared, exposure)
    some = joint[:: max(1, len(joint) // REFITTED)][:REFITTED]
    full, short, se = [], [], []
    for k in range(1, CHECKED + 1):
        places = _places(shop, declared, exposure, joint, k)
        for one, null, _ in some:
            rest = _left_over(one)
            moved = np.ascontiguousarray(rest[:, places[0]])
            columns = replace(one.exposure.columns, columns=moved)
            wanted = Wanted(columns, one.wanted.outcome, one.wanted.weights, one.wanted.start)
            fit = fit_specifications(one.family, one.covariates, [wanted], marginal=one.marginal)
            if not fit.accepted[0]:
                continue
            value, error = shuffled_steps([null], rest, _contrast(one), places)
            full.append(float(fit.log_ratio[0]))
            short.append(float(value[0, 0]))
            se.append(float(error[0, 0]))
    return {"full": np.array(full), "one_step": np.array(short), "std_error": np.array(se)}


def _joint(shop: Workshop, declared: Multiverse, exposure: str) -> list[tuple[Ready, NullModel, OneStep]]:
    """The specifications of the joint test with their null models and their one-step estimates as observed."""

    def make() -> list[tuple[Ready, NullModel, OneStep]]:
        out = []
        for spec in shop.specs[exposure]:
            one = ready_for(shop, spec, exposure, declared.scale)
            if one is None:
                continue
            null = _null(shop, one)
            step = None if null is None else one_step(null, one.exposure.columns.columns, _contrast(one))
            if null is not None and step is not None:
                step = step if declared.null == "flipped" else replace(step, influence=NOBODY)
                out.append((one, null, step))
        return out

    return shop.once(("joint", exposure), make)


def _alike(joint: Sequence[tuple[Ready, NullModel, OneStep]]) -> list[list[int]]:
    """Places of the specifications that have the same exposure, covariates and people, group by group."""
    groups: dict[tuple[int, int, int], list[int]] = {}
    for k, (one, _, _) in enumerate(joint):
        groups.setdefault((id(one.exposure), id(one.covariates), id(one.wanted.weights)), []).append(k)
    return list(groups.values())


def _left_over(one: Ready) -> FloatArray:
    return left_over(one.covariates, one.exposure.columns.columns, one.wanted.weights > 0)


def _null(shop: Workshop, one: Ready) -> NullModel | None:
    w = one.wanted
    key = ("null", id(one.covariates), id(w.outcome), id(w.weights), one.family, one.marginal)
    return shop.once(key, lambda: null_model(one.family, one.covariates, w.outcome, w.weights, marginal=one.marginal))


def _contrast(one: Ready) -> FloatArray:
    return np.asarray(one.exposure.columns.high - one.exposure.columns.low)


def _places(
    shop: Workshop, declared: Multiverse, exposure: str, joint: Sequence[tuple[Ready, NullModel, OneStep]], number: int
) -> IntArray:
    """Whose exposure each person gets in one data set (1, n): that of anyone who is in the same analyses."""

    def classes() -> IntArray:
        masks = {id(one.wanted.weights): one.wanted.weights > 0 for one, _, _ in joint}
        return classes_of(np.stack(list(masks.values())))

    made = shop.once(("classes", exposure), classes)
    if number == 0:
        return np.arange(len(made))[None]
    return shuffles(made, seed_of(shop.ground, declared.id, 1, number), 1)


def _signs(shop: Workshop, declared: Multiverse, exposure: str, number: int) -> FloatArray:
    """A random sign for each person in one data set (n,); all 1 as observed."""
    n = len(shop.universe())
    if number == 0:
        return np.ones(n)
    return np.asarray(seed_of(shop.ground, declared.id, 2, number).integers(0, 2, n) * 2.0 - 1.0)
