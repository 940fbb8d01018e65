"""Quantiles of draws and their Monte Carlo standard errors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

REACH = 2.0  # binomial standard errors to either side


def median_and_limits(values: FloatArray, conf_level: float) -> tuple[FloatArray, FloatArray]:
    """Median, low and high quantile (3, ...) of draws (draws, ...), and their Monte Carlo standard errors (3, ...).

    The share of draws below the true quantile q_p has the binomial standard error s = sqrt(p (1 - p)/draws), so that of
    the quantile is s/f(q_p), f the density there. It is read off the draws as (q_(p + 2s) - q_(p - 2s))/4, p +- 2s kept
    within 0 to 1: order statistics one s apart are noisy in the tails, where few draws lie between them. Draws are
    taken as independent. Reference: David & Nagaraja 2003, Order Statistics, doi 10.1002/0471722162.
    """
    at = np.array([0.5, (1 - conf_level) / 2, (1 + conf_level) / 2])
    step = REACH * np.sqrt(at * (1 - at) / len(values))
    low, middle, high = (np.quantile(values, np.clip(p, 0.0, 1.0), axis=0) for p in (at - step, at, at + step))
    return np.asarray(middle), np.asarray((high - low) / (2 * REACH))
