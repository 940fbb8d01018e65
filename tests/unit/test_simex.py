"""SIMEX: where its answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from walkrisk.sensitivity.simex import (
    GRID,
    Intervals,
    Model,
    Noise,
    PerUnit,
    Quantiles,
    Replicates,
    Spline,
    extrapolate,
    extrapolated,
    joined,
    replicates,
    weight_as_measured,
)


def constant(value: float, weight: float = 1.0) -> Replicates:
    return Replicates(estimates=np.full((2, 1), value), variances=np.ones((2, 1)), influence=np.full((3, 1), weight))


@pytest.mark.parametrize(("name", "degree"), [("linear", 1), ("quadratic", 2)])
def test_the_weight_of_the_estimate_as_measured_is_that_of_polyfit(name: str, degree: int) -> None:
    for sizes in (GRID, (0.5, 1.0, 2.0), (1.0, 2.0, 5.0, 8.0)):
        alone = np.polyfit([0.0, *sizes], [1.0, *np.zeros(len(sizes))], degree)
        assert weight_as_measured(name, sizes) == pytest.approx(np.polyval(alone, -1.0), rel=1e-10)
    with pytest.raises(ValueError, match="depend on the estimates"):
        weight_as_measured("rational", GRID)


def test_least_squares_follow_the_attenuation_that_theory_says() -> None:
    rng = np.random.default_rng(21)
    n = 4000
    usual = rng.standard_normal(n)
    k = rng.integers(2, 6, n)
    w = usual + rng.standard_normal(n) / np.sqrt(k)
    y = 1.0 - 2.0 * usual + rng.standard_normal(n)
    model = Model(method="linear", z=np.ones((n, 1)), y=y, form=PerUnit())
    noise = Noise(exposure=w, variance=1 / k)
    found = extrapolate(model.alone(w), GRID, [replicates(model, noise, s, 20, rng) for s in GRID])
    attenuated = -2.0 / (1 + (1 + found.sizes) * (1 / k).mean())
    np.testing.assert_allclose(found.estimates[:, 0], attenuated, atol=0.08)
    rational, quadratic, linear = (found.read[r] for r in ("rational", "quadratic", "linear"))
    assert abs(rational.corrected[0] + 2) < 4 * math.sqrt((rational.influence**2).sum())
    naive = found.estimates[0, 0]
    assert -2 < quadratic.corrected[0] < linear.corrected[0] < naive  # part of the bias stays
    assert found.failed == 0
    assert found.made == 80


def test_an_exactly_rational_curve_is_read_off_exactly_and_so_is_its_derivative() -> None:
    values = 0.1 - 0.3 / (1.4 + np.array([0.0, *GRID]))
    given = [constant(v) for v in values]
    read = extrapolate(given[0], GRID, given[1:]).read["rational"]
    np.testing.assert_allclose(read.parameters[:, 0], [0.1, -0.3, 1.4], rtol=1e-4)
    assert read.corrected[0] == pytest.approx(0.1 - 0.3 / 0.4, rel=1e-4)
    for m in range(5):
        moved = []
        for step in (-1e-4, 1e-4):
            others = [constant(v + step * (i == m)) for i, v in enumerate(values)]
            moved.append(extrapolate(others[0], GRID, others[1:]).read["rational"].corrected[0])
        alone = [constant(v, float(i == m)) for i, v in enumerate(values)]
        weight = extrapolate(alone[0], GRID, alone[1:]).read["rational"].influence[0, 0]
        assert weight == pytest.approx((moved[1] - moved[0]) / 2e-4, rel=2e-2, abs=0.02)


def test_polynomials_read_off_themselves() -> None:
    l = np.array([0.0, *GRID])  # noqa: E741
    given = [constant(v) for v in 1 + 2 * l - 0.5 * l**2]
    found = extrapolate(given[0], GRID, given[1:])
    assert found.read["quadratic"].corrected[0] == pytest.approx(1 - 2 - 0.5)
    assert extrapolated("quadratic", found.read["quadratic"].parameters, np.array([-1.0, 0.0])) == pytest.approx(
        [-1.5, 1.0]
    )
    assert found.read["quadratic"].influence[0, 0] == pytest.approx(1)  # a constant is read off as itself
    given = [constant(3.0) for _ in l]
    assert all(r.corrected[0] == pytest.approx(3.0) for r in extrapolate(given[0], GRID, given[1:]).read.values())


def test_a_pole_within_reach_is_no_answer() -> None:
    l = np.array([0.0, *GRID])  # noqa: E741
    given = [constant(v) for v in 1 / (0.5 + l)]
    read = extrapolate(given[0], GRID, given[1:]).read["rational"]
    assert np.isnan(read.corrected).all()
    assert np.isnan(read.influence).all()


def test_empirical_noise_has_the_variance_of_the_persons_own_days() -> None:
    rng = np.random.default_rng(22)
    days = np.array([[1.0, 5.0, 9.0, np.nan], [2.0, 2.1, np.nan, np.nan], [7.0, np.nan, np.nan, np.nan]])
    mean = np.nanmean(days, axis=1)
    noise = Noise(exposure=mean, variance=np.array([100.0, 100.0, 4.0]), days=days)
    drawn = np.stack([noise.noisier(2.0, rng) for _ in range(20_000)])
    expected = 2 * np.array([16 / 3, 0.005 / 2, 4.0])
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.15)
    np.testing.assert_allclose(drawn.var(axis=0), expected, rtol=0.05)


def test_quartiles_are_cut_anew_and_a_curve_is_0_at_its_reference() -> None:
    x = np.arange(100.0)
    columns = Quantiles(4).columns(x * 3 + 7)
    assert columns.sum(axis=0).tolist() == [25, 25, 25]
    assert (columns.sum(axis=1) == (x >= 25)).all()
    fixed = Intervals((10.0, 60.0)).columns(x)
    assert fixed.sum(axis=0).tolist() == [50, 40]
    curve = Spline((10.0, 50.0, 90.0)).along(np.array([20.0, 50.0, 80.0]), 50.0)
    assert curve[1].tolist() == [0, 0]
    assert curve[:, 0].tolist() == [-30, 0, 30]


def test_parts_are_joined_and_the_same_whoever_makes_them() -> None:
    rng = np.random.default_rng(23)
    w, y = rng.standard_normal(300), (rng.random(300) < 0.3).astype(float)
    model = Model(method="modified_poisson", z=np.ones((300, 1)), y=y, form=PerUnit())
    noise = Noise(exposure=w, variance=np.full(300, 0.5))
    parts = [replicates(model, noise, 1.0, 5, np.random.default_rng([23, i])) for i in range(2)]
    both = joined(parts)
    assert both.estimates.shape == (10, 1)
    np.testing.assert_allclose(both.influence, (parts[0].influence + parts[1].influence) / 2)
    np.testing.assert_allclose(both.influence.sum(axis=0), 0, atol=1e-9)


def test_what_cannot_be_extrapolated_is_said() -> None:
    given = [constant(1.0) for _ in range(5)]
    with pytest.raises(ValueError, match="unknown extrapolant 'cubic'"):
        extrapolate(given[0], GRID, given[1:], extrapolants=("cubic",))
    with pytest.raises(ValueError, match="three sizes"):
        extrapolate(given[0], (1.0, 2.0), given[1:3])
    lost = Replicates(estimates=np.full((4, 1), np.nan), variances=np.ones((4, 1)), influence=np.ones((3, 1)))
    with pytest.raises(ValueError, match="4 of 10 fits with added error have no maximum"):
        extrapolate(given[0], GRID, [*given[1:4], lost])
