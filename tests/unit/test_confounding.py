"""Unmeasured confounding: closed forms, Bayes' rule by brute force, and simulations with a known truth."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.models.covariance import covariance
from walkrisk.models.design import Linear, build_design, factor
from walkrisk.models.fit import Fit, fit_model
from walkrisk.sensitivity.confounding import (
    array_approach,
    contour,
    evalue_curve,
    exposure_association,
    fifths,
    is_rare,
    observed_covariate,
    outcome_association,
)
from walkrisk.sensitivity.confounding_draws import (
    confounder_draws,
    corrected_ratios,
    draw_together,
    random_error,
    selection_draws,
    summarised,
)
from walkrisk.sensitivity.confounding_records import (
    confounder_probability,
    confounder_refits,
    fitted_risks,
    selection_refits,
    with_random_error,
)
from walkrisk.sensitivity.evalue import bias_factor, evalue
from walkrisk.sensitivity.priors import Beta, Constant, Uniform

FloatArray = npt.NDArray[np.float64]


def hc0(fit: Fit) -> FloatArray:
    return covariance(fit, "HC0")


# ----------------------------------------------------------------------------------------- how strong it must be


def test_a_curve_has_the_evalue_of_each_point() -> None:
    estimate = np.array([1.0, 0.8, 0.5, math.nan])
    low, high = estimate * 0.9, np.array([1.0, 0.95, 0.7, math.nan])
    got = evalue_curve(estimate, low, high)
    assert got.point[0] == 1
    assert got.limit[0] == 1
    for i in (1, 2):
        assert (got.point[i], got.limit[i]) == (evalue(estimate[i]).point, evalue(high[i]).point)
    assert math.isnan(got.point[3])
    hazards = evalue_curve(estimate[1:2], low[1:2], high[1:2], measure="HR", rare=False)
    assert hazards.point[0] == evalue(0.8, measure="HR", rare=False).point
    with pytest.raises(ValueError, match="not as 'RD'"):
        evalue_curve(estimate, low, high, measure="RD")


def test_rare_is_below_15_per_cent() -> None:
    assert is_rare(149, 1000)
    assert not is_rare(150, 1000)


def test_an_observed_covariate_by_hand() -> None:
    got = observed_covariate((0.8, 0.7, 0.9), (0.64, 0.56, 0.72))
    assert got.bias_factor == pytest.approx(1.25, rel=1e-14)
    assert got.e_value == pytest.approx(1.25 + math.sqrt(1.25 * 0.25), rel=1e-14)
    assert got.bias_factor_limit == pytest.approx(1.25, rel=1e-14)
    assert got.log_shift == pytest.approx(math.log(0.8), rel=1e-14)
    crossing = observed_covariate((0.9, 0.7, 1.1), (0.8, 0.6, 1.0))
    assert math.isnan(crossing.e_value_limit)


def test_associations_of_a_measured_covariate() -> None:
    """Prevalences 0.5, 0.3, 0.2 among exposed, 0.25, 0.25, 0.5 among reference: 2 (first) or 2.5 inverted (third)."""
    codes = np.repeat([0, 1, 2, 0, 1, 2], [50, 30, 20, 25, 25, 50])
    exposed = np.arange(200) < 100
    assert exposure_association(codes, exposed, ~exposed, inverse=False) == pytest.approx((2.0, 0))
    assert exposure_association(codes, exposed, ~exposed, inverse=True) == pytest.approx((2.5, 2))
    weights = np.where(exposed & (codes == 0), 0.0, 1.0)
    assert exposure_association(codes, exposed, ~exposed, inverse=False, weights=weights) == pytest.approx((2.4, 1))
    assert outcome_association(np.log([0.5, 1.2])) == pytest.approx(2.4)
    assert outcome_association(np.log([1.5, 2.0])) == pytest.approx(2.0)
    assert np.bincount(fifths(np.arange(100.0))).tolist() == [20] * 5
    assert np.bincount(fifths(np.repeat([0.0, 1.0], [90, 10]))).tolist() == [90, 10]


def test_contours_lie_where_the_bias_factor_is_the_ratio_to_explain() -> None:
    x = np.linspace(1.0, 6.0, 26)
    y = contour(0.5, 0.8, x)
    known = ~np.isnan(y)
    assert known.tolist() == (x > 1.6).tolist()
    assert [bias_factor(a, b) for a, b in zip(x[known], y[known], strict=True)] == pytest.approx([1.6] * known.sum())
    e = evalue(0.5).point
    np.testing.assert_allclose(contour(0.5, 1.0, np.array([e])), e, rtol=1e-12)


def test_the_array_is_the_mixture_of_risks() -> None:
    got = array_approach(0.7, [[1.5], [3.0]], [0.1, 0.4], 0.3)
    for i, g in enumerate((1.5, 3.0)):
        for j, p in enumerate((0.1, 0.4)):
            assert got[i, j] == pytest.approx(0.7 * (g * 0.3 + 0.7) / (g * p + 1 - p), rel=1e-14)
    impossible = array_approach(0.7, 3.0, [0.1, 0.9], 0.3, risks=(0.5, 0.6))
    assert np.isnan(impossible).tolist() == [True, True]  # 3 x 0.6/1.6 is above 1
    assert not np.isnan(array_approach(0.7, 3.0, 0.9, 0.3, risks=(0.5, 0.5)))


# ------------------------------------------------------------------------------------------- draws of the priors


def test_draws_follow_their_priors_together() -> None:
    made = draw_together([Uniform(0, 1), Beta(2, 5), Constant(0.3)], 40_000, np.random.default_rng(1), correlation=0.6)
    np.testing.assert_allclose(made.mean(axis=0), [0.5, 2 / 7, 0.3], atol=0.01)
    scores = np.argsort(np.argsort(made[:, :2], axis=0), axis=0)
    spearman = 6 / math.pi * math.asin(0.3)
    assert np.corrcoef(scores.T)[0, 1] == pytest.approx(spearman, abs=0.02)
    with pytest.raises(ValueError, match="between 0 and 1"):
        draw_together([Uniform(0, 1)], 10, np.random.default_rng(1), correlation=-0.1)


def test_random_error_has_the_covariance_of_the_levels() -> None:
    v = np.array([[0.04, 0.03], [0.03, 0.09]])
    got = random_error(v, 100_000, np.random.default_rng(2))
    np.testing.assert_allclose(np.cov(got.T), v, rtol=0.03)
    singular = random_error(np.ones((2, 2)), 1000, np.random.default_rng(2))
    np.testing.assert_allclose(singular[:, 0], singular[:, 1], atol=1e-12)


def test_systematic_and_random_error_add_up() -> None:
    """A normal bias of the log and a normal error: the total is normal, with limits in closed form."""
    rng = np.random.default_rng(3)
    bias = rng.normal(0.1, 0.2, (200_000, 1))
    got = corrected_ratios(np.array([0.3]), np.array([[0.01]]), bias, np.ones(len(bias), dtype=bool), rng)
    sd = math.sqrt(0.05)
    for value, expected, error in (
        (got.total[0].median, math.exp(0.2), got.total[0].error_of_median),
        (got.total[0].low, math.exp(0.2 - 1.959964 * sd), got.total[0].error_of_low),
        (got.total[0].high, math.exp(0.2 + 1.959964 * sd), got.total[0].error_of_high),
    ):
        assert abs(value - expected) < 4 * error


def test_impossible_draws_are_counted_and_too_many_are_refused() -> None:
    made = confounder_draws(
        association=Uniform(1, 4),
        prevalence=[Constant(0.2), Constant(0.2)],
        risks=np.array([0.6, 0.6]),
        draws=30_000,
        rng=np.random.default_rng(4),
    )
    assert made.possible.mean() == pytest.approx(1 / 3, abs=0.01)  # 0.6 g/(0.2 g + 0.8) is 1 at g = 2
    none = np.zeros(500, dtype=bool)
    with pytest.raises(ValueError, match=r"500 of 500 draws .* take priors of a weaker"):
        corrected_ratios(np.zeros(1), np.eye(1), np.zeros((500, 1)), none, np.random.default_rng(1))
    with pytest.raises(ValueError, match="3 priors"):
        confounder_draws(
            association=Constant(2),
            prevalence=[Constant(0.2)] * 3,
            risks=np.array([0.1, 0.1]),
            draws=100,
            rng=np.random.default_rng(1),
        )


def test_selection_moves_risks_as_a_table_before_selection() -> None:
    """Of 1,000 at each level, risks 0.2 and 0.3; selected with known probabilities, the bias is found again."""
    before, s = np.array([0.2, 0.3]), np.array([[0.9, 0.6], [0.8, 0.7]])  # level x (without, with)
    cases, others = before * s[:, 1], (1 - before) * s[:, 0]
    seen = cases / (cases + others)
    made = selection_draws(
        with_outcome=[Constant(0.6), Constant(0.7)],
        without_outcome=[Constant(0.9), Constant(0.8)],
        risks=seen,
        draws=1,
        rng=np.random.default_rng(1),
    )
    np.testing.assert_allclose(made.probability[0], s)
    np.testing.assert_allclose(math.log(seen[1] / seen[0]) - made.log_bias[0, 0], math.log(1.5), rtol=1e-12)


# --------------------------------------------------------------------------------------------------- the records


def test_the_confounders_probability_is_bayes_rule() -> None:
    risk = np.array([0.1, 0.2, 0.1, 0.2])
    y, level = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0, 1, 0, 1])
    p, g = np.array([0.3, 0.5]), 2.0
    got, above = confounder_probability(level, y, risk, association=g, prevalence=p)
    assert above == 0
    for i in range(4):
        q = p[level[i]]
        r1 = g * risk[i] / (g * q + 1 - q)
        r0 = risk[i] / (g * q + 1 - q)
        assert q * r1 + (1 - q) * r0 == pytest.approx(risk[i])
        joint = (q * r1, (1 - q) * r0) if y[i] else (q * (1 - r1), (1 - q) * (1 - r0))
        assert got[i] == pytest.approx(joint[0] / sum(joint), rel=1e-14)
    high, above = confounder_probability(level, y, risk * 4, association=g, prevalence=p)
    assert above == 2
    assert high[3] == 0  # everyone with it would have the outcome


def population(rng: np.random.Generator, n: int = 2000) -> tuple[dict[str, FloatArray], FloatArray, FloatArray]:
    """Exposure (ratios 0.8, 0.6), a covariate related to both, and a confounder (ratio 2.5) independent of it."""
    c = rng.standard_normal(n)
    e = np.searchsorted([-0.4, 0.6], 0.5 * c + rng.standard_normal(n)).astype(float)
    u = (rng.random(n) < np.array([0.5, 0.3, 0.15])[e.astype(int)]).astype(float)
    risk = 0.1 * np.array([1, 0.8, 0.6])[e.astype(int)] * 2.5**u * np.exp(0.2 * np.clip(c, -2, 2))
    return {"e": e, "c": np.clip(c, -2, 2)}, (rng.random(n) < risk).astype(float), u


def adjusted(columns: dict[str, FloatArray], y: FloatArray) -> tuple[Fit, list[int]]:
    exposure = factor("e", columns["e"])
    design = build_design(columns, [exposure, Linear("c")], len(y))
    return fit_model("modified_poisson", design, y), list(design.columns_of[exposure])


TRUE = np.log([0.8, 0.6])
P = np.array([0.5, 0.3, 0.15])


def test_both_corrections_recover_the_truth() -> None:
    """120 cohorts confounded by a factor of known prior: means within 4 Monte Carlo errors, coverage near 95 %."""
    naive, estimates, records, covered = [], [], [], []
    for seed in range(120):
        rng = np.random.default_rng([7, seed])
        columns, y, _ = population(rng)
        fit, at = adjusted(columns, y)
        b, v = fit.coefficients[at], hc0(fit)[np.ix_(at, at)]
        made = confounder_draws(
            association=Constant(2.5),
            prevalence=[Constant(p) for p in P],
            risks=np.array([fitted_risks(fit)[columns["e"] == k].mean() for k in range(3)]),
            draws=400,
            rng=rng,
        )
        got = corrected_ratios(b, v, made.log_bias, made.possible, rng)
        refits = confounder_refits(
            fit, at, association=np.full(4, 2.5), prevalence=np.tile(P, (4, 1)), covariance=hc0, rng=rng
        )
        naive.append(b)
        estimates.append(np.log([s.median for s in got.systematic]))
        records.append(refits.log_ratios.mean(axis=0))
        covered.append([s.low < t < s.high for s, t in zip(got.total, np.exp(TRUE), strict=True)])
    for values in (estimates, records):
        error = np.std(values, axis=0) / math.sqrt(len(values))
        assert (np.abs(np.mean(values, axis=0) - TRUE) < 4 * error).all()
    biased = np.mean(naive, axis=0) - TRUE
    np.testing.assert_allclose(biased, np.log((1.5 * P[1:] + 1) / (1.5 * P[0] + 1)), atol=0.06)
    assert 0.89 <= np.mean(covered) <= 0.99


def test_refits_agree_with_the_bias_factor() -> None:
    """In one large cohort the two corrections differ by the drawing of the confounder alone."""
    rng = np.random.default_rng(11)
    columns, y, _ = population(rng, 20_000)
    fit, at = adjusted(columns, y)
    refits = confounder_refits(
        fit, at, association=np.full(12, 2.5), prevalence=np.tile(P, (12, 1)), covariance=hc0, rng=rng
    )
    expected = fit.coefficients[at] - np.log((1.5 * P[1:] + 1) / (1.5 * P[0] + 1))
    error = refits.log_ratios.std(axis=0) / math.sqrt(12)
    assert (np.abs(refits.log_ratios.mean(axis=0) - expected) < 4 * error).all()
    assert refits.association.mean() == pytest.approx(math.log(2.5), abs=0.02)
    assert (refits.covariances[:, 0, 0] > 0).all()
    total = with_random_error(refits, np.random.default_rng(1))
    assert not np.array_equal(total, refits.log_ratios)
    made = summarised(refits.log_ratios, total, impossible=3, conf_level=0.95)
    assert (made.draws, made.impossible) == (15, 3)


def test_weighted_records_recover_the_truth_after_selection() -> None:
    """80 cohorts of which those with the outcome and unexposed take part less: bias before, none after."""
    s = np.array([[0.9, 0.4], [0.9, 0.6], [0.9, 0.8]])  # level x (without, with the outcome)
    naive, corrected = [], []
    truth = []
    for seed in range(80):
        rng = np.random.default_rng([9, seed])
        columns, y, _ = population(rng, 3000)
        whole, at = adjusted(columns, y)
        here = rng.random(len(y)) < s[columns["e"].astype(int), y.astype(int)]
        fit, at = adjusted({k: v[here] for k, v in columns.items()}, y[here])
        naive.append(fit.coefficients[at])
        truth.append(whole.coefficients[at])
        corrected.append(selection_refits(fit, at, probability=s[None], covariance=hc0).log_ratios[0])
    left, bias = np.subtract(corrected, truth), np.subtract(naive, truth)
    assert (np.abs(left.mean(axis=0)) < 4 * left.std(axis=0) / math.sqrt(80)).all()
    assert (bias.mean(axis=0) > 0.25).all()


def test_other_methods_are_refused_in_a_sentence() -> None:
    columns, y, _ = population(np.random.default_rng(1), 500)
    design = build_design(columns, [factor("e", columns["e"]), Linear("c")], len(y))
    fit = fit_model("logistic", design, y)
    with pytest.raises(ValueError, match="not of logistic; leave the refits out"):
        confounder_refits(
            fit,
            [1, 2],
            association=np.ones(1),
            prevalence=np.ones((1, 3)),
            covariance=hc0,
            rng=np.random.default_rng(1),
        )
