"""Curves, tests, trend and substitution against R (Hmisc, rms, sandwich) on shared reference numbers.

Coefficients and curves agree to 1e-8. R takes the weights of its last but one iteration into vcov(), so standard
errors and what rests on them are held to 1e-6.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from walkrisk.estimates.contrasts import curved_columns as curved
from walkrisk.estimates.contrasts import (
    likelihood_ratio_without,
    nonlinearity_test,
    overall_columns,
    overall_test,
    wald_test,
)
from walkrisk.estimates.dose_response import ratio_curve, ratio_per
from walkrisk.estimates.dose_response_studies import category_covariance, pooled_trend, study_trend
from walkrisk.estimates.ratios import median_scores
from walkrisk.estimates.substitution import (
    composition_test,
    isotemporal,
    isotemporal_terms,
    part_contrasts,
    reallocations,
    total_varies,
)
from walkrisk.estimates.trend import cochran_armitage, orthogonal_polynomials, polynomial_contrasts
from walkrisk.models.compositions import mean_composition, variation_matrix
from walkrisk.models.covariance import covariance
from walkrisk.models.design import Composition, Linear, Spline, Term, build_design, factor
from walkrisk.models.fit import Fit, fit_model
from walkrisk.models.splines import harrell_knots, restricted_cubic_basis, stata_knots

FloatArray = npt.NDArray[np.float64]
Columns = dict[str, FloatArray]
ESTIMATE, STD_ERROR = 1e-8, 1e-6
PARTS = ("sleep", "sed", "lpa", "mvpa")


def read(path: Path) -> Columns:
    table = pd.read_csv(path).select_dtypes("number")
    return {str(name): table[name].to_numpy(dtype=np.float64) for name in table.columns}


@pytest.fixture(scope="module")
def statistics(shared: Path) -> Path:
    return shared / "reference" / "statistics"


@pytest.fixture(scope="module")
def splines(statistics: Path) -> dict[str, Any]:
    return json.loads((statistics / "out" / "splines_trend.json").read_text())


@pytest.fixture(scope="module")
def misc(statistics: Path) -> dict[str, Any]:
    return json.loads((statistics / "out" / "misc.json").read_text())


@pytest.fixture(scope="module")
def cohort(statistics: Path) -> Columns:
    return read(statistics / "data" / "wcgs_cc.csv")


@pytest.fixture(scope="module")
def day(statistics: Path) -> Columns:
    return read(statistics / "data" / "movement24h.csv")


def fitted(method: str, columns: Columns, terms: list[Term], outcome: str) -> Fit:
    return fit_model(method, build_design(columns, terms, len(columns[outcome])), columns[outcome])


def close(got: Any, expected: Any, tolerance: float, atol: float = 0.0) -> None:
    np.testing.assert_allclose(got, np.asarray(expected, dtype=np.float64), rtol=tolerance, atol=atol)


def column(rows: list[dict[str, Any]], name: str) -> FloatArray:
    return np.array([row[name] for row in rows], dtype=np.float64)


@pytest.mark.parametrize("name", ["sbp0", "bmi", "chol0"])
def test_default_knots(splines: dict[str, Any], cohort: Columns, name: str) -> None:
    for k, expected in splines[f"default_knots_{name}"].items():
        close(harrell_knots(cohort[name], int(k[1])), expected, 1e-12)


def test_default_knots_of_few_people(splines: dict[str, Any]) -> None:
    few = np.array(splines["small_n"]["x"])
    for k in (4, 5):
        close(harrell_knots(few, k), splines["small_n"][f"knots_k{k}"], 1e-12)


@pytest.mark.parametrize("name", ["sbp0", "bmi"])
def test_stata_knots(splines: dict[str, Any], cohort: Columns, name: str) -> None:
    for k, expected in splines["stata_mkspline_knots"][name].items():
        close(stata_knots(cohort[name], int(k[1])), expected, 1e-12)


def test_basis_in_three_norms(splines: dict[str, Any]) -> None:
    b = splines["basis"]
    for norm in (0, 1, 2):
        close(restricted_cubic_basis(np.array(b["x"], float), b["knots"], norm=norm), b[f"norm{norm}"], 1e-12, 1e-12)


def test_the_natural_cubic_space_is_that_of_ns(splines: dict[str, Any]) -> None:
    """ns() and the restricted spline with the same inner and boundary knots span the same functions."""
    n = splines["splines_ns"]
    x = np.array(splines["basis"]["x"], float)
    knots = [n["boundary"][0], *n["knots"], n["boundary"][1]]
    ours = np.column_stack([np.ones(len(x)), restricted_cubic_basis(x, knots)])
    theirs = np.array(n["basis_grid"])
    close(ours @ np.linalg.lstsq(ours, theirs, rcond=None)[0], theirs, 1e-9, 1e-10)


def model_of(spec: dict[str, Any], cohort: Columns) -> tuple[Fit, str]:
    name = spec["variable"]
    adjust = [Linear(v.strip()) for v in spec["adj"].lstrip("~").split("+")]
    method = {"poisson": "modified_poisson", "binomial": "logistic"}[spec["family"]]
    return fitted(method, cohort, [Spline(name, tuple(map(float, spec["knots"]))), *adjust], "chd69"), name


def test_curves_and_tests_of_every_spline(splines: dict[str, Any], cohort: Columns) -> None:
    seen = 0
    for spec in splines.values():
        if not isinstance(spec, dict) or "LR_overall" not in spec:
            continue
        seen += 1
        fit, name = model_of(spec, cohort)
        k = fit.parameters
        for variance in ("HC0", "HC1", "HC3", "model"):
            v, expected = covariance(fit, variance), spec[variance]
            close(fit.coefficients, column(expected["coef"], "estimate"), ESTIMATE)
            close(np.sqrt(np.diag(v)), column(expected["coef"], "std_error"), STD_ERROR)
            made = ratio_curve(fit, name, v, column(expected["curve"], "x"), reference=float(spec["ref"]))
            close(made.values.log_ratio, column(expected["curve"], "log_rr"), ESTIMATE, 1e-12)
            close(made.values.std_error, column(expected["curve"], "se"), STD_ERROR, 1e-12)
            close(made.values.low, column(expected["curve"], "rr_low"), STD_ERROR)
            close(made.values.high, column(expected["curve"], "rr_high"), STD_ERROR)
            for key, test in (("overall", overall_test), ("nonlinear", nonlinearity_test)):
                got = test(fit, name, v, residual_df=spec["n"] - k)
                assert got.df == expected[key]["df"]
                close(
                    [got.chi2, got.p_value, got.f, got.p_f],
                    [expected[key][w] for w in ("chi2", "p", "F", "p_F")],
                    STD_ERROR,
                )
        for key, columns in (("overall", overall_columns(fit.design, name)), ("nonlinear", curved(fit.design, name))):
            lr = likelihood_ratio_without(fit, columns)
            close([lr.chi2, lr.df], [spec[f"LR_{key}"]["chi2"], spec[f"LR_{key}"]["df"]], 1e-8)
    assert seen >= 5


def test_rms_contrasts_have_t_limits(splines: dict[str, Any], cohort: Columns) -> None:
    fit, name = model_of(splines["sbp0_k4"], cohort)
    v, rms = covariance(fit, "HC0"), splines["rms_Glm_robcov_k4"]
    points = rms["contrast"]
    made = ratio_curve(fit, name, v, column(points, "x"), reference=120.0, df=float(fit.n - fit.parameters)).values
    close(made.log_ratio, column(points, "est"), ESTIMATE, 1e-12)
    for got, key in ((made.std_error, "se"), (made.log_low, "low"), (made.log_high, "high")):
        close(got, column(points, key), STD_ERROR, 1e-12)
    table = {row["row"].strip(): row for row in rms["anova"]}
    close(overall_test(fit, name, v).chi2, table["sbp0"]["chi2"], STD_ERROR)
    close(nonlinearity_test(fit, name, v).chi2, table["Nonlinear"]["chi2"], STD_ERROR)
    for covariate in ("dibpat0", "age0", "chol0", "ncigs0", "bmi"):
        close(overall_test(fit, covariate, v).chi2, table[covariate]["chi2"], STD_ERROR)
    close(wald_test(fit, range(1, fit.parameters), v).chi2, table["TOTAL"]["chi2"], 1e-5)
    close(fit.coefficients, column(rms["coef"], "estimate"), ESTIMATE)
    close(np.sqrt(np.diag(v)), column(rms["coef"], "std_error"), STD_ERROR)


ADJUST: list[Term] = [Linear(v) for v in ("dibpat0", "age0", "chol0", "ncigs0", "bmi")]


def test_per_standard_deviation(splines: dict[str, Any], cohort: Columns) -> None:
    fit, expected = fitted("modified_poisson", cohort, [Linear("sbp0"), *ADJUST], "chd69"), splines["sbp0_linear"]
    sd = float(np.std(cohort["sbp0"], ddof=1))
    close(sd, expected["sd"], 1e-12)
    one, many = (ratio_per(fit, "sbp0", covariance(fit, "HC0"), amount) for amount in (1.0, sd))
    close([one.log_ratio[0], one.std_error[0]], [expected["per1"][0][w] for w in ("estimate", "std_error")], STD_ERROR)
    close([many.log_ratio[0], many.std_error[0]], expected["perSD"], STD_ERROR)
    close(many.log_ratio[0], expected["perSD"][0], ESTIMATE)


def test_quartiles_and_trend(splines: dict[str, Any], cohort: Columns) -> None:
    expected = splines["trend"]
    cuts = np.quantile(cohort["sbp0"], [0.25, 0.5, 0.75])
    close(cuts, expected["cuts_type7"], 1e-12)
    quartile = np.searchsorted(cuts, cohort["sbp0"]) + 1.0
    medians = median_scores(cohort["sbp0"], quartile)
    columns = {**cohort, "q": quartile, "median": medians}
    g = factor("q", quartile)
    fit = fitted("modified_poisson", columns, [g, *ADJUST], "chd69")
    v = covariance(fit, "HC0")
    close(fit.coefficients, column(expected["quartile_HC0"], "estimate"), ESTIMATE)
    close(np.sqrt(np.diag(v)), column(expected["quartile_HC0"], "std_error"), STD_ERROR)
    joint = overall_test(fit, "q", v)
    close([joint.chi2, joint.p_value], [expected["joint"]["chi2"], expected["joint"]["p"]], STD_ERROR)
    for score, key in (("median", "trend_median_HC0"), ("q", "trend_ordinal_HC0")):
        line = fitted("modified_poisson", columns, [Linear(score), *ADJUST], "chd69")
        got = ratio_per(line, score, covariance(line, "HC0"), 1.0)
        close(got.log_ratio[0], expected[key][0]["estimate"], ESTIMATE)
        close([got.std_error[0], got.p_value[0]], [expected[key][0][w] for w in ("std_error", "p_value")], 1e-5)
    n = [int((quartile == k).sum()) for k in (1, 2, 3, 4)]
    cases = [int(cohort["chd69"][quartile == k].sum()) for k in (1, 2, 3, 4)]
    assert n == list(expected["n"].values())
    assert cases == list(expected["cases"].values())
    assert [float(np.median(medians[quartile == k])) for k in (1, 2, 3, 4)] == list(expected["medians"].values())
    test = cochran_armitage(cases, n)
    close([test.chi2, test.p_value], [expected["cochran_armitage"][w] for w in ("chi2", "p")], 1e-10)
    poly = polynomial_contrasts(fit, g, v, people=n)
    close(poly.log_ratio, column(expected["orthogonal_poly"], "estimate"), ESTIMATE)
    close(poly.std_error, column(expected["orthogonal_poly"], "std_error"), STD_ERROR)
    own = orthogonal_polynomials(quartile, 3)
    terms: list[Term] = [*(Linear(f"p{j}") for j in range(3)), *ADJUST]
    direct = fitted("modified_poisson", {**columns, **{f"p{j}": own[:, j] for j in range(3)}}, terms, "chd69")
    close(direct.coefficients[1:4], column(expected["orthogonal_poly"], "estimate"), ESTIMATE)


def test_isotemporal_substitution(misc: dict[str, Any], day: Columns) -> None:
    assert not total_varies(day, PARTS)
    terms = [*isotemporal_terms(PARTS, omitted="sed", per=30), Linear("age")]
    fit = fitted("modified_poisson", day, terms, "y")
    v, expected = covariance(fit, "HC0"), misc["isotemporal_30min_replacing_sed"]
    close(fit.coefficients, column(expected, "estimate"), ESTIMATE)
    close(np.sqrt(np.diag(v)), column(expected, "std_error"), STD_ERROR)
    made = isotemporal(fit, PARTS, v, 30, omitted="sed")
    for row, target in zip(expected[1:4], ("sleep", "lpa", "mvpa"), strict=True):
        (at,) = (i for i in range(12) if (made.source[i], made.target[i]) == ("sed", target))
        close(made.values.ratio[at], row["exp_estimate"], ESTIMATE)
        close([made.values.low[at], made.values.high[at]], [row["exp_low"], row["exp_high"]], STD_ERROR)


def test_compositions(misc: dict[str, Any], day: Columns) -> None:
    expected = misc["compositional_ilr"]
    term = Composition(PARTS)
    fit = fitted("modified_poisson", day, [term, Linear("age")], "y")
    v = covariance(fit, "HC0")
    first = part_contrasts(fit, term, v)
    for k, part in enumerate(PARTS):
        row = expected[part]["coef"][1]
        close(first.log_ratio[k], row["estimate"], ESTIMATE)
        close([first.std_error[k], first.p_value[k]], [row["std_error"], row["p_value"]], 1e-5)
        own = Composition(tuple(expected[part]["order"]))
        refit = fitted("modified_poisson", day, [own, Linear("age")], "y")
        close(refit.coefficients, column(expected[part]["coef"], "estimate"), ESTIMATE)
        close(np.sqrt(np.diag(covariance(refit, "HC0"))), column(expected[part]["coef"], "std_error"), STD_ERROR)
    joint = composition_test(fit, term, v)
    close([joint.chi2, joint.df], [expected["joint_wald"]["chi2"], expected["joint_wald"]["df"]], STD_ERROR)
    parts = np.column_stack([day[p] for p in PARTS])
    centre = mean_composition(parts, total=1440.0)
    close(centre, [misc["composition_mean_closed"][p] for p in PARTS], 1e-12)
    close(variation_matrix(parts), misc["variation_matrix"], 1e-10, 1e-14)
    for key, row in expected["substitution"].items():
        amount, target, _, source = key.lstrip("+").split("_")
        made = reallocations(fit, term, v, centre, [float(amount)], pairs=[(source, target)]).values
        close([made.log_ratio[0], made.ratio[0]], [row["log_rr"], row["rr"]], ESTIMATE)
        close([made.std_error[0], made.low[0], made.high[0]], [row["se"], *row["ci"]], STD_ERROR)


def test_trends_of_published_studies(misc: dict[str, Any], statistics: Path) -> None:
    """dosresmeta 2.2.0 leaves -1/N out of the covariance of cumulative incidences (`ci`), as for rates."""
    table = pd.read_csv(statistics / "data" / "alcohol_cvd.csv")
    kinds = {"cc": "case_control", "ci": "rate", "ir": "rate"}
    expected, trends = misc["dosresmeta"], []
    for _, study in table.groupby("id", sort=False):
        y, se = study["logrr"].to_numpy()[1:], study["se"].to_numpy()[1:]
        v = category_covariance(study["cases"], study["n"], y, se, kinds[study["type"].iloc[0]])
        if not trends:
            close(v, expected["first_study"]["gl_cov"], STD_ERROR)
        trends.append(study_trend(study["dose"], y, v))
    first, fixed, reml = trends[0], pooled_trend(trends, "fixed"), pooled_trend(trends, "reml")
    for got, key in ((first, "first_study"), (fixed, "fixed"), (reml, "reml")):
        close([got.slope, got.std_error], [expected[key][w] for w in ("coef", "se")], STD_ERROR)
    close(reml.tau2, expected["reml"]["tau2"][0][0], STD_ERROR)
