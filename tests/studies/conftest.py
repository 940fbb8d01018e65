"""A small simulated extract of the reference study's shape, and a way to run the command line on a spoilt one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from walkrisk.cli import main
from walkrisk.simulation import load_simulation, simulate

ANALYSES = Path(__file__).resolve().parents[2] / "analyses"
REFERENCE = ANALYSES / "walking_low_back_pain"


@pytest.fixture(scope="session")
def reference_toml() -> Path:
    return REFERENCE / "study.toml"


@pytest.fixture(scope="session")
def simulated_frame() -> pd.DataFrame:
    return simulate(load_simulation(REFERENCE / "simulation.toml"), n=3000, seed=5).frame


@dataclass(frozen=True)
class Outcome:
    """What a command answered."""

    code: int
    stdout: str
    stderr: str
    out: Path


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command line; `out` is a fresh folder given as --out to commands that take one."""

    def call(*arguments: str | Path, out: bool = True) -> Outcome:
        folder = tmp_path / "results"
        words = [str(a) for a in arguments] + (["--out", str(folder)] if out else [])
        try:
            code = main(words)
        except SystemExit as stop:  # argparse
            code = int(stop.code or 0)
        said = capsys.readouterr()
        return Outcome(code, said.out, said.err, folder)

    return call
