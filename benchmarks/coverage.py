"""Bias and coverage of every estimator and interval on simulated data of known truth, in one run.

    python benchmarks/coverage.py [--jobs 1] [--only SCENARIO ...] [--sets 2000] [--again] [--tables]

A cell is a scenario (`coverage_scenarios.SCENARIOS`) and a number of people. Each finished cell is written to
coverage.csv and skipped by the next run, unless `--again`; with other `--sets` write elsewhere (`--out FOLDER`).
Data set k of a cell comes from the numbers (SEED, scenario, n, k) alone, so the file is the same byte for byte however
many processes share the work. The tables of coverage.md are written from coverage.csv (`--tables`: only that); what
stands above them is kept.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import sys
import time
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy: small matrices are slower on many threads

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE))

from coverage_intervals import REFUSED, Found  # noqa: E402
from coverage_scenarios import SCENARIOS, Scenario  # noqa: E402

FloatArray = npt.NDArray[np.float64]
Row = dict[str, str]

SEED = 20261122
MARK = "<!-- tables: written by coverage.py -->"
FIELDS = (
    "scenario",
    "n",
    "estimator",
    "interval",
    "target",
    "truth",
    "mean_estimate",
    "bias",
    "bias_mcse",
    "empirical_sd",
    "mean_se",
    "coverage",
    "coverage_mcse",
    "missed_low",
    "missed_high",
    "without_interval",
    "data_sets",
    "verdict",
)
NOMINAL, TOLERATED = 0.95, 0.02


def generator(scenario: str, n: int, number: int) -> np.random.Generator:
    """The random numbers of one data set."""
    return np.random.default_rng([SEED, zlib.crc32(scenario.encode()), n, number])


def gathered(scenario: Scenario, name: str, n: int, sets: int) -> dict[tuple[str, str, str], FloatArray]:
    """For each estimator, interval and target value, standard error and limits (sets, 4), NaN where there is none."""
    out: dict[tuple[str, str, str], FloatArray] = {}
    with np.errstate(all="ignore"):
        for number in range(sets):
            found: Found = scenario.analyse(scenario.draw(generator(name, n, number), n), number)
            for key, values in found.items():
                out.setdefault(key, np.full((sets, 4), np.nan))[number] = values
    return out


def summary(values: FloatArray, truth: float) -> dict[str, float]:
    """Bias, spread and coverage of values, standard errors and limits (sets, 4), with their Monte Carlo errors.

    Coverage is among data sets with an interval, whose limits may be infinite but not NaN; `missed_low` is the share of
    intervals wholly below the truth. Bias is over those of them with a finite estimate.
    """
    estimate, se, low, high = values.T
    known = ~np.isnan(low) & ~np.isnan(high)
    finite = known & np.isfinite(estimate)
    kept = int(known.sum())
    if finite.sum() < 2:
        return {"data_sets": float(len(values)), "without_interval": 1.0}
    covered = (low[known] <= truth) & (truth <= high[known])
    share, spread = float(covered.mean()), float(estimate[finite].std(ddof=1))
    errors = se[finite & np.isfinite(se)]
    return {
        "truth": truth,
        "mean_estimate": float(estimate[finite].mean()),
        "bias": float(estimate[finite].mean()) - truth,
        "bias_mcse": spread / math.sqrt(int(finite.sum())),
        "empirical_sd": spread,
        "mean_se": float(errors.mean()) if len(errors) else math.nan,
        "coverage": share,
        "coverage_mcse": math.sqrt(share * (1 - share) / kept),
        "missed_low": float((high[known] < truth).mean()),
        "missed_high": float((low[known] > truth).mean()),
        "without_interval": 1 - kept / len(values),
        "data_sets": float(len(values)),
    }


def verdict(found: Mapping[str, float]) -> str:
    """What a row says: coverage beyond 93 to 97 % by two Monte Carlo errors, bias that is more than chance."""
    if "coverage" not in found:
        return "no estimate"
    said = []
    error = 2 * math.sqrt(NOMINAL * (1 - NOMINAL) / (found["data_sets"] * (1 - found["without_interval"])))
    if found["coverage"] + max(error, 2 * found["coverage_mcse"]) < NOMINAL - TOLERATED:
        said.append("low")
    if found["coverage"] - max(error, 2 * found["coverage_mcse"]) > NOMINAL + TOLERATED:
        said.append("high")
    if abs(found["bias"]) > max(4 * found["bias_mcse"], 0.1 * found["empirical_sd"]):
        said.append("biased")
    if found["without_interval"] > 0.05:
        said.append("often without")
    return ", ".join(said)


def cell(name: str, n: int, sets: int) -> tuple[list[Row], float, dict[str, int]]:
    """The rows of a scenario at one size, its CPU seconds, and what was refused."""
    scenario, begun = SCENARIOS[name], time.process_time()
    REFUSED.clear()
    made = gathered(scenario, name, n, sets)
    rows = []
    for (estimator, interval, target), values in made.items():
        rows.append(_row((name, str(n), estimator, interval, target), summary(values, scenario.truth[target])))
    return rows, time.process_time() - begun, dict(REFUSED)


def _row(labels: tuple[str, ...], found: Mapping[str, float]) -> Row:
    row = dict.fromkeys(FIELDS, "")
    row.update(zip(FIELDS, labels, strict=False))
    row.update({k: f"{v:.0f}" if k == "data_sets" else f"{v:.5g}" for k, v in found.items() if not math.isnan(v)})
    return {**row, "verdict": verdict(found)}


# ---------------------------------------------------------------- files


def read_rows(path: Path) -> list[Row]:
    """The rows of a CSV file, none if it is not there."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """All rows, scenarios and sizes in their order."""
    names = list(SCENARIOS)
    ordered = sorted(rows, key=lambda r: (names.index(r["scenario"]), int(r["n"])))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(ordered)


def tables(rows: list[Row]) -> str:
    """A table for each scenario: a line for each estimator, interval and target, a group of columns for each size."""
    out = []
    for name, scenario in SCENARIOS.items():
        here = [r for r in rows if r["scenario"] == name]
        if not here:
            continue
        sizes = [n for n in scenario.sizes if any(r["n"] == str(n) for r in here)]
        truths = ", ".join(f"{t} {v:.4g}" for t, v in scenario.truth.items())
        out += [f"### {name}", "", f"{scenario.about[0].upper()}{scenario.about[1:]}. Truth: {truths}.", ""]
        heads = [f"n = {n:,}: bias (MCSE) | SD | mean SE | coverage, % (MCSE)" for n in sizes]
        out += [f"| estimator | interval | of | {' | '.join(heads)} |", "|---" * (3 + 4 * len(sizes)) + "|"]
        for key in dict.fromkeys((r["estimator"], r["interval"], r["target"]) for r in here):
            cells = []
            for n in sizes:
                found = [r for r in here if (r["estimator"], r["interval"], r["target"], r["n"]) == (*key, str(n))]
                cells.append(_cells(found[0], scenario.sets) if found else "| | | ")
            out.append(f"| {' | '.join(key)} | {' | '.join(cells)} |")
        out.append("")
    return "\n".join(out)


def _cells(row: Row, usual: int) -> str:
    if not row["coverage"]:
        return "none | | | "
    coverage, error = 100 * float(row["coverage"]), 100 * float(row["coverage_mcse"])
    text = f"{coverage:.1f} ({error:.1f})"
    if "low" in row["verdict"] or "high" in row["verdict"]:
        text = f"**{text}**"
    without = float(row["without_interval"])
    if without >= 0.0005:
        text += f", {100 * without:.1f} % without"
    if int(row["data_sets"]) != usual:
        text += f", {int(row['data_sets']):,} sets"
    bias = f"{float(row['bias']):+.3g} ({float(row['bias_mcse']):.1g})"
    if "biased" in row["verdict"]:
        bias = f"**{bias}**"
    se = f"{float(row['mean_se']):.3g}" if row["mean_se"] else ""
    return f"{bias} | {float(row['empirical_sd']):.3g} | {se} | {text}"


def write_tables(path: Path, rows: list[Row]) -> None:
    """Renew what stands below the mark."""
    above = path.read_text(encoding="utf-8").split(MARK)[0] if path.exists() else "# Bias and coverage\n\n"
    path.write_text(f"{above}{MARK}\n\n{tables(rows)}", encoding="utf-8")


# ---------------------------------------------------------------- the run


def main(arguments: list[str] | None = None) -> None:
    """Run the cells that are missing, cheap ones first, and write both files."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--jobs", type=int, default=1)
    ask.add_argument("--only", nargs="*", choices=list(SCENARIOS))
    ask.add_argument("--sets", type=int, help="data sets a cell (for a trial)")
    ask.add_argument("--out", type=Path, default=HERE)
    ask.add_argument("--again", action="store_true")
    ask.add_argument("--tables", action="store_true")
    asked = ask.parse_args(arguments)
    path = asked.out / "coverage.csv"
    rows = read_rows(path)
    cells = [(name, n) for name, s in SCENARIOS.items() for n in s.sizes if not asked.only or name in asked.only]
    if not asked.again:
        done = {(r["scenario"], int(r["n"])) for r in rows}
        cells = [c for c in cells if c not in done]
    cells = [] if asked.tables else sorted(cells, key=lambda c: c[1])
    sets = [asked.sets or SCENARIOS[name].sets for name, _ in cells]
    names, sizes = [c[0] for c in cells], [c[1] for c in cells]
    with ProcessPoolExecutor(asked.jobs) as pool:
        for (name, n), (made, seconds, refused) in zip(cells, pool.map(cell, names, sizes, sets), strict=True):
            rows = [r for r in rows if (r["scenario"], int(r["n"])) != (name, n)] + made
            write_rows(path, rows)
            print(f"{name}, n = {n}: {seconds:.0f} CPU s", flush=True)
            for sentence, count in sorted(refused.items(), key=lambda item: -item[1])[:6]:
                print(f"    {count} x {sentence}", flush=True)
    write_tables(asked.out / "coverage.md", rows)


if __name__ == "__main__":
    main()
