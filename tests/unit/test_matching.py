"""Pairs by nearest neighbour: by hand, orders, calipers, and who is left."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.estimates.matching import nearest_pairs
from walkrisk.models.design import Factor
from walkrisk.models.propensity import Propensity


def scored(scores: list[float], had: list[int]) -> Propensity:
    e, index = np.array(scores), np.array(had, dtype=np.intp)
    empty: npt.NDArray[np.float64] = np.zeros((len(e), 0))
    return Propensity(
        exposure=Factor("a", (0.0, 1.0), ("no", "yes")),
        index=index,
        scores=np.column_stack([1 - e, e]),
        coefficients=empty,
        basis=empty,
        influence=empty,
        log_likelihood=0.0,
        iterations=0,
        relative_score=0.0,
        warnings=(),
    )


def test_the_largest_score_chooses_first() -> None:
    """0.8 takes 0.7; 0.6, which would have liked 0.7 too, is left with 0.4 (the smallest first: the other way)."""
    p = scored([0.6, 0.8, 0.7, 0.4, 0.1], [1, 1, 0, 0, 0])
    np.testing.assert_array_equal(nearest_pairs(p).pair, [1, 0, 0, 1, -1])
    np.testing.assert_array_equal(nearest_pairs(p, order="smallest").pair, [0, 1, 0, 1, -1])
    np.testing.assert_array_equal(nearest_pairs(p, order="data").pair, [0, 1, 0, 1, -1])
    np.testing.assert_allclose(nearest_pairs(p).distance, [0.1, 0.2])


def test_caliper_and_people_without_a_match() -> None:
    p = scored([0.6, 0.8, 0.7, 0.4, 0.1], [1, 1, 0, 0, 0])
    made = nearest_pairs(p, caliper=0.15)
    np.testing.assert_array_equal(made.pair, [-1, 0, 0, -1, -1])
    assert made.warnings == ("1 of 2 people with yes found no match and are left out.",)
    more = nearest_pairs(scored([0.6, 0.8, 0.7], [1, 1, 0]))
    np.testing.assert_array_equal(more.rows, [False, True, True])
    assert "1 of 2" in more.warnings[0]


def test_misuse() -> None:
    p = scored([0.6, 0.1], [1, 0])
    with pytest.raises(ValueError, match="widen the caliper"):
        nearest_pairs(p, caliper=0.01)
    with pytest.raises(ValueError, match="no order"):
        nearest_pairs(p, order="random")
