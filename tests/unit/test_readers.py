"""Participants' files: the same frame from each format, every fault at once, never a library's traceback."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
import pytest

from walkrisk.cohorts.readers import Extract, read_extract
from walkrisk.errors import DataFault, UsageFault
from walkrisk.schema import ColumnContract

NAN = np.nan
DAY = np.timedelta64(1, "D")
FORMATS = ("dta", "sav", "csv", "csv.gz", "tsv", "parquet")
SMOKING = ("never", "former", "current")
CONTRACTS = (
    ColumnContract(name="pid", kind="id"),
    ColumnContract(name="Sex", kind="code", codes=(0, 1)),
    ColumnContract(name="smoke", kind="category", categories=SMOKING),
    ColumnContract(name="ill", kind="boolean"),
    ColumnContract(name="hads", kind="integer", minimum=0, maximum=21, missing_codes=(99,)),
    ColumnContract(name="bmi", kind="number", minimum=10, maximum=80),
    ColumnContract(name="met", kind="date"),
)


def table(n: int = 40, seed: int = 1) -> pd.DataFrame:
    """A plain table of floats, texts and datetimes, with missing values, that every format can hold."""
    rng = np.random.default_rng(seed)

    def holes(values: np.ndarray) -> np.ndarray:
        return np.where(rng.random(n) < 0.2, NAN, values)

    met = np.datetime64("2017-09-01", "ns") + rng.integers(-900, 900, n) * DAY
    met[rng.random(n) < 0.2] = np.datetime64("NaT", "ns")
    return pd.DataFrame(
        {
            "pid": rng.permutation(n) + 100_001,
            "extra": rng.random(n),
            "Sex": rng.integers(0, 2, n).astype(float),
            "smoke": holes(rng.integers(1, 4, n)),
            "ill": holes(rng.integers(0, 2, n)),
            "hads": np.where(rng.random(n) < 0.1, 99.0, holes(rng.integers(0, 22, n))),
            "bmi": holes(rng.normal(27, 4, n)),
            "met": pd.Series(met),
        }
    )


def smoking_texts(frame: pd.DataFrame) -> pd.DataFrame:
    texts = [SMOKING[int(code) - 1] if code == code else "" for code in frame["smoke"]]
    return frame.assign(smoke=pd.Series(texts, dtype=object))


LABELS = {"smoke": dict(enumerate(SMOKING, start=1)), "Sex": {0: "Female", 1: "Male"}}


def write(frame: pd.DataFrame, path: Path) -> Path:
    suffix = path.name.split(".", 1)[1]
    if suffix == "dta":
        frame.to_stata(path, write_index=False, convert_dates={"met": "td"}, version=118, value_labels=LABELS)
    elif suffix == "sav":
        dates = [None if pd.isna(day) else day.date() for day in frame["met"]]
        labels = LABELS
        pyreadstat.write_sav(frame.assign(met=pd.Series(dates, dtype=object)), path, variable_value_labels=labels)
    elif suffix == "parquet":
        smoking_texts(frame).replace({"smoke": {"": None}}).to_parquet(path)
    else:
        smoking_texts(frame).to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    return path


def expected(frame: pd.DataFrame) -> pd.DataFrame:
    days = (frame["met"].to_numpy() - np.datetime64("1970-01-01")) / DAY
    columns = {c.name: frame[c.name].to_numpy(dtype=float) for c in CONTRACTS if c.name not in ("pid", "met")}
    columns |= {"pid": frame["pid"].to_numpy(dtype=np.int64), "met": days}
    columns["hads"] = np.where(columns["hads"] == 99, NAN, columns["hads"])
    return pd.DataFrame({c.name: columns[c.name] for c in CONTRACTS})


def read_csv(tmp_path: Path, text: str | bytes, contracts=CONTRACTS, name: str = "x.csv") -> Extract:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_extract(path, contracts)


def faults_of(path: Path, contracts=CONTRACTS) -> str:
    with pytest.raises(DataFault) as caught:
        read_extract(path, contracts)
    text = "\n".join(caught.value.faults)
    assert all(path.name in fault for fault in caught.value.faults)
    assert str(path.parent) not in text
    return text


def csv_faults(tmp_path: Path, text: str, contracts=CONTRACTS) -> str:
    (tmp_path / "x.csv").write_text(text)
    return faults_of(tmp_path / "x.csv", contracts)


@pytest.mark.parametrize("suffix", FORMATS)
def test_each_format_gives_the_same_frame(tmp_path, suffix):
    frame = table()
    extract = read_extract(write(frame, tmp_path / f"extract.{suffix}"), CONTRACTS)
    pd.testing.assert_frame_equal(extract.frame, expected(frame), check_exact=True)
    assert extract.name == f"extract.{suffix}"
    assert extract.sha256 == hashlib.sha256((tmp_path / extract.name).read_bytes()).hexdigest()
    assert extract.warnings == ()
    assert extract.n_columns_in_file == 8


@pytest.mark.parametrize("suffix", FORMATS)
def test_text_ids_stay_text_and_whole_numbers_written_as_text_become_numbers(tmp_path, suffix):
    for ids, dtype in (([f"A{i:03}" for i in range(40)], object), ([f"{i + 5}" for i in range(40)], np.int64)):
        frame = table().assign(pid=pd.Series(ids, dtype=object))
        extract = read_extract(write(frame, tmp_path / f"extract.{suffix}"), CONTRACTS)
        assert extract.frame["pid"].dtype == dtype
        assert extract.frame["pid"].tolist() == (ids if dtype is object else [int(i) for i in ids])


def test_leading_zeros_of_ids_are_kept(tmp_path):
    extract = read_csv(tmp_path, "pid,Sex\n007,1\n08,0\n", CONTRACTS[:2])
    assert extract.frame["pid"].tolist() == ["007", "08"]


# Stata -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [114, 117, 118, 119])
@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_stata_versions_and_byte_orders(tmp_path, version, byteorder):
    frame = table().assign(text="æøå", half=np.float32(1.5), tiny=np.int8(-3))
    path = tmp_path / "x.dta"
    frame.to_stata(
        path,
        write_index=False,
        version=version,
        byteorder=byteorder,
        convert_dates={"met": "tc"},
        value_labels=LABELS,
        variable_labels={"text": "a label"},
    )
    more = [ColumnContract(name=name, kind="number") for name in ("half", "tiny")]
    read = read_extract(path, [*CONTRACTS, *more]).frame
    pd.testing.assert_frame_equal(read[[c.name for c in CONTRACTS]], expected(frame), check_exact=True)
    assert set(read["half"]) == {1.5}
    assert set(read["tiny"]) == {-3.0}


@pytest.mark.parametrize("version", [8, 10, 12, 13, 14, 15])
def test_stata_extended_missing_values_are_missing(tmp_path, version):
    frame = pd.DataFrame({"pid": [1, 2, 3, 4], "Sex": pd.Series([0, "a", "z", 1], dtype=object)})
    pyreadstat.write_dta(frame, tmp_path / "x.dta", version=version, missing_user_values={"Sex": ["a", "z"]})
    read = read_extract(tmp_path / "x.dta", CONTRACTS[:2]).frame
    np.testing.assert_array_equal(read["Sex"], [0, NAN, NAN, 1])


def test_stata_missing_values_of_every_storage_type(tmp_path):
    values = [1.0, NAN, -5.0]
    types = {"f8": np.float64, "f4": np.float32}
    frame = pd.DataFrame({"pid": [1, 2, 3]} | {name: np.array(values, dtype=kind) for name, kind in types.items()})
    for name, kind in {"i1": "Int8", "i2": "Int16", "i4": "Int32"}.items():
        frame[name] = pd.array([1, None, -5], dtype=kind)
    frame.to_stata(tmp_path / "x.dta", write_index=False, version=118)
    contracts = [ColumnContract(name=str(name), kind="number") for name in frame.columns[1:]]
    read = read_extract(tmp_path / "x.dta", contracts).frame
    for contract in contracts:
        np.testing.assert_array_equal(read[contract.name], values)


def test_stata_long_strings(tmp_path):
    frame = pd.DataFrame({"pid": [1, 2], "smoke": ["never", "current"]})
    frame.to_stata(tmp_path / "x.dta", write_index=False, version=118, convert_strl=["smoke"])
    assert read_extract(tmp_path / "x.dta", [CONTRACTS[0], CONTRACTS[2]]).frame["smoke"].tolist() == [1.0, 3.0]


def test_numbers_without_a_day_format_are_no_dates(tmp_path):
    pd.DataFrame({"pid": [1, 2], "met": [21_000.0, NAN]}).to_stata(tmp_path / "x.dta", write_index=False)
    assert "1 number without a day format, in row 1" in faults_of(tmp_path / "x.dta", [CONTRACTS[0], CONTRACTS[6]])


@pytest.mark.parametrize("version", [114, 118])
@pytest.mark.parametrize("missing", [1, 20, 200, 2_000, 20_000])
def test_a_truncated_dta_is_found(tmp_path, version, missing):
    path = tmp_path / "x.dta"
    table(600).to_stata(path, write_index=False, version=version, convert_dates={"met": "td"}, value_labels=LABELS)
    path.write_bytes(path.read_bytes()[:-missing])
    assert "truncated or damaged" in faults_of(path)


def test_a_dta_that_announces_more_rows_than_it_holds(tmp_path):
    path = write(table(50), tmp_path / "x.dta")
    data = path.read_bytes()
    at = data.index(b"<N>") + 3
    for rows in (49, 51, 2**40):
        path.write_bytes(data[:at] + struct.pack("<Q", rows) + data[at + 8 :])
        assert "header" in faults_of(path)


# SPSS and Parquet --------------------------------------------------------------------------------------------------


def test_spss_user_missing_values_are_missing(tmp_path):
    frame = pd.DataFrame({"pid": [1, 2, 3], "Sex": [0.0, 8.0, 1.0], "hads": [3.0, 97.0, 98.0]})
    ranges = {"Sex": [8], "hads": [{"lo": 97, "hi": 99}]}
    pyreadstat.write_sav(frame, tmp_path / "x.sav", missing_ranges=ranges)
    read = read_extract(tmp_path / "x.sav", [CONTRACTS[0], CONTRACTS[1], CONTRACTS[4]]).frame
    np.testing.assert_array_equal(read["Sex"], [0, NAN, 1])
    np.testing.assert_array_equal(read["hads"], [3, NAN, NAN])


@pytest.mark.parametrize("compress", [True, False])
def test_a_truncated_sav_is_found(tmp_path, compress):
    path = tmp_path / "x.sav"
    pyreadstat.write_sav(table(600).drop(columns="met"), path, row_compress=compress)
    data = path.read_bytes()
    for keep in (0.99, 0.7, 0.1):
        path.write_bytes(data[: int(len(data) * keep)])
        assert "truncated or damaged" in faults_of(path, CONTRACTS[:6])


def test_parquet_types(tmp_path):
    day = pa.array(["2018-03-24", None]).cast(pa.timestamp("us"))
    columns = {
        "pid": pa.array([5, 6], pa.uint16()),
        "Sex": pa.array([True, False]),
        "smoke": pa.array(["never", None]).dictionary_encode(),
        "ill": pa.array([None, None], pa.null()),
        "hads": pa.array([3, None], pa.int8()),
        "bmi": pa.array(["23.5", "31"]),
        "met": day,
        "met_date": day.cast(pa.date32()),
        "met_zone": pa.array(["2018-03-23T23:30:00Z", None])
        .cast(pa.timestamp("ns", tz="UTC"))
        .cast(pa.timestamp("ns", tz="Europe/Oslo")),
        "decimal": pa.array(["1.25", None]).cast(pa.decimal128(5, 2)),
    }
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    more = [ColumnContract(name=name, kind="date") for name in ("met_date", "met_zone")]
    contracts = [*CONTRACTS, *more, ColumnContract(name="decimal", kind="number")]
    read = read_extract(tmp_path / "x.parquet", contracts).frame
    wanted = {
        "Sex": [1, 0],
        "smoke": [1, NAN],
        "ill": [NAN, NAN],
        "hads": [3, NAN],
        "bmi": [23.5, 31],
        "met": [17_614, NAN],
        "met_date": [17_614, NAN],
        "met_zone": [17_614, NAN],
        "decimal": [1.25, NAN],
    }
    assert read["pid"].tolist() == [5, 6]
    for name, values in wanted.items():
        np.testing.assert_array_equal(read[name], values, err_msg=name)


def test_parquet_columns_twice_and_text_in_numbers(tmp_path):
    twice = pa.Table.from_arrays([pa.array([1]), pa.array(["x"]), pa.array([1])], names=["pid", "bmi", "pid"])
    pq.write_table(twice, tmp_path / "x.parquet")
    faults = faults_of(tmp_path / "x.parquet", [CONTRACTS[0], CONTRACTS[5]])
    assert "more than one column has the name pid" in faults
    assert "Column bmi holds 1 text where a number belongs, in row 1" in faults


# Text --------------------------------------------------------------------------------------------------------------

HEADER = "pid,Sex,smoke,ill,hads,bmi,met\n"
ROW = "1,0,never,true,3,23.5,2018-03-24\n"


def test_dates_booleans_and_missing_values_in_text(tmp_path):
    text = (
        HEADER + ROW + "2,1,current,FALSE,NA,.,24.03.2018\n3,.a,,1,, 31 ,24mar2018\n4,1,NA,0,99,NaN,2018-03-24T23:59\n"
    )
    read = read_csv(tmp_path, text).frame
    np.testing.assert_array_equal(read["Sex"], [0, 1, NAN, 1])
    np.testing.assert_array_equal(read["smoke"], [1, 3, NAN, NAN])
    np.testing.assert_array_equal(read["ill"], [1, 0, 1, 0])
    np.testing.assert_array_equal(read["hads"], [3, NAN, NAN, NAN])
    np.testing.assert_array_equal(read["bmi"], [23.5, NAN, 31, NAN])
    np.testing.assert_array_equal(read["met"], [17_614] * 4)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_decimal_commas_are_read_with_a_warning(tmp_path, delimiter):
    text = (HEADER + "1,0,never,1,3,23#5,24.03.2018\n2,1,former,0,4,30,25.03.2018\n").replace(",", delimiter)
    extract = read_csv(tmp_path, text.replace("#", ","))
    assert extract.frame["bmi"].tolist() == [23.5, 30.0]
    word = {";": "semicolon", "\t": "tab"}[delimiter]
    assert extract.warnings == (f"x.csv was read as {word}-separated text with decimal commas.",)
    assert read_csv(tmp_path, text.replace("#", ".")).warnings == ()


def test_decimal_points_beside_decimal_commas_are_a_fault(tmp_path):
    faults = csv_faults(tmp_path, "pid;bmi\n1;23,5\n2;23.5\n", [CONTRACTS[0], CONTRACTS[5]])
    assert "Column bmi holds 1 text where a number belongs, in row 2" in faults


def test_byte_order_mark_line_ends_and_quotes(tmp_path):
    text = '"pid","note","Sex"\r\n1,"a, ""b""\r\nsecond line",1\r\n\r\n2,plain,0\r\n'
    extract = read_csv(tmp_path, b"\xef\xbb\xbf" + text.encode(), CONTRACTS[:2])
    assert extract.frame.to_dict("list") == {"pid": [1, 2], "Sex": [1.0, 0.0]}
    assert extract.n_columns_in_file == 3


def test_latin_1_is_read_with_a_warning(tmp_path):
    contract = ColumnContract(name="røyk", kind="category", categories=("nå", "før"))
    extract = read_csv(tmp_path, "pid,røyk\n1,før\n2,nå\n".encode("latin-1"), [CONTRACTS[0], contract])
    assert extract.frame["røyk"].tolist() == [2.0, 1.0]
    assert "read as Latin-1" in extract.warnings[0]


def test_numbers_come_back_to_the_last_bit(tmp_path):
    values = np.random.default_rng(3).normal(size=500) * 10.0 ** np.random.default_rng(4).integers(-20, 20, 500)
    frame = pd.DataFrame({"pid": np.arange(500), "x": values})
    frame.to_csv(tmp_path / "x.csv", index=False)
    frame.to_csv(tmp_path / "y.csv", index=False, sep=";", decimal=",")
    contracts = [CONTRACTS[0], ColumnContract(name="x", kind="number")]
    for name in ("x.csv", "y.csv"):
        np.testing.assert_array_equal(read_extract(tmp_path / name, contracts).frame["x"], values)


def test_a_first_column_called_like_a_magic_number_is_text(tmp_path):
    assert read_csv(tmp_path, "PARE,pid\n1,2\n", CONTRACTS[:1]).frame["pid"].tolist() == [2]


def test_an_absent_column_that_is_not_required_is_missing_with_a_warning(tmp_path):
    optional = ColumnContract(name="steps", kind="number", required=False)
    extract = read_csv(tmp_path, "pid\n1\n2\n", [CONTRACTS[0], optional])
    assert extract.frame["steps"].isna().all()
    assert extract.frame["steps"].dtype == np.float64
    assert "steps" in extract.warnings[0]


# Faults ------------------------------------------------------------------------------------------------------------


def test_all_faults_of_a_file_come_together(tmp_path):
    rows = [
        "s1,0,never,1,3,23.5,2018-03-24",
        "s1,7,SECRET,2,35,fat,31.02.2018",
        ",0,never,1,2.5,inf,tomorrow",
    ]
    faults = csv_faults(tmp_path, HEADER.replace("Sex", "sex") + "\n".join(rows), CONTRACTS).splitlines()
    assert faults == [
        "x.csv: 1 column is missing: Sex (did you mean sex?); "
        "add what is missing, or correct the names in the study declaration.",
        "x.csv: Column pid holds 1 missing id, in row 3; every row needs an id.",
        "x.csv: Column pid holds 2 rows whose id another row has too, in rows 1 and 2; keep one row a participant.",
        "x.csv: Column smoke holds 1 value outside the declared categories never, former, current, in row 2; "
        "declare the category or leave the cell empty.",
        "x.csv: Column ill holds 1 value other than 0 and 1 (2), in row 2; "
        "recode it to 0 and 1 or declare its code as missing.",
        "x.csv: Column hads holds 1 value that is not a whole number, in row 3; export unrounded codes.",
        "x.csv: Column hads holds 1 value outside 0 to 21 (35), in row 2; "
        "correct it at the source or declare its code as missing.",
        "x.csv: Column bmi holds 1 text where a number belongs, in row 2; write plain numbers or leave the cell empty.",
        "x.csv: Column bmi holds 1 infinite value, in row 3; correct it at the source or leave the cell empty.",
        "x.csv: Column met holds 2 values that are not dates, in rows 2 and 3; "
        "write dates as 2018-03-24 or 24.03.2018.",
    ]


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_unknown_code_reads_alike_in_each_format(tmp_path, suffix):
    frame = table()
    frame.loc[[3, 7], "hads"] = 35.0
    assert faults_of(write(frame, tmp_path / f"x.{suffix}")).endswith(
        "Column hads holds 2 values outside 0 to 21 (35), in rows 4 and 8; "
        "correct it at the source or declare its code as missing."
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "x.csv is empty (0 bytes)"),
        (HEADER, "no rows below the header"),
        (HEADER + ROW + "2,0,never,1\n", "1 row does not have the 7 fields of the header (row 2, read as comma"),
        (HEADER + ROW + "2,0,never,1,3,23,5,2018-03-24\n", "1 row does not have the 7 fields of the header (row 2"),
        (HEADER + ROW.strip() + ",\n", "1 row does not have the 7 fields of the header (row 1"),
        (HEADER.replace("ill", "Sex") + ROW, "more than one column has the name Sex"),
        (HEADER + ROW + '2,0,"never,1,3,23.5,2018-03-24\n', "x.csv"),
        (HEADER + ROW + "\0\n", "not plain text"),
        ("<!DOCTYPE html><html>", "looks like a web page"),
    ],
)
def test_broken_text_files(tmp_path, text, sentence):
    assert sentence in csv_faults(tmp_path, text)


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("x.dta", HEADER.encode(), "looks like comma-separated text; rename it to .csv or export it again"),
        ("x.sav", b"pid;Sex\n1;0\n", "looks like semicolon-separated text"),
        ("x.parquet", b"pid\tSex\n1\t0\n", "looks like tab-separated text; rename it to .tsv"),
        ("x.dta", b"$FL2\0\0", "looks like an SPSS file; rename it to .sav"),
        ("x.csv", b"PAR1\x15\0", "looks like a Parquet file"),
        ("x.csv", b"\x1f\x8b\x08", "looks like a gzip-compressed file; rename it to .csv.gz"),
        ("x.csv", b"PK\x03\x04", "an Excel workbook; export it again as .csv"),
        ("x.sav", b"ENCRYPTEDSAV\x00", "is encrypted"),
        ("x.csv", b"\xff\xfep\0i\0d\0", "looks like UTF-16 text"),
        ("x.csv.gz", gzip.compress(HEADER.encode(), mtime=0)[:-9], "truncated or damaged gzip"),
        ("x.dta", b"\x00\x01\x02\x03", "is not a Stata file"),
        ("x.dta", b"\x6f\x02\x01\x00", "Stata format walkrisk does not read"),
        ("x.dta", b"", "is empty (0 bytes)"),
    ],
)
def test_files_that_are_not_what_their_name_says(tmp_path, name, data, sentence):
    (tmp_path / name).write_bytes(data)
    assert sentence in faults_of(tmp_path / name)


def test_what_is_no_file_of_a_known_kind_is_a_usage_fault(tmp_path):
    (tmp_path / "x.xlsx").write_bytes(b"PK")
    (tmp_path / "x.RDS").write_bytes(b"X")
    (tmp_path / "x.dta").mkdir()
    os.mkfifo(tmp_path / "x.sav")
    for name, sentence in (
        ("none.dta", "no file none.dta"),
        ("x.dta", "is a folder"),
        ("x.sav", "not a regular file"),
        ("x.xlsx", "it reads .dta, .sav, .parquet, .csv, .tsv, .csv.gz"),
        ("x.RDS", r"write\.csv\("),
    ):
        with pytest.raises(UsageFault, match=sentence):
            read_extract(tmp_path / name, CONTRACTS)


@pytest.mark.parametrize("suffix", ["dta", "sav", "csv", "csv.gz", "parquet"])
def test_damaged_files_give_a_fault_or_a_frame_and_nothing_else(tmp_path, suffix):
    path = write(table(60), tmp_path / f"x.{suffix}")
    data = path.read_bytes()
    rng = np.random.default_rng(20_260)
    outcomes = {"frame": 0, "fault": 0}
    for turn in range(120):
        bytes_now = bytearray(data)
        if turn % 3 == 0:
            bytes_now = bytes_now[: rng.integers(1, len(data))]
        else:
            limit = len(data) if turn % 3 == 1 else min(len(data), 600)
            for at in rng.integers(0, limit, rng.integers(1, 6)):
                bytes_now[at] = rng.integers(0, 256)
        path.write_bytes(bytes_now)
        try:
            extract = read_extract(path, CONTRACTS)
        except DataFault:
            outcomes["fault"] += 1
        else:
            outcomes["frame"] += 1
            assert [str(name) for name in extract.frame.columns] == [c.name for c in CONTRACTS]
            assert all(extract.frame[c.name].dtype == np.float64 for c in CONTRACTS[1:])
    assert outcomes["fault"] > 0
