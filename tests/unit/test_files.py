"""Rows to CSV and back; an output folder that is whole or not there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from walkrisk.errors import UsageFault
from walkrisk.estimates.rows import COLUMNS, Estimate
from walkrisk.reports.files import MANIFEST, check_output, finished_folder, rows_from_csv, rows_to_csv, write_all


@dataclass(frozen=True)
class Row:
    name: str
    n: int | None
    x: float | None
    ok: bool


ROWS = (Row('a, "b"\nc', 3, 0.1 + 0.2, True), Row("", None, None, False), Row("Ø", -1, 1e-300, True))


def test_rows_survive_the_way_to_csv_and_back() -> None:
    assert rows_from_csv(rows_to_csv(ROWS, Row), Row) == ROWS


def test_full_precision_empty_for_none_and_words_for_truth() -> None:
    assert rows_to_csv((Row("a", None, 0.1 + 0.2, False),), Row) == "name,n,x,ok\na,,0.30000000000000004,false\n"


def test_no_rows_have_their_header() -> None:
    assert rows_to_csv((), Estimate) == ",".join(COLUMNS) + "\n"
    assert rows_from_csv(rows_to_csv((), Estimate), Estimate) == ()


@pytest.mark.parametrize("text", ["", "name,n,x\n", "n,name,x,ok\n1,a,2,true\n"])
def test_other_columns_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the columns are not name, n, x, ok"):
        rows_from_csv(text, Row)


def test_a_row_with_a_cell_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        rows_from_csv("name,n,x,ok\na,1\n", Row)


def test_a_number_of_numpy_is_written_as_a_number() -> None:
    row = Row("a", 1, np.float64(0.5), True)
    assert rows_to_csv((row,), Row).splitlines()[1] == "a,1,0.5,true"


# ---------------------------------------------------------------- folders


def listing(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_a_finished_folder_holds_what_was_written(tmp_path: Path) -> None:
    with finished_folder(tmp_path / "deep" / "out") as work:
        write_all(work, {"a.csv": "é\n", "tables/t.html": "x", "b.bin": b"\x00"})
        assert not (tmp_path / "deep" / "out").exists()
    assert listing(tmp_path / "deep") == ["out", "out/a.csv", "out/b.bin", "out/tables", "out/tables/t.html"]
    assert (tmp_path / "deep" / "out" / "a.csv").read_bytes() == "é\n".encode()


def test_nothing_is_left_of_a_run_that_fails(tmp_path: Path) -> None:
    def run() -> None:
        with finished_folder(tmp_path / "out") as work:
            write_all(work, {"a.csv": "1"})
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        run()
    assert listing(tmp_path) == []


def test_an_earlier_run_is_replaced_whole_and_kept_if_the_new_one_fails(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with finished_folder(out) as work:
        write_all(work, {MANIFEST: '{"files": {"old.csv": ""}}', "old.csv": "1"})

    def fails() -> None:
        with finished_folder(out) as work:
            write_all(work, {"new.csv": "2"})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert listing(out) == [MANIFEST, "old.csv"]
    with finished_folder(out) as work:
        write_all(work, {MANIFEST: '{"files": {"new.csv": ""}}', "new.csv": "2"})
    assert listing(out) == [MANIFEST, "new.csv"]
    assert listing(tmp_path) == ["out", f"out/{MANIFEST}", "out/new.csv"]


def test_a_folder_that_no_run_left_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UsageFault, match="that no run of walkrisk left"):
        check_output(tmp_path)
    with pytest.raises(UsageFault), finished_folder(tmp_path):
        pytest.fail("the body must not run")
    assert listing(tmp_path) == ["letter.txt"]


def test_a_run_with_other_peoples_files_beside_it_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with finished_folder(out) as work:
        write_all(work, {MANIFEST: '{"files": {"tables/a.csv": ""}}', "tables/a.csv": "1"})
    check_output(out)
    (out / "tables" / "draft.docx").write_text("mine")
    with pytest.raises(UsageFault, match="holds 1 file"):
        check_output(out)
    (out / MANIFEST).write_text("[" * 200_000)
    with pytest.raises(UsageFault):
        check_output(out)
    assert (out / "tables" / "draft.docx").read_text() == "mine"


def test_an_empty_folder_and_a_new_one_are_fine_and_a_file_is_not(tmp_path: Path) -> None:
    check_output(tmp_path)
    check_output(tmp_path / "new" / "deeper")
    file = tmp_path / "file"
    file.write_text("")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    for path in (file, link):
        with pytest.raises(UsageFault, match="is not a folder"):
            check_output(path)
    with pytest.raises(UsageFault, match="cannot be written to"):
        check_output(file / "below")
