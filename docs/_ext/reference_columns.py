"""Column contracts of what is read, and the columns of every file that is written, from the code that holds them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from reference_markdown import code, codes, docstring, sentence, table

from walkrisk.comparisons.comparing import ComparedEstimate
from walkrisk.days.contract import DAY_COLUMNS
from walkrisk.epochs.epoch_table import EPOCH_COLUMNS
from walkrisk.estimates.results import ROW_TYPES
from walkrisk.estimates.withheld import REASONS, Withheld
from walkrisk.schema import COLUMN_KINDS, ColumnContract
from walkrisk.sensors.quality import QualityRow, SensorQuality

KINDS = {
    "id": "text or whole number, known for everyone and not repeated; never shown",
    "code": "whole numbers, out of `codes`",
    "category": "texts, out of `categories`; held as 1, 2, ... in that order",
    "boolean": "0 or 1, also written true and false",
    "integer": "whole numbers from `minimum` to `maximum`",
    "number": "numbers from `minimum` to `maximum`",
    "date": "calendar dates; held as days since 1970-01-01",
}


def source_columns() -> str:
    """The kinds of columns of a participants' file."""
    return table(("kind", "holds"), ((code(kind), KINDS[kind]) for kind in COLUMN_KINDS))


def days_columns() -> str:
    """The columns of days.parquet."""
    return _contract(DAY_COLUMNS)


def epoch_columns() -> str:
    """The columns of epochs/PARTICIPANT.parquet."""
    return _contract(EPOCH_COLUMNS)


def _contract(columns: Iterable[ColumnContract]) -> str:
    rows = []
    for c in columns:
        meaning = sentence(c.meaning) + (f" One of {codes(c.categories)}." if c.categories else "")
        rows.append((code(c.name), c.kind, c.unit, _range(c), meaning + ("" if c.required else " Not always there.")))
    return table(("column", "kind", "unit", "range", "meaning"), rows)


def _range(c: ColumnContract) -> str:
    if c.minimum is None and c.maximum is None:
        return ""
    low, high = (("" if v is None else f"{v:,.0f}") for v in (c.minimum, c.maximum))
    return f"{low} to {high}" if high else f"{low} or more"


FILES: dict[str, type] = {**ROW_TYPES, "disclosure": Withheld}  # every csv of a run


def output_columns() -> str:
    """Every csv that a run writes."""
    parts = []
    for kind, row_type in FILES.items():
        parts += [f"(file-{kind})=\n## `{kind}.csv`\n", docstring(_own_docstring(row_type)), "", _rows(row_type)]
    return "\n".join(parts)


def disclosure_reasons() -> str:
    """Why a cell is withheld."""
    return table(("reason", "meaning"), ((code(word), sentence(words)) for word, words in REASONS.items()))


def comparison_columns() -> str:
    """The columns of comparison.csv."""
    return f"{docstring(_own_docstring(ComparedEstimate))}\n\n{_rows(ComparedEstimate)}"


def quality_columns() -> str:
    """The columns of quality.csv: of a participant, then those of each sensor."""
    own = _rows(QualityRow, leave_out=("thigh", "back"))
    return f"{own}\nOf each sensor, with `thigh_` and `back_` before the name:\n\n{_rows(SensorQuality)}"


def _own_docstring(row_type: type) -> str:
    lines = (row_type.__doc__ or "").strip().splitlines()
    return "\n".join(line.strip() for line in lines)


def _rows(row_type: type, leave_out: tuple[str, ...] = ()) -> str:
    hints = get_type_hints(row_type, include_extras=True)
    rows = []
    for field in dataclasses.fields(row_type):
        if field.name not in leave_out:
            kind, meaning = meaning_of(hints[field.name])
            rows.append((code(field.name), kind, sentence(meaning)))
    return table(("column", "kind", "meaning"), rows)


def meaning_of(hint: Any) -> tuple[str, str]:
    """The kind of an annotated column in words, and what it means (empty where nothing says)."""
    meaning = ""
    if get_origin(hint) is Annotated:
        hint, meaning = get_args(hint)[:2]
    optional = get_origin(hint) is not None and type(None) in get_args(hint)
    inner = next((a for a in get_args(hint) if a is not type(None)), hint) if optional else hint
    words = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    kind = words.get(inner, "text")
    return (f"{kind}, or empty" if optional else kind), meaning
