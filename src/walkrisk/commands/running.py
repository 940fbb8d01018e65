"""The commands that carry a study out, check it, and report again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from walkrisk.commands.arguments import base, min_cell, natural, positive, reference_study

EXACT_NUMBERS = (
    "THE CSV FILES OF NUMBERS ARE EXACT: this folder is the analyst's own and must not leave the house. Run again "
    "without --exact-numbers for a folder to publish."
)


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add reproduce, run, check and report."""
    running = argparse.ArgumentParser(add_help=False, parents=[shared])
    running.add_argument("--data", type=Path, metavar="FILE", help="participants' file: .dta, .sav, .csv or .parquet")
    running.add_argument("--days", type=Path, metavar="FILE", help="days.parquet, for a study that reads days so")
    running.add_argument("--out", type=Path, metavar="DIR", help="output folder (default: reports/STUDY)")
    running.add_argument("--jobs", type=positive, default=1, metavar="N", help="analyses side by side (default 1)")
    running.add_argument("--seed", type=natural, default=None, metavar="S", help="seed of everything random")
    running.add_argument(
        "--min-cell", type=min_cell, default=None, metavar="K", help="suppress counts below K in what is published"
    )
    running.add_argument(
        "--round-counts", type=base, default=None, metavar="B", help="round counts to multiples of B (0: exact)"
    )
    running.add_argument(
        "--released",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="an earlier release of this study, beside which nothing may be worked out (may be given again)",
    )
    running.add_argument(
        "--exact-numbers", action="store_true", help="leave the CSV of numbers exact: a folder not to be published"
    )
    running.add_argument("--simulated", action="store_true", help="the data are simulated: say so in every output")
    running.add_argument(
        "--sensitivity", action="store_true", help="with the analyses of sensitivity.toml beside the study"
    )
    running.add_argument(
        "--numbers-only", action="store_true", help="write the CSV of numbers and the manifest, no tables or figures"
    )

    reproduce = commands.add_parser(
        "reproduce", parents=[running], help="the reference study, on an extract or a simulated one"
    )
    reproduce.set_defaults(command=_reproduce)
    run = commands.add_parser("run", parents=[running], help="any study")
    run.add_argument("study", type=Path, metavar="STUDY.toml", help="the declaration")
    run.set_defaults(command=_run)
    check = commands.add_parser("check", parents=[shared], help="every fault of a study and its data, without running")
    check.add_argument("study", type=Path, metavar="STUDY.toml", help="the declaration")
    check.add_argument("--data", type=Path, metavar="FILE", help="participants' file, checked too")
    check.add_argument("--days", type=Path, metavar="FILE", help="table of days, checked too")
    check.add_argument("--sensitivity", action="store_true", help="with sensitivity.toml beside the study")
    check.set_defaults(command=_check)
    report = commands.add_parser(
        "report", parents=[shared], help="report again from what a run left, without refitting"
    )
    report.add_argument("folder", type=Path, metavar="DIR", help="what a run left")
    report.add_argument(
        "--min-cell", type=min_cell, default=None, metavar="K", help="as for run; by default that of the run"
    )
    report.add_argument(
        "--round-counts", type=base, default=None, metavar="B", help="as for run; by default that of the run"
    )
    report.add_argument(
        "--released", type=Path, action="append", default=[], metavar="DIR", help="as for run, with exact numbers"
    )
    report.add_argument(
        "--study", type=Path, metavar="STUDY.toml", help="a declaration changed in titles, labels, tables, figures only"
    )
    report.add_argument("--jobs", type=positive, default=1, metavar="N", help="pictures side by side (default 1)")
    report.set_defaults(command=_report)


def _reproduce(arguments: argparse.Namespace) -> int:
    arguments.study = reference_study() / "study.toml"
    return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    from walkrisk.progress import shown
    from walkrisk.runs.run import run_file
    from walkrisk.studies.kinds import is_resampled

    with shown(quiet=arguments.quiet) as progress:
        finished = run_file(
            arguments.study,
            data=arguments.data,
            days=arguments.days,
            out=arguments.out,
            jobs=arguments.jobs,
            seed=arguments.seed,
            min_cell=arguments.min_cell,
            round_counts=arguments.round_counts,
            exact_numbers=arguments.exact_numbers,
            released=arguments.released,
            simulated=arguments.simulated,
            numbers_only=arguments.numbers_only,
            sensitivity=arguments.sensitivity,
            progress=progress,
        )
    if not arguments.quiet:
        if arguments.seed is not None and arguments.data is not None and not is_resampled(finished.study):
            print("Note: --seed has no effect on given data: nothing in this study is random.", file=sys.stderr)
        for warning in finished.warnings:
            print(f"Note: {warning}", file=sys.stderr)
        print(finished.summary)
    if arguments.exact_numbers:
        print(EXACT_NUMBERS, file=sys.stderr)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from walkrisk.runs.checking import check_files

    sentences = check_files(arguments.study, arguments.data, days=arguments.days, sensitivity=arguments.sensitivity)
    if not arguments.quiet:
        print("\n".join(sentences))
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from walkrisk.progress import shown
    from walkrisk.runs.reporting import report_again

    with shown(quiet=arguments.quiet) as progress:
        finished = report_again(
            arguments.folder,
            declared=arguments.study,
            min_cell=arguments.min_cell,
            round_counts=arguments.round_counts,
            released=arguments.released,
            jobs=arguments.jobs,
            progress=progress,
        )
    if not arguments.quiet:
        print(finished.summary)
    return 0
