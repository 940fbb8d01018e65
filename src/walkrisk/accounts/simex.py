"""The account of simulation extrapolation (SIMEX)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from walkrisk.accounts.account import Account, Drawing, Line, View
from walkrisk.accounts.facts import Sentence, number_of, ratio_of, sentence, words
from walkrisk.accounts.measurement_words import (
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
from walkrisk.figures.panels import Mark, Panel, panel_figure
from walkrisk.sensitivity.simex import weight_as_measured
from walkrisk.studies.measurement import Simex
from walkrisk.tables.table import Head, Row, Table

EXTRAPOLANTS = {"linear": 1, "quadratic": 2, "rational": 3}  # and their colours


def simex_account(view: View, declared: Simex) -> Account:
    followed = declared.exposures or view.followed
    sizes = ", ".join(f"{v:g}" for v in declared.added)
    noise = (
        "made of random contrasts of each person's own days (normal, with the common variance, for one day alone)"
        if declared.noise == "empirical"
        else "drawn from normal distributions with the variance from day to day over each person's number of days"
    )
    first = declared.extrapolants[0]
    in_summary = " and, for the linear exposure, in the summary" if "per_unit" in declared.forms else ""
    methods = [
        f"Error of {sizes} times its own variance was added to the exposure, {noise}, {declared.replicates} times "
        "each; the main model was fitted to each, categories cut anew on each noisier exposure, and the mean log "
        f"ratios were extrapolated to no error by {', '.join(declared.extrapolants)} functions of its size "
        f"(simulation extrapolation); {first} is the one in the sentences{in_summary}. Limits come from the influence "
        "of each person on what is read off, with the error variance taken as known." + source_words(declared),
        "The rational function is for the linear exposure alone: ratios of categories do not determine its pole. "
        "Ratios of categories change by jumps as people near a limit change sides, which makes their limits wide. "
        "Where the ratios bend more than the function does, part of the bias stays; a linear or quadratic function "
        "mostly takes off less than there is. Errors were taken as unrelated to usual exposure, covariates and "
        "outcome.",
    ]
    if "categories" in declared.forms:
        methods.append(_single_cut(declared))
    return Account(
        id=declared.id,
        title=declared.title,
        group=GROUP,
        methods=tuple(methods),
        sentences=tuple(_simex_sentences(view, declared, followed)),
        tables=tuple(_simex_table(view, declared, followed)),
        drawings=tuple(_simex_drawings(view, declared, followed)),
        lines=tuple(_lines(view, declared, followed)),
    )


def _single_cut(declared: Simex) -> str:
    """Why ratios of categories have no line in the summary."""
    weights = ", ".join(
        f"{weight_as_measured(name, declared.added):.2g} ({name})"
        for name in declared.extrapolants
        if name != "rational"
    )
    return (
        "The ratio of categories as measured is of a single cut of the people, not a mean over many as those with "
        f"added error are, and an extrapolation gives it a weight of {weights}. Chance in who lies beside a limit so "
        "moves the extrapolated ratio of categories in either direction, which is why it is not in the summary; the "
        "ratio per unit does not have this."
    )


def _lines(view: View, declared: Simex, followed: Sequence[str]) -> Iterator[Line]:
    """The ratio per unit; that of categories rests on one cut of the people and is left to the table."""
    first = declared.extrapolants[0]
    rows = [r for e in followed for r in view.rows(declared.id, exposure=e, stratum=f"per unit, {first}")]
    if rows:
        what = f"SIMEX, {first} extrapolation, linear exposure ({pers(view, declared, followed)})"
        yield Line(what if declared.noise == "normal" else f"{what}, empirical noise", tuple(rows))


def _simex_sentences(view: View, declared: Simex, followed: Sequence[str]) -> Iterator[Sentence]:
    first = declared.extrapolants[0]
    for exposure in followed:
        for form in ("categories", "per unit"):
            level = view.headline(exposure) if form == "categories" else ""
            naive = one_of(view.rows(declared.id, exposure=exposure, stratum=f"{form}, {MEASURED}", level=level))
            made = one_of(view.rows(declared.id, exposure=exposure, stratum=f"{form}, {first}", level=level))
            error = one_of(
                view.rows(
                    declared.id,
                    exposure=exposure,
                    stratum=f"{form}, {first}",
                    level=level,
                    estimand="monte_carlo_error",
                )
            )
            if naive is None or made is None or error is None:
                continue
            facts = {
                "exposure": words(view.label(exposure)),
                "naive": ratio_of(naive),
                "made": ratio_of(made),
                "first": words(first),
                "error": number_of(error, "estimate", "fixed3"),
            }
            found = (
                "was {naive} as measured and {made} extrapolated to no error ({first} function; standard error of its "
                "logarithm by the finite number of fits {error})."
            )
            if level:
                of = words(view.category(exposure, level))
                yield sentence("{exposure}: the ratio of {of} " + found, of=of, **facts)
            else:
                template = "{exposure}: the ratio per {unit} {of} " + found
                yield sentence(template, **per_facts(view, declared.id, exposure), **facts)


def _simex_table(view: View, declared: Simex, followed: Sequence[str]) -> Iterator[Table]:
    rows: list[Row] = []
    columns = (MEASURED, *declared.extrapolants)
    for exposure in followed:
        rows.append(Row(cells=(view.label(exposure),), kind="heading"))
        wanted = [("categories", level) for level in view.levels(exposure)] if "categories" in declared.forms else []
        wanted += [("per unit", "")] if "per_unit" in declared.forms else []
        for form, level in wanted:
            cells = [
                view.cell(one_of(view.rows(declared.id, exposure=exposure, stratum=f"{form}, {name}", level=level)))
                for name in columns
            ]
            rows.append(Row(cells=(level or capitalised(per_words(view, declared.id, exposure)), *cells), indent=1))
    if any(row.kind == "data" for row in rows):
        yield Table(
            id=declared.id,
            title=declared.title,
            header=(
                Head("Ratio", words=True),
                Head("As measured"),
                *(Head(f"No error, {name}") for name in declared.extrapolants),
            ),
            rows=tuple(rows),
            notes=(
                f"Adjusted ratios with {100 * view.study.settings.conf_level:g}% limits; a dash where a function "
                "cannot be extrapolated that far.",
            ),
        )


def _simex_drawings(view: View, declared: Simex, followed: Sequence[str]) -> Iterator[Drawing]:
    panels = [p for e in followed for p in _extrapolation_panels(view, declared, e)]
    if panels:
        caption = (
            "Mean adjusted ratios (dots) by the size of the error in the exposure, from its own on; curves are the "
            "functions that were fitted to them and read off at no error."
        )
        yield Drawing(
            f"figure_{declared.id}",
            declared.title,
            caption,
            panel_figure(panels, simulated=view.simulated, width=view.width),
        )
    if declared.curve:
        caption = (
            f"Adjusted ratios along a restricted cubic spline with {100 * view.study.settings.conf_level:g}% limits, "
            "of the exposure as measured and extrapolated to no error."
        )
        first = declared.extrapolants[0]
        items = {MEASURED: "as measured", first: f"no error, {first}"}
        curves = curve_panels(view, declared.id, followed, items)
        if curves:
            yield Drawing(
                f"figure_{declared.id}_curve",
                f"{declared.title}: curves",
                caption,
                panel_figure(curves, simulated=view.simulated, width=view.width),
            )


def _extrapolation_panels(view: View, declared: Simex, exposure: str) -> Iterator[Panel]:
    for form in ("categories", "per unit"):
        level = view.headline(exposure) if form == "categories" else ""
        points = [p for p in view.points(declared.id, form, exposure=exposure) if p.level == level]
        if not points:
            continue
        marks = []
        for item in dict.fromkeys(p.item for p in points):
            these = [p for p in points if p.item == item]
            x, y = [p.x for p in these], [p.y for p in these]
            if item == "mean":
                marks.append(Mark(kind="dots", x=x, y=y, label="mean of the fits", colour=0))
            else:
                marks.append(Mark(kind="line", x=x, y=y, label=item, colour=EXTRAPOLANTS[item]))
        of = view.category(exposure, level) if level else per_words(view, declared.id, exposure)
        yield Panel(
            title=f"{view.label(exposure)}: {of}",
            x_label="Variance of the error (its own is 1)",
            y_label="Adjusted ratio",
            marks=marks,
            vertical=[(0.0, "none"), (1.0, "as measured")],
            log_y=True,
        )
