"""Fits told honestly: closed forms, cells without events, collinear columns, maxima that are not there."""

from __future__ import annotations

import gzip
import math
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import statsmodels.api as sm

from walkrisk.models.covariance import covariance
from walkrisk.models.design import Design, Factor, Linear, Product, Term, build_design, factor
from walkrisk.models.fit import Fit, fit_model
from walkrisk.models.fit_sentences import _not_converged

Array = npt.NDArray[np.float64]
METHODS = ["modified_poisson", "log_binomial", "logistic"]


def two_by_two(a: int, n1: int, b: int, n0: int) -> tuple[dict[str, Array], Array]:
    """n1 exposed with a cases, n0 unexposed with b cases."""
    exposed = np.repeat([1.0, 0.0], [n1, n0])
    y = np.concatenate([np.repeat([1.0, 0.0], [a, n1 - a]), np.repeat([1.0, 0.0], [b, n0 - b])])
    return {"e": exposed}, y


def fit_of(
    columns: dict[str, Array], terms: list[Term], y: Array, method: str = "modified_poisson", **kw: object
) -> Fit:
    return fit_model(method, build_design(columns, terms, len(y)), y, **kw)  # type: ignore[arg-type]


# ---------------------------------------------------------------- closed forms


@pytest.mark.parametrize("counts", [(12, 40, 20, 100), (3, 7, 5, 9), (1, 1000, 30, 900), (50, 60, 10, 20)])
@pytest.mark.parametrize("method", ["modified_poisson", "log_binomial"])
@pytest.mark.parametrize("engine", ["newton", "statsmodels"])
def test_the_crude_ratio_is_that_of_the_two_risks(counts: tuple[int, ...], method: str, engine: str) -> None:
    """RR = (a/n1)/(b/n0), and the robust variance of its log is 1/a - 1/n1 + 1/b - 1/n0."""
    a, n1, b, n0 = counts
    columns, y = two_by_two(*counts)
    fit = fit_of(columns, [factor("e", columns["e"])], y, method, engine=engine)
    assert fit.converged
    np.testing.assert_allclose(math.exp(fit.coefficients[1]), (a / n1) / (b / n0), rtol=1e-10)
    np.testing.assert_allclose(covariance(fit, "HC0")[1, 1], 1 / a - 1 / n1 + 1 / b - 1 / n0, rtol=1e-9)


def test_the_crude_odds_ratio_is_that_of_the_table() -> None:
    columns, y = two_by_two(12, 40, 20, 100)
    fit = fit_of(columns, [factor("e", columns["e"])], y, "logistic")
    np.testing.assert_allclose(math.exp(fit.coefficients[1]), (12 * 80) / (28 * 20), rtol=1e-10)
    np.testing.assert_allclose(covariance(fit, "model")[1, 1], 1 / 12 + 1 / 28 + 1 / 20 + 1 / 80, rtol=1e-9)


def test_whole_weights_are_copies_of_people() -> None:
    rng = np.random.default_rng(5)
    x, y, w = rng.normal(size=60), (rng.random(60) < 0.4).astype(float), rng.integers(1, 4, 60).astype(float)
    copies = np.repeat(np.arange(60), w.astype(int))
    weighted = fit_of({"x": x}, [Linear("x")], y, weights=w)
    copied = fit_of({"x": x[copies]}, [Linear("x")], y[copies])
    np.testing.assert_allclose(weighted.coefficients, copied.coefficients, rtol=1e-10)
    np.testing.assert_allclose(covariance(weighted, "model"), covariance(copied, "model"), rtol=1e-9)
    np.testing.assert_allclose(weighted.log_likelihood, copied.log_likelihood, rtol=1e-10)


# ---------------------------------------------------------------- statsmodels, another program


def random_data(seed: int) -> tuple[dict[str, Array], list[Term], Array, Array]:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(150, 500))
    columns = {
        "g": rng.integers(1, 5, n).astype(float),
        "x": rng.normal(50, 12, n),
        "tiny": rng.normal(0, 1e-4, n),
        "date": 17_500 + rng.integers(0, 700, n).astype(float),
        "s": rng.integers(0, 2, n).astype(float),
    }
    risk = np.exp(-2 + 0.1 * (columns["g"] - 1) + 0.01 * (columns["x"] - 50) + 0.2 * columns["s"])
    y = (rng.random(n) < risk).astype(float)
    terms = [factor("g", columns["g"]), Linear("x"), Linear("tiny"), Linear("date"), factor("s", columns["s"])]
    return columns, terms, y, rng.uniform(0.2, 3, n)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_coefficients_are_those_of_statsmodels(seed: int, weighted: bool, method: str) -> None:
    columns, terms, y, w = random_data(seed)
    design = build_design(columns, terms, len(y))
    fit = fit_model(method, design, y, weights=w if weighted else None)
    assert fit.converged
    scaled = design.matrix / np.abs(design.matrix).max(axis=0)  # statsmodels inverts; a date beside 1e-4 is too much
    families = {
        "modified_poisson": sm.families.Poisson(),
        "logistic": sm.families.Binomial(),
        "log_binomial": sm.families.Binomial(sm.families.links.Log()),
    }
    start = fit.coefficients * np.abs(design.matrix).max(axis=0) if method == "log_binomial" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = sm.GLM(y, scaled, family=families[method], freq_weights=w if weighted else None).fit(
            start_params=start, tol=1e-13, tol_criterion="params", maxiter=200
        )
    expected = other.params / np.abs(design.matrix).max(axis=0)
    eta = design.matrix @ fit.coefficients
    np.testing.assert_allclose(eta, design.matrix @ expected, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(fit.log_likelihood, other.llf, rtol=1e-9)


# ---------------------------------------------------------------- cells without events


def grouped(events: dict[int, tuple[int, int]]) -> tuple[Array, Array]:
    """Group codes and outcomes from group -> (cases, people)."""
    codes = np.concatenate([np.full(people, float(g)) for g, (_, people) in events.items()])
    y = np.concatenate([np.repeat([1.0, 0.0], [c, people - c]) for c, people in events.values()])
    return codes, y


@pytest.mark.parametrize("empty", [2, 3])
def test_a_level_without_events_leaves_the_others_as_they_are_without_it(empty: int) -> None:
    groups = {1: (25, 90), 2: (27, 85), 3: (29, 95)}
    groups[empty] = (0, 20)
    codes, y = grouped(groups)
    x = np.random.default_rng(1).normal(size=len(y))
    fit = fit_of({"g": codes, "x": x}, [factor("g", codes), Linear("x")], y)
    rest = codes != empty
    alone = fit_of({"g": codes[rest], "x": x[rest]}, [factor("g", codes[rest]), Linear("x")], y[rest])
    assert fit.converged
    assert (fit.n, fit.events, int(fit.rows.sum())) == (len(y), int(y.sum()), int(rest.sum()))
    assert np.isnan(fit.coefficients[empty - 1])
    np.testing.assert_allclose(fit.coefficients[fit.estimated], alone.coefficients, rtol=1e-12)
    np.testing.assert_allclose(covariance(fit, "HC0"), covariance(alone, "HC0"), rtol=1e-12)
    np.testing.assert_allclose(covariance(fit, "stata") / covariance(fit, "HC0"), fit.n / (fit.n - 1))
    assert fit.warnings == (f"g {empty} has no cases (20 people): its fitted risk is 0 and it has no risk ratio.",)


def test_the_limit_is_what_a_fit_runs_towards() -> None:
    """The robust variance of the others, with the level's dummy pushed to a risk of e^-25, is the one given here."""
    codes, y = grouped({1: (5, 30), 2: (0, 25), 3: (9, 35)})
    x = np.random.default_rng(2).normal(size=len(y))
    design = build_design({"g": codes, "x": x}, [factor("g", codes), Linear("x")], len(y))
    fit = fit_model("modified_poisson", design, y)
    beta = np.where(np.isnan(fit.coefficients), -25.0, fit.coefficients)
    mu = np.exp(design.matrix @ beta)
    bread = np.linalg.inv((design.matrix * mu[:, None]).T @ design.matrix)
    u = design.matrix * (y - mu)[:, None]
    v = bread @ u.T @ u @ bread
    at = [0, 2, 3]
    np.testing.assert_allclose(v[np.ix_(at, at)], covariance(fit, "HC0"), rtol=1e-6)


def test_a_reference_without_events_gives_no_ratio_but_other_coefficients_stand() -> None:
    codes, y = grouped({1: (0, 30), 2: (27, 85), 3: (29, 95)})
    x = np.random.default_rng(1).normal(size=len(y))
    g = factor("g", codes)
    fit = fit_of({"g": codes, "x": x}, [g, Linear("x")], y)
    rest = codes != 1
    alone = fit_of({"g": codes[rest], "x": x[rest]}, [factor("g", codes[rest]), Linear("x")], y[rest])
    assert fit.converged
    assert fit.no_reference == {g}
    np.testing.assert_allclose(fit.coefficients[3], alone.coefficients[2], rtol=1e-10)
    assert fit.warnings == ("g 1 has no cases (30 people): its fitted risk is 0 and it has no risk ratio.",)


def test_a_product_cell_without_events() -> None:
    """The cell's rows go, its product coefficient is not estimated, the likelihood is that of the limit."""
    rng = np.random.default_rng(7)
    g, s = rng.integers(1, 4, 300).astype(float), rng.integers(0, 2, 300).astype(float)
    y = (rng.random(300) < 0.3).astype(float)
    y[(g == 3) & (s == 1)] = 0
    gf, sf = factor("g", g), factor("s", s)
    fit = fit_of({"g": g, "s": s}, [gf, sf, Product(gf, sf)], y)
    assert fit.converged
    assert fit.estimated.tolist() == [True, True, True, True, True, False]
    people = int(((g == 3) & (s == 1)).sum())
    assert fit.warnings == (
        f"g 3 with s 1 has no cases ({people} people): its fitted risk is 0 and it has no risk ratio.",
    )
    counts = [(y[(g == a) & (s == b)].sum(), ((g == a) & (s == b)).sum()) for a in (1, 2, 3) for b in (0, 1)]
    saturated = sum(c * math.log(c / n) - c for c, n in counts if c)
    np.testing.assert_allclose(fit.log_likelihood, saturated, rtol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_nobody_with_the_outcome_is_said(method: str) -> None:
    codes = np.repeat([1.0, 2.0], 10)
    fit = fit_of({"g": codes}, [factor("g", codes)], np.zeros(20), method)
    assert not fit.converged
    assert np.isnan(fit.coefficients).all()
    assert fit.warnings[-1] == "Nobody in this sample has the outcome, so no risk ratio can be estimated."
    assert (fit.n, fit.events) == (20, 0)


# ---------------------------------------------------------------- collinear columns, risks above 1


def test_of_collinear_columns_the_later_goes_and_is_named() -> None:
    rng = np.random.default_rng(3)
    x, z = rng.normal(size=80), rng.normal(size=80)
    y = (rng.random(80) < 0.4).astype(float)
    columns = {"x": x, "z": z, "both": 2 * x - 3 * z + 1}
    fit = fit_of(columns, [Linear("x"), Linear("z"), Linear("both")], y)
    without = fit_of(columns, [Linear("x"), Linear("z")], y)
    assert fit.estimated.tolist() == [True, True, True, False]
    np.testing.assert_allclose(fit.coefficients[:3], without.coefficients, rtol=1e-10)
    (sentence,) = fit.warnings
    assert sentence.startswith("both: a combination of earlier columns, so left out")
    turned = fit_of(columns, [Linear("both"), Linear("x"), Linear("z")], y)
    assert turned.estimated.tolist() == [True, True, True, False]


def test_a_covariate_that_repeats_the_exposure_goes_and_the_exposure_stays() -> None:
    codes, y = grouped({1: (5, 30), 2: (7, 25), 3: (9, 35)})
    g = factor("g", codes)
    fit = fit_of({"g": codes, "high": (codes == 3).astype(float)}, [g, Linear("high")], y)
    assert fit.estimated.tolist() == [True, True, True, False]


def test_nearly_collinear_is_not_collinear() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=200)
    columns = {"x": x, "almost": x + 1e-4 * rng.normal(size=200)}
    fit = fit_of(columns, [Linear("x"), Linear("almost")], (rng.random(200) < 0.4).astype(float))
    assert fit.estimated.all()
    assert fit.converged


def test_fitted_risks_above_one_are_said() -> None:
    x = np.linspace(0, 1, 60)
    y = (x > 0.5).astype(float)
    fit = fit_of({"x": x}, [Linear("x")], y)
    assert fit.max_fitted_risk > 1
    above = int((np.exp(fit.coefficients[0] + fit.coefficients[1] * x) > 1).sum())
    assert fit.warnings[0].startswith(f"{above} fitted risks exceed 1 (largest {fit.max_fitted_risk:.3f})")


# ---------------------------------------------------------------- where there is no maximum


def says_not_converged(fit: Fit) -> bool:
    return not fit.converged and any("did not converge" in sentence for sentence in fit.warnings)


def separated() -> tuple[dict[str, Array], Array]:
    """Every case has x = 0: the ratio per unit of x runs to 0."""
    rng = np.random.default_rng(1)
    x, y = rng.exponential(1, 60), (rng.random(60) < 0.4).astype(float)
    return {"x": np.where(y == 1, 0.0, x)}, y


def gives_nothing(fit: Fit, column: int) -> bool:
    """Says something, and has no estimate of a coefficient that has none."""
    return bool(fit.warnings) and not (fit.converged and fit.estimable[column])


@pytest.mark.parametrize("engine", ["newton", "statsmodels"])
@pytest.mark.parametrize("method", METHODS)
def test_a_covariate_that_separates_has_no_estimate(method: str, engine: str) -> None:
    columns, y = separated()
    assert gives_nothing(fit_of(columns, [Linear("x")], y, method, engine=engine), 1)


@pytest.mark.parametrize("engine", ["newton", "statsmodels"])
@pytest.mark.parametrize("seed", range(3))
def test_complete_separation_has_no_odds_ratio(seed: int, engine: str) -> None:
    x = np.sort(np.random.default_rng(seed).normal(size=60))
    y = (x > 0.1).astype(float)
    assert gives_nothing(fit_of({"x": x}, [Linear("x")], y, "logistic", engine=engine), 1)


@pytest.mark.parametrize("engine", ["newton", "statsmodels"])
def test_a_separating_covariate_beside_an_exposure_leaves_the_exposure_as_it_is_without_those_people(
    engine: str,
) -> None:
    """Cases have x = 0. Among people with x = 0 the exposure's ratios are those of the limit; x has none."""
    codes, y = grouped({1: (9, 30), 2: (7, 25), 3: (5, 35)})
    x = np.where(y == 1, 0.0, np.random.default_rng(1).integers(0, 3, len(y)))
    fit = fit_of({"g": codes, "x": x}, [factor("g", codes), Linear("x")], y, engine=engine)
    assert gives_nothing(fit, 3)
    if fit.converged:
        rest = x == 0
        alone = fit_of({"g": codes[rest]}, [factor("g", codes[rest])], y[rest])
        np.testing.assert_allclose(fit.coefficients[1:3], alone.coefficients[1:], rtol=1e-7)


@pytest.mark.parametrize("engine", ["newton", "statsmodels"])
def test_an_exposure_that_only_the_separated_people_tell_from_a_covariate_has_no_ratio(engine: str) -> None:
    """Without the people of group 2 with h = 0, who have no cases, group and h are the same: the ratio of the group
    runs to 0 as that of h runs to infinity, and the 1.5 of the remaining people is the ratio of neither alone."""
    codes = np.repeat([1.0, 2.0, 2.0, 1.0], [30, 20, 25, 0])
    h = np.repeat([0.0, 0.0, 1.0, 1.0], [30, 20, 25, 0])
    y = np.concatenate([np.repeat([1.0, 0.0], [8, 22]), np.zeros(20), np.repeat([1.0, 0.0], [10, 15])])
    fit = fit_of({"g": codes, "h": h}, [factor("g", codes), Linear("h")], y, engine=engine)
    assert fit.converged
    assert int(fit.rows.sum()) == 55
    np.testing.assert_allclose(np.exp(fit.coefficients[1]), (10 / 25) / (8 / 30), rtol=1e-8)
    assert not fit.estimable[1]
    assert "set 20 people apart" in " ".join(fit.warnings)


@pytest.mark.parametrize(
    ("method", "engine"), [("log_binomial", "statsmodels"), ("logistic", "newton"), ("logistic", "statsmodels")]
)
def test_a_level_where_everyone_has_the_outcome_has_no_estimate_and_is_said(method: str, engine: str) -> None:
    codes, y = grouped({1: (10, 20), 2: (20, 20), 3: (9, 20)})
    assert gives_nothing(fit_of({"g": codes}, [factor("g", codes)], y, method, engine=engine), 1)


def test_a_level_where_everyone_has_the_outcome_is_the_boundary_of_a_log_binomial_model() -> None:
    codes, y = grouped({1: (10, 20), 2: (20, 20), 3: (9, 20)})
    fit = fit_of({"g": codes}, [factor("g", codes)], y, "log_binomial")
    assert (fit.converged, fit.boundary, fit.wald) == (True, True, False)
    np.testing.assert_allclose(np.exp(fit.coefficients), [0.5, 2.0, 0.9], rtol=1e-10)
    assert fit.warnings == (
        "20 people in 1 covariate pattern have a fitted risk of 1: the maximum lies on the boundary, where standard "
        "errors do not hold, so limits and P values are by profile likelihood.",
    )
    assert np.isnan(covariance(fit, "model")).all()


def test_small_risks_are_not_separation() -> None:
    """Far out in the tail of a skewed covariate fitted risks fall below any threshold; the maximum is there all the
    same, and nobody is set aside."""
    rng = np.random.default_rng(4)
    x = rng.exponential(1, 400)
    x[:3] = [60.0, 80.0, 100.0]
    y = (rng.random(400) < np.exp(-0.7 - 0.6 * x)).astype(float)
    fit = fit_of({"x": x}, [Linear("x")], y)
    assert fit.converged
    assert fit.estimable.all()
    assert fit.warnings == ()


def test_modified_poisson_has_no_trouble_where_everyone_has_the_outcome() -> None:
    codes, y = grouped({1: (10, 20), 2: (20, 20), 3: (9, 20)})
    fit = fit_of({"g": codes}, [factor("g", codes)], y)
    assert fit.converged
    np.testing.assert_allclose(np.exp(fit.coefficients[1]), 2, rtol=1e-10)
    assert fit.warnings == ()


BOUNDARY = {
    "two_points": (np.repeat([0.0, 1.0, 2.0], 4), np.array([0.0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 1, 1])),
}


def test_a_maximum_on_the_boundary_is_an_estimate_without_standard_errors() -> None:
    """The best line of log risks reaches 1 at x = 2, so the score is not 0 there."""
    x, y = BOUNDARY["two_points"]
    fit = fit_of({"x": x}, [Linear("x")], y, "log_binomial")
    assert (fit.converged, fit.boundary, fit.wald) == (True, True, False)
    np.testing.assert_allclose(fit.coefficients[0] + 2 * fit.coefficients[1], 0, atol=1e-12)
    assert np.isnan(fit.bread).all()
    assert np.isnan(covariance(fit, "HC0")).all()
    assert says_not_converged(fit_of({"x": x}, [Linear("x")], y, "log_binomial", engine="statsmodels"))


def shared_data(shared: Path, name: str) -> pd.DataFrame:
    path = shared / "reference" / "statistics" / "data" / name
    if not path.is_file():
        pytest.skip(f"../shared/reference/statistics/data/{name} is not here")
    return pd.read_csv(gzip.open(path) if path.suffix == ".gz" else path)


def shared_design(table: pd.DataFrame, linear: list[str], factors: list[str]) -> Design:
    columns = {name: table[name].to_numpy(dtype=float) for name in [*linear, *factors]}
    terms: list[Term] = [Linear(name) for name in linear] + [factor(name, columns[name]) for name in factors]
    return build_design(columns, terms, len(table))


@pytest.mark.parametrize(
    ("name", "outcome", "linear", "factors"),
    [
        ("birthwt.csv", "low", ["age", "lwt", "smoke", "ptd", "ht", "ui"], ["race"]),
        ("boundary10.csv", "y", ["x"], []),
        ("wcgs_cc.csv", "chd69", ["dibpat0", "age0", "sbp0", "chol0", "bmi", "ncigs0", "arcus0"], []),
    ],
)
def test_another_engine_claims_nothing_on_the_boundary(
    shared: Path, name: str, outcome: str, linear: list[str], factors: list[str]
) -> None:
    table = shared_data(shared, name)
    if table[outcome].dtype == object:
        table[outcome] = (table[outcome] == table[outcome].max()).astype(float)
    design, y = shared_design(table, linear, factors), table[outcome].to_numpy(dtype=float)
    assert says_not_converged(fit_model("log_binomial", design, y, engine="statsmodels"))
    assert fit_model("log_binomial", design, y).boundary


def test_a_factor_is_a_term_with_its_labels() -> None:
    made = factor("g", np.array([1.0, 2.0]), {1: "low"})
    assert isinstance(made, Factor)
    assert made.labels == ("low", "2")


# ---------------------------------------------------------------- identity links


@pytest.mark.parametrize("method", ["identity_binomial", "identity_poisson", "linear"])
@pytest.mark.parametrize("counts", [(12, 40, 20, 100), (0, 40, 20, 100), (5, 5, 1, 30)])
def test_the_crude_difference_is_that_of_the_two_risks(method: str, counts: tuple[int, ...]) -> None:
    """A group without cases, or with nothing else, has a risk like any other."""
    a, n1, b, n0 = counts
    columns, y = two_by_two(*counts)
    fit = fit_of(columns, [factor("e", columns["e"])], y, method)
    assert fit.converged
    assert fit.rows.all()
    np.testing.assert_allclose(fit.coefficients, [b / n0, a / n1 - b / n0], rtol=1e-9)
    on_edge = (method == "identity_binomial" and a in (0, n1)) or (method == "identity_poisson" and a == 0)
    assert fit.boundary == on_edge
    if not on_edge:
        expected = a * (n1 - a) / n1**3 + b * (n0 - b) / n0**3
        np.testing.assert_allclose(covariance(fit, "HC0")[1, 1], expected, rtol=1e-8)


def test_least_squares_has_the_residual_variance_of_a_textbook() -> None:
    columns, y = two_by_two(12, 40, 20, 100)
    fit = fit_of(columns, [factor("e", columns["e"])], y, "linear")
    squares = 12 * 28 / 40 + 20 * 80 / 100
    np.testing.assert_allclose(fit.dispersion, squares / 138, rtol=1e-12)
    np.testing.assert_allclose(fit.log_likelihood, sm.OLS(y, fit.x).fit().llf, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights": np.array([1.0, -1.0, 1.0, 1.0])}, "0 or more"),
        ({"weights": np.zeros(4)}, "All weights are 0"),
        ({"weights": np.array([1.0, np.nan, 1.0, 1.0])}, "finite"),
        ({"y": np.array([0.0, 2.0, 1.0, 1.0])}, "0 or 1"),
        ({"x": np.array([0.0, np.inf, 1.0, 1.0])}, "x: values that are missing or infinite"),
        ({"method": "probit"}, "no method 'probit'"),
    ],
)
def test_misuse_is_a_sentence(change: dict[str, object], words: str) -> None:
    given: dict[str, object] = {"x": np.array([0.0, 1.0, 2.0, 3.0]), "y": np.array([0.0, 1.0, 0.0, 1.0]), **change}
    design = Design(np.column_stack([np.ones(4), given["x"]]), ("Intercept", "x"), {}, {})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=words):
        fit_model(
            str(given.get("method", "modified_poisson")),
            design,
            given["y"],  # type: ignore[arg-type]
            weights=given.get("weights"),  # type: ignore[arg-type]
        )


def test_observed_and_expected_information_are_both_kept() -> None:
    columns, terms, y, _ = random_data(3)
    design = build_design(columns, terms, len(y))
    for method, same in (("modified_poisson", True), ("logistic", True), ("log_binomial", False)):
        fit = fit_model(method, design, y)
        assert fit.expected_bread is not None
        assert np.allclose(fit.bread, fit.expected_bread, rtol=1e-6) == same
        assert fit.working is not None
        np.testing.assert_allclose(
            np.linalg.inv((fit.x * fit.working[:, None]).T @ fit.x), fit.expected_bread, rtol=1e-5, atol=1e-9
        )
        assert fit.certificate is not None
        assert fit.certificate.verdict == "interior"
        assert fit.certificate.gap < 1e-12


@pytest.mark.parametrize("method", METHODS)
def test_only_a_log_binomial_fit_is_told_to_try_modified_poisson(method: str) -> None:
    said = _not_converged(method, 7, 0.1, 0.5)
    assert ("Modified Poisson of the same model" in said) == (method == "log_binomial")
    assert said.endswith(".")
