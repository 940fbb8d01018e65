"""Small counts kept out of tables, figures and report.

A count of 1..min_cell - 1 is shown as "<min_cell"; others are not reported where a sum would give it away; steps of
the participant flow and bins of a histogram are merged. `min_cell` 0 turns it off. What is not covered: the difference
between two analyses of nearly the same people.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from walkrisk.cohorts.eligibility import FlowStep
from walkrisk.estimates.characteristics import TOTAL
from walkrisk.estimates.results import Characteristic
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.suppression import Mark as Mark
from walkrisk.estimates.suppression import Sum, hidden_cells, is_small

Key = tuple[Hashable, ...]
RatioCell = tuple[str, str, str, str, str]
"""analysis, exposure, stratum, level, and `n` or `events`."""
CharacteristicCell = tuple[str, str, str, str]
"""table, group, variable ("" for the size of the group), level (a code, "" or UNKNOWN)."""

UNKNOWN = "unknown"
NOT_REPORTED = "NR"
RATIOS = ("risk_ratio", "odds_ratio", "hazard_ratio")
COUNTED = (*RATIOS, "risk_difference", "risk")  # estimands whose rows count the people of a category


def min_cell_faults(min_cell: int) -> list[str]:
    """What is wrong with a `min_cell`, as sentences."""
    if min_cell < 0 or min_cell == 2:
        return [
            f"min_cell: must be 0 (nothing is suppressed) or at least 3, got {min_cell}; below 3 the sign for a small "
            "count would itself say the count."
        ]
    return []


def shown_count(text: str, mark: Mark | None, min_cell: int) -> str:
    """What is printed for a count: `text`, "<min_cell", or NR (not reported)."""
    return text if mark is None else f"<{min_cell}" if mark == "small" else NOT_REPORTED


def suppression_note(min_cell: int, marks: Iterable[Mark]) -> str:
    """The footnote of a table with these marks; empty without any."""
    found = set(marks)
    if not found:
        return ""
    small = f"Counts from 1 to {min_cell - 1} are shown as <{min_cell}"
    rest = (
        f"; {NOT_REPORTED} (not reported) hides what would let one of them be worked out" if "hidden" in found else ""
    )
    return f"{small}{rest}."


# ---------------------------------------------------------------- participant flow and histograms


def merge_small_steps(flow: Sequence[FlowStep], *, min_cell: int) -> tuple[FlowStep, ...]:
    """The flow with steps that exclude 1..min_cell - 1 people merged with the next one, the last with the one before.

    Ids are joined with "+", reasons with "; ". Empty if all steps together exclude so few.
    """
    steps = list(flow)
    while True:
        at = next((i for i, s in enumerate(steps) if is_small(s.n_excluded, min_cell)), None)
        if at is None:
            return tuple(steps)
        if len(steps) == 1:
            return ()
        first = at if at + 1 < len(steps) else at - 1
        steps[first : first + 2] = [_joined(steps[first], steps[first + 1])]


def _joined(a: FlowStep, b: FlowStep) -> FlowStep:
    return FlowStep(f"{a.step}+{b.step}", f"{a.reason}; {b.reason}", a.n_before, a.n_excluded + b.n_excluded, b.n_after)


# ---------------------------------------------------------------- counts of ratio tables


def ratio_marks(estimates: Sequence[Estimate], *, min_cell: int) -> dict[RatioCell, Mark]:
    """Which counts of the categories of ratio analyses are not shown; give it every estimate of the run.

    People, events and people without event of a category are taken together; their sums are known but for strata.
    Strata that add up to an unstratified analysis, and joint groups that add up to (or are) the categories of another,
    are tied to it. Blocks with the same counts are one block; a stratum whose rows all stand in the unstratified block
    of its analysis (ratios within strata from one model) shows the same cells, not new ones.
    """
    every = ratio_blocks(estimates)
    same = {place: holder for place in every if (holder := _within(place, every))}
    blocks = {place: block for place, block in every.items() if place not in same}
    distinct = {_signature(place[1], block): block for place, block in blocks.items()}
    whole = {_signature(e, block) for (_, e, stratum), block in blocks.items() if not stratum}
    values: dict[Key, int] = {}
    sums: list[Sum[Key]] = []
    for signature, block in distinct.items():
        _add_block(values, sums, signature, block)
    sums += _strata_links(blocks)
    sums += _joint_links(distinct)
    displayed = {k: 1 if k[1] == "events" else 2 for k in values if k[1] in ("n", "events") and k[2] != ""}
    unseen = [
        k for k, v in values.items() if k[1] == "rest" or (k[2] == "" and (k[0] not in whole or is_small(v, min_cell)))
    ]
    hidden = hidden_cells(values, sums, min_cell=min_cell, cost=displayed, unseen=unseen)
    out: dict[RatioCell, Mark] = {}
    for place, block in blocks.items():
        for level in block:
            for what in ("n", "events"):
                key = (_signature(place[1], block), what, level)
                if key in hidden:
                    out[(*place, level, what)] = hidden[key]
    for place, holder in same.items():
        cells = ((level, what) for level in every[place] for what in ("n", "events"))
        out |= {(*place, *c): out[(*holder, *c)] for c in cells if (*holder, *c) in out}
    return out


Block = Mapping[str, tuple[int, int]]
Place = tuple[str, str, str]


def ratio_blocks(estimates: Sequence[Estimate]) -> dict[Place, dict[str, tuple[int, int]]]:
    """(analysis, exposure, stratum) -> level -> (people, events), in the order of the estimates."""
    blocks: dict[Place, dict[str, tuple[int, int]]] = {}
    for e in estimates:
        if e.estimand in COUNTED and e.n is not None and e.events is not None:
            blocks.setdefault((e.analysis, e.exposure, e.stratum), {}).setdefault(e.level, (e.n, e.events))
    return blocks


def _within(place: Place, blocks: Mapping[Place, Block]) -> Place | None:
    """The unstratified block of the same analysis and exposure that holds every row of a stratum; None if none does."""
    analysis, exposure, stratum = place
    whole = blocks.get((analysis, exposure, "")) if stratum else None
    return (analysis, exposure, "") if whole and blocks[place].items() <= whole.items() else None


def _signature(exposure: str, block: Block) -> Key:
    return (exposure, tuple((level, *counts) for level, counts in block.items()))


def _add_block(values: dict[Key, int], sums: list[Sum[Key]], signature: Key, block: Block) -> None:
    whole = (sum(n for n, _ in block.values()), sum(e for _, e in block.values()))
    for level, (n, events) in {**block, "": whole}.items():
        values |= {
            (signature, "n", level): n,
            (signature, "events", level): events,
            (signature, "rest", level): n - events,
        }
        sums.append(Sum((signature, "n", level), ((signature, "events", level), (signature, "rest", level))))
    sums += [Sum((signature, what, ""), tuple((signature, what, level) for level in block)) for what in _KINDS]


_KINDS = ("n", "events", "rest")


def _strata_links(blocks: Mapping[Place, Block]) -> Iterator[Sum[Key]]:
    groups: dict[tuple[str, str], list[Block]] = {}
    for (analysis, exposure, stratum), block in blocks.items():
        if stratum:
            groups.setdefault((analysis, exposure), []).append(block)
    for (_, exposure), parts in groups.items():
        added = _added(parts)
        if any(not s and e == exposure and dict(b) == added for (_, e, s), b in blocks.items()):
            whole = _whole_signature(blocks, exposure, added)
            for what in _KINDS:
                for level in added:
                    cells = tuple((_signature(exposure, p), what, level) for p in parts if level in p)
                    yield Sum((whole, what, level), cells)


def _whole_signature(blocks: Mapping[Place, Block], exposure: str, added: Block) -> Key:
    found = next(b for (_, e, s), b in blocks.items() if not s and e == exposure and dict(b) == added)
    return _signature(exposure, found)


def _added(parts: Sequence[Block]) -> dict[str, tuple[int, int]]:
    levels = dict.fromkeys(level for p in parts for level in p)
    return {
        level: (sum(p.get(level, (0, 0))[0] for p in parts), sum(p.get(level, (0, 0))[1] for p in parts))
        for level in levels
    }


def _joint_links(distinct: Mapping[Key, Block]) -> Iterator[Sum[Key]]:
    for joint, block in distinct.items():
        if not all(level.count("/") == 1 for level in block):
            continue
        pairs = {level: tuple(level.split("/")) for level in block}
        for side in (0, 1):
            names = list(dict.fromkeys(p[side] for p in pairs.values()))
            margin = {a: [level for level, p in pairs.items() if p[side] == a] for a in names}
            yield from _ties(distinct, joint, block, margin)
            for a in names:  # the slice of joint groups with one category of this side, against strata within it
                slice_ = {pairs[level][1 - side]: [level] for level in margin[a]}
                yield from _ties(distinct, joint, block, slice_)


def _ties(
    distinct: Mapping[Key, Block], joint: Key, block: Block, parts: Mapping[str, list[str]]
) -> Iterator[Sum[Key]]:
    added = {a: (sum(block[x][0] for x in levels), sum(block[x][1] for x in levels)) for a, levels in parts.items()}
    for other, counts in distinct.items():
        if other != joint and dict(counts) == added:
            for what in _KINDS:
                for a, levels in parts.items():
                    yield Sum((other, what, a), tuple((joint, what, level) for level in levels))


# ---------------------------------------------------------------- counts of descriptive tables


@dataclass(frozen=True, slots=True)
class _Column:
    """A group of people in a descriptive table: its size and the counts of its variables by level."""

    n: int
    counts: Mapping[tuple[str, str], int]
    described: Mapping[tuple[str, str, str], float | None]


def characteristic_marks(rows: Sequence[Characteristic], *, min_cell: int) -> dict[CharacteristicCell, Mark]:
    """Which counts of descriptive tables are not shown; give it every descriptive table of the run.

    Levels and unknowns of a variable add up to the group, groups to the total where they cover it. A group of
    1..min_cell - 1 people shows no count at all. Groups of different tables that agree in everything they share are
    one group.
    """
    tables = _columns(rows)
    alias = _same_columns(tables)
    values: dict[Key, int] = {}
    sums: list[Sum[Key]] = []
    cost: dict[Key, int] = {}
    for table, groups in tables.items():
        for group, column in groups.items():
            _add_column(values, sums, alias[table, group], column)
            _add_costs(cost, alias[table, group], column, total=group == TOTAL)
        _add_totals(values, sums, table, groups, alias)
    forced = [k for k in cost if is_small(values[k[0], "", ""], min_cell)]
    unseen = [k for k in values if k not in cost]
    hidden = hidden_cells(values, sums, min_cell=min_cell, cost=cost, unseen=unseen, forced=forced)
    out: dict[CharacteristicCell, Mark] = {}
    for table, groups in tables.items():
        for group, column in groups.items():
            for place in (("", ""), *column.counts):
                key = (alias[table, group], *place)
                if key in hidden:
                    out[(table, group, *place)] = hidden[key]
    return out


def _columns(rows: Sequence[Characteristic]) -> dict[str, dict[str, _Column]]:
    groups: dict[tuple[str, str], list[Characteristic]] = {}
    for r in rows:
        groups.setdefault((r.table, r.group), []).append(r)
    out: dict[str, dict[str, _Column]] = {}
    for (table, group), cells in groups.items():
        out.setdefault(table, {})[group] = _column(cells)
    return out


def _column(cells: Sequence[Characteristic]) -> _Column:
    n = next(int(c.value or 0) for c in cells if c.statistic == "n")
    counts: dict[tuple[str, str], int] = {}
    for c in cells:
        if c.statistic == "count":
            counts[c.variable, c.level] = int(c.value or 0)
        if c.variable:
            counts[c.variable, UNKNOWN] = n - c.known
    return _Column(n, counts, {(c.variable, c.level, c.statistic): c.value for c in cells})


def _same_columns(tables: Mapping[str, Mapping[str, _Column]]) -> dict[tuple[str, str], Key]:
    """(table, group) -> the first column of the same people."""
    first: list[tuple[tuple[str, str], _Column]] = []
    alias: dict[tuple[str, str], Key] = {}
    for table, groups in tables.items():
        for group, column in groups.items():
            same = next((k for k, c in first if k[0] != table and _agree(c, column)), None)
            alias[table, group] = same or (table, group)
            if same is None:
                first.append(((table, group), column))
    return alias


def _agree(a: _Column, b: _Column) -> bool:
    shared = [k for k in a.described if k in b.described and k[0]]
    return a.n == b.n and bool(shared) and all(a.described[k] == b.described[k] for k in shared)


def _add_column(values: dict[Key, int], sums: list[Sum[Key]], key: Hashable, column: _Column) -> None:
    size: Key = (key, "", "")
    values[size] = column.n
    for variable in dict.fromkeys(v for v, _ in column.counts):
        parts: dict[Key, int] = {(key, v, level): n for (v, level), n in column.counts.items() if v == variable}
        other = column.n - sum(parts.values())  # those known of a plain variable, or with a value that is not a level
        if other or (variable, "", "mean") in column.described:
            parts[key, variable, "other"] = other
        values |= parts
        if other >= 0:
            sums.append(Sum(size, tuple(parts)))


def _add_costs(cost: dict[Key, int], key: Hashable, column: _Column, *, total: bool) -> None:
    shift = 2 if total else 0
    cost[key, "", ""] = 4 + shift
    cost |= {(key, v, level): (0 if level == UNKNOWN else 1) + shift for v, level in column.counts}


def _add_totals(
    values: dict[Key, int],
    sums: list[Sum[Key]],
    table: str,
    groups: Mapping[str, _Column],
    alias: Mapping[tuple[str, str], Key],
) -> None:
    """The rows of a table: groups, and people in none of them if there are any, add up to the total."""
    parts = {g: c for g, c in groups.items() if g != TOTAL}
    if TOTAL not in groups or not parts:
        return
    outside = groups[TOTAL].n - sum(c.n for c in parts.values())
    for place in (("", ""), *groups[TOTAL].counts):
        cells: tuple[Key, ...] = tuple((alias[table, g], *place) for g in parts)
        rest = values[(alias[table, TOTAL], *place)] - sum(values[c] for c in cells)
        if outside:
            values[(table, *place)] = rest
            cells = (*cells, (table, *place))
        if rest >= 0 and outside >= 0:  # groups that overlap add up to nothing
            sums.append(Sum((alias[table, TOTAL], *place), cells))
