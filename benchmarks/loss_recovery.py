"""Whether weights for loss to follow-up recover a known ratio that those followed alone do not.

    python benchmarks/loss_recovery.py [--sets 2000] [--people 3000] [--seed 20261130]

The risk is log-linear in a three-level exposure A, a covariate X (in the outcome model) and V (not in it, independent
of A and X, so that the ratios of the outcome model are those declared). Loss depends on A, X, V and, more for A = 3,
on V: among those followed V is no longer independent of A, and the ratio of A = 3 is biased. Given A, X and V loss is
at random. Tables go into loss_recovery.md.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy: small matrices are slower on many threads

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402

from walkrisk.models.design import Factor, Linear, Term, build_design  # noqa: E402
from walkrisk.models.fit import fit_model  # noqa: E402
from walkrisk.sensitivity.bounds import assumed, prepare  # noqa: E402
from walkrisk.sensitivity.imputation import Target, run_chain  # noqa: E402
from walkrisk.sensitivity.imputation import prepare as prepare_imputation  # noqa: E402
from walkrisk.sensitivity.loss_weights import follow_up, weighted_fit  # noqa: E402
from walkrisk.sensitivity.pooling import pool_scalar  # noqa: E402

HERE = Path(__file__).resolve().parent
MARK = "<!-- tables: written by loss_recovery.py -->"
FloatArray = npt.NDArray[np.float64]
Data = Mapping[str, FloatArray]

A = Factor("a", (1.0, 2.0, 3.0), ("1", "2", "3"))
OUTCOME: list[Term] = [A, Linear("x")]
TRUE = {2: math.log(0.85), 3: math.log(0.65)}


@dataclass(frozen=True)
class Found:
    """A log ratio with its standard errors, the weights taken as estimated and as known."""

    value: float
    estimated: float
    known: float


def draw(rng: np.random.Generator, n: int) -> Data:
    """n people with everything known: a, x, v, the outcome y and whether they were followed."""
    x, v = rng.normal(0, 1, n), rng.binomial(1, 0.4, n).astype(float)
    a = 1.0 + rng.binomial(2, 1 / (1 + np.exp(-0.4 * x)))
    risk = np.exp(-2.1 + np.select([a == 2, a == 3], [TRUE[2], TRUE[3]], 0.0) + 0.12 * x + 0.9 * v)
    lost = 1 / (1 + np.exp(-(-0.9 + 0.3 * (a == 3) - 0.3 * v + 1.9 * v * (a == 3) + 0.25 * x)))
    y = (rng.random(n) < np.minimum(risk, 1.0)).astype(float)
    followed = (rng.random(n) >= lost).astype(float)
    unknown = rng.random(n) < 1 / (1 + np.exp(-(-0.9 + 0.4 * x)))
    return {"a": a, "x": x, "v": v, "y": y, "followed": followed, "v_seen": np.where(unknown, np.nan, v)}


def _plain(data: Data, rows: npt.NDArray[np.bool_], weights: FloatArray | None = None) -> Found:
    used = {name: values[rows] for name, values in data.items()}
    fit = fit_model("modified_poisson", build_design(used, OUTCOME, int(rows.sum())), used["y"], weights=weights)
    u = fit.scores @ fit.bread
    se = float(np.sqrt((u[:, 2] ** 2).sum()))
    return Found(float(fit.coefficients[2]), se, se)


def _weighted(data: Data, terms: list[Term], *, strata: bool, truncate: tuple[float, float] | None) -> Found:
    followed = data["followed"] == 1
    made = follow_up(
        data,
        terms,
        followed,
        strata=data["a"] if strata else None,
        levels=data["a"].astype(np.intp) - 1,
        truncate=truncate,
    )
    used = {name: values[followed] for name, values in data.items()}
    design = build_design(used, OUTCOME, int(followed.sum()))
    fit = weighted_fit("modified_poisson", design, used["y"], made.weights, followed)
    both = (math.sqrt(float(v["HC0"][2, 2])) for v in (fit.estimated, fit.known))
    return Found(float(fit.fit.coefficients[2]), *both)


def _mean_score(data: Data) -> Found:
    """Those lost given k times the risk of the followed, k what it is for each category among all people drawn."""
    followed = data["followed"] == 1
    design = build_design(data, OUTCOME, len(data["y"]))
    lost = prepare("modified_poisson", design, data["y"], followed, data["a"].astype(np.intp) - 1, anchor="category")
    made = assumed(lost, TRUE_K)
    return Found(float(made.fit.coefficients[2]), *[float(np.sqrt((made.influence[:, 2] ** 2).sum()))] * 2)


def _own_category(data: Data) -> Found:
    """Weights with those whose V is unknown as a category of their own."""
    coded = {**data, "v_seen": np.where(np.isnan(data["v_seen"]), 2.0, data["v_seen"])}
    terms: list[Term] = [Linear("x"), Factor("v_seen", (0.0, 1.0, 2.0), ("0", "1", "unknown"))]
    return _weighted(coded, terms, strata=True, truncate=None)


def _imputed(data: Data) -> Found:
    """Weights in imputed sets of V, by a model with A, X, being followed, that times A, and the outcome if followed."""
    r, sets = data["followed"], 5
    columns = {
        "a": data["a"], "x": data["x"], "r": r, "ry": r * data["y"], "v": data["v_seen"],
        "r2": r * (data["a"] == 2), "r3": r * (data["a"] == 3),
    }  # fmt: skip
    prepared = prepare_imputation(columns, [Target(name="v", kind="binary")], factors={"a"})
    rng = np.random.default_rng(int(data["x"].sum() * 1e6) % 2**32)
    found = []
    for _ in range(sets):
        v = data["v_seen"].copy()
        v[np.isnan(v)] = run_chain(prepared, rng, cycles=1).values["v"]
        found.append(_weighted({**data, "v": v}, [Linear("x"), Linear("v")], strata=True, truncate=None))
    logs = np.array([f.value for f in found])
    both = [pool_scalar(logs, np.array(se) ** 2) for se in zip(*((f.estimated, f.known) for f in found), strict=True)]
    return Found(float(logs.mean()), *((p.conf_high - p.conf_low) / (2 * 1.959964) for p in both))


def true_k(n: int = 4_000_000) -> FloatArray:
    """The ratio of risks, lost against followed, within each category, in a large population."""
    data = draw(np.random.default_rng(5), n)
    kept = data["followed"] == 1
    return np.array(
        [data["y"][(data["a"] == k) & ~kept].mean() / data["y"][(data["a"] == k) & kept].mean() for k in (1, 2, 3)]
    )


TRUE_K = np.array([0.9704, 0.9616, 1.4319])  # of true_k()

ANALYSES: Mapping[str, Callable[[Data], Found]] = {
    "nobody lost": lambda d: _plain(d, np.ones(len(d["y"]), dtype=bool)),
    "those followed": lambda d: _plain(d, d["followed"] == 1),
    "weighted, V left out": lambda d: _weighted(d, [Linear("x")], strata=True, truncate=None),
    "weighted": lambda d: _weighted(d, [Linear("x"), Linear("v")], strata=True, truncate=None),
    "weighted, truncated": lambda d: _weighted(d, [Linear("x"), Linear("v")], strata=True, truncate=(1.0, 99.0)),
    "k as it is": _mean_score,
    "V unknown to three in ten, own category": _own_category,
    "V unknown to three in ten, five imputed sets": _imputed,
}


def replicates(sets: int, people: int, seed: int, *, only: Sequence[str] = ()) -> dict[str, FloatArray]:
    """By analysis (or `only` some), (sets, 3): log ratio of A = 3, standard errors with weights estimated and known."""
    out = {name: np.empty((sets, 3)) for name in only or ANALYSES}
    for i in range(sets):
        data = draw(np.random.default_rng([seed, people, i]), people)
        for name in out:
            found = ANALYSES[name](data)
            out[name][i] = found.value, found.estimated, found.known
    return out


def summary(values: FloatArray, truth: float = TRUE[3]) -> dict[str, float]:
    """Bias, spread, mean standard errors and coverage of 95 % limits, with Monte Carlo standard errors."""
    log_rr, sets = values[:, 0], len(values)
    out = {"ratio": float(np.exp(log_rr.mean())), "bias": float(log_rr.mean() - truth), "sd": float(log_rr.std(ddof=1))}
    out["bias_mcse"] = out["sd"] / math.sqrt(sets)
    for column, name in ((1, "estimated"), (2, "known")):
        out[f"se_{name}"] = float(values[:, column].mean())
        covered = float((np.abs(log_rr - truth) <= 1.959964 * values[:, column]).mean())
        out[f"coverage_{name}"] = covered
        out[f"coverage_{name}_mcse"] = math.sqrt(max(covered * (1 - covered), 1e-12) / sets)
    return out


def table(found: Mapping[str, FloatArray]) -> str:
    """The Markdown table of a run."""
    lines = [
        "| analysis | mean ratio | bias of log ratio (MCSE) | SD | mean SE, weights estimated | mean SE, known "
        "| coverage, weights estimated | coverage, known |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, values in found.items():
        s = summary(values)
        lines.append(
            f"| {name} | {s['ratio']:.3f} | {s['bias']:+.4f} ({s['bias_mcse']:.4f}) | {s['sd']:.4f} "
            f"| {s['se_estimated']:.4f} | {s['se_known']:.4f} | {100 * s['coverage_estimated']:.1f} % "
            f"({100 * s['coverage_estimated_mcse']:.1f}) | {100 * s['coverage_known']:.1f} % |"
        )
    return "\n".join(lines)


def main() -> None:
    """Runs the simulation and writes its table below the mark of loss_recovery.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--people", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=20261130)
    asked = parser.parse_args()
    start = time.perf_counter()
    text = table(replicates(asked.sets, asked.people, asked.seed))
    print(text)
    print(f"{time.perf_counter() - start:.0f} s")
    page = HERE / "loss_recovery.md"
    head, _, rest = page.read_text(encoding="utf-8").partition(MARK) if page.exists() else ("", "", "")
    after = rest[rest.index("\n## ") :] if "\n## " in rest else "\n"
    said = f"True ratio {math.exp(TRUE[3]):.2f}; {asked.sets} data sets of {asked.people} people.\n\n{text}\n"
    page.write_text(f"{head}{MARK}\n\n{said}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
