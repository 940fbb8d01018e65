"""Delete-one changes, the jackknife and power against base R and sandwich (influence_jackknife_power.R)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from walkrisk.models.batch import fit_batch
from walkrisk.models.design import Linear, build_design, factor
from walkrisk.models.fit import Fit, fit_model
from walkrisk.sensitivity.influence import cook_distances, one_step_changes, refitted_without
from walkrisk.sensitivity.jackknife import jackknife
from walkrisk.sensitivity.power import DesignAtHand, closed_power, expected_error, simulate

HERE = Path(__file__).resolve().parent
NAMES = ["(Intercept)", "exposure2", "exposure3", "exposure4", "age", "sex"]
KINDS = ("plain", "weighted")


@cache
def data() -> pd.DataFrame:
    return pd.read_csv(HERE / "influence_jackknife_power_data.csv")


@cache
def witness() -> pd.DataFrame:
    return pd.read_csv(HERE / "influence_jackknife_power.csv", dtype={"item": str, "column": str}, na_filter=False)


def said(what: str, column: str = "") -> np.ndarray:
    table = witness()
    found = table[(table["what"] == what) & (table["column"] == column)]
    assert len(found), f"{what} {column} is not in the reference"
    return found["value"].to_numpy(dtype=float)


def weights(kind: str) -> np.ndarray:
    return np.ones(len(data())) if kind == "plain" else data()["weight"].to_numpy(dtype=float)


def fitted(kind: str) -> Fit:
    d = data()
    columns = {n: d[n].to_numpy(dtype=float) for n in ("exposure", "age", "sex")}
    design = build_design(columns, [factor("exposure", columns["exposure"]), Linear("age"), Linear("sex")], len(d))
    return fit_model("modified_poisson", design, d["y"].to_numpy(dtype=float), weights=weights(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_is_that_of_r(kind: str) -> None:
    expected = [said(f"{kind}_coefficient", name)[0] for name in NAMES]
    np.testing.assert_allclose(fitted(kind).coefficients, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_delete_one_changes_equal_refits_in_r(kind: str) -> None:
    fit = fitted(kind)
    one, exact = one_step_changes(fit), refitted_without(fit, np.arange(fit.n))
    for k in (1, 2, 3):
        np.testing.assert_allclose(exact[:, k], said(f"{kind}_exact", NAMES[k]), rtol=0, atol=1e-9)
        np.testing.assert_allclose(one[:, k], said(f"{kind}_one_step", NAMES[k]), rtol=0, atol=1e-9)
        # one Newton step is most of the way: within 8 % of the largest move with 160 people
        assert np.abs(one[:, k] - exact[:, k]).max() < 0.08 * np.abs(exact[:, k]).max()


@pytest.mark.parametrize("kind", KINDS)
def test_cook_distances_equal_those_of_r(kind: str) -> None:
    np.testing.assert_allclose(
        cook_distances(fitted(kind)), said(f"{kind}_cook"), rtol=1e-7, atol=0
    )  # R's weights are one step old


@pytest.mark.parametrize("kind", KINDS)
def test_jackknife_over_areas_equals_a_loop_in_r(kind: str) -> None:
    fit, area = fitted(kind), data()["area"].to_numpy() - 1
    stratum = data()["stratum"].to_numpy() - 1

    def refit(w: np.ndarray) -> np.ndarray:
        assert fit.outcome is not None
        return np.asarray(fit_batch("modified_poisson", fit.x, fit.outcome, w, base=weights(kind)).coefficients)

    plain = jackknife(refit, weights(kind), area)
    strata = jackknife(refit, weights(kind), area, strata=stratum)
    assert plain.lost == 0
    np.testing.assert_array_equal(plain.people, np.bincount(area))
    for k, name in enumerate(NAMES):
        np.testing.assert_allclose(plain.without[:, k], said(f"{kind}_without_area", name), rtol=0, atol=1e-9)
        assert np.sqrt(plain.covariance[k, k]) == pytest.approx(said(f"{kind}_jk1_se", name)[0], rel=1e-9)
        assert np.sqrt(strata.covariance[k, k]) == pytest.approx(said(f"{kind}_jkn_se", name)[0], rel=1e-9)


def two_groups() -> DesignAtHand:
    x = np.column_stack([np.ones(1000), np.repeat([0.0, 1.0], [600, 400])])
    return DesignAtHand(x, np.full(1000, 0.3), np.array([0.0, 1.0]), 1, np.ones(1000))


@pytest.mark.parametrize("ratio", [0.6, 0.7, 0.8, 1.25, 1.5])
def test_power_of_two_groups_equals_the_closed_form_in_r(ratio: float) -> None:
    table = witness()[witness()["item"] == f"{ratio:g}"].set_index("what")["value"].astype(float)
    assert expected_error(two_groups(), np.log(ratio)) == pytest.approx(table["closed_se"], rel=1e-12)
    z = 1.959963984540054
    assert closed_power(two_groups(), np.log(ratio), z) == pytest.approx(table["closed_power"], abs=1e-12)
    # power.prop.test tests a difference with groups of 500 each: near, not the same
    assert closed_power(two_groups(), np.log(ratio), z) == pytest.approx(table["prop_test_power"], abs=0.04)


@pytest.mark.parametrize("ratio", [0.7, 0.8])
def test_simulated_power_equals_that_of_r_to_monte_carlo_error(ratio: float) -> None:
    table = witness()[witness()["item"] == f"{ratio:g}"].set_index("what")["value"].astype(float)
    hits = simulate(two_groups(), np.log(ratio), 1500, np.random.default_rng(1)).detected(1.959963984540054)
    p = float(hits.mean())
    error = np.sqrt(2 * p * (1 - p) / 1500)  # both are simulations of 1,500
    assert abs(p - table["simulated_power"]) < 3.3 * error
