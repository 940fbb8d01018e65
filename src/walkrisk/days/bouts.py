"""Bouts: walking that goes on, with short breaks allowed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.declarations import option

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoutSettings:
    """What a bout of walking is."""

    shortest_s: int = option(10, doc="Fewest seconds from the first to the last of a bout.")
    longest_break_s: int = option(5, doc="Pauses of up to this many seconds do not end a bout.")


def runs(mask: BoolArray) -> IntArray:
    """(k, 2) stretches [start, stop) of positions where `mask` (n,) holds, in order."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return edges.reshape(-1, 2).astype(np.int64)


def bouts(walking: BoolArray, *, known: BoolArray | None = None, settings: BoutSettings) -> IntArray:
    """(k, 2) bouts [start, stop) in seconds of `walking` (n,), one value a second.

    Runs of walking with at most `longest_break_s` seconds between them are one bout, unless a second between them is
    not `known` (n,); its length counts the breaks inside it. Bouts below `shortest_s` are left out, after joining.
    """
    walked = runs(walking)
    if not len(walked):
        return walked
    between = walked[1:, 0] - walked[:-1, 1]
    joined = between <= settings.longest_break_s
    if known is not None:
        unknown = np.concatenate(([0], np.cumsum(~known)))
        joined &= unknown[walked[1:, 0]] == unknown[walked[:-1, 1]]
    first = np.concatenate(([True], ~joined))
    last = np.concatenate((~joined, [True]))
    whole = np.column_stack((walked[first, 0], walked[last, 1]))
    return whole[whole[:, 1] - whole[:, 0] >= settings.shortest_s]
