"""Standardised risk curves: means of fitted risks, their covariance, ratios and differences to a reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from walkrisk.estimates.dose_response import ratio_curve
from walkrisk.estimates.standardised_curve import standardised_curve
from walkrisk.models.covariance import covariance, influence
from walkrisk.models.design import Linear, Product, Spline, Term, build_design, factor
from walkrisk.models.fit import Fit, fit_model

N = 700
RNG = np.random.default_rng(21)
DATA = {"x": RNG.gamma(4, 10, N), "z": RNG.normal(size=N), "g": RNG.integers(1, 3, N).astype(float)}
DATA["y"] = (RNG.random(N) < np.exp(-1.4 + 0.3 * np.cos(DATA["x"] / 20) + 0.1 * DATA["z"])).astype(float)
SPLINE, G = Spline("x", (15.0, 35.0, 70.0)), factor("g", DATA["g"])
TERMS: list[Term] = [SPLINE, Linear("z"), G, Product(SPLINE, G)]
X = np.array([10.0, 35.0, 80.0])


def fitted(method: str, weights: Any = None, terms: list[Term] = TERMS) -> Fit:
    return fit_model(method, build_design(DATA, terms, N), DATA["y"], weights=weights)


def curve_of(fit: Fit, terms: list[Term] = TERMS, **options: Any) -> Any:
    use = {"y": DATA["y"], "reference": 35.0, "variance": "HC0", **options}
    return standardised_curve(fit, terms, DATA, "x", X, **use)


@pytest.mark.parametrize("method", ["logistic", "modified_poisson"])
def test_the_risk_is_the_mean_of_everyones_with_x_set(method: str) -> None:
    fit = fitted(method)
    made = curve_of(fit)
    for k, x in enumerate(X):
        eta = build_design({**DATA, "x": np.full(N, x)}, TERMS, N).matrix @ fit.coefficients
        risks = np.exp(eta) if method == "modified_poisson" else 1 / (1 + np.exp(-eta))
        np.testing.assert_allclose(made.risk[k], risks.mean(), rtol=1e-12)
    np.testing.assert_allclose(made.ratio, made.risk / made.risk[1])
    np.testing.assert_allclose(made.difference, made.risk - made.risk[1])
    assert (made.ratio_std_error[1], made.difference_std_error[1], made.ratio_low[1]) == (0.0, 0.0, 1.0)
    assert np.all((made.low < made.risk) & (made.risk < made.high) & (made.low > 0) & (made.high < 1))


def test_the_gradient_is_that_of_moved_coefficients() -> None:
    """Conditional standard errors are sqrt(g V g') with g by finite differences."""
    fit = fitted("logistic")
    v = covariance(fit, "HC0")
    made = curve_of(fit, unconditional=False)
    designs = [build_design({**DATA, "x": np.full(N, x)}, TERMS, N).matrix for x in X]

    def risks(b: np.ndarray) -> np.ndarray:
        return np.array([np.mean(1 / (1 + np.exp(-m @ b))) for m in designs])

    h = 1e-6 * np.maximum(np.abs(fit.coefficients), 1e-3)
    moves = np.diag(h)
    g = np.array(
        [(risks(fit.coefficients + m) - risks(fit.coefficients - m)) / (2 * d) for m, d in zip(moves, h, strict=True)]
    )
    np.testing.assert_allclose(made.covariance, g.T @ v @ g, rtol=1e-5)


def test_the_unconditional_covariance_adds_the_sampling_of_covariates() -> None:
    fit = fitted("logistic")
    made = curve_of(fit)
    phi = made.risks.deviations + influence(fit, "HC0") @ made.risks.gradients.T
    np.testing.assert_allclose(made.covariance, (phi.T @ phi)[:3, :3], rtol=1e-10)
    log_phi = phi[:, 0] / made.risk[0] - phi[:, 3] / made.risk[1]
    np.testing.assert_allclose(made.ratio_std_error[0], np.sqrt(log_phi @ log_phi), rtol=1e-9)
    moved = phi[:, 0] - phi[:, 3]
    np.testing.assert_allclose(made.difference_std_error[0], np.sqrt(moved @ moved), rtol=1e-9)


def test_without_products_a_log_model_gives_its_own_curve() -> None:
    terms: list[Term] = [SPLINE, Linear("z"), G]
    fit = fitted("modified_poisson", terms=terms)
    own = ratio_curve(fit, "x", covariance(fit, "HC0"), X, reference=35.0).values
    made = curve_of(fit, terms, unconditional=False)
    np.testing.assert_allclose(made.ratio, own.ratio, rtol=1e-10)
    np.testing.assert_allclose(made.ratio_std_error, own.std_error, rtol=1e-8, atol=1e-12)


def test_weights_and_populations_stand_for_people() -> None:
    weights = RNG.integers(1, 4, N).astype(float)
    made = curve_of(fitted("logistic", weights), weights=weights)
    often = np.repeat(np.arange(N), weights.astype(int))
    columns = {name: v[often] for name, v in DATA.items()}
    fit = fit_model("logistic", build_design(columns, TERMS, len(often)), columns["y"])
    same = standardised_curve(fit, TERMS, columns, "x", X, y=columns["y"], reference=35.0, variance="HC0")
    np.testing.assert_allclose(made.risk, same.risk, rtol=1e-9)
    whole = curve_of(fitted("logistic"), population=DATA["g"] == 2)
    some = build_design({**DATA, "x": np.full(N, 10.0)}, TERMS, N).matrix[DATA["g"] == 2]
    np.testing.assert_allclose(whole.risk[0], np.mean(1 / (1 + np.exp(-some @ fitted("logistic").coefficients))))


@pytest.mark.parametrize(
    ("options", "sentence"), [({"reference": np.nan}, "known and finite"), ({"conf_level": 95}, "between 0 and 1")]
)
def test_misuse_is_a_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        curve_of(fitted("logistic"), **options)
    with pytest.raises(ValueError, match="in no term"):
        standardised_curve(fitted("logistic"), TERMS, DATA, "w", X, y=DATA["y"], reference=1.0, variance="HC0")
