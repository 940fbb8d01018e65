"""One side of a comparison: a run's folder, a run in hand, or a publication's numbers, in one shape."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from walkrisk.comparisons.rerunning import study_in
from walkrisk.declarations import as_table, read_toml
from walkrisk.disclosure.protecting import protect
from walkrisk.errors import UsageFault
from walkrisk.estimates.results import ROW_TYPES, Results
from walkrisk.estimates.rows import Estimate, critical_value
from walkrisk.estimates.withheld import RATIOS
from walkrisk.reports.files import MANIFEST, rows_from_csv
from walkrisk.reports.intact import kept_manifest, kind_of, sha256_of
from walkrisk.reports.manifest import environment
from walkrisk.runs.run import Run
from walkrisk.studies.study import Study
from walkrisk.tables.side_by_side import Published, PublishedRatio, published_from

NO_ROWS = Results(**dict.fromkeys(ROW_TYPES, ()))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Side:
    """What is compared: a run (with its study) or a publication (with its numbers).

    `results` are what may be published: exact rows (a run in hand, a folder with exact numbers) are protected first.
    `print` is a hash of the manifest or the publication's file, "" for a run in hand; `data` what the manifest says of
    the data.
    """

    title: str
    results: Results
    study: Study | None = None
    published: Published | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    simulated: bool = False
    print: str = ""

    @property
    def min_cell(self) -> int:
        """The smallest count the side shows; 0 for a publication."""
        return self.study.settings.min_cell if self.study else 0

    @property
    def declared(self) -> dict[str, Any]:
        """The study as plain tables."""
        return dict(json.loads(json.dumps(as_table(self.study)))) if self.study else {}


def side_of(thing: str | Path | Run) -> Side:
    """The side of an output folder of a run, of a published.toml, or of a run in hand.

    Raises UsageFault if it is none of these or cannot be read, StudyFault for a published.toml with faults.
    """
    if isinstance(thing, Run):
        return Side(
            title=thing.study.study.title,
            results=_publishable(thing.study, thing.results),
            study=thing.study,
            data={"sha256": thing.source.sha256, "rows": thing.source.rows, "days": thing.source.days},
            environment=environment(),
            simulated=thing.source.simulated,
        )
    path = Path(thing)
    return _publication(path) if path.suffix == ".toml" else _folder(path)


def _publication(path: Path) -> Side:
    published = published_from(read_toml(path, "published numbers"))
    return Side(title=published.reference or path.name, results=NO_ROWS, published=published, print=sha256_of(path))


def _folder(folder: Path) -> Side:
    said = kept_manifest(folder)
    if kind_of(said) != "run":
        raise UsageFault(f"{folder} is no folder of a run but of a {kind_of(said)}; only runs can be compared.")
    study = study_in(folder)
    rows: dict[str, Any] = {}
    for kind, row_type in ROW_TYPES.items():
        path = folder / f"{kind}.csv"
        try:
            rows[kind] = rows_from_csv(path.read_text(encoding="utf-8"), row_type) if path.is_file() else ()
        except (OSError, ValueError) as error:
            raise UsageFault(
                f"{path} cannot be read as what a run leaves ({error}); run that study again with this walkrisk."
            ) from None
    exact = bool((said.get("options") or {}).get("exact_numbers", True))  # earlier versions left no other
    return Side(
        title=study.study.title,
        results=_publishable(study, Results(**rows)) if exact else Results(**rows),
        study=study,
        data=said["data"],
        environment=said.get("environment", {}),
        simulated=bool(said["simulated"]),
        print=sha256_of(folder / MANIFEST),
    )


def _publishable(study: Study, results: Results) -> Results:
    """What may be published of exact rows."""
    return protect(study, results).results


def published_estimates(published: Published, run: Side) -> tuple[Estimate, ...]:
    """Published ratios as rows with the keys of the run's rows they belong to, those of its first variance.

    The standard error is that of the printed limits: log(high / low) over twice the normal quantile.
    """
    settings = run.study.settings if run.study else None
    z = critical_value(settings.conf_level if settings else 0.95)
    found: dict[tuple[str, ...], list[Estimate]] = {}
    for e in run.results.estimates:
        if e.estimand in RATIOS:
            found.setdefault((e.analysis, e.exposure, e.stratum, e.level, e.model), []).append(e)
    rows = []
    for p in published.ratios:
        mine = found.get((p.analysis, p.exposure, p.stratum, p.level, p.model), [])
        first = [e for e in mine if settings and e.variance == settings.variances[0]]
        own = (first or mine or [Estimate(analysis="", estimand=RATIOS[0])])[0]
        rows.append(
            Estimate(
                analysis=p.analysis,
                exposure=p.exposure,
                stratum=p.stratum,
                level=p.level,
                reference=own.reference,
                model=p.model,
                estimand=own.estimand,
                estimate=p.estimate,
                std_error=_log_error(p, z),
                conf_low=p.conf_low,
                conf_high=p.conf_high,
                method=own.method,
                variance=own.variance,
            )
        )
    return tuple(rows)


def _log_error(p: PublishedRatio, z: float) -> float | None:
    if not p.conf_low or not p.conf_high or not 0 < p.conf_low < p.conf_high:
        return None
    return math.log(p.conf_high / p.conf_low) / (2 * z)
