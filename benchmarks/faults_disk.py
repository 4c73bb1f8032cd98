"""Faults of the disk: it is full or may not be written, or what was on it is something else."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from faults_bench import Bench, Cell
from faults_operations import Place, copied

ROOM = 1 << 26
"""Bytes of a disk that has space enough."""


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
