"""One model at a time against R's mice (imputation.R): what is imputed for each person, over many draws.

R drew 2,000 times, walkrisk 600. Where both sides draw, a mean is held within Monte Carlo error of both: mean and
standard deviation of the average over missing people within 4 standard errors, and the mean of squared z over the
people near 1. mice's polr and polyreg do not draw parameters, so those are compared with `proper=False`, and proper
draws must then vary more between sets.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from walkrisk.models.covariance import covariance
from walkrisk.models.design import Linear, build_design, factor
from walkrisk.models.fit import fit_model
from walkrisk.sensitivity.imputation import Target, prepare, run_chain
from walkrisk.sensitivity.pooling import pool_coefficients, pool_fits

HERE = Path(__file__).parent
DRAWS = 600
KINDS = {"amount": "normal", "skewed": "pmm", "yes": "binary", "grade": "ordinal", "kind": "nominal"}
PREDICTORS = ("x1", "x2", "x3")


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    table = pd.read_csv(HERE / "imputation_data.csv")
    return {name: table[name].to_numpy(dtype=np.float64) for name in table}


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    return pd.read_csv(HERE / "imputation.csv", dtype={"level": str}, keep_default_na=False)


def drawn(data: dict[str, Any], name: str, *, proper: bool) -> Any:
    """Imputed values (draws, missing people), and the rows of the people from 1."""
    columns = {n: data[n] for n in (*PREDICTORS, name)}
    made = prepare(columns, [Target(name=name, kind=KINDS[name])], factors=["x3"])  # type: ignore[arg-type]
    values = [
        run_chain(made, np.random.default_rng([3, i]), cycles=1, proper=proper).values[name] for i in range(DRAWS)
    ]
    return np.array(values), made.visit(name).rows + 1


@pytest.mark.parametrize("name", list(KINDS))
def test_imputed_values_are_distributed_as_those_of_mice(
    data: dict[str, Any], reference: pd.DataFrame, name: str
) -> None:
    values, people = drawn(data, name, proper=KINDS[name] in ("normal", "pmm", "binary"))
    mine = reference[reference.target == name]
    for level, rows in mine.groupby("level"):
        of = values if level == "" else (values == float(str(level))).astype(float)
        overall, each = rows[rows.person == 0].iloc[0], rows[rows.person > 0]
        assert list(each.person) == list(people)
        average = of.mean(axis=1)
        error = np.hypot(average.std(ddof=1) / np.sqrt(DRAWS), overall.sd / np.sqrt(overall.draws))
        assert abs(average.mean() - overall["mean"]) < 4 * error
        assert average.std(ddof=1) == pytest.approx(overall.sd, rel=4 * np.sqrt(0.5 / DRAWS + 0.5 / overall.draws))
        spread = np.hypot(of.std(axis=0, ddof=1) / np.sqrt(DRAWS), each.sd.to_numpy() / np.sqrt(overall.draws))
        z = (of.mean(axis=0) - each["mean"].to_numpy()) / np.maximum(spread, 1e-3)
        assert np.mean(z**2) < 1 + 6 * np.sqrt(2 / len(z))
        assert np.abs(z).max() < 5
        assert of.std(axis=0, ddof=1).mean() == pytest.approx(each.sd.mean(), rel=0.03)


def test_proper_draws_add_the_variance_of_the_parameters(data: dict[str, Any]) -> None:
    for name in ("grade", "kind"):
        fixed, _ = drawn(data, name, proper=False)
        proper, _ = drawn(data, name, proper=True)
        low = fixed.min()
        assert (proper == low).mean(axis=1).var() > 1.2 * (fixed == low).mean(axis=1).var()


# ---------------------------------------------------------------- pooled


def imputed_sets(data: dict[str, Any]) -> pd.DataFrame:
    """Five sets of the whole data, each completed by its own chain; to 8 digits."""
    targets = [Target(name=name, kind=kind) for name, kind in KINDS.items()]  # type: ignore[arg-type]
    shared = prepare(data, targets, factors=["x3"])
    tables = []
    for number in range(5):
        chain = run_chain(shared, np.random.default_rng([8, number]))
        table = pd.DataFrame(data)
        for visit in shared.visits:
            table.loc[visit.rows, visit.target.name] = chain.values[visit.target.name]
        tables.append(table.assign(set=number + 1))
    return pd.concat(tables)


def test_pooled_over_our_own_sets_as_mice_pools() -> None:
    """Given the sets' own numbers (R's), pooled quantities agree to 1e-8; so do the fits of each set."""
    table = pd.read_csv(HERE / "imputation_sets.csv.gz")
    rows = pd.read_csv(HERE / "imputation_pooled.csv")
    sets = [{n: part[n].to_numpy(dtype=np.float64) for n in part} for _, part in table.groupby("set")]
    assert len(sets) == 5
    for method, variance in (("logistic", "model"), ("modified_poisson", "HC0")):
        fits = []
        for s in sets:
            terms = [Linear("x1"), Linear("x2"), Linear("amount"), factor("kind", s["kind"], {1: "1", 2: "2", 3: "3"})]
            fits.append(fit_model(method, build_design(s, terms, len(s["yes"])), s["yes"]))
        pooled = pool_fits(fits, variance)
        theirs = rows[rows.model == method]
        mine = {
            "estimate": pooled.estimates, "std_error": pooled.std_errors, "df": pooled.df, "p": pooled.p_values,
            "low": pooled.conf_low, "high": pooled.conf_high, "fmi": pooled.fmi, "riv": pooled.riv,
            "lambda": pooled.lambda_, "ubar": np.diag(pooled.within), "b": np.diag(pooled.between),
            "t": np.diag(pooled.total),
        }  # fmt: skip
        for name, values in mine.items():  # small P values magnify what R's vcov leaves in a standard error
            rtol = 1e-7 if name == "p" else 1e-8
            np.testing.assert_allclose(values, theirs[name], rtol=rtol, atol=1e-12, err_msg=f"{method} {name}")
    q = rows[rows.model == "each set"].estimate.to_numpy().reshape(5, -1)
    se = rows[rows.model == "each set"].std_error.to_numpy().reshape(5, -1)
    np.testing.assert_allclose([f.coefficients for f in fits], q, rtol=1e-10)
    np.testing.assert_allclose([np.sqrt(np.diag(covariance(f, "HC0"))) for f in fits], se, rtol=1e-8)
    exact = pool_coefficients(fits[0].names, q, np.array([np.diag(v**2) for v in se]), dfcom=fits[0].n - q.shape[1])
    theirs = rows[rows.model == "modified_poisson"]
    for name, values in (
        ("fmi", exact.fmi),
        ("df", exact.df),
        ("low", exact.conf_low),
        ("std_error", exact.std_errors),
    ):
        np.testing.assert_allclose(values, theirs[name], rtol=1e-10, err_msg=name)


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    kept = pd.read_csv(HERE / "imputation_data.csv").astype(float)
    made = imputed_sets({name: kept[name].to_numpy() for name in kept})
    made.to_csv(
        HERE / "imputation_sets.csv.gz", index=False, float_format="%.8g", compression={"method": "gzip", "mtime": 0}
    )
