"""Which cells of an additive table must be hidden so that no small count can be read or worked out."""

from __future__ import annotations

from collections.abc import Collection, Hashable, KeysView, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
K = TypeVar("K", bound=Hashable)
Mark = Literal["small", "hidden"]


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
) -> dict[K, Mark]:
    """The cells to hide: small ones (1..min_cell - 1), `forced` ones, and more so that none of these can be worked out.

    A reader knows every cell that is not hidden and not `unseen`, every sum, and the rule: a cell marked small lies in
    1..min_cell - 1, a large one that is hidden besides is at least min_cell. A cell is safe when at least two values of
    it agree with all that. Cells to hide besides are taken by `cost`, then by size, from the sums of the exposed cell;
    a cell without a cost is never hidden (it is known from elsewhere). Where nothing is left to hide, small cells are
    marked as any other; where that does not help either the cell stays exposed. What turns out not to be needed is
    shown again.
    """
    small = {k for k, v in values.items() if is_small(v, min_cell)}
    hidden = small | set(forced) | set(unseen)
    table = _Table(values, sums, frozenset(small | set(forced)), set(unseen) | (set(forced) - small), min_cell)
    beyond_help: set[K] = set()
    added: list[K] = []
    while exposed := table.exposed(hidden) - beyond_help:
        more, helpless = _candidates(table, exposed, hidden, cost)
        beyond_help |= helpless - table.veil(helpless)
        added += more
        hidden |= set(more)
    for cell in sorted(added, key=lambda k: (cost[k], values[k]), reverse=True):
        if table.exposed(hidden - {cell}) <= beyond_help:
            hidden.discard(cell)
    marked_small = small - table.unbounded
    return {k: "small" if k in marked_small else "hidden" for k in values if k in hidden and k not in unseen}


def _candidates(
    table: _Table[K], exposed: Collection[K], hidden: Collection[K], cost: Mapping[K, int]
) -> tuple[list[K], set[K]]:
    """A cell to hide for every exposed one, and those for which there is none.

    It is the cheapest in a sum of the exposed cell, a large count before a zero; else one in a sum of a cell that is
    hidden together with it.
    """
    chosen: list[K] = []
    helpless: set[K] = set()
    for group in table.components(hidden):
        for cell in (k for k in group if k in exposed):
            near = table.neighbours([cell])
            if near & set(chosen):
                continue
            pools = (near, table.neighbours(group))
            usable = ([k for k in pool if k in cost and k not in hidden] for pool in pools)
            best = next((min(u, key=lambda k: table.rank(k, cost)) for u in usable if u), None)
            if best is None:
                helpless.add(cell)
            else:
                chosen.append(best)
    return list(dict.fromkeys(chosen)), helpless


@dataclass(frozen=True, slots=True)
class _Table(Generic[K]):
    values: Mapping[K, int]
    sums: Sequence[Sum[K]]
    guarded: frozenset[K]
    unbounded: set[K]
    min_cell: int
    sums_of: dict[K, list[Sum[K]]] = field(default_factory=dict)
    witnesses: list[frozenset[K]] = field(default_factory=list)
    done: dict[frozenset[K], set[K]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for s in self.sums:
            for cell in s.cells:
                self.sums_of.setdefault(cell, []).append(s)

    def veil(self, cells: Collection[K]) -> set[K]:
        """Those of these cells that gain from having the small cells around them marked as any other hidden cell."""
        near = {c: {k for k in self.neighbours([c]) if k in self.guarded} - self.unbounded for c in cells}
        for more in near.values():
            self.unbounded.update(more)
        self.done.clear()
        return {c for c, more in near.items() if more}

    def neighbours(self, cells: Collection[K]) -> KeysView[K]:
        """Cells that stand in a sum with one of these, in order."""
        return dict.fromkeys(k for c in cells for s in self.sums_of.get(c, ()) for k in s.cells).keys()

    def rank(self, cell: K, cost: Mapping[K, int]) -> tuple[bool, int, int]:
        """What is hidden first comes first."""
        return (self.values[cell] < self.min_cell, cost[cell], self.values[cell])

    def components(self, hidden: Collection[K]) -> list[list[K]]:
        """Hidden cells that are tied by sums, group by group, where there is a guarded one among them."""
        left = dict.fromkeys(k for k in self.values if k in hidden)
        groups = []
        for start in self.values:
            if start in left and start in self.guarded:
                group, reach = [], [start]
                del left[start]
                while reach:
                    group.append(cell := reach.pop())
                    near = [k for k in self.neighbours([cell]) if k in left]
                    reach += near
                    for k in near:
                        del left[k]
                groups.append(group)
        return groups

    def exposed(self, hidden: Collection[K]) -> set[K]:
        """Guarded cells that take one value only in all tables a reader may think of.

        Once a table is found that differs from the truth in hidden cells only, it counts again for as long as they are
        hidden.
        """
        out: set[K] = set()
        for group in self.components(hidden):
            together = frozenset(group)
            if together not in self.done:
                safe = {k for changed in self.witnesses if changed <= together for k in changed}
                self.done[together] = self._exposed_in(group, [k for k in group if k in self.guarded and k not in safe])
            out |= self.done[together]
        return out

    def _exposed_in(self, names: Sequence[K], doubtful: list[K]) -> set[K]:
        out: set[K] = set()
        if not doubtful:
            return out
        column = {k: i for i, k in enumerate(names)}
        truth = np.array([self.values[k] for k in names], dtype=np.float64)
        a, limits = self._equations(column), self._limits(names, float(truth.max(initial=1.0)))
        while doubtful:
            cell, *doubtful = doubtful
            other = _another(a, truth, limits, column[cell])
            if other is None:
                out.add(cell)
            else:
                changed = frozenset(k for k, i in column.items() if round(other[i]) != truth[i])
                self.witnesses.append(changed)
                doubtful = [k for k in doubtful if k not in changed]
        return out

    def _equations(self, column: Mapping[K, int]) -> FloatArray:
        rows = {}
        for s in dict.fromkeys(s for k in column for s in self.sums_of.get(k, ())):
            row = np.zeros(len(column))
            for cell, sign in (*((p, 1.0) for p in s.parts), (s.total, -1.0)):
                if cell in column:
                    row[column[cell]] += sign
            if row.any():
                rows[row.tobytes()] = row
        return np.array(list(rows.values()), dtype=np.float64).reshape(len(rows), len(column))

    def _limits(self, names: Sequence[K], largest: float) -> tuple[FloatArray, FloatArray]:
        """What a reader thinks possible: 1..min_cell - 1 for a small cell, at least min_cell for another large one."""
        shown_small = np.array([k in self.guarded and k not in self.unbounded for k in names])
        large = np.array([k not in self.unbounded and self.values[k] >= self.min_cell for k in names])
        low = np.where(shown_small, 1.0, np.where(large, float(self.min_cell), 0.0))
        return low, np.where(shown_small, self.min_cell - 1.0, 2 * largest + self.min_cell)


def _another(a: FloatArray, truth: FloatArray, limits: tuple[FloatArray, FloatArray], c: int) -> FloatArray | None:
    """A table in whole numbers that agrees with all sums and differs from the truth in cell `c`, if there is one."""
    from scipy.optimize import Bounds, LinearConstraint, milp  # slow to import, and rarely needed

    sums = LinearConstraint(a, a @ truth, a @ truth) if len(a) else ()
    for low, high in ((limits[0][c], truth[c] - 1), (truth[c] + 1, limits[1][c])):
        if low > high:
            continue
        bounds = Bounds(_with(limits[0], c, low), _with(limits[1], c, high))
        found = milp(np.zeros(len(truth)), constraints=sums, integrality=np.ones(len(truth)), bounds=bounds)
        if found.x is not None:
            return np.asarray(found.x, dtype=np.float64)
    return None


def _with(values: FloatArray, at: int, value: float) -> FloatArray:
    out = values.copy()
    out[at] = value
    return out
