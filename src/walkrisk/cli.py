"""The command line: parse, call, map an error to its exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from walkrisk.commands import comparing, running, schemas, sensing, simulating, starting, verifying
from walkrisk.errors import WalkriskError, where_raised

MOST_SENTENCES = 20


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code.

    0 done, 1 verify found a difference, 2 usage, 3 study, 4 data, 5 model, 6 recording, 70 a bug.
    """
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # small matrices: threads cost more than they give
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except WalkriskError as error:
        if arguments.debug:
            raise
        _say(error)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"Stopped; {_left(arguments)}.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except Exception as error:
        if arguments.debug:
            raise
        print(
            f"walkrisk met a bug of its own ({type(error).__name__}{where_raised(error)}); {_left(arguments)}. "
            "Run the command again with --debug for the full trace (it may show data) and report it.",
            file=sys.stderr,
        )
        return 70


def _left(arguments: argparse.Namespace) -> str:
    return str(getattr(arguments, "when_stopped", "nothing was written"))


def _say(error: WalkriskError) -> None:
    print(f"{error.heading}:", file=sys.stderr)
    for sentence in error.faults[:MOST_SENTENCES]:
        print(f"- {sentence}", file=sys.stderr)
    if len(error.faults) > MOST_SENTENCES:
        print(f"- and {len(error.faults) - MOST_SENTENCES} more; mend these first.", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--quiet", action="store_true", help="say nothing but errors")
    shared.add_argument("--debug", action="store_true", help="show the full trace of an error")
    parser = argparse.ArgumentParser(
        prog="walkrisk", description="Adjusted risk ratios across walking, from data to report."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    for group in (starting, running, sensing, simulating, schemas, verifying, comparing):
        group.add(commands, shared)
    return parser


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"walkrisk {version('walkrisk')}")
        parser.exit()
