"""The heat map of joint groups: a ratio for each pair of categories of two exposures."""

from __future__ import annotations

import numpy as np

from walkrisk.accounts.account import Drawing
from walkrisk.estimates.disclosure import RATIOS
from walkrisk.estimates.results import Results
from walkrisk.estimates.rows import Estimate
from walkrisk.figures.heat_map import HeatPanel, heat_map_figure
from walkrisk.studies.kinds import category_names
from walkrisk.studies.study import HeatFigure, Study
from walkrisk.tables.cells import in_one_variance

REFERENCE = "1"


def joint_drawing(study: Study, results: Results, declared: HeatFigure, simulated: bool) -> Drawing:
    """One declared heat map; a pair without an estimate, or whose ratio is withheld, stays grey."""
    analysis = next(a for a in study.analyses if a.id == declared.analysis)
    (exposure,) = analysis.exposures
    first, second = study.exposures[exposure].cross
    rows = [
        e
        for e in results.estimates
        if (e.analysis, e.exposure, e.model, e.stratum) == (analysis.id, exposure, declared.model, "")
        and e.estimand in RATIOS
    ]
    rows = in_one_variance(rows, (analysis.variances or study.settings.variances)[0])
    found = {e.level: e for e in rows}
    y_names, x_names = (list(category_names(study, e)) for e in (first, second))
    cells = [[found.get(f"{y}/{x}") for x in x_names] for y in y_names]
    names = [study.exposures[e].label or e for e in (first, second)]
    reference = next((e.reference for e in rows), "").replace("/", ", ")
    panel = HeatPanel(
        title=f"{names[0]} by {names[1].lower()}",
        x_names=x_names,
        y_names=y_names,
        values=np.array([[_value(e) for e in line] for line in cells], dtype=np.float64),
        texts=[["" if e is None else _text(e, study) for e in line] for line in cells],
        strong=np.array([[e is not None and _leaves_out_one(e) for e in line] for line in cells]),
    )
    key = "Framed and bold: the interval leaves out 1." + (
        " Grey: no estimate." if np.isnan(panel.values).any() else ""
    )
    figure = heat_map_figure(
        [panel],
        x_label=names[1],
        y_label=names[0],
        key=key,
        simulated=simulated,
        width=declared.width or study.settings.figure_width,
    )
    caption = (
        f"{study.models[declared.model].label} ratios of joint groups of {names[0].lower()} and {names[1].lower()}, "
        f"each against {reference}; the lighter, the nearer to 1."
    )
    about = f"Joint groups against {reference}."
    return Drawing(declared.id, declared.title, caption, figure, about=about)


def _is_reference(e: Estimate) -> bool:
    return e.level == e.reference


def _value(e: Estimate | None) -> float:
    if e is None or (e.estimate is None and not _is_reference(e)):
        return float("nan")
    return 1.0 if e.estimate is None else e.estimate


def _text(e: Estimate, study: Study) -> str:
    if _is_reference(e):
        return REFERENCE
    return "" if e.estimate is None else study.rounding.ratio(e.estimate)


def _leaves_out_one(e: Estimate) -> bool:
    """Whether an interval leaves out 1; a reference has none."""
    if _is_reference(e) or e.conf_low is None or e.conf_high is None:
        return False
    return not e.conf_low <= 1.0 <= e.conf_high
