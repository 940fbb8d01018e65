"""Participants' extracts with known truth, from a declared mechanism."""

from __future__ import annotations

from walkrisk.simulation.declaration import Simulation
from walkrisk.simulation.extract import SimulatedExtract, load_simulation, parse_simulation, simulate
from walkrisk.simulation.writing import write_extract

__all__ = ["SimulatedExtract", "Simulation", "load_simulation", "parse_simulation", "simulate", "write_extract"]
