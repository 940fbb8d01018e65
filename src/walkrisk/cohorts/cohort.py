"""The analytic cohort: who is in it, how they came to be, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.eligibility import FlowStep

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Variable:
    """What tables, figures and designs need to know of a variable; one with `levels` is a factor."""

    name: str
    label: str
    unit: str = ""
    levels: Mapping[int, str] | None = None
    decimals: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Everyone of the extract with derived variables, and the mask (n_all,) of those analysed."""

    everyone: Mapping[str, FloatArray]
    variables: Mapping[str, Variable]
    included: BoolArray
    step_alone: Mapping[str, BoolArray]
    flow: tuple[FlowStep, ...]
    n_all: int

    def analytic(self, name: str) -> FloatArray:
        """One variable of the analytic sample."""
        return self.everyone[name][self.included]

    @property
    def n(self) -> int:
        """Size of the analytic sample."""
        return int(self.included.sum())
