"""Faults of the data with the line of the study.toml that declares the column, variable or outcome at fault."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from walkrisk.errors import DataFault, ModelFault
from walkrisk.places import find, read_places
from walkrisk.studies.declaration import contracts
from walkrisk.studies.study import Study

MOST_LINES = 5
# How sentences about data name what they are about: one name, or a list of them.
_NAMED = tuple(
    re.compile(pattern)
    for pattern in (
        r"[Cc]olumn (?P<one>.+?) (?:holds|is empty)",
        r"columns \((?P<list>.+)\) hold ",
        r"missing: (?P<list>.+); add what is missing",
        r"has the name (?P<list>.+); rename",
        r"^(?:.*: )?(?P<list>\w+ comes before \w+)",
        r"^(?P<list>\w+(?:, \w+)*): values beyond ",
        r"(?:outcome|exposure|weights|follow-up time) (?P<one>\w+)",
    )
)
_BETWEEN = re.compile(r", | and | comes before ")


@contextmanager
def pointing_at_data(path: Path, study: Study) -> Iterator[None]:
    """Within it a DataFault or ModelFault says where the study at `path` declares what each sentence is about."""
    try:
        yield
    except (DataFault, ModelFault) as fault:
        raise type(fault)(with_declared(fault.faults, path, study)) from None


def with_declared(sentences: tuple[str, ...], path: Path, study: Study) -> list[str]:
    """Sentences about data with `(my_study.toml:41)` at their end, where they name something declared."""
    lines = _lines(path, study)
    out = []
    for sentence in sentences:
        found = sorted({lines[name] for name in _names(sentence) if name in lines})[:MOST_LINES]
        if not found:
            out.append(sentence)
            continue
        where = ", ".join([f"{path.name}:{found[0]}", *(str(line) for line in found[1:])])
        out.append(f"{sentence.removesuffix('.')} ({where}).")
    return out


def _names(sentence: str) -> list[str]:
    """What a sentence is about, as the file or the study calls it."""
    found = next((m for pattern in _NAMED if (m := pattern.search(sentence))), None)
    if found is None:
        return []
    said = found.groupdict()
    if said.get("one"):
        return [said["one"]]
    listed = re.sub(r" \(did you mean .*?\?\)", "", said["list"])
    return [name.strip() for name in _BETWEEN.split(listed)]


def _lines(path: Path, study: Study) -> dict[str, int]:
    """Name -> line of its declaration: variables and outcomes, columns, and columns by the name the file has."""
    root = read_places(path)
    keys = {name: f"outcomes.{name}" for name in study.outcomes} | {n: f"exposures.{n}" for n in study.exposures}
    keys |= {name: f"variables.{name}" for name in study.variables} | {n: f"columns.{n}" for n in study.columns}
    for c in contracts(study):
        if c.name in study.columns:
            keys[c.in_file] = f"columns.{c.name}"
    found = {name: place.line for name, key in keys.items() if (place := find(root, key))}
    days = find(root, "days.columns") or find(root, "days")
    if study.days and days:
        for activity, pattern in study.days.columns.items():
            line = (days.keys.get(activity) or days).line
            names = study.days.column_names(activity) if study.days.layout == "wide" else [pattern]
            found |= dict.fromkeys(names, line)
    return found
