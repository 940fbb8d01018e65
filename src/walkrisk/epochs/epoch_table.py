"""The epochs of one participant: what was done in every second, as a record and as a small parquet file."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from walkrisk.schema import ColumnContract

ByteArray = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]

ACTIVITIES = (
    "lying",
    "sitting",
    "standing",
    "shuffling",
    "walking",
    "stairs",
    "running",
    "cycling",
    "nonwear",
    "unknown",
)
"""Activity of an epoch, coded 0, 1, ... in this order; shuffling only where it is declared not to be standing."""
SPEED_CLASSES = ("slow", "moderate", "brisk")
"""Speed class of walking, coded 1, 2, 3; 0 is none."""

EPOCH_COLUMNS: tuple[ColumnContract, ...] = (
    ColumnContract(name="participant_id", kind="id", unique=False, meaning="whose epoch it is"),
    ColumnContract(name="start", kind="date", unit="local time", meaning="date and time at which the epoch starts"),
    ColumnContract(name="duration_s", kind="number", minimum=0, unit="s", meaning="length of the epoch"),
    ColumnContract(name="activity", kind="category", categories=ACTIVITIES, meaning="what was done"),
    ColumnContract(
        name="probability", kind="number", minimum=0, maximum=1, meaning="the classifier's probability of the activity"
    ),
    ColumnContract(
        name="cadence_spm",
        kind="number",
        minimum=0,
        maximum=400,
        unit="steps/min",
        meaning="cadence, empty if not on foot",
    ),
    ColumnContract(
        name="speed_class", kind="category", categories=SPEED_CLASSES, meaning="speed class of walking, empty otherwise"
    ),
    ColumnContract(name="met", kind="number", minimum=0, unit="MET", meaning="METs as declared, empty if not declared"),
)

_DECIMALS = {"probability": 3, "cadence_spm": 1}  # finer is noise, and four times the file


@dataclass(frozen=True, slots=True, kw_only=True)
class Epochs:
    """What one participant did, an epoch a row in the order of time; all arrays are (n,).

    `start` datetime64[ns] in local time without a zone (an hour occurs twice when the clock goes back); `activity`
    codes into ACTIVITIES; `speed_class` 1 slow, 2 moderate, 3 brisk, 0 none; `probability`, `cadence_spm` and `met` NaN
    where there is none. Raises ValueError where lengths differ or a code is unknown.
    """

    participant_id: str
    start: npt.NDArray[np.datetime64]
    duration_s: Float32Array
    activity: ByteArray
    probability: Float32Array
    cadence_spm: Float32Array
    speed_class: ByteArray
    met: Float32Array

    def __post_init__(self) -> None:
        arrays = (self.duration_s, self.activity, self.probability, self.cadence_spm, self.speed_class, self.met)
        if any(len(a) != len(self.start) for a in arrays):
            raise ValueError("all arrays of Epochs have one value an epoch")
        if len(self.start) and int(self.activity.max()) >= len(ACTIVITIES):
            raise ValueError(f"activities are coded 0 to {len(ACTIVITIES) - 1}, got {int(self.activity.max())}")
        if len(self.start) and int(self.speed_class.max()) > len(SPEED_CLASSES):
            raise ValueError(f"speed classes are coded 0 to {len(SPEED_CLASSES)}, got {int(self.speed_class.max())}")


def epochs_table(epochs: Epochs) -> pa.Table:
    """The columns of EPOCH_COLUMNS as an Arrow table: texts by dictionary, NaN and "no class" as null.

    Probability is rounded to 3 decimals and cadence to 1.
    """
    n = len(epochs.start)
    columns = {
        "participant_id": _texts(np.zeros(n, dtype=np.int8), (epochs.participant_id,)),
        "start": pa.array(epochs.start.astype("datetime64[ns]"), type=pa.timestamp("ns")),
        "duration_s": _numbers(epochs.duration_s),
        "activity": _texts(epochs.activity.astype(np.int8), ACTIVITIES),
        "probability": _numbers(epochs.probability, _DECIMALS["probability"]),
        "cadence_spm": _numbers(epochs.cadence_spm, _DECIMALS["cadence_spm"]),
        "speed_class": _texts(epochs.speed_class.astype(np.int8) - np.int8(1), SPEED_CLASSES),
        "met": _numbers(epochs.met),
    }
    return pa.table({contract.name: columns[contract.name] for contract in EPOCH_COLUMNS})


def epochs_parquet(epochs: Epochs) -> bytes:
    """The bytes of a parquet file of `epochs_table`; a week of seconds takes about a megabyte."""
    table = epochs_table(epochs)
    buffer = io.BytesIO()
    pq.write_table(
        table,
        buffer,
        compression="zstd",
        compression_level=3,
        use_dictionary=[name for name in table.column_names if name != "start"],
        column_encoding={"start": "DELTA_BINARY_PACKED"},
    )
    return buffer.getvalue()


def _texts(codes: npt.NDArray[np.int8], names: tuple[str, ...]) -> pa.DictionaryArray:
    """Texts by dictionary; codes below 0 are null."""
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), pa.array(names, type=pa.string()))


def _numbers(values: Float32Array, decimals: int | None = None) -> pa.Array:
    """Single-precision numbers, NaN as null."""
    rounded = values if decimals is None else np.round(values.astype(np.float64), decimals)
    return pa.array(rounded.astype(np.float32), from_pandas=True)
