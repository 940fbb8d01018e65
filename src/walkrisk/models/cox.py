"""Cox proportional hazards through lifelines, with score residuals for robust and design-based variances."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import pandas as pd

from walkrisk.models.design import Design
from walkrisk.models.fit import Fit, empty_fit
from walkrisk.models.support import independent_columns

FloatArray = npt.NDArray[np.float64]


def fit_cox(design: Design, time: FloatArray, event: FloatArray, *, weights: FloatArray | None = None) -> Fit:
    """Cox model (Efron ties) of follow-up `time` (n,) and `event` 0/1 (n,) on a design, its intercept left out.

    Point estimates, log-likelihood and information are lifelines'; `scores` are the Efron score residuals (Therneau &
    Grambsch 2000, doi 10.1007/978-1-4757-3294-8), times the weights.
    """
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError

    w = np.ones(len(time)) if weights is None else weights
    x_all = design.matrix
    centred = x_all - x_all.mean(axis=0)
    kept = 1 + independent_columns(centred[:, 1:])
    if not kept.size:
        return empty_fit("cox", design, event, ["Nothing in this model varies among these people."])
    gone = [design.names[c] for c in range(1, x_all.shape[1]) if c not in kept]
    sentences = [f"{', '.join(gone)}: a combination of earlier columns, so left out."] if gone else []
    spread = centred[:, kept].std(axis=0)
    x = centred[:, kept] / spread
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(len(kept))]).assign(
        _time=time, _event=event, _weight=w / w.mean()
    )
    fitter = CoxPHFitter()
    converged = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitter.fit(
                frame,
                "_time",
                "_event",
                weights_col="_weight",
                robust=True,
                fit_options={"precision": 1e-12, "r_precision": 1e-14, "max_steps": 100},
            )
    except (ConvergenceError, np.linalg.LinAlgError, ValueError):
        converged = False
        sentences.append("The Cox fit did not converge; no estimate is given.")
    beta = np.asarray(fitter.params_, dtype=np.float64) if converged else np.full(len(kept), np.nan)
    scores, information = np.zeros_like(x), np.eye(len(kept))
    if converged:  # lifelines stops a little short: one more Newton step, then judge by the score
        scores, information = efron_scores(x, time, event, w, beta)
        beta = beta + np.linalg.solve(information, scores.sum(axis=0))
        scores, information = efron_scores(x, time, event, w, beta)
        short = float(np.max(np.abs(scores.sum(axis=0)) / np.maximum(np.abs(scores).sum(axis=0), 1e-300)))
        if not short < 1e-9:
            converged = False
            sentences.append(
                f"The Cox fit stopped short of the maximum (relative score {short:.1e}); no estimate is given."
            )
    estimated = np.zeros(x_all.shape[1], dtype=bool)
    estimated[kept] = True
    coefficients = np.full(x_all.shape[1], np.nan)
    coefficients[kept] = beta / spread
    return Fit(
        method="cox",
        names=design.names,
        design=design,
        coefficients=coefficients,
        estimated=estimated,
        estimable=estimated,
        scores=scores * spread,
        leverage_x=None,
        bread=np.linalg.inv(information) / np.outer(spread, spread),
        rows=np.ones(len(time), dtype=bool),
        n=len(time),
        events=int(event.sum()),
        log_likelihood=float(fitter.log_likelihood_) if converged else float("nan"),
        converged=converged,
        iterations=0,
        max_fitted_risk=float("nan"),
        no_reference=frozenset(),
        boundary=False,
        warnings=tuple(sentences),
    )


def efron_scores(
    x: FloatArray, time: FloatArray, event: FloatArray, w: FloatArray, beta: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Weighted score residuals (n, p) and information (p, p) of the Efron partial likelihood at `beta`."""
    n, p = x.shape
    hazard = w * np.exp(x @ beta)
    scores, information = np.zeros((n, p)), np.zeros((p, p))
    order = np.argsort(time, kind="stable")[::-1]
    s0, s1, s2 = 0.0, np.zeros(p), np.zeros((p, p))
    steps: list[tuple[float, float, FloatArray]] = []  # time, hazard increment, increment x mean covariate
    i = 0
    while i < n:
        j = i
        while j < n and time[order[j]] == time[order[i]]:
            j += 1
        group = order[i:j]
        s0 += hazard[group].sum()
        s1 = s1 + hazard[group] @ x[group]
        s2 = s2 + (x[group] * hazard[group][:, None]).T @ x[group]
        dead = group[event[group] == 1]
        if dead.size:
            d0, d1 = hazard[dead].sum(), hazard[dead] @ x[dead]
            d2 = (x[dead] * hazard[dead][:, None]).T @ x[dead]
            share = w[dead].sum() / dead.size
            jump, jump_mean = 0.0, np.zeros(p)
            for k in range(dead.size):
                f = k / dead.size
                denominator = s0 - f * d0
                mean = (s1 - f * d1) / denominator
                increment = share / denominator
                information += share * ((s2 - f * d2) / denominator - np.outer(mean, mean))
                scores[dead] += w[dead][:, None] * (x[dead] - mean) / dead.size
                # the dead themselves are at risk in tied step k with weight 1 - f
                scores[dead] += hazard[dead][:, None] * f * increment * (x[dead] - mean)
                jump += increment
                jump_mean = jump_mean + increment * mean
            steps.append((float(time[dead[0]]), jump, jump_mean))
        i = j
    if steps:
        at = np.array([s[0] for s in steps])[::-1]
        cumulated = np.cumsum(np.array([s[1] for s in steps])[::-1])
        cumulated_mean = np.cumsum(np.array([s[2] for s in steps])[::-1], axis=0)
        seen = np.searchsorted(at, time, side="right") - 1
        reached = seen >= 0
        h, m = cumulated[seen[reached]], cumulated_mean[seen[reached]]
        scores[reached] -= hazard[reached][:, None] * (x[reached] * h[:, None] - m)
    return scores, information
