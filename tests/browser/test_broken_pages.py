"""Every assertion on a page is seen to fail on one that was broken on purpose."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .looking import (
    barriers,
    cut_on_paper,
    dark_on_paper,
    opened,
    too_wide_for_paper,
    wider_than_the_window,
)

Break = Callable[[str], str]


def heard(page: Any) -> list[str]:
    page.wait_for_timeout(100)
    return list(page.heard)


def axe(page: Any) -> list[str]:
    """Stands for the one rule that is broken."""
    raise NotImplementedError


def unruled(text: str) -> str:
    """Without its policy, so that other changes are let in."""
    return re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)


def style(rules: str) -> Break:
    return lambda text: unruled(text).replace("</style>", f"{rules}</style>")


def script(line: str) -> Break:
    return lambda text: unruled(text).replace("</body>", f"<script>{line}</script></body>")


def body(markup: str) -> Break:
    return lambda text: text.replace("</main>", f"{markup}</main>")


def nameless(text: str) -> str:
    """Without what the flow figure is called."""
    return re.sub(r'aria-labelledby="flow[^"]*"', "", re.sub(r"<title id.*?</title>", "", text))


def unreachable(text: str) -> str:
    """Boxes that scroll, but not by keyboard."""
    text = text.replace('role="region" tabindex="0"', "")
    return unruled(text).replace("box.tabIndex = 0", "box.removeAttribute('tabindex')")


ROWS = "tr { break-inside: auto !important } #strobe td { font-size: 44pt; white-space: normal; line-break: anywhere }"
TALL = ".plot svg { max-height: none !important; width: 100% !important; height: 400mm !important }"
BREAKS = [
    (heard, "asked for", lambda t: body('<img src="https://example.org/a.png" alt="">')(unruled(t))),
    (heard, "asked for", script("fetch('https://example.org/').catch(() => 0)")),
    (heard, "error", body("<script>1</script>")),
    (heard, "error", body('<img src="https://example.org/a.png" alt="">')),
    (heard, "error", script("throw new Error('x')")),
    (heard, "warning", script("console.warn('x')")),
    (wider_than_the_window, "px wide", body('<p style="width: 3000px">x</p>')),
    (wider_than_the_window, "figure", style("figure.table { min-width: 1500px }")),
    (axe, "color-contrast", style("p { color: #bbb }")),
    (axe, "image-alt", body('<img src="data:image/png;base64,iVBORw0KGgo=">')),
    (axe, "svg-img-alt", nameless),
    (axe, "scrollable-region-focusable", unreachable),
    (cut_on_paper, "strobe: cut or missing", style(ROWS)),
    (cut_on_paper, "figure_forest: cut or missing", style(f"figure.drawn {{ break-inside: auto !important }} {TALL}")),
    (cut_on_paper, "no heads", style("thead { display: table-row-group !important }")),
    (cut_on_paper, "nothing but its title", style("#strobe tbody { break-before: page !important }")),
    (too_wide_for_paper, "beyond", style("table { min-width: 300mm }")),
    (dark_on_paper, "rgb", style(":root { --paper: #000 !important }")),
]


@pytest.mark.parametrize(("look", "word", "broken"), BREAKS, ids=range(len(BREAKS)))
def test_what_is_broken_is_found(
    browser: Any, reports: dict[str, Path], tmp_path: Path, look: Callable[[Any], list[str]], word: str, broken: Break
) -> None:
    text = (reports["small"] / "report.html").read_text(encoding="utf-8")
    path = tmp_path / "broken.html"
    assert broken(text) != text
    path.write_text(broken(text), encoding="utf-8")
    with opened(browser, path, width=360 if look in (axe, wider_than_the_window) else 1400) as page:
        found = barriers(page, word) if look is axe else look(page)
    assert any(word in fault for fault in found), found
