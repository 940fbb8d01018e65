"""The command that drafts a study for a participants' file."""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from walkrisk.errors import DataFault, ModelFault, UsageFault

if TYPE_CHECKING:
    from walkrisk.studies.roles import Roles


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add new."""
    new = commands.add_parser("new", parents=[shared], help="draft a study.toml from the columns of a data file")
    new.add_argument("data", type=Path, metavar="DATA", help="participants' file: .dta, .sav, .csv or .parquet")
    new.add_argument("--out", type=Path, required=True, metavar="STUDY.toml", help="the study to write")
    new.add_argument("--id", default="", metavar="COL", help="column of ids (default: found)")
    new.add_argument("--outcome", default="", metavar="COL", help="column of the outcome")
    new.add_argument("--event", default=None, metavar="VALUE", help="its value, or label, that is an event")
    new.add_argument("--exposure", nargs="+", action="extend", default=[], metavar="COL", help="column(s) of exposures")
    new.add_argument(
        "--covariates", nargs="*", action="extend", default=None, metavar="COL", help="default: age and sex, if found"
    )
    new.add_argument("--days", type=Path, metavar="FILE", help="days.parquet of walkrisk sensors, for its walking")
    new.add_argument("--title", default="", metavar="TITLE", help="title of the study")
    new.add_argument("--ask", action="store_true", help="ask for what is not given, even where nobody seems to answer")
    new.set_defaults(command=_new)


def _new(arguments: argparse.Namespace) -> int:
    from walkrisk.cohorts.profiles import profile_file
    from walkrisk.commands.asking import ask_wishes
    from walkrisk.studies.declaration import study_from
    from walkrisk.studies.draft_days import check_table_of_days, day_values
    from walkrisk.studies.drafting import Request, draft
    from walkrisk.studies.guesses import guesses, plain_name
    from walkrisk.studies.roles import Wishes, resolve

    out: Path = arguments.out
    _check_free(out)
    file = profile_file(arguments.data)
    if arguments.days:
        check_table_of_days(profile_file(arguments.days))
    columns = guesses(file)
    values = day_values() if arguments.days else ()
    wishes = Wishes(
        id=arguments.id,
        outcome=arguments.outcome,
        event=arguments.event,
        exposures=tuple(arguments.exposure),
        covariates=None if arguments.covariates is None else tuple(arguments.covariates),
    )
    incomplete = not wishes.outcome or not (wishes.exposures or values)
    if arguments.ask or (incomplete and sys.stdin.isatty()):
        wishes = ask_wishes(wishes, columns, values, ask=input, say=print)
    roles = resolve(wishes, columns, values)
    request = Request(
        id=plain_name(out.stem, "study"),
        title=arguments.title,
        study_file=out.name,
        days_file=arguments.days.name if arguments.days else "",
    )
    text = draft(request, roles, columns, file)
    study_from(tomllib.loads(text))
    _write(out, text)
    arguments.when_stopped = f"{out.name} was written"
    if not arguments.quiet:
        _say(arguments, roles)
    return 0


def _check_free(out: Path) -> None:
    if out.suffix.lower() != ".toml":
        raise UsageFault(f"{out.name}: a study is a .toml file; give --out such a name, for example my_study.toml.")
    if out.exists():
        raise UsageFault(f"{out} is there already, and would be lost; choose another --out, or move it away.")
    if not out.absolute().parent.is_dir():
        raise UsageFault(f"There is no folder {out.parent}; make it, or choose another --out.")


def _write(out: Path, text: str) -> None:
    beside = out.with_name(f".{out.name}.writing")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        os.replace(beside, out)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageFault(f"{out} cannot be written ({type(error).__name__}); choose another --out.") from None


def _say(arguments: argparse.Namespace, roles: Roles) -> None:
    """What was written, what a check of it finds, and the commands that come next."""
    from walkrisk.runs.checking import check_files
    from walkrisk.studies.draft_parts import words
    from walkrisk.studies.guesses import clean

    event = roles.outcome.levels[roles.event]
    exposures = words([clean(c.source) for c in roles.exposures])
    covariates = words([clean(c.source) for c in roles.covariates]) if roles.covariates else "nothing"
    print(f"{arguments.out} is written.")
    print(f"  id: {clean(roles.id.source) or 'the row names'}")
    print(f"  outcome: {clean(roles.outcome.source)} ({clean(event)} is an event)")
    print(f"  exposure: {exposures}, adjusted for {covariates}")
    print("Everything else the file has is in it as comments.")
    try:
        print("\n".join(check_files(arguments.out, arguments.data, days=arguments.days)))
    except (DataFault, ModelFault) as fault:
        print("The data do not go with it yet:", *(f"- {sentence}" for sentence in fault.faults), sep="\n")
    days = f" --days {arguments.days}" if arguments.days else ""
    print("Read it through and correct what was guessed. Then:")
    print(f"  walkrisk check {arguments.out} --data {arguments.data}{days}")
    print(f"  walkrisk run {arguments.out} --data {arguments.data}{days} --out results")
