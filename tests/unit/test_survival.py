"""Risks at a horizon in one group and by a Cox model: by hand, against lifelines, by brute force."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.models.cox import fit_cox
from walkrisk.models.design import Design, Factor, Linear, Term, build_design, factor
from walkrisk.models.survival import baseline_hazard, cox_risks, group_risk, tied_times

FloatArray = npt.NDArray[np.float64]


def sample(n: int = 120, seed: int = 4) -> dict[str, FloatArray]:
    rng = np.random.default_rng(seed)
    g, x = rng.integers(1, 4, n).astype(float), rng.normal(size=n)
    time = np.ceil(4 * rng.exponential(2 / np.exp(0.4 * (g == 2) + 0.3 * x))) / 4
    cause = np.where(time > 5, 0, rng.choice([0.0, 1, 2], n, p=[0.2, 0.5, 0.3]))
    return {"g": g, "x": x, "time": np.minimum(time, 5.0), "cause": cause}


def derivatives(estimate: Callable[[FloatArray], FloatArray], n: int, people: range) -> FloatArray:
    rows = []
    for i in people:
        up, down = np.ones(n), np.ones(n)
        up[i] += 1e-4
        down[i] -= 1e-4
        rows.append((np.asarray(estimate(up)) - np.asarray(estimate(down))) / 2e-4)
    return np.array(rows)


def test_six_people_by_hand() -> None:
    """Events at 1 (cause 1), 2 (cause 2 and 1, tied), one lost at 2 (still at risk then), one lost at 3, event at 4.

    S: 5/6, 5/6 x 3/5 = 1/2, then 0 at 4 (the only one left). F1(3) = 1/6 + 5/6 x 1/5 = 1/3, F2(3) = 1/6.
    """
    time, cause = np.array([1.0, 2, 2, 2, 3, 4]), np.array([1.0, 2, 1, 0, 0, 1])
    km = group_risk(time, (cause > 0).astype(float), 3.0)
    assert km.risk == pytest.approx(1 / 2)
    assert (km.events, km.competing, km.at_risk) == (3, 0, 2)
    greenwood = (1 / 2) ** 2 * (1 / (6 * 5) + 2 / (5 * 3))
    assert (km.influence @ km.influence) == pytest.approx(greenwood)
    one, two = group_risk(time, cause, 3.0), group_risk(time, cause, 3.0, cause=2)
    assert one.risk == pytest.approx(1 / 3)
    assert two.risk == pytest.approx(1 / 6)
    assert (one.events, one.competing) == (2, 1)
    last = group_risk(time, (cause > 0).astype(float), 4.0)
    assert last.risk == pytest.approx(1.0)
    np.testing.assert_allclose(last.influence, 0, atol=1e-12)
    assert group_risk(time, (cause > 0).astype(float), 9.0).determined  # everyone had it: nothing is left to learn


def test_without_loss_risks_are_shares() -> None:
    data = sample()
    cause = np.where(data["time"] < 3, np.maximum(data["cause"], 1), 0)
    for k in (1, 2):
        made, share = group_risk(data["time"], cause, 2.5, cause=k), (cause == k)[data["time"] <= 2.5].sum() / 120
        assert made.risk == pytest.approx(share)
        assert made.influence @ made.influence == pytest.approx(share * (1 - share) / 120)


def test_kaplan_meier_as_lifelines() -> None:
    from lifelines import KaplanMeierFitter

    data = sample()
    event = (data["cause"] > 0).astype(float)
    theirs = KaplanMeierFitter().fit(data["time"], event)
    for horizon in (0.5, 1.0, 2.3):
        ours = group_risk(data["time"], event, horizon)
        np.testing.assert_allclose(1 - ours.risk, theirs.predict(horizon), rtol=1e-10)


def test_aalen_johansen_as_lifelines_where_nothing_is_tied_and_the_same_each_time_where_it_is() -> None:
    from lifelines import AalenJohansenFitter

    data = sample()
    time = data["time"] + 1e-3 * np.random.default_rng(1).permutation(120)
    theirs = AalenJohansenFitter(calculate_variance=False).fit(time, data["cause"], event_of_interest=1)
    density = theirs.cumulative_density_
    expected = density[density.index <= 2.0].iloc[-1, 0]
    np.testing.assert_allclose(group_risk(time, data["cause"], 2.0).risk, expected, rtol=1e-10)
    order = np.random.default_rng(2).permutation(120)
    tied, again = (group_risk(data["time"][o], data["cause"][o], 2.0).risk for o in (np.arange(120), order))
    assert tied == pytest.approx(again, rel=1e-14)


@pytest.mark.parametrize("horizon", [1.0, 3.0, 4.9])
def test_influence_is_the_derivative_by_a_persons_weight(horizon: float) -> None:
    data = sample()
    event = (data["cause"] > 0).astype(float)

    def both(s: FloatArray) -> FloatArray:
        km = group_risk(data["time"], event, horizon, weights=s).risk
        return np.array([km, group_risk(data["time"], data["cause"], horizon, weights=s, cause=2).risk])

    ours = [group_risk(data["time"], event, horizon), group_risk(data["time"], data["cause"], horizon, cause=2)]
    expected = derivatives(both, 120, range(30))
    np.testing.assert_allclose(np.column_stack([g.influence for g in ours])[:30], expected, rtol=1e-5, atol=1e-10)


def test_greenwood_is_the_sum_of_squares() -> None:
    data = sample()
    time, event = data["time"], (data["cause"] > 0).astype(float)
    made = group_risk(time, event, 2.0)
    terms = [((time == t) & (event == 1)).sum() for t in np.unique(time[time <= 2])]
    at_risk = [(time >= t).sum() for t in np.unique(time[time <= 2])]
    greenwood = (1 - made.risk) ** 2 * sum(d / (r * (r - d)) for d, r in zip(terms, at_risk, strict=True))
    np.testing.assert_allclose(made.influence @ made.influence, greenwood, rtol=1e-12)


def test_people_of_weight_zero_are_nobody() -> None:
    data = sample()
    w = np.where(np.arange(120) < 40, 0.0, 1.0)
    made, without = (
        group_risk(data["time"], data["cause"], 2.0, weights=w),
        group_risk(data["time"][40:], data["cause"][40:], 2.0),
    )
    assert made.risk == pytest.approx(without.risk)
    np.testing.assert_allclose(made.influence[40:], without.influence)
    assert not made.influence[:40].any()
    assert (made.events, made.competing, made.at_risk) == (without.events, without.competing, without.at_risk)


def test_beyond_follow_up_there_is_no_risk() -> None:
    made = group_risk(np.array([1.0, 2, 3]), np.array([1.0, 0, 0]), 4.0)
    assert not made.determined
    assert np.isnan(made.risk)
    assert np.isnan(made.influence).all()


def test_times_apart_by_rounding_are_tied() -> None:
    time = np.array([0.3, 0.1 + 0.2, 0.4, 3.0])
    np.testing.assert_array_equal(tied_times(time), [0.3, 0.3, 0.4, 3.0])
    event = np.array([1.0, 0, 1, 0])
    made = [group_risk(t, event, 0.35).risk for t in (time, np.array([0.1 + 0.2, 0.3, 0.4, 3.0]))]
    assert made == [0.25, 0.25]


@pytest.mark.parametrize(
    ("time", "event", "horizon", "weights", "sentence"),
    [
        ([1.0, -1.0], [1.0, 0.0], 1.0, None, "not negative"),
        ([1.0, np.nan], [1.0, 0.0], 1.0, None, "finite"),
        ([1.0, 2.0], [1.0, 0.5], 1.0, None, "whole number"),
        ([1.0, 2.0], [1.0, np.nan], 1.0, None, "whole number"),
        ([1.0, 2.0], [1.0, 0.0], 0.0, None, "above 0"),
        ([1.0, 2.0], [1.0, 0.0], np.inf, None, "above 0"),
        ([1.0, 2.0], [1.0, 0.0], 1.0, [0.0, 0.0], "not all 0"),
        ([1.0, 2.0], [1.0, 0.0], 1.0, [1.0, -1.0], "not negative"),
    ],
)
def test_misuse(
    time: list[float], event: list[float], horizon: float, weights: list[float] | None, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        group_risk(np.array(time), np.array(event), horizon, weights=None if weights is None else np.array(weights))


def designs_of(data: dict[str, FloatArray]) -> tuple[Design, list[Design]]:
    terms: list[Term] = [factor("g", data["g"]), Linear("x")]
    n = len(data["g"])
    return build_design(data, terms, n), [build_design({**data, "g": np.full(n, k)}, terms, n) for k in (1.0, 2.0, 3.0)]


def test_cox_influence_is_the_derivative_by_a_persons_weight() -> None:
    """Coefficients, baseline hazard and the mean over people all move with the weight; ties are Efron's."""
    data = sample(80)
    design, designs = designs_of(data)
    event = (data["cause"] == 1).astype(float)

    def risks(s: FloatArray) -> FloatArray:
        fit = fit_cox(design, data["time"], event, weights=s)
        return cox_risks(fit, data["time"], event, designs, 2.0, weights=s).risks

    fit = fit_cox(design, data["time"], event)
    made = cox_risks(fit, data["time"], event, designs, 2.0)
    np.testing.assert_allclose(made.influence[:8], derivatives(risks, 80, range(8)), rtol=1e-4, atol=1e-8)
    twice = np.full(80, 2.0)
    again = cox_risks(
        fit_cox(design, data["time"], event, weights=twice), data["time"], event, designs, 2.0, weights=twice
    )
    np.testing.assert_allclose(again.risks, made.risks, rtol=1e-9)
    np.testing.assert_allclose(again.influence, made.influence, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(again.model_covariance, made.model_covariance, rtol=1e-6)
    robust = np.sqrt(np.diag(made.influence.T @ made.influence))
    np.testing.assert_allclose(robust, np.sqrt(np.diag(made.model_covariance)), rtol=0.3)


def test_baseline_hazard_by_hand() -> None:
    """One binary covariate without effect on anything: hazards add up as Nelson-Aalen's, with Efron's ties."""
    time, event = np.array([1.0, 1, 2, 3, 1, 1, 2, 3]), np.array([1.0, 1, 1, 0, 1, 1, 1, 0])
    x = np.repeat([0.0, 1.0], 4)
    fit = fit_cox(build_design({"x": x}, [Linear("x")], 8), time, event)
    np.testing.assert_allclose(fit.coefficients[1], 0, atol=1e-12)
    base = baseline_hazard(fit, time, event, 2.0)
    np.testing.assert_allclose(base.value, 1 / 8 + 1 / 7 + 1 / 6 + 1 / 5 + 1 / 4 + 1 / 3)
    np.testing.assert_allclose(base.variance, sum(1 / k**2 for k in range(3, 9)))


def test_a_level_without_events_has_risk_0_and_leaves_the_others_alone() -> None:
    data = sample()
    data["cause"][data["g"] == 2] = 0
    design, designs = designs_of(data)
    event = (data["cause"] == 1).astype(float)
    fit = fit_cox(design, data["time"], event)
    assert fit.converged
    assert not fit.estimable[1]
    made = cox_risks(fit, data["time"], event, designs, 2.0)
    assert made.risks[1] == 0
    kept = data["g"] != 2
    some = {name: values[kept] for name, values in data.items()}
    terms: list[Term] = [Factor("g", (1.0, 3.0), ("1", "3")), Linear("x")]
    n = int(kept.sum())
    without = fit_cox(build_design(some, terms, n), some["time"], event[kept])
    np.testing.assert_allclose(fit.coefficients[fit.estimated], without.coefficients[1:], rtol=1e-8)
    population = kept.astype(float)  # averaged over the same people, the risks are the same too
    ours = cox_risks(fit, data["time"], event, designs, 2.0, population=population).risks
    replayed = [build_design({**some, "g": np.full(n, k)}, terms, n) for k in (1.0, 3.0)]
    np.testing.assert_allclose(
        ours[[0, 2]], cox_risks(without, some["time"], event[kept], replayed, 2.0).risks, rtol=1e-8
    )


def test_cox_refuses() -> None:
    data = sample()
    design, designs = designs_of(data)
    event = (data["cause"] == 1).astype(float)
    fit = fit_cox(design, data["time"], event)
    with pytest.raises(ValueError, match="Nobody was followed"):
        cox_risks(fit, data["time"], event, designs, 50.0)
    with pytest.raises(ValueError, match="Nobody is in the population"):
        cox_risks(fit, data["time"], event, designs, 2.0, population=np.zeros(120))
    alone = build_design({"x": data["x"], "z": data["x"] * 2}, [Linear("x"), Linear("z")], 120)
    other = build_design({"x": data["x"], "z": data["x"] + 1}, [Linear("x"), Linear("z")], 120)
    fit = fit_cox(alone, data["time"], event)
    assert cox_risks(fit, data["time"], event, [alone], 2.0).risks[0] > 0
    with pytest.raises(ValueError, match="does not determine"):
        cox_risks(fit, data["time"], event, [other], 2.0)
    with pytest.raises(ValueError, match="Cox model that converged"):
        cox_risks(fit_cox(design, data["time"], 0 * event), data["time"], 0 * event, designs, 2.0)
