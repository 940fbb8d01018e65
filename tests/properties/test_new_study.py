"""Whatever the columns of a file are called and hold, the study drafted for them parses, checks and runs if it can."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from walkrisk.cli import main
from walkrisk.cohorts.columns import RawColumn, as_texts
from walkrisk.cohorts.profiles import FileProfile, profile
from walkrisk.errors import UsageFault
from walkrisk.studies.declaration import study_from
from walkrisk.studies.drafting import Request, draft
from walkrisk.studies.guesses import guesses, round_limits
from walkrisk.studies.roles import Wishes, resolve
from walkrisk.studies.toml_text import Value, value

SIGNS = st.sampled_from([*"abcXYZ019 _.-\"'\\#=[]{},;:/%éø健\n\t\x07\u2028🚶"])
NAMES = st.text(SIGNS, min_size=1, max_size=12) | st.sampled_from(["age", "sex", "id", "columns", "study", "x" * 90])
LABELS = st.text(SIGNS, max_size=30)
COLUMNS = st.sampled_from(
    [
        "whole",
        "fractions",
        "yes",
        "codes",
        "texts",
        "dates",
        "truths",
        "same",
        "nothing",
        "ids",
        "words",
        "huge",
        "mixed",
    ]
)


def raw(kind: str, n: int, rng: np.random.Generator) -> RawColumn:
    """A column of a kind, some of it missing."""
    numbers = {
        "whole": rng.integers(-40, 90, n) * 1.0,
        "fractions": rng.gamma(2, 30, n).round(2),
        "yes": rng.integers(0, 2, n) * 1.0,
        "codes": rng.integers(1, 5, n) * 1.0,
        "dates": rng.integers(17_000, 18_000, n) * 1.0,
        "same": np.full(n, 7.0),
        "nothing": np.full(n, np.nan),
        "ids": rng.permutation(n) + 1.0,
        "huge": rng.normal(0, 1e12, n),
    }
    texts = {
        "texts": rng.choice(['low, "very"', "mid's", "high\\er", "#4"], n),
        "truths": rng.choice(["TRUE", "FALSE"], n),
        "words": np.array([f"said {i}" for i in range(n)]),
        "mixed": rng.choice(["1", "2", "3", "many"], n),
    }
    missing = rng.random(n) < 0.1
    if kind in texts:
        return RawColumn(as_texts(np.where(missing, None, texts[kind].astype(object))), "text")
    values = numbers[kind] if kind == "ids" else np.where(missing, np.nan, numbers[kind])
    labels = {1.0: "One", 2.0: 'Two "2"\n', 3.0: "One"} if kind == "codes" else None
    return RawColumn(values, "dates" if kind == "dates" else "numbers", labels)


@st.composite
def files(draw: st.DrawFn) -> tuple[FileProfile, dict[str, RawColumn], list[str]]:
    """A file with an id and an outcome among other columns, and the names of three of those."""
    names = draw(st.lists(NAMES, min_size=5, max_size=9, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n = draw(st.sampled_from([3, 40, 150]))
    kinds = ["ids", "yes", *draw(st.lists(COLUMNS, min_size=len(names) - 2, max_size=len(names) - 2))]
    columns = {name: raw(kind, n, rng) for name, kind in zip(names, kinds, strict=True)}
    profiles = tuple(profile(name, c, label=draw(LABELS)) for name, c in columns.items())
    return FileProfile(name="p.parquet", n_rows=n, columns=profiles), columns, names[2:5]


def text_of(file: FileProfile, columns: dict[str, RawColumn], others: list[str]) -> str | None:
    """The study of the second column as outcome and of others as they may be used; None where none may."""
    found = guesses(file)
    outcome, *_ = (c for c in found if c.source == list(columns)[1])
    exposures = [
        c for c in found if c.source in others and not c.why_not and c.kind != "date" and (c.levels or c.groups)
    ]
    covariates = [c for c in found[2:] if not c.why_not and c.kind != "date" and c not in exposures]
    wishes = Wishes(
        id=next(iter(columns)),
        outcome=outcome.source,
        exposures=tuple(c.source for c in exposures),
        covariates=tuple(c.source for c in covariates),
    )
    if outcome.why_not or not outcome.levels or not exposures or not found[0].may_identify:
        with pytest.raises(UsageFault):
            resolve(wishes, found)
        return None
    request = Request(id="s", title="", study_file="s.toml")
    return draft(request, resolve(wishes, found), found, file)


@settings(max_examples=30)
@given(files())
def test_a_drafted_study_is_in_order_and_so_is_each_of_its_examples(
    made: tuple[FileProfile, dict[str, RawColumn], list[str]],
) -> None:
    text = text_of(*made)
    if text is None:
        return
    study_from(tomllib.loads(text))
    for block in re.findall(r"(?:^#[^ \n].*\n)+", text, re.MULTILINE):
        study_from(tomllib.loads(text + "\n" + re.sub(r"^#", "", block, flags=re.MULTILINE)))


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files(), st.booleans())
def test_a_drafted_study_takes_the_file_it_was_drafted_for(
    tmp_path: Path, made: tuple[FileProfile, dict[str, RawColumn], list[str]], run: bool
) -> None:
    text = text_of(*made)
    if text is None:
        return
    frame = pd.DataFrame({name: c.values for name, c in made[1].items()})
    for name, c in made[1].items():
        if c.holds == "dates":
            frame[name] = pd.to_datetime(frame[name], unit="D")
    frame.to_parquet(tmp_path / "p.parquet", index=False)
    (tmp_path / "s.toml").write_text(text, encoding="utf-8")
    arguments = [str(tmp_path / "s.toml"), "--data", str(tmp_path / "p.parquet"), "--quiet"]
    code = main(["check", *arguments])
    assert code == 0 or made[0].n_rows < 100, "only a small file may leave nobody, or nobody with the outcome"
    assert code in (0, 4, 5)
    if run and code == 0:
        assert main(["run", *arguments, "--out", str(tmp_path / "out"), "--numbers-only"]) in (0, 5)


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_limits_lie_outside_and_have_one_digit(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    below, above = round_limits(low, high)
    assert below < low or below == 0 <= low
    assert above > high or above == 0 > low
    for limit in (below, above):
        assert re.fullmatch(r"-?(0|[125])(\.0*)?e[+-]\d+", f"{limit:e}")


VALUES = st.recursive(
    st.text() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(VALUES)
def test_values_are_written_exactly(content: Value) -> None:
    assert tomllib.loads(f"x = {value(content)}")["x"] == content
