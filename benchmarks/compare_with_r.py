"""The whole reference study, and its numbers alone beside the same numbers computed by R, in one run.

    python benchmarks/compare_with_r.py [--rounds 5] [--n 31000]

Needs Rscript with data.table, sandwich and haven. Every command is a whole process on one thread; the two programs take
turns, and what is quoted is the median of the ratios pair by pair. CPU seconds are user + system, memory the peak
resident set, both as the operating system counts them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
R_SCRIPT = HERE.parent / "tests" / "reference" / "reference_study.R"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "R_DATATABLE_NUM_THREADS"), "1")


def measured(command: list[str]) -> tuple[float, float]:
    """CPU seconds and peak MiB of one command; stops if it fails."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **ONE_THREAD}
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{said.decode()}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--n", type=int, default=31_000)
    arguments = parser.parse_args()
    walkrisk = [sys.executable, "-m", "walkrisk"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for suffix in ("csv", "dta"):
            extract = str(folder / f"extract.{suffix}")
            measured([*walkrisk, "simulate", "extract", "--n", str(arguments.n), "--seed", "1", "--out", extract])
            ours = [*walkrisk, "reproduce", "--numbers-only", "--data", extract, "--out", str(folder / "numbers")]
            r = ["Rscript", str(R_SCRIPT), "--in", extract, "--out", str(folder / "r.csv")]
            pairs = [(measured(ours), measured(r)) for _ in range(arguments.rounds + 1)][1:]
            report(f"numbers alone, .{suffix}", "walkrisk", [p[0] for p in pairs])
            report(f"numbers alone, .{suffix}", "R", [p[1] for p in pairs])
            ratio = statistics.median(a[0] / b[0] for a, b in pairs)
            print(f"  walkrisk / R, CPU seconds: {ratio:.2f}   memory: {pairs[0][0][1] / pairs[0][1][1]:.2f}")
        whole = [*walkrisk, "reproduce", "--data", extract, "--out", str(folder / "whole")]
        report("whole study with figures and report, .dta", "walkrisk", [measured(whole) for _ in range(3)])
        start = measured([sys.executable, "-c", "import numpy, pandas, patsy"])
        print(f"of which importing numpy, pandas and patsy: {start[0]:.2f} CPU s")
        empty = measured(["Rscript", "-e", "suppressMessages({library(data.table); library(sandwich)})"])
        print(f"R with data.table and sandwich loaded: {empty[0]:.2f} CPU s")


def report(what: str, who: str, runs: list[tuple[float, float]]) -> None:
    """One line: median, smallest and largest CPU seconds, peak memory."""
    cpu = [c for c, _ in runs]
    print(
        f"{what:<44} {who:<9} CPU s {statistics.median(cpu):6.2f} ({min(cpu):.2f}-{max(cpu):.2f})"
        f"   peak {max(m for _, m in runs):6.0f} MiB"
    )


if __name__ == "__main__":
    main()
