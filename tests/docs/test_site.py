"""The site builds without a warning, every link in it leads somewhere, and it asks nothing of the network."""

from __future__ import annotations

import io
import re
import shutil
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from .pages import DOCS, blocks, pages

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")  # of Sphinx

LOADED = {  # attributes that make a browser fetch something, by element
    "link": ("href",),
    "script": ("src",),
    "img": ("src", "srcset"),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "iframe": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "input": ("src",),
    "image": ("href", "xlink:href"),
    "use": ("href", "xlink:href"),
}
SAID_ONLY = ("index", "search", "next", "prev", "author", "canonical")  # rel of <link> that loads nothing
OUTSIDE = re.compile(r"^(?!file:)(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)


@dataclass
class Page:
    """What a built page links to, loads and may be linked at."""

    path: Path
    links: list[str]
    loads: list[str]
    anchors: set[str]
    pictures_without_words: int
    styles: str


class _Reading(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page, self._in_style = page, False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {key: value or "" for key, value in attrs}
        if "id" in has:
            self.page.anchors.add(has["id"])
        if tag == "a" and "name" in has:
            self.page.anchors.add(has["name"])
        if tag == "a" and "href" in has:
            self.page.links.append(has["href"])
        if tag == "img" and not has.get("alt", "").strip():
            self.page.pictures_without_words += 1
        self.page.styles += has.get("style", "")
        self._in_style = tag == "style"
        if tag == "link" and has.get("rel") in SAID_ONLY:
            return
        self.page.loads += [has[name] for name in LOADED.get(tag, ()) if has.get(name)]

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.page.styles += data


@dataclass(frozen=True)
class Site:
    folder: Path
    warnings: str
    pages: dict[str, Page]  # by path from the folder


def build(source: Path, out: Path, said: io.StringIO) -> None:
    """Build pages as `make docs` does, warnings into `said`."""
    with patch_docutils(DOCS), docutils_namespace():
        Sphinx(source, DOCS, out / "html", out / "trees", "html", status=None, warning=said, freshenv=True).build()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site, built as `make docs` does."""
    out = tmp_path_factory.mktemp("site")
    said = io.StringIO()
    build(DOCS, out, said)
    found = {}
    for path in sorted((out / "html").rglob("*.html")):
        page = Page(path, [], [], set(), 0, "")
        _Reading(page).feed(path.read_text(encoding="utf-8"))
        found[path.relative_to(out / "html").as_posix()] = page
    return Site(out / "html", said.getvalue(), found)


def test_the_site_builds_without_a_warning(site: Site) -> None:
    assert site.warnings == ""


def test_every_page_is_built_and_reached_from_the_index(site: Site) -> None:
    reached, left = set(), ["index.html"]
    while left:
        name = left.pop()
        if name in reached or name not in site.pages:
            continue
        reached.add(name)
        left += [target for link in site.pages[name].links if (target := _target(site, name, link)[0])]
    written = {p.removeprefix("docs/").removesuffix(".md") + ".html" for p in pages() if p.startswith("docs/")}
    assert written - reached == set()


def test_every_link_leads_somewhere(site: Site) -> None:
    lost = []
    for name, page in site.pages.items():
        for link in page.links:
            target, anchor = _target(site, name, link)
            if target is None:
                continue
            if target not in site.pages:
                lost += [f"{name}: {link}"] if not (site.folder / target).is_file() else []
            elif anchor and anchor not in site.pages[target].anchors:
                lost.append(f"{name}: {link}")
    assert lost == []


def test_everything_a_page_loads_lies_in_the_site(site: Site) -> None:
    outside, lost = [], []
    for name, page in site.pages.items():
        for load in page.loads + _urls(page.styles):
            if OUTSIDE.match(load):
                outside.append(f"{name}: {load}")
            elif not load.startswith(("data:", "#")):
                lost += [] if _file(site, name, load).is_file() else [f"{name}: {load}"]
    for path in site.folder.rglob("*.css"):
        for url in _urls(path.read_text(encoding="utf-8")):
            outside += [f"{path.name}: {url}"] if OUTSIDE.match(url) else []
    for path in (site.folder / "_pictures").glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        outside += [f"{path.name}: {u}" for u in _urls(text) if OUTSIDE.match(u)]
        outside += [f"{path.name}: {u}" for u in re.findall(r'\bhref="([^"#]+)"', text) if not u.startswith("data:")]
    assert outside == []
    assert lost == []


def test_the_site_asks_no_script_of_others_for_equations_or_search(site: Site) -> None:
    assert (site.folder / "searchindex.js").is_file()  # a script, so that search works from disk
    scripts = {load for page in site.pages.values() for load in page.loads if urlsplit(load).path.endswith(".js")}
    assert not any("mathjax" in script.lower() for script in scripts)


def test_search_works_from_disk_and_a_phone_shows_whole_pages(site: Site) -> None:
    """In a browser: results are found without a request that leaves the site, and nothing is wider than the screen."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not on this machine")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if OUTSIDE.match(request.url) else None)
        page.goto((site.folder / "search.html").as_uri() + "?q=sandwich")
        page.wait_for_selector("#search-results li")
        found = page.inner_text("#search-results")
        for name in ("index.html", "gallery/index.html", "coming_from/r.html"):
            page.goto((site.folder / name).as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") == 390, name
        browser.close()
    assert "Coming from R" in found
    assert said == []


def test_every_picture_has_words_and_every_figure_of_the_gallery_was_drawn(site: Site) -> None:
    assert {n: p.pictures_without_words for n, p in site.pages.items() if p.pictures_without_words} == {}
    shown = [b for page in pages() for b in blocks(page) if b.language == "drawn"]
    assert len(list((site.folder / "_pictures").iterdir())) == len(shown) >= 9


def test_a_fault_of_a_page_is_noticed(tmp_path: Path) -> None:
    """A dead link, an equation that cannot be set and a failing picture are warnings of the build."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "index.md").write_text(
        "# Page\n\n[dead](nowhere.md) and [dead](#no_place)\n\n$$\\begin{nonsense}$$\n\n"
        "```{drawn} one\n:alt: A picture.\n\n1 / 0\n```\n",
        encoding="utf-8",
    )
    said = io.StringIO()
    build(source, tmp_path, said)
    for fault in ("nowhere.md", "no_place", "nonsense", "ZeroDivisionError"):
        assert fault in said.getvalue()


@pytest.mark.parametrize(
    ("html", "loads", "outside"),
    [
        ('<img src="https://elsewhere.example/a.png" alt="a">', 1, 1),
        ('<script src="//elsewhere.example/a.js"></script>', 1, 1),
        ('<link rel="stylesheet" href="https://elsewhere.example/a.css">', 1, 1),
        ("<style>@font-face{src:url(https://elsewhere.example/a.woff2)}</style>", 1, 1),
        ('<a href="https://elsewhere.example">a plain link</a><link rel="next" href="b.html">', 0, 0),
        ('<img src="_pictures/a.svg" alt="a">', 1, 0),
    ],
)
def test_what_a_page_loads_is_seen(html: str, loads: int, outside: int) -> None:
    page = Page(Path("page.html"), [], [], set(), 0, "")
    _Reading(page).feed(html)
    found = page.loads + _urls(page.styles)
    assert len(found) == loads
    assert sum(bool(OUTSIDE.match(url)) for url in found) == outside
    assert page.pictures_without_words == 0


def _target(site: Site, name: str, link: str) -> tuple[str | None, str]:
    """The file of the site that a link leads to (None if it leads out of it), and the place in it."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None, ""
    if not parts.path:
        return name, unquote(parts.fragment)
    path = (site.folder / name).parent / unquote(parts.path)
    return path.resolve().relative_to(site.folder.resolve()).as_posix(), unquote(parts.fragment)


def _file(site: Site, name: str, load: str) -> Path:
    return (site.folder / name).parent / unquote(urlsplit(load).path)


def _urls(style: str) -> list[str]:
    found = re.findall(r"url\(\s*['\"]?([^'\")]+)['\"]?\s*\)", style)
    return [url for url in found if not url.startswith(("data:", "#"))] + re.findall(r"@import\s+['\"]([^'\"]+)", style)
