"""Where two declarations differ: key by key, tables of a list told apart by their names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NAMES = ("id", "analysis", "name")  # keys that name the tables of a list
LONGEST = 60
ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class KeyDifference:
    """A key with the values of both sides as text; empty where a side does not declare it."""

    key: str
    a: str
    b: str


def declared_differences(a: Any, b: Any) -> tuple[KeyDifference, ...]:
    """The keys in which two declarations differ, as plain tables (`declarations.as_table`), in their order."""
    return tuple(KeyDifference(key, _shown(x), _shown(y)) for key, x, y in _walk(a, b, ""))


def _walk(a: Any, b: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    if a == b:
        return
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in dict.fromkeys([*a, *b]):
            yield from _walk(a.get(key, ABSENT), b.get(key, ABSENT), f"{where}.{key}" if where else str(key))
        return
    ours, theirs = _named(a), _named(b)
    if ours is not None and theirs is not None:
        for key in dict.fromkeys([*ours, *theirs]):
            yield from _walk(ours.get(key, ABSENT), theirs.get(key, ABSENT), f"{where}[{key}]")
        if ours == theirs:
            yield f"{where} (order)", list(ours), list(theirs)
        return
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b) and any(isinstance(x, Mapping) for x in a):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from _walk(x, y, f"{where}[{i}]")
        return
    yield where, a, b


def _named(value: Any) -> dict[str, Any] | None:
    """The tables of a list by their names; None where it is no list of tables with a name each."""
    if not isinstance(value, list) or not all(isinstance(v, Mapping) for v in value):
        return None
    for name in NAMES:
        found = [v.get(name) for v in value]
        if all(isinstance(f, str) for f in found) and len(set(found)) == len(found):
            return {str(v[name]): v for v in value}
    return None


def _shown(value: Any) -> str:
    if value is ABSENT:
        return ""
    if isinstance(value, Mapping):
        return "declared"
    if isinstance(value, list) and any(isinstance(v, Mapping) for v in value):
        return f"{len(value)} declared"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def key_list(differences: Sequence[KeyDifference], labels: tuple[str, str], *, most: int) -> list[str]:
    """The first `most` differences as texts: "settings.conf_level (0.95 in A, 0.9 in B)"."""
    out = []
    for d in differences[:most]:
        sides = [f"{value or 'not declared'} in {label}" for value, label in zip((d.a, d.b), labels, strict=True)]
        out.append(f"{d.key} ({', '.join(sides)})")
    return out
