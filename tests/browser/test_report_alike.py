"""The page and the Word file say the same: each heading, paragraph, caption and table string of one is in the other."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from docx import Document
from docx.oxml.ns import qn

KEPT = {"h1", "h2", "h3", "p", "li", "caption", "figcaption", "th", "td", "code", "dd", "dt", "footer"}
LEFT_OUT = {"head", "nav", "svg", "script"}
BADGES = ("Simulated data", "[SIMULATED DATA]", "[Simulated data]")


class Said(HTMLParser):
    """The texts of the page by the tag that holds them, but for contents, scripts, pictures and the line at the top."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.open: list[tuple[str, bool]] = []  # tags that are open, and whether their texts are left out
        self.parts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("meta", "br", "img"):
            return
        left_out = tag in LEFT_OUT or dict(attrs).get("class") in ("skip", "simulated")
        if tag in KEPT:
            self.keep()
        self.open.append((tag, left_out or (bool(self.open) and self.open[-1][1])))

    def handle_endtag(self, tag: str) -> None:
        if tag in KEPT:
            self.keep()
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and not self.open[-1][1]:
            self.parts.append(data)

    def keep(self) -> None:
        """What was read since the last tag that holds texts belongs to the one that is open."""
        text, self.parts = plain("".join(self.parts)), []
        holder = next((tag for tag, _ in reversed(self.open) if tag in KEPT), None)
        if text and holder:
            self.found.append(("cell" if holder in ("th", "td") else holder, text))


def plain(text: str) -> str:
    for badge in BADGES:
        text = text.removeprefix(badge)
    return re.sub(r"[ \n]+", " ", text).strip(" \n")


def of_page(path: Path) -> tuple[set[str], set[str]]:
    """Headings, paragraphs and captions; strings of tables."""
    found = Said(path.read_text(encoding="utf-8")).found
    facts = iter([text for tag, text in found if tag in ("dt", "dd")])
    pairs = {f"{label}\t{value}" for label, value in zip(facts, facts, strict=True)}
    lines = {line for tag, text in found if tag == "code" for line in text.splitlines()}
    words = {text for tag, text in found if tag not in ("cell", "dt", "dd", "code")}
    return words | pairs | lines, {text for tag, text in found if tag == "cell"}


def of_word(path: Path) -> tuple[set[str], set[str]]:
    """The same of the Word file."""
    document = Document(str(path))
    words = {plain(p.text) for p in document.paragraphs}
    cells = {
        plain("".join(t.text or "" for t in p.iter(qn("w:t"))))
        for table in document.tables
        for p in table._tbl.iter(qn("w:p"))
    }
    return words - {""}, cells - {""}


@pytest.mark.parametrize("name", ["small", "sensitivity"])
def test_every_text_of_one_is_in_the_other(reports: dict[str, Path], name: str) -> None:
    page_words, page_cells = of_page(reports[name] / "report.html")
    word_words, word_cells = of_word(reports[name] / "report.docx")
    assert len(page_words) > 60
    assert len(page_cells) > 150
    assert sorted(page_words - word_words) == []
    assert sorted(word_words - page_words) == []
    assert sorted(page_cells ^ word_cells) == []


def test_a_change_in_one_is_found(reports: dict[str, Path], tmp_path: Path) -> None:
    text = (reports["small"] / "report.html").read_text(encoding="utf-8")
    words, cells = of_page(reports["small"] / "report.html")
    path = tmp_path / "report.html"
    changed = text.replace('id="section_limits">Limits<', 'id="section_limits">Limit<').replace(
        "1 [Reference]", "1 [Ref]"
    )
    path.write_text(changed, encoding="utf-8")
    other_words, other_cells = of_page(path)
    assert words ^ other_words == {"Limits", "Limit"}
    assert cells - other_cells == {"1 [Reference]"}
