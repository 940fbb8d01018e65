"""Work in order, whatever the number of hands."""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from distributed import LocalCluster

from walkrisk.errors import ModelFault, UsageFault
from walkrisk.execution import as_finished, in_order, in_order_apart


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_results_and_progress_come_in_the_order_of_the_tasks(jobs: int) -> None:
    said: list[tuple[str, int, int]] = []

    def slow_first(i: int) -> int:
        time.sleep(0.02 if i == 0 else 0)
        return i * i

    tasks = [(f"task {i}", lambda i=i: slow_first(i)) for i in range(5)]
    got = in_order(tasks, jobs=jobs, progress=lambda *args: said.append(args))
    assert got == [0, 1, 4, 9, 16]
    assert said == [(f"task {i}", i, 5) for i in range(5)]


def test_jobs_work_side_by_side() -> None:
    both = threading.Barrier(2, timeout=5)
    in_order([("a", both.wait), ("b", both.wait)], jobs=2, progress=lambda *_: None)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_fault_of_a_task_is_not_swallowed(jobs: int) -> None:
    def fails() -> int:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        in_order([("a", lambda: 1), ("b", fails)], jobs=jobs, progress=lambda *_: None)


def test_no_tasks_no_results() -> None:
    assert in_order([], jobs=3, progress=lambda *_: None) == []


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module that other processes can import: doubled(n), whose process dies on a negative number."""
    (tmp_path / "walkrisk_test_work.py").write_text(
        "import os, time\n"
        "def doubled(n):\n    if n < 0:\n        os._exit(9)\n    time.sleep(0.02 * n)\n    return 2 * n\n"
        "def failing(n):\n    raise ValueError('no')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("walkrisk_test_work")
    sys.modules.pop("walkrisk_test_work", None)


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_item_is_done_once_whatever_the_number_of_processes(work: ModuleType, jobs: int) -> None:
    items = [3, 1, 4, 1, 5]
    assert sorted(as_finished(work.doubled, items, jobs=jobs)) == [(i, 2 * n) for i, n in enumerate(items)]


def test_a_process_that_dies_loses_its_own_item_only(work: ModuleType) -> None:
    results = dict(as_finished(work.doubled, [1, 2, -1, 3, 4, -1, 5], jobs=2))
    assert results == {0: 2, 1: 4, 2: None, 3: 6, 4: 8, 5: None, 6: 10}


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_the_function_raises_is_raised(work: ModuleType, jobs: int) -> None:
    with pytest.raises(ValueError, match="no"):
        list(as_finished(work.failing, [1, 2, 3], jobs=jobs))


def test_a_cluster_does_the_same(work: ModuleType) -> None:
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster:
        assert sorted(as_finished(work.doubled, [3, 1], cluster=cluster.scheduler_address)) == [(0, 6), (1, 2)]


def test_a_cluster_that_does_not_answer_is_a_usage_fault() -> None:
    with pytest.raises(UsageFault, match="tcp://host:port"):
        list(as_finished(abs, [1], cluster="nonsense://x"))


def test_tasks_apart_see_what_is_in_memory_and_come_back_in_order() -> None:
    big = np.arange(1000.0)
    tasks = [(f"task {i}", lambda i=i: (os.getpid(), big * i)) for i in range(6)]
    said: list[tuple[str, int, int]] = []
    found = in_order_apart(tasks, jobs=2, progress=lambda *at: said.append(at))
    for i, (_, values) in enumerate(found):
        np.testing.assert_array_equal(values, big * i)
    assert said == [(f"task {i}", i, 6) for i in range(6)]
    if sys.platform == "linux":
        assert os.getpid() not in {pid for pid, _ in found}


class Peculiar(ModelFault):
    """A fault whose constructor takes other arguments, so that it could not be sent between processes as it is."""

    def __init__(self, where: int, sentence: str) -> None:
        super().__init__(f"{where}: {sentence}")


def test_a_fault_apart_keeps_its_kind_and_its_sentences() -> None:
    def fails() -> None:
        raise Peculiar(3, "cannot be fitted; choose another.")

    with pytest.raises(ModelFault, match="3: cannot be fitted; choose another"):
        in_order_apart([("fine", lambda: None), ("fails", fails)], jobs=2, progress=lambda *at: None)


@pytest.mark.skipif(sys.platform != "linux", reason="only forked processes can die alone")
def test_a_process_that_dies_is_said_with_a_way_out() -> None:
    with pytest.raises(UsageFault, match="fewer --jobs"):
        in_order_apart([("fine", lambda: 1), ("dies", lambda: os._exit(9))], jobs=2, progress=lambda *at: None)
    assert in_order_apart([("again", lambda: 2)], jobs=2, progress=lambda *at: None) == [2]
