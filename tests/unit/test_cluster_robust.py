"""Cluster-robust variances against dense matrices, the jackknife and what they reduce to."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.models import cluster_robust
from walkrisk.models.covariance import covariance, degrees_of_freedom
from walkrisk.models.design import Linear, build_design
from walkrisk.models.fit import Fit, fit_model

FloatArray = npt.NDArray[np.float64]


def sample(method: str, seed: int = 0, n: int = 90, *, equal: bool = False) -> tuple[Fit, Any]:
    """Clusters of 1 to 9 people, in no order, with weights."""
    rng = np.random.default_rng(seed)
    columns = {"a": rng.normal(size=n), "b": rng.integers(0, 2, n).astype(float)}
    cluster = rng.permutation(np.arange(n) % 18 if equal else (np.sqrt(np.arange(n) * 8)).astype(int))
    risk = np.exp(-1.2 + 0.2 * columns["a"] + rng.normal(size=cluster.max() + 1)[cluster] * 0.2)
    y = (rng.random(n) < risk).astype(float)
    weights = np.ones(n) if equal else rng.uniform(0.5, 2, n)
    return fit_model(method, build_design(columns, [Linear("a"), Linear("b")], n), y, weights=weights), cluster


def dense(fit: Fit) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """X_d, W, residual, M and outer bread, from the definitions."""
    assert fit.weights is not None
    assert fit.outcome is not None
    eta = fit.x @ fit.coefficients
    mean = {"log": np.exp(eta), "logit": 1 / (1 + np.exp(-eta)), "identity": eta}[fit.link]
    slope = {"log": mean, "logit": mean * (1 - mean), "identity": np.ones_like(mean)}[fit.link]
    variance = {"modified_poisson": mean, "linear": np.ones_like(mean)}.get(fit.method, mean * (1 - mean))
    x, w = fit.x * slope[:, None], fit.weights / variance
    return x, w, fit.outcome - mean, np.linalg.inv(x.T @ (w[:, None] * x)), fit.bread


def root(matrix: FloatArray) -> FloatArray:
    value, vector = np.linalg.eigh(matrix)
    return np.asarray(vector @ (vector.T / np.sqrt(value)[:, None]))


def adjustments(kind: str, x: FloatArray, w: FloatArray, m: FloatArray) -> FloatArray:
    half = np.sqrt(w)[:, None]
    inner = np.eye(len(w)) - (half * x) @ m @ (half * x).T
    if kind == "CR2":
        theta = 1 / w
        g = theta[:, None] * inner * theta
        return np.asarray(np.sqrt(theta)[:, None] * root(g) * np.sqrt(theta))
    power = root(inner) if kind == "KC" else np.linalg.inv(inner)
    return np.asarray(power / half * half.T)


METHODS = ["modified_poisson", "logistic", "log_binomial", "linear"]


@pytest.mark.parametrize("kind", ["CR2", "KC", "CR3"])
@pytest.mark.parametrize("method", METHODS)
def test_adjusted_variances_are_those_of_their_definition(method: str, kind: str) -> None:
    fit, cluster = sample(method)
    x, w, e, m, bread = dense(fit)
    meat = np.zeros((3, 3))
    for j in np.unique(cluster):
        i = cluster == j
        u = x[i].T @ (w[i] * (adjustments(kind, x[i], w[i], m) @ e[i]))
        meat += np.outer(u, u)
    np.testing.assert_allclose(covariance(fit, kind, cluster=cluster), bread @ meat @ bread, rtol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_clusters_of_one_person_are_no_clusters(method: str) -> None:
    fit, _ = sample(method)
    alone = np.random.default_rng(1).permutation(fit.n)
    np.testing.assert_allclose(covariance(fit, "CR2", cluster=alone), covariance(fit, "HC2"), rtol=1e-11)
    np.testing.assert_allclose(covariance(fit, "KC"), covariance(fit, "HC2"), rtol=1e-11)
    np.testing.assert_allclose(covariance(fit, "CR3", cluster=alone), covariance(fit, "HC3"), rtol=1e-11)
    np.testing.assert_allclose(covariance(fit, "CR0", cluster=alone), covariance(fit, "HC0"), rtol=1e-11)


def test_cr3_of_least_squares_is_the_jackknife_of_clusters() -> None:
    fit, cluster = sample("linear")
    assert fit.weights is not None
    assert fit.outcome is not None
    total = np.zeros((3, 3))
    for j in np.unique(cluster):
        i = cluster != j
        r = np.sqrt(fit.weights[i])
        left = np.linalg.lstsq(fit.x[i] * r[:, None], fit.outcome[i] * r, rcond=None)[0]
        total += np.outer(left - fit.coefficients, left - fit.coefficients)
    np.testing.assert_allclose(covariance(fit, "CR3", cluster=cluster), total, rtol=1e-9)


def test_cr2_has_no_bias_when_the_working_variance_is_true() -> None:
    """Least squares of variance 1: the mean over e ~ (0, I - H) of the estimate is (X'X)^-1 exactly."""
    fit, cluster = sample("linear", equal=True)
    x, w, _, m, _ = dense(fit)
    expected = np.zeros((3, 3))
    for j in np.unique(cluster):
        i = cluster == j
        half = m @ x[i].T @ adjustments("CR2", x[i], w[i], m)
        expected += half @ (np.eye(i.sum()) - x[i] @ m @ x[i].T) @ half.T
    np.testing.assert_allclose(expected, m, rtol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_satterthwaite_from_the_matrix_of_all_clusters(method: str) -> None:
    fit, cluster = sample(method)
    x, w, _, m, bread = dense(fit)
    hat = np.diag(1 / w) - x @ m @ x.T  # covariance of the residuals if v / w is the variance
    contrasts = np.array([[0, 1.0, 0], [0, 1, -1], [1, 0.5, 2]])
    want = []
    for c in contrasts:
        g = np.zeros((len(np.unique(cluster)), fit.n))
        for row, j in enumerate(np.unique(cluster)):
            i = cluster == j
            g[row, i] = (adjustments("CR2", x[i], w[i], m).T * w[i]) @ x[i] @ bread @ c
        p = g @ hat @ g.T
        want.append(np.trace(p) ** 2 / np.sum(p**2))
    got = degrees_of_freedom(fit, "CR2", cluster=cluster, contrasts=contrasts)
    np.testing.assert_allclose(got, want, rtol=1e-8)


def test_equal_clusters_of_a_mean_have_one_degree_of_freedom_less_than_there_are() -> None:
    y = np.random.default_rng(0).integers(0, 2, 40).astype(float)
    fit = fit_model("linear", build_design({"x": np.zeros(40)}, [], 40), y)
    np.testing.assert_allclose(degrees_of_freedom(fit, "CR2", cluster=np.arange(40) // 4), [9.0])


def test_factors_by_name() -> None:
    fit, cluster = sample("modified_poisson")
    g, n, k = len(np.unique(cluster)), fit.n, 3
    zero = covariance(fit, "CR0", cluster=cluster)
    for name, factor in {
        "cluster": g / (g - 1),
        "CR1": g / (g - 1),
        "CR1S": g / (g - 1) * (n - 1) / (n - k),
        "CR0S": (n - 1) / (n - k),
    }.items():
        np.testing.assert_allclose(covariance(fit, name, cluster=cluster), zero * factor, rtol=1e-12, err_msg=name)


def test_clustering_in_several_ways_adds_and_takes_off() -> None:
    fit, _ = sample("modified_poisson", n=400)
    rng = np.random.default_rng(2)
    a, b, c = (rng.integers(0, g, 400) for g in (40, 30, 25))

    def one(*labels: Any) -> FloatArray:
        together = sum(label * 1000**i for i, label in enumerate(labels))
        return covariance(fit, "CR1", cluster=np.asarray(together))

    two = covariance(fit, "CR1", cluster=np.column_stack([a, b]))
    np.testing.assert_allclose(two, one(a) + one(b) - one(a, b), rtol=1e-10)
    three = covariance(fit, "CR1", cluster=np.column_stack([a, b, c]))
    np.testing.assert_allclose(
        three, one(a) + one(b) + one(c) - one(a, b) - one(a, c) - one(b, c) + one(a, b, c), rtol=1e-9
    )
    persons = covariance(fit, "cluster_multi0", cluster=np.column_stack([a, b]))
    np.testing.assert_allclose(persons, one(a) + one(b) - covariance(fit, "HC0"), rtol=1e-10)
    np.testing.assert_allclose(covariance(fit, "CR1", cluster=np.column_stack([a, a])), one(a), rtol=1e-10)


def test_a_negative_variance_is_refused() -> None:
    """Scores +1, -1, -1, +1 in the four cells of two crossed clusters: rows and columns add up to 0, cells do not."""
    fit = fit_model("linear", build_design({"x": np.zeros(4)}, [], 4), np.array([1.0, 0, 0, 1]))
    with pytest.raises(ValueError, match="negative variance"):
        covariance(fit, "CR0", cluster=np.array([[0, 0], [0, 1], [1, 0], [1, 1]]))


def test_a_cluster_too_large_for_cr2_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    fit, cluster = sample("modified_poisson")
    monkeypatch.setattr(cluster_robust, "LARGEST", 4)
    with pytest.raises(ValueError, match="choose KC or CR3"):
        covariance(fit, "CR2", cluster=cluster)
    assert np.isfinite(covariance(fit, "CR3", cluster=cluster)).all()


def test_batches_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fit, cluster = sample("modified_poisson")
    whole = [covariance(fit, kind, cluster=cluster) for kind in ("CR2", "KC", "CR3")]
    monkeypatch.setattr(cluster_robust, "ENTRIES", 1)
    for kind, want in zip(("CR2", "KC", "CR3"), whole, strict=True):
        np.testing.assert_allclose(covariance(fit, kind, cluster=cluster), want, rtol=1e-12)
