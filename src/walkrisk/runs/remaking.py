"""Files of tables and figures: made side by side, or kept from an earlier report where they would be the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from walkrisk.accounts.account import Drawing
from walkrisk.estimates.fingerprints import fingerprint
from walkrisk.execution import in_order_apart
from walkrisk.figures.drawn import drawn_from
from walkrisk.figures.render import FORMATS
from walkrisk.figures.render import render as picture
from walkrisk.reports.manifest import environment, sha256
from walkrisk.reports.table_files import table_files
from walkrisk.runs.compute import Progress
from walkrisk.tables.table import Table

Files = Mapping[str, str | bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Making:
    """Files that are made together, named `name` with a suffix, and a hash of what they are made from (if known)."""

    name: str
    title: str
    made_from: str
    make: Callable[[], Files]


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Files that a folder holds as they were made, by name, with the hashes of what they were made from."""

    made_from: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Files] = field(default_factory=dict)

    def of(self, making: Making) -> Files | None:
        """The files of a making, None if they are not there or were made from anything else."""
        if not making.made_from or self.made_from.get(making.name) != making.made_from:
            return None
        return self.files.get(making.name)


def kept_files(folder: Path, manifest: Mapping[str, Any]) -> Kept:
    """The files in `folder` that are still those of its manifest, made by this version of everything."""
    if manifest.get("environment") != environment():
        return Kept()
    made_from = {str(name): str(made) for name, made in dict(manifest.get("made_from", {})).items()}
    groups: dict[str, list[str]] = {name: [] for name in made_from}
    for file in manifest["files"]:
        groups.get(file.rpartition(".")[0], []).append(file)
    found = {name: _unchanged(folder, group, manifest["files"]) for name, group in groups.items()}
    return Kept(made_from, {name: files for name, files in found.items() if files})


def drawing(d: Drawing) -> Making:
    """The pictures of a figure."""
    made_from = drawn_from(d.figure, title=d.title, alt=d.alt)
    return Making(f"figures/{d.id}", f"Drawing {d.title}", made_from, partial(_pictures, d))


def writing(table: Table, *, simulated: bool, source: str) -> Making:
    """The files of a table."""
    make = partial(table_files, table, simulated=simulated, source=source)
    return Making(f"tables/{table.id}", "Writing tables", fingerprint(table, simulated, source), make)


def remade(makings: Sequence[Making], *, kept: Kept, jobs: int, progress: Progress) -> dict[str, str | bytes]:
    """The files of every making, `jobs` made side by side.

    The first is always made again: if it comes out other than what was kept (fonts or a library differ that no version
    tells of), nothing is kept. So the bytes are those of making every one.
    """
    found: dict[str, Files] = {}
    for first in makings[:1]:
        progress(first.title, 0, len(makings))
        found[first.name] = first.make()
        before = kept.of(first)
        if before is not None and _hashes(before) != _hashes(found[first.name]):
            kept = Kept()
    found |= {m.name: same for m in makings[1:] if (same := kept.of(m))}
    rest = [m for m in makings if m.name not in found]
    made = in_order_apart([(m.title, m.make) for m in rest], jobs=min(jobs, max(len(rest), 1)), progress=progress)
    found |= {m.name: files for m, files in zip(rest, made, strict=True)}
    return {name: content for m in makings for name, content in found[m.name].items()}


def _pictures(d: Drawing) -> Files:
    return {f"figures/{d.id}.{fmt}": picture(d.figure, fmt, title=d.title, alt=d.alt) for fmt in FORMATS}


def _hashes(files: Files) -> dict[str, str]:
    return {name: sha256(content) for name, content in files.items()}


def _unchanged(folder: Path, names: Sequence[str], hashes: Mapping[str, str]) -> Files | None:
    """Files of a folder if all of them are there as they were made."""
    out: dict[str, bytes] = {}
    for name in names:
        try:
            out[name] = (folder / name).read_bytes()
        except OSError:
            return None
        if sha256(out[name]) != hashes[name]:
            return None
    return out
