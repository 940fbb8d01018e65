"""Power and precision of a study: which ratios its design can tell from 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from walkrisk.declarations import Name, option


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """The smallest ratio that the design at hand detects, by outcomes simulated on its own covariates."""

    id: Name = option(doc="Name of the analysis in the results.")
    title: str = "Power and precision of the design"
    powers: tuple[float, ...] = option((0.8, 0.9), doc="Powers for which the smallest detectable ratio is given.")
    direction: Literal["below", "above", "both"] = option("both", doc="Ratios below 1, above 1, or both.")
    ratios: tuple[float, ...] = option((), doc="True ratios that are simulated; by default chosen around the powers.")
    pattern: Literal["steps", "alone"] = option(
        "steps", doc="Categories between take equal steps of the log ratio, or the last category alone differs."
    )
    replicates: int = option(1000, doc="Simulated studies for each true ratio.")
    exposures: tuple[Name, ...] = option((), doc="By default those that sensitivity analyses follow.")
