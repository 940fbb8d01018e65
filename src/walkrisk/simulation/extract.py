"""Loading a simulation declaration, and the extract it produces: a data frame and the truth behind it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from walkrisk.declarations import build, read_toml
from walkrisk.errors import StudyFault, UsageFault
from walkrisk.places import pointing
from walkrisk.simulation.activity import simulate_days
from walkrisk.simulation.checks import INTEGER_LIMITS, activity_columns, faults_of
from walkrisk.simulation.declaration import Column, Date, Simulation
from walkrisk.simulation.terms import BoolArray, FloatArray, all_hold, expit, holds, predictor
from walkrisk.simulation.truth import truth_of
from walkrisk.simulation.variables import draw

_DTYPES: dict[str, type[np.signedinteger[Any]]] = {"int8": np.int8, "int16": np.int16, "int32": np.int32}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedExtract:
    """A simulated participants' extract.

    `frame` has one row a participant, columns in declared order: nullable Int8/16/32 for codes, counts and seconds,
    float64, datetime64[ns] for dates. `truth` is what generated it, ready for JSON. `latent` (asked for with
    `keep_latent`) has every declared variable, complete, in the same row order.
    """

    title: str
    frame: pd.DataFrame
    truth: Mapping[str, Any]
    labels: Mapping[str, str]
    value_labels: Mapping[str, Mapping[int, str]]
    latent: pd.DataFrame | None = None


def load_simulation(path: Path) -> Simulation:
    """A simulation declaration from a TOML file.

    Raises UsageFault if there is no such file, StudyFault with every fault of the declaration, each with its key.
    """
    table = read_toml(Path(path), "a simulation declaration")
    with pointing(Path(path)):
        return parse_simulation(table)


def parse_simulation(table: Mapping[str, Any]) -> Simulation:
    """A simulation declaration from its TOML table; raises StudyFault with every fault."""
    faults: list[str] = []
    simulation = build(Simulation, table, "", faults)
    if simulation is not None:
        faults += faults_of(simulation)
    if simulation is None or faults:
        raise StudyFault(faults)
    return simulation


def stream(seed: int, name: str) -> np.random.Generator:
    """The random stream of one named part, so that a new variable leaves the draws of the others alone."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def simulate(simulation: Simulation, *, n: int, seed: int, keep_latent: bool = False) -> SimulatedExtract:
    """An extract of `n` participants; the same `n` and `seed` give the same one.

    Raises UsageFault for an n or seed out of range, StudyFault where the declaration cannot be drawn (for example a
    risk of 1 or more).
    """
    last = 2**31 - 1 - simulation.identifier.first
    if not 1 <= n <= last or seed < 0:
        raise UsageFault(f"n must be between 1 and {last} and the seed 0 or more, got n = {n} and seed = {seed}.")
    values: dict[str, FloatArray] = {}
    solved: dict[str, dict[str, float]] = {}
    for variable in simulation.variables:
        name = variable.name
        values[name], solved[name] = draw(variable, values, n, stream(seed, f"variable {name}"))
    frame, value_labels = _frame(simulation, values, n, seed)
    labels = {simulation.identifier.column: simulation.identifier.label}
    labels |= {column.name: column.label for column in simulation.columns}
    labels |= {name: label for name, (label, _, _) in activity_columns(simulation.activity).items()}
    return SimulatedExtract(
        title=simulation.title,
        frame=frame,
        truth=truth_of(simulation, solved, n=n, seed=seed),
        labels=labels,
        value_labels=value_labels,
        latent=_latent(simulation, values) if keep_latent else None,
    )


def _frame(
    simulation: Simulation, values: Mapping[str, FloatArray], n: int, seed: int
) -> tuple[pd.DataFrame, dict[str, Mapping[int, str]]]:
    first = simulation.identifier.first
    ids = stream(seed, "identifier").permutation(np.arange(first, first + n, dtype=np.int32))
    arrays: dict[str, Any] = {simulation.identifier.column: _integers(ids, np.zeros(n, dtype=bool))}
    shown: dict[str, FloatArray] = {}
    for column in simulation.columns:
        shown[column.name] = observe(column, values, shown, n, stream(seed, f"column {column.name}"))
        arrays[column.name] = _typed(shown[column.name], column)
    if simulation.activity is not None:
        seconds, is_recorded = simulate_days(simulation.activity, values, n, stream(seed, "activity"))
        for name, (_, behaviour, day) in activity_columns(simulation.activity).items():
            arrays[name] = _integers(seconds[behaviour][:, day].copy(), ~is_recorded[:, day])
    value_labels = {column.name: column.labels for column in simulation.columns if column.labels}
    return pd.DataFrame(arrays, copy=False), value_labels


def observe(
    column: Column, values: Mapping[str, FloatArray], shown: Mapping[str, FloatArray], n: int, rng: np.random.Generator
) -> FloatArray:
    """What a column shows (n,) of its variable, NaN where nothing is shown; `shown` holds the earlier columns."""
    truth = values[column.source]
    out = truth.copy() if column.decimals is None else np.round(truth, column.decimals)
    asked = all_hold(column.asked_when, values, n, columns=shown)
    asked |= rng.random(n) < column.answered_anyway
    out[~asked | np.isin(truth, column.blank) | _is_missing(column, values, shown, n, rng)] = np.nan
    return out


def _is_missing(
    column: Column, values: Mapping[str, FloatArray], shown: Mapping[str, FloatArray], n: int, rng: np.random.Generator
) -> BoolArray:
    missing = np.zeros(n, dtype=bool)
    for condition in column.missing_when:
        x = shown[condition.column] if condition.column is not None else values[condition.variable or ""]
        missing |= holds(condition, x)
    if column.missing is not None:
        p = column.missing.probability
        eta = np.log(p / (1 - p)) + predictor(column.missing.terms, values, n)
        missing |= rng.random(n) < expit(eta)
    return missing


def _integers(values: np.ndarray[Any, Any], missing: BoolArray) -> pd.arrays.IntegerArray:
    values[missing] = 1  # what lies under a mask is never shown
    return pd.arrays.IntegerArray(values, missing, copy=False)


def _typed(values: FloatArray, column: Column) -> Any:
    if column.type == "float64":
        return values
    missing = np.isnan(values)
    whole = np.where(missing, 0, np.rint(values))
    if column.type == "date":
        days = _calendar(whole)
        days[missing] = np.datetime64("NaT")
        return days
    largest = float(np.abs(whole).max(initial=0))
    if largest > INTEGER_LIMITS[column.type]:
        raise StudyFault(f"columns.{column.name}.type: {column.type} cannot hold {largest:g}.")
    return _integers(whole.astype(_DTYPES[column.type]), missing)


def _latent(simulation: Simulation, values: Mapping[str, FloatArray]) -> pd.DataFrame:
    dates = {v.name for v in simulation.variables if isinstance(v, Date)}
    return pd.DataFrame({name: _calendar(x) if name in dates else x for name, x in values.items()})


def _calendar(days: FloatArray) -> npt.NDArray[np.datetime64]:
    """Whole days since 1970-01-01 as dates."""
    return days.astype(np.int64).astype("datetime64[D]").astype("datetime64[ns]")
