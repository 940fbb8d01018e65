"""Recordings kept as tables: csv and parquet with a time column and three accelerations in g."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow
import pyarrow.parquet

from walkrisk.errors import RecordingFault
from walkrisk.recordings.recording import ArraySource, AxesArray, Blocks, FloatArray, Quality, segments_of

SITES = ("thigh", "back")
_AXES = ("x", "y", "z")
_TIMES = ("datetime", "timestamp", "time")
_ROWS_AT_ONCE = 1_000_000
_UNITS = ((1e11, "s"), (1e14, "ms"), (1e17, "us"))  # the size of an epoch number tells its unit, from 1973 to 5138
_MOST_G = 4.0  # median size of the acceleration above which the unit cannot be g
_WIDEST_G = 100.0
_FAR_NS = 31 * 86400e9
Times = npt.NDArray[np.datetime64]


def open_csv(path: Path, *, site: str | None = None) -> ArraySource:
    """Read a csv recording whole.

    Columns `datetime` (or `timestamp`, `time`), `acc_x`, `acc_y`, `acc_z`; or `thigh_x` ... and `back_x` ..., of which
    `site` chooses. Times are ISO text or numbers since 1970 (s, ms, us or ns by their size) on the device's clock; a
    zone written behind a time is dropped. Raises RecordingFault.
    """
    try:
        names = [str(name) for name in pd.read_csv(path, nrows=0).columns]
        time, axes, found = _columns(names, site)
        parts = [
            (_instants(part[time]), part[axes].apply(pd.to_numeric, errors="coerce").to_numpy(np.float32).T)
            for part in pd.read_csv(path, usecols=[time, *axes], chunksize=_ROWS_AT_ONCE, low_memory=True)
        ]
    except (ValueError, UnicodeError, OverflowError) as error:
        raise RecordingFault(f"The csv file is not a table that can be read ({type(error).__name__}).") from None
    return _source(parts, site=found)


def open_parquet(path: Path, *, site: str | None = None) -> ArraySource:
    """Read a parquet recording whole; columns as in `open_csv`, times also as timestamps. Raises RecordingFault."""
    try:
        file = pyarrow.parquet.ParquetFile(path, page_checksum_verification=True)
        time, axes, found = _columns(file.schema_arrow.names, site)
        parts = []
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=[time, *axes]):
            part = batch.to_pandas(ignore_metadata=True)
            parts.append(
                (_instants(part[time]), part[axes].apply(pd.to_numeric, errors="coerce").to_numpy(np.float32).T)
            )
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, OverflowError) as error:
        raise RecordingFault(
            f"The parquet file is damaged or no table that can be read ({type(error).__name__})."
        ) from None
    return _source(parts, site=found)


def _columns(names: Sequence[str], site: str | None) -> tuple[str, list[str], str]:
    """(time column, three axes, site the columns belong to)."""
    if site not in (None, *SITES):
        raise RecordingFault(f"The site is {' or '.join(SITES)}, not `{site}`.")
    by_name = {name.strip().lower(): name for name in reversed(names)}
    time = next((by_name[name] for name in _TIMES if name in by_name), None)
    if time is None:
        raise RecordingFault(f"The table has no time column: name it {', '.join(_TIMES[:-1])} or {_TIMES[-1]}.")
    wanted = {prefix: [f"{prefix}_{axis}" for axis in _AXES] for prefix in ("acc", *SITES)}
    there = {prefix: [by_name[n] for n in axes] for prefix, axes in wanted.items() if all(n in by_name for n in axes)}
    if site in there:
        return time, there[site], site
    if "acc" in there:
        return time, there["acc"], ""
    if not there:
        raise RecordingFault(
            "The table has no accelerations: name them acc_x, acc_y, acc_z (in g), or thigh_x, back_x, ..."
        )
    if site is not None:
        raise RecordingFault(f"The table has no columns {site}_x, {site}_y, {site}_z.")
    if len(there) > 1:
        raise RecordingFault("The table holds thigh and back: say which of them to read (site).")
    only = next(iter(there))
    return time, there[only], only


def _instants(column: pd.Series[Any]) -> Times:
    """datetime64[ns] of timestamps, ISO text or numbers since 1970; NaT where there is none."""
    if pd.api.types.is_numeric_dtype(column):
        return _from_numbers(column.to_numpy(np.float64), column)
    if not pd.api.types.is_datetime64_any_dtype(column):
        column = pd.to_datetime(
            column.astype(str).str.replace(_ZONE, "", regex=True), format="ISO8601", errors="coerce"
        )
    if not pd.api.types.is_datetime64_any_dtype(column):
        raise ValueError("times of several zones")
    if getattr(column.dtype, "tz", None) is not None:
        column = column.dt.tz_localize(None)
    return column.to_numpy("datetime64[ns]")


_ZONE = r"(?<=\d)\s*(?:Z|[+-]\d\d:?\d\d)$"


def _from_numbers(values: FloatArray, column: pd.Series[Any]) -> Times:
    size = np.nanmedian(np.abs(values)) if np.isfinite(values).any() else 0.0
    unit = next((name for limit, name in _UNITS if size < limit), "ns")
    if pd.api.types.is_integer_dtype(column) and not column.isna().any():
        return column.to_numpy(np.int64).astype(f"datetime64[{unit}]").astype("datetime64[ns]")
    scale = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}[unit]
    whole = np.floor(values)
    sound = np.isfinite(values) & (np.abs(values) * scale < 9.2e18)
    out = np.full(len(values), np.datetime64("NaT"), "datetime64[ns]")
    nanoseconds = whole[sound].astype(np.int64) * int(scale) + np.rint((values - whole)[sound] * scale).astype(np.int64)
    out[sound] = nanoseconds.astype("datetime64[ns]")
    return out


def _source(parts: list[tuple[Times, AxesArray]], *, site: str) -> ArraySource:
    if not parts or not any(len(times) for times, _ in parts):
        raise RecordingFault("The table has no rows.")
    times = np.concatenate([part for part, _ in parts])
    axes = np.concatenate([part for _, part in parts], axis=1)
    usable = ~np.isnat(times) & np.isfinite(axes).all(axis=0)
    counts = {"samples_in_file": len(times), "unreadable": int((~usable).sum())}
    if not usable.any():
        raise RecordingFault("No row of the table holds both a time and three accelerations.")
    times, axes = times[usable], np.ascontiguousarray(axes[:, usable])
    counts["out_of_order"] = int((times[1:] < times[:-1]).sum())
    if counts["out_of_order"]:
        order = np.argsort(times, kind="stable")
        times, axes = times[order], np.ascontiguousarray(axes[:, order])
    first = np.concatenate(([True], times[1:] > times[:-1]))
    counts["duplicated"] = int((~first).sum())
    times, axes = times[first], axes if first.all() else np.ascontiguousarray(axes[:, first])
    group = _of_one_clock(times)
    counts["other_clock"] = len(times) - (group.stop - group.start)
    return _checked(times[group], np.ascontiguousarray(axes[:, group]), counts, site)


def _of_one_clock(times: Times) -> slice:
    """The most rows of (n,) sorted times with no pause of a month between them."""
    pause = np.diff(times.astype(np.int64).astype(np.float64)) > _FAR_NS
    edges = np.concatenate(([0], np.flatnonzero(pause) + 1, [len(times)]))
    most = int(np.argmax(np.diff(edges)))
    return slice(int(edges[most]), int(edges[most + 1]))


def _checked(times: Times, axes: AxesArray, counts: dict[str, int], site: str) -> ArraySource:
    if len(times) < 2:
        raise RecordingFault("The table holds fewer than two samples at different times.")
    size = float(np.median(np.sqrt(np.square(axes[:, :: max(1, len(times) // 100_000)]).sum(axis=0))))
    if size > _MOST_G or float(np.abs(axes).max()) > _WIDEST_G:
        raise RecordingFault(
            "The accelerations are too large to be in g: convert them (1 g = 9.80665 m/s2) and repeat."
        )
    origin = times[0].astype("datetime64[D]").astype("datetime64[ns]")
    time_s = (times - origin).astype(np.int64) / 1e9
    rate = _nominal_rate(time_s)
    segments = segments_of(time_s, rate_hz=rate, gap_s=max(0.5, 1.5 / rate))
    counts |= {"samples": len(times), "gaps": len(segments) - 1}
    return ArraySource(
        origin=origin,
        rate_hz=rate,
        time_s=time_s,
        axes_g=axes,
        segments=segments,
        blocks=Blocks(*(np.empty(0) for _ in range(4))),
        site=site,
        quality=Quality(counts=counts, sentences=_sentences(counts)),
    )


def _nominal_rate(time_s: FloatArray) -> float:
    """The whole number of samples a second nearest the usual step, where one is within 2 %; else as measured."""
    step = np.diff(time_s)
    near = step[step < 2.0 * np.median(step)]
    measured = 1.0 / float(near.mean())
    whole = round(measured)
    return float(whole) if whole and abs(measured / whole - 1.0) < 0.02 else measured


def _sentences(counts: dict[str, int]) -> tuple[str, ...]:
    texts = {
        "unreadable": "{n} rows lack a time or an acceleration; they are not used.",
        "out_of_order": "Time runs backwards at {n} rows; the table was sorted by time.",
        "other_clock": "{n} rows are more than a month from the rest, under a clock not set; they are not used.",
        "duplicated": "{n} rows repeat a time; the first of each is used.",
    }
    return tuple(text.format(n=f"{counts[name]:,}") for name, text in texts.items() if counts[name])
