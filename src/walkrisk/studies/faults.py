"""The faults of a declaration, collected with their keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from walkrisk.declarations import suggest


class Faults:
    """Collects sentences; `name` checks one reference."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def add(self, key: str, sentence: str) -> None:
        """A fault of `key`."""
        self.sentences.append(f"{key}: {sentence}")

    def name(self, key: str, name: str, known: Iterable[str], what: str) -> None:
        """A fault unless `name` is among the `known`."""
        pool = list(known)
        if name not in pool:
            self.add(key, f"there is no {what} {name!r}{suggest(name, pool) or '.'}")

    def names(self, key: str, names: Iterable[str], known: Iterable[str], what: str) -> None:
        """A fault for each name that is not among the `known`."""
        pool = list(known)
        for name in names:
            self.name(key, name, pool, what)

    def unique(self, key: str, names: Sequence[str]) -> None:
        """A fault if a name stands more than once."""
        twice = sorted({n for n in names if list(names).count(n) > 1})
        if twice:
            self.add(key, f"{', '.join(twice)} stands more than once; names are unique.")

    def increasing(self, key: str, values: tuple[float, ...]) -> None:
        """A fault unless the values increase."""
        if any(b <= a for a, b in pairwise(values)):
            self.add(key, f"must be increasing, got {list(values)}.")
