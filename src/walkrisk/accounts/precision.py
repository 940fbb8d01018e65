"""What the design at hand can tell from a ratio of 1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from walkrisk.accounts.account import Account, Drawing, View
from walkrisk.accounts.facts import Sentence, number_of, sentence, setting, words
from walkrisk.estimates.numbers import fixed
from walkrisk.estimates.rows import Estimate
from walkrisk.figures.panels import Mark, Panel, panel_figure
from walkrisk.studies.precision import Power
from walkrisk.tables.cells import ABSENT
from walkrisk.tables.table import Head, Row, Table
from walkrisk.variations.precision import CLOSED, sides, stratum_of

GROUP = "Precision"
LEAST = "minimal_detectable_ratio"


def accounts(view: View) -> Iterator[Account]:
    """The declared accounts of power."""
    for declared in view.study.sensitivity.power:
        exposures = declared.exposures or view.followed
        yield Account(
            id=declared.id,
            title=declared.title,
            group=GROUP,
            methods=_methods(view, declared),
            sentences=tuple(s for e in exposures for s in _sentences(view, declared, e)),
            tables=(_table(view, declared, exposures),),
            drawings=(_drawing(view, declared, exposures),),
        )


def _methods(view: View, declared: Power) -> tuple[str, ...]:
    between = (
        "categories between taking equal steps of the log ratio"
        if declared.pattern == "steps"
        else "the other categories being as the reference"
    )
    return (
        f"Everyone kept covariates and exposure; outcomes were drawn {declared.replicates} times for each true "
        f"ratio from the risks that the main model fits at the reference, {between}. Each simulated study was analysed "
        "by the main model, by modified Poisson regression with robust (HC0) standard errors, and detected the ratio "
        "where its interval excluded 1. The smallest detectable ratio is where a probit curve through the simulated "
        "shares reaches the power asked for, with its Monte Carlo interval; beside it stands the closed form, from "
        "the expected standard error.",
        "This is a property of the design and not of its result: power was not computed at the ratio that was "
        "estimated, which would restate its P value. People draw independently of one another; clusters and survey "
        "design add nothing here.",
    )


def _rows(view: View, declared: Power, exposure: str, estimand: str, stratum: str) -> dict[str, Estimate]:
    """Rows of one stratum: simulated and closed form."""
    rows = view.rows(declared.id, exposure=exposure, estimand=estimand, stratum=stratum)
    return {"closed" if r.method == CLOSED else "simulated": r for r in rows}


def _sentences(view: View, declared: Power, exposure: str) -> Iterator[Sentence]:
    level = view.category(exposure, view.headline(exposure))
    for _, name in sides(declared):
        for power in declared.powers:
            found = _rows(view, declared, exposure, LEAST, stratum_of(name, power))
            facts = {
                "exposure": words(view.label(exposure)),
                "level": words(level),
                "power": setting(f"{100 * power:g}%"),
                "side": words("smaller" if name == "below" else "larger"),
            }
            row, closed = found.get("simulated"), found.get("closed")
            if row is None or row.estimate is None or closed is None or closed.estimate is None:
                yield sentence(
                    "{exposure}: no ratio of {level} on the {side} side of no association is detected with power "
                    "{power}.",
                    **facts,
                )
                continue
            yield sentence(
                "{exposure}: with power {power} the design detects a ratio of {level} of {least} or {side} (Monte "
                "Carlo interval {low} to {high}; {closed} in closed form).",
                **facts,
                least=number_of(row, "estimate", "ratio"),
                low=number_of(row, "conf_low", "ratio"),
                high=number_of(row, "conf_high", "ratio"),
                closed=number_of(closed, "estimate", "ratio"),
            )
    size = _rows(view, declared, exposure, "power", stratum_of("one"))["simulated"]
    width = _rows(view, declared, exposure, "interval_ratio", stratum_of("one"))["simulated"]
    yield sentence(
        "{exposure}: with no association at all, {share} of {studies} simulated studies found one (Monte Carlo "
        "interval {low} to {high}), and the upper limit of an interval was typically {width} times its lower limit.",
        exposure=words(view.label(exposure)),
        share=number_of(size, "estimate", "percent1"),
        studies=setting(declared.replicates),
        low=number_of(size, "conf_low", "percent1"),
        high=number_of(size, "conf_high", "percent1"),
        width=number_of(width, "estimate", "fixed2"),
    )


def _table(view: View, declared: Power, exposures: Sequence[str]) -> Table:
    rows = []
    for exposure in exposures:
        rows.append(Row(kind="heading", cells=(f"{view.label(exposure)}: {_category(view, exposure)}",)))
        for _, name in sides(declared):
            for power in declared.powers:
                found = _rows(view, declared, exposure, LEAST, stratum_of(name, power))
                cells = (
                    f"Ratio {name} 1 detected with power {100 * power:g}%",
                    _simulated(view, found),
                    _closed(view, found),
                )
                rows.append(Row(cells=cells, indent=1))
        size = _rows(view, declared, exposure, "power", stratum_of("one")).get("simulated")
        rows.append(Row(cells=("Found with a true ratio of 1, %", _percent(size), _size(view)), indent=1))
        width = _rows(view, declared, exposure, "interval_ratio", stratum_of("one"))
        rows.append(
            Row(cells=("Upper over lower limit, true ratio 1", _simulated(view, width), _closed(view, width)), indent=1)
        )
    return Table(
        id=declared.id,
        title=declared.title,
        header=(Head("", words=True), Head("By simulation (Monte Carlo interval)"), Head("In closed form")),
        rows=tuple(rows),
    )


def _category(view: View, exposure: str) -> str:
    return view.category(exposure, view.headline(exposure))


def _simulated(view: View, found: dict[str, Estimate]) -> str:
    row = found.get("simulated")
    if row is None or row.estimate is None:
        return "not reached"
    return view.rounding.interval(row.estimate, row.conf_low, row.conf_high)


def _closed(view: View, found: dict[str, Estimate]) -> str:
    row = found.get("closed")
    return ABSENT if row is None or row.estimate is None else view.rounding.ratio(row.estimate)


def _percent(row: Estimate | None) -> str:
    if row is None or row.estimate is None or row.conf_low is None or row.conf_high is None:
        return ABSENT
    return f"{fixed(100 * row.estimate, 1)} ({fixed(100 * row.conf_low, 1)}-{fixed(100 * row.conf_high, 1)})"


def _size(view: View) -> str:
    return fixed(100 * (1 - view.study.settings.conf_level), 1)


def _drawing(view: View, declared: Power, exposures: Sequence[str]) -> Drawing:
    panels = []
    for exposure in exposures:
        marks = []
        for _, name in sides(declared):
            closed = [p for p in view.points(declared.id, "closed_form", exposure=exposure) if p.item == name]
            marks.append(
                Mark(kind="line", x=[p.x for p in closed], y=_scaled([p.y for p in closed]), label="Closed form")
            )
        shares = sorted(view.points(declared.id, "power", exposure=exposure), key=lambda p: p.x or 0.0)
        marks.append(
            Mark(
                kind="whiskers",
                x=[p.x for p in shares],
                y=_scaled([p.y for p in shares]),
                low=_scaled([p.low for p in shares]),
                high=_scaled([p.high for p in shares]),
                label="Simulated, with Monte Carlo interval",
                colour=1,
            )
        )
        panels.append(
            Panel(
                title=f"{view.label(exposure)}: {_category(view, exposure)}",
                x_label="True ratio, log scale",
                y_label="Power, %",
                marks=marks,
                horizontal=[(100 * p, "") for p in declared.powers],
                log_x=True,
                y_limits=(0.0, 102.0),
            )
        )
    caption = "The share of studies of this design that would tell a true ratio from 1."
    figure = panel_figure(panels, simulated=view.simulated, width=view.width)
    return Drawing(f"figure_{declared.id}", declared.title, caption, figure)


def _scaled(values: Sequence[float | None]) -> list[float | None]:
    return [None if v is None else 100 * v for v in values]
