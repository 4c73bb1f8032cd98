"""What an augmentation is: one modality of a training step in, the same with a change out."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from fusionlab.data.features import FeatureSpec
from fusionlab.registry import Registry

Sample = dict[str, Tensor]
"""What a trained encoder reads of one item (`Dataset.prepared`)."""


class Augmentation:
    """Changes what a training step reads of one modality; validation and test never see it.

    Keyword-only arguments of a subclass are its configuration. One that changes what a trained
    encoder reads overrides `sample`, one that changes features `features`. Nothing that is given
    may be written to, and all draws come from the generator.
    """

    name: ClassVar[str]

    @classmethod
    def unfit(cls, spec: FeatureSpec | None, sample: Sample | None) -> str:
        """What is wrong with a modality for it ("" if nothing): what was found, what is expected.

        ``sample`` is what a trained encoder reads of an item, None where features are stored;
        ``spec`` is the shape of the features, None where it is not known yet.
        """
        return ""

    def sample(self, sample: Sample, generator: torch.Generator) -> Sample:
        """What the encoder reads of an item that has the modality; the generator is the CPU's."""
        return sample

    def features(
        self, values: Tensor, mask: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Features (B, T, d) and mask (B, T); the items that have the modality stay the same, and
        what stands behind a false mask is never read."""
        return values, mask


AUGMENTATIONS: Registry[Augmentation] = Registry(
    "augmentation", Augmentation, "fusionlab.data.augmentation"
)


def no_vectors(spec: FeatureSpec | None) -> str:
    """What is wrong with token ids for an augmentation of vectors."""
    if spec is None or not spec.vocabulary:
        return ""
    return "which changes vectors, for token ids; expected features of an encoder of vectors"


def no_trained_encoder(medium: str) -> str:
    """What is wrong with stored features for an augmentation of raw content."""
    return (
        f"which changes {medium} before a trained encoder reads it, for features that are stored; "
        f"expected an encoder of {medium} with `trained: true`"
    )
