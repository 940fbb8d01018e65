"""The equations as the explanation pages write them, computed from the cohort by hand, give walkrisk's numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

import walkrisk as w
from walkrisk.estimates.two_by_two import two_by_two
from walkrisk.models.splines import restricted_cubic_basis
from walkrisk.sensitivity.confounding import contour
from walkrisk.sensitivity.misclassified_outcome import kappa_of
from walkrisk.sensitivity.pooling import pool_scalar
from walkrisk.sensitivity.reliability import person_days, variance_components

pytestmark = pytest.mark.filterwarnings("ignore::walkrisk.WalkriskWarning")
FloatArray = npt.NDArray[np.float64]
Z = 1.959963984540054
SAME = 1e-9


@cache
def cohort() -> pd.DataFrame:
    return w.example_cohort()


def outcome() -> FloatArray:
    return cohort()["event"].to_numpy(float)


def male() -> npt.NDArray[np.bool_]:
    return (cohort()["sex"] == "male").to_numpy()


def design() -> FloatArray:
    return np.column_stack([np.ones(len(cohort())), male(), cohort()["age"]]).astype(float)


def solved(
    x: FloatArray, mean: Callable[[FloatArray], FloatArray], slope: Callable[[FloatArray], FloatArray]
) -> FloatArray:
    """Coefficients with sum x (y - mean) = 0, by Newton's method."""
    b = np.zeros(x.shape[1])
    b[0] = -1.5
    for _ in range(60):
        m = mean(x @ b)
        b = b + np.linalg.solve((x.T * slope(m)) @ x, x.T @ (outcome() - m))
    return b


def expit(eta: FloatArray) -> FloatArray:
    return 1 / (1 + np.exp(-eta))


@cache
def poisson() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Scores (n, 3), inverse information and leverages of modified Poisson on sex and age."""
    x = design()
    mu = np.exp(x @ solved(x, np.exp, lambda m: m))
    bread = np.linalg.inv((x.T * mu) @ x)
    return x * (outcome() - mu)[:, None], bread, mu * np.einsum("ij,jk,ik->i", x, bread, x)


def std_error(scores: FloatArray, factor: float = 1.0) -> float:
    bread = poisson()[1]
    return math.sqrt(factor * (bread @ (scores.T @ scores) @ bread)[1, 1])


def asked(variance: str, **more: str) -> float | None:
    return (
        w.risk_ratios(
            cohort(),
            outcome="event",
            exposure="sex",
            covariates=["age"],
            method="modified_poisson",
            variance=variance,
            **more,
        )
        .row("risk_ratio", "male")
        .std_error
    )


def test_the_sandwiches_of_the_page_on_variances() -> None:
    u, bread, h = poisson()
    n, k = len(u), 3
    g = n * h / k
    powers = {
        "HC2": np.ones(n),
        "HC3": np.full(n, 2.0),
        "HC4": np.minimum(4, g),
        "HC4m": np.minimum(1, g) + np.minimum(1.5, g),
        "HC5": np.minimum(g, max(4, 0.7 * g.max())) / 2,
    }
    expected = {name: std_error(u / ((1 - h) ** (d / 2))[:, None]) for name, d in powers.items()}
    expected |= {"HC0": std_error(u), "stata": std_error(u, n / (n - 1)), "HC1": std_error(u, n / (n - k))}
    meat = u.T @ u
    c, d = (n - 1) / (n - k) * n / (n - 1), min(0.5, k / (n - k))
    added = d * max(1, np.trace(bread @ meat) / k)
    expected["MBN"] = math.sqrt((c * bread @ meat @ bread + added * bread)[1, 1])
    totals = pd.DataFrame(u).groupby(cohort()["area"].to_numpy()).sum().to_numpy()
    for name, value in expected.items():
        assert asked(name) == pytest.approx(value, rel=SAME), name
    clusters = len(totals)
    assert asked("cluster", cluster="area") == pytest.approx(std_error(totals, clusters / (clusters - 1)), rel=SAME)


def test_mantel_haenszel() -> None:
    y, e = outcome(), male()
    top = bottom = spread = 0.0
    for stratum in ("never", "former", "current"):
        q = (cohort()["smoking"] == stratum).to_numpy()
        a, c, n1, n0, n = y[q & e].sum(), y[q & ~e].sum(), (q & e).sum(), (q & ~e).sum(), q.sum()
        top, bottom = top + a * n0 / n, bottom + c * n1 / n
        spread += ((a + c) * n1 * n0 - a * c * n) / n**2
    row = w.risk_ratios(
        cohort(), outcome="event", exposure="sex", covariates=["smoking"], method="mantel_haenszel"
    ).row("risk_ratio", "male")
    assert row.estimate == pytest.approx(top / bottom, rel=SAME)
    assert row.std_error == pytest.approx(math.sqrt(spread / top / bottom), rel=SAME)


def test_koopman_limits_are_where_the_score_is_the_quantile() -> None:
    a, n1, c, n0 = 3, 40, 9, 42
    limits = two_by_two(a, n1, c, n0).risk_ratio["koopman"]

    def score(theta: float) -> float:
        p0 = np.linspace(1e-6, min(1, 1 / theta) - 1e-6, 400_001)
        p1 = theta * p0
        likelihood = a * np.log(p1) + (n1 - a) * np.log(1 - p1) + c * np.log(p0) + (n0 - c) * np.log(1 - p0)
        p0, p1 = p0[likelihood.argmax()], p1[likelihood.argmax()]
        return float((a / n1 - theta * c / n0) / math.sqrt(p1 * (1 - p1) / n1 + theta**2 * p0 * (1 - p0) / n0))

    assert limits.low is not None
    assert limits.high is not None
    assert score(limits.low) == pytest.approx(Z, abs=1e-4)
    assert score(limits.high) == pytest.approx(-Z, abs=1e-4)


def test_reri_by_the_delta_method_and_by_mover() -> None:
    former, current = ((cohort()["smoking"] == s).to_numpy() for s in ("former", "current"))
    e = male()
    x = np.column_stack([np.ones(len(e)), e, former, current, e & former, e & current, cohort()["age"]]).astype(float)
    b = solved(x, np.exp, lambda m: m)
    mu = np.exp(x @ b)
    bread, u = np.linalg.inv((x.T * mu) @ x), x * (outcome() - mu)[:, None]
    pick = np.array([[0, 1, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 0], [0, 1, 1, 0, 1, 0, 0]], dtype=float)
    v, log = pick @ bread @ (u.T @ u) @ bread @ pick.T, pick @ b
    r = np.exp(log)
    reri = r[2] - r[0] - r[1] + 1
    sign = np.array([-1.0, -1.0, 1.0])
    half = Z * math.sqrt((sign * r) @ v @ (sign * r))
    se = np.sqrt(np.diag(v))
    away = np.where(sign > 0, r - np.exp(log - Z * se), np.exp(log + Z * se) - r)
    mover = reri - math.sqrt(away @ (v / np.outer(se, se) * np.outer(sign, sign)) @ away)
    found = w.interaction(cohort(), outcome="event", exposure="sex", modifier="smoking", covariates=["age"])
    rows = {x.method: x for x in found.rows if x.estimand == "reri" and x.level == "male/former" and not x.stratum}
    assert rows["modified_poisson"].estimate == pytest.approx(reri, rel=SAME)
    assert rows["modified_poisson"].conf_low == pytest.approx(reri - half, rel=SAME)
    assert rows["modified_poisson_mover"].conf_low == pytest.approx(mover, rel=SAME)


def test_standardised_risk_and_its_influence() -> None:
    x = design()
    b = solved(x, expit, lambda m: m * (1 - m))
    p = expit(x @ b)
    psi = (x * (outcome() - p)[:, None]) @ np.linalg.inv((x.T * (p * (1 - p))) @ x)
    exposed = x.copy()
    exposed[:, 1] = 1
    g = expit(exposed @ b)
    phi = (g - g.mean()) / len(g) + psi @ (exposed * (g * (1 - g))[:, None]).mean(axis=0)
    row = w.standardised_risks(cohort(), outcome="event", exposure="sex", covariates=["age"]).row("risk", "male")
    assert row.estimate == pytest.approx(g.mean(), rel=SAME)
    assert row.std_error == pytest.approx(math.sqrt((phi**2).sum()), rel=SAME)


def test_weights_of_the_overlap() -> None:
    e, x = male(), design()[:, [0, 2]]
    b = np.zeros(2)
    for _ in range(60):
        p = expit(x @ b)
        b = b + np.linalg.solve((x.T * (p * (1 - p))) @ x, x.T @ (e - p))
    weight = 1 / (1 / p + 1 / (1 - p)) / np.where(e, p, 1 - p)
    found = w.weighted_risks(cohort(), outcome="event", exposure="sex", covariates=["age"], estimand="ATO")
    expected = (weight * outcome())[e].sum() / weight[e].sum()
    assert found.row("risk", "male").estimate == pytest.approx(expected, rel=SAME)


def test_miettinen_is_the_sum_over_categories() -> None:
    walking = w.categories("walking_min_day", quantiles=4, reference="Q4")
    question = {"outcome": "event", "exposure": walking, "covariates": ["age"]}
    ratios = w.risk_ratios(cohort(), method="modified_poisson", **question).rows
    cases = outcome().sum()
    expected = sum(r.events / cases * (1 - 1 / r.estimate) for r in ratios if r.level != "Q4")
    found = w.attributable_fractions(cohort(), formula="miettinen", **question)
    assert found.row("paf", "total").estimate == pytest.approx(expected, rel=SAME)


def test_the_cox_maximum_is_that_of_efrons_likelihood() -> None:
    found = w.risks_at_horizon(
        cohort(), time="time_years", event="event", horizon=3, exposure="sex", covariates=["age"], method="cox"
    )
    assert found.fit is not None
    eta = design()[:, 1:] @ found.fit.coefficients.to_numpy()[-2:]
    theta, time, y = np.exp(eta), cohort()["time_years"].to_numpy(), outcome() == 1
    total = 0.0
    for t in np.unique(time[y]):
        dead, at_risk = (time == t) & y, theta[time >= t].sum()
        d = int(dead.sum())
        total += eta[dead].sum() - sum(math.log(at_risk - r / d * theta[dead].sum()) for r in range(d))
    assert found.fit.log_likelihood == pytest.approx(total, rel=SAME)


def test_spline_basis() -> None:
    t = (1.0, 3.0, 5.0, 9.0)
    x = np.linspace(0, 11, 23)

    def cube(u: FloatArray) -> FloatArray:
        return np.maximum(u, 0) ** 3

    for j in (0, 1):
        column = cube(x - t[j]) - cube(x - t[2]) * (t[3] - t[j]) / (t[3] - t[2])
        column = (column + cube(x - t[3]) * (t[2] - t[j]) / (t[3] - t[2])) / (t[3] - t[0]) ** 2
        np.testing.assert_allclose(restricted_cubic_basis(x, t)[:, 1 + j], column, atol=1e-12)


def test_pooling_with_barnard_and_rubins_degrees_of_freedom() -> None:
    q, u, complete = np.array([0.2, 0.31, 0.25, 0.4]), np.array([0.04, 0.05, 0.045, 0.05]), 96.0
    m, between = len(q), q.var(ddof=1)
    total = u.mean() + (1 + 1 / m) * between
    lam = (1 + 1 / m) * between / total
    old, observed = (m - 1) / lam**2, (1 - lam) * complete * (complete + 1) / (complete + 3)
    found = pool_scalar(q, u, dfcom=complete)
    assert found.std_error == pytest.approx(math.sqrt(total), rel=SAME)
    assert found.df == pytest.approx(1 / (1 / old + 1 / observed), rel=SAME)


def test_variance_components_of_days() -> None:
    days = np.array([[3.0, 4.0, np.nan], [8.0, 9.5, 7.0], [5.0, 5.5, 6.5], [2.0, np.nan, np.nan]])
    k = (~np.isnan(days)).sum(axis=1)
    means, n, a = np.nanmean(days, axis=1), k.sum(), len(k)
    within = np.nansum((days - means[:, None]) ** 2) / (n - a)
    msb = (k * (means - np.nansum(days) / n) ** 2).sum() / (a - 1)
    found = variance_components(person_days(days), method="anova")
    assert found.within == pytest.approx(within, rel=SAME)
    assert found.between == pytest.approx((msb - within) / ((n - (k**2).sum() / n) / (a - 1)), rel=SAME)


def test_bias_factor_contour_and_kappa() -> None:
    a = np.array([2.0, 3.0, 5.0])
    b = contour(1.4, 1.0, a)
    np.testing.assert_allclose(a * b / (a + b - 1), 1.4)
    e = w.evalue(1.4).point
    assert e * e / (2 * e - 1) == pytest.approx(1.4)
    se, sp, p = 0.8, 0.95, 0.2
    q = p * se + (1 - p) * (1 - sp)
    assert kappa_of(se, sp, q) == pytest.approx((se - q) * (sp - (1 - q)) / (q * (1 - q)))
