"""Texts of table cells: percentages, differences, limits, counts that may not be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from walkrisk.estimates.disclosure import NOT_REPORTED, RatioCell, shown_count
from walkrisk.estimates.numbers import JAMA, Rounding, count, fixed
from walkrisk.estimates.risk_contrasts import number_needed
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.suppression import Mark

ABSENT = "–"
NOT_FITTED = "not estimable (see diagnostics)"
NO_CASES = "not estimable (no {events})"
NO_REFERENCE = "not estimable (no {events} in the reference)"
NOBODY = "not estimable (nobody in this category)"


def scaled_interval(e: Estimate, *, factor: float = 1.0, places: int = 2) -> str:
    """An estimate with its limits, each times `factor`: 2.1 (0.3 to 3.9); "-" stands between limits without a sign."""
    value = fixed(None if e.estimate is None else factor * e.estimate, places)
    if e.conf_low is None or e.conf_high is None:
        return value
    low, high = fixed(factor * e.conf_low, places), fixed(factor * e.conf_high, places)
    signed = any(text[0] not in "0123456789" for text in (value, low, high))
    return f"{value} ({low}{' to ' if signed else '-'}{high})"


def percent(e: Estimate, rounding: Rounding = JAMA) -> str:
    """A proportion in percent with its limits."""
    return scaled_interval(e, factor=100, places=rounding.risks)


def difference(e: Estimate, rounding: Rounding = JAMA) -> str:
    """A difference of risks in percentage points with its limits, always joined by "to"."""
    return scaled_interval(e, factor=100, places=rounding.risks).replace("-", " to ")


def needed(difference_row: Estimate) -> str:
    """The number needed for one more case (harm) or one fewer (benefit), from the row of its risk difference."""
    e = difference_row
    if e.estimate is None:
        return ABSENT
    nan = float("nan")
    found = number_needed(
        e.estimate, nan if e.conf_low is None else e.conf_low, nan if e.conf_high is None else e.conf_high
    )
    return found.text(0).replace("infinity", "∞")


def in_one_variance(rows: Sequence[Estimate], variance: str) -> list[Estimate]:
    """Of each fit's rows those of `variance`, or of the first it has (on a boundary limits are by profile)."""
    there: dict[tuple[str, ...], dict[str, None]] = {}
    for e in rows:
        there.setdefault(_fit_of(e), {}).setdefault(e.variance)
    shown = {fit: variance if variance in found else next(iter(found)) for fit, found in there.items()}
    return [e for e in rows if e.variance == shown[_fit_of(e)]]


def _fit_of(e: Estimate) -> tuple[str, ...]:
    return (e.analysis, e.exposure, e.stratum, e.model)


@dataclass(frozen=True, slots=True)
class Guard:
    """What may be shown of the categories of ratio analyses: counts, ratios and absolute risks."""

    marks: Mapping[RatioCell, Mark]
    min_cell: int

    def mark(self, e: Estimate, what: str) -> Mark | None:
        """How the `n` or `events` of a row's category is shown."""
        return self.marks.get((e.analysis, e.exposure, e.stratum, e.level, what))

    def counts(self, e: Estimate) -> tuple[str, str]:
        """People and events as printed."""
        texts = (NOT_REPORTED if n is None else count(n) for n in (e.n, e.events))
        marks = (self.mark(e, "n"), self.mark(e, "events"))
        n, events = (shown_count(t, m, self.min_cell) for t, m in zip(texts, marks, strict=True))
        return n, events

    def hides_ratio(self, *rows: Estimate, crude: bool) -> bool:
        """Whether a ratio of these categories gives a hidden count away: only a crude one does."""
        return crude and any(self.mark(e, what) for e in rows for what in ("n", "events"))

    def hides_risk(self, *rows: Estimate, crude: bool) -> bool:
        """Whether an absolute risk of these categories is not shown: a count is small, or hidden and the risk crude."""
        marks = [self.mark(e, what) for e in rows for what in ("n", "events")]
        return any(m == "small" or (crude and m is not None) for m in marks)


def why_not(e: Estimate, reference: Estimate, guard: Guard, events: str) -> str:
    """Why a row has no estimate, in words; counts that are not published are None."""
    if e.n == 0:
        return NOT_REPORTED if guard.mark(e, "n") else NOBODY
    if e.events == 0:
        return NOT_REPORTED if guard.mark(e, "events") else NO_CASES.format(events=events)
    if reference.events == 0:
        return NO_REFERENCE.format(events=events)
    withheld = any(guard.mark(row, what) for row in (e, reference) for what in ("n", "events", "estimate"))
    return NOT_REPORTED if withheld else NOT_FITTED
