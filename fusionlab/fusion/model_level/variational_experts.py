"""A variational product of experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from fusionlab.data.by_name import ByName
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import Projections, pool_tokens
from fusionlab.spaces import Range, Spaces


@FUSIONS.register("variational_experts")
class VariationalExperts(Fusion):
    """Each modality is a Gaussian opinion of one latent vector; their product with the prior is it.

    q(z | x_m) = N(mu_m, 1 / tau_m),  [mu_m; s_m] = A_m gelu(W_m x_m) + c_m,  tau_m = softplus(s_m)
    q(z | x) = N(mu, 1 / tau) prop. to N(z; 0, 1) prod over present m of q(z | x_m):
    tau = 1 + sum_m tau_m,  mu = sum_m tau_m mu_m / tau

    The view is mu in evaluation and a sample mu + eps / sqrt(tau) in training; the latent has the
    width of a view. An absent modality is no factor of the product, nor a term of the penalty:

    penalty = beta KL(q(z | x) || N(0, 1)) + reconstruction sum_m |x~_m - R_m(z)|^2 / (2 d_m)

    x~_m = (x_m - c_m) / s_m are the pooled features, centred and scaled as `fit` measured them on
    train items (c_m their mean, s_m^2 the mean variance of a dimension), so one weight serves any
    scale. With beta = 1 the penalty is the negative ELBO of the x~_m, up to constants: one sample,
    likelihoods N(R_m(z), 1), their weights lambda_m = reconstruction / d_m. R_m is a two-layer
    network. The paper's further ELBOs, of subsets of the modalities, are what training with
    modality dropout adds.

    Complexity: O(sum_m (T_m + D) d_m + M D^2) an item; in training about half of it is for the
        decoders, which evaluation leaves out with their terms of the penalty.

    Options:
        beta: weight of the divergence from the prior
        reconstruction: weight of the reconstruction terms; 0 leaves out the decoders (no ELBO then)

    Source: Wu and Goodman 2018, Multimodal generative models for scalable weakly-supervised
    learning (MVAE).
    """

    space: ClassVar[Spaces] = {
        "beta": Range(low=1e-5, high=1e-1, log=True),
        "reconstruction": Range(low=1e-2, high=1.0, log=True),
    }
    level = Level.MODEL
    additive = False
    symmetric = True

    def __init__(
        self,
        specs: Mapping[str, FeatureSpec],
        dim: int,
        *,
        beta: NonNegativeFloat = 1e-3,
        reconstruction: NonNegativeFloat = 0.1,
    ) -> None:
        super().__init__(specs, dim)
        self.beta, self.reconstruction = beta, reconstruction
        self.project = Projections(specs, dim)
        self.opinions = ByName(
            {name: nn.Sequential(nn.GELU(), nn.Linear(dim, 2 * dim)) for name in specs}
        )
        decoded = specs if reconstruction else {}
        self.decoders = ByName({n: Decoder(dim, spec.dim) for n, spec in decoded.items()})

    def fit(self, items: ItemFeatures) -> None:
        """Measure the mean and the variance of each modality's pooled features."""
        for name, decoder in self.decoders.items():
            mask = items.mask.get(name)
            if mask is not None and mask.any():
                x = pool_tokens(items.values[name], mask)
                decoder.fit(x[mask.any(1)])

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Multiply the opinions with the prior, read (in training: sample) the latent."""
        h, present = self.project.pooled(items)
        opinions = [head(h[:, index]) for index, head in enumerate(self.opinions.values())]
        mu_m, s = torch.stack(opinions, 1).chunk(2, -1)
        tau_m = torch.where(present[..., None], F.softplus(s), 0)
        tau = 1 + tau_m.sum(1)
        mu = (tau_m * mu_m).sum(1) / tau
        z = mu + torch.randn_like(mu) * tau.rsqrt() if self.training else mu
        divergence = (1 / tau + mu.square() - 1 + tau.log()).sum(-1) / 2
        penalty = self.beta * divergence
        for name, decoder in self.decoders.items() if self.training else ():
            if name in items.values:
                penalty = penalty + self.reconstruction * decoder(z, items, name)
        fused = one_view(z, present)
        return FusedItems(fused.views, fused.present, penalty)


class Decoder(nn.Module):
    """R(z) of one modality and how far it is from the pooled features x, in units of their spread.

    |(x - c) / s - R(z)|^2 / (2 d), c the mean of x over train items, s^2 the mean over the d
    dimensions of its variance: without knowledge of x it is 1 / 2 on average.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, width))
        self.register_buffer("center", torch.zeros(width))
        self.register_buffer("scale", torch.ones(()))

    def fit(self, x: Tensor) -> None:
        """Measure c and s on x (n, d); features that do not vary are left unscaled."""
        x = x.to(self.center.dtype)
        self.center.copy_(x.mean(0))
        spread = (x - self.center).square().mean().sqrt()
        self.scale.copy_(torch.where(spread > 0, spread, 1))

    def forward(self, z: Tensor, items: ItemFeatures, name: str) -> Tensor:
        """The error (B,) of items that have the modality, zero for the others."""
        mask = items.mask[name]
        x = pool_tokens(items.values[name], mask).to(self.center.dtype)
        error = ((x - self.center) / self.scale - self.network(z)).square().mean(-1) / 2
        return torch.where(mask.any(1), error, 0)
