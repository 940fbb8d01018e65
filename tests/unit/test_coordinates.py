"""Coordinates of an ill-conditioned design, and the fits that need them: the same numbers as of the centred columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.models.coordinates import is_narrow, well_conditioned
from walkrisk.models.covariance import covariance
from walkrisk.models.design import Linear, build_design, factor
from walkrisk.models.fit import FAMILIES, Fit, fit_model

Array = npt.NDArray[np.float64]
ENOUGH = [(2017.0, 1.0), (1.5e5, 1.0), (0.0, 1e-6), (0.0, 1e6), (2017.0, 1e-2), (2017.0, 1e-6), (1e6, 1e-3), (1e7, 1.0)]
TOO_FAR = [(1e12, 1.0)]


def fitted(method: str, age: Array, group: Array, y: Array, engine: str = "newton") -> Fit:
    design = build_design({"age": age, "g": group}, [factor("g", group), Linear("age")], len(y))
    return fit_model(method, design, y, engine=engine)


def data(method: str) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(3)
    age, group = np.round(rng.normal(50, 10, 1500), 1), rng.integers(0, 3, 1500) + 1.0
    risk = 0.3 + 0.004 * (age - 50) if FAMILIES[method].link == "identity" else 0.15 * np.exp(0.02 * (age - 50))
    y = (rng.random(1500) < np.clip(risk + 0.03 * (group == 2), 0.02, 0.95)).astype(float)
    return np.asarray(age, dtype=np.float64), np.asarray(group, dtype=np.float64), y


@pytest.mark.parametrize("method", FAMILIES)
@pytest.mark.parametrize(("shift", "unit"), [*ENOUGH, *TOO_FAR])
def test_a_standard_error_has_six_digits_or_is_not_given(method: str, shift: float, unit: float) -> None:
    """A year with small differences, and other offsets: against the fit of the very differences."""
    age, group, y = data(method)
    moved = shift + unit * age
    plain = fitted(method, (moved - (shift + unit * 50)) / (10 * unit), group, y)
    fit = fitted(method, moved, group, y)
    if (shift, unit) in TOO_FAR:
        assert not (fit.converged and fit.estimable.all())
        assert any(s.startswith("age: a combination of earlier columns") for s in fit.warnings)
        return
    assert fit.converged
    assert [s for s in fit.warnings if "the ratio per unit is no number" not in s] == list(plain.warnings)
    scale = np.array([1.0, 1.0, 1.0, 10 * unit])
    np.testing.assert_allclose((fit.coefficients * scale)[1:], plain.coefficients[1:], rtol=1e-8)
    for variance in ("HC0", "HC3", "model", "model_expected"):
        expected = np.sqrt(np.diag(covariance(plain, variance)))[1:]
        np.testing.assert_allclose((np.sqrt(np.diag(covariance(fit, variance))) * scale)[1:], expected, rtol=1e-6)


@pytest.mark.parametrize("method", FAMILIES)
@pytest.mark.parametrize("engine", ["newton", "statsmodels"])
def test_pieces_of_an_ill_conditioned_fit_are_right_to_rounding(method: str, engine: str) -> None:
    """Coefficients, breads and what a person adds to an estimate, though no estimate is given."""
    age, group, y = data(method)
    moved = 2017 + 1e-6 * age
    plain = fitted(method, (moved - (2017 + 5e-5)) / 1e-5, group, y)
    fit = fitted(method, moved, group, y, engine)
    np.testing.assert_allclose(fit.coefficients[3] * 1e-5, plain.coefficients[3], rtol=1e-9)
    np.testing.assert_allclose(fit.log_likelihood, plain.log_likelihood, rtol=1e-12)
    for ours, theirs in ((fit.bread, plain.bread), (fit.expected_bread, plain.expected_bread)):
        assert ours is not None
        assert theirs is not None
        np.testing.assert_allclose(ours[3, 3] * 1e-10, theirs[3, 3], rtol=1e-8)
    influence, expected = (fit.scores @ fit.bread)[:, 3] * 1e-5, (plain.scores @ plain.bread)[:, 3]
    np.testing.assert_allclose(influence, expected, atol=1e-6 * np.abs(expected).max())
    assert fit.conditioned is not None
    v = fit.conditioned.back @ covariance(fit.conditioned.fit, "HC3") @ fit.conditioned.back.T
    np.testing.assert_allclose(v[3, 3] * 1e-10, covariance(plain, "HC3")[3, 3], rtol=1e-9)
    assert fit.certificate is not None
    assert fit.certificate.gap < 1e-12
    assert fit.certificate.kkt_residual < 1e-9


def test_a_maximum_on_the_boundary_of_an_ill_conditioned_design() -> None:
    x = np.repeat([0.0, 1.0], [10, 5])
    y = np.concatenate([np.repeat([1.0, 0.0], [3, 7]), np.ones(5)])
    fit = fit_model("log_binomial", build_design({"x": 2017 + 1e-4 * x}, [Linear("x")], 15), y)
    assert fit.boundary
    np.testing.assert_allclose(fit.coefficients[1] * 1e-4, -np.log(0.3), rtol=1e-8)


def test_columns_nearly_alike_are_told_from_the_rest() -> None:
    rng = np.random.default_rng(1)
    x, other = rng.normal(size=300), rng.normal(size=300)
    y = (rng.random(300) < 0.4).astype(float)
    columns = {"x": x, "other": other, "almost": x + 1e-6 * rng.normal(size=300)}
    fit = fit_model("modified_poisson", build_design(columns, [Linear(c) for c in columns], 300), y)
    apart = {**columns, "almost": (columns["almost"] - x) * 1e6}
    plain = fit_model("modified_poisson", build_design(apart, [Linear(c) for c in apart], 300), y)
    np.testing.assert_allclose(fit.coefficients[3] / 1e6, plain.coefficients[3], rtol=1e-8)
    errors = [float(np.sqrt(covariance(f, "HC0")[3, 3])) for f in (fit, plain)]
    np.testing.assert_allclose(errors[0] / 1e6, errors[1], rtol=1e-6)


def test_coordinates_are_orthonormal_and_lead_back() -> None:
    rng = np.random.default_rng(4)
    w = rng.uniform(0, 2, 200)
    x = np.column_stack([np.ones(200), 1e6 + rng.normal(size=200), 1e-6 * rng.normal(size=200)])
    assert is_narrow(x, w)
    made = well_conditioned(x, w)
    assert made is not None
    assert not is_narrow(made.z, w)
    np.testing.assert_allclose((made.z * w[:, None]).T @ made.z, np.eye(3) * w.sum(), atol=1e-9 * w.sum())
    np.testing.assert_allclose(x @ made.back, made.z, atol=1e-7)
    assert (made.z[:, 0] == 1).all()
    assert well_conditioned(np.column_stack([x, x[:, 1]]), w) is None
    assert well_conditioned(np.column_stack([x[:, 1], 2 * x[:, 1]]), w) is None
