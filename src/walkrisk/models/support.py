"""What data can determine: cells of factors without events, and columns that others already span."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.models.design import Design, Factor, Product, Term
from walkrisk.models.solver import gram

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

COLLINEAR_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class EmptyCells:
    """`rows` (n,) outside cells without events, the factors whose reference is such a cell, and what to say of them."""

    rows: BoolArray
    no_reference: frozenset[Term]
    sentences: tuple[str, ...]


def cells_without_events(design: Design, y: FloatArray, w: FloatArray) -> EmptyCells:
    """The cells of factors and of products of factors with people (weight above 0) but without events."""
    rows = w > 0
    no_reference: set[Term] = set()
    sentences: list[str] = []
    for term, cell in design.cells.items():
        size = _n_cells(term)
        people = np.bincount(cell, weights=(w > 0).astype(float), minlength=size)
        events = np.bincount(cell, weights=y * (w > 0), minlength=size)
        for empty in np.flatnonzero((people > 0) & (events == 0)):
            rows &= cell != empty
            if isinstance(term, Factor) and empty == 0:
                no_reference.add(term)
            sentences.append(
                f"{_cell_name(term, int(empty))} has no cases ({int(people[empty])} people): "
                "its fitted risk is 0 and it has no risk ratio."
            )
    return EmptyCells(rows, frozenset(no_reference), tuple(sentences))


def independent_columns(x: FloatArray) -> npt.NDArray[np.intp]:
    """Positions of the columns of x (n, p) that are not combinations of EARLIER columns (relative tolerance 1e-9)."""
    products = gram(x)
    scale = np.sqrt(np.diag(products))
    kept = np.flatnonzero(scale > 0)
    if _clearly_independent(products[np.ix_(kept, kept)] / np.outer(scale[kept], scale[kept])):
        return kept
    scaled = x[:, kept] / scale[kept]
    while kept.size:
        short = max(scaled.shape[1] - scaled.shape[0], 0)
        triangle = np.linalg.qr(np.vstack([scaled, np.zeros((short, scaled.shape[1]))]) if short else scaled, mode="r")
        small = np.flatnonzero(np.abs(np.diag(triangle)) < COLLINEAR_TOLERANCE)
        if not small.size:
            break
        kept, scaled = np.delete(kept, small[0]), np.delete(scaled, small[0], axis=1)
    return kept


def _clearly_independent(products: FloatArray) -> bool:
    """Whether every column of unit length keeps more than 1e-5 of it after projection on the earlier ones."""
    try:
        return bool(np.all(np.diag(np.linalg.cholesky(products)) > 1e-5))
    except np.linalg.LinAlgError:
        return False


def separated_rows(x: FloatArray, y: FloatArray, *, logistic: bool = False) -> BoolArray:
    """Rows (n,) whose risk the likelihood drives to 0 (in a logistic model also to 1), found exactly.

    They are the rows with x'd < 0 for some d with X d = 0 for everyone with the outcome and X d <= 0 for the others:
    moving along d lowers risks of people without the outcome and costs nobody anything (logistic: X d >= 0 for
    everyone with the outcome). The largest such set is that of the linear program max sum t, 0 <= t <= 1, t <= -X d.
    References: Albert & Anderson 1984, doi 10.1093/biomet/71.1.1; Correia, Guimaraes & Zylkin 2019, arXiv 1903.01633.
    """
    event = y == 1
    scaled = x / np.maximum(np.abs(x).max(axis=0), 1e-300)
    free = np.eye(x.shape[1]) if logistic else null_space(scaled[event])
    away = np.where(event, -1.0, 1.0)[:, None] * scaled if logistic else scaled[~event] @ free
    size = np.abs(away).max(axis=1, initial=0.0)
    at = np.flatnonzero(size > 1e-8)
    out = np.zeros(len(y), dtype=bool)
    if not at.size or not free.shape[1]:
        return out
    patterns, of = np.unique(np.round(away[at] / size[at, None], 12), axis=0, return_inverse=True)
    apart = _strictly_below(patterns)[of.reshape(-1)]
    out[(np.arange(len(y)) if logistic else np.flatnonzero(~event))[at[apart]]] = True
    return out


def null_space(x: FloatArray) -> FloatArray:
    """Orthonormal directions (p, k) that x (n, p) maps to 0."""
    triangle = np.linalg.qr(x, mode="r")
    _, values, right = np.linalg.svd(triangle, full_matrices=True)
    return np.asarray(right[int(np.sum(values > COLLINEAR_TOLERANCE * values.max(initial=0.0))) :].T)


def _strictly_below(rows: FloatArray) -> BoolArray:
    """Which of rows (m, k) have rows @ d < 0 for some d with rows @ d <= 0 throughout."""
    from scipy.optimize import linprog
    from scipy.sparse import eye_array, hstack

    m, k = rows.shape
    aim = np.concatenate([np.zeros(k), -np.ones(m)])
    found = linprog(
        aim,
        A_ub=hstack([rows, eye_array(m)]).tocsr(),
        b_ub=np.zeros(m),
        bounds=[(None, None)] * k + [(0.0, 1.0)] * m,
        method="highs",
    )
    return np.asarray(found.x[k:] > 0.5) if found.x is not None else np.zeros(m, dtype=bool)


def undetermined(x: FloatArray, at: IntArray, independent: IntArray) -> IntArray:
    """Which columns of `at` take part in a combination that the rows of x (m, p) no longer tell apart.

    `independent` were so before rows were set aside; those of them outside `at` are now combinations of `at`. A
    coefficient is determined only if no such combination uses its column.
    """
    lost = [c for c in independent if c not in at and x[:, c].any()]
    if not lost:
        return np.zeros(0, dtype=np.intp)
    weight, *_ = np.linalg.lstsq(x[:, at], x[:, lost], rcond=None)
    size = np.sqrt((x[:, at] ** 2).sum(axis=0))[:, None] / np.sqrt((x[:, lost] ** 2).sum(axis=0))
    return at[(np.abs(weight) * size > 1e-6).any(axis=1)]


def _n_cells(term: Term) -> int:
    first, second = _factors(term)
    return len(first.levels) * (len(second.levels) if second else 1)


def _cell_name(term: Term, cell: int) -> str:
    first, second = _factors(term)
    if second is None:
        return f"{first.name} {first.labels[cell]}"
    a, b = divmod(cell, len(second.levels))
    return f"{first.name} {first.labels[a]} with {second.name} {second.labels[b]}"


def _factors(term: Term) -> tuple[Factor, Factor | None]:
    """The factor, or the two factors of a product, that a term with cells is made of."""
    first, second = (term.first, term.second) if isinstance(term, Product) else (term, None)
    assert isinstance(first, Factor)
    assert second is None or isinstance(second, Factor)
    return first, second
