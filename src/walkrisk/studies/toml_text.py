"""TOML written out: keys, texts and numbers quoted exactly, in the layout of a study.toml."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

WIDEST = 110
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
Value = str | bool | int | float | Sequence["Value"] | Mapping[str, "Value"]


def quoted(text: str) -> str:
    """A text as a basic string."""
    return '"' + "".join(_ESCAPES.get(c) or (c if c.isprintable() else _escaped(c)) for c in text) + '"'


def key(name: str) -> str:
    """A key, quoted where it must be."""
    return name if _BARE.fullmatch(name) else quoted(name)


def value(content: Value) -> str:
    """A value on one line."""
    if isinstance(content, bool):
        return "true" if content else "false"
    if isinstance(content, str):
        return quoted(content)
    if isinstance(content, Mapping):
        inside = ", ".join(f"{key(k)} = {value(v)}" for k, v in content.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(content, Sequence):
        return f"[{', '.join(value(item) for item in content)}]"
    if isinstance(content, int) or (content == int(content) and abs(content) < 1e15):
        return repr(int(content))
    return repr(content)


def lines(header: str, content: Mapping[str, Value], notes: Mapping[str, str] | None = None) -> list[str]:
    """A table with its header and keys; `notes` stand behind the keys as comments. Long lists take several lines."""
    out = [header]
    for name, item in content.items():
        line = f"{key(name)} = {value(item)}"
        note = (notes or {}).get(name, "")
        if len(line) > WIDEST and isinstance(item, Sequence) and not isinstance(item, str):
            out += [f"{key(name)} = [", *_filled([value(i) for i in item]), "]"]
        else:
            out.append(f"{line:<29} # {note}" if note else line)
    return out


def comment(sentence: str) -> list[str]:
    """A sentence as comments of at most 110 characters a line."""
    rows = [""]
    for word in sentence.split():
        longer = f"{rows[-1]} {word}".strip()
        if rows[-1] and len(longer) > WIDEST - 2:
            rows.append(word)
        else:
            rows[-1] = longer
    return [f"# {row}" for row in rows]


def _filled(items: Iterable[str]) -> list[str]:
    rows = ["  "]
    for item in items:
        if len(rows[-1]) > 2 and len(rows[-1]) + len(item) + 2 > WIDEST:
            rows.append("  ")
        rows[-1] += f"{item}, "
    return [row.rstrip() for row in rows]


def _escaped(c: str) -> str:
    return f"\\u{ord(c):04X}" if ord(c) < 0x10000 else f"\\U{ord(c):08X}"
