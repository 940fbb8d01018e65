"""How often a log-binomial model is solved, on 10,000 simulated data sets drawn to be hard.

    python benchmarks/log_binomial_hard.py                   walkrisk alone (a minute or two)
    python benchmarks/log_binomial_hard.py --r --write       R's glm on the same sets too; writes log_binomial.md

Each set is drawn from its own seed: 30 to 2,000 people, 1 to 8 columns (normal, log-normal, exponential, 0/1, rare 0/1,
in units from 0.001 to 1,000,000), a mean risk between 1 and 90 %, and coefficients so large that the true risks of some
people would exceed 1 and are cut off there. Sets without an event or without a person free of it are drawn again.

"Solved" means: said to have converged, and within 1e-6 of the highest log-likelihood known (the larger of all
programs'). Where people without the outcome are separated from the events there is no maximum in finite coefficients,
and what is asked for is its supremum: these sets are counted apart too. A random 300 are also solved by scipy's
trust-constr, and those where it ends lower by scipy's SLSQP.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from walkrisk.models.design import Design
from walkrisk.models.fit import Fit, fit_model

HERE = Path(__file__).resolve().parent
SETS, CHECKED, CLOSE = 10_000, 300, 1e-6


def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Design (n, 1 + p) and outcome (n,) of one set."""
    rng = np.random.default_rng([20_240_229, seed])
    while True:
        n = int(np.exp(rng.uniform(np.log(30), np.log(2000))))
        p = int(rng.integers(1, 9))
        kinds = rng.integers(0, 5, p)
        columns = [_column(rng, int(kind), n) for kind in kinds]
        x = np.column_stack([np.ones(n), *columns])
        spread = x[:, 1:].std(axis=0)
        slopes = rng.normal(0, rng.choice([0.1, 0.4, 0.8]), p) / np.where(spread > 0, spread, 1.0)
        eta = x[:, 1:] @ slopes
        target = np.exp(rng.uniform(np.log(0.01), np.log(0.9)))
        low, high = -40.0 - eta.max(), 40.0 - eta.min()
        for _ in range(60):  # the intercept at which the mean of the risks, cut off at 1, is the target
            middle = (low + high) / 2
            low, high = (middle, high) if np.minimum(np.exp(middle + eta), 1).mean() < target else (low, middle)
        y = (rng.random(n) < np.minimum(np.exp(low + eta), 1)).astype(float)
        units = 10.0 ** rng.integers(-3, 7, p)
        x[:, 1:] *= units
        if 0 < y.sum() < n:
            return np.asfortranarray(x), y


def _column(rng: np.random.Generator, kind: int, n: int) -> np.ndarray:
    draws = (
        lambda: rng.normal(size=n),
        lambda: rng.lognormal(0, 1, n),
        lambda: rng.exponential(1, n),
        lambda: (rng.random(n) < 0.5).astype(float),
        lambda: (rng.random(n) < 0.08).astype(float),
    )
    return np.asarray(draws[kind]())


def solved(seed: int) -> Fit:
    """walkrisk's fit of one set."""
    x, y = draw(seed)
    names = ("Intercept", *(f"x{i}" for i in range(1, x.shape[1])))
    return fit_model("log_binomial", Design(x, names, {}, {}), y)


def kind_of(fit: Fit) -> str:
    """interior, boundary, separated (its other coefficients solved), flat, or failed."""
    if not fit.converged:
        return "failed"
    if fit.rows.sum() < fit.n:
        return "separated"
    return "boundary" if fit.boundary else "interior"


@dataclass(frozen=True)
class Problem:
    """A set on standardised columns for scipy: minus the log-likelihood, its derivatives, a start, the rows at risk."""

    z: np.ndarray
    y: np.ndarray
    begin: np.ndarray
    rows: np.ndarray

    def eta(self, b: np.ndarray) -> np.ndarray:
        return np.asarray(np.minimum(self.z @ b, -1e-15))

    def minus(self, b: np.ndarray) -> float:
        eta = self.eta(b)
        return float(-np.sum(np.where(self.y == 1, eta, np.log(-np.expm1(eta)))))

    def gradient(self, b: np.ndarray) -> np.ndarray:
        eta = self.eta(b)
        return np.asarray(-self.z.T @ np.where(self.y == 1, 1.0, np.exp(eta) / np.expm1(eta)))

    def hessian(self, b: np.ndarray) -> np.ndarray:
        eta = self.eta(b)
        bend = np.where(self.y == 1, 0.0, np.exp(eta) / np.expm1(eta) ** 2)
        return np.asarray((self.z * bend[:, None]).T @ self.z)


def problem(seed: int) -> Problem:
    x, y = draw(seed)
    spread = x[:, 1:].std(axis=0)
    z = np.column_stack([np.ones(len(y)), (x[:, 1:] - x[:, 1:].mean(axis=0)) / np.maximum(spread, 1e-300)])
    z = z[:, np.concatenate([[True], spread > 0])]
    begin = np.zeros(z.shape[1])
    begin[0] = min(np.log(y.mean()), -0.05)
    return Problem(z, y, begin, np.unique(z[y == 1], axis=0))


def by_trust_constr(seed: int) -> float:
    """The highest log-likelihood that scipy's trust-constr finds."""
    from scipy.optimize import LinearConstraint, minimize

    p = problem(seed)
    edge = LinearConstraint(p.rows, -np.inf, 0.0, keep_feasible=True)
    found = minimize(
        p.minus, p.begin, jac=p.gradient, hess=p.hessian, method="trust-constr", constraints=[edge],
        options={"gtol": 1e-9, "xtol": 1e-12, "barrier_tol": 1e-10, "maxiter": 1000},
    )  # fmt: skip
    return -float(found.fun) if np.max(p.z @ found.x) <= 1e-9 else -np.inf


def by_slsqp(seed: int) -> float:
    """The highest log-likelihood that scipy's SLSQP finds, drawn back to risks of 1 where it leaves them behind."""
    from scipy.optimize import minimize

    p = problem(seed)
    found = minimize(
        p.minus, p.begin, jac=p.gradient, method="SLSQP",
        constraints=[{"type": "ineq", "fun": lambda b: -p.rows @ b, "jac": lambda b: -p.rows}],
        options={"ftol": 1e-14, "maxiter": 2000},
    )  # fmt: skip
    b = np.asarray(found.x)
    b[0] -= max(float(np.max(p.rows @ b)), 0.0)
    return -p.minus(b)


def certified(y: np.ndarray, fit: Fit) -> float:
    """The largest KKT residual of a fit, computed anew: nnls of the score on the rows with a fitted risk of 1."""
    from scipy.optimize import nnls

    x, y = fit.x, y[fit.rows]
    eta = x @ fit.coefficients[fit.estimated]
    size = np.abs(x).max(axis=0)
    on = (y == 1) & (eta > -1e-8)
    other = np.where(y == 1, -1.0, eta)
    score = np.where(y == 1, 1.0, np.exp(other) / np.expm1(other)) @ (x / size)
    rest = nnls((x[on] / size).T, score, maxiter=100_000)[1] if on.any() else float(np.linalg.norm(score))
    return float(rest / len(y)) if eta[y == 1].max() <= 1e-8 else np.inf


def run_r(folder: Path, n: int) -> dict[str, list[float]]:
    """R's glm on the sets 0 .. n-1, by log_binomial_hard.R."""
    for seed in range(n):
        x, y = draw(seed)
        np.column_stack([y, x[:, 1:]]).tofile(folder / f"{seed}.bin")
        (folder / f"{seed}.dim").write_text(f"{len(y)} {x.shape[1]}\n")
    subprocess.run(["Rscript", str(HERE / "log_binomial_hard.R"), str(folder), str(n)], check=True)
    return dict(json.loads((folder / "r.json").read_text()))


def cpu() -> float:
    """CPU seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def table(kinds: list[str], best: np.ndarray, ours: np.ndarray, r: dict[str, list[float]] | None) -> list[str]:
    """A line a program: share solved of the sets that have a maximum, by where it lies."""
    kind = np.array(kinds)
    groups = {"interior": kind == "interior", "boundary": kind == "boundary", "separated": kind == "separated"}
    lines = ["| program | all | interior | boundary | separated |", "|---|---|---|---|---|"]
    lines.append(f"| sets | {len(kind)} | " + " | ".join(str(int(g.sum())) for g in groups.values()) + " |")
    programs: dict[str, np.ndarray] = {"walkrisk": (kind != "failed") & (ours >= best - CLOSE)}
    for name in ("default", "start"):
        if r:
            value = np.array([np.nan if v is None else v for v in r[name]], dtype=float)
            programs[f"R glm, {'default start' if name == 'default' else 'start (log mean, 0, ...)'}"] = np.array(
                r[f"{name}_converged"], dtype=bool
            ) & (value >= best - CLOSE)
    for name, good in programs.items():
        shares = [good.mean(), *(good[g].mean() if g.any() else np.nan for g in groups.values())]
        lines.append(f"| {name} | " + " | ".join(f"{100 * s:.2f} %" for s in shares) + " |")
    return lines


def judged(chosen: np.ndarray, other: np.ndarray, fits: list[Fit], seconds: float) -> list[str]:
    """What trust-constr found, and who is right where it ends lower: SLSQP, and the conditions computed anew."""
    ours = np.array([fits[s].log_likelihood for s in chosen])
    low = np.flatnonzero(other < ours - CLOSE)
    kinds = [kind_of(fits[chosen[i]]) for i in low]
    second = np.array([by_slsqp(int(chosen[i])) for i in low])
    short = ours[low] - second
    where = ", ".join(f"{kinds.count(k)} {k}" for k in ("interior", "boundary", "separated", "failed") if k in kinds)
    residual = [certified(draw(int(chosen[i]))[1], fits[chosen[i]]) for i in low]
    near, gain = int(np.sum(np.abs(other - ours) <= CLOSE)), (ours - other)[low]
    held = int(np.sum(np.array(residual) < 1e-8))
    first = (
        f"scipy trust-constr on {len(chosen)} of them ({seconds:.0f} CPU seconds): its log-likelihood above walkrisk's "
        f"by {float(np.max(other - ours)):.1e} at most; within {CLOSE:g} of it in {near}, lower in {len(low)}"
    )
    if not len(low):
        return [f"{first}."]
    return [
        f"{first} ({where}; by {np.median(gain):.1e} in the middle, {np.max(gain):.1e} at most).",
        f"Who is right in these {len(low)}: scipy SLSQP, started as trust-constr was, comes within {CLOSE:g} of "
        f"walkrisk in {int(np.sum(np.abs(short) <= CLOSE))}, above it by {float(np.max(-short)):.1e} at most, and "
        f"ends above trust-constr in {int(np.sum(second > other[low]))}. The conditions of Karush, Kuhn and Tucker, "
        f"computed anew from walkrisk's coefficients by nnls, hold in {held} of {len(low)} (largest residual per "
        f"person {max(residual):.1e}). The likelihood is concave, so a point that satisfies them is the maximum.",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Hard log-binomial data sets")
    parser.add_argument("--sets", type=int, default=SETS)
    parser.add_argument("--check", type=int, default=CHECKED)
    parser.add_argument("--r", action="store_true")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    begin = cpu()
    fits = [solved(seed) for seed in range(args.sets)]
    drawing = cpu()
    for seed in range(args.sets):
        draw(seed)
    seconds = 2 * drawing - begin - cpu()  # without drawing
    kinds, ours = [kind_of(f) for f in fits], np.array([f.log_likelihood for f in fits])
    residual = max((f.certificate.kkt_residual for f in fits if f.certificate and f.converged), default=np.nan)
    gap = max((f.certificate.gap for f in fits if f.certificate and f.converged), default=np.nan)
    folder = Path(tempfile.mkdtemp())
    r = run_r(folder, args.sets) if args.r and shutil.which("Rscript") else None
    shutil.rmtree(folder)
    best = ours.copy()
    if r:
        for name in ("default", "start"):
            best = np.fmax(best, np.array([np.nan if v is None else v for v in r[name]], dtype=float))
    chosen = np.random.default_rng(1).choice(args.sets, min(args.check, args.sets), replace=False)
    clock = time.process_time()
    other = np.array([by_trust_constr(int(s)) for s in chosen])
    lines = [
        *table(kinds, best, ours, r),
        "",
        f"walkrisk: {seconds:.1f} CPU seconds for {args.sets} sets ({1000 * seconds / args.sets:.2f} ms each); largest "
        f"KKT residual {residual:.1e}, largest gap in log-likelihood {gap:.1e}; failed {kinds.count('failed')}.",
        *([f"R: {r['seconds'][0]:.1f} CPU seconds for both starts."] if r else []),
        f"Largest log-likelihood of R above walkrisk's: {float(np.nanmax(best - ours)):.1e}.",
        *judged(chosen, other, fits, time.process_time() - clock),
    ]
    print("\n".join(lines))
    if args.write:
        command = f"python benchmarks/log_binomial_hard.py --sets {args.sets} --check {args.check} --r --write"
        text = ["# Log-binomial models drawn to be hard", "", f"`{command}`", "", *lines]
        (HERE / "log_binomial.md").write_text("\n".join(text) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
