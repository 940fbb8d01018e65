"""Published numbers beside those of a run, and what the comparison can and cannot mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from walkrisk.declarations import Name, build, option
from walkrisk.errors import StudyFault
from walkrisk.estimates import disclosure
from walkrisk.estimates.disclosure import (
    NOT_REPORTED,
    RATIOS,
    CharacteristicCell,
    merge_small_steps,
    shown_count,
)
from walkrisk.estimates.numbers import JAMA, NOT_AVAILABLE, Rounding, count, fixed
from walkrisk.estimates.results import Results
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.suppression import Mark, is_small
from walkrisk.tables.categories import ExposureLabel, level_names
from walkrisk.tables.ratios import SHORT
from walkrisk.tables.table import Head, Row, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRatio:
    """A ratio as published, and the estimate it is put beside."""

    analysis: Name
    exposure: Name
    level: str = option(doc="Category in the run's results.")
    model: Name
    stratum: str = option("", doc="Stratum in the run's results.")
    label: str = option("", doc="The category as published.")
    estimate: float = option(doc="The ratio as published.")
    conf_low: float | None = option(None, doc="Its lower limit.")
    conf_high: float | None = option(None, doc="Its upper limit.")
    source: str = option("", doc="Where the number was read.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowValue:
    """A count of the participant flow."""

    op: Literal["flow"]
    step: Name = option(doc="Id of the exclusion.")
    column: Literal["n_before", "n_excluded", "n_after"] = option("n_after", doc="Which count of the step.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CharacteristicValue:
    """A cell of a descriptive table."""

    op: Literal["characteristic"]
    table: Name = option(doc="Id of the descriptive table.")
    variable: Name = option(doc="Column or variable.")
    level: str = option("", doc="Level of a factor, by its code.")
    group: str = option("Total", doc="Group of people in the table.")
    statistic: Literal["mean", "sd", "count", "percent"] = option(doc="Which number of the cell.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleCount:
    """People or events of an analysis, all categories together."""

    op: Literal["sample"]
    analysis: Name
    exposure: Name
    what: Literal["n", "events"] = option(doc="People, or people with the event.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFact:
    """Another published number, and what of the run it is put beside, if anything."""

    label: str = option(doc="What it is, for people.")
    value: float = option(doc="The number as published.")
    decimals: int = option(0, doc="Decimals it was published with.")
    unit: str = ""
    source: str = option("", doc="Where the number was read.")
    obtained: FlowValue | CharacteristicValue | SampleCount | None = option(
        None, doc="What of the run stands beside it."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a publication reports: the grammar of published.toml."""

    reference: str = option(doc="The publication, with DOI.")
    note: str = option("", doc="A sentence on the published numbers, for the report.")
    ratios: tuple[PublishedRatio, ...] = option((), doc="Published ratios.")
    facts: tuple[PublishedFact, ...] = option((), doc="Other published numbers.")


def published_from(table: Mapping[str, Any]) -> Published:
    """Published numbers from the mapping of a published.toml. Raises StudyFault with every fault."""
    faults: list[str] = []
    published = build(Published, table, "", faults)
    if published is None or faults:
        raise StudyFault(f"published.toml: {fault}" for fault in faults)
    return published


# ---------------------------------------------------------------- ratios


def published_ratio_table(
    published: Published,
    results: Results,
    *,
    exposures: Mapping[str, ExposureLabel],
    models: Mapping[str, str],
    variance: str,
    simulated: bool,
    id: str = "published_ratios",
    title: str = "Published and obtained ratios",
    rounding: Rounding = JAMA,
    number: str = "",
) -> Table:
    """Each published ratio beside the obtained one, their quotient, and whether their intervals overlap."""
    found = [(p, _matching(results.estimates, p, variance)) for p in published.ratios]
    kinds = {e.estimand for _, e in found if e}
    ratio = f"{SHORT[kinds.pop()] if len(kinds) == 1 else 'Ratio'} (CI)"
    header = (
        Head("Exposure and category"),
        Head("Published", parts=(Head("Category"), Head(ratio))),
        Head("Obtained", parts=(Head("Category"), Head(ratio))),
        Head("Obtained / published"),
        Head("Intervals overlap"),
    )
    rows: list[Row] = []
    for block in dict.fromkeys((p.exposure, p.analysis, p.model) for p in published.ratios):
        label = exposures.get(block[0], ExposureLabel(id=block[0], label=block[0]))
        rows.append(Row(kind="heading", cells=(f"{label.heading} ({models.get(block[2], block[2])})",)))
        mine = [(p, e) for p, e in found if (p.exposure, p.analysis, p.model) == block]
        rows += [_ratio_row(p, e, _limits(results, p, label, exposures), rounding) for p, e in mine]
    return Table(
        id=id,
        title=title,
        number=number,
        header=header,
        rows=tuple(rows),
        notes=tuple(_notes(published, [e for _, e in found if e], simulated=simulated)),
    )


def _matching(estimates: Sequence[Estimate], p: PublishedRatio, variance: str) -> Estimate | None:
    place = (p.analysis, p.exposure, p.stratum, p.level, p.model)
    mine = [
        e for e in estimates if (e.analysis, e.exposure, e.stratum, e.level, e.model) == place and e.estimand in RATIOS
    ]
    return next((e for e in mine if e.variance == variance), mine[0] if mine else None)


def _limits(results: Results, p: PublishedRatio, label: ExposureLabel, exposures: Mapping[str, ExposureLabel]) -> str:
    levels = list(
        dict.fromkeys(
            e.level
            for e in results.estimates
            if (e.analysis, e.exposure) == (p.analysis, p.exposure) and e.estimand in RATIOS
        )
    )
    if p.level not in levels:
        return NOT_AVAILABLE
    return ", ".join(level_names(levels, results.cutpoints, p.analysis, label, exposures)[p.level])


def _ratio_row(p: PublishedRatio, e: Estimate | None, limits: str, rounding: Rounding) -> Row:
    reference = p.conf_low is None or p.conf_high is None
    said = "1 [Reference]" if reference and p.estimate == 1 else rounding.interval(p.estimate, p.conf_low, p.conf_high)
    if e is None or e.estimate is None:
        obtained = NOT_AVAILABLE
    elif e.level == e.reference:
        obtained = "1 [Reference]"
    else:
        obtained = rounding.interval(e.estimate, e.conf_low, e.conf_high)
    comparable = e is not None and e.estimate is not None and not reference
    quotient = fixed(e.estimate / p.estimate, rounding.ratios) if comparable and e and e.estimate else ""
    return Row(cells=(p.level, p.label, said, limits, obtained, quotient, _overlap(p, e)), indent=1)


def _overlap(p: PublishedRatio, e: Estimate | None) -> str:
    if e is None or e.conf_low is None or e.conf_high is None or p.conf_low is None or p.conf_high is None:
        return ""
    return "Yes" if e.conf_low <= p.conf_high and p.conf_low <= e.conf_high else "No"


def _notes(published: Published, obtained: Sequence[Estimate], *, simulated: bool) -> Iterator[str]:
    errors = [e.std_error for e in obtained if e.std_error]
    if simulated:
        spread = fixed(median(errors), 2) if errors else ""
        scatter = (
            f" One simulated sample scatters around its truth, SE about {spread} on the log scale." if errors else ""
        )
        yield (
            "The obtained numbers come from simulated data. Agreement shows only that the analysis runs from end to "
            f"end and that the simulation was declared near the published values; it is no replication.{scatter}"
        )
    else:
        yield (
            "Obtained from the data given to this run. A difference in the second decimal may be rounding; a larger "
            "one may come from another release of the data, from people who have withdrawn since, or from steps of "
            "the publication that are not described. Overlapping intervals do not show that two results are the same: "
            "where the people are the same, so should the numbers be."
        )
    sources = list(dict.fromkeys(r.source for r in published.ratios if r.source))
    yield f"Published: {published.reference}"
    if sources:
        yield f"Read in: {'; '.join(sources)}."
    if published.note:
        yield published.note


# ---------------------------------------------------------------- other numbers


def published_fact_table(
    published: Published,
    results: Results,
    *,
    simulated: bool,
    characteristic_marks: Mapping[CharacteristicCell, Mark] | None = None,
    min_cell: int = 0,
    id: str = "published_facts",
    title: str = "Published and obtained sample",
    number: str = "",
) -> Table:
    """Other published numbers beside the run's; what the marks or the merged flow hide stays hidden."""
    marks = characteristic_marks
    hidden = disclosure.characteristic_marks(results.characteristics, min_cell=min_cell) if marks is None else marks
    rows = tuple(
        Row(
            cells=(
                f"{f.label}, {f.unit}" if f.unit else f.label,
                _number(f.value, f),
                _obtained(f, results, hidden, min_cell),
                f.source,
            )
        )
        for f in published.facts
    )
    heads = (Head("Number"), Head("Published"), Head("Obtained"), Head("Published in", words=True))
    note = "The obtained numbers come from simulated data, declared to be near the published ones." if simulated else ""
    notes = tuple(n for n in (f"Published: {published.reference}", note) if n)
    return Table(id=id, title=title, number=number, header=heads, rows=rows, notes=notes)


def _number(value: float | None, fact: PublishedFact) -> str:
    return count(value) if fact.decimals == 0 else fixed(value, fact.decimals)


def _obtained(fact: PublishedFact, results: Results, marks: Mapping[CharacteristicCell, Mark], min_cell: int) -> str:
    source = fact.obtained
    if source is None:
        return ""
    value = value_of(source, results)
    if isinstance(source, CharacteristicValue):
        mark = marks.get((source.table, source.group, source.variable, source.level))
        return shown_count(NOT_REPORTED if value is None else _number(value, fact), mark, min_cell)
    if value is None or (isinstance(source, FlowValue) and _inside_a_merged_step(source, results, min_cell)):
        return NOT_REPORTED
    return shown_count(_number(value, fact), "small" if is_small(value or 0, min_cell) else None, min_cell)


def _inside_a_merged_step(source: FlowValue, results: Results, min_cell: int) -> bool:
    shown = [s.step.split("+") for s in merge_small_steps(results.flow, min_cell=min_cell)]
    if source.column == "n_excluded":
        return [source.step] not in shown
    return source.step not in {s[0 if source.column == "n_before" else -1] for s in shown}


def value_of(source: FlowValue | CharacteristicValue | SampleCount, results: Results) -> float | None:
    """The number of a run that a published one is put beside; None where the run has none."""
    if isinstance(source, FlowValue):
        ends = {"n_before": 0, "n_after": -1}
        found = (s for s in results.flow if source.step in (s.step, s.step.split("+")[ends.get(source.column, 0)]))
        step = next((s for s in found if source.column in ends or s.step == source.step), None)
        return None if step is None else float(getattr(step, source.column))
    if isinstance(source, CharacteristicValue):
        wanted = (source.table, source.variable, source.level, source.group, source.statistic)
        rows = results.characteristics
        return next((r.value for r in rows if (r.table, r.variable, r.level, r.group, r.statistic) == wanted), None)
    mine = {
        (e.stratum, e.level): e
        for e in results.estimates
        if (e.analysis, e.exposure) == (source.analysis, source.exposure) and e.estimand in RATIOS
    }
    counts = [getattr(e, source.what) for e in mine.values()]
    return float(sum(counts)) if counts and None not in counts else None
