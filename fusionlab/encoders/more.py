"""Encode what was not in the catalogue: the media of a few items, as a finished column has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fusionlab.data.dataset import Dataset
from fusionlab.data.media import Media, Raw
from fusionlab.encoders.blocks import BlockEncoder
from fusionlab.encoders.built import built, train_rows
from fusionlab.encoders.contract import BadMedia, Encoder, Sample, check_spec
from fusionlab.encoders.work import TYPES
from fusionlab.encoders.workers import attempt, prepared
from fusionlab.errors import FusionlabError
from fusionlab.sections import Encoding


def encoder_of(modality: str, encoding: Encoding, dataset: Dataset) -> Encoder:
    """A modality's frozen encoder, fitted on the train items as it was for the catalogue."""
    encoder = built(modality, encoding).eval()
    if encoder.fitted:
        media = dataset.media[encoding.of]
        encoder.fit(_samples(media.take(train_rows(dataset, encoder)), encoder))
        check_spec(encoder)
    return encoder


def _samples(media: Media, encoder: Encoder) -> Iterator[Sample]:
    entries = [entry for entry in media.entries if entry is not None]
    for sample in prepared(entries, encoder.prepare, 0):
        if not isinstance(sample, BadMedia):
            yield sample


def encode_more(
    encoder: Encoder, encoding: Encoding, entries: Mapping[str, Raw], device: str = "cpu"
) -> dict[str, tuple[Tensor, Tensor]]:
    """Values (T, d) and mask (T,) of each entry, by the name it is given under.

    Values of a frozen encoder are rounded to the type that its column is stored in. Like sizes
    share a batch, so the last bits may differ from those of the same content in a catalogue.

    Raises:
        FusionlabError: an entry that cannot be encoded, and why.
    """
    samples: dict[str, Sample] = {}
    for name, entry in entries.items():
        sample = attempt(encoder.prepare, entry)
        if isinstance(sample, BadMedia):
            of = f"{name}: {entry}" if isinstance(entry, Path) else name
            raise FusionlabError(f"{of}: {sample.why}")
        samples[name] = sample
    encode = BlockEncoder(encoder, encoding.batch_size, encoding.precision, device)
    features, faults = encode(samples)
    for name, bad in faults.items():
        raise FusionlabError(f"{name}: {bad.why}")
    found = {}
    for name, (values, mask) in features.items():
        x = torch.from_numpy(values)
        if not encoding.trained and x.is_floating_point():
            with np.errstate(over="ignore"):
                x = torch.from_numpy(values.astype(TYPES[encoding.store]))
            if not x.isfinite().all():
                raise FusionlabError(
                    f"{name}: found features beyond what {encoding.store} holds, expected smaller "
                    "ones, or a run whose encoder has store: fp32"
                )
        more = encoder.spec.tokens - len(mask)
        found[name] = F.pad(x, (0, 0, 0, more)), F.pad(torch.from_numpy(mask), (0, more))
    return found
