"""`walkrisk sensors`: every participant of a folder or manifest, side by side, stopped and started at will."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from walkrisk.days.daily import days_parquet
from walkrisk.epochs.classifier import KINDS, load_classifier, metadata
from walkrisk.errors import UsageFault
from walkrisk.execution import as_finished
from walkrisk.reports.manifest import environment, folder_sha256, sealed, sha256, versions
from walkrisk.reports.quality_page import quality_html
from walkrisk.sensors.pairs import Pair, find_recordings
from walkrisk.sensors.participant import Task, process
from walkrisk.sensors.quality import QualityRow, quality_columns, row_of_fault
from walkrisk.sensors.settings import SensorSettings, load_settings, notes_of, settings_table
from walkrisk.sensors.store import (
    EPOCHS,
    MARK,
    PARTS,
    PICTURES,
    check_store,
    read_part,
    signature,
    write,
)


@dataclass(frozen=True, slots=True)
class SensorRun:
    """What a run over recordings left: the folder, a sentence, notes, and `unread`: how many recordings came to nothing
    (unreadable files, and participants lost to a bug or a process that died).
    """

    out: Path
    summary: str
    unread: int
    notes: tuple[str, ...]


def run_sensors(
    recordings: Path,
    *,
    out: Path,
    settings: SensorSettings | Path,
    epochs: bool = False,
    pictures: bool = True,
    jobs: int = 1,
    cluster: str = "",
    progress: Callable[[str, int, int], None] = lambda title, done, of: None,
) -> SensorRun:
    """Recordings -> days.parquet, quality.csv, a picture a participant and, by choice, epochs/.

    `recordings` is a folder or a manifest (`find_recordings`), `settings` a declaration or its file. What an earlier
    run on the same `out` finished with the same settings and files is kept. One unreadable file never stops the
    others: it has its row in quality.csv and counts in `unread`.

    Raises UsageFault, StudyFault (the settings), DataFault (the manifest).
    """
    declared = load_settings(settings) if isinstance(settings, Path) else settings
    found = find_recordings(recordings.absolute())
    _check_classifiers()
    check_store(out)
    mark = _mark(declared)
    write(out / PARTS / MARK, mark.encode())
    wanted = tuple(name for name, chosen in ((EPOCHS, epochs), (PICTURES, pictures)) if chosen)
    signatures = [signature(pair, mark) for pair in found.pairs]
    todo = [i for i, pair in enumerate(found.pairs) if not _is_finished(out, pair, signatures[i], wanted)]
    tasks = [Task(found.pairs[i], declared, out.absolute(), signatures[i], wanted) for i in todo]
    kept = len(found.pairs) - len(todo)
    faults = _carry_out(tasks, jobs=jobs, cluster=cluster, progress=partial(_shifted, progress, kept, len(found.pairs)))
    return _assemble(out, found.pairs, faults, declared, wanted, (*_kept(kept), *found.notes))


def _check_classifiers() -> None:
    """Once, before any participant meets them."""
    try:
        for kind in KINDS:
            load_classifier(kind)
    except (RuntimeError, OSError) as error:
        raise UsageFault(f"The classifiers cannot be loaded: {error}.") from None


def _shifted(progress: Callable[[str, int, int], None], kept: int, of: int, done: int) -> None:
    progress("recordings", kept + done, of)


def _kept(kept: int) -> tuple[str, ...]:
    return (f"{kept} participant(s) were finished by an earlier run and kept.",) if kept else ()


def _mark(settings: SensorSettings) -> str:
    content = {"walkrisk": versions()["walkrisk"], "classifiers": _trained(), "settings": settings_table(settings)}
    return json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True)


def _trained() -> str:
    return sha256(json.dumps(metadata()["classifiers"], sort_keys=True))


def _is_finished(out: Path, pair: Pair, signed: str, wanted: Sequence[str]) -> bool:
    part = read_part(out, pair.participant_id)
    if part is None or part.signature != signed:
        return False
    left = {name.split("/")[0] for name in part.files}
    return not part.days or all(name in left for name in wanted)


def _carry_out(
    tasks: Sequence[Task], *, jobs: int, cluster: str, progress: Callable[[int], None]
) -> dict[str, QualityRow]:
    """Do all tasks; the quality rows of those that left no part (a bug, or a process that died), by participant."""
    faults: dict[str, QualityRow] = {}
    progress(0)
    for done, (place, fault) in enumerate(as_finished(process, tasks, jobs=jobs, cluster=cluster), start=1):
        who = tasks[place].pair.participant_id
        if fault is None:
            faults[who] = row_of_fault(who, "The process at work on it died twice, most likely for lack of memory.")
        elif fault:
            faults[who] = row_of_fault(who, fault)
        progress(done)
    return faults


def _assemble(
    out: Path,
    pairs: Sequence[Pair],
    faults: dict[str, QualityRow],
    settings: SensorSettings,
    wanted: Sequence[str],
    notes: tuple[str, ...],
) -> SensorRun:
    days: list[dict[str, object]] = []
    quality: list[dict[str, object]] = []
    files: dict[str, str] = {}
    for pair in pairs:
        part = None if pair.participant_id in faults else read_part(out, pair.participant_id)
        row = part.quality if part else (faults.get(pair.participant_id) or _lost(pair.participant_id)).table()
        quality.append(dict(row))
        if part:
            days.extend(dict(day) for day in part.days)
            files |= {name: digest for name, digest in part.files.items() if name.split("/")[0] in wanted}
    tables = {
        "days.parquet": days_parquet(days, notes=notes_of(settings)),
        "quality.csv": _csv(quality),
        "measurement_error.json": _json(metadata().get("measurement_error", {})),
    }
    tables["quality.html"] = quality_html(
        quality,
        pictures={Path(name).stem: name for name in files if name.startswith(f"{PICTURES}/")},
        notes=notes_of(settings),
        version=versions()["walkrisk"],
    ).encode()
    for name, content in tables.items():
        write(out / name, content)
        files[name] = sha256(content)
    options = {name: name in wanted for name in (EPOCHS, PICTURES)}
    write(out / "manifest.json", _manifest(settings, pairs, quality, files, options).encode())
    return SensorRun(out, _summary(out, days, quality), _unread(quality), (*notes, *_left_over(out, pairs)))


def _lost(who: str) -> QualityRow:
    return row_of_fault(who, "Its finished work is not in parts/: every worker must see the same --out. Run again.")


def _left_over(out: Path, pairs: Sequence[Pair]) -> tuple[str, ...]:
    """A note where parts of participants are kept that are no longer asked for."""
    listed = {pair.participant_id for pair in pairs}
    kept = sum(path.stem not in listed for path in (out / PARTS).glob("*.json") if path.name != MARK)
    said = f"{kept} participant(s) of earlier runs are no longer among the recordings; their files are still in {out}."
    return (f"{said} Delete parts/, epochs/ and pictures/ of theirs if they are to go.",) if kept else ()


def _csv(rows: Sequence[dict[str, object]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, quality_columns(), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: "" if v is None else v for k, v in row.items()} for row in rows)
    return text.getvalue().encode("utf-8")


def _manifest(
    settings: SensorSettings,
    pairs: Sequence[Pair],
    quality: Sequence[dict[str, object]],
    files: dict[str, str],
    options: dict[str, bool],
) -> str:
    read = sorted(str(row[name]) for row in quality for name in ("thigh_sha256", "back_sha256") if row[name])
    return sealed(
        {
            "kind": "sensors",
            "simulated": any(row["simulated"] for row in quality),
            "settings": settings_table(settings),
            "options": options,
            "notes": list(notes_of(settings)),
            "participants": len(pairs),
            "classifiers": _trained(),
            "recordings": {"read": len(read), "sha256": sha256("\n".join(read))},
            "status": {
                s: sum(row["status"] == s for row in quality) for s in sorted({str(r["status"]) for r in quality})
            },
            "environment": environment(),
            "files": {name: digest for name, digest in sorted(files.items()) if "/" not in name},
            "folders": {name: folder_sha256(files, name) for name in (EPOCHS, PICTURES) if folder_sha256(files, name)},
        }
    )


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _unread(quality: Sequence[dict[str, object]]) -> int:
    """Recordings that could not be read, and participants lost to a bug or a process that died."""
    found = [(row["thigh_status"], row["back_status"]) for row in quality]
    return sum(pair.count("unreadable") + (pair == ("absent", "absent")) for pair in found)


def _summary(out: Path, days: Sequence[dict[str, object]], quality: Sequence[dict[str, object]]) -> str:
    counts = {s: sum(row["status"] == s for row in quality) for s in ("complete", "reduced", "failed")}
    simulated = " (SIMULATED recordings)" if any(row["simulated"] for row in quality) else ""
    return (
        f"{len(quality)} participant(s){simulated}: {counts['complete']} complete, {counts['reduced']} reduced, "
        f"{counts['failed']} failed; {len(days)} days in {out / 'days.parquet'}, what was found in "
        f"{out / 'quality.csv'}."
    )
