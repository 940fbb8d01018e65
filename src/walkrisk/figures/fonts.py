"""The font of all figures: DejaVu Sans cut down to what figures say, so that every picture embeds it in no time.

The two files beside this module are cut by `lean` from those that come with matplotlib, under a name of their own.
Their licence lets them be changed, given away and embedded as long as its notice stays in them.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

import matplotlib
from fontTools import subset
from fontTools.ttLib import TTFont
from matplotlib.font_manager import fontManager

FAMILY = "DejaVu Sans Lean"
FAMILIES = (FAMILY, "DejaVu Sans")  # the whole font for letters of other scripts
STACK = "'DejaVu Sans Lean', 'DejaVu Sans', Verdana, Geneva, sans-serif"
_FOLDER = Path(__file__).parent
_FILES = {False: "DejaVuSansLean.ttf", True: "DejaVuSansLean-Bold.ttf"}
_NAMES = (0, 1, 2, 3, 4, 5, 6, 13, 14)  # copyright, names, version, licence and its address
_NOTICE = (0, 1, 2, 13, 14)
_NOT_NEEDED = ("FFTM", "GDEF", "GPOS", "GSUB", "MATH", "gasp")
_LEAN = (
    *(
        chr(code)
        for first, last in ((0x20, 0x7E), (0xA0, 0x17F), (0x391, 0x3A1), (0x3A3, 0x3C9))
        for code in range(first, last + 1)
    ),
    *"‐‑‒–—―‘’‚“”„†‡•…‰′″‹›⁄\u202f\u2009",
    *"⁰⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉←↑→↓−∞≈≠≤≥√∑∂◆●■▲○□△",
)


@cache
def known() -> None:
    """Tell matplotlib of the two files, which changes nothing for other fonts."""
    for file in _FILES.values():
        fontManager.addfont(_FOLDER / file)


@cache
def page_font() -> str:
    """The @font-face rules of a page that holds pictures: letters of Latin and Greek scripts, signs, both weights."""
    return face(_LEAN) + face(_LEAN, bold=True)


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
    font = TTFont(_FOLDER / _FILES[bold], lazy=True, recalcTimestamp=False)
    return _cut(font, characters, names=_NOTICE, flavor="woff")


def lean(*, bold: bool) -> bytes:
    """One of the two files, cut anew from matplotlib's."""
    whole = _FILES[bold].replace("Lean", "")
    font = TTFont(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / whole, recalcTimestamp=False)
    for entry in font["name"].names:
        spaced = entry.nameID in (1, 3, 4)
        if spaced or entry.nameID == 6:
            old, new = ("DejaVu Sans", FAMILY) if spaced else ("DejaVuSans", "DejaVuSansLean")
            entry.string = entry.toUnicode().replace(old, new)
    return _cut(font, "".join(_LEAN), names=_NAMES)


def _cut(font: TTFont, characters: str, *, names: Sequence[int], flavor: str | None = None) -> bytes:
    """A font with the glyphs of `characters`, without hints; letters are kerned by the old table, and never joined."""
    chosen = subset.Options(
        flavor=flavor, hinting=False, recalc_timestamp=False, name_IDs=list(names), legacy_kern=True
    )
    chosen.drop_tables += _NOT_NEEDED
    cutter = subset.Subsetter(chosen)
    cutter.populate(text=characters)
    cutter.subset(font)
    out = BytesIO()
    subset.save_font(font, out, chosen)
    return out.getvalue()
