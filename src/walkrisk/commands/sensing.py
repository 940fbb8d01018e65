"""The command that takes recordings to daily walking."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from walkrisk.commands.arguments import positive, reference_study
from walkrisk.errors import RecordingFault


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add sensors."""
    sensors = commands.add_parser("sensors", parents=[shared], help="recordings to daily walking (days.parquet)")
    sensors.add_argument(
        "recordings", type=Path, metavar="RECORDINGS", help="folder of ID_thigh.*, ID_back.*, or a csv manifest"
    )
    sensors.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder; run again to resume")
    sensors.add_argument("--settings", type=Path, default=None, metavar="SENSORS.toml", help="default: as declared")
    sensors.add_argument("--epochs", action="store_true", help="keep the classified epochs of each participant too")
    sensors.add_argument("--no-pictures", action="store_true", help="draw no picture of each participant's week")
    sensors.add_argument("--jobs", type=positive, default=1, metavar="N", help="participants side by side (default 1)")
    sensors.add_argument(
        "--cluster", default="", metavar="ADDRESS", help="a Dask scheduler to work on, tcp://host:port"
    )
    sensors.set_defaults(command=_sensors, when_stopped="what is finished is kept; the same command goes on from there")


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
