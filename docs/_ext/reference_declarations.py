"""Every section and key of study.toml, sensitivity.toml and sensors.toml, from their JSON Schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

from reference_markdown import code, codes, sentence, table

from walkrisk.declarations import json_schema
from walkrisk.sensors.settings import sensors_schema
from walkrisk.studies.declaration import study_schema
from walkrisk.studies.vocabulary import COMMON_KEYS, Method, VarianceName
from walkrisk.tables.side_by_side import Published

Schema = dict[str, Any]
VOCABULARIES = {"method": get_args(Method), "variance": get_args(VarianceName)}


def study_keys() -> str:
    """Every section of study.toml but that of sensitivity analyses."""
    return _Pages(study_schema(), "study").page(leave_out=("sensitivity",))


def sensitivity_keys() -> str:
    """Every section of sensitivity.toml."""
    whole = study_schema()
    own = whole["$defs"]["Sensitivity"]
    pages = _Pages({**own, "$defs": whole["$defs"]}, "sensitivity")
    pages.elsewhere = _reached(whole, leave_out=("sensitivity",))
    return pages.page(own_keys=True)


def sensor_keys() -> str:
    """Every section of sensors.toml."""
    return _Pages(sensors_schema(), "sensors").page(own_keys=True)


def published_keys() -> str:
    """Every section of published.toml."""
    schema = json_schema(Published, title="published numbers", common=COMMON_KEYS)
    return _Pages(schema, "published").page(own_keys=True)


def _refs(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rsplit("/", 1)[-1]
        for value in schema.values():
            yield from _refs(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _refs(value)


def _reached(schema: Schema, leave_out: tuple[str, ...]) -> set[str]:
    """The names of all tables that a declaration holds, near or far."""
    todo = [r for key, value in schema["properties"].items() if key not in leave_out for r in _refs(value)]
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += _refs(schema["$defs"][name])
    return seen


class _Pages:
    """The tables of one declaration in the order in which they are met, each described once."""

    def __init__(self, schema: Schema, prefix: str) -> None:
        self.schema, self.prefix = schema, prefix
        self.described: set[str] = set()
        self.elsewhere: set[str] = set()

    def page(self, *, leave_out: tuple[str, ...] = (), own_keys: bool = False) -> str:
        """Headings and tables of keys of everything but the sections left out."""
        top = {k: v for k, v in self.schema["properties"].items() if k not in leave_out}
        parts = []
        if own_keys:
            plain = {k: v for k, v in top.items() if not list(_refs(v))}
            if plain:
                parts.append(self._keys({**self.schema, "properties": plain}))
        for key, value in top.items():
            names = list(dict.fromkeys(_refs(value)))
            if names:
                parts += self._section(key, value, names)
        return "\n".join(parts)

    def _section(self, key: str, value: Schema, names: list[str]) -> list[str]:
        many, named = value.get("type") == "array", value.get("type") == "object"
        head = f"[[{key}]]" if many else f"[{key}.NAME]" if named else f"[{key}]"
        parts = [f"({self.prefix}-{key})=\n## `{head}`\n"]
        if len(names) == 1:
            parts += self._table(names[0], level=3, heading=False)
        else:
            said = value.get("description", "")
            parts.append(f"{said} One of the kinds below, told apart by `op`.\n")
            for name in names:
                parts += self._table(name, level=3)
        return parts

    def _table(self, name: str, *, level: int, heading: bool = True) -> list[str]:
        """One table with its keys, then the tables within it that are met here first."""
        if name in self.described | self.elsewhere:
            return []
        self.described.add(name)
        schema = self.schema["$defs"][name]
        ops = schema["properties"].get("op", {}).get("enum", [])
        parts = [f"({self._label(name)})="]
        if heading:
            title = f'`op = "{ops[0]}"`' if ops else name
            parts.append(f"{'#' * level} {title}\n")
        parts.append(sentence(schema["description"]) + "\n")
        parts.append(self._keys(schema))
        for inner in dict.fromkeys(_refs(schema)):
            parts += self._table(inner, level=min(level + heading, 5))
        return parts

    def _label(self, name: str) -> str:
        """A link target; what the study's page describes is not described again."""
        return f"{'study' if name in self.elsewhere else self.prefix}-table-{name.lower()}"

    def _keys(self, schema: Schema) -> str:
        rows = []
        for key, value in schema["properties"].items():
            default = "required" if key in schema.get("required", ()) else self._default(value)
            rows.append((code(key), self._kind(value), default, self._meaning(value)))
        return table(("key", "type", "default", "meaning"), rows)

    def _meaning(self, value: Schema) -> str:
        if value.get("description"):
            return sentence(value["description"])
        names = list(dict.fromkeys(_refs(value)))
        return sentence(self.schema["$defs"][names[0]]["description"]) if len(names) == 1 else ""

    @staticmethod
    def _default(value: Schema) -> str:
        return code(json.dumps(value["default"], ensure_ascii=False)) if "default" in value else ""

    def _kind(self, value: Schema) -> str:
        """A type in words."""
        if "$ref" in value:
            name = value["$ref"].rsplit("/", 1)[-1]
            return f"table [{name}](#{self._label(name)})"
        if "anyOf" in value:
            return self._any_of(value["anyOf"])
        if "enum" in value:
            for word, words in VOCABULARIES.items():
                if tuple(value["enum"]) == words:
                    return f"a [{word}](#{word}-names)"
            return "one of " + codes(json.dumps(v) for v in value["enum"])
        match value["type"]:
            case "array":
                kind = self._kind(value["items"])
                plain = kind in ("name", "text", "number", "whole number")
                return f"list of {kind}s" if plain else f"list of {kind.replace('table ', 'tables ', 1)}"
            case "object":
                pattern, inner = next(iter(value["patternProperties"].items()))
                of = "code" if pattern.startswith("^-?") else "name" if pattern != "^.+$" else "text"
                return f"table: {of} → {self._kind(inner)}"
            case "string":
                return "name" if "pattern" in value else "text"
            case kind:
                return {"number": "number", "integer": "whole number", "boolean": "true or false"}[kind]

    def _any_of(self, options: list[Schema]) -> str:
        if all("$ref" in o for o in options) and len(options) > 2:
            first = options[0]["$ref"].rsplit("/", 1)[-1]
            return f"table of a [kind](#{self._label(first)})"
        return " or ".join(self._kind(o) for o in options)
