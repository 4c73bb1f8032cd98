"""Columns of raw media, rendered an item at a time when they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from fusionlab.data.media import Media, Medium, Raw
from fusionlab.data.synthetic.render.pictures import picture
from fusionlab.data.synthetic.render.sentences import sentence
from fusionlab.data.synthetic.render.sounds import sound
from fusionlab.data.synthetic.streams import stream
from fusionlab.data.synthetic.truth import Truth
from fusionlab.errors import FusionlabError, one_of

ATTRIBUTES = 3
VALUES = 4
RENDERERS: Mapping[Medium, Callable[[Sequence[int], np.random.Generator], Raw]] = {
    Medium.TEXT: sentence,
    Medium.IMAGE: picture,
    Medium.AUDIO: sound,
}


@dataclass(frozen=True)
class Rendered(Sequence[Raw | None]):
    """The entries of one medium, each rendered when it is asked for, always to the same bytes.

    Attributes beyond the J parts of the code are drawn at random: they mean nothing.
    """

    medium: Medium
    codes: npt.NDArray[np.int64]
    """(N, J), J at most 3, of values below 4."""
    present: npt.NDArray[np.bool_]
    """(N,)"""
    seed: int

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, index: int) -> Raw | None: ...
    @overload
    def __getitem__(self, index: slice) -> list[Raw | None]: ...
    def __getitem__(self, index: int | slice) -> Raw | list[Raw | None] | None:
        rows = range(len(self))[index]
        return self._render(rows) if isinstance(rows, int) else [self._render(row) for row in rows]

    def _render(self, row: int) -> Raw | None:
        if not self.present[row]:
            return None
        rng = stream(self.seed, "media", self.medium, str(row))
        spare = rng.integers(0, VALUES, ATTRIBUTES - self.codes.shape[1])
        return RENDERERS[self.medium]([*self.codes[row].tolist(), *spare.tolist()], rng)


def render(truth: Truth, seed: int) -> dict[str, Media]:
    """The media of a catalogue, by modality; `check_renderable` says which can be rendered."""
    return {
        name: Media(
            Medium(name),
            Rendered(
                Medium(name), truth.codes[name].numpy(), truth.present[:, column].numpy(), seed
            ),
        )
        for column, name in enumerate(truth.modalities)
    }


def check_renderable(parts: Mapping[str, int], alphabet: int) -> None:
    """Refuse codes that media cannot hold; ``parts`` is J, by modality."""
    for name, count in parts.items():
        if name not in RENDERERS:
            raise FusionlabError(f"modalities: features are 'rendered': {one_of(name, RENDERERS)}")
        if count > ATTRIBUTES:
            raise FusionlabError(
                f"atoms: found {count} over {name!r}, expected at most {ATTRIBUTES} where features "
                "are 'rendered': a sentence, a picture or a sound has no more attributes"
            )
    if alphabet > VALUES:
        raise FusionlabError(
            f"alphabet: found {alphabet}, expected at most {VALUES} where features are 'rendered'"
        )
