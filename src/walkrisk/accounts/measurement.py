"""The accounts of measurement error: reliability and calibration here, SIMEX and a misclassified outcome beside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from walkrisk.accounts.account import Account, Drawing, Line, View
from walkrisk.accounts.facts import Sentence, number_of, ratio_of, sentence, setting, words
from walkrisk.accounts.measurement_words import (
    ABSENT,
    GROUP,
    MEASURED,
    capitalised,
    curve_panels,
    one_of,
    per_facts,
    per_words,
    pers,
    source_words,
)
from walkrisk.accounts.misclassified import misclassified_account
from walkrisk.accounts.simex import simex_account
from walkrisk.estimates.numbers import count, fixed
from walkrisk.estimates.rows import Estimate
from walkrisk.figures.panels import Mark, Panel, panel_figure
from walkrisk.studies.measurement import Calibration, Reliability
from walkrisk.tables.table import Head, Row, Table

CALIBRATED = "calibrated"  # stratum of a row, item of a point


def accounts(view: View) -> Iterator[Account]:
    """The accounts of every declared analysis of measurement error."""
    s = view.study.sensitivity
    for days in s.reliabilities:
        yield _reliability(view, days)
    for calibration in s.calibrations:
        yield _calibration(view, calibration)
    for simex in s.simex:
        yield simex_account(view, simex)
    for outcome in s.misclassified_outcomes:
        yield misclassified_account(view, outcome)


# ---------------------------------------------------------------- reliability


def _reliability(view: View, declared: Reliability) -> Account:
    followed = declared.exposures or view.followed
    limits = (
        "limits are percentiles over persons drawn with replacement with all their days"
        if declared.limits == "bootstrap"
        else "limits are those of the F distribution, with the harmonic mean of the days where their numbers differ"
    )
    estimator = {"reml": "restricted maximum likelihood", "anova": "the analysis of variance"}[declared.estimator]
    weekdays = " Mean differences between days of the week were taken out first." if declared.weekdays else ""
    methods = (
        "The variance of daily values was divided into that between persons and that from day to day within them "
        f"by {estimator} in the analytic sample; the reliability of a mean of days is the variance between persons "
        f"over the sum of it and the variance within persons divided by the number of days; {limits}. Of a ratio of "
        "weekly means, a day's value is the linearised one, whose mean over a person's days is the person's ratio. "
        "A reliability is also the factor by which an unadjusted linear association is drawn towards "
        f"none.{weekdays} Days of a person were taken as independent given the person; what does not change over "
        "the week (a sensor's own error, a busy season) is not in it.",
    )
    return Account(
        id=declared.id,
        title=declared.title,
        group=GROUP,
        methods=methods,
        sentences=tuple(_reliability_sentences(view, declared, followed)),
        tables=(_reliability_table(view, declared, followed),),
        drawings=(_reliability_drawing(view, declared, followed),),
    )


def _of(view: View, analysis: str, exposure: str, estimand: str, level: str) -> Estimate | None:
    return one_of(view.rows(analysis, exposure=exposure, level=level, estimand=estimand))


def _reliability_sentences(view: View, declared: Reliability, followed: Sequence[str]) -> Iterator[Sentence]:
    for exposure in followed:
        day = _of(view, declared.id, exposure, "reliability", "one day")
        study = _of(view, declared.id, exposure, "reliability", "study")
        needed = _of(view, declared.id, exposure, "days_needed", f"for {declared.wanted:g}")
        mean = _of(view, declared.id, exposure, "mean", "days a person")
        if day is None or study is None or mean is None:
            yield sentence("{exposure}: the reliability could not be estimated.", exposure=words(view.label(exposure)))
            continue
        yield sentence(
            "{exposure}: one day had a reliability of {day} ({day_low} to {day_high}), the study's {mean} days a "
            "person one of {study} ({study_low} to {study_high}).",
            exposure=words(view.label(exposure)),
            day=number_of(day, "estimate", "fixed3"),
            day_low=number_of(day, "conf_low", "fixed3"),
            day_high=number_of(day, "conf_high", "fixed3"),
            mean=number_of(mean, "estimate", "fixed1"),
            study=number_of(study, "estimate", "fixed3"),
            study_low=number_of(study, "conf_low", "fixed3"),
            study_high=number_of(study, "conf_high", "fixed3"),
        )
        if needed is not None:
            yield sentence(
                "{exposure}: {days} days ({low} to {high}) have a reliability of {wanted}.",
                exposure=words(view.label(exposure)),
                days=number_of(needed, "estimate", "fixed1"),
                low=number_of(needed, "conf_low", "fixed1"),
                high=number_of(needed, "conf_high", "fixed1"),
                wanted=setting(declared.wanted),
            )


def _reliability_table(view: View, declared: Reliability, followed: Sequence[str]) -> Table:
    rows = []
    for exposure in followed:
        cells = [view.label(exposure)]
        persons = _of(view, declared.id, exposure, "variance", "within")
        cells.append(ABSENT if persons is None or persons.n is None else count(persons.n))
        for estimand, level, places in (
            ("mean", "days a person", 1),
            ("variance_ratio", "within over between", 2),
            ("reliability", "one day", 3),
            ("reliability", "study", 3),
            ("days_needed", f"for {declared.wanted:g}", 1),
        ):
            e = _of(view, declared.id, exposure, estimand, level)
            cells.append(ABSENT if e is None else _with_limits(e, places))
        rows.append(Row(cells=tuple(cells)))
    return Table(
        id=declared.id,
        title=declared.title,
        header=(
            Head("Exposure", words=True),
            Head("Persons"),
            Head("Days a person"),
            Head("Variance within over between persons"),
            Head("Reliability of one day"),
            Head("Reliability of the study's days"),
            Head(f"Days for {declared.wanted:g}"),
        ),
        rows=tuple(rows),
        notes=(f"{100 * view.study.settings.conf_level:g}% limits in parentheses.",),
    )


def _with_limits(e: Estimate, places: int) -> str:
    value = fixed(e.estimate, places)
    if e.conf_low is None or e.conf_high is None:
        return value
    return f"{value} ({fixed(e.conf_low, places)}-{fixed(e.conf_high, places)})"


def _reliability_drawing(view: View, declared: Reliability, followed: Sequence[str]) -> Drawing:
    panels = []
    for exposure in followed:
        points = view.points(declared.id, "reliability", exposure=exposure)
        mean = _of(view, declared.id, exposure, "mean", "days a person")
        x = [p.x for p in points]
        marks = [
            Mark(kind="band", x=x, low=[p.low for p in points], high=[p.high for p in points]),
            Mark(kind="line", x=x, y=[p.y for p in points]),
        ]
        panels.append(
            Panel(
                title=view.label(exposure),
                x_label="Days measured",
                y_label="Reliability of their mean",
                marks=marks,
                horizontal=[(declared.wanted, f"{declared.wanted:g}")],
                vertical=[(mean.estimate, "")] if mean and mean.estimate else [],
                y_limits=(0.0, 1.0),
            )
        )
    caption = (
        f"Reliability of a mean over days by their number, with {100 * view.study.settings.conf_level:g}% limits; the "
        "broken line stands at the study's mean number of days."
    )
    return Drawing(
        f"figure_{declared.id}",
        declared.title,
        caption,
        panel_figure(panels, simulated=view.simulated, width=view.width),
    )


# ---------------------------------------------------------------- calibration


def _calibration(view: View, declared: Calibration) -> Account:
    followed = declared.exposures or view.followed
    bootstrap = (
        f", and by {declared.replicates} bootstrap samples of persons, each calibrated anew"
        if declared.replicates
        else ""
    )
    methods = [
        "In the main model the exposure entered linearly, first as measured, then as the usual exposure that is "
        "expected of a person given what was measured, the covariates and the number of days (regression "
        "calibration): whoever has fewer days is drawn closer to what people with the same covariates have. The "
        "variance from day to day came from the days within persons. Limits hold the uncertainty of the calibration "
        f"(stacked estimating equations{bootstrap})." + source_words(declared),
        "Errors of the days were taken as unrelated to usual exposure, covariates and outcome. The ratio per unit "
        "is corrected for day-to-day variation.",
    ]
    if declared.categories:
        methods.append(
            "Categories of the calibrated exposure order people by what is expected of them; they are groups of "
            "another, narrower distribution than usual exposure has, so their ratios are not those of categories of "
            "usual exposure, and who was put into a wrong category by chance stays there unless the number of days "
            "or the covariates tell. Their limits take the calibration as known."
        )
    if declared.curve:
        methods.append(
            "For the curve each column of the spline's basis was replaced by its expectation, usual exposure taken "
            "as normal about its own."
        )
    lines = [
        Line(f"Linear, {what}", tuple(_first_per(view, declared.id, stratum, followed)))
        for stratum, what in ((MEASURED, "exposure as measured"), (CALIBRATED, "calibrated for day-to-day variation"))
    ]
    lines = [Line(f"{line.label} ({pers(view, declared, followed)})", line.rows) for line in lines if line.rows]
    by_category = [
        r
        for e in followed
        for r in view.rows(declared.id, exposure=e, stratum="categories of calibrated exposure")
        if r.level != r.reference
    ]
    if by_category:
        lines.append(Line("Categories of the calibrated exposure", tuple(by_category)))
    return Account(
        id=declared.id,
        title=declared.title,
        group=GROUP,
        methods=tuple(methods),
        sentences=tuple(_calibration_sentences(view, declared, followed)),
        tables=(_calibration_table(view, declared, followed),),
        drawings=tuple(_calibration_drawing(view, declared, followed)),
        lines=tuple(lines),
    )


def _first_per(view: View, analysis: str, stratum: str, followed: Sequence[str]) -> Iterator[Estimate]:
    for exposure in followed:
        found = one_of(view.rows(analysis, exposure=exposure, stratum=stratum))
        if found is not None:
            yield found


def _bootstrap_row(view: View, analysis: str, exposure: str) -> Estimate | None:
    return next(
        (
            e
            for e in view.results.estimates
            if (e.analysis, e.exposure, e.stratum, e.variance) == (analysis, exposure, CALIBRATED, "bootstrap")
        ),
        None,
    )


def _calibration_sentences(view: View, declared: Calibration, followed: Sequence[str]) -> Iterator[Sentence]:
    for exposure in followed:
        naive = one_of(view.rows(declared.id, exposure=exposure, stratum=MEASURED))
        made = one_of(view.rows(declared.id, exposure=exposure, stratum=CALIBRATED))
        kept = _of(view, declared.id, exposure, "reliability", "given covariates")
        if naive is None or made is None or kept is None:
            yield sentence("{exposure}: no calibrated ratio was found.", exposure=words(view.label(exposure)))
            continue
        facts = {
            "exposure": words(view.label(exposure)),
            **per_facts(view, declared.id, exposure),
            "naive": ratio_of(naive),
            "made": ratio_of(made),
            "kept": number_of(kept, "estimate", "fixed2"),
        }
        yield sentence(
            "{exposure}: the ratio per {unit} {of} was {naive} with the exposure as measured and {made} calibrated; "
            "given the covariates the measured days had a reliability of {kept}.",
            **facts,
        )
        again = _bootstrap_row(view, declared.id, exposure)
        if again is not None:
            yield sentence(
                "{exposure}: by bootstrap the calibrated ratio was {ratio}.",
                exposure=words(view.label(exposure)),
                ratio=ratio_of(again),
            )
        together = one_of(view.rows(declared.id, exposure=exposure, stratum="calibrated together"))
        apart = one_of(view.rows(declared.id, exposure=exposure, stratum="as measured together"))
        if together is not None and apart is not None:
            yield sentence(
                "{exposure}: with the other exposures in the model the ratio per {unit} {of} was {apart} as measured "
                "and {together} with all calibrated together.",
                exposure=words(view.label(exposure)),
                **per_facts(view, declared.id, exposure),
                apart=ratio_of(apart),
                together=ratio_of(together),
            )


def _calibration_table(view: View, declared: Calibration, followed: Sequence[str]) -> Table:
    rows: list[Row] = []
    for exposure in followed:

        def found(stratum: str, exposure: str = exposure) -> str:
            return view.cell(one_of(view.rows(declared.id, exposure=exposure, stratum=stratum)))

        rows.append(Row(cells=(view.label(exposure),), kind="heading"))
        per = capitalised(per_words(view, declared.id, exposure))
        rows.append(Row(cells=(per, found(MEASURED), found(CALIBRATED)), indent=1))
        again = _bootstrap_row(view, declared.id, exposure)
        if again is not None:
            rows.append(Row(cells=(f"{per}, bootstrap limits", ABSENT, view.cell(again)), indent=1))
        if declared.together:
            both = found("as measured together"), found("calibrated together")
            rows.append(Row(cells=(f"{per}, all exposures in the model", *both), indent=1))
        for level in view.levels(exposure) if declared.categories else ():
            stratum = "categories of calibrated exposure"
            made = one_of(view.rows(declared.id, exposure=exposure, stratum=stratum, level=level))
            main = view.main(exposure, level)
            rows.append(
                Row(cells=(f"{level} against {view.reference(exposure)}", view.cell(main), view.cell(made)), indent=1)
            )
    level_of = f"{100 * view.study.settings.conf_level:g}%"
    return Table(
        id=declared.id,
        title=declared.title,
        header=(Head("Ratio", words=True), Head("Exposure as measured"), Head("Calibrated exposure")),
        rows=tuple(rows),
        notes=(
            f"Adjusted ratios with {level_of} limits; categories against the lowest, cut anew on the exposure shown.",
        ),
    )


def _calibration_drawing(view: View, declared: Calibration, followed: Sequence[str]) -> Iterator[Drawing]:
    if not declared.curve:
        return
    caption = (
        f"Adjusted ratios along a restricted cubic spline with {100 * view.study.settings.conf_level:g}% limits, of "
        "the exposure as measured and of usual exposure, between the first and the last percentile measured."
    )
    panels = curve_panels(
        view, declared.id, followed, {MEASURED: "as measured", CALIBRATED: "usual exposure, calibrated"}
    )
    yield Drawing(
        f"figure_{declared.id}",
        declared.title,
        caption,
        panel_figure(panels, simulated=view.simulated, width=view.width),
    )
