"""Finished parts of long work: kept whole, found again, and only by the work they belong to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from walkrisk.reports.kept import drop_kept, folder_of, kept_beside

MARK = ["a study", "its data"]


def test_what_is_kept_is_found_again_by_the_same_work(tmp_path: Path) -> None:
    kept = kept_beside(tmp_path / "out", MARK)
    assert kept is not None
    values = {"numbers": np.array([1.5, np.nan]), "flags": np.array([True]), "names": np.array(["Q1", "Q4"])}
    kept.save("mi.set 3", values)
    again = kept_beside(tmp_path / "out", MARK)
    assert again is not None
    found = again.load("mi.set 3")
    assert found is not None
    for name, expected in values.items():
        np.testing.assert_array_equal(found[name], expected)
    assert again.load("mi.set 4") is None


def test_names_that_look_alike_on_disk_are_apart(tmp_path: Path) -> None:
    kept = kept_beside(tmp_path / "out", MARK)
    assert kept is not None
    kept.save("a.b", {"x": np.array([1.0])})
    kept.save("a/b", {"x": np.array([2.0])})
    assert (kept.load("a.b") or {})["x"] == 1.0
    assert (kept.load("a/b") or {})["x"] == 2.0


def test_other_work_finds_nothing(tmp_path: Path) -> None:
    kept = kept_beside(tmp_path / "out", MARK)
    assert kept is not None
    kept.save("part", {"x": np.array([1.0])})
    other = kept_beside(tmp_path / "out", ["another study", "its data"])
    assert other is not None
    assert other.load("part") is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"not an archive at all"])
def test_a_part_that_is_not_whole_is_done_again(tmp_path: Path, content: bytes) -> None:
    kept = kept_beside(tmp_path / "out", MARK)
    assert kept is not None
    kept.save("part", {"x": np.arange(1000.0)})
    (path,) = kept.folder.glob("*.npz")
    path.write_bytes(content or path.read_bytes()[:500])
    assert kept.load("part") is None


def test_objects_are_refused_and_nothing_of_them_is_left(tmp_path: Path) -> None:
    kept = kept_beside(tmp_path / "out", MARK)
    assert kept is not None
    with pytest.raises(TypeError, match="holds objects"):
        kept.save("part", {"x": np.array([{}])})
    assert not list(kept.folder.glob("*.npz"))


def test_a_file_in_place_of_the_folder_keeps_nothing_and_stops_nothing(tmp_path: Path) -> None:
    folder_of(tmp_path / "out").write_text("in the way")
    assert kept_beside(tmp_path / "out", MARK) is None


def test_what_was_kept_goes_when_the_run_is_done(tmp_path: Path) -> None:
    assert kept_beside(tmp_path / "out", MARK) is not None
    drop_kept(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
