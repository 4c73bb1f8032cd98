"""The feedback log of a finished run: where it stands, and which ids it takes."""

from __future__ import annotations

from pathlib import Path

from fusionlab.config import experiment_from
from fusionlab.errors import FusionlabError
from fusionlab.serving.feedback import FeedbackLog
from fusionlab.studies.store import RunStore


def feedback_file(run: str, store: RunStore) -> Path:
    """The log of the run with this whole id; beside the runs, which are never written again."""
    return store.root / "feedback" / f"{run}.sqlite"


def open_feedback(prefix: str, store: RunStore) -> FeedbackLog:
    """The log of the run whose id begins with ``prefix``; it takes ids of the run's dataset alone.

    No media are encoded and no model is loaded.
    """
    record = store.find(prefix)
    dataset = experiment_from(record.config).dataset.build().load()
    if dataset.interactions is None:
        raise FusionlabError(f"run {record.id[:12]}: found a classifier, which has no users")
    users, items = (set(map(str, ids)) for ids in (dataset.interactions.user_ids, dataset.item_ids))
    return FeedbackLog(feedback_file(record.id, store), users, items)
