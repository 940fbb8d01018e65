"""study.toml: names that lead nowhere, settings that contradict one another, all at once; and its JSON Schema."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from walkrisk.errors import StudyFault, UsageFault
from walkrisk.studies.declaration import contracts, load_study, study_from, study_schema

ANALYSES = Path(__file__).resolve().parents[2] / "analyses"
STUDIES = [ANALYSES / name / "study.toml" for name in ("walking_low_back_pain", "nhanes_steps_mortality")]
TABLE = tomllib.loads(STUDIES[0].read_text(encoding="utf-8"))


def with_changes(changes: Mapping[str, Any], table: Mapping[str, Any] = TABLE) -> dict[str, Any]:
    """A copy with values put at dotted paths; a number in a path is a place in a list."""
    out = copy.deepcopy(dict(table))
    for path, value in changes.items():
        at: Any = out
        *way, last = path.split(".")
        for step in way:
            at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
        if isinstance(at, list):
            at[int(last)] = value
        else:
            at[last] = value
    return out


def faults_of(changes: Mapping[str, Any]) -> tuple[str, ...]:
    with pytest.raises(StudyFault) as caught:
        study_from(with_changes(changes))
    return caught.value.faults


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.parent.name)
def test_both_studies_load_and_satisfy_the_schema(path: Path) -> None:
    study = load_study(path)
    assert study.study.id == path.parent.name
    schema = study_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tomllib.loads(path.read_text(encoding="utf-8")), schema)


@pytest.mark.parametrize(
    "changes",
    [
        {"settings.conf_lvel": 0.9},
        {"settings.method": "poisson"},
        {"models.crude.covariates": ["age + sex"]},
        {"variables.age.op": "eval"},
        {"days.number": "seven"},
        {"analyses.0.exposures": "volume"},
    ],
)
def test_the_schema_refuses_a_wrong_study(changes: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(with_changes(changes), study_schema())


def test_a_study_is_frozen() -> None:
    study = load_study(STUDIES[0])
    with pytest.raises(AttributeError):
        study.settings.conf_level = 0.9  # type: ignore[misc]
    assert {f.name for f in fields(study)} >= {"analyses", "exposures", "exclusions"}


def test_contracts_cover_columns_and_days() -> None:
    names = [c.name for c in contracts(load_study(STUDIES[0]))]
    assert len(names) == len(set(names)) == 29 - 1 + 9 * 7  # ActDN is in the extract and not needed
    assert "Walk2TmD7_NT4ActMX" in names


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"settings.outcome": "chronic_lpb"},
            "settings.outcome: there is no outcome 'chronic_lpb'; did you mean chronic_lbp?",
        ),
        ({"settings.conf_level": 95}, "settings.conf_level: must be from 0.5 to below 1, got 95.0; 0.95 is usual."),
        ({"settings.variances": []}, "settings.variances: name at least one variance"),
        ({"settings.variances": ["cluster"]}, "settings.variances: variance 'cluster' needs design.cluster."),
        (
            {"settings.variances": ["survey"]},
            "settings.variances: variance 'survey' needs design.strata and design.psu.",
        ),
        ({"settings.min_cell": -1}, "settings.min_cell: must be 0"),
        ({"columns.Sex.kind": "id"}, "columns: exactly one column must be of kind 'id', found 2."),
        ({"columns.Sex.codes": []}, "columns.Sex.codes: a column of kind 'code' needs its codes."),
        ({"columns.PartAg_NT4BLM.minimum": 200}, "columns.PartAg_NT4BLM.minimum: must not be above maximum."),
        ({"checks.0.earlier": "PartDat"}, "checks[0]: there is no column 'PartDat'"),
        ({"days.number": 0}, "days.number: must be 1 or more, got 0."),
        ({"days.columns.lying_s": "LyTmD1"}, "days.columns.lying_s: must hold {day}"),
        ({"days.valid.zero_invalidates": ["walking"]}, "days.valid.zero_invalidates: there is no activity 'walking'"),
        (
            {"days.means.walking_min_day.of": "walk_s"},
            "days.means.walking_min_day.of: there is no activity 'walk_s'; did you mean walking_s?",
        ),
        (
            {"variables.age.from": "later", "variables.later": {"op": "copy", "from": "Sex"}},
            "variables.age: there is no column or earlier variable 'later'",
        ),
        (
            {"variables.Sex": {"op": "copy", "from": "age"}},
            "variables.Sex: a column or variable of this name exists already",
        ),
        ({"exclusions.0.require": []}, "exclusions[0] (accelerometer_day): names no condition"),
        ({"exclusions.2.known": ["msp_t9"]}, "exclusions[2] (baseline_pain_known): there is no variable 'msp_t9'"),
        (
            {"exposures.volume.quantiles": 1},
            "exposures.volume.quantiles: must be from 2 to 100, got 1; 4 makes quartiles.",
        ),
        ({"exposures.volume.cuts": [1, 2]}, "exposures.volume: give quantiles or cuts, not both."),
        ({"exposures.joint.cross": ["volume"]}, "exposures.joint.cross: two exposures are crossed, got 1."),
        ({"exposures.joint.variable": "age"}, "exposures.joint: give either variable or cross."),
        (
            {"exposures.age": {"variable": "age", "per": 5}},
            "exposures.age: a column or variable of this name exists already",
        ),
        ({"exposures.volume.per": -1}, "exposures.volume.per: must be positive, got -1.0."),
        (
            {"exposures.volume.winsorise_percentile": 20},
            "exposures.volume.winsorise_percentile: must be between 50 and 100",
        ),
        (
            {"models.crude.covariates": ["agee"]},
            "models.crude.covariates: there is no variable 'agee'; did you mean age?",
        ),
        ({"analyses.1.id": "main"}, "analyses[1] (main): this id is taken by an earlier analysis"),
        (
            {"analyses.0.exposures": ["volum"]},
            "analyses[0] (main).exposures: there is no exposure 'volum'; did you mean volume?",
        ),
        ({"analyses.0.method": "cox"}, "analyses[0] (main).method: a Cox model needs an outcome with time and event."),
        ({"analyses.0.weighted": True}, "analyses[0] (main).weighted: needs design.weights."),
        ({"analyses.0.form": "per_unit"}, "analyses[0] (main).form: exposure 'volume' has no per"),
        (
            {"analyses.0.fixed_cuts": {"volume": [100, 78]}},
            "analyses[0] (main).fixed_cuts.volume: must be increasing, got [100.0, 78.0].",
        ),
        ({"curves.0.knot_percentiles": [10, 90]}, "curves[0] (main).knot_percentiles: needs three or more percentages"),
        ({"curves.0.knot_percentiles": [90, 50, 10]}, "curves[0] (main).knot_percentiles: must be increasing"),
        ({"curves.0.step": {"volume": 1}}, "curves[0] (main).step: give a positive step for intensity."),
        ({"curves.0.reference_percentile": 100}, "curves[0] (main).reference_percentile: must be between 0 and 100"),
        (
            {"trends.0.exposures": ["joint"]},
            "trends[0] (trend).exposures: there is no exposure with categories 'joint'",
        ),
        (
            {"interactions.0.modifier": "age"},
            "interactions[0] (interaction).modifier: there is no variable with levels, or exposure, 'age'",
        ),
        ({"evalues.0.of": ["mian"]}, "evalues[0].of: there is no ratio analysis 'mian'; did you mean main?"),
        ({"characteristics.0.by_step": "included"}, "characteristics (table1): give by_exposure or by_step, not both."),
        ({"tables.0.analysis": ["none"]}, "tables (table2).analysis: there is no ratio analysis 'none'"),
        ({"forest_figures.0.model": "none"}, "forest_figures (figure_strata).model: there is no model 'none'"),
    ],
)
def test_faults_of_a_study(changes: dict[str, Any], sentence: str) -> None:
    assert any(fault.startswith(sentence) for fault in faults_of(changes)), faults_of(changes)


def test_five_faults_are_reported_together() -> None:
    faults = faults_of(
        {
            "settings.outcome": "pain",
            "exposures.volume.quantiles": 1,
            "models.crude.covariates": ["agee"],
            "curves.0.knot_percentiles": [10, 90],
            "evalues.0.of": ["mian"],
        }
    )
    assert len(faults) == 5


def test_a_formula_with_code_is_refused_with_a_way_out() -> None:
    (fault,) = faults_of({"models.crude.covariates": ["__import__('os').system('rm -rf /')"]})
    assert fault.startswith("models.crude.covariates[0]: must be the plain name of a column or variable")
    assert "derive what you need under [variables]" in fault


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match=r"There is no file .*none\.toml"):
        load_study(tmp_path / "none.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("a = = 1")
    with pytest.raises(StudyFault, match=r"bad\.toml:1: is not valid TOML"):
        load_study(bad)
    bad.write_bytes(b'title = "\xe6"')
    with pytest.raises(StudyFault, match="cannot be read as UTF-8"):
        load_study(bad)


CONTRADICTIONS: list[tuple[str, dict[str, Any]]] = [
    (
        "stratify by an exposure without categories",
        {
            "exposures.volume_unit": {"variable": "walking_min_day", "per": 10},
            "analyses.0.stratify": {"by": "volume_unit", "names": {"1": "a"}},
        },
    ),
    (
        "characteristics by an exposure without categories",
        {
            "exposures.volume_unit": {"variable": "walking_min_day", "per": 10},
            "characteristics.0.by_exposure": "volume_unit",
        },
    ),
    ("two strata of one name", {"analyses.3.stratify.names": {"0": "old", "1": "old"}}),
    ("two exclusions of one id", {"exclusions.1.id": "accelerometer_day"}),
    ("a day mean named as a column", {"days.means.Sex": {"of": "walking_s"}}),
    (
        "adjusting for joint groups, which would enter as a number",
        {
            "analyses.2.add": [
                {"covariates": ["joint"], "models": ["multi_adjusted"], "exposures": ["volume"]},
            ]
        },
    ),
    (
        "settings.method cox without follow-up, used by curves, trends and interactions",
        {
            "settings.method": "cox",
            "analyses": [],
            "evalues": [],
            "tables": [],
            "forest_figures": [],
            "heat_figures": [],
        },
    ),
    (
        "HC3 of a Cox model, which has no leverages",
        {
            "outcomes.chronic_lbp.time": "followup_years",
            "outcomes.chronic_lbp.event": "lbp_t1",
            "analyses.0.method": "cox",
            "analyses.0.variances": ["HC3"],
        },
    ),
    (
        "E-values of a model the analysis does not have",
        {"analyses.0.models": ["crude"], "analyses.1.models": ["crude"]},
    ),
    ("a covariate replaced that no model has", {"analyses.0.replace_covariates": {"bmi": "health"}}),
]


@pytest.mark.parametrize("changes", [pytest.param(c, id=name) for name, c in CONTRADICTIONS])
def test_contradictions_are_faults(changes: dict[str, Any]) -> None:
    with pytest.raises(StudyFault):
        study_from(with_changes(changes))
