"""The methods that are known only from what was run: who was analysed, days, missing data, printing, software."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from walkrisk.accounts.account import Account, View
from walkrisk.cohorts.days import Days
from walkrisk.estimates.disclosure import NOT_REPORTED, has_merged_steps, merge_small_steps
from walkrisk.estimates.numbers import count
from walkrisk.reports.manifest import versions
from walkrisk.runs.drawings import people_analysed
from walkrisk.runs.headlines import in_text
from walkrisk.studies.study import Study

NAMES = {
    "walkrisk": "walkrisk",
    "python": "Python",
    "numpy": "NumPy",
    "scipy": "SciPy",
    "matplotlib": "Matplotlib",
    "pyarrow": "PyArrow",
}


def participants(view: View) -> Iterator[str]:
    """Who was analysed, step by step, as far as steps may be shown; then how days became exposures."""
    results, k = view.results, view.study.settings.min_cell
    shown = merge_small_steps(results.flow, min_cell=k)
    analysed = people_analysed(results)
    if shown:
        steps = "; ".join(f"{in_text(s.reason)} (n = {count(s.n_excluded)})" for s in shown)
        merged = ", steps that exclude very few taken together" if has_merged_steps(shown) else ""
        yield (
            f"Of {count(shown[0].n_before)} people in the data, {count(shown[0].n_before - shown[-1].n_after)} were "
            f"excluded, in this order{merged}: {steps}. The analytic sample is {count(analysed)} people."
        )
    elif analysed >= k:
        yield f"The analytic sample is {count(analysed)} people."
    if view.study.days:
        yield _days(view.study.days)


def _days(days: Days) -> str:
    where = "columns of the extract" if days.layout == "wide" else "a table with one row a participant and day"
    said = [f"Of each person up to {days.number} days, in seconds of each activity, were taken from {where}."]
    rule = days.valid
    wanted = []
    if rule.zero_invalidates:
        wanted.append(" and ".join(f"some {_activities([name])}" for name in rule.zero_invalidates))
    if rule.total_of and rule.min_total_h:
        wanted.append(f"at least {rule.min_total_h:g} h of {_activities(rule.total_of)} together")
    if rule.not_worn and rule.max_not_worn_h is not None:
        wanted.append(f"at most {rule.max_not_worn_h:g} h of {_activities(rule.not_worn)} time together")
    if wanted:
        said.append(f"A day was valid with {'; '.join(wanted)}.")
    for which, group in groupby(sorted(days.means.values(), key=lambda m: m.days), key=lambda m: m.days):
        labels = ", ".join(in_text(m.label or _activities([m.of])) for m in group)
        said.append(f"Daily means over {which} days: {labels}.")
    return " ".join(said)


def _activities(names: Sequence[str]) -> str:
    *first, last = (n.removesuffix("_s").replace("_", " ") for n in names)
    return f"{', '.join(first)} and {last}" if first else last


def missing_data(study: Study) -> str:
    """What became of missing values."""
    lost = sorted({v for x in study.exclusions for v in x.known})
    said = ["Analyses are of complete cases: people for whom the outcome, the exposure and the covariates are known"]
    said[0] += ", in part by the exclusions." if lost else "."
    for imputed in study.sensitivity.imputations:
        said.append(f"Missing values were imputed in a sensitivity analysis ({imputed.sets} sets; “Missing data”).")
    return " ".join(said)


def sensitivity(accounts: Sequence[Account]) -> str:
    """Which sensitivity analyses were run, by group; empty without any."""
    if not accounts:
        return ""
    groups = [
        f"“{group}” ({'; '.join(in_text(a.title) for a in members)})"
        for group, members in groupby(accounts, key=lambda a: a.group)
    ]
    return f"Sensitivity analyses, each with its methods where its results stand: {', '.join(groups)}."


def printing(study: Study) -> str:
    """How numbers are rounded, and which are withheld."""
    k, base, rounding = study.settings.min_cell, study.settings.round_counts, study.rounding
    said = [
        "Numbers are rounded for print from full precision, halves away from zero: "
        f"ratios to {_decimals(rounding.ratios)}, percentages to {_decimals(rounding.percentages)}."
    ]
    if base:
        said.append(f"Counts of people are rounded to the nearest multiple of {base}.")
    if k:
        said.append(
            f"Counts of people from 1 to {k - 1} are printed as <{k}; others are not reported ({NOT_REPORTED}) where "
            "they would let one of these be worked out."
        )
    else:
        said.append("No count is withheld, small ones included.")
    return " ".join(said)


def _decimals(n: int) -> str:
    return "1 decimal" if n == 1 else f"{n} decimals"


def software(study: Study) -> str:
    """Programs with their versions, as journals ask for them."""
    known = versions()
    first = f"walkrisk {known.pop('walkrisk')} on Python {known.pop('python')}"
    others = ", ".join(f"{NAMES.get(n, n)} {v}" for n, v in known.items() if v != "not installed")
    engine = "statsmodels" if study.settings.engine == "statsmodels" else "walkrisk's own Newton iterations"
    return f"Analyses were done with {first} ({others}); maxima were found by {engine}."
