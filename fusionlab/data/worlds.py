"""Worlds in which items lack modalities, or their features are noisy: nothing else differs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.data.room import joined
from fusionlab.data.scaling import moments
from fusionlab.sections import Missing, Noise

BLOCK = 1024
"""Rows of noise drawn at a time. Other blocks would be other noise."""


@dataclass(frozen=True, slots=True)
class World:
    """What is the matter with a catalogue; two that say the same are the same world.

    ``share`` of the items lack each of the modalities ``lacking`` (None: all), chosen ``among``
    the items; the features of ``noisy`` have noise of ``level`` standard deviations.
    """

    share: float = 0.0
    lacking: tuple[str, ...] | None = None
    among: str = "random"
    level: float = 0.0
    noisy: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not self.share:
            object.__setattr__(self, "lacking", ())
            object.__setattr__(self, "among", "random")
        if not self.level:
            object.__setattr__(self, "noisy", ())


class Worlds:
    """The worlds of one experiment: the one it trains in, the one it is judged in, and others.

    Who loses a modality and which noise there is depends on the configured seed, the modality's
    name and the catalogue's size alone: every row and seed of a study meets the same. Items that
    lack a modality at some share lack it at any larger one, and noise of two levels is the same
    draw, scaled.

    Args:
        features: of all N items, as prepared (scaled, reduced): they are not changed.
        train_items: rows from which the standard deviations are taken that noise is scaled by.
        missing: what is missing in training and wherever the model is judged.
        noise: how noisy features are, likewise.
        clicks: (N,) train clicks by item, for ``among`` other than random.
        scratch: where large noisy features are held on disk.
    """

    def __init__(
        self,
        features: ItemFeatures,
        train_items: Tensor,
        missing: Missing,
        noise: Noise,
        clicks: Tensor | None = None,
        scratch: Path | None = None,
    ) -> None:
        self.features, self.train_items = features, train_items
        self.missing, self.noise = missing, noise
        self.clicks, self.scratch = clicks, scratch
        lost, noisy = (missing.modalities, missing.among), noise.modalities
        self.trained = World(missing.train, *lost, noise.train, noisy)
        self.judged = World(missing.test, *lost, noise.test, noisy)

    @cached_property
    def train(self) -> ItemFeatures:
        """The catalogue that the model is trained on."""
        return self.of(self.trained)

    @cached_property
    def test(self) -> ItemFeatures:
        """The catalogue that it is judged on, on validation too."""
        return self.train if self.judged == self.trained else self.of(self.judged)

    def of(self, world: World) -> ItemFeatures:
        """The catalogue of a world. What it does not touch is shared, not copied."""
        features = self.features
        if world.level:
            noisy = {m: self._noisy(m, world.level) for m in self._of(world.noisy)}
            features = replace(features, values=features.values | noisy)
        if world.share:
            lost = {m: self._lost(m, world) for m in self._of(world.lacking)}
            features = features.masked(lost)
        return features

    def _of(self, names: Iterable[str] | None) -> list[str]:
        return [m for m in self.features.modalities if names is None or m in names]

    def _lost(self, modality: str, world: World) -> Tensor:
        """(N,) bool: the items that lack the modality, the first round(share N) in their order."""
        n = len(self.features)
        draw = torch.rand(n, generator=_generator(self.missing.seed, modality))
        order = draw.argsort()
        if world.among != "random":
            assert self.clicks is not None
            clicks = self.clicks[order]
            popular = world.among == "popular"
            order = order[clicks.argsort(descending=popular, stable=True)]
        lost = torch.zeros(n, dtype=torch.bool)
        lost[order[: round(world.share * n)]] = True
        return lost.to(self.features.mask[modality].device)

    def _noisy(self, modality: str, level: float) -> Tensor:
        """x + level sigma z of (N, T, d), z standard normal, sigma over the tokens of train items.

        sigma is the root mean variance of the modality's columns.
        """
        x, mask = self.features.values[modality], self.features.mask[modality]
        _, variance = moments(x, mask, self.train_items.to(x.device))
        scale = level * variance.mean().sqrt().item()
        generator = _generator(self.noise.seed, modality)
        parts = (
            rows + scale * torch.randn(rows.shape, generator=generator).to(x.device)
            for rows in x.split(BLOCK)
        )
        return joined(parts, tuple(x.shape), x.dtype, self.scratch).to(x.device)


def _generator(seed: int, modality: str) -> torch.Generator:
    """Draws that no other modality has, and that hang on nothing but seed and name."""
    digest = sha256(f"{seed} {modality}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
