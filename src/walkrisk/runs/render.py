"""From a run to its tables, figures and report, as files by name."""

from __future__ import annotations

import tomllib

from walkrisk.accounts.account import Drawing
from walkrisk.errors import StudyFault
from walkrisk.estimates.disclosure import merge_small_steps
from walkrisk.figures.fonts import page_font
from walkrisk.figures.render import FORMATS, Format
from walkrisk.figures.render import render as picture
from walkrisk.figures.svg import inline
from walkrisk.reports.docx import report_docx
from walkrisk.reports.html import FigureBlock, report_html
from walkrisk.reports.table_files import table_files
from walkrisk.runs.accounting import accounts_of
from walkrisk.runs.compute import Progress
from walkrisk.runs.drawings import drawings
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


def render(made: Run, *, study_sha256: str, progress: Progress) -> dict[str, str | bytes]:
    """tables/* and figures/* in every format, report.html and report.docx."""
    simulated = made.source.simulated
    marks = made.published.marks if made.published else None
    work = tabulation(made.study, made.results, simulated=simulated, marks=marks)
    accounts = accounts_of(work)
    tables = _tables(made, work) | {t.id: t for a in accounts.all() for t in a.tables}
    flow = merge_small_steps(made.results.flow, min_cell=made.study.settings.min_cell)
    drawn = list(drawings(made.study, made.results, flow=flow, simulated=simulated))
    drawn += [d for a in accounts.all() for d in a.drawings]
    files: dict[str, str | bytes] = {}
    pictures: dict[Format, dict[str, bytes]] = {fmt: {} for fmt in FORMATS}
    for i, d in enumerate(drawn):
        progress(f"Drawing {d.title}", i, len(drawn))
        for fmt in FORMATS:
            pictures[fmt][d.id] = picture(d.figure, fmt, title=d.title, alt=d.alt)
            files[f"figures/{d.id}.{fmt}"] = pictures[fmt][d.id]
    figures = {d.id: _block(d, i, pictures["svg"][d.id]) for i, d in enumerate(drawn, start=1)}
    progress("Writing the report", len(drawn), len(drawn))
    parts = report_parts(made, work, tables, figures, study_sha256=study_sha256, accounts=accounts)
    foot = f"{made.study.study.title}. Data: {made.source.name} (SHA-256 {made.source.sha256[:12]})"
    for table in (tables | parts.tables).values():
        files |= table_files(table, simulated=simulated, source=foot)
    files["report.html"] = report_html(parts, font=page_font())
    files["report.docx"] = report_docx(parts, pictures=pictures["png"])
    return files


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
    tables.append(warning_table(work))
    return {t.id: t for t in tables if t is not None}


def _block(drawing: Drawing, number: int, svg: bytes) -> FigureBlock:
    return FigureBlock(
        id=drawing.id,
        title=drawing.title,
        image=inline(svg, id=drawing.id, title=drawing.title, alt=drawing.alt),
        format="inline",
        alt=drawing.alt,
        caption=drawing.caption,
        number=f"Figure {number}",
    )
