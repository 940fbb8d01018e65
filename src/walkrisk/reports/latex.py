r"""A table as LaTeX: three rules of booktabs, lettered notes under it, longtable where it is long.

A file is a piece to \input; its first lines name the packages it needs. It is set with a page's width of 170 mm in
mind and takes the width it finds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from walkrisk.reports.html import HeadView, TableView, table_view
from walkrisk.reports.layout import HANG_MM, INDENT_MM, Setting, is_words, setting
from walkrisk.tables.table import Row, Table

PREAMBLE = (
    r"\usepackage[T1]{fontenc}",
    r"\usepackage[utf8]{inputenc}",
    r"\usepackage{textcomp,amssymb}",
    r"\usepackage[a4paper,margin=20mm]{geometry}",
    r"\usepackage{array,booktabs,longtable,pdflscape}",
)
STAMP = "[Simulated data] "
SIZES = {9.0: r"\footnotesize", 8.0: r"\scriptsize", 7.0: r"\scriptsize"}

COMMANDS = {
    "\\": "textbackslash", "~": "textasciitilde", "^": "textasciicircum", "<": "textless", ">": "textgreater",
    "|": "textbar", '"': "textquotedbl", "'": "textquotesingle", "`": "textasciigrave", "×": "texttimes",
    "±": "textpm", "·": "textperiodcentered", "°": "textdegree", "µ": "textmu", "²": "texttwosuperior",
    "³": "textthreesuperior", "¹": "textonesuperior", "½": "textonehalf", "…": "textellipsis", "•": "textbullet",
}  # fmt: skip
MATHS = {
    "−": "-", "≥": r"\geq", "≤": r"\leq", "≠": r"\neq", "≈": r"\approx", "∞": r"\infty", "→": r"\rightarrow",
    "←": r"\leftarrow", "↔": r"\leftrightarrow", "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta",
    "ε": r"\varepsilon", "κ": r"\kappa", "λ": r"\lambda", "μ": r"\mu", "ρ": r"\rho", "σ": r"\sigma", "τ": r"\tau",
    "φ": r"\varphi", "χ": r"\chi", "ω": r"\omega", "Δ": r"\Delta", "√": r"\surd", "∆": r"\Delta",
}  # fmt: skip
ESCAPES = (
    {c: "\\" + c for c in "&%$#_{}"}
    | {c: rf"\{name}{{}}" for c, name in COMMANDS.items()}
    | {c: f"${code}$" for c, code in MATHS.items()}
    | {"\u202f": r"\,", "\u2009": r"\thinspace{}", "\u00a0": r"\nobreakspace{}", "\u2011": "-{}"}
)


def escape(text: str) -> str:
    """Text that LaTeX prints as it is; letters beyond those of western Europe need LuaLaTeX or XeLaTeX."""
    out = "".join(ESCAPES.get(c, c) for c in text)
    return re.sub(r"([-,])(?=\1)", r"\1{}", out)  # no ligatures


def table_latex(table: Table, *, simulated: bool) -> str:
    """A table as LaTeX; one of more rows than a page takes goes over pages, a wide one lies on its side."""
    view, laid = table_view(table), setting(table)
    lines = list((_long if laid.long else _floating)(view, laid, simulated))
    if laid.sideways:
        lines = [r"\begin{landscape}", *lines, r"\end{landscape}"]
    head = ["% Needs, before \\begin{document}:", *(f"% {line}" for line in PREAMBLE)]
    if simulated:
        head = ["% SIMULATED DATA: these numbers are not results about people", *head]
    return "\n".join([*head, *lines]) + "\n"


def _floating(view: TableView, laid: Setting, simulated: bool) -> Iterator[str]:
    yield r"\begin{table}[htbp]"
    yield from _size(laid)
    yield from _number(view.table)
    yield _caption(view.table, simulated)
    yield rf"\begin{{tabular}}{{{_columns(view, laid)}}}"
    yield r"\toprule"
    yield from _heads(view, laid)
    yield r"\midrule"
    yield from _rows(view)
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield from (rf"\par\vspace{{2pt}}\raggedright {note}" for note in _notes(view))
    yield r"\end{table}"


def _long(view: TableView, laid: Setting, simulated: bool) -> Iterator[str]:
    width = view.table.columns
    yield r"\begingroup"
    yield from _size(laid)
    yield from _number(view.table)
    yield r"\setlength{\LTcapwidth}{\linewidth}"
    yield rf"\begin{{longtable}}{{{_columns(view, laid)}}}"
    yield rf"{_caption(view.table, simulated)} \\"
    yield r"\toprule"
    yield from _heads(view, laid)
    yield r"\midrule"
    yield r"\endfirsthead"
    yield r"\toprule"
    yield from _heads(view, laid)
    yield r"\midrule"
    yield r"\endhead"
    yield r"\bottomrule"
    yield r"\endfoot"
    yield r"\bottomrule"
    yield from (rf"\multicolumn{{{width}}}{{@{{}}p{{\linewidth}}@{{}}}}{{{note}}} \\" for note in _notes(view))
    yield r"\endlastfoot"
    yield from _rows(view)
    yield r"\end{longtable}"
    yield r"\endgroup"


def _size(laid: Setting) -> Iterator[str]:
    yield SIZES[laid.points]
    yield rf"\setlength{{\tabcolsep}}{{{3 if laid.sideways else 4}pt}}"
    yield r"\renewcommand{\arraystretch}{1.1}"


def _number(table: Table) -> Iterator[str]:
    """The number of the report ("eTable 3"); without this line LaTeX counts itself."""
    if table.number:
        name, _, number = table.number.rpartition(" ")
        yield rf"\renewcommand{{\tablename}}{{{escape(name)}}}\renewcommand{{\thetable}}{{{escape(number)}}}"


def _caption(table: Table, simulated: bool) -> str:
    return rf"\caption{{{escape((STAMP if simulated else '') + table.title)}}}\label{{tab:{table.id}}}"


def _columns(view: TableView, laid: Setting) -> str:
    """The columns as shares of the line, words to the left and numbers to the right."""
    hanging = rf"raggedright\hangindent={HANG_MM:g}mm"
    sides = (hanging if is_words(view, i) else "raggedleft" for i in range(len(laid.widths_mm)))
    whole = sum(laid.widths_mm)
    columns = (_column(side, width / whole) for side, width in zip(sides, laid.widths_mm, strict=True))
    return f"@{{}}{''.join(columns)}@{{}}"


def _column(side: str, share: float) -> str:
    return rf">{{\{side}\arraybackslash}}p{{\dimexpr {share:.4f}\linewidth-2\tabcolsep}}"


# ---------------------------------------------------------------- rows


def _heads(view: TableView, laid: Setting) -> Iterator[str]:
    """The tiers of heads, a rule under every span."""
    first, *rest = view.tiers
    yield from _tier(laid, first, deep=bool(rest))
    if rest:
        below = iter(rest[0])
        cells: list[str] = []
        for head in first:
            cells += [_head(next(below)) for _ in range(head.colspan)] if head.scope == "colgroup" else [_head(head)]
        yield " & ".join(cells) + r" \\"


def _tier(laid: Setting, tier: tuple[HeadView, ...], *, deep: bool) -> Iterator[str]:
    cells, rules, column = [], [], 0
    for head in tier:
        after = column + head.colspan
        if head.scope == "colgroup":
            kind = _column("centering", sum(laid.widths_mm[column:after]) / sum(laid.widths_mm))
            cells.append(rf"\multicolumn{{{head.colspan}}}{{{kind}}}{{{_head(head)}}}")
            rules.append(rf"\cmidrule(lr){{{column + 1}-{after}}}")
        else:
            cells.append("" if deep else _head(head))
        column = after
    yield " & ".join(cells) + r" \\"
    if rules:
        yield " ".join(rules)


def _head(head: HeadView) -> str:
    return rf"\textbf{{{escape(head.text)}}}{_mark(head.letter)}"


def _rows(view: TableView) -> Iterator[str]:
    for i, body in enumerate(view.bodies):
        if i:
            yield r"\addlinespace[2pt]"
        for row in body:
            yield _row(view, row)


def _row(view: TableView, row: Row) -> str:
    mark = _mark(view.letters.get(row.note, ""))
    indent = rf"\leftskip={row.indent * INDENT_MM:g}mm\relax " if row.indent else ""
    first, *rest = (escape(c) for c in row.cells)
    if row.kind == "heading":
        text = rf"{indent}\textbf{{{first}}}{mark}"
        return rf"\multicolumn{{{view.table.columns}}}{{@{{}}p{{\linewidth}}@{{}}}}{{{text}}} \\*"
    guard = "{}" if not indent and first[:1] in ("[", "*") else ""  # not an argument of the line before
    return " & ".join([f"{indent}{guard}{first}{mark}", *rest]) + r" \\"


def _mark(letter: str) -> str:
    return rf"\textsuperscript{{{letter}}}" if letter else ""


def _notes(view: TableView) -> Iterator[str]:
    yield from (rf"\textsuperscript{{{letter}}} {escape(note)}" for note, letter in view.letters.items())
    yield from (escape(note) for note in view.table.notes)
