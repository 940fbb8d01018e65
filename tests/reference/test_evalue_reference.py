"""E-values against the R package EValue 4.1.4 (reference/statistics/out/evalue.json), to 1e-12.

Its multi_evalue searches to 1e-4 of the root; those are held to 1e-6 (largest difference seen 4e-7).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from walkrisk.sensitivity.evalue import (
    EValue,
    bias_factor,
    confounding,
    evalue,
    misclassification,
    multi_bias_evalue,
    selection,
)


@pytest.fixture(scope="module")
def r(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "reference/statistics/out/evalue.json").read_text())


def compare(got: EValue, evalues: list[float | None], rtol: float = 1e-12) -> None:
    """R gives the E-value of the point, and of the one limit it considers."""
    (limit,) = [v for v in evalues[1:] if v is not None]
    np.testing.assert_allclose([got.point, got.limit], [evalues[0], limit], rtol=rtol)


def test_risk_ratios(r: dict[str, Any]) -> None:
    assert len(r["RR"]) == 22
    for row in r["RR"]:
        compare(evalue(row["est"], row["lo"], row["hi"]), row["evalues"])


def test_other_true_values(r: dict[str, Any]) -> None:
    row = r["RR_true_1.2"]
    compare(evalue(row["est"], row["lo"], row["hi"], true=1.2), row["evalues"])
    row = r["RR_true_below"]
    compare(evalue(row["est"], row["lo"], row["hi"], true=row["true"]), row["evalues"])


@pytest.mark.parametrize(("name", "rare"), [("common", False), ("rare", True)])
def test_odds_and_hazard_ratios(r: dict[str, Any], name: str, rare: bool) -> None:
    compare(evalue(2, 1.5, 2.7, measure="OR", rare=rare), r[f"OR_{name}"]["evalues"])
    compare(evalue(0.56, 0.46, 0.69, measure="HR", rare=rare), r[f"HR_{name}"]["evalues"])


def test_differences(r: dict[str, Any]) -> None:
    compare(evalue(0.5, measure="MD", std_error=0.25), r["MD"]["evalues"])
    compare(evalue(1.2, measure="OLS", std_error=0.3, sd=2), r["OLS"]["evalues"])
    row = r["RD"]
    got = evalue(measure="RD", counts=(row["n11"], row["n10"], row["n01"], row["n00"]))
    np.testing.assert_allclose([got.point, got.limit], [row["est"], row["lower"]], rtol=1e-12)


def test_several_biases(r: dict[str, Any]) -> None:
    both = multi_bias_evalue(4, 2.5, 6.4, [confounding(), selection("general", "increased risk")])
    compare(both, r["multi_conf_sel"]["evalues"], rtol=1e-6)
    np.testing.assert_allclose(both.point, 2 + math.sqrt(2), rtol=1e-14)
    compare(
        multi_bias_evalue(4, 2.5, 6.4, [confounding(), misclassification("outcome")]),
        r["multi_conf_misY"]["evalues"],
        rtol=1e-6,
    )
    b = r["bias_factor"]
    assert bias_factor(b["RREU"], b["RRUY"]) == b["B"]
