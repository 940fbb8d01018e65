"""Design matrices through patsy, from validated terms: no text of a user's is ever parsed or evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import patsy

from walkrisk.models.splines import restricted_cubic_basis

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Columns = Mapping[str, FloatArray]

INTERCEPT = "Intercept"


@dataclass(frozen=True, slots=True)
class Linear:
    """One column: the variable itself, in units of `per`."""

    name: str
    per: float = 1.0

    def eval(self, columns: Columns) -> FloatArray:
        return columns[self.name] / self.per if self.per != 1.0 else columns[self.name]


@dataclass(frozen=True, slots=True)
class Factor:
    """One 0/1 column for each level but the first, which is the reference."""

    name: str
    levels: tuple[float, ...]
    labels: tuple[str, ...]

    def eval(self, columns: Columns) -> Any:
        codes = np.searchsorted(self.levels, columns[self.name])
        return pd.Categorical.from_codes(codes, categories=pd.Index(self.labels))


@dataclass(frozen=True, slots=True)
class Spline:
    """A restricted cubic spline of a variable with recorded knots."""

    name: str
    knots: tuple[float, ...]

    def eval(self, columns: Columns) -> FloatArray:
        return restricted_cubic_basis(columns[self.name], self.knots)


@dataclass(frozen=True, slots=True)
class Product:
    """The interaction of two factors whose main effects are in the design too."""

    first: Factor
    second: Factor


Term = Linear | Factor | Spline | Product


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A design matrix with the meaning of its columns.

    `matrix` (n, p), first column the intercept; `names` (p,); `columns_of` maps a term to its column positions;
    `cells` holds for each factor and product the cell number of each row, for finding cells without events.
    """

    matrix: FloatArray
    names: tuple[str, ...]
    columns_of: Mapping[Term, tuple[int, ...]]
    cells: Mapping[Term, npt.NDArray[np.intp]]


class _PatsyFactor:
    """patsy's factor protocol around one of our terms: looks a column up, evaluates nothing.

    `again` counts earlier main terms of the same name, so that a variable may enter a design twice.
    """

    def __init__(self, term: Linear | Factor | Spline, again: int = 0) -> None:
        self.term = term
        self.again = again
        self.origin = None
        self.value: Any = None

    def name(self) -> str:
        return self.term.name + "'" * self.again

    def memorize_passes_needed(self, state: dict[str, Any], eval_env: Any) -> int:
        return 0

    def eval(self, memorize_state: dict[str, Any], data: Columns) -> Any:
        if self.value is None:  # patsy asks twice: to learn the levels, and to fill the matrix
            self.value = self.term.eval(data)
        return self.value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _PatsyFactor) and (self.term, self.again) == (other.term, other.again)

    def __hash__(self) -> int:
        return hash((self.term, self.again))


def factor(name: str, values: FloatArray, labels: Mapping[int, str] | None = None) -> Factor:
    """The factor of a coded variable: its levels are the codes that occur, the lowest the reference."""
    levels = tuple(float(v) for v in np.unique(values[~np.isnan(values)]))
    texts = [(labels or {}).get(int(v), f"{v:g}") for v in levels]
    if len(set(texts)) < len(texts):
        texts = [f"{text} ({v:g})" for text, v in zip(texts, levels, strict=True)]
    return Factor(name, levels, tuple(texts))


def build_design(columns: Columns, terms: Sequence[Term], n: int) -> Design:
    """The design matrix of intercept and `terms`, columns in the order of the terms, for complete rows of `columns`."""
    patsy_terms, seen = [patsy.Term([])], list[str]()
    for term in terms:
        if isinstance(term, Product):
            patsy_terms.append(patsy.Term([_PatsyFactor(term.first), _PatsyFactor(term.second)]))
        else:
            patsy_terms.append(patsy.Term([_PatsyFactor(term, seen.count(term.name))]))
            seen.append(term.name)

    def chunks() -> Iterator[Columns]:
        yield columns

    info = patsy.build.design_matrix_builders([patsy_terms], chunks, eval_env=0)[0]
    rows = pd.RangeIndex(n)
    made = patsy.build.build_design_matrices(
        [info], columns, NA_action=patsy.NAAction(NA_types=[]), return_type="matrix"
    )[0]
    matrix = np.broadcast_to(np.asarray(made), (len(rows), made.shape[1]))  # an intercept alone has one row
    order: list[int] = []
    columns_of: dict[Term, tuple[int, ...]] = {}
    order.append(info.term_slices[patsy_terms[0]].start)
    for term, patsy_term in zip(terms, patsy_terms[1:], strict=True):
        span = info.term_slices[patsy_term]
        columns_of.setdefault(term, tuple(range(len(order), len(order) + span.stop - span.start)))
        order.extend(range(span.start, span.stop))
    names = tuple(info.column_names[i].replace("[T.", "[") for i in order)
    return Design(np.asfortranarray(matrix[:, order]), names, columns_of, _cells(columns, terms))


def _cells(columns: Columns, terms: Sequence[Term]) -> dict[Term, npt.NDArray[np.intp]]:
    cells: dict[Term, npt.NDArray[np.intp]] = {}
    for term in terms:
        if isinstance(term, Factor):
            cells[term] = np.searchsorted(term.levels, columns[term.name])
        elif isinstance(term, Product):
            first = np.searchsorted(term.first.levels, columns[term.first.name])
            second = np.searchsorted(term.second.levels, columns[term.second.name])
            cells[term] = first * len(term.second.levels) + second
    return cells
