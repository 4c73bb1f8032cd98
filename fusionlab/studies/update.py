"""Update a stored run with what its users have said since, unless that makes it worse."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from fusionlab.config import Experiment
from fusionlab.data.dataset import Dataset
from fusionlab.data.words import in_rows, with_words, words_fingerprint
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.significance import paired_permutation
from fusionlab.studies.build import build_task
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.diverged import batch_kept
from fusionlab.studies.fine_tuning import (
    FineTuning,
    Told,
    account,
    fine_tune,
    present,
    worth,
    worth_on_validation,
)
from fusionlab.studies.identity import update_id
from fusionlab.studies.memory import reset_peak
from fusionlab.studies.record import WORDS_FILE, RunRecord
from fusionlab.studies.run import configure, recorded, train
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import Trained, load_trained, with_more_items
from fusionlab.training.loop import OnEpoch, Progress
from fusionlab.training.ranking import RankingTask

Account = dict[str, Any]
LEVEL = 0.05
"""Of the test on validation where held-out feedback does not tell two models apart."""
FEW = 6
"""Users of held-out clicks from which on these decide: of fewer no test over users could tell two
models apart at `LEVEL` (all five better has p = 2 / 2^5)."""
GONE = "the present model has learned of somebody who is gone: the new one is kept in any case"


@dataclass(frozen=True)
class Updated:
    """What became of an update. ``record`` is None where the new model was worse and is not kept.
    ``before`` and ``after`` are the ``metric`` of both models on the held-out clicks; None where
    there are none, or, of the first, where the data that it was trained on are gone, or somebody of
    them. ``judged_by``: the number of held-out clicks that both can rank. Where both are level, or
    these clicks are of fewer than `FEW` users, ``tie`` holds the same of both on validation and the
    p-value of the difference, which then decide. ``notes`` say what of the feedback was left
    out."""

    record: RunRecord | None
    metric: str
    before: float | None
    after: float | None
    judged_by: int = 0
    tie: tuple[float, float, float] | None = None
    notes: tuple[str, ...] = ()


def update_run(
    record: RunRecord,
    experiment: Experiment,
    told: Told,
    store: RunStore,
    options: FineTuning | None,
    on_epoch: OnEpoch | None = None,
) -> Updated:
    """Update a stored run, and store the new one beside it unless it is worth less.

    A model trained afresh without somebody whom the present one has learned in an update is kept
    in any case: the present one is not to stay.

    Both are judged (`worth`) with the same exclusions and, where histories are what users are, the
    same histories, on the users and items that both can rank (`present`). Killed on the way, it
    goes on or starts anew when it is called again; asked again when it is done, it returns what
    there is.

    Args:
        record: the run.
        experiment: as it is to be trained; its own, or with users taken out of the dataset, or with
            more items.
        told: what was said since.
        store: where both runs are.
        options: how to tune; None: train afresh. A model with nothing to train is made anew.
        on_epoch: called with the history entry of each epoch.

    Raises:
        FusionlabError: the data have changed since the run, and it is to be tuned; nothing has
            changed at all; or a transferred model is to be trained afresh.
    """
    dataset, own = load_dataset(experiment, store.features), record.config.get("more_items")
    now = load_dataset(experiment.varied({"more_items": own}), store.features)
    same = now.fingerprint == record.dataset["fingerprint"]
    grows = dataset.fingerprint != now.fingerprint or told.words["item"].null_count() > 0
    if options is not None and not same:
        raise FusionlabError(
            f"run {record.id[:12]}: the data of {dataset.name!r} have changed since, so its model "
            "cannot be tuned; train it afresh on what they are now: --retrain"
        )
    gone = options is None and _misses_somebody(told.words, record.words())
    if same and not grows and not gone and not _differ(told.words, record.words()):
        raise FusionlabError(
            f"run {record.id[:12]}: feedback: found nothing new, expected events that it has not "
            f"learned, or data that have changed since{''.join(f'; {one}' for one in told.notes)}"
        )
    if gone:
        told = replace(told, notes=(*told.notes, GONE))
    how = account(record, told.words, options) | {"held": words_fingerprint(told.held)}
    run = update_id(experiment, dataset.fingerprint, how)
    with store.lock(run):
        if run in store:
            found = store.load(run)
            return _updated(found, found.updated_from, told)
        work = _Work(run, record, experiment, dataset, told, store, on_epoch)
        present_one = load_trained(record.id, store) if same and not gone else None
        with store.unfinished(run):
            return work.do(present_one, options, how)


class _New(NamedTuple):
    """A new model: what was trained on which clicks, and the words that its record keeps."""

    task: RankingTask
    dataset: Dataset
    progress: Progress
    words: pl.DataFrame


@dataclass(frozen=True)
class _Work:
    """An update that is under way, its lock held."""

    run: str
    parent: RunRecord
    experiment: Experiment
    dataset: Dataset
    told: Told
    store: RunStore
    on_epoch: OnEpoch | None

    def do(self, trained: Trained | None, options: FineTuning | None, how: Account) -> Updated:
        """Train, judge and store; ``trained`` is None where its data, or some of them, are gone."""
        started = time.perf_counter()
        reset_peak(self.experiment.runtime.device)
        if trained is not None and options is not None and trained.task.model.trainable:
            new = self._tuned(trained, options)
        else:
            new = self._afresh()
        how |= self._worths(trained, new)
        if _is_worse(how):
            shutil.rmtree(self.store.partial(self.run))
            return _updated(None, how, self.told)
        record, per_user = recorded(
            self.run, self.experiment, new.dataset, new.task, new.progress, started
        )
        record = replace(record, updated_from=how, source=self.parent.source)
        record.dataset["fingerprint"] = self.dataset.fingerprint
        if new.words["step"].max():
            record = replace(record, coalition_training=self.parent.coalition_training)
        new.words.write_parquet(self.store.partial(self.run) / WORDS_FILE)
        record = self.store.save(record, per_user, new.task.model.state_dict())
        return _updated(record, how, self.told)

    def _tuned(self, trained: Trained, options: FineTuning) -> _New:
        """The present model, tuned on what it was not told before."""
        more_items = self.experiment.more_items
        if more_items is not None and more_items != self.parent.config.get("more_items"):
            trained = with_more_items(trained, more_items, self.store)
        before = self.parent.words()
        step = 1 + max(before["step"], default=0)
        words = _not_in(self.told.words, before)
        tuned = fine_tune(
            trained, words, options, checkpoint=self._checkpoint, on_epoch=self.on_epoch
        )
        assert isinstance(tuned.task, RankingTask)
        kept = pl.concat([before, words.with_columns(step=pl.lit(step, pl.Int64))], how="diagonal")
        return _New(tuned.task, tuned.dataset, Progress(tuned.record.history), kept)

    def _afresh(self) -> _New:
        """A model trained from the start on all clicks: bit for bit that of a run on a dataset that
        has them."""
        if self.experiment.transfer is not None:
            raise FusionlabError(
                f"run {self.parent.id[:12]}: found a model that began with another run's "
                "(transfer), expected one of its own data to make anew; tune it"
            )
        configure(self.experiment.runtime, self.experiment.seed)
        dataset = with_words(self.dataset, self.told.words)
        task = build_task(self.experiment, dataset, scratch=self.store.partial(self.run))
        assert isinstance(task, RankingTask)
        with batch_kept(task, dataset, self._checkpoint.parent):
            progress = train(self.experiment, task, self._checkpoint, self.on_epoch)
        words = self.told.words.with_columns(step=pl.lit(0, pl.Int64))
        return _New(task, dataset, progress, words)

    def _worths(self, trained: Trained | None, new: _New) -> Account:
        """What the present and the new model are worth on the held-out clicks."""
        found: Account = {"metric": new.task.select, "before": None, "after": None}
        old, both = (None, new.dataset) if trained is None else present(trained, new.dataset)
        held = in_rows(both, self.told.held)
        found["judged_by"] = len(held)
        if len(held):
            found["before"] = None if old is None else worth(old, both, self.told)
            found["after"] = worth(new.task, both, self.told)
        few = held["user"].n_unique() < FEW
        if old is not None and (few or found["before"] == found["after"]):
            one, other = (worth_on_validation(task, both) for task in (old, new.task))
            p = paired_permutation(one, other)
            found["tie"] = [float(one.mean()), float(other.mean()), p]
        return found

    @property
    def _checkpoint(self) -> Path:
        return self.store.partial(self.run) / "checkpoint.pt"


def _not_in(words: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """The words without those that are the last known ones of their pair."""
    last = known.unique(["user", "item"], keep="last", maintain_order=True)
    return words.join(
        last, on=["user", "item", "liked"], how="anti", nulls_equal=True, maintain_order="left"
    )


def _differ(words: pl.DataFrame, known: pl.DataFrame) -> bool:
    """Does either say of a pair what the other does not?"""
    last = known.unique(["user", "item"], keep="last", maintain_order=True)
    return not (_not_in(words, last).is_empty() and _not_in(last, words).is_empty())


def _misses_somebody(words: pl.DataFrame, known: pl.DataFrame) -> bool:
    """Has somebody joined by the ``known`` words who was forgotten since, or does not by these?"""
    joined, now = (one.filter(pl.col("item").is_null())["user"] for one in (known, words))
    return bool(joined.null_count()) or not joined.is_in(now.implode()).all()


def _is_worse(how: Account) -> bool:
    lower = how["before"] is not None and how["after"] < how["before"]
    if "tie" in how:
        before, after, p = how["tie"]
        return bool(after < before and (lower or p < LEVEL))
    return lower


def _updated(record: RunRecord | None, how: Account, told: Told) -> Updated:
    tie = tuple(how["tie"]) if "tie" in how else None
    judged_by = how.get("judged_by", 0)
    return Updated(record, how["metric"], how["before"], how["after"], judged_by, tie, told.notes)
