"""Equations as MathML, made when the site is built: the browser sets them, nothing is fetched and no script runs."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging

log = logging.getLogger(__name__)


def mathml(latex: str, *, block: bool) -> str:
    """An equation as a <math> element; its LaTeX stays in it as the annotation that can be copied."""
    text = latex.strip()
    if block and r"\\" in text and r"\begin" not in text:
        text = rf"\begin{{aligned}}{text}\end{{aligned}}"
    return str(convert(text, display="block" if block else "inline"))


def _made(self: Any, node: nodes.math | nodes.math_block, *, block: bool) -> str:
    try:
        return mathml(node.astext(), block=block)
    except Exception as error:  # whatever the converter meets is a fault of the page
        log.warning("equation %r cannot be set (%s)", node.astext(), type(error).__name__, location=node)
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
