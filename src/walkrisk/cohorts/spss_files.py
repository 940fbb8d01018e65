"""SPSS .sav files: pyreadstat reads them once their dictionary is known to be whole, as it trusts the counts in it."""

from __future__ import annotations

import re
import struct
import warnings
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
_ENCODING = 20  # subtype of an extension record
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
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*is duplicated")
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
    cursor = Cursor(mapped(path), position=64)
    cursor.order = "<" if struct.unpack("<i", cursor.take(4))[0] in (2, 3) else ">"
    cursor.position = 80
    announced = cursor.number("i")
    cursor.position = 0
    cursor.skip(_HEADER_BYTES)
    widths: list[int] = []
    labelled_texts: list[bytes] = []
    encoding = "cp1252"
    while (record := cursor.number("i")) != _END:
        if record == _VARIABLE:
            widths.append(_skip_variable(cursor))
        elif record == _LABELS:
            labelled_texts += _skip_labels(cursor, widths)
        elif record == _DOCUMENTS:
            cursor.skip(80 * cursor.number("i"))
        elif record == _EXTENSION:
            subtype, size, count = cursor.number("i"), cursor.number("i"), cursor.number("i")
            content = cursor.take(size * count)
            encoding = content.decode("ascii") if subtype == _ENCODING else encoding
        else:
            raise Damaged
    _check_widths(widths)
    for text in labelled_texts:
        text.decode(encoding)  # the library does not survive a labelled text that is not in the file's encoding
    return announced


def _skip_variable(cursor: Cursor) -> int:
    """Skip a variable record; its width: 0 for numbers, bytes of a text, -1 for more room of the text before."""
    width, has_label, n_missing = cursor.number("i"), cursor.number("i"), cursor.number("i")
    cursor.skip(4 + 4 + 8)
    if not -1 <= width <= 255 or has_label not in (0, 1) or abs(n_missing) > 3:
        raise Damaged
    if has_label:
        length = cursor.number("i")
        cursor.skip(length + -length % 4)
    cursor.skip(8 * abs(n_missing))
    return width


def _check_widths(widths: Sequence[int]) -> None:
    """A text takes one record for each 8 bytes, all but the first of width -1."""
    room = 0
    for width in widths:
        if (width == -1) != (room > 0):
            raise Damaged
        room = room - 1 if width == -1 else max(0, (width + 7) // 8 - 1)
    if room:
        raise Damaged


def _skip_labels(cursor: Cursor, widths: Sequence[int]) -> list[bytes]:
    """Skip value labels and the record of the variables they are for; the texts labelled, if those are texts."""
    values = []
    for _ in range(cursor.number("i")):
        values.append(cursor.take(8))
        length = cursor.number("B")
        cursor.skip(length + -(length + 1) % 8)
    if cursor.number("i") != _LABELLED:
        raise Damaged
    places = [cursor.number("i") for _ in range(cursor.number("i"))]
    if any(not 1 <= place <= len(widths) or not 0 <= widths[place - 1] <= 8 for place in places):
        raise Damaged
    are_texts = {widths[place - 1] > 0 for place in places}
    if len(are_texts) > 1:
        raise Damaged
    return values if True in are_texts else []


def _column(column: pd.Series, meta: Any, contract: ColumnContract) -> RawColumn:
    if column.dtype.kind not in "fiu":
        return RawColumn(as_texts(column.to_numpy(dtype=object)), "text")
    values = column.to_numpy(dtype=np.float64)
    if _DATES.match(meta.original_variable_types[contract.name]):
        return RawColumn(np.floor(values / _DAY_S) - _DAYS_1582_TO_1970, "dates")
    labels = meta.variable_value_labels.get(contract.name, {}) if contract.kind == "category" else {}
    return RawColumn(values, "numbers", {float(code): str(text) for code, text in labels.items()})
