"""Recordings kept as csv and parquet tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from walkrisk.errors import RecordingFault
from walkrisk.recordings.opening import open_recording, read_recording
from walkrisk.recordings.recording import Samples, Source

G = np.random.default_rng(0).normal(0, 0.5, (250, 3)).astype(np.float32)
TIME = pd.date_range("2019-01-12 23:59:58.500", periods=250, freq="20ms")
PUBLIC = [f"{site}_{axis}" for site in ("back", "thigh") for axis in "xyz"]


def frame(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"datetime": TIME, "acc_x": G[:, 0], "acc_y": G[:, 1], "acc_z": G[:, 2]}).assign(**columns)


def public() -> pd.DataFrame:
    """The layout of the public HARTH and HAR70+ csv files."""
    back = -G
    return pd.DataFrame(
        {"timestamp": TIME.astype(str), **dict(zip(PUBLIC, np.hstack((back, G)).T, strict=True)), "label": 6}
    )


def everything(source: Source) -> Samples:
    return source.samples(-np.inf, np.inf)


def held(source: Source, g: np.ndarray = G) -> None:
    found = everything(source)
    np.testing.assert_allclose(found.axes_g, g.T, rtol=1e-6)
    assert source.origin == np.datetime64("2019-01-12")
    np.testing.assert_allclose(found.time_s, 86398.5 + 0.02 * np.arange(250), atol=1e-6)
    assert source.rate_hz == 50
    np.testing.assert_allclose(source.segments, [[86398.5, 86398.5 + 5.0]], atol=1e-6)


def epoch(unit: str) -> np.ndarray:
    return TIME.to_numpy().astype(f"datetime64[{unit}]").astype(np.int64)


@pytest.mark.parametrize(
    "times",
    [
        TIME,
        TIME.astype(str),
        TIME.strftime("%Y-%m-%dT%H:%M:%S.%f"),
        TIME.strftime("%Y-%m-%d %H:%M:%S.%f") + "+01:00",
        TIME.strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z",
        epoch("ms"),
        epoch("us"),
        epoch("ns"),
        epoch("ms") / 1000.0,
        epoch("us") / 1000.0,
    ],
    ids=["timestamps", "text", "ISO", "zone", "Z", "ms", "us", "ns", "s", "float ms"],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_times_in_every_spelling(tmp_path: Path, kind: str, times: object) -> None:
    path = tmp_path / f"a.{kind}"
    table = frame(datetime=times)
    table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path, index=False)
    held(open_recording(path))


def test_parquet_times_with_a_zone_are_taken_as_that_zones_clock(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    frame(datetime=TIME.tz_localize("Europe/Oslo")).to_parquet(path)
    held(open_recording(path))


def test_site_chooses_the_columns_of_the_public_layout(tmp_path: Path) -> None:
    path = tmp_path / "S006.csv"
    public().to_csv(path, index=False)
    held(open_recording(path, site="thigh"))
    held(open_recording(path, site="back"), -G)
    assert open_recording(path, site="back").site == "back"
    with pytest.raises(RecordingFault, match="thigh and back"):
        open_recording(path)
    with pytest.raises(RecordingFault, match="wrist"):
        open_recording(path, site="wrist")


def test_one_sensor_of_the_public_layout_needs_no_choice(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    public().drop(columns=PUBLIC[:3]).to_csv(path, index=False)
    held(open_recording(path))
    assert open_recording(path).site == "thigh"
    with pytest.raises(RecordingFault, match="back_x"):
        open_recording(path, site="back")


def test_spare_columns_and_spelling_of_names_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    table = frame().rename(columns={"datetime": " Timestamp", "acc_x": "ACC_X"})
    table.insert(0, "index", range(250))
    table.to_csv(path)
    held(open_recording(path))


def test_rows_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    table = frame().astype({"datetime": str, "acc_y": object})
    table.loc[3, "acc_x"] = np.nan
    table.loc[4, "acc_y"] = "-"
    table.loc[5, "datetime"] = "yesterday"
    table.loc[6, "acc_z"] = np.inf
    path = tmp_path / "a.csv"
    table.to_csv(path, index=False)
    source = open_recording(path)
    np.testing.assert_allclose(everything(source).axes_g, np.delete(G, [3, 4, 5, 6], axis=0).T, rtol=1e-6)
    assert source.quality.counts["unreadable"] == 4
    assert any("4 rows" in sentence for sentence in source.quality.sentences)


def test_rows_out_of_order_and_twice_are_put_right_and_said(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pd.concat([frame().iloc[100:], frame().iloc[:100], frame().iloc[7:9]])
    table.to_parquet(path)
    source = open_recording(path)
    held(source)
    assert (source.quality.counts["out_of_order"], source.quality.counts["duplicated"]) == (2, 2)
    assert len(source.quality.sentences) == 2


def test_a_pause_parts_segments(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    late = np.where(np.arange(250) < 100, 0, 3600)
    frame(datetime=TIME + pd.to_timedelta(late, unit="s")).to_parquet(path)
    source = open_recording(path)
    np.testing.assert_allclose(source.segments, [[86398.5, 86400.5], [90000.5, 90003.5]], atol=1e-6)
    assert source.quality.counts["gaps"] == 1


def test_rows_of_a_clock_not_set_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    times = TIME.to_numpy().copy()
    times[:3], times[-2:] = np.datetime64("1700-01-01"), np.datetime64("2200-01-01")
    frame(datetime=times + np.arange(250)).to_parquet(path)
    source = open_recording(path)
    assert everything(source).time_s.size == 245
    assert (source.quality.counts["other_clock"], len(source.segments)) == (5, 1)


def test_a_rate_that_is_no_whole_number_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    frame(datetime=pd.date_range("2019-01-12", periods=250, freq="80ms")).to_parquet(path)
    assert open_recording(path).rate_hz == pytest.approx(12.5)


@pytest.mark.parametrize("factor", [9.80665, 1000.0])
def test_another_unit_than_g_is_refused(tmp_path: Path, factor: float) -> None:
    path = tmp_path / "a.csv"
    still = G * 0.01 + np.array([1, 0, 0], np.float32)
    frame(**{f"acc_{axis}": still[:, k] * factor for k, axis in enumerate("xyz")}).to_csv(path, index=False)
    with pytest.raises(RecordingFault, match="in g"):
        open_recording(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\n\n", "table"),
        (b"a,b\n1,2\n", "time column"),
        (b"datetime,a\n2019-01-01,2\n", "accelerations"),
        (b"datetime,acc_x,acc_y,acc_z\n", "no rows"),
        (b"datetime,acc_x,acc_y,acc_z\n2019-01-01,1,0,0\n", "fewer than two"),
        (b"datetime,acc_x,acc_y,acc_z\nx,1,0,0\ny,1,0,0\n", "No row"),
        (b'datetime,acc_x,acc_y,acc_z\n"2019-01-01,1,0,0\n', "."),
        (b"datetime,acc_x,acc_y,acc_z\n2019-01-01,1,0,0,4,5,6\n1,2\n", "."),
        (b"datetime,acc_x,acc_y,acc_z\n\xff\xfe,1,0,0\n", "table"),
        (b"1e300,acc_x,acc_y,acc_z\n1e300,1,0,0\n", "time column"),
        (b"datetime,acc_x,acc_y,acc_z\n1e300,1,0,0\n-1e300,1,0,0\n", "No row"),
    ],
)
def test_a_csv_without_a_recording_is_a_fault(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(RecordingFault, match=says):
        open_recording(path)


def test_a_damaged_parquet_file_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    frame().to_parquet(path)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for k in range(60):
        damaged = bytearray(content)
        if k % 2:
            damaged[int(rng.integers(4, len(content)))] ^= 1 << int(rng.integers(8))
        else:
            del damaged[int(rng.integers(4, len(content))) :]
        path.write_bytes(damaged)
        try:
            found = everything(open_recording(path))
        except RecordingFault:
            continue
        assert np.isfinite(found.axes_g).all()
        assert (np.diff(found.time_s) > 0).all()


def test_the_shared_copies_of_harth_are_read(shared: Path) -> None:
    path = shared / "data" / "harth" / "thigh" / "S009.parquet"
    if not path.is_file():
        pytest.skip("../shared/data/harth is not here")
    recording = read_recording(path, site="thigh")
    assert (recording.rate_hz, recording.site, len(recording.time)) == (50, "thigh", 154464)
    assert np.isnan(recording.temperature_c).all()
    table = pd.read_parquet(path)
    np.testing.assert_array_equal(recording.acceleration_g[:, 2], table["acc_z"])
    np.testing.assert_array_equal(recording.time, table["datetime"].to_numpy())
