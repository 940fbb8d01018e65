"""What those lost could have been: worst cases, k times the odds or risk, and the k at which the ratio is 1."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from walkrisk.accounts.account import Account, Drawing, View
from walkrisk.accounts.facts import Fact, Sentence, count_of, number_of, ratio_of, sentence, setting, words
from walkrisk.estimates.disclosure import NOT_REPORTED
from walkrisk.estimates.numbers import fixed
from walkrisk.estimates.rows import Estimate
from walkrisk.figures.heat_map import HeatPanel, heat_map_figure
from walkrisk.figures.panels import Mark, Panel, panel_figure
from walkrisk.studies.losses import WorstCases
from walkrisk.tables.cells import ABSENT
from walkrisk.tables.table import Head, Row, Table
from walkrisk.variations.worst_cases import EXTREMES, INCOMPLETE, LOST, OF_LEVEL, OF_REFERENCE

GROUP = "Loss to follow-up"
HIGHEST, LOWEST, ALL, NONE = EXTREMES


def worst_account(view: View, declared: WorstCases) -> Account:
    """The account of worst cases: bounds, scans of k, tipping points; it has no line in the summary."""
    return Account(
        id=declared.id,
        title=declared.title,
        group=GROUP,
        methods=_methods(declared),
        sentences=tuple(s for e in view.followed for s in _sentences(view, declared, e)),
        tables=(_extremes_table(view, declared), _tipping_table(view, declared)),
        drawings=tuple(_drawings(view, declared)),
    )


def _methods(declared: WorstCases) -> tuple[str, ...]:
    what = "odds" if declared.scale == "odds" else "risk"
    verb = "those" if what == "odds" else "that"
    anchor = (
        "which the model of those followed gives people with the same exposure and covariates (with a k of one the "
        "ratio is that of the main analysis)"
        if declared.anchor == "model"
        else "of everyone followed in the same category of the exposure"
    )
    return (
        "Those lost who pass every other exclusion were put into the main model with risks in place of outcomes: each "
        "as two rows, a case of the weight of the risk and a person without it. In the worst cases the risk is one or "
        "nil by category of the exposure, the categories not compared as those followed; limits take these outcomes "
        "as if they had been observed.",
        f"Less extreme, the {what} of those lost in a category {'are' if what == 'odds' else 'is'} k times {verb} "
        f"{anchor}; limits take the estimation of it into account (mean score equations).",
    )


def _row(view: View, declared: WorstCases, exposure: str, level: str, stratum: str) -> Estimate | None:
    return next(iter(view.rows(declared.id, exposure=exposure, level=level, stratum=stratum)), None)


def _tip(view: View, declared: WorstCases, exposure: str, level: str, series: str, what: str) -> Estimate | None:
    rows = view.rows(declared.id, exposure=exposure, level=level, stratum=series, estimand="tipping_point")
    return next((e for e in rows if e.method == what), None)


def _count(view: View, declared: WorstCases, exposure: str, stratum: str) -> Estimate:
    return next(iter(view.rows(declared.id, exposure=exposure, level="", stratum=stratum, estimand="count")))


# ---------------------------------------------------------------- words


def _sentences(view: View, declared: WorstCases, exposure: str) -> Iterator[Sentence]:
    level, k = view.headline(exposure), view.guard.min_cell
    yield sentence(
        "{exposure}: {lost} people lost to follow-up had all covariates and were added to the main model; {without} "
        "lacked one and were not.",
        exposure=words(view.label(exposure)),
        lost=count_of(_count(view, declared, exposure, LOST), "n", k),
        without=count_of(_count(view, declared, exposure, INCOMPLETE), "n", k),
    )
    found = {s: _row(view, declared, exposure, level, s) for s in EXTREMES}
    names = {
        "exposure": words(view.label(exposure)),
        "level": words(view.category(exposure, level)),
        "reference": words(view.category(exposure, view.reference(exposure))),
    }
    if all(found.values()):
        facts = {s.replace(" ", "_"): ratio_of(e) for s, e in found.items() if e is not None}
        yield sentence(
            "{exposure}: had all of those lost in {level} been cases and none in {reference}, the ratio would have "
            "been {highest}; the other way round {lowest}; with all of those lost as cases {all_cases}, with none "
            "{no_cases}.",
            **names,
            **facts,
        )
    yield from _tipping_sentences(view, declared, exposure, level, names)


def _tipping_sentences(
    view: View, declared: WorstCases, exposure: str, level: str, names: dict[str, Fact]
) -> Iterator[Sentence]:
    scale = words("odds" if declared.scale == "odds" else "risk")
    for series, place in ((OF_LEVEL, "level"), (OF_REFERENCE, "reference")):
        at_ratio = _tip(view, declared, exposure, level, series, "ratio")
        at_limit = _tip(view, declared, exposure, level, series, "limit")
        if at_ratio is None or at_limit is None:
            continue
        where = {"exposure": names["exposure"], "level": names["level"], "where": names[place], "scale": scale}
        if at_ratio.estimate is None:
            yield sentence(
                "{exposure}: no k up to {widest} times the {scale} of those lost in {where} alone, nor its inverse, "
                "takes the ratio of {level} to no association.",
                widest=setting(declared.widest),
                **where,
            )
            continue
        point = number_of(at_ratio, "estimate", "fixed2")
        if at_limit.estimate is None:
            yield sentence(
                "{exposure}: the ratio of {level} is that of no association where those lost in {where} had {k} times "
                "the {scale} they would have as those followed.",
                k=point,
                **where,
            )
        else:
            yield sentence(
                "{exposure}: the ratio of {level} is that of no association where those lost in {where} had {k} times "
                "the {scale} they would have as those followed; the limit of its interval is so with {limit} times.",
                k=point,
                limit=number_of(at_limit, "estimate", "fixed2"),
                **where,
            )


# ---------------------------------------------------------------- tables


def _cell(view: View, e: Estimate | None) -> str:
    if e is None:
        return ABSENT
    crude = not view.study.models[view.analysis.models[0]].covariates
    if e.analysis == view.analysis.id and view.guard.hides_ratio(e, crude=crude):
        return NOT_REPORTED
    if e.estimate is None:
        return "not estimable"
    return view.rounding.interval(e.estimate, e.conf_low, e.conf_high)


def _extremes_table(view: View, declared: WorstCases) -> Table:
    rows: list[Row] = []
    for exposure in view.followed:
        rows.append(Row(cells=(view.label(exposure),), kind="heading"))
        for level in view.levels(exposure):
            shown = [view.main(exposure, level), *(_row(view, declared, exposure, level, s) for s in _ORDER)]
            rows.append(Row(cells=(view.category(exposure, level), *(_cell(view, e) for e in shown)), indent=1))
    lost = "Of those lost, cases were"
    return Table(
        id=f"{declared.id}_extremes",
        title=f"{declared.title}: bounds",
        header=(
            Head("Category"),
            Head("Main analysis"),
            Head(
                lost,
                parts=(
                    Head("none here, all in the reference"),
                    Head("none anywhere"),
                    Head("all everywhere"),
                    Head("all here, none in the reference"),
                ),
            ),
        ),
        rows=tuple(rows),
    )


_ORDER = (LOWEST, NONE, ALL, HIGHEST)


def _tipping_table(view: View, declared: WorstCases) -> Table:
    rows: list[Row] = []
    for exposure in view.followed:
        rows.append(Row(cells=(view.label(exposure),), kind="heading"))
        for level in view.levels(exposure):
            cells = [
                _k(_tip(view, declared, exposure, level, series, what))
                for series in (OF_LEVEL, OF_REFERENCE)
                for what in ("ratio", "limit")
            ]
            rows.append(Row(cells=(view.category(exposure, level), *cells), indent=1))
    what = "odds" if declared.scale == "odds" else "risk"
    spans = (
        (OF_LEVEL, f"k times the {what} of those lost here"),
        (OF_REFERENCE, f"k times the {what} in the reference"),
    )
    return Table(
        id=f"{declared.id}_tipping",
        title=f"{declared.title}: the k at which the ratio, or its limit, is 1",
        header=(
            Head("Category"),
            *(Head(text, parts=(Head("Ratio is 1"), Head("Limit is 1"))) for _, text in spans),
        ),
        rows=tuple(rows),
        notes=(
            f"{ABSENT}: not within {1 / declared.widest:.3g} to {declared.widest:g} times, or the interval of the main "
            "analysis holds 1 as it is.",
        ),
    )


def _k(e: Estimate | None) -> str:
    return ABSENT if e is None or e.estimate is None else fixed(e.estimate, 2)


# ---------------------------------------------------------------- figures


def _drawings(view: View, declared: WorstCases) -> Iterator[Drawing]:
    what = "odds" if declared.scale == "odds" else "risk"
    panels = [_scan_panel(view, declared, e, what) for e in view.followed]
    yield Drawing(
        f"{declared.id}_scan",
        f"{declared.title}: the ratio as the {what} of those lost is multiplied",
        f"The ratio with its interval when those lost in the category itself (or in the reference alone) had k times "
        f"the {what} that they would have as those followed.",
        panel_figure(panels, columns=min(2, len(panels)), simulated=view.simulated, width=view.width, height_in=2.2),
    )
    grids = [g for e in view.followed if (g := _grid_panel(view, declared, e)) is not None]
    if grids:
        yield Drawing(
            f"{declared.id}_grid",
            f"{declared.title}: both categories at once",
            f"The ratio for each pair of k, of the {what} of those lost in the category and in the reference. A frame "
            "marks the main analysis.",
            heat_map_figure(
                grids,
                x_label=f"k of the {what} in the category",
                y_label="k in the reference",
                simulated=view.simulated,
                width=view.width,
            ),
        )


def _scan_panel(view: View, declared: WorstCases, exposure: str, what: str) -> Panel:
    level = view.headline(exposure)
    marks: list[Mark] = []
    for i, (series, label) in enumerate(((OF_LEVEL, "k in the category"), (OF_REFERENCE, "k in the reference"))):
        own = [p for p in view.points(declared.id, series, exposure=exposure) if p.level == level]
        x = [p.x for p in own]
        marks.append(Mark(kind="band", x=x, low=[p.low for p in own], high=[p.high for p in own], colour=i))
        marks.append(Mark(kind="line", x=x, y=[p.y for p in own], label=label, colour=i))
    return Panel(
        title=f"{view.label(exposure)}: {view.category(exposure, level)}",
        x_label=f"k times the {what} of those lost",
        y_label="Ratio",
        marks=marks,
        horizontal=[(1.0, "")],
        vertical=[(1.0, "")],
        log_x=True,
        log_y=True,
    )


def _grid_panel(view: View, declared: WorstCases, exposure: str) -> HeatPanel | None:
    level, k = view.headline(exposure), declared.multipliers
    points = [p for p in view.points(declared.id, "grid", exposure=exposure) if p.level == level]
    if len(k) < 2 or not points:
        return None
    at = {(p.low, p.x): p.y for p in points}
    values = np.array([[at.get((b, a)) or np.nan for a in k] for b in k], dtype=np.float64)
    names = [f"{v:g}" for v in k]
    return HeatPanel(
        title=f"{view.label(exposure)}: {view.category(exposure, level)}",
        x_names=names,
        y_names=names,
        values=values,
        texts=[[fixed(None if np.isnan(v) else float(v), 2) for v in row] for row in values],
        strong=np.array([[a == 1.0 and b == 1.0 for a in k] for b in k]),
    )
