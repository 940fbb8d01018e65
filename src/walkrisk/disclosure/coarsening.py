"""Rows of figures as they may be published: no extreme values of single people, no bar of very few.

The first and the last bar of a histogram hold everyone beyond them; curves end where at least the minimum cell size of
people lie beyond; percentiles with fewer people beyond are left out.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from walkrisk.cohorts.eligibility import FlowStep
from walkrisk.estimates.disclosure import merge_small_steps
from walkrisk.estimates.results import CutPoint, HistogramBin, Point
from walkrisk.estimates.rows import CurvePoint, Estimate
from walkrisk.estimates.suppression import is_small
from walkrisk.estimates.withheld import RATIOS, Withheld

Range = Mapping[str, tuple[float, float]]
"""exposure -> between which values curves are shown."""


def published_flow(flow: Sequence[FlowStep], *, min_cell: int) -> tuple[tuple[FlowStep, ...], list[Withheld]]:
    """The flow with small steps merged; which steps that concerned."""
    shown = merge_small_steps(flow, min_cell=min_cell)
    kept = {s.step for s in shown}
    said = [
        Withheld(file="flow", item=s.step, column="n_excluded", reason="merged") for s in flow if s.step not in kept
    ]
    return shown, said


def published_histograms(
    bins: Sequence[HistogramBin], *, min_cell: int, below: Mapping[str, Collection[int]] | None = None
) -> tuple[list[HistogramBin], Range, list[Withheld]]:
    """Bars of at least `min_cell` people or nobody, the outermost holding everyone beyond; and the range of curves.

    `below` are the numbers of people at or below the cut points of an exposure: where one is so near that of a limit of
    bars that few people lie between the two, the bar is joined to the next. Bars are widened where more than a tenth of
    the people would be told at the place of a neighbour; there are none where no width helps.
    """
    out: list[HistogramBin] = []
    ends: dict[str, tuple[float, float]] = {}
    said: list[Withheld] = []
    for exposure in dict.fromkeys(b.exposure for b in bins):
        own = [b for b in bins if b.exposure == exposure]
        made = _merged(own, max(min_cell, 1))
        if made:
            ends[exposure] = (made[0].high, made[-1].low)
            made = _widened(own, (below or {}).get(exposure, ()), min_cell)
        out += made
        said += [Withheld(file="histograms", exposure=exposure, column="n", reason="merged")] if made != own else []
    return out, ends, said


def _widened(bins: Sequence[HistogramBin], below: Collection[int], min_cell: int) -> list[HistogramBin]:
    """Bars as they may be published, of the least width at which at most a tenth of the people are moved."""
    for times in (1, 2, 4, 10, 20):
        wide = _wider(bins, times) if times > 1 else bins
        made = _apart(_merged(wide, max(min_cell, 1)), below, min_cell)
        true = {b.low: b.n for b in wide}
        if made and sum(max(true.get(b.low, 0) - b.n, 0) for b in made) <= sum(b.n for b in bins) / 10:
            return made
    return []


def _apart(bins: Sequence[HistogramBin], below: Collection[int], min_cell: int) -> list[HistogramBin]:
    counts = [b.n for b in bins]
    told = 0
    for i in range(len(counts) - 1):
        told += counts[i]
        if any(is_small(abs(told - n), min_cell) for n in below):
            told -= counts[i]
            counts[i], counts[i + 1] = 0, counts[i] + counts[i + 1]
    return [replace(b, n=n) for b, n in zip(bins, counts, strict=True)]


def people_below(estimates: Sequence[Estimate], bins: Sequence[HistogramBin]) -> dict[str, set[int]]:
    """Exposure -> how many people are at or below each cut point, for cut points of everyone in its histogram."""
    sizes: dict[str, int] = {}
    for b in bins:
        sizes[b.exposure] = sizes.get(b.exposure, 0) + b.n
    levels: dict[tuple[str, str, str], dict[str, int]] = {}
    for e in estimates:
        if e.exposure in sizes and e.estimand in RATIOS and not e.stratum and e.level and e.n is not None:
            levels.setdefault((e.analysis, e.exposure, e.model), {})[e.level] = e.n
    below: dict[str, set[int]] = {}
    for (_, exposure, _), counts in levels.items():
        if sum(counts.values()) == sizes[exposure]:
            below.setdefault(exposure, set()).update(accumulate([*counts.values()][:-1]))
    return below


def _wider(bins: Sequence[HistogramBin], times: int) -> list[HistogramBin]:
    """Bars `times` as wide, whose limits are multiples of their width as those of `bins` are."""
    width = times * (bins[0].high - bins[0].low)
    counts: dict[int, int] = {}
    for b in bins:
        place = math.floor((b.low + b.high) / 2 / width)
        counts[place] = counts.get(place, 0) + b.n
    return [
        HistogramBin(exposure=bins[0].exposure, low=i * width, high=(i + 1) * width, n=n) for i, n in counts.items()
    ]


def _merged(bins: Sequence[HistogramBin], least: int) -> list[HistogramBin]:
    if not bins or sum(b.n for b in bins) < 2 * least:
        return []
    width = bins[0].high - bins[0].low
    low = next(i for i, n in enumerate(accumulate(b.n for b in bins)) if n >= least)
    high = len(bins) - 1 - next(i for i, n in enumerate(accumulate(b.n for b in bins[::-1])) if n >= least)
    if low >= high:
        return []
    first = replace(bins[low], low=bins[low].high - width, n=sum(b.n for b in bins[: low + 1]))
    last = replace(bins[high], high=bins[high].low + width, n=sum(b.n for b in bins[high:]))
    counts = joined([b.n for b in (first, *bins[low + 1 : high], last)], least)
    return [replace(b, n=n) for b, n in zip((first, *bins[low + 1 : high], last), counts, strict=True)]


def joined(counts: Sequence[int], least: int) -> list[int]:
    """Counts with those of 1 to least - 1 added to a neighbour towards the fullest; all 0 if that stays small."""
    out = list(counts)
    if not out:
        return out
    top = max(range(len(out)), key=lambda i: out[i])
    for order, step in ((range(top), 1), (range(len(out) - 1, top, -1), -1)):
        for i in order:
            if is_small(out[i], least):
                out[i], out[i + step] = 0, out[i + step] + out[i]
    return out if not is_small(out[top], least) else [0] * len(out)


def published_curves(points: Sequence[CurvePoint], ends: Range) -> tuple[list[CurvePoint], list[Withheld]]:
    """Curves between the values beyond which enough people lie; none of an exposure too few people have.

    A reference beyond these values, which may be one person's, is not told.
    """
    out, said = [], dict[Withheld, None]()

    def hide(p: CurvePoint, column: str) -> None:
        said[Withheld(file="curves", analysis=p.analysis, exposure=p.exposure, column=column, reason="tail")] = None

    for p in points:
        low, high = ends.get(p.exposure, (float("inf"), float("-inf")))
        if not low <= p.x <= high:
            hide(p, "x")
            continue
        shown = p.reference is None or low <= p.reference <= high
        if not shown:
            hide(p, "reference")
        out.append(p if shown else replace(p, reference=None))
    return out, list(said)


def published_cutpoints(
    cuts: Sequence[CutPoint], sizes: Mapping[str, int], *, min_cell: int
) -> tuple[list[CutPoint], list[Withheld]]:
    """Percentiles with at least `min_cell` people on either side; `sizes` are the people of each analysis."""
    out, said = [], []
    short = {(c.analysis, c.exposure) for c in cuts if not c.cut.startswith("knot_") and _few(c, sizes, min_cell)}
    for c in cuts:
        whole = not c.cut.startswith("knot_") and (c.analysis, c.exposure) in short
        if whole or _few(c, sizes, min_cell):
            place = {"analysis": c.analysis, "exposure": c.exposure, "item": c.cut}
            said.append(Withheld(file="cutpoints", column="value", reason="tail", **place))
        else:
            out.append(c)
    return out, said


def _few(c: CutPoint, sizes: Mapping[str, int], min_cell: int) -> bool:
    n = sizes.get(c.analysis)
    percent = c.cut.removeprefix("knot_").removeprefix("p")
    if n is None or not percent.replace(".", "", 1).isdigit() or not c.cut.removeprefix("knot_").startswith("p"):
        return False
    beyond = min(float(percent), 100 - float(percent)) / 100 * n
    return beyond < min_cell


# ---------------------------------------------------------------- points of sensitivity analyses

CURVES = ("e_value", "e_value_ci")  # series along the values of an exposure
BARS = ("histogram", "changes")  # series of people by a number worked out of each
ENDS = ("smallest", "largest")  # items that are one person's
SHARES = ("distribution", "days")  # series of people that add up to a whole


def published_points(
    points: Sequence[Point], ends: Range, *, hidden: set[int], min_cell: int
) -> tuple[list[Point], list[Withheld]]:
    """Points without small counts, extreme values, and what gives them back; `hidden` are sizes of samples that are
    not told."""
    groups: dict[tuple[str, ...], list[Point]] = {}
    for p in points:
        groups.setdefault((p.analysis, p.exposure, p.series, *_group(p)), []).append(p)
    made: dict[int, Point | None] = {}
    said: dict[Withheld, None] = {}
    for group in groups.values():
        for p, new, reason in _published(group, ends, hidden, min_cell):
            made[id(p)] = new
            if new != p:
                said[_of(p, reason)] = None
    return [new for p in points if (new := made[id(p)]) is not None], list(said)


def _group(p: Point) -> tuple[str, ...]:
    if p.series == "distribution":
        return (p.item, p.stratum)
    return (p.level, p.stratum) if p.series in BARS else ()


def _published(
    group: Sequence[Point], ends: Range, hidden: set[int], min_cell: int
) -> list[tuple[Point, Point | None, str]]:
    series, exposure = group[0].series, group[0].exposure
    if series in CURVES and exposure:
        low, high = ends.get(exposure, (float("-inf"), float("inf")))
        return [(p, p if p.x is not None and low <= p.x <= high else None, "tail") for p in group]
    if series in BARS:
        counts = joined([p.n or 0 for p in group], max(min_cell, 1))
        total = sum(counts)
        shares = [n / total if total and p.y is not None else p.y for n, p in zip(counts, group, strict=True)]
        bars = [replace(p, n=n, y=y) for p, n, y in zip(group, counts, shares, strict=True)]
        at = [i for i, n in enumerate(counts) if n]
        inside = range(at[0], at[-1] + 1) if at and series == "histogram" else range(len(bars) if at else 0)
        return [(p, bars[i] if i in inside else None, "merged") for i, p in enumerate(group)]
    if series in SHARES:
        secret = _secret([p.n or 0 for p in group], min_cell)
        return [(p, replace(p, n=None, y=None) if i in secret else p, "small") for i, p in enumerate(group)]
    return [(p, *_alone(p, group, hidden, min_cell)) for p in group]


def _secret(counts: Sequence[int], min_cell: int) -> set[int]:
    """Which of counts with a known sum are hidden: small ones, and the next smallest where one would be left alone."""
    out = {i for i, n in enumerate(counts) if is_small(n, min_cell)}
    rest = sorted((i for i, n in enumerate(counts) if n and i not in out), key=lambda i: counts[i])
    if out and (len(out) == 1 or sum(counts[i] for i in out) in (len(out), len(out) * (min_cell - 1))):
        out |= set(rest[:1])
    return out


def _alone(p: Point, group: Sequence[Point], hidden: set[int], min_cell: int) -> tuple[Point, str]:
    made, reason = p, "small"
    if p.item in ENDS and p.series in ("chance", "weights"):
        return replace(p, y=None), "tail"
    if p.series == "weights" and p.item.startswith("p") and p.item[1:].replace(".", "", 1).isdigit():
        n = next((q.n for q in group if q.item == "n"), None) or 0
        few = min(float(p.item[1:]), 100 - float(p.item[1:])) / 100 * n < min_cell
        return (replace(p, y=None) if few else p), "tail"
    if p.n is not None and (is_small(p.n, min_cell) or p.n in hidden):
        of_few = p.series in ("missing", "imputed people", "weights") or p.series.startswith("trace")
        made = replace(p, n=None, y=None if of_few else p.y)
        reason = "small" if is_small(p.n, min_cell) else "difference"
    if p.series in ("missing", "imputed people") and p.x is not None and round(p.x) in hidden:
        made, reason = replace(made, x=None, y=None), "difference"
    return made, reason


def _of(p: Point, reason: str) -> Withheld:
    return Withheld(
        file="points",
        analysis=p.analysis,
        exposure=p.exposure,
        stratum=p.stratum,
        level=p.level if p.series not in BARS else "",
        item=f"{p.series}: {p.item}" if p.item and p.series not in BARS else p.series,
        column="n",
        reason=reason,  # type: ignore[arg-type]
    )
