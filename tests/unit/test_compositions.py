"""Compositions: coordinates by hand, the mean, the variation, zeros."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from walkrisk.models.compositions import (
    mean_composition,
    pivot_basis,
    pivot_coordinates,
    replace_zeros,
    variation_matrix,
)

PARTS = np.random.default_rng(0).dirichlet([8, 10, 3, 1], 50) * 24


def test_two_parts_by_hand() -> None:
    made = pivot_coordinates(np.array([[1.0, 4.0], [np.e, 1.0]]))
    np.testing.assert_allclose(made[:, 0], [-np.log(4) / np.sqrt(2), 1 / np.sqrt(2)])


def test_the_first_coordinate_is_a_part_against_the_mean_of_the_others() -> None:
    made = pivot_coordinates(PARTS)
    others = np.log(PARTS[:, 1:]).mean(axis=1)
    np.testing.assert_allclose(made[:, 0], np.sqrt(3 / 4) * (np.log(PARTS[:, 0]) - others))
    np.testing.assert_allclose(made[:, 2], np.sqrt(1 / 2) * np.log(PARTS[:, 2] / PARTS[:, 3]))


@pytest.mark.parametrize("parts", [2, 3, 6])
def test_the_basis_is_orthonormal_and_blind_to_the_total(parts: int) -> None:
    basis = pivot_basis(parts)
    np.testing.assert_allclose(basis.T @ basis, np.eye(parts - 1), atol=1e-14)
    np.testing.assert_allclose(basis.sum(axis=0), 0, atol=1e-14)


def test_coordinates_do_not_depend_on_the_unit() -> None:
    np.testing.assert_allclose(pivot_coordinates(PARTS), pivot_coordinates(PARTS * 60), atol=1e-12)


def test_the_mean_is_geometric_and_closed() -> None:
    made = mean_composition(PARTS, total=1440.0)
    assert made.sum() == pytest.approx(1440)
    np.testing.assert_allclose(np.log(made[0] / made[1]), np.log(PARTS[:, 0] / PARTS[:, 1]).mean())
    assert mean_composition(PARTS).sum() == pytest.approx(24)
    twice = mean_composition(PARTS[:3], weights=np.array([1.0, 2.0, 0.0]))
    np.testing.assert_allclose(twice, mean_composition(PARTS[[0, 1, 1]]))


def test_the_variation_is_the_variance_of_log_ratios() -> None:
    made = variation_matrix(PARTS)
    np.testing.assert_allclose(made[1, 3], np.var(np.log(PARTS[:, 1] / PARTS[:, 3]), ddof=1))
    np.testing.assert_allclose(made, made.T)
    np.testing.assert_array_equal(np.diag(made), 0)
    np.testing.assert_allclose(variation_matrix(PARTS, weights=np.full(50, 3.0)), made)


def test_replaced_zeros_keep_totals_and_other_ratios() -> None:
    parts = PARTS.copy()
    parts[:5, 3] = 0
    made = replace_zeros(parts, ("a", "b", "c", "d"), {"d": 0.1})
    np.testing.assert_allclose(made.sum(axis=1), parts.sum(axis=1))
    np.testing.assert_allclose(made[:5, 3], 0.065)
    np.testing.assert_allclose(made[:, 0] / made[:, 1], parts[:, 0] / parts[:, 1])
    np.testing.assert_array_equal(made[5:], parts[5:])
    assert parts[0, 3] == 0


ZEROS = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 2.0], [0.0, 3.0, 4.0]])
NAMES = ("a", "b", "c")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: pivot_coordinates(ZEROS, NAMES), r"a \(2 people\), b \(1 people\). Merge parts"),
        (lambda: pivot_coordinates(ZEROS - 1, NAMES), r"negative.*a \(2 people\), b \(1 people\)"),
        (lambda: pivot_coordinates(ZEROS * np.nan), r"part 1 \(3 people\)"),
        (lambda: mean_composition(ZEROS), "no logarithm"),
        (lambda: variation_matrix(ZEROS), "no logarithm"),
        (lambda: variation_matrix(PARTS[:1]), "two or more people"),
        (lambda: variation_matrix(PARTS[:2], weights=np.array([1.0, 0.0])), "weight above 0"),
        (lambda: mean_composition(PARTS, weights=np.zeros(50)), "not all 0"),
        (lambda: mean_composition(PARTS, weights=np.full(50, -1.0)), "not all 0"),
        (lambda: mean_composition(PARTS, total=0.0), "above 0 and finite"),
        (lambda: mean_composition(PARTS[:0]), "Nobody is left"),
        (lambda: replace_zeros(ZEROS, NAMES, {"a": 0.1}), "Zeros of b need a detection limit"),
        (lambda: replace_zeros(ZEROS, NAMES, {"a": 0.1, "b": -1.0}), "must be above 0"),
        (lambda: replace_zeros(ZEROS, NAMES, {"a": 0.1, "b": 0.1}, share=2.0), "at most 1"),
        (lambda: replace_zeros(ZEROS, NAMES, {"a": 0.1, "b": 9.0}), "larger than some people's whole"),
        (lambda: pivot_basis(1), "two or more parts"),
    ],
)
def test_what_has_no_logarithm_is_a_sentence(call: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()
