"""One visit of a chain: fit the model of a target to its known people, draw its parameters, draw its missing values.

    normal:  b = (X'X)^-1 X'y,  sigma*^2 = RSS/chi2(n - p),  b* = b + sigma* (X'X)^-1/2 z,  y = x b* + sigma* z
    pmm:     type 1 matching: of the `donors` known people whose x b is nearest to the missing one's x b*, one at random
    binary, nominal: b* ~ N(b, I(b)^-1),  P(y = k) = exp(x b*_k)/(1 + sum exp(x b*_j))
    ordinal: (theta, b)* ~ N((theta, b), I^-1),  P(y <= k) = F(theta*_k - x b*)

A shift (not at random) is added on the scale of the model: to the drawn value (pmm, normal), to the log-odds of the
higher level (binary), of being higher (ordinal), or of one named level against the others (nominal). Each visit has its
own random stream and uses the same numbers whatever the shift, and categories are drawn by inversion of one uniform
number, so what is drawn moves one way as the shift grows.

References: van Buuren 2018, Flexible Imputation of Missing Data, doi 10.1201/9780429492259; Rubin 1987,
doi 10.1002/9780470316696. Two deviations from R's mice 3.15: its polr and polyreg do not draw parameters (so its
imputations vary too little between sets; `proper=False` does the same), and among known people with equal predictions
its donors are the same for all missing people of a visit, here each has their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg, special

from walkrisk.sensitivity.imputation_design import Prepared, Visit, solve_normal
from walkrisk.sensitivity.imputation_fits import Maximum, Rows, fit_multinomial, fit_proportional_odds, shares

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """What is added to the imputed values of `name` on the scale of its model; `level` is that of a nominal one."""

    name: str
    delta: float
    level: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """The imputed values (holes,) of one visit, and the fit the next one starts from, if there is one."""

    values: FloatArray
    fit: Maximum | None


def draw_visit(
    prepared: Prepared,
    visit: Visit,
    incomplete: FloatArray,
    stream: np.random.Generator,
    *,
    warm: Maximum | None = None,
    shift: Shift | None = None,
    proper: bool = True,
) -> Drawn:
    """New values of one target, given the rows with holes as they now are (n_i, P); `stream` is this visit's own."""
    delta = shift.delta if shift is not None and shift.name == visit.target.name else 0.0
    if visit.coding.levels is None:
        return _continuous(prepared, visit, incomplete, stream, delta)
    return _categorical(prepared, visit, incomplete, stream, warm, shift if delta else None, proper)


def _continuous(
    prepared: Prepared, visit: Visit, incomplete: FloatArray, stream: np.random.Generator, delta: float
) -> Drawn:
    known, use, own = incomplete[visit.known], visit.use, int(visit.coding.columns[0])
    columns = np.append(use, own)
    part = known[:, columns]
    gram = prepared.gram[np.ix_(columns, columns)] + part.T @ part
    b, factor = solve_normal(gram[:-1, :-1], gram[:-1, -1])
    rss = max(float(gram[-1, -1] - gram[:-1, -1] @ b), 0.0)
    sigma = np.sqrt(rss / stream.chisquare(len(visit.values) - len(use)))
    drawn = b + sigma * linalg.solve_triangular(factor, stream.standard_normal(len(b)), lower=True, trans=1)
    missing = incomplete[visit.holes] @ _spread(drawn, use, incomplete.shape[1])
    if visit.target.kind == "normal":
        made = missing + sigma * stream.standard_normal(len(missing))
        return Drawn(visit.coding.mean + visit.coding.scale * made + delta, None)
    full = _spread(b, use, incomplete.shape[1])
    fitted = np.concatenate([prepared.complete @ full, known @ full])
    donors = nearest_donor(fitted, missing, visit.target.donors, stream)
    return Drawn(visit.values[donors] + delta, None)


def nearest_donor(fitted: FloatArray, missing: FloatArray, donors: int, stream: np.random.Generator) -> IntArray:
    """For each prediction `missing` (k,), the index of one of the `donors` nearest of `fitted` (n,), at random.

    Known people with equal predictions are in random order, and a missing prediction equal to some has a random place
    among them, so that none of them is always taken.
    """
    n = len(fitted)
    donors = min(donors, n)
    shuffled = stream.permutation(n)
    order = shuffled[np.argsort(fitted[shuffled], kind="stable")]
    inline = fitted[order]
    left, right = np.searchsorted(inline, missing, "left"), np.searchsorted(inline, missing, "right")
    place = left + np.floor(stream.random(len(missing)) * (right - left + 1)).astype(np.intp)
    window = place[:, None] + np.arange(-donors, donors)
    outside = (window < 0) | (window >= n)
    distance = np.abs(inline[window.clip(0, n - 1)] - missing[:, None])
    distance[outside] = np.inf
    near = np.argpartition(distance, donors - 1, axis=1)[:, :donors]
    chosen = near[np.arange(len(missing)), (stream.random(len(missing)) * donors).astype(np.intp)]
    return np.asarray(order[window[np.arange(len(missing)), chosen]])


def _categorical(
    prepared: Prepared,
    visit: Visit,
    incomplete: FloatArray,
    stream: np.random.Generator,
    warm: Maximum | None,
    shift: Shift | None,
    proper: bool,
) -> Drawn:
    levels = visit.coding.levels
    assert levels is not None
    weight = np.concatenate([np.ones(len(visit.level)), visit.added_weight])
    rows = Rows(
        (prepared.complete, incomplete[visit.known], visit.added),
        np.concatenate([visit.level, visit.added_level]),
        weight,
    )
    ordinal = visit.target.kind == "ordinal" and len(levels) > 2
    use = visit.use[1:] if ordinal else visit.use
    fit = (fit_proportional_odds if ordinal else fit_multinomial)(rows, use, len(levels), warm)
    noise = stream.standard_normal(len(fit.parameters)) * proper
    drawn = fit.parameters + linalg.solve_triangular(fit.factor, noise, lower=True, trans=1)
    missing = incomplete[visit.holes]
    probability = _ordinal(missing, drawn, use, shift) if ordinal else _nominal(missing, drawn, use, levels, shift)
    first = 0
    if shift is not None and shift.level is not None and not ordinal:
        first = int(np.flatnonzero(levels == shift.level)[0])
    order = np.concatenate([[first], np.delete(np.arange(len(levels)), first)])
    reached = np.cumsum(probability[:, order], axis=1)[:, :-1]
    place = (stream.random(len(missing))[:, None] > reached).sum(axis=1)
    return Drawn(levels[order[place]], fit)


def _ordinal(missing: FloatArray, drawn: FloatArray, use: IntArray, shift: Shift | None) -> FloatArray:
    q = len(drawn) - len(use)
    theta = np.maximum.accumulate(drawn[:q])  # a draw may put two limits in the wrong order
    eta = missing @ _spread(drawn[q:], use, missing.shape[1]) + (shift.delta if shift else 0.0)
    below = special.expit(theta - eta[:, None])
    return np.diff(below, axis=1, prepend=0.0, append=1.0)


def _nominal(
    missing: FloatArray, drawn: FloatArray, use: IntArray, levels: FloatArray, shift: Shift | None
) -> FloatArray:
    full = np.zeros((missing.shape[1], len(levels) - 1))
    full[use] = drawn.reshape(len(levels) - 1, len(use)).T
    eta = missing @ full
    if shift is not None:
        at = len(levels) - 1 if shift.level is None else int(np.flatnonzero(levels == shift.level)[0])
        eta[:, [at - 1] if at > 0 else slice(None)] += shift.delta if at > 0 else -shift.delta
    other = shares(eta)
    return np.concatenate([1 - other.sum(axis=1, keepdims=True), other], axis=1)


def _spread(b: FloatArray, use: IntArray, width: int) -> FloatArray:
    full = np.zeros(width)
    full[use] = b
    return full
