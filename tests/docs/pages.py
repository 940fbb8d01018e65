"""The pages of the site and the README, and their fenced blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<info>.*)$")
OPTION = re.compile(r"^:(?P<key>[\w-]+): ?(?P<value>.*)$")
CODE = ("code-block", "code", "drawn")  # directives whose content is code
HOLDERS = ("note", "tip", "warning", "important", "admonition", "dropdown")  # whose content is a page again
OTHERS = ("toctree", "math", "figure", "image", "list-table", "table", "contents", "glossary", "eval-rst", "walkrisk")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, its language ("" if none is named), its text and its options."""

    page: str
    line: int
    language: str
    text: str
    options: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def caption(self) -> str:
        return self.options.get("caption", "")


def pages() -> list[str]:
    """Every page by its path from the checkout, the README first."""
    found = (p.relative_to(ROOT) for p in DOCS.rglob("*.md"))
    return ["README.md", *sorted(p.as_posix() for p in found if "_build" not in p.parts)]


def front_matter(page: str) -> dict[str, Any]:
    """What a page says of itself between the dashes at its head."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    return dict(yaml.safe_load(found[1])) if found else {}


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page in order, those inside notes and tips too."""
    return list(_blocks((ROOT / page).read_text(encoding="utf-8").splitlines(), page, 1))


def _blocks(lines: list[str], page: str, first: int) -> Iterator[Block]:
    i = 0
    while i < len(lines):
        opened = FENCE.match(lines[i])
        if not opened:
            i += 1
            continue
        indent, ticks = len(opened["indent"]), opened["ticks"]
        end = i + 1
        while end < len(lines) and not re.fullmatch(rf" *{ticks}`* *", lines[end]):
            end += 1
        if end == len(lines):
            raise ValueError(f"{page}:{first + i}: the block is never closed")
        content = [line[indent:] if not line[:indent].strip() else line for line in lines[i + 1 : end]]
        yield from _read(opened["info"].strip(), content, page, first + i)
        i = end + 1


def _read(info: str, content: list[str], page: str, line: int) -> Iterator[Block]:
    directive = re.match(r"\{([\w:.-]+)\}\s*(.*)", info)
    if not directive:
        yield Block(page, line, info, "\n".join(content) + "\n")
        return
    name, argument = directive[1], directive[2].strip()
    options: dict[str, str] = {}
    taken = 0
    for text in content:
        found = OPTION.match(text)
        if not found:
            break
        options[found["key"]] = found["value"].strip()
        taken += 1
    body = content[taken:]
    if name == "include":
        text = ((ROOT / page).parent / argument).read_text(encoding="utf-8")
        yield from _blocks(text.splitlines(), page, 1)
    elif name in HOLDERS:
        yield from _blocks(body, page, line + taken + 1)
    elif name in CODE:
        language = "drawn" if name == "drawn" else argument
        yield Block(page, line, language, "\n".join(body).strip("\n") + "\n", options)
    elif name not in OTHERS:
        yield Block(page, line, f"{{{name}}}", "\n".join(body), options)
