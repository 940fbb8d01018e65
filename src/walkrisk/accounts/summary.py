"""One summary: every sensitivity analysis beside the main estimate, as a table, a forest and a paragraph to paste."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from walkrisk.accounts.account import Account, Drawing, Line, View
from walkrisk.accounts.beyond_ratios import measures_table
from walkrisk.accounts.facts import Sentence, derived, ratio_of, sentence, setting, words
from walkrisk.estimates.rows import Estimate
from walkrisk.figures.forest import ForestCell, ForestRow, forest_figure
from walkrisk.tables.table import Head, Row, Table

ID = "sensitivity_summary"
MAIN = "Main analysis"
NOT_ASKED = "–"
NOT_FOUND = "not estimable"


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """A line of the summary: its group and label, and for each exposure the row of the category shown."""

    group: str
    label: str
    cells: tuple[Estimate | None, ...]


def summary(view: View, accounts: Sequence[Account]) -> Account | None:
    """The summary of all accounts with lines; None if there are none."""
    beside = [Beside(a.group, line.label, _picked(view, line)) for a in accounts for line in a.lines]
    if not beside:
        return None
    title = "Sensitivity analyses beside the main estimate"
    what = "; ".join(f"{view.label(e)}, {view.category(e, view.headline(e))}" for e in view.followed)
    level = f"{100 * view.study.settings.conf_level:g}%"
    note = (
        f"Adjusted ratios with {level} intervals of {what}, each against the lowest category unless the line says "
        "otherwise. Intervals of probabilistic analyses are simulation intervals, those of a multiverse hold the inner "
        "part of its specifications. Analyses that give no such ratio stand in the table of other measures."
    )
    others = measures_table(view, "Other measures of the sensitivity analyses")
    main = Beside("", MAIN, tuple(view.main(e, view.headline(e)) for e in view.followed))
    return Account(
        id=ID,
        title=title,
        group="Precision",
        sentences=tuple(_sentences(view, main, beside)),
        tables=(_table(view, main, beside, title, note), *([others] if others else [])),
        drawings=(_drawing(view, main, beside, title, note),),
    )


def _picked(view: View, line: Line) -> tuple[Estimate | None, ...]:
    return tuple(
        next((r for r in line.rows if r.exposure == e and r.level in (view.headline(e), "")), None)
        for e in view.followed
    )


def _table(view: View, main: Beside, beside: Sequence[Beside], title: str, note: str) -> Table:
    rows = [Row(cells=(MAIN, *(_text(view, e) for e in main.cells)))]
    for group, lines in groupby(beside, key=lambda b: b.group):
        rows.append(Row(cells=(group,), kind="heading"))
        rows += [Row(cells=(b.label, *(_text(view, e) for e in b.cells)), indent=1) for b in lines]
    heads = [Head(f"{view.label(e)}: {view.category(e, view.headline(e))}") for e in view.followed]
    return Table(id=ID, title=title, header=(Head("Analysis", words=True), *heads), rows=tuple(rows), notes=(note,))


def _text(view: View, e: Estimate | None) -> str:
    if e is None:
        return NOT_ASKED
    return NOT_FOUND if e.estimate is None else view.rounding.interval(e.estimate, e.conf_low, e.conf_high)


def _drawing(view: View, main: Beside, beside: Sequence[Beside], title: str, note: str) -> Drawing:
    rows = [ForestRow(label=MAIN, cells=tuple(_cell(view, e) for e in main.cells))]
    for group, lines in groupby(beside, key=lambda b: b.group):
        rows.append(ForestRow(label=group))
        rows += [ForestRow(label=b.label, cells=tuple(_cell(view, e) for e in b.cells)) for b in lines]
    panels = [f"{view.label(e)}: {view.category(e, view.headline(e))}" for e in view.followed]
    figure = forest_figure(rows, panels=panels, simulated=view.simulated, width=view.width, label_header="")
    return Drawing(f"figure_{ID}", title, note, figure)


def _cell(view: View, e: Estimate | None) -> ForestCell | None:
    if e is None:
        return None
    return ForestCell(estimate=e.estimate, conf_low=e.conf_low, conf_high=e.conf_high, text=_text(view, e))


def _sentences(view: View, main: Beside, beside: Sequence[Beside]) -> Iterator[Sentence]:
    level = setting(100 * view.study.settings.conf_level)
    for i, exposure in enumerate(view.followed):
        mine = main.cells[i]
        assert mine is not None
        found = [(b, e) for b in beside if (e := b.cells[i]) is not None and e.estimate is not None]
        yield sentence(
            "{exposure}: in the main analysis the adjusted ratio of {level} against {reference} was {main}"
            + (" ({conf}% interval in parentheses)." if mine.estimate is not None else "."),
            exposure=words(view.label(exposure)),
            level=words(view.category(exposure, view.headline(exposure))),
            reference=words(view.category(exposure, view.reference(exposure))),
            main=ratio_of(mine),
            **({"conf": level} if mine.estimate is not None else {}),
        )
        if len(found) < 2:  # one line is read in the table
            continue
        ordered = sorted(found, key=lambda pair: pair[1].estimate or 0.0)
        (low, smallest), (high, largest) = ordered[0], ordered[-1]
        with_limits = [e for _, e in found if e.conf_low is not None and e.conf_high is not None]
        told = (
            "; the interval (of confidence, of simulation, or of specifications) held the value of no association in "
            "{holding} of the {limits} lines that have one."
        )
        holding = sum(1 for e in with_limits if (e.conf_low or 0.0) <= 1.0 <= (e.conf_high or 0.0))
        yield sentence(
            "{exposure}: over the {k} lines of the summary that give this ratio it lay between {smallest} ({low}) and "
            f"{{largest}} ({{high}}){told if with_limits else '.'} The lines are not independent of one another, and "
            "worst cases of loss are no lines but bounds.",
            exposure=words(view.label(exposure)),
            k=derived(len(found)),
            smallest=ratio_of(smallest),
            low=words(low.label),
            largest=ratio_of(largest),
            high=words(high.label),
            **({"holding": derived(holding), "limits": derived(len(with_limits))} if with_limits else {}),
        )
