"""Worst cases and multiplied risks of those lost: closed forms without covariates, limits, and refusals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.models.design import Linear, build_design, factor
from walkrisk.sensitivity.bounds import Lost, assumed, largest_multiplier, log_ratio, prepare, tipping

FloatArray = npt.NDArray[np.float64]
# people followed, cases among them, people lost, in three categories
FOLLOWED, CASES, LOST = np.array([60, 50, 40]), np.array([24, 15, 6]), np.array([20, 30, 25])


def table(anchor: str = "category", method: str = "modified_poisson") -> Lost:
    levels = np.repeat(np.arange(3), FOLLOWED + LOST)
    groups = zip(FOLLOWED, CASES, LOST, strict=True)
    y = np.concatenate([np.repeat([1.0, 0.0, np.nan], [c, f - c, m]) for f, c, m in groups])
    codes = levels + 1.0
    design = build_design({"a": codes}, [factor("a", codes)], len(y))
    return prepare(method, design, y, ~np.isnan(y), levels.astype(np.intp), anchor=anchor)  # type: ignore[arg-type]


@pytest.mark.parametrize("anchor", ["category", "model"])
@pytest.mark.parametrize("k", [(1.0, 1.0, 1.0), (1.5, 0.5, 2.0), (0.0, 1.0, 3.0)])
def test_crude_ratio_in_closed_form(anchor: str, k: tuple[float, ...]) -> None:
    """risk = r (pi + (1 - pi) k), pi the share followed; var of its log = (1-r)/(n r) + (1-k)^2 pi(1-pi)/(N m^2)."""
    made = assumed(table(anchor), np.array(k))
    r, n = CASES / FOLLOWED, FOLLOWED + LOST
    pi = FOLLOWED / n
    m = pi + (1 - pi) * np.array(k)
    variance = (1 - r) / (FOLLOWED * r) + (1 - np.array(k)) ** 2 * pi * (1 - pi) / (n * m**2)
    for level in (1, 2):
        log_rr, se = log_ratio(made, level)
        assert log_rr == pytest.approx(np.log(r[level] * m[level] / (r[0] * m[0])), abs=1e-10)
        assert se == pytest.approx(np.sqrt(variance[0] + variance[level]), rel=1e-9)


def test_worst_cases_in_closed_form() -> None:
    lost = table()
    set_to = np.array([0.0, np.nan, 1.0])
    log_rr, se = log_ratio(assumed(lost, np.ones(3), set_to=set_to), 2)
    low, high = CASES[0] / (FOLLOWED[0] + LOST[0]), (CASES[2] + LOST[2]) / (FOLLOWED[2] + LOST[2])
    assert log_rr == pytest.approx(np.log(high / low), abs=1e-10)
    n = (FOLLOWED + LOST)[[0, 2]]
    assert se == pytest.approx(np.sqrt(((1 - np.array([low, high])) / (n * [low, high])).sum()), rel=1e-9)


def test_odds_scale_in_closed_form() -> None:
    k, r = 2.5, CASES / FOLLOWED
    made = assumed(table(), np.array([1.0, 1.0, k]), scale="odds")
    p = k * r[2] / (1 - r[2] + k * r[2])
    assert made.risks[-1] == pytest.approx(p)
    n = (FOLLOWED + LOST)[2]
    assert log_ratio(made, 2)[0] == pytest.approx(np.log((FOLLOWED[2] * r[2] + LOST[2] * p) / n / r[0]), abs=1e-10)


def test_tipping_point_in_closed_form() -> None:
    lost = table()
    r, n = CASES / FOLLOWED, FOLLOWED + LOST
    pi = FOLLOWED[2] / n[2]
    expected = (r[0] / r[2] - pi) / (1 - pi)
    found = tipping(lambda k: log_ratio(assumed(lost, np.array([1.0, 1.0, k])), 2)[0], low=0.5, high=6.0)
    assert found.k == pytest.approx(expected, rel=1e-9)
    nowhere = tipping(lambda k: log_ratio(assumed(lost, np.array([1.0, 1.0, k])), 2)[0], low=0.5, high=1.0)
    assert np.isnan(nowhere.k)


@pytest.mark.parametrize("anchor", ["category", "model"])
@pytest.mark.parametrize("method", ["logistic", "log_binomial", "linear"])
def test_other_models_agree_without_covariates(method: str, anchor: str) -> None:
    k = np.array([1.2, 0.8, 1.6])
    made = assumed(table(anchor, method), k)
    r, n = CASES / FOLLOWED, FOLLOWED + LOST
    risk = r * (FOLLOWED + LOST * k) / n
    on = {"logistic": np.log(risk / (1 - risk)), "log_binomial": np.log(risk), "linear": risk}[method]
    assert log_ratio(made, 2)[0] == pytest.approx(on[2] - on[0], abs=1e-9)
    at = {"logistic": risk * (1 - risk), "log_binomial": risk, "linear": np.ones(3)}[method]
    pi = FOLLOWED / n
    variance = risk**2 * ((1 - r) / (FOLLOWED * r) + (1 - k) ** 2 * pi * (1 - pi) / (n * (pi + (1 - pi) * k) ** 2))
    assert log_ratio(made, 2)[1] == pytest.approx(np.sqrt((variance / at**2)[[0, 2]].sum()), rel=1e-8)


def test_refusals() -> None:
    lost = table()
    np.testing.assert_allclose(largest_multiplier(lost), FOLLOWED / CASES)
    with pytest.raises(ValueError, match=r"k = 3 gives 20 of those lost a risk above 1; the largest k allowed is 2.50"):
        assumed(lost, np.array([3.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match="finite and 0 or more"):
        assumed(lost, np.array([-1.0, 1.0, 1.0]))
    levels = np.array([0, 0, 0, 1, 1, 1], dtype=np.intp)
    y = np.array([1.0, 0.0, np.nan, np.nan, np.nan, np.nan])
    design = build_design({"a": levels + 1.0}, [Linear("a")], 6)
    with pytest.raises(ValueError, match="everybody was lost"):
        prepare("modified_poisson", design, y, ~np.isnan(y), levels, anchor="category")
    for followed, match in ((np.ones(6, dtype=bool), "Nobody was lost"), (np.zeros(6, dtype=bool), "Everybody was")):
        with pytest.raises(ValueError, match=match):
            prepare("modified_poisson", design, y, followed, levels)


def test_a_group_without_cases_has_no_model_risk() -> None:
    levels = np.repeat(np.arange(2), 10).astype(np.intp)
    y = np.array([1.0, 0, 1, 0, 1, 0, 1, 0, np.nan, np.nan] + [0.0] * 8 + [np.nan] * 2)
    codes = levels + 1.0
    design = build_design({"a": codes}, [factor("a", codes)], 20)
    with pytest.raises(ValueError, match="nobody followed has the outcome"):
        prepare("modified_poisson", design, y, ~np.isnan(y), levels)
    lost = prepare("modified_poisson", design, y, ~np.isnan(y), levels, anchor="category")
    log_rr, _ = log_ratio(assumed(lost, np.ones(2), set_to=np.array([0.0, 1.0])), 1)
    assert log_rr == pytest.approx(np.log((2 / 10) / (4 / 10)))
