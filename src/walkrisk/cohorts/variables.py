"""Derived variables: a closed set of operations on columns, declared, checked, and applied in order.

Every array is float64 (n,), missing as NaN. Each operation states what it does with missing values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from walkrisk.declarations import Name, option
from walkrisk.exposures.daily_seconds import ratio_of_means

FloatArray = npt.NDArray[np.float64]
Columns = Mapping[str, FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What every variable may say about itself."""

    label: str = option("", doc="Name for people, used in tables and figures.")
    unit: str = option("", doc="Unit shown beside the label.")
    levels: Mapping[int, str] = option(factory=dict, doc="Codes and their names; a variable with levels is a factor.")
    decimals: int = option(1, doc="Decimals of means in tables.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(Described):
    """The source as it is, times `multiply`."""

    op: Literal["copy"]
    source: Name = option(key="from")
    multiply: float = option(1.0, doc="Factor, such as 60 from hours to minutes.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recode(Described):
    """Codes into codes; a code that `map` does not name becomes missing, or stays with `otherwise = "keep"`."""

    op: Literal["recode"]
    source: Name = option(key="from")
    map: Mapping[int, int] = option(doc="Old code -> new code.")
    otherwise: Literal["missing", "keep"] = option("missing", doc="What becomes of codes that `map` does not name.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AtLeast(Described):
    """1 where the source is `threshold` or more, 0 below, missing where unknown."""

    op: Literal["at_least"]
    source: Name = option(key="from")
    threshold: float = option(doc="The least value that counts as 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated(Described):
    """An item asked only behind a gate: missing where the gate is missing, else the item, 0 where it was not filled in.

    An item answered although the gate says no counts as answered.
    """

    op: Literal["gated"]
    gate: Name = option(doc="The earlier question.")
    item: Name = option(doc="The later question, asked of those who said yes.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Coalesce(Described):
    """The first known value of several columns."""

    op: Literal["coalesce"]
    sources: tuple[Name, ...] = option(key="from")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf(Described):
    """1 if any source is 1 (one yes beats missing), 0 if all are 0, else missing."""

    op: Literal["any_of"]
    sources: tuple[Name, ...] = option(key="from")


@dataclass(frozen=True, slots=True, kw_only=True)
class AllOf(Described):
    """1 if every source is 1, else 0 (missing counts as no); missing where `known_if` is missing."""

    op: Literal["all_of"]
    sources: tuple[Name, ...] = option(key="from")
    known_if: Name | None = option(None, doc="Where this is missing, so is the result.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum(Described):
    """The sum of the sources, missing where any is."""

    op: Literal["sum"]
    sources: tuple[Name, ...] = option(key="from")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference(Described):
    """(source - minus) / divide_by, missing where either is; dates are in days."""

    op: Literal["difference"]
    source: Name = option(key="from")
    minus: Name = option(doc="What is taken off.")
    divide_by: float = option(1.0, doc="365 makes years of days.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio(Described):
    """Sum of weight x part, divided by the total: person-level intensity as a ratio of means."""

    op: Literal["ratio_of_means"]
    weights: Mapping[Name, float] = option(doc="Part -> its weight, such as minutes of slow walking -> its MET.")
    total: Name = option(doc="What the weighted sum is divided by.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill(Described):
    """The source, with `value` put where it is missing and `where` equals `equals`."""

    op: Literal["fill"]
    source: Name = option(key="from")
    value: float = option(doc="What is put in.")
    where: Name = option(doc="The column or variable that decides.")
    equals: float = option(doc="Its value where the source is filled in.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventBy(Described):
    """1 if the event happened at or before `horizon`, 0 if followed up to it, missing if censored earlier."""

    op: Literal["event_by"]
    event: Name = option(doc="1 where the event happened by the end of follow-up.")
    time: Name = option(doc="Follow-up time.")
    horizon: float = option(doc="In the unit of `time`.")


Derivation = Copy | Recode | AtLeast | Gated | Coalesce | AnyOf | AllOf | Sum | Difference | Ratio | Fill | EventBy


def sources_of(derivation: Derivation) -> tuple[str, ...]:
    """Names of the columns and variables a derivation reads."""
    match derivation:
        case Coalesce() | AnyOf() | Sum():
            return derivation.sources
        case AllOf():
            return (*derivation.sources, *([derivation.known_if] if derivation.known_if else []))
        case Gated():
            return (derivation.gate, derivation.item)
        case Difference():
            return (derivation.source, derivation.minus)
        case Ratio():
            return (*derivation.weights, derivation.total)
        case Fill():
            return (derivation.source, derivation.where)
        case EventBy():
            return (derivation.event, derivation.time)
        case _:
            return (derivation.source,)


def derive(
    columns: Columns, derivations: Mapping[str, Derivation], given: Columns = MappingProxyType({})
) -> dict[str, FloatArray]:
    """All columns with the derived variables added, in declared order.

    `given` values stand in place of a column or of a derived variable; what is derived from it follows them.
    """
    out = {**columns, **{name: values for name, values in given.items() if name in columns}}
    for name, derivation in derivations.items():
        out[name] = given[name] if name in given else apply(derivation, out)
    return out


def apply(d: Any, c: Columns) -> FloatArray:
    """One derivation on columns of (n,) float64."""
    match d:
        case Copy():
            return c[d.source] * d.multiply if d.multiply != 1.0 else c[d.source].copy()
        case Recode():
            return _recode(c[d.source], d)
        case AtLeast():
            return _flag(c[d.source] >= d.threshold, known=~np.isnan(c[d.source]))
        case Gated():
            item = np.where(np.isnan(c[d.item]), 0.0, c[d.item])
            return np.where(np.isnan(c[d.gate]), np.nan, item)
        case Coalesce():
            return _coalesce([c[s] for s in d.sources])
        case AnyOf():
            stacked = np.stack([c[s] for s in d.sources])
            yes = (stacked == 1).any(axis=0)
            return _flag(yes, known=yes | (stacked == 0).all(axis=0))
        case AllOf():
            yes = np.stack([c[s] == 1 for s in d.sources]).all(axis=0)
            return _flag(yes, known=~np.isnan(c[d.known_if]) if d.known_if else np.ones(yes.shape, dtype=bool))
        case Sum():
            return np.sum([c[s] for s in d.sources], axis=0)
        case Difference():
            return (c[d.source] - c[d.minus]) / d.divide_by
        case Ratio():
            return ratio_of_means({k: c[k] for k in d.weights}, d.weights, c[d.total])
        case Fill():
            return np.where(np.isnan(c[d.source]) & (c[d.where] == d.equals), d.value, c[d.source])
        case EventBy():
            by = (c[d.event] == 1) & (c[d.time] <= d.horizon)
            return _flag(by, known=by | (c[d.time] >= d.horizon) & ~np.isnan(c[d.event]))
        case _:
            raise TypeError(f"no rule for {type(d).__name__}")


def _flag(yes: npt.NDArray[np.bool_] | np.bool_, *, known: npt.NDArray[np.bool_]) -> FloatArray:
    return np.where(known, np.asarray(yes, dtype=np.float64), np.nan)


def _coalesce(arrays: list[FloatArray]) -> FloatArray:
    out = arrays[0]
    for other in arrays[1:]:
        out = np.where(np.isnan(out), other, out)
    return out


def _recode(values: FloatArray, d: Recode) -> FloatArray:
    out = values.copy() if d.otherwise == "keep" else np.full(values.shape, np.nan)
    for code, new in d.map.items():
        out[values == code] = new
    return out
