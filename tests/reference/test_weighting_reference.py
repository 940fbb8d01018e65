"""Weighting, doubly robust risks and balance against R (glm and sandwich, WeightIt, svyglm, cobalt, MatchIt).

The references are those of shared/reference/statistics/out/weights.json and misc.json on the NHEFS data: estimates
agree to 1e-8, standard errors to 1e-6 (R's vcov takes the weights of its last but one iteration).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from walkrisk.estimates.balance import BalanceTable, Covariate, balance_table
from walkrisk.estimates.doubly_robust import OutcomeModel, aipw_risks, outcome_model, tmle_risks
from walkrisk.estimates.matching import nearest_pairs
from walkrisk.estimates.risk_influence import level_contrasts, risk_covariance
from walkrisk.estimates.weighting import (
    Weights,
    combined,
    exposure_weights,
    hajek_risks,
    loss_weights,
    outcome_influence,
    weight_summary,
)
from walkrisk.models.covariance import covariance
from walkrisk.models.design import Design, Factor, Linear, Power, Term, build_design, factor
from walkrisk.models.fit import Fit, fit_model
from walkrisk.models.propensity import Propensity, fit_propensity

FloatArray = npt.NDArray[np.float64]
LABELS = ("0", "1")


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    place = shared / "reference" / "statistics"
    if not place.is_dir():
        pytest.skip("../shared/reference/statistics is not here")
    return place


@pytest.fixture(scope="module")
def r(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "out" / "weights.json").read_text()))


@pytest.fixture(scope="module")
def nhefs(folder: Path) -> dict[str, FloatArray]:
    table = pd.read_csv(folder / "data" / "nhefs.csv")
    out = {name: table[name].to_numpy(dtype=np.float64) for name in table.columns}
    out["obs"] = (~np.isnan(out["wt82_71"])).astype(float)
    out["gain5"] = (out["wt82_71"] > 5).astype(float)
    return out


def confounders(data: dict[str, FloatArray]) -> list[Term]:
    terms: list[Term] = [Linear("sex"), Linear("race"), Linear("age"), Power("age", 2)]
    terms += [factor("education", data["education"]), Linear("smokeintensity"), Power("smokeintensity", 2)]
    terms += [Linear("smokeyrs"), Power("smokeyrs", 2)]
    terms += [factor("exercise", data["exercise"]), factor("active", data["active"])]
    return [*terms, Linear("wt71"), Power("wt71", 2)]


def design_of(data: dict[str, FloatArray], *first: str, rest: list[Term] | None = None) -> Design:
    terms = confounders(data) if rest is None else rest
    return build_design(data, [*(Linear(name) for name in first), *terms], len(data["qsmk"]))


def propensity_of(data: dict[str, FloatArray]) -> Propensity:
    return fit_propensity(design_of(data), data["qsmk"], Factor("qsmk", (0.0, 1.0), LABELS))


def check(rows: list[dict[str, Any]], estimate: FloatArray, std_error: FloatArray) -> None:
    np.testing.assert_allclose(estimate, [row["estimate"] for row in rows], rtol=1e-8)
    np.testing.assert_allclose(std_error, [row["std_error"] for row in rows], rtol=1e-6)


def four(risks: FloatArray, v: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The four rows of the reference tables: both risks, their difference, the log of their ratio."""
    c = level_contrasts(risks, v)
    return np.array([*risks, c.rd[1], c.log_rr[1]]), np.array([*np.sqrt(np.diag(v)), c.rd_se[1], c.log_rr_se[1]])


def check_hajek(r: dict[str, Any], y: FloatArray, propensity: Propensity, weights: Weights) -> None:
    result = hajek_risks(y, propensity.index, LABELS, weights)
    check(r["m_estimation"], *four(result.risks, risk_covariance(result.influence)))
    check(r["fixed_weights_HC0"], *four(result.risks, risk_covariance(result.fixed_influence)))
    summary = weight_summary(weights, propensity.index)
    ours = [summary.mean, summary.std, summary.smallest, summary.largest, summary.total]
    np.testing.assert_allclose(ours, [r["weights"][k] for k in ("mean", "sd", "min", "max", "sum")], rtol=1e-8)
    np.testing.assert_allclose(summary.effective_size, [r["weights"]["ess0"], r["weights"]["ess1"]], rtol=1e-8)


@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATO"])
def test_iptw(r: dict[str, Any], nhefs: dict[str, FloatArray], estimand: str) -> None:
    if f"nhefs_death_{estimand}" not in r:
        pytest.skip(f"{estimand} is kept apart")
    propensity = propensity_of(nhefs)
    check_hajek(
        r[f"nhefs_death_{estimand}"],
        nhefs["death"],
        propensity,
        exposure_weights(propensity, estimand=estimand, target=1),
    )


def test_iptw_with_ipcw(r: dict[str, Any], nhefs: dict[str, FloatArray]) -> None:
    propensity = propensity_of(nhefs)
    loss = loss_weights(design_of(nhefs, "qsmk"), nhefs["obs"] == 1)
    weights = combined(exposure_weights(propensity), loss)
    check_hajek(r["nhefs_gain5_IPTW_IPCW"], nhefs["gain5"], propensity, weights)


def test_iptw_of_complete_cases(r: dict[str, Any], nhefs: dict[str, FloatArray]) -> None:
    data = {name: values[nhefs["obs"] == 1] for name, values in nhefs.items()}
    propensity = propensity_of(data)
    check_hajek(r["nhefs_gain5_IPTW_only_cc"], data["gain5"], propensity, exposure_weights(propensity))


def weighted_fit(data: dict[str, FloatArray], weights: FloatArray | None) -> Fit:
    seen = data["obs"] == 1
    some = {name: values[seen] for name, values in data.items()}
    design = design_of(some, "qsmk", rest=[Linear("sex"), Linear("race"), Linear("age"), Linear("wt71")])
    return fit_model("modified_poisson", design, some["gain5"], weights=None if weights is None else weights[seen])


def test_ipcw_modified_poisson(r: dict[str, Any], nhefs: dict[str, FloatArray]) -> None:
    seen, known = nhefs["obs"] == 1, r["ipcw_modpois"]
    loss = loss_weights(design_of(nhefs, "qsmk"), seen)
    stabilised = loss_weights(design_of(nhefs, "qsmk"), seen, levels=nhefs["qsmk"].astype(np.intp))
    ours = [loss.values[seen].mean(), loss.values[seen].min(), loss.values.max()]
    np.testing.assert_allclose(ours, [known["weights_summary"][k] for k in ("mean", "min", "max")], rtol=1e-8)
    fit = weighted_fit(nhefs, loss.values)
    for variance in ("HC0", "HC1", "HC3"):
        check(known[variance], fit.coefficients, np.sqrt(np.diag(covariance(fit, variance))))
    for name, w in (("stabilised_HC0", stabilised.values), ("cc_HC0", None)):
        other = weighted_fit(nhefs, w)
        check(known[name], other.coefficients, np.sqrt(np.diag(covariance(other, "HC0"))))
    stacked = outcome_influence(fit, loss, seen)
    assert 0.98 < np.sqrt((stacked**2).sum(axis=0) / np.diag(covariance(fit, "HC0")))[1] < 1.0


def test_weightit(r: dict[str, Any], nhefs: dict[str, FloatArray]) -> None:
    propensity = propensity_of(nhefs)
    np.testing.assert_allclose(propensity.scores[:10, 1], r["weightit_ps_head"], rtol=1e-8)
    design = build_design(nhefs, [Linear("qsmk")], len(nhefs["qsmk"]))
    fit = fit_model("modified_poisson", design, nhefs["death"], weights=exposure_weights(propensity).values)
    v = covariance(fit, "HC0")
    check(r["weightit_HC0_logRR"], fit.coefficients, np.sqrt(np.diag(v)))
    n = len(nhefs["qsmk"])
    check(r["weightit_svyglm_logRR"], fit.coefficients, np.sqrt(np.diag(v) * n / (n - 1)))


def doubly_robust(
    nhefs: dict[str, FloatArray],
) -> tuple[Propensity, Weights, OutcomeModel]:
    propensity, terms, n = propensity_of(nhefs), [*confounders(nhefs), Linear("qsmk")], len(nhefs["qsmk"])
    fit = fit_model("logistic", build_design(nhefs, terms, n), nhefs["death"])
    designs = [build_design({**nhefs, "qsmk": np.full(n, a)}, terms, n) for a in (0.0, 1.0)]
    return propensity, exposure_weights(propensity), outcome_model(fit, designs, y=nhefs["death"])


def test_aipw(r: dict[str, Any], nhefs: dict[str, FloatArray]) -> None:
    propensity, weights, outcome = doubly_robust(nhefs)
    result = aipw_risks(nhefs["death"], propensity.index, LABELS, weights, outcome)
    estimate, std_error = four(result.risks, risk_covariance(result.influence))
    if "aipw_death" in r:
        check(r["aipw_death"]["eif"], estimate, std_error)
    targeted = four(*_tmle(nhefs))  # both have the same limit and, to first order, the same error
    np.testing.assert_allclose(estimate[:2], targeted[0][:2], rtol=1e-3)
    np.testing.assert_allclose(std_error, targeted[1], rtol=1e-2)


def _tmle(nhefs: dict[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
    propensity, weights, outcome = doubly_robust(nhefs)
    result = tmle_risks(nhefs["death"], propensity.index, LABELS, weights, outcome, scores=propensity.scores)
    return result.risks, risk_covariance(result.influence)


def test_tmle(r: dict[str, Any], nhefs: dict[str, FloatArray]) -> None:
    propensity, weights, outcome = doubly_robust(nhefs)
    result = tmle_risks(nhefs["death"], propensity.index, LABELS, weights, outcome, scores=propensity.scores)
    known = r["tmle_death"]
    np.testing.assert_allclose(result.epsilon, [known["epsilon"]["H0"], known["epsilon"]["H1"]], rtol=1e-7)
    check(known["eif"], *four(result.risks, risk_covariance(result.influence)))


SCALES = {
    "education": ("1", "2", "3", "4", "5"),
    "exercise": ("0", "1", "2"),
    "active": ("0", "1", "2"),
}


def balance_of(nhefs: dict[str, FloatArray]) -> BalanceTable:
    propensity = propensity_of(nhefs)
    columns = {**nhefs, "prop.score": propensity.scores[:, 1]}
    columns |= {f"I({name}^2)": nhefs[name] ** 2 for name in ("age", "smokeintensity", "smokeyrs", "wt71")}
    names = ["prop.score", "age", "smokeintensity", "smokeyrs", "wt71", *(n for n in columns if n.endswith("^2)"))]
    covariates = [Covariate(name=name, values=columns[name]) for name in names]
    covariates += [Covariate(name=name, values=nhefs[name], kind="binary") for name in ("sex", "race")]
    covariates += [
        Covariate(name=name, values=nhefs[name], kind="categorical", labels=labels) for name, labels in SCALES.items()
    ]
    return balance_table(covariates, propensity.index, LABELS, weights=exposure_weights(propensity).values)


def test_balance(r: dict[str, Any], nhefs: dict[str, FloatArray]) -> None:
    table = balance_of(nhefs)
    ours = {row.covariate if not row.level else f"factor({row.covariate})_{row.level}": row for row in table.rows}
    for row in r["smd"]:
        mine = ours[row["term"]]
        np.testing.assert_allclose(mine.standardised, row["unadj"], rtol=1e-8, err_msg=row["term"])
        # cobalt weights by WeightIt's scores, which stop at glm's default tolerance
        np.testing.assert_allclose(mine.weighted_standardised, row["adj"], rtol=1e-7, atol=1e-9, err_msg=row["term"])
    assert list(table.size) == [r["ess"]["Control"][0], r["ess"]["Treated"][0]]
    np.testing.assert_allclose(table.effective_size, [r["ess"]["Control"][1], r["ess"]["Treated"][1]], rtol=1e-8)


def test_standardised_differences(folder: Path, nhefs: dict[str, FloatArray]) -> None:
    known = json.loads((folder / "out" / "misc.json").read_text())["smd_nhefs_by_qsmk"]
    ours = {row.covariate: row.standardised for row in balance_of(nhefs).rows if not row.level}
    np.testing.assert_allclose([ours[name] for name in known], list(known.values()), rtol=1e-10)


def test_matching(r: dict[str, Any], nhefs: dict[str, FloatArray]) -> None:
    """MatchIt 4.5.1 compares whole parts of the two distances, so it takes the nearest score BELOW where there is one.

    Its numbers are reproduced from pairs made by that rule; ours are nearer on the whole.
    """
    propensity = propensity_of(nhefs)
    pair, apart = nearest_below(propensity)
    made = nearest_pairs(propensity)
    assert int(made.rows.sum()) == int((pair >= 0).sum()) == r["match_nn"]["n"]
    assert made.distance.sum() < apart
    assert_pairs(r["match_nn"], nhefs, pair)


def nearest_below(propensity: Propensity) -> tuple[npt.NDArray[np.intp], float]:
    e, free = propensity.scores[:, 1], propensity.index == 0
    pair, apart = np.full(len(e), -1, dtype=np.intp), 0.0
    treated = np.flatnonzero(propensity.index == 1)
    for number, person in enumerate(treated[np.argsort(-e[treated], kind="stable")]):
        gap = np.where(free, e[person] - e, np.inf)
        below = np.where(gap >= 0, gap, np.inf)
        chosen = int(np.argmin(below if np.isfinite(below).any() else np.abs(gap)))
        pair[[person, chosen]], free[chosen] = number, False
        apart += abs(e[person] - e[chosen])
    return pair, apart


def assert_pairs(known: dict[str, Any], nhefs: dict[str, FloatArray], pair: npt.NDArray[np.intp]) -> None:
    rows = pair >= 0
    some = {name: values[rows] for name, values in nhefs.items()}
    fit = fit_model("modified_poisson", build_design(some, [Linear("qsmk")], len(some["qsmk"])), some["death"])
    check(known["HC0"], fit.coefficients, np.sqrt(np.diag(covariance(fit, "HC0"))))
    clustered = covariance(fit, "cluster", cluster=pair[rows].astype(float))
    check(known["cluster"], fit.coefficients, np.sqrt(np.diag(clustered)))
