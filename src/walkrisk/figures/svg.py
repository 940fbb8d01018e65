"""A picture as SVG: text as text with the font it needs, a title and a description; and the same within a page.

What matplotlib writes is made smaller without a change that is seen: coordinates of 0.01 points, no names of parts
that nothing refers to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape, unescape

from walkrisk.figures.fonts import STACK, face

_ROOT = re.compile(r"<svg\b[^>]*?\bviewBox=\"0 0 ([\d.]+) ([\d.]+)\"[^>]*>")
_HEAD = re.compile(r"<metadata>.*?</metadata>|<title>.*?</title>|<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)
_OURS = re.compile(r"<title\b.*?</title>|<desc\b.*?</desc>|<style\b.*?</style>", re.DOTALL)
_TEXT = re.compile(r"<text style=\"([^\"]*)\"([^>]*)>(.*?)</text>", re.DOTALL)
_SPACES = re.compile(r"\s*\n\s*")
_UNTURNED = re.compile(r' transform="rotate\(-?0 [^)]*\)"')
_LONG_NUMBER = re.compile(r"(\d+\.\d\d)\d+")
_GEOMETRY = re.compile(r' (?:d|x|y|width|height|transform|points)="[^"]*"')
_NAME = re.compile(r' id="([^"]*)"')
_REFERENCE = re.compile(r'(?:url\(|href=")#([^")]*)')
NARROW_PT = 360.0  # between one column of a journal and two
_STYLE = "stroke-linejoin:round;stroke-linecap:butt"


@dataclass(frozen=True, slots=True)
class Tip:
    """What a reader is told who points at a rectangle of a figure: inches from the lower left corner."""

    left: float
    bottom: float
    width: float
    height: float
    text: str


def standalone(drawn: str, *, title: str, desc: str, tips: Sequence[Tip] = ()) -> str:
    """The SVG that matplotlib wrote (svg.fonttype none) as a file of its own, with the marks of `tips`, unseen.

    Embedded are only the glyphs of its own text.
    """
    root = _ROOT.search(drawn)
    assert root is not None, "matplotlib writes a viewBox"
    width, height = float(root[1]), float(root[2])
    body = _body(drawn[root.end() :].rpartition("</svg>")[0])
    size = f"{width:g}pt", f"{height:g}pt"
    start = _start(size, (width, height), "title", "desc")
    style = f"<style>{_faces(body)}</style>"
    head = f'<title id="title">{escape(title)}</title><desc id="desc">{escape(desc)}</desc>{style}'
    return f'<?xml version="1.0" encoding="utf-8"?>\n{start}{head}\n{body}{_marks(tips, height)}</svg>\n'


def inline(svg: bytes, *, id: str, title: str, alt: str) -> str:
    """The same picture for a page: ids begin with `id`, its title and description are `title` and `alt`.

    Without prolog and font, which the page has once (`fonts.page_font`); as large as it is in print (CSS may make it
    smaller), and still with the marks that tell values, of class `tip` with their words in `data-tip`.
    """
    text = svg.decode("utf-8")
    root = _ROOT.search(text)
    assert root is not None, "made by render"
    body = _OURS.sub("", text[root.end() :].rpartition("</svg>")[0])
    for name in sorted(set(_NAME.findall(body)), key=len, reverse=True):
        body = body.replace(f' id="{name}"', f' id="{id}-{name}"')
        body = body.replace(f"url(#{name})", f"url(#{id}-{name})").replace(f'href="#{name}"', f'href="#{id}-{name}"')
    body = body.replace("xlink:href=", "href=")
    width, height = float(root[1]), float(root[2])
    size = f"{width * 4 / 3:.0f}", f"{height * 4 / 3:.0f}"
    start = _start(size, (width, height), f"{id}-title", f"{id}-desc", links=False)
    if width < NARROW_PT:
        start = start.replace("<svg ", '<svg class="narrow" ', 1)
    head = f'<title id="{id}-title">{escape(title)}</title><desc id="{id}-desc">{escape(alt)}</desc>'
    return f"{start}{head}{body.strip()}</svg>"


def _start(size: tuple[str, str], box: tuple[float, float], title: str, desc: str, *, links: bool = True) -> str:
    xlink = ' xmlns:xlink="http://www.w3.org/1999/xlink"' if links else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg"{xlink} width="{size[0]}" height="{size[1]}" '
        f'viewBox="0 0 {box[0]:g} {box[1]:g}" role="img" aria-labelledby="{title} {desc}" '
        f'font-family="{STACK}" style="{_STYLE}">'
    )


def _body(drawn: str) -> str:
    """The drawn parts, as few characters as they can be."""
    body = _HEAD.sub("", drawn)
    texts: list[str] = []

    def kept(found: re.Match[str]) -> str:
        texts.append(_text(*found.groups()))
        return f"\x00{len(texts) - 1}\x00"

    body = _TEXT.sub(kept, body)
    body = _SPACES.sub(" ", body).replace("> <", "><").strip()
    body = re.sub("<g> ?(\x00\\d+\x00) ?</g>", r"\1", body)
    body = _GEOMETRY.sub(lambda found: _LONG_NUMBER.sub(r"\1", found[0]).replace(' "', '"'), body)
    named = set(_REFERENCE.findall(body))
    body = _NAME.sub(lambda found: found[0] if found[1] in named else "", body)
    return re.sub("\x00(\\d+)\x00", lambda found: texts[int(found[1])], body)


def _text(style: str, place: str, words: str) -> str:
    """A text with its look in attributes; the family stands on the root."""
    look = dict(part.strip().split(": ", 1) for part in style.split(";") if part.strip())
    attributes = {
        "font-size": look["font-size"].removesuffix("px"),
        "font-weight": look.get("font-weight", ""),
        "text-anchor": look.get("text-anchor", "start").replace("start", ""),
        "fill": look.get("fill", ""),
        "opacity": look.get("opacity", ""),
    }
    said = "".join(f' {name}="{value}"' for name, value in attributes.items() if value)
    place = _LONG_NUMBER.sub(r"\1", _UNTURNED.sub("", place)).rstrip()
    return f"<text{said}{place}>{words}</text>"


def _faces(body: str) -> str:
    glyphs: dict[bool, set[str]] = {False: set(), True: set()}
    for attributes, words in re.findall(r"<text\b([^>]*)>(.*?)</text>", body, re.DOTALL):
        glyphs['font-weight="700"' in attributes] |= set(unescape(words))
    return face(glyphs[False]) + face(glyphs[True], bold=True)


def _marks(tips: Sequence[Tip], height: float) -> str:
    """Rectangles that are never painted, and answer to a pointer all the same."""
    if not tips:
        return ""
    marks = "".join(
        f'<rect class="tip" x="{72 * t.left:.1f}" y="{height - 72 * (t.bottom + t.height):.1f}" '
        f'width="{72 * t.width:.1f}" height="{72 * t.height:.1f}" data-tip="{escape(t.text)}"/>'
        for t in tips
    )
    return f'<g fill="none" pointer-events="all">{marks}</g>'
