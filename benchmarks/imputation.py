"""Twenty imputed sets beside R's mice: CPU seconds and peak memory on the same data with the same models.

    python benchmarks/imputation.py [--rounds 3] [--n 11000]

Needs Rscript with mice and sandwich. Each is a whole process on one thread; the two take turns. Ten variables: four
complete (one the outcome), two imputed by predictive mean matching, two by proportional odds (6 and 5 levels), one by
multinomial logit, one by logistic regression; a quarter of people lack something. Writes imputation.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
os.environ.update(ONE_THREAD)  # before numpy

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402

FloatArray = npt.NDArray[np.float64]
HERE = Path(__file__).resolve().parent
KINDS = {
    "education": "ordinal", "income": "ordinal", "score": "pmm", "smoking": "nominal", "work": "binary", "bmi": "pmm",
}  # fmt: skip
MISSING = {"education": 0.03, "income": 0.12, "score": 0.08, "smoking": 0.05, "work": 0.02, "bmi": 0.04}


def simulated(n: int) -> dict[str, FloatArray]:
    """A cohort of n people with holes that depend on age and the outcome."""
    random = np.random.default_rng(1)
    age = random.normal(55, 15, n)
    sex = (random.random(n) < 0.45).astype(float)
    education = np.clip(np.round(3.5 + random.logistic(0, 1, n) - (age - 55) / 30), 1, 6)
    income = np.clip(np.round(3 + 0.4 * (education - 3) + random.logistic(0, 0.8, n)), 1, 5)
    score = np.clip(np.round(random.gamma(2, 1.8, n) - 0.2 * (education - 3)), 0, 21)
    utility = np.column_stack([0 * age, 0.3 - 0.2 * (education - 3), -0.5 - 0.3 * (education - 3) + 0.05 * score])
    smoking = np.argmax(utility + random.gumbel(size=(n, 3)), axis=1).astype(float)
    work = (random.random(n) < 1 / (1 + np.exp(-2 + (age - 55) / 10 - 0.2 * (income - 3)))).astype(float)
    walk = random.gamma(6, 18, n)
    bmi = random.normal(27, 4, n) - 0.01 * walk
    y = (random.random(n) < np.exp(-2 + 0.02 * score - 0.002 * walk + 0.1 * (smoking == 2))).astype(float)
    out = {"y": y, "walk": walk, "age": age, "sex": sex, "education": education, "income": income, "score": score}
    out |= {"smoking": smoking, "work": work, "bmi": bmi}
    for name, share in MISSING.items():
        hole = random.random(n) < share * np.exp(0.01 * (age - 55) + 0.2 * y)
        out[name] = np.where(hole, np.nan, out[name])
    return out


def ours(folder: Path, sets: int, cycles: int) -> dict[str, Any]:
    """What imputation.R prints, by walkrisk."""
    from walkrisk.models.covariance import covariance
    from walkrisk.models.design import Linear, Term, build_design, factor
    from walkrisk.models.fit import fit_model
    from walkrisk.sensitivity.imputation import Target, prepare, run_chain
    from walkrisk.sensitivity.pooling import pool_scalar

    lines = np.genfromtxt(folder / "data.csv", delimiter=",", names=True)
    data = {name: np.asarray(lines[name], dtype=np.float64) for name in lines.dtype.names or ()}
    start = time.process_time()
    targets = [Target(name=name, kind=kind) for name, kind in KINDS.items()]  # type: ignore[arg-type]
    shared = prepare(data, targets, factors=["y", "sex"])
    chains = [run_chain(shared, np.random.default_rng([1, i]), cycles=cycles) for i in range(sets)]
    seconds = time.process_time() - start
    q, u = [], []
    for chain in chains:
        whole = {name: values.copy() for name, values in data.items()}
        for visit in shared.visits:
            whole[visit.target.name][visit.rows] = chain.values[visit.target.name]
        terms: list[Term] = [Linear("walk"), Linear("age"), Linear("sex"), Linear("score"), Linear("work")]
        for name in ("education", "income", "smoking"):
            terms.append(factor(name, whole[name], {int(v): str(int(v)) for v in np.unique(whole[name])}))
        fit = fit_model("modified_poisson", build_design(whole, terms, len(whole["y"])), whole["y"])
        at = fit.names.index("walk")
        q.append(float(fit.coefficients[at]))
        u.append(float(covariance(fit, "HC0")[at, at]))
    pooled = pool_scalar(q, u, dfcom=len(data["y"]) - fit.parameters)
    means = {n: float(np.mean([c.values[n] for c in chains])) for n in KINDS}
    for name in ("smoking", "work"):
        means[name] += 1  # R's codes of levels start at 1
    return {
        "seconds": seconds,
        "estimate": pooled.estimate,
        "std_error": pooled.std_error,
        "fmi": pooled.fmi,
        "means": means,
    }


def measured(command: list[str]) -> tuple[dict[str, Any], float, float]:
    """What a command prints, its CPU seconds and peak MiB."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **ONE_THREAD})
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed")
    return json.loads(said.decode().strip().splitlines()[-1]), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def page(n: int, runs: list[tuple[str, list[tuple[dict[str, Any], float, float]]]]) -> str:
    """The page of figures."""
    base = [r[0]["seconds"] for r in runs[0][1]]
    whole = [r[1] for r in runs[0][1]]
    lines = [
        "# Multiple imputation beside R's mice",
        "",
        "```",
        "python benchmarks/imputation.py --rounds 3",
        "```",
        "",
        f"Twenty imputed sets of {n:,} people, six variables imputed from nine others: predictive mean matching (2),",
        "proportional odds (2), multinomial logit, logistic regression. CPU seconds on one thread, median (smallest to",
        "largest); the process includes start-up, reading, and twenty modified Poisson fits with HC0 pooled by Rubin's",
        f"rules. Python {platform.python_version()}, numpy {np.__version__}; R 4.2, mice 3.15.",
        "",
        "| | imputing, CPU s | whole process, CPU s | peak MiB "
        "| imputing, ratio to mice | process, ratio | memory, ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in runs:
        seconds, cpu = [r[0]["seconds"] for r in found], [r[1] for r in found]
        peak = max(r[2] for r in found)
        ratio = statistics.median(a / b for a, b in zip(seconds, base, strict=True))
        of_whole = statistics.median(a / b for a, b in zip(cpu, whole, strict=True))
        lines.append(
            f"| {name} | {statistics.median(seconds):.2f} ({min(seconds):.2f}-{max(seconds):.2f}) "
            f"| {statistics.median(cpu):.2f} | {peak:.0f} | {ratio:.4f} | {of_whole:.4f} "
            f"| {peak / max(r[2] for r in runs[0][1]):.2f} |"
        )
    lines += ["", "The pooled log ratio per unit of walking, and the means of what was imputed:", ""]
    names = list(runs[0][1][0][0]["means"])
    lines += [f"| | log ratio (SE) | FMI | {' | '.join(names)} |", f"|---|---|---|{'---|' * len(names)}"]
    for name, found in runs:
        one = found[0][0]
        means = " | ".join(f"{one['means'][k]:.3f}" for k in names)
        lines.append(f"| {name} | {one['estimate']:.6f} ({one['std_error']:.6f}) | {one['fmi']:.3f} | {means} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure and write the page, or (`--ours`) be the process that is measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--n", type=int, default=11_000)
    parser.add_argument("--ours", nargs=3, metavar=("FOLDER", "SETS", "CYCLES"))
    asked = parser.parse_args()
    if asked.ours:
        print(json.dumps(ours(Path(asked.ours[0]), int(asked.ours[1]), int(asked.ours[2]))))
        return
    data = simulated(asked.n)
    with tempfile.TemporaryDirectory() as name:
        rows = [
            ",".join("" if np.isnan(v) else repr(float(v)) for v in row) for row in zip(*data.values(), strict=True)
        ]
        (Path(name) / "data.csv").write_text("\n".join([",".join(data), *rows, ""]), encoding="utf-8")
        this = [sys.executable, str(HERE / "imputation.py"), "--ours", name, "20"]
        commands = {
            "mice, 5 cycles": ["Rscript", str(HERE / "imputation.R"), name, "20", "5"],
            "walkrisk, 5 cycles": [*this, "5"],
            "walkrisk, 10 cycles (its default)": [*this, "10"],
        }
        found: dict[str, list[tuple[dict[str, Any], float, float]]] = {what: [] for what in commands}
        for _ in range(asked.rounds):
            for what, command in commands.items():
                found[what].append(measured(command))
    text = page(asked.n, list(found.items()))
    (HERE / "imputation.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
