"""What loss to follow-up amounts to: the weighted main model with its weights, balance, and those followed and lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from walkrisk.accounts.account import Account, Line, View
from walkrisk.accounts.facts import Sentence, count_of, number_of, ratio_of, sentence, setting, words
from walkrisk.accounts.loss_drawings import drawings, name_of
from walkrisk.accounts.worst_cases import worst_account
from walkrisk.estimates.disclosure import NOT_REPORTED, UNKNOWN
from walkrisk.estimates.numbers import count, fixed
from walkrisk.estimates.results import Point
from walkrisk.estimates.rows import Estimate
from walkrisk.studies.losses import LossWeights, title_of
from walkrisk.tables.cells import ABSENT
from walkrisk.tables.characteristics import characteristics_table
from walkrisk.tables.table import Head, Row, Table
from walkrisk.variations.loss_rows import KNOWN
from walkrisk.variations.loss_sample import default_covariates

GROUP = "Loss to follow-up"
DIFFERENCE = "Standardised difference"


def accounts(view: View) -> Iterator[Account]:
    """The accounts of weights for loss to follow-up, then of worst cases."""
    for declared in view.study.sensitivity.losses:
        yield _account(view, declared)
    for worst in view.study.sensitivity.worst_cases:
        yield worst_account(view, worst)


def _account(view: View, declared: LossWeights) -> Account:
    rows = view.rows(declared.id)
    if not rows:
        said = sentence("The weighted model gave no estimate; the diagnostics say why.")
        methods = tuple(_methods(view, declared))
        return Account(id=declared.id, title=title_of(declared), group=GROUP, methods=methods, sentences=(said,))
    described = _described_table(view, declared)
    tables = (_ratio_table(view, declared), _weight_table(view, declared), *([described] if described else []))
    return Account(
        id=declared.id,
        title=title_of(declared),
        group=GROUP,
        methods=tuple(_methods(view, declared)),
        sentences=tuple(_sentences(view, declared)),
        tables=tables,
        drawings=tuple(drawings(view, declared)),
        lines=(Line(title_of(declared), tuple(rows)),),
    )


# ---------------------------------------------------------------- words


def _methods(view: View, declared: LossWeights) -> Iterator[str]:
    names = "; ".join(_listed(view, declared))
    within = f", a model within each level of {name_of(view, declared.strata).lower()}" if declared.strata else ""
    yield (
        "Eligible was whoever passed every exclusion before the step of loss to follow-up. Being followed up was "
        f"modelled by logistic regression over everyone eligible{within} (covariates: {names}), and people of the main "
        "model were weighted by the inverse of the probability that it gave them."
    )
    said = []
    if declared.stabilised:
        said.append("multiplied by the share followed in the category of the exposure (stabilised)")
    if declared.truncate:
        low, high = declared.truncate
        said.append(f"cut off at their percentiles {low:g} and {high:g}")
    if said:
        yield f"Weights were {' and '.join(said)}."
    yield from _assumed(view, declared)
    if declared.imputation:
        chosen = next(m for m in view.study.sensitivity.imputations if m.id == declared.imputation)
        yield (
            f"Unknown values were imputed ({chosen.sets} sets) among all eligible people, those lost included, from "
            "models that hold who was followed, that times the exposures, and the outcome of those followed; weights "
            "and model were made in each set and pooled by Rubin's rules. No outcome was imputed."
        )
    elif declared.missing == "category":
        yield (
            "In the model of loss people who lacked a covariate had a category of their own (for a number, its mean "
            "and an indicator), on the assumption that loss depends on no unknown value beyond its being unknown. The "
            "main model has complete cases."
        )
    else:
        yield "People who lacked a covariate of the model of loss were not counted as eligible."


def _assumed(view: View, declared: LossWeights) -> Iterator[str]:
    """What intervals take into account, and on what assumptions the weighted ratio stands for everyone eligible."""
    yield (
        "Intervals take the estimation of the weights into account (stacked estimating equations); those that take the "
        "weights as known stand beside. The weighted ratio stands for everyone eligible if loss did not depend on the "
        "outcome among people with the same covariates, each of whom could have been followed."
    )
    if _dropped(view, declared):
        yield (
            "Some people who were followed up are not in the weighted model, as they lack a covariate of the outcome "
            "model or were left out by a later exclusion. That the weighted ratio stands for everyone eligible also "
            "needs these people to be like the others followed up with the same covariates."
        )


def _dropped(view: View, declared: LossWeights) -> bool:
    """Whether somebody who was followed up is not in the weighted model of an exposure."""
    sizes = [{p.item: p.n for p in view.points(declared.id, "weights", exposure=e)} for e in view.followed]
    return any(own["in_model"] != own["n"] for own in sizes if own)


def _listed(view: View, declared: LossWeights) -> list[str]:
    """The covariates of the model of loss, each with the form in which it enters unless it has levels."""
    names = declared.covariates or default_covariates(view.study)
    out = []
    for name in names:
        knots = declared.splines.get(name)
        variable = view.variables.get(name)
        if name in view.exposures:
            how = " (categories)"
        elif knots:
            how = f" (spline, {knots} knots)"
        else:
            how = "" if variable and variable.levels else " (linear)"
        out.append(f"{name_of(view, name)}{how}")
    return out


def _counts(view: View, declared: LossWeights) -> dict[str, Estimate]:
    found = view.rows(declared.id, exposure="", estimand="count")
    return {e.level: e for e in found}


def _sentences(view: View, declared: LossWeights) -> Iterator[Sentence]:
    k, counts = view.guard.min_cell, _counts(view, declared)
    share = next(iter(view.rows(declared.id, exposure="", level="lost", estimand="share")))
    if counts["lost"].n is None or share.estimate is None:
        yield sentence("How many people were lost to follow-up is not reported.")
    else:
        yield sentence(
            "Of {eligible} eligible people {lost} ({share}) were lost to follow-up.",
            eligible=count_of(counts["eligible"], "n", k),
            lost=count_of(counts["lost"], "n", k),
            share=number_of(share, "estimate", "percent1"),
        )
    chance = {p.item: p for p in view.points(declared.id, "chance")}
    yield sentence(
        "The estimated chance of being followed up was {mean} on average; {few} people had less than {limit}.",
        mean=number_of(chance["mean"], "y", "percent1"),
        few=count_of(counts["unlikely"], "n", k),
        limit=setting(f"{100 * declared.least_chance:g}%"),
    )
    for largest in view.points(declared.id, "balance_largest"):
        yield sentence(
            "Between those followed up and everyone eligible the largest standardised difference was {before} before "
            "and {after} after weighting.",
            before=number_of(largest, "x", "fixed3"),
            after=number_of(largest, "y", "fixed3"),
        )
    for exposure in view.followed:
        yield from _of_exposure(view, declared, exposure)


def _of_exposure(view: View, declared: LossWeights, exposure: str) -> Iterator[Sentence]:
    k, level = view.guard.min_cell, view.headline(exposure)
    w = {p.item: p for p in view.points(declared.id, "weights", exposure=exposure)}
    yield sentence(
        "{exposure}: the weights of {n} people followed up had a mean of {mean} (SD {sd}) and a median of {median}; "
        "{cut} were cut off. Of these people {in_model} are in the weighted model; {effective} people without weights "
        "would be as informative as they are.",
        exposure=words(view.label(exposure)),
        n=count_of(w["n"], "n", k),
        mean=number_of(w["mean"], "y", "fixed2"),
        sd=number_of(w["sd"], "y", "fixed2"),
        median=number_of(w["p50"], "y", "fixed2"),
        cut=count_of(w["truncated"], "n", k),
        in_model=count_of(w["in_model"], "n", k),
        effective=count_of(w["effective"], "n", k),
    )
    row = next(iter(view.rows(declared.id, exposure=exposure, level=level)), None)
    if row is None:
        return
    known = known_row(view, row)
    facts = {
        "exposure": words(view.label(exposure)),
        "level": words(view.category(exposure, level)),
        "rr": ratio_of(row),
        "main": ratio_of(view.main(exposure, level)),
    }
    if known is None:
        yield sentence(
            "{exposure}: the weighted ratio of {level} was {rr}, against {main} in the main analysis.", **facts
        )
        return
    yield sentence(
        "{exposure}: the weighted ratio of {level} was {rr}, against {main} in the main analysis; with the weights "
        "taken as known its interval was {low} to {high}.",
        low=number_of(known, "conf_low", "ratio"),
        high=number_of(known, "conf_high", "ratio"),
        **facts,
    )


def known_row(view: View, row: Estimate) -> Estimate | None:
    """The row that takes the weights of another as known."""
    place = (row.analysis, row.exposure, row.level, row.model, f"{row.variance}{KNOWN}")
    found = (e for e in view.results.estimates if (e.analysis, e.exposure, e.level, e.model, e.variance) == place)
    return next(found, None)


# ---------------------------------------------------------------- tables


def hidden(view: View, *rows: Estimate) -> bool:
    """Whether ratios of these categories would give a hidden count away."""
    crude = not view.study.models[view.analysis.models[0]].covariates
    return view.guard.hides_ratio(*rows, crude=crude)


def ratio_cell(view: View, e: Estimate | None) -> str:
    """A ratio with its limits, as a cell of a table."""
    if e is None:
        return ABSENT
    if e.estimate is None:
        return NOT_REPORTED if hidden(view, e) else "not estimable"
    if e.conf_low is None:
        return f"{e.estimate:.2f} (reference)" if e.level == e.reference else fixed(e.estimate, 2)
    return NOT_REPORTED if hidden(view, e) else view.rounding.interval(e.estimate, e.conf_low, e.conf_high)


def _ratio_table(view: View, declared: LossWeights) -> Table:
    rows: list[Row] = []
    for exposure in view.followed:
        rows.append(Row(cells=(view.label(exposure),), kind="heading"))
        for level in view.levels(exposure):
            main = view.main(exposure, level)
            own = next(iter(view.rows(declared.id, exposure=exposure, level=level)), None)
            lost = next(iter(view.rows(declared.id, exposure=exposure, level=level, estimand="share")), None)
            known = known_row(view, own) if own else None
            cells = (ratio_cell(view, e) for e in (main, own, known))
            rows.append(Row(cells=(view.category(exposure, level), _share(view, lost), *cells), indent=1))
    return Table(
        id=f"{declared.id}_ratios",
        title=f"{title_of(declared)}: ratios beside the main analysis",
        header=(
            Head("Category"),
            Head("Lost, %"),
            Head("Main analysis"),
            Head("Weighted", "The interval takes the estimation of the weights into account."),
            Head("Weighted, weights taken as known"),
        ),
        rows=tuple(rows),
    )


def _share(view: View, e: Estimate | None) -> str:
    """The share lost of a category, not where it would give a small count away."""
    if e is None:
        return ABSENT
    return NOT_REPORTED if e.estimate is None else fixed(100 * e.estimate, 1)


def _weight_table(view: View, declared: LossWeights) -> Table:
    shown = (
        ("Followed up, No.", "n", 0),
        ("Mean", "mean", 2),
        ("SD", "sd", 2),
        *(
            (f"{p}th percentile" if p != "1" else "1st percentile", f"p{p}", 2)
            for p in ("1", "5", "25", "50", "75", "95", "99")
        ),
        ("Cut off, No.", "truncated", 0),
        ("Cut off, %", "share", 1),
        ("In the weighted model, No.", "in_model", 0),
        ("Effective sample size of the weighted model", "effective", 0),
    )
    values = {e: {p.item: p.y for p in view.points(declared.id, "weights", exposure=e)} for e in view.followed}
    rows = []
    for label, item, places in shown:
        cells = []
        for exposure in view.followed:
            own = values[exposure]
            value = own.get(item)
            if item == "share":
                cut, n = own["truncated"], own["n"]
                value = None if cut is None or not n else 100 * cut / n
            text = NOT_REPORTED
            if value is not None:
                text = count(round(value)) if places == 0 else fixed(value, places)
            cells.append(text)
        rows.append(Row(cells=(label, *cells)))
    return Table(
        id=f"{declared.id}_weights",
        title=f"{title_of(declared)}: the weights of those followed up",
        header=(Head("Weights"), *(Head(view.label(e)) for e in view.followed)),
        rows=tuple(rows),
        notes=(
            "Effective sample size: the square of the sum of the weights over the sum of their squares, of people in "
            "the weighted model. The distribution of the weights is that of everyone followed up.",
        ),
    )


def _described_table(view: View, declared: LossWeights) -> Table | None:
    """Those followed and lost, with standardised differences; None if earlier weights have described them."""
    table = f"{declared.id}_followed"
    everything = view.results.characteristics
    if not any(c.table == table for c in everything):
        return None
    k = view.guard.min_cell
    marks = view.described
    made = characteristics_table(
        table,
        "Eligible people followed up and lost to follow-up",
        everything,
        view.variables,
        min_cell=k,
        marks=marks,
    )
    hidden_cells = {(v, level) for t, _, v, level in marks if t == table}
    differences = {(p.item, p.level): p for p in view.points(declared.id, "lost")}
    names = list(dict.fromkeys(c.variable for c in everything if c.table == table and c.variable))
    column = list(_difference_cells(view, made, names, differences, hidden_cells))
    rows = tuple(
        row if row.kind == "heading" else Row(cells=(*row.cells, cell), indent=row.indent)
        for row, cell in zip(made.rows, column, strict=True)
    )
    note = "Lost less followed up, in standard deviations (mean of the two variances), among the known."
    return Table(id=table, title=made.title, header=(*made.header, Head(DIFFERENCE, note)), rows=rows, notes=made.notes)


def _difference_cells(
    view: View,
    made: Table,
    names: Sequence[str],
    differences: dict[tuple[str, str], Point],
    hidden_cells: set[tuple[str, str]],
) -> Iterator[str]:
    """A cell for each row of the table of characteristics, in its order: sizes, then variable by variable."""
    places: list[tuple[str, str] | None] = [None]
    unknown = {i for i, row in enumerate(made.rows) if row.cells[0].startswith("Unknown")}
    for name in names:
        levels = view.variables[name].levels
        if levels is None:
            places.append((name, ""))
        else:
            places += [None, *((name, str(code)) for code in levels)]
        if len(places) in unknown:
            places.append((name, UNKNOWN))
    for place in places:
        if place is None or place[1] == UNKNOWN:
            yield ""
        elif place in hidden_cells or (place[0], UNKNOWN) in hidden_cells:
            yield NOT_REPORTED
        else:
            found = differences.get(place)
            yield ABSENT if found is None or found.x is None else fixed(found.x, 2)
