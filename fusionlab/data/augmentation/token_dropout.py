"""Tokens left out at random."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from fusionlab.data.augmentation.contract import AUGMENTATIONS, Augmentation, Sample
from fusionlab.data.dropout import drawn_off
from fusionlab.data.features import FeatureSpec


@AUGMENTATIONS.register("token_dropout")
class TokenDropout(Augmentation):
    """Each token of an item is masked where u < rate,  u ~ U(0, 1); never its last one

    Of text as vectors or as token ids, of patches of a picture, or of pieces of a sound. Where all
    tokens of an item would go, the one with the largest u stays.

    Options:
        rate: chance that a token is left out of a step

    Source: Iyyer et al. 2015, Deep unordered composition rivals syntactic methods for text
        classification (word dropout).
    """

    def __init__(self, *, rate: Annotated[float, Field(ge=0, lt=1)] = 0.1) -> None:
        self.rate = rate

    @classmethod
    def unfit(cls, spec: FeatureSpec | None, sample: Sample | None) -> str:
        """One token is an item's last."""
        if spec is None or spec.tokens > 1:
            return ""
        return (
            "which leaves out tokens, for features of one token an item; expected an encoder that "
            "gives tokens (pooling or output: tokens)"
        )

    def features(
        self, values: Tensor, mask: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The same values, fewer of them on."""
        return values, mask & ~drawn_off(mask, self.rate, generator)
