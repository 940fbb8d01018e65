"""The documentation site: `make docs` builds it with warnings as errors; it opens from disk and asks no network."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

project = "walkrisk"
author = "walkrisk contributors"
copyright = "walkrisk contributors"
release = version = version_of("walkrisk")

extensions = ["myst_parser", "mathml", "drawn", "reference"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_ext"]
nitpicky = True
suppress_warnings = ["config.cache"]  # functions of _ext are no faults

myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
myst_url_schemes = {"http": None, "https": None, "mailto": None, "doi": "https://doi.org/{{path}}"}

html_theme = "furo"
html_title = "walkrisk"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_search_summary = False  # it would fetch pages, which no browser lets a page from disk do
html_show_sphinx = False
html_last_updated_fmt = None
html_permalinks_icon = "#"
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
FONTS = 'system-ui, -apple-system, "Segoe UI", "Noto Sans", "Liberation Sans", Arial, sans-serif'
MONO = 'ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas, monospace'
html_theme_options = {
    "light_css_variables": {
        "font-stack": FONTS,
        "font-stack--monospace": MONO,
        "color-brand-primary": "#0b5394",
        "color-brand-content": "#0b5394",
        "color-brand-visited": "#6a3d9a",
    },
    "dark_css_variables": {
        "color-brand-primary": "#7db7e8",
        "color-brand-content": "#7db7e8",
        "color-brand-visited": "#c3a6e0",
    },
}
