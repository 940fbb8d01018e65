"""What each column of a participants' file could be in a study: its kind, codes, limits, and a name to declare it by.

Nothing a guess holds is a value of few people: limits are round numbers outside what the file holds, and texts that
fewer than five people have make a column `rare`, whose texts are named only where the column is taken in.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from walkrisk.cohorts.profiles import FEWEST_PEOPLE, ColumnProfile, FileProfile
from walkrisk.declarations import IDENTIFIER, LONGEST_TEXT
from walkrisk.schema import ColumnKind

MOST_CATEGORIES = 20
MOST_PLAIN_CODES = 8
LARGEST_PLAIN_CODE = 1000
LONGEST_CATEGORY = 100
LONGEST_NAME = 40
LONGEST_TITLE = 60
LARGEST_VALUE = 1e99
YES_NO = {0: "No", 1: "Yes"}
_UNIT = re.compile(r"(.*\S)\s*[(\[]([^()\[\]]{1,20})[)\]]")
_UNIT_LAST = re.compile(
    r"(.*\S), ?((?:years?|months?|weeks?|days?|hours?|h|minutes?|min|seconds?|s|kg|g|cm|mm|m|km|mmhg|mets?|steps?|%"
    r"|år|dager|timer|minutter|skritt)|\S{1,10}(?: ?/ ?| per | pr\.? )"
    r"(?:years?|weeks?|days?|d|hours?|h|min|m2|m²|m\^2|m|s|d?l|ml|kg|år|uke|dag|time))",
    re.IGNORECASE,
)
_COUNTED = re.compile(r"\b(number|no\.|count|days|times|antall|dager)(?!\w)", re.IGNORECASE)
_UNITS = {"years": "years", "yrs": "years", "kg": "kg", "cm": "cm", "min": "min", "hours": "h", "mmhg": "mmHg"}
_PER_DAY = re.compile(r"(min|h|s|steps?|hours)_(?:per_)?(?:day|d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A column as a study may declare it; `why_not` says why it cannot.

    `name` is what the study calls it, `source` what the file does. A column with `levels` (code, or place of a
    category -> its name) is a factor. `groups` and `curved` are those of its profile, `complete` that everyone has a
    value, `may_identify` that no two people share one.
    """

    name: str
    source: str
    kind: ColumnKind | None
    meaning: str = ""
    unit: str = ""
    codes: tuple[int, ...] = ()
    categories: tuple[str, ...] = ()
    labels: Mapping[int, str] = field(default_factory=dict)
    minimum: float | None = None
    maximum: float | None = None
    missing_codes: tuple[float, ...] = ()
    decimals: int = 1
    values: tuple[float | str, ...] = ()
    rare: bool = False
    groups: int = 0
    curved: bool = False
    complete: bool = True
    may_identify: bool = False
    why_not: str = ""

    @property
    def levels(self) -> Mapping[int, str]:
        """Level -> name; empty for a number."""
        return self.labels or dict(enumerate(self.categories, start=1))

    @property
    def title(self) -> str:
        """What people call it."""
        return self.meaning or readable(self.source) or readable(self.name)


def guesses(file: FileProfile) -> tuple[Guess, ...]:
    """A guess for every column of a file, in the file's order."""
    names = plain_names([c.name for c in file.columns])
    return tuple(guess(c, name, file.n_rows) for c, name in zip(file.columns, names, strict=True))


def guess(c: ColumnProfile, name: str, n_rows: int) -> Guess:
    """What one column could be, as `name`."""
    meaning, unit = _meaning(c)
    texts, numbered = c.holds in ("text", "mixed") and not c.spaced, c.holds == "numbers" and c.whole
    base = Guess(
        name=name,
        source=c.name,
        kind=None,
        meaning=meaning,
        unit=unit,
        complete=c.known == n_rows,
        may_identify=_named(c.name) and c.known == n_rows and not c.repeated and (texts or numbered),
        why_not=_why_not(c),
    )
    if base.why_not:
        return base
    if c.holds == "dates":
        return replace(base, kind="date")
    if c.holds == "truths":
        return replace(base, kind="boolean", labels=YES_NO, values=(0.0, 1.0))
    if c.holds == "text":
        rare = min(c.counts.values()) < FEWEST_PEOPLE
        categories = tuple(str(text) for text in c.counts)
        return replace(base, kind="category", categories=categories, values=categories, rare=rare)
    base = replace(base, missing_codes=c.missing, groups=c.groups, curved=c.curved)
    labels = _labels_of(c)
    if labels:
        codes = tuple(sorted(labels))
        return replace(base, kind="code", codes=codes, labels=labels, values=tuple(map(float, codes)))
    low, high = round_limits(c.low, c.high)
    kind: ColumnKind = "integer" if c.whole else "number"
    return replace(base, kind=kind, minimum=low, maximum=high, decimals=_decimals(low, high, c.whole))


def _why_not(c: ColumnProfile) -> str:
    """Why a column cannot be declared; empty if it can."""
    if not _named(c.name):
        return "its name is too long or has control characters; rename it"
    if c.holds == "nothing":
        return "empty for everybody"
    if c.distinct == 1:
        return "the same for everybody who has a value"
    if c.holds == "mixed":
        return "texts among numbers or dates; mend or empty those texts in the file"
    if not c.finite or max(abs(c.low), abs(c.high)) > LARGEST_VALUE:
        return "holds infinite values; empty those cells in the file"
    if c.holds == "text":
        if c.distinct > MOST_CATEGORIES or not c.counts:
            return "many different texts; code it into groups in the file"
        if any(len(str(text)) > LONGEST_CATEGORY or not _printable(str(text)) for text in c.counts):
            return "long texts; code it into groups in the file"
    return ""


def _labels_of(c: ColumnProfile) -> dict[int, str]:
    """Code -> name where a column of numbers holds codes: named in the file, 0 and 1, or few of several people each,
    unless it is called a number of something."""
    if not c.whole or not c.counts:
        return {}
    held = [int(value) for value in c.counts if not isinstance(value, str)]
    named = sum(code in c.labels for code in held)
    if c.labels and 2 * named >= len(held) and named:
        return _told_apart({code: clean(c.labels.get(code, "")) or str(code) for code in held})
    if set(held) == {0, 1}:
        return dict(YES_NO)
    plain = len(held) <= MOST_PLAIN_CODES and all(abs(code) <= LARGEST_PLAIN_CODE for code in held)
    if (
        plain
        and not _COUNTED.search(c.label or readable(c.name))
        and c.repeated
        and min(c.counts.values()) >= FEWEST_PEOPLE
    ):
        return {code: str(code) for code in held}
    return {}


def _told_apart(labels: Mapping[int, str]) -> dict[int, str]:
    """The labels, with the code added to each that two codes share."""
    texts = list(labels.values())
    return {code: f"{text} ({code})" if texts.count(text) > 1 else text for code, text in labels.items()}


# ---------------------------------------------------------------- names and words


def plain_names(names: Iterable[str]) -> list[str]:
    """A plain name for each of some names: the name itself where it is one, else its letters and digits; all differ."""
    given = list(names)
    taken = {name.casefold() for name in given if IDENTIFIER.fullmatch(name)}
    out = []
    for name in given:
        if IDENTIFIER.fullmatch(name):
            out.append(name)
            continue
        stem = plain_name(name)
        plain = stem
        number = 2
        while plain.casefold() in taken:
            plain = f"{stem}_{number}"
            number += 1
        taken.add(plain.casefold())
        out.append(plain)
    return out


def plain_name(text: str, default: str = "column") -> str:
    """Letters, digits and underscores of a text, as a name that may be declared."""
    words = re.sub(r"\W+", "_", unicodedata.normalize("NFC", text)).strip("_")[:LONGEST_NAME].strip("_")
    name = words if words and not re.match(r"\d", words) else f"{default}_{words}" if words else default
    return name if IDENTIFIER.fullmatch(name) else default


def clean(text: str) -> str:
    """A text on one line, not too long."""
    line = " ".join("".join(" " if unicodedata.category(c).startswith("C") else c for c in text).split())
    return line if len(line) <= 200 else line[:197] + "..."


def readable(name: str) -> str:
    """A column name as people write it."""
    words = clean(re.sub(r"[_.]+", " ", name))
    return words[:1].upper() + (words[1:] if len(words) <= LONGEST_TITLE else f"{words[1 : LONGEST_TITLE - 3]}...")


def _named(name: str) -> bool:
    return _printable(name) and len(name) <= LONGEST_TEXT


def _printable(text: str) -> bool:
    return not any(unicodedata.category(c) in ("Cc", "Cs") for c in text)


def _meaning(c: ColumnProfile) -> tuple[str, str]:
    """What the file says a column is and its unit, from the label or the name."""
    label = clean(c.label) or ("" if IDENTIFIER.fullmatch(c.name) else readable(c.name))
    found = _UNIT.fullmatch(label or readable(c.name)) or _UNIT_LAST.fullmatch(label)
    if found and c.holds == "numbers" and not c.labels:
        return found[1], found[2]
    words = re.sub(r"[. ]", "_", c.name.casefold())
    if per_day := _PER_DAY.search(words):
        short = label[: per_day.start()].rstrip() or label[: per_day.end(1)]
        return label if c.label else short, f"{ {'step': 'steps', 'hours': 'h'}.get(per_day[1], per_day[1]) }/day"
    before, _, last = words.rpartition("_")
    if last in _UNITS and before:
        return label if c.label else readable(c.name[: len(before)]), _UNITS[last]
    return label, "years" if words in ("age", "alder") or words.startswith("age_") else ""


# ---------------------------------------------------------------- round numbers


def round_limits(low: float, high: float) -> tuple[float, float]:
    """Round numbers (1, 2 or 5 times a power of ten) strictly outside [low, high]; 0 where nothing is negative and the
    lowest value is near it."""
    if low >= 0 and low <= high / 10:
        return 0.0, round_above(high)
    return (0.0 if low == 0 else -round_above(-low)), (0.0 if high == 0 and low < 0 else round_above(high))


def round_above(x: float) -> float:
    """The nearest 1, 2 or 5 times a power of ten strictly above `x` (for a negative x, the one nearest to 0)."""
    if x == 0:
        return 1.0
    power = math.floor(math.log10(abs(x)))
    steps = [float(f"{digit}e{p}") for p in range(power - 1, power + 2) for digit in (1, 2, 5)]
    if x > 0:
        return next(s for s in steps if s > x)
    below = [s for s in steps if s < -x]
    return -below[-1] if below and below[-1] > 0 else 0.0


def round_step(low: float, high: float, parts: int) -> float:
    """A round number near a `parts`-th of the way from `low` to `high`."""
    width = (high - low) / parts
    power = math.floor(math.log10(width))
    return min(
        (float(f"{d}e{p}") for p in (power, power + 1) for d in (1, 2, 5)), key=lambda s: abs(math.log(s / width))
    )


def _decimals(low: float, high: float, whole: bool) -> int:
    if whole or high - low > 500:
        return 0
    return 1 if high - low > 5 else 2 if high - low > 0.5 else 3
