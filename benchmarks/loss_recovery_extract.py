"""Weights for loss to follow-up on simulated extracts of the reference study: before and after, and with nobody lost.

    python benchmarks/loss_recovery_extract.py [--extracts 40] [--people 31000] [--first-seed 1] [--imputed]

The declared simulation of the study with two changes. Follow-up pain depends on pain in the past four weeks, which is
not in the outcome model; and so does being lost, the more the more a person walks: among high walkers people in pain
are lost, among low walkers those without. Each extract is drawn twice from the same seed, with and without loss: the
same people, the same outcomes. With `--imputed` pain is unknown for three in ten, more often among older people,
and weights are made in imputed sets too. The tables go into loss_recovery.md.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy: small matrices are slower on many threads

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402

from walkrisk.cohorts.readers import read_extract  # noqa: E402
from walkrisk.declarations import read_toml  # noqa: E402
from walkrisk.runs.compute import make_cohort  # noqa: E402
from walkrisk.simulation import simulate  # noqa: E402
from walkrisk.simulation.extract import parse_simulation  # noqa: E402
from walkrisk.studies.bench import make_bench  # noqa: E402
from walkrisk.studies.declaration import contracts, load_study  # noqa: E402
from walkrisk.studies.losses import LossWeights  # noqa: E402
from walkrisk.studies.missing_data import Imputation  # noqa: E402
from walkrisk.studies.sensitivity import Sensitivity  # noqa: E402
from walkrisk.studies.study import Study  # noqa: E402
from walkrisk.variations.ground import Ground, main_rows  # noqa: E402
from walkrisk.variations.losses import plan  # noqa: E402

HERE = Path(__file__).resolve().parent
REFERENCE = HERE.parent / "analyses" / "walking_low_back_pain"
MARK = "<!-- tables: written by loss_recovery_extract.py -->"
IMPUTED_MARK = "<!-- tables: written by loss_recovery_extract.py --imputed -->"
SETS = 5
FloatArray = npt.NDArray[np.float64]
LEVELS = ("Q2", "Q3", "Q4")
PAIN = {"variable": "recent_pain", "coefficient": 0.28, "center": 2.6, "flat_above": 4}
LOST = (
    {"variable": "recent_pain", "coefficient": 0.05, "center": 2.6},
    {"variable": "walking_min_day", "coefficient": 0.020, "center": 100, "flat_below": 60, "flat_above": 140,
     "times": "pain_centred"},
    {"variable": "age", "coefficient": -0.015, "flat_above": 72, "center": 55},
)  # fmt: skip


def declared(*, loss: bool, unknown: bool = False) -> Any:
    """The simulation of the reference study with loss that depends on walking and pain, or with nobody lost; with
    pain known to nearly everyone, or `unknown` to three in ten."""
    table = copy.deepcopy(dict(read_toml(REFERENCE / "simulation.toml", "a simulation declaration")))
    variables = table["variables"]
    at = {v["name"]: i for i, v in enumerate(variables)}
    variables[at["incident_lbp"]]["terms"].append(dict(PAIN))
    variables[at["incident_lbp"]]["mean"] = 0.11
    lost = variables[at["lost"]]
    if loss:
        lost["terms"] = [dict(t) for t in LOST]
    else:
        del lost["mean"]
        lost["intercept"], lost["terms"] = -40.0, []
    centred = {
        "op": "derived", "name": "pain_centred", "intercept": 0.0, "terms": [{"variable": "recent_pain",
        "coefficient": 1.0, "center": 2.6}],
    }  # fmt: skip
    variables.insert(at["incident_lbp"], centred)
    if unknown:
        column = next(c for c in table["columns"] if c["from"] == "recent_pain")
        terms = [{"variable": "age", "coefficient": 0.03, "center": 55}]
        column["missing"] = {"probability": 0.28, "terms": terms}
    return parse_simulation(table)


COVARIATES = (
    "walking_min_day", "walking_intensity_met", "age", "sex", "education", "income", "work_status", "smoking",
    "depression", "pain_4_weeks",
)  # fmt: skip
WEIGHTS = {"steps": ("followup_pain_known",), "strata": "volume", "splines": {"age": 4}}


def study_of(*, weights: bool, imputed: bool = False) -> Study:
    """The main analysis of the reference study, with weights for loss (in imputed sets too) or none."""
    whole = load_study(REFERENCE / "study.toml")
    main = next(a for a in whole.analyses if a.id == "main")
    ways: list[LossWeights] = [
        LossWeights(id="without", covariates=COVARIATES[:-1], **WEIGHTS),
        LossWeights(id="weighted", covariates=COVARIATES, **WEIGHTS),
        LossWeights(id="whole", covariates=COVARIATES, truncate=(), **WEIGHTS),
    ]
    imputation = Imputation(
        id="mi",
        impute=dict.fromkeys(("education", "income", "work_status", "smoking", "depression", "pain_4_weeks"), "auto"),
        replaces=("complete_covariates",),
        sets=SETS,
        cycles=5,
    )
    if imputed:
        ways[2] = LossWeights(id="imputed", covariates=COVARIATES, imputation="mi", **WEIGHTS)
    return replace(
        whole,
        analyses=(replace(main, models=("multi_adjusted",), exposures=("volume",)),),
        sensitivity=Sensitivity(
            model="multi_adjusted", losses=tuple(ways) if weights else (), imputations=(imputation,) if imputed else ()
        )
        if weights
        else Sensitivity(),
        curves=(), trends=(), interactions=(), standardised=(), comparisons=(), attributable=(), evalues=(),
        characteristics=(), tables=(), curve_figures=(), forest_figures=(),
    )  # fmt: skip


Found = dict[str, FloatArray]


def ground_of(study: Study, people: int, seed: int, *, loss: bool, unknown: bool) -> Ground:
    """A study on a freshly drawn extract."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "extract.parquet"
        simulate(declared(loss=loss, unknown=unknown), n=people, seed=seed).frame.to_parquet(path, index=False)
        extract = read_extract(path, contracts(study))
    ids = {name for name, column in study.columns.items() if column.kind == "id"}
    columns = {n: extract.frame[n].to_numpy(dtype=np.float64) for n in extract.frame if n not in ids}
    return Ground(study, columns, None, make_bench(study, make_cohort(study, extract)[0]))


def one_extract(people: int, seed: int, *, imputed: bool = False) -> Found:
    """Log ratios and standard errors (2, 3) of Q2 to Q4 by analysis, of one extract with and without loss."""
    out: Found = {}
    for loss in (False, True):
        study = study_of(weights=loss, imputed=imputed)
        ground = ground_of(study, people, seed, loss=loss, unknown=imputed)
        rows = list(main_rows(ground.bench, "volume").estimates)
        for variation in plan(ground) if loss else ():
            rows += variation.finish([part.work() for part in variation.parts]).estimates
        for analysis in dict.fromkeys(e.analysis for e in rows):
            mine = {e.level: e for e in rows if (e.analysis, e.variance, e.estimand) == (analysis, "HC0", "risk_ratio")}
            name = {"main": "those followed" if loss else "nobody lost"}.get(analysis, analysis)
            out[name] = np.array(
                [
                    [math.log(mine[k].estimate or math.nan) for k in LEVELS],
                    [mine[k].std_error or math.nan for k in LEVELS],
                ]
            )
    return out


NAMES = {
    "nobody lost": "nobody lost",
    "those followed": "those followed, no weights",
    "without": "weighted, pain left out of the model of loss",
    "weighted": "weighted, cut off at percentiles 1 and 99",
    "whole": "weighted, not cut off",
    "imputed": "weighted in imputed sets",
}


def table(found: Sequence[Mapping[str, FloatArray]]) -> str:
    """The Markdown table: mean ratios and differences of log ratios from nobody lost, with Monte Carlo errors."""
    lines = ["| analysis | Q2 | Q3 | Q4 | Q4, log ratio less that with nobody lost (MCSE) | interval holds it |"]
    lines.append("|---|---|---|---|---|---|")
    truth = np.array([f["nobody lost"][0] for f in found])
    centre = truth.mean(axis=0)
    for name, words in NAMES.items():
        if name not in found[0]:
            continue
        logs, errors = (np.array([f[name][i] for f in found]) for i in (0, 1))
        ratios = " | ".join(f"{v:.3f}" for v in np.exp(logs.mean(axis=0)))
        gap = (logs - truth)[:, 2]
        mcse = gap.std(ddof=1) / math.sqrt(len(found)) if len(found) > 1 else math.nan
        held = np.mean(np.abs(logs - centre)[:, 2] <= 1.959964 * errors[:, 2])
        lines.append(f"| {words} | {ratios} | {gap.mean():+.3f} ({mcse:.3f}) | {100 * held:.0f} % |")
    return "\n".join(lines)


def main() -> None:
    """Draws the extracts, analyses them and writes the table below the mark of loss_recovery.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extracts", type=int, default=40)
    parser.add_argument("--people", type=int, default=31000)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--imputed", action="store_true")
    asked = parser.parse_args()
    start = time.perf_counter()
    found = [one_extract(asked.people, asked.first_seed + i, imputed=asked.imputed) for i in range(asked.extracts)]
    text = table(found)
    print(text)
    print(f"{time.perf_counter() - start:.0f} s")
    page, mark = HERE / "loss_recovery.md", IMPUTED_MARK if asked.imputed else MARK
    head, _, rest = page.read_text(encoding="utf-8").partition(mark)
    after = rest[rest.index("\n## ") :] if "\n## " in rest else ""
    said = f"{asked.extracts} extracts of {asked.people} people.\n\n{text}\n"
    page.write_text(f"{head}{mark}\n\n{said}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
