"""Which cells of an additive table must be hidden so that no small count can be read or worked out."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Entries = tuple[IntArray, IntArray, FloatArray, int]
"""Rows, columns and values of a sparse matrix, and how many rows it has."""
LARGE = 50  # what hiding a cell without people costs beyond others: it tells a reader most
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
    bounded: Collection[K] = (),
) -> dict[K, Mark]:
    """The cells to hide: small ones (1..min_cell - 1), `forced` ones, and more so that none of these can be worked out.

    A reader knows every cell that is not hidden and not `unseen`, every sum, and the rule: a cell marked small lies in
    1..min_cell - 1, a large one that is hidden besides is at least min_cell. (Of `bounded` cells a reader knows that
    they are small though they are unseen.) A cell is safe when at least two values of it agree with all that: for each
    in turn the other table is sought that changes the cheapest cells shown, by `cost`, then by size, and these are
    hidden besides. A cell without a cost is never hidden (it is known from elsewhere). Where there is none, small cells
    around it are marked as any other; where that does not help either the cell stays exposed. What turns out not to be
    needed is shown again.
    """
    small = {k for k, v in values.items() if is_small(v, min_cell)}
    guarded = small | set(forced)
    unbounded = (set(unseen) - set(bounded)) | (set(forced) - small)
    table = _Table(values, sums, frozenset(guarded), unbounded, min_cell, cost)
    hidden = guarded | set(unseen)
    added: dict[K, None] = {}
    for cell in (k for k in values if k in guarded):
        if table.safe(cell, hidden):
            continue
        other = table.cheapest(cell, hidden)
        if other is None and table.veil(cell):
            other = table.cheapest(cell, hidden)
        for k in other or ():
            if k not in hidden:
                added[k] = None
                hidden.add(k)
    protected = [k for k in values if k in guarded and table.safe(k, hidden)]
    for cell in sorted(added, key=lambda k: (cost[k], values[k]), reverse=True):
        if all(table.safe(k, hidden - {cell}) for k in protected):
            hidden.discard(cell)
    marked_small = small - table.unbounded
    return {k: "small" if k in marked_small else "hidden" for k in values if k in hidden and k not in unseen}


@dataclass(frozen=True, slots=True)
class _Table(Generic[K]):
    """The additive table with what a reader thinks possible, and the other tables found so far (cells they change)."""

    values: Mapping[K, int]
    sums: Sequence[Sum[K]]
    guarded: frozenset[K]
    unbounded: set[K]
    min_cell: int
    cost: Mapping[K, int]
    sums_of: dict[K, list[Sum[K]]] = field(default_factory=dict)
    near: dict[K, tuple[K, ...]] = field(default_factory=dict)
    witnesses: dict[K, list[frozenset[K]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for s in self.sums:
            for cell in s.cells:
                self.sums_of.setdefault(cell, []).append(s)

    def safe(self, cell: K, hidden: Collection[K]) -> bool:
        """Whether a table is known that differs from the truth in this cell and otherwise in hidden cells only."""
        return any(changed <= hidden for changed in self.witnesses.get(cell, ()))  # type: ignore[operator]

    def veil(self, cell: K) -> bool:
        """Mark the small cells around one as any other hidden cell; whether there were any."""
        more = {k for k in self.neighbours(cell) if k in self.guarded} - self.unbounded
        self.unbounded.update(more)
        return bool(more)

    def neighbours(self, cell: K) -> tuple[K, ...]:
        """Cells that stand in a sum with this one, in order."""
        if cell not in self.near:
            self.near[cell] = tuple(dict.fromkeys(k for s in self.sums_of.get(cell, ()) for k in s.cells))
        return self.near[cell]

    def cheapest(self, cell: K, hidden: Collection[K]) -> tuple[K, ...] | None:
        """The cells that another table changes, this one among them, at the least cost of cells shown; None if there is
        no such table."""
        names = list(self._reach(cell, hidden))
        a, limits = self._equations(names), self._limits(names)
        largest = max(self.values[k] for k in names) + 1
        price = np.array([0.001 if k in hidden else self._price(k) + self.values[k] / largest for k in names])
        truth = np.array([self.values[k] for k in names], dtype=np.float64)
        change = _other_table(a, truth, limits, price, names.index(cell))
        if change is None:
            return None
        changed = tuple(k for k, d in zip(names, change, strict=True) if d)
        for k in changed:
            if k in self.guarded:
                self.witnesses.setdefault(k, []).append(frozenset(changed))
        return changed

    def _price(self, cell: K) -> float:
        return 1.0 + self.cost[cell] + (LARGE if self.values[cell] < self.min_cell else 0)

    def _reach(self, cell: K, hidden: Collection[K]) -> Iterator[K]:
        """The cells tied to one by sums, through cells that are hidden or may be."""
        reach, seen = [cell], {cell}
        while reach:
            yield (here := reach.pop())
            near = [k for k in self.neighbours(here) if k not in seen and (k in hidden or k in self.cost)]
            seen.update(near)
            reach += near

    def _equations(self, names: Sequence[K]) -> Entries:
        """The signs of these cells in the sums; cells that are fixed drop out."""
        column = {k: i for i, k in enumerate(names)}
        rows: dict[frozenset[tuple[int, float]], None] = {}
        for s in dict.fromkeys(s for k in names for s in self.sums_of.get(k, ())):
            signs: dict[int, float] = {}
            for k, sign in (*((p, 1.0) for p in s.parts), (s.total, -1.0)):
                if k in column:
                    signs[column[k]] = signs.get(column[k], 0.0) + sign
            rows[frozenset((i, v) for i, v in signs.items() if v)] = None
        filled = [sorted(r) for r in rows if r]
        at = [i for i, r in enumerate(filled) for _ in r]
        entries = [entry for r in filled for entry in r]
        return (
            np.array(at, dtype=np.intp),
            np.array([i for i, _ in entries], dtype=np.intp),
            np.array([v for _, v in entries], dtype=np.float64),
            len(filled),
        )

    def _limits(self, names: Sequence[K]) -> tuple[FloatArray, FloatArray]:
        """What a reader thinks possible: 1..min_cell - 1 for a small cell, at least min_cell for another large one."""
        largest = max(self.values[k] for k in names)
        shown_small = np.array([k in self.guarded and k not in self.unbounded for k in names])
        large = np.array([k not in self.unbounded and self.values[k] >= self.min_cell for k in names])
        low = np.where(shown_small, 1.0, np.where(large, float(self.min_cell), 0.0))
        return low, np.where(shown_small, self.min_cell - 1.0, 2.0 * largest + self.min_cell)


def _other_table(
    a: Entries, truth: FloatArray, limits: tuple[FloatArray, FloatArray], price: FloatArray, c: int
) -> FloatArray | None:
    """The cheapest change in whole numbers, up or down in cell `c`, that keeps all sums; None if there is none.

    What is more and what is less are taken as variables of their own, so that their price is linear.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp  # slow to import, and rarely needed
    from scipy.sparse import csr_array, hstack

    k = len(truth)
    sums = csr_array((a[2], (a[0], a[1])), shape=(a[3], k))
    constraints = LinearConstraint(hstack([sums, -sums], format="csc"), 0, 0) if a[3] else ()
    room = np.concatenate([limits[1] - truth, truth - limits[0]]).clip(0)
    best: tuple[float, FloatArray] | None = None
    for side in (c, k + c):
        if room[side] < 1:
            continue
        low, high = np.zeros(2 * k), room.copy()
        low[side], high[(side + k) % (2 * k)] = 1.0, 0.0
        for whole in (np.zeros(2 * k), np.ones(2 * k)):  # a vertex of the relaxed problem is mostly whole already
            found = milp(
                np.tile(price, 2),
                constraints=constraints,
                integrality=whole,
                bounds=Bounds(low, high),
                options={"mip_rel_gap": 0.1},
            )
            if found.x is None or np.abs(found.x - np.round(found.x)).max() < 1e-6:
                break
        if found.x is not None and (best is None or found.fun < best[0]):
            best = (float(found.fun), np.round(found.x[:k]) - np.round(found.x[k:]))
    return None if best is None else best[1]
