"""manifest.json: what went in, what it ran with, what came out, so that every number can be traced."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

LIBRARIES = ("numpy", "pandas", "scipy", "patsy", "statsmodels", "lifelines", "matplotlib", "pyarrow", "pyreadstat")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """The participants' file of a run: its name without folder, and what it holds; never a path or a record.

    `days` says the same of its table of days (name, sha256, rows), None where there is none.
    """

    name: str
    sha256: str
    rows: int
    columns_read: int
    columns_in_file: int
    simulated: bool
    seed: int | None = None
    days: Mapping[str, Any] | None = None


def manifest(
    *,
    study_id: str,
    study_sha256: str,
    source: DataSource,
    settings: Mapping[str, Any],
    warnings: tuple[str, ...],
    files: Mapping[str, str | bytes],
) -> str:
    """The manifest as JSON: no time stamps and no paths, so that the same inputs give the same bytes."""
    content = {
        "simulated": source.simulated,
        "study": {"id": study_id, "sha256": study_sha256},
        "data": {k: v for k, v in asdict(source).items() if k != "days" or v is not None},
        "settings": dict(settings),
        "environment": versions(),
        "warnings": list(warnings),
        "files": {name: sha256(content) for name, content in sorted(files.items())},
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def versions() -> dict[str, str]:
    """Versions of walkrisk, Python and the libraries that computed the numbers."""
    return {"walkrisk": _version("walkrisk"), "python": platform.python_version()} | {n: _version(n) for n in LIBRARIES}


def sha256(content: str | bytes) -> str:
    """SHA-256 of bytes, or of a text as UTF-8, in hexadecimal."""
    return hashlib.sha256(content.encode("utf-8") if isinstance(content, str) else content).hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
