from __future__ import annotations

import re

from walkrisk.reports.quality_page import MOST_COMPLETE, quality_html
from walkrisk.sensors.quality import QualityRow, SensorQuality, quality_columns, row_of_fault


def row(who: str, **values: object) -> dict[str, object]:
    return QualityRow(**{"participant_id": who, "status": "complete", **values}).table()  # type: ignore[arg-type]


def test_a_row_is_flat_and_unknown_figures_are_empty() -> None:
    read = SensorQuality(status="read", hours=1 / 3, error_before_mg=float("nan"))
    flat = row("p", thigh=read, notes=("One.", "Two."))
    assert flat["thigh_hours"] == 0.333333
    assert flat["thigh_error_before_mg"] is None
    assert flat["back_status"] == "absent"
    assert flat["notes"] == "One. Two."
    assert list(flat) == quality_columns()


def test_the_page_shows_trouble_first_and_leads_to_the_pictures() -> None:
    rows = [row("a"), row_of_fault("b<i>", "It died.").table(), row("c", status="reduced")]
    page = quality_html(rows, pictures={"a": "pictures/a.png"}, notes=("Said.",), version="1")
    shown = re.findall(r'scope="row">(?:<a href="[^"]*">)?([^<]*)', page)
    assert shown == ["b&lt;i&gt;", "c", "a"]
    assert '<a href="pictures/a.png">a</a>' in page
    assert "It died." in page
    assert "Said." in page
    assert "Simulated recordings" not in page
    assert "Simulated recordings" in quality_html([row("a", simulated=True)], pictures={}, notes=(), version="1")


def test_a_page_of_a_large_cohort_says_what_it_leaves_out() -> None:
    rows = [row(f"p{i}") for i in range(MOST_COMPLETE + 7)]
    page = quality_html(rows, pictures={}, notes=(), version="1")
    assert "7 further complete participants" in page
    assert page.count('scope="row"') == MOST_COMPLETE
