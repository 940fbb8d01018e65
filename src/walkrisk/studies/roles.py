"""Which columns of a file are the id, outcome, exposures and covariates of a study that is drafted for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from walkrisk.declarations import suggest
from walkrisk.errors import UsageFault
from walkrisk.studies.guesses import Guess, clean

MOST_LISTED = 15
_ID_WORDS = re.compile(
    r"(.*[_. ]|^)(id|pid|idno|idnr|ident|lnr|seqn|nr|key|participant|subject|person|record)([_. ].*|\d*$)"
)
_AGE = re.compile(r"(part)?(age?|alder|alter)([_. ]?(at|bl|base|t0|0|1|yr|years?|nt)\w*)?([_. ].*)?")
_FROM_DAYS = re.compile(r"walking_(\w+_)?min_day|steps_day")
_SEX = re.compile(r"(sex|gender|female|male|women|men|kjonn|kjønn|geschlecht)([_. ].*)?")
_YES = re.compile(r"yes|ja|true|case|event|dead|died|y|1|sick|ill|present|positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What was asked for, in the words it was asked in; None and empty where nothing was said."""

    id: str = ""
    outcome: str = ""
    event: str | None = None
    exposures: tuple[str, ...] = ()
    covariates: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """The columns of a study; `event` is the level (code, or place of a category) of the outcome that counts as one."""

    id: Guess
    outcome: Guess
    event: int
    exposures: tuple[Guess, ...]
    covariates: tuple[Guess, ...]


def resolve(wishes: Wishes, columns: Sequence[Guess], day_values: Sequence[Guess] = ()) -> Roles:
    """The roles that were asked for, with the id, event, age and sex found where they were not named.

    `day_values` are exposures and covariates that a table of days gives. Raises UsageFault with every fault.
    """
    faults: list[str] = []
    known = [*columns, *day_values]
    identity = _identity(wishes.id, columns, faults)
    outcome = _one(wishes.outcome, columns, "--outcome", faults) if wishes.outcome else None
    if outcome is None and not wishes.outcome:
        faults.append(
            f"Say what the outcome is with --outcome. {_listed('Columns with few values', outcomes(columns))}"
        )
    event = _event(outcome, wishes.event, faults) if outcome else None
    exposures = _several(wishes.exposures, known, "--exposure", _exposure_fault, faults)
    if not wishes.exposures:
        if day_values:
            exposures = tuple(day_values[:1])
        else:
            numbers = exposures_of(columns, without=(outcome,))
            faults.append(f"Say what the exposure is with --exposure. {_listed('Columns with numbers', numbers)}")
    if wishes.covariates is None:
        covariates = usual_covariates(columns, without=(outcome, *exposures))
    else:
        covariates = _several(wishes.covariates, known, "--covariates", _covariate_fault, faults)
    _check_apart(outcome, exposures, covariates, faults)
    if faults or identity is None or outcome is None or event is None:
        raise UsageFault(faults)
    return Roles(id=identity, outcome=outcome, event=event, exposures=exposures, covariates=covariates)


def outcomes(columns: Iterable[Guess]) -> list[Guess]:
    """Columns that may be an outcome: first those of two values, 0 and 1 before others, then those of a few."""
    usable = [c for c in columns if not c.why_not and not c.rare and 2 <= len(c.values) <= 6]
    return sorted(
        usable, key=lambda c: (len(c.values) != 2, c.values not in ((0.0, 1.0),), bool(_SEX.fullmatch(_word(c))))
    )


def exposures_of(columns: Iterable[Guess], without: Iterable[Guess | None] = ()) -> list[Guess]:
    """Columns that may be an exposure: numbers that part into groups, then factors; no age, sex or outcome."""
    out = _names(without)
    usable = [c for c in columns if not (c.why_not or c.rare) and c.name not in out and c.kind != "date"]
    usable = [c for c in usable if not (_AGE.fullmatch(_word(c)) or _SEX.fullmatch(_word(c)))]
    numbers = [c for c in usable if not c.levels and c.groups and not c.may_identify]
    return [*numbers, *(c for c in usable if c.levels)]


def covariates_of(columns: Iterable[Guess], without: Iterable[Guess | None] = ()) -> list[Guess]:
    """Columns that may be a covariate."""
    out = _names(without)
    return [c for c in columns if not _covariate_fault(c) and c.name not in out and not c.may_identify]


def usual_covariates(columns: Iterable[Guess], without: Iterable[Guess | None] = ()) -> tuple[Guess, ...]:
    """Age and sex, where a file has columns of such names."""
    pool = [c for c in covariates_of(columns, without) if not c.rare]
    ages = [c for c in pool if is_age(c)]
    sexes = [c for c in pool if _SEX.fullmatch(_word(c)) and len(c.levels) == 2]
    return (*ages[:1], *sexes[:1])


def is_age(c: Guess) -> bool:
    """Whether a column is an age, by its name."""
    return not c.levels and bool(_AGE.fullmatch(_word(c)))


def identities(columns: Iterable[Guess]) -> list[Guess]:
    """Columns that may be the id, the likeliest first: by name, then by place; row names of R come last."""
    usable = [c for c in columns if c.may_identify]
    return sorted(usable, key=lambda c: (c.source == "", not _ID_WORDS.search(c.source.casefold())))


def default_event(outcome: Guess) -> int | None:
    """The level of two that is an event: 1 of 0 and 1, or the one called yes; None where neither says so."""
    if len(outcome.levels) != 2:
        return None
    if set(outcome.levels) == {0, 1} and outcome.kind != "category":
        return 1
    called = [code for code, text in outcome.levels.items() if _YES.fullmatch(text.strip().casefold())]
    return called[0] if len(called) == 1 else None


def find_level(outcome: Guess, event: str) -> int | None:
    """The level of an outcome that a text means: its code, or its name."""
    text = event.strip()
    if outcome.kind != "category":
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if number in outcome.levels:
            return int(number)
    for fold in (str, str.casefold):
        found = [code for code, name in outcome.levels.items() if fold(name) == fold(text)]
        if len(found) == 1:
            return found[0]
    truths = {"true": 1, "false": 0}
    return truths.get(text.casefold()) if outcome.kind == "boolean" else None


# ---------------------------------------------------------------- parts


def _identity(asked: str, columns: Sequence[Guess], faults: list[str]) -> Guess | None:
    if asked:
        found = _one(asked, columns, "--id", faults)
        if found and not found.may_identify:
            faults.append(
                f"{found.source} cannot be the id: an id is a text or whole number that every row has and no two share."
            )
        return found
    usable = identities(columns)
    if not usable:
        faults.append(
            "No column can be the id: a text or whole number that every row has and no two share. Add one to the file "
            "(Stata: gen long id = _n; R: d$id <- seq_len(nrow(d))), or take out rows that stand twice."
        )
        return None
    return usable[0]


def _event(outcome: Guess, asked: str | None, faults: list[str]) -> int | None:
    if not outcome.levels:
        faults.append(
            f"{outcome.source} is a number, and an outcome happens or not; make a column of 0 and 1 of it in the file."
            if outcome.kind in ("number", "integer")
            else f"{outcome.source} cannot be an outcome ({outcome.why_not or 'it is a date'})."
        )
        return None
    levels = ", ".join(_level(outcome, code) for code in list(outcome.levels)[:MOST_LISTED])
    if asked is None:
        found = default_event(outcome)
        if found is None:
            faults.append(f"Say with --event which value of {outcome.source} is an event. It has: {levels}.")
        return found
    found = find_level(outcome, asked)
    if found is None:
        faults.append(f"--event: {outcome.source} has no value {clean(asked)!r}. It has: {levels}.")
    return found


def _level(outcome: Guess, code: int) -> str:
    text = outcome.levels[code]
    return text if outcome.kind == "category" or text == str(code) else f"{code} ({text})"


def _exposure_fault(c: Guess) -> str:
    if c.why_not or c.kind in ("date", None):
        return c.why_not or "is a date; make a number of it in the file"
    if not c.levels and not c.groups:
        return "most people share a value, so that it parts into no groups; code it into groups in the file"
    return ""


def _covariate_fault(c: Guess) -> str:
    return c.why_not or ("is a date; make a number of it in the file" if c.kind == "date" else "")


def _several(
    names: Iterable[str], known: Sequence[Guess], flag: str, fault: Callable[[Guess], str], faults: list[str]
) -> tuple[Guess, ...]:
    found = [c for name in names if (c := _one(name, known, flag, faults))]
    for c in found:
        if sentence := fault(c):
            faults.append(f"{flag}: {c.source or c.name}: {sentence}.")
    return tuple({c.name: c for c in found}.values())


def _one(asked: str, known: Sequence[Guess], flag: str, faults: list[str]) -> Guess | None:
    """The column that is called so in the file or in the study, whatever the case if there is one only."""
    for fold in (str, _folded):
        for field in ("source", "name"):
            found = [c for c in known if fold(getattr(c, field)) == fold(asked)]
            if len(found) == 1:
                return found[0]
    names = [c.source or c.name for c in known]
    way = "; give the days it is worked out of with --days." if _FROM_DAYS.fullmatch(asked) else ""
    faults.append(f"{flag}: there is no column {clean(asked)!r} in the file{suggest(asked, names) or way or '.'}")
    return None


def _check_apart(
    outcome: Guess | None, exposures: Sequence[Guess], covariates: Sequence[Guess], faults: list[str]
) -> None:
    if outcome and outcome.name in _names(exposures):
        faults.append(f"--exposure: {outcome.source} is the outcome; name another column.")
    if outcome and outcome.name in _names(covariates):
        faults.append(f"--covariates: {outcome.source} is the outcome; leave it out.")
    faults += [
        f"--covariates: {c.source or c.name} is an exposure; leave it out."
        for c in covariates
        if c.name in _names(exposures)
    ]


def _names(columns: Iterable[Guess | None]) -> set[str]:
    return {c.name for c in columns if c}


def _folded(text: str) -> str:
    return text.strip().casefold()


def _word(c: Guess) -> str:
    return c.source.casefold()


def _listed(what: str, columns: Sequence[Guess]) -> str:
    if not columns:
        return f"{what}: none is found in this file."
    shown = ", ".join(clean(c.source) for c in columns[:MOST_LISTED])
    return f"{what}: {shown}{f' and {len(columns) - MOST_LISTED} more' if len(columns) > MOST_LISTED else ''}."


def level_map(roles: Roles) -> Mapping[int, int] | None:
    """Level -> 0 or 1 where the outcome must be recoded; None where it is 0 and 1 already."""
    outcome = roles.outcome
    if outcome.kind != "category" and set(outcome.levels) <= {0, 1} and roles.event == 1:
        return None
    return {code: int(code == roles.event) for code in outcome.levels}
