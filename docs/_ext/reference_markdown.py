"""Pieces of Markdown that the reference pages are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

DOI = re.compile(r"\bdoi (10\.\d{4,9}/\S*[^\s.,;:])")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells may hold Markdown but no line break."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def code(text: object) -> str:
    """A code span."""
    return f"`{text}`"


def codes(values: Iterable[object]) -> str:
    """Code spans one after the other."""
    return ", ".join(code(v) for v in values)


def with_links(text: str) -> str:
    """A text whose DOIs are links; a closing bracket belongs to the sentence unless it was opened in the DOI."""

    def link(found: re.Match[str]) -> str:
        doi, after = found[1], ""
        while doi.endswith(")") and doi.count(")") > doi.count("("):
            doi, after = doi[:-1].rstrip(".,;:"), ")" + after
        return f"<doi:{doi}>{after}"

    return DOI.sub(link, text)


def docstring(text: str) -> str:
    """A docstring as Markdown: examples become blocks of their own, DOIs links."""
    out: list[str] = []
    inside = False
    for line in with_links(text).splitlines():
        if line.startswith(">>> ") and not inside:
            out += ["```{code-block} pycon"]
            inside = True
        elif inside and not line.strip():
            out += ["```"]
            inside = False
        out.append(line)
    return "\n".join([*out, "```"] if inside else out)


def sentence(text: str) -> str:
    """A text that begins with a capital (unless a name or code comes first) and ends with a full stop."""
    text = text.strip()
    if re.match(r"[a-z]+[ ,;('’]|[a-z]+$|default:", text):
        text = text[0].upper() + text[1:]
    return text + ("" if text.endswith((".", "?", ":")) or not text else ".")
