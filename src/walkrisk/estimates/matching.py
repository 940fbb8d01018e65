"""Matching one to one on the propensity score, nearest neighbour first, without replacement.

References: Rosenbaum & Rubin 1985 doi 10.1080/00031305.1985.10479383; Austin & Small 2014 doi 10.1002/sim.6276 for
standard errors that count a pair as a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.models.propensity import Propensity

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

ORDERS = ("largest", "smallest", "data")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Matched:
    """Who was matched: `rows` (n,), the number of the pair (n,), -1 for nobody's, and each pair's distance (m,)."""

    rows: BoolArray
    pair: IntArray
    distance: FloatArray
    warnings: tuple[str, ...]


def nearest_pairs(propensity: Propensity, *, order: str = "largest", caliper: float | None = None) -> Matched:
    """Pairs of people with level 1 and level 0 of a two-level exposure, each 1 taking the nearest free 0 in turn.

    Those with level 1 choose in the `order` of their score of level 1 (`largest` or `smallest` first) or of the data;
    of equally near people the first in the data is taken. A pair further apart than `caliper` (on the scale of the
    score) is not made. The estimand is the effect among those with level 1 that could be matched; an outcome model on
    `rows` takes `pair` as its clusters.

    Raises ValueError unless there are two levels, for an unknown order, or if nobody can be matched.
    """
    if propensity.scores.shape[1] != 2:
        raise ValueError("Pairs are made for two levels of an exposure; use weights for more.")
    if order not in ORDERS:
        raise ValueError(f"There is no order '{order}' of matching; choose from {', '.join(ORDERS)}.")
    e = propensity.scores[:, 1]
    treated, free = np.flatnonzero(propensity.index == 1), np.flatnonzero(propensity.index == 0)
    if order != "data":
        sign = -1.0 if order == "largest" else 1.0
        treated = treated[np.argsort(sign * e[treated], kind="stable")]
    scores = e[free]  # infinite once taken
    pair, distance = np.full(len(e), -1, dtype=np.intp), list[float]()
    for person in treated:
        gaps = np.abs(scores - e[person])
        nearest = int(np.argmin(gaps))
        if not np.isfinite(gaps[nearest]):
            break
        if caliper is not None and gaps[nearest] > caliper:
            continue
        pair[person] = pair[free[nearest]] = len(distance)
        distance.append(float(gaps[nearest]))
        scores[nearest] = np.inf
    if not distance:
        raise ValueError("Nobody could be matched; widen the caliper, or use weights.")
    left = len(treated) - len(distance)
    label = propensity.exposure.labels[1]
    said = (f"{left} of {len(treated)} people with {label} found no match and are left out.",) if left else ()
    return Matched(rows=pair >= 0, pair=pair, distance=np.array(distance), warnings=said)
