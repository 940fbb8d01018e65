"""Declarations on the pages: whole ones are checked, fragments are checked inside the study the page is about."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from .pages import ROOT, Block

BASE = "analyses/minimal_study.toml"
HEADER = re.compile(r"^\[(\[?)([^\]]+)\]\]?\s*(#.*)?$")
KEY = re.compile(r"^([\w-]+)\s*=")


def check_toml(block: Block, *, base: Path) -> None:
    """Raises if a declaration is at fault; its kind follows from the caption or from what is in it."""
    name = Path(block.caption.removeprefix("in ").strip()).name
    table = tomllib.loads(block.text)
    if name.startswith("sensors"):
        from walkrisk.sensors.settings import load_settings

        load_settings(Path(name))
    elif name.startswith("published"):
        if not table.get("ratios") and not table.get("ratio"):
            raise ValueError(f"{block.place}: published numbers have [[ratios]]")
    elif name.startswith("sensitivity"):
        from walkrisk.studies.declaration import study_from

        study_from(merged(_base(base), {"sensitivity": table}))
    elif name.endswith(".toml"):
        from walkrisk.studies.declaration import load_study

        load_study(Path(name))
    else:
        from walkrisk.studies.declaration import study_from

        study_from(table if "study" in table else merged(_base(base), table))


def _base(path: Path) -> dict[str, Any]:
    chosen = path if path.is_file() else ROOT / BASE
    return tomllib.loads(chosen.read_text(encoding="utf-8"))


def merged(base: Any, more: Any) -> Any:
    """A declaration with a fragment put into it: tables are joined, lists with ids too, anything else is replaced."""
    if isinstance(base, dict) and isinstance(more, dict):
        return base | {key: merged(base[key], value) if key in base else value for key, value in more.items()}
    if isinstance(base, list) and isinstance(more, list) and all(isinstance(m, dict) and "id" in m for m in more):
        ids = {m["id"] for m in more}
        return [b for b in base if b.get("id") not in ids] + more
    return more


def put_into(text: str, fragment: str) -> str:
    """A file after a reader put a fragment in: keys replaced in their section or added, new sections appended."""
    for header, keys in _sections(fragment):
        is_list = header.startswith("[[")
        if is_list or not re.search(rf"(?m)^{re.escape(header)}", text):
            text = text.rstrip("\n") + "\n\n" + "\n".join([header, *keys]) + "\n"
            continue
        for key in reversed(keys):
            text = _put_key(text, header, key)
    tomllib.loads(text)
    return text


def _sections(fragment: str) -> list[tuple[str, list[str]]]:
    out: list[tuple[str, list[str]]] = []
    for line in fragment.splitlines():
        if HEADER.match(line):
            out.append((line.split("#")[0].strip(), []))
        elif line.strip():
            if KEY.match(line) or not out[-1][1]:
                out[-1][1].append(line)
            else:
                out[-1][1][-1] += "\n" + line  # a value of several lines
    return out


def _put_key(text: str, header: str, line: str) -> str:
    start = re.search(rf"(?m)^{re.escape(header)}.*\n", text)
    assert start is not None
    end = re.compile(r"(?m)^\[").search(text, start.end())
    section = text[start.end() : end.start() if end else len(text)]
    key = KEY.match(line)
    assert key is not None, line
    old = re.compile(rf"(?m)^{re.escape(key[1])}\s*=.*$")
    section = old.sub(lambda _: line, section, count=1) if old.search(section) else line + "\n" + section
    return text[: start.end()] + section + (text[end.start() :] if end else "")
