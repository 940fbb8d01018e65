"""Many specifications at once against the single fit of each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.estimates.standardisation import risk_covariance, standardise
from walkrisk.models import many_specifications
from walkrisk.models.covariance import covariance
from walkrisk.models.design import Linear, Spline, Term, build_design, factor
from walkrisk.models.fit import fit_model
from walkrisk.models.many_specifications import Contrasts, Wanted, fit_specifications
from walkrisk.models.specification_columns import ExposureColumns, covariate_block, exposure_columns

FloatArray = npt.NDArray[np.float64]
N = 900


@pytest.fixture(scope="module")
def people() -> dict[str, FloatArray]:
    random = np.random.default_rng(3)
    age = random.normal(54, 14, N)
    out = {
        "age": age,
        "sex": random.integers(0, 2, N).astype(float),
        "school": random.integers(1, 5, N).astype(float),
        "x": random.gamma(4, 25, N) - 0.4 * age + 40,
    }
    risk = np.exp(-1.6 + 0.006 * age - 0.004 * out["x"] + 0.2 * out["sex"])
    out["y"] = (random.random(N) < np.minimum(risk, 0.95)).astype(float)
    out["severe"] = out["y"] * (random.random(N) < 0.6)
    return out


def covariates_of(people: dict[str, FloatArray]) -> list[Term]:
    return [Linear("age"), factor("sex", people["sex"]), factor("school", people["school"])]


def forms(
    people: dict[str, FloatArray], rows: npt.NDArray[np.bool_]
) -> list[tuple[Term, dict[str, FloatArray], list[float]]]:
    """A term, the columns it reads, and its two values: categories, a line, a spline."""
    x = people["x"]
    group = 1.0 + np.searchsorted(np.quantile(x[rows], [0.25, 0.5, 0.75]), x)
    third = 1.0 + np.searchsorted(np.quantile(x[rows], [1 / 3, 2 / 3]), x)
    ends = [float(v) for v in np.quantile(x[rows], [0.85, 0.15])]
    return [
        (factor("group", group), {"group": group}, [4.0, 1.0]),
        (factor("third", third), {"third": third}, [3.0, 1.0]),
        (Linear("x"), {"x": x}, ends),
        (Spline("x", tuple(np.quantile(x[rows], [0.1, 0.5, 0.9]).tolist())), {"x": x}, ends),
    ]


def columns_of(
    term: Term, columns: dict[str, FloatArray], ends: list[float], rows: npt.NDArray[np.bool_]
) -> ExposureColumns:
    matrix = build_design(columns, [term], N).matrix[:, 1:]
    name = next(iter(columns))
    high, low = (build_design({name: np.array([v])}, [term], 1).matrix[0, 1:] for v in ends)
    made = exposure_columns(matrix, rows, high=high, low=low)
    assert made is not None
    return made


def single(
    people: dict[str, FloatArray], method: str, term: Term, columns: dict[str, FloatArray], ends: list[float],
    outcome: str, weights: FloatArray, *, marginal: bool,
) -> tuple[float, float]:  # fmt: skip
    """Log ratio and HC0 standard error by the ordinary fit."""
    rows = weights > 0
    data = {n: v[rows] for n, v in {**people, **columns}.items()}
    terms = [term, *covariates_of(people)]
    n, name = int(rows.sum()), next(iter(columns))
    design = build_design(data, terms, n)
    fit = fit_model(method, design, data[outcome], weights=weights[rows])
    scenes = {str(i): build_design({**data, name: np.full(n, v)}, terms, n) for i, v in enumerate(ends)}
    if marginal:
        risks = standardise(fit, scenes, y=data[outcome], weights=weights[rows])
        v = risk_covariance(risks, fit, "HC0")
        slope = np.array([1, -1]) / risks.risks
        return float(np.log(risks.risks[0] / risks.risks[1])), float(np.sqrt(slope @ v @ slope))
    contrast = scenes["0"].matrix[0] - scenes["1"].matrix[0]
    return float(contrast @ fit.coefficients), float(np.sqrt(contrast @ covariance(fit, "HC0") @ contrast))


@pytest.mark.parametrize(
    ("method", "marginal"),
    [("modified_poisson", False), ("logistic", False), ("logistic", True), ("modified_poisson", True)],
)
def test_each_is_the_single_fit(people: dict[str, FloatArray], method: str, marginal: bool) -> None:
    block = covariate_block(build_design(people, covariates_of(people), N).matrix, np.ones(N, dtype=bool))
    assert block is not None
    random = np.random.default_rng(1)
    weightings = [
        np.ones(N),
        (random.random(N) < 0.7).astype(float),
        random.uniform(0.5, 2, N) * (random.random(N) < 0.8),
    ]
    for place in range(4):
        wanted, singles = [], []
        for weights in weightings:
            for outcome in ("y", "severe"):
                term, columns, ends = forms(people, weights > 0)[place]
                wanted.append(Wanted(columns_of(term, columns, ends, weights > 0), people[outcome], weights))
                singles.append(single(people, method, term, columns, ends, outcome, weights, marginal=marginal))
        found = fit_specifications(method, block, wanted, marginal=marginal)
        assert found.accepted.all()
        assert found.relative_score.max() < 1e-9
        log_ratio, se = (np.array(v) for v in zip(*singles, strict=True))
        np.testing.assert_allclose(found.log_ratio, log_ratio, rtol=0, atol=1e-10)
        np.testing.assert_allclose(np.sqrt((found.influence**2).sum(axis=1)), se, rtol=1e-8)


def test_what_is_not_a_maximum_is_left_to_the_single_fit(
    people: dict[str, FloatArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    everyone = np.ones(N, dtype=bool)
    block = covariate_block(build_design(people, covariates_of(people), N).matrix, everyone)
    assert block is not None
    term, columns, ends = forms(people, everyone)[0]
    made = columns_of(term, columns, ends, everyone)
    nobody_ill = people["y"] * (columns["group"] != 4)
    no_level = (people["school"] != 3).astype(float)
    wanted = [
        Wanted(made, people["y"], np.ones(N)),
        Wanted(made, nobody_ill, np.ones(N)),
        Wanted(made, people["y"], no_level),
    ]
    found = fit_specifications("modified_poisson", block, wanted)
    assert found.accepted.tolist() == [True, False, False]
    assert np.isnan(found.log_ratio[1:]).all()
    alone = fit_specifications("modified_poisson", block, wanted[:1])
    assert found.log_ratio[0] == pytest.approx(alone.log_ratio[0], abs=1e-13)
    monkeypatch.setattr(many_specifications, "STEERING", (1,))
    monkeypatch.setattr(many_specifications, "PASSES", 2)
    short: Contrasts = fit_specifications(
        "modified_poisson", block, [replace(wanted[0], start=np.zeros(block.q.shape[1]))]
    )
    assert not short.accepted.any()


def test_collinear_columns_make_no_block(people: dict[str, FloatArray]) -> None:
    matrix = build_design(people, covariates_of(people), N).matrix
    everyone = np.ones(N, dtype=bool)
    assert covariate_block(np.column_stack([matrix, 2 * matrix[:, 1] - 1]), everyone) is None
    assert covariate_block(np.column_stack([matrix, np.ones(N)]), everyone) is None
    assert exposure_columns(np.column_stack([people["x"], 3 * people["x"]]), everyone, high=[1, 3], low=[0, 0]) is None


def test_unknown_methods_are_refused(people: dict[str, FloatArray]) -> None:
    block = covariate_block(build_design(people, covariates_of(people), N).matrix, np.ones(N, dtype=bool))
    assert block is not None
    with pytest.raises(ValueError, match="not for 'log_binomial'"):
        fit_specifications("log_binomial", block, [])
