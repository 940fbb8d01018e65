"""A run beside a publication: its other numbers, then its ratios, as they are printed."""

from __future__ import annotations

from collections.abc import Sequence

from walkrisk.comparisons.sides import Side
from walkrisk.comparisons.stages import Labels, Stage, pair_words
from walkrisk.estimates.numbers import fixed, ratio_interval
from walkrisk.estimates.pairs import CountPair, Pair, Paired
from walkrisk.estimates.rows import Estimate
from walkrisk.tables.side_by_side import CharacteristicValue, Published, PublishedFact, value_of


def fact_pairs(published: Published, run: Side) -> tuple[CountPair, ...]:
    """The published counts beside those of the run."""
    out = []
    for fact in published.facts:
        obtained = _obtained(fact, run)
        if obtained is not None and _is_count(fact):
            out.append(CountPair(place=("published", fact.label), what="n", a=round(obtained), b=round(fact.value)))
    return tuple(out)


def facts(published: Published, run: Side, *, hidden: bool) -> Stage:
    """The other published numbers that the run has too, as printed."""
    found = [(f, o) for f in published.facts if (o := _obtained(f, run)) is not None]
    apart = [(f, o) for f, o in found if fixed(f.value, f.decimals) != fixed(o, f.decimals)]
    title = "Sample"
    if not apart:
        return Stage(name="facts", title=title, state="same", words=(f"The same {len(found)} numbers, as printed.",))
    first, obtained = apart[0]
    shown = f": {fixed(obtained, first.decimals)} obtained, {fixed(first.value, first.decimals)} published"
    example = "" if hidden and _is_count(first) else shown
    words = f"{len(apart)} of {len(found)} numbers differ as printed; the first: {first.label}{example}."
    return Stage(name="facts", title=title, state="differs", at=first.label, words=(words,))


def ratios(paired: Paired, missing: int, labels: Labels) -> Stage:
    """The published ratios beside the obtained ones, as printed; `missing` of them the run does not have."""
    pairs = paired.ratios
    apart = [p for p in pairs if _printed(p.a) != _printed(p.b)]
    title = "Estimates"
    words = [f"{len(apart)} of {len(pairs)} ratios differ as printed."]
    if pairs:
        words.append(f"The ratio that differs most: {pair_words(pairs[0], labels)}.")
        words.append(f"The limits of {overlaps(pairs)} overlap.")
    if missing:
        words.append(f"{missing} published ratio(s) have no counterpart in the run.")
    return Stage(
        name="model",
        title=title,
        state="differs" if apart or missing else "same",
        at=" ".join((apart[0].a.analysis, apart[0].a.exposure)) if apart else "",
        words=tuple(words),
    )


def overlaps(pairs: Sequence[Pair]) -> str:
    """How many ratios have limits that overlap: "5 of 6 ratios"."""
    known = [p.limits_overlap for p in pairs if p.limits_overlap is not None]
    return f"{sum(known)} of {len(known)} ratios"


def _printed(e: Estimate) -> str:
    return "" if e.estimate is None else ratio_interval(e.estimate, e.conf_low, e.conf_high)


def _obtained(fact: PublishedFact, run: Side) -> float | None:
    return None if fact.obtained is None else value_of(fact.obtained, run.results)


def _is_count(fact: PublishedFact) -> bool:
    source = fact.obtained
    return not isinstance(source, CharacteristicValue) or source.statistic == "count"
