"""Design matrices: columns in the order of the terms, the lowest level the reference, products of factors."""

from __future__ import annotations

import numpy as np
import pytest

from walkrisk.models.design import Factor, Linear, Product, Spline, build_design, factor

COLUMNS = {
    "g": np.array([2.0, 1, 3, 1, 2, 3]),
    "s": np.array([0.0, 1, 1, 0, 1, 0]),
    "x": np.array([10.0, 20, 30, 40, 50, 60]),
    "t": np.array([1.0, 7, 3, 9, 5, 4]),
}
G = factor("g", COLUMNS["g"], {1: "low", 2: "middle", 3: "high"})
S = factor("s", COLUMNS["s"])


def test_columns_stand_in_the_order_of_the_terms() -> None:
    """patsy sorts its terms; the design does not."""
    design = build_design(COLUMNS, [Linear("x"), G, Spline("t", (2.0, 4.0, 7.0)), S], 6)
    assert design.names[:4] == ("Intercept", "x", "g[middle]", "g[high]")
    assert design.names[-1] == "s[1]"
    np.testing.assert_array_equal(design.matrix[:, 0], 1)
    np.testing.assert_array_equal(design.matrix[:, 1], COLUMNS["x"])
    np.testing.assert_array_equal(design.matrix[:, 2], [1, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(design.matrix[:, 3], [0, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(design.matrix[:, 4], COLUMNS["t"])
    np.testing.assert_array_equal(design.matrix[:, 6], COLUMNS["s"])
    assert design.columns_of[G] == (2, 3)
    assert design.columns_of[S] == (6,)


def test_levels_are_the_codes_that_occur() -> None:
    made = factor("g", np.array([3.0, np.nan, 1.0, 3.0]), {1: "low", 2: "middle", 3: "high"})
    assert made == Factor("g", (1.0, 3.0), ("low", "high"))
    assert factor("g", np.array([7.0, 0.5])).labels == ("0.5", "7")


def test_a_product_has_a_column_for_each_pair_of_levels_but_the_first() -> None:
    product = Product(G, S)
    design = build_design(COLUMNS, [G, S, Linear("x"), product], 6)
    assert design.matrix.shape == (6, 7)
    a, b = design.columns_of[product]
    np.testing.assert_array_equal(design.matrix[:, a], (COLUMNS["g"] == 2) & (COLUMNS["s"] == 1))
    np.testing.assert_array_equal(design.matrix[:, b], (COLUMNS["g"] == 3) & (COLUMNS["s"] == 1))
    np.testing.assert_array_equal(design.cells[product], [2, 1, 5, 0, 3, 4])
    np.testing.assert_array_equal(design.cells[G], [1, 0, 2, 0, 1, 2])


def test_a_linear_term_is_in_units_of_per() -> None:
    term = Linear("x", per=10)
    design = build_design(COLUMNS, [term], 6)
    np.testing.assert_array_equal(design.matrix[:, 1], [1, 2, 3, 4, 5, 6])


def test_a_factor_with_one_level_has_no_column() -> None:
    one = factor("s", np.ones(6))
    design = build_design({"s": np.ones(6), "x": COLUMNS["x"]}, [one, Linear("x")], 6)
    assert design.names == ("Intercept", "x")
    assert design.columns_of[one] == ()


def test_names_are_looked_up_never_evaluated() -> None:
    name = "__import__('os').system('echo evaluated')"
    design = build_design({name: np.array([1.0, 2.0])}, [Linear(name)], 2)
    np.testing.assert_array_equal(design.matrix[:, 1], [1, 2])


@pytest.mark.parametrize("second", [Linear("x"), Linear("x", per=10), Spline("x", (15.0, 30.0, 50.0))])
def test_a_variable_may_enter_twice_and_the_fit_finds_it_collinear(second: Linear | Spline) -> None:
    design = build_design(COLUMNS, [Linear("x"), second], 6)
    np.testing.assert_array_equal(design.matrix[:, 1], COLUMNS["x"])
    assert design.matrix.shape[1] == (4 if isinstance(second, Spline) else 3)


def test_two_levels_may_share_a_label() -> None:
    g = factor("g", COLUMNS["g"], {1: "low", 2: "other", 3: "other"})
    assert build_design(COLUMNS, [g], 6).matrix.shape == (6, 3)
