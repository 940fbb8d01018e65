"""quality.html: the quality table of recordings for a person to look at, with a way to each participant's picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from walkrisk.reports.pages import own_file, page_html

MOST_COMPLETE = 1000  # rows of complete participants shown; all are in quality.csv
TITLE = "Quality of the recordings"
ORDER = ("failed", "reduced", "complete")


@dataclass(frozen=True, slots=True)
class _Page:
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    left_out: int
    version: str


def quality_html(
    rows: Sequence[Mapping[str, Any]], *, pictures: Mapping[str, str], notes: Sequence[str], version: str
) -> str:
    """The rows of quality.csv as a page, those with trouble first.

    `pictures` maps a participant to the path of the picture from the page; `notes` are shown above the table.
    """
    counts = {status: sum(row["status"] == status for row in rows) for status in ORDER}
    ordered = sorted(rows, key=lambda row: ORDER.index(row["status"]))
    shown = ordered[: counts["failed"] + counts["reduced"] + MOST_COMPLETE]
    page = _Page(
        facts=(
            ("Participants", f"{len(rows):,}"),
            ("Complete", f"{counts['complete']:,} (both recordings used)"),
            ("Reduced", f"{counts['reduced']:,} (one recording used)"),
            ("Failed", f"{counts['failed']:,} (no days)"),
            ("Days", f"{sum(row['days'] for row in rows):,}"),
        ),
        notes=tuple(notes),
        rows=tuple(_view(row, pictures.get(str(row["participant_id"]), "")) for row in shown),
        left_out=len(rows) - len(shown),
        version=version,
    )
    simulated = any(row["simulated"] for row in rows)
    return page_html(
        "quality.html.j2", title=TITLE, simulated=simulated, css=own_file("quality.css"), beside=True, page=page
    )


def _view(row: Mapping[str, Any], picture: str) -> dict[str, Any]:
    return {
        "participant_id": row["participant_id"],
        "picture": picture,
        "status": row["status"],
        "days": row["days"],
        "wear": _number(row["wear_h"], 1),
        "walking": _number(row["walking_min_day"], 0),
        "clocks": row["clocks"],
        "offset": _number(row["clock_offset_s"], 2),
        "drift": _number(row["clock_drift_s_day"], 2),
        "sensors": tuple(_sensor(row, site) for site in ("thigh", "back")),
        "notes": row["notes"],
    }


def _sensor(row: Mapping[str, Any], site: str) -> dict[str, str]:
    if row[f"{site}_status"] != "read":
        return {"bad": "", "missing": "", "calibration": row[f"{site}_status"], "placement": ""}
    errors = [_number(row[f"{site}_error_{when}_mg"], 1) for when in ("before", "after")]
    calibration = row[f"{site}_calibration"]
    return {
        "bad": _number(row[f"{site}_bad_blocks"], 0),
        "missing": _number(row[f"{site}_missing_blocks"], 0),
        "calibration": f"{calibration} ({errors[0]} → {errors[1]})" if all(errors) else calibration,
        "placement": row[f"{site}_placement"],
    }


def _number(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:,.{decimals}f}"
