"""Columns of an extract -> the analytic cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.cohort import Cohort, Variable
from walkrisk.cohorts.days import Days, daily_seconds, person_values
from walkrisk.cohorts.eligibility import Exclusion, apply_exclusions, eligible
from walkrisk.cohorts.variables import Derivation, derive

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def prepare_cohort(
    columns: Mapping[str, FloatArray],
    *,
    days: Days | None,
    derivations: Mapping[str, Derivation],
    exclusions: Sequence[Exclusion],
    source_variables: Mapping[str, Variable],
    day_values: Mapping[str, FloatArray] | None = None,
    given: Mapping[str, FloatArray] = MappingProxyType({}),
    people: BoolArray | None = None,
) -> Cohort:
    """Person values from daily seconds, derived variables, exclusions in order; input columns (n,) stay as they are.

    `day_values` (n, D) by activity are those of the long layout; in the wide one they are made of the columns unless
    given. `given` values (n,) stand in place of a column, person value or derived variable, `people` (n,) are those who
    may be analysed at all.
    """
    daily: set[str] = set()
    values: dict[str, FloatArray] = {}
    if days:
        if {*days.counts, *days.means} <= set(given):
            values = {name: given[name] for name in (*days.counts, *days.means)}
        elif days.layout == "wide" and day_values is None:
            values = person_values(days, daily_seconds(days, columns))
        else:
            values = person_values(days, day_values or {})
        if days.layout == "wide":
            daily = {c for a in days.columns for c in days.column_names(a)}
    known = {**{k: v for k, v in columns.items() if k not in daily}, **values}
    n = len(next(iter(columns.values())))
    everyone = derive(known, derivations, given)
    included, flow = apply_exclusions(exclusions, everyone, n)
    if people is not None:
        included = included & people
    return Cohort(
        everyone=everyone,
        variables={**source_variables, **described(days, derivations)},
        included=included,
        step_alone={step.id: eligible(step, everyone) for step in exclusions},
        flow=flow,
        n_all=n,
    )


def described(days: Days | None, derivations: Mapping[str, Derivation]) -> dict[str, Variable]:
    """Labels, units and levels of the person values and derived variables, by name."""
    out: dict[str, Variable] = {}
    if days:
        out |= {name: Variable(name, c.label or name, "days") for name, c in days.counts.items()}
        out |= {name: Variable(name, m.label or name, m.unit, None, m.decimals) for name, m in days.means.items()}
    for name, d in derivations.items():
        out[name] = Variable(name, d.label or name, d.unit, d.levels or None, d.decimals)
    return out
