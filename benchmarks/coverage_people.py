"""Simulated populations whose true contrasts are known without a fit: closed forms, or sums over all covariates.

Covariates take values of a grid with known probabilities (`STANDARD`), so that a standardised risk is an exact sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from walkrisk.models.splines import restricted_cubic_basis

FloatArray = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], dict[str, FloatArray]]  # a data set of n people, by column


def _grid() -> tuple[FloatArray, FloatArray, FloatArray]:
    """z and b and their probabilities: z is one of 41 equally likely values from -2 to 2, b is 1 in 40 %."""
    z, b = np.meshgrid(np.linspace(-2, 2, 41), [0.0, 1.0], indexing="ij")
    return z.ravel(), b.ravel(), (np.where(b == 1, 0.4, 0.6) / 41).ravel()


STANDARD = _grid()


def shares(z: FloatArray, b: FloatArray) -> FloatArray:
    """The probabilities (n, 3) of the levels of x given the covariates: confounding by both."""
    weight = np.column_stack([np.ones(len(z)), np.exp(-0.2 + 0.3 * z - 0.3 * b), np.exp(-0.5 - 0.4 * z + 0.5 * b)])
    return weight / weight.sum(axis=1, keepdims=True)


def people(random: np.random.Generator, n: int) -> dict[str, FloatArray]:
    """Covariates z and b, and an exposure x of three levels that depends on them."""
    z, b = np.linspace(-2, 2, 41)[random.integers(0, 41, n)], (random.random(n) < 0.4).astype(np.float64)
    x = (random.random(n)[:, None] > np.cumsum(shares(z, b), axis=1)[:, :2]).sum(axis=1).astype(np.float64)
    return {"x": x, "z": z, "b": b}


def _outcome(random: np.random.Generator, risk: FloatArray) -> FloatArray:
    if risk.min() < 0 or risk.max() > 1:
        raise AssertionError(f"A risk of this scenario is {risk.max()}.")
    return (random.random(len(risk)) < risk).astype(np.float64)


Risk = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]  # of level, z and b


def drawn(risk: Risk) -> Draw:
    """How data sets are drawn whose people have the risk of their level, z and b."""

    def draw(random: np.random.Generator, n: int) -> dict[str, FloatArray]:
        out = people(random, n)
        return {**out, "y": _outcome(random, risk(out["x"], out["z"], out["b"]))}

    return draw


def drawn_without_events(risk: Risk) -> Draw:
    """The same, of those data sets alone in which level 0 or 2 has no event."""

    def draw(random: np.random.Generator, n: int) -> dict[str, FloatArray]:
        while True:
            out = drawn(risk)(random, n)
            if (np.bincount(out["x"].astype(int), weights=out["y"], minlength=3)[[0, 2]] == 0).any():
                return out

    return draw


def log_linear(base: float, ratios: tuple[float, float], slopes: tuple[float, float]) -> Risk:
    """A risk of `base` times the ratio of the level, exp(slope z) and exp(slope b)."""
    by_level = np.log([1.0, *ratios])
    return lambda x, z, b: base * np.exp(by_level[x.astype(int)] + slopes[0] * z + slopes[1] * b)


def logistic(intercept: float, log_odds: tuple[float, float]) -> Risk:
    """A logistic risk of the level, z and b."""
    by_level = np.array([0.0, *log_odds])
    return lambda x, z, b: 1 / (1 + np.exp(-(intercept + by_level[x.astype(int)] + 0.5 * z + 0.6 * b)))


def standard_risks(risk: Risk) -> FloatArray:
    """The risks (3,) were everyone at each level: sums over the distribution of z and b."""
    z, b, share = STANDARD
    return np.array([float(share @ risk(np.full(len(z), level), z, b)) for level in (0.0, 1.0, 2.0)])


def population_fraction(risk: Risk) -> float:
    """The fraction of cases there would not be with everyone at level 0."""
    z, b, share = STANDARD
    by_level = np.column_stack([risk(np.full(len(z), level), z, b) for level in (0.0, 1.0, 2.0)])
    observed = float(share @ (shares(z, b) * by_level).sum(axis=1))
    return 1 - float(share @ by_level[:, 0]) / observed


RISKS = (0.06, 0.03)  # of unexposed and exposed


def table_draw(random: np.random.Generator, n: int) -> dict[str, FloatArray]:
    """Half of the people exposed, and nothing else."""
    x = (np.arange(n) % 2).astype(np.float64)
    return {"x": x, "y": _outcome(random, np.array(RISKS)[x.astype(int)])}


def table_truth() -> dict[str, float]:
    """The contrasts of the two risks."""
    r0, r1 = RISKS
    odds = math.log(r1 / (1 - r1)) - math.log(r0 / (1 - r0))
    return {"risk of exposed": r1, "log RR": math.log(r1 / r0), "RD": r1 - r0, "log OR": odds}


def stratified_draw(scale: str) -> Draw:
    """Three age groups and b, with a common ratio of 0.6 or a common difference of -0.08 of level 2."""

    def draw(random: np.random.Generator, n: int) -> dict[str, FloatArray]:
        out = people(random, n)
        age = np.digitize(out["z"], [-0.71, 0.71]).astype(np.float64)
        base = 0.18 + 0.05 * age + 0.06 * out["b"]
        x = out["x"].astype(int)
        effect = np.array([1.0, 0.8, 0.6])[x] * base if scale == "ratio" else base + np.array([0.0, -0.04, -0.08])[x]
        return {"x": out["x"], "b": out["b"], "age": age, "y": _outcome(random, effect)}

    return draw


def clustered_draw(clusters: int) -> Draw:
    """Half of the clusters exposed; a cluster multiplies its people's risk by u, of mean 1 and variance 0.4.

    With a risk near 0.2 the intracluster correlation is 0.4 * 0.2 / 0.8 = 0.1. u = 2.5 Beta(1.1, 1.65) is 2.5 at most.
    """

    def draw(random: np.random.Generator, n: int) -> dict[str, FloatArray]:
        cluster = np.arange(n) % clusters
        u = 2.5 * random.beta(1.1, 1.65, clusters)
        x, z = (cluster % 2).astype(np.float64), np.linspace(-2, 2, 41)[random.integers(0, 41, n)]
        y = _outcome(random, 0.22 * np.exp(math.log(0.7) * x + 0.15 * z) * u[cluster])
        return {"x": x, "z": z, "cluster": cluster.astype(np.float64), "y": y}

    return draw


R10, R01, R11 = 1.5, 1.4, 2.5


def interaction_draw(random: np.random.Generator, n: int) -> dict[str, FloatArray]:
    """Two binary exposures with joint ratios 1.5, 1.4 and 2.5, one of them confounded by z."""
    z = np.linspace(-2, 2, 41)[random.integers(0, 41, n)]
    a = (random.random(n) < 1 / (1 + np.exp(-0.4 * z))).astype(np.float64)
    m = (random.random(n) < 0.45).astype(np.float64)
    ratio = np.where(a * m == 1, R11, np.where(a == 1, R10, np.where(m == 1, R01, 1.0)))
    return {"a": a, "m": m, "z": z, "y": _outcome(random, 0.13 * ratio * np.exp(0.2 * z))}


KNOTS = (1.0, 3.0, 5.0, 9.0)
SLOPES = np.array([-0.12, 0.5, -0.9])
POINTS = (1.0, 6.0, 9.0)
MIDDLE = 4.0


def curve_at(x: FloatArray) -> FloatArray:
    """The true log risk along x, a restricted cubic spline of declared knots."""
    return restricted_cubic_basis(x, KNOTS) @ SLOPES


def curve_draw(random: np.random.Generator, n: int) -> dict[str, FloatArray]:
    """A skewed exposure from 0.2 to 12, correlated with the covariate z."""
    z = np.linspace(-2, 2, 41)[random.integers(0, 41, n)]
    x = np.clip(random.gamma(3.0, 1.5, n) * np.exp(-0.1 * z), 0.2, 12.0)
    return {"x": x, "z": z, "y": _outcome(random, 0.22 * np.exp(curve_at(x) + 0.15 * z))}


HORIZON = 5.0
HAZARD = 0.045


def _hazard(x: FloatArray, z: FloatArray) -> FloatArray:
    return HAZARD * np.exp(math.log(0.6) * x + 0.3 * z)


def follow_up_draw(random: np.random.Generator, n: int) -> dict[str, FloatArray]:
    """Randomised x, exponential events with proportional hazards, a fifth lost before the horizon."""
    z, x = np.linspace(-2, 2, 41)[random.integers(0, 41, n)], (random.random(n) < 0.5).astype(np.float64)
    event_time, lost = random.exponential(1 / _hazard(x, z)), random.exponential(22.0, n)
    end = np.minimum(lost, 8.0)
    return {"x": x, "z": z, "time": np.minimum(event_time, end), "y": (event_time <= end).astype(np.float64)}


def follow_up_truth() -> dict[str, float]:
    """Risks by the horizon, summed over the distribution of z."""
    z = np.linspace(-2, 2, 41)
    r0, r1 = (float(np.mean(1 - np.exp(-HORIZON * _hazard(np.full(41, x), z)))) for x in (0.0, 1.0))
    return {"log RR": math.log(r1 / r0), "RD": r1 - r0, "risk of exposed": r1, "log HR": math.log(0.6)}


COMMON = log_linear(0.22, (0.8, 0.6), (0.2, 0.25))
RARE = log_linear(0.044, (0.8, 0.6), (0.2, 0.25))
HARMFUL = log_linear(0.035, (1.3, 1.8), (0.2, 0.25))
NEAR_ONE = log_linear(0.36, (1.1, 1.25), (0.27, 0.2))
FRACTION = log_linear(0.16, (1.3, 1.8), (0.2, 0.25))
MARGINAL = logistic(-1.6, (0.4, 0.8))


def additive(x: FloatArray, z: FloatArray, b: FloatArray) -> FloatArray:
    return 0.24 + np.array([0.0, -0.04, -0.08])[x.astype(int)] + 0.04 * z + 0.05 * b


def marginal_truth() -> dict[str, float]:
    risks = standard_risks(MARGINAL)
    return {
        "log RR": math.log(risks[2] / risks[0]),
        "RD": float(risks[2] - risks[0]),
        "risk of level 2": float(risks[2]),
        "PAF": population_fraction(MARGINAL),
    }


def interaction_truth() -> dict[str, float]:
    reri = R11 - R10 - R01 + 1
    return {"RERI": reri, "AP": reri / R11, "log S": math.log((R11 - 1) / (R10 + R01 - 2))}


def curve_truth() -> dict[str, float]:
    log_risk = curve_at(np.array([*POINTS, MIDDLE]))
    return {f"log RR at {x:g}": float(log_risk[k] - log_risk[-1]) for k, x in enumerate(POINTS)}


def fraction_difference() -> float:
    """The standardised difference of level 2 of the population of the attributable fraction."""
    risks = standard_risks(FRACTION)
    return float(risks[2] - risks[0])
