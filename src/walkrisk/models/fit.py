"""Fitting one model honestly: cells without events, collinear columns, convergence, fitted risks above 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.models.design import Design, Factor, Product, Term
from walkrisk.models.solver import (
    LOG_BINOMIAL,
    LOGISTIC,
    POISSON,
    Family,
    Solution,
    inverse_information,
    maximise,
    maximise_with_statsmodels,
)

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

FAMILIES: Mapping[str, Family] = {"modified_poisson": POISSON, "log_binomial": LOG_BINOMIAL, "logistic": LOGISTIC}
ENGINES: Mapping[str, Callable[..., Solution]] = {"newton": maximise, "statsmodels": maximise_with_statsmodels}
COLLINEAR_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Fit:
    """One fitted model.

    `names` and `coefficients` (p,) are those of the whole design; a coefficient that was not estimated is NaN and
    `estimated` (p,) False. `scores` (m, q) and `bread` (q, q), the inverse information, belong to the q estimated
    columns and the m rows used, as do `leverage_x` (m, q), the design times the root of the working weight (None for a
    Cox model). `rows` (n,) says which rows those are; people in cells without events have a fitted risk of exactly 0,
    add nothing to the score, and stay in `n`.
    """

    method: str
    names: tuple[str, ...]
    design: Design
    coefficients: FloatArray
    estimated: BoolArray
    scores: FloatArray
    leverage_x: FloatArray | None
    bread: FloatArray
    rows: BoolArray
    n: int
    events: int
    log_likelihood: float
    converged: bool
    iterations: int
    max_fitted_risk: float
    no_reference: frozenset[Term]
    boundary: bool
    warnings: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """Number of estimated coefficients."""
        return int(self.estimated.sum())

    def position(self, columns: tuple[int, ...]) -> list[int]:
        """Positions among the estimated columns of those of `columns` (of the whole design) that were estimated."""
        where = np.cumsum(self.estimated) - 1
        return [int(where[c]) for c in columns if self.estimated[c]]


def fit_model(
    method: str, design: Design, y: FloatArray, *, weights: FloatArray | None = None, engine: str = "newton"
) -> Fit:
    """Fit `method` (modified_poisson, log_binomial, logistic) of a 0/1 outcome (n,) on a design.

    A cell of a factor (or of a product of factors) with people but without events has its maximum at a risk of 0: the
    limit is exact, so its rows are set aside, the coefficients that run to minus infinity are left out, and the others
    are those of the fit without these rows. A column that is a combination of earlier ones is left out (the later one
    goes). Both are said in `warnings`, as are a fit that did not converge and fitted risks above 1. `engine` finds the
    maximum: `newton` (ours) or `statsmodels`, under the same certificate of convergence.
    """
    family = FAMILIES[method]
    n, w = len(y), np.ones(len(y)) if weights is None else weights
    rows, no_reference, sentences = _cells_without_events(design, y, w)
    x_all = design.matrix[rows]
    kept = independent_columns(x_all)
    gone = np.setdiff1d(np.arange(x_all.shape[1]), kept)
    sentences += _collinear_sentence(design, x_all, gone, no_reference)
    estimated = np.zeros(x_all.shape[1], dtype=bool)
    estimated[kept] = True
    x, yy, ww = np.ascontiguousarray(x_all[:, kept]), y[rows], w[rows]
    if not len(yy) or yy.sum() == 0:
        return _empty_fit(method, design, y, sentences)
    start = _feasible_start(x, yy, ww) if family is LOG_BINOMIAL else None
    solution = ENGINES[engine](family, x, yy, weights=ww, start=start)
    mean = family.mean(solution.eta)
    top = float(mean.max())
    boundary = family is LOG_BINOMIAL and top > 1 - 1e-6
    converged = solution.converged and not boundary
    if not converged:
        sentences.append(_not_converged(method, solution.iterations, solution.relative_score, top))
    if family is POISSON and top > 1:
        sentences.append(
            f"{int((mean > 1).sum())} fitted risks exceed 1 (largest {top:.3f}); "
            "risk ratios stay consistent, predicted risks do not."
        )
    coefficients = np.full(x_all.shape[1], np.nan)
    coefficients[kept] = solution.coefficients
    return Fit(
        method=method,
        names=design.names,
        design=design,
        coefficients=coefficients,
        estimated=estimated,
        scores=x * (ww * family.score(solution.eta, yy))[:, None],
        leverage_x=x * np.sqrt(ww * family.information(solution.eta, yy))[:, None],
        bread=inverse_information(family, x, yy, solution.eta, ww),
        rows=rows,
        n=n,
        events=int(y.sum()),
        log_likelihood=solution.log_likelihood,
        converged=converged,
        iterations=solution.iterations,
        max_fitted_risk=top,
        no_reference=no_reference,
        boundary=boundary,
        warnings=tuple(sentences),
    )


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
        return bool(np.min(np.diag(np.linalg.cholesky(scaled.T @ scaled))) > 1e-5)
    except np.linalg.LinAlgError:
        return False


def _cells_without_events(design: Design, y: FloatArray, w: FloatArray) -> tuple[BoolArray, frozenset[Term], list[str]]:
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
    return rows, frozenset(no_reference), sentences


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


def _collinear_sentence(
    design: Design, x: FloatArray, gone: npt.NDArray[np.intp], no_reference: frozenset[Term]
) -> list[str]:
    explained = {
        max(c for c in design.columns_of[t] if x[:, c].any())
        for t in no_reference
        if any(x[:, c].any() for c in design.columns_of[t])
    }
    names = [design.names[c] for c in gone if x[:, c].any() and c not in explained]
    if not names:
        return []
    return [f"{', '.join(names)}: a combination of earlier columns, so left out (the later of collinear columns goes)."]


def _not_converged(method: str, iterations: int, score: float, top: float) -> str:
    where = f", largest fitted risk {top:.4f}" if method == "log_binomial" else ""
    return (
        f"The {method.replace('_', '-')} fit did not converge ({iterations} iterations, "
        f"relative score {score:.1e}{where}); "
        "no estimate is given. Modified Poisson of the same model needs no such maximum."
    )


def _feasible_start(x: FloatArray, y: FloatArray, w: FloatArray) -> FloatArray:
    beta = maximise(POISSON, x, y, weights=w).coefficients
    top = float((x @ beta).max())
    if top > -0.02:
        beta = beta.copy()
        beta[0] -= top + 0.02
    return beta


def _empty_fit(method: str, design: Design, y: FloatArray, sentences: list[str]) -> Fit:
    p = design.matrix.shape[1]
    nothing = np.zeros((0, 0))
    return Fit(
        method=method,
        names=design.names,
        design=design,
        coefficients=np.full(p, np.nan),
        estimated=np.zeros(p, dtype=bool),
        scores=nothing,
        leverage_x=None,
        bread=nothing,
        rows=np.zeros(len(y), dtype=bool),
        n=len(y),
        events=int(y.sum()),
        log_likelihood=float("nan"),
        converged=False,
        iterations=0,
        max_fitted_risk=float("nan"),
        no_reference=frozenset(),
        boundary=False,
        warnings=(*sentences, "Nobody in this sample has the outcome, so no risk ratio can be estimated."),
    )
