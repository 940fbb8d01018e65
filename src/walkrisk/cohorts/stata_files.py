"""Stata .dta files, formats 113-115 and 117-119 (Stata 8 and later): the wanted columns straight from the bytes.

Every section's tag and length is verified, so that a truncated file cannot pass for a shorter one.
Layout: StataCorp, `help dta`. Extended missing values (.a to .z) are missing.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from walkrisk.cohorts.binary import Cursor, Damaged, mapped, text_of
from walkrisk.cohorts.columns import RawColumn, RawTable, as_texts
from walkrisk.errors import DataFault
from walkrisk.schema import ColumnContract

_NEW_TYPES = {32768: "strL", 65526: "f8", 65527: "f4", 65528: "i4", 65529: "i2", 65530: "i1"}
_OLD_TYPES = {255: "f8", 254: "f4", 253: "i4", 252: "i2", 251: "i1"}
_LARGEST_VALUE = {
    "f8": struct.unpack(">d", bytes.fromhex("7fdfffffffffffff"))[0],
    "f4": struct.unpack(">f", bytes.fromhex("7effffff"))[0],
    "i4": 2_147_483_620,
    "i2": 32_740,
    "i1": 100,
}
_DAYS_1960_TO_1970 = 3_653
_LAST_TAGS = b"</value_labels></stata_dta>"
_DAY_MS = 86_400_000.0


@dataclass(frozen=True, slots=True)
class _Layout:
    order: str
    encoding: str
    name_width: int
    n_rows: int
    names: tuple[str, ...]
    types: tuple[str, ...]
    formats: tuple[str, ...]
    label_names: tuple[str, ...]
    offsets: tuple[int, ...]
    data_start: int
    tagged: bool

    def data_end(self) -> int:
        return self.data_start + self.n_rows * self.offsets[-1]


def read_stata(path: Path, contracts: Sequence[ColumnContract]) -> RawTable:
    """Read the columns of `contracts` from a .dta file; DataFault when it is truncated, damaged or too old."""
    buffer = mapped(path)
    if 104 < buffer[0] < 113 or re.match(rb"<stata_dta><header><release>1[2-9]", buffer):
        raise DataFault(f"{path.name} has a Stata format walkrisk does not read; save it with `saveold` as version 14.")
    try:
        layout = _tagged_layout(buffer) if buffer[:1] == b"<" else _old_layout(buffer)
        columns = {c.name: _column(buffer, layout, path, c) for c in contracts if c.name in layout.names}
    except (Damaged, struct.error, ValueError, OverflowError, MemoryError):
        sentence = f"{path.name} is truncated or damaged: it does not hold what its header announces; export it again."
        raise DataFault(sentence) from None
    return RawTable(layout.names, layout.n_rows, columns)


def _tagged_layout(buffer: mmap.mmap) -> _Layout:
    cursor = Cursor(buffer)
    cursor.expect(b"<stata_dta><header><release>")
    release = int(cursor.take(3))
    cursor.expect(b"</release><byteorder>")
    cursor.order = {b"LSF": "<", b"MSF": ">"}.get(cursor.take(3), "")
    if release not in (117, 118, 119) or not cursor.order:
        raise Damaged
    wide = release > 117
    cursor.expect(b"</byteorder><K>")
    n_columns = cursor.number("I" if release == 119 else "H")
    cursor.expect(b"</K><N>")
    n_rows = cursor.number("Q" if wide else "I")
    cursor.expect(b"</N><label>")
    cursor.skip(cursor.number("H" if wide else "B"))
    cursor.expect(b"</label><timestamp>")
    cursor.skip(cursor.number("B"))
    cursor.expect(b"</timestamp></header><map>")
    cursor.skip(14 * 8)
    cursor.expect(b"</map>")
    layout = _tagged_columns(cursor, n_columns, n_rows, wide, 4 if release == 119 else 2)
    cursor.skip(layout.data_end() - layout.data_start)
    cursor.expect(b"</data><strls>")
    if n_columns == 0 or not buffer[-64:].rstrip().endswith(_LAST_TAGS):
        raise Damaged
    return layout


def _tagged_columns(cursor: Cursor, n_columns: int, n_rows: int, wide: bool, sort_width: int) -> _Layout:
    name_width, format_width, label_width = (129, 57, 321) if wide else (33, 49, 81)
    encoding = "utf-8" if wide else "cp1252"
    cursor.expect(b"<variable_types>")
    codes = struct.unpack(f"{cursor.order}{n_columns}H", cursor.take(2 * n_columns))
    cursor.expect(b"</variable_types><varnames>")
    names = cursor.texts(n_columns, name_width, encoding)
    cursor.expect(b"</varnames><sortlist>")
    cursor.skip((n_columns + 1) * sort_width)
    cursor.expect(b"</sortlist><formats>")
    formats = cursor.texts(n_columns, format_width, encoding)
    cursor.expect(b"</formats><value_label_names>")
    label_names = cursor.texts(n_columns, name_width, encoding)
    cursor.expect(b"</value_label_names><variable_labels>")
    cursor.skip(n_columns * label_width)
    cursor.expect(b"</variable_labels><characteristics>")
    while (tag := cursor.take(4)) == b"<ch>":
        cursor.skip(cursor.number("I"))
        cursor.expect(b"</ch>")
    cursor.position -= len(tag)
    cursor.expect(b"</characteristics><data>")
    types = tuple(_type(code, _NEW_TYPES, 2_045) for code in codes)
    return _Layout(
        order=cursor.order,
        encoding=encoding,
        name_width=name_width,
        n_rows=n_rows,
        names=names,
        types=types,
        formats=formats,
        label_names=label_names,
        offsets=_offsets(types),
        data_start=cursor.position,
        tagged=True,
    )


def _old_layout(buffer: mmap.mmap) -> _Layout:
    cursor = Cursor(buffer)
    release, order = cursor.take(2)
    if release not in (113, 114, 115) or order not in (1, 2):
        raise Damaged
    cursor.order = ">" if order == 1 else "<"
    cursor.skip(2)
    n_columns, n_rows = cursor.number("h"), cursor.number("i")
    if n_columns <= 0 or n_rows < 0:
        raise Damaged
    cursor.skip(81 + 18)
    types = tuple(_type(code, _OLD_TYPES, 244) for code in cursor.take(n_columns))
    names = cursor.texts(n_columns, 33, "cp1252")
    cursor.skip(2 * (n_columns + 1))
    formats = cursor.texts(n_columns, 12 if release == 113 else 49, "cp1252")
    label_names = cursor.texts(n_columns, 33, "cp1252")
    cursor.skip(81 * n_columns)
    while (kind := cursor.number("b")) | (length := cursor.number("i")):
        if kind == 0:
            raise Damaged
        cursor.skip(length)
    layout = _Layout(
        order=cursor.order,
        encoding="cp1252",
        name_width=33,
        n_rows=n_rows,
        names=names,
        types=types,
        formats=formats,
        label_names=label_names,
        offsets=_offsets(types),
        data_start=cursor.position,
        tagged=False,
    )
    cursor.skip(layout.data_end() - layout.data_start)
    while cursor.position + 4 <= len(buffer):
        cursor.skip(cursor.number("i") + 36)
    return layout


def _type(code: int, numeric: Mapping[int, str], longest: int) -> str:
    if code not in numeric and not 1 <= code <= longest:
        raise Damaged
    return numeric.get(code, f"S{code}")


def _offsets(types: Sequence[str]) -> tuple[int, ...]:
    """Where each column starts in a row, and the length of a row."""
    widths = [8 if kind == "strL" else np.dtype(kind).itemsize for kind in types]
    return (0, *np.cumsum(widths, dtype=np.int64).tolist())


def _column(buffer: mmap.mmap, layout: _Layout, path: Path, contract: ColumnContract) -> RawColumn:
    place = layout.names.index(contract.name)
    kind = layout.types[place]
    if kind == "strL":
        return _long_texts(path, contract.name)
    stored = np.ndarray(
        (layout.n_rows,),
        dtype=np.dtype(kind).newbyteorder(layout.order),  # type: ignore[arg-type]
        buffer=buffer,
        offset=layout.data_start + layout.offsets[place],
        strides=(layout.offsets[-1],),
    )
    if kind.startswith("S"):
        return RawColumn(
            as_texts(np.array([text_of(v, layout.encoding) for v in stored.tolist()], dtype=object)), "text"
        )
    values = stored.astype(np.float64)
    values[values > _LARGEST_VALUE[kind]] = np.nan
    shape = re.match(r"%-?(?:t([a-zA-Z])|d)", layout.formats[place])
    if shape and shape[1] in (None, "d"):
        return RawColumn(np.floor(values) - _DAYS_1960_TO_1970, "dates")
    if shape and shape[1] in ("c", "C"):
        return RawColumn(np.floor(values / _DAY_MS) - _DAYS_1960_TO_1970, "dates")
    labels = _labels(buffer, layout, place) if contract.kind == "category" else None
    return RawColumn(values, "numbers", labels)


def _long_texts(path: Path, name: str) -> RawColumn:
    import pandas as pd

    try:
        frame = pd.read_stata(path, columns=[name], convert_dates=False, convert_categoricals=False)
    except Exception:
        raise Damaged from None
    return RawColumn(as_texts(frame[name].to_numpy(dtype=object)), "text")


def _labels(buffer: mmap.mmap, layout: _Layout, place: int) -> dict[float, str]:
    """The label texts of a column's codes, out of the value-label tables behind the data."""
    wanted = layout.label_names[place]
    cursor = Cursor(buffer, layout.order, layout.data_end())
    if layout.tagged:
        tag = b"</strls><value_labels>"
        cursor.position = buffer.find(tag, cursor.position) + len(tag)
    while wanted and cursor.position < len(buffer) and (not layout.tagged or cursor.take(5) == b"<lbl>"):
        end = cursor.number("i") + layout.name_width + 3 + cursor.position
        name = text_of(cursor.take(layout.name_width), layout.encoding)
        cursor.skip(3)
        if name == wanted:
            return _label_table(cursor, layout.encoding)
        cursor.skip(end - cursor.position)
        if layout.tagged:
            cursor.expect(b"</lbl>")
    return {}


def _label_table(cursor: Cursor, encoding: str) -> dict[float, str]:
    n, length = cursor.number("i"), cursor.number("i")
    if n < 0:
        raise Damaged
    starts = struct.unpack(f"{cursor.order}{n}i", cursor.take(4 * n))
    codes = struct.unpack(f"{cursor.order}{n}i", cursor.take(4 * n))
    texts = cursor.take(length)
    return {float(code): text_of(texts[start:], encoding) for code, start in zip(codes, starts, strict=True)}
