"""SPSS .sav files: pyreadstat reads them once their dictionary is known to be whole, as it trusts the counts in it."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from walkrisk.cohorts.binary import Cursor, Damaged, mapped
from walkrisk.cohorts.columns import RawColumn, RawTable, as_texts
from walkrisk.errors import DataFault
from walkrisk.schema import ColumnContract

_VARIABLE, _LABELS, _LABELLED, _DOCUMENTS, _EXTENSION, _END = 2, 3, 4, 6, 7, 999
_HEADER_BYTES = 176
_DATES = re.compile(r"[AEJS]?DATE|YMDHMS|MOYR|QYR|WKYR")
_DAYS_1582_TO_1970 = 141_428
_DAY_S = 86_400.0


def read_spss(path: Path, contracts: Sequence[ColumnContract]) -> RawTable:
    """Read the columns of `contracts` from a .sav file, user-missing values missing; DataFault when it is damaged."""
    import pyreadstat

    try:
        announced = _rows_of_sound_dictionary(path)
        _, meta = pyreadstat.read_sav(path, metadataonly=True)
        names = tuple(meta.column_names)
        if not names or None in names:
            raise Damaged
        wanted = [contract for contract in contracts if contract.name in names]
        usecols = [contract.name for contract in wanted] or list(names[:1])
        frame, meta = pyreadstat.read_sav(path, usecols=usecols, disable_datetime_conversion=True)
        if announced not in (-1, len(frame)):
            raise Damaged
        columns = {contract.name: _column(frame[contract.name], meta, contract) for contract in wanted}
    except Exception:  # whatever the library raises may quote the data
        sentence = f"{path.name} is truncated or damaged: it does not hold what its header announces; export it again."
        raise DataFault(sentence) from None
    return RawTable(names, len(frame), columns)


def _rows_of_sound_dictionary(path: Path) -> int:
    """Walk through the dictionary; the number of rows its header announces, -1 if it does not."""
    buffer = mapped(path)
    cursor = Cursor(buffer, position=64)
    cursor.order = "<" if struct.unpack("<i", cursor.take(4))[0] in (2, 3) else ">"
    cursor.position = 80
    announced = cursor.number("i")
    cursor.position = 0
    cursor.skip(_HEADER_BYTES)
    segments = pending = 0
    while (record := cursor.number("i")) != _END:
        if record == _VARIABLE:
            segments += 1
            pending = _skip_variable(cursor, pending)
        elif record == _LABELS:
            _skip_labels(cursor, segments)
        elif record == _DOCUMENTS:
            cursor.skip(80 * cursor.number("i"))
        elif record == _EXTENSION:
            cursor.skip(4)
            cursor.skip(cursor.number("i") * cursor.number("i"))
        else:
            raise Damaged
    if pending:
        raise Damaged
    return announced


def _skip_variable(cursor: Cursor, pending: int) -> int:
    """Skip a variable record; how many continuation records of 8 bytes a text variable still needs."""
    width, has_label, n_missing = cursor.number("i"), cursor.number("i"), cursor.number("i")
    cursor.skip(4 + 4 + 8)
    if not -1 <= width <= 255 or (width == -1) != (pending > 0) or has_label not in (0, 1) or abs(n_missing) > 3:
        raise Damaged
    if has_label:
        length = cursor.number("i")
        cursor.skip(length + -length % 4)
    cursor.skip(8 * abs(n_missing))
    return pending - 1 if width == -1 else max(0, (width + 7) // 8 - 1)


def _skip_labels(cursor: Cursor, segments: int) -> None:
    """Skip a record of value labels and the record that says which variables they are for."""
    for _ in range(cursor.number("i")):
        cursor.skip(8)
        length = cursor.number("B")
        cursor.skip(length + -(length + 1) % 8)
    if cursor.number("i") != _LABELLED:
        raise Damaged
    for _ in range(cursor.number("i")):
        if not 1 <= cursor.number("i") <= segments:
            raise Damaged


def _column(column: pd.Series, meta: Any, contract: ColumnContract) -> RawColumn:
    if column.dtype.kind not in "fiu":
        return RawColumn(as_texts(column.to_numpy(dtype=object)), "text")
    values = column.to_numpy(dtype=np.float64)
    if _DATES.match(meta.original_variable_types[contract.name]):
        return RawColumn(np.floor(values / _DAY_S) - _DAYS_1582_TO_1970, "dates")
    labels = meta.variable_value_labels.get(contract.name, {}) if contract.kind == "category" else {}
    return RawColumn(values, "numbers", {float(code): str(text) for code, text in labels.items()})
