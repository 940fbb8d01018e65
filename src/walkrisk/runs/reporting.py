"""Reporting again from what a run left in its folder, without refitting."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from walkrisk.disclosure.protecting import Protected
from walkrisk.disclosure.releases import Releases, read_releases
from walkrisk.errors import UsageFault
from walkrisk.estimates.results import ROW_TYPES, Results
from walkrisk.estimates.withheld import Withheld
from walkrisk.reports.files import MANIFEST, rows_from_csv
from walkrisk.reports.manifest import DataSource, declared_in, sha256
from walkrisk.runs.compute import Progress, silent
from walkrisk.runs.presentation import presented, renamed_flow
from walkrisk.runs.remaking import kept_files
from walkrisk.runs.run import (
    DISCLOSURE_FILE,
    PUBLISHED_FILE,
    STUDY_FILE,
    TRUTH_FILE,
    Run,
    texts_in,
    with_limits,
    write,
)
from walkrisk.studies.declaration import study_from
from walkrisk.studies.study import Study


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Left:
    """What a run left in its folder, found unchanged."""

    manifest: dict[str, Any]
    study: Study
    results: Results
    withheld: tuple[Withheld, ...]
    source: DataSource
    warnings: tuple[str, ...]
    exact: bool
    releases: tuple[str, ...]


def report_again(
    folder: Path,
    *,
    declared: Path | None = None,
    min_cell: int | None = None,
    round_counts: int | None = None,
    released: Sequence[Path] = (),
    jobs: int = 1,
    progress: Progress = silent,
) -> Run:
    """Tables, figures, report and manifest again from the rows in `folder`, without refitting.

    `declared` is a study.toml that takes the place of the run's; it may differ in what readers see alone. Tables and
    figures that would come out as they are there are not made again; the others `jobs` side by side. What is written
    is what a run of the same declaration writes.

    Raises UsageFault where the folder's numbers were made fit for publication with another `min_cell` or
    `round_counts`: what is gone cannot be had back, and what a larger one asks for was decided on exact counts.
    """
    left = _left_in(folder)
    declarations = dict(left.manifest.get("declarations", {}))
    study, flow = left.study, left.results.flow
    if declared is not None:
        study = presented(study, declared, sensitivity="sensitivity" in declarations)
        flow = renamed_flow(flow, study)
        declarations |= declared_in({"study": declared})
    wanted = with_limits(study, min_cell, round_counts)
    releases = read_releases(released)
    _check_limits(folder, left, wanted, releases)
    results = replace(left.results, flow=flow)
    made = Run(
        study=wanted,
        results=results,
        source=left.source,
        warnings=left.warnings,
        attached=texts_in(folder, (PUBLISHED_FILE, TRUTH_FILE)),
        declarations=declarations,
        releases=releases if left.exact else Releases(prints=left.releases),
        published=None if left.exact else Protected(results, left.warnings, left.source.rows, left.withheld),
    )
    kept = kept_files(folder, left.manifest)
    return write(made, folder, exact_numbers=left.exact, jobs=jobs, kept=kept, progress=progress)


def _left_in(folder: Path) -> _Left:
    """What a run left. Raises UsageFault where there is none, or its numbers or study are not what the run left."""
    if not (folder / MANIFEST).is_file():
        raise UsageFault(f"{folder} holds no finished run (no {MANIFEST}); give the output folder of walkrisk run.")
    try:
        kept = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        rows: dict[str, Any] = {
            k: rows_from_csv((folder / f"{k}.csv").read_text(encoding="utf-8"), t) for k, t in ROW_TYPES.items()
        }
        numbers = (*(f"{k}.csv" for k in ROW_TYPES), DISCLOSURE_FILE)
        hashes = {n: sha256((folder / n).read_bytes()) for n in (STUDY_FILE, *numbers)}
        changed = [n for n, found in hashes.items() if found != kept["files"][n]]
        left = _Left(
            manifest=kept,
            study=study_from(json.loads((folder / STUDY_FILE).read_text(encoding="utf-8"))),
            results=Results(**rows),
            withheld=rows_from_csv((folder / DISCLOSURE_FILE).read_text(encoding="utf-8"), Withheld),
            source=DataSource(**kept["data"]),
            warnings=tuple(str(w) for w in kept["warnings"]),
            exact=bool(kept["options"]["exact_numbers"]),
            releases=tuple(kept["options"]["released"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageFault(
            f"{folder}: what the run left is not complete or was changed ({type(error).__name__}); run the study again."
        ) from None
    if changed:
        raise UsageFault(f"{folder}: {', '.join(changed)} is not what the run left; run the study again.")
    return left


def _check_limits(folder: Path, left: _Left, wanted: Study, releases: Releases) -> None:
    """Raises UsageFault where other limits or releases are asked for than the folder's numbers allow."""
    before, after = left.study.settings, wanted.settings
    other = (before.min_cell, before.round_counts) != (after.min_cell, after.round_counts)
    if not left.exact and (other or releases.prints):
        raise UsageFault(
            f"{folder}: its numbers were made fit for publication with min_cell {before.min_cell} and "
            f"round_counts {before.round_counts}; other limits, or other releases beside it, need the exact "
            "numbers. Run the study again with them (or keep a folder of your own, run with --exact-numbers)."
        )
    if left.exact and sorted(left.releases) != sorted(releases.prints):
        raise UsageFault(
            f"{folder}: it was made beside {len(left.releases)} earlier release(s); give the same with --released."
        )
