"""Weights and weighted risks: by hand, by brute force (moving one person's weight), and by simulation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.estimates.risk_influence import level_contrasts, risk_covariance
from walkrisk.estimates.weighting import (
    Weights,
    combined,
    exposure_weights,
    hajek_risks,
    loss_weights,
    outcome_influence,
    positivity,
    truncated,
    weight_summary,
)
from walkrisk.models.covariance import survey_design
from walkrisk.models.design import Design, Factor, Linear, build_design, factor
from walkrisk.models.fit import fit_model
from walkrisk.models.propensity import Propensity, fit_propensity

FloatArray = npt.NDArray[np.float64]
LABELS = ("low", "mid", "high")
THREE = Factor("dose", (0.0, 1.0, 2.0), LABELS)
TRUTH = np.array([0.2, 0.3, 0.45])


def sample(n: int, seed: int) -> dict[str, FloatArray]:
    """Confounded doses: risks TRUTH times (1 +- 0.5) by a covariate c of probability 1/2, which also moves the dose."""
    rng = np.random.default_rng(seed)
    c = (rng.random(n) < 0.5).astype(float)
    x = rng.normal(size=n)
    p = np.where(c[:, None] == 1, [0.2, 0.3, 0.5], [0.5, 0.3, 0.2])
    dose = (rng.random((n, 1)) > np.cumsum(p, axis=1)).sum(axis=1).astype(float)
    y = (rng.random(n) < TRUTH[dose.astype(int)] * np.where(c == 1, 1.5, 0.5)).astype(float)
    seen = (rng.random(n) < np.where(c == 1, 0.7, 0.9)).astype(float)
    return {"c": c, "x": x, "dose": dose, "y": y, "seen": seen}


def propensity_of(data: dict[str, FloatArray], s: FloatArray | None = None) -> Propensity:
    design = build_design(data, [Linear("c"), Linear("x")], len(data["c"]))
    return fit_propensity(design, data["dose"], THREE, weights=s)


def loss_design(data: dict[str, FloatArray]) -> Design:
    return build_design(data, [factor("dose", data["dose"]), Linear("c"), Linear("x")], len(data["c"]))


def brute_force(estimate: Callable[[FloatArray], FloatArray], n: int, people: range) -> FloatArray:
    """Derivatives of an estimate by the sampling weights of some people, by central differences."""
    rows = []
    for i in people:
        up, down = np.ones(n), np.ones(n)
        up[i] += 1e-4
        down[i] -= 1e-4
        rows.append((estimate(up) - estimate(down)) / 2e-4)
    return np.array(rows)


def test_weights_by_hand() -> None:
    """With a saturated model e is the share in each stratum: 2 of 6 in c = 0, 3 of 4 in c = 1."""
    c = np.array([0.0] * 6 + [1] * 4)
    dose = np.array([1.0, 1, 0, 0, 0, 0, 1, 1, 1, 0])
    two = Factor("dose", (0.0, 1.0), ("no", "yes"))
    p = fit_propensity(build_design({"c": c}, [Linear("c")], 10), dose, two)
    e = np.where(c == 0, 2 / 6, 3 / 4)
    expected = {
        "ATE": np.where(dose == 1, 1 / e, 1 / (1 - e)),
        "ATT": np.where(dose == 1, 1, e / (1 - e)),
        "ATO": np.where(dose == 1, 1 - e, e),
    }
    for estimand, w in expected.items():
        np.testing.assert_allclose(exposure_weights(p, estimand=estimand, target=1).values, w, rtol=1e-9)
    stabilised = exposure_weights(p, stabilised=True)
    np.testing.assert_allclose(stabilised.values, expected["ATE"] * 0.5, rtol=1e-9)
    y = np.array([1.0, 0, 1, 0, 0, 0, 1, 1, 0, 0])
    risks = hajek_risks(y, p.index, ("no", "yes"), exposure_weights(p)).risks
    np.testing.assert_allclose(risks, [0.6 * 1 / 4 + 0.4 * 0, 0.6 * 1 / 2 + 0.4 * 2 / 3], rtol=1e-9)


@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATO"])
@pytest.mark.parametrize("stabilised", [False, True])
def test_influence_is_the_derivative_by_a_persons_weight(estimand: str, stabilised: bool) -> None:
    data = sample(160, 3)
    y = np.where(data["seen"] == 1, data["y"], np.nan)
    seen, index = data["seen"] == 1, data["dose"].astype(np.intp)

    def weights(s: FloatArray) -> Weights:
        own = exposure_weights(propensity_of(data, s), estimand=estimand, target=2, stabilised=stabilised, weights=s)
        return combined(own, loss_weights(loss_design(data), seen, levels=index if stabilised else None, weights=s))

    result = hajek_risks(y, index, LABELS, weights(np.ones(160)))
    moved = brute_force(lambda s: hajek_risks(y, index, LABELS, weights(s), sampling=s).risks, 160, range(12))
    np.testing.assert_allclose(result.influence[:12], moved, rtol=1e-5, atol=1e-9)
    fixed = weights(np.ones(160))
    moved = brute_force(lambda s: hajek_risks(y, index, LABELS, fixed, sampling=s).risks, 160, range(12))
    np.testing.assert_allclose(result.fixed_influence[:12], moved, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(result.influence.sum(axis=0), 0, atol=1e-9)


def test_influence_on_a_weighted_outcome_regression() -> None:
    data = sample(200, 4)
    seen, index = data["seen"] == 1, data["dose"].astype(np.intp)
    some = {name: values[seen] for name, values in data.items()}
    design = build_design(some, [factor("dose", some["dose"]), Linear("x")], int(seen.sum()))

    def coefficients(s: FloatArray) -> FloatArray:
        w = combined(
            exposure_weights(propensity_of(data, s), stabilised=True, weights=s),
            loss_weights(loss_design(data), seen, levels=index, weights=s),
        )
        return fit_model("modified_poisson", design, some["y"], weights=(w.values * s)[seen]).coefficients

    weights = combined(
        exposure_weights(propensity_of(data), stabilised=True), loss_weights(loss_design(data), seen, levels=index)
    )
    fit = fit_model("modified_poisson", design, some["y"], weights=weights.values[seen])
    ours = outcome_influence(fit, weights, seen)
    np.testing.assert_allclose(ours[:12], brute_force(coefficients, 200, range(12)), rtol=1e-4, atol=1e-8)
    with pytest.raises(ValueError, match="other people"):
        outcome_influence(fit, weights, np.ones(200, dtype=bool))


def test_truth_is_found_and_the_standard_error_is_right() -> None:
    """200 samples of 600: weighted log RRs are unbiased, and as spread as their stacked standard errors say."""
    estimates, errors, fixed = [], [], []
    for seed in range(200):
        data = sample(600, 1000 + seed)
        index = data["dose"].astype(np.intp)
        weights = combined(exposure_weights(propensity_of(data)), loss_weights(loss_design(data), data["seen"] == 1))
        result = hajek_risks(data["y"], index, LABELS, weights)
        c = level_contrasts(result.risks, risk_covariance(result.influence))
        estimates.append(c.log_rr[1:])
        errors.append(c.log_rr_se[1:])
        fixed.append(level_contrasts(result.risks, risk_covariance(result.fixed_influence)).log_rr_se[1:])
    spread = np.std(estimates, axis=0, ddof=1)
    assert (np.abs(np.mean(estimates, axis=0) - np.log(TRUTH[1:] / TRUTH[0])) < 4 * spread / np.sqrt(200)).all()
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(errors), axis=0)), spread, rtol=0.12)
    assert (np.mean(fixed, axis=0) > np.mean(errors, axis=0)).all()  # known weights give away precision


def test_truncation_is_said_and_freezes_the_weights_it_cuts() -> None:
    data = sample(300, 8)
    whole = exposure_weights(propensity_of(data))
    cut = truncated(whole, (5, 95))
    low, high = np.percentile(whole.values, [5, 95])
    np.testing.assert_array_equal(cut.values, np.clip(whole.values, low, high))
    assert cut.truncated == 30
    assert cut.limits == (low, high)
    assert "30 of 300 weights were truncated" in cut.warnings[-1]
    changed = cut.values != whole.values
    assert not cut.parts[0].gradient[changed].any()
    np.testing.assert_array_equal(cut.parts[0].gradient[~changed], whole.parts[0].gradient[~changed])
    with pytest.raises(ValueError, match="range"):
        truncated(whole, (99, 1))


def test_summary_and_positivity_sentences() -> None:
    data = sample(300, 8)
    data["x"][data["dose"] == 2] += 2.2
    p = propensity_of(data)
    weights = exposure_weights(p)
    summary = weight_summary(weights, p.index)
    w = weights.values[p.index == 2]
    np.testing.assert_allclose(summary.effective_size[2], w.sum() ** 2 / (w @ w))
    assert summary.n == 300
    said = positivity(p, weights)
    assert sum("ranges from" in text for text in said) == 3
    assert any("below 0.01" in text for text in said)
    assert any("effective sample size" in text for text in said)
    assert len(positivity(propensity_of(sample(3000, 1)), exposure_weights(propensity_of(sample(3000, 1))))) == 3


def test_loss_in_groups_where_nobody_or_everybody_was_lost() -> None:
    data = sample(400, 9)
    data["g"] = np.repeat([1.0, 2, 3, 4], 100)
    seen = (data["seen"] == 1) | (data["g"] == 2)
    design = build_design(data, [factor("g", data["g"]), Linear("x")], 400)
    weights = loss_weights(design, seen)
    np.testing.assert_array_equal(weights.values[data["g"] == 2], 1.0)
    assert "nobody was lost" in weights.warnings[0]
    np.testing.assert_allclose(weights.values[data["g"] == 1].sum(), 100, rtol=0.1)
    with pytest.raises(ValueError, match="everybody was lost"):
        loss_weights(design, seen & (data["g"] != 3))
    with pytest.raises(ValueError, match="Nobody has a known outcome"):
        loss_weights(design, np.zeros(400, dtype=bool))
    assert loss_weights(design, np.ones(400, dtype=bool)).parts == ()


def test_a_level_without_events_has_no_interval() -> None:
    data = sample(300, 10)
    data["y"][data["dose"] == 1] = 0
    p = propensity_of(data)
    result = hajek_risks(data["y"], p.index, LABELS, exposure_weights(p))
    v = risk_covariance(result.influence)
    c = level_contrasts(result.risks, v)
    assert result.risks[1] == 0
    assert np.isnan([c.log_rr[1], c.log_rr_se[1], c.rd_se[1], v[1, 1], v[0, 1]]).all()
    assert np.isfinite([c.log_rr_se[2], c.rd_se[2], v[2, 2]]).all()
    assert "mid has no events" in result.warnings[-1]


def test_covariances_of_an_influence() -> None:
    phi = np.random.default_rng(1).normal(size=(12, 2))
    clusters, strata = np.repeat(np.arange(6.0), 2), np.repeat([1.0, 2.0], 6)
    summed = phi.reshape(6, 2, 2).sum(axis=1)
    np.testing.assert_allclose(risk_covariance(phi), phi.T @ phi)
    np.testing.assert_allclose(risk_covariance(phi, "stata"), phi.T @ phi * 12 / 11)
    np.testing.assert_allclose(risk_covariance(phi, "cluster", cluster=clusters), summed.T @ summed * 6 / 5)
    half = [part - part.mean(axis=0) for part in (summed[:3], summed[3:])]
    expected = sum(part.T @ part for part in half) * 3 / 2
    design = survey_design(strata, clusters)
    np.testing.assert_allclose(risk_covariance(phi, "survey", design=design), expected)
    for arguments, sentence in (
        ("cluster", "needs the cluster"),
        ("survey", "needs the survey"),
        ("HC9", "not defined"),
    ):
        with pytest.raises(ValueError, match=sentence):
            risk_covariance(phi, arguments)
    with pytest.raises(ValueError, match="single cluster"):
        risk_covariance(phi, "cluster", cluster=np.zeros(12))


def test_contrasts_by_hand() -> None:
    """20 of 100 against 40 of 100: the textbook standard errors of log RR, RD and log OR."""
    risks, v = np.array([0.2, 0.4]), np.diag([0.16 / 100, 0.24 / 100])
    c = level_contrasts(risks, v)
    np.testing.assert_allclose([c.log_rr[1], c.rd[1], c.log_or[1]], [np.log(2), 0.2, np.log(8 / 3)])
    np.testing.assert_allclose(c.log_rr_se[1] ** 2, 1 / 20 - 1 / 100 + 1 / 40 - 1 / 100)
    np.testing.assert_allclose(c.rd_se[1] ** 2, 0.004)
    np.testing.assert_allclose(c.log_or_se[1] ** 2, 1 / 20 + 1 / 80 + 1 / 40 + 1 / 60)
    assert c.log_rr[0] == 0
    assert np.isnan(c.log_rr_se[0])
    np.testing.assert_allclose(level_contrasts(risks, v, reference=1).log_rr[0], -np.log(2))
    together = level_contrasts(risks, v + 0.001 * np.array([[0, 1], [1, 0]]))
    np.testing.assert_allclose(together.rd_se[1] ** 2, 0.004 - 0.002)
    np.testing.assert_allclose(together.log_rr_se[1] ** 2, c.log_rr_se[1] ** 2 - 0.002 / (0.2 * 0.4))


def test_misuse() -> None:
    data = sample(200, 2)
    p = propensity_of(data)
    weights = exposure_weights(p)
    missing = np.where(np.arange(200) == 3, np.nan, data["y"])
    with pytest.raises(ValueError, match="outcomes are missing"):
        hajek_risks(missing, p.index, LABELS, weights)
    with pytest.raises(ValueError, match="unknown; choose"):
        exposure_weights(p, estimand="ATC")
    with pytest.raises(ValueError, match="name that level"):
        exposure_weights(p, estimand="ATT")
    with pytest.raises(ValueError, match="Nobody with a weight has mid"):
        hajek_risks(data["y"], p.index, LABELS, weights, sampling=(p.index != 1).astype(float))
    with pytest.raises(ValueError, match="not negative"):
        hajek_risks(data["y"], p.index, LABELS, weights, sampling=-np.ones(200))
