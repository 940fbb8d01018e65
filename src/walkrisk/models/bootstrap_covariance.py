"""Covariance of coefficients over bootstrap resamples of people or clusters."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from walkrisk.models.batch import fit_batch
from walkrisk.models.fit import Fit
from walkrisk.models.resampling import Seed, resampling

FloatArray = npt.NDArray[np.float64]

BLOCK = 100
MOST_FAILED = 0.05
METHODS = ("modified_poisson", "logistic", "log_binomial")


def bootstrap_covariance(
    fit: Fit,
    *,
    replicates: int,
    seed: Seed,
    cluster: npt.NDArray[np.generic] | None = None,
    strata: npt.NDArray[np.generic] | None = None,
) -> FloatArray:
    """Covariance (q, q) of the estimated coefficients over `replicates` resamples of the n rows of a fit.

    People, or whole clusters (n,), are drawn with replacement, within strata (n,) if given; rows that the fit set aside
    are drawn too and stay aside. Raises ValueError for a method that has no repeated fit, fewer than 50 replicates, or
    more than 5 % of them without a maximum (their spread would no longer be that of the estimator).
    Reference: Efron & Tibshirani 1993 doi 10.1007/978-1-4899-4541-9.
    """
    if fit.method not in METHODS:
        raise ValueError(f"A bootstrap variance is there for {', '.join(METHODS)}, not for {fit.method}; choose HC0.")
    if replicates < 50:
        raise ValueError(f"{replicates} bootstrap replicates are too few for a variance; take 1000 or more.")
    if not fit.wald or fit.outcome is None or fit.weights is None:
        return np.full((fit.parameters, fit.parameters), np.nan)
    draw = resampling(fit.n, seed, cluster=cluster, strata=strata)
    own = fit.weights

    def blocks() -> Iterator[FloatArray]:
        for first in range(0, replicates, BLOCK):
            yield draw.weights(first, min(first + BLOCK, replicates))[:, fit.rows] * own

    found = fit_batch(fit.method, fit.x, fit.outcome, blocks(), base=own, likelihood=False)
    failed = int((~found.converged).sum())
    if failed > MOST_FAILED * replicates:
        raise ValueError(
            f"{failed} of {replicates} bootstrap samples have no maximum (a category without cases, or separation), so "
            "their spread is not that of the estimate; merge small categories, or choose variance HC3."
        )
    return np.asarray(np.atleast_2d(np.cov(found.coefficients[found.converged], rowvar=False)))
