"""What a category of an exposure is called in a table, from its cut points."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from walkrisk.estimates.numbers import fixed
from walkrisk.estimates.results import CutPoint

MOST_DECIMALS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureLabel:
    """How tables name an exposure; `cross` holds the two of joint groups, a `whole` one takes whole numbers alone."""

    id: str
    label: str
    unit: str = ""
    decimals: int = 1
    cross: tuple[str, ...] = ()
    whole: bool = False

    @property
    def heading(self) -> str:
        """Label with unit."""
        return f"{self.label}, {self.unit}" if self.unit else self.label


def cuts_of(cutpoints: Sequence[CutPoint], analysis: str, exposure: str) -> tuple[CutPoint, ...]:
    """The cut points of an exposure in an analysis, knots left out."""
    return tuple(
        c for c in cutpoints if c.analysis == analysis and c.exposure == exposure and not c.cut.startswith("knot")
    )


def are_limits(cuts: Sequence[CutPoint]) -> bool:
    """Whether cut points are fixed limits, to be printed exactly, and not quantiles of the sample."""
    return any(c.cut.startswith("limit") for c in cuts)


def category_labels(cuts: Sequence[CutPoint], decimals: int, *, whole: bool = False) -> tuple[str, ...]:
    """One label a category.

    Quantile groups hold a value equal to their upper cut: "≤74", ">74 to 97", ">97". Fixed limits belong above:
    "<78", "78 to <101", "≥101". Decimals are added where cuts would look alike or a fixed limit would be rounded. A cut
    between two `whole` numbers is printed as the lower one, so that the groups are exactly as printed.
    """
    values = [c.value for c in cuts]
    if not values:
        return ()
    exact = are_limits(cuts)
    if whole and not exact and not decimals:
        values = [float(math.floor(v)) for v in values]
    shown = next(
        (s for d in range(decimals, MOST_DECIMALS + 1) if _fit(s := [fixed(v, d) for v in values], values, exact)), None
    )
    texts = shown or [repr(v) for v in values]
    pairs = list(pairwise(texts))
    if exact:
        return (f"<{texts[0]}", *(f"{a} to <{b}" for a, b in pairs), f"≥{texts[-1]}")
    return (f"≤{texts[0]}", *(f">{a} to {b}" for a, b in pairs), f">{texts[-1]}")


def _fit(texts: Sequence[str], values: Sequence[float], exact: bool) -> bool:
    numbers = [float(t.replace("−", "-")) for t in texts]
    return numbers == list(values) if exact else len(set(texts)) == len(set(values))


def rounding_note(cuts: Sequence[CutPoint], *, whole: bool = False) -> str:
    """The footnote on limits; empty for fixed limits. Both these and limits of `whole` numbers are printed exactly."""
    if not cuts or are_limits(cuts):
        return ""
    rounded = "" if whole else ", cut at unrounded values; limits are printed rounded"
    return f"Groups are quantiles of the sample analysed{rounded}. A value equal to a limit belongs to the lower group."


def limits_note(
    cutpoints: Sequence[CutPoint], analysis: str, exposure: ExposureLabel, exposures: Mapping[str, ExposureLabel]
) -> str:
    """The footnote on the limits of an exposure's categories in an analysis; of joint groups, on those of either."""
    sides = [exposures[name] for name in exposure.cross] or [exposure]
    notes = {rounding_note(cuts_of(cutpoints, analysis, e.id), whole=e.whole) for e in sides} - {""}
    return max(notes, key=len, default="")


def level_names(
    levels: Sequence[str],
    cutpoints: Sequence[CutPoint],
    analysis: str,
    exposure: ExposureLabel,
    exposures: Mapping[str, ExposureLabel],
) -> dict[str, tuple[str, ...]]:
    """Level -> its label: one text, two for joint groups; the level itself where cuts are unknown."""
    if exposure.cross:
        parts = [exposures[name] for name in exposure.cross]
        sides = [list(dict.fromkeys(level.split("/")[i] for level in levels)) for i in range(len(parts))]
        named = [level_names(side, cutpoints, analysis, p, exposures) for side, p in zip(sides, parts, strict=True)]
        return {
            level: tuple(text for part, names in zip(level.split("/"), named, strict=True) for text in names[part])
            for level in levels
        }
    labels = category_labels(cuts_of(cutpoints, analysis, exposure.id), exposure.decimals, whole=exposure.whole)
    ranks = {level: _rank(level) for level in levels}
    if not all(1 <= rank <= len(labels) for rank in ranks.values()):
        return {level: (level,) for level in levels}
    return {level: (labels[rank - 1],) for level, rank in ranks.items()}


def _rank(level: str) -> int:
    """The number at the end of a category's name (Q3: 3), 0 without one: labels go by it, not by the order of rows."""
    found = re.search(r"\d+$", level)
    return int(found.group()) if found else 0
