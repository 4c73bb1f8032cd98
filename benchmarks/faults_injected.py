"""The faults of `faults.py`: what is done to an operation, and what must be true after it."""

from __future__ import annotations

import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from faults_bench import Bench, Cell
from faults_disk import flipped, full, read_only, truncated
from faults_nan import not_a_number
from faults_operations import Place
from faults_processes import ended, stopped


def signalled(how: signal.Signals) -> Callable[[Bench, int], Cell]:
    """Ended by a signal at random moments, again and again until it is done; then anew."""

    def fault(bench: Bench, tries: int) -> Cell:
        cell, place, known = Cell(), bench.place(), set[str]()
        while cell.tries < tries:
            process = bench.start(place)
            time.sleep(bench.draw.uniform(0, bench.peace.seconds))
            status = stopped(process, how)
            known |= bench.operation.told(place)
            if status == 0:  # it was faster: what came out, after its kills, is that of peace
                lost = bench.missing(place, known)
                cell.lost += lost
                if problem := bench.finished(place) or (lost and f"{lost} results are gone"):
                    cell.held -= 1
                    cell.problems.append(str(problem))
                place, known = bench.place(), set()
            else:
                problem = "" if status == -how else f"ended with {status}"
                cell.add(problem, bench.missing(place, known))
        if problem := bench.finished(place):
            cell.held -= 1
            cell.problems.append(problem)
        return cell

    return fault


def clock(bench: Bench, tries: int) -> Cell:
    """The clock leaps by up to a year, back and forth, each time it is read."""

    def leap(seed: int) -> None:
        draw, real, real_ns = random.Random(seed), time.time, time.time_ns
        year = 365 * 86_400
        time.time = lambda: real() + draw.uniform(-year, year)
        time.time_ns = lambda: real_ns() + int(draw.uniform(-year, year) * 1e9)

    cell = Cell()
    for n in range(tries):
        place = bench.place()
        status, said = bench.run(place, lambda seed=n: leap(seed))
        known = bench.operation.told(place)
        problem = "" if status == 0 else f"ended with {status}: {said[-300:]}"
        cell.add(problem or bench.finished(place), bench.missing(place, known))
    return cell


def two_at_once(bench: Bench, tries: int) -> Cell:
    """Two processes do the same on one store."""
    cell = Cell()
    for _ in range(tries):
        place = bench.place()
        other = Place(place.runs, place.aside / "other")
        shutil.copytree(bench.peace.template.aside, other.aside)
        processes = [bench.start(place), bench.start(other)]
        ends = [ended(process) for process in processes]
        known = bench.operation.told(place) | bench.operation.told(other)
        problem = "" if ends == [0, 0] else f"ended with {ends}"
        cell.add(problem or bench.finished(place), bench.missing(place, known))
    return cell


def too_little_memory(bench: Bench, tries: int) -> Cell:
    """The address space is bounded when a step (or a batch to encode) begins; the step asks for
    more. What the command says must name what to lower."""
    if not bench.operation.batches:
        return Cell(skipped="an event is a row: there is no batch")
    cell = Cell()
    for _ in range(tries):
        place = bench.place()
        status, said = bench.run(place, no_more_memory)
        problem = "" if status == 1 else f"ended with {status}: {said[-300:]}"
        if not problem and f"lower {bench.operation.batches}" not in said:
            problem = f"no advice: {said[-300:]}"
        known = bench.operation.told(place)
        cell.add(problem or bench.finished(place), bench.missing(place, known))
    return cell


def no_more_memory() -> None:
    """Let every step want 4 GB where only 1 GB more may be had."""
    import torch

    from fusionlab.encoders.blocks import BlockEncoder
    from fusionlab.training.ranking import RankingTask

    def large(was: Callable[..., object]) -> Callable[..., object]:
        def wanting(*arguments: object, **more: object) -> object:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + (1 << 30)
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            torch.empty(1 << 30)
            return was(*arguments, **more)

        return wanting

    for owner, method in ((RankingTask, "step"), (BlockEncoder, "_forward")):
        patch.object(owner, method, large(getattr(owner, method))).start()


FAULTS: dict[str, Callable[[Bench, int], Cell]] = {
    "kill -9": signalled(signal.SIGKILL),
    "SIGTERM": signalled(signal.SIGTERM),
    "disk full": full,
    "read-only folder": read_only,
    "truncated record": truncated,
    "corrupted byte": flipped,
    "clock leaps": clock,
    "two at once": two_at_once,
    "too little memory": too_little_memory,
    "NaN": not_a_number,
}
