"""`walkrisk verify`: whether a folder is what its manifest says, and whether carrying it out again gives the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from walkrisk.comparisons.declared_differences import declared_differences, key_list
from walkrisk.comparisons.rerunning import Rerun, other_versions, rerun
from walkrisk.declarations import as_table
from walkrisk.errors import StudyFault, UsageFault
from walkrisk.reports.intact import SHOWN, folder_differences, is_sealed, kept_manifest, kind_of, sha256_of
from walkrisk.reports.manifest import SEAL
from walkrisk.runs.compute import Progress, silent
from walkrisk.runs.run import STUDY_FILE
from walkrisk.studies.declaration import load_study

OPTIONS = ("min_cell", "seed", "round_counts")  # settings that a run's options may have set
WHAT = {"run": "run", "sensors": "run over recordings", "comparison": "comparison"}
RESOLVED = ("study", "sensitivity")  # declarations that study.json has the outcome of
MOST_KEYS, MOST_FILES = 10, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found of a folder of `files` files, in sentences.

    `differences` are those of the folder from its manifest, `inputs` those of the given data and declarations from the
    ones it names; `remarks` are no differences. `declared` is the name of the declaration that was held against the
    run's, `rerun` None where nothing was run again.
    """

    folder: Path
    kind: str
    files: int
    differences: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    declared: str = ""
    rerun: Rerun | None = None

    @property
    def ok(self) -> bool:
        """Whether folder and inputs are what the manifest says, and a rerun, if there was one, gave the same."""
        return not (self.differences or self.inputs) and (self.rerun is None or self.rerun.same_results)

    @property
    def faults(self) -> tuple[str, ...]:
        """Every difference that counts, all together."""
        again = self.rerun
        return (*self.differences, *self.inputs, *(rerun_sentences(again) if again and not again.same_results else ()))

    @property
    def notes(self) -> tuple[str, ...]:
        """What is said besides."""
        again = self.rerun
        return (*self.remarks, *(rerun_sentences(again) if again and again.same_results else ()))

    @property
    def summary(self) -> str:
        """The verdict in a few sentences."""
        what = WHAT.get(self.kind, self.kind)
        said = [f"{self.folder}: all {self.files} files of the {what} are as it left them."]
        if self.differences:
            said = [f"{self.folder} is NOT as the {what} left it: {len(self.differences)} difference(s)."]
        if self.inputs:
            said.append("The inputs are NOT those of the run.")
        elif self.declared:
            said.append(f"{self.declared} declares the study that was run.")
        return " ".join([*said, *([rerun_verdict(self.rerun)] if self.rerun else [])])


def verify(
    folder: str | Path,
    *,
    data: str | Path | None = None,
    days: str | Path | None = None,
    study: str | Path | None = None,
    released: Sequence[str | Path] = (),
    rerun_simulated: bool = False,
    jobs: int = 1,
    progress: Progress = silent,
) -> Verification:
    """Hold an output folder of walkrisk against its manifest; with `data`, carry the run out again and compare.

    Without more, hashes only: every file there, none changed, none too many, the manifest as it was. `data` and `days`
    must be the files the manifest has the hashes of, or nothing is rerun; `study`, the study.toml, is held against the
    study that was carried out; `released` are the folders of earlier releases that the run was made beside.
    `rerun_simulated` simulates the extract of a simulated run again, by the simulation.toml beside `study`. The rerun
    is made in a folder beside, which is removed. Raises UsageFault if the folder holds no manifest or cannot be rerun
    as asked, and what a run raises.
    """
    folder = Path(folder).absolute()
    said = kept_manifest(folder)
    kind = kind_of(said)
    data, days, study = (None if p is None else Path(p) for p in (data, days, study))
    wanted = data is not None or rerun_simulated
    _check_asked(kind, said, data=data, days=days, study=study, rerun_simulated=rerun_simulated)
    earlier = _earlier(said, [Path(r) for r in released]) if wanted else []
    differences = list(folder_differences(folder, said))
    remarks = [] if is_sealed(said) else [f"{folder.name} was left by an earlier walkrisk, whose manifest has no hash."]
    if kind == "run":
        differences += _study_differences(folder, said)
    inputs = list(_input_differences(said, data=data, days=days))
    if study is not None:
        found, noted = _declared_differences(folder, said, study)
        inputs, remarks = inputs + found, remarks + noted
    again = None
    if wanted:
        if differences or inputs:
            remarks.append("Nothing was run again: that would compare other things than the manifest names.")
        else:
            again = rerun(
                folder, said, data=data, days=days, simulation=study, released=earlier, jobs=jobs, progress=progress
            )
    if again is None and (others := other_versions(said)):
        remarks.append(f"Made with other versions than are installed here: {'; '.join(others)}.")
    return Verification(
        folder=folder,
        kind=kind,
        files=len(said["files"]),
        differences=tuple(differences),
        inputs=tuple(inputs),
        remarks=tuple(remarks),
        declared=study.name if study else "",
        rerun=again,
    )


def _check_asked(
    kind: str,
    said: Mapping[str, Any],
    *,
    data: Path | None,
    days: Path | None,
    study: Path | None,
    rerun_simulated: bool,
) -> None:
    faults = []
    if kind != "run" and (data or days or study or rerun_simulated):
        faults.append("Only the folder of a run can be run again; leave --data, --days, --study and --rerun out.")
    faults += [f"There is no file {p}." for p in (data, days, study) if p is not None and not p.is_file()]
    if not faults and kind == "run":
        simulated = said["data"].get("seed") is not None
        if rerun_simulated and data is None and not simulated:
            faults.append("The data of this run were not simulated by it; give them with --data to run it again.")
        if rerun_simulated and data is None and simulated and study is None:
            faults.append("To simulate the extract again, give --study: simulation.toml is read beside it.")
        if data is None and days is not None:
            faults.append("Days were given without the participants they belong to; give --data too.")
        if data is not None and (days is None) != (said["data"].get("days") is None):
            faults.append(
                "This run read a table of days; give it with --days." if days is None else "This run read no days."
            )
    if faults:
        raise UsageFault(faults)


def _earlier(said: Mapping[str, Any], released: Sequence[Path]) -> list[Path]:
    """The folders of the earlier releases that a run was made beside, in its order. Raises UsageFault if not those."""
    prints: list[str] = list((said.get("options") or {}).get("released", []))
    folders = {str(kept_manifest(folder).get(SEAL)): folder for folder in released}
    if set(folders) != set(prints):
        raise UsageFault(
            f"This run was made beside {len(prints)} earlier release(s), which the rerun needs; give their folders, as "
            "they were, and no others with --released."
            if prints
            else "This run was made beside no earlier release; leave --released out."
        )
    return [folders[print_] for print_ in prints]


def _study_differences(folder: Path, said: Mapping[str, Any]) -> Iterator[str]:
    """Where the manifest says of the study what study.json or itself say otherwise."""
    if said["files"].get(STUDY_FILE) != said["study"]["sha256"]:
        yield f"manifest.json: has two hashes of {STUDY_FILE}."
    if said.get("simulated") != said["data"].get("simulated"):
        yield "manifest.json: says in two places whether the data are simulated, and not the same."
    try:
        study = json.loads((folder / STUDY_FILE).read_text(encoding="utf-8"))
        same = study["study"]["id"] == said["study"]["id"], study["settings"] == said["settings"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return  # its own sentence says that it is missing or was changed
    if not same[0]:
        yield f"manifest.json: names another study than {STUDY_FILE} is."
    if not same[1]:
        yield f"manifest.json: has other settings than {STUDY_FILE}."


def _input_differences(said: Mapping[str, Any], *, data: Path | None, days: Path | None) -> Iterator[str]:
    known = said.get("data", {})
    for path, kept in ((data, known), (days, known.get("days") or {})):
        if path is not None and (digest := sha256_of(path)) != kept.get("sha256"):
            yield (
                f"{path.name}: is not the file that was analysed (its SHA-256 is {digest[:SHOWN]}..., that of "
                f"{kept.get('name', 'the file')} was {str(kept.get('sha256'))[:SHOWN]}...)."
            )


def _declared_differences(folder: Path, said: Mapping[str, Any], study: Path) -> tuple[list[str], list[str]]:
    """Differences and remarks of the declarations on disk: of their texts, and of what they declare."""
    declared: Mapping[str, Mapping[str, str]] = said.get("declarations") or {}
    places = {role: study if role == "study" else study.with_name(kept["name"]) for role, kept in declared.items()}
    missing = [role for role, path in places.items() if not path.is_file()]
    changed = [r for r, path in places.items() if r not in missing and sha256_of(path) != declared[r]["sha256"]]
    faults = [f"{places[role].name}: was read by the run and is no longer beside the study." for role in missing]
    faults += [f"{places[role].name}: was changed since the run." for role in changed if role not in RESOLVED]
    kept = _kept_study(folder)
    sensitivity = "sensitivity" in declared if declared else bool(kept.get("sensitivity"))
    if "study" in missing or "sensitivity" in missing:
        return faults, []
    try:
        now = json.loads(json.dumps(as_table(load_study(study, sensitivity=sensitivity))))
    except StudyFault as fault:
        return [*faults, *fault.faults], []
    keys = declared_differences(_without_options(kept), _without_options(now))
    if keys:
        more = f", and {len(keys) - MOST_KEYS} more" if len(keys) > MOST_KEYS else ""
        named = "; ".join(key_list(keys, ("the run", study.name), most=MOST_KEYS))
        return [*faults, f"{study.name}: declares another study: {named}{more}."], []
    return faults, [
        f"{places[role].name}: its text was changed since the run, but it declares the same study."
        for role in changed
        if role in RESOLVED
    ]


def _kept_study(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / STUDY_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return {}


def _without_options(study: Mapping[str, Any]) -> dict[str, Any]:
    settings = {k: v for k, v in study.get("settings", {}).items() if k not in OPTIONS}
    return {**study, "settings": settings}


# ---------------------------------------------------------------- sentences of a rerun


def rerun_verdict(again: Rerun) -> str:
    """What running again showed."""
    if again.same_bytes:
        return f"Run again: all {again.compared} outputs have the same bytes."
    if again.same_results and again.rows:
        return "Run again: the same results; numbers differ in their last digits only."
    if again.same_results:
        return "Run again: the same numbers and tables; only pages or pictures have other bytes."
    return "Run again: the results are NOT the same."


def rerun_sentences(again: Rerun) -> list[str]:
    """Every difference of a rerun: numbers, printed texts, files; then what may be the reason."""
    if again.same_bytes:
        return []
    out = [*again.said]
    out += [f"{len(again.missing)} file(s) the rerun did not leave: {_some(again.missing)}."] if again.missing else []
    out += [f"{len(again.more)} file(s) only the rerun left: {_some(again.more)}."] if again.more else []
    out += [d.sentence for d in again.rows]
    out += [
        f"{d.name}: printed texts differ in {d.words + d.numbers} cell(s)." if d.kind == "numbers" else d.sentence
        for d in again.printed
    ]
    if not again.printed:
        out.append("No printed text of any table changes.")
    if again.others:
        names = _some([d.name for d in again.others])
        out.append(f"{len(again.others)} page(s), picture(s) or the like have other bytes: {names}.")
    if again.versions:
        out.append(f"Versions that are others: {'; '.join(again.versions)}.")
    elif again.rows:
        out.append("The versions are the same; another processor may give other last digits.")
    return out


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_FILES} more" if len(names) > MOST_FILES else ""
    return ", ".join(names[:MOST_FILES]) + more
