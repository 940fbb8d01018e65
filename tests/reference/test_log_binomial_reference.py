"""Log-binomial and risk-difference models against R's glm, scipy, published tables and public data that are hard.

Standard errors are held to 1e-6 (R's vcov takes the weights of its last but one iteration). With a link that is not
canonical R's Fisher scoring converges linearly and stops on the deviance: its own coefficients differ by 5e-8 between
starts, so 1e-7 is asked for. R's glm and sandwich use the expected information: `expected_bread` here.
"""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from walkrisk.models.design import Design, Linear, Term, build_design, factor
from walkrisk.models.fit import Fit, fit_model

Array = npt.NDArray[np.float64]


def statistics(shared: Path, *parts: str) -> Path:
    path = shared.joinpath("reference", "statistics", *parts)
    if not path.is_file():
        pytest.skip(f"../shared/reference/statistics/{'/'.join(parts)} is not here")
    return path


def table_of(shared: Path, name: str) -> pd.DataFrame:
    path = statistics(shared, "data", name)
    return pd.read_csv(gzip.open(path) if path.suffix == ".gz" else path)


def reference(shared: Path, name: str) -> dict[str, Any]:
    return dict(json.loads(statistics(shared, "out", name).read_text()))


def from_formula(table: pd.DataFrame, formula: str) -> tuple[Design, Array]:
    """The design of an R formula of plain names, texts and factor() being factors."""
    outcome, right = (part.strip() for part in formula.split("~"))
    names = [re.sub(r"factor\((\w+)\)", r"\1", part.strip()) for part in right.split("+")]
    table = table.dropna(subset=[outcome, *names])
    columns: dict[str, Array] = {}
    terms: list[Term] = []
    for text in (part.strip() for part in right.split("+")):
        name = re.sub(r"factor\((\w+)\)", r"\1", text)
        values, labels = table[name], None
        if values.dtype == object or pd.api.types.is_string_dtype(values):
            levels = sorted(values.unique(), key=str)
            labels = {i + 1: str(v) for i, v in enumerate(levels)}
            columns[name] = values.map({v: i + 1.0 for i, v in enumerate(levels)}).to_numpy(dtype=float)
        else:
            columns[name] = values.to_numpy(dtype=float)
        is_factor = labels is not None or text != name
        terms.append(factor(name, columns[name], labels) if is_factor else Linear(name))
    y = table[outcome]
    if y.dtype == object or pd.api.types.is_string_dtype(y):
        y = (y == sorted(y.unique())[-1]).astype(float)
    return build_design(columns, terms, len(table)), y.to_numpy(dtype=float)


def in_order(fit: Fit, terms: list[str]) -> list[int]:
    """Positions of R's terms among ours: `stageStage II` is our `stage[Stage II]`, factor(race)2 our race[2]."""
    ours = {re.sub(r"[\[\]]", "", name): i for i, name in enumerate(fit.names)}
    plain = [re.sub(r"factor\((\w+)\)|C\((\w+)\)", lambda m: m[1] or m[2], t) for t in terms]
    return [ours[t.replace("(Intercept)", "Intercept").replace("[T.", "").replace("]", "")] for t in plain]


def agrees(
    fit: Fit, rows: list[dict[str, Any]], covariance: Array, *, estimate: float = 1e-7, se: float = 1e-6
) -> None:
    at = in_order(fit, [row["term"] for row in rows])
    np.testing.assert_allclose(fit.coefficients[at], [row["estimate"] for row in rows], rtol=estimate)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance))[at], [row["std_error"] for row in rows], rtol=se)


def hc0(fit: Fit, bread: Array | None) -> Array:
    assert bread is not None
    spread = fit.scores @ bread
    return np.asarray(spread.T @ spread)


MODELS = ["breastcancer", "birthwt_small", "birthwt_full", "boundary10", "wcgs"]
GLM = ["glm_default", "glm_start_int", "glm_start_poisson", "glm2_start_int"]


def log_binomial(shared: Path, model: str) -> tuple[Fit, dict[str, Any]]:
    entry = reference(shared, "logbin.json")[model]
    design, y = from_formula(table_of(shared, entry["data"]), entry["formula"])
    return fit_model("log_binomial", design, y), entry


@pytest.mark.parametrize("start", GLM)
@pytest.mark.parametrize("model", MODELS)
def test_where_r_reaches_the_maximum_so_do_we_and_nowhere_is_it_higher(shared: Path, model: str, start: str) -> None:
    fit, entry = log_binomial(shared, model)
    found = entry[start]
    assert fit.converged
    if not found["ok"]:
        return
    assert fit.log_likelihood >= found["logLik"] - 1e-9
    assert fit.log_likelihood <= found["logLik"] + 1e-9 * abs(found["logLik"])
    assert fit.boundary == found["boundary"]
    assert fit.wald != fit.boundary
    if fit.boundary:  # R's standard errors there are none
        at = in_order(fit, [row["term"] for row in found["coef"]])
        np.testing.assert_allclose(fit.coefficients[at], [row["estimate"] for row in found["coef"]], rtol=2e-5)
        assert np.isnan(fit.bread).all()
        return
    assert fit.expected_bread is not None
    agrees(fit, found["coef"], fit.expected_bread)
    agrees(fit, found["HC0"], hc0(fit, fit.expected_bread))


@pytest.mark.parametrize("model", MODELS)
def test_no_program_reports_a_higher_likelihood(shared: Path, model: str) -> None:
    """logbin's CEM and EM maximise over less than the whole space: -110.676 where the maximum is -110.449."""
    fit, entry = log_binomial(shared, model)
    others = [e for e in entry.values() if isinstance(e, dict) and isinstance(e.get("logLik"), float)]
    assert others
    for other in others:
        assert fit.log_likelihood >= other["logLik"] - 1e-8
    if model == "birthwt_small":
        assert entry["logbin_em"]["logLik"] < fit.log_likelihood - 0.2


@pytest.mark.parametrize("model", MODELS)
def test_the_maxima_are_those_of_scipy(shared: Path, model: str) -> None:
    fit, _ = log_binomial(shared, model)
    expected = reference(shared, "logbin_mle_check.json")[model]
    np.testing.assert_allclose(fit.log_likelihood, expected["logLik"], rtol=1e-11)
    np.testing.assert_allclose(min(expected["max_mu"], 1.0), fit.max_fitted_risk, rtol=1e-7)
    assert fit.certificate is not None
    assert int(fit.certificate.active.sum()) == expected["n_boundary"]
    at = in_order(fit, list(expected["coef"]))
    np.testing.assert_allclose(fit.coefficients[at], list(expected["coef"].values()), rtol=2e-6)


@pytest.mark.parametrize("model", ["breastcancer", "birthwt_small", "wcgs"])
def test_the_copy_method_runs_to_the_maximum(shared: Path, model: str) -> None:
    """Weights 1 - 1/C, and 1/C for copies with the outcome reversed: R's numbers, and the limit at C = 1e6."""
    fit, entry = log_binomial(shared, model)
    table = table_of(shared, entry["data"])
    design, y = from_formula(table, entry["formula"])
    twice = Design(np.asfortranarray(np.tile(design.matrix, (2, 1))), design.names, {}, {})
    for copies in ("100", "1000", "10000", "1000000"):
        c = float(copies)
        w = np.repeat([1 - 1 / c, 1 / c], len(y))
        copied = fit_model("log_binomial", twice, np.concatenate([y, 1 - y]), weights=w)
        assert copied.expected_bread is not None
        agrees(copied, entry[f"COPY_{copies}"]["coef"], copied.expected_bread, estimate=1e-7)
    np.testing.assert_allclose(copied.coefficients, fit.coefficients, rtol=1e-3)


def test_the_published_intervals_of_spiegelman_and_hertzmark_are_those_of_the_observed_information(
    shared: Path,
) -> None:
    """American Journal of Epidemiology 2005, doi 10.1093/aje/kwi188."""
    fit, _ = log_binomial(shared, "breastcancer")
    at = in_order(fit, ["receptorLow", "stageStage II", "stageStage III"])
    se = np.sqrt(np.diag(fit.bread))[at]
    z = 1.959964
    got = np.exp(fit.coefficients[at][:, None] + np.outer(se, [0, -z, z]))
    published = [[1.5583, 1.0487, 2.3155], [2.5382, 1.1734, 5.4903], [5.8680, 2.7458, 12.5406]]
    np.testing.assert_allclose(got, published, atol=6e-5)
    assert fit.expected_bread is not None
    se = np.sqrt(np.diag(fit.expected_bread))[at]
    np.testing.assert_allclose(np.exp(fit.coefficients[at[0]] + np.array([-z, z]) * se[0]), [1.0595, 2.2920], atol=1e-4)


# ---------------------------------------------------------------- public data that are hard


def test_births(shared: Path) -> None:
    table = table_of(shared, "lbreg__Birth.csv.gz")
    design, y = from_formula(table, "lowbw ~ factor(soc) + factor(alc) + factor(smo)")
    fit = fit_model("log_binomial", design, y)
    assert (fit.n, fit.events, fit.converged, fit.boundary) == (900, 98, True, False)
    np.testing.assert_allclose(np.exp(fit.coefficients[1:]), [1.3400, 1.3495, 1.1912, 1.9741, 1.6484], atol=6e-5)


def by_scipy(design: Design, y: Array) -> float:
    """The highest log-likelihood that SLSQP finds, on standardised columns."""
    from scipy.optimize import minimize

    x = design.matrix
    z = np.column_stack([np.ones(len(y)), (x[:, 1:] - x[:, 1:].mean(axis=0)) / x[:, 1:].std(axis=0)])
    rows, of = np.unique(np.column_stack([z, y]), axis=0, return_inverse=True)
    w, z, y = np.bincount(of.reshape(-1)).astype(float), rows[:, :-1], rows[:, -1]

    def minus(b: Array) -> float:
        eta = np.minimum(z @ b, -1e-14)
        return float(-w @ np.where(y == 1, eta, np.log(-np.expm1(eta))))

    def gradient(b: Array) -> Array:
        eta = np.minimum(z @ b, -1e-14)
        return np.asarray(-z.T @ (w * np.where(y == 1, 1.0, np.exp(eta) / np.expm1(eta))))

    edge = np.unique(z[y == 1], axis=0)
    begin = np.zeros(z.shape[1])
    begin[0] = np.log(w @ y / w.sum()) - 1.0
    found = minimize(
        minus,
        begin,
        jac=gradient,
        method="SLSQP",
        constraints=[{"type": "ineq", "fun": lambda b: -edge @ b, "jac": lambda _: -edge}],
        options={"maxiter": 2000, "ftol": 1e-14},
    )
    inside = found.x - np.eye(z.shape[1])[0] * max(float((edge @ found.x).max()), 0.0)  # SLSQP ends just outside
    return -float(minus(inside))


HARD = {
    "lbreg__Heart.csv.gz": "Heart ~ factor(age) + factor(severity) + factor(region) + factor(onset)",
    "lbreg__PCS.csv.gz": "tumor ~ age + factor(race) + factor(dpros) + factor(dcaps) + psa + vol + gleason",
    "lbreg__Death.csv.gz": "death ~ blackd + whitvic + serious + factor(culp) + serious2",
    "birthwt.csv": "low ~ age + lwt + factor(race) + smoke + ptd + ht + ui",
}


@pytest.mark.parametrize("name", HARD)
def test_hard_public_data_are_solved_with_a_certificate(shared: Path, name: str) -> None:
    table = table_of(shared, name)
    design, y = from_formula(table, HARD[name])
    fit = fit_model("log_binomial", design, y)
    assert fit.converged
    assert fit.certificate is not None
    assert fit.certificate.kkt_residual < 1e-12
    assert fit.certificate.gap < 1e-9
    assert fit.certificate.multipliers.min() >= 0
    np.testing.assert_allclose(by_scipy(design, y), fit.log_likelihood, rtol=3e-8)
    assert by_scipy(design, y) <= fit.log_likelihood + 1e-8


def test_the_published_ratios_of_death_penalties_are_short_of_the_maximum(shared: Path) -> None:
    """R's lbreg gives these ratios; with any intercept that keeps risks at 1 or below, they are 0.003 lower in
    log-likelihood than our maximum."""
    table = table_of(shared, "lbreg__Death.csv.gz")
    design, y = from_formula(table, HARD["lbreg__Death.csv.gz"])
    fit = fit_model("log_binomial", design, y)
    printed = np.log([1.3502, 1.1238, 0.9836, 3.5494, 8.7603, 11.8377, 11.9961, 1.0194])
    assert fit.boundary
    np.testing.assert_allclose(fit.coefficients[1:], printed, atol=0.014)
    slopes = design.matrix[:, 1:] @ printed
    eta = slopes - slopes.max() - 1e-9
    best = max(float(np.where(y == 1, eta - d, np.log(-np.expm1(eta - d))).sum()) for d in np.linspace(0, 0.5, 2001))
    assert best < fit.log_likelihood - 0.002


# ---------------------------------------------------------------- risk differences


@pytest.mark.parametrize("model", ["breastcancer", "birthwt_small", "wcgs"])
def test_risk_differences(shared: Path, model: str) -> None:
    entry = reference(shared, "riskdiff.json")[model]
    design, y = from_formula(table_of(shared, entry["data"]), entry["formula"])
    fit = fit_model("identity_binomial", design, y)
    assert fit.converged
    assert not fit.boundary
    for start in ("glm_default", "glm_start_int"):
        if entry[start]["ok"]:
            assert fit.expected_bread is not None
            slow = entry[start]["iter"] >= 60  # R stops short there
            agrees(fit, entry[start]["coef"], fit.expected_bread, estimate=1e-5 if slow else 1e-7, se=1e-6)
            agrees(fit, entry[start]["HC0"], hc0(fit, fit.expected_bread), estimate=1e-5 if slow else 1e-7, se=1e-5)
            np.testing.assert_allclose(fit.log_likelihood, entry[start]["logLik"], rtol=1e-12)
    for method in ("addreg_cem", "addreg_em"):
        assert fit.log_likelihood >= entry[method]["logLik"] - 1e-9
    poisson = fit_model("identity_poisson", design, y)
    agrees(poisson, entry["poisson_identity_HC0"], hc0(poisson, poisson.expected_bread), estimate=1e-6)
    least = fit_model("linear", design, y)
    agrees(least, entry["ls_HC0"], hc0(least, least.bread), estimate=1e-8)
    assert least.leverage_x is not None
    leverage = np.einsum("ij,jk,ik->i", least.leverage_x, least.bread, least.leverage_x)
    spread = (least.scores / (1 - leverage)[:, None]) @ least.bread
    agrees(least, entry["ls_HC3"], spread.T @ spread, estimate=1e-8)
