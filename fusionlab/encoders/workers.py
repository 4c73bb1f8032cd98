"""Decoding in other processes: entries in, prepared samples out, in order."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import forkserver
from typing import Any

import torch

from fusionlab.data.media import Raw
from fusionlab.encoders.contract import BadMedia, Fault, Sample
from fusionlab.errors import FusionlabError
from fusionlab.processes import GUARD, end_with_parent
from fusionlab.returned import refusal, tensors_returned

Prepare = Callable[[Raw], Sample]
Prepared = Sample | BadMedia
ENTRIES_A_TASK = 16

_prepare: Prepare


def prepared(
    entries: Sequence[Raw], prepare: Prepare, workers: int, ahead: int = 0
) -> Iterator[Prepared]:
    """``prepare`` of each entry, or why it cannot be, in order.

    With ``workers`` it happens in that many other processes, which are at least ``ahead`` entries
    ahead of what is asked for. An entry whose decoder takes the whole process down is corrupt, like
    any other.

    Raises:
        FusionlabError: no process can be started.
    """
    if not workers:
        for entry in entries:
            yield attempt(prepare, entry)
        return
    starts = range(0, len(entries), ENTRIES_A_TASK)
    tasks = iter([entries[start : start + ENTRIES_A_TASK] for start in starts])
    pool = _pool(workers, prepare)
    try:
        pool.submit(_ready).result()
    except (BrokenProcessPool, OSError, EOFError) as error:
        raise FusionlabError(
            f"encoders: a process that decodes died as it began; {GUARD}"
        ) from error
    room = 2 * workers + ahead // ENTRIES_A_TASK
    waiting: deque[tuple[Sequence[Raw], Future[Any]]] = deque()
    try:
        while True:
            for task in islice(tasks, room - len(waiting)):
                waiting.append((task, pool.submit(_work, task)))
            if not waiting:
                return
            task, future = waiting.popleft()
            try:
                found = future.result()
            except BrokenProcessPool:
                found = _one_by_one(task, prepare)
                pool.shutdown(wait=False, cancel_futures=True)
                pool = _pool(workers, prepare)
                waiting = deque((other, pool.submit(_work, other)) for other, _ in waiting)
            yield from map(_from_arrays, found)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def get_ready(prepare: Prepare | None = None) -> Any:
    """Start, beside what this process does, the process that workers are forked from.

    It has imported what decoding needs, so that a worker is there at once, and has nothing else: no
    worker inherits a model, a GPU or a thread.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():  # Windows
        return multiprocessing.get_context("spawn")
    held = [prepare, *getattr(prepare, "__dict__", {}).values()]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["__main__", __name__, *sorted({type(one).__module__ for one in held})]
    )
    forkserver.ensure_running()
    return context


def _pool(workers: int, prepare: Prepare) -> ProcessPoolExecutor:
    context = get_ready(prepare)
    return ProcessPoolExecutor(workers, context, initializer=_start, initargs=(prepare,))


def _start(prepare: Prepare) -> None:
    global _prepare
    _prepare = prepare
    torch.set_num_threads(1)
    end_with_parent()


def _ready() -> None:
    """In a worker: it has begun."""


def attempt(prepare: Prepare, entry: Raw) -> Prepared:
    """The prepared entry, or why it cannot be; FusionlabError where ``prepare`` breaks its word."""
    try:
        found = prepare(entry)
    except BadMedia as bad:
        if isinstance(bad.fault, Fault):
            return bad
        expected = " or ".join(f"Fault.{one.name}" for one in Fault)
        why = f"found BadMedia with the fault {bad.fault!r}, expected {expected}"
        raise refusal(prepare, "__call__", why) from None
    return tensors_returned(prepare, "__call__", found)


def _work(entries: Sequence[Raw]) -> list[Any]:
    """In a worker. Arrays travel by pipe: shared memory would cost a file descriptor a tensor."""
    found = [attempt(_prepare, entry) for entry in entries]
    return [
        one if isinstance(one, BadMedia) else {name: x.numpy() for name, x in one.items()}
        for one in found
    ]


def _from_arrays(found: Any) -> Prepared:
    if isinstance(found, BadMedia):
        return found
    return {name: torch.from_numpy(x) for name, x in found.items()}


def _one_by_one(entries: Sequence[Raw], prepare: Prepare) -> list[Any]:
    """Entries one of which took a process down: in a process that may die of it."""
    found = []
    pool = _pool(1, prepare)
    for entry in entries:
        try:
            found += pool.submit(_work, [entry]).result()
        except BrokenProcessPool:
            found.append(BadMedia(Fault.CORRUPT, "its decoder crashed"))
            pool.shutdown(wait=False)
            pool = _pool(1, prepare)
    pool.shutdown()
    return found
