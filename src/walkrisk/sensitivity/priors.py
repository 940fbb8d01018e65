"""Prior distributions of bias parameters by their quantile functions, and correlated pairs of draws from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

DEPENDENCE = ("normal", "logistic")


@dataclass(frozen=True, slots=True)
class Constant:
    """One known value."""

    value: float

    def quantile(self, u: FloatArray) -> FloatArray:
        return np.full(u.shape, self.value)


@dataclass(frozen=True, slots=True)
class Trapezoidal:
    """Density rising from `low` to `lower_mode`, flat to `upper_mode`, falling to `high`.

    With area 1 the height is h = 2/(high + upper_mode - low - lower_mode). Raises ValueError for corners out of order.
    """

    low: float
    lower_mode: float
    upper_mode: float
    high: float

    def __post_init__(self) -> None:
        ends = (self.low, self.lower_mode, self.upper_mode, self.high)
        if not all(map(math.isfinite, ends)) or list(ends) != sorted(ends) or self.low == self.high:
            raise ValueError(f"The corners of a prior must be finite and in rising order, not {ends}.")

    def quantile(self, u: FloatArray) -> FloatArray:
        low, first, second, high = self.low, self.lower_mode, self.upper_mode, self.high
        height = 2 / (high + second - low - first)
        rise, fall = height * (first - low) / 2, height * (high - second) / 2
        flat = first + (u - rise) / height
        rising = low + np.sqrt(2 * u * (first - low) / height)
        falling = high - np.sqrt(2 * (1 - u) * (high - second) / height)
        return np.where(u < rise, rising, np.where(u > 1 - fall, falling, flat))


def Uniform(low: float, high: float) -> Trapezoidal:  # noqa: N802 - reads as the other priors do
    """Equally likely between `low` and `high`."""
    return Trapezoidal(low, low, high, high)


def Triangular(low: float, mode: float, high: float) -> Trapezoidal:  # noqa: N802
    """Most likely at `mode`, linearly less towards `low` and `high`."""
    return Trapezoidal(low, mode, mode, high)


@dataclass(frozen=True, slots=True)
class Beta:
    """The beta distribution with shapes `a` and `b`, as after a - 1 successes and b - 1 failures. Raises ValueError for
    shapes that are not positive."""

    a: float
    b: float

    def __post_init__(self) -> None:
        if not (0 < self.a < math.inf and 0 < self.b < math.inf):
            raise ValueError("The shapes of a beta prior must be positive and finite.")

    def quantile(self, u: FloatArray) -> FloatArray:
        from scipy import special

        return np.asarray(special.betaincinv(self.a, self.b, u))


@dataclass(frozen=True, slots=True)
class LogitNormal:
    """low + (high - low) expit(mean + sd Z), Z standard normal. Raises ValueError for sd or bounds that make none."""

    mean: float
    sd: float
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and 0 < self.sd < math.inf and 0 <= self.low < self.high <= 1):
            raise ValueError(
                "A logit-normal prior needs a finite mean, a positive sd, and bounds 0 <= low < high <= 1."
            )

    def quantile(self, u: FloatArray) -> FloatArray:
        from scipy import special

        spread = special.expit(self.mean + self.sd * special.ndtri(u))
        return np.asarray(self.low + (self.high - self.low) * spread)


@dataclass(frozen=True, slots=True)
class LogNormal:
    """exp(mean + sd Z) of a ratio, Z standard normal. Raises ValueError for an sd that is not positive."""

    mean: float
    sd: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and 0 < self.sd < math.inf):
            raise ValueError("A log-normal prior needs a finite mean and a positive sd, both of the log.")

    def quantile(self, u: FloatArray) -> FloatArray:
        from scipy import special

        return np.asarray(np.exp(self.mean + self.sd * special.ndtri(u)))


Prior = Constant | Trapezoidal | Beta | LogitNormal | LogNormal
PriorPair = Prior | tuple[Prior, Prior]


def draw(prior: Prior, draws: int, rng: np.random.Generator) -> FloatArray:
    """`draws` independent values (draws,)."""
    return prior.quantile(_open(rng, draws))


def draw_pair(
    prior: PriorPair, draws: int, rng: np.random.Generator, *, correlation: float | None, dependence: str = "normal"
) -> FloatArray:
    """Draws (draws, 2) for two groups: the same value for both of one prior, or a correlated pair from two.

    `dependence` "normal" keeps both priors and correlates their normal scores (a Gaussian copula). "logistic" is that
    of Fox, Lash & Greenland 2005, doi 10.1093/ije/dyi184, and of episensr: u = expit(sqrt(c) L0 + sqrt(1 - c) Lj), L
    logistic; as such a sum is not logistic, the draws then follow the priors only approximately (slightly too few in
    their tails). Raises ValueError if a pair has no correlation, or none is possible.
    """
    if not isinstance(prior, tuple):
        return np.repeat(draw(prior, draws, rng)[:, None], 2, axis=1)
    if dependence not in DEPENDENCE:
        raise ValueError(f"unknown dependence {dependence!r} of two priors; choose from {', '.join(DEPENDENCE)}")
    if correlation is None:
        raise ValueError(
            "Two priors of one parameter need a correlation: what makes it high in one group mostly makes it high in "
            "the other (0.8 is usual, 0 is independent)."
        )
    if not (0 if dependence == "logistic" else -1) <= correlation <= 1:
        raise ValueError(f"A correlation of two priors lies between -1 (logistic: 0) and 1, not {correlation:g}.")
    u = _correlated(draws, rng, correlation, dependence)
    return np.column_stack([p.quantile(u[:, j]) for j, p in enumerate(prior)])


def _correlated(draws: int, rng: np.random.Generator, correlation: float, dependence: str) -> FloatArray:
    from scipy import special

    if dependence == "normal":
        first, other = rng.standard_normal((2, draws))
        second = correlation * first + math.sqrt(1 - correlation**2) * other
        return np.asarray(np.clip(special.ndtr(np.column_stack([first, second])), 1e-16, 1 - 1e-16))
    scores = special.logit(np.clip(rng.random((draws, 3)), 1e-16, 1 - 1e-16))
    mixed = math.sqrt(correlation) * scores[:, :1] + math.sqrt(1 - correlation) * scores[:, 1:]
    return np.asarray(np.clip(special.expit(mixed), 1e-16, 1 - 1e-16))


def _open(rng: np.random.Generator, draws: int) -> FloatArray:
    return np.maximum(rng.random(draws), 1e-16)
