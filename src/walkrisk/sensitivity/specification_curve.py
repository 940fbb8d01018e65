"""What many specifications of one question amount to together: summaries, a joint test, and which choices matter.

Of K specifications with log ratios t_k and z statistics z_k:

    median log ratio; share with the sign most of them have; share significant in the direction most significant ones
    have; mean z (Stouffer's is sqrt(K) times it)

and for each, with b of B data sets without association giving a statistic at least as extreme, P = (b + 1)/(B + 1)
(Phipson & Smyth 2010). Specifications are analyses of the same people, so that no P value of one of them, and no
count of them, is evidence by itself; the joint distribution under no association is.

Which choices move the estimate: the sum of squares of the log ratios around their mean, divided among decisions by the
average (over all orders of entering, Shapley's) of what each adds to R^2 of a model of main effects. Where every
combination is there these are the sums of squares of an analysis of variance. What main effects leave is interaction:
choices that matter together.

References: Simonsohn, Simmons & Nelson 2020 doi 10.1038/s41562-020-0912-z; Phipson & Smyth 2010
doi 10.2202/1544-6115.1585.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

STATISTICS = ("median", "sign", "significant", "mean_z")


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """Summaries of K specifications in each of B data sets, all (B,): see the module; `median` is a log ratio."""

    median: FloatArray
    sign: FloatArray
    significant: FloatArray
    mean_z: FloatArray


def together(log_ratios: FloatArray, std_errors: FloatArray, z: float) -> Together:
    """Summaries over the last axis of log ratios and standard errors (B, K); `z` is the limit of significance."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = log_ratios / std_errors
    above, below = (log_ratios > 0).mean(axis=-1), (log_ratios < 0).mean(axis=-1)
    high, low = (ratio > z).mean(axis=-1), (ratio < -z).mean(axis=-1)
    return Together(
        median=np.median(log_ratios, axis=-1),
        sign=np.maximum(above, below),
        significant=np.maximum(high, low),
        mean_z=ratio.mean(axis=-1),
    )


def joint_p(observed: Together, null: Together) -> dict[str, float]:
    """P = (b + 1)/(B + 1) of each statistic, two-sided by construction: its size, whatever the sign."""
    out = {}
    for name in STATISTICS:
        seen, drawn = abs(float(getattr(observed, name)[0])), np.abs(getattr(null, name))
        out[name] = (1 + int((drawn >= seen - 1e-12).sum())) / (1 + len(drawn))
    return out


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """Shares of the variance of log ratios: of each decision's main effect (D,), and of interactions; they add to 1."""

    decisions: FloatArray
    interactions: float
    variance: float


def shares_of_variance(places: IntArray, log_ratios: FloatArray) -> Shares:
    """How the variance of log ratios (K,) divides among decisions; `places` (K, D) number the options taken.

    A decision of which only one option occurs has a share of 0. Raises ValueError for fewer than 2 specifications and
    more than 16 decisions.
    """
    k, d = places.shape
    if k < 2:
        raise ValueError(f"Variance takes two specifications or more, got {k}.")
    if d > 16:
        raise ValueError(f"Shares are computed for up to 16 decisions, got {d}.")
    centred = log_ratios - log_ratios.mean()
    total = float(centred @ centred)
    if total <= 1e-24 * k:
        return Shares(np.zeros(d), 0.0, 0.0)
    blocks = [_coded(places[:, j]) for j in range(d)]
    varying = [j for j in range(d) if blocks[j].shape[1]]
    fits = {
        frozenset(s): _explained(blocks, s, centred) for r in range(len(varying) + 1) for s in combinations(varying, r)
    }
    share, v = np.zeros(d), len(varying)
    for j in varying:
        others = [i for i in varying if i != j]
        for r in range(v):
            weight = 1 / (v * comb(v - 1, r))
            for s in combinations(others, r):
                share[j] += weight * (fits[frozenset((*s, j))] - fits[frozenset(s)])
    share /= total
    return Shares(share, max(0.0, 1.0 - float(share.sum())), total / (k - 1))


def _coded(options: IntArray) -> FloatArray:
    """One centred 0/1 column for each option that occurs but the first."""
    seen = np.unique(options)
    columns = (options[:, None] == seen[None, 1:]).astype(np.float64)
    return np.asarray(columns - columns.mean(axis=0))


def _explained(blocks: list[FloatArray], at: tuple[int, ...], y: FloatArray) -> float:
    """The sum of squares that the blocks explain."""
    if not at:
        return 0.0
    x = np.concatenate([blocks[j] for j in at], axis=1)
    products = x.T @ x
    fitted = np.linalg.lstsq(products, x.T @ y, rcond=1e-10)[0]
    return float(fitted @ (x.T @ y))
