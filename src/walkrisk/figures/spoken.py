"""What a picture shows in words, for those who do not see it: its parts, axes and main numbers, from what was drawn.

Heights of bars and steps, and shares of single levels, are left to the eye: their digits could tell of few people.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from walkrisk.estimates.numbers import count, fixed, ratio, ratio_interval
from walkrisk.figures.scales import FloatArray, n_text

if TYPE_CHECKING:
    from walkrisk.cohorts.eligibility import FlowStep
    from walkrisk.figures.contours import ContourPanel
    from walkrisk.figures.curve_panel import CurvePanel
    from walkrisk.figures.forest import ForestCell, ForestRow
    from walkrisk.figures.heat_map import HeatPanel
    from walkrisk.figures.love import LoveRow
    from walkrisk.figures.panels import Mark, Panel
    from walkrisk.figures.specification import DecisionRows

MOST = 500  # characters
_MOST_NAMES, _LONGEST = 4, 45


def limited(sentences: Iterable[str], most: int = MOST) -> str:
    """As many whole sentences as `most` characters hold, from the first; the first is cut where it alone is longer."""
    said = ""
    for sentence in sentences:
        longer = f"{said} {sentence}".strip()
        if said and len(longer) > most:
            break
        said = longer if len(longer) <= most else longer[: most - 1].rstrip() + "…"
    return said[:1].upper() + said[1:]


def listed(names: Sequence[str], most: int = _MOST_NAMES) -> str:
    """a, b and c; past `most` names how many more there are."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))


def shortened(name: str, most: int = _LONGEST) -> str:
    """A name cut at a space where it is long."""
    return name if len(name) <= most else f"{name[: most - 1].rpartition(' ')[0]} …"


def number(value: float) -> str:
    """Three significant digits and no more than are needed."""
    if not math.isfinite(value):
        return "unknown"
    if value == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    text = fixed(value, places)
    return text.rstrip("0").rstrip(".") if "." in text else text


def on_axis(value: float, span: float) -> str:
    """A value of an axis of this length: as many decimals as tell a hundred places apart, or more."""
    places = max(0, math.ceil(-math.log10(span / 10))) if span > 0 else 0
    return fixed(value, min(places, 4))


def ratio_of(estimate: float, low: float | None, high: float | None) -> str:
    """A ratio with its limits as a journal prints it."""
    known = low is not None and high is not None and not math.isnan(low) and not math.isnan(high)
    return ratio_interval(estimate, low, high) if known else ratio_interval(estimate, None, None)


# ---------------------------------------------------------------- participants
def of_flow(steps: Sequence[FlowStep], *, n_start: int, last: Sequence[str], start_word: str, groups: str) -> str:
    """Who came, who left and why, who was analysed."""

    def said() -> Iterator[str]:
        yield f"Flow chart from the top down. {start_word}: {n_text(n_start)}."
        left = [f"{s.reason}, {n_text(s.n_excluded)}" for s in steps]
        yield f"{', '.join(last)}."
        for i, reason in enumerate(left, start=1):
            yield f"Excluded{f' at step {i}' if len(left) > 1 else ''}: {reason}."
        if groups:
            yield f"By {groups}."

    return limited(said()).replace("\u00a0", " ")


# ---------------------------------------------------------------- ratios
def of_curves(panels: Sequence[CurvePanel], drawn: Sequence[tuple[FloatArray, ...]], *, y_label: str) -> str:
    """Each curve at three places; `drawn` are x, ratio and limits of its central part."""

    def said() -> Iterator[str]:
        names = listed([p.exposure for p in panels])
        yield f"Curves of the {y_label[:1].lower()}{y_label[1:]} on a log scale along {names}, with intervals as bands."
        for panel, (x, *ratios) in zip(panels, drawn, strict=True):
            if not len(x):
                yield f"{panel.exposure}: no curve."
                continue
            span = float(x[-1] - x[0])
            places = dict.fromkeys(int(np.argmin(np.abs(x - at))) for at in (x[0], (x[0] + x[-1]) / 2, x[-1]))
            unit = f" {panel.unit}" if panel.unit else ""
            values = [f"{ratio_of(*(float(v[i]) for v in ratios))} at {on_axis(float(x[i]), span)}" for i in places]
            against = "" if panel.reference is None else f", against {on_axis(panel.reference, span)}{unit}"
            yield f"{panel.exposure}{against}: {listed(values)}{unit}."

    return limited(said())


def of_forest(
    rows: Sequence[ForestRow], panels: Sequence[str], *, x_label: str, said_of: Sequence[Sequence[str]]
) -> str:
    """Each panel's first, smallest and largest ratio; `said_of` has the words of every cell by row and panel."""

    def said() -> Iterator[str]:
        lines = sum(bool(row.cells) for row in rows)
        yield f"Forest plot of {lines} rows: {x_label}."
        for i, panel in enumerate(panels):
            found = list(_found(rows, said_of, i))
            if not found:
                yield f"{panel}: nothing could be estimated."
                continue
            yield f"{panel}: {_extremes(found)}"
            whole = [c for c, *_ in found if c.conf_low is not None and c.conf_high is not None]
            holding = sum((c.conf_low or 0.0) <= 1 <= (c.conf_high or 0.0) for c in whole)
            if whole:
                yield f"{holding} of its {len(whole)} intervals hold 1."

    return limited(said())


def _found(
    rows: Sequence[ForestRow], said_of: Sequence[Sequence[str]], panel: int
) -> Iterator[tuple[ForestCell, str, str]]:
    heading = ""
    for row, words in zip(rows, said_of, strict=True):
        if not row.cells:
            heading = row.label
            continue
        cell = row.cells[panel] if panel < len(row.cells) else None
        if cell is not None and cell.estimate is not None and not cell.reference:
            full = f"{heading}, {row.label}" if heading else row.label
            yield cell, full if len(full) <= _LONGEST else shortened(row.label), words[panel]


def _extremes(found: Sequence[tuple[ForestCell, str, str]]) -> str:
    ordered = sorted(found, key=lambda one: one[0].estimate or 0.0)
    (_, first, value), (_, low, least), (_, high, most) = found[0], ordered[0], ordered[-1]
    if len(found) == 1:
        return f"{first} {value}."
    return f"first {first} {value}; from {least} ({low}) to {most} ({high})."


def of_heat_map(panels: Sequence[HeatPanel], *, x_label: str, y_label: str, key: str) -> str:
    """The smallest and largest ratio of each panel and where they stand."""

    def said() -> Iterator[str]:
        size = f"{len(panels[0].y_names)} rows ({y_label}) and {len(panels[0].x_names)} columns ({x_label})"
        yield f"Heat map of ratios, {len(panels)} panel{'s' * (len(panels) > 1)} of {size}."
        for panel in panels:
            known = np.isfinite(panel.values) & (panel.values > 0)
            if not known.any():
                continue
            values = np.where(known, panel.values, np.nan)
            ends = [divmod(int(f(values)), values.shape[1]) for f in (np.nanargmin, np.nanargmax)]
            words = [f"{panel.texts[i][j]} (row {panel.y_names[i]}, column {panel.x_names[j]})" for i, j in ends]
            yield f"{panel.title}: from {words[0]} to {words[1]}."
        if key:
            yield key

    return limited(said())


def of_contours(panels: Sequence[ContourPanel], *, key: Sequence[str], x_label: str, y_label: str) -> str:
    """How strong a confounder would have to be with both, and which measured covariates come near."""

    def said() -> Iterator[str]:
        yield f"Contours of the ratio that a confounder leaves, by {x_label} and {y_label}, both on log scales from 1."
        for panel in panels:
            parts = []
            for kind, words in (("estimate", "the estimate"), ("limit", "the limit of its interval")):
                size = next((on_diagonal(line.x, line.y) for line in panel.lines if line.kind == kind), None)
                if size is not None:
                    parts.append(f"{words} comes to 1 where both are {fixed(size, 2)}")
            if panel.marks:
                far = max(panel.marks, key=lambda m: m.x * m.y)
                name = key[far.number - 1] if far.number <= len(key) else str(far.number)
                parts.append(
                    f"of {len(panel.marks)} measured covariates {name} is the strongest "
                    f"({fixed(far.x, 2)} and {fixed(far.y, 2)})"
                )
            yield f"{panel.title}: {'; '.join(parts) or 'no line reaches 1'}."

    return limited(said())


def on_diagonal(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Where a line comes nearest the diagonal, at which both associations are the same; None without points."""
    best = min(zip(x, y, strict=True), key=lambda p: abs(math.log(p[0] / p[1])), default=None)
    return None if best is None else math.sqrt(best[0] * best[1])


def of_specifications(
    ratios: tuple[FloatArray, FloatArray, FloatArray],
    decisions: Sequence[DecisionRows],
    *,
    own: int | None,
    median: float,
) -> str:
    """The range of the estimates, the median, the study's own, and what varied."""
    estimate, low, high = ratios

    def said() -> Iterator[str]:
        yield (
            f"Specification curve: {count(len(estimate))} ratios in order on a log scale, from "
            f"{ratio_of(float(estimate.min()), None, None)} to {ratio_of(float(estimate.max()), None, None)} with "
            f"median {ratio_of(median, None, None)}."
        )
        if own is not None:
            yield f"Main analysis: {ratio_of(float(estimate[own]), float(low[own]), float(high[own]))}."
        known = np.isfinite(low) & np.isfinite(high)
        if known.any():
            holding = int(((low <= 1) & (high >= 1) & known).sum())
            yield f"{count(holding)} of {count(int(known.sum()))} intervals hold 1."
        if decisions:
            names = listed([f"{d.title} ({len(d.options)})" for d in decisions], 8)
            yield f"Below, which options each took, of these decisions (options): {names}."

    return limited(said())


def of_shares(names: Sequence[str], shares: Sequence[tuple[str, Sequence[float | None]]], *, x_label: str) -> str:
    """The three longest bars of each heading."""

    def said() -> Iterator[str]:
        yield f"Bars of {len(names)} decisions: {x_label}."
        for heading, values in shares:
            known = sorted(((v, n) for n, v in zip(names, values, strict=True) if v is not None), reverse=True)
            longest = [f"{name} {fixed(100 * value, 0)}" for value, name in known[:3]]
            yield f"{heading}: {f'most {listed(longest)}' if longest else 'nothing varied'}."

    return limited(said())


# ---------------------------------------------------------------- balance, and plain panels
def of_love(rows: Sequence[LoveRow], *, before: str, after: str, x_label: str, limit: float) -> str:
    """The largest difference on both sides, and how many lie beyond the limit."""

    def said() -> Iterator[str]:
        kept = [row for row in rows if row.before is not None or row.after is not None]
        yield f"Love plot of {len(kept)} covariates and levels: {x_label}, with a line at {number(limit)}."
        heading, named = "", []
        for row in rows:
            heading = row.label if not row.indent else heading
            named.append(f"{heading}: {row.label}" if row.indent else row.label)
        for words, values in ((before, [row.before for row in rows]), (after, [row.after for row in rows])):
            known = [(abs(v), name) for v, name in zip(values, named, strict=True) if v is not None]
            if known:
                largest, name = max(known)
                beyond = sum(v > limit for v, _ in known)
                yield f"{words}: up to {fixed(largest, 2)} ({name}), {beyond} beyond the line."

    return limited(said())


def of_panels(panels: Sequence[Panel]) -> str:
    """Each panel's axes and the course of its lines and dots, of as many of them as there is room for."""
    for most in (99, 2, 1):
        sentences = list(_of_panels(panels, most))
        if len(" ".join(sentences)) <= MOST:
            break
    return limited(sentences)


def _of_panels(panels: Sequence[Panel], most: int) -> Iterator[str]:
    axes = list(dict.fromkeys(f"{p.y_label} against {p.x_label}" for p in panels))
    several = f" in {len(panels)} panels" if len(panels) > 1 else ""
    yield f"{listed(axes, 3)}{several}{_scales(panels[0]) if len(axes) == 1 else ''}."
    chains = [p for p in panels if any(mark.pale for mark in p.marks)]
    if chains:
        names = listed(list(dict.fromkeys(p.title for p in chains)), 8)
        yield f"{max(len(p.marks) for p in chains)} lines each for {names}."
    for panel in panels:
        parts = list(_parts(panel))[:most]
        if parts:
            yield f"{panel.title}: {'; '.join(parts)}."


def _scales(panel: Panel) -> str:
    logs = [side for side, log in (("across", panel.log_x), ("up", panel.log_y)) if log]
    return f", log scale {' and '.join(logs)}" if logs else ""


def _parts(panel: Panel) -> Iterator[str]:
    levels = [mark.label for mark in panel.marks if mark.label and (panel.x_names or mark.kind in ("steps", "bars"))]
    if levels:
        over = f" over {listed(list(panel.x_names), 6)}" if panel.x_names else ""
        yield f"distribution of {listed(levels, 6)}{over}"
        return
    for mark in panel.marks:
        if mark.kind == "bars":
            yield "bars of a distribution"
        elif mark.kind in ("line", "whiskers", "dots") and not mark.pale and not panel.x_names:
            lined = any(other.kind == "line" and other.label == mark.label for other in panel.marks)
            if not (mark.kind == "dots" and lined):
                yield from _run(mark, panel)


def _run(mark: Mark, panel: Panel) -> Iterator[str]:
    """Where a line starts and ends and its bend between, or the range of dots."""
    known = [(x, y) for x, y in zip(mark.x, mark.y, strict=False) if x is not None and y is not None]
    points = sorted((float(x), float(y)) for x, y in known if math.isfinite(x) and math.isfinite(y))
    if not points:
        return
    said = f"{mark.label}: " if mark.label else ""
    values = [y for _, y in points]
    if mark.kind == "dots":
        yield f"{said}{len(points)} dots from {_height(min(values), panel)} to {_height(max(values), panel)}"
        return
    bend = max(points, key=lambda p: _off_line(p, points))
    kept = [points[0], bend, points[-1]]
    if _off_line(bend, points) <= 0.15 * (max(values) - min(values)):
        kept = [points[0], points[-1]]
    span = points[-1][0] - points[0][0]
    at = [number(x) if panel.log_x else on_axis(x, span) for x, _ in kept]
    yield said + ", ".join(f"{_height(y, panel)} at {x}" for (_, y), x in zip(kept, at, strict=True))


def _off_line(point: tuple[float, float], points: Sequence[tuple[float, float]]) -> float:
    """How far a point lies above or below the straight line between the first and the last."""
    (x0, y0), (x1, y1) = points[0], points[-1]
    return abs(point[1] - y0 - (y1 - y0) * (point[0] - x0) / ((x1 - x0) or 1.0))


def _height(value: float, panel: Panel) -> str:
    """A number as high as this in the panel: ratios with two decimals."""
    return ratio(value) if _of_ratios(panel) else number(value)


def _of_ratios(panel: Panel) -> bool:
    words = panel.y_label.lower().split()
    return ("ratio" in words and "log" not in words) or panel.y_label.startswith("E-value")


def values_at(panel: Panel) -> dict[float, str]:
    """What lines, dots and whiskers are at each of their values across; nothing for distributions and chains."""
    span = _span(panel)
    limits = {
        (mark.colour, float(x)): (low, high)
        for mark in panel.marks
        if mark.kind in ("band", "whiskers")
        for x, low, high in zip(mark.x, mark.low, mark.high, strict=True)
        if x is not None
    }
    said: dict[float, dict[tuple[int, float], str]] = {}
    for mark in panel.marks:
        if mark.pale or mark.kind not in ("line", "dots", "whiskers"):
            continue
        for x, y in zip(mark.x, mark.y, strict=True):
            if x is None or y is None or not (math.isfinite(x) and math.isfinite(y)):
                continue
            low, high = limits.get((mark.colour, float(x)), (None, None))
            text = _height(y, panel)
            if low is not None and high is not None:
                text = ratio_of(y, low, high) if _of_ratios(panel) else f"{text} ({number(low)} to {number(high)})"
            named = f"{mark.label} {text}" if mark.label else text
            said.setdefault(float(x), {}).setdefault((mark.colour, y), named)
    return {
        x: f"{number(x) if panel.log_x else on_axis(x, span)}: {'; '.join(parts.values())}" for x, parts in said.items()
    }


def _span(panel: Panel) -> float:
    known = [float(x) for mark in panel.marks for x in mark.x if x is not None and math.isfinite(x)]
    return max(known) - min(known) if known else 0.0


def central(x: FloatArray, *values: FloatArray, limits: tuple[float, float]) -> tuple[FloatArray, ...]:
    """The part of a curve between two values of the exposure; all of it where nothing lies between them."""
    inside = (x >= limits[0]) & (x <= limits[1])
    chosen = inside if inside.any() else np.ones(len(x), dtype=bool)
    return (x[chosen], *(v[chosen] for v in values))
