"""What strategies are built from: mask-proof projections, attention and transformer blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from fusionlab.data.by_name import ByName
from fusionlab.data.features import FeatureSpec, ItemFeatures, multiplied
from fusionlab.errors import FusionlabError
from fusionlab.linear import Linear, linear


def clean(values: Tensor, mask: Tensor) -> Tensor:
    """Zero what stands behind a false mask: (..., d) and (...) to (..., d).

    Where nothing is masked the values are returned as they are, which is the same bits without a
    copy.
    """
    if not torch.compiler.is_compiling() and mask.all():
        return values
    return torch.where(mask[..., None], values, 0)


def pool_tokens(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens that are on: (B, T, d) and (B, T) to (B, d); zero where none is."""
    values = clean(values, mask)
    if values.shape[1] == 1:
        return values[:, 0]
    return _mean(values, mask.sum(1)[:, None])


def last_token(values: Tensor, mask: Tensor) -> Tensor:
    """The last token that is on: (B, T, d) and (B, T) to (B, d); zero where none is."""
    places = torch.arange(mask.shape[1], device=mask.device)
    last = torch.where(mask, places, 0).amax(1)
    found = values.gather(1, last[:, None, None].expand(-1, 1, values.shape[2]))
    return clean(found, mask.any(1, keepdim=True))[:, 0]


def mean_present(parts: Sequence[Tensor], present: Tensor) -> Tensor:
    """Mean of M tensors (B, ...) over the modalities ``present`` (B, M); zero where none is."""
    stacked = torch.stack(list(parts), 1)
    on = present.reshape(present.shape + (1,) * (stacked.ndim - 2))
    return _mean(torch.where(on, stacked, 0), on.sum(1))


def _mean(values: Tensor, count: Tensor) -> Tensor:
    """Sum over axis 1 by ``count`` (at least 1), in the type of ``values``.

    A sum in float16 may exceed its largest number, so it is taken in float32. In bfloat16 it can
    not: torch adds up in float32 inside and rounds once, where a float32 sum would copy the tokens
    (7 times slower on a CPU). Counts are divided by in float32: bfloat16 does not know 257.
    """
    wide = torch.promote_types(values.dtype, torch.float32)
    total = values.sum(1, dtype=wide if values.dtype is torch.float16 else None)
    return (total / count.clamp(min=1).to(wide)).to(values.dtype)


class Projections(ByName[nn.Linear]):
    """A linear map of its own for each modality, d_m to ``out``; it never reads behind a mask.

    Features stored in a narrower type than the weights are multiplied in that type and the result
    is widened again.
    """

    def __init__(self, specs: Mapping[str, FeatureSpec], out: int, *, bias: bool = True) -> None:
        super().__init__({})
        self.specs = dict(specs)
        self.out = out
        for name, spec in specs.items():
            self.hold(name, Linear(spec.dim, out, bias))

    def pooled(self, items: ItemFeatures) -> tuple[Tensor, Tensor]:
        """Each modality's mean token, projected: (B, M, out), zero where absent; present (B, M)."""
        projected, present = self.each(items)
        return torch.stack(projected, 1), present

    def each(self, items: ItemFeatures) -> tuple[list[Tensor], Tensor]:
        """`pooled`, the modalities as M tensors (B, out)."""
        found = [self._one(items, name, pooled=True) for name in self.specs]
        return [x for _, x in found], torch.stack([on for on, _ in found], 1)

    def tokens(self, items: ItemFeatures) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Project every token: (B, T, out) a modality, zero where masked, and the mask (B, T)."""
        projected, masks = {}, {}
        for name in self.specs:
            masks[name], projected[name] = self._one(items, name, pooled=False)
        return projected, masks

    def _one(self, items: ItemFeatures, name: str, *, pooled: bool) -> tuple[Tensor, Tensor]:
        layer = self[name]
        if name not in items.values:
            # A modality the catalogue never had has the shape of one that is masked everywhere.
            shape = (len(items),) if pooled else (len(items), self.specs[name].tokens)
            mask = torch.zeros(shape, dtype=torch.bool, device=layer.weight.device)
            return mask, absent(layer.weight, *shape, self.out)
        values, mask = items.values[name], items.mask[name]
        x = project(layer, pool_tokens(values, mask) if pooled else clean(values, mask))
        if pooled:
            mask = mask.any(1)
        return mask, x if layer.bias is None else clean(x, mask)  # else zero where masked


def project(layer: nn.Linear, values: Tensor) -> Tensor:
    """``layer(values)`` in the type of ``values``, returned in the type of the weights.

    A CPU that does not multiply that type well gets the values widened instead: `multiplied`.
    """
    if values.dtype == layer.weight.dtype or torch.is_autocast_enabled(values.device.type):
        return layer(values)
    if multiplied(values) != values.dtype:
        return layer(values.to(layer.weight.dtype))
    out = linear(values, layer.weight.to(values.dtype)).to(layer.weight.dtype)
    return out if layer.bias is None else out + layer.bias


def absent(weight: Tensor, *shape: int) -> Tensor:
    """Zeros in the type in which a linear map by ``weight`` gives its result, autocast or not."""
    device = weight.device.type
    autocast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if autocast else weight.dtype
    return weight.new_zeros(*shape, dtype=dtype)


def init_as_one_matrix(blocks: Projections) -> None:
    """Initialise the maps as the blocks of one matrix W [x_1; ...; x_M]: uniform within
    1 / sqrt(sum of widths), as `nn.Linear` does."""
    bound = sum(spec.dim for spec in blocks.specs.values()) ** -0.5
    for layer in blocks.values():
        nn.init.uniform_(layer.weight, -bound, bound)


def softmax_over_present(logits: Tensor, present: Tensor) -> Tensor:
    """Softmax over the modalities present, axis 1: (B, M, ...) and (B, M) to (B, M, ...).

    An item without any modality gets a softmax over all, which is defined; its view is absent.
    """
    if not torch.compiler.is_compiling() and present.all():
        return logits.softmax(1)
    on = present | ~present.any(1, keepdim=True)
    on = on.reshape(on.shape + (1,) * (logits.ndim - 2))
    return logits.masked_fill(~on, -torch.inf).softmax(1)


def check_heads(dim: int, heads: int) -> None:
    """Refuse a number of heads that does not divide the width."""
    if dim % heads:
        raise FusionlabError(f"fusion.heads: found {heads}, expected a divisor of dim = {dim}")


@dataclass(frozen=True, slots=True)
class KeyMask:
    """Which keys attention may read, worked out once for all the layers that read them.

    ``open`` (B, 1, 1, T) are the keys let through, at least one a row; None where all are on.
    ``some`` (B, 1, 1) are the rows with a key that is on; None where every row has one.
    """

    open: Tensor | None
    some: Tensor | None

    @classmethod
    def of(cls, mask: Tensor) -> KeyMask:
        """From the mask (B, T) of the keys that are on."""
        static = torch.compiler.is_compiling()  # a compiled graph may not branch on the data
        if not static and mask.all():
            return cls(None, None)
        some = mask.any(1, keepdim=True)
        if not static and some.all():
            return cls(mask[:, None, None], None)
        first = torch.arange(mask.shape[1], device=mask.device) == 0
        return cls((mask | (first & ~some))[:, None, None], some[..., None])


class Attention(nn.Module):
    """Multi-head attention whose keys may be masked, wholly even.

    softmax(Q K^T / sqrt(d_h)) V a head (Vaswani et al. 2017). A query all of whose keys are masked
    gets zeros: one key is let through so that the softmax is defined, and the result is replaced.
    A softmax over a single key is one, so pooled features (T = 1) as keys need no query at all.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim, bias=False)  # a key bias cancels in the softmax
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, queries: Tensor, keys: Tensor, mask: KeyMask) -> Tensor:
        """Queries (B or 1, Q, D), keys (B, T, D) with their mask: (B, Q, D), or (B, 1, D) for T = 1
        (the same for every query)."""
        value = self.value(keys)
        if keys.shape[1] > 1:
            q, k, v = (
                rearrange(x, "b t (h d) -> b h t d", h=self.heads)
                for x in (self.query(queries), self.key(keys), value)
            )
            q = q.expand(len(k), -1, -1, -1)
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.open)
            value = rearrange(mixed, "b h t d -> b t (h d)")
        out = self.out(value)
        return out if mask.some is None else torch.where(mask.some, out, 0)


class FeedForward(nn.Sequential):
    """Two layers with a GELU between, D to ``expansion`` D to D."""

    def __init__(self, dim: int, expansion: int = 2) -> None:
        super().__init__(
            nn.Linear(dim, expansion * dim), nn.GELU(), nn.Linear(expansion * dim, dim)
        )


class SelfBlock(nn.Module):
    """A pre-norm transformer block whose tokens read one another.

    y = x + Attention(norm x, norm x),  y + FeedForward(norm' y)
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.norm_out = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim)

    def forward(self, x: Tensor, mask: KeyMask, first: int | None = None) -> Tensor:
        """Tokens (B, T, D) to tokens (B, T, D), or only to the ``first`` of them: a last layer need
        not update what nobody reads."""
        normed = self.norm(x)
        y = x[:, :first] + self.attention(normed[:, :first], normed, mask)
        return y + self.feed_forward(self.norm_out(y))


class CrossBlock(nn.Module):
    """A pre-norm transformer block in which queries read keys that stay as they are.

    y = x + Attention(norm x, norm' keys),  y + FeedForward(norm'' y)
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm_queries = nn.LayerNorm(dim)
        self.norm_keys = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.norm_out = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim)

    def forward(self, queries: Tensor, keys: Tensor, mask: KeyMask) -> Tensor:
        """Queries (B or 1, Q, D) read keys (B, T, D) that the mask lets through: (B, Q, D)."""
        y = queries + self.attention(self.norm_queries(queries), self.norm_keys(keys), mask)
        return y + self.feed_forward(self.norm_out(y))
