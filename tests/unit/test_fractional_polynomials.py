"""Fractional polynomials: columns by hand, derivatives, shift and scale, and the choice of powers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from walkrisk.estimates.dose_response import ratio_curve
from walkrisk.models.covariance import covariance
from walkrisk.models.design import FractionalPolynomial, Linear, Spline, Term, build_design
from walkrisk.models.fit import fit_model
from walkrisk.models.fractional_polynomials import candidate_powers, fractional_powers, shift_and_scale
from walkrisk.models.power_selection import select_powers

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
METHODS = {"poisson": "modified_poisson", "binomial": "logistic"}
OTHERS: list[Term] = [Linear("x"), Linear("z")]


def test_columns_by_hand() -> None:
    x = np.array([1.0, 4.0, 9.0])
    np.testing.assert_allclose(fractional_powers(x, (-0.5, 2.0)), np.column_stack([1 / np.sqrt(x), x**2]))
    np.testing.assert_allclose(fractional_powers(x, (0.0, 0.0)), np.column_stack([np.log(x), np.log(x) ** 2]))
    np.testing.assert_allclose(fractional_powers(x, (1.0, 1.0)), np.column_stack([x, x * np.log(x)]))
    moved = fractional_powers(x, (3.0,), shift=1.0, scale=10.0)
    np.testing.assert_allclose(moved[:, 0], ((x + 1) / 10) ** 3)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 2.0, 3.0], (0.0, 1.0)),
        ([20.0, 40.0, 60.0], (0.0, 100.0)),  # log10(40) is 1.6, which rounds to 2
        ([0.0, 0.25, 1.0], (0.3, 1.0)),  # the smallest gap, rounded up to a tenth
        ([-2.0, 0.0, 2.0, np.nan], (4.0, 10.0)),
        ([0.001, 0.003], (0.0, 0.001)),
    ],
)
def test_shift_and_scale(values: list[float], expected: tuple[float, float]) -> None:
    np.testing.assert_allclose(shift_and_scale(np.array(values)), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: fractional_powers(np.array([0.0, 1.0, -1.0]), (1.0,)), "2 values of x are not above 0"),
        (lambda: fractional_powers(np.array([np.nan, np.inf]), (1.0,)), "2 values of x are not above 0"),
        (lambda: fractional_powers(np.ones(2), (2.0, 1.0)), "increasing order"),
        (lambda: fractional_powers(np.ones(2), ()), "one or more finite powers"),
        (lambda: fractional_powers(np.ones(2), (1.0,), scale=0.0), "a scale above 0"),
        (lambda: shift_and_scale(np.ones(5)), "two or more different, finite values"),
        (lambda: shift_and_scale(np.array([1.0, np.inf])), "two or more different, finite values"),
    ],
)
def test_what_cannot_be_computed_is_a_sentence(call: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()


def test_there_are_8_and_36_sets_of_powers() -> None:
    assert (len(candidate_powers(1)), len(candidate_powers(2))) == (8, 36)


@pytest.fixture(scope="module")
def data() -> dict[str, np.ndarray]:
    table = pd.read_csv(REFERENCE / "models_data.csv")
    return {name: table[name].to_numpy(dtype=np.float64) for name in table.columns}


@pytest.fixture(scope="module")
def r() -> pd.DataFrame:
    table = pd.read_csv(REFERENCE / "dose_response.csv", dtype={"term": str}, keep_default_na=False)
    return table.set_index(["model", "statistic"]).sort_index()


@pytest.mark.parametrize("family", ["poisson", "binomial"])
def test_every_deviance_is_that_of_r(family: str, data: dict[str, np.ndarray], r: pd.DataFrame) -> None:
    rows = r.loc[[(family, "deviance")]]
    expected = {tuple(map(float, str(t).split())): v for t, v in zip(rows["term"], rows["value"], strict=True)}
    made = select_powers(METHODS[family], data, "dose", OTHERS, data["y"])
    got = {c.powers: c.deviance for c in made.candidates}
    assert len(got) == len(expected) == 1 + 8 + 36
    assert not made.failed
    for powers, deviance in expected.items():
        np.testing.assert_allclose(got[powers], deviance, rtol=1e-10)
    steps = {s.against: s for s in made.steps}
    best = min(v for p, v in expected.items() if len(p) == 2)
    np.testing.assert_allclose(steps["no term"].chi2, expected[()] - best, rtol=1e-7)
    assert steps["no term"].df == 4
    kept = {s.against: s for s in select_powers(METHODS[family], data, "dose", OTHERS, data["y"], alpha=1.0).steps}
    assert {name: s.df for name, s in kept.items()} == {"no term": 4, "a straight line": 3, "one power": 2}
    one = min(v for p, v in expected.items() if len(p) == 1)
    against = {"no term": expected[()], "a straight line": expected[(1.0,)], "one power": one}
    np.testing.assert_allclose([s.chi2 for s in kept.values()], [against[n] - best for n in kept], rtol=1e-6)
    np.testing.assert_allclose([s.p_value for s in kept.values()], [chi2.sf(s.chi2, s.df) for s in kept.values()])


@pytest.mark.parametrize("family", ["poisson", "binomial"])
def test_a_curve_with_repeated_powers(family: str, data: dict[str, np.ndarray], r: pd.DataFrame) -> None:
    term = FractionalPolynomial("dose", (0.5, 0.5), scale=100.0)
    fit = fit_model(METHODS[family], build_design(data, [term, *OTHERS], 320), data["y"])
    at = r.loc[[(family, "curve")]]
    made = ratio_curve(fit, "dose", covariance(fit, "HC0"), at["term"].astype(float).to_numpy(), reference=60.0)
    np.testing.assert_allclose(made.values.log_ratio, at["value"], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(made.values.std_error, r.loc[[(family, "curve_se")], "value"], rtol=1e-6, atol=1e-12)


def simulated(curve: Any, n: int = 4000) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(8)
    x = rng.uniform(0.2, 5, n)
    return {"x": x, "z": rng.normal(size=n), "y": (rng.random(n) < np.exp(curve(x))).astype(float)}


@pytest.mark.parametrize("degree", [1, 2])
def test_the_procedure_finds_the_shape(degree: Any) -> None:
    def chosen(curve: Any, **options: Any) -> tuple[float, ...]:
        d = simulated(curve)
        return select_powers("log_binomial", d, "x", [Linear("z")], d["y"], degree=degree, **options).powers

    assert chosen(lambda x: 0 * x - 1.2) == ()
    assert chosen(lambda x: 0 * x - 1.2, keep=True) == (1.0,)
    assert chosen(lambda x: -2.5 + 0.3 * x) == (1.0,)
    assert len(chosen(lambda x: -1.6 + 0.5 * np.log(x))) == 1
    if degree == 2:
        assert len(chosen(lambda x: -2.5 + 0.35 * (x - 2.5) ** 2)) == 2


def test_a_shift_makes_a_variable_with_zeros_fit() -> None:
    d = simulated(lambda x: -2.0 + 0.2 * x)
    d["x"] = np.round(d["x"] - 0.2, 1)
    with pytest.raises(ValueError, match="not above 0"):
        select_powers("modified_poisson", d, "x", [], d["y"], degree=1, shift=0.0)
    made = select_powers("modified_poisson", d, "x", [], d["y"], degree=1)
    assert made.term is not None
    assert made.term.shift == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"degree": 3}, "degree 1 or 2"),
        ({"alpha": 0.0}, "alpha above 0"),
        ({"others": [Spline("x", (1.0, 2.0, 3.0))]}, "stands in the other terms"),
        ({"y": np.zeros(4000)}, "Too few models"),
    ],
)
def test_misuse_of_the_procedure_is_a_sentence(options: dict[str, Any], sentence: str) -> None:
    d = simulated(lambda x: 0 * x - 1.2)
    use = {"others": [Linear("z")], "y": d["y"], "degree": 1, **options}
    others, y = use.pop("others"), use.pop("y")
    with pytest.raises(ValueError, match=sentence):
        select_powers("modified_poisson", d, "x", others, y, **use)
