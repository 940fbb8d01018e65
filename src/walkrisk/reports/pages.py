"""The frame of every page: its style, its script, and a policy that lets in nothing else."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

BANNER = "Simulated data: these numbers are not results about people"


@dataclass(frozen=True, slots=True)
class Frame:
    """Style, script and Content-Security-Policy of a page; the policy names the other two by their hashes."""

    style: Markup
    script: Markup
    policy: str


def page_html(
    template: str, *, title: str, simulated: bool, css: str = "", beside: bool = False, **content: Any
) -> str:
    """A page from one of the templates of this room; `css` comes after the style sheet of every page.

    With `beside` it may show pictures that lie beside it.
    """
    frame = _frame(own_file("style.css") + css, own_file("script.js"), "'self' file: data:" if beside else "data:")
    made = templates().get_template(template)
    return made.render(frame=frame, title=title, simulated=simulated, banner=BANNER, **content)


def _frame(style: str, script: str, images: str) -> Frame:
    ours = [
        "default-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        f"img-src {images}",
        "font-src data:",
        f"style-src {_hash(style)}",
        "style-src-attr 'unsafe-inline'",
        f"script-src {_hash(script)}",
    ]
    return Frame(Markup(style), Markup(script), "; ".join(ours))  # our own files


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


@cache
def templates() -> Environment:
    """The page templates of this room, everything escaped."""
    return Environment(
        loader=PackageLoader("walkrisk", "reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def own_file(name: str) -> str:
    """The text of a style sheet or script of this room."""
    loader = templates().loader
    assert loader is not None
    return loader.get_source(templates(), name)[0]
