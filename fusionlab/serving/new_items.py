"""Items that a trained model has not seen: media or feature vectors, as the model reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from fusionlab.config import Experiment, experiment_from
from fusionlab.data.dataset import Dataset
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.data.media import Medium, Raw
from fusionlab.data.new_items import NewItem, row_of_vectors
from fusionlab.encoders.contract import Encoder
from fusionlab.encoders.more import encode_more, encoder_of
from fusionlab.encoders.trained import TrainedEncoders
from fusionlab.errors import FusionlabError, one_of
from fusionlab.fusion.contract import Fusion
from fusionlab.studies.datasets import items_in
from fusionlab.studies.inputs import as_given, prepare_more
from fusionlab.studies.trained import Trained
from fusionlab.training.ranking import RankingTask

TITLES = ("title", "name")


def read_new_items(file: Path, trained: Trained) -> list[NewItem]:
    """New items of a file of JSON lines (`read_items`), for a run; the id stands under ``item``, or
    as the folder format's ``item_column`` has it."""
    return items_in(file, experiment_from(trained.record.config), trained.dataset)


def features_of(trained: Trained, items: Sequence[NewItem]) -> tuple[ItemFeatures, list[str]]:
    """Features of new items as the model reads them: encoded, scaled and reduced like its own.

    Beside them a line on each text of which its encoder knows nothing. Its features are zero, as
    those of such a text in the catalogue are: the item has the modality, and it says nothing.

    Raises:
        FusionlabError: media that cannot be encoded, a vector of another width or that is not
            finite, or an item of which the model would read nothing.
    """
    experiment = experiment_from(trained.record.config)
    dataset = as_given(experiment, trained.dataset)
    clicks, read, task = dataset.interactions, trained.task.features, trained.task
    if clicks is None or read is None or not isinstance(task, RankingTask):
        raise FusionlabError(
            f"recommender {experiment.recommender.name!r} cannot rank items added after training: "
            "its scores need their ids; expected one that scores an item by its content, such as "
            "'content', 'hybrid' or 'content_knn'"
        )
    read_of = _Reader(experiment, dataset, task.model.fusion)
    columns = {name: read_of.column(name, items) for name in read.modalities}
    stored = dataset.require_features("new items")
    vocabulary = {name: n for name, n in stored.vocabulary.items() if name in columns}
    raw = ItemFeatures(
        {name: values for name, (values, _) in columns.items()},
        {name: mask for name, (_, mask) in columns.items()},
        vocabulary,
    )
    for row, item in enumerate(items):
        if not any(bool(mask[row].any()) for mask in raw.mask.values()):
            raise FusionlabError(
                f"item {item.id!r}: found nothing that run {trained.record.id[:12]} reads; "
                f"expected one of the modalities {', '.join(columns)} at least, {read_of.sources()}"
            )
    assert task.worlds is not None
    return prepare_more(experiment, dataset, task.worlds.train_items, raw), read_of.notes


class _Reader:
    """Reads single modalities of new items."""

    def __init__(self, experiment: Experiment, dataset: Dataset, fusion: Fusion | None) -> None:
        self.experiment, self.dataset = experiment, dataset
        trained = getattr(fusion, "trained_encoders", None)
        self.trained: TrainedEncoders | None = trained
        self.notes: list[str] = []

    def sources(self) -> str:
        """Where modalities come from, for messages."""
        of = {name: one.of for name, one in self.experiment.encodings.items()}
        told = ", ".join(f"{name} from {column}" for name, column in of.items())
        return f"as vectors or as media ({told})" if told else "as vectors"

    def column(self, name: str, items: Sequence[NewItem]) -> tuple[Tensor, Tensor]:
        """Values (n, T, d) and mask (n, T) of modality ``name``, before scaling."""
        encoding = self.experiment.encodings.get(name)
        spec, own = self._spec(name)
        entries: dict[str, Raw] = {}
        if encoding is not None:
            entries = {
                item.at(encoding.of): item.media[encoding.of]
                for item in items
                if encoding.of in item.media and name not in item.vectors
            }
        encoded: dict[str, tuple[Tensor, Tensor]] = {}
        if encoding is not None and entries:
            device = self.experiment.runtime.device if own is not None else "cpu"
            encoder = own or encoder_of(name, encoding, self.dataset)
            encoded = encode_more(encoder, encoding, entries, device)
        dtype = torch.int64 if spec.vocabulary else torch.float32
        values = torch.zeros(len(items), spec.tokens, spec.dim, dtype=dtype)
        mask = torch.zeros(len(items), spec.tokens, dtype=torch.bool)
        for row, item in enumerate(items):
            place = item.at(encoding.of) if encoding is not None else ""
            if name in item.vectors:
                x = item.vectors[name]
                values[row], mask[row] = row_of_vectors(item.at(name), x, spec)
            elif place in encoded:
                values[row], mask[row] = encoded[place]
                if isinstance(entries[place], str) and not encoded[place][0].any():
                    self.notes.append(
                        f"{place}: the encoder of {name!r} knows no word of it, so it says nothing"
                    )
        return values, mask

    def _spec(self, name: str) -> tuple[FeatureSpec, Encoder | None]:
        """The shape of the features, and the model's own encoder where it trained one."""
        if self.trained is not None and name in self.trained.samples:
            encoder = self.trained.encoders[name]
            return encoder.spec, encoder
        return self.dataset.require_features("new items").specs[name], None


def described_by(media: Mapping[str, Raw], trained: Trained) -> NewItem:
    """An item that is nothing but some media, by medium (text, image, audio): what a stranger
    describes. Each stands in every column of its medium that the run's encoders read.

    Raises:
        FusionlabError: the run encodes no such medium.
    """
    experiment = experiment_from(trained.record.config)
    columns = {
        one.of: trained.dataset.media[one.of].medium for one in experiment.encodings.values()
    }
    for medium in media:
        if medium not in columns.values():
            raise FusionlabError(
                f"--{medium}: run {trained.record.id[:12]} encodes no {medium}: "
                f"{one_of(medium, map(str, columns.values()))}"
            )
    return NewItem(
        "(described)", {name: media[kind] for name, kind in columns.items() if kind in media}
    )


def title_column(dataset: Dataset) -> str | None:
    """The column of raw text that best names an item, if there is one."""
    columns = [name for name, media in dataset.media.items() if media.medium is Medium.TEXT]
    return next((name for name in TITLES if name in columns), columns[0] if columns else None)
