"""Models, variances and tests against R (models.R): glm, sandwich, survey, survival.

Coefficients agree to 1e-8. R takes the weights of its last but one iteration into vcov(), so standard errors are held
to 1e-7.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from walkrisk.cohorts.categories import percentiles
from walkrisk.estimates.dose_response import curve, nonlinearity
from walkrisk.estimates.interaction import likelihood_ratio, wald
from walkrisk.estimates.ratios import median_scores
from walkrisk.estimates.rows import CurvePoint, Estimate, critical_value
from walkrisk.models.covariance import SurveyDesign, covariance, survey_design
from walkrisk.models.cox import fit_cox
from walkrisk.models.design import Design, Factor, Linear, Product, Spline, Term, build_design, factor
from walkrisk.models.fit import Fit, fit_model

HERE = Path(__file__).resolve().parent
COEFFICIENT, STD_ERROR = 1e-8, 1e-7
Columns = dict[str, npt.NDArray[np.float64]]


@pytest.fixture(scope="module")
def data() -> Columns:
    table = pd.read_csv(HERE / "models_data.csv")
    return {name: table[name].to_numpy(dtype=np.float64) for name in table.columns}


@pytest.fixture(scope="module")
def r() -> pd.DataFrame:
    table = pd.read_csv(HERE / "models.csv", dtype={"term": str}, keep_default_na=False)
    return table.set_index(["model", "statistic"]).sort_index()


def numbers(r: pd.DataFrame, model: str, statistic: str) -> npt.NDArray[np.float64]:
    """The numbers of one statistic of a model, terms in the order of the design."""
    return r.loc[[(model, statistic)], "value"].to_numpy(dtype=np.float64)


def main_terms(data: Columns) -> list[Term]:
    return [factor("g", data["g"]), Linear("x"), Linear("z")]


def design_of(data: Columns) -> Design:
    return build_design(data, main_terms(data), len(data["y"]))


def std_errors(fit: Fit, variance: str, **known: object) -> npt.NDArray[np.float64]:
    return np.sqrt(np.diag(covariance(fit, variance, **known)))  # type: ignore[arg-type]


GLM = {
    "poisson": ("modified_poisson", None),
    "poisson_weighted": ("modified_poisson", "w"),
    "logistic": ("logistic", None),
    "logistic_weighted": ("logistic", "w"),
    "log_binomial": ("log_binomial", None),
}


def glm_fit(data: Columns, model: str, engine: str = "newton") -> Fit:
    method, weights = GLM[model]
    return fit_model(method, design_of(data), data["y"], weights=data[weights] if weights else None, engine=engine)


@pytest.mark.parametrize("engine", ["newton", "statsmodels"])
@pytest.mark.parametrize("model", GLM)
def test_coefficients_and_likelihood_are_those_of_glm(data: Columns, r: pd.DataFrame, model: str, engine: str) -> None:
    fit = glm_fit(data, model, engine)
    assert fit.converged
    assert fit.warnings == ()
    np.testing.assert_allclose(fit.coefficients, numbers(r, model, "coefficient"), rtol=COEFFICIENT)
    np.testing.assert_allclose(fit.log_likelihood, numbers(r, model, "log_likelihood")[0], rtol=1e-11)


@pytest.mark.parametrize("variance", ["model", "HC0", "stata", "HC1", "HC2", "HC3", "cluster"])
@pytest.mark.parametrize("model", ["poisson", "poisson_weighted", "logistic", "logistic_weighted"])
def test_standard_errors_are_those_of_sandwich(data: Columns, r: pd.DataFrame, model: str, variance: str) -> None:
    got = std_errors(glm_fit(data, model), variance, cluster=data["cluster"].astype(np.intp))
    np.testing.assert_allclose(got, numbers(r, model, variance), rtol=STD_ERROR)


@pytest.mark.parametrize("variance", ["model", "HC0", "stata"])
def test_log_binomial_standard_errors_use_the_observed_information(
    data: Columns, r: pd.DataFrame, variance: str
) -> None:
    got = std_errors(glm_fit(data, "log_binomial"), variance)
    np.testing.assert_allclose(got, numbers(r, "log_binomial", variance), rtol=STD_ERROR)


def test_log_binomial_says_its_largest_fitted_risk(data: Columns, r: pd.DataFrame) -> None:
    fit = glm_fit(data, "log_binomial")
    assert not fit.boundary
    np.testing.assert_allclose(fit.max_fitted_risk, numbers(r, "log_binomial", "max_fitted")[0], rtol=1e-9)


# ---------------------------------------------------------------- survey designs


def domain_design(data: Columns, rows: npt.NDArray[np.bool_]) -> SurveyDesign:
    """The design of everyone, for the people of a domain; a sampling unit without any of them stays."""
    whole = survey_design(data["stratum"], data["psu"])
    return SurveyDesign(whole.psu[rows], whole.stratum_of_psu)


def test_survey_variance_is_that_of_svyglm(data: Columns, r: pd.DataFrame) -> None:
    fit = glm_fit(data, "poisson_weighted")
    design = survey_design(data["stratum"], data["psu"])
    np.testing.assert_allclose(fit.coefficients, numbers(r, "survey", "coefficient"), rtol=COEFFICIENT)
    np.testing.assert_allclose(std_errors(fit, "survey", design=design), numbers(r, "survey", "survey"), rtol=STD_ERROR)


def test_survey_variance_of_a_domain_counts_the_empty_sampling_unit(data: Columns, r: pd.DataFrame) -> None:
    inside = data["keep"] == 1
    domain = {name: values[inside] for name, values in data.items()}
    fit = glm_fit(domain, "poisson_weighted")
    np.testing.assert_allclose(fit.coefficients, numbers(r, "survey_domain", "coefficient"), rtol=COEFFICIENT)
    got = std_errors(fit, "survey", design=domain_design(data, inside))
    np.testing.assert_allclose(got, numbers(r, "survey_domain", "survey"), rtol=STD_ERROR)
    forgetful = std_errors(fit, "survey", design=survey_design(domain["stratum"], domain["psu"]))
    assert not np.allclose(forgetful, numbers(r, "survey_domain", "survey"), rtol=1e-4)


# ---------------------------------------------------------------- Cox


@pytest.mark.parametrize(
    ("model", "weights"),
    [("cox", None), ("cox_weighted", "w")],
)
def test_cox_with_ties_is_that_of_coxph(data: Columns, r: pd.DataFrame, model: str, weights: str | None) -> None:
    assert len(np.unique(data["time"][data["event"] == 1])) < 30  # ties, or the test says nothing
    fit = fit_cox(design_of(data), data["time"], data["event"], weights=data[weights] if weights else None)
    assert fit.converged
    np.testing.assert_allclose(fit.coefficients[1:], numbers(r, model, "coefficient"), rtol=1e-7)
    np.testing.assert_allclose(std_errors(fit, "model"), numbers(r, model, "model"), rtol=STD_ERROR)
    np.testing.assert_allclose(std_errors(fit, "HC0"), numbers(r, model, "HC0"), rtol=STD_ERROR)


def test_cox_log_likelihood_without_weights_is_that_of_coxph(data: Columns, r: pd.DataFrame) -> None:
    fit = fit_cox(design_of(data), data["time"], data["event"])
    np.testing.assert_allclose(fit.log_likelihood, numbers(r, "cox", "log_likelihood")[0], rtol=1e-10)


@pytest.mark.parametrize("model", ["cox_survey", "cox_survey_domain"])
def test_cox_survey_variance_is_that_of_svycoxph(data: Columns, r: pd.DataFrame, model: str) -> None:
    inside = data["keep"] == 1 if model.endswith("domain") else np.ones(len(data["y"]), dtype=bool)
    domain = {name: values[inside] for name, values in data.items()}
    fit = fit_cox(design_of(domain), domain["time"], domain["event"], weights=domain["w"])
    np.testing.assert_allclose(fit.coefficients[1:], numbers(r, model, "coefficient"), rtol=1e-7)
    got = std_errors(fit, "survey", design=domain_design(data, inside))
    np.testing.assert_allclose(got, numbers(r, model, "survey"), rtol=1e-6)


# ---------------------------------------------------------------- tests and curves


def interaction_fits(data: Columns) -> tuple[Fit, Fit, Product]:
    g, z = factor("g", data["g"]), factor("z", data["z"])
    product = Product(g, z)
    without = fit_model("modified_poisson", build_design(data, [g, z, Linear("x")], len(data["y"])), data["y"])
    design = build_design(data, [g, z, Linear("x"), product], len(data["y"]))
    return without, fit_model("modified_poisson", design, data["y"]), product


def of_test(r: pd.DataFrame, model: str, term: str) -> tuple[float, float, float]:
    found = r.loc[model].query("term == @term")["value"]
    return float(found["chi2"]), float(found["df"]), float(found["p_value"])


def test_likelihood_ratio_test_of_interaction(data: Columns, r: pd.DataFrame) -> None:
    without, added, _ = interaction_fits(data)
    row = likelihood_ratio(without, added, row=Estimate(analysis="a", estimand="p_interaction"))
    chi2, df, p = of_test(r, "interaction", "likelihood_ratio")
    assert added.parameters - without.parameters == df
    np.testing.assert_allclose([row.estimate, row.p_value], [chi2, p], rtol=1e-9)
    assert (row.method, row.variance, row.n, row.events) == ("likelihood_ratio", "model", 320, 68)


@pytest.mark.parametrize("variance", ["HC0", "HC1"])
def test_robust_wald_test_of_interaction(data: Columns, r: pd.DataFrame, variance: str) -> None:
    _, added, product = interaction_fits(data)
    v = {variance: covariance(added, variance)}
    (row,) = wald(added, product, v, row=Estimate(analysis="a", estimand="p_interaction"))
    chi2, _, p = of_test(r, "interaction", f"wald_{variance}")
    np.testing.assert_allclose([row.estimate, row.p_value], [chi2, p], rtol=1e-6)


def test_trend_over_category_medians(data: Columns, r: pd.DataFrame) -> None:
    columns = {**data, "score": median_scores(data["dose"], data["g"])}
    fit = fit_model(
        "modified_poisson", build_design(columns, [Linear("score"), Linear("x"), Linear("z")], 320), data["y"]
    )
    np.testing.assert_allclose(fit.coefficients[1], numbers(r, "trend", "coefficient")[0], rtol=COEFFICIENT)
    np.testing.assert_allclose(std_errors(fit, "HC0")[1], numbers(r, "trend", "HC0")[0], rtol=STD_ERROR)


@pytest.mark.parametrize("k", [3, 4, 5])
def test_spline_curve_its_knots_and_its_test(data: Columns, r: pd.DataFrame, k: int) -> None:
    model = f"spline_{k}"
    at = r.loc[[(model, "knot")], "term"].astype(float).to_numpy()
    knots = percentiles(data["dose"], at)
    np.testing.assert_allclose(knots, numbers(r, model, "knot"), rtol=1e-14)
    spline = Spline("dose", tuple(knots.tolist()))
    fit = fit_model("modified_poisson", build_design(data, [spline, Linear("x"), Linear("z")], 320), data["y"])
    v = covariance(fit, "HC0")
    x = r.loc[[(model, "log_rr")], "term"].astype(float).to_numpy()
    (reference,) = percentiles(data["dose"], [10])
    point = CurvePoint(
        analysis="", exposure="", stratum="", model="", x=0, estimate=0, conf_low=0, conf_high=0, reference=0
    )
    z = critical_value(0.95)
    points = curve(fit, spline, v, x, reference=float(reference), row=point, z=z)
    log_rr, se = numbers(r, model, "log_rr"), numbers(r, model, "std_error")
    assert [p.x for p in points] == x.tolist()
    np.testing.assert_allclose([p.estimate for p in points], np.exp(log_rr), rtol=1e-7)
    np.testing.assert_allclose([p.conf_low for p in points], np.exp(log_rr - z * se), rtol=1e-6)
    np.testing.assert_allclose([p.conf_high for p in points], np.exp(log_rr + z * se), rtol=1e-6)
    (row,) = nonlinearity(fit, spline, {"HC0": v}, row=Estimate(analysis="a", estimand="p_nonlinearity"))
    chi2, _, p = of_test(r, model, "nonlinear")
    np.testing.assert_allclose([row.estimate, row.p_value], [chi2, p], rtol=1e-6)


def test_the_data_have_what_the_witness_is_for(data: Columns) -> None:
    """Unequal weights, clusters of several people, a domain that empties a sampling unit."""
    assert len(data["y"]) == 320
    assert np.ptp(data["w"]) > 2
    assert np.bincount(data["cluster"].astype(int)).max() > 5
    unit = (data["stratum"] == 3) & (data["psu"] == 2)
    assert unit.sum() == 10
    assert not data["keep"][unit].any()
    assert isinstance(main_terms(data)[0], Factor)
