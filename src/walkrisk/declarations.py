"""A TOML table into frozen dataclasses, with every fault collected, and the JSON Schema of the same classes.

The dataclasses are the grammar: field names are keys (`field(metadata={"key": "from"})` where Python reserves the
word), type hints are the check, defaults make a key optional, `metadata={"doc": ...}` is the editor's help. Values are
only ever data: nothing in a declaration is evaluated, and names must be plain identifiers.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import tomllib
import types
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from walkrisk.errors import StudyFault, UsageFault

T = TypeVar("T")
IDENTIFIER = re.compile(r"[^\W\d]\w{0,63}")
SCHEMA_IDENTIFIER = r"[A-Za-z_\u00C0-\uFFFF][A-Za-z0-9_\u00C0-\uFFFF]{0,63}"
LONGEST_TEXT = 500
LARGEST_FILE = 1_000_000
MOST_SUGGESTIONS = 100
FEWEST_LETTERS = 3  # of a word that a suggestion begins with


Name = Annotated[str, "identifier"]
"""A plain identifier: up to 64 letters, digits and underscores, never an expression."""


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The tables of a TOML file that holds `what`; UsageFault if it is not there, StudyFault if it is no TOML."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise StudyFault(f"{path.name}: is larger than {LARGEST_FILE:,} bytes; a declaration is a few pages.")
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UsageFault(f"There is no file {path}; give the path of {what} (.toml).") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StudyFault(f"{path.name}: cannot be read as UTF-8 text ({type(error).__name__}); save it so.") from None
    except tomllib.TOMLDecodeError as error:
        raise StudyFault(toml_fault(path.name, str(error))) from None
    except RecursionError:
        raise StudyFault(f"{path.name}: is not valid TOML: it is nested too deeply.") from None


def toml_fault(name: str, said: str) -> str:
    """What tomllib says of a file, with the line before it."""
    place = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", said)
    if not place:
        return f"{name}: is not valid TOML: {said}."
    return f"{name}:{place[2]}: is not valid TOML: {place[1]} (column {place[3]})."


def option(
    default: Any = dataclasses.MISSING, *, key: str = "", doc: str = "", factory: Any = dataclasses.MISSING
) -> Any:
    """A dataclass field with its TOML key and its help text."""
    metadata = {"key": key, "doc": doc}
    if factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def key_of(field: dataclasses.Field[Any]) -> str:
    """The TOML key of a dataclass field."""
    return str(field.metadata.get("key") or field.name)


def build(cls: type[T], table: object, where: str, faults: list[str]) -> T | None:
    """An instance of dataclass `cls` from a TOML table, or None with the reasons added to `faults`."""
    if not isinstance(table, Mapping):
        faults.append(f"{where or 'the file'}: must be a table, got {_kind(table)}.")
        return None
    hints = get_type_hints(cls, include_extras=True)
    fields = {key_of(f): f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    before = len(faults)
    for key in table:
        if key not in fields:
            close = _suggest(key, fields) if len(faults) < MOST_SUGGESTIONS else ""
            faults.append(f"{_show_key(_join(where, key))}: unknown key{close or '.'}")
    values: dict[str, Any] = {}
    for key, f in fields.items():
        if key in table:
            values[f.name] = _value(hints[f.name], table[key], _join(where, key), faults)
        elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            faults.append(f"{_join(where, key)}: is missing and has no default.")
    return cls(**values) if len(faults) == before else None


def _value(hint: Any, raw: object, where: str, faults: list[str]) -> Any:
    if hint == Name:
        return _scalar(hint, raw, where, faults)
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(args, raw, where, faults)
    if origin is Literal:
        if raw not in args:
            faults.append(f"{where}: must be one of {_list(args)}, got {_show(raw)}{_suggest(str(raw), args) or '.'}")
        return raw
    if origin is tuple:
        if not isinstance(raw, list):
            faults.append(f"{where}: must be a list, got {_kind(raw)}.")
            return ()
        return tuple(_value(args[0], item, f"{where}[{i}]", faults) for i, item in enumerate(raw))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(raw, Mapping):
            faults.append(f"{where}: must be a table, got {_kind(raw)}.")
            return {}
        keys = [_key(args[0], k, where, faults) for k in raw]
        if len(set(keys)) < len(keys):
            faults.append(f"{where}: the same code is named twice ({_list(raw)}).")
        return {k: _value(args[1], v, _join(where, str(k)), faults) for k, v in zip(keys, raw.values(), strict=True)}
    if dataclasses.is_dataclass(hint):
        return build(hint, raw, where, faults)  # type: ignore[arg-type]
    return _scalar(hint, raw, where, faults)


def _union(args: tuple[Any, ...], raw: object, where: str, faults: list[str]) -> Any:
    classes = [a for a in args if dataclasses.is_dataclass(a)]
    if len(classes) > 1:  # told apart by `op`
        ops = {get_args(get_type_hints(c)["op"])[0]: c for c in classes}
        op = raw.get("op") if isinstance(raw, Mapping) else None
        if op not in ops:
            got = "it is missing" if op is None else f"got {_show(op)}"
            faults.append(f"{where}.op: must be one of {_list(sorted(ops))}; {got}{_suggest(str(op), ops) or '.'}")
            return None
        return build(ops[op], raw, where, faults)  # type: ignore[arg-type]
    inner = [a for a in args if a is not type(None)]
    for hint in inner[:-1]:  # a hint that takes the value without a fault wins; the last one words the fault
        trial: list[str] = []
        value = _value(hint, raw, where, trial)
        if not trial:
            return value
    return _value(inner[-1], raw, where, faults)


def _scalar(hint: Any, raw: object, where: str, faults: list[str]) -> Any:
    if hint == Name:
        if isinstance(raw, str) and IDENTIFIER.fullmatch(raw):
            return raw
        dotted = isinstance(raw, str) and re.fullmatch(r"\w+(\.\w+)+", raw)
        way_out = (
            "a column goes by the name in [columns.NAME] here; the file's own stands under its `from`."
            if dotted
            else "nothing in a declaration is evaluated, so derive what you need under [variables]."
        )
        faults.append(
            f"{where}: must be the plain name of a column or variable (up to 64 letters, digits, underscores), "
            f"got {_show(raw)}; {way_out}"
        )
    elif hint is float:
        if isinstance(raw, int | float) and not isinstance(raw, bool) and math.isfinite(raw):
            return float(raw)
        faults.append(f"{where}: must be a finite number, got {_show(raw)}.")
    elif hint is int:
        if isinstance(raw, int) and not isinstance(raw, bool):
            return raw
        faults.append(f"{where}: must be a whole number, got {_show(raw)}.")
    elif hint is bool:
        if isinstance(raw, bool):
            return raw
        faults.append(f"{where}: must be true or false, got {_show(raw)}.")
    elif hint is str:
        if not isinstance(raw, str):
            faults.append(f"{where}: must be a text, got {_show(raw)}.")
        elif len(raw) > LONGEST_TEXT:
            faults.append(f"{where}: is longer than {LONGEST_TEXT} characters; shorten it.")
        elif any(unicodedata.category(c) == "Cc" for c in raw):
            faults.append(f"{where}: holds a line break or control character; write it on one line.")
    else:
        raise TypeError(f"no rule for {hint!r}")
    return raw


def _key(hint: Any, key: str, where: str, faults: list[str]) -> Any:
    if hint is int:
        if re.fullmatch(r"-?\d+", key):
            return int(key)
        faults.append(f"{where}: keys must be whole-number codes, got {_show(key)}.")
    elif hint == Name and not IDENTIFIER.fullmatch(key):
        faults.append(f"{where}: keys must be plain names (up to 64 letters, digits, underscores), got {_show(key)}.")
    return key


def json_schema(cls: type, *, title: str, common: Mapping[str, str] = types.MappingProxyType({})) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a declaration class, for editors that check and complete TOML.

    `common` says what keys mean that have no `doc` of their own, wherever they stand.
    """
    definitions: dict[str, Any] = {}
    top = _schema_object(cls, definitions)
    for table in (top, *definitions.values()):
        for key, schema in table["properties"].items():
            if key in common:
                schema.setdefault("description", common[key])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **top, "$defs": definitions}


def _schema_object(cls: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(cls, include_extras=True)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for f in dataclasses.fields(cls):
        schema = _schema(hints[f.name], definitions)
        if f.metadata.get("doc"):
            schema = {**schema, "description": f.metadata["doc"]}
        default = as_table(f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default)
        if default is not dataclasses.MISSING and default not in (None, "", [], {}):
            schema = {**schema, "default": default}
        properties[key_of(f)] = schema
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            required.append(key_of(f))
    summary = " ".join((cls.__doc__ or "").split())
    return {
        "type": "object",
        "description": summary,
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _schema(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if hint == Name:
        return {"type": "string", "pattern": f"^{SCHEMA_IDENTIFIER}$"}
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        options = [_schema(a, definitions) for a in args if a is not type(None)]
        return options[0] if len(options) == 1 else {"anyOf": options}
    if origin is Literal:
        return {"enum": list(args)}
    if origin is tuple:
        return {"type": "array", "items": _schema(args[0], definitions)}
    if origin is not None and issubclass(origin, Mapping):
        pattern = r"^-?\d+$" if args[0] is int else f"^{SCHEMA_IDENTIFIER}$" if args[0] == Name else "^.+$"
        return {
            "type": "object",
            "patternProperties": {pattern: _schema(args[1], definitions)},
            "additionalProperties": False,
        }
    if dataclasses.is_dataclass(hint):
        name = hint.__name__  # type: ignore[union-attr]
        if name not in definitions:
            definitions[name] = {}
            definitions[name] = _schema_object(hint, definitions)
        return {"$ref": f"#/$defs/{name}"}
    simple: dict[Any, dict[str, Any]] = {
        str: {"type": "string"},
        float: {"type": "number"},
        int: {"type": "integer"},
        bool: {"type": "boolean"},
    }
    return dict(simple[hint])


def suggest(word: str, known: Any) -> str:
    """ "; did you mean X?" for a word misspelt or cut short, or nothing."""
    return _suggest(word, known)


def _suggest(word: str, known: Any) -> str:
    names = [str(k) for k in known]
    begun = [n for n in names if len(word) >= FEWEST_LETTERS and n.casefold().startswith(word.casefold())]
    close = difflib.get_close_matches(word, names, n=1) or (begun if len(begun) == 1 else [])
    return f"; did you mean {close[0]}?" if close else ""


def _show_key(key: str) -> str:
    text = "".join(c if c.isprintable() else "?" for c in key)
    return text if len(text) <= 120 else text[:117] + "..."


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _list(items: Any) -> str:
    return ", ".join(str(i) for i in items)


def _show(raw: object) -> str:
    text = repr(raw)
    return text if len(text) <= 60 else text[:57] + "..."


def _kind(raw: object) -> str:
    return {str: "a text", bool: "true/false", int: "a number", float: "a number", list: "a list"}.get(
        type(raw), type(raw).__name__
    )


def as_table(declared: Any) -> Any:
    """A declaration back as the plain tables, lists and values it could be built from (defaults left out)."""
    if dataclasses.is_dataclass(declared) and not isinstance(declared, type):
        out = {}
        for f in dataclasses.fields(declared):
            value = getattr(declared, f.name)
            default = f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default
            if value is not None and value != default:
                out[key_of(f)] = as_table(value)
        return out
    if isinstance(declared, Mapping):
        return {str(k): as_table(v) for k, v in declared.items()}
    if isinstance(declared, tuple | list):
        return [as_table(v) for v in declared]
    return declared
