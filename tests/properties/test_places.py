"""Lines of keys in TOML of every style: the tree found is that of tomllib, and each key stands on the line said."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from walkrisk.places import Place, find, places
from walkrisk.studies.toml_text import quoted

Draw = Callable[[st.SearchStrategy[Any]], Any]

KEYS = st.text(st.sampled_from("ab1-_ .\"'#=[]é"), max_size=4)
TEXTS = st.text(st.sampled_from("ab \"'\\#[]{},=\n\té"), max_size=8)
SCALARS = TEXTS | st.integers(-99, 99) | st.booleans() | st.just(1.5)
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=3), max_leaves=6)
TABLES = st.dictionaries(
    KEYS,
    st.dictionaries(KEYS, VALUES, max_size=3)
    | st.lists(st.dictionaries(KEYS, VALUES, max_size=3), min_size=1, max_size=3),
    max_size=4,
)
GAPS = st.sampled_from(["", " ", "  # a [comment] = \"of = any' sort", "\t"])
BREAKS = st.sampled_from(["", "\n", "\n\n  # [not.a.table]\n"])


def key_text(name: str, draw: Draw) -> str:
    """A key as bare, literal or basic."""
    styles = [quoted(name)]
    if name and name.isascii() and name.replace("-", "").replace("_", "").isalnum():
        styles.append(name)
    if "'" not in name:
        styles.append(f"'{name}'")
    return str(draw(st.sampled_from(styles)))


def text_text(text: str, draw: Draw) -> str:
    """A string in one of its four styles."""
    styles = [quoted(text), '"""\n' + text.replace("\\", "\\\\").replace('"', '\\"') + '"""']
    if "'" not in text and "\n" not in text:
        styles.append(f"'{text}'")
    if "'" not in text:
        styles.append(f"'''\n{text}'''")
    if '"' not in text and "\\" not in text:
        styles.append(f'"""\\\n  {text}"""' if text.strip() == text and not text.startswith("\n") else quoted(text))
    return str(draw(st.sampled_from(styles)))


def value_text(value: Any, draw: Draw, *, inline: bool = False) -> str:
    """A value, lists over several lines as may be."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return text_text(value, draw)
    if isinstance(value, dict):
        inner = [f"{key_text(k, draw)} = {value_text(v, draw, inline=True)}" for k, v in value.items()]
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, list):
        out = "["
        for item in value:
            out += draw(BREAKS) + value_text(item, draw, inline=inline) + draw(st.sampled_from([",", " ,"]))
        return out + draw(BREAKS) + "]"
    return repr(value)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A TOML text of tables and arrays of tables, some keys dotted."""
    tables = draw(TABLES)
    out = draw(BREAKS)
    for name, table in tables.items():
        header = key_text(name, draw)
        for entry in table if isinstance(table, list) else [table]:
            out += draw(BREAKS)
            out += (f"[[{header}]]" if isinstance(table, list) else f"[ {header} ]") + draw(GAPS) + "\n"
            for k, v in entry.items():
                dotted = isinstance(v, dict) and v and draw(st.booleans())
                rows = (
                    [(f"{key_text(k, draw)} . {key_text(i, draw)}", w) for i, w in v.items()]
                    if dotted
                    else [(key_text(k, draw), v)]
                )
                for left, right in rows:
                    out += f"{left}{draw(st.sampled_from(['=', ' = ']))}{value_text(right, draw)}{draw(GAPS)}\n"
    return out.replace("\n", draw(st.sampled_from(["\n", "\n", "\r\n"])))


def same(place: Place, value: Any) -> None:
    """The tree of places is that of the values."""
    if isinstance(value, dict):
        assert set(place.keys) == set(value)
        for key, inner in value.items():
            same(place.keys[key], inner)
    elif isinstance(value, list):
        assert len(place.items) == len(value)
        for inner, item in zip(place.items, value, strict=True):
            same(inner, item)
    elif isinstance(value, str):
        assert place.text == value


@settings(max_examples=150)
@given(documents())
def test_the_tree_is_that_of_tomllib(text: str) -> None:
    same(places(text), tomllib.loads(text))


@settings(max_examples=60)
@given(st.lists(st.tuples(TEXTS, st.integers(0, 3)), min_size=1, max_size=5), st.data())
def test_keys_are_found_on_their_lines(rows: list[tuple[str, int]], data: st.DataObject) -> None:
    text, lines = "[t]\n", []
    for i, (content, blank) in enumerate(rows):
        text += "\n" * blank
        lines.append(text.count("\n") + 1)
        text += f"k{i} = {text_text(content, data.draw)}\n"
    root = places(text)
    for i, line in enumerate(lines):
        found = find(root, f"t.k{i}: is at fault.")
        assert found is not None
        assert found.line == line
