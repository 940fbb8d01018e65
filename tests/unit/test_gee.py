"""Estimating equations: their roots and moments by dense matrices, statsmodels where it solves the same, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.models.covariance import covariance
from walkrisk.models.design import Design, Linear, build_design, factor
from walkrisk.models.fit import fit_model
from walkrisk.models.gee import Gee, gee, jackknife

FloatArray = npt.NDArray[np.float64]
CORRELATIONS = ["independence", "exchangeable", "ar1", "unstructured"]


def sample(seed: int = 0, groups: int = 60) -> tuple[Design, FloatArray, Any, Any, FloatArray]:
    """Design, outcome, cluster, wave and weights: 4 waves, a quarter of the rows missing, rows in no order."""
    rng = np.random.default_rng(seed)
    cluster, wave = np.repeat(np.arange(groups), 4), np.tile(np.arange(4), groups)
    kept = rng.permutation(np.flatnonzero(rng.random(groups * 4) < 0.75))
    cluster, wave = cluster[kept], wave[kept]
    x = rng.normal(size=len(kept))
    y = (rng.random(len(kept)) < np.exp(-1.3 + 0.2 * x + rng.normal(scale=0.6, size=groups)[cluster] - 0.2)).astype(
        float
    )
    return build_design({"x": x}, [Linear("x")], len(x)), y, cluster, wave, rng.uniform(0.5, 2, len(x))


def pieces(made: Gee, y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    eta = made.fit.x @ made.fit.coefficients
    if made.fit.link == "log":
        mean = variance = slope = np.exp(eta)
    else:
        mean = 1 / (1 + np.exp(-eta))
        variance = slope = mean * (1 - mean)
    return (y - mean) / np.sqrt(variance), made.fit.x * (slope / np.sqrt(variance))[:, None], mean


def correlation(made: Gee, i: int, j: int) -> float:
    if i == j:
        return 1.0
    low, high = min(i, j), max(i, j)
    pairs = [(a, b) for a in range(4) for b in range(a + 1, 4)]
    return {
        "independence": 0.0,
        "exchangeable": float(made.alpha[0]) if made.alpha.size else 0.0,
        "ar1": float(made.alpha[0]) ** (high - low) if made.alpha.size else 0.0,
        "unstructured": float(made.alpha[pairs.index((low, high))]) if len(made.alpha) == 6 else 0.0,
    }[made.correlation]


@pytest.mark.parametrize("kind", CORRELATIONS)
@pytest.mark.parametrize("method", ["modified_poisson", "logistic"])
def test_the_equations_hold_at_the_solution(method: str, kind: Any) -> None:
    design, y, cluster, wave, w = sample()
    made = gee(method, design, y, cluster, correlation=kind, wave=wave, weights=w)
    assert made.fit.converged
    r, d, _ = pieces(made, y)
    score, information, meat = np.zeros(2), np.zeros((2, 2)), np.zeros((2, 2))
    moment: dict[Any, float] = {}
    for c in np.unique(cluster):
        at = np.flatnonzero(cluster == c)
        inverse = np.linalg.inv([[correlation(made, wave[a], wave[b]) for b in at] for a in at])
        half = np.sqrt(w[at])
        u = (d[at] * half[:, None]).T @ inverse @ (half * r[at])
        score, meat = score + u, meat + np.outer(u, u)
        information += (d[at] * half[:, None]).T @ inverse @ (half[:, None] * d[at])
        for n, a in enumerate(at):
            for b in at[n + 1 :]:
                low, high = sorted((int(wave[a]), int(wave[b])))
                rho = correlation(made, low, high)
                key = (low, high) if kind == "unstructured" else 0
                slope = (high - low) * made.alpha[0] ** (high - low - 1) if kind == "ar1" else 1.0
                moment[key] = moment.get(key, 0) + w[a] * w[b] * slope * (r[a] * r[b] / made.phi - rho)
    np.testing.assert_allclose(score, 0, atol=1e-8)
    assert made.phi == pytest.approx(float(w @ r**2 / w.sum()), rel=1e-9)
    if kind != "independence":
        np.testing.assert_allclose(list(moment.values()), 0, atol=1e-7)
    bread = np.linalg.inv(information)
    np.testing.assert_allclose(made.covariance, bread @ meat @ bread, rtol=1e-8)
    np.testing.assert_allclose(made.naive, made.phi * bread, rtol=1e-8)
    np.testing.assert_allclose(covariance(made.fit, "CR0", cluster=cluster), made.covariance, rtol=1e-9)


def test_independence_is_the_plain_fit_with_clusters() -> None:
    design, y, cluster, _, w = sample()
    made = gee("modified_poisson", design, y, cluster, correlation="independence", weights=w)
    plain = fit_model("modified_poisson", design, y, weights=w)
    np.testing.assert_allclose(made.fit.coefficients, plain.coefficients, rtol=1e-9)
    np.testing.assert_allclose(made.covariance, covariance(plain, "CR0", cluster=cluster), rtol=1e-8)
    with pytest.raises(ValueError, match="not defined for gee_modified_poisson"):
        covariance(made.fit, "CR2", cluster=cluster)


@pytest.mark.parametrize("method", ["modified_poisson", "logistic"])
def test_exchangeable_is_that_of_statsmodels_without_its_correction_for_coefficients(method: str) -> None:
    from statsmodels.genmod import cov_struct, families
    from statsmodels.genmod.generalized_estimating_equations import GEE

    design, y, cluster, _, _ = sample()
    order = np.argsort(cluster, kind="stable")
    family = families.Poisson() if method == "modified_poisson" else families.Binomial()
    structure = cov_struct.Exchangeable()
    model = GEE(y[order], np.asarray(design.matrix)[order], groups=cluster[order], family=family, cov_struct=structure)
    theirs = model.fit(ddof_scale=0, ctol=1e-12, maxiter=500)
    made = gee(method, design, y, cluster)
    np.testing.assert_allclose(made.fit.coefficients, theirs.params, rtol=1e-7)
    np.testing.assert_allclose(np.sqrt(np.diag(made.covariance)), theirs.bse, rtol=1e-7)
    assert made.alpha[0] == pytest.approx(structure.dep_params, rel=1e-7)


def test_the_order_of_rows_is_nothing_when_waves_are_given() -> None:
    design, y, cluster, wave, w = sample()
    shuffled = np.random.default_rng(5).permutation(len(y))
    again = build_design({"x": design.matrix[shuffled, 1]}, [Linear("x")], len(y))
    for kind in CORRELATIONS:
        one = gee("modified_poisson", design, y, cluster, correlation=kind, wave=wave + 2020, weights=w)  # type: ignore[arg-type]
        two = gee(
            "modified_poisson",
            again,
            y[shuffled],
            np.array([f"c{c}" for c in cluster[shuffled]]),
            correlation=kind,  # type: ignore[arg-type]
            wave=wave[shuffled],
            weights=w[shuffled],
        )
        np.testing.assert_allclose(one.fit.coefficients, two.fit.coefficients, rtol=1e-8)
        np.testing.assert_allclose(one.covariance, two.covariance, rtol=1e-7)


def test_the_jackknife_leaves_out_clusters() -> None:
    design, y, cluster, wave, w = sample(groups=25)
    made = gee("modified_poisson", design, y, cluster, wave=wave, weights=w)
    total = np.zeros((2, 2))
    for c in np.unique(cluster):
        i = cluster != c
        left = gee(
            "modified_poisson",
            build_design({"x": design.matrix[i, 1]}, [Linear("x")], int(i.sum())),
            y[i],
            cluster[i],
            wave=wave[i],
            weights=w[i],
        )
        move = left.fit.coefficients - made.fit.coefficients
        total += np.outer(move, move)
    g = len(np.unique(cluster))
    np.testing.assert_allclose(jackknife(made, y, cluster, wave=wave, weights=w), total * (g - 4) / g, rtol=1e-6)


def test_a_category_without_events_is_set_aside() -> None:
    design, y, cluster, wave, _ = sample()
    g = np.random.default_rng(1).integers(1, 4, len(y)).astype(float)
    y = np.where(g == 2, 0, y)
    both = build_design({"x": design.matrix[:, 1], "g": g}, [Linear("x"), factor("g", g)], len(y))
    made = gee("modified_poisson", both, y, cluster, wave=wave)
    kept = g != 2
    alone = build_design(
        {"x": design.matrix[kept, 1], "g": g[kept]}, [Linear("x"), factor("g", g[kept])], int(kept.sum())
    )
    rest = gee("modified_poisson", alone, y[kept], cluster[kept], wave=wave[kept])
    np.testing.assert_allclose(made.fit.coefficients[made.fit.estimated], rest.fit.coefficients, rtol=1e-8)
    assert any("no cases" in sentence for sentence in made.fit.warnings)


def test_what_cannot_be_solved_is_said() -> None:
    design, y, cluster, wave, _ = sample()
    for kwargs, what in (
        ({"correlation": "banded"}, "choose modified_poisson"),
        ({"wave": np.zeros(len(y), dtype=int)}, "same wave"),
    ):
        with pytest.raises(ValueError, match=what):
            gee("modified_poisson", design, y, cluster, **kwargs)
    with pytest.raises(ValueError, match="choose modified_poisson"):
        gee("log_binomial", design, y, cluster)
    with pytest.raises(ValueError, match="single cluster"):
        gee("modified_poisson", design, y, np.zeros(len(y)))
    with pytest.raises(ValueError, match="choose exchangeable"):
        gee("modified_poisson", design, y, np.arange(len(y)) // 100, correlation="unstructured")
    short = gee("modified_poisson", design, y, cluster, wave=wave, max_iterations=1)
    assert not short.fit.converged
    assert "did not settle in 1 iterations" in short.fit.warnings[-1]
    none = gee("modified_poisson", design, np.zeros(len(y)), cluster)
    assert not none.fit.converged
    assert none.covariance.shape == (0, 0)


def test_a_correlation_that_is_none_is_said() -> None:
    """In every pair one has the outcome and one has not: correlation -1, no positive definite matrix."""
    y = np.tile([1.0, 0, 0, 1], 10)
    made = gee("logistic", build_design({"x": np.zeros(40)}, [], 40), y, np.arange(40) // 2)
    assert not made.fit.converged
    assert "not positive definite" in made.fit.warnings[-1] or "did not settle" in made.fit.warnings[-1]
    assert np.isnan(made.covariance).all()
    assert np.isnan(covariance(made.fit, "CR0", cluster=np.arange(40) // 2)).all()
