"""The layer rule: a room imports only the leaves and rooms behind it on the data's way. Standard library only."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

PACKAGE = "walkrisk"
SOURCE = Path(__file__).resolve().parents[1] / "src" / PACKAGE

LEAVES = ("errors", "schema", "declarations", "places")
# Rooms of one line stand side by side: neither may import the other.
WAY = (
    ("recordings",),
    ("epochs",),
    ("days",),
    ("exposures",),
    ("cohorts",),
    ("models",),
    ("estimates",),
    ("sensitivity",),
    ("doors",),
    ("tables", "figures"),
    ("reports",),
    ("simulation",),
    ("execution", "progress"),
    ("sensors",),
    ("studies",),
    ("variations",),
    ("disclosure",),
    ("accounts",),
    ("runs",),
    ("comparisons",),
    ("commands",),
    ("cli",),
    ("__init__", "__main__"),
)
PLACE = {room: place for place, rooms in enumerate(WAY, start=1) for room in rooms} | dict.fromkeys(LEAVES, 0)
LEAVES_ONLY = ("simulation",)  # knows the truth, so it must not share code with what is judged by it

# Library -> rooms that may import it.
LIBRARIES = {
    "statsmodels": {"models", "sensitivity"},
    "lifelines": {"models", "sensitivity"},
    "patsy": {"models", "sensitivity"},
    "matplotlib": {"figures"},
    "docx": {"reports"},
    "pyreadstat": {"recordings", "cohorts", "simulation"},
    "xgboost": {"epochs"},
    "distributed": {"execution"},
    "multiprocessing": {"execution"},
}
# Function -> rooms that may call it. Reports read back the aggregates a run left, never participants.
READERS = {
    "read_stata": {"recordings", "cohorts"},
    "read_sas": {"recordings", "cohorts"},
    "read_spss": {"recordings", "cohorts"},
    "read_sav": {"recordings", "cohorts"},
    "read_dta": {"recordings", "cohorts"},
    "read_excel": {"recordings", "cohorts"},
    "read_feather": {"recordings", "cohorts"},
    "read_parquet": {"recordings", "cohorts"},
    "read_table": {"recordings", "cohorts"},
    "read_csv": {"recordings", "cohorts", "reports"},
}
FORBIDDEN_MODULES = frozenset(
    {
        *("pickle", "marshal", "shelve", "dill", "cloudpickle"),
        *("socket", "ssl", "urllib", "urllib3", "requests", "http", "httpx", "aiohttp", "ftplib", "smtplib", "xmlrpc"),
        *("subprocess", "pty", "runpy", "code", "codeop", "webbrowser"),
    }
)
FORBIDDEN_NAMES = frozenset({"eval", "exec", "compile", "__import__"})
FORBIDDEN_ATTRIBUTES = re.compile(
    r"os\.(system|popen|exec\w+|spawn\w+|posix_spawn\w*)|(builtins|pd|pandas|numexpr)\.(eval|exec|compile)"
    r"|\w+(\.\w+)*\.(read_pickle|to_pickle)|(np|numpy)\.random\.(seed|set_state)|matplotlib\.(use|pyplot)"
)
STUDY_WORDS = re.compile(
    r"(?<![a-z])(pain|hunt|lbp|hads)(?![a-z])|(?<![a-z])MSPa|low[\s_-]*back|back[\s_-]*pain|lumbar|nhanes|haddadj|trøndelag",
    re.IGNORECASE,
)

Source = tuple[str, str]  # path below the package, text
Rule = Callable[[str, str], Iterator[str]]


def sources() -> Iterator[Source]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).as_posix(), path.read_text(encoding="utf-8")


def room_of(path: str) -> str:
    return path.split("/")[0].removesuffix(".py")


def imports(path: str, text: str) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of everything imported anywhere in a module, inside functions too."""
    parts = [PACKAGE, *path.removesuffix(".py").split("/")]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parts[: len(parts) - node.level] if node.level else []
            base = [*base, *(node.module.split(".") if node.module else [])]
            yield from ((node.lineno, ".".join([*base, alias.name])) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and dotted(node.func).endswith("import_module"):
            name = node.args[0]
            yield node.lineno, str(name.value) if isinstance(name, ast.Constant) else "?"


def imported_rooms(path: str, text: str) -> Iterator[tuple[int, str]]:
    """(line, room) of everything imported from the package itself; a public name of the package is `__init__`."""
    for line, name in imports(path, text):
        top, _, rest = name.partition(".")
        if top == PACKAGE:
            room = rest.split(".")[0]
            yield line, room if room in PLACE else "__init__"


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an attribute chain; what is not a name in it (a call, a subscript) reads `_`."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else "_"


def names(text: str) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every name and attribute used in a module."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Name, ast.Attribute)):
            yield node.lineno, dotted(node)


def unknown_rooms(path: str, text: str) -> Iterator[str]:
    if room_of(path) not in PLACE:
        yield f"{path}: the room `{room_of(path)}` has no place on the way; give it one in tests/test_layers.py"


def layers(path: str, text: str) -> Iterator[str]:
    room = room_of(path)
    for line, other in imported_rooms(path, text):
        if other == room or other in LEAVES[: LEAVES.index(room) if room in LEAVES else None]:
            continue
        if room in LEAVES_ONLY:
            yield f"{path}:{line}: `{room}` imports `{other}`; it may import only {', '.join(LEAVES)}"
        elif PLACE[other] >= PLACE.get(room, 0):
            where = "beside" if PLACE[other] == PLACE.get(room, 0) else "ahead of"
            yield f"{path}:{line}: `{room}` imports `{other}`, which stands {where} it on the data's way"


def studies_stay_outside(path: str, text: str) -> Iterator[str]:
    for line, name in imports(path, text):
        if name.split(".")[0] == "analyses" or name.startswith(f"{PACKAGE}.analyses"):
            yield f"{path}:{line}: imports `{name}`; a study is read as a file, never imported"


def library_walls(path: str, text: str) -> Iterator[str]:
    for line, name in imports(path, text):
        allowed = LIBRARIES.get(name.split(".")[0])
        if allowed is not None and room_of(path) not in allowed:
            yield f"{path}:{line}: imports {name}; only {', '.join(sorted(allowed))} may"


def reader_walls(path: str, text: str) -> Iterator[str]:
    for line, name in (*names(text), *imports(path, text)):
        allowed = READERS.get(name.split(".")[-1])
        if allowed is not None and room_of(path) not in allowed:
            yield f"{path}:{line}: uses {name}; participants' files are read only in recordings and cohorts"


def nothing_dangerous(path: str, text: str) -> Iterator[str]:
    for line, name in imports(path, text):
        if name.split(".")[0] in FORBIDDEN_MODULES or FORBIDDEN_ATTRIBUTES.fullmatch(name):
            yield f"{path}:{line}: imports {name}; no network, no pickles, no other programs, no global state"
        if name == "?" and room_of(path) != "__init__":
            yield f"{path}:{line}: imports a module by a computed name; write the name out"
    for line, name in names(text):
        if name in FORBIDDEN_NAMES or FORBIDDEN_ATTRIBUTES.fullmatch(name):
            yield f"{path}:{line}: uses {name}; nothing is evaluated, unpickled, run or set globally"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            yield f"{path}:{node.value.lineno}: uses allow_pickle; a file can never run code"


def no_study_words(path: str, text: str) -> Iterator[str]:
    for number, line in enumerate((path, *text.splitlines())):
        for found in STUDY_WORDS.finditer(line):
            yield f"{path}:{number}: says `{found[0]}`; what belongs to one study stands in its folder of analyses/"


def faults(rule: Rule, modules: Iterable[Source]) -> list[str]:
    return [fault for path, text in modules for fault in rule(path, text)]


def hold(rule: Rule) -> None:
    found = faults(rule, sources())
    assert not found, "\n" + "\n".join(found)


def test_there_is_something_to_check() -> None:
    assert len(list(sources())) > len(WAY)


def test_every_module_is_in_a_known_room() -> None:
    hold(unknown_rooms)


def test_rooms_import_only_what_is_behind_them() -> None:
    hold(layers)


def test_no_module_imports_a_study() -> None:
    hold(studies_stay_outside)


def test_libraries_stay_behind_their_walls() -> None:
    hold(library_walls)


def test_participants_are_read_only_in_recordings_and_cohorts() -> None:
    hold(reader_walls)


def test_nothing_is_evaluated_unpickled_sent_or_run() -> None:
    hold(nothing_dangerous)


def test_no_study_is_named_in_the_source() -> None:
    hold(no_study_words)


VIOLATIONS: list[tuple[Rule, str, str]] = [
    (unknown_rooms, "helpers/misc.py", ""),
    (layers, "models/poisson.py", "from walkrisk.reports import html"),
    (layers, "models/poisson.py", "from walkrisk import tables"),
    (layers, "models/poisson.py", "def f():\n    import walkrisk.cli"),
    (layers, "models/poisson.py", "from ..estimates.ratios import ratio"),
    (layers, "models/__init__.py", "from ..estimates import ratios"),
    (layers, "models/poisson.py", "import importlib\nimportlib.import_module('walkrisk.reports.html')"),
    (layers, "tables/main.py", "from walkrisk.figures.forest import forest"),
    (layers, "reports/html.py", "from walkrisk import __version__"),
    (layers, "simulation/extract.py", "from walkrisk.cohorts.categories import percentiles"),
    (layers, "errors.py", "from walkrisk.schema import ColumnContract"),
    (layers, "schema.py", "from walkrisk.models.splines import knots"),
    (studies_stay_outside, "cli.py", "from analyses import study"),
    (library_walls, "estimates/ratios.py", "import statsmodels.api as sm"),
    (library_walls, "cli.py", "def f():\n    from matplotlib.figure import Figure"),
    (library_walls, "cohorts/design.py", "from patsy import dmatrix"),
    (reader_walls, "models/poisson.py", "import pandas as pd\npd.read_csv('x')"),
    (reader_walls, "runs/run.py", "from pandas import read_parquet"),
    (reader_walls, "runs/run.py", "source().read_stata('x')"),
    (nothing_dangerous, "cohorts/variables.py", "x = eval('1')"),
    (nothing_dangerous, "cohorts/variables.py", "import os\nos.system('ls')"),
    (nothing_dangerous, "cohorts/variables.py", "from os import system"),
    (nothing_dangerous, "cohorts/variables.py", "import urllib.request"),
    (nothing_dangerous, "cohorts/variables.py", "from pickle import loads"),
    (nothing_dangerous, "cohorts/variables.py", "frame.to_pickle('x')"),
    (nothing_dangerous, "cohorts/variables.py", "load().to_pickle('x')"),
    (nothing_dangerous, "cohorts/variables.py", "import importlib\nimportlib.import_module(name)"),
    (nothing_dangerous, "cohorts/variables.py", "np.load('x', allow_pickle=True)"),
    (nothing_dangerous, "figures/forest.py", "import matplotlib.pyplot as plt"),
    (nothing_dangerous, "models/poisson.py", "np.random.seed(1)"),
    (no_study_words, "cohorts/variables.py", "# chronic Pain at baseline"),
    (no_study_words, "cohorts/variables.py", "column = 'MSPaLum_NT4BLQ2'"),
    (no_study_words, "cohorts/variables.py", "no_low_back = True"),
    (no_study_words, "simulation/hunt.py", ""),
]
HARMLESS: list[tuple[Rule, str, str]] = [
    (layers, "models/poisson.py", "from walkrisk.errors import ModelFault\nfrom .splines import basis"),
    (layers, "models/__init__.py", "from .splines import basis"),
    (layers, "reports/html.py", "from walkrisk import tables\nfrom walkrisk.figures.forest import forest"),
    (layers, "simulation/extract.py", "from walkrisk import schema"),
    (layers, "__init__.py", "from walkrisk.models.poisson import fit"),
    (library_walls, "models/poisson.py", "import statsmodels.api as sm"),
    (reader_walls, "cohorts/readers.py", "import pandas as pd\npd.read_csv('x')"),
    (nothing_dangerous, "cohorts/variables.py", "import re\nre.compile('x')"),
    (nothing_dangerous, "models/design.py", "class Term:\n    def eval(self, state, data): ..."),
    (no_study_words, "figures/forest.py", "paint(hunter, backdrop)"),
]


@pytest.mark.parametrize(("rule", "path", "text"), VIOLATIONS)
def test_the_checker_sees_a_violation(rule: Rule, path: str, text: str) -> None:
    assert len(faults(rule, [(path, text)])) == 1


@pytest.mark.parametrize(("rule", "path", "text"), HARMLESS)
def test_the_checker_lets_the_harmless_pass(rule: Rule, path: str, text: str) -> None:
    assert faults(rule, [(path, text)]) == []
