"""E-values against published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from walkrisk.estimates.rows import Estimate
from walkrisk.sensitivity.evalue import (
    Bias,
    EValue,
    bias_factor,
    confounding,
    evalue,
    evalue_rows,
    misclassification,
    multi_bias_bound,
    multi_bias_evalue,
    selection,
)


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


def near(got: EValue, point: float, limit: float, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose([got.point, got.limit], [point, limit], rtol=rtol)


def test_a_confounder_of_the_size_of_the_e_value_explains_a_ratio_exactly() -> None:
    for ratio in (1.1, 1.8, 3.9, 40.0):
        e = evalue(ratio, 1.05, math.inf).point
        np.testing.assert_allclose(bias_factor(e, e), ratio, rtol=1e-12)
    np.testing.assert_allclose(bias_factor(2, 3), 1.5)
    assert bias_factor(1, 9) == 1


def test_limits_may_be_left_out() -> None:
    assert math.isnan(evalue(2.0).limit)
    assert evalue(2.0, 1.5).limit == evalue(2.0, 1.5, 2.7).limit
    assert math.isnan(evalue(2.0, None, 2.7).limit)
    assert evalue(0.5, None, 0.8).limit == evalue(0.5, 0.3, 0.8).limit
    assert evalue(2.0, 0.9).limit == 1
    assert math.isnan(evalue(1.0).limit)


def test_other_true_values() -> None:
    """VanderWeele 2017: the E-value for moving r to t is that of r/t."""
    near(evalue(2.0, 1.5, 2.6, true=1.2), evalue(2 / 1.2, 1.1, 3).point, evalue(1.5 / 1.2, 1.1, 3).point)
    near(evalue(0.6, 0.4, 0.9, true=0.8), 2.0, 1.0)
    near(evalue(1.5, 1.2, 1.8, true=2.5), evalue(2.5 / 1.5, 1.1, 3).point, evalue(2.5 / 1.8, 1.1, 3).point)
    assert evalue(1.2, 1.1, 1.3, true=1.2) == EValue(1.0, 1.0)


def test_other_measures_are_turned_into_risk_ratios() -> None:
    assert evalue(2.0, 1.5, 2.7, measure="OR", rare=True) == evalue(2.0, 1.5, 2.7)
    assert evalue(4.0, 2.25, 9.0, measure="OR", rare=False) == evalue(2.0, 1.5, 3.0)
    assert evalue(4.0, 2.25, 9.0, measure="OR", rare=False, true=1.44) == evalue(2.0, 1.5, 3.0, true=1.2)
    assert evalue(0.6, 0.5, 0.7, measure="HR", rare=True) == evalue(0.6, 0.5, 0.7)
    common = [(1 - 0.5 ** math.sqrt(h)) / (1 - 0.5 ** math.sqrt(1 / h)) for h in (0.6, 0.5, 0.7)]
    expected = evalue(*common)
    near(evalue(0.6, 0.5, 0.7, measure="HR", rare=False), expected.point, expected.limit)
    assert evalue(2.0, 0.0, math.inf, measure="HR", rare=False).limit == 1
    expected = evalue(math.exp(0.455), math.exp(0.091), math.exp(0.91))
    near(evalue(0.5, 0.1, 1.0, measure="MD"), expected.point, expected.limit)
    near(
        evalue(-1.0, -2.0, -0.2, measure="OLS", sd=2.0),
        evalue(0.5, 0.1, 1.0, measure="MD").point,
        evalue(0.5, 0.1, 1.0, measure="MD").limit,
    )
    assert evalue(0.5, measure="OLS", std_error=0.1, sd=2.0, delta=2.0) == evalue(0.5, measure="MD", std_error=0.1)
    assert evalue(0.5, measure="OLS", std_error=0.1, sd=2.0, delta=-2.0) == evalue(0.5, measure="MD", std_error=0.1)
    assert evalue(0.5, measure="MD", true=0.5, std_error=0.1) == EValue(1.0, 1.0)


def test_a_risk_difference_is_explained_by_its_bias_factor() -> None:
    """At the factor found for the point, the standardised risk difference p1 - p0 b, times f + (1 - f)/b, is 0."""
    got = evalue(measure="RD", counts=(40, 160, 20, 280))
    ratio = (40 / 200) / (20 / 300)
    np.testing.assert_allclose(got.point, evalue(ratio).point)
    assert 1 < got.limit < got.point
    fine = evalue(measure="RD", counts=(40, 160, 20, 280), grid=1e-6)
    np.testing.assert_allclose(fine.limit, got.limit, rtol=1e-3)
    assert fine.limit <= got.limit
    assert evalue(measure="RD", counts=(10, 90, 9, 91)).limit == 1
    assert evalue(measure="RD", counts=(40, 160, 20, 280), true=0.05).point < got.point
    assert evalue(measure="RD", counts=(40, 160, 20, 280), conf_level=0.8).limit > got.limit


def test_several_biases_need_less_of_each() -> None:
    near(multi_bias_evalue(4.0, 2.5, 6.4, [confounding()]), evalue(4.0).point, evalue(2.5).point)
    both = multi_bias_evalue(4.0, 2.5, 6.4, [confounding(), selection()])
    e = both.point
    np.testing.assert_allclose(
        multi_bias_bound(confounding=(e, e), selection_exposed=(e, e), selection_unexposed=(e, e)), 4.0, rtol=1e-12
    )
    assert both.point < evalue(4.0).point
    near(multi_bias_evalue(4.0, 2.5, 6.4, [misclassification("outcome")]), 4.0, 2.5)
    near(multi_bias_evalue(4.0, 2.25, 9.0, [misclassification("exposure", rare_outcome=True)]), 2.0, 1.5)
    near(multi_bias_evalue(0.25, 0.2, 1.1, [confounding()]), evalue(4.0).point, 1.0)
    near(multi_bias_evalue(1.0, 0.9, 1.1, [confounding()]), 1.0, 1.0)
    near(multi_bias_evalue(16.0, 2.25, 99.0, [misclassification("outcome")], measure="OR", rare=False), 4.0, 1.5)
    selected = multi_bias_evalue(4.0, 2.5, 6.4, [confounding(), selection("selected")])
    assert selected == multi_bias_evalue(4.0, 2.5, 6.4, [confounding()])


@pytest.mark.parametrize(
    ("assumptions", "degrees"),
    [
        ((), (4, 2)),
        (("general",), (4, 2)),
        (("increased risk",), (2, 1)),
        (("general", "decreased risk"), (2, 1)),
        (("S = U",), (2, 0)),
        (("S = U", "increased risk"), (1, 0)),
        (("selected",), (2, 1)),
    ],
)
def test_parameters_of_selection(assumptions: tuple[str, ...], degrees: tuple[int, int]) -> None:
    got = selection(*assumptions)
    assert (got.numerator, got.denominator) == degrees


def test_misuse_of_e_values_has_a_sentence() -> None:
    cases: list[tuple[dict[str, object], str]] = [
        ({"measure": "IRR"}, "unknown measure 'IRR'"),
        ({"measure": "OR"}, "whether the outcome is rare"),
        ({"measure": "HR"}, "whether the outcome is rare"),
        ({"true": 0.0}, "must be positive and finite"),
        ({"counts": (1, 2, 3, 4)}, "counts belong to measure 'RD'"),
        ({"measure": "RD"}, "needs `counts`"),
        ({"measure": "OLS"}, "standard deviation of the outcome"),
        ({"measure": "MD", "std_error": 0.1}, "not both"),
        ({"measure": "MD", "true": math.nan}, "finite estimate"),
    ]
    for options, said in cases:
        with pytest.raises(ValueError, match=said):
            evalue(2.0, 1.5, 2.7, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="inside its interval"):
        evalue(2.0, 2.1, 2.2, measure="MD")
    with pytest.raises(ValueError, match="is it standardised"):
        evalue(5000.0, 1.0, 9000.0, measure="MD")
    with pytest.raises(ValueError, match="positive risk ratio"):
        evalue()
    for counts, said in (
        ((0, 0, 3, 4), "people in both groups"),
        ((5, 5, 0, 10), "cases among the unexposed"),
        ((1, 9, 5, 5), "the other way round"),
        ((5, 5, 5, 5), "must be below the estimated one"),
    ):
        with pytest.raises(ValueError, match=said):
            evalue(measure="RD", counts=counts)
    with pytest.raises(ValueError, match="step of the search"):
        evalue(measure="RD", counts=(40, 160, 20, 280), grid=0)


def test_misuse_of_biases_has_a_sentence() -> None:
    with pytest.raises(ValueError, match="not with both"):
        selection("increased risk", "decreased risk")
    with pytest.raises(ValueError, match="goes with no other"):
        selection("selected", "S = U")
    with pytest.raises(ValueError, match="unknown assumption about selection: loss"):
        selection("loss")
    with pytest.raises(ValueError, match="rare outcome only"):
        misclassification("exposure")
    with pytest.raises(ValueError, match="not of 'covariate'"):
        misclassification("covariate")
    for biases in ([], [confounding(), Bias("confounding", 2, 1)]):
        with pytest.raises(ValueError, match="at least one bias"):
            multi_bias_evalue(2.0, 1.5, 2.7, biases)
    with pytest.raises(ValueError, match="not of 'MD'"):
        multi_bias_evalue(2.0, 1.5, 2.7, [confounding()], measure="MD")
    with pytest.raises(ValueError, match="at least 1"):
        bias_factor(0.5, 2)
    with pytest.raises(ValueError, match="at least 1"):
        multi_bias_bound(misclassification=0.9)
