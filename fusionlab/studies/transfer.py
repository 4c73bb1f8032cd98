"""A model that was trained on one catalogue, used on another through content alone."""

from __future__ import annotations

from torch import nn

from fusionlab.config import Experiment
from fusionlab.data.dataset import Dataset
from fusionlab.data.features import FeatureSpec
from fusionlab.encoders.contract import Encoder
from fusionlab.errors import ConfigError, FusionlabError
from fusionlab.fusion.build import build_fusion
from fusionlab.registry import family
from fusionlab.sections import Encoding
from fusionlab.studies.record import RunRecord
from fusionlab.studies.store import MODEL_FILE, RunStore, load_model


def take_over(model: nn.Module, source: RunRecord, store: RunStore) -> None:
    """Put the trained model of the run ``source`` into ``model``: all of its state, buffers too.

    Raises:
        FusionlabError: the run has no model, or one of other shapes.
    """
    file = store.folder(source.id) / MODEL_FILE
    if not file.is_file():
        raise FusionlabError(
            f"{file}: not found, expected the model of the source run; delete the folder to train "
            "it again"
        )
    load_model(model, file)


def check_transfer(experiment: Experiment, source: Experiment, dataset: Dataset) -> None:
    """Refuse an experiment whose source's model would mean nothing on its catalogue.

    All that the model learned must be a function of content, and the columns of each modality
    must mean what they mean in the source: of equal shape, and made by the same encoder, which no
    catalogue had a part in. Of columns that come with a dataset only the shape can be compared.
    """
    _check_recommender(experiment)
    there, here = (
        _specs(one, data)
        for one, data in ((source, dataset.source), (experiment, dataset))
        if data is not None
    )
    if list(here) != list(there):
        raise _problem(
            f"found the modalities {', '.join(there)}, expected those of this catalogue in the "
            f"same order, {', '.join(here)}: name common ones in inputs.modalities"
        )
    for name in here:
        _check_meaning(name, source.encodings.get(name), experiment.encodings.get(name))
        found, wanted = there[name], here[name]
        if (found.dim, found.vocabulary) != (wanted.dim, wanted.vocabulary):
            raise _problem(f"found {name!r} with {_said(found)}, expected {_said(wanted)}")
    if here != there and _shapes(experiment, here) != _shapes(experiment, there):
        lengths = ", ".join(
            f"{name}: {there[name].tokens} and {here[name].tokens}" for name in here
        )
        raise _problem(
            f"found other numbers of tokens than here ({lengths}), but fusion "
            f"{experiment.fusion.name!r} has parameters for each token; expected equally many"
        )


def _check_recommender(experiment: Experiment) -> None:
    """Nothing that is learned may belong to a user or an item: there are others here."""
    if experiment.task != "recommendation":
        raise ConfigError(
            [
                (
                    ("transfer",),
                    f"found task {experiment.task!r}, expected 'recommendation': "
                    "another catalogue has other classes",
                )
            ]
        )
    recommenders, name = family("recommender"), experiment.recommender.name
    if not _by_content(recommenders[name]):
        able = ", ".join(one for one in recommenders.names() if _by_content(recommenders[one]))
        problem = (
            f"found {name!r}, which does not score by content and a history of clicks alone, so "
            f"its model cannot go from one catalogue to another; expected one of: {able}"
        )
        raise ConfigError([(("recommender", "name"), problem)])
    if getattr(experiment.recommender, "item_ids", False):
        problem = "found true, but another catalogue has other items; with transfer expected false"
        raise ConfigError([(("recommender", "item_ids"), problem)])


def _by_content(recommender: type[object]) -> bool:
    return bool(getattr(recommender, "uses_content", 0) and getattr(recommender, "by_history", 0))


def _check_meaning(name: str, there: Encoding | None, here: Encoding | None) -> None:
    """Columns that come with the data stand for themselves; encoded ones must be of one encoder."""
    if here is None and there is None:
        return
    if here is None or there is None or here.encoder != there.encoder:
        raise _problem(
            f"found {name!r} as {_encoded(there, here)}, expected what it is in this catalogue, "
            f"{_encoded(here, there)}",
            "encoders",
            name,
        )
    encoder: type[Encoder] = family("encoder")[here.encoder.name]
    if encoder.fitted:
        raise _problem(
            f"found {here.encoder.name!r}, which is fitted on the items of a catalogue: columns "
            "mean something else in each; expected an encoder that is fitted on none",
            "encoders",
            name,
        )


def _specs(experiment: Experiment, dataset: Dataset) -> dict[str, FeatureSpec]:
    """The shapes of the modalities that an experiment has of a dataset."""
    features = dataset.require_features("transfer")
    kept = experiment.inputs.modalities or features.modalities
    return {name: spec for name, spec in features.specs.items() if name in kept}


def _shapes(experiment: Experiment, specs: dict[str, FeatureSpec]) -> dict[str, object]:
    state = build_fusion(experiment.fusion, specs, experiment.dim).state_dict()
    return {name: tensor.shape for name, tensor in state.items()}


def _said(spec: FeatureSpec) -> str:
    ids = f"token ids of a vocabulary of {spec.vocabulary}"
    return ids if spec.vocabulary else f"{spec.dim} columns"


def _encoded(encoding: Encoding | None, other: Encoding | None) -> str:
    """By which encoder, and with which options if only these are different."""
    if encoding is None:
        return "a column of the dataset's own"
    own, its = (dict(one.encoder) if one else {} for one in (encoding, other))
    same = own["name"] == its.get("name")
    options = [f"{key}={own[key]}" for key in own if same and own[key] != its[key]]
    return f"encoded by {own['name']!r}" + (f" with {', '.join(options)}" if options else "")


def _problem(message: str, *keys: str) -> ConfigError:
    return ConfigError([(("transfer", "source", *keys), message)])
