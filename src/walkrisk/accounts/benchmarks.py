"""Measured covariates as a yardstick, and contours with these covariates marked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from walkrisk.accounts.account import Account, Drawing, Line, View
from walkrisk.accounts.confounding_words import BIAS_FACTOR, GROUP, conversion, followed, name_of
from walkrisk.accounts.facts import Sentence, derived, number_of, ratio_of, sentence, words
from walkrisk.estimates.disclosure import RATIOS
from walkrisk.estimates.numbers import fixed
from walkrisk.estimates.rows import Estimate
from walkrisk.figures.contours import ContourLine, ContourPanel, Kind, Marked, contour_figure
from walkrisk.figures.forest import ForestCell, ForestRow, forest_figure
from walkrisk.studies.confounding import Benchmarks, Contours
from walkrisk.tables.cells import ABSENT
from walkrisk.tables.table import Head, Row, Table

OBSERVED = (
    "Each measured covariate, and each declared group of them, was left out of the main model on the same people. Its "
    "observed-covariate E-value is the E-value of the factor by which that moved the ratio (D'Agostino McGowan and "
    "Greevy, 2020); its bias factor is ab/(a + b - 1), a its largest prevalence ratio between the category and the "
    "reference, b the largest ratio of the outcome between two of its categories in the main model."
)
CRUDE = (
    "The associations of measured covariates with the exposure are crude: those of each covariate by itself, without "
    "the others. A covariate that is in the model already may therefore lie beyond a line."
)

KINDS: Mapping[str, Kind] = {"contour": "contour", "contour_estimate": "estimate", "contour_limit": "limit"}


def benchmark_account(view: View, declared: Benchmarks) -> Account:
    """What leaving out each measured covariate does."""
    exposures = followed(view, declared.exposures)
    strata = _strata(view, declared.id)
    cut = f"Continuous covariates were cut into {declared.parts} groups of equal size for their associations."
    most = [row for e in exposures if (row := _most_moving(view, declared.id, e)) is not None]
    return Account(
        id=declared.id,
        title=declared.title,
        group=GROUP,
        methods=(OBSERVED, cut, *conversion(view, declared.rare)),
        sentences=tuple(s for e in exposures for s in _sentences(view, declared, e)),
        tables=tuple(_table(view, declared, e, strata) for e in exposures),
        drawings=(_forest(view, declared, exposures, strata),) if strata else (),
        lines=(Line("Without the measured covariates that move the ratio most", tuple(most)),) if most else (),
    )


def _strata(view: View, id_: str) -> list[str]:
    """What was left out, in the order of the rows."""
    return list(dict.fromkeys(e.stratum for e in view.results.estimates if e.analysis == id_ and e.stratum))


def _called(view: View, declared: Benchmarks | None, stratum: str) -> str:
    if declared is not None and stratum in declared.groups:
        parts = ", ".join(name_of(view, c) for c in declared.groups[stratum])
        return f"{stratum.replace('_', ' ').capitalize()} ({parts})"
    return name_of(view, stratum)


def _row(view: View, id_: str, exposure: str, stratum: str, estimand: str | Sequence[str] = RATIOS) -> Estimate | None:
    level = view.headline(exposure)
    found = view.rows(id_, exposure=exposure, level=level, stratum=stratum, estimand=estimand)
    return next((e for e in found if e.estimate is not None), None)


def _most_moving(view: View, id_: str, exposure: str) -> Estimate | None:
    """The ratio without what moves it most when left out."""
    shifts = [s for x in _strata(view, id_) if (s := _row(view, id_, exposure, x, "log_ratio_shift")) is not None]
    top = max(shifts, key=lambda s: abs(s.estimate or 0.0), default=None)
    return None if top is None else _row(view, id_, exposure, top.stratum)


def _sentences(view: View, declared: Benchmarks, exposure: str) -> Iterator[Sentence]:
    less = _most_moving(view, declared.id, exposure)
    if less is None:
        return
    level = view.headline(exposure)
    observed = _row(view, declared.id, exposure, less.stratum, "observed_e_value")
    if observed is not None:
        yield sentence(
            "{exposure}, {level}: of all that was left out, {what} moved the ratio most, from {main} to {less} "
            "(observed-covariate E-value {e}).",
            exposure=words(view.label(exposure)),
            level=words(view.category(exposure, level)),
            what=words(_called(view, declared, less.stratum)),
            main=ratio_of(view.main(exposure, level)),
            less=ratio_of(less),
            e=number_of(observed, "estimate", "fixed2"),
        )
    rows = (_row(view, declared.id, exposure, x, "bias_factor") for x in _strata(view, declared.id))
    factors = [f for f in rows if f is not None and f.estimate is not None]
    top = max(factors, key=lambda f: f.estimate or 0.0, default=None)
    if top is None:
        return
    a = _row(view, declared.id, exposure, top.stratum, "exposure_association")
    b = _row(view, declared.id, exposure, top.stratum, "outcome_association")
    if a is not None and b is not None:
        yield sentence(
            "{exposure}, {level}: by their own associations {what} had the largest bias factor, {factor} (ratio with "
            "exposure {a}, with outcome {b}).",
            exposure=words(view.label(exposure)),
            level=words(view.category(exposure, level)),
            what=words(_called(view, declared, top.stratum)),
            factor=number_of(top, "estimate", "fixed2"),
            a=number_of(a, "estimate", "fixed2"),
            b=number_of(b, "estimate", "fixed2"),
        )


def _table(view: View, declared: Benchmarks, exposure: str, strata: Sequence[str]) -> Table:
    level = view.headline(exposure)
    main = view.main(exposure, level)
    full = view.cell(main)
    rows = [Row(cells=("With all covariates", full, *[ABSENT] * 6))]
    for stratum in strata:
        less = _row(view, declared.id, exposure, stratum)
        shown = view.cell(less)
        numbers = [_row(view, declared.id, exposure, stratum, k) for k, _ in _COLUMNS]
        texts = [
            ABSENT if e is None else fixed(e.estimate, places) for e, (_, places) in zip(numbers, _COLUMNS, strict=True)
        ]
        rows.append(Row(cells=(_called(view, declared, stratum), shown, *texts), indent=1))
    return Table(
        id=f"{declared.id}_{exposure}",
        title=f"{declared.title}: {view.label(exposure)}, {view.category(exposure, level)}",
        header=(
            Head("Left out"),
            Head("Ratio without it"),
            Head("Shift of the log ratio"),
            Head("Observed-covariate E-value", parts=(Head("ratio"), Head("limit"))),
            Head("Own associations", parts=(Head("exposure"), Head("outcome"), Head("bias factor"))),
        ),
        rows=tuple(rows),
        notes=(
            "The E-value of the limit is given where the interval with all covariates leaves no association out. "
            "Associations are of single covariates, so groups have none.",
        ),
    )


_COLUMNS = (
    ("log_ratio_shift", 3),
    ("observed_e_value", 2),
    ("observed_e_value_ci", 2),
    ("exposure_association", 2),
    ("outcome_association", 2),
    ("bias_factor", 2),
)


def _forest(view: View, declared: Benchmarks, exposures: Sequence[str], strata: Sequence[str]) -> Drawing:
    mains = tuple(_cell(view, view.main(e, view.headline(e))) for e in exposures)
    rows = [ForestRow(label="With all covariates", cells=mains)]
    for stratum in strata:
        cells = tuple(_cell(view, _row(view, declared.id, e, stratum)) for e in exposures)
        rows.append(ForestRow(label=f"Without {_called(view, declared, stratum)}", cells=cells))
    panels = [f"{view.label(e)}: {view.category(e, view.headline(e))}" for e in exposures]
    figure = forest_figure(rows, panels=panels, simulated=view.simulated, width=view.width, label_header="")
    caption = "Ratios of the main model, and of the same model on the same people without the covariates named."
    return Drawing(f"{declared.id}_forest", declared.title, caption, figure)


def _cell(view: View, e: Estimate | None) -> ForestCell | None:
    if e is None or e.estimate is None:
        return None
    text = view.rounding.interval(e.estimate, e.conf_low, e.conf_high)
    return ForestCell(estimate=e.estimate, conf_low=e.conf_low, conf_high=e.conf_high, text=text)


# ---------------------------------------------------------------- contours


def contour_account(view: View, declared: Contours) -> Account:
    """The adjusted ratio over all strengths of a confounder."""
    exposures = [e for e in followed(view, declared.exposures) if view.points(declared.id, "end", exposure=e)]
    marks = declared.benchmarks or ""
    covariates = [s for s in _strata(view, marks) if s and _associated(view, marks, s)]
    panels = [_contour_panel(view, declared, e, covariates) for e in exposures]
    drawings: tuple[Drawing, ...] = ()
    if panels:
        lines: list[tuple[Kind, str]] = [
            ("contour", "adjusted ratio, as written on the line"),
            ("estimate", "the estimate comes to 1"),
        ]
        if any(line.kind == "limit" for p in panels for line in p.lines):
            lines.append(("limit", "the limit of its interval comes to 1"))
        figure = contour_figure(
            panels,
            x_label="Ratio of confounder and exposure",
            y_label="Ratio of confounder and outcome",
            key=[name_of(view, c) for c in covariates],
            lines=lines,
            simulated=view.simulated,
            width=view.width,
        )
        drawings = (Drawing(f"{declared.id}_figure", declared.title, _caption(view, panels, covariates), figure),)
    return Account(
        id=declared.id,
        title=declared.title,
        group=GROUP,
        methods=(BIAS_FACTOR, *((CRUDE,) if covariates else ()), *conversion(view, declared.rare)),
        sentences=tuple(s for e in exposures for s in _contour_sentences(view, declared, e, covariates)),
        tables=(_contour_table(view, declared, exposures),) if exposures else (),
        drawings=drawings,
    )


def _contour_table(view: View, declared: Contours, exposures: Sequence[str]) -> Table:
    """The bias factor of each line, and the size of both ratios that has it."""
    names = {"estimate": "1 (the estimate)", "limit": "1 (the limit of its interval)"}
    rows: list[Row] = []
    for exposure in exposures:
        rows.append(
            Row(cells=(f"{view.label(exposure)}: {view.category(exposure, view.headline(exposure))}",), kind="heading")
        )
        for p in view.points(declared.id, "equal", exposure=exposure):
            moved = names[p.item] if p.item in names else view.rounding.ratio(float(p.item))
            rows.append(Row(cells=(moved, fixed(p.y, 2), fixed(p.x, 2)), indent=1))
    return Table(
        id=f"{declared.id}_table",
        title=declared.title,
        header=(Head("Moved to"), Head("Bias factor"), Head("Both ratios, if equal")),
        rows=tuple(rows),
        notes=("The size of both ratios, if they are equal, is the E-value for moving the ratio to that number.",),
    )


def _associated(view: View, id_: str, stratum: str) -> bool:
    return bool(view.rows(id_, stratum=stratum, estimand="exposure_association"))


def _caption(view: View, panels: Sequence[ContourPanel], covariates: Sequence[str]) -> str:
    text = (
        "On each line a confounder with these two ratios moves the ratio, at most, to the number on the line; above "
        "and to the right of the line where the estimate comes to 1 it could explain the estimate away."
    )
    if covariates:
        text += " Dots are measured covariates, by their own largest ratios with exposure and outcome."
    beyond = [name_of(view, covariates[m.number - 1]) for p in panels for m in p.marks if max(m.x, m.y) > p.largest]
    if beyond:
        text += f" Outside the axes: {', '.join(dict.fromkeys(beyond))}."
    return text


def _contour_panel(view: View, declared: Contours, exposure: str, covariates: Sequence[str]) -> ContourPanel:
    points = view.points(declared.id, exposure=exposure)
    largest = next(p.x for p in points if p.series == "end") or 1.0
    lines = []
    for series, item in dict.fromkeys((p.series, p.item) for p in points if p.series in KINDS):
        mine = [p for p in points if (p.series, p.item) == (series, item)]
        lines.append(
            ContourLine(
                kind=KINDS[series],
                x=[p.x or 1.0 for p in mine],
                y=[p.y or 1.0 for p in mine],
                label=view.rounding.ratio(float(item)) if series == "contour" else "",
            )
        )
    level = view.headline(exposure)
    return ContourPanel(
        title=f"{view.label(exposure)}: {view.category(exposure, level)}",
        lines=lines,
        marks=list(_marks(view, declared, exposure, covariates)),
        largest=largest,
    )


def _marks(view: View, declared: Contours, exposure: str, covariates: Sequence[str]) -> Iterator[Marked]:
    for number, covariate in enumerate(covariates, start=1):
        a = _row(view, declared.benchmarks or "", exposure, covariate, "exposure_association")
        b = _row(view, declared.benchmarks or "", exposure, covariate, "outcome_association")
        if a is not None and b is not None:
            yield Marked(number=number, x=a.estimate or 1.0, y=b.estimate or 1.0)


def _contour_sentences(view: View, declared: Contours, exposure: str, covariates: Sequence[str]) -> Iterator[Sentence]:
    level = view.headline(exposure)
    main = view.main(exposure, level)
    equal = {p.item: p for p in view.points(declared.id, "equal", exposure=exposure)}
    if (needed_by := equal.get("estimate")) is not None:
        yield sentence(
            "{exposure}, {level}: a confounder with a ratio of {size} with both exposure and outcome has the bias "
            "factor {factor}, which moves the estimate to no association.",
            exposure=words(view.label(exposure)),
            level=words(view.category(exposure, level)),
            size=number_of(needed_by, "x", "fixed2"),
            factor=number_of(needed_by, "y", "fixed2"),
        )
    factors = [f for c in covariates if (f := _row(view, declared.benchmarks or "", exposure, c, "bias_factor"))]
    if main.estimate is None or not factors or main.estimand != "risk_ratio":
        return
    names = {"exposure": words(view.label(exposure)), "level": words(view.category(exposure, level))}
    needed = max(main.estimate, 1 / main.estimate)
    yield sentence(
        "{exposure}, {level}: {beyond} of {k} measured covariates lay beyond the line at which the estimate comes to "
        "no association.",
        **names,
        beyond=derived(sum((f.estimate or 0.0) >= needed for f in factors)),
        k=derived(len(factors)),
    )
    near = main.conf_low if main.estimate > 1 else main.conf_high
    if near is not None and near > 0 and (near > 1) == (main.estimate > 1):
        needed = max(near, 1 / near)
        yield sentence(
            "{exposure}, {level}: {beyond} of {k} lay beyond the line at which the limit of its interval does.",
            **names,
            beyond=derived(sum((f.estimate or 0.0) >= needed for f in factors)),
            k=derived(len(factors)),
        )
