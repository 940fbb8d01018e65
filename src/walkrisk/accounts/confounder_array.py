"""The array approach: heat maps, tables and sentences of the adjusted ratio over a grid of a binary confounder."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from walkrisk.accounts.account import Account, Drawing, View
from walkrisk.accounts.confounding_words import CONFOUNDER_ALIKE, GROUP, followed, taken_for_risk_ratios
from walkrisk.accounts.facts import Sentence, derived, number_of, sentence, words
from walkrisk.estimates.results import Point
from walkrisk.figures.heat_map import HeatPanel, heat_map_figure
from walkrisk.studies.confounding import ConfounderArray
from walkrisk.tables.table import Head, Row, Table

IMPOSSIBLE = "impossible"
METHOD = (
    "The ratio was divided by (g p + 1 - p)/(g q + 1 - q), with g the ratio of a binary confounder and the outcome, p "
    "its prevalence in the category and q in the reference (Schneeweiss, 2006). Combinations that would need a risk "
    "above 1 with or without the confounder are impossible."
)


def array_account(view: View, declared: ConfounderArray) -> Account:
    """The adjusted ratio over the declared grid."""
    exposures = [e for e in followed(view, declared.exposures) if view.points(declared.id, "array", exposure=e)]
    return Account(
        id=declared.id,
        title=declared.title,
        group=GROUP,
        methods=(METHOD, CONFOUNDER_ALIKE, *taken_for_risk_ratios(view)),
        sentences=tuple(s for e in exposures for s in _sentences(view, declared, e)),
        tables=tuple(_table(view, declared, e) for e in exposures),
        drawings=tuple(_heat_map(view, declared, e) for e in exposures),
    )


def _sentences(view: View, declared: ConfounderArray, exposure: str) -> Iterator[Sentence]:
    points = view.points(declared.id, "array", exposure=exposure)
    known = [p for p in points if p.y is not None]
    if not known:
        return
    low, high = min(known, key=lambda p: p.y or 0.0), max(known, key=lambda p: p.y or 0.0)
    yield sentence(
        "{exposure}, {level}: over {k} combinations the adjusted ratio lay between {low} and {high}; its interval left "
        "out no association in {holding}{impossible}.",
        exposure=words(view.label(exposure)),
        level=words(view.category(exposure, low.level)),
        k=derived(len(known)),
        low=number_of(low, "y", "ratio"),
        high=number_of(high, "y", "ratio"),
        holding=derived(sum(_excludes(p) for p in known)),
        impossible=words("" if len(known) == len(points) else "; the other combinations are impossible"),
    )


def _excludes(p: Point) -> bool:
    return p.low is not None and p.high is not None and (p.low > 1 or p.high < 1)


def _grid(view: View, declared: ConfounderArray, exposure: str) -> list[tuple[str, list[tuple[str, list[Point]]]]]:
    """Association -> prevalence in the reference -> points by prevalence in the category, all in declared order."""
    points = view.points(declared.id, "array", exposure=exposure)
    return [
        (
            f"{g:g}",
            [
                (f"{q:g}", [p for p in points if p.stratum == f"{g:g}" and p.item == f"{q:g}"])
                for q in declared.prevalence_reference
            ],
        )
        for g in declared.association
    ]


def _heat_map(view: View, declared: ConfounderArray, exposure: str) -> Drawing:
    panels = []
    for association, rows in _grid(view, declared, exposure):
        shown = [points for _, points in rows]
        values = np.array([[np.nan if p.y is None else p.y for p in points] for points in shown])
        panels.append(
            HeatPanel(
                title=f"Ratio with the outcome {association}",
                x_names=[f"{p:g}" for p in declared.prevalence],
                y_names=[name for name, _ in rows],
                values=values,
                texts=[["" if p.y is None else view.rounding.ratio(p.y) for p in points] for points in shown],
                strong=np.array([[p.y is not None and not _excludes(p) for p in points] for points in shown]),
            )
        )
    level = view.headline(exposure)
    caption = (
        f"{view.label(exposure)}, {view.category(exposure, level)}: adjusted ratio for each prevalence of a binary "
        "confounder in the category and in the reference, and each ratio of it with the outcome."
    )
    impossible = any(np.isnan(p.values).any() for p in panels)
    figure = heat_map_figure(
        panels,
        x_label=f"Prevalence in {level}",
        y_label=f"Prevalence in {view.reference(exposure)}",
        key="Framed and bold: the interval holds 1." + (" Grey: impossible." if impossible else ""),
        simulated=view.simulated,
        width=view.width,
    )
    about = f"{view.label(exposure)}, {view.category(exposure, level)}."
    title = f"{declared.title}: {view.label(exposure)}"
    return Drawing(f"{declared.id}_{exposure}_figure", title, caption, figure, about=about)


def _table(view: View, declared: ConfounderArray, exposure: str) -> Table:
    rows: list[Row] = []
    for association, lines in _grid(view, declared, exposure):
        rows.append(Row(cells=(f"Ratio with the outcome {association}",), kind="heading"))
        rows += [Row(cells=(name, *(_text(view, p) for p in points)), indent=1) for name, points in lines]
    level = view.headline(exposure)
    span = Head(f"Prevalence in {level}", parts=tuple(Head(f"{p:g}") for p in declared.prevalence))
    return Table(
        id=f"{declared.id}_{exposure}",
        title=f"{declared.title}: {view.label(exposure)}, {view.category(exposure, level)}",
        header=(Head(f"Prevalence in {view.reference(exposure)}"), span),
        rows=tuple(rows),
        notes=("Adjusted ratios with their intervals.",),
    )


def _text(view: View, p: Point) -> str:
    return IMPOSSIBLE if p.y is None else view.rounding.interval(p.y, p.low, p.high)
