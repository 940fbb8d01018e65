"""Batches of fits, held to the single fit."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from walkrisk.models import batch, batch_solver, blocks
from walkrisk.models.batch import fit_batch, fit_designs
from walkrisk.models.solver import LOG_BINOMIAL, LOGISTIC, POISSON, Family, Solution, maximise

METHODS = {"modified_poisson": POISSON, "logistic": LOGISTIC}


def _people(n: int, p: int, seed: int, risk: float = 0.25) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = np.ones((n, p))
    for column in range(1, p):
        kind = column % 3
        x[:, column] = (
            random.random(n) < 0.4 if kind == 1 else random.normal(50, 10, n) if kind == 2 else random.normal(size=n)
        )
    eta = (x[:, 1:] - x[:, 1:].mean(axis=0)) @ (random.normal(size=p - 1) * 0.3 / x[:, 1:].std(axis=0)) + np.log(risk)
    return x, (random.random(n) < np.clip(np.exp(eta), 0, 0.95)).astype(float)


def _counts(n: int, replicates: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.stack([np.bincount(random.integers(0, n, n), minlength=n) for _ in range(replicates)]).astype(float)


def _single(family: Family, x: np.ndarray, y: np.ndarray, w: np.ndarray) -> Solution:
    """The maximum, unless it is one at infinity: steps of 1 until the score underflows, which takes over 30."""
    with np.errstate(all="ignore"):
        found = maximise(family, x, y, weights=w)
    rank = np.linalg.matrix_rank(x[w > 0] / np.abs(x).max(axis=0))
    return replace(found, converged=found.converged and rank == x.shape[1] and found.iterations < 30)


def _assert_equal(family: Family, x: np.ndarray, y: np.ndarray, w: np.ndarray, found: batch.BatchSolution) -> None:
    """Coefficients equal to 1e-10 of their size (or of their standard error, if larger), and the verdicts."""
    for k, weights in enumerate(w):
        outcome = y if y.ndim == 1 else y[k]
        single = _single(family, x, outcome, weights)
        assert found.converged[k] == single.converged
        if not single.converged:
            assert np.isnan(found.coefficients[k]).all()
            continue
        v = weights * family.expected(single.eta, outcome)
        se = np.sqrt(np.diag(np.linalg.inv((x * v[:, None]).T @ x)))
        difference = np.abs(found.coefficients[k] - single.coefficients)
        assert (difference <= 1e-10 * np.maximum(np.abs(single.coefficients), se)).all()
        assert found.log_likelihood[k] == pytest.approx(single.log_likelihood, rel=1e-12)
        assert found.relative_score[k] < 1e-9


@example(method="logistic", n=30, p=2, seed=293, kind="many_zeros")
@settings(max_examples=25, deadline=None)
@given(
    method=st.sampled_from(sorted(METHODS)),
    n=st.integers(30, 400),
    p=st.integers(2, 8),
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(["resample", "exponential", "many_zeros", "scaled"]),
)
def test_each_solution_is_the_single_fits(method: str, n: int, p: int, seed: int, kind: str) -> None:
    x, y = _people(n, p, seed)
    random = np.random.default_rng(seed + 1)
    w = _counts(n, 6, seed) if kind == "resample" else random.exponential(size=(6, n))
    if kind == "many_zeros":
        w *= random.random((6, n)) < 0.5
    if kind == "scaled":
        w *= np.array([1e-4, 1, 1e4] * 2)[:, None]
    if not y.any() or np.linalg.matrix_rank(x) < p:
        return
    _assert_equal(METHODS[method], x, y, w, fit_batch(method, x, y, w))


@pytest.mark.parametrize("method", METHODS)
def test_a_larger_problem_needs_no_single_fit(method: str) -> None:
    x, y = _people(3000, 10, 5)
    w = _counts(3000, 70, 1)
    found = fit_batch(method, x, y, w)
    assert not found.alone.any()
    assert found.iterations.max() <= 6
    _assert_equal(METHODS[method], x, y, w, found)


@pytest.mark.parametrize("method", METHODS)
def test_resamples_with_separation_are_marked(method: str) -> None:
    x, y = _people(120, 3, 2)
    x = np.column_stack([x, np.arange(120) % 20 == 0])  # 6 people, 2 of them with the outcome
    rare = np.flatnonzero(x[:, 3])
    y[rare] = [1, 1, 0, 0, 0, 0]
    w = _counts(120, 60, 3)
    w[0, rare[:2]] = 0  # nobody with the outcome
    w[1, rare] = 0  # nobody at all
    found = fit_batch(method, x, y, w)
    assert not found.converged[:2].any()
    assert found.alone[:2].all()
    assert np.isnan(found.coefficients[:2]).all()
    determined = [k for k in range(60) if (w[k] @ (x[:, 3] * y) > 0) and (w[k] @ (x[:, 3] * (1 - y)) > 0)]
    assert found.converged[determined].all()
    _assert_equal(METHODS[method], x, y, w[determined], fit_batch(method, x, y, w[determined], base=np.ones(120)))


def test_a_sample_without_a_maximum_is_solved_one_by_one() -> None:
    x = np.column_stack([np.ones(40), np.arange(40) < 5])
    y = np.where(np.arange(40) < 5, 0.0, np.arange(40) % 2)
    found = fit_batch("logistic", x, y, np.ones((3, 40)))
    assert not found.converged.any()
    assert found.alone.all()


def test_collinear_columns_are_never_called_converged() -> None:
    x, y = _people(100, 4, 1)
    for method in METHODS:
        for again in (x[:, 1] + x[:, 2], 0.1 * x[:, 3] + x[:, 2] / 3, np.zeros(100)):
            assert not fit_batch(method, np.column_stack([x, again]), y, _counts(100, 5, 1)).converged.any()


@pytest.mark.parametrize("method", METHODS)
def test_outcomes_of_one_design(method: str) -> None:
    x, _ = _people(500, 4, 3)
    y = (np.random.default_rng(1).random((30, 500)) < np.linspace(0.05, 0.6, 30)[:, None]).astype(float)
    _assert_equal(METHODS[method], x, y, np.ones(y.shape), fit_batch(method, x, y))
    w = _counts(500, 30, 2)
    _assert_equal(METHODS[method], x, y, w, fit_batch(method, x, y, w))


def test_a_two_by_two_table_in_closed_form() -> None:
    x = np.array([[1.0, 0], [1, 0], [1, 1], [1, 1]])
    y = np.array([1.0, 0, 1, 0])
    cells = np.random.default_rng(4).integers(1, 30, size=(50, 4)).astype(float)
    found = fit_batch("modified_poisson", x, y, cells)
    risk0, risk1 = cells[:, 0] / cells[:, :2].sum(axis=1), cells[:, 2] / cells[:, 2:].sum(axis=1)
    np.testing.assert_allclose(found.coefficients, np.column_stack([np.log(risk0), np.log(risk1 / risk0)]), atol=1e-12)
    odds = fit_batch("logistic", x, y, cells).coefficients[:, 1]
    np.testing.assert_allclose(odds, np.log(cells[:, 2] * cells[:, 1] / cells[:, 3] / cells[:, 0]), atol=1e-12)


def test_an_offset_moves_the_intercept() -> None:
    x, y = _people(400, 4, 8)
    w = _counts(400, 12, 1)
    plain, moved = (fit_batch("modified_poisson", x, y, w, offset=o) for o in (None, np.full(400, 0.7)))
    np.testing.assert_allclose(moved.coefficients + np.array([0.7, 0, 0, 0]), plain.coefficients, atol=1e-10)
    np.testing.assert_allclose(moved.log_likelihood, plain.log_likelihood, rtol=1e-12)
    time = np.random.default_rng(0).normal(size=400)
    fits = fit_batch("logistic", x, y, w, offset=time)
    eta = fits.coefficients @ x.T + time
    score = (w * (y - 1 / (1 + np.exp(-eta)))) @ x
    assert np.abs(score / (w @ np.abs(x))).max() < 1e-11


def test_blocks_of_weights_give_what_one_array_gives() -> None:
    x, y = _people(300, 5, 6)
    w = _counts(300, 150, 2)
    whole = fit_batch("logistic", x, y, w, base=np.ones(300))
    parts = fit_batch("logistic", x, y, (w[k : k + 64] for k in range(0, 150, 64)), base=np.ones(300))
    assert whole.coefficients.tobytes() == parts.coefficients.tobytes()
    other = fit_batch("logistic", x, y, (w[k : k + 7] for k in range(0, 150, 7)), base=np.ones(300))
    np.testing.assert_allclose(other.coefficients, whole.coefficients, rtol=0, atol=1e-11)


def test_the_weights_are_left_as_they_were() -> None:
    x, y = _people(200, 4, 6)
    w = _counts(200, 10, 2)
    before = w.copy(), x.copy(), y.copy()
    fit_batch("modified_poisson", x, y, w)
    assert all(np.array_equal(a, b) for a, b in zip(before, (w, x, y), strict=True))


def test_tiles_and_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = _people(700, 6, 7)
    w = _counts(700, 40, 2)
    whole = fit_batch("logistic", x, y, w)
    monkeypatch.setattr(blocks, "TILE", 4096)
    monkeypatch.setattr(blocks, "BLOCK", 8)
    monkeypatch.setattr(batch_solver, "BLOCK_BYTES", 0)  # products made tile by tile
    small = fit_batch("logistic", x, y, w, base=w.mean(axis=0))
    np.testing.assert_allclose(small.coefficients, whole.coefficients, rtol=0, atol=1e-11)


def test_memory_is_bounded_by_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    n, p, replicates = 20_000, 6, 256
    x, y = _people(n, p, 7)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 2 * 2**20)
    monkeypatch.setattr(batch_solver, "BLOCK_BYTES", 2 * 2**20)
    assert blocks.block_size(n) == 8

    def sets() -> object:
        random = np.random.default_rng(0)
        for _ in range(replicates // 8):
            yield random.poisson(1.0, size=(8, n)).astype(float)

    tracemalloc.start()
    found = fit_batch("modified_poisson", x, y, sets(), base=np.ones(n))  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.converged.all()
    assert peak < 24 * 2**20  # all weights together would take 41 MB


def test_log_binomial_goes_one_by_one() -> None:
    x = np.array([[1.0, 0], [1, 0], [1, 1], [1, 1]])
    y = np.array([1.0, 0, 1, 0])
    cells = np.array([[10.0, 40, 20, 30], [5, 50, 8, 40]])
    found = fit_batch("log_binomial", x, y, cells)
    _assert_equal(LOG_BINOMIAL, x, y, cells, found)
    assert found.alone.all()


def test_a_maximum_on_the_boundary_is_one() -> None:
    x = np.column_stack([np.ones(10), np.arange(1.0, 11)])
    y = np.array([0.0, 0, 0, 0, 1, 0, 1, 1, 1, 1])
    found = fit_batch("log_binomial", x, y, np.stack([np.ones(10), 1.0 + (y == 1)]))
    assert found.converged.all()
    assert np.abs((found.coefficients @ x.T).max(axis=1)).max() < 1e-6  # a fitted risk of 1
    slopes = np.linspace(0.05, 1, 4000)[:, None]  # along the edge, where the intercept is -10 slopes
    eta = slopes * (x[:, 1] - 10)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(y == 1, eta, np.log(-np.expm1(eta)))[:, :9].sum(axis=1)
    assert found.log_likelihood[0] == pytest.approx(value.max(), abs=1e-5)
    risks = fit_batch("identity_binomial", np.ones((10, 1)), y, np.ones((1, 10)))
    assert risks.coefficients[0, 0] == pytest.approx(0.5)


def test_designs_of_equal_shape() -> None:
    sets = [_people(200, 4, seed) for seed in range(5)]
    found = fit_designs("logistic", (x for x, _ in sets), (y for _, y in sets))
    for (x, y), coefficients in zip(sets, found.coefficients, strict=True):
        np.testing.assert_allclose(coefficients, _single(LOGISTIC, x, y, np.ones(200)).coefficients, atol=1e-9)
    assert found.iterations[1:].max() <= 6
    with pytest.raises(ValueError, match="number of columns"):
        fit_designs("logistic", [sets[0][0], sets[1][0][:, :3]], sets[0][1])
    with pytest.raises(ValueError, match="at least one design"):
        fit_designs("logistic", [], sets[0][1])
    with pytest.raises(ValueError, match="no method 'probit'"):
        fit_designs("probit", [sets[0][0]], sets[0][1])


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (np.array([[1.0, -1, 1, 1]]), "negative"),
        (np.array([[1.0, np.nan, 1, 1]]), "missing or infinite"),
        (np.array([[1.0, np.inf, 1, 1]]), "infinite"),
        (np.array([[1.0, 1, 1, 1], [0, 0, 0, 0]]), "all zero"),
        (np.ones((2, 3)), "do not fit 4 rows"),
        (np.ones((0, 4)), "nothing to fit"),
    ],
)
def test_weights_at_fault(weights: np.ndarray, said: str) -> None:
    x, y = np.array([[1.0, 0], [1, 0], [1, 1], [1, 1]]), np.array([1.0, 0, 1, 0])
    with pytest.raises(ValueError, match=said):
        fit_batch("logistic", x, y, weights)


def test_data_at_fault() -> None:
    x, y = np.array([[1.0, 0], [1, 0], [1, 1], [1, 1]]), np.array([1.0, 0, 1, 0])
    with pytest.raises(ValueError, match="no method 'probit'"):
        fit_batch("probit", x, y)
    with pytest.raises(ValueError, match="design holds values"):
        fit_batch("logistic", np.where(x == 0, np.nan, x), y)
    with pytest.raises(ValueError, match="outcome holds values"):
        fit_batch("logistic", x, np.array([1.0, 0, np.inf, 0]))
    with pytest.raises(ValueError, match="does not fit"):
        fit_batch("logistic", x, y[:3])
    with pytest.raises(ValueError, match="as one array"):
        fit_batch("logistic", x, np.stack([y, y]), iter([np.ones((2, 4))]))
    with pytest.raises(ValueError, match="3 sets of weights do not fit 2 outcomes"):
        fit_batch("logistic", x, np.stack([y, y]), np.ones((3, 4)))
