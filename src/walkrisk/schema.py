"""Column contracts: what a column of a participants' file must be, written once and used everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ColumnKind = Literal["id", "code", "category", "boolean", "integer", "number", "date"]
COLUMN_KINDS: tuple[ColumnKind, ...] = ("id", "code", "category", "boolean", "integer", "number", "date")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnContract:
    """What one column of a source file must hold.

    In memory every kind but `id` is a float64 array, missing as NaN:

    - `code`: whole numbers out of `codes`; `category`: texts out of `categories`, held as 1, 2, ... in that order;
    - `boolean`: 0 or 1 (also written true/false); `integer`, `number`: inside [minimum, maximum];
    - `date`: days since 1970-01-01.

    `id` stays as it comes (text or whole number), must be known and, if `unique`, not repeated, and is never shown.
    `missing_codes` are numbers that mean "missing" in this column. `required` columns must be in the file. `source` is
    what the file calls the column, where that is another name.
    """

    name: str
    kind: ColumnKind
    codes: tuple[int, ...] = ()
    categories: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    missing_codes: tuple[float, ...] = ()
    unit: str = ""
    meaning: str = ""
    labels: Mapping[int, str] = field(default_factory=dict)
    required: bool = True
    unique: bool = True
    source: str | None = None

    @property
    def in_file(self) -> str:
        """What the file calls the column."""
        return self.name if self.source is None else self.source
