"""Priors of bias parameters as they stand in study.toml: a table with `op`, and its numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from walkrisk.declarations import option
from walkrisk.sensitivity.priors import Beta, Constant, LogitNormal, LogNormal, Prior, Trapezoidal, Triangular, Uniform
from walkrisk.studies.faults import Faults


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantPrior:
    """One value, taken as known."""

    op: Literal["constant"]
    value: float

    def prior(self) -> Prior:
        """The distribution."""
        return Constant(self.value)

    def words(self) -> str:
        """For people."""
        return f"{self.value:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UniformPrior:
    """Equally likely between two limits."""

    op: Literal["uniform"]
    low: float
    high: float

    def prior(self) -> Prior:
        """The distribution."""
        return Uniform(self.low, self.high)

    def words(self) -> str:
        """For people."""
        return f"uniform from {self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TriangularPrior:
    """Most likely at `mode`, linearly less towards both limits."""

    op: Literal["triangular"]
    low: float
    mode: float = option(doc="The most likely value.")
    high: float

    def prior(self) -> Prior:
        """The distribution."""
        return Triangular(self.low, self.mode, self.high)

    def words(self) -> str:
        """For people."""
        return f"triangular from {self.low:g} to {self.high:g}, mode {self.mode:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrapezoidalPrior:
    """Equally likely between two modes, linearly less towards both limits."""

    op: Literal["trapezoidal"]
    low: float
    lower_mode: float = option(doc="From here on values are equally likely ...")
    upper_mode: float = option(doc="... up to here.")
    high: float

    def prior(self) -> Prior:
        """The distribution."""
        return Trapezoidal(self.low, self.lower_mode, self.upper_mode, self.high)

    def words(self) -> str:
        """For people."""
        modes = f"modes {self.lower_mode:g} and {self.upper_mode:g}"
        return f"trapezoidal from {self.low:g} to {self.high:g}, {modes}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BetaPrior:
    """The beta distribution, as after a - 1 of a + b - 2 people."""

    op: Literal["beta"]
    a: float = option(doc="First shape, above 0.")
    b: float = option(doc="Second shape, above 0.")

    def prior(self) -> Prior:
        """The distribution."""
        return Beta(self.a, self.b)

    def words(self) -> str:
        """For people."""
        return f"beta with shapes {self.a:g} and {self.b:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogitNormalPrior:
    """A normal distribution on the logit scale, stretched between two limits."""

    op: Literal["logit_normal"]
    mean: float = option(doc="On the logit scale.")
    sd: float = option(doc="On the logit scale.")
    low: float = 0.0
    high: float = 1.0

    def prior(self) -> Prior:
        """The distribution."""
        return LogitNormal(self.mean, self.sd, self.low, self.high)

    def words(self) -> str:
        """For people."""
        within = "" if (self.low, self.high) == (0, 1) else f", from {self.low:g} to {self.high:g}"
        return f"logit-normal with mean {self.mean:g} and SD {self.sd:g} of the logit{within}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNormalPrior:
    """A normal distribution of the logarithm of a ratio."""

    op: Literal["log_normal"]
    mean: float = option(doc="Of the natural logarithm.")
    sd: float = option(doc="Of the natural logarithm.")

    def prior(self) -> Prior:
        """The distribution."""
        return LogNormal(self.mean, self.sd)

    def words(self) -> str:
        """For people."""
        return f"log-normal with mean {self.mean:g} and SD {self.sd:g} of the logarithm"


DeclaredPrior = (
    ConstantPrior | UniformPrior | TriangularPrior | TrapezoidalPrior | BetaPrior | LogitNormalPrior | LogNormalPrior
)


def check_prior(
    key: str,
    declared: DeclaredPrior,
    faults: Faults,
    *,
    what: str,
    lowest: float = -math.inf,
    highest: float = math.inf,
    open_low: bool = False,
) -> None:
    """A fault for a prior that is none, or that may leave `lowest` to `highest` (`open_low`: or be the lowest).

    `what` the parameter is, as "a prevalence".
    """
    try:
        ends = declared.prior().quantile(np.array([0.0, 1.0]))
    except ValueError as error:
        faults.add(key, str(error))
        return
    low, high = float(ends[0]), float(ends[1])
    unbounded = isinstance(declared, LogNormalPrior | LogitNormalPrior)  # whose ends are limits that are not reached
    below = low < lowest or (open_low and not unbounded and low == lowest)
    if below or high > highest:
        if math.isinf(highest):
            span = f"above {lowest:g}" if open_low else f"{lowest:g} or more"
        else:
            span = f"{'above ' if open_low else 'from '}{lowest:g} {'and up ' if open_low else ''}to {highest:g}"
        faults.add(
            key,
            f"{what} is {span}, but this prior reaches from {low:g} to {high:g}; set its limits inside, or take beta "
            "or logit_normal for a share and log_normal for a ratio.",
        )
