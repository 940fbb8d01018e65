"""The table of what is not published: how many cells, where and why; no values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from walkrisk.estimates.withheld import REASONS, Reason, Withheld
from walkrisk.tables.table import Head, Row, Table

ID = "disclosure"
HEADS: dict[Reason, str] = {
    "small": "Small counts",
    "complementary": "Complementary",
    "difference": "Differences",
    "derived": "Following from counts",
    "tail": "Extreme values",
    "merged": "Merged",
}
FILES = {
    "estimates": "Analyses",
    "characteristics": "Descriptive tables",
    "diagnostics": "Model fits",
    "specifications": "Specifications of multiverses",
    "points": "Figures of sensitivity analyses",
    "flow": "Participant flow",
    "histograms": "Histograms",
    "curves": "Dose-response curves",
    "cutpoints": "Cut points and knots",
}


def disclosure_table(withheld: Sequence[Withheld], *, number: str = "") -> Table | None:
    """Cells withheld by where they are missing and why; None if none are."""
    if not withheld:
        return None
    reasons = [r for r in HEADS if any(w.reason == r for w in withheld)]
    rows: list[Row] = []
    for file in dict.fromkeys([*FILES, *(w.file for w in withheld)]):
        mine = [w for w in withheld if w.file == file]
        if mine:
            rows.append(Row(kind="heading", cells=(f"{FILES.get(file, file)} ({file}.csv)",)))
            for name in dict.fromkeys(w.analysis or w.exposure for w in mine):
                found = Counter(w.reason for w in mine if (w.analysis or w.exposure) == name)
                counts = (str(found[r]) if found[r] else "" for r in reasons)
                rows.append(Row(cells=(name or "All", *counts, str(found.total())), indent=1))
    total = Counter(w.reason for w in withheld)
    rows.append(Row(cells=("All", *(str(total[r]) for r in reasons), str(total.total()))))
    return Table(
        id=ID,
        title="Cells that are not shown, by place and reason",
        number=number,
        header=(
            Head("Place"),
            Head("No. of cells withheld", parts=tuple(Head(HEADS[r], f"{REASONS[r].capitalize()}.") for r in reasons)),
            Head("All"),
        ),
        rows=tuple(rows),
        notes=("Names are those of the csv files; disclosure.csv has a row for every cell, never its value.",),
    )
