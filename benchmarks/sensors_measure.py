"""Processes measured and results written, for the sensor benchmarks (Linux and macOS; standard library only)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CHILD = HERE / "sensors_peers.py"
RESULTS = HERE / "sensors.md"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
MIB_PER_UNIT = 1 / 1024 if sys.platform != "darwin" else 1 / 1024**2  # ru_maxrss: KiB on Linux, bytes on macOS
PEERS = ("cwa_reader_rs", "skdh", "actipy", "actimotus")


@dataclass(frozen=True, slots=True)
class Run:
    """One finished process: what the operating system counted, and the line of JSON it printed, if any."""

    cpu_s: float
    wall_s: float
    peak_mib: float
    code: int
    late: bool
    said: dict[str, Any]
    stderr: str


def measured(command: list[str], *, timeout_s: float | None = None, priority: int = 0) -> Run:
    """Runs a command alone in a new process group; CPU seconds are user + system, with its children's.

    `peak_mib` is the largest resident set of the process or of one of its children, not their sum. After `timeout_s`
    the whole group is killed.
    """
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    late = threading.Event()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=out, stderr=err, env=environment, start_new_session=True)
        if priority:
            os.setpriority(os.PRIO_PROCESS, process.pid, priority)

        def stop() -> None:
            late.set()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(timeout_s or 1e6, stop)
        timer.daemon = True
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        lines = out.read().decode(errors="replace").splitlines()
        stderr = err.read().decode(errors="replace")
    said: dict[str, Any] = {}
    with contextlib.suppress(ValueError, IndexError):
        parsed = json.loads(lines[-1])
        said = parsed if isinstance(parsed, dict) else {}
    cpu = usage.ru_utime + usage.ru_stime
    peak = usage.ru_maxrss * MIB_PER_UNIT
    return Run(cpu, wall, peak, process.returncode, late.is_set(), said, stderr)


def interpreters(folder: Path | None) -> dict[str, str]:
    """Python of each program: this one for walkrisk, FOLDER/PEER/bin/python for the peers that are there."""
    found = {"walkrisk": sys.executable, "walkrisk_whole": sys.executable}
    for peer in PEERS if folder else ():
        for inside in ("bin/python", "Scripts/python.exe"):
            python = Path(folder or "") / peer / inside
            if python.exists():
                found[peer] = str(python.absolute())
    return found


def versions(pythons: dict[str, str]) -> dict[str, str]:
    """Version of each program that can be imported by its interpreter; says which cannot, and leaves them out."""
    found = {}
    for program, python in pythons.items():
        run = measured([python, str(CHILD), "version", program])
        if "version" in run.said:
            found[program] = str(run.said["version"])
        else:
            last = (run.stderr.strip().splitlines() or [str(run.said)])[-1]
            print(f"{program} is left out: {last[:160]}", file=sys.stderr)
    return found


def machine() -> str:
    """What the figures were measured on, without naming the machine."""
    return f"Python {sys.version_info.major}.{sys.version_info.minor}, {os.cpu_count()} cores, {sys.platform}"


def table(heads: list[str], lines: list[list[str]]) -> str:
    """A Markdown table."""
    clean = [[cell.replace("|", "\\|") for cell in line] for line in [heads, ["---"] * len(heads), *lines]]
    return "\n".join("| " + " | ".join(line) + " |" for line in clean)


def write_section(name: str, text: str) -> None:
    """Puts `text` between the marks of section `name` of the results page; the rest of the page stays."""
    begin, end = f"<!-- {name}: written by its script -->", f"<!-- end of {name} -->"
    page = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    section = f"{begin}\n{text.strip()}\n{end}"
    if begin in page and end in page:
        head, rest = page.split(begin, 1)
        page = head + section + rest.split(end, 1)[1]
    else:
        page = page.rstrip() + ("\n\n" if page.strip() else "") + section + "\n"
    RESULTS.write_text(page, encoding="utf-8", newline="\n")
