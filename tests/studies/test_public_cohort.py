"""The second study: a real public cohort, against published and independently computed numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

import walkrisk
from walkrisk.runs.run import Run

STUDY = Path(__file__).resolve().parents[2] / "analyses" / "nhanes_steps_mortality" / "study.toml"
# Published (PMID 39589008): hazard ratio of death per 500 steps a day.
PUBLISHED = {
    "adept": 0.88, "actilife": 0.95, "oak": 0.95, "volume": 0.95, "stepcount_ssl": 0.96, "verisense_revised": 0.95,
    "verisense": 0.95,
}  # fmt: skip
# R 4.2.2, survey::svycoxph with strata and PSU over the whole file, domain as below: log HR per 500 steps, its SE,
# and the SE of survival::coxph(weights, robust = TRUE).
SVYCOXPH = {
    "adept": (-0.1286333395, 0.0439070558, 0.0464582852),
    "volume": (-0.0488787764, 0.0121150832, 0.0114424552),
    "oak": (-0.0464982486, 0.0102717253, 0.0102790756),
}


@pytest.fixture(scope="module")
def run(shared: Path) -> Run:
    data = shared / "data" / "nhanes_steps_mortality" / "covariates_accel_mortality_df.csv.gz"
    if not data.is_file():
        pytest.skip(f"{data.name} is not here; analyses/nhanes_steps_mortality/README.md says where it comes from")
    return walkrisk.run(walkrisk.load_study(STUDY), data=data)


def test_people_and_deaths_are_the_published_ones(run: Run) -> None:
    assert run.results.flow[-1].n_after == 3638
    cox = next(d for d in run.results.diagnostics if d.analysis == "per_500_steps")
    assert (cox.n, cox.events) == (3638, 412)


@pytest.mark.parametrize("exposure", PUBLISHED)
def test_the_hazard_ratios_are_the_published_ones_to_two_decimals(run: Run, exposure: str) -> None:
    rows = [e for e in run.results.estimates if (e.analysis, e.exposure) == ("per_500_steps", exposure)]
    assert {r.variance for r in rows} == {"survey", "HC0"}
    assert {r.estimand for r in rows} == {"hazard_ratio"}
    assert {round(r.estimate or 0, 2) for r in rows} == {PUBLISHED[exposure]}


@pytest.mark.parametrize("exposure", SVYCOXPH)
def test_log_hazard_ratios_and_design_based_errors_agree_with_r(run: Run, exposure: str) -> None:
    import math

    log_hr, design, robust = SVYCOXPH[exposure]
    rows = {e.variance: e for e in run.results.estimates if (e.analysis, e.exposure) == ("per_500_steps", exposure)}
    assert math.log(rows["survey"].estimate or 0) == pytest.approx(log_hr, abs=1e-9)
    assert rows["survey"].std_error == pytest.approx(design, rel=1e-7)
    assert rows["HC0"].std_error == pytest.approx(robust, rel=1e-7)


def test_the_risk_ratios_of_quartiles(run: Run) -> None:
    """Against an independent, unweighted run with linearly interpolated quartiles: equal to two decimals."""
    rows = {
        e.level: e
        for e in run.results.estimates
        if (e.analysis, e.exposure, e.model, e.estimand) == ("main", "volume", "multi_adjusted", "risk_ratio")
    }
    independent = {"Q2": (0.490, 0.350, 0.687), "Q3": (0.412, 0.268, 0.632), "Q4": (0.378, 0.239, 0.598)}
    for level, numbers in independent.items():
        e = rows[level]
        assert (e.estimate, e.conf_low, e.conf_high) == pytest.approx(numbers, abs=0.002)
