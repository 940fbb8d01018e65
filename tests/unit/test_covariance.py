"""Robust, clustered and survey variances: closed forms and what each reduces to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from walkrisk.models.covariance import SurveyDesign, covariance, survey_design, survey_meat
from walkrisk.models.design import Linear, Term, build_design, factor
from walkrisk.models.fit import Fit, fit_model


def fit_small(seed: int = 0, n: int = 120) -> Fit:
    rng = np.random.default_rng(seed)
    columns = {"g": rng.integers(1, 4, n).astype(float), "x": rng.normal(size=n)}
    y = (rng.random(n) < 0.35).astype(float)
    terms: list[Term] = [factor("g", columns["g"]), Linear("x")]
    return fit_model("modified_poisson", build_design(columns, terms, n), y, weights=rng.uniform(0.5, 2, n))


def test_small_sample_factors() -> None:
    fit = fit_small()
    hc0 = covariance(fit, "HC0")
    np.testing.assert_allclose(covariance(fit, "stata"), hc0 * 120 / 119, rtol=1e-14)
    np.testing.assert_allclose(covariance(fit, "HC1"), hc0 * 120 / (120 - 4), rtol=1e-14)


def test_leverages_add_up_to_the_number_of_coefficients() -> None:
    fit = fit_small()
    assert fit.leverage_x is not None
    h = np.einsum("ij,jk,ik->i", fit.leverage_x, fit.bread, fit.leverage_x)
    np.testing.assert_allclose(h.sum(), fit.parameters)
    scaled = fit.scores / np.sqrt(1 - h)[:, None]
    np.testing.assert_allclose(covariance(fit, "HC2"), fit.bread @ scaled.T @ scaled @ fit.bread, rtol=1e-12)
    scaled = fit.scores / (1 - h)[:, None]
    np.testing.assert_allclose(covariance(fit, "HC3"), fit.bread @ scaled.T @ scaled @ fit.bread, rtol=1e-12)


def test_hc3_of_a_mean_by_hand() -> None:
    """Poisson with an intercept only, 2 of 8: u = y - 1/4, h = 1/8, A = 2."""
    codes = np.ones(8)
    y = np.array([1.0, 1, 0, 0, 0, 0, 0, 0])
    fit = fit_model("modified_poisson", build_design({"g": codes}, [factor("g", codes)], 8), y)
    meat = 2 * 0.75**2 + 6 * 0.25**2
    np.testing.assert_allclose(covariance(fit, "HC0"), [[meat / 4]])
    np.testing.assert_allclose(covariance(fit, "HC2"), [[meat / 4 / (7 / 8)]])
    np.testing.assert_allclose(covariance(fit, "HC3"), [[meat / 4 / (7 / 8) ** 2]])
    np.testing.assert_allclose(covariance(fit, "model"), [[1 / 2]])


def test_a_cluster_of_its_own_for_everyone_is_the_factor_of_stata() -> None:
    fit = fit_small()
    np.testing.assert_allclose(
        covariance(fit, "cluster", cluster=np.arange(120)[::-1] * 7), covariance(fit, "stata"), rtol=1e-12
    )


def test_doubling_everyone_into_clusters_of_two_changes_only_the_number_of_clusters() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=50), (rng.random(50) < 0.4).astype(float)
    one = fit_model("modified_poisson", build_design({"x": x}, [Linear("x")], 50), y)
    two = fit_model("modified_poisson", build_design({"x": np.tile(x, 2)}, [Linear("x")], 100), np.tile(y, 2))
    got = covariance(two, "cluster", cluster=np.tile(np.arange(50), 2))
    np.testing.assert_allclose(got, covariance(one, "HC0") * 50 / 49, rtol=1e-9)


def test_one_stratum_of_single_people_is_the_factor_of_stata() -> None:
    """Total score 0, so centring does nothing: n/(n-1) times HC0."""
    fit = fit_small()
    design = survey_design(np.ones(120), np.arange(120.0))
    np.testing.assert_allclose(covariance(fit, "survey", design=design), covariance(fit, "stata"), rtol=1e-9)


def test_survey_meat_by_hand() -> None:
    """Stratum 1: units with totals 3 and 5, mean 4, 2/(2-1) x (1 + 1) = 4. Stratum 2: 0 (nobody) and 2: 2 x 2 = 4."""
    scores = np.array([[1.0], [2.0], [5.0], [2.0]])
    design = SurveyDesign(np.array([0, 0, 1, 3]), np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(survey_meat(scores, design, np.ones(4, dtype=bool)), [[8.0]])


def test_units_are_nested_in_strata() -> None:
    """Unit 1 of stratum 1 and unit 1 of stratum 2 are two units."""
    design = survey_design(np.array([1.0, 1, 2, 2]), np.array([1.0, 2, 1, 2]))
    assert design.psu.tolist() == [0, 1, 2, 3]
    assert design.stratum_of_psu.tolist() == [0, 0, 1, 1]


def test_a_stratum_with_one_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="single primary sampling unit"):
        survey_design(np.array([1.0, 1, 2]), np.array([1.0, 2, 1]))


@pytest.mark.parametrize("variance", ["cluster", "survey", "HC9"])
def test_a_variance_that_cannot_be_computed_is_refused(variance: str) -> None:
    with pytest.raises(ValueError, match=r"needs|unknown variance"):
        covariance(fit_small(), variance)


@pytest.mark.parametrize("variance", ["stata", "HC1", "cluster"])
def test_a_variance_without_degrees_of_freedom_is_unknown_not_a_crash(variance: str) -> None:
    """One person, as many people as coefficients, one cluster."""
    fit = fit_model("modified_poisson", build_design({"x": np.ones(1)}, [Linear("x")], 1), np.ones(1))
    assert not np.isfinite(covariance(fit, variance, cluster=np.zeros(1, dtype=np.intp))).any()


# ---------------------------------------------------------------- numbers of another house


@pytest.fixture(scope="module")
def statistics(shared: Path) -> Path:
    folder = shared / "reference" / "statistics"
    if not (folder / "out" / "modpois.json").is_file():
        pytest.skip("../shared/reference/statistics is not here: its data and R numbers are kept beside the checkout")
    return folder


def column(entry: list[dict[str, Any]], name: str) -> list[float]:
    return [row[name] for row in entry]


MODELS: dict[str, tuple[str, str, list[str], list[str]]] = {
    "breastcancer_stage_receptor": ("breastcancer.csv", "death", [], ["stage", "receptor"]),
    "birthwt_smoke": ("birthwt.csv", "low", ["smoke"], []),
    "wcgs_dibpat": ("wcgs_cc.csv", "chd69", ["dibpat0"], []),
}


@pytest.mark.parametrize("name", MODELS)
def test_public_data_give_the_numbers_of_sandwich(statistics: Path, name: str) -> None:
    file, outcome, linear, factors = MODELS[name]
    table = pd.read_csv(statistics / "data" / file)
    columns = {c: table[c].to_numpy(dtype=float) for c in linear}
    terms: list[Term] = [Linear(c) for c in linear]
    for c in factors:  # the levels in R's order: alphabetical, except that the receptor's reference is High
        levels = ["High", "Low"] if c == "receptor" else sorted(table[c].unique())
        columns[c] = table[c].map({level: i for i, level in enumerate(levels)}).to_numpy(dtype=float)
        terms.append(factor(c, columns[c]))
    fit = fit_model("modified_poisson", build_design(columns, terms, len(table)), table[outcome].to_numpy(dtype=float))
    expected = json.loads((statistics / "out" / "modpois.json").read_text())[name]
    np.testing.assert_allclose(fit.coefficients, column(expected["HC0"], "estimate"), rtol=1e-8)
    for variance, key in (
        ("model", "model_based"),
        ("stata", "stata_robust"),
        *((h, h) for h in ("HC0", "HC1", "HC2", "HC3")),
    ):
        got = np.sqrt(np.diag(covariance(fit, variance)))
        np.testing.assert_allclose(got, column(expected[key], "std_error"), rtol=1e-6, err_msg=variance)


def test_clusters_of_public_data_give_the_numbers_of_sandwich(statistics: Path) -> None:
    table = pd.read_csv(statistics / "data" / "ohio.csv")
    columns = {c: table[c].to_numpy(dtype=float) for c in ("age", "smoke")}
    design = build_design(columns, [Linear("age"), Linear("smoke")], len(table))
    fit = fit_model("modified_poisson", design, table["resp"].to_numpy(dtype=float))
    expected = json.loads((statistics / "out" / "cluster.json").read_text())["ohio"]["vcovCL_HC0_cadjustTRUE"]
    got = np.sqrt(np.diag(covariance(fit, "cluster", cluster=table["id"].to_numpy())))
    np.testing.assert_allclose(fit.coefficients, column(expected, "estimate"), rtol=1e-8)
    np.testing.assert_allclose(got, column(expected, "std_error"), rtol=1e-6)


@pytest.mark.parametrize("name", ["breastcancer", "wcgs"])
def test_log_binomial_of_public_data(statistics: Path, name: str) -> None:
    expected = json.loads((statistics / "out" / "logbin.json").read_text())[name]["glm_start_int"]
    if name == "wcgs":
        table = pd.read_csv(statistics / "data" / "wcgs_cc.csv")
        columns = {c: table[c].to_numpy(dtype=float) for c in ("dibpat0", "age0", "smoker")}
        terms: list[Term] = [Linear(c) for c in columns]
        y = table["chd69"].to_numpy(dtype=float)
    else:
        table = pd.read_csv(statistics / "data" / "breastcancer.csv")
        columns = {
            "stage": table["stage"].map({"Stage I": 1.0, "Stage II": 2.0, "Stage III": 3.0}).to_numpy(),
            "receptor": (table["receptor"] == "Low").to_numpy(dtype=float),
        }
        terms = [factor("stage", columns["stage"]), Linear("receptor")]
        y = table["death"].to_numpy(dtype=float)
    fit = fit_model("log_binomial", build_design(columns, terms, len(y)), y)
    assert fit.converged
    np.testing.assert_allclose(fit.coefficients, column(expected["coef"], "estimate"), rtol=1e-6)
    np.testing.assert_allclose(fit.log_likelihood, expected["logLik"], rtol=1e-10)
    if name == "breastcancer":  # as published, by the observed information: Spiegelman & Hertzmark 2005
        se = np.sqrt(np.diag(covariance(fit, "model")))
        low, high = np.exp(fit.coefficients - 1.96 * se), np.exp(fit.coefficients + 1.96 * se)
        np.testing.assert_allclose(np.exp(fit.coefficients[1:]), [2.5382, 5.8680, 1.5583], atol=6e-5)
        np.testing.assert_allclose(low[1:], [1.1734, 2.7458, 1.0487], atol=6e-5)
        np.testing.assert_allclose(high[1:], [5.4903, 12.5406, 2.3155], atol=6e-4)
