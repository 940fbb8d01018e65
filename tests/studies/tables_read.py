"""Reads a table back from each of its files, by parsers of its own: what a reader of that format sees.

Footnote letters stand in ⟨⟩ behind their text. A csv has none, nor the narrow spaces of thousands: see `in_csv`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import docx
from docx.oxml.ns import qn
from docx.text.paragraph import Paragraph

NARROW = "\u202f"


@dataclass(frozen=True)
class Read:
    """Heads (one a column, its span in front), rows of cells, notes."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def in_csv(table: Read) -> Read:
    """The same table as its csv has it: no letters behind texts, no narrow spaces, so that a count is a number."""

    def bare(text: str) -> str:
        return re.sub(r"⟨[a-z]+⟩", "", text).replace(NARROW, "")

    def plain(text: str) -> str:
        return re.sub(r"^⟨([a-z]+)⟩", r"\1", text).replace(NARROW, "")

    heads = tuple(bare(h) for h in table.heads)
    return Read(heads, tuple(tuple(bare(c) for c in r) for r in table.rows), tuple(plain(n) for n in table.notes))


def _flat(tiers: list[list[str]]) -> tuple[str, ...]:
    return tuple(": ".join(dict.fromkeys(part for part in column if part)) for column in zip(*tiers, strict=True))


# ---------------------------------------------------------------- HTML


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, list[tuple[str, int, int]]]] = []  # head or body -> texts with their spans
        self.notes: list[str] = []
        self._part, self._text, self._span, self._in_note = "", "", (1, 1), False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag in ("thead", "tbody"):
            self._part = tag
        elif tag == "tr":
            self.lines.append((self._part, []))
        elif tag in ("th", "td"):
            self._text, self._span = "", (int(said.get("colspan") or 1), int(said.get("rowspan") or 1))
        elif tag == "sup":
            self._text += "⟨"
        elif tag == "li" and self._in_note:
            self._text = ""
        elif tag == "ul":
            self._in_note = said.get("class") == "notes"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("th", "td"):
            self.lines[-1][1].append((self._text, *self._span))
        elif tag == "sup":
            self._text += "⟩"
        elif tag == "li" and self._in_note:
            self.notes.append(self._text)

    def handle_data(self, data: str) -> None:
        self._text += data


def read_html(path: Path) -> Read:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    width = sum(wide for _, wide, _ in page.lines[0][1])
    heads = [line for part, line in page.lines if part == "thead"]
    grid = [[""] * width for _ in heads]
    taken = [[False] * width for _ in heads]
    for i, line in enumerate(heads):
        for text, wide, high in line:
            at = taken[i].index(False)
            for row in range(i, i + high):
                for column in range(at, at + wide):
                    grid[row][column], taken[row][column] = text, True
    rows = [
        tuple(cell for text, wide, _ in line for cell in (text, *[""] * (wide - 1)))
        for part, line in page.lines
        if part == "tbody"
    ]
    return Read(_flat(grid), tuple(rows), tuple(page.notes))


# ---------------------------------------------------------------- Word


def _said(paragraph: Paragraph) -> str:
    return "".join(f"⟨{r.text}⟩" if r.font.superscript else r.text for r in paragraph.runs)


def read_docx(path: Path) -> Read:
    document = docx.Document(io.BytesIO(path.read_bytes()))
    (table,) = document.tables
    grid = [[_said(cell.paragraphs[0]) for cell in row.cells] for row in table.rows]
    tiers = len(table._tbl.xpath("w:tr/w:trPr/w:tblHeader"))
    whole = [len(row._tr.tc_lst) == 1 and len(line) > 1 for row, line in zip(table.rows, grid, strict=True)]
    rows = [
        (line[0], *[""] * (len(line) - 1)) if merged else tuple(line)
        for line, merged in zip(grid[tiers:], whole[tiers:], strict=True)
    ]
    after = list(document.element.body).index(table._tbl)
    below = [e for e in list(document.element.body)[after:] if e.tag == qn("w:p")]
    return Read(_flat(grid[:tiers]), tuple(rows), tuple(_said(Paragraph(e, document)) for e in below))


# ---------------------------------------------------------------- LaTeX

SYMBOLS = {
    r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", r"\textless{}": "<",
    r"\textgreater{}": ">", r"\textbar{}": "|", r"\textquotedbl{}": '"', r"\textquotesingle{}": "'",
    r"\textasciigrave{}": "`", r"\texttimes{}": "×", r"\texttwosuperior{}": "²", r"\textperiodcentered{}": "·",
    "$-$": "−", r"$\geq$": "≥", r"$\leq$": "≤", r"$\infty$": "∞", r"$\rightarrow$": "→", r"$\chi$": "χ",
    r"$\beta$": "β", r"$\kappa$": "κ", r"$\Delta$": "Δ",
    r"\,": NARROW, r"\&": "&", r"\%": "%", r"\$": "$", r"\#": "#", r"\_": "_", r"\{": "\\lbrace", r"\}": "\\rbrace",
}  # fmt: skip


def _printed(tex: str) -> str:
    """What LaTeX prints for a piece of a cell."""
    tex = re.sub(r"^\\leftskip=[\d.]+mm\\relax ?", "", tex.strip())
    tex = re.sub(r"\\textsuperscript\{([a-z]+)\}", r"⟨\1⟩", tex)
    bold = re.fullmatch(r"\\textbf\{(.*)\}(⟨[a-z]+⟩)?", tex)
    tex = bold[1] + (bold[2] or "") if bold else tex
    for code, character in SYMBOLS.items():
        tex = tex.replace(code, character)
    return tex.replace("{}", "").replace("\\lbrace", "{").replace("\\rbrace", "}")


def _group(tex: str, at: int) -> tuple[str, int]:
    """The content of the group whose brace opens at `at`, and where it ends."""
    depth = 0
    for i in range(at, len(tex)):
        if tex[i] in "{}" and tex[i - 1] != "\\":
            depth += 1 if tex[i] == "{" else -1
            if depth == 0:
                return tex[at + 1 : i], i + 1
    raise ValueError(tex)


def _latex_cells(line: str) -> list[str]:
    line = re.sub(r" \\\\\*?$", "", line)
    cells: list[str] = []
    for piece in re.split(r" (?<!\\)& ", f" {line} "):
        text = piece.strip()
        if text.startswith(r"\multicolumn"):
            count, at = _group(text, len(r"\multicolumn"))
            _, at = _group(text, at)
            content, _ = _group(text, at)
            cells += [_printed(content), *["§span" if int(count) else ""] * (int(count) - 1)]
        else:
            cells.append(_printed(text))
    return cells


def read_latex(path: Path) -> Read:
    lines = path.read_text(encoding="utf-8").splitlines()
    body = lines[lines.index(r"\toprule") + 1 :]
    middle = body.index(r"\midrule")
    heads = [_latex_cells(line) for line in body[:middle] if line.endswith(r"\\")]
    tiers = [[line[max(j for j in range(i + 1) if line[j] != "§span")] for i in range(len(line))] for line in heads]
    if r"\endlastfoot" in body:
        foot = body[body.index(r"\endfoot") : body.index(r"\endlastfoot")]
        notes = [_latex_cells(line)[0] for line in foot if line.endswith(r"\\")]
        rest = body[body.index(r"\endlastfoot") : body.index(r"\end{longtable}")]
    else:
        after = body[body.index(r"\end{tabular}") :]
        start = r"\par\vspace{2pt}\raggedright "
        notes = [_printed(line.removeprefix(start)) for line in after if line.startswith(start)]
        rest = body[middle : body.index(r"\bottomrule")]
    cells = [_latex_cells(line) for line in rest if line.endswith((r" \\", r" \\*"))]
    rows = [tuple("" if c == "§span" else c for c in line) for line in cells]
    return Read(_flat(tiers), tuple(rows), tuple(notes))


# ---------------------------------------------------------------- Markdown


def _shown(markdown: str) -> str:
    text = re.sub(r"^(&emsp;)+", "", markdown.strip())
    text = re.sub(r"<sup>([a-z]+)</sup>", r"⟨\1⟩", text)
    text = re.sub(r"^\*\*(.*)\*\*(⟨[a-z]+⟩)?$", r"\1\2", text)
    return re.sub(r"\\([\\`*_\[\]<>|~^$#])", r"\1", text).replace("&amp;", "&")


def read_markdown(path: Path) -> Read:
    lines = path.read_text(encoding="utf-8").splitlines()
    grid = [[_shown(c) for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if line.startswith("|")]
    last = max(i for i, line in enumerate(lines) if line.startswith("|"))
    notes = tuple(_shown(line) for line in lines[last + 1 :] if line)
    return Read(tuple(grid[0]), tuple(map(tuple, grid[2:])), notes)


# ---------------------------------------------------------------- CSV


def read_csv(path: Path) -> Read:
    lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    width = len(lines[0]) - (lines[0][-1] == "data")
    title = next(i for i, line in enumerate(lines) if line[0].startswith("Title: "))
    rows = tuple(tuple(line[:width]) for line in lines[1:title])
    return Read(tuple(lines[0][:width]), rows, tuple(line[0].removeprefix("Note: ") for line in lines[title + 1 :]))


FORMATS: dict[str, Callable[[Path], Read]] = {
    "html": read_html, "docx": read_docx, "tex": read_latex, "md": read_markdown, "csv": read_csv,
}  # fmt: skip


def faults(folder: Path) -> list[str]:
    """What is not the same string in every file of the tables in `folder`, a sentence each; all that is missing too."""
    found: list[str] = []
    for page in sorted(folder.glob("*.html")):
        whole = read_html(page)
        for ending, read in FORMATS.items():
            path = page.with_suffix(f".{ending}")
            if not path.is_file():
                found.append(f"{path.name} is missing")
                continue
            expected, got = (in_csv(whole), read(path)) if ending == "csv" else (whole, read(path))
            found += [
                f"{path.name}: {getattr(got, part)!r} is not {getattr(expected, part)!r}"
                for part in ("heads", "rows", "notes")
                if getattr(got, part) != getattr(expected, part)
            ]
    return found
