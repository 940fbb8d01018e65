"""Which cells of an additive table must be hidden so that no small count can be read or worked out."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Sum(Generic[K]):
    """The cells `parts` add up to the cell `total`."""

    total: K
    parts: tuple[K, ...]

    @property
    def cells(self) -> tuple[K, ...]:
        """Every cell of the sum."""
        return (*self.parts, self.total)


def is_small(count: float, min_cell: int) -> bool:
    """Whether a count is 1..min_cell - 1."""
    return 1 <= count < min_cell


def hidden_cells(
    values: Mapping[K, int],
    sums: Sequence[Sum[K]],
    *,
    min_cell: int,
    cost: Mapping[K, int],
    unseen: Collection[K] = (),
    forced: Collection[K] = (),
) -> frozenset[K]:
    """The cells to hide: those of 1..min_cell - 1, `forced` ones, and others so that none of the small can be worked out.

    A reader knows every cell that is not hidden and not `unseen`, every sum, and the rule: a small cell lies in
    1..min_cell - 1, another hidden cell is 0 or at least min_cell. A small cell is safe when at least two values of it
    agree with all that. Cells to hide besides are taken by `cost`, then by size, from the sums of the exposed cell; a
    cell without a cost is never hidden (it is known from elsewhere). What turns out not to be needed is shown again.
    If nothing is left to hide, what remains exposed stays so.
    """
    small = {k for k, v in values.items() if is_small(v, min_cell)}
    hidden = small | set(forced) | set(unseen)
    table = _Table(values, sums, frozenset(small), frozenset(unseen), min_cell)
    added: list[K] = []
    while exposed := table.exposed(hidden):
        more = _candidates(values, sums, exposed, hidden, cost, min_cell)
        if not more:
            break
        added += more
        hidden |= set(more)
    for cell in sorted(added, key=lambda k: (cost[k], values[k]), reverse=True):
        if len(added) > 1 and not table.exposed(hidden - {cell}):
            hidden.discard(cell)
    return frozenset(hidden - set(unseen))


def _candidates(
    values: Mapping[K, int], sums: Sequence[Sum[K]], exposed: Sequence[K], hidden: Collection[K],
    cost: Mapping[K, int], min_cell: int,
) -> list[K]:  # fmt: skip
    """A cell to hide for every exposed one: the cheapest of its sums, a large count before a zero, else of anywhere."""
    chosen: list[K] = []
    for cell in exposed:
        free = [k for k in cost if k not in hidden]
        near = {k for s in sums if cell in s.cells for k in s.cells}
        pool = [k for k in free if k in near and values[k] >= min_cell] or [k for k in free if k in near] or free
        if pool and not near & set(chosen):
            chosen.append(min(pool, key=lambda k: (cost[k], values[k])))
    return chosen


@dataclass(frozen=True, slots=True)
class _Table(Generic[K]):
    values: Mapping[K, int]
    sums: Sequence[Sum[K]]
    small: frozenset[K]
    unseen: frozenset[K]
    min_cell: int

    def exposed(self, hidden: Collection[K]) -> list[K]:
        """Small cells that take one value only in all tables a reader may think of."""
        names = [k for k in self.values if k in hidden]
        if not self.small:
            return []
        column = {k: i for i, k in enumerate(names)}
        truth = np.array([self.values[k] for k in names], dtype=np.float64)
        a, domain = self._equations(column), self._domain(names, float(truth.max(initial=1.0)))
        open_ = [column[k] for k in names if k in self.small]
        out = []
        while open_:
            c = open_.pop(0)
            other = _another(a, truth, domain, c)
            if other is None:
                out.append(names[c])
            else:
                open_ = [i for i in open_ if round(other[i]) == truth[i]]
        return out

    def _equations(self, column: Mapping[K, int]) -> FloatArray:
        rows = []
        for s in self.sums:
            row = np.zeros(len(column))
            for cell, sign in (*((p, 1.0) for p in s.parts), (s.total, -1.0)):
                if cell in column:
                    row[column[cell]] += sign
            if row.any():
                rows.append(row)
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(column))

    def _domain(self, names: Sequence[K], largest: float) -> _Domain:
        shown_small = [k in self.small and k not in self.unseen for k in names]
        either = [not small and k not in self.unseen for k, small in zip(names, shown_small, strict=True)]
        low = np.where(shown_small, 1.0, np.where(either, float(self.min_cell), 0.0))
        high = np.where(shown_small, self.min_cell - 1.0, 2 * largest + self.min_cell)
        return _Domain(low, high, np.where(either, 3, 1))


@dataclass(frozen=True, slots=True)
class _Domain:
    """What a reader thinks possible of hidden cells: whole numbers in low..high (kind 1), or 0 besides (kind 3)."""

    low: FloatArray
    high: FloatArray
    kind: npt.NDArray[np.int64]


def _another(a: FloatArray, truth: FloatArray, domain: _Domain, c: int) -> FloatArray | None:
    """A table in whole numbers that agrees with all sums and differs from the truth in cell `c`, if there is one."""
    from scipy.optimize import Bounds, LinearConstraint, milp  # slow to import, and rarely needed

    sums = LinearConstraint(a, a @ truth, a @ truth) if len(a) else ()
    for low, high in ((domain.low[c], truth[c] - 1), (truth[c] + 1, domain.high[c])):
        if low > high:
            continue
        limits = Bounds(_with(domain.low, c, low), _with(domain.high, c, high))
        found = milp(np.zeros(len(truth)), constraints=sums, integrality=domain.kind, bounds=limits)
        if found.x is not None:
            return np.asarray(found.x, dtype=np.float64)
    return None


def _with(values: FloatArray, at: int, value: float) -> FloatArray:
    out = values.copy()
    out[at] = value
    return out
