"""The STROBE items for cohort studies, each with where it stands in a run's report and what is left to the authors.

von Elm et al. 2007, doi:10.1016/S0140-6736(07)61602-X; the wording is ours, short.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from walkrisk.accounts.account import GROUPS, View
from walkrisk.reports.html import FigureBlock, Section
from walkrisk.runs.limits import loss_steps
from walkrisk.studies.study import RatioTable, Study
from walkrisk.tables.table import Head, Row, Table

ID = "strobe"
NOT_HERE = "–"
SOURCE = (
    "The 22 items are those of the STROBE statement for cohort studies (von Elm et al., 2007, "
    "doi:10.1016/S0140-6736(07)61602-X), put in our words. Where an item is found is worked out from this report; that "
    "it is found does not say that it is complete."
)


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the checklist: what it asks, where the report has it ("" if nowhere), what the authors write."""

    number: str
    asks: str
    found: str
    left: str = ""


def strobe_table(view: View, sections: Sequence[Section]) -> Table:
    """The checklist, from the finished sections of the report."""
    return Table(
        id=ID,
        title="STROBE checklist for cohort studies",
        header=(
            Head("Item"),
            Head("What it asks for", words=True),
            Head("Found in", words=True),
            Head("Left to the authors", words=True),
        ),
        rows=tuple(_rows(Finder(view, sections))),
        notes=(SOURCE,),
    )


def _rows(find: Finder) -> Iterator[Row]:
    parts = {
        "Title and abstract": _title,
        "Introduction": _introduction,
        "Methods": _methods,
        "Results": _results,
        "Discussion and other information": _discussion,
    }
    for heading, items in parts.items():
        yield Row(cells=(heading,), kind="heading")
        for item in items(find):
            cells = (item.number, item.asks, item.found or NOT_HERE, item.left or NOT_HERE)
            yield Row(cells=cells, indent=1)


@dataclass(frozen=True, slots=True)
class Finder:
    """Names of the report's parts: sections that are there, tables and figures with numbers."""

    view: View
    sections: Sequence[Section]

    @property
    def study(self) -> Study:
        """The study."""
        return self.view.study

    @property
    def names(self) -> Mapping[str, str]:
        """Id of a table or figure -> what it is called."""
        blocks = (b for s in self.sections for b in s.blocks)
        return {b.id: b.number for b in blocks if isinstance(b, Table | FigureBlock) and b.number}

    def named(self, ids: Iterable[str]) -> list[str]:
        """The tables and figures of these ids that are there."""
        return [self.names[i] for i in ids if i in self.names]

    def titled(self, *ids: str) -> list[str]:
        """The sections of these ids that are there, by title in quotation marks."""
        return [f"“{s.title}”" for i in ids for s in self.sections if s.id == i]

    @property
    def groups(self) -> list[str]:
        """The sections of sensitivity analyses."""
        return [f"“{s.title}”" for s in self.sections if s.title in GROUPS]

    def group(self, title: str) -> list[str]:
        """The section of one group of sensitivity analyses."""
        return [f"“{title}”"] if f"“{title}”" in self.groups else []

    def tables(self, *, crude: bool) -> list[RatioTable]:
        """The tables of ratios that show a crude model, or an adjusted one."""
        models = self.study.models
        return [t for t in self.study.tables if any((not models[m].covariates) == crude for m in t.models)]


def _all(*parts: Sequence[str]) -> str:
    return "; ".join(dict.fromkeys(name for part in parts for name in part))


def _title(find: Finder) -> Iterator[Item]:
    yield Item("1a", "Study design in title or abstract", "", "Call it a cohort study in the title or the abstract.")
    yield Item("1b", "Abstract that is informative and balanced", "Sentence and facts at the top", "The abstract.")


def _introduction(find: Finder) -> Iterator[Item]:
    yield Item("2", "Background and reasons for the study", "", "What was known, and why the study was done.")
    found = "Question under the title" if find.study.study.question else ""
    yield Item("3", "Objectives, with hypotheses set beforehand", found, "Which hypotheses were set before the data.")


def _methods(find: Finder) -> Iterator[Item]:
    study, ways = find.study, find.titled("section_methods")
    flow = find.named(["flow"])
    about = "Facts at the top" if study.study.population else ""
    yield Item("4", "Key parts of the design, early on", about, "The design, early in the text.")
    yield Item("5", "Setting, places and dates", about, "Places; dates of recruitment, exposure and follow-up.")
    yield Item(
        "6a", "Who was eligible, how selected, how followed up", _all(ways, flow), "Sources and ways of selecting."
    )
    yield Item("6b", "Matched studies: criteria and number of unexposed", "Does not apply: nobody was matched")
    yield Item(
        "7",
        "Definitions of outcomes, exposures, confounders, effect modifiers",
        _all(ways),
        "Diagnostic criteria; why these confounders.",
    )
    yield Item(
        "8",
        "Sources of data and ways of measuring",
        _all(ways, find.titled("section_origin")),
        "Instruments and questionnaires, and whether groups were measured alike.",
    )
    yield Item("9", "What was done about bias", _all(find.groups), "Biases thought of when the study was planned.")
    yield Item("10", "How the size of the study came about", _all(flow, find.group("Precision")), "Why this size.")
    yield Item("11", "Handling of quantitative variables", _all(ways), "Why these groups or knots.")
    yield from _statistics(find, ways)


def _statistics(find: Finder, ways: list[str]) -> Iterator[Item]:
    study = find.study
    yield Item("12a", "All statistical methods, confounding included", _all(ways))
    subgroups = any(a.stratify for a in study.analyses) or study.interactions
    no_subgroups = "" if subgroups else "No subgroup or interaction was declared; say so."
    yield Item("12b", "Methods for subgroups and interactions", _all(ways) if subgroups else "", no_subgroups)
    yield Item(
        "12c", "How missing data were handled", _all(ways, find.group("Missing data")), "Why values are missing."
    )
    loss = find.group("Loss to follow-up")
    left = "Why people were lost." if loss_steps(study) else "How loss to follow-up was dealt with."
    yield Item("12d", "How loss to follow-up was handled", _all(loss or find.titled("section_limits")), left)
    summary = find.titled("section_summary")
    declared = find.titled("section_further") if any(a.group == "sensitivity" for a in study.analyses) else []
    found = _all(ways if summary or declared or find.groups else [], summary, declared, find.groups)
    yield Item("12e", "Sensitivity analyses", found, "" if found else "None is in this report; say so.")


def _results(find: Finder) -> Iterator[Item]:
    study = find.study
    flow = find.named(["flow"])
    yield Item("13a", "Numbers at each stage", _all(flow, find.titled("section_methods")), "Numbers before these data.")
    yield Item("13b", "Reasons for leaving at each stage", _all(flow), "Reasons before these data.")
    yield Item("13c", "Flow diagram", _all(flow))
    described = find.named(c.id for c in study.characteristics if not c.by_step)[:3]
    yield Item("14a", "Characteristics of participants", _all(described))
    unknown = find.named(_with_unknown(find))
    complete = _all(unknown) or ("No value is missing among those analysed" if described else "")
    yield Item("14b", "Number with missing data, by variable", complete, "Missing values among all who were eligible.")
    follow_up = find.named(_of_follow_up(study))
    yield Item("14c", "Follow-up time, mean and total", _all(follow_up), "" if follow_up else "The time of follow-up.")
    counted = find.named(t.id for t in study.tables)
    yield Item("15", "Number of events", _all(["Facts at the top"], flow, counted[:1]))
    crude, adjusted = (find.named(t.id for t in find.tables(crude=c)) for c in (True, False))
    left = "" if crude else "Ratios without adjustment. "
    yield Item(
        "16a",
        "Unadjusted and adjusted estimates with intervals",
        _all(crude, adjusted),
        f"{left}Why these confounders.",
    )
    cut = any(e.quantiles or e.cuts for e in study.exposures.values())
    yield Item("16b", "Limits of categories", _all(counted[:1], find.titled("section_methods")) if cut else "")
    ids = [s.analysis for s in study.standardised] + [h.analysis for h in study.horizons]
    absolute = find.named([*ids, *(a.analysis for a in study.attributable)])
    yield Item("16c", "Absolute risks, where they say more", _all(absolute), "" if absolute else "Absolute risks.")
    others = find.titled("section_dose", "section_further", "section_effects", "section_testing", "section_summary")
    found = _all(others, find.groups)
    left = "" if found else "None is in this report; say so."
    yield Item("17", "Other analyses: subgroups, interactions, sensitivity", found, left)


def _discussion(find: Finder) -> Iterator[Item]:
    yield Item("18", "Key results against the objectives", "Sentence at the top", "In the authors' words.")
    limits = find.titled("section_limits")
    yield Item(
        "19", "Limitations, with direction and size of bias", _all(limits, find.groups), "Which way bias may go."
    )
    yield Item("20", "Careful interpretation", _all(find.titled("section_reading")), "The interpretation.")
    beside = find.named(c.id for c in find.study.characteristics if c.by_step)
    yield Item("21", "How far results hold for others", _all(beside), "For whom the results hold.")
    yield Item("22", "Funding and the role of funders", "", "Funding of this study and of the one it comes from.")


def _with_unknown(find: Finder) -> list[str]:
    """Descriptive tables of the analytic sample that show missing values."""
    people: dict[tuple[str, str], float] = {}
    short: dict[str, None] = {}
    for c in find.view.results.characteristics:
        if c.statistic == "n":
            people[c.table, c.group] = c.value or 0
    for c in find.view.results.characteristics:
        if c.statistic != "n" and (c.known or 0) < people.get((c.table, c.group), 0):
            short[c.table] = None
    return list(short)


def _of_follow_up(study: Study) -> list[str]:
    """Descriptive tables with a time of follow-up: that of an outcome, or a variable that is called so."""
    times = {o.time for o in study.outcomes.values() if o.time}
    called = {n for n, v in study.variables.items() if "follow-up" in v.label.lower() and v.unit}
    return [c.id for c in study.characteristics if (times | called) & set(c.rows)]
