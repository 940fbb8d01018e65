"""Attributable fractions: closed forms, refits with perturbed weights, known truth, and misuse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from walkrisk.estimates.attributable import (
    Fractions,
    case_based_fraction,
    levin_formula,
    levin_fraction,
    standardised_fraction,
)
from walkrisk.estimates.counterfactuals import counterfactual_design
from walkrisk.estimates.population_impact import (
    absolute_impact,
    fraction_covariance,
    fraction_intervals,
    prevented,
)
from walkrisk.models.covariance import covariance
from walkrisk.models.design import Design, Factor, Linear, Product, Term, build_design
from walkrisk.models.fit import Fit, fit_model

Array = np.ndarray[Any, np.dtype[np.float64]]
A = Factor("a", (0.0, 1.0), ("no", "yes"))
METHODS = ("logistic", "modified_poisson")
DOSE = Factor("a", (0.0, 1.0, 2.0), ("none", "some", "much"))


def people(n: int = 300, seed: int = 1, levels: int = 3) -> tuple[dict[str, Array], Array]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    a = np.minimum(rng.poisson(np.exp(0.3 * x)), levels - 1).astype(float)
    p = np.minimum(0.95, np.exp(-1.9 + 0.4 * a + 0.25 * x))
    return {"a": a, "x": x}, (rng.random(n) < p).astype(float)


def modelled(
    columns: dict[str, Array],
    y: Array,
    terms: Sequence[Term],
    method: str = "logistic",
    weights: Array | None = None,
    to: float = 0.0,
) -> tuple[Fit, Design]:
    fit = fit_model(method, build_design(columns, terms, len(y)), y, weights=weights)
    return fit, counterfactual_design(columns, terms, len(y), {"a": to})


def table(exposed: tuple[int, int], unexposed: tuple[int, int]) -> tuple[dict[str, Array], Array]:
    """Cases and others."""
    a = np.r_[np.ones(sum(exposed)), np.zeros(sum(unexposed))]
    y = np.concatenate([np.r_[np.ones(e), np.zeros(o)] for e, o in (exposed, unexposed)])
    return {"a": a}, y


@pytest.mark.parametrize("method", ["logistic", "modified_poisson", "log_binomial"])
def test_every_formula_agrees_with_walters_on_a_two_by_two_table(method: str) -> None:
    a, b, c, d = 30, 70, 20, 180
    columns, y = table((a, b), (c, d))
    n = a + b + c + d
    fraction = (a * d - b * c) / ((a + c) * (c + d))  # 1 - risk of the unexposed / risk
    walter = c * n * (a * d * (n - c) + b * c**2) / ((a + c) ** 3 * (c + d) ** 3)
    fit, unexposed = modelled(columns, y, [A], method)
    made = [standardised_fraction(fit, unexposed, y=y), case_based_fraction(fit, unexposed, y=y)]
    if method != "logistic":
        made.append(levin_fraction(fit, fit.design.columns_of[A], columns["a"][:, None], ["yes"], y=y))
    for fractions in made:
        np.testing.assert_allclose(fractions.values[-1], fraction, rtol=1e-9)
        s = fraction_covariance(fractions, fit, "HC0")
        np.testing.assert_allclose(s[-1, -1], walter, rtol=1e-8)
    q = fraction_intervals(made[0], fraction_covariance(made[0], fit, "HC0"))[0]
    half = 1.959963984540054 * math.sqrt(walter) / (1 - fraction)
    by_hand = [1 - (1 - fraction) * math.exp(half), 1 - (1 - fraction) * math.exp(-half)]
    np.testing.assert_allclose([q.conf_low, q.conf_high], by_hand, rtol=1e-8)


def _labels(columns: dict[str, Array]) -> dict[str, Any]:
    return {"categories": columns["a"].astype(np.intp), "labels": DOSE.labels}


@pytest.mark.parametrize(
    ("what", "method"),
    [
        *((what, method) for what in ("standardised", "exposed", "case_based") for method in METHODS),
        ("case_based_odds", "logistic"),
        ("levin", "modified_poisson"),
    ],
)
def test_influence_is_the_change_with_a_persons_weight(what: str, method: str) -> None:
    columns, y = people(150)
    terms: list[Term] = [DOSE, Linear("x"), Product(DOSE, Linear("x"))]
    if what == "levin":
        terms = terms[:2]
    w = np.random.default_rng(2).uniform(0.5, 2.0, len(y))

    def fractions(weights: Array) -> tuple[Fit, Fractions]:
        fit, unexposed = modelled(columns, y, terms, method, weights)
        if what == "levin":
            exposed = np.column_stack([columns["a"] == 1, columns["a"] == 2])
            at = fit.design.columns_of[DOSE]
            return fit, levin_fraction(fit, at, exposed, ["some", "much"], y=y, weights=weights)
        if what.startswith("case"):
            odds = what.endswith("odds")
            return fit, case_based_fraction(fit, unexposed, y=y, weights=weights, odds=odds, **_labels(columns))
        population = columns["a"] > 0 if what == "exposed" else None
        return fit, standardised_fraction(
            fit, unexposed, y=y, weights=weights, population=population, **_labels(columns)
        )

    fit, made = fractions(w)
    total = np.zeros((len(made.levels),) * 2)
    for i in range(len(y)):
        up, down = w.copy(), w.copy()
        up[i] *= 1 + 1e-4
        down[i] *= 1 - 1e-4
        change = (fractions(up)[1].values - fractions(down)[1].values) / 2e-4
        total += np.outer(change, change)
    s = fraction_covariance(made, fit, "HC0")
    np.testing.assert_allclose(s, total, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(made.values[:-1].sum(), made.values[-1], rtol=1e-10)
    assert made.levels[-1] == "total"


def test_several_categories_by_hand() -> None:
    columns, y = people()
    fit, unexposed = modelled(columns, y, [DOSE, Linear("x")], "modified_poisson")
    made = case_based_fraction(fit, unexposed, y=y, **_labels(columns))
    rr = np.exp(np.r_[0.0, fit.coefficients[1:3]])
    pc = np.array([(columns["a"][y == 1] == k).mean() for k in range(3)])
    np.testing.assert_allclose(made.values[:3], pc * (1 - 1 / rr), rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(made.values[3], 1 - (pc / rr).sum(), rtol=1e-10)
    gcomp = standardised_fraction(fit, unexposed, y=y, **_labels(columns))  # the scores of the categories are 0
    np.testing.assert_allclose(gcomp.values, made.values, rtol=1e-8, atol=1e-12)
    assert made.events == y.sum()
    logistic, without = modelled(columns, y, [DOSE, Linear("x")])
    odds = np.exp(np.r_[0.0, logistic.coefficients[1:3]])
    by_odds = case_based_fraction(logistic, without, y=y, odds=True, **_labels(columns))
    np.testing.assert_allclose(by_odds.values[:3], pc * (1 - 1 / odds), rtol=1e-10, atol=1e-15)


def test_every_variance_is_carried_through() -> None:
    columns, y = people(400)
    fit, unexposed = modelled(columns, y, [DOSE, Linear("x")], "modified_poisson")
    made = standardised_fraction(fit, unexposed, y=y)
    alone = np.sqrt(fraction_covariance(made, fit, "HC0")[0, 0])
    for variance in ("stata", "HC1", "HC2", "HC3"):
        got = np.sqrt(fraction_covariance(made, fit, variance)[0, 0])
        assert 1 < got / alone < 1.05
    logistic, without = modelled(columns, y, [DOSE, Linear("x")])
    model = standardised_fraction(logistic, without, y=y)
    ratio = fraction_covariance(model, logistic, "model")[0, 0] / fraction_covariance(model, logistic, "HC0")[0, 0]
    assert 0.9 < ratio < 1.1
    twice = {name: np.tile(values, 2) for name, values in columns.items()}
    fit2, unexposed2 = modelled(twice, np.tile(y, 2), [DOSE, Linear("x")], "modified_poisson")
    made2 = standardised_fraction(fit2, unexposed2, y=np.tile(y, 2))
    cluster = np.tile(np.arange(len(y), dtype=float), 2)
    got = fraction_covariance(made2, fit2, "cluster", cluster=cluster)[0, 0]
    np.testing.assert_allclose(got, fraction_covariance(made, fit, "stata")[0, 0], rtol=1e-8)


def test_a_protective_exposure_prevents_and_could_prevent() -> None:
    columns, y = table((10, 90), (80, 120))  # risks 0.1, 0.4
    fit, unexposed = modelled(columns, y, [A])
    made = standardised_fraction(fit, unexposed, y=y)
    s = fraction_covariance(made, fit, "HC0")
    q = fraction_intervals(made, s)[0]
    np.testing.assert_allclose(q.estimate, 1 - 0.4 / 0.3, rtol=1e-9)
    p = prevented(q)
    np.testing.assert_allclose(p.estimate, (1 / 3) * (1 - 0.1 / 0.4), rtol=1e-9)  # p (1 - RR)
    np.testing.assert_allclose(p.estimate, 1 - 0.3 / 0.4, rtol=1e-9)
    assert p.conf_low < p.estimate < p.conf_high
    np.testing.assert_allclose(p.conf_low, -q.conf_high / (1 - q.conf_high), rtol=1e-12)
    _, everyone = modelled(columns, y, [A], to=1.0)
    preventable = standardised_fraction(fit, everyone, y=y)
    np.testing.assert_allclose(preventable.values[-1], 1 - 0.1 / 0.3, rtol=1e-9)
    assert math.isnan(fraction_intervals(made, s, transform="log")[0].conf_low)
    assert math.isnan(fraction_intervals(made, s, transform="logit")[0].conf_low)


def test_absolute_impact_by_hand() -> None:
    columns, y = table((30, 70), (20, 180))
    fit, unexposed = modelled(columns, y, [A])
    made = absolute_impact(fit, unexposed, "HC0", y=y)
    np.testing.assert_allclose(made.observed.estimate, 50 / 300)
    np.testing.assert_allclose(made.observed.std_error, math.sqrt(50 * 250 / 300**3))
    np.testing.assert_allclose(made.counterfactual.estimate, 0.1, rtol=1e-9)
    np.testing.assert_allclose(made.counterfactual.std_error, math.sqrt(0.09 / 200), rtol=1e-8)
    np.testing.assert_allclose(made.difference.estimate, 50 / 300 - 0.1, rtol=1e-9)
    np.testing.assert_allclose(made.cases_attributable.estimate, 20, rtol=1e-9)
    np.testing.assert_allclose(made.cases_attributable.std_error, 300 * made.difference.std_error, rtol=1e-12)
    assert made.cases_observed == 50
    exposed = absolute_impact(fit, unexposed, "HC0", y=y, population=columns["a"] == 1)
    np.testing.assert_allclose(exposed.difference.estimate, 0.2, rtol=1e-9)
    variance = 0.3 * 0.7 / 100 + 0.1 * 0.9 / 200
    np.testing.assert_allclose(exposed.difference.std_error, math.sqrt(variance), rtol=1e-8)


def test_levin_from_published_figures() -> None:
    value, error = levin_formula(np.array([0.4]), np.array([math.log(2.0)]), np.array([[0.04]]))
    np.testing.assert_allclose(value, 0.4 / 1.4)
    np.testing.assert_allclose(error, 0.4 * 2 * 0.2 / 1.4**2)
    _, wider = levin_formula(np.array([0.4]), np.array([math.log(2.0)]), np.array([[0.04]]), people=100)
    np.testing.assert_allclose(wider**2, error**2 + (1 / 1.4**2) ** 2 * 0.24 / 100)
    several, _ = levin_formula(np.array([0.3, 0.2]), np.log([1.5, 3.0]), np.diag([0.01, 0.02]))
    np.testing.assert_allclose(several, 0.55 / 1.55)
    with pytest.raises(ValueError, match="shares"):
        levin_formula(np.array([0.9, 0.3]), np.zeros(2), np.eye(2))
    columns, y = table((30, 70), (20, 180))
    fit, _ = modelled(columns, y, [A], "modified_poisson")
    at = fit.position(fit.design.columns_of[A])
    v = covariance(fit, "HC0")[np.ix_(at, at)]
    made = levin_formula(np.array([1 / 3]), fit.coefficients[1:2], v, people=300)
    joint = levin_fraction(fit, (1,), columns["a"][:, None], ["yes"], y=y)
    np.testing.assert_allclose(made[0], joint.values[-1], rtol=1e-9)
    assert made[1] == pytest.approx(math.sqrt(fraction_covariance(joint, fit, "HC0")[-1, -1]), rel=1e-6)


def test_confounding_biases_levin_and_not_the_others() -> None:
    rng = np.random.default_rng(3)
    n = 200_000
    x = (rng.random(n) < 0.5).astype(float)
    a = (rng.random(n) < 0.2 + 0.6 * x).astype(float)
    columns, y = {"a": a, "x": x}, (rng.random(n) < 0.05 * 2**a * 3**x).astype(float)
    truth = 1 - 0.05 * 2 / (0.05 * (0.5 * 1.2 + 0.5 * 3 * 1.8))
    fit, unexposed = modelled(columns, y, [A, Linear("x")], "modified_poisson")
    for made in (standardised_fraction(fit, unexposed, y=y), case_based_fraction(fit, unexposed, y=y)):
        assert abs(made.values[-1] - truth) < 4 * math.sqrt(fraction_covariance(made, fit, "HC0")[-1, -1])
    levin = levin_fraction(fit, (1,), a[:, None], ["yes"], y=y)
    assert abs(levin.values[-1] - truth) > 4 * math.sqrt(fraction_covariance(levin, fit, "HC0")[-1, -1])
    assert "confound" in levin.warnings[0]


def test_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(5)
    truth = 1 - 0.1 / (0.6 * 0.1 + 0.4 * 0.25)
    hits = np.zeros(3)
    runs = 400
    for _ in range(runs):
        a = (rng.random(250) < 0.4).astype(float)
        y = (rng.random(250) < np.where(a == 1, 0.25, 0.1)).astype(float)
        fit, unexposed = modelled({"a": a}, y, [A])
        made = standardised_fraction(fit, unexposed, y=y)
        for k, variance in enumerate(("HC0", "HC3", "model")):
            q = fraction_intervals(made, fraction_covariance(made, fit, variance))[0]
            hits[k] += q.conf_low < truth < q.conf_high
    assert np.all((hits / runs > 0.92) & (hits / runs < 0.98))


# ---------------------------------------------------------------- misuse


def test_no_cases_no_reference_and_no_convergence_are_verdicts() -> None:
    columns, y = table((30, 70), (0, 200))
    fit, unexposed = modelled(columns, y, [A])
    made = standardised_fraction(fit, unexposed, y=y)
    assert math.isnan(made.values[-1])
    assert any("exactly 0" in w for w in made.warnings)
    case_based = case_based_fraction(fit, unexposed, y=y)
    assert math.isnan(case_based.values[-1])
    assert np.isnan(fraction_covariance(made, fit, "HC0")).all()
    assert math.isnan(fraction_intervals(made, fraction_covariance(made, fit, "HC0"))[0].estimate)
    assert math.isnan(absolute_impact(fit, unexposed, "HC0", y=y).difference.estimate)
    nobody = np.zeros(len(y))
    fit, unexposed = modelled(columns, nobody, [A])
    for result in (standardised_fraction(fit, unexposed, y=nobody), case_based_fraction(fit, unexposed, y=nobody)):
        assert math.isnan(result.values[-1])
        assert "no cases" in result.warnings[-1]


def test_an_exposed_category_without_cases_prevented_all_of_its_own() -> None:
    columns, y = people()
    y = np.where(columns["a"] == 1, 0.0, y)
    fit, unexposed = modelled(columns, y, [DOSE, Linear("x")])
    made = standardised_fraction(fit, unexposed, y=y, **_labels(columns))
    some = columns["a"] == 1
    risk = 1 / (1 + np.exp(-(fit.coefficients[0] + fit.coefficients[3] * columns["x"])))
    np.testing.assert_allclose(made.values[1], -risk[some].sum() / y.sum(), rtol=1e-9)
    assert np.isfinite(fraction_covariance(made, fit, "HC0")).all()


def test_wrong_questions_are_refused() -> None:
    columns, y = people()
    fit, unexposed = modelled(columns, y, [DOSE])
    with pytest.raises(ValueError, match="log link"):
        levin_fraction(fit, (1,), columns["a"][:, None], ["yes"], y=y)
    poisson, _ = modelled(columns, y, [DOSE], "modified_poisson")
    with pytest.raises(ValueError, match="logistic"):
        case_based_fraction(poisson, unexposed, y=y, odds=True)
    with pytest.raises(ValueError, match="one for each label"):
        standardised_fraction(fit, unexposed, y=y, categories=columns["a"].astype(np.intp), labels=("none", "some"))
    made = standardised_fraction(fit, unexposed, y=y)
    with pytest.raises(ValueError, match="transform"):
        fraction_intervals(made, np.eye(1), transform="arcsine")
    assert math.isnan(fraction_intervals(made, -np.eye(1))[0].std_error)
