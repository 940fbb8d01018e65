"""Propensity scores: against logistic regression, statsmodels' multinomial logit, closed forms, and what has none."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.models.design import Factor, Linear, build_design, factor
from walkrisk.models.fit import fit_model
from walkrisk.models.propensity import fit_propensity

FloatArray = npt.NDArray[np.float64]
THREE = Factor("dose", (1.0, 2.0, 3.0), ("low", "mid", "high"))
TWO = Factor("dose", (0.0, 1.0), ("no", "yes"))


def sample(n: int = 400, seed: int = 5) -> dict[str, FloatArray]:
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=n), rng.integers(1, 4, n).astype(float)
    eta = np.column_stack([np.zeros(n), 0.4 * x - 0.2, -0.5 * x + 0.3 * (g == 2)])
    p = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
    dose = 1.0 + (rng.random((n, 1)) > np.cumsum(p, axis=1)).sum(axis=1)
    return {"x": x, "g": g, "dose": dose, "w": rng.uniform(0.5, 2, n)}


def test_three_levels_as_statsmodels() -> None:
    from statsmodels.discrete.discrete_model import MNLogit

    data = sample()
    design = build_design(data, [Linear("x"), factor("g", data["g"])], 400)
    ours = fit_propensity(design, data["dose"], THREE)
    theirs = MNLogit(data["dose"] - 1, design.matrix).fit(disp=0, method="newton", tol=1e-12)
    np.testing.assert_allclose(ours.coefficients, theirs.params, rtol=1e-8)
    np.testing.assert_allclose(ours.log_likelihood, theirs.llf, rtol=1e-12)
    np.testing.assert_allclose(ours.scores.sum(axis=1), 1.0, rtol=1e-12)
    assert ours.relative_score < 1e-9


def test_two_levels_are_logistic_regression_with_its_influence() -> None:
    data = sample()
    yes, design = (data["dose"] == 3).astype(float), build_design(data, [Linear("x")], 400)
    ours = fit_propensity(design, yes, TWO, weights=data["w"])
    fit = fit_model("logistic", design, yes, weights=data["w"])
    np.testing.assert_allclose(ours.coefficients[:, 0], fit.coefficients, rtol=1e-9)
    moved = np.linalg.lstsq(design.matrix, ours.basis, rcond=None)[0]  # gamma is in another basis of the same space
    np.testing.assert_allclose(ours.influence @ moved.T, fit.scores @ fit.bread, rtol=1e-7, atol=1e-12)


def test_an_intercept_alone_gives_the_shares() -> None:
    data = {**sample(), "one": np.ones(400)}
    ours = fit_propensity(build_design(data, [Linear("one")], 400), data["dose"], THREE, weights=data["w"])
    shares = [data["w"][data["dose"] == k].sum() / data["w"].sum() for k in (1, 2, 3)]
    np.testing.assert_allclose(ours.scores[0], shares, rtol=1e-12)


def test_units_collinear_columns_and_the_base_level_change_no_score() -> None:
    data = sample()
    plain = fit_propensity(build_design(data, [Linear("x")], 400), data["dose"], THREE)
    odd = {**data, "x": 1e6 + 1000 * data["x"], "twice": 2e6 + 2000 * data["x"]}
    again = fit_propensity(build_design(odd, [Linear("x"), Linear("twice")], 400), data["dose"], THREE)
    np.testing.assert_allclose(again.scores, plain.scores, rtol=1e-6)
    assert "twice" in again.warnings[0]
    assert np.isnan(again.coefficients[2]).all()
    turned = fit_propensity(build_design(data, [Linear("x")], 400), 4 - data["dose"], THREE)
    np.testing.assert_allclose(turned.scores[:, ::-1], plain.scores, rtol=1e-8)


def test_a_category_where_nobody_has_a_level_is_named() -> None:
    data = sample()
    data["dose"] = np.where((data["g"] == 3) & (data["dose"] == 3), 1.0, data["dose"])
    with pytest.raises(ValueError, match=r"nobody of the \d+ in g 3 has high.*Merge such categories"):
        fit_propensity(build_design(data, [Linear("x"), factor("g", data["g"])], 400), data["dose"], THREE)


def test_perfect_separation_by_a_continuous_covariate() -> None:
    data = sample()
    with pytest.raises(ValueError, match="certainty"):
        fit_propensity(build_design(data, [Linear("x")], 400), (data["x"] > 0).astype(float), TWO)


@pytest.mark.parametrize(
    ("codes", "weights", "sentence"),
    [
        (np.array([0.0, 1, np.nan, 1]), None, "missing values"),
        (np.array([0.0, 1, 2, 1]), None, "none of its levels"),
        (np.array([0.0, 0, 0, 0]), None, "Nobody has dose yes"),
        (np.array([0.0, 1, 0, 1]), np.array([1.0, -1, 1, 1]), "not negative"),
        (np.array([0.0, 1, 0, 1]), np.zeros(4), "not all 0"),
        (np.array([0.0, 1, 0, 1]), np.array([1.0, np.inf, 1, 1]), "finite"),
        (np.array([0.0, 1, 0, 1]), np.array([1.0, 0, 1, 0]), "Nobody has dose yes"),
    ],
)
def test_misuse(codes: FloatArray, weights: FloatArray | None, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        fit_propensity(build_design({"x": np.arange(4.0)}, [Linear("x")], 4), codes, TWO, weights=weights)


def test_an_exposure_with_one_level() -> None:
    with pytest.raises(ValueError, match="single level"):
        fit_propensity(
            build_design({"x": np.arange(2.0)}, [Linear("x")], 2), np.ones(2), Factor("dose", (1.0,), ("all",))
        )
