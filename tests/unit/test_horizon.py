"""Risks at a horizon by level: limits, weights, clusters, contrasts, coverage, and levels that have none."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.estimates.horizon import HorizonRisks, observed_risks, risk_limits, standardised_risks
from walkrisk.estimates.risk_influence import level_contrasts, risk_covariance
from walkrisk.estimates.weighting import exposure_weights
from walkrisk.models.cox import fit_cox
from walkrisk.models.design import Factor, Linear, Term, build_design
from walkrisk.models.propensity import fit_propensity

FloatArray = npt.NDArray[np.float64]
TWO = Factor("a", (0.0, 1.0), ("no", "yes"))
HORIZON = 2.0


def sample(n: int, seed: int) -> dict[str, FloatArray]:
    """Exponential times of rate 0.2 exp(0.7 a + 0.8 c), c confounding a, lost at random between 1 and 5."""
    rng = np.random.default_rng(seed)
    c = (rng.random(n) < 0.5).astype(float)
    a = (rng.random(n) < np.where(c == 1, 0.7, 0.3)).astype(float)
    t, lost = rng.exponential(1 / (0.2 * np.exp(0.7 * a + 0.8 * c))), rng.uniform(1, 5, n)
    return {"c": c, "a": a, "time": np.minimum(t, lost), "event": (t <= lost).astype(float)}


def true_risks() -> FloatArray:
    return np.array([np.mean([1 - np.exp(-HORIZON * 0.2 * np.exp(0.7 * a + 0.8 * c)) for c in (0, 1)]) for a in (0, 1)])


def by_weighting(data: dict[str, FloatArray], s: FloatArray | None = None) -> HorizonRisks:
    n = len(data["c"])
    p = fit_propensity(build_design(data, [Linear("c")], n), data["a"], TWO, weights=s)
    return observed_risks(
        data["time"], data["event"], p.index, TWO.labels, horizon=HORIZON, weights=exposure_weights(p), sampling=s
    )


def by_cox(data: dict[str, FloatArray]) -> HorizonRisks:
    n, terms = len(data["c"]), list[Term]([TWO, Linear("c")])
    fit = fit_cox(build_design(data, terms, n), data["time"], data["event"])
    designs = [build_design({**data, "a": np.full(n, k)}, terms, n) for k in (0.0, 1.0)]
    index = data["a"].astype(np.intp)
    return standardised_risks(fit, data["time"], data["event"], index, TWO.labels, designs, horizon=HORIZON)


def test_weighted_influence_is_the_derivative_by_a_persons_weight() -> None:
    data, rows = sample(150, 2), []
    for i in range(15):
        up, down = np.ones(150), np.ones(150)
        up[i] += 1e-4
        down[i] -= 1e-4
        rows.append((by_weighting(data, up).risks - by_weighting(data, down).risks) / 2e-4)
    np.testing.assert_allclose(by_weighting(data).influence[:15], rows, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(("method", "repeats"), [("weighting", 150), ("cox", 40)])
def test_truth_is_found_and_the_standard_error_is_right(method: str, repeats: int) -> None:
    found, errors = [], []
    for seed in range(repeats):
        data = sample(500, 100 + seed)
        made = by_weighting(data) if method == "weighting" else by_cox(data)
        c = level_contrasts(made.risks, risk_covariance(made.influence))
        found.append(c.log_rr[1])
        errors.append(c.log_rr_se[1])
    spread = np.std(found, ddof=1)
    truth = true_risks()
    assert abs(np.mean(found) - np.log(truth[1] / truth[0])) < 4 * spread / np.sqrt(repeats)
    np.testing.assert_allclose(np.mean(errors), spread, rtol=4 / np.sqrt(2 * repeats))


def test_counts_method_and_clusters() -> None:
    data = sample(400, 1)
    index = data["a"].astype(np.intp)
    made = observed_risks(data["time"], data["event"], index, TWO.labels, horizon=HORIZON)
    by = data["time"] <= HORIZON
    assert made.method == "kaplan_meier"
    assert list(made.events) == [int(((index == k) & by & (data["event"] == 1)).sum()) for k in (0, 1)]
    assert list(made.at_risk) == [int(((index == k) & ~by).sum()) for k in (0, 1)]
    assert risk_covariance(made.influence)[0, 1] == 0  # other people
    alone = risk_covariance(made.influence, "cluster", cluster=np.arange(400.0))
    np.testing.assert_allclose(alone, risk_covariance(made.influence) * 400 / 399)
    competing = np.where(np.arange(400) % 3 == 0, 2 * data["event"], data["event"])
    assert observed_risks(data["time"], competing, index, TWO.labels, horizon=HORIZON).method == "aalen_johansen"
    cox = by_cox(data)
    assert list(cox.events) == list(made.events)
    assert list(cox.at_risk) == list(made.at_risk)


def test_limits_stay_within_0_to_1_and_are_symmetric_in_log_log() -> None:
    low, high = risk_limits(np.array([0.02, 0.97]), np.array([0.015, 0.02]))
    assert ((low > 0) & (high < 1)).all()
    centre = np.log(-np.log1p(-np.array([0.02, 0.97])))
    np.testing.assert_allclose(np.log(-np.log1p(-low)) + np.log(-np.log1p(-high)), 2 * centre, rtol=1e-10)
    low, high = risk_limits(np.array([0.0, 1.0, np.nan]), np.array([0.0, 0.0, 0.1]))
    assert np.isnan(low).all()
    assert np.isnan(high).all()


def test_levels_without_a_risk_are_said() -> None:
    time = np.array([1.0, 2, 3, 4, 1, 2, 3, 3, 1, 1, 1, 1, 5, 5])
    event = np.array([1.0, 0, 1, 0, 0, 0, 1, 0, 1, 1, 1, 1, 0, 0])
    index = np.array([0] * 4 + [1] * 4 + [2] * 4 + [3] * 2)
    made = observed_risks(time, event, index, ("a", "b", "c", "d"), horizon=3.5)
    v = risk_covariance(made.influence)
    c = level_contrasts(made.risks, v)
    assert np.isnan(made.risks[1])
    assert made.risks[2] == pytest.approx(1)
    assert made.risks[3] == 0
    assert np.isfinite(v[0, 0])
    assert np.isnan(np.diag(v)[1:]).all()
    assert np.isnan(c.log_rr_se[1:]).all()
    assert len(made.warnings) == 3
    assert "Nobody of b was followed" in made.warnings[0]
    with pytest.raises(ValueError, match="Nobody has e"):
        observed_risks(time, event, index, ("a", "b", "c", "d", "e"), horizon=3.5)
