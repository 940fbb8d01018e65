"""A page looked at in headless Chromium: every function gives back what is wrong with it, an empty list if nothing."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = (360, 1400)
PRINTED_PX = 695  # room between the margins of a sheet of A4


@contextmanager
def start_browser() -> Iterator[Any]:
    """Chromium of this machine; the test is skipped where there is none, or no playwright to drive it."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    places = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    path = next((p for p in places if p), None)
    if path is None:
        pytest.skip("no Chromium here: looked for chromium, chromium-browser and google-chrome")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


@contextmanager
def opened(browser: Any, path: Path, *, width: int = 1400, height: int = 900, **context: Any) -> Iterator[Any]:
    """A page opened from disk, with what it asked for and complained of in `page.heard`."""
    own = browser.new_context(viewport={"width": width, "height": height}, **context)
    page = own.new_page()
    heard: list[str] = []
    page.on("request", lambda r: heard.append(f"asked for {r.url[:80]}") if r.url != path.as_uri() else None)
    page.on("console", lambda m: heard.append(f"{m.type}: {m.text}") if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: heard.append(f"error: {e}"))
    page.goto(path.as_uri())
    page.heard = heard
    yield page
    own.close()


def wider_than_the_window(page: Any) -> list[str]:
    """What stands out beyond the window; what scrolls in a box of its own may."""
    found = page.evaluate(
        """() => [...document.querySelectorAll("body *")]
          .filter((e) => !e.closest(".scroll table, .plot svg, .unseen, .skip, .tooltip"))
          .filter((e) => { const b = e.getBoundingClientRect(); return b.width && b.right > innerWidth + 1; })
          .slice(0, 5).map((e) => e.outerHTML.slice(0, 90))"""
    )
    page_px, window_px = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    return [*found, *([f"the page is {page_px} px wide in {window_px}"] if page_px > window_px else [])]


def barriers(page: Any, *rules: str) -> list[str]:
    """Serious and critical findings of axe, of all its rules or of some; a picture is one thing for it, as for people
    who listen."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    found = axe.run(page, context={"exclude": [["svg *"]]}, options=options).response["violations"]
    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    return [f"{v['id']}: {v['help']}: {v['nodes'][0]['html'][:200]}" for v in serious]


# ---------------------------------------------------------------- on paper


def printed(page: Any) -> list[str]:
    """The text of each sheet of the page printed on A4, blanks left out."""
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(page.pdf(format="A4", prefer_css_page_size=True, print_background=True)))
    return [bare(sheet.extract_text()) for sheet in reader.pages]


def bare(text: str) -> str:
    """Without blanks, ligatures and signs that a PDF writes in another way."""
    text = text.replace("ﬁ", "fi").replace("ﬂ", "fl").replace("ﬀ", "ff").replace("ﬃ", "ffi").replace("ﬄ", "ffl")
    return re.sub(r"[\s\u00ad]+", "", text)


def cut_on_paper(page: Any) -> list[str]:
    """Rows of tables and pictures that are not whole on one sheet, and sheets with rows but without their heads."""
    page.emulate_media(media="print")
    texts = printed(page)
    faults = []
    for figure in page.evaluate(FIGURES):
        where = set()
        for row in figure["rows"]:
            wanted = [bare(cell) for cell in row if cell]
            on = [i for i, text in enumerate(texts) if all(cell in text for cell in wanted)]
            if not on:
                faults.append(f"{figure['id']}: cut or missing: {' | '.join(row)[:120]}")
            where |= {on[0]} if len(on) == 1 else set()
        title, first = bare(figure["title"]), [bare(cell) for cell in figure["rows"][0] if cell]
        if not any(title in text and all(cell in text for cell in first) for text in texts):
            faults.append(f"{figure['id']}: nothing but its title on a sheet")
        head = [bare(cell) for cell in figure["head"] if cell]
        faults += [
            f"{figure['id']}: no heads on sheet {i + 1}" for i in where if not all(cell in texts[i] for cell in head)
        ]
    return faults


FIGURES = """() => [...document.querySelectorAll("main figure")].map((figure) => {
  const cells = (row) => [...row.cells].map((c) => c.innerText.trim());
  const table = figure.querySelector("table"), svg = figure.querySelector("svg");
  const named = [...figure.querySelector("caption, figcaption").childNodes];
  const title = named.filter((n) => n.nodeType === Node.TEXT_NODE).map((n) => n.data).join("").trim();
  return {
    id: figure.id,
    title,
    head: table ? [...table.tHead.rows].flatMap(cells) : [],
    rows: table ? [...table.tBodies].flatMap((b) => [...b.rows].map(cells))
      : [[title, ...[...svg.querySelectorAll("text")].map((t) => t.textContent.trim())]],
  };
})"""


def too_wide_for_paper(page: Any) -> list[str]:
    """What would make the browser shrink the page to get it onto the paper."""
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PRINTED_PX, "height": 900})
    found = page.evaluate(
        """() => [...document.querySelectorAll("main *")].filter((e) => !e.closest("svg"))
          .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
          .slice(0, 3).map((e) => e.outerHTML.slice(0, 90))"""
    )
    return [f"beyond the paper: {text}" for text in found]


def dark_on_paper(page: Any) -> list[str]:
    """Whether dark colours would be printed."""
    page.emulate_media(media="print", color_scheme="dark")
    paper, ink = page.evaluate(
        "(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.body))"
    )
    return [] if (paper, ink) == ("rgb(255, 255, 255)", "rgb(26, 31, 36)") else [f"{ink} on {paper}"]
