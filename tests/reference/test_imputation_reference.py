"""One model at a time against R's mice (imputation.R): what is imputed for each person, over many draws.

R drew 2,000 times, walkrisk 600. Where both sides draw, a mean is held within Monte Carlo error of both: mean and
standard deviation of the average over missing people within 4 standard errors, and the mean of squared z over the
people near 1. mice's polr and polyreg do not draw parameters, so those are compared with `proper=False`, and proper
draws must then vary more between sets.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from walkrisk.sensitivity.imputation import Target, prepare, run_chain

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


def test_proper_draws_add_the_variance_of_the_parameters(data: dict[str, Any]) -> None:
    for name in ("grade", "kind"):
        fixed, _ = drawn(data, name, proper=False)
        proper, _ = drawn(data, name, proper=True)
        low = fixed.min()
        assert (proper == low).mean(axis=1).var() > 1.2 * (fixed == low).mean(axis=1).var()
