"""Which counts of a run are not shown, worked out over everything it publishes at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from walkrisk.estimates.descriptive_counts import Tables, add_descriptive_counts, columns_of
from walkrisk.estimates.ratio_counts import (
    Block,
    CountTable,
    Cuts,
    Place,
    add_ratio_counts,
    ratio_blocks,
    signature,
    total_of,
)
from walkrisk.estimates.results import Characteristic
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.samples import Sample, Secret
from walkrisk.estimates.suppression import Mark, Sum, hidden_cells, is_small
from walkrisk.estimates.withheld import CharacteristicCell, Key, RatioCell, Reason

Secrets = Mapping[tuple[int, int | None], Secret]


@dataclass(frozen=True, slots=True)
class Links:
    """What ties descriptive tables to analyses: table -> the exposure whose categories are its groups, the variable of
    the main outcome, the main analysis, the numbers of people that are known anyway (the flow's), and the exposures
    cut into equal groups, whose sizes follow from the people of all."""

    by_exposure: Mapping[str, str] = field(default_factory=dict)
    outcome: str = ""
    main: str = ""
    known: frozenset[int] = frozenset()
    quantiles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Further:
    """Counts that stand beside those of analyses and tables: cells, sums, what hiding one costs, what nobody sees.

    `main` are cells that stand for a category (exposure, level) of the main analysis; `described` are those of whom
    there are as many fewer than analysed as have a level (variable, code).
    """

    values: dict[Key, int] = field(default_factory=dict)
    sums: list[Sum[Key]] = field(default_factory=list)
    cost: dict[Key, int] = field(default_factory=dict)
    unseen: set[Key] = field(default_factory=set)
    main: dict[Key, tuple[str, str]] = field(default_factory=dict)
    described: dict[Key, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Released:
    """The counts that earlier releases of a study show."""

    blocks: Mapping[Place, Sequence[Block]] = field(default_factory=dict)
    counts: Mapping[RatioCell, int] = field(default_factory=dict)
    tables: Tables = field(default_factory=dict)
    withheld: frozenset[RatioCell] = frozenset()
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class Marks:
    """Counts that are not shown, how they are shown instead, and why. A ratio cell of the level "" is a total."""

    ratio: Mapping[RatioCell, Mark] = field(default_factory=dict)
    characteristic: Mapping[CharacteristicCell, Mark] = field(default_factory=dict)
    reasons: Mapping[tuple[str, ...], Reason] = field(default_factory=dict)
    further: Mapping[Key, Mark] = field(default_factory=dict)


def block_samples(blocks: Mapping[Place, Sequence[Block]]) -> Iterator[tuple[Place, Sample]]:
    """The whole sample of every block, and of strata taken together (at the place without stratum)."""
    strata: dict[Place, list[tuple[int, int]]] = {}
    for place, found in blocks.items():
        for b in found:
            n, events = total_of(b)
            yield place, Sample(n, events, place[2])
        if place[2]:
            strata.setdefault((place[0], place[1], ""), []).append(total_of(found[0]))
    for place, parts in strata.items():
        if place not in blocks:
            yield place, Sample(sum(n for n, _ in parts), sum(e for _, e in parts))


def count_marks(
    estimates: Sequence[Estimate],
    characteristics: Sequence[Characteristic],
    *,
    min_cell: int,
    cuts: Cuts | None = None,
    links: Links | None = None,
    secrets: Secrets | None = None,
    released: Released | None = None,
    further: Further | None = None,
) -> Marks:
    """Which counts of ratio analyses and descriptive tables are not shown; give it every row of the run.

    `secrets` are whole samples that do not tell their counts (see `secret_samples`), `released` what is known already.
    """
    if not min_cell:
        return Marks()
    links, released, secrets = links or Links(), released or Released(), secrets or {}
    table, blocks, tables = CountTable(), ratio_blocks(estimates), columns_of(characteristics)
    ratio_keys = add_ratio_counts(table, blocks, cuts or {}, min_cell=min_cell, main=links.main, fixed=released.blocks)
    descriptive_keys = add_descriptive_counts(table, tables, min_cell=min_cell, fixed=released.tables)
    further = further or Further()
    _add_further(table, further, links, tables, ratio_keys, descriptive_keys, min_cell)
    table.sums.extend(_ties(links, blocks, tables, table, descriptive_keys))
    _add_released(table, ratio_keys, released.counts, min_cell)
    kept_apart = _secret_places(blocks, secrets)
    _force(table, blocks, ratio_keys, kept_apart, released.withheld)
    for described_cell, key in descriptive_keys.items():
        if described_cell[2:] == ("", "") and table.values[key] in links.known:
            table.cost.pop(key, None)
    for key in _sizes_by_rule(links, blocks, cuts or {}, kept_apart, descriptive_keys):
        if key not in table.forced:
            table.cost.pop(key, None)
    hidden = hidden_cells(
        table.values,
        table.sums,
        min_cell=min_cell,
        cost=table.cost,
        unseen=table.unseen - table.forced,
        forced=table.forced,
        bounded=table.bounded,
    )
    near = {k for s in table.sums if any(c in table.bounded for c in s.cells) for k in s.cells}
    marks, reasons = _ratio_marks(ratio_keys, hidden, near, kept_apart)
    _mark_totals(marks, reasons, blocks, kept_apart, min_cell)
    described = {cell: hidden[key] for cell, key in descriptive_keys.items() if key in hidden}
    for place_of, mark in described.items():
        why: Reason = "difference" if descriptive_keys[place_of] in near else "complementary"
        reasons[place_of] = "small" if mark == "small" else why
    return Marks(marks, described, reasons, {k: hidden[k] for k in further.cost if k in hidden})


def _sizes_by_rule(
    links: Links,
    blocks: Mapping[Place, Sequence[Block]],
    cuts: Cuts,
    kept_apart: Mapping[Place, Secret],
    keys: Mapping[CharacteristicCell, Key],
) -> Iterator[Key]:
    """The sizes of equal groups of a sample whose people are told: whoever knows the rule of the cuts knows them. A
    sample that has the cut points of another, larger one is not cut equally."""
    first: dict[tuple[str, tuple[float, ...]], int] = {}
    for place, found in blocks.items():
        if place[2] or place[1] not in links.quantiles or kept_apart.get(place) == "n":
            continue
        for b in found:
            n, q = total_of(b)[0], len(b)
            if first.setdefault((place[1], cuts.get(place[:2], ())), n) != n:
                continue
            edges = [-(-n * i // q) for i in range(q + 1)]
            if [size for size, _ in b.values()] == [high - low for low, high in pairwise(edges)]:
                yield from ((signature(place[1], b), "n", level) for level in b)
                tables = [name for name, exposure in links.by_exposure.items() if exposure == place[1]]
                yield from (keys[cell] for name in tables for level in b if (cell := (name, level, "", "")) in keys)


def _ratio_marks(
    ratio_keys: Mapping[Place, Mapping[tuple[str, str], list[Key]]],
    hidden: Mapping[Key, Mark],
    near: set[Key],
    kept_apart: Mapping[Place, Secret],
) -> tuple[dict[RatioCell, Mark], dict[tuple[str, ...], Reason]]:
    """How the counts of categories are shown, and why; `near` are cells that stand in a sum with a few people."""
    marks: dict[RatioCell, Mark] = {}
    reasons: dict[tuple[str, ...], Reason] = {}
    for place, keys in ratio_keys.items():
        for (level, what), behind in keys.items():
            found = [hidden[k] for k in behind if k in hidden]
            if found:
                cell: RatioCell = (*place, level, what)
                marks[cell] = "small" if "small" in found else "hidden"
                differs = place in kept_apart or any(k in near for k in behind)
                reasons[cell] = "small" if "small" in found else "difference" if differs else "complementary"
    return marks, reasons


def _add_further(
    table: CountTable,
    further: Further,
    links: Links,
    tables: Tables,
    ratio_keys: Mapping[Place, Mapping[tuple[str, str], list[Key]]],
    descriptive_keys: Mapping[CharacteristicCell, Key],
    min_cell: int,
) -> None:
    """The further counts, tied to the categories of the main analysis and to the levels that they are without."""
    table.values.update(further.values)
    table.sums.extend(further.sums)
    table.cost.update(further.cost)
    table.unseen.update(further.unseen)
    table.bounded.update(k for k in further.unseen - further.main.keys() if is_small(further.values[k], min_cell))
    for cell, (exposure, level) in further.main.items():
        for key in ratio_keys.get((links.main, exposure, ""), {}).get((level, "n"), ()):
            if table.values.get(key) == table.values[cell]:
                table.sums.append(Sum(cell, (key,)))
    for cell, (variable, code) in further.described.items():
        for name, groups in tables.items():
            for group, column in groups.items():
                counted = column.counts.get((variable, code))
                if column.n in links.known and counted is not None and counted == column.n - table.values[cell]:
                    size, count = (descriptive_keys[name, group, *p] for p in (("", ""), (variable, code)))
                    table.sums.append(Sum(size, (cell, count)))


def _ties(
    links: Links,
    blocks: Mapping[Place, Sequence[Block]],
    tables: Tables,
    table: CountTable,
    keys: Mapping[CharacteristicCell, Key],
) -> Iterator[Sum[Key]]:
    """Groups of a descriptive table that are the categories of an analysis, and its outcome, which are its events."""
    for name, groups in tables.items():
        exposure = links.by_exposure.get(name)
        for place, found in blocks.items():
            if place[2] or (exposure is not None and place[1] != exposure):
                continue
            for b in found:
                sign = signature(place[1], b)
                for level, (n, events) in {**b, "": total_of(b)}.items():
                    group = level if exposure else ""
                    column = groups.get(group) if level else next((c for g, c in groups.items() if c.n == n), None)
                    group = group if level else next((g for g, c in groups.items() if c.n == n), "")
                    if column is None or column.n != n or (sign, "n", level) not in table.values:
                        continue
                    yield Sum((sign, "n", level), (keys[name, group, "", ""],))
                    if column.counts.get((links.outcome, "1")) == events:
                        yield Sum((sign, "events", level), (keys[name, group, links.outcome, "1"],))


def _add_released(
    table: CountTable,
    keys: Mapping[Place, Mapping[tuple[str, str], list[Key]]],
    counts: Mapping[RatioCell, int],
    min_cell: int,
) -> None:
    """Single counts that an earlier release shows, where ours are nearly the same."""
    for place, mine in keys.items():
        for (level, what), behind in mine.items():
            shown = counts.get((*place, level, what))
            for key in behind if shown is not None else ():
                left = abs(table.values[key] - shown) if shown is not None else 0
                if is_small(left, min_cell):
                    there: Key = ("released", *place, level, what)
                    gone: Key = ("left out", key)
                    table.values.update({there: shown or 0, gone: left})
                    table.unseen.add(gone)
                    table.bounded.add(gone)
                    large, little = (there, key) if (shown or 0) > table.values[key] else (key, there)
                    table.sums.append(Sum(large, (little, gone)))


def _secret_places(blocks: Mapping[Place, Sequence[Block]], secrets: Secrets) -> dict[Place, Secret]:
    """The places that do not tell their counts, strata of such samples included."""
    out: dict[Place, Secret] = {}
    for place, sample in block_samples(blocks):
        what = secrets.get((sample.n, sample.events))
        if what:
            out[place] = "n" if "n" in (what, out.get(place)) else "events"
    for place in blocks:
        whole = out.get((place[0], place[1], ""))
        if place[2] and whole:
            out[place] = "n" if "n" in (whole, out.get(place)) else "events"
    return out


def _force(
    table: CountTable,
    blocks: Mapping[Place, Sequence[Block]],
    keys: Mapping[Place, Mapping[tuple[str, str], list[Key]]],
    kept_apart: Mapping[Place, Secret],
    withheld: frozenset[RatioCell],
) -> None:
    """Hide what samples that are kept apart count, and what an earlier release did not show."""
    for place, what in kept_apart.items():
        columns = ("n", "events") if what == "n" else ("events",)
        for (_, column), behind in keys.get(place, {}).items():
            if column in columns:
                table.forced.update(k for k in behind if k in table.values)
        for b in blocks.get(place, ()):
            totals = {(signature(place[1], b), c, "") for c in columns}
            table.unseen.update(totals)
            same = {s.parts[0] for s in table.sums if s.total in totals and len(s.parts) == 1}
            table.forced.update(same & table.cost.keys())
    for place, mine in keys.items():
        for (level, column), behind in mine.items():
            if (*place, level, column) in withheld:
                table.forced.update(k for k in behind if k in table.cost)


def _mark_totals(
    marks: dict[RatioCell, Mark],
    reasons: dict[tuple[str, ...], Reason],
    blocks: Mapping[Place, Sequence[Block]],
    kept_apart: Mapping[Place, Secret],
    min_cell: int,
) -> None:
    """Totals that are not shown: small ones, those of samples kept apart, of strata with a hidden category."""
    for place, sample in block_samples(blocks):
        events = sample.events or 0
        for what, value in (("n", sample.n), ("events", events)):
            cell = (*place, "", what)
            part = place[2] and any(m[:3] == place and m[4] == what for m in marks)
            secret = kept_apart.get(place) in ("n", what)
            if is_small(value, min_cell):
                marks[cell], reasons[cell] = "small", "small"
            elif secret or part or (what == "events" and is_small(sample.n - events, min_cell)):
                marks[cell] = "hidden"
                reasons[cell] = "difference" if secret else "complementary"
