"""The parent's side: a process a contender, figures checked, then rounds in turn."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peer_case import Case
from peer_rows import MODULES, OURS, Row

WORKER = Path(__file__).with_name("peer_worker.py")
TOLERANCE = 1e-6
Key = tuple[str, str]
"""A contender: toolkit and work."""


@dataclass
class Outcome:
    """What is known of a contender: its seconds by round, or why it has none."""

    seconds: list[float] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    silent: bool = False
    absent: str = ""
    failed: str = ""

    @property
    def why(self) -> str:
        """Why there are no seconds; empty where there are."""
        return self.failed or self.absent


class Worker:
    """A process that holds one toolkit ready and works when told to.

    While it waits it sleeps in a read, and so do its OpenMP threads after some milliseconds: it
    takes nothing from the one whose turn it is.
    """

    def __init__(self, key: Key, case: Case, python: str) -> None:
        toolkit, work = key
        self.log = case.path / f"{toolkit}-{work}.log"
        command = [python, str(WORKER), MODULES[toolkit], work, case.text()]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=case.environment,
            )

    def close(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.wait()

    def hear(self) -> dict[str, Any]:
        """The next answer; if there is none, ``failed`` holds the last line of its log."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        last = [one for one in self.log.read_text().splitlines() if one.strip()][-1:]
        return {"failed": f"failed: {''.join(last) or 'it said nothing'}"}

    def work(self) -> dict[str, Any]:
        """Let it work once."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it died while it waited: hear() says of what
        return self.hear()


def contenders(rows: list[Row]) -> list[Key]:
    """Ours first, then the peers, each once."""
    ours = [(OURS, row.ours) for row in rows]
    return [*dict.fromkeys([*ours, *((row.peer, row.theirs) for row in rows)])]


def take_turns(
    rows: list[Row],
    case: Case,
    pythons: Mapping[str, str],
    *,
    rounds: int,
    note: Callable[[str], None],
) -> dict[Key, Outcome]:
    """Prepare the contenders one after the other, check what they compute, time them in turn.

    In its turn a contender works twice, and the second time counts: the first pays for caches and
    pages that went cold while others had theirs. A contender that is absent, breaks or computes
    something else is not timed.
    """
    outcomes: dict[Key, Outcome] = {}
    workers: dict[Key, Worker] = {}
    try:
        for key in contenders(rows):
            note(f"{key[0]}: preparing {key[1]}")
            workers[key] = Worker(key, case, pythons[key[0]])
            outcomes[key] = Outcome(**workers[key].hear())
        _compare_figures(outcomes)
        for number in range(rounds):
            note(f"round {number + 1} of {rounds}")
            for key, outcome in outcomes.items():
                for counts in (False, True):
                    if not outcome.why:
                        _work(workers[key], outcome, counts=counts)
    finally:
        for worker in workers.values():
            worker.close()
    return outcomes


def _compare_figures(outcomes: Mapping[Key, Outcome]) -> None:
    for (_, work), outcome in outcomes.items():
        ours = outcomes.get((OURS, work))
        if ours is not None and not ours.why and not outcome.why:
            outcome.failed = disagreement(outcome, ours)


def _work(worker: Worker, outcome: Outcome, *, counts: bool) -> None:
    answer = worker.work()
    outcome.failed = answer.get("failed", "")
    if counts and not outcome.failed:
        outcome.seconds.append(answer["seconds"])


def shared_figures(found: Outcome, ours: Outcome) -> list[str]:
    """The names of the figures that both have."""
    return sorted(found.figures.keys() & ours.figures.keys())


def disagreement(found: Outcome, ours: Outcome) -> str:
    """Where figures of one name differ by more than 1e-6, or none has a name in common, unless the
    peer shows none."""
    shared = shared_figures(found, ours)
    if (found.figures or ours.figures) and not shared and not found.silent:
        return f"no figure to compare: found {sorted(found.figures)}, ours {sorted(ours.figures)}"
    wrong = [
        f"{name} is {found.figures[name]:.8f}, ours {ours.figures[name]:.8f}"
        for name in shared
        if not abs(found.figures[name] - ours.figures[name]) <= TOLERANCE
    ]
    return f"computes something else: {'; '.join(wrong)}" if wrong else ""
