"""Tune a trained model on new clicks, old ones replayed among them, and judge what it is worth."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from fusionlab.config import experiment_from
from fusionlab.data.assemble import row_of
from fusionlab.data.dataset import Dataset
from fusionlab.data.interactions import Clicks
from fusionlab.data.words import (
    clicks_of,
    context_of,
    in_rows,
    keys_of,
    new_clicks,
    with_words,
    words_fingerprint,
)
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.full_ranking import evaluate
from fusionlab.evaluation.ranking import block_of
from fusionlab.evaluation.result import Evaluation
from fusionlab.evaluation.situations import evaluate_situations
from fusionlab.sections import Options, Share
from fusionlab.studies.build import over_clicks
from fusionlab.studies.diverged import batch_kept
from fusionlab.studies.identity import update_id
from fusionlab.studies.record import RunRecord
from fusionlab.studies.run import configure
from fusionlab.studies.trained import Trained
from fusionlab.training.loop import Loop, OnEpoch
from fusionlab.training.ranking import RankingTask
from fusionlab.training.replay import Replay


class FineTuning(Options):
    """How a trained model learns new clicks: a few epochs of them, old ones among them."""

    epochs: PositiveInt = Field(3, description="passes over the new clicks")
    learning_rate: PositiveFloat = Field(0.1, description="times the run's own learning rates")
    replay: Share = Field(0.5, description="share of old clicks in an epoch, drawn anew for each")


@dataclass(frozen=True)
class Told:
    """What users have said since, as `fusionlab.data.words`: ``words`` to learn from, and ``held``,
    liked all, that no model learns and both are judged by. ``notes`` say what was left out."""

    words: pl.DataFrame
    held: pl.DataFrame
    notes: tuple[str, ...] = ()


def fine_tune(
    trained: Trained,
    words: pl.DataFrame,
    options: FineTuning | None = None,
    *,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> Trained:
    """A trained run that has learned ``words`` too; ``trained`` stays as it is, nothing is stored.

    Histories, exclusions and graphs are those of old and new clicks; the model goes on from its
    parameters for ``options.epochs`` over the new clicks, replayed old ones among them
    (`Replay`). Who joins must be nothing but a history (`Recommender.by_history`). Scales, axes and
    closed-form parts stay. All epochs count: validation selects none. The same input gives the same
    bits. The record that comes back has a new id, history and ``updated_from``, and no metrics.

    Args:
        trained: a run of the task recommendation.
        words: what users said since (`fusionlab.data.words`).
        options: how to tune; default: as `FineTuning` has it.
        checkpoint: a file to resume from and to save to (`Loop`).
        on_epoch: called with the history entry of each epoch.

    Raises:
        FusionlabError: nothing to train, no new click, a balancer that draws the clicks itself,
            users who join a model that has learned something of each.
    """
    options = options or FineTuning()
    experiment = experiment_from(trained.record.config)
    task = tunable(trained)
    configure(experiment.runtime, experiment.seed)
    dataset = with_words(trained.dataset, words)
    tuned = over_clicks(experiment, task, dataset)
    new = new_clicks(tuned.train, task.train).to(tuned.device)
    if not len(new):
        raise FusionlabError(
            "words: found no click that training did not have, expected some to tune on; retrain: "
            "that learns from dislikes alone, too"
        )
    tuned.replay = Replay(new, len(tuned.train), options.replay)
    tuned.prepare()
    training = experiment.training.model_copy(
        update={"epochs": options.epochs, "validate_every": options.epochs}
    )
    loop = Loop(
        tuned,
        training,
        experiment.runtime,
        seed=experiment.seed,
        checkpoint=checkpoint,
        on_epoch=on_epoch,
    )
    for group in loop.optimizer.param_groups:
        group["lr"] *= options.learning_rate
    with batch_kept(tuned, dataset, None if checkpoint is None else checkpoint.parent):
        history = loop.run().history
    update = account(trained.record, words, options)
    record = replace(
        trained.record,
        id=update_id(experiment, trained.dataset.fingerprint, update),
        history=history,
        metrics={},
        updated_from=update,
        folder=None,
    )
    return Trained(record, dataset, tuned)


def tunable(trained: Trained) -> RankingTask:
    """The task of a run that can be tuned; FusionlabError if it cannot."""
    task = trained.task
    if not isinstance(task, RankingTask):
        raise FusionlabError(
            f"run {trained.record.id[:12]}: found a classifier, expected a run that recommends"
        )
    if not task.model.trainable:
        raise FusionlabError(
            f"recommender {task.model.name!r}: found nothing to train, expected a model to tune; "
            "retrain it: that makes it anew from old and new clicks"
        )
    if task.balancer.draws:
        raise FusionlabError(
            f"balancer {task.balancer.name!r}: draws the clicks of an epoch itself, so none are "
            "replayed; retrain"
        )
    return task


def account(record: RunRecord, words: pl.DataFrame, options: FineTuning | None) -> dict[str, Any]:
    """What makes an update of ``record``, for its id and its own record; None: trained afresh."""
    return {
        "run": record.id,
        "root": record.root,
        "feedback": words_fingerprint(words),
        "fine_tuning": None if options is None else options.model_dump(),
    }


@torch.no_grad()
def worth(task: RankingTask, dataset: Dataset, told: Told) -> float:
    """The metric that ``task`` selects by, on the clicks held out of feedback.

    The whole catalogue is ranked without what a user clicked in train or validation of ``dataset``
    or spoke of, but for the held-out clicks themselves; where clicks have situations, in those of
    the held-out ones. Validation and test are not read. ``task`` may know more users and items than
    ``dataset``: the others are not ranked.
    """
    clicks = dataset.interactions
    assert clicks is not None
    held, said = in_rows(dataset, told.held), in_rows(dataset, told.words)["key"].to_numpy()
    keys = held["key"].to_numpy()
    known = np.unique(np.concatenate([keys_of(clicks.train), keys_of(clicks.valid), said]))
    relevant = clicks_of(keys, clicks, context_of(dataset, held))
    found = _judged(task, dataset, clicks_of(np.setdiff1d(known, keys), clicks), relevant)
    return found.means()[task.select]


@torch.no_grad()
def worth_on_validation(task: RankingTask, dataset: Dataset) -> Tensor:
    """The same metric of each user, on the validation clicks of ``dataset``."""
    assert dataset.interactions is not None
    clicks = dataset.interactions
    found = _judged(task, dataset, clicks.train, clicks.valid)
    return found.per_unit[task.select]


def _judged(task: RankingTask, dataset: Dataset, exclude: Clicks, relevant: Clicks) -> Evaluation:
    ranker, n = task.ranker(), exclude.n_items
    assert dataset.interactions is not None
    known = row_of(dataset.interactions.user_ids, task.interactions.user_ids)
    rows = known.to_torch().to(task.device)

    def scores(users: Tensor) -> Tensor:
        return ranker(rows[users])[:, :n]

    def situated(users: Tensor, situations: Tensor) -> Tensor:
        return ranker.situated(rows[users], situations)[:, :n]

    told = relevant.context is not None
    judge = partial(evaluate_situations, situated) if told else partial(evaluate, scores)
    found = judge(
        exclude,
        {"these": relevant},
        metrics=task.metrics,
        cutoffs=task.cutoffs,
        block=block_of(relevant.n_items * ranker.n_views),
        device=task.device,
    )
    return found["these"]


def present(trained: Trained, dataset: Dataset) -> tuple[RankingTask, Dataset]:
    """The model as it serves before an update, and the part of the updated ``dataset`` that it can
    rank: its items and its users, or, where users are histories, everybody, with new ones."""
    task, clicks = trained.task, dataset.interactions
    assert isinstance(task, RankingTask)
    assert clicks is not None
    items = dataset.item_ids.is_in(trained.dataset.item_ids.implode())
    users = clicks.user_ids.is_in(task.interactions.user_ids.implode())
    if task.model.by_history:
        users = users | True
    if not (users.all() and items.all()):
        dataset = dataset.of(
            *(mask.arg_true().cast(pl.Int64).to_torch() for mask in (users, items))
        )
    if task.model.by_history:
        assert dataset.interactions is not None
        task = copy.copy(task)
        task.interactions = dataset.interactions
        task.model = task.model.of_people(dataset.interactions.train)
    return task, dataset
