"""Who is analysed: exclusions in order with their counts, and restrictions of the analytic sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from walkrisk.declarations import Name, option

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What must hold of one variable for a person to stay; all limits given must hold together."""

    variable: Name = option(doc="The column or variable that is looked at.")
    equals: float | None = option(None, doc="Keep this value only.")
    not_equals: float | None = option(None, doc="Keep all but this value.")
    one_of: tuple[float, ...] = option((), doc="Keep these values only.")
    at_least: float | None = option(None, doc="Keep this value and more.")
    above: float | None = option(None, doc="Keep more than this value.")
    at_most: float | None = option(None, doc="Keep this value and less.")
    below: float | None = option(None, doc="Keep less than this value.")
    missing: Literal["exclude", "keep"] = option("exclude", doc="What becomes of people whose value is unknown.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """One step of the participant flow: people stay if every condition holds and every `known` variable is known."""

    id: Name = option(doc="Name of the step in flow.csv.")
    reason: str = option(doc="Why people leave at this step, as the flow chart says it.")
    require: tuple[Condition, ...] = ()
    known: tuple[Name, ...] = option((), doc="Columns and variables whose value must be known.")


@dataclass(frozen=True, slots=True)
class FlowStep:
    """One row of the participant flow."""

    step: Annotated[str, "id of the exclusion"]
    reason: Annotated[str, "why people leave"]
    n_before: Annotated[int, "people before the step"]
    n_excluded: Annotated[int, "people who leave at it"]
    n_after: Annotated[int, "people left"]


def holds(condition: Condition, columns: Mapping[str, FloatArray]) -> BoolArray:
    """Where a condition holds (n,)."""
    x = columns[condition.variable]
    keep = np.ones(x.shape, dtype=bool)
    if condition.equals is not None:
        keep &= x == condition.equals
    if condition.not_equals is not None:
        keep &= x != condition.not_equals
    if condition.one_of:
        keep &= np.isin(x, condition.one_of)
    for limit, compare in (
        (condition.at_least, np.greater_equal),
        (condition.above, np.greater),
        (condition.at_most, np.less_equal),
        (condition.below, np.less),
    ):
        if limit is not None:
            keep &= compare(x, limit)
    unknown = np.isnan(x)
    return keep | unknown if condition.missing == "keep" else keep & ~unknown


def eligible(step: Exclusion, columns: Mapping[str, FloatArray]) -> BoolArray:
    """Who stays at one step, looked at alone (n,)."""
    masks = [holds(c, columns) for c in step.require] + [~np.isnan(columns[v]) for v in step.known]
    return np.logical_and.reduce(masks)


def apply_exclusions(
    steps: Sequence[Exclusion], columns: Mapping[str, FloatArray], n: int
) -> tuple[BoolArray, tuple[FlowStep, ...]]:
    """Who is left after all steps (n,), and the count at each."""
    keep = np.ones(n, dtype=bool)
    flow = []
    for step in steps:
        before = int(keep.sum())
        keep &= eligible(step, columns)
        after = int(keep.sum())
        flow.append(FlowStep(step.id, step.reason, before, before - after, after))
    return keep, tuple(flow)
