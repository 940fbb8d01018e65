"""Terms as a user declares them -> terms of a model, with the columns that these evaluate."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.categories import cut_fixed, cut_up, quantile_cuts
from walkrisk.doors.terms import (
    CategoriesTerm,
    DeclaredTerm,
    LinearTerm,
    MainTerm,
    PowerTerm,
    ProductTerm,
)
from walkrisk.errors import DataFault, UsageFault
from walkrisk.models.design import Factor, Linear, Main, Power, Product, Spline, Term
from walkrisk.models.splines import harrell_knots

FloatArray = npt.NDArray[np.float64]


def as_term(term: str | DeclaredTerm) -> DeclaredTerm:
    return LinearTerm(term) if isinstance(term, str) else term


def names_of(term: DeclaredTerm) -> tuple[str, ...]:
    if isinstance(term, ProductTerm):
        return tuple(n for part in (term.first, term.second) for n in names_of(as_term(part)))
    return (term.name,)


@dataclass(slots=True, eq=False)
class TermMaker:
    """Declared terms -> model terms, their columns put into `columns`."""

    values: Mapping[str, FloatArray]
    labels: Mapping[str, tuple[str, ...]]
    columns: dict[str, FloatArray]
    sentences: list[str]
    raw: frozenset[str]  # variables that enter as numbers too
    declared: Sequence[MainTerm]  # the terms that stand in the model themselves
    natural: tuple[str, ...] = ()
    made: dict[MainTerm, Main] = field(default_factory=dict)
    forms: dict[str, set[str]] = field(default_factory=dict)  # by variable: the columns it enters as

    def term(self, declared: DeclaredTerm) -> Term:
        if isinstance(declared, ProductTerm):
            first, second = (self.main(part_of(part, self.declared)) for part in (declared.first, declared.second))
            return Product(first, second)
        return self.main(declared)

    def main(self, declared: MainTerm, reference: Hashable = None, *, of_exposure: bool = False) -> Main:
        """The model term of a declared one, the same one each time (with the reference it first had)."""
        if isinstance(declared, LinearTerm) and declared.per == 1.0 and declared.name in self.labels:
            declared = CategoriesTerm(declared.name)
        if isinstance(declared, CategoriesTerm):
            reference = declared.reference if reference is None else reference
            declared = replace(declared, reference=None)
        if declared not in self.made:
            found = self._main(declared, reference, of_exposure=of_exposure)
            self.made[declared] = found
            self.forms.setdefault(declared.name, set()).add(found.name)
        made = self.made[declared]
        if isinstance(made, Factor) and reference is not None and _number_label(reference) != made.labels[0]:
            raise UsageFault(
                f"{declared.name} is named with two references, {made.labels[0]} and {reference}; name one of them."
            )
        return made

    def _main(self, declared: MainTerm, reference: Hashable = None, *, of_exposure: bool = False) -> Main:
        name = declared.name
        text = name in self.labels
        if isinstance(declared, LinearTerm) and text:
            if declared.per != 1.0:
                raise UsageFault(f"{name} is text, a factor; `per` needs a numeric column.")
            declared = CategoriesTerm(name)
        if isinstance(declared, CategoriesTerm):
            return self._factor(declared, reference if reference is not None else declared.reference, of_exposure)
        if reference is not None:
            raise UsageFault(
                f"`reference` needs levels, but {name} enters as a number; write categories({name!r}) for a factor."
            )
        if text:
            raise UsageFault(f"{name} is text and can only enter as a factor.")
        self.columns[name] = self.values[name]
        if isinstance(declared, LinearTerm):
            return Linear(name, declared.per)
        if isinstance(declared, PowerTerm):
            return Power(name, declared.power)
        if isinstance(declared.knots, tuple):
            return Spline(name, declared.knots)
        try:
            return Spline(name, tuple(float(k) for k in harrell_knots(self.values[name], declared.knots)))
        except ValueError as error:
            raise DataFault(f"spline({name!r}): {error}") from None

    def _factor(self, declared: CategoriesTerm, reference: Hashable, of_exposure: bool) -> Factor:
        name = declared.name
        grouped = bool(declared.quantiles or declared.cuts)
        if grouped and name in self.labels:
            raise UsageFault(f"{name} is text; `quantiles` and `cuts` need a numeric column.")
        codes, labels = self._groups(declared) if grouped else self._levels(name)
        present = [i for i in range(len(labels)) if (codes == i).any()]
        gone = [labels[i] for i in range(len(labels)) if i not in present]
        if gone:
            self.sentences.append(f"{name}: nobody is in {', '.join(gone)} among the analysed rows.")
        order = list(present)
        if reference is not None:
            names = [labels[i] for i in present]
            wanted = _number_label(reference)
            if wanted not in names:
                raise UsageFault(
                    f"{name}: there is no level {reference!r} to be the reference; levels: {', '.join(names)}."
                )
            at = present[names.index(wanted)]
            order = [at, *(i for i in present if i != at)]
        place = np.full(len(labels), -1.0)
        place[order] = np.arange(len(order))
        key = f"{name} (categories)" if name in self.raw and name not in self.labels else name
        again = sum(k == key or k.startswith(f"{key} #") for k in self.columns)
        key = f"{key} #{again + 1}" if again else key  # the same variable in other groups
        self.columns[key] = place[codes]
        if of_exposure:
            self.natural = tuple(labels)
        return Factor(key, tuple(float(i) for i in range(len(order))), tuple(labels[i] for i in order))

    def _levels(self, name: str) -> tuple[npt.NDArray[np.intp], tuple[str, ...]]:
        values = self.values[name]
        if name in self.labels:
            return values.astype(np.intp), self.labels[name]
        levels, codes = np.unique(values, return_inverse=True)
        if len(levels) > max(50, len(values) // 5):
            raise UsageFault(
                f"categories({name!r}): {len(levels)} distinct values; give `quantiles` or `cuts` to group them."
            )
        return codes.reshape(-1), tuple(_number_label(v) for v in levels)

    def _groups(self, declared: CategoriesTerm) -> tuple[npt.NDArray[np.intp], tuple[str, ...]]:
        values = self.values[declared.name]
        if declared.quantiles:
            cuts = quantile_cuts(values, declared.quantiles)
            if np.any(np.diff(cuts) == 0):
                self.sentences.append(f"{declared.name}: cut points coincide, as many rows share a value.")
            labels = declared.labels or tuple(f"Q{i}" for i in range(1, declared.quantiles + 1))
            return cut_up(values, cuts).astype(np.intp) - 1, labels
        return cut_fixed(values, declared.cuts).astype(np.intp) - 1, declared.labels or interval_labels(declared.cuts)


def part_of(part: str | MainTerm, declared: Sequence[MainTerm]) -> MainTerm:
    """The term that a part of a product is: a name is that of the term that stands in the model."""
    if not isinstance(part, str):
        return part
    known = [t for t in declared if t.name == part]
    linear = [t for t in known if isinstance(t, LinearTerm)]
    return linear[0] if linear else known[0] if known else LinearTerm(part)


def _number_label(value: object) -> str:
    return f"{float(value):.15g}" if isinstance(value, (int, float, np.number)) else str(value)


def interval_labels(cuts: Iterable[float]) -> tuple[str, ...]:
    """Names of the intervals between fixed limits: <18.5, 18.5 to <25, >=25."""
    limits = [f"{c:g}" for c in cuts]
    middle = [f"{a} to <{b}" for a, b in itertools.pairwise(limits)]
    return (f"<{limits[0]}", *middle, f">={limits[-1]}")
