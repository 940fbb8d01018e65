"""Standardised risks of resamples, held to a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from walkrisk.estimates.resampled_risks import (
    bootstrap_risks,
    differences,
    influence_of_risks,
    jackknife_risks,
    log_ratios,
)
from walkrisk.models.resampling import jackknife_influence, resampling
from walkrisk.models.solver import LOGISTIC, POISSON, maximise

FAMILIES = {"modified_poisson": POISSON, "logistic": LOGISTIC}
N = 150


@pytest.fixture(scope="module")
def people() -> dict[str, np.ndarray]:
    random = np.random.default_rng(8)
    level, age, sex = random.integers(0, 3, N), random.normal(50, 9, N), random.integers(0, 2, N)
    risk = 0.15 + 0.08 * level + 0.05 * sex + 0.003 * (age - 50)
    return {"level": level, "age": age, "sex": sex, "y": (random.random(N) < risk).astype(float)}


def _design(people: dict[str, np.ndarray], level: np.ndarray, *, modified: bool, coarse: bool = False) -> np.ndarray:
    age = np.round(people["age"], -1) if coarse else people["age"]
    columns = [np.ones(N), level == 1, level == 2, age, people["sex"]]
    return np.column_stack([*columns, (level == 2) * people["sex"]] if modified else columns).astype(float)


def _designs(people: dict[str, np.ndarray], **how: bool) -> tuple[np.ndarray, list[np.ndarray]]:
    levels = [_design(people, np.full(N, k), **how) for k in range(3)]  # type: ignore[arg-type]
    return _design(people, people["level"], **how), levels  # type: ignore[arg-type]


def _loop(
    method: str, x: np.ndarray, y: np.ndarray, designs: list[np.ndarray], w: np.ndarray, over: np.ndarray
) -> np.ndarray:
    family = FAMILIES[method]
    out = []
    for weights in w:
        beta = maximise(family, x, y, weights=weights).coefficients
        out.append([(weights * over) @ family.mean(d @ beta) / (weights @ over) for d in designs])
    return np.array(out)


@pytest.mark.parametrize("method", FAMILIES)
@pytest.mark.parametrize("modified", [False, True])
@pytest.mark.parametrize("coarse", [False, True])
def test_bootstrap_is_a_plain_loop(people: dict[str, np.ndarray], method: str, modified: bool, coarse: bool) -> None:
    x, designs = _designs(people, modified=modified, coarse=coarse)
    found = bootstrap_risks(method, x, people["y"], designs, replicates=15, seed=3)
    w = resampling(N, 3).weights(0, 15)
    np.testing.assert_allclose(found.risks, _loop(method, x, people["y"], designs, w, np.ones(N)), rtol=1e-9)
    np.testing.assert_allclose(
        found.estimate, _loop(method, x, people["y"], designs, np.ones((1, N)), np.ones(N))[0], rtol=1e-10
    )


@pytest.mark.parametrize("coarse", [False, True])
def test_weights_population_clusters_strata(people: dict[str, np.ndarray], coarse: bool) -> None:
    x, designs = _designs(people, modified=True, coarse=coarse)
    weights = 1.0 + np.arange(N) % 3
    cluster, strata = np.arange(N) // 5, np.arange(N) // 75
    mask = people["sex"] == 1
    for arguments in ({"cluster": cluster}, {"cluster": cluster, "strata": strata}, {"strata": strata}, {}):
        draw = resampling(N, 9, **arguments)  # type: ignore[arg-type]
        found = bootstrap_risks(
            "logistic", x, people["y"], designs, replicates=8, seed=9, weights=weights, population=mask, **arguments
        )
        w = draw.weights(0, 8) * weights
        expected = _loop("logistic", x, people["y"], designs, w, mask.astype(float))
        np.testing.assert_allclose(found.risks, expected, rtol=1e-9)
    bayesian = bootstrap_risks("logistic", x, people["y"], designs, replicates=4, seed=9, kind="bayesian")
    w = resampling(N, 9, kind="bayesian").weights(0, 4)
    np.testing.assert_allclose(bayesian.risks, _loop("logistic", x, people["y"], designs, w, np.ones(N)), rtol=1e-9)


def test_shares_of_the_work_give_the_same_bytes(people: dict[str, np.ndarray]) -> None:
    x, designs = _designs(people, modified=False)
    whole = bootstrap_risks("logistic", x, people["y"], designs, replicates=150, seed=4).risks
    shares = [range(0, 1), range(1, 64), range(64, 100), range(100, 150)]
    parts = [bootstrap_risks("logistic", x, people["y"], designs, replicates=s, seed=4).risks for s in shares]
    assert np.vstack(parts).tobytes() == whole.tobytes()


def test_jackknife_is_a_plain_loop(people: dict[str, np.ndarray]) -> None:
    weights, cluster = 1.0 + np.arange(N) % 2, np.arange(N) * 7 % 31
    for coarse in (False, True):
        x, designs = _designs(people, modified=False, coarse=coarse)
        found = jackknife_risks("logistic", x, people["y"], designs, weights=weights)
        w = (1 - np.eye(N)) * weights
        np.testing.assert_allclose(found.risks, _loop("logistic", x, people["y"], designs, w, np.ones(N)), rtol=1e-9)
        grouped = jackknife_risks("logistic", x, people["y"], designs, weights=weights, cluster=cluster)
        w = (cluster != np.arange(31)[:, None]) * weights
        np.testing.assert_allclose(grouped.risks, _loop("logistic", x, people["y"], designs, w, np.ones(N)), rtol=1e-9)


def test_infinitesimal_influence_is_the_derivative_by_the_weights(people: dict[str, np.ndarray]) -> None:
    mask, weights = people["age"] > 45, 1.0 + np.arange(N) % 3
    cluster = np.arange(N) // 5
    for method, coarse in (("logistic", False), ("logistic", True), ("modified_poisson", False)):
        x, designs = _designs(people, modified=True, coarse=coarse)
        y = people["y"]
        found = influence_of_risks(method, x, y, designs, weights=weights, population=mask)
        h = 1e-4
        for person in (0, 7, 41):
            more, less = ((1 + h * sign * (np.arange(N) == person)) * weights for sign in (1, -1))
            moved = _loop(method, x, y, designs, np.stack([more, less]), mask.astype(float))
            np.testing.assert_allclose(found[person], (moved[0] - moved[1]) / (2 * h) * N, rtol=1e-5, atol=1e-7)
        sums = influence_of_risks(method, x, y, designs, weights=weights, population=mask, cluster=cluster)
        np.testing.assert_allclose(sums / 30, np.add.reduceat(found / N, np.arange(0, N, 5)), atol=1e-12)
        np.testing.assert_allclose(found.sum(axis=0), 0, atol=1e-9)
    left_out = jackknife_risks(method, x, y, designs, weights=weights, population=mask)
    deleted = jackknife_influence(left_out.risks, left_out.estimate)
    assert np.corrcoef(deleted[:, 2], found[:, 2])[0, 1] > 0.99


def test_resamples_without_a_maximum_are_marked(people: dict[str, np.ndarray]) -> None:
    x, designs = _designs(people, modified=False)
    y = people["y"].copy()
    first = people["level"] == 2
    y[first] = 0
    y[np.flatnonzero(first)[:1]] = 1  # a single event at level 2: in no resample of 37 in 100
    found = bootstrap_risks("modified_poisson", x, y, designs, replicates=200, seed=1)
    drawn = resampling(N, 1).weights(0, 200)[:, np.flatnonzero(first)[0]] > 0
    assert np.array_equal(found.converged, drawn)
    assert np.isnan(found.risks[~drawn]).all()
    assert np.isfinite(found.risks[drawn]).all()
    assert found.alone >= (~drawn).sum()


def test_resamples_of_nobody_with_a_weight_are_marked(people: dict[str, np.ndarray]) -> None:
    x, designs = _designs(people, modified=False)
    cluster = np.arange(N) % 3
    weights = (cluster == 0).astype(float)
    found = bootstrap_risks(
        "logistic", x, people["y"], designs, replicates=30, seed=1, weights=weights, cluster=cluster
    )
    drawn = resampling(N, 1, cluster=cluster).weights(0, 30)[:, 0] > 0
    assert 0 < drawn.sum() < 30
    assert np.array_equal(found.converged, drawn)
    assert np.isnan(found.risks[~drawn]).all()
    np.testing.assert_allclose(found.risks[drawn], np.tile(found.estimate, (drawn.sum(), 1)), rtol=1e-9)


def test_contrasts_by_hand() -> None:
    risks = np.array([[0.1, 0.2, 0.4], [0.2, 0.2, 0.1]])
    np.testing.assert_allclose(np.exp(log_ratios(risks)), [[2, 4], [1, 0.5]])
    np.testing.assert_allclose(np.exp(log_ratios(risks, reference=2)), [[0.25, 0.5], [2, 2]])
    np.testing.assert_allclose(differences(risks, reference=1), [[-0.1, 0.2], [0, -0.1]])


def test_faults(people: dict[str, np.ndarray]) -> None:
    x, designs = _designs(people, modified=False)
    y = people["y"]
    for arguments, said in (
        ({"method": "log_binomial"}, "not after 'log_binomial'"),
        ({"replicates": 0}, "no replicates"),
        ({"weights": -np.ones(N)}, "negative"),
        ({"weights": np.zeros(N)}, "all zero"),
        ({"population": np.zeros(N)}, "all zero"),
        ({"weights": people["sex"] * 1.0, "population": people["sex"] == 0}, "Nobody of the population"),
        ({"counterfactuals": []}, "no counterfactual designs"),
        ({"counterfactuals": [designs[0][:, :2]]}, "shape"),
        ({"counterfactuals": [np.where(designs[0] == 0, np.nan, designs[0])]}, "finite"),
        ({"y": np.zeros(N)}, "no maximum"),
        ({"x": np.column_stack([x[:, :4], x[:, 3]])}, "no maximum"),
    ):
        usual = {"method": "logistic", "x": x, "y": y, "counterfactuals": designs, "replicates": 5, "seed": 1}
        with pytest.raises(ValueError, match=said):
            bootstrap_risks(**{**usual, **arguments})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="single unit to leave out"):
        jackknife_risks("logistic", x, y, designs, cluster=np.zeros(N))
