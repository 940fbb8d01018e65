"""Scores adjusted for the leverage of whole clusters, degrees of freedom of contrasts, and several ways of clustering.

With design rows x_i, derivatives d_i of the mean, working variance v_i, prior weights w_i, W = diag(w/v), residuals e,
X_d = diag(d) X, Z = W^1/2 X_d, M = (Z'Z)^-1, and the block H_j = Z_j M Z_j' of cluster j:

    CR2: u_j = X_dj' W_j A_j e_j with A_j = T_j^1/2 [T_j (I - H_j) T_j]^-1/2 T_j^1/2, T = W^-1
    KC:  u_j = Z_j' (I - H_j)^-1/2 W_j^1/2 e_j
    CR3: u_j = Z_j' (I - H_j)^-1 W_j^1/2 e_j = (I - Z_j'Z_j M)^-1 t_j, t_j the plain score of the cluster

CR2 is unbiased if v/w is the variance. Rows of one cluster are handled together, clusters of equal size at once, so
nothing grows with the square of n. References: Bell & McCaffrey 2002 (Survey Methodology 28:169); Pustejovsky & Tipton
2018 doi 10.1080/07350015.2016.1247004; Kauermann & Carroll 2001 doi 10.1198/016214501753382309; Mancl & DeRouen 2001
doi 10.1111/j.0006-341X.2001.00126.x; Cameron, Gelbach & Miller 2011 doi 10.1198/jbes.2010.07136.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Labels = npt.NDArray[Any]

LARGEST = 2500  # rows of a cluster under CR2, which needs the eigenvectors of a matrix of that size
ALONE = 1e-10  # 1 minus the leverage of a direction, below which the direction is fitted exactly
ENTRIES = 2**22  # of the matrices of one batch of clusters


@dataclass(frozen=True, slots=True, eq=False)
class Working:
    """The m rows of a generalised linear model: design x (m, q), derivative of the mean, variance, residual.

    `theta` is v / w, `residual` y - mean, all (m,); `bread` (q, q) the inverse EXPECTED information, M.
    """

    x: FloatArray
    derivative: FloatArray
    theta: FloatArray
    residual: FloatArray
    bread: FloatArray


def working(fit: Fit) -> Working:
    """The working model of a fit. Raises ValueError where it is no generalised linear model (Cox, GEE)."""
    if fit.working is None or fit.weights is None or fit.outcome is None:
        raise ValueError(
            f"a variance that adjusts for leverage is not defined for {fit.method}; choose HC0, stata or cluster"
        )
    x = fit.x
    eta = x @ fit.coefficients[fit.estimated]
    if fit.link == "log":
        mean = np.exp(eta)
        derivative = mean
    elif fit.link == "logit":
        mean = np.exp(-np.logaddexp(0, -eta))
        derivative = mean * np.exp(-np.logaddexp(0, eta))
    else:
        mean, derivative = eta, np.ones_like(eta)
    theta = derivative**2 / fit.working
    bread = fit.bread if fit.expected_bread is None else fit.expected_bread
    return Working(x, derivative, theta, fit.outcome - mean, bread)


def numbered(cluster: Labels) -> tuple[IntArray, int]:
    """Clusters numbered 0 .. G-1 (n,), and G. Raises ValueError where a label is missing."""
    labels = np.asarray(cluster)
    missing = np.isnan(labels) if labels.dtype.kind == "f" else np.array([v is None or v != v for v in labels.tolist()])
    if missing.any():
        raise ValueError(
            f"the cluster of {int(missing.sum())} rows is unknown; leave these rows out or give each of them a cluster "
            "of its own"
        )
    _, number = np.unique(labels, return_inverse=True)
    number = number.reshape(-1).astype(np.intp)
    return number, int(number.max(initial=-1)) + 1


def enough(clusters: int, parameters: int) -> None:
    """Raises ValueError for a single cluster, or fewer clusters than coefficients."""
    if clusters < 2:
        raise ValueError("there is a single cluster, so nothing is known of the variance between clusters; choose HC0")
    if clusters < parameters:
        raise ValueError(
            f"{clusters} clusters for {parameters} coefficients: a cluster-robust covariance of them would be "
            "singular; use fewer covariates, or a finer cluster"
        )


def crossings(cluster: Labels) -> list[tuple[int, IntArray, int]]:
    """The clusters of each non-empty subset of the columns of `cluster` (n, d): sign, numbers (n,), their count.

    Rows are in one cluster of a subset if they agree in all its columns; the sign is + for odd subsets. The full
    crossing comes last.
    """
    labels = np.asarray(cluster)
    columns = [numbered(labels)] if labels.ndim == 1 else [numbered(c) for c in labels.T]
    out = []
    for size in range(1, len(columns) + 1):
        for subset in combinations(columns, size):
            number = subset[0][0]
            for other, groups in subset[1:]:
                number = numbered(number * groups + other)[0]
            out.append((1 if size % 2 else -1, number, int(number.max(initial=-1)) + 1))
    return out


def adjusted_scores(kind: str, fit: Fit, number: IntArray) -> FloatArray:
    """Scores (m, q) of kind CR2, KC or CR3, their totals by cluster being u_j; `number` (m,) numbers the clusters."""
    model = working(fit)
    if kind == "CR2":
        changed = _cr2(model, number, model.residual[:, None])[:, 0]
        return np.asarray(model.x * (model.derivative / model.theta * changed)[:, None])
    z = model.x * (model.derivative / np.sqrt(model.theta))[:, None]
    root = np.linalg.cholesky(model.bread)
    out = fit.scores.copy()
    for at in batches(number, lambda size: min(size, z.shape[1]) ** 2 + size * z.shape[1]):
        rows, scores = z[at], fit.scores[at]
        if at.shape[1] == 1:
            leverage = np.square(rows[:, 0] @ root).sum(axis=1)
            out[at] = scores / _room(1 - leverage, kind)[:, None, None]
            continue
        c, total = rows @ root, root.T @ scores.sum(axis=1)[:, :, None]
        wide = at.shape[1] < z.shape[1]
        value, vector = np.linalg.eigh(c @ np.swapaxes(c, 1, 2) if wide else np.swapaxes(c, 1, 2) @ c)
        gain = np.where(value > 0, (1 / _room(1 - value, kind) - 1) / np.where(value > 0, value, 1.0), 0.0)
        move = vector @ (gain[:, :, None] * (np.swapaxes(vector, 1, 2) @ (c @ total if wide else total)))
        out[at] += rows * (move if wide else c @ move)
    return out


def _room(room: FloatArray, kind: str) -> FloatArray:
    if (room < ALONE).any():
        raise ValueError(
            f"a cluster alone determines a coefficient (leverage 1), so {kind} does not exist; choose CR1 or CR2, or "
            "leave out the covariate that only this cluster has"
        )
    return np.sqrt(room) if kind == "KC" else room


def batches(number: IntArray, entries: Any) -> Iterator[IntArray]:
    """Positions (b, s) of the rows of b clusters of the same size s at a time; `entries(s)` numbers for each."""
    order = np.argsort(number, kind="stable")
    sizes = np.bincount(number)
    starts = np.cumsum(sizes) - sizes
    for size in np.unique(sizes[sizes > 0]):
        of_size = np.flatnonzero(sizes == size)
        step = max(1, ENTRIES // int(entries(int(size))))
        for i in range(0, len(of_size), step):
            yield order[starts[of_size[i : i + step], None] + np.arange(size)]


def _cr2(model: Working, number: IntArray, values: FloatArray) -> FloatArray:
    """A_j times `values` (m, r) for every cluster."""
    largest = int(np.bincount(number).max())
    if largest > LARGEST:
        raise ValueError(
            f"a cluster has {largest} rows and CR2 is computed for clusters of up to {LARGEST}; choose KC or CR3, "
            "whose work does not grow with the size of a cluster"
        )
    c = (model.x @ np.linalg.cholesky(model.bread)) * (model.derivative / np.sqrt(model.theta))[:, None]
    out = np.empty_like(values)
    for at in batches(number, lambda size: 2 * size * size + size * c.shape[1]):
        theta, rows = model.theta[at], c[at]
        if at.shape[1] == 1:
            room = 1 - np.square(rows[:, 0]).sum(axis=1)
            factor = np.where(room > ALONE, 1 / np.sqrt(np.maximum(room, ALONE)), 0.0)
            out[at] = values[at] * factor[:, None, None]
            continue
        g = -theta[:, :, None] * (rows @ np.swapaxes(rows, 1, 2)) * theta[:, None, :]
        i = np.arange(at.shape[1])
        g[:, i, i] += theta**2
        value, vector = np.linalg.eigh(g)
        usable = value > ALONE * np.square(theta).max(axis=1)[:, None]
        power = np.where(usable, 1 / np.sqrt(np.where(usable, value, 1.0)), 0.0)
        half = np.sqrt(theta)[:, :, None]
        out[at] = half * (vector @ (power[:, :, None] * (np.swapaxes(vector, 1, 2) @ (half * values[at]))))
    return out


def satterthwaite(fit: Fit, number: IntArray, contrasts: FloatArray, bread: FloatArray) -> FloatArray:
    """Degrees of freedom (k,) of the CR2 variance of contrasts (k, q), if v / w is the variance of the outcome.

    With f_j = A_j W_j X_dj b c, b the `bread` (q, q) of the sandwich, and h_j = X_dj' f_j, the variance is a quadratic
    form with matrix P = diag(f_j' T_j f_j) - (h_i' M h_j); its degrees of freedom are (tr P)^2 / tr P^2. Nothing of
    size G x G is made.
    """
    model = working(fit)
    slope = model.derivative / model.theta
    f = _cr2(model, number, (model.x @ (bread @ contrasts.T)) * slope[:, None])
    groups, root = int(number.max()) + 1, np.linalg.cholesky(model.bread)
    own = group_totals(f * f * model.theta[:, None], number, groups)
    out = np.empty(len(contrasts))
    for k in range(len(contrasts)):
        h = group_totals(model.x * (model.derivative * f[:, k])[:, None], number, groups) @ root
        shared = np.square(h).sum(axis=1)
        trace = own[:, k].sum() - shared.sum()
        square = np.square(own[:, k]).sum() - 2 * own[:, k] @ shared + np.square(h.T @ h).sum()
        out[k] = trace**2 / square if square > 0 else np.nan
    return out


def group_totals(values: FloatArray, group: IntArray, groups: int) -> FloatArray:
    """Sums (groups, k) of values (m, k) within numbered groups."""
    out = np.empty((groups, values.shape[1]))
    for k in range(values.shape[1]):
        out[:, k] = np.bincount(group, weights=values[:, k], minlength=groups)
    return out
