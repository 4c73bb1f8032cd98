"""From a run's feedback log to an updated run."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import polars as pl

from fusionlab.config import experiment_from
from fusionlab.data.dataset import Dataset
from fusionlab.data.situations import Situations, cell, column_of
from fusionlab.data.words import SCHEMA, in_rows, keys_of
from fusionlab.errors import FusionlabError
from fusionlab.serving.feedback import FeedbackLog
from fusionlab.serving.last_words import Word, last_words
from fusionlab.serving.run_feedback import feedback_file
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.fine_tuning import FineTuning, Told
from fusionlab.studies.store import RunStore
from fusionlab.studies.update import Updated, update_run
from fusionlab.training.loop import OnEpoch


def update(
    prefix: str,
    store: RunStore,
    options: FineTuning | None,
    *,
    held_out: float = 0.2,
    without_users: str | None = None,
    on_epoch: OnEpoch | None = None,
) -> Updated:
    """Update the run whose id begins with ``prefix`` from the feedback log of its line of updates.

    New clicks, and ratings of at least the dataset's ``min_rating``, come to the train clicks;
    what was disliked last goes. The latest ``held_out`` of the clicks that the run was not trained
    on are kept as the judge (`told_by`).

    Args:
        prefix: of the run.
        store: where it is, and where the new one will be.
        options: how to tune; None: train afresh.
        held_out: share of the new clicks, the latest.
        without_users: a file of users that the dataset is read without from now on; needs None for
            ``options``.
        on_epoch: called with the history entry of each epoch.

    Raises:
        FusionlabError: what `update_run` and `told_by` refuse.
    """
    record = store.find(prefix)
    experiment = experiment_from(record.config)
    if experiment.task != "recommendation":
        raise FusionlabError(
            f"run {record.id[:12]}: found a classifier, expected a run that recommends"
        )
    if without_users is not None:
        experiment = experiment.varied({"dataset.privacy.without_users": without_users})
    dataset = load_dataset(experiment, store.features)
    file = feedback_file(record, store)
    words: list[Word] = []
    if file.exists():
        with FeedbackLog(file) as log:
            words = last_words(log.events(), getattr(experiment.dataset, "min_rating", None))
    known = record.words()
    liked = known.unique(["user", "item"], keep="last").filter("liked")
    trained_on = {*zip(liked["user"], liked["item"], strict=True)}
    told = told_by(words, dataset, held_out, trained_on)
    return update_run(record, experiment, told, store, options, on_epoch)


def told_by(
    words: list[Word],
    dataset: Dataset,
    held_out: float = 0.2,
    trained_on: Collection[tuple[str, str]] = (),
) -> Told:
    """What a log says, parted into what is learned and the clicks that judge.

    New are the liked pairs of user and item that are neither among the train clicks of ``dataset``
    nor in ``trained_on``. Of n new ones the latest floor(n ``held_out`` + 1/2), at least one, are
    held out; where times are equal, those that were logged last. Of a single new click nothing can
    be held out, and no model is judged. Words on what ``dataset`` does not have are left out.
    """
    assert dataset.interactions is not None
    frame = _frame(words, dataset.interactions.situations)
    user_ids, item_ids = dataset.interactions.user_ids, dataset.item_ids
    for name, ids in (("user", user_ids), ("item", item_ids)):
        frame = frame.filter(pl.col(name).is_in(ids.cast(pl.String).implode()))
    keys = in_rows(dataset, frame)["key"].to_numpy()
    pairs = zip(frame["user"], frame["item"], strict=True)
    before = np.array([pair in trained_on for pair in pairs], dtype=bool)
    before |= np.isin(keys, keys_of(dataset.interactions.train))
    new = (frame["liked"].fill_null(False).to_numpy() & ~before).nonzero()[0]
    latest = new[np.argsort(frame["time"].to_numpy()[new], kind="stable")]
    count = min(max(math.floor(len(new) * held_out + 0.5), 1), len(new) - 1) if len(new) else 0
    held = np.isin(np.arange(len(frame)), latest[len(latest) - count :])
    frame = frame.drop("time")
    return Told(frame.filter(~held), frame.filter(held))


def _frame(words: Sequence[Word], situations: Situations | None) -> pl.DataFrame:
    """A row a word, with its time and what its context says in the columns of ``situations``."""
    frame = pl.DataFrame(
        [(one.user, one.item, one.liked, one.time) for one in words],
        schema={**SCHEMA, "time": pl.Float64},
        orient="row",
    )
    told = [one.context if isinstance(one.context, dict) else {} for one in words]
    return frame.with_columns(
        pl.Series(column_of(name), [cell(one.get(name)) for one in told], pl.String)
        for name in (() if situations is None else situations.values)
    )
