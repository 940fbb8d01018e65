"""Properties of fits that hold for any table."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from walkrisk.models.covariance import covariance
from walkrisk.models.design import Linear, Product, build_design, factor
from walkrisk.models.fit import Fit, fit_model

MANY = settings(max_examples=60)
CELL = st.tuples(st.integers(1, 40), st.integers(1, 60)).map(lambda t: (t[0], t[0] + t[1]))  # (cases, people)


def people(cells: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    codes = np.concatenate([np.full(n, float(i)) for i, (_, n) in enumerate(cells, start=1)])
    return codes, np.concatenate([np.repeat([1.0, 0.0], [a, n - a]) for a, n in cells])


def fitted(codes: np.ndarray, y: np.ndarray, method: str = "modified_poisson") -> Fit:
    return fit_model(method, build_design({"g": codes}, [factor("g", codes)], len(y)), y)


@MANY
@given(st.lists(CELL, min_size=2, max_size=6), st.sampled_from(["modified_poisson", "log_binomial"]))
def test_crude_ratios_and_their_robust_errors_have_a_closed_form(cells: list[tuple[int, int]], method: str) -> None:
    fit = fitted(*people(cells), method)
    assert fit.converged
    (b, m), v = cells[0], covariance(fit, "HC0")
    for i, (a, n) in enumerate(cells[1:], start=1):
        assert math.isclose(math.exp(fit.coefficients[i]), (a / n) / (b / m), rel_tol=1e-8)
        assert math.isclose(v[i, i], 1 / a - 1 / n + 1 / b - 1 / m, rel_tol=1e-7)


@MANY
@given(st.lists(st.one_of(CELL, st.integers(1, 30).map(lambda n: (0, n))), min_size=2, max_size=6))
def test_cells_without_cases_do_not_touch_the_others(cells: list[tuple[int, int]]) -> None:
    assume(any(a for a, _ in cells))
    codes, y = people(cells)
    fit = fitted(codes, y)
    with_cases = [i for i, (a, _) in enumerate(cells) if a]
    rest = np.isin(codes, [i + 1 for i in with_cases])
    alone = fitted(codes[rest], y[rest])
    assert fit.converged
    assert fit.n == len(y)
    assert math.isclose(fit.log_likelihood, alone.log_likelihood, rel_tol=1e-10, abs_tol=1e-10)
    assert sum("has no cases" in s for s in fit.warnings) == len(cells) - len(with_cases)
    if cells[0][0]:
        np.testing.assert_allclose(fit.coefficients[fit.estimated], alone.coefficients, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(covariance(fit, "HC0"), covariance(alone, "HC0"), rtol=1e-8, atol=1e-12)
    else:
        assert fit.no_reference


@MANY
@given(st.integers(0, 10_000))
def test_a_saturated_product_has_the_likelihood_of_its_cells(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 120
    g, s = rng.integers(1, 4, n).astype(float), rng.integers(0, 3, n).astype(float)
    y = (rng.random(n) < 0.15).astype(float)
    assume(y.any())
    gf, sf = factor("g", g), factor("s", s)
    fit = fit_model("modified_poisson", build_design({"g": g, "s": s}, [gf, sf, Product(gf, sf)], n), y)
    cells = [(y[m].sum(), m.sum()) for a in (1, 2, 3) for b in (0, 1, 2) for m in [(g == a) & (s == b)] if m.any()]
    assert fit.converged
    assert fit.parameters == sum(c > 0 for c, _ in cells)
    saturated = sum(c * math.log(c / m) - c for c, m in cells if c)
    assert math.isclose(fit.log_likelihood, saturated, rel_tol=1e-9)


@MANY
@given(st.integers(0, 10_000), st.floats(0.001, 1000), st.floats(-500, 500))
def test_units_and_origin_of_a_covariate_change_only_its_own_coefficient(seed: int, unit: float, origin: float) -> None:
    rng = np.random.default_rng(seed)
    g, x = rng.integers(1, 4, 150).astype(float), rng.normal(size=150)
    y = (rng.random(150) < 0.35).astype(float)
    assume(all(y[g == i].any() for i in (1, 2, 3)))
    terms = [factor("g", g), Linear("x")]
    plain = fit_model("modified_poisson", build_design({"g": g, "x": x}, terms, 150), y)
    moved = fit_model("modified_poisson", build_design({"g": g, "x": unit * x + origin}, terms, 150), y)
    assert moved.converged
    np.testing.assert_allclose(moved.coefficients[1:3], plain.coefficients[1:3], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(moved.coefficients[3] * unit, plain.coefficients[3], rtol=1e-5, atol=1e-7)
    a, b = covariance(plain, "HC3"), covariance(moved, "HC3")
    np.testing.assert_allclose(b[1:3, 1:3], a[1:3, 1:3], rtol=1e-4)


@MANY
@given(st.integers(0, 10_000))
def test_the_order_of_people_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    g, x, y = rng.integers(1, 5, 90).astype(float), rng.normal(size=90), (rng.random(90) < 0.3).astype(float)
    assume(y.any())
    order = rng.permutation(90)
    terms = [factor("g", g), Linear("x")]
    a = fit_model("modified_poisson", build_design({"g": g, "x": x}, terms, 90), y)
    b = fit_model("modified_poisson", build_design({"g": g[order], "x": x[order]}, terms, 90), y[order])
    assert a.converged == b.converged
    np.testing.assert_allclose(a.coefficients, b.coefficients, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(covariance(a, "HC0"), covariance(b, "HC0"), rtol=1e-7, atol=1e-11)
