"""Chained equations on arrays: likelihoods, donors, chains, shifts, what is impossible."""

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import optimize, special

from walkrisk.sensitivity.imputation import Shift, Target, gelman_rubin, prepare, run_chain
from walkrisk.sensitivity.imputation_draws import nearest_donor
from walkrisk.sensitivity.imputation_fits import Rows, fit_multinomial, fit_proportional_odds
from walkrisk.sensitivity.tipping import interval_tipping_point, tipping_point


def cohort(n: int = 400, seed: int = 1) -> dict[str, Any]:
    """Variables of every kind, with a tenth of each missing but of y and x."""
    random = np.random.default_rng(seed)
    x = random.standard_normal(n)
    out = {
        "y": (random.random(n) < special.expit(-1 + x)).astype(float),
        "x": x,
        "amount": 5 + x + random.standard_normal(n),
        "yes": (random.random(n) < special.expit(x)).astype(float),
        "grade": 1.0 + (x[:, None] + random.logistic(size=(n, 1)) > [-1, 0.5]).sum(axis=1),
        "kind": np.argmax(np.outer(x, [0, 0.5, -0.5]) + random.gumbel(size=(n, 3)), axis=1).astype(float),
    }
    for name in ("amount", "yes", "grade", "kind"):
        out[name] = np.where(random.random(n) < 0.1, np.nan, out[name])
    return out


TARGETS = (
    Target(name="amount", kind="pmm"),
    Target(name="yes", kind="binary"),
    Target(name="grade", kind="ordinal"),
    Target(name="kind", kind="nominal"),
)


def chain(shift: Shift | None = None, *, seed: int = 4, cycles: int = 3, data: Any = None) -> Any:
    return run_chain(
        prepare(cohort() if data is None else data, TARGETS, factors=["y"]),
        np.random.default_rng(seed),
        cycles=cycles,
        shift=shift,
    )


@pytest.fixture
def rows() -> Rows:
    random = np.random.default_rng(2)
    x = np.column_stack([np.ones(300), random.standard_normal((300, 2))])
    level = 0 + (x[:, 1] - 0.5 * x[:, 2] + random.logistic(size=300) > np.array([[-1.0], [0.3], [1.4]])).sum(axis=0)
    return Rows((x[:100], x[100:]), level.astype(np.intp), random.uniform(0.5, 2, 300))


def multinomial(b: Any, rows: Rows) -> float:
    x = np.concatenate(rows.blocks)
    eta = np.column_stack([np.zeros(len(x)), x @ b.reshape(3, 3).T])
    return float(rows.weight @ (eta[np.arange(len(x)), rows.level] - special.logsumexp(eta, axis=1)))


def proportional_odds(b: Any, rows: Rows) -> float:
    x = np.concatenate(rows.blocks)[:, 1:]
    below = special.expit(np.concatenate([[-np.inf], b[:3], [np.inf]]) - (x @ b[3:])[:, None])
    return float(rows.weight @ np.log(np.diff(below, axis=1)[np.arange(len(x)), rows.level]))


def hessian(f: Any, b: Any, step: float = 1e-4) -> Any:
    k = len(b)
    out = np.empty((k, k))
    e = step * np.eye(k)
    for i in range(k):
        for j in range(k):
            out[i, j] = f(b + e[i] + e[j]) - f(b + e[i] - e[j]) - f(b - e[i] + e[j]) + f(b - e[i] - e[j])
    return out / (4 * step**2)


@pytest.mark.parametrize(
    ("fit", "likelihood", "use", "start"),
    [
        (fit_multinomial, multinomial, [0, 1, 2], np.zeros(9)),
        (fit_proportional_odds, proportional_odds, [1, 2], np.array([-1.0, 0, 1, 0, 0])),
    ],
)
def test_fits_are_maxima_with_their_information(rows: Rows, fit: Any, likelihood: Any, use: Any, start: Any) -> None:
    found = fit(rows, np.array(use, dtype=np.intp), 4, None)
    other = optimize.minimize(lambda b: -likelihood(b, rows), start, method="BFGS", options={"gtol": 1e-7})
    assert found.converged
    assert likelihood(found.parameters, rows) >= -other.fun - 1e-8
    np.testing.assert_allclose(found.parameters, other.x, atol=2e-4)
    information = found.factor @ found.factor.T
    np.testing.assert_allclose(information, -hessian(lambda b: likelihood(b, rows), other.x), rtol=2e-3, atol=2e-2)
    again = fit(rows, np.array(use, dtype=np.intp), 4, found)  # from a warm start the same place
    np.testing.assert_allclose(again.parameters, found.parameters, atol=1e-4)
    assert again.steps <= 2


def test_donors_are_the_nearest_and_all_of_them_are_taken() -> None:
    fitted = np.random.default_rng(3).standard_normal(50)
    stream = np.random.default_rng(4)
    missing = np.array([-9.0, 0.1, 9.0])
    taken: list[set[int]] = [set(), set(), set()]
    for _ in range(200):
        for i, donor in enumerate(nearest_donor(fitted, missing, 3, stream)):
            taken[i].add(int(donor))
    for value, donors in zip(missing, taken, strict=True):
        assert donors == set(np.argsort(np.abs(fitted - value))[:3])


def test_donors_among_equal_predictions_are_everyone_with_them() -> None:
    fitted = np.repeat([0.0, 1.0], 40)
    stream = np.random.default_rng(5)
    taken = {int(d) for _ in range(60) for d in nearest_donor(fitted, np.zeros(5), 5, stream)}
    assert taken == set(range(40))
    assert set(nearest_donor(np.array([1.0, 2.0]), np.array([1.1]), 5, stream)) <= {0, 1}  # fewer people than donors


def test_a_chain_depends_on_its_stream_alone_and_leaves_its_data() -> None:
    data = cohort()
    before = {name: values.copy() for name, values in data.items()}
    one, two, other = chain(data=data), chain(data=data), chain(seed=5, data=data)
    for name, values in one.values.items():
        np.testing.assert_array_equal(values, two.values[name])
        np.testing.assert_array_equal(data[name], before[name])
    assert any((one.values[n] != other.values[n]).any() for n in one.values)
    assert one.means.shape == one.sds.shape == (3, 4)
    made = prepare(data, TARGETS, factors=["y"])
    assert one.means[-1, made.names.index("amount")] == pytest.approx(one.values["amount"].mean())
    assert one.means[-1, made.names.index("grade")] == pytest.approx(one.values["grade"].mean())


def test_imputed_values_are_possible_ones() -> None:
    data, found = cohort(), chain()
    for name in ("amount", "yes", "grade", "kind"):
        assert set(found.values[name]) <= set(data[name][~np.isnan(data[name])])
        assert len(found.values[name]) == np.isnan(data[name]).sum()


@pytest.mark.parametrize(
    ("name", "level", "of"),
    [
        ("amount", None, lambda v: v.mean()),
        ("yes", None, lambda v: v.mean()),
        ("grade", None, lambda v: v.mean()),
        ("kind", 2.0, lambda v: (v == 2).mean()),
        ("kind", 0.0, lambda v: (v == 0).mean()),
    ],
)
def test_what_is_shifted_moves_with_the_shift(name: str, level: float | None, of: Any) -> None:
    found = [
        of(chain(Shift(name=name, delta=d, level=level), cycles=1).values[name]) for d in (-2.0, -0.5, 0.0, 0.5, 2.0)
    ]
    assert all(a <= b for a, b in itertools.pairwise(found))
    assert found[0] < found[2] < found[-1]
    assert of(chain(cycles=1).values[name]) == found[2]  # no shift and a shift of 0 are the same


def test_a_shift_of_the_outcome_is_one_of_its_log_odds() -> None:
    random = np.random.default_rng(6)
    y = (random.random(40_000) < 0.3).astype(float)
    y[:20_000] = np.nan
    data = {"y": y, "x": random.standard_normal(40_000)}
    made = prepare(data, [Target(name="y", kind="binary")])
    known = special.logit(np.nanmean(y))
    for delta in (-1.0, 0.7):
        found = run_chain(made, np.random.default_rng(7), cycles=1, shift=Shift(name="y", delta=delta)).values["y"]
        assert special.logit(found.mean()) - known == pytest.approx(delta, abs=0.1)


def test_perfect_prediction_is_said_and_stays_finite() -> None:
    data = cohort()
    data["always"] = np.where(data["yes"] == 1, 1.0, 0.0)
    data["always"][np.isnan(data["yes"])] = 1.0
    made = prepare(data, TARGETS, factors=["y", "always"])
    assert any("model of yes" in w and "always" in w for w in made.warnings)
    assert not run_chain(made, np.random.default_rng(1), cycles=2).warnings
    few = prepare({n: data[n] for n in ("x", "yes", "always")}, [Target(name="yes", kind="binary")], factors=["always"])
    draws = [run_chain(few, np.random.default_rng([1, i]), cycles=1).values["yes"].mean() for i in range(300)]
    # R's mice.impute.logreg on these data, 1,000 draws: mean 0.9873, SD 0.029
    assert np.mean(draws) == pytest.approx(0.9873, abs=4 * 0.029 * np.sqrt(1 / 300 + 1 / 1000))


def test_augmented_rows_are_those_of_white_daniel_and_royston() -> None:
    data = {n: v for n, v in cohort().items() if n in ("x", "y", "yes")}
    visit = prepare(data, [Target(name="yes", kind="binary")], factors=["y"]).visits[0]
    known = ~np.isnan(data["yes"])
    x, y = (data["x"] - data["x"].mean()) / data["x"].std(), data["y"]
    rows = []
    for shift_y, shift_x in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        at_y = np.clip(y[known].mean() + shift_y * y[known].std(ddof=1) / 2, 0, 1)
        at_x = x[known].mean() + shift_x * x[known].std(ddof=1) / 2
        rows += [(1.0, at_y, at_x)] * 2
    found = np.round(visit.added[:, [0, 1, 2]], 9)  # the columns stand in the order of the data
    assert sorted(map(tuple, found)) == sorted(map(tuple, np.round(rows, 9)))
    assert visit.added_weight.sum() == pytest.approx(3)  # two predictors and one
    assert list(np.bincount(visit.added_level)) == [4, 4]


def test_collinear_predictors_are_left_out_and_said() -> None:
    data = cohort()
    data["twice"] = 2 * data["x"] + 1
    made = prepare(data, TARGETS, factors=["y"])
    assert [w for w in made.warnings if "twice" in w and "model of amount" in w]
    alone = prepare(cohort(), TARGETS, factors=["y"])
    one = run_chain(made, np.random.default_rng(1), cycles=1)
    np.testing.assert_allclose(
        one.values["amount"], run_chain(alone, np.random.default_rng(1), cycles=1).values["amount"]
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(amount=np.full(400, np.nan)), "missing for everyone"),
        (lambda d: d.update(x=np.where(np.arange(400) < 7, np.nan, d["x"])), "impute it too"),
        (lambda d: d.update(yes=np.where(np.isnan(d["yes"]), np.nan, 1.0)), "one known value"),
        (lambda d: d.update(yes=np.where(d["x"] > 1, 2.0, d["yes"])), "3 values"),
        (lambda d: [d.update({n: d[n][~np.isnan(d[n])][:300]}) for n in ("amount", "yes", "grade", "kind")]
         and d.update(x=d["x"][:300], y=d["y"][:300]), "Nothing is missing"),
        (lambda d: d.update(kind=np.where(np.arange(400) < 5, np.arange(400.0), np.nan)), "parameters"),
    ],
)  # fmt: skip
def test_the_impossible_is_said(change: Any, said: str) -> None:
    data = cohort()
    change(data)
    with pytest.raises(ValueError, match=said):
        prepare(data, TARGETS, factors=["y"])


def test_impossible_shifts_and_cycles_are_said() -> None:
    for shift, said in (
        (Shift(name="x", delta=1.0), "not imputed"),
        (Shift(name="kind", delta=1.0), "needs the level"),
        (Shift(name="kind", delta=1.0, level=9.0), "Nobody has level 9 of kind"),
        (Shift(name="amount", delta=1.0, level=1.0), "no levels"),
        (Shift(name="amount", delta=np.nan), "finite"),
    ):
        with pytest.raises(ValueError, match=said):
            chain(shift)
    with pytest.raises(ValueError, match="at least 1 cycle"):
        chain(cycles=0)


def test_gelman_rubin_by_hand_and_for_chains_apart() -> None:
    random = np.random.default_rng(8)
    traces = random.standard_normal((20, 10, 1))
    kept = traces[:, 2:, 0]
    within, between = kept.var(axis=1, ddof=1).mean(), kept.mean(axis=1).var(ddof=1)
    assert gelman_rubin(list(traces))[0] == pytest.approx(np.sqrt((7 / 8 * within + between) / within))
    assert gelman_rubin(list(traces))[0] < 1.1
    apart = traces + np.arange(20)[:, None, None]
    assert gelman_rubin(list(apart))[0] > 3
    assert np.isnan(gelman_rubin([traces[0]])[0])


def test_tipping_points() -> None:
    shifts = [-2.0, -1.0, 0.0, 1.0, 2.0]
    assert tipping_point(shifts, [-0.4, -0.3, -0.2, 0.2, 0.6]) == pytest.approx(0.5)
    assert tipping_point(shifts, [0.1, -0.1, -0.2, -0.1, 0.3]) == pytest.approx(1.25)  # the nearer to 0 of two
    assert tipping_point(shifts, [-0.4] * 5) is None
    high = [-0.3, -0.2, -0.1, 0.1, 0.3]
    low = [-0.9, -0.8, -0.7, -0.5, -0.3]
    assert interval_tipping_point(shifts, low, high) == pytest.approx(0.5)
    assert interval_tipping_point(shifts, [-1.0] * 5, [-0.1] * 5) is None
    with pytest.raises(ValueError, match="increase"):
        tipping_point([1.0, 0.0], [1.0, 2.0])
