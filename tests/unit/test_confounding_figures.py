"""Contours and heat maps: nothing clipped, no text on another, what cannot be said is not drawn."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from walkrisk.figures.contours import ContourLine, ContourPanel, Marked, contour_figure
from walkrisk.figures.heat_map import HeatPanel, heat_map_figure
from walkrisk.figures.render import styled
from walkrisk.sensitivity.confounding import contour
from walkrisk.sensitivity.evalue import evalue


def line(target: float, kind: str = "contour", largest: float = 6.0) -> ContourLine:
    same = evalue(max(0.6 / target, target / 0.6)).point
    x = np.geomspace(same, largest, 20)
    y = contour(0.6, target, x)
    return ContourLine(
        kind=kind,  # type: ignore[arg-type]
        x=[*y[:0:-1], *x],
        y=[*x[:0:-1], *y],
        label=f"{target:.2f}" if kind == "contour" else "",
    )


def contours() -> Figure:
    rng = np.random.default_rng(3)
    marks = [
        Marked(number=i + 1, x=float(a), y=float(b))
        for i, (a, b) in enumerate(zip(np.exp(rng.exponential(0.5, 14)), np.exp(rng.exponential(0.3, 14)), strict=True))
    ]
    panel = ContourPanel(
        title="Walking volume: Q4 (>125 min/day)",
        lines=[*(line(t) for t in (0.7, 0.8, 0.9, 1.1, 1.2, 1.21, 1.5, 1.75)), line(1.0, "estimate")],
        marks=[*marks, Marked(number=15, x=40.0, y=2.0)],
        largest=6.0,
    )
    return contour_figure(
        [panel, panel],
        x_label="Ratio of confounder and exposure",
        y_label="Ratio of confounder and outcome",
        key=[f"Covariate of a long name {i}" for i in range(1, 16)],
        lines=[("contour", "adjusted ratio, as written on the line"), ("estimate", "the estimate comes to 1")],
        simulated=True,
    )


def heat_map() -> Figure:
    values = np.array([[0.5, 0.75, 1.0], [0.8, 1.25, np.nan]])
    panel = HeatPanel(
        title="Ratio with the outcome 2",
        x_names=["0.1", "0.2", "0.3"],
        y_names=["0.1", "0.5"],
        values=values,
        texts=[[f"{v:.2f}" if v == v else "" for v in row] for row in values],
        strong=np.array([[True, False, True], [False, False, False]]),
    )
    return heat_map_figure(
        [panel] * 4, x_label="Prevalence in Q4", y_label="In Q1", key="Framed: the interval holds 1."
    )


FIGURES = {"contours": contours, "heat_map": heat_map}


def laid_out(figure: Figure) -> dict[Text, Bbox]:
    with styled():
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
        texts = [t for t in figure.findobj(Text) if isinstance(t, Text) and t.get_text() and t.get_visible()]
        return {t: Text.get_window_extent(t, renderer) for t in texts}


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_is_clipped_or_stands_on_another(name: str) -> None:
    figure = FIGURES[name]()
    places = laid_out(figure)
    for text, place in places.items():
        assert min(place.x0 - figure.bbox.x0, figure.bbox.x1 - place.x1) >= 0, text.get_text()
        assert min(place.y0 - figure.bbox.y0, figure.bbox.y1 - place.y1) >= 0, text.get_text()
        assert text.get_fontsize() >= 7
    for (one, a), (other, b) in combinations(places.items(), 2):
        shared = Bbox.intersection(a, b)
        assert shared is None or shared.width < 2 or shared.height < 2, f"{one.get_text()!r} on {other.get_text()!r}"


def test_contours_without_room_for_their_number_are_not_drawn() -> None:
    figure = contours()
    texts = {t.get_text() for t in laid_out(figure)}
    ax = figure.axes[0]
    numbered = {t for t in texts if len(t) == 4 and t[1] == "."}
    drawn = [artist for artist in ax.lines if len(np.asarray(artist.get_xdata())) > 20]
    assert len(drawn) == len(numbered) + 1
    assert "1.20" in numbered
    assert "1.21" not in numbered


def test_dots_outside_the_axes_are_left_out() -> None:
    dots = next(artist for artist in contours().axes[0].lines if artist.get_marker() == "o")
    assert max(dots.get_xdata()) <= 6.0  # type: ignore[type-var]


def test_impossible_cells_have_no_number() -> None:
    figure = heat_map()
    assert len([t for t in figure.axes[0].texts if t.get_text()]) == 5
