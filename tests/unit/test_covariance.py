"""Robust, clustered and survey variances: closed forms and what each reduces to."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from walkrisk.models.covariance import (
    VARIANCES,
    SurveyDesign,
    covariance,
    degrees_of_freedom,
    influence,
    influence_covariance,
    leverages,
    survey_design,
    survey_meat,
)
from walkrisk.models.cox import fit_cox
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


# ---------------------------------------------------------------- leverage


def dense_leverages(fit: Fit) -> Any:
    x, mean = fit.x, np.exp(fit.x @ fit.coefficients)
    assert fit.weights is not None
    w = fit.weights * (mean if fit.method == "modified_poisson" else mean / (1 - mean))
    return np.diag(np.sqrt(w)[:, None] * x @ np.linalg.inv(x.T @ (w[:, None] * x)) @ x.T * np.sqrt(w))


def test_powers_of_the_leverage_by_their_formulas() -> None:
    fit = fit_small()
    h = dense_leverages(fit)
    n, k = 120, 4
    np.testing.assert_allclose(leverages(fit), h, rtol=1e-10)
    g = n * h / k
    power = {
        "HC2": np.ones(n),
        "HC3": np.full(n, 2.0),
        "HC4": np.minimum(4, g),
        "HC4m": np.minimum(1, g) + np.minimum(1.5, g),
        "HC5": np.minimum(g, max(4, 0.7 * g.max())) / 2,
    }
    for name, d in power.items():
        meat = (fit.scores.T * (1 - h) ** -d) @ fit.scores
        np.testing.assert_allclose(covariance(fit, name), fit.bread @ meat @ fit.bread, rtol=1e-10, err_msg=name)


def test_hc5_where_one_leverage_is_far_above_the_others() -> None:
    """The bound 0.7 n max(h) / k then exceeds 4 and still lies below n h / k of the one."""
    x = np.r_[np.linspace(-1, 1, 199), 25.0]
    y = (np.arange(200) % 4 == 0).astype(float)
    fit = fit_model("linear", build_design({"x": x}, [Linear("x")], 200), y)
    h = leverages(fit)
    g = 200 * h / 2
    bound = max(4.0, 0.7 * g.max())
    assert 4 < bound < g.max()
    meat = (fit.scores.T * (1 - h) ** (-np.minimum(g, bound) / 2)) @ fit.scores
    np.testing.assert_allclose(covariance(fit, "HC5"), fit.bread @ meat @ fit.bread, rtol=1e-9)


def test_each_name_is_a_variance_of_its_own() -> None:
    """statsmodels' GLM returns HC0 whatever HC is asked for; pyfixest adds n/(n-k) to HC2 and HC3."""
    from statsmodels.genmod import families
    from statsmodels.genmod.generalized_linear_model import GLM

    fit = fit_small()
    x, y = fit.x, fit.outcome
    theirs = GLM(y, x, family=families.Poisson(), freq_weights=fit.weights).fit(cov_type="HC3", tol=1e-14)
    unlike = GLM(y, x, family=families.Poisson(), freq_weights=fit.weights).fit(cov_type="HC0", tol=1e-14)
    np.testing.assert_allclose(theirs.bse, unlike.bse, rtol=1e-12)  # the defect, should it ever be mended
    se = {v: np.sqrt(np.diag(covariance(fit, v)))[1] for v in ("HC0", "stata", "HC1", "HC2", "HC3", "HC4")}
    values = np.sort(list(se.values()))
    assert (np.diff(values) > 1e-4 * values[0]).all()
    h = dense_leverages(fit)
    exact = np.sqrt(np.diag(fit.bread @ (fit.scores.T / (1 - h) ** 2) @ fit.scores @ fit.bread))[1]
    assert se["HC3"] == pytest.approx(exact, rel=1e-10)


def test_leverages_of_a_log_binomial_fit_are_those_of_the_expected_information() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=300)
    y = (rng.random(300) < np.exp(-1.5 + 0.2 * x)).astype(float)
    fit = fit_model("log_binomial", build_design({"x": x}, [Linear("x")], 300), y)
    assert leverages(fit).sum() == pytest.approx(2)
    np.testing.assert_allclose(leverages(fit), dense_leverages(fit), rtol=1e-9)
    assert fit.expected_bread is not None
    np.testing.assert_allclose(covariance(fit, "model"), fit.bread)
    np.testing.assert_allclose(covariance(fit, "model_expected"), fit.expected_bread)
    meat = fit.scores.T @ fit.scores
    np.testing.assert_allclose(covariance(fit, "HC0"), fit.bread @ meat @ fit.bread, rtol=1e-12)
    np.testing.assert_allclose(
        covariance(fit, "HC0_expected"), fit.expected_bread @ meat @ fit.expected_bread, rtol=1e-12
    )
    assert not np.allclose(covariance(fit, "HC0"), covariance(fit, "HC0_expected"), rtol=1e-3)


def test_least_squares_is_that_of_the_textbook() -> None:
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=40), (rng.random(40) < 0.5).astype(float)
    fit = fit_model("linear", build_design({"x": x}, [Linear("x")], 40), y)
    m = np.column_stack([np.ones(40), x])
    inverse, residual = np.linalg.inv(m.T @ m), y - m @ np.linalg.lstsq(m, y, rcond=None)[0]
    np.testing.assert_allclose(covariance(fit, "model"), inverse * (residual @ residual) / 38, rtol=1e-10)
    h = np.einsum("ij,jk,ik->i", m, inverse, m)
    meat = (m.T * (residual / (1 - h)) ** 2) @ m
    np.testing.assert_allclose(covariance(fit, "HC3"), inverse @ meat @ inverse, rtol=1e-10)


@pytest.mark.parametrize("variance", ["HC2", "HC3", "HC4", "HC5"])
def test_someone_who_alone_determines_a_coefficient_has_no_such_variance(variance: str) -> None:
    columns = {"g": np.array([1.0] * 30 + [2.0] * 30 + [3.0])}
    y = np.r_[np.tile([1.0, 0, 0], 20), 1.0]
    fit = fit_model("modified_poisson", build_design(columns, [factor("g", columns["g"])], 61), y)
    with pytest.raises(ValueError, match="1 persons each determine a coefficient alone"):
        covariance(fit, variance)
    assert np.isfinite(covariance(fit, "CR2", cluster=np.arange(61))).all()
    with pytest.raises(ValueError, match="a cluster alone determines"):
        covariance(fit, "CR3", cluster=np.arange(61))


def test_hc0_makes_no_copy_of_the_design() -> None:
    rng = np.random.default_rng(1)
    columns = {f"x{i}": rng.normal(size=40000) for i in range(9)}
    y = (rng.random(40000) < 0.2).astype(float)
    fit = fit_model("modified_poisson", build_design(columns, [Linear(c) for c in columns], 40000), y)
    for variance, most in (("HC0", 0.2), ("HC3", 1.9)):
        tracemalloc.start()
        covariance(fit, variance)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < most * fit.scores.nbytes, variance


# ---------------------------------------------------------------- who contributes


@pytest.mark.parametrize("suffix", ["", "_expected"])
@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("method", ["modified_poisson", "log_binomial", "linear"])
def test_influence_adds_up_to_the_covariance(method: str, variance: str, suffix: str) -> None:
    rng = np.random.default_rng(11)
    n = 150
    columns = {"g": rng.integers(1, 4, n).astype(float), "x": rng.normal(size=n)}
    columns["g"][:6] = 9.0  # a level without events: its people are set aside, and stay in n and in their clusters
    y = (rng.random(n) < 0.3).astype(float)
    y[:6] = 0
    design = build_design(columns, [factor("g", columns["g"]), Linear("x")], n)
    fit = fit_model(method, design, y, weights=rng.uniform(0.5, 2, n))
    cluster, survey = rng.integers(0, 30, n), survey_design(np.repeat([1.0, 2, 3], 50), np.repeat(np.arange(15.0), 10))
    known: dict[str, Any] = {"cluster": cluster, "design": survey}
    name = variance + suffix
    phi = influence(fit, name, cluster=cluster)
    assert phi.shape == (n, fit.parameters)
    assert (phi[~fit.rows] == 0).all()
    whole = covariance(fit, name, **known)
    eye = np.eye(fit.parameters)
    got = influence_covariance(phi, fit, name, gradient=eye, **known)
    np.testing.assert_allclose(got, whole, rtol=1e-9, atol=1e-12 * np.abs(whole).max())
    jacobian = rng.normal(size=(2, fit.parameters))
    got = influence_covariance(phi @ jacobian.T, fit, name, gradient=jacobian, **known)
    np.testing.assert_allclose(got, jacobian @ whole @ jacobian.T, rtol=1e-9)


def test_the_variance_of_a_mean_from_its_influence() -> None:
    fit = fit_small()
    z = np.random.default_rng(2).normal(size=(120, 1))
    got = influence_covariance((z - z.mean()) / 120, fit, "stata")
    np.testing.assert_allclose(got, [[z.var(ddof=1) / 120]])


@pytest.mark.parametrize("variance", ["model", "MBN"])
def test_a_variance_that_is_no_sum_over_persons_needs_the_gradient(variance: str) -> None:
    fit = fit_small()
    with pytest.raises(ValueError, match="no unconditional form"):
        influence_covariance(influence(fit, variance), fit, variance)


def test_the_model_based_variance_of_a_mean_risk_adds_what_the_sample_adds() -> None:
    fit = fit_small()
    risk = np.exp(fit.x @ fit.coefficients)
    gradient = (risk[:, None] * fit.x).mean(axis=0)[None, :]
    beyond = ((risk - risk.mean()) / 120)[:, None]
    phi = influence(fit, "model") @ gradient.T + beyond
    got = influence_covariance(phi, fit, "model", gradient=gradient)
    np.testing.assert_allclose(got, gradient @ fit.bread @ gradient.T + beyond.T @ beyond, rtol=1e-10)


# ---------------------------------------------------------------- degrees of freedom, refusals


def test_degrees_of_freedom() -> None:
    fit = fit_small()
    cluster, survey = np.arange(120) // 6, survey_design(np.repeat([1.0, 2, 3], 40), np.repeat(np.arange(12.0), 10))
    assert np.isinf(degrees_of_freedom(fit, "HC3")).all()
    assert degrees_of_freedom(fit, "HC3", residual=True).tolist() == [116.0] * 4
    assert degrees_of_freedom(fit, "cluster", cluster=cluster).tolist() == [19.0] * 4
    both = np.column_stack([cluster, np.arange(120) % 7])
    assert degrees_of_freedom(fit, "CR1", cluster=both, contrasts=np.eye(4)[1]).tolist() == [6.0]
    assert degrees_of_freedom(fit, "survey", design=survey).tolist() == [9.0] * 4
    assert degrees_of_freedom(fit, "survey", design=survey, residual=True).tolist() == [6.0] * 4
    assert (degrees_of_freedom(fit, "CR2", cluster=cluster) < 19).all()
    few = survey_design(np.repeat([1.0, 2], 60), np.repeat(np.arange(4.0), 30))
    with pytest.raises(ValueError, match="no degrees of freedom"):
        degrees_of_freedom(fit, "survey", design=few, residual=True)


def test_clusters_that_cannot_be_used_are_refused() -> None:
    fit = fit_small()
    names = np.array([f"place {i % 9}" for i in range(120)])
    np.testing.assert_allclose(
        covariance(fit, "CR1", cluster=names), covariance(fit, "cluster", cluster=np.arange(120) % 9), rtol=1e-12
    )
    for labels, what in (
        (np.zeros(120), "single cluster"),
        (np.arange(120) % 3, "3 clusters for 4 coefficients"),
        (np.where(np.arange(120) < 2, np.nan, np.arange(120) % 9), "2 rows is unknown"),
        (np.array([None, *names[1:]], dtype=object), "1 rows is unknown"),
        (np.arange(119), "119 cluster labels for 120 rows"),
    ):
        for variance in ("cluster", "CR2", "MBN"):
            with pytest.raises(ValueError, match=what):
                covariance(fit, variance, cluster=labels)
    with pytest.raises(ValueError, match="takes one column of clusters"):
        covariance(fit, "CR2", cluster=np.column_stack([np.arange(120) % 9, np.arange(120) % 8]))


def test_a_cox_model_has_no_leverages_and_no_expected_information_of_its_own() -> None:
    rng = np.random.default_rng(5)
    x, time = rng.normal(size=80), rng.exponential(size=80)
    fit = fit_cox(build_design({"x": x}, [Linear("x")], 80), time, np.ones(80))
    assert np.isfinite(covariance(fit, "cluster", cluster=np.arange(80) // 4)).all()
    for variance in ("HC3", "CR2", "CR3", "KC", "FG"):
        with pytest.raises(ValueError, match="not defined for cox"):
            covariance(fit, variance, cluster=np.arange(80) // 4)


def test_no_variance_is_made_of_a_maximum_on_the_boundary() -> None:
    x = np.arange(1.0, 11)
    y = np.array([0.0, 0, 0, 0, 1, 0, 1, 1, 1, 1])
    fit = fit_model("log_binomial", build_design({"x": x}, [Linear("x")], 10), y)
    assert fit.boundary
    for variance in ("model", "HC0", "HC3", "CR2", "CR3", "MBN", "HC3_expected"):
        assert np.isnan(covariance(fit, variance, cluster=np.arange(10))).all(), variance
    assert np.isnan(influence(fit, "HC3")[fit.rows]).all()


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
