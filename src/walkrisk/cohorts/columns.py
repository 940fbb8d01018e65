"""From a column as a file holds it to its in-memory form: numbers, days since 1970-01-01, category numbers, ids."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import pandas as pd

from walkrisk.cohorts.checks import Finding
from walkrisk.schema import ColumnContract

MISSING_TEXTS = frozenset(
    ["", ".", "NA", "N/A", "<NA>", "NaN", "nan", "NaT", "NULL", "#NULL!", "None"]
    + [f".{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf(?:inity)?", re.IGNORECASE | re.ASCII)
_WHOLE = re.compile(r"0|-?[1-9]\d{0,17}", re.ASCII)
_TIME = r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
_ISO = re.compile(rf"(\d{{4}})-(\d{{2}})-(\d{{2}}){_TIME}", re.ASCII)
_DOTTED = re.compile(rf"(\d{{1,2}})\.(\d{{1,2}})\.(\d{{4}}){_TIME}", re.ASCII)
_STATA_DAY = re.compile(rf"(\d{{1,2}})([a-z]{{3}})(\d{{4}}){_TIME}", re.ASCII | re.IGNORECASE)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class RawColumn:
    """A column as a file holds it, (n,).

    `numbers`: float64 with NaN or int64; `dates`: float64 days since 1970-01-01; `text`: object, None for missing.
    `labels` are the texts of labelled numbers, `decimal` the sign that texts write decimals with.
    """

    values: np.ndarray
    holds: Literal["numbers", "dates", "text"]
    labels: Mapping[float, str] | None = None
    decimal: str = "."


@dataclass(frozen=True, slots=True)
class RawTable:
    """What a file of one format gave: all its column names, its rows, the wanted columns, sentences."""

    names: tuple[str, ...]
    n_rows: int
    columns: Mapping[str, RawColumn]
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def to_contract_form(raw: RawColumn, contract: ColumnContract) -> tuple[np.ndarray, list[Finding]]:
    """Bring a column into the form its contract asks for; values that cannot be become missing and a finding.

    Texts that mean missing everywhere: empty, `.`, `.a` to `.z`, NA, N/A, NaN, NaT, NULL, None. Text is read as
    numbers where numbers belong, `true`/`false` as 1/0 in a boolean column. Ids that are all whole numbers
    become int64, others text; dates with a time of day lose the time.
    """
    if contract.kind == "id":
        return _ids(raw, contract.name)
    if contract.kind == "date":
        values, bad, kind = _days(raw)
    elif contract.kind == "category":
        values, bad, kind = _category_numbers(raw, contract)
    else:
        values, bad, kind = _numbers(raw, contract)
    listed = ", ".join(contract.categories[:12]) + (" and more" if len(contract.categories) > 12 else "")
    wanted = listed if kind == "category" else ""
    return values, [Finding(kind, contract.name, np.flatnonzero(bad), (), wanted)] if bad.any() else []


def as_texts(values: np.ndarray) -> np.ndarray:
    """Object array of stripped texts, None where there is nothing."""
    out = np.empty(len(values), dtype=object)
    out[:] = [None if value is None or value != value else str(value).strip() for value in values.tolist()]
    return out


def number_from_text(text: str, decimal: str = ".") -> float | None:
    """The number a text writes, NaN for a text that means missing, None for any other text."""
    if text in MISSING_TEXTS:
        return np.nan
    if decimal == ",":
        text = text.replace(".", "?").replace(",", ".")
    return float(text) if _NUMBER.fullmatch(text) else None


def day_from_text(text: str) -> float | None:
    """Days since 1970-01-01 of 2018-03-24, 24.03.2018 or 24mar2018 (a time of day is dropped), as above."""
    if text in MISSING_TEXTS:
        return np.nan
    if match := _ISO.fullmatch(text):
        year, month, day = (int(part) for part in match.groups())
    elif match := _DOTTED.fullmatch(text):
        day, month, year = (int(part) for part in match.groups())
    elif (match := _STATA_DAY.fullmatch(text)) and match[2].lower() in _MONTHS:
        day, month, year = int(match[1]), _MONTHS.index(match[2].lower()) + 1, int(match[3])
    else:
        return None
    try:
        return float(date(year, month, day).toordinal() - _EPOCH_ORDINAL)
    except ValueError:
        return None


def _each_distinct(texts: np.ndarray, convert: Callable[[str], float | None]) -> tuple[np.ndarray, np.ndarray]:
    """Convert every distinct text once; values (n,) with NaN, and where it could not be done."""
    positions, distinct = pd.factorize(texts)
    converted = [convert(text) for text in distinct]
    values = np.array([np.nan if value is None else value for value in converted] + [np.nan], dtype=np.float64)
    bad = np.array([value is None for value in converted] + [False], dtype=bool)
    return values[positions], bad[positions]


def _nowhere(values: np.ndarray) -> np.ndarray:
    return np.zeros(len(values), dtype=bool)


def _numbers(raw: RawColumn, contract: ColumnContract) -> tuple[np.ndarray, np.ndarray, str]:
    if raw.holds == "dates":
        return np.full(len(raw.values), np.nan), ~np.isnan(raw.values), "date_for_number"
    if raw.holds == "text":
        truths = {"true": 1.0, "false": 0.0} if contract.kind == "boolean" else {}

        def convert(text: str) -> float | None:
            return truths.get(text.lower(), number_from_text(text, raw.decimal))

        values, bad = _each_distinct(raw.values, convert)
    else:
        values, bad = raw.values.astype(np.float64), _nowhere(raw.values)
    return _without_missing_codes(values, contract), bad, "text"


def _without_missing_codes(values: np.ndarray, contract: ColumnContract) -> np.ndarray:
    if not contract.missing_codes:
        return values
    return np.where(np.isin(values, contract.missing_codes), np.nan, values)


def _days(raw: RawColumn) -> tuple[np.ndarray, np.ndarray, str]:
    if raw.holds == "text":
        return *_each_distinct(raw.values, day_from_text), "date"
    if raw.holds == "dates":
        return raw.values, _nowhere(raw.values), "date"
    numbers = raw.values.astype(np.float64)
    return np.full(len(numbers), np.nan), ~np.isnan(numbers), "number_for_date"


def _category_numbers(raw: RawColumn, contract: ColumnContract) -> tuple[np.ndarray, np.ndarray, str]:
    places = {text.strip(): float(place) for place, text in enumerate(contract.categories, start=1)}
    if raw.holds == "dates":
        return np.full(len(raw.values), np.nan), ~np.isnan(raw.values), "category"
    texts = raw.values
    if raw.holds == "numbers":
        numbers = _without_missing_codes(raw.values.astype(np.float64), contract)
        labels = raw.labels or {}
        positions, distinct = pd.factorize(numbers)
        named = [labels.get(value, f"{value:.15g}").strip() for value in distinct.tolist()]
        texts = np.array([*named, None], dtype=object)[positions]
    missing_codes = frozenset(contract.missing_codes)

    def convert(text: str) -> float | None:
        if text in places:
            return places[text]
        return np.nan if text in MISSING_TEXTS or number_from_text(text) in missing_codes else None

    return *_each_distinct(texts, convert), "category"


def _ids(raw: RawColumn, column: str) -> tuple[np.ndarray, list[Finding]]:
    if raw.holds == "text":
        known = [None if text is None or text in MISSING_TEXTS else text for text in raw.values.tolist()]
        if all(text is not None and _WHOLE.fullmatch(text) for text in known):
            return np.array([int(text) for text in known if text is not None], dtype=np.int64), []
        texts = np.empty(len(known), dtype=object)
        texts[:] = known
        return texts, []
    if raw.values.dtype.kind in "iu":
        return raw.values.astype(np.int64), []
    missing = np.isnan(raw.values)
    bad = ~missing & ((np.abs(raw.values) > 2.0**53) | (raw.values != np.rint(raw.values)) | (raw.holds == "dates"))
    if not (bad | missing).any():
        return raw.values.astype(np.int64), []
    ids = raw.values.astype(object)
    ids[missing] = None
    return ids, [Finding("id_kind", column, np.flatnonzero(bad))] if bad.any() else []
