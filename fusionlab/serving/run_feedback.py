"""The feedback log of a finished run: where it stands, and which ids it takes."""

from __future__ import annotations

from pathlib import Path

from fusionlab.config import experiment_from
from fusionlab.errors import FusionlabError
from fusionlab.serving.feedback import FeedbackLog
from fusionlab.studies.datasets import items_in, read_dataset
from fusionlab.studies.record import RunRecord
from fusionlab.studies.store import RunStore


def feedback_file(record: RunRecord, store: RunStore) -> Path:
    """The log of a run and of all its updates, named after the first of them; beside the runs,
    which are never written again."""
    return store.root / "feedback" / f"{record.root}.sqlite"


def open_feedback(
    prefix: str, store: RunStore, *, new_users: bool = False, new_items: Path | None = None
) -> FeedbackLog:
    """The log of the run whose id begins with ``prefix``; it takes ids of the run's dataset alone,
    and of items in the file ``new_items`` (`read_items`); with ``new_users`` those of anybody.

    No media are encoded and no model is loaded.
    """
    record = store.find(prefix)
    experiment = experiment_from(record.config)
    dataset, _ = read_dataset(experiment)
    if dataset.interactions is None:
        raise FusionlabError(
            f"run {record.id[:12]}: found a classifier, expected a run that recommends"
        )
    users, items = (set(map(str, ids)) for ids in (dataset.interactions.user_ids, dataset.item_ids))
    if new_items is not None:
        items |= {one.id for one in items_in(new_items, experiment, dataset)}
    file = feedback_file(record, store)
    return FeedbackLog(file, None if new_users else users, items, dataset.known_as)
