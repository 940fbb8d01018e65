"""From a run to its tables, figures and report, as files by name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from walkrisk.accounts.account import Drawing
from walkrisk.errors import StudyFault
from walkrisk.estimates.disclosure import merge_small_steps
from walkrisk.figures.fonts import page_font
from walkrisk.figures.svg import inline
from walkrisk.reports.docx import report_docx
from walkrisk.reports.html import FigureBlock, ReportParts, report_html
from walkrisk.runs.accounting import accounts_of
from walkrisk.runs.compute import Progress
from walkrisk.runs.drawings import drawings
from walkrisk.runs.remaking import Kept, Making, drawing, remade, writing
from walkrisk.runs.report import report_parts
from walkrisk.runs.run import PUBLISHED_FILE, Run
from walkrisk.runs.tabulations import (
    Tabulation,
    descriptive_tables,
    published_tables,
    ratio_tables,
    section_tables,
    tabulation,
    test_table,
    warning_table,
)
from walkrisk.tables.diagnostics import flow_table
from walkrisk.tables.side_by_side import published_from
from walkrisk.tables.table import Table
from walkrisk.tables.withheld import disclosure_table


def render(
    made: Run, *, study_sha256: str, progress: Progress, jobs: int = 1, kept: Kept | None = None
) -> tuple[dict[str, str | bytes], dict[str, str]]:
    """tables/* and figures/* in every format, report.html and report.docx; and of what each was made, as hashes.

    Files that are `kept` are not made again where they would be the same.
    """
    simulated = made.source.simulated
    marks = made.published.marks if made.published else None
    work = tabulation(made.study, made.results, simulated=simulated, marks=marks)
    accounts = accounts_of(work)
    tables = _tables(made, work) | {t.id: t for a in accounts.all() for t in a.tables}
    tables = {name: _rounded(t, made.study.settings.round_counts) for name, t in tables.items()}
    flow = merge_small_steps(made.results.flow, min_cell=made.study.settings.min_cell)
    drawn = list(drawings(made.study, made.results, flow=flow, simulated=simulated))
    drawn += [d for a in accounts.all() for d in a.drawings]
    pictures = [drawing(d) for d in drawn]
    files = remade(pictures, kept=kept or Kept(), jobs=jobs, progress=progress)
    figures = {d.id: figure_block(d, i, as_bytes(files[f"figures/{d.id}.svg"])) for i, d in enumerate(drawn, start=1)}
    parts = report_parts(made, work, tables, figures, study_sha256=study_sha256, accounts=accounts)
    foot = f"{made.study.study.title}. Data: {made.source.name} (SHA-256 {made.source.sha256[:12]})"
    first, *more = [writing(t, simulated=simulated, source=foot) for t in (tables | parts.tables).values()]
    shown = {d.id: as_bytes(files[f"figures/{d.id}.png"]) for d in drawn}
    report = Making("report", "Writing the report", "", partial(_report, parts, shown))  # the longest, so begun soon
    files |= remade([first, report, *more], kept=kept or Kept(), jobs=jobs, progress=progress)
    return files, {m.name: m.made_from for m in (*pictures, first, *more) if m.made_from}


def _rounded(table: Table, base: int) -> Table:
    """A table with the note that its counts are rounded, where they are and it has any."""
    texts = (*table.leaves, *(row.cells[0] for row in table.rows))
    counts = base and table.id != "disclosure" and any("No." in text for text in texts)
    return replace(table, notes=(*table.notes, f"Counts are rounded to multiples of {base}.")) if counts else table


def _report(parts: ReportParts, pictures: Mapping[str, bytes]) -> dict[str, str | bytes]:
    return {
        "report.html": report_html(parts, font=page_font()),
        "report.docx": report_docx(parts, pictures=pictures),
    }


def as_bytes(content: str | bytes) -> bytes:
    """The content of a file as bytes."""
    return content if isinstance(content, bytes) else content.encode()


def _tables(made: Run, work: Tabulation) -> dict[str, Table]:
    """Every table by id: descriptive, ratios, tests, published beside obtained, fits with a remark."""
    flow = flow_table(made.results.flow, min_cell=made.study.settings.min_cell, id="flow")
    tables: list[Table | None] = [
        flow,
        *descriptive_tables(work),
        *ratio_tables(work),
        *section_tables(work),
        test_table(work),
    ]
    if PUBLISHED_FILE in made.attached:
        try:
            published = published_from(tomllib.loads(made.attached[PUBLISHED_FILE]))
        except tomllib.TOMLDecodeError as error:
            raise StudyFault(f"{PUBLISHED_FILE}: is not valid TOML: {error}.") from None
        tables += published_tables(work, published)
    tables += [warning_table(work), disclosure_table(made.published.withheld if made.published else ())]
    return {t.id: t for t in tables if t is not None}


def figure_block(drawing: Drawing, number: int, svg: bytes) -> FigureBlock:
    """A drawing as it stands in a page."""
    return FigureBlock(
        id=drawing.id,
        title=drawing.title,
        image=inline(svg, id=drawing.id, title=drawing.title, alt=drawing.alt),
        format="inline",
        alt=drawing.alt,
        caption=drawing.caption,
        number=f"Figure {number}",
    )
