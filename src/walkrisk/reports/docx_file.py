"""An empty Word file in the house style, and a document as bytes that are the same every time."""

from __future__ import annotations

import re
import zipfile
from datetime import datetime
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

import docx
from docx.enum.section import WD_ORIENT, WD_SECTION
from docx.enum.style import WD_STYLE_TYPE
from docx.enum.text import WD_ALIGN_PARAGRAPH as ALIGN
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls, qn
from docx.oxml.parser import OxmlElement
from docx.shared import Mm, Pt, RGBColor
from docx.styles.style import ParagraphStyle

from walkrisk.reports.layout import CELL_MM, LONG_MM, MARGIN_MM, SHORT_MM, SIZES

if TYPE_CHECKING:
    from docx.document import Document

STAMP = "SIMULATED DATA"
LANGUAGE = "en-GB"
FONT, MONOSPACE = "Arial", "Courier New"
INK = None  # as the reader's Word has it
QUIET, ALARM = RGBColor(0x55, 0x55, 0x55), RGBColor(0x8A, 0x3B, 0x00)

FACT_MM = 46.0  # labels of facts

EPOCH = datetime(1980, 1, 1)  # the first moment a zip can name: the file says nothing of when it was made
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")  # XML cannot hold these
TEMPLATE_EXTRAS = ("/thumbnail", "/customXml", "/extended-properties", "/stylesWithEffects")  # kinds of parts left out

TABLE_POINTS = sorted({points for _, points in SIZES}, reverse=True)


def table_style(kind: str, points: float) -> str:
    """The style of a table's `text` or `head` in a size: its name and its id are the same."""
    return f"Table-{kind}-{points:g}pt"


#         name, based on, points, bold, colour, space before, after
STYLES = (
    ("Title", None, 20, True, INK, 0, 4),
    ("Subtitle", None, 12, False, QUIET, 0, 12),
    ("Heading 1", None, 14, True, INK, 20, 6),
    ("Heading 2", None, 11, True, INK, 12, 4),
    ("List Bullet", None, 10, False, INK, 0, 4),
    ("Caption", None, 10, True, INK, 14, 4),
    ("Note", "Normal", 8, False, INK, 0, 2),
    ("Fact", "Normal", 9, False, INK, 0, 3),
    ("Command", "Normal", 9, False, INK, 0, 6),
    *((table_style("text", points), "Normal", points, False, INK, 0, 0) for points in TABLE_POINTS),
    *((table_style("head", points), "Normal", points, True, INK, 0, 0) for points in TABLE_POINTS),
)
TABLE_STYLE = f"""
<w:style {nsdecls("w")} w:type="table" w:customStyle="1" w:styleId="JournalTable">
  <w:name w:val="Journal table"/><w:basedOn w:val="TableNormal"/><w:uiPriority w:val="99"/><w:qFormat/>
  <w:tblPr>
    <w:tblBorders><w:top w:val="single" w:sz="8" w:space="0" w:color="auto"/>
      <w:bottom w:val="single" w:sz="8" w:space="0" w:color="auto"/></w:tblBorders>
    <w:tblCellMar><w:top w:w="25" w:type="dxa"/><w:left w:w="{CELL_MM * 1440 / 25.4:.0f}" w:type="dxa"/>
      <w:bottom w:w="25" w:type="dxa"/><w:right w:w="{CELL_MM * 1440 / 25.4:.0f}" w:type="dxa"/></w:tblCellMar>
  </w:tblPr>
</w:style>"""


def clean(text: str) -> str:
    """Text without the characters a Word file cannot hold."""
    return CONTROL.sub("", text)


def blank(title: str, *, simulated: bool) -> Document:
    """An empty A4 document in the house style, with nothing of the template's author, date or pictures."""
    document = docx.Document(BytesIO(_stationery()))
    document.core_properties.title = clean(f"[Simulated data] {title}" if simulated else title)[:255]
    if simulated:
        head = document.sections[0].header.paragraphs[0]
        head.alignment = ALIGN.CENTER
        run = head.add_run(f"{STAMP}: these numbers are not results about people")
        run.bold, run.font.size, run.font.color.rgb = True, Pt(9), ALARM
    return document


@cache
def _stationery() -> bytes:
    """What every document starts from."""
    document = docx.Document()
    for relations in (document.part.package.rels, document.part.rels):
        for key in [k for k, r in relations.items() if r.reltype.endswith(TEMPLATE_EXTRAS)]:
            del relations[key]
    said = document.core_properties
    said.author = said.last_modified_by = said.comments = said.keywords = said.subject = said.category = ""
    said.created = said.modified = EPOCH
    said.language, said.revision = LANGUAGE, 1
    for zoom in document.settings.element.iter(qn("w:zoom")):
        zoom.set(qn("w:percent"), "100")  # the template lacks it, and the schema asks for it
    _styles(document)
    page = document.sections[0]
    page.page_width, page.page_height = Mm(SHORT_MM), Mm(LONG_MM)
    page.left_margin = page.right_margin = page.top_margin = page.bottom_margin = Mm(MARGIN_MM)
    page.header_distance = page.footer_distance = Mm(10)
    foot = page.footer.paragraphs[0]
    foot.alignment = ALIGN.RIGHT
    for text, field in (("Page ", "PAGE"), (" of ", "NUMPAGES")):
        foot.add_run(text)
        foot._p.append(
            parse_xml(f'<w:fldSimple {nsdecls("w")} w:instr="{field}"><w:r><w:t>1</w:t></w:r></w:fldSimple>')
        )
    out = BytesIO()
    document.save(out)
    return out.getvalue()


def _styles(document: Document) -> None:
    """One face throughout, sizes and spaces of `STYLES`, the language, and captions that can be navigated to."""
    styles = document.styles
    for fonts in styles.element.iter(qn("w:rFonts")):
        fonts.attrib.clear()
        for script in ("ascii", "hAnsi", "eastAsia", "cs"):
            fonts.set(qn(f"w:{script}"), FONT)
    for language in styles.element.iter(qn("w:lang")):
        language.set(qn("w:val"), LANGUAGE)
    normal = styles["Normal"]
    assert isinstance(normal, ParagraphStyle)
    normal.font.size, normal.font.name = Pt(10), FONT
    normal.paragraph_format.space_after, normal.paragraph_format.line_spacing = Pt(6), 1.1
    for name, base, points, bold, colour, before, after in STYLES:
        style = styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH) if base else styles[name]
        assert isinstance(style, ParagraphStyle)
        if base:
            style.base_style, style.quick_style = styles[base], True
        style.font.size, style.font.bold, style.font.italic, style.font.color.rgb = Pt(points), bold, False, colour
        form = style.paragraph_format
        form.space_before, form.space_after, form.line_spacing = Pt(before), Pt(after), 1.1 if before or after else 1.0
        for trait in list(style.element.iter(qn("w:pBdr"), qn("w:kern"))) + style.element.xpath("w:rPr/w:spacing"):
            trait.getparent().remove(trait)
    fact = styles["Fact"].paragraph_format
    fact.left_indent, fact.first_line_indent = Mm(FACT_MM), Mm(-FACT_MM)
    fact.tab_stops.add_tab_stop(Mm(FACT_MM))
    styles["Command"].font.name = MONOSPACE
    levels = styles["Caption"].element.get_or_add_pPr()
    levels.insert_element_before(OxmlElement("w:outlineLvl", {qn("w:val"): "1"}), "w:divId", "w:rPr")
    styles.element.append(parse_xml(TABLE_STYLE))


def turn(document: Document, *, landscape: bool) -> None:
    """A new page the other way, unless this one lies so already; an empty document is turned as it is."""
    wanted = WD_ORIENT.LANDSCAPE if landscape else WD_ORIENT.PORTRAIT
    if document.sections[-1].orientation != wanted:
        empty = len(document.element.body) == 1  # its page alone
        page = document.sections[-1] if empty else document.add_section(WD_SECTION.NEW_PAGE)
        page.orientation = wanted
        page.page_width, page.page_height = page.page_height, page.page_width


def packed(document: Document) -> bytes:
    """The file with its members in a fixed order and without times."""
    raw, out = BytesIO(), BytesIO()
    document.save(raw)
    with zipfile.ZipFile(raw) as old, zipfile.ZipFile(out, "w") as new:
        for name in sorted(old.namelist(), key=lambda n: (n != "[Content_Types].xml", n != "_rels/.rels", n)):
            member = zipfile.ZipInfo(name, EPOCH.timetuple()[:6])
            member.compress_type, member.create_system = zipfile.ZIP_DEFLATED, 0
            new.writestr(member, old.read(name), compresslevel=6)
    return out.getvalue()
