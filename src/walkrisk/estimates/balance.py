"""Balance of covariates between the levels of an exposure, before and after weighting.

The standardised difference of a covariate between two levels is (m_1 - m_0) / s, with s^2 the mean of the two variances
WITHOUT weights (so that weighting changes the difference alone, not its unit): s_k^2 = p_k (1 - p_k) for a 0/1 variable
or a level of a categorical one, the sample variance (n - 1) otherwise. A categorical covariate as a whole has the
Mahalanobis distance of its shares, sqrt(d' S^-1 d), S the mean of the two multinomial covariances, one level left out.

References: Austin 2009 doi 10.1002/sim.3697; Yang & Dalton 2012, SAS Global Forum paper 335 (no DOI);
Austin & Stuart 2015 doi 10.1002/sim.6607.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

KINDS = ("continuous", "binary", "categorical")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Covariate:
    """A covariate (n,) to be balanced; NaN is missing. `labels` name the sorted codes of a categorical one."""

    name: str
    values: FloatArray
    kind: str = "continuous"
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceRow:
    """One covariate, or one of its levels, between two levels of the exposure.

    `level` is empty for a covariate as a whole. Means (shares) and differences, comparison minus reference, come
    without and with weights; `variance_ratio` is of variances (weighted with reliability weights), NaN unless
    continuous. A categorical covariate as a whole has distances without a sign, and no means.
    """

    covariate: str
    level: str
    kind: str
    comparison: str
    reference: str
    missing: int
    mean: float
    mean_reference: float
    difference: float
    standardised: float
    weighted_mean: float
    weighted_mean_reference: float
    weighted_difference: float
    weighted_standardised: float
    variance_ratio: float
    weighted_variance_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceTable:
    """Rows of every covariate and pair of levels, the sizes of the levels, and what is to be said.

    `effective_size` is (sum w)^2 / sum w^2. `largest` and `weighted_largest` are the largest absolute standardised
    differences in the table.
    """

    rows: tuple[BalanceRow, ...]
    levels: tuple[str, ...]
    size: tuple[int, ...]
    effective_size: tuple[float, ...]
    largest: float
    weighted_largest: float
    warnings: tuple[str, ...]


def balance_table(
    covariates: Sequence[Covariate],
    levels: IntArray,
    labels: Sequence[str],
    *,
    weights: FloatArray | None = None,
    pairs: str = "reference",
    reference: int = 0,
    limit: float = 0.1,
) -> BalanceTable:
    """Balance of covariates (n,) between exposure levels 0 .. K-1 (n,), with weights (n,) or without.

    `pairs` is `reference` (each level against that one) or `all`. Missing values are left out covariate by covariate,
    and counted. A weighted standardised difference above `limit` is said.

    Raises ValueError for weights that are negative, not finite or 0 for a whole level, a level with fewer than two
    people, an unknown kind, or a binary covariate with other values than 0 and 1.
    """
    w = np.ones(len(levels)) if weights is None else weights
    k = len(labels)
    size, total = np.bincount(levels, minlength=k), np.bincount(levels, weights=w, minlength=k)
    if not np.isfinite(w).all() or (w < 0).any() or (total <= 0).any():
        raise ValueError("Weights must be finite, not negative and not all 0 in a level; correct them.")
    if (size < 2).any():
        raise ValueError(f"{labels[int(np.argmin(size))]} has fewer than two people; leave that level out.")
    if pairs not in ("reference", "all"):
        raise ValueError(f"There are no pairs '{pairs}'; choose reference or all.")
    chosen = [(j, reference) for j in range(k) if j != reference]
    if pairs == "all":
        chosen = [(j, i) for i in range(k) for j in range(i + 1, k)]
    rows = [
        row
        for covariate in covariates
        for pair in chosen
        for row in _rows(covariate, levels, w, pair, (labels[pair[0]], labels[pair[1]]))
    ]
    effective = total**2 / np.bincount(levels, weights=w * w, minlength=k)
    return BalanceTable(
        rows=tuple(rows),
        levels=tuple(labels),
        size=tuple(int(n) for n in size),
        effective_size=tuple(float(n) for n in effective),
        largest=_largest([row.standardised for row in rows]),
        weighted_largest=_largest([row.weighted_standardised for row in rows]),
        warnings=tuple(_sentences(rows, limit, weights is not None)),
    )


def _largest(values: list[float]) -> float:
    known = [abs(v) for v in values if not np.isnan(v)]
    return max(known) if known else float("nan")


def _sentences(rows: Sequence[BalanceRow], limit: float, weighted: bool) -> list[str]:
    said = []
    for row in rows:
        what = f"{row.covariate} {row.level}".strip()
        value = row.weighted_standardised if weighted else row.standardised
        if np.isnan(value):
            said.append(f"{what} does not vary in {row.comparison} and {row.reference}: no standardised difference.")
        elif abs(value) > limit:
            after = " after weighting" if weighted else ""
            pair = f"{row.comparison} and {row.reference}"
            said.append(f"{what} differs by {value:.3f} standard deviations{after} between {pair}.")
    return said


def _rows(
    covariate: Covariate, levels: IntArray, w: FloatArray, pair: tuple[int, int], names: tuple[str, str]
) -> list[BalanceRow]:
    if covariate.kind not in KINDS:
        raise ValueError(f"{covariate.name} is of kind '{covariate.kind}'; choose from {', '.join(KINDS)}.")
    known = ~np.isnan(covariate.values)
    missing = int((~known & np.isin(levels, pair)).sum())
    groups = [known & (levels == level) for level in pair]
    if any(w[g].sum() <= 0 for g in groups):
        raise ValueError(f"{covariate.name} is missing for everyone of a level; leave it out of the balance table.")
    if covariate.kind == "categorical":
        return _categorical(covariate, groups, w, names, missing)
    values = covariate.values
    if covariate.kind == "binary" and not np.isin(values[known], (0, 1)).all():
        raise ValueError(f"{covariate.name} is called binary but has other values than 0 and 1; call it continuous.")
    sides = [(values[g], w[g]) for g in groups]
    return [_row(covariate.name, "", covariate.kind, sides, names, missing)]


def _categorical(
    covariate: Covariate, groups: list[BoolArray], w: FloatArray, names: tuple[str, str], missing: int
) -> list[BalanceRow]:
    codes = np.unique(covariate.values[~np.isnan(covariate.values)])
    labels = covariate.labels or tuple(f"{c:g}" for c in codes)
    if len(labels) != len(codes):
        raise ValueError(f"{covariate.name} has {len(codes)} categories and {len(labels)} labels; give one for each.")
    rows = []
    for code, label in zip(codes, labels, strict=True):
        hit = (covariate.values == code).astype(float)
        rows.append(_row(covariate.name, label, "binary", [(hit[g], w[g]) for g in groups], names, missing))
    raw = _shares(rows, weighted=False)
    whole = mahalanobis_difference(raw[0], raw[1])
    weighted = mahalanobis_difference(*_shares(rows, weighted=True), raw=raw)
    nan = float("nan")
    head = BalanceRow(
        covariate=covariate.name,
        level="",
        kind="categorical",
        comparison=names[0],
        reference=names[1],
        missing=missing,
        mean=nan,
        mean_reference=nan,
        difference=nan,
        standardised=whole,
        weighted_mean=nan,
        weighted_mean_reference=nan,
        weighted_difference=nan,
        weighted_standardised=weighted,
        variance_ratio=nan,
        weighted_variance_ratio=nan,
    )
    return [head, *rows]


def _shares(rows: Sequence[BalanceRow], *, weighted: bool) -> tuple[FloatArray, FloatArray]:
    if weighted:
        return np.array([r.weighted_mean for r in rows]), np.array([r.weighted_mean_reference for r in rows])
    return np.array([r.mean for r in rows]), np.array([r.mean_reference for r in rows])


def mahalanobis_difference(p: FloatArray, q: FloatArray, *, raw: tuple[FloatArray, FloatArray] | None = None) -> float:
    """The distance sqrt(d' S^-1 d) of two distributions (L,) over categories, d = p - q without one category.

    S is the mean of the multinomial covariances of `raw` (p and q themselves by default). Which category is left out
    does not matter; those that nobody has are. NaN where S is singular (disjoint categories).
    """
    a, b = (p, q) if raw is None else raw
    seen = np.flatnonzero((a > 0) | (b > 0))
    if len(seen) < 2:
        return float("nan")
    at = seen[1:]
    s = (np.diag(a[at]) - np.outer(a[at], a[at]) + np.diag(b[at]) - np.outer(b[at], b[at])) / 2
    if np.linalg.cond(s) > 1e12:
        return float("nan")
    d = (p - q)[at]
    return float(np.sqrt(np.maximum(d @ np.linalg.solve(s, d), 0.0)))


def _row(
    name: str, level: str, kind: str, sides: list[tuple[FloatArray, FloatArray]], names: tuple[str, str], missing: int
) -> BalanceRow:
    means = [float(x.mean()) for x, _ in sides]
    weighted = [float(w @ x / w.sum()) for x, w in sides]
    if kind == "binary":
        spread = [m * (1 - m) for m in means]
        ratio = weighted_ratio = float("nan")
    else:
        spread = [_variance(x, np.ones(len(x))) for x, _ in sides]
        with np.errstate(all="ignore"):
            ratio = float(np.divide(spread[0], spread[1]))
            weighted_ratio = float(np.divide(_variance(*sides[0]), _variance(*sides[1])))
    size = float(np.sqrt((spread[0] + spread[1]) / 2))
    scale = 1 / size if size > 1e-12 * max(abs(means[0]), abs(means[1]), 1e-300) else float("nan")
    difference, weighted_difference = means[0] - means[1], weighted[0] - weighted[1]
    return BalanceRow(
        covariate=name,
        level=level,
        kind=kind,
        comparison=names[0],
        reference=names[1],
        missing=missing,
        mean=means[0],
        mean_reference=means[1],
        difference=difference,
        standardised=difference * scale,
        weighted_mean=weighted[0],
        weighted_mean_reference=weighted[1],
        weighted_difference=weighted_difference,
        weighted_standardised=weighted_difference * scale,
        variance_ratio=ratio,
        weighted_variance_ratio=weighted_ratio,
    )


def _variance(x: FloatArray, w: FloatArray) -> float:
    """Variance with reliability weights, sum w (x - m)^2 / (W - sum w^2 / W): for w = 1 the sample variance."""
    total = w.sum()
    room = total - (w * w).sum() / total
    mean = w @ x / total
    return float(w @ (x - mean) ** 2 / room) if room > 0 else float("nan")
