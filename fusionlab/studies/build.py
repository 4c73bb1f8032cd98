"""Build what an experiment trains: its data as the model sees them, fusion and recommender."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from fusionlab.balancing.contract import BALANCERS, Balancer
from fusionlab.config import Experiment
from fusionlab.data.dataset import Dataset
from fusionlab.data.features import ItemFeatures
from fusionlab.encoders.trained import trained_encoders
from fusionlab.fusion.build import build_fusion
from fusionlab.fusion.contract import Fusion
from fusionlab.recommenders.contract import Context
from fusionlab.studies.checks import check, fuses, reads_content
from fusionlab.studies.inputs import prepare_features, readable
from fusionlab.training.classification import ClassificationTask, Classifier
from fusionlab.training.ranking import RankingTask

GRAPH_ITEMS = 512
"""CUDA graphs have fixed shapes: a step's distinct items are rounded up to a multiple of this."""

AnyTask = RankingTask | ClassificationTask


def build_task(
    experiment: Experiment,
    dataset: Dataset,
    share: Path | None = None,
    scratch: Path | None = None,
) -> AnyTask:
    """The model of an experiment, ready to train, with everything but the test labels.

    ``share`` is a folder in which processes share prepared features, ``scratch`` one for large
    arrays of this run alone.
    """
    check(experiment, dataset)
    if experiment.inputs.modalities is not None:
        dataset = dataset.with_modalities(experiment.inputs.modalities)
    if shuffled := experiment.inputs.shuffled:
        some = None if isinstance(shuffled, bool) else shuffled
        dataset = dataset.with_shuffled_features(experiment.seed, some)
    if experiment.task == "classification":
        return _classification(experiment, dataset, share, scratch)
    return _ranking(experiment, dataset, share, scratch)


def _ranking(
    experiment: Experiment, dataset: Dataset, share: Path | None, scratch: Path | None
) -> RankingTask:
    assert dataset.interactions is not None
    runtime, clicks = experiment.runtime, dataset.interactions.train
    features, fusion = None, None
    if reads_content(experiment):
        seen = clicks.popularity.nonzero().flatten()
        features = prepare_features(experiment, dataset, seen, share, scratch)
        features = readable(experiment, features)
        if fuses(experiment):
            fusion = _fusion(experiment, dataset, features, seen)
    context = Context(clicks, experiment.dim, experiment.seed, dataset.truth, features)
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
        round_items=GRAPH_ITEMS if runtime.cuda_graphs else 1,
    )


def _classification(
    experiment: Experiment, dataset: Dataset, share: Path | None, scratch: Path | None
) -> ClassificationTask:
    assert dataset.labels is not None
    labels = dataset.labels
    features = prepare_features(experiment, dataset, labels.train.items, share, scratch)
    features = readable(experiment, features)
    fusion = _fusion(experiment, dataset, features, labels.train.items)
    model = Classifier(fusion, len(labels.names)).to(experiment.runtime.device)
    return ClassificationTask(
        model,
        labels,
        features,
        experiment.training,
        experiment.selecting,
        balancer=_balancer(experiment, features),
    )


def _balancer(experiment: Experiment, features: ItemFeatures | None) -> Balancer:
    """The balancer; where there are no two modalities there is nothing to balance."""
    names = () if features is None else features.modalities
    part = experiment.balancer if len(names) > 1 else BALANCERS.parse({"name": "none"})
    found: Balancer = part.build(names)
    return found.to(experiment.runtime.device)


def _fusion(
    experiment: Experiment, dataset: Dataset, features: ItemFeatures, train_items: Tensor
) -> Fusion:
    encoders = trained_encoders(dataset, experiment.encodings)
    specs = encoders.specs(features) if encoders else features.specs
    fusion = build_fusion(experiment.fusion, specs, experiment.dim)
    if encoders is not None:
        encoders.attach(fusion)
    if type(fusion).fit is not Fusion.fit:  # else nothing of the features need be copied
        items = features.take(train_items.to(experiment.runtime.device))
        with torch.no_grad():
            fusion.fit(encoders.to(experiment.runtime.device)(items) if encoders else items)
    if experiment.runtime.cuda_graphs:
        fusion.compile(mode="reduce-overhead")
    elif experiment.runtime.compile:
        fusion.compile()
    return fusion
