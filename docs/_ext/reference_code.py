"""The command line from its parsers, the exit codes from the faults, the Python functions from their docstrings."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from reference_markdown import code, codes, docstring, sentence, table

import walkrisk
from walkrisk import errors
from walkrisk.cli import _parser

GROUPS = {
    "Risk ratios of a data frame": (
        *("risk_ratios", "risk_differences", "standardised_risks", "weighted_risks", "compare_methods"),
        *("dose_response", "interaction", "attributable_fractions", "risks_at_horizon", "time_substitution"),
        *("pool", "evalue"),
    ),
    "Terms of a model": ("categories", "linear", "spline", "power", "product"),
    "Studies": ("load_study", "study_from", "run", "verify", "compare"),
    "Recordings": ("read_recording", "run_sensors", "load_settings"),
    "What comes back": (
        *("Estimates", "EValue", "Run", "Study", "Recording", "SensorRun", "SensorSettings", "WalkriskWarning"),
        *("Verification", "Comparison"),
    ),
    "Something to try with": ("example_cohort",),
}


SHARED = ("help", "quiet", "debug")  # of every command


def commands() -> str:
    """What every command takes, then each with its own arguments and options."""
    _, first = next(every_command())
    shared = table(("every command takes", "meaning"), (_option(a) for a in first._actions if a.dest in SHARED))
    return "\n".join([shared, *(part for name, parser in every_command() for part in _command(name, parser))])


def every_command() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The commands that do something, by their whole name."""
    yield from _leaves("walkrisk", _parser())


def _leaves(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    inner = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    for action in inner:
        for word, child in action.choices.items():
            child.walkrisk_help = next((c.help or "" for c in action._choices_actions if c.dest == word), "")
            yield from _leaves(f"{name} {word}", child)
    if not inner:
        yield name, parser


def _command(name: str, parser: argparse.ArgumentParser) -> list[str]:
    usage = _usage(parser)
    parts = [f"({name.replace(' ', '-')})=\n## `{name}`\n", sentence(getattr(parser, "walkrisk_help", "")) + "\n"]
    if parser.description:
        parts.append(sentence(parser.description) + "\n")
    rows = [_option(action) for action in parser._actions if action.dest not in SHARED]
    return [*parts, f"```{{code-block}} none\n{usage}\n```\n", table(("argument", "meaning"), rows)]


def _usage(parser: argparse.ArgumentParser) -> str:
    """How a command is called, broken between its arguments, without those of every command."""
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    pieces = re.findall(r"\[(?:[^\[\]]|\[[^\]]*\])*\]|--\S+ [A-Z]\S*|\S+", usage)
    own = [piece.replace(" ", "\0") for piece in pieces if piece not in ("[-h]", "[--quiet]", "[--debug]")]
    lines = textwrap.wrap(" ".join(own), 80, subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join(lines).replace("\0", " ")


def _option(action: argparse.Action) -> tuple[str, str]:
    value = "" if action.nargs == 0 else " " + _value(action)
    names = [f"{flag}{value}" for flag in action.option_strings] or [_value(action)]
    meaning = sentence((action.help or "") % vars(action) if action.help else "")
    if action.required and action.option_strings:
        meaning += " Required."
    return codes(names), meaning.strip()


def _value(action: argparse.Action) -> str:
    names = action.metavar or action.dest.upper()
    one = " ".join(names) if isinstance(names, tuple) else names
    return f"{one} ..." if action.nargs in ("+", "*") else one


def exit_codes() -> str:
    """Exit codes with what they stand for."""
    faults = {
        c.exit_code: c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, errors.WalkriskError)
    }
    rows = [("0", "Done."), ("1", "`walkrisk verify`: the folder is not what its manifest says.")]
    for number, fault in sorted(faults.items()):
        if fault is not errors.WalkriskError:
            rows.append((str(number), (fault.__doc__ or "").strip().splitlines()[0]))
    rows += [("70", "A bug of walkrisk's own; nothing was written."), ("130", "Stopped by Ctrl-C.")]
    return table(("exit code", "meaning"), rows)


def api() -> str:
    """Every public name with its signature and docstring."""
    parts = []
    for title, names in GROUPS.items():
        parts.append(f"## {title}\n")
        parts += [_documented(name, getattr(walkrisk, name)) for name in names]
    return "\n".join(parts)


def _documented(name: str, thing: Any) -> str:
    if inspect.isclass(thing):
        return _class(name, thing)
    return _function(f"### `{name}`", "function", f"walkrisk.{name}", thing)


def _function(heading: str, kind: str, name: str, thing: Any) -> str:
    signature = inspect.signature(thing)
    rows = [
        (code(p.name), code(_type(p.annotation)), "required" if p.default is p.empty else code(repr(p.default)))
        for p in signature.parameters.values()
        if p.name != "self"
    ]
    returns = f"\nGives `{_type(signature.return_annotation)}`.\n"
    body = docstring(inspect.getdoc(thing) or "")
    listed = f"\n{table(('parameter', 'type', 'default'), rows)}" if rows else ""
    plain = _call(signature)
    return f"{heading}\n\n````{{py:{kind}}} {name}{plain}\n\n{body}\n{returns}{listed}````\n"


def _call(signature: inspect.Signature) -> str:
    """A signature without types, as one calls the function."""
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values() if p.name != "self"]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))


def _class(name: str, thing: Any) -> str:
    body = docstring(inspect.getdoc(thing) or "")
    parts = [f"### `{name}`\n", f"````{{py:class}} walkrisk.{name}\n\n{body}\n"]
    if dataclasses.is_dataclass(thing):
        rows = [(code(f.name), code(_type(f.type))) for f in dataclasses.fields(thing)]
        parts.append(table(("attribute", "type"), rows))
    parts.append("````\n")
    for word, member in vars(thing).items():
        if word.startswith("_") or not (inspect.isfunction(member) or isinstance(member, property)):
            continue
        if isinstance(member, property):
            text = docstring(inspect.getdoc(member) or "")
            parts.append(f"````{{py:property}} walkrisk.{name}.{word}\n\n{text}\n````\n")
        else:
            parts.append(_function("", "method", f"walkrisk.{name}.{word}", member))
    return "\n".join(parts)


def _type(annotation: object) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return text.replace("npt.", "").replace("pd.", "pandas.")
