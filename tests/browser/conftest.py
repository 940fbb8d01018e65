"""Two finished runs of a small study, one with sensitivity analyses, and a browser to look at them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import walkrisk
from walkrisk.runs.run import run_file

from .looking import start_browser

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of a run without sensitivity analyses and of one with them, the second of data said to be real."""
    folder = tmp_path_factory.mktemp("reports")
    shutil.copy(HERE / "small_study.toml", folder / "study.toml")
    shutil.copy(HERE / "small_sensitivity.toml", folder / "sensitivity.toml")
    cohort = walkrisk.example_cohort(1500, seed=3)
    lost = np.random.default_rng(1).random(len(cohort)) < 0.08
    cohort["event"] = cohort["event"].astype(float).mask(lost)
    cohort.insert(0, "person", np.arange(len(cohort)))
    cohort.to_parquet(folder / "cohort.parquet", index=False)
    found = {}
    for name, sensitivity in (("small", False), ("sensitivity", True)):
        found[name] = folder / name
        run_file(
            folder / "study.toml",
            data=folder / "cohort.parquet",
            out=found[name],
            simulated=not sensitivity,
            sensitivity=sensitivity,
        )
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Headless Chromium, closed with the module: only one may be driven in a process at a time. Skips without one."""
    with start_browser() as started:
        yield started
