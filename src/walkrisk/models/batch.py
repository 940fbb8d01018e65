"""Many related weighted fits of one design at once, each held to what the single fit would give.

Replicate r maximises l_r(beta) = sum_i w_ri l(x_i beta + o_i, y_i): a bootstrap resample, a delete-one sample, another
outcome. All replicates of a block share the passes over the rows, which are matrix products:

    eta = B X' + o         (b, n), B (b, p) the coefficients of b replicates
    score = W y X - (W * mean(eta)) X
    information = (W * v(eta)) Z,  Z (n, p(p+1)/2) the products of pairs of columns

The start is the solution of a second-order model around the maximum of the whole sample (its third derivatives are
computed once), followed by one Newton step, all in single precision, on columns whitened by the whole sample's
information. Then come steps in double precision with the information found so far, which is renewed only while that
pays (a chord method); it only steers, so its products stay in single precision. A solution is accepted by its score
and by the estimated distance to go (1e-12 in any linear predictor), so it is the single fit's. A replicate that is not
accepted is solved alone, by Newton's method with step halving; if that finds no maximum either (a resample without
events in a category, or without anyone in it), it is marked, never replaced.

Working memory: the block of weights, at most one copy of it, and tiles of a MiB. A block has 64 replicates, or as many
fewer as fit in BLOCK_BYTES (64 MiB); the products of columns are kept if they fit in it too, and made anew tile by
tile otherwise. Nothing depends on the number of replicates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat

import numpy as np
import numpy.typing as npt

from walkrisk.models.batch_solver import FAMILIES, BatchSolution, BatchSolver, joined, one_by_one
from walkrisk.models.blocks import block_size
from walkrisk.models.fit import FAMILIES as EVERY_FAMILY
from walkrisk.models.solver import Family

FloatArray = npt.NDArray[np.float64]


def fit_batch(
    method: str,
    x: FloatArray,
    y: FloatArray,
    weights: FloatArray | Iterable[FloatArray] | None = None,
    *,
    base: FloatArray | None = None,
    start: FloatArray | None = None,
    offset: FloatArray | None = None,
    likelihood: bool = True,
) -> BatchSolution:
    """Coefficients of one design x (n, p) under B sets of weights (B, n), or B outcomes y (B, n), or both.

    `weights` may be an iterator of blocks (b, n), so that they need not be in memory together; `y` is (n,), or (B, n)
    with weights None, (n,) or (B, n). The replicates are taken to lie around the maximum under the weights `base` (n,),
    by default the mean weights (and mean outcome) of the first block; `start` (p,) is where to look for it. `offset`
    (n,) is added to every linear predictor. Without `likelihood`, log-likelihoods are NaN, which saves time.

    modified_poisson and logistic are solved in batches; the other methods of `fit_model` one by one, a maximum on the
    boundary included. Raises ValueError for another method, for shapes that do not fit, for values that are not finite,
    and for weights that are negative or all zero.
    """
    family = _family(method)
    x = np.asarray(x, dtype=np.float64)
    check_numbers(x, y, offset)
    solver: BatchSolver | None = None
    parts = []
    for w, outcome in _blocks(x, y, weights):
        if method not in FAMILIES:
            parts.append(one_by_one(family, x, outcome, w, start=None, offset=offset))
            continue
        if solver is None:
            solver = BatchSolver.prepare(
                method,
                x,
                np.atleast_2d(outcome).mean(axis=0),
                base=w.mean(axis=0) if base is None else base,
                start=start,
                offset=offset,
            )
        parts.append(solver.solve(w, outcome=outcome, likelihood=likelihood))
    if not parts:
        raise ValueError("There is nothing to fit: give at least one set of weights (B, n).")
    return joined(parts)


def fit_designs(
    method: str,
    designs: Iterable[FloatArray],
    y: FloatArray | Iterable[FloatArray],
    *,
    weights: FloatArray | None = None,
    start: FloatArray | None = None,
) -> BatchSolution:
    """Coefficients of B designs of equal shape (n, p), as multiple imputations have, with one outcome or one for each.

    Designs share no products, so each is a single fit; all but the first start where the first ended, which halves the
    number of steps. `designs` may be an iterator. Raises ValueError as `fit_batch` does.
    """
    family = _family(method)
    outcomes = repeat(y) if isinstance(y, np.ndarray) and y.ndim == 1 else y
    parts: list[BatchSolution] = []
    for x, outcome in zip(designs, outcomes, strict=False):
        check_numbers(x, outcome, None)
        w = np.ones((1, len(x))) if weights is None else np.atleast_2d(weights)
        check_weights(w, len(x))
        if parts and x.shape[1] != parts[0].coefficients.shape[1]:
            raise ValueError("The designs differ in their number of columns.")
        parts.append(one_by_one(family, x, outcome, w, start=start, offset=None))
        if start is None and parts[0].converged[0] and not family.bounded:
            start = parts[0].coefficients[0]
    if not parts:
        raise ValueError("There is nothing to fit: give at least one design (n, p).")
    return joined(parts)


def _family(method: str) -> Family:
    if method not in EVERY_FAMILY:
        raise ValueError(f"There is no method {method!r}: choose from {', '.join(EVERY_FAMILY)}.")
    return EVERY_FAMILY[method]


def check_numbers(x: FloatArray, y: FloatArray, offset: FloatArray | None) -> None:
    if x.ndim != 2 or y.shape[-1] != len(x) or y.ndim > 2:
        raise ValueError(f"The outcome {y.shape} does not fit the design {x.shape}: give y (n,) or (B, n).")
    for name, values in (("design", x), ("outcome", y), ("offset", offset)):
        if values is not None and not np.isfinite(values).all():
            raise ValueError(f"The {name} holds values that are missing or infinite; leave those rows out first.")


def check_weights(w: FloatArray, n: int) -> None:
    """Raises ValueError unless weights (b, n) are finite, not negative, and not all zero in any replicate."""
    if w.ndim != 2 or w.shape[1] != n:
        raise ValueError(f"The weights {w.shape} do not fit {n} rows: give (B, n) or blocks of them.")
    if not np.isfinite(w).all() or w.min(initial=0.0) < 0:
        raise ValueError("The weights hold values that are negative, missing or infinite.")
    if not w.any(axis=1).all():
        raise ValueError("The weights of a replicate are all zero, so it has nobody to fit.")


def _blocks(
    x: FloatArray, y: FloatArray, weights: FloatArray | Iterable[FloatArray] | None
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Weights (b, n) with their outcome, (n,) or (b, n), a block at a time."""
    n = len(x)
    size = block_size(n)
    if y.ndim == 2:
        if weights is not None and not isinstance(weights, np.ndarray):
            raise ValueError("With an outcome for each replicate, give the weights as one array (B, n).")
        w = np.ones((1, n)) if weights is None else np.atleast_2d(weights)
        check_weights(w, n)
        w = np.broadcast_to(w, y.shape) if len(w) == 1 else w
        if w.shape != y.shape:
            raise ValueError(f"{len(w)} sets of weights do not fit {len(y)} outcomes.")
        for first in range(0, len(y), size):
            yield np.asarray(w[first : first + size], dtype=np.float64), y[first : first + size]
        return
    sets = np.ones((1, n)) if weights is None else weights
    for block in [np.atleast_2d(sets)] if isinstance(sets, np.ndarray) else sets:
        check_weights(block, n)
        for first in range(0, len(block), size):
            yield np.asarray(block[first : first + size], dtype=np.float64), y
