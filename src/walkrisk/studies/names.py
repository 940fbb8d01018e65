"""What the variables of a study are called: source columns, person values, derived variables and outcomes."""

from __future__ import annotations

from walkrisk.cohorts.cohort import Variable
from walkrisk.cohorts.prepare import described
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
