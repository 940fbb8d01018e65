"""Draws of declared variables: earlier variables and a random generator in, one array and what was solved out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import singledispatch

import numpy as np

from walkrisk.errors import StudyFault
from walkrisk.simulation.declaration import (
    Bernoulli,
    Categorical,
    Choice,
    Date,
    Derived,
    Indicator,
    Normal,
    Ordinal,
    Uniform,
)
from walkrisk.simulation.terms import FloatArray, all_hold, day_number, expit, predictor, solve_intercept

Values = Mapping[str, FloatArray]
Drawn = tuple[FloatArray, dict[str, float]]
_ROUNDS = 500
_SCALES: dict[str, Callable[[FloatArray], FloatArray]] = {"identity": lambda x: x, "exp": np.exp, "logistic": expit}


@singledispatch
def draw(variable: object, values: Values, n: int, rng: np.random.Generator) -> Drawn:
    """Values (n,) of one variable given the earlier ones, and what had to be solved or is worth knowing of it.

    Dates are days since 1970-01-01, codes whole numbers held as floats. Nothing is missing.
    Raises StudyFault where the declaration cannot be drawn: a risk of 1 or more, limits nobody falls between.
    """
    raise TypeError(f"no rule to draw {type(variable).__name__}")


def _between(
    name: str, mean: FloatArray, sd: float, scale: str, limits: tuple[float, float], rng: np.random.Generator
) -> FloatArray:
    """Truncated normal by drawing again."""
    transform = _SCALES[scale]
    out = np.asarray(transform(mean + sd * rng.standard_normal(mean.size)))
    for _ in range(_ROUNDS):
        wrong = np.flatnonzero((out < limits[0]) | (out > limits[1]))
        if wrong.size == 0:
            return out
        out[wrong] = transform(mean[wrong] + sd * rng.standard_normal(wrong.size))
    raise StudyFault(
        f"variables.{name}: {wrong.size} values stay outside [{limits[0]:g}, {limits[1]:g}] after {_ROUNDS} draws; "
        "widen the limits or move the mean."
    )


@draw.register
def _(variable: Normal, values: Values, n: int, rng: np.random.Generator) -> Drawn:
    limits = (
        -np.inf if variable.lower is None else variable.lower,
        np.inf if variable.upper is None else variable.upper,
    )
    mean = variable.mean + predictor(variable.terms, values, n)
    return _between(variable.name, mean, variable.sd, variable.scale, limits, rng), {}


@draw.register
def _(variable: Uniform, values: Values, n: int, rng: np.random.Generator) -> Drawn:
    return rng.uniform(variable.lower, variable.upper, n), {}


@draw.register
def _(variable: Bernoulli, values: Values, n: int, rng: np.random.Generator) -> Drawn:
    probability, solved = probabilities(variable, values, n)
    return (rng.random(n) < probability).astype(np.float64), solved


def probabilities(variable: Bernoulli, values: Values, n: int) -> Drawn:
    """The probability of each person (n,), with the intercept, the mean and the largest one."""
    eta = predictor(variable.terms, values, n)
    among = all_hold(variable.among, values, n)
    if not among.any():
        among = np.ones(n, dtype=bool)
    intercept = variable.intercept
    if intercept is None:
        intercept = solve_intercept(eta[among], mean=float(variable.mean or 0.0), link=variable.link)
    probability = np.exp(intercept + eta) if variable.link == "log" else expit(intercept + eta)
    largest = float(probability.max())
    if variable.link == "log" and largest >= 1:
        raise StudyFault(
            f"variables.{variable.name}: the largest of {n} risks is {largest:.3f}, and a risk must stay below 1; "
            "lower the mean, shrink the coefficients, or use the logit link."
        )
    return probability, {"intercept": intercept, "mean": float(probability[among].mean()), "largest": largest}


@draw.register
def _(variable: Categorical, values: Values, n: int, rng: np.random.Generator) -> Drawn:
    weights = np.stack([c.share * np.exp(predictor(c.terms, values, n)) for c in variable.categories], axis=1)
    cumulated = np.cumsum(weights, axis=1)
    position = (rng.random(n)[:, None] * cumulated[:, -1:] >= cumulated[:, :-1]).sum(axis=1)
    return np.array([c.code for c in variable.categories], dtype=np.float64)[position], {}


@draw.register
def _(variable: Ordinal, values: Values, n: int, rng: np.random.Generator) -> Drawn:
    latent = predictor(variable.terms, values, n) + rng.standard_normal(n)
    cumulated = np.cumsum(variable.shares)[:-1] / float(np.sum(variable.shares))
    cuts = np.quantile(latent, cumulated)
    codes = np.array(variable.codes, dtype=np.float64)
    return codes[np.searchsorted(cuts, latent, side="left")], {f"cut_{i + 1}": float(c) for i, c in enumerate(cuts)}


@draw.register
def _(variable: Date, values: Values, n: int, rng: np.random.Generator) -> Drawn:
    earliest, latest = day_number(variable.earliest), day_number(variable.latest)
    if variable.mean is None or variable.sd_days is None:
        return rng.integers(int(earliest), int(latest) + 1, n).astype(np.float64), {}
    mean = day_number(variable.mean) + predictor(variable.terms, values, n)
    # floor([earliest, latest + 1)) is whole days from the earliest to the latest
    days = _between(variable.name, mean, variable.sd_days, "identity", (earliest, latest + 1 - 1e-9), rng)
    return np.floor(days), {}


@draw.register
def _(variable: Derived, values: Values, n: int, rng: np.random.Generator) -> Drawn:
    return variable.intercept + predictor(variable.terms, values, n), {}


@draw.register
def _(variable: Indicator, values: Values, n: int, rng: np.random.Generator) -> Drawn:
    return all_hold(variable.when, values, n).astype(np.float64), {}


@draw.register
def _(variable: Choice, values: Values, n: int, rng: np.random.Generator) -> Drawn:
    chosen = all_hold(variable.when, values, n)
    return np.where(chosen, values[variable.then], values[variable.otherwise]), {}
