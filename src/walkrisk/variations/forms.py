"""The main contrast by other methods and on the difference scale, and the exposure as a number in several units."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.cohort import Variable
from walkrisk.estimates.disclosure import RATIOS
from walkrisk.estimates.results import Diagnostic, Point, unfitted
from walkrisk.studies.analyse import ratio_rows
from walkrisk.studies.bench import Bench, Rows, joined, make_bench, variable_of
from walkrisk.studies.robustness import Change, OtherForms
from walkrisk.studies.robustness_checks import variances_for
from walkrisk.studies.study import Exposure, RatioAnalysis
from walkrisk.studies.vocabulary import MANTEL_HAENSZEL, Estimand, Method, VarianceName, estimand_fault
from walkrisk.variations.ground import Ground, exposures_of, main_analysis, main_model
from walkrisk.variations.variation import Arrays, Variation

FloatArray = npt.NDArray[np.float64]


def plan(ground: Ground) -> Iterator[Variation]:
    """The declared other forms; nothing here is long."""
    for declared in ground.study.sensitivity.other_forms:
        yield Variation(declared.id, declared.title, (), partial(_rows, ground, declared))


def _rows(ground: Ground, declared: OtherForms, parts: Sequence[Arrays]) -> Rows:
    found: list[Rows] = []
    for exposure in declared.exposures or exposures_of(ground.study):
        if not declared.comparison:
            found += [_by_method(ground, declared, exposure, m, RATIOS) for m in declared.methods]
        found += [_by_method(ground, declared, exposure, m, ("risk_difference",)) for m in declared.differences]
        found += [_as_number(ground, declared, exposure, change) for change in _changes(ground, declared, exposure)]
    return joined(found)


def _by_method(ground: Ground, declared: OtherForms, exposure: str, method: Method, kinds: Sequence[str]) -> Rows:
    """The main contrast by one method; `stratum` is its name."""
    main = main_analysis(ground.study)
    wanted: Estimand = "risk_difference" if "risk_difference" in kinds else "risk_ratio"
    variances: tuple[VarianceName, ...] = ()
    if method != MANTEL_HAENSZEL:
        variances = variances_for(ground.study, main.variances, method, wanted)
    variant = replace(
        main,
        id=declared.id,
        method=method,
        estimand=None if estimand_fault(method, wanted) else wanted,
        variances=variances,
    )
    rows = ratio_rows(ground.bench, variant, exposure)
    kept = [replace(e, stratum=method, n=None, events=None) for e in rows.estimates if e.estimand in kinds]
    return Rows(estimates=tuple(kept), diagnostics=_placed(rows.diagnostics, exposure, method))


def _changes(ground: Ground, declared: OtherForms, exposure: str) -> list[Change]:
    """The units that can be given: that of the study only where there is one."""
    has_unit = bool(declared.units.get(exposure) or ground.study.exposures[exposure].per)
    return [c for c in declared.changes if c != "unit" or has_unit]


def _as_number(ground: Ground, declared: OtherForms, exposure: str, change: Change) -> Rows:
    """The ratio of an exposure as a number; `stratum` says in which unit, a point how large that is."""
    study, bench = ground.study, ground.bench
    before = study.exposures[exposure]
    frame = main_model(bench, exposure).assembled.frame
    values = main_model(bench, exposure).asked.people.columns[variable_of(study, exposure)][frame.rows]
    if change == "doubling" and not _doubles(values):
        return Rows(diagnostics=(_no_doubling(ground, declared, exposure),))
    sd = float(np.std(values, ddof=1))
    per = {"unit": declared.units.get(exposure) or before.per or 1.0, "doubling": 1.0}.get(change, sd)
    name = f"{exposure} {change}"
    made = replace(before, quantiles=None, cuts=(), cross=(), per=per)
    if change == "winsorised_sd":
        made = replace(made, winsorise_percentile=declared.winsorise_percentile)
    if change == "doubling":
        bench = _with_logarithm(bench, before, name)
        made = replace(made, variable=name, winsorise_percentile=None)
    changed = replace(study, exposures={**study.exposures, name: made})
    rows = ratio_rows(
        make_bench(changed, bench.cohort), _per_unit(main_analysis(study), declared, exposure, name), name
    )
    kept = [replace(e, exposure=exposure, stratum=change, level=change) for e in rows.estimates]
    n = next((e.n for e in kept if e.n is not None), None)
    blank = Point(analysis=declared.id, exposure=exposure, series="unit", item=change, y=per, n=n)
    lost = Point(analysis=declared.id, exposure=exposure, series="left_out", item=change, n=_lost(frame.n, n))
    return Rows(estimates=tuple(kept), diagnostics=_placed(rows.diagnostics, exposure, change), points=(blank, lost))


def _doubles(values: FloatArray) -> bool:
    """Whether the 99th percentile of people is twice the 1st or more: else a doubling is beyond what anybody shows."""
    low, high = np.percentile(values, [1.0, 99.0])
    return bool(high >= 2 * low)


def _no_doubling(ground: Ground, declared: OtherForms, exposure: str) -> Diagnostic:
    main = main_analysis(ground.study)
    return unfitted(
        analysis=declared.id,
        exposure=exposure,
        stratum="doubling",
        model=main.models[0],
        method=main.method or ground.study.settings.method,
        why=f"The 99th percentile of {exposure} is less than twice its 1st, so nobody between them is a "
        "doubling away from another, and the ratio per doubling is left out.",
    )


def _lost(before: int, after: int | None) -> int | None:
    return None if after is None else before - after


def _with_logarithm(bench: Bench, exposure: Exposure, name: str) -> Bench:
    """A bench whose cohort has log2 of an exposure's variable; a value of 0 or less has none."""
    assert exposure.variable
    values = bench.cohort.everyone[exposure.variable]
    with np.errstate(invalid="ignore", divide="ignore"):
        logarithm = np.where(values > 0, np.log2(np.where(values > 0, values, 1.0)), math.nan)
    cohort = replace(
        bench.cohort,
        everyone={**bench.cohort.everyone, name: logarithm},
        variables={**bench.cohort.variables, name: Variable(name, name)},
    )
    return replace(bench, cohort=cohort)


def _per_unit(main: RatioAnalysis, declared: OtherForms, exposure: str, name: str) -> RatioAnalysis:
    """The main analysis of an exposure under another name, per unit."""
    add = tuple(replace(a, exposures=(*a.exposures, name)) if exposure in a.exposures else a for a in main.add)
    return replace(main, id=declared.id, form="per_unit", exposures=(name,), add=add, recut=False, fixed_cuts={})


def _placed(diagnostics: Sequence[Diagnostic], exposure: str, stratum: str) -> tuple[Diagnostic, ...]:
    return tuple(replace(d, exposure=exposure, stratum=stratum) for d in diagnostics)
