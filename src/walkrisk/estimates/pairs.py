"""The estimates of two runs put beside each other, a pair for every row that both have.

References: Altman & Bland 2003 doi 10.1136/bmj.326.7382.219 (the difference of two estimates over its standard error);
Bland & Altman 1986 doi 10.1016/S0140-6736(86)90837-8 (differences against means, limits of agreement).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from walkrisk.estimates.results import Diagnostic
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.suppression import is_small
from walkrisk.estimates.withheld import COUNTED, RATIOS

KEY = ("analysis", "exposure", "stratum", "level", "reference", "model", "estimand", "method", "variance")
LOOSER: tuple[tuple[str, ...], ...] = ((), ("variance",), ("method", "variance"))
ON_THE_LOG = (*RATIOS, "synergy")
ON_THEIR_OWN = ("risk", "risk_difference", "reri", "ap")  # estimands whose standard error is on the estimate's scale
SAME = 1e-9  # relative difference up to which two numbers are the same but for the last digits
Z_95 = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The same estimate in two runs; `but_for` names the parts of the key in which the rows differ all the same."""

    a: Estimate
    b: Estimate
    but_for: tuple[str, ...] = ()

    @property
    def on_log(self) -> bool:
        """Whether the two are compared by their ratio and not by their difference."""
        return self.a.estimand in ON_THE_LOG

    @property
    def is_reference(self) -> bool:
        """Whether it is a reference category, whose ratio is 1 by definition."""
        return self.a.estimand in RATIOS and self.a.level == self.a.reference

    @property
    def log_difference(self) -> float | None:
        """log(B) - log(A) of ratios."""
        if not self.on_log or not self.a.estimate or not self.b.estimate or min(self.a.estimate, self.b.estimate) <= 0:
            return None
        return math.log(self.b.estimate / self.a.estimate)

    @property
    def difference(self) -> float | None:
        """B/A of ratios, B - A of anything else; None where one of the two is not there."""
        if self.on_log:
            return None if self.log_difference is None else math.exp(self.log_difference)
        if self.a.estimate is None or self.b.estimate is None:
            return None
        return self.b.estimate - self.a.estimate

    @property
    def std_error(self) -> float | None:
        """Standard error of the difference (of the log for ratios) as if the two were of different people.

        Of the same or some of the same people it is smaller: the two then go up and down together.
        """
        if self.a.estimand not in (*ON_THE_LOG, *ON_THEIR_OWN) or not self.a.std_error or not self.b.std_error:
            return None
        return math.hypot(self.a.std_error, self.b.std_error)

    @property
    def z(self) -> float | None:
        """The difference over `std_error`."""
        size = self.log_difference if self.on_log else self.difference
        return None if size is None or self.std_error is None else size / self.std_error

    @property
    def limits_overlap(self) -> bool | None:
        """Whether the confidence limits overlap; None where one has none."""
        a, b = self.a, self.b
        if a.conf_low is None or a.conf_high is None or b.conf_low is None or b.conf_high is None:
            return None
        return a.conf_low <= b.conf_high and b.conf_low <= a.conf_high

    @property
    def differs(self) -> bool:
        """Whether estimate, limits or P value are others, beyond the last digits."""
        names = ("estimate", "conf_low", "conf_high", "p_value")
        return any(not close(getattr(self.a, n), getattr(self.b, n)) for n in names)

    @property
    def size(self) -> float:
        """How far the two are apart, to sort by: |log ratio of ratios|, else |z|; what is in one only comes first."""
        if (self.a.estimate is None) != (self.b.estimate is None):
            return math.inf
        return abs((self.log_difference if self.on_log else self.z) or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Pairs in the order of the first run, and how many rows of each have no counterpart."""

    pairs: tuple[Pair, ...]
    only_a: tuple[Estimate, ...]
    only_b: tuple[Estimate, ...]

    @property
    def ratios(self) -> tuple[Pair, ...]:
        """The pairs of ratios that both runs have, references left out, largest difference first."""
        found = [p for p in self.pairs if p.a.estimand in RATIOS and not p.is_reference and p.difference is not None]
        return tuple(sorted(found, key=lambda p: -p.size))


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Mean of the log differences of pairs as a ratio, and the limits mean -+ 1.96 SD (None with fewer than three)."""

    n: int
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CountPair:
    """One count in two runs; `place` says of what. None is a count that one of them does not show."""

    place: tuple[str, ...]
    what: str
    a: int | None
    b: int | None

    @property
    def differs(self) -> bool:
        """Whether both are known and differ."""
        return self.a is not None and self.b is not None and self.a != self.b

    @property
    def unknown(self) -> bool:
        """Whether one of them is not shown."""
        return self.a is None or self.b is None


def close(a: float | None, b: float | None) -> bool:
    """Whether two numbers are the same but for the last digits; None is only itself."""
    if a is None or b is None:
        return a is b
    return a == b or math.isclose(a, b, rel_tol=SAME, abs_tol=1e-300) or (math.isnan(a) and math.isnan(b))


def pair_estimates(a: Sequence[Estimate], b: Sequence[Estimate]) -> Paired:
    """Rows of the same analysis, exposure, stratum, level, reference, model, estimand, method and variance.

    What is left is paired without the variance, then without the method too, so that a run with another variance can
    be compared at all; rows that agree in their key are paired in their order.
    """
    found: list[tuple[int, Pair]] = []
    rest_a, rest_b = dict(enumerate(a)), dict(enumerate(b))
    for left_out in LOOSER:
        waiting: dict[tuple[str, ...], list[int]] = {}
        for i, row in rest_b.items():
            waiting.setdefault(_key(row, left_out), []).append(i)
        for i, row in list(rest_a.items()):
            places = waiting.get(_key(row, left_out))
            if places:
                del rest_a[i]
                found.append((i, Pair(a=row, b=rest_b.pop(places.pop(0)), but_for=left_out)))
    pairs = tuple(pair for _, pair in sorted(found, key=lambda f: f[0]))
    return Paired(pairs=pairs, only_a=tuple(rest_a.values()), only_b=tuple(rest_b.values()))


def _key(row: Estimate, left_out: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(getattr(row, name)) for name in KEY if name not in left_out)


def agreement(pairs: Iterable[Pair]) -> Agreement | None:
    """Bland and Altman's limits of agreement of ratios, as ratios of ratios; None without a pair."""
    logs = [p.log_difference for p in pairs if p.log_difference is not None]
    if not logs:
        return None
    mean = fmean(logs)
    half = Z_95 * stdev(logs) if len(logs) > 2 else None
    low, high = (None, None) if half is None else (math.exp(mean - half), math.exp(mean + half))
    return Agreement(n=len(logs), mean=math.exp(mean), low=low, high=high)


# ---------------------------------------------------------------- counts

Block = tuple[str, str, str]
Counts = tuple[int | None, int | None]


def pair_counts(a: Sequence[Estimate], b: Sequence[Estimate]) -> tuple[CountPair, ...]:
    """People and events of every category that both runs have, by analysis, exposure, stratum and level."""
    ours, theirs = _counted(a), _counted(b)
    return tuple(
        CountPair(place=place, what=what, a=ours[place][i], b=theirs[place][i])
        for place in ours
        if place in theirs
        for i, what in enumerate(("n", "events"))
    )


def _counted(rows: Sequence[Estimate]) -> dict[tuple[str, str, str, str], Counts]:
    """(analysis, exposure, stratum, level) -> people and events, of rows that count the people of a category."""
    out: dict[tuple[str, str, str, str], Counts] = {}
    for e in rows:
        if e.estimand in COUNTED:
            out.setdefault((e.analysis, e.exposure, e.stratum, e.level), (e.n, e.events))
    return out


def fitted_counts(rows: Iterable[Diagnostic]) -> dict[Block, Counts]:
    """(analysis, exposure, stratum) -> people and events of its fits, of the first that tells them."""
    out: dict[Block, Counts] = {}
    for d in rows:
        place = (d.analysis, d.exposure, d.stratum)
        if d.n is not None and out.get(place, (None, None))[0] is None:
            out[place] = (d.n, d.events)
    return out


def gives_small(
    pairs: Sequence[CountPair],
    *,
    min_cell: int,
    totals: tuple[Mapping[Block, Counts], Mapping[Block, Counts]] = ({}, {}),
) -> bool:
    """Whether the counts of two runs beside each other, or one of them alone, give a count of 1..min_cell - 1.

    That is of people, of events, of people without event: of each category, of all categories of a block, and, where
    the size of the whole is told (`totals`, of both), of the categories together that one of the two does not show.
    """
    return any(
        is_small(abs(value), min_cell)
        for a, b in _sums(pairs, totals)
        for value in (a, b, _minus(a, b))
        if value is not None
    )


def _sums(
    pairs: Sequence[CountPair], totals: tuple[Mapping[Block, Counts], Mapping[Block, Counts]]
) -> Iterator[Counts]:
    for place, block in by_block(pairs).items():
        cells = {(p.place[-1], p.what): (p.a, p.b) for p in block}
        levels = list(dict.fromkeys(level for level, _ in cells))
        for level in levels:
            n, events = cells[level, "n"], cells[level, "events"]
            cells[level, "rest"] = (_minus(n[0], events[0]), _minus(n[1], events[1]))
        yield from cells.values()
        for i, what in enumerate(("n", "events", "rest")):
            every = [cells[level, what] for level in levels]
            shown = _added([c for c in every if None not in c])
            whole = _added(every)
            yield whole
            if what != "rest" and None in whole:
                known = [side.get(place, (None, None))[i] for side in totals]
                yield _minus(known[0], shown[0]), _minus(known[1], shown[1])


def _minus(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a - b


def _added(counts: Sequence[Counts]) -> Counts:
    a, b = ([c[side] for c in counts] for side in (0, 1))
    return _sum(a), _sum(b)


def _sum(values: Sequence[int | None]) -> int | None:
    known = [v for v in values if v is not None]
    return sum(known) if len(known) == len(values) else None


def by_block(pairs: Sequence[CountPair]) -> Mapping[Block, list[CountPair]]:
    """Count pairs by analysis, exposure and stratum."""
    out: dict[Block, list[CountPair]] = {}
    for p in pairs:
        out.setdefault((p.place[0], p.place[1], p.place[2]), []).append(p)
    return out
