"""The feedback log of a finished run: where it stands, and which ids it takes."""

from __future__ import annotations

from pathlib import Path

from fusionlab.config import experiment_from
from fusionlab.errors import FusionlabError
from fusionlab.serving.feedback import FeedbackLog
from fusionlab.studies.record import RunRecord
from fusionlab.studies.store import RunStore


def feedback_file(record: RunRecord, store: RunStore) -> Path:
    """The log of a run and of all its updates, named after the first of them; beside the runs,
    which are never written again."""
    return store.root / "feedback" / f"{record.root}.sqlite"


def open_feedback(prefix: str, store: RunStore) -> FeedbackLog:
    """The log of the run whose id begins with ``prefix``; it takes ids of the run's dataset alone.

    No media are encoded and no model is loaded.
    """
    record = store.find(prefix)
    dataset = experiment_from(record.config).dataset.build().load()
    if dataset.interactions is None:
        raise FusionlabError(f"run {record.id[:12]}: found a classifier, which has no users")
    users, items = (set(map(str, ids)) for ids in (dataset.interactions.user_ids, dataset.item_ids))
    return FeedbackLog(feedback_file(record, store), users, items, dataset.known_as)
