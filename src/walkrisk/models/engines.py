"""The programs that can find a maximum: ours, and statsmodels for comparison.

statsmodels solves the same equations by iteratively reweighted least squares, at about ten times the cost, and is
judged by the same certificate as ours.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from walkrisk.models.solver import (
    LEAST_SQUARES,
    Family,
    Solution,
    flat_start,
    maximise,
    newton_solver,
    score_scale,
    vanished,
)

FloatArray = npt.NDArray[np.float64]


def maximise_with_statsmodels(
    family: Family, x: FloatArray, y: FloatArray, *, weights: FloatArray | None = None, start: FloatArray | None = None
) -> Solution:
    """What `solver.maximise` does, with the coefficients from statsmodels' GLM."""
    import statsmodels.api as sm
    from statsmodels.tools.sm_exceptions import PerfectSeparationError

    links = {"log": sm.families.links.Log, "logit": sm.families.links.Logit, "identity": sm.families.links.Identity}
    likelihoods = {"poisson": sm.families.Poisson, "identity_poisson": sm.families.Poisson}
    likelihood = sm.families.Gaussian if family is LEAST_SQUARES else likelihoods.get(family.name, sm.families.Binomial)
    w = np.ones(len(y)) if weights is None else weights
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = sm.GLM(y, x, family=likelihood(links[family.link]()), freq_weights=w).fit(
                start_params=start, tol=1e-12, tol_criterion="params", maxiter=200
            )
        beta, iterations = np.asarray(fit.params, dtype=np.float64), int(fit.fit_history["iteration"])
    except (ValueError, np.linalg.LinAlgError, PerfectSeparationError):
        beta, iterations = np.full(x.shape[1], np.nan), 0
    with np.errstate(all="ignore"):
        eta = x @ beta
        value = float(w @ family.log_likelihood(eta, y))
        gradient = x.T @ (w * family.score(eta, y))
        relative = float(np.max(np.abs(gradient) / score_scale(x, y, w)))
        solve = newton_solver(x, w * family.information(eta, y), w * family.score(eta, y))
    moved = np.inf if solve is None else float(np.max(np.abs(x @ solve(gradient))))
    with np.errstate(all="ignore"):
        held = not vanished(family, x, family.mean(eta)).any()
    converged = bool(np.isfinite(value)) and moved < 1e-6 and relative < 1e-9 and held
    return Solution(beta, eta, value, converged, iterations, relative)


ENGINES: Mapping[str, Callable[..., Solution]] = {"newton": maximise, "statsmodels": maximise_with_statsmodels}


def search(engine: str, family: Family, x: FloatArray, y: FloatArray, w: FloatArray) -> Solution:
    """What a program of ENGINES finds; statsmodels starts inside the domain of a bounded family."""
    start = flat_start(family, x, y, w) if family.bounded and engine != "newton" else None
    return ENGINES[engine](family, x, y, weights=w, start=start)
