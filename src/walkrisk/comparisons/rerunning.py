"""Carrying a finished run out again from what it left, and holding the outputs of both against each other."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from walkrisk.cohorts.readers import Extract
from walkrisk.disclosure.releases import read_releases
from walkrisk.errors import StudyFault, UsageFault
from walkrisk.reports.file_differences import FileDifference, file_difference
from walkrisk.reports.files import MANIFEST
from walkrisk.reports.intact import SHOWN, kept_manifest
from walkrisk.reports.manifest import CODE, DataSource, environment
from walkrisk.runs.compute import Progress
from walkrisk.runs.reading import read_data, simulated_extract, source_of
from walkrisk.runs.run import (
    DISCLOSURE_FILE,
    PUBLISHED_FILE,
    SIMULATION_FILE,
    STUDY_FILE,
    TRUTH_FILE,
    carry_out,
    texts_in,
    write,
)
from walkrisk.studies.declaration import study_from
from walkrisk.studies.study import Study

LAST_DIGITS = 1e-9  # relative difference up to which numbers are the same but for the last digits
PAGE = "report.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """What carrying a run out again gave: files compared, those that differ, versions that are others by name.

    `missing` are files of the first run only, `more` those of the second only.
    """

    compared: int
    differences: tuple[FileDifference, ...]
    missing: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()

    @property
    def same_bytes(self) -> bool:
        """Whether every output has the same bytes."""
        return not (self.differences or self.missing or self.more or self.said)

    @property
    def printed(self) -> tuple[FileDifference, ...]:
        """Tables in which a printed text is another."""
        return tuple(d for d in self.differences if d.name.startswith("tables/") and d.name.endswith(".csv"))

    @property
    def rows(self) -> tuple[FileDifference, ...]:
        """Csv files of numbers that differ."""
        return tuple(d for d in self.differences if "/" not in d.name and d.name.endswith(".csv"))

    @property
    def others(self) -> tuple[FileDifference, ...]:
        """Pages, pictures, Word files and the like with other bytes."""
        return tuple(d for d in self.differences if d not in (*self.printed, *self.rows))

    @property
    def same_results(self) -> bool:
        """Whether nothing differs but the last digits, and what is drawn and written from them or by other versions."""
        if self.missing or self.said or self.printed or (self.more and not self.versions):
            return False
        if any(d.kind != "numbers" or d.words or d.largest > LAST_DIGITS for d in self.rows):
            return False
        if any(d.name.endswith((".json", ".toml")) for d in self.others):
            return False
        return not self.others or bool(self.rows or self.versions)


def rerun(
    folder: Path,
    said: Mapping[str, Any],
    *,
    data: Path | None,
    days: Path | None,
    simulation: Path | None,
    released: Sequence[Path],
    jobs: int,
    progress: Progress,
) -> Rerun:
    """Carry the study in a folder out again, beside it, and compare every output; nothing of it is left.

    `simulation` is the study.toml beside whose simulation.toml the extract is simulated again, without `data`;
    `released` are the folders of earlier releases that the run was made beside. Raises UsageFault if the folder's
    study cannot be read or nothing can be written beside it, and what a run raises.
    """
    study = study_in(folder)
    releases = read_releases(released)
    attached = texts_in(folder, (PUBLISHED_FILE,))
    if data is None:
        if simulation is None:
            raise UsageFault("A rerun needs the data; give --data, or the --study whose simulation made them.")
        progress("Simulating an extract", 0, 0)
        seed = said["data"].get("seed")
        extract, _, truth = simulated_extract(study, simulation.with_name(SIMULATION_FILE), seed)
        attached[TRUTH_FILE] = truth
    else:
        progress("Reading the data", 0, 0)
        extract, _ = read_data(study, data, days)
        attached |= texts_in(folder, (TRUTH_FILE,))
    with _beside(folder) as beside:
        out = Path(beside) / folder.name
        source = _source(extract, said)
        made = carry_out(study, extract, source, attached=attached, out=out, jobs=jobs, progress=progress)
        made = replace(made, declarations=said.get("declarations", {}), releases=releases)
        write(made, out, progress=progress, **_asked(said))
        return compare_folders(folder, said, out)


def _beside(folder: Path) -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix=f".{folder.name}.", suffix=".verify", dir=folder.parent)
    except OSError:
        raise UsageFault(
            f"{folder.parent} cannot be written to, where a rerun is made; copy the folder elsewhere."
        ) from None


def study_in(folder: Path) -> Study:
    """The study that a run left. Raises UsageFault if it is not there or of another grammar."""
    try:
        return study_from(json.loads((folder / STUDY_FILE).read_text(encoding="utf-8")))
    except StudyFault as fault:
        raise UsageFault(
            [f"{folder / STUDY_FILE} is of another walkrisk, whose studies this one does not read:", *fault.faults]
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageFault(f"{folder / STUDY_FILE} cannot be read ({type(error).__name__}).") from None


def compare_folders(folder: Path, said: Mapping[str, Any], again: Path) -> Rerun:
    """The outputs that a manifest names beside those of another folder."""
    now = kept_manifest(again)
    names = sorted(set(said["files"]) & set(now["files"]))
    found = [file_difference(n, (folder / n).read_bytes(), (again / n).read_bytes()) for n in names]
    remarks = [
        f"{MANIFEST}: {key} is another in the rerun." for key in ("data", "warnings") if said.get(key) != now[key]
    ]
    return Rerun(
        compared=len(names),
        differences=tuple(d for d in found if d is not None),
        missing=tuple(sorted(set(said["files"]) - set(names))),
        more=tuple(sorted(set(now["files"]) - set(names))),
        said=tuple(remarks),
        versions=other_versions(said),
    )


def other_versions(said: Mapping[str, Any]) -> tuple[str, ...]:
    """What the run was made with and this walkrisk has otherwise, such as "numpy 2.0.1, here 2.4.6"."""
    then, now = {CODE: "unknown", **said.get("environment", {})}, environment()
    return tuple(
        f"{name} {str(then[name])[:SHOWN]}, here {now.get(name, 'none')[:SHOWN]}"
        for name in then
        if then[name] != now.get(name)
    )


def _source(extract: Extract, said: Mapping[str, Any]) -> DataSource:
    """The source of the rerun, under the name that the first one had."""
    data = said["data"]
    fresh = source_of(extract, bool(data["simulated"]), seed=data.get("seed"))
    days = {**fresh.days, "name": data["days"]["name"]} if fresh.days and data.get("days") else fresh.days
    return replace(fresh, name=data["name"], days=days)


def _asked(said: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the run that writing takes; those of an earlier version are seen from its files."""
    options = said.get("options") or {}
    seen = {"numbers_only": PAGE not in said["files"], "exact_numbers": DISCLOSURE_FILE not in said["files"]}
    return {name: bool(options.get(name, default)) for name, default in seen.items()}
