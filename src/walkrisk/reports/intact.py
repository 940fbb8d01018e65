"""Whether a folder holds what its manifest says: every file with its hash, none too many, the manifest as it was."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from walkrisk.errors import UsageFault
from walkrisk.reports.files import MANIFEST
from walkrisk.reports.manifest import SEAL, folder_sha256, seal_of

CHUNK = 1 << 20
SHOWN = 12  # characters of a hash in a sentence
OF_A_RUN = ("study", "data", "settings")  # tables that the manifest of every run has
TABLES = ("options", "environment", "declarations", "folders")  # and those it may have
BY_PERSON = {"epochs": ".parquet", "pictures": ".png"}  # folders of `walkrisk sensors`, a file a participant
AT_WORK = "parts"  # what `walkrisk sensors` keeps to go on from


def kept_manifest(folder: Path) -> dict[str, Any]:
    """What manifest.json of a folder says. Raises UsageFault if there is none, or none that can be read."""
    try:
        said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = said["files"]
        tables = [said[k] for k in TABLES if k in said]
        tables += [said[k] for k in OF_A_RUN] if kind_of(said) == "run" else []
        if not all(isinstance(k, str) and isinstance(v, str) for k, v in files.items()):
            raise TypeError
        if not all(isinstance(table, dict) for table in tables):
            raise TypeError
    except (FileNotFoundError, NotADirectoryError):
        raise UsageFault(
            f"{folder} holds no finished run (no {MANIFEST}); give an output folder of walkrisk."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageFault(
            f"{folder / MANIFEST} cannot be read as a manifest ({type(error).__name__}), so nothing can be held "
            "against it; make the folder again."
        ) from None
    return dict(said)


def kind_of(said: Mapping[str, Any]) -> str:
    """What left a folder: run, sensors or comparison; manifests of earlier versions do not say it."""
    return str(said.get("kind") or ("sensors" if "participants" in said else "run"))


def is_sealed(said: Mapping[str, Any]) -> bool:
    """Whether the manifest has its own hash, which those of earlier versions have not."""
    return SEAL in said


def folder_differences(folder: Path, said: Mapping[str, Any]) -> Iterator[str]:
    """Everything in which a folder is not what its manifest says, a sentence each."""
    if is_sealed(said) and said[SEAL] != seal_of(said):
        yield f"{MANIFEST}: was changed; its last line is not the hash of what it says."
    named: Mapping[str, str] = said["files"]
    for name, digest in sorted(named.items()):
        yield from _file_differences(folder, name, digest)
    people = _by_person(folder, said) if kind_of(said) == "sensors" else {}
    for sub, digest in dict(said.get("folders") or {}).items():
        if folder_sha256(people, sub) != digest:
            yield f"{sub}/: its files together are not what was left there (the manifest has one hash of all of them)."
    known = {MANIFEST, *named, *people, *(str(parent) for name in named for parent in PurePosixPath(name).parents)}
    sensors = kind_of(said) == "sensors"
    strange = [name for name in _found(folder, ignored=AT_WORK if sensors else "") if name not in known]
    for name in strange:
        if not (sensors and name.split("/")[0] in BY_PERSON):
            yield f"{_safe(name)}: is not in the manifest; it was put there afterwards."
    for sub in BY_PERSON if sensors else ():  # their names are participants
        more = sum(name.split("/")[0] == sub for name in strange)
        if more:
            yield f"{sub}/: {more} file(s) are of no participant in quality.csv."


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _file_differences(folder: Path, name: str, digest: str) -> Iterator[str]:
    path = folder / name
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name or ":" in name:
        yield f"{_safe(name)}: the manifest names a file outside the folder; it was not opened."
    elif path.is_symlink():
        yield f"{name}: is a link, not the file that was left there."
    elif not path.is_file():
        yield f"{name}: is missing."
    else:
        try:
            found = sha256_of(path)
        except OSError as error:
            yield f"{name}: cannot be read ({type(error).__name__})."
            return
        if found != digest:
            yield f"{name}: was changed (its SHA-256 is {found[:SHOWN]}..., the manifest has {digest[:SHOWN]}...)."


def _found(folder: Path, *, ignored: str) -> list[str]:
    """Files, links and empty folders, by name, without those below `ignored`."""
    names = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        empty = path.is_dir() and not any(path.iterdir())
        if (path.is_file() or path.is_symlink() or empty) and not (ignored and name.split("/")[0] == ignored):
            names.append(name)
    return names


def _by_person(folder: Path, said: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of the files of the participants in quality.csv, in the folders the manifest has a hash of."""
    try:
        with (folder / "quality.csv").open(encoding="utf-8", newline="") as file:
            people = [row["participant_id"] for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError, csv.Error):
        people = []
    names = [f"{sub}/{who}{BY_PERSON[sub]}" for sub in said.get("folders") or {} if sub in BY_PERSON for who in people]
    return {name: sha256_of(folder / name) for name in names if (folder / name).is_file()}


def _safe(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name)[:200]
