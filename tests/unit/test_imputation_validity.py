"""The simulation of benchmarks/imputation_validity.py in small: imputation mends what complete cases get wrong."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "imputation_validity.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    if not SCRIPT.exists():
        pytest.skip("the benchmarks are not part of this distribution")
    spec = importlib.util.spec_from_file_location("imputation_validity", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["imputation_validity"] = module
    spec.loader.exec_module(module)
    module.SETS, module.CYCLES = 3, 3  # type: ignore[attr-defined]
    return module


def test_the_truth_is_the_ratio_of_a_large_population(bench: ModuleType) -> None:
    crowd = bench.people(np.random.default_rng(1), 200_000)
    value, error = bench.fitted(crowd)
    assert abs(value - bench.TRUTH) < 4 * error


@pytest.mark.parametrize(
    ("scenario", "estimator", "complete_case_bias"),
    [
        ("covariates by outcome", "imputed", 0.7),
        ("outcome at random", "imputed", 0.2),
        ("outcome not at random", "imputed, shifted by the true delta", -0.1),
    ],
)
def test_imputation_recovers_what_complete_cases_miss(
    bench: ModuleType, scenario: str, estimator: str, complete_case_bias: float
) -> None:
    """Against the same data with nothing missing, so that few data sets suffice: the difference within 4 errors."""
    found = [dict(bench.estimates(scenario, number)) for number in range(16)]
    value = {name: np.array([one[name][0] for one in found]) for name in found[0]}
    difference = value[estimator] - value["nothing missing"]
    wrong = value["complete cases"] - value["nothing missing"]
    assert abs(difference.mean()) < 4 * difference.std(ddof=1) / 4
    assert abs(difference.mean()) < abs(complete_case_bias) / 2
    assert wrong.mean() / complete_case_bias > 1
