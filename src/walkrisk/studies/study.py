"""The grammar of a study: what study.toml may say, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from walkrisk.cohorts.days import Days
from walkrisk.cohorts.eligibility import Condition, Exclusion
from walkrisk.cohorts.variables import Derivation
from walkrisk.declarations import Name, option
from walkrisk.estimates.numbers import Rounding
from walkrisk.studies.sections import Attributable, Comparison, Horizon, Standardised, Substitution
from walkrisk.studies.sensitivity import Sensitivity
from walkrisk.studies.vocabulary import Estimand, Method, VarianceName

Kind = Literal["id", "code", "category", "boolean", "integer", "number", "date"]


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the study is."""

    id: Name = option(doc="Short name of the study.")
    title: str = option(doc="Title of the report.")
    question: str = option("", doc="The question in a sentence, for the report.")
    population: str = option("", doc="Who was studied, for the report.")
    exposure_words: str = option("", doc="What the exposures are, for titles and notes.")
    outcome_words: str = option("", doc="What the outcome is, for titles and notes.")
    reference: str = option("", doc="The publication the study follows, with DOI.")
    notes: tuple[str, ...] = option((), doc="Sentences printed with the methods.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column contract of the source file."""

    kind: Kind = option(doc="What the column holds; decides how it is read and checked.")
    source: str | None = option(
        None, key="from", doc="What the file calls the column, where that is no plain name; by default as here."
    )
    codes: tuple[int, ...] = option((), doc="Of kind code: the whole numbers that may occur.")
    categories: tuple[str, ...] = option(
        (), doc="Of kind category: the texts that may occur; held as 1, 2, ... in this order."
    )
    minimum: float | None = option(None, doc="Smallest value that may occur.")
    maximum: float | None = option(None, doc="Largest value that may occur.")
    missing_codes: tuple[float, ...] = option((), doc="Numbers that mean missing in this column.")
    unit: str = ""
    meaning: str = option("", doc="What the column is, for people.")
    decimals: int = 1
    labels: Mapping[int, str] = option(factory=dict, doc="Code -> its name.")
    required: bool = option(
        True, doc="Whether the file must have the column; else an absent one is missing for everyone."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A 0/1 outcome, with follow-up time where hazards are modelled."""

    variable: Name = option(doc="A column or variable of 0, 1 and missing.")
    label: str
    event_word: str = option("cases", doc="What an event is called in tables.")
    time: Name | None = option(None, doc="Follow-up time, for Cox models and horizons.")
    event: Name | None = option(None, doc="Event at the end of follow-up, for Cox models and horizons.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """An exposure: a variable cut into categories, taken as it is, or a crossing of two others."""

    variable: Name | None = option(None, doc="The column or variable; without one `cross` makes joint groups.")
    cross: tuple[Name, ...] = option((), doc="Two exposures whose categories are crossed into joint groups.")
    label: str = ""
    unit: str = ""
    decimals: int = option(1, doc="Decimals of its cut points in tables.")
    quantiles: int | None = option(None, doc="Equal-sized groups cut on the analysed sample.")
    cuts: tuple[float, ...] = option((), doc="Fixed limits instead; a value equal to a limit belongs above it.")
    prefix: str = option("Q", doc="Categories are called prefix1, prefix2, ...")
    per: float | None = option(None, doc="Units of the linear term, for analyses by unit.")
    winsorise_percentile: float | None = option(
        None, doc="Values above this percentile of the analytic sample are set to it."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A covariate set."""

    covariates: tuple[Name, ...] = option(
        (), doc="Columns or variables adjusted for; those with levels are factors, others linear."
    )
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """How people were sampled, for weighted and design-based analyses."""

    weights: Name | None = option(None, doc="Column or variable of sampling weights.")
    strata: Name | None = option(None, doc="That of the sampling strata.")
    psu: Name | None = option(None, doc="That of the primary sampling units.")
    cluster: Name | None = option(None, doc="That of clusters, for cluster-robust variances.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for every analysis unless it says otherwise."""

    outcome: Name = option(doc="The outcome of every analysis that names no other; one of [outcomes].")
    method: Method = option("modified_poisson", doc="Estimator of every analysis that names no other.")
    estimand: Estimand | None = option(None, doc="What ratio analyses estimate, where the method leaves it open.")
    variances: tuple[VarianceName, ...] = option(("HC0",), doc="Variances reported; the first is shown in tables.")
    conf_level: float = option(0.95, doc="Level of confidence of all limits.")
    replicates: int = option(2000, doc="Bootstrap samples, where a variance or an interval is by bootstrap.")
    seed: int = option(1, doc="Seed of the bootstrap.")
    engine: Literal["newton", "statsmodels"] = option("newton", doc="What finds the maximum; the numbers are the same.")
    min_cell: int = option(
        5, doc="Counts from 1 to below this, and what gives one back, are left out of everything a run writes."
    )
    round_counts: int = option(0, doc="Counts are rounded to the nearest multiple of this; 0 leaves them exact.")
    figure_width: Literal["single", "double"] = option(
        "double", doc="Figures as wide as one column of a journal (88 mm) or two (180 mm)."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratify:
    """Separate fits within the levels of a variable or of an exposure's categories (not re-cut)."""

    by: Name = option(doc="A factor variable, or an exposure with categories.")
    names: Mapping[int, str] = option(doc="Level -> name of the stratum in the results.")
    drop: tuple[Name, ...] = option((), doc="Covariates that leave the models within strata.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """Covariates added to some models."""

    covariates: tuple[Name, ...] = option(doc="Covariates added.")
    models: tuple[Name, ...] = option(doc="Models they are added to.")
    exposures: tuple[Name, ...] = option((), doc="Only for these exposures; empty means all.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioAnalysis:
    """Ratios by category (or per unit) of exposures under covariate models."""

    id: Name
    title: str
    exposures: tuple[Name, ...]
    models: tuple[Name, ...]
    group: Literal["main", "supplement", "sensitivity", "strata", "other"] = option(
        "other", doc="Place in the report: main tables come first, sensitivity analyses stand in the summary."
    )
    form: Literal["categories", "per_unit"] = option(
        "categories", doc="Ratios by category, or per unit of the exposure's own number."
    )
    outcome: Name | None = None
    method: Method | None = None
    estimand: Estimand | None = None
    variances: tuple[VarianceName, ...] = ()
    weighted: bool = option(False, doc="Use the design's weights.")
    add: tuple[Addition, ...] = option((), doc="Covariates added to some models.")
    restrict: tuple[Condition, ...] = option((), doc="Restrict the analytic sample.")
    recut: bool = option(False, doc="Cut the exposure again in the restricted sample.")
    replace_covariates: Mapping[Name, Name] = option(factory=dict, doc="Covariate -> the variable put in its place.")
    fixed_cuts: Mapping[Name, tuple[float, ...]] = option(
        factory=dict, doc="Exposure -> fixed limits instead of quantiles."
    )
    stratify: Stratify | None = option(None, doc="Separate fits within strata.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A restricted cubic spline of each exposure, as a curve of ratios."""

    analysis: Name = option(doc="Name of the analysis in the results.")
    title: str = ""
    exposures: tuple[Name, ...] = option()
    model: Name = option()
    knot_percentiles: tuple[float, ...] = option(
        (10.0, 50.0, 90.0), doc="Percentiles of the analytic sample at which the knots stand."
    )
    knots: int | None = option(None, doc="A number of knots, placed by Harrell's rule, instead of percentiles.")
    reference_percentile: float = option(10.0, doc="Percentile of the analytic sample at which the ratio is 1.")
    step: Mapping[Name, float] = option(doc="Exposure -> distance of the grid points, from minimum to maximum.")
    mutual: bool = option(False, doc="Add the other exposures as splines with knots of their own.")
    standardised: bool = option(False, doc="Ratios of risks averaged over everyone's covariates.")
    lowest: bool = option(False, doc="Also the value of lowest risk between the 1st and 99th percentile.")
    method: Method | None = None
    variance: VarianceName | None = None
    weighted: bool = option(False, doc="Use the design's weights.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """P for trend across categories."""

    analysis: Name = option(doc="Name of the analysis in the results.")
    exposures: tuple[Name, ...]
    models: tuple[Name, ...]
    scores: tuple[Literal["quartile_median", "quartile_score", "continuous"], ...] = option(
        ("quartile_median", "quartile_score"),
        doc="What enters as a number: the median of each category, 1, 2, 3, ..., or the exposure itself.",
    )
    method: Method | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """Test of multiplicative interaction of an exposure's categories with a modifier, and joint effects of both."""

    analysis: Name = option(doc="Name of the analysis in the results.")
    exposure: Name
    modifier: Name = option(doc="A factor variable, or another exposure.")
    model: Name = option()
    drop: tuple[Name, ...] = option((), doc="Covariates the modifier replaces.")
    additive: bool = option(False, doc="Also joint effects, ratios within strata, RERI, AP and S from the one model.")
    method: Method | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EValues:
    """E-values of an analysis' ratios."""

    analysis: Name = option(doc="Name of the analysis in the results.")
    of: tuple[Name, ...] = option(doc="Ids of the ratio analyses.")
    model: Name = option()
    z: float = option(1.96, doc="Normal quantile of the interval whose limit is used.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Characteristics:
    """A descriptive table."""

    id: Name
    title: str
    rows: tuple[Name, ...] = option(doc="Columns and variables described.")
    by_exposure: Name | None = option(None, doc="Groups: an exposure's categories in the analytic sample.")
    by_step: Name | None = option(None, doc="Groups: passing one exclusion step or not, or `included`, among everyone.")
    group_names: Mapping[int, str] = option(factory=dict, doc="Code of the group -> its name in the table.")
    total: bool = option(True, doc="Also a column of everyone.")
    missing: bool = option(True, doc="Also rows of the people whose value is unknown, where there are any.")
    smd: bool = option(False, doc="Also a column of standardised mean differences between the groups.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioTable:
    """A table of counts and ratios in the layout of a journal."""

    id: Name
    title: str
    analysis: tuple[Name, ...] = option(doc="Ids of the ratio analyses set side by side.")
    models: tuple[Name, ...]
    footnotes: tuple[str, ...] = option((), doc="Sentences below the table.")
    form: Literal["list", "matrix"] = option(
        "list", doc="`matrix`: joint groups as a cross table, the first exposure in rows and the second in columns."
    )
    counts: tuple[Literal["events", "n"], ...] = option(
        ("events", "n"), doc="Counts that stand under the ratios of a matrix; a list has both."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveFigure:
    """Panels of dose-response curves."""

    id: Name
    title: str
    analysis: Name
    x_ticks: Mapping[Name, float] = option(factory=dict, doc="Exposure -> distance of the x ticks.")
    people: Literal["histogram", "rug", "none"] = option(
        "histogram",
        doc="How people are shown along an exposure: bars of a histogram, or the percentiles 5, 10, ..., 95.",
    )
    width: Literal["", "single", "double"] = option(
        "", doc="One or two columns of a journal; empty is that of [settings]."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestFigure:
    """A forest plot of analyses, strata and sensitivity analyses."""

    id: Name
    title: str
    analyses: tuple[Name, ...] = option(doc="Ids of the ratio analyses drawn.")
    model: Name
    exposures: tuple[Name, ...]
    width: Literal["", "single", "double"] = option(
        "", doc="One or two columns of a journal; empty is that of [settings]."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatFigure:
    """A heat map of joint groups: the categories of one exposure in rows, those of the other in columns."""

    id: Name
    title: str
    analysis: Name = option(doc="Id of a ratio analysis of one crossed exposure.")
    model: Name
    width: Literal["", "single", "double"] = option(
        "", doc="One or two columns of a journal; empty is that of [settings]."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class InOrder:
    """A check of the data: of two columns, the later must not come before the earlier."""

    earlier: Name = option(doc="Column that comes first.")
    later: Name = option(doc="Column that must not come before it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study, from source columns to figures."""

    study: About
    columns: Mapping[Name, Column]
    settings: Settings
    outcomes: Mapping[Name, Outcome]
    exposures: Mapping[Name, Exposure]
    models: Mapping[Name, Model]
    checks: tuple[InOrder, ...] = ()
    days: Days | None = None
    variables: Mapping[Name, Derivation] = option(factory=dict)
    exclusions: tuple[Exclusion, ...] = ()
    design: Design = option(factory=Design)
    analyses: tuple[RatioAnalysis, ...] = ()
    curves: tuple[Curve, ...] = ()
    trends: tuple[Trend, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    standardised: tuple[Standardised, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    attributable: tuple[Attributable, ...] = ()
    substitutions: tuple[Substitution, ...] = ()
    horizons: tuple[Horizon, ...] = ()
    evalues: tuple[EValues, ...] = ()
    sensitivity: Sensitivity = option(factory=Sensitivity)
    characteristics: tuple[Characteristics, ...] = ()
    tables: tuple[RatioTable, ...] = ()
    rounding: Rounding = option(factory=Rounding)
    curve_figures: tuple[CurveFigure, ...] = ()
    forest_figures: tuple[ForestFigure, ...] = ()
    heat_figures: tuple[HeatFigure, ...] = ()
