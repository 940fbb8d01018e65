"""What imputations tell of their people where few values were missing: degrees of freedom, and where values lie.

Degrees of freedom and the fraction of missing information together give the people of the completed data (Barnard and
Rubin 1999, doi 10.1093/biomet/86.4.948), and the standard error beside the limits gives those degrees of freedom.
The density of a single imputed value is one over their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from walkrisk.disclosure.blanking import row_of
from walkrisk.estimates.results import Point
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.withheld import RATIOS, Withheld
from walkrisk.studies.study import Study

OF_POOLING = ("fmi", "df", "relative efficiency")


def guarded_imputed(
    study: Study, rows: Sequence[Estimate], points: Sequence[Point]
) -> tuple[list[Estimate], list[Point], list[Withheld]]:
    """Rows and points (blanked already) without what would tell a number of people that imputations keep back."""
    ids = {m.id for m in study.sensitivity.imputations}
    pooled = [e for e in rows if e.analysis in ids and e.estimand in RATIOS]
    unsized = {(e.analysis, e.exposure) for e in pooled if e.n is None}
    few = {(p.analysis, p.item) for p in points if p.series == "missing" and p.n is None}
    said: dict[Withheld, None] = {}
    kept = []
    for e in rows:
        telling = (e.analysis, e.exposure) in unsized and e.std_error is not None
        kept.append(replace(e, std_error=None, p_value=None) if telling else e)
        said |= {row_of(e, column, "derived"): None for column in ("std_error", "p_value") if telling}
    shown = []
    for p in points:
        sized = p.series in OF_POOLING and (p.analysis, p.exposure) in unsized
        bar = p.series == "distribution" and p.analysis in ids and bool(p.y)
        telling = sized or (bar and (not p.n or (p.stratum == "imputed" and (p.analysis, p.item) in few)))
        shown.append(replace(p, n=None, y=None) if telling and p.y is not None else p)
        if shown[-1] != p:
            place = {"analysis": p.analysis, "exposure": p.exposure, "level": p.level}
            said[Withheld(file="points", item=f"{p.series}: {p.item}", column="y", reason="derived", **place)] = None
    return kept, shown, list(said)
