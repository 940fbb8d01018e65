"""Multiple imputation by chained equations, and how well its chains mixed.

Each of m sets is its own chain: holes are filled with known values drawn at random, then every cycle visits the targets
from the fewest holes to the most and imputes each from its model given all others (`imputation_draws`). The set is what
the last cycle leaves. Sets share what never changes (`imputation_design.prepare`) and nothing else: each has a random
stream of its own, each visit one made from it.

Assumptions: values are missing at random given the variables named (outcome and exposure among them), unless shifted;
each model describes its target given the others. Relations within a target's model are linear and additive.

Why our own: statsmodels' MICEData imputes by predictive mean matching alone; proportional odds, multinomial and
logistic draws, augmented data against perfect prediction, shifts with common random numbers and chains that share their
cross-products are in no library for Python that is kept up. R's mice is the witness of every model
(tests/reference/imputation.R).

Convergence is judged as Gelman & Rubin do (1992, doi 10.1214/ss/1177011136), over the chains' means of imputed values.
Reference: van Buuren & Groothuis-Oudshoorn 2011, doi 10.18637/jss.v045.i03.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.sensitivity.imputation_design import CONTINUOUS, Kind, Prepared, Target, Visit, prepare
from walkrisk.sensitivity.imputation_draws import Shift, draw_visit
from walkrisk.sensitivity.imputation_fits import Maximum

__all__ = ["CONTINUOUS", "Chain", "Kind", "Prepared", "Shift", "Target", "gelman_rubin", "prepare", "run_chain"]

FloatArray = npt.NDArray[np.float64]

MIXED = 1.1  # Gelman-Rubin statistic above which a sentence says so


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Chain:
    """One imputed set: `values` {name: (holes,)} in the order of `Prepared.visit(name).rows`, and the way there.

    `means` and `sds` (cycles, targets) are those of the imputed values after each visit, in the order of
    `Prepared.names`: of the numbers of a continuous target, of the 0/1 indicator of the highest level of a binary one,
    of the place 1, 2, ... of an ordinal one's level, of the indicator of a nominal one's commonest level.
    """

    values: Mapping[str, FloatArray]
    means: FloatArray
    sds: FloatArray
    warnings: tuple[str, ...]


def run_chain(
    prepared: Prepared,
    rng: np.random.Generator,
    *,
    cycles: int = 10,
    shift: Shift | None = None,
    proper: bool = True,
    tick: Callable[[], None] | None = None,
) -> Chain:
    """One imputed set. The same `rng` state gives the same random numbers under every `shift`.

    `tick` is called after each cycle. Raises ValueError for fewer than 1 cycle, or a shift of what is not imputed or
    has no such level.
    """
    if cycles < 1:
        raise ValueError(f"A chain needs at least 1 cycle, got {cycles}; 10 is usual.")
    if shift is not None:
        check_shift(prepared, shift)
    root = int(rng.integers(2**63))
    incomplete = prepared.incomplete.copy()
    values: dict[str, FloatArray] = {}
    for i, visit in enumerate(prepared.visits):
        start = np.random.default_rng([root, 0, i])
        _put(incomplete, visit, start.choice(visit.values, len(visit.holes)))
    fits: list[Maximum | None] = [None] * len(prepared.visits)
    means, sds = np.empty((cycles, len(fits))), np.empty((cycles, len(fits)))
    unfinished: dict[str, int] = {}
    for cycle in range(cycles):
        for i, visit in enumerate(prepared.visits):
            stream = np.random.default_rng([root, cycle + 1, i])
            drawn = draw_visit(prepared, visit, incomplete, stream, warm=fits[i], shift=shift, proper=proper)
            if drawn.fit is not None and not drawn.fit.converged:
                unfinished[visit.target.name] = unfinished.get(visit.target.name, 0) + 1
            fits[i] = drawn.fit
            values[visit.target.name] = drawn.values
            _put(incomplete, visit, drawn.values)
            followed = traced(visit, drawn.values)
            means[cycle, i], sds[cycle, i] = followed.mean(), followed.std()
        if tick is not None:
            tick()
    said = tuple(
        f"The model of {name} had not reached its maximum in {times} of {cycles} cycles; name fewer predictors for it."
        for name, times in unfinished.items()
    )
    return Chain(values=values, means=means, sds=sds, warnings=said)


def check_shift(prepared: Prepared, shift: Shift) -> None:
    """Raises ValueError for a shift of what is not imputed, or of a level that nobody has."""
    if shift.name not in prepared.names:
        raise ValueError(f"{shift.name} is not imputed, so it cannot be shifted; shift {', '.join(prepared.names)}.")
    if not np.isfinite(shift.delta):
        raise ValueError(f"A shift of {shift.name} is a finite number, got {shift.delta}.")
    visit = prepared.visit(shift.name)
    levels = visit.coding.levels
    if visit.target.kind == "nominal" and shift.level is None:
        raise ValueError(f"{shift.name} is nominal, so a shift of it needs the level whose log-odds are shifted.")
    if shift.level is not None and (levels is None or shift.level not in levels):
        known = "it has no levels" if levels is None else f"its levels are {', '.join(f'{v:g}' for v in levels)}"
        raise ValueError(f"Nobody has level {shift.level:g} of {shift.name}: {known}.")


def traced(visit: Visit, values: FloatArray) -> FloatArray:
    """Values of a target as its traces follow them (see Chain)."""
    levels = visit.coding.levels
    if levels is None:
        return values
    if visit.target.kind == "nominal":
        commonest = levels[np.argmax(np.bincount(visit.level, minlength=len(levels)))]
        return np.asarray(values == commonest, dtype=np.float64)
    place = np.searchsorted(levels, values).astype(np.float64)
    return place if len(levels) == 2 else place + 1


def gelman_rubin(traces: Sequence[FloatArray]) -> FloatArray:
    """The Gelman-Rubin statistic (targets,) of m traces (cycles, targets), without the first fifth of the cycles.

    sqrt(((n - 1)/n W + B)/W) with W the mean variance within chains and B that of the chains' means: 1 where the chains
    cannot be told apart. NaN with fewer than 2 chains or 2 cycles left, or where nothing varies.
    """
    stacked = np.asarray(traces, dtype=np.float64)
    kept = stacked[:, max(1, stacked.shape[1] // 5) :]
    m, n = kept.shape[:2]
    if m < 2 or n < 2:
        return np.full(stacked.shape[2], np.nan)
    within = kept.var(axis=1, ddof=1).mean(axis=0)
    between = kept.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        out = np.sqrt(((n - 1) / n * within + between) / within)
    return np.where(within > 0, out, np.nan)


def _put(incomplete: FloatArray, visit: Visit, values: FloatArray) -> None:
    incomplete[np.ix_(visit.holes, visit.coding.columns)] = visit.coding.coded(values)
