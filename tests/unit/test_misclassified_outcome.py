"""Misclassification of the outcome in a model: the corrected 2x2 table where there is nothing else in it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from walkrisk.models.covariance import covariance
from walkrisk.models.design import Linear, build_design
from walkrisk.models.fit import fit_model
from walkrisk.sensitivity.bias import correct_misclassification
from walkrisk.sensitivity.misclassified_outcome import (
    CorrectedDraws,
    correct_outcome,
    corrected_draws,
    distribution_of,
    draw_from_kappa,
    kappa_of,
    lowest_specificity,
    sensitivity_of_kappa,
)
from walkrisk.sensitivity.priors import Constant, Trapezoidal, Uniform
from walkrisk.sensitivity.probabilistic_bias import draw_classification, probabilistic_misclassification, simulated

TABLE = np.array([[4558, 3428], [46305, 46085]])  # with and without the outcome; exposed, unexposed


def rows_of(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A design of intercept and exposure, and the answers."""
    (a, b), (c, d) = table
    exposed = np.repeat([1.0, 0.0, 1.0, 0.0], [a, b, c, d])
    return np.column_stack([np.ones(len(exposed)), exposed]), np.repeat([1.0, 1.0, 0.0, 0.0], [a, b, c, d])


def test_without_covariates_it_is_episensrs_table(shared: Path) -> None:
    row = json.loads((shared / "reference/statistics/out/qba_episensr.json").read_text())["misclass_outcome"]
    x, y = rows_of(np.array(row["obs.data"]))
    se, _, sp, _ = row["bias.parms"]
    for estimator in ("score", "likelihood"):
        found = correct_outcome(x, y, se, sp, estimator=estimator)
        assert math.exp(found.coefficients[1]) == pytest.approx(row["adj.measures"][0], rel=1e-8)
    assert found.expected_cases == pytest.approx(sum(row["corr.data"][0]), rel=1e-10)


def test_standard_error_and_differential_errors_are_those_of_the_table() -> None:
    table = np.array([[120, 60], [380, 440]])
    x, y = rows_of(table)
    exposed = x[:, 1] == 1
    for se, sp in (((0.8, 0.8), (0.97, 0.97)), ((0.85, 0.7), (0.95, 0.98))):
        expected = correct_misclassification(table, of="outcome", sensitivity=se, specificity=sp)
        found = correct_outcome(x, y, np.where(exposed, *se), np.where(exposed, *sp))
        assert math.exp(found.coefficients[1]) == pytest.approx(expected.corrected.risk_ratio.estimate, rel=1e-9)
        like = fit_model("modified_poisson", build_design({"e": x[:, 1]}, [Linear("e")], len(y)), y)
        got = math.sqrt(found.covariance(like, "HC0")[1, 1])
        assert got == pytest.approx(expected.corrected.risk_ratio.std_error, rel=1e-8)


def adjusted(n: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    e, v = (rng.random(n) < 0.5).astype(float), rng.standard_normal(n)
    truth = rng.random(n) < np.exp(-1.6 - 0.5 * e + 0.2 * v)
    said = np.where(truth, rng.random(n) < 0.7, rng.random(n) < 0.04)
    return {"e": e, "v": v, "truth": truth.astype(float), "y": said.astype(float)}


def test_perfect_answers_change_nothing() -> None:
    d = adjusted(800, 1)
    design = build_design(d, [Linear("e"), Linear("v")], 800)
    naive = fit_model("modified_poisson", design, d["y"])
    found = correct_outcome(design.matrix, d["y"], 1.0, 1.0)
    np.testing.assert_allclose(found.coefficients, naive.coefficients, rtol=1e-9)
    np.testing.assert_allclose(found.covariance(naive, "stata"), covariance(naive, "stata"), rtol=1e-8)


def test_the_truth_behind_the_answers_is_recovered() -> None:
    values = {"naive": [], "score": [], "likelihood": []}
    errors, covered = [], 0
    for seed in range(60):
        d = adjusted(4000, seed)
        design = build_design(d, [Linear("e"), Linear("v")], 4000)
        naive = fit_model("modified_poisson", design, d["y"])
        values["naive"].append(naive.coefficients[1])
        for estimator in ("score", "likelihood"):
            found = correct_outcome(design.matrix, d["y"], 0.7, 0.96, estimator=estimator)
            values[estimator].append(found.coefficients[1])
            if estimator == "score":
                errors.append(math.sqrt(found.covariance(naive, "HC0")[1, 1]))
                covered += abs(found.coefficients[1] + 0.5) < 1.96 * errors[-1]
    mean = {k: float(np.mean(v)) for k, v in values.items()}
    spread = {k: float(np.std(v)) for k, v in values.items()}
    assert mean["naive"] > -0.5 + 10 * spread["naive"] / math.sqrt(60)  # drawn towards no difference
    for estimator in ("score", "likelihood"):
        assert abs(mean[estimator] + 0.5) < 4 * spread[estimator] / math.sqrt(60)
    assert np.mean(errors) == pytest.approx(spread["score"], rel=4 / math.sqrt(120))
    assert covered >= 52


def test_kappa_is_that_of_two_answers() -> None:
    p, se, sp = 0.12, 0.8, 0.97
    both_yes = p * se**2 + (1 - p) * (1 - sp) ** 2
    both_no = p * (1 - se) ** 2 + (1 - p) * sp**2
    q = p * se + (1 - p) * (1 - sp)
    by_chance = q**2 + (1 - q) ** 2
    kappa = (both_yes + both_no - by_chance) / (1 - by_chance)
    assert kappa_of(se, sp, q) == pytest.approx(kappa, rel=1e-12)
    assert sensitivity_of_kappa(kappa, sp, q) == pytest.approx(se, rel=1e-12)
    assert sensitivity_of_kappa(kappa, lowest_specificity(kappa, q), q) == pytest.approx(1)
    assert sensitivity_of_kappa(0.55, 0.8, 0.1) == math.inf  # more false answers than answers


def test_draws_from_a_kappa_agree_with_it() -> None:
    rng = np.random.default_rng(2)
    se, sp = draw_from_kappa(Uniform(0.51, 0.60), 0.15, 5000, rng)
    kappa = kappa_of(se, sp, 0.15)
    assert kappa.min() >= 0.51 - 1e-9
    assert kappa.max() <= 0.60 + 1e-9
    assert kappa.mean() == pytest.approx(0.555, abs=0.002)
    assert (se <= 1).all()
    assert sp.min() >= 0.85
    with pytest.raises(ValueError, match="above 0 and up to 1"):
        draw_from_kappa(Constant(1.2), 0.15, 10, rng)
    with pytest.raises(ValueError, match="between 0 and 1, not at 0"):
        sensitivity_of_kappa(0.5, 0.9, 0.0)


def test_draws_without_covariates_are_those_of_the_table() -> None:
    table = np.array([[120, 60], [380, 440]])
    x, y = rows_of(table)
    priors = (Trapezoidal(0.7, 0.75, 0.85, 0.9), Uniform(0.86, 0.99))
    expected = probabilistic_misclassification(
        table, of="outcome", sensitivity=priors[0], specificity=priors[1], rng=np.random.default_rng(3), draws=400
    )
    made = draw_classification(*priors, 400, np.random.default_rng(3))
    found = corrected_draws(x, y, made.sensitivity[:, :1], made.specificity[:, :1], (1,))
    assert found.impossible == expected.impossible
    assert found.impossible > 0
    fine = np.isfinite(found.estimates[:, 0])
    np.testing.assert_allclose(np.exp(found.estimates[fine, 0]), expected.risk_ratios, rtol=1e-8)
    d = distribution_of(found, np.random.default_rng(4))
    assert d.kept == fine.sum()
    assert math.exp(d.systematic[0, 0]) == pytest.approx(expected.risk_ratio.median, rel=2e-3)
    assert d.total[1, 0] < d.systematic[1, 0] < d.systematic[2, 0] < d.total[2, 0]
    within = 4 * math.hypot(expected.risk_ratio_total.error_of_high, math.exp(d.total[2, 0]) * d.monte_carlo[2, 0])
    both = CorrectedDraws(
        estimates=np.tile(found.estimates, 2), std_errors=np.zeros((400, 2))
    )  # no random error: the draws themselves
    alone = distribution_of(both, np.random.default_rng(4))
    np.testing.assert_array_equal(alone.total, alone.systematic)
    one = simulated(found.estimates[fine, 0], 0.95)
    errors = [[one.error_of_median], [one.error_of_low], [one.error_of_high]]
    np.testing.assert_array_equal(alone.monte_carlo, np.tile(errors, 2))
    assert abs(math.exp(d.total[2, 0]) - expected.risk_ratio_total.high) < within


def test_impossible_values_are_said() -> None:
    x, y = rows_of(np.array([[30, 5], [270, 295]]))
    with pytest.raises(ValueError, match="lie between 0 and 1"):
        correct_outcome(x, y, 1.1, 0.9)
    with pytest.raises(ValueError, match="no better than chance"):
        correct_outcome(x, y, 0.4, 0.6)
    with pytest.raises(ValueError, match="choose from score, likelihood"):
        correct_outcome(x, y, 0.9, 1.0, estimator="em")
    found = correct_outcome(x, y, 0.9, 0.9)
    assert not found.converged
    assert "makes 60 false cases, and 35 were observed" in found.sentence
    found = correct_outcome(x, y, 0.9, 0.97)  # 9 false cases among the 5 unexposed ones
    assert not found.converged
    assert "no true cases or fewer" in found.sentence
    draws = corrected_draws(x, y, np.full((20, 1), 0.9), np.full((20, 1), 0.9), (1,))
    assert draws.impossible == 20
    with pytest.raises(ValueError, match="20 of 20 draws of sensitivity and specificity contradict"):
        distribution_of(draws, np.random.default_rng(1))
