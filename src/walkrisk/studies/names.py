"""What the variables of a study (source columns, person values, derived ones, outcomes) and its analyses are called."""

from __future__ import annotations

from walkrisk.cohorts.cohort import Variable
from walkrisk.cohorts.prepare import described
from walkrisk.studies.sensitivity import PARTS
from walkrisk.studies.study import Study


def source_variables(study: Study) -> dict[str, Variable]:
    """Source columns as variables."""
    out = {}
    for name, c in study.columns.items():
        levels = dict(c.labels) or (dict(enumerate(c.categories, start=1)) if c.kind == "category" else None)
        out[name] = Variable(name, c.meaning or name, c.unit, levels, c.decimals)
    return out


def variables_of(study: Study) -> dict[str, Variable]:
    """Every variable of a study with what tables and figures call it."""
    return {**source_variables(study), **described(study.days, study.variables), **outcome_variables(study)}


def outcome_variables(study: Study) -> dict[str, Variable]:
    """Outcomes as variables of one level, the event."""
    return {o.variable: Variable(o.variable, o.label, "", {1: o.event_word}) for o in study.outcomes.values()}


def titles_of(study: Study) -> dict[str, str]:
    """Name of an analysis or section in the results -> its title, where it has one."""
    parts = [part for name in PARTS for part in getattr(study.sensitivity, name)]
    found = {part.id: getattr(part, "title", "") for part in (*study.analyses, *parts)}
    for section in (study.curves, study.standardised, study.comparisons, study.attributable, study.horizons):
        found |= {one.analysis: one.title for one in section}
    found |= {x.analysis: x.title for x in study.substitutions}
    found |= {x.analysis: "Interaction" for x in study.interactions}
    return {name: title for name, title in found.items() if title}
