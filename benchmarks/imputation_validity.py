"""Multiple imputation on simulated data of known truth: bias, coverage and Monte Carlo error of a log risk ratio.

    python benchmarks/imputation_validity.py [--sets 1000] [--only SCENARIO ...] [--tables]

Data set k of a scenario comes from (SEED, scenario, k) alone. Writes imputation_validity.csv (one row a scenario and
estimator) and the table of imputation_validity.md below its mark; what stands above is kept.

Risks are log-linear: P(y = 1) = exp(-2.4 + log(0.7) x + 0.4 c + 0.3 [k = 1] + 0.5 [k = 2] + 0.12 (o - 1) + 0.3 b), at
most 0.78, with c normal and cut at 2.5 SD, k nominal (3 levels), o ordinal (4), b binary, all related to x and to one
another: the conditional ratio of x is 0.7 exactly. The estimator is modified Poisson with HC0, pooled by
Rubin's rules with Barnard-Rubin degrees of freedom over 10 sets of 5 cycles.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy: small matrices are slower on many threads

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402
from scipy import special  # noqa: E402

from walkrisk.models.covariance import covariance  # noqa: E402
from walkrisk.models.design import Factor, Linear, build_design, factor  # noqa: E402
from walkrisk.models.fit import fit_model  # noqa: E402
from walkrisk.sensitivity.imputation import Shift, Target, prepare, run_chain  # noqa: E402
from walkrisk.sensitivity.pooling import pool_scalar  # noqa: E402

FloatArray = npt.NDArray[np.float64]
Data = dict[str, FloatArray]
Found = tuple[float, float, float, float]  # log ratio, standard error, limits

HERE = Path(__file__).resolve().parent
SEED = 20261130
N = 1000
TRUTH = math.log(0.7)
SETS, CYCLES = 10, 5
MARK = "<!-- tables: written by imputation_validity.py -->"
KINDS = {"c": "pmm", "k": "nominal", "o": "ordinal", "b": "binary", "y": "binary"}
DELTA = -1.0  # of scenario "outcome not at random": log-odds of the event of those lost, against those followed
FIELDS = (
    "scenario", "estimator", "truth", "mean", "bias", "bias_mcse", "empirical_sd", "mean_se", "coverage",
    "coverage_mcse", "data_sets",
)  # fmt: skip


def people(random: np.random.Generator, n: int = N) -> Data:
    """Complete data of n people; `a` is an auxiliary close to the outcome."""
    c = random.standard_normal(n).clip(-2.5, 2.5)
    x = (random.random(n) < special.expit(c)).astype(float)
    b = (random.random(n) < special.expit(-0.5 + 0.5 * c - 0.4 * x)).astype(float)
    o = 1.0 + (random.logistic(size=n)[:, None] + (0.6 * c + 0.4 * x)[:, None] > np.array([-1.0, 0.4, 1.6])).sum(axis=1)
    eta = np.column_stack([np.zeros(n), -0.2 + 0.5 * x, -0.5 - 0.5 * c + 0.5 * b])
    k = np.argmax(eta + random.gumbel(size=(n, 3)), axis=1).astype(float)
    risk = np.exp(-2.4 + TRUTH * x + 0.4 * c + 0.3 * (k == 1) + 0.5 * (k == 2) + 0.12 * (o - 1) + 0.3 * b)
    y = (random.random(n) < risk).astype(float)
    a = 1.5 * y + random.standard_normal(n)
    return {"y": y, "x": x, "c": c, "k": k, "o": o, "b": b, "a": a}


def with_holes(data: Data, random: np.random.Generator, probability: Mapping[str, FloatArray]) -> Data:
    """The data with values missing by these probabilities (n,)."""
    out = dict(data)
    for name, p in probability.items():
        out[name] = np.where(random.random(len(p)) < p, np.nan, data[name])
    return out


def at_random(data: Data, random: np.random.Generator) -> Data:
    """Covariates missing by exposure alone, not by the outcome: complete cases are unbiased, and fewer."""
    p = special.expit(-1.6 + 0.8 * data["x"])
    return with_holes(data, random, dict.fromkeys(("c", "k", "o", "b"), p))


def by_outcome(data: Data, random: np.random.Generator) -> Data:
    """Covariates missing by outcome and exposure: complete cases are biased, imputation with the outcome is not."""
    p = special.expit(-2.4 + 1.6 * data["y"] * (1 - data["x"]) + 0.6 * data["x"])
    return with_holes(data, random, dict.fromkeys(("c", "k", "o", "b"), p))


def outcome_at_random(data: Data, random: np.random.Generator) -> Data:
    """The outcome missing by exposure and an auxiliary close to it: complete cases are biased."""
    p = special.expit(-1.5 + 1.0 * data["a"] * (1 - data["x"]))
    return with_holes(data, random, {"y": p})


def both_at_random(data: Data, random: np.random.Generator) -> Data:
    """Outcome and covariates missing by exposure (and the outcome by c): where deleting imputed outcomes is right."""
    p = special.expit(-1.9 + 0.8 * data["x"])
    lost = special.expit(-1.5 + 0.8 * data["c"])
    return with_holes(data, random, {"y": lost, "k": p, "o": p, "b": p})


def outcome_not_at_random(data: Data, random: np.random.Generator) -> Data:
    """The outcome missing in 40% of the unexposed without it; with it the odds of that are exp(DELTA) times as high.

    So the log-odds of the outcome differ by DELTA between those lost and those followed, whatever the covariates.
    """
    p = special.expit(special.logit(0.4) + DELTA * data["y"]) * (data["x"] == 0)
    return with_holes(data, random, {"y": p})


SCENARIOS: dict[str, Callable[[Data, np.random.Generator], Data]] = {
    "covariates at random": at_random,
    "covariates by outcome": by_outcome,
    "outcome at random": outcome_at_random,
    "both at random": both_at_random,
    "outcome not at random": outcome_not_at_random,
}


def fitted(data: Mapping[str, FloatArray]) -> tuple[float, float]:
    """Log ratio of x and its standard error among the complete rows."""
    names = ("y", "x", "c", "k", "o", "b")
    rows = ~np.isnan([data[n] for n in names]).any(axis=0)
    used = {n: data[n][rows] for n in names}
    terms = [Linear("x"), Linear("c"), _levels("k", used), Linear("o"), Linear("b")]
    fit = fit_model("modified_poisson", build_design(used, terms, int(rows.sum())), used["y"])
    at = fit.names.index("x")
    return float(fit.coefficients[at]), math.sqrt(float(covariance(fit, "HC0")[at, at]))


def _levels(name: str, used: Mapping[str, FloatArray]) -> Factor:
    return factor(name, used[name], {0: "0", 1: "1", 2: "2"})


def imputed(
    data: Data, seed: tuple[int, ...], *, without: tuple[str, ...] = (), delta: float = 0.0, keep_outcomes: bool = True
) -> Found:
    """Pooled log ratio of x; `without` are left out of the imputation models."""
    columns = {n: v for n, v in data.items() if n not in without}
    targets = [Target(name=n, kind=KINDS[n]) for n in columns if n in KINDS]  # type: ignore[arg-type]
    shared = prepare(columns, targets, factors=["x"])
    shift = Shift(name="y", delta=delta) if delta else None
    values, variances = [], []
    for number in range(SETS):
        chain = run_chain(shared, np.random.default_rng([*seed, number]), cycles=CYCLES, shift=shift)
        whole = dict(data)
        for visit in shared.visits:
            whole[visit.target.name] = data[visit.target.name].copy()
            whole[visit.target.name][visit.rows] = chain.values[visit.target.name]
        if not keep_outcomes:
            whole["y"] = data["y"]
        value, error = fitted(whole)
        values.append(value)
        variances.append(error**2)
    pooled = pool_scalar(values, variances, dfcom=N - 8)
    return pooled.estimate, pooled.std_error, pooled.conf_low, pooled.conf_high


def simple(data: Mapping[str, FloatArray]) -> Found:
    """The log ratio of x among complete rows with its Wald limits."""
    value, error = fitted(data)
    return value, error, value - 1.959964 * error, value + 1.959964 * error


def estimates(scenario: str, number: int) -> Iterator[tuple[str, Found]]:
    """Every estimator on data set `number` of a scenario."""
    seed = (SEED, zlib.crc32(scenario.encode()), number)
    random = np.random.default_rng(seed)
    whole = people(random)
    data = SCENARIOS[scenario](whole, random)
    yield "nothing missing", simple(whole)
    yield "complete cases", simple(data)
    yield "imputed", imputed(data, seed)
    if scenario.startswith("covariates"):
        yield "imputed without the outcome in the models", imputed(data, seed, without=("y", "a"))
    if scenario in ("outcome at random", "both at random"):
        yield "imputed, imputed outcomes deleted", imputed(data, seed, keep_outcomes=False)
    if scenario == "outcome not at random":
        yield "imputed, shifted by the true delta", imputed(data, seed, delta=DELTA)


def summary(scenario: str, sets: int) -> list[dict[str, str]]:
    """One row an estimator."""
    found: dict[str, list[Found]] = {}
    for number in range(sets):
        for estimator, one in estimates(scenario, number):
            found.setdefault(estimator, []).append(one)
    rows = []
    for estimator, many in found.items():
        value, error, low, high = np.array(many).T
        covered = float(((low <= TRUTH) & (high >= TRUTH)).mean())
        sd = float(value.std(ddof=1))
        numbers = (
            TRUTH, value.mean(), value.mean() - TRUTH, sd / math.sqrt(sets), sd, error.mean(), covered,
            math.sqrt(covered * (1 - covered) / sets),
        )  # fmt: skip
        rows.append(dict(zip(FIELDS, (scenario, estimator, *(f"{v:.6f}" for v in numbers), str(sets)), strict=True)))
    return rows


def table(rows: list[dict[str, str]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| scenario | estimator | bias (MCSE) | SD | mean SE | coverage, % (MCSE) |",
        "|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r['scenario']} | {r['estimator']} | {float(r['bias']):+.4f} ({float(r['bias_mcse']):.4f}) "
            f"| {float(r['empirical_sd']):.4f} | {float(r['mean_se']):.4f} "
            f"| {100 * float(r['coverage']):.1f} ({100 * float(r['coverage_mcse']):.1f}) |"
        )
    return "\n".join([*lines, "", f"{rows[0]['data_sets']} data sets of {N} people a scenario.", ""])


def main() -> None:
    """Run what is asked and write both files."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--only", nargs="*", default=list(SCENARIOS))
    parser.add_argument("--tables", action="store_true")
    asked = parser.parse_args()
    path = HERE / "imputation_validity.csv"
    before = list(csv.DictReader(path.open(encoding="utf-8"))) if path.exists() else []
    rows = before
    if not asked.tables:
        rows = [r for r in before if r["scenario"] not in asked.only]
        for scenario in asked.only:
            start = time.process_time()
            made = summary(scenario, asked.sets)
            print(table(made), f"{time.process_time() - start:.0f} CPU s", flush=True)
            rows += made
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
    page = HERE / "imputation_validity.md"
    above = page.read_text(encoding="utf-8").split(MARK)[0] if page.exists() else "# Multiple imputation\n\n"
    page.write_text(f"{above}{MARK}\n\n{table(rows)}", encoding="utf-8")


if __name__ == "__main__":
    main()
