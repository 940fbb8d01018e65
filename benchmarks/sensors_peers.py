"""One program doing one thing with recordings, for the sensor benchmarks: run by each program's own interpreter.

    PEER_PYTHON sensors_peers.py version PROGRAM
    PEER_PYTHON sensors_peers.py read PROGRAM FILE [ARRAYS.npz]
    PEER_PYTHON sensors_peers.py chain PROGRAM THIGH BACK

Prints one line of JSON. `cpu_s` is what the work took without the imports, child processes (Java) included. Nothing
here needs walkrisk to be installed beside a peer, and no program is imported before it is asked for.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import resource
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

DISTRIBUTIONS = {
    "walkrisk": "walkrisk",
    "walkrisk_whole": "walkrisk",
    "actimotus": "acti-motus",
    "skdh": "scikit-digital-health",
    "actipy": "actipy",
    "cwa_reader_rs": "cwa-reader-rs",
    "cwa_reader_rs_bare": "cwa-reader-rs",
}
Rows = tuple[Any, Any]  # seconds since 1970 on the device's clock (n,), acceleration in g (n, 3)


def cpu_seconds() -> float:
    """User and system seconds of this process and of the children it has waited for."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


# Each reader imports its program and gives back the function that reads; `rows` turns what came into plain arrays.


def walkrisk_reader() -> Callable[..., Any]:
    """The file in stretches of two hours, as the pipeline reads it: bounded memory, nothing kept."""
    from walkrisk.recordings.opening import open_recording
    from walkrisk.recordings.recording import stretches

    def read(path: str) -> int:
        return sum(len(samples.time_s) for _, _, samples in stretches(open_recording(path)))

    return read


def walkrisk_whole_reader() -> Callable[..., Any]:
    """The whole file at once, as `walkrisk.read_recording` gives it."""
    from walkrisk.recordings.opening import read_recording

    return read_recording


def actimotus_reader() -> Callable[..., Any]:
    """The parser acti-motus recommends (labda-parsers)."""
    from labda_parsers import Axivity

    return Axivity().from_file


def skdh_reader() -> Callable[..., Any]:
    from skdh.io import ReadCwa

    return lambda path: ReadCwa(ext_error="skip").predict(file=path)


def actipy_reader() -> Callable[..., Any]:
    """actipy with every step after reading switched off."""
    import actipy

    off = {"lowpass_hz": None, "calibrate_gravity": False, "detect_nonwear": False, "resample_hz": None}
    return lambda path: actipy.read_device(path, verbose=False, **off)[0]


def cwa_reader_rs_reader() -> Callable[..., Any]:
    """As it is called by default: acceleration, temperature, light and battery, a value a sample."""
    import pandas  # noqa: F401  (it loads pandas on its first call: counted as import, not as reading)
    from cwa_reader_rs import read_cwa_file

    return read_cwa_file


def cwa_reader_rs_bare_reader() -> Callable[..., Any]:
    """Its fastest way that still gives what calibration needs: acceleration and temperature."""
    read = cwa_reader_rs_reader()
    off = {"include_magnetometer": False, "include_light": False, "include_battery": False}
    return lambda path: read(path, **off)


READERS = {
    "walkrisk": walkrisk_reader,
    "walkrisk_whole": walkrisk_whole_reader,
    "actimotus": actimotus_reader,
    "skdh": skdh_reader,
    "actipy": actipy_reader,
    "cwa_reader_rs": cwa_reader_rs_reader,
    "cwa_reader_rs_bare": cwa_reader_rs_bare_reader,
}


def rows(data: Any) -> Rows:
    """Times and accelerations of whatever a reader gave back."""
    import numpy as np

    if isinstance(data, dict):
        return np.asarray(data["time"], float), np.asarray(data["accel"], float)
    if hasattr(data, "acceleration_g"):
        return data.time.astype("datetime64[ns]").astype(np.int64) / 1e9, np.asarray(data.acceleration_g, float)
    columns = ["acc_x", "acc_y", "acc_z"] if "acc_x" in data else ["x", "y", "z"]
    return data.index.values.astype("datetime64[ns]").astype(np.int64) / 1e9, data[columns].to_numpy(float)


# The whole way, as far as each peer goes.


def actimotus_chain() -> Callable[[str, str], dict[str, float]]:
    """Read, calibrate, features, classify with thigh and back, exposures a day; it has no synchronisation."""
    from actimotus import Activities, Exposures, Features
    from labda_parsers import Axivity

    def features(path: str) -> Any:
        return Features(calibrate=True).compute(Axivity().from_file(path)[["acc_x", "acc_y", "acc_z"]])

    def run(thigh: str, back: str) -> dict[str, float]:
        of_thigh, of_back = features(thigh), features(back)
        activities, _ = Activities(orientation=True).compute(of_thigh, trunk=of_back)
        Exposures().compute(activities)
        return {name: float(n) / 60 for name, n in activities["activity"].value_counts().items() if n}

    return run


def actimotus_thigh_chain() -> Callable[[str, str], dict[str, float]]:
    """As `actimotus`, from the thigh file alone."""
    from actimotus import Activities, Exposures, Features
    from labda_parsers import Axivity

    def run(thigh: str, _: str) -> dict[str, float]:
        data = Axivity().from_file(thigh)[["acc_x", "acc_y", "acc_z"]]
        activities, _ = Activities(orientation=True).compute(Features(calibrate=True).compute(data))
        Exposures().compute(activities)
        return {name: float(n) / 60 for name, n in activities["activity"].value_counts().items() if n}

    return run


def actipy_chain() -> Callable[[str, str], dict[str, float]]:
    """One sensor: low pass, calibrate, non-wear, resample; actipy goes no further."""
    import actipy

    def run(thigh: str, _: str) -> dict[str, float]:
        _, info = actipy.read_device(thigh, verbose=False)
        return {name: float(info[name]) for name in ("CalibOK", "CalibNumIters") if name in info}

    return run


def skdh_chain() -> Callable[[str, str], dict[str, float]]:
    """The back sensor alone: day windows, calibrate, wear, lumbar gait."""
    from skdh.gait import GaitLumbar
    from skdh.io import ReadCwa
    from skdh.preprocessing import AccelThresholdWearDetection, CalibrateAccelerometer, GetDayWindowIndices

    def run(_: str, back: str) -> dict[str, float]:
        data = ReadCwa(ext_error="skip").predict(file=back)
        steps = (
            GetDayWindowIndices(bases=(0,), periods=(24,)),
            CalibrateAccelerometer(),
            AccelThresholdWearDetection(),
        )
        for step in steps:
            data = {**data, **step.predict(**data)}
        found = GaitLumbar().predict(**data, height=1.72)
        return {"gait rows": float(len(found["Bout N"]))}

    return run


CHAINS = {
    "actimotus": actimotus_chain,
    "actimotus_thigh": actimotus_thigh_chain,
    "actipy": actipy_chain,
    "skdh": skdh_chain,
}


def read(program: str, path: str, arrays: str | None) -> dict[str, Any]:
    """Reads a file; with `arrays`, leaves times and accelerations there for the robustness table."""
    reader = READERS[program]()
    before = cpu_seconds()
    data = reader(path)
    spent = cpu_seconds() - before
    if isinstance(data, int):
        return {"cpu_s": spent, "rows": data}
    if arrays is None:
        return {"cpu_s": spent, "rows": len(data["time"] if isinstance(data, dict) else getattr(data, "time", data))}
    import numpy as np

    time_s, axes_g = rows(data)
    np.savez(arrays, time_s=time_s, axes_g=axes_g)
    return {"cpu_s": spent, "rows": len(time_s)}


def chain(program: str, thigh: str, back: str) -> dict[str, Any]:
    run = CHAINS[program]()
    before = cpu_seconds()
    found = run(thigh, back)
    return {"cpu_s": cpu_seconds() - before, "found": found}


def version(program: str) -> dict[str, Any]:
    """The version, after importing what reading needs: the warm-up that compiles a program's modules."""
    READERS[program]()
    return {"version": importlib.metadata.version(DISTRIBUTIONS[program])}


@contextlib.contextmanager
def elsewhere() -> Iterator[None]:
    """What programs print goes to stderr, so that stdout holds one line of JSON."""
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def main(task: str, program: str, *paths: str) -> None:
    warnings.simplefilter("ignore")
    with elsewhere():
        try:
            if task == "version":
                said = version(program)
            elif task == "read":
                said = read(program, paths[0], paths[1] if len(paths) > 1 else None)
            else:
                said = chain(program, *paths)
        except Exception as error:
            if isinstance(error, ImportError) and task != "read":
                raise
            said = {"error": type(error).__name__, "says": " ".join(str(error).split())[:200]}
    print(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
