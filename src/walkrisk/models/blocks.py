"""Working a block of replicates off in tiles of rows that stay in a core's cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from walkrisk.models.solver import POISSON, Family

FloatArray = npt.NDArray[np.float64]
SingleArray = npt.NDArray[np.float32]
AnyFloat = TypeVar("AnyFloat", FloatArray, SingleArray)

BLOCK = 64  # replicates that are iterated together, at most
BLOCK_BYTES = 64 * 2**20
TILE = 131_072  # elements of a block's rows that are worked on at a time: 1 MiB of doubles, a core's cache


def block_size(n: int) -> int:
    """Replicates that are iterated together for n rows: 64, 32, 16, ... so that their weights fit in BLOCK_BYTES."""
    size = BLOCK
    while size > 1 and size * n * 8 > BLOCK_BYTES:
        size //= 2
    return size


def tile_rows(replicates: int) -> int:
    """Rows of which a tile holds a block of replicates."""
    return max(64, TILE // max(replicates, 1))


def tiles(n: int, replicates: int) -> Iterator[slice]:
    """Ranges of rows, tile by tile."""
    step = tile_rows(replicates)
    return (slice(first, min(first + step, n)) for first in range(0, n, step))


@dataclass(frozen=True, slots=True, eq=False)
class Workspace:
    """Memory for a tile of a block, one of doubles and two of singles, used again for every tile."""

    replicates: int
    doubles: FloatArray
    singles: SingleArray

    @classmethod
    def of(cls, replicates: int, n: int) -> Workspace:
        step = min(tile_rows(replicates), n)
        return cls(replicates, np.empty(replicates * step), np.empty((2, replicates * step), dtype=np.float32))

    def double(self, replicates: int, rows: slice) -> FloatArray:
        """Memory (replicates, rows)."""
        width = rows.stop - rows.start
        return self.doubles[: replicates * width].reshape(replicates, width)

    def single(self, replicates: int, rows: slice, which: int) -> SingleArray:
        """Memory (replicates, rows) of the first or second tile of singles."""
        width = rows.stop - rows.start
        return self.singles[which, : replicates * width].reshape(replicates, width)


def means(family: Family, eta: AnyFloat) -> AnyFloat:
    """The means exp(eta) or 1/(1 + exp(-eta)), in place of eta."""
    if family is POISSON:
        return np.exp(eta, out=eta)
    np.negative(eta, out=eta)
    np.exp(eta, out=eta)
    eta += 1.0
    return np.reciprocal(eta, out=eta)


def inverses(packed: FloatArray, p: int) -> FloatArray:
    """Inverses (b, p, p) of symmetric matrices given by their upper triangles (b, p(p+1)/2); NaN where singular."""
    i, j = np.triu_indices(p)
    whole = np.empty((len(packed), p, p))
    whole[:, i, j] = packed
    whole[:, j, i] = packed
    whole[~np.isfinite(packed).all(axis=1)] = np.nan
    try:
        return np.asarray(np.linalg.inv(whole), dtype=np.float64)
    except np.linalg.LinAlgError:
        out = np.full(whole.shape, np.nan)
        for k, matrix in enumerate(whole):
            try:
                out[k] = np.linalg.inv(matrix)
            except np.linalg.LinAlgError:
                continue
        return out
