"""Bias analysis against the R package episensr 1.3.0 (reference/statistics/out/qba_episensr.json).

Deterministic analyses to 1e-10; probabilistic ones (200,000 draws of theirs, 400,000 of ours) within 4 Monte Carlo
standard errors of the difference of medians and limits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.sensitivity.bias import (
    CorrectedTable,
    Measure,
    correct_confounder,
    correct_misclassification,
    correct_selection,
    table_measures,
)
from walkrisk.sensitivity.priors import Trapezoidal, Uniform
from walkrisk.sensitivity.probabilistic_bias import (
    BiasDistribution,
    Simulated,
    probabilistic_confounder,
    probabilistic_misclassification,
)

THEIRS, OURS = 200_000, 400_000


@pytest.fixture(scope="module")
def r(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "reference/statistics/out/qba_episensr.json").read_text())


def limits(measure: Measure) -> list[float]:
    return [measure.estimate, measure.conf_low, measure.conf_high]


def compare(got: CorrectedTable, row: dict[str, Any]) -> None:
    np.testing.assert_allclose(got.corrected_table, row["corr.data"], rtol=1e-10)
    measures = (got.observed.risk_ratio, got.observed.odds_ratio)
    np.testing.assert_allclose([limits(m) for m in measures], row["obs.measures"], rtol=1e-10)
    rr, odds = got.corrected.risk_ratio, got.corrected.odds_ratio
    if isinstance(row["adj.measures"][0], list):  # an odds ratio with limits
        np.testing.assert_allclose(rr.estimate, row["adj.measures"][0][0], rtol=1e-10)
        np.testing.assert_allclose(limits(odds), row["adj.measures"][1], rtol=1e-10)
    else:
        np.testing.assert_allclose([rr.estimate, odds.estimate], row["adj.measures"], rtol=1e-10)


@pytest.mark.parametrize("name", ["misclass_exposure", "misclass_exposure_diff", "misclass_outcome"])
def test_misclassification(r: dict[str, Any], name: str) -> None:
    row = r[name]
    se1, se0, sp1, sp0 = row["bias.parms"]
    of = "outcome" if name == "misclass_outcome" else "exposure"
    got = correct_misclassification(row["obs.data"], of=of, sensitivity=(se1, se0), specificity=(sp1, sp0))
    compare(got, row)


def test_misclassification_of_another_table(r: dict[str, Any]) -> None:
    got = correct_misclassification(r["wcgs_table"], of="exposure", sensitivity=0.9, specificity=0.95)
    compare(got, r["wcgs_misclass_exposure"])


def test_selection(r: dict[str, Any]) -> None:
    row = r["selection"]
    p = np.reshape(row["bias.parms"], (2, 2))
    got = correct_selection(row["obs.data"], probabilities=p)
    compare(got, row)
    factor = got.observed.odds_ratio.estimate / got.corrected.odds_ratio.estimate
    np.testing.assert_allclose(factor, row["selbias.or"], rtol=1e-12)


@pytest.mark.parametrize("name", ["confounder_RR", "confounder_RD", "wcgs_confounder_RR"])
def test_confounder(r: dict[str, Any], name: str) -> None:
    row = r[name]
    association, p1, p0 = row["bias.parms"]
    got = correct_confounder(
        row["obs.data"],
        measure=name[-2:],
        association=association,
        prevalence_exposed=p1,
        prevalence_unexposed=p0,
    )
    np.testing.assert_allclose(got.with_confounder, row["cfder.data"], rtol=1e-10)
    np.testing.assert_allclose(got.without_confounder, row["nocfder.data"], rtol=1e-10)
    np.testing.assert_allclose(limits(got.observed), row["obs.measures"][0], rtol=1e-10)
    for stratum in row["obs.measures"][1:]:
        np.testing.assert_allclose(got.adjusted.estimate, stratum[0], rtol=1e-10)
    for adjusted, due in row["adj.measures"]:  # standardised and Mantel-Haenszel
        np.testing.assert_allclose([got.adjusted.estimate, got.bias], [adjusted, due], rtol=1e-10)


def within_monte_carlo_error(got: Simulated, row: list[float]) -> None:
    ours = np.array([got.median, got.low, got.high])
    errors = np.array([got.error_of_median, got.error_of_low, got.error_of_high]) * np.sqrt(1 + OURS / THEIRS)
    np.testing.assert_array_less(np.abs(ours - row) / errors, 4.0)


def observed(row: dict[str, Any]) -> None:
    m = table_measures(row["obs.data"])
    np.testing.assert_allclose([limits(m.risk_ratio), limits(m.odds_ratio)], row["obs.measures"], rtol=1e-10)


def test_probabilistic_nondifferential_misclassification(r: dict[str, Any]) -> None:
    row = r["probsens_exposure_nondiff_unif"]
    observed(row)
    got = probabilistic_misclassification(
        row["obs.data"],
        of="exposure",
        sensitivity=Uniform(0.8, 1),
        specificity=Uniform(0.8, 1),
        rng=np.random.default_rng(1),
        draws=OURS,
        random_error="conventional",
    )
    compare_probsens(got, row)


def compare_probsens(got: BiasDistribution, row: dict[str, Any]) -> None:
    order = (got.risk_ratio, got.odds_ratio, got.risk_ratio_total, got.odds_ratio_total)
    for mine, theirs in zip(order, row["adj.measures"], strict=True):
        within_monte_carlo_error(mine, theirs)


class BackwardsAbove(Trapezoidal):
    """The trapezoid of episensr's correlated draws: its falling part runs backwards, highest value at its start."""

    def quantile(self, u: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        start = 1 - (self.high - self.upper_mode) / (self.high + self.upper_mode - self.low - self.lower_mode)
        return super().quantile(np.where(u > start, 1 + start - u, u))


@pytest.mark.parametrize("prior", [BackwardsAbove, Trapezoidal])
def test_probabilistic_differential_misclassification_with_correlated_draws(
    r: dict[str, Any], prior: type[Trapezoidal]
) -> None:
    """All of episensr's with its own draws; ours keep the correlation up to the highest values, so that fewer draws
    have one group near-perfect and the other not, and the lower limits are higher."""
    row = r["probsens_exposure_trapezoid_corr"]
    observed(row)
    pair = (prior(0.75, 0.85, 0.95, 1), prior(0.7, 0.8, 0.9, 0.95))
    got = probabilistic_misclassification(
        row["obs.data"],
        of="exposure",
        sensitivity=pair,
        specificity=pair,
        rng=np.random.default_rng(1),
        draws=OURS,
        correlation=0.8,
        dependence="logistic",
        random_error="conventional",
    )
    assert got.impossible > 0
    if prior is BackwardsAbove:
        compare_probsens(got, row)
    else:
        rr = row["adj.measures"][0]
        np.testing.assert_allclose([got.risk_ratio.median, got.risk_ratio.high], [rr[0], rr[2]], rtol=0.01)
        assert got.risk_ratio.low > rr[1] + 0.05


def test_probabilistic_confounder(r: dict[str, Any]) -> None:
    row = r["probsens_conf_unif"]
    observed(row)
    got = probabilistic_confounder(
        row["obs.data"],
        association=Uniform(0.6, 0.7),
        prevalence_exposed=Uniform(0.7, 0.9),
        prevalence_unexposed=Uniform(0.03, 0.04),
        rng=np.random.default_rng(1),
        draws=OURS,
    )
    order = (got.risk_ratio, got.risk_ratio_total, got.odds_ratio, got.odds_ratio_total)
    for mine, theirs in zip(order, row["adj.measures"], strict=True):
        within_monte_carlo_error(mine, theirs)
