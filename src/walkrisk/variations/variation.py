"""A sensitivity analysis as work: independent parts, and what makes rows of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from walkrisk.studies.bench import Rows

Arrays = Mapping[str, npt.NDArray[Any]]
"""Named arrays of numbers, truth values or texts of fixed length: what a part leaves, so that it can be kept."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of work that depends on nothing but the study, its data and its seed; `key` is its name when kept."""

    key: str
    title: str
    work: Callable[[], Arrays]


@dataclass(frozen=True, slots=True)
class Variation:
    """A declared sensitivity analysis: its parts, in any order, and the rows made of what they left, in their order."""

    id: str
    title: str
    parts: tuple[Part, ...]
    finish: Callable[[Sequence[Arrays]], Rows]
