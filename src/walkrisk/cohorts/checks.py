"""Checks of columns and of daily seconds: every break of a contract becomes one sentence with a way out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd

from walkrisk.schema import ColumnContract

DAY_S = 86_400.0
LONGEST_DAY_S = 90_000.0
_TOLERANCE_S = 0.5
_ROWS_NAMED = 5
_COLUMNS_NAMED = 5
_CODES_NAMED = 10
_LARGEST_CODE_NAMED = 9_999
_TOGETHER_ABOVE = 3

# kind of finding -> what is wrong with (singular, plural) values, and the way out
_PHRASES: dict[str, tuple[str, str, str]] = {
    "text": (
        "text where a number belongs",
        "texts where numbers belong",
        "write plain numbers or leave the cell empty",
    ),
    "date": ("value that is not a date", "values that are not dates", "write dates as 2018-03-24 or 24.03.2018"),
    "number_for_date": (
        "number without a day format",
        "numbers without a day format",
        "give the column a date format before the export, or write dates as 2018-03-24",
    ),
    "date_for_number": ("date where a number belongs", "dates where numbers belong", "export the column as numbers"),
    "infinite": ("infinite value", "infinite values", "correct it at the source or leave the cell empty"),
    "fraction": ("value that is not a whole number", "values that are not whole numbers", "export unrounded codes"),
    "range": (
        "value {wanted}",
        "values {wanted}",
        "correct it at the source or declare its code as missing",
    ),
    "codes": (
        "value outside the declared codes {wanted}",
        "values outside the declared codes {wanted}",
        "declare the code, declare it as missing, or correct the file",
    ),
    "boolean": (
        "value other than 0 and 1",
        "values other than 0 and 1",
        "recode it to 0 and 1 or declare its code as missing",
    ),
    "category": (
        "value outside the declared categories {wanted}",
        "values outside the declared categories {wanted}",
        "declare the category or leave the cell empty",
    ),
    "id_missing": ("missing id", "missing ids", "every row needs an id"),
    "id_duplicate": (
        "row whose id another row has too",
        "rows whose id another row has too",
        "keep one row a participant",
    ),
    "id_kind": (
        "id that is neither text nor a whole number",
        "ids that are neither text nor whole numbers",
        "export ids as text or as whole numbers",
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of fault in one column: the 0-based rows at fault, the codes that may be named, what was wanted."""

    kind: str
    column: str
    rows: np.ndarray
    codes: tuple[float, ...] = ()
    wanted: str = ""


def missing_columns_sentence(absent: Sequence[str], names: Iterable[str]) -> str:
    """Name all columns that are absent in one sentence, with the nearest column of the file where there is one."""
    by_fold = {name.strip().casefold(): name for name in names}
    parts = []
    for name in absent:
        near = get_close_matches(name.strip().casefold(), by_fold, n=1, cutoff=0.8) if len(absent) <= 30 else []
        parts.append(f"{name} (did you mean {by_fold[near[0]]}?)" if near else name)
    what = "1 column is missing" if len(parts) == 1 else f"{len(parts):,} columns are missing"
    return f"{what}: {', '.join(parts)}; add what is missing, or correct the names in the study declaration."


def find_column_faults(values: np.ndarray, contract: ColumnContract) -> list[Finding]:
    """Compare one column (n,) in its in-memory form with its contract."""
    if contract.kind == "id":
        return _id_faults(values, contract)
    if values.dtype.kind not in "fiub":
        return [Finding("text", contract.name, np.flatnonzero(~pd.isna(values)))]
    numbers = values.astype(np.float64, copy=False)
    if contract.missing_codes:
        numbers = np.where(np.isin(numbers, contract.missing_codes), np.nan, numbers)
    low, high = float(np.fmin.reduce(numbers, initial=np.nan)), float(np.fmax.reduce(numbers, initial=np.nan))
    if np.isnan(low):
        return []
    findings = []
    if np.isinf(low) or np.isinf(high):
        findings.append(Finding("infinite", contract.name, np.flatnonzero(np.isinf(numbers))))
        numbers = np.where(np.isinf(numbers), np.nan, numbers)
    if contract.kind in ("code", "integer"):
        whole = np.rint(numbers)
        if not np.array_equal(whole, numbers, equal_nan=True):
            fraction = (whole != numbers) & ~np.isnan(numbers)
            findings.append(Finding("fraction", contract.name, np.flatnonzero(fraction)))
            numbers = np.where(fraction, np.nan, numbers)
    return findings + _code_faults(numbers, contract) + _range_faults(numbers, contract)


def _id_faults(ids: np.ndarray, contract: ColumnContract) -> list[Finding]:
    missing = pd.isna(ids)
    findings = []
    if missing.any():
        findings.append(Finding("id_missing", contract.name, np.flatnonzero(missing)))
    duplicate = pd.Series(ids).duplicated(keep=False).to_numpy() & ~missing
    if contract.unique and duplicate.any():
        findings.append(Finding("id_duplicate", contract.name, np.flatnonzero(duplicate)))
    return findings


def _code_faults(numbers: np.ndarray, contract: ColumnContract) -> list[Finding]:
    if contract.kind == "category":
        allowed: Sequence[int] = range(1, len(contract.categories) + 1)
        kind, wanted = "category", _listed(contract.categories)
    elif contract.kind == "boolean":
        kind, allowed, wanted = "boolean", (0, 1), ""
    elif contract.kind == "code" and contract.codes:
        kind, allowed, wanted = "codes", contract.codes, _codes_text(contract.codes)
    else:
        return []
    bad = ~(_is_one_of(numbers, allowed) | np.isnan(numbers))
    if not bad.any():
        return []
    codes = () if kind == "category" else _codes_to_name(numbers[bad])
    return [Finding(kind, contract.name, np.flatnonzero(bad), codes, wanted)]


def _is_one_of(numbers: np.ndarray, allowed: Sequence[int]) -> np.ndarray:
    if not allowed:
        return np.zeros(numbers.shape, dtype=bool)
    low, high = min(allowed), max(allowed)
    if high - low > 1_000:
        return np.isin(numbers, np.asarray(allowed, dtype=np.float64))
    table = np.zeros(high - low + 1, dtype=bool)
    table[np.asarray(allowed) - low] = True
    inside = (numbers >= low) & (numbers <= high)
    position = np.where(inside, numbers, low).astype(np.int64)
    return np.asarray(inside & table[position - low] & (position == numbers))


def _range_faults(numbers: np.ndarray, contract: ColumnContract) -> list[Finding]:
    low, high = contract.minimum, contract.maximum
    if contract.kind in ("category", "boolean") or (low is None and high is None):
        return []
    bad = np.zeros(numbers.shape, dtype=bool)
    if low is not None:
        bad |= numbers < low
    if high is not None:
        bad |= numbers > high
    if not bad.any():
        return []
    coded = contract.kind == "integer" and low is not None and high is not None and high - low <= 100
    codes = _codes_to_name(numbers[bad]) if coded or contract.kind == "code" else ()
    return [Finding("range", contract.name, np.flatnonzero(bad), codes, _range_text(low, high, contract.unit))]


def _codes_to_name(values: np.ndarray) -> tuple[float, ...]:
    """Offending codes that may stand in a message: few and short; a shifted column of ids is neither."""
    distinct = np.unique(values)
    if distinct.size > _CODES_NAMED or np.any(np.abs(distinct) > _LARGEST_CODE_NAMED):
        return ()
    return tuple(float(value) for value in distinct if value == np.rint(value))


def finding_sentences(findings: Sequence[Finding]) -> list[str]:
    """Turn findings into sentences; a fault that more than 3 columns share gets a single sentence.

    Columns that break the same rule (the same range, the same codes) are put together first, then what is left
    of the same kind.
    """
    sentences = []
    for kind in dict.fromkeys(finding.kind for finding in findings):
        alike = [finding for finding in findings if finding.kind == kind and finding.rows.size]
        by_rule = {finding.wanted: [other for other in alike if other.wanted == finding.wanted] for finding in alike}
        shared = [group for group in by_rule.values() if len(group) > _TOGETHER_ABOVE]
        left = [finding for group in by_rule.values() if len(group) <= _TOGETHER_ABOVE for finding in group]
        if len(left) > _TOGETHER_ABOVE:
            shared, left = [*shared, left], []
        sentences += [_single_sentence(finding) for finding in left]
        sentences += [_shared_sentence(kind, group) for group in shared]
    return sentences


def _single_sentence(finding: Finding) -> str:
    count = finding.rows.size
    singular, plural, way_out = _PHRASES[finding.kind]
    what = (singular if count == 1 else plural).replace("{wanted}", finding.wanted)
    codes = f" ({_listed(f'{code:.0f}' for code in finding.codes)})" if finding.codes else ""
    return f"Column {finding.column} holds {count:,} {what}{codes}, in {row_list(finding.rows)}; {way_out}."


def _shared_sentence(kind: str, findings: Sequence[Finding]) -> str:
    count = sum(finding.rows.size for finding in findings)
    rows = np.unique(np.concatenate([finding.rows for finding in findings]))
    wanted = {finding.wanted for finding in findings}
    elsewise = {"range": "outside their ranges", "codes": "of each", "category": "of each"}.get(kind, "")
    _, plural, way_out = _PHRASES[kind]
    what = plural.replace("{wanted}", wanted.pop() if len(wanted) == 1 else elsewise)
    distinct = sorted({code for finding in findings for code in finding.codes})
    codes = f" ({_listed(f'{code:.0f}' for code in distinct)})" if distinct else ""
    columns = name_list([finding.column for finding in findings])
    return f"{len(findings):,} columns ({columns}) hold {count:,} {what}{codes}, in {row_list(rows)}; {way_out}."


def row_list(rows: np.ndarray) -> str:
    """Name 0-based row positions as 1-based data rows, at most the first 5."""
    return ("row " if len(rows) == 1 else "rows ") + _first([f"{row + 1}" for row in rows[:_ROWS_NAMED]], len(rows))


def name_list(names: Sequence[str]) -> str:
    """Name at most the first 5 columns."""
    return _first(names[:_COLUMNS_NAMED], len(names))


def _first(shown: Sequence[str], n: int) -> str:
    if n > len(shown):
        return f"{', '.join(shown)} and {n - len(shown):,} more"
    return shown[0] if n == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _listed(texts: Iterable[Any]) -> str:
    items = [str(text) for text in texts]
    return ", ".join(items[:12]) + (f" and {len(items) - 12} more" if len(items) > 12 else "")


def _codes_text(codes: Sequence[int]) -> str:
    ordered = sorted(set(codes))
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"{ordered[0]} to {ordered[-1]}"
    return _listed(ordered)


def _range_text(low: float | None, high: float | None, unit: str) -> str:
    tail = f" {unit}" if unit else ""
    if low is None:
        return f"above {high:,.10g}{tail}"
    return f"below {low:,.10g}{tail}" if high is None else f"outside {low:,.10g} to {high:,.10g}{tail}"


def check_daily_seconds(
    seconds: Mapping[str, np.ndarray],
    total_of: Sequence[str],
    column_names: Mapping[str, Sequence[str]],
    *,
    longest_s: float = DAY_S,
) -> tuple[list[str], list[str]]:
    """Check seconds a day by activity, arrays (n people, D days) with NaN for missing; return (faults, warnings).

    Negative seconds, more than `longest_s` of one activity and more than 90,000 s of the activities in `total_of`
    together are faults; a total between 86,400 and 90,000 s is a warning, as the day the clocks go back has
    90,000 s. Durations that look like minutes (99 of 100 totals at most 1,500, median at least 200) are a fault.
    `column_names` gives the D columns of each activity. A total leaves missing activities out.
    """
    if not seconds:
        return [], []
    negative = {stem: values < 0 for stem, values in seconds.items()}
    over = {stem: values > longest_s for stem, values in seconds.items()}
    total = np.zeros_like(next(iter(seconds.values())), dtype=np.float64)
    for stem in total_of:
        total += np.where(np.isnan(seconds[stem]), 0.0, seconds[stem])
    faults = []
    sentence = _cells_sentence(negative, column_names, "negative durations", "a duration is 0 s or more")
    faults += [sentence] if sentence else []
    way_out = "a day has 86,400 s; export seconds a day, not sums of days"
    sentence = _cells_sentence(over, column_names, f"durations above {longest_s:,.0f} s", way_out)
    faults += [sentence] if sentence else []
    stems = name_list(list(total_of))
    if (total > LONGEST_DAY_S).any():
        faults.append(
            f"{_days_text(total > LONGEST_DAY_S)}: the activities ({stems}) add up to more than 90,000 s in a day, "
            "the longest a day can be; check that no activity counts twice and that the unit is seconds."
        )
    positive = total[total > 0]
    if positive.size and np.percentile(positive, 99) <= 1_500 and np.median(positive) >= 200:
        faults.append(
            f"The durations ({stems}) look like minutes: the median daily total is {np.median(positive):,.0f} and "
            f"99 of 100 are {np.percentile(positive, 99):,.0f} or less, while a day has 86,400 s; multiply by 60."
        )
    long = (total > DAY_S + _TOLERANCE_S) & (total <= LONGEST_DAY_S)
    if not long.any():
        return faults, []
    return faults, [
        f"{_days_text(long)}: the activities ({stems}) add up to more than 86,400 s in a day; "
        "right only on the day the clocks go back, which has 90,000 s."
    ]


def _cells_sentence(
    bad: Mapping[str, np.ndarray], column_names: Mapping[str, Sequence[str]], what: str, way_out: str
) -> str:
    counts = {stem: mask.sum(axis=0) for stem, mask in bad.items()}
    columns = [column_names[stem][day] for stem, n in counts.items() for day in np.flatnonzero(n).tolist()]
    if not columns:
        return ""
    rows = np.flatnonzero(np.any([mask.any(axis=1) for mask in bad.values()], axis=0))
    count = sum(int(n.sum()) for n in counts.values())
    where = f"Column {columns[0]} holds" if len(columns) == 1 else f"{len(columns)} columns ({name_list(columns)}) hold"
    what = what.replace("durations", "duration") if count == 1 else what
    return f"{where} {count:,} {what}, in {row_list(rows)}; {way_out}."


def _days_text(bad: np.ndarray) -> str:
    rows = np.flatnonzero(bad.any(axis=1))
    count = int(bad.sum())
    return f"{count:,} {'day' if count == 1 else 'days'} in {row_list(rows)}"
