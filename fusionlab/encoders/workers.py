"""Decoding in other processes: entries in, prepared samples out, in order."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any

import torch

from fusionlab.data.media import Raw
from fusionlab.encoders.contract import BadMedia, Fault, Sample
from fusionlab.processes import end_with_parent

Prepare = Callable[[Raw], Sample]
Prepared = Sample | BadMedia
ENTRIES_A_TASK = 16
TASKS_AHEAD = 4

_prepare: Prepare


def prepared(entries: Sequence[Raw], prepare: Prepare, workers: int) -> Iterator[Prepared]:
    """``prepare`` of each entry, or why it cannot be, in order.

    With ``workers`` it happens in that many other processes, a few tasks ahead of what is asked
    for. An entry whose decoder takes the whole process down is corrupt, like any other.
    """
    if not workers:
        for entry in entries:
            yield _attempt(prepare, entry)
        return
    starts = range(0, len(entries), ENTRIES_A_TASK)
    tasks = iter([entries[start : start + ENTRIES_A_TASK] for start in starts])
    pool = _pool(workers, prepare)
    ahead: deque[tuple[Sequence[Raw], Future[Any]]] = deque()
    try:
        while True:
            for task in islice(tasks, workers * TASKS_AHEAD - len(ahead)):
                ahead.append((task, pool.submit(_work, task)))
            if not ahead:
                return
            task, future = ahead.popleft()
            try:
                found = future.result()
            except BrokenProcessPool:
                found = [_alone(entry, prepare) for entry in task]
                pool.shutdown(wait=False, cancel_futures=True)
                pool = _pool(workers, prepare)
                ahead = deque((other, pool.submit(_work, other)) for other, _ in ahead)
            yield from map(_from_arrays, found)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _pool(workers: int, prepare: Prepare) -> ProcessPoolExecutor:
    spawn = multiprocessing.get_context("spawn")  # nothing of a model or a GPU is inherited
    return ProcessPoolExecutor(workers, spawn, initializer=_start, initargs=(prepare,))


def _start(prepare: Prepare) -> None:
    global _prepare
    _prepare = prepare
    torch.set_num_threads(1)
    end_with_parent()


def _attempt(prepare: Prepare, entry: Raw) -> Prepared:
    try:
        return prepare(entry)
    except BadMedia as bad:
        return bad


def _work(entries: Sequence[Raw]) -> list[Any]:
    """In a worker. Arrays travel by pipe: shared memory would cost a file descriptor a tensor."""
    found = [_attempt(_prepare, entry) for entry in entries]
    return [
        one if isinstance(one, BadMedia) else {name: x.numpy() for name, x in one.items()}
        for one in found
    ]


def _from_arrays(found: Any) -> Prepared:
    if isinstance(found, BadMedia):
        return found
    return {name: torch.from_numpy(x) for name, x in found.items()}


def _alone(entry: Raw, prepare: Prepare) -> Any:
    """An entry in a process of its own, which may die of it."""
    with _pool(1, prepare) as pool:
        try:
            return pool.submit(_work, [entry]).result()[0]
        except BrokenProcessPool:
            return BadMedia(Fault.CORRUPT, "its decoder crashed")
