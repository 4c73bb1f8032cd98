"""The search of one row: its variants, their spaces, and a name made of all that decides it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

from fusionlab.config import Experiment, experiment_from
from fusionlab.schema import validate
from fusionlab.spaces import Space, read_space
from fusionlab.studies.identity import configuration, digest, run_id
from fusionlab.studies.store import RunStore
from fusionlab.studies.trials.records import Ledger, Trial, TrialFolder
from fusionlab.tuning import Tuning

SEARCH_FORMAT = 1
DECIDES = {"sampler", "pruner", "seed"}
"""Options of `Tuning` that decide what is tried; a budget only says how much of it."""


@dataclass(frozen=True)
class Tuned:
    """A variant of a row as it is tuned: with the seed of the trials, on the dataset of this
    fingerprint; ``space`` by dotted key."""

    label: str
    experiment: Experiment
    fingerprint: str
    space: Mapping[str, Space]


@dataclass(frozen=True)
class Search:
    """The search of one row. Where it has several variants, which of them is searched, too.

    The first trials are the variants as they are written, so that nothing is chosen that is worse
    than these on validation.
    """

    label: str
    variants: tuple[Tuned, ...]
    tuning: Tuning

    @cached_property
    def id(self) -> str:
        """Hash of everything that may change a trial: 64 hexadecimal digits."""
        how = self.tuning.model_dump(mode="json", include=DECIDES)
        spaces = [
            {key: space.model_dump(mode="json") for key, space in one.space.items()}
            for one in self.variants
        ]
        return digest(
            {
                "format": SEARCH_FORMAT,
                "optuna": version("optuna"),
                "how": how,
                "spaces": spaces,
                "labels": [one.label for one in self.variants],
                "runs": [run_id(one.experiment, one.fingerprint) for one in self.variants],
            }
        )

    def seed(self, number: int) -> int:
        """Of what is drawn for a trial: the study's seed for it, the row as it is written, and the
        number of the trial decide; the code and where the data lie do not."""
        row = [configuration(one.experiment) for one in self.variants]
        drawn = digest({"study": self.tuning.seed, "row": row, "trial": number})
        return int(drawn[:8], 16)

    def trial_id(self, number: int) -> str:
        """Name of a trial's lock and of its folder while it runs."""
        return digest({"search": self.id, "trial": number})

    def folder(self, store: RunStore) -> TrialFolder:
        """Where finished trials stand."""
        return TrialFolder(store.root / "searches" / self.id)

    def space(self, place: int, earlier: Sequence[Trial]) -> dict[str, Space]:
        """What is tuned of a variant, as far as its trial as written could know it: the options of
        training count for nothing where nothing is trained."""
        found = dict(self.variants[place].space)
        if place < len(earlier) and not earlier[place].trained:
            idle = ("training.", "balancer.")
            found = {key: one for key, one in found.items() if not key.startswith(idle)}
        return found

    def nothing_to_tune(self, earlier: Sequence[Trial]) -> bool:
        """Is there one variant, and no option of it that could be tuned?"""
        return len(self.variants) == 1 and not self.space(0, earlier)

    def numbers(self, store: RunStore) -> Iterator[int]:
        """The numbers of the trials, each when the one before it is finished."""
        done: list[Trial] = []
        while not self._is_spent(done):
            yield len(done)
            done.append(self.folder(store).load(len(done)))

    def _is_spent(self, done: Sequence[Trial]) -> bool:
        if len(done) < len(self.variants):
            return False  # the variants as they are written are always tried
        budget = self.tuning
        in_time = budget.seconds is None or sum(one.seconds for one in done) < budget.seconds
        left = budget.trials is None or len(done) < budget.trials
        return not (in_time and left) or self.nothing_to_tune(done)

    def finished(self, store: RunStore) -> list[Trial]:
        """The trials that the budget pays for, as far as they are finished."""
        folder, done = self.folder(store), list[Trial]()
        while not self._is_spent(done) and len(done) in folder:
            done.append(folder.load(len(done)))
        return done

    def is_done(self, store: RunStore) -> bool:
        """Are all trials that the budget pays for finished?"""
        return self._is_spent(self.finished(store))

    def ledger(self, store: RunStore) -> Ledger:
        """What the search took and found; all its trials must be finished."""
        trials = self.finished(store)
        return Ledger(
            self.id,
            trials,
            len(self.variants),
            self.variants[0].experiment.selecting,
            self.variants[0].experiment.seed,
            f"{self.tuning.sampler}, {self.tuning.pruner} pruner",
            self.nothing_to_tune(trials),
        )

    def chosen(self, trial: Trial) -> Tuned:
        """The variant that a trial tried."""
        return next(one for one in self.variants if one.label == trial.variant)

    def to_json(self) -> dict[str, Any]:
        """The search as plain data."""
        variants = [
            {
                "label": one.label,
                "experiment": one.experiment.model_dump(mode="json"),
                "fingerprint": one.fingerprint,
                "space": {key: space.model_dump(mode="json") for key, space in one.space.items()},
            }
            for one in self.variants
        ]
        how = self.tuning.model_dump(mode="json", include=DECIDES | {"trials", "seconds"})
        return {"label": self.label, "variants": variants, "tuning": how}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Search:
        """Read back what `to_json` wrote."""
        variants = [
            Tuned(
                one["label"],
                experiment_from(one["experiment"]),
                one["fingerprint"],
                {key: read_space(space) for key, space in one["space"].items()},
            )
            for one in data["variants"]
        ]
        return cls(data["label"], tuple(variants), validate(Tuning, data["tuning"]))
