"""Where work runs: threads and processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any, TypeVar

from walkrisk.errors import DataFault, ModelFault, StudyFault, UsageFault, WalkriskError

T = TypeVar("T")
R = TypeVar("R")


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
        try:
            for i, ((title, _), future) in enumerate(zip(tasks, futures, strict=True)):
                progress(title, i, len(tasks))
                results.append(future.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)  # what has not begun need not be
            raise
    return results


def in_order_apart(
    tasks: Sequence[tuple[str, Callable[[], T]]], *, jobs: int = 1, progress: Callable[[str, int, int], None]
) -> list[T]:
    """As `in_order`, but side by side in processes, for long work that keeps the interpreter busy.

    A process is a copy of this one (a fork), so that tasks may be any functions of whatever is in memory; what they
    return is sent back. Where the system has no sound fork (anything but Linux), in threads. Raises what a task raises
    of the input's faults, as UsageFault, StudyFault, DataFault or ModelFault, and UsageFault where a process died.
    """
    if jobs <= 1 or sys.platform != "linux":
        return in_order(tasks, jobs=jobs, progress=progress)
    _FORKED[:] = [task for _, task in tasks]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: the copies use none of them
            fork = multiprocessing.get_context("fork")
            with ProcessPoolExecutor(jobs, mp_context=fork, initializer=_leave_with_parent) as pool:
                work = [(title, partial(_sent_back, pool.submit(_in_fork, i))) for i, (title, _) in enumerate(tasks)]
                try:
                    return in_order(work, progress=progress)
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    for worker in multiprocessing.active_children():
                        worker.terminate()
                    raise
    except BrokenProcessPool:
        raise UsageFault(
            "A process at work died, mostly of lack of memory; give the same command again with fewer --jobs: what was "
            "finished is kept."
        ) from None
    finally:
        _FORKED.clear()


_FORKED: list[Callable[[], Any]] = []  # the tasks of the processes forked now; they inherit the list
_KINDS = (UsageFault, StudyFault, DataFault, ModelFault)
Answer = tuple[
    Any, int, tuple[str, ...]
]  # what a task returned; or the place of its fault in _KINDS, and its sentences


def _in_fork(place: int) -> Answer:
    try:
        return _FORKED[place](), -1, ()
    except WalkriskError as fault:
        kind = next((i for i, c in enumerate(_KINDS) if isinstance(fault, c)), None)
        if kind is None:
            raise
        return None, kind, fault.faults


def _sent_back(future: Future[Answer]) -> Any:
    result, kind, faults = future.result()
    if kind >= 0:
        raise _KINDS[kind](faults)
    return result


def as_finished(
    function: Callable[[T], R], items: Sequence[T], *, jobs: int = 1, cluster: str = ""
) -> Iterator[tuple[int, R | None]]:
    """(place, result) of `function` on each item, in the order in which they finish; the result is None where the
    process at work on it died (of lack of memory, say) twice.

    With `jobs` above 1 the items go to as many processes of this machine, with `cluster` (the address of a Dask
    scheduler, or the .json file it wrote) to its workers, which must see the same files under the same paths.
    `function` is a module's own, items and results are small. What `function` raises is raised here.

    Raises UsageFault if the cluster cannot be reached or the optional dependency for it is not installed.
    """
    if cluster:
        yield from _on_cluster(function, items, cluster)
    elif jobs <= 1:
        for place, item in enumerate(items):
            yield place, function(item)
    else:
        yield from _in_processes(function, items, jobs)


def _in_processes(function: Callable[[T], R], items: Sequence[T], jobs: int) -> Iterator[tuple[int, R | None]]:
    todo = list(range(len(items)))
    suspects: list[int] = []
    while todo:
        done: set[int] = set()
        try:
            for place, result in _pooled(function, items, todo, jobs, suspects):
                done.add(place)
                yield place, result
        except BrokenProcessPool:
            pass  # whichever process died took the pool with it; those at work are tried again alone, below
        suspects = [place for place in suspects if place not in done]
        for place in suspects:
            done.add(place)
            try:
                yield next(_pooled(function, items, [place], 1, []))
            except BrokenProcessPool:
                yield place, None
        todo = [place for place in todo if place not in done]


def _pooled(
    function: Callable[[T], R], items: Sequence[T], places: Sequence[int], jobs: int, at_work: list[int]
) -> Iterator[tuple[int, R]]:
    """As many items in flight as there are processes; `at_work` names them at any time."""
    waiting = iter(places)
    at_work.clear()
    with ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_leave_with_parent
    ) as pool:
        running: dict[Future[R], int] = {}
        try:
            while True:
                for place in waiting:
                    running[pool.submit(function, items[place])] = place
                    at_work.append(place)
                    if len(running) >= jobs:
                        break
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    place = running.pop(future)
                    at_work.remove(place)
                    yield place, result
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise


def _leave_with_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it was killed, instead of waiting for work for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _on_cluster(function: Callable[[T], R], items: Sequence[T], address: str) -> Iterator[tuple[int, R | None]]:
    try:
        import distributed
    except ImportError:
        raise UsageFault(
            "--cluster needs the optional package distributed; install walkrisk with its extra [cluster]."
        ) from None
    dask: Any = distributed
    try:
        client = dask.Client(**_scheduler(address), timeout=30)
    except (OSError, ValueError) as error:
        raise UsageFault(
            f"No Dask scheduler answers at the address of --cluster ({type(error).__name__}); give it as "
            "tcp://host:port, as the scheduler printed it, or as its --scheduler-file."
        ) from None
    with client:
        futures = [client.submit(function, item, pure=False, retries=1) for item in items]
        places = {future.key: place for place, future in enumerate(futures)}
        for future in dask.as_completed(futures):
            try:
                result = future.result()
            except dask.scheduler.KilledWorker:
                result = None
            yield places[future.key], result


def _scheduler(address: str) -> dict[str, str]:
    return {"scheduler_file": address} if address.endswith(".json") else {"address": address}
