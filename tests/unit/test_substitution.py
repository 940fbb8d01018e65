"""Substitution of time: isotemporal models and reallocation within a composition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from walkrisk.estimates.substitution import (
    composition_test,
    feasible_amounts,
    isotemporal,
    isotemporal_terms,
    part_contrasts,
    pro_rata,
    reallocations,
    total_varies,
)
from walkrisk.models.compositions import mean_composition
from walkrisk.models.covariance import covariance
from walkrisk.models.design import Composition, Linear, Spline, Term, build_design
from walkrisk.models.fit import Fit, fit_model

N, PARTS = 1200, ("sleep", "sit", "move")
DAY = np.random.default_rng(6).dirichlet([20, 25, 4], N) * 1440
DATA = dict(zip(PARTS, DAY.T, strict=True))
Y = (np.random.default_rng(7).random(N) < 0.25 * (DATA["move"] / 120) ** -0.4).astype(float)
TERM = Composition(PARTS)
BASE = mean_composition(DAY)


def fitted(terms: list[Term], data: dict[str, np.ndarray] | None = None) -> Fit:
    return fit_model("modified_poisson", build_design(data or DATA, terms, N), Y)


def pair(made: Any, source: str, target: str) -> tuple[float, float, float]:
    (at,) = (i for i, p in enumerate(zip(made.source, made.target, strict=True)) if p == (source, target))
    return made.values.ratio[at], made.values.low[at], made.values.high[at]


def test_all_pairs_are_the_same_whichever_part_is_omitted() -> None:
    """Three models that leave out a part each give the same six ratios and limits, in any unit of the terms."""
    made = []
    for omitted, per in (("sleep", 1.0), ("sit", 30.0), ("move", 60.0)):
        fit = fitted([*isotemporal_terms(PARTS, omitted=omitted, per=per)])
        made.append(isotemporal(fit, PARTS, covariance(fit, "HC0"), 30.0, omitted=omitted))
    for source in PARTS:
        for target in PARTS:
            if source != target:
                expected = pair(made[0], source, target)
                np.testing.assert_allclose(pair(made[1], source, target), expected, rtol=1e-7)
                np.testing.assert_allclose(pair(made[2], source, target), expected, rtol=1e-7)
                back = pair(made[0], target, source)
                np.testing.assert_allclose(expected, [1 / back[0], 1 / back[2], 1 / back[1]], rtol=1e-10)


def test_the_ratio_is_that_of_fitted_risks_after_the_move() -> None:
    fit = fitted([*isotemporal_terms(PARTS, omitted="sit")])
    made = isotemporal(fit, PARTS, covariance(fit, "HC0"), 15.0, omitted="sit")
    b = fit.coefficients
    np.testing.assert_allclose(pair(made, "sleep", "move")[0], np.exp(15 * (b[2] - b[1])), rtol=1e-12)
    np.testing.assert_allclose(pair(made, "sit", "move")[0], np.exp(15 * b[2]), rtol=1e-12)


def test_a_partition_model_of_a_total_that_varies_needs_no_omitted_part() -> None:
    awake = {**DATA, "sleep": DATA["sleep"] + np.random.default_rng(1).normal(0, 30, N)}
    assert total_varies(awake, PARTS)
    assert not total_varies(DATA, PARTS)
    total = {**awake, "total": sum(awake[p] for p in PARTS)}
    partition = fitted([Linear(p) for p in PARTS], awake)
    held = fitted([*isotemporal_terms(PARTS, omitted="sit"), Linear("total")], total)
    a = isotemporal(partition, PARTS, covariance(partition, "HC0"), 30.0)
    b = isotemporal(held, PARTS, covariance(held, "HC0"), 30.0, omitted="sit")
    np.testing.assert_allclose(a.values.ratio, b.values.ratio, rtol=1e-7)
    np.testing.assert_allclose(a.values.std_error, b.values.std_error, rtol=1e-6)


def test_the_order_of_parts_changes_no_result() -> None:
    fit = fitted([TERM])
    other = Composition(("move", "sleep", "sit"))
    again = fitted([other])
    v, w = covariance(fit, "HC3"), covariance(again, "HC3")
    np.testing.assert_allclose(composition_test(fit, TERM, v).chi2, composition_test(again, other, w).chi2, rtol=1e-7)
    moved, back = (
        reallocations(f, t, c, BASE[[PARTS.index(p) for p in t.names]], [20.0], pairs=[("sit", "move")]).values
        for f, t, c in ((fit, TERM, v), (again, other, w))
    )
    np.testing.assert_allclose([moved.ratio, moved.low], [back.ratio, back.low], rtol=1e-8)
    first, rotated = part_contrasts(fit, TERM, v), part_contrasts(again, other, w)
    order = [other.names.index(p) for p in PARTS]
    np.testing.assert_allclose(first.log_ratio, rotated.log_ratio[order], rtol=1e-8)
    np.testing.assert_allclose(first.std_error, rotated.std_error[order], rtol=1e-7)
    np.testing.assert_allclose(rotated.log_ratio[0], again.coefficients[1], rtol=1e-12)


def test_a_reallocation_is_the_ratio_of_fitted_risks() -> None:
    fit = fitted([TERM])
    made = reallocations(fit, TERM, covariance(fit, "HC0"), BASE, [10.0, 30.0])
    assert (len(made.source), made.amount[1]) == (12, 30.0)
    new = BASE + np.array([0.0, -30.0, 30.0])
    rows = build_design({p: np.array([new[j], BASE[j]]) for j, p in enumerate(PARTS)}, [TERM], 2).matrix
    at = next(i for i in range(12) if (made.source[i], made.target[i], made.amount[i]) == ("sit", "move", 30.0))
    np.testing.assert_allclose(made.values.ratio[at], np.exp((rows[0] - rows[1]) @ fit.coefficients), rtol=1e-10)


def test_pro_rata_keeps_the_ratios_between_the_others() -> None:
    """Only the part's own pivot coordinate moves, so the ratio follows from its coefficient alone."""
    fit = fitted([TERM])
    v = covariance(fit, "HC0")
    made = pro_rata(fit, TERM, v, BASE, [20.0, -20.0])
    assert made.source == ("all others",) * 6
    own = part_contrasts(fit, TERM, v)
    for j in range(3):
        for i, amount in enumerate((20.0, -20.0)):
            rest = BASE.sum() - BASE[j]
            dz = np.sqrt(2 / 3) * (np.log((BASE[j] + amount) / BASE[j]) - np.log((rest - amount) / rest))
            np.testing.assert_allclose(made.values.log_ratio[2 * j + i], dz * own.log_ratio[j], rtol=1e-9)
            np.testing.assert_allclose(made.values.std_error[2 * j + i], abs(dz) * own.std_error[j], rtol=1e-8)


def test_feasible_amounts_stay_where_people_are() -> None:
    made = feasible_amounts(DAY, BASE)
    low, high = np.percentile(DAY, [5, 95], axis=0)
    assert made.shape == (3, 3)
    np.testing.assert_array_equal(np.diag(made), 0)
    np.testing.assert_allclose(made[1, 2], min(BASE[1] - low[1], high[2] - BASE[2]))
    assert feasible_amounts(DAY, np.array([1.0, 700.0, 739.0]))[0, 1] == 0
    with pytest.raises(ValueError, match="increasing percentiles"):
        feasible_amounts(DAY, BASE, low=95.0, high=5.0)


COMPOSED, LINES = fitted([TERM]), fitted([*isotemporal_terms(PARTS, omitted="sit")])
EYE = np.eye(3)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: reallocations(COMPOSED, TERM, EYE, BASE, [600.0], pairs=[("move", "sit")]), "so 600 cannot be taken"),
        (
            lambda: reallocations(COMPOSED, TERM, EYE, BASE, [BASE[2]], pairs=[("move", "sit")]),
            "cannot be taken from it",
        ),
        (lambda: pro_rata(COMPOSED, TERM, EYE, BASE, [-2000.0]), "sleep has .* 2000 cannot be taken"),
        (lambda: reallocations(COMPOSED, TERM, EYE, BASE, [0.0]), "finite and not 0"),
        (lambda: reallocations(COMPOSED, TERM, EYE, BASE, []), "finite and not 0"),
        (lambda: reallocations(COMPOSED, TERM, EYE, BASE, [5.0], pairs=[("sit", "sit")]), "two different parts"),
        (lambda: reallocations(COMPOSED, TERM, EYE, BASE, [5.0], pairs=[("sit", "run")]), "run is none of them"),
        (lambda: reallocations(COMPOSED, TERM, EYE, BASE[:2], [5.0]), "a value for each of sleep, sit, move"),
        (lambda: reallocations(COMPOSED, TERM, EYE, BASE * 0, [5.0]), "no logarithm"),
        (lambda: part_contrasts(LINES, TERM, EYE), "is not a term of this model"),
        (lambda: part_contrasts(fitted([TERM, Linear("sit")]), TERM, np.eye(4)), "stands in another term"),
        (lambda: isotemporal(LINES, PARTS, EYE, 0.0, omitted="sit"), "above 0 and finite"),
        (lambda: isotemporal(LINES, PARTS, EYE, 30.0, omitted="run"), "two or more different parts"),
        (lambda: isotemporal(LINES, PARTS, EYE, 30.0), "sit must enter the model through one linear term"),
        (lambda: isotemporal(LINES, PARTS, EYE, 30.0, omitted="sleep"), "one linear term"),
        (lambda: isotemporal(fitted([Linear(p) for p in PARTS]), PARTS, EYE, 30.0), "could not be estimated"),
        (
            lambda: isotemporal(fitted([Spline("move", (50.0, 100.0, 200.0)), Linear("sit")]), PARTS, np.eye(4), 30.0),
            "one linear term",
        ),
        (lambda: isotemporal_terms(PARTS, omitted="run"), "one of them omitted"),
        (lambda: isotemporal_terms(("sit", "sit"), omitted="sit"), "two or more different parts"),
    ],
)
def test_what_cannot_be_moved_is_a_sentence(call: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()


def test_an_omitted_part_that_is_in_the_model_is_refused() -> None:
    fit = fitted([*isotemporal_terms(PARTS, omitted="sit"), Linear("age")], {**DATA, "age": Y * 0 + np.arange(N)})
    with pytest.raises(ValueError, match="sleep is in the model"):
        isotemporal(fit, ("sleep", "move"), np.eye(4), 30.0, omitted="sleep")
