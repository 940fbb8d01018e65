"""Adjusted P values against hand sums and R's p.adjust."""

from __future__ import annotations

import math

import numpy as np
import pytest

from walkrisk.estimates.multiplicity import ADJUSTMENTS, adjust_p_values


def test_four_tests_by_hand_in_any_order() -> None:
    p = [0.04, 0.01, 0.02, 0.03]
    np.testing.assert_allclose(adjust_p_values(p, "holm"), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(adjust_p_values(p, "benjamini_hochberg"), [0.04, 0.04, 0.04, 0.04])
    np.testing.assert_allclose(adjust_p_values(p, "bonferroni"), [0.16, 0.04, 0.08, 0.12])


def test_values_of_p_adjust() -> None:
    """R 4.2, the example of Benjamini and Hochberg's procedure."""
    p = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216]
    holm = [0.01, 0.072, 0.312, 0.312, 0.312, 0.312, 0.312, 0.615, 0.615, 0.615]
    bh = [0.01, 0.04, 0.084, 0.084, 0.084, 0.1, 0.74 / 7, 0.216, 0.216, 0.216]
    np.testing.assert_allclose(adjust_p_values(p, "holm"), holm)
    np.testing.assert_allclose(adjust_p_values(p, "benjamini_hochberg"), bh)
    np.testing.assert_allclose(adjust_p_values(p, "bonferroni"), [min(1, 10 * v) for v in p])


@pytest.mark.parametrize("method", ADJUSTMENTS)
def test_what_holds_for_every_adjustment(method: str) -> None:
    p = np.random.default_rng(0).random(30) ** 2
    got = adjust_p_values(p, method)
    assert ((got >= p) & (got <= 1)).all()
    assert (np.diff(got[np.argsort(p)]) >= 0).all()
    np.testing.assert_array_equal(adjust_p_values(p[::-1], method), got[::-1])
    assert adjust_p_values([0.3], method).tolist() == [0.3]
    assert adjust_p_values([], method).shape == (0,)
    with_unknown = adjust_p_values([0.02, math.nan, 0.03], method)
    np.testing.assert_array_equal(with_unknown[[0, 2]], adjust_p_values([0.02, 0.03], method))
    assert math.isnan(with_unknown[1])


def test_inputs_are_left_and_misuse_has_a_sentence() -> None:
    p = np.array([0.5, 0.01])
    adjust_p_values(p, "holm")
    assert p.tolist() == [0.5, 0.01]
    with pytest.raises(ValueError, match="choose from holm, benjamini_hochberg, bonferroni"):
        adjust_p_values([0.5], "hochberg")
    for bad in ([1.2], [-0.1], [math.inf]):
        with pytest.raises(ValueError, match="between 0 and 1"):
            adjust_p_values(bad, "holm")
    with pytest.raises(ValueError, match="one row"):
        adjust_p_values([[0.1, 0.2]], "holm")
