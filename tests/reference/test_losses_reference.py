"""Weights for loss to follow-up and worst cases against R (losses.R: glm, sandwich and stacked equations), and the
weighted models of shared/reference/statistics/out/weights.json.

Estimates agree to 1e-9, standard errors to 1e-7 (those of R's stacked equations have a numerical derivative).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from walkrisk.estimates.weighting import combined, exposure_weights, hajek_risks
from walkrisk.models.design import Design, Factor, Linear, Power, Term, build_design, factor
from walkrisk.models.fit import fit_model
from walkrisk.models.propensity import fit_propensity
from walkrisk.sensitivity.bounds import Assumed, Lost, assumed, log_ratio, prepare, tipping
from walkrisk.sensitivity.loss_weights import FollowUp, follow_up, spread, weighted_fit

HERE = Path(__file__).resolve().parent
FloatArray = npt.NDArray[np.float64]
A = Factor("a", (1.0, 2.0, 3.0), ("1", "2", "3"))
OUTCOME: list[Term] = [A, Linear("x"), Linear("z")]
LOSS: list[Term] = [*OUTCOME, Linear("v")]
COLUMNS = ("(Intercept)", "A2", "A3", "x", "z")


@pytest.fixture(scope="module")
def data() -> dict[str, FloatArray]:
    frame = pd.read_csv(HERE / "losses_data.csv", dtype=np.float64)
    return {name: frame[name].to_numpy() for name in frame}


@pytest.fixture(scope="module")
def r() -> dict[tuple[str, str], dict[str, float]]:
    table = pd.read_csv(HERE / "losses.csv", keep_default_na=False)
    out: dict[tuple[str, str], dict[str, float]] = {}
    for row in table.itertuples(index=False):
        out.setdefault((row.part, row.statistic), {})[row.term] = float(row.value)
    return out


def columns_of(known: dict[str, float]) -> list[float]:
    return [known[name] for name in COLUMNS]


def outcome_design(data: dict[str, FloatArray], rows: npt.NDArray[np.bool_]) -> Design:
    return build_design({name: values[rows] for name, values in data.items()}, OUTCOME, int(rows.sum()))


def weights_of(data: dict[str, FloatArray], part: str) -> FollowUp:
    levels = None if part == "plain" else data["a"].astype(np.intp) - 1
    return follow_up(
        data,
        LOSS,
        data["r"] == 1,
        strata=data["s"] if part == "strata" else None,
        levels=levels,
        truncate={"truncated": (1.0, 99.0), "strata": (2.0, 98.0)}.get(part),
    )


@pytest.mark.parametrize("part", ["plain", "stabilised", "truncated", "strata"])
def test_weights_and_their_spread(data: dict[str, FloatArray], r: dict, part: str) -> None:
    made = weights_of(data, part)
    found = spread(made.weights)
    ours = {"mean": found.mean, "sd": found.std, "min": found.smallest, "max": found.largest, "ess": found.effective}
    ours |= {f"p{p:g}": value for p, value in found.percentiles.items()}
    ours |= {"truncated": found.truncated, "below_0.5": float((made.chance < 0.5).sum())}
    for name, value in ours.items():
        assert value == pytest.approx(r[part, name][""], rel=1e-9), name


@pytest.mark.parametrize("part", ["plain", "stabilised", "truncated", "strata"])
def test_weighted_model_with_weights_known_and_estimated(data: dict[str, FloatArray], r: dict, part: str) -> None:
    rows = data["r"] == 1
    made = weighted_fit(
        "modified_poisson",
        outcome_design(data, rows),
        data["y"][rows],
        weights_of(data, part).weights,
        rows,
        variances=("HC0", "stata", "HC3", "cluster", "model"),
        cluster=data["cl"],
    )
    np.testing.assert_allclose(made.fit.coefficients, columns_of(r[part, "estimate"]), rtol=1e-9)
    for name, statistic, of in (
        ("HC0", "se_known", made.known),
        ("HC3", "se_known_hc3", made.known),
        ("HC0", "se_estimated", made.estimated),
        ("stata", "se_estimated_stata", made.estimated),
        ("cluster", "se_estimated_cluster", made.estimated),
    ):
        se = np.sqrt(np.diag(of[name]))
        np.testing.assert_allclose(se, columns_of(r[part, statistic]), rtol=1e-7, err_msg=f"{name} {statistic}")
    assert made.left_out == ("model",)
    assert not np.allclose(made.known["HC0"], made.estimated["HC0"], rtol=1e-4)


def lost_of(data: dict[str, FloatArray], anchor: str) -> Lost:
    design = outcome_design(data, np.ones(len(data["y"]), dtype=bool))
    levels = data["a"].astype(np.intp) - 1
    return prepare("modified_poisson", design, data["y"], data["r"] == 1, levels, anchor=anchor)  # type: ignore[arg-type]


def check(made: Assumed, r: dict, part: str, *, rtol: float = 1e-7) -> None:
    np.testing.assert_allclose(made.fit.coefficients, columns_of(r[part, "estimate"]), rtol=1e-9, atol=1e-12)
    se = np.sqrt((made.influence**2).sum(axis=0))
    np.testing.assert_allclose(se, columns_of(r[part, "se"]), rtol=rtol)


@pytest.mark.parametrize(
    ("part", "risks"), [("all_cases", (1, 1, 1)), ("no_cases", (0, 0, 0)), ("cases_in_3_only", (0, 0, 1))]
)
def test_worst_cases(data: dict[str, FloatArray], r: dict, part: str, risks: tuple[int, ...]) -> None:
    check(assumed(lost_of(data, "model"), np.ones(3), set_to=np.array(risks, dtype=float)), r, part)


@pytest.mark.parametrize("anchor", ["model", "category"])
@pytest.mark.parametrize(("scale", "k"), [("risk", (1.3, 1.0, 0.7)), ("odds", (2.0, 1.0, 0.4))])
def test_multiplied_risks(data: dict[str, FloatArray], r: dict, anchor: str, scale: str, k: tuple[float, ...]) -> None:
    check(assumed(lost_of(data, anchor), np.array(k), scale=scale), r, f"{scale}_{anchor}")  # type: ignore[arg-type]


def test_without_departure_it_is_the_model_of_those_followed(data: dict[str, FloatArray], r: dict) -> None:
    made = assumed(lost_of(data, "model"), np.ones(3))
    check(made, r, "followed")
    check(made, r, "one_model")
    rows = data["r"] == 1
    fit = fit_model("modified_poisson", outcome_design(data, rows), data["y"][rows])
    v = fit.bread @ fit.scores.T @ fit.scores @ fit.bread
    np.testing.assert_allclose(made.influence.T @ made.influence, v, rtol=1e-9, atol=1e-15)


def test_tipping_point(data: dict[str, FloatArray], r: dict) -> None:
    lost = lost_of(data, "model")
    found = tipping(lambda k: log_ratio(assumed(lost, np.array([1.0, 1.0, k]), scale="odds"), 2)[0], low=0.2, high=40)
    assert found.k == pytest.approx(r["tipping", "k"]["A3"], rel=1e-9)


# ---------------------------------------------------------------- the shared references, on NHEFS


@pytest.fixture(scope="module")
def nhefs(shared: Path) -> tuple[dict, dict[str, FloatArray], list[Term]]:
    place = shared / "reference" / "statistics"
    if not place.is_dir():
        pytest.skip("../shared/reference/statistics is not here")
    table = pd.read_csv(place / "data" / "nhefs.csv")
    data = {name: table[name].to_numpy(dtype=np.float64) for name in table}
    data["gain5"] = (data["wt82_71"] > 5).astype(float)
    squares = [t for n in ("age", "smokeintensity", "smokeyrs", "wt71") for t in (Linear(n), Power(n, 2))]
    factors = [factor(n, data[n]) for n in ("education", "exercise", "active")]
    terms: list[Term] = [Linear("sex"), Linear("race"), *squares, *factors]
    return json.loads((place / "out" / "weights.json").read_text()), data, terms


def test_weighted_model_of_the_shared_reference(nhefs: tuple[dict, dict[str, FloatArray], list[Term]]) -> None:
    known, data, terms = nhefs
    followed = ~np.isnan(data["wt82_71"])
    some = {name: values[followed] for name, values in data.items()}
    outcome = [Linear(n) for n in ("qsmk", "sex", "race", "age", "wt71")]
    design = build_design(some, outcome, int(followed.sum()))
    for levels, parts in ((None, ("HC0", "HC1", "HC3")), (data["qsmk"].astype(np.intp), ("stabilised_HC0",))):
        made = follow_up(data, [Linear("qsmk"), *terms], followed, levels=levels)
        variances = [part.removeprefix("stabilised_") for part in parts]
        fit = weighted_fit("modified_poisson", design, some["gain5"], made.weights, followed, variances=variances)
        for part, variance in zip(parts, variances, strict=True):
            rows = known["ipcw_modpois"][part]
            np.testing.assert_allclose(fit.fit.coefficients, [row["estimate"] for row in rows], rtol=1e-8)
            se = np.sqrt(np.diag(fit.known[variance]))
            np.testing.assert_allclose(se, [row["std_error"] for row in rows], rtol=1e-6)


def test_weights_of_loss_and_exposure_of_the_shared_reference(
    nhefs: tuple[dict, dict[str, FloatArray], list[Term]],
) -> None:
    known, data, terms = nhefs
    exposure = Factor("qsmk", (0.0, 1.0), ("0", "1"))
    propensity = fit_propensity(build_design(data, terms, len(data["qsmk"])), data["qsmk"], exposure)
    made = follow_up(data, [Linear("qsmk"), *terms], ~np.isnan(data["wt82_71"]))
    risks = hajek_risks(
        data["gain5"], propensity.index, ("0", "1"), combined(exposure_weights(propensity), made.weights)
    )
    rows = known["nhefs_gain5_IPTW_IPCW"]["m_estimation"]
    np.testing.assert_allclose(risks.risks, [row["estimate"] for row in rows[:2]], rtol=1e-8)
    se = np.sqrt((risks.influence**2).sum(axis=0))
    np.testing.assert_allclose(se, [row["std_error"] for row in rows[:2]], rtol=1e-6)
