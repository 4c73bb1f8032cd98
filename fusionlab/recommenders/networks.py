"""Networks that read a sequence of clicked items and say what state it left the user in.

Shapes: S sequences, T places of the longest, D the width of an item and of a state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated

import torch
from einops import rearrange
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from fusionlab.errors import FusionlabError
from fusionlab.fusion.layers import Attention, KeyMask
from fusionlab.registry import Registry

Share = Annotated[float, Field(ge=0, lt=1)]


class SequenceNetwork(nn.Module, ABC):
    """Sequences, the most recent item first, to the states they end in.

    Places from ``counts`` on are padding: nothing of them may reach a state.
    """

    @abstractmethod
    def prepare(self, dim: int, length: int) -> None:
        """Make the parameters, once the width D and the longest sequence are known."""

    @abstractmethod
    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """Items (S, T, D) of which the first ``counts`` (S,) are there, to states (S, D).

        What it says of an empty sequence is not read; it must be finite.
        """


NETWORKS: Registry[SequenceNetwork] = Registry(
    "sequence network", SequenceNetwork, "fusionlab.recommenders.networks"
)


class _Block(nn.Module):
    """y = x + drop(Attention(norm x)),  y + drop(W relu(W' norm y)), all of width D."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(dim), Attention(dim, heads)
        self.norm_out = nn.LayerNorm(dim)
        self.feed_forward = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(dim, dim)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, first: int) -> Tensor:
        """The ``first`` of the places (S, T, D) read those that ``mask`` (S, 1, T, T) lets them."""
        normed = self.norm(x)
        read = self.attention(normed[:, :first], normed, KeyMask(mask[:, :, :first], None))
        y = x[:, :first] + self.dropout(read)
        return y + self.dropout(self.feed_forward(self.norm_out(y)))


@NETWORKS.register("sasrec")
class SasRec(SequenceNetwork):
    """Causal self-attention: an item reads itself and those clicked before it.

    x_t = v_t + position_t, then pre-norm blocks of attention and a feed-forward layer, and a last
    norm. A position counts from the most recent item, so it means the same in short and in long
    sequences. The last block computes the most recent place alone, which is all that is read.

    Options:
        layers: blocks
        heads: of attention, a divisor of dim
        dropout: of the items, and of what attention and feed-forward layers add

    Source: Kang and McAuley 2018, Self-attentive sequential recommendation.
    """

    def __init__(
        self, *, layers: PositiveInt = 2, heads: PositiveInt = 1, dropout: Share = 0.2
    ) -> None:
        super().__init__()
        self.layers, self.heads = layers, heads
        self.dropout = nn.Dropout(dropout)

    def prepare(self, dim: int, length: int) -> None:
        """Make blocks and positions (length, D)."""
        if dim % self.heads:
            raise FusionlabError(
                f"recommender.network.heads: found {self.heads}, expected a divisor of dim = {dim}"
            )
        self.positions = nn.Parameter(torch.empty(length, dim))
        nn.init.normal_(self.positions, std=0.01)
        self.blocks = nn.ModuleList(
            _Block(dim, self.heads, self.dropout.p) for _ in range(self.layers)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """The most recent place, after all blocks."""
        places = torch.arange(x.shape[1], device=x.device)
        there = places < counts[:, None]
        own = places[:, None] == places  # padding reads itself, so that the softmax is defined
        earlier = places[:, None] < places
        mask = rearrange(own | (earlier & there[:, None]), "s q k -> s 1 q k")
        x = self.dropout(x + self.positions[: x.shape[1]])
        for block in self.blocks[:-1]:
            x = block(x, mask, x.shape[1])
        return self.norm(self.blocks[-1](x, mask, 1)[:, 0])


@NETWORKS.register("gru")
class Gru(SequenceNetwork):
    """Gated recurrent units of width D over the items, oldest first, and a linear map of the last.

    Options:
        layers: recurrent layers
        dropout: of the items, and between layers

    Source: Hidasi et al. 2016, Session-based recommendations with recurrent neural networks.
    """

    def __init__(self, *, layers: PositiveInt = 1, dropout: Share = 0.2) -> None:
        super().__init__()
        self.layers = layers
        self.dropout = nn.Dropout(dropout)

    def prepare(self, dim: int, length: int) -> None:
        """Make the units and the map."""
        between = self.dropout.p if self.layers > 1 else 0.0
        self.units = nn.GRU(dim, dim, self.layers, batch_first=True, dropout=between)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """The state after the most recent item; padding comes after it, where nobody looks."""
        last = (counts - 1).clamp(min=0)
        places = last[:, None] - torch.arange(x.shape[1], device=x.device)
        oldest_first = self.dropout(_at(x, places.clamp(min=0)))
        states, _ = self.units(oldest_first)
        state: Tensor = self.out(_at(states, last[:, None])[:, 0])
        return state


def _at(x: Tensor, places: Tensor) -> Tensor:
    """Places (S, P) of sequences (S, T, D): (S, P, D)."""
    return x.gather(1, places[..., None].expand(-1, -1, x.shape[2]))
