"""Probabilistic bias analyses: what was assumed, medians and simulation limits, and their distributions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from walkrisk.accounts.account import Account, Drawing, Line, View
from walkrisk.accounts.confounding_words import CONFOUNDER_ALIKE, GROUP, followed, taken_for_risk_ratios
from walkrisk.accounts.facts import Sentence, number_of, ratio_of, sentence, setting, words
from walkrisk.estimates.disclosure import RATIOS
from walkrisk.estimates.results import Point
from walkrisk.estimates.rows import Estimate
from walkrisk.figures.panels import Mark, Panel, panel_figure
from walkrisk.studies.confounding import ProbabilisticConfounder, ProbabilisticSelection
from walkrisk.studies.priors import DeclaredPrior
from walkrisk.tables.table import Head, Row, Table

SYSTEMATIC, ON_RECORDS = "_systematic", "_records"
KINDS = (
    (SYSTEMATIC, "Estimates: systematic error"),
    ("", "Estimates: systematic and random error"),
    (f"{ON_RECORDS}{SYSTEMATIC}", "Records: systematic error"),
    (ON_RECORDS, "Records: systematic and random error"),
)
SELECTION_ALIKE = (
    "This takes the probability to be among those analysed to depend on the category of the exposure and on the "
    "outcome alone, not on covariates or anything else."
)
Declared = ProbabilisticConfounder | ProbabilisticSelection


def probabilistic_account(view: View, declared: Declared) -> Account:
    """One probabilistic bias analysis."""
    exposures = [e for e in followed(view, declared.exposures) if _row(view, declared, e, "")]
    panels = [p for e in exposures if (p := _panel(view, declared, e)) is not None]
    caption = (
        "Densities of the corrected ratio on the log scale: of the bias alone (systematic error), and with random "
        "error of the estimate added; on the records, of refits of the model."
    )
    figures: tuple[Drawing, ...] = ()
    if panels:
        figure = panel_figure(panels, columns=min(2, len(panels)), simulated=view.simulated, width=view.width)
        figures = (Drawing(f"{declared.id}_figure", declared.title, caption, figure),)
    return Account(
        id=declared.id,
        title=declared.title,
        group=_group(declared),
        methods=tuple(_methods(view, declared)),
        sentences=tuple(s for e in exposures for s in _sentences(view, declared, e)),
        tables=(_table(view, declared, exposures),) if exposures else (),
        drawings=figures,
        lines=tuple(_lines(view, declared, exposures)),
    )


def _group(declared: Declared) -> str:
    return GROUP if isinstance(declared, ProbabilisticConfounder) else "Selection"


def _method(declared: Declared) -> str:
    return "probabilistic_confounder" if isinstance(declared, ProbabilisticConfounder) else "probabilistic_selection"


def _methods(view: View, declared: Declared) -> Iterator[str]:
    level = view.study.settings.conf_level
    low, high = f"{100 * (1 - level) / 2:g}", f"{100 * (1 + level) / 2:g}"
    if isinstance(declared, ProbabilisticConfounder):
        yield (
            "A binary confounder that was not measured was described by priors. Its ratio with the outcome: "
            f"{declared.association.words()}. Its prevalence: {_priors(declared.prevalence)}."
        )
        assumed = CONFOUNDER_ALIKE
        how = (
            "For each draw the adjusted ratios were divided by the bias it stands for (systematic error), and a normal "
            "deviate with the covariance of the adjusted log ratios was added (random error)."
        )
        records = (
            f"In {declared.refits} draws everyone was also given the confounder at random, by Bayes' rule from "
            "category, outcome and fitted risk; the model was fitted again with it, and a normal deviate of that fit's "
            "own covariance added (Fox, MacLehose and Lash, 2021)."
        )
    else:
        yield (
            "The probability to be among those analysed was described by priors. With the outcome: "
            f"{_priors(declared.with_outcome)}. Without it: {_priors(declared.without_outcome)}."
        )
        assumed = SELECTION_ALIKE
        how = (
            "For each draw the adjusted ratios were divided by the factor by which selection changes the ratio of the "
            "categories' risks (systematic error), and a normal deviate with the covariance of the adjusted log ratios "
            "was added (random error)."
        )
        records = (
            f"In {declared.refits} draws everyone was also weighted by the inverse of the probability; the model was "
            "fitted again, and a normal deviate of that fit's own covariance added."
        )
    if declared.correlation:
        yield f"The priors of all categories were correlated at {declared.correlation:g} (their normal scores)."
    yield f"{how} There were {declared.draws} draws; limits are the {low}th and {high}th percentiles of the ratios."
    yield assumed
    if declared.refits:
        yield records
    yield from taken_for_risk_ratios(view)


def _priors(priors: Mapping[str, DeclaredPrior]) -> str:
    return "; ".join(f"{level} {prior.words()}" for level, prior in priors.items())


def _row(view: View, declared: Declared, exposure: str, kind: str, level: str | None = None) -> Estimate | None:
    level = view.headline(exposure) if level is None else level
    method = f"{_method(declared)}{kind}"
    found = view.rows(declared.id, exposure=exposure, level=level, estimand=RATIOS)
    return next((e for e in found if e.method == method and e.estimate is not None), None)


def _sentences(view: View, declared: Declared, exposure: str) -> Iterator[Sentence]:
    level = view.headline(exposure)
    total, systematic = _row(view, declared, exposure, ""), _row(view, declared, exposure, SYSTEMATIC)
    assert total is not None
    names = {"exposure": words(view.label(exposure)), "level": words(view.category(exposure, level))}
    if systematic is not None:
        yield sentence(
            "{exposure}, {level}: against {main} in the main analysis, the median of the corrected ratio was "
            "{total} ({conf}% simulation limits), and {systematic} with systematic error alone.",
            **names,
            main=ratio_of(view.main(exposure, level)),
            total=ratio_of(total),
            systematic=ratio_of(systematic),
            conf=setting(100 * view.study.settings.conf_level),
        )
    errors = {p.item: p for p in view.points(declared.id, "monte_carlo_error", exposure=exposure) if p.level == level}
    if (error := errors.get(_method(declared))) is not None:
        yield sentence(
            "{exposure}, {level}: the Monte Carlo standard errors of that median and of its limits were {median}, "
            "{low} and {high}.",
            **names,
            median=number_of(error, "y", "fixed3"),
            low=number_of(error, "low", "fixed3"),
            high=number_of(error, "high", "fixed3"),
        )
    records = _row(view, declared, exposure, ON_RECORDS)
    if records is not None:
        error = errors.get(f"{_method(declared)}{ON_RECORDS}")
        assert error is not None
        yield sentence(
            "{exposure}, {level}: on the records it was {records} (Monte Carlo standard errors {median}, {low} and "
            "{high}).",
            **names,
            records=ratio_of(records),
            median=number_of(error, "y", "fixed3"),
            low=number_of(error, "low", "fixed3"),
            high=number_of(error, "high", "fixed3"),
        )
    yield from _impossible(view, declared, exposure)


def _impossible(view: View, declared: Declared, exposure: str) -> Iterator[Sentence]:
    rows = view.rows(declared.id, exposure=exposure, estimand="impossible_draws")
    row = next((e for e in rows if e.method == _method(declared)), None)
    if row is None or not row.estimate:
        return
    yield sentence(
        "{exposure}: {impossible} of {draws} draws contradict the data, as they would need a risk above that of "
        "certainty or a probability of zero, and were set aside.",
        exposure=words(view.label(exposure)),
        impossible=number_of(row, "estimate", "count"),
        draws=number_of(row, "n", "count"),
    )


def _lines(view: View, declared: Declared, exposures: Sequence[str]) -> Iterator[Line]:
    for kind, suffix in (("", ""), (ON_RECORDS, ", on the records")):
        rows = [
            row
            for e in exposures
            for level in view.levels(e)
            if (row := _row(view, declared, e, kind, level)) is not None
        ]
        if rows:
            yield Line(f"{declared.title}{suffix}", tuple(rows))


def _table(view: View, declared: Declared, exposures: Sequence[str]) -> Table:
    kinds = [k for k in KINDS if any(_row(view, declared, e, k[0], v) for e in exposures for v in view.levels(e))]
    rows: list[Row] = []
    for exposure in exposures:
        rows.append(Row(cells=(view.label(exposure),), kind="heading"))
        for level in view.levels(exposure):
            found = [view.main(exposure, level), *(_row(view, declared, exposure, k, level) for k, _ in kinds)]
            rows.append(Row(cells=(view.category(exposure, level), *map(view.cell, found)), indent=1))
    level = f"{100 * view.study.settings.conf_level:g}%"
    return Table(
        id=f"{declared.id}_table",
        title=declared.title,
        header=(Head("Category"), Head("Main analysis"), *(Head(text) for _, text in kinds)),
        rows=tuple(rows),
        notes=(f"Main analysis with its {level} interval; otherwise medians with {level} simulation limits.",),
    )


def _panel(view: View, declared: Declared, exposure: str) -> Panel | None:
    level = view.headline(exposure)
    points = [p for p in view.points(declared.id, "density", exposure=exposure) if p.level == level]
    marks = list(_marks(declared, points))
    if not marks:
        return None
    main = view.main(exposure, level).estimate
    return Panel(
        title=f"{view.label(exposure)}: {view.category(exposure, level)}",
        x_label="Corrected ratio",
        y_label="Density of the log ratio",
        marks=marks,
        vertical=[(1.0, ""), *([(main, "main analysis")] if main is not None else [])],
        log_x=True,
        y_limits=(0.0, 1.18 * max(p.y or 0.0 for p in points)),
    )


def _marks(declared: Declared, points: Sequence[Point]) -> Iterator[Mark]:
    for colour, (kind, label) in enumerate(KINDS):
        if kind == f"{ON_RECORDS}{SYSTEMATIC}":
            continue
        mine = [p for p in points if p.item == f"{_method(declared)}{kind}"]
        if mine:
            yield Mark(kind="line", x=[p.x for p in mine], y=[p.y for p in mine], label=label, colour=colour)
