"""Reading participants' files: .dta, .sav, .csv, .csv.gz, .tsv and .parquet give the same frame, or every fault."""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from walkrisk.cohorts.checks import (
    Finding,
    find_column_faults,
    finding_sentences,
    missing_columns_sentence,
    name_list,
)
from walkrisk.cohorts.columns import RawColumn, RawTable, as_texts, to_contract_form
from walkrisk.cohorts.days import DayTable
from walkrisk.cohorts.spss_files import read_spss
from walkrisk.cohorts.stata_files import read_stata
from walkrisk.cohorts.text_files import read_text
from walkrisk.errors import DataFault, UsageFault
from walkrisk.schema import ColumnContract, ColumnKind

_SUFFIXES = {
    ".dta": "Stata",
    ".sav": "SPSS",
    ".parquet": "Parquet",
    ".csv": "text",
    ".tsv": "text",
    ".csv.gz": "gzip",
}
_ENCRYPTED = "an encrypted file"
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (rb"<stata_dta>|[\x66-\x73][\x01\x02]\x01\x00", "Stata"),
    (rb"\$FL[23]", "SPSS"),
    (rb"ENCRYPTEDSAV|PARE", _ENCRYPTED),
    (rb"PAR1", "Parquet"),
    (rb"\x1f\x8b", "gzip"),
    (rb"PK\x03\x04", "a zip archive or an Excel workbook"),
    (rb"\xd0\xcf\x11\xe0", "an older Office file or a file under password"),
    (rb"%PDF", "a PDF"),
    (rb"\s*<(?:!DOCTYPE|\?xml|html)", "a web page or XML"),
    (rb"HEADER RECORD\*{7}|\x00{12}\xc2\xea\x81", "a SAS file"),
    (rb"\xff\xfe|\xfe\xff", "UTF-16 text"),
)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_KNOWN_AS = {
    "Stata": ("a Stata file", ".dta"),
    "SPSS": ("an SPSS file", ".sav"),
    "Parquet": ("a Parquet file", ".parquet"),
    "gzip": ("a gzip-compressed file", ".csv.gz"),
}
_INSTEAD = {
    ".rds": 'Write it from R with write.csv(data, "data.csv", row.names = FALSE).',
    ".rdata": 'Write it from R with write.csv(data, "data.csv", row.names = FALSE).',
    ".xlsx": "Save the sheet as .csv.",
    ".xls": "Save the sheet as .csv.",
    ".sas7bdat": "Write it from SAS with proc export as .csv or .dta.",
}
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Extract:
    """A participants' file as read: `frame` has one column a contract, in their order and in-memory form.

    `name` is the file's name without its folder, `sha256` of its bytes, `warnings` sentences. `days` are those of the
    same people where a study reads them from a table of their own.
    """

    frame: pd.DataFrame
    name: str
    sha256: str
    warnings: tuple[str, ...]
    n_columns_in_file: int
    days: DayTable | None = None


def read_extract(path: Path, contracts: Sequence[ColumnContract]) -> Extract:
    """Read the columns of `contracts` from a participants' file and check them.

    Columns of the frame have the contracts' names; sentences call them what the file does.
    The same data give the same frame from each format. Labels of labelled numbers are used for `category` columns
    only; missing values of Stata (., .a to .z) and user-missing values of SPSS are missing. An absent column that
    is not required is all missing, with a warning.

    Raises UsageFault when there is no such file or its suffix is unknown, DataFault with all faults otherwise.
    """
    contracts, names = [replace(c, name=c.in_file) for c in contracts], [c.name for c in contracts]
    table = _read_table(path, _sound_suffix(path), contracts)
    faults = [*table.faults, *_name_faults(table, contracts)]
    warnings = [*table.warnings, *_name_warnings(table, contracts)]
    if table.n_rows == 0:
        faults.append("there are no rows below the header; export the file again.")
    arrays, findings = _convert(table, contracts)
    faults += finding_sentences(findings)
    if faults:
        raise DataFault([fault if fault.startswith(path.name) else f"{path.name}: {fault}" for fault in faults])
    read = ((name, arrays[c.name]) for name, c in zip(names, contracts, strict=True))
    frame = pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in read}, copy=False)
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return Extract(frame, path.name, sha256, tuple(warnings), len(table.names))


def read_columns(path: Path) -> RawTable:
    """Every column of a participants' file as it stands there, labelled numbers with their labels.

    Columns whose name stands more than once are left out. Raises UsageFault and DataFault as `read_extract`.
    """
    suffix = _sound_suffix(path)
    names = Counter(_read_table(path, suffix, ()).names)
    wanted = [name for name, count in names.items() if count == 1]
    # text is read as numbers where it can be; in the other formats the kind only says that labels are wanted
    kind: ColumnKind = "number" if _SUFFIXES[suffix] in ("text", "gzip") else "category"
    table = _read_table(path, suffix, [ColumnContract(name=name, kind=kind) for name in wanted])
    if table.faults:
        raise DataFault(fault if fault.startswith(path.name) else f"{path.name}: {fault}" for fault in table.faults)
    return table


def _sound_suffix(path: Path) -> str:
    """The suffix of a file that can be opened and whose first bytes agree with it."""
    suffix = _suffix(path)
    _check_content(path.name, suffix, _first_bytes(path))
    return suffix


def _suffix(path: Path) -> str:
    name = path.name.lower()
    suffix = ".csv.gz" if name.endswith(".csv.gz") else Path(name).suffix
    if not path.exists():
        raise UsageFault(f"There is no file {path.name} in the folder given; check the path.")
    if path.is_dir():
        raise UsageFault(f"{path.name} is a folder; give the file in it.")
    if not path.is_file():
        raise UsageFault(f"{path.name} is not a regular file; give a file.")
    if suffix not in _SUFFIXES:
        known = ", ".join(_SUFFIXES)
        said = f"{path.name} has a suffix walkrisk does not read; it reads {known}. {_INSTEAD.get(suffix, '')}"
        raise UsageFault(said.rstrip())
    return suffix


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(4096)
    except OSError:
        raise UsageFault(f"{path.name} cannot be opened; check that you may read it.") from None


def _check_content(name: str, suffix: str, start: bytes) -> None:
    if not start:
        raise DataFault(f"{name} is empty (0 bytes); export or copy it again.")
    found = next((what for magic, what in _MAGIC if re.match(magic, start)), None)
    if found in (*_KNOWN_AS, _ENCRYPTED) and not _CONTROL.search(start):
        found = None  # text whose first column happens to be called PAR1 or PARENT
    wanted = _SUFFIXES[suffix]
    if found == wanted or (found is None and wanted == "text"):
        return
    if found in _KNOWN_AS:
        what, right_suffix = _KNOWN_AS[found]
        raise DataFault(f"{name} looks like {what}; rename it to {right_suffix} or export it again.")
    if found == _ENCRYPTED:
        raise DataFault(f"{name} is encrypted; save it without a password.")
    if found is not None:
        raise DataFault(f"{name} looks like {found}; export it again as {suffix}.")
    if separated := _separated_text(start):
        right = ".tsv" if separated == "tab" else ".csv"
        raise DataFault(f"{name} looks like {separated}-separated text; rename it to {right} or export it again.")
    raise DataFault(f"{name} is not {_KNOWN_AS[wanted][0]}, or its first bytes are damaged; export it again.")


def _separated_text(start: bytes) -> str | None:
    line = start.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0]
    if _CONTROL.search(start):
        return None
    counts = {"comma": line.count(b","), "semicolon": line.count(b";"), "tab": line.count(b"\t")}
    commonest = max(counts, key=lambda delimiter: counts[delimiter])
    return commonest if counts[commonest] else None


def _read_table(path: Path, suffix: str, contracts: Sequence[ColumnContract]) -> RawTable:
    if suffix == ".dta":
        return read_stata(path, contracts)
    if suffix == ".sav":
        return read_spss(path, contracts)
    if suffix == ".parquet":
        return _read_parquet(path, contracts)
    data = path.read_bytes()
    if suffix == ".csv.gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            raise DataFault(f"{path.name} is a truncated or damaged gzip file; compress or copy it again.") from None
        if not data:
            raise DataFault(f"{path.name} is empty inside; export it again.")
    return read_text(data, path.name, contracts)


def _name_faults(table: RawTable, contracts: Sequence[ColumnContract]) -> list[str]:
    absent = [c.name for c in contracts if c.name not in table.names and (c.required or c.kind == "id")]
    faults = [missing_columns_sentence(absent, table.names)] if absent else []
    twice = [c.name for c in contracts if Counter(table.names)[c.name] > 1]
    if twice:
        columns = ", ".join(twice)
        faults.append(f"more than one column has the name {columns}; rename or remove all but one of each.")
    return faults


def _name_warnings(table: RawTable, contracts: Sequence[ColumnContract]) -> list[str]:
    absent = [c.name for c in contracts if c.name not in table.names and not c.required and c.kind != "id"]
    return [f"{name_list(absent)}: not in the file, treated as missing for everybody."] if absent else []


def _convert(table: RawTable, contracts: Sequence[ColumnContract]) -> tuple[dict[str, np.ndarray], list[Finding]]:
    arrays: dict[str, np.ndarray] = {}
    findings: list[Finding] = []
    for contract in contracts:
        if contract.name in table.columns:
            values, unconverted = to_contract_form(table.columns[contract.name], contract)
            findings += unconverted + find_column_faults(values, contract)
        else:
            values = np.full(table.n_rows if not table.faults else 0, np.nan)
        arrays[contract.name] = values
    return arrays, findings


def _read_parquet(path: Path, contracts: Sequence[ColumnContract]) -> RawTable:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = tuple(file.schema_arrow.names)
            wanted = list(dict.fromkeys(c.name for c in contracts if names.count(c.name) == 1))
            table = file.read(columns=wanted, use_threads=False)
            n_rows = int(file.metadata.num_rows)
        columns = {name: _arrow_column(table.column(name)) for name in wanted}
    except Exception:  # whatever the library raises may quote the data
        raise DataFault(f"{path.name} is truncated or damaged and cannot be read; export it again.") from None
    if any(len(column.values) != n_rows for column in columns.values()):
        raise DataFault(f"{path.name} is damaged: columns and header disagree on the rows; export it again.")
    return RawTable(names, n_rows, columns)


def _arrow_column(column: Any) -> RawColumn:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        column = pc.local_timestamp(column)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        days = column.cast(pa.timestamp("s"), safe=False).cast(pa.int64()).to_numpy()
        return RawColumn(np.floor(days / _DAY_S), "dates")
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif pa.types.is_decimal(kind) or pa.types.is_null(kind):
        column = column.cast(pa.float64())
    if pa.types.is_integer(column.type) and column.null_count == 0:
        return RawColumn(column.to_numpy().astype(np.int64), "numbers")
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return RawColumn(column.to_numpy().astype(np.float64), "numbers")
    return RawColumn(as_texts(np.array([*column.to_pylist(), None], dtype=object)[:-1]), "text")
