"""The iteration behind `walkrisk.models.batch`: what it computes, and to what precision, is said there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from walkrisk.models.blocks import BLOCK_BYTES, Workspace, inverses, means, tiles
from walkrisk.models.constrained import maximum_on_the_edge
from walkrisk.models.solver import LOGISTIC, POISSON, Family, Solution, maximise
from walkrisk.models.support import independent_columns

FloatArray = npt.NDArray[np.float64]
SingleArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

PASSES = 16
FAMILIES = {"modified_poisson": POISSON, "logistic": LOGISTIC}
STILL_TO_GO = 1e-12  # of any linear predictor, when a solution is accepted
SHRINKING = 0.2  # from step to step, where a maximum is near: without one (separation) steps do not shrink like that
RENEWED = 1e-3  # shrinking above which the information is renewed
TRUSTED = 0.5  # correction of the first step, relative to it, beyond which the second-order model is left
NO_RISK = 1e-8
INFLATED = 1e4  # variance over the whole sample's at which a resample may not determine a coefficient


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BatchSolution:
    """Of B fits: coefficients (B, p), and for each (B,) its log-likelihood, certificate and passes over the data.

    `relative_score` is the largest component of the score on its own scale (as the single fit's). A fit without a
    maximum is not `converged` and its coefficients are NaN. `alone` marks the fits that the batch handed to the single
    solver.
    """

    coefficients: FloatArray
    log_likelihood: FloatArray
    relative_score: FloatArray
    converged: BoolArray
    iterations: npt.NDArray[np.intp]
    alone: BoolArray


def _unsolved(b: int, p: int) -> BatchSolution:
    return BatchSolution(
        coefficients=np.full((b, p), np.nan),
        log_likelihood=np.full(b, np.nan),
        relative_score=np.full(b, np.inf),
        converged=np.zeros(b, dtype=bool),
        iterations=np.zeros(b, dtype=np.intp),
        alone=np.ones(b, dtype=bool),
    )


def joined(parts: list[BatchSolution]) -> BatchSolution:
    """Solutions one after the other."""
    names = BatchSolution.__dataclass_fields__
    return BatchSolution(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BatchSolver:
    """What all replicates of a design share: the design, its products, the whole sample's maximum and derivatives.

    `whiten` A (p, p) turns score components into those of X A, whose information at `centre` is the identity; `reach`
    is the largest row norm of X A, so that no linear predictor moves by more than reach times the norm of a step.
    `white` (n, p) is X A, `products` (n, p(p+1)/2) the products of its columns, None if they would be too large; `eta`,
    `mean`, `spread` (n,) are linear predictor, mean and variance at `centre`, `bend` (p(p+1)/2, p) the whole sample's
    third derivatives, `size` (n, p) what a component of the score is measured against.
    """

    family: Family
    x: FloatArray
    xt: FloatArray
    y: FloatArray
    offset: FloatArray | None
    centre: FloatArray | None
    whiten: FloatArray
    reach: float
    white: SingleArray
    products: SingleArray | None
    eta: SingleArray
    mean: SingleArray
    spread: SingleArray
    bend: FloatArray
    size: SingleArray

    @classmethod
    def prepare(
        cls,
        method: str,
        x: FloatArray,
        y: FloatArray,
        *,
        base: FloatArray,
        start: FloatArray | None = None,
        offset: FloatArray | None = None,
    ) -> BatchSolver:
        """Around the maximum under weights `base` (n,), which is found first; `start` (p,) shortens the way there.

        If there is none, `centre` is None and every replicate is solved alone.
        """
        family = FAMILIES[method]
        x = np.ascontiguousarray(x)
        found = single_fit(family, x, y, base, start=start, offset=offset)
        eta = found.eta + (0.0 if offset is None else offset)
        whiten = _whitening(x, base * family.expected(eta, y)) if found.converged else None
        p = x.shape[1]
        if whiten is None:
            eta, whiten = np.zeros(len(x)), np.zeros((p, p))
        q = x @ whiten
        mean, v = family.mean(eta), family.expected(eta, y)
        made = cls(
            family=family,
            x=x,
            xt=np.ascontiguousarray(x.T),
            y=y,
            offset=offset,
            centre=found.coefficients if whiten.any() else None,
            whiten=whiten,
            reach=float(np.sqrt((q * q).sum(axis=1).max())),
            white=q.astype(np.float32),
            products=None,
            eta=eta.astype(np.float32),
            mean=mean.astype(np.float32),
            spread=v.astype(np.float32),
            bend=np.zeros((p * (p + 1) // 2, p)),
            size=(np.abs(x) * np.maximum(y, y.mean())[:, None]).astype(np.float32),
        )
        if len(x) * p * (p + 1) * 2 <= BLOCK_BYTES:
            made = replace(made, products=made.products_of(slice(None)))
        slope = base * (v if family is POISSON else v * (1 - 2 * mean))
        for rows in tiles(len(x), p):
            made.bend[:] += made.products_of(rows).T @ (q[rows] * slope[rows, None]).astype(np.float32)
        return made

    def products_of(self, rows: slice) -> SingleArray:
        """Products (rows, p(p+1)/2) of pairs of whitened columns."""
        if self.products is not None:
            return self.products[rows]
        i, j = np.triu_indices(self.white.shape[1])
        white = self.white[rows]
        return np.asarray(white[:, i] * white[:, j])

    def solve(self, w: FloatArray, *, outcome: FloatArray | None = None, likelihood: bool = True) -> BatchSolution:
        """The fits under weights w (b, n), which are not checked; for the memory stated, b is block_size(n) at most."""
        y = self.y if outcome is None else outcome
        if self.centre is None:
            return one_by_one(self.family, self.x, y, w, start=None, offset=self.offset)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            solution = self._iterate(w, y, likelihood)
        again = np.flatnonzero(~solution.converged)
        if not again.size:
            return solution
        single = one_by_one(
            self.family, self.x, y if y.ndim == 1 else y[again], w[again], start=None, offset=self.offset
        )
        for name in BatchSolution.__dataclass_fields__:
            getattr(solution, name)[again] = getattr(single, name)
        if not likelihood:
            solution.log_likelihood[again] = np.nan
        return solution

    def _iterate(self, w: FloatArray, y: FloatArray, likelihood: bool) -> BatchSolution:
        b, p = len(w), self.x.shape[1]
        work = Workspace.of(b, len(self.x))
        wy = w @ (self.x * y[:, None]) if y.ndim == 1 else (w * y) @ self.x
        constant = np.zeros(b) if self.offset is None else (w * y) @ self.offset
        beta, inverse, went, scale = self._begin(w, wy, work)
        if y.ndim == 2:
            scale = (w * np.maximum(y, y.mean(axis=1)[:, None])) @ np.abs(self.x) + 1e-300
        out = _unsolved(b, p)
        left, renew = np.flatnonzero(np.isfinite(went)), False
        for count in range(1, PASSES + 1):
            if not left.size:
                break
            rows = w if len(left) == b else w[left]
            mean, information, cumulant = self._pass(beta[left], rows, work, renew=renew, likelihood=likelihood)
            score = wy[left] - mean
            if renew:
                inverse[left] = inverses(information, p)
            step = np.einsum("bij,bj->bi", inverse[left], score @ self.whiten)
            length = self.reach * np.sqrt((step * step).sum(axis=1))  # no linear predictor moves by more
            relative = np.abs(score / scale[left]).max(axis=1)
            rate = length / went[left]
            done = _accepted(length, rate, relative)
            if likelihood:
                value = (beta[left] * wy[left]).sum(axis=1) - cumulant + constant[left]
                out.log_likelihood[left[done]] = value[done]
            beta[left] += step @ self.whiten.T
            now = left[done]
            out.coefficients[now], out.relative_score[now] = beta[now], relative[done]
            out.converged[now], out.alone[now], out.iterations[now] = True, False, count + 1
            went[left] = length
            lost = ~np.isfinite(length) | ((rate > 4) & (count > 2))
            left, going = left[~done & ~lost], rate[~done & ~lost]
            renew = bool(going.size and np.median(going) > RENEWED)
        return out

    def _begin(
        self, w: FloatArray, wy: FloatArray, work: Workspace
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """After the second-order model and one Newton step, both in single precision.

        Coefficients (b, p), inverse information, the largest move of a linear predictor by that step (infinite where
        the batch cannot tell), and the scale of the score.
        """
        p = self.x.shape[1]
        assert self.centre is not None
        light = w.astype(np.float32)
        packed, pulled, scale = (np.zeros((len(w), k), dtype=np.float32) for k in (p * (p + 1) // 2, p, p))
        for rows in tiles(len(self.x), len(w)):
            part, buffer = light[:, rows], work.single(len(w), rows, 0)
            packed += np.multiply(part, self.spread[rows], out=buffer) @ self.products_of(rows)
            pulled += np.multiply(part, self.mean[rows], out=buffer) @ self.white[rows]
            scale += part @ self.size[rows]
        target = wy @ self.whiten
        inverse = inverses(packed.astype(np.float64), p)
        step, sound = self._modelled(target - pulled, packed.astype(np.float64), inverse)
        score, information = self._light_pass(step.astype(np.float32), light, work)
        second = inverses(information.astype(np.float64), p)
        more = np.einsum("bij,bj->bi", second, target - score)
        fine = np.isfinite(more).all(axis=1)
        inverse[fine], step[fine] = second[fine], step[fine] + more[fine]
        went = self.reach * np.sqrt((more * more).sum(axis=1))
        went[~fine], went[~sound] = self.reach, np.inf
        return self.centre + step @ self.whiten.T, inverse, went, scale.astype(np.float64) + 1e-300

    def _modelled(self, score: FloatArray, packed: FloatArray, inverse: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Whitened steps (b, p) to the maximum of the second-order model, and whether the batch can tell."""
        i, j = np.triu_indices(score.shape[1])
        size = packed[:, i == j].mean(axis=1)
        variance = np.einsum("bii->bi", inverse)
        sound = ((variance > 0) & (variance * size[:, None] < INFLATED)).all(axis=1)
        first = np.einsum("bij,bj->bi", inverse, score)
        step, double = first, np.where(i == j, 0.5, 1.0)
        for _ in range(3):
            bent = (step[:, i] * step[:, j] * double) @ self.bend * size[:, None]
            step = np.einsum("bij,bj->bi", inverse, score - bent)
        crude = ~((((step - first) ** 2).sum(axis=1)) < TRUSTED**2 * (first**2).sum(axis=1))
        step[crude] = first[crude]
        return step, sound & np.isfinite(step).all(axis=1)

    def _light_pass(self, step: SingleArray, w: SingleArray, work: Workspace) -> tuple[SingleArray, SingleArray]:
        """Sums over rows of w mean (x A) (b, p) and of w v times products, a whitened step away from the centre."""
        b, p = step.shape
        mean, information = (np.zeros((b, k), dtype=np.float32) for k in (p, p * (p + 1) // 2))
        for rows in tiles(len(self.x), b):
            mu, v = work.single(b, rows, 0), work.single(b, rows, 1)
            np.matmul(step, self.white[rows].T, out=mu)
            mu += self.eta[rows]
            means(self.family, mu)
            np.subtract(1, mu, out=v)
            mu *= w[:, rows]
            mean += mu @ self.white[rows]
            if self.family is LOGISTIC:
                mu *= v
            information += mu @ self.products_of(rows)
        return mean, information

    def _pass(
        self, beta: FloatArray, w: FloatArray, work: Workspace, *, renew: bool, likelihood: bool
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Sums over rows of w mean x (b, p), of w v times products (b, p(p+1)/2), and of w times the cumulant (b,)."""
        b, (n, p) = len(beta), self.x.shape
        mean, cumulant = np.zeros((b, p)), np.zeros(b)
        information = np.zeros((b, p * (p + 1) // 2), dtype=np.float32)
        for rows in tiles(n, work.replicates):
            eta, v, other = work.double(b, rows), work.single(b, rows, 0), work.single(b, rows, 1)
            np.matmul(beta, self.xt[:, rows], out=eta)
            if self.offset is not None:
                eta += self.offset[rows]
            if likelihood and self.family is LOGISTIC:
                cumulant += np.einsum("ij,ij->i", w[:, rows], np.maximum(eta, 0) + np.log1p(np.exp(-np.abs(eta))))
            mu = means(self.family, eta)
            if renew:
                np.subtract(1, mu, out=v, casting="same_kind")
            mu *= w[:, rows]
            mean += mu @ self.x[rows]
            if likelihood and self.family is POISSON:
                cumulant += mu.sum(axis=1)
            if renew:
                np.copyto(other, mu, casting="same_kind")
                if self.family is LOGISTIC:
                    other *= v
                information += other @ self.products_of(rows)
        return mean, information.astype(np.float64), cumulant


def _accepted(length: FloatArray, rate: FloatArray, relative: FloatArray) -> BoolArray:
    """Whether the next point is the maximum: the step is short and the last ones shrank, so that little is left."""
    settled = (rate < SHRINKING) | (length < STILL_TO_GO)
    return np.asarray(settled & (length * np.maximum(rate, 1e-4) < STILL_TO_GO) & (length < 1e-8) & (relative < 1e-9))


def _whitening(x: FloatArray, v: FloatArray) -> FloatArray | None:
    """A (p, p), upper triangular, with A' X' diag(v) X A = I; None where the information is singular."""
    try:
        triangle = np.linalg.qr(x * np.sqrt(v)[:, None], mode="r")
        out = np.linalg.inv(triangle)
    except np.linalg.LinAlgError:
        return None
    return np.asarray(out) if np.isfinite(out).all() else None


def _shifted(family: Family, offset: FloatArray) -> Family:
    """The family of a linear predictor to which an offset (n,) is added."""
    return replace(
        family,
        log_likelihood=lambda eta, y: family.log_likelihood(eta + offset, y),
        score=lambda eta, y: family.score(eta + offset, y),
        information=lambda eta, y: family.information(eta + offset, y),
        expected=lambda eta, y: family.expected(eta + offset, y),
        mean=lambda eta: family.mean(eta + offset),
    )


def single_fit(
    family: Family, x: FloatArray, y: FloatArray, w: FloatArray, *, start: FloatArray | None, offset: FloatArray | None
) -> Solution:
    """The single fit, on the rows with weight.

    Not converged if those do not determine all coefficients, alone or once those are set aside whose mean ran to 0 (or
    in a logistic model to 1): a score that has vanished in their direction proves no maximum. A maximum on the boundary
    of a log-binomial or identity-link model is one if it has a certificate.
    """
    used, p = w > 0, x.shape[1]
    if len(independent_columns(x[used])) < p:
        return Solution(np.full(p, np.nan), np.full(len(x), np.nan), float("nan"), False, 0, np.inf)
    shifted = family if offset is None else _shifted(family, offset[used])
    with np.errstate(all="ignore"):
        found = maximise(shifted, x[used], y[used], weights=w[used], start=start)
        mean = shifted.mean(found.eta)
    inside = mean >= NO_RISK
    if family is LOGISTIC:
        inside &= mean <= 1 - NO_RISK
    separated = family.link != "identity" and not inside.all() and len(independent_columns(x[used][inside])) < p
    if family.bounded and not (found.converged or separated or offset is not None):
        found, certificate = maximum_on_the_edge(family, x[used], y[used], w[used], found)
        found = replace(found, converged=certificate.verdict != "none")
    return replace(found, eta=x @ found.coefficients, converged=found.converged and not separated)


def one_by_one(
    family: Family,
    x: FloatArray,
    y: FloatArray,
    w: FloatArray,
    *,
    start: FloatArray | None,
    offset: FloatArray | None,
) -> BatchSolution:
    found = [
        single_fit(family, x, y if y.ndim == 1 else y[k], weights, start=start, offset=offset)
        for k, weights in enumerate(w)
    ]
    converged = np.array([f.converged for f in found])
    return BatchSolution(
        coefficients=np.where(converged[:, None], np.array([f.coefficients for f in found]), np.nan),
        log_likelihood=np.where(converged, np.array([f.log_likelihood for f in found]), np.nan),
        relative_score=np.array([f.relative_score for f in found]),
        converged=converged,
        iterations=np.array([f.iterations for f in found], dtype=np.intp),
        alone=np.ones(len(found), dtype=bool),
    )
