"""What a trial leaves behind, and the ledger of a row's trials."""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, TypeAdapter

from fusionlab.data.disk import flush, whole, writing
from fusionlab.data.sealed import sealed, unsealed
from fusionlab.errors import FusionlabError
from fusionlab.schema import said_by

Outcome = Literal["complete", "pruned", "diverged"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
Spent = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""Seconds or MB."""


@dataclass(frozen=True)
class Trial:
    """One training run of a search, judged on validation and on nothing else.

    ``changes`` are the options that were tried, by dotted key; none: as they are written.
    ``value`` is the best value of the selecting metric on validation; None where the loss became
    infinite. ``trained``: was there anything to train? ``seconds`` are those of the process that
    finished it (MB = 10^6 bytes).
    """

    number: int
    variant: str
    changes: dict[str, Any]
    outcome: Outcome
    value: Annotated[float, Field(allow_inf_nan=False)] | None
    trained: bool
    seconds: Spent
    peak_memory_mb: Spent
    history: list[dict[str, float]]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Trial:
        """Read back what ``asdict`` gives; ValueError or TypeError where it is something else."""
        checked = _trials().validate_json(json.dumps(data), strict=True)
        if (checked.outcome == "diverged") != (checked.value is None):
            raise ValueError(f"found the value {checked.value} of a trial {checked.outcome}")
        return cls(**data)


@cache
def _trials() -> TypeAdapter[Trial]:
    return TypeAdapter(Trial)


class TrialFolder:
    """The finished trials of one search: ``search.json`` and ``0000/trial.json`` onward.

    A trial appears whole, by one rename, and in order: there is none whose predecessor is not.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def describe(self, search: dict[str, Any]) -> None:
        """Write, once, what is searched."""
        file = self.folder / "search.json"
        if not file.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(file, search)

    def __contains__(self, number: int) -> bool:
        return self._file(number).is_file()

    def load(self, number: int) -> Trial:
        """Read a finished trial."""
        file = self._file(number)
        try:
            trial = Trial.from_json(unsealed(file.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise FusionlabError(
                f"{file}: not the record of a trial ({said_by(error)}); delete the folder and "
                "those that follow it, and run again"
            ) from None
        return trial

    def save(self, trial: Trial, partial: Path) -> None:
        """Write a finished trial; afterwards it is there whole, and the folder ``partial``, in
        which it ran, is gone."""
        for file in partial.iterdir():
            file.unlink()
        _write(partial / "trial.json", asdict(trial))
        os.rename(partial, self._file(trial.number).parent)

    def first(self, count: int | None = None) -> list[Trial]:
        """The finished trials in order, at most so many."""
        numbers: Iterator[int] = itertools.takewhile(self.__contains__, itertools.count())
        return [self.load(number) for number in itertools.islice(numbers, count)]

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:04}" / "trial.json"


def _write(file: Path, data: dict[str, Any]) -> None:
    with writing(file), whole(file) as draft:
        draft.write_text(sealed(data))
        flush(draft)


@dataclass(frozen=True)
class Ledger:
    """What the search of a row took and found; ``variants`` of it were tried as they are written.

    ``search`` is its name in the store, ``select`` the metric on validation, ``seed`` that of
    training, ``how`` says how values were drawn and trials given up. ``nothing_to_tune``: the row
    has no option that a tuner would look at.
    """

    search: str
    trials: Sequence[Trial]
    variants: int
    select: str
    seed: int
    how: str
    nothing_to_tune: bool = False

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Ledger:
        """Read back what ``asdict`` gives; ValueError or TypeError where it is something else."""
        found = cls(**{**data, "trials": [Trial.from_json(one) for one in data["trials"]]})
        _ledgers().validate_json(json.dumps(asdict(found)), strict=True)
        return found

    @property
    def best(self) -> Trial:
        """The complete trial with the highest value, the first of equal ones.

        Raises:
            FusionlabError: no trial was completed.
        """
        complete = [one for one in self.trials if one.outcome == "complete"]
        if not complete:
            raise FusionlabError(
                f"none of {len(self.trials)} trials was completed: in each the loss became "
                "infinite; expected spaces (tune.spaces) in which some configuration can be trained"
            )
        return max(complete, key=lambda one: _value(one))

    @property
    def as_written(self) -> float | None:
        """The best value of the options as they are written; None where all of these diverged."""
        values = [one.value for one in self.trials[: self.variants] if one.value is not None]
        return max(values, default=None)

    @property
    def seconds(self) -> float:
        """Of all trials, one after the other."""
        return sum(one.seconds for one in self.trials)

    @property
    def peak_memory_mb(self) -> float:
        """Of the trial that took most."""
        return max(one.peak_memory_mb for one in self.trials)

    def count(self, outcome: Outcome) -> int:
        """How many trials ended so."""
        return Counter(one.outcome for one in self.trials)[outcome]

    @property
    def course(self) -> list[tuple[float, float]]:
        """(seconds spent, best value so far) after each trial from the first complete one on."""
        found: list[tuple[float, float]] = []
        spent, best = 0.0, float("-inf")
        for one in self.trials:
            spent += one.seconds
            if one.outcome == "complete":
                best = max(best, _value(one))
            if best > float("-inf"):
                found.append((spent, best))
        return found


@cache
def _ledgers() -> TypeAdapter[Ledger]:
    return TypeAdapter(Ledger)


def _value(trial: Trial) -> float:
    assert trial.value is not None
    return trial.value
