"""E-values against published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from walkrisk.estimates.rows import Estimate
from walkrisk.sensitivity.evalue import evalue, evalue_rows


def test_values_of_the_evalue_package() -> None:
    got = evalue(1.7829336, 1.46559323, 2.1689867)
    np.testing.assert_allclose([got.point, got.limit], [2.96442360, 2.29165031], rtol=1e-8)


@pytest.mark.parametrize(
    ("rr", "low", "high", "point", "limit"),
    [
        (0.87, 0.77, 0.98, 1.56, 1.16),  # the ratios of Haddadj et al. 2025, rounded as published
        (0.77, 0.68, 0.87, 1.92, 1.56),
        (0.76, 0.67, 0.87, 1.96, 1.56),
        (0.85, 0.75, 0.96, 1.63, 1.25),
        (0.82, 0.72, 0.93, 1.74, 1.36),
        (3.9, 1.8, 8.7, 7.26, 3.0),  # VanderWeele & Ding 2017
    ],
)
def test_rounded_values(rr: float, low: float, high: float, point: float, limit: float) -> None:
    got = evalue(rr, low, high)
    assert (round(got.point, 2), round(got.limit, 2)) == (point, limit)


@pytest.mark.parametrize(("rr", "low", "high"), [(1.2, 0.9, 1.6), (0.8, 0.5, 1.0), (1.0, 1.0, 1.0), (1.3, 1.0, 2.0)])
def test_an_interval_that_holds_one_needs_no_confounding(rr: float, low: float, high: float) -> None:
    assert evalue(rr, low, high).limit == 1.0


def test_a_protective_ratio_is_the_inverse_of_a_harmful_one() -> None:
    below, above = evalue(0.5, 0.4, 0.8), evalue(2.0, 1.25, 2.5)
    np.testing.assert_allclose([below.point, below.limit], [above.point, above.limit])
    np.testing.assert_allclose(below.point, 2 + math.sqrt(2))
    assert evalue(1.0, 1.0, 1.0).point == 1.0


@pytest.mark.parametrize(("rr", "low", "high"), [(0.0, 0.0, 1.0), (-1, -2, 1), (2.0, 2.1, 3.0), (math.nan, 1, 2)])
def test_no_value_for_what_is_no_ratio(rr: float, low: float, high: float) -> None:
    with pytest.raises(ValueError, match="positive risk ratio inside its interval"):
        evalue(rr, low, high)


def row(estimate: float | None, std_error: float | None) -> Estimate:
    return Estimate(
        analysis="main",
        exposure="volume",
        level="Q2",
        model="m",
        estimand="risk_ratio",
        n=10,
        events=3,
        estimate=estimate,
        std_error=std_error,
        variance="HC0",
        method="modified_poisson",
    )


def test_rows_use_their_own_normal_quantile_and_the_counts_of_the_fit() -> None:
    """The published tables use 1.96 and not 1.959964."""
    rows = evalue_rows(
        [row(1.0, None), row(0.8, 0.1), row(None, None)], analysis="evalue", z=1.96, counts=lambda _: (40, 9)
    )
    assert [(r.estimand, r.level, r.n, r.events, r.std_error, r.conf_low) for r in rows] == [
        ("e_value", "Q2", 40, 9, None, None),
        ("e_value_ci", "Q2", 40, 9, None, None),
    ]
    expected = evalue(0.8, 0.8 * math.exp(-0.196), 0.8 * math.exp(0.196))
    np.testing.assert_allclose([r.estimate for r in rows], [expected.point, expected.limit], rtol=1e-12)


@pytest.mark.parametrize("std_error", [0.0, 1e-17, 400.0, 1000.0])
def test_extreme_standard_errors_do_not_stop_a_run(std_error: float) -> None:
    for estimate in np.random.default_rng(0).uniform(0.1, 5, 200).tolist():
        evalue_rows([row(estimate, std_error)], analysis="e", z=1.96, counts=lambda _: (1, 1))
