"""Design matrices: columns in the order of the terms, the lowest level the reference, products of factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import patsy
import pytest

from walkrisk.models.design import (
    Composition,
    Factor,
    FractionalPolynomial,
    Linear,
    Main,
    Power,
    Product,
    Spline,
    Term,
    build_design,
    derivative_design,
    factor,
    mains_of,
    variables_of,
    without_columns,
)

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


RNG = np.random.default_rng(4)
MANY = {
    "g": RNG.integers(1, 4, 60).astype(float),
    "s": RNG.integers(0, 2, 60).astype(float),
    "x": RNG.uniform(5, 70, 60),
    "t": RNG.uniform(1, 9, 60),
    "u": RNG.uniform(1, 9, 60),
}
X, T = Spline("x", (15.0, 30.0, 50.0)), Linear("t", per=2.0)
COMPOSITION = Composition(("x", "t", "u"))


class Shown:
    """A patsy factor that shows patsy the values themselves, as a formula would."""

    def __init__(self, main: Main) -> None:
        self.main, self.origin = main, None

    def name(self) -> str:
        return repr(self.main)

    def memorize_passes_needed(self, state: object, eval_env: object) -> int:
        return 0

    def eval(self, memorize_state: object, data: Mapping[str, np.ndarray]) -> object:
        if isinstance(self.main, Factor):
            return pd.Categorical.from_codes(self.main.codes(data), categories=pd.Index(self.main.labels))
        return self.main.eval(data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shown) and self.main == other.main

    def __hash__(self) -> int:
        return hash(self.main)


def by_patsy(terms: Sequence[Term], columns: Mapping[str, np.ndarray]) -> dict[Term | None, np.ndarray]:
    """The columns of each term as patsy fills them."""
    made = [patsy.Term([]), *(patsy.Term([Shown(main) for main in mains_of(t)]) for t in terms)]
    info = patsy.build.design_matrix_builders([made], lambda: iter([columns]), eval_env=0)[0]
    (matrix,) = patsy.build.build_design_matrices([info], pd.DataFrame(columns))
    named = zip([None, *terms], made, strict=True)
    filled = np.broadcast_to(np.asarray(matrix), (60, matrix.shape[1]))  # an intercept alone has one row
    return {term: filled[:, info.term_slices[patsy_term]] for term, patsy_term in named}


@pytest.mark.parametrize(
    "terms",
    [
        [],
        [X, G, T, S],
        [G, T, Product(T, G)],
        [T, Product(G, T), G],
        [X, G, Product(X, G)],
        [G, X, Product(G, X)],
        [Linear("x"), T, Product(Linear("x"), T)],
        [X, T, Product(X, T)],
        [X, Linear("u"), S, Product(X, S), Product(Linear("u"), S)],
        [G, S, Product(G, S), Linear("x")],
        [G, Linear("x"), Power("x", 2.0), Product(Power("x", 2.0), G)],
        [FractionalPolynomial("x", (0.5, 0.5), 0.0, 10.0), S, Product(FractionalPolynomial("x", (0.0,)), S)],
        [COMPOSITION, S, Product(COMPOSITION, S)],
        [Product(T, G)],  # without its main effects patsy codes every level
        [Product(G, S), T],
        [factor("s", np.zeros(1)), T],
    ],
)
def test_the_columns_are_those_that_patsy_fills(terms: list[Term]) -> None:
    columns = {**MANY, "s": np.zeros(60)} if terms and terms[0] == factor("s", np.zeros(1)) else MANY
    design = build_design(columns, terms, 60)
    expected = by_patsy(terms, columns)
    assert design.matrix.shape[1] == sum(m.shape[1] for m in expected.values()) == len(design.names)
    for term in terms:
        np.testing.assert_allclose(design.matrix[:, list(design.columns_of[term])], expected[term], rtol=1e-14)
    assert len(set(design.names)) == len(design.names)
    assert design.matrix.flags.f_contiguous


def test_products_with_lines_and_splines_by_hand() -> None:
    product, curved = Product(Linear("x"), G), Product(Spline("t", (2.0, 4.0, 7.0)), S)
    design = build_design(COLUMNS, [Linear("x"), G, product, Spline("t", (2.0, 4.0, 7.0)), S, curved], 6)
    assert [design.names[c] for c in design.columns_of[product]] == ["x:g[middle]", "x:g[high]"]
    a, b = design.columns_of[product]
    np.testing.assert_array_equal(design.matrix[:, a], COLUMNS["x"] * (COLUMNS["g"] == 2))
    np.testing.assert_array_equal(design.matrix[:, b], COLUMNS["x"] * (COLUMNS["g"] == 3))
    c, _ = design.columns_of[curved]
    np.testing.assert_array_equal(design.matrix[:, c], COLUMNS["t"] * COLUMNS["s"])
    assert set(design.cells) == {G, S}


def test_a_product_finds_its_main_effect_among_terms_of_the_same_variable() -> None:
    """x as a line and as a spline: the product with the spline has no full set of levels."""
    product = Product(X, G)
    design = build_design(MANY, [Linear("x"), X, G, product], 60)
    assert len(design.columns_of[product]) == 2 * 2


def test_a_product_of_a_term_with_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="use a power of it"):
        build_design(MANY, [T, Product(T, T)], 60)


def test_a_design_is_replayed_with_its_levels_and_knots() -> None:
    terms = [X, G, Product(X, G)]
    whole = build_design(MANY, terms, 60).matrix
    part = build_design({name: v[:7] for name, v in MANY.items()}, terms, 7).matrix
    np.testing.assert_array_equal(part, whole[:7])


@pytest.mark.parametrize(
    ("term", "values", "sentence"),
    [
        (Power("x", 0.5), [1.0, -2.0, -3.0], "2 values of x are below 0"),
        (Power("x", -1.0), [1.0, 0.0, 3.0], "1 values of x are 0"),
        (Power("x", 0.0), [1.0, 2.0, 3.0], "must be finite and not 0"),
        (Power("x", 3.0), [1.0, np.nan, 3.0], "1 values of x are unknown, infinite"),
        (Power("x", 2.0), [1.0, 1e200, 3.0], "too large to compute with"),
        (Linear("x"), [1.0, np.inf, -np.inf], "2 values of x are unknown, infinite"),
        (Spline("x", (1.0, 2.0, 3.0)), [1.0, np.nan, 3.0], "1 values of x"),
        (FractionalPolynomial("x", (0.0,)), [1.0, 0.0, -1.0], "2 values of x are not above 0"),
        (Factor("x", (1.0, 3.0), ("a", "b")), [1.0, 2.0, 3.0], "1 values of x are none of its levels"),
        (Factor("x", (1.0, 3.0), ("a", "b")), [1.0, np.nan, 4.0], "2 values of x are none of its levels"),
        (factor("x", np.array([np.nan])), [np.nan, np.nan, np.nan], "has no categories"),
    ],
)
def test_values_outside_a_term_are_a_sentence(term: Main, values: list[float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build_design({"x": np.array(values)}, [term], 3)


def test_whole_powers_of_negative_values() -> None:
    made = build_design({"x": np.array([-2.0, 0.0, 3.0])}, [Power("x", 2.0)], 3)
    np.testing.assert_array_equal(made.matrix[:, 1], [4, 0, 9])


@pytest.mark.parametrize(
    "term",
    [
        Linear("x", per=4.0),
        Power("x", 2.0),
        Power("x", -0.5),
        X,
        FractionalPolynomial("x", (-1.0, -1.0), 2.0, 10.0),
        FractionalPolynomial("x", (0.0, 0.0, 3.0), 0.0, 5.0),
        Product(X, T),
        Product(S, FractionalPolynomial("x", (0.5,))),
    ],
)
def test_derivatives_are_those_of_the_columns(term: Term) -> None:
    terms = [*dict.fromkeys([T, S, *mains_of(term), term])]
    h = 1e-4
    rows = [build_design({**MANY, "x": MANY["x"] + move}, terms, 60).matrix for move in (-h, 0.0, h)]
    np.testing.assert_allclose(
        derivative_design(MANY, terms, 60, "x", 1), (rows[2] - rows[0]) / (2 * h), rtol=1e-6, atol=1e-7
    )
    second = derivative_design(MANY, terms, 60, "x", 2)
    np.testing.assert_allclose(second, (rows[2] - 2 * rows[1] + rows[0]) / h**2, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("terms", [[G], [Linear("g"), X, Product(Linear("g"), Power("g", 2.0))], [COMPOSITION]])
def test_no_slope_of_categories_products_with_itself_or_parts(terms: list[Term]) -> None:
    with pytest.raises(ValueError, match=r"no slope|no derivative"):
        derivative_design(MANY, terms, 60, "x" if terms == [COMPOSITION] else "g", 1)


def test_a_design_without_some_columns() -> None:
    design = build_design(MANY, [X, G, T], 60)
    less = without_columns(design, design.columns_of[X][1:])
    assert less.columns_of == {X: (1,), G: (2, 3), T: (4,)}
    assert less.names == ("Intercept", "x[0]", "g[middle]", "g[high]", "t")
    assert set(without_columns(design, design.columns_of[G]).cells) == set()


def test_variables_of_terms() -> None:
    assert variables_of(Product(X, G)) == ("x", "g")
    assert variables_of(COMPOSITION) == ("x", "t", "u")
    assert variables_of(Product(Linear("x"), Power("x", 2.0))) == ("x",)
