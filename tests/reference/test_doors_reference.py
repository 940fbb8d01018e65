"""The public doors on data frames against R, and against published tables: one call, then the numbers.

The references are those of shared/reference/statistics: estimates agree to 1e-8 and standard errors to 1e-6 (R's vcov
takes the weights of its last but one iteration) unless a test says otherwise. Everything goes in as a data frame and
comes out of `Estimates`; nothing of the rooms behind the doors is used.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import walkrisk
from walkrisk import (
    Estimates,
    attributable_fractions,
    categories,
    compare_methods,
    dose_response,
    interaction,
    linear,
    pool,
    power,
    product,
    risk_differences,
    risk_ratios,
    spline,
    standardised_risks,
    time_substitution,
    weighted_risks,
)

pytestmark = pytest.mark.filterwarnings("ignore::walkrisk.doors.results.WalkriskWarning")
Row = Mapping[str, Any]

BIRTHWT = ["age", "lwt", categories("race"), "smoke", "ptd", "ht", "ui"]
WCGS = ["dibpat0", "age0", "sbp0", "chol0", "bmi", "ncigs0", "arcus0"]
NHEFS = [
    "sex",
    "race",
    "age",
    categories("education"),
    "smokeintensity",
    "smokeyrs",
    categories("exercise"),
    categories("active"),
    "wt71",
]
SQUARES = [power(name, 2) for name in ("age", "smokeintensity", "smokeyrs", "wt71")]


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    place = shared / "reference" / "statistics"
    if not place.is_dir():
        pytest.skip("../shared/reference/statistics is not here")
    return place


@pytest.fixture(scope="module")
def data(folder: Path) -> Callable[[str], pd.DataFrame]:
    read: dict[str, pd.DataFrame] = {}

    def of(name: str) -> pd.DataFrame:
        if name not in read:
            read[name] = pd.read_csv(folder / "data" / name)
        return read[name].copy()

    return of


@pytest.fixture(scope="module")
def out(folder: Path) -> Callable[[str], dict[str, Any]]:
    return lambda name: dict(json.loads((folder / "out" / f"{name}.json").read_text()))


# ------------------------------------------------------------------------------------------------------ comparing


def ours(term: str) -> str:
    """R's name of a coefficient as walkrisk's: factor(race)2 -> race[2], stageStage II -> stage[Stage II]."""
    if term == "(Intercept)":
        return "Intercept"
    text = re.sub(r"factor\((\w+)\)(\w+)", r"\1[\2]", term)
    text = re.sub(r"^(stage|receptor|race|agecat)([^\[:].*)$", r"\1[\2]", text)
    return re.sub(r"I\((\w+)\^2\)", r"\1'", text)


def held(made: float | None, wanted: float, rtol: float) -> None:
    assert made is not None
    np.testing.assert_allclose(made, wanted, rtol=rtol, atol=1e-12)


def same_coefficients(
    made: Estimates, table: Sequence[Row], *, rtol: float = 1e-8, se_rtol: float = 1e-6, names: Any = ours
) -> None:
    fit = made.fit
    assert fit is not None
    assert [names(r["term"]) for r in table] == list(fit.coefficients.index)
    for r in table:
        name = names(r["term"])
        assert math.isclose(fit.coefficients[name], r["estimate"], rel_tol=rtol, abs_tol=1e-10), name
        assert math.isclose(fit.std_errors[name], r["std_error"], rel_tol=se_rtol), (name, made.rows[0].variance)


def same_row(row: Any, table_row: Row, *, log: bool = True, rtol: float = 1e-8, se_rtol: float = 1e-6) -> None:
    """A row of estimates against R's row of estimate, std_error, conf_low, conf_high, p_value on the analysis scale."""
    change = math.log if log else float
    assert math.isclose(change(row.estimate), table_row["estimate"], rel_tol=rtol, abs_tol=1e-10)
    assert math.isclose(row.std_error, table_row["std_error"], rel_tol=se_rtol)
    for limit in ("conf_low", "conf_high"):
        assert math.isclose(change(getattr(row, limit)), table_row[limit], rel_tol=se_rtol, abs_tol=1e-7)
    assert math.isclose(row.p_value, table_row["p_value"], rel_tol=1e-4, abs_tol=1e-300)


def asked(formula: str) -> tuple[str, list[Any]]:
    """Outcome and terms of an R formula: factor(x) is categories, I(x^2) a power, a*b both and their product."""
    outcome, right = (part.strip() for part in formula.split("~"))
    terms: list[Any] = []
    for part in (p.strip() for p in right.split("+")):
        if "*" in part:
            a, b = (p.strip() for p in part.split("*"))
            terms += [a, b, product(a, b)]
        elif part.startswith("factor("):
            terms.append(categories(part[7:-1]))
        elif part.startswith("I(") and part.endswith("^2)"):
            terms.append(power(part[2:-3], 2))
        else:
            terms.append(part)
    products = [t for t in terms if hasattr(t, "second")]
    return outcome, [t for t in terms if t not in products] + products


def call(door: Callable[..., Estimates], frame: pd.DataFrame, formula: str, **named: Any) -> Estimates:
    outcome, (exposure, *covariates) = asked(formula)
    return door(frame, outcome=outcome, exposure=exposure, covariates=covariates, **named)


# ------------------------------------------------------------------------------------------------- modified Poisson

POISSON = {
    "model_based": "model",
    **{name: name for name in ("HC0", "HC1", "HC2", "HC3", "HC4", "HC4m", "HC5")},
    "stata_robust": "stata",
    "rqlm_standard": "HC0",
    "rqlm_MBN": "MBN",
}


def models(reference: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from ((k, v) for k, v in reference.items() if isinstance(v, dict) and "formula" in v)


def test_modified_poisson_under_every_variance(data: Any, out: Any) -> None:
    for _, r in models(out("modpois")):
        for key, variance in POISSON.items():
            made = call(risk_ratios, data(r["data"]), r["formula"], method="modified_poisson", variance=variance)
            loose = key.startswith("rqlm")  # rqlm stops at glm's usual tolerance
            same_coefficients(made, r[key], rtol=1e-6 if loose else 1e-8, se_rtol=1e-4 if loose else 1e-6)
            assert made.fit.n == r["n"]
            held(made.fit.max_fitted_risk, r["max_fitted"], 1e-8)
            for row in made.rows:
                name = made.rows[0].exposure if row.level.startswith("per ") else f"{row.exposure}[{row.level}]"
                if row.std_error is not None and "p_value" in r[key][0] and not key.startswith("rqlm"):
                    same_row(row, next(t for t in r[key] if ours(t["term"]) == name))
        for key, variance in (("vcov_HC0", "HC0"), ("vcov_HC3", "HC3")):
            made = call(risk_ratios, data(r["data"]), r["formula"], method="modified_poisson", variance=variance)
            np.testing.assert_allclose(made.fit.covariance.to_numpy(), r[key], rtol=1e-6, atol=1e-10)


def test_t_limits_of_modified_poisson(data: Any, out: Any) -> None:
    for _, r in models(out("modpois")):
        made = call(risk_ratios, data(r["data"]), r["formula"], method="modified_poisson", variance="HC1", limits="t")
        row = made.rows[-1]
        name = row.exposure if row.level.startswith("per ") else f"{row.exposure}[{row.level}]"
        same_row(row, next(t for t in r["HC1_t"] if ours(t["term"]) == name))


def test_risk_differences_by_least_squares_and_identity_poisson(data: Any, out: Any) -> None:
    for _, r in models(out("modpois")):
        for variance in ("HC0", "HC1", "HC3"):
            made = call(risk_differences, data(r["data"]), r["formula"], method="linear", variance=variance)
            same_coefficients(made, r["rd_ls"][variance])
        if "rd_poisson_identity_HC0" in r:  # R's sandwich of a link that is not canonical is the expected one
            made = call(
                risk_differences, data(r["data"]), r["formula"], method="identity_poisson", variance="HC0_expected"
            )
            same_coefficients(made, r["rd_poisson_identity_HC0"], rtol=1e-6)


# -------------------------------------------------------------------------------------------------------- clusters


def test_clusters_of_one_column(data: Any, out: Any) -> None:
    kinds = {
        "vcovCL_HC0_cadjustTRUE": "cluster",
        "stata_cluster": "CR1",
        "vcovCL_HC0_cadjustFALSE": "CR0",
        "vcovCL_HC1_cadjustTRUE": "CR1S",
        "vcovCL_HC1_cadjustFALSE": "CR0S",
        "clubSandwich_CR0": "CR0",
        "clubSandwich_CR1": "CR1",
        "clubSandwich_CR1S": "CR1S",
        "clubSandwich_CR2": "CR2",
        "clubSandwich_CR3": "CR3",
    }
    r = out("cluster")["ohio"]
    ohio = data("ohio.csv")
    words = ohio.assign(id="family " + ohio["id"].astype(str)).sample(frac=1, random_state=1)
    for frame in (ohio, words):
        for key, variance in kinds.items():
            made = call(risk_ratios, frame, r["formula"], method="modified_poisson", cluster="id", variance=variance)
            same_coefficients(made, r[key])
    made = call(risk_ratios, ohio, r["formula"], method="modified_poisson", cluster="id", variance="CR2")
    want = next(t for t in r["clubSandwich_CR2_satt"] if t["term"] == "age")
    assert math.isclose(made.rows[0].p_value, want["p"], rel_tol=1e-5)
    default = call(risk_ratios, ohio, r["formula"], method="modified_poisson", cluster="id")
    same_coefficients(default, r["vcovCL_HC0_cadjustTRUE"])


def test_respiratory_clusters(data: Any, out: Any) -> None:
    r = out("cluster").get("respiratory")
    if r is None:
        pytest.skip("kept apart")
    frame = data("respiratory.csv")
    frame = frame.assign(
        cid=frame["center"].astype(str) + " " + frame["id"].astype(str),
        active=(frame["treat"] == "A").astype(int),
        male=(frame["sex"] == "M").astype(int),
    )
    for key, variance in {"clubSandwich_CR0": "CR0", "clubSandwich_CR2": "CR2", "clubSandwich_CR3": "CR3"}.items():
        made = call(risk_ratios, frame, r["formula"], method="modified_poisson", cluster="cid", variance=variance)
        same_coefficients(made, r[key])


def test_clusters_of_two_columns(data: Any, out: Any) -> None:
    r = out("cluster")["wcgs_twoway"]
    frame = data("wcgs_cc.csv")
    frame = frame.assign(cl1=frame["id"] % 40, cl2=frame["id"] % 7)
    for key, cluster, variance in (
        ("oneway", "cl1", "cluster"),
        ("twoway", ["cl1", "cl2"], "cluster"),
        ("twoway_multi0", ["cl1", "cl2"], "cluster_multi0"),
    ):
        made = call(
            risk_ratios,
            frame,
            "chd69 ~ dibpat0 + age0 + sbp0",
            method="modified_poisson",
            cluster=cluster,
            variance=variance,
        )
        same_coefficients(made, r[key])


def test_estimating_equations(data: Any, out: Any) -> None:
    """geepack stops at a tolerance of 1e-4, so its numbers hold to about 2e-5."""
    r = out("cluster")["ohio"]
    for family, method in (("poisson", "modified_poisson"), ("binomial", "logistic")):
        for correlation in ("independence", "exchangeable", "ar1", "unstructured"):
            want = r[f"geepack_{family}_{correlation}"]
            made = call(
                risk_ratios, data("ohio.csv"), r["formula"], method=method, cluster="id", correlation=correlation
            )
            same_coefficients(made, want["coef"], rtol=2e-4, se_rtol=2e-4)


# ---------------------------------------------------------------------------------------- log-binomial, differences


def test_log_binomial_maxima(data: Any, out: Any) -> None:
    r, check = out("logbin"), out("logbin_mle_check")
    for name, c in check.items():
        frame = data(r[name]["data"])
        made = call(risk_ratios, frame, r[name]["formula"], method="log_binomial", variance="model_expected")
        fit = made.fit
        if "coef" not in c:
            continue
        assert fit.boundary == (c["max_mu"] > 1 - 1e-6)
        assert fit.log_likelihood >= c["logLik"] - 1e-8
        np.testing.assert_allclose(fit.log_likelihood, c["logLik"], rtol=1e-8)
        values = {re.sub(r"C\((\w+)\)\[T\.(\w+)\]", r"\1[\2]", k).replace("[T.", "["): v for k, v in c["coef"].items()}
        assert set(values) == set(fit.coefficients.index)
        np.testing.assert_allclose(fit.coefficients[list(values)], list(values.values()), rtol=2e-4, atol=2e-6)
        if fit.boundary:
            assert made.rows[-1].variance == "profile"
            assert made.rows[-1].std_error is None
            assert made.rows[-1].conf_low < made.rows[-1].estimate < made.rows[-1].conf_high
            continue
        glm = r[name]["glm_start_int"]
        assert fit.log_likelihood >= glm["logLik"] - 1e-9
        same_coefficients(
            made, glm["coef"], rtol=1e-6, se_rtol=1e-5
        )  # R's Fisher scoring stops 2e-8 short of the maximum
        robust = call(risk_ratios, frame, r[name]["formula"], method="log_binomial", variance="HC0_expected")
        same_coefficients(robust, glm["HC0"], rtol=1e-6, se_rtol=1e-5)


def test_risk_difference_regressions(data: Any, out: Any) -> None:
    for _, r in models(out("riskdiff")):
        frame = data(r["data"])
        glm = call(risk_differences, frame, r["formula"], method="identity_binomial", variance="model_expected")
        if not glm.fit.boundary and r["glm_start_int"].get("converged"):
            same_coefficients(glm, r["glm_start_int"]["coef"], rtol=2e-6, se_rtol=1e-5)
            robust = call(risk_differences, frame, r["formula"], method="identity_binomial", variance="HC0_expected")
            same_coefficients(robust, r["glm_start_int"]["HC0"], rtol=2e-6, se_rtol=1e-5)
        for variance in ("HC0", "HC3"):
            made = call(risk_differences, frame, r["formula"], method="linear", variance=variance)
            same_coefficients(made, r[f"ls_{variance}"])
        made = call(risk_differences, frame, r["formula"], method="identity_poisson", variance="HC0_expected")
        same_coefficients(made, r["poisson_identity_HC0"], rtol=1e-6)


def ratios_by_level(made: Estimates) -> dict[str, tuple[float, float, float]]:
    return {
        r.level: tuple(round(v, 4) for v in (r.estimate, r.conf_low, r.conf_high))
        for r in made.rows
        if r.conf_low is not None
    }


def test_published_breast_cancer_tables(data: Any) -> None:
    """Spiegelman & Hertzmark 2005: the log-binomial intervals need the observed information, the default of `model`."""
    frame = data("breastcancer.csv")
    common = {"outcome": "death", "method": "log_binomial", "variance": "model"}
    stage = ratios_by_level(risk_ratios(frame, exposure="stage", covariates=["receptor"], **common))
    receptor = ratios_by_level(risk_ratios(frame, exposure="receptor", covariates=["stage"], **common))
    assert receptor == {"Low": (1.5583, 1.0487, 2.3155)}
    assert stage == {"Stage II": (2.5382, 1.1734, 5.4903), "Stage III": (5.868, 2.7458, 12.5406)}
    common |= {"method": "modified_poisson", "variance": "HC0"}
    stage = ratios_by_level(risk_ratios(frame, exposure="stage", covariates=["receptor"], **common))
    receptor = ratios_by_level(risk_ratios(frame, exposure="receptor", covariates=["stage"], **common))
    assert receptor == {"Low": (1.6308, 1.0745, 2.4751)}
    assert stage == {"Stage II": (2.5207, 1.1663, 5.4479), "Stage III": (5.9134, 2.7777, 12.589)}


def log_binomial(frame: pd.DataFrame, outcome: str, terms: list[Any]) -> Estimates:
    return risk_ratios(
        frame, outcome=outcome, exposure=terms[0], covariates=terms[1:], method="log_binomial", variance="model"
    )


def test_hard_public_cases(data: Any) -> None:
    birth = log_binomial(data("lbreg__Birth.csv.gz"), "lowbw", [categories(n) for n in ("soc", "alc", "smo")])
    np.testing.assert_allclose(
        np.exp(birth.fit.coefficients.to_numpy()[1:]), [1.34, 1.3495, 1.1912, 1.9741, 1.6484], atol=6e-5
    )
    heart = log_binomial(
        data("lbreg__Heart.csv.gz"), "Heart", [categories(n) for n in ("age", "severity", "region", "onset")]
    )
    pcs = data("lbreg__PCS.csv.gz").dropna()
    tumour = log_binomial(
        pcs,
        "tumor",
        ["age", categories("race"), categories("dpros"), categories("dcaps"), "psa", "vol", "gleason"],
    )
    death = log_binomial(
        data("lbreg__Death.csv.gz"), "death", ["blackd", "whitvic", "serious", categories("culp"), "serious2"]
    )
    for made in (heart, tumour, death):
        assert made.fit.converged
        assert made.fit.max_fitted_risk <= 1 + 1e-12
        row = made.rows[-1]
        assert row.conf_low <= row.estimate <= row.conf_high
    assert death.fit.boundary
    published = [1.3502, 1.1238, 0.9836, 3.5494, 8.7603, 11.8377, 11.9961, 1.0194]  # at lbreg's own intercept
    np.testing.assert_allclose(np.exp(death.fit.coefficients.to_numpy()[1:]), published, rtol=0.02)


def test_framingham(data: Any) -> None:
    """The published ratios of riskCommunicator's example, re-run by R as 1.1058, 1.0440, 1.2351."""
    made = standardised_risks(
        data("riskCommunicator__cvdd.csv.gz"),
        outcome="cvd_dth",
        exposure=categories("bmicat"),
        covariates=["AGE", "SEX", "DIABETES", "CURSMOKE", "PREVHYP"],
    )
    ratios = [r.estimate for r in made.rows if r.estimand == "risk_ratio"][1:]
    np.testing.assert_allclose(ratios, [1.1058, 1.0440, 1.2351], atol=6e-5)


# --------------------------------------------------------------------------------------- every approach side by side


RISKS = {  # its approaches stop at glm's usual tolerance, logbin's and addreg's EM earlier
    "rr_all": {
        "robpoisson": ("modified_poisson", "HC0", 1e-6),
        "glm_startp": ("log_binomial", "model_expected", 2e-5),
        "glm_startd": ("log_binomial", "model_expected", 5e-5),
        "logbin": ("log_binomial", "model_expected", 5e-5),
        "duplicate": ("case_duplication", "CR1", 1e-4),
        "logistic": ("logistic", "model", 5e-4),
    },
    "rd_all": {
        "robpoisson": ("identity_poisson", "HC0_expected", 1e-4),
        "glm": ("identity_binomial", "model_expected", 5e-5),
        "addreg": ("identity_binomial", "model_expected", 1e-4),
    },
}


@pytest.mark.parametrize(("key", "approach"), [(k, a) for k, some in RISKS.items() for a in some])
def test_every_approach_of_risks(data: Any, out: Any, key: str, approach: str) -> None:
    method, variance, rtol = RISKS[key][approach]
    table = [{**t, "std_error": t["std.error"]} for t in out("risks_all_approaches")[key] if t["model"] == approach]
    door = risk_ratios if key == "rr_all" else risk_differences
    frame = data("breastcancer.csv").assign(row=lambda d: np.arange(len(d)))
    cluster = "row" if variance == "CR1" else None
    made = call(door, frame, "death ~ stage + receptor", method=method, variance=variance, cluster=cluster)
    same_coefficients(made, table, rtol=rtol, se_rtol=rtol)


def test_standardisation_as_risks_has_it(data: Any, out: Any) -> None:
    """Covariates fixed, model-based; its SE rests on a fit at glm's tolerance, off by 1e-4."""
    r, frame = out("risks_all_approaches"), data("breastcancer.csv")
    common = {"outcome": "death", "variance": "model", "sampled": False}
    made = standardised_risks(frame, exposure="stage", covariates=["receptor"], **common)
    low = standardised_risks(frame, exposure="receptor", covariates=["stage"], **common)
    for table, estimand in (("rr", "risk_ratio"), ("rd", "risk_difference")):
        rows = {t["term"]: t for t in r[f"{table}_all"] if t["model"] == "margstd_delta"}
        rows |= {t["term"]: t for t in r[f"{table}_receptor_margstd_delta"]}
        for row, t in (
            (made.row(estimand, "Stage II"), rows["stageStage II"]),
            (made.row(estimand, "Stage III"), rows["stageStage III"]),
            (low.row(estimand, "Low"), rows["receptorLow"]),
        ):
            change = math.log if estimand == "risk_ratio" else float
            assert math.isclose(change(row.estimate), t["estimate"], rel_tol=1e-6)
            assert math.isclose(row.std_error, t["std.error"], rel_tol=2e-4)


def test_mantel_haenszel_as_risks_has_it(data: Any, out: Any) -> None:
    r = out("risks_all_approaches")
    frame = data("breastcancer.csv")
    common = {"outcome": "death", "exposure": "receptor", "covariates": ["stage"], "method": "mantel_haenszel"}
    row = risk_ratios(frame, **common).row("risk_ratio", "Low")
    assert math.isclose(math.log(row.estimate), r["mh_rr"][0]["estimate"], rel_tol=1e-8)
    assert math.isclose(row.std_error, r["mh_rr"][0]["std.error"], rel_tol=1e-6)
    row = risk_differences(frame, **common).row("risk_difference", "Low")
    assert math.isclose(row.estimate, r["mh_rd"][0]["estimate"], rel_tol=1e-8)


# ------------------------------------------------------------------------------------------------- standardisation


def test_standardised_risks(data: Any, out: Any) -> None:
    for name, r in out("margstd").items():
        if not isinstance(r, dict) or "logit" not in r:
            continue
        frame = data(r["data"])
        formula = r["formula"].replace('I(receptor == "Low")', "receptor")
        outcome, terms = asked(formula)
        exposure = r["exposure"]
        covariates = [t for t in terms if t != exposure]
        at = [float(v) for v in r["levels"]] if r["exposure"] == "age0" else []
        labels = [str(v) for v in r["levels"]]
        covariates = ["dibpat0", *covariates[1:]] if exposure == "age0" else covariates
        reference = {"reference": "High"} if exposure == "receptor" else {}
        for key, method in (("logit", "logistic"), ("poisson_log", "modified_poisson")):
            for kind, variance, sampled in (
                ("delta_model", "model", False),
                ("delta_HC0", "HC0", False),
                ("delta_HC1", "HC1", False),
                ("delta_HC3", "HC3", False),
                ("delta_uncond", "HC0", True),
            ):
                made = standardised_risks(
                    frame,
                    outcome=outcome,
                    exposure=exposure,
                    covariates=covariates,
                    method=method,
                    variance=variance,
                    sampled=sampled,
                    at=at,
                    risk_limits="identity",
                    **reference,
                )
                wanted = {t["term"]: t for t in r[key][kind]}
                rows = {
                    "risk0": made.row("risk", labels[0]),
                    "risk1": made.row("risk", labels[1]),
                    "rd": made.row("risk_difference", labels[1]),
                    "log_rr": made.row("risk_ratio", labels[1]),
                    "log_or": made.row("odds_ratio", labels[1]),
                }
                for term, row in rows.items():
                    if term == "log_or" and row.estimate is None:
                        continue  # a mean of fitted risks above 1 has no odds
                    log = term.startswith("log")
                    t = wanted[term]
                    assert math.isclose(math.log(row.estimate) if log else row.estimate, t["estimate"], rel_tol=1e-8)
                    assert math.isclose(row.std_error, t["std_error"], rel_tol=1e-6), (name, key, kind, term)
                    low = math.log(row.conf_low) if log else row.conf_low
                    assert math.isclose(low, t["conf_low"], rel_tol=1e-5, abs_tol=1e-7)
                if key == "logit":
                    held(made.row("nnt").estimate, abs(r[key]["NNT"]), 1e-8)
        for who, level in (("ATT", "1"), ("ATU", "0")):
            if who not in r:
                continue
            made = standardised_risks(
                frame,
                outcome=outcome,
                exposure=exposure,
                covariates=covariates,
                variance="model",
                sampled=False,
                population=level,
            )
            for estimand, key in (("risk_ratio", "log_rr"), ("risk_difference", "rd")):
                row = made.row(estimand, "1")
                value = math.log(row.estimate) if key == "log_rr" else row.estimate
                want = r[who][key]
                want = want if isinstance(want, list) else [want["estimate"], want["std_error"]]
                assert math.isclose(value, want[0], rel_tol=1e-7)
                assert math.isclose(row.std_error, want[1], rel_tol=1e-5)


def test_attributable_fraction(data: Any, out: Any) -> None:
    r = out("margstd")
    named = {"outcome": "chd69", "exposure": "dibpat0", "covariates": WCGS[1:]}
    made = attributable_fractions(data("wcgs_cc.csv"), transform="identity", **named).row("paf", "total")
    table = r["AF_wcgs_dibpat"]
    assert math.isclose(made.estimate, table["AF"], rel_tol=1e-8)
    assert math.isclose(made.std_error, table["summary_untransformed"][0][1], rel_tol=1e-3)
    cases = attributable_fractions(data("wcgs_cc.csv"), formula="miettinen", **named).row("paf", "total")
    levin = attributable_fractions(data("wcgs_cc.csv"), formula="levin", **named).row("paf", "total")
    assert math.isclose(cases.estimate, r["PAF_formulas"]["PAF_miettinen"], rel_tol=1e-8)
    assert math.isclose(levin.estimate, r["PAF_formulas"]["PAF_levin"], rel_tol=1e-8)


def test_bootstrap_limits_agree_with_rs_to_monte_carlo_error(data: Any, out: Any) -> None:
    r = out("boot_bca")
    for kind, key in (("percentile", "perc"), ("bca", "bca_jackknife"), ("basic", "basic"), ("normal", "norm")):
        made = standardised_risks(
            data("breastcancer.csv"),
            outcome="death",
            exposure="receptor",
            covariates=["stage"],
            intervals=kind,
            replicates=2000,
        )
        for estimand, name in (("risk_ratio", "log_rr"), ("risk_difference", "rd")):
            row = made.row(estimand, "Low")
            change = math.log if estimand == "risk_ratio" else float
            sd = r["boot_sd"][0 if name == "log_rr" else 1]
            assert math.isclose(change(row.estimate), r["t0"][0 if name == "log_rr" else 1], rel_tol=1e-8)
            assert abs(change(row.conf_low) - r[name][key][0]) < 0.25 * sd
            assert abs(change(row.conf_high) - r[name][key][1]) < 0.25 * sd


# ---------------------------------------------------------------------------------------------------- dose-response


def test_spline_curves_and_tests(data: Any, out: Any) -> None:
    r, frame = out("splines_trend"), data("wcgs_cc.csv")
    for name, s in r.items():
        if not isinstance(s, dict) or "knots" not in s or "ref" not in s:
            continue
        adjusted = [part.strip() for part in s["adj"].lstrip("~").split("+")]
        for variance in ("HC0", "HC1", "HC3", "model"):
            c = s[variance]["curve"]
            made = dose_response(
                frame,
                outcome="chd69",
                exposure=spline(s["variable"], knots=s["knots"]),
                covariates=adjusted,
                method="logistic" if s["family"] == "binomial" else "modified_poisson",
                variance=variance,
                reference=s["ref"],
                at=[p["x"] for p in c],
            )
            curve = made.curve_frame()
            np.testing.assert_allclose(np.log(curve["estimate"]), [p["log_rr"] for p in c], rtol=1e-7, atol=1e-9)
            np.testing.assert_allclose(made.details["curve_std_errors"], [p["se"] for p in c], rtol=1e-6, atol=1e-9)
            np.testing.assert_allclose(curve["conf_high"], [p["rr_high"] for p in c], rtol=1e-5)
            for got, want in zip(made.fit.coefficients, (t["estimate"] for t in s[variance]["coef"]), strict=True):
                assert math.isclose(got, want, rel_tol=1e-7, abs_tol=1e-9), name
            overall = made.details["overall_test"]
            assert math.isclose(overall.chi2, s[variance]["overall"]["chi2"], rel_tol=1e-6)
            wald = next(q for q in made.rows if q.method == "wald")
            assert math.isclose(wald.estimate, s[variance]["nonlinear"]["chi2"], rel_tol=1e-6)
            assert math.isclose(wald.p_value, s[variance]["nonlinear"]["p"], rel_tol=1e-5)
            ratio = next(q for q in made.rows if q.method == "likelihood_ratio")
            assert math.isclose(ratio.estimate, s["LR_nonlinear"]["chi2"], rel_tol=1e-6)


def test_default_knots(data: Any, out: Any) -> None:
    r, frame = out("splines_trend"), data("wcgs_cc.csv")
    for variable in ("sbp0", "bmi", "chol0"):
        for k, knots in r[f"default_knots_{variable}"].items():
            made = dose_response(frame, outcome="chd69", exposure=spline(variable, knots=int(k[1])))
            np.testing.assert_allclose(made.details["knots"], knots, rtol=1e-10)


def test_linear_terms_and_quartiles(data: Any, out: Any) -> None:
    r, frame = out("splines_trend"), data("wcgs_cc.csv")
    adjusted = ["dibpat0", "age0", "chol0", "ncigs0", "bmi"]
    common = {"outcome": "chd69", "covariates": adjusted, "method": "modified_poisson"}
    same_row(risk_ratios(frame, exposure="sbp0", **common).rows[0], r["sbp0_linear"]["per1"][0])
    row = risk_ratios(frame, exposure=linear("sbp0", per=r["sbp0_linear"]["sd"]), **common).rows[0]
    per = r["sbp0_linear"]["perSD"]
    per = list(per.values()) if isinstance(per, dict) else per
    assert math.isclose(math.log(row.estimate), per[0], rel_tol=1e-8)
    assert math.isclose(row.std_error, per[1], rel_tol=1e-6)
    t = r["trend"]
    quartiles = risk_ratios(frame, exposure=categories("sbp0", quantiles=4), **common)
    assert [q.n for q in quartiles.rows] == list(t["n"].values())
    assert [q.events for q in quartiles.rows] == list(t["cases"].values())
    for row, want in zip(quartiles.rows[1:], t["quartile_HC0"][1:4], strict=True):
        same_row(row, want)
    made = dose_response(frame, outcome="chd69", exposure="sbp0", shape="categories", covariates=adjusted)
    assert list(made.details["medians"].values()) == list(t["medians"].values())
    for row, key in zip(made.rows, ("trend_median_HC0", "trend_ordinal_HC0"), strict=True):
        same_row(row, t[key][0], log=False)


# ------------------------------------------------------------------------------------- interaction, Mantel-Haenszel


def test_interaction(data: Any, out: Any) -> None:
    r = out("interaction")
    frame = data("wcgs_cc.csv").assign(chol_hi=lambda d: (d["chol0"] >= 240).astype(int))
    for s in r.values():
        if not isinstance(s, dict) or "formula" not in s or "RERI" not in s:
            continue
        first, second = re.match(r"chd69 ~ (\w+) \* (\w+)", s["formula"]).groups()
        made = interaction(
            frame,
            outcome="chd69",
            exposure=first,
            modifier=second,
            covariates=[t.strip() for t in s["formula"].split("+")[1:]],
            method="logistic" if s["family"] == "binomial" else "modified_poisson",
            variance=s["vcov"],
        )
        check_interaction(made, s)


def check_interaction(made: Estimates, s: Row) -> None:
    ratio = made.rows[0].estimand
    for level, key in (("1/0", "RR10"), ("0/1", "RR01"), ("1/1", "RR11")):
        row = made.row(ratio, level, stratum="")
        held(row.estimate, s[key], 1e-8)
        np.testing.assert_allclose([row.conf_low, row.conf_high], s[f"{key}_ci"], rtol=1e-6)
    row = made.row(ratio, "1/1", stratum="interaction")
    held(row.estimate, s["mult"], 1e-8)
    held(row.p_value, s["mult_p"], 1e-5)
    by = {(q.estimand, q.method.endswith("_mover")): q for q in made.rows if q.estimand in ("reri", "ap", "synergy")}
    for estimand, key, se, limits in (
        ("reri", "RERI", "RERI_se", "RERI_delta"),
        ("ap", "AP", "AP_se", "AP_delta"),
        ("synergy", "S", "lnS_se", "S_delta"),
    ):
        row = by[estimand, False]
        held(row.estimate, s[key], 1e-8)
        held(row.std_error, s[se], 1e-6)
        np.testing.assert_allclose([row.conf_low, row.conf_high], s[limits], rtol=1e-6)
    held(by["reri", False].p_value, s["RERI_p"], 1e-5)
    np.testing.assert_allclose([by["reri", True].conf_low, by["reri", True].conf_high], s["RERI_mover"], rtol=1e-6)


def test_oral_cancer(data: Any, out: Any) -> None:
    made = interaction(
        data("oralcancer.csv"), outcome="can", exposure="alc", modifier="smk", method="logistic", variance="model"
    )
    check_interaction(made, out("interaction")["oral_own"])
    assert any("odds ratios" in s for s in made.warnings)


MH = {
    "wcgs": ("wcgs_cc.csv", "chd69", "dibpat0", categories("agegrp")),
    "breastcancer": ("breastcancer.csv", "death", "receptor", "stage"),
    "birthwt": ("birthwt.csv", "low", "smoke", categories("race")),
}


@pytest.mark.parametrize("name", MH)
def test_mantel_haenszel(data: Any, out: Any, name: str) -> None:
    r = out("mh_2x2")
    file, outcome, exposure, stratum = MH[name]
    s, frame = r["hand_MH"][name], data(file)
    common = {"outcome": outcome, "exposure": exposure, "covariates": [stratum], "method": "mantel_haenszel"}
    made = risk_ratios(frame, **common)
    row = made.rows[-1] if made.rows[-1].std_error else made.rows[0]
    held(row.estimate, s["rr"], 1e-10)
    held(row.std_error, s["se_log_rr"], 1e-10)
    np.testing.assert_allclose([row.conf_low, row.conf_high], s["rr_ci"], rtol=1e-10)
    difference = risk_differences(frame, **common)
    row = difference.rows[-1] if difference.rows[-1].std_error else difference.rows[0]
    held(row.estimate, s["rd"], 1e-10)
    held(row.std_error, s["rd_se_sato"], 1e-10)
    tests = made.details["tests"]
    short = {"wcgs": "wcgs", "breastcancer": "bc", "birthwt": "bw"}[name]
    found = tests["chi_square"].to_numpy()
    for want in (s["hom_rr_iv"]["chi2"], s["hom_rr_about_mh"]["chi2"], r["mantelhaen_test"][short]["chi2"]):
        assert np.isclose(found, want, rtol=1e-8).any(), want


# ----------------------------------------------------------------------------------------------- survey, imputation


def nhanes(data: Any) -> pd.DataFrame:
    return data("survey_nhanes.csv").assign(female=lambda d: (d["RIAGENDR"] == 2).astype(int))


SURVEY = {"weights": "WTMEC2YR", "strata": "SDMVSTRA", "psu": "SDMVPSU", "variance": "survey"}


def test_survey_design(data: Any, out: Any) -> None:
    r, frame = out("survey"), nhanes(data)
    terms = {"exposure": categories("race"), "covariates": ["agecat", "female"]}
    for key, method in (("modpois", "modified_poisson"), ("logistic", "logistic")):
        made = risk_ratios(frame, outcome="HI_CHOL", **terms, method=method, **SURVEY)
        same_coefficients(made, r[key]["z"], names=survey_name)
        np.testing.assert_allclose(made.fit.covariance, r[key]["vcov"], rtol=1e-6, atol=1e-9)
        student = risk_ratios(frame, outcome="HI_CHOL", **terms, method=method, limits="t", **SURVEY)
        same_row(student.rows[-1], r[key]["t_resid"][3])
    weighted = {"weights": "WTMEC2YR", "method": "modified_poisson"}
    made = risk_ratios(frame, outcome="HI_CHOL", **terms, **weighted)
    same_coefficients(made, r["weights_only"]["HC0"], names=survey_name)
    made = risk_ratios(frame, outcome="HI_CHOL", **terms, **weighted, variance="stata")
    same_coefficients(made, r["weights_only"]["svy_indep"], names=survey_name, se_rtol=2e-4)  # its n counts the unknown


def survey_name(term: str) -> str:
    text = re.sub(r"^(race|agecat)(.+)$", r"\1[\2]", term)
    return "Intercept" if term == "(Intercept)" else text


def test_a_domain_of_a_survey_keeps_the_whole_design(data: Any, out: Any) -> None:
    frame = nhanes(data)
    terms = {"outcome": "HI_CHOL", "exposure": categories("race"), "covariates": ["agecat"]}
    named = risk_ratios(frame, **terms, subset="female", method="modified_poisson", **SURVEY)
    by_mask = risk_ratios(frame, **terms, subset=frame["female"] == 1, method="modified_poisson", **SURVEY)
    by_outcome = frame.assign(HI_CHOL=frame["HI_CHOL"].where(frame["female"] == 1))
    by_unknown = risk_ratios(by_outcome, **terms, method="modified_poisson", **SURVEY)
    for made in (by_mask, by_unknown):
        np.testing.assert_allclose(made.fit.covariance, named.fit.covariance, rtol=1e-12)
    if "modpois_domain_women" in out("survey"):
        same_coefficients(named, out("survey")["modpois_domain_women"]["z"], names=survey_name)


def test_pooling_of_twenty_imputations(data: Any, out: Any) -> None:
    r, long = out("mi"), data("mi_wcgs_long.csv.gz")
    sets = [group for number, group in long.groupby(".imp") if number > 0]
    common = {"outcome": "chd69", "exposure": "dibpat0", "covariates": WCGS[1:]}
    for method, variance, key in (
        ("modified_poisson", "HC0", "pooled_modpois_HC0"),
        ("modified_poisson", "model", "pooled_modpois_model"),
        ("logistic", "model", "pooled_logistic"),
    ):
        made = pool([risk_ratios(s, **common, method=method, variance=variance) for s in sets])
        same_coefficients(made, r[key], rtol=1e-8, se_rtol=1e-7)
        want, row = r[key][1], made.rows[0]
        held(math.log(row.estimate), want["estimate"], 1e-8)
        held(math.log(row.conf_low), want["low_BR"], 1e-6)
        held(math.log(row.conf_high), want["high_BR"], 1e-6)
        held(row.p_value, want["p_BR"], 1e-5)
        table = made.details["pooling"].iloc[0]
        held(table["df"], want["df_barnard_rubin"], 1e-6)
        held(table["between"], want["b"], 1e-7)
        held(table["fraction_missing_information"], want["fmi"], 1e-6)
    ratios = [standardised_risks(s, **common) for s in sets]
    row = pool(ratios).row("risk_ratio", "1")
    g = r["pooled_gcomp_logRR"]
    held(math.log(row.estimate), g["est"], 1e-8)
    held(row.std_error, g["se"], 1e-6)
    held(math.log(row.conf_low), g["low"], 1e-6)


# --------------------------------------------------------------------------------------------------------- weighting


def four(made: Estimates, table: Sequence[Row]) -> None:
    rows = [
        made.row("risk", "0"),
        made.row("risk", "1"),
        made.row("risk_difference", "1"),
        made.row("risk_ratio", "1"),
    ]
    for row, want in zip(rows, table, strict=True):
        log = want["term"] == "log_rr"
        held(math.log(row.estimate) if log else row.estimate, want["estimate"], 1e-8)
        held(row.std_error, want["std_error"], 1e-6)
        low = math.log(row.conf_low) if log else row.conf_low
        assert math.isclose(low, want["conf_low"], rel_tol=1e-5, abs_tol=1e-7)


WEIGHTED = {"exposure": "qsmk", "covariates": [*NHEFS, *SQUARES], "risk_limits": "identity"}


@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATO"])
def test_weighted_risks(data: Any, out: Any, estimand: str) -> None:
    r = out("weights").get(f"nhefs_death_{estimand}")
    if r is None:
        pytest.skip("kept apart")
    target = {"target": "1"} if estimand == "ATT" else {}
    for fixed, key in ((False, "m_estimation"), (True, "fixed_weights_HC0")):
        made = weighted_risks(
            data("nhefs.csv"),
            outcome="death",
            estimand=estimand,
            fixed=fixed,
            stabilised=False,
            **target,
            **WEIGHTED,
        )
        four(made, r[key])
        summary = made.details["weight_summary"]
        np.testing.assert_allclose(
            summary[["mean", "std", "smallest", "largest", "total"]],
            [r["weights"][k] for k in ("mean", "sd", "min", "max", "sum")],
            rtol=1e-8,
        )
    np.testing.assert_allclose(
        made.details["weights"]["effective_sample_size"], [r["weights"]["ess0"], r["weights"]["ess1"]], rtol=1e-8
    )


def test_weights_for_loss_to_follow_up(data: Any, out: Any) -> None:
    frame = data("nhefs.csv")
    frame["gain5"] = (frame["wt82_71"] > 5).astype(float).where(frame["wt82_71"].notna())
    r = out("weights")
    for fixed, key in ((False, "m_estimation"), (True, "fixed_weights_HC0")):
        four(weighted_risks(frame, outcome="gain5", fixed=fixed, **WEIGHTED), r["nhefs_gain5_IPTW_only_cc"][key])
        made = weighted_risks(frame, outcome="gain5", fixed=fixed, loss_covariates=[*NHEFS, *SQUARES], **WEIGHTED)
        four(made, r["nhefs_gain5_IPTW_IPCW"][key])
    assert sum(made.row("risk", level).n for level in "01") == frame["gain5"].notna().sum()


def test_doubly_robust_risks(data: Any, out: Any) -> None:
    r = out("weights")
    for method, key in (("aipw", "aipw_death"), ("tmle", "tmle_death")):
        if key not in r:
            continue
        made = weighted_risks(data("nhefs.csv"), outcome="death", method=method, fixed=True, **WEIGHTED)
        four(made, r[key]["eif"])


def test_balance(data: Any, out: Any) -> None:
    made = weighted_risks(data("nhefs.csv"), outcome="death", **WEIGHTED)
    table = made.details["balance"]
    for row in out("weights")["smd"]:
        if row["term"] in ("age", "wt71", "smokeintensity", "smokeyrs", "sex", "race"):
            mine = table[table["covariate"] == row["term"]].iloc[0]
            numbers = [abs(v) for v in mine.to_numpy() if isinstance(v, float)]
            assert np.isclose(numbers, abs(row["unadj"]), rtol=1e-6).any()
            assert np.isclose(numbers, abs(row["adj"]), rtol=1e-5).any()


def test_weights_that_the_user_brings(data: Any, out: Any) -> None:
    """Inverse probabilities of being followed up as a column: unknown for the lost, whose rows are left out."""
    frame = data("nhefs.csv")
    frame["lost"] = frame["wt82_71"].isna().astype(int)
    model = risk_ratios(
        frame, outcome="lost", exposure="qsmk", covariates=[*NHEFS, *SQUARES], method="logistic"
    ).fit.coefficients
    x = design_of(frame)
    frame["ipcw"] = np.where(frame["lost"] == 0, 1 + np.exp(x @ model.to_numpy()), np.nan)
    frame["gain5"] = (frame["wt82_71"] > 5).astype(float).where(frame["lost"] == 0)
    r = out("weights")["ipcw_modpois"]
    for variance in ("HC0", "HC1", "HC3"):
        made = call(
            risk_ratios,
            frame,
            "gain5 ~ qsmk + sex + race + age + wt71",
            weights="ipcw",
            method="modified_poisson",
            variance=variance,
        )
        same_coefficients(made, r[variance], rtol=1e-7)


def design_of(frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    columns = [np.ones(len(frame)), frame["qsmk"], frame["sex"], frame["race"], frame["age"]]
    for name, after in (("education", ["smokeintensity", "smokeyrs"]), ("exercise", []), ("active", ["wt71"])):
        columns += [(frame[name] == level).astype(float) for level in sorted(frame[name].unique())[1:]]
        columns += [frame[other] for other in after]
    columns += [frame[name] ** 2 for name in ("age", "smokeintensity", "smokeyrs", "wt71")]
    return np.column_stack(columns)


# -------------------------------------------------------------------------------------------------------------- misc


def test_case_duplication(data: Any, out: Any) -> None:
    r = out("misc")["case_duplication"]
    frame = data("breastcancer.csv").assign(row=lambda d: np.arange(len(d)))
    made = call(risk_ratios, frame, "death ~ stage + receptor", method="case_duplication")
    same_coefficients(made, r["cluster_HC0"])
    made = call(risk_ratios, frame, "death ~ stage + receptor", method="case_duplication", variance="stata")
    same_coefficients(made, r["cluster_cadjust"])


def test_bias_reduction(data: Any, out: Any) -> None:
    r = out("misc")
    formula = "low ~ age + lwt + factor(race) + smoke + ptd + ht + ui"
    made = call(risk_ratios, data("birthwt.csv"), formula, method="bias_reduced_poisson", variance="model")
    same_coefficients(made, r["brglm2_poisson_AS_mean"], rtol=1e-6, se_rtol=1e-5)
    made = call(risk_ratios, data("birthwt.csv"), formula, method="firth_logistic", variance="model")
    same_coefficients(made, r["firth_logistic"], rtol=1e-6, se_rtol=1e-5)


def test_time_spent_otherwise(data: Any, out: Any) -> None:
    r, frame, parts = out("misc"), data("movement24h.csv"), ["sleep", "lpa", "mvpa", "sed"]
    common = {"outcome": "y", "parts": parts, "covariates": ["age"]}
    made = time_substitution(frame, amounts=[30], **common)
    for want, part in zip(r["isotemporal_30min_replacing_sed"][1:4], parts[:3], strict=True):
        same_row(made.row("risk_ratio", f"30: sed -> {part}"), want)
    made = time_substitution(frame, amounts=[5, 10, 15, 30], model="compositional", **common)
    held(made.details["mean_composition"]["mvpa"], r["composition_mean_closed"]["mvpa"], 1e-8)
    for key, want in r["compositional_ilr"]["substitution"].items():
        amount, source = re.match(r"\+(\d+)_mvpa_from_(\w+)", key).groups()
        row = made.row("risk_ratio", f"{amount}: {source} -> mvpa")
        held(math.log(row.estimate), want["log_rr"], 1e-7)
        held(row.std_error, want["se"], 1e-6)
    for part in ("sleep", "sed", "lpa", "mvpa"):
        first = r["compositional_ilr"][part]["coef"][1]
        row = made.details["parts"].loc[part]
        scale = row["log_ratio"] / first["estimate"]
        assert math.isclose(row["std_error"] / first["std_error"], scale, rel_tol=1e-6)
    held(made.details["joint_test"].chi2, r["compositional_ilr"]["joint_wald"]["chi2"], 1e-6)


def test_all_methods_side_by_side(data: Any) -> None:
    made = compare_methods(
        data("birthwt.csv"), outcome="low", exposure="smoke", covariates=[categories("race"), "ptd", "ht", "ui"]
    )
    answered = {row.method for row in made.rows if row.estimate is not None}
    assert len(answered) >= 9, made.warnings
    assert isinstance(walkrisk.Estimates, type)
