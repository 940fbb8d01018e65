"""The jackknife over groups of people: areas, clusters, sampling units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]
Refit = Callable[[FloatArray], FloatArray]  # weights (B, n) -> log ratios (B, q), NaN where there is no maximum


@dataclass(frozen=True, slots=True, eq=False)
class Jackknife:
    """Estimates without each group (G, q), the people of each (G,), and the covariance (q, q) between groups.

    `lost` groups have no estimate without them and are left out of the covariance.
    """

    without: FloatArray
    people: IntArray
    covariance: FloatArray
    lost: int


def jackknife(refit: Refit, weights: FloatArray, group: IntArray, *, strata: IntArray | None = None) -> Jackknife:
    """Delete-one-group estimates and their covariance, groups numbered 0 .. G-1 (n,), weights (n,).

    Without strata      V = (G - 1)/G sum_g d_g d_g',            d_g = b_(g) - mean of all b_(g)
    with strata (n,)    V = sum_h (n_h - 1)/n_h sum_g d_g d_g',  d_g = b_(g) - mean over the groups of stratum h;
                        the weights of the other groups of h are then multiplied by n_h/(n_h - 1)

    (JK1 and JKn of survey sampling.) Raises ValueError for a single group, a stratum with a single one, a group in
    several strata, and fewer than two groups that can be left out.

    Reference: Shao & Tu 1995 doi 10.1007/978-1-4612-0795-5.
    """
    count = int(group.max(initial=-1)) + 1
    if count < 2:
        raise ValueError("there is a single group, so leaving it out leaves nobody; choose a column with more groups")
    people = np.bincount(group, minlength=count).astype(np.intp)
    of = np.zeros(count, dtype=np.intp)
    if strata is not None:
        of[group] = strata
        if not np.array_equal(of[group], strata):
            raise ValueError("some groups lie in several strata; number the groups within strata")
        sizes = np.bincount(of)
        if (sizes == 1).any():
            raise ValueError(
                f"{int((sizes == 1).sum())} strata have a single group, so nothing is known of the variance within "
                "them; merge these strata, or leave them out"
            )
    else:
        sizes = np.array([count])
    without = np.concatenate([refit(block) for block in _blocks(weights, group, of, sizes, strata is not None)])
    kept = np.isfinite(without).all(axis=1)
    if kept.sum() < 2:
        raise ValueError("fewer than two groups can be left out with an estimate left; choose larger groups")
    v = np.zeros((without.shape[1], without.shape[1]))
    for h, size in enumerate(sizes):
        mine = without[kept & (of == h)]
        if len(mine):
            moved = mine - mine.mean(axis=0)
            v += (size - 1) / size * moved.T @ moved
    return Jackknife(without, people, v, int(count - kept.sum()))


def _blocks(
    weights: FloatArray, group: IntArray, of: IntArray, sizes: IntArray, stratified: bool, size: int = 64
) -> list[FloatArray]:
    count = len(of)
    made = []
    for first in range(0, count, size):
        block = []
        for g in range(first, min(first + size, count)):
            w = np.where(group == g, 0.0, weights)
            if stratified:
                n_h = sizes[of[g]]
                w = np.where((of[group] == of[g]) & (group != g), w * (n_h / (n_h - 1)), w)
            block.append(w)
        made.append(np.array(block))
    return made


def dealt(n: int, groups: int, rng: np.random.Generator) -> IntArray:
    """People (n,) dealt at random to `groups` groups of sizes that differ by one at most."""
    return np.asarray(rng.permutation(np.arange(n) % groups), dtype=np.intp)
