"""What earlier releases of a study show: counts that everybody knows when the next one is made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from walkrisk.errors import UsageFault
from walkrisk.estimates.descriptive_counts import columns_of
from walkrisk.estimates.marking import Released, block_samples
from walkrisk.estimates.ratio_counts import Block, Place, ratio_blocks
from walkrisk.estimates.results import ROW_TYPES
from walkrisk.estimates.samples import Sample
from walkrisk.estimates.withheld import COUNTED, RatioCell, Withheld
from walkrisk.reports.files import MANIFEST, rows_from_csv

READ = ("estimates", "characteristics", "flow", "diagnostics")


@dataclass(frozen=True, slots=True)
class Releases:
    """What earlier releases show together, and the hash that tells each of them."""

    known: Released = field(default_factory=Released)
    prints: tuple[str, ...] = ()


def read_releases(folders: Sequence[Path]) -> Releases:
    """The counts that the output folders of earlier runs show.

    Releases of rounded counts show none exactly. Raises UsageFault, all folders together, for what is no finished run
    or holds exact numbers, which were not to be released.
    """
    faults: list[str] = []
    blocks: dict[Place, list[Block]] = {}
    tables: dict[str, Any] = {}
    counts: dict[RatioCell, int] = {}
    withheld: set[RatioCell] = set()
    samples: list[Sample] = []
    prints: list[str] = []
    for i, folder in enumerate(folders):
        try:
            said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            rows: dict[str, Any] = {
                k: rows_from_csv((folder / f"{k}.csv").read_text(encoding="utf-8"), ROW_TYPES[k]) for k in READ
            }
            gone = rows_from_csv((folder / "disclosure.csv").read_text(encoding="utf-8"), Withheld)
            options = said["options"]
            exact, base = bool(options["exact_numbers"]), int(options["round_counts"])
            prints.append(str(said["manifest_sha256"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            faults.append(f"{folder}: is no output folder of walkrisk run that could be released; give one.")
            continue
        if exact:
            faults.append(f"{folder}: holds exact numbers, which are the analyst's own; give what was released.")
        if base:
            continue  # rounded counts tell no difference of a few people
        found = ratio_blocks(rows["estimates"])
        for place, mine in found.items():
            blocks.setdefault(place, []).extend(mine)
        for e in rows["estimates"]:
            if e.estimand in COUNTED and e.level:
                shown = {"n": e.n, "events": e.events}
                cells = {(e.analysis, e.exposure, e.stratum, e.level, w): v for w, v in shown.items() if v is not None}
                counts |= cells
        samples += [s for place, s in block_samples(found) if _whole(place, rows["diagnostics"], s)]
        samples += [Sample(d.n, d.events, d.stratum) for d in rows["diagnostics"] if d.n is not None]
        samples += [Sample(n) for s in rows["flow"] for n in (s.n_before, s.n_after)]
        tables |= {f"{i}: {name}": groups for name, groups in columns_of(rows["characteristics"]).items()}
        withheld |= {
            (w.analysis, w.exposure, w.stratum, w.level, w.column) for w in gone if w.file == "estimates" and not w.item
        }
    if faults:
        raise UsageFault(faults)
    return Releases(Released(blocks, counts, tables, frozenset(withheld), tuple(samples)), tuple(prints))


def _whole(place: Place, diagnostics: Sequence[Any], sample: Sample) -> bool:
    """Whether the categories that a release shows add up to the fit, so that none is hidden among them."""
    return any(d.n == sample.n for d in diagnostics if (d.analysis, d.exposure, d.stratum) == place)
