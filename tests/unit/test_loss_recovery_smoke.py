"""The recovery benchmark of loss to follow-up: those followed are off the truth, weighted they are not."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = FOLDER / "loss_recovery.py"
    if not path.exists():
        pytest.skip("the benchmarks are not part of this distribution")
    spec = importlib.util.spec_from_file_location("loss_recovery_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["loss_recovery_benchmark"] = module
    spec.loader.exec_module(module)
    return module


def test_weights_recover_what_those_followed_do_not(bench: ModuleType) -> None:
    only = ("nobody lost", "those followed", "weighted, V left out", "weighted", "k as it is")
    found = {name: bench.summary(values) for name, values in bench.replicates(60, 3000, 7, only=only).items()}
    for name in ("nobody lost", "weighted", "k as it is"):
        assert abs(found[name]["bias"]) < 4 * found[name]["bias_mcse"], name
        assert found[name]["coverage_estimated"] > 0.85, name
    for name in ("those followed", "weighted, V left out"):
        assert found[name]["bias"] < -5 * found[name]["bias_mcse"], name
    assert found["weighted"]["se_estimated"] < found["weighted"]["se_known"]


def test_imputed_sets_recover_more_than_a_category_of_the_unknown(bench: ModuleType) -> None:
    own, imputed = [name for name in bench.ANALYSES if name.startswith("V unknown")]
    found = bench.replicates(12, 6000, 9, only=("weighted", own, imputed))
    gap = {name: float((values[:, 0] - found["weighted"][:, 0]).mean()) for name, values in found.items()}
    assert gap[own] < -0.03
    assert abs(gap[imputed]) < 0.5 * abs(gap[own])


def test_the_multipliers_are_those_of_a_large_population(bench: ModuleType) -> None:
    np.testing.assert_allclose(bench.true_k(400_000), bench.TRUE_K, rtol=0.03)


def test_a_summary_notices_a_bias(bench: ModuleType) -> None:
    values = np.tile([bench.TRUE[3] - 0.4, 0.1, 0.1], (50, 1)) + np.linspace(-0.1, 0.1, 50)[:, None] * [1.0, 0.0, 0.0]
    found = bench.summary(values)
    assert found["bias"] == pytest.approx(-0.4)
    assert found["coverage_estimated"] == 0.0
    assert bench.table({"some": values}).count("\n") == 2
