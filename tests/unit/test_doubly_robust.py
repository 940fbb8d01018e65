"""Doubly robust risks: by brute force, by simulation with either model wrong, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.estimates.doubly_robust import OutcomeModel, aipw_risks, outcome_model, tmle_risks
from walkrisk.estimates.risk_influence import level_contrasts, risk_covariance
from walkrisk.estimates.weighting import Weights, combined, exposure_weights, hajek_risks, loss_weights
from walkrisk.models.design import Factor, Linear, Term, build_design
from walkrisk.models.fit import fit_model
from walkrisk.models.propensity import fit_propensity

FloatArray = npt.NDArray[np.float64]
LABELS = ("low", "mid", "high")
THREE = Factor("dose", (0.0, 1.0, 2.0), LABELS)
COVARIATES: list[Term] = [Linear("c"), Linear("x")]


def expit(eta: FloatArray) -> FloatArray:
    return 1 / (1 + np.exp(-eta))


def sample(n: int, seed: int) -> dict[str, FloatArray]:
    rng = np.random.default_rng(seed)
    c, x = (rng.random(n) < 0.5).astype(float), rng.normal(size=n)
    eta = np.column_stack([np.zeros(n), c - 0.5 + 0.3 * x, 1.4 * c - 0.8 - 0.3 * x])
    p = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
    dose = (rng.random((n, 1)) > np.cumsum(p, axis=1)).sum(axis=1).astype(float)
    risks = expit(np.add.outer(1.2 * c + 0.4 * x - 1.6, np.array([0.0, 0.4, 0.9])))
    y = (rng.random(n) < risks[np.arange(n), dose.astype(int)]).astype(float)
    seen = (rng.random(n) < expit(1.2 + 0.5 * c)).astype(float)
    return {"c": c, "x": x, "dose": dose, "y": y, "seen": seen, "nothing": rng.normal(size=n)}


def truth() -> FloatArray:
    at = np.random.default_rng(0).normal(size=200_000)
    return np.array([expit(np.add.outer([0.0, 1.2], 0.4 * at - 1.6 + b)).mean() for b in (0.0, 0.4, 0.9)])


Made = tuple[Weights, OutcomeModel, FloatArray]


def models(
    data: dict[str, FloatArray],
    s: FloatArray | None = None,
    *,
    exposed: list[Term] = COVARIATES,
    outcome: list[Term] = COVARIATES,
    estimand: str = "ATE",
    loss: bool = False,
) -> Made:
    n = len(data["c"])
    p = fit_propensity(build_design(data, exposed, n), data["dose"], THREE, weights=s)
    weights = exposure_weights(p, estimand=estimand, target=2)
    rows = data["seen"] == 1 if loss else np.ones(n, dtype=bool)
    if loss:
        weights = combined(weights, loss_weights(build_design(data, [THREE, *COVARIATES], n), rows, weights=s))
    terms: list[Term] = [THREE, *outcome]
    some = {name: values[rows] for name, values in data.items()}
    w = None if s is None else s[rows]
    fit = fit_model("logistic", build_design(some, terms, int(rows.sum())), some["y"], weights=w)
    designs = [build_design({**data, "dose": np.full(n, k)}, terms, n) for k in THREE.levels]
    return weights, outcome_model(fit, designs, y=some["y"], weights=w, rows=rows if loss else None), p.scores


def brute_force(estimate: Callable[[FloatArray], FloatArray], n: int, people: range) -> FloatArray:
    rows = []
    for i in people:
        up, down = np.ones(n), np.ones(n)
        up[i] += 1e-4
        down[i] -= 1e-4
        rows.append((estimate(up) - estimate(down)) / 2e-4)
    return np.array(rows)


@pytest.mark.parametrize(("estimand", "loss"), [("ATE", False), ("ATE", True), ("ATT", False), ("ATT", True)])
def test_stacked_influence_is_the_derivative_by_a_persons_weight(estimand: str, loss: bool) -> None:
    """With the outcome model lacking c, so that the stacked influence differs from the efficient one."""
    data, only_x = sample(300, 3), [Linear("x")]
    index = data["dose"].astype(np.intp)
    y = np.where((data["seen"] == 1) | (not loss), data["y"], np.nan)

    def risks(s: FloatArray) -> FloatArray:
        weights, outcome, _ = models(data, s, outcome=list(only_x), estimand=estimand, loss=loss)
        return aipw_risks(y, index, LABELS, weights, outcome, sampling=s).risks

    weights, outcome, _ = models(data, outcome=list(only_x), estimand=estimand, loss=loss)
    result = aipw_risks(y, index, LABELS, weights, outcome)
    assert result.stacked_influence is not None
    np.testing.assert_allclose(result.stacked_influence[:10], brute_force(risks, 300, range(10)), rtol=1e-4, atol=1e-8)
    assert np.abs(result.stacked_influence - result.influence).max() > 1e-5
    np.testing.assert_allclose(result.influence.sum(axis=0), 0, atol=1e-10)


def test_a_saturated_model_gives_standardised_risks_whatever_the_method() -> None:
    """With c alone and all products, weighting, augmentation and targeting all give the shares standardised over c."""
    data = sample(900, 4)
    n, c, index = 900, data["c"], data["dose"].astype(np.intp)
    p = fit_propensity(build_design(data, [Linear("c")], n), data["dose"], THREE)
    weights = exposure_weights(p)
    share = np.array([[data["y"][(index == k) & (c == v)].mean() for k in range(3)] for v in (0, 1)])
    expected = share[0] * (1 - c.mean()) + share[1] * c.mean()
    q = share[c.astype(int)]
    for risks in (
        hajek_risks(data["y"], index, LABELS, weights).risks,
        aipw_risks(data["y"], index, LABELS, weights, q).risks,
        tmle_risks(data["y"], index, LABELS, weights, q, scores=p.scores).risks,
        tmle_risks(data["y"], index, LABELS, weights, q).risks,
    ):
        np.testing.assert_allclose(risks, expected, rtol=1e-8)
    influence = hajek_risks(data["y"], index, LABELS, weights).influence
    for made in (
        aipw_risks(data["y"], index, LABELS, weights, q),
        tmle_risks(data["y"], index, LABELS, weights, q, scores=p.scores),
        tmle_risks(data["y"], index, LABELS, weights, q),
    ):
        np.testing.assert_allclose(made.influence, influence, atol=1e-10)
    high = exposure_weights(p, estimand="ATT", target=2)
    among = c[index == 2].mean()
    expected = share[0] * (1 - among) + share[1] * among
    for made in (aipw_risks(data["y"], index, LABELS, high, q), tmle_risks(data["y"], index, LABELS, high, q)):
        np.testing.assert_allclose(made.risks, expected, rtol=1e-8)
        np.testing.assert_allclose(made.influence, hajek_risks(data["y"], index, LABELS, high).influence, atol=1e-10)


@pytest.mark.parametrize("wrong", ["neither", "exposure", "outcome"])
def test_either_model_may_be_wrong(wrong: str) -> None:
    """100 samples of 1,500; a wrong model has pure noise in place of the confounder."""
    noise: list[Term] = [Linear("nothing")]
    estimates, targeted, errors = [], [], []
    for seed in range(100):
        data = sample(1500, 500 + seed)
        index = data["dose"].astype(np.intp)
        weights, outcome, scores = models(
            data,
            exposed=noise if wrong == "exposure" else COVARIATES,
            outcome=noise if wrong == "outcome" else COVARIATES,
        )
        made = aipw_risks(data["y"], index, LABELS, weights, outcome)
        assert made.stacked_influence is not None
        estimates.append(made.risks)
        targeted.append(tmle_risks(data["y"], index, LABELS, weights, outcome, scores=scores).risks)
        errors.append(np.sqrt(np.diag(risk_covariance(made.stacked_influence))))
    spread = np.std(estimates, axis=0, ddof=1)
    for found in (estimates, targeted):
        assert (np.abs(np.mean(found, axis=0) - truth()) < 4 * spread / 10).all()
    np.testing.assert_allclose(np.mean(errors, axis=0), spread, rtol=0.2)


def test_weighting_alone_is_biased_where_augmentation_is_not() -> None:
    data = sample(20_000, 1)
    noise: list[Term] = [Linear("nothing")]
    weights, outcome, _ = models(data, exposed=noise)
    index = data["dose"].astype(np.intp)
    assert abs(hajek_risks(data["y"], index, LABELS, weights).risks[0] - truth()[0]) > 0.03
    assert abs(aipw_risks(data["y"], index, LABELS, weights, outcome).risks[0] - truth()[0]) < 0.02


def test_targeting_solves_its_equation_and_stays_within_0_to_1() -> None:
    data = sample(400, 12)
    index = data["dose"].astype(np.intp)
    weights, _, scores = models(data)
    q = np.full((400, 3), 0.999)  # absurd risks: augmentation still repairs them on average, targeting too
    result = tmle_risks(data["y"], index, LABELS, weights, q, scores=scores)
    assert ((result.risks > 0) & (result.risks < 1)).all()
    np.testing.assert_allclose(result.influence.sum(axis=0), 0, atol=1e-10)
    with_loss, outcome, _ = models(data, loss=True)
    y = np.where(data["seen"] == 1, data["y"], np.nan)
    result = tmle_risks(y, index, LABELS, with_loss, outcome)
    np.testing.assert_allclose(result.influence.sum(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(result.risks, truth(), atol=0.12)


def test_a_level_without_events_has_no_interval_and_the_others_do() -> None:
    data = sample(900, 5)
    data["y"][data["dose"] == 0] = 0
    index = data["dose"].astype(np.intp)
    weights, outcome, _ = models(data)
    result = aipw_risks(data["y"], index, LABELS, weights, outcome)
    assert result.risks[0] == 0
    assert "low has no events" in result.warnings[-1]
    c = level_contrasts(result.risks, risk_covariance(result.influence), reference=1)
    assert np.isnan([c.log_rr[0], c.rd_se[0]]).all()
    assert np.isfinite([c.log_rr[2], c.rd_se[2]]).all()


def test_misuse() -> None:
    data = sample(200, 6)
    index, n = data["dose"].astype(np.intp), 200
    weights, outcome, scores = models(data)
    for bad in (np.full((n, 3), 1.2), np.full((n, 3), np.nan), np.full((n, 2), 0.2)):
        with pytest.raises(ValueError, match="risk within 0 to 1"):
            aipw_risks(data["y"], index, LABELS, weights, bad)
    overlap, *_ = models(data, estimand="ATO")
    with pytest.raises(ValueError, match="overlap population"):
        aipw_risks(data["y"], index, LABELS, overlap, outcome)
    with pytest.raises(ValueError, match="outcomes with a weight known"):
        aipw_risks(np.where(np.arange(n) == 0, np.nan, data["y"]), index, LABELS, weights, outcome)
    with pytest.raises(ValueError, match="plain weights of the ATE"):
        tmle_risks(data["y"], index, LABELS, models(data, estimand="ATT")[0], outcome, scores=scores)
    poisson = fit_model("modified_poisson", build_design(data, [THREE], n), data["y"])
    with pytest.raises(ValueError, match="logistic outcome model"):
        outcome_model(poisson, [poisson.design] * 3, y=data["y"])
    extreme = np.tile([0.0, 1.0, 1.0], (n, 1)) * 0.98 + 0.01
    heavy = Weights(values=weights.values * 4, parts=(), target=weights.target, estimand="ATE")
    result = aipw_risks(data["y"], index, LABELS, heavy, extreme)
    assert np.isnan(result.risks).any()
    assert any("outside 0 to 1" in text for text in result.warnings)
