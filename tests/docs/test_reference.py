"""Everything a user may write or read has its line in the reference, made from the code that knows it."""

from __future__ import annotations

import re
import sys
from typing import Any, get_args, get_type_hints

import pytest

import walkrisk

from .pages import DOCS, pages

sys.path.insert(0, str(DOCS / "_ext"))
from reference_code import every_command
from reference_columns import FILES, meaning_of

import reference
from walkrisk.comparisons.comparing import ComparedEstimate
from walkrisk.days.contract import DAY_COLUMNS
from walkrisk.declarations import json_schema
from walkrisk.epochs.epoch_table import EPOCH_COLUMNS
from walkrisk.errors import WalkriskError
from walkrisk.sensors.quality import QualityRow, SensorQuality
from walkrisk.sensors.settings import sensors_schema
from walkrisk.studies.declaration import study_schema
from walkrisk.studies.sensitivity import PARTS
from walkrisk.studies.vocabulary import Method, VarianceName, variances_of
from walkrisk.tables.side_by_side import Published

Schema = dict[str, Any]
SECTIONS = (
    "curves",
    "trends",
    "interactions",
    "standardised",
    "comparisons",
    "attributable",
    "substitutions",
    "horizons",
)
TABLES = [("study", name, table) for name, table in study_schema()["$defs"].items()]
TABLES += [("sensors", name, table) for name, table in sensors_schema()["$defs"].items()]
TABLES += [("published", name, table) for name, table in json_schema(Published, title="")["$defs"].items()]


@pytest.fixture(scope="module")
def site() -> dict[str, str]:
    """The pages of the reference with everything generated in its place."""
    found = [p for p in pages() if p.startswith("docs/reference/")]
    return {p.rpartition("/")[2].removesuffix(".md"): reference.filled((DOCS.parent / p).read_text()) for p in found}


def part(text: str, label: str) -> str:
    """What stands between a link target and the next."""
    found = re.search(rf"(?ms)^\({re.escape(label)}\)=\n(.*?)(?=^\([\w-]+\)=$|\Z)", text)
    assert found, f"there is no {label}"
    return found[1]


def test_every_generator_has_one_place() -> None:
    placed = [
        name
        for p in pages()
        if p.startswith("docs/reference/")
        for name in reference.PLACE.findall((DOCS.parent / p).read_text())
    ]
    assert sorted(placed) == sorted(reference.GENERATORS)


def test_who_reads_the_source_is_told_where_to_look() -> None:
    for page in (p for p in pages() if p.startswith("docs/reference/")):
        text = (DOCS.parent / page).read_text()
        assert text.count("<!-- generated: ") == len(reference.PLACE.findall(text)), page
        for name in re.findall(r"`((?:src|analyses)/[^`]+)`", text):
            assert (DOCS.parent / name).exists(), f"{page}: there is no {name}"


@pytest.mark.parametrize(("file", "name", "table"), TABLES, ids=[f"{f}-{n}" for f, n, _ in TABLES])
def test_every_key_of_a_declaration_stands_with_its_meaning(
    file: str, name: str, table: Schema, site: dict[str, str]
) -> None:
    if name == "Sensitivity":
        here = site["sensitivity"]
        assert all(f"`{key}`" in here or f"`[[{key}]]`" in here for key in table["properties"])
        return
    prefixes = ("study", "sensitivity") if file == "study" else (file,)
    prefix = next(p for p in prefixes if f"({p}-table-{name.lower()})=" in site[p])
    rows = [
        line for line in part(site[prefix], f"{prefix}-table-{name.lower()}").splitlines() if line.startswith("| `")
    ]
    assert [re.match(r"\| `([^`]+)`", row)[1] for row in rows] == list(table["properties"])  # type: ignore[index]
    assert not [row for row in rows if row.rstrip().endswith("|  |")], "a key has no meaning"


def test_every_section_of_a_declaration_has_a_heading(site: dict[str, str]) -> None:
    for page, schema in (("study", study_schema()), ("sensors", sensors_schema())):
        sections = [k for k, v in schema["properties"].items() if "$ref" in str(v) and k != "sensitivity"]
        assert [k for k in sections if f"({page}-{k})=" not in site[page]] == []


def test_every_command_and_option_stands(site: dict[str, str]) -> None:
    commands = dict(every_command())
    assert len(commands) >= 8
    for name, parser in commands.items():
        here = site["commands"].partition("\n(")[0] + part(site["commands"], name.replace(" ", "-"))
        for action in parser._actions:
            for flag in action.option_strings:
                assert f"`{flag}" in here, f"{name} {flag}"
            assert action.help, f"{name}: {action.dest} says nothing of itself"


def test_every_exit_code_stands(site: dict[str, str]) -> None:
    known = [int(n) for n in re.findall(r"(?m)^\| (\d+) \|", site["commands"])]
    assert {c.exit_code for c in WalkriskError.__subclasses__()} | {0, 70} <= set(known)


@pytest.mark.parametrize("kind", [*FILES, "comparison"])
def test_every_column_of_an_output_stands_with_its_meaning(kind: str, site: dict[str, str]) -> None:
    here = part(site["outputs"], f"file-{kind}")
    for name, hint in get_type_hints(FILES.get(kind, ComparedEstimate), include_extras=True).items():
        meaning = meaning_of(hint)[1]
        assert meaning, f"{kind}.{name} says nothing of itself; write Annotated[TYPE, meaning]"
        assert f"| `{name}` |" in here
    assert kind == "comparison" or f"(#file-{kind})" in site["outputs"], "the list of files leads to it"


def test_every_column_of_days_epochs_and_quality_stands(site: dict[str, str]) -> None:
    for label, columns in (("days-parquet", DAY_COLUMNS), ("epochs-parquet", EPOCH_COLUMNS)):
        here = part(site["columns"], label)
        assert [c.name for c in columns if not c.meaning or f"| `{c.name}` |" not in here] == []
    for row_type in (QualityRow, SensorQuality):
        for name, hint in get_type_hints(row_type, include_extras=True).items():
            if name not in ("thigh", "back"):
                assert meaning_of(hint)[1], name
                assert f"| `{name}` |" in part(site["outputs"], "quality-csv")


@pytest.mark.parametrize("name", walkrisk.__all__)
def test_every_public_name_stands(name: str, site: dict[str, str]) -> None:
    assert re.search(rf"\{{py:(function|class)\}} walkrisk\.{name}\b", site["python"])


def test_every_method_and_variance_stands(site: dict[str, str]) -> None:
    names = part(site["methods"], "method-names")
    assert [m for m in get_args(Method) if f"`{m}`" not in names] == []
    here = part(site["methods"], "variance-names")
    assert [v for v in get_args(VarianceName) if f"`{v.removesuffix('_expected')}`" not in here] == []


def test_which_method_has_which_variance(site: dict[str, str]) -> None:
    every = {v for v in get_args(VarianceName) if not v.endswith("_expected")}
    rows = re.findall(r"(?m)^\| (.+) \| (.+) \|$", part(site["methods"], "variance-names").partition("Which method")[2])
    said: dict[str, set[str]] = {}
    for methods, variances in rows:
        listed = set(re.findall(r"`(\w+)`", variances))
        has = every - listed if variances.startswith("all") else listed
        named = re.findall(r"`(\w+)`", methods)
        named += [m for m in get_args(Method) if m.startswith("standardisation_") and "standardisation" in methods]
        said |= dict.fromkeys(named, has)
    assert said == {m: set(variances_of(m)) for m in get_args(Method) if m != "auto"}


def test_every_method_and_kind_of_sensitivity_analysis_is_explained() -> None:
    text = "\n".join((DOCS.parent / p).read_text() for p in pages() if p.startswith("docs/explanation/"))
    assert [m for m in get_args(Method) if f"`{m}`" not in text and f'"{m}"' not in text] == []
    assert [part for part in PARTS if f"[[{part}]]" not in text] == []
    sections = [k for k in study_schema()["properties"] if k in SECTIONS]
    assert [s for s in sections if f"[[{s}]]" not in text] == []


@pytest.mark.parametrize("page", [p for p in pages() if p.startswith("docs/explanation/") and "index" not in p])
def test_an_explanation_asks_its_question_and_names_its_sources(page: str) -> None:
    text = (DOCS.parent / page).read_text()
    assert "**Question.**" in text
    assert "## References" in text
    assert len(text.splitlines()) < 130
