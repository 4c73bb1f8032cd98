"""What a training step reads, its modalities augmented."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from fusionlab.data.augmentation.contract import AUGMENTATIONS, Augmentation, Sample
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.encoders.trained import TrainedEncoders
from fusionlab.errors import ConfigError
from fusionlab.fusion.contract import Fusion
from fusionlab.registry import Part


class Augmented:
    """Changes the items of a step before the fusion, a modality at a time.

    Args:
        parts: the augmentation of each modality that has one.

    A modality whose encoder is trained is encoded here, from samples that are changed first; a
    fusion that gets features in place of row numbers encodes them no more. Draws come from the
    loop's generator, and without augmentations there are none.
    """

    def __init__(self, parts: Mapping[str, Augmentation]) -> None:
        self.parts = dict(parts)

    def __call__(
        self, items: ItemFeatures, fusion: Fusion, generator: torch.Generator
    ) -> ItemFeatures:
        """The items of one step."""
        encoders = getattr(fusion, "trained_encoders", None)
        for name, part in self.parts.items():
            if isinstance(encoders, TrainedEncoders) and name in encoders.samples:
                items = _encoded(items, name, part, encoders, generator)
            values, mask = part.features(items.values[name], items.mask[name], generator)
            items = ItemFeatures(
                items.values | {name: values}, items.mask | {name: mask}, items.vocabulary
            )
        return items


def _encoded(
    items: ItemFeatures,
    name: str,
    part: Augmentation,
    encoders: TrainedEncoders,
    generator: torch.Generator,
) -> ItemFeatures:
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    draws = torch.Generator().manual_seed(int(seed))  # samples are prepared on the CPU
    return encoders.encoded(items, name, lambda sample: part.sample(sample, draws))


def check_augmentations(
    parts: Mapping[str, Part],
    specs: Mapping[str, FeatureSpec | None],
    samples: Mapping[str, Sample],
) -> None:
    """Refuse augmentations that cannot serve their modality.

    Args:
        parts: by modality; those of modalities that are not in ``specs`` are not looked at.
        specs: the shapes of features, None where they are not known yet.
        samples: what a trained encoder reads of one item, of modalities that have such an encoder.
    """
    problems = []
    for name, part in parts.items():
        if name not in specs:
            continue
        about = specs[name], samples.get(name)
        if unfit := AUGMENTATIONS[part.name].unfit(*about):
            fits = [one for one in AUGMENTATIONS.names() if not AUGMENTATIONS[one].unfit(*about)]
            listed = f", or one of: {', '.join(fits)}" if fits else ""
            problems.append((("augmentation", name), f"found {part.name!r}, {unfit}{listed}"))
    if problems:
        raise ConfigError(problems)
