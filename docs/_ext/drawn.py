"""The directive `drawn`: Python that makes a picture, shown above the picture it made when the site was built.

    ```{drawn} forest
    :alt: Risk ratios of four quartiles with their intervals.

    figure = ...
    picture = render(figure, "svg")
    ```

The blocks of a page share one namespace and one working folder. What a block leaves in `picture`, the bytes of an svg
or the path of one, is the picture; a block without one is a fault of the page.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive, directives
from sphinx.application import Sphinx
from sphinx.util import logging

log = logging.getLogger(__name__)
spaces: dict[str, dict[str, Any]] = {}  # by page


class Drawn(Directive):
    has_content = True
    required_arguments = 1
    option_spec = {"alt": directives.unchanged_required, "width": directives.unchanged, "hidden": directives.flag}

    def run(self) -> list[nodes.Node]:
        app: Sphinx = self.state.document.settings.env.app
        page = self.state.document.settings.env.docname
        code = "\n".join(self.content)
        shown = nodes.literal_block(code, code, language="python")
        shown["classes"].append("drawn")
        self.set_source_info(shown)
        try:
            picture = execute(app, page, code)
        except Exception as error:
            log.warning("the code of the picture %r fails: %r", self.arguments[0], error, location=self._place())
            return [shown]
        if not self.options.get("alt", "").strip():
            log.warning("the picture %r has no :alt:", self.arguments[0], location=self._place())
        name = f"{page.replace('/', '-')}-{self.arguments[0]}.svg"
        folder = Path(app.outdir) / "_pictures"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture)
        up = "../" * page.count("/")
        image = nodes.raw(
            "",
            f'<figure class="drawn"><img src="{up}_pictures/{name}" alt="{nodes_text(self.options.get("alt", ""))}">'
            "</figure>",
            format="html",
        )
        return [image] if "hidden" in self.options else [shown, image]

    def _place(self) -> tuple[str, int]:
        return (self.state.document.settings.env.docname, self.lineno)


def nodes_text(text: str) -> str:
    return " ".join(text.split()).replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def execute(app: Sphinx, page: str, code: str) -> bytes:
    """Run a block in its page's namespace and folder; returns the svg it left in `picture`."""
    space = spaces.setdefault(page, {"__name__": "__drawn__"})
    folder = Path(space.setdefault("__folder__", tempfile.mkdtemp(prefix="walkrisk-drawn-")))
    space.pop("picture", None)
    with contextlib.chdir(folder), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        exec(compile(code, f"<{page}>", "exec"), space)
        picture = space.get("picture")
        if isinstance(picture, (str, Path)):
            picture = Path(picture).read_bytes()
    if not isinstance(picture, bytes) or b"<svg" not in picture:
        raise ValueError("the block leaves no svg in `picture`")
    return picture


def _forget(app: Sphinx, *_: object) -> None:
    for space in spaces.values():
        shutil.rmtree(space["__folder__"], ignore_errors=True)
    spaces.clear()


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("drawn", Drawn)
    app.connect("builder-inited", _forget)
    app.connect("build-finished", _forget)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
