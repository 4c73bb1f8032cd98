"""The classification task: the same fusions under a linear head."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionlab.balancing.coalitions import heard, heard_from_teachers, listener
from fusionlab.balancing.contract import Balancer, Coalition, Said, Step
from fusionlab.balancing.none import NoBalancer
from fusionlab.data.dataset import Labelled, Labels
from fusionlab.data.dropout import drop_modalities
from fusionlab.data.features import ItemFeatures
from fusionlab.data.worlds import Worlds
from fusionlab.evaluation.classification import classify
from fusionlab.evaluation.result import Evaluation
from fusionlab.fusion.contract import FusedItems, Fusion, Objective, combined
from fusionlab.sections import Training
from fusionlab.training.augmented import Augmented
from fusionlab.training.items import fuse_catalogue


class Classifier(nn.Module):
    """A linear head a view; the logits of the views are combined as scores are.

    logits = combine_k (H_k v_k + c_k): the C classes are the candidates, the item is the query.
    """

    def __init__(self, fusion: Fusion, classes: int) -> None:
        super().__init__()
        self.fusion = fusion
        bound = fusion.dim**-0.5
        self.heads = nn.Parameter(
            torch.empty(fusion.n_views, fusion.dim, classes).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(torch.zeros(fusion.n_views, classes))

    def by_view(self, fused: FusedItems) -> Tensor:
        """Logits (B, C, K)."""
        return torch.einsum("bkd,kdc->bck", fused.views, self.heads) + self.bias.T

    def combine(self, logits: Tensor, fused: FusedItems) -> Tensor:
        """Logits by view (B, C, K) to logits (B, C)."""
        present = fused.present[:, None].expand(logits.shape)
        return combined(self.fusion, logits, fused.views, present)

    def forward(self, items: ItemFeatures) -> Tensor:
        """Logits (B, C)."""
        fused = self.fusion(items)
        return self.combine(self.by_view(fused), fused)


class ClassificationTask:
    """Trains a classifier with cross-entropy and measures it on validation."""

    def __init__(
        self,
        model: Classifier,
        labels: Labels,
        features: ItemFeatures,
        training: Training,
        select: str,
        *,
        balancer: Balancer | None = None,
        worlds: Worlds | None = None,
        augment: Augmented | None = None,
    ) -> None:
        self.model, self.labels, self.features = model, labels, features
        self.worlds, self.judged = worlds, features if worlds is None else worlds.test
        self.balancer, self.augment = balancer or NoBalancer(()), augment or Augmented({})
        self.training = training
        self.select = select
        device = next(iter(features.mask.values())).device
        self.items = labels.train.items.to(device)
        self.classes = labels.train.classes.to(device)
        self.balancer.bind(model, len(self.items))

    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        """The labelled items of train in random order, as rows of the labels; each once, unless the
        balancer draws otherwise."""
        drawn = self.balancer.draw(generator)
        order = torch.randperm(len(self.items), generator=generator, device=self.items.device)
        yield from (order if drawn is None else drawn[order]).split(self.training.batch_size)

    def step(self, batch: Tensor, generator: torch.Generator) -> Step:
        """Cross-entropy of the combined logits, or of each view's own; and what the balancer's
        coalitions say of the same items."""
        whole, classes = self.features.take(self.items[batch]), self.classes[batch]
        features = whole
        if self.training.modality_dropout:
            features = drop_modalities(whole, self.training.modality_dropout, generator)
        read = self.balancer.inputs(features, generator)
        fused = self.model.fusion(self.augment(read, self.model.fusion, generator))
        listen = listener(self.model.fusion, whole, lambda alone: self._said(self.model, alone))
        return Step(
            self._joint(fused, classes),
            self.model.fusion,
            losses=lambda logits: F.cross_entropy(logits, classes, reduction="none"),
            confidence=lambda logits: logits.softmax(-1).gather(1, classes[:, None])[:, 0],
            said=heard(self.balancer, listen),
            taught=heard_from_teachers(self.balancer, whole, self._said),
            right=classes,
            examples=batch,
            listen=listen,
        )

    def _joint(self, fused: FusedItems, classes: Tensor) -> Tensor:
        logits = self.model.by_view(fused)
        if self.model.fusion.objective is Objective.VIEWS:
            targets = classes[:, None].expand(-1, logits.shape[-1])
            losses = F.cross_entropy(logits, targets, reduction="none")
            counted = fused.present.to(losses.dtype)
            total = ((losses * counted).sum(0) / counted.sum(0).clamp(min=1)).sum()
        else:
            total = F.cross_entropy(self.model.combine(logits, fused), classes)
        return total if fused.penalty is None else total + fused.penalty.mean()

    def _said(self, model: Classifier, fused: FusedItems) -> Said:
        by_view = model.by_view(fused)
        if model.fusion.objective is Objective.VIEWS:
            scores = torch.where(fused.present[:, None], by_view, 0).sum(-1)
        else:
            scores = model.combine(by_view, fused)
        return Said(scores, fused.present.any(1), fused.views[:, None])

    def validate(self) -> dict[str, float]:
        """Metrics on the validation items."""
        return self.judge({"valid": self.labels.valid})["valid"].means()

    @torch.no_grad()
    def validation_losses(self, coalitions: Sequence[Coalition]) -> dict[Coalition, float]:
        """The mean loss of each coalition over the validation items that have one of its
        modalities; 0 if none has."""
        device, found = self.items.device, {}
        items = self.judged.take(self.labels.valid.items.to(device))
        classes = self.labels.valid.classes.to(device)
        for coalition in coalitions:
            alone = items.without_columns(set(items.modalities) - coalition)
            fused = fuse_catalogue(self.model.fusion, alone, len(alone))
            said = self._said(self.model, fused)
            losses = F.cross_entropy(said.scores, classes, reduction="none")
            found[coalition] = float(losses[said.counted].sum() / said.counted.sum().clamp(min=1))
        return found

    @torch.no_grad()
    def logits(self, without: Collection[str] = (), features: ItemFeatures | None = None) -> Tensor:
        """Logits (N, C) of every item, on the CPU; all items lack the modalities ``without``.

        ``features`` of the catalogue: by default those that the model is judged on.
        """
        items = self.judged if features is None else features
        rest = [name for name in items.modalities if name not in without]
        fused = fuse_catalogue(self.model.fusion, items.only(rest), len(items))
        return self.model.combine(self.model.by_view(fused), fused).cpu()

    def judge(
        self,
        splits: Mapping[str, Labelled],
        without: Collection[str] = (),
        features: ItemFeatures | None = None,
    ) -> dict[str, Evaluation]:
        """Classify once and measure against each of the named splits; see `logits`."""
        logits = self.logits(without, features)
        return {
            name: classify(logits[part.items], part.classes, self.labels.names, items=part.items)
            for name, part in splits.items()
        }
