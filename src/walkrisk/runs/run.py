"""Carrying a study out: data in, a finished folder out; and reporting again from what a run left."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from walkrisk.cohorts.readers import Extract
from walkrisk.declarations import as_table, read_toml
from walkrisk.disclosure.protecting import Protected, protect
from walkrisk.disclosure.releases import Releases, read_releases
from walkrisk.errors import UsageFault
from walkrisk.estimates.results import OUTCOME_TABLE, ROW_TYPES, Results, columns_of
from walkrisk.estimates.withheld import Withheld
from walkrisk.reports.files import MANIFEST, check_output, finished_folder, rows_to_csv, write_all
from walkrisk.reports.kept import drop_kept, kept_beside
from walkrisk.reports.manifest import DataSource, Declarations, declared_in, manifest, sha256, versions
from walkrisk.runs.compute import Progress, compute, silent
from walkrisk.runs.pointing import pointing_at_data
from walkrisk.runs.reading import check_days_given, read_data, simulated_extract, source_of
from walkrisk.studies.declaration import SENSITIVITY_FILE, check_study, load_study
from walkrisk.studies.kinds import is_resampled
from walkrisk.studies.sensitivity import declares_any
from walkrisk.studies.study import Study

if TYPE_CHECKING:
    import pandas as pd

    from walkrisk.runs.remaking import Kept

STUDY_FILE = "study.json"
PUBLISHED_FILE = "published.toml"
TRUTH_FILE = "truth.json"
DISCLOSURE_FILE = "disclosure.csv"
SIMULATION_FILE = "simulation.toml"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Run:
    """A finished run: the study, its rows, what was said of the data, and where its files are (None if not written).

    `attached` are texts kept with the results: published figures to set beside them, the truth of a simulation.
    `declarations` are the files it was declared in, with their hashes; `releases` what was published of it before.
    `published` is what of it may be published, where that is known already.
    """

    study: Study
    results: Results
    source: DataSource
    warnings: tuple[str, ...]
    attached: Mapping[str, str]
    out: Path | None = None
    declarations: Declarations = field(default_factory=dict)
    releases: Releases = field(default_factory=Releases)
    published: Protected | None = None

    def to_frame(self, kind: str = "estimates") -> pd.DataFrame:
        """The rows of one kind (estimates, curves, flow, cutpoints, characteristics, diagnostics, histograms)."""
        import pandas as pd

        return pd.DataFrame([asdict(row) for row in getattr(self.results, kind)], columns=list(columns_of(kind)))

    @property
    def summary(self) -> str:
        """What a person wants to know first, in a few lines."""
        fits = self.results.diagnostics
        failed, noted = sum(not d.converged for d in fits), sum(bool(d.warnings) for d in fits)
        analysed = next((int(c.value or 0) for c in self.results.characteristics if c.table == OUTCOME_TABLE), 0)
        lines = [
            f"{self.study.study.title}{' (SIMULATED DATA)' if self.source.simulated else ''}: "
            f"{analysed} people analysed, {len(fits)} models fitted, {len(self.results.estimates)} estimates."
        ]
        if failed:
            lines.append(f"{failed} model{'s' * (failed > 1)} gave no estimate; diagnostics.csv says why.")
        elif noted:
            lines.append(f"{noted} {'model carries' if noted == 1 else 'models carry'} a remark in diagnostics.csv.")
        if self.out is not None:
            lines.append(f"Results are in {self.out}.")
        return "\n".join(lines)


def run(
    study: Study,
    *,
    data: str | Path | pd.DataFrame,
    days: str | Path | pd.DataFrame | None = None,
    out: str | Path | None = None,
    jobs: int = 1,
    seed: int | None = None,
    min_cell: int | None = None,
    round_counts: int | None = None,
    exact_numbers: bool = False,
    released: Sequence[str | Path] = (),
    simulated: bool = False,
    progress: Progress = silent,
) -> Run:
    """Carry a study out on a participants' file or data frame; with `out`, leave the finished folder there.

    `days` is the table of days of a study whose days have the long layout, such as days.parquet. The rows are the same
    whatever `jobs`. `seed` takes the place of the declared one where something is by bootstrap. `simulated` says so in
    every output (it is found out where a truth file lies beside the data, or the days say so). What is written may be
    published: counts below `min_cell`, and what gives one back, also beside the folders of earlier releases in
    `released`, are left out; counts are rounded to `round_counts`. With `exact_numbers` the csv files of numbers are
    exact, for the analyst alone. The rows that come back are exact. Raises StudyFault, DataFault, ModelFault or
    UsageFault with every fault; then nothing is left in `out`.
    """
    check_study(study)
    study = _with_seed(with_limits(study, min_cell, round_counts), seed)
    releases = read_releases([Path(r) for r in released])
    if out is not None:
        check_output(Path(out))
    extract, said_simulated = read_data(study, data, days)
    folder = None if out is None else Path(out)
    made = carry_out(
        study, extract, source_of(extract, simulated or said_simulated), out=folder, jobs=jobs, progress=progress
    )
    made = replace(made, releases=releases)
    return made if folder is None else write(made, folder, exact_numbers=exact_numbers, jobs=jobs, progress=progress)


def run_file(
    path: Path,
    *,
    data: Path | None,
    out: Path | None,
    days: Path | None = None,
    jobs: int = 1,
    seed: int | None = None,
    min_cell: int | None = None,
    round_counts: int | None = None,
    exact_numbers: bool = False,
    released: Sequence[Path] = (),
    simulated: bool = False,
    numbers_only: bool = False,
    sensitivity: bool = False,
    progress: Progress = silent,
) -> Run:
    """Carry out the study of a study.toml; without `data`, on the extract its simulation.toml declares.

    `days` is the table of days of a study whose days have the long layout.
    `published.toml` beside it is set side by side with the results; `sensitivity` takes the analyses of
    sensitivity.toml beside it. `out` defaults to reports/ID. Of the rest see `run`.
    """
    study = _with_seed(with_limits(load_study(path, sensitivity=sensitivity), min_cell, round_counts), seed)
    releases = read_releases(released)
    out = out or Path("reports") / study.study.id
    check_output(out)
    attached = published_text(path.with_name(PUBLISHED_FILE))
    check_days_given(study, days)
    if data is None:
        if days is not None:
            raise UsageFault("Days were given without the participants they belong to; give --data too.")
        progress("Simulating an extract", 0, 0)
        extract, used_seed, attached[TRUTH_FILE] = simulated_extract(study, path.with_name(SIMULATION_FILE), seed)
        source = source_of(extract, True, seed=used_seed)
    else:
        progress("Reading the data", 0, 0)
        with pointing_at_data(path, study):
            extract, said_simulated = read_data(study, data, days)
        source = source_of(extract, simulated or said_simulated)
    with pointing_at_data(path, study):
        made = carry_out(study, extract, source, attached=attached, out=out, jobs=jobs, progress=progress)
    declared = declarations_of(path, sensitivity=sensitivity, simulated=data is None)
    made = replace(made, declarations=declared, releases=releases)
    return write(made, out, numbers_only=numbers_only, exact_numbers=exact_numbers, jobs=jobs, progress=progress)


def declarations_of(path: Path, *, sensitivity: bool, simulated: bool) -> Declarations:
    """The files that declare a run of the study.toml at `path`, with their hashes; `simulated` without data given."""
    files = {"study": path, "published": path.with_name(PUBLISHED_FILE)}
    files |= {"sensitivity": path.with_name(SENSITIVITY_FILE)} if sensitivity else {}
    return declared_in(files | ({"simulation": path.with_name(SIMULATION_FILE)} if simulated else {}))


def write(
    made: Run,
    out: Path,
    *,
    numbers_only: bool = False,
    exact_numbers: bool = False,
    jobs: int = 1,
    kept: Kept | None = None,
    progress: Progress = silent,
) -> Run:
    """Leave a run in the folder `out`, whole or not at all: rows, study, tables, figures, report, manifest.

    All of it may be published; with `exact_numbers` the csv files of numbers and the manifest may not. Pictures are
    made `jobs` side by side, files that are `kept` not again where they would be the same.
    """
    study_text = json.dumps(as_table(made.study), indent=1, ensure_ascii=False) + "\n"
    published = made.published or protect(
        made.study,
        made.results,
        warnings=made.warnings,
        data_rows=made.source.rows,
        released=made.releases.known,
    )
    shown = replace(
        made,
        results=published.results,
        warnings=published.warnings,
        source=published_source(made.source, published.data_rows),
        published=published,
    )
    told = made if exact_numbers else shown
    files: dict[str, str | bytes] = {
        f"{kind}.csv": rows_to_csv(getattr(told.results, kind), row_type) for kind, row_type in ROW_TYPES.items()
    }
    files[DISCLOSURE_FILE] = rows_to_csv(published.withheld, Withheld)
    files |= {STUDY_FILE: study_text, **made.attached}
    made_from: Mapping[str, str] = {}
    if not numbers_only:
        from walkrisk.runs.render import render

        rendered, made_from = render(shown, study_sha256=sha256(study_text), progress=progress, jobs=jobs, kept=kept)
        files |= rendered
    files[MANIFEST] = manifest(
        study_id=made.study.study.id,
        study_sha256=sha256(study_text),
        source=told.source,
        settings=as_table(made.study.settings),
        warnings=told.warnings,
        files=files,
        declarations=made.declarations,
        options=_options(made, numbers_only=numbers_only, exact_numbers=exact_numbers),
        made_from=made_from,
    )
    with finished_folder(out) as folder:
        write_all(folder, files)
    drop_kept(out)
    return replace(made, out=out)


def _options(made: Run, *, numbers_only: bool, exact_numbers: bool) -> dict[str, Any]:
    """What a run was asked for, as the manifest says it; the seed where anything is random."""
    study = made.study
    return {
        "sensitivity": declares_any(study.sensitivity),
        "min_cell": study.settings.min_cell,
        "round_counts": study.settings.round_counts,
        "exact_numbers": exact_numbers,
        "released": list(made.releases.prints),
        "seed": study.settings.seed if is_resampled(study) else None,
        "numbers_only": numbers_only,
    }


def carry_out(
    study: Study,
    extract: Extract,
    source: DataSource,
    *,
    attached: Mapping[str, str] | None = None,
    out: Path | None = None,
    jobs: int = 1,
    progress: Progress = silent,
) -> Run:
    """The rows of a study on an extract, not yet written; finished parts of long work are kept beside `out`."""
    kept = None
    if out is not None and declares_any(study.sensitivity):
        print_of_study = json.dumps(as_table(study), ensure_ascii=False)
        kept = kept_beside(out, [print_of_study, source.sha256, str(source.days), *versions().values()])
    computed = compute(study, extract, jobs=jobs, progress=progress, kept=kept)
    return Run(
        study=study,
        results=computed.results,
        source=source,
        warnings=computed.warnings,
        attached=attached or {},
    )


def with_limits(study: Study, min_cell: int | None, round_counts: int | None) -> Study:
    """The study with another `min_cell` or `round_counts`, checked again; the study itself if neither is given."""
    s = study.settings
    k, base = s.min_cell if min_cell is None else min_cell, s.round_counts if round_counts is None else round_counts
    if (k, base) == (s.min_cell, s.round_counts):
        return study
    changed = replace(study, settings=replace(s, min_cell=k, round_counts=base))
    check_study(changed)
    return changed


def _with_seed(study: Study, seed: int | None) -> Study:
    """The study with another seed of its bootstrap; the study itself where nothing is by bootstrap."""
    if seed is None or not is_resampled(study):
        return study
    changed = replace(study, settings=replace(study.settings, seed=seed))
    check_study(changed)
    return changed


def published_source(source: DataSource, rows: int | None) -> DataSource:
    """The source with its rows as they may be told; the days tell as much about who left, so theirs go with them."""
    days = {**source.days, "rows": None} if source.days and rows is None else source.days
    return replace(source, rows=rows, days=days)


def published_text(path: Path) -> dict[str, str]:
    """The text of published.toml beside a study, found in order; StudyFault with every fault otherwise."""
    if not path.is_file():
        return {}
    from walkrisk.tables.side_by_side import published_from

    published_from(read_toml(path, "published numbers"))
    return {path.name: path.read_text(encoding="utf-8-sig")}


def texts_in(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """The texts of those of the named files that are there."""
    return {n: (folder / n).read_text(encoding="utf-8") for n in names if (folder / n).is_file()}
