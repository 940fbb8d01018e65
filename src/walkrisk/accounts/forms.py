"""What the same contrast is by other methods, on the difference scale, and with the exposure as a number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from walkrisk.accounts.account import Account, Drawing, Line, View
from walkrisk.accounts.facts import (
    Fact,
    Form,
    Sentence,
    count_of,
    derived,
    number_of,
    ratio_of,
    sentence,
    setting,
    words,
)
from walkrisk.accounts.robustness import GROUP
from walkrisk.accounts.selection import cell, shown
from walkrisk.estimates.disclosure import RATIOS
from walkrisk.estimates.numbers import fixed
from walkrisk.estimates.rows import Estimate
from walkrisk.figures.forest import ForestRow, forest_figure
from walkrisk.studies.robustness import CHANGES, OtherForms
from walkrisk.tables.cells import ABSENT, difference
from walkrisk.tables.ratios import SHORT
from walkrisk.tables.risks import METHOD_LABELS
from walkrisk.tables.table import Head, Row, Table

LABELS = {**METHOD_LABELS, "cox": "Cox"}


def accounts(view: View) -> Iterator[Account]:
    """The declared accounts of other methods and scales."""
    for declared in view.study.sensitivity.other_forms:
        yield _forms(view, declared)


def _forms(view: View, declared: OtherForms) -> Account:
    exposures = declared.exposures or view.followed
    methods = ["The main contrast was estimated by other methods with the same people and covariates."]
    if any(m in ("logistic", "firth_logistic", "cox") for m in declared.methods):
        methods.append("Odds and hazard ratios answer another question than risk ratios, and are named as such.")
    if declared.changes:
        methods.append(
            "The exposure also entered as a number: per unit of the study where it has one, per standard deviation, "
            "per standard deviation with values above a high percentile set to it, and per doubling (not where the "
            "99th percentile is less than twice the 1st, as nobody between them is a doubling from another); a ratio "
            "per unit takes the log risk to be linear in the exposure (in its logarithm for a doubling)."
        )
    return Account(
        id=declared.id,
        title=declared.title,
        group=GROUP,
        methods=tuple(methods),
        sentences=tuple(s for e in exposures for s in _sentences(view, declared, e)),
        tables=(_table(view, declared, exposures),),
        drawings=(_drawing(view, declared, exposures),),
        lines=tuple(_lines(view, declared)),
    )


def _by_method(view: View, declared: OtherForms, exposure: str) -> dict[str, list[Estimate]]:
    """Ratio rows of an exposure by method, those of the comparison where one is named."""
    if declared.comparison:
        rows = [
            e
            for e in view.results.estimates
            if e.analysis == declared.comparison and e.exposure == exposure and e.estimand in RATIOS
        ]
        return {m: [e for e in rows if e.method == m] for m in dict.fromkeys(e.method for e in rows)}
    rows = [e for e in view.rows(declared.id, exposure=exposure) if e.stratum not in CHANGES]
    return {m: [e for e in rows if e.stratum == m] for m in dict.fromkeys(e.stratum for e in rows)}


def _named(method: str, rows: Sequence[Estimate]) -> str:
    kind = rows[0].estimand if rows else "risk_ratio"
    label = LABELS.get(method.removeprefix("auto_"), method)
    return label if kind == "risk_ratio" else f"{label} ({SHORT[kind]})"


def _at(rows: Sequence[Estimate], level: str) -> Estimate | None:
    return next((e for e in rows if e.level == level), None)


def _lines(view: View, declared: OtherForms) -> Iterator[Line]:
    """A line for each method of risk ratios but that of the main analysis."""
    found: dict[str, list[Estimate]] = {}
    for exposure in declared.exposures or view.followed:
        for method, rows in _by_method(view, declared, exposure).items():
            if (
                rows
                and method != _own(view)
                and rows[0].estimand == view.main(exposure, view.headline(exposure)).estimand
            ):
                found.setdefault(method, []).extend(rows)
    for method, rows in found.items():
        yield Line(f"Method: {_named(method, rows)}", tuple(rows))


def _own(view: View) -> str:
    """The method of the main analysis."""
    return view.analysis.method or view.study.settings.method


# ---------------------------------------------------------------- sentences


def _sentences(view: View, declared: OtherForms, exposure: str) -> Iterator[Sentence]:
    level = view.headline(exposure)
    main = view.main(exposure, level)
    found = [
        (_named(m, rows), row)
        for m, rows in _by_method(view, declared, exposure).items()
        if m != _own(view)
        and (row := _at(rows, level)) is not None
        and row.estimate is not None
        and row.estimand == main.estimand
    ]
    found.sort(key=lambda pair: pair[1].estimate or 0.0)
    if len(found) == 1:
        yield sentence(
            "{exposure}: by another method ({method}) the ratio of {level} was {other}, against {main}.",
            exposure=words(view.label(exposure)),
            method=words(found[0][0]),
            level=words(view.category(exposure, level)),
            other=ratio_of(found[0][1]),
            main=ratio_of(main),
        )
    elif found:
        yield sentence(
            "{exposure}: by {k} other methods the ratio of {level} lay between {smallest} ({low}) and {largest} "
            "({high}), against {main}.",
            exposure=words(view.label(exposure)),
            k=derived(len(found)),
            level=words(view.category(exposure, level)),
            smallest=ratio_of(found[0][1]),
            low=words(found[0][0]),
            largest=ratio_of(found[-1][1]),
            high=words(found[-1][0]),
            main=ratio_of(main),
        )
    for row in view.rows(declared.id, exposure=exposure, level=level, estimand="risk_difference"):
        if row.estimate is not None and row.conf_low is not None:
            yield sentence(
                "{exposure}: the risk difference of {level} was {value} ({low} to {high}; method: {method}).",
                exposure=words(view.label(exposure)),
                level=words(view.category(exposure, level)),
                method=words(LABELS.get(row.stratum, row.stratum)),
                value=number_of(row, "estimate", "percent1"),
                low=number_of(row, "conf_low", "percent1"),
                high=number_of(row, "conf_high", "percent1"),
            )
    yield from _as_number(view, declared, exposure)


def _as_number(view: View, declared: OtherForms, exposure: str) -> Iterator[Sentence]:
    units = {p.item: p for p in view.points(declared.id, "unit", exposure=exposure)}
    told: list[str] = []
    facts: dict[str, Fact] = {}
    for change in CHANGES:
        row = next((e for e in view.rows(declared.id, exposure=exposure, stratum=change)), None)
        if row is None or row.estimate is None:
            continue
        facts[change] = ratio_of(row)
        if change == "unit":
            told.append("{unit} per {step} {unit_name}")
            facts |= {
                "step": setting(units[change].y or 1.0),
                "unit_name": _unit(view, exposure),
            }
        elif change == "sd":
            told.append("{sd} per standard deviation ({size} {sd_name})")
            facts |= {
                "size": number_of(units[change], "y", _decimals(units[change].y)),
                "sd_name": _unit(view, exposure),
            }
        elif change == "winsorised_sd":
            told.append(
                "{winsorised_sd} per standard deviation with values above the {percentile}th percentile set to it"
            )
            facts["percentile"] = setting(declared.winsorise_percentile)
        else:
            told.append("{doubling} per doubling")
    if told:
        yield sentence(
            "{exposure} as a number: the ratio was " + "; ".join(told) + ".",
            exposure=words(view.label(exposure)),
            **facts,
        )
    for p in view.points(declared.id, "left_out", exposure=exposure):
        if p.n:
            yield sentence(
                "{exposure}: {k} people with a value of zero or less have no logarithm and are left out of the ratio "
                "per doubling.",
                exposure=words(view.label(exposure)),
                k=count_of(p, "n", view.guard.min_cell),
            )


def _unit(view: View, exposure: str) -> Fact:
    return words(view.exposures[exposure].unit or "units")


def _decimals(value: float | None) -> Form:
    size = abs(value or 0.0)
    return "fixed0" if size >= 100 else "fixed1" if size >= 10 else "fixed2"


# ---------------------------------------------------------------- table and forest


def _labels(view: View, declared: OtherForms, exposure: str) -> dict[str, str]:
    """What a change of an exposure is called."""
    points = {p.item: p.y for p in view.points(declared.id, "unit", exposure=exposure)}
    unit = view.exposures[exposure].unit

    return {
        "unit": f"Per {points.get('unit') or 1.0:g} {unit}".strip(),
        "sd": f"Per SD ({fixed(points.get('sd'), int(_decimals(points.get('sd'))[-1]))} {unit})".replace(" )", ")"),
        "winsorised_sd": f"Per SD, values capped at percentile {declared.winsorise_percentile:g}",
        "doubling": "Per doubling",
    }


def _table(view: View, declared: OtherForms, exposures: Sequence[str]) -> Table:
    rows: list[Row] = []
    for exposure in exposures:
        rows.append(Row(kind="heading", cells=(view.label(exposure),)))
        level = view.headline(exposure)
        rows.append(
            Row(
                cells=("Main analysis", view.category(exposure, level), shown(view, view.main(exposure, level))),
                indent=1,
            )
        )
        for method, found in _by_method(view, declared, exposure).items():
            rows.append(
                Row(
                    cells=(_named(method, found), view.category(exposure, level), shown(view, _at(found, level))),
                    indent=1,
                )
            )
        for row in view.rows(declared.id, exposure=exposure, level=level, estimand="risk_difference"):
            text = difference(row, view.rounding) if row.estimate is not None else "not estimable"
            named = f"{LABELS.get(row.stratum, row.stratum)} (RD, percentage points)"
            rows.append(Row(cells=(named, view.category(exposure, level), text), indent=1))
        labels = _labels(view, declared, exposure)
        for change in CHANGES:
            for row in view.rows(declared.id, exposure=exposure, stratum=change):
                rows.append(Row(cells=(labels[change], ABSENT, shown(view, row)), indent=1))
    return Table(
        id=declared.id,
        title=declared.title,
        header=(
            Head("Method or unit", words=True),
            Head("Category", words=True),
            Head(f"Ratio ({100 * view.study.settings.conf_level:g}% CI)"),
        ),
        rows=tuple(rows),
        notes=(
            "OR, odds ratio; HR, hazard ratio; RD, risk difference; SD, standard deviation; CI, confidence interval.",
        ),
    )


def _drawing(view: View, declared: OtherForms, exposures: Sequence[str]) -> Drawing:
    methods = {m: _named(m, rows) for e in exposures for m, rows in _by_method(view, declared, e).items() if rows}
    made = [ForestRow(label="By category")]
    made.append(
        ForestRow(label="Main analysis", cells=tuple(cell(view, view.main(e, view.headline(e))) for e in exposures))
    )
    for method, name in methods.items():
        cells = tuple(
            cell(view, _at(_by_method(view, declared, e).get(method, []), view.headline(e))) for e in exposures
        )
        made.append(ForestRow(label=name, cells=cells))
    plain = {"unit": "Per unit", "sd": "Per SD", "winsorised_sd": "Per SD, capped", "doubling": "Per doubling"}
    numbers: list[ForestRow] = []
    for change in CHANGES:
        found = [next(iter(view.rows(declared.id, exposure=e, stratum=change)), None) for e in exposures]
        if any(found):
            numbers.append(ForestRow(label=plain[change], cells=tuple(cell(view, e) for e in found)))
    if numbers:
        made += [ForestRow(label="As a number"), *numbers]
    panels = [f"{view.label(e)}: {view.category(e, view.headline(e))}" for e in exposures]
    figure = forest_figure(
        made,
        panels=panels,
        simulated=view.simulated,
        width=view.width,
        text_header="Ratio (CI)",
        x_label=f"Ratio ({100 * view.study.settings.conf_level:g}% CI), log scale",
    )
    caption = "The main contrast by other methods, and the ratio of the exposure as a number; units stand in the table."
    return Drawing(f"figure_{declared.id}", declared.title, caption, figure)
