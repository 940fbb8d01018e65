"""One estimation task of one Python program, for `estimators.py`: prints a line of JSON.

    python estimators_peers.py TASK FOLDER REPEATS

Run with the Python of the program measured: walkrisk's own for `walkrisk_*` and `numpy_*`, the peers' for the rest.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Task = Callable[[], float]


def high_water() -> float:
    """Peak resident MiB of this process so far."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def load(folder: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    facts = json.loads((folder / "facts.json").read_text())
    x = np.fromfile(folder / "x.bin").reshape(facts["p"], facts["n"]).T
    return np.asfortranarray(x), np.fromfile(folder / "y.bin"), facts


def walkrisk_single(x: np.ndarray, y: np.ndarray, facts: dict[str, Any], method: str = "modified_poisson") -> Task:
    from walkrisk.models.covariance import covariance
    from walkrisk.models.design import Design
    from walkrisk.models.fit import fit_model

    def run() -> float:
        design = Design(x, tuple(f"x{k}" for k in range(x.shape[1])), {}, {})
        fit = fit_model(method, design, y)
        assert fit.converged
        v = covariance(fit, "HC0" if method == "modified_poisson" else "model")
        return float(np.sqrt(v[1, 1]))

    return run


def walkrisk_logbin(x: np.ndarray, y: np.ndarray, facts: dict[str, Any]) -> Task:
    return walkrisk_single(x, y, facts, "log_binomial")


def walkrisk_boot(x: np.ndarray, y: np.ndarray, facts: dict[str, Any]) -> Task:
    from walkrisk.estimates.resampled_risks import bootstrap_risks, log_ratios

    def run() -> float:
        risks = bootstrap_risks("logistic", x, y, counterfactuals(x), replicates=facts["replicates"], seed=1)
        return float(log_ratios(risks.risks).std())

    return run


def counterfactuals(x: np.ndarray) -> list[np.ndarray]:
    """Nobody, and everybody, at the level of columns 1 to 3 that column 1 marks."""
    out = []
    for level in (0, 1):
        design = x.copy()
        design[:, 1:4] = 0
        design[:, 1] = level
        out.append(design)
    return out


def numpy_single(x: np.ndarray, y: np.ndarray, facts: dict[str, Any]) -> Task:
    """The floor: Newton's method and a sandwich, without a check of anything."""

    def run() -> float:
        beta = np.zeros(x.shape[1])
        beta[0] = np.log(y.mean())
        while True:
            mu = np.exp(x @ beta)
            bread = np.linalg.inv((x * mu[:, None]).T @ x)
            step = bread @ (x.T @ (y - mu))
            beta += step
            if np.abs(step).max() < 1e-10:
                break
        mu = np.exp(x @ beta)
        bread = np.linalg.inv((x * mu[:, None]).T @ x)
        scores = x * (y - mu)[:, None]
        return float(np.sqrt((bread @ (scores.T @ scores) @ bread)[1, 1]))

    return run


def numpy_boot(x: np.ndarray, y: np.ndarray, facts: dict[str, Any]) -> Task:
    """Newton's method with weights, replicate by replicate, from the whole sample's solution."""
    designs = counterfactuals(x)
    rows = np.ascontiguousarray(x)

    def newton(w: np.ndarray, beta: np.ndarray) -> np.ndarray:
        while True:
            mu = 1 / (1 + np.exp(-(rows @ beta)))
            information = (rows * (w * mu * (1 - mu))[:, None]).T @ rows
            step = np.linalg.solve(information, rows.T @ (w * (y - mu)))
            beta = beta + step
            if np.abs(step).max() < 1e-9:
                return beta

    def run() -> float:
        random = np.random.default_rng(1)
        n, out = len(y), []
        start = newton(np.ones(n), np.zeros(x.shape[1]))
        for _ in range(facts["slow_replicates"]):
            w = np.bincount(random.integers(0, n, n), minlength=n).astype(float)
            beta = newton(w, start)
            risks = [w @ (1 / (1 + np.exp(-(d @ beta)))) / n for d in designs]
            out.append(np.log(risks[1] / risks[0]))
        return float(np.std(out))

    return run


def statsmodels_glm(x: np.ndarray, y: np.ndarray, facts: dict[str, Any]) -> Task:
    import statsmodels.api as sm

    return lambda: float(sm.GLM(y, x, family=sm.families.Poisson()).fit(cov_type="HC0").bse[1])


def statsmodels_poisson(x: np.ndarray, y: np.ndarray, facts: dict[str, Any]) -> Task:
    import statsmodels.api as sm

    return lambda: float(sm.Poisson(y, x).fit(disp=0, cov_type="HC0").bse[1])


def statsmodels_boot(x: np.ndarray, y: np.ndarray, facts: dict[str, Any]) -> Task:
    import statsmodels.api as sm

    def run() -> float:
        random = np.random.default_rng(1)
        n, out = len(y), []
        for _ in range(facts["slow_replicates"]):
            rows = random.integers(0, n, n)
            xx, yy = x[rows], y[rows]
            fit = sm.GLM(yy, xx, family=sm.families.Binomial()).fit()
            risks = [fit.predict(d).mean() for d in counterfactuals(xx)]
            out.append(np.log(risks[1] / risks[0]))
        return float(np.std(out))

    return run


def pyfixest_single(x: np.ndarray, y: np.ndarray, facts: dict[str, Any]) -> Task:
    import pandas as pd
    import pyfixest as pf

    names = [f"x{k}" for k in range(1, x.shape[1])]
    frame = pd.DataFrame(x[:, 1:], columns=names).assign(y=y)
    formula = "y ~ " + " + ".join(names)
    n, p = x.shape  # its hetero is HC1; brought back to HC0 for the comparison of numbers
    return lambda: float(pf.fepois(formula, data=frame, vcov="hetero").se()["x1"]) * float(np.sqrt((n - p) / n))


def main() -> None:
    task, folder, repeats = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    warnings.simplefilter("ignore")
    run = globals()[task](*load(folder))
    before, cpu = high_water(), []
    for _ in range(repeats):
        start = time.process_time()
        value = run()
        cpu.append(time.process_time() - start)
    cpu = cpu[1:] or cpu  # the first warms up
    print(json.dumps({"cpu": float(np.median(cpu)), "value": value, "before": before, "peak": high_water()}))


if __name__ == "__main__":
    main()
