"""The simulation engine on small declarations checked by hand, and the extract the reference study ships with."""

from __future__ import annotations

import copy
import json
import math
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from walkrisk.errors import StudyFault, UsageFault
from walkrisk.simulation import (
    SimulatedExtract,
    Simulation,
    load_simulation,
    parse_simulation,
    simulate,
    write_extract,
)
from walkrisk.simulation.declaration import Term
from walkrisk.simulation.terms import solve_intercept, term_value

DECLARATION = Path(__file__).parents[2] / "analyses" / "walking_low_back_pain" / "simulation.toml"
BEHAVIOURS = ("Ly", "Sit", "Stand", "Walk1", "Walk2", "Walk3", "Run", "Cycl")

SMALL = tomllib.loads("""
title = "Small"
defaults = { n = 100, seed = 1 }
identifier = { column = "id", first = 11 }
outcome = { variable = "y", contrasts = [
  { name = "8 against 4", from = { x = 4 }, to = { x = 8 }, given = { old = 1 } },
  { name = "grade 3 against 1", from = { grade = 1 }, to = { grade = 3 } },
] }
variables = [
  { op = "normal", name = "x", mean = 5, sd = 2, lower = 0 },
  { op = "bernoulli", name = "old", mean = 0.4 },
  { op = "ordinal", name = "grade", codes = [1, 2, 3], shares = [0.2, 0.5, 0.3], terms = [
    { variable = "x", coefficient = -0.2 },
  ] },
  { op = "bernoulli", name = "y", link = "log", mean = 0.2, among = [{ variable = "x", at_least = 1 }], terms = [
    { variable = "x", coefficient = -0.1, flat_below = 3, flat_above = 7, by = "old", factors = { 0 = 0.5, 1 = 2.0 } },
    { variable = "grade", effects = { 2 = 0.2, 3 = 0.4 } },
  ] },
  { op = "date", name = "seen", earliest = "2020-02-28", latest = "2020-03-01" },
]
columns = [
  { name = "grade", from = "grade", labels = { 1 = "low", 3 = "high" }, missing = { probability = 0.1 } },
  { name = "follow", from = "old", asked_when = [{ column = "grade", equals = [2, 3] }], blank = [0] },
  { name = "x", from = "x", type = "float64", decimals = 2, missing_when = [
    { variable = "y", equals = [1] },
    { variable = "x", at_least = 9 },
  ] },
  { name = "y", from = "y" },
  { name = "seen", from = "seen", type = "date" },
]
""")


def small(**changes: Any) -> Simulation:
    return parse_simulation({**SMALL, **changes})


def number(frame: pd.DataFrame, name: str) -> np.ndarray[Any, Any]:
    return frame[name].to_numpy(dtype=np.float64, na_value=np.nan)


@pytest.fixture(scope="module")
def extract() -> SimulatedExtract:
    return simulate(load_simulation(DECLARATION), n=31000, seed=2025, keep_latent=True)


def days(frame: pd.DataFrame, stem: str) -> np.ndarray[Any, Any]:
    return np.stack([number(frame, f"{stem}TmD{day}_NT4ActMX") for day in range(1, 8)], axis=1)


# ---- the language ----------------------------------------------------------------------------------------------------


def test_a_term_is_clipped_centred_multiplied_and_modified() -> None:
    term = Term(
        variable="x", coefficient=0.5, center=2, flat_below=1, flat_above=4, times="z", by="m", factors={1: 3.0}
    )  # type: ignore[arg-type]
    values = {"x": np.array([0.0, 3, 9, 9]), "z": np.array([1.0, 1, 1, 2]), "m": np.array([0.0, 0, 0, 1])}
    assert term_value(term, values).tolist() == [-0.5, 0.5, 1.0, 6.0]


def test_effects_by_code_are_zero_where_not_named() -> None:
    term = Term(variable="x", effects={2: 0.3})  # type: ignore[arg-type]
    assert term_value(term, {"x": np.array([1.0, 2, 3])}).tolist() == [0.0, 0.3, 0.0]


@pytest.mark.parametrize(("link", "inverse"), [("log", np.exp), ("logit", lambda x: 1 / (1 + np.exp(-x)))])
def test_the_intercept_gives_the_declared_mean(link: str, inverse: Any) -> None:
    eta = np.array([-2.0, 0.0, 0.3, 1.0])
    assert inverse(eta + solve_intercept(eta, mean=0.12, link=link)).mean() == pytest.approx(0.12, abs=1e-14)


def test_contrasts_are_the_ratios_the_coefficients_imply() -> None:
    contrasts = simulate(small(), n=500, seed=3).truth["outcome"]["contrasts"]
    assert contrasts[0]["risk_ratio"] == pytest.approx(math.exp(-0.1 * (7 - 4) * 2))
    assert contrasts[1]["risk_ratio"] == pytest.approx(math.exp(0.4))


def test_gates_blanks_and_missing_rules() -> None:
    made = simulate(small(), n=4000, seed=5, keep_latent=True)
    frame, latent = made.frame, made.latent
    assert latent is not None
    grade = number(frame, "grade")
    asked = np.isin(grade, [2, 3])
    assert np.array_equal(~np.isnan(number(frame, "follow")), asked & (latent["old"].to_numpy() == 1))
    hidden = (latent["y"].to_numpy() == 1) | (latent["x"].to_numpy() >= 9)
    assert np.array_equal(np.isnan(number(frame, "x")), hidden)
    assert np.isnan(grade).mean() == pytest.approx(0.1, abs=0.02)
    assert latent["grade"].value_counts(normalize=True).sort_index().round(3).tolist() == [0.2, 0.5, 0.3]
    assert latent["x"].min() >= 0
    assert sorted(frame["seen"].dt.strftime("%m-%d").unique()) == ["02-28", "02-29", "03-01"]
    assert sorted(frame["id"]) == list(range(11, 4011))
    assert not frame["id"].is_monotonic_increasing


def test_a_new_variable_leaves_the_other_draws_alone() -> None:
    more = {"op": "uniform", "name": "u", "lower": 0.0, "upper": 1.0}
    before, after = (
        simulate(small(), n=50, seed=9),
        simulate(small(variables=[more, *SMALL["variables"]]), n=50, seed=9),
    )
    pd.testing.assert_frame_equal(before.frame, after.frame)


def test_the_declared_log_risk_model_is_recovered() -> None:
    made = simulate(small(), n=200_000, seed=8, keep_latent=True)
    latent, truth = made.latent, made.truth["outcome"]
    assert latent is not None
    x = np.clip(latent["x"], 3, 7)
    design = np.column_stack(
        [
            np.ones(len(latent)),
            x * (latent["old"] == 0),
            x * (latent["old"] == 1),
            latent["grade"] == 2,
            latent["grade"] == 3,
        ]
    ).astype(float)
    fit = sm.GLM(latent["y"].to_numpy(), design, family=sm.families.Poisson()).fit(cov_type="HC0")
    declared = np.array([truth["intercept"], -0.05, -0.2, 0.2, 0.4])
    assert np.all(np.abs(fit.params - declared) < 4 * fit.bse)
    assert fit.bse.max() < 0.04  # else the line above says nothing


def test_a_risk_of_one_or_more_is_refused_with_the_key() -> None:
    variables = copy.deepcopy(SMALL["variables"])
    variables[3]["mean"] = 0.9
    with pytest.raises(StudyFault, match=r"variables\.y: the largest of 500 risks is .* below 1"):
        simulate(small(variables=variables), n=500, seed=1)


# ---- a wrong declaration ---------------------------------------------------------------------------------------------


def test_every_fault_of_a_declaration_is_reported() -> None:
    wrong = copy.deepcopy(SMALL)
    wrong["variables"][0]["sd"] = -1
    wrong["variables"][1]["mean"] = 1.5
    wrong["variables"][2]["shares"] = [0.2, 0.5, 0.1]
    wrong["variables"][3]["terms"][0]["variable"] = "xx"
    wrong["variables"][3]["terms"][1]["effects"] = {"7": 0.1}
    wrong["variables"][4]["latest"] = "tomorrow"
    wrong["columns"][0]["from"] = "grad"
    wrong["columns"][1]["asked_when"][0]["column"] = "x"
    wrong["columns"][2]["decimals"] = 1
    wrong["columns"][2]["type"] = "int8"
    wrong["columns"][3]["name"] = "x"
    wrong["columns"][4]["missing"] = {"probability": 1.5}
    wrong["outcome"]["contrasts"][0].pop("given")
    with pytest.raises(StudyFault) as caught:
        parse_simulation(wrong)
    starts = (
        "variables.x.sd",
        "variables.old.mean",
        "variables.grade.shares",
        "variables.y.terms[0]: xx is not a variable declared before",
        "variables.y.terms[1].effects: 7 is no code",
        "variables.seen.latest",
        "columns.grade.from: grad is not a variable declared before; did you mean grade?",
        "columns.follow.asked_when[0]: x is not a column declared before",
        "columns.x.decimals",
        "columns.x: the name is used twice",
        "columns.seen.missing.probability",
        "outcome.contrasts.8 against 4",
    )
    for start in starts:
        assert any(fault.startswith(start) for fault in caught.value.faults), start


def test_faults_of_the_grammar_come_together() -> None:
    with pytest.raises(StudyFault) as caught:
        parse_simulation({**SMALL, "titel": "x", "defaults": {"n": "many"}})
    assert len(caught.value.faults) == 3


def test_files_that_are_no_declaration(tmp_path: Path) -> None:
    with pytest.raises(UsageFault):
        load_simulation(tmp_path / "absent.toml")
    (tmp_path / "broken.toml").write_text("title = ")
    with pytest.raises(StudyFault, match="is not valid TOML"):
        load_simulation(tmp_path / "broken.toml")


@pytest.mark.parametrize(("n", "seed"), [(0, 1), (10, -1), (2**31, 1)])
def test_n_and_seed_out_of_range(n: int, seed: int) -> None:
    with pytest.raises(UsageFault):
        simulate(small(), n=n, seed=seed)


# ---- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".dta", ".sav"])
def test_the_same_draw_is_the_same_file(suffix: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}{suffix}" for name in ("one", "two")]
    for path in paths:
        write_extract(simulate(load_simulation(DECLARATION), n=40, seed=4), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    truth = json.loads((tmp_path / "one.truth.json").read_text(encoding="utf-8"))
    assert truth["simulated"] is True
    assert (truth["n"], truth["seed"]) == (40, 4)
    assert len(list(tmp_path.iterdir())) == 4  # nothing half-written is left
    other = tmp_path / f"other{suffix}"
    write_extract(simulate(load_simulation(DECLARATION), n=40, seed=5), other)
    assert other.read_bytes() != paths[0].read_bytes()


def test_every_format_holds_the_same_values_and_the_labels(tmp_path: Path) -> None:
    import pyreadstat

    made = simulate(load_simulation(DECLARATION), n=60, seed=4)
    for suffix in ("parquet", "csv", "dta", "sav"):
        write_extract(made, tmp_path / f"e.{suffix}")
    sav, meta = pyreadstat.read_sav(str(tmp_path / "e.sav"))
    dta = pd.read_stata(tmp_path / "e.dta", convert_categoricals=False)
    csv = pd.read_csv(tmp_path / "e.csv")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "e.parquet"), made.frame)
    for name in made.frame:
        wanted = made.frame[name]
        if wanted.dtype.kind == "M":
            for read in (csv, dta, sav):
                pd.testing.assert_series_equal(pd.to_datetime(read[name]).astype("datetime64[ns]"), wanted)
            continue
        for read in (csv, dta, sav):
            np.testing.assert_array_equal(read[name].to_numpy(dtype=float), number(made.frame, name), err_msg=name)
    assert meta.column_names_to_labels["Sex"] == "Sex"
    assert meta.variable_value_labels["Sex"] == {0: "Female", 1: "Male"}
    with pd.read_stata(tmp_path / "e.dta", iterator=True) as reader:
        assert reader.variable_labels()["PartAg_NT4BLM"] == "Age at baseline (years)"
        assert {0: "Female", 1: "Male"} in reader.value_labels().values()


def test_codes_in_csv_are_whole_numbers(tmp_path: Path) -> None:
    write_extract(simulate(small(), n=30, seed=2), tmp_path / "e.csv")
    text = pd.read_csv(tmp_path / "e.csv", dtype=str, keep_default_na=False)
    assert set(text["grade"]) <= {"", "1", "2", "3"}
    assert set(text["y"]) <= {"0", "1"}


def test_a_suffix_or_folder_that_cannot_be_written(tmp_path: Path) -> None:
    made = simulate(small(), n=5, seed=2)
    with pytest.raises(UsageFault, match=r"\.parquet, \.csv"):
        write_extract(made, tmp_path / "e.xlsx")
    with pytest.raises(UsageFault, match="is not a folder"):
        write_extract(made, tmp_path / "absent" / "e.csv")


# ---- the extract of the reference study ------------------------------------------------------------------------------


def test_the_days_add_up(extract: SimulatedExtract) -> None:
    frame = extract.frame
    seconds = {stem: days(frame, stem) for stem in (*BEHAVIOURS, "Walk")}
    recorded = ~np.isnan(seconds["Walk"])
    for values in seconds.values():
        assert np.array_equal(~np.isnan(values), recorded)
        assert np.nanmin(values) >= 0
        assert np.all(values[recorded] % 5 == 0)
    total = sum(seconds[stem] for stem in BEHAVIOURS)[recorded]
    assert total.max() == 86400
    assert 0.97 < (total == 86400).mean() < 1
    assert np.array_equal(sum(seconds[f"Walk{i}"] for i in (1, 2, 3))[recorded], seconds["Walk"][recorded])
    assert np.array_equal(np.nan_to_num(number(frame, "ActDN_NT4BLM")), recorded.sum(axis=1))
    assert 0.02 < (~recorded.any(axis=1)).mean() < 0.06


def test_the_gates_of_the_questionnaires(extract: SimulatedExtract) -> None:
    frame = extract.frame
    for wave in ("NT4BLQ2", "NT4CovQ"):
        gate, site = number(frame, f"MSPaLY_{wave}"), number(frame, f"MSPaLum_{wave}")
        assert set(site[~np.isnan(site)]) == {1.0}
        assert 0 < ((gate == 0) & (site == 1)).sum() < 30
        assert 0 < (np.isnan(gate) & (site == 1)).sum() < 200
    lost = frame["PartDat_NT4CovQ"].isna()
    later = ["MSPaLY_NT4CovQ", "MSPaLum_NT4CovQ", "MSPaLeiLim_NT4CovQ"]
    assert frame.loc[lost, later].isna().all(axis=None)
    assert (number(frame, "MSPaLY_NT4CovQ")[frame["MSPaLeiLim_NT4CovQ"].notna()] == 1).all()
    assert not (frame["Bmi_NT4BLM"].notna() & frame["BmiEld_NT4BLM"].notna()).any()
    assert (frame["PartDat_NT4CovQ"].dropna() > frame.loc[~lost, "PartDat_NT4BLM"]).all()


def analysed(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[int]]:
    """The six exclusions of the study, in short."""
    seconds = {stem: days(frame, stem) for stem in ("Ly", "Sit", "Stand", "Walk1", "Walk2", "Walk3", "Walk")}
    recorded = ~np.isnan(seconds["Walk"])
    valid = recorded & np.logical_and.reduce([seconds[stem] > 0 for stem in ("Ly", "Sit", "Stand", "Walk")])
    mean = {s: np.where(valid, x, 0).sum(axis=1) / np.maximum(valid.sum(axis=1), 1) / 60 for s, x in seconds.items()}
    with np.errstate(invalid="ignore"):
        met = (2.8 * mean["Walk1"] + 3.8 * mean["Walk2"] + 4.8 * mean["Walk3"]) / mean["Walk"]
    data = pd.DataFrame({"volume": mean["Walk"], "intensity": met, "valid_days": valid.sum(axis=1)})
    for name, wave in (("lbp0", "NT4BLQ2"), ("lbp1", "NT4CovQ")):
        gate = number(frame, f"MSPaLY_{wave}")
        data[name] = np.where(np.isnan(gate), np.nan, number(frame, f"MSPaLum_{wave}") == 1)
    covariates = ["PartAg_NT4BLM", "Sex", "Educ_NT4BLQ1", "IncoTot_NT4BLQ1", "WorCu_NT4BLI", "SmoStat_NT4BLQ1"]
    for name in [*covariates, "HADSDepr_NT4BLQ2"]:
        data[name] = number(frame, name)
    data["years"] = (frame["PartDat_NT4CovQ"] - frame["PartDat_NT4BLM"]).dt.days / 365
    keep, flow = np.ones(len(data), dtype=bool), [len(data)]
    steps = (recorded.any(axis=1), valid.any(axis=1), data["lbp0"].notna(), data["lbp0"] == 0, data["lbp1"].notna())
    for step in (*steps, data[[*covariates, "HADSDepr_NT4BLQ2"]].notna().all(axis=1)):
        keep &= np.asarray(step)
        flow.append(int(keep.sum()))
    return data[keep], flow


def test_the_marginals_of_the_analysed(extract: SimulatedExtract) -> None:
    data, flow = analysed(extract.frame)
    assert extract.frame.shape == (31000, 92)
    assert np.all(np.diff(flow) < 0)
    assert len(data) == pytest.approx(11_080, abs=350)
    assert data["lbp1"].mean() == pytest.approx(0.148, abs=0.012)
    age = data["PartAg_NT4BLM"]
    assert (age.min() >= 20, age.mean(), age.std()) == (
        True,
        pytest.approx(55.3, abs=0.6),
        pytest.approx(15.1, abs=0.4),
    )
    assert 1 - data["Sex"].mean() == pytest.approx(0.586, abs=0.02)
    assert data["years"].mean() == pytest.approx(4.2, abs=0.03)
    assert data["years"].std() == pytest.approx(0.3, abs=0.02)
    assert data["valid_days"].mean() == pytest.approx(5.7, abs=0.1)
    assert data["volume"].quantile([0.25, 0.5, 0.75]).tolist() == pytest.approx([78, 101, 125], abs=2.5)
    assert data["intensity"].quantile([0.25, 0.5, 0.75]).tolist() == pytest.approx([3.00, 3.12, 3.27], abs=0.02)
    assert 0.2 < data["volume"].corr(data["intensity"]) < 0.4
    hads = number(extract.frame, "HADSDepr_NT4BLQ2")
    assert (hads[~np.isnan(hads)] >= 7).mean() == pytest.approx(0.10, abs=0.02)


def test_the_walking_model_of_the_reference_extract_is_recovered(extract: SimulatedExtract) -> None:
    latent, truth = extract.latent, extract.truth["outcome"]
    assert latent is not None
    assert truth["largest_risk"] < 0.8
    values = {name: latent[name].to_numpy(dtype=float) for name in latent if latent[name].dtype.kind == "f"}
    (outcome,) = [v for v in load_simulation(DECLARATION).variables if v.name == truth["variable"]]
    terms = [term for term in outcome.terms if term.coefficient is not None]  # type: ignore[union-attr]
    columns = [term_value(term, values) / term.coefficient for term in terms]  # type: ignore[operator]
    declared = [term.coefficient for term in terms]
    for term in outcome.terms:  # type: ignore[union-attr]
        for code, effect in term.effects.items():
            columns.append((values[term.variable] == code).astype(float))
            declared.append(effect)
    design = np.column_stack([np.ones(len(latent)), *columns])
    fit = sm.GLM(values[truth["variable"]], design, family=sm.families.Poisson()).fit(cov_type="HC0")
    assert np.all(np.abs(fit.params - np.array([truth["intercept"], *declared])) < 4 * fit.bse)


def test_the_default_seed_and_size_stay_declared() -> None:
    defaults = load_simulation(DECLARATION).defaults
    assert (defaults.n, defaults.seed) == (31000, 2025)
