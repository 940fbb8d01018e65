"""The heat map of joint groups: each pair's ratio in its place, the reference as 1, nothing where nothing is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from walkrisk.errors import StudyFault
from walkrisk.estimates.results import Results
from walkrisk.estimates.rows import Estimate
from walkrisk.runs.joint_drawing import joint_drawing
from walkrisk.studies.declaration import check_study, load_study
from walkrisk.studies.study import HeatFigure, Study

REFERENCE = Path(__file__).resolve().parents[2] / "analyses" / "walking_low_back_pain" / "study.toml"
HEAT = HeatFigure(id="figure_joint_groups", title="Joint groups", analysis="joint", model="multi_adjusted")


@pytest.fixture(scope="module")
def study() -> Study:
    made = replace(load_study(REFERENCE), heat_figures=(HEAT,))
    check_study(made)
    return made


def pair(level: str, ratio: float | None, factor: float = 1.2, model: str = "multi_adjusted") -> Estimate:
    known = ratio is not None and level != "Q1/Q1"
    return Estimate(
        analysis="joint",
        exposure="joint",
        stratum="",
        level=level,
        reference="Q1/Q1",
        model=model,
        estimand="risk_ratio",
        n=300,
        events=40,
        estimate=ratio,
        std_error=0.1 if known else None,
        conf_low=ratio / factor if ratio is not None and known else None,
        conf_high=ratio * factor if ratio is not None and known else None,
        p_value=None,
        method="modified_poisson",
        variance="stata",
    )


def results(*rows: Estimate) -> Results:
    return Results(estimates=rows, curves=(), flow=(), cutpoints=(), characteristics=(), diagnostics=(), histograms=())


def test_each_ratio_stands_in_its_place(study: Study) -> None:
    rows = [pair("Q1/Q1", 1.0), pair("Q4/Q1", 0.7), pair("Q1/Q4", 1.1), pair("Q2/Q3", None)]
    rows.append(pair("Q4/Q1", 0.5, model="age_adjusted"))
    drawing = joint_drawing(study, results(*rows), HEAT, simulated=True)
    axes = drawing.figure.axes[0]
    said = {(t.get_position()[0] - 0.5, t.get_position()[1] - 0.47): t for t in axes.texts}
    words = {place: t.get_text() for place, t in said.items() if t.get_text()}
    assert words == {(0.0, 0.0): "1", (0.0, 3.0): "0.70", (3.0, 0.0): "1.10"}  # intensity to the right, volume upwards
    assert said[0.0, 3.0].get_weight() == "bold"  # its interval leaves out 1
    assert said[0.0, 0.0].get_weight() == said[3.0, 0.0].get_weight() == "normal"
    assert [t.get_text() for t in axes.get_yticklabels()] == ["Q1", "Q2", "Q3", "Q4"]


def test_it_says_what_it_shows(study: Study) -> None:
    drawing = joint_drawing(study, results(pair("Q1/Q1", 1.0), pair("Q4/Q1", 0.7)), HEAT, simulated=False)
    assert "Joint groups against Q1, Q1." in drawing.alt
    assert "from 0.70 (row Q4, column Q1) to 1 (row Q1, column Q1)" in drawing.alt
    assert "Grey: no estimate." in drawing.alt
    assert "Walking volume" in drawing.alt


def test_only_one_crossed_exposure_makes_a_heat_map(study: Study) -> None:
    for analysis, words in (("main", "one crossed exposure"), ("nothing", "there is no ratio analysis 'nothing'")):
        with pytest.raises(StudyFault, match=words):
            check_study(replace(study, heat_figures=(replace(HEAT, analysis=analysis),)))
