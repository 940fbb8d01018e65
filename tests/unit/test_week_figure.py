"""The picture of a participant's recording: what each sign means, nothing clipped, the same bytes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from walkrisk.days.daily import DaySettings, daily_rows
from walkrisk.days.local_time import TimeSettings, local_clock
from walkrisk.days.seconds import ACTIVITIES, Seconds
from walkrisk.days.week import Week, binned_mean, shares
from walkrisk.figures.render import STAMP, render, styled
from walkrisk.figures.week import MOST_DAYS, STACK, strip_image, week_figure

CODE = {name: i for i, name in enumerate(ACTIVITIES)}
COLOUR = {word: colour for word, _, colour in STACK}
SITES = ("thigh", "back")
NONE = np.empty((0, 2))


def week(days: float, *, start_h: float = 10.0, origin: str = "2018-03-22", off: bool = False) -> Week:
    """Nights lying, else each activity in turn; by choice with non-wear, a gap and a back sensor that stops."""
    n, start = int(days * 86_400), int(start_h * 3600)
    hour = (np.arange(n) + start) // 3600 % 24
    turn = np.array([CODE[a] for a in ("sitting", "walking", "standing", "stairs", "cycling", "running")])
    activity = np.where((hour < 7) | (hour == 23), CODE["lying"], turn[(np.arange(n) // 900) % len(turn)])
    not_worn = dict.fromkeys(SITES, NONE)
    if off:
        activity[n // 3 : n // 3 + 20_000] = CODE["nonwear"]
        activity[n // 2 : n // 2 + 5_000] = CODE["unknown"]
        both = [start + n // 3, start + n // 3 + 20_000]
        not_worn = {"thigh": np.array([both]), "back": np.array([both, [start + n // 2, start + n]])}
    moving = np.isin(activity, [CODE["walking"], CODE["stairs"], CODE["running"]])
    clock = local_clock(
        TimeSettings(timezone="Europe/Oslo"), origin=np.datetime64(origin), start_s=start, stop_s=start + n
    )
    seconds = Seconds(
        start_s=start,
        activity=activity.astype(np.uint8),
        speed=np.where(moving, 2, 0).astype(np.uint8),
        cadence_spm=np.where(moving, 104, np.nan).astype(np.float32),
        met=np.where(moving, 3.8, np.nan).astype(np.float32),
    )
    calendar = clock.days(start, start + n)
    rows = daily_rows(seconds, calendar, participant_id="p", settings=DaySettings())
    times = start + np.arange(0, n, 60.0)
    sentences = ("Both clocks agree.", "A sentence that goes on and on. " * 8) if off else ()
    return Week(
        days=calendar, seconds=seconds, rows=rows, not_worn=not_worn, sentences=sentences,
        temperature={"thigh": (times, np.full(len(times), 30.0)), "back": (times[: n // 120], np.full(n // 120, 33.0))},
    )  # fmt: skip


LONG = "A participant whose study calls people by rather long names"
WEEKS = {
    "a week": lambda: week_figure(week(7), title="Participant 12", simulated=True),
    "a bad week": lambda: week_figure(week(6.2, off=True), title=f"{LONG} {LONG}"),
    "an hour": lambda: week_figure(week(1 / 24), title="Participant 12"),
    "a minute": lambda: week_figure(week(60 / 86_400)),
    "fourteen days in autumn": lambda: week_figure(week(14, origin="2018-10-20", off=True), title="Participant 12"),
    "a month": lambda: week_figure(week(30), title="Participant 12"),
    "nothing": lambda: week_figure(week(0), title="Participant 12"),
    "no temperature": lambda: week_figure(replace(week(2), temperature={}, not_worn={})),
}


def boxes(figure: Figure) -> list[tuple[str, str, bool, list[tuple[float, float]]]]:
    """(face, edge, hatched, [(from, to)] in hours) of all boxes drawn over the strips."""
    found = []
    for c in figure.axes[0].collections:
        if isinstance(c, PolyCollection):
            shapes: Any = [p.vertices for p in c.get_paths()]
            colours: Any = (c.get_facecolor(), c.get_edgecolor())
            face, edge = (to_hex(colour[0]) if len(colour) else "" for colour in colours)
            found.append(
                (face, edge, bool(c.get_hatch()), [(float(v[:, 0].min()), float(v[:, 0].max())) for v in shapes])
            )
    return found


@cache
def made(name: str) -> tuple[Figure, dict[Text, Bbox]]:
    figure = WEEKS[name]()
    with styled():
        FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
        renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
        texts = [t for t in figure.findobj(Text) if isinstance(t, Text) and t.get_text().strip() and t.get_visible()]
        return figure, {t: t.get_window_extent(renderer) for t in texts}


def words(name: str) -> list[str]:
    return [t.get_text() for t in made(name)[1]]


@pytest.mark.parametrize("name", WEEKS)
def test_no_text_is_clipped_or_stands_on_another(name: str) -> None:
    figure, texts = made(name)
    for text, place in texts.items():
        page = figure.bbox
        inside = page.x0 <= place.x0 and place.x1 <= page.x1 and page.y0 <= place.y0 and place.y1 <= page.y1
        assert inside, f"{text.get_text()!r} is clipped: {place}"
        assert float(text.get_fontsize()) >= 7
    for (one, a), (other, b) in combinations(texts.items(), 2):
        shared = Bbox.intersection(a, b)
        assert shared is None or shared.width < 1 or shared.height < 1, f"{one.get_text()!r} on {other.get_text()!r}"


@pytest.mark.parametrize("fmt", ["png", "svg"])
def test_the_same_input_gives_the_same_bytes(fmt: str) -> None:
    figure = WEEKS["a bad week"]()
    first = render(figure, fmt)  # type: ignore[arg-type]
    assert first == render(figure, fmt) == render(WEEKS["a bad week"](), fmt)  # type: ignore[arg-type]


def test_days_are_as_long_as_they_were() -> None:
    """Spring: the Sunday is 23 h; autumn: 25 h, and the axis reaches so far. The change is marked at its hour."""
    for name, hours, at, widest in (("a week", 23.0, 2.0, 24.0), ("fourteen days in autumn", 25.0, 3.0, 25.0)):
        axes = made(name)[0].axes[0]
        assert axes.get_xlim() == (0, widest)
        outlines = [b - a for _, edge, _, at_h in boxes(made(name)[0]) if edge == "#8c8c8c" for a, b in at_h]
        assert sorted(outlines)[0 if hours < 24 else -1] == hours
        assert len(outlines) == len(axes.images)
        marks = [np.asarray(line.get_xdata()).tolist() for line in axes.lines if line.get_color() == "#1A1A1A"]
        assert marks == [[at, at]]
        assert any("clocks changed" in w for w in words(name))
        assert f"{hours:g} h" in " ".join(words(name))


def test_numbers_beside_a_day() -> None:
    said = words("a week")
    (day,) = [r for r in week(7).rows if r["date"] == "2018-03-23"]
    assert f"{day['walking_s'] / 60:.0f}" in said
    assert "104" in said
    assert "24.0" in said
    assert "Fri 23 Mar" in said
    assert STAMP in said
    assert STAMP not in words("a bad week")


def test_the_legend_names_what_occurs() -> None:
    assert {"Lying", "Walking", "Not known", "Thigh, 18–38 °C"} <= set(words("a week"))
    assert not {"Not worn", "Back sensor not worn"} & set(words("a week"))
    assert {"Not worn", "Thigh sensor not worn", "Back sensor not worn"} <= set(words("a bad week"))
    assert "Lying" not in words("an hour")
    assert not any("°C" in w for w in words("no temperature"))


def test_nothing_and_too_much_are_said() -> None:
    assert "Nothing was recorded." in words("nothing")
    assert f"The first {MOST_DAYS} of 31 days are shown." in words("a month")
    assert len(made("a month")[0].axes[0].images) == MOST_DAYS


def test_sensors_off_are_bars_in_their_colours() -> None:
    drawn = boxes(made("a bad week")[0])

    def hours(colour: str) -> float:
        return sum(b - a for face, _, _, at_h in drawn if face == colour for a, b in at_h)

    n = int(6.2 * 86_400)
    assert hours("#0072b2") == pytest.approx(20_000 / 3600)
    assert hours("#a3476f") == pytest.approx((20_000 + n - n // 2) / 3600, abs=0.01)
    assert sum(b - a for *_, off, at_h in drawn if off for a, b in at_h) == pytest.approx(20_000 / 3600, abs=0.01)
    axes = made("a bad week")[0].axes[0]
    assert sum(isinstance(c, LineCollection) for c in axes.collections) == 2 * len(axes.images)


# ---------------------------------------------------------------- by hand
def spans(*parts: tuple[str, int], start_s: int = 0) -> Seconds:
    activity = np.repeat(np.array([CODE[a] for a, _ in parts], dtype=np.uint8), [n for _, n in parts])
    empty = np.full(len(activity), np.nan, dtype=np.float32)
    return Seconds(
        start_s=start_s, activity=activity, speed=np.zeros(len(activity), np.uint8), cadence_spm=empty, met=empty
    )


def test_shares_by_hand() -> None:
    """Bins of 10 s from second 0; the recording is seconds 5 to 24."""
    found = shares(spans(("sitting", 8), ("walking", 12), start_s=5), 0, 35, bin_s=10)
    assert found.shape == (4, len(ACTIVITIES))
    assert found[:, CODE["sitting"]].tolist() == [0.5, 0.3, 0, 0]
    assert found[:, CODE["walking"]].tolist() == [0, 0.7, 0.5, 0]
    assert shares(spans(("sitting", 30)), 10, 20, bin_s=10)[:, CODE["sitting"]].tolist() == [1.0]


def test_a_bin_is_shared_by_height() -> None:
    share = np.zeros((3, len(ACTIVITIES)))
    share[0, CODE["sitting"]] = 1
    share[1, [CODE["lying"], CODE["walking"]]] = 2 / 3, 1 / 3
    share[2, CODE["shuffling"]] = 1 / 3
    image = strip_image(share, ACTIVITIES)
    colours = [[to_hex(c).upper() for c in image[:, b]] for b in range(3)]
    levels = len(image)
    assert colours[0] == [COLOUR["Sitting"]] * levels
    assert colours[1] == [COLOUR["Lying"]] * (levels * 2 // 3) + [COLOUR["Walking"]] * (levels // 3)
    assert colours[2] == [COLOUR["Standing"]] * (levels // 3) + [COLOUR["Not known"]] * (levels * 2 // 3)


def test_hatching_stands_where_it_was_not_worn() -> None:
    """From 10:00 on: an hour sitting, two hours not worn."""
    one = week(3 / 24)
    seconds = spans(("sitting", 3_600), ("nonwear", 7_200), start_s=36_000)
    drawn = boxes(week_figure(replace(one, seconds=seconds)))
    assert [at_h for *_, off, at_h in drawn if off] == [[(11.0, 13.0)]]


def test_every_activity_has_a_colour() -> None:
    assert sorted(a for _, activities, _ in STACK for a in activities) == sorted(ACTIVITIES)


def test_mean_temperature_by_hand() -> None:
    means = binned_mean(
        np.array([-1.0, 0, 1, 2, 3, 9, 10]),
        np.array([99.0, 30, 32, np.nan, 34, 20, 99]),
        edges_s=np.array([0.0, 3, 6, 10]),
    )
    assert means.tolist() == [31, 34, 20]
    assert np.isnan(binned_mean(np.empty(0), np.empty(0), edges_s=np.array([0.0, 3]))).all()


def test_a_week_needs_a_row_for_each_day() -> None:
    with pytest.raises(ValueError, match="days need as many rows"):
        replace(week(2), rows=[])


def test_the_picture_says_what_it_shows() -> None:
    figure = week_figure(week(3.0, off=True))
    assert figure.alt.startswith("One recording, 4 days from Thu 22 Mar to Sun 25 Mar, a row each from midnight")
    assert "minutes a day." in figure.alt
    assert "Both clocks agree." in figure.alt
    assert b"One recording, 4 days" in render(figure, "svg")


def test_activities_and_sensors_differ_in_grey() -> None:
    def lightness(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        y = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        return 116 * float(np.cbrt(y)) - 16 if y > 0.008856 else 903.3 * y

    done = sorted(lightness(colour) for word, _, colour in STACK if word != "Not worn")  # which is hatched
    assert min(np.diff(done)) > 6
    bars = [c for c in week_figure(week(1.0, off=True)).axes[0].collections if isinstance(c, PolyCollection)]
    heights = {
        round(float(np.ptp(p.vertices[:, 1])), 4)
        for c in bars
        for p in c.get_paths()
        if np.ptp(p.vertices[:, 1]) < 0.05
    }
    assert len(heights) == 2
