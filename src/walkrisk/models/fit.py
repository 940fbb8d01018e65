"""Fitting one model honestly: cells without events, collinear columns, convergence, fitted risks above 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.models.design import Design, Term
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
from walkrisk.models.support import EmptyCells, cells_without_events, independent_columns, undetermined

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

FAMILIES: Mapping[str, Family] = {"modified_poisson": POISSON, "log_binomial": LOG_BINOMIAL, "logistic": LOGISTIC}
ENGINES: Mapping[str, Callable[..., Solution]] = {"newton": maximise, "statsmodels": maximise_with_statsmodels}
NO_RISK = 1e-8  # below this, a fitted risk may be on its way to 0
FEW_EVENTS = 5  # per coefficient


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Fit:
    """One fitted model.

    `names` and `coefficients` (p,) are those of the whole design; a coefficient that was not estimated is NaN and
    `estimated` (p,) False; one that was, but that rows set aside would change, is not `estimable` (p,). `scores` (m, q)
    and `bread` (q, q), the inverse information, belong to the q estimated columns and the m rows used, as does
    `leverage_x` (m, q), the design times the root of the working weight (None for a Cox model). `rows` (n,) says which
    rows those are; people in cells without events have a fitted risk of exactly 0, add nothing to the score, and stay
    in `n`.
    """

    method: str
    names: tuple[str, ...]
    design: Design
    coefficients: FloatArray
    estimated: BoolArray
    estimable: BoolArray
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
    limit is exact, so its rows are set aside, the coefficients that run to infinity are left out, and the others are
    those of the fit without these rows. So it is with people whom the covariates together separate from all events: a
    coefficient that the remaining rows do not determine is then not `estimable`. A column that is a combination of
    earlier ones is left out (the later one goes). All is said in `warnings`, as are a fit that did not converge and
    fitted risks above 1. `engine` finds the maximum: `newton` (ours) or `statsmodels`, under the same certificate.
    """
    family = FAMILIES[method]
    w = np.ones(len(y)) if weights is None else weights
    cells = cells_without_events(design, y, w)
    rows, sentences = cells.rows.copy(), list(cells.sentences)
    independent = independent_columns(design.matrix[w > 0])
    sentences += _collinear_sentence(design, independent)
    separated, solution = 0, None
    while y[rows].any():
        at = independent[independent_columns(design.matrix[np.ix_(rows, independent)])]
        x, yy, ww = np.ascontiguousarray(design.matrix[np.ix_(rows, at)]), y[rows], w[rows]
        start = _feasible_start(x, yy, ww) if family is LOG_BINOMIAL else None
        solution = ENGINES[engine](family, x, yy, weights=ww, start=start)
        apart = _apart(family, x, solution)
        if not apart.any():
            break
        separated += int(apart.sum())
        rows[np.flatnonzero(rows)[apart]] = False
    if y[w > 0].all():
        sentences.append("Everyone in this sample has the outcome, so there is no contrast of risks.")
        return empty_fit(method, design, y, sentences)
    if solution is None or not y[rows].any():
        sentences.append("Nobody in this sample has the outcome, so no risk ratio can be estimated.")
        return empty_fit(method, design, y, sentences)
    if separated:
        sentences.append(
            f"{separated} people without differing outcomes are separated from the others by the covariates together; "
            "ratios that rest on them are not estimable."
        )
    pieces = Pieces(family, x, yy, ww, rows, at, independent, solution)
    with np.errstate(all="ignore"):  # a fit that failed has infinite pieces; its verdict says so
        return _assembled(method, design, y, pieces, cells, sentences)


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """A solved model: columns `at` of the design on `rows`, out of those `independent` on all rows."""

    family: Family
    x: FloatArray
    y: FloatArray
    w: FloatArray
    rows: BoolArray
    at: npt.NDArray[np.intp]
    independent: npt.NDArray[np.intp]
    solution: Solution


def _assembled(
    method: str, design: Design, y: FloatArray, made: Pieces, cells: EmptyCells, sentences: list[str]
) -> Fit:
    family, solution, x = made.family, made.solution, made.x
    mean = family.mean(solution.eta)
    top = float(mean.max())
    boundary = family is LOG_BINOMIAL and top > 1 - 1e-6
    bread = inverse_information(family, x, made.y, solution.eta, made.w)
    converged = solution.converged and not boundary and bool(np.isfinite(bread).all())
    if not converged:
        sentences.append(_not_converged(method, solution.iterations, solution.relative_score, top))
    if family is POISSON and top > 1:
        sentences.append(
            f"{int((mean > 1).sum())} fitted risks exceed 1 (largest {top:.3f}); "
            "risk ratios stay consistent, predicted risks do not."
        )
    if made.y.sum() < FEW_EVENTS * len(made.at):
        sentences.append(
            f"{int(made.y.sum())} events for {len(made.at)} coefficients: with fewer than {FEW_EVENTS} events each, "
            "ratios are unstable and robust intervals too narrow."
        )
    p = design.matrix.shape[1]
    estimated, coefficients = np.zeros(p, dtype=bool), np.full(p, np.nan)
    estimated[made.at], coefficients[made.at] = True, solution.coefficients
    estimable = estimated.copy()
    estimable[undetermined(design.matrix[made.rows], made.at, made.independent)] = False
    return Fit(
        method=method,
        names=design.names,
        design=design,
        coefficients=coefficients,
        estimated=estimated,
        estimable=estimable,
        scores=x * (made.w * family.score(solution.eta, made.y))[:, None],
        leverage_x=x * np.sqrt(made.w * family.information(solution.eta, made.y))[:, None],
        bread=bread,
        rows=made.rows,
        n=len(y),
        events=int(y.sum()),
        log_likelihood=solution.log_likelihood,
        converged=converged,
        iterations=solution.iterations,
        max_fitted_risk=top,
        no_reference=cells.no_reference,
        boundary=boundary,
        warnings=tuple(sentences),
    )


def _apart(family: Family, x: FloatArray, solution: Solution) -> BoolArray:
    """Rows whose fitted risk runs to 0 (or, in a logistic model, to 1).

    Those below NO_RISK, if the iteration gave up, or if the others do not determine all coefficients: then nothing but
    these rows, all without events, holds some combination of coefficients, and it holds none. A risk that is merely
    very small where the others determine everything is a risk like any other.
    """
    mean = family.mean(solution.eta)
    apart = mean < NO_RISK
    if family is LOGISTIC:
        apart |= mean > 1 - NO_RISK
    if solution.converged and apart.any() and len(independent_columns(x[~apart])) == x.shape[1]:
        return np.zeros(mean.shape, dtype=bool)
    return apart


def _collinear_sentence(design: Design, independent: npt.NDArray[np.intp]) -> list[str]:
    gone = [c for c in range(len(design.names)) if c not in independent]
    zero = [design.names[c] for c in gone if not design.matrix[:, c].any()]
    spanned = [design.names[c] for c in gone if design.matrix[:, c].any()]
    why = "a combination of earlier columns, so left out (the later of collinear columns goes)"
    said = [f"{', '.join(zero)}: 0 for everyone, so left out."] if zero else []
    return [*said, f"{', '.join(spanned)}: {why}."] if spanned else said


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


def empty_fit(method: str, design: Design, y: FloatArray, sentences: list[str]) -> Fit:
    """A fit of nothing: no column estimated, not converged, with the sentences that say why."""
    p = design.matrix.shape[1]
    nothing = np.zeros((0, 0))
    return Fit(
        method=method,
        names=design.names,
        design=design,
        coefficients=np.full(p, np.nan),
        estimated=np.zeros(p, dtype=bool),
        estimable=np.zeros(p, dtype=bool),
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
        warnings=tuple(sentences),
    )
