"""Cox models: closed forms, score residuals, and what cannot be estimated."""

from __future__ import annotations

import numpy as np
import pytest

from walkrisk.models.covariance import covariance
from walkrisk.models.cox import efron_scores, fit_cox
from walkrisk.models.design import Linear, Term, build_design, factor


def data(n: int = 150) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(6)
    columns = {"g": rng.integers(1, 4, n).astype(float), "x": rng.normal(size=n)}
    time = np.ceil(4 * rng.exponential(1, n)) / 4
    return columns, time, (rng.random(n) < 0.6).astype(float)


def test_two_deaths_by_hand() -> None:
    """Exposed at risk 2 of 3 at the first death (exposed), 1 of 2 at the second (not): 2e^b (1 + e^b) balance, b solves
    1 - 2t/(2t + 1) - t/(t + 1) = 0 for t = e^b, so t = 1/sqrt(2)."""
    x = np.array([1.0, 1.0, 0.0])
    fit = fit_cox(build_design({"x": x}, [Linear("x")], 3), np.array([1.0, 3.0, 2.0]), np.array([1.0, 0.0, 1.0]))
    np.testing.assert_allclose(np.exp(fit.coefficients[1]), 1 / np.sqrt(2), rtol=1e-6)


def test_scores_are_the_derivative_of_the_efron_likelihood() -> None:
    """Tied deaths 0 and 1 at t = 2 among four at risk: the second of them sees half of the tied hazard gone."""
    x, beta = np.array([[0.3], [1.2], [-0.4], [0.8]]), np.array([0.7])
    time, event, w = np.array([2.0, 2, 3, 4]), np.array([1.0, 1, 0, 1]), np.ones(4)

    def log_likelihood(b: float) -> float:
        h = np.exp(b * x[:, 0])
        tied = h[:2].sum()
        first = b * x[:2, 0].sum() - np.log(h.sum()) - np.log(h.sum() - tied / 2)
        return float(first + b * x[3, 0] - np.log(h[3]))

    scores, information = efron_scores(x, time, event, w, beta)
    h = 1e-5
    up, mid, down = log_likelihood(0.7 + h), log_likelihood(0.7), log_likelihood(0.7 - h)
    np.testing.assert_allclose(scores.sum(), (up - down) / (2 * h), rtol=1e-6)
    np.testing.assert_allclose(information[0, 0], -(up - 2 * mid + down) / h**2, rtol=1e-4)


def test_units_of_a_covariate_and_order_of_people_change_nothing() -> None:
    columns, time, event = data()
    terms: list[Term] = [factor("g", columns["g"]), Linear("x")]
    fit = fit_cox(build_design(columns, terms, 150), time, event)
    scaled = {**columns, "x": 1000 * columns["x"] + 5}
    order = np.random.default_rng(0).permutation(150)
    shuffled = {name: values[order] for name, values in scaled.items()}
    again = fit_cox(build_design(shuffled, terms, 150), time[order], event[order])
    factors = np.array([1, 1, 1000])
    np.testing.assert_allclose(again.coefficients[1:] * factors, fit.coefficients[1:], rtol=1e-5)
    np.testing.assert_allclose(covariance(again, "HC0") * np.outer(factors, factors), covariance(fit, "HC0"), rtol=1e-5)


def test_weights_in_proportion_give_the_same_ratio_and_robust_variance() -> None:
    columns, time, event = data()
    design = build_design(columns, [factor("g", columns["g"]), Linear("x")], 150)
    one, hundred = (fit_cox(design, time, event, weights=np.full(150, w)) for w in (1.0, 100.0))
    np.testing.assert_allclose(one.coefficients[1:], hundred.coefficients[1:], rtol=1e-8)
    np.testing.assert_allclose(covariance(one, "HC0"), covariance(hundred, "HC0"), rtol=1e-8)


def test_collinear_columns_go_and_are_named() -> None:
    columns, time, event = data()
    columns["constant"], columns["twice"] = np.ones(150), 2 * columns["x"]
    fit = fit_cox(build_design(columns, [Linear("x"), Linear("constant"), Linear("twice")], 150), time, event)
    assert fit.estimated.tolist() == [False, True, False, False]
    assert fit.warnings == ("constant, twice: a combination of earlier columns, so left out.",)


def test_a_level_without_events_is_no_converged_estimate() -> None:
    columns, time, event = data()
    event = np.where(columns["g"] == 2, 0.0, event)
    fit = fit_cox(build_design(columns, [factor("g", columns["g"])], 150), time, event)
    assert not (fit.converged and fit.estimated[1])
    assert fit.warnings


def test_nobody_with_the_event_is_no_converged_estimate() -> None:
    columns, time, event = data()
    fit = fit_cox(build_design(columns, [Linear("x")], 150), time, 0 * event)
    assert not fit.converged
    assert fit.warnings


def test_it_has_no_leverages() -> None:
    columns, time, event = data()
    fit = fit_cox(build_design(columns, [Linear("x")], 150), time, event)
    with pytest.raises(ValueError, match="not defined for cox"):
        covariance(fit, "HC3")


def test_an_exposure_with_one_level_is_no_crash() -> None:
    _, time, event = data()
    one = np.ones(150)
    fit = fit_cox(build_design({"g": one}, [factor("g", one)], 150), time, event)
    assert not fit.estimated.any()


def test_estimates_and_likelihood_are_those_of_lifelines() -> None:
    import pandas as pd
    from lifelines import CoxPHFitter

    columns, time, event = data()
    w = np.random.default_rng(3).uniform(0.5, 2, 150)
    terms: list[Term] = [factor("g", columns["g"]), Linear("x")]
    fit = fit_cox(build_design(columns, terms, 150), time, event, weights=w)
    frame = pd.DataFrame(fit.design.matrix[:, 1:]).assign(time=time, event=event, w=w / w.mean())
    frame.columns = [str(c) for c in frame.columns]
    theirs = CoxPHFitter().fit(frame, "time", "event", weights_col="w", robust=True)
    np.testing.assert_allclose(fit.coefficients[1:], theirs.params_, rtol=1e-5, atol=1e-6)  # it stops a little short
    np.testing.assert_allclose(fit.log_likelihood, theirs.log_likelihood_, rtol=1e-9)


def test_a_category_without_events_is_set_aside_and_the_others_are_those_without_it() -> None:
    columns, time, event = data()
    event = np.where(columns["g"] == 2, 0.0, event)
    terms: list[Term] = [factor("g", columns["g"]), Linear("x")]
    fit = fit_cox(build_design(columns, terms, 150), time, event)
    kept = columns["g"] != 2
    some = {name: values[kept] for name, values in columns.items()}
    n = int(kept.sum())
    without = fit_cox(build_design(some, [factor("g", some["g"]), Linear("x")], n), time[kept], event[kept])
    assert fit.converged
    assert (fit.n, int(fit.rows.sum())) == (150, n)
    np.testing.assert_array_equal(fit.estimable, [False, False, True, True])
    np.testing.assert_allclose(fit.coefficients[2:], without.coefficients[1:], rtol=1e-9)
    np.testing.assert_allclose(covariance(fit, "HC0"), covariance(without, "HC0"), rtol=1e-8)
    np.testing.assert_allclose(fit.log_likelihood, without.log_likelihood, rtol=1e-12)
    assert any("g 2 has no cases" in text and "no hazard ratio" in text for text in fit.warnings)


def test_a_reference_without_events_leaves_its_ratios_without_estimate() -> None:
    columns, time, event = data()
    event = np.where(columns["g"] == 1, 0.0, event)
    terms: list[Term] = [factor("g", columns["g"]), Linear("x")]
    fit = fit_cox(build_design(columns, terms, 150), time, event)
    assert fit.converged
    assert terms[0] in fit.no_reference
    np.testing.assert_array_equal(fit.estimable, [False, False, False, True])


def test_monotone_likelihood_and_no_events_are_said() -> None:
    columns, time, event = data()
    columns["rare"] = (event == 0) & (columns["x"] > 1)  # a 0/1 number, not a factor: nobody with it has the event
    columns["rare"] = columns["rare"].astype(float)
    fit = fit_cox(build_design(columns, [Linear("rare"), Linear("x")], 150), time, event)
    assert not fit.converged
    assert "separated from all events" in fit.warnings[-1]
    nothing = fit_cox(build_design(columns, [Linear("x")], 150), time, 0 * event)
    assert not nothing.converged
    assert "Nobody has an event" in nothing.warnings[-1]


def test_the_library_engine_reaches_the_same_maximum_in_fewer_own_steps() -> None:
    rng = np.random.default_rng(8)
    n = 400
    columns = {"x": rng.normal(size=n), "z": rng.normal(size=n)}
    time = np.round(rng.exponential(np.exp(-0.4 * columns["x"])), 2) + 0.01
    event = (rng.random(n) < 0.7).astype(float)
    design = build_design(columns, [Linear("x"), Linear("z")], n)
    own, library = fit_cox(design, time, event), fit_cox(design, time, event, engine="statsmodels")
    np.testing.assert_allclose(library.coefficients[1:], own.coefficients[1:], rtol=1e-9)
    assert library.converged
    assert library.iterations < own.iterations
