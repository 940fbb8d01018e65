"""Bouts of walking as strings a reader can check: w walking, . other, ? unknown."""

from __future__ import annotations

import numpy as np
import pytest

from walkrisk.days.bouts import BoutSettings, bouts, runs

# seconds, shortest, longest break -> bouts
CASES = [
    ("", 1, 0, []),
    ("....", 1, 0, []),
    ("wwww", 1, 0, [(0, 4)]),
    (".ww.www", 1, 0, [(1, 3), (4, 7)]),
    (".ww.www", 1, 1, [(1, 7)]),
    (".ww.www", 3, 0, [(4, 7)]),
    ("w..w..w", 1, 1, [(0, 1), (3, 4), (6, 7)]),
    ("w..w..w", 7, 2, [(0, 7)]),
    ("w..w..w", 8, 2, []),
    ("ww?ww", 1, 1, [(0, 2), (3, 5)]),
    ("ww.ww?ww", 4, 2, [(0, 5)]),
]


@pytest.mark.parametrize(("text", "shortest", "longest_break", "expected"), CASES)
def test_bouts(text: str, shortest: int, longest_break: int, expected: list[tuple[int, int]]) -> None:
    seconds = np.array(list(text), dtype="<U1")
    settings = BoutSettings(shortest_s=shortest, longest_break_s=longest_break)
    found = bouts(seconds == "w", known=seconds != "?", settings=settings)
    assert [tuple(b) for b in found.tolist()] == expected


def test_runs() -> None:
    assert runs(np.array([True, False, True, True])).tolist() == [[0, 1], [2, 4]]
