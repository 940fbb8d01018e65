"""Fits, bootstrap and log-binomial beside R's and Python's programs, on the same simulated people, in one run.

    python benchmarks/estimators.py [--quick] [--rounds 3] [--part PART] [--peers PYTHON] [--r-library FOLDER]

Every figure is CPU seconds (user + system) of one task in a process of its own on one thread, without start-up and
reading, after one run to warm up where the task is short; the programs take turns, and what is quoted is the median
over rounds. Memory is what a process's peak rose by during the task. `--part` is single, bootstrap or log-binomial
(default: all). `--peers` is a Python with statsmodels and pyfixest (default: this one); `--r-library` a folder of R
packages (fixest, risks, logbin) besides those installed. A program that is not there, or that fails, is left out and
named. `--quick`: one round, small sizes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
SINGLE = {
    "walkrisk": "walkrisk_single",
    "numpy Newton + HC0 (floor)": "numpy_single",
    "statsmodels GLM HC0": "statsmodels_glm",
    "statsmodels discrete Poisson HC0": "statsmodels_poisson",
    "pyfixest fepois": "pyfixest_single",
    "R glm + sandwich": "R glm_sandwich",
    "R fixest fepois": "R fixest",
    "R risks robpoisson": "R risks",
}
BOOT = {
    "walkrisk": "walkrisk_boot",
    "numpy Newton, one by one": "numpy_boot",
    "statsmodels GLM loop": "statsmodels_boot",
    "R boot, glm.fit": "R boot_glmfit",
}
LOGBIN = {
    "walkrisk": "walkrisk_logbin",
    "R glm, start given": "R glm_log_binomial",
    "R logbin, em": "R logbin_em",
}


def simulate(folder: Path, n: int, p: int, *, categorical: bool = False, **facts: int) -> None:
    """A factor of four levels, binary covariates and four continuous ones (none if `categorical`); risk about 0.15."""
    random = np.random.default_rng(1)
    x = np.ones((n, p), order="F")
    x[:, 1:4] = random.integers(0, 4, n)[:, None] == np.arange(1, 4)
    last = p if categorical else p - 4
    x[:, 4:last] = random.random((n, last - 4)) < random.uniform(0.1, 0.5, last - 4)
    if not categorical:
        x[:, last:] = random.normal(size=(n, 4)) * [1, 10, 0.2, 1] + [0, 50, 3, 0]
    beta = np.concatenate([[0], random.normal(size=p - 1) * 0.15 / x[:, 1:].std(axis=0)])
    eta = x @ beta
    eta += np.log(0.15 / np.exp(eta).mean())
    x.T.tofile(folder / "x.bin")
    (random.random(n) < np.minimum(np.exp(eta), 0.95)).astype(float).tofile(folder / "y.bin")
    (folder / "facts.json").write_text(json.dumps({"n": n, "p": p, **facts}))


def run(task: str, folder: Path, repeats: int, peers: str, library: str) -> dict[str, Any] | str:
    """What a task printed, or why it printed nothing."""
    if task.startswith("R "):
        command = ["Rscript", str(HERE / "estimators.R"), task[2:], str(folder), str(repeats)]
    else:
        python = sys.executable if task.startswith(("walkrisk", "numpy")) else peers
        command = [python, str(HERE / "estimators_peers.py"), task, str(folder), str(repeats)]
    environment = {**os.environ, **THREADS, **({"R_LIBS": library} if library else {})}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1800, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return type(error).__name__
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no message"])[-1][:100]
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(
    title: str, programs: dict[str, str], folder: Path, arguments: argparse.Namespace, repeats: int, scale: float = 1.0
) -> float:
    """A table: CPU seconds (times `scale` for all but walkrisk), ratio to walkrisk, memory, and the number found."""
    found: dict[str, list[dict[str, Any]]] = {}
    absent: dict[str, str] = {}
    for _ in range(arguments.rounds):
        for name, task in programs.items():
            if name in absent:
                continue
            said = run(task, folder, repeats, arguments.peers, arguments.r_library)
            if isinstance(said, str):
                absent[name] = said
            else:
                found.setdefault(name, []).append(said)
    print(f"\n### {title}\n\n| program | CPU s | times walkrisk | memory, MiB | number |\n|---|---|---|---|---|")
    ours = statistics.median(one["cpu"] for one in found["walkrisk"])
    for name, runs in found.items():
        factor = 1.0 if name == "walkrisk" else scale
        cpu = [factor * one["cpu"] for one in runs]
        rise = max(one["peak"] - one["before"] for one in runs)
        spread = f"{statistics.median(cpu):.4f} ({min(cpu):.4f}-{max(cpu):.4f})"
        print(f"| {name} | {spread} | {statistics.median(cpu) / ours:.2f} | {rise:.0f} | {runs[0]['value']:.9g} |")
    for name, why in absent.items():
        print(f"| {name} | not run: {why} | | | |")
    sys.stdout.flush()
    return ours


def flops(n: int, p: int, replicates: int, passes: int = 2, levels: int = 2) -> tuple[float, float]:
    """Floating-point operations of the matrix products of a bootstrap, and exponentials, as the kernel needs them.

    Products of pairs twice (single precision), scores and linear predictors, and the common part of the risks.
    """
    pairs = p * (p + 1) // 2
    columns = (pairs + 2 * p) + p + (pairs + 2 * p) + passes * 2 * p + (p - 4)
    return 2.0 * n * columns * replicates, 1.0 * n * (1 + passes + levels) * replicates


def speed_of_products() -> float:
    """Operations per second of a large matrix product of doubles on this core."""
    a = np.random.default_rng(0).normal(size=(1024, 1024))
    start = time.process_time()
    for _ in range(5):
        a @ a
    return 5 * 2 * 1024**3 / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", choices=("single", "bootstrap", "log-binomial"))
    parser.add_argument("--peers", default=sys.executable)
    parser.add_argument("--r-library", default="")
    arguments = parser.parse_args()
    sizes = [(11_194, 15, 9), (100_000, 30, 3), (500_000, 30, 2)]
    replicates, slow = 2000, 100
    if arguments.quick:
        arguments.rounds, sizes, replicates, slow = 1, sizes[:1], 512, 10
    parts = [arguments.part] if arguments.part else ["single", "bootstrap", "log-binomial"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "single" in parts:
            for n, p, repeats in sizes:
                simulate(folder, n, p, slow_replicates=1)
                compare(f"Modified Poisson with HC0, n = {n:,}, {p} parameters", SINGLE, folder, arguments, repeats)
        if "bootstrap" in parts:
            bootstrap(folder, *sizes[0][:2], replicates, slow, arguments)
        if "log-binomial" in parts:
            simulate(folder, 2000, 8, categorical=True, slow_replicates=1)
            compare("Log-binomial, n = 2,000, 8 parameters, all categorical", LOGBIN, folder, arguments, 2)


def bootstrap(folder: Path, n: int, p: int, replicates: int, slow: int, arguments: argparse.Namespace) -> None:
    """The bootstrap's table, with the operations it needs and the rate at which they were done."""
    simulate(folder, n, p, replicates=replicates, slow_replicates=slow)
    title = f"{replicates:,} bootstrap standardised RRs, n = {n:,}, {p} parameters"
    said = f" (others: {slow} replicates, scaled)"
    ours = compare(title + said, BOOT, folder, arguments, 1, replicates / slow)
    operations, exponentials = flops(n, p, replicates)
    print(
        f"\nwalkrisk: {operations / 1e9:.1f} GFlop in matrix products and {exponentials / 1e6:.0f} million "
        f"exponentials: {operations / ours / 1e9:.1f} GFlop/s (a matrix product of doubles alone: "
        f"{speed_of_products() / 1e9:.0f})."
    )


if __name__ == "__main__":
    os.environ.update(THREADS)
    main()
