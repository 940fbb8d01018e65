"""The main ratio without each level of a variable, and the main model with a negative control."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from walkrisk.errors import DataFault
from walkrisk.estimates.results import Diagnostic, unfitted
from walkrisk.estimates.rows import Estimate
from walkrisk.studies.analyse import ratio_rows
from walkrisk.studies.bench import Bench, Rows, joined
from walkrisk.studies.fitting import NoEstimate
from walkrisk.studies.robustness_checks import MOST_LEVELS
from walkrisk.studies.selection import LeaveOneOut, NegativeControl
from walkrisk.studies.study import Addition, RatioAnalysis
from walkrisk.variations.ground import Ground, exposures_of, main_analysis, main_rows
from walkrisk.variations.variation import Arrays, Variation

FloatArray = npt.NDArray[np.float64]

WITHOUT = "without "  # a stratum of left-out rows reads "without VARIABLE: LEVEL"


def plan(ground: Ground) -> Iterator[Variation]:
    """The declared analyses of selection. Raises DataFault for a variable with one level, or hundreds."""
    sensitivity = ground.study.sensitivity
    for left in sensitivity.leave_one_out:
        faults = [said for name in left.variables if (said := _fault(ground.bench, left, name))]
        if faults:
            raise DataFault(faults)
        yield Variation(left.id, left.title, (), partial(_left_out, ground, left))
    for control in sensitivity.negative_controls:
        yield Variation(control.id, control.title, (), partial(_controlled, ground, control))


def _fault(bench: Bench, declared: LeaveOneOut, name: str) -> str:
    count = len(_levels(bench, name))
    key = f"sensitivity.leave_one_out ({declared.id})"
    if count < 2:
        return f"{key}: {name} has {count} level in the analytic sample, so leaving it out leaves nobody; leave it out."
    if count > MOST_LEVELS:
        return (
            f"{key}: {name} has {count} values in the analytic sample; group them into {MOST_LEVELS} or fewer, for "
            "example by a derived variable."
        )
    return ""


def _levels(bench: Bench, name: str) -> dict[float, str]:
    """The levels of a variable in the analytic sample with their names."""
    values = bench.sample.columns[name]
    names = bench.cohort.variables[name].levels or {}
    found = np.unique(values[~np.isnan(values)]).tolist()
    if len(found) > MOST_LEVELS:
        return dict.fromkeys(found, "")
    return {code: names.get(int(code), f"{code:g}") for code in found}


# ---------------------------------------------------------------- leaving out


def _left_out(ground: Ground, declared: LeaveOneOut, parts: Sequence[Arrays]) -> Rows:
    bench, main = ground.bench, main_analysis(ground.study)
    variant = replace(main, id=declared.id, recut=declared.recut or main.recut)
    exposures = declared.exposures or exposures_of(ground.study)
    everyone = {e: _analysed(main_rows(bench, e)) for e in exposures}
    estimates: list[Estimate] = []
    diagnostics: list[Diagnostic] = []
    for name in declared.variables:
        values = bench.sample.columns[name]
        for code, label in _levels(bench, name).items():
            left = values != code  # people whose value is unknown stay
            stratum = f"{WITHOUT}{name}: {label}"
            few = int((~left).sum()) < ground.study.settings.min_cell
            for exposure in exposures:
                if few:
                    diagnostics.append(_too_few(ground, variant, exposure, stratum))
                    continue
                rows = ratio_rows(replace(bench, sample=bench.sample.where(left)), variant, exposure)
                n = _analysed(rows)
                if everyone[exposure] - n < ground.study.settings.min_cell:  # fewer of them were in the main model
                    diagnostics.append(_too_few(ground, variant, exposure, stratum))
                    continue
                estimates += [replace(e, stratum=stratum, n=n, events=None) for e in rows.estimates]
                diagnostics += [replace(d, stratum=stratum) for d in rows.diagnostics]
    return Rows(estimates=tuple(estimates), diagnostics=tuple(diagnostics))


def _analysed(rows: Rows) -> int:
    """People in the one model of these rows."""
    return sum(d.n or 0 for d in rows.diagnostics)


def _too_few(ground: Ground, variant: RatioAnalysis, exposure: str, stratum: str) -> Diagnostic:
    return unfitted(
        analysis=variant.id,
        exposure=exposure,
        stratum=stratum,
        model=variant.models[0],
        method=variant.method or ground.study.settings.method,
        why=f"Fewer than {ground.study.settings.min_cell} people have this level, so it is not left out alone.",
    )


# ---------------------------------------------------------------- negative controls


def control_exposures(ground_exposures: Sequence[str], declared: NegativeControl) -> tuple[str, ...]:
    """The exposures of a negative control's rows: the control itself, or those of the main analysis."""
    return (declared.exposure,) if declared.exposure else declared.exposures or tuple(ground_exposures)


def _controlled(ground: Ground, declared: NegativeControl, parts: Sequence[Arrays]) -> Rows:
    main = main_analysis(ground.study)
    add = (Addition(covariates=declared.beside, models=main.models),) if declared.beside else ()
    variant = replace(
        main,
        id=declared.id,
        outcome=declared.outcome or main.outcome,
        restrict=(*main.restrict, *declared.restrict),
        recut=declared.recut or main.recut,
        add=(*main.add, *add),
    )
    found: list[Rows] = []
    for exposure in control_exposures(exposures_of(ground.study), declared):
        try:
            found.append(ratio_rows(ground.bench, variant, exposure))
        except NoEstimate as none:
            found.append(Rows(diagnostics=(none.diagnostic,)))
    return joined(found)
