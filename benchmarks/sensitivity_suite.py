"""The whole suite of sensitivity analyses on the reference study, part by part, and its bias analyses beside episensr.

    python benchmarks/sensitivity_suite.py [--n 31000] [--draws 100000] [--episensr FOLDER]

Every command is a whole process on one thread a worker; what a part costs is the process with it alone less the process
without any. Needs Rscript with episensr, or with `--episensr` the folder of its R files and the packages they use
(trapezoid, triangle, actuar, ggplot2, magrittr); without Rscript that comparison is left out. CPU seconds are user +
system, memory the peak resident set. Writes sensitivity_suite.md. Multiple imputation beside R's mice is in
imputation.md, the multiverse beside a loop over statsmodels in multiverse.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
os.environ.update(ONE_THREAD)  # before numpy

HERE = Path(__file__).resolve().parent
STUDY = HERE.parent / "analyses" / "walking_low_back_pain"
NEEDS = {"losses": ("imputations",), "contours": ("benchmarks",), "multiverses": ("imputations",)}
TABLE = [[350.0, 480.0], [2380.0, 2250.0]]


@dataclass(frozen=True)
class Cost:
    """What a process took."""

    cpu_s: float
    wall_s: float
    peak_mib: float


def measured(command: list[str]) -> tuple[str, Cost]:
    """What a command prints, and its cost; stops if it fails."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    said = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed")
    return said, Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - started, usage.ru_maxrss / 1024)


def run(folder: Path, extract: Path, *, jobs: int = 1, sensitivity: bool = True, numbers: bool = True) -> Cost:
    """The study of a folder on an extract."""
    command = [sys.executable, "-m", "walkrisk", "run", str(folder / "study.toml"), "--data", str(extract)]
    command += ["--out", str(folder / f"out{jobs}"), "--jobs", str(jobs), "--quiet", "--simulated"]
    command += ["--sensitivity"] * sensitivity + ["--numbers-only"] * numbers
    return measured(command)[1]


def only(folder: Path, text: str, parts: tuple[str, ...]) -> Path:
    """A study in `folder` with some arrays of the declared suite."""
    folder.mkdir()
    shutil.copy(STUDY / "study.toml", folder)
    head, *blocks = text.split("\n[[")
    kept = [b for b in blocks if b.partition("]]")[0].partition(".")[0] in parts]
    (folder / "sensitivity.toml").write_text("\n[[".join([head, *kept]), encoding="utf-8")
    return folder


def by_part(work: Path, extract: Path, base: Cost) -> list[tuple[str, float, float]]:
    """(part, CPU seconds beyond the study without it, peak MiB)."""
    text = (STUDY / "sensitivity.toml").read_text(encoding="utf-8")
    names = [n for n, v in tomllib.loads(text).items() if isinstance(v, list) and n not in ("exposures", "levels")]
    cost: dict[tuple[str, ...], Cost] = {}
    rows = []
    for name in names:
        needed = NEEDS.get(name, ())
        for parts in (needed, (*needed, name)):
            if parts and parts not in cost:
                cost[parts] = run(only(work / "-".join(parts), text, parts), extract)
        before = cost[needed].cpu_s if needed else base.cpu_s
        rows.append((name, cost[(*needed, name)].cpu_s - before, cost[(*needed, name)].peak_mib))
        print(f"{name}: {rows[-1][1]:.1f} CPU s", flush=True)
    return rows


def ours(draws: int) -> dict[str, Any]:
    """What bias_analysis.R prints, by walkrisk."""
    import numpy as np

    from walkrisk.sensitivity.priors import Trapezoidal
    from walkrisk.sensitivity.probabilistic_bias import (
        probabilistic_confounder,
        probabilistic_misclassification,
        probabilistic_selection,
    )

    def trap(*at: float) -> Trapezoidal:
        return Trapezoidal(*at)

    rng = np.random.default_rng(1)
    probabilistic_selection(TABLE, probabilities=(trap(0.3, 0.4, 0.5, 0.6),) * 4, rng=rng, draws=100)  # imports
    tasks = {
        "misclassification": lambda: probabilistic_misclassification(
            TABLE, of="outcome", sensitivity=trap(0.7, 0.8, 0.9, 0.98), specificity=trap(0.94, 0.96, 0.98, 1.0),
            rng=rng, draws=draws, random_error="conventional",
        ).risk_ratio_total,
        "confounder": lambda: probabilistic_confounder(
            TABLE, association=trap(1.1, 1.4, 1.6, 1.9), prevalence_exposed=trap(0.05, 0.15, 0.25, 0.35),
            prevalence_unexposed=trap(0.2, 0.3, 0.4, 0.5), rng=rng, draws=draws,
        ).risk_ratio_total,
        "selection": lambda: probabilistic_selection(
            TABLE, rng=rng, draws=draws, random_error="conventional",
            probabilities=(
                trap(0.3, 0.38, 0.4, 0.5), trap(0.25, 0.3, 0.36, 0.4), trap(0.35, 0.38, 0.42, 0.5),
                trap(0.35, 0.38, 0.42, 0.5),
            ),
        ).odds_ratio_total,
    }  # fmt: skip
    out = {}
    for name, task in tasks.items():
        started = time.process_time()
        found = task()
        out[name] = {"seconds": time.process_time() - started, "numbers": [found.median, found.low, found.high]}
    return out


def page(n: int, draws: int, costs: dict[str, Cost], parts: list[tuple[str, float, float]], beside: Any) -> str:
    """The page of figures."""
    lines = [
        "# The whole suite of sensitivity analyses",
        "",
        "```",
        "python benchmarks/sensitivity_suite.py",
        "```",
        "",
        f"`analyses/walking_low_back_pain/sensitivity.toml` on a simulated extract of {n:,} rows: 20 and 50 imputed",
        "sets, weights in 20, shifts, 2,000 bootstrap replicates, SIMEX, 1,000 refits for a misclassified outcome,",
        "500 for confounder and selection, multiverses of thousands of specifications, 500 permutations, power by",
        f"simulation. Python {platform.python_version()}, two shared cores, one thread a worker.",
        "",
        "| | wall s | CPU s | peak MiB |",
        "|---|---|---|---|",
        *(f"| {name} | {c.wall_s:.0f} | {c.cpu_s:.0f} | {c.peak_mib:.0f} |" for name, c in costs.items()),
        "",
        "Where the time goes (CPU s of the numbers beyond the study without the part):",
        "",
        "| part | CPU s | peak MiB |",
        "|---|---|---|",
        *(f"| `{name}` | {cpu:.1f} | {peak:.0f} |" for name, cpu, peak in parts),
        "",
    ]
    if beside:
        r, us = beside
        lines += [
            f"Probabilistic bias analyses of one 2x2 table, {draws:,} draws, beside episensr's `probsens`,",
            "`probsens.conf` and `probsens.sel` (imports left out; episensr's way of adding random error in both):",
            "",
            "| | episensr, CPU s | walkrisk, CPU s | ratio | episensr, median (limits) | walkrisk, median (limits) |",
            "|---|---|---|---|---|---|",
        ]
        for name in r:
            a, b = r[name], us[name]
            texts = ["{:.3f} ({:.3f}-{:.3f})".format(*x["numbers"]) for x in (a, b)]
            seconds = f"{a['seconds']:.2f} | {b['seconds']:.2f} | {b['seconds'] / a['seconds']:.2f}"
            lines.append(f"| {name} | {seconds} | {texts[0]} | {texts[1]} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=31_000)
    parser.add_argument("--draws", type=int, default=100_000)
    parser.add_argument("--episensr", default="")
    parser.add_argument("--part", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(ours(options.draws)))
        return
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        extract = work / "extract.parquet"
        words = f"simulate extract --n {options.n} --seed 1 --quiet --out".split()
        measured([sys.executable, "-m", "walkrisk", *words, str(extract)])
        whole = work / "whole"
        whole.mkdir()
        for file in ("study.toml", "sensitivity.toml"):
            shutil.copy(STUDY / file, whole)
        costs = {"the study without the suite, numbers": run(whole, extract, sensitivity=False)}
        costs["the suite with tables, figures and report, 2 workers"] = run(whole, extract, jobs=2, numbers=False)
        beside = None
        if shutil.which("Rscript"):
            r_command = ["Rscript", str(HERE / "bias_analysis.R"), str(options.draws)]
            theirs = json.loads(measured(r_command + [options.episensr] * bool(options.episensr))[0])
            us, _ = measured([sys.executable, __file__, "--part", "ours", "--draws", str(options.draws)])
            beside = theirs, json.loads(us)
        parts = by_part(work, extract, costs["the study without the suite, numbers"])
        write(page(options.n, options.draws, costs, parts, beside))
        costs["the suite, numbers, 1 worker"] = run(whole, extract)
        same = all(
            (whole / "out1" / f).read_bytes() == (whole / "out2" / f).read_bytes()
            for f in ("estimates.csv", "points.csv", "specifications.csv")
        )
        if not same:
            sys.exit("one and two workers gave different bytes")
        write(page(options.n, options.draws, costs, parts, beside))


def write(text: str) -> None:
    """The page as it stands."""
    (HERE / "sensitivity_suite.md").write_text(text, encoding="utf-8")
    print(text, flush=True)


if __name__ == "__main__":
    main()
