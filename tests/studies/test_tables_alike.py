"""A table says the same in Word, HTML, LaTeX, Markdown and CSV, whatever characters its texts hold."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from walkrisk.reports import latex, markdown
from walkrisk.reports.docx_tables import table_docx
from walkrisk.reports.html import table_csv, table_html
from walkrisk.reports.latex import PREAMBLE, table_latex
from walkrisk.reports.markdown import table_markdown
from walkrisk.tables.table import Head, Row, Table

from .tables_read import NARROW, faults, read_csv, read_html

NASTY = (
    r"50% of A&B_c", "{x} ~ ^2", r"C:\data", "#1 $5", "<5 or >9", '"so" it\'s', "a--b---c", "A|B", "*bold* _em_", "≥65",
    "−0.1 (−0.2 to ∞)", "χ² 3.1", f"11{NARROW}194 (8.0)", "[Reference]", "`code`", "Sjøvik, Ås", "[x] first", "* star",
    "1,,2", "β → κ", "<b>no</b>", "&lt;", r"\textbf{no}", "",
)  # fmt: skip
TABLE = Table(
    id="nasty",
    title="Title with 100% & more_of <it>",
    number="eTable 3",
    header=(
        Head("Category <& x>", "First note: 5% & {braces}."),
        Head("No._of"),
        Head("RR (95% CI)", "Of all.", parts=(Head("Age|adjusted", "For age."), Head("Multi*adjusted"))),
    ),
    rows=(
        Row(kind="heading", cells=("Heading & co",), note="First note: 5% & {braces}."),
        *(Row(cells=(text, "1", text, text), indent=i % 3, note="In a row." if i == 3 else "") for i, text in
          enumerate(NASTY)),
        *(Row(cells=(text, "1", "", "")) for text in ("[x]", "* y")),
        Row(kind="heading", cells=("Last",), indent=1),
    ),
    notes=("Abbreviations: CI, confidence interval; RR, risk ratio (<1 is good).",),
)  # fmt: skip
LONG = replace(TABLE, id="long", rows=TABLE.rows * 4)
WIDE = replace(TABLE, id="wide", header=tuple(Head("Multi-adjusted") for _ in range(12)),
               rows=(Row(cells=tuple(f"{i}.00 (0.77-0.98)" for i in range(12))),), number="")  # fmt: skip


def written(folder: Path, *tables: Table) -> Path:
    for table in tables:
        (folder / f"{table.id}.html").write_text(table_html(table, simulated=True), encoding="utf-8")
        (folder / f"{table.id}.csv").write_text(table_csv(table, simulated=True), encoding="utf-8")
        (folder / f"{table.id}.tex").write_text(table_latex(table, simulated=True), encoding="utf-8")
        (folder / f"{table.id}.md").write_text(table_markdown(table, simulated=True), encoding="utf-8")
        (folder / f"{table.id}.docx").write_bytes(table_docx(table, simulated=True))
    return folder


@pytest.mark.parametrize("table", [TABLE, LONG, WIDE])
def test_every_format_has_the_same_strings(table: Table, tmp_path: Path) -> None:
    assert faults(written(tmp_path, table)) == []
    cells = read_html(tmp_path / f"{table.id}.html").rows
    assert [line[-1] for line in cells] == [r.cells[-1] if r.kind == "data" else "" for r in table.rows]


def test_a_csv_drops_the_spaces_of_thousands_and_nothing_else(tmp_path: Path) -> None:
    written(tmp_path, TABLE)
    got = [line[2] for line in read_csv(tmp_path / "nasty.csv").rows[1:-3]]
    assert got == [t.replace(NARROW, "") for t in NASTY]


def test_a_difference_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = latex.escape
    monkeypatch.setattr(latex, "escape", lambda text: right(text).replace("0.77", "0.78"))
    monkeypatch.setattr(markdown, "SPECIAL", re.compile(r"([\\])"))
    written(tmp_path, WIDE, TABLE)
    (tmp_path / "nasty.docx").unlink()
    said = " ".join(faults(tmp_path))
    assert all(word in said for word in ("wide.tex", "nasty.md", "nasty.docx is missing"))
    assert "wide.docx" not in said


def test_latex_tables_have_rules_notes_and_the_numbers_of_the_report() -> None:
    short, long, wide = (table_latex(t, simulated=False) for t in (TABLE, LONG, WIDE))
    for text in (short, long, wide):
        assert all(f"% {line}" in text for line in PREAMBLE)
        assert "imulated" not in text.lower().replace("simulated_", "")
    assert [short.count(r) for r in (r"\toprule", r"\midrule", r"\bottomrule", "{tabular}")] == [1, 1, 1, 2]
    assert r"\renewcommand{\tablename}{eTable}\renewcommand{\thetable}{3}" in short
    assert r"\caption{Title with 100\% \& more\_of \textless{}it\textgreater{}}\label{tab:nasty}" in short
    assert r"\textbf{Age\textbar{}adjusted}\textsuperscript{c}" in short
    assert r"\cmidrule(lr){3-4}" in short
    assert "a-{}-b-{}-{}-c" in short, "hyphens stay hyphens"
    assert long.count(r"\begin{longtable}") == 1
    assert long.count(r"\toprule") == 2, "heads again on every page"
    assert r"\begin{landscape}" in wide
    assert r"\thetable" not in wide
    assert "% SIMULATED DATA" in table_latex(TABLE, simulated=True)
    starts = [line.partition("&")[0] for line in short.splitlines()]
    assert not any(s.startswith(("[", "*")) for s in starts), "taken for an argument of the line before"


def test_markdown_stands_alone() -> None:
    text = table_markdown(TABLE, simulated=True)
    assert text.startswith(r"**\[Simulated data\] eTable 3. Title with 100% &amp; more\_of \<it\>**" + "\n\n| ")
    assert "\n| :--- | ---: | ---: | ---: |\n" in text
    assert "imulated" not in table_markdown(TABLE, simulated=False)
