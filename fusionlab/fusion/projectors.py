"""From a modality's features to soft tokens in the embedding space of a language model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor, nn

from fusionlab.data.by_name import OfModalities
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.layers import CrossBlock, KeyMask, clean, pool_tokens, project
from fusionlab.linear import Linear


class Projector(nn.Module, ABC):
    """A map of its own for each modality, to ``count`` soft tokens of width E.

    Args:
        spec: the shape of the modality.
        width: E, of the language model.
        count: soft tokens, n.
        dim: D, of the views; inner layers are as wide as a small multiple of it.
    """

    def __init__(self, spec: FeatureSpec, width: int, count: int, dim: int) -> None:
        super().__init__()
        self.count = count

    @abstractmethod
    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Soft tokens (B, n, E) of features (B, T, d) that are on in ``mask`` (B, T); what they are
        of an item without the modality is undefined, but finite."""


class LinearProjector(Projector):
    """u = W x, n tokens at once from the mean of the tokens: n E x d weights."""

    def __init__(self, spec: FeatureSpec, width: int, count: int, dim: int) -> None:
        super().__init__(spec, width, count, dim)
        self.map = Linear(spec.dim, count * width)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Map the mean token."""
        return self.map_out(project(self.map, pool_tokens(values, mask)))

    def map_out(self, flat: Tensor) -> Tensor:
        """One row an item to n tokens."""
        return rearrange(flat, "b (n e) -> b n e", n=self.count)


class MlpProjector(LinearProjector):
    """u = W' GELU(W x): two layers as in LLaVA-1.5, with 4 D units between.

    Source: Liu et al. 2024, Improved baselines with visual instruction tuning.
    """

    def __init__(self, spec: FeatureSpec, width: int, count: int, dim: int) -> None:
        Projector.__init__(self, spec, width, count, dim)
        self.map = Linear(spec.dim, 4 * dim)
        self.out = nn.Linear(4 * dim, count * width)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Map the mean token, twice."""
        inner = nn.functional.gelu(project(self.map, pool_tokens(values, mask)))
        return self.map_out(self.out(inner))


class ResamplerProjector(Projector):
    """n learned queries read the modality's tokens by attention, at width D, and are mapped to E.

    z = CrossBlock(queries, {W x_t}),  u = W' z

    Source: Alayrac et al. 2022, Flamingo; one layer, and the queries do not read one another.
    """

    def __init__(self, spec: FeatureSpec, width: int, count: int, dim: int) -> None:
        super().__init__(spec, width, count, dim)
        self.map = Linear(spec.dim, dim)
        self.queries = nn.Parameter(torch.randn(count, dim))
        self.read = CrossBlock(dim, next(heads for heads in (4, 2, 1) if dim % heads == 0))
        self.out = nn.Linear(dim, width)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Read the tokens that are on."""
        tokens = project(self.map, clean(values, mask))
        return self.out(self.read(self.queries[None], tokens, KeyMask.of(mask)))


PROJECTORS: dict[str, type[Projector]] = {
    "linear": LinearProjector,
    "mlp": MlpProjector,
    "resampler": ResamplerProjector,
}


class SoftTokens(nn.Module):
    """The soft tokens of all modalities, and which of them are there.

    u_m = RMSNorm(P_m(x_m)) + e_m

    Where training starts, the first part is as long as the model's embeddings are on average, and
    e_m, which marks whose tokens these are, is what is given in ``marks``.

    Args:
        kind: of projector, by its name in `PROJECTORS`.
        specs: the shape of each modality.
        count: soft tokens a modality, n.
        dim: D, of the views.
        marks: e_m (E,) at the start, by modality.
        norm: mean length of the model's embeddings.
    """

    def __init__(
        self,
        kind: str,
        specs: Mapping[str, FeatureSpec],
        count: int,
        dim: int,
        marks: Mapping[str, Tensor],
        norm: float,
    ) -> None:
        super().__init__()
        self.count = count
        make, width = PROJECTORS[kind], len(next(iter(marks.values()), ()))
        self.project = OfModalities(
            {name: make(spec, width, count, dim) for name, spec in specs.items()}
        )
        self.norm = OfModalities({name: nn.RMSNorm(width, eps=1e-6) for name in specs})
        self.mark = OfModalities({name: nn.Parameter(marks[name].clone()) for name in specs})
        for scale in self.norm.parameters():
            nn.init.constant_(scale, norm / width**0.5)

    def forward(self, items: ItemFeatures) -> tuple[list[Tensor], list[Tensor]]:
        """Soft tokens (B, n, E) of each modality that the items have a column of, and which are
        there (B, n)."""
        tokens, there = [], []
        for name in self.project:
            if name in items.values:
                values, mask, mark = items.values[name], items.mask[name], self.mark[name]
                found = self.project[name](values, mask).to(mark.dtype)
                tokens.append(self.norm[name](found) + mark)
                there.append(mask.any(1, keepdim=True).expand(-1, self.count))
        return tokens, there
