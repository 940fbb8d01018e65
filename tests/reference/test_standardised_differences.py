"""Standardised mean differences against base R (standardised_differences.R), to 1e-12."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from walkrisk.cohorts.cohort import Variable
from walkrisk.estimates.characteristics import TOTAL, describe
from walkrisk.estimates.group_differences import standardised_differences

HERE = Path(__file__).resolve().parent
GROUPS = ("a", "b", "c")
VARIABLES = (
    Variable("age", "Age"),
    Variable("sex", "Sex", levels={0: "0", 1: "1"}),
    Variable("smoking", "Smoking", levels={0: "0", 1: "1", 2: "2"}),
    Variable("income", "Income", levels={i: str(i) for i in range(1, 6)}),
)


def differences(groups: tuple[str, ...]) -> dict[str, float | None]:
    data = pd.read_csv(HERE / "standardised_differences_data.csv")
    columns = {v.name: data[v.name].to_numpy(dtype=np.float64) for v in VARIABLES}
    masks = {g: (data["group"] == g).to_numpy() for g in groups} | {TOTAL: np.ones(len(data), dtype=bool)}
    rows = list(describe("t", columns, VARIABLES, masks))
    return {r.variable: r.value for r in standardised_differences(rows)}


@pytest.mark.parametrize("groups", [GROUPS, *combinations(GROUPS, 2)])
def test_differences_are_those_of_r(groups: tuple[str, ...]) -> None:
    r = pd.read_csv(HERE / "standardised_differences.csv").set_index(["variable", "groups"])["smd"]
    name = "largest" if len(groups) == 3 else "-".join(groups)
    got = differences(groups)
    assert list(got) == [v.name for v in VARIABLES]
    for variable, value in got.items():
        assert value == pytest.approx(float(r[variable, name]), rel=1e-12)
