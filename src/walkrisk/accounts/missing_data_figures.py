"""Pictures of multiple imputation: traces of the chains, known and imputed values, scans over shifts."""

from __future__ import annotations

from collections.abc import Iterator

from walkrisk.accounts.account import Drawing, View
from walkrisk.accounts.missing_data_words import kinds_of, name_of, scale_of, shifted_name
from walkrisk.estimates.results import Point
from walkrisk.figures.panels import Mark, Panel, panel_figure
from walkrisk.studies.missing_data import Delta, Imputation
from walkrisk.variations.missing_data_rows import variant_name

CONTINUOUS = ("pmm", "normal")


def drawings(view: View, declared: Imputation) -> Iterator[Drawing]:
    """Traces, distributions and, with variants not at random, scans."""
    title = declared.title
    traces = list(_trace_panels(view, declared))
    if traces:
        caption = (
            "Mean (left of each pair) and standard deviation (right) of the imputed values after each cycle, a line a "
            "set: of the numbers themselves, of the place of an ordinal level, of the indicator of the higher or "
            "commonest level. Chains that have mixed run through one another without a trend."
        )
        figure = panel_figure(traces, columns=4, simulated=view.simulated, width=view.width, height_in=1.0)
        yield Drawing(f"{declared.id}_traces", f"{title}: chains", caption, figure, about=_about(view))
    shares = list(_distribution_panels(view, declared))
    if shares:
        caption = (
            "Values that are known and values that were imputed (all sets together): densities of numbers between the "
            "1st and 99th percentile of the known, shares of levels. The two may differ where values are missing at "
            "random given other variables. Bins and levels of few people are not shown."
        )
        figure = panel_figure(shares, columns=3, simulated=view.simulated, width=view.width, height_in=1.3)
        name = f"{declared.id}_distributions"
        yield Drawing(name, f"{title}: known and imputed values", caption, figure, about=_about(view))
    scans = [p for d in declared.deltas for e in view.followed for p in _scan_panel(view, declared, d, e)]
    if scans:
        caption = (
            "The pooled ratio with its interval when imputed values are shifted from what is at random. Broken "
            "vertical lines mark where the ratio, or the limit of its interval, reaches no association."
        )
        figure = panel_figure(scans, columns=min(2, len(scans)), simulated=view.simulated, width=view.width)
        yield Drawing(f"{declared.id}_shifts", f"{title}: not at random", caption, figure)


def _about(view: View) -> str:
    return f"Imputation for the analysis of {view.named}."


def _trace_panels(view: View, declared: Imputation) -> Iterator[Panel]:
    for item in kinds_of(view.points(declared.id, "missing")):
        for series, what in (("trace mean", "Mean"), ("trace sd", "SD")):
            points = [p for p in view.points(declared.id, series) if p.item == item]
            if not points or (points[0].n or 0) < view.guard.min_cell:
                continue
            sets = dict.fromkeys(p.stratum for p in points)
            marks = [
                Mark(
                    kind="line",
                    x=[p.x for p in points if p.stratum == one],
                    y=[p.y for p in points if p.stratum == one],
                    pale=True,
                )
                for one in sets
            ]
            yield Panel(title=name_of(view, item), x_label="Cycle", y_label=what, marks=marks)


def _distribution_panels(view: View, declared: Imputation) -> Iterator[Panel]:
    for item, kind in kinds_of(view.points(declared.id, "missing")).items():
        points = [p for p in view.points(declared.id, "distribution") if p.item == item]
        groups = [(name, [p for p in points if p.stratum == key]) for key, name in GROUPS]
        if all(_shown(view, p) is None for p in points):
            continue
        variable = view.variables.get(item)
        title = name_of(view, item)
        if kind in CONTINUOUS:
            marks = [
                Mark(kind="steps", x=[p.x for p in some], y=[_shown(view, p) for p in some], label=name, colour=i)
                for i, (name, some) in enumerate(groups)
            ]
            unit = (variable.unit if variable else "") or "Value"
            yield Panel(title=title, x_label=unit, y_label="Density", marks=marks)
            continue
        marks = [
            Mark(
                kind="dots",
                x=[k + 0.12 * (2 * i - 1) for k in range(len(some))],
                y=[_shown(view, p) for p in some],
                label=name,
                colour=i,
            )
            for i, (name, some) in enumerate(groups)
        ]
        named = (variable.levels if variable else None) or YES_OR_NO
        levels = [named.get(int(float(p.level)), p.level) for p in groups[0][1]]
        short = levels if len(levels) <= 3 else [p.level for p in groups[0][1]]
        yield Panel(title=title, x_label="Level", y_label="Share", marks=marks, x_names=short)


YES_OR_NO = {0: "No", 1: "Yes"}  # levels of a variable of 0 and 1 that has no names for them
GROUPS = (("known", "Known"), ("imputed", "Imputed"))


def _shown(view: View, point: Point) -> float | None:
    """A share or density, None if few people stand behind it."""
    return None if 0 < (point.n or 0) < view.guard.min_cell else point.y


def _scan_panel(view: View, declared: Imputation, delta: Delta, exposure: str) -> Iterator[Panel]:
    level = view.headline(exposure)
    points = [
        p
        for p in view.points(declared.id, "shift", exposure=exposure)
        if p.stratum == variant_name(delta) and p.level == level
    ]
    if len(points) < 2:
        return
    x = [p.x for p in points]
    marks = [
        Mark(kind="band", x=x, low=[p.low for p in points], high=[p.high for p in points]),
        Mark(kind="line", x=x, y=[p.y for p in points]),
        Mark(kind="dots", x=x, y=[p.y for p in points]),
    ]
    tips = [
        (e.estimate, what)
        for estimand, what in (("tipping_point", "ratio"), ("tipping_point_interval", "limit"))
        for e in view.rows(declared.id, exposure=exposure, level=level, stratum=variant_name(delta), estimand=estimand)
        if e.estimate is not None
    ]
    yield Panel(
        title=f"{view.label(exposure)}: {view.category(exposure, level)}",
        x_label=f"{shifted_name(view, delta)}: shift, {scale_of(view, declared, delta)}",
        y_label="Ratio",
        marks=marks,
        horizontal=[(1.0, "")],
        vertical=tips,
        log_y=True,
    )
