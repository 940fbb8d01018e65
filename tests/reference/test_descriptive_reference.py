"""Group tests and adjusted P values against R (reference/statistics/out/misc.json)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from walkrisk.estimates.descriptive_tests import (
    chi_square,
    fisher_exact,
    kruskal_wallis,
    one_way_anova,
    t_test,
    wilcoxon_rank_sum,
)
from walkrisk.estimates.multiplicity import adjust_p_values

FloatArray = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def r(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "reference/statistics/out/misc.json").read_text())


def test_group_tests(r: dict[str, Any], shared: Path) -> None:
    d = pd.read_csv(shared / "reference/statistics/data/nhefs.csv")

    def split(name: str, by: str) -> list[FloatArray]:
        return [d.loc[d[by] == level, name].to_numpy(dtype=np.float64) for level in sorted(d[by].dropna().unique())]

    def counts(name: str) -> FloatArray:
        return pd.crosstab(d[name], d["qsmk"]).to_numpy(dtype=np.float64)

    quit_ = split("age", "qsmk")
    got = {
        "age_t": t_test(*quit_),
        "age_t_equal": t_test(*quit_, equal_variances=True),
        "age_wilcox": wilcoxon_rank_sum(*quit_),
        "sex_chisq": chi_square(counts("sex"), continuity=False),
        "sex_chisq_cc": chi_square(counts("sex")),
        "education_chisq": chi_square(counts("education")),
        "race_fisher": fisher_exact(counts("race")),
        "age_kruskal_by_education": kruskal_wallis(split("age", "education")),
        "age_anova_by_education": one_way_anova(split("age", "education")),
    }
    assert set(got) == set(r["table1_tests"])
    for name, expected in r["table1_tests"].items():
        np.testing.assert_allclose(got[name].p_value, expected, rtol=1e-8, err_msg=name)


def test_adjusted_p_values(r: dict[str, Any]) -> None:
    rows = r["p_adjust"]
    for theirs, mine in (("holm", "holm"), ("BH", "benjamini_hochberg"), ("bonferroni", "bonferroni")):
        np.testing.assert_allclose(adjust_p_values(rows["p"], mine), rows[theirs], rtol=1e-12)
