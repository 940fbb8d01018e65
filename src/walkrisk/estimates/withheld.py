"""What is kept back from publication, cell by cell, and why; never a value."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated, Literal

Key = tuple[Hashable, ...]
RatioCell = tuple[str, str, str, str, str]
"""analysis, exposure, stratum, level, and `n` or `events`."""
CharacteristicCell = tuple[str, str, str, str]
"""table, group, variable ("" for the size of the group), level (a code, "" or UNKNOWN)."""

UNKNOWN = "unknown"
NOT_REPORTED = "NR"
RATIOS = ("risk_ratio", "odds_ratio", "hazard_ratio")
COUNTED = (*RATIOS, "risk_difference", "risk")  # estimands whose rows count the people of a category

Reason = Literal["small", "complementary", "difference", "derived", "tail", "merged"]
REASONS = {
    "small": "a count from 1 to the minimum cell size less 1",
    "complementary": "would let a small count be worked out from a sum",
    "difference": "beside another sample or an earlier release it would show a group of so few people",
    "derived": "a number from which a hidden count could be worked out",
    "tail": "an extreme value, or one with fewer people beyond it than the minimum cell size",
    "merged": "steps or bars of so few people, put together with their neighbours",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """A cell that is not published: the file it is missing from, its place there, the column, the reason.

    Of a descriptive table `analysis` is the table, `exposure` the variable, `stratum` the group and `level` the level.
    """

    file: Annotated[str, "file the cell is missing from"]
    analysis: Annotated[str, "its analysis; of a descriptive table the table"] = ""
    exposure: Annotated[str, "its exposure; of a descriptive table the variable"] = ""
    stratum: Annotated[str, "its stratum; of a descriptive table the group"] = ""
    level: Annotated[str, "its level"] = ""
    item: Annotated[str, "its step, cut point, series or estimand, where it has one"] = ""
    column: Annotated[str, "the column that is empty"]
    reason: Annotated[Reason, "why: one of the reasons below"]
