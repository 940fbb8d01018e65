"""Multiple imputation of a study: its sets, their pooled rows, its account, and what is impossible."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from walkrisk.accounts.account import View
from walkrisk.accounts.missing_data import accounts
from walkrisk.accounts.missing_data_words import is_of_outcome
from walkrisk.cohorts.days import daily_seconds
from walkrisk.cohorts.readers import read_extract
from walkrisk.declarations import read_toml
from walkrisk.errors import DataFault, StudyFault
from walkrisk.estimates.results import Results
from walkrisk.runs.accounting import view_of
from walkrisk.runs.compute import _source_columns, make_cohort
from walkrisk.runs.tabulations import tabulation
from walkrisk.sensitivity.pooling import pool_scalar
from walkrisk.simulation import load_simulation, simulate
from walkrisk.studies.bench import Rows, make_bench
from walkrisk.studies.declaration import contracts, study_from
from walkrisk.studies.losses import WorstCases
from walkrisk.studies.missing_data import Delta, ancestors
from walkrisk.variations import missing_data
from walkrisk.variations.ground import Ground, main_rows
from walkrisk.variations.imputed import completed, imputing, nelson_aalen
from walkrisk.variations.missing_data_rows import sets_needed
from walkrisk.variations.variation import Arrays, Variation

ANALYSES = Path(__file__).resolve().parents[2] / "analyses"
FOLDER = ANALYSES / "walking_low_back_pain"
IMPUTED = {
    "HADSDepr_NT4BLQ2": "pmm",
    "education": "ordinal",
    "income": "ordinal",
    "smoking": "nominal",
    "work_status": "auto",
}
MI = {
    "id": "mi",
    "sets": 3,
    "cycles": 4,
    "impute": IMPUTED,
    "auxiliaries": ["bmi", "health"],
    "replaces": ["complete_covariates"],
    "deltas": [
        {"variable": "HADSDepr_NT4BLQ2", "values": [-1.0, 1.0]},
        {"variable": "smoking", "level": 2, "values": [0.0, 1.0]},
    ],
}


@pytest.fixture(scope="module")
def extract_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("missing") / "extract.parquet"
    simulate(load_simulation(FOLDER / "simulation.toml"), n=2500, seed=4).frame.to_parquet(path, index=False)
    return path


def reference_ground(path: Path, **changed: Any) -> Ground:
    table = read_toml(FOLDER / "study.toml", "a study")
    table["sensitivity"] = {"imputations": [{**MI, **changed}]}
    return grounded(table, path)


def grounded(table: dict[str, Any], path: Path) -> Ground:
    study = study_from(table)
    extract = read_extract(path, contracts(study))
    cohort, _ = make_cohort(study, extract)
    columns = _source_columns(study, extract)
    return Ground(study, columns, daily_seconds(study.days, columns) if study.days else None, make_bench(study, cohort))


@pytest.fixture(scope="module")
def ground(extract_path: Path) -> Ground:
    return reference_ground(extract_path)


def carried_out(ground: Ground) -> Rows:
    (planned,) = missing_data.plan(ground)
    return planned.finish([part.work() for part in planned.parts])


@pytest.fixture(scope="module")
def worked(ground: Ground) -> tuple[Variation, list[Arrays]]:
    """The imputation with the arrays of its parts."""
    (planned,) = missing_data.plan(ground)
    return planned, [part.work() for part in planned.parts]


@pytest.fixture(scope="module")
def rows(worked: tuple[Variation, list[Arrays]]) -> Rows:
    planned, arrays = worked
    return planned.finish(arrays)


def seen(ground: Ground, rows: Rows) -> View:
    main = [main_rows(ground.bench, e) for e in ground.study.analyses[0].exposures]
    every = [*main, rows]
    results = Results(
        estimates=tuple(e for r in every for e in r.estimates),
        curves=(),
        flow=ground.bench.cohort.flow,
        cutpoints=tuple(c for r in every for c in r.cutpoints),
        characteristics=(),
        diagnostics=tuple(d for r in every for d in r.diagnostics),
        histograms=(),
        points=rows.points,
    )
    return view_of(tabulation(ground.study, results, simulated=True))


def test_a_completed_set_fills_holes_and_what_is_derived_follows(ground: Ground) -> None:
    declared = ground.study.sensitivity.imputations[0]
    bench = completed(ground, declared, 0)
    before = ground.bench.cohort.everyone
    assert bench.cohort.n > ground.bench.cohort.n
    for name in ("education", "income", "smoking", "work_status", "depression", "bmi"):
        assert not np.isnan(bench.cohort.analytic(name)).any()
        known = ~np.isnan(before[name])
        np.testing.assert_array_equal(bench.cohort.everyone[name][known], before[name][known])
    score = bench.cohort.analytic("HADSDepr_NT4BLQ2")
    np.testing.assert_array_equal(bench.cohort.analytic("depression"), (score >= 7).astype(float))
    q = bench.sample.categories["volume"]
    assert abs((q == 1).sum() - (q == 4).sum()) <= 1  # cut again among all of them
    # people whom other exclusions leave out are not touched
    out = ~completed(ground, declared, 0).cohort.included
    np.testing.assert_array_equal(bench.cohort.everyone["education"][out], before["education"][out])
    other = completed(ground, declared, 1).cohort.everyone["HADSDepr_NT4BLQ2"]
    assert (other[bench.cohort.included] != score).any()


def test_rows_are_the_sets_pooled_by_hand(ground: Ground, rows: Rows) -> None:
    declared = ground.study.sensitivity.imputations[0]
    sets = [main_rows(completed(ground, declared, i), "intensity") for i in range(3)]
    for variance in ("stata", "HC0"):
        mine = [
            next(e for e in s.estimates if e.level == "Q3" and e.variance == variance and e.model == "multi_adjusted")
            for s in sets
        ]
        df = sets[0].diagnostics[0].n - sets[0].diagnostics[0].parameters
        hand = pool_scalar(np.log([e.estimate or 0 for e in mine]), [(e.std_error or 0) ** 2 for e in mine], dfcom=df)
        row = next(
            e
            for e in rows.estimates
            if (e.exposure, e.level, e.variance, e.stratum) == ("intensity", "Q3", variance, "")
        )
        assert row.estimate == pytest.approx(np.exp(hand.estimate), rel=1e-12)
        assert row.conf_low == pytest.approx(np.exp(hand.conf_low), rel=1e-12)
        assert row.p_value == pytest.approx(hand.p_value, rel=1e-12)
        assert row.n == round(np.mean([e.n for e in mine]))
        fmi = next(
            p for p in rows.points if (p.series, p.exposure, p.level, p.item) == ("fmi", "intensity", "Q3", variance)
        )
        assert fmi.y == pytest.approx(hand.fmi, rel=1e-12)


def test_rows_of_shifts_and_of_chains(ground: Ground, rows: Rows) -> None:
    strata = {e.stratum for e in rows.estimates if e.estimand == "risk_ratio"}
    assert strata == {"", "HADSDepr_NT4BLQ2 -1", "HADSDepr_NT4BLQ2 +1", "smoking 2 +0", "smoking 2 +1"}
    at_random = {(e.exposure, e.level, e.variance): e.estimate for e in rows.estimates if e.exposure and not e.stratum}
    unshifted = {(e.exposure, e.level, e.variance): e.estimate for e in rows.estimates if e.stratum == "smoking 2 +0"}
    assert unshifted == at_random  # the same random numbers
    traces = [p for p in rows.points if p.series == "trace mean" and p.item == "education"]
    assert len(traces) == 3 * 4
    shares = [p.y for p in rows.points if (p.series, p.item, p.stratum) == ("distribution", "smoking", "known")]
    assert sum(v or 0 for v in shares) == pytest.approx(1)
    density = [p for p in rows.points if (p.series, p.item, p.stratum) == ("distribution", "bmi", "imputed")]
    assert sum((p.y or 0) * ((p.high or 0) - (p.low or 0)) for p in density) == pytest.approx(1)
    missing = {p.item: p.n for p in rows.points if p.series == "missing"}
    base = imputing(ground, ground.study.sensitivity.imputations[0])
    assert missing["income"] == int(np.isnan(base.base.cohort.analytic("income")).sum())
    assert set(missing) == {*IMPUTED, "bmi", "health"}  # auxiliaries with holes are imputed too
    cuts = [c.value for c in rows.cutpoints if c.exposure == "volume"]
    np.testing.assert_allclose(cuts, base.base.sample.cuts["volume"])  # walking itself is never imputed


def test_the_account_says_what_the_rows_hold(ground: Ground, rows: Rows) -> None:
    view = seen(ground, rows)
    (account,) = accounts(view)
    text = " ".join(s.text for s in account.sentences)
    for words in ("complete cases", "fraction of missing information", "Gelman-Rubin", "Smoking (Current)"):
        assert words in text
    assert account.lines[0].label == "Multiple imputation, 3 sets"
    assert len(account.lines) == 3
    assert [d.id for d in account.drawings] == ["mi_traces", "mi_distributions", "mi_shifts"]
    (table,) = account.tables
    assert len(table.rows) == 2 * 5
    assert "proportional odds (Education, Household income, USD/year)" in account.methods[0]


def test_nothing_to_impute_is_a_note_and_the_main_analysis(extract_path: Path) -> None:
    ground = reference_ground(extract_path, replaces=[], deltas=[], auxiliaries=[])
    rows = carried_out(ground)
    main = main_rows(ground.bench, "volume").estimates
    mine = [e for e in rows.estimates if e.exposure == "volume"]
    assert [replace(e, analysis="main") for e in mine] == list(main)
    assert rows.diagnostics[0].warnings.startswith("Nothing is missing in the variables to impute")
    (account,) = accounts(seen(ground, rows))
    assert "Nothing was missing" in account.sentences[0].text
    assert not account.drawings


def test_deleting_imputed_outcomes(extract_path: Path) -> None:
    changed = {
        "impute": {**IMPUTED, "lbp_t1": "binary"},
        "replaces": ["followup_pain_known", "complete_covariates"],
        "deltas": [],
    }
    kept = reference_ground(extract_path, **changed)
    deleted = reference_ground(extract_path, **changed, delete_imputed_outcomes=True)
    one = completed(kept, kept.study.sensitivity.imputations[0], 0)
    other = completed(deleted, deleted.study.sensitivity.imputations[0], 0)
    known = ~np.isnan(kept.bench.cohort.everyone["lbp_t1"])
    np.testing.assert_array_equal(other.cohort.included, one.cohort.included & known)
    assert not np.isnan(one.cohort.analytic("lbp_t1")).any()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"impute": {}}, "names nothing to impute"),
        ({"impute": {"PID_114165": "pmm"}}, "identifier"),
        ({"impute": {"nowhere": "pmm"}}, "nowhere"),
        ({"impute": {**IMPUTED, "depression": "binary"}}, "depression is derived from HADSDepr_NT4BLQ2"),
        ({"auxiliaries": ["IncoTot_NT4BLQ1"]}, "income is derived from IncoTot_NT4BLQ1"),
        ({"sets": 1}, "at least 2 sets"),
        ({"cycles": 0}, "cycles: must be at least 1"),
        ({"replaces": ["nothing"]}, "no exclusion 'nothing'"),
        ({"delete_imputed_outcomes": True}, "lbp_t1 is not among `impute`"),
        ({"deltas": [{"variable": "bmi", "values": [1.0]}]}, "no imputed variable 'bmi'"),
        ({"deltas": [{"variable": "smoking", "values": [1.0]}]}, "shifted at one level"),
        ({"deltas": [{"variable": "income", "values": []}]}, "names no shift"),
    ],
)
def test_faults_of_the_declaration(extract_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyFault, match=said):
        reference_ground(extract_path, **changed)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"impute": {n: k for n, k in IMPUTED.items() if n != "income"}}, "income predicts and is itself missing"),
        ({"deltas": [{"variable": "smoking", "level": 7, "values": [1.0]}]}, "Nobody has level 7 of smoking"),
        ({"replaces": ["complete_covariates", "followup_pain_known"]}, "lbp_t1 predicts and is itself missing"),
        ({"impute": {**IMPUTED, "age": "binary"}}, "not binary"),
        (
            {"impute": {**IMPUTED, "age": "pmm"}, "deltas": [{"variable": "age", "values": [1.0]}]},
            "age is not imputed, so it cannot be shifted",
        ),
    ],
)
def test_what_the_data_make_impossible(extract_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(DataFault, match=f"sensitivity.imputations \\(mi\\).*{said}"):
        list(missing_data.plan(reference_ground(extract_path, **changed)))


# ---------------------------------------------------------------- a study whose conclusion tips


def small_table(**study: Any) -> dict[str, Any]:
    """The minimal study with one exposure of two categories, and `study` laid over it."""
    table = read_toml(ANALYSES / "minimal_study.toml", "a study")
    for gone in ("smoking", "steps"):
        del table["columns"][gone]
    table["columns"]["activity"] |= {"codes": [1, 2], "labels": {"1": "Low", "2": "High"}}
    table["exposures"] = {"activity_group": table["exposures"]["activity_group"]}
    table["models"]["adjusted"]["covariates"] = ["age", "sex"]
    table["analyses"] = [{**table["analyses"][0], "exposures": ["activity_group"]}]
    for key in ("characteristics", "tables", "curves", "curve_figures", "forest_figures"):
        table.pop(key, None)
    return {**table, **study}


@pytest.fixture(scope="module")
def tipping(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """A third of the unexposed lost to follow-up: shifting their imputed outcomes moves the ratio past 1."""
    random = np.random.default_rng(9)
    n = 4000
    active = random.integers(1, 3, n)
    outcome = (random.random(n) < np.where(active == 1, 0.35, 0.27)).astype(float)
    outcome[(random.random(n) < 0.35) & (active == 1)] = np.nan
    frame = pd.DataFrame({"id": np.arange(n), "age": random.uniform(30, 70, n).round(1), "activity": active})
    frame["sex"] = np.where(random.random(n) < 0.5, "F", "M")
    frame["outcome"] = outcome
    path = tmp_path_factory.mktemp("tipping") / "extract.parquet"
    frame.to_parquet(path, index=False)
    declared = {
        "id": "mi",
        "sets": 8,
        "cycles": 2,
        "impute": {"outcome": "auto"},
        "replaces": ["followed"],
        "deltas": [{"variable": "outcome", "values": [-6.0, -4.0, -3.0, -2.0, -1.0, 1.0, 2.0]}],
    }
    steps = [{"id": "followed", "reason": "Lost", "known": ["outcome"]}]
    return grounded(small_table(exclusions=steps, sensitivity={"imputations": [declared]}), path)


@pytest.fixture(scope="module")
def tipping_rows(tipping: Ground) -> Rows:
    return carried_out(tipping)


def test_a_conclusion_that_tips_does_so_where_a_direct_count_says(tipping: Ground, tipping_rows: Rows) -> None:
    rows = tipping_rows
    tips = {e.estimand: e.estimate for e in rows.estimates if e.estimand.startswith("tipping")}
    y = tipping.columns["outcome"]
    low = tipping.columns["activity"] == 1
    known, exposed = np.nanmean(y[low]), np.nanmean(y[~low])
    lost = np.isnan(y[low]).mean()
    # risk of those lost at which the risks are equal, and its log-odds against those followed
    needed = (exposed - (1 - lost) * known) / lost
    direct = np.log(needed / (1 - needed)) - np.log(known / (1 - known))
    assert tips["tipping_point"] == pytest.approx(direct, abs=0.35)
    assert -abs(tips["tipping_point"] or 0) < (tips["tipping_point_interval"] or -99) < 0
    scan = [p.y for p in rows.points if p.series == "shift"]
    assert len(scan) == 8  # the grid and no shift
    assert scan == sorted(scan, reverse=True)
    (account,) = accounts(seen(tipping, rows))
    assert any(s.text.startswith("The ratio reached no association at a shift of") for s in account.sentences)


def untipped(rows: Rows) -> Rows:
    """The same rows, as a grid without a tipping point leaves them."""
    return replace(
        rows,
        estimates=tuple(
            replace(e, estimate=None) if e.estimand.startswith("tipping_point") else e for e in rows.estimates
        ),
    )


@pytest.mark.parametrize("looked_at", [True, False])
def test_shifts_of_the_outcome_are_said_to_be_the_same_for_all(
    tipping: Ground, tipping_rows: Rows, looked_at: bool
) -> None:
    worst = (WorstCases(id="worst", steps=("followed",)),) if looked_at else ()
    study = replace(tipping.study, sensitivity=replace(tipping.study.sensitivity, worst_cases=worst))
    view = seen(replace(tipping, study=study), untipped(tipping_rows))
    (account,) = accounts(view)
    methods, found = " ".join(account.methods), [s.text for s in account.sentences if s.text.startswith("No shift")]
    assert "A shift of the outcome is the same for everyone whose outcome was imputed" in methods
    (said,) = found
    assert said.startswith("No shift on this grid, the same in all categories of the exposure, brought the ratio")
    apart = "shifts that differ between categories are what the worst cases of loss to follow-up look at."
    assert said.endswith(apart) is looked_at
    assert said.endswith("were not declared.") is not looked_at
    assert (apart.capitalize() in methods) is looked_at


def test_shifts_of_what_the_outcome_is_derived_from_are_of_the_outcome(ground: Ground, rows: Rows) -> None:
    view = seen(ground, rows)
    outcome = view.study.outcomes[view.study.settings.outcome].variable
    source = next(iter(ancestors(view.study, outcome)))
    assert is_of_outcome(view, Delta(variable=outcome, values=(1.0,)))
    assert is_of_outcome(view, Delta(variable=source, values=(1.0,)))
    assert not is_of_outcome(view, Delta(variable="smoking", level=2, values=(1.0,)))


def test_shifts_of_a_covariate_are_not(ground: Ground, rows: Rows) -> None:
    (account,) = accounts(seen(ground, untipped(rows)))
    found = [s.text for s in account.sentences if s.text.startswith("No shift")]
    assert len(found) == 4
    assert not any("the same in all categories" in text for text in [*found, *account.methods])
    assert not any("differ between categories" in text for text in [*found, *account.methods])


@pytest.mark.parametrize(
    ("fmi", "needed"), [(0.3, 30), (0.301, 31), (0.57, 57), (0.07, 7), (0.614, 62), (0.001, 1), (1.0, 100)]
)
def test_customary_number_of_sets(fmi: float, needed: int) -> None:
    assert sets_needed(fmi) == needed


def test_too_few_sets_are_said_with_how_many_are_customary(tipping: Ground, tipping_rows: Rows) -> None:
    (row,) = [e for e in tipping_rows.estimates if e.estimand == "sets_needed"]
    fmi = next(p.y for p in tipping_rows.points if (p.series, p.item) == ("fmi", tipping.study.settings.variances[0]))
    assert fmi is not None
    assert row.estimate is not None
    assert 100 * fmi <= row.estimate < 100 * fmi + 1
    assert row.estimate > 8
    (account,) = accounts(seen(tipping, tipping_rows))
    (said,) = [s for s in account.sentences if "customary" in s.text]
    assert f"which asks for {row.estimate:.0f} sets; 8 were declared." in said.text
    assert (said.facts["needed"].row, said.facts["needed"].column) == (row, "estimate")
    assert f"was {100 * fmi:.1f}%" in said.text
    assert any("10.1002/sim.4067); 8 were declared." in text for text in account.methods)
    enough = replace(row, estimate=8.0)  # as many as were declared
    rows = replace(tipping_rows, estimates=tuple(enough if e is row else e for e in tipping_rows.estimates))
    (account,) = accounts(seen(tipping, rows))
    assert not any("customary" in s.text for s in account.sentences)


@pytest.mark.parametrize("exposure", ["volume", "intensity"])
def test_the_largest_fraction_of_all_exposures_counts(worked: tuple[Variation, list[Arrays]], exposure: str) -> None:
    """With ratios of one exposure that differ between sets, under the variance that tables show."""
    planned, arrays = worked
    changed = [dict(part) for part in arrays]
    for i in range(3):
        changed[i][f"{exposure} estimate"] = arrays[i][f"{exposure} estimate"] * np.exp(0.1 * i)
        changed[i][f"{exposure} std_error"] = arrays[i][f"{exposure} std_error"] * [1.0, 0.5]
    rows = planned.finish(changed)
    own = [p.y or 0 for p in rows.points if p.series == "fmi" and p.item == "stata" and p.exposure == exposure]
    (row,) = [e for e in rows.estimates if e.estimand == "sets_needed"]
    assert max(own) > 0.2
    assert row.estimate == np.ceil(100 * max(own))


def test_nelson_aalen_by_hand() -> None:
    event, time = np.array([1.0, 0, 1, 1, np.nan]), np.array([2.0, 3, 3, 5, 1])
    np.testing.assert_allclose(nelson_aalen(event, time)[:4], [1 / 4, 1 / 4 + 1 / 3, 1 / 4 + 1 / 3, 1 / 4 + 1 / 3 + 1])
    assert np.isnan(nelson_aalen(event, time)[4])


def test_hazard_ratios_are_imputed_with_the_cumulative_hazard(tmp_path: Path) -> None:
    random = np.random.default_rng(10)
    n = 600
    age = random.uniform(30, 70, n)
    time = random.exponential(np.exp(1.5 - 0.03 * (age - 50)))
    frame = pd.DataFrame({"id": np.arange(n), "activity": random.integers(1, 3, n), "time": time.clip(0.01, 4)})
    frame["sex"] = np.where(random.random(n) < 0.5, "F", "M")
    frame["age"] = np.where(random.random(n) < 0.3, np.nan, age.round(1))
    frame["outcome"] = (time < 4).astype(int)
    frame.to_parquet(tmp_path / "extract.parquet", index=False)
    table = small_table(
        exclusions=[{"id": "complete", "reason": "Missing", "known": ["age"]}],
        sensitivity={"imputations": [{"id": "mi", "sets": 4, "impute": {"age": "pmm"}, "replaces": ["complete"]}]},
    )
    table["columns"]["time"] = {"kind": "number"}
    table["settings"] |= {"method": "cox", "variances": ["HC0"]}
    table["outcomes"]["outcome"] |= {"time": "time", "event": "outcome"}
    ground = grounded(table, tmp_path / "extract.parquet")
    rows = carried_out(ground)
    high = next(e for e in rows.estimates if e.level == "High")
    assert high.estimand == "hazard_ratio"
    assert high.std_error
    made = imputing(ground, ground.study.sensitivity.imputations[0])
    assert made.prepared is not None
    assert len(made.prepared.visits[0].use) == 5  # intercept, event, cumulative hazard, activity, sex
    # the younger live longer, so those of unknown age with long times are imputed younger
    filled = completed(ground, ground.study.sensitivity.imputations[0], 0).cohort.everyone
    gone = np.isnan(ground.columns["age"])
    assert np.corrcoef(filled["age"][gone], filled["time"][gone])[0, 1] < -0.1
