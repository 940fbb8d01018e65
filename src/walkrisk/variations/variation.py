"""A sensitivity analysis as work: independent parts, and what makes rows of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from walkrisk.errors import WalkriskError
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


def whichever_can(works: Iterable[Callable[[], Variation]]) -> Iterator[Variation]:
    """Every variation that can be made; the faults of those that cannot are raised together after them."""
    faults: list[WalkriskError] = []
    for work in works:
        try:
            yield work()
        except WalkriskError as fault:
            faults.append(fault)
    raise_together(faults)


def raise_together(faults: Sequence[WalkriskError]) -> None:
    """Raises the sentences of all faults as one of the first one's kind; nothing without any."""
    if faults:
        raise type(faults[0])([sentence for fault in faults for sentence in fault.faults])
