"""A study varied: what is made of a changed variable follows it, and quantiles are cut again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from walkrisk.cohorts.days import daily_seconds
from walkrisk.cohorts.readers import read_extract
from walkrisk.declarations import read_toml
from walkrisk.errors import DataFault
from walkrisk.runs.compute import _source_columns, make_cohort
from walkrisk.simulation import load_simulation, simulate
from walkrisk.studies.bench import make_bench
from walkrisk.studies.declaration import contracts, study_from
from walkrisk.variations.ground import Ground, main_analysis, main_fit, main_model, main_rows, seed_of, vary

FOLDER = Path(__file__).resolve().parents[2] / "analyses" / "walking_low_back_pain"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    table = read_toml(FOLDER / "study.toml", "a study")
    study = study_from(table)
    path = tmp_path_factory.mktemp("ground") / "extract.parquet"
    simulate(load_simulation(FOLDER / "simulation.toml"), n=1500, seed=3).frame.to_parquet(path, index=False)
    extract = read_extract(path, contracts(study))
    cohort, _ = make_cohort(study, extract)
    columns = _source_columns(study, extract)
    assert study.days is not None
    return Ground(study, columns, daily_seconds(study.days, columns), make_bench(study, cohort))


def test_nothing_changed_is_the_study_itself(ground: Ground) -> None:
    bench = vary(ground)
    np.testing.assert_array_equal(bench.cohort.included, ground.bench.cohort.included)
    for name, values in ground.bench.sample.categories.items():
        np.testing.assert_array_equal(bench.sample.categories[name], values)
    for exposure in ("volume", "intensity"):
        assert main_rows(bench, exposure).estimates == main_rows(ground.bench, exposure).estimates


def test_values_given_for_a_column_are_followed_by_what_is_derived_from_it(ground: Ground) -> None:
    filled = np.where(np.isnan(ground.columns["HADSDepr_NT4BLQ2"]), 9.0, ground.columns["HADSDepr_NT4BLQ2"])
    bench = vary(ground, given={"HADSDepr_NT4BLQ2": filled})
    before = ground.bench.cohort.everyone["depression"]
    after = bench.cohort.everyone["depression"]
    assert np.isnan(before).any()
    np.testing.assert_array_equal(after, np.where(np.isnan(before), 1.0, before))
    assert bench.cohort.n > ground.bench.cohort.n  # fewer people lack a covariate
    assert np.isnan(ground.columns["HADSDepr_NT4BLQ2"]).any()  # the data are as they were


def test_values_given_for_a_derived_variable_stand_in_its_place(ground: Ground) -> None:
    doubled = 2 * ground.bench.cohort.everyone["walking_min_day"]
    bench = vary(ground, given={"walking_min_day": doubled})
    np.testing.assert_allclose(bench.sample.cuts["volume"], 2 * ground.bench.sample.cuts["volume"])
    np.testing.assert_array_equal(bench.sample.categories["volume"], ground.bench.sample.categories["volume"])
    intensity = ground.bench.cohort.everyone["walking_intensity_met"]
    np.testing.assert_allclose(bench.cohort.everyone["walking_intensity_met"], intensity / 2)


def test_a_step_left_out_and_people_left_out(ground: Ground) -> None:
    bench = vary(ground, without=["complete_covariates"])
    assert bench.cohort.n > ground.bench.cohort.n
    women = ground.columns["Sex"] == 0
    only = vary(ground, people=women)
    assert only.cohort.n == int((ground.bench.cohort.included & women).sum())
    assert not np.array_equal(only.sample.cuts["volume"], ground.bench.sample.cuts["volume"])  # cut again


def test_another_rule_for_days_is_followed(ground: Ground) -> None:
    days = ground.study.days
    assert days is not None
    stern = replace(days, valid=replace(days.valid, total_of=("lying_s",), min_total_h=10.0))
    bench = vary(ground, study=replace(ground.study, days=stern))
    assert bench.cohort.n < ground.bench.cohort.n


def test_nobody_left_is_said(ground: Ground) -> None:
    with pytest.raises(DataFault, match="Nobody is left in a variation"):
        vary(ground, people=np.zeros(len(ground.columns["Sex"]), dtype=bool))


def test_the_main_model_is_that_of_the_study(ground: Ground) -> None:
    assert main_analysis(ground.study).models == ("multi_adjusted",)
    fitted, terms = main_fit(ground.bench, "volume")
    model = main_model(ground.bench, "volume")
    design = model.assembled.frame.design()
    assert design.names == fitted.fit.names
    np.testing.assert_array_equal(design.matrix, fitted.fit.design.matrix)
    assert len(terms) == len(model.asked.terms)
    rows = [e for e in main_rows(ground.bench, "volume").estimates if e.level == "Q4" and e.variance == "stata"]
    at = fitted.fit.names.index(next(n for n in fitted.fit.names if "Q4" in n or n.endswith("[4]")))
    assert rows[0].estimate == pytest.approx(np.exp(fitted.fit.coefficients[at]), rel=1e-12)


def test_random_streams_are_of_their_own(ground: Ground) -> None:
    first = seed_of(ground, "mi", 3).random(4)
    np.testing.assert_array_equal(first, seed_of(ground, "mi", 3).random(4))
    for other in (seed_of(ground, "mi", 4), seed_of(ground, "ipcw", 3)):
        assert not np.array_equal(first, other.random(4))
