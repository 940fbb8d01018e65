"""Equations as MathML, made when the site is built: the browser sets them, nothing is fetched and no script runs."""

from __future__ import annotations

import re
import unicodedata
from html import unescape
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging

log = logging.getLogger(__name__)


LINES = {"aligned": "align*", "split": "align*", "gathered": "align*", "align": "align*"}  # what the converter knows


def mathml(latex: str, *, block: bool) -> str:
    """An equation as a <math> element. Raises ValueError for what the converter leaves unread."""
    text = re.sub(r"\\(begin|end)\{(\w+)\}", lambda m: f"\\{m[1]}{{{LINES.get(m[2], m[2])}}}", latex.strip())
    text = re.sub(r"\\mathrm\{(\w)\}", r"\\text{\1}", text)  # a lone letter would be set in italics
    if block and r"\\" in text and r"\begin" not in text:
        text = rf"\begin{{align*}}{text}\end{{align*}}"
    text = re.sub(r"\\(log|ln|exp|Pr|det) *(?=\w|\\(?!left|big|,|;|!|q))", r"\\\1\\,", text)
    made = str(convert(text, display="block" if block else "inline"))
    made = re.sub(r'<mi mathvariant="bold-italic">(.+?)</mi>', _bold, made)
    if r"\begin{align*}" in text:
        made = made.replace("<mtable", '<mtable class="lines"', 1)
    left = re.search(r">(\\[a-zA-Z]+|&)<", made)
    if left:
        raise ValueError(f"{left[1]} is not known here")
    return made


def _bold(found: re.Match[str]) -> str:
    """A letter set bold by itself: browsers know no other bold than that of the letter's own sign."""
    letter = unescape(found[1])
    kind = "SMALL" if letter.islower() else "CAPITAL"
    name = unicodedata.name(letter).split()[-1]
    return f"<mi>{unicodedata.lookup(f'MATHEMATICAL BOLD ITALIC {kind} {name}')}</mi>"


def _made(self: Any, node: nodes.math | nodes.math_block, *, block: bool) -> str:
    try:
        return mathml(node.astext(), block=block)
    except Exception as error:  # whatever the converter meets is a fault of the page
        log.warning("equation %r cannot be set: %s", node.astext(), error, location=node)
        return self.encode(node.astext())


def visit_inline(self: Any, node: nodes.math) -> None:
    self.body.append(_made(self, node, block=False))
    raise nodes.SkipNode


def visit_block(self: Any, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="equation", ROLE="group"))
    if node.get("number"):
        self.body.append(f'<span class="equation-number">({node["number"]})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(_made(self, node, block=True) + "</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
