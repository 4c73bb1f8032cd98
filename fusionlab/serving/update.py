"""From a run's feedback log to an updated run."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import polars as pl

from fusionlab.config import Experiment, experiment_from
from fusionlab.data.assemble import row_of
from fusionlab.data.dataset import Dataset
from fusionlab.data.privacy import OPEN
from fusionlab.data.situations import Situations, cell, column_of
from fusionlab.data.words import SCHEMA, keys_of
from fusionlab.errors import FusionlabError
from fusionlab.serving.feedback import FeedbackLog
from fusionlab.serving.last_words import Word, last_words
from fusionlab.serving.run_feedback import feedback_file
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.fine_tuning import FineTuning, Told
from fusionlab.studies.record import RunRecord
from fusionlab.studies.store import RunStore
from fusionlab.studies.update import Updated, update_run
from fusionlab.training.loop import OnEpoch

LEAST = 2
"""Likes from which on somebody new joins: one alone is no history to learn another by."""


def update(
    prefix: str,
    store: RunStore,
    options: FineTuning | None,
    *,
    held_out: float = 0.2,
    without_users: str | None = None,
    more_items: str | None = None,
    on_epoch: OnEpoch | None = None,
) -> Updated:
    """Update the run whose id begins with ``prefix`` from the feedback log of its line of updates.

    New clicks, and ratings of at least the dataset's ``min_rating``, come to the train clicks;
    what was disliked last goes. Who is not in the dataset joins its users. The latest ``held_out``
    of the clicks that the run was not trained on are kept as the judge (`told_by`).

    Args:
        prefix: of the run.
        store: where it is, and where the new one will be.
        options: how to tune; None: train afresh.
        held_out: share of the new clicks, the latest.
        without_users: a file of users that the dataset is read without from now on; needs None for
            ``options``.
        more_items: a file of items that belong to the catalogue from now on; it begins with those
            that the run has from such a file already.
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
    changes = {"dataset.privacy.without_users": without_users, "more_items": more_items}
    experiment = experiment.varied({key: x for key, x in changes.items() if x is not None})
    dataset = load_dataset(experiment, store.features)
    known = record.words()
    liked = known.unique(["user", "item"], keep="last").filter("liked")
    told = told_by(
        _said(record, experiment, store),
        dataset,
        held_out,
        {*zip(liked["user"], liked["item"], strict=True)},
        least=max(LEAST, getattr(experiment.dataset, "k_core", 0)),
    )
    return update_run(record, experiment, told, store, options, on_epoch)


def _said(record: RunRecord, experiment: Experiment, store: RunStore) -> list[Word]:
    """The last words of everybody, but for those whom the dataset is read without."""
    file, privacy = feedback_file(record, store), getattr(experiment.dataset, "privacy", OPEN)
    if not file.exists():
        return []
    with FeedbackLog(file) as log:
        words = last_words(log.events(), getattr(experiment.dataset, "min_rating", None))
    gone = privacy.absent()
    return [one for one in words if one.user not in gone]


def told_by(
    words: Sequence[Word],
    dataset: Dataset,
    held_out: float = 0.2,
    trained_on: Collection[tuple[str, str]] = (),
    *,
    least: int = LEAST,
) -> Told:
    """What a log says, parted into what is learned and the clicks that judge.

    New are the liked pairs of user and item that are neither among the train clicks of ``dataset``
    nor in ``trained_on``. Of n new ones the latest floor(n ``held_out`` + 1/2), at least one, are
    held out; where times are equal, those that were logged last. Of a single new click nothing is
    held out. What is held out stands among the words to learn as seen, without a word on liking:
    it leaves validation and test, and nobody learns it.

    Somebody whom ``dataset`` does not have joins with ``least`` likes, the first of which are not
    held out; others wait. Words on items that it does not have are left out. The notes say so.
    """
    assert dataset.interactions is not None
    user_ids, item_ids = dataset.interactions.user_ids, dataset.item_ids
    said = _frame(words, dataset.interactions.situations)
    likes = pl.col("liked").fill_null(False)
    is_new = ~pl.col("user").is_in(user_ids.cast(pl.String).implode())
    there = said.filter(pl.col("item").is_in(item_ids.cast(pl.String).implode()))
    frame = there.filter(~is_new | (likes.sum().over("user") >= least))
    in_time = (
        frame.with_row_index("row")
        .with_columns(_is_known(frame, dataset, trained_on))
        .sort("time", maintain_order=True)
        .with_columns(likes.cum_sum().over("user").alias("place"))
    )
    new = in_time.filter(likes & ~pl.col("known"))
    may = new.filter(~is_new | (pl.col("place") > least))["row"]
    count = min(max(math.floor(len(may) * held_out + 0.5), 1), len(may), max(len(new) - 1, 0))
    held = pl.int_range(len(frame), eager=True).is_in(may.tail(count).implode())
    joining = frame.filter(is_new).select(pl.col("user").unique(maintain_order=True))
    frame = frame.drop("time")
    seen = frame.with_columns(liked=pl.when(~held).then("liked"))
    learned = pl.concat([joining, seen], how="diagonal").select(frame.columns)
    waiting = there.filter(is_new)["user"].n_unique() - len(joining)
    return Told(learned, frame.filter(held), _notes(waiting, least, len(said) - len(there)))


def _is_known(
    frame: pl.DataFrame, dataset: Dataset, trained_on: Collection[tuple[str, str]]
) -> pl.Series:
    """(n,) bool, called ``known``: is the pair among the train clicks or in ``trained_on``?"""
    assert dataset.interactions is not None
    users = row_of(frame["user"], dataset.interactions.user_ids.cast(pl.String))
    items = row_of(frame["item"], dataset.item_ids.cast(pl.String))
    keys = (users * dataset.interactions.n_items + items).fill_null(-1).to_numpy()
    pairs = zip(frame["user"], frame["item"], strict=True)
    before = np.array([pair in trained_on for pair in pairs], dtype=bool)
    return pl.Series("known", before | np.isin(keys, keys_of(dataset.interactions.train)))


def _notes(waiting: int, least: int, elsewhere: int) -> tuple[str, ...]:
    told = {
        f"new people who wait in the log for {least} likes on items of the run": waiting,
        "words on items that the run does not have, left out (--items)": elsewhere,
    }
    return tuple(f"{what}: {count}" for what, count in told.items() if count)


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
