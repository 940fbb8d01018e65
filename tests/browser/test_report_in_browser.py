"""The report in headless Chromium: from disk without a request, at every width, light and dark, sorted, printed."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from walkrisk.estimates.numbers import ratio_interval
from walkrisk.reports.html import ReportParts, Section, report_html
from walkrisk.reports.quality_page import quality_html
from walkrisk.sensors.quality import QualityRow
from walkrisk.tables.table import Head, Row, Table

from .looking import (
    WIDTHS,
    barriers,
    cut_on_paper,
    dark_on_paper,
    opened,
    too_wide_for_paper,
    wider_than_the_window,
)

EACH = pytest.mark.parametrize("name", ["small", "sensitivity"])


@EACH
@pytest.mark.parametrize("width", WIDTHS)
def test_it_opens_from_disk_asks_nobody_and_fits(browser: Any, reports: dict[str, Path], name: str, width: int) -> None:
    with opened(browser, reports[name] / "report.html", width=width) as page:
        page.mouse.wheel(0, 4000)
        page.locator(".plot").first.hover()
        assert page.heard == []
        assert wider_than_the_window(page) == []


@EACH
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing_serious(browser: Any, reports: dict[str, Path], name: str, width: int) -> None:
    again = ("scrollable-region-focusable",) if (name, width) == ("sensitivity", 360) else ()  # all that is left to see
    with opened(browser, reports[name] / "report.html", width=width) as page:
        found = {"light": barriers(page, *again)}
        page.emulate_media(color_scheme="dark")
        found["dark"] = barriers(page, "color-contrast")  # all that the theme changes
    assert found == {"light": [], "dark": []}


@EACH
def test_nothing_is_cut_on_paper_and_dark_is_never_printed(browser: Any, reports: dict[str, Path], name: str) -> None:
    with opened(browser, reports[name] / "report.html") as page:
        page.get_by_role("button", name="Dark").click()
        page.locator("table .sort").first.click()
        faults = cut_on_paper(page)
        assert faults == []
        assert dark_on_paper(page) == []
        assert too_wide_for_paper(page) == []


def test_pages_of_single_tables_are_held_to_the_same(browser: Any, reports: dict[str, Path]) -> None:
    for path in sorted((reports["sensitivity"] / "tables").glob("*.html"))[::5]:
        with opened(browser, path, width=360) as page:
            assert (path.name, page.heard, wider_than_the_window(page)) == (path.name, [], [])
    with opened(browser, reports["small"] / "tables" / "table2.html", width=360, color_scheme="dark") as page:
        assert barriers(page) == []


def test_the_page_on_recordings_is_held_to_the_same(browser: Any, tmp_path: Path) -> None:
    rows = [QualityRow(participant_id=who, status=s).table() for who, s in (("a", "complete"), ("b", "failed"))]
    path = tmp_path / "quality.html"
    path.write_text(quality_html(rows, pictures={}, notes=("Said.",), version="1"), "utf-8")
    with opened(browser, path, width=360, color_scheme="dark") as page:
        assert (page.heard, wider_than_the_window(page), barriers(page)) == ([], [], [])
        page.get_by_role("button", name="Dark").click()
        assert barriers(page) == []


@EACH
def test_without_scripts_everything_can_be_read(browser: Any, reports: dict[str, Path], name: str) -> None:
    path = reports[name] / "report.html"
    for width in WIDTHS:
        with opened(browser, path, width=width, java_script_enabled=False) as page:
            assert wider_than_the_window(page) == []
            assert page.locator("button").count() == 0
            unseen = page.evaluate(
                """() => [...document.querySelectorAll("h1, h2, h3, p, li, dt, dd, th, td, caption, svg")]
                  .filter((e) => e.textContent.trim() && !e.getClientRects().length)
                  .map((e) => e.outerHTML.slice(0, 90))"""
            )
            assert unseen == []


# ---------------------------------------------------------------- contents and theme


def test_contents_stand_beside_the_text_and_mark_where_one_is(browser: Any, reports: dict[str, Path]) -> None:
    with opened(browser, reports["sensitivity"] / "report.html") as page:
        for section in ("section_results", "section_limits", "section_unmeasured_confounding"):
            page.evaluate("(id) => document.getElementById(id).scrollIntoView()", section)
            page.wait_for_timeout(80)
            assert page.locator("nav [aria-current=location]").get_attribute("href") == f"#{section}"
            box = page.locator("nav.contents").bounding_box()
            assert 0 <= box["y"] < 80, "it stays in sight"


def test_contents_are_a_drawer_on_a_phone(browser: Any, reports: dict[str, Path]) -> None:
    with opened(browser, reports["small"] / "report.html", width=360) as page:
        assert not page.locator("nav.contents a").first.is_visible()
        page.get_by_text("Contents", exact=True).click()
        page.locator("nav.contents a", has_text="Main results").click()
        assert not page.locator("nav.contents a").first.is_visible()
        top = page.locator("#section_results").bounding_box()["y"]
        drawer = page.locator("nav.contents").bounding_box()
        assert drawer["y"] + drawer["height"] <= top < 200, "the heading is in sight, below the drawer"


def test_light_and_dark_by_system_and_by_button_in_memory_only(browser: Any, reports: dict[str, Path]) -> None:
    def is_dark() -> bool:
        return bool(page.evaluate("getComputedStyle(document.body).backgroundColor === 'rgb(20, 24, 28)'"))

    with opened(browser, reports["small"] / "report.html", color_scheme="dark") as page:
        button = page.get_by_role("button", name="Dark")
        assert is_dark()
        assert button.get_attribute("aria-pressed") == "true"
        button.press("Enter")
        assert not is_dark()
        assert button.get_attribute("aria-pressed") == "false"
        assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
        page.reload()
        assert is_dark(), "nothing is kept"


# ---------------------------------------------------------------- sorting


def column(page: Any, place: int, table: str = "table") -> list[list[str]]:
    """The texts of one column, a list for each run of rows between headings."""
    found = page.locator(table).evaluate(
        """(table, i) => [...table.tBodies].flatMap((b) => [...b.rows]).map((r) =>
          r.classList.contains("group") ? null : r.cells[i].innerText.trim())""",
        place,
    )
    runs: list[list[str]] = [[]]
    for text in found:
        if text is not None:
            runs[-1].append(text)
        elif runs[-1]:
            runs.append([])
    return runs


ODD = Table(
    id="odd",
    title="Odd cells",
    number="Table 9",
    header=(Head("What"), Head("Counts"), Head("Ratio (CI)", "A note."), Head("P"), Head("Words", words=True)),
    rows=(
        Row(kind="heading", cells=("One",)),
        Row(cells=("a", "1\u202f234", "0.77 (0.68-0.87)", ".049", "pear"), indent=1),
        Row(cells=("b", "<5", "10.20 (8.00-12.00)", "<.001", "fig"), indent=1, note="Row note."),
        Row(cells=("c", "NR", "1 [Reference]", "", "Apple"), indent=1),
        Row(cells=("d", "5", ">999", ".12", "plum 10"), indent=1),
        Row(cells=("e", "12 (3.4)", "−0.5 (−1.0 to 0.2)", ">.99", "plum 9"), indent=1),
        Row(kind="heading", cells=("Two",)),
        Row(cells=("f", "9", "2.00", ".5", "b"), indent=1),
        Row(cells=("f below", "1", "9.00", ".1", "z"), indent=2),
        Row(cells=("g", "3", "1.00", ".4", "a"), indent=1),
        Row(cells=("on its own", "1", "0.10", ".3", "c")),
    ),
)


@pytest.fixture
def odd(browser: Any, tmp_path: Path) -> Iterator[Any]:
    path = tmp_path / "odd.html"
    section = Section(id="s", title="S", blocks=(ODD,))
    path.write_text(report_html(ReportParts(title="T", simulated=False, summary=(), sections=(section,))), "utf-8")
    with opened(browser, path) as page:
        yield page


@pytest.mark.parametrize(
    ("place", "rising", "falling"),
    [
        (1, "<5|5|12 (3.4)|1 234|NR", "1 234|12 (3.4)|5|<5|NR"),
        (
            2,
            "−0.5 (−1.0 to 0.2)|0.77 (0.68-0.87)|1 [Reference]|10.20 (8.00-12.00)|>999",
            ">999|10.20 (8.00-12.00)|1 [Reference]|0.77 (0.68-0.87)|−0.5 (−1.0 to 0.2)",
        ),
        (3, "<.001|.049|.12|>.99|", ">.99|.12|.049|<.001|"),
        (4, "Apple|fig|pear|plum 9|plum 10", "plum 10|plum 9|pear|fig|Apple"),
    ],
)
def test_rows_are_sorted_by_value_within_their_group_and_put_back(
    odd: Any, place: int, rising: str, falling: str
) -> None:
    before = [column(odd, i) for i in range(5)]
    head = odd.locator("thead th").nth(place)
    for direction, wanted in (("ascending", rising), ("descending", falling)):
        head.get_by_role("button").press("Enter")
        assert head.get_attribute("aria-sort") == direction
        assert "|".join(column(odd, place)[0]).replace("\u202f", " ") == wanted
        assert odd.locator("[role=status]").inner_text().endswith(f"{direction}, within groups")
    head.get_by_role("button").press("Space")
    assert head.get_attribute("aria-sort") is None
    assert [column(odd, i) for i in range(5)] == before


def test_deeper_rows_stay_with_theirs_and_rows_of_another_depth_where_they_are(odd: Any) -> None:
    odd.locator("thead th").nth(1).get_by_role("button").click()
    assert column(odd, 0)[1] == ["g", "f", "f below", "on its own"]


def test_a_table_of_the_report_is_sorted_as_its_csv_says(browser: Any, reports: dict[str, Path]) -> None:
    with (reports["small"] / "tables" / "table2.csv").open(encoding="utf-8") as lines:
        header, *rows = list(csv.reader(lines))
    place = next(i for i, name in enumerate(header) if "Adjusted" in name)
    ratios = [row[place] for row in rows if re.match(r"\d+\.\d\d \(|1 \[", row[place])]
    with opened(browser, reports["small"] / "report.html") as page:
        heads = page.locator("#table2 th[data-column]")
        head = next(h for h in heads.all() if h.get_attribute("data-column") == str(place))
        assert "Adjusted" in head.inner_text()
        head.get_by_role("button").click()
        shown = [[t for t in run if t in ratios] for run in column(page, place, "#table2 table")]
    assert sorted(t for run in shown for t in run) == sorted(ratios)
    for run in shown:
        values = [float(text.split(" ")[0]) for text in run]
        assert values == sorted(values)
        assert len(run) > 2


# ---------------------------------------------------------------- values of figures


def tips(page: Any, figure: str) -> list[str]:
    return page.locator(f"#{figure} [data-tip]").evaluate_all("(marks) => marks.map((m) => m.dataset.tip)")


def test_values_on_a_curve_are_those_of_the_csv(browser: Any, reports: dict[str, Path]) -> None:
    with (reports["small"] / "curves.csv").open(encoding="utf-8") as lines:
        points = list(csv.DictReader(lines))
    said = {ratio_interval(*(float(p[c]) for c in ("estimate", "conf_low", "conf_high"))) for p in points}
    with opened(browser, reports["small"] / "report.html") as page:
        found = tips(page, "figure_curves")
        assert len(found) > 20
        for tip in found:
            ratio = re.search(r"\d+\.\d\d(?: \([^)]*\))?", tip.partition(": ")[2])
            assert ratio, tip
            assert any(text.startswith(ratio[0]) for text in said), tip


def test_values_are_shown_under_the_pointer_and_go_away(browser: Any, reports: dict[str, Path]) -> None:
    with opened(browser, reports["small"] / "report.html") as page:
        for figure in ("figure_curves", "figure_forest"):
            marks = page.locator(f"#{figure} [data-tip]")
            for i in (0, marks.count() // 2, marks.count() - 1):
                marks.nth(i).scroll_into_view_if_needed()
                page.wait_for_timeout(60)
                box = marks.nth(i).bounding_box()
                page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
                tip = page.locator(".tooltip")
                assert tip.inner_text() == marks.nth(i).get_attribute("data-tip")
                place = tip.bounding_box()
                assert place["x"] >= 0
                assert place["x"] + place["width"] <= 1400
            page.mouse.move(5, 5)
            assert not page.locator(".tooltip").is_visible()


def test_values_can_be_had_by_the_arrow_keys(browser: Any, reports: dict[str, Path]) -> None:
    with opened(browser, reports["small"] / "report.html") as page:
        found = tips(page, "figure_forest")
        plot = page.locator("#figure_forest .plot")
        assert "arrow keys" in (plot.get_attribute("aria-label") or "")
        plot.focus()
        for key, wanted in (("ArrowRight", 0), ("ArrowRight", 1), ("End", -1), ("ArrowLeft", -2), ("Home", 0)):
            plot.press(key)
            assert page.locator(".tooltip").inner_text() == found[wanted]
            assert page.locator("[role=status]").inner_text() == found[wanted]
        plot.press("Escape")
        assert not page.locator(".tooltip").is_visible()


def test_values_can_be_had_by_a_finger(browser: Any, reports: dict[str, Path]) -> None:
    with opened(browser, reports["small"] / "report.html", width=360, has_touch=True, is_mobile=True) as page:
        mark = page.locator("#figure_curves [data-tip]").nth(5)
        mark.scroll_into_view_if_needed()
        page.wait_for_timeout(60)
        box = mark.bounding_box()
        page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        assert page.locator(".tooltip").inner_text() == mark.get_attribute("data-tip")
        place = page.locator(".tooltip").bounding_box()
        assert place["x"] + place["width"] <= 360


def test_a_keyboard_gets_everywhere(browser: Any, reports: dict[str, Path]) -> None:
    with opened(browser, reports["small"] / "report.html", width=360) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('main') !== null")
        wide = page.locator("#table2 .scroll")
        assert wide.get_attribute("tabindex") == "0"
        assert wide.get_attribute("aria-label") == "Table 2. Walking and the event"
        wide.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(300)
        assert wide.evaluate("(box) => box.scrollLeft") > 0
    with opened(browser, reports["small"] / "report.html") as page:
        assert page.locator("#table2 .scroll").get_attribute("tabindex") is None, "what does not scroll is no stop"
