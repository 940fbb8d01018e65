"""Bootstrap intervals of standardised risks: batches beside single refits, delta limits, and data with gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import walkrisk.estimates.bootstrapped_risks as module
from walkrisk.estimates.bootstrapped_risks import BootstrappedContrasts, bootstrapped_contrasts
from walkrisk.estimates.counterfactuals import level_designs
from walkrisk.estimates.risk_contrasts import risk_contrasts
from walkrisk.estimates.standardisation import risk_covariance, standardise
from walkrisk.models.design import Factor, Linear, Term, build_design
from walkrisk.models.fit import fit_model

Array = np.ndarray[Any, np.dtype[np.float64]]
A = Factor("a", (0.0, 1.0, 2.0), ("none", "some", "much"))
MODEL: list[Term] = [A, Linear("x")]


def people(n: int = 250, seed: int = 1) -> tuple[dict[str, Array], Array]:
    rng = np.random.default_rng(seed)
    a, x = rng.integers(0, 3, n).astype(float), rng.normal(size=n)
    return {"a": a, "x": x}, (rng.random(n) < 1 / (1 + np.exp(1.0 - 0.4 * a - 0.7 * x))).astype(float)


def resampled(
    columns: dict[str, Array],
    y: Array,
    *,
    method: str = "logistic",
    weights: Array | None = None,
    terms: Sequence[Term] = MODEL,
    **options: Any,
) -> BootstrappedContrasts:
    fit = fit_model(method, build_design(columns, terms, len(y)), y, weights=weights)
    scenarios = level_designs(columns, terms, len(y), A)
    return bootstrapped_contrasts(fit, scenarios, y=y, weights=weights, **{"seed": 3, "replicates": 120} | options)


@pytest.mark.parametrize("kind", ["percentile", "bca"])
@pytest.mark.parametrize("sampling", ["people", "clusters", "population"])
def test_batches_are_refits_one_by_one(monkeypatch: pytest.MonkeyPatch, kind: str, sampling: str) -> None:
    columns, y = people(120)
    options: dict[str, Any] = {"kind": kind, "weights": np.random.default_rng(2).uniform(0.5, 2, len(y))}
    if sampling == "clusters":
        options["cluster"] = np.arange(len(y)) // 2
    if sampling == "population":
        options["population"] = columns["a"] > 0
    batched = resampled(columns, y, **options)
    monkeypatch.setattr(module, "BATCHED", {})
    alone = resampled(columns, y, **options)
    for one, two in zip(batched.contrasts, alone.contrasts, strict=True):
        for field in ("risk_ratio", "risk_difference", "odds_ratio"):
            p, q = getattr(one, field), getattr(two, field)
            got, expected = ((v.estimate, v.std_error, v.conf_low, v.conf_high) for v in (p, q))
            np.testing.assert_allclose(got, expected, rtol=1e-7)
    assert batched.failed == alone.failed == 0


def test_standard_errors_are_near_those_of_influence() -> None:
    columns, y = people(800)
    made = resampled(columns, y, replicates=1500, kind="percentile", reference="some")
    fit = fit_model("logistic", build_design(columns, MODEL, len(y)), y)
    risks = standardise(fit, level_designs(columns, MODEL, len(y), A), y=y)
    delta = risk_contrasts(risks, risk_covariance(risks, fit, "HC0"), reference="some")
    for boot, other in zip(made.contrasts, delta, strict=True):
        assert (boot.level, boot.reference) == (other.level, other.reference)
        for field in ("risk_ratio", "risk_difference", "odds_ratio"):
            p, q = getattr(boot, field), getattr(other, field)
            assert p.estimate == q.estimate
            assert p.std_error == pytest.approx(q.std_error, rel=0.1)
            assert abs(p.conf_high - q.conf_high) < 0.35 * (q.conf_high - q.estimate)
        needed = boot.number_needed
        assert needed.through_infinity == (boot.risk_difference.conf_low < 0 < boot.risk_difference.conf_high)


def test_infinitesimal_influence_is_near_that_of_leaving_each_out(monkeypatch: pytest.MonkeyPatch) -> None:
    columns, y = people(600)
    exact = resampled(columns, y, kind="bca", replicates=400)
    monkeypatch.setattr(module, "EXACT_JACKKNIFE", 10)
    near = resampled(columns, y, kind="bca", replicates=400)
    plain = resampled(columns, y, kind="percentile", replicates=400)
    for one, two, three in zip(exact.contrasts, near.contrasts, plain.contrasts, strict=True):
        for field in ("risk_ratio", "risk_difference", "odds_ratio"):
            p, q, r = getattr(one, field), getattr(two, field), getattr(three, field)
            width = r.conf_high - r.conf_low
            assert abs(p.conf_low - q.conf_low) < 0.02 * width
            assert abs(p.conf_high - q.conf_high) < 0.02 * width
            assert p.conf_low != r.conf_low


@pytest.mark.parametrize("name", ["risk", "risk_difference", "log_risk_ratio", "log_odds_ratio"])
def test_slopes_are_numerical_derivatives(name: str) -> None:
    m = np.array([0.3, 0.2])[: 1 if name == "risk" else 2]
    moved = [(m + 1e-6 * np.eye(len(m))[k], m - 1e-6 * np.eye(len(m))[k]) for k in range(len(m))]
    by_hand = [(module._statistic(name, up[None])[0] - module._statistic(name, d[None])[0]) / 2e-6 for up, d in moved]
    np.testing.assert_allclose(module._slopes(name, m), by_hand, rtol=1e-8)


def test_a_seed_gives_the_same_limits_and_another_does_not() -> None:
    columns, y = people()
    assert repr(resampled(columns, y)) == repr(resampled(columns, y))
    assert resampled(columns, y).contrasts != resampled(columns, y, seed=4).contrasts


def test_a_category_without_cases_stays_at_0_in_every_resample() -> None:
    columns, y = people()
    y = np.where(columns["a"] == 1, 0.0, y)
    made = resampled(columns, y)
    assert made.risks[1].estimate == 0
    assert math.isnan(made.risks[1].conf_low)
    some, much = made.contrasts
    assert math.isnan(some.risk_ratio.estimate)
    assert math.isnan(some.risk_difference.conf_low)
    assert math.isfinite(much.risk_ratio.conf_low)
    keep = columns["a"] != 1
    assert made.failed == 0
    assert keep.sum() < len(y)
    assert any("exactly 0" in w for w in made.warnings)


def test_other_models_are_refitted_too() -> None:
    columns, y = people(150)
    made = resampled(columns, y, method="log_binomial", terms=[A], replicates=60)
    same = resampled(columns, y, method="modified_poisson", terms=[A], replicates=60)
    for one, two in zip(made.contrasts, same.contrasts, strict=True):  # saturated: the same risks
        np.testing.assert_allclose(one.risk_ratio.conf_low, two.risk_ratio.conf_low, rtol=1e-6)


def test_nothing_to_resample_and_too_few_replicates_are_said() -> None:
    columns, y = people()
    none = resampled(columns, np.zeros(len(y)))
    assert none.replicates == 0
    assert all(math.isnan(c.risk_ratio.estimate) for c in none.contrasts)
    assert none.warnings
    few = resampled(columns, y, replicates=10)
    assert math.isnan(few.contrasts[0].risk_ratio.conf_low)
    assert any("too few" in w for w in few.warnings)
    with pytest.raises(ValueError, match="interval"):
        resampled(columns, y, kind="studentised")
    pairs = resampled(columns, y, pairwise=True).contrasts
    assert [(c.level, c.reference) for c in pairs] == [("some", "none"), ("much", "none"), ("much", "some")]
    assert replace(pairs[0]) == pairs[0]
