"""What `faults.py` does something to: a command that writes, where it writes, and what comes out
when nothing happens to it."""

from __future__ import annotations

import shutil
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from faults_processes import asked, ended, forked


@dataclass(frozen=True)
class Place:
    """Where a try happens: the store of ``runs``, which may be a disk of its own, and a folder
    ``aside`` for configurations and what processes say."""

    runs: Path
    aside: Path


def fresh(root: Path) -> Place:
    """An empty place."""
    place = Place(root / "runs", root / "aside")
    for folder in (place.runs, place.aside):
        folder.mkdir(parents=True)
    return place


def copied(template: Place, root: Path) -> Place:
    """A place like another."""
    shutil.rmtree(root, ignore_errors=True)
    place = Place(root / "runs", root / "aside")
    shutil.copytree(template.runs, place.runs)
    shutil.copytree(template.aside, place.aside)
    return place


class Operation(ABC):
    """A command that writes. What it has ``told`` is acknowledged and must be ``present`` ever
    after; ``result`` is what comes out when it is done, the same whatever happened on the way."""

    name: str
    batches = "training.batch_size"
    """What a message on too little memory names; "" where there is no batch."""
    share = 4
    """Of the kills: more where a try is short."""

    def prepare(self, place: Place) -> None:
        """Put there what must be there before; in a process of its own. Nothing, unless a
        command says otherwise."""
        return

    @abstractmethod
    def work(self, place: Place) -> None:
        """The command."""

    def present(self, place: Place) -> set[str]:
        """Names and digests of what is finished in the store."""
        return {
            f"{file.parent.name} {digest(file.parent)}" for file in place.runs.glob("*/record.json")
        }

    def told(self, place: Place) -> set[str]:
        """What was acknowledged so far: what is in the store under its final name."""
        return self.present(place)

    @abstractmethod
    def result(self, place: Place) -> str:
        """A digest of what came out, seconds and dates left out; reads it back as others do."""

    def files(self, place: Place) -> list[Path]:
        """Finished files that a fault may change."""
        return sorted(f for r in place.runs.glob("*/record.json") for f in r.parent.iterdir())

    def record(self, place: Place) -> Path:
        """The file that says that it is finished."""
        return max(place.runs.glob("*/record.json"), key=lambda file: file.stat().st_mtime_ns)


def digest(folder: Path) -> str:
    """Of all files in a folder."""
    found = sha256()
    for file in sorted(folder.iterdir()):
        found.update(file.name.encode() + file.read_bytes())
    return found.hexdigest()


@dataclass(frozen=True)
class Undisturbed:
    """An operation that nothing happened to: how long it took, what came out, and the
    bytes that it added to the store."""

    template: Place
    seconds: float
    result: str
    size: int


def undisturbed(operation: Operation, root: Path) -> Undisturbed:
    """Prepare an operation and do it once, in peace."""
    template = fresh(root / "template")
    asked(lambda: operation.prepare(template), template.aside)
    place = copied(template, root / "peace")
    started = time.perf_counter()
    status = ended(forked(lambda: operation.work(place), place.aside / "out"))
    seconds = time.perf_counter() - started
    assert status == 0, (place.aside / "out").read_text()
    size = space_of(place.runs) - space_of(template.runs)
    found = asked(lambda: operation.result(place), place.aside)
    return Undisturbed(template, seconds, found, size)


def space_of(folder: Path) -> int:
    """Bytes of the pages of all files in a folder."""
    sizes = [f.stat().st_size for f in folder.rglob("*") if f.is_file()]
    return sum(-(-size // 4096) * 4096 for size in sizes)
