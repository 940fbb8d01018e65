"""Forward-backward against the sum over every path, and what unknown seconds do to it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from walkrisk.epochs import smoothing
from walkrisk.epochs.smoothing import Transition, smooth

RNG = np.random.default_rng(7)
K = 3
CHAIN = Transition(
    matrix=np.array([[0.8, 0.15, 0.05], [0.1, 0.7, 0.2], [0.3, 0.1, 0.6]]),
    start=np.array([0.5, 0.3, 0.2]),
    weight=np.array([1.0, 0.6, 1.4]),
    exponent=0.7,
    groups=np.arange(K),
)


def random_probabilities(s: int) -> np.ndarray:
    return RNG.dirichlet(np.full(K, 0.7), s).astype(np.float32)


def by_enumeration(probabilities: np.ndarray, chain: Transition) -> np.ndarray:
    """Marginals (s, k) by adding up all k**s paths."""
    e = (np.clip(probabilities, smoothing.LEAST, 1).astype(float) * chain.weight) ** chain.exponent
    total = np.zeros(probabilities.shape)
    for path in product(range(K), repeat=len(e)):
        p = chain.start[path[0]] * e[0, path[0]]
        for t in range(1, len(e)):
            p *= chain.matrix[path[t - 1], path[t]] * e[t, path[t]]
        for t, x in enumerate(path):
            total[t, x] += p
    return total / total.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("block", [2, 3, 1024])
def test_the_sum_over_all_paths(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoothing, "BLOCK_S", block)
    p = random_probabilities(8)
    codes, probability = smooth(p, CHAIN)
    expected = by_enumeration(p, CHAIN)
    np.testing.assert_array_equal(codes, expected.argmax(axis=1))
    np.testing.assert_allclose(probability, expected.max(axis=1), rtol=1e-5)


def test_an_unknown_second_breaks_the_chain() -> None:
    a, b = random_probabilities(6), random_probabilities(7)
    hole = np.full((2, K), np.nan, dtype=np.float32)
    codes, probability = smooth(np.concatenate([a, hole, b]), CHAIN)
    (codes_a, probability_a), (codes_b, probability_b) = smooth(a, CHAIN), smooth(b, CHAIN)
    np.testing.assert_array_equal(codes, [*codes_a, -1, -1, *codes_b])
    np.testing.assert_allclose(probability[:6], probability_a, rtol=1e-6)
    np.testing.assert_allclose(probability[8:], probability_b, rtol=1e-6)
    assert np.isnan(probability[6:8]).all()


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    p = random_probabilities(500)
    p[[100, 101, 300]] = np.nan
    whole = smooth(p, CHAIN)
    monkeypatch.setattr(smoothing, "BLOCK_S", 37)
    parts = smooth(p, CHAIN)
    np.testing.assert_array_equal(whole[0], parts[0])
    np.testing.assert_allclose(whole[1], parts[1], rtol=1e-6)


def test_grouped_activities_are_added_before_the_choice() -> None:
    """0.3 + 0.25 for the first group beat 0.45 alone; within it the larger one is named."""
    p = np.array([[0.3, 0.25, 0.45]], dtype=np.float32)
    flat = {"matrix": np.full((K, K), 1 / K), "start": np.full(K, 1 / K), "weight": np.ones(K), "exponent": 1.0}
    alone, _ = smooth(p, Transition(**flat, groups=np.array([0, 1, 2])))
    together, probability = smooth(p, Transition(**flat, groups=np.array([0, 0, 1])))
    assert (alone[0], together[0]) == (2, 0)
    assert probability[0] == pytest.approx(0.55, rel=1e-6)


def test_certain_impossible_and_empty() -> None:
    certain = np.zeros((50, K), dtype=np.float32)
    certain[:, 2] = 1
    codes, probability = smooth(certain, CHAIN)
    assert (codes == 2).all()
    assert (probability > 0.99).all()
    codes, probability = smooth(np.full((4, K), np.nan, dtype=np.float32), CHAIN)
    assert (codes == -1).all()
    assert np.isnan(probability).all()
    assert len(smooth(np.empty((0, K), dtype=np.float32), CHAIN)[0]) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"matrix": [[0.5, 0.4], [0.5, 0.5]]},
        {"start": [0.7, 0.7]},
        {"weight": [1.0, 0.0]},
        {"exponent": 0.0},
        {"groups": [0]},
    ],
)
def test_settings_that_are_no_chain_are_refused(change: dict[str, object]) -> None:
    good = {"matrix": [[0.5, 0.5], [0.5, 0.5]], "start": [0.5, 0.5], "weight": [1, 1], "exponent": 1, "groups": [0, 1]}
    assert Transition.of(good).exponent == 1
    with pytest.raises(ValueError, match="must be"):
        Transition.of(good | change)
