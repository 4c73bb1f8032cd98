"""Build what an experiment trains: its data as the model sees them, fusion and recommender."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from fusionlab.balancing.contract import BALANCERS, Balancer
from fusionlab.config import Experiment
from fusionlab.data.dataset import Dataset
from fusionlab.data.features import ItemFeatures
from fusionlab.data.worlds import Worlds
from fusionlab.encoders.trained import trained_encoders
from fusionlab.errors import FusionlabError
from fusionlab.fusion.build import build_fusion
from fusionlab.fusion.contract import Fusion
from fusionlab.fusion.imputers.contract import Imputer
from fusionlab.recommenders.contract import Context, Recommender
from fusionlab.seal import shut
from fusionlab.studies.checks import check, fuses, reads_content, samples_of
from fusionlab.studies.inputs import as_given, prepare_features, readable, told_situations
from fusionlab.training.augmented import Augmented, check_augmentations
from fusionlab.training.classification import ClassificationTask, Classifier
from fusionlab.training.ranking import RankingTask

GRAPH_ITEMS = 512
"""CUDA graphs have fixed shapes: a step's distinct items are rounded up to a multiple of this."""

AnyTask = RankingTask | ClassificationTask


@shut()
def build_task(
    experiment: Experiment,
    dataset: Dataset,
    share: Path | None = None,
    scratch: Path | None = None,
    *,
    fit: bool = True,
) -> AnyTask:
    """The model of an experiment, ready to train, with everything but the test labels.

    ``share`` is a folder in which processes share prepared features, ``scratch`` one for large
    arrays of this run alone. Without ``fit`` closed-form parts stay empty, to be loaded.
    """
    check(experiment, dataset)
    dataset = as_given(experiment, dataset)
    if experiment.task == "classification":
        return _classification(experiment, dataset, share, scratch, fit)
    return _ranking(experiment, dataset, share, scratch, fit)


def _ranking(
    experiment: Experiment, dataset: Dataset, share: Path | None, scratch: Path | None, fit: bool
) -> RankingTask:
    assert dataset.interactions is not None
    worlds = None
    if reads_content(experiment):
        seen = dataset.interactions.train.popularity.nonzero().flatten()
        worlds = _worlds(experiment, dataset, seen, share, scratch)
    return _ranking_in(worlds, experiment, dataset, fit)


def over_clicks(experiment: Experiment, task: RankingTask, dataset: Dataset) -> RankingTask:
    """The model of ``task`` as it stands, over other clicks: those of ``dataset``.

    Users are the histories that these clicks make of them; what was learned, and the scales of the
    features, stay as they are. The models share no parameter.

    Raises:
        FusionlabError: as of `take_state`.
    """
    found = _ranking_in(task.worlds, experiment, as_given(experiment, dataset), fit=False)
    take_state(found.model, task.model.state_dict())
    found.model.eval()
    return found


def take_state(model: Recommender, state: Mapping[str, Tensor]) -> None:
    """Let ``model``, whose users or items may be more, begin with what another one has learned.

    Raises:
        FusionlabError: that is something of each user or item, and there are new ones.
    """
    own = model.state_dict()
    if any(name in state and state[name].shape != x.shape for name, x in own.items()):
        raise FusionlabError(
            f"recommender {model.name!r} has learned something of each user or item, and nothing "
            "of those that are new; expected one that knows users by their histories and items by "
            "their content, or a model trained afresh: --retrain"
        )
    model.load_state_dict(state)


def _ranking_in(
    worlds: Worlds | None, experiment: Experiment, dataset: Dataset, fit: bool
) -> RankingTask:
    """The task in prepared ``worlds``; None: the recommender reads no features."""
    assert dataset.interactions is not None
    runtime, fusion = experiment.runtime, None
    features = None if worlds is None else worlds.train
    if worlds is not None and features is not None and fuses(experiment):
        fusion = _fusion(experiment, dataset, features, worlds.train_items if fit else None)
    clicks = dataset.interactions.train
    context = Context(
        clicks,
        experiment.dim,
        experiment.seed,
        dataset.truth,
        features,
        told_situations(experiment, dataset),
    )
    model = experiment.recommender.build(context, fusion).to(runtime.device)
    return RankingTask(
        model,
        dataset.interactions,
        features,
        experiment.training,
        experiment.evaluation,
        experiment.selecting,
        runtime.device,
        balancer=_balancer(experiment, features),
        worlds=worlds,
        round_items=GRAPH_ITEMS if runtime.cuda_graphs else 1,
        augment=_augmented(experiment, dataset, fusion),
    )


def _classification(
    experiment: Experiment, dataset: Dataset, share: Path | None, scratch: Path | None, fit: bool
) -> ClassificationTask:
    assert dataset.labels is not None
    labels = dataset.labels
    worlds = _worlds(experiment, dataset, labels.train.items, share, scratch)
    fusion = _fusion(experiment, dataset, worlds.train, labels.train.items if fit else None)
    model = Classifier(fusion, len(labels.names)).to(experiment.runtime.device)
    return ClassificationTask(
        model,
        labels,
        worlds.train,
        experiment.training,
        experiment.selecting,
        balancer=_balancer(experiment, worlds.train),
        worlds=worlds,
        augment=_augmented(experiment, dataset, fusion),
    )


def _worlds(
    experiment: Experiment,
    dataset: Dataset,
    train_items: Tensor,
    share: Path | None,
    scratch: Path | None,
) -> Worlds:
    """The catalogue as it is trained on and judged on; axes and scales know of neither."""
    prepared = prepare_features(experiment, dataset, train_items, share, scratch)
    clicks = dataset.interactions
    return Worlds(
        readable(experiment, prepared),
        train_items,
        experiment.inputs.missing,
        experiment.inputs.noise,
        None if clicks is None else clicks.train.popularity,
        scratch,
    )


def _augmented(experiment: Experiment, dataset: Dataset, fusion: Fusion | None) -> Augmented:
    """The augmentations of the modalities that the strategy reads."""
    if fusion is None:
        return Augmented({})
    parts = {name: one for name, one in experiment.augmentations.items() if name in fusion.specs}
    check_augmentations(parts, fusion.specs, samples_of(dataset))
    return Augmented({name: one.build() for name, one in parts.items()})


def _balancer(experiment: Experiment, features: ItemFeatures | None) -> Balancer:
    """The balancer; where there are no two modalities there is nothing to balance."""
    names = () if features is None else features.modalities
    part = experiment.balancer if len(names) > 1 else BALANCERS.parse({"name": "none"})
    found: Balancer = part.build(names)
    return found.to(experiment.runtime.device)


def _fusion(
    experiment: Experiment, dataset: Dataset, features: ItemFeatures, train_items: Tensor | None
) -> Fusion:
    """The strategy, fitted on ``train_items`` (n,); None: not fitted."""
    encoders = trained_encoders(dataset, experiment.encodings)
    specs = encoders.specs(features) if encoders else features.specs
    fusion = build_fusion(experiment.fusion, specs, experiment.dim)
    imputer: Imputer = experiment.inputs.imputer.build(specs)
    fitted = type(imputer).fit is not Imputer.fit or type(fusion).fit is not Fusion.fit
    if fitted and train_items is not None:  # else nothing of the features need be copied
        device = experiment.runtime.device
        items = features.take(train_items.to(device))
        with torch.no_grad():
            items = encoders.to(device)(items) if encoders else items
            imputer.to(device).fit(items)
            fusion.fit(imputer(items))
    if encoders is not None:
        encoders.attach(fusion)
    if experiment.inputs.imputer.name != "none":
        imputer.attach(fusion)
    if experiment.runtime.cuda_graphs:
        fusion.compile(mode="reduce-overhead")
    elif experiment.runtime.compile:
        fusion.compile()
    return fusion
