from __future__ import annotations

from pathlib import Path

import pytest

from walkrisk.errors import DataFault, UsageFault
from walkrisk.sensors.pairs import Pair, find_recordings


def made(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def test_files_of_a_folder_are_paired_by_participant(tmp_path: Path) -> None:
    made(tmp_path, "b7_thigh.cwa", "a_1_back.CWA", "a_1_THIGH.cwa", "c_back.parquet", "notes.txt", ".hidden")
    found = find_recordings(tmp_path)
    assert found.pairs == (
        Pair("a_1", tmp_path / "a_1_THIGH.cwa", tmp_path / "a_1_back.CWA"),
        Pair("b7", tmp_path / "b7_thigh.cwa", None),
        Pair("c", None, tmp_path / "c_back.parquet"),
    )
    assert found.notes == (
        "1 file(s) or folder(s) beside the recordings are not named ID_thigh.* or ID_back.*; left alone.",
    )


def test_a_manifest_names_files_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "lists").mkdir()
    one, two, three = made(tmp_path / "x", "one.cwa") / "one.cwa", *(tmp_path / n for n in ("two.cwa", "three.cwa"))
    made(tmp_path, "two.cwa", "three.cwa")
    manifest = tmp_path / "lists" / "list.csv"
    rows = ["site,participant_id,path", "back,p2,../x/one.cwa", "THIGH,p1,../two.cwa", "", f"back,p1,{three}"]
    for delimiter in (",", ";", "\t"):
        manifest.write_text("\n".join(rows).replace(",", delimiter))
        pairs = find_recordings(manifest).pairs
        assert [p.participant_id for p in pairs] == ["p1", "p2"]
        assert [f.resolve() for p in pairs for f in p.files] == [two, three, one]


def test_a_list_whose_files_are_all_elsewhere_is_refused_before_any_work(tmp_path: Path) -> None:
    manifest = tmp_path / "list.csv"
    manifest.write_text("participant_id,site,path\np1,thigh,a.cwa\np2,thigh,b.cwa\n")
    with pytest.raises(DataFault) as fault:
        find_recordings(manifest)
    (said,) = fault.value.faults
    assert said.startswith("row 2, row 3: there is no such file")
    made(tmp_path, "a.cwa")
    assert len(find_recordings(manifest).pairs) == 2, "one that is lost stops nobody"


@pytest.mark.parametrize(("words", "got"), [(["LB", "RT"], ", got 'LB', 'RT'."), (["s1", "s2", "s3", "s4", "s5"], ".")])
def test_what_stands_in_place_of_a_site_is_one_sentence(tmp_path: Path, words: list[str], got: str) -> None:
    names = [f"{i}.cwa" for i in range(10)]
    made(tmp_path, *names)
    manifest = tmp_path / "list.csv"
    rows = [f"p{i},{words[i % len(words)]},{name}" for i, name in enumerate(names)]
    manifest.write_text("\n".join(["participant_id,site,path", *rows]))
    with pytest.raises(DataFault) as fault:
        find_recordings(manifest)
    first = ", ".join(f"row {i}" for i in range(2, 8))
    assert fault.value.faults == (f"{first} and 4 more: site must be thigh or back{got}",)


def test_every_fault_is_said_at_once_and_no_id_is_shown(tmp_path: Path) -> None:
    manifest = made(tmp_path, *(f"{name}.cwa" for name in "abcde")) / "list.csv"
    manifest.write_text(
        "participant_id,site,path\nSECRET/1,thigh,a.cwa\nSECRET2,wrist,b.cwa\nSECRET3,back,\n"
        "SECRET4,back,c.cwa\nSECRET4,back,d.cwa\nsecret4,thigh,e.cwa\n"
    )
    with pytest.raises(DataFault) as fault:
        find_recordings(manifest)
    text = "\n".join(fault.value.faults)
    assert len(fault.value.faults) == 5
    for words in (
        "row 2: a participant_id is",
        "row 3: site must",
        "row 4: path is empty",
        "row 5, row 6: more",
        "1 part",
    ):
        assert words in text
    assert "secret" not in text.lower()


@pytest.mark.parametrize(
    "content", [b"participant_id,path\na,b\n", b"\xff\xfe\x00", b"", b"participant_id,site,path\na\n"]
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DataFault):
        find_recordings(tmp_path / "x.csv")


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="holds no recordings"):
        find_recordings(tmp_path)
    with pytest.raises(UsageFault, match="no folder or file"):
        find_recordings(tmp_path / "nowhere")


def test_one_file_for_two_participants_is_a_fault(tmp_path: Path) -> None:
    manifest = made(tmp_path, "a.cwa", "b.csv") / "list.csv"
    manifest.write_text("participant_id,site,path\np1,thigh,a.cwa\np2,thigh,./a.cwa\np3,thigh,b.csv\np3,back,b.csv\n")
    with pytest.raises(DataFault) as fault:
        find_recordings(manifest)
    assert fault.value.faults == ("row 2, row 3: one file is named for more than one participant; keep one.",)
