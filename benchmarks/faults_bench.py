"""Where a fault of `faults.py` meets an operation: it is tried again and again, and counted."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from faults_operations import Operation, Place, Undisturbed, copied
from faults_processes import as_a_command, ended, forked


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
