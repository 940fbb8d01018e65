"""The directive `drawn`: Python that makes a picture, shown above the picture it made when the site was built.

    ```{drawn} forest
    figure = ...
    picture = render(figure, "svg")
    ```

Words for those who do not see the picture are those the svg has in its <desc>, or the option `:alt:`.

The blocks of a page share one namespace and one working folder. What a block leaves in `picture`, the bytes of an svg
or the path of an svg or png, is the picture; a block without one is a fault of the page.
"""

from __future__ import annotations

import contextlib
import io
import logging as python_logging
import re
import shutil
import tempfile
import warnings
from html import unescape
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

log = logging.getLogger(__name__)
python_logging.getLogger("fontTools").setLevel(python_logging.WARNING)  # else it tells of every font it cuts down
PNG = b"\x89PNG"
spaces: dict[str, dict[str, Any]] = {}  # by page
places: dict[str, Path] = {}  # where this build writes


class Drawn(SphinxDirective):
    has_content = True
    required_arguments = 1
    option_spec: ClassVar = {
        "alt": directives.unchanged_required,
        "width": directives.unchanged,
        "hidden": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        page = self.env.docname
        code = "\n".join(self.content)
        shown = nodes.literal_block(code, code, language="python")
        shown["classes"].append("drawn")
        self.set_source_info(shown)
        try:
            picture = execute(page, code)
        except Exception as error:
            log.warning("the code of the picture %r fails: %r", self.arguments[0], error, location=self.get_location())
            return [shown]
        alt = self.options.get("alt", "") or described(picture)
        if not alt.strip():
            log.warning("the picture %r has no :alt:", self.arguments[0], location=self.get_location())
        kind = "png" if picture.startswith(PNG) else "svg"
        name = f"{page.replace('/', '-')}-{self.arguments[0]}.{kind}"
        folder = places["pictures"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture)
        up = "../" * page.count("/")
        image = nodes.raw(
            "",
            f'<figure class="drawn"><img src="{up}_pictures/{name}" alt="{_attribute(alt)}"></figure>',
            format="html",
        )
        return [shown, image]


def described(picture: bytes) -> str:
    """What an svg says of itself in its <desc>."""
    found = re.search(rb"<desc[^>]*>(.*?)</desc>", picture, re.DOTALL)
    return unescape(found[1].decode("utf-8")) if found else ""


def _attribute(text: str) -> str:
    """Text for an attribute of an element."""
    return " ".join(text.split()).replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def execute(page: str, code: str) -> bytes:
    """Run a block in its page's namespace and folder; returns the bytes of what it left in `picture`."""
    space = spaces.setdefault(page, {"__name__": "__drawn__"})
    folder = Path(space.setdefault("__folder__", tempfile.mkdtemp(prefix="walkrisk-drawn-")))
    space.pop("picture", None)
    with contextlib.chdir(folder), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        exec(compile(code, f"<{page}>", "exec"), space)
        picture = space.get("picture")
        if isinstance(picture, (str, Path)):
            picture = Path(picture).read_bytes()
    if not isinstance(picture, bytes) or not (b"<svg" in picture or picture.startswith(PNG)):
        raise ValueError("the block leaves no svg or png in `picture`")
    return picture


def _begin(app: Sphinx) -> None:
    places["pictures"] = Path(app.outdir) / "_pictures"


def _forget(app: Sphinx, *_: object) -> None:
    for space in spaces.values():
        shutil.rmtree(space["__folder__"], ignore_errors=True)
    spaces.clear()


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("drawn", Drawn)
    app.connect("builder-inited", _begin)
    app.connect("build-finished", _forget)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
