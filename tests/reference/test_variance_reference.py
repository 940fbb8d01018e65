"""Variances, survey designs, estimating equations and bias-reduced fits against R, on public data.

sandwich, clubSandwich, survey, geepack, rqlm and brglm2 made the numbers. Estimates are held to 1e-8 and standard
errors to 1e-6, but for what each package itself left unfinished: rqlm's MBN stands on a fit with glm's loose default
(its own HC0 is 2e-5 off), regTermTest and JKn on svyglm's, and geepack stops at 1e-4 (so does the call below).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from walkrisk.models.covariance import covariance, degrees_of_freedom, survey_design
from walkrisk.models.design import Design, Linear, Term, build_design, factor
from walkrisk.models.fit import Fit, fit_model
from walkrisk.models.gee import gee, jackknife
from walkrisk.models.small_samples import bias_reduced
from walkrisk.models.survey import (
    SurveyDesign,
    jackknife_replicates,
    survey_means,
    survey_proportion,
    wald_test,
)

FloatArray = npt.NDArray[np.float64]
ESTIMATE, STD_ERROR = 1e-8, 1e-6


@pytest.fixture(scope="module")
def statistics(shared: Path) -> Path:
    folder = shared / "reference" / "statistics"
    if not (folder / "out" / "modpois.json").is_file():
        pytest.skip("../shared/reference/statistics is not here: its data and R numbers are kept beside the checkout")
    return folder


def entries(statistics: Path, name: str) -> Any:
    return json.loads((statistics / "out" / f"{name}.json").read_text())


def column(entry: list[dict[str, Any]], name: str) -> FloatArray:
    return np.array([row[name] for row in entry], dtype=float)


def std_errors(matrix: FloatArray) -> FloatArray:
    return np.sqrt(np.diag(matrix))


def model(table: pd.DataFrame, outcome: str, terms: list[str]) -> tuple[Design, FloatArray]:
    """Design and outcome; `c:name` is a factor of the values of a column in their order."""
    columns: dict[str, FloatArray] = {}
    made: list[Term] = []
    for term in terms:
        name = term.removeprefix("c:")
        codes = pd.Categorical(table[name]).codes if term != name else table[name]
        columns[name] = np.asarray(codes, dtype=float)
        made.append(factor(name, columns[name]) if term != name else Linear(name))
    return build_design(columns, made, len(table)), table[outcome].to_numpy(dtype=float)


MODELS: dict[str, tuple[str, str, list[str]]] = {
    "breastcancer_stage_receptor": ("breastcancer.csv", "death", ["c:stage", "c:receptor"]),
    "birthwt_full": ("birthwt.csv", "low", ["age", "lwt", "c:race", "smoke", "ptd", "ht", "ui"]),
    "birthwt_smoke": ("birthwt.csv", "low", ["smoke"]),
    "wcgs_dibpat": ("wcgs_cc.csv", "chd69", ["dibpat0"]),
}


@pytest.mark.parametrize("name", MODELS)
def test_modified_poisson_with_every_variance(statistics: Path, name: str) -> None:
    file, outcome, terms = MODELS[name]
    expected = entries(statistics, "modpois")[name]
    fit = fit_model("modified_poisson", *model(pd.read_csv(statistics / "data" / file), outcome, terms))
    names = {"model": "model_based", "stata": "stata_robust"}
    for variance in ("model", "stata", "HC0", "HC1", "HC2", "HC3", "HC4", "HC4m", "HC5"):
        want = expected[names.get(variance, variance)]
        np.testing.assert_allclose(fit.coefficients, column(want, "estimate"), rtol=ESTIMATE)
        got = std_errors(covariance(fit, variance))
        np.testing.assert_allclose(got, column(want, "std_error"), rtol=STD_ERROR, err_msg=variance)
    for variance in ("HC0", "HC3"):
        want = np.array(expected[f"vcov_{variance}"])
        scale = np.sqrt(np.outer(np.diag(want), np.diag(want)))
        np.testing.assert_allclose(covariance(fit, variance) / scale, want / scale, atol=STD_ERROR)
    df = degrees_of_freedom(fit, "HC1", residual=True)
    assert df[0] == expected["n"] - expected["k"]
    joint = wald_test(fit.coefficients[1:], covariance(fit, "HC0")[1:, 1:])
    assert joint.df == expected["wald_all_HC0"]["df"]
    np.testing.assert_allclose(joint.statistic, expected["wald_all_HC0"]["chi2"], rtol=1e-7)
    np.testing.assert_allclose(joint.p_value, expected["wald_all_HC0"]["p"], rtol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_limits_on_t_with_n_minus_k(statistics: Path, name: str) -> None:
    from scipy.stats import t

    file, outcome, terms = MODELS[name]
    fit = fit_model("modified_poisson", *model(pd.read_csv(statistics / "data" / file), outcome, terms))
    want = entries(statistics, "modpois")[name]["HC1_t"]
    half = t.ppf(0.975, degrees_of_freedom(fit, "HC1", residual=True)) * std_errors(covariance(fit, "HC1"))
    np.testing.assert_allclose(fit.coefficients - half, column(want, "conf_low"), rtol=1e-6)
    np.testing.assert_allclose(fit.coefficients + half, column(want, "conf_high"), rtol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_mbn(statistics: Path, name: str) -> None:
    file, outcome, terms = MODELS[name]
    expected = entries(statistics, "modpois")[name]
    fit = fit_model("modified_poisson", *model(pd.read_csv(statistics / "data" / file), outcome, terms))
    own = column(expected["rqlm_standard"], "std_error")  # rqlm's HC0, of its unfinished fit
    loose = max(STD_ERROR, 1.5 * float(np.max(np.abs(own / column(expected["HC0"], "std_error") - 1))))
    got = std_errors(covariance(fit, "MBN"))
    np.testing.assert_allclose(got, column(expected["rqlm_MBN"], "std_error"), rtol=loose)


def test_mbn_of_a_finished_fit(statistics: Path) -> None:
    """R's glm(epsilon = 1e-14) and sandwich() put into the formula of MBN."""
    file, outcome, terms = MODELS["birthwt_full"]
    fit = fit_model("modified_poisson", *model(pd.read_csv(statistics / "data" / file), outcome, terms))
    want = [0.743990840545, 0.0216858423469, 0.00448377595376, 0.300342750448, 0.253515023546]
    want += [0.23234317109, 0.216165381723, 0.290880755128, 0.268633157023]
    np.testing.assert_allclose(std_errors(covariance(fit, "MBN")), want, rtol=1e-8)


@pytest.mark.parametrize("name", MODELS)
def test_risk_differences_by_least_squares_and_by_poisson(statistics: Path, name: str) -> None:
    file, outcome, terms = MODELS[name]
    design, y = model(pd.read_csv(statistics / "data" / file), outcome, terms)
    expected = entries(statistics, "modpois")[name]
    fit = fit_model("linear", design, y)
    for variance, want in expected["rd_ls"].items():
        np.testing.assert_allclose(fit.coefficients, column(want, "estimate"), rtol=ESTIMATE)
        got = std_errors(covariance(fit, variance))
        np.testing.assert_allclose(got, column(want, "std_error"), rtol=STD_ERROR, err_msg=variance)
    if "rd_poisson_identity_HC0" in expected:
        want = expected["rd_poisson_identity_HC0"]
        identity = fit_model("identity_poisson", design, y)
        np.testing.assert_allclose(identity.coefficients, column(want, "estimate"), rtol=1e-7)
        got = std_errors(covariance(identity, "HC0_expected"))
        np.testing.assert_allclose(got, column(want, "std_error"), rtol=STD_ERROR)


LOG_BINOMIAL = {
    "HC0": [0.359004753047, 0.392491088857, 0.386334736961, 0.197418416504],
    "HC2": [0.362147621518, 0.395879238195, 0.390586537784, 0.20130664199],
    "HC3": [0.36532626771, 0.399304389027, 0.394913021035, 0.205299383927],
    "HC4": [0.362002835926, 0.395624933814, 0.392108949101, 0.20602690257],
    "cluster": [0.323700174287, 0.297668783629, 0.261105956276, 0.224903957505],
}
IDENTITY_POISSON = {
    "HC0": [0.0376564426695, 0.0578406258582, 0.0956928811521, 0.0757286461976],
    "HC2": [0.0379971975309, 0.0583118633548, 0.0974994218776, 0.0769232566133],
    "HC3": [0.0383412256688, 0.058788224179, 0.0993429139567, 0.0781409705258],
    "HC4": [0.0379573384143, 0.0582651762745, 0.0990372752497, 0.0777078335422],
    "cluster": [0.0330529228016, 0.0288288539024, 0.0732367380291, 0.0600290151804],
}


@pytest.mark.parametrize(
    ("method", "want"),
    [("log_binomial", LOG_BINOMIAL), ("identity_poisson", IDENTITY_POISSON)],
    ids=["log", "identity"],
)
def test_links_that_are_not_canonical(statistics: Path, method: str, want: dict[str, list[float]]) -> None:
    """vcovHC and vcovCL of R's glm (epsilon 1e-14) on the breast cancer data; clusters: row number modulo 25."""
    file, outcome, terms = MODELS["breastcancer_stage_receptor"]
    table = pd.read_csv(statistics / "data" / file)
    fit = fit_model(method, *model(table, outcome, terms))
    cluster = np.arange(1, len(table) + 1) % 25
    for variance, se in want.items():
        got = std_errors(covariance(fit, f"{variance}_expected", cluster=cluster))
        np.testing.assert_allclose(got, se, rtol=STD_ERROR, err_msg=variance)


def test_published_intervals_of_modified_poisson(statistics: Path) -> None:
    """Spiegelman & Hertzmark 2005, doi 10.1093/aje/kwi188 (stage III's upper limit is printed 17.5890)."""
    file, outcome, terms = MODELS["breastcancer_stage_receptor"]
    fit = fit_model("modified_poisson", *model(pd.read_csv(statistics / "data" / file), outcome, terms))
    half = 1.96 * std_errors(covariance(fit, "HC0"))
    got = np.exp([fit.coefficients, fit.coefficients - half, fit.coefficients + half])[:, 1:]
    want = [[2.5207, 5.9134, 1.6308], [1.1663, 2.7777, 1.0745], [5.4479, 12.5890, 2.4751]]
    np.testing.assert_allclose(got, want, atol=2e-4)


# ---------------------------------------------------------------- clusters


def ohio(statistics: Path, method: str = "modified_poisson") -> tuple[Fit, Any]:
    table = pd.read_csv(statistics / "data" / "ohio.csv")
    return fit_model(method, *model(table, "resp", ["age", "smoke"])), table["id"].to_numpy()


CLUSTERED = {
    "vcovCL_HC0_cadjustTRUE": "cluster",
    "stata_cluster": "CR1",
    "vcovCL_HC0_cadjustFALSE": "CR0",
    "vcovCL_HC1_cadjustTRUE": "CR1S",
    "vcovCL_HC1_cadjustFALSE": "CR0S",
    **{f"clubSandwich_{kind}": kind for kind in ("CR0", "CR1", "CR1S", "CR2", "CR3")},
}


@pytest.mark.parametrize("key", CLUSTERED)
def test_clusters(statistics: Path, key: str) -> None:
    fit, cluster = ohio(statistics)
    want = entries(statistics, "cluster")["ohio"][key]
    np.testing.assert_allclose(fit.coefficients, column(want, "estimate"), rtol=ESTIMATE)
    got = std_errors(covariance(fit, CLUSTERED[key], cluster=cluster))
    np.testing.assert_allclose(got, column(want, "std_error"), rtol=STD_ERROR)


def test_the_factor_of_clusters_is_named(statistics: Path) -> None:
    """statsmodels' clusters are CR1S, sandwich's default for a glm is CR1, and none is CR0: three numbers."""
    fit, cluster = ohio(statistics)
    for name, se in {"CR1S": 0.14917801, "CR1": 0.14910851, "CR0": 0.14896961, "CR2": 0.14929367}.items():
        assert std_errors(covariance(fit, name, cluster=cluster))[2] == pytest.approx(se, abs=1.2e-8)


def test_satterthwaite(statistics: Path) -> None:
    fit, cluster = ohio(statistics)
    want = entries(statistics, "cluster")["ohio"]["clubSandwich_CR2_satt"]
    got = degrees_of_freedom(fit, "CR2", cluster=cluster)
    np.testing.assert_allclose(got, column(want, "df"), rtol=1e-6)


def test_two_way_clusters(statistics: Path) -> None:
    table = pd.read_csv(statistics / "data" / "wcgs_cc.csv")
    fit = fit_model("modified_poisson", *model(table, "chd69", ["dibpat0", "age0", "sbp0"]))
    labels = np.column_stack([table["id"] % 40, table["id"] % 7])
    expected = entries(statistics, "cluster")["wcgs_twoway"]
    for key, variance, cluster in (
        ("oneway", "cluster", labels[:, 0]),
        ("twoway", "cluster", labels),
        ("twoway_multi0", "cluster_multi0", labels),
    ):
        np.testing.assert_allclose(fit.coefficients, column(expected[key], "estimate"), rtol=ESTIMATE)
        got = std_errors(covariance(fit, variance, cluster=cluster))
        np.testing.assert_allclose(got, column(expected[key], "std_error"), rtol=STD_ERROR, err_msg=key)


@pytest.mark.parametrize("kind", ["independence", "exchangeable", "ar1", "unstructured"])
@pytest.mark.parametrize(("family", "method"), [("poisson", "modified_poisson"), ("binomial", "logistic")])
def test_estimating_equations(statistics: Path, family: str, method: str, kind: Any) -> None:
    table = pd.read_csv(statistics / "data" / "ohio.csv")
    want = entries(statistics, "cluster")["ohio"][f"geepack_{family}_{kind}"]
    design, y = model(table, "resp", ["age", "smoke"])
    same = gee(method, design, y, table["id"].to_numpy(), correlation=kind, tolerance=1e-4)
    settled = gee(method, design, y, table["id"].to_numpy(), correlation=kind)
    for made, rtol in ((same, 1e-9), (settled, 3e-5)):
        np.testing.assert_allclose(made.fit.coefficients, column(want["coef"], "estimate"), rtol=max(rtol, 1e-7))
        np.testing.assert_allclose(std_errors(made.covariance), column(want["coef"], "std_error"), rtol=max(rtol, 1e-7))
        np.testing.assert_allclose(made.alpha, np.atleast_1d(want["alpha"]).astype(float), rtol=rtol)
        np.testing.assert_allclose(made.phi, want["phi"], rtol=rtol)


def test_fully_iterated_jackknife(statistics: Path) -> None:
    table = pd.read_csv(statistics / "data" / "ohio.csv")
    design, y = model(table, "resp", ["age", "smoke"])
    made = gee("modified_poisson", design, y, table["id"].to_numpy(), tolerance=1e-4)
    got = std_errors(jackknife(made, y, table["id"].to_numpy(), tolerance=1e-4))
    want = entries(statistics, "cluster")["ohio"]["geepack_poisson_exch_fij"]
    np.testing.assert_allclose(got, column(want, "std_error"), rtol=STD_ERROR)


# ---------------------------------------------------------------- surveys


class Survey:
    """The health survey: rows with a known outcome, within the design of everyone."""

    def __init__(self, statistics: Path, *, without: tuple[float, float] | None = None, lonely: Any = "fail") -> None:
        table = pd.read_csv(statistics / "data" / "survey_nhanes.csv")
        if without:
            table = table[(table["SDMVSTRA"] != without[0]) | (table["SDMVPSU"] != without[1])]
        table["female"] = (table["RIAGENDR"] == 2).astype(float)
        self.everyone = table
        self.known = table["HI_CHOL"].notna().to_numpy()
        self.table = table[self.known]
        self.lonely = lonely

    @property
    def weights(self) -> FloatArray:
        return self.table["WTMEC2YR"].to_numpy(dtype=float)

    def design(self, inside: Any = True) -> SurveyDesign:
        whole = tuple(self.everyone[c].to_numpy(dtype=float) for c in ("SDMVSTRA", "SDMVPSU"))
        rows = self.table[np.broadcast_to(inside, len(self.table))]
        mine = (rows[c].to_numpy(dtype=float) for c in ("SDMVSTRA", "SDMVPSU"))
        return survey_design(*mine, whole=(whole[0], whole[1]), lonely=self.lonely)

    def fit(self, method: str = "modified_poisson", weights: FloatArray | None = None) -> Fit:
        made = model(self.table, "HI_CHOL", ["c:race", "c:agecat", "female"])
        return fit_model(method, *made, weights=self.weights if weights is None else weights)


@pytest.mark.parametrize(("key", "method"), [("modpois", "modified_poisson"), ("logistic", "logistic")])
def test_survey_models(statistics: Path, key: str, method: str) -> None:
    from scipy.stats import t

    survey, expected = Survey(statistics), entries(statistics, "survey")
    fit = survey.fit(method)
    got = covariance(fit, "survey", design=survey.design())
    want = expected[key]
    np.testing.assert_allclose(fit.coefficients, column(want["z"], "estimate"), rtol=ESTIMATE)
    np.testing.assert_allclose(std_errors(got), column(want["z"], "std_error"), rtol=STD_ERROR)
    np.testing.assert_allclose(got, want["vcov"], rtol=STD_ERROR)
    for limits, residual in (("t_degf", False), ("t_resid", True)):
        df = degrees_of_freedom(fit, "survey", design=survey.design(), residual=residual)
        assert df[0] == (want["df_resid"] if residual else expected["degf"])
        low = fit.coefficients - t.ppf(0.975, df) * std_errors(got)
        np.testing.assert_allclose(low, column(want[limits], "conf_low"), rtol=STD_ERROR)


def test_survey_weights_alone(statistics: Path) -> None:
    survey, expected = Survey(statistics), entries(statistics, "survey")["weights_only"]
    fit, everyone = survey.fit(), len(survey.everyone)
    np.testing.assert_allclose(std_errors(covariance(fit, "HC0")), column(expected["HC0"], "std_error"), rtol=STD_ERROR)
    single = survey_design(
        np.ones(fit.n),
        np.flatnonzero(survey.known).astype(float),
        whole=(np.ones(everyone), np.arange(float(everyone))),
    )
    got = std_errors(covariance(fit, "survey", design=single))
    np.testing.assert_allclose(got, column(expected["svy_indep"], "std_error"), rtol=STD_ERROR)


def test_survey_means_and_proportions(statistics: Path) -> None:
    survey, expected = Survey(statistics), entries(statistics, "survey")
    y, design = survey.table["HI_CHOL"].to_numpy(dtype=float), survey.design()
    whole = survey_means(y, survey.weights, design)
    np.testing.assert_allclose(whole.estimate, expected["overall"]["mean"], rtol=ESTIMATE)
    np.testing.assert_allclose(std_errors(whole.covariance), expected["overall"]["se"], rtol=STD_ERROR)
    np.testing.assert_allclose(whole.design_effect, expected["overall"]["deff"], rtol=STD_ERROR)
    made = survey_proportion(y, survey.weights, design)
    np.testing.assert_allclose([made.conf_low, made.conf_high], expected["cip_logit"]["ci"], rtol=STD_ERROR)
    for row in expected["prevalence_by_age"]:
        part = survey_means(y, survey.weights, design, inside=(survey.table["agecat"] == row["agecat"]).to_numpy())
        np.testing.assert_allclose(part.estimate, row["mean"], rtol=ESTIMATE)
        np.testing.assert_allclose(std_errors(part.covariance), row["se"], rtol=STD_ERROR)


def test_survey_domain_without_some_units(statistics: Path) -> None:
    """svymean(deff = TRUE), degf and svyciprop of race 4 in strata below 83 (R survey 4.1-1)."""
    survey = Survey(statistics)
    y = survey.table["HI_CHOL"].to_numpy(dtype=float)
    inside = ((survey.table["race"] == 4) & (survey.table["SDMVSTRA"] < 83)).to_numpy()
    made = survey_proportion(y, survey.weights, survey.design(), inside=inside)
    assert made.degrees_of_freedom == 7
    np.testing.assert_allclose(
        [made.estimate, made.std_error, made.design_effect, made.conf_low, made.conf_high],
        [0.0912702001012, 0.0483416960106, 4.84640985065, 0.0246877898677, 0.284958289472],
        rtol=STD_ERROR,
    )


def test_survey_model_of_a_domain(statistics: Path) -> None:
    """svyglm of subset(design, female == 1), R survey 4.1-1, epsilon 1e-14."""
    survey = Survey(statistics)
    women = (survey.table["female"] == 1).to_numpy()
    fit = fit_model(
        "modified_poisson",
        *model(survey.table[women], "HI_CHOL", ["c:race", "c:agecat"]),
        weights=survey.weights[women],
    )
    want = [
        0.564461615841,
        0.118979929322,
        0.225000585269,
        0.387356711742,
        0.53325559041,
        0.531815586146,
        0.533337212834,
    ]
    design = survey.design(women)
    np.testing.assert_allclose(std_errors(covariance(fit, "survey", design=design)), want, rtol=STD_ERROR)
    assert design.degrees_of_freedom() == 16


@pytest.mark.parametrize(
    ("lonely", "want"),
    [
        ("adjust", [0.315069534096, 0.0678995276342, 0.137602243819, 0.29858935344, 0.324514142341, 0.346960664095]),
        (
            "certainty",
            [0.314435452753, 0.0675933894795, 0.129888378771, 0.298036210153, 0.321036090897, 0.346048779826],
        ),
    ],
)
def test_lonely_unit(statistics: Path, lonely: str, want: list[float]) -> None:
    """The survey without PSU 2 of stratum 83, options(survey.lonely.psu), R survey 4.1-1."""
    survey = Survey(statistics, without=(83, 2), lonely=lonely)
    got = std_errors(covariance(survey.fit(), "survey", design=survey.design()))
    np.testing.assert_allclose(got[:6], want, rtol=STD_ERROR)
    assert survey.design().degrees_of_freedom() == 15


def test_survey_jackknife(statistics: Path) -> None:
    survey = Survey(statistics)
    made = jackknife_replicates(survey.design(), survey.weights)
    estimates = np.array([survey.fit(weights=w).coefficients for w in made.weights])
    want = column(entries(statistics, "survey")["modpois_JKn"], "std_error")
    np.testing.assert_allclose(std_errors(made.covariance(estimates)), want, rtol=STD_ERROR)


def test_survey_wald_test(statistics: Path) -> None:
    """F of race: 2.97633662979505 of R's finished fit; the file has 2.97609604 of svyglm's loose default."""
    survey = Survey(statistics)
    fit, design = survey.fit(), survey.design()
    v = covariance(fit, "survey", design=design)[1:4, 1:4]
    df = float(degrees_of_freedom(fit, "survey", design=design, residual=True)[0])
    test = wald_test(fit.coefficients[1:4], v, denominator=df)
    np.testing.assert_allclose([test.statistic, test.p_value], [2.97633662979505, 0.0891618847442363], rtol=1e-6)
    loose = entries(statistics, "survey")["wald_race"]
    assert (test.df, test.denominator) == (loose["df"], loose["ddf"])
    np.testing.assert_allclose([test.statistic, test.p_value], [loose["F"], loose["p"]], rtol=2e-4)


# ---------------------------------------------------------------- bias-reduced fits


@pytest.mark.parametrize(
    ("key", "method", "kind"),
    [
        ("brglm2_poisson_AS_mean", "modified_poisson", "mean"),
        ("brglm2_poisson_AS_median", "modified_poisson", "median"),
        ("firth_logistic", "logistic", "mean"),
    ],
)
def test_bias_reduced_fits(statistics: Path, key: str, method: str, kind: Any) -> None:
    file, outcome, terms = MODELS["birthwt_full"]
    design, y = model(pd.read_csv(statistics / "data" / file), outcome, terms)
    fit = bias_reduced(method, design, y, kind=kind)
    want = entries(statistics, "misc")[key]
    assert fit.converged
    np.testing.assert_allclose(fit.coefficients, column(want, "estimate"), rtol=ESTIMATE)
    np.testing.assert_allclose(std_errors(covariance(fit, "model")), column(want, "std_error"), rtol=STD_ERROR)
