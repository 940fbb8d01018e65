"""Samples of a cohort: the people of one analysis, their exposure categories, and the cut points that made them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.categories import cut_fixed, cut_up, quantile_cuts

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryRule:
    """How an exposure becomes categories: quantiles, fixed limits, its own codes, or the crossing of two others."""

    variable: str = ""
    quantiles: int | None = None
    cuts: tuple[float, ...] = ()
    codes: tuple[tuple[int, str], ...] = ()
    cross: tuple[str, ...] = ()
    prefix: str = "Q"

    def labels(self, rules: Mapping[str, CategoryRule]) -> tuple[str, ...]:
        """Names of the categories, in order."""
        if self.cross:
            first, second = (rules[name].labels(rules) for name in self.cross)
            return tuple(f"{a}/{b}" for a in first for b in second)
        if self.codes:
            return tuple(name for _, name in self.codes)
        groups = self.quantiles or len(self.cuts) + 1
        return tuple(f"{self.prefix}{i}" for i in range(1, groups + 1))


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Variables (n,) of the people of one analysis; categories 1, 2, ... and cut points by exposure."""

    columns: Mapping[str, FloatArray]
    categories: Mapping[str, FloatArray]
    cuts: Mapping[str, FloatArray]
    n: int

    def where(self, mask: BoolArray) -> Sample:
        """The people `mask` marks, with their categories as they are (not cut again)."""
        return Sample(
            {k: v[mask] for k, v in self.columns.items()},
            {k: v[mask] for k, v in self.categories.items()},
            self.cuts,
            int(mask.sum()),
        )


def categorise(columns: Mapping[str, FloatArray], rules: Mapping[str, CategoryRule], n: int) -> Sample:
    """A sample with every exposure of `rules` cut on these people.

    Quantile groups put a value equal to a cut point into the LOWER group, fixed limits into the UPPER. Joint groups are
    numbered (first - 1) x (number of second) + second, whether or not every group has people.
    """
    categories: dict[str, FloatArray] = {}
    cuts: dict[str, FloatArray] = {}
    for name, rule in sorted(rules.items(), key=lambda item: bool(item[1].cross)):  # crossings last
        if rule.cross:
            categories[name] = _joint(rule, rules, categories)
        elif rule.codes:
            values = columns[rule.variable]
            places = [np.where(values == code, i, np.nan) for i, (code, _) in enumerate(rule.codes, start=1)]
            categories[name] = np.fmax.reduce(places)
        elif rule.quantiles:
            cuts[name] = quantile_cuts(columns[rule.variable], rule.quantiles)
            categories[name] = cut_up(columns[rule.variable], cuts[name])
        elif rule.cuts:
            cuts[name] = np.asarray(rule.cuts, dtype=np.float64)
            categories[name] = cut_fixed(columns[rule.variable], cuts[name])
    return Sample(columns, categories, cuts, n)


def recategorise(sample: Sample, rules: Mapping[str, CategoryRule], names: Collection[str]) -> Sample:
    """A sample with only the exposures `names`, and joint groups made of them, cut again by `rules`."""
    again = {n for n, rule in rules.items() if n in names or set(rule.cross) & set(names)}
    if not again:
        return sample
    fresh = categorise(sample.columns, {n: r for n, r in rules.items() if n in again and not r.cross}, sample.n)
    categories = {**sample.categories, **fresh.categories}
    for name in sorted(again):
        if rules[name].cross:
            categories[name] = _joint(rules[name], rules, categories)
    return Sample(sample.columns, categories, {**sample.cuts, **fresh.cuts}, sample.n)


def _joint(rule: CategoryRule, rules: Mapping[str, CategoryRule], categories: Mapping[str, FloatArray]) -> FloatArray:
    first, second = rule.cross
    return (categories[first] - 1) * len(rules[second].labels(rules)) + categories[second]


def cut_names(rule: CategoryRule) -> Sequence[str]:
    """Names of the cut points of a rule: p25, p50, p75 for quartiles, limit1, ... for fixed limits."""
    if rule.quantiles:
        return [f"p{100 * i / rule.quantiles:.10g}" for i in range(1, rule.quantiles)]
    return [f"limit{i}" for i in range(1, len(rule.cuts) + 1)]
