"""E-values of ratios and along a curve: table, picture, sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from walkrisk.accounts.account import Account, Drawing, View
from walkrisk.accounts.confounding_words import GROUP, conversion, followed, main_rows_of, shown_estimate
from walkrisk.accounts.facts import Fact, Form, Sentence, number_of, sentence, words
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
        figure = panel_figure(panels, columns=min(2, len(panels)), simulated=view.simulated, width=view.width)
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
    shown, ends = _shown(view, declared, exposure, "e_value_ci"), _ends(view, declared, exposure)
    if ends is not None and shown:
        yield from _curve_sentences(view, exposure, shown, ends)


def _curve_sentences(view: View, exposure: str, shown: Sequence[Point], ends: Point) -> Iterator[Sentence]:
    """Where in the part of a curve that is shown the limit's E-value is above 1, and where it is largest."""
    form, unit = _form(view, exposure), words(view.exposures[exposure].unit or "units")
    facts: dict[str, Fact] = {
        "curve": words(view.label(exposure)),
        "low": number_of(ends, "low", form),
        "high": number_of(ends, "high", form),
        "unit": unit,
    }
    within = "within the part of the curve of {curve} that is shown ({low} to {high} {unit}) "
    runs = _runs(shown, ends.x)
    if not runs:
        yield sentence(within + "no interval left out no association.", **facts)
        return
    if sum(map(len, runs)) == sum(p.x != ends.x for p in shown):
        where = "over all of that part"
    else:
        where = " and ".join(f"from {{start_{i}}} to {{end_{i}}} {{unit}}" for i in range(len(runs)))
        for i, run in enumerate(runs):
            facts |= {f"start_{i}": number_of(run[0], "x", form), f"end_{i}": number_of(run[-1], "x", form)}
    if ends.x is not None and _before(runs[0][0], ends.x) and not _before(runs[-1][0], ends.x):
        where += (
            ", on both sides of the reference ({reference} {unit}), where ratio and E-value are those of no association"
        )
        facts["reference"] = number_of(ends, "x", form)
    yield sentence(f"{within}the limit's E-value was above that of no association {where}.", **facts)
    top = max((p for run in runs for p in run), key=lambda p: p.y or 0.0)
    yield sentence(
        "Along the curve of {curve} the limit's E-value was largest at {x} {unit}, where it was {y}.",
        curve=words(view.label(exposure)),
        x=number_of(top, "x", form),
        unit=unit,
        y=number_of(top, "y", "fixed2"),
    )


def _before(p: Point, x: float) -> bool:
    return p.x is not None and p.x < x


def _runs(points: Sequence[Point], reference: float | None) -> list[list[Point]]:
    """Stretches of neighbouring points whose E-value is above 1; the reference, where it is 1, ends a stretch."""
    runs: list[list[Point]] = []
    last: Point | None = None
    for p in points:
        if (p.y or 0.0) <= 1.0 or p.x == reference:
            last = None
            continue
        crossed = last is not None and reference is not None and _before(last, reference) and not _before(p, reference)
        if last is None or crossed:
            runs.append([])
        runs[-1].append(p)
        last = p
    return runs


def _ends(view: View, declared: EValueCurves, exposure: str) -> Point | None:
    """The part of a curve that is shown, from `low` to `high`, and its reference, `x`."""
    return next(iter(view.points(declared.id, "shown", exposure=exposure)), None)


def _shown(view: View, declared: EValueCurves, exposure: str, series: str) -> list[Point]:
    """Points of a curve between the outer percentiles of people, so that no single person's value ends it."""
    ends = _ends(view, declared, exposure)
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
            rows.append(Row(cells=(view.category(exposure, level), shown_estimate(view, main), *cells), indent=1))
    return Table(
        id=f"{declared.id}_table",
        title=declared.title,
        header=(Head("Category"), Head("Estimate"), Head("E-value"), Head("E-value of the limit")),
        rows=tuple(rows),
        notes=("The limit is the one nearer to no association; its E-value is 1 where the interval holds it.",),
    )
