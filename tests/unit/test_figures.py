"""Figures: the same bytes for the same input, nothing clipped or on top of each other, and what each sign means."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from walkrisk.cohorts.eligibility import FlowStep
from walkrisk.errors import UsageFault
from walkrisk.estimates.numbers import count
from walkrisk.estimates.results import HistogramBin
from walkrisk.estimates.rows import CurvePoint
from walkrisk.figures import curve_panel, scales
from walkrisk.figures.curves import CurvePanel, dose_response_figure
from walkrisk.figures.flow import flow_figure
from walkrisk.figures.forest import ForestCell, ForestRow, forest_figure
from walkrisk.figures.render import FORMATS, STAMP, WIDTH_IN, Width, render, styled, text_width, wrap

LONG = "A label of sixty characters, as long as labels of rows come!"


# ---------------------------------------------------------------- what is drawn
def point(x: float, estimate: float, low: float, high: float) -> CurvePoint:
    return CurvePoint(
        analysis="main", exposure="volume", stratum="", model="adjusted", x=x, estimate=estimate, conf_low=low,
        conf_high=high, reference=50.0,
    )  # fmt: skip


def points(width: float = 0.002) -> list[CurvePoint]:
    """A falling curve through 1 at 50, with an interval that widens away from it."""
    out = []
    for x in np.arange(10.0, 301.0, 2.0):
        log, half = -0.004 * (x - 50), width * abs(x - 50)
        out.append(point(float(x), math.exp(log), math.exp(log - half), math.exp(log + half)))
    return out


def bins(counts: dict[int, int]) -> list[HistogramBin]:
    return [HistogramBin(exposure="volume", low=low, high=low + 30, n=n) for low, n in counts.items()]


BINS = bins({10: 3, 40: 400, 70: 12_000, 100: 900, 130: 300, 160: 40, 190: 6, 220: 4, 250: 0, 280: 1})
PANEL = CurvePanel(
    label="A", exposure="Walking volume", unit="min/day", points=points(), bins=BINS, reference=50.0,
    knots=(40.0, 90.0, 150.0), x_tick=30.0, note="P for non-linearity = .03",
)  # fmt: skip


def flow_steps(n: int, reason: str = "No valid day") -> list[FlowStep]:
    before = [20_000 - 700 * i for i in range(n)]
    return [FlowStep(f"step{i}", reason, b, 700, b - 700) for i, b in enumerate(before)]


def cell(estimate: float, low: float, high: float) -> ForestCell:
    return ForestCell(estimate=estimate, conf_low=low, conf_high=high, counts="345/2 737")


def joint_groups() -> list[ForestRow]:
    rows = []
    for volume in range(1, 5):
        rows.append(ForestRow(label=f"Volume Q{volume}"))
        for intensity in range(1, 5):
            ratio = 1.1 - 0.02 * volume * intensity
            rows.append(ForestRow(label=f"Intensity Q{intensity}", cells=(cell(ratio, ratio / 1.3, ratio * 1.3),)))
    return rows


AWKWARD_ROWS = [
    ForestRow(label=LONG),
    ForestRow(label=LONG, cells=(cell(1.0, 0.01, 90.0), ForestCell(counts="0/12"))),
    ForestRow(label="far right", cells=(cell(55.0, 3.0, 9000.0), None)),
    ForestRow(label="far left", cells=(cell(0.002, 0.0001, 0.05), cell(0.9, 0.8, 1.02))),
    ForestRow(label="no end", cells=(cell(1.2, 0.0, math.inf), ForestCell(text="not estimable (no cases)"))),
    ForestRow(label="Q1", cells=(ForestCell(reference=True, estimate=1.0), ForestCell(reference=True))),
]

FIGURES = {
    "curves": lambda: dose_response_figure([PANEL, replace(PANEL, label="B")], title="Dose-response", simulated=True),
    "one curve": lambda: dose_response_figure([PANEL]),
    "long names": lambda: dose_response_figure(
        [replace(PANEL, exposure=LONG, note=LONG), replace(PANEL, label="B")] * 2,
        title=f"{LONG} {LONG} {LONG}",
        y_label="Hazard ratio of an outcome with a long name",
        histogram_label="Participants who wore an accelerometer",
        simulated=True,
    ),
    "no curve": lambda: dose_response_figure([replace(PANEL, points=()), CurvePanel(exposure="Nothing")]),
    "no people": lambda: dose_response_figure([replace(PANEL, bins=bins({10: 0, 40: 0})), replace(PANEL, bins=())]),
    "wide band": lambda: dose_response_figure([replace(PANEL, points=points(0.05))]),
    "end of axis": lambda: dose_response_figure([replace(PANEL, x_min=40.0, x_max=200.0), PANEL]),
    "narrow ticks": lambda: dose_response_figure([replace(PANEL, x_tick=1.0), replace(PANEL, x_tick=None)]),
    "no panels": lambda: dose_response_figure([]),
    "flow": lambda: flow_figure(
        flow_steps(6), n_start=20_000, n_analysed=15_800, events=1634, event_word="Chronic illness", simulated=True
    ),
    "flow of 12": lambda: flow_figure(
        flow_steps(12, f"{LONG} {LONG}"), n_start=20_000, n_analysed=11_600, events=3, event_word=LONG, title=LONG
    ),
    "flow without steps": lambda: flow_figure([], n_start=120, n_analysed=120),
    "joint groups": lambda: forest_figure(joint_groups(), panels=["Joint groups"], counts_header="Cases/total"),
    "awkward rows": lambda: forest_figure(
        AWKWARD_ROWS,
        panels=[LONG, "Intensity"],
        title=f"{LONG} {LONG}",
        x_label="Hazard ratio per 500 steps a day (95% confidence interval)",
        label_header="Quartile, against the first",
        counts_header="Cases/total",
        simulated=True,
    ),
    "three panels": lambda: forest_figure(
        [ForestRow(label=f"Algorithm {i}", cells=(cell(0.95 - i / 100, 0.9, 0.99),) * 3) for i in range(7)],
        panels=["Steps", "Cadence", "Minutes"],
        counts_header="Cases/total",
    ),
    "no rows": lambda: forest_figure([], panels=["Volume"]),
}


def laid_out(figure: Figure) -> dict[Text, Bbox]:
    """Every visible text and the rectangle it takes, in pixels."""
    with styled():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        shown = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
        return {t: t.get_window_extent(canvas.get_renderer()) for t in shown}


@cache
def made(name: str) -> tuple[Figure, dict[Text, Bbox]]:
    figure = FIGURES[name]()
    return figure, laid_out(figure)


def words(figure: Figure) -> list[str]:
    return [t.get_text().replace("\u00a0", " ") for t in laid_out(figure)]


# ---------------------------------------------------------------- all figures
@pytest.mark.parametrize("name", FIGURES)
def test_no_text_leaves_the_figure_and_none_stands_on_another(name: str) -> None:
    figure, texts = made(name)
    page = figure.bbox
    for text, place in texts.items():
        inside = page.x0 <= place.x0 and place.x1 <= page.x1 and page.y0 <= place.y0 and place.y1 <= page.y1
        assert inside, f"{text.get_text()!r} is clipped: {place}"
    for (one, a), (other, b) in combinations(texts.items(), 2):
        shared = Bbox.intersection(a, b)
        assert shared is None or shared.width < 1 or shared.height < 1, f"{one.get_text()!r} on {other.get_text()!r}"


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_legible(name: str) -> None:
    assert all(text.get_fontsize() >= 7 for text in made(name)[1])


@pytest.mark.parametrize(
    ("name", "fmt"), [("curves", "pdf"), *((n, f) for n in ("flow", "awkward rows") for f in ("svg", "png"))]
)
def test_the_same_input_gives_the_same_bytes(name: str, fmt: str) -> None:
    assert render(FIGURES[name](), fmt) == render(FIGURES[name](), fmt)


def test_a_figure_rendered_again_gives_the_same_bytes() -> None:
    figure = FIGURES["curves"]()
    first = render(figure, "svg")
    render(figure, "png")
    assert render(figure, "svg") == first


def test_another_process_gives_the_same_bytes_without_pyplot() -> None:
    script = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1]); import test_figures as t\n"
        "for f in t.FORMATS: print(hashlib.sha256(t.render(t.FIGURES['curves'](), f)).hexdigest())\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    here = [hashlib.sha256(render(FIGURES["curves"](), fmt)).hexdigest() for fmt in FORMATS]
    assert done.stdout.split() == [*here, "False"]


def test_the_users_settings_neither_change_a_figure_nor_are_changed() -> None:
    plain = render(FIGURES["curves"](), "svg")
    with matplotlib.rc_context({"font.size": 20, "axes.grid": True, "text.parse_math": True, "savefig.bbox": "tight"}):
        before = {k: v for k, v in matplotlib.rcParams.items() if k != "backend"}
        assert render(FIGURES["curves"](), "svg") == plain
        assert {k: v for k, v in matplotlib.rcParams.items() if k != "backend"} == before


@pytest.mark.parametrize("fmt", FORMATS)
def test_bytes_tell_neither_date_nor_program(fmt: str) -> None:
    head = render(FIGURES["one curve"](), fmt)
    for word in (b"CreationDate", b"<dc:date>", b"<dc:creator>", b"/Producer", b"/Creator", b"Software"):
        assert word not in head


def test_png_has_300_dots_an_inch() -> None:
    figure = FIGURES["flow"]()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        content = render(figure, "png")
    width = int.from_bytes(content[16:20], "big")
    assert width == int(WIDTH_IN * 300)


def test_another_format_is_a_usage_fault() -> None:
    with pytest.raises(UsageFault, match="svg, png, pdf"):
        render(FIGURES["flow without steps"](), "tiff")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        lambda simulated: dose_response_figure([PANEL], simulated=simulated),
        lambda simulated: flow_figure(flow_steps(2), n_start=20_000, n_analysed=18_600, simulated=simulated),
        lambda simulated: forest_figure(joint_groups(), panels=["Joint"], simulated=simulated),
    ],
)
def test_only_simulated_data_are_stamped(make: object) -> None:
    assert STAMP in words(make(True))  # type: ignore[operator]
    assert STAMP not in words(make(False))  # type: ignore[operator]


def test_money_and_mathematics_are_plain_text() -> None:
    figure = forest_figure([ForestRow(label="$25 to $50 a_b", cells=(cell(1.0, 0.9, 1.1),))], panels=["Income"])
    assert "$25 to $50 a_b" in words(figure)
    render(figure, "svg")


# ---------------------------------------------------------------- words and numbers
def test_wrapped_lines_fit_and_lose_nothing() -> None:
    with styled():
        lines = wrap(f"{LONG} {'x' * 60}", 1.5)
        assert all(text_width(line) <= 1.5 for line in lines)
    kept = str.maketrans("", "", " -")
    assert "".join(lines).translate(kept) == f"{LONG}{'x' * 60}".translate(kept)
    assert wrap("", 1.0) == []


def test_a_word_is_broken_with_a_hyphen_and_leaves_three_letters_or_more() -> None:
    with styled():
        room = text_width("secondar")
        assert wrap("Upper secondary", room) == ["Upper", "second-", "ary"]
        assert wrap("1234567890", text_width("12345")) == ["12345", "67890"]


@pytest.mark.parametrize(
    ("n", "text"),
    [(0, "0"), (7, "7"), (2798, "2798"), (9999, "9999"), (11194, "11\u202f194"), (1234567, "1\u202f234\u202f567")],
)
def test_counts_have_groups_from_five_digits(n: int, text: str) -> None:
    assert count(n) == text


@pytest.mark.parametrize(("n", "text"), [(0, "n = 0"), (1, "n < 5"), (4, "n < 5"), (5, "n = 5")])
def test_small_counts_are_not_told(n: int, text: str) -> None:
    assert scales.n_text(n, min_cell=5).replace("\u00a0", " ") == text


def test_ratios_as_text() -> None:
    assert scales.ratio_text(0.87, 0.77, 0.98) == "0.87 (0.77-0.98)"
    assert scales.ratio_text(55.0, 3.0, 9000.4) == "55.00 (3.00-9000)"
    assert scales.ratio_text(1.0, None, None) == "1.00"
    assert scales.ratio_text(1.2, 0.0, math.inf) == "1.20 (0.00-∞)"


@pytest.mark.parametrize(
    ("limits", "ticks"),
    [
        ((0.45, 2.2), [0.5, 0.6, 0.7, 0.8, 1, 1.2, 1.5, 2]),
        ((0.3, 4.5), [0.3, 0.5, 0.7, 1, 1.5, 2, 3]),
        ((0.05, 20.0), [0.1, 0.3, 1, 3, 10]),
        ((0.86, 1.03), [0.9, 0.95, 1.0]),
        ((0.95, 1.03), [0.96, 0.98, 1.0, 1.02]),
    ],
)
def test_ticks_of_a_ratio_axis_are_round(limits: tuple[float, float], ticks: list[float]) -> None:
    assert scales.ratio_ticks(limits, length_in=3.0, apart_in=0.15) == ticks


def test_ticks_stand_apart() -> None:
    for limits in [(0.5, 1.4), (0.1, 10.0), (0.9, 1.05), (0.02, 3.0)]:
        ticks = scales.ratio_ticks(limits, length_in=1.3, apart_in=0.225)
        assert len(ticks) >= 2
        assert (np.diff(np.log(ticks)) / math.log(limits[1] / limits[0]) * 1.3 >= 0.225).all()


def test_tick_labels_in_plain_digits() -> None:
    assert scales.tick_texts([2.8, 3.0, 3.2]) == ["2.8", "3.0", "3.2"]
    assert scales.tick_texts([0.5, 0.7, 1.0, 1.5]) == ["0.5", "0.7", "1", "1.5"]
    assert scales.spaced_ticks((14.2, 100.0), 30.0) == [30.0, 60.0, 90.0]


def test_limits_of_a_ratio_axis() -> None:
    def limits(estimate: float, low: float, high: float) -> tuple[float, float]:
        return scales.ratio_limits(np.asarray([estimate]), np.asarray([low]), np.asarray([high]))

    bottom, top = limits(0.8, 0.7, 0.9)
    assert 0.6 < bottom < 0.7
    assert 1 < top < 1.1  # 1 is always there
    bottom, top = limits(1.0, 0.01, 90.0)  # a wide interval leaves the axis
    assert 0.15 < bottom < 0.25
    assert 4 < top < 6
    assert limits(math.nan, math.nan, math.nan) == (0.5, 2.0)


# ---------------------------------------------------------------- curves
def test_bars_of_few_people_are_not_drawn() -> None:
    def drawn(min_cell: int) -> list[float]:
        bars = dose_response_figure([PANEL], min_cell=min_cell).axes[0].patches
        return [b.get_height() for b in bars if isinstance(b, Rectangle)]

    assert drawn(5) == [400, 12_000, 900, 300, 40, 6]
    assert drawn(7) == [400, 12_000, 900, 300, 40]
    assert drawn(0) == [3, 400, 12_000, 900, 300, 40, 6, 4, 1]


def test_tails_of_a_curve_start_where_the_outer_percents_of_people_do() -> None:
    panel = replace(
        PANEL, bins=bins({0: 1, 30: 49, 60: 49, 90: 1}), points=[point(x, 1, 1, 1) for x in (10, 50, 80, 100)]
    )
    assert curve_panel.central_of(panel) == (30.0, 90.0)
    x = curve_panel.curve_of(panel)[0]
    assert [(x[s].tolist(), c) for s, c in curve_panel.parts_of(x, (30.0, 90.0))] == [
        ([50, 80], True),
        ([10, 50], False),
        ([80, 100], False),
    ]
    assert curve_panel.central_of(replace(PANEL, bins=())) == (-math.inf, math.inf)


def test_a_wide_band_leaves_the_panel_but_the_curve_stays() -> None:
    figure = dose_response_figure([replace(PANEL, points=points(0.05))])
    bottom, top = figure.axes[1].get_ylim()
    low, high = curve_panel.central_of(PANEL)
    inside = [p for p in PANEL.points if low <= p.x <= high]
    assert bottom < min(p.estimate for p in inside) <= 1 < top
    bands = [c for c in figure.axes[1].collections if isinstance(c, PolyCollection)]
    assert max(c.get_paths()[0].vertices[:, 1].max() for c in bands) > top  # drawn as it is, cut by the axes


def test_panels_share_their_scale_and_end_where_told() -> None:
    figure = dose_response_figure([replace(PANEL, x_max=200.0), replace(PANEL, points=points(0.01))])
    assert figure.axes[1].get_ylim() == figure.axes[3].get_ylim()
    assert figure.axes[1].get_yscale() == "log"
    assert figure.axes[1].get_xlim() == (10.0, 200.0)
    assert max(line.get_xdata()[-1] for line in figure.axes[1].lines if len(line.get_xdata()) > 3) <= 200.0
    assert figure.axes[1].get_xticks().tolist() == [30, 60, 90, 120, 150, 180]


def test_a_panel_without_a_curve_says_so() -> None:
    assert words(dose_response_figure([replace(PANEL, points=())])).count("No curve could be fitted") == 1
    assert "No curve could be fitted" not in words(dose_response_figure([PANEL]))
    unknown = [point(x, math.nan, math.nan, math.nan) for x in (10.0, 20.0)]
    assert "No curve could be fitted" in words(dose_response_figure([replace(PANEL, points=unknown)]))


def test_the_legend_names_only_what_is_there() -> None:
    def legend(panel: CurvePanel) -> list[str]:
        found = dose_response_figure([panel]).legends
        return [t.get_text() for t in found[0].get_texts()] if found else []

    tails = "Below the 1st or above the 99th percentile"
    assert legend(PANEL) == ["Risk ratio", "95% CI", tails, "Reference", "Knots", "Participants"]
    assert legend(replace(PANEL, knots=(), reference=None, bins=())) == ["Risk ratio", "95% CI"]
    assert legend(CurvePanel(exposure="Nothing")) == []


# ---------------------------------------------------------------- flow
def test_every_text_of_the_flow_stands_in_its_box() -> None:
    figure, texts = made("flow of 12")
    boxes = [p.get_window_extent() for p in figure.findobj(Rectangle) if p is not figure.patch]
    assert len(boxes) == 12 + 13
    for text, place in texts.items():
        if text.get_text() != LONG or text.get_fontsize() < 9:
            around = [b for b in boxes if b.x0 < place.x0 and place.x1 < b.x1 and b.y0 < place.y0 and place.y1 < b.y1]
            assert len(around) == 1, text.get_text()
    assert not any(
        Bbox.intersection(a, b) is not None and Bbox.intersection(a, b).height > 0 for a, b in combinations(boxes, 2)
    )


def test_the_flow_tells_who_came_left_and_stayed() -> None:
    said = words(FIGURES["flow"]())
    assert said.count("No valid day: n = 700") == 6
    assert "Participants: n = 20\u202f000" in said
    assert [t for t in said if t.startswith("n = ")] == [f"n = {count(20_000 - 700 * i)}" for i in range(1, 6)]
    assert {"Analysed: n = 15\u202f800", "Chronic illness: n = 1634"} <= set(said)
    few = words(
        flow_figure(flow_steps(1), n_start=20_000, n_analysed=19_300, events=4, event_word="Deaths", min_cell=5)
    )
    assert "Deaths: n < 5" in few


def test_the_height_of_the_flow_follows_its_steps() -> None:
    heights = [flow_figure(flow_steps(n), n_start=20_000, n_analysed=1).get_size_inches()[1] for n in (1, 6, 12)]
    assert heights[1] - heights[0] == pytest.approx(5 / 6 * (heights[2] - heights[1]))


# ---------------------------------------------------------------- forest
def markers(figure: Figure, panel: int = 0) -> list[str]:
    return [line.get_marker() for line in figure.axes[panel].lines if line.get_marker() not in ("None", None)]


def test_intervals_end_in_arrowheads_only_where_they_leave_the_axis() -> None:
    row = [ForestRow(label="Q2", cells=(cell(1.0, 0.9, 1.1),))]
    assert markers(forest_figure(row, panels=["Volume"])) == ["s"]
    wide = [ForestRow(label="Q2", cells=(cell(1.0, 0.01, 90.0),))]
    assert markers(forest_figure(wide, panels=["Volume"])) == ["<", ">", "s"]
    assert markers(forest_figure(row, panels=["Volume"], x_limits=(0.95, 2.0))) == ["<", "s"]
    assert markers(forest_figure(row, panels=["Volume"], x_limits=(1.05, 2.0))) == ["<"]


def test_what_could_not_be_estimated_is_said_and_not_drawn() -> None:
    rows = [ForestRow(label="Q2", cells=(ForestCell(counts="0/12"), None))]
    figure = forest_figure(rows, panels=["Volume", "Intensity"])
    assert markers(figure, 0) == markers(figure, 1) == []
    assert words(figure).count("not estimable") == 1


def test_a_reference_is_an_open_circle_at_one() -> None:
    figure = forest_figure([ForestRow(label="Q1", cells=(ForestCell(reference=True),))], panels=["Volume"])
    assert markers(figure) == ["o"]
    assert "1 (reference)" in words(figure)


def test_the_callers_text_stands_as_it_is() -> None:
    rows = [ForestRow(label="Q2", cells=(replace(cell(0.875, 0.7, 1.1), text="0.88 (0.70-1.10)"),))]
    assert "0.88 (0.70-1.10)" in words(forest_figure(rows, panels=["Volume"]))


def test_marks_are_seen_on_the_pale_ground(tmp_path: Path) -> None:
    figure = forest_figure(joint_groups(), panels=["Joint groups"])
    (tmp_path / "forest.png").write_bytes(render(figure, "png"))
    pixels = imread(tmp_path / "forest.png")
    axes = figure.axes[0]
    marks = [line for line in axes.lines if line.get_marker() == "s"]
    assert len(marks) == 16
    for mark in marks:
        x, y = axes.transData.transform(mark.get_xydata()[0]) * 300 / figure.dpi
        red, _, blue = pixels[pixels.shape[0] - round(y), round(x)]
        assert blue > 0.5 > red


def test_panels_that_the_page_does_not_hold_stand_below_one_another() -> None:
    def tops(width: Width) -> list[float]:
        rows = [ForestRow(label="Q2", cells=(replace(cell(0.9, 0.8, 1.0), counts=""),) * 3)]
        axes = forest_figure(rows, panels=["Steps", "Cadence", "Minutes"], width=width).axes
        return [round(a.get_position().y1, 6) for a in axes]

    assert len(set(tops("double"))) == 1
    assert len(set(tops("single"))) == 3
    assert words(FIGURES["three panels"]()).count("Algorithm 0") == 2  # with counts no more than two side by side
