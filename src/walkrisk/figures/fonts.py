"""The font of all figures as CSS: a face for a page, or only the glyphs that one picture needs."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from functools import cache
from io import BytesIO
from pathlib import Path

import matplotlib
from fontTools import subset

FAMILY = "DejaVu Sans"  # ships with matplotlib; its licence lets subsets be embedded with the notice in them
STACK = f"'{FAMILY}', Verdana, Geneva, sans-serif"
_FILES = {False: "DejaVuSans.ttf", True: "DejaVuSans-Bold.ttf"}
_NOTICE = (0, 1, 2, 13, 14)  # entries of a font's table of names: copyright, family, style, licence and its address
_NOT_NEEDED = ("FFTM", "GDEF", "GSUB", "MATH", "gasp")
_PAGE = (
    *(chr(code) for first, last in ((0x20, 0x7E), (0xA0, 0x17F), (0x391, 0x3C9)) for code in range(first, last + 1)),
    *"‐‑‒–—―‘’‚“”„†‡•…‰′″‹›⁄\u202f\u2009",
    *"⁰⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉←↑→↓−∞≈≠≤≥√∑∂◆●■▲○□△",
)


@cache
def page_font() -> str:
    """The @font-face rules of a page that holds pictures: letters of Latin and Greek scripts, signs, both weights."""
    return face(_PAGE) + face(_PAGE, bold=True)


def face(characters: Iterable[str], *, bold: bool = False) -> str:
    """One @font-face rule with the glyphs of `characters` as WOFF in a data address; empty without characters.

    The same characters give the same bytes. Characters that the font does not have are left to other fonts.
    """
    wanted = "".join(sorted(set(characters)))
    if not wanted:
        return ""
    data = base64.b64encode(_woff(wanted, bold)).decode("ascii")
    weight = 700 if bold else 400
    return (
        f"@font-face{{font-family:'{FAMILY}';font-weight:{weight};"
        f"src:url(data:font/woff;base64,{data}) format('woff')}}"
    )


@cache
def _woff(characters: str, bold: bool) -> bytes:
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / _FILES[bold]
    options = subset.Options(
        flavor="woff", layout_features=["kern"], hinting=False, recalc_timestamp=False, name_IDs=list(_NOTICE)
    )
    options.drop_tables += _NOT_NEEDED
    font = subset.load_font(str(path), options, lazy=True)
    cutter = subset.Subsetter(options)
    cutter.populate(text=characters)
    cutter.subset(font)
    out = BytesIO()
    subset.save_font(font, out, options)
    return out.getvalue()
