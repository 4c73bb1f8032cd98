"""Strategies without gradients: linear maps computed once from the covariance of train items."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionlab.data.by_name import ByName
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import Fusion, Level
from fusionlab.fusion.layers import absent, pool_tokens

BLOCK = 8192
RELATIVE_ZERO = 1e-10
"""Eigenvalues below this share of the largest are rounding errors of zero."""


class FixedMap(nn.Module):
    """W (x - mu), (B, d) to (B, D), in buffers: saved and moved, but never trained."""

    mean: Tensor
    weight: Tensor

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("weight", torch.zeros(dim, width))

    def forward(self, x: Tensor) -> Tensor:
        """Centre first: a large mean would cost the small differences their digits."""
        return F.linear((x - self.mean).to(self.weight.dtype), self.weight)


class ClosedForm(Fusion):
    """A linear map of its own for each modality, solved from the joint covariance.

    `fit` reads the items that have every modality: mu and C (P, P), P = sum of widths, are the mean
    and the covariance of [x_1; ...; x_M] over them. A subclass solves C for components (P, k); the
    first D are kept, and where there are fewer the rest of the view is zero. Buffers have the same
    shape whatever the data, so a saved state loads into an instance that was never fitted.

    Eigenvectors have no sign: here the entry that is largest in size is positive.
    """

    level = Level.FEATURE
    additive = True
    trainable = False
    symmetric = True

    fitted_on: Tensor
    """How many items the fit saw; 0 before."""
    spectrum: Tensor
    """(D,) what the strategy ranks its components by; zero where there is none."""

    def __init__(self, specs: Mapping[str, FeatureSpec], dim: int) -> None:
        super().__init__(specs, dim)
        self.maps = ByName({name: FixedMap(spec.dim, dim) for name, spec in specs.items()})
        self.register_buffer("spectrum", torch.zeros(dim))
        self.register_buffer("fitted_on", torch.zeros((), dtype=torch.long))

    @abstractmethod
    def solve(self, covariance: Tensor) -> tuple[Tensor, Tensor]:
        """Components (P, k), best first, and their spectrum (k,) from the covariance (P, P)."""

    def columns(self) -> Iterator[tuple[str, slice]]:
        """Where each modality stands among the P columns."""
        start = 0
        for name, spec in self.specs.items():
            yield name, slice(start, start + spec.dim)
            start += spec.dim

    @torch.no_grad()
    def fit(self, items: ItemFeatures) -> None:
        """Solve from the items that have every modality, in float64; at least two are needed."""
        x = self._complete(items)
        mean = x.new_zeros(x.shape[1], dtype=torch.float64)
        for block in x.split(BLOCK):
            mean += block.double().sum(0) / len(x)
        covariance = x.new_zeros(x.shape[1], x.shape[1], dtype=torch.float64)
        for block in x.split(BLOCK):
            centred = block - mean
            covariance += centred.T @ centred
        components, spectrum = self.solve((covariance / (len(x) - 1)).cpu())
        k = min(self.dim, components.shape[1])
        components = _signed(components[:, :k])
        for name, at in self.columns():
            fixed = self.maps[name]
            fixed.mean.copy_(mean[at])
            fixed.weight.zero_()[:k].copy_(components[at].T)
        self.spectrum.zero_()[:k].copy_(spectrum[:k])
        self.fitted_on.fill_(len(x))

    def mapped(self, items: ItemFeatures) -> tuple[Tensor, Tensor]:
        """Each modality's part of the view: (B, M, D), zero where absent; present (B, M)."""
        if not torch.compiler.is_compiling() and not self.fitted_on:
            raise FusionlabError(
                f"fusion {self.name!r}: found no fit, expected a call of fit(train items) or a "
                "loaded state before items are fused"
            )
        parts, present = [], []
        for name, fixed in self.maps.items():
            if name in items.values:
                on = items.present(name)
                part = fixed(pool_tokens(items.values[name], items.mask[name]))
                part = torch.where(on[:, None], part, 0)
            else:
                part = absent(fixed.weight, len(items), self.dim)
                on = part.new_zeros(len(items), dtype=torch.bool)
            parts.append(part)
            present.append(on)
        return torch.stack(parts, 1), torch.stack(present, 1)

    def _complete(self, items: ItemFeatures) -> Tensor:
        """The pooled features (n, P) of the n items that have every modality."""
        nobody = torch.zeros_like(next(iter(items.mask.values())).any(1))
        on = {n: items.present(n) if n in items.mask else nobody for n in self.specs}
        complete = torch.stack(list(on.values()), 1).all(1)
        if complete.sum() < 2:
            counts = ", ".join(f"{name} {int(there.sum())}" for name, there in on.items())
            raise FusionlabError(
                f"fusion {self.name!r}: found {int(complete.sum())} of {len(items)} train items "
                f"with every modality ({counts}), expected at least 2 to fit on"
            )
        rows = complete.nonzero().flatten()
        pooled = {
            name: pool_tokens(items.values[name], items.mask[name])[rows] for name in self.specs
        }
        for name, x in pooled.items():
            if not x.isfinite().all():
                raise FusionlabError(
                    f"fusion {self.name!r}: found features of modality {name!r} that are not "
                    "finite, expected numbers wherever the mask says the item has it"
                )
        return torch.cat(list(pooled.values()), 1)


def eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues of a symmetric matrix, largest first, and their vectors as columns."""
    values, vectors = torch.linalg.eigh(matrix)
    return values.flip(0), vectors.flip(1)


def inverse_root(values: Tensor) -> Tensor:
    """values ** -1/2, and zero where a value is a rounding error of zero."""
    positive = values > RELATIVE_ZERO * values.max()
    return torch.where(positive, torch.where(positive, values, 1) ** -0.5, 0)


def _signed(components: Tensor) -> Tensor:
    largest = components.gather(0, components.abs().argmax(0, keepdim=True))
    return components * torch.where(largest < 0, -1, 1)
