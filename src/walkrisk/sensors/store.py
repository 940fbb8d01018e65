"""What a run over recordings keeps on disk: one finished part a participant, and the tables assembled from them.

    OUT/parts/ID.json         days and quality of one participant, written last: its being there means finished
    OUT/epochs/ID.parquet     by choice
    OUT/pictures/ID.png       a week at a glance
    OUT/days.parquet, quality.csv, quality.html, measurement_error.json, manifest.json

Everything is written beside its place and renamed into it, so that a killed run leaves whole files or none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from walkrisk.errors import UsageFault
from walkrisk.sensors.pairs import Pair

PARTS, EPOCHS, PICTURES = "parts", "epochs", "pictures"
MARK = "-settings.json"  # in parts/ (no participant_id begins so): the declaration and version the parts were made with
TABLES = ("days.parquet", "quality.csv", "quality.html", "measurement_error.json", "manifest.json")


@dataclass(frozen=True, slots=True)
class Part:
    """One participant's finished work: rows of days.parquet, the row of quality.csv, hashes of what else it left."""

    signature: str
    days: Sequence[Mapping[str, Any]]
    quality: Mapping[str, Any]
    files: Mapping[str, str]


def check_store(out: Path) -> None:
    """Raises UsageFault unless `out` can be made, is empty, or holds what an earlier run over recordings left."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UsageFault(f"{out} is not a folder; choose another --out.")
    ours = {PARTS, EPOCHS, PICTURES, *TABLES}
    if out.is_dir() and not (out / PARTS / MARK).is_file() and any(p.name not in ours for p in out.iterdir()):
        raise UsageFault(
            f"The folder {out} holds files that no run of `walkrisk sensors` left; choose an empty or new one as --out."
        )
    try:
        (out / PARTS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageFault(f"{out} cannot be written to ({error.strerror}); choose another --out.") from None
    for leftover in [
        *out.glob(".walkrisk-*"),
        *out.glob("*/.walkrisk-*"),
    ]:  # beside their place when an earlier run was killed
        with contextlib.suppress(OSError):
            leftover.unlink()


def signature(pair: Pair, mark: str) -> str:
    """A digest of the settings and each file's name, size and time of change: where equal, nothing is to be redone."""
    digest = hashlib.sha256(mark.encode())
    for path in (pair.thigh, pair.back):
        digest.update(f"|{path.name}|{_state(path)}".encode() if path else b"|")
    return digest.hexdigest()


def _state(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size}|{found.st_mtime_ns}"


def write_part(out: Path, participant_id: str, part: Part) -> None:
    """Keep a participant's finished work."""
    days = [dict(row) for row in part.days]
    content = {"signature": part.signature, "files": dict(part.files), "quality": dict(part.quality), "days": days}
    write(out / PARTS / f"{participant_id}.json", json.dumps(content, indent=1, ensure_ascii=False).encode())


def read_part(out: Path, participant_id: str) -> Part | None:
    """A participant's finished work; None where there is none that can be used."""
    try:
        content = json.loads((out / PARTS / f"{participant_id}.json").read_bytes())
        part = Part(content["signature"], content["days"], content["quality"], content["files"])
        return part if all((out / name).is_file() for name in part.files) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def write(path: Path, content: bytes) -> None:
    """Write beside `path`, then rename. Raises UsageFault where that cannot be done (a full disk)."""
    beside = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".walkrisk-", dir=path.parent)
        beside = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(0o644)
        beside.replace(path)
    except OSError as error:
        raise UsageFault(
            f"{path.parent} cannot be written to ({error.strerror}); make room there or choose another --out and run "
            "the same command again: what is finished is kept."
        ) from None
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)
