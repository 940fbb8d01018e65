"""Progress of long work: a bar on a terminal, for anything over a second; a line a minute in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

DELAY_S = 1.0
LINE_EVERY_S = 60.0


@contextmanager
def shown(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A callback (title, done, of) that draws a bar on stderr after a second; off a terminal, a line a minute."""
    if quiet:
        yield lambda title, done, of: None
        return
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description:<48.48}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    started, task = time.monotonic(), bar.add_task("", total=None, visible=True)
    running = False

    def update(title: str, done: int, of: int) -> None:
        nonlocal running
        if not running and time.monotonic() - started > DELAY_S:
            bar.start()
            running = True
        bar.update(task, description=title, completed=done, total=of)

    try:
        yield update
    finally:
        bar.stop()


def _lines() -> Callable[[str, int, int], None]:
    started = said = time.monotonic()
    first: int | None = None  # done before this run began

    def update(title: str, done: int, of: int) -> None:
        nonlocal said, first
        now = time.monotonic()
        first = done if first is None else first
        if now - said < LINE_EVERY_S:
            return
        said = now
        left = f", about {(now - started) / (done - first) * (of - done) / 60:.0f} min left" if done > first else ""
        print(f"{title}: {done} of {of}{left}", file=sys.stderr, flush=True)

    return update
