"""Few people or few events: corrected sandwiches, and fits whose first-order bias is removed.

Sandwiches, for G clusters (persons, where there are none), k coefficients, n rows, bread A^-1, meat B:

    MBN: c A^-1 B A^-1 + d g A^-1, c = (n-1)/(n-k) G/(G-1), d = k/(G-k) up to 1/2, g = max(1, tr(A^-1 B)/k)
    FG:  component r of the score of cluster j divided by sqrt(1 - min(3/4, [A_j A^-1]_rr)), A_j its information

Bias-reduced estimates solve X'w(y - mean) + X'(h c)/2 + a = 0 with leverages h, c = 1 (Poisson) or 1 - 2 mean
(logistic); a = 0 reduces the mean bias (for logistic regression the penalty of Firth), and a = -A b / 3 with
b_r = sum_i w_i v_i c_i (x_i'm_r)^3 / m_rr, m_r column r of A^-1, the median bias. They are finite where the maximum of
the likelihood is not (a category without events, separation).

References: Morel, Bokossa & Neerchal 2003 doi 10.1002/bimj.200390021; Fay & Graubard 2001
doi 10.1111/j.0006-341X.2001.01198.x; Firth 1993 doi 10.1093/biomet/80.1.27; Kosmidis, Kenne Pagui & Sartori 2020
doi 10.1007/s11222-019-09860-6.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from walkrisk.models.cluster_robust import group_totals
from walkrisk.models.design import Design
from walkrisk.models.fit import Fit, empty_fit
from walkrisk.models.solver import LOGISTIC, POISSON, Family, inverse_information
from walkrisk.models.support import independent_columns

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

BiasReduction = Literal["mean", "median"]
FAMILIES: dict[str, Family] = {"modified_poisson": POISSON, "logistic": LOGISTIC}
FAY_GRAUBARD_BOUND = 0.75
MOST_ITERATIONS = 2000


def mbn_factor(n: int, parameters: int, clusters: int) -> float:
    """c of MBN. Raises ValueError with no more rows than coefficients, or one cluster."""
    if n <= parameters or clusters < 2:
        raise ValueError(
            f"variance 'MBN' needs more rows than coefficients and two clusters ({n} rows, {parameters} coefficients, "
            f"{clusters} clusters here); use fewer covariates"
        )
    return (n - 1) / (n - parameters) * clusters / (clusters - 1)


def mbn_extra(meat: FloatArray, bread: FloatArray, parameters: int, clusters: int) -> float:
    """d g of MBN, what the bread is multiplied by before it is added."""
    share = parameters / (clusters - parameters) if clusters > 3 * parameters else 0.5
    return share * max(1.0, float(np.sum(bread * meat)) / parameters)


def fay_graubard_scores(
    scores: FloatArray, x: FloatArray, weight: FloatArray, bread: FloatArray, number: IntArray
) -> FloatArray:
    """Scores (m, q), each component divided as FG asks; x (m, q) is the design, `weight` (m,) the working weight."""
    share = group_totals(x * (x @ bread) * weight[:, None], number, int(number.max(initial=-1)) + 1)
    return np.asarray(scores / np.sqrt(1 - np.minimum(share, FAY_GRAUBARD_BOUND))[number])


def bias_reduced(
    method: str, design: Design, y: FloatArray, *, weights: FloatArray | None = None, kind: BiasReduction = "mean"
) -> Fit:
    """Fit modified_poisson or logistic of a 0/1 outcome (n,) with reduced `mean` or `median` bias.

    A `Fit` as that of the plain method, its `method` `mean_bias_reduced_logistic` and the like, but for: rows of
    categories without events stay, as all coefficients are finite; `bread` is the inverse information at the estimate;
    `scores` are the plain ones (they do not add up to 0); `log_likelihood` is NaN, as no ratio of it is a test.
    A column that is a combination of earlier ones is left out and said in `warnings`.
    Raises ValueError for another method or kind, and for weights that are negative, not finite or all 0.
    """
    if method not in FAMILIES or kind not in get_args(BiasReduction):
        raise ValueError(
            f"no bias-reduced fit of method {method!r} and kind {kind!r}; choose modified_poisson or logistic, "
            "and mean or median"
        )
    w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not np.isfinite(w).all() or (w < 0).any() or not (w > 0).any():
        raise ValueError("weights must be finite, none negative and some above 0; leave rows without a weight out")
    if not np.isfinite(design.matrix).all() or not np.isin(y, (0, 1)).all():
        raise ValueError("covariates must be finite and the outcome 0 or 1; leave rows with missing values out")
    rows = w > 0
    if y[rows].all() or not y[rows].any():
        who = "Everyone" if y[rows].all() else "Nobody"
        return empty_fit(method, design, y, [f"{who} in this sample has the outcome, so no ratio can be estimated."])
    at = independent_columns(design.matrix[rows])
    x = np.ascontiguousarray(design.matrix[np.ix_(rows, at)])
    beta, iterations, moved, reached = _solve(FAMILIES[method], x, y[rows], w[rows], kind)
    return _as_fit(method, kind, design, y, w, at, beta, iterations, reached, moved)


def _solve(
    family: Family, x: FloatArray, y: FloatArray, w: FloatArray, kind: str
) -> tuple[FloatArray, int, float, bool]:
    """Scoring steps until one is below 1e-11 on the linear predictor, halved while the adjusted score grows."""
    beta = np.zeros(x.shape[1])
    share = float(w @ y / w.sum())
    beta[0] = np.log(share) if family is POISSON else np.log(share / (1 - share))
    step = _step(family, x, y, w, beta, kind)
    for iteration in range(1, MOST_ITERATIONS + 1):
        if step is None:
            break
        length, size = float(np.max(np.abs(x @ step))), 1.0
        if length < 1e-11:
            return beta + step, iteration, length, True
        size = min(1.0, 2.0 / length)
        trial = _step(family, x, y, w, beta + size * step, kind)
        while size > 1e-4 and (trial is None or float(np.max(np.abs(x @ trial))) > 2 * length):
            size /= 2
            trial = _step(family, x, y, w, beta + size * step, kind)
        beta, step = beta + size * step, trial
    return beta, MOST_ITERATIONS, np.inf, False


def _step(
    family: Family, x: FloatArray, y: FloatArray, w: FloatArray, beta: FloatArray, kind: str
) -> FloatArray | None:
    """The scoring step A^-1 (score + adjustment) at `beta`, None where the information is singular."""
    eta = x @ beta
    with np.errstate(all="ignore"):
        mean = family.mean(eta)
        bread = inverse_information(family, x, y, eta, w)
    if not np.isfinite(bread).all():
        return None
    weight = w * family.information(eta, y)
    curve = np.ones_like(mean) if family is POISSON else 1 - 2 * mean
    moved = x @ bread
    leverage = weight * np.einsum("ij,ij->i", moved, x)
    step = bread @ (x.T @ (w * (y - mean) + leverage * curve / 2))
    if kind == "median":
        step -= (weight * curve) @ moved**3 / np.diag(bread) / 3
    return np.asarray(step)


def _as_fit(
    method: str,
    kind: str,
    design: Design,
    y: FloatArray,
    w: FloatArray,
    at: IntArray,
    beta: FloatArray,
    iterations: int,
    reached: bool,
    moved: float,
) -> Fit:
    family, rows, p = FAMILIES[method], w > 0, design.matrix.shape[1]
    x = np.ascontiguousarray(design.matrix[np.ix_(rows, at)])
    eta, used, outcome = x @ beta, w[rows], y[rows]
    with np.errstate(all="ignore"):
        bread = inverse_information(family, x, outcome, eta, used)
        mean, working = family.mean(eta), used * family.expected(eta, outcome)
    name = f"{kind}_bias_reduced_{method}"
    coefficients, estimated = np.full(p, np.nan), np.zeros(p, dtype=bool)
    coefficients[at], estimated[at] = beta, True
    top = float(mean.max())
    return replace(
        empty_fit(method, design, y, []),
        method=name,
        coefficients=coefficients,
        estimated=estimated,
        estimable=estimated.copy(),
        scores=x * (used * family.score(eta, outcome))[:, None],
        bread=bread,
        weights=used,
        outcome=outcome,
        working=working,
        expected_bread=bread,
        rows=rows,
        converged=reached and bool(np.isfinite(bread).all()),
        iterations=iterations,
        max_fitted_risk=top,
        warnings=tuple(_sentences(name, design, estimated, reached, moved, mean, family)),
    )


def _sentences(
    name: str,
    design: Design,
    estimated: npt.NDArray[np.bool_],
    reached: bool,
    moved: float,
    mean: FloatArray,
    family: Family,
) -> list[str]:
    out = []
    left_out = [label for label, kept in zip(design.names, estimated, strict=True) if not kept]
    if left_out:
        out.append(f"{', '.join(left_out)}: combinations of other columns or constant 0, so left out.")
    if not reached:
        out.append(
            f"The {name.replace('_', '-')} fit did not converge (last step {moved:.1e}); no estimate is given. "
            "Modified Poisson needs no such iteration."
        )
    if family is POISSON and (mean > 1).any():
        out.append(
            f"{int((mean > 1).sum())} fitted risks exceed 1 (largest {float(mean.max()):.3f}); "
            "risk ratios stay consistent, predicted risks do not."
        )
    return out
