"""A folder against its manifest, file by file; two outputs of one name beside each other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from walkrisk.errors import UsageFault
from walkrisk.reports.file_differences import file_difference, relative_difference
from walkrisk.reports.files import write_all
from walkrisk.reports.intact import folder_differences, kept_manifest, kind_of
from walkrisk.reports.manifest import SEAL, folder_sha256, hashes, seal_of, sealed, sha256

FILES: dict[str, str | bytes] = {"estimates.csv": "a,b\n1,2\n", "tables/t.html": "<p>", "figures/f.png": b"\x89"}


def folder_of(path: Path, files: dict[str, str | bytes] = FILES, **more: object) -> Path:
    write_all(path, {**files, "manifest.json": sealed({"kind": "comparison", "files": hashes(files), **more})})
    return path


def said_of(folder: Path) -> list[str]:
    return list(folder_differences(folder, kept_manifest(folder)))


def test_a_folder_as_it_was_left_has_no_difference(tmp_path: Path) -> None:
    assert said_of(folder_of(tmp_path / "out")) == []


def test_one_changed_byte_is_found_and_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "out")
    (folder / "figures" / "f.png").write_bytes(b"\x88")
    (said,) = said_of(folder)
    assert said.startswith("figures/f.png: was changed")
    assert sha256(b"\x88")[:12] in said
    assert sha256(b"\x89")[:12] in said


def test_everything_that_differs_is_said_together(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "out")
    (folder / "estimates.csv").write_text("a,b\n1,3\n")
    (folder / "tables" / "t.html").unlink()
    (folder / "figures" / "f.png").unlink()
    (folder / "figures" / "f.png").symlink_to(folder / "estimates.csv")
    (folder / "notes.txt").write_text("mine")
    (folder / "empty").mkdir()
    heads = [(s.split(":")[0], s.split(": ", 1)[1].split(" ")[0:2]) for s in said_of(folder)]
    assert heads == [
        ("estimates.csv", ["was", "changed"]),
        ("figures/f.png", ["is", "a"]),
        ("tables/t.html", ["is", "missing."]),
        ("empty", ["is", "not"]),
        ("notes.txt", ["is", "not"]),
    ]


def test_a_manifest_that_was_edited_is_found_by_its_own_hash(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "out", settings={"min_cell": 5})
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"min_cell": 5', '"min_cell": 3'))
    assert said_of(folder) == ["manifest.json: was changed; its last line is not the hash of what it says."]
    assert json.loads(text)[SEAL] == seal_of(json.loads(text))


def test_the_layout_of_a_manifest_is_no_part_of_its_hash(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "out")
    said = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(dict(reversed(list(said.items())))))
    assert said_of(folder) == []


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/hostname", "a/../../outside.txt", "C:\\x", "..\\x"])
def test_a_file_outside_the_folder_is_never_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside.txt").write_text("secret")
    folder = folder_of(tmp_path / "out")
    content = {"kind": "comparison", "files": {**hashes(FILES), name: sha256("secret")}}
    (folder / "manifest.json").write_text(sealed(content))
    (said,) = said_of(folder)
    assert said.endswith("names a file outside the folder; it was not opened.")


ODD = [
    json.dumps({"files": {}, **more})
    for more in (
        {},
        {"study": {}, "settings": {}, "data": 3},
        {"study": [], "settings": {}, "data": {}},
        {"kind": "sensors", "folders": []},
        {"kind": "comparison", "environment": "x"},
    )
]


@pytest.mark.parametrize("text", ["", "[]", '{"files": 3}', '{"files": {"a": 1}}', "{}", "[" * 100_000, "\xff", *ODD])
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(UsageFault, match="cannot be read as a manifest"):
        kept_manifest(tmp_path)


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageFault, match="holds no finished run"):
            kept_manifest(path)


# ---------------------------------------------------------------- recordings

PICTURES = {"pictures/anna.png": b"1", "pictures/bo.png": b"2"}


@pytest.fixture
def sensors(tmp_path: Path) -> Path:
    files: dict[str, str | bytes] = {"days.parquet": b"x", "quality.csv": "participant_id,days\nanna,7\nbo,6\ncy,0\n"}
    folders = {"pictures": folder_sha256(hashes(PICTURES), "pictures")}  # type: ignore[arg-type]
    folder = tmp_path / "sensors"
    said = sealed({"kind": "sensors", "participants": 3, "files": hashes(files), "folders": folders})
    write_all(folder, {**files, **PICTURES, "manifest.json": said, "parts/anna.json": "{}"})
    return folder


def test_a_folder_of_recordings_is_as_it_was_left(sensors: Path) -> None:
    assert said_of(sensors) == []
    assert kind_of({"participants": 2}) == "sensors"
    assert kind_of({}) == "run"


def test_pictures_that_changed_or_are_too_many_are_said_without_a_name(sensors: Path) -> None:
    (sensors / "pictures" / "anna.png").write_bytes(b"3")
    (sensors / "pictures" / "dora.png").write_bytes(b"4")
    said = said_of(sensors)
    assert said[0].startswith("pictures/: its files together are not what was left")
    assert said[1] == "pictures/: 1 file(s) are of no participant in quality.csv."
    assert not any(name in " ".join(said) for name in ("anna", "bo", "dora"))


def test_a_missing_picture_is_found(sensors: Path) -> None:
    (sensors / "pictures" / "bo.png").unlink()
    assert len(said_of(sensors)) == 1


# ---------------------------------------------------------------- two files of one name


def test_the_same_bytes_differ_in_nothing() -> None:
    assert file_difference("a.csv", b"x\n1\n", b"x\n1\n") is None


def test_numbers_and_texts_of_a_csv_are_counted_and_the_largest_difference_said() -> None:
    found = file_difference("a.csv", b"x,y,z\n1.0,2.0,a\n4.0,,b\n", b"x,y,z\n1.0,2.5,a\n4.4,,c\n")
    assert found is not None
    assert (found.kind, found.numbers, found.of_numbers, found.words) == ("numbers", 2, 3, 1)
    assert found.largest == pytest.approx(0.5 / 2.5)
    assert found.sentence == (
        "a.csv: 2 of 3 numbers differ, the largest relative difference is 2.0e-01; 1 cell(s) differ as text."
    )


def test_a_number_that_is_there_in_one_only_is_a_text_that_differs() -> None:
    found = file_difference("a.csv", b"x\n1.0\n", b'x\n""\n')
    assert found is not None
    assert (found.numbers, found.words) == (0, 1)


@pytest.mark.parametrize("now", [b"x,y\n1,2\n3,4\n", b"x\n1\n", b"x,z\n1,2\n", b""])
def test_other_rows_columns_or_names_are_another_shape(now: bytes) -> None:
    found = file_difference("a.csv", b"x,y\n1,2\n", now)
    assert found is not None
    assert found.kind == "shape"


def test_of_another_kind_of_file_only_the_bytes_are_compared() -> None:
    found = file_difference("a.png", b"1", b"2")
    assert found is not None
    assert found.sentence == "a.png: has other bytes."


@pytest.mark.parametrize(
    ("a", "b", "apart"), [(1.0, 1.0, 0.0), (1.0, 0.5, 0.5), (-1.0, 1.0, 2.0), (1e-17, 3e-18, 0.0), (0.0, 1e-3, 1.0)]
)
def test_a_relative_difference_is_over_the_larger_of_the_two(a: float, b: float, apart: float) -> None:
    assert relative_difference(a, b) == pytest.approx(apart)


def test_a_difference_from_infinity_is_infinite() -> None:
    assert relative_difference(float("inf"), 1.0) == float("inf")
    assert relative_difference(float("nan"), float("nan")) == 0.0
