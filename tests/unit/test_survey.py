"""Complex samples by hand: lonely units, domains, replicates, means, proportions, joint tests."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from walkrisk.models.covariance import covariance, degrees_of_freedom
from walkrisk.models.design import Linear, build_design
from walkrisk.models.fit import fit_model
from walkrisk.models.survey import (
    SurveyDesign,
    jackknife_replicates,
    survey_design,
    survey_means,
    survey_meat,
    survey_proportion,
    wald_test,
)

ALL4 = np.ones(4, dtype=bool)


def test_a_lonely_unit_adds_its_square_or_nothing() -> None:
    """Stratum 1 has units with totals 3 and 5 (adds 4), stratum 2 one unit with total 3."""
    scores = np.array([[1.0], [2.0], [5.0], [3.0]])
    strata, psu = np.array([1.0, 1, 1, 2]), np.array([1.0, 1, 2, 1])
    with pytest.raises(ValueError, match="1 of the strata"):
        survey_design(strata, psu)
    adjust = survey_design(strata, psu, lonely="adjust")
    np.testing.assert_allclose(survey_meat(scores, adjust, ALL4), [[4.0 + 9.0]])
    certain = survey_design(strata, psu, lonely="certainty")
    np.testing.assert_allclose(survey_meat(scores, certain, ALL4), [[4.0]])
    with pytest.raises(ValueError, match="single primary sampling unit"):
        survey_meat(scores, SurveyDesign(adjust.psu, adjust.stratum_of_psu), ALL4)
    with pytest.raises(ValueError, match="unknown treatment"):
        survey_design(strata, psu, lonely="guess")  # type: ignore[arg-type]


def test_rows_outside_the_design_are_refused() -> None:
    with pytest.raises(ValueError, match="2 rows have a stratum"):
        survey_design(np.array([1.0, np.nan, 1, 3]), np.array([1.0, 1, 2, 1]), whole=(np.ones(2), np.array([1.0, 2])))


def test_degrees_of_freedom_count_the_units_that_have_people() -> None:
    design = survey_design(np.repeat([1.0, 2, 3], 4), np.tile([1.0, 1, 2, 2], 3))
    assert design.degrees_of_freedom() == 3
    assert design.degrees_of_freedom(np.arange(12) < 8) == 2
    part = survey_design(
        np.array([1.0, 1, 2]), np.array([1.0, 2, 1]), whole=(np.repeat([1.0, 2], 2), np.tile([1.0, 2], 2))
    )
    assert part.degrees_of_freedom() == 1


def test_a_domain_is_the_whole_sample_with_zeros() -> None:
    """The mean of a domain = the ratio of totals in which everyone else counts 0, units without members included."""
    rng = np.random.default_rng(0)
    strata, psu = np.repeat([1.0, 2], 30), np.tile(np.repeat([1.0, 2, 3], 10), 2)
    y, w, inside = rng.random(60), rng.uniform(1, 3, 60), rng.random(60) < 0.4
    inside[:10] = False
    design = survey_design(strata, psu)
    got = survey_means(y, w, design, inside=inside)
    u = np.where(inside, w * (y - got.estimate[0]), 0) / (w * inside).sum()
    total = 0.0
    for h in (1, 2):
        t = np.array([u[(strata == h) & (psu == i)].sum() for i in (1, 2, 3)])
        total += 1.5 * ((t - t.mean()) ** 2).sum()
    np.testing.assert_allclose(got.covariance, [[total]])
    assert got.n == inside.sum()
    kept = survey_design(strata[inside], psu[inside], whole=(strata, psu))
    same = survey_means(y[inside], w[inside], kept)
    np.testing.assert_allclose(same.covariance, got.covariance)
    assert same.degrees_of_freedom == got.degrees_of_freedom == 3


def test_a_simple_random_sample_has_no_design_effect() -> None:
    y = np.random.default_rng(1).integers(0, 2, 50).astype(float)
    design = survey_design(np.ones(50), np.arange(50.0))
    got = survey_means(y, np.full(50, 1e6), design)
    np.testing.assert_allclose(got.covariance, [[y.var(ddof=1) / 50]])
    np.testing.assert_allclose(got.design_effect, [1.0], rtol=1e-5)
    np.testing.assert_allclose(survey_means(y, np.full(50, 2.0), design).design_effect, [2.0])  # half of 100 people
    p = survey_proportion(y, np.full(50, 1e6), design, level=0.9)
    half = stats.t.ppf(0.95, 49) * p.std_error / (p.estimate * (1 - p.estimate))
    logit = np.log(p.estimate / (1 - p.estimate))
    np.testing.assert_allclose(
        [p.conf_low, p.conf_high], [1 / (1 + np.exp(half - logit)), 1 / (1 + np.exp(-half - logit))]
    )


def test_a_proportion_of_nobody_or_of_one_unit_has_no_limits() -> None:
    design = survey_design(np.ones(8), np.repeat([1.0, 2, 3, 4], 2))
    none = survey_proportion(np.zeros(8), np.ones(8), design)
    assert none.estimate == 0
    assert np.isnan([none.conf_low, none.conf_high]).all()
    assert "nobody" in none.note
    one = survey_proportion(np.tile([0.0, 1], 4), np.ones(8), design, inside=np.arange(8) < 2)
    assert np.isnan([one.std_error, one.conf_low]).all()
    assert "variance is unknown" in one.note


@pytest.mark.parametrize("bad", [[-1.0, 1, 1, 1], [0.0, 0, 0, 0], [np.nan, 1, 1, 1], [np.inf, 1, 1, 1]])
def test_weights_that_are_no_weights_are_refused(bad: list[float]) -> None:
    design = survey_design(np.ones(4), np.arange(4.0))
    with pytest.raises(ValueError, match="survey weights"):
        survey_means(np.arange(4.0), np.array(bad), design)
    with pytest.raises(ValueError, match="known and finite"):
        survey_means(np.array([1.0, 2, np.nan, 3]), np.ones(4), design)


def test_the_stratified_jackknife_of_a_total_is_its_linearised_variance() -> None:
    rng = np.random.default_rng(3)
    strata, psu = np.repeat([1.0, 2, 3], 20), np.repeat(np.arange(12.0), 5)
    y, w = rng.random(60), rng.uniform(1, 2, 60)
    design = survey_design(strata, psu)
    made = jackknife_replicates(design, w)
    assert made.weights.shape == (12, 60)
    want = survey_meat((w * y)[:, None], design, np.ones(60, dtype=bool))
    estimates = (made.weights @ y)[:, None]
    np.testing.assert_allclose(made.covariance(estimates), want)
    np.testing.assert_allclose(made.covariance(estimates, center=np.array([w @ y])), want)
    estimates[3] = np.nan
    with pytest.raises(ValueError, match="1 of 12 jackknife replicates"):
        made.covariance(estimates)
    lonely = survey_design(np.r_[strata, 4.0], np.r_[psu, 99.0], lonely="certainty")
    assert jackknife_replicates(lonely, np.ones(61)).weights.shape == (12, 61)
    with pytest.raises(ValueError, match="single primary sampling unit"):
        jackknife_replicates(survey_design(np.r_[strata, 4.0], np.r_[psu, 99.0], lonely="adjust"), np.ones(61))


def test_too_many_replicates_are_refused_before_they_are_made() -> None:
    n = 20000
    with pytest.raises(ValueError, match="too many for jackknife replicates"):
        jackknife_replicates(survey_design(np.ones(n), np.arange(float(n))), np.ones(n))


def test_joint_tests() -> None:
    b, v = np.array([1.0, -0.5]), np.array([[0.5, 0.1], [0.1, 0.2]])
    w = b @ np.linalg.inv(v) @ b
    chi = wald_test(b, v)
    assert (chi.df, chi.denominator) == (2, np.inf)
    assert chi.statistic == pytest.approx(w)
    assert chi.p_value == pytest.approx(stats.chi2.sf(w, 2))
    f = wald_test(b, v, denominator=7)
    assert f.statistic == pytest.approx(w / 2)
    assert f.p_value == pytest.approx(stats.f.sf(w / 2, 2, 7))
    tiny = wald_test(b * [1, 1e-9], v * np.outer([1, 1e-9], [1, 1e-9]))
    assert tiny.statistic == pytest.approx(w)
    with pytest.raises(ValueError, match="full rank"):
        wald_test(b, np.ones((2, 2)))
    with pytest.raises(ValueError, match="full rank"):
        wald_test(np.array([np.nan, 1]), v)
    with pytest.raises(ValueError, match="no degrees of freedom"):
        wald_test(b, v, denominator=0)


def test_t_limits_cover_as_they_say() -> None:
    """400 samples of 2 units in each of 6 strata: limits with t on 6 degrees of freedom cover, z limits do not."""
    rng = np.random.default_rng(7)
    strata, psu = np.repeat(np.arange(6.0), 20), np.repeat(np.arange(12.0), 10)
    design = survey_design(strata, psu)
    inside_t = inside_z = 0
    for _ in range(400):
        unit = rng.normal(scale=0.4, size=12)[np.repeat(np.arange(12), 10)]
        x = rng.normal(size=120)
        y = (rng.random(120) < np.exp(-1.5 + unit - 0.08)).astype(float)
        fit = fit_model("modified_poisson", build_design({"x": x}, [Linear("x")], 120), y)
        se = float(np.sqrt(covariance(fit, "survey", design=design)[1, 1]))
        df = degrees_of_freedom(fit, "survey", design=design)[1]
        inside_t += abs(fit.coefficients[1]) < stats.t.ppf(0.975, df) * se
        inside_z += abs(fit.coefficients[1]) < 1.959964 * se
    assert inside_z < 0.925 * 400
    assert abs(inside_t / 400 - 0.95) < 0.035
