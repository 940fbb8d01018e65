"""Every kind of figure at both widths of a journal: what holds for all of them."""

from __future__ import annotations

import base64
import math
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from functools import cache
from io import BytesIO
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from walkrisk.cohorts.eligibility import FlowStep
from walkrisk.estimates.results import HistogramBin
from walkrisk.estimates.rows import CurvePoint
from walkrisk.figures import fonts, panels, spoken
from walkrisk.figures.contours import ContourLine, ContourPanel, Marked, contour_figure
from walkrisk.figures.curves import CurvePanel, dose_response_figure
from walkrisk.figures.flow import FlowGroup, flow_figure
from walkrisk.figures.forest import ForestCell, ForestRow, forest_figure
from walkrisk.figures.heat_map import HeatPanel, heat_map_figure
from walkrisk.figures.love import LoveRow, love_figure
from walkrisk.figures.panels import Mark, Panel, panel_figure
from walkrisk.figures.render import WIDTHS_IN, Page, Width, render, styled
from walkrisk.figures.specification import DecisionRows, shares_figure, specification_figure
from walkrisk.figures.svg import inline

LONG = "A label that takes more than one line on a narrow page, as labels of covariates do"
VOLUME, INTENSITY = "Walking volume: Q4 (>126 min/day)", "Walking intensity: Q4 (>3.26 MET/min)"


def point(x: float, ratio: float, factor: float) -> CurvePoint:
    return CurvePoint(
        analysis="main",
        exposure="volume",
        stratum="",
        model="adjusted",
        x=x,
        estimate=ratio,
        conf_low=ratio / factor,
        conf_high=ratio * factor,
        reference=50.0,
    )


def made_panel() -> CurvePanel:
    at = [float(x) for x in np.arange(20.0, 201.0, 2.0)]
    points = [point(x, math.exp(-0.004 * (x - 50)), math.exp(0.002 * abs(x - 50))) for x in at]
    bins = [
        HistogramBin(exposure="volume", low=x, high=x + 20, n=n)
        for x, n in zip(range(20, 200, 20), (3, 9, 40, 300, 90, 40, 20, 6, 2), strict=False)
    ]
    return CurvePanel(
        exposure="Walking volume", unit="min/day", label="A", points=points, bins=bins, reference=50.0,
        knots=(40.0, 90.0), note="P for non-linearity = .03",
    )  # fmt: skip


def curves(width: Width) -> Page:
    panel = made_panel()
    return dose_response_figure([panel, panel, panel], title="Dose-response", simulated=True, width=width)


def flow(width: Width) -> Page:
    steps = [
        FlowStep(f"s{i}", LONG if i == 2 else "No valid day", 9000 - 700 * i, 700, 8300 - 700 * i) for i in range(4)
    ]
    return flow_figure(
        steps,
        n_start=9000,
        n_analysed=6200,
        events=840,
        event_word="Chronic illness",
        width=width,
        groups=[FlowGroup(label=f"Q{i}", n=None if i == 3 else 1550, events=4 if i == 2 else 210) for i in range(1, 5)],
        groups_word="Walking volume",
        events_word="Cases",
    )


def forest(width: Width) -> Page:
    def cell(ratio: float) -> ForestCell:
        return ForestCell(estimate=ratio, conf_low=ratio / 1.3, conf_high=ratio * 1.3, counts="345/2737")

    rows = [
        ForestRow(label="Women"),
        ForestRow(label="Q2", cells=(cell(0.9), cell(1.1))),
        ForestRow(label=LONG, cells=(cell(0.7), None)),
        ForestRow(label="Men"),
        ForestRow(label="Q2", cells=(ForestCell(estimate=1.0, reference=True), ForestCell())),
    ]
    return forest_figure(rows, panels=[VOLUME, INTENSITY], counts_header="Cases/total", width=width)


def heat_map(width: Width) -> Page:
    values = np.exp(np.linspace(-0.7, 0.4, 30)).reshape(5, 6)
    values[4, 0] = np.nan
    panel = HeatPanel(
        title="Ratio with the outcome 2", x_names=[f"{v:.1f}" for v in np.arange(1, 7) / 10], values=values,
        y_names=[f"{v:.1f}" for v in np.arange(1, 6) / 10], strong=values > 0.95,
        texts=[[f"{v:.2f}" if v == v else "" for v in row] for row in values],
    )  # fmt: skip
    key = "Framed and bold: the interval holds 1. Grey: impossible."
    return heat_map_figure([panel] * 3, x_label="Prevalence in Q4", y_label="Prevalence in Q1", key=key, width=width)


def contours(width: Width) -> Page:
    x = np.geomspace(1.2, 6, 40)
    lines = [
        ContourLine(kind="estimate", x=x, y=1 + 0.5 / (x - 1)),
        ContourLine(kind="limit", x=x, y=1 + 0.2 / (x - 1)),
        ContourLine(kind="contour", x=x, y=1 + 4 / (x - 1), label="1.20"),
    ]
    marks = [Marked(number=1, x=2.0, y=1.4), Marked(number=2, x=1.2, y=1.1), Marked(number=3, x=1.25, y=1.1)]
    return contour_figure(
        [ContourPanel(title=VOLUME, lines=lines, marks=marks, largest=6.0)] * 2,
        x_label="Ratio of confounder and exposure", y_label="Ratio of confounder and outcome",
        key=["Age", "Smoking", "Household income, USD/year"], width=width,
        lines=[("contour", "adjusted ratio, as written on the line"), ("estimate", "the estimate comes to 1")],
    )  # fmt: skip


def specification(width: Width) -> Page:
    ratios = np.exp(np.linspace(-0.5, -0.1, 24))[::-1]
    every = np.arange(24)
    decisions = [
        DecisionRows(title="Adjustment", options=["none", LONG], own=1, taken=every % 2, beside=["0.80", "0.78"]),
        DecisionRows(title="Groups", options=["thirds", "linear", "log"], own=0, taken=every % 3, beside=["", "0.8"]),
    ]
    return specification_figure(
        ratios, ratios / 1.2, ratios * 1.2, decisions, own=5, median=0.75, y_label="Ratio (log scale)", width=width,
        title="Specification curve: Walking volume",
    )  # fmt: skip


def shares(width: Width) -> Page:
    names = ["Adjustment", LONG, "Interactions of decisions"]
    return shares_figure(
        names,
        [("Walking volume", [0.8, 0.15, 0.05]), ("Walking intensity", [0.6, None, 1.0])],
        x_label="Share of variance, %",
        width=width,
    )


def love(width: Width) -> Page:
    rows = [
        LoveRow(label="Age", before=-0.21, after=0.02),
        LoveRow(label="Education"),
        LoveRow(label=LONG, before=0.05, after=0.01, indent=True),
    ]
    return love_figure(rows, width=width, simulated=True)


def panel(width: Width) -> Page:
    x = np.geomspace(0.5, 2.0, 9)
    marks = [
        Mark(kind="band", x=x, low=x * 0.8, high=x * 1.2),
        Mark(kind="line", x=x, y=x, label="k in the category"),
        Mark(kind="line", x=x, y=1 / x, label="k in the reference, as it was answered", colour=1),
    ]
    plain = Panel(
        title=VOLUME,
        x_label="k times the odds of those lost",
        y_label="Ratio",
        marks=marks,
        log_x=True,
        log_y=True,
        horizontal=[(1.0, "")],
        vertical=[(1.0, "as measured")],
    )
    return panel_figure([plain, plain, plain], width=width)


def distributions(width: Width) -> Page:
    shares_ = [
        Mark(kind="dots", x=[0, 1], y=[0.31234, 0.68766], label="Known"),
        Mark(kind="dots", x=[0, 1], y=[0.5, None], label="Imputed", colour=1),
    ]
    steps = [
        Mark(kind="steps", x=[0, 1, 2], y=[0.1, 0.7, 0.2], label="Known"),
        Mark(kind="bars", x=[0, 1, 2], y=[12, 17, 6], label="Imputed", colour=1),
    ]
    made = [
        Panel(
            title="Employment", x_label="Level", y_label="Share", marks=shares_, x_names=["Employed", "Not employed"]
        ),
        Panel(title="Body mass index", x_label="kg/m²", y_label="Density", marks=steps),
    ]
    return panel_figure(made * 2, columns=4, height_in=1.0, width=width)


KINDS: dict[str, Callable[[Width], Page]] = {
    f.__name__: f for f in (curves, flow, forest, heat_map, contours, specification, shares, love, panel, distributions)
}
EVERY = [(name, width) for name in KINDS for width in WIDTHS_IN]
COUNTED = {"flow"}  # kinds whose numbers are counts of people, all of them large here


@cache
def made(name: str, width: Width = "double") -> Page:
    return KINDS[name](width)


@cache
def picture(name: str, width: Width = "double") -> str:
    return render(made(name, width), "svg").decode()


@cache
def laid_out(name: str, width: Width) -> dict[Text, Bbox]:
    figure = made(name, width)
    with styled():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        shown = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
        return {t: t.get_window_extent(canvas.get_renderer()) for t in shown}


# ---------------------------------------------------------------- the page
@pytest.mark.parametrize(("name", "width"), EVERY)
def test_no_text_is_clipped_small_or_on_another(name: str, width: Width) -> None:
    page, texts = made(name, width).bbox, laid_out(name, width)
    assert texts
    for text, place in texts.items():
        assert text.get_fontsize() >= 7
        inside = page.x0 <= place.x0 and place.x1 <= page.x1 and page.y0 <= place.y0 and place.y1 <= page.y1
        assert inside, f"{text.get_text()!r} is clipped: {place}"
    for (one, a), (other, b) in combinations(texts.items(), 2):
        shared = Bbox.intersection(a, b)
        assert shared is None or shared.width < 1 or shared.height < 1, f"{one.get_text()!r} on {other.get_text()!r}"


@pytest.mark.parametrize(("name", "width"), EVERY)
def test_a_figure_is_as_wide_as_a_column_or_two(name: str, width: Width) -> None:
    millimetres = 25.4 * made(name, width).get_size_inches()[0]
    low, high = {"single": (84, 89), "double": (174, 180)}[width]
    assert low <= round(millimetres, 6) <= high


# ---------------------------------------------------------------- in words
@pytest.mark.parametrize("name", KINDS)
def test_a_figure_says_what_it_shows(name: str) -> None:
    alt = made(name).alt
    assert 60 < len(alt) <= spoken.MOST
    assert alt[0].isupper()
    assert alt.endswith((".", "…"))
    assert "None" not in alt
    assert "nan" not in alt
    assert made(name, "single").alt == alt


def test_words_have_the_main_numbers() -> None:
    assert "against 50 min/day: 1.02 (1.01-1.02) at 46, 0.80 (0.71-0.89) at 106 and 0.62" in made("curves").alt
    assert "Chronic illness: n = 840" in made("flow").alt
    assert "from 0.70 (0.54-0.91)" in made("forest").alt
    assert "Main analysis: 0.83 (0.69-1.00)" in made("specification").alt
    assert "the estimate comes to 1 where both are 1.71" in made("contours").alt
    assert "Before weighting: up to 0.21 (Age), 1 beyond the line." in made("love").alt
    assert "k in the category: 0.50 at 0.5, 2.00 at 2" in made("panel").alt


def test_the_flow_ends_with_those_analysed_by_exposure() -> None:
    said = [t.get_text().replace("\u00a0", " ") for t in laid_out("flow", "double")]
    assert [said.count(words) for words in ("Q4", "n = 1550", "n not reported", "Cases: 210", "Cases: <5")] == [
        1,
        3,
        1,
        3,
        1,
    ]
    assert (
        "By Walking volume: Q1, n = 1550, Cases: 210; Q2, n = 1550, Cases: <5; Q3, n not reported" in made("flow").alt
    )
    many = [FlowGroup(label=f"Q{i}", n=900) for i in range(1, 9)]
    narrow = flow_figure([], n_start=7200, n_analysed=7200, groups=many, width="single")
    assert "Q8" not in {t.get_text() for t in narrow.texts}


def test_many_distributions_are_told_apart_by_marks() -> None:
    marks = [Mark(kind="steps", x=[0, 1, 2], y=[1, 2 + i, 1], label=f"Q{i}", colour=i) for i in range(3)]
    axes = panel_figure([Panel(title="Weights", x_label="Weight", y_label="People, %", marks=marks)]).axes[0]
    assert [line.get_marker() for line in axes.lines] == ["o", "s", "^"]
    assert axes.lines[0].get_xdata().tolist() == [0.5, 1.5, 2.5]


def test_a_rug_marks_percentiles_and_no_person() -> None:
    panel = made_panel()
    figure = dose_response_figure([panel], people="rug")
    (rug,) = [line for line in figure.axes[1].lines if line.get_marker() == "|"]
    assert len(rug.get_xdata()) == 19
    assert np.interp(50, range(5, 100, 5), rug.get_xdata()) == pytest.approx(93.53, abs=0.01)
    assert not figure.axes[0].patches
    assert "Percentiles 5, 10, ..., 95" in {t.get_text() for t in figure.legends[0].get_texts()}
    bare = dose_response_figure([panel], people="none")
    assert not any(line.get_marker() == "|" for line in bare.axes[1].lines)


def test_distributions_are_left_to_the_eye() -> None:
    figure = made("distributions")
    assert not re.search(r"\d\.\d", figure.alt)
    assert figure.tips == []


# ---------------------------------------------------------------- marks that tell values
@pytest.mark.parametrize(("name", "width"), EVERY)
def test_marks_lie_on_the_page(name: str, width: Width) -> None:
    figure = made(name, width)
    right, top = figure.get_size_inches()
    for tip in figure.tips:
        assert tip.width > 0
        assert tip.height > 0
        assert tip.left >= -0.1
        assert tip.left + tip.width <= right + 0.1
        assert tip.bottom >= -0.1
        assert tip.bottom + tip.height <= top
        assert ": " in tip.text
    assert bool(figure.tips) == (name not in ("flow", "shares", "distributions"))


def test_marks_say_what_is_drawn() -> None:
    def texts(name: str) -> list[str]:
        return [tip.text for tip in made(name).tips]

    assert "60 min/day: 0.96 (0.94-0.98)" in texts("curves")
    assert "Women, Q2: 0.90 (0.69-1.17)" in [t.removesuffix(" 345/2737") for t in texts("forest")]
    assert "Prevalence in Q1 0.1, Prevalence in Q4 0.1: 0.50" in texts("heat_map")
    assert "1, Age: 2.00 across, 1.40 up" in texts("contours")
    assert "19 of 24, main analysis: 0.83 (0.69-1.00)" in texts("specification")
    assert "Age: before weighting 0.210; after weighting 0.020" in texts("love")
    assert "1: k in the category 1.00 (0.80-1.20); k in the reference, as it was answered 1.00" in texts("panel")


def test_a_dot_among_points_of_a_line_keeps_its_strip() -> None:
    x = [0.01 * i for i in range(301)]
    marks = [
        Mark(kind="line", x=x, y=x, label="line"),
        Mark(kind="dots", x=[1.005, 2.0], y=[5, 6], label="dots", colour=1),
    ]
    figure = panel_figure([Panel(title="t", x_label="x", y_label="y", marks=marks)], width="single")
    assert any(tip.text == "2.0: line 2; dots 6" for tip in figure.tips)
    assert min(tip.width for tip in figure.tips) > 0.01


def test_strips_tile_their_panel_each_around_its_value() -> None:
    figure = made("curves")
    axes = figure.axes[1]
    place = axes.get_window_extent().transformed(figure.dpi_scale_trans.inverted())
    strips = [t for t in figure.tips if t.left < place.x1 and abs(t.bottom - place.y0) < 0.01]
    assert len(strips) > 40
    assert strips[0].left == pytest.approx(place.x0)
    assert strips[-1].left + strips[-1].width == pytest.approx(place.x1)
    for strip, after in pairwise(strips):
        assert strip.left + strip.width == pytest.approx(after.left)
    for strip in strips:
        value = float(strip.text.partition(" ")[0])
        x = figure.dpi_scale_trans.inverted().transform(axes.transData.transform((value, 1.0)))[0]
        assert strip.left - 1e-6 <= x <= strip.left + strip.width + 1e-6


def test_words_are_whole_sentences_and_not_many() -> None:
    assert spoken.limited(["one two.", "x" * 600, "three."]) == "One two."
    assert len(spoken.limited(["word " * 200])) <= spoken.MOST
    assert spoken.listed(["a", "b", "c"]) == "a, b and c"
    assert spoken.listed(list("abcdefg")) == "a, b, c, d and 3 more"
    marks = [
        Mark(kind="line", x=[1, 2, 3], y=[1, 3, 1], label=f"A line of a long name {i}", colour=i) for i in range(4)
    ]
    figure = panel_figure([Panel(title=f"{LONG} {i}", x_label="x", y_label="y", marks=marks) for i in range(2)])
    assert figure.alt.count("A line of") == 4  # the first two of each panel, where there is no room for all
    assert len(figure.alt) <= 500


@pytest.mark.parametrize("name", KINDS)
def test_marks_are_never_painted(name: str) -> None:
    marks = re.findall(r'<g fill="none" pointer-events="all">(.*?)</g>', picture(name))
    rects = re.findall(r"<rect [^>]*>", "".join(marks))
    assert len(rects) == len(made(name).tips) == picture(name).count("data-tip=")
    assert not any("style=" in r or "fill=" in r or "stroke" in r for r in rects)


# ---------------------------------------------------------------- text as text, with its font
@pytest.mark.parametrize("name", KINDS)
def test_svg_keeps_text_as_text_and_brings_every_glyph(name: str) -> None:
    root = ET.fromstring(picture(name))
    space = "{http://www.w3.org/2000/svg}"
    texts = list(root.iter(f"{space}text"))
    said = {"".join(t.itertext()) for t in texts}
    drawn = {line for t in laid_out(name, "double") for line in t.get_text().split("\n")}
    assert {t.strip() for t in drawn} <= {t.strip() for t in said}
    style = root.find(f"{space}style")
    assert style is not None
    faces = re.findall(r"font-weight:(\d+);src:url\(data:font/woff;base64,([^)]*)\)", str(style.text))
    glyphs = {weight: set(TTFont(BytesIO(base64.b64decode(data))).getBestCmap()) for weight, data in faces}
    for text in texts:
        assert {ord(c) for c in "".join(text.itertext())} <= glyphs[text.get("font-weight", "400")]
    assert "Verdana" in str(root.get("font-family"))
    assert root.find(f"{space}desc").text == made(name).alt  # type: ignore[union-attr]


def test_the_licence_goes_with_the_font() -> None:
    data = re.search(r"base64,([^)]*)\)", picture("flow"))
    assert data is not None
    names = {n.nameID: n.toUnicode() for n in TTFont(BytesIO(base64.b64decode(data[1])))["name"].names}
    assert "Permission is hereby granted" in names[13]
    assert "Bitstream" in names[0]
    assert "Vera" not in names[1]


def test_the_font_is_cut_from_the_one_that_comes_with_matplotlib() -> None:
    for bold, file in fonts._FILES.items():
        kept, anew = TTFont(fonts._FOLDER / file), TTFont(BytesIO(fonts.lean(bold=bold)))
        assert kept.getBestCmap().keys() == anew.getBestCmap().keys()
        assert {ord(c) for c in fonts._LEAN} <= kept.getBestCmap().keys()
        for code, glyph in kept.getBestCmap().items():
            other = anew.getBestCmap()[code]
            assert kept["glyf"][glyph] == anew["glyf"][other]
            assert kept["hmtx"][glyph] == anew["hmtx"][other]


def test_letters_that_the_font_lacks_are_drawn_by_the_whole_one() -> None:
    figure = panel_figure([Panel(title="Ходьба", x_label="x", y_label="y", marks=[])])
    assert "Ходьба" in render(figure, "svg").decode()
    assert b"DejaVuSans-Bold" in render(figure, "pdf").replace(b"DejaVuSansLean", b"")


@pytest.mark.parametrize("name", ["curves", "specification"])
def test_pdf_holds_text_and_no_type_3_font(name: str, tmp_path: Path) -> None:
    content = render(made(name), "pdf", title="A title")
    assert b"/Type3" not in content
    assert b"/FontFile2" in content
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext (poppler) reads the text back, and is not here")
    (tmp_path / "figure.pdf").write_bytes(content)
    read = subprocess.run(["pdftotext", str(tmp_path / "figure.pdf"), "-"], capture_output=True, text=True, check=True)
    words = {"curves": "Walking volume, min/day", "specification": "Specifications, from the smallest to the largest"}
    assert words[name] in read.stdout


# ---------------------------------------------------------------- within a page
def test_pictures_of_one_page_share_no_id() -> None:
    page = "".join(inline(picture(n).encode(), id=f"figure_{n}", title=n, alt="In <words> & 5 > 3") for n in KINDS)
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([^")]*)', page)) <= set(ids)
    for outside in ("<?xml", "<!DOCTYPE", "@font-face", "<style", "xlink", "<metadata"):
        assert outside not in page
    assert page.count('role="img"') == len(KINDS)
    assert 'aria-labelledby="figure_flow-title figure_flow-desc"' in page
    assert "In &lt;words&gt; &amp; 5 &gt; 3</desc>" in page
    assert page.count("data-tip=") == sum(len(made(n).tips) for n in KINDS)
    ET.fromstring(f"<page>{page}</page>")


@pytest.mark.parametrize(("width", "begins"), [("single", '<svg class="narrow" xmlns'), ("double", "<svg xmlns")])
def test_a_page_is_told_which_pictures_are_as_wide_as_one_column(width: Width, begins: str) -> None:
    assert inline(picture("flow", width).encode(), id="flow", title="Flow", alt="Words").startswith(begins)


def test_the_page_font_holds_what_figures_say() -> None:
    faces = re.findall(r"base64,([^)]*)\)", fonts.page_font())
    assert len(faces) == 2
    said = {c for n in KINDS for t in laid_out(n, "double") for c in t.get_text() if c.isprintable()}
    for data in faces:
        assert {ord(c) for c in said} <= TTFont(BytesIO(base64.b64decode(data))).getBestCmap().keys()
    assert fonts.page_font() == fonts.face(fonts._LEAN) + fonts.face(fonts._LEAN, bold=True)


# ---------------------------------------------------------------- without colour
def luminance(colour: str) -> float:
    def linear(c: float) -> float:
        return c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(c) for c in to_rgb(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_lines_and_dots_differ_in_more_than_colour() -> None:
    looks = list(zip(panels.DASHES, panels.DOTS, strict=True))
    assert len(panels.COLOURS) == len(set(map(str, panels.DASHES))) == len(set(panels.DOTS)) == len(looks)


def test_bands_and_what_lies_on_them_are_told_apart_in_grey() -> None:
    from walkrisk.figures import specification as s

    for dark, pale in ((s.OWN, s.INTERVAL), ("#0072B2", s.INTERVAL), ("#0072B2", "#DADADA"), ("#1A1A1A", "#DADADA")):
        light = sorted((luminance(dark), luminance(pale)))
        assert (light[1] + 0.05) / (light[0] + 0.05) > 2.2


def test_every_cell_of_a_heat_map_has_its_number() -> None:
    """Colours on both sides of 1 are alike in grey; the numbers are not."""
    for width in WIDTHS_IN:
        assert sum(bool(t.get_text()) for t in made("heat_map", width).axes[0].texts) == 29
