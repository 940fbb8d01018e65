"""The grammar of multiverses: decisions an analyst takes, each with its options, and all that come of them together.

An option changes one thing of the study. A specification takes one option of every decision. All answer one question,
the ratio between two values of the exposure, so that they can stand on one axis:

    categories           the highest category against the lowest, as the option cuts them
    per_unit, spline     two values of the exposure: the medians of the highest and the lowest category that the study
                         itself cuts, found again in the sample and the units of the specification

With `scale = "distance"` log ratios of categories are brought to the distance between these two values: times
(b - a) / (B - A), with B and A the medians of the option's own highest and lowest category. That supposes a log-linear
trend between them, and makes tertiles, quartiles and quintiles, which lie more or less far apart, alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from walkrisk.cohorts.days import ValidDay
from walkrisk.cohorts.eligibility import Condition
from walkrisk.cohorts.variables import Derivation
from walkrisk.declarations import Name, option
from walkrisk.studies.vocabulary import Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What every option has."""

    id: Name
    title: str = ""
    reference: bool = option(False, doc="The study's own choice; without one it is the first option.")

    @property
    def name(self) -> str:
        """What the option is called."""
        return self.title or self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class AsDeclaredOption(Choice):
    """Nothing is changed."""

    op: Literal["as_declared"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidDaysOption(Choice):
    """Another rule for a valid day, or more of them."""

    op: Literal["valid_days"]
    valid: ValidDay | None = option(None, doc="The rule instead of days.valid.")
    fewest: int | None = option(None, doc="Fewest valid days a person must have.")
    count: Name = option("valid_days", doc="The day count that `fewest` is about.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoriesOption(Choice):
    """Other cut points of the exposures: the highest category against the lowest."""

    op: Literal["categories"]
    quantiles: int | None = option(None, doc="Equal-sized groups, cut in the sample of each specification.")
    cuts: Mapping[Name, tuple[float, ...]] = option(factory=dict, doc="Exposure -> fixed limits.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PerUnitOption(Choice):
    """A linear term: the ratio between two values of the exposure."""

    op: Literal["per_unit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplineOption(Choice):
    """A restricted cubic spline: the ratio between two values of the exposure."""

    op: Literal["spline"]
    knot_percentiles: tuple[float, ...] = option((10.0, 50.0, 90.0), doc="Percentiles at which the knots stand.")
    knots: int | None = option(None, doc="A number of knots, placed by Harrell's rule, instead of percentiles.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CovariatesOption(Choice):
    """Other covariates: those of another model, or of the study's with some added, dropped or replaced."""

    op: Literal["covariates"]
    model: Name | None = option(None, doc="Another model of the study instead.")
    add: tuple[Name, ...] = option((), doc="Covariates added.")
    drop: tuple[Name, ...] = option((), doc="Covariates left out.")
    replace: Mapping[Name, Name] = option(factory=dict, doc="Covariate -> the variable put in its place.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodOption(Choice):
    """Another estimator."""

    op: Literal["method"]
    method: Method = option(doc="The estimator instead.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeOption(Choice):
    """Another outcome."""

    op: Literal["outcome"]
    outcome: Name = option(doc="The outcome instead; one of [outcomes].")


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivationOption(Choice):
    """Another derivation of variables, such as other limits of speed or other weights of intensity."""

    op: Literal["derivation"]
    variables: Mapping[Name, Derivation] = option(doc="Variable -> its derivation instead.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestrictOption(Choice):
    """Fewer people (those who meet the conditions), or more (without some exclusions)."""

    op: Literal["restrict"]
    require: tuple[Condition, ...] = ()
    without: tuple[Name, ...] = option((), doc="Exclusions of the study that are left out.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingDataOption(Choice):
    """Another approach to missing covariates."""

    op: Literal["missing_data"]
    approach: Literal["indicator", "imputed"] = option(
        doc="indicator: unknown as a level; imputed: pooled over imputed sets."
    )
    imputation: Name | None = option(None, doc="imputed: the id of one of sensitivity.imputations.")
    sets: int = option(5, doc="imputed: how many of its sets are used.")
    variables: tuple[Name, ...] = option(
        (), doc="indicator: factors in which unknown becomes a level of its own, in place of leaving people out."
    )
    without: tuple[Name, ...] = option((), doc="indicator: exclusions of people with these unknown, left out.")


Option = (
    AsDeclaredOption
    | ValidDaysOption
    | CategoriesOption
    | PerUnitOption
    | SplineOption
    | CovariatesOption
    | MethodOption
    | OutcomeOption
    | DerivationOption
    | RestrictOption
    | MissingDataOption
)
FORMS = ("categories", "per_unit", "spline")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Something that could have been done otherwise."""

    id: Name
    title: str = ""
    options: tuple[Option, ...] = option(doc="What could be done; one option is what the study does.")
    exposures: tuple[Name, ...] = option(
        (), doc="Taken for these exposures; for all others it stays as the study has it."
    )

    @property
    def reference(self) -> int:
        """The place of the study's own choice."""
        return next((i for i, o in enumerate(self.options) if o.reference), 0)

    @property
    def name(self) -> str:
        """What the decision is called."""
        return self.title or self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiverse:
    """All that comes of every combination of the options of several decisions."""

    id: Name
    title: str = "Every combination of choices"
    decisions: tuple[Decision, ...]
    exposures: tuple[Name, ...] = option((), doc="By default those that sensitivity analyses follow.")
    never: tuple[Mapping[Name, tuple[Name, ...]], ...] = option(
        (), doc="Combinations that make no sense: decision -> options, which are left out where all of them meet."
    )
    scale: Literal["groups", "distance"] = option(
        "groups",
        doc="groups: highest against lowest category as cut; distance: brought to the distance between the medians of "
        "the study's own highest and lowest category.",
    )
    sample: int | None = option(None, doc="A random so many of the combinations, the study's own among them.")
    permutations: int = option(500, doc="Data sets without association for the joint test; 0 for none.")
    null: Literal["shuffled", "flipped"] = option(
        "shuffled",
        doc="How they are made: what covariates leave of the exposures shuffled between people, or the signs of "
        "people's score contributions flipped, which is quicker.",
    )

    def combinations(self, exposure: str = "") -> Iterator[tuple[int, ...]]:
        """Every admissible combination as one place an option a decision, the last decision running fastest.

        Of an exposure, those that leave decisions about other exposures as the study has them.
        """
        fixed = {
            i: d.reference
            for i, d in enumerate(self.decisions)
            if exposure and d.exposures and exposure not in d.exposures
        }
        barred = [
            {
                i: {k for k, o in enumerate(d.options) if o.id in names[d.id]}
                for i, d in enumerate(self.decisions)
                if d.id in names
            }
            for names in self.never
        ]
        shape = [len(d.options) for d in self.decisions]
        for number in range(prod(shape)):
            places = []
            for size in reversed(shape):
                number, place = divmod(number, size)
                places.append(place)
            chosen = tuple(reversed(places))
            if any(chosen[i] != place for i, place in fixed.items()):
                continue
            if not any(one and all(chosen[i] in bad for i, bad in one.items()) for one in barred):
                yield chosen

    @property
    def reference(self) -> tuple[int, ...]:
        """The study's own combination."""
        return tuple(d.reference for d in self.decisions)

    def chosen(self, places: tuple[int, ...]) -> tuple[Option, ...]:
        """The options of a combination."""
        return tuple(d.options[i] for d, i in zip(self.decisions, places, strict=True))

    def words(self, places: tuple[int, ...]) -> str:
        """A combination as a specification's row has it."""
        return "; ".join(f"{d.id}={d.options[i].id}" for d, i in zip(self.decisions, places, strict=True))
