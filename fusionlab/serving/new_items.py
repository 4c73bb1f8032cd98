"""Items that a trained model has not seen: media or feature vectors, as the model reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fusionlab.config import Experiment, experiment_from
from fusionlab.data.dataset import Dataset
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.data.media import Medium, Raw
from fusionlab.encoders.contract import Encoder
from fusionlab.encoders.more import encode_more, encoder_of
from fusionlab.encoders.trained import TrainedEncoders
from fusionlab.errors import FusionlabError, one_of
from fusionlab.studies.inputs import as_given, prepare_more
from fusionlab.studies.trained import Trained
from fusionlab.training.ranking import RankingTask

TITLES = ("title", "name")


@dataclass(frozen=True)
class NewItem:
    """An item that is not in the catalogue.

    ``media`` by column of raw media, as the dataset has them; ``vectors`` by modality, as its
    encoder (or the dataset's feature file) would give them: (d,), or (t, d) with t up to T tokens.
    What is not given the item lacks.
    """

    id: str
    media: Mapping[str, Raw] = field(default_factory=dict)
    vectors: Mapping[str, Tensor] = field(default_factory=dict)


def read_new_items(file: Path, trained: Trained) -> list[NewItem]:
    """New items of a file of JSON lines, one object an item.

    ``item`` (or as the folder format's ``item_column`` has it) is the id. Any other key is a column
    of raw media, with a text or the path of a file from this file's folder on, or a modality, with
    a list of numbers (one vector) or of lists (a vector a token). null is as good as nothing.

    Raises:
        FusionlabError: no such file, no item in it, a line that is no object, an unknown key, an
            id that stands twice or is in the catalogue, or a value of another kind.
    """
    experiment = experiment_from(trained.record.config)
    id_column = str(getattr(experiment.dataset, "item_column", "item"))
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        raise FusionlabError(f"{file}: cannot be read as JSON lines ({error})") from None
    known, found = set(trained.dataset.item_ids), dict[str, NewItem]()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        item = _read_line(where, line, id_column, trained.dataset, file.parent)
        if item.id in known or item.id in found:
            place = "in the catalogue" if item.id in known else "on an earlier line"
            raise FusionlabError(
                f"{where}: found item {item.id!r}, which is {place}; expected ids of new items"
            )
        found[item.id] = item
    if not found:
        raise FusionlabError(f"{file}: found no item, expected one a line")
    return [*found.values()]


def _read_line(where: str, line: str, id_column: str, dataset: Dataset, folder: Path) -> NewItem:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FusionlabError(f"{where}: not JSON ({error})") from None
    if not isinstance(entry, dict) or not isinstance(entry.get(id_column), str | int):
        raise FusionlabError(f"{where}: expected an object with an id under {id_column!r}")
    modalities = () if dataset.features is None else dataset.features.modalities
    media: dict[str, Raw] = {}
    vectors: dict[str, Tensor] = {}
    for key, value in entry.items():
        at = f"{where}: {key}"
        if key == id_column or value is None:
            continue
        if key not in dataset.media and key not in modalities:
            raise FusionlabError(f"{at}: {one_of(key, {id_column, *dataset.media, *modalities})}")
        if isinstance(value, str) and key in dataset.media:
            if value.strip():
                text = dataset.media[key].medium is Medium.TEXT
                media[key] = value if text else folder / value
        elif isinstance(value, list) and key in modalities:
            vectors[key] = _vector(at, value)
        else:
            expected = "text or a path" if key in dataset.media else "a list of numbers"
            raise FusionlabError(f"{at}: found {_short(value)}, expected {expected}")
    return NewItem(str(entry[id_column]), media, vectors)


def _vector(where: str, value: list[Any]) -> Tensor:
    try:
        return torch.tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise FusionlabError(
            f"{where}: found {_short(value)}, expected numbers, or lists of equally many numbers"
        ) from None


def features_of(trained: Trained, items: Sequence[NewItem]) -> ItemFeatures:
    """Features of new items as the model reads them: encoded, scaled and reduced like its own.

    Raises:
        FusionlabError: media that cannot be encoded, a vector of another width or that is not
            finite, or an item of which the model would read nothing.
    """
    experiment = experiment_from(trained.record.config)
    dataset = as_given(experiment, trained.dataset)
    clicks, read, task = dataset.interactions, trained.task.features, trained.task
    fusion = task.model.fusion if isinstance(task, RankingTask) else None
    if (
        clicks is None
        or read is None
        or fusion is None
        or not isinstance(task, RankingTask)
        or task.model.reads_features
    ):
        raise FusionlabError(
            f"recommender {experiment.recommender.name!r} cannot rank items added after training: "
            "its scores need their ids, or a graph of the catalogue that was trained on; expected "
            "one that scores an item by its fused content, such as 'content' or 'hybrid'"
        )
    read_of = _Reader(experiment, dataset, fusion)
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
    return prepare_more(experiment, dataset, task.worlds.train_items, raw)


class _Reader:
    """Reads single modalities of new items."""

    def __init__(self, experiment: Experiment, dataset: Dataset, fusion: torch.nn.Module) -> None:
        self.experiment, self.dataset = experiment, dataset
        trained = getattr(fusion, "trained_encoders", None)
        self.trained: TrainedEncoders | None = trained

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
                _place(item, encoding.of): item.media[encoding.of]
                for item in items
                if encoding.of in item.media and name not in item.vectors
            }
        encoded: dict[str, tuple[Tensor, Tensor]] = {}
        if encoding is not None and entries:
            device = self.experiment.runtime.device if own is not None else "cpu"
            encoder = own or encoder_of(encoding, self.dataset)
            encoded = encode_more(encoder, encoding, entries, device)
        dtype = torch.int64 if spec.vocabulary else torch.float32
        values = torch.zeros(len(items), spec.tokens, spec.dim, dtype=dtype)
        mask = torch.zeros(len(items), spec.tokens, dtype=torch.bool)
        for row, item in enumerate(items):
            place = _place(item, encoding.of) if encoding is not None else ""
            if name in item.vectors:
                x = self._checked(_place(item, name), item.vectors[name], spec)
                values[row], mask[row] = x
            elif place in encoded:
                values[row], mask[row] = encoded[place]
        return values, mask

    def _spec(self, name: str) -> tuple[FeatureSpec, Encoder | None]:
        """The shape of the features, and the model's own encoder where it trained one."""
        if self.trained is not None and name in self.trained.samples:
            encoder = self.trained.encoders[name]
            return encoder.spec, encoder
        return self.dataset.require_features("new items").specs[name], None

    def _checked(self, where: str, x: Tensor, spec: FeatureSpec) -> tuple[Tensor, Tensor]:
        x = x[None] if x.ndim == 1 else x
        if spec.vocabulary:
            raise FusionlabError(f"{where}: found numbers, expected the text: it is read as tokens")
        if x.ndim != 2 or x.shape[1] != spec.dim or not 1 <= len(x) <= spec.tokens:
            up_to = f"up to {spec.tokens} vectors" if spec.tokens > 1 else "one vector"
            raise FusionlabError(
                f"{where}: found shape {tuple(x.shape)}, expected {up_to} of {spec.dim} numbers"
            )
        if not x.isfinite().all():
            raise FusionlabError(f"{where}: found a number that is not finite")
        more = spec.tokens - len(x)
        on = torch.arange(spec.tokens) < len(x)
        return F.pad(x, (0, 0, 0, more)), on


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


def _place(item: NewItem, column: str) -> str:
    return f"item {item.id!r}, {column}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
