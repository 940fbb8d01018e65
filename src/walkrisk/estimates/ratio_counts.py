"""Counts of ratio analyses as one additive table: categories, strata, joint groups, nearly the same people.

People, events and people without event of a category are taken together. Strata that add up to an unstratified
analysis, and joint groups that add up to (or are) the categories of another, are tied to it. Where one analysis may
hold the people of another (same exposure, same limits, no count larger), the difference of the two is a cell of its
own; where the same people are cut at other limits, so are the people between two limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise

from walkrisk.estimates.results import CutPoint
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.suppression import Sum, is_small
from walkrisk.estimates.withheld import COUNTED, Key

Counts = tuple[int, int]
"""People, events."""
Block = Mapping[str, Counts]
Place = tuple[str, str, str]
"""analysis, exposure, stratum."""
Cuts = Mapping[tuple[str, str], tuple[float, ...]]
KINDS = ("n", "events", "rest")


@dataclass(frozen=True, slots=True)
class CountTable:
    """Cells with their values and sums; what hiding one costs, what nobody sees, what a reader knows to be small."""

    values: dict[Key, int] = field(default_factory=dict)
    sums: list[Sum[Key]] = field(default_factory=list)
    cost: dict[Key, int] = field(default_factory=dict)
    unseen: set[Key] = field(default_factory=set)
    bounded: set[Key] = field(default_factory=set)
    forced: set[Key] = field(default_factory=set)


def ratio_blocks(estimates: Sequence[Estimate]) -> dict[Place, list[Block]]:
    """(analysis, exposure, stratum) -> level -> (people, events), in the order of the estimates.

    A place has several blocks where its models or methods count different people.
    """
    fits: dict[Place, dict[tuple[str, str], dict[str, Counts]]] = {}
    for e in estimates:
        if e.estimand in COUNTED and e.level and e.n is not None and e.events is not None:
            models = fits.setdefault((e.analysis, e.exposure, e.stratum), {})
            models.setdefault((e.model, e.method), {}).setdefault(e.level, (e.n, e.events))
    return {place: _distinct(list(models.values())) for place, models in fits.items()}


def _distinct(blocks: Sequence[Block]) -> list[Block]:
    out: list[Block] = []
    for b in sorted(blocks, key=len, reverse=True):
        if not any(b.items() <= other.items() for other in out):
            out.append(b)
    return out


def cuts_by_exposure(cutpoints: Sequence[CutPoint]) -> Cuts:
    """(analysis, exposure) -> the limits of its categories."""
    out: dict[tuple[str, str], tuple[float, ...]] = {}
    for c in cutpoints:
        if not c.cut.startswith("knot_"):
            out[c.analysis, c.exposure] = (*out.get((c.analysis, c.exposure), ()), c.value)
    return out


def total_of(block: Block) -> Counts:
    """People and events of all categories."""
    return sum(n for n, _ in block.values()), sum(e for _, e in block.values())


def signature(exposure: str, block: Block) -> Key:
    """What blocks of the same counts have in common."""
    return (exposure, tuple((level, *counts) for level, counts in block.items()))


def add_ratio_counts(
    table: CountTable,
    blocks: Mapping[Place, Sequence[Block]],
    cuts: Cuts,
    *,
    min_cell: int,
    main: str = "",
    fixed: Mapping[Place, Sequence[Block]] | None = None,
) -> dict[Place, dict[tuple[str, str], list[Key]]]:
    """Adds the blocks to `table`; comes back with the keys behind each (level, what) of a place.

    `fixed` are blocks of earlier releases: known as they are, never hidden. Counts of the analysis `main` are hidden
    last.
    """
    fixed = fixed or {}
    holders = {place: _within(place, found, blocks) for place, found in blocks.items()}
    own = {place: found for place, found in blocks.items() if not holders[place]}
    listed = [(place, b) for place, found in own.items() for b in found]
    known = [(place, b) for place, found in fixed.items() for b in found]
    distinct = {signature(place[1], b): b for place, b in [*known, *listed]}
    whole = {signature(p[1], b) for p, b in [*known, *listed] if not p[2]}
    released = {signature(p[1], b) for p, b in known}
    leading = {signature(p[1], b) for p, b in listed if p[0] == main and not p[2]}
    for sign, block in distinct.items():
        _add_block(table, sign, block)
        shift = 10 if sign in leading else 0
        if sign not in released:
            table.cost.update({(sign, "events", level): 1 + shift for level in block})
            table.cost.update({(sign, "n", level): 2 + shift for level in block})
        people, events = total_of(block)
        hidden = sign not in whole or (sign not in released and is_small(people - events, min_cell))
        table.unseen.update({(sign, "rest", level) for level in (*block, "")})
        table.unseen.update(
            {(sign, w, "") for w in ("n", "events") if hidden or is_small(table.values[sign, w, ""], min_cell)}
        )
    table.sums.extend(_strata_links(own))
    table.sums.extend(_joint_links(distinct))
    _add_differences(table, [*known, *listed], released, cuts, min_cell)
    _add_between(table, [*known, *listed], cuts, min_cell)
    out: dict[Place, dict[tuple[str, str], list[Key]]] = {}
    for place, found in blocks.items():
        keys = out.setdefault(place, {})
        for b in found if not holders[place] else blocks[holders[place] or place]:
            for level in b:
                if any(level in mine for mine in found):
                    for what in ("n", "events"):
                        keys.setdefault((level, what), []).append((signature(place[1], b), what, level))
    return out


def _within(place: Place, found: Sequence[Block], blocks: Mapping[Place, Sequence[Block]]) -> Place | None:
    """The unstratified place of the same analysis whose block holds every row of a stratum (ratios within strata from
    one model); None if there is none."""
    analysis, exposure, stratum = place
    whole = blocks.get((analysis, exposure, ""), ()) if stratum else ()
    inside = whole and all(any(b.items() <= w.items() for w in whole) for b in found)
    return (analysis, exposure, "") if inside else None


def _add_block(table: CountTable, sign: Key, block: Block) -> None:
    for level, (n, events) in {**block, "": total_of(block)}.items():
        table.values.update({(sign, "n", level): n, (sign, "events", level): events, (sign, "rest", level): n - events})
        table.sums.append(Sum((sign, "n", level), ((sign, "events", level), (sign, "rest", level))))
    table.sums.extend(Sum((sign, what, ""), tuple((sign, what, level) for level in block)) for what in KINDS)


# ---------------------------------------------------------------- strata and joint groups


def _strata_links(blocks: Mapping[Place, Sequence[Block]]) -> Iterator[Sum[Key]]:
    groups: dict[tuple[str, str], list[Block]] = {}
    for (analysis, exposure, stratum), found in blocks.items():
        if stratum:
            groups.setdefault((analysis, exposure), []).append(found[0])
    for (_, exposure), parts in groups.items():
        added = _added(parts)
        whole = next(
            (b for (_, e, s), found in blocks.items() for b in found if not s and e == exposure and dict(b) == added),
            None,
        )
        if whole is not None:
            for what in KINDS:
                for level in added:
                    cells = tuple((signature(exposure, p), what, level) for p in parts if level in p)
                    yield Sum((signature(exposure, whole), what, level), cells)


def _added(parts: Sequence[Block]) -> dict[str, Counts]:
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
            for what in KINDS:
                for a, levels in parts.items():
                    yield Sum((other, what, a), tuple((joint, what, level) for level in levels))


# ---------------------------------------------------------------- nearly the same people


def _add_differences(
    table: CountTable, blocks: Sequence[tuple[Place, Block]], released: set[Key], cuts: Cuts, min_cell: int
) -> None:
    """The people of one block who are not in another, where some count of them is small.

    Of an earlier release only the categories whose counts it shows are compared.
    """
    done: set[tuple[Key, Key]] = set()
    for (place, a), (other, b) in combinations(blocks, 2):
        if place[1:] != other[1:] or not _same_limits(cuts, place, other):
            continue
        signs = signature(place[1], a), signature(place[1], b)
        if signs[0] == signs[1] or set(signs) <= released or signs in done:
            continue
        done.add(signs)
        if released & set(signs):
            a, b = ({level: counts for level, counts in x.items() if level in a.keys() & b.keys()} for x in (a, b))
        if _may_hold(a, b):
            _add_difference(table, signs, a, b, min_cell)
        elif _may_hold(b, a):
            _add_difference(table, signs[::-1], b, a, min_cell)


def _same_limits(cuts: Cuts, a: Place, b: Place) -> bool:
    one, other = cuts.get((a[0], a[1])), cuts.get((b[0], b[1]))
    return one is None or other is None or one == other


def _may_hold(large: Block, little: Block) -> bool:
    """Whether the people of one block may all be in the other."""
    return little.keys() <= large.keys() and all(
        large[level][0] >= n and large[level][1] >= e and large[level][0] - large[level][1] >= n - e
        for level, (n, e) in little.items()
    )


def _add_difference(table: CountTable, pair: tuple[Key, Key], large: Block, little: Block, min_cell: int) -> None:
    left = {
        level: (n - little.get(level, (0, 0))[0], e - little.get(level, (0, 0))[1]) for level, (n, e) in large.items()
    }
    if not any(is_small(v, min_cell) for n, e in left.values() for v in (n, e, n - e)):
        return
    sign: Key = ("difference", *pair)
    _add_block(table, sign, left)
    for level in left:
        for what in KINDS:
            cell = (sign, what, level)
            parts = (cell, (pair[1], what, level)) if level in little else (cell,)
            table.sums.append(Sum((pair[0], what, level), parts))
    _unseen_block(table, sign, left, min_cell)


def _unseen_block(table: CountTable, sign: Key, block: Block, min_cell: int) -> None:
    cells = {(sign, what, level) for what in KINDS for level in (*block, "")}
    table.unseen.update(cells)
    table.bounded.update(c for c in cells if is_small(table.values[c], min_cell))


def _add_between(table: CountTable, blocks: Sequence[tuple[Place, Block]], cuts: Cuts, min_cell: int) -> None:
    """The people between the limits of two ways to cut the same people, where some count of them is small."""
    people: dict[tuple[str, str, Counts], dict[tuple[float, ...], Block]] = {}
    for (analysis, exposure, stratum), block in blocks:
        limits = cuts.get((analysis, exposure))
        if limits and len(limits) + 1 == len(block) and sorted(limits) == list(limits):
            people.setdefault((exposure, stratum, total_of(block)), {}).setdefault(limits, block)
    for (exposure, _, _), found in people.items():
        for one, other in combinations(found, 2):
            _add_fine(table, exposure, (one, found[one]), (other, found[other]), min_cell)


def _add_fine(
    table: CountTable,
    exposure: str,
    one: tuple[tuple[float, ...], Block],
    other: tuple[tuple[float, ...], Block],
    min_cell: int,
) -> None:
    below: dict[float, Counts] = {float("-inf"): (0, 0), float("inf"): total_of(one[1])}
    for limits, block in (one, other):
        counts = list(block.values())
        for i, limit in enumerate(limits, start=1):
            below[limit] = (sum(n for n, _ in counts[:i]), sum(e for _, e in counts[:i]))
    edges = sorted(below)
    fine = {
        f"{low} to {high}": (below[high][0] - below[low][0], below[high][1] - below[low][1])
        for low, high in pairwise(edges)
    }
    sensible = all(n >= e >= 0 for n, e in fine.values())
    if not sensible or not any(is_small(v, min_cell) for n, e in fine.values() for v in (n, e, n - e)):
        return
    sign: Key = ("between", exposure, one[0], other[0], total_of(one[1]))
    _add_block(table, sign, fine)
    names = list(zip(fine, pairwise(edges), strict=True))
    for limits, block in (one, other):
        for level, (low, high) in zip(block, pairwise((float("-inf"), *limits, float("inf"))), strict=True):
            inside = [name for name, (a, b) in names if a >= low and b <= high]
            for what in KINDS:
                cells = tuple((sign, what, name) for name in inside)
                table.sums.append(Sum((signature(exposure, block), what, level), cells))
    _unseen_block(table, sign, fine, min_cell)
