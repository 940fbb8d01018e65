"""manifest.json: what went in, what it ran with, what came out, so that every number can be traced."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = (
    *("numpy", "pandas", "scipy", "patsy", "statsmodels", "lifelines", "matplotlib", "pyarrow", "pyreadstat"),
    *("jinja2", "python-docx", "fonttools"),
)
CODE = "walkrisk_code"
SEAL = "manifest_sha256"
OWN_SUFFIXES = (".py", ".j2", ".css", ".js")

Declarations = Mapping[str, Mapping[str, str]]
"""What a declaration is to a run (study, sensitivity, published, simulation) -> its file's name and sha256."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """The participants' file of a run: its name without folder, and what it holds; never a path or a record.

    `days` says the same of its table of days (name, sha256, rows), None where there is none.
    """

    name: str
    sha256: str
    rows: int | None
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
    declarations: Declarations | None = None,
    options: Mapping[str, Any] | None = None,
    made_from: Mapping[str, str] | None = None,
) -> str:
    """The manifest as JSON: no time stamps and no paths, so that the same inputs give the same bytes.

    `declarations` are the files the study was declared in (none for a study made in Python), `options` what the run
    was asked for beside them, `made_from` a hash of what each table and figure was made from.
    """
    return sealed(
        {
            "kind": "run",
            "simulated": source.simulated,
            "study": {"id": study_id, "sha256": study_sha256},
            "declarations": {role: dict(file) for role, file in (declarations or {}).items()},
            "data": {k: v for k, v in asdict(source).items() if k != "days" or v is not None},
            "settings": dict(settings),
            "options": dict(options or {}),
            "environment": environment(),
            "warnings": list(warnings),
            **({"made_from": dict(made_from)} if made_from else {}),
            "files": hashes(files),
        }
    )


def sealed(content: Mapping[str, Any]) -> str:
    """A manifest as JSON, its own hash in its last line."""
    return json.dumps({**content, SEAL: seal_of(content)}, indent=2, ensure_ascii=False) + "\n"


def seal_of(content: Mapping[str, Any]) -> str:
    """The hash of everything a manifest says but its own hash."""
    rest = {k: v for k, v in content.items() if k != SEAL}
    return sha256(json.dumps(rest, sort_keys=True, ensure_ascii=False, separators=(",", ":")))


def hashes(files: Mapping[str, str | bytes]) -> dict[str, str]:
    """File -> SHA-256, by name."""
    return {name: sha256(content) for name, content in sorted(files.items())}


def folder_sha256(files: Mapping[str, str], folder: str) -> str:
    """One hash of all files of a folder, so that no participant is named; nothing where there is none.

    `files` is file -> SHA-256, those of other folders are left out.
    """
    own = sorted((name, digest) for name, digest in files.items() if name.startswith(f"{folder}/"))
    return sha256(json.dumps(own)) if own else ""


def declared_in(files: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """Name (without folder) and hash of the declarations of a run, of those that are there, by what they are to it."""
    return {
        role: {"name": path.name, "sha256": sha256(path.read_bytes())} for role, path in files.items() if path.is_file()
    }


def versions() -> dict[str, str]:
    """Versions of walkrisk, Python and the libraries that made the numbers and the pages."""
    return {"walkrisk": _version("walkrisk"), "python": platform.python_version()} | {n: _version(n) for n in LIBRARIES}


def environment() -> dict[str, str]:
    """The versions with a hash of walkrisk's own code, which tells apart two copies of one version."""
    return {**versions(), CODE: code_sha256()}


@cache
def code_sha256() -> str:
    """One hash of the program's own files: modules, templates, styles and scripts, without the studies it may carry."""
    home = Path(__file__).resolve().parents[1]
    return sha256("\n".join(f"{name} {sha256(path.read_bytes())}" for name, path in sorted(_own(home))))


def _own(home: Path) -> Iterator[tuple[str, Path]]:
    for path in home.rglob("*"):
        name = path.relative_to(home).as_posix()
        if path.suffix in OWN_SUFFIXES and not name.startswith("analyses/"):
            yield name, path


def sha256(content: str | bytes) -> str:
    """SHA-256 of bytes, or of a text as UTF-8, in hexadecimal."""
    return hashlib.sha256(content.encode("utf-8") if isinstance(content, str) else content).hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
