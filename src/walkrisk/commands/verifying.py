"""The command that holds an output folder against its manifest."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from walkrisk.commands.arguments import positive, reference_study

DIFFERS = 1


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add verify."""
    verify = commands.add_parser(
        "verify", parents=[shared], help="whether an output folder is what its manifest says; exit code 1 if not"
    )
    verify.add_argument("folder", type=Path, metavar="DIR", help="what a run left")
    verify.add_argument("--data", type=Path, metavar="FILE", help="run again on these data and compare every output")
    verify.add_argument("--days", type=Path, metavar="FILE", help="the table of days, for a study that read one")
    verify.add_argument("--study", type=Path, metavar="STUDY.toml", help="hold the declaration against the run's too")
    verify.add_argument(
        "--released",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="an earlier release that the run was made beside (may be given again)",
    )
    verify.add_argument("--rerun", action="store_true", help="simulate the extract of a simulated run again, and run")
    verify.add_argument("--jobs", type=positive, default=1, metavar="N", help="analyses side by side (default 1)")
    verify.set_defaults(command=_verify, when_stopped="nothing is left of the rerun")


def _verify(arguments: argparse.Namespace) -> int:
    from walkrisk.comparisons.verifying import verify
    from walkrisk.progress import shown

    study = arguments.study
    if study is None and arguments.rerun and arguments.data is None:
        study = _reference(arguments.folder)
    with shown(quiet=arguments.quiet) as progress:
        found = verify(
            arguments.folder,
            data=arguments.data,
            days=arguments.days,
            study=study,
            released=arguments.released,
            rerun_simulated=arguments.rerun,
            jobs=arguments.jobs,
            progress=progress,
        )
    for sentence in found.faults:
        print(f"- {sentence}", file=sys.stderr)
    if not arguments.quiet:
        for remark in found.notes:
            print(f"Note: {remark}", file=sys.stderr)
        print(found.summary)
    return 0 if found.ok else DIFFERS


def _reference(folder: Path) -> Path | None:
    """The reference study, if it is the one the folder is of."""
    from walkrisk.declarations import read_toml
    from walkrisk.errors import WalkriskError
    from walkrisk.reports.intact import kept_manifest

    try:
        path = reference_study() / "study.toml"
        own = read_toml(path, "a study declaration")["study"]["id"]
    except (WalkriskError, KeyError):
        return None
    return path if kept_manifest(folder).get("study", {}).get("id") == own else None
