"""Refuse an experiment that a dataset cannot serve, before anything is built."""

from __future__ import annotations

from fusionlab.config import Experiment
from fusionlab.data.dataset import Dataset
from fusionlab.data.features import ItemFeatures
from fusionlab.encoders.text.loading import tokenizer_id
from fusionlab.errors import ConfigError, FusionlabError, one_of
from fusionlab.evaluation.metrics import FULL_METRICS, LIST_METRICS, check_names
from fusionlab.fusion.build import build_fusion, check_named_modalities
from fusionlab.recommenders.contract import Recommender
from fusionlab.registry import family
from fusionlab.studies.inputs import readable
from fusionlab.studies.one_missing import ONE_MISSING
from fusionlab.training.pools import check_pooled
from fusionlab.training.ranking import DEFAULT_METRICS


def measured(experiment: Experiment) -> list[str]:
    """The metrics of single users (or items) that an experiment measures; higher is better."""
    found = _of_all_modalities(experiment)
    if experiment.evaluation.one_missing:
        found += [f"{name} {ONE_MISSING}" for name in found]
    return found


def _of_all_modalities(experiment: Experiment) -> list[str]:
    if experiment.task == "classification":
        return ["accuracy"]
    names = experiment.evaluation.metrics or DEFAULT_METRICS
    listed = [name for name in names if name in LIST_METRICS]
    at = [f"{name}@{cutoff}" for name in listed for cutoff in experiment.evaluation.cutoffs]
    return at + [name for name in names if name in FULL_METRICS]


def check(experiment: Experiment, dataset: Dataset) -> None:
    """Refuse an experiment that the dataset cannot serve or that selects by nothing measured."""
    if experiment.task == "recommendation":
        names = experiment.evaluation.metrics or DEFAULT_METRICS
        check_names(names, experiment.evaluation.cutoffs)
    if experiment.selecting not in _of_all_modalities(experiment):
        problem = one_of(experiment.selecting, _of_all_modalities(experiment))
        raise ConfigError([(("evaluation", "select"), problem)])
    _check_names_of_modalities(experiment, dataset)
    if experiment.inputs.modalities is not None:
        dataset = dataset.with_modalities(experiment.inputs.modalities)
    if experiment.recommender.name == "oracle" and dataset.truth is None:
        problem = "found 'oracle', which needs a known truth: dataset.name=synthetic"
        raise ConfigError([(("recommender", "name"), problem)])
    wanted = "labels" if experiment.task == "classification" else "interactions"
    if getattr(dataset, wanted) is None:
        problem = f"found {experiment.task!r}, but dataset {dataset.name!r} has no {wanted}"
        raise ConfigError([(("task",), problem)])
    if experiment.task == "recommendation" and experiment.training.pool is not None:
        check_pooled(_recommender(experiment))
    if reads_content(experiment):
        features = dataset.require_features(f"recommender {experiment.recommender.name!r}")
        features = readable(experiment, features)
        if fuses(experiment):
            build_fusion(experiment.fusion, features.specs, experiment.dim)
            _check_tokenizers(experiment, features)


def _check_names_of_modalities(experiment: Experiment, dataset: Dataset) -> None:
    """Every option that names modalities means some of the dataset's."""
    if dataset.features is None:
        return
    names = dataset.features.modalities
    if fuses(experiment):
        check_named_modalities(experiment.fusion, names)
    if experiment.task == "recommendation":
        check_named_modalities(experiment.recommender, names)


def _check_tokenizers(experiment: Experiment, features: ItemFeatures) -> None:
    """Ids mean nothing to a model with another tokenizer, be it of the same size."""
    model: str = getattr(experiment.fusion, "model", "")
    for name in features.vocabulary:
        encoding = experiment.encodings.get(name)
        read = getattr(encoding.encoder, "model", model) if encoding else model
        if model and read != model and tokenizer_id(read) != tokenizer_id(model):
            raise FusionlabError(
                f"fusion.model: the tokenizer of {model!r} is another than that of {read!r}, whose "
                f"ids modality {name!r} holds; expected encoder text_tokens with the same model as "
                "the strategy"
            )


def reads_content(experiment: Experiment) -> bool:
    """Does the experiment look at item features at all?"""
    return fuses(experiment) or _recommender(experiment).reads_features


def fuses(experiment: Experiment) -> bool:
    """Does it look at them through the fusion?"""
    return experiment.task == "classification" or _recommender(experiment).uses_content


def _recommender(experiment: Experiment) -> type[Recommender]:
    found: type[Recommender] = family("recommender")[experiment.recommender.name]
    return found
