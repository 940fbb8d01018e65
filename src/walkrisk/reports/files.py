"""Rows to CSV and back, and an output folder that is either the finished one or not there."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from walkrisk.errors import UsageFault

T = TypeVar("T")
MANIFEST = "manifest.json"
LONGEST_NAME = 200


def rows_to_csv(rows: Sequence[Any], row_type: type) -> str:
    """Records as CSV: one column a field, numbers at full precision (`repr`), empty for None, `true`/`false`."""
    names = [f.name for f in fields(row_type)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(getattr(row, name)) for name in names] for row in rows)
    return out.getvalue()


def rows_from_csv(text: str, row_type: type[T]) -> tuple[T, ...]:
    """The records that `rows_to_csv` wrote. Raises ValueError if the columns are others."""
    hints = get_type_hints(row_type)
    names = [f.name for f in fields(row_type)]  # type: ignore[arg-type]
    reader = csv.reader(io.StringIO(text))
    if next(reader, None) != names:
        raise ValueError(f"the columns are not {', '.join(names)}")
    return tuple(row_type(**{n: _parsed(v, hints[n]) for n, v in zip(names, row, strict=True)}) for row in reader)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(float(value)) if isinstance(value, float) else str(value)


def _parsed(text: str, hint: Any) -> Any:
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if text == "" and type(None) in kinds:
        return None
    kind = next(k for k in kinds if k is not type(None))
    if kind is bool:
        return text == "true"
    return text if get_origin(kind) is Literal else kind(text)


def check_output(out: Path) -> None:
    """Raises UsageFault unless `out` can be made, or holds nothing but what an earlier run left (which is replaced)."""
    if len(out.name) > LONGEST_NAME:
        raise UsageFault(
            f"The name of the output folder is longer than {LONGEST_NAME} characters; choose another --out."
        )
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UsageFault(f"{out} is not a folder; choose another --out.")
    if out.is_dir():
        strange = _strange_files(out)
        if strange:
            raise UsageFault(
                f"The folder {out} holds {strange} file(s) or folder(s) that no run of walkrisk left, which replacing "
                "it would delete; choose an empty or new one as --out, or move them away."
            )
    parent = out.absolute().parent
    while not parent.exists():
        parent = parent.parent
    try:
        Path(tempfile.mkdtemp(prefix=".walkrisk.", dir=parent)).rmdir()
    except OSError:
        raise UsageFault(f"{parent} cannot be written to; choose another --out.") from None


def _strange_files(out: Path) -> int:
    """How many files and empty folders in `out` its manifest does not name."""
    left = {MANIFEST}
    try:
        left |= set(json.loads((out / MANIFEST).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        left = set()
    folders = {parent for name in left for parent in Path(name).parents}
    found = (p.relative_to(out) for p in out.rglob("*"))
    return sum(p.as_posix() not in left and p not in folders for p in found)


@contextmanager
def finished_folder(out: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `out` only when everything in it is written; nothing is left otherwise."""
    check_output(out)
    out = out.absolute()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageFault(f"{out.parent} cannot be made ({type(error).__name__}); choose another --out.") from None
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    try:
        work.chmod(0o755)
        yield work
        old = None
        if out.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".old", dir=out.parent)) / "old"
            out.rename(old)
        try:
            work.rename(out)
        except OSError:
            if old:
                old.rename(out)
                old.parent.rmdir()
            raise
        if old:
            shutil.rmtree(old.parent)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def write_all(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write texts (UTF-8) and bytes by relative path."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
