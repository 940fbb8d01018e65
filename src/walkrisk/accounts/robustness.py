"""What leaving out single people, and groups of people, amounts to: counts and ratios, never who."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from walkrisk.accounts.account import Account, Drawing, Line, View
from walkrisk.accounts.facts import Fact, Sentence, count_of, number_of, ratio_of, sentence, setting, words
from walkrisk.accounts.selection import shown
from walkrisk.estimates.numbers import count, fixed
from walkrisk.estimates.results import Point
from walkrisk.estimates.rows import Estimate
from walkrisk.figures.panels import Mark, Panel, panel_figure
from walkrisk.sensitivity.influence import Bin, merged
from walkrisk.studies.robustness import Influence, Jackknife
from walkrisk.tables.cells import ABSENT
from walkrisk.tables.table import Head, Row, Table

GROUP = "Influence and form"


def accounts(view: View) -> Iterator[Account]:
    """The declared accounts of influence and of the jackknife."""
    for single in view.study.sensitivity.influence:
        yield _influence(view, single)
    for groups in view.study.sensitivity.jackknives:
        yield _jackknife(view, groups)


# ---------------------------------------------------------------- single people


def _influence(view: View, declared: Influence) -> Account:
    exposures = declared.exposures or view.followed
    return Account(
        id=declared.id,
        title=declared.title,
        group=GROUP,
        methods=(
            f"What leaving out one person would change in each log ratio was computed {_how(view)}; changes are in "
            "standard errors of the log ratio. The customary mark of an influential person is twice the inverse root "
            "of the number of people (Belsley, Kuh and Welsch 1980).",
            "The fewest people whose absence would change what is read from a ratio were looked for as by Broderick, "
            "Giordano and Meager (2020): those whose absence moves it most in that direction, by the derivative of "
            "the fit in their weights, are left out first; how many it takes was then found by fitting again without "
            "them, so that the count is enough, while a cleverer choice might do with fewer. Such people are picked by "
            "what happened to them: the count measures how much rests on how few, and is no estimate without them.",
        ),
        sentences=tuple(s for e in exposures for s in _influence_sentences(view, declared, e)),
        tables=(_influence_table(view, declared, exposures),),
        drawings=_influence_drawings(view, declared, exposures),
    )


def _how(view: View) -> str:
    if (view.analysis.method or view.study.settings.method) == "cox":
        return "for everyone to first order, from the score residuals"
    return "for everyone by one Newton step from the maximum, and for those it moves most by fitting again"


def _numbers(view: View, declared: Influence, exposure: str, level: str) -> dict[tuple[str, str], Estimate]:
    kinds = ("count", "share", "change_in_se", "risk_ratio", "odds_ratio", "hazard_ratio", "cook_distance")
    rows = view.rows(declared.id, exposure=exposure, level=level, estimand=kinds)
    return {(r.stratum, "ratio" if r.estimand.endswith("_ratio") else r.estimand): r for r in rows}


def _influence_sentences(view: View, declared: Influence, exposure: str) -> Iterator[Sentence]:
    level, least = view.headline(exposure), view.guard.min_cell
    found = _numbers(view, declared, exposure, level)
    if not found:
        yield sentence(
            "{exposure}: what rests on single people could not be computed (see the diagnostics).",
            exposure=words(view.label(exposure)),
        )
        return
    beyond = found["beyond_threshold", "count"]
    yield sentence(
        "{exposure}, {level}: {k} of {n} people would each change the log ratio by more than the mark if left out; the "
        "largest change by one person is {largest} standard errors.",
        exposure=words(view.label(exposure)),
        level=words(view.category(exposure, level)),
        k=count_of(beyond, "estimate", least),
        n=count_of(beyond, "n", least),
        largest=number_of(found["largest_change", "change_in_se"], "estimate", "fixed3"),
    )
    holding = _holds_one(view.main(exposure, level))
    for target, template in (
        ("null", "The ratio of {level} would reach or cross the value of no association"),
        ("limit", f"Its interval would {'no longer hold' if holding else 'hold'} that value"),
    ):
        row = found[f"to_{target}", "count"]
        facts = {"level": words(view.category(exposure, level))} if "{level}" in template else {}
        if row.n is None:
            yield sentence(
                template + " without fewer than {k} people, those on whom that rests most; it would then be {then}.",
                **facts,
                k=setting(least),
                then=ratio_of(found[f"without_to_{target}", "ratio"]),
            )
            continue
        if row.estimate is None:
            yield sentence(template + " for no number of people left out in that order.", **facts)
            continue
        share, then = found[f"to_{target}", "share"], found[f"without_to_{target}", "ratio"]
        small = row.estimate < least
        if not small:
            facts["share"] = number_of(share, "estimate", "percent1")
        yield sentence(
            template + " without {k} people" + ("" if small else " ({share})") + ", those on whom that rests most; it "
            "would then be {then}.",
            **facts,
            k=count_of(row, "estimate", least),
            then=ratio_of(then),
        )


def _holds_one(row: Estimate) -> bool:
    return (row.conf_low or 0.0) <= 1.0 <= (row.conf_high or float("inf"))


def _influence_table(view: View, declared: Influence, exposures: Sequence[str]) -> Table:
    rows = []
    for exposure in exposures:
        rows.append(Row(kind="heading", cells=(view.label(exposure),)))
        for level in view.levels(exposure):
            found = _numbers(view, declared, exposure, level)
            if found:
                main = view.main(exposure, level)
                cells = (view.category(exposure, level), shown(view, main), *_influence_cells(view, found))
                rows.append(Row(cells=cells, indent=1))
    parts = (Head("No. (%) of people"), Head("Ratio without them"))
    return Table(
        id=declared.id,
        title=declared.title,
        header=(
            Head("Category", words=True),
            Head("Main ratio"),
            Head("No. beyond the mark", "Twice the inverse root of the number of people, in standard errors."),
            Head("Largest change, SE"),
            Head("To bring the ratio to 1", parts=parts),
            Head(
                "To turn the interval",
                "Until an interval that excludes 1 holds it, or one that holds it excludes it.",
                parts=parts,
            ),
        ),
        rows=tuple(rows),
        notes=("Each count was found by fitting again; who these people are is neither kept nor shown.",),
    )


def _influence_cells(view: View, found: dict[tuple[str, str], Estimate]) -> Iterator[str]:
    least = view.guard.min_cell
    yield _guarded(found["beyond_threshold", "count"], least)
    yield fixed(found["largest_change", "change_in_se"].estimate, 3)
    for target in ("null", "limit"):
        row, share = found[f"to_{target}", "count"], found[f"to_{target}", "share"]
        if row.estimate is None and row.n is not None:
            yield "not reached"
            yield ABSENT
            continue
        text = _guarded(row, least)
        small = row.estimate is None or 0 < row.estimate < least
        yield text if small or share.estimate is None else f"{text} ({fixed(100 * share.estimate, 1)})"
        yield shown(view, found[f"without_to_{target}", "ratio"])


def _guarded(row: Estimate, least: int) -> str:
    """A count of people; one that is withheld, which has no `n` either, is a small one."""
    value = row.estimate
    return f"<{least}" if row.n is None or (value is not None and 0 < value < least) else count(value)


def _influence_drawings(view: View, declared: Influence, exposures: Sequence[str]) -> tuple[Drawing, ...]:
    panels = []
    for exposure in exposures:
        level = view.headline(exposure)
        points = [p for p in view.points(declared.id, "changes", exposure=exposure) if p.level == level]
        bars = _bars(points, view.guard.min_cell)
        if not bars:
            continue
        total = sum(p.n or 0 for p in points)
        mark = 2 / total**0.5
        panels.append(
            Panel(
                title=f"{view.label(exposure)}: {view.category(exposure, level)}",
                x_label="Change of the log ratio without one person, SE",
                y_label="People",
                marks=[Mark(kind="bars", x=[x for x, _ in bars], y=[y for _, y in bars])],
                vertical=[(-mark, ""), (mark, "")],
                log_y=True,
            )
        )
    if not panels:
        return ()
    caption = (
        "People by what leaving out each alone would change; dashed: twice the inverse root of the number of people. "
        "Tails are drawn flat where their bars were merged to hold enough people."
    )
    figure = panel_figure(panels, simulated=view.simulated, width=view.width)
    return (Drawing(f"figure_{declared.id}", declared.title, caption, figure),)


def _bars(points: Sequence[Point], least: int) -> list[tuple[float, float]]:
    """Bars of one width: merged bins are spread evenly over the bars they took in."""
    bins = [Bin(p.x, p.high, p.n or 0) for p in points if p.x is not None and p.high is not None]
    if not bins:
        return []
    width = bins[0].high - bins[0].low
    out = []
    for b in merged(bins, max(least, 1)):
        parts = max(1, round((b.high - b.low) / width))
        out += [(b.low + i * width, b.n / parts) for i in range(parts)]
    return out


# ---------------------------------------------------------------- groups of people


def _jackknife(view: View, declared: Jackknife) -> Account:
    exposures = declared.exposures or view.followed
    over = _over(view, declared)
    strata = f" within {view.variables[declared.strata].label}" if declared.strata else ""
    return Account(
        id=declared.id,
        title=declared.title,
        group=GROUP,
        methods=(
            f"The main model was fitted again without each group in turn: {over}{strata}. Categories of the exposure "
            "stayed as in the main analysis. Intervals are by the delete-one-group jackknife with Student's t on the "
            "groups less the strata (or less one).",
        ),
        sentences=tuple(s for e in exposures for s in _jackknife_sentences(view, declared, e)),
        tables=(_jackknife_table(view, declared, exposures),),
        drawings=_jackknife_drawings(view, declared, exposures),
        lines=(Line(declared.title, tuple(view.rows(declared.id, stratum=""))),),
    )


def _over(view: View, declared: Jackknife) -> str:
    if declared.random_groups:
        return "groups to which people were dealt at random"
    name = declared.over or view.study.design.cluster or ""
    return f"the values of {view.variables[name].label}"


def _group_rows(view: View, declared: Jackknife, exposure: str, level: str) -> dict[str, Estimate]:
    rows = [*view.rows(declared.id, exposure=exposure, level=level)]
    rows += view.rows(declared.id, exposure=exposure, level="", estimand="count")
    return {r.stratum: r for r in rows}


def _jackknife_sentences(view: View, declared: Jackknife, exposure: str) -> Iterator[Sentence]:
    level = view.headline(exposure)
    found = _group_rows(view, declared, exposure, level)
    if "smallest" not in found:
        yield sentence(
            "{exposure}: the ratio without groups in turn could not be computed (see the diagnostics).",
            exposure=words(view.label(exposure)),
        )
        return
    main = view.main(exposure, level)
    yield sentence(
        "{exposure}: without each of {groups} groups in turn the ratio of {level} lay between {smallest} and "
        "{largest}; leaving out the group that changes it most, of {people} people, gave {changed}.",
        exposure=words(view.label(exposure)),
        groups=number_of(found["groups"], "estimate", "count"),
        level=words(view.category(exposure, level)),
        smallest=number_of(found["smallest"], "estimate", "ratio"),
        largest=number_of(found["largest"], "estimate", "ratio"),
        people=count_of(found["largest_change"], "n", view.guard.min_cell),
        changed=number_of(found["largest_change"], "estimate", "ratio"),
    )
    facts: dict[str, Fact] = {
        "jackknife": ratio_of(found[""]),
        "main": ratio_of(main),
    }
    template = (
        "With its jackknife interval the ratio was {jackknife}, against {main} with the standard error of the main "
        "analysis"
    )
    if found[""].std_error is not None and main.std_error:
        template += "; the standard errors of the log ratio are {se} and {own}"
        facts |= {
            "se": number_of(found[""], "std_error", "fixed3"),
            "own": number_of(main, "std_error", "fixed3"),
        }
    yield sentence(template + ".", **facts)
    if found["lost"].estimate:
        yield sentence(
            "Without {lost} of the groups there is no estimate, so the interval leaves them out.",
            lost=number_of(found["lost"], "estimate", "count"),
        )


def _jackknife_table(view: View, declared: Jackknife, exposures: Sequence[str]) -> Table:
    rows = []
    for exposure in exposures:
        rows.append(Row(kind="heading", cells=(view.label(exposure),)))
        for level in view.levels(exposure):
            found = _group_rows(view, declared, exposure, level)
            if "smallest" not in found:
                continue
            main = view.main(exposure, level)
            ends = (fixed(found[k].estimate, 2) for k in ("smallest", "largest"))
            errors = (fixed(r.std_error, 4) for r in (main, found[""]))
            rows.append(
                Row(
                    cells=(view.category(exposure, level), shown(view, main), shown(view, found[""]), *errors, *ends),
                    indent=1,
                )
            )
    return Table(
        id=declared.id,
        title=declared.title,
        header=(
            Head("Category", words=True),
            Head("Main ratio"),
            Head("With jackknife interval"),
            Head("Standard error of the log ratio", parts=(Head("Main"), Head("Jackknife"))),
            Head("Ratio without one group", parts=(Head("Smallest"), Head("Largest"))),
        ),
        rows=tuple(rows),
    )


def _jackknife_drawings(view: View, declared: Jackknife, exposures: Sequence[str]) -> tuple[Drawing, ...]:
    panels = []
    for exposure in exposures:
        level = view.headline(exposure)
        points = [p for p in view.points(declared.id, "without", exposure=exposure) if p.level == level]
        if not points:
            continue
        panels.append(
            Panel(
                title=f"{view.label(exposure)}: {view.category(exposure, level)}",
                x_label="Groups left out, in order of the ratio",
                y_label="Ratio without the group",
                marks=[Mark(kind="dots", x=[p.x for p in points], y=[p.y for p in points])],
                horizontal=[(view.main(exposure, level).estimate or 1.0, "")],
                log_y=True,
            )
        )
    if not panels:
        return ()
    caption = "The main ratio without each group in turn; the line is the ratio of everyone."
    figure = panel_figure(panels, simulated=view.simulated, width=view.width)
    return (Drawing(f"figure_{declared.id}", declared.title, caption, figure),)
