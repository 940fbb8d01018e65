"""`walkrisk verify`: hashes, inputs, and a run carried out again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from walkrisk.comparisons import rerunning
from walkrisk.comparisons.rerunning import Rerun, rerun
from walkrisk.comparisons.verifying import verify
from walkrisk.errors import UsageFault
from walkrisk.reports.file_differences import FileDifference
from walkrisk.reports.manifest import CODE, SEAL, sealed
from walkrisk.runs.run import Run, run_file

from .minimal_cohort import cohort

Command = Callable[..., Any]
ANALYSES = Path(__file__).resolve().parents[2] / "analyses"
EXTENDED = (
    "\n[[exclusions]]\nid = 'adults'\nreason = 'Younger than 30'\nrequire = [{ variable = 'age', at_least = 30 }]\n"
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with study.toml and cohort.csv."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "study.toml").write_text((ANALYSES / "minimal_study.toml").read_text(encoding="utf-8") + EXTENDED)
    cohort().to_csv(folder / "cohort.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def kept(inputs: Path) -> Path:
    run_file(inputs / "study.toml", data=inputs / "cohort.csv", out=inputs / "kept", simulated=True)
    return inputs / "kept"


@pytest.fixture
def finished(kept: Path, tmp_path: Path) -> Path:
    """A finished run to spoil."""
    return Path(shutil.copytree(kept, tmp_path / "results"))


@pytest.fixture
def mine(inputs: Path, tmp_path: Path) -> Path:
    """Study and data to spoil."""
    for name in ("study.toml", "cohort.csv"):
        shutil.copy(inputs / name, tmp_path / name)
    return tmp_path


def test_a_finished_run_is_as_it_was_left(finished: Path, command: Command) -> None:
    answer = command("verify", finished, out=False)
    assert (answer.code, answer.stderr) == (0, "")
    n = len(json.loads((finished / "manifest.json").read_text())["files"])
    assert answer.stdout == f"{finished}: all {n} files of the run are as it left them.\n"


def test_the_manifest_says_where_everything_came_from_and_nothing_of_the_machine(kept: Path, inputs: Path) -> None:
    text = (kept / "manifest.json").read_text(encoding="utf-8")
    said = json.loads(text)
    assert str(inputs) not in text
    assert said["kind"] == "run"
    assert said["declarations"]["study"]["name"] == "study.toml"
    assert {k: said["options"][k] for k in ("sensitivity", "min_cell", "seed", "numbers_only")} == {
        "sensitivity": False, "min_cell": 5, "seed": None, "numbers_only": False,
    }  # fmt: skip
    assert len(said["environment"][CODE]) == 64
    assert list(said)[-1] == SEAL


def test_every_difference_is_said_and_the_exit_code_is_1(finished: Path, command: Command) -> None:
    (finished / "tables" / "table2.csv").write_bytes(b"spoilt")
    (finished / "flow.csv").unlink()
    (finished / "letter.txt").write_text("mine")
    answer = command("verify", finished, out=False)
    assert answer.code == 1
    assert [line.split(":")[0] for line in answer.stderr.splitlines()] == [
        "- flow.csv", "- tables/table2.csv", "- letter.txt",
    ]  # fmt: skip
    assert "is NOT as the run left it: 3 difference(s)." in answer.stdout


def test_what_is_no_run_is_refused(tmp_path: Path, command: Command) -> None:
    answer = command("verify", tmp_path, out=False)
    assert answer.code == 2
    assert "holds no finished run" in answer.stderr


def test_a_manifest_at_odds_with_its_study_is_found(finished: Path) -> None:
    said = json.loads((finished / "manifest.json").read_text())
    said["study"] = {"id": "another", "sha256": "0" * 64}
    said["settings"] = {**said["settings"], "min_cell": 10}
    said["simulated"] = False
    (finished / "manifest.json").write_text(sealed(said))  # by someone who knows how
    found = verify(finished).differences
    assert [s.removeprefix("manifest.json: ") for s in found] == [
        "has two hashes of study.json.",
        "says in two places whether the data are simulated, and not the same.",
        "names another study than study.json is.",
        "has other settings than study.json.",
    ]


def test_a_folder_of_an_earlier_version_is_verified_and_run_again(finished: Path, inputs: Path) -> None:
    said = json.loads((finished / "manifest.json").read_text())
    for key in ("kind", "declarations", "options", SEAL):
        del said[key]
    del said["environment"][CODE]
    (finished / "manifest.json").write_text(json.dumps(said))
    found = verify(finished, data=inputs / "cohort.csv")
    assert found.ok
    assert found.rerun is not None
    assert found.rerun.same_bytes
    assert "by an earlier walkrisk" in found.remarks[0]


# ---------------------------------------------------------------- inputs


def test_other_data_are_said_and_nothing_is_run_again(finished: Path, mine: Path, command: Command) -> None:
    text = (mine / "cohort.csv").read_text()
    (mine / "cohort.csv").write_text(text + "p99999,50,F,0,5000,1,0\n")
    answer = command("verify", finished, "--data", mine / "cohort.csv", out=False)
    assert answer.code == 1
    assert "- cohort.csv: is not the file that was analysed" in answer.stderr
    assert "Nothing was run again" in answer.stderr
    assert "The inputs are NOT those of the run." in answer.stdout
    assert "p99999" not in answer.stderr


def test_a_changed_declaration_is_said_key_by_key(finished: Path, mine: Path) -> None:
    text = (mine / "study.toml").read_text()
    (mine / "study.toml").write_text(text.replace("at_least = 30", "at_least = 40"))
    found = verify(finished, study=mine / "study.toml")
    assert found.inputs == (
        "study.toml: declares another study: exclusions[adults].require[0].at_least (30.0 in the run, 40.0 in "
        "study.toml).",
    )
    assert not found.ok


def test_a_declaration_with_other_words_for_the_same_study_is_a_remark(finished: Path, mine: Path) -> None:
    (mine / "study.toml").write_text((mine / "study.toml").read_text() + "# a remark\n")
    found = verify(finished, study=mine / "study.toml")
    assert found.ok
    assert found.remarks[0].startswith("study.toml: its text was changed since the run, but it declares the same study")


def test_a_declaration_that_is_gone_or_at_fault_is_said(finished: Path, mine: Path) -> None:
    (mine / "study.toml").write_text("[study]\nid = 3\n")
    found = verify(finished, study=mine / "study.toml")
    assert any("study.id" in s for s in found.inputs), found.inputs
    with pytest.raises(UsageFault, match="There is no file"):
        verify(finished, study=mine / "nowhere.toml")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rerun",), "were not simulated by it"),
        (("--days", "cohort.csv"), "without the participants"),
        (("--data", "cohort.csv", "--days", "cohort.csv"), "read no days"),
        (("--data", "nowhere.csv"), "There is no file"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    finished: Path, mine: Path, command: Command, words: tuple[str, ...], said: str
) -> None:
    given = [mine / w if "." in w else w for w in words]
    answer = command("verify", finished, *given, out=False)
    assert answer.code == 2
    assert said in answer.stderr


# ---------------------------------------------------------------- running again


def test_running_again_gives_the_same_bytes_and_leaves_nothing(finished: Path, mine: Path, command: Command) -> None:
    before = sorted(p.name for p in finished.parent.iterdir())
    (mine / "cohort.csv").rename(mine / "renamed.csv")  # the same bytes under another name
    answer = command("verify", finished, "--data", mine / "renamed.csv", "--study", mine / "study.toml", out=False)
    assert (answer.code, answer.stderr) == (0, "")
    assert "files of the run are as it left them. study.toml declares the study that was run. Run again: all" in (
        answer.stdout
    )
    assert "outputs have the same bytes." in answer.stdout
    after = sorted(p.name for p in finished.parent.iterdir())
    assert [n for n in after if n != "renamed.csv"] == [n for n in before if n != "cohort.csv"]


@pytest.fixture
def scaled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], None]]:
    """Estimates of the rerun times a factor, as another processor or a changed program would give them."""

    def by(factor: float) -> None:
        carry_out = rerunning.carry_out

        def otherwise(*given: Any, **named: Any) -> Run:
            made = carry_out(*given, **named)
            rows = tuple(
                replace(e, estimate=e.estimate * factor) if e.estimate and e.level != e.reference else e
                for e in made.results.estimates
            )
            return replace(made, results=replace(made.results, estimates=rows))

        monkeypatch.setattr(rerunning, "carry_out", otherwise)

    return by


def test_last_digits_that_differ_are_measured_and_no_failure(
    finished: Path, inputs: Path, scaled: Callable[[float], None]
) -> None:
    scaled(1 + 1e-12)
    found = verify(finished, data=inputs / "cohort.csv")
    assert found.ok
    assert found.rerun is not None
    assert not found.rerun.same_bytes
    (row,) = found.rerun.rows
    assert row.name == "estimates.csv"
    assert 0 < row.largest < 2e-12
    assert "No printed text of any table changes." in found.notes
    assert "last digits only" in found.summary


def test_results_that_differ_are_a_failure_and_the_tables_say_where(
    finished: Path, inputs: Path, scaled: Callable[[float], None], command: Command
) -> None:
    scaled(1.1)
    answer = command("verify", finished, "--data", inputs / "cohort.csv", out=False)
    assert answer.code == 1
    assert "estimates.csv" in answer.stderr
    assert "the largest relative difference is 9.1e-02" in answer.stderr  # 0.1 / 1.1
    assert "tables/table2.csv: printed texts differ in" in answer.stderr
    assert "the results are NOT the same" in answer.stdout


def test_pages_that_differ_without_a_reason_are_a_failure(
    finished: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts_in = rerunning.texts_in
    monkeypatch.setattr(rerunning, "texts_in", lambda *given: {**texts_in(*given), "truth.json": "{}"})
    found = verify(finished, data=inputs / "cohort.csv")
    assert not found.ok
    assert "1 file(s) only the rerun left: truth.json." in found.faults


ROWS = FileDifference(name="estimates.csv", kind="numbers", numbers=3, of_numbers=9, largest=1e-12)
PICTURE = FileDifference(name="figures/flow.png", kind="bytes")
OTHER = {"versions": ("numpy 1, here 2",)}


@pytest.mark.parametrize(
    ("found", "more", "same"),
    [
        ((), {}, True),
        ((ROWS,), {}, True),
        ((ROWS, PICTURE), {}, True),  # drawn from the last digits
        ((PICTURE,), {}, False),  # of the same numbers and versions it has the same bytes
        ((PICTURE,), OTHER, True),
        ((replace(ROWS, largest=1e-8),), OTHER, False),
        ((replace(ROWS, words=1),), OTHER, False),
        ((replace(ROWS, kind="shape"),), OTHER, False),
        ((ROWS, FileDifference(name="tables/table2.csv", kind="numbers", words=1)), OTHER, False),
        ((FileDifference(name="study.json", kind="bytes"),), OTHER, False),
        ((), {"more": ("tables/new.csv",)}, False),
        ((), {"more": ("tables/new.csv",), **OTHER}, True),
        ((), {"missing": ("tables/old.csv",), **OTHER}, False),
        ((), {"said": ("manifest.json: warnings is another in the rerun.",), **OTHER}, False),
    ],
)
def test_what_counts_as_the_same_results(found: tuple[FileDifference, ...], more: dict[str, Any], same: bool) -> None:
    assert Rerun(compared=9, differences=found, **more).same_results is same


def test_a_simulated_run_is_simulated_again(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(ANALYSES / "walking_low_back_pain", folder)
    text = (folder / "simulation.toml").read_text(encoding="utf-8")
    assert "n = 31000" in text
    (folder / "simulation.toml").write_text(text.replace("n = 31000", "n = 1500"), encoding="utf-8")
    study = folder / "study.toml"
    run_file(study, data=None, out=tmp_path / "out", min_cell=0, numbers_only=True)
    found = verify(tmp_path / "out", study=study, rerun_simulated=True)
    assert found.ok
    assert found.rerun is not None
    assert found.rerun.same_bytes
    with pytest.raises(UsageFault, match="give --study"):
        verify(tmp_path / "out", rerun_simulated=True)
    (folder / "simulation.toml").write_text(text.replace("n = 31000", "n = 1501"), encoding="utf-8")
    found = verify(tmp_path / "out", study=study, rerun_simulated=True)
    assert found.inputs == ("simulation.toml: was changed since the run.",)
    assert found.rerun is None


def test_a_run_beside_an_earlier_release_is_run_again_beside_it(kept: Path, mine: Path, command: Command) -> None:
    text = (mine / "study.toml").read_text()
    (mine / "study.toml").write_text(text.replace("at_least = 30", "at_least = 45"))
    data = mine / "cohort.csv"
    run_file(mine / "study.toml", data=data, out=mine / "second", released=[kept], simulated=True, numbers_only=True)
    answer = command("verify", mine / "second", "--data", data, "--released", kept, out=False)
    assert (answer.code, answer.stderr) == (0, "")
    assert "the same bytes" in answer.stdout
    assert command("verify", mine / "second", out=False).code == 0
    for given in ([], [kept, mine / "second"]):
        with pytest.raises(UsageFault, match="1 earlier release"):
            verify(mine / "second", data=data, released=given)
    with pytest.raises(UsageFault, match="no earlier release"):
        verify(kept, data=data, released=[kept])


def test_a_rerun_needs_data(finished: Path) -> None:
    said = json.loads((finished / "manifest.json").read_text())
    with pytest.raises(UsageFault, match="needs the data"):
        rerun(finished, said, data=None, days=None, simulation=None, released=(), jobs=1, progress=lambda *_: None)
