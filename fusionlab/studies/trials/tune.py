"""Tune rows: the trials of a row one after the other, rows side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionlab.errors import FusionlabError
from fusionlab.studies.executor import Job, work_off
from fusionlab.studies.store import RunStore
from fusionlab.studies.trials.mirror import Mirror
from fusionlab.studies.trials.search import Search

if TYPE_CHECKING:
    from fusionlab.studies.ray_executor import Cluster

OnTrial = Callable[[str], None]


@dataclass(frozen=True)
class TrialJob:
    """The next trial of a search, as plain data."""

    search: dict[str, Any]
    number: int

    def do(self, store: RunStore, *, patient: bool, share: Path | None) -> bool:
        """See `Job`."""
        from fusionlab.studies.trials.trial import run_trial  # imports Optuna

        search = Search.from_json(self.search)
        return run_trial(search, self.number, store, patient=patient, share=share) is not None


def tune(
    searches: Sequence[Search],
    store: RunStore,
    *,
    storage: str | None = None,
    workers: int = 1,
    cluster: Cluster | None = None,
    on_trial: OnTrial = lambda row: None,
) -> None:
    """Bring every trial of these searches into the store; what is there already is not run again.

    ``on_trial`` is called with the row's label for each trial that is done. A trial depends on the
    trials of its own row alone, and on these in order: any number of workers, processes or machines
    of a ``cluster`` finds the same.

    Raises:
        FusionlabError: at the end; it names every row in which a trial failed.
    """
    named = {search.id: search for search in searches}
    mirror = Mirror(store, storage)

    def done(name: str) -> None:
        mirror.bring_up_to_date(named[name])
        on_trial(named[name].label)

    chains = {name: _jobs(search, store, on_trial) for name, search in named.items()}
    failures = work_off(
        chains,
        store,
        [one.experiment for search in searches for one in search.variants],
        workers=workers,
        cluster=cluster,
        on_done=done,
    )
    for search in named.values():
        mirror.bring_up_to_date(search)
    if failures:
        listed = "\n".join(f"  {named[name].label}: {why}" for name, why in failures.items())
        raise FusionlabError(f"{len(failures)} of {len(named)} rows could not be tuned:\n{listed}")


def _jobs(search: Search, store: RunStore, on_trial: OnTrial) -> Iterator[Job]:
    folder, data = search.folder(store), search.to_json()
    for number in search.numbers(store):
        if number in folder:
            on_trial(search.label)
        else:
            yield TrialJob(data, number)
