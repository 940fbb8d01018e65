"""The look all figures share, and a figure turned into bytes. No pyplot, and no global style is left changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Figure  # for rooms ahead, which may not import matplotlib
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from walkrisk.errors import UsageFault
from walkrisk.figures.fonts import FAMILIES, known
from walkrisk.figures.scales import FloatArray
from walkrisk.figures.svg import Tip, standalone

Format = Literal["svg", "png", "pdf"]
FORMATS: tuple[Format, ...] = ("svg", "png", "pdf")

Width = Literal["single", "double"]
WIDTHS_IN: Mapping[Width, float] = {"single": 88 / 25.4, "double": 180 / 25.4}  # one and two columns of a journal
WIDTH_IN = WIDTHS_IN["double"]
MARGIN_IN = 0.08
LINE_HEIGHT = 1.3  # in font sizes
STAMP = "SIMULATED DATA"
STAMP_IN = 0.21
_DPI = 300

TITLE_PT, TEXT_PT, SMALL_PT = 9.0, 8.0, 7.0
FEWEST_LETTERS = 3  # of a broken word on its last line

# Okabe and Ito's colours, which stay apart in colour-blind eyes, and greys.
BLUE = "#0072B2"
INK = "#1A1A1A"
QUIET = "#595959"
RULE = "#8C8C8C"
BAR = "#DADADA"
BAR_EDGE = "#9A9A9A"  # tells bars from a band in grey
ZEBRA = "#F3F3F3"
STAMP_PAPER = "#FFF0CC"
STAMP_INK = "#6B4200"

STYLE: Mapping[str, Any] = {
    "font.family": list(FAMILIES),
    "font.size": TEXT_PT,
    "text.color": INK,
    "text.parse_math": False,
    "text.usetex": False,
    "text.hinting": "no_hinting",  # a line is as wide in pixels as in svg and pdf
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "axes.labelsize": TEXT_PT,
    "axes.linewidth": 0.6,
    "axes.unicode_minus": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": SMALL_PT,
    "ytick.labelsize": SMALL_PT,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "legend.fontsize": SMALL_PT,
    "legend.frameon": False,
    "savefig.facecolor": "white",
    "hatch.linewidth": 0.5,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "walkrisk",
    "pdf.fonttype": 42,
    "pdf.compression": 6,
}
_NOT_STYLE = ("backend", "backend_fallback", "interactive", "toolbar")
_NO_PROVENANCE: Mapping[str, Mapping[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


class Page(Figure):
    """A figure with what it shows in words (`alt`), and what readers are told who point at its parts (`tips`)."""

    alt: str
    tips: list[Tip]


@contextmanager
def styled() -> Iterator[None]:
    """Matplotlib's own defaults with the house style on top, whatever the user's settings; all is put back after."""
    known()
    settings: dict[Any, Any] = {k: v for k, v in matplotlib.rcParamsDefault.items() if k not in _NOT_STYLE}
    with matplotlib.rc_context(settings | dict(STYLE)):
        yield


def render(figure: Figure, fmt: Format, *, title: str = "", alt: str = "") -> bytes:
    """A figure as svg, png (300 dpi) or pdf; the same figure gives the same bytes, without dates or program names.

    Text is text in svg and pdf, with the glyphs it needs. All three carry `title` and `alt`, what the picture shows in
    words (without them the figure's own). Raises UsageFault for another format.
    """
    if fmt not in FORMATS:
        raise UsageFault([f"A figure can be {', '.join(FORMATS)}, not {fmt!r}."])
    title = title or str(figure.get_label())
    alt = alt or words_of(figure)
    if fmt == "png":
        return _png(figure, {"Title": title, "Description": alt})
    metadata: dict[str, str | None] = dict(_NO_PROVENANCE[fmt])
    if fmt == "pdf":
        metadata |= {name: words for name, words in (("Title", title), ("Subject", alt)) if words}
    drawn = _saved(figure, fmt, metadata=metadata)
    if fmt == "pdf":
        return drawn
    tips = figure.tips if isinstance(figure, Page) else ()
    return standalone(drawn.decode("utf-8"), title=title, desc=alt, tips=tips).encode("utf-8")


def words_of(figure: Figure) -> str:
    """What a figure of this room shows, in a few sentences; empty for another."""
    return figure.alt if isinstance(figure, Page) else ""


def _saved(figure: Figure, fmt: str, **options: Any) -> bytes:
    out = BytesIO()
    with styled():
        figure.savefig(out, format=fmt, dpi=_DPI, **options)
    return out.getvalue()


def _png(figure: Figure, said: Mapping[str, str]) -> bytes:
    """Without the transparency that no figure has, and packed less hard: half the time, and a smaller file."""
    width, height = (int(inches * _DPI) for inches in figure.get_size_inches())
    image = Image.frombytes("RGBA", (width, height), _saved(figure, "raw")).convert("RGB")
    info = PngInfo()
    for name, words in said.items():
        if words:
            info.add_itxt(name, words)
    out = BytesIO()
    image.save(out, "png", dpi=(_DPI, _DPI), pnginfo=info, compress_level=3)
    return out.getvalue()


def page(content_in: float, *, title: str = "", simulated: bool = False, width_in: float = WIDTH_IN) -> Page:
    """An empty figure whose content area is `content_in` inches high from the bottom; title and stamp stand above it.

    Positions in it are inches from the lower left corner.
    """
    lines = wrap(title, width_in - 2 * MARGIN_IN, TITLE_PT, bold=True)
    title_in = len(lines) * line_in(TITLE_PT) + (MARGIN_IN if lines else 0)
    height_in = content_in + title_in + (STAMP_IN + MARGIN_IN / 2 if simulated else MARGIN_IN)
    figure = Page(figsize=(width_in, height_in), dpi=100, facecolor="white", label=title)
    figure.alt, figure.tips = "", []
    if simulated:
        box(figure, 0, height_in - STAMP_IN, width_in, STAMP_IN, facecolor=STAMP_PAPER, edgecolor="none")
        stamp_y = height_in - STAMP_IN / 2
        put(figure, width_in / 2, stamp_y, [STAMP], size=TEXT_PT, bold=True, align="center", color=STAMP_INK)
    put(figure, MARGIN_IN, content_in + title_in / 2, lines, size=TITLE_PT, bold=True)
    return figure


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes whose frame has this lower left corner and size in inches."""
    w, h = figure.get_size_inches()
    return figure.add_axes((left / w, bottom / h, width / w, height / h))


def put(
    figure: Figure,
    x: float,
    y: float,
    lines: Sequence[str],
    *,
    size: float = TEXT_PT,
    bold: bool = False,
    align: Literal["left", "center", "right"] = "left",
    color: str = INK,
) -> None:
    """Lines of text, one below the other, centred on the height `y` (inches)."""
    step = line_in(size)
    baseline = y + step * (len(lines) - 1) / 2 - 0.36 * size / 72
    for i, line in enumerate(lines):
        figure.text(
            x,
            baseline - i * step,
            line,
            size=size,
            weight="bold" if bold else "normal",
            ha=align,
            va="baseline",
            color=color,
            transform=figure.dpi_scale_trans,
        )


def box(figure: Figure, left: float, bottom: float, width: float, height: float, **style: Any) -> None:
    """A rectangle in inches, behind all else."""
    place = figure.dpi_scale_trans
    figure.add_artist(Rectangle((left, bottom), width, height, transform=place, zorder=-1, **style))


def rule(figure: Figure, left: float, y: float, right: float) -> None:
    """A thin line across, in inches."""
    figure.add_artist(Line2D([left, right], [y, y], color=RULE, linewidth=0.6, transform=figure.dpi_scale_trans))


def line_in(size: float) -> float:
    """Height of a line of text of `size` points, in inches."""
    return LINE_HEIGHT * size / 72


@lru_cache(maxsize=4096)
def text_width(text: str, size: float = TEXT_PT, bold: bool = False) -> float:
    """Width of a line of text in inches."""
    known()
    font = FontProperties(family=FAMILIES, size=size, weight="bold" if bold else "normal")
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / 72


def wrap(text: str, width_in: float, size: float = TEXT_PT, bold: bool = False) -> list[str]:
    """Text broken at spaces into lines of at most `width_in` inches; a word longer than a line is broken too, between
    letters with a hyphen."""
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size, bold) <= width_in:
            lines[-1] = longer
            continue
        lines.append(word)
        while len(lines[-1]) > 1 and text_width(lines[-1], size, bold) > width_in:
            whole = lines[-1]
            starts = [(i, whole[:i] + "-" * whole[i - 1 : i + 1].isalpha()) for i in range(2, len(whole))]
            fits = [(i, start) for i, start in starts if text_width(start, size, bold) <= width_in]
            several = [fit for fit in fits if len(whole) - fit[0] >= FEWEST_LETTERS]
            end, start = max(several or fits, default=(1, whole[:1]))
            lines[-1:] = [start, whole[end:]]
    return [line for line in lines if line]


def spread(at_in: FloatArray, apart_in: float) -> list[int]:
    """Places in order of size, as many as stand `apart_in` inches or more from one another."""
    kept: list[int] = []
    for i, place in enumerate(at_in):
        if not kept or place - at_in[kept[-1]] >= apart_in:
            kept.append(i)
    return kept


def between(at_in: FloatArray, width_in: float) -> FloatArray:
    """Edges of strips that tile a width, each around one of these places."""
    if not len(at_in):
        return np.zeros(1)
    return np.concatenate([[0.0], (at_in[1:] + at_in[:-1]) / 2, [width_in]])
