"""Weights of resamples: how often each person, or each cluster with all its people, was drawn.

Replicate r of a seed has its own stream of random numbers, derived from (seed, r) alone: its weights are the same bytes
whichever replicates are drawn with it, in whatever batches, by however many workers.

    bootstrap            units drawn with replacement, as many as there are (within each stratum): counts
    bayesian             exponential weights scaled to mean 1 (within each stratum): Dirichlet(1, ..., 1)
    delete one           1, and 0 for the unit left out

References: Efron 1979 doi 10.1214/aos/1176344552; Rubin 1981 doi 10.1214/aos/1176345338; for clusters Field & Welsh
2007 doi 10.1111/j.1467-9868.2007.00593.x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Seed = int | np.random.SeedSequence | np.random.Generator
Kind = Literal["multinomial", "bayesian"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Resampling:
    """How units are drawn: `unit_of_row` (n,) numbers them 0 .. units-1 (None: every row is one).

    `order` (units,) lists the units stratum by stratum; for each place in it, `low` is where its stratum begins and
    `size` how many it has (None without strata).
    """

    n: int
    units: int
    root: np.random.SeedSequence
    kind: Kind
    unit_of_row: IntArray | None
    order: IntArray | None
    low: IntArray | None
    size: IntArray | None

    def stream(self, replicate: int) -> np.random.Generator:
        """The random numbers of one replicate."""
        key = (*self.root.spawn_key, replicate)
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.root.entropy, spawn_key=key)))

    def draws(self, replicate: int) -> IntArray:
        """The units drawn (units,) in a multinomial replicate."""
        random = self.stream(replicate)
        if self.order is None or self.low is None or self.size is None:
            return random.integers(0, self.units, self.units)
        return self.order[self.low + random.integers(0, self.size)]

    def counts(self, replicate: int) -> FloatArray:
        """The weight of each unit (units,); the sum within a stratum is its number of units."""
        if self.kind == "multinomial":
            return np.bincount(self.draws(replicate), minlength=self.units).astype(np.float64)
        weight = self.stream(replicate).standard_exponential(self.units)
        if self.order is None or self.low is None or self.size is None:
            return weight * (self.units / weight.sum())
        sums = np.bincount(self.low, weights=weight, minlength=self.units)[self.low]
        out = np.empty(self.units)
        out[self.order] = weight * self.size / sums
        return out

    def weights(
        self, first: int, stop: int, *, pattern: IntArray | None = None, patterns: int | None = None
    ) -> FloatArray:
        """Weights (stop - first, n) of the rows in replicates first .. stop-1.

        With `pattern` (n,), a number 0 .. patterns-1 for each row, their sums (stop - first, patterns) within patterns.
        """
        width = self.n if pattern is None else int(patterns or pattern.max() + 1)
        out = np.empty((stop - first, width))
        for k, replicate in enumerate(range(first, stop)):
            if pattern is not None and self.unit_of_row is None and self.kind == "multinomial":
                out[k] = np.bincount(pattern[self.draws(replicate)], minlength=width)
                continue
            counts = self.counts(replicate)
            row = counts if self.unit_of_row is None else counts[self.unit_of_row]
            out[k] = row if pattern is None else np.bincount(pattern, weights=row, minlength=width)
        return out


def resampling(
    n: int,
    seed: Seed,
    *,
    cluster: npt.NDArray[np.generic] | None = None,
    strata: npt.NDArray[np.generic] | None = None,
    kind: Kind = "multinomial",
) -> Resampling:
    """Resampling of n people, or of whole clusters of them (n,), within strata (n,) if given.

    A Generator gives one number, from which everything follows. Raises ValueError for a single unit (or a stratum with
    one), for clusters that lie in several strata, and for an unknown kind.
    """
    if kind not in ("multinomial", "bayesian"):
        raise ValueError(f"unknown kind of bootstrap {kind!r}; choose multinomial or bayesian")
    units, unit_of_row = n, None
    if cluster is not None:
        unit_of_row = _numbered(cluster, n, "clusters")
        units = int(unit_of_row.max()) + 1
    if units < 2:
        raise ValueError("There is a single unit to resample, so a bootstrap has nothing to vary.")
    order = low = size = None
    if strata is not None:
        stratum = _stratum_of_unit(_numbered(strata, n, "strata"), unit_of_row, units)
        order, sizes = np.argsort(stratum, kind="stable"), np.bincount(stratum)
        if (sizes < 2).any():
            raise ValueError(
                f"{int((sizes < 2).sum())} of {len(sizes)} strata have a single unit, which a bootstrap within strata "
                "always draws: join those strata with others."
            )
        low = np.repeat(np.cumsum(sizes) - sizes, sizes)
        size = np.repeat(sizes, sizes)
    return Resampling(
        n=n, units=units, root=_root(seed), kind=kind, unit_of_row=unit_of_row, order=order, low=low, size=size
    )


def _root(seed: Seed) -> np.random.SeedSequence:
    if isinstance(seed, np.random.SeedSequence):
        return seed
    number = int(seed.integers(2**63)) if isinstance(seed, np.random.Generator) else int(seed)
    if number < 0:
        raise ValueError("The seed must not be negative.")
    return np.random.SeedSequence(number)


def _numbered(values: npt.NDArray[np.generic], n: int, what: str) -> IntArray:
    if np.shape(values) != (n,):
        raise ValueError(f"The {what} {np.shape(values)} do not fit {n} rows.")
    if values.dtype.kind == "f" and not np.isfinite(values.astype(np.float64)).all():
        raise ValueError(f"The {what} hold missing values; leave those rows out first.")
    return np.unique(values, return_inverse=True)[1].reshape(-1)


def _stratum_of_unit(stratum_of_row: IntArray, unit_of_row: IntArray | None, units: int) -> IntArray:
    if unit_of_row is None:
        return stratum_of_row
    out = np.empty(units, dtype=np.intp)
    out[unit_of_row] = stratum_of_row
    if (out[unit_of_row] != stratum_of_row).any():
        raise ValueError(
            "A cluster lies in several strata; clusters can be drawn within strata only if each is in one."
        )
    return out


def weights_of_indices(indices: npt.NDArray[np.integer], n: int) -> FloatArray:
    """Counts (R, n) of resamples that are given as row numbers (R, m), from 0."""
    r = len(indices)
    flat = np.asarray(indices, dtype=np.intp) + n * np.arange(r)[:, None]
    return np.bincount(flat.ravel(), minlength=r * n).reshape(r, n).astype(np.float64)


def regression_influence(
    counts: FloatArray, values: FloatArray, *, strata: npt.NDArray[np.generic] | None = None
) -> FloatArray:
    """Empirical influence (n, k) of units on statistics, by regression of replicates (R, k) on their counts (R, n).

    The coefficients of least squares of the statistic on the proportions n_ri / n_s of each unit (but the first) of its
    stratum s, centred within strata: the estimate R's boot.ci takes for BCa by default. Replicates that are not finite
    are left out. It needs more replicates than units, and it is a noisy estimate: prefer delete-one values or the
    infinitesimal influence of a fit. Raises ValueError where there are too few replicates.

    Reference: Davison & Hinkley 1997 doi 10.1017/CBO9780511802843, section 2.7.4.
    """
    n = counts.shape[1]
    stratum = np.zeros(n, dtype=np.intp) if strata is None else _numbered(strata, n, "strata")
    sizes = np.bincount(stratum)
    firsts = np.unique(stratum, return_index=True)[1]
    rest = np.setdiff1d(np.arange(n), firsts)
    out = np.zeros((n, values.shape[1]))
    for k in range(values.shape[1]):
        fine = np.isfinite(values[:, k])
        if fine.sum() <= len(rest) + 1:
            raise ValueError(
                f"Influence by regression needs more replicates than units ({int(fine.sum())} of {n}): "
                "take more of them, or the influence of the fit."
            )
        proportion = counts[fine][:, rest] / sizes[stratum[rest]]
        design = np.column_stack([np.ones(len(proportion)), proportion])
        out[rest, k] = np.linalg.lstsq(design, values[fine, k], rcond=None)[0][1:]
        means = np.bincount(stratum, weights=out[:, k]) / sizes
        out[:, k] -= means[stratum]
    return out


def jackknife_influence(left_out: FloatArray, estimate: FloatArray) -> FloatArray:
    """Influence (n, k) by delete-one estimates (n, k): (n - 1) times (estimate - estimate without the unit)."""
    return (len(left_out) - 1) * (estimate - left_out)


def acceleration(influence: FloatArray) -> FloatArray:
    """a (k,) = sum l^3 / (6 (sum l^2)^1.5) of influence values l (n, k); NaN where nobody has influence."""
    squares = (influence**2).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((influence**3).sum(axis=0) / (6 * squares**1.5))
