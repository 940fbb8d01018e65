"""What is wrong with the figures of a run: texts clipped, too small or on another, and words that say little."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from walkrisk.accounts.account import Drawing
from walkrisk.figures.render import styled

MOST = 600  # characters of what a figure says


def faults_of_layout(drawings: Iterable[Drawing]) -> list[str]:
    """Every text that is clipped, below 7 points, or on another."""
    return [f"{d.id}: {fault}" for d in drawings for fault in _layout(d.figure)]


def _layout(figure: Figure) -> Iterator[str]:
    with styled():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        shown = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
        places = {t: t.get_window_extent(canvas.get_renderer()) for t in shown}
    page = figure.bbox
    for text, place in places.items():
        if text.get_fontsize() < 7:
            yield f"{text.get_text()!r} is small"
        if not (page.x0 <= place.x0 and place.x1 <= page.x1 and page.y0 <= place.y0 and place.y1 <= page.y1):
            yield f"{text.get_text()!r} is clipped"
    for (one, a), (other, b) in combinations(places.items(), 2):
        shared = Bbox.intersection(a, b)
        if shared is not None and min(shared.width, shared.height) >= 1:
            yield f"{one.get_text()!r} stands on {other.get_text()!r}"


def faults_of_words(drawings: Iterable[Drawing], *, exposures: Iterable[str], min_cell: int) -> list[str]:
    """Figures whose words are missing, only their caption, too long, about no exposure, or tell of few people."""
    names = list(exposures)
    return [f"{d.id}: {fault}" for d in drawings for fault in _words(d, names, min_cell)]


def _words(drawing: Drawing, exposures: list[str], min_cell: int) -> Iterator[str]:
    alt = drawing.alt
    if len(alt) < 60:
        yield "says hardly anything"
    if len(alt) >= MOST:
        yield f"says {len(alt)} characters"
    if alt in (drawing.caption, f"{drawing.title}. {drawing.caption}") or drawing.caption in alt:
        yield "says its caption"
    if not any(name in alt for name in exposures):
        yield "names no exposure"
    if re.search(r"\bnan\b|\binf\b", alt):
        yield "says what is no word"
    tips = " ".join(tip.text for tip in getattr(drawing.figure, "tips", ()))
    counted = [int(n) for n in re.findall(r"\bn = (\d+)\b", f"{alt} {tips}".replace("\u202f", ""))]
    if any(0 < n < min_cell for n in counted):
        yield "tells of few people"
