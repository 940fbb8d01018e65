"""Power and precision of a design at hand, by simulation on its own covariates and exposure.

People keep their covariates and exposure; only the outcome is drawn anew, with the risks

    p_i = r_i exp(s_i log RR),   r_i the risk of person i at the reference of the exposure,

s_i being the share of the log ratio that belongs to the person's category (1 for the category in question). Each drawn
outcome is analysed as the study is, and the contrast is detected where the interval excludes 1. The closed form is

    power = Phi(|log RR|/SE - z) + Phi(-|log RR|/SE - z),

with SE from the expected sandwich: A = sum w p x x', B = sum w^2 p (1 - p) x x', V = A^-1 B A^-1 (log link). Neither
looks at the estimate of the study: power at the observed estimate is a function of its P value and says nothing more.

References: Zou 2004 doi 10.1093/aje/kwh090; Hoenig & Heisey 2001 doi 10.1198/000313001300339897.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from walkrisk.models.batch import fit_batch
from walkrisk.models.blocks import inverses
from walkrisk.models.solver import gram

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

NORMAL = NormalDist()
CEILING = 1.0  # a risk cannot be larger
WIDEST = math.log(50.0)  # the largest log ratio that is looked for


@dataclass(frozen=True, slots=True, eq=False)
class DesignAtHand:
    """Design x (n, p) of a log-linear model, risks at the reference (n,), shares (n,), the contrast's column, weights.

    Shares must be columns' combination x s with coefficients `pattern` (p,), 1 at `column`, so that the model in which
    the outcomes are drawn is the model fitted.
    """

    x: FloatArray
    reference_risk: FloatArray
    pattern: FloatArray
    column: int
    weights: FloatArray

    def risks(self, log_ratio: float) -> FloatArray:
        """Risks (n,) under a true log ratio, before the ceiling of 1."""
        return np.asarray(self.reference_risk * np.exp((self.x @ self.pattern) * log_ratio))

    def above_one(self, log_ratio: float) -> int:
        """People whose risk would be above 1 and is set to it."""
        return int((self.risks(log_ratio) > CEILING).sum())


def expected_error(design: DesignAtHand, log_ratio: float) -> float:
    """The standard error of the log ratio by the expected sandwich, under a true log ratio."""
    p, w = np.minimum(design.risks(log_ratio), CEILING), design.weights
    bread = np.linalg.inv(gram(design.x, w * p))
    g = design.x @ bread[design.column]
    return float(np.sqrt((w**2 * p * (1 - p)) @ g**2))


def closed_power(design: DesignAtHand, log_ratio: float, z: float) -> float:
    """Power of the two-sided test by the closed form."""
    away = abs(log_ratio) / expected_error(design, log_ratio)
    return NORMAL.cdf(away - z) + NORMAL.cdf(-away - z)


def closed_minimal(design: DesignAtHand, power: float, z: float, *, sign: int) -> float | None:
    """The smallest log ratio (of that sign) detected with `power` by the closed form; None if there is none to 50."""
    return _crossing(lambda b: closed_power(design, b, z) - power, sign)


def ratios_around(
    design: DesignAtHand, z: float, *, sign: int, powers: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.97)
) -> tuple[float, ...]:
    """True ratios at which the closed form has these powers, for a curve by simulation."""
    found = [closed_minimal(design, p, z, sign=sign) for p in powers if p > 2 * NORMAL.cdf(-z)]
    return tuple(math.exp(b) for b in found if b is not None)


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """Of B simulated studies: log ratios and standard errors (B,), NaN where a model has no maximum; risks above 1."""

    log_ratio: FloatArray
    std_error: FloatArray
    above_one: int

    def detected(self, z: float) -> BoolArray:
        """Whose interval (B,) excludes 1; one without an estimate has detected nothing."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.abs(self.log_ratio / self.std_error) > z)


def simulate(
    design: DesignAtHand, log_ratio: float, replicates: int, rng: np.random.Generator, *, block: int = 50
) -> Simulated:
    """Outcomes drawn under a true log ratio, each fitted by modified Poisson with its HC0 standard error.

    Risks above 1 are set to 1 and counted. People draw independently of each other. Raises ValueError for fewer than
    one replicate.
    """
    if replicates < 1:
        raise ValueError(f"There must be at least one simulated study, got {replicates}.")
    risks = np.minimum(design.risks(log_ratio), CEILING)
    estimates, errors = [], []
    for first in range(0, replicates, block):
        b = min(block, replicates - first)
        y = (rng.random((b, len(risks))) < risks).astype(np.float64)
        b_hat, se = fitted_contrast(design, y)
        estimates.append(b_hat)
        errors.append(se)
    return Simulated(np.concatenate(estimates), np.concatenate(errors), design.above_one(log_ratio))


def fitted_contrast(design: DesignAtHand, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Coefficient of the contrast and its HC0 standard error (B,) for outcomes y (B, n)."""
    x, w, p = design.x, design.weights, design.x.shape[1]
    found = fit_batch("modified_poisson", x, y, w, likelihood=False)
    i, j = np.triu_indices(p)
    errors = np.full(len(y), np.nan)
    fine = np.flatnonzero(found.converged)
    packed = np.zeros((len(fine), len(i)))
    mean = np.exp(found.coefficients[fine] @ x.T)
    step = max(64, 2**21 // len(i))
    for rows in (slice(a, a + step) for a in range(0, len(x), step)):
        packed += (mean[:, rows] * w[rows]) @ (x[rows][:, i] * x[rows][:, j])
    g = inverses(packed, p)[:, design.column] @ x.T
    errors[fine] = np.sqrt(np.einsum("bi,bi->b", (w * (y[fine] - mean)) ** 2, g**2))
    return found.coefficients[:, design.column], errors


# ---------------------------------------------------------------- the smallest ratio that is detected


@dataclass(frozen=True, slots=True)
class Minimal:
    """The ratio detected with a given power, its Monte Carlo standard error on the log scale, and its limits."""

    power: float
    ratio: float
    std_error: float

    def limits(self, z: float) -> tuple[float, float]:
        """Monte Carlo limits of the ratio."""
        return self.ratio * math.exp(-z * self.std_error), self.ratio * math.exp(z * self.std_error)


@dataclass(frozen=True, slots=True, eq=False)
class PowerCurve:
    """Detection modelled as Phi(a + b d), d = |log RR| / SE(RR): coefficients (2,) and their covariance (2, 2)."""

    coefficients: FloatArray
    covariance: FloatArray


def power_curve(
    design: DesignAtHand, log_ratios: FloatArray, detected: npt.NDArray[np.intp], replicates: npt.NDArray[np.intp]
) -> PowerCurve:
    """Probit regression of how many of the `replicates` (k,) detect each true log ratio (k,) on |log RR| / SE(RR).

    By the closed form a = -z and b = 1. Fisher scoring. Raises ValueError where all or none detect.
    """
    if not 0 < detected.sum() < replicates.sum():
        raise ValueError(
            "All simulated studies, or none, detect the ratios given; choose ratios nearer or further off."
        )
    d = np.array([abs(b) / expected_error(design, b) for b in log_ratios])
    x = np.column_stack([np.ones_like(d), d])
    beta: FloatArray = np.array([-1.96, 1.0])
    information = np.eye(2)
    for _ in range(100):
        eta = x @ beta
        p = np.clip([NORMAL.cdf(e) for e in eta], 1e-12, 1 - 1e-12)
        density = np.array([NORMAL.pdf(e) for e in eta])
        information = gram(x, replicates * density**2 / (p * (1 - p)))
        step = np.linalg.solve(information, x.T @ ((detected - replicates * p) * density / (p * (1 - p))))
        beta = np.asarray(beta + step)
        if np.abs(step).max() < 1e-12:
            break
    return PowerCurve(beta, np.asarray(np.linalg.inv(information), dtype=np.float64))


def minimal_ratio(design: DesignAtHand, curve: PowerCurve, power: float, *, sign: int) -> Minimal | None:
    """Where a simulated power curve reaches `power`, on the side of `sign`; None if it does not by 50 (or 1/50).

    d* = (Phi^-1(power) - a) / b, with a delta-method standard error, carried to log RR by the slope of d.
    """
    a, b = curve.coefficients
    if b <= 0:
        return None
    wanted = (NORMAL.inv_cdf(power) - a) / b
    found = _crossing(lambda t: abs(t) / expected_error(design, t) - wanted, sign)
    if found is None:
        return None
    gradient = np.array([-1 / b, -wanted / b])
    error = float(np.sqrt(gradient @ curve.covariance @ gradient))
    h = 1e-4 * abs(found)
    ahead, behind = (abs(t) / expected_error(design, t) for t in (found + sign * h, found - sign * h))
    return Minimal(power, math.exp(found), error * 2 * h / (ahead - behind))


def _crossing(f: Callable[[float], float], sign: int) -> float | None:
    """The smallest |t| with f(t) = 0, t of that sign: f rises from below 0 at 0."""
    from scipy.optimize import brentq

    low, high = 0.0, 0.05
    while f(sign * high) < 0:
        if high >= WIDEST:
            return None
        low, high = high, min(high * 1.5, WIDEST)
    return sign * float(brentq(lambda t: f(sign * t) if t else -1.0, low, high, xtol=1e-9))
