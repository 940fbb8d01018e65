"""Risks at a horizon against R (horizon_reference.R): survfit (Kaplan-Meier, Aalen-Johansen), coxph, predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from walkrisk.estimates.horizon import HorizonRisks, observed_risks, risk_limits, standardised_risks
from walkrisk.estimates.risk_influence import risk_covariance
from walkrisk.models.covariance import covariance
from walkrisk.models.cox import fit_cox
from walkrisk.models.design import Design, Linear, Term, build_design, factor
from walkrisk.models.survival import cox_risks

HERE = Path(__file__).resolve().parent
FloatArray = npt.NDArray[np.float64]
Columns = dict[str, FloatArray]
LABELS = ("1", "2", "3")
HORIZONS = (3.0, 6.0, 10.0)


@pytest.fixture(scope="module")
def data() -> Columns:
    table = pd.read_csv(HERE / "horizon_reference_data.csv")
    return {name: table[name].to_numpy(dtype=np.float64) for name in table.columns}


@pytest.fixture(scope="module")
def r() -> pd.DataFrame:
    return pd.read_csv(HERE / "horizon_reference.csv").set_index(["what", "level"]).sort_index()


def observed(
    data: Columns, event: FloatArray, horizon: float, *, cause: int = 1, sampling: FloatArray | None = None
) -> HorizonRisks:
    levels = data["g"].astype(np.intp) - 1
    return observed_risks(data["time"], event, levels, LABELS, horizon=horizon, cause=cause, sampling=sampling)


def check(r: pd.DataFrame, what: str, result: HorizonRisks, v: FloatArray) -> FloatArray:
    """Holds risks and standard errors to R's where it has them; gives its rows back, NaN where it has none."""
    known = r.reindex([(what, k) for k in (1, 2, 3)])
    have = known["estimate"].notna().to_numpy()
    assert have[:2].all()
    np.testing.assert_allclose(result.risks[have], known["estimate"][have], rtol=1e-8)
    np.testing.assert_allclose(np.sqrt(np.diag(v))[have], known["std_error"][have], rtol=1e-6)
    return known.to_numpy()


@pytest.mark.parametrize("horizon", HORIZONS)
def test_kaplan_meier(data: Columns, r: pd.DataFrame, horizon: float) -> None:
    event = (data["cause"] > 0).astype(float)
    plain = observed(data, event, horizon)
    v = risk_covariance(plain.influence)
    known = check(r, f"km_{horizon:g}", plain, v)
    low, high = risk_limits(plain.risks, np.sqrt(np.diag(v)))
    have = ~np.isnan(known[:, 2])
    np.testing.assert_allclose(low[have], known[have, 2], rtol=1e-6)
    np.testing.assert_allclose(high[have], known[have, 3], rtol=1e-6)
    weighted = observed(data, event, horizon, sampling=data["w"])
    check(r, f"km_weighted_{horizon:g}", weighted, risk_covariance(weighted.influence))
    clusters = 60
    check(
        r,
        f"km_cluster_{horizon:g}",
        plain,
        risk_covariance(plain.influence, "cluster", cluster=data["cluster"]) * (clusters - 1) / clusters,
    )


@pytest.mark.parametrize("horizon", HORIZONS)
def test_aalen_johansen(data: Columns, r: pd.DataFrame, horizon: float) -> None:
    for cause in (1, 2):
        result = observed(data, data["cause"], horizon, cause=cause)
        check(r, f"aj_{cause}_{horizon:g}", result, risk_covariance(result.influence))
    weighted = observed(data, data["cause"], horizon, sampling=data["w"])
    check(r, f"aj_weighted_1_{horizon:g}", weighted, risk_covariance(weighted.influence))


def cox_designs(data: Columns) -> tuple[Design, list[Design], list[Design]]:
    """The fitted design; everyone with each level; and one person with x = 0.5, z = 1 (repeated) with each level."""
    terms: list[Term] = [factor("g", data["g"]), Linear("x"), Linear("z")]
    n = len(data["g"])
    everyone = [build_design({**data, "g": np.full(n, k)}, terms, n) for k in (1.0, 2.0, 3.0)]
    single = [
        build_design({"g": np.full(n, k), "x": np.full(n, 0.5), "z": np.ones(n)}, terms, n) for k in (1.0, 2.0, 3.0)
    ]
    return build_design(data, terms, n), everyone, single


@pytest.mark.parametrize("horizon", HORIZONS)
def test_cox(data: Columns, r: pd.DataFrame, horizon: float) -> None:
    design, everyone, single = cox_designs(data)
    time, event = data["time"], (data["cause"] == 1).astype(float)
    fit = fit_cox(design, time, event)
    one = cox_risks(fit, time, event, single, horizon)
    known = r.loc[f"cox_{horizon:g}"]
    np.testing.assert_allclose(one.risks, known["estimate"], rtol=1e-8)
    np.testing.assert_allclose(np.sqrt(np.diag(one.model_covariance)), known["std_error"], rtol=1e-6)
    for name, weights in (("cox_mean", None), ("cox_weighted_mean", data["w"])):
        made = fit_cox(design, time, event, weights=weights)
        result = standardised_risks(
            made, time, event, data["g"].astype(np.intp) - 1, LABELS, everyone, horizon=horizon, weights=weights
        )
        np.testing.assert_allclose(result.risks, r.loc[f"{name}_{horizon:g}"]["estimate"], rtol=1e-8)


def test_cox_with_a_level_without_events(data: Columns, r: pd.DataFrame) -> None:
    design, *_ = cox_designs(data)
    event = ((data["cause"] == 1) & (data["g"] != 3)).astype(float)
    fit = fit_cox(design, data["time"], event)
    assert fit.converged
    assert fit.n == len(event)
    assert not fit.estimated[2]
    kept = fit.estimated
    known = r.loc["cox_without_events"]
    np.testing.assert_allclose(fit.coefficients[kept], known["estimate"], rtol=1e-8)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance(fit, "model"))), known["std_error"], rtol=1e-6)
    assert any("g 3" in text and "no hazard ratio" in text for text in fit.warnings)
