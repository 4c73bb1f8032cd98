"""Refuse an experiment that a dataset cannot serve, before anything is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fusionlab.config import Experiment
from fusionlab.data.augmentation.contract import Sample
from fusionlab.data.dataset import Dataset
from fusionlab.data.features import ItemFeatures
from fusionlab.encoders.text.loading import tokenizer_id
from fusionlab.errors import ConfigError, FusionlabError, one_of
from fusionlab.evaluation.cold import GROUPS, groups_of
from fusionlab.evaluation.metrics import DEFAULT_METRICS, FULL_METRICS, LIST_METRICS, check_names
from fusionlab.fusion.build import build_fusion, check_named_modalities
from fusionlab.recommenders.contract import Recommender
from fusionlab.registry import family
from fusionlab.sections import VALIDATION_ALONE
from fusionlab.studies.curves import curve_names
from fusionlab.studies.inputs import readable, told_situations
from fusionlab.studies.one_missing import ONE_MISSING
from fusionlab.studies.transfer import check_transfer
from fusionlab.training.augmented import check_augmentations
from fusionlab.training.in_batch import check_in_batch
from fusionlab.training.micro_batches import check_micro_batch
from fusionlab.training.pools import check_pooled


def measured(experiment: Experiment) -> list[str]:
    """The metrics of single users (or items) that an experiment measures, those of groups where
    the clicks have them (`check_groups`); higher is better."""
    found = _of_all_modalities(experiment)
    missing = [f"{name} {ONE_MISSING}" for name in found if experiment.evaluation.one_missing]
    curves = curve_names(experiment.evaluation.curves)
    points = [f"{name} {point}" for name in found for point in curves]
    return [*found, *_of_groups(experiment), *missing, *points]


def _of_groups(experiment: Experiment) -> list[str]:
    names = [name for name in _of_all_modalities(experiment) if name not in FULL_METRICS]
    groups = GROUPS if experiment.evaluation.cold else ()
    return [f"{name} {group}" for group in groups for name in names]


def check_groups(
    metrics: Mapping[tuple[str, ...], str], experiment: Experiment, dataset: Dataset
) -> None:
    """Refuse ``metrics``, by their place in the configuration, of a group that validation has not.

    Test clicks stay sealed; splits deal both parts in the same way.
    """
    asked = {at: name for at, name in metrics.items() if name in _of_groups(experiment)}
    if not asked or dataset.interactions is None:
        return
    train, valid = dataset.interactions.train, dataset.interactions.valid
    if experiment.evaluation.users is not None:
        valid = valid.only(valid.some_users(experiment.evaluation.users))
    groups = groups_of(train, valid)
    for at, name in asked.items():
        if not name.endswith(groups):
            what = "items" if name.endswith("items") else "users"
            problem = f"found {name!r}, but validation has not both cold and warm {what}"
            raise ConfigError(
                [(at, f"{problem}: expected the metric of all, or a split with both")]
            )


def _of_all_modalities(experiment: Experiment) -> list[str]:
    if experiment.task == "classification":
        return ["accuracy"]
    names = experiment.evaluation.metrics or DEFAULT_METRICS
    listed = [name for name in names if name in LIST_METRICS]
    at = [f"{name}@{cutoff}" for name in listed for cutoff in experiment.evaluation.cutoffs]
    return at + [name for name in names if name in FULL_METRICS]


def check(experiment: Experiment, dataset: Dataset) -> None:
    """Refuse an experiment that the dataset cannot serve or that selects by nothing measured."""
    _check_judging(experiment)
    _check_names_of_modalities(experiment, dataset)
    told_situations(experiment, dataset)
    _check_worlds(experiment, dataset)
    if fuses(experiment):
        _check_augmentations(experiment, dataset)
    _check_source(experiment, dataset)
    if experiment.inputs.modalities is not None:
        dataset = dataset.with_modalities(experiment.inputs.modalities)
    if experiment.recommender.name == "oracle" and dataset.truth is None:
        problem = "found 'oracle', which needs a known truth: dataset.name=synthetic"
        raise ConfigError([(("recommender", "name"), problem)])
    wanted = "labels" if experiment.task == "classification" else "interactions"
    if getattr(dataset, wanted) is None:
        problem = f"found {experiment.task!r}, but dataset {dataset.name!r} has no {wanted}"
        raise ConfigError([(("task",), problem)])
    check_micro_batch(experiment.training, family("balancer")[experiment.balancer.name])
    if experiment.task == "recommendation":
        _check_steps(experiment)
    if reads_content(experiment):
        features = dataset.require_features(f"recommender {experiment.recommender.name!r}")
        features = readable(experiment, features)
        if fuses(experiment):
            build_fusion(experiment.fusion, features.specs, experiment.dim)
            _check_tokenizers(experiment, features)


def _check_source(experiment: Experiment, dataset: Dataset) -> None:
    """Refuse a source that cannot be run, or whose model would mean something else here."""
    source = experiment.source
    if source is None:
        return
    assert dataset.source is not None
    check_transfer(experiment, source, dataset)
    try:
        check(source, dataset.source)
    except ConfigError as error:
        raise error.under("transfer", "source") from None


def _check_judging(experiment: Experiment) -> None:
    """Refuse metrics that are not there, and to select by what is not measured of everyone."""
    if experiment.task == "recommendation":
        names = experiment.evaluation.metrics or DEFAULT_METRICS
        check_names(names, experiment.evaluation.cutoffs)
    elif experiment.evaluation.cold:
        problem = "found true, but classification has no clicks that make items or users cold"
        raise ConfigError([(("evaluation", "cold"), f"{problem}; expected false")])
    if experiment.selecting not in _of_all_modalities(experiment):
        problem = one_of(experiment.selecting, _of_all_modalities(experiment))
        problem += f"; {VALIDATION_ALONE}"
        raise ConfigError([(("evaluation", "select"), problem)])


def _check_steps(experiment: Experiment) -> None:
    """Refuse a way of making steps that recommender, loss or balancer do not go with."""
    balancer = family("balancer")[experiment.balancer.name]
    check_in_batch(experiment.training, balancer)
    if experiment.training.pool is not None:
        check_pooled(_recommender(experiment), balancer)


def _check_names_of_modalities(experiment: Experiment, dataset: Dataset) -> None:
    """Every option that names modalities means some of the dataset's, whether or not this row of a
    study reads them; where true atoms stand in for features, those they stand in for too."""
    if dataset.features is None:
        return
    truth = () if dataset.truth is None else dataset.truth.modalities
    names = dict.fromkeys((*dataset.features.modalities, *truth))
    check_named_modalities(experiment.balancer, names)
    if fuses(experiment):
        check_named_modalities(experiment.fusion, names)
    if experiment.task == "recommendation":
        check_named_modalities(experiment.recommender, names)


def _check_worlds(experiment: Experiment, dataset: Dataset) -> None:
    """Refuse worlds in which modalities get lost or noisy that are not there or cannot be."""
    missing, noise = experiment.inputs.missing, experiment.inputs.noise
    curves, place = experiment.evaluation.curves, ("evaluation", "curves")
    for at, among in ((("inputs", "missing"), missing.among), (place, curves.among)):
        if among != "random" and dataset.interactions is None:
            problem = f"found {among!r}, but dataset {dataset.name!r} has no clicks to count"
            raise ConfigError([((*at, "among"), f"{problem}; expected 'random'")])
    if dataset.features is None or not reads_content(experiment):
        return
    _check_touched(("inputs", "missing"), missing.modalities, experiment, dataset.features)
    for at, names, levels in (
        (("inputs", "noise"), noise.modalities, (noise.train, noise.test)),
        (place, curves.modalities, curves.noise),
    ):
        _check_touched(at, names, experiment, dataset.features, noisy=any(levels))


def _check_touched(
    place: tuple[str, ...],
    names: Sequence[str] | None,
    experiment: Experiment,
    features: ItemFeatures,
    *,
    noisy: bool = False,
) -> None:
    """Modalities named at ``place`` must be in the dataset; noise is added to numbers only."""
    for name in names or ():
        if name not in features.values:
            raise ConfigError([((*place, "modalities"), one_of(name, features.values))])
    world = experiment.inputs.modalities or features.modalities
    read = readable(experiment, features).values
    for name in read if noisy else ():
        if name in world and name in (names or read) and not read[name].is_floating_point():
            vectors = [other for other, x in read.items() if x.is_floating_point()]
            problem = f"noise on {name!r}, which holds token ids or what is yet to be encoded"
            raise ConfigError(
                [((*place, "modalities"), f"found {problem}; expected some of {vectors}")]
            )


def _check_augmentations(experiment: Experiment, dataset: Dataset) -> None:
    """As far as it can be known before trained encoders are built."""
    features = dataset.require_features("augmentation") if experiment.augmentations else None
    if features is None:
        return
    for name in experiment.augmentations:
        if name not in features.values:
            raise ConfigError([(("augmentation", name), one_of(name, features.values))])
    specs = {
        name: None if name in dataset.prepared else spec for name, spec in features.specs.items()
    }
    check_augmentations(experiment.augmentations, specs, samples_of(dataset))


def samples_of(dataset: Dataset) -> dict[str, Sample]:
    """What the trained encoder of each modality reads of the first item that has it."""
    first = {
        name: next((one for one in samples if one is not None), None)
        for name, samples in dataset.prepared.items()
    }
    return {name: one for name, one in first.items() if one is not None}


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
