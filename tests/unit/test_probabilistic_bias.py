"""Priors and probabilistic bias analysis: their distributions, limits where nothing is uncertain, coverage."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from walkrisk.sensitivity.bias import correct_confounder, correct_misclassification, correct_selection, table_measures
from walkrisk.sensitivity.priors import (
    Beta,
    Constant,
    LogitNormal,
    LogNormal,
    Prior,
    Trapezoidal,
    Triangular,
    Uniform,
    draw,
    draw_pair,
)
from walkrisk.sensitivity.probabilistic_bias import (
    draw_classification,
    probabilistic_confounder,
    probabilistic_misclassification,
    probabilistic_selection,
    simulated,
)
from walkrisk.sensitivity.quantiles import median_and_limits

TABLE = np.array([[45.0, 94.0], [257.0, 945.0]])


@pytest.mark.parametrize(
    ("prior", "known"),
    [
        (Uniform(0.2, 0.6), stats.uniform(0.2, 0.4)),
        (Triangular(0.2, 0.3, 0.6), stats.triang(0.25, 0.2, 0.4)),
        (Triangular(0.2, 0.2, 0.6), stats.triang(0, 0.2, 0.4)),
        (Trapezoidal(0.2, 0.3, 0.5, 0.6), stats.trapezoid(0.25, 0.75, 0.2, 0.4)),
        (Trapezoidal(0.2, 0.2, 0.5, 0.9), stats.trapezoid(0, 3 / 7, 0.2, 0.7)),
        (Beta(9, 2), stats.beta(9, 2)),
        (LogNormal(0.3, 0.2), stats.lognorm(0.2, scale=math.exp(0.3))),
    ],
)
def test_quantiles_are_those_of_scipy(prior: Prior, known: object) -> None:
    u = np.array([1e-9, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1 - 1e-9])
    np.testing.assert_allclose(prior.quantile(u), known.ppf(u), rtol=1e-6)  # type: ignore[attr-defined]


def test_quantiles_of_a_logit_normal() -> None:
    got = LogitNormal(1.0, 0.5, 0.2, 0.8).quantile(np.array([0.5, 0.975]))
    expected = [0.2 + 0.6 / (1 + math.exp(-x)) for x in (1.0, 1.0 + 0.5 * stats.norm.ppf(0.975))]
    np.testing.assert_allclose(got, expected)
    np.testing.assert_array_equal(Constant(0.7).quantile(np.array([0.1, 0.9])), [0.7, 0.7])


@pytest.mark.parametrize("prior", [Beta(20, 5), Trapezoidal(0.7, 0.8, 0.9, 0.95), LogitNormal(1, 0.3)])
def test_correlated_pairs_keep_their_priors(prior: Prior) -> None:
    """episensr takes the beta quantile of u/(1 + u), never above its median, for correlated draws."""
    rng = np.random.default_rng(2)
    pairs = draw_pair((prior, prior), 40_000, rng, correlation=0.8)
    for j in range(2):
        for p in (0.025, 0.5, 0.975):
            share = np.mean(pairs[:, j] <= prior.quantile(np.array([p])))
            assert abs(share - p) < 4 * math.sqrt(p * (1 - p) / 40_000)
    rank = stats.spearmanr(pairs[:, 0], pairs[:, 1]).statistic
    np.testing.assert_allclose(rank, 6 / math.pi * math.asin(0.4), atol=0.01)
    logistic = draw_pair((prior, prior), 40_000, rng, correlation=0.8, dependence="logistic")
    np.testing.assert_allclose(stats.spearmanr(*logistic.T).statistic, 0.77, atol=0.02)
    np.testing.assert_allclose(logistic.mean(axis=0), pairs.mean(axis=0), rtol=0.01)


def test_priors_of_two_kinds_are_correlated_the_right_way_round() -> None:
    """episensr turns uniform draws round but not trapezoidal ones, and so their correlation."""
    pairs = draw_pair((Uniform(0.7, 1), Beta(8, 2)), 5000, np.random.default_rng(2), correlation=0.8)
    assert stats.spearmanr(*pairs.T).statistic > 0.7
    against = draw_pair((Uniform(0.7, 1), Beta(8, 2)), 5000, np.random.default_rng(2), correlation=-0.8)
    assert stats.spearmanr(*against.T).statistic < -0.7
    same = draw_pair(Uniform(0.7, 1), 50, np.random.default_rng(2), correlation=None)
    np.testing.assert_array_equal(same[:, 0], same[:, 1])


def test_certain_parameters_give_the_deterministic_correction_with_its_limits() -> None:
    exact = correct_misclassification(TABLE, of="outcome", sensitivity=(0.9, 0.8), specificity=0.99).corrected
    got = probabilistic_misclassification(
        TABLE,
        of="outcome",
        sensitivity=(Constant(0.9), Constant(0.8)),
        specificity=Constant(0.99),
        correlation=0.0,
        rng=np.random.default_rng(0),
        draws=60_000,
    )
    for mine, total, theirs in (
        (got.risk_ratio, got.risk_ratio_total, exact.risk_ratio),
        (got.odds_ratio, got.odds_ratio_total, exact.odds_ratio),
    ):
        np.testing.assert_allclose([mine.median, mine.low, mine.high], theirs.estimate)
        np.testing.assert_allclose(
            [total.median, total.low, total.high], [theirs.estimate, theirs.conf_low, theirs.conf_high], rtol=0.02
        )
    assert (got.draws, got.impossible, got.warnings) == (60_000, 0, ())
    conventional = probabilistic_misclassification(
        TABLE,
        of="outcome",
        sensitivity=Constant(0.9),
        specificity=Constant(0.95),
        rng=np.random.default_rng(0),
        draws=20_000,
        random_error="conventional",
    )
    observed = table_measures(TABLE).risk_ratio
    width = math.log(conventional.risk_ratio_total.high / conventional.risk_ratio_total.low)
    np.testing.assert_allclose(width, math.log(observed.conf_high / observed.conf_low), rtol=0.03)


def test_selection_and_confounding_with_certain_parameters() -> None:
    p = (0.9, 0.6, 0.5, 0.4)
    exact = correct_selection(TABLE, probabilities=np.reshape(p, (2, 2))).corrected.risk_ratio
    chosen = probabilistic_selection(
        TABLE, probabilities=tuple(map(Constant, p)), rng=np.random.default_rng(0), draws=30_000
    )
    total = chosen.risk_ratio_total
    np.testing.assert_allclose(chosen.risk_ratio.median, exact.estimate)
    np.testing.assert_allclose(
        [total.median, total.low, total.high], [exact.estimate, exact.conf_low, exact.conf_high], rtol=0.02
    )
    adjusted = correct_confounder(TABLE, association=2, prevalence_exposed=0.6, prevalence_unexposed=0.0).adjusted
    got = probabilistic_confounder(
        TABLE,
        association=Constant(2.0),
        prevalence_exposed=Constant(0.6),
        prevalence_unexposed=Constant(0.0),
        rng=np.random.default_rng(0),
        draws=1000,
    )
    np.testing.assert_allclose(got.risk_ratio.median, adjusted.estimate)


def test_the_adjusted_odds_ratio_is_that_of_the_two_tables() -> None:
    exact = correct_confounder(TABLE, association=2, prevalence_exposed=0.6, prevalence_unexposed=0.3)
    (a1, b1), (c1, d1) = exact.with_confounder
    (a0, b0), (c0, d0) = exact.without_confounder
    got = probabilistic_confounder(
        TABLE,
        association=Constant(2.0),
        prevalence_exposed=Constant(0.6),
        prevalence_unexposed=Constant(0.3),
        rng=np.random.default_rng(0),
        draws=100,
    )
    np.testing.assert_allclose(got.odds_ratio.median, (a1 + a0) / (c1 * b1 / d1 + c0 * b0 / d0))


def test_total_limits_cover_the_truth_and_conventional_ones_do_so_less() -> None:
    """Tables misclassified with parameters drawn from the prior itself: 95 % limits cover 95 %."""
    rng, true = np.random.default_rng(11), np.array([[240.0, 160.0], [760.0, 1640.0]])
    prior, ratio = Beta(120, 30), math.log(0.24 / (160 / 1800))
    covered = {"corrected": 0, "conventional": 0}
    for _ in range(250):
        se, sp = draw(prior, 1, rng)[0], 0.97
        p = np.array([[se, 1 - sp], [1 - se, sp]])
        seen = rng.poisson(true @ p.T).astype(float)
        for kind in covered:
            got = probabilistic_misclassification(
                seen,
                of="exposure",
                sensitivity=prior,
                specificity=Constant(0.97),
                rng=rng,
                draws=600,
                random_error=kind,
            ).risk_ratio_total
            covered[kind] += math.log(got.low) <= ratio <= math.log(got.high)
    assert 0.91 < covered["corrected"] / 250 <= 0.985
    assert covered["conventional"] < covered["corrected"]


def test_impossible_draws_are_set_aside_counted_and_said() -> None:
    got = probabilistic_misclassification(
        TABLE,
        of="exposure",
        sensitivity=Constant(0.9),
        specificity=Uniform(0.6, 1.0),
        rng=np.random.default_rng(0),
        draws=20_000,
    )
    smallest = 1 - min(45 / 139, 257 / 1202)  # specificity below which all seen exposed are false positives
    np.testing.assert_allclose(got.impossible / 20_000, (smallest - 0.6) / 0.4, atol=0.01)
    assert got.warnings[0].startswith(f"{got.impossible} of 20000 draws of the bias parameters contradict the table")
    assert len(got.risk_ratios) == 20_000 - got.impossible
    with pytest.raises(ValueError, match="No draw of the bias parameters is compatible"):
        probabilistic_misclassification(
            TABLE,
            of="exposure",
            sensitivity=Constant(0.9),
            specificity=Constant(0.6),
            rng=np.random.default_rng(0),
            draws=100,
        )


def test_draws_worse_than_chance_are_impossible_too() -> None:
    """Se + Sp below 1 turns the table round: its cells may be positive, but they are those of the other category."""
    with pytest.raises(ValueError, match="No draw"):
        probabilistic_misclassification(
            TABLE,
            of="exposure",
            sensitivity=Constant(0.05),
            specificity=Constant(0.1),
            rng=np.random.default_rng(0),
            draws=100,
        )


def test_the_same_seed_gives_the_same_draws_and_monte_carlo_errors_are_those_of_repetition() -> None:
    def run(seed: int) -> tuple[float, float, float, float]:
        got = probabilistic_misclassification(
            TABLE,
            of="exposure",
            sensitivity=Uniform(0.8, 1),
            specificity=Uniform(0.9, 1),
            rng=np.random.default_rng(seed),
            draws=2000,
        ).risk_ratio_total
        return got.median, got.high, got.error_of_median, got.error_of_high

    assert run(1) == run(1)
    runs = np.array([run(seed) for seed in range(150)])
    np.testing.assert_allclose(runs[:, :2].std(axis=0), runs[:, 2:].mean(axis=0), rtol=0.25)


@pytest.mark.parametrize(("place", "share"), [(0, 0.5), (1, 0.025), (2, 0.975)])
def test_monte_carlo_errors_of_quantiles_are_near_their_closed_form(place: int, share: float) -> None:
    """Of 500 normal draws: sqrt(p (1 - p)/500)/density; one binomial SE to either side would scatter by 0.38 of it."""
    normal = NormalDist()
    true = math.sqrt(share * (1 - share) / 500) / normal.pdf(normal.inv_cdf(share))
    made = np.random.default_rng(8).standard_normal((500, 600))
    errors = median_and_limits(made, 0.95)[1][place]
    assert errors.mean() == pytest.approx(true, rel=0.12)
    assert errors.std() / errors.mean() < 0.32
    one = simulated(made[:, 0], 0.95)
    assert (one.error_of_median, one.error_of_low, one.error_of_high)[place] == errors[0]


def test_monte_carlo_errors_of_an_even_grid_and_of_few_draws() -> None:
    quantiles, errors = median_and_limits(np.arange(10001.0), 0.95)
    assert quantiles == pytest.approx([5000, 250, 9750], rel=1e-12)
    assert errors == pytest.approx([100 * math.sqrt(10000 * p * (1 - p) / 10001) for p in (0.5, 0.025, 0.975)])
    few = median_and_limits(np.arange(20.0), 0.95)[1]  # two SEs would leave 0 to 1
    assert np.isfinite(few).all()
    assert few[1] == pytest.approx(few[2], rel=1e-12)


def test_misuse_has_a_sentence() -> None:
    rng = np.random.default_rng(0)
    for make, said in (
        (lambda: Uniform(0.9, 0.8), "rising order"),
        (lambda: Trapezoidal(0.1, 0.5, 0.4, 0.9), "rising order"),
        (lambda: Uniform(0.5, 0.5), "rising order"),
        (lambda: Beta(0, 1), "shapes of a beta prior"),
        (lambda: LogitNormal(0, 0), "positive sd"),
        (lambda: LogitNormal(0, 1, 0.5, 0.4), "bounds"),
        (lambda: LogNormal(0, -1), "positive sd"),
        (lambda: draw_pair((Beta(1, 1), Beta(1, 1)), 9, rng, correlation=None), "need a correlation"),
        (lambda: draw_pair((Beta(1, 1), Beta(1, 1)), 9, rng, correlation=1.5), "between -1"),
        (lambda: draw_pair((Beta(1, 1), Beta(1, 1)), 9, rng, correlation=-0.5, dependence="logistic"), "logistic: 0"),
        (lambda: draw_pair((Beta(1, 1), Beta(1, 1)), 9, rng, correlation=0.5, dependence="clayton"), "unknown depend"),
        (lambda: draw_classification(Uniform(0.5, 1.5), Constant(1.0), 9, rng), "must stay between 0 and 1"),
    ):
        with pytest.raises(ValueError, match=said):
            make()  # type: ignore[no-untyped-call]
    options = {"of": "exposure", "sensitivity": Constant(0.9), "specificity": Constant(1.0), "rng": rng}
    with pytest.raises(ValueError, match="at least 100 draws"):
        probabilistic_misclassification(TABLE, draws=10, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown random error"):
        probabilistic_misclassification(TABLE, random_error="none", **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="2 x 2 table"):
        probabilistic_misclassification([[1, 0], [2, 3]], **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="four priors"):
        probabilistic_selection(TABLE, probabilities=(Constant(1.0),), rng=rng)  # type: ignore[arg-type]
