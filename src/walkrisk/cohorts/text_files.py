"""Delimited text (.csv, .csv.gz, .tsv): delimiter, encoding and decimal sign found, then the wanted columns read."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from walkrisk.cohorts.checks import row_list
from walkrisk.cohorts.columns import MISSING_TEXTS, RawColumn, RawTable, as_texts
from walkrisk.errors import DataFault
from walkrisk.schema import ColumnContract

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
# From pandas 3.1 on the default parser is exact and the argument is deprecated.
_PANDAS = tuple(int(part) for part in pd.__version__.split(".")[:2])
_EXACT_FLOATS: dict[str, Any] = {} if _PANDAS >= (3, 1) else {"float_precision": "round_trip"}
_NUMBER_KINDS = ("code", "boolean", "integer", "number")
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+(?:[eE][+-]?\d+)?\s*", re.ASCII)


def read_text(data: bytes, name: str, contracts: Sequence[ColumnContract]) -> RawTable:
    """Read the columns of `contracts` from delimited text; the delimiter is the commonest one of the header.

    Ragged rows are faults of the table returned; DataFault when it cannot be read as a table at all.
    """
    warnings: list[str] = []
    text = _as_utf8(data, name, warnings)
    header, _, body = text.lstrip(b"\n").partition(b"\n")
    body = body.rstrip(b"\n \x1a")
    first_line = header.decode()
    delimiter = max(_DELIMITERS, key=_outside_quotes(first_line).count)
    try:
        names = tuple(cell.strip() for cell in next(csv.reader([first_line], delimiter=delimiter), []))
        counts = _field_counts(body, delimiter)
    except csv.Error:
        raise DataFault(f"{name} cannot be read as {_DELIMITERS[delimiter]}-separated text; export it again.") from None
    ragged = np.flatnonzero(counts != len(names))
    if ragged.size:
        return RawTable(names, counts.size, {}, (_ragged_sentence(name, ragged, len(names), delimiter),))
    if not counts.size:
        return RawTable(names, 0, {})
    columns, commas = _read_columns(body, name, names, delimiter, contracts)
    if any(len(column.values) != counts.size for column in columns.values()):
        raise DataFault(f"{name} does not give one row a line: a quoted text is not closed; export it again.")
    if commas:
        warnings.append(f"{name} was read as {_DELIMITERS[delimiter]}-separated text with decimal commas.")
    return RawTable(names, counts.size, columns, warnings=tuple(warnings))


def _as_utf8(data: bytes, name: str, warnings: list[str]) -> bytes:
    """UTF-8 with `\\n` line ends and without byte order mark; Latin-1 is converted, with a warning."""
    if b"\0" in data:
        raise DataFault(f"{name} holds zero bytes and is not plain text; export it again as UTF-8 text.")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            data = data.decode("latin-1").encode("utf-8")
            warnings.append(f"{name} is not UTF-8 and was read as Latin-1; check that names and texts came through.")
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


def _outside_quotes(line: str) -> str:
    return re.sub(r'"[^"]*"', "", line)


def _field_counts(body: bytes, delimiter: str) -> np.ndarray:
    """Number of fields of every row that is not blank."""
    if not body:
        return np.zeros(0, dtype=np.int64)
    if b'"' in body:
        rows = csv.reader(io.StringIO(body.decode(), newline=""), delimiter=delimiter)
        return np.array([len(row) for row in rows if row], dtype=np.int64)
    codes = np.frombuffer(body, dtype=np.uint8)
    ends = np.append(np.flatnonzero(codes == ord("\n")), codes.size)
    before = np.searchsorted(np.flatnonzero(codes == ord(delimiter)), ends)
    fields = np.diff(before, prepend=0) + 1
    return np.asarray(fields[np.diff(ends, prepend=-1) > 1])


def _ragged_sentence(name: str, ragged: np.ndarray, n_names: int, delimiter: str) -> str:
    what = "1 row does" if ragged.size == 1 else f"{ragged.size:,} rows do"
    return (
        f"{name}: {what} not have the {n_names:,} fields of the header ({row_list(ragged)}, read as "
        f"{_DELIMITERS[delimiter]}-separated); put texts that hold the separator in quotes and export it again."
    )


def _read_columns(
    body: bytes, name: str, names: Sequence[str], delimiter: str, contracts: Sequence[ColumnContract]
) -> tuple[dict[str, RawColumn], bool]:
    """The wanted columns, and whether numbers are written with decimal commas."""
    places = {contract.name: names.index(contract.name) for contract in contracts if contract.name in names}
    if not places:
        return {}, False
    as_numbers = [places[c.name] for c in contracts if c.name in places and c.kind in _NUMBER_KINDS]
    frame = _parse(body, name, len(names), delimiter, places.values(), as_numbers, ".")
    commas = delimiter != "," and any(_has_decimal_commas(frame[str(place)]) for place in as_numbers)
    if commas:
        frame = _parse(body, name, len(names), delimiter, places.values(), as_numbers, ",")
    decimal = "," if commas else "."
    return {column: _raw(frame[str(place)], place in as_numbers, decimal) for column, place in places.items()}, commas


def _parse(
    body: bytes, name: str, n_names: int, delimiter: str, wanted: Iterable[int], as_numbers: Sequence[int], decimal: str
) -> pd.DataFrame:
    labels = [str(place) for place in range(n_names)]
    numeric = {str(place) for place in as_numbers}
    usecols = [str(place) for place in sorted(set(wanted))]
    try:
        frame: pd.DataFrame = pd.read_csv(
            io.BytesIO(body),
            sep=delimiter,
            decimal=decimal,
            header=None,
            names=labels,
            usecols=usecols,
            index_col=False,
            dtype={label: str for label in usecols if label not in numeric},
            keep_default_na=False,
            na_values={label: sorted(MISSING_TEXTS) for label in numeric},
            low_memory=False,
            **_EXACT_FLOATS,
        )
    except (ValueError, OverflowError):  # parser errors are ValueErrors; their texts may quote the data
        raise DataFault(f"{name} cannot be read as {_DELIMITERS[delimiter]}-separated text; export it again.") from None
    return frame


def _has_decimal_commas(column: pd.Series) -> bool:
    if column.dtype.kind in "fiub":
        return False
    return any(isinstance(text, str) and _DECIMAL_COMMA.fullmatch(text) for text in column.unique().tolist())


def _raw(column: pd.Series, number: bool, decimal: str) -> RawColumn:
    if number and column.dtype.kind in "fiu":
        return RawColumn(column.to_numpy(dtype=np.float64), "numbers")
    return RawColumn(as_texts(column.to_numpy(dtype=object)), "text", decimal=decimal)
