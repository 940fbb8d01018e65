"""Joint effects, additive and multiplicative interaction: by hand, by numeric derivatives, by simulation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.estimates.additive_interaction import (
    additive_interaction,
    lowest_risk,
    measures,
    percentile_limits,
    replicated_measures,
    replicated_ratios,
    with_recoding,
)
from walkrisk.estimates.interaction import (
    equality_of_strata,
    joint_table,
    joint_wald,
    likelihood_ratio,
    multiplicative_interaction,
    stratum_effects,
    wald,
)
from walkrisk.estimates.joint_effects import (
    JointEffects,
    joint_counts,
    joint_effects,
    joint_effects_of_factor,
    joint_effects_of_risks,
)
from walkrisk.estimates.rows import Estimate, two_sided_p
from walkrisk.models.case_duplication import case_duplication
from walkrisk.models.covariance import covariance
from walkrisk.models.design import Factor, Linear, Power, Product, Spline, Term, build_design, factor
from walkrisk.models.fit import Fit, fit_model

FloatArray = npt.NDArray[np.float64]
V = np.array([[0.04, 0.01, 0.03], [0.01, 0.05, 0.02], [0.03, 0.02, 0.06]])


def people(cells: dict[tuple[int, int], tuple[int, int]]) -> tuple[dict[str, FloatArray], FloatArray]:
    """Columns a and b and outcomes of cells (a, b): (events, people)."""
    a, b, y = [], [], []
    for (i, j), (events, n) in cells.items():
        a += [float(i)] * n
        b += [float(j)] * n
        y += [1.0] * events + [0.0] * (n - events)
    return {"a": np.array(a), "b": np.array(b)}, np.array(y)


def saturated(
    cells: dict[tuple[int, int], tuple[int, int]], method: str = "modified_poisson"
) -> tuple[Fit, Factor, Factor]:
    columns, y = people(cells)
    a, b = factor("a", columns["a"]), factor("b", columns["b"])
    return fit_model(method, build_design(columns, [a, b, Product(a, b)], len(y)), y), a, b


CELLS = {(0, 0): (10, 100), (1, 0): (20, 100), (0, 1): (15, 100), (1, 1): (45, 100)}


def test_risks_of_four_cells_by_hand() -> None:
    fit, a, b = saturated(CELLS)
    joint = joint_effects(fit, a, b, covariance(fit, "HC0"))
    (found,) = additive_interaction(joint)
    assert [r.estimate for r in found.ratios] == pytest.approx([2.0, 1.5, 4.5])
    assert found.reri["delta"].estimate == pytest.approx(2.0)
    assert found.ap["delta"].estimate == pytest.approx(2 / 4.5)
    assert found.synergy["delta"].estimate == pytest.approx(3.5 / 1.5)
    spread = {cell: (1 - e / n) / e for cell, (e, n) in CELLS.items()}
    v11 = spread[1, 1] + spread[0, 0]
    assert found.ratios[2].std_error == pytest.approx(math.sqrt(v11))
    slopes = np.array([-2.0, -1.5, 4.5])
    v = np.full((3, 3), spread[0, 0]) + np.diag([spread[1, 0], spread[0, 1], spread[1, 1]])
    assert found.reri["delta"].std_error == pytest.approx(math.sqrt(slopes @ v @ slopes))
    assert found.sentences == ()
    (product,) = multiplicative_interaction(joint)
    assert product.interval.estimate == pytest.approx(1.5)
    assert product.interval.std_error == pytest.approx(math.sqrt(sum(spread.values())))


def numeric_slope(function: Any, at: FloatArray) -> FloatArray:
    h = 1e-6
    return np.array([(function(at + h * e) - function(at - h * e)) / (2 * h) for e in np.eye(3)])


def test_delta_limits_have_the_numeric_slopes() -> None:
    theta = np.log([2.2, 1.6, 5.0])
    found = measures(theta, V)
    functions: dict[str, Callable[[FloatArray], float]] = {
        "reri": lambda t: np.exp(t[2]) - np.exp(t[0]) - np.exp(t[1]) + 1,
        "ap": lambda t: (np.exp(t[2]) - np.exp(t[0]) - np.exp(t[1]) + 1) / np.exp(t[2]),
        "synergy": lambda t: np.log((np.exp(t[2]) - 1) / (np.exp(t[0]) + np.exp(t[1]) - 2)),
    }
    for name, function in functions.items():
        g = numeric_slope(function, theta)
        interval = getattr(found, name)["delta"]
        assert interval.std_error == pytest.approx(math.sqrt(g @ V @ g), rel=1e-6)
        z = function(theta) / math.sqrt(g @ V @ g)
        assert interval.p_value == pytest.approx(two_sided_p(z), rel=1e-6)


def test_p_values_are_two_sided_and_symmetric() -> None:
    """One peer halves the P value of RERI and takes the log-normal tail of S."""
    theta = np.log([2.0, 2.0, 3.0 - 1e-12])
    assert measures(theta, V).reri["delta"].p_value == pytest.approx(1.0, abs=1e-6)
    for r11 in (2.0, 4.0):
        p = measures(np.log([2.0, 2.0, r11]), V * 0.1).reri["delta"].p_value
        assert p is not None
        assert 1e-9 < p < 0.05
    s = measures(np.log([2.0, 2.0, 6.0]), V).synergy["delta"]
    assert s.estimate is not None
    assert s.std_error is not None
    assert s.low is not None
    assert s.p_value == pytest.approx(two_sided_p(math.log(s.estimate) / s.std_error))
    assert s.low == pytest.approx(math.exp(math.log(s.estimate) - 1.959963984540054 * s.std_error))


def test_mover_without_correlation_and_nearly_normal_is_delta() -> None:
    found = measures(np.log([2.0, 1.5, 4.0]), V * 1e-6)
    for mine in (found.reri, found.ap):
        for limit in ("low", "high"):
            assert getattr(mine["mover"], limit) == pytest.approx(getattr(mine["delta"], limit), abs=2e-5)
    z, theta, v = 1.959963984540054, np.log([2.0, 1.5, 4.0]), np.diag([0.04, 0.05, 0.06])
    down, up = (
        np.exp(theta) - np.exp(theta - z * np.sqrt(np.diag(v))),
        np.exp(theta + z * np.sqrt(np.diag(v))) - np.exp(theta),
    )
    assert measures(theta, v).reri["mover"].low == pytest.approx(
        1.5 - math.sqrt(down[2] ** 2 + up[0] ** 2 + up[1] ** 2)
    )
    assert measures(theta, v).reri["mover"].high == pytest.approx(
        1.5 + math.sqrt(up[2] ** 2 + down[0] ** 2 + down[1] ** 2)
    )


def test_coverage_of_the_limits() -> None:
    rng = np.random.default_rng(4)
    risks = {(0, 0): 0.1, (1, 0): 0.18, (0, 1): 0.15, (1, 1): 0.35}
    truth, n, runs = (0.35 - 0.18 - 0.15 + 0.1) / 0.1, 300, 1500
    inside = {"delta": 0, "mover": 0}
    for _ in range(runs):
        events = {cell: rng.binomial(n, p) for cell, p in risks.items()}
        spread = {cell: (1 - e / n) / e for cell, e in events.items()}
        theta = np.log([events[c] / events[0, 0] for c in ((1, 0), (0, 1), (1, 1))])
        v = np.full((3, 3), spread[0, 0]) + np.diag([spread[1, 0], spread[0, 1], spread[1, 1]])
        found = measures(theta, v)
        for name in inside:
            interval = found.reri[name]
            inside[name] += (interval.low or 0) < truth < (interval.high or 0)
    for name, count in inside.items():
        assert 0.935 < count / runs < 0.97, name


def three_by_three(seed: int = 3) -> tuple[dict[str, FloatArray], FloatArray]:
    rng = np.random.default_rng(seed)
    n = 3000
    columns = {k: rng.integers(0, 3, n).astype(np.float64) for k in ("a", "b")} | {"z": rng.normal(size=n)}
    eta = -2.2 + 0.2 * columns["a"] + 0.25 * columns["b"] + 0.1 * columns["a"] * columns["b"] + 0.1 * columns["z"]
    return columns, (rng.random(n) < np.exp(eta)).astype(np.float64)


def test_product_terms_and_joint_levels_say_the_same() -> None:
    columns, y = three_by_three()
    a, b = factor("a", columns["a"], {0: "low", 1: "mid", 2: "high"}), factor("b", columns["b"])
    fit = fit_model("modified_poisson", build_design(columns, [a, b, Linear("z"), Product(a, b)], len(y)), y)
    n, events = joint_counts(columns["a"], columns["b"], y, first_levels=a.levels, second_levels=b.levels)
    one = joint_effects(fit, a, b, covariance(fit, "HC3"), n=n, events=events)
    columns["ab"] = columns["a"] * 10 + columns["b"]
    ab = factor("ab", columns["ab"])
    other = fit_model("modified_poisson", build_design(columns, [ab, Linear("z")], len(y)), y)
    two = joint_effects_of_factor(
        other,
        ab,
        covariance(other, "HC3"),
        cells=[[10 * i + j for j in range(3)] for i in range(3)],
        first="a",
        second="b",
        first_labels=a.labels,
        second_labels=b.labels,
    )
    np.testing.assert_allclose(one.value, two.value, atol=1e-9)
    np.testing.assert_allclose(one.covariance, two.covariance, atol=1e-9)
    pairs = additive_interaction(one)
    assert [(p.first_level, p.second_level) for p in pairs] == [
        ("mid", "1"),
        ("mid", "2"),
        ("high", "1"),
        ("high", "2"),
    ]
    for p, q in zip(pairs, additive_interaction(two), strict=True):
        assert p.reri["mover"].high == pytest.approx(q.reri["mover"].high, rel=1e-8)
    r = np.exp(one.value)
    assert pairs[3].reri["delta"].estimate == pytest.approx(r[2, 2] - r[2, 0] - r[0, 2] + 1)
    rows = joint_table(one)
    assert rows[0].interval.estimate == 1.0
    assert rows[0].interval.low is None
    assert sum(row.n or 0 for row in rows) == len(y)
    assert sum(row.events or 0 for row in rows) == y.sum()
    within = {(row.first_level, row.second_level): row.interval for row in stratum_effects(one, of="second")}
    assert within["high", "2"].estimate == pytest.approx(r[2, 2] / r[2, 0])
    contrast = np.zeros(9)
    contrast[[8, 6]] = 1.0, -1.0
    assert within["high", "2"].std_error == pytest.approx(math.sqrt(contrast @ one.covariance @ contrast))
    product = Product(a, b)
    (row,) = wald(fit, product, {"HC3": covariance(fit, "HC3")}, row=Estimate(analysis="i", estimand="p_interaction"))
    test = joint_wald(one)
    assert test.statistic == pytest.approx(row.estimate)
    assert test.df == 4
    assert test.p_value == pytest.approx(row.p_value)


def test_an_empty_joint_level_and_one_without_cases() -> None:
    cells = {
        (0, 0): (10, 100), (0, 1): (15, 100), (0, 2): (12, 100),
        (1, 0): (20, 100), (1, 1): (0, 30), (1, 2): (30, 90),
    }  # fmt: skip
    for lacking in ({(1, 1)}, set[tuple[int, int]]()):
        fit, a, b = saturated({k: v for k, v in cells.items() if k not in lacking})
        joint = joint_effects(fit, a, b, covariance(fit, "HC0"))
        assert "Not estimable" in joint.sentences[0]
        assert "1 with 1" in joint.sentences[0]
        first, second = additive_interaction(joint)
        assert first.reri["delta"].estimate is None
        assert first.synergy["delta"].estimate is None
        assert "1/1" in first.sentences[0]
        assert second.reri["delta"].estimate == pytest.approx(30 / 90 / 0.1 - 2.0 - 1.2 + 1)
        table = {(r.first_level, r.second_level): r.interval for r in joint_table(joint)}
        assert table["1", "1"].estimate is None
        assert table["1", "2"].estimate == pytest.approx(30 / 9)
        assert joint_wald(joint).df == 1


def test_main_level_without_cases_alone_still_has_its_joint_ratio() -> None:
    """b = 1 has cases only with a = 1: the coefficients of b and of the product are not apart, their sum is."""
    fit, a, b = saturated({(0, 0): (10, 100), (1, 0): (20, 100), (0, 1): (0, 80), (1, 1): (45, 100)})
    joint = joint_effects(fit, a, b, covariance(fit, "HC0"))
    table = {(r.first_level, r.second_level): r.interval for r in joint_table(joint)}
    assert table["1", "1"].estimate == pytest.approx(4.5)
    assert table["1", "1"].std_error == pytest.approx(math.sqrt(0.55 / 45 + 0.9 / 10))
    assert table["0", "1"].estimate is None
    assert additive_interaction(joint)[0].reri["delta"].estimate is None


def test_a_reference_without_cases() -> None:
    fit, a, b = saturated({(0, 0): (0, 100), (1, 0): (20, 100), (0, 1): (15, 80), (1, 1): (45, 100)})
    joint = joint_effects(fit, a, b, covariance(fit, "HC0"))
    assert "joint reference" in joint.sentences[0]
    assert additive_interaction(joint)[0].reri["delta"].estimate is None
    within = {(r.first_level, r.second_level): r.interval for r in stratum_effects(joint, of="first")}
    assert within["1", "1"].estimate == pytest.approx(0.45 / (15 / 80))
    assert within["1", "0"].estimate is None


def test_preventive_exposures_are_recoded_beside_the_declared() -> None:
    cells = {(0, 0): (40, 100), (1, 0): (20, 100), (0, 1): (30, 100), (1, 1): (10, 100)}
    fit, a, b = saturated(cells)
    joint = joint_effects(fit, a, b, covariance(fit, "HC0"))
    made = with_recoding(joint)
    assert lowest_risk(joint) == (1, 1)
    assert made.declared[0].preventive
    assert made.recoded is not None
    assert made.recoded_reference == "1/1"
    assert "against 0/0" in made.sentence
    assert "1/1" in made.sentence
    assert "preventive" not in made.sentence, "each measure says that itself"
    (recoded,) = made.recoded
    assert (recoded.first_level, recoded.second_level, recoded.reference) == ("0", "0", "1/1")
    assert [r.estimate for r in recoded.ratios] == pytest.approx([3.0, 2.0, 4.0])
    assert recoded.reri["delta"].estimate == pytest.approx(0.0, abs=1e-9)
    assert recoded.synergy["delta"].estimate == pytest.approx(1.0)
    assert not recoded.preventive
    flipped, y = people({(1 - i, 1 - j): v for (i, j), v in cells.items()})
    c, d = factor("a", flipped["a"]), factor("b", flipped["b"])
    refit = fit_model("modified_poisson", build_design(flipped, [c, d, Product(c, d)], len(y)), y)
    (by_hand,) = additive_interaction(joint_effects(refit, c, d, covariance(refit, "HC0")))
    assert by_hand.ap["delta"].low == pytest.approx(recoded.ap["delta"].low)
    harmful, e, f = saturated(CELLS)
    plain = with_recoding(joint_effects(harmful, e, f, covariance(harmful, "HC0")))
    assert plain.recoded is None
    assert plain.sentence == ""


def test_an_undefined_synergy_index_is_said() -> None:
    for ratios, word in (
        ((1.5, 0.4, 1.3), "differ in sign"),
        ((1.5, 0.5, 2.0), "excess risk is 0"),
        ((2.0, 2.0, 1.0), "excess risk is 0"),
    ):
        found = measures(np.log(ratios), V)
        assert found.synergy["delta"].estimate is None
        assert any(word in s for s in found.sentences)
        assert found.reri["delta"].estimate is not None
    both = measures(np.log([0.8, 0.7, 0.4]), V)
    assert both.synergy["delta"].estimate == pytest.approx(0.6 / 0.5)
    assert any("negative" in s for s in both.sentences)


def test_odds_ratios_are_said_to_stand_for_risk_ratios() -> None:
    fit, a, b = saturated(CELLS, "logistic")
    (found,) = additive_interaction(joint_effects(fit, a, b, covariance(fit, "model")))
    assert "Odds ratios" in found.sentences[0]
    doubled = saturated(CELLS)
    columns, y = people(CELLS)
    design = build_design(columns, [doubled[1], doubled[2], Product(doubled[1], doubled[2])], len(y))
    twice = case_duplication(design, y)
    joint = joint_effects(twice, doubled[1], doubled[2], covariance(twice, "HC0"))
    assert additive_interaction(joint)[0].reri["delta"].estimate == pytest.approx(2.0)
    assert additive_interaction(joint)[0].sentences == ()


def test_risk_differences_have_an_interaction_contrast() -> None:
    for method in ("identity_binomial", "linear"):
        fit, a, b = saturated(CELLS, method)
        joint = joint_effects(fit, a, b, covariance(fit, "HC0"))
        (contrast,) = multiplicative_interaction(joint)
        assert contrast.interval.estimate == pytest.approx(0.45 - 0.2 - 0.15 + 0.1)
        spread = sum(e / n * (1 - e / n) / n for e, n in CELLS.values())
        assert contrast.interval.std_error == pytest.approx(math.sqrt(spread))
        assert joint_table(joint)[0].interval.estimate == 0.0
        with pytest.raises(ValueError, match="interaction contrast"):
            additive_interaction(joint)


def test_standardised_risks() -> None:
    risks = np.array([[0.1, 0.15], [0.2, 0.45]])
    v = np.diag([e / n * (1 - e / n) / n for e, n in (CELLS[0, 0], CELLS[0, 1], CELLS[1, 0], CELLS[1, 1])])
    names: dict[str, Any] = {
        "first": "a", "second": "b", "first_labels": ("0", "1"), "second_labels": ("0", "1"),
    }  # fmt: skip
    log = joint_effects_of_risks(risks, v, scale="log", **names)
    fit, a, b = saturated(CELLS)
    (one,), (two,) = additive_interaction(log), additive_interaction(joint_effects(fit, a, b, covariance(fit, "HC0")))
    assert one.reri["delta"].low == pytest.approx(two.reri["delta"].low)
    (contrast,) = multiplicative_interaction(joint_effects_of_risks(risks, v, scale="identity", **names))
    assert contrast.interval.estimate == pytest.approx(0.2)
    empty = joint_effects_of_risks(np.array([[0.1, 0.0], [0.2, 0.45]]), v, scale="log", **names)
    assert additive_interaction(empty)[0].reri["delta"].estimate is None
    assert joint_table(empty)[3].interval.estimate == pytest.approx(4.5)
    with pytest.raises(ValueError, match="identity scale"):
        joint_effects_of_risks(risks, v, scale="logit", **names)


def test_continuous_exposures_compare_two_values() -> None:
    """Linear terms with a product: RERI of x from 1 to 3 and z from 0 to 2 by the formula, and through a spline too."""
    rng = np.random.default_rng(6)
    columns = {"x": rng.uniform(0, 4, 2000), "z": rng.uniform(0, 3, 2000)}
    eta = -2.5 + 0.15 * columns["x"] + 0.1 * columns["z"] + 0.05 * columns["x"] * columns["z"]
    y = (rng.random(2000) < np.exp(eta)).astype(np.float64)
    x, z = Linear("x"), Linear("z")
    fit = fit_model("modified_poisson", build_design(columns, [x, z, Product(x, z)], 2000), y)
    joint = joint_effects(fit, x, z, covariance(fit, "HC0"), first_values=(1, 3), second_values=(0, 2))
    (found,) = additive_interaction(joint)
    b1, b2, b3 = fit.coefficients[1:]
    r10, r01 = math.exp(2 * b1), math.exp(2 * b2 + 2 * b3)
    r11 = math.exp(2 * b1 + 2 * b2 + 6 * b3)
    assert found.reri["delta"].estimate == pytest.approx(r11 - r10 - r01 + 1)
    assert (found.first_level, found.reference) == ("3", "1/0")
    spline = Spline("x", (0.5, 2.0, 3.5))
    terms: list[Term] = [spline, z, Power("z", 2.0), Product(spline, z)]
    curved = fit_model("modified_poisson", build_design(columns, terms, 2000), y)
    bent = joint_effects(curved, spline, z, covariance(curved, "HC0"), first_values=(1, 3), second_values=(0, 2))
    low, high = (
        build_design({"x": np.array([i]), "z": np.array([j])}, terms, 1).matrix[0] for i, j in ((1.0, 0.0), (3.0, 2.0))
    )
    assert bent.value[1, 1] == pytest.approx(float((high - low) @ curved.coefficients))


def test_replicates_of_coefficients() -> None:
    fit, a, b = saturated(CELLS)
    v = covariance(fit, "HC0")
    joint = joint_effects(fit, a, b, v)
    (found,) = additive_interaction(joint)
    draws = np.random.default_rng(8).multivariate_normal(fit.coefficients, v, 4000)
    ratios = replicated_ratios(joint, draws, (1, 1))
    np.testing.assert_allclose(np.cov(ratios.T), joint.estimate([
        c for c in (joint.contrast([k], [(0, 0)]) for k in ((1, 0), (0, 1), (1, 1))) if c is not None
    ])[1], rtol=0.12)  # fmt: skip
    made = replicated_measures(ratios)
    estimates = [m["delta"].estimate for m in (found.reri, found.ap, found.synergy)]
    limits, said = percentile_limits(made, estimates)
    assert limits["reri"].estimate == pytest.approx(2.0)
    assert limits["reri"].low == pytest.approx(np.nanquantile(made[:, 0], 0.025))
    lost = int(np.isnan(made[:, 2]).sum())
    assert (lost > 0) == any("synergy" in s for s in said)
    made[:400, 1] = np.nan
    limits, said = percentile_limits(made, estimates)
    assert limits["ap"].low is None
    assert any("400 of 4000 bootstrap replicates have no ap" in s for s in said)


def test_strata_of_separate_fits() -> None:
    test, z = equality_of_strata([0.8, 0.5], [0.05, 0.03])
    assert z == pytest.approx(-0.3 / math.sqrt(0.08))
    assert test.statistic == pytest.approx((0.3**2) / 0.08)
    assert test.p_value == pytest.approx(two_sided_p(z or 0))
    three, none = equality_of_strata([np.array([0.1, 0.2])] * 3, [np.diag([0.1, 0.2])] * 3)
    assert three.statistic == pytest.approx(0.0)
    assert (three.df, none) == (4, None)
    for estimates, variances, word in (
        ([0.1], [0.2], "at least two"),
        ([0.1, math.nan], [0.2, 0.1], "could not"),
        ([0.1, 0.2], [0.2, 0.0], "could not"),
        ([np.array([0.1, 0.2]), np.array([0.1])], [np.eye(2), np.eye(1)], "same ratios"),
    ):
        with pytest.raises(ValueError, match=word):
            equality_of_strata(estimates, variances)


def test_no_test_of_what_has_no_likelihood_or_no_inverse() -> None:
    columns, y = people(CELLS)
    a, b = factor("a", columns["a"]), factor("b", columns["b"])
    row = Estimate(analysis="i", estimand="p_interaction")
    plain, full = build_design(columns, [a, b], len(y)), build_design(columns, [a, b, Product(a, b)], len(y))
    fits = [fit_model("modified_poisson", d, y) for d in (plain, full)]
    assert likelihood_ratio(fits[0], fits[1], row=row).p_value is not None
    twice = [case_duplication(d, y) for d in (plain, full)]
    assert likelihood_ratio(twice[0], twice[1], row=row).estimate is None
    with pytest.raises(ValueError, match="same people"):
        likelihood_ratio(twice[0], fits[1], row=row)
    (none,) = wald(fits[1], Product(a, b), {"HC0": np.zeros((4, 4))}, row=row)
    assert none.estimate is None
    assert joint_wald(joint_effects(fits[1], a, b, np.zeros((4, 4)))).statistic is None


def test_a_boundary_fit_has_points_without_limits() -> None:
    fit, a, b = saturated(CELLS)
    joint = joint_effects(fit, a, b, np.full((4, 4), np.nan))
    (found,) = additive_interaction(joint)
    assert found.reri["delta"].estimate == pytest.approx(2.0)
    assert found.reri["delta"].low is None
    assert found.ratios[0].low is None
    assert any("bootstrap" in s for s in found.sentences)
    assert joint_table(joint)[1].interval.estimate == pytest.approx(1.5)
    assert joint_table(joint)[1].interval.low is None


def test_a_fit_that_did_not_converge_gives_nothing() -> None:
    fit, a, b = saturated(CELLS)
    joint: JointEffects = joint_effects(replace(fit, converged=False), a, b, covariance(fit, "HC0"))
    assert joint.sentences == ("The model did not converge.",)
    assert additive_interaction(joint)[0].reri["delta"].estimate is None
    assert all(r.interval.estimate is None for r in joint_table(joint)[1:])


def test_misuse() -> None:
    columns, y = three_by_three()
    a, b, z = factor("a", columns["a"]), factor("b", columns["b"]), Linear("z")
    fit = fit_model("modified_poisson", build_design(columns, [a, b, z, Product(a, b), Product(a, z)], len(y)), y)
    v = covariance(fit, "HC0")
    for first, second, word in (
        (a, b, "products of these exposures with 'z'"),
        (a, a, "itself"),
        (b, Product(a, b), "not a product"),
    ):
        with pytest.raises(ValueError, match=word):
            joint_effects(fit, first, second, v)
    plain = fit_model("modified_poisson", build_design(columns, [a, b, z], len(y)), y)
    with pytest.raises(ValueError, match="no main term"):
        joint_effects(plain, b, factor("c", columns["b"]), covariance(plain, "HC0"))
    with pytest.raises(ValueError, match="at least two finite values"):
        joint_effects(plain, a, z, covariance(plain, "HC0"))
    with pytest.raises(ValueError, match="at least two finite values"):
        joint_effects(plain, a, z, covariance(plain, "HC0"), second_values=(0.0, math.inf))
    with pytest.raises(ValueError, match="first' or the 'second"):
        stratum_effects(joint_effects(plain, a, b, covariance(plain, "HC0")), of="third")
    with pytest.raises(ValueError, match="three finite"):
        measures(np.array([0.1, math.nan, 0.2]), V)
    with pytest.raises(ValueError, match="level"):
        additive_interaction(joint_effects(plain, a, b, covariance(plain, "HC0")), conf_level=0)


def test_additivity_without_a_product_is_extrapolated_and_said() -> None:
    cells = {(0, 0): (10, 100), (1, 0): (20, 100), (0, 1): (15, 100)}
    columns, y = people(cells)
    a, b = factor("a", columns["a"]), factor("b", columns["b"])
    fit = fit_model("modified_poisson", build_design(columns, [a, b], len(y)), y)
    n, events = joint_counts(columns["a"], columns["b"], y, first_levels=a.levels, second_levels=b.levels)
    joint = joint_effects(fit, a, b, covariance(fit, "HC0"), n=n, events=events)
    assert "extrapolation" in joint.sentences[0]
