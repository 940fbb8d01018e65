"""walkrisk: adjusted risk ratios of an outcome across walking, from recording or extract to finished report."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from walkrisk.comparisons.comparing import Comparison, compare
    from walkrisk.comparisons.verifying import Verification, verify
    from walkrisk.doors.curves import dose_response
    from walkrisk.doors.effects import interaction
    from walkrisk.doors.example import example_cohort
    from walkrisk.doors.follow_up import risks_at_horizon
    from walkrisk.doors.impact import attributable_fractions
    from walkrisk.doors.pooled import pool
    from walkrisk.doors.ratios import compare_methods, risk_differences, risk_ratios, standardised_risks, weighted_risks
    from walkrisk.doors.results import Estimates, WalkriskWarning
    from walkrisk.doors.substitutions import time_substitution
    from walkrisk.doors.terms import categories, linear, power, product, spline
    from walkrisk.recordings.opening import read_recording
    from walkrisk.recordings.recording import Recording
    from walkrisk.runs.run import Run, run
    from walkrisk.sensitivity.evalue import EValue, evalue
    from walkrisk.sensors.run import SensorRun, run_sensors
    from walkrisk.sensors.settings import SensorSettings, load_settings
    from walkrisk.studies.declaration import load_study, study_from
    from walkrisk.studies.study import Study

_HOMES = {
    "Comparison": "walkrisk.comparisons.comparing",
    "compare": "walkrisk.comparisons.comparing",
    "Verification": "walkrisk.comparisons.verifying",
    "verify": "walkrisk.comparisons.verifying",
    "time_substitution": "walkrisk.doors.substitutions",
    "risks_at_horizon": "walkrisk.doors.follow_up",
    "attributable_fractions": "walkrisk.doors.impact",
    "pool": "walkrisk.doors.pooled",
    "interaction": "walkrisk.doors.effects",
    "dose_response": "walkrisk.doors.curves",
    "product": "walkrisk.doors.terms",
    "linear": "walkrisk.doors.terms",
    "power": "walkrisk.doors.terms",
    "categories": "walkrisk.doors.terms",
    "spline": "walkrisk.doors.terms",
    "WalkriskWarning": "walkrisk.doors.results",
    "Estimates": "walkrisk.doors.results",
    "compare_methods": "walkrisk.doors.ratios",
    "weighted_risks": "walkrisk.doors.ratios",
    "standardised_risks": "walkrisk.doors.ratios",
    "risk_differences": "walkrisk.doors.ratios",
    "risk_ratios": "walkrisk.doors.ratios",
    "example_cohort": "walkrisk.doors.example",
    "EValue": "walkrisk.sensitivity.evalue",
    "Recording": "walkrisk.recordings.recording",
    "Run": "walkrisk.runs.run",
    "SensorRun": "walkrisk.sensors.run",
    "SensorSettings": "walkrisk.sensors.settings",
    "Study": "walkrisk.studies.study",
    "evalue": "walkrisk.sensitivity.evalue",
    "load_settings": "walkrisk.sensors.settings",
    "load_study": "walkrisk.studies.declaration",
    "read_recording": "walkrisk.recordings.opening",
    "run": "walkrisk.runs.run",
    "run_sensors": "walkrisk.sensors.run",
    "study_from": "walkrisk.studies.declaration",
}
__all__ = [
    "Comparison",
    "EValue",
    "Estimates",
    "Recording",
    "Run",
    "SensorRun",
    "SensorSettings",
    "Study",
    "Verification",
    "WalkriskWarning",
    "attributable_fractions",
    "categories",
    "compare",
    "compare_methods",
    "dose_response",
    "evalue",
    "example_cohort",
    "interaction",
    "linear",
    "load_settings",
    "load_study",
    "pool",
    "power",
    "product",
    "read_recording",
    "risk_differences",
    "risk_ratios",
    "risks_at_horizon",
    "run",
    "run_sensors",
    "spline",
    "standardised_risks",
    "study_from",
    "time_substitution",
    "verify",
    "weighted_risks",
]


def __getattr__(name: str) -> Any:
    """Public names load what they need on first use, so that the command line answers at once."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'walkrisk' has no attribute {name!r}")
