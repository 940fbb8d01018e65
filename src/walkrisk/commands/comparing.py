"""The command that compares two runs, or a run and a publication."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add compare."""
    compare = commands.add_parser(
        "compare", parents=[shared], help="what two runs, or a run and a published.toml, have alike, and what not"
    )
    compare.add_argument("a", type=Path, metavar="A", help="output folder of a run, or published numbers (.toml)")
    compare.add_argument("b", type=Path, metavar="B", help="the other")
    compare.add_argument("--out", type=Path, default=None, metavar="DIR", help="leave tables, figures and a page there")
    compare.add_argument("--labels", nargs=2, default=None, metavar=("A", "B"), help="what the two are called")
    compare.set_defaults(command=_compare)


def _compare(arguments: argparse.Namespace) -> int:
    from walkrisk.comparisons.comparing import compare

    labels = tuple(arguments.labels) if arguments.labels else None
    made = compare(arguments.a, arguments.b, out=arguments.out, labels=labels)
    if not arguments.quiet:
        print(made.summary)
    return 0
