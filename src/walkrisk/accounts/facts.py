"""Sentences whose numbers are tied to the rows they come from.

A sentence is a template without digits and a fact for each of its places. A fact knows the row, the column and the form
in which it is printed, so that a report's sentences can be checked against its files one by one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from walkrisk.estimates.numbers import JAMA, Rounding, count, fixed
from walkrisk.estimates.results import Diagnostic, Point, Specification
from walkrisk.estimates.rows import Estimate

Row = Estimate | Point | Specification | Diagnostic
Form = Literal[
    "ratio", "interval", "fixed0", "fixed1", "fixed2", "fixed3", "percent0", "percent1", "count", "p",
    "setting", "words", "derived",
]  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Fact:
    """What stands in one place of a sentence: its text, and for a number the row and column it was printed from."""

    text: str
    form: Form
    row: Row | None = None
    column: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Sentence:
    """A finished sentence with the facts it was made of."""

    text: str
    facts: Mapping[str, Fact]
    template: str


def sentence(template: str, **facts: Fact) -> Sentence:
    """A sentence from its template. Raises ValueError if the template itself holds a digit or leaves a fact unused."""
    bare = re.sub(r"\{\w+\}", "", template)
    if re.search(r"\d", bare):
        raise ValueError(f"a number stands in the template itself: {template}")
    places = set(re.findall(r"\{(\w+)\}", template))
    if places != set(facts):
        raise ValueError(f"places {sorted(places)} and facts {sorted(facts)} differ: {template}")
    return _filled(template, facts)


def _filled(template: str, facts: Mapping[str, Fact]) -> Sentence:
    text = re.sub(r"\{(\w+)\}", lambda m: facts[m[1]].text, template)
    return Sentence(text[:1].upper() + text[1:], facts, template)


def rounded(said: Sentence, rounding: Rounding) -> Sentence:
    """A sentence with its ratios, percentages and P values in other decimals."""
    if rounding == JAMA:
        return said
    return _filled(said.template, {place: _rounded(fact, rounding) for place, fact in said.facts.items()})


def _rounded(fact: Fact, rounding: Rounding) -> Fact:
    row = fact.row
    if row is None:
        return fact
    if fact.form == "interval" and isinstance(row, Estimate) and row.estimate is not None:
        return replace(fact, text=rounding.interval(row.estimate, row.conf_low, row.conf_high))
    if fact.form in ("ratio", "percent1", "p"):
        return replace(fact, text=printed(getattr(row, fact.column), fact.form, rounding))
    return fact


def printed(value: float | None, form: Form, rounding: Rounding = JAMA) -> str:
    """A number in one of the forms of a fact."""
    if form == "ratio":
        return rounding.ratio(value) if value is not None else "not estimable"
    if form.startswith("fixed"):
        return fixed(value, int(form[-1]))
    if form == "percent1":
        return f"{fixed(None if value is None else 100 * value, rounding.percentages)}%"
    if form.startswith("percent"):
        return f"{fixed(None if value is None else 100 * value, int(form[-1]))}%"
    if form == "count":
        return count(value)
    if form == "p":
        text = rounding.p(value)
        return f"{text[0]} {text[1:]}" if text[0] in "<>" else f"= {text}"
    raise ValueError(f"a number is not printed as {form!r}")


def number_of(row: Row, column: str, form: Form) -> Fact:
    """One number of a row."""
    return Fact(printed(getattr(row, column), form), form, row, column)


def count_of(row: Row, column: str, min_cell: int) -> Fact:
    """A count of people; one of 1 to min_cell - 1 reads "fewer than" min_cell, one withheld "(not reported)"."""
    value = getattr(row, column)
    if value is None:
        return Fact("(not reported)", "words")
    if value is not None and 0 < value < min_cell:
        return Fact(f"fewer than {min_cell}", "setting")
    return Fact(count(value), "count", row, column)


def ratio_of(row: Estimate) -> Fact:
    """A ratio with its limits: 0.76 (0.67-0.87)."""
    if row.estimate is None:
        return Fact("not estimable", "words")
    return Fact(JAMA.interval(row.estimate, row.conf_low, row.conf_high), "interval", row, "estimate")


def setting(value: float | str) -> Fact:
    """A number that was declared."""
    return Fact(value if isinstance(value, str) else f"{value:g}", "setting")


def words(text: str) -> Fact:
    """A name: of a category, a covariate, an analysis."""
    return Fact(text, "words")


def derived(value: int) -> Fact:
    """A count over the rows of one table, such as how many analyses there are."""
    return Fact(count(value), "derived")
