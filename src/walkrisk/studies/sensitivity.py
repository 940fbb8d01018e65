"""The grammar of sensitivity analyses: what is varied, and beside which ratio everything is set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from walkrisk.declarations import Name, option
from walkrisk.studies.confounding import (
    Benchmarks,
    ConfounderArray,
    Contours,
    EValueCurves,
    ProbabilisticConfounder,
    ProbabilisticSelection,
)
from walkrisk.studies.losses import LossWeights, WorstCases
from walkrisk.studies.measurement import Calibration, MisclassifiedOutcome, Reliability, Simex
from walkrisk.studies.missing_data import Imputation
from walkrisk.studies.multiverse import Multiverse
from walkrisk.studies.precision import Power
from walkrisk.studies.robustness import Influence, Jackknife, OtherForms
from walkrisk.studies.selection import LeaveOneOut, NegativeControl


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """How much it would take to change the conclusion of one ratio analysis."""

    analysis: Name = option("main", doc="The ratio analysis that every sensitivity analysis is set beside.")
    model: Name = option("", doc="Its covariate model; by default the last of the analysis.")
    exposures: tuple[Name, ...] = option((), doc="Exposures followed through; by default those of the analysis.")
    levels: Mapping[Name, str] = option(
        factory=dict, doc="Exposure -> the category shown in the summary; by default its last."
    )
    imputations: tuple[Imputation, ...] = ()
    losses: tuple[LossWeights, ...] = ()
    worst_cases: tuple[WorstCases, ...] = ()
    evalue_curves: tuple[EValueCurves, ...] = ()
    benchmarks: tuple[Benchmarks, ...] = ()
    contours: tuple[Contours, ...] = ()
    confounder_arrays: tuple[ConfounderArray, ...] = ()
    probabilistic_confounders: tuple[ProbabilisticConfounder, ...] = ()
    probabilistic_selections: tuple[ProbabilisticSelection, ...] = ()
    reliabilities: tuple[Reliability, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    simex: tuple[Simex, ...] = ()
    misclassified_outcomes: tuple[MisclassifiedOutcome, ...] = ()
    leave_one_out: tuple[LeaveOneOut, ...] = ()
    negative_controls: tuple[NegativeControl, ...] = ()
    multiverses: tuple[Multiverse, ...] = ()
    influence: tuple[Influence, ...] = ()
    jackknives: tuple[Jackknife, ...] = ()
    other_forms: tuple[OtherForms, ...] = ()
    power: tuple[Power, ...] = ()


PARTS = tuple(f.name for f in fields(Sensitivity))[4:]


def declares_any(sensitivity: Sensitivity) -> bool:
    """Whether a study declares any sensitivity analysis here."""
    return any(getattr(sensitivity, part) for part in PARTS)


def ids(sensitivity: Sensitivity) -> list[str]:
    """The ids of all declared sensitivity analyses."""
    return [declared.id for part in PARTS for declared in getattr(sensitivity, part)]
