"""Every fenced block of the site and the README runs, and prints what the page shows."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from .pages import ROOT, Block, blocks, front_matter, pages
from .running import OUTPUT, PageFault, Reader, is_output, same_text

Follow = Callable[[str], Reader]


@pytest.fixture(scope="session")
def follow(tmp_path_factory: pytest.TempPathFactory) -> Follow:
    """Follows a page once; a page that says `after: PAGE` begins with a copy of the folder of that one."""
    done: dict[str, Reader | BaseException] = {}

    def run(page: str) -> Reader:
        if page not in done:
            before = front_matter(page).get("after")
            folder = tmp_path_factory.mktemp("reader")
            if before:
                shutil.copytree(run(f"docs/{before}.md").home, folder, dirs_exist_ok=True)
            reader = Reader(page, folder)
            try:
                reader.follow()
                done[page] = reader
            except BaseException as error:
                done[page] = error
        found = done[page]
        if isinstance(found, BaseException):
            raise found
        return found

    return run


@pytest.mark.parametrize("page", pages())
def test_the_blocks_of_a_page_run(page: str, follow: Follow) -> None:
    reader = follow(page)
    assert reader.ran == sum(not is_output(b) for b in blocks(page))


# ---------------------------------------------------------------- R
WITH_R = [page for page in pages() if any(b.language == "r" for b in blocks(page))]


@pytest.mark.parametrize("page", WITH_R)
def test_the_r_of_a_page_gives_what_it_shows(page: str, follow: Follow) -> None:
    """R's blocks of a page in one session, in the folder that its other blocks left."""
    chunks = r_chunks(page)
    missing = r_missing({package for code, _ in chunks for package in re.findall(r"library\((\w+)\)", code.text)})
    usable = [(c, shown) for c, shown in chunks if not missing & set(re.findall(r"library\((\w+)\)", c.text))]
    folder = follow(page).home
    if usable:
        printed = r_session([code.text for code, _ in usable], folder)
        for (code, shown), said in zip(usable, printed, strict=True):
            if shown is not None and not same_text(shown.text, said):
                raise PageFault(f"{code.place}: the page shows\n{shown.text}\nbut R printed\n{said}")
    if len(usable) < len(chunks):
        pytest.skip(f"{len(chunks) - len(usable)} of {len(chunks)} blocks need R with {', '.join(sorted(missing))}")


@pytest.mark.parametrize("page", WITH_R)
def test_r_and_walkrisk_show_the_same_numbers(page: str) -> None:
    """Every decimal number that R printed stands in the next output of walkrisk too."""
    compared = 0
    found = blocks(page)
    for i, (before, block) in enumerate(pairwise(found)):
        if before.language != "r" or block.language != OUTPUT:
            continue
        later = zip(found[i + 2 :], found[i + 3 :], strict=False)
        own = next((b for a, b in later if a.language == "python" and b.language == OUTPUT), None)
        decimals = {float(n) for n in re.findall(r"-?\d+\.\d+", block.text)}
        if own is None or not decimals:
            continue
        shown = {float(n) for n in re.findall(r"-?\d+\.\d+", own.text)}
        assert decimals - shown <= {1.0}, f"{block.place} and {own.place}"
        compared += 1
    assert compared


def r_chunks(page: str) -> list[tuple[Block, Block | None]]:
    """R's blocks with the output shown after each."""
    return [
        (b, after if after is not None and after.language == OUTPUT else None)
        for b, after in pairwise([*blocks(page), None])
        if b is not None and b.language == "r"
    ]


def r_missing(packages: set[str]) -> set[str]:
    """Packages that this machine's R has not; every one of them and R itself where there is no R."""
    if shutil.which("Rscript") is None:
        pytest.skip("Rscript is not on this machine")
    asked = "; ".join(f'if (!requireNamespace("{p}", quietly = TRUE)) cat("{p}\\n")' for p in sorted(packages))
    said = subprocess.run(["Rscript", "-e", asked or "1"], capture_output=True, text=True, check=True).stdout
    return set(said.split()) & packages


def r_session(programs: list[str], folder: Path) -> list[str]:
    """What each of the programs prints, run one after the other in one R session."""
    mark = "<<<next>>>"
    quiet = "options(width = 110); suppressPackageStartupMessages({\n"
    loads = "\n".join(sorted({m for p in programs for m in re.findall(r"library\(\w+\)", p)}))
    text = quiet + loads + "\n})\n" + f'\ncat("{mark}\\n")\n'.join(programs)
    (folder / "page.R").write_text(text, encoding="utf-8")
    said = subprocess.run(["Rscript", "page.R"], cwd=folder, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr[-2000:]
    return said.stdout.split(mark + "\n")


# ---------------------------------------------------------------- the tests themselves
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```python\nprint(1)\n```\n\n```text\n2\n```\n", "what came out"),
        ("```python\n1 / 0\n```\n", "ZeroDivisionError"),
        ("```ruby\n1\n```\n", "nothing runs"),
        ("```\n1\n```\n", "nothing runs"),
        ("```text\n1\n```\n", "directly after"),
        ("```bash\nwalkrisk run nothing.toml\n```\n", "ended with 2"),
        ("```bash\nmake coffee\n```\n", "no target"),
        ("```bash\nrsync a b\n```\n", "do not know"),
        ("```stata\nglm y x\n```\n", "say on the page"),
        ('```toml\n[models.adjusted]\ncovariates = ["nothing"]\n```\n', "nothing"),
        (":::{note}\n```python\n1 / 0\n```\n:::\n", "ZeroDivisionError"),
    ],
)
def test_a_wrong_page_is_noticed(text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = "wrong_page_of_a_test.md"
    monkeypatch.setattr("pathlib.Path.read_text", reading(page, text))
    with pytest.raises(PageFault, match=said):
        Reader(page, tmp_path).follow()


def reading(page: str, text: str) -> Callable[..., str]:
    own = Path.read_text
    return lambda path, *a, **k: text if path == ROOT / page else own(path, *a, **k)


def test_dots_stand_for_what_is_left_out() -> None:
    assert same_text("a ... c\n...\nz", "a b c\nd\ne\nz\n")
    assert not same_text("a ... c\nz", "a b c\nd\nz\n")
    assert same_text("1.50", "1.50  \n")
    assert not same_text("1.5", "1x5")
