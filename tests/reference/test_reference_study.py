"""The whole reference study on a small simulated extract, against stats::glm and sandwich (reference_study.R).

Counts agree exactly, cut points to 1e-9, everything else to 1e-6 relative.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from walkrisk.cohorts.readers import read_extract
from walkrisk.declarations import as_table
from walkrisk.estimates.results import ROW_TYPES
from walkrisk.reports.files import rows_from_csv, rows_to_csv
from walkrisk.runs.compute import Computed, compute
from walkrisk.studies.declaration import contracts, load_study, study_from
from walkrisk.studies.study import RatioAnalysis, Study

HERE = Path(__file__).resolve().parent
WITNESS = HERE / "reference_study.csv"
EXTRACT = HERE / "reference_study_extract.csv.gz"

# Analysis of the witness -> numbers it holds at least, so that an empty file cannot pass.
HELD = {
    "flow": 16,
    "cutpoints": 12,
    "table1": 400,
    "main": 1008,
    "mutual": 224,
    "strat_age": 448,
    "strat_sex": 448,
    "strat_intensity": 448,
    "interaction": 30,
    "x_interaction": 45,
    "rcs": 190,
    "rcs_mutual": 190,
    "trend": 168,
    "evalue": 252,
    "sens1_bmi": 224,
    "sens2_other_pa": 224,
    "sens3_four_days": 224,
    "sens4_no_msp": 224,
    "sens5_pain_below_moderate": 224,
    "sens6_good_health": 224,
    "sens6b_good_health_known": 224,
    "sens7_no_disease": 224,
    "sens8_severe": 224,
    "x_fixed_cuts": 336,
    "x_hads8": 112,
    "logbin": 144,
}


@pytest.fixture(scope="module")
def comparison(oracle: Any, small: Computed) -> Any:
    return oracle.compare(oracle.read(WITNESS), small.results, grid_every=25)


@pytest.mark.parametrize("analysis", HELD)
def test_every_number_of_an_analysis_is_that_of_r(oracle: Any, comparison: Any, analysis: str) -> None:
    oracle.check(comparison, analysis, at_least=HELD[analysis])


def test_no_analysis_of_the_witness_is_left_out(comparison: Any) -> None:
    assert set(comparison.compared) | set(comparison.differences) == set(HELD)


def test_the_witness_is_about_the_extract_kept_here(small: Computed) -> None:
    assert small.results.flow[0].n_before == 2500
    assert small.cohort.n == 946


def test_the_number_of_jobs_changes_nothing(study: Study, small: Computed) -> None:
    assert compute(study, read_extract(EXTRACT, contracts(study)), jobs=3).results == small.results


def test_rows_hold_plain_python_values_only(small: Computed) -> None:
    """repr of a numpy number is not a number, so none may get as far as a row."""
    plain = {int, float, str, bool, type(None)}
    for kind in ROW_TYPES:
        for row in getattr(small.results, kind):
            assert {type(getattr(row, f.name)) for f in fields(row)} <= plain


def test_rows_come_back_from_csv_as_they_were(small: Computed) -> None:
    for kind, row_type in ROW_TYPES.items():
        rows = getattr(small.results, kind)
        assert rows_from_csv(rows_to_csv(rows, row_type), row_type) == rows


def test_both_engines_give_the_same_numbers(study: Study, small: Computed, oracle: Any) -> None:
    """`statsmodels` in place of our own Newton iteration, judged by the same witness."""
    changed = replace(study, settings=replace(study.settings, engine="statsmodels"))
    other = compute(changed, read_extract(EXTRACT, contracts(study)))
    comparison = oracle.compare(oracle.read(WITNESS), other.results, grid_every=25)
    for analysis, held in HELD.items():
        oracle.check(comparison, analysis, at_least=held)


def test_a_study_built_in_python_gives_the_results_of_its_toml(study: Study, small: Computed) -> None:
    """The declaration taken apart and put together again, one analysis as a dataclass made by hand."""
    built = study_from(as_table(study))
    by_hand = RatioAnalysis(
        id="main",
        title="Main analysis",
        group="main",
        exposures=("volume", "intensity"),
        models=("crude", "age_adjusted", "multi_adjusted"),
    )
    built = replace(built, analyses=(by_hand, *built.analyses[1:]))
    assert built == study
    assert compute(built, read_extract(EXTRACT, contracts(built))).results == small.results


@pytest.mark.parametrize("name", ["walking_low_back_pain", "nhanes_steps_mortality"])
def test_a_declaration_survives_the_way_to_plain_tables_and_back(name: str) -> None:
    study = load_study(HERE.parents[1] / "analyses" / name / "study.toml")
    assert study_from(as_table(study)) == study
