"""A simulated extract as a file (.parquet, .csv, .dta, .sav), the truth beside it; same draw, same bytes."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from walkrisk.errors import UsageFault
from walkrisk.simulation.extract import SimulatedExtract

_WRITTEN = dt.datetime(2025, 1, 1)  # the date inside .dta and .sav, fixed so that the same draw is the same file
_SAV_DATE_AT = 92  # a .sav header: creation date (9 bytes) and time (8 bytes)


def write_extract(extract: SimulatedExtract, path: Path) -> None:
    """Write an extract in the format of its suffix, and its truth as `.truth.json` beside it.

    Both are written under another name and then renamed, so that a file is complete or not there. Labels go into
    .dta and .sav. Raises UsageFault for another suffix or a folder that is not there.
    """
    path = Path(path)
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise UsageFault(f"{path.name}: must end in one of {', '.join(_WRITERS)}.")
    if not path.parent.is_dir():
        raise UsageFault(f"{path.parent}: is not a folder; make it first.")
    truth = json.dumps(extract.truth, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    targets = (path, path.with_suffix(".truth.json"))
    partials = [target.with_name(f".partial-{os.getpid()}-{target.name}") for target in targets]
    try:
        writer(extract, partials[0])
        partials[1].write_text(truth, encoding="utf-8", newline="\n")
        for partial, target in zip(partials, targets, strict=True):
            os.replace(partial, target)
    finally:
        for partial in partials:
            partial.unlink(missing_ok=True)


def _parquet(extract: SimulatedExtract, path: Path) -> None:
    extract.frame.to_parquet(path, engine="pyarrow", index=False, compression="zstd")


def _csv(extract: SimulatedExtract, path: Path) -> None:
    extract.frame.to_csv(path, index=False, date_format="%Y-%m-%d", lineterminator="\n", encoding="utf-8")


def _dta(extract: SimulatedExtract, path: Path) -> None:
    dates = {name: "td" for name, x in extract.frame.items() if isinstance(x.dtype, np.dtype) and x.dtype.kind == "M"}
    extract.frame.to_stata(
        path,
        write_index=False,
        version=118,
        time_stamp=_WRITTEN,
        data_label=f"Simulated: {extract.title}"[:80],
        convert_dates=dates,  # type: ignore[arg-type]
        variable_labels={name: label for name, label in extract.labels.items() if label},
        value_labels=_plain_labels(extract),
    )


def _plain_labels(extract: SimulatedExtract) -> dict[Any, dict[Any, str]]:
    return {name: {float(code): text for code, text in labels.items()} for name, labels in extract.value_labels.items()}


def _sav(extract: SimulatedExtract, path: Path) -> None:
    import pyreadstat  # slow to import, and needed for this format only

    plain: dict[str, Any] = {}
    formats: dict[str, str] = {}
    for name, x in extract.frame.items():
        key = str(name)
        if isinstance(x.dtype, np.dtype) and x.dtype.kind == "M":
            plain[key] = [None if pd.isna(day) else day.date() for day in x]
        else:
            plain[key] = x.to_numpy(dtype=np.float64, na_value=np.nan)
            if isinstance(x.dtype, pd.api.extensions.ExtensionDtype):
                formats[key] = "F8.0"
    pyreadstat.write_sav(
        pd.DataFrame(plain),
        str(path),
        file_label=f"Simulated: {extract.title}"[:64],
        column_labels={name: label for name, label in extract.labels.items() if label},
        variable_value_labels=_plain_labels(extract),
        variable_format=formats,
    )
    with path.open("r+b") as file:
        file.seek(_SAV_DATE_AT)
        file.write(f"{_WRITTEN:%d %b %y}{_WRITTEN:%H:%M:%S}".encode("ascii"))


_WRITERS: Mapping[str, Callable[[SimulatedExtract, Path], Any]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".dta": _dta,
    ".sav": _sav,
}
