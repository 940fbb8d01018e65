"""walkrisk: adjusted risk ratios of an outcome across walking volume and intensity, from data to finished report."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from walkrisk.sensitivity.evalue import EValue, evalue
    from walkrisk.studies.declaration import load_study, study_from
    from walkrisk.studies.run import Run, run
    from walkrisk.studies.study import Study

_HOMES = {
    "EValue": "walkrisk.sensitivity.evalue",
    "Run": "walkrisk.studies.run",
    "Study": "walkrisk.studies.study",
    "evalue": "walkrisk.sensitivity.evalue",
    "load_study": "walkrisk.studies.declaration",
    "run": "walkrisk.studies.run",
    "study_from": "walkrisk.studies.declaration",
}
__all__ = ["EValue", "Run", "Study", "evalue", "load_study", "run", "study_from"]


def __getattr__(name: str) -> Any:
    """Public names load what they need on first use, so that the command line answers at once."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'walkrisk' has no attribute {name!r}")
