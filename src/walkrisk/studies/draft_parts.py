"""What a drafted study is made of: the roles of columns with the names they get in the declaration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from walkrisk.studies.guesses import Guess, plain_name, round_step
from walkrisk.studies.roles import Roles, is_age, level_map
from walkrisk.studies.toml_text import Value

FEWEST_FOR_QUARTERS = 100
PREFIXES = {2: "Half ", 3: "Third ", 4: "Q"}
PER_PARTS, GRID_PARTS = 10, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """An exposure: its name in the declaration, its column, and the number of its quantile groups (0: its levels)."""

    name: str
    column: Guess
    quantiles: int

    @property
    def is_number(self) -> bool:
        """Whether it is a number cut into groups."""
        return self.quantiles > 0

    @property
    def limits(self) -> tuple[float, float]:
        """Round limits of its values."""
        return self.column.minimum or 0.0, self.column.maximum if self.column.maximum is not None else 1.0

    @property
    def first_level(self) -> str:
        """The name of its reference category."""
        return f"{PREFIXES[self.quantiles]}1" if self.is_number else next(iter(self.column.levels.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A study before it is written. `models` are name -> (label, covariates), the last the most adjusted."""

    id: Guess
    outcome: Guess
    event: int
    recoded: Mapping[int, int] | None
    outcome_variable: str
    exposures: tuple[Exposed, ...]
    covariates: tuple[Guess, ...]
    models: Mapping[str, tuple[str, tuple[Guess, ...]]]

    @property
    def last_model(self) -> str:
        """The most adjusted model."""
        return list(self.models)[-1]

    @property
    def numbers(self) -> tuple[Exposed, ...]:
        """Exposures cut into quantile groups."""
        return tuple(e for e in self.exposures if e.is_number)

    @property
    def curved(self) -> tuple[Exposed, ...]:
        """Exposures that can have a spline."""
        return tuple(e for e in self.numbers if e.column.curved)

    @property
    def factor(self) -> Guess | None:
        """A covariate of few levels to form strata by."""
        factors = [c for c in self.covariates if 2 <= len(c.levels) <= 4]
        return min(factors, key=lambda c: len(c.levels)) if factors else None

    @property
    def used(self) -> tuple[Guess, ...]:
        """Every column in use, once."""
        every = (self.id, self.outcome, *(e.column for e in self.exposures), *self.covariates)
        return tuple({c.name: c for c in every}.values())


def parts_of(roles: Roles, *, taken: Sequence[str], n_rows: int) -> Parts:
    """The parts of a study with these roles; `taken` are names that must stay free."""
    names = set(taken)
    exposures = []
    for c in roles.exposures:
        wanted = min(c.groups, 4 if n_rows >= FEWEST_FOR_QUARTERS else 2)
        name = _free(f"{plain_name(c.name)}_groups", names)
        exposures.append(Exposed(name=name, column=c, quantiles=0 if c.levels else wanted))
    recoded = level_map(roles)
    variable = _free(f"{plain_name(roles.outcome.name)}_event", names) if recoded else roles.outcome.name
    models: dict[str, tuple[str, tuple[Guess, ...]]] = {"crude": ("Crude", ())}
    ages = tuple(c for c in roles.covariates if is_age(c))
    if ages and len(roles.covariates) > 1:
        models["age_adjusted"] = ("Age-adjusted", ages[:1])
    if roles.covariates:
        label = "Age-adjusted" if ages == roles.covariates else "Adjusted"
        models["adjusted"] = (label, roles.covariates)
    return Parts(
        id=roles.id,
        outcome=roles.outcome,
        event=roles.event,
        recoded=recoded,
        outcome_variable=variable,
        exposures=tuple(exposures),
        covariates=roles.covariates,
        models=models,
    )


def column_content(c: Guess, *, identity: bool = False) -> dict[str, Value]:
    """The keys of a column's table."""
    out: dict[str, Value] = {"kind": "id" if identity else str(c.kind)}
    if c.source != c.name:
        out["from"] = c.source
    if identity:
        return out
    optional: dict[str, Value] = {
        "codes": c.codes,
        "categories": c.categories,
        "labels": {str(code): text for code, text in c.labels.items()},
        "missing_codes": c.missing_codes,
        "unit": c.unit,
        "meaning": c.meaning,
        "decimals": c.decimals if c.decimals > 1 else 0,
    }
    if c.minimum is not None and c.maximum is not None:
        out |= {"minimum": c.minimum, "maximum": c.maximum}
    return out | {name: content for name, content in optional.items() if content}


def column_notes(c: Guess) -> dict[str, str]:
    """What is said behind the keys of a column's table."""
    notes = {"missing_codes": "a guess: correct it where such a number is an answer", "decimals": "of means in tables"}
    if c.rare:
        notes["categories"] = "few people have some of these: think before you publish this file"
    elif c.kind == "category":
        notes["categories"] = "a guess (the alphabet): the order of tables; the first is the reference"
    elif c.labels and all(text == str(code) for code, text in c.labels.items()):
        notes["labels"] = "write what the codes mean; the first is the reference"
    return notes


def per_unit(e: Exposed) -> float:
    """A round unit for a ratio per unit of an exposure."""
    return round_step(*e.limits, PER_PARTS)


def grid_step(e: Exposed) -> float:
    """A round distance of the points of a curve."""
    return round_step(*e.limits, GRID_PARTS)


def words(items: Sequence[str]) -> str:
    """Items in a sentence: a, b and c."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def adjusted_words(covariates: Sequence[Guess]) -> str:
    """The footnote of a model."""
    if not covariates:
        return "Not adjusted."
    return f"Adjusted for {words([lower(c.title) for c in covariates])}."


def lower(title: str) -> str:
    """A title inside a sentence: its first letter small, unless it is an abbreviation."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number behind it where it is taken; it is taken from then on."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    taken.add(free)
    return free
