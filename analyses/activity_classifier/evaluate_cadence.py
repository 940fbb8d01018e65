"""How right cadence is: against strides measured at the feet, between thigh and back, and against counted steps.

    python analyses/activity_classifier/evaluate_cadence.py --data FOLDER [--out cadence.csv]

FOLDER holds `mobilised_lowback/` (Mobilise-D, doi 10.5281/zenodo.7547125: back 100 Hz, reference strides), `harth/` and
`har70plus/` (parquet copies of doi 10.24432/C5NC90 and 10.24432/C5CW3D: thigh and back 50 Hz, labelled seconds) and
`cwa/openmovement_example-610-steps.cwa` (610 steps by its name). What is not there is left out, and said.

The constants of walkrisk.epochs.cadence were chosen on these same recordings, so errors in other people will be larger.
Seconds are said to be walking or running as labelled; "running said to be walking" is what a wrong label would cost.
No reference steps exist for the thigh here: there, two sensors that know nothing of each other are compared.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.io import loadmat
from scipy.signal import resample_poly

from walkrisk.epochs.cadence import cadence_spm, steps
from walkrisk.recordings.opening import read_recording

SPEEDS_M_S = (0.0, 0.6, 0.8, 1.0, 1.2, np.inf)
CADENCES_SPM = (0.0, 90.0, 110.0, np.inf)
BOUTS_S = (0.0, 3.0, 6.0, 11.0, 31.0, np.inf)
AX3_STEP_G = 1 / 64  # resolution of packed samples at +/- 8 g
STEPS_FILE = "openmovement_example-610-steps.cwa"
STEPS_COUNTED = 610
MOVING_G = 0.15

Row = dict[str, Any]


def main() -> None:
    """Write the table and print it."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=here / "cadence.csv")
    options = parser.parse_args()
    rows = [*against_strides(options.data), *between_sensors(options.data), *against_counted_steps(options.data)]
    table = pd.DataFrame(rows)
    table.round(4).to_csv(options.out, index=False, lineterminator="\n")
    print(table.round(3).to_string(index=False))


def against_strides(data: Path) -> Iterator[Row]:
    """Back alone against reference strides, by system of reference, bout and second, speed and cadence."""
    files = sorted((data / "mobilised_lowback").rglob("data.mat"))
    if not files:
        print(f"mobilised_lowback: no data.mat below {data}; left out.")
        return
    found = [row for file in files for trial in trials(file) for row in strides_of(*trial)]
    frame = pd.DataFrame(found)
    for (signal, system, unit), part in frame.groupby(["signal", "system", "unit"]):
        base = {"data": "mobilised_lowback", "signal": signal, "compared": f"back, {system} strides", "unit": unit}
        for kind, edges in (("speed_m_s", SPEEDS_M_S), ("cadence_spm", CADENCES_SPM)):
            known = part["speed" if kind == "speed_m_s" else "reference"].to_numpy()
            for low, high in pairwise(edges):
                here = part[(known >= low) & (known < high)]
                if len(here):
                    yield base | {"by": kind, "band": band(low, high)} | agreement(here["found"], here["reference"])
        yield base | {"by": "all", "band": ""} | agreement(part["found"], part["reference"])


def trials(file: Path) -> Iterator[tuple[np.ndarray, Any]]:
    """(back (3, n) in g at 100 Hz, reference systems) of every trial of a file; x is up in these files."""
    measure = loadmat(file, squeeze_me=True, struct_as_record=False)["data"].TimeMeasure1
    for test in measure._fieldnames:
        for name in getattr(measure, test)._fieldnames:
            trial = getattr(getattr(measure, test), name)
            yield trial.SU.LowerBack.Acc.T.astype(np.float64), trial.Standards


def strides_of(back: np.ndarray, standards: Any) -> Iterator[Row]:
    """Found and reference cadence of each bout, and of each second inside a reference stride."""
    as_ax3 = np.round(resample_poly(back, 1, 2, axis=1, padtype="line") / AX3_STEP_G) * AX3_STEP_G
    for signal, axes, rate in (("100 Hz", back, 100.0), ("50 Hz, 1/64 g", as_ax3, 50.0)):
        seconds = int(axes.shape[1] // rate)
        for system in ("INDIP", "Stereophoto"):
            bouts = np.atleast_1d(getattr(standards, system).MicroWB)
            walking = np.zeros(seconds, dtype=bool)
            for bout in bouts:
                walking[int(bout.Start) : int(np.ceil(bout.End))] = True
            none = np.zeros(seconds, dtype=bool)
            found = cadence_spm(None, axes.astype(np.float32), walking, rate_hz=rate, running=none)
            for bout in bouts:
                mine = found[int(bout.Start) : int(np.ceil(bout.End))]
                same = {"signal": signal, "system": system}
                yield same | {
                    "unit": "bout",
                    "found": np.nanmean(mine),
                    "reference": bout.Cadence,
                    "speed": bout.WalkingSpeed,
                }
                for second, cadence, speed in reference_seconds(bout, seconds):
                    yield same | {"unit": "second", "found": found[second], "reference": cadence, "speed": speed}


def reference_seconds(bout: Any, seconds: int) -> Iterator[tuple[int, float, float]]:
    """(second, cadence, speed) from the strides of both feet over the middle of each second of a bout."""
    contacts = np.atleast_2d(bout.Stride_InitialContacts).astype(float)
    if np.nanmax(contacts) > 2 * bout.End:  # INDIP counts samples, Stereophoto seconds
        contacts = contacts / 100.0
    length = contacts[:, 1] - contacts[:, 0]
    speed = np.atleast_1d(bout.Stride_Speed).astype(float)
    for second in range(int(bout.Start), min(int(np.ceil(bout.End)), seconds)):
        over = (contacts[:, 0] < second + 0.5) & (contacts[:, 1] > second + 0.5) & np.isfinite(length + speed)
        if over.any():
            yield second, 120.0 / length[over].mean(), speed[over].mean()


def between_sensors(data: Path) -> Iterator[Row]:
    """Thigh alone against back alone in seconds labelled walking or stairs, and running."""
    for name in ("harth", "har70plus"):
        files = sorted((data / name / "ground_truth").glob("*.parquet"))
        if not files:
            print(f"{name}: no ground_truth below {data}; left out.")
            continue
        frame = pd.concat([labelled_seconds(file) for file in files])
        for activity, part in frame.groupby("activity"):
            base = {"data": name, "signal": "50 Hz", "compared": f"thigh and back, {activity}", "unit": "second"}
            mean = part[["thigh", "back"]].mean(axis=1).to_numpy()
            for kind, edges, value in (("cadence_spm", CADENCES_SPM, mean), ("bout_s", BOUTS_S, part["bout_s"])):
                for low, high in pairwise(edges):
                    here = part[(value >= low) & (value < high)]
                    if len(here):
                        yield base | {"by": kind, "band": band(low, high)} | agreement(here["thigh"], here["back"])
            for subject, here in part.groupby("subject"):
                yield base | {"by": "subject", "band": subject} | agreement(here["thigh"], here["back"])
            yield base | {"by": "all", "band": ""} | agreement(part["thigh"], part["back"])


def labelled_seconds(truth: Path) -> pd.DataFrame:
    """Cadence from each sensor alone in every labelled second on foot of one person."""
    labels = pd.read_parquet(truth).iloc[:, 0]
    thigh, back = (pd.read_parquet(truth.parents[1] / site / truth.name) for site in ("thigh", "trunk"))
    clocks = [seconds_of(frame["datetime"]) for frame in (thigh, back)]
    first = int(np.ceil(max(clock[0] for clock in clocks)))
    count = int(min(clock[-1] for clock in clocks)) - first
    grid = first + np.arange(count * 50) / 50
    both = [
        np.stack([np.interp(grid, clock, frame[axis]) for axis in ("acc_x", "acc_y", "acc_z")]).astype(np.float32)
        for frame, clock in zip((thigh, back), clocks, strict=True)
    ]
    named = np.full(count, "", dtype=object)
    at = np.floor(seconds_of(pd.Series(labels.index)) - first + 0.5).astype(int)
    inside = (at >= 0) & (at < count)
    named[at[inside]] = labels.astype(str).to_numpy()[inside]
    out = []
    for activity, words, run in (
        ("walking", ("walking", "stairs (ascending)", "stairs (descending)"), False),
        ("running", ("running",), True),
        ("running said to be walking", ("running",), False),
    ):
        mask = np.isin(named, words)
        running = mask & run
        edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
        found = {
            "thigh": cadence_spm(both[0], None, mask, rate_hz=50.0, running=running)[mask],
            "back": cadence_spm(None, both[1], mask, rate_hz=50.0, running=running)[mask],
            "bout_s": np.repeat(edges[1::2] - edges[::2], edges[1::2] - edges[::2]),
        }
        out.append(pd.DataFrame(found).assign(subject=truth.stem, activity=activity))
    return pd.concat(out)


def seconds_of(times: Any) -> np.ndarray:
    """Datetimes as seconds since 1970."""
    return times.to_numpy("datetime64[ns]").astype(np.int64) / 1e9


def against_counted_steps(data: Path) -> Iterator[Row]:
    """Steps of a file that says how many it holds: walking wherever it moves, turned so that gravity lies along x."""
    file = data / "cwa" / STEPS_FILE
    if not file.is_file():
        print(f"{STEPS_FILE}: not below {data}; left out.")
        return
    recording = read_recording(file)
    time = (recording.time - recording.time[0]) / np.timedelta64(1, "s")
    seconds = int(time[-1])
    grid = np.arange(seconds * 50) / 50
    axes = np.stack([np.interp(grid, time, row) for row in np.asarray(recording.acceleration_g, dtype=np.float64).T])
    moving = np.linalg.norm(axes, axis=0).reshape(seconds, 50).std(axis=1) > MOVING_G
    walking = np.convolve(moving, np.ones(5), mode="same") >= 3  # most of five seconds
    on_foot = axes[:, np.repeat(walking, 50)]
    up = on_foot.mean(axis=1) / np.linalg.norm(on_foot.mean(axis=1))
    level = on_foot - up[:, None] * (up @ on_foot)
    ahead = np.linalg.svd(level - level.mean(axis=1, keepdims=True), full_matrices=False)[0][:, 0]
    body = np.stack((up @ axes, np.cross(up, ahead) @ axes, ahead @ axes)).astype(np.float32)
    for as_site, thigh, back in (("thigh", body, None), ("back", None, body)):
        found = cadence_spm(thigh, back, walking, rate_hz=50.0)
        yield {
            "data": STEPS_FILE,
            "signal": "50 Hz",
            "compared": f"steps, taken for a {as_site} sensor",
            "unit": "recording",
            "by": "steps",
            "band": str(STEPS_COUNTED),
            "n": int(walking.sum()),
            "n_without_cadence": int(np.isnan(found[walking]).sum()),
            "mean_reference": float(STEPS_COUNTED),
            "bias": steps(found) - STEPS_COUNTED,
            "mean_absolute_error": abs(steps(found) - STEPS_COUNTED),
        }


def agreement(found: pd.Series, reference: pd.Series) -> Row:
    """Counts and errors (steps/min), limits of agreement, and shares within 5 and 10 %."""
    known = (np.isfinite(found) & np.isfinite(reference)).to_numpy()
    first, second = found.to_numpy(dtype=float)[known], reference.to_numpy(dtype=float)[known]
    error = first - second
    spread = 1.96 * error.std(ddof=1) if len(error) > 1 else np.nan
    return {
        "n": len(known),
        "n_without_cadence": int((~known).sum()),
        "mean_reference": second.mean(),
        "mean_absolute_error": np.abs(error).mean(),
        "median_absolute_error": np.median(np.abs(error)),
        "bias": error.mean(),
        "limits_low": error.mean() - spread,
        "limits_high": error.mean() + spread,
        "within_5_percent": (np.abs(error) <= 0.05 * second).mean(),
        "within_10_percent": (np.abs(error) <= 0.10 * second).mean(),
    }


def band(low: float, high: float) -> str:
    """A half-open band in words."""
    return f"from {low:g}" if np.isinf(high) else f"below {high:g}" if low == 0 else f"{low:g} to below {high:g}"


if __name__ == "__main__":
    main()
