"""What leaving out groups, restrictions and negative controls amount to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from walkrisk.accounts.account import Account, Drawing, Line, View
from walkrisk.accounts.facts import Sentence, count_of, derived, ratio_of, sentence, words
from walkrisk.estimates.rows import Estimate
from walkrisk.figures.forest import ForestCell, ForestRow, forest_figure
from walkrisk.studies.kinds import category_names
from walkrisk.studies.selection import LeaveOneOut, NegativeControl
from walkrisk.tables.categories import level_names
from walkrisk.tables.cells import ABSENT
from walkrisk.tables.table import Head, Row, Table
from walkrisk.variations.selection import WITHOUT, control_exposures

GROUP = "Selection"
VARIANTS = "Variants declared by the study"
RESTRICTIONS = "restrictions"  # the id of the account of all analyses declared as sensitivity analyses
NOT_FOUND = "not estimable"


def accounts(view: View) -> Iterator[Account]:
    """The declared accounts of selection, and one of the ratio analyses declared as sensitivity analyses."""
    declared = _restrictions(view)
    if declared is not None:
        yield declared
    for left in view.study.sensitivity.leave_one_out:
        yield _left_out(view, left)
    for control in view.study.sensitivity.negative_controls:
        yield _control(view, control)


# ---------------------------------------------------------------- restrictions


def _restrictions(view: View) -> Account | None:
    """Every ratio analysis of the group `sensitivity` as a line; nothing is fitted for it."""
    model = view.analysis.models[0]
    lines = []
    for a in view.study.analyses:
        if a.group == "sensitivity" and a.id != view.analysis.id and a.form == "categories" and not a.stratify:
            rows = tuple(view.rows(a.id, model=model)) if model in a.models else ()
            if rows:
                lines.append(Line(a.title, rows))
    if not lines:
        return None
    return Account(
        id=RESTRICTIONS,
        title="Restricted samples and other covariates",
        group=VARIANTS,
        methods=(
            "The ratio analyses that the study declares as sensitivity analyses: samples restricted, covariates added "
            "or replaced, the outcome defined otherwise.",
        ),
        sentences=tuple(s for e in view.followed for s in _range(view, e, [(x.label, x.rows) for x in lines])),
        lines=tuple(lines),
    )


def _range(
    view: View,
    exposure: str,
    named: Sequence[tuple[str, Sequence[Estimate]]],
    what: str = "analyses",
    *,
    people_left: bool = False,
) -> Iterator[Sentence]:
    """The smallest and the largest ratio of the category of the summary, what they belong to, and people left in it."""
    level = view.headline(exposure)
    found = [
        (name, row)
        for name, rows in named
        for row in rows
        if row.exposure == exposure and row.level == level and row.estimate is not None
    ]
    if not found:
        return
    found.sort(key=lambda pair: pair[1].estimate or 0.0)
    ends = {"low_n": found[0][1], "high_n": found[-1][1]} if people_left else {}
    counts = {place: count_of(row, "n", view.guard.min_cell) for place, row in ends.items()}
    left = {place: f", {{{place}}} people left" if place in ends else "" for place in ("low_n", "high_n")}
    yield sentence(
        "{exposure}: in {k} " + what + f" the ratio of {{level}} lay between {{smallest}} ({{low}}{left['low_n']}) and "
        f"{{largest}} ({{high}}{left['high_n']}), against {{main}} in the main analysis.",
        exposure=words(view.label(exposure)),
        k=derived(len(found)),
        level=words(view.category(exposure, level)),
        smallest=ratio_of(found[0][1]),
        low=words(found[0][0]),
        largest=ratio_of(found[-1][1]),
        high=words(found[-1][0]),
        main=ratio_of(view.main(exposure, level)),
        **counts,
    )


# ---------------------------------------------------------------- leaving out


def _left_out(view: View, declared: LeaveOneOut) -> Account:
    exposures = declared.exposures or view.followed
    rows = [_against(r, view.reference(r.exposure)) for r in view.rows(declared.id)]
    named = [(_name(view, s), [r for r in rows if r.stratum == s]) for s in dict.fromkeys(r.stratum for r in rows)]
    cut = "were cut again each time" if declared.recut else "stayed as in the main analysis"
    few = {d.stratum for d in view.results.diagnostics if d.analysis == declared.id and d.n == 0}
    sentences = [s for e in exposures for s in _range(view, e, named, "samples without one group", people_left=True)]
    if few:
        sentences.append(
            sentence(
                "{k} levels have too few people to be left out alone, and were not.",
                k=derived(len(few)),
            )
        )
    variables = ", ".join(view.variables[v].label for v in declared.variables)
    return Account(
        id=declared.id,
        title=declared.title,
        group=GROUP,
        methods=(
            f"The main model was fitted again without each level of these variables in turn: {variables}. Categories "
            f"of the exposure {cut}; people whose level is unknown stayed in.",
        ),
        sentences=tuple(sentences),
        tables=(_left_out_table(view, declared, exposures, rows),),
        drawings=(_left_out_drawing(view, declared, exposures, rows),),
        lines=tuple(_extremes(view, declared, exposures, rows)),
    )


def _against(row: Estimate, reference: str) -> Estimate:
    """The row; without its ratio where another category took the place of an empty reference."""
    if row.reference in (reference, ""):
        return row
    return replace(row, reference=reference, estimate=None, conf_low=None, conf_high=None)


def _parts(stratum: str) -> tuple[str, str]:
    """The variable and level of a stratum "without VARIABLE: LEVEL"."""
    variable, _, level = stratum.removeprefix(WITHOUT).partition(": ")
    return variable, level


def _name(view: View, stratum: str) -> str:
    variable, level = _parts(stratum)
    return f"without {view.variables[variable].label}: {level}"


def _grid(
    view: View, exposures: Sequence[str], rows: Sequence[Estimate]
) -> Iterator[tuple[str, str, tuple[Estimate | None, ...]]]:
    """Variable, level and the row of each exposure's category of the summary, in the order of the declaration."""
    for stratum in dict.fromkeys(r.stratum for r in rows):
        variable, level = _parts(stratum)
        cells = tuple(
            next((r for r in rows if (r.stratum, r.exposure, r.level) == (stratum, e, view.headline(e))), None)
            for e in exposures
        )
        yield view.variables[variable].label, level, cells


def _left_out_table(view: View, declared: LeaveOneOut, exposures: Sequence[str], rows: Sequence[Estimate]) -> Table:
    mains = [view.main(e, view.headline(e)) for e in exposures]
    made = [Row(cells=("Everyone", *(shown(view, e) for e in mains)))]
    heading = ""
    for variable, level, cells in _grid(view, exposures, rows):
        if variable != heading:
            made.append(Row(kind="heading", cells=(f"Without one level of: {variable}",)))
            heading = variable
        made.append(Row(cells=(level, *(shown(view, e) for e in cells)), indent=1))
    heads = [Head(f"{view.label(e)}: {view.category(e, view.headline(e))}") for e in exposures]
    return Table(id=declared.id, title=declared.title, header=(Head("Left out", words=True), *heads), rows=tuple(made))


def _left_out_drawing(view: View, declared: LeaveOneOut, exposures: Sequence[str], rows: Sequence[Estimate]) -> Drawing:
    mains = [view.main(e, view.headline(e)) for e in exposures]
    made = [ForestRow(label="Everyone", cells=tuple(cell(view, e) for e in mains))]
    heading = ""
    for variable, level, cells in _grid(view, exposures, rows):
        if variable != heading:
            made.append(ForestRow(label=f"Without one level of: {variable}"))
            heading = variable
        made.append(ForestRow(label=level, cells=tuple(cell(view, e) for e in cells)))
    panels = [f"{view.label(e)}: {view.category(e, view.headline(e))}" for e in exposures]
    figure = forest_figure(made, panels=panels, simulated=view.simulated, width=view.width, x_label=x_label(view))
    caption = "Adjusted ratios of the main model without each level in turn."
    return Drawing(f"figure_{declared.id}", declared.title, caption, figure)


def _extremes(view: View, declared: LeaveOneOut, exposures: Sequence[str], rows: Sequence[Estimate]) -> Iterator[Line]:
    """The smallest and the largest ratio of each category."""
    for name, place in (("smallest ratio", 0), ("largest ratio", -1)):
        picked = []
        for e in exposures:
            for level in view.levels(e):
                mine = [r for r in rows if r.exposure == e and r.level == level and r.estimate is not None]
                mine.sort(key=lambda r: r.estimate or 0.0)
                picked += [mine[place]] if mine else []
        if picked:
            yield Line(f"{declared.title}, {name}", tuple(picked))


# ---------------------------------------------------------------- negative controls


def _control(view: View, declared: NegativeControl) -> Account:
    outcome = view.study.outcomes[view.analysis.outcome or view.study.settings.outcome].label
    exposures = control_exposures(view.followed, declared)
    of = (
        f"{view.study.outcomes[declared.outcome].label} stands in place of the outcome"
        if declared.outcome
        else f"{view.label(exposures[0])} stands in place of the exposure"
    )
    beside = ", ".join(_called(view, n) for n in declared.beside)
    methods = [f"{of} in the main model{f', with {beside} in the model too' if beside else ''}."]
    methods += [declared.why] if declared.why else []
    if declared.restrict:
        methods.append("The sample is restricted to those at risk of the control.")
    return Account(
        id=declared.id,
        title=declared.title,
        group=GROUP,
        methods=tuple(methods),
        sentences=tuple(s for e in exposures for s in _control_sentences(view, declared, e, outcome)),
        tables=(_control_table(view, declared, exposures, outcome),),
    )


def _called(view: View, name: str) -> str:
    return view.label(name) if name in view.exposures else view.variables[name].label


def _control_sentences(view: View, declared: NegativeControl, exposure: str, outcome: str) -> Iterator[Sentence]:
    levels = category_names(view.study, exposure)
    own = view.headline(exposure) if declared.outcome else levels[-1]
    control = next((r for r in view.rows(declared.id, exposure=exposure) if r.level == own), None)
    if control is None or control.estimate is None:
        yield sentence(
            "{exposure}: the ratio of the negative control is not estimable (see the diagnostics).",
            exposure=words(view.label(exposure)),
        )
        return
    label = view.study.outcomes[declared.outcome].label if declared.outcome else outcome
    facts = {
        "exposure": words(view.label(exposure)),
        "level": words(_category(view, declared, exposure, own)),
        "reference": words(_category(view, declared, exposure, control.reference)),
        "control": words(label),
        "ratio": ratio_of(control),
        "holds": words(_holds(control)),
    }
    if declared.outcome:
        yield sentence(
            "{exposure}: for the control outcome, {control}, the ratio of {level} against {reference} was {ratio}, an "
            "interval that {holds} the value of no association; for {outcome} it was {main}.",
            **facts,
            outcome=words(outcome),
            main=ratio_of(view.main(exposure, own)),
        )
    else:
        yield sentence(
            "For the control exposure, {exposure}, the ratio of {level} against {reference} for {control} was "
            "{ratio}, an interval that {holds} the value of no association.",
            **facts,
        )


def _category(view: View, declared: NegativeControl, exposure: str, level: str) -> str:
    """A category with its limits in this analysis."""
    label, levels = view.exposures[exposure], category_names(view.study, exposure)
    named = level_names(levels, view.results.cutpoints, declared.id, label, view.exposures)
    text = ", ".join(named.get(level, (level,)))
    return level if text == level else f"{level} ({text} {label.unit})".replace(" )", ")")


def _holds(row: Estimate) -> str:
    low, high = row.conf_low or 0.0, row.conf_high or float("inf")
    return "holds" if low <= 1.0 <= high else "does not hold"


def _control_table(view: View, declared: NegativeControl, exposures: Sequence[str], outcome: str) -> Table:
    rows = []
    for exposure in exposures:
        if len(exposures) > 1:
            rows.append(Row(kind="heading", cells=(view.label(exposure),)))
        main = {r.level: r for r in view.rows(view.analysis.id, exposure=exposure, model=view.analysis.models[0])}
        for r in view.rows(declared.id, exposure=exposure):
            n, events = view.guard.counts(r)
            beside = (shown(view, main.get(r.level)),) if declared.outcome else ()
            named = _category(view, declared, exposure, r.level)
            rows.append(Row(cells=(named, n, events, shown(view, r), *beside), indent=int(len(exposures) > 1)))
    control = view.study.outcomes[declared.outcome].label if declared.outcome else outcome
    heads = [Head("Category", words=True), Head("No. of participants"), Head("No. of events"), Head(control)]
    heads += [Head(outcome)] if declared.outcome else []
    return Table(id=declared.id, title=declared.title, header=tuple(heads), rows=tuple(rows))


# ---------------------------------------------------------------- parts


def shown(view: View, row: Estimate | None) -> str:
    """A ratio with its limits as a cell."""
    if row is None:
        return ABSENT
    if row.estimate is None:
        return NOT_FOUND
    if row.level == row.reference:
        return "1 [Reference]"
    return view.rounding.interval(row.estimate, row.conf_low, row.conf_high)


def cell(view: View, row: Estimate | None) -> ForestCell | None:
    """A ratio as a cell of a forest."""
    if row is None:
        return None
    return ForestCell(estimate=row.estimate, conf_low=row.conf_low, conf_high=row.conf_high, text=shown(view, row))


def x_label(view: View, what: str = "Risk ratio") -> str:
    """The axis of ratios."""
    return f"{what} ({100 * view.study.settings.conf_level:g}% CI), log scale"
