"""Heat maps of ratios: cells coloured on a log scale around 1, each with its number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from walkrisk.figures import render as r
from walkrisk.figures import spoken
from walkrisk.figures.drawn import remembered
from walkrisk.figures.svg import Tip

FloatArray = npt.NDArray[np.float64]

_TITLE_GAP_IN, _NUMBERS_IN, _BETWEEN_IN = 0.07, 0.2, 0.2
_LEFT_IN, _RIGHT_IN = 0.52, 0.06
_CELL_IN = 0.3  # height, and least width for which a number is written into a cell
_LEAST_SPAN = math.log(1.25)  # of the colours, so that small differences stay pale
_COLOURS = LinearSegmentedColormap.from_list("walkrisk ratios", ["#0072B2", "#FFFFFF", "#D55E00"])
_NOTHING = "#EDEDED"
_HATCH = "////"  # of ratios above 1, as both ends of the colours are alike in grey


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatPanel:
    """Ratios (rows, columns), NaN where impossible; `strong` (rows, columns) cells have a frame and bold numbers."""

    title: str
    x_names: Sequence[str]
    y_names: Sequence[str]
    values: FloatArray
    texts: Sequence[Sequence[str]]
    strong: npt.NDArray[np.bool_]


@remembered
def heat_map_figure(
    panels: Sequence[HeatPanel],
    *,
    x_label: str,
    y_label: str,
    key: str = "",
    simulated: bool = False,
    title: str = "",
    width: r.Width = "double",
) -> Figure:
    """Panels side by side as many as leave room for the numbers, the first row of each at the bottom."""
    with r.styled():
        widest = max(len(p.x_names) for p in panels)
        room = r.WIDTHS_IN[width] - 2 * r.MARGIN_IN
        columns = max(1, min(len(panels), 3, int((room + _BETWEEN_IN) / (_LEFT_IN + _RIGHT_IN + widest * 0.32))))
        across = (room - (columns - 1) * _BETWEEN_IN) / columns
        plot = min(across - _LEFT_IN - _RIGHT_IN, 0.55 * widest)
        rows = [range(i, min(i + columns, len(panels))) for i in range(0, len(panels), columns)]
        titles = [r.wrap(p.title, across, r.TEXT_PT, bold=True) for p in panels]
        labels = r.wrap(x_label, across)
        heads = [max(len(titles[i]) for i in row) * r.line_in(r.TEXT_PT) + _TITLE_GAP_IN for row in rows]
        heights = [max(len(panels[i].y_names) for i in row) * _CELL_IN for row in rows]
        foot = _NUMBERS_IN + len(labels) * r.line_in(r.TEXT_PT) + _BETWEEN_IN / 2
        hatched = "Hatched: above 1." if any((p.values > 1).any() for p in panels) else ""
        said = r.wrap(" ".join(k for k in (key, hatched) if k), room, r.SMALL_PT)
        content = sum(heads) + sum(heights) + foot * len(rows) + len(said) * r.line_in(r.SMALL_PT) + r.MARGIN_IN
        figure = r.page(content, title=title, simulated=simulated, width_in=r.WIDTHS_IN[width])
        span = max([_LEAST_SPAN, *(abs(math.log(v)) for p in panels for v in p.values.ravel() if v > 0)])
        top = content
        for row, head, height in zip(rows, heads, heights, strict=True):
            for i in row:
                left = r.MARGIN_IN + (i - row.start) * (across + _BETWEEN_IN)
                r.put(figure, left, top - (head - _TITLE_GAP_IN) / 2, titles[i], bold=True)
                place = left + _LEFT_IN, top - head - height, plot, height
                _draw(figure, panels[i], place, span, y_label)
                figure.tips += _tips(panels[i], place, x_label, y_label)
                middle = top - head - height - _NUMBERS_IN - len(labels) * r.line_in(r.TEXT_PT) / 2
                r.put(figure, left + _LEFT_IN + plot / 2, middle, labels, align="center")
            top -= head + height + foot
        if said:
            r.put(figure, r.MARGIN_IN, r.MARGIN_IN / 2 + len(said) * r.line_in(r.SMALL_PT) / 2, said, size=r.SMALL_PT)
        figure.alt = spoken.of_heat_map(panels, x_label=x_label, y_label=y_label, key=key)
    return figure


def _tips(panel: HeatPanel, place: tuple[float, float, float, float], x_label: str, y_label: str) -> Iterator[Tip]:
    left, bottom, width, height = place
    across, up = width / len(panel.x_names), height / len(panel.y_names)
    for i, y_name in enumerate(panel.y_names):
        for j, x_name in enumerate(panel.x_names):
            if panel.texts[i][j]:
                text = f"{y_label} {y_name}, {x_label} {x_name}: {panel.texts[i][j]}"
                yield Tip(left + j * across, bottom + i * up, across, up, text)


def _draw(
    figure: Figure, panel: HeatPanel, place: tuple[float, float, float, float], span: float, y_label: str
) -> None:
    ax = r.axes_at(figure, *place)
    height, width = panel.values.shape
    cell = place[2] / width
    for i in range(height):
        for j in range(width):
            value = panel.values[i, j]
            known = math.isfinite(value) and value > 0
            share = 0.5 + math.log(value) / (2 * span) if known else 0.5
            colour = _COLOURS(share) if known else _NOTHING
            above = _HATCH if known and value > 1 else None
            ax.add_patch(Rectangle((j, i), 1, 1, facecolor=colour, edgecolor="white", linewidth=0.8, hatch=above))
            if known and panel.strong[i, j]:
                corner = (j + 0.06, i + 0.06)
                ax.add_patch(Rectangle(corner, 0.88, 0.88, facecolor="none", edgecolor=r.INK, linewidth=0.9))
            if cell >= _CELL_IN * 0.9:
                ax.text(
                    j + 0.5,
                    i + 0.47,
                    panel.texts[i][j],
                    size=r.SMALL_PT,
                    weight="bold" if known and panel.strong[i, j] else "normal",
                    color="white" if known and abs(share - 0.5) > 0.36 else r.INK,
                    ha="center",
                    va="center",
                )
    ax.set_xlim(0, width)
    ax.set_ylim(0, height)
    ax.set_xticks([j + 0.5 for j in range(width)], list(panel.x_names))
    ax.set_yticks([i + 0.5 for i in range(height)], list(panel.y_names))
    ax.tick_params(length=0, pad=2)
    for side in ax.spines.values():
        side.set_visible(False)
    ax.set_ylabel("\n".join(r.wrap(y_label, place[3])), labelpad=2)
