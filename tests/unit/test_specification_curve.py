"""Summaries, joint test and shares of variance of many specifications, in closed form."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from walkrisk.sensitivity.specification_curve import Together, joint_p, shares_of_variance, together


def test_shares_of_a_balanced_table_are_its_analysis_of_variance() -> None:
    """Two decisions of 2 and 3 options: sums of squares worked out by hand, 6, 16 and 4 of 26."""
    table = np.array([[0.0, 3.0, 3.0], [2.0, 3.0, 7.0]])
    # grand mean 3; rows 2, 4: 3 (1 + 1) = 6; columns 1, 3, 5: 2 (4 + 0 + 4) = 16; all 26; interaction 4
    places = np.array(list(product(range(2), range(3))))
    found = shares_of_variance(places, table.ravel())
    np.testing.assert_allclose(found.decisions, [6 / 26, 16 / 26], rtol=1e-12)
    assert found.interactions == pytest.approx(4 / 26, rel=1e-12)
    assert found.variance == pytest.approx(26 / 5, rel=1e-12)


def _explained(places: np.ndarray, at: tuple[int, ...], y: np.ndarray) -> float:
    columns = [np.ones(len(y))]
    columns += [(places[:, j] == v).astype(float) for j in at for v in np.unique(places[:, j])]
    x = np.column_stack(columns)
    return float(y.var() * len(y) - ((y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) ** 2).sum())


def test_shares_of_an_unbalanced_table_are_the_average_over_all_orders() -> None:
    random = np.random.default_rng(5)
    places = np.array(list(product(range(2), range(3), range(2), range(2))))[random.permutation(24)[:17]]
    places[:, 3] = 1  # a decision that does not vary
    y = random.normal(size=17) + places[:, 1]
    shares = np.zeros(4)
    orders = list(permutations(range(4)))
    for order in orders:
        for i, j in enumerate(order):
            shares[j] += (_explained(places, order[: i + 1], y) - _explained(places, order[:i], y)) / len(orders)
    found = shares_of_variance(places, y)
    np.testing.assert_allclose(found.decisions, shares / (y.var() * 17), atol=1e-10)
    assert found.decisions[3] == 0
    assert found.decisions.sum() + found.interactions == pytest.approx(1)


def test_specifications_that_agree_have_no_variance_to_share() -> None:
    found = shares_of_variance(np.array([[0, 0], [0, 1], [1, 0]]), np.full(3, 0.1))
    assert found.variance == 0
    assert not found.decisions.any()
    with pytest.raises(ValueError, match="two specifications or more"):
        shares_of_variance(np.array([[0, 0]]), np.zeros(1))


def test_summaries_by_hand() -> None:
    logs = np.array([[-0.2, -0.1, 0.1, -0.4], [0.2, 0.1, 0.1, 0.4]])
    found = together(logs, np.full(logs.shape, 0.1), 1.96)
    np.testing.assert_allclose(found.median, [-0.15, 0.15])
    np.testing.assert_allclose(found.sign, [0.75, 1.0])
    np.testing.assert_allclose(found.significant, [0.5, 0.5])
    np.testing.assert_allclose(found.mean_z, [-1.5, 2.0])


def test_joint_p_counts_sizes_and_adds_one() -> None:
    observed = Together(np.array([-0.2]), np.array([1.0]), np.array([0.5]), np.array([-1.5]))
    null = Together(
        np.array([0.1, 0.25, -0.2, -0.3]),
        np.array([0.9, 1.0, 0.6, 0.7]),
        np.array([0.0, 0.1, 0.2, 0.4]),
        np.array([1.6, -1.6, 0.1, 0.2]),
    )
    p = joint_p(observed, null)
    assert p == {"median": 4 / 5, "sign": 2 / 5, "significant": 1 / 5, "mean_z": 3 / 5}
