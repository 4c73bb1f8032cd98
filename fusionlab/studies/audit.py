"""An audit of a finished run: what each modality contributed to what the model is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fusionlab.config import Experiment, experiment_from
from fusionlab.data.dataset import Dataset, Labelled
from fusionlab.data.interactions import Clicks
from fusionlab.errors import FusionlabError, one_of
from fusionlab.evaluation.contribution import Effect, knocked_out, metric_game
from fusionlab.evaluation.predictability import predictability
from fusionlab.evaluation.shapley import Game, remembered, shapley
from fusionlab.seal import Openings
from fusionlab.studies.audited import Audit, GroupAudit, ModalityAudit, Split
from fusionlab.studies.build import AnyTask
from fusionlab.studies.record import UNTRAINED, RunRecord
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import Trained
from fusionlab.studies.unused import unused_modalities
from fusionlab.studies.user_groups import user_groups
from fusionlab.studies.view_weights import mean_modality_weights, mean_view_weights
from fusionlab.training.classification import ClassificationTask

OPENED = "audit of what modalities contribute"


def audit(
    trained: Trained,
    store: RunStore,
    *,
    split: Split = "valid",
    metric: str | None = None,
    users: int | None = None,
    retrain: bool = False,
    untrained_coalitions: bool = False,
    groups: str | None = None,
) -> Audit:
    """Judge a trained model again and again, each time with less to read.

    Args:
        trained: a run and its model (`load_trained`).
        store: where models retrained without a modality go, and where it is noted if test labels
            are opened.
        split: what the model is judged on. The test split is opened through the run's ledger: the
            record says so from then on, and what is learned there is no ground for a choice.
        metric: of single users; default: the one that selected the epoch.
        users: at most so many random users (items in classification); default: all of the split.
        retrain: also train the experiment anew without each modality.
        untrained_coalitions: tell what a model says of subsets that it has never seen.
        groups: also judge groups of users, each on its own (`user_groups`).

    Raises:
        FusionlabError: a model without features, an unknown metric, or unknown groups.
    """
    record, dataset, task = trained
    experiment = experiment_from(record.config)
    if task.judged is None:
        raise FusionlabError(
            f"run {record.id[:12]}: recommender {experiment.recommender.name!r} reads no item "
            "features: there is no modality to audit"
        )
    if retrain and record.updated_from:
        raise FusionlabError(
            f"--retrain: run {record.id[:12]} was updated from feedback, which no run of its "
            f"configuration has; audit run {record.root[:12]} so"
        )
    metric = metric or experiment.selecting
    judged = _sampled(opened(trained, store, split, OPENED), users)
    known = task.judge({"": judged})[""]
    if metric not in known.per_unit:
        raise FusionlabError(f"--metric: {one_of(metric, known.per_unit)}")
    whole = known.per_unit[metric]
    hidden = record.coalition_training == UNTRAINED and not untrained_coalitions
    places = {} if groups is None else user_groups(groups, dataset, known.units)
    without = {n: knocked_out(task, judged, metric, n) for n in task.judged.modalities}
    game = None if hidden else remembered(metric_game(task, judged, metric))
    everyone = _told(torch.arange(len(whole)), whole, without, game)
    found = everyone.modalities
    if retrain and len(found) > 1:
        units = _ids(dataset, task, known.units)
        lost = _retrained(experiment, store, split, metric, units, whole, list(found))
        found = {name: replace(one, retrained=lost[name]) for name, one in found.items()}
    return Audit(
        run=record.id,
        label=_label(experiment),
        split=split,
        metric=metric,
        units=len(whole),
        unit="items" if isinstance(task, ClassificationTask) else "users",
        coalition_training=record.coalition_training,
        hidden=hidden,
        whole=everyone.whole,
        nothing=everyone.nothing,
        modalities=found,
        predicts=predictability(task.judged),
        view_weights=mean_view_weights(task, known.units),
        modality_weights=mean_modality_weights(task, known.units),
        groups={name: _told(rows, whole, without, game) for name, rows in places.items()},
        warnings=unused_modalities(task),
    )


def _label(experiment: Experiment) -> str:
    model = "classifier" if experiment.task == "classification" else experiment.recommender.name
    return f"{experiment.fusion.name}, {model}, seed {experiment.seed}"


def opened(trained: Trained, store: RunStore, split: Split, why: str) -> Any:
    """The labels of a split; those of test with a note in the run's record that says ``why``."""
    record, dataset, task = trained
    known = dataset.labels if isinstance(task, ClassificationTask) else dataset.interactions
    assert known is not None
    if split == "valid":
        return known.valid
    ledger = Openings()
    labels = known.test.open(ledger, why)
    store.note_openings(record.id, ledger.entries)
    return labels


def _sampled(judged: Any, count: int | None) -> Any:
    if count is None:
        return judged
    if isinstance(judged, Clicks):
        return judged.only(judged.some_users(count))
    order = torch.randperm(len(judged.items), generator=torch.Generator().manual_seed(0))
    rows = order[:count].sort().values
    return Labelled(judged.items[rows], judged.classes[rows])


def _told(
    rows: Tensor, whole: Tensor, without: Mapping[str, Mapping[str, Tensor]], game: Game | None
) -> GroupAudit:
    """What the figures of all users, or of those at ``rows`` alone, say."""
    found = {
        name: ModalityAudit({how: Effect.of(whole[rows] - x[rows]) for how, x in ways.items()})
        for name, ways in without.items()
    }
    nothing = None
    if game is not None:
        found, nothing = _coalitions(lambda some: game(some)[rows], found)
    return GroupAudit(len(rows), Effect.of(whole[rows]), nothing, found)


def _coalitions(
    game: Game, found: Mapping[str, ModalityAudit]
) -> tuple[dict[str, ModalityAudit], Effect]:
    """With what the model says of subsets of its modalities; and of none."""
    game = remembered(game)
    names = frozenset(found)
    values = shapley(list(found), game)
    one_pass = {
        name: replace(
            one,
            masked=Effect.of(values.whole - game(names - {name})),
            shapley=Effect.of(values.values[name]),
        )
        for name, one in found.items()
    }
    # Orders are drawn once for all users, so their errors do not average out: the error is that of
    # the mean game. Its coalitions have all been played.
    if (errors := shapley(list(found), lambda some: game(some).mean()).error) is not None:
        one_pass = {
            name: replace(one, sampling_error=float(errors[name])) for name, one in one_pass.items()
        }
    return one_pass, Effect.of(values.nothing)


def _ids(dataset: Dataset, task: AnyTask, units: Tensor) -> list[str]:
    ids = dataset.item_ids
    if not isinstance(task, ClassificationTask):
        assert dataset.interactions is not None
        ids = dataset.interactions.user_ids
    return [str(one) for one in ids[units.numpy()]]


def _retrained(
    experiment: Experiment,
    store: RunStore,
    split: Split,
    metric: str,
    units: list[str],
    whole: Tensor,
    names: list[str],
) -> dict[str, Effect]:
    """What each user loses where the experiment is run anew without a modality."""
    lost = {}
    for name in names:
        rest = [other for other in names if other != name]
        record = run_experiment(experiment.varied({"inputs.modalities": rest}), store)
        assert record is not None
        after = _of_units(record, split, metric)
        lost[name] = Effect.of(whole - torch.tensor([after[one] for one in units]).double())
    return lost


def _of_units(record: RunRecord, split: Split, metric: str) -> dict[str, float]:
    frame = record.per_user()
    rows = frame.filter(frame["split"] == split)
    return dict(zip(map(str, rows["user"]), rows[metric], strict=True))
