"""Whole samples that differ by very few people or events: whose numbers may stand beside which others.

Every analysis, step and fit tells how many people and events it has. Two samples of which one may hold the other, and
which differ by 1 to min_cell - 1 people, events or people without event, would show a group of so few by subtraction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from walkrisk.estimates.suppression import is_small

Secret = Literal["n", "events"]


@dataclass(frozen=True, slots=True)
class Sample:
    """People and events (None: not told) of a sample; `stratum` is empty for one that is no stratum of another."""

    n: int
    events: int | None = None
    stratum: str = ""


def secret_samples(
    samples: Iterable[Sample], *, known: Sequence[Sample], min_cell: int
) -> dict[tuple[int, int | None], Secret]:
    """Which samples, in their order, do not tell what: "n" nothing at all, "events" only their people.

    `known` tell all. Each of the others is held against all that tell before it.
    """
    telling = list(dict.fromkeys(known))
    out: dict[tuple[int, int | None], Secret] = {}
    for sample in dict.fromkeys(samples):
        place = (sample.n, sample.events)
        found = {c for other in telling if (c := clash(sample, other, min_cell))}
        if "n" in found:
            out[place] = "n"
        elif "events" in found:
            out.setdefault(place, "events")
            telling.append(Sample(sample.n, None, sample.stratum))
        else:
            telling.append(sample)
    return out


def clash(a: Sample, b: Sample, min_cell: int) -> Secret | None:
    """What of `a` would show very few people beside `b`."""
    people = a.n - b.n
    if a.stratum != b.stratum and ((a.stratum and b.stratum) or not people):
        return None
    if is_small(abs(people), min_cell):
        return "n" if _may_hold(a, b) else None
    if a.events is None or b.events is None or not _may_hold(a, b):
        return None
    events = a.events - b.events
    if people and a.stratum != b.stratum:
        return None
    return "events" if any(is_small(abs(v), min_cell) for v in (events, people - events)) else None


def _may_hold(a: Sample, b: Sample) -> bool:
    """Whether the people of one may all be in the other."""
    if a.events is None or b.events is None or a.n == b.n:
        return True
    people, events = a.n - b.n, a.events - b.events
    return 0 <= events <= people or people <= events <= 0
