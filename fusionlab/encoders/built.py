"""An encoder as its configuration asks for it, what it is fitted on and what it is known by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

import fusionlab
from fusionlab.data.dataset import Dataset
from fusionlab.data.fingerprint import fingerprint
from fusionlab.encoders.contract import Encoder, check_prepare, check_spec
from fusionlab.errors import ConfigError, FusionlabError
from fusionlab.plugins import source_file
from fusionlab.sections import Encoding


def built(modality: str, encoding: Encoding) -> Encoder:
    """The encoder of a modality; what it refuses is told with its place among the encoders."""
    place = ("encoders", modality, "encoder")
    try:
        encoder: Encoder = encoding.encoder.build()
        check_prepare(encoder)
        if not encoder.fitted:
            check_spec(encoder)
    except ConfigError as error:
        raise error.under(*place) from None
    except FusionlabError as error:
        raise FusionlabError(f"{'.'.join(place)}: {error}") from error
    return encoder


def train_rows(dataset: Dataset, encoder: Encoder) -> list[int]:
    """Items that ``encoder`` may be fitted on: those clicked, or labelled, in train."""
    if dataset.labels is not None:
        rows = dataset.labels.train.items.unique()
    elif dataset.interactions is not None:
        rows = dataset.interactions.train.popularity.nonzero().flatten()
    else:
        raise FusionlabError(
            f"dataset {dataset.name!r}: found neither clicks nor classes, expected either: "
            f"{encoder.name!r} is fitted on train items"
        )
    found: list[int] = rows.tolist()
    return found


def encoder_identity(encoding: Encoding, encoder: Encoder) -> dict[str, Any]:
    """What a feature depends on beside the item's content and what the encoder is fitted on."""
    return {
        "encoder": encoding.encoder.model_dump(mode="json"),
        "precision": encoding.precision,
        "store": encoding.store,
        "state": fingerprint(_flat(encoder.state_dict())),
        "source": encoder.source_id(),
        "code": _code(type(encoder)),
    }


def _flat(state: Mapping[str, Any]) -> Iterator[Any]:
    for name, value in state.items():
        yield name
        yield value if isinstance(value, torch.Tensor) else str(value)


def _code(cls: type[Encoder]) -> str:
    """Hash of an encoder's source; of a built-in one also of the files beside it, where its reading
    and its steps are."""
    file, digest = Path(source_file(cls)), sha256()
    own = cls.__module__.startswith(f"{fusionlab.__name__}.")
    for part in sorted(file.parent.glob("*.py")) if own else [file]:
        digest.update(part.name.encode() + part.read_bytes())
    return digest.hexdigest()
