"""`walkrisk compare`: differences made on purpose are found at the step where they were made."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import walkrisk
from walkrisk import Comparison, Run, compare, verify
from walkrisk.comparisons.declared_differences import declared_differences, key_list
from walkrisk.errors import StudyFault, UsageFault
from walkrisk.runs.run import write

from .minimal_cohort import cohort

Command = Callable[..., Any]
ANALYSES = Path(__file__).resolve().parents[2] / "analyses"
EXCLUSION = {"id": "adults", "reason": "Too young", "require": [{"variable": "age", "at_least": 40}]}


def declared(**changes: Any) -> dict[str, Any]:
    """The minimal study with an exclusion and other settings."""
    import tomllib

    table = tomllib.loads((ANALYSES / "minimal_study.toml").read_text(encoding="utf-8"))
    settings = {**table["settings"], "min_cell": 0} | changes.pop("settings", {})
    return {**table, "exclusions": [EXCLUSION], **changes, "settings": settings}


def run_of(table: dict[str, Any], data: pd.DataFrame | None = None) -> Run:
    return walkrisk.run(walkrisk.study_from(table), data=cohort(900) if data is None else data)


@pytest.fixture(scope="module")
def base() -> Run:
    return run_of(declared())


@pytest.fixture(scope="module")
def compared(base: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a comparison with a run of another variance."""
    out = tmp_path_factory.mktemp("compared") / "out"
    compare(base, run_of(declared(settings={"variances": ["HC3"]})), out=out)
    return out


def states(made: Comparison) -> dict[str, str]:
    return {s.name: s.state for s in made.stages}


def where(made: Comparison) -> tuple[str, str]:
    assert made.parts_at is not None
    return made.parts_at.name, made.parts_at.at


# ---------------------------------------------------------------- from which step on


def test_a_run_and_itself_have_everything_alike(base: Run) -> None:
    made = compare(base, base)
    assert set(states(made).values()) == {"same"}
    assert made.parts_at is None
    assert made.verdict == "A and B have the same results."
    assert len(made.rows) == len(base.results.estimates)
    assert not [r for r in made.rows if r.difference not in (None, 0.0, 1.0)]


def test_another_exclusion_is_found_in_the_flow(base: Run) -> None:
    harder = {**EXCLUSION, "require": [{"variable": "age", "at_least": 50}]}
    made = compare(base, run_of(declared(exclusions=[harder])), labels=("Forty", "Fifty"))
    assert where(made) == ("flow", "step adults")
    assert states(made)["data"] == "same"
    (key,) = declared_differences(made.a.declared, made.b.declared)
    assert (key.key, key.a, key.b) == ("exclusions[adults].require[0].at_least", "40.0", "50.0")
    data = cohort(900)
    left = [int((data["age"] >= limit).sum()) for limit in (40, 50)]
    assert f"From step adults on: {left[0]} people are left in Forty, {left[1]} in Fifty." in made.summary


def test_a_further_exclusion_is_found_where_it_stands(base: Run) -> None:
    further = {"id": "known", "reason": "No smoking", "require": [{"variable": "smoking", "below": 2}]}
    made = compare(base, run_of(declared(exclusions=[further, EXCLUSION])))
    assert where(made) == ("flow", "step known")
    assert "Step known is in B only." in made.summary


def test_fixed_cut_points_are_found_at_the_cut_points(base: Run) -> None:
    table = declared()
    volume = {k: v for k, v in table["exposures"]["volume"].items() if k != "quantiles"}
    table["exposures"] = {**table["exposures"], "volume": {**volume, "cuts": [6000, 9000, 12000]}}
    made = compare(base, run_of(table))
    assert where(made)[0] == "cut points"
    assert states(made)["flow"] == "same"
    assert states(made)["counts"] == "differs"


def test_another_variance_is_found_in_the_model(base: Run) -> None:
    made = compare(base, run_of(declared(settings={"variances": ["HC3"]})))
    assert where(made) == ("model", "main volume crude")
    assert {states(made)[s] for s in ("flow", "cut points", "counts")} == {"same"}
    pair = next(p for p in made.paired.pairs if p.a.level == "Q2")
    assert pair.but_for == ("variance",)
    assert pair.difference == pytest.approx(1.0)
    assert pair.differs  # its limits


def test_other_covariates_are_found_in_the_model(base: Run) -> None:
    table = declared()
    table["models"] = {**table["models"], "adjusted": {"covariates": ["age"], "label": "Adjusted"}}
    made = compare(base, run_of(table))
    assert where(made)[0] == "model"
    row = next(r for r in made.rows if (r.model, r.exposure, r.level) == ("adjusted", "volume", "Q4"))
    estimates = [
        next(e for e in s.results.estimates if (e.model, e.exposure, e.level) == ("adjusted", "volume", "Q4"))
        for s in (made.a, made.b)
    ]
    assert row.difference == pytest.approx(estimates[1].estimate / estimates[0].estimate)  # type: ignore[operator]
    assert row.limits_overlap is True
    assert states(made)["fits"] == "differs"  # fewer parameters


def test_other_data_are_found_in_the_data(base: Run) -> None:
    made = compare(base, run_of(declared(), cohort(900, seed=2)))
    assert states(made)["data"] == "differs"
    assert where(made)[0] == "flow"


def test_rows_without_a_counterpart_are_counted(base: Run) -> None:
    table = declared()
    table["analyses"] = [{**table["analyses"][0], "models": ["crude"]}]
    table["tables"] = [{**table["tables"][0], "models": ["crude"], "footnotes": []}]
    made = compare(base, run_of(table))
    assert len(made.paired.only_a) == 7
    assert "7 estimates are in A only, 0 in B only." in made.summary


# ---------------------------------------------------------------- small counts


def with_three_more(k: int, **settings: Any) -> tuple[Run, Run]:
    """A run and one in which three more people of the lowest activity have the outcome."""
    data, more = cohort(900), cohort(900)
    chosen = more.index[(more["age"] >= 40) & (more["activity"] == 1) & (more["outcome"] == 0)][:3]
    more.loc[chosen, "outcome"] = 1
    table = declared(settings={"min_cell": k, **settings})
    return run_of(table, data), run_of(table, more)


def events_of(run: Run) -> int:
    found = [e.events for e in run.results.estimates if (e.exposure, e.level) == ("activity_group", "Low")]
    assert found[0] is not None
    return found[0]


def test_counts_that_would_give_a_small_one_are_hidden_everywhere(tmp_path: Path) -> None:
    a, b = with_three_more(5)
    made = compare(a, b, out=tmp_path / "out")
    assert made.counts_hidden
    assert not made.flow_hidden
    assert "counts of the categories beside each other would give a count of 1 to 4 people" in made.summary
    assert {r.n_a for r in made.rows} | {r.events_b for r in made.rows} == {None}
    words = re.sub(r"<(svg|style|script).*?</\1>|<[^>]*>", " ", page(tmp_path), flags=re.DOTALL)
    assert events_of(b) == events_of(a) + 3
    for number in (events_of(a), events_of(b)):
        assert not re.search(rf"(?<![\w.]){number}(?![\w.])", made.summary + words)
    with (tmp_path / "out" / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["events_a"] for row in rows} == {""}
    levels = {(row["model"], row["level"] == row["reference"]): row["estimate_b"] != "" for row in rows}
    assert levels == {
        ("crude", True): True, ("crude", False): False, ("adjusted", True): True, ("adjusted", False): True,
    }  # fmt: skip


def test_of_two_variances_one_is_told_as_two_would_tell_the_people() -> None:
    made = compare(*with_three_more(5, variances=["HC0", "stata"]))
    told = {r.variance_a for r in made.rows if r.estimate_a is not None and r.level != r.reference}
    assert told == {"HC0"}
    assert {p.a.std_error is None for p in made.paired.pairs if p.a.variance == "stata"} == {True}


def test_without_a_smallest_count_they_are_shown() -> None:
    a, b = with_three_more(0)
    made = compare(a, b)
    assert not made.counts_hidden
    assert "Disclosure" not in made.summary
    assert (events_of(a), events_of(b)) in {(r.events_a, r.events_b) for r in made.rows}
    assert re.search(r"the first: main volume Q\d: \d+ events in A, \d+ in B", made.summary)


def test_of_exact_rows_only_what_may_be_published_is_compared(tmp_path: Path) -> None:
    data = cohort(900)
    data.loc[data.index[data["activity"] == 3][3:], "activity"] = 2  # at most three people are left with high activity
    table = declared(settings={"min_cell": 5})
    run = run_of(table, data)
    assert any(e.n is not None and 0 < e.n < 5 for e in run.results.estimates)
    write(run, tmp_path / "exact", numbers_only=True, exact_numbers=True)
    for thing in (run, tmp_path / "exact"):
        made = compare(thing, thing)
        assert not [r for r in made.rows for n in (r.n_a, r.events_a) if n is not None and 0 < n < 5]
        assert states(made)["counts"] == "unknown"


def test_a_flow_that_differs_by_few_is_hidden_and_its_step_still_named(base: Run) -> None:
    flow = tuple(replace(s, n_excluded=s.n_excluded + 2, n_after=s.n_after - 2) for s in base.results.flow)
    study = replace(base.study, settings=replace(base.study.settings, min_cell=5))
    other = replace(base, study=study, results=replace(base.results, flow=flow))
    made = compare(base, other)
    assert made.flow_hidden
    assert "From step adults on." in made.summary
    assert str(flow[0].n_after) not in made.summary


def test_suppressed_counts_are_unknown_and_no_difference(base: Run) -> None:
    rows = tuple(replace(e, n=None, events=None) for e in base.results.estimates)
    made = compare(base, replace(base, results=replace(base.results, estimates=rows)))
    assert states(made)["counts"] == "unknown"
    assert made.parts_at is None
    assert "counts are suppressed in one of the two and were not compared" in made.summary


# ---------------------------------------------------------------- publications

PUBLISHED = """
reference = "Someone 2020"
[[ratios]]
analysis = "main"
exposure = "volume"
level = "Q2"
model = "crude"
estimate = {estimate}
conf_low = 0.5
conf_high = 1.28
[[ratios]]
analysis = "main"
exposure = "nowhere"
level = "Q2"
model = "crude"
estimate = 0.8
[[facts]]
label = "Analysed"
value = {n}
obtained = {{ op = "flow", step = "adults", column = "n_after" }}
"""


def test_a_publication_is_compared_as_printed(base: Run, tmp_path: Path) -> None:
    n = base.results.flow[-1].n_after
    (tmp_path / "published.toml").write_text(PUBLISHED.format(estimate=0.8, n=n + 100))
    made = compare(base, tmp_path / "published.toml", out=tmp_path / "out")
    assert "differ from the sample on" in page(tmp_path)
    assert made.labels == ("Obtained", "Published")
    (pair,) = made.paired.ratios
    assert pair.b.std_error == pytest.approx(np.log(1.28 / 0.5) / (2 * 1.959964), rel=1e-6)
    assert pair.difference == pytest.approx(0.8 / pair.a.estimate)  # type: ignore[operator]
    assert where(made) == ("facts", "Analysed")
    assert f"{n} obtained, {n + 100} published" in made.summary
    assert "1 published ratio(s) have no counterpart in the run." in made.summary
    turned = compare(tmp_path / "published.toml", base)
    assert turned.labels == ("Published", "Obtained")
    assert turned.paired.ratios[0].difference == pytest.approx(1 / pair.difference)  # type: ignore[operator]


def test_a_publication_with_the_same_numbers_differs_in_nothing_of_the_sample(base: Run, tmp_path: Path) -> None:
    n = base.results.flow[-1].n_after
    (tmp_path / "published.toml").write_text(PUBLISHED.format(estimate=0.8, n=n))
    assert states(compare(base, tmp_path / "published.toml"))["facts"] == "same"
    (tmp_path / "few.toml").write_text(PUBLISHED.format(estimate=0.8, n=n + 2))
    study = replace(base.study, settings=replace(base.study.settings, min_cell=5))
    made = compare(replace(base, study=study), tmp_path / "few.toml")
    assert made.counts_hidden
    assert str(n + 2) not in made.summary


def test_a_publication_with_faults_or_two_of_them_are_refused(base: Run, tmp_path: Path) -> None:
    (tmp_path / "published.toml").write_text("reference = 3")
    with pytest.raises(StudyFault, match="reference"):
        compare(base, tmp_path / "published.toml")
    (tmp_path / "published.toml").write_text('reference = "x"')
    with pytest.raises(UsageFault, match="Both are publications"):
        compare(tmp_path / "published.toml", tmp_path / "published.toml")


# ---------------------------------------------------------------- the folder and the command


def page(folder: Path) -> str:
    return (folder / "out" / "comparison.html").read_text(encoding="utf-8")


def test_the_folder_of_a_comparison_is_verified_and_may_be_replaced(tmp_path: Path, command: Command) -> None:
    harder = {**EXCLUSION, "require": [{"variable": "age", "at_least": 50}]}
    write(run_of(declared()), tmp_path / "one", numbers_only=True)
    write(run_of(declared(exclusions=[harder])), tmp_path / "other", numbers_only=True)
    words = ("compare", tmp_path / "one", tmp_path / "other", "--out", tmp_path / "out", "--labels", "Forty", "Fifty")
    answer = command(*words, out=False)
    assert answer.code == 0, answer.stderr
    assert "Forty and Fifty differ from the participant flow on (step adults)." in answer.stdout
    left = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert {"comparison.csv", "comparison.html", "manifest.json", "tables/comparison_ratios.docx"} <= left
    assert {f"figures/comparison_{f}.svg" for f in ("pairs", "differences")} <= left
    assert verify(tmp_path / "out").ok
    before = {n: (tmp_path / "out" / n).read_bytes() for n in left}
    assert command(*words, out=False).code == 0
    assert {n: (tmp_path / "out" / n).read_bytes() for n in left} == before
    said = json.loads(before["manifest.json"])
    assert [s["label"] for s in said["sides"]] == ["Forty", "Fifty"]
    assert str(tmp_path) not in before["manifest.json"].decode()


def test_the_page_needs_no_network_and_says_the_verdict(compared: Path) -> None:
    text = page(compared.parent)
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", text)
    assert "differ from the estimates on" in text
    assert "comparison_ratios" in text


def test_a_folder_that_is_no_run_and_labels_that_are_none_are_refused(
    base: Run, compared: Path, tmp_path: Path, command: Command
) -> None:
    assert command("compare", tmp_path, tmp_path, out=False).code == 2
    for labels in (("A", "A"), ("", "B"), ("x" * 31, "B"), ("a\nb", "B")):
        with pytest.raises(UsageFault, match="labels"):
            compare(base, base, labels=labels)
    with pytest.raises(UsageFault, match="only runs can be compared"):
        compare(base, compared)


def test_a_comparison_never_takes_the_place_of_a_run(base: Run, tmp_path: Path) -> None:
    for name in ("one", "other"):
        write(base, tmp_path / name, numbers_only=True)
    for out in (tmp_path / "one", tmp_path / "one" / "deeper"):
        with pytest.raises(UsageFault, match="one of the folders compared"):
            compare(tmp_path / "one", base, out=out)
    with pytest.raises(UsageFault, match="holds a run"):
        compare(tmp_path / "one", base, out=tmp_path / "other")
    assert verify(tmp_path / "one").ok
    assert verify(tmp_path / "other").ok


def test_a_data_frame_has_the_columns_of_the_csv(base: Run, compared: Path) -> None:
    with (compared / "comparison.csv").open() as file:
        assert next(csv.reader(file)) == list(compare(base, base).to_frame().columns)


# ---------------------------------------------------------------- declarations


def test_differences_of_declarations_are_named_by_key() -> None:
    a = {"x": 1, "list": [{"id": "p", "v": 1}, {"id": "q", "v": [1, 2]}], "same": {"y": 2}, "gone": "z"}
    b = {"x": 2, "list": [{"id": "q", "v": [1, 3]}, {"id": "p", "v": 1}], "same": {"y": 2}}
    assert [(d.key, d.a, d.b) for d in declared_differences(a, b)] == [
        ("x", "1", "2"),
        ("list[q].v", "[1, 2]", "[1, 3]"),
        ("gone", "z", ""),
    ]


def test_what_one_declaration_has_alone_is_named_and_not_copied() -> None:
    a = {"steps": [{"id": "p", "v": 1}, {"id": "q", "v": 2}], "more": [{"id": "x", "v": [1, 2]}]}
    b = {"steps": [{"id": "q", "v": 2}]}
    found = declared_differences(a, b)
    assert [(d.key, d.a, d.b) for d in found] == [("steps[p]", "declared", ""), ("more", "1 declared", "")]
    said = key_list(found, ("A", "B"), most=5)
    assert said == ["steps[p] (declared in A, not declared in B)", "more (1 declared in A, not declared in B)"]


def test_another_order_alone_is_a_difference() -> None:
    a, b = ([{"id": i} for i in names] for names in ("pq", "qp"))
    (found,) = declared_differences({"list": a}, {"list": b})
    assert found.key == "list (order)"
    assert declared_differences({"list": a}, {"list": a}) == ()
