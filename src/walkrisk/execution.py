"""Where work runs on this machine, and the progress it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def in_order(
    tasks: Sequence[tuple[str, Callable[[], T]]], *, jobs: int = 1, progress: Callable[[str, int, int], None]
) -> list[T]:
    """The results of independent tasks (title, function) in their order, with `jobs` at work side by side.

    `progress` is called with the title, the number done and the number of all before each result is taken.
    """
    results: list[T] = []
    if jobs <= 1:
        for i, (title, task) in enumerate(tasks):
            progress(title, i, len(tasks))
            results.append(task())
        return results
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        futures = [pool.submit(task) for _, task in tasks]
        for i, ((title, _), future) in enumerate(zip(tasks, futures, strict=True)):
            progress(title, i, len(tasks))
            results.append(future.result())
    return results
