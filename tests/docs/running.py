"""A page's blocks, run in order in a folder of their own; what they print is held against the page."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from walkrisk.errors import StudyFault

from .pages import ROOT, Block, blocks, front_matter
from .tomls import check_toml, put_into

SHOWN_ONLY = {"stata": "Stata", "spss": "SPSS"}  # languages of programs that are not free: the page must say so
OUTPUT = "text"


class PageFault(AssertionError):
    """A block that does not do what the page says."""


class Reader:
    """Someone who does what a page says: a folder, a Python session, a shell that knows few commands."""

    def __init__(self, page: str, folder: Path) -> None:
        self.page, self.home = page, folder
        self.here = folder
        self.front = front_matter(page)
        self.space: dict[str, Any] = {"__name__": "__page__"}
        self.ran = 0

    def follow(self) -> None:
        """Run every block of the page; raises PageFault at the first that fails."""
        said: str | None = None
        before = ""
        for block in blocks(self.page):
            try:
                if is_output(block):
                    self._compare(block, said, before)
                    said = None
                    continue
                said, before = self._run(block), block.language
            except PageFault:
                raise
            except BaseException as error:
                raise PageFault(f"{block.place}: {type(error).__name__}: {error}\n{block.text}") from error
            self.ran += 1
        self._files_shown()

    def _files_shown(self) -> None:
        """A file that is shown as a part of the page, between `<!-- shows FILE -->` and `<!-- end -->`, reads so."""
        text = (ROOT / self.page).read_text(encoding="utf-8")
        for name, shown in re.findall(r"<!-- shows (\S+) -->\n(.*?)<!-- end -->", text, re.DOTALL):
            if not same_text(shown, (self.here / name).read_text(encoding="utf-8")):
                raise PageFault(f"{self.page}: {name} reads otherwise now:\n{(self.here / name).read_text()}")

    def _compare(self, block: Block, said: str | None, before: str) -> None:
        if before == "r":
            return  # by test_r_blocks, where R is
        if said is None:
            raise PageFault(f"{block.place}: a `text` block stands directly after the block that printed it.")
        if not same_text(block.text, said):
            raise PageFault(f"{block.place}: the page shows\n{block.text}\nbut what came out is\n{said}")

    def _run(self, block: Block) -> str | None:
        runs: Mapping[str, Callable[[Block], str | None]] = {
            "python": lambda b: self.python(b.text),
            "bash": lambda b: self.bash(b.text),
            "toml": self.toml,
            OUTPUT: self.file,
            "r": lambda b: None,  # by test_r_blocks, where R is
            "drawn": lambda b: None,  # by the build of the site: test_site
        }
        if block.language in SHOWN_ONLY:
            self._shown_only(block)
            return None
        if block.language not in runs:
            raise PageFault(f"{block.place}: nothing runs a block of language {block.language!r}.")
        if block.language == "drawn" and not self.page.startswith("docs/gallery"):
            raise PageFault(f"{block.place}: `drawn` blocks belong into the gallery.")
        return runs[block.language](block)

    def _shown_only(self, block: Block) -> None:
        text = (ROOT / self.page).read_text(encoding="utf-8")
        if f"{SHOWN_ONLY[block.language]} is not run" not in text:
            raise PageFault(f"{block.place}: say on the page that {SHOWN_ONLY[block.language]} is not run.")

    # ---------------------------------------------------------------- python
    def python(self, text: str) -> str:
        """Run a program in the page's session; the value of a last expression is shown as in a notebook."""
        tree = ast.parse(text)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        with self._session() as out:
            exec(compile(tree, self.page, "exec"), self.space)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), self.page, "eval"), self.space)
                if value is not None:
                    print(repr(value))
        return out.getvalue()

    @contextlib.contextmanager
    def _session(self) -> Iterator[io.StringIO]:
        out = io.StringIO()
        with (
            contextlib.chdir(self.here),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(out),
            warnings.catch_warnings(),
            pd.option_context("display.width", 110, "display.max_columns", 20, "display.max_rows", 60),
        ):
            warnings.simplefilter("ignore")
            yield out

    # ---------------------------------------------------------------- files
    def file(self, block: Block) -> str | None:
        """A block whose caption is a file's name is that file."""
        if not block.caption:
            raise PageFault(f"{block.place}: a file needs a caption with its name.")
        (self.here / block.caption).write_text(block.text, encoding="utf-8")
        return None

    def toml(self, block: Block) -> str | None:
        """A file, a change to one (caption `in FILE`), or only a declaration; one of `class: wrong` has a fault."""
        self._bring(str(self.front.get("base_study", "")))
        if block.caption.startswith("in "):
            path = self.here / block.caption.removeprefix("in ").strip()
            path.write_text(put_into(path.read_text(encoding="utf-8"), block.text), encoding="utf-8")
        elif block.caption:
            self.file(block)
        with contextlib.chdir(self.here):
            if block.options.get("class") == "wrong":
                with pytest.raises(StudyFault):
                    check_toml(block, base=self.here / str(self.front.get("base_study", "")))
            else:
                check_toml(block, base=self.here / str(self.front.get("base_study", "")))
        return None

    def _bring(self, text: str) -> None:
        """What the checkout has in analyses/ and the page speaks of, copied beside the reader."""
        wanted = set(re.findall(r"(?<![\w/])analyses/[\w./-]+", text))
        for name in wanted:
            source = ROOT / name
            if not source.exists():
                raise PageFault(f"{self.page}: there is no {name} in the checkout.")
            parent = source if source.is_dir() else source.parent
            for path in parent.iterdir():
                target = self.home / path.relative_to(ROOT)
                if path.is_file() and not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, target)

    # ---------------------------------------------------------------- shell
    def bash(self, text: str) -> str:
        """Commands, one a line; walkrisk's own run in this process."""
        said = []
        for line in re.sub(r"\\\n\s*", " ", text).splitlines():
            expected = re.search(r"#.*exit code (\d+)", line)
            words = shlex.split(line, comments=True)
            if not words:
                continue
            self._bring(line)
            out, code = self._command(words)
            wanted = int(expected[1]) if expected else 0
            if code != wanted:
                raise PageFault(f"{self.page}: `{line}` ended with {code}, not {wanted}:\n{out}")
            said.append(out)
        return "".join(said)

    def _command(self, words: list[str]) -> tuple[str, int]:
        name, *rest = words
        if Path(name).name == "walkrisk":
            return self._walkrisk(rest)
        own = getattr(self, f"_{name}", None) if name in ("cd", "ls", "cat", "head", "cp", "mkdir", "rm") else None
        if own is not None:
            return str(own(*rest) or ""), 0
        recognise(words)
        if words[:2] == ["git", "clone"]:
            (self.here / Path(words[-1]).name).mkdir()
        return "", 0

    def _walkrisk(self, arguments: list[str]) -> tuple[str, int]:
        from walkrisk.cli import main

        with self._session() as out:
            try:
                code = main(arguments)
            except SystemExit as stopped:
                code = int(stopped.code or 0)
        return out.getvalue(), code

    def _cd(self, folder: str) -> None:
        self.here = (self.here / folder).resolve()
        if not self.here.is_dir():
            raise PageFault(f"{self.page}: there is no folder {folder} here.")

    def _ls(self, *names: str) -> str:
        found = []
        for name in names or (".",):
            path = self.here / name
            found += sorted(p.name for p in path.iterdir()) if path.is_dir() else [str(name)] * path.exists()
        return "\n".join(found) + "\n"

    def _cat(self, name: str) -> str:
        return (self.here / name).read_text(encoding="utf-8")

    def _head(self, flag: str, number: str, name: str) -> str:
        assert flag == "-n"
        return "".join(self._cat(name).splitlines(keepends=True)[: int(number)])

    def _cp(self, *names: str) -> None:
        if names[0] == "-r":
            shutil.copytree(self.here / names[1], self.here / names[2])
        else:
            shutil.copy(self.here / names[0], self.here / names[1])

    def _mkdir(self, name: str) -> None:
        (self.here / name).mkdir()

    def _rm(self, name: str) -> None:
        (self.here / name).unlink()


def is_output(block: Block) -> bool:
    """Whether a block is what the one before it printed; with a caption it is a file."""
    return block.language == OUTPUT and not block.caption


def recognise(words: list[str]) -> None:
    """Commands of others are not run; they must be ones we know, and the files of the checkout they name must exist."""
    line = " ".join(words)
    if words[0] == "make":
        targets = re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"))
        unknown = [w for w in words[1:] if "=" not in w and not w.startswith("-") and w not in targets]
        if unknown:
            raise PageFault(f"`{line}`: the Makefile has no target {unknown}.")
        return
    known = (
        r"git clone \S+ \S+",
        r"source \.venv/bin/activate",
        r"(python3|\.venv/bin/python) -m (venv|pip) .+",
        r"(\w+/bin/)?pip .+",
        r"sbatch .+",
        r"tar .+",
        r"sha256sum .+",
        r"scp .+",
        r"dask (scheduler|worker) .+",
        r"squeue.*",
    )
    if not any(re.fullmatch(pattern, line) for pattern in known):
        raise PageFault(f"`{line}`: the tests of the pages do not know this command.")
    for word in words:
        if re.match(r"(requirements|analyses|docs|tests)/", word) and not (ROOT / word).exists():
            raise PageFault(f"`{line}`: the checkout has no {word}.")


def same_text(shown: str, said: str) -> bool:
    """Whether what came out is what the page shows; `...` stands for anything, alone on a line for any lines."""
    pattern = []
    for line in shown.rstrip().splitlines():
        if line.strip() == "...":
            pattern.append(r"(?:.*\n)*?")
            continue
        parts = [re.escape(part) for part in line.rstrip().split("...")]
        pattern.append(".*".join(parts) + "\n")
    trimmed = "\n".join(line.rstrip() for line in said.rstrip().splitlines()) + "\n"
    return re.fullmatch("".join(pattern), trimmed) is not None


os.environ.setdefault("COLUMNS", "110")
assert sys.version_info >= (3, 11)
