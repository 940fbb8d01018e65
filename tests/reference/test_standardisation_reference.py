"""Standardised risks and attributable fractions beside R (stdReg, marginaleffects, AF, sandwich) and Python peers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from walkrisk.estimates.attributable import case_based_fraction, levin_fraction, standardised_fraction
from walkrisk.estimates.counterfactuals import counterfactual_design, level_designs
from walkrisk.estimates.population_impact import fraction_covariance, fraction_intervals
from walkrisk.estimates.risk_contrasts import level_risks, risk_contrasts
from walkrisk.estimates.standardisation import StandardisedRisks, risk_covariance, standardise
from walkrisk.models.design import Design, Factor, Linear, Term, build_design, factor
from walkrisk.models.fit import Fit, fit_model

Array = np.ndarray[Any, np.dtype[np.float64]]
COEFFICIENT, ERROR = 1e-8, 1e-6
WCGS = ["dibpat0", "age0", "sbp0", "chol0", "bmi", "ncigs0", "arcus0"]


class Case:
    """One model of the reference file on its data, and its counterfactual designs."""

    def __init__(
        self,
        data: pd.DataFrame,
        outcome: str,
        exposure: str,
        levels: tuple[float, float],
        numeric: Sequence[str],
        factors: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        self.columns: dict[str, Array] = {}
        self.terms: list[Term] = []
        for name, order in (factors or {}).items():
            codes = {value: float(i) for i, value in enumerate(order or sorted(data[name].unique()))}
            self.columns[name] = data[name].map(codes).to_numpy(float)
            self.terms.append(factor(name, self.columns[name]))
        for name in numeric:
            self.columns[name] = data[name].to_numpy(float)
            self.terms.append(Linear(name))
        self.y = data[outcome].to_numpy(float)
        self.n = len(data)
        self.exposure, self.levels = exposure, levels
        self.design = build_design(self.columns, self.terms, self.n)
        self.scenarios: dict[str, Design] = {
            f"{level:g}": counterfactual_design(self.columns, self.terms, self.n, {exposure: level}) for level in levels
        }

    def fit(self, method: str) -> Fit:
        return fit_model(method, self.design, self.y)

    def risks(self, fit: Fit, population: Array | None = None) -> StandardisedRisks:
        return standardise(fit, self.scenarios, y=self.y, population=population)


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "reference" / "statistics"


@pytest.fixture(scope="module")
def reference(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "out" / "margstd.json").read_text())  # type: ignore[no-any-return]


def case(folder: Path, name: str) -> Case:
    def data(file: str) -> pd.DataFrame:
        return pd.read_csv(folder / "data" / file)

    birth = ["smoke", "age", "lwt", "ptd", "ht", "ui"]
    if name == "breastcancer_receptor":
        factors = {"receptor": ["High", "Low"], "stage": []}
        return Case(data("breastcancer.csv"), "death", "receptor", (0, 1), [], factors)
    if name == "birthwt_smoke":
        return Case(data("birthwt.csv"), "low", "smoke", (0, 1), birth, {"race": []})
    exposure, levels = ("age0", (45.0, 55.0)) if name == "wcgs_age_10y" else ("dibpat0", (0.0, 1.0))
    return Case(data("wcgs_cc.csv"), "chd69", exposure, levels, WCGS)


CASES = ["breastcancer_receptor", "birthwt_smoke", "wcgs_dibpat", "wcgs_age_10y"]
FIELDS = {"rd": "risk_difference", "log_rr": "risk_ratio", "log_or": "odds_ratio"}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("method", "block"), [("logistic", "logit"), ("modified_poisson", "poisson_log")])
def test_every_delta_and_unconditional_number_of_r(
    folder: Path, reference: dict[str, Any], name: str, method: str, block: str
) -> None:
    here, expected = case(folder, name), reference[name][block]
    fit = here.fit(method)
    risks = here.risks(fit)
    assert expected["fit_n"] == fit.n
    for table, rows in ((k, v) for k, v in expected.items() if k.startswith("delta_")):
        unconditional = table == "delta_uncond"
        variance = "HC0" if unconditional else table.removeprefix("delta_")
        s = risk_covariance(risks, fit, variance, unconditional=unconditional)
        contrast = risk_contrasts(risks, s)[0]
        np.testing.assert_allclose(contrast.risk_ratio.estimate, expected["RR"], rtol=COEFFICIENT)
        np.testing.assert_allclose(contrast.number_needed.number, abs(expected["NNT"]), rtol=COEFFICIENT, err_msg=table)
        own = {"risk0": level_risks(risks, s)[0], "risk1": level_risks(risks, s)[1]}
        for row in rows:
            ratio = row["term"].startswith("log")
            q = own.get(row["term"]) or getattr(contrast, FIELDS[row["term"]])
            estimate, limits = q.estimate, [q.conf_low, q.conf_high]
            if ratio:
                estimate, limits = np.log(estimate), np.log(limits)
            np.testing.assert_allclose(estimate, row["estimate"], rtol=COEFFICIENT)
            np.testing.assert_allclose(q.std_error, row["std_error"], rtol=ERROR)
            np.testing.assert_allclose(limits, [row["conf_low"], row["conf_high"]], rtol=ERROR, atol=1e-7)
            if row["term"] not in own:
                np.testing.assert_allclose(q.p_value, row["p_value"], rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_marginaleffects_and_stdreg(folder: Path, reference: dict[str, Any], name: str) -> None:
    here, expected = case(folder, name), reference[name]
    fit = here.fit("logistic")
    risks = here.risks(fit)
    for key, row in expected["marginaleffects"].items():
        what, variance = key.split("_")
        s = risk_covariance(risks, fit, variance, unconditional=False)
        q = getattr(
            risk_contrasts(risks, s)[0], {"rd": "risk_difference", "lnrr": "risk_ratio", "lnor": "odds_ratio"}[what]
        )
        estimate = q.estimate if what == "rd" else np.log(q.estimate)
        np.testing.assert_allclose(estimate, row["estimate"], rtol=COEFFICIENT)
        np.testing.assert_allclose(q.std_error, row["std_error"], rtol=ERROR)
    if "stdReg" in expected:
        s = risk_covariance(risks, fit, "HC0") * here.n / (here.n - 1)
        np.testing.assert_allclose(risks.risks, expected["stdReg"]["est"], rtol=COEFFICIENT)
        vcov = np.array(expected["stdReg"]["vcov"])
        scale = np.sqrt(np.outer(np.diag(vcov), np.diag(vcov)))
        np.testing.assert_allclose(s / scale, vcov / scale, atol=ERROR)
        contrast = risk_contrasts(risks, s)[0]
        got = contrast.risk_difference
        np.testing.assert_allclose(
            [got.estimate, got.std_error, got.conf_low, got.conf_high], expected["stdReg"]["rd"], rtol=1e-5
        )
        np.testing.assert_allclose(got.std_error, expected["stdReg"]["rd"][1], rtol=ERROR)
        np.testing.assert_allclose(contrast.risk_ratio.std_error, expected["stdReg"]["logrr"][1], rtol=ERROR)


@pytest.mark.parametrize("name", ["birthwt_smoke", "wcgs_dibpat"])
@pytest.mark.parametrize("group", [1.0, 0.0])
def test_effect_among_the_exposed_and_the_unexposed(
    folder: Path, reference: dict[str, Any], name: str, group: float
) -> None:
    here = case(folder, name)
    expected = reference[name]["ATT" if group else "ATU"]
    fit = here.fit("logistic")
    risks = here.risks(fit, population=here.columns[here.exposure] == group)  # type: ignore[arg-type]
    contrast = risk_contrasts(risks, risk_covariance(risks, fit, "model", unconditional=False))[0]
    got = np.log(contrast.risk_ratio.estimate), contrast.risk_ratio.std_error
    np.testing.assert_allclose(got, expected["log_rr"], rtol=ERROR)
    np.testing.assert_allclose(got[0], expected["log_rr"][0], rtol=COEFFICIENT)
    rd = contrast.risk_difference
    np.testing.assert_allclose([rd.estimate, rd.std_error], expected["rd"], rtol=ERROR)


def test_three_levels(folder: Path, reference: dict[str, Any]) -> None:
    here = case(folder, "breastcancer_receptor")
    stage = here.terms[1]
    assert isinstance(stage, Factor)
    fit = here.fit("logistic")
    risks = standardise(fit, level_designs(here.columns, here.terms, here.n, stage), y=here.y)
    made = risk_contrasts(risks, risk_covariance(risks, fit, "model", unconditional=False))
    for contrast, row in zip(made, reference["breastcancer_stage"], strict=True):
        q = contrast.risk_ratio
        np.testing.assert_allclose(np.log(q.estimate), row["estimate"], rtol=COEFFICIENT)
        np.testing.assert_allclose(q.std_error, row["std.error"], rtol=ERROR)
        np.testing.assert_allclose(np.log([q.conf_low, q.conf_high]), [row["conf.low"], row["conf.high"]], rtol=ERROR)


def test_attributable_fractions(folder: Path, reference: dict[str, Any]) -> None:
    here = case(folder, "wcgs_dibpat")
    unexposed, expected = here.scenarios["0"], reference["AF_wcgs_dibpat"]
    fit = here.fit("logistic")
    fractions = standardised_fraction(fit, unexposed, y=here.y)
    s = fraction_covariance(fractions, fit, "stata")  # AF divides by n - 1
    np.testing.assert_allclose(fractions.values[-1], expected["AF"], rtol=COEFFICIENT)
    np.testing.assert_allclose(s[-1, -1], expected["AF_var"][0][0], rtol=2 * ERROR)
    for transform in ("untransformed", "log", "logit"):
        scale = {"untransformed": "identity"}.get(transform, transform)
        q = fraction_intervals(fractions, s, transform=scale)[-1]
        estimate, error, z, p = expected[f"summary_{transform}"][0]
        np.testing.assert_allclose(
            [q.estimate, q.std_error, q.estimate / q.std_error], [estimate, error, z], rtol=ERROR
        )
        np.testing.assert_allclose(q.p_value, p, rtol=1e-5)
    np.testing.assert_allclose(here.y.mean(), expected["P"], rtol=COEFFICIENT)
    np.testing.assert_allclose(here.risks(fit).risks[0], expected["P0"], rtol=COEFFICIENT)
    poisson, formulas = here.fit("modified_poisson"), reference["PAF_formulas"]
    case_based = case_based_fraction(poisson, unexposed, y=here.y).values[-1]
    gcomp = standardised_fraction(poisson, unexposed, y=here.y).values[-1]
    np.testing.assert_allclose(case_based, formulas["PAF_miettinen"], rtol=COEFFICIENT)
    np.testing.assert_allclose(gcomp, formulas["PAF_poisson_gcomp"], rtol=COEFFICIENT)
    column = here.design.columns_of[Linear("dibpat0")]
    levin = levin_fraction(poisson, column, here.columns["dibpat0"][:, None], ["type A"], y=here.y)
    np.testing.assert_allclose(levin.values[-1], formulas["PAF_levin"], rtol=COEFFICIENT)


def test_python_peers(folder: Path) -> None:
    peers = json.loads((folder / "out" / "python_peers.json").read_text())
    here = case(folder, "wcgs_dibpat")
    fit = here.fit("logistic")
    risks = here.risks(fit)
    model = risk_contrasts(risks, risk_covariance(risks, fit, "model", unconditional=False))[0]
    sandwich_covariance = risk_covariance(risks, fit, "HC0")
    sandwich = risk_contrasts(risks, sandwich_covariance)[0]
    expected = peers["marginaleffects_py_wcgs"]  # numerical derivatives
    rr = model.risk_ratio
    for key, estimate, error in (
        ("difference", model.risk_difference.estimate, model.risk_difference.std_error),
        ("lnratioavg", np.log(rr.estimate), rr.std_error),
        ("ratioavg", rr.estimate, rr.estimate * rr.std_error),
    ):
        np.testing.assert_allclose(estimate, expected[key]["estimate"], rtol=COEFFICIENT)
        np.testing.assert_allclose(error, expected[key]["se"], rtol=ERROR)
    expected = peers["delicatessen_gformula_wcgs"]  # solved to 1e-10 or so
    np.testing.assert_allclose(risks.risks, [expected["risk0"], expected["risk1"]], rtol=COEFFICIENT)
    np.testing.assert_allclose(
        np.sqrt(np.diag(sandwich_covariance)), [expected["se_r0"], expected["se_r1"]], rtol=ERROR
    )
    np.testing.assert_allclose(sandwich.risk_difference.std_error, expected["se_rd"], rtol=ERROR)
    np.testing.assert_allclose(sandwich.risk_ratio.std_error, expected["se_logrr"], rtol=ERROR)
    expected = peers["zepid_wcgs"]["gformula"]  # statsmodels at its default tolerance
    np.testing.assert_allclose(risks.risks, [expected["r0"], expected["r1"]], rtol=1e-7)


def test_imputed_sets(folder: Path) -> None:
    expected = json.loads((folder / "out" / "mi.json").read_text())["pooled_gcomp_logRR"]
    sets = pd.read_csv(folder / "data" / "mi_wcgs_long.csv.gz")
    estimates, variances = [], []
    for i in range(1, 21):
        here = Case(sets[sets.iloc[:, 0] == i], "chd69", "dibpat0", (0, 1), WCGS)
        fit = here.fit("logistic")
        risks = here.risks(fit)
        q = risk_contrasts(risks, risk_covariance(risks, fit, "HC0"))[0].risk_ratio
        estimates.append(np.log(q.estimate))
        variances.append(q.std_error**2)
    np.testing.assert_allclose(estimates, expected["per_imp"], rtol=COEFFICIENT)
    np.testing.assert_allclose(variances, expected["per_imp_var"], rtol=2 * ERROR)
    np.testing.assert_allclose(np.mean(estimates), expected["est"], rtol=COEFFICIENT)


def test_published_framingham_teaching_data(folder: Path) -> None:
    """riskCommunicator's vignette: death or cardiovascular disease by category of body mass index."""
    data = pd.read_csv(folder / "data" / "riskCommunicator__cvdd.csv.gz").dropna(subset=["bmicat"])
    numeric = ["AGE", "SEX", "DIABETES", "CURSMOKE", "PREVHYP"]
    here = Case(data, "cvd_dth", "bmicat", (0, 1), numeric, {"bmicat": []})
    category = here.terms[0]
    assert isinstance(category, Factor)
    risks = standardise(here.fit("logistic"), level_designs(here.columns, here.terms, here.n, category), y=here.y)
    ratios = risks.risks[1:] / risks.risks[0]
    np.testing.assert_allclose(ratios, [1.1058, 1.0440, 1.2351], atol=5e-5)
