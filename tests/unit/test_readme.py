"""The Python of the README runs, as it stands there."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"


def blocks() -> list[str]:
    """Python blocks that need no file of the reader's."""
    found = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return [text for text in found if "example_cohort" in text]


def test_there_is_python_in_the_readme() -> None:
    assert len(blocks()) == 1


@pytest.mark.parametrize("text", blocks())
def test_the_python_of_the_readme_runs(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    space: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(text, "README.md", "exec"), space)
    assert "risk_ratio" in capsys.readouterr().out
