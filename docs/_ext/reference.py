"""Reference pages made from the code when the site is built.

A comment `<!-- generated: NAME -->` in a page under reference/, and the line below it for who reads the source, are
replaced by what the code says of itself; nothing is written to disk. NAME is one of GENERATORS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from reference_code import api, commands, exit_codes
from reference_columns import (
    comparison_columns,
    days_columns,
    disclosure_reasons,
    epoch_columns,
    output_columns,
    quality_columns,
    source_columns,
)
from reference_declarations import published_keys, sensitivity_keys, sensor_keys, study_keys
from sphinx.application import Sphinx

PLACE = re.compile(r"^<!-- generated: ([a-z_]+) -->\n\*.+\*$", re.MULTILINE)
GENERATORS: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "exit_codes": exit_codes,
    "api": api,
    "study_keys": study_keys,
    "sensitivity_keys": sensitivity_keys,
    "sensor_keys": sensor_keys,
    "published_keys": published_keys,
    "source_columns": source_columns,
    "days_columns": days_columns,
    "epoch_columns": epoch_columns,
    "quality_columns": quality_columns,
    "output_columns": output_columns,
    "disclosure_reasons": disclosure_reasons,
    "comparison_columns": comparison_columns,
}


def filled(text: str) -> str:
    """A page with everything generated in its place. Raises KeyError for a name that generates nothing."""
    return PLACE.sub(lambda found: GENERATORS[found[1]](), text)


def _fill(_app: Sphinx, docname: str, source: list[str]) -> None:
    if docname.startswith("reference/"):
        source[0] = filled(source[0])


def _always(_app: Sphinx, env: Any, _added: set[str], _changed: set[str], _removed: set[str]) -> list[str]:
    """Reference pages are read again at every build, as the code may have changed."""
    return [name for name in env.found_docs if name.startswith("reference/")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", _fill)
    app.connect("env-get-outdated", _always)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
