"""Deterministic bias analysis by going the other way: a true table, biased on purpose, must come back."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.sensitivity.bias import (
    Measure,
    correct_confounder,
    correct_misclassification,
    correct_selection,
    misclassification_map,
    table_measures,
)

FloatArray = npt.NDArray[np.float64]
TRUE = np.array([[120.0, 40.0], [480.0, 560.0]])


def limits(m: Measure) -> list[float]:
    return [m.estimate, m.conf_low, m.conf_high]


def misclassify(true: FloatArray, of: str, se: tuple[float, float], sp: tuple[float, float]) -> FloatArray:
    """Expected counts: of the truly positive a share se is seen so, of the others 1 - sp."""
    seen = true.copy() if of == "exposure" else true.T.copy()
    for i in range(2):
        positive, negative = seen[i]
        seen[i] = [positive * se[i] + negative * (1 - sp[i]), positive * (1 - se[i]) + negative * sp[i]]
    return seen if of == "exposure" else seen.T


@pytest.mark.parametrize("of", ["exposure", "outcome"])
@pytest.mark.parametrize(("se", "sp"), [((0.8, 0.8), (0.95, 0.95)), ((0.9, 0.7), (0.85, 0.99)), ((1, 1), (1, 1))])
def test_misclassification_is_undone(of: str, se: tuple[float, float], sp: tuple[float, float]) -> None:
    seen = misclassify(TRUE, of, se, sp)
    got = correct_misclassification(seen, of=of, sensitivity=se, specificity=sp)
    np.testing.assert_allclose(got.corrected_table, TRUE)
    np.testing.assert_array_equal(got.observed_table, seen)
    true = table_measures(TRUE)
    for name in ("risk_ratio", "odds_ratio", "risk_difference"):
        np.testing.assert_allclose(getattr(got.corrected, name).estimate, getattr(true, name).estimate)


def test_measures_of_a_table() -> None:
    got = table_measures(TRUE)
    np.testing.assert_allclose(
        [got.risk_ratio.estimate, got.odds_ratio.estimate, got.risk_difference.estimate],
        [0.2 / (1 / 15), 120 * 560 / (40 * 480), 0.2 - 1 / 15],
    )
    se = [1 / 120 - 1 / 600 + 1 / 40 - 1 / 600, (1 / TRUE).sum(), 0.2 * 0.8 / 600 + 14 / 225 / 600]
    np.testing.assert_allclose(
        [got.risk_ratio.std_error, got.odds_ratio.std_error, got.risk_difference.std_error], np.sqrt(se)
    )
    half = 1.6448536269514722 * math.sqrt(se[0])
    np.testing.assert_allclose(table_measures(TRUE, conf_level=0.9).risk_ratio.conf_high, 3 * math.exp(half))


@pytest.mark.parametrize("of", ["exposure", "outcome"])
def test_standard_errors_of_corrected_measures_are_those_of_repeated_samples(of: str) -> None:
    """Poisson cells around a misclassified table: the delta method against the spread of 2,000 corrections."""
    seen = 20 * misclassify(TRUE, of, (0.9, 0.8), (0.9, 0.97))
    rng, found = np.random.default_rng(5), []
    for _ in range(2000):
        sample = rng.poisson(seen).astype(float)
        got = correct_misclassification(sample, of=of, sensitivity=(0.9, 0.8), specificity=(0.9, 0.97)).corrected
        found.append(
            [math.log(got.risk_ratio.estimate), math.log(got.odds_ratio.estimate), got.risk_difference.estimate]
        )
    centre = correct_misclassification(seen, of=of, sensitivity=(0.9, 0.8), specificity=(0.9, 0.97))
    errors = [m.std_error for m in (centre.corrected.risk_ratio, centre.corrected.odds_ratio)]
    errors.append(centre.corrected.risk_difference.std_error)
    np.testing.assert_allclose(np.std(found, axis=0), errors, rtol=0.06)
    assert centre.corrected.odds_ratio.std_error > centre.observed.odds_ratio.std_error


def test_selection_is_undone() -> None:
    p = np.array([[0.9, 0.6], [0.5, 0.4]])
    got = correct_selection(TRUE * p, probabilities=p)
    np.testing.assert_allclose(got.corrected_table, TRUE)
    np.testing.assert_allclose(got.corrected.odds_ratio.std_error, got.observed.odds_ratio.std_error)
    factor = 0.9 * 0.4 / (0.6 * 0.5)
    np.testing.assert_allclose(got.observed.odds_ratio.estimate / factor, got.corrected.odds_ratio.estimate)


def confounded(measure: str) -> tuple[FloatArray, FloatArray, float, float]:
    """Two strata with the same effect of exposure in both: with the confounder, without; adjusted; association."""
    n1, n0 = np.array([300.0, 100.0]), np.array([200.0, 900.0])  # exposed, unexposed
    if measure == "RR":
        r1, r0, adjusted, association = np.array([0.24, 0.12]), np.array([0.08, 0.04]), 2.0, 3.0
    elif measure == "RD":
        r1, r0, adjusted, association = np.array([0.3, 0.2]), np.array([0.15, 0.05]), 0.1, 0.15
    else:
        odds = np.array([0.6, 0.3]), np.array([0.2, 0.1])
        r1, r0, adjusted, association = odds[0] / (1 + odds[0]), odds[1] / (1 + odds[1]), 2.0, 3.0
    return np.array([n1 * r1, n1 * (1 - r1)]), np.array([n0 * r0, n0 * (1 - r0)]), adjusted, association


@pytest.mark.parametrize("measure", ["RR", "OR", "RD"])
def test_a_confounder_is_undone(measure: str) -> None:
    having, without, adjusted, association = confounded(measure)
    people = having + without
    among = (1,) if measure == "OR" else (0, 1)  # prevalence among those without the outcome, or among all
    p = sum(having[i] for i in among) / sum(people[i] for i in among)
    got = correct_confounder(
        people, measure=measure, association=association, prevalence_exposed=p[0], prevalence_unexposed=p[1]
    )
    np.testing.assert_allclose(got.with_confounder, having)
    np.testing.assert_allclose(got.without_confounder, without)
    np.testing.assert_allclose(got.adjusted.estimate, adjusted)
    name = {"RR": "risk_ratio", "OR": "odds_ratio", "RD": "risk_difference"}[measure]
    observed = getattr(table_measures(people), name)
    assert got.observed == observed
    if measure == "RD":
        np.testing.assert_allclose(limits(got.adjusted), np.array(limits(observed)) - got.bias)
    else:
        np.testing.assert_allclose(limits(got.adjusted), np.array(limits(observed)) / got.bias)


@pytest.mark.parametrize("measure", ["RR", "OR", "RD"])
def test_a_confounder_that_is_none_changes_nothing(measure: str) -> None:
    none = 0.0 if measure == "RD" else 1.0
    for association, p1, p0 in ((none, 0.7, 0.2), (0.1 if measure == "RD" else 1.5, 0.3, 0.3)):
        got = correct_confounder(
            TRUE, measure=measure, association=association, prevalence_exposed=p1, prevalence_unexposed=p0
        )
        np.testing.assert_allclose(limits(got.adjusted), limits(got.observed))
    nobody = correct_confounder(TRUE, association=2, prevalence_exposed=0.4, prevalence_unexposed=0)
    np.testing.assert_allclose(nobody.adjusted.estimate, 3 / 1.4)


def test_impossible_corrections_have_a_sentence() -> None:
    with pytest.raises(ValueError, match="cannot have produced this table"):
        correct_misclassification(TRUE, of="outcome", sensitivity=0.9, specificity=0.9)
    with pytest.raises(ValueError, match="negative number of people"):
        correct_confounder(TRUE, measure="RD", association=0.9, prevalence_exposed=0.5, prevalence_unexposed=0.5)
    with pytest.raises(ValueError, match="sum to more than 1"):
        correct_misclassification(TRUE, of="exposure", sensitivity=(0.9, 0.4), specificity=0.6)
    with pytest.raises(ValueError, match="A sensitivity is a probability"):
        correct_misclassification(TRUE, of="exposure", sensitivity=90, specificity=0.6)
    with pytest.raises(ValueError, match="A specificity is a probability"):
        correct_misclassification(TRUE, of="exposure", sensitivity=0.9, specificity=math.nan)
    with pytest.raises(ValueError, match="not of 'disease'"):
        correct_misclassification(TRUE, of="disease", sensitivity=0.9, specificity=0.9)
    with pytest.raises(ValueError, match="unknown measure 'HR'"):
        correct_confounder(TRUE, measure="HR", association=2, prevalence_exposed=0.5, prevalence_unexposed=0.2)
    with pytest.raises(ValueError, match="lie between 0 and 1"):
        correct_confounder(TRUE, association=2, prevalence_exposed=1.5, prevalence_unexposed=0.2)
    for association in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="positive ratio"):
            correct_confounder(TRUE, association=association, prevalence_exposed=0.5, prevalence_unexposed=0.2)
    for p in ([[0.0, 0.5], [0.5, 0.5]], [[1.1, 0.5], [0.5, 0.5]], [0.5, 0.5, 0.5, 0.5]):
        with pytest.raises(ValueError, match="2 x 2 probabilities"):
            correct_selection(TRUE, probabilities=p)
    for table in ([[1, 2], [3, 0]], [[1, 2], [3, -4]], [[1, 2], [3, math.nan]], [1, 2, 3, 4]):
        with pytest.raises(ValueError, match="2 x 2 table of positive counts"):
            table_measures(table)


def test_maps_of_many_draws_are_those_of_each() -> None:
    rng = np.random.default_rng(0)
    se, sp = rng.uniform(0.7, 1, (5, 2)), rng.uniform(0.8, 1, (5, 2))
    for of in ("exposure", "outcome"):
        maps = misclassification_map(of, se, sp)
        for i in range(5):
            np.testing.assert_array_equal(maps[i], misclassification_map(of, se[i], sp[i]))
            np.testing.assert_allclose(maps[i].sum(axis=0), 1)  # people are moved, none is lost
