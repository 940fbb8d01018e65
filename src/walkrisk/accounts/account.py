"""What a sensitivity analysis amounts to: sentences, tables, pictures, and lines of the one summary; all from rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from walkrisk.accounts.facts import Sentence
from walkrisk.cohorts.cohort import Variable
from walkrisk.estimates.disclosure import RATIOS, CharacteristicCell, Mark
from walkrisk.estimates.numbers import Rounding
from walkrisk.estimates.results import Point, Results
from walkrisk.estimates.rows import Estimate
from walkrisk.figures.render import Figure, Width, words_of
from walkrisk.figures.spoken import listed, shortened
from walkrisk.studies.kinds import category_names
from walkrisk.studies.study import RatioAnalysis, Study
from walkrisk.tables.categories import ExposureLabel, level_names
from walkrisk.tables.cells import ABSENT, Guard, in_one_variance
from walkrisk.tables.table import Table
from walkrisk.variations.ground import exposures_of, main_analysis

GROUPS = (
    "Variants declared by the study",
    "Missing data",
    "Loss to follow-up",
    "Unmeasured confounding",
    "Measurement error",
    "Selection",
    "Choices of the analyst",
    "Influence and form",
    "Precision",
)


_ABOUT = 90  # characters of what a figure is about, at most


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A figure with what stands below it, and what it is `about` where the figure itself does not say so."""

    id: str
    title: str
    caption: str
    figure: Figure
    about: str = ""

    @property
    def alt(self) -> str:
        """What a reader is told who cannot see it: its parts, axes and main numbers."""
        return f"{shortened(self.about, _ABOUT)} {words_of(self.figure)}".strip()


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A line of the one summary: ratio rows, of which the summary picks those of its exposures and levels."""

    label: str
    rows: tuple[Estimate, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Account:
    """One sensitivity analysis as a reader meets it. `group` is one of GROUPS."""

    id: str
    title: str
    group: str
    methods: tuple[str, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    tables: tuple[Table, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What accounts are made from: a study, its rows, the names for people, the counts that must not be shown."""

    study: Study
    results: Results
    simulated: bool
    guard: Guard
    variables: Mapping[str, Variable]
    exposures: Mapping[str, ExposureLabel]
    described: Mapping[CharacteristicCell, Mark] = field(default_factory=dict)

    @property
    def analysis(self) -> RatioAnalysis:
        """The main analysis under its one model."""
        return main_analysis(self.study)

    @property
    def followed(self) -> tuple[str, ...]:
        """The exposures that are followed through."""
        return exposures_of(self.study)

    @property
    def rounding(self) -> Rounding:
        """The decimals that are printed."""
        return self.study.rounding

    def cell(self, e: Estimate | None) -> str:
        """A ratio with its limits as a cell of a table; a dash where there is none."""
        if e is None or e.estimate is None:
            return ABSENT
        return self.rounding.interval(e.estimate, e.conf_low, e.conf_high)

    @property
    def named(self) -> str:
        """The exposures that are followed through, by name."""
        return listed([self.label(e) for e in self.followed])

    @property
    def width(self) -> Width:
        """How wide figures are."""
        return self.study.settings.figure_width

    @property
    def variance(self) -> str:
        """The variance that tables show."""
        return (self.analysis.variances or self.study.settings.variances)[0]

    def main(self, exposure: str, level: str) -> Estimate:
        """The main ratio of a category."""
        return next(
            e for e in self.rows(self.analysis.id, exposure=exposure, level=level, model=self.analysis.models[0])
        )

    def rows(
        self,
        analysis: str,
        *,
        exposure: str | None = None,
        level: str | None = None,
        stratum: str | None = None,
        model: str | None = None,
        estimand: str | Sequence[str] = RATIOS,
    ) -> list[Estimate]:
        """Rows of an analysis under the variance that tables show; without an estimand, its ratios."""
        wanted = (estimand,) if isinstance(estimand, str) else tuple(estimand)
        return in_one_variance(
            [
                e
                for e in self.results.estimates
                if e.analysis == analysis
                and e.estimand in wanted
                and (exposure is None or e.exposure == exposure)
                and (level is None or e.level == level)
                and (stratum is None or e.stratum == stratum)
                and (model is None or e.model == model)
            ],
            self.variance,
        )

    def points(self, analysis: str, series: str | None = None, *, exposure: str | None = None) -> list[Point]:
        """Points of an analysis' figures."""
        return [
            p
            for p in self.results.points
            if p.analysis == analysis
            and (series is None or p.series == series)
            and (exposure is None or p.exposure == exposure)
        ]

    def levels(self, exposure: str) -> tuple[str, ...]:
        """The categories of an exposure that are compared with its reference."""
        return category_names(self.study, exposure)[1:]

    def reference(self, exposure: str) -> str:
        """The reference category of an exposure."""
        return category_names(self.study, exposure)[0]

    def headline(self, exposure: str) -> str:
        """The category of an exposure that the summary shows."""
        return self.study.sensitivity.levels.get(exposure, self.levels(exposure)[-1])

    def category(self, exposure: str, level: str) -> str:
        """A category for people, with its limits: Q4 (>123 min/day)."""
        label = self.exposures[exposure]
        levels = category_names(self.study, exposure)
        named = level_names(levels, self.results.cutpoints, self.analysis.id, label, self.exposures)
        text = ", ".join(named.get(level, (level,)))
        return level if text == level else f"{level} ({text} {label.unit})".replace(" )", ")")

    def label(self, exposure: str) -> str:
        """What an exposure is called."""
        return self.exposures[exposure].label
