"""The pictures of figures: made side by side, or kept from an earlier report where they would be the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from walkrisk.accounts.account import Drawing
from walkrisk.execution import in_order_apart
from walkrisk.figures.drawn import fingerprint
from walkrisk.figures.render import FORMATS, Format
from walkrisk.figures.render import render as picture
from walkrisk.reports.manifest import environment, sha256
from walkrisk.runs.compute import Progress

Pictures = Mapping[Format, bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Pictures that a folder holds as they were made, by figure, with the fingerprints of what they were drawn from."""

    prints: Mapping[str, str] = field(default_factory=dict)
    pictures: Mapping[str, Pictures] = field(default_factory=dict)

    def of(self, figure: str, print_of_figure: str) -> Pictures | None:
        """The pictures of a figure, None if there are none or they were drawn from anything else."""
        if not print_of_figure or self.prints.get(figure) != print_of_figure:
            return None
        return self.pictures.get(figure)


def kept_pictures(folder: Path, manifest: Mapping[str, Any]) -> Kept:
    """The pictures in `folder` that are still those of its manifest, made by this version of everything."""
    if manifest.get("environment") != environment():
        return Kept()
    prints = {str(figure): str(made_from) for figure, made_from in dict(manifest.get("drawings", {})).items()}
    found = {figure: _unchanged(folder, figure, manifest["files"]) for figure in prints}
    return Kept(prints, {figure: pictures for figure, pictures in found.items() if pictures})


def pictures_of(
    drawn: Sequence[Drawing], *, kept: Kept, jobs: int, progress: Progress
) -> tuple[dict[str, Pictures], dict[str, str]]:
    """The pictures of every drawing in every format, and the fingerprints of what they were drawn from, by id.

    The first is always made again: if it comes out other than what was kept (fonts or a library differ that no version
    tells of), nothing is kept. So the bytes are those of making every one.
    """
    prints = {d.id: fingerprint(d.figure, title=d.title, alt=d.alt) for d in drawn}
    found: dict[str, Pictures] = {}
    for d in drawn[:1]:
        progress(f"Drawing {d.title}", 0, len(drawn))
        found[d.id] = _made(d)
        before = kept.of(d.id, prints[d.id])
        if before is not None and before != found[d.id]:
            kept = Kept()
    for d in drawn[1:]:
        if same := kept.of(d.id, prints[d.id]):
            found[d.id] = same
    rest = [d for d in drawn if d.id not in found]
    tasks = [(f"Drawing {d.title}", partial(_made, d)) for d in rest]
    made = in_order_apart(tasks, jobs=min(jobs, max(len(rest), 1)), progress=progress)
    found |= {d.id: pictures for d, pictures in zip(rest, made, strict=True)}
    return {d.id: found[d.id] for d in drawn}, {figure: p for figure, p in prints.items() if p}


def _made(d: Drawing) -> Pictures:
    return {fmt: picture(d.figure, fmt, title=d.title, alt=d.alt) for fmt in FORMATS}


def _unchanged(folder: Path, figure: str, hashes: Mapping[str, str]) -> Pictures | None:
    """The pictures of a figure if all of them are there as they were made."""
    out: dict[Format, bytes] = {}
    for fmt in FORMATS:
        name = f"figures/{figure}.{fmt}"
        try:
            content = (folder / name).read_bytes()
        except OSError:
            return None
        if sha256(content) != hashes.get(name):
            return None
        out[fmt] = content
    return out
