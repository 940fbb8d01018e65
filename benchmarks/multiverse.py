"""A multiverse of 1,008 specifications against a loop of statsmodels over the same ones: CPU, memory, agreement.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/multiverse.py

It simulates the extract of the reference study, declares the multiverse below, and works off its specifications in
chunks, each by all ways in turn, so that other work on the machine meets all alike. It writes benchmarks/multiverse.md.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels
import statsmodels.api as sm
import statsmodels.formula.api as smf

from walkrisk.cohorts.days import ValidDay, daily_seconds
from walkrisk.cohorts.eligibility import Condition
from walkrisk.cohorts.readers import read_extract
from walkrisk.models.design import build_design, factor
from walkrisk.models.many_specifications import fit_specifications
from walkrisk.runs.compute import make_cohort
from walkrisk.simulation import load_simulation, simulate, write_extract
from walkrisk.studies.bench import make_bench
from walkrisk.studies.declaration import contracts, load_study
from walkrisk.studies.multiverse import (
    AsDeclaredOption,
    CategoriesOption,
    CovariatesOption,
    Decision,
    Multiverse,
    OutcomeOption,
    PerUnitOption,
    RestrictOption,
    SplineOption,
    ValidDaysOption,
)
from walkrisk.studies.sensitivity import Sensitivity
from walkrisk.variations.ground import Ground
from walkrisk.variations.multiverse import in_order, specifications
from walkrisk.variations.specified_blocks import Ready, blocks_of, ready_for, solved
from walkrisk.variations.specified_samples import Workshop

HERE = Path(__file__).parent
STUDY = HERE.parent / "analyses" / "walking_low_back_pain" / "study.toml"
EXPOSURE = "volume"
AS_IS = AsDeclaredOption(id="as_is", op="as_declared")
DECLARED = Multiverse(
    id="benchmark",
    permutations=0,
    exposures=(EXPOSURE,),
    decisions=(
        Decision(
            id="days",
            options=(
                AS_IS,
                ValidDaysOption(id="every", op="valid_days", valid=ValidDay()),
                ValidDaysOption(id="four", op="valid_days", fewest=4),
            ),
        ),
        Decision(
            id="form",
            options=(
                AS_IS,
                CategoriesOption(id="tertiles", op="categories", quantiles=3),
                CategoriesOption(id="quintiles", op="categories", quantiles=5),
                CategoriesOption(id="fixed", op="categories", cuts={EXPOSURE: (78.0, 101.0, 125.0)}),
                PerUnitOption(id="linear", op="per_unit"),
                SplineOption(id="spline3", op="spline"),
                SplineOption(id="spline5", op="spline", knots=5),
            ),
        ),
        Decision(
            id="covariates",
            options=(
                AS_IS,
                CovariatesOption(id="bmi", op="covariates", add=("bmi",)),
                CovariatesOption(id="hads8", op="covariates", replace={"depression": "depression8"}),
                CovariatesOption(id="activity", op="covariates", add=("running_cycling_min_day",)),
            ),
        ),
        Decision(
            id="people",
            options=(
                AS_IS,
                RestrictOption(id="no_pain", op="restrict", require=(Condition(variable="msp_t0", equals=0.0),)),
                RestrictOption(
                    id="healthy", op="restrict", require=(Condition(variable="health", above=2.0, missing="keep"),)
                ),
                RestrictOption(id="no_disease", op="restrict", require=(Condition(variable="disease", equals=0.0),)),
                RestrictOption(
                    id="little_pain", op="restrict", require=(Condition(variable="pain_4_weeks", below=4.0),)
                ),
                RestrictOption(id="under_80", op="restrict", require=(Condition(variable="age", below=80.0),)),
            ),
        ),
        Decision(id="outcome", options=(AS_IS, OutcomeOption(id="severe", op="outcome", outcome="severe_lbp"))),
    ),
)
CHUNK = 252


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A specification as statsmodels takes it: arrays, and a frame with a formula."""

    design: np.ndarray
    outcome: np.ndarray
    contrast: np.ndarray
    frame: pd.DataFrame
    formula: str
    width: int


def ground_of(path: Path) -> Ground:
    study = load_study(STUDY)
    study = replace(study, sensitivity=Sensitivity(model="multi_adjusted", multiverses=(DECLARED,)))
    extract = read_extract(path, contracts(study))
    columns = {n: extract.frame[n].to_numpy(dtype=np.float64) for n in extract.frame if n != "PID_114165"}
    cohort, _ = make_cohort(study, extract)
    assert study.days is not None
    return Ground(study, columns, daily_seconds(study.days, columns), make_bench(study, cohort))


def prepared(shop: Workshop, one: Ready) -> Prepared:
    """The complete rows of a specification for statsmodels: the exposure's columns, then the covariates."""
    rows = one.wanted.weights > 0
    terms = shop.terms(one.spec, EXPOSURE)
    names = [t if isinstance(t, str) else t.name for t in terms]  # type: ignore[union-attr]
    columns = {n: shop.column(one.spec, n)[rows] for n in names}
    levels = shop.cohort(one.spec).variables
    made = [factor(t, columns[t], levels[t].levels) if isinstance(t, str) else t for t in terms]
    covariates = build_design(columns, made, int(rows.sum())).matrix
    raw = one.exposure.columns.columns[:, rows].T
    design = np.ascontiguousarray(np.column_stack([covariates[:, :1], raw, covariates[:, 1:]]))
    contrast = np.zeros(design.shape[1])
    contrast[1 : 1 + raw.shape[1]] = one.exposure.columns.high - one.exposure.columns.low
    y = one.wanted.outcome[rows]
    frame = pd.DataFrame({**{f"e{i}": raw[:, i] for i in range(raw.shape[1])}, **columns, "y": y})
    right = [f"e{i}" for i in range(raw.shape[1])]
    right += [f"C({t})" if isinstance(t, str) else n for t, n in zip(terms, names, strict=True)]
    return Prepared(design, y, contrast, frame, f"y ~ {' + '.join(right)}", raw.shape[1])


def by_arrays(one: Prepared) -> tuple[float, float]:
    fit = sm.GLM(one.outcome, one.design, family=sm.families.Poisson()).fit(cov_type="HC0")
    return float(one.contrast @ fit.params), float(np.sqrt(one.contrast @ fit.cov_params() @ one.contrast))


def by_formula(one: Prepared) -> float:
    fit = smf.glm(one.formula, one.frame, family=sm.families.Poisson()).fit(cov_type="HC0")
    return float(one.contrast[1 : 1 + one.width] @ [fit.params[f"e{i}"] for i in range(one.width)])


def ours(ready: Sequence[Ready]) -> tuple[np.ndarray, np.ndarray]:
    """Log ratios and HC0 standard errors of specifications made ready, in their order."""
    place = {id(one): i for i, one in enumerate(ready)}
    value, se = np.empty(len(ready)), np.empty(len(ready))
    groups: dict[tuple[int, int], list[Ready]] = {}
    for one in ready:
        groups.setdefault((id(one.covariates), len(one.wanted.exposure.columns)), []).append(one)
    for group in groups.values():
        for block in blocks_of(group):
            found = fit_specifications("modified_poisson", block[0].covariates, [one.wanted for one in block])
            if not found.accepted.all():
                raise RuntimeError("a specification was not solved with the others")
            at = [place[id(one)] for one in block]
            value[at], se[at] = found.log_ratio, np.sqrt((found.influence**2).sum(axis=1))
    return value, se


def timed(work: Callable[[], object]) -> tuple[object, float]:
    start = time.process_time()
    made = work()
    return made, time.process_time() - start


def peak_mib() -> float:
    """The most memory this process has held since `forget_peak`, in MiB (Linux)."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(text.split("VmHWM:")[1].split()[0]) / 1024


def forget_peak() -> float:
    """Starts the peak anew; what is held now, in MiB."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return peak_mib()


def growth(path: str, way: str, count: int) -> float:
    """Mebibytes that a way adds to the peak of a process that holds the study and the prepared arrays."""
    warnings.simplefilter("ignore")
    ground = ground_of(Path(path))
    specs = in_order(specifications(ground, DECLARED, EXPOSURE))[:count]
    if way == "rows":
        before = forget_peak()
        solved(Workshop(ground, {EXPOSURE: specs}), specs, EXPOSURE, scale="groups")
        return peak_mib() - before
    shop = Workshop(ground, {EXPOSURE: specs})
    ready = [one for s in specs if (one := ready_for(shop, s, EXPOSURE, "groups"))]
    some = [prepared(shop, one) for one in ready[:20]]
    work = {
        "fits": lambda: ours(ready),
        "arrays": lambda: [by_arrays(one) for one in some],
        "formula": lambda: [by_formula(one) for one in some],
    }[way]
    before = forget_peak()
    work()
    return peak_mib() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=31_000, help="rows of the extract")
    parser.add_argument("--out", type=Path, default=HERE / "multiverse.md")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "extract.parquet"
        write_extract(simulate(load_simulation(STUDY.with_name("simulation.toml")), n=asked.n, seed=1), path)
        write(asked.out, *measured(path))


def measured(path: Path) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    ground = ground_of(path)
    specs = in_order(specifications(ground, DECLARED, EXPOSURE))
    cpu = dict.fromkeys(("rows", "fits", "arrays", "formula"), 0.0)
    shop = Workshop(ground, {EXPOSURE: specs})
    (_, cpu["rows"]) = timed(lambda: solved(Workshop(ground, {EXPOSURE: specs}), specs, EXPOSURE, scale="groups"))
    ready = [one for s in specs if (one := ready_for(shop, s, EXPOSURE, "groups"))]
    if len(ready) != len(specs):
        raise RuntimeError("a specification cannot be solved with the others")
    gaps = {"log ratio": 0.0, "standard error": 0.0, "log ratio, formula": 0.0}
    n = []
    for first in range(0, len(ready), CHUNK):
        some = ready[first : first + CHUNK]
        (made, spent) = timed(lambda: ours(some))  # noqa: B023
        cpu["fits"] += spent
        for k, one in enumerate(some):
            taken = prepared(shop, one)
            n.append(len(taken.outcome))
            (pair, spent) = timed(lambda: by_arrays(taken))  # noqa: B023
            cpu["arrays"] += spent
            (value, spent) = timed(lambda: by_formula(taken))  # noqa: B023
            cpu["formula"] += spent
            gaps["log ratio"] = max(gaps["log ratio"], abs(made[0][k] - pair[0]))
            gaps["standard error"] = max(gaps["standard error"], abs(made[1][k] / pair[1] - 1))
            gaps["log ratio, formula"] = max(gaps["log ratio, formula"], abs(made[0][k] - value))
    facts = {"specifications": len(specs), "least n": min(n), "most n": max(n), "mean n": float(np.mean(n))}
    context = multiprocessing.get_context("spawn")
    memory = {}
    for way in cpu:
        with context.Pool(1) as pool:
            memory[way] = pool.apply(growth, (str(path), way, len(specs)))
    return cpu, {**gaps, **facts}, memory


WAYS = {
    "rows": "walkrisk, from the study's columns to all rows (samples, cuts, knots, fits, intervals)",
    "fits": "walkrisk, fits and robust errors of prepared arrays",
    "arrays": "statsmodels GLM Poisson + HC0, a loop over prepared arrays",
    "formula": "statsmodels by formula, a loop over prepared frames",
}


def _verdict(ratio: float) -> str:
    return f"{'reached' if ratio >= 30 else 'not reached'} ({ratio:.1f})"


def write(out: Path, cpu: dict[str, float], facts: dict[str, float], memory: dict[str, float]) -> None:
    k = int(facts["specifications"])
    lines = [
        "# A multiverse of 1,008 specifications against a loop of statsmodels",
        "",
        "```",
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/multiverse.py",
        "```",
        "",
        "CPU seconds (user + system) on one thread; each chunk of specifications is worked off by all ways in turn, so "
        "that other work on the machine meets all alike. Memory is what the peak of a process rose by that held the "
        "study and the prepared arrays.",
        "",
        f"{k:,} specifications of the reference study on its simulated extract: modified Poisson with HC0, 3 rules of "
        "valid days, 7 forms of the exposure (quartiles, tertiles, quintiles, fixed limits, linear, two splines), 4 "
        f"sets of covariates (up to 21 columns in all), 6 samples, 2 outcomes; from {int(facts['least n']):,} to "
        f"{int(facts['most n']):,} people (mean {facts['mean n']:,.0f}).",
        "",
        "| way | CPU s | ms a specification | times statsmodels' arrays | times its formula | memory added, MiB |",
        "|---|---|---|---|---|---|",
    ]
    for way, name in WAYS.items():
        lines.append(
            f"| {name} | {cpu[way]:.2f} | {1000 * cpu[way] / k:.2f} | {cpu['arrays'] / cpu[way]:.1f} "
            f"| {cpu['formula'] / cpu[way]:.1f} | {memory[way]:.0f} |"
        )
    lines += [
        "",
        f"Agreement over all {k:,}: log ratios within {facts['log ratio']:.1e} of statsmodels' by arrays and "
        f"{facts['log ratio, formula']:.1e} by formula, standard errors relatively within "
        f"{facts['standard error']:.1e}. Against our own single fit the tests ask for 1e-10 and 1e-8.",
        "",
        f"**Aim.** Thirty times a statsmodels loop: {_verdict(cpu['formula'] / cpu['rows'])} against a loop by "
        "formula, with the making of samples, cuts and knots on our side of it; "
        f"{_verdict(cpu['arrays'] / cpu['fits'])} against a loop over arrays that somebody else has prepared. What is "
        "left of a specification is about four passes over its people in single precision and four in double.",
        "",
        f"Python {platform.python_version()}, numpy {np.__version__}, statsmodels {statsmodels.__version__}.",
        "",
    ]
    out.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
