"""Rubin's rules against mice, mitools and R by hand (reference/statistics/out/mi.json): 20 imputed sets of one model.

Each set is fitted here. Coefficients agree to 1e-8; R takes the weights of its last but one iteration into vcov(), so
standard errors are held to 1e-6, and all that is pooled from the numbers R pooled to 1e-8.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from walkrisk.models.covariance import covariance
from walkrisk.models.design import Linear, build_design
from walkrisk.models.fit import Fit, fit_model
from walkrisk.sensitivity.pooled_tests import joint_wald, pooled_chi_squares, pooled_likelihood_ratio
from walkrisk.sensitivity.pooling import Pooled, pool_coefficients, pool_fits, pool_scalar

FloatArray = npt.NDArray[np.float64]
TERMS = ("dibpat0", "age0", "sbp0", "chol0", "bmi", "ncigs0", "arcus0")
POOLED = {
    "estimate": lambda p: p.estimates,
    "ubar": lambda p: np.diag(p.within),
    "b": lambda p: np.diag(p.between),
    "t": lambda p: np.diag(p.total),
    "std_error": lambda p: p.std_errors,
    "df_barnard_rubin": lambda p: p.df,
    "df_rubin1987": lambda p: p.df_rubin1987,
    "riv": lambda p: p.riv,
    "lambda": lambda p: p.lambda_,
    "fmi": lambda p: p.fmi,
    "statistic": lambda p: p.statistics,
    "p_BR": lambda p: p.p_values,
    "low_BR": lambda p: p.conf_low,
    "high_BR": lambda p: p.conf_high,
}


@pytest.fixture(scope="module")
def mi(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "reference/statistics/out/mi.json").read_text())


@pytest.fixture(scope="module")
def frames(shared: Path) -> list[dict[str, FloatArray]]:
    table = pd.read_csv(shared / "reference/statistics/data/mi_wcgs_long.csv.gz")
    sets = [part for number, part in table.groupby(".imp") if number > 0]
    return [{name: part[name].to_numpy(dtype=np.float64) for name in ("chd69", *TERMS)} for part in sets]


def fitted(frames: list[dict[str, FloatArray]], method: str, names: tuple[str, ...] = TERMS) -> list[Fit]:
    terms = [Linear(name) for name in names]
    return [fit_model(method, build_design(f, terms, len(f["chd69"])), f["chd69"]) for f in frames]


@pytest.fixture(scope="module")
def poisson(frames: list[dict[str, FloatArray]]) -> list[Fit]:
    return fitted(frames, "modified_poisson")


@pytest.fixture(scope="module")
def logistic(frames: list[dict[str, FloatArray]]) -> list[Fit]:
    return fitted(frames, "logistic")


def column(rows: list[dict[str, Any]], name: str) -> FloatArray:
    return np.array([row[name] for row in rows])


def compare(got: Pooled, rows: list[dict[str, Any]], rtol: float, **looser: float) -> None:
    for name, of in POOLED.items():
        np.testing.assert_allclose(of(got), column(rows, name), rtol=looser.get(name, rtol), err_msg=name)
    assert got.dfcom == rows[0]["dfcom"]


def test_every_imputed_set(mi: dict[str, Any], poisson: list[Fit]) -> None:
    np.testing.assert_allclose([f.coefficients for f in poisson], mi["per_imputation_coef"], rtol=1e-8)
    se = [np.sqrt(np.diag(covariance(f, "HC0"))) for f in poisson]
    np.testing.assert_allclose(se, mi["per_imputation_se_HC0"], rtol=1e-6)


@pytest.mark.parametrize(
    ("block", "variance", "dfcom"),
    [
        ("pooled_modpois_HC0", "HC0", "residual"),
        ("pooled_modpois_HC0_dfInf", "HC0", 1e9),
        ("pooled_modpois_model", "model", "residual"),
    ],
)
def test_pooled_modified_poisson(
    mi: dict[str, Any], poisson: list[Fit], block: str, variance: str, dfcom: float | str
) -> None:
    compare(pool_fits(poisson, variance, dfcom=dfcom), mi[block], 1e-7, p_BR=1e-5, low_BR=1e-6)


def test_pooled_quantities_are_exact_given_those_of_the_sets(mi: dict[str, Any]) -> None:
    q = np.array(mi["per_imputation_coef"])
    u = np.array([np.diag(se**2) for se in np.array(mi["per_imputation_se_HC0"])])
    for block, dfcom in (("pooled_modpois_HC0", 3132), ("pooled_modpois_HC0_dfInf", 1e9)):
        compare(pool_coefficients(mi["terms"], q, u, dfcom=dfcom), mi[block], 1e-10, low_BR=1e-8)
    old = pool_coefficients(mi["terms"], q, u)
    np.testing.assert_allclose(old.conf_low, column(mi["pooled_modpois_HC0"], "low_R87"), rtol=1e-10)
    np.testing.assert_allclose(old.conf_high, column(mi["pooled_modpois_HC0"], "high_R87"), rtol=1e-10)


def test_pooled_logistic_and_mice(mi: dict[str, Any], logistic: list[Fit]) -> None:
    got = pool_fits(logistic, "model")
    compare(got, mi["pooled_logistic"], 1e-7, p_BR=1e-5, low_BR=1e-6)
    rows = mi["mice_pool_logistic"]
    for name, mine in (("estimate", got.estimates), ("std_error", got.std_errors), ("df", got.df)):
        np.testing.assert_allclose(mine, column(rows, name), rtol=1e-7)
    np.testing.assert_allclose(got.conf_low, column(rows, "low"), rtol=1e-6)
    np.testing.assert_allclose(got.conf_high, column(rows, "high"), rtol=1e-6)


def test_mitools(mi: dict[str, Any], poisson: list[Fit]) -> None:
    r, got = mi["mitools_modpois_HC0"], pool_fits(poisson, "HC0", dfcom=None)
    np.testing.assert_allclose(got.estimates, list(r["coef"].values()), rtol=1e-8)
    np.testing.assert_allclose(got.std_errors, list(r["se"].values()), rtol=1e-7)
    np.testing.assert_allclose(got.df, r["df"], rtol=1e-7)
    np.testing.assert_allclose(got.fmi, r["missinfo"], rtol=1e-7)
    np.testing.assert_allclose(got.total, r["vcov"], rtol=1e-6)


def test_joint_tests(mi: dict[str, Any], poisson: list[Fit], logistic: list[Fit]) -> None:
    robust = joint_wald(pool_fits(poisson, "HC0"), ("sbp0", "chol0"))
    r = mi["D1_modpois_HC0_sbp_chol"]
    np.testing.assert_allclose(
        [robust.statistic, robust.df1, robust.df2, robust.riv], [r["F"], r["df1"], r["df2"], r["riv"]], rtol=1e-7
    )
    np.testing.assert_allclose(robust.p_value, r["p"], rtol=1e-5)
    pooled = pool_fits(logistic, "model")
    plain, r = joint_wald(pooled, ("sbp0", "chol0")), mi["D1_logistic_sbp_chol"]
    np.testing.assert_allclose([plain.statistic, plain.riv], [r["F"], r["riv"]], rtol=1e-7)
    # mitml .D1 (mice::D1) in R 4.2 on the same fits: without, and with degrees of freedom of the complete data.
    for dfcom, df2 in ((None, 1053.336087903773659), (3132, 786.360224041874176), (40, 35.681162112033874)):
        np.testing.assert_allclose(joint_wald(pooled, ("sbp0", "chol0"), dfcom=dfcom).df2, df2, rtol=1e-6)
    five = joint_wald(pool_fits(logistic[:5], "model"), ("sbp0", "chol0"), dfcom=200)
    np.testing.assert_allclose(
        [five.statistic, five.df2, five.riv], [24.9736537708370925, 44.4991641333673442, 0.2719770422540904], rtol=1e-6
    )


def test_d2_and_d3(frames: list[dict[str, FloatArray]], logistic: list[Fit]) -> None:
    """Against mitml's .D2, and Meng & Rubin's equations in R, on logistic models without and with sbp0 and chol0.

    mice::D3 (3.15.0) has 26.5502 on 1001.863: it estimates the intercept anew where the pooled one is called for.
    """
    without = fitted(frames, "logistic", ("dibpat0", "age0", "bmi", "ncigs0", "arcus0"))
    d = [2 * (a.log_likelihood - b.log_likelihood) for a, b in zip(logistic, without, strict=True)]
    d2 = pooled_chi_squares(d, 2)
    np.testing.assert_allclose(
        [d2.statistic, d2.df2, d2.riv], [25.6246416749651767, 415.0199511239157459, 0.2549032018795977], rtol=1e-8
    )
    d3 = pooled_likelihood_ratio(logistic, without, [f["chd69"] for f in frames])
    np.testing.assert_allclose(
        [d3.statistic, d3.df2, d3.riv, d3.p_value],
        [26.52088705580675, 992.0983312571911, 0.2157576273049316, 6.018246399205580e-12],
        rtol=1e-8,
    )


def test_a_pooled_standardised_log_ratio(mi: dict[str, Any]) -> None:
    r = mi["pooled_gcomp_logRR"]
    got = pool_scalar(r["per_imp"], r["per_imp_var"], dfcom=3140 - 8)
    np.testing.assert_allclose(
        [got.estimate, got.std_error, got.df, got.conf_low, got.conf_high],
        [r["est"], r["se"], r["df"], r["low"], r["high"]],
        rtol=1e-10,
    )


def test_complete_cases_and_the_full_data(mi: dict[str, Any], shared: Path) -> None:
    for block, file in (("complete_case_HC0", "wcgs_missing.csv"), ("full_data_HC0", "wcgs_cc.csv")):
        table = pd.read_csv(shared / "reference/statistics/data" / file)[["chd69", *TERMS]].dropna()
        columns = {name: table[name].to_numpy(dtype=np.float64) for name in table}
        (fit,) = fitted([columns], "modified_poisson")
        np.testing.assert_allclose(fit.coefficients, column(mi[block], "estimate"), rtol=1e-8)
        se = np.sqrt(np.diag(covariance(fit, "HC0")))
        np.testing.assert_allclose(se, column(mi[block], "std_error"), rtol=1e-6)
