"""Standardised risks of resamples: the whole of g-computation repeated, by the kernel of `walkrisk.models.batch`.

With w_r the weights of replicate r, beta_r its coefficients, m the inverse link, x_li person i's row at level l and
s_i who is standardised over (1, or a weight or mask of a population):

    risk_rl = sum_i w_ri s_i m(x_li beta_r) / sum_i w_ri s_i

The covariates are resampled with the people, so the spread over replicates is that of the unconditional estimator. Rows
that are alike in everything are worked on once. Replicate r is the same whichever others are computed: blocks of
replicates are always whole and begin at multiples of their size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.models.batch import check_numbers, check_weights
from walkrisk.models.batch_solver import FAMILIES, BatchSolver
from walkrisk.models.blocks import block_size, means, tiles
from walkrisk.models.resampling import IntArray, Kind, Seed, resampling

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ResampledRisks:
    """Risks (R, L) of replicates and those of the sample itself, `estimate` (L,).

    A replicate without a maximum is not `converged` (R,) and its risks are NaN; `alone` counts those that needed the
    single solver.
    """

    risks: FloatArray
    estimate: FloatArray
    converged: BoolArray
    alone: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Sample:
    """Distinct rows (m): design, outcome, weights `w`, standardised over `s`; `pattern` (n,) or None if all differ.

    Counterfactual designs are `common` (columns, (columns, m)) and for each level what it has in the `changed` ones,
    (columns, m), or (columns, 1) where that is the same for all.
    """

    method: str
    x: FloatArray
    y: FloatArray
    w: FloatArray
    s: FloatArray
    pattern: IntArray | None
    common: tuple[IntArray, FloatArray]
    changed: IntArray
    levels: tuple[FloatArray, ...]
    designs: tuple[FloatArray, ...]
    solver: BatchSolver
    beta: FloatArray
    estimate: FloatArray


def bootstrap_risks(
    method: str,
    x: FloatArray,
    y: FloatArray,
    counterfactuals: Sequence[FloatArray],
    *,
    replicates: int | range = 2000,
    seed: Seed,
    weights: FloatArray | None = None,
    population: npt.NDArray[np.generic] | None = None,
    cluster: npt.NDArray[np.generic] | None = None,
    strata: npt.NDArray[np.generic] | None = None,
    kind: Kind = "multinomial",
) -> ResampledRisks:
    """Standardised risks of bootstrap resamples of people, or of whole clusters (n,), within strata (n,) if given.

    `method` (logistic or modified_poisson) is fitted to x (n, p) and a 0/1 outcome y (n,); `counterfactuals` are L
    designs (n, p), one a level; `weights` (n,) are sampling weights, multiplied with the counts of the draw;
    `population` (n,), a mask or weights, says who is standardised over. `replicates` may be a range, for sharing the
    work out: what replicate r gives depends on the data, the seed and r alone.

    Raises ValueError for shapes that do not fit, values that are not finite, columns of x that are collinear or
    separate the outcome (so that the sample itself has no maximum), and negative or all-zero weights.
    """
    sample = _sample(method, x, y, counterfactuals, weights, population)
    draw = resampling(len(y), seed, cluster=cluster, strata=strata, kind=kind)
    m = len(sample.y)

    def drawn(first: int, stop: int) -> FloatArray:
        w = draw.weights(first, stop, pattern=sample.pattern, patterns=m)
        if weights is not None:
            w *= sample.w
        return w

    wanted = range(replicates) if isinstance(replicates, int) else replicates
    if not len(wanted) or wanted.step != 1 or wanted.start < 0:
        raise ValueError(f"There are no replicates to compute: {replicates}.")
    return _computed(sample, drawn, wanted, stop=None)


def jackknife_risks(
    method: str,
    x: FloatArray,
    y: FloatArray,
    counterfactuals: Sequence[FloatArray],
    *,
    weights: FloatArray | None = None,
    population: npt.NDArray[np.generic] | None = None,
    cluster: npt.NDArray[np.generic] | None = None,
) -> ResampledRisks:
    """Standardised risks with each person, or each cluster, left out in turn: exact refits, in the order of the units.

    Clusters are in the order of their sorted values. People who are alike in everything are left out once. The work
    grows with the square of the number of distinct people: some seconds for 11,000; beyond 20,000, prefer
    `influence_of_risks`. Raises ValueError as `bootstrap_risks` does.
    """
    sample = _sample(method, x, y, counterfactuals, weights, population)
    pattern = np.arange(len(y)) if sample.pattern is None else sample.pattern
    m = len(sample.y)
    counts = np.bincount(pattern, minlength=m).astype(np.float64)
    if cluster is None:
        members = list(np.arange(m)[:, None])
    else:
        unit = np.unique(cluster, return_inverse=True)[1].reshape(-1)
        order = np.argsort(unit, kind="stable")
        members = np.split(pattern[order], np.cumsum(np.bincount(unit))[:-1])
    units = len(members)
    if units < 2:
        raise ValueError("There is a single unit to leave out, so a jackknife has nothing to vary.")

    def left(first: int, stop: int) -> FloatArray:
        out = np.tile(counts, (stop - first, 1))
        for row, unit in zip(out, range(first, stop), strict=True):
            np.subtract.at(row, members[unit], 1.0)
        return np.asarray(out * sample.w, dtype=np.float64)

    found = _computed(sample, left, range(units), stop=units)
    if cluster is not None:
        return found
    return ResampledRisks(
        risks=found.risks[pattern], estimate=found.estimate, converged=found.converged[pattern], alone=found.alone
    )


def influence_of_risks(
    method: str,
    x: FloatArray,
    y: FloatArray,
    counterfactuals: Sequence[FloatArray],
    *,
    weights: FloatArray | None = None,
    population: npt.NDArray[np.generic] | None = None,
    cluster: npt.NDArray[np.generic] | None = None,
) -> FloatArray:
    """Infinitesimal influence (n, L) of each person, or (G, L) of each cluster, on the standardised risks.

    n w_i [s_i (m(x_li beta) - risk_l) / sum(w s) + d risk_l / d beta' A^-1 x_i (y_i - m(x_i beta))], A the information:
    what the delete-one influence tends to, in one pass. It understates people of high leverage. Raises ValueError as
    `bootstrap_risks` does.
    """
    sample = _sample(method, x, y, counterfactuals, weights, population)
    family, beta = FAMILIES[method], sample.beta
    counts = np.ones(len(sample.y)) if sample.pattern is None else np.bincount(sample.pattern).astype(np.float64)
    eta = sample.x @ beta
    v = counts * sample.w * family.expected(eta, sample.y)
    inverse = np.linalg.inv((sample.x * v[:, None]).T @ sample.x)
    moves = (sample.x * (sample.w * family.score(eta, sample.y))[:, None]) @ inverse
    over = sample.w * sample.s
    out = np.empty((len(sample.y), len(sample.designs)))
    for level, design in enumerate(sample.designs):
        at = design @ beta
        slope = ((counts * over * family.expected(at, sample.y)) @ design) / (counts @ over)
        out[:, level] = over * (family.mean(at) - sample.estimate[level]) / (counts @ over) + moves @ slope
    if sample.pattern is not None:
        out = out[sample.pattern]
    if cluster is None:
        return out * len(out)
    number = np.unique(cluster, return_inverse=True)[1].reshape(-1)
    sums = np.column_stack([np.bincount(number, weights=column) for column in out.T])
    return np.asarray(sums * len(sums), dtype=np.float64)


def log_ratios(risks: FloatArray, *, reference: int = 0) -> FloatArray:
    """Log risk ratios (..., L - 1) of risks (..., L) against level `reference`, the others in order."""
    others = [level for level in range(risks.shape[-1]) if level != reference]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(risks[..., others]) - np.log(risks[..., [reference]]))


def differences(risks: FloatArray, *, reference: int = 0) -> FloatArray:
    """Risk differences (..., L - 1) of risks (..., L) against level `reference`, the others in order."""
    others = [level for level in range(risks.shape[-1]) if level != reference]
    return np.asarray(risks[..., others] - risks[..., [reference]])


def _sample(
    method: str,
    x: FloatArray,
    y: FloatArray,
    counterfactuals: Sequence[FloatArray],
    weights: FloatArray | None,
    population: npt.NDArray[np.generic] | None,
) -> _Sample:
    if method not in FAMILIES:
        raise ValueError(f"Risks are resampled after {' or '.join(FAMILIES)}, not after {method!r}.")
    x = np.asarray(x, dtype=np.float64)
    check_numbers(x, y, None)
    n = len(y)
    w = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    s = np.ones(n) if population is None else np.asarray(population, dtype=np.float64)
    for values in (w, s):
        check_weights(values[None], n)
    if not (w * s).any():
        raise ValueError("Nobody of the population that is standardised over has a weight.")
    if not len(counterfactuals):
        raise ValueError("There are no counterfactual designs: give one (n, p) for each level.")
    for design in counterfactuals:
        if design.shape != x.shape or not np.isfinite(design).all():
            raise ValueError(
                f"A counterfactual design {design.shape} must be finite and of the design's shape {x.shape}."
            )
    pattern, firsts = _patterns([x, *counterfactuals], [y, w, s])
    x, y, w, s = (np.ascontiguousarray(values[firsts]) for values in (x, y.astype(np.float64), w, s))
    designs = tuple(np.ascontiguousarray(design[firsts]) for design in counterfactuals)
    counts = np.ones(len(y)) if pattern is None else np.bincount(pattern).astype(np.float64)
    solver = BatchSolver.prepare(method, x, y, base=counts * w)
    if solver.centre is None:
        raise ValueError(
            f"The {method.replace('_', '-')} model of the sample itself has no maximum (collinear columns, or people "
            "whom the covariates separate from all events), so nothing can be resampled: leave those columns out."
        )
    common, changed, levels = _split(designs)
    estimate = np.array([(counts * w * s) @ FAMILIES[method].mean(d @ solver.centre) for d in designs])
    return _Sample(
        method=method, x=x, y=y, w=w, s=s, pattern=pattern, common=common, changed=changed, levels=levels,
        designs=designs, solver=solver, beta=solver.centre, estimate=estimate / (counts @ (w * s)),
    )  # fmt: skip


def _patterns(designs: Sequence[FloatArray], others: Sequence[FloatArray]) -> tuple[IntArray | None, IntArray]:
    """The pattern of each row (n,), alike in all columns, and the first row of each; None where it would not help."""
    n = len(others[0])
    random = np.random.default_rng(0)
    columns = [*others, *(column for d in designs for column in _new_columns(d, designs[0]))]
    key = np.zeros(n)
    for column in columns:
        key += random.standard_normal() * column
    _, firsts, pattern = np.unique(key, return_index=True, return_inverse=True)
    alike = len(firsts) <= 0.7 * n and all(np.array_equal(column, column[firsts][pattern]) for column in columns)
    return (pattern, firsts) if alike else (None, np.arange(n))


def _new_columns(design: FloatArray, first: FloatArray) -> Iterator[FloatArray]:
    for column, known in zip(design.T, first.T, strict=True):
        if design is first or not np.array_equal(column, known):
            yield column


def _split(
    designs: Sequence[FloatArray],
) -> tuple[tuple[IntArray, FloatArray], IntArray, tuple[FloatArray, ...]]:
    """The columns that all designs have in common, and for each the others: one row where everyone's are the same."""
    first = designs[0]
    same = np.ones(first.shape[1], dtype=bool)
    for design in designs:
        same &= (design == first).all(axis=0) & ~(design == design[0]).all(axis=0)
    common, changed = np.flatnonzero(same), np.flatnonzero(~same)
    levels = []
    for design in designs:
        part = design[:, changed]
        constant = bool((part == part[0]).all())
        levels.append(np.ascontiguousarray(part[:1].T if constant else part.T))
    return (common, np.ascontiguousarray(first[:, common].T)), changed, tuple(levels)


def _computed(
    sample: _Sample, weights: Callable[[int, int], FloatArray], wanted: range, *, stop: int | None
) -> ResampledRisks:
    """Blocks begin at multiples of their size and are whole, up to `stop`."""
    size = block_size(len(sample.y))
    risks, converged, alone = [], [], 0
    for first in range(wanted.start // size * size, wanted.stop, size):
        last = first + size if stop is None else min(first + size, stop)
        w = weights(first, last)
        part = slice(max(wanted.start - first, 0), min(wanted.stop, last) - first)
        empty = ~w.any(axis=1)
        if empty.any():  # nobody with a weight was drawn
            w[empty] = sample.w
        found = sample.solver.solve(w, likelihood=False)
        fine = found.converged & ~empty
        block = _risks(sample, w, found.coefficients)
        block[~fine] = np.nan
        risks.append(block[part])
        converged.append(fine[part])
        alone += int(found.alone[part].sum())
    return ResampledRisks(
        risks=np.concatenate(risks), estimate=sample.estimate, converged=np.concatenate(converged), alone=alone
    )


def _risks(sample: _Sample, w: FloatArray, beta: FloatArray) -> FloatArray:
    """Risks (b, L) averaged with weights w (b, m), of coefficients (b, p)."""
    family = FAMILIES[sample.method]
    columns, common = sample.common
    shared, own = np.ascontiguousarray(beta[:, columns]), np.ascontiguousarray(beta[:, sample.changed])
    total, out = np.zeros(len(w)), np.zeros((len(w), len(sample.levels)))
    everyone = bool((sample.s == 1).all())
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for rows in tiles(w.shape[1], len(w)):
            over = w[:, rows] if everyone else w[:, rows] * sample.s[rows]
            total += over.sum(axis=1)
            base = shared @ common[:, rows]
            for k, level in enumerate(sample.levels):
                move = own @ level if level.shape[1] == 1 else own @ level[:, rows]
                out[:, k] += np.einsum("ij,ij->i", over, means(family, base + move))
        return out / total[:, None]
