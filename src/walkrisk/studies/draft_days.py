"""Daily seconds in a drafted study: from a table of days, or from columns of the participants' file by day."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from walkrisk.cohorts.profiles import ColumnProfile, FileProfile
from walkrisk.days.contract import DAY_COLUMNS
from walkrisk.errors import UsageFault
from walkrisk.studies.draft_examples import as_example
from walkrisk.studies.guesses import Guess, plain_name, readable
from walkrisk.studies.toml_text import comment, lines

FEWEST_DAYS, MOST_DAYS = 3, 31
LONGEST_DAY_S, LONGEST_DAY_MIN = 90_000.0, 1_500.0
_BY_DAY = re.compile(r"(.*?\D)(\d{1,2})(\D*)")

# person value -> (activity, label, largest value that is likely)
_MEANS = {
    "walking_min_day": ("walking_s", "Walking", 500),
    "walking_slow_min_day": ("walking_slow_s", "Slow walking", 200),
    "walking_moderate_min_day": ("walking_moderate_s", "Moderate walking", 200),
    "walking_brisk_min_day": ("walking_brisk_s", "Brisk walking", 200),
}
DAYS_LINES = [
    *lines(
        "[days]",
        {"layout": "long", "number": 7, "take": "valid"},
        {"layout": "a table of its own, given with --days", "take": "the first seven valid days by date"},
    ),
    *lines(
        "[days.valid]",
        {"not_worn": ["nonwear_s", "unknown_s"], "max_not_worn_h": 4, "zero_invalidates": ["walking_s"]},
        {"max_not_worn_h": "20 of 24 hours worn and known"},
    ),
    *lines(
        "[days.counts]",
        {
            "recorded_days": {"any_of": ["walking_s"], "label": "Calendar days with a recording"},
            "valid_days": {"any_of": ["walking_s"], "days": "valid", "label": "Valid days"},
        },
    ),
    *lines(
        "[days.means]",
        {
            **{name: {"of": of, "label": label, "decimals": 0} for name, (of, label, _) in _MEANS.items()},
            "steps_day": {"of": "steps", "divide_by": 1, "label": "Steps", "unit": "steps/day", "decimals": 0},
        },
    ),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Family:
    """Columns of one activity, a day each: the pattern of their names and the numbers of the days."""

    stem: str
    pattern: str
    days: int
    columns: tuple[str, ...]


def day_values() -> tuple[Guess, ...]:
    """The person values that a table of days gives, as columns a study may use; walking a day comes first."""
    walking = [
        Guess(
            name=name, source=name, kind="number", meaning=label, unit="min/day", decimals=0,
            minimum=0, maximum=high, groups=4, curved=True,
        )
        for name, (_, label, high) in _MEANS.items()
    ]  # fmt: skip
    steps = Guess(
        name="steps_day", source="steps_day", kind="number", meaning="Steps", unit="steps/day", decimals=0,
        minimum=0, maximum=20_000, groups=4, curved=True,
    )  # fmt: skip
    return (*walking, steps)


def check_table_of_days(days: FileProfile) -> None:
    """Raises UsageFault unless a file has the columns of days.parquet that a study reads."""
    wanted = [c.name for c in DAY_COLUMNS[: 1 + [c.name for c in DAY_COLUMNS].index("steps")]]
    there = {c.name for c in days.columns}
    absent = [name for name in wanted if name not in there]
    if absent:
        raise UsageFault(
            f"{days.name} is no table of days as walkrisk sensors writes it (it has no {', '.join(absent[:5])}); leave "
            "--days out, and declare [days] with its own columns in the study."
        )


def families(file: FileProfile) -> list[Family]:
    """Columns that look like seconds of an activity by day: three or more days, numbered one after the other from 1."""
    by_pattern: dict[tuple[str, str], dict[int, ColumnProfile]] = {}
    for c in file.columns:
        found = _BY_DAY.fullmatch(c.name)
        seconds = c.holds == "numbers" and c.low >= 0 and c.high <= LONGEST_DAY_S
        if found and seconds and "{" not in c.name and found[2] == str(int(found[2])):
            by_pattern.setdefault((found[1], found[3]), {})[int(found[2])] = c
    out = []
    for (before, after), days in by_pattern.items():
        columns = [days[day] for day in sorted(days)]
        numbered = sorted(days) == list(range(1, len(days) + 1)) and FEWEST_DAYS <= len(days) <= MOST_DAYS
        if numbered and max(c.high for c in columns) > LONGEST_DAY_MIN:
            stem = plain_name(f"{before}{after}".strip("_. "), "activity").removesuffix("_s")
            out.append(Family(f"{stem}_s", f"{before}{{day}}{after}", len(days), tuple(c.name for c in columns)))
    return out


def wide_days(found: Sequence[Family]) -> list[str]:
    """The example of [days] for columns by day."""
    if not found:
        return []
    number = max(f.days for f in found)
    same = [f for f in found if f.days == number]
    stems = {f.stem: f.pattern for f in same}
    first = next((s for s in stems if "walk" in s.casefold()), next(iter(stems)))
    means: Mapping[str, dict[str, str | int]] = {
        f"{stem.removesuffix('_s')}_min_day": {"of": stem, "label": readable(stem.removesuffix("_s")), "decimals": 0}
        for stem in stems
    }
    block = [
        *lines("[days]", {"number": number}),
        *lines("[days.columns]", stems),
        *lines("[days.counts]", {"valid_days": {"any_of": [first], "days": "valid", "label": "Valid days"}}),
        *lines("[days.means]", means),
    ]
    return [
        "",
        *comment(
            "Seconds a day by activity, as it seems, in columns by day: put in force, they give minutes a day "
            "that an exposure may be made of (such as variable = "
            f'"{next(iter(means))}"). If they all together make up the day: day_total = [the names].'
        ),
        *as_example(block),
    ]
