"""walkrisk: adjusted risk ratios of an outcome across walking, from recording or extract to finished report."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from walkrisk.recordings.opening import read_recording
    from walkrisk.recordings.recording import Recording
    from walkrisk.sensitivity.evalue import EValue, evalue
    from walkrisk.sensors.run import SensorRun, run_sensors
    from walkrisk.sensors.settings import SensorSettings, load_settings
    from walkrisk.studies.declaration import load_study, study_from
    from walkrisk.studies.run import Run, run
    from walkrisk.studies.study import Study

_HOMES = {
    "EValue": "walkrisk.sensitivity.evalue",
    "Recording": "walkrisk.recordings.recording",
    "Run": "walkrisk.studies.run",
    "SensorRun": "walkrisk.sensors.run",
    "SensorSettings": "walkrisk.sensors.settings",
    "Study": "walkrisk.studies.study",
    "evalue": "walkrisk.sensitivity.evalue",
    "load_settings": "walkrisk.sensors.settings",
    "load_study": "walkrisk.studies.declaration",
    "read_recording": "walkrisk.recordings.opening",
    "run": "walkrisk.studies.run",
    "run_sensors": "walkrisk.sensors.run",
    "study_from": "walkrisk.studies.declaration",
}
__all__ = [
    "EValue",
    "Recording",
    "Run",
    "SensorRun",
    "SensorSettings",
    "Study",
    "evalue",
    "load_settings",
    "load_study",
    "read_recording",
    "run",
    "run_sensors",
    "study_from",
]


def __getattr__(name: str) -> Any:
    """Public names load what they need on first use, so that the command line answers at once."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'walkrisk' has no attribute {name!r}")
