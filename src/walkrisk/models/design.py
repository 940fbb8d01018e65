"""Design matrices from validated terms: patsy gives their structure, and no text of a user's is parsed or evaluated."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import patsy

from walkrisk.models.compositions import pivot_coordinates
from walkrisk.models.fractional_polynomials import fractional_powers
from walkrisk.models.splines import restricted_cubic_derivative

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]
Columns = Mapping[str, FloatArray]
Order = Literal[0, 1, 2]

INTERCEPT = "Intercept"


@dataclass(frozen=True, slots=True)
class Linear:
    """One column: the variable itself, in units of `per`."""

    name: str
    per: float = 1.0

    @property
    def width(self) -> int:
        return 1

    def eval(self, columns: Columns, order: Order = 0) -> FloatArray:
        x = columns[self.name]
        if order:
            return np.full(len(x), 1 / self.per if order == 1 else 0.0)
        return x / self.per if self.per != 1.0 else x


@dataclass(frozen=True, slots=True)
class Factor:
    """One 0/1 column for each level but the first, which is the reference."""

    name: str
    levels: tuple[float, ...]
    labels: tuple[str, ...]

    def codes(self, columns: Columns) -> IntArray:
        """The level number (n,) of each row; ValueError for values that are no level."""
        x, levels = columns[self.name], np.asarray(self.levels)
        codes = np.minimum(np.searchsorted(levels, x), len(levels) - 1)
        unknown = int((levels[codes] != x).sum())
        if unknown:
            raise ValueError(
                f"{unknown} values of {self.name} are none of its levels ({', '.join(f'{v:g}' for v in self.levels)}); "
                "leave these rows out or build the factor from all values."
            )
        return codes


@dataclass(frozen=True, slots=True)
class Power:
    """One column: a power of a variable."""

    name: str
    power: float

    @property
    def width(self) -> int:
        return 1

    def eval(self, columns: Columns, order: Order = 0) -> FloatArray:
        x, p = columns[self.name], self.power
        if not np.isfinite(p) or p == 0:
            raise ValueError(
                f"The power of {self.name} must be finite and not 0, got {p:g}; for a logarithm take "
                "a fractional polynomial of power 0."
            )
        if p != int(p):
            _refuse(self.name, int((x < 0).sum()), f"are below 0, where the power {p:g} is not defined")
        if p < 0:
            _refuse(self.name, int((x == 0).sum()), f"are 0, where the power {p:g} is not defined")
        weight = 1.0 if order == 0 else p if order == 1 else p * (p - 1)
        return np.asarray(weight * x ** (p - order)) if weight else np.zeros(len(x))


@dataclass(frozen=True, slots=True)
class Spline:
    """A restricted cubic spline of a variable with recorded knots."""

    name: str
    knots: tuple[float, ...]

    @property
    def width(self) -> int:
        return len(self.knots) - 1

    def eval(self, columns: Columns, order: Order = 0) -> FloatArray:
        return restricted_cubic_derivative(columns[self.name], self.knots, order=order)


@dataclass(frozen=True, slots=True)
class FractionalPolynomial:
    """A fractional polynomial of (variable + shift)/scale; a power of 0 is the logarithm, repeated powers gain one."""

    name: str
    powers: tuple[float, ...]
    shift: float = 0.0
    scale: float = 1.0

    @property
    def width(self) -> int:
        return len(self.powers)

    def eval(self, columns: Columns, order: Order = 0) -> FloatArray:
        x = columns[self.name]
        return fractional_powers(x, self.powers, shift=self.shift, scale=self.scale, name=self.name, order=order)


@dataclass(frozen=True, slots=True)
class Composition:
    """The isometric log-ratio (pivot) coordinates of the parts of a whole, in the order of `names`."""

    names: tuple[str, ...]

    @property
    def name(self) -> str:
        return ":".join(self.names)

    @property
    def width(self) -> int:
        return len(self.names) - 1

    def eval(self, columns: Columns, order: Order = 0) -> FloatArray:
        if order:
            raise ValueError("A composition has no derivative by one part alone, as the others must make room for it.")
        return pivot_coordinates(np.column_stack([columns[n] for n in self.names]), self.names)


Numeric = Linear | Power | Spline | FractionalPolynomial | Composition
Main = Factor | Numeric


@dataclass(frozen=True, slots=True)
class Product:
    """The interaction of two terms whose main effects are in the design too."""

    first: Main
    second: Main


Term = Main | Product


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A design matrix with the meaning of its columns.

    `matrix` (n, p), first column the intercept; `names` (p,); `columns_of` maps a term to its column positions;
    `cells` holds for each factor and product of factors the cell number of each row, for finding cells without events.
    """

    matrix: FloatArray
    names: tuple[str, ...]
    columns_of: Mapping[Term, tuple[int, ...]]
    cells: Mapping[Term, IntArray]


def factor(name: str, values: FloatArray, labels: Mapping[int, str] | None = None) -> Factor:
    """The factor of a coded variable: its levels are the codes that occur, the lowest the reference."""
    levels = tuple(float(v) for v in np.unique(values[~np.isnan(values)]))
    texts = [(labels or {}).get(int(v), f"{v:g}") for v in levels]
    if len(set(texts)) < len(texts):
        texts = [f"{text} ({v:g})" for text, v in zip(texts, levels, strict=True)]
    return Factor(name, levels, tuple(texts))


def mains_of(term: Term) -> tuple[Main, ...]:
    """The main terms that a term is made of: itself, or the two of a product."""
    return (term.first, term.second) if isinstance(term, Product) else (term,)


def variables_of(term: Term) -> tuple[str, ...]:
    """The names of the variables that a term reads, each once."""
    names = [n for main in mains_of(term) for n in (main.names if isinstance(main, Composition) else (main.name,))]
    return tuple(dict.fromkeys(names))


def build_design(columns: Columns, terms: Sequence[Term], n: int) -> Design:
    """The design matrix of intercept and `terms`, columns in the order of the terms, for complete rows of `columns`.

    patsy decides which columns there are, how factors are coded and what columns are called, from the terms alone;
    the columns (n,) are then filled without it. Raises ValueError for values that are unknown or infinite, no level of
    their factor, or outside the domain of a power, a logarithm or a composition.
    """
    layout = _layout(tuple(terms))
    values = {main: _values(main, columns, 0) for main in layout.mains}
    return Design(_filled(layout, values, n), layout.names, dict(layout.columns_of), _cells(terms, values))


def derivative_design(columns: Columns, terms: Sequence[Term], n: int, name: str, order: Order) -> FloatArray:
    """The derivative (n, p) of a design's rows by the variable `name`, of order 1 or 2; 0 where it does not occur.

    Raises ValueError if `name` enters as a factor, in a composition, or in both terms of a product.
    """
    layout = _layout(tuple(terms))
    for term in terms:
        mains = [main for main in mains_of(term) if name in variables_of(main)]
        if len(mains) > 1 or any(isinstance(main, Factor) for main in mains):
            raise ValueError(f"{name} has no slope here: it enters as categories or as a product with itself.")
    values = {main: _values(main, columns, order if name in variables_of(main) else 0) for main in layout.mains}
    matrix = _filled(layout, values, n)
    for column, parts in enumerate(layout.parts):
        if not any(name in variables_of(main) for main, _, _ in parts):
            matrix[:, column] = 0.0
    return matrix


def without_columns(design: Design, gone: Sequence[int]) -> Design:
    """The design less some columns; its terms keep the columns that remain, its cells stay for terms that lose none."""
    keep = [c for c in range(len(design.names)) if c not in set(gone)]
    place = {c: i for i, c in enumerate(keep)}
    columns_of = {t: tuple(place[c] for c in at if c in place) for t, at in design.columns_of.items()}
    cells = {t: cell for t, cell in design.cells.items() if len(columns_of[t]) == len(design.columns_of[t])}
    return Design(np.asfortranarray(design.matrix[:, keep]), tuple(design.names[c] for c in keep), columns_of, cells)


Part = tuple[Main, int, FloatArray | None]  # a main term, its column, and for a factor the column of its coding


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """What patsy made of terms: the columns by name, and the parts whose product each of them is."""

    names: tuple[str, ...]
    parts: tuple[tuple[Part, ...], ...]
    columns_of: Mapping[Term, tuple[int, ...]]
    mains: tuple[Main, ...]


class _PatsyFactor:
    """patsy's factor protocol around one of our terms: shows the kind and the width of its values, no data.

    `again` counts earlier main terms of the same name, so that a variable may enter a design twice.
    """

    def __init__(self, term: Main, again: int) -> None:
        self.term = term
        self.again = again
        self.origin = None

    def name(self) -> str:
        return self.term.name + "'" * self.again

    def memorize_passes_needed(self, state: dict[str, Any], eval_env: Any) -> int:
        return 0

    def eval(self, memorize_state: dict[str, Any], data: Any) -> Any:
        if isinstance(self.term, Factor):
            if not self.term.levels:
                raise ValueError(f"No value of {self.term.name} is known, so it has no categories; leave it out.")
            return pd.Categorical.from_codes([0], categories=pd.Index(self.term.labels))
        return np.zeros((1, self.term.width))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _PatsyFactor) and (self.term, self.again) == (other.term, other.again)

    def __hash__(self) -> int:
        return hash((self.term, self.again))


def _patsy_terms(terms: Sequence[Term]) -> list[Any]:
    seen: list[str] = []
    first: dict[Main, int] = {}
    made: list[Any] = []
    for term in terms:
        if not isinstance(term, Product):
            first.setdefault(term, seen.count(term.name))
            made.append(patsy.Term([_PatsyFactor(term, seen.count(term.name))]))
            seen.append(term.name)
        else:
            made.append(term)
    for i, term in enumerate(terms):
        if isinstance(term, Product):
            if term.first == term.second:
                raise ValueError(f"A product of {term.first.name} with itself is no interaction; use a power of it.")
            made[i] = patsy.Term([_PatsyFactor(m, first.get(m, seen.count(m.name))) for m in mains_of(term)])
    return made


@functools.lru_cache(maxsize=128)
def _layout(terms: tuple[Term, ...]) -> _Layout:
    patsy_terms = [patsy.Term([]), *_patsy_terms(terms)]

    def chunks() -> Iterator[dict[str, Any]]:
        yield {}

    info = patsy.build.design_matrix_builders([patsy_terms], chunks, eval_env=0)[0]
    parts: list[tuple[Part, ...]] = [()]
    order: list[int] = [info.term_slices[patsy_terms[0]].start]
    columns_of: dict[Term, tuple[int, ...]] = {}
    for term, patsy_term in zip(terms, patsy_terms[1:], strict=True):
        span = info.term_slices[patsy_term]
        made = [p for subterm in info.term_codings[patsy_term] for p in _parts(subterm, info.factor_infos)]
        columns_of.setdefault(term, tuple(range(len(parts), len(parts) + len(made))))
        parts += made
        order += range(span.start, span.stop)
    names = tuple(info.column_names[i].replace("[T.", "[") for i in order)
    mains = tuple(dict.fromkeys(main for term in terms for main in mains_of(term)))
    return _Layout(names, tuple(parts), columns_of, mains)


def _parts(subterm: Any, factor_infos: Any) -> Iterator[tuple[Part, ...]]:
    """The columns of one of patsy's subterms, its first factor running fastest, as patsy documents."""
    choices: list[list[Part]] = []
    for f in subterm.factors:
        if f in subterm.contrast_matrices:
            coding = np.asarray(subterm.contrast_matrices[f].matrix, dtype=np.float64)
            choices.append([(f.term, j, np.ascontiguousarray(coding[:, j])) for j in range(coding.shape[1])])
        else:
            choices.append([(f.term, j, None) for j in range(factor_infos[f].num_columns)])
    for chosen in itertools.product(*reversed(choices)):
        yield tuple(reversed(chosen))


def _values(main: Main, columns: Columns, order: Order) -> Any:
    if isinstance(main, Factor):
        return main.codes(columns)
    with np.errstate(over="ignore", invalid="ignore"):
        value = main.eval(columns, order)
        suspect = [c for c in (value.T if value.ndim == 2 else (value,)) if not np.isfinite(c.sum())]
    for column in suspect:  # a sum needs no temporary; only where it fails are values counted
        _refuse(main.name, int((~np.isfinite(column)).sum()), "are unknown, infinite or too large to compute with")
    return value


def _filled(layout: _Layout, values: Mapping[Main, Any], n: int) -> FloatArray:
    matrix = np.empty((n, len(layout.names)), order="F")
    for target, parts in zip(matrix.T, layout.parts, strict=True):
        if not parts:
            target[:] = 1.0
        for i, (main, column, coding) in enumerate(parts):
            value = values[main]
            if coding is not None:
                if i == 0:
                    np.take(coding, value, out=target, mode="clip")
                else:
                    target *= coding[value]
            elif i == 0:
                target[:] = value if value.ndim == 1 else value[:, column]
            else:
                target *= value if value.ndim == 1 else value[:, column]
    return matrix


def _cells(terms: Sequence[Term], values: Mapping[Main, Any]) -> dict[Term, IntArray]:
    cells: dict[Term, IntArray] = {}
    for term in terms:
        if isinstance(term, Factor):
            cells[term] = values[term]
        elif isinstance(term, Product) and isinstance(term.first, Factor) and isinstance(term.second, Factor):
            cells[term] = values[term.first] * len(term.second.levels) + values[term.second]
    return cells


def _refuse(name: str, count: int, why: str) -> None:
    if count:
        raise ValueError(f"{count} values of {name} {why}; leave these rows out or choose another term.")
