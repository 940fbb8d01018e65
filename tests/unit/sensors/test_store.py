from __future__ import annotations

import os
from pathlib import Path

import pytest

from walkrisk.errors import UsageFault
from walkrisk.sensors.pairs import Pair
from walkrisk.sensors.store import MARK, PARTS, Part, check_store, read_part, signature, write, write_part


def test_a_part_comes_back_as_it_was(tmp_path: Path) -> None:
    part = Part("s", [{"date": "2024-01-01", "walking_s": 0.1 + 0.2}], {"status": "complete"}, {})
    write_part(tmp_path, "p", part)
    assert read_part(tmp_path, "p") == part
    assert [p.name for p in (tmp_path / PARTS).iterdir()] == ["p.json"]


def test_a_part_whose_files_are_gone_or_that_is_cut_is_no_part(tmp_path: Path) -> None:
    write_part(tmp_path, "p", Part("s", [], {}, {"epochs/p.parquet": "0"}))
    assert read_part(tmp_path, "p") is None
    write_part(tmp_path, "q", Part("s", [], {}, {}))
    whole = (tmp_path / PARTS / "q.json").read_bytes()
    (tmp_path / PARTS / "q.json").write_bytes(whole[:-5])
    assert read_part(tmp_path, "q") is None


def test_the_signature_follows_files_and_settings(tmp_path: Path) -> None:
    file = tmp_path / "p_thigh.cwa"
    file.write_bytes(b"1")
    os.utime(file, ns=(1, 1))
    pair = Pair("p", file)
    first = signature(pair, "settings")
    assert signature(pair, "settings") == first
    assert signature(pair, "other") != first
    os.utime(file, ns=(1, 2))
    assert signature(pair, "settings") != first
    assert signature(Pair("p", None, file), "settings") != first


def test_a_full_disk_leaves_the_old_file_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "days.parquet", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageFault, match="No space left"):
        write(tmp_path / "days.parquet", b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("days.parquet", b"old")]


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_bytes(b"")
    with pytest.raises(UsageFault, match="no run of `walkrisk sensors` left"):
        check_store(tmp_path)


def test_leftovers_of_a_killed_run_are_cleared(tmp_path: Path) -> None:
    (tmp_path / PARTS).mkdir()
    (tmp_path / PARTS / MARK).write_text("{}")
    (tmp_path / PARTS / ".walkrisk-x1").write_bytes(b"half")
    check_store(tmp_path)
    assert [p.name for p in (tmp_path / PARTS).iterdir()] == [MARK]
