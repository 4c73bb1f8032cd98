"""What a fusion strategy is: item features in, item views out.

Shapes and costs are written in the letters of `NOTATION`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fusionlab.data.by_name import ByName, OfModalities
from fusionlab.data.features import FUSED, FeatureSpec, ItemFeatures
from fusionlab.errors import FusionlabError
from fusionlab.fusion.layers import clean
from fusionlab.plugins import place
from fusionlab.registry import Part, Registry
from fusionlab.returned import check_returned, refusal, told
from fusionlab.spaces import Spaces


class Level(StrEnum):
    """Where modalities meet."""

    FEATURE = "feature"
    DECISION = "decision"
    MODEL = "model"


class Objective(StrEnum):
    """What the loss sees: the combined score, or each view's score on its own (ensembles)."""

    FUSED = "fused"
    VIEWS = "views"


@dataclass(frozen=True, slots=True)
class FusedItems:
    """What every fusion returns.

    ``views`` (B, K, D): K = 1, or one view a modality at decision level (`Fusion.view_names`).
    ``present`` (B, K) bool: a view that no modality of the item feeds is absent (and its vector is
    zero). ``penalty`` (B,): a strategy's own loss term, such as a KL divergence, added to the loss
    as a mean over items.
    """

    views: Tensor
    present: Tensor
    penalty: Tensor | None = None


class Fusion(nn.Module, ABC):
    """A fusion strategy.

    Args:
        specs: the shape of each modality, by name; their order is the order of the modalities.
        dim: D, the width of a view.

    Keyword-only arguments of a subclass are its configuration. The strategy must honour the mask
    **bitwise**: what stands behind a false mask changes neither output nor gradient, so masked
    values are replaced before the first projection (`Projections` does it), each modality owns its
    projection, there is no BatchNorm, and attention never sees a row with every key masked.
    """

    name: ClassVar[str]
    level: ClassVar[Level]
    objective: Objective = Objective.FUSED
    """What the loss sees; an option may set it on the instance."""
    additive: ClassVar[bool]
    """Can it express only sums of functions of single modalities, in views and combined scores?

    It is said of items that have every modality; such a function may read its modality in the whole
    list of candidates, and in the query (which in classification is the item itself)."""
    trainable: ClassVar[bool] = True
    """Has it parameters that a gradient moves?"""
    by_rank: ClassVar[bool] = False
    """Does `combine` return votes by rank? No score can be added to them then."""
    symmetric: bool = False
    """Does the order of the modalities change nothing (parameters are kept by name)? An option may
    set it on the instance."""

    reads_tokens: ClassVar[bool] = False
    """Can it read text as token ids? One that cannot never sees such a modality."""
    by_query: bool = False
    """Do the view weights depend on the query? Then they adapt to the user, and to the situation of
    a click (`fusionlab.recommenders.situation`). An option may set it on the instance."""
    small: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Options at which it is built in no time, to be held against the contract: a strategy that
    loads a pretrained model names a tiny one."""
    space: ClassVar[Spaces] = MappingProxyType({})
    """Which of its options are worth tuning, and where a tuner looks for them."""

    def __init__(self, specs: Mapping[str, FeatureSpec], dim: int) -> None:
        super().__init__()
        self.specs = dict(specs)
        self.dim = dim

    @classmethod
    def content_id(cls, options: Part) -> str:
        """What beside options and code decides about its views, as a hash: the weights of a
        pretrained model. It is part of a run's identity."""
        return ""

    @property
    def view_names(self) -> tuple[str, ...]:
        """What each view is: the modalities at decision level, else the one fused view.

        A strategy whose views are neither (experts, say) names them here, and no name is a
        modality's: explanations read the view weights under these names.
        """
        return tuple(self.specs) if self.level is Level.DECISION else (FUSED,)

    @property
    def n_views(self) -> int:
        """K, the number of views."""
        return len(self.view_names)

    def fit(self, items: ItemFeatures) -> None:
        """Fit closed-form parts (PCA, CCA) on train items only; most strategies have none."""

    @abstractmethod
    def forward(self, items: ItemFeatures) -> FusedItems:
        """Fuse B items."""

    def __call__(self, items: ItemFeatures) -> FusedItems:
        """`forward`, and what was attached to run before it.

        Raises:
            FusionlabError: what it returned is not `FusedItems` of the shapes stated there.
        """
        fused: FusedItems = super().__call__(items)
        if not torch.compiler.is_compiling():
            self._check(fused, len(items))
        return fused

    def _check(self, fused: Any, n: int) -> None:
        if not isinstance(fused, FusedItems):
            expected = "FusedItems(views, present), such as one_view makes"
            raise refusal(self, "forward", f"found {told(fused)}, expected {expected}")
        here, k, of_views = "forward", self.n_views, "(B items, K = n_views, D = dim)"
        check_returned(self, here, "views", fused.views, (n, k, self.dim), of_views)
        of_present = "(B items, K = n_views)"
        check_returned(self, here, "present", fused.present, (n, k), of_present, torch.bool)
        if fused.penalty is not None:
            check_returned(self, here, "penalty", fused.penalty, (n,), "(B items,)")

    def view_weights(self, scores: Tensor, query: Tensor | None, present: Tensor) -> Tensor:
        """How much each view counts, for the combination and for explanations.

        ``scores`` (..., N, K) of N candidates by view, ``query`` (..., K, D) the user's views,
        ``present`` (..., N, K) bool, the *candidate's* views. Returns (..., N, K), zero where
        absent and summing to one over the present views. The default takes them from `fold`.
        """
        weights = self.fold(present)
        if weights is None:
            raise FusionlabError(
                f"{place(type(self))}: found {self.n_views} views and neither fold, view_weights "
                "nor combine, expected one of them: how scores by view become one"
            )
        return weights

    def modality_weights(self, items: ItemFeatures) -> Tensor | None:
        """How much of each modality passes into the views, by the strategy's own account.

        (B, M), zero where absent and summing to one over the modalities present. None (default):
        it weighs none. The items are as `forward` gets them (`fusionlab.fusion.seen`).
        """
        return None

    def combine(self, scores: Tensor, query: Tensor | None, present: Tensor) -> Tensor:
        """Scores of N candidates by view (..., N, K) to one score each (..., N)."""
        if scores.shape[-1] == 1:
            return scores[..., 0]
        weights = self.view_weights(scores, query, present)
        if weights.shape != scores.shape:
            method = "fold" if type(self).view_weights is Fusion.view_weights else "view_weights"
            check_returned(self, method, "weights", weights, scores.shape, "(..., N, K)")
        return (weights * scores).sum(-1)

    def fold(self, present: Tensor) -> Tensor | None:
        """Weights (N, K) that make `combine` a plain sum whatever the query; None where it is not.

        A strategy whose weights depend neither on the query nor on the scores returns them here:
        they are multiplied into the item views and full ranking becomes one matrix product.
        """
        return present.float() if self.n_views == 1 else None

    def modality_parameters(self, modality: str) -> Iterator[nn.Parameter]:
        """The parameters that belong to one modality alone (a balancer may modulate them).

        Those of its parts in `OfModalities` (trained encoders, a learned imputer), and in other
        containers by name that have a part for each modality and no other.
        """
        for module in self.modules():
            if not isinstance(module, ByName | nn.ModuleDict | nn.ParameterDict):
                continue
            whole = isinstance(module, OfModalities) or set(module) == set(self.specs)
            if whole and modality in set(module):
                part = module[modality]
                yield from part.parameters() if isinstance(part, nn.Module) else (part,)


def one_view(view: Tensor, present: Tensor) -> FusedItems:
    """Wrap a single view (B, D) of items whose modalities are ``present`` (B, M).

    An item without any modality gets a zero view that is marked absent.
    """
    on = present.any(1)
    return FusedItems(clean(view, on)[:, None], on[:, None])


def normalised(weights: Tensor, present: Tensor) -> Tensor:
    """Zero the absent entries and divide by the sum over the last axis (0 where it is empty)."""
    weights = torch.where(present, weights, torch.zeros_like(weights))
    total = weights.sum(-1, keepdim=True)
    return weights / torch.where(total == 0, torch.ones_like(total), total)


def softmax_present(logits: Tensor, present: Tensor) -> Tensor:
    """Softmax over the present entries of the last axis; absent entries, even all, get zero."""
    # Where nothing is present zero would be divided by zero, in the gradient too.
    on = present | ~present.any(-1, keepdim=True)
    return torch.where(present, logits.masked_fill(~on, -torch.inf).softmax(-1), 0)


def logsumexp_present(scores: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """log sum_k exp(s_k) over the N candidates of each list that have the view, and their number.

    (..., N, K) to twice (..., 1, K); where no candidate has the view, that of the scores as given.
    """
    on = present | ~present.any(-2, keepdim=True)
    total = scores.masked_fill(~on, -torch.inf).logsumexp(-2, keepdim=True)
    return total, on.sum(-2, keepdim=True).to(scores.dtype)


def at_least_float32(scores: Tensor) -> Tensor:
    """Widen half-precision scores, whose steps are too coarse to tell many candidates apart."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def combined(fusion: Fusion, scores: Tensor, query: Tensor | None, present: Tensor) -> Tensor:
    """`Fusion.combine`, held against its shape."""
    found = fusion.combine(scores, query, present)
    check_returned(fusion, "combine", "scores", found, scores.shape[:-1], "(..., N candidates)")
    return found


MODALITY = "a modality of the dataset"
"""Marks an option that names one, ``Annotated[str | None, MODALITY]``: a run refuses names that the
dataset does not have. What has the option may be built without that modality all the same, for a
row of a study in which others stand alone; it then treats it as absent from every item."""

NOTATION = {
    "B": "items",
    "M": "modalities",
    "T_m": "tokens of modality m",
    "T": "tokens in all (sum_m T_m)",
    "d_m": "input width of modality m",
    "D": "fused width",
    "K": "views",
    "N": "candidates",
}
"""What the letters of shapes and costs mean, in every strategy; what else it uses it defines."""

FUSIONS: Registry[Fusion] = Registry("fusion", Fusion, "fusionlab.fusion", NOTATION)


def specimen(name: str) -> Part:
    """A strategy by its name, at a size that is built in no time (`Fusion.small`)."""
    return FUSIONS.parse({"name": name, **FUSIONS[name].small})
