"""What a run publishes, attacked: small counts stay hidden, whatever is known of the rest and of another release.

The attacker (attacker.py) shares no code with what hides the counts. That the attack can succeed is shown too: it does
where only the small counts themselves are hidden, with exact numbers, and with two releases made in ignorance of each
other.
"""

from __future__ import annotations

import csv
import html
import re
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import walkrisk
from walkrisk.disclosure.releases import read_releases
from walkrisk.errors import UsageFault
from walkrisk.estimates import marking
from walkrisk.estimates.results import ROW_TYPES
from walkrisk.estimates.suppression import is_small
from walkrisk.estimates.withheld import Withheld
from walkrisk.reports.files import rows_to_csv, write_all
from walkrisk.runs.reporting import report_again
from walkrisk.runs.run import Run, write
from walkrisk.studies.sensitivity import Sensitivity
from walkrisk.studies.study import Study

from .attacker import Cell, System, read, rows, small
from .attacker import Study as Known

HERE = Path(__file__).resolve().parent
K = 5
KNOWN = Known(
    main="main",
    same=("risks", "fractions"),
    restricted=("healthy", "walkers"),
    strata={"by_sex": "volume"},
    joint={"joint": ("volume", "activity_group")},
    other_limits={("fixed", "volume"): (6000.0, 8000.0, 11000.0)},
    by_exposure={"table1": "volume"},
    outcome="outcome",
)


def people(seed: int, n: int = 320, very_old: int = 2) -> pd.DataFrame:
    """A cohort with few people in a category of everything, and exclusions of few."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "id": np.arange(n),
            "age": rng.normal(58, 10, n).clip(25, 84).round(1),
            "sex": rng.integers(0, 2, n),
            "smoking": rng.choice([0.0, 1.0, 2.0], n, p=[0.55, 0.42, 0.03]),
            "health": (rng.random(n) < 0.93).astype(float),
            "steps": rng.gamma(6, 1400, n).clip(2100).round(),
            "activity": rng.choice([1, 2, 3], n, p=[0.5, 0.44, 0.06]),
            "consent": 1.0,
            "outcome": (rng.random(n) < 0.2).astype(float),
        }
    )
    most_active = frame.index[frame["activity"] == 3]
    frame.loc[most_active, "outcome"] = 0.0
    frame.loc[most_active[:3], "outcome"] = 1.0
    who = rng.permutation(n)
    frame.loc[who[:30], "consent"] = 0.0
    frame.loc[who[30:56], "outcome"] = np.nan
    frame.loc[who[56:59], "smoking"] = np.nan
    frame.loc[who[59:62], "steps"] = [917.0, 1203.0, 1511.0]
    frame.loc[who[62 : 62 + very_old], "age"] = 88.5
    return frame


@pytest.fixture(scope="module")
def study() -> Study:
    return walkrisk.study_from(tomllib.loads((HERE / "attacked_study.toml").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def run(study: Study) -> Run:
    return walkrisk.run(study, data=people(1))


@pytest.fixture(scope="module")
def published(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that a run writes by default."""
    out = tmp_path_factory.mktemp("published") / "results"
    write(run, out)
    return out


@pytest.fixture(scope="module")
def exact(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return as_computed(run, tmp_path_factory.mktemp("exact"))


def as_computed(made: Run, folder: Path) -> Path:
    """The rows of a run in a folder, as they were computed."""
    folder.mkdir(exist_ok=True)
    files = {f"{kind}.csv": rows_to_csv(getattr(made.results, kind), rows) for kind, rows in ROW_TYPES.items()}
    write_all(folder, files | {"disclosure.csv": rows_to_csv((), Withheld)})
    return folder


Left = Callable[..., Path]


@pytest.fixture
def left(tmp_path: Path) -> Left:
    """A folder with the numbers of a run."""

    def write_numbers(made: Run, name: str = "numbers", *, exact: bool = False) -> Path:
        write(made, tmp_path / name, numbers_only=True, exact_numbers=exact)
        return tmp_path / name

    return write_numbers


def known_of(folder: Path) -> System:
    system = System()
    read(system, folder, KNOWN)
    return system


def truth_of(exact: Path) -> System:
    system = known_of(exact)
    system.propagate()
    return system


def found_in(folder: Path, exact: Path) -> dict[Cell, int]:
    """The small counts that an attacker finds."""
    system, truth = known_of(folder), truth_of(exact)
    cells = [c for c in small(truth, truth.limits) if c in system.limits]
    assert len(cells) > 20
    found = system.found(cells)
    assert all(truth.limits[c] == (v, v) for c, v in found.items()), "the attacker concludes what is not so"
    return found


# ---------------------------------------------------------------- one release


def test_small_counts_are_seeded_everywhere(exact: Path) -> None:
    truth = truth_of(exact)
    cells = list(small(truth, truth.limits))
    analyses = {c[2] for c in cells if c[0] == "ratio"}
    assert {"main", "joint", "by_sex"} <= analyses
    assert {c[0] for c in cells} >= {"ratio", "left out", "between", "described", "flow", "lost"}
    assert {c[2] for c in cells if c[0] == "described"} >= {"table1", "included"}


def test_no_small_count_is_found_in_what_a_run_publishes(published: Path, exact: Path) -> None:
    assert found_in(published, exact) == {}


@pytest.mark.parametrize("seed", [2, 3])
def test_no_small_count_is_found_with_other_people(study: Study, seed: int, left: Left, tmp_path: Path) -> None:
    made = walkrisk.run(study, data=people(seed))
    assert found_in(left(made), as_computed(made, tmp_path / "exact")) == {}


def test_the_attack_finds_them_where_only_small_counts_are_hidden(
    run: Run, exact: Path, left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_small(values: dict[object, int], *_: object, min_cell: int, unseen: set[object], **__: object) -> object:
        return {k: "small" for k, v in values.items() if is_small(v, min_cell) and k not in unseen}

    monkeypatch.setattr(marking, "hidden_cells", only_small)
    assert len(found_in(left(run), exact)) > 20


# ---------------------------------------------------------------- two releases, one exclusion changed


def two_runs(study: Study, very_old: int) -> tuple[Run, Run]:
    """The study without the exclusion of very old people, and with it."""
    study = replace(study, sensitivity=Sensitivity(model="adjusted"))
    earlier = replace(study, exclusions=tuple(e for e in study.exclusions if e.id != "oldest"))
    data = people(1, very_old=very_old)
    return walkrisk.run(earlier, data=data), walkrisk.run(study, data=data)


def beside(first: Path, second: Path, base: int = 0) -> System:
    """What both tell, and that the people of the second are in the first."""
    system = System()
    for name, folder in (("first", first), ("second", second)):
        read(system, folder, KNOWN, name, base=base)
    places = {(c[2], c[3]) for c in system.limits if c[:2] == ("ratio", "first")}
    for analysis, exposure in sorted(places, key=str):
        levels = {c[5] for c in system.limits if c[:4] == ("ratio", "first", analysis, exposure)}
        for level in sorted(levels, key=str) if exposure == "activity_group" else [""]:
            for what in ("n", "events", "rest"):
                large, little = (("ratio", r, analysis, exposure, "", level, what) for r in ("first", "second"))
                gone = ("left out", "first", "second", analysis, exposure, level, what)
                system.total(large, (little, gone))
    return system


def found_between(first: Run, second: Run, left: Left, folder: Path, *, base: int = 0) -> list[int]:
    """How many small counts an attacker finds in two releases: the second in ignorance of the first, then beside it
    (only the former where counts are rounded)."""
    exact = beside(as_computed(first, folder / "first exact"), as_computed(second, folder / "second exact"))
    exact.propagate()
    cells = list(small(exact, exact.limits))
    earlier = left(first, "first")
    later = [left(second, "second")]
    later += [] if base else [left(replace(second, releases=read_releases([earlier])), "second beside it")]
    systems = [beside(earlier, folder, base) for folder in later]
    return [len(s.found([c for c in cells if c in s.limits])) for s in systems]


def test_two_releases_give_an_exclusion_away_unless_the_second_knows_the_first(
    study: Study, left: Left, tmp_path: Path
) -> None:
    alone, beside_it = found_between(*two_runs(study, very_old=9), left, tmp_path)
    assert alone > 3
    assert beside_it == 0


def test_an_exclusion_of_few_is_released_rounded_or_not_at_all(study: Study, left: Left, tmp_path: Path) -> None:
    first, second = two_runs(study, very_old=3)
    earlier = left(first, "exact")
    with pytest.raises(UsageFault, match="differ by 1 to 4"):
        left(replace(second, releases=read_releases([earlier])), "refused")
    assert not (tmp_path / "refused").exists()
    rounded = (replace(r, study=rounded_study(r.study)) for r in (first, second))
    assert found_between(*rounded, left, tmp_path, base=5) == [0]


def rounded_study(study: Study) -> Study:
    return replace(study, settings=replace(study.settings, round_counts=5))


# ---------------------------------------------------------------- what can be read


COUNTS = {
    "estimates": ("n", "events"),
    "characteristics": ("known",),
    "diagnostics": ("n", "events"),
    "flow": ("n_before", "n_excluded", "n_after"),
    "histograms": ("n",),
    "points": ("n",),
}
SAID = re.compile(r"\bn = [1-4]\b|(?<![\d.,<–-])\b[1-4] (?:people|persons|participants|events|cases)\b")


def test_no_small_count_stands_in_a_csv(published: Path) -> None:
    for name, columns in COUNTS.items():
        for row in rows(published, name):
            assert not any(row[c] and is_small(float(row[c]), K) for c in columns), (name, row)
    counted = [r for r in rows(published, "characteristics") if r["statistic"] in ("n", "count") and r["value"]]
    assert counted
    assert not any(is_small(float(r["value"]), K) for r in counted)


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Every page, table, picture and Word file as text."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".html", ".svg", ".md", ".tex", ".csv"):
            text = path.read_text(encoding="utf-8")
            attributes = " ".join(re.findall(r'(?:data-tip|alt|aria-label)="([^"]*)"', text))
            yield (
                path.name,
                html.unescape(re.sub(r"<style.*?</style>|<script.*?</script>|<[^>]+>", " ", text, flags=re.S)),
            )
            yield path.name, html.unescape(attributes)
        elif path.suffix == ".docx":
            with zipfile.ZipFile(path) as parts:
                xml = parts.read("word/document.xml").decode()
            yield path.name, html.unescape(re.sub(r"</w:p>", "\n", re.sub(r"<(?!/w:p>)[^>]+>", "", xml)))


def test_no_text_says_a_small_count(published: Path) -> None:
    told = [(name, m[0]) for name, text in texts(published) for m in SAID.finditer(text)]
    assert not told
    assert any("fewer than 5" in text or "<5" in text for _, text in texts(published))


def test_no_table_has_a_small_count_in_a_place_for_counts(published: Path) -> None:
    looked = 0
    for path in sorted((published / "tables").glob("*.csv")):
        if path.stem in ("disclosure", "strobe", "tests", "diagnostics"):
            continue
        with path.open(encoding="utf-8-sig", newline="") as lines:
            body = list(csv.reader(lines))
        heads = next((r for r in body if len(r) > 1), [])
        for row in body:
            for head, cell in zip(heads, row, strict=False):
                counts = "No." in head or (row and "No." in row[0]) or path.stem in ("table1", "included")
                looked += counts
                assert not (counts and re.fullmatch(r"[1-4](?: \(.*\))?", cell)), (path.name, row)
    assert looked > 100


def test_no_extreme_value_is_published(published: Path) -> None:
    steps = people(1)["steps"].to_numpy()
    for row in rows(published, "curves"):
        x = float(row["x"])
        assert (steps <= x).sum() >= K
        assert (steps >= x).sum() >= K
    bars = rows(published, "histograms")
    assert len(bars) > 10
    assert (steps < float(bars[0]["high"])).sum() >= K
    assert (steps > float(bars[-1]["low"])).sum() >= K
    for name in ("curves", "cutpoints", "histograms", "points", "characteristics"):
        text = (published / f"{name}.csv").read_text(encoding="utf-8")
        assert not re.search(rf"(?<![\d.])(?:{steps.min():g}|{steps.max():g}|88\.5)(?:\.0)?(?!\d)", text), name


# ---------------------------------------------------------------- the files


def test_the_list_of_what_is_withheld_tells_no_number(published: Path) -> None:
    listed = rows(published, "disclosure")
    assert {r["reason"] for r in listed} == {"small", "complementary", "difference", "derived", "tail", "merged"}
    assert {r["column"] for r in listed} >= {"n", "events", "value", "known", "estimate"}
    page = (published / "report.html").read_text(encoding="utf-8")
    assert "What is not shown" in page
    assert f"{len(listed)} cells are withheld" in page


def test_numbers_made_fit_for_publication_cannot_be_reported_with_other_limits(published: Path) -> None:
    for limits in ({"min_cell": 3}, {"min_cell": 10}, {"round_counts": 5}):
        with pytest.raises(UsageFault, match="need the exact numbers"):
            report_again(published, **limits)


def test_exact_numbers_are_the_rows_computed(run: Run, left: Left) -> None:
    exact = left(run, exact=True)
    assert len(found_in(exact, exact)) > 20
    assert [int(r["n"]) for r in rows(exact, "diagnostics")] == [d.n for d in run.results.diagnostics]
    assert '"exact_numbers": true' in (exact / "manifest.json").read_text(encoding="utf-8")
    with pytest.raises(UsageFault, match="exact numbers"):
        read_releases([exact])


def test_rounded_counts_are_multiples(study: Study, run: Run, left: Left) -> None:
    rounded = left(replace(run, study=rounded_study(study)))
    for name, columns in COUNTS.items():
        if name != "points":
            assert all(float(r[c]) % 5 == 0 for r in rows(rounded, name) for c in columns if r[c]), name
    shares = [r for r in rows(rounded, "characteristics") if r["statistic"] == "percent" and r["value"]]
    counts = {(r["table"], r["variable"], r["level"], r["group"]): r for r in rows(rounded, "characteristics")
              if r["statistic"] == "count"}  # fmt: skip
    for r in shares:
        count = counts[r["table"], r["variable"], r["level"], r["group"]]
        assert float(r["value"]) == pytest.approx(100 * float(count["value"]) / float(count["known"]))
