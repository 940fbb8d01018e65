"""Standardised mean differences between the groups of a descriptive table, from its own cells.

Of a plain variable |m_a - m_b| / sqrt((s_a^2 + s_b^2) / 2); of a factor the Mahalanobis distance of its shares,
sqrt(d' S^-1 d), S the mean of the two multinomial covariances, which for two levels is |p_a - p_b| over the root of the
mean of p (1 - p). Among those whose value is known. Of more than two groups the largest of all pairs: what matters is
whether any two groups differ (others average the pairs).

References: Austin 2009 doi 10.1002/sim.3697; Yang & Dalton 2012, SAS Global Forum paper 335 (no DOI).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import combinations
from math import isfinite, sqrt

import numpy as np

from walkrisk.estimates.balance import mahalanobis_difference
from walkrisk.estimates.characteristics import SMD, TOTAL
from walkrisk.estimates.results import Characteristic
from walkrisk.estimates.suppression import is_small


def standardised_differences(cells: Sequence[Characteristic]) -> Iterator[Characteristic]:
    """A row a variable of one descriptive table; the total is no group.

    The value is None where a pair has no standardised difference: nobody known, no spread, or no category in common.
    """
    groups = [g for g in dict.fromkeys(c.group for c in cells) if g != TOTAL]
    for variable in dict.fromkeys(c.variable for c in cells if c.variable):
        mine = [[c for c in cells if c.variable == variable and c.group == g] for g in groups]
        pairs = [_difference(a, b) for a, b in combinations(mine, 2)]
        known = sum(group[0].known or 0 for group in mine)
        value = max((p for p in pairs if p is not None), default=None) if None not in pairs else None
        yield Characteristic(
            table=cells[0].table, variable=variable, level="", group="", statistic=SMD, value=value, known=known
        )


def _difference(a: Sequence[Characteristic], b: Sequence[Characteristic]) -> float | None:
    sides = [[c.value for c in side if c.statistic in ("mean", "sd", "percent")] for side in (a, b)]
    known = [[v for v in side if v is not None] for side in sides]
    if known != sides:
        return None
    if any(c.statistic == "mean" for c in a):
        (m, s), (other, other_s) = known
        spread = sqrt((s**2 + other_s**2) / 2)
        value = abs(m - other) / spread if spread > 0 else float("nan")
    else:
        value = mahalanobis_difference(*(np.array(side) / 100 for side in known))
    return value if isfinite(value) else None


def difference_hidden(
    marked: Collection[tuple[str, str, str, str]],
    rows: Sequence[Characteristic],
    table: str,
    variable: str,
    min_cell: int,
) -> bool:
    """Whether a variable's difference would give a hidden count away, or rests on fewer than `min_cell` of a group.

    `marked` are the cells (table, group, variable, level) whose counts are not shown; a group's size counts for every
    variable.
    """
    if any(cell[0] == table and cell[2] in (variable, "") for cell in marked):
        return True
    mine = (r for r in rows if r.table == table and r.variable == variable and r.group)
    return any(r.known is not None and is_small(r.known, min_cell) for r in mine)
