"""Finished parts of long work, kept beside the output folder until the run is done, so that a stopped run goes on.

Parts are named arrays (numpy's npz, nothing that could run code), each written beside and renamed. They belong to one
combination of study, data, seed and program, told by a fingerprint; another one finds none of them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]
FINGERPRINT = "fingerprint.txt"


@dataclass(frozen=True, slots=True)
class KeptParts:
    """A folder of finished parts. Where it cannot be written, work goes on and nothing is kept."""

    folder: Path

    def load(self, name: str) -> dict[str, npt.NDArray[Any]] | None:
        """The arrays of a part, None if it is not there or not whole."""
        try:
            with np.load(self._path(name)) as kept:
                return {key: kept[key] for key in kept.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def save(self, name: str, arrays: Arrays) -> None:
        """Keep the arrays of a part. Raises TypeError for arrays of objects, which could not be read again."""
        for key, values in arrays.items():
            if np.asarray(values).dtype.hasobject:
                raise TypeError(f"part {name}: {key} holds objects; keep numbers, truth values or texts")
        path = self._path(name)
        beside = path.with_suffix(".writing")
        try:
            with beside.open("wb") as out:
                np.savez(out, **arrays)  # type: ignore[arg-type]
            os.replace(beside, path)
        except OSError:
            beside.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in name)[:80]
        return self.folder / f"{safe}.{hashlib.sha256(name.encode()).hexdigest()[:12]}.npz"


def kept_beside(out: Path, fingerprint: Sequence[str]) -> KeptParts | None:
    """The parts kept for the output folder `out`, without those of another fingerprint; None if it cannot be made."""
    folder = folder_of(out)
    mark = hashlib.sha256("\n".join(fingerprint).encode()).hexdigest()
    try:
        if folder.is_dir() and _text(folder / FINGERPRINT) != mark:
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FINGERPRINT).write_text(mark, encoding="utf-8")
    except OSError:
        return None
    return KeptParts(folder)


def folder_of(out: Path) -> Path:
    """Where the parts of the output folder `out` are kept until it is finished."""
    out = out.absolute()
    return out.parent / f".{out.name}.parts"


def drop_kept(out: Path) -> None:
    """Remove what was kept for `out`."""
    shutil.rmtree(folder_of(out), ignore_errors=True)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
