"""What a declared name is: a factor or a number, an exposure with categories, and what these are called."""

from __future__ import annotations

from collections.abc import Mapping

from walkrisk.studies.sections import Comparison
from walkrisk.studies.sensitivity import declares_any
from walkrisk.studies.study import Interaction, Study
from walkrisk.studies.vocabulary import BOOTSTRAP


def is_factor(study: Study, name: str) -> bool:
    """Whether a column or variable has levels, so that models take it as a factor."""
    return bool(levels_of(study, name))


def levels_of(study: Study, name: str) -> Mapping[int, str]:
    """Level -> name of a column or variable; empty for a number."""
    if name in study.variables:
        return study.variables[name].levels
    column = study.columns.get(name)
    if column is None:
        return {}
    if column.labels:
        return column.labels
    return dict(enumerate(column.categories or ("",), start=1)) if column.kind == "category" else {}


def has_levels(study: Study, exposure: str) -> bool:
    """Whether an exposure's categories are the levels of its variable."""
    e = study.exposures[exposure]
    return bool(e.variable) and not (e.quantiles or e.cuts or e.per) and is_factor(study, e.variable or "")


def categorical(study: Study) -> list[str]:
    """The exposures that have categories."""
    return [n for n, e in study.exposures.items() if e.cross or e.quantiles or e.cuts or has_levels(study, n)]


def numeric(study: Study) -> list[str]:
    """The exposures that are a number of their own."""
    return [n for n, e in study.exposures.items() if e.variable and not has_levels(study, n)]


def category_names(study: Study, exposure: str) -> tuple[str, ...]:
    """The names of an exposure's categories in the results; empty without categories."""
    e = study.exposures[exposure]
    if e.cross:
        known = [category_names(study, part) for part in e.cross if part in study.exposures]
        return tuple(f"{a}/{b}" for a in known[0] for b in known[1]) if len(known) == 2 else ()
    if e.quantiles or e.cuts:
        return tuple(f"{e.prefix}{i}" for i in range(1, (e.quantiles or len(e.cuts) + 1) + 1))
    return tuple(levels_of(study, e.variable or "").values()) if has_levels(study, exposure) else ()


def section_table_ids(study: Study) -> list[str]:
    """The ids of the tables that sections have, in the order of the report."""
    ids = [*(s.analysis for s in study.standardised), *(h.analysis for h in study.horizons)]
    ids += [comparison_id(c, e) for c in study.comparisons for e in c.exposures]
    ids += [joint_id(x) for x in study.interactions if x.additive]
    return [*ids, *(a.analysis for a in study.attributable), *(s.analysis for s in study.substitutions)]


def without_display(study: Study) -> list[str]:
    """Ids of the ratio analyses that stand in no declared table or figure and in no line of the summary."""
    shown = {i for t in study.tables for i in t.analysis} | {i for f in study.forest_figures for i in f.analyses}
    shown |= {h.analysis for h in study.heat_figures}
    if declares_any(study.sensitivity):
        variants = (a for a in study.analyses if a.group == "sensitivity")
        shown |= {a.id for a in variants if a.form == "categories" and not a.stratify}
    return [a.id for a in study.analyses if a.id not in shown]


def comparison_id(c: Comparison, exposure: str) -> str:
    """The table of one exposure of a comparison."""
    return c.analysis if len(c.exposures) == 1 else f"{c.analysis}_{exposure}"


def joint_id(x: Interaction) -> str:
    """The table of joint effects of an interaction."""
    return f"{x.analysis}_{x.exposure}_{x.modifier}"


def is_resampled(study: Study) -> bool:
    """Whether anything in a study is drawn, by bootstrap or in sensitivity analyses, and so depends on its seed."""
    named = {*study.settings.variances}
    for group in (study.analyses, study.standardised, study.attributable, study.substitutions, study.horizons):
        named.update(v for s in group for v in s.variances)
    named |= {c.variance for c in study.curves if c.variance} | {c.variance for c in study.comparisons if c.variance}
    drawn = declares_any(study.sensitivity) or any(s.intervals != "delta" for s in study.standardised)
    return drawn or BOOTSTRAP in named
