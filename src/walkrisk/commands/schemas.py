"""The command that prints the grammar of declarations."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from walkrisk.errors import UsageFault


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add schema."""
    schema = commands.add_parser("schema", parents=[shared], help="JSON Schema of study.toml, for editors")
    schema.add_argument("--sensors", action="store_true", help="that of sensors.toml instead")
    schema.add_argument("--out", type=Path, metavar="FILE", help="write it there instead of showing it")
    schema.set_defaults(command=_schema)


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
