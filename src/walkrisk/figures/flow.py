"""The participant flow: who came in, who left at each step and why, who was analysed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch

from walkrisk.cohorts.eligibility import FlowStep
from walkrisk.estimates.numbers import count
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

_BRANCH_IN = 0.42  # from the last box to those of groups
_LEAST_IN = 0.72  # of the box of a group
_BETWEEN_IN = 0.08  # of groups

Lines = list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowGroup:
    """Those analysed in one category of an exposure; None where a number is not reported."""

    label: str
    n: int | None
    events: int | None = None


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
    groups: Sequence[FlowGroup] = (),
    groups_word: str = "",
    events_word: str = "Events",
) -> Figure:
    """Boxes downwards with the people left, boxes to the right with those excluded; the height follows the steps.

    Below the last box those analysed stand by `groups` of an exposure (`groups_word`), as many as the page holds beside
    one another, or none. `events` None leaves their line out. Counts of 1 to min_cell - 1 of those analysed read
    n < min_cell; a step that excludes so few must have been merged with another before.
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
        room = (page_in - 2 * r.MARGIN_IN + _BETWEEN_IN) / max(len(groups), 1) - _BETWEEN_IN
        fits = room >= _LEAST_IN
        below = [_group_lines(g, room, events_word, min_cell) for g in groups] if fits else []
        figure = _drawn(
            stay, leave, below, groups_word, title=title, simulated=simulated, page_in=page_in, gap_in=_GAP_IN[width]
        )
        said = "; ".join(f"{g.label}, {', '.join(lines[-2:])}" for g, lines in zip(groups, below, strict=False))
        figure.alt = spoken.of_flow(
            steps, n_start=n_start, last=last, start_word=start_word, groups=f"{groups_word}: {said}" if said else ""
        )
        return figure


def _group_lines(group: FlowGroup, room: float, events_word: str, min_cell: int) -> Lines:
    """Name, people and events of a group; the last two a line each."""
    n = "n not reported" if group.n is None else n_text(group.n, min_cell=min_cell)
    few = group.events is not None and 0 < group.events < min_cell
    events = "not reported" if group.events is None else f"<{min_cell}" if few else count(group.events)
    return [*_lines(group.label, room), n, f"{events_word}: {events}"]


def _drawn(
    stay: Sequence[Lines],
    leave: Sequence[Lines],
    below: Sequence[Lines],
    below_word: str,
    *,
    title: str,
    simulated: bool,
    page_in: float,
    gap_in: float,
) -> r.Page:
    """Boxes as wide as their longest line, in the middle of the page."""
    links = [_box_in(lines) + 2 * _SPACE_IN for lines in leave] or [_LINK_IN]
    height = sum(_box_in(lines) for lines in stay) + sum(links) + 2 * r.MARGIN_IN
    height += _BRANCH_IN + max(map(_box_in, below)) if below else 0
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
    if below:
        _draw_groups(figure, below, below_word, centre=left + left_in / 2, top=top, page_in=page_in)
    return figure


def _draw_groups(
    figure: r.Page, below: Sequence[Lines], word: str, *, centre: float, top: float, page_in: float
) -> None:
    """Boxes side by side below the last one, which ends at `top`."""
    width = min(max(_width(below), _LEAST_IN), (page_in - 2 * r.MARGIN_IN + _BETWEEN_IN) / len(below) - _BETWEEN_IN)
    whole = len(below) * (width + _BETWEEN_IN) - _BETWEEN_IN
    left = min(max(centre - whole / 2, r.MARGIN_IN), page_in - r.MARGIN_IN - whole)
    middles = [left + i * (width + _BETWEEN_IN) + width / 2 for i in range(len(below))]
    branch, head = top - _BRANCH_IN / 2, top - _BRANCH_IN
    height = max(map(_box_in, below))
    r.rule(figure, min(middles[0], centre), branch, max(middles[-1], centre))
    figure.add_artist(
        Line2D([centre] * 2, [top, branch], color=r.QUIET, linewidth=0.8, transform=figure.dpi_scale_trans)
    )
    r.put(figure, centre + 0.07, top - _BRANCH_IN / 4, r.wrap(word, page_in - centre - 0.2)[:1], color=r.QUIET)
    for lines, middle in zip(below, middles, strict=True):
        _arrow(figure, (middle, branch), (middle, head))
        place = head - height / 2
        _box(figure, lines, left=middle - width / 2, width=width, middle=place, align="center", height=height)


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
    height: float | None = None,
) -> None:
    height = height or _box_in(lines)
    paper = r.ZEBRA if bold else "white"
    r.box(figure, left, middle - height / 2, width, height, facecolor=paper, edgecolor=r.RULE, linewidth=0.8)
    x = left + (width / 2 if align == "center" else _PAD_IN)
    r.put(figure, x, middle, lines, bold=bold, align=align)


def _arrow(figure: Figure, start: tuple[float, float], end: tuple[float, float]) -> None:
    arrow = FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=7, shrinkA=0, shrinkB=0, linewidth=0.8)
    arrow.set(color=r.QUIET, transform=figure.dpi_scale_trans)
    figure.add_artist(arrow)
