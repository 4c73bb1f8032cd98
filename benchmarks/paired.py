"""Times calls in alternating rounds, so that a drifting machine moves all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Pair:
    """Seconds of two calls, round by round."""

    name: str
    ours: list[float]
    theirs: list[float]

    @property
    def ratio(self) -> float:
        """Ratio of the medians, ours / theirs."""
        return statistics.median(self.ours) / statistics.median(self.theirs)

    @property
    def ratios(self) -> list[float]:
        """The ratio of each round."""
        return [a / b for a, b in zip(self.ours, self.theirs, strict=True)]

    def summary(self) -> dict[str, float | str]:
        """What goes into a table or a JSON file."""
        return {
            "name": self.name,
            "ours": statistics.median(self.ours),
            "theirs": statistics.median(self.theirs),
            "ratio": self.ratio,
            "lowest": min(self.ratios),
            "highest": max(self.ratios),
            "rounds": len(self.ours),
        }


def alternate(
    calls: Mapping[str, Call], rounds: int = 5, warmup: int = 1
) -> dict[str, list[float]]:
    """Seconds of each call: A B A B ..., every other round in the opposite order (A B B A)."""
    for _ in range(warmup):
        for call in calls.values():
            call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        names = list(calls)
        for name in names if number % 2 == 0 else reversed(names):
            start = time.perf_counter()
            calls[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def pair(name: str, ours: Call, theirs: Call, rounds: int = 5, warmup: int = 1) -> Pair:
    """Ours beside theirs."""
    seconds = alternate({"ours": ours, "theirs": theirs}, rounds, warmup)
    return Pair(name, seconds["ours"], seconds["theirs"])
