"""Measurement error against R (measurement.R, with nlme and sandwich), on 240 persons with 1 to 7 days each.

Estimates and standard errors to 1e-6, but for nlme's REML components to 2e-5 (where its optimiser stops).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from walkrisk.models.design import Design, Linear, build_design
from walkrisk.models.fit import fit_model
from walkrisk.sensitivity.calibration import (
    calibrate,
    expected_spline_basis,
    fit_calibrated,
    measured_by_days,
)
from walkrisk.sensitivity.misclassified_outcome import correct_outcome
from walkrisk.sensitivity.reliability import PersonDays, person_days, reliability, variance_components
from walkrisk.sensitivity.simex import (
    GRID,
    Model,
    Noise,
    PerUnit,
    Quantiles,
    Replicates,
    extrapolate,
    extrapolated,
    replicates,
)

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def r() -> dict[tuple[str, str], float]:
    table = pd.read_csv(HERE / "measurement.csv")
    return {(row.what, row.term): row.value for row in table.itertuples()}


@pytest.fixture(scope="module")
def people() -> dict[str, np.ndarray]:
    table = pd.read_csv(HERE / "measurement_data.csv")
    blocks = {name: table[[f"{name}{d}" for d in range(1, 8)]].to_numpy(dtype=float) for name in ("a", "b", "day")}
    return {"z": table.z.to_numpy(dtype=float), "y": table.y.to_numpy(dtype=float), **blocks}


def full_week(people: dict[str, np.ndarray]) -> PersonDays:
    return person_days(people["a"][~np.isnan(people["a"]).any(axis=1)])


@pytest.mark.parametrize("what", ["unbalanced", "balanced"])
def test_variance_components(r: dict[tuple[str, str], float], people: dict[str, np.ndarray], what: str) -> None:
    persons = person_days(people["a"]) if what == "unbalanced" else full_week(people)
    anova, reml = variance_components(persons), variance_components(persons, method="reml")
    assert anova.between == pytest.approx(r[what, "anova_between"], rel=1e-10)
    assert anova.within == pytest.approx(r[what, "anova_within"], rel=1e-10)
    assert anova.study == pytest.approx(r[what, "study"], rel=1e-10)
    assert reml.between == pytest.approx(r[what, "reml_between"], rel=2e-5)
    assert reml.within == pytest.approx(r[what, "reml_within"], rel=2e-5)
    found = reliability(persons)
    assert found.one_day == pytest.approx((r[what, "icc_low"], r[what, "icc_high"]), rel=1e-8)


def test_weekdays_are_taken_out(r: dict[tuple[str, str], float], people: dict[str, np.ndarray]) -> None:
    persons = person_days(people["a"], weekday=people["day"])
    assert persons.lost == 6
    assert variance_components(persons).within == pytest.approx(r["weekday", "within"], rel=1e-10)
    plain = person_days(people["a"])
    effects = np.array([r["weekday", f"effect{d}"] for d in range(7)])
    means = [
        np.nanmean(a - effects[d[~np.isnan(d)].astype(int)].mean())
        for a, d in zip(people["a"], people["day"], strict=True)
    ]
    np.testing.assert_allclose(persons.mean, means, rtol=1e-10)
    assert (plain.days == persons.days).all()


def design_of(people: dict[str, np.ndarray], names: tuple[str, ...]) -> tuple[Design, np.ndarray]:
    columns = {name: np.nanmean(people[name], axis=1) for name in names} | {"z": people["z"]}
    n = len(people["y"])
    return build_design(columns, [Linear(c) for c in columns], n), np.column_stack([np.ones(n), people["z"]])


@pytest.mark.parametrize(
    ("what", "names", "method"),
    [
        ("calibrated_log", ("a",), "modified_poisson"),
        ("calibrated_logit", ("a",), "logistic"),
        ("calibrated_two", ("a", "b"), "modified_poisson"),
    ],
)
def test_regression_calibration_with_its_stacked_sandwich(
    r: dict[tuple[str, str], float], people: dict[str, np.ndarray], what: str, names: tuple[str, ...], method: str
) -> None:
    design, z = design_of(people, names)
    calibration = calibrate(measured_by_days([people[name] for name in names]), z)
    columns = tuple(range(1, len(names) + 1))
    found = fit_calibrated(method, design, people["y"], calibration, columns)
    v = found.covariance("HC0")
    for i in range(len(names)):
        assert found.coefficients()[i] == pytest.approx(r[what, f"coef{i + 1}"], rel=1e-6)
        assert np.sqrt(v[i, i]) == pytest.approx(r[what, f"se{i + 1}"], rel=1e-6)
        assert np.sqrt(v[i, i]) > r[what, f"fixed_se{i + 1}"] * (1 + 1e-3)  # calibration has added its own
    if len(names) == 2:
        assert v[0, 1] == pytest.approx(r[what, "cov12"], rel=1e-5)
    n = len(people["y"])
    np.testing.assert_allclose(found.covariance("stata"), v * n / (n - 1), rtol=1e-10)


def test_expected_spline_basis(r: dict[tuple[str, str], float]) -> None:
    for mean in (60, 95, 100, 140):
        for sd in (5, 18):
            got = expected_spline_basis(np.array([float(mean)]), np.array([float(sd)]), (70, 100, 130))
            assert got[0] == pytest.approx([mean, r["spline", f"{mean}_{sd}"]], rel=1e-8, abs=1e-10)


class Given:
    """Hands out given noise in the place of a random generator."""

    def __init__(self, columns: np.ndarray) -> None:
        self.columns = iter(columns.T)

    def standard_normal(self, n: int) -> np.ndarray:
        return next(self.columns)


@pytest.mark.parametrize("kind", ["unit", "quartiles"])
def test_simex_on_given_noise(r: dict[tuple[str, str], float], people: dict[str, np.ndarray], kind: str) -> None:
    noise = pd.read_csv(HERE / "measurement_noise.csv", header=None).to_numpy(dtype=float)
    persons = person_days(people["a"])
    model = Model(
        method="modified_poisson",
        z=np.column_stack([np.ones(240), people["z"]]),
        y=people["y"],
        form=PerUnit(10.0) if kind == "unit" else Quantiles(4),
    )
    within = variance_components(persons).within
    error = Noise(exposure=persons.mean, variance=within / persons.days)
    given: list[Replicates] = [
        replicates(model, error, size, 6, Given(noise[:, 6 * i : 6 * i + 6]))  # type: ignore[arg-type]
        for i, size in enumerate(GRID)
    ]
    found = extrapolate(model.alone(persons.mean), GRID, given, extrapolants=("linear", "quadratic"))
    for name, read in found.read.items():
        for c, value in enumerate(read.corrected, start=1):
            assert value == pytest.approx(r[f"simex_{kind}", f"{name}{c}"], rel=1e-6)
            variance = r[f"simex_{kind}", f"{name}_var{c}"]
            if variance > 0:
                assert read.std_errors[c - 1] ** 2 == pytest.approx(variance, rel=1e-6)
            else:
                assert np.isnan(read.std_errors[c - 1])


def test_rational_extrapolant(r: dict[tuple[str, str], float]) -> None:
    values = np.array([-0.1957, -0.1440, -0.1100, -0.0935, -0.0770])
    given = [
        Replicates(estimates=np.full((2, 1), v), variances=np.ones((2, 1)), influence=np.ones((3, 1))) for v in values
    ]
    read = extrapolate(given[0], GRID, given[1:]).read["rational"]
    np.testing.assert_allclose(read.parameters[:, 0], [r["rational", t] for t in "abc"], rtol=1e-4)
    assert read.corrected[0] == pytest.approx(r["rational", "at"], rel=1e-5)
    assert extrapolated("rational", read.parameters, -1.0)[0] == read.corrected[0]


@pytest.mark.parametrize("what", ["score", "score_differential", "likelihood"])
def test_misclassified_outcome(r: dict[tuple[str, str], float], what: str) -> None:
    table = pd.read_csv(HERE / "measurement_outcome.csv")
    g, y = table.g.to_numpy(), table.star.to_numpy(dtype=float)
    columns = {"one": (g == 1).astype(float), "two": (g == 2).astype(float), "v": table.v.to_numpy(dtype=float)}
    design = build_design(columns, [Linear(c) for c in columns], len(y))
    se: np.ndarray | float = 0.75
    sp: np.ndarray | float = 0.95
    if what == "score_differential":
        se, sp = np.where(g == 0, 0.75, 0.85), np.where(g == 0, 0.95, 0.97)
    found = correct_outcome(design.matrix, y, se, sp, estimator=what.partition("_")[0])
    np.testing.assert_allclose(found.coefficients, [r[what, f"coef{i}"] for i in range(4)], rtol=1e-6)
    like = fit_model("modified_poisson", design, y)
    got = np.sqrt(np.diag(found.covariance(like, "HC0")))
    np.testing.assert_allclose(got, [r[what, f"se{i}"] for i in range(4)], rtol=1e-6)
    if what == "likelihood":
        got = np.sqrt(np.diag(found.covariance(like, "model")))
        np.testing.assert_allclose(got, [r[what, f"model_se{i}"] for i in range(4)], rtol=1e-6)
