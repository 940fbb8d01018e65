"""Tests of multiplicative interaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.rows import Estimate, chi_square_p, wald_statistic
from walkrisk.models.design import Product
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]


def likelihood_ratio(without: Fit, with_product: Fit, *, row: Estimate) -> Estimate:
    """Twice the gain in (ordinary, non-robust) log-likelihood from the product terms, on as many degrees of freedom as
    they add estimated coefficients."""
    base = replace(row, n=with_product.n, events=with_product.events, method="likelihood_ratio", variance="model")
    df = with_product.parameters - without.parameters
    if not (without.converged and with_product.converged) or df < 1:
        return base
    chi2 = 2 * (with_product.log_likelihood - without.log_likelihood)
    return replace(base, estimate=chi2, p_value=chi_square_p(chi2, df))


def wald(
    with_product: Fit, product: Product, covariances: Mapping[str, FloatArray], *, row: Estimate
) -> list[Estimate]:
    """A row a variance: the Wald chi-square that all product coefficients are 0."""
    columns = [c for c in with_product.design.columns_of[product] if with_product.estimated[c]]
    at = with_product.position(tuple(columns))
    rows = []
    for variance, v in covariances.items():
        base = replace(row, n=with_product.n, events=with_product.events, method="wald", variance=variance)
        if with_product.converged and at:
            chi2 = wald_statistic(with_product.coefficients[columns], v[np.ix_(at, at)])
            base = replace(base, estimate=chi2, p_value=chi_square_p(chi2, len(at)))
        rows.append(base)
    return rows
