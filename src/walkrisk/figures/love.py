"""Love plots: standardised differences of covariates before and after weighting, a row each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from walkrisk.estimates.numbers import fixed
from walkrisk.figures import render as r
from walkrisk.figures import spoken
from walkrisk.figures.drawn import remembered
from walkrisk.figures.scales import nice_step, spaced_ticks, tick_texts
from walkrisk.figures.svg import Tip

_ROW_IN, _LABEL_IN, _NUMBERS_IN, _LEGEND_IN, _HANDLE_IN = 0.165, 2.6, 0.24, 0.22, 0.16
_INDENT_IN = 0.1
_BEFORE, _AFTER = "#D55E00", r.BLUE


@dataclass(frozen=True, slots=True, kw_only=True)
class LoveRow:
    """A covariate or a level of it with its standardised differences, None where there are none; without either of
    them a heading."""

    label: str
    before: float | None = None
    after: float | None = None
    indent: bool = False


@remembered
def love_figure(
    rows: Sequence[LoveRow],
    *,
    before: str = "Before weighting",
    after: str = "After weighting",
    x_label: str = "Absolute standardised difference",
    limit: float = 0.1,
    simulated: bool = False,
    title: str = "",
    width: r.Width = "double",
) -> Figure:
    """Absolute differences of all rows on one axis, circles before and squares after weighting, a line at `limit`."""
    with r.styled():
        page_in = r.WIDTHS_IN[width]
        label_in = min(_LABEL_IN, 0.45 * page_in)
        texts = [r.wrap(row.label, label_in - (_INDENT_IN if row.indent else 0.0) - 0.05, r.SMALL_PT) for row in rows]
        heights = [_ROW_IN + (len(text) - 1) * r.line_in(r.SMALL_PT) for text in texts]
        height = sum(heights)
        foot, line_in = r.wrap(x_label, page_in - label_in), r.line_in(r.TEXT_PT)
        foot_in = len(foot) * line_in + 0.05
        content = height + _NUMBERS_IN + foot_in + _LEGEND_IN + r.MARGIN_IN
        figure = r.page(content, title=title, simulated=simulated, width_in=page_in)
        left, plot_in = r.MARGIN_IN + label_in, page_in - 2 * r.MARGIN_IN - label_in - 0.1
        bottom = r.MARGIN_IN / 2 + _LEGEND_IN + foot_in + _NUMBERS_IN
        ax = r.axes_at(figure, left, bottom, plot_in, height)
        places, top = [], height  # the middle of each row above the axis, in inches
        for i, (row, text, own) in enumerate(zip(rows, texts, heights, strict=True)):
            places.append(top - own / 2)
            if i % 2:
                edge = (r.MARGIN_IN, bottom + top - own, left + plot_in - r.MARGIN_IN, own)
                r.box(figure, *edge, facecolor=r.ZEBRA, edgecolor="none")
            indent = _INDENT_IN if row.indent else 0.0
            r.put(figure, r.MARGIN_IN + indent, bottom + places[-1], text, size=r.SMALL_PT)
            top -= own
        for values, marker, colour, filled in (
            ([row.before for row in rows], "o", _BEFORE, False),
            ([row.after for row in rows], "s", _AFTER, True),
        ):
            known = [(abs(v), y) for v, y in zip(values, places, strict=True) if v is not None]
            ax.plot(
                [v for v, _ in known],
                [y for _, y in known],
                linestyle="none",
                marker=marker,
                markersize=3.8,
                color=colour,
                markerfacecolor=colour if filled else "white",
                zorder=4,
                clip_on=False,
            )
        largest = max([limit, *(abs(v) for row in rows for v in (row.before, row.after) if v is not None)])
        ax.set_xlim(0, largest * 1.06)
        ax.set_ylim(0, height)
        ticks = spaced_ticks((0, largest * 1.06), nice_step((0, largest * 1.06), at_most=max(int(plot_in / 0.45), 2)))
        ax.set_xticks(ticks, tick_texts(ticks))
        ax.set_yticks([])
        ax.axvline(limit, color=r.RULE, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
        ax.patch.set_alpha(0.0)
        r.put(figure, left + plot_in / 2, bottom - _NUMBERS_IN - len(foot) * line_in / 2, foot, align="center")
        _legend(figure, min(left, _legend_left(page_in, before, after)), before, after)
        figure.tips += _tips(rows, places, heights, (left, bottom, plot_in), before, after)
        figure.alt = spoken.of_love(rows, before=before, after=after, x_label=x_label, limit=limit)
    return figure


def _tips(
    rows: Sequence[LoveRow],
    places: Sequence[float],
    heights: Sequence[float],
    plot: tuple[float, float, float],
    before: str,
    after: str,
) -> Iterator[Tip]:
    left, bottom, width = plot
    heading = ""
    for row, middle, own in zip(rows, places, heights, strict=True):
        heading = heading if row.indent else row.label
        said = [
            f"{words} {fixed(abs(v), 3)}" for words, v in ((before, row.before), (after, row.after)) if v is not None
        ]
        if said:
            name = f"{heading}, {row.label}" if row.indent else row.label
            yield Tip(left, bottom + middle - own / 2, width, own, f"{name}: {'; '.join(said).lower()}")


def _legend_left(page_in: float, before: str, after: str) -> float:
    """How far to the right the legend may start."""
    signs = 2 * (_HANDLE_IN + 0.06) + 0.3
    words = r.text_width(before, r.SMALL_PT) + r.text_width(after, r.SMALL_PT)
    return max(page_in - 2 * r.MARGIN_IN - signs - words, r.MARGIN_IN)


def _legend(figure: Figure, left: float, before: str, after: str) -> None:
    y, x = r.MARGIN_IN / 2 + _LEGEND_IN / 2, left
    for label, marker, colour, face in ((before, "o", _BEFORE, "white"), (after, "s", _AFTER, _AFTER)):
        figure.add_artist(
            Line2D(
                [x + _HANDLE_IN / 2],
                [y],
                linestyle="none",
                marker=marker,
                markersize=3.8,
                color=colour,
                markerfacecolor=face,
                transform=figure.dpi_scale_trans,
            )
        )
        r.put(figure, x + _HANDLE_IN + 0.06, y, [label], size=r.SMALL_PT)
        x += _HANDLE_IN + 0.06 + r.text_width(label, r.SMALL_PT) + 0.3
