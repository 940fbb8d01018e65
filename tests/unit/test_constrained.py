"""Maxima on the boundary: closed forms, degenerate edges, and a certificate that is checked by other means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.models.barrier import Aim, Interior, Program, feasible, interior_point, program
from walkrisk.models.constrained import End, _judged, _on_the_edge, _within
from walkrisk.models.design import Design
from walkrisk.models.fit import Fit, fit_model
from walkrisk.models.solver import IDENTITY_BINOMIAL, IDENTITY_POISSON, LOG_BINOMIAL, Family
from walkrisk.models.support import separated_rows

Array = npt.NDArray[np.float64]
FAMILY = {"log_binomial": LOG_BINOMIAL, "identity_binomial": IDENTITY_BINOMIAL, "identity_poisson": IDENTITY_POISSON}


def fitted(x: Array, y: Array, method: str = "log_binomial", **kw: object) -> Fit:
    names = ("Intercept", *(f"x{i}" for i in range(1, x.shape[1])))
    return fit_model(method, Design(np.asfortranarray(x), names, {}, {}), y, **kw)  # type: ignore[arg-type]


def with_intercept(*columns: Array) -> Array:
    return np.column_stack([np.ones(len(columns[0])), *columns])


def hard(seed: int) -> tuple[Array, Array]:
    """Skewed covariates and risks that would exceed 1."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(40, 300)), int(rng.integers(1, 5))
    x = with_intercept(*(rng.lognormal(0, 1, n) if i % 2 else (rng.random(n) < 0.3).astype(float) for i in range(p)))
    eta = x[:, 1:] @ rng.normal(0, 0.5, p)
    return x, (rng.random(n) < np.minimum(np.exp(eta - np.quantile(eta, 0.8)), 1)).astype(float)


def inside(family: Family, eta: Array, y: Array) -> Array:
    """`eta` drawn a hair into the domain, for likelihoods of another solver's points."""
    low = 1e-13 if family.link == "identity" else -np.inf
    return np.clip(
        eta, low, {"log": -1e-13, "identity": 1 - 1e-13}[family.link] if family is not IDENTITY_POISSON else np.inf
    )


def satisfies_the_conditions(fit: Fit) -> None:
    """Karush-Kuhn-Tucker from scratch: feasible, multipliers of 0 or more on the edge only, stationary."""
    family, certificate = FAMILY[fit.method], fit.certificate
    assert certificate is not None
    assert fit.outcome is not None
    assert fit.weights is not None
    x, y, w = fit.x, fit.outcome, fit.weights
    eta = x @ fit.coefficients[fit.estimated]
    scale = 1e-9 * max(1.0, float(np.abs(x * fit.coefficients[fit.estimated]).max()))
    if family is LOG_BINOMIAL:
        assert eta.max() <= scale
    else:
        assert eta.min() >= -scale
        assert family is IDENTITY_POISSON or eta.max() <= 1 + scale
    assert certificate.multipliers.min() >= 0
    assert not certificate.multipliers[~certificate.active].any()
    sign = np.where(y == 1, 1.0, -1.0)
    edge = certificate.active
    score = np.zeros(len(y))
    with np.errstate(all="ignore"):
        score[~edge] = w[~edge] * family.score(eta[~edge], y[~edge])
    at_edge = {"log_binomial": 1.0, "identity_binomial": sign, "identity_poisson": -1.0}[fit.method]
    score[edge] = (w * at_edge)[edge]
    left = x.T @ (score - certificate.multipliers * (1.0 if family is LOG_BINOMIAL else sign))
    assert np.max(np.abs(left) / (np.abs(x).T @ w)) < 1e-7


@pytest.mark.parametrize("method", FAMILY)
@pytest.mark.parametrize("seed", range(25))
def test_hard_samples_are_solved_with_a_certificate(seed: int, method: str) -> None:
    x, y = hard(seed)
    fit = fitted(x, y, method)
    assert fit.converged
    assert fit.certificate is not None
    assert fit.certificate.gap < 1e-12
    assert fit.certificate.kkt_residual < 1e-10
    assert fit.boundary == (fit.certificate.verdict == "boundary") == bool(fit.certificate.active.any())
    satisfies_the_conditions(fit)


@pytest.mark.parametrize("method", FAMILY)
@pytest.mark.parametrize("seed", range(4))
def test_scipy_finds_no_more(seed: int, method: str) -> None:
    from scipy.optimize import minimize

    x, y = hard(seed)
    fit, family = fitted(x, y, method), FAMILY[method]
    kept, outcome = fit.x, fit.outcome
    assert outcome is not None
    z = with_intercept(*((c - c.mean()) / c.std() for c in kept[:, 1:].T))
    begin = np.zeros(z.shape[1])
    begin[0] = -1.0 if family.link == "log" else 0.3
    rows = [-z] if family.link == "log" else [z, -z][: 1 if family is IDENTITY_POISSON else 2]
    found = minimize(
        lambda b: -family.log_likelihood(inside(family, z @ b, outcome), outcome).sum(),
        begin,
        jac=lambda b: -z.T @ family.score(inside(family, z @ b, outcome), outcome),
        method="SLSQP",
        constraints=[
            {"type": "ineq", "fun": lambda b, a=a, k=k: a @ b + k, "jac": lambda b, a=a: a} for k, a in enumerate(rows)
        ],
        options={"maxiter": 1000, "ftol": 1e-13},
    )
    assert -found.fun <= fit.log_likelihood + 1e-6
    assert -found.fun >= fit.log_likelihood - 1e-4


def test_two_points_by_hand() -> None:
    """Risks (p, 1) of x = 0, 1: the log risk of x = 0 is the intercept, whatever the line, and x = 1 is at 1."""
    x = with_intercept(np.repeat([0.0, 1.0], [10, 5]))
    y = np.concatenate([np.repeat([1.0, 0.0], [3, 7]), np.ones(5)])
    fit = fitted(x, y)
    assert fit.boundary
    np.testing.assert_allclose(fit.coefficients, [np.log(0.3), -np.log(0.3)], rtol=1e-12)
    assert fit.certificate is not None
    assert fit.certificate.active_patterns == 1
    np.testing.assert_allclose(fit.certificate.multipliers[10:].sum(), 5.0, rtol=1e-9)
    np.testing.assert_allclose(fit.log_likelihood, 3 * np.log(0.3) + 7 * np.log(0.7), rtol=1e-12)


def test_more_active_rows_than_coefficients_and_copies_of_them() -> None:
    """Three all-event corners of a square, and a fourth implied: 4 patterns on the edge of 3 coefficients."""
    a, b = np.repeat([0.0, 1, 0, 1, 0.5], [6, 6, 6, 6, 20]), np.repeat([0.0, 0, 1, 1, 0.5], [6, 6, 6, 6, 20])
    y = np.concatenate([np.ones(24), np.repeat([1.0, 0.0], [12, 8])])
    fit = fitted(with_intercept(a, b, ((a == 0.5) & (b == 0.5)).astype(float)), y)
    assert fit.boundary
    assert fit.certificate is not None
    assert fit.certificate.active_patterns == 4
    np.testing.assert_allclose(fit.coefficients, [0, 0, 0, np.log(0.6)], atol=1e-9)
    satisfies_the_conditions(fit)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_units_change_nothing(unit: float) -> None:
    x, y = hard(3)
    plain, scaled = fitted(x, y), fitted(x * np.append(1.0, np.full(x.shape[1] - 1, unit)), y)
    np.testing.assert_allclose(scaled.coefficients[1:] * unit, plain.coefficients[1:], rtol=1e-7)
    np.testing.assert_allclose(scaled.log_likelihood, plain.log_likelihood, rtol=1e-12)
    assert scaled.boundary == plain.boundary


def test_whole_weights_are_copies_of_people_and_0_is_nobody() -> None:
    x, y = hard(5)
    w = np.random.default_rng(0).integers(0, 4, len(y)).astype(float)
    copies = np.repeat(np.arange(len(y)), w.astype(int))
    weighted, copied = fitted(x, y, weights=w), fitted(x[copies], y[copies])
    assert weighted.boundary
    np.testing.assert_allclose(weighted.coefficients, copied.coefficients, rtol=1e-8)
    np.testing.assert_allclose(weighted.log_likelihood, copied.log_likelihood, rtol=1e-12)


def test_nearly_the_same_columns() -> None:
    x, y = hard(7)
    close = x[:, -1] + 1e-4 * np.random.default_rng(1).normal(size=len(y))
    fit = fitted(np.column_stack([x, close]), y)
    assert fit.converged
    satisfies_the_conditions(fit)


def test_everyone_with_the_outcome_has_no_contrast() -> None:
    fit = fitted(np.ones((7, 1)), np.ones(7))
    assert not fit.converged
    assert "Everyone in this sample has the outcome" in fit.warnings[-1]


def test_a_maximum_that_is_not_unique_gives_no_estimate_of_what_it_leaves_open() -> None:
    """Only people with the outcome differ in x, equally to either side: many slopes are as good."""
    x = np.concatenate([np.zeros(20), [-1.0, 1.0]])
    y = np.concatenate([np.repeat([1.0, 0.0], [10, 10]), [1.0, 1.0]])
    fit = fitted(with_intercept(x), y)
    assert fit.converged
    assert fit.estimable.tolist() == [True, False]
    assert not fit.wald
    np.testing.assert_allclose(np.exp(fit.coefficients[0]), 12 / 22, rtol=1e-6)
    assert any("not estimable" in s for s in fit.warnings)


def test_separated_rows_are_found_exactly() -> None:
    rng = np.random.default_rng(2)
    x = with_intercept(rng.normal(size=60), rng.random(60).round())
    y = (rng.random(60) < 0.4).astype(float)
    assert not separated_rows(x, y).any()
    assert not separated_rows(x, y, logistic=True).any()
    apart = np.where(y == 1, 0.0, (rng.random(60) < 0.5) * 0.01)
    wider = np.column_stack([x, apart])
    np.testing.assert_array_equal(separated_rows(wider, y), apart > 0)
    ordered = with_intercept(np.sort(rng.normal(size=40)))
    assert separated_rows(ordered, (ordered[:, 1] > 0).astype(float), logistic=True).all()
    assert not separated_rows(ordered, (ordered[:, 1] > 0).astype(float)).any()


def test_separated_people_and_a_boundary_together() -> None:
    """Those apart have no risk, the rest its maximum on the edge; the intercept and slope are of the rest."""
    x = np.concatenate([np.repeat([0.0, 1.0], [10, 5]), np.zeros(8)])
    apart = np.concatenate([np.zeros(15), np.full(8, 2.5)])
    y = np.concatenate([np.repeat([1.0, 0.0], [3, 7]), np.ones(5), np.zeros(8)])
    fit = fitted(with_intercept(x, apart), y)
    assert fit.converged
    assert fit.boundary
    assert int(fit.rows.sum()) == 15
    np.testing.assert_allclose(fit.coefficients[:2], [np.log(0.3), -np.log(0.3)], rtol=1e-10)
    assert not fit.estimable[2]


def test_many_rows_are_quick() -> None:
    """A boundary of 60,000 rows and 12 columns: no matrix of rows by rows anywhere."""
    rng = np.random.default_rng(3)
    x = with_intercept(*(rng.exponential(1, 60_000) for _ in range(11)))
    y = (rng.random(60_000) < np.minimum(np.exp(-3 + x[:, 1:] @ np.full(11, 0.12)), 1)).astype(float)
    fit = fitted(x, y)
    assert fit.converged
    satisfies_the_conditions(fit)


# ---------------------------------------------------------------- the certificate, and the set of active rows


def ended(seed: int, method: str) -> tuple[Program, Interior, End, tuple[Array, Array, Array]]:
    """A program with its interior point and its maximum on the edge."""
    x, y = hard(seed)
    if FAMILY[method].link == "log":
        kept = ~separated_rows(x, y)
        x, y = x[kept], y[kept]
    made = program(FAMILY[method], x, y, np.ones(len(y)))
    begin = feasible(made)
    assert begin is not None
    inner = interior_point(made, Aim(), begin)
    end = _on_the_edge(made, inner)
    assert end is not None
    return made, inner, end, (x, y, np.ones(len(y)))


@pytest.mark.parametrize("method", FAMILY)
@pytest.mark.parametrize("seed", range(12))
def test_the_certificate_fails_whatever_is_no_maximum(seed: int, method: str) -> None:
    """It sees coefficients and multipliers alone: moved, scaled or of another sign, they pass for nothing."""
    made, _, end, data = ended(seed, method)
    assert _judged(made, end, data, 0)[1].verdict != "none"
    rng = np.random.default_rng(seed)
    for size in (1e-1, 1e-2, 1e-3, 1e-4):
        gamma = end.gamma + size * rng.normal(size=len(end.gamma))
        _, certificate = _judged(made, replace(end, gamma=gamma), data, 0)
        assert certificate.verdict == "none"
    if len(end.active) and end.multipliers.max() > 1e-3 * len(data[1]):
        for multipliers in (1.01 * end.multipliers, -end.multipliers, 0 * end.multipliers):
            assert _judged(made, replace(end, multipliers=multipliers), data, 0)[1].verdict == "none"
        gamma = end.gamma * 1.0
        gamma -= 1e-6 * np.linalg.lstsq(made.z[made.edged[end.active]], made.sign[end.active], rcond=None)[0]
        solution, certificate = _judged(made, replace(end, gamma=gamma), data, 0)
        assert certificate.gap > 1e-7 * end.multipliers.max()  # lambda times a slack of about 1e-6
        assert not certificate.active[certificate.multipliers > 0].any()
        assert not solution.converged


def test_a_row_beyond_the_edge_is_never_certified() -> None:
    """The claimed active row within the edge, another beyond it, and every condition but that one satisfied."""
    x = with_intercept(np.repeat([0.0, 1.0], [10, 5]))
    y = np.concatenate([np.repeat([1.0, 0.0], [3, 7]), np.ones(5)])
    made = program(LOG_BINOMIAL, x, y, np.ones(15))
    active = np.flatnonzero(np.abs(made.z[made.edged] @ (made.triangle @ [np.log(0.3), -np.log(0.3)])) < 1e-9)
    share = made.w[made.edged[active]]
    for slope, verdict in ((0.0, "boundary"), (1e-5, "none"), (-1e-5, "none")):
        gamma = made.triangle @ np.array([np.log(0.3), -np.log(0.3) + slope])
        end = End(gamma, active, share, np.zeros((2, 0)))
        assert _judged(made, end, (x, y, np.ones(15)), 0)[1].verdict == verdict


@pytest.mark.parametrize("method", ["identity_binomial", "identity_poisson"])
@pytest.mark.parametrize("seed", range(12))
def test_rows_enter_the_active_set(seed: int, method: str) -> None:
    """From nobody on the edge the same maximum is found as from the right rows."""
    made, inner, end, _ = ended(seed, method)
    found = _on_the_edge(made, replace(inner, multipliers=np.zeros(len(made.edged))))
    assert found is not None
    np.testing.assert_allclose(made.z @ found.gamma, made.z @ end.gamma, atol=1e-9)
    assert (found.multipliers >= 0).all()
    assert set(found.active) >= set(end.active[end.multipliers > 0])


def test_rows_leave_the_active_set() -> None:
    """From one row too many the maximum is found, or none is claimed; never another point."""
    left = 0
    for method in FAMILY:
        for seed in range(12):
            made, inner, end, _ = ended(seed, method)
            if len(end.active) >= len(end.gamma):
                continue
            for extra in np.setdiff1d(np.argsort(inner.at.slack)[: len(end.active) + 5], end.active):
                rows = np.append(end.active, extra)
                slack, nu = np.ones(len(made.edged)), np.zeros(len(made.edged))
                slack[rows], nu[rows] = 1e-9, 1e9 * made.share[rows]
                found = _on_the_edge(made, replace(inner, at=replace(inner.at, slack=slack), multipliers=nu))
                if found is not None:
                    np.testing.assert_allclose(made.z @ found.gamma, made.z @ end.gamma, atol=1e-8)
                    left += extra not in found.active
    assert left >= 40, left


def test_a_negative_multiplier_is_no_maximum() -> None:
    """Held on the edge by one row that pulls inwards: stationary, feasible, and not the maximum."""
    tried = 0
    for seed in range(12):
        made, inner, end, data = ended(seed, "identity_poisson")
        for extra in np.setdiff1d(np.argsort(inner.at.slack)[:6], end.active):
            rows = np.append(end.active, extra)
            if len(rows) > len(end.gamma):
                continue
            normals = made.z[made.edged[rows]] * made.sign[rows][:, None]
            gamma, flat = _within(made, inner.at.gamma, normals, made.cap[rows])
            with np.errstate(all="ignore"):
                score = made.z.T @ (made.w * made.family.score(made.z @ gamma, made.y))
            multipliers = np.linalg.lstsq(normals.T, score, rcond=None)[0]
            if np.isfinite(score).all() and multipliers.min() < -1e-3:
                assert _judged(made, End(gamma, rows, multipliers, flat), data, 0)[1].verdict == "none"
                tried += 1
    assert tried > 5
