"""The faults of `faults.py`: what is done to an operation, and what must be true after it."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults_operations import (
    Operation,
    Place,
    Undisturbed,
    as_a_command,
    copied,
    ended,
    forked,
    stopped,
)

ROOM = 1 << 26
"""Bytes of a disk that has space enough."""


@dataclass
class Cell:
    """What became of an operation under a fault: tries, those in which all was as it must be,
    acknowledged results that were gone, and what was wrong; or why it was not tried."""

    tries: int = 0
    held: int = 0
    lost: int = 0
    problems: list[str] = field(default_factory=list)
    skipped: str = ""

    def add(self, problem: str, lost: int = 0) -> None:
        """Count a try; no ``problem``: it held."""
        self.tries += 1
        self.lost += lost
        self.held += not problem and not lost
        if problem or lost:
            self.problems.append(problem or f"{lost} acknowledged results are gone")


@dataclass
class Bench:
    """An operation, what it does undisturbed, and a folder to try it in."""

    operation: Operation
    peace: Undisturbed
    root: Path
    draw: random.Random

    def place(self) -> Place:
        """A new place, prepared."""
        return copied(self.peace.template, self.root / "try")

    def start(self, place: Place, before: Callable[[], object] = lambda: None) -> int:
        """Start the operation; ``before`` changes the process first."""

        def work() -> None:
            save_often()
            before()
            self.operation.work(place)

        return forked(work, place.aside / "out")

    def run(self, place: Place, before: Callable[[], object] = lambda: None) -> tuple[int, str]:
        """Do it to the end: the exit status, and what it said."""
        status = ended(self.start(place, before))
        return status, " ".join((place.aside / "out").read_text(errors="replace").split())

    def outcome(self, place: Place) -> tuple[int, str]:
        """Do it to the end and read what comes out: 0 and that, or the exit status and what was
        said of why."""
        answer = place.aside / "answer"

        def work() -> None:
            save_often()
            try:
                self.operation.work(place)
            except SystemExit as end:
                if end.code:
                    raise
            as_a_command(lambda: answer.write_text(self.operation.result(place)))

        status = ended(forked(work, place.aside / "out"))
        if status:
            return status, " ".join((place.aside / "out").read_text(errors="replace").split())
        return 0, answer.read_text()

    def finished(self, place: Place) -> str:
        """Go on in peace: "" if that ends with what comes out undisturbed, else what is wrong."""
        status, found = self.outcome(place)
        if status:
            return f"going on ended with {status}: {found[-300:]}"
        return "" if found == self.peace.result else "something else came out than undisturbed"

    def missing(self, place: Place, known: set[str]) -> int:
        """How many acknowledged results are not there as they were."""
        return len(known - self.operation.present(place))


def save_often() -> None:
    """A checkpoint after every epoch, so that what goes on from one is seen."""
    from fusionlab.training import loop

    loop.CHECKPOINT_SECONDS = 0.0


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


def full(bench: Bench, tries: int) -> Cell:
    """On a disk with too little space, of all sizes; then it is given more."""

    def once(cell: Cell, place: Place, disk: Disk) -> None:
        status, said = bench.run(place)
        known = bench.operation.told(place) if status in (0, 1) else set()
        problem = "" if status in (0, 1) else f"ended with {status}: {said[-300:]}"
        if status == 1 and not ("free space" in said or "disk is full" in said):
            problem = f"no advice: {said[-300:]}"
        disk.grow()
        cell.add(problem or bench.finished(place), bench.missing(place, known))

    return on_disks(bench, tries, lambda: bench.draw.uniform(0, 1) * bench.peace.size, once)


def read_only(bench: Bench, tries: int) -> Cell:
    """On a disk that may not be written; then it may."""

    def once(cell: Cell, place: Place, disk: Disk) -> None:
        before = bench.operation.present(place)
        disk.options("ro")
        status, said = bench.run(place)
        problem = "" if status == 1 else f"ended with {status}: {said[-300:]}"
        if not problem and str(place.runs) not in said:
            problem = f"names no file: {said[-300:]}"
        disk.options("rw")
        cell.add(problem or bench.finished(place), bench.missing(place, before))

    return on_disks(bench, tries, lambda: ROOM, once)


@dataclass(frozen=True)
class Disk:
    """A small disk in memory."""

    folder: Path

    def options(self, options: str) -> None:
        """Mount it anew with these."""
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.folder)], check=True)

    def grow(self) -> None:
        """Have space enough."""
        self.options(f"size={ROOM}")


def on_disks(
    bench: Bench,
    tries: int,
    space: Callable[[], float],
    once: Callable[[Cell, Place, Disk], None],
) -> Cell:
    """Try with the store of runs on a disk of its own, with so many bytes of ``space``."""
    cell = Cell()
    for _ in range(tries):
        place = bench.place()
        aside = place.aside / "kept"
        shutil.move(place.runs, aside)
        place.runs.mkdir()
        asked_for = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(place.runs)]
        if subprocess.run(asked_for, capture_output=True, check=False).returncode:
            return Cell(skipped="needs the right to mount a disk: run as root")
        try:
            shutil.copytree(aside, place.runs, dirs_exist_ok=True)
            disk = Disk(place.runs)
            about = os.statvfs(place.runs)
            used = (about.f_blocks - about.f_bfree) * about.f_frsize
            disk.options(f"size={used + int(space()) + 4096}")
            once(cell, place, disk)
        finally:
            subprocess.run(["umount", str(place.runs)], check=True)
    return cell


def truncated(bench: Bench, tries: int) -> Cell:
    """The file that says that it is finished is cut off somewhere."""

    def damage(place: Place) -> Path:
        file = bench.operation.record(place)
        os.truncate(file, bench.draw.randrange(file.stat().st_size))
        return file

    return damaged(bench, tries, damage)


def flipped(bench: Bench, tries: int) -> Cell:
    """One bit of one finished file is another."""

    def damage(place: Place) -> Path:
        file = bench.draw.choice(bench.operation.files(place))
        content = bytearray(file.read_bytes())
        content[bench.draw.randrange(len(content))] ^= 1 << bench.draw.randrange(8)
        file.write_bytes(content)
        return file

    return damaged(bench, tries, damage)


def damaged(bench: Bench, tries: int, damage: Callable[[Place], Path]) -> Cell:
    """Damage what is finished and ask for it again: there is an error that says what to do, and who
    does it gets what comes out undisturbed; or that comes out at once."""
    cell, whole = Cell(), bench.place()
    bench.run(whole)
    for _ in range(tries):
        place = copied(whole, bench.root / "damaged")
        file = damage(place)
        status, found = bench.outcome(place)
        if status == 0:
            same = found == bench.peace.result
            cell.add("" if same else f"{file.name}: was read silently", not same)
            continue
        cell.add(_advised(bench, place, file, status, found))
    return cell


def _advised(bench: Bench, place: Place, file: Path, status: int, said: str) -> str:
    """Was the error clear, and is all well once its advice is taken?"""
    if status != 1 or ("delete the folder" not in said and "recover" not in said):
        return f"{file.name}: ended with {status}: {said[-400:]}"
    if "delete the folder" not in said:
        return ""
    shutil.rmtree(file.parent)
    if (
        bench.operation.name == "update"
        and file.parent.name in (place.aside / "before").read_text()
    ):
        return ""  # the run itself, which another command makes
    return bench.finished(place)


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
        setattr(owner, method, large(getattr(owner, method)))


def not_a_number(bench: Bench, tries: int) -> Cell:
    """A loss becomes NaN in a step that is drawn; features of an item; a rating."""
    cell = Cell()
    for _ in range(tries):
        place = bench.place()
        cell.add(NAN.get(bench.operation.name, _nan_loss)(bench, place))
    return cell


def _nan_loss(bench: Bench, place: Place) -> str:
    from fusionlab.studies.store import DIVERGED_FILE

    number = bench.draw.randrange(1, 12)
    note = place.aside / "batch"
    status, said = bench.run(place, lambda: nan_in_step(number, note))
    files = [*place.runs.glob(f".partial/*/{DIVERGED_FILE}")]
    if status != 1 or not files or not all(str(file) in said for file in files):
        return f"ended with {status}, {len(files)} batches kept: {said[-300:]}"
    step, *pairs = note.read_text().splitlines()
    kept = [row for file in files for row in file.read_text().splitlines()[1:]]
    named = [row.split(",")[0] for row in kept] == [pair.split(",")[0] for pair in pairs]
    if f"step {step}," not in said or not named:
        return f"not step {step} of {pairs[:2]} but {kept[:2]}: {said[-300:]}"
    return bench.finished(place)


def nan_in_step(number: int, note: Path) -> None:
    """Make the loss of the n-th step of this process NaN, and note which step of its epoch it was,
    and its users and items."""
    from dataclasses import replace

    from fusionlab.training.ranking import RankingTask

    seen, batches, step = 0, RankingTask.batches, RankingTask.step

    def noted(task: RankingTask, generator: Any) -> Iterator[Any]:
        nonlocal seen
        for place, batch in enumerate(batches(task, generator), 1):
            seen += 1
            if seen == number:
                users, items = task.train.users[batch.clicks], task.train.items[batch.clicks]
                names = task.interactions.user_ids[users.tolist()]
                rows = [f"{u},{i}" for u, i in zip(names, items.tolist(), strict=True)]
                note.write_text("\n".join([str(place), *rows]))
            yield batch

    def spoiled(task: RankingTask, batch: Any, generator: Any) -> Any:
        found = step(task, batch, generator)
        return replace(found, joint=found.joint * float("nan")) if seen == number else found

    RankingTask.batches, RankingTask.step = noted, spoiled  # type: ignore[method-assign]


def _nan_features(bench: Bench, place: Place) -> str:
    status, said = bench.run(place, nan_in_a_forward_pass)
    reports = [f.read_text() for f in place.runs.glob("features/*/*/report.csv")]
    bad = [report.count("corrupt,its features are not finite") for report in reports]
    return "" if (status, bad) == (0, [1, 1]) else f"ended with {status}, {bad}: {said[-300:]}"


def nan_in_a_forward_pass() -> None:
    """Let the first features of every column be NaN."""
    import torch

    from fusionlab.encoders.blocks import BlockEncoder

    forward, spoiled = BlockEncoder._forward, set[int]()

    def with_nan(encoder: Any, contents: Any, samples: Any) -> Iterator[Any]:
        for content, values, mask in forward(encoder, contents, samples):
            first = id(encoder) not in spoiled
            spoiled.add(id(encoder))
            yield content, torch.full_like(values, torch.nan) if first else values, mask

    BlockEncoder._forward = with_nan  # type: ignore[method-assign, assignment]


def _nan_rating(bench: Bench, place: Place) -> str:
    from fusionlab.cli import main

    run, ((user, item), *_) = json.loads((place.aside / "before").read_text())
    words = ["feedback", run, "add", "--user", user, "--item", item, "--runs", str(place.runs)]
    for more in (["--kind", "rating", "--rating", "nan"], ["--kind", "click", "--time", "nan"]):
        status = ended(forked(lambda more=more: main([*words, *more]), place.aside / "out"))
        said = (place.aside / "out").read_text()
        if status != 1 or "found nan" not in said or bench.operation.present(place):
            return f"{more} ended with {status}: {said}"
    return bench.finished(place)


def _nan_trial(bench: Bench, place: Place) -> str:
    status, said = bench.run(place, lambda: nan_in_step(2, place.aside / "batch"))
    trials = [file.read_text() for file in bench.operation.files(place)]
    diverged = sum('"outcome": "diverged"' in trial for trial in trials)
    found = (status, diverged, len(trials))
    return "" if found == (0, 1, 4) else f"{found}: {said[-300:]}"


NAN: dict[str, Callable[[Bench, Place], str]] = {
    "encode": _nan_features,
    "tune": _nan_trial,
    "feedback": _nan_rating,
}
"""Where it is no loss."""


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
