"""A table as the files a run leaves of it: HTML, CSV, LaTeX, Markdown, Word."""

from __future__ import annotations

from walkrisk.reports.docx_tables import table_docx
from walkrisk.reports.html import table_csv, table_html
from walkrisk.reports.latex import table_latex
from walkrisk.reports.markdown import table_markdown
from walkrisk.tables.table import Table


def table_files(table: Table, *, simulated: bool, source: str) -> dict[str, str | bytes]:
    """tables/ID.* of a table; `source` is the line at the foot of its page."""
    return {
        f"tables/{table.id}.html": table_html(table, simulated=simulated, source=source),
        f"tables/{table.id}.csv": table_csv(table, simulated=simulated),
        f"tables/{table.id}.tex": table_latex(table, simulated=simulated),
        f"tables/{table.id}.md": table_markdown(table, simulated=simulated),
        f"tables/{table.id}.docx": table_docx(table, simulated=simulated),
    }
