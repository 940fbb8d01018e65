"""The recovery benchmark of measurement error: as measured the ratios are off, corrected they are not."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = FOLDER / "measurement_recovery.py"
    if not path.exists():
        pytest.skip("the benchmarks are not part of this distribution")
    spec = importlib.util.spec_from_file_location("measurement_recovery_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["measurement_recovery_benchmark"] = module
    spec.loader.exec_module(module)
    return module


def test_calibration_and_simex_recover_what_is_measured_with_error(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "FITS", 5)
    rng = np.random.default_rng(12)
    slopes = bench.gathered([bench.one_set("normal", 2500, rng)[0] for _ in range(30)])
    found = {name: bench.summary(values, bench.SLOPE) for name, values in slopes.items()}
    for name in ("usual exposure, if it were known", "calibrated", "SIMEX, rational"):
        assert abs(found[name]["median"] - bench.SLOPE) < 5 * found[name]["bias_mcse"], name
    assert found["calibrated"]["coverage"] >= 0.8
    assert found["as measured"]["bias"] > 10 * found["as measured"]["bias_mcse"]
    assert found["as measured"]["coverage"] < 0.5
    left = found["SIMEX, quadratic"]["bias"] / found["as measured"]["bias"]
    assert -0.1 < left < 0.5  # a quadratic function leaves part of the bias


def test_a_corrected_outcome_recovers_what_is_misreported(bench: ModuleType) -> None:
    rng = np.random.default_rng(13)
    outcomes = bench.gathered([bench.outcome_set(3000, rng) for _ in range(40)])
    found = {name: bench.summary(values, bench.EXPOSED) for name, values in outcomes.items()}
    for name in ("corrected, score", "corrected, likelihood"):
        assert abs(found[name]["bias"]) < 4 * found[name]["bias_mcse"], name
    assert found["as answered"]["bias"] > 4 * found["as answered"]["bias_mcse"]
