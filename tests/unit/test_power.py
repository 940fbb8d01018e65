"""Power by simulation on a design at hand: against the closed form, with Monte Carlo error."""

from __future__ import annotations

import numpy as np
import pytest

from walkrisk.models.covariance import covariance
from walkrisk.models.design import Linear, build_design, factor
from walkrisk.models.fit import fit_model
from walkrisk.sensitivity.power import (
    DesignAtHand,
    closed_minimal,
    closed_power,
    expected_error,
    fitted_contrast,
    minimal_ratio,
    power_curve,
    ratios_around,
    simulate,
)

Z = 1.959963984540054


def at_hand(n: int = 1200, *, risk: float = 0.25, weighted: bool = False) -> DesignAtHand:
    rng = np.random.default_rng(4)
    columns = {"a": rng.integers(1, 5, n).astype(float), "z": rng.normal(size=n)}
    design = build_design(columns, [factor("a", columns["a"]), Linear("z")], n)
    weights = rng.uniform(0.5, 2.0, n) if weighted else np.ones(n)
    pattern = np.array([0.0, 1 / 3, 2 / 3, 1.0, 0.0])
    return DesignAtHand(design.matrix, risk * np.exp(0.15 * columns["z"]), pattern, 3, weights)


@pytest.mark.parametrize("weighted", [False, True])
def test_every_simulated_study_is_fitted_as_a_single_one(weighted: bool) -> None:
    design = at_hand(weighted=weighted)
    y = (np.random.default_rng(1).random((3, 1200)) < design.risks(-0.3)).astype(float)
    estimate, error = fitted_contrast(design, y)
    columns = {"a": 1 + design.x[:, 1:4] @ np.array([1.0, 2.0, 3.0]), "z": design.x[:, 4]}
    made = build_design(columns, [factor("a", columns["a"]), Linear("z")], 1200)
    for b in range(3):
        fit = fit_model("modified_poisson", made, y[b], weights=design.weights)
        assert estimate[b] == pytest.approx(fit.coefficients[3], abs=1e-10)
        assert error[b] == pytest.approx(np.sqrt(covariance(fit, "HC0")[3, 3]), rel=1e-9)


def test_a_study_without_a_maximum_has_detected_nothing() -> None:
    design = at_hand(60, risk=0.02)
    found = simulate(design, 0.0, 100, np.random.default_rng(1))
    assert np.isnan(found.log_ratio).any()
    assert not found.detected(Z)[np.isnan(found.log_ratio)].any()


@pytest.mark.parametrize("weighted", [False, True])
def test_simulated_power_and_width_are_those_of_the_closed_form(weighted: bool) -> None:
    design, ratio = at_hand(weighted=weighted), np.log(0.65)
    found = simulate(design, ratio, 2000, np.random.default_rng(2))
    assert found.above_one == 0
    p = closed_power(design, ratio, Z)
    assert abs(found.detected(Z).mean() - p) < 3.3 * np.sqrt(p * (1 - p) / 2000) + 0.01
    assert np.median(found.std_error) == pytest.approx(expected_error(design, ratio), rel=0.02)
    assert abs(found.log_ratio.mean() - ratio) < 3.3 * found.log_ratio.std() / np.sqrt(2000) + 0.01


def test_without_an_effect_one_in_twenty_detects_one() -> None:
    hits = simulate(at_hand(), 0.0, 2000, np.random.default_rng(3)).detected(Z).mean()
    assert abs(hits - 0.05) < 3.3 * np.sqrt(0.05 * 0.95 / 2000)


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_minimal_ratio_of_the_closed_form_has_the_power_asked_for(sign: int) -> None:
    design = at_hand()
    found = closed_minimal(design, 0.8, Z, sign=sign)
    assert found is not None
    assert np.sign(found) == sign
    assert closed_power(design, found, Z) == pytest.approx(0.8, abs=1e-8)
    ratios = ratios_around(design, Z, sign=sign, powers=(0.2, 0.8))
    assert ratios[1] == pytest.approx(np.exp(found))


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_minimal_ratio_by_simulation_is_within_its_monte_carlo_error(sign: int) -> None:
    design, count = at_hand(), 400
    logs = np.log(np.array(ratios_around(design, Z, sign=sign)))
    hits = np.array(
        [simulate(design, b, count, np.random.default_rng([6, i])).detected(Z).sum() for i, b in enumerate(logs)]
    )
    curve = power_curve(design, logs, hits, np.full(len(logs), count))
    found, closed = minimal_ratio(design, curve, 0.8, sign=sign), closed_minimal(design, 0.8, Z, sign=sign)
    assert found is not None
    assert closed is not None
    assert 0.001 < found.std_error < 0.02
    assert abs(np.log(found.ratio) - closed) < 3.3 * found.std_error + 0.02 * abs(closed)


def test_the_curve_through_exact_shares_is_the_closed_form() -> None:
    design = at_hand()
    logs = np.log(np.array(ratios_around(design, Z, sign=-1, powers=(0.3, 0.5, 0.7, 0.9))))
    trials = np.full(4, 10**9)
    exact = np.array([round(closed_power(design, b, Z) * 10**9) for b in logs])
    curve = power_curve(design, logs, exact, trials)
    np.testing.assert_allclose(curve.coefficients, [-Z, 1.0], atol=2e-3)  # but for the far tail of the test
    found, closed = minimal_ratio(design, curve, 0.9, sign=-1), closed_minimal(design, 0.9, Z, sign=-1)
    assert found is not None
    assert closed is not None
    assert np.log(found.ratio) == pytest.approx(closed, abs=1e-4)


def test_monte_carlo_error_of_the_minimal_ratio_is_its_spread() -> None:
    design, rng = at_hand(), np.random.default_rng(9)
    logs = np.log(np.array(ratios_around(design, Z, sign=-1)))
    truth = np.array([closed_power(design, b, Z) for b in logs])
    trials = np.full(len(logs), 300)
    found = [
        minimal_ratio(design, power_curve(design, logs, rng.binomial(300, truth), trials), 0.8, sign=-1)
        for _ in range(200)
    ]
    spread = np.std([np.log(m.ratio) for m in found if m])
    said = np.mean([m.std_error for m in found if m])
    assert said == pytest.approx(spread, rel=0.2)  # 200 repetitions: 5 % relative error, times four


def test_risks_above_one_are_counted() -> None:
    design = at_hand(risk=0.6)
    assert design.above_one(np.log(1.2)) == int((design.risks(np.log(1.2)) > 1).sum())
    assert simulate(design, np.log(2.5), 2, np.random.default_rng(1)).above_one > 100


def test_a_curve_that_all_or_none_detect_is_refused() -> None:
    design = at_hand()
    with pytest.raises(ValueError, match="nearer or further"):
        power_curve(design, np.array([-2.0]), np.array([50]), np.array([50]))
    with pytest.raises(ValueError, match="at least one"):
        simulate(design, 0.1, 0, np.random.default_rng(1))
