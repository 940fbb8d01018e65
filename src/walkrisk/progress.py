"""Progress of long work on the terminal, for anything over a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

DELAY_S = 1.0


@contextmanager
def shown(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A callback (title, done, of) that draws a bar on stderr after a second; silent off a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda title, done, of: None
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
