"""The steps from data to fits in two runs, each the same in both or not: from which on do they differ?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from walkrisk.comparisons.declared_differences import declared_differences, key_list
from walkrisk.comparisons.sides import Side
from walkrisk.estimates.numbers import count, fixed, ratio_interval
from walkrisk.estimates.pairs import CountPair, Pair, Paired, close
from walkrisk.estimates.results import Results

State = Literal["same", "differs", "unknown"]
Labels = tuple[str, str]
MOST_KEYS = 8
COUNTED_AS = {"n": "people", "events": "events"}
OF_RESULTS = ("facts", "flow", "cut points", "counts", "model", "fits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step: whether both have it alike, where it first differs (`at`), and sentences.

    "unknown" is a step one of them does not tell, or tells with counts hidden, where nothing known differs.
    """

    name: str
    title: str
    state: State
    at: str = ""
    words: tuple[str, ...] = ()


def inputs(a: Side, b: Side) -> Stage:
    """The participants' file and the table of days, by their hashes."""
    prints = [(s.data.get("sha256"), (s.data.get("days") or {}).get("sha256")) for s in (a, b)]
    title = "Data"
    if prints[0] == prints[1]:
        return Stage(
            name="data", title=title, state="same", words=(f"The same data (SHA-256 {str(prints[0][0])[:12]}).",)
        )
    what = "participants' files" if prints[0][0] != prints[1][0] else "tables of days"
    return Stage(name="data", title=title, state="differs", words=(f"The {what} are not the same.",))


def declaration(a: Side, b: Side, labels: Labels) -> Stage:
    """The declared studies, key by key."""
    keys = declared_differences(a.declared, b.declared)
    if not keys:
        return Stage(name="declaration", title="Declaration", state="same", words=("The same study.",))
    more = f"; and {len(keys) - MOST_KEYS} more" if len(keys) > MOST_KEYS else ""
    named = "; ".join(key_list(keys, labels, most=MOST_KEYS))
    noun = "1 key differs" if len(keys) == 1 else f"{len(keys)} keys differ"
    return Stage(
        name="declaration", title="Declaration", state="differs", at=keys[0].key, words=(f"{noun}: {named}{more}.",)
    )


def flow_pairs(a: Results, b: Results) -> tuple[CountPair, ...]:
    """The counts of every step of the participant flow that both have."""
    theirs = {s.step: s for s in b.flow}
    return tuple(
        CountPair(place=("flow", s.step), what=what, a=getattr(s, what), b=getattr(theirs[s.step], what))
        for s in a.flow
        if s.step in theirs
        for what in ("n_before", "n_excluded", "n_after")
    )


def flow(a: Results, b: Results, labels: Labels, *, hidden: bool) -> Stage:
    """The participant flow: the first step whose counts differ, or that only one has."""
    pairs = {p.place[1]: p for p in flow_pairs(a, b) if p.what == "n_after"}
    differing = {p.place[1] for p in flow_pairs(a, b) if p.differs}
    alone = {s.step for s in a.flow} ^ {s.step for s in b.flow}
    first = next(
        (s for s in _in_order([s.step for s in a.flow], [s.step for s in b.flow]) if s in differing | alone), ""
    )
    if not first:
        unknown = any(p.unknown for p in flow_pairs(a, b))
        words = f"The same {len(pairs)} step(s) with the same counts{' where both show them' if unknown else ''}."
        return Stage(name="flow", title="Participant flow", state="unknown" if unknown else "same", words=(words,))
    if first in alone:
        words = f"Step {first} is in {labels[0] if any(s.step == first for s in a.flow) else labels[1]} only."
    else:
        left = "" if hidden else _both(pairs[first], labels, "people are left")
        words = f"From step {first} on{left}."
    return Stage(name="flow", title="Participant flow", state="differs", at=f"step {first}", words=(words,))


def _in_order(a: Sequence[str], b: Sequence[str]) -> Iterator[str]:
    """The steps of both in their order: those of b that a has not, where b has them."""
    done: set[str] = set()
    for step in a:
        if step in b:
            for other in b[: b.index(step)]:
                if other not in a and other not in done:
                    done.add(other)
                    yield other
        yield step
    yield from (step for step in b if step not in a and step not in done)


def _both(pair: CountPair, labels: Labels, what: str) -> str:
    return f": {count(pair.a)} {what} in {labels[0]}, {count(pair.b)} in {labels[1]}"


def cut_points(a: Results, b: Results, labels: Labels) -> Stage:
    """Cut points and knots, by analysis, exposure and name."""
    ours, theirs = ({(c.analysis, c.exposure, c.cut): c.value for c in r.cutpoints} for r in (a, b))
    apart = [k for k in ours if k in theirs and not close(ours[k], theirs[k])]
    alone = [k for k in (*ours, *theirs) if (k in ours) != (k in theirs)]
    both = sum(k in theirs for k in ours)
    if not apart and not alone:
        return Stage(name="cut points", title="Cut points", state="same", words=(f"The same {both} cut points.",))
    words = []
    if apart:
        far = max(apart, key=lambda k: _apart(ours[k], theirs[k]))
        words.append(
            f"{len(apart)} of {both} differ; the most: {' '.join(far)}, {_number(ours[far])} in {labels[0]}, "
            f"{_number(theirs[far])} in {labels[1]}."
        )
    if alone:
        words.append(f"{len(alone)} are in one of the two only ({' '.join(alone[0])}{', ...' if alone[1:] else ''}).")
    return Stage(
        name="cut points", title="Cut points", state="differs", at=" ".join((apart or alone)[0][:2]), words=tuple(words)
    )


def _apart(x: float, y: float) -> float:
    return abs(x - y) / (max(abs(x), abs(y)) or 1.0)


def _number(value: float) -> str:
    return f"{value:.6g}"


def counts(pairs: Sequence[CountPair], labels: Labels, *, hidden: bool) -> Stage:
    """People and events of the categories that both have."""
    title = "People and events by category"
    apart = [p for p in pairs if p.differs]
    unknown = sum(p.unknown for p in pairs)
    kept = f" {unknown} are not shown in one of the two." if unknown else ""
    if not apart:
        words = f"The same {len(pairs) - unknown} counts.{kept}"
        return Stage(name="counts", title=title, state="unknown" if unknown else "same", words=(words,))
    first = apart[0]
    where = " ".join(p for p in first.place if p)
    example = "" if hidden else f"; the first: {where}{_both(first, labels, COUNTED_AS[first.what])}"
    words = f"{len(apart)} of {len(pairs)} counts differ{example}.{kept}"
    return Stage(name="counts", title=title, state="differs", at=where, words=(words,))


def model(paired: Paired, a: Results, b: Results, labels: Labels) -> Stage:
    """Estimates of every kind and curves: how many differ, and the ratio that does most."""
    apart = [p for p in paired.pairs if p.differs or p.but_for]
    curve = _curves(a, b)
    alone = len(paired.only_a) + len(paired.only_b)
    told = [p for p in paired.pairs if p.a.estimate is not None or p.b.estimate is not None]
    empty = len(paired.pairs) - len(told)
    rest = f" {empty} are empty in both, or not shown." if empty else ""
    if not apart and not curve and not alone:
        return Stage(name="model", title="Estimates", state="same", words=(f"The same {len(told)} estimates.{rest}",))
    words = [f"{sum(p.differs for p in told)} of {len(told)} estimates differ.{rest}"]
    for part in (("variance",), ("method", "variance")):
        n = sum(p.but_for == part for p in paired.pairs)
        if n:
            words.append(f"{n} pairs have another {' and '.join(part)}.")
    ratios = [p for p in paired.ratios if p.differs]
    if ratios and ratios[0].log_difference:
        words.append(f"The ratio that differs most: {pair_words(ratios[0], labels)}.")
        overlap = [p.limits_overlap for p in paired.ratios if p.limits_overlap is not None]
        words.append(f"The limits of {sum(overlap)} of {len(overlap)} ratios overlap.")
    if curve:
        words.append(f"Curves: the largest ratio of ratios at the same value is {fixed(curve, 3)}.")
    if alone:
        words.append(
            f"{count(len(paired.only_a))} estimates are in {labels[0]} only, {count(len(paired.only_b))} in "
            f"{labels[1]} only."
        )
    at = "" if not apart else " ".join(p for p in (apart[0].a.analysis, apart[0].a.exposure, apart[0].a.model) if p)
    return Stage(name="model", title="Estimates", state="differs", at=at, words=tuple(words))


def pair_words(pair: Pair, labels: Labels) -> str:
    """A pair of ratios in a line: place, both with their limits, ratio of ratios and its size in standard errors."""
    a, b = pair.a, pair.b
    place = " ".join(p for p in (a.analysis, a.exposure, a.stratum, a.level, a.model) if p)
    sides = [
        f"{ratio_interval(e.estimate, e.conf_low, e.conf_high)} in {label}"
        for e, label in zip((a, b), labels, strict=True)
        if e.estimate is not None
    ]
    z = "" if pair.z is None else f", {fixed(abs(pair.z), 1)} standard errors"
    return f"{place}: {', '.join(sides)}; ratio of ratios {fixed(pair.difference, 3)}{z}"


def _curves(a: Results, b: Results) -> float:
    """The largest ratio of ratios of two curves at the same value, at least 1; 0 where none differ."""
    theirs = {(c.analysis, c.exposure, c.stratum, c.model, c.x): c for c in b.curves}
    largest = 0.0
    for c in a.curves:
        other = theirs.get((c.analysis, c.exposure, c.stratum, c.model, c.x))
        if other and not close(c.estimate, other.estimate) and min(c.estimate, other.estimate) > 0:
            largest = max(largest, abs(math.log(c.estimate / other.estimate)))
    return math.exp(largest) if largest else 0.0


def fits(a: Results, b: Results) -> Stage:
    """The diagnostics of the fits that both have: convergence, boundary, parameters, remarks."""
    ours, theirs = ({(d.analysis, d.exposure, d.stratum, d.model, d.method): d for d in r.diagnostics} for r in (a, b))
    both = [(ours[k], theirs[k]) for k in ours if k in theirs]
    said: Mapping[str, int] = {
        what: sum(getattr(x, name) != getattr(y, name) for x, y in both)
        for name, what in (
            ("converged", "convergence"),
            ("boundary", "lying on the boundary"),
            ("parameters", "the number of parameters"),
            ("warnings", "remarks"),
        )
    }
    apart = [f"{n} differ{'s' * (n == 1)} in {what}" for what, n in said.items() if n]
    alone = len(ours) + len(theirs) - 2 * len(both)
    words = [f"Of {len(both)} fits, {', '.join(apart)}."] if apart else [f"The same {len(both)} fits."]
    words += [f"{alone} are in one of the two only."] if alone else []
    return Stage(name="fits", title="Fits", state="differs" if apart or alone else "same", words=tuple(words))


def parts_at(stages: Sequence[Stage]) -> Stage | None:
    """The first step of the results from which on the two differ; None if they do not."""
    return next((s for s in stages if s.name in OF_RESULTS and s.state == "differs"), None)
