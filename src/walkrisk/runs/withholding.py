"""The section of a report on what is not shown, by which rules, and what these rules do not cover."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from walkrisk.reports.html import Block, Paragraphs
from walkrisk.runs.run import Run
from walkrisk.tables.table import Table
from walkrisk.tables.withheld import ID

NOT_COVERED = (
    "Releases that were not named when this one was made, and what others publish from the same data: a count may "
    "follow from two releases of which neither shows it. Name earlier ones with --released, or round counts in all.",
    "A hidden count is not told, but a range of it may be: at least two numbers fit everything shown.",
    "Groups all or none of whom have something are shown as they are: 0 and 100 per cent tell of everyone in them.",
    "Estimates with covariates are shown. They rest on everyone's values together, so that no count follows from them "
    "exactly; but where covariates change a ratio little, the ratio times the events of the reference is close to a "
    "hidden number of events, and a guess is mostly right. Somebody who knew all people but one could ask which values "
    "of the last one fit. Where this matters, leave the categories with few events out or join them.",
    "Cut points, medians and percentiles lie near values of single people in the middle of a distribution; whose they "
    "are is not told.",
)


def disclosure_blocks(made: Run, tables: Mapping[str, Table]) -> tuple[Block, ...]:
    """What is withheld, in sentences and as a table."""
    said = Paragraphs(texts=(" ".join(_rules(made)),))
    points = Paragraphs(title="What these rules do not cover", points=NOT_COVERED)
    table = (tables[ID],) if ID in tables else ()
    return (said, *table, points)


def _rules(made: Run) -> Iterator[str]:
    k, base = made.study.settings.min_cell, made.study.settings.round_counts
    withheld = made.published.withheld if made.published else ()
    if k:
        yield (
            f"Counts from 1 to {k - 1} are withheld from everything in this folder: tables, figures, sentences and csv "
            "files. So is what would let one of them be worked out: other counts of a sum, counts of samples that "
            f"differ by fewer than {k} people or events, percentages, means, crude ratios and risks of hidden counts, "
            "and variances that together tell the number of people. Small steps of the flow are merged, as are small "
            "bars of histograms; the outermost bars hold everyone beyond, and curves end where at least "
            f"{k} people lie beyond."
        )
        yield f"{len(withheld)} cells are withheld." if withheld else "No cell had to be withheld."
    else:
        yield "No count is withheld: the minimum cell size of this run is 0, so the folder is not for publication."
    if base:
        yield (
            f"Counts are rounded to multiples of {base}, each by itself, so that they need not add up; percentages are "
            "those of rounded counts. Crude ratios have two decimals, and none where few had the outcome."
        )
    if made.releases.prints:
        many = len(made.releases.prints)
        yield f"It was made beside {many} earlier release{'s' if many > 1 else ''}, whose counts were taken as known."
