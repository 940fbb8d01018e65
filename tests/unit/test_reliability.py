"""Reliability of a few days: closed forms, and a simulation with known components."""

from __future__ import annotations

import math

import numpy as np
import pytest

from walkrisk.sensitivity.reliability import person_days, ratio_days, reliability, variance_components

NAN = math.nan


def days_of(n: int, rng: np.random.Generator, *, between: float, within: float) -> np.ndarray:
    values = 100 + math.sqrt(between) * rng.standard_normal((n, 1)) + math.sqrt(within) * rng.standard_normal((n, 7))
    values[np.arange(7) >= rng.integers(1, 8, (n, 1))] = NAN
    return values


def test_two_persons_with_two_days_by_hand() -> None:
    persons = person_days(np.array([[1.0, 3.0, NAN], [NAN, 7.0, 9.0]]))
    assert persons.mean.tolist() == [2, 8]
    assert persons.squares.tolist() == [2, 2]
    found = variance_components(persons)
    # MSW = 4 / 2 = 2, MSB = 2 (9 + 9) / 1 = 36, n0 = 2
    assert (found.within, found.between) == (2, 17)
    assert found.reliability(1) == 17 / 19
    assert found.study == found.reliability(2) == 17 / 18
    assert found.days_for(0.8) == pytest.approx(4 * 2 / 17)
    assert (found.persons, found.days, found.mean_inverse) == (2, 4, 0.5)


def test_reml_is_anova_with_equal_days() -> None:
    values = days_of(50, np.random.default_rng(1), between=4.0, within=9.0)
    values = np.where(np.isnan(values), 99.0, values)
    persons = person_days(values)
    anova, reml = variance_components(persons), variance_components(persons, method="reml")
    assert (reml.between, reml.within) == pytest.approx((anova.between, anova.within), rel=1e-6)


def test_persons_who_do_not_differ() -> None:
    persons = person_days(np.array([[1.0, 9.0], [2.0, 8.0], [0.0, 10.0]]))
    for method in ("anova", "reml"):
        found = variance_components(persons, method=method)  # type: ignore[arg-type]
        assert found.between == 0
        assert found.negative
        assert found.days_for(0.8) == math.inf


def test_limits_move_with_the_days_as_spearman_and_brown_say() -> None:
    found = reliability(person_days(days_of(300, np.random.default_rng(2), between=4.0, within=9.0)))
    r, low, high = found.of_days(1)
    assert low < r < high
    for k in (3, 7):
        assert found.of_days(k) == pytest.approx([k * v / (1 + (k - 1) * v) for v in (r, low, high)])
    needed = found.days_for(0.8)
    assert needed == pytest.approx([4 * (1 - v) / v for v in (r, high, low)])
    assert found.components.reliability(needed[0]) == pytest.approx(0.8)


@pytest.mark.parametrize("limits", ["exact", "bootstrap"])
def test_known_components_are_recovered_and_covered(limits: str) -> None:
    rng, truth = np.random.default_rng(3), 4 / 13
    found = [
        reliability(
            person_days(days_of(150, rng, between=4.0, within=9.0)),
            limits=limits,
            replicates=400,
            seed=i,  # type: ignore[arg-type]
        )
        for i in range(200)
    ]
    values = np.array([f.of_days(1)[0] for f in found])
    assert abs(values.mean() - truth) < 4 * values.std() / math.sqrt(200)
    covered = np.mean([f.one_day[0] <= truth <= f.one_day[1] for f in found])
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 200)


def test_days_of_a_ratio_of_means() -> None:
    rng = np.random.default_rng(4)
    total = rng.uniform(2, 6, (40, 7))
    part = total * (3 + 0.3 * rng.standard_normal((40, 7)))
    total[:5, 3:] = NAN
    values = ratio_days(part, total)
    ratio = np.nansum(np.where(np.isnan(total), NAN, part), axis=1) / np.nansum(total, axis=1)
    np.testing.assert_allclose(np.nanmean(values, axis=1), ratio, rtol=1e-12)
    i, known = 0, ~np.isnan(total[0])
    p, t, k = part[i, known], total[i, known], 3
    delta = np.sum((p - ratio[i] * t) ** 2) / (k - 1) / k / t.mean() ** 2  # Cochran's variance of a ratio
    assert np.nanvar(values[i], ddof=1) / k == pytest.approx(delta, rel=1e-12)
    others = np.array([(p.sum() - p[j]) / (t.sum() - t[j]) for j in range(k)])
    pseudo = ratio_days(part, total, jackknife=True)
    np.testing.assert_allclose(pseudo[i, known], k * ratio[i] - (k - 1) * others, rtol=1e-12)
    assert np.isnan(pseudo[i, ~known]).all()
    assert np.nanmean(values - pseudo) == pytest.approx(0, abs=0.01)


def test_a_day_or_a_person_without_total_has_no_ratio() -> None:
    values = ratio_days(np.array([[1.0, 0.0], [2.0, NAN]]), np.array([[0.0, 0.0], [1.0, 3.0]]))
    assert np.isnan(values[0]).all()
    assert values[1, 0] == 2
    assert np.isnan(values[1, 1])


def test_what_cannot_be_done_is_said() -> None:
    with pytest.raises(ValueError, match="two valid days or more"):
        variance_components(person_days(np.array([[1.0, NAN], [2.0, NAN], [NAN, NAN]])))
    with pytest.raises(ValueError, match="choose anova or reml"):
        variance_components(person_days(np.eye(3)), method="ml")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="exact or bootstrap"):
        reliability(person_days(np.eye(3)), limits="wald")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="weekdays do not fit"):
        person_days(np.eye(3), weekday=np.full((3, 3), NAN))
