"""Multiple imputation beside complete cases: table, sentences, how the chains went, shifts not at random."""

from __future__ import annotations

from collections.abc import Iterator

from walkrisk.accounts.account import Account, Line, View
from walkrisk.accounts.facts import Fact, Sentence, count_of, derived, number_of, ratio_of, sentence, setting, words
from walkrisk.accounts.missing_data_figures import drawings
from walkrisk.accounts.missing_data_words import (
    methods,
    name_of,
    same_for_all,
    scale_of,
    shift_form,
    shifted_name,
    variant_ends,
)
from walkrisk.estimates.numbers import fixed
from walkrisk.estimates.results import Point
from walkrisk.estimates.rows import Estimate
from walkrisk.studies.missing_data import Delta, Imputation, outcome_of
from walkrisk.tables.cells import ABSENT
from walkrisk.tables.table import Head, Row, Table
from walkrisk.variations.missing_data_rows import variant_name, variant_of

GROUP = "Missing data"
TIPS = (
    ("tipping_point", "The ratio reached no association", "brought the ratio to no association"),
    (
        "tipping_point_interval",
        "The interval changed between holding and leaving out no association",
        "changed whether the interval holds no association",
    ),
)


def accounts(view: View) -> Iterator[Account]:
    """An account of every declared imputation."""
    for declared in view.study.sensitivity.imputations:
        found = view.points(declared.id, "missing")
        yield Account(
            id=declared.id,
            title=declared.title,
            group=GROUP,
            methods=tuple(methods(view, declared, found)),
            sentences=tuple(_sentences(view, declared)) if found else tuple(_nothing(view, declared)),
            tables=(_table(view, declared),),
            drawings=tuple(drawings(view, declared)) if found else (),
            lines=tuple(_lines(view, declared)),
        )


def _nothing(view: View, declared: Imputation) -> Iterator[Sentence]:
    names = ", ".join(name_of(view, n) for n in declared.impute)
    yield sentence(
        "Nothing was missing in {names} among those who may be analysed, so {title} is the main analysis; exclusions "
        "that leave out people with missing values are given up by naming them in the declaration.",
        names=words(names),
        title=words(declared.title),
    )


def _sentences(view: View, declared: Imputation) -> Iterator[Sentence]:
    whole = view.points(declared.id, "imputed people")[0]
    lacking = view.points(declared.id, "missing")
    if whole.n is not None and whole.y is not None and whole.n >= view.guard.min_cell:
        yield sentence(
            "Of {n} people who may be analysed, {k} ({share}) lacked one or more of the imputed variables ({v}).",
            n=count_of(whole, "x", view.guard.min_cell),
            k=number_of(whole, "n", "count"),
            share=number_of(whole, "y", "percent1"),
            v=derived(len(lacking)),
        )
    else:
        yield sentence(
            "Of {n} people who may be analysed, {k} lacked one or more of the imputed variables ({v}).",
            n=count_of(whole, "x", view.guard.min_cell),
            k=count_of(whole, "n", view.guard.min_cell),
            v=derived(len(lacking)),
        )
    for exposure in view.followed:
        yield from _ratio_sentence(view, declared, exposure)
    yield from _sets_sentence(view, declared)
    yield from _convergence(view, declared)
    for delta in declared.deltas:
        for exposure in view.followed:
            yield from _shift_sentences(view, declared, delta, exposure)


def _ratio_sentence(view: View, declared: Imputation, exposure: str) -> Iterator[Sentence]:
    level = view.headline(exposure)
    row = next(iter(view.rows(declared.id, exposure=exposure, level=level, stratum="")), None)
    fmi = _point(view, declared, "fmi", exposure, level)
    if row is None or fmi is None:
        return
    yield sentence(
        "{exposure}, {level}: with {m} imputed sets the ratio was {rr}, against {main} among complete cases; the "
        "fraction of missing information was {fmi}.",
        exposure=words(view.label(exposure)),
        level=words(view.category(exposure, level)),
        m=setting(declared.sets),
        rr=ratio_of(row),
        main=ratio_of(view.main(exposure, level)),
        fmi=number_of(fmi, "y", "percent1"),
    )


def _sets_sentence(view: View, declared: Imputation) -> Iterator[Sentence]:
    """That more sets are customary, where the fraction of missing information asks for more than were declared."""
    needed = next(iter(view.rows(declared.id, exposure="", estimand="sets_needed")), None)
    known = [p for p in view.points(declared.id, "fmi") if p.item == view.variance and p.y is not None]
    if needed is None or not known or (needed.estimate or 0.0) <= declared.sets:
        return
    largest = max(known, key=lambda p: p.y or 0.0)
    yield sentence(
        "The customary number of imputed sets is at least a hundred times the largest fraction of missing information "
        "(White, Royston and Wood): that fraction was {fmi} ({exposure}, {level}), which asks for {needed} sets; {m} "
        "were declared.",
        fmi=number_of(largest, "y", "percent1"),
        exposure=words(view.label(largest.exposure)),
        level=words(view.category(largest.exposure, largest.level)),
        needed=number_of(needed, "estimate", "count"),
        m=setting(declared.sets),
    )


def _convergence(view: View, declared: Imputation) -> Iterator[Sentence]:
    known = [p for p in view.points(declared.id, "r_hat") if p.y is not None]
    if not known:
        return
    worst = max(known, key=lambda p: p.y or 0.0)
    yield sentence(
        "The Gelman-Rubin statistic of the chains' means was largest for {variable}, {value}; it was above {limit} for "
        "{k} of {v} variables.",
        variable=words(name_of(view, worst.item)),
        value=number_of(worst, "y", "fixed2"),
        limit=number_of(worst, "high", "fixed1"),
        k=derived(sum((p.y or 0.0) > (p.high or 0.0) for p in known)),
        v=derived(len(known)),
    )


def _shift_sentences(view: View, declared: Imputation, delta: Delta, exposure: str) -> Iterator[Sentence]:
    level = view.headline(exposure)
    ends = [_shifted(view, declared, delta, v, exposure, level) for v in variant_ends(delta)]
    if any(e is None for e in ends):
        return
    low, high = ends
    assert low is not None
    assert high is not None
    common = {
        "name": words(shifted_name(view, delta)),
        "exposure": words(view.label(exposure)),
        "level": words(view.category(exposure, level)),
    }
    first, last = (_shift_point(view, declared, delta, v, exposure, level) for v in variant_ends(delta))
    if first is None or last is None:
        return
    yield sentence(
        "With imputed values of {name} shifted by {first} {scale} the ratio of {exposure}, {level}, was {low}; shifted "
        "by {last} it was {high}.",
        first=number_of(first, "x", shift_form(delta)),
        last=number_of(last, "x", shift_form(delta)),
        scale=words(scale_of(view, declared, delta)),
        low=ratio_of(low),
        high=ratio_of(high),
        **common,
    )
    yield from _tip_sentences(view, declared, delta, exposure, common)


def _tip_sentences(
    view: View, declared: Imputation, delta: Delta, exposure: str, common: dict[str, Fact]
) -> Iterator[Sentence]:
    level = view.headline(exposure)
    found: dict[str, Estimate] = {}
    for estimand in ("tipping_point", "tipping_point_interval"):
        rows = view.rows(declared.id, exposure=exposure, level=level, stratum=variant_name(delta), estimand=estimand)
        if not rows:
            return
        found[estimand] = rows[0]
    same, apart = same_for_all(view, delta)
    if all(row.estimate is None for row in found.values()):
        yield sentence(
            f"No shift on this grid{same} brought the ratio to no association, or changed whether its interval holds "
            f"it ({{exposure}}, {{level}}; {{name}}){apart}.",
            **common,
        )
        return
    for estimand, does, does_not in TIPS:
        row = found[estimand]
        if row.estimate is None:
            said = f"No shift on this grid{same} {does_not} ({{exposure}}, {{level}}; {{name}}){apart}."
            yield sentence(said, **common)
        else:
            tip = number_of(row, "estimate", "fixed2")
            yield sentence(f"{does} at a shift of {{tip}} ({{exposure}}, {{level}}; {{name}}).", tip=tip, **common)


def _shift_point(
    view: View, declared: Imputation, delta: Delta, value: float, exposure: str, level: str
) -> Point | None:
    points = view.points(declared.id, "shift", exposure=exposure)
    return next((p for p in points if (p.stratum, p.level, p.x) == (variant_name(delta), level, value)), None)


def _table(view: View, declared: Imputation) -> Table:
    events = view.study.outcomes[outcome_of(view.study)].event_word
    counts = (Head("No. of people"), Head(f"No. of {events}"), Head("Ratio (95% CI)".replace("95", _level(view))))
    header = (
        Head("Category", words=True),
        Head("Complete cases", parts=counts),
        Head(f"{declared.sets} imputed sets", parts=counts),
        Head("Fraction of missing information, %"),
        Head("Relative efficiency, %"),
    )
    rows: list[Row] = []
    for exposure in view.followed:
        rows.append(Row(cells=(view.label(exposure),), kind="heading"))
        for level in (view.reference(exposure), *view.levels(exposure)):
            mine = next(iter(view.rows(declared.id, exposure=exposure, level=level, stratum="")), None)
            cells = (*_cells(view, view.main(exposure, level)), *_cells(view, mine))
            own = [_point(view, declared, series, exposure, level) for series in ("fmi", "relative efficiency")]
            measures = tuple(ABSENT if p is None or p.y is None else fixed(100 * p.y, 1) for p in own)
            rows.append(Row(cells=(view.category(exposure, level), *cells, *measures), indent=1))
    note = (
        "Counts of imputed sets are their mean. Ratios are pooled by Rubin's rules, with Student's t limits on Barnard "
        "and Rubin's degrees of freedom; relative efficiency is that of this number of sets against infinitely many. "
        "Limits in names of categories are those of the complete cases."
    )
    return Table(
        id=f"{declared.id}_ratios",
        title=f"{declared.title}: complete cases and imputed sets",
        header=header,
        rows=tuple(rows),
        notes=(note,),
    )


def _level(view: View) -> str:
    return f"{100 * view.study.settings.conf_level:g}"


def _cells(view: View, row: Estimate | None) -> tuple[str, str, str]:
    if row is None:
        return ABSENT, ABSENT, ABSENT
    n, events = view.guard.counts(row)
    if row.estimate is None:
        return n, events, "not estimable"
    return n, events, view.rounding.interval(row.estimate, row.conf_low, row.conf_high)


def _point(view: View, declared: Imputation, series: str, exposure: str, level: str) -> Point | None:
    points = view.points(declared.id, series, exposure=exposure)
    return next((p for p in points if p.level == level and p.item == view.variance), None)


def _shifted(
    view: View, declared: Imputation, delta: Delta, value: float, exposure: str, level: str
) -> Estimate | None:
    stratum = variant_of(delta, value)
    return next(iter(view.rows(declared.id, exposure=exposure, level=level, stratum=stratum)), None)


def _lines(view: View, declared: Imputation) -> Iterator[Line]:
    rows = view.rows(declared.id, stratum="")
    yield Line(f"{declared.title}, {declared.sets} sets", tuple(rows))
    for delta in declared.deltas:
        value = _furthest(view, declared, delta)
        if value is not None:
            which = "highest" if value == delta.values[-1] else "lowest"
            label = f"{declared.title}, {shifted_name(view, delta)} at its {which} shift"
            yield Line(label, tuple(view.rows(declared.id, stratum=variant_of(delta, value))))


def _furthest(view: View, declared: Imputation, delta: Delta) -> float | None:
    """The end of a grid whose ratio in the summary is the nearer to no association, or the further beyond it."""
    exposure = view.followed[0]
    level = view.headline(exposure)
    main = view.main(exposure, level).estimate
    found = {v: e.estimate for v in variant_ends(delta) if (e := _shifted(view, declared, delta, v, exposure, level))}
    known = {v: e for v, e in found.items() if e is not None}
    if main is None or not known:
        return None
    return max(known, key=known.__getitem__) if main < 1 else min(known, key=known.__getitem__)
