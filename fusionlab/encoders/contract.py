"""What an encoder is: the raw content of items in, feature vectors (or tokens) out.

The work is cut in two, so that files are decoded in other processes while the model computes:
``prepare`` turns one item's raw content into tensors (no model, picklable), and ``forward`` turns a
batch of prepared items into features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import ClassVar

import torch
from torch import Tensor, nn

from fusionlab.data.features import FeatureSpec
from fusionlab.data.media import Medium, Raw
from fusionlab.registry import Registry
from fusionlab.returned import check_returned, pair_returned, refusal, tensors_returned, told

Sample = dict[str, Tensor]
"""One prepared item: tensors by name, whose first axis may differ from item to item."""
Batch = dict[str, Tensor]
"""Prepared items put together: tensors (B, ...)."""


class Fault(StrEnum):
    """Why an item has no features."""

    MISSING = "missing"
    CORRUPT = "corrupt"


class BadMedia(Exception):
    """Content that cannot be encoded: the item lacks the modality, and the report says why."""

    def __init__(self, fault: Fault, why: str) -> None:
        super().__init__(fault, why)  # both, so that it survives pickling
        self.fault, self.why = fault, why


class Encoder(nn.Module, ABC):
    """An encoder of one medium.

    Keyword-only arguments of a subclass are its configuration, as for every part. All that may
    change a feature is in the configuration, in the state (weights, fitted tables) or, for what a
    model's folder brings beside its weights (a tokenizer), in `source_id`: these three name the
    features in the store.
    """

    name: ClassVar[str]
    medium: ClassVar[Medium]
    spec: FeatureSpec
    """The shape of the features: T tokens (1 if pooled) of width d. Known after `fit`."""
    prepare: Callable[[Raw], Sample]
    """Decodes and preprocesses one item's content; raises `BadMedia`. Holds no model: it is sent to
    other processes."""
    fitted: ClassVar[bool] = False
    """Is there something to fit on train items before anything is encoded?"""

    def source_id(self) -> str:
        """What beside configuration and state decides about features (a hash), if anything."""
        return ""

    def fit(self, samples: Iterable[Sample]) -> None:
        """Fit closed-form parts (TF-IDF, SVD) on prepared train items; most encoders have none."""

    def size(self, sample: Sample) -> int:
        """How much work the item is (tokens, frames): items of like size share a batch."""
        return next(iter(sample.values())).shape[0]

    @abstractmethod
    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Put B prepared items together, padded where they differ."""

    @abstractmethod
    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Features (B, T', d), T' at most T, and which tokens are on, (B, T') bool."""

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """`forward`.

        Raises:
            FusionlabError: it returned something else.
        """
        values, mask = pair_returned(self, "forward", super().__call__(batch))
        n, tokens = len(next(iter(batch.values()))), min([*mask.shape[-1:], self.spec.tokens])
        of_mask, of_values = "(B items, T' tokens at most T)", "(B items, T' tokens, d)"
        check_returned(self, "forward", "a mask", mask, (n, tokens), of_mask, torch.bool)
        if not self.spec.vocabulary:
            shape = n, tokens, self.spec.dim
            check_returned(self, "forward", "features", values, shape, of_values)
        return values, mask


def collated(encoder: Encoder, samples: Sequence[Sample]) -> Batch:
    """`Encoder.collate`; FusionlabError where it returned something else."""
    return tensors_returned(encoder, "collate", encoder.collate(samples))


def check_prepare(encoder: Encoder) -> None:
    """FusionlabError unless an encoder that was built has its ``prepare``."""
    found = getattr(encoder, "prepare", None)
    if not callable(found):
        expected = "expected what turns one item's content into tensors, to be called"
        raise refusal(encoder, "prepare", f"found {told(found)}, {expected}")


def check_spec(encoder: Encoder) -> None:
    """FusionlabError unless an encoder that has nothing to fit, or is fitted, has its ``spec``."""
    found = getattr(encoder, "spec", None)
    if not isinstance(found, FeatureSpec):
        after = " after `fit`" if encoder.fitted else ""
        raise refusal(encoder, "spec", f"found {told(found)}{after}, expected a FeatureSpec")


ENCODERS: Registry[Encoder] = Registry("encoder", Encoder, "fusionlab.encoders")
