"""What several commands share: numbers given as options, and the folder of the reference study."""

from __future__ import annotations

import argparse
from pathlib import Path

from walkrisk.errors import UsageFault

REFERENCE = "reference.toml"  # in analyses/: names the study of `walkrisk reproduce`


def days(text: str) -> float:
    """A number of days from 0.01 to 60."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.01 <= value <= 60:
        raise argparse.ArgumentTypeError(f"must be a number of days from 0.01 to 60, got {text[:20]!r}")
    return value


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    return _at_least(1, text)


def natural(text: str) -> int:
    """A whole number of 0 or more."""
    return _at_least(0, text)


def min_cell(text: str) -> int:
    """The least count that is shown: 0, or 3 or more."""
    value = _at_least(0, text)
    if value == 2:
        raise argparse.ArgumentTypeError("must be 0 (nothing is suppressed) or at least 3: <2 would itself say 1")
    return value


def base(text: str) -> int:
    """The base of rounding counts: 0, or 3 or more."""
    value = _at_least(0, text)
    if value in (1, 2):
        raise argparse.ArgumentTypeError("must be 0 (counts stay exact) or at least 3; 5 is usual")
    return value


def _at_least(least: int, text: str) -> int:
    if not text.lstrip("-").isdigit() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number of {least} or more, got {text[:20]!r}")
    return int(text)


def reference_study() -> Path:
    """The folder of the reference study: in analyses/ inside an installed package, or beside src/ in a checkout."""
    import tomllib

    package = Path(__file__).resolve().parents[1]
    for folder in (package / "analyses", package.parents[1] / "analyses"):
        if (folder / REFERENCE).is_file():
            named = tomllib.loads((folder / REFERENCE).read_text(encoding="utf-8"))
            return folder / str(named["study"])
    raise UsageFault(
        "The declared studies (analyses/) are not beside this installation; give `walkrisk run` a study.toml."
    )
