"""Unmeasured confounding against tipr 0.2.0, sandwich 3.0-2 (confounding.R, confounding.csv) and episensr 1.3.0.

Deterministic numbers to 1e-12 (tipr) and 1e-8 (refits); probabilistic ones (200,000 draws of theirs, 200,000 of ours)
within 4 Monte Carlo standard errors of the difference of medians and limits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from walkrisk.models.covariance import covariance
from walkrisk.models.design import Linear, build_design, factor
from walkrisk.models.fit import Fit, fit_model
from walkrisk.sensitivity.bias import correct_selection
from walkrisk.sensitivity.confounding import array_approach, observed_covariate
from walkrisk.sensitivity.confounding_draws import confounder_draws, corrected_ratios, selection_draws
from walkrisk.sensitivity.confounding_records import confounder_refits, selection_refits
from walkrisk.sensitivity.priors import Constant, Uniform
from walkrisk.sensitivity.probabilistic_bias import Simulated

FloatArray = npt.NDArray[np.float64]
HERE = Path(__file__).resolve().parent
DRAWS = 200_000
TABLE = ((105.0, 85.0), (527.0, 93.0))  # with and without the outcome by exposed and unexposed


@pytest.fixture(scope="module")
def witness() -> dict[tuple[str, str], float]:
    frame = pd.read_csv(HERE / "confounding.csv", dtype={"item": str})
    return {(w, i): v for w, i, v in zip(frame.what, frame.item, frame.value, strict=True)}


@pytest.fixture(scope="module")
def episensr(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "reference/statistics/out/qba_episensr.json").read_text())


def hc0(fit: Fit) -> FloatArray:
    return covariance(fit, "HC0")


def cohort() -> tuple[Fit, list[int], FloatArray]:
    """The 600 people of confounding.R, their model without the confounder, and who has it."""
    i = np.arange(1.0, 601)
    e, sex, age = i % 3, i // 3 % 2, 30 + i * 7 % 50
    u = (i * 13 % 10 < 2 + 2 * e).astype(float)
    y = (i * 31 % 100 < 12 + 6 * e + 10 * u + 5 * sex).astype(float)
    exposure = factor("e", e)
    design = build_design({"e": e, "sex": sex, "age": age}, [exposure, Linear("sex"), Linear("age")], 600)
    return fit_model("modified_poisson", design, y), list(design.columns_of[exposure]), u


def crude() -> Fit:
    """The fit of TABLE without covariates."""
    (a, b), (c, d) = TABLE
    e = np.repeat([1.0, 0.0, 1.0, 0.0], [int(v) for v in (a, b, c, d)])
    y = np.repeat([1.0, 1.0, 0.0, 0.0], [int(v) for v in (a, b, c, d)])
    return fit_model("modified_poisson", build_design({"e": e}, [factor("e", e)], len(e)), y)


@pytest.mark.parametrize("measure", ["RR", "HR"])
def test_observed_covariate_evalues_are_tiprs(witness: dict[tuple[str, str], float], measure: str) -> None:
    pairs = [
        (0.6, 0.9, 0.5, 0.95),
        (0.6, 0.9, 0.55, 0.85),
        (1.2, 2.4, 1.1, 2.2),
        (1.2, 2.4, 1.3, 2.6),
        (0.4, 0.7, 0.6, 1.1),
    ]
    for i, (low, high, low_less, high_less) in enumerate(pairs, start=1):
        full, less = (np.sqrt(low * high), low, high), (np.sqrt(low_less * high_less), low_less, high_less)
        got = observed_covariate(full, less, measure=measure, rare=False)
        np.testing.assert_allclose(got.e_value_limit, witness[f"tipr_{measure}", str(i)], rtol=1e-12)


def compare(got: Any, row: int, columns: list[int], witness: dict[tuple[str, str], float], name: str) -> None:
    np.testing.assert_allclose(got.log_ratios[row], [witness[name, "log_1"], witness[name, "log_2"]], rtol=1e-8)
    v = got.covariances[row]
    expected = [witness[name, k] for k in ("var_1", "var_2", "cov_12")]
    np.testing.assert_allclose([v[0, 0], v[1, 1], v[0, 1]], expected, rtol=1e-7)


def test_refits_with_a_column_and_with_weights(witness: dict[tuple[str, str], float]) -> None:
    fit, columns, u = cohort()

    class Known:
        """Stands for a generator: everyone's confounder is the one of the script."""

        def random(self, n: int) -> FloatArray:
            return np.where(u == 1, 0.0, 1.0)

    made = confounder_refits(
        fit,
        columns,
        association=np.array([1.5]),
        prevalence=np.array([[0.2, 0.4, 0.6]]),
        covariance=hc0,
        rng=Known(),  # type: ignore[arg-type]
    )
    compare(made, 0, columns, witness, "column")
    np.testing.assert_allclose(made.association[0], witness["column", "log_u"], rtol=1e-8)
    e, case = np.arange(3)[:, None], np.arange(2)[None, :]
    s = 0.9 - 0.1 * e - 0.15 * case
    compare(selection_refits(fit, columns, probability=s[None], covariance=hc0), 0, columns, witness, "weighted")


def within_monte_carlo_error(got: Simulated, row: list[float]) -> None:
    ours = np.array([got.median, got.low, got.high])
    errors = np.array([got.error_of_median, got.error_of_low, got.error_of_high]) * np.sqrt(2)
    np.testing.assert_array_less(np.abs(ours - row) / errors, 4.0)


def test_without_covariates_the_confounder_is_episensrs(episensr: dict[str, Any]) -> None:
    """The fit without covariates with HC0 is the 2 x 2 table: the same distributions of the corrected risk ratio."""
    row = episensr["probsens_conf_unif"]
    assert np.array_equal(np.asarray(row["obs.data"]), TABLE)
    fit = crude()
    rng = np.random.default_rng(2)
    made = confounder_draws(
        association=Uniform(0.6, 0.7),
        prevalence=[Uniform(0.03, 0.04), Uniform(0.7, 0.9)],
        risks=np.array([85 / 178, 105 / 632]),
        draws=DRAWS,
        rng=rng,
    )
    got = corrected_ratios(fit.coefficients[1:], hc0(fit)[1:, 1:], made.log_bias, made.possible, rng)
    within_monte_carlo_error(got.systematic[0], row["adj.measures"][0])
    within_monte_carlo_error(got.total[0], row["adj.measures"][1])


def test_constants_are_episensrs_deterministic_numbers(episensr: dict[str, Any]) -> None:
    association, p1, p0 = episensr["confounder_RR"]["bias.parms"]
    fit = crude()
    made = confounder_draws(
        association=Constant(association),
        prevalence=[Constant(p0), Constant(p1)],
        risks=np.array([85 / 178, 105 / 632]),
        draws=100,
        rng=np.random.default_rng(1),
    )
    rng = np.random.default_rng(1)
    got = corrected_ratios(fit.coefficients[1:], hc0(fit)[1:, 1:], made.log_bias, made.possible, rng)
    expected = episensr["confounder_RR"]["adj.measures"][0][0]
    np.testing.assert_allclose(got.systematic[0].median, expected, rtol=1e-10)
    ratio = float(np.exp(fit.coefficients[1]))
    np.testing.assert_allclose(array_approach(ratio, association, p1, p0), expected, rtol=1e-10)


def test_without_covariates_selection_is_episensrs(episensr: dict[str, Any]) -> None:
    """Its table of selection: the corrected risk ratio by bias factor and by weighted records, and its variance."""
    row = episensr["selection"]
    (a, b), (c, d) = row["obs.data"]
    p = np.reshape(row["bias.parms"], (2, 2))  # cases exposed, unexposed; others
    expected = correct_selection(row["obs.data"], probabilities=p).corrected.risk_ratio
    np.testing.assert_allclose(expected.estimate, row["adj.measures"][0], rtol=1e-10)
    e = np.repeat([1.0, 0.0, 1.0, 0.0], [a, b, c, d])
    y = np.repeat([1.0, 1.0, 0.0, 0.0], [a, b, c, d])
    fit = fit_model("modified_poisson", build_design({"e": e}, [factor("e", e)], len(e)), y)
    made = selection_draws(
        with_outcome=[Constant(p[0, 1]), Constant(p[0, 0])],
        without_outcome=[Constant(p[1, 1]), Constant(p[1, 0])],
        risks=np.array([b / (b + d), a / (a + c)]),
        draws=1,
        rng=np.random.default_rng(1),
    )
    np.testing.assert_allclose(np.exp(fit.coefficients[1] - made.log_bias[0, 0]), expected.estimate, rtol=1e-10)
    again = selection_refits(fit, [1], probability=made.probability, covariance=hc0)
    np.testing.assert_allclose(np.exp(again.log_ratios[0, 0]), expected.estimate, rtol=1e-10)
    np.testing.assert_allclose(np.sqrt(again.covariances[0, 0, 0]), expected.std_error, rtol=1e-8)
