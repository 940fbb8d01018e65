"""Carrying a study out: data in, a finished folder out; and reporting again from what a run left."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from walkrisk.cohorts.readers import Extract, read_extract
from walkrisk.declarations import as_table
from walkrisk.errors import UsageFault
from walkrisk.estimates.results import ROW_TYPES, Results
from walkrisk.reports.files import MANIFEST, check_output, finished_folder, rows_from_csv, rows_to_csv, write_all
from walkrisk.reports.manifest import DataSource, manifest, sha256
from walkrisk.studies.compute import Progress, compute, make_cohort, silent
from walkrisk.studies.declaration import check_study, contracts, load_study, study_from
from walkrisk.studies.study import Study

if TYPE_CHECKING:
    import pandas as pd

    from walkrisk.tables.side_by_side import Published

STUDY_FILE = "study.json"
PUBLISHED_FILE = "published.toml"
TRUTH_FILE = "truth.json"


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A finished run: its rows, what was said of the data, and where its files are."""

    results: Results
    warnings: tuple[str, ...]
    out: Path | None
    summary: str


def run(
    study: Study,
    *,
    data: str | Path | pd.DataFrame,
    out: str | Path | None = None,
    jobs: int = 1,
    min_cell: int | None = None,
    simulated: bool = False,
    published: Published | None = None,
    progress: Progress = silent,
) -> Run:
    """Carry a study out on a participants' file or data frame; with `out`, leave the finished folder there.

    The rows are the same whatever `jobs`. Raises StudyFault, DataFault, ModelFault or UsageFault with every fault;
    then nothing is left in `out`.
    """
    check_study(study)
    if out is not None:
        check_output(Path(out))
    extract, said_simulated = _read(study, data)
    return _carry_out(
        study,
        extract,
        out=Path(out) if out is not None else None,
        jobs=jobs,
        min_cell=min_cell,
        source=_source(extract, simulated=simulated or said_simulated),
        published=published,
        truth=None,
        progress=progress,
    )


def run_file(
    path: Path,
    *,
    data: Path | None,
    out: Path | None,
    jobs: int = 1,
    seed: int | None = None,
    min_cell: int | None = None,
    simulated: bool = False,
    numbers_only: bool = False,
    progress: Progress = silent,
) -> Run:
    """Carry out the study of a study.toml; without `data`, on the extract its simulation.toml declares.

    `published.toml` beside it is set side by side with the results. `out` defaults to reports/ID.
    """
    study = load_study(path)
    out = out or Path("reports") / study.study.id
    check_output(out)
    published = _published(path.with_name(PUBLISHED_FILE))
    truth: str | None = None
    if data is None:
        progress("Simulating an extract", 0, 0)
        extract, used_seed, truth = _simulated_extract(study, path.with_name("simulation.toml"), seed)
        source = _source(extract, simulated=True, seed=used_seed)
    else:
        progress("Reading the data", 0, 0)
        extract, said_simulated = _read(study, data)
        source = _source(extract, simulated=simulated or said_simulated)
    return _carry_out(
        study,
        extract,
        out=out,
        jobs=jobs,
        min_cell=min_cell,
        source=source,
        published=published,
        truth=truth,
        progress=progress,
        numbers_only=numbers_only,
    )


def check_files(path: Path, data: Path | None) -> list[str]:
    """What `walkrisk check` says when nothing is at fault; raises the fault otherwise."""
    study = load_study(path)
    said = [
        f"{path.name}: the declaration is in order "
        f"({len(study.analyses)} ratio analyses, {len(contracts(study))} columns)."
    ]
    if data is not None:
        extract, _ = _read(study, data)
        cohort, warnings = make_cohort(study, extract)
        said += [f"{extract.name}: the data are in order ({cohort.n_all} rows, {cohort.n} people analysed).", *warnings]
    return said


def report_again(folder: Path, *, min_cell: int | None = None) -> Run:
    """Tables, figures, report and manifest again from the rows in `folder`, without refitting."""
    if not (folder / MANIFEST).is_file():
        raise UsageFault(f"{folder} holds no finished run (no {MANIFEST}); give the output folder of walkrisk run.")
    try:
        kept = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        study = study_from(json.loads((folder / STUDY_FILE).read_text(encoding="utf-8")))
        rows = {k: rows_from_csv((folder / f"{k}.csv").read_text(encoding="utf-8"), t) for k, t in ROW_TYPES.items()}
        source = DataSource(**kept["data"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageFault(
            f"{folder}: what the run left is not complete or was changed ({type(error).__name__}); run the study again."
        ) from None
    published = _published(folder / PUBLISHED_FILE)
    truth = (folder / TRUTH_FILE).read_text(encoding="utf-8") if (folder / TRUTH_FILE).is_file() else None
    results = Results(**rows)
    settings = dict(kept["settings"])
    if min_cell is not None:
        settings["min_cell"] = min_cell
    return _write(
        study,
        results,
        folder,
        source=source,
        settings=settings,
        warnings=tuple(kept["warnings"]),
        published=published,
        truth=truth,
        published_text=published_file.read_text(encoding="utf-8") if published else None,
        numbers_only=False,
        progress=silent,
    )


def _read(study: Study, data: str | Path | pd.DataFrame) -> tuple[Extract, bool]:
    """The extract, and whether a truth file beside it says that it is simulated."""
    if isinstance(data, str | Path):
        path = Path(data)
        beside = path.with_suffix(".truth.json")
        return read_extract(path, contracts(study)), beside.is_file()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data_frame.parquet"
        data.to_parquet(path, index=False)
        return read_extract(path, contracts(study)), False


def _simulated_extract(study: Study, declaration: Path, seed: int | None) -> tuple[Extract, int, str]:
    if not declaration.is_file():
        raise UsageFault(
            f"No --data was given and there is no {declaration.name} beside the study to simulate an extract from; "
            "give --data."
        )
    from walkrisk.simulation import load_simulation, simulate, write_extract

    simulation = load_simulation(declaration)
    used = simulation.defaults.seed if seed is None else seed
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "simulated_extract.parquet"
        write_extract(simulate(simulation, n=simulation.defaults.n, seed=used), path)
        return read_extract(path, contracts(study)), used, path.with_suffix(".truth.json").read_text(encoding="utf-8")


def _published(path: Path) -> Published | None:
    if not path.is_file():
        return None
    from walkrisk.tables.side_by_side import load_published

    return load_published(path)


def _source(extract: Extract, *, simulated: bool, seed: int | None = None) -> DataSource:
    return DataSource(
        name=extract.name,
        sha256=extract.sha256,
        rows=len(extract.frame),
        columns_read=extract.frame.shape[1],
        columns_in_file=extract.n_columns_in_file,
        simulated=simulated,
        seed=seed,
    )


def _carry_out(
    study: Study,
    extract: Extract,
    *,
    out: Path | None,
    jobs: int,
    min_cell: int | None,
    source: DataSource,
    published: Published | None,
    truth: str | None,
    progress: Progress,
    numbers_only: bool = False,
) -> Run:
    computed = compute(study, extract, jobs=jobs, progress=progress)
    settings = asdict(study.settings) | {"min_cell": study.settings.min_cell if min_cell is None else min_cell}
    if out is None:
        return Run(computed.results, computed.warnings, None, _summary(study, computed.results, None))
    text = None if published is None else published.source_text
    return _write(
        study,
        computed.results,
        out,
        source=source,
        settings=settings,
        warnings=computed.warnings,
        published=published,
        truth=truth,
        published_text=text,
        numbers_only=numbers_only,
        progress=progress,
    )


def _write(
    study: Study,
    results: Results,
    out: Path,
    *,
    source: DataSource,
    settings: Mapping[str, Any],
    warnings: tuple[str, ...],
    published: Published | None,
    truth: str | None,
    published_text: str | None,
    numbers_only: bool,
    progress: Progress,
) -> Run:
    study_text = json.dumps(as_table(study), indent=1, ensure_ascii=False) + "\n"
    files: dict[str, str | bytes] = {
        f"{kind}.csv": rows_to_csv(getattr(results, kind), t) for kind, t in ROW_TYPES.items()
    }
    files[STUDY_FILE] = study_text
    if published_text is not None:
        files[PUBLISHED_FILE] = published_text
    if truth is not None:
        files[TRUTH_FILE] = truth
    if not numbers_only:
        from walkrisk.studies.render import Rendering, render

        rendering = Rendering(
            study=replace(study, settings=replace(study.settings, min_cell=settings["min_cell"])),
            results=results,
            source=source,
            study_sha256=sha256(study_text),
            warnings=warnings,
            published=published,
        )
        files |= render(rendering, progress=progress)
    files[MANIFEST] = manifest(
        study_id=study.study.id,
        study_sha256=sha256(study_text),
        source=source,
        settings=settings,
        warnings=warnings,
        files=files,
    )
    with finished_folder(out) as folder:
        write_all(folder, files)
    return Run(results, warnings, out, _summary(study, results, out))


def _summary(study: Study, results: Results, out: Path | None) -> str:
    analysed = results.flow[-1].n_after if results.flow else 0
    failed = [d for d in results.diagnostics if not d.converged]
    noted = [d for d in results.diagnostics if d.warnings]
    lines = [
        f"{study.study.title}: {analysed} people analysed, "
        f"{len(results.diagnostics)} models fitted, {len(results.estimates)} estimates."
    ]
    if failed:
        lines.append(f"{len(failed)} models gave no estimate; diagnostics.csv says why.")
    elif noted:
        lines.append(f"{len(noted)} models carry a remark in diagnostics.csv.")
    if out is not None:
        lines.append(f"Results are in {out}.")
    return "\n".join(lines)
