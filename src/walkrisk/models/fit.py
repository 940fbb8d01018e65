"""Fitting one model honestly: cells without events, collinear columns, maxima on the boundary, fitted risks above 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from walkrisk.models.constrained import Certificate, interior_certificate, maximum_on_the_edge
from walkrisk.models.coordinates import Coordinates, Curved, curved, is_narrow, well_conditioned
from walkrisk.models.design import Design, Term
from walkrisk.models.engines import search
from walkrisk.models.fit_sentences import collinear_sentence, overflowing, said
from walkrisk.models.solver import (
    IDENTITY_BINOMIAL,
    IDENTITY_POISSON,
    LEAST_SQUARES,
    LOG_BINOMIAL,
    LOGISTIC,
    POISSON,
    Family,
    Link,
    Solution,
    vanished,
)
from walkrisk.models.support import (
    EmptyCells,
    cells_without_events,
    independent_columns,
    separated_rows,
    undetermined,
)

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

FAMILIES: Mapping[str, Family] = {
    "modified_poisson": POISSON,
    "log_binomial": LOG_BINOMIAL,
    "logistic": LOGISTIC,
    "identity_binomial": IDENTITY_BINOMIAL,
    "identity_poisson": IDENTITY_POISSON,
    "linear": LEAST_SQUARES,
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Fit:
    """One fitted model.

    `names` and `coefficients` (p,) are those of the whole design; a coefficient that was not estimated is NaN and
    `estimated` (p,) False; one that was, but that rows set aside would change, is not `estimable` (p,). `scores` (m, q)
    and `bread` (q, q), the inverse of the observed information, belong to the q estimated columns and the m rows used;
    so do `expected_bread` (q, q), the inverse of the expected information (what R's glm and sandwich use; the same
    where the link is canonical), `outcome`, `weights`, `working` (m,), the weights times the expected information of
    each row, and `leverage_x` (m, q), the design times the root of `working` (None for a Cox model; with
    `expected_bread` it gives R's hat values). `everyone` holds outcome and weights (n,) of all rows. `rows` (n,) says
    which rows those are; people in cells without events have a fitted risk of exactly 0, add nothing to the score, and
    stay in `n`. `dispersion` is the residual variance of a least squares fit (both breads leave it out), 1 elsewhere.

    On the boundary (`boundary`, see `certificate`) no Wald interval holds: `wald` is False and both breads are NaN, so
    that no variance of any kind can be made of them. `profile.profile_interval` gives limits there.

    Of an ill-conditioned design (a year whose values differ little, columns nearly alike) coefficients, breads and
    scores are computed in other `coordinates` and brought back, so that each is right to rounding. A product of several
    of them is not: `conditioned` holds the same fit in these coordinates, in which `covariance` makes its products.
    """

    method: str
    names: tuple[str, ...]
    design: Design
    coefficients: FloatArray
    estimated: BoolArray
    estimable: BoolArray
    scores: FloatArray
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
    link: Link = "log"
    wald: bool = True
    weights: FloatArray | None = None
    outcome: FloatArray | None = None
    working: FloatArray | None = None
    expected_bread: FloatArray | None = None
    dispersion: float = 1.0
    certificate: Certificate | None = None
    everyone: tuple[FloatArray, FloatArray] | None = None
    conditioned: Conditioned | None = None

    @property
    def parameters(self) -> int:
        """Number of estimated coefficients."""
        return int(self.estimated.sum())

    @property
    def x(self) -> FloatArray:
        """The design (m, q) of the rows used and the estimated columns; not a copy where that is all of it."""
        return used_part(self.design.matrix, self.rows, np.flatnonzero(self.estimated))

    @property
    def leverage_x(self) -> FloatArray | None:
        """The design (m, q) times the root of the expected working weight; None without one (Cox, duplicated cases)."""
        return None if self.working is None else self.x * np.sqrt(self.working)[:, None]

    def position(self, columns: tuple[int, ...]) -> list[int]:
        """Positions among the estimated columns of those of `columns` (of the whole design) that were estimated."""
        where = np.cumsum(self.estimated) - 1
        return [int(where[c]) for c in columns if self.estimated[c]]


@dataclass(frozen=True, slots=True, eq=False)
class Conditioned:
    """A fit in well-conditioned coordinates, `back` (q, q) leading from its coefficients and covariances to ours."""

    fit: Fit
    back: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """A solved model: columns `at` of the design on `rows`, and how many people were separated from the events."""

    family: Family
    rows: BoolArray
    at: npt.NDArray[np.intp]
    solution: Solution | None
    certificate: Certificate | None
    separated: int
    engine: str


def fit_model(
    method: str, design: Design, y: FloatArray, *, weights: FloatArray | None = None, engine: str = "newton"
) -> Fit:
    """Fit `method` (a name of FAMILIES) of a 0/1 outcome (n,) on a design, with weights of 0 or more (n,).

    Under a log or logit link a cell of a factor (or of a product of factors) with people but without events has its
    maximum at a risk of 0: the limit is exact, so its rows are set aside, the coefficients that run to infinity are
    left out, and the others are those of the fit without these rows. So it is with people whom the covariates together
    separate from all events: a coefficient that the remaining rows do not determine is then not `estimable`. Under an
    identity link a risk of 0 is a risk like any other. A column that is a combination of earlier ones is left out (the
    later one goes). A log-binomial or identity-link maximum may lie on the boundary, at fitted risks of 1 (or 0): it
    is found and certified. All is said in `warnings`, as are a fit that did not converge and fitted risks out of
    range. `engine` finds the maximum: `newton` (ours) or `statsmodels`, under the same certificate, which gives up
    where the maximum is on the boundary.

    Raises ValueError for an unknown method, an outcome that is not 0/1, values that are not finite, and weights that
    are negative or all 0.
    """
    if method not in FAMILIES:
        raise ValueError(f"There is no method {method!r}: choose from {', '.join(FAMILIES)}.")
    family = FAMILIES[method]
    w = np.ones(len(y)) if weights is None else weights
    _check(design, y, w)
    everyone = w > 0
    cells = EmptyCells(everyone, frozenset(), ())
    if family.link != "identity":
        cells = cells_without_events(design, y, w)
    independent = independent_columns(used_part(design.matrix, everyone, np.arange(design.matrix.shape[1])))
    sentences = [*cells.sentences, *collinear_sentence(design, independent)]
    if y[everyone].all():
        sentences.append("Everyone in this sample has the outcome, so there is no contrast of risks.")
        return empty_fit(method, design, y, sentences)
    solved = solve(family, design.matrix, y, w, rows=cells.rows, independent=independent, engine=engine)
    if solved.solution is None:
        if solved.separated:
            sentences.append(
                "The covariates tell all people with the outcome from all others, so nothing is estimable."
            )
            return empty_fit(method, design, y, sentences)
        what = "risk difference" if family.link == "identity" else "risk ratio"
        sentences.append(f"Nobody in this sample has the outcome, so no {what} can be estimated.")
        return empty_fit(method, design, y, sentences)
    if solved.separated:
        sentences.append(
            f"The covariates together set {solved.separated} people apart, all with or all without the outcome; ratios "
            "that rest on them are not estimable."
        )
    with np.errstate(all="ignore"):  # a fit that failed has infinite pieces; its verdict says so
        return _assembled(method, design, (y, w), solved, independent, cells, sentences)


def solve(
    family: Family,
    matrix: FloatArray,
    y: FloatArray,
    w: FloatArray,
    *,
    rows: BoolArray,
    independent: npt.NDArray[np.intp],
    engine: str = "newton",
) -> Solved:
    """The highest likelihood on `rows` (n,) of the columns `independent`, whatever separates being set aside.

    No solution if nobody among the rows has the outcome.
    """
    rows, separated = rows.copy(), 0
    while y[rows].any():
        at = independent
        if not np.array_equal(rows, w > 0):
            at = independent[independent_columns(used_part(matrix, rows, independent))]
        x, yy, ww = used_part(matrix, rows, at), y[rows], w[rows]
        found = search(engine, family, x, yy, ww)
        made = None
        if not found.converged and is_narrow(x, ww) and (made := well_conditioned(x, ww)) is not None:
            x, found = made.z, search(engine, family, made.z, yy, ww)
        apart = _apart(family, x, yy, found)
        if not apart.any():
            certificate = interior_certificate(found, x.shape[1])
            if not found.converged and family.bounded and engine == "newton":
                found, certificate = maximum_on_the_edge(family, x, yy, ww, found)
            if made is not None:
                found, certificate = _brought_back(made, found, certificate)
            return Solved(family, rows, at, found, certificate, separated, engine)
        separated += int(apart.sum())
        rows[np.flatnonzero(rows)[apart]] = False
    return Solved(family, rows, independent[:0], None, None, separated, engine)


def _brought_back(made: Coordinates, found: Solution, certificate: Certificate) -> tuple[Solution, Certificate]:
    """A solution and its certificate in the original columns."""
    flat = (made.back[:, certificate.flat] != 0).any(axis=1)
    return replace(found, coefficients=made.back @ found.coefficients), replace(certificate, flat=flat)


def used_part(matrix: FloatArray, rows: BoolArray, at: npt.NDArray[np.intp]) -> FloatArray:
    """Rows and columns of a matrix, and the matrix itself where they are all of it."""
    part = matrix if len(at) == matrix.shape[1] else matrix[:, at]
    return part if rows.all() else np.asfortranarray(part[rows])


def _check(design: Design, y: FloatArray, w: FloatArray) -> None:
    if not ((y == 0) | (y == 1)).all():
        raise ValueError("The outcome must be 0 or 1 for everyone who enters a model.")
    if not np.isfinite(w).all() or np.any(w < 0):
        raise ValueError("Weights must be finite and 0 or more; leave people without a weight out.")
    if not np.any(w > 0):
        raise ValueError("All weights are 0, so nobody is left to fit a model to.")
    with np.errstate(all="ignore"):
        total = design.matrix.sum(axis=0)
    bad = [design.names[c] for c in np.flatnonzero(~np.isfinite(total)) if not np.isfinite(design.matrix[:, c]).all()]
    if bad:
        raise ValueError(f"{', '.join(bad)}: values that are missing or infinite cannot enter a model.")


def _assembled(
    method: str,
    design: Design,
    data: tuple[FloatArray, FloatArray],
    solved: Solved,
    independent: npt.NDArray[np.intp],
    cells: EmptyCells,
    sentences: list[str],
) -> Fit:
    family, solution, certificate = solved.family, solved.solution, solved.certificate
    assert solution is not None
    assert certificate is not None
    y, w = data[0][solved.rows], data[1][solved.rows]
    x = used_part(design.matrix, solved.rows, solved.at)
    boundary = certificate.verdict == "boundary"
    wald = not boundary and not certificate.flat.any()
    nothing = np.full((len(solved.at), len(solved.at)), np.nan)
    shape = curved(family, x, (y, w), solution, solved.engine) if wald else Curved(solution, nothing, nothing)
    solution, bread = shape.solution, shape.bread
    mean, residual = family.mean(solution.eta), w * family.score(solution.eta, y)
    if wald and solution.converged:
        good = shape.inner or shape
        rest = residual @ (x if shape.coordinates is None else shape.coordinates.z)
        gap = float(0.5 * rest @ good.bread @ rest)
        certificate = replace(certificate, gap=gap, kkt_residual=solution.relative_score)
    converged = solution.converged and (not wald or bool(np.isfinite(bread).all()))
    sentences = list(sentences)
    sentences += said(method, family, (mean, y, w), solution, certificate, converged, len(solved.at))
    p = design.matrix.shape[1]
    estimated, coefficients = np.zeros(p, dtype=bool), np.full(p, np.nan)
    estimated[solved.at], coefficients[solved.at] = True, solution.coefficients
    sentences += overflowing(design.names, coefficients, family.link) if converged else []
    estimable = estimated.copy()
    if len(solved.at) < len(independent):
        estimable[undetermined(design.matrix[solved.rows], solved.at, independent)] = False
    estimable[solved.at[certificate.flat]] = False
    dispersion, log_likelihood = 1.0, solution.log_likelihood
    if family is LEAST_SQUARES:
        squares = -2 * log_likelihood
        dispersion = squares / (len(y) - len(solved.at)) if len(y) > len(solved.at) else float("nan")
        log_likelihood = float(0.5 * np.log(w).sum() - 0.5 * len(y) * (np.log(2 * np.pi * squares / len(y)) + 1))
    fit = Fit(
        method=method,
        names=design.names,
        design=design,
        coefficients=coefficients,
        estimated=estimated,
        estimable=estimable,
        scores=x * residual[:, None],
        bread=bread,
        rows=solved.rows,
        n=len(data[0]),
        events=int(data[0].sum()),
        log_likelihood=log_likelihood,
        converged=converged,
        iterations=solution.iterations,
        max_fitted_risk=float(mean.max()),
        no_reference=cells.no_reference,
        boundary=boundary,
        warnings=tuple(sentences),
        link=family.link,
        wald=wald,
        weights=w,
        outcome=y,
        working=w * family.expected(solution.eta, y),
        expected_bread=shape.expected,
        dispersion=dispersion,
        certificate=certificate,
        everyone=data,
    )
    return fit if shape.inner is None else replace(fit, conditioned=_conditioned(fit, shape, residual))


def _conditioned(fit: Fit, shape: Curved, residual: FloatArray) -> Conditioned:
    """The fit in the coordinates it was computed in."""
    made, inner = shape.coordinates, shape.inner
    assert made is not None
    assert inner is not None
    q = made.z.shape[1]
    matrix = np.zeros((fit.n, q), order="F")
    matrix[fit.rows] = made.z
    names, everything = tuple(f"coordinate {i + 1}" for i in range(q)), np.ones(q, dtype=bool)
    same = replace(
        fit,
        names=names,
        design=Design(matrix, names, {}, {}),
        coefficients=inner.solution.coefficients,
        estimated=everything,
        estimable=everything,
        scores=made.z * residual[:, None],
        bread=inner.bread,
        expected_bread=inner.expected,
    )
    return Conditioned(same, made.back)


def _apart(family: Family, x: FloatArray, y: FloatArray, solution: Solution) -> BoolArray:
    """Rows whose fitted risk runs to 0 (or, in a logistic model, to 1).

    Those that have `vanished` at a point where the score has too; where the iteration gave up before, those that
    `separated_rows` finds.
    """
    if family.link == "identity":
        return np.zeros(len(y), dtype=bool)
    if solution.relative_score < 1e-9:
        apart = vanished(family, x, family.mean(solution.eta))
        if apart.any() or solution.converged:
            return apart
    return separated_rows(x, y, logistic=family is LOGISTIC)


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
        link=FAMILIES[method].link if method in FAMILIES else "log",
        expected_bread=nothing,
    )
