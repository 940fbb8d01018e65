"""The participant flow: who came in, who left at each step and why, who was analysed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from walkrisk.cohorts.eligibility import FlowStep
from walkrisk.figures import render as r
from walkrisk.figures import spoken
from walkrisk.figures.drawn import remembered
from walkrisk.figures.scales import n_text

_WIDEST_IN = 3.15  # of a box
_GAP_IN: dict[r.Width, float] = {
    "single": 0.3,
    "double": 0.6,
}  # between the boxes of those who stay and those who leave
_PAD_IN = 0.1  # between a box and its text
_SPACE_IN = 0.09  # above and below a box on the right
_LINK_IN = 0.3  # from the first box to the last when there are no steps

Lines = list[str]


@remembered
def flow_figure(
    steps: Sequence[FlowStep],
    *,
    n_start: int,
    n_analysed: int,
    events: int | None = None,
    event_word: str = "",
    simulated: bool = False,
    min_cell: int = 5,
    title: str = "",
    width: r.Width = "double",
    start_word: str = "Participants",
    analysed_word: str = "Analysed",
) -> Figure:
    """Boxes downwards with the people left, boxes to the right with those excluded; the height follows the steps.

    `events` None leaves their line out. Counts of 1 to min_cell - 1 in the last box read n < min_cell; a step that
    excludes so few must have been merged with another before.
    """
    with r.styled():
        page_in = r.WIDTHS_IN[width]
        widest = min(_WIDEST_IN, (page_in - 2 * r.MARGIN_IN - _GAP_IN[width]) / 2)
        last = [f"{analysed_word}: {n_text(n_analysed, min_cell=min_cell)}"]
        if events is not None:
            last.append(f"{event_word or 'Events'}: {n_text(events, min_cell=min_cell)}")
        stay = [_lines(f"{start_word}: {n_text(n_start)}", widest, bold=True)]
        stay += [_lines(f"{n_text(s.n_after)}", widest) for s in steps[:-1]]
        stay.append([line for text in last for line in _lines(text, widest, bold=True)])
        leave = [_lines(f"{s.reason}: {n_text(s.n_excluded)}", widest) for s in steps]
        figure = _drawn(stay, leave, title=title, simulated=simulated, page_in=page_in, gap_in=_GAP_IN[width])
        figure.alt = spoken.of_flow(steps, n_start=n_start, last=last, start_word=start_word)
        return figure


def _drawn(
    stay: Sequence[Lines], leave: Sequence[Lines], *, title: str, simulated: bool, page_in: float, gap_in: float
) -> r.Page:
    """Boxes as wide as their longest line, in the middle of the page."""
    links = [_box_in(lines) + 2 * _SPACE_IN for lines in leave] or [_LINK_IN]
    height = sum(_box_in(lines) for lines in stay) + sum(links) + 2 * r.MARGIN_IN
    figure = r.page(height, title=title, simulated=simulated, width_in=page_in)
    left_in, right_in = _width(stay, bold=True), _width(leave)
    left = (page_in - left_in - (gap_in + right_in if leave else 0)) / 2
    right, top = left + left_in + gap_in, height - r.MARGIN_IN
    for i, lines in enumerate(stay):
        ends = i in (0, len(stay) - 1)
        _box(figure, lines, left=left, width=left_in, middle=top - _box_in(lines) / 2, bold=ends, align="center")
        top -= _box_in(lines)
        if i < len(links):
            centre, middle = left + left_in / 2, top - links[i] / 2
            _arrow(figure, (centre, top), (centre, top - links[i]))
            if leave:
                _arrow(figure, (centre, middle), (right, middle))
                _box(figure, leave[i], left=right, width=right_in, middle=middle)
            top -= links[i]
    return figure


def _lines(text: str, widest_in: float, *, bold: bool = False) -> Lines:
    """The text in lines that a box holds."""
    return r.wrap(text, widest_in - 2 * _PAD_IN, bold=bold)


def _width(boxes: Sequence[Lines], *, bold: bool = False) -> float:
    """Width of a box that holds the longest line of all boxes."""
    return max((r.text_width(line, r.TEXT_PT, bold) for lines in boxes for line in lines), default=0) + 2 * _PAD_IN


def _box_in(lines: Lines) -> float:
    return len(lines) * r.line_in(r.TEXT_PT) + 1.3 * _PAD_IN


def _box(
    figure: Figure,
    lines: Lines,
    *,
    left: float,
    width: float,
    middle: float,
    bold: bool = False,
    align: Literal["left", "center"] = "left",
) -> None:
    height = _box_in(lines)
    paper = r.ZEBRA if bold else "white"
    r.box(figure, left, middle - height / 2, width, height, facecolor=paper, edgecolor=r.RULE, linewidth=0.8)
    x = left + (width / 2 if align == "center" else _PAD_IN)
    r.put(figure, x, middle, lines, bold=bold, align=align)


def _arrow(figure: Figure, start: tuple[float, float], end: tuple[float, float]) -> None:
    arrow = FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=7, shrinkA=0, shrinkB=0, linewidth=0.8)
    arrow.set(color=r.QUIET, transform=figure.dpi_scale_trans)
    figure.add_artist(arrow)
