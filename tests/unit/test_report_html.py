"""The report is one page that stands alone, says when data are simulated, and cannot be written into by its texts."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from walkrisk.reports.html import (
    Commands,
    Facts,
    FigureBlock,
    Paragraphs,
    ReportParts,
    Section,
    report_html,
    table_csv,
    table_html,
)
from walkrisk.reports.pages import BANNER
from walkrisk.tables.table import Head, Row, Table

TABLE = Table(
    id="table2",
    title="Risk <of> disease",
    number="Table 2",
    header=(
        Head("Category"),
        Head("No."),
        Head("RR (95% CI)", parts=(Head("Age", "For age."), Head("All", "For <all>."))),
    ),
    rows=(
        Row(kind="heading", cells=("Dose & pace",)),
        Row(cells=("<78", "2\u202f798", "1 [Reference]", "1 [Reference]"), indent=1),
        Row(cells=("≥78", "11\u202f194", "0.87 (0.77-0.98)", "not estimable (no cases)"), indent=1),
        Row(kind="heading", cells=("Other",)),
        Row(cells=("all", "5", "1", "1")),
    ),
    notes=("A note.",),
)
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script><text>Q1 &lt; Q2</text></svg>'


def report(*, simulated: bool = True) -> ReportParts:
    return ReportParts(
        title="Walking & <risk>",
        simulated=simulated,
        summary=(("Question", "Is <b>it</b> so?"),),
        sections=(
            Section(
                id="methods", title="Methods", blocks=(Paragraphs(texts=("Text.",), points=("One.",), title="Fit"),)
            ),
            Section(
                id="results",
                title="Results",
                blocks=(TABLE, FigureBlock(id="curves", title="Curves", image=SVG, alt='A "curve"', number="Figure 1")),
            ),
            Section(
                id="again", title="Again", blocks=(Commands(lines=("make reproduce",)), Facts(rows=(("seed", "1"),)))
            ),
        ),
    )


class Page(HTMLParser):
    """Tags with their attributes, and whether every tag is closed in its turn."""

    VOID = frozenset({"meta", "img", "link", "br", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_page_needs_nothing_from_outside() -> None:
    text = report_html(report())
    assert not re.search(r"(src|href)=\"(?!#|data:)|url\(|@import|<link|https?://|localStorage|fetch\(", text)
    assert report_html(report()) == text


def test_only_the_style_and_the_script_of_the_page_itself_may_be_used() -> None:
    for text in (report_html(report()), table_html(TABLE, simulated=False)):
        policy = Page(text).all("meta")[3]["content"] or ""
        assert policy.startswith("default-src 'none'")
        for tag in ("style", "script"):
            (own,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy


def test_the_page_is_well_formed_and_can_be_navigated() -> None:
    page = Page(report_html(report()))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"] for a in page.all("a")} <= {f"#{i}" for i in ids}
    assert "#table2" in {a["href"] for a in page.all("a")}
    assert all(i["alt"] for i in page.all("img"))
    assert len(page.all("caption")) == 1
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == 1


def test_heads_and_rows_are_marked_for_who_listens() -> None:
    page = Page(table_html(TABLE, simulated=False))
    scopes = [a["scope"] for a in page.all("th")]
    assert scopes == ["col", "col", "colgroup", "col", "col", "rowgroup", "row", "row", "rowgroup", "row"]
    assert len(page.all("tbody")) == 2
    assert [a.get("rowspan") for a in page.all("th")][:2] == ["2", "2"]


def test_texts_are_escaped_and_pictures_cannot_run() -> None:
    text = report_html(report())
    assert "Walking &amp; &lt;risk&gt;" in text
    assert "Is &lt;b&gt;it&lt;/b&gt; so?" in text
    assert "For &lt;all&gt;." in text
    assert "alert(1)" not in text
    source = Page(text).all("img")[0]["src"] or ""
    assert base64.b64decode(source.removeprefix("data:image/svg+xml;base64,")).decode() == SVG


def test_simulated_data_are_said_everywhere_and_never_else() -> None:
    simulated, real = report_html(report()), report_html(report(simulated=False))
    assert BANNER in simulated
    assert simulated.count('<span class="badge">Simulated data</span>') == 2, "one a table, one a figure"
    assert "[Simulated data]" in simulated
    body = real[real.index("<body") :]
    assert "imulated" not in body
    assert BANNER in table_html(TABLE, simulated=True)
    assert "imulated" not in table_csv(TABLE, simulated=False)


def test_two_parts_cannot_share_an_id() -> None:
    twice = Section(id="more", title="More", blocks=(TABLE,))
    with pytest.raises(ValueError, match="table2"):
        report_html(ReportParts(title="T", simulated=False, summary=(), sections=(*report().sections, twice)))


def test_a_table_as_csv_is_a_table() -> None:
    lines = list(csv.reader(io.StringIO(table_csv(TABLE, simulated=True))))
    assert lines[0] == ["Category", "No.", "RR (95% CI): Age", "RR (95% CI): All", "data"]
    assert {len(line) for line in lines} == {5}
    assert lines[2] == ["<78", "2798", "1 [Reference]", "1 [Reference]", "simulated"]
    assert lines[3][1] == "11194"
    assert {line[-1] for line in lines[1:]} == {"simulated"}
    assert [line[0] for line in lines[6:]] == [
        "Title: Table 2. Risk <of> disease", "Note: a For age.", "Note: b For <all>.", "Note: A note."
    ]  # fmt: skip
    assert len(next(csv.reader(io.StringIO(table_csv(TABLE, simulated=False))))) == 4


# ---------------------------------------------------------------- pictures in the page, links, contents

INLINE = '<svg role="img" aria-labelledby="c-title"><title id="c-title">C</title><rect data-tip="62: 0.87"/></svg>'


def with_picture(image: str) -> str:
    block = FigureBlock(id="c", title="C", image=image, alt="A", number="Figure 1", format="inline")
    section = Section(id="s", title="S", blocks=(block,))
    return report_html(ReportParts(title="T", simulated=False, summary=(), sections=(section,)))


def test_a_picture_of_our_own_is_part_of_the_page() -> None:
    assert f'<div class="plot">{INLINE}</div>' in with_picture(INLINE)
    for harmless in (
        '<use href="#c-mark"/>',
        '<g clip-path="url(#c-clip)"/>',
        '<image href="data:image/png;base64,AA"/>',
    ):
        assert harmless in with_picture(INLINE.replace("<rect", f"{harmless}<rect"))


@pytest.mark.parametrize(
    "alive",
    [
        "<script>1</script>", "<style>*{}</style>", "<foreignObject/>", '<rect onclick="x()"/>',
        "<rect onload = 'x()'/>", '<use href="https://example.org/#a"/>', '<a href="#x">x</a>',
        '<image href="data:image/svg+xml;base64,AA"/>', '<rect fill="url(https://example.org)"/>',
    ],
)  # fmt: skip
def test_a_picture_that_could_run_or_fetch_something_is_refused(alive: str) -> None:
    with pytest.raises(ValueError, match="could run or fetch"):
        with_picture(INLINE.replace("<rect", f"{alive}<rect"))


def test_texts_lead_to_what_they_name_where_a_section_is_linked() -> None:
    text = "See Table 2, “Results”, Figure 9 & “Nowhere”."
    parts = report(simulated=False)
    for linked in (True, False):
        more = Section(id="more", title="More", blocks=(Paragraphs(texts=(text,)),), linked=linked)
        page = report_html(replace(parts, sections=(*parts.sections, more), headline=("As Table 2 says.",)))
        link = '<a href="#table2">Table 2</a>, <a href="#results">“Results”</a>'
        assert (f"<p>See {link}, Figure 9 &amp; “Nowhere”.</p>" in page) is linked
        assert '<p class="headline">As <a href="#table2">Table 2</a> says.</p>' in page


def test_contents_list_headings_with_what_stands_under_them() -> None:
    figure = FigureBlock(id="f", title="F", image=SVG, alt="A", number="Figure 2")
    unnumbered = replace(TABLE, id="t", number="", title="U")
    blocks = (replace(TABLE, id="first"), Paragraphs(title="One"), figure, TABLE, unnumbered, Paragraphs(texts=("x",)))
    section = Section(id="s", title="S", blocks=blocks)
    assert [(e.id, e.text, e.within) for e in section.entries] == [
        ("first", "Table 2. Risk <of> disease", ()),
        ("s_2", "One", (("f", "Figure 2"), ("table2", "Table 2"))),
        ("t", "U", ()),
    ]
    assert section.ids == ("s", "first", "s_2", "f", "table2", "t")


def test_heads_over_one_column_know_their_column() -> None:
    page = Page(table_html(TABLE, simulated=False))
    assert [a.get("data-column") for a in page.all("th") if a["scope"] in ("col", "colgroup")] == [
        "0",
        "1",
        None,
        "2",
        "3",
    ]


def test_short_names_of_categories_stay_on_a_line() -> None:
    longer = Row(cells=("a longer name of a category", "5", "1", "1"), indent=2)
    page = table_html(replace(TABLE, rows=(*TABLE.rows, longer)), simulated=False)
    assert '<th scope="row" class="in1 short">≥78</th>' in page
    assert '<th scope="row" class="in2">a longer name' in page
