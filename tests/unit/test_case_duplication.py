"""Case duplication: what the folded fit must equal, and what it must not pretend."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.models.case_duplication import case_duplication
from walkrisk.models.covariance import covariance
from walkrisk.models.design import Design, Linear, Term, build_design, factor
from walkrisk.models.fit import Fit, fit_model

FloatArray = npt.NDArray[np.float64]


def sample(seed: int = 1, n: int = 240) -> tuple[Design, FloatArray]:
    rng = np.random.default_rng(seed)
    columns = {"g": rng.integers(0, 3, n).astype(np.float64), "x": rng.normal(size=n)}
    y = (rng.random(n) < np.clip(0.2 * np.exp(0.4 * columns["g"] + 0.2 * columns["x"]), 0, 0.9)).astype(np.float64)
    terms: list[Term] = [factor("g", columns["g"]), Linear("x")]
    return build_design(columns, terms, n), y


def duplicated(design: Design, y: FloatArray, weights: FloatArray | None = None) -> tuple[Fit, FloatArray, FloatArray]:
    """The logistic fit of the duplicated rows by themselves, with the person each row belongs to."""
    person = np.concatenate([np.arange(len(y)), np.flatnonzero(y == 1)])
    outcome = np.concatenate([y, np.zeros(int(y.sum()))])
    matrix = np.asfortranarray(design.matrix[person])
    plain = Design(matrix, design.names, design.columns_of, {})
    fit = fit_model("logistic", plain, outcome, weights=None if weights is None else weights[person])
    return fit, person.astype(np.float64), outcome


def test_a_crude_ratio_is_that_of_the_table() -> None:
    x = np.repeat([0.0, 1.0], [40, 50])
    y = np.concatenate([np.repeat([1.0, 0.0], [10, 30]), np.repeat([1.0, 0.0], [20, 30])])
    fit = case_duplication(build_design({"x": x}, [Linear("x")], 90), y)
    np.testing.assert_allclose(np.exp(fit.coefficients), [0.25, (20 / 50) / (10 / 40)], rtol=1e-12)
    v = covariance(fit, "HC0")[1, 1]
    np.testing.assert_allclose(v, 1 / 20 - 1 / 50 + 1 / 10 - 1 / 40, rtol=1e-12)
    assert (fit.n, fit.events, fit.link, fit.method) == (90, 30, "log", "case_duplication")
    assert np.isnan(fit.log_likelihood)


@pytest.mark.parametrize("weighted", [False, True])
def test_people_are_the_clusters_of_their_copies(weighted: bool) -> None:
    design, y = sample()
    weights = np.random.default_rng(7).uniform(0.5, 2, len(y)) if weighted else None
    fit = case_duplication(design, y, weights=weights)
    other, person, _ = duplicated(design, y, weights)
    np.testing.assert_allclose(fit.coefficients, other.coefficients, rtol=1e-10)
    np.testing.assert_allclose(covariance(fit, "stata"), covariance(other, "cluster", cluster=person), rtol=1e-10)
    n = len(y)
    np.testing.assert_allclose(
        covariance(fit, "HC0"), covariance(other, "cluster", cluster=person) * (n - 1) / n, rtol=1e-10
    )
    groups = np.arange(n) // 4
    np.testing.assert_allclose(
        covariance(fit, "cluster", cluster=groups.astype(np.float64)),
        covariance(other, "cluster", cluster=groups[person.astype(int)].astype(np.float64)),
        rtol=1e-10,
    )


def test_variances_that_adjust_for_leverage_are_refused() -> None:
    design, y = sample(n=90)
    for variance in ("HC2", "HC3", "CR2"):
        with pytest.raises(ValueError, match="case_duplication"):
            covariance(case_duplication(design, y), variance, cluster=np.arange(90) // 3 * 1.0)


def test_no_model_based_variance() -> None:
    """That of the duplicated rows counts every case twice (0.35 for 0.22 on a public data set)."""
    design, y = sample(n=90)
    assert np.isnan(covariance(case_duplication(design, y), "model")).all()


def test_near_modified_poisson_and_the_same_when_saturated() -> None:
    design, y = sample(n=4000)
    one, two = case_duplication(design, y), fit_model("modified_poisson", design, y)
    np.testing.assert_allclose(one.coefficients, two.coefficients, atol=0.1)
    g = np.random.default_rng(2).integers(0, 4, len(y)).astype(np.float64)
    saturated = build_design({"g": g}, [factor("g", g)], len(y))
    one, two = case_duplication(saturated, y), fit_model("modified_poisson", saturated, y)
    np.testing.assert_allclose(one.coefficients, two.coefficients, rtol=1e-9)
    np.testing.assert_allclose(covariance(one, "HC0"), covariance(two, "HC0"), rtol=1e-8)


def test_known_truth_and_coverage() -> None:
    rng = np.random.default_rng(9)
    truth, inside, found = np.log(1.7), 0, list[float]()
    for _ in range(200):
        x, z = (rng.random(400) < 0.5).astype(np.float64), rng.uniform(-1, 1, 400)
        y = (rng.random(400) < 0.25 * np.exp(truth * x + 0.3 * z)).astype(np.float64)
        fit = case_duplication(build_design({"x": x, "z": z}, [Linear("x"), Linear("z")], 400), y)
        se = float(np.sqrt(covariance(fit, "HC0")[1, 1]))
        found.append(float(fit.coefficients[1]))
        inside += abs(found[-1] - truth) < 1.96 * se
    assert np.mean(found) == pytest.approx(truth, abs=0.03)
    assert 0.91 < inside / 200 < 0.985


def test_a_level_without_cases_is_set_aside_and_said() -> None:
    g = np.repeat([0.0, 1.0, 2.0], [60, 50, 40])
    y = np.zeros(150)
    y[:20], y[60:85] = 1.0, 1.0
    fit = case_duplication(build_design({"g": g}, [factor("g", g)], 150), y)
    assert np.isnan(fit.coefficients[2])
    assert not fit.estimated[2]
    assert any("has no cases (40 people)" in s for s in fit.warnings)
    assert fit.n == 150
    assert fit.rows.sum() == 110
    np.testing.assert_allclose(np.exp(fit.coefficients[1]), (25 / 50) / (20 / 60), rtol=1e-10)
    np.testing.assert_allclose(covariance(fit, "HC0")[1, 1], 1 / 25 - 1 / 50 + 1 / 20 - 1 / 60, rtol=1e-9)


def test_a_level_where_everyone_is_a_case_has_its_ratio() -> None:
    g = np.repeat([0.0, 1.0], [40, 10])
    y = np.concatenate([np.repeat([1.0, 0.0], [10, 30]), np.ones(10)])
    fit = case_duplication(build_design({"g": g}, [factor("g", g)], 50), y)
    np.testing.assert_allclose(np.exp(fit.coefficients[1]), 4.0, rtol=1e-10)
    np.testing.assert_allclose(fit.max_fitted_risk, 1.0, rtol=1e-10)


def test_nobody_and_everybody() -> None:
    design, y = sample()
    for outcome, word in ((np.zeros_like(y), "Nobody"), (np.ones_like(y), "Everyone")):
        fit = case_duplication(design, outcome)
        assert not fit.converged
        assert fit.method == "case_duplication"
        assert any(word in s for s in fit.warnings)
        assert np.isnan(fit.coefficients).all()


def test_misuse_and_inputs_left_alone() -> None:
    design, y = sample()
    kept, before = y.copy(), design.matrix.copy()
    case_duplication(design, y)
    np.testing.assert_array_equal(y, kept)
    np.testing.assert_array_equal(design.matrix, before)
    with pytest.raises(ValueError, match="each row"):
        case_duplication(design, y[:-1])
    with pytest.raises(ValueError, match="each row"):
        case_duplication(design, y, weights=np.ones(3))
    with pytest.raises(ValueError, match="Weights"):
        case_duplication(design, y, weights=np.where(y == 1, -1.0, 1.0))
    with pytest.raises(ValueError, match="All weights"):
        case_duplication(design, y, weights=np.zeros(len(y)))
    with pytest.raises(ValueError, match="0 or 1"):
        case_duplication(design, np.where(y == 1, 2.0, y))
