"""The grammar of a simulated extract: variables drawn one after the other, days of activity, columns as observed.

The dataclasses are the TOML grammar (see `walkrisk.declarations`). A variable is complete and true; a column is what
a questionnaire or a database shows of it: rounded, asked of some, missing for others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from walkrisk.declarations import Name, option


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One term of a linear predictor: effects by code, or `coefficient` (clip(x) - center); both may be modified."""

    variable: Name = option(doc="an earlier variable")
    coefficient: float | None = option(None, doc="per unit of the variable")
    effects: Mapping[int, float] = option(factory=dict, doc="instead of a coefficient: by code, 0 where not named")
    center: float = option(0.0, doc="subtracted from the variable")
    center_date: str | None = option(None, doc="for a date: the day that counts as 0, YYYY-MM-DD")
    flat_below: float | None = option(None, doc="values below count as this one")
    flat_above: float | None = option(None, doc="values above count as this one")
    times: Name | None = option(None, doc="a second variable the term is multiplied by")
    by: Name | None = option(None, doc="a modifier with codes")
    factors: Mapping[int, float] = option(factory=dict, doc="by code of the modifier, 1 where not named")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What must hold of a variable or, where columns are described, of an earlier column (missing: does not hold)."""

    variable: Name | None = option(None)
    column: Name | None = option(None)
    equals: tuple[float, ...] = option((), doc="any of these values")
    at_least: float | None = option(None)
    below: float | None = option(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Normal:
    """mean + terms + sd Z, on a `scale` (identity, exp or logistic), drawn again until inside [lower, upper]."""

    op: Literal["normal"]
    name: Name
    mean: float = option(doc="before `scale`")
    sd: float = option(doc="before `scale`")
    scale: Literal["identity", "exp", "logistic"] = option("identity")
    lower: float | None = option(None, doc="after `scale`")
    upper: float | None = option(None, doc="after `scale`")
    terms: tuple[Term, ...] = option(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """Any value in [lower, upper)."""

    op: Literal["uniform"]
    name: Name
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bernoulli:
    """0 or 1 with logit(p) or log(p) = intercept + terms; the intercept is given, or solved for a mean probability."""

    op: Literal["bernoulli"]
    name: Name
    link: Literal["logit", "log"] = option("logit")
    intercept: float | None = option(None)
    mean: float | None = option(None, doc="mean probability; the intercept is solved for it")
    among: tuple[Condition, ...] = option((), doc="whose mean it is; everybody if not said")
    terms: tuple[Term, ...] = option(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One code of a categorical variable: P proportional to share exp(terms)."""

    code: int
    share: float
    terms: tuple[Term, ...] = option(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Categorical:
    """Unordered codes, each with its share and its terms."""

    op: Literal["categorical"]
    name: Name
    categories: tuple[Category, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordinal:
    """Ordered codes: terms + Z, cut so that the codes have the declared shares in the sample."""

    op: Literal["ordinal"]
    name: Name
    codes: tuple[int, ...]
    shares: tuple[float, ...]
    terms: tuple[Term, ...] = option(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Date:
    """A day in [earliest, latest]: any, or normal about `mean` with `sd_days`, moved by terms (in days)."""

    op: Literal["date"]
    name: Name
    earliest: str
    latest: str
    mean: str | None = option(None)
    sd_days: float | None = option(None)
    terms: tuple[Term, ...] = option(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """intercept + terms, without noise."""

    op: Literal["derived"]
    name: Name
    intercept: float = option(0.0)
    terms: tuple[Term, ...] = option(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicator:
    """1 where every condition holds, else 0."""

    op: Literal["indicator"]
    name: Name
    when: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One earlier variable where every condition holds, another where not."""

    op: Literal["choice"]
    name: Name
    when: tuple[Condition, ...]
    then: Name
    otherwise: Name


Variable = Normal | Uniform | Bernoulli | Categorical | Ordinal | Date | Derived | Indicator | Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How walking divides: `faster` of it is not slow, and `brisk` of that is brisk; both vary from day to day."""

    faster: Name = option(doc="variable: share of walking that is moderate or brisk")
    brisk: Name = option(doc="variable: share of the faster walking that is brisk")
    day_log_sd: float = option(0.0, doc="day-to-day SD of the log of each share")


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasional:
    """A behaviour done on some days: the chance of a day, and how long it then lasts (log-normal)."""

    day_probability: Name = option(doc="variable: probability of a day with it")
    median_min: float
    log_sd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid:
    """Days on which a behaviour that everybody does is 0: by chance, and all days of some people."""

    probability: float
    all_days_when: tuple[Condition, ...] = option((), doc="whose days are all invalid")
    shares: Mapping[str, float] = option(doc="of walking, lying, sitting and standing among the invalid days")


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityColumns:
    """The names of the daily columns, {stem} and {day} filled in, all behaviours of day 1 first."""

    name: str = option(doc="with {stem} and {day}")
    label: str = option(doc="with {behaviour} and {day}")
    stems: Mapping[str, str] = option(doc="behaviour to stem, in the order of the columns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Seconds a day by behaviour, in whole epochs, for up to `days` days."""

    days: int
    day_s: int = option(86400)
    epoch_s: int = option(5)
    recorded_days: Name = option(doc="variable: number of recorded days, 0 to `days`")
    gap_probability: float = option(0.0, doc="people whose recorded days are not the first ones")
    short_day_probability: float = option(0.0)
    short_day_share: tuple[float, ...] = option((0.5, 1.0), doc="lowest and highest share of day_s")
    walking_min: Name = option(doc="variable: a person's mean walking, min/day")
    walking_day_log_sd: float = option(0.0, doc="day-to-day SD of log walking")
    walking_highest_share: float = option(0.5, doc="of the day, for walking, running and cycling together")
    split: Split
    running: Occasional | None = option(None)
    cycling: Occasional | None = option(None)
    log_weights: Mapping[str, Name] = option(
        doc="lying, sitting, standing: the variable with its log weight in what is left of the day"
    )
    weight_day_sd: float = option(0.0, doc="day-to-day SD of each log weight")
    invalid: Invalid | None = option(None)
    columns: ActivityColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Missing at random: logit(p) = logit(probability) + terms."""

    probability: float
    terms: tuple[Term, ...] = option(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the extract: what is observed of a variable."""

    name: Name
    source: Name = option(key="from", doc="the variable it shows")
    type: Literal["int8", "int16", "int32", "float64", "date"] = option("int8")
    decimals: int | None = option(None, doc="rounding of a float64 column")
    label: str = option("")
    labels: Mapping[int, str] = option(factory=dict, doc="value labels of a whole-number column")
    asked_when: tuple[Condition, ...] = option((), doc="all must hold; otherwise missing")
    answered_anyway: float = option(0.0, doc="probability of an answer from those not asked")
    missing_when: tuple[Condition, ...] = option((), doc="missing where any holds")
    missing: Missing | None = option(None)
    blank: tuple[int, ...] = option((), doc="codes that leave the field empty, as an unticked box does")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """Unique whole numbers from `first` on, in shuffled order."""

    column: Name
    first: int = option(1)
    label: str = option("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """A risk ratio the log-risk model implies: exp(predictor at `to` - predictor at `from`), `given` modifiers."""

    name: str
    start: Mapping[Name, float] = option(key="from")
    to: Mapping[Name, float]
    given: Mapping[Name, float] = option(factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The variable whose log-risk model is the truth an analysis is to recover."""

    variable: Name
    contrasts: tuple[Contrast, ...] = option(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """Size and seed where none are asked for."""

    n: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A declared mechanism that produces a participants' extract with known truth."""

    title: str
    note: str = option("", doc="what the mechanism is and is not")
    defaults: Defaults
    identifier: Identifier
    variables: tuple[Variable, ...]
    activity: Activity | None = option(None)
    outcome: Outcome | None = option(None)
    columns: tuple[Column, ...]
