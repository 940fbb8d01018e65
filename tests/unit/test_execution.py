"""Work in order, whatever the number of hands."""

from __future__ import annotations

import threading
import time

import pytest

from walkrisk.execution import in_order


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
