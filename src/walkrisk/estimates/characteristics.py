"""Descriptive statistics of groups of people: counts, means, shares; and histograms of exposures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.cohort import Variable
from walkrisk.estimates.results import Characteristic, HistogramBin

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

TOTAL = "Total"
SMD = "smd"  # the statistic of a standardised difference between groups, which belongs to no group


def describe(
    table: str, columns: Mapping[str, FloatArray], rows: Sequence[Variable], groups: Mapping[str, BoolArray]
) -> Iterator[Characteristic]:
    """The cells of a descriptive table, group by group.

    For each group (name -> mask (n,)): its size (`n`, variable empty); for a plain variable the mean and the standard
    deviation (n - 1) of the known; for a factor the count and the percentage among the known of each of its levels.
    """
    for group, mask in groups.items():
        size = int(mask.sum())
        yield Characteristic(
            table=table, variable="", level="", group=group, statistic="n", value=float(size), known=size
        )
        for variable in rows:
            values = columns[variable.name][mask]
            values = values[~np.isnan(values)]
            if variable.levels is None:
                yield from _moments(table, variable.name, group, values)
            else:
                yield from _shares(table, variable, group, values)


def _moments(table: str, variable: str, group: str, values: FloatArray) -> Iterator[Characteristic]:
    mean = float(values.mean()) if values.size else None
    sd = float(values.std(ddof=1)) if values.size > 1 else None
    for statistic, value in (("mean", mean), ("sd", sd)):
        yield Characteristic(
            table=table, variable=variable, level="", group=group, statistic=statistic, value=value, known=values.size
        )


def _shares(table: str, variable: Variable, group: str, values: FloatArray) -> Iterator[Characteristic]:
    assert variable.levels is not None
    for code in variable.levels:
        count = int((values == code).sum())
        percent = 100 * count / values.size if values.size else None
        for statistic, value in (("count", float(count)), ("percent", percent)):
            yield Characteristic(
                table=table,
                variable=variable.name,
                level=str(code),
                group=group,
                statistic=statistic,
                value=value,
                known=values.size,
            )


def histogram(exposure: str, values: FloatArray, *, bins: int = 50) -> list[HistogramBin]:
    """Counts of known values (n,) in steps of 1, 2 or 5 times a power of ten, at most about `bins` of them.

    The limits are multiples of the step, whatever anybody's value; the last step includes its upper limit.
    """
    known = values[~np.isnan(values)]
    if known.size == 0:
        return []
    low, high = float(known.min()), float(known.max())
    step = _round_step((high - low) / bins)
    first = math.floor(low / step)
    last = max(math.ceil(high / step), first + 1)
    edges = np.arange(first, last + 1) * step
    counts, _ = np.histogram(known, bins=edges)
    return [
        HistogramBin(exposure=exposure, low=float(low), high=float(high), n=int(n))
        for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True)
    ]


def _round_step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below `least`."""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(f * power for f in (1.0, 2.0, 5.0, 10.0) if f * power >= least * (1 - 1e-9))
