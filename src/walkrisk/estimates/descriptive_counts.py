"""Counts of descriptive tables as one additive table: levels, groups, totals, and groups of nearly the same people.

Levels and unknowns of a variable add up to the group, groups to the total where they cover it. Groups of different
tables that agree in everything they share are one group. Where one group may hold the people of another, those who are
not in both are cells of their own.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from walkrisk.estimates.characteristics import SMD, TOTAL
from walkrisk.estimates.ratio_counts import CountTable
from walkrisk.estimates.results import Characteristic
from walkrisk.estimates.suppression import Sum, is_small
from walkrisk.estimates.withheld import UNKNOWN, CharacteristicCell, Key

Place = tuple[str, str]
"""variable, level: "" and "" for the size of a group."""
SIZE: Place = ("", "")


@dataclass(frozen=True, slots=True)
class Column:
    """A group of people in a descriptive table: its size and the counts of its variables by level."""

    n: int
    counts: Mapping[Place, int]
    described: Mapping[tuple[str, str, str], float | None]

    @property
    def cells(self) -> dict[Place, int]:
        """The size and every count."""
        return {SIZE: self.n, **self.counts}


Tables = Mapping[str, Mapping[str, Column]]
"""table -> group -> column."""


def columns_of(rows: Sequence[Characteristic]) -> dict[str, dict[str, Column]]:
    """Descriptive tables as columns."""
    groups: dict[tuple[str, str], list[Characteristic]] = {}
    for r in rows:
        if r.statistic != SMD:  # belongs to no group
            groups.setdefault((r.table, r.group), []).append(r)
    out: dict[str, dict[str, Column]] = {}
    for (table, group), cells in groups.items():
        out.setdefault(table, {})[group] = _column(cells)
    return out


def _column(cells: Sequence[Characteristic]) -> Column:
    """The counts that are known of a group (all but those an earlier release did not show)."""
    size = next((c.value for c in cells if c.statistic == "n"), None)
    n = -1 if size is None else int(size)
    counts: dict[Place, int] = {}
    for c in cells:
        if c.statistic == "count" and c.value is not None:
            counts[c.variable, c.level] = int(c.value)
        if c.variable and c.known is not None and n >= 0:
            counts[c.variable, UNKNOWN] = n - c.known
    return Column(n, counts, {(c.variable, c.level, c.statistic): c.value for c in cells})


def add_descriptive_counts(
    table: CountTable, tables: Tables, *, min_cell: int, fixed: Tables | None = None
) -> dict[CharacteristicCell, Key]:
    """Adds descriptive tables to `table`; comes back with the key behind each cell. `fixed` are those of earlier
    releases, whose counts are known as they are."""
    alias = _same_columns(tables)
    for name, groups in tables.items():
        for group, column in groups.items():
            key = alias[name, group]
            _add_column(table, key, column)
            _add_costs(table, key, column, total=group == TOTAL)
        _add_totals(table, name, groups, alias)
    keys: dict[CharacteristicCell, Key] = {}
    for name, groups in tables.items():
        for group, column in groups.items():
            keys.update({(name, group, *place): (alias[name, group], *place) for place in column.cells})
    shown = {alias[name, group]: column for name, groups in tables.items() for group, column in groups.items()}
    known: dict[Key, Column] = {}
    for name, groups in (fixed or {}).items():
        for group, column in groups.items():
            key = ("released", name, group)
            known[key] = column
            table.values.update({(key, *place): count for place, count in column.cells.items() if count >= 0})
    _add_differences(table, shown, known, min_cell)
    hideable = set(table.cost)
    table.forced.update(k for k in keys.values() if k in hideable and is_small(table.values[k[0], "", ""], min_cell))
    table.unseen.update(k for k in table.values if k[0] in shown and k not in hideable)
    return keys


def _same_columns(tables: Tables) -> dict[tuple[str, str], Key]:
    """(table, group) -> the first column of the same people."""
    first: list[tuple[tuple[str, str], Column]] = []
    alias: dict[tuple[str, str], Key] = {}
    for name, groups in tables.items():
        for group, column in groups.items():
            same = next((k for k, c in first if k[0] != name and _agree(c, column)), None)
            alias[name, group] = same or (name, group)
            if same is None:
                first.append(((name, group), column))
    return alias


def _agree(a: Column, b: Column) -> bool:
    shared = [k for k in a.described if k in b.described and k[0]]
    return a.n == b.n and bool(shared) and all(a.described[k] == b.described[k] for k in shared)


def _add_column(table: CountTable, key: Hashable, column: Column) -> None:
    size: Key = (key, *SIZE)
    table.values[size] = column.n
    for variable in dict.fromkeys(v for v, _ in column.counts):
        parts: dict[Key, int] = {(key, v, level): n for (v, level), n in column.counts.items() if v == variable}
        other = column.n - sum(parts.values())  # those known of a plain variable, or with a value that is not a level
        if other or (variable, "", "mean") in column.described:
            parts[key, variable, "other"] = other
        table.values.update(parts)
        if other >= 0:
            table.sums.append(Sum(size, tuple(parts)))


def _add_costs(table: CountTable, key: Hashable, column: Column, *, total: bool) -> None:
    shift = 2 if total else 0
    table.cost[key, "", ""] = 4 + shift
    table.cost.update({(key, v, level): (0 if level == UNKNOWN else 1) + shift for v, level in column.counts})


def _add_totals(
    table: CountTable, name: str, groups: Mapping[str, Column], alias: Mapping[tuple[str, str], Key]
) -> None:
    """The rows of a table: groups, and people in none of them if there are any, add up to the total."""
    parts = {g: c for g, c in groups.items() if g != TOTAL}
    if TOTAL not in groups or not parts:
        return
    values = table.values
    outside = groups[TOTAL].n - sum(c.n for c in parts.values())
    for place in groups[TOTAL].cells:
        cells: tuple[Key, ...] = tuple((alias[name, g], *place) for g in parts)
        if any(c not in values for c in cells):  # a count that is withheld already
            continue
        rest = values[(alias[name, TOTAL], *place)] - sum(values[c] for c in cells)
        if outside:
            values[(name, *place)] = rest
            table.unseen.add((name, *place))
            cells = (*cells, (name, *place))
        if rest >= 0 and outside >= 0:  # groups that overlap add up to nothing
            table.sums.append(Sum((alias[name, TOTAL], *place), cells))


# ---------------------------------------------------------------- nearly the same people


def _add_differences(
    table: CountTable, shown: Mapping[Key, Column], known: Mapping[Key, Column], min_cell: int
) -> None:
    for (a, one), (b, other) in combinations({**known, **shown}.items(), 2):
        if b in known:
            continue
        shared = [p for p in one.cells if p in other.cells and min(one.cells[p], other.cells[p]) >= 0]
        if SIZE not in shared or len(shared) < 2:
            continue
        left = {p: one.cells[p] - other.cells[p] for p in shared}
        if all(v >= 0 for v in left.values()):
            _add_difference(table, (a, b), left, min_cell)
        elif all(v <= 0 for v in left.values()):
            _add_difference(table, (b, a), {p: -v for p, v in left.items()}, min_cell)


def _add_difference(table: CountTable, pair: tuple[Key, Key], left: Mapping[Place, int], min_cell: int) -> None:
    if not any(is_small(v, min_cell) for v in left.values()):
        return
    for place, value in left.items():
        cell: Key = (("difference", *pair), *place)
        table.values[cell] = value
        table.unseen.add(cell)
        table.sums.append(Sum((pair[0], *place), ((pair[1], *place), cell)))
        if is_small(value, min_cell):
            table.bounded.add(cell)
