"""Standardised risks: stratified standardisation by hand, refits with perturbed weights, known truth, and misuse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from walkrisk.estimates.contrasts import quantile_of
from walkrisk.estimates.counterfactuals import counterfactual_design, inverse_link, level_designs
from walkrisk.estimates.risk_contrasts import (
    contrasts_of_risks,
    level_risks,
    number_needed,
    p_of,
    risk_contrasts,
)
from walkrisk.estimates.standardisation import StandardisedRisks, risk_covariance, risk_influence, standardise
from walkrisk.models.covariance import survey_design
from walkrisk.models.design import Design, Factor, Linear, Product, Spline, Term, build_design
from walkrisk.models.fit import Fit, fit_model

Array = np.ndarray[Any, np.dtype[np.float64]]
A = Factor("a", (0.0, 1.0), ("no", "yes"))
S = Factor("s", (0.0, 1.0, 2.0), ("low", "middle", "high"))
MODEL: list[Term] = [A, S, Linear("x"), Product(A, Linear("x"))]


def people(n: int = 400, seed: int = 1) -> tuple[dict[str, Array], Array]:
    rng = np.random.default_rng(seed)
    s = rng.integers(0, 3, n).astype(float)
    x = rng.normal(size=n)
    a = (rng.random(n) < 0.3 + 0.15 * s).astype(float)
    eta = -1.6 + 0.6 * a + 0.3 * s + 0.3 * x - 0.2 * a * x
    return {"a": a, "s": s, "x": x}, (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)


def exposed_or_not(columns: Mapping[str, Array], terms: Sequence[Term]) -> dict[str, Design]:
    return level_designs(columns, terms, len(columns["a"]), A)


def fitted(
    columns: Mapping[str, Array],
    y: Array,
    terms: Sequence[Term] = MODEL,
    method: str = "logistic",
    weights: Array | None = None,
) -> Fit:
    return fit_model(method, build_design(columns, terms, len(y)), y, weights=weights)


def test_a_saturated_model_is_stratified_standardisation_by_hand() -> None:
    columns, y = people()
    terms: list[Term] = [A, S, Product(A, S)]
    fit = fitted(columns, y, terms)
    risks = standardise(fit, exposed_or_not(columns, terms), y=y)
    share = np.array([(columns["s"] == k).mean() for k in range(3)])
    by_hand, conditional, unconditional = [], [], []
    for level in (0.0, 1.0):
        cell = [(columns["a"] == level) & (columns["s"] == k) for k in range(3)]
        p, size = np.array([y[c].mean() for c in cell]), np.array([c.sum() for c in cell])
        by_hand.append(share @ p)
        conditional.append(share**2 @ (p * (1 - p) / size))
        unconditional.append(conditional[-1] + (share @ p**2 - (share @ p) ** 2) / len(y))
    np.testing.assert_allclose(risks.risks, by_hand, rtol=1e-12)
    for variance in ("model", "HC0"):
        s = risk_covariance(risks, fit, variance, unconditional=False)
        np.testing.assert_allclose(np.diag(s), conditional, rtol=1e-9)
        assert abs(s[0, 1]) < 1e-15
        np.testing.assert_allclose(np.diag(risk_covariance(risks, fit, variance)), unconditional, rtol=1e-9)


@pytest.mark.parametrize("method", ["logistic", "modified_poisson", "log_binomial"])
@pytest.mark.parametrize("group", ["all", "exposed"])
def test_influence_is_the_change_with_a_persons_weight(method: str, group: str) -> None:
    columns, y = people(150)
    w = np.random.default_rng(2).uniform(0.5, 2.0, len(y))
    population = columns["a"] == 1 if group == "exposed" else None
    terms = [A, S, Linear("x")] if method == "log_binomial" else MODEL
    scenarios = exposed_or_not(columns, terms)

    def risks_of(weights: Array) -> tuple[Fit, StandardisedRisks]:
        fit = fitted(columns, y, terms, method, weights)
        return fit, standardise(fit, scenarios, y=y, weights=weights, population=population)

    fit, risks = risks_of(w)
    phi = risk_influence(risks, fit, "HC0")
    for i in range(0, len(y), 15):
        up, down = w.copy(), w.copy()
        up[i] *= 1 + 1e-4
        down[i] *= 1 - 1e-4
        change = (risks_of(up)[1].risks - risks_of(down)[1].risks) / 2e-4
        np.testing.assert_allclose(phi[i], change, rtol=1e-5, atol=1e-9)
    s = risk_covariance(risks, fit, "HC0")
    np.testing.assert_allclose(s, phi.T @ phi, rtol=1e-12)
    contrast, (r, m) = risk_contrasts(risks, s)[0], risks.risks
    for q, own in (
        (contrast.risk_difference, phi[:, 1] - phi[:, 0]),
        (contrast.risk_ratio, phi[:, 1] / m - phi[:, 0] / r),
        (contrast.odds_ratio, phi[:, 1] / (m * (1 - m)) - phi[:, 0] / (r * (1 - r))),
    ):
        np.testing.assert_allclose(q.std_error, math.sqrt(own @ own), rtol=1e-10)


@pytest.mark.parametrize("method", ["logistic", "modified_poisson"])
def test_gradients_are_numerical_derivatives(method: str) -> None:
    columns, y = people()
    terms: list[Term] = [A, Spline("x", (-1.2, 0.0, 1.3)), S]
    fit = fitted(columns, y, terms, method)
    scenarios = exposed_or_not(columns, terms)
    risks = standardise(fit, scenarios, y=y)
    for row, design in enumerate(scenarios.values()):
        for j in range(fit.parameters):
            b = np.array([fit.coefficients, fit.coefficients])
            b[0, j], b[1, j] = b[0, j] + 1e-5, b[1, j] - 1e-5
            up, down = (inverse_link(fit.link, design.matrix @ c)[0].mean() for c in b)
            np.testing.assert_allclose(risks.gradients[row, j], (up - down) / 2e-5, rtol=1e-6, atol=1e-9)


def test_whole_weights_are_copies_of_people() -> None:
    columns, y = people(120)
    w = np.random.default_rng(3).integers(1, 4, len(y)).astype(float)
    copies = np.repeat(np.arange(len(y)), w.astype(int))
    copied = {name: values[copies] for name, values in columns.items()}
    one = standardise(fitted(columns, y, weights=w), exposed_or_not(columns, MODEL), y=y, weights=w)
    two = standardise(fitted(copied, y[copies]), exposed_or_not(copied, MODEL), y=y[copies])
    np.testing.assert_allclose(one.risks, two.risks, rtol=1e-10)
    np.testing.assert_allclose(one.gradients, two.gradients, rtol=1e-9)
    with pytest.raises(ValueError, match="not those of the fit"):
        standardise(fitted(columns, y, weights=w), exposed_or_not(columns, MODEL), y=y)


def test_people_of_weight_0_are_nobody() -> None:
    columns, y = people()
    w = (columns["x"] > -1).astype(float)
    some = {name: values[w > 0] for name, values in columns.items()}
    risks = standardise(fitted(columns, y, weights=w), exposed_or_not(columns, MODEL), y=y, weights=w)
    fewer = standardise(fitted(some, y[w > 0]), exposed_or_not(some, MODEL), y=y[w > 0])
    np.testing.assert_allclose(risks.risks, fewer.risks, rtol=1e-10)
    assert risks.population == (w > 0).sum()
    assert not risks.settled.any()


def test_clusters_of_copies_are_one_person() -> None:
    columns, y = people(150)
    twice = {name: np.tile(values, 2) for name, values in columns.items()}
    y2, cluster = np.tile(y, 2), np.tile(np.arange(len(y), dtype=float), 2)
    fit, fit2 = fitted(columns, y), fitted(twice, y2)
    s = risk_covariance(standardise(fit, exposed_or_not(columns, MODEL), y=y), fit, "stata")
    risks2 = standardise(fit2, exposed_or_not(twice, MODEL), y=y2)
    np.testing.assert_allclose(risk_covariance(risks2, fit2, "cluster", cluster=cluster), s, rtol=1e-8)
    halves = survey_design(np.zeros(len(y2)), cluster)
    np.testing.assert_allclose(risk_covariance(risks2, fit2, "survey", design=halves), s, rtol=1e-6)


def test_an_external_population_is_a_fixed_standard() -> None:
    columns, y = people()
    fit = fitted(columns, y)
    some = {name: values[:90] for name, values in columns.items()}
    scenarios = exposed_or_not(some, MODEL)
    out = standardise(fit, scenarios, y=y, population=np.full(90, 2.0), external=True)
    mask = np.arange(len(y)) < 90
    inside = standardise(fit, exposed_or_not(columns, MODEL), y=y, population=mask)
    np.testing.assert_allclose(out.risks, inside.risks, rtol=1e-12)
    fixed = risk_covariance(inside, fit, "HC3", unconditional=False)
    np.testing.assert_allclose(risk_covariance(out, fit, "HC3"), fixed, rtol=1e-10)
    assert np.all(np.diag(risk_covariance(inside, fit, "HC3")) > np.diag(fixed))
    with pytest.raises(ValueError, match="external"):
        standardise(fit, scenarios, y=y)
    with pytest.raises(ValueError, match="conditional"):
        risk_influence(out, fit, "HC0")


def test_the_mixture_of_exposed_and_unexposed_is_the_cohort() -> None:
    columns, y = people()
    fit, exposed = fitted(columns, y), columns["a"] == 1
    scenarios = exposed_or_not(columns, MODEL)
    everyone, treated, untreated = (
        standardise(fit, scenarios, y=y, population=p).risks for p in (None, exposed, ~exposed)
    )
    np.testing.assert_allclose(everyone, exposed.mean() * treated + (~exposed).mean() * untreated, rtol=1e-12)
    np.testing.assert_allclose(treated[1], y[exposed].mean(), rtol=1e-9)  # the score of the exposure is 0


def test_ten_units_more_for_everyone() -> None:
    columns, y = people()
    fit = fitted(columns, y, [A, Linear("x")])
    n = len(y)
    scenarios = {
        "as it was": counterfactual_design(columns, [A, Linear("x")], n, {"x": columns["x"]}),
        "more": counterfactual_design(columns, [A, Linear("x")], n, {"x": columns["x"] + 0.5}),
    }
    risks = standardise(fit, scenarios, y=y).risks
    eta = fit.design.matrix @ fit.coefficients
    np.testing.assert_allclose(risks[0], y.mean(), rtol=1e-9)
    np.testing.assert_allclose(risks[1], (1 / (1 + np.exp(-eta - 0.5 * fit.coefficients[2]))).mean(), rtol=1e-12)


# ---------------------------------------------------------------- what data cannot determine


def small(cells: Mapping[tuple[float, float], tuple[int, int]]) -> tuple[dict[str, Array], Array]:
    """People and cases by (exposure, stratum)."""
    a = np.concatenate([np.full(n, k[0]) for k, (n, _) in cells.items()])
    s = np.concatenate([np.full(n, k[1]) for k, (n, _) in cells.items()])
    y = np.concatenate([np.r_[np.ones(e), np.zeros(n - e)] for n, e in cells.values()])
    return {"a": a, "s": s}, y


DOSE = Factor("a", (0.0, 1.0, 2.0), ("none", "some", "much"))
SITE = Factor("s", (0.0, 1.0), ("here", "there"))


@pytest.mark.parametrize("method", ["logistic", "modified_poisson", "log_binomial"])
@pytest.mark.parametrize("empty", [0, 2])
def test_a_level_without_cases_has_a_risk_of_exactly_0_and_no_ratio(method: str, empty: int) -> None:
    cells = {(a, s): (40, 0 if a == empty else 8 + 4 * a + 2 * s) for a in (0, 1, 2) for s in (0, 1)}
    columns, y = small(cells)  # type: ignore[arg-type]
    fit = fitted(columns, y, [DOSE, SITE], method)
    risks = standardise(fit, level_designs(columns, [DOSE, SITE], len(y), DOSE), y=y)
    assert risks.risks[empty] == 0
    assert risks.exact.tolist() == [k == empty for k in range(3)]
    s = risk_covariance(risks, fit, "HC0")
    assert np.isnan(s[empty]).all()
    others = [k for k in range(3) if k != empty]
    keep = columns["a"] != empty
    rest = {name: values[keep] for name, values in columns.items()}
    two = Factor("a", tuple(float(k) for k in others), ("1", "2"))
    alone = fitted(rest, y[keep], [two, SITE], method)
    np.testing.assert_allclose(risks.risks[others], _risks_elsewhere(alone, columns, two, y[keep]), rtol=1e-8)
    made = {(c.level, c.reference): c for c in risk_contrasts(risks, s, pairwise=True)}
    names = [DOSE.labels[k] for k in others]
    assert math.isfinite(made[names[1], names[0]].risk_ratio.conf_low)
    pair = (names[0], DOSE.labels[empty]) if empty == 0 else (DOSE.labels[empty], names[0])
    assert math.isnan(made[pair].risk_ratio.estimate)
    assert math.isnan(made[pair].risk_difference.conf_low)
    assert math.isfinite(made[pair].risk_difference.estimate)
    assert not made[pair].number_needed.through_infinity
    assert math.isnan(made[pair].number_needed.last)
    assert any("exactly 0" in w for w in risks.warnings)


def _risks_elsewhere(fit: Fit, columns: Mapping[str, Array], two: Factor, y: Array) -> Array:
    changed = dict(columns)
    changed["a"] = np.full(len(columns["a"]), two.levels[0])
    scenarios = level_designs(changed, [two, SITE], len(changed["a"]), two)
    return standardise(fit, scenarios, y=y, external=True).risks


def test_a_cell_of_a_product_without_cases_counts_as_0() -> None:
    columns, y = small({(0.0, 0.0): (50, 10), (0.0, 1.0): (50, 15), (1.0, 0.0): (40, 12), (1.0, 1.0): (20, 0)})
    terms: list[Term] = [A, SITE, Product(A, SITE)]
    fit = fitted(columns, y, terms)
    risks = standardise(fit, exposed_or_not(columns, terms), y=y)
    np.testing.assert_allclose(risks.risks, [(90 * 0.2 + 70 * 0.3) / 160, 90 * 0.3 / 160], rtol=1e-10)
    assert risks.settled.tolist() == [0, 70]
    assert any("70 of 160 people have a risk of exactly 0 or 1" in w for w in risks.warnings)
    s = risk_covariance(risks, fit, "HC0", unconditional=False)
    variances = [0.5625**2 * 0.16 / 50 + 0.4375**2 * 0.21 / 50, 0.5625**2 * 0.21 / 40]
    np.testing.assert_allclose(np.diag(s), variances, rtol=1e-8)


def test_a_cell_whose_only_cases_weigh_nothing_has_none() -> None:
    columns, y = small({(0.0, 0.0): (50, 10), (1.0, 0.0): (40, 1)})
    w = np.where((columns["a"] == 1) & (y == 1), 0.0, 1.0)
    fit = fitted(columns, y, [A], weights=w)
    risks = standardise(fit, exposed_or_not(columns, [A]), y=y, weights=w)
    np.testing.assert_allclose(risks.risks, [0.2, 0.0], rtol=1e-10)
    assert risks.exact.tolist() == [False, True]


def test_a_risk_of_0_in_a_linear_model_is_a_risk_like_any_other() -> None:
    columns, y = small({(0.0, 0.0): (50, 10), (0.0, 1.0): (50, 15), (1.0, 0.0): (40, 0), (1.0, 1.0): (20, 0)})
    fit = fitted(columns, y, [A, SITE], "linear")
    risks = standardise(fit, exposed_or_not(columns, [A, SITE]), y=y)
    assert not risks.settled.any()
    c = risk_contrasts(risks, risk_covariance(risks, fit, "HC0"))[0]
    np.testing.assert_allclose(c.risk_difference.estimate, fit.coefficients[1], rtol=1e-9)
    assert math.isfinite(c.risk_difference.conf_low)
    assert (fit.design.matrix @ fit.coefficients < 0).any()
    assert risks.outside.sum() > 0


def test_cells_that_pull_both_ways_leave_the_risk_unknown() -> None:
    cells = {(0.0, 0.0): (50, 10), (1.0, 0.0): (20, 0), (0.0, 1.0): (20, 20)}  # nobody is in both
    columns, y = small(cells)
    fit = fitted(columns, y, [A, SITE])
    risks = standardise(fit, exposed_or_not(columns, [A, SITE]), y=y)
    assert math.isnan(risks.risks[1])
    assert risks.unknown.tolist() == [0, 20]
    np.testing.assert_allclose(risks.risks[0], (70 * 0.2 + 20) / 90, rtol=1e-8)


def test_on_the_boundary_there_are_risks_but_no_delta_limits() -> None:
    x = np.repeat([0.0, 1.0, 2.0], 20)
    y = np.concatenate([np.repeat([1.0, 0.0], [k, 20 - k]) for k in (6, 9, 20)])
    columns = {"a": np.tile([0.0, 1.0], 30), "x": x}
    terms: list[Term] = [A, Linear("x")]
    fit = fitted(columns, y, terms, "log_binomial")
    assert fit.converged
    assert not fit.wald
    risks = standardise(fit, exposed_or_not(columns, terms), y=y)
    assert np.isfinite(risks.risks).all()
    assert np.isnan(risk_covariance(risks, fit, "HC0")).all()
    contrast = risk_contrasts(risks, risk_covariance(risks, fit, "HC0"))[0]
    assert math.isfinite(contrast.risk_ratio.estimate)
    assert math.isnan(contrast.risk_ratio.conf_low)
    assert any("boundary" in w for w in risks.warnings)


def test_a_cell_of_a_product_that_nobody_is_in_is_not_estimable() -> None:
    columns, y = small({(0.0, 0.0): (50, 10), (0.0, 1.0): (50, 15), (1.0, 0.0): (40, 12)})
    terms: list[Term] = [A, SITE, Product(A, SITE)]
    risks = standardise(fitted(columns, y, terms), exposed_or_not(columns, terms), y=y)
    assert math.isnan(risks.risks[1])
    assert risks.unknown.tolist() == [0, 50]
    assert "not estimable" in risks.warnings[0]
    here = standardise(fitted(columns, y, terms), exposed_or_not(columns, terms), y=y, population=columns["s"] == 0)
    np.testing.assert_allclose(here.risks, [0.2, 0.3], rtol=1e-10)


def test_a_copy_of_the_exposure_among_the_covariates_leaves_nothing_to_compare() -> None:
    columns, y = people()
    columns["double"] = 2 * columns["a"] + 1
    terms: list[Term] = [A, Linear("double"), Linear("x")]
    fit = fitted(columns, y, terms)
    risks = standardise(fit, exposed_or_not(columns, terms), y=y)
    assert np.isnan(risks.risks).all()
    assert np.isnan(risk_covariance(risks, fit, "HC0")).all()
    harmless: list[Term] = [A, Linear("x"), Linear("x", per=2.0)]
    kept = standardise(fitted(columns, y, harmless), exposed_or_not(columns, harmless), y=y)
    without = standardise(fitted(columns, y, harmless[:2]), exposed_or_not(columns, harmless[:2]), y=y)
    np.testing.assert_allclose(kept.risks, without.risks, rtol=1e-9)


def test_a_level_of_cases_only_has_a_risk_of_1_in_a_logistic_model() -> None:
    columns, y = small({(0.0, 0.0): (50, 10), (0.0, 1.0): (50, 15), (1.0, 0.0): (5, 5), (1.0, 1.0): (6, 6)})
    fit = fitted(columns, y, [A, SITE])
    risks = standardise(fit, exposed_or_not(columns, [A, SITE]), y=y)
    assert risks.risks[1] == 1
    np.testing.assert_allclose(risks.risks[0], (55 * 0.2 + 56 * 0.3) / 111, rtol=1e-8)
    contrast = risk_contrasts(risks, risk_covariance(risks, fit, "HC0"))[0]
    assert math.isnan(contrast.risk_difference.std_error)
    assert math.isnan(contrast.odds_ratio.estimate)


def test_separation_by_a_number_is_a_verdict_not_a_figure() -> None:
    x = np.r_[np.linspace(-2, -0.1, 20), np.linspace(0.1, 2, 20)]
    columns = {"a": np.tile([0.0, 1.0], 20), "x": x}
    y = (x > 0).astype(float)
    terms: list[Term] = [A, Linear("x")]
    fit = fitted(columns, y, terms)
    risks = standardise(fit, exposed_or_not(columns, terms), y=y)
    assert np.isnan(risks.risks).all()
    assert risks.warnings
    assert np.isnan(risk_covariance(risks, fit, "HC0")).all()
    contrast = risk_contrasts(risks, risk_covariance(risks, fit, "HC0"))[0]
    assert math.isnan(contrast.risk_ratio.estimate)
    assert contrast.number_needed.text() == ""


def test_someone_set_aside_keeps_the_observed_outcome_under_the_observed_exposure() -> None:
    rng = np.random.default_rng(6)
    x = np.r_[rng.integers(0, 3, 60), [9.0, 9.0]].astype(float)  # two people of their own, both cases
    columns = {"a": np.r_[rng.integers(0, 2, 60), [1.0, 1.0]].astype(float), "x": (x == 9).astype(float)}
    y = np.r_[(rng.random(60) < 0.4), [True, True]].astype(float)
    terms: list[Term] = [A, Linear("x")]
    fit = fitted(columns, y, terms)
    assert fit.rows.sum() == 60
    risks = standardise(fit, exposed_or_not(columns, terms), y=y)
    rest = columns["a"][:60] == 1
    np.testing.assert_allclose(risks.risks[1], (60 * y[:60][rest].mean() + 2) / 62, rtol=1e-8)
    assert math.isnan(risks.risks[0])
    assert risks.unknown.tolist() == [2, 0]


def test_nobody_or_everybody_with_the_outcome() -> None:
    columns, _ = people(50)
    for y in (np.zeros(50), np.ones(50)):
        risks = standardise(fitted(columns, y), exposed_or_not(columns, MODEL), y=y)
        assert np.isnan(risks.risks).all()
        assert len(risks.warnings) > 1


def test_predicted_risks_above_1_are_counted() -> None:
    columns, y = people(200)
    columns["x"] = columns["x"] * 3
    y = (np.random.default_rng(4).random(200) < np.minimum(0.9, np.exp(-1.2 + 0.3 * columns["x"]))).astype(float)
    terms: list[Term] = [A, Linear("x")]
    fit = fitted(columns, y, terms, "modified_poisson")
    risks = standardise(fit, exposed_or_not(columns, terms), y=y)
    for row, design in enumerate(exposed_or_not(columns, terms).values()):
        assert risks.outside[row] == (np.exp(design.matrix @ fit.coefficients) > 1).sum() > 0
    assert sum("outside 0 to 1" in w for w in risks.warnings) == 2
    logistic = standardise(fitted(columns, y, terms), exposed_or_not(columns, terms), y=y)
    assert not logistic.outside.any()


# ---------------------------------------------------------------- contrasts


def test_number_needed_turns_the_interval_inside_out() -> None:
    trial = number_needed(-0.10, -0.15, 0.05)  # Altman 1998: NNTB 10 (NNTB 6.7 to infinity to NNTH 20)
    assert trial.text() == "NNTB 10.0 (NNTB 6.7 to infinity to NNTH 20.0)"
    assert trial.through_infinity
    harm = number_needed(0.1, -0.05, 0.25)
    assert harm.text(0) == "NNTH 10 (NNTH 4 to infinity to NNTB 20)"
    clear = number_needed(0.1, 0.05, 0.2)
    assert (clear.first, clear.last, clear.first_kind, clear.through_infinity) == (5, 20, "harm", False)
    benefit = number_needed(-0.1, -0.2, -0.05)
    assert benefit.text() == "NNTB 10.0 (5.0 to 20.0)"
    assert number_needed(0.1, 0.0, 0.2).text() == "NNTH 10.0 (5.0 to infinity)"
    assert number_needed(-0.1, -0.2, 0.0).text() == "NNTB 10.0 (5.0 to infinity)"
    assert number_needed(0.0, -0.1, 0.1).text() == "infinity (NNTH 10.0 to infinity to NNTB 10.0)"
    assert number_needed(0.1, math.nan, math.nan).text() == "NNTH 10.0"
    assert number_needed(math.nan, 0.0, 1.0).text() == ""


@pytest.mark.parametrize("seed", range(20))
def test_the_limits_of_a_number_needed_are_those_of_the_difference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rd = rng.normal(scale=0.1)
    low, high = rd - abs(rng.normal(scale=0.1)), rd + abs(rng.normal(scale=0.1))
    got = number_needed(rd, low, high)
    signed = {"harm": 1, "benefit": -1}
    ends = sorted([signed[got.first_kind] / got.first, signed[got.last_kind] / got.last])
    np.testing.assert_allclose(ends, [low, high], rtol=1e-12)
    assert got.through_infinity == (low < 0 < high)
    if not got.through_infinity:
        assert got.first <= got.number <= got.last
    else:
        assert got.first <= got.number
        assert got.first_kind == got.kind != got.last_kind


def test_every_contrast_of_a_two_by_two_table() -> None:
    columns, y = small({(0.0, 0.0): (80, 20), (1.0, 0.0): (60, 30)})
    fit = fitted(columns, y, [A])
    risks = standardise(fit, exposed_or_not(columns, [A]), y=y)
    c = risk_contrasts(risks, risk_covariance(risks, fit, "HC0"))[0]
    np.testing.assert_allclose(c.risk_ratio.estimate, 2)
    np.testing.assert_allclose(c.risk_ratio.std_error, math.sqrt(1 / 30 - 1 / 60 + 1 / 20 - 1 / 80), rtol=1e-9)
    np.testing.assert_allclose(c.odds_ratio.estimate, 3)
    np.testing.assert_allclose(c.odds_ratio.std_error, math.sqrt(1 / 30 + 1 / 30 + 1 / 20 + 1 / 60), rtol=1e-9)
    np.testing.assert_allclose(c.risk_difference.std_error, math.sqrt(0.25 / 60 + 0.1875 / 80), rtol=1e-9)
    np.testing.assert_allclose(c.number_needed.number, 4, rtol=1e-9)
    z = 1.959963984540054
    np.testing.assert_allclose(math.log(c.risk_ratio.conf_high), math.log(2) + z * c.risk_ratio.std_error, rtol=1e-12)
    back = risk_contrasts(risks, risk_covariance(risks, fit, "HC0"), reference="yes")[0]
    assert (back.level, back.reference) == ("no", "yes")
    np.testing.assert_allclose(back.risk_ratio.estimate, 0.5)
    np.testing.assert_allclose(back.risk_ratio.p_value, c.risk_ratio.p_value)
    assert back.number_needed.kind == "benefit"


def test_intervals_of_risks_and_students_t() -> None:
    columns, y = small({(0.0, 0.0): (80, 20), (1.0, 0.0): (60, 1)})
    fit = fitted(columns, y, [A])
    risks = standardise(fit, exposed_or_not(columns, [A]), y=y)
    s = risk_covariance(risks, fit, "HC0", unconditional=False)
    plain, logit, log = (level_risks(risks, s, scale=scale)[1] for scale in ("identity", "logit", "log"))
    assert plain.conf_low < 0 < logit.conf_low < logit.conf_high < 1
    assert log.conf_low > 0
    eta, se = math.log(1 / 59), 1 / math.sqrt(60 * (1 / 60) * (59 / 60))
    np.testing.assert_allclose(logit.conf_high, 1 / (1 + math.exp(-eta - 1.959963984540054 * se)), rtol=1e-8)
    np.testing.assert_allclose(quantile_of(0.95, 10), 2.2281388519649385, rtol=1e-10)
    np.testing.assert_allclose(p_of(2.2281388519649385, 10), 0.05, rtol=1e-10)
    assert quantile_of(0.9) == pytest.approx(1.6448536269514722)
    wide = level_risks(risks, s, df=4)[0]
    assert wide.conf_high - wide.conf_low > plain.std_error
    for bad in ({"scale": "probit"}, {"conf_level": 95}, {"df": 0.0}):
        with pytest.raises(ValueError, match=r"\."):
            level_risks(risks, s, **bad)  # type: ignore[arg-type]


def test_replicated_risks_have_the_same_contrasts() -> None:
    columns, y = people()
    terms: list[Term] = [S, A]
    fit = fitted(columns, y, terms)
    risks = standardise(fit, level_designs(columns, terms, len(y), S), y=y)
    made = risk_contrasts(risks, risk_covariance(risks, fit, "HC0"), reference="middle")
    many = contrasts_of_risks(np.array([risks.risks, risks.risks[::-1], [0.0, 0.5, 1.0]]), reference=1)
    for k, c in zip((0, 2), made, strict=True):
        np.testing.assert_allclose(many["log_risk_ratio"][0, k], math.log(c.risk_ratio.estimate), rtol=1e-12)
        np.testing.assert_allclose(many["risk_difference"][0, k], c.risk_difference.estimate, rtol=1e-12)
        np.testing.assert_allclose(many["log_odds_ratio"][0, k], math.log(c.odds_ratio.estimate), rtol=1e-12)
    assert np.isnan(many["log_risk_ratio"][2, 0])
    assert np.isnan(many["log_odds_ratio"][2, [0, 2]]).all()
    assert many["risk_difference"][2].tolist() == [-0.5, 0.0, 0.5]


# ---------------------------------------------------------------- known truth


def test_unconditional_intervals_cover_the_truth_and_conditional_ones_do_not() -> None:
    rng = np.random.default_rng(11)
    grid = rng.normal(size=200_000)
    mean = (1 / (1 + np.exp(0.5 - 5.0 * grid))).mean()
    hits = {True: 0, False: 0}
    runs = 400
    for _ in range(runs):
        x = rng.normal(size=200)
        a = (rng.random(200) < 0.5).astype(float)
        y = (rng.random(200) < 1 / (1 + np.exp(0.5 - 5.0 * x))).astype(float)
        columns = {"a": a, "x": x}
        fit = fitted(columns, y, [A, Linear("x")])
        risks = standardise(fit, exposed_or_not(columns, [A, Linear("x")]), y=y)
        for unconditional in hits:
            q = level_risks(risks, risk_covariance(risks, fit, "HC0", unconditional=unconditional))[0]
            hits[unconditional] += q.conf_low < mean < q.conf_high
    assert 0.92 <= hits[True] / runs <= 0.975
    assert hits[False] / runs < 0.88  # most of the variance of a risk is that of the sample's covariates


# ---------------------------------------------------------------- misuse


def test_counterfactual_designs_refuse_what_the_model_has_not_seen() -> None:
    columns, y = people(40)
    n = len(y)
    with pytest.raises(ValueError, match="in no term"):
        counterfactual_design(columns, MODEL, n, {"z": 1.0})
    with pytest.raises(ValueError, match="never seen"):
        counterfactual_design(columns, MODEL, n, {"s": 3.0})
    with pytest.raises(ValueError, match="finite"):
        counterfactual_design(columns, MODEL, n, {"x": math.inf})
    with pytest.raises(ValueError, match="link"):
        inverse_link("cloglog", np.zeros(1))
    before = columns["a"].copy()
    counterfactual_design(columns, MODEL, n, {"a": 1.0})
    np.testing.assert_array_equal(columns["a"], before)


@pytest.mark.parametrize(
    ("population", "said"),
    [
        (np.zeros(40), "0 for everyone"),
        (np.full(40, -1.0), "negative"),
        (np.full(40, np.nan), "not finite"),
        (np.ones(39), "one for each"),
    ],
)
def test_a_population_of_nobody_is_refused(population: Array, said: str) -> None:
    columns, y = people(40)
    with pytest.raises(ValueError, match=said):
        standardise(fitted(columns, y, [A]), exposed_or_not(columns, [A]), y=y, population=population)


def test_designs_of_another_model_are_refused() -> None:
    columns, y = people(40)
    with pytest.raises(ValueError, match="columns"):
        standardise(fitted(columns, y, [A]), exposed_or_not(columns, MODEL), y=y)
    with pytest.raises(ValueError, match="nothing to standardise"):
        standardise(fitted(columns, y, [A]), {}, y=y)
    with pytest.raises(ValueError, match="not that of the fit"):
        standardise(fitted(columns, y, [A]), exposed_or_not(columns, [A]), y=1 - y)
    risks = standardise(fitted(columns, y, [A]), exposed_or_not(columns, [A]), y=y)
    with pytest.raises(ValueError, match="no scenario"):
        risk_contrasts(risks, np.eye(2), reference="perhaps")
