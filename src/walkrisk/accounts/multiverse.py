"""What the choices of the analyst amount to: the specification curve, the joint test, and which choices matter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from walkrisk.accounts.account import Account, Drawing, Line, View
from walkrisk.accounts.facts import Sentence, number_of, ratio_of, sentence, setting, words
from walkrisk.estimates.numbers import count, fixed
from walkrisk.estimates.results import Point, Specification
from walkrisk.estimates.rows import Estimate
from walkrisk.figures.specification import DecisionRows, shares_figure, specification_figure
from walkrisk.studies.multiverse import Decision, Multiverse
from walkrisk.tables.cells import ABSENT
from walkrisk.tables.table import Head, Row, Table

GROUP = "Choices of the analyst"
INTERACTIONS = "interactions"
JOINT = {
    "median": "Median ratio",
    "sign": "Share with the sign that most have",
    "significant": "Share significant in the direction that most significant ones have",
    "mean_z": "Mean z statistic",
}


def accounts(view: View) -> Iterator[Account]:
    """The declared multiverses."""
    for declared in view.study.sensitivity.multiverses:
        yield _account(view, declared)


def _account(view: View, declared: Multiverse) -> Account:
    exposures = declared.exposures or view.followed
    sentences = [s for e in exposures for s in _sentences(view, declared, e)]
    tables = [_summary_table(view, declared, exposures), _options_table(view, declared, exposures)]
    drawings = [d for e in exposures if (d := _curve(view, declared, e)) is not None]
    shares = _shares_drawing(view, declared, exposures)
    return Account(
        id=declared.id,
        title=declared.title,
        group=GROUP,
        methods=tuple(_methods(view, declared)),
        sentences=tuple(sentences),
        tables=tuple(tables),
        drawings=(*drawings, *([shares] if shares else [])),
        lines=(_line(view, declared),),
    )


def _line(view: View, declared: Multiverse) -> Line:
    rows = tuple(e for e in view.results.estimates if e.analysis == declared.id and e.estimand == "risk_ratio")
    return Line("Multiverse: median and inner 95% of all specifications (no confidence interval)", rows)


def _row(view: View, declared: Multiverse, exposure: str, estimand: str, level: str) -> Estimate | None:
    return next(
        (
            e
            for e in view.results.estimates
            if (e.analysis, e.exposure, e.estimand, e.level) == (declared.id, exposure, estimand, level)
        ),
        None,
    )


def _specifications(view: View, declared: Multiverse, exposure: str) -> list[Specification]:
    return [s for s in view.results.specifications if (s.analysis, s.exposure) == (declared.id, exposure)]


# ---------------------------------------------------------------- words


def _methods(view: View, declared: Multiverse) -> Iterator[str]:
    named = "; ".join(f"{d.name} ({', '.join(o.name for o in d.options)})" for d in declared.decisions)
    yield f"Decisions that could have been taken otherwise, with their options: {named}."
    taken = "Every admissible combination of options was estimated."
    if declared.sample is not None:
        taken = "A random sample of the admissible combinations was estimated, the study's own among them."
    if declared.never:
        taken += " Combinations that the study declares to be left out were not estimated."
    yield taken
    yield (
        "Each specification gives one ratio: of the highest against the lowest category as it cuts them, or, where the "
        "exposure enters as a line or a spline, between the medians of the highest and the lowest category of the main "
        "analysis, found again in its own sample."
    )
    if declared.scale == "distance":
        yield (
            "Ratios of categories were brought to the distance between these two values, as if the log ratio were "
            "linear."
        )
    yield (
        "The variance of the log ratios was divided among the decisions by the average, over all orders, of what each "
        "adds to a model of main effects; the rest is interaction of decisions. Specifications share people: their "
        "number and their separate P values are no evidence by themselves."
    )
    if declared.permutations:
        how = {
            "shuffled": "the exposures of a person, in all their definitions and as what covariates leave of them, "
            "shuffled between people who are in the same analyses",
            "flipped": "the signs of people's contributions to the scores flipped at random",
        }[declared.null]
        yield (
            f"All specifications were tested together against {declared.permutations} data sets without association, "
            f"{how}; in these and in the data as observed each estimate is one Newton step from the model of the "
            "covariates alone. P = (b + 1)/(B + 1), so that the smallest P these data sets can give is one over their "
            f"number plus one, 1/{declared.permutations + 1}."
        )


def _sentences(view: View, declared: Multiverse, exposure: str) -> Iterator[Sentence]:
    def get(estimand: str, level: str) -> Estimate | None:
        return _row(view, declared, exposure, estimand, level)

    level = view.headline(exposure)
    total, middle = get("count", "specifications"), get("risk_ratio", level)
    small, large = get("extreme_ratio", "smallest"), get("extreme_ratio", "largest")
    lost = get("count", "without estimate")
    name = words(view.label(exposure))
    if total is None:
        return
    if middle is None or small is None or large is None:
        yield sentence(
            "{exposure}: none of {k} specifications has an estimate.",
            exposure=name,
            k=number_of(total, "estimate", "count"),
        )
        return
    yield sentence(
        "{exposure}: in {k} specifications the ratio lay between {low} and {high}, its median was {median}, and the "
        "inner {inner}% lay between {from_} and {to}; the main analysis gives {main}.",
        exposure=name,
        k=number_of(total, "estimate", "count"),
        low=number_of(small, "estimate", "ratio"),
        high=number_of(large, "estimate", "ratio"),
        median=number_of(middle, "estimate", "ratio"),
        inner=setting(95),
        from_=number_of(middle, "conf_low", "ratio"),
        to=number_of(middle, "conf_high", "ratio"),
        main=ratio_of(view.main(exposure, level)),
    )
    if lost is not None and lost.estimate:
        yield sentence(
            "{exposure}: {k} specifications have no estimate; their sentences stand in the file of specifications.",
            exposure=name,
            k=number_of(lost, "estimate", "count"),
        )
    below, under, over = (
        get("share", "below no association"),
        get("share", "interval below no association"),
        get("share", "interval above no association"),
    )
    if below is not None and under is not None and over is not None:
        yield sentence(
            "{exposure}: {below} of the ratios were on the side of a lower risk; the whole interval lay there in "
            "{under} and on the side of a higher risk in {over} of the specifications.",
            exposure=name,
            below=number_of(below, "estimate", "percent1"),
            under=number_of(under, "estimate", "percent1"),
            over=number_of(over, "estimate", "percent1"),
        )
    yield from _joint_sentences(view, declared, exposure)
    yield from _share_sentences(view, declared, exposure)


def _joint_sentences(view: View, declared: Multiverse, exposure: str) -> Iterator[Sentence]:
    rows = {name: _row(view, declared, exposure, "joint", name) for name in JOINT}
    k = _row(view, declared, exposure, "count", "in the joint test")
    if k is None or any(r is None for r in rows.values()):
        return
    median, sign, significant, mean_z = rows.values()
    assert median is not None
    assert sign is not None
    assert significant is not None
    assert mean_z is not None
    yield sentence(
        "{exposure}: against {b} data sets without association, P {p_median} for the median of {k} specifications, "
        "P {p_sign} for the share of one sign ({sign}), P {p_significant} for the share significant in one direction "
        "({significant}) and P {p_z} for the mean z statistic ({z}).",
        exposure=words(view.label(exposure)),
        b=setting(declared.permutations),
        k=number_of(k, "estimate", "count"),
        p_median=number_of(median, "p_value", "p"),
        p_sign=number_of(sign, "p_value", "p"),
        sign=number_of(sign, "estimate", "percent1"),
        p_significant=number_of(significant, "p_value", "p"),
        significant=number_of(significant, "estimate", "percent1"),
        p_z=number_of(mean_z, "p_value", "p"),
        z=number_of(mean_z, "estimate", "fixed2"),
    )
    gap = _row(view, declared, exposure, "one_step_deviation", "as observed")
    if gap is not None:
        yield sentence(
            "{exposure}: in the data as observed the one-step estimate differs from the full one by {gap} standard "
            "errors in the median specification.",
            exposure=words(view.label(exposure)),
            gap=number_of(gap, "estimate", "fixed3"),
        )


def _share_sentences(view: View, declared: Multiverse, exposure: str) -> Iterator[Sentence]:
    rows = [(d, _row(view, declared, exposure, "share_of_variance", d.id)) for d in declared.decisions]
    known = [(d, row) for d, row in rows if row is not None and row.estimate is not None]
    rest = _row(view, declared, exposure, "share_of_variance", INTERACTIONS)
    if len(known) < 2 or rest is None:
        return
    (first, most), (second, next_) = sorted(known, key=lambda pair: -(pair[1].estimate or 0.0))[:2]
    yield sentence(
        "{exposure}: of the variance of the log ratios {share} went with {first}, {other} with {second}, and {rest} "
        "with interactions of decisions.",
        exposure=words(view.label(exposure)),
        share=number_of(most, "estimate", "percent1"),
        first=words(f"“{first.name}”"),
        other=number_of(next_, "estimate", "percent1"),
        second=words(f"“{second.name}”"),
        rest=number_of(rest, "estimate", "percent1"),
    )


# ---------------------------------------------------------------- tables


def _summary_table(view: View, declared: Multiverse, exposures: Sequence[str]) -> Table:
    def cell(exposure: str, estimand: str, level: str, form: str) -> str:
        e = _row(view, declared, exposure, estimand, level)
        if e is None or e.estimate is None:
            return ABSENT
        return {
            "count": lambda: count(e.estimate),
            "ratio": lambda: view.rounding.interval(e.estimate or 0.0, e.conf_low, e.conf_high),
            "percent": lambda: f"{fixed(100 * (e.estimate or 0.0), view.rounding.percentages)}%",
            "z": lambda: fixed(e.estimate, 2),
            "se": lambda: fixed(e.estimate, 3),
        }[form]() + (f"; P {_p(view, e.p_value)}" if e.p_value is not None else "")

    lines: list[tuple[str, str, str, str]] = [
        ("Specifications", "count", "specifications", "count"),
        ("Without an estimate", "count", "without estimate", "count"),
        ("Median ratio (inner 95%)", "risk_ratio", "", "ratio"),
        ("Smallest ratio", "extreme_ratio", "smallest", "ratio"),
        ("Largest ratio", "extreme_ratio", "largest", "ratio"),
        ("Ratios below 1", "share", "below no association", "percent"),
        ("Interval below 1", "share", "interval below no association", "percent"),
        ("Interval above 1", "share", "interval above no association", "percent"),
    ]
    if declared.permutations:
        lines += [
            ("Specifications in the joint test", "count", "in the joint test", "count"),
            (f"{JOINT['median']} (one step)", "joint", "median", "ratio"),
            (JOINT["sign"], "joint", "sign", "percent"),
            (JOINT["significant"], "joint", "significant", "percent"),
            (JOINT["mean_z"], "joint", "mean_z", "z"),
            ("One step against full fit, median, in SE", "one_step_deviation", "as observed", "se"),
            ("One step against full fit, shuffled, largest, in SE", "one_step_deviation", "shuffled, largest", "se"),
        ]
    rows = [
        Row(cells=(text, *(cell(e, estimand, level or view.headline(e), form) for e in exposures)))
        for text, estimand, level, form in lines
    ]
    return Table(
        id=f"{declared.id}_summary",
        title=f"{declared.title}: all specifications together",
        header=(Head("", words=True), *(Head(view.label(e)) for e in exposures)),
        rows=tuple(rows),
        notes=("The inner 95% of specifications is no confidence interval.",),
    )


def _p(view: View, value: float | None) -> str:
    text = view.rounding.p(value)
    return f"{text[0]} {text[1:]}" if text[0] in "<>" else f"= {text}"


def _options_table(view: View, declared: Multiverse, exposures: Sequence[str]) -> Table:
    rows = []
    for d in declared.decisions:
        shares = [_row(view, declared, e, "share_of_variance", d.id) for e in exposures]
        rows.append(
            Row(
                cells=(
                    d.name,
                    *(
                        t
                        for s in shares
                        for t in ("", ABSENT if s is None or s.estimate is None else f"{fixed(100 * s.estimate, 1)}%")
                    ),
                )
            )
        )
        for i, o in enumerate(d.options):
            found = [_option(view, declared, e, d, i) for e in exposures]
            note = "The main analysis." if i == d.reference else ""
            cells = tuple(t for p in found for t in (ABSENT if p is None else _range(view, p), ""))
            rows.append(Row(cells=(o.name, *cells), indent=1, note=note))
    rest = [_row(view, declared, e, "share_of_variance", INTERACTIONS) for e in exposures]
    cells = tuple(
        t for s in rest for t in ("", ABSENT if s is None or s.estimate is None else f"{fixed(100 * s.estimate, 1)}%")
    )
    rows.append(Row(cells=("Interactions of decisions", *cells)))
    parts = (Head("Median (smallest-largest)"), Head("Variance"))
    return Table(
        id=f"{declared.id}_options",
        title=f"{declared.title}: ratios under each option, and the share of variance of each decision",
        header=(Head("Decision and option", words=True), *(Head(view.label(e), parts=parts) for e in exposures)),
        rows=tuple(rows),
    )


def _option(view: View, declared: Multiverse, exposure: str, d: Decision, i: int) -> Point | None:
    item = f"{d.id}={d.options[i].id}"
    return next((p for p in view.points(declared.id, "option", exposure=exposure) if p.item == item), None)


def _range(view: View, p: Point) -> str:
    return view.rounding.interval(p.y or 0.0, p.low, p.high)


# ---------------------------------------------------------------- pictures


def _curve(view: View, declared: Multiverse, exposure: str) -> Drawing | None:
    rows = [s for s in _specifications(view, declared, exposure) if s.estimate is not None]
    if len(rows) < 2:
        return None
    places = {d.id: {o.id: i for i, o in enumerate(d.options)} for d in declared.decisions}
    taken = [dict(pair.split("=", 1) for pair in s.choices.split("; ")) for s in rows]
    varied = [d for d in declared.decisions if len({t[d.id] for t in taken}) > 1]
    decisions = [
        DecisionRows(
            title=d.name,
            options=[o.name for o in d.options],
            own=d.reference,
            taken=np.array([places[d.id][t[d.id]] for t in taken], dtype=np.intp),
            beside=[
                "" if (p := _option(view, declared, exposure, d, i)) is None else fixed(p.y, 2)
                for i in range(len(d.options))
            ],
        )
        for d in varied
    ]
    own = next((i for i, s in enumerate(rows) if s.choices == declared.words(declared.reference)), None)
    estimate = np.array([s.estimate for s in rows], dtype=np.float64)
    low, high = (
        np.array([np.nan if getattr(s, name) is None else getattr(s, name) for s in rows], dtype=np.float64)
        for name in ("conf_low", "conf_high")
    )
    title = f"Specification curve: {view.label(exposure)}"
    return Drawing(
        id=f"{declared.id}_{exposure}",
        title=title,
        about=f"{view.label(exposure)}, {view.category(exposure, view.headline(exposure))}.",
        caption=(
            f"{count(len(rows))} specifications in the order of their ratios, with their intervals. Below, the darker, "
            "the more of the neighbouring specifications took an option; diamonds and the vertical line mark the main "
            "analysis. On the right, the median ratio under each option."
        ),
        figure=specification_figure(
            estimate,
            low,
            high,
            decisions,
            own=own,
            median=float(np.exp(np.median(np.log(estimate)))),
            y_label="Ratio (log scale)",
            title=title,
            simulated=view.simulated,
            width=view.width,
        ),
    )


def _shares_drawing(view: View, declared: Multiverse, exposures: Sequence[str]) -> Drawing | None:
    ids = [*(d.id for d in declared.decisions), INTERACTIONS]
    names = [*(d.name for d in declared.decisions), "Interactions of decisions"]
    shown = []
    for e in exposures:
        rows = [_row(view, declared, e, "share_of_variance", i) for i in ids]
        if all(row is not None for row in rows):
            shown.append((view.label(e), [row.estimate for row in rows if row is not None]))
    if not shown:
        return None
    title = "Which choices move the estimate"
    return Drawing(
        id=f"{declared.id}_variance",
        title=title,
        caption="Shares of the variance of the log ratios over all specifications that go with each decision.",
        figure=shares_figure(
            names, shown, x_label="Share of variance, %", title=title, simulated=view.simulated, width=view.width
        ),
    )
