"""Two runs' estimates in pairs: what is matched, how far apart the two are, and what counts would give away."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from walkrisk.comparisons.stages import fits
from walkrisk.estimates.pairs import (
    CountPair,
    Pair,
    agreement,
    close,
    fitted_counts,
    gives_small,
    pair_counts,
    pair_estimates,
)
from walkrisk.estimates.results import Diagnostic, Results
from walkrisk.estimates.rows import Estimate


def ratio(estimate: float | None = 0.8, *, level: str = "Q2", variance: str = "HC0", **other: object) -> Estimate:
    row: dict[str, object] = {
        "analysis": "main", "exposure": "volume", "level": level, "reference": "Q1", "model": "crude",
        "estimand": "risk_ratio", "estimate": estimate, "method": "modified_poisson", "variance": variance,
    }  # fmt: skip
    return Estimate(**(row | other))  # type: ignore[arg-type]


def test_a_ratio_of_ratios_its_standard_error_and_z_by_hand() -> None:
    pair = Pair(a=ratio(0.8, std_error=0.3), b=ratio(1.0, std_error=0.4))
    assert pair.difference == pytest.approx(1.25)
    assert pair.log_difference == pytest.approx(math.log(1.25))
    assert pair.std_error == pytest.approx(0.5)  # a 3-4-5 triangle
    assert pair.z == pytest.approx(math.log(1.25) / 0.5)
    assert pair.size == pytest.approx(math.log(1.25))


def test_a_risk_difference_is_compared_by_its_difference() -> None:
    pair = Pair(
        a=ratio(-0.02, estimand="risk_difference", std_error=0.006),
        b=ratio(-0.01, estimand="risk_difference", std_error=0.008),
    )
    assert pair.difference == pytest.approx(0.01)
    assert pair.log_difference is None
    assert pair.z == pytest.approx(1.0)


def test_an_e_value_has_no_standard_error_of_its_difference() -> None:
    pair = Pair(a=ratio(2.0, estimand="e_value", std_error=0.1), b=ratio(3.0, estimand="e_value", std_error=0.1))
    assert pair.difference == 1.0
    assert pair.std_error is None
    assert pair.z is None


@pytest.mark.parametrize(
    ("a", "b", "overlap"),
    [
        ((0.5, 0.9), (0.8, 1.2), True),
        ((0.5, 0.9), (0.9, 1.2), True),
        ((0.5, 0.9), (0.91, 1.2), False),
        ((0.91, 1.2), (0.5, 0.9), False),
        ((0.5, 0.9), (None, None), None),
    ],
)
def test_limits_overlap(a: tuple[float, float], b: tuple[float | None, float | None], overlap: bool | None) -> None:
    pair = Pair(a=ratio(conf_low=a[0], conf_high=a[1]), b=ratio(conf_low=b[0], conf_high=b[1]))
    assert pair.limits_overlap is overlap


def test_a_ratio_that_one_side_cannot_estimate_has_no_difference_and_comes_first() -> None:
    pair = Pair(a=ratio(None), b=ratio(0.9))
    assert pair.difference is None
    assert pair.differs
    assert pair.size == math.inf


def test_last_digits_are_no_difference() -> None:
    assert close(0.8, 0.8 * (1 + 1e-12))
    assert not close(0.8, 0.8 * (1 + 1e-8))
    assert close(None, None)
    assert not close(None, 0.8)
    assert close(math.nan, math.nan)
    assert close(math.inf, math.inf)
    assert not Pair(a=ratio(0.8), b=ratio(0.8 + 1e-13)).differs


def test_rows_are_matched_by_their_whole_key_first() -> None:
    a = [ratio(0.8, variance="stata"), ratio(0.8, variance="HC0"), ratio(0.7, level="Q3")]
    b = [ratio(0.9, variance="HC0"), ratio(0.9, variance="stata"), ratio(0.7, level="Q4")]
    paired = pair_estimates(a, b)
    assert [(p.a.variance, p.b.variance, p.but_for) for p in paired.pairs] == [
        ("stata", "stata", ()),
        ("HC0", "HC0", ()),
    ]
    assert [e.level for e in paired.only_a] == ["Q3"]
    assert [e.level for e in paired.only_b] == ["Q4"]


def test_what_is_left_is_matched_without_the_variance_then_without_the_method() -> None:
    a = [ratio(), ratio(level="Q3", method="log_binomial", variance="model")]
    b = [ratio(variance="HC3"), ratio(level="Q3")]
    paired = pair_estimates(a, b)
    assert [(p.a.level, p.but_for) for p in paired.pairs] == [("Q2", ("variance",)), ("Q3", ("method", "variance"))]


def test_another_reference_is_no_counterpart() -> None:
    paired = pair_estimates([ratio()], [ratio(reference="Q4")])
    assert not paired.pairs
    assert (len(paired.only_a), len(paired.only_b)) == (1, 1)


def test_ratios_are_those_of_both_without_references_largest_first() -> None:
    a = [ratio(1.0, level="Q1"), ratio(0.8), ratio(0.8, level="Q3"), ratio(None, level="Q4")]
    b = [ratio(1.0, level="Q1"), ratio(0.9), ratio(0.4, level="Q3"), ratio(0.5, level="Q4")]
    assert [p.a.level for p in pair_estimates(a, b).ratios] == ["Q3", "Q2"]


def test_limits_of_agreement_by_hand() -> None:
    logs = (0.0, 0.1, 0.2)  # mean 0.1, SD 0.1
    found = agreement(Pair(a=ratio(1.0), b=ratio(math.exp(x))) for x in logs)
    assert found is not None
    assert found.n == 3
    assert math.log(found.mean) == pytest.approx(0.1)
    assert found.low is not None
    assert math.log(found.low) == pytest.approx(0.1 - 1.96 * 0.1)
    assert found.high is not None
    assert math.log(found.high) == pytest.approx(0.1 + 1.96 * 0.1)
    assert agreement([]) is None
    two = agreement([Pair(a=ratio(1.0), b=ratio(2.0)), Pair(a=ratio(1.0), b=ratio(2.0))])
    assert two is not None
    assert two.low is None


# ---------------------------------------------------------------- counts


def counts(*cells: tuple[str, int | None, int | None]) -> list[Estimate]:
    return [ratio(level=level, n=n, events=events) for level, n, events in cells]


def test_counts_are_paired_by_category_once() -> None:
    a = counts(("Q1", 100, 20), ("Q2", 90, None)) + counts(("Q1", 100, 20))
    b = counts(("Q1", 110, 20), ("Q2", 90, 30), ("Q3", 50, 10))
    pairs = pair_counts(a, b)
    assert [(p.place[-1], p.what, p.a, p.b) for p in pairs] == [
        ("Q1", "n", 100, 110), ("Q1", "events", 20, 20), ("Q2", "n", 90, 90), ("Q2", "events", None, 30),
    ]  # fmt: skip
    assert [p.differs for p in pairs] == [True, False, False, False]
    assert [p.unknown for p in pairs] == [False, False, False, True]


@pytest.mark.parametrize(
    ("a", "b", "small"),
    [
        (("Q1", 100, 20), ("Q1", 100, 20), False),
        (("Q1", 100, 20), ("Q1", 110, 30), False),  # ten more, all of them events
        (("Q1", 100, 20), ("Q1", 103, 23), True),  # three more people
        (("Q1", 100, 20), ("Q1", 110, 24), True),  # four more events
        (("Q1", 100, 20), ("Q1", 110, 27), True),  # three more without event
        (("Q1", 100, 3), ("Q1", 100, 3), True),  # small in itself, without any difference
        (("Q1", 100, None), ("Q1", 110, 24), False),  # one side does not show it
    ],
)
def test_a_difference_of_counts_that_is_a_small_count(
    a: tuple[str, int, int | None], b: tuple[str, int, int | None], small: bool
) -> None:
    assert gives_small(pair_counts(counts(a), counts(b)), min_cell=5) is small
    assert not gives_small(pair_counts(counts(a), counts(b)), min_cell=0)


def test_a_small_difference_of_all_categories_together_is_found() -> None:
    a = counts(("Q1", 100, 20), ("Q2", 100, 20))
    b = counts(("Q1", 110, 30), ("Q2", 93, 13))  # three people more, all events
    assert gives_small(pair_counts(a, b), min_cell=5)
    assert not gives_small(pair_counts(a, counts(("Q1", 110, 30), ("Q2", 90, 10))), min_cell=5)
    without_event = counts(("Q1", 120, 25), ("Q2", 94, 26))  # 14 people more, 11 of them events
    assert gives_small(pair_counts(a, without_event), min_cell=5)


def test_what_is_not_shown_is_taken_together_where_the_whole_is_told() -> None:
    a = counts(("Q1", 100, 20), ("Q2", None, None), ("Q3", None, None))
    b = counts(("Q1", 110, 30), ("Q2", None, None), ("Q3", None, None))
    block = ("main", "volume", "")
    pairs = pair_counts(a, b)
    assert not gives_small(pairs, min_cell=5)
    assert not gives_small(pairs, min_cell=5, totals=({block: (300, 60)}, {block: (310, 70)}))
    assert gives_small(pairs, min_cell=5, totals=({block: (300, 60)}, {block: (312, 70)}))  # two people more in Q2, Q3
    assert gives_small(pairs, min_cell=5, totals=({block: (300, 60)}, {block: (310, 67)}))
    assert not gives_small(pairs, min_cell=5, totals=({block: (300, 60)}, {}))


def test_the_size_of_a_block_is_that_of_its_fits() -> None:
    fit = Diagnostic(
        analysis="main", exposure="volume", stratum="", model="crude", method="", n=300, events=60, parameters=4,
        converged=True, iterations=3, boundary=False, max_fitted_risk=None, log_likelihood=None, warnings="",
    )  # fmt: skip
    hidden = replace(fit, n=None, events=None)
    assert fitted_counts([hidden, fit, replace(fit, n=299)]) == {("main", "volume", ""): (300, 60)}
    assert fitted_counts([hidden]) == {}


def test_the_fits_that_differ_are_counted_in_words() -> None:
    fit = Diagnostic(
        analysis="main", exposure="volume", stratum="", model="crude", method="", n=300, events=60, parameters=4,
        converged=True, iterations=3, boundary=False, max_fitted_risk=None, log_likelihood=None, warnings="",
    )  # fmt: skip
    none = Results(estimates=(), curves=(), flow=(), cutpoints=(), characteristics=(), diagnostics=(), histograms=())
    two = replace(none, diagnostics=(fit, replace(fit, model="adjusted")))
    other = replace(none, diagnostics=(fit, replace(fit, model="adjusted", parameters=5)))
    assert fits(two, other).words == ("Of 2 fits, 1 differs in the number of parameters.",)
    assert fits(two, two).words == ("The same 2 fits.",)


def test_a_count_pair_says_whether_it_is_known() -> None:
    assert CountPair(place=("flow", "x"), what="n_after", a=None, b=3).unknown
    assert not CountPair(place=("flow", "x"), what="n_after", a=None, b=3).differs
