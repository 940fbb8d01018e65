"""Calibration and SIMEX on simulated extracts whose risk depends on usual walking: before and after.

    python benchmarks/measurement_recovery_extract.py [--extracts 20] [--people 31000] [--first-seed 1]

The declared simulation of the study, in which risk depends on a person's usual walking and the days vary about it, with
one change: the log risk falls evenly with usual walking (no flat ends, no modification by age), and not with intensity.
"Usual walking, if it were known" analyses the same people with their usual walking in the place of the days' mean. The
table goes into measurement_recovery.md.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy: small matrices are slower on many threads

import numpy as np  # noqa: E402

from walkrisk.cohorts.days import daily_seconds  # noqa: E402
from walkrisk.cohorts.readers import read_extract  # noqa: E402
from walkrisk.declarations import read_toml  # noqa: E402
from walkrisk.estimates.rows import Estimate  # noqa: E402
from walkrisk.runs.compute import make_cohort  # noqa: E402
from walkrisk.runs.sensitivity import sensitivity_rows  # noqa: E402
from walkrisk.simulation import simulate  # noqa: E402
from walkrisk.simulation.extract import parse_simulation  # noqa: E402
from walkrisk.studies.bench import make_bench  # noqa: E402
from walkrisk.studies.declaration import contracts, load_study  # noqa: E402
from walkrisk.studies.measurement import Calibration, Simex  # noqa: E402
from walkrisk.studies.sensitivity import Sensitivity  # noqa: E402
from walkrisk.studies.study import Study  # noqa: E402
from walkrisk.variations.ground import Ground, main_rows, vary  # noqa: E402

HERE = Path(__file__).resolve().parent
REFERENCE = HERE.parent / "analyses" / "walking_low_back_pain"
MARK = "<!-- tables: written by measurement_recovery_extract.py -->"
SLOPE, PER = -0.005, 30.0  # true log ratio per minute a day; units of the ratios
Found = dict[str, tuple[float, float]]
KNOWN = "usual walking, if it were known"


def declared() -> Any:
    """The simulation of the reference study with an even slope of usual walking."""
    table = copy.deepcopy(dict(read_toml(REFERENCE / "simulation.toml", "a simulation declaration")))
    for variable in table["variables"]:
        if variable["name"] == "incident_lbp":
            kept = [t for t in variable["terms"] if t["variable"] not in ("walking_min_day", "intensity_met")]
            walking = {"variable": "walking_min_day", "coefficient": SLOPE, "center": 100.0}
            variable["terms"] = [walking, *kept]
    table["outcome"]["contrasts"] = []
    return parse_simulation(table)


def study_of(fits: int) -> Study:
    """The main analysis of walking volume, calibrated and by SIMEX."""
    whole = load_study(REFERENCE / "study.toml")
    main = next(a for a in whole.analyses if a.id == "main")
    sensitivity = Sensitivity(
        model="multi_adjusted",
        calibrations=(Calibration(id="calibrated", per={"volume": PER}),),
        simex=(
            Simex(id="simex", per={"volume": PER}, replicates=fits),
            Simex(id="simex_empirical", per={"volume": PER}, replicates=fits, noise="empirical"),
        ),
    )
    return replace(
        whole,
        analyses=(replace(main, exposures=("volume",), models=("multi_adjusted",)),),
        sensitivity=sensitivity,
        curves=(), trends=(), interactions=(), standardised=(), comparisons=(), attributable=(), evalues=(),
        characteristics=(), tables=(), curve_figures=(), forest_figures=(),
    )  # fmt: skip


def one_extract(study: Study, people: int, seed: int) -> tuple[Found, Found, float]:
    """Log ratios per 30 min/day, of the highest quarter, and the share of usual walking that the days hold."""
    made = simulate(declared(), n=people, seed=seed, keep_latent=True)
    assert made.latent is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "extract.parquet"
        made.frame.to_parquet(path, index=False)
        extract = read_extract(path, contracts(study))
    columns = {n: extract.frame[n].to_numpy(dtype=np.float64) for n in extract.frame if n != "PID_114165"}
    cohort, _ = make_cohort(study, extract)
    assert study.days is not None
    ground = Ground(study, columns, daily_seconds(study.days, columns), make_bench(study, cohort))
    rows = [e for r in sensitivity_rows(ground, jobs=1, progress=_silent) for e in r.estimates if e.variance == "HC0"]
    usual = np.asarray(made.latent["walking_min_day"], dtype=np.float64)
    with_usual = np.where(np.isnan(cohort.everyone["walking_min_day"]), np.nan, usual)
    bench = vary(ground, given={"walking_min_day": with_usual})
    known = vary(ground, study=replace(study, analyses=(_per_unit(study),)), given={"walking_min_day": with_usual})
    share = float(cohort.analytic("walking_min_day").mean() / usual[cohort.included].mean())
    slope: Found = {
        KNOWN: _pair(_one(main_rows(known, "volume").estimates, "HC0")),
        "as measured": _pair(_stratum(rows, "calibrated", "as measured")),
        "calibrated": _pair(_stratum(rows, "calibrated", "calibrated")),
    }
    quarter: Found = {
        KNOWN: _pair(_one([e for e in main_rows(bench, "volume").estimates if e.level == "Q4"], "HC0")),
        "as measured": _pair(_stratum(rows, "simex", "categories, as measured", "Q4")),
        "categories of calibrated exposure": _pair(
            _stratum(rows, "calibrated", "categories of calibrated exposure", "Q4")
        ),
    }
    for analysis, label in (("simex", "SIMEX"), ("simex_empirical", "SIMEX, empirical noise")):
        for name in ("quadratic", "rational"):
            slope[f"{label}, {name}"] = _pair(_stratum(rows, analysis, f"per unit, {name}"))
        quarter[f"{label}, quadratic"] = _pair(_stratum(rows, analysis, "categories, quadratic", "Q4"))
    return slope, quarter, share


def _silent(task: str, done: int, of: int) -> None:
    """Says nothing."""


def _per_unit(study: Study) -> Any:
    return replace(study.analyses[0], form="per_unit")


def _one(rows: Any, variance: str) -> Estimate:
    return next(e for e in rows if e.variance == variance)


def _stratum(rows: list[Estimate], analysis: str, stratum: str, level: str = "") -> Estimate | None:
    wanted = (analysis, stratum, level, "risk_ratio")
    return next((e for e in rows if (e.analysis, e.stratum, e.level, e.estimand) == wanted), None)


def _pair(e: Estimate | None) -> tuple[float, float]:
    if e is None or e.estimate is None or e.std_error is None:
        return math.nan, math.nan
    return math.log(e.estimate), e.std_error


def table(sets: list[Found], truth: float | None) -> Iterator[str]:
    """A markdown table: ratios, what they are off the truth (without one, off the ratio of usual walking), coverage."""
    yield "| | ratio | log ratio off (MC error) | SD | mean SE | intervals that hold the truth |"
    yield "|---|---|---|---|---|---|"
    for name in sets[0]:
        found = np.array([s[name] for s in sets])
        known = np.array([s[KNOWN][0] for s in sets])
        fine = np.isfinite(found).all(axis=1)
        value, error = found[fine].T
        off = value - (known[fine] if truth is None else truth)
        target = known.mean() if truth is None else truth
        held = int((np.abs(value - target) < 1.959964 * error).sum())
        mcse = off.std(ddof=1) / math.sqrt(len(off))
        numbers = f"{off.mean():+.3f} ({mcse:.3f}) | {value.std(ddof=1):.3f} | {error.mean():.3f}"
        yield f"| {name} | {math.exp(value.mean()):.3f} | {numbers} | {held} of {len(off)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--extracts", type=int, default=20)
    parser.add_argument("--people", type=int, default=31000)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--fits", type=int, default=50)
    a = parser.parse_args()
    begun, study = time.perf_counter(), study_of(a.fits)
    study = replace(study, exposures={**study.exposures, "volume": replace(study.exposures["volume"], per=PER)})
    found = [one_extract(study, a.people, seed) for seed in range(a.first_seed, a.first_seed + a.extracts)]
    share = float(np.mean([f[2] for f in found]))
    lines = [
        f"### {a.extracts} simulated extracts of {a.people} people",
        "",
        f"Per {PER:g} min/day of walking; the true ratio is {math.exp(SLOPE * PER):.3f} per {PER:g} min/day of usual "
        f"walking. The days hold {100 * share:.1f} % of usual walking, as some are short, so what days can give is "
        f"{math.exp(SLOPE * PER / share):.3f}, which the others are set beside.",
        "",
        *table([{KNOWN: f[0][KNOWN]} for f in found], SLOPE * PER),
        *list(table([{k: v for k, v in f[0].items() if k != KNOWN} | {KNOWN: f[0][KNOWN]} for f in found],
                    SLOPE * PER / share))[2:-1],
        "",
        "Highest against lowest quarter, each of its own distribution; off the mean ratio of usual walking.",
        "",
        *table([f[1] for f in found], None),
        "",
        f"{a.fits} fits at each size of added error.",
    ]  # fmt: skip
    page = HERE / "measurement_recovery.md"
    before, _, after = page.read_text(encoding="utf-8").partition(MARK)
    rest = after[after.index("<!-- tables") :]
    page.write_text(f"{before}{MARK}\n\n" + "\n".join(lines) + f"\n\n{rest}", encoding="utf-8")
    print("\n".join(lines), f"\n{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
