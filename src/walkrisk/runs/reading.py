"""The data of a run: participants' file with its days, or the extract that a study's simulation declares."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from walkrisk.cohorts.long_days import join_days, read_days
from walkrisk.cohorts.readers import Extract, read_extract
from walkrisk.errors import DataFault, UsageFault
from walkrisk.reports.manifest import DataSource
from walkrisk.studies.declaration import contracts
from walkrisk.studies.study import Study

if TYPE_CHECKING:
    import pandas as pd


def read_data(
    study: Study, data: str | Path | pd.DataFrame, days: str | Path | pd.DataFrame | None
) -> tuple[Extract, bool]:
    """The extract with its days, and whether it says, or a truth file beside it, that it is simulated.

    Raises DataFault with the faults of both files together.
    """
    check_days_given(study, days)
    faults: list[str] = []
    people = _gathered(faults, data, "data_frame", lambda path: read_extract(path, contracts(study)))
    declared = study.days
    if declared is None or days is None:
        table = None
    else:
        table = _gathered(faults, days, "days_frame", lambda path: read_days(path, declared))
    if people is None or faults:
        raise DataFault(faults)
    extract, simulated = people
    if declared and table:
        id_column = next(name for name, c in study.columns.items() if c.kind == "id")
        extract = join_days(extract, table[0], declared, id_column=id_column, simulated=table[1])
        simulated = simulated or bool(extract.days and extract.days.simulated)
    return extract, simulated


def _gathered(
    faults: list[str], data: str | Path | pd.DataFrame, frame_name: str, read: Callable[[Path], Extract]
) -> tuple[Extract, bool] | None:
    """What `read` makes of a file or data frame, and whether a truth file lies beside it; DataFaults are collected."""
    try:
        if isinstance(data, str | Path):
            path = Path(data)
            return read(path), path.with_suffix(".truth.json").is_file()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{frame_name}.parquet"
            data.to_parquet(path, index=False)
            return read(path), False
    except DataFault as fault:
        faults += fault.faults
        return None


def check_days_given(study: Study, days: object) -> None:
    """Raises UsageFault unless a table of days is given exactly where the study reads one."""
    if study.days and study.days.layout == "long" and days is None:
        raise UsageFault(
            "This study reads its days from a table of their own; give it with --days, such as days.parquet."
        )
    if days is not None and not (study.days and study.days.layout == "long"):
        raise UsageFault("This study reads no table of days; leave --days out, or declare days.layout = 'long'.")


def simulated_extract(study: Study, declaration: Path, seed: int | None) -> tuple[Extract, int, str]:
    """The extract that a simulation.toml declares, the seed it was made with (the declared one if None), its truth.

    Raises UsageFault without such a file, StudyFault with every fault of it.
    """
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
        truth = path.with_suffix(".truth.json").read_text(encoding="utf-8")
        return read_extract(path, contracts(study)), used, truth


def source_of(extract: Extract, simulated: bool, *, seed: int | None = None) -> DataSource:
    """What the manifest says of an extract."""
    table = extract.days
    return DataSource(
        name=extract.name,
        sha256=extract.sha256,
        rows=len(extract.frame),
        columns_read=extract.frame.shape[1],
        columns_in_file=extract.n_columns_in_file,
        simulated=simulated,
        seed=seed,
        days={"name": table.name, "sha256": table.sha256, "rows": table.rows} if table else None,
    )
