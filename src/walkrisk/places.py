"""On which line of a TOML text each key stands, so that a fault can point at it.

The text is known to be TOML (tomllib has read it); this walk only finds where things are. Tables, arrays of tables,
inline tables, dotted and quoted keys, arrays and strings over several lines are followed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from walkrisk.errors import StudyFault

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRINGS = (
    re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}(?!")', re.DOTALL),
    re.compile(r"'''.*?'{3,5}(?!')", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)
_PLAIN = re.compile(r"[^,\]}#\n]*")
_STEP = re.compile(r"\[(\d+)\]| \(([^)]*)\)|\.?")
NAMES = ("id", "analysis")  # keys whose text names an entry of a list


@dataclass(slots=True)
class Place:
    """Where a value begins: its line from 1, what is inside it, and the text of a string."""

    line: int
    keys: dict[str, Place] = field(default_factory=dict)
    items: list[Place] = field(default_factory=list)
    text: str | None = None


def places(text: str) -> Place:
    """The places of everything in a TOML text that tomllib can read."""
    return _Walk(text).document()


@contextmanager
def pointing(path: Path, **beside: Path) -> Iterator[None]:
    """Within it a StudyFault says file and line before each sentence: `my_study.toml:41: models.adjusted: ...`.

    `beside` are files that hold a whole section of the declaration, such as sensitivity=sensitivity.toml.
    """
    try:
        yield
    except StudyFault as fault:
        raise StudyFault(with_lines(fault.faults, path, **beside)) from None


def with_lines(sentences: Iterable[str], path: Path, **beside: Path) -> list[str]:
    """Sentences about keys of a TOML file with its name and their lines before them; those that have a name stay."""
    roots = {file: read_places(file) for file in (path, *beside.values())}
    out = []
    for sentence in sentences:
        if any(sentence.startswith(f"{file.name}:") for file in roots):
            out.append(sentence)
            continue
        section = re.match(r"\w*", sentence)
        file = beside.get(section[0] if section else "", path)
        line = line_of(roots[file], sentence if file == path else re.sub(r"^\w*\.?", "", sentence))
        out.append(f"{file.name}{f':{line}' if line else ''}: {sentence}")
    return out


def line_of(root: Place, sentence: str) -> int | None:
    """The line that a fault is about: that of the key before its colon, or what it quotes below it; or of the entry
    of a list that it names."""
    place = find(root, sentence)
    if place is None:
        name = re.match(r"[^:]*: (\w+)", sentence)
        place = _entry(root, name[1]) if name else None
    if place is None:
        return None
    return (_said(place, sentence) or place).line


def _said(place: Place, sentence: str) -> Place | None:
    """The first text inside a place that a sentence quotes."""
    for inner in (*place.keys.values(), *place.items):
        if inner.text and repr(inner.text) in sentence:
            return inner
        if found := _said(inner, sentence):
            return found
    return None


def read_places(path: Path) -> Place:
    """The places in a file that has been read before; those of an empty one where it has changed since."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        tomllib.loads(text)
        return places(text)
    except (OSError, ValueError, RecursionError):
        return Place(0)


def find(root: Place, key: str) -> Place | None:
    """The place of a key such as `models.adjusted.covariates` or `analyses[0] (main).models` at the start of a text.

    Where the last parts of the key are not in the file, the place of what holds them; None if not even its first part.
    """
    here, found = root, None
    position = 0
    while True:
        step = _STEP.match(key, position)
        after = step.end() if step else position
        if step and step[1] is not None:
            if int(step[1]) >= len(here.items):
                return found
            here = found = here.items[int(step[1])]
        elif step and step[2] is not None:
            named = [item for item in here.items if _name(item) == step[2]]
            here = found = named[0] if named else here
        else:
            name = _longest(here, key, after)
            if name is None:
                return found
            here = found = here.keys[name]
            after += len(name)
        position = after


def _entry(root: Place, name: str) -> Place | None:
    """The last entry of a list that is called `name` by its id."""
    entries = [e for part in root.keys.values() for e in part.items if _name(e) == name]
    return entries[-1] if entries else None


def _name(entry: Place) -> str | None:
    return next((entry.keys[k].text for k in NAMES if k in entry.keys), None)


def _longest(here: Place, key: str, position: int) -> str | None:
    """The longest key that stands at a position and ends there."""
    fits = [k for k in here.keys if key.startswith(k, position) and _ends(key, position + len(k))]
    return max(fits, key=len) if fits else None


def _ends(key: str, position: int) -> bool:
    return key[position : position + 1] in ("", ".", "[", ":") or key[position : position + 2] == " ("


class _Walk:
    """A position in the text; each method goes past what it is named for."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.line = 1

    def document(self) -> Place:
        root = table = Place(1)
        self.blank()
        while self.position < len(self.text):
            if self.at("[["):
                self.go(2)
                table = self.header(root, entry=True)
                self.go(2)
            elif self.at("["):
                self.go(1)
                table = self.header(root, entry=False)
                self.go(1)
            else:
                self.assignment(table)
            self.blank()
        return root

    def header(self, root: Place, *, entry: bool) -> Place:
        line = self.line
        path = self.key_path()
        here = root
        for name in path[:-1]:
            here = _last(here.keys.setdefault(name, Place(line)))
        last = here.keys.setdefault(path[-1], Place(line))
        if not entry:
            last.line = min(last.line, line) if last.keys else line
            return last
        last.items.append(Place(line))
        return last.items[-1]

    def assignment(self, table: Place) -> None:
        line = self.line
        path = self.key_path()
        for name in path[:-1]:
            table = table.keys.setdefault(name, Place(line))
        self.go(1)  # =
        table.keys[path[-1]] = self.value(line)

    def key_path(self) -> list[str]:
        out = []
        while True:
            self.blank()
            bare = _BARE_KEY.match(self.text, self.position)
            if bare:
                out.append(self.take(bare.end()))
            else:
                out.append(next(iter(tomllib.loads(f"{self.string()} = 0"))))
            self.blank()
            if not self.at("."):
                return out
            self.go(1)

    def value(self, line: int) -> Place:
        self.blank()
        if self.at("["):
            return self.array(line)
        if self.at("{"):
            return self.inline_table(line)
        if self.at('"') or self.at("'"):
            return Place(line, text=str(tomllib.loads(f"x = {self.string()}")["x"]))
        plain = _PLAIN.match(self.text, self.position)
        self.take(plain.end() if plain else len(self.text))
        return Place(line)

    def array(self, line: int) -> Place:
        out = Place(line)
        self.go(1)
        self.blank()
        while not self.at("]"):
            out.items.append(self.value(self.line))
            self.comma()
        self.go(1)
        return out

    def inline_table(self, line: int) -> Place:
        out = Place(line)
        self.go(1)
        self.blank()
        while not self.at("}"):
            self.assignment(out)
            self.comma()
        self.go(1)
        return out

    def comma(self) -> None:
        self.blank()
        if self.at(","):
            self.go(1)
            self.blank()

    def string(self) -> str:
        found = next(m for pattern in _STRINGS if (m := pattern.match(self.text, self.position)))
        return self.take(found.end())

    def at(self, sign: str) -> bool:
        return self.text.startswith(sign, self.position)

    def go(self, n: int) -> None:
        self.take(self.position + n)

    def blank(self) -> None:
        found = _BLANK.match(self.text, self.position)
        self.take(found.end() if found else self.position)

    def take(self, end: int) -> str:
        taken = self.text[self.position : end]
        self.line += taken.count("\n")
        self.position = max(end, self.position)
        return taken


def _last(place: Place) -> Place:
    """The table that a header goes on from: of an array of tables the last."""
    return place.items[-1] if place.items else place
