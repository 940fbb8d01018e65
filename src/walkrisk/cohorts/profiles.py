"""What the columns of a participants' file hold, as counts and limits, so that a study can be drafted for it.

A profile lives in memory only: it has values of participants (limits, values that few people have), which whoever
writes anything from it rounds or leaves out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from walkrisk.cohorts.categories import percentiles, quantile_cuts
from walkrisk.cohorts.columns import MISSING_TEXTS, RawColumn, day_from_text, number_from_text
from walkrisk.cohorts.readers import read_columns

MOST_VALUES = 50
LARGEST_STATA_CODE = 2_147_483_620  # labels of .a to .z lie above
FEWEST_PEOPLE = 5  # a value that fewer people have is a person's rather than a code

_FAR = 2  # times the largest other value
_SENTINELS = (9.0, *(sign * float(digit * n) for digit in "987" for n in range(2, 6) for sign in (1, -1)), -9.0, -8.0)
_MEANS_MISSING = re.compile(
    r"(system )?missing( values?)?|(do not|don'?t|does not|doesn'?t) know.*|refus(ed|al).*"
    r"|(no|not) (answer|respon|stated|known|asked).*|unknown|unanswered|vet ikke|ubesvart|ukjent|weiss nicht",
    re.IGNORECASE,
)

FloatArray = npt.NDArray[np.float64]
Holds = Literal["numbers", "dates", "truths", "text", "mixed", "nothing"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ColumnProfile:
    """One column: what it holds (`mixed`: texts beside numbers or dates), of how many people, between which limits.

    `missing` are numbers that seem to mean "missing": those the file names so, and such as 999 that stand far outside
    all others and are several people's; they count as unknown in everything else. `counts` has the number of people by
    value where there are at most 50 values, `labels` the names the file gives to whole numbers. `repeated` says that
    people share values, `groups` into how many (4, 3 or 2) the quantiles part the people (0: into none), `curved` that
    the 10th, 50th and 90th percentile are three values, `spaced` that some texts are of several words.
    """

    name: str
    label: str = ""
    holds: Holds = "nothing"
    known: int = 0
    distinct: int = 0
    repeated: bool = False
    whole: bool = False
    finite: bool = True
    low: float = 0.0
    high: float = 0.0
    missing: tuple[float, ...] = ()
    counts: Mapping[float | str, int] = field(default_factory=dict)
    labels: Mapping[int, str] = field(default_factory=dict)
    groups: int = 0
    curved: bool = False
    spaced: bool = False


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FileProfile:
    """The columns of a file in their order, and the names that more than one column has."""

    name: str
    n_rows: int
    columns: tuple[ColumnProfile, ...]
    twice: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def profile_file(path: Path) -> FileProfile:
    """Profile every column of a participants' file. Raises UsageFault and DataFault as `read_extract`."""
    table = read_columns(path)
    described = _variable_labels(path)
    return FileProfile(
        name=path.name,
        n_rows=table.n_rows,
        columns=tuple(profile(name, raw, label=described.get(name, "")) for name, raw in table.columns.items()),
        twice=tuple(dict.fromkeys(name for name in table.names if name not in table.columns)),
        warnings=table.warnings,
    )


def profile(name: str, raw: RawColumn, *, label: str = "") -> ColumnProfile:
    """Profile one column as a file holds it."""
    holds, values = _values(raw)
    if holds in ("text", "mixed"):
        return _of_texts(name, label, holds, values)
    labels = _code_labels(raw.labels or {})
    known = values[~np.isnan(values)]
    missing = _missing_codes(known, labels) if holds == "numbers" else ()
    known = known[~np.isin(known, missing)]
    if not known.size:
        return ColumnProfile(name=name, label=label)
    distinct, numbers = np.unique(known, return_counts=True)
    finite = bool(np.isfinite(known).all())
    return ColumnProfile(
        name=name,
        label=label,
        holds=holds,
        known=known.size,
        distinct=distinct.size,
        repeated=bool((numbers > 1).any()),
        whole=finite and bool((known == np.rint(known)).all()),
        finite=finite,
        low=float(distinct[0]),
        high=float(distinct[-1]),
        missing=missing,
        counts=dict(zip(distinct.tolist(), numbers.tolist(), strict=True)) if distinct.size <= MOST_VALUES else {},
        labels={code: text for code, text in labels.items() if code not in missing},
        groups=next((q for q in (4, 3, 2) if finite and _parted(known, q)), 0),
        curved=finite and len({*percentiles(known, (10, 50, 90)).tolist()}) == 3,
    )


def _of_texts(name: str, label: str, holds: Holds, values: np.ndarray) -> ColumnProfile:
    counts = pd.Series(values).value_counts(sort=False)
    few = {str(text): int(n) for text, n in counts.items()} if len(counts) <= MOST_VALUES else {}
    return ColumnProfile(
        name=name,
        label=label,
        holds=holds,
        known=int(counts.sum()),
        distinct=len(counts),
        repeated=bool((counts > 1).any()),
        counts=dict(sorted(few.items())),
        spaced=any(len(str(text).split()) > 1 for text in counts.index),
    )


def _missing_codes(known: FloatArray, labels: Mapping[int, str]) -> tuple[float, ...]:
    """Numbers named as missing, and sentinels that several people have, far outside what the others have."""
    named = [float(c) for c, text in labels.items() if _MEANS_MISSING.fullmatch(text.strip()) and c in known]
    rest = known[~np.isin(known, named)]
    held = [s for s in _SENTINELS if s not in labels and np.count_nonzero(rest == s) >= FEWEST_PEOPLE]
    others = rest[~np.isin(rest, held)]
    if not others.size or not np.isfinite(others).all():
        return tuple(named)
    low, high = float(others.min()), float(others.max())
    far = [s for s in held if (s > _FAR * max(high, 1.0) if s > 0 else low >= 0)]
    return tuple(sorted({*named, *far}))


def _parted(known: FloatArray, groups: int) -> bool:
    """Whether the quantile groups of known values are all of several people."""
    cuts = quantile_cuts(known, groups)
    sizes = np.bincount(np.searchsorted(cuts, known, side="left"), minlength=groups)
    return bool((np.diff(cuts) > 0).all() and (sizes >= min(FEWEST_PEOPLE, known.size // groups)).all() and sizes.all())


def _values(raw: RawColumn) -> tuple[Holds, np.ndarray]:
    """What a column holds and its values: float64 with NaN, or texts with None."""
    if raw.holds != "text":
        return "dates" if raw.holds == "dates" else "numbers", raw.values.astype(np.float64)
    positions, distinct = pd.factorize(raw.values)
    texts = [str(text) for text in distinct]
    known = [text for text in texts if text not in MISSING_TEXTS]
    if not known:
        return "nothing", np.full(len(raw.values), np.nan)
    if {text.lower() for text in known} <= {"true", "false"}:
        return "truths", _converted(texts, positions, lambda text: {"true": 1.0, "false": 0.0}.get(text.lower()))
    for holds, convert in _READINGS:
        if all(convert(text, raw.decimal) is not None for text in known):
            return holds, _converted(texts, positions, lambda text, c=convert: c(text, raw.decimal))  # type: ignore[misc]
    some = sum(any(convert(text, raw.decimal) is not None for _, convert in _READINGS) for text in known)
    kept = np.array([text if text in {*known} else None for text in texts] + [None], dtype=object)
    return "mixed" if 2 * some > len(known) else "text", kept[positions]


_READINGS: tuple[tuple[Holds, Callable[[str, str], float | None]], ...] = (
    ("numbers", number_from_text),
    ("dates", lambda text, _: day_from_text(text)),
)


def _converted(texts: list[str], positions: np.ndarray, convert: Callable[[str], float | None]) -> FloatArray:
    values = [convert(text) for text in texts]
    return np.array([np.nan if v is None else v for v in values] + [np.nan], dtype=np.float64)[positions]


def _code_labels(labels: Mapping[float, str]) -> dict[int, str]:
    """The names of whole-number codes, without those of Stata's extended missing values."""
    codes = {code: text for code, text in labels.items() if code == code and abs(code) <= LARGEST_STATA_CODE}
    return {int(code): text for code, text in sorted(codes.items()) if code == int(code)}


def _variable_labels(path: Path) -> dict[str, str]:
    """What the file says its columns are; nothing where its format has no place for it."""
    suffix = path.suffix.lower()
    found: Mapping[str, str | None] = {}
    try:
        if suffix == ".dta":
            with pd.read_stata(path, iterator=True) as reader:
                found = reader.variable_labels()
        elif suffix == ".sav":
            import pyreadstat

            _, meta = pyreadstat.read_sav(path, metadataonly=True)
            found = meta.column_names_to_labels
    except Exception:  # the columns were read; what they are called is a help only
        return {}
    return {name: text.strip() for name, text in found.items() if text}
