"""Tables of joint and stratum-specific effects, and tests of interaction on the scale of the model.

With eta(i, j) the linear predictor of levels i and j of two exposures,

    log ratio of ratios(i, j) = eta(i, j) - eta(i, 0) - eta(0, j) + eta(0, 0)

is the multiplicative interaction of a model with the log link; with the identity link it is the interaction contrast of
risks. Presentation: Knol & VanderWeele 2012 doi 10.1093/ije/dyr218.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.joint_effects import JointEffects
from walkrisk.estimates.rows import Estimate, chi_square_p, critical_value, two_sided_p, wald_statistic
from walkrisk.estimates.two_by_two import Interval, TestResult
from walkrisk.models.design import Product
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]

SINGULAR = 1e-12


def likelihood_ratio(without: Fit, with_product: Fit, *, row: Estimate) -> Estimate:
    """Twice the gain in (ordinary, non-robust) log-likelihood from the product terms, on as many degrees of freedom as
    they add estimated coefficients. Empty where a fit has no likelihood (case duplication) or did not converge."""
    base = replace(row, n=with_product.n, events=with_product.events, method="likelihood_ratio", variance="model")
    df = with_product.parameters - without.parameters
    if not (without.converged and with_product.converged) or df < 1:
        return base
    if (without.method, without.n, without.events) != (with_product.method, with_product.n, with_product.events):
        raise ValueError("A likelihood ratio compares two fits of one method to the same people; fit both to the same.")
    chi2 = 2 * (with_product.log_likelihood - without.log_likelihood)
    if not math.isfinite(chi2) or chi2 < -1e-6:
        return base
    chi2 = max(chi2, 0.0)
    return replace(base, estimate=chi2, p_value=chi_square_p(chi2, df))


def wald(
    with_product: Fit, product: Product, covariances: Mapping[str, FloatArray], *, row: Estimate
) -> list[Estimate]:
    """A row a variance: the Wald chi-square that all product coefficients that the data determine are 0."""
    columns = [c for c in with_product.design.columns_of[product] if with_product.estimable[c]]
    at = with_product.position(tuple(columns))
    rows = []
    for variance, v in covariances.items():
        base = replace(row, n=with_product.n, events=with_product.events, method="wald", variance=variance)
        if with_product.converged and at and not _singular(v[np.ix_(at, at)]):
            chi2 = wald_statistic(with_product.coefficients[columns], v[np.ix_(at, at)])
            base = replace(base, estimate=chi2, p_value=chi_square_p(chi2, len(at)))
        rows.append(base)
    return rows


def _singular(v: FloatArray) -> bool:
    """Whether a covariance has no inverse (fewer clusters than terms, for one), or is not finite."""
    scale = np.sqrt(np.diag(v)) if np.isfinite(v).all() else np.zeros(1)
    if not (scale > 0).all():
        return True
    return bool(np.linalg.eigvalsh(v / np.outer(scale, scale))[0] < SINGULAR)


def equality_of_strata(
    estimates: Sequence[FloatArray | float], covariances: Sequence[FloatArray | float]
) -> tuple[TestResult, float | None]:
    """Wald test that separately fitted strata have the same log ratios, and z of the second against the first.

    Estimates b_s (q,) with covariances V_s (q, q) of S independent strata: sum (b_s - b)' V_s^-1 (b_s - b) about the
    inverse-variance mean b, chi-square on (S - 1) q degrees of freedom. For two strata of one ratio each, also
    z = (b_2 - b_1)/sqrt(V_1 + V_2) (Altman & Bland 2003 doi 10.1136/bmj.326.7382.219), whose square is the statistic.

    Raises ValueError for fewer than two strata, unequal lengths, missing values or a variance without an inverse.
    """
    b = [np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in estimates]
    v = [np.atleast_2d(np.asarray(x, dtype=np.float64)) for x in covariances]
    fits = len(b) == len(v) > 1 and all(
        x.shape == b[0].shape and w.shape == (x.size, x.size) for x, w in zip(b, v, strict=True)
    )
    if not fits:
        raise ValueError("Comparing strata needs at least two, each with the same ratios and their covariance.")
    if any(not np.isfinite(x).all() or _singular(w) for x, w in zip(b, v, strict=True)):
        raise ValueError("A stratum has a ratio or variance that could not be estimated; compare the others.")
    precision = [np.linalg.inv(w) for w in v]
    mean = np.linalg.solve(sum(precision), sum(p @ x for p, x in zip(precision, b, strict=True)))
    chi2 = float(sum((x - mean) @ p @ (x - mean) for p, x in zip(precision, b, strict=True)))
    df = (len(b) - 1) * b[0].size
    z = float((b[1][0] - b[0][0]) / math.sqrt(v[0][0, 0] + v[1][0, 0])) if len(b) == 2 and b[0].size == 1 else None
    return TestResult(method="wald", statistic=chi2, df=df, p_value=chi_square_p(chi2, df)), z


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One contrast of a table: the levels it compares, people and events of the cell (None if not known), and limits.

    `interval` is a ratio for models with a log or logit link and a difference of risks with the identity link; its
    estimate is 1 (or 0) without limits for the reference, None where it is not estimable.
    """

    first_level: str
    second_level: str
    reference: str
    n: int | None
    events: int | None
    interval: Interval


def joint_table(
    joint: JointEffects, *, reference: tuple[int, int] = (0, 0), conf_level: float = 0.95
) -> tuple[Effect, ...]:
    """Every joint level against one joint reference, row by row."""
    label = f"{joint.first_labels[reference[0]]}/{joint.second_labels[reference[1]]}"
    return tuple(
        _effect(joint, (i, j), reference, label, conf_level)
        for i in range(joint.shape[0])
        for j in range(joint.shape[1])
    )


def stratum_effects(
    joint: JointEffects, *, of: str, reference: tuple[int, int] = (0, 0), conf_level: float = 0.95
) -> tuple[Effect, ...]:
    """Effects of one exposure (`of` is first or second) within each level of the other, all from the one model."""
    if of not in ("first", "second"):
        raise ValueError(f"Effects are of the 'first' or the 'second' exposure within the other, not of '{of}'.")
    rows = []
    for outer in range(joint.shape[1] if of == "first" else joint.shape[0]):
        for inner in range(joint.shape[0] if of == "first" else joint.shape[1]):
            cell, base = ((inner, outer), (reference[0], outer))
            label = joint.first_labels[reference[0]]
            if of == "second":
                cell, base, label = (outer, inner), (outer, reference[1]), joint.second_labels[reference[1]]
            rows.append(_effect(joint, cell, base, label, conf_level))
    return tuple(rows)


def multiplicative_interaction(
    joint: JointEffects, *, reference: tuple[int, int] = (0, 0), conf_level: float = 0.95
) -> tuple[Effect, ...]:
    """RR(i, j)/(RR(i, 0) RR(0, j)) for each pair of other levels; on the identity link p11 - p10 - p01 + p00."""
    label = f"{joint.first_labels[reference[0]]}/{joint.second_labels[reference[1]]}"
    rows = []
    for (i, j), contrast in _interactions(joint, reference).items():
        interval = Interval(method="wald") if contrast is None else _interval(joint, contrast, conf_level)
        rows.append(_row(joint, (i, j), label, interval))
    return tuple(rows)


def joint_wald(joint: JointEffects, *, reference: tuple[int, int] = (0, 0)) -> TestResult:
    """Wald test that all estimable interactions of `multiplicative_interaction` are nil; empty if there are none."""
    contrasts = [c for c in _interactions(joint, reference).values() if c is not None]
    if not contrasts:
        return TestResult(method="wald")
    b, v = joint.estimate(contrasts)
    if _singular(v):
        return TestResult(method="wald")
    chi2 = wald_statistic(b, v)
    return TestResult(method="wald", statistic=chi2, df=len(b), p_value=chi_square_p(chi2, len(b)))


def _interactions(joint: JointEffects, reference: tuple[int, int]) -> dict[tuple[int, int], FloatArray | None]:
    r, s = reference
    return {
        (i, j): joint.contrast([(i, j), (r, s)], [(i, s), (r, j)])
        for i in range(joint.shape[0])
        for j in range(joint.shape[1])
        if i != r and j != s
    }


def _effect(joint: JointEffects, cell: tuple[int, int], base: tuple[int, int], label: str, conf_level: float) -> Effect:
    contrast = joint.contrast([cell], [base])
    if cell == base:
        interval = Interval(method="reference", estimate=0.0 if joint.scale == "identity" else 1.0)
    else:
        interval = Interval(method="wald") if contrast is None else _interval(joint, contrast, conf_level)
    return _row(joint, cell, label, interval)


def _row(joint: JointEffects, cell: tuple[int, int], label: str, interval: Interval) -> Effect:
    return Effect(
        first_level=joint.first_labels[cell[0]],
        second_level=joint.second_labels[cell[1]],
        reference=label,
        n=None if joint.n is None else int(joint.n[cell]),
        events=None if joint.events is None else int(joint.events[cell]),
        interval=interval,
    )


def _interval(joint: JointEffects, contrast: FloatArray, conf_level: float) -> Interval:
    b, v = joint.estimate([contrast])
    value, se, z = float(b[0]), float(np.sqrt(np.maximum(v[0, 0], 0.0))), critical_value(conf_level)
    with np.errstate(over="ignore", invalid="ignore"):
        limits = value + np.array([-z, 0.0, z]) * se
        low, middle, high = (float(x) for x in (limits if joint.scale == "identity" else np.exp(limits)))
        point = value if joint.scale == "identity" else float(np.exp(value))
    if not math.isfinite(point):
        return Interval(method="wald")
    if se == 0 or not np.isfinite([low, high]).all():
        return Interval(method="wald", estimate=point)
    return Interval(method="wald", estimate=middle, std_error=se, low=low, high=high, p_value=two_sided_p(value / se))
