"""What data can determine: cells of factors without events, and columns that others already span."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.models.design import Design, Factor, Product, Term

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
    scale = np.sqrt((x * x).sum(axis=0))
    kept = np.flatnonzero(scale > 0)
    scaled = x[:, kept] / scale[kept]
    if _clearly_independent(scaled):
        return kept
    while kept.size:
        if scaled.shape[0] < scaled.shape[1]:
            triangle = np.linalg.qr(
                np.vstack([scaled, np.zeros((scaled.shape[1] - scaled.shape[0], scaled.shape[1]))]), mode="r"
            )
        else:
            triangle = np.linalg.qr(scaled, mode="r")
        small = np.flatnonzero(np.abs(np.diag(triangle)) < COLLINEAR_TOLERANCE)
        if not small.size:
            break
        kept, scaled = np.delete(kept, small[0]), np.delete(scaled, small[0], axis=1)
    return kept


def _clearly_independent(scaled: FloatArray) -> bool:
    """Whether every column of unit length keeps more than 1e-5 of it after projection on the earlier ones."""
    try:
        return bool(np.all(np.diag(np.linalg.cholesky(scaled.T @ scaled)) > 1e-5))
    except np.linalg.LinAlgError:
        return False


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
    if isinstance(term, Factor):
        return len(term.levels)
    assert isinstance(term, Product)
    return len(term.first.levels) * len(term.second.levels)


def _cell_name(term: Term, cell: int) -> str:
    if isinstance(term, Factor):
        return f"{term.name} {term.labels[cell]}"
    assert isinstance(term, Product)
    first, second = divmod(cell, len(term.second.levels))
    return f"{term.first.name} {term.first.labels[first]} with {term.second.name} {term.second.labels[second]}"
