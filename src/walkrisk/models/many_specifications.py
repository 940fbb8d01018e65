"""Many specifications of one question at once: other exposures, people and outcomes around the same covariates.

Specification s has exposure columns E_s (n, e), weights w_s (n,) that are 0 for people it leaves out, and an outcome
y_s (n,); the covariates X (n, c) are the same for all. With Q = X T^-1 orthonormal, the passes over the people are
matrix products of a whole block:

    eta = B Q' + b_s E_s'                      (s, n)
    score = (w (y - mean)) [Q, E_s]            (s, c + e)
    information = (w v) Z                      (s, c(c+1)/2), Z (n, c(c+1)/2) the products of pairs of columns of Q

and the same for E_s. Newton steps from the model of the covariates alone, then steps with the information at hand. What
is asked of each specification is one contrast of two values of its exposure, `high` and `low` (rows of E_s):

    conditional   log ratio = (high - low)' b_s
    marginal      log ratio = log m(high) - log m(low), m(a) = sum w g(X b + a'b_s) / sum w   (standardised risks)

and of each person i the influence on it, from which every variance that is a sum over people follows (HC0 is the sum of
squares; of totals by cluster; of totals by sampling unit). The marginal one holds the sampling of the covariates.

A specification is accepted by the single fit's own certificate (a relative score below 1e-9, a last step below 1e-8 in
any linear predictor, here a bound of 1e-9, no vanished risk) and if its information keeps its digits. All others are
left to the single fit, which knows what to do about empty cells, collinear columns and separation: `accepted` says
which.

Standardised risks: Lane & Nelder 1982 doi 10.2307/2530400; robust variance: Zou 2004 doi 10.1093/aje/kwh090.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.models.blocks import means
from walkrisk.models.solver import LOGISTIC, NO_RISK, POISSON, Family
from walkrisk.models.specification_columns import DIGITS, AnyArray, Covariates, ExposureColumns, covariate_start

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]


FAMILIES = {"modified_poisson": POISSON, "logistic": LOGISTIC}
BLOCK_BYTES = 32 * 2**20  # of the exposure columns of a block
ROWS = 512  # people of a tile, whose arrays stay in a core's cache
PASSES = 10
STEERING = (4, 2, 0, 1)  # sweeps in single precision: every so manieth tile makes a new information, 0 none
AGAIN = 1e-8  # a step beyond which the derivatives of a contrast are made again
SINGLE = 1e-5  # how far off an information in single precision may be, relatively, with room
CORRECTION = 1e-9  # relative error that the last correction of what is divided by the information may leave
STILL_TO_GO = 1e-9  # of any linear predictor, when a specification is accepted
SCORE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """One specification: exposure, 0/1 outcome (n,), weights (n,), 0 for people left out, and coefficients (c,) of the
    model of the covariates alone to start from (`covariate_start`); without them it is made here."""

    exposure: ExposureColumns
    outcome: FloatArray
    weights: FloatArray
    start: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Contrasts:
    """Of k specifications: log ratio (k,), influence of each person on it (k, n), and how each was found.

    `largest` (k,) is the largest fitted mean and `above_one` (k,) how many exceed 1; NaN and 0 where not `accepted`.
    """

    log_ratio: FloatArray
    influence: FloatArray
    accepted: BoolArray
    relative_score: FloatArray
    passes: IntArray
    largest: FloatArray
    above_one: IntArray


def block_length(n: int, width: int) -> int:
    """Specifications with `width` exposure columns that are solved together for n people."""
    return max(1, min(64, BLOCK_BYTES // max(1, n * width * 8)))


def fit_specifications(
    method: str, covariates: Covariates, wanted: Sequence[Wanted], *, marginal: bool = False
) -> Contrasts:
    """The contrast of every specification, under `modified_poisson` or `logistic` (an odds ratio, or if `marginal` the
    ratio of standardised risks).

    All exposures of a call have the same number of columns. Weights must be finite and 0 or more, and 0 for people
    whose exposure, outcome or covariates are unknown; outcomes 0 or 1 (and finite) for everyone. Raises ValueError for
    another method. Influences (k, n) are held in memory: call it in blocks (`block_length`).
    """
    if method not in FAMILIES:
        raise ValueError(f"Many specifications are solved at once for {', '.join(FAMILIES)}, not for {method!r}.")
    with np.errstate(all="ignore"):
        block = _Block(FAMILIES[method], covariates, wanted)
        return block.solve(marginal)


@dataclass(frozen=True, slots=True, eq=False)
class _Swept:
    """One sweep over the people: what is left of the score (k, p), and the information (k, p, p) if asked for."""

    gradient: FloatArray
    information: FloatArray | None


class _Block:
    """The iteration over a block; arrays are (k, ...) over its specifications, swept in tiles of people."""

    def __init__(self, family: Family, covariates: Covariates, wanted: Sequence[Wanted]) -> None:
        self.family, self.c = family, covariates
        self.k, self.n = len(wanted), len(covariates.q)
        self.e = np.stack([one.exposure.columns for one in wanted])  # (k, e, n)
        self.weights, self.of_weights = _distinct([one.weights for one in wanted])
        self.outcomes, self.of_outcomes = _distinct([one.outcome for one in wanted])
        self.double = covariates.double, self.e, self.weights
        self.single = covariates.single, self.e.astype(np.float32), self.weights.astype(np.float32)
        self.high = np.stack([one.exposure.high for one in wanted])
        self.low = np.stack([one.exposure.low for one in wanted])
        self.width = covariates.q.shape[1]
        self.total = self.weights.sum(axis=1)[self.of_weights]
        self.reach = np.array([covariates.reach, max(one.exposure.reach for one in wanted)])
        self.target, self.scale = self._targets()
        self.b = np.zeros((self.k, self.width + self.e.shape[1]))
        self.b[:, : self.width] = self._starts(wanted)

    def _w(self, rows: slice) -> FloatArray:
        return np.asarray(self.weights[:, rows][self.of_weights])

    def _y(self, rows: slice) -> FloatArray:
        return np.asarray(self.outcomes[:, rows][self.of_outcomes])

    def _tiles(self) -> Iterator[slice]:
        return (slice(i, min(i + ROWS, self.n)) for i in range(0, self.n, ROWS))

    def _targets(self) -> tuple[FloatArray, FloatArray]:
        """sum w y x (k, p), and the scale of each component of the score (k, p), its covariates as they came."""
        c, width = self.width, self.e.shape[1]
        target, scale = np.zeros((self.k, c + width)), np.zeros((self.k, c + width))
        pairs, at = np.unique(np.column_stack([self.of_weights, self.of_outcomes]), axis=0, return_inverse=True)
        at = at.reshape(-1)
        w, y = self.weights[pairs[:, 0]], self.outcomes[pairs[:, 1]]
        wy = w * y
        size = np.maximum(wy, w * (wy.sum(axis=1) / w.sum(axis=1))[:, None])
        target[:, :c], scale[:, :c] = (wy @ self.c.q)[at], (size @ self.c.size)[at]
        small = size.astype(np.float32)
        for number, rows in enumerate(self._tiles()):
            target[:, c:] += np.matmul(self.e[:, :, rows], wy[:, rows][at][:, :, None])[:, :, 0]
            if number % 4:
                continue  # sums of some people's are no larger than the scale, so the certificate asks for no less
            scale[:, c:] += np.matmul(np.abs(self.single[1][:, :, rows]), small[:, rows][at][:, :, None])[:, :, 0]
        return target, scale

    def _starts(self, wanted: Sequence[Wanted]) -> FloatArray:
        made: dict[int, FloatArray] = {}
        out = np.empty((self.k, self.width))
        for k, one in enumerate(wanted):
            if one.start is not None:
                out[k] = one.start
                continue
            if id(one.outcome) not in made:
                made[id(one.outcome)] = covariate_start(self.family, self.c, one.outcome, one.weights > 0)
            out[k] = made[id(one.outcome)]
        return out

    def _predictor(self, b: FloatArray, rows: slice) -> FloatArray:
        """x'b (k, rows) of coefficients (k, p)."""
        return _predictor(b, self.c.double.qt[:, rows], self.e[:, :, rows])

    def _sweep(self, *, every: int, single: bool) -> _Swept:
        """Score at the coefficients as they stand, and the information by every so manieth tile of people (0: none)."""
        basis, e, w = self.single if single else self.double
        k, c, width = self.k, self.width, self.e.shape[1]
        b = self.b.astype(e.dtype)
        score = np.zeros((k, c + width))
        packed = np.zeros((k, c * (c + 1) // 2))
        cross, own = np.zeros((k * width, c)), np.zeros((k, width, width))
        seen = 0
        for number, rows in enumerate(self._tiles()):
            q, mine = basis.q[rows], e[:, :, rows]
            mean = means(self.family, _predictor(b, basis.qt[:, rows], mine))
            fitted = w[:, rows][self.of_weights] * mean
            score += _scores(fitted, q, mine)
            if every and number % every == 0:
                seen += rows.stop - rows.start
                v = fitted if self.family is POISSON else fitted * (1 - mean)
                packed += v @ self.c.products[rows]
                weighted = mine * v[:, None]
                cross += weighted.reshape(k * width, -1) @ q
                own += np.matmul(weighted, mine.transpose(0, 2, 1))
        if not every:
            return _Swept(self.target - score, None)
        out = np.empty((k, c + width, c + width))
        i, j = np.triu_indices(c)
        out[:, i, j] = packed
        out[:, j, i] = packed
        out[:, c:, :c] = cross.reshape(k, width, c)
        out[:, :c, c:] = out[:, c:, :c].transpose(0, 2, 1)
        out[:, c:, c:] = own
        out *= self.n / seen
        return _Swept(self.target - score, out)

    def _moved(self, step: FloatArray) -> FloatArray:
        """A bound (k,) of how far a step (k, p) moves any linear predictor."""
        c = self.width
        return np.asarray(
            self.reach[0] * np.linalg.norm(step[:, :c], axis=1) + self.reach[1] * np.linalg.norm(step[:, c:], axis=1)
        )

    def solve(self, marginal: bool) -> Contrasts:
        bread, digits, near = np.zeros(0), np.zeros(self.k), np.zeros(self.k)
        for every in STEERING:
            swept = self._sweep(every=every, single=True)
            if swept.information is not None:
                bread, digits = _inverses(swept.information)
            step = np.matmul(bread, swept.gradient[:, :, None])[:, :, 0]
            self.b += step
            near = np.maximum(self._moved(step), SINGLE)  # how far off the last information may be, relatively
        gradient = self._sweep(every=0, single=False).gradient
        self.b += np.matmul(bread, gradient[:, :, None])[:, :, 0]
        slope = self._asked(marginal)[1]
        reach, rest = np.matmul(bread, slope[:, :, None])[:, :, 0], np.zeros_like(slope)
        passes = np.full(self.k, len(STEERING) + 1, dtype=np.intp)
        moved, correction = np.full(self.k, np.inf), np.full(self.k, np.inf)
        at = np.arange(self.k)
        for _ in range(PASSES):
            gradient[at], rest[at] = self._rest(slope, reach, at)
            step = np.matmul(bread[at], gradient[at][:, :, None])[:, :, 0]
            change = np.matmul(bread[at], rest[at][:, :, None])[:, :, 0]
            self.b[at] += step
            reach[at] += change
            moved[at] = self._moved(step)
            correction[at] = np.linalg.norm(change, axis=1) / np.linalg.norm(reach[at], axis=1)
            passes[at] += 1
            still = (moved >= STILL_TO_GO) | (correction * near >= CORRECTION)
            at = np.flatnonzero(still & np.isfinite(moved))  # one that is not a number will not become one
            if not at.size:
                break
            if marginal and np.any(moved[at] > AGAIN):
                slope = self._asked(marginal)[1]
        log_ratio = self._asked(marginal)[0]
        original = np.concatenate([gradient[:, : self.width] @ self.c.back, gradient[:, self.width :]], axis=1)
        relative = np.max(np.abs(original) / (self.scale + 1e-300), axis=1)
        fine = (moved < STILL_TO_GO) & (correction * near < CORRECTION) & (relative < SCORE) & (digits > DIGITS)
        return self._finished(log_ratio, reach, fine & np.isfinite(log_ratio), relative, passes, marginal)

    def _asked(self, marginal: bool) -> tuple[FloatArray, FloatArray]:
        """The contrast (k,) and its derivatives by the coefficients (k, p)."""
        if marginal:
            return self._standardised()
        contrast = self.high - self.low
        slope = np.concatenate([np.zeros((self.k, self.width)), contrast], axis=1)
        return np.einsum("ke,ke->k", contrast, self.b[:, self.width :]), slope

    def _rest(self, slope: FloatArray, reach: FloatArray, at: IntArray) -> tuple[FloatArray, FloatArray]:
        """What is left of the score and of slope - A reach, A the information, of the specifications `at` (m,), both
        (m, p) and in double precision.

        reach is to be A^-1 slope: corrected by the inverse of an A that is off by r, its error falls r times.
        """
        score, product = np.zeros((len(at), slope.shape[1])), np.zeros((len(at), slope.shape[1]))
        some = slice(None) if len(at) == self.k else at
        b, reach = self.b[some], reach[some]
        of_weights = self.of_weights[some]
        for rows in self._tiles():
            q, qt, e = self.c.q[rows], self.c.double.qt[:, rows], self.e[some, :, rows]
            mean = means(self.family, _predictor(b, qt, e))
            fitted = self.weights[:, rows][of_weights] * mean
            score += _scores(fitted, q, e)
            v = fitted if self.family is POISSON else fitted * (1 - mean)
            product += _scores(v * _predictor(reach, qt, e), q, e)
        return self.target[some] - score, slope[some] - product

    def _finished(
        self,
        log_ratio: FloatArray,
        reach: FloatArray,
        fine: BoolArray,
        relative: FloatArray,
        passes: IntArray,
        marginal: bool,
    ) -> Contrasts:
        """Influences at the maximum, and what its fitted means are like."""
        influence = np.empty((self.k, self.n))
        least, largest, above = np.ones(self.k), np.zeros(self.k), np.zeros(self.k, dtype=np.intp)
        for rows in self._tiles():
            w = self._w(rows)
            mean = means(self.family, self._predictor(self.b, rows))
            influence[:, rows] = self._predictor(reach, rows) * (w * (self._y(rows) - mean))
            mean[w == 0] = np.nan
            largest = np.fmax(largest, np.fmax.reduce(mean, axis=1))
            least = np.fmin(least, np.fmin.reduce(mean, axis=1))
            if np.any(largest > 1):
                above += (mean > 1).sum(axis=1)
        if marginal:
            self._add_sampling(influence)
        fine = fine & (least > NO_RISK) & np.isfinite(influence.sum(axis=1))
        if self.family is LOGISTIC:
            fine &= largest < 1 - NO_RISK
        influence[~fine] = np.nan
        return Contrasts(
            log_ratio=np.where(fine, log_ratio, np.nan),
            influence=influence,
            accepted=fine,
            relative_score=relative,
            passes=passes,
            largest=np.where(fine, largest, np.nan),
            above_one=np.where(fine, above, 0).astype(np.intp),
        )

    def _risks(self, value: FloatArray, rows: slice) -> FloatArray:
        """Everyone's risk (k, rows) at one value (k, e) of the exposure."""
        at = np.einsum("ke,ke->k", value, self.b[:, self.width :])
        return means(self.family, self.b[:, : self.width] @ self.c.double.qt[:, rows] + at[:, None])

    def _standardised(self) -> tuple[FloatArray, FloatArray]:
        """Log ratio of standardised risks (k,) and its derivatives by the coefficients (k, p)."""
        c = self.width
        self.risk = np.zeros((2, self.k))
        slope = np.zeros((2, self.k, c + self.e.shape[1]))
        for rows in self._tiles():
            for at, value in enumerate((self.high, self.low)):
                risk = self._risks(value, rows)
                share = self._w(rows) * risk
                self.risk[at] += share.sum(axis=1)
                rate = share if self.family is POISSON else share * (1 - risk)
                slope[at, :, :c] += rate @ self.c.q[rows]
                slope[at, :, c:] += rate.sum(axis=1)[:, None] * value
        slope /= self.risk[:, :, None]
        self.risk /= self.total
        return np.asarray(np.log(self.risk[0] / self.risk[1])), slope[0] - slope[1]

    def _add_sampling(self, influence: FloatArray) -> None:
        """The share of the sampling of covariates in the influence on a standardised ratio."""
        for rows in self._tiles():
            share = self._w(rows) / self.total[:, None]
            high, low = (
                self._risks(v, rows) / m[:, None] for v, m in zip((self.high, self.low), self.risk, strict=True)
            )
            influence[:, rows] += share * (high - low)


def _distinct(arrays: Sequence[FloatArray]) -> tuple[FloatArray, IntArray]:
    """The different ones among arrays (u, n), told apart as objects, and which of them each is (k,)."""
    first: dict[int, int] = {}
    kept: list[FloatArray] = []
    for array in arrays:
        if id(array) not in first:
            first[id(array)] = len(kept)
            kept.append(array)
    return np.stack(kept), np.array([first[id(array)] for array in arrays], dtype=np.intp)


def _scores(residual: AnyArray, q: AnyArray, e: AnyArray) -> AnyArray:
    """Sums (k, p) of residual (k, rows) times q (rows, c) and e (k, width, rows)."""
    return np.concatenate([residual @ q, np.matmul(e, residual[:, :, None])[:, :, 0]], axis=1)


def _predictor(b: AnyArray, qt: AnyArray, e: AnyArray) -> AnyArray:
    c = len(qt)
    out = b[:, :c] @ qt
    out += np.matmul(b[:, None, c:], e)[:, 0]
    return out


def _inverses(information: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Inverses (k, p, p) of the information, scaled to a unit diagonal for the purpose, and what the least column of
    each keeps beyond the others (k,); NaN and 0 where it is singular."""
    d = 1 / np.sqrt(np.einsum("kii->ki", information))
    scaled = information * d[:, :, None] * d[:, None, :]
    k = len(d)
    out, digits = np.full(information.shape, np.nan), np.zeros(k)
    good = np.flatnonzero(np.isfinite(scaled).all(axis=(1, 2)))
    try:
        root = np.linalg.cholesky(scaled[good])
    except np.linalg.LinAlgError:
        keep, roots = [], []
        for at in good:
            try:
                roots.append(np.linalg.cholesky(scaled[at]))
                keep.append(at)
            except np.linalg.LinAlgError:
                continue
        if not keep:
            return out, digits
        good, root = np.array(keep), np.stack(roots)
    half = np.linalg.inv(root)  # lower triangle, half' half = inverse
    out[good] = np.matmul(half.transpose(0, 2, 1), half) * d[good][:, :, None] * d[good][:, None, :]
    digits[good] = 1 / np.max(np.einsum("kii->ki", half), axis=1)
    return out, digits
