"""Which figures a study has, from its rows: flow, dose-response curves, forest plots."""

from __future__ import annotations

from collections.abc import Iterator

from walkrisk.accounts.account import Drawing
from walkrisk.cohorts.eligibility import FlowStep
from walkrisk.estimates.disclosure import RATIOS, has_merged_steps
from walkrisk.estimates.numbers import Rounding
from walkrisk.estimates.results import OUTCOME_TABLE, Results
from walkrisk.estimates.rows import Estimate
from walkrisk.figures.curves import CurvePanel, dose_response_figure
from walkrisk.figures.flow import FlowGroup, flow_figure
from walkrisk.figures.forest import ForestCell, ForestRow, forest_figure
from walkrisk.figures.spoken import listed
from walkrisk.runs.joint_drawing import joint_drawing
from walkrisk.studies.study import CurveFigure, ForestFigure, Study
from walkrisk.tables.cells import in_one_variance


def drawings(study: Study, results: Results, *, flow: tuple[FlowStep, ...], simulated: bool) -> Iterator[Drawing]:
    """Every figure of a study; `flow` has its small steps merged already."""
    yield _flow(study, results, flow, simulated)
    for declared in study.curve_figures:
        yield _curves(study, results, declared, simulated)
    for plot in study.forest_figures:
        yield _forest(study, results, plot, simulated)
    for heat in study.heat_figures:
        yield joint_drawing(study, results, heat, simulated)


def events_analysed(study: Study, results: Results) -> int | None:
    """People of the analytic sample with the main outcome; None where their number is withheld."""
    variable = study.outcomes[study.settings.outcome].variable
    rows = (c for c in results.characteristics if (c.table, c.variable) == (OUTCOME_TABLE, variable))
    value = next((c.value for c in rows if c.statistic == "count"), 0)
    return None if value is None else int(value)


def people_analysed(results: Results) -> int:
    """Size of the analytic sample."""
    return next(int(c.value or 0) for c in results.characteristics if c.table == OUTCOME_TABLE and c.statistic == "n")


def people_before(results: Results, flow: tuple[FlowStep, ...]) -> int:
    """People before the exclusions that may be shown: where all of them together exclude too few, those analysed."""
    return flow[0].n_before if flow else people_analysed(results)


def _flow(study: Study, results: Results, flow: tuple[FlowStep, ...], simulated: bool) -> Drawing:
    figure = flow_figure(
        flow,
        n_start=people_before(results, flow),
        n_analysed=people_analysed(results),
        events=events_analysed(study, results),
        event_word=study.outcomes[study.settings.outcome].label,
        simulated=simulated,
        min_cell=study.settings.min_cell,
        width=study.settings.figure_width,
        start_word="Participants in the data",
        analysed_word="Analytic sample",
        groups=_groups(study, results),
        groups_word=_grouped_by(study),
        events_word=study.outcomes[study.settings.outcome].event_word.capitalize(),
    )
    merged = has_merged_steps(flow)
    caption = "Exclusions in order, with the number of people at each." + (
        " Steps that exclude very few people are shown together." if merged else ""
    )
    about = f"Participants of the study of {listed(list(dict.fromkeys(_named(study))))}."
    return Drawing("flow", "Participant flow", caption, figure, about=about)


def _grouped_by(study: Study) -> str:
    return next(iter(_named(study)), "")


def _groups(study: Study, results: Results) -> list[FlowGroup]:
    """Those analysed by the categories of the first exposure of the main analysis, where they are all of the sample."""
    main = next((a for a in study.analyses if a.group == "main"), None)
    exposure = next((e for e in main.exposures if not study.exposures[e].cross), None) if main else None
    if main is None or exposure is None or main.outcome not in (None, study.settings.outcome):
        return []
    rows = [e for e in results.estimates if (e.analysis, e.exposure, e.stratum) == (main.id, exposure, "")]
    by_level = {e.level: e for e in reversed(rows) if e.level and e.estimand in RATIOS}
    groups = [FlowGroup(label=e.level, n=e.n, events=e.events) for e in reversed(by_level.values())]
    whole = sum(g.n for g in groups if g.n is not None)
    exact = all(g.n is not None for g in groups) and not study.settings.round_counts
    return groups if len(groups) > 1 and (not exact or whole == people_analysed(results)) else []


def _named(study: Study) -> Iterator[str]:
    """What the exposures of the main analyses are called."""
    main = [a for a in study.analyses if a.group == "main"] or list(study.analyses[:1])
    for analysis in main:
        yield from (study.exposures[e].label or e for e in analysis.exposures if not study.exposures[e].cross)


def _curves(study: Study, results: Results, declared: CurveFigure, simulated: bool) -> Drawing:
    curve = next(c for c in study.curves if c.analysis == declared.analysis)
    panels = [_panel(study, results, declared, e, "ABCDEFGH"[i]) for i, e in enumerate(curve.exposures)]
    figure = dose_response_figure(
        panels,
        simulated=simulated,
        min_cell=study.settings.min_cell,
        conf_level=study.settings.conf_level,
        people=declared.people,
        width=declared.width or study.settings.figure_width,
    )
    knots = f"{len(curve.knot_percentiles)} knots at the " + ", ".join(f"{p:g}th" for p in curve.knot_percentiles)
    knots = f"{curve.knots} knots by Harrell's rule" if curve.knots else f"{knots} percentiles"
    what = "Ratios of risks standardised over everyone's covariates. " if curve.standardised else ""
    k = max(study.settings.min_cell, 1)
    where = "circle" if any(p.reference is not None for p in panels) else f"not shown: fewer than {k} people beyond it"
    title = curve.title or study.models[curve.model].label
    caption = (
        f"{title}. {what}Restricted cubic splines with {knots}; "
        f"the reference is the {curve.reference_percentile:g}th{' percentile' if curve.knots else ''} ({where}). "
        f"Bands are {100 * study.settings.conf_level:g}% confidence intervals, pale outside the 1st to 99th percentile "
        f"of people. {_people_caption(declared, k)}"
    )
    return Drawing(declared.id, declared.title, caption, figure)


def _people_caption(declared: CurveFigure, k: int) -> str:
    if declared.people == "histogram":
        return f"Bars count people; where fewer than {k} share a bar the axis ends or the bar is left out."
    ends = f"The axis ends where fewer than {k} people share a tenth of it or less."
    if declared.people == "rug":
        return f"Marks below the curve are the percentiles 5, 10, ..., 95 of people. {ends}"
    return ends


def _panel(study: Study, results: Results, declared: CurveFigure, exposure: str, letter: str) -> CurvePanel:
    points = [p for p in results.curves if p.analysis == declared.analysis and p.exposure == exposure]
    knots = [
        c.value
        for c in results.cutpoints
        if c.analysis == declared.analysis and c.exposure == exposure and c.cut.startswith("knot_")
    ]
    tests = [
        e
        for e in results.estimates
        if (e.analysis, e.exposure, e.estimand) == (declared.analysis, exposure, "p_nonlinearity")
    ]
    described = study.exposures[exposure]
    bins = [b for b in results.histograms if b.exposure == exposure]
    shown = [b for b in bins if b.n >= max(study.settings.min_cell, 1)]
    return CurvePanel(
        exposure=described.label or exposure,
        unit=described.unit,
        label=letter,
        points=points,
        bins=bins,
        x_min=shown[0].low if shown else None,
        x_max=shown[-1].high if shown else None,
        reference=points[0].reference if points else None,
        knots=knots,
        x_tick=declared.x_ticks.get(exposure),
        note=_nonlinearity_note(tests, study.rounding),
    )


def _nonlinearity_note(tests: list[Estimate], rounding: Rounding) -> str:
    if not tests or tests[0].p_value is None:
        return ""
    text = rounding.p(tests[0].p_value)
    return f"P for non-linearity {text[0]} {text[1:]}" if text[0] in "<>" else f"P for non-linearity = {text}"


def _forest(study: Study, results: Results, declared: ForestFigure, simulated: bool) -> Drawing:
    variance = study.settings.variances[0]
    rows: list[ForestRow] = []
    for analysis in (a for i in declared.analyses for a in study.analyses if a.id == i):
        mine = [
            e
            for e in results.estimates
            if e.analysis == analysis.id
            and e.model == declared.model
            and e.estimand in ("risk_ratio", "hazard_ratio", "odds_ratio")
        ]
        mine = in_one_variance(mine, (analysis.variances or (variance,))[0])
        for stratum in dict.fromkeys(e.stratum for e in mine):
            group = [e for e in mine if e.stratum == stratum]
            rows.append(ForestRow(label=stratum_label(stratum) or analysis.title))
            for level in dict.fromkeys(e.level for e in group if e.level != e.reference):
                cells = tuple(
                    next((_cell(e, study.rounding) for e in group if (e.exposure, e.level) == (x, level)), None)
                    for x in declared.exposures
                )
                rows.append(ForestRow(label=level, cells=cells))
    panels = [study.exposures[e].label or e for e in declared.exposures]
    width = declared.width or study.settings.figure_width
    figure = forest_figure(rows, panels=panels, simulated=simulated, width=width)
    reference = next((e.reference for e in results.estimates if e.estimand == "risk_ratio"), "")
    caption = (
        f"{study.models[declared.model].label} risk ratios against {reference}, with "
        f"{100 * study.settings.conf_level:g}% confidence intervals."
    )
    return Drawing(declared.id, declared.title, caption, figure)


def stratum_label(stratum: str) -> str:
    """The name of a stratum for people: "age>=65" is "Age≥65"."""
    return (stratum[:1].upper() + stratum[1:]).replace(">=", "≥").replace("<=", "≤")


def _cell(e: Estimate, rounding: Rounding) -> ForestCell:
    text = "" if e.estimate is None else rounding.interval(e.estimate, e.conf_low, e.conf_high)
    return ForestCell(estimate=e.estimate, conf_low=e.conf_low, conf_high=e.conf_high, text=text)
