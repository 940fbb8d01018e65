"""The command line: parse, call, map an error to its exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from walkrisk.errors import RecordingFault, UsageFault, WalkriskError, where_raised

REFERENCE = "reference.toml"  # in analyses/: names the study of `walkrisk reproduce`
MOST_SENTENCES = 20


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code (0 done, 2 usage, 3 study, 4 data, 5 model, 6 recording, 70 a bug)."""
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
            f"walkrisk met a bug of its own ({type(error).__name__}{where_raised(error)}); nothing was written. "
            "Run the command again with --debug for the full trace (it may show data) and report it.",
            file=sys.stderr,
        )
        return 70


def _left(arguments: argparse.Namespace) -> str:
    if arguments.command is _sensors:
        return "what is finished is kept; the same command goes on from there"
    return "nothing was written"


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
    running = argparse.ArgumentParser(add_help=False, parents=[shared])
    running.add_argument("--data", type=Path, metavar="FILE", help="participants' file: .dta, .sav, .csv or .parquet")
    running.add_argument("--days", type=Path, metavar="FILE", help="days.parquet, for a study that reads days so")
    running.add_argument("--out", type=Path, metavar="DIR", help="output folder (default: reports/STUDY)")
    running.add_argument("--jobs", type=_positive, default=1, metavar="N", help="analyses side by side (default 1)")
    running.add_argument("--seed", type=_natural, default=None, metavar="S", help="seed of everything random")
    running.add_argument(
        "--min-cell", type=_min_cell, default=None, metavar="K", help="suppress counts below K in what is published"
    )
    running.add_argument("--simulated", action="store_true", help="the data are simulated: say so in every output")
    running.add_argument(
        "--sensitivity", action="store_true", help="with the analyses of sensitivity.toml beside the study"
    )
    running.add_argument(
        "--numbers-only", action="store_true", help="write the CSV of numbers and the manifest, no tables or figures"
    )

    parser = argparse.ArgumentParser(
        prog="walkrisk", description="Adjusted risk ratios across walking, from data to report."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    reproduce = commands.add_parser(
        "reproduce", parents=[running], help="the reference study, on an extract or a simulated one"
    )
    reproduce.set_defaults(command=_reproduce)
    run = commands.add_parser("run", parents=[running], help="any study")
    run.add_argument("study", type=Path, metavar="STUDY.toml")
    run.set_defaults(command=_run)
    check = commands.add_parser("check", parents=[shared], help="every fault of a study and its data, without running")
    check.add_argument("study", type=Path, metavar="STUDY.toml")
    check.add_argument("--data", type=Path, metavar="FILE")
    check.add_argument("--days", type=Path, metavar="FILE")
    check.add_argument("--sensitivity", action="store_true", help="with sensitivity.toml beside the study")
    check.set_defaults(command=_check)
    report = commands.add_parser(
        "report", parents=[shared], help="report again from what a run left, without refitting"
    )
    report.add_argument("folder", type=Path, metavar="DIR")
    report.add_argument("--min-cell", type=_min_cell, default=None, metavar="K")
    report.set_defaults(command=_report)
    schema = commands.add_parser("schema", parents=[shared], help="JSON Schema of study.toml, for editors")
    schema.add_argument("--sensors", action="store_true", help="that of sensors.toml instead")
    schema.add_argument("--out", type=Path, metavar="FILE")
    schema.set_defaults(command=_schema)
    _add_sensors(commands, shared)
    simulate = commands.add_parser("simulate", help="simulated data with known truth")
    kinds = simulate.add_subparsers(metavar="KIND", required=True)
    extract = kinds.add_parser("extract", parents=[shared], help="a participants' extract")
    extract.add_argument("--n", type=_positive, default=None, metavar="N", help="participants (default: as declared)")
    extract.add_argument("--seed", type=_natural, default=None, metavar="S")
    extract.add_argument("--out", type=Path, required=True, metavar="FILE", help=".parquet, .csv, .dta or .sav")
    extract.add_argument(
        "--declaration", type=Path, default=None, metavar="SIMULATION.toml", help="default: the reference study's"
    )
    extract.set_defaults(command=_simulate_extract)
    recordings = kinds.add_parser("recordings", parents=[shared], help="thigh and back .cwa pairs, with questionnaires")
    recordings.add_argument("--participants", type=_positive, default=1, metavar="N", help="how many (default 1)")
    recordings.add_argument("--days", type=_days, default=7.0, metavar="D", help="days worn (default 7)")
    recordings.add_argument("--seed", type=_natural, default=2025, metavar="S")
    recordings.add_argument("--out", type=Path, required=True, metavar="DIR")
    recordings.add_argument(
        "--declaration", type=Path, default=None, metavar="SIMULATION.toml", help="default: the one walkrisk carries"
    )
    recordings.set_defaults(command=_simulate_recordings)
    return parser


def _add_sensors(commands: Any, shared: argparse.ArgumentParser) -> None:
    sensors = commands.add_parser("sensors", parents=[shared], help="recordings to daily walking (days.parquet)")
    sensors.add_argument(
        "recordings", type=Path, metavar="RECORDINGS", help="folder of ID_thigh.*, ID_back.*, or a csv manifest"
    )
    sensors.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder; run again to resume")
    sensors.add_argument("--settings", type=Path, default=None, metavar="SENSORS.toml", help="default: as declared")
    sensors.add_argument("--epochs", action="store_true", help="keep the classified epochs of each participant too")
    sensors.add_argument("--no-pictures", action="store_true", help="draw no picture of each participant's week")
    sensors.add_argument("--jobs", type=_positive, default=1, metavar="N", help="participants side by side (default 1)")
    sensors.add_argument(
        "--cluster", default="", metavar="ADDRESS", help="a Dask scheduler to work on, tcp://host:port"
    )
    sensors.set_defaults(command=_sensors)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0.01 <= days <= 60:
        raise argparse.ArgumentTypeError(f"must be a number of days from 0.01 to 60, got {text[:20]!r}")
    return days


def _positive(text: str) -> int:
    return _at_least(1, text)


def _natural(text: str) -> int:
    return _at_least(0, text)


def _min_cell(text: str) -> int:
    value = _at_least(0, text)
    if value == 2:
        raise argparse.ArgumentTypeError("must be 0 (nothing is suppressed) or at least 3: <2 would itself say 1")
    return value


def _at_least(least: int, text: str) -> int:
    if not text.lstrip("-").isdigit() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number of {least} or more, got {text[:20]!r}")
    return int(text)


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"walkrisk {version('walkrisk')}")
        parser.exit()


def reference_study() -> Path:
    """The folder of the reference study: in analyses/ inside an installed package, or beside src/ in a checkout."""
    import tomllib

    here = Path(__file__).resolve().parent
    for folder in (here / "analyses", here.parents[1] / "analyses"):
        if (folder / REFERENCE).is_file():
            named = tomllib.loads((folder / REFERENCE).read_text(encoding="utf-8"))
            return folder / str(named["study"])
    raise UsageFault(
        "The declared studies (analyses/) are not beside this installation; give `walkrisk run` a study.toml."
    )


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
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from walkrisk.runs.run import check_files

    sentences = check_files(arguments.study, arguments.data, days=arguments.days, sensitivity=arguments.sensitivity)
    if not arguments.quiet:
        print("\n".join(sentences))
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from walkrisk.runs.run import report_again

    finished = report_again(arguments.folder, min_cell=arguments.min_cell)
    if not arguments.quiet:
        print(finished.summary)
    return 0


def _schema(arguments: argparse.Namespace) -> int:
    import json

    if arguments.sensors:
        from walkrisk.sensors.settings import sensors_schema as schema
    else:
        from walkrisk.studies.declaration import study_schema as schema

    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    if arguments.out:
        try:
            arguments.out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageFault(
                f"{arguments.out} cannot be written ({type(error).__name__}); choose another --out."
            ) from None
    else:
        sys.stdout.write(text)
    return 0


def _simulate_extract(arguments: argparse.Namespace) -> int:
    from walkrisk.simulation import load_simulation, simulate, write_extract

    if arguments.out.exists() and not arguments.out.with_suffix(".truth.json").exists():
        raise UsageFault(f"{arguments.out} exists and is no simulated extract; choose another --out.")
    simulation = load_simulation(arguments.declaration or reference_study() / "simulation.toml")
    n = arguments.n if arguments.n is not None else simulation.defaults.n
    seed = arguments.seed if arguments.seed is not None else simulation.defaults.seed
    extract = simulate(simulation, n=n, seed=seed)
    write_extract(extract, arguments.out)
    if not arguments.quiet:
        print(
            f"{arguments.out}: {n} simulated participants, seed {seed}; "
            f"the truth is in {arguments.out.with_suffix('.truth.json').name}"
        )
    return 0


def _sensors(arguments: argparse.Namespace) -> int:
    from walkrisk.progress import shown
    from walkrisk.sensors.run import run_sensors

    with shown(quiet=arguments.quiet) as progress:
        finished = run_sensors(
            arguments.recordings,
            out=arguments.out,
            settings=arguments.settings or reference_study() / "sensors.toml",
            epochs=arguments.epochs,
            pictures=not arguments.no_pictures,
            jobs=arguments.jobs,
            cluster=arguments.cluster,
            progress=progress,
        )
    if not arguments.quiet:
        for note in finished.notes:
            print(f"Note: {note}", file=sys.stderr)
        print(finished.summary)
    if finished.unread:
        print(f"{finished.unread} recording(s) came to nothing; quality.csv says why.", file=sys.stderr)
    return RecordingFault.exit_code if finished.unread else 0


def _simulate_recordings(arguments: argparse.Namespace) -> int:
    from walkrisk.progress import shown
    from walkrisk.simulation.recording_declaration import load_mix
    from walkrisk.simulation.recordings import simulate_recordings

    mix = load_mix(arguments.declaration or reference_study().parent / "simulated_recordings.toml")
    with shown(quiet=arguments.quiet) as progress:
        simulate_recordings(
            arguments.out,
            participants=arguments.participants,
            days=arguments.days,
            seed=arguments.seed,
            mix=mix,
            progress=progress,
        )
    if not arguments.quiet:
        print(f"{arguments.out}: recordings of {arguments.participants} simulated participant(s); truth/ beside them.")
    return 0
