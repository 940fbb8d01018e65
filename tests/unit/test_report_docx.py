"""The Word report opens, says what the report says, gives its tables as tables, and tells nothing of who made it."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from dataclasses import replace

import docx
import pytest
from docx.enum.section import WD_ORIENT
from docx.oxml.ns import qn
from docx.table import Table as WordTable

from walkrisk.reports.docx import report_docx
from walkrisk.reports.docx_tables import table_docx
from walkrisk.reports.html import Commands, Facts, FigureBlock, Paragraphs, ReportParts, Section
from walkrisk.reports.layout import CELL_MM, setting, text_mm
from walkrisk.tables.table import Head, Row, Table, footnotes, plain_rows

TABLE = Table(
    id="table2",
    title="Risk <of> disease",
    number="Table 2",
    header=(
        Head("Category"),
        Head("No.", "People & cases."),
        Head("RR (95% CI)", parts=(Head("Age", "For age."), Head("All", "For <all>."))),
    ),
    rows=(
        Row(kind="heading", cells=("Dose & pace",), note="Cut at quartiles."),
        Row(cells=("<78", "2\u202f798", "1 [Reference]", "1 [Reference]"), indent=1),
        Row(cells=("≥78", "11\u202f194", "0.87 (0.77-0.98)", "not estimable (no cases in this group)"), indent=1),
        Row(kind="heading", cells=("Other",)),
        Row(cells=("all", "5", "1", "1"), note="For age."),
    ),
    notes=("A note.",),
)
FLAT = replace(TABLE, id="flat", number="eTable 1", header=(Head("A"), Head("B"), Head("C"), Head("D")), notes=())
NUMBERS = tuple(f"{i}.00 (0.77-0.98)" for i in range(9))
WIDE = Table(
    id="wide",
    title="Wide",
    header=(Head("Category"), *(Head("Age-adjusted") for _ in NUMBERS)),
    rows=(Row(cells=("Q1", *NUMBERS)),),
)

LONG = replace(TABLE, id="long", rows=TABLE.rows * 13)


def png(wide: int, high: int) -> bytes:
    """A white picture of so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    body = zlib.compress(b"".join(b"\0" + b"\xff" * wide for _ in range(high)))
    head = struct.pack(">IIBBBBB", wide, high, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


PICTURES = {"curves": png(200, 100), "forest": png(200, 700)}
CURVES = FigureBlock(
    id="curves", title="Curves", image="<svg/>", alt='A "curve" & band', number="Figure 1", caption="Bands."
)


def report(*, simulated: bool = True, blocks: tuple[Table, ...] = (TABLE, FLAT)) -> ReportParts:
    forest = replace(CURVES, id="forest", title="Forest", number="Figure 2", caption="")
    return ReportParts(
        title="Walking & <risk>",
        subtitle="Is <b>it</b> so?",
        simulated=simulated,
        summary=(("Population", "Adults"),),
        sections=(
            Section(
                id="methods", title="Methods", blocks=(Paragraphs(texts=("Text.",), points=("One.",), title="Fit"),)
            ),
            Section(id="results", title="Results", blocks=(*blocks, CURVES, forest)),
            Section(
                id="end", title="Origin", blocks=(Commands(lines=("make reproduce",)), Facts(rows=(("seed", "1"),)))
            ),
        ),
        footer="walkrisk",
    )


def made(parts: ReportParts) -> docx.document.Document:
    return docx.Document(io.BytesIO(report_docx(parts, pictures=PICTURES)))


def texts(document: docx.document.Document, style: str) -> list[str]:
    return [p.text for p in document.paragraphs if p.style is not None and p.style.name == style]


def plain(table: WordTable) -> list[list[str]]:
    """Rows of a Word table as `plain_rows` has them: spans joined to their parts, footnote letters left out."""
    grid = [
        ["".join(r.text for r in c.paragraphs[0].runs if not r.font.superscript) for c in row.cells]
        for row in table.rows
    ]
    tiers = len(table._tbl.xpath("w:tr/w:trPr/w:tblHeader"))
    heads = [list(dict.fromkeys(column)) for column in zip(*grid[:tiers], strict=True)]
    body = [
        [row.cells[0].text and line[0], *[""] * (len(line) - 1)] if len(row._tr.tc_lst) == 1 else line
        for row, line in zip(list(table.rows)[tiers:], grid[tiers:], strict=True)
    ]
    return [[": ".join(h) for h in heads], *body]


def test_the_same_report_gives_the_same_bytes() -> None:
    first, second = (report_docx(report(), pictures=PICTURES) for _ in range(2))
    assert first == second
    with zipfile.ZipFile(io.BytesIO(first)) as file:
        assert {m.date_time for m in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert file.namelist()[0] == "[Content_Types].xml"


def test_the_file_says_nothing_of_who_made_it_and_points_nowhere() -> None:
    with zipfile.ZipFile(io.BytesIO(report_docx(report(), pictures=PICTURES))) as file:
        members = {name: file.read(name) for name in file.namelist()}
    relations = b"".join(data for name, data in members.items() if name.endswith(".rels"))
    assert b"TargetMode" not in relations
    assert not re.search(rb'Target="(?!docProps|word|styles|settings|webS|font|theme|num|header|foot|media)', relations)
    assert not any("vba" in n or "thumbnail" in n or "customXml" in n or n.endswith("app.xml") for n in members)
    core = docx.Document(io.BytesIO(report_docx(report(), pictures=PICTURES))).core_properties
    assert (core.author, core.last_modified_by, core.comments, core.keywords) == ("", "", "", "")
    assert core.created == core.modified
    assert core.created is not None
    assert core.created.year == 1980
    assert core.title == "[Simulated data] Walking & <risk>"
    assert b"python-docx" not in b"".join(members.values())


def test_parts_of_the_report_stand_in_their_order() -> None:
    document = made(report())
    assert texts(document, "Title") == ["Walking & <risk>"]
    assert texts(document, "Subtitle") == ["Is <b>it</b> so?"]
    assert texts(document, "Heading 1") == ["Methods", "Results", "Origin"]
    assert texts(document, "Heading 2") == ["Fit"]
    assert texts(document, "List Bullet") == ["One."]
    assert texts(document, "Fact") == ["Population\tAdults", "seed\t1"]
    assert texts(document, "Command") == ["make reproduce"]
    assert texts(document, "Caption") == [
        "[SIMULATED DATA] Table 2. Risk <of> disease",
        "[SIMULATED DATA] eTable 1. Risk <of> disease",
        "[SIMULATED DATA] Figure 1. Curves",
        "[SIMULATED DATA] Figure 2. Forest",
    ]
    kinds = [e.tag for e in document.element.body if e.tag == qn("w:tbl") or e.xpath(".//w:drawing | .//w:numPr")]
    assert kinds[-4:] == [qn("w:tbl"), qn("w:tbl"), qn("w:p"), qn("w:p")]


def test_simulated_data_are_said_on_every_page_and_never_else() -> None:
    for parts in (report(), report(blocks=(WIDE, TABLE))):
        assert all("SIMULATED DATA" in s.header.paragraphs[0].text for s in made(parts).sections)
    with zipfile.ZipFile(io.BytesIO(report_docx(report(simulated=False), pictures=PICTURES))) as file:
        assert not any(b"imulated" in file.read(n) or b"SIMULATED" in file.read(n) for n in file.namelist())


def test_pages_are_numbered() -> None:
    foot = made(report()).sections[0].footer.paragraphs[0]._p
    assert foot.xpath("w:fldSimple/@w:instr") == ["PAGE", "NUMPAGES"]


@pytest.mark.parametrize("table", [TABLE, FLAT, WIDE])
def test_a_word_table_has_the_texts_of_the_table(table: Table) -> None:
    document = made(report(blocks=(table,)))
    assert len(document.tables) == 1
    assert plain(document.tables[0]) == plain_rows(table)


def test_footnotes_are_lettered_in_superscript_and_stand_under_the_table() -> None:
    document = made(report(blocks=(TABLE,)))
    assert [t for t in texts(document, "Note") if t not in ("Bands.", "walkrisk")] == footnotes(TABLE)
    paragraphs = [c.paragraphs[0] for row in document.tables[0].rows for c in row.cells]
    marked = {p.text: [r.text for r in p.runs if r.font.superscript] for p in paragraphs if p.runs}
    assert marked["No.a"] == ["a"]
    assert marked["Ageb"] == marked["allb"] == ["b"]
    assert marked["Dose & paced"] == ["d"]
    assert marked["<78"] == []


def test_a_table_has_three_rules_a_header_on_every_page_and_whole_rows() -> None:
    document = made(report(blocks=(TABLE,)))
    grid = document.tables[0]._tbl
    style = document.styles["Journal table"].element
    assert [e.tag for e in style.xpath("w:tblPr/w:tblBorders/*")] == [qn("w:top"), qn("w:bottom")]
    assert grid.xpath("w:tblPr/w:tblBorders | .//w:tcBorders/w:left | .//w:tcBorders/w:right | .//w:insideV") == []
    assert [len(r.xpath("w:tc/w:tcPr/w:tcBorders/w:bottom")) for r in grid.tr_lst] == [3, 4, 0, 0, 0, 0, 0]
    assert [len(r.xpath("w:trPr/w:tblHeader")) for r in grid.tr_lst] == [1, 1, 0, 0, 0, 0, 0]
    assert all(r.xpath("w:trPr/w:cantSplit") for r in grid.tr_lst)
    assert grid.xpath("w:tr[1]/w:tc/w:tcPr/w:gridSpan/@w:val") == ["2"]
    assert grid.xpath("w:tr[3]/w:tc/w:tcPr/w:gridSpan/@w:val") == ["4"]
    assert grid.xpath("w:tr[4]/w:tc/w:p/w:pPr/w:jc/@w:val") == ["right"] * 3


def test_only_a_table_too_wide_for_the_page_lies_on_its_side() -> None:
    assert not setting(TABLE).sideways
    assert setting(WIDE).sideways
    document = made(report(blocks=(TABLE, WIDE, FLAT)))
    turned = [s.orientation == WD_ORIENT.LANDSCAPE for s in document.sections]
    assert turned == [False, True, False]
    assert all((s.page_width > s.page_height) is t for s, t in zip(document.sections, turned, strict=True))
    first = made(report(blocks=(WIDE,)))
    breaks = [i for i, p in enumerate(first.paragraphs) if p._p.xpath("w:pPr/w:sectPr")]
    assert first.paragraphs[breaks[0] + 1].text == "Results", "the heading goes with its table"


def test_columns_fill_the_page_and_no_word_is_broken() -> None:
    many = replace(WIDE, header=tuple(Head(f"Questionnairecovari{i}") for i in range(9)), rows=())
    for table, room in ((TABLE, 170.0), (WIDE, 257.0), (many, 257.0), (LONG, 170.0)):
        laid = setting(table)
        assert laid.sideways is (room > 200)
        assert sum(laid.widths_mm) <= room + 1e-9
        for column, width in zip(zip(*plain_rows(table), strict=True), laid.widths_mm, strict=True):
            words = (w for text in column for part in text.split(": ") for w in part.replace("-", "- ").split(" "))
            assert max(text_mm(w, laid.points) for w in words) < width - 2 * CELL_MM, column
    assert min(setting(WIDE).widths_mm[1:]) > text_mm("0.87 (0.77-0.98)", setting(WIDE).points)
    bold = replace(WIDE, header=tuple(Head("Overadjustmen") for _ in WIDE.header), rows=())
    assert min(setting(bold).widths_mm) - 2 * CELL_MM > 1.05 * text_mm("Overadjustmen", setting(bold).points)
    thin = setting(replace(WIDE, header=tuple(Head("Illicit") for _ in WIDE.header), rows=()))
    em = (5 * 278 + 556 + 333) / 1000  # I, l, l, i, i, c, t of Arial Bold
    assert min(thin.widths_mm) - 2 * CELL_MM > em * thin.points * 25.4 / 72
    assert setting(TABLE).widths_mm[2] == setting(TABLE).widths_mm[3], "alike under a span"
    assert (setting(TABLE).points, setting(WIDE).points, setting(many).points) == (9, 9, 7)


def test_a_table_of_more_than_a_page_is_broken_between_its_groups() -> None:
    assert not setting(TABLE).long
    assert setting(LONG).long
    for table, whole in ((TABLE, True), (LONG, False)):
        grid = docx.Document(io.BytesIO(table_docx(table, simulated=False))).tables[0]
        kept = [bool(row.cells[0].paragraphs[0].paragraph_format.keep_with_next) for row in grid.rows[2:]]
        assert kept[0], "a heading stays with what follows"
        assert all(kept) is whole


def test_a_long_group_may_be_broken_but_not_from_its_heading() -> None:
    one = replace(TABLE, rows=(TABLE.rows[0], *TABLE.rows[1:3] * 40))
    grid = docx.Document(io.BytesIO(table_docx(one, simulated=False))).tables[0]
    kept = [bool(row.cells[0].paragraphs[0].paragraph_format.keep_with_next) for row in grid.rows[2:]]
    assert kept == [True, *[False] * 79, True], "the last row stays with the notes"


def test_one_table_is_a_word_file_of_its_own() -> None:
    for table in (TABLE, WIDE):
        first, second = (table_docx(table, simulated=True) for _ in range(2))
        assert first == second
        document = docx.Document(io.BytesIO(first))
        assert plain(document.tables[0]) == plain_rows(table)
        assert len(document.sections) == 1, "no empty page in front"
        assert (document.sections[0].orientation == WD_ORIENT.LANDSCAPE) is setting(table).sideways


def test_pictures_fit_the_page_and_are_described() -> None:
    shapes = made(report()).inline_shapes
    assert [round(s.width.mm / s.height.mm, 2) for s in shapes] == [2.0, round(200 / 700, 2)]
    assert shapes[0].width.mm == pytest.approx(170, abs=0.1)
    assert shapes[1].height.mm < 257
    described = [s._inline.docPr.get("descr") for s in shapes]
    assert described == ['A "curve" & band', 'A "curve" & band']


def test_a_figure_without_a_picture_is_named() -> None:
    with pytest.raises(ValueError, match="curves"):
        report_docx(report(), pictures={"forest": PICTURES["forest"]})


def test_texts_no_word_file_can_hold_are_mended() -> None:
    document = made(replace(report(), title="One\x0b\x00two" + "x" * 300))
    assert texts(document, "Title")[0].startswith("Onetwo")
    assert len(document.core_properties.title) == 255
