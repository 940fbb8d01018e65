"""One participant's recording at a glance: a row a day, midnight to midnight, activity by colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from walkrisk.days.bouts import runs
from walkrisk.days.week import Week, binned_mean, shares
from walkrisk.figures import render as r
from walkrisk.figures import spoken

FloatArray = npt.NDArray[np.float64]

MOST_DAYS = 21
BIN_S = 120
TEMPERATURE_C = (18.0, 38.0)

# From the bottom of a strip to its top. Apart in colour-blind eyes; in grey, darker and lighter as far as it goes.
STACK: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("Lying", ("lying",), "#373A94"),
    ("Sitting", ("sitting",), "#79B4E3"),
    ("Standing", ("standing", "shuffling"), "#F4E3A1"),
    ("Cycling", ("cycling",), "#0B6B3A"),
    ("Walking", ("walking",), "#D55E00"),
    ("Stairs", ("stairs",), "#C77CBB"),
    ("Running", ("running",), "#4A0710"),
    ("Not worn", ("nonwear",), "#D9D9D9"),
    ("Not known", ("unknown",), "#FFFFFF"),
)
_Dashes = tuple[float, tuple[float, ...]]
SENSORS: tuple[tuple[str, _Dashes], ...] = (("#0072B2", (0.0, ())), ("#A3476F", (0.0, (2.5, 1.2))))  # colour, dashes
_HATCH = "#7F7F7F"

_LEFT_IN, _RIGHT_IN = 1.02, 1.5
_STRIP_IN, _BAR_IN, _BAND_IN, _GAP_IN = 0.27, 0.03, 0.18, 0.09
_THICK = (0.8, 0.3)  # of a bar, by sensor, so that they differ in grey
_AXIS_IN, _HEAD_IN = 0.38, 0.34
_LEVELS = 27
_COLUMNS = (("Walking", "min"), ("Cadence", "steps/min"), ("Worn", "h"))
_QUALITY = {"empty": "not worn", "partial": "partial", "nonwear": "partly worn", "one_sensor": "one sensor"}
_SHORTEST_HATCH_S = 300


@dataclass(frozen=True, slots=True)
class _Places:
    """Heights of a day's parts above its lower edge, in inches, for so many sensors."""

    sensors: int

    @property
    def band(self) -> float:
        return _BAND_IN if self.sensors else 0.0

    @property
    def bars(self) -> float:
        return self.band + 0.02

    @property
    def strip(self) -> float:
        return self.bars + _BAR_IN * self.sensors + 0.015

    @property
    def day(self) -> float:
        return self.strip + _STRIP_IN + _GAP_IN


def week_figure(week: Week, *, title: str = "", simulated: bool = False) -> Figure:
    """A row a day from midnight: time by activity in bins of two minutes, wear and temperature of each sensor below it.

    A bin's height is shared by what was done in it, so that a minute's walk is seen; hours are counted from midnight,
    and a day of 23 or 25 hours is as long as it was, the clock change marked. Beside it minutes of walking, cadence
    and hours of wear; below, the sentences. Only the first 21 days are drawn, which is then said.
    """
    with r.styled():
        n = min(len(week.rows), MOST_DAYS)
        sensors = tuple(dict.fromkeys([*week.temperature, *week.not_worn]))
        places = _Places(len(sensors))
        legend = _legend_lines(_legend(week, sensors, n))
        notes = _note_lines(_notes(week, n))
        foot = len(notes) * r.line_in(r.SMALL_PT) + (2 * r.MARGIN_IN if notes else r.MARGIN_IN)
        plot = n * places.day
        key = len(legend) * r.line_in(r.SMALL_PT) * 1.25
        figure = r.page(foot + (_AXIS_IN + plot + _HEAD_IN if n else 0) + key, title=title, simulated=simulated)
        if n:
            _draw_days(figure, week, sensors, places, n=n, bottom=foot + _AXIS_IN)
            _draw_legend(figure, legend, top=foot + _AXIS_IN + plot + _HEAD_IN + key)
        r.put(figure, r.MARGIN_IN, foot / 2, notes, size=r.SMALL_PT, color=r.QUIET)
        figure.alt = spoken.limited(_said(week, n))
        return figure


def _said(week: Week, n: int) -> Iterator[str]:
    """The picture in words: its days, what was walked and worn, and the sentences."""
    if n:
        walked, worn = ([float(row[k]) for row in week.rows[:n]] for k in ("walking_s", "wear_s"))
        first, last = (_day_name(week.days.date[i]) for i in (0, n - 1))
        yield f"One recording, {n} days from {first} to {last}, a row each from midnight, time by activity."
        yield f"Walking: {min(walked) / 60:.0f} to {max(walked) / 60:.0f} minutes a day."
        yield f"Worn: {min(worn) / 3600:.1f} to {max(worn) / 3600:.1f} hours a day."
    yield from _notes(week, n)


def _draw_days(figure: Figure, week: Week, sensors: Sequence[str], places: _Places, *, n: int, bottom: float) -> None:
    width = r.WIDTH_IN - _LEFT_IN - _RIGHT_IN
    longest_h = max(24.0, float(week.days.length_s[:n].max()) / 3600)
    axes = r.axes_at(figure, _LEFT_IN, bottom, width, n * places.day)
    axes.set_xlim(0, longest_h)
    axes.set_ylim(0, n * places.day)
    axes.set_yticks([])
    axes.set_xticks(range(0, int(longest_h) + 1, 3))
    axes.set_xlabel("Hours since midnight", labelpad=2)
    axes.spines["left"].set_visible(False)
    for hour in range(0, int(longest_h) + 1, 6):
        axes.axvline(hour, color=r.BAR, linewidth=0.5, zorder=0)
    for day in range(n):
        floor = (n - 1 - day) * places.day + _GAP_IN / 2
        _strip(axes, week, day, floor + places.strip)
        for i, sensor in enumerate(sensors):
            bar = floor + places.bars + _BAR_IN * (len(sensors) - 1 - i)
            _bar(axes, week, day, sensor, bar, i % len(SENSORS))
            _temperature(axes, week, day, sensor, floor, SENSORS[i % len(SENSORS)])
        _beside(figure, week, day, bottom + floor + places.strip + _STRIP_IN / 2, left=_LEFT_IN + width)
    top = bottom + n * places.day + _HEAD_IN / 2
    for i, (word, unit) in enumerate(_COLUMNS):
        r.put(figure, _column_x(_LEFT_IN + width, i), top, [word, unit], size=r.SMALL_PT, align="right", color=r.QUIET)


def _strip(axes: Axes, week: Week, day: int, floor: float) -> None:
    """A day's activity as an image, hatched where not worn, outlined over the day's length."""
    start, stop = float(week.days.start_s[day]), float(week.days.stop_s[day])
    image = strip_image(shares(week.seconds, start, stop, bin_s=BIN_S), week.seconds.names)
    extent = (0.0, image.shape[1] * BIN_S / 3600, floor, floor + _STRIP_IN)
    hours = (stop - start) / 3600
    outline = _box(0, hours, floor, floor + _STRIP_IN)
    axes.imshow(image, extent=extent, origin="lower", aspect="auto", interpolation="nearest", zorder=1)
    axes.set_autoscale_on(False)
    first = round(start) - week.seconds.start_s
    off = runs(week.seconds.being("nonwear")[max(first, 0) : max(first + round(stop - start), 0)])
    off = off[off[:, 1] - off[:, 0] >= _SHORTEST_HATCH_S] + max(-first, 0)
    boxes = [_box(a / 3600, b / 3600, floor, floor + _STRIP_IN) for a, b in off]
    axes.add_collection(
        PolyCollection(boxes, facecolors="none", edgecolors=_HATCH, linewidths=0, hatch="//////", zorder=2)
    )
    axes.add_collection(PolyCollection([outline], facecolors="none", edgecolors=r.RULE, linewidths=0.5, zorder=3))
    for change in week.days.changes_s:
        if start <= change < stop:
            x = (change - start) / 3600
            axes.plot([x, x], [floor - 0.05, floor + _STRIP_IN + 0.05], color=r.INK, linewidth=1.2, zorder=4)


def strip_image(share: FloatArray, names: Sequence[str]) -> npt.NDArray[np.float64]:
    """Colours (levels, b, 3) of bins whose height is shared by the activities (b, a), in the order of STACK."""
    columns = [[names.index(a) for a in activities if a in names] for _, activities, _ in STACK]
    stacked = np.column_stack([share[:, c].sum(axis=1) for c in columns])
    stacked[:, -1] += 1.0 - stacked.sum(axis=1)
    middle = (np.arange(_LEVELS) + 0.5) / _LEVELS
    layer = (np.cumsum(stacked[:, :-1], axis=1)[None, :, :] <= middle[:, None, None]).sum(axis=2)
    return np.asarray(np.array([to_rgb(colour) for _, _, colour in STACK])[layer], dtype=np.float64)


def _bar(axes: Axes, week: Week, day: int, sensor: str, floor: float, place: int) -> None:
    start, stop = float(week.days.start_s[day]), float(week.days.stop_s[day])
    spans = np.clip(np.asarray(week.not_worn.get(sensor, np.empty((0, 2))), dtype=float).reshape(-1, 2), start, stop)
    spans = (spans[spans[:, 1] > spans[:, 0]] - start) / 3600
    boxes = [_box(a, b, floor, floor + _BAR_IN * _THICK[place]) for a, b in spans]
    axes.add_collection(PolyCollection(boxes, facecolors=SENSORS[place][0], edgecolors="none", linewidths=0, zorder=2))


def _temperature(axes: Axes, week: Week, day: int, sensor: str, floor: float, look: tuple[str, _Dashes]) -> None:
    if sensor not in week.temperature:
        return
    start, stop = float(week.days.start_s[day]), float(week.days.stop_s[day])
    edges = np.append(np.arange(start, stop, 300.0), stop)
    means = binned_mean(*week.temperature[sensor], edges_s=edges)
    low, high = TEMPERATURE_C
    y = floor + _BAND_IN * np.clip((means - low) / (high - low), 0, 1)
    x = ((edges[:-1] + edges[1:]) / 2 - start) / 3600
    lines = [np.column_stack((x[a:b], y[a:b])) for a, b in runs(np.isfinite(y))]
    axes.add_collection(
        LineCollection(lines, colors=look[0], linestyles=[look[1] if look[1] else "-"], linewidths=0.8, zorder=3)
    )


def _box(left: float, right: float, bottom: float, top: float) -> list[tuple[float, float]]:
    return [(left, bottom), (right, bottom), (right, top), (left, top)]


def _beside(figure: Figure, week: Week, day: int, middle: float, *, left: float) -> None:
    """A day's name and quality on its left, its numbers on its right."""
    row = week.rows[day]
    hours = float(week.days.length_s[day]) / 3600
    about = [_QUALITY.get(row["quality"], ""), f"{hours:g} h" if hours != 24 else ""]
    r.put(figure, r.MARGIN_IN, middle + 0.055, [_day_name(week.days.date[day])], size=r.TEXT_PT)
    r.put(figure, r.MARGIN_IN, middle - 0.075, [", ".join(a for a in about if a)], size=r.SMALL_PT, color=r.QUIET)
    values = (row["walking_s"] / 60, row["cadence_spm"], row["wear_s"] / 3600)
    texts = [f"{values[0]:.0f}", "–" if values[1] is None else f"{values[1]:.0f}", f"{values[2]:.1f}"]
    for i, text in enumerate(texts):
        r.put(figure, _column_x(left, i), middle, [text], size=r.TEXT_PT, align="right")


def _column_x(left: float, i: int) -> float:
    return left + (0.47, 1.03, 1.4)[i]


def _day_name(date: np.datetime64) -> str:
    weekday = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[(int(date.astype(np.int64)) + 3) % 7]
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    _, month, day = str(date).split("-")
    return f"{weekday} {int(day)} {months[int(month) - 1]}"


# ---------------------------------------------------------------- legend and notes
@dataclass(frozen=True, slots=True)
class _Entry:
    """A sign and its word: a swatch, a bar (how thick in `look`) or a line with dashes."""

    word: str
    colour: str
    sign: str = "swatch"
    look: _Dashes = (0.0, ())

    @property
    def width(self) -> float:
        return 0.3 + r.text_width(self.word, r.SMALL_PT) + 0.12


def _legend(week: Week, sensors: Sequence[str], n: int) -> Iterator[_Entry]:
    """What occurs, in the order of the strip, then the signs of each sensor."""
    seen = {name for i, name in enumerate(week.seconds.names) if (week.seconds.activity == i).any()}
    gaps = any(row["unknown_s"] > 0 for row in week.rows[:n])
    for word, activities, colour in STACK:
        if seen & set(activities) or (gaps and "unknown" in activities):
            yield _Entry(word, colour, "hatch" if "nonwear" in activities else "swatch")
    low, high = TEMPERATURE_C
    for i, sensor in enumerate(sensors):
        colour, dashes = SENSORS[i % len(SENSORS)]
        if len(week.not_worn.get(sensor, ())):
            yield _Entry(f"{sensor.capitalize()} sensor not worn", colour, "bar", (_THICK[i % len(_THICK)], ()))
        if sensor in week.temperature:
            yield _Entry(f"{sensor.capitalize()}, {low:.0f}–{high:.0f} °C", colour, "line", dashes)


def _legend_lines(entries: Iterator[_Entry]) -> list[list[_Entry]]:
    lines: list[list[_Entry]] = []
    room = r.WIDTH_IN - 2 * r.MARGIN_IN
    for entry in entries:
        if not lines or sum(e.width for e in lines[-1]) + entry.width > room:
            lines.append([])
        lines[-1].append(entry)
    return lines


def _draw_legend(figure: Figure, lines: Sequence[Sequence[_Entry]], *, top: float) -> None:
    step = r.line_in(r.SMALL_PT) * 1.25
    for i, line in enumerate(lines):
        x, middle = r.MARGIN_IN, top - (i + 0.5) * step
        for e in line:
            if e.sign == "line":
                place = figure.dpi_scale_trans
                ends = [x, x + 0.24], [middle, middle]
                figure.add_artist(
                    Line2D(
                        *ends, color=e.colour, linewidth=1.0, linestyle=e.look if e.look[1] else "-", transform=place
                    )
                )
            elif e.sign == "bar":
                thick = _BAR_IN * e.look[0]
                r.box(figure, x, middle - thick / 2, 0.24, thick, facecolor=e.colour, edgecolor="none")
            else:
                style = {"hatch": "//////", "edgecolor": _HATCH} if e.sign == "hatch" else {"edgecolor": r.RULE}
                r.box(figure, x, middle - 0.045, 0.24, 0.09, facecolor=e.colour, linewidth=0.5, **style)
            r.put(figure, x + 0.3, middle, [e.word], size=r.SMALL_PT)
            x += e.width


def _notes(week: Week, n: int) -> Iterator[str]:
    if not n:
        yield "Nothing was recorded."
    if n < len(week.rows):
        yield f"The first {n} of {len(week.rows)} days are shown."
    shown = week.days.changes_s[week.days.changes_s < week.days.stop_s[n - 1]] if n else week.days.changes_s
    if len(shown):
        yield "The clocks changed at the upright mark; hours go on from midnight, so clock time is shifted after it."
    yield from week.sentences


def _note_lines(notes: Iterator[str]) -> list[str]:
    return [line for note in notes for line in r.wrap(note, r.WIDTH_IN - 2 * r.MARGIN_IN, r.SMALL_PT)]
