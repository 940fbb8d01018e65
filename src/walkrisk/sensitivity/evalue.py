"""E-values: how strong unmeasured confounding would have to be to explain a risk ratio away."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from walkrisk.estimates.rows import Estimate


@dataclass(frozen=True, slots=True)
class EValue:
    """E-value of a risk ratio and of the limit of its interval that is nearer to 1 (1 if the interval holds 1)."""

    point: float
    limit: float


def evalue(risk_ratio: float, conf_low: float, conf_high: float) -> EValue:
    """E-values of a risk ratio with its confidence interval.

    E = RR + sqrt(RR (RR - 1)), with 1/RR in place of RR below 1. Raises ValueError for a ratio that is not positive.
    Reference: VanderWeele & Ding 2017, doi 10.7326/M16-2607.
    """
    if not 0 <= conf_low <= risk_ratio <= conf_high or risk_ratio == 0:
        raise ValueError("an E-value needs a positive risk ratio inside its interval")
    if conf_low <= 1 <= conf_high:
        return EValue(_of(risk_ratio), 1.0)
    return EValue(_of(risk_ratio), _of(conf_high if risk_ratio < 1 else conf_low))


def evalue_rows(
    estimates: list[Estimate], *, analysis: str, z: float, counts: Callable[[Estimate], tuple[int, int]]
) -> list[Estimate]:
    """Two rows (`e_value`, `e_value_ci`) for each estimated risk ratio that is not a reference.

    `z` sets the interval (the published tables use 1.96); `counts` gives n and events of the fitted sample of a row.
    """
    rows = []
    for e in estimates:
        if e.estimate is None or e.std_error is None:
            continue
        half = z * e.std_error
        low = e.estimate * math.exp(-half)
        high = e.estimate * math.exp(half) if half < 700 else math.inf
        values = evalue(e.estimate, low, high)
        n, events = counts(e)
        base = replace(
            e, analysis=analysis, n=n, events=events, std_error=None, conf_low=None, conf_high=None, p_value=None
        )
        rows.append(replace(base, estimand="e_value", estimate=values.point))
        rows.append(replace(base, estimand="e_value_ci", estimate=values.limit))
    return rows


def _of(risk_ratio: float) -> float:
    r = 1 / risk_ratio if risk_ratio < 1 else risk_ratio
    return r + math.sqrt(r * (r - 1))
