"""The account of a misclassified outcome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from walkrisk.accounts.account import Account, Drawing, Line, View
from walkrisk.accounts.facts import Sentence, number_of, ratio_of, sentence, words
from walkrisk.estimates.numbers import fixed
from walkrisk.estimates.rows import Estimate
from walkrisk.figures.panels import Mark, Panel, panel_figure
from walkrisk.studies.measurement import MisclassifiedOutcome
from walkrisk.tables.table import Head, Row, Table

PROBABILISTIC, SYSTEMATIC = "probabilistic", "probabilistic, without random error"
ABSENT = "–"


def misclassified_account(view: View, declared: MisclassifiedOutcome) -> Account:
    """What a correction for a misclassified outcome amounts to."""
    followed = declared.exposures or view.followed
    rows = [
        r for e in followed for r in view.rows(declared.id, exposure=e, stratum=PROBABILISTIC) if r.level != r.reference
    ]
    return Account(
        id=declared.id,
        title=declared.title,
        group="Measurement error",
        methods=tuple(_methods(view, declared)),
        sentences=tuple(_sentences(view, declared, followed)),
        tables=(_table(view, declared, followed),),
        drawings=tuple(_drawings(view, declared, followed)),
        lines=(Line(declared.title, tuple(rows)),) if rows else (),
    )


def _methods(view: View, declared: MisclassifiedOutcome) -> Iterator[str]:
    estimator = (
        "an unbiased score: the modified Poisson regression of what each answer is worth, the answer less the "
        "false-positive share over sensitivity and specificity less one"
        if declared.estimator == "score"
        else "the binomial likelihood of the answers"
    )
    yield (
        "The main model was fitted to the true risks behind the answers, given a sensitivity and a specificity, by "
        f"{estimator}; {declared.draws} pairs were drawn, the model refitted for each, and random error added with "
        "the standard error of that fit. Pairs that would leave a category no true cases contradict the data and "
        "were set aside."
    )
    source = f" ({declared.source})" if declared.source else ""
    if declared.kappa:
        low, high = declared.kappa
        between = f"{low:g} to {high:g}" if low != high else f"{low:g}"
        where = "where kappa was measured" if declared.observed else "here, for want of that where kappa was measured"
        yield (
            f"Sensitivity and specificity were taken from the item's kappa of {between}{source}: if two answers are "
            "equally good and, given the truth, wrong independently of each other, kappa = (Se - q)(Sp - (1 - q)) / "
            f"(q (1 - q)), where q is the share that says yes {where}. Kappa was drawn evenly from its range, then "
            "the specificity evenly from its lowest possible value to 1, which gives the sensitivity. Answers that "
            "repeat the same mistake, or a truth that changed in between, would need other pairs."
        )
    else:
        priors = [
            f"{name.replace('_', ' of the ', 1) if name.endswith('_reference') else name} {prior.words()}"
            for name in ("sensitivity", "specificity", "sensitivity_reference", "specificity_reference")
            if (prior := getattr(declared, name)) is not None
        ]
        differs = declared.sensitivity_reference is not None or declared.specificity_reference is not None
        rest = (
            f" The priors of the reference category and of the others had a correlation of {declared.correlation:g}."
            if differs
            else " They were the same for everyone."
        )
        yield f"Priors{source}: {'; '.join(priors)}.{rest}"
    yield (
        "Errors of the same item at baseline, where it decided who was eligible, are not corrected. Sensitivity and "
        "specificity measured in other people are carried over to these."
    )


def _sentences(view: View, declared: MisclassifiedOutcome, followed: Sequence[str]) -> Iterator[Sentence]:
    for exposure in followed:
        level = view.headline(exposure)
        total = _one(view, declared.id, exposure, PROBABILISTIC, level)
        alone = _one(view, declared.id, exposure, SYSTEMATIC, level)
        counted = {r.level: r for r in view.rows(declared.id, exposure=exposure, estimand="count")}
        if total is None or alone is None:
            yield sentence("{exposure}: no corrected ratio was found.", exposure=words(view.label(exposure)))
            continue
        yield sentence(
            "{exposure}: the ratio of {level} was {main} as answered; corrected, the median over draws was {total} "
            "with random error and {alone} without; {aside} of {draws} draws were set aside.",
            exposure=words(view.label(exposure)),
            level=words(view.category(exposure, level)),
            main=ratio_of(view.main(exposure, level)),
            total=ratio_of(total),
            alone=ratio_of(alone),
            aside=number_of(counted["set aside"], "estimate", "count"),
            draws=number_of(counted["draws"], "estimate", "count"),
        )


def _one(view: View, analysis: str, exposure: str, stratum: str, level: str) -> Estimate | None:
    rows = view.rows(analysis, exposure=exposure, stratum=stratum, level=level)
    return next((r for r in rows if r.estimate is not None), None)


def _number(view: View, analysis: str, exposure: str, stratum: str, estimand: str, level: str = "") -> Estimate | None:
    rows = view.rows(analysis, exposure=exposure, stratum=stratum, level=level, estimand=estimand)
    return next(iter(rows), None)


def _table(view: View, declared: MisclassifiedOutcome, followed: Sequence[str]) -> Table:
    """Given values in rows, then the draws; a column for each exposure's category of the summary."""
    first = followed[0]
    strata = dict.fromkeys(
        r.stratum for r in view.rows(declared.id, exposure=first, estimand="specificity") if r.level == ""
    )
    rows = []
    main = [view.cell(view.main(e, view.headline(e))) for e in followed]
    blank = (ABSENT,) * (4 if declared.kappa else 3)
    rows.append(Row(cells=("As answered", *blank, *main)))
    for stratum in strata:
        about = [
            _pair(view, declared.id, first, stratum, estimand)
            for estimand in (*(["kappa"] if declared.kappa else []), "sensitivity", "specificity")
        ]
        share = _number(view, declared.id, first, stratum, "true_share")
        about.append(ABSENT if share is None or share.estimate is None else f"{fixed(100 * share.estimate, 1)}%")
        found = [view.cell(_one(view, declared.id, e, stratum, view.headline(e))) for e in followed]
        rows.append(Row(cells=("Given values", *about, *found)))
    for stratum, name in ((SYSTEMATIC, "Drawn values"), (PROBABILISTIC, "Drawn values, with random error")):
        found = [view.cell(_one(view, declared.id, e, stratum, view.headline(e))) for e in followed]
        rows.append(Row(cells=(name, *blank, *found)))
    kappa = (Head("Kappa"),) if declared.kappa else ()
    return Table(
        id=declared.id,
        title=declared.title,
        header=(
            Head("Sensitivity and specificity", words=True),
            *kappa,
            Head("Sensitivity"),
            Head("Specificity"),
            Head("True share implied"),
            *(Head(f"{view.label(e)}: {view.category(e, view.headline(e))}") for e in followed),
        ),
        rows=tuple(rows),
        notes=(
            f"Adjusted ratios with {100 * view.study.settings.conf_level:g}% limits; of drawn values the median "
            "with simulation limits. Where two values stand, the second is that of the reference category.",
        ),
    )


def _pair(view: View, analysis: str, exposure: str, stratum: str, estimand: str) -> str:
    values = [_number(view, analysis, exposure, stratum, estimand, level) for level in ("", "reference")]
    return " / ".join(fixed(v.estimate, 2) for v in values if v is not None)


def _drawings(view: View, declared: MisclassifiedOutcome, followed: Sequence[str]) -> Iterator[Drawing]:
    panels = []
    for exposure in followed:
        level = view.headline(exposure)
        points = [p for p in view.points(declared.id, "corrected ratios", exposure=exposure) if p.level == level]
        main = view.main(exposure, level).estimate
        if not points:
            continue
        panels.append(
            Panel(
                title=f"{view.label(exposure)}: {view.category(exposure, level)}",
                x_label="Corrected ratio",
                y_label="Share of draws",
                marks=[Mark(kind="bars", x=[p.x for p in points], y=[p.y for p in points])],
                vertical=[(main, "as answered")] if main is not None else [],
                y_limits=(0.0, 1.2 * max(p.y or 0.0 for p in points)),  # room for the words
            )
        )
    pairs = view.points(declared.id, "kappa", exposure=followed[0])
    if pairs:
        marks = []
        for colour, item in enumerate(dict.fromkeys(p.item for p in pairs)):
            mine = [p for p in pairs if p.item == item]
            marks.append(
                Mark(kind="line", x=[p.x for p in mine], y=[p.y for p in mine], label=f"kappa {item}", colour=colour)
            )
        panels.append(
            Panel(
                title="Pairs that agree with the kappa",
                x_label="Specificity",
                y_label="Sensitivity",
                marks=marks,
                y_limits=(0.0, 1.05),
            )
        )
    if panels:
        caption = "Distribution over draws of the ratio corrected for misclassification, without random error" + (
            "; pairs of sensitivity and specificity that agree with the lowest and the highest kappa." if pairs else "."
        )
        yield Drawing(
            f"figure_{declared.id}",
            declared.title,
            caption,
            panel_figure(panels, simulated=view.simulated, width=view.width),
        )
