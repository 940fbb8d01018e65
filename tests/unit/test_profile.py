"""Profile-likelihood limits: closed forms, other programs' profiles, limits at the edge and at infinity, coverage."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import statsmodels.api as sm

from walkrisk.estimates.ratios import count_levels, level_ratios, per_unit, profile_sentences
from walkrisk.estimates.rows import Estimate, critical_value
from walkrisk.models.covariance import covariance
from walkrisk.models.design import Design, Linear, build_design, factor
from walkrisk.models.fit import Fit, fit_model
from walkrisk.models.profile import _Bracket, likelihood_ratio_test, profile_interval

Array = npt.NDArray[np.float64]
Z2 = critical_value(0.95) ** 2
METHODS = ["log_binomial", "logistic", "modified_poisson", "identity_binomial", "identity_poisson"]


def unit(fit: Fit, column: int) -> Array:
    out = np.zeros(len(fit.names))
    out[column] = 1.0
    return out


def cells(*counts: tuple[int, int]) -> tuple[Array, Array]:
    """Codes and outcomes of groups of (cases, people)."""
    codes = np.repeat(np.arange(1.0, len(counts) + 1), [n for _, n in counts])
    return codes, np.concatenate([np.repeat([1.0, 0.0], [a, n - a]) for a, n in counts])


def of_cells(method: str, *counts: tuple[int, int]) -> Fit:
    codes, y = cells(*counts)
    return fit_model(method, build_design({"g": codes}, [factor("g", codes)], len(y)), y)


def binomial(a: float, n: float, risk: float) -> float:
    return (a * math.log(risk) if a else 0.0) + ((n - a) * math.log1p(-risk) if n > a else 0.0)


def profile_of_log_ratio(theta: float, first: tuple[int, int], second: tuple[int, int]) -> float:
    """The highest likelihood of two binomials with risks r and r exp(theta), by a fine search."""
    top = min(1.0, math.exp(-theta))
    grid = np.linspace(1e-9, top * (1 - 1e-12), 4001)
    for _ in range(5):
        values = [binomial(*first, r) + binomial(*second, min(r * math.exp(theta), 1 - 1e-15)) for r in grid]
        at = int(np.argmax(values))
        grid = (
            np.linspace(grid[max(at - 1, 0)], grid[min(at + 1, 4000)], 101)
            if len(grid) == 4001
            else np.linspace(grid[max(at - 1, 0)], grid[min(at + 1, 100)], 101)
        )
    return max(values)


@pytest.mark.parametrize("second", [(9, 20), (20, 20), (1, 30)])
def test_the_limits_of_a_crude_log_ratio_are_where_its_profile_crosses(second: tuple[int, int]) -> None:
    first = (10, 25)
    fit = of_cells("log_binomial", first, second)
    found = profile_interval(fit, unit(fit, 1))
    for limit in (found.low, found.high):
        dropped = 2 * (fit.log_likelihood - profile_of_log_ratio(limit, first, second))
        np.testing.assert_allclose(dropped, Z2, rtol=1e-5)
    pooled = (first[0] + second[0]) / (first[1] + second[1])
    null = binomial(*first, pooled) + binomial(*second, pooled)
    np.testing.assert_allclose(found.statistic, 2 * (fit.log_likelihood - null), rtol=1e-9)
    np.testing.assert_allclose(found.p_value, math.erfc(math.sqrt(found.statistic / 2)), rtol=1e-12)
    assert found.verdict == ""
    assert found.gap < 1e-8


def random_design(seed: int, n: int = 150) -> tuple[Design, Array]:
    rng = np.random.default_rng(seed)
    columns = {"x": rng.normal(40, 10, n), "s": rng.integers(0, 2, n).astype(float)}
    y = (rng.random(n) < np.exp(-1.6 + 0.02 * (columns["x"] - 40) + 0.3 * columns["s"])).astype(float)
    return build_design(columns, [Linear("x"), Linear("s")], n), y


@pytest.mark.parametrize("method", ["logistic", "modified_poisson"])
@pytest.mark.parametrize("column", [0, 1, 2])
def test_the_profile_is_that_of_statsmodels_with_an_offset(method: str, column: int) -> None:
    design, y = random_design(1)
    fit = fit_model(method, design, y)
    found = profile_interval(fit, unit(fit, column))
    family = sm.families.Binomial() if method == "logistic" else sm.families.Poisson()
    others = [c for c in range(3) if c != column]
    for limit in (found.low, found.high):
        held = sm.GLM(y, design.matrix[:, others], family=family, offset=design.matrix[:, column] * limit)
        np.testing.assert_allclose(2 * (fit.log_likelihood - held.fit(tol=1e-12).llf), Z2, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_far_from_the_edge_and_with_many_people_the_limits_are_those_of_wald(method: str) -> None:
    design, y = random_design(2, 20_000)
    fit = fit_model(method, design, y)
    assert fit.wald
    for column in range(3):
        found, se = profile_interval(fit, unit(fit, column)), math.sqrt(fit.bread[column, column])
        expected = fit.coefficients[column] + np.array([-1, 1]) * math.sqrt(Z2) * se
        np.testing.assert_allclose([found.low, found.high], expected, atol=0.06 * se)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(6))
def test_limits_and_p_value_tell_the_same_story(seed: int, method: str) -> None:
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(80), rng.lognormal(0, 1, 80), (rng.random(80) < 0.3).astype(float)])
    y = (rng.random(80) < np.minimum(0.25 * np.exp(0.4 * x[:, 1] * (seed % 2)), 1)).astype(float)
    fit = fit_model(method, Design(np.asfortranarray(x), ("Intercept", "a", "b"), {}, {}), y)
    assert fit.converged
    for contrast in (unit(fit, 1), unit(fit, 2), np.array([0.0, 1.0, -1.0])):
        test = likelihood_ratio_test(fit, contrast[None, :])
        level = math.erf(math.sqrt(test.statistic / 2))  # at 1 - P a limit is 0
        if 0.01 < level < 0.999:
            exact = profile_interval(fit, contrast, conf_level=level)
            assert min(abs(exact.low), abs(exact.high)) < 1e-6 * (exact.high - exact.low)
        found = profile_interval(fit, contrast)
        assert found.low <= found.estimate <= found.high
        assert (found.p_value >= 0.05) == (found.low <= 0 <= found.high)
        turned = profile_interval(fit, -2 * contrast)
        np.testing.assert_allclose([turned.low, turned.high], [-2 * found.high, -2 * found.low], rtol=1e-6, atol=1e-9)


def test_a_level_without_events_has_an_upper_limit() -> None:
    """No case among n: the profile of its log ratio falls only upwards, to where the likelihood has lost 1.92."""
    for method in ("log_binomial", "modified_poisson", "logistic"):
        fit = of_cells(method, (10, 40), (0, 20), (20, 40))
        found = profile_interval(fit, unit(fit, 1))
        assert found.estimate == found.low == -np.inf
        assert -2 < found.high < -0.5
        assert "no finite limit" in found.verdict
    fit = of_cells("log_binomial", (10, 40), (0, 20), (20, 40))
    high = profile_interval(fit, unit(fit, 1)).high
    saturated = binomial(10, 40, 0.25)
    np.testing.assert_allclose(2 * (saturated - profile_of_log_ratio(high, (10, 40), (0, 20))), Z2, rtol=1e-5)
    other = profile_interval(fit, unit(fit, 2))
    assert np.isfinite([other.low, other.high]).all()


def test_a_joint_test_is_that_of_two_models() -> None:
    design, y = random_design(4)
    fit = fit_model("log_binomial", design, y)
    joint = likelihood_ratio_test(fit, np.array([[0.0, 1, 0], [0, 0, 1]]))
    p = y.mean()
    null = len(y) * (p * math.log(p) + (1 - p) * math.log(1 - p))
    assert joint.df == 2
    np.testing.assert_allclose(joint.statistic, 2 * (fit.log_likelihood - null), rtol=1e-9)
    np.testing.assert_allclose(joint.p_value, math.exp(-joint.statistic / 2), rtol=1e-12)


def test_rows_of_a_fit_on_the_boundary_have_profile_limits_and_no_standard_error() -> None:
    codes, y = cells((10, 25), (20, 20), (9, 20))
    g = factor("g", codes)
    fit = fit_model("log_binomial", build_design({"g": codes}, [g], len(y)), y)
    counts = count_levels(codes, y, ["1", "2", "3"])
    row, z = Estimate(analysis="a", estimand="risk_ratio"), critical_value(0.95)
    v = {name: covariance(fit, name) for name in ("HC0", "model")}
    rows = level_ratios(fit, g, counts, v, row=row, z=z)
    assert [r.variance for r in rows] == ["profile"] * 3
    assert [r.std_error for r in rows] == [None] * 3
    found = profile_interval(fit, unit(fit, 1))
    assert rows[1].estimate == pytest.approx(2.5, rel=1e-9)
    assert (rows[1].conf_low, rows[1].conf_high) == pytest.approx((math.exp(found.low), math.exp(found.high)), rel=1e-6)
    assert rows[1].p_value == pytest.approx(found.p_value, rel=1e-6)
    term = Linear("x")
    x = np.repeat([0.0, 1.0, 2.0], 4)
    y = np.array([0.0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 1, 1])
    line = fit_model("log_binomial", build_design({"x": x}, [term], 12), y)
    (only,) = per_unit(line, term, {"HC0": line.bread}, row=row, z=z, log_scale=False)
    assert only.std_error is None
    assert only.conf_low is not None
    assert only.conf_high is not None
    assert only.conf_low < math.exp(line.coefficients[1]) < only.conf_high


@pytest.mark.parametrize(
    ("contrast", "level", "words"),
    [
        (np.zeros(3), 0.95, "contrast of 0"),
        (np.array([0.0, 1.0]), 0.95, "each column"),
        (np.array([0.0, np.nan, 0.0]), 0.95, "finite"),
        (np.array([0.0, 1.0, 0.0]), 1.0, "confidence level"),
    ],
)
def test_misuse_is_a_sentence(contrast: Array, level: float, words: str) -> None:
    design, y = random_design(1)
    with pytest.raises(ValueError, match=words):
        profile_interval(fit_model("log_binomial", design, y), contrast, conf_level=level)


def test_models_without_such_a_likelihood_are_refused() -> None:
    design, y = random_design(1)
    with pytest.raises(ValueError, match="no profile likelihood of a linear fit"):
        profile_interval(fit_model("linear", design, y), np.array([0.0, 1.0, 0.0]))


def test_coverage_where_half_the_maxima_are_on_the_boundary() -> None:
    """150 samples of 60 people whose largest true risk is 0.95: the limits hold, or nearly, and no fit fails."""
    rng = np.random.default_rng(6)
    slope, covered, edge, samples = 0.8, 0, 0, 150
    for _ in range(samples):
        x = rng.random(60)
        y = (rng.random(60) < 0.95 * np.exp(slope * (x - 1))).astype(float)
        fit = fit_model("log_binomial", Design(np.column_stack([np.ones(60), x]), ("Intercept", "x"), {}, {}), y)
        assert fit.converged
        found = profile_interval(fit, np.array([0.0, 1.0]))
        covered += found.low <= slope <= found.high
        edge += fit.boundary
    assert edge > 0.3 * samples
    assert 0.9 <= covered / samples <= 0.99


@pytest.mark.parametrize(("seed", "column"), [(43, 1), (44, 2), (48, 2), (0, 1)])
def test_a_limit_is_reached_where_the_profile_is_far_from_a_parabola(seed: int, column: int) -> None:
    """20 people, the fall of the likelihood no power of the tilt: the search must not go to and fro between bounds."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(20), rng.normal(size=(20, 2))])
    y = (rng.random(20) < np.minimum(np.exp(-0.7 + x[:, 1]), 1)).astype(float)
    fit = fit_model("log_binomial", Design(np.asfortranarray(x), ("Intercept", "a", "b"), {}, {}), y)
    found = profile_interval(fit, unit(fit, column), conf_level=0.9)
    assert found.verdict == ""
    assert found.gap <= 1e-8 * (found.high - found.low)


def test_the_search_for_the_tilt_closes_in_from_both_sides() -> None:
    """Whatever the fall as a function of kappa, steep, flat or with a jump: two steps halve the bracket."""
    falls: tuple[Callable[[float], float], ...] = (
        lambda k: k**2,
        lambda k: (k / 3) ** 40,
        lambda k: 0.5 if k < 7 else 2.0,
        lambda k: 0.1 * k if k < 5 else np.inf,
    )
    for fall in falls:
        bracket, kappa, steps = _Bracket(), 1.0, 0
        while not bracket.closed and steps < 110 and abs(fall(kappa) - 1) > 1e-10:
            bracket, steps = bracket.narrowed(kappa, fall(kappa)), steps + 1
            assert bracket.small <= bracket.large
            kappa = bracket.next()
        assert bracket.closed or abs(fall(kappa) - 1) <= 1e-10, steps


def test_a_limit_that_is_not_found_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    codes, y = cells((10, 25), (20, 20), (9, 20))
    g = factor("g", codes)
    fit = fit_model("log_binomial", build_design({"g": codes}, [g], len(y)), y)
    monkeypatch.setattr("walkrisk.models.profile.EVALUATIONS", 2)
    found = profile_interval(fit, unit(fit, 1))
    assert np.isnan([found.low, found.high]).any()
    assert "limit was not found, so none is given" in found.verdict
    counts = count_levels(codes, y, ["1", "2", "3"])
    row = Estimate(analysis="a", estimand="risk_ratio")
    rows = level_ratios(fit, g, counts, {"HC0": np.eye(3)}, row=row, z=critical_value(0.95))
    assert rows[1].estimate == pytest.approx(2.5, rel=1e-9)
    assert None in (rows[1].conf_low, rows[1].conf_high)
    assert profile_sentences(rows)[0].startswith("2")
    assert profile_sentences(rows[:1]) == []


def test_a_ratio_too_large_for_a_number_is_no_estimate() -> None:
    x = np.repeat([0.0, 1.0, 2.0], 4) * 1e-4
    y = np.array([0.0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 1, 1])
    term = Linear("x")
    fit = fit_model("log_binomial", build_design({"x": x}, [term], 12), y)
    assert fit.boundary
    assert fit.coefficients[1] > 5000
    row = Estimate(analysis="a", estimand="risk_ratio")
    (only,) = per_unit(fit, term, {"HC0": fit.bread}, row=row, z=1.96, log_scale=False)
    assert only.estimate is None
    assert any("x: the ratio per unit is no number" in s for s in fit.warnings)
