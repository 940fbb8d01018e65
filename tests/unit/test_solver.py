"""The maximum of a likelihood and the certificate that it is one."""

from __future__ import annotations

import numpy as np
import pytest

from walkrisk.models.solver import LOG_BINOMIAL, LOGISTIC, POISSON, Family, inverse_information, maximise, vanished

FAMILIES = [POISSON, LOG_BINOMIAL, LOGISTIC]


def data(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    x = np.column_stack([np.ones(n), rng.normal(0, 0.5, n), rng.integers(0, 2, n)])
    y = (rng.random(n) < np.exp(-1.5 + 0.3 * x[:, 1] + 0.2 * x[:, 2])).astype(float)
    return x, y


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_score_and_information_are_the_derivatives_of_the_likelihood(family: Family) -> None:
    eta, h = np.linspace(-4, -0.2, 30), 1e-5
    for y in (np.zeros(30), np.ones(30)):
        up, mid, down = (family.log_likelihood(eta + d, y) for d in (h, 0.0, -h))
        np.testing.assert_allclose(family.score(eta, y), (up - down) / (2 * h), rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(family.information(eta, y), -(up - 2 * mid + down) / h**2, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_expected_information_is_the_mean_of_the_observed(family: Family) -> None:
    eta = np.linspace(-4, -0.2, 30)
    if family is POISSON:  # its information does not depend on the outcome
        mean = family.information(eta, np.zeros(30))
    else:
        p = family.mean(eta)
        mean = p * family.information(eta, np.ones(30)) + (1 - p) * family.information(eta, np.zeros(30))
    np.testing.assert_allclose(family.expected(eta, np.zeros(30)), mean, rtol=1e-12)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_no_other_coefficients_are_better(family: Family) -> None:
    x, y = data()
    w = np.random.default_rng(9).uniform(0.5, 2, len(y))
    found = maximise(family, x, y, weights=w, start=np.array([-2.5, 0.0, 0.0]))
    assert found.converged
    for direction in np.vstack([np.eye(3), -np.eye(3)]):
        eta = x @ (found.coefficients + 1e-3 * direction)
        assert w @ family.log_likelihood(eta, y) < found.log_likelihood


def test_too_few_iterations_are_not_a_converged_fit() -> None:
    x, y = data()
    assert not maximise(POISSON, x, y, max_iterations=2).converged
    assert maximise(POISSON, x, y, max_iterations=20).converged


def test_the_scale_of_a_column_does_not_change_the_certificate() -> None:
    x, y = data()
    plain = maximise(POISSON, x, y)
    scale = np.array([1.0, 1e7, 1e-6])
    scaled = maximise(POISSON, x * scale, y)
    assert scaled.converged
    np.testing.assert_allclose(scaled.coefficients * scale, plain.coefficients, rtol=1e-8)


def test_a_far_start_is_brought_back() -> None:
    x, y = data()
    found = maximise(POISSON, x, y, start=np.array([12.0, 4.0, -3.0]))
    assert found.converged
    np.testing.assert_allclose(found.coefficients, maximise(POISSON, x, y).coefficients, rtol=1e-8)


@pytest.mark.parametrize("spread", [1.0, 1e-4, 1e-6])
def test_the_inverse_information_keeps_its_digits_for_nearly_collinear_columns(spread: float) -> None:
    """A date of 17,500 days with a small spread beside the intercept: against the inverse of the centred problem."""
    rng = np.random.default_rng(2)
    z = rng.normal(size=300)
    y = (rng.random(300) < 0.3).astype(float)
    eta = np.full(300, -1.2)
    centred = np.column_stack([np.ones(300), z])
    shifted = np.column_stack([np.ones(300), 100 + spread * z])
    good = inverse_information(POISSON, centred, y, eta, np.ones(300))
    got = inverse_information(POISSON, shifted, y, eta, np.ones(300))
    np.testing.assert_allclose(got[1, 1] * spread**2, good[1, 1], rtol=1e-6)


@pytest.mark.parametrize("family", [POISSON, LOGISTIC], ids=lambda f: f.name)
def test_a_score_that_underflows_is_no_maximum(family: Family) -> None:
    """The intercept's level has no events: its coefficient runs to -infinity, until the score is 0 to rounding."""
    claimed = 0
    for seed in range(0, 600, 10):
        rng = np.random.default_rng(seed)
        other = (rng.random(30) < rng.uniform(0.1, 0.9)).astype(float)
        y = np.where(other == 1, 0.0, rng.random(30) < 0.4)
        w = np.where(rng.random(30) < 0.5, 0.0, 1.0 if seed % 3 == 0 else rng.exponential(1, 30))
        x = np.column_stack([np.ones(30), 1 - other])
        if w @ y > 0 and w @ other > 0:
            claimed += maximise(family, x, y, weights=w).converged
    assert claimed == 0


def test_risks_that_only_some_rows_have_vanished_hold_no_coefficient() -> None:
    x = np.column_stack([np.ones(6), [0.0, 0, 0, 1, 1, 1]])
    mean = np.array([0.2, 0.3, 0.2, 1e-12, 1e-12, 1e-12])
    assert vanished(POISSON, x, mean).tolist() == [False, False, False, True, True, True]
    assert not vanished(POISSON, x, np.array([0.2, 0.3, 0.2, 0.1, 1e-12, 1e-12])).any()
    assert not vanished(POISSON, x, 1 - mean).any()
    assert vanished(LOGISTIC, x, 1 - mean).tolist() == [False, False, False, True, True, True]
