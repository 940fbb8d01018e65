"""Checks every sentence of a report against the files beside it, without the code that printed its numbers."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from walkrisk.accounts.account import Account, View
from walkrisk.accounts.facts import Fact, Sentence
from walkrisk.estimates.results import Diagnostic, Point, Specification
from walkrisk.estimates.rows import Estimate
from walkrisk.studies.kinds import category_names

FILES: Mapping[type, str] = {
    Estimate: "estimates.csv",
    Point: "points.csv",
    Specification: "specifications.csv",
    Diagnostic: "diagnostics.csv",
}


class Files:
    """The rows of a finished run as texts, by kind."""

    def __init__(self, folder: Path) -> None:
        self.rows: dict[type, list[dict[str, str]]] = {}
        for kind, name in FILES.items():
            with (folder / name).open(encoding="utf-8", newline="") as lines:
                self.rows[kind] = list(csv.DictReader(lines))
        declared = json.loads((folder / "study.json").read_text(encoding="utf-8"))
        self.texts = "\n".join(_texts(declared))

    def find(self, row: object) -> list[dict[str, str]]:
        """The rows of the file that agree with a row in every text and number."""
        wanted = {f.name: getattr(row, f.name) for f in dataclasses.fields(row)}  # type: ignore[arg-type]
        return [r for r in self.rows[type(row)] if all(_same(r[name], value) for name, value in wanted.items())]


def _same(text: str, value: object) -> bool:
    if value is None:
        return text == ""
    if isinstance(value, bool):
        return text == str(value).lower()
    return text == (repr(value) if isinstance(value, float) else str(value))


def _texts(table: Any) -> Iterator[str]:
    if isinstance(table, Mapping):
        for key, value in table.items():
            yield str(key)
            yield from _texts(value)
    elif isinstance(table, list):
        for value in table:
            yield from _texts(value)
    else:
        yield str(table)


def faults_of(sentence: Sentence, files: Files, names: set[str], settings: set[float]) -> Iterator[str]:
    """What in a sentence cannot be found in the files, the declaration or the names of categories."""
    for place, fact in sentence.facts.items():
        where = f"{{{place}}} = {fact.text!r} in: {sentence.text}"
        if fact.text[:1].lower() != sentence.text[:1].lower() and fact.text not in sentence.text:
            yield f"not in the sentence: {where}"
        if fact.form == "words":
            if re.search(r"\d", fact.text) and not _is_named(fact.text, files, names):
                yield f"a number among words: {where}"
        elif fact.form == "setting":
            numbers = [float(n.replace("\u202f", "")) for n in re.findall(r"\d[\d\u202f]*(?:\.\d+)?", fact.text)]
            for number in numbers:
                if not any(abs(number - s) < 1e-9 for s in settings):
                    yield f"no such setting: {where}"
        elif fact.form != "derived":
            yield from _checked(fact, files, where)


def _is_named(text: str, files: Files, names: set[str]) -> bool:
    """Whether every word with a digit is part of a declared text or of a category's name."""
    known = "\n".join(names) + "\n" + files.texts
    return all(word.strip("(),;:.") in known for word in text.split() if re.search(r"\d", word))


def _checked(fact: Fact, files: Files, where: str) -> Iterator[str]:
    assert fact.row is not None, where
    found = files.find(fact.row)
    if not found:
        yield f"no row in {FILES[type(fact.row)]}: {where}"
        return
    raw = found[0]
    if fact.form == "interval":
        expected = _ratio(raw["estimate"])
        if raw["conf_low"] and raw["conf_high"]:
            ends = _ratio(raw["conf_low"]), _ratio(raw["conf_high"])
            expected += f" ({(' to ' if any(e[0] in '<>' for e in ends) else '-').join(ends)})"
    else:
        expected = _one(raw[fact.column], fact.form)
    if expected != fact.text:
        yield f"the file says {expected!r}: {where}"


def _one(text: str, form: str) -> str:
    if not text:
        return "NA" if form != "ratio" else "not estimable"
    if form == "ratio":
        return _ratio(text)
    if form.startswith("fixed"):
        return _rounded(Decimal(text), int(form[-1]))
    if form.startswith("percent"):
        return _rounded(Decimal(repr(100 * float(text))), int(form[-1])) + "%"
    if form == "count":
        digits = _rounded(Decimal(text), 0)
        return f"{int(float(text)):,}".replace(",", "\u202f") if len(digits) > 4 else digits
    assert form == "p", form
    p = float(text)
    if p < 0.001:
        return "< .001"
    if p > 0.99:
        return "> .99"
    two, three = _rounded(Decimal(text), 2), _rounded(Decimal(text), 3)
    if p < 0.05 and two == "0.05":
        return "= " + min(three, "0.049")[1:]
    return "= " + (three if p < 0.01 and three != "0.010" else two)[1:]


def _ratio(text: str) -> str:
    value = Decimal(text)
    if value >= 1000:
        return ">999"
    rounded = _rounded(value, 2)
    return "<0.01" if 0 < value < 1 and Decimal(rounded) == 0 else rounded


def _rounded(value: Decimal, places: int) -> str:
    text = str(value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP))
    if Decimal(text) == 0:
        return text.lstrip("-")
    return text.replace("-", "−")


def names_of(view: View) -> set[str]:
    """Every name that may hold a number: categories, labels of variables and exposures."""
    names = {view.category(e, c) for e in view.followed for c in (view.reference(e), *view.levels(e))}
    names |= {view.label(e) for e in view.followed}
    names |= {name for e in view.study.exposures for name in category_names(view.study, e)}
    names |= {f"{sign}{cut:g}" for e in view.study.exposures.values() for cut in e.cuts for sign in "<≥"}
    for variable in view.variables.values():
        names |= {variable.label, *(variable.levels or {}).values()}
    return names


def settings_of(declared: Any) -> set[float]:
    """Every number a declaration holds, defaults included, and each as a percentage."""
    found: set[float] = set()
    for value in _values(declared):
        found |= {value, 100 * value, 100 * (1 - value)}
    return found | {float(n) for n in (1, 2, 5)}


def _values(declared: Any) -> Iterator[float]:
    if dataclasses.is_dataclass(declared) and not isinstance(declared, type):
        for f in dataclasses.fields(declared):
            yield from _values(getattr(declared, f.name))
    elif isinstance(declared, Mapping):
        for value in declared.values():
            yield from _values(value)
    elif isinstance(declared, tuple | list):
        yield float(len(declared))
        for value in declared:
            yield from _values(value)
    elif isinstance(declared, int | float) and not isinstance(declared, bool):
        yield float(declared)


def every_fault(view: View, accounts: tuple[Account, ...], folder: Path) -> list[str]:
    """The faults of every sentence of every account."""
    files, names, settings = Files(folder), names_of(view), settings_of(view.study)
    return [fault for a in accounts for s in a.sentences for fault in faults_of(s, files, names, settings)]
