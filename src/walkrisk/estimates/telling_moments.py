"""Means and standard deviations of whole numbers that hardly vary, from which a count of very few follows.

The mean of a 0/1 variable times its people is a count. Of whole numbers that are nearly all the same, such as
admissions, mean and standard deviation leave hardly more than one way to share them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from walkrisk.estimates.characteristics import TOTAL
from walkrisk.estimates.results import Characteristic
from walkrisk.estimates.suppression import is_small

SPREAD = 10  # times the minimum cell size: the sum of squares about the commonest number from which on nothing is told
EXACT = 1e-4  # how near to a whole number a sum is one


@dataclass(frozen=True, slots=True)
class _Sums:
    """People whose value is known, the sum of their values and of the squares."""

    n: int
    values: int
    squares: int

    def about(self, a: int) -> int:
        """The sum of squared distances from a."""
        return self.squares - 2 * a * self.values + a * a * self.n


def telling_moments(rows: Sequence[Characteristic], min_cell: int) -> set[tuple[str, str]]:
    """(table, variable) of the means and standard deviations that tell a count of 1 to min_cell - 1."""
    return {place for place, groups in _by_place(rows).items() if _tells(groups, min_cell)}


def of_two_numbers(rows: Sequence[Characteristic]) -> frozenset[str]:
    """The variables of descriptive tables that hold two whole numbers in a row, such as 0 and 1, and no other."""
    return frozenset(place[1] for place, groups in _by_place(rows).items() if groups and _lower(groups) is not None)


def _by_place(rows: Sequence[Characteristic]) -> dict[tuple[str, str], dict[str, _Sums]]:
    """(table, variable) -> group -> its sums, where they are of whole numbers."""
    moments: dict[tuple[str, str], dict[str, list[Characteristic]]] = {}
    for r in rows:
        if r.statistic in ("mean", "sd") and r.value is not None and r.known:
            moments.setdefault((r.table, r.variable), {}).setdefault(r.group, []).append(r)
    return {
        place: {g: made for g, found in groups.items() if (made := _sums(found))} for place, groups in moments.items()
    }


def _sums(found: Sequence[Characteristic]) -> _Sums | None:
    """The sums behind a mean and a deviation; None of numbers that are not whole."""
    value = {r.statistic: r.value or 0.0 for r in found}
    n = found[0].known or 0
    values = n * value["mean"]
    squares = (n - 1) * value.get("sd", 0.0) ** 2 + values * value["mean"]
    if abs(values - round(values)) > EXACT or abs(squares - round(squares)) > EXACT:
        return None
    return _Sums(n, round(values), round(squares))


def _lower(groups: dict[str, _Sums]) -> int | None:
    """The lower of the two whole numbers in a row that all groups hold; None if there are others."""
    low = min(floor(s.values / s.n) for s in groups.values())
    others = any(s.squares - (2 * low + 1) * s.values + low * (low + 1) * s.n for s in groups.values())
    return None if others else low


def _tells(groups: dict[str, _Sums], min_cell: int) -> bool:
    if not groups:
        return False
    low = _lower(groups)
    if low is None:
        about = [s.about(round(s.values / s.n)) for s in groups.values()]
        return any(0 < v < SPREAD * min_cell for v in about)
    counts = {g: (s.values - low * s.n, (low + 1) * s.n - s.values) for g, s in groups.items()}
    parts = [c for g, c in counts.items() if g != TOTAL]
    rest = [t - sum(c[i] for c in parts) for i, t in enumerate(counts.get(TOTAL, ()))]
    return any(is_small(v, min_cell) for v in (*rest, *(v for c in counts.values() for v in c)))
