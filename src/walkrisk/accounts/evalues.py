"""E-values of ratios and along a curve: table, picture, sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from walkrisk.accounts.account import Account, Drawing, View
from walkrisk.accounts.confounding_words import GROUP, conversion, followed, main_rows_of, shown_estimate
from walkrisk.accounts.facts import Form, Sentence, number_of, sentence, words
from walkrisk.estimates.numbers import fixed
from walkrisk.estimates.results import Point
from walkrisk.figures.panels import Mark, Panel, panel_figure
from walkrisk.studies.confounding import EValueCurves
from walkrisk.tables.cells import ABSENT
from walkrisk.tables.table import Head, Row, Table

E_VALUE = (
    "The E-value of a ratio is the least risk ratio that an unmeasured confounder would need with both exposure and "
    "outcome, beyond the measured covariates, to move the ratio to no association (VanderWeele and Ding, 2017)."
)


def evalue_account(view: View, declared: EValueCurves) -> Account:
    """E-values of the main ratios and along a curve."""
    exposures = followed(view, declared.exposures)
    panels = [p for e in exposures if (p := _evalue_panel(view, declared, e)) is not None]
    drawings: tuple[Drawing, ...] = ()
    if panels:
        caption = (
            "E-values of the ratio at each value of the exposure against the reference of the curve, and of the limit "
            "of its interval that is nearer to no association. The bar at the bottom marks where the limit's E-value "
            "is above 1, so that its interval leaves out no association. The curve is shown between the 1st and the "
            "99th percentile of people."
        )
        figure = panel_figure(panels, columns=min(2, len(panels)), simulated=view.simulated)
        drawings = (Drawing(f"{declared.id}_figure", declared.title, caption, figure),)
    return Account(
        id=declared.id,
        title=declared.title,
        group=GROUP,
        methods=(E_VALUE, *conversion(view, declared.rare)),
        sentences=tuple(s for e in exposures for s in _evalue_sentences(view, declared, e)),
        tables=(_evalue_table(view, declared, exposures),),
        drawings=drawings,
    )


def _evalue_sentences(view: View, declared: EValueCurves, exposure: str) -> Iterator[Sentence]:
    level = view.headline(exposure)
    point = next(iter(view.rows(declared.id, exposure=exposure, level=level, estimand="e_value")), None)
    limit = next(iter(view.rows(declared.id, exposure=exposure, level=level, estimand="e_value_ci")), None)
    if point is not None and limit is not None:
        yield sentence(
            "{exposure}, {level}: the E-value was {point} for the estimate and {limit} for the limit of its interval "
            "nearer to no association.",
            exposure=words(view.label(exposure)),
            level=words(view.category(exposure, level)),
            point=number_of(point, "estimate", "fixed2"),
            limit=number_of(limit, "estimate", "fixed2"),
        )
    shown = _shown(view, declared, exposure, "e_value_ci")
    above = [p for p in shown if (p.y or 0.0) > 1.0]
    if not shown:
        return
    curve = words(view.label(exposure))
    if not above:
        yield sentence("Along the curve of {curve} no interval left out no association.", curve=curve)
        return
    form = _form(view, exposure)
    top = max(above, key=lambda p: p.y or 0.0)
    for run in _runs(shown):
        yield sentence(
            "Along the curve of {curve} the limit's E-value was above that of no association from {start} to {end} "
            "{unit}.",
            curve=curve,
            start=number_of(run[0], "x", form),
            end=number_of(run[-1], "x", form),
            unit=words(view.exposures[exposure].unit or "units"),
        )
    yield sentence(
        "Along the curve of {curve} the limit's E-value was largest at {x} {unit}, where it was {y}.",
        curve=curve,
        x=number_of(top, "x", form),
        unit=words(view.exposures[exposure].unit or "units"),
        y=number_of(top, "y", "fixed2"),
    )


def _runs(points: Sequence[Point]) -> list[list[Point]]:
    """Stretches of neighbouring points whose E-value is above 1."""
    runs: list[list[Point]] = []
    inside = False
    for p in points:
        above = (p.y or 0.0) > 1.0
        if above and not inside:
            runs.append([])
        if above:
            runs[-1].append(p)
        inside = above
    return runs


def _shown(view: View, declared: EValueCurves, exposure: str, series: str) -> list[Point]:
    """Points of a curve between the outer percentiles of people, so that no single person's value ends it."""
    ends = next(iter(view.points(declared.id, "shown", exposure=exposure)), None)
    if ends is None or ends.low is None or ends.high is None:
        return []
    points = view.points(declared.id, series, exposure=exposure)
    return [p for p in points if p.x is not None and ends.low <= p.x <= ends.high]


def _form(view: View, exposure: str) -> Form:
    decimals = min(max(view.exposures[exposure].decimals, 0), 3)
    forms: tuple[Form, ...] = ("fixed0", "fixed1", "fixed2", "fixed3")
    return forms[decimals]


def _evalue_panel(view: View, declared: EValueCurves, exposure: str) -> Panel | None:
    points, limits = (_shown(view, declared, exposure, s) for s in ("e_value", "e_value_ci"))
    if not points:
        return None
    marks = [
        Mark(kind="line", x=[p.x for p in points], y=[p.y for p in points], label="Of the ratio", colour=0),
        Mark(kind="line", x=[p.x for p in limits], y=[p.y for p in limits], label="Of its limit", colour=1),
    ]
    highest = max(p.y or 1.0 for p in points)
    bottom, top = 1 - 0.09 * (highest - 1), 1 - 0.03 * (highest - 1)
    above = [(p.y or 0.0) > 1.0 for p in limits]
    marks.append(
        Mark(
            kind="band",
            x=[p.x for p in limits],
            low=[bottom if is_above else None for is_above in above],
            high=[top if is_above else None for is_above in above],
            label="Limit's E-value above 1",
            colour=2,
        )
    )
    label = view.exposures[exposure]
    return Panel(
        title=label.label,
        x_label=label.heading,
        y_label="E-value",
        marks=marks,
        horizontal=[(1.0, "")],
        y_limits=(1 - 0.12 * (highest - 1), 1 + 1.06 * (highest - 1)),
    )


def _evalue_table(view: View, declared: EValueCurves, exposures: Sequence[str]) -> Table:
    rows: list[Row] = []
    for exposure in exposures:
        rows.append(Row(cells=(view.label(exposure),), kind="heading"))
        for level in view.levels(exposure):
            main = next(iter(main_rows_of(view, exposure, level)), None)
            values = {
                e.estimand: e
                for e in view.rows(declared.id, exposure=exposure, level=level, estimand=("e_value", "e_value_ci"))
            }
            cells = [fixed(v.estimate, 2) if (v := values.get(k)) else ABSENT for k in ("e_value", "e_value_ci")]
            rows.append(Row(cells=(view.category(exposure, level), shown_estimate(main), *cells), indent=1))
    return Table(
        id=f"{declared.id}_table",
        title=declared.title,
        header=(Head("Category"), Head("Estimate"), Head("E-value"), Head("E-value of the limit")),
        rows=tuple(rows),
        notes=("The limit is the one nearer to no association; its E-value is 1 where the interval holds it.",),
    )
