"""The recommendation task: clicks against drawn items in training, the whole catalogue after."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from fusionlab.balancing.coalitions import heard, heard_from_teachers, listener
from fusionlab.balancing.contract import Balancer, Coalition, Said, Step
from fusionlab.balancing.none import NoBalancer
from fusionlab.data.distinct import Distinct
from fusionlab.data.dropout import drop_modalities
from fusionlab.data.features import ItemFeatures, Taker
from fusionlab.data.interactions import Clicks, Interactions
from fusionlab.data.worlds import Worlds
from fusionlab.evaluation.full_ranking import evaluate
from fusionlab.evaluation.metrics import DEFAULT_METRICS
from fusionlab.evaluation.ranking import block_of
from fusionlab.evaluation.result import Evaluation
from fusionlab.evaluation.situations import evaluate_situations
from fusionlab.fusion.contract import FusedItems
from fusionlab.recommenders.contract import Recommender
from fusionlab.recommenders.ranker import Ranker
from fusionlab.recommenders.step import Batch, ItemViews, Touched
from fusionlab.sections import Judging, Training
from fusionlab.training.augmented import Augmented
from fusionlab.training.held_out import HeldOut
from fusionlab.training.in_batch import InBatch, check_in_batch
from fusionlab.training.items import catalogue_ranker, catalogue_views
from fusionlab.training.losses import Loss
from fusionlab.training.pools import Pools, check_pooled
from fusionlab.training.replay import Replay
from fusionlab.training.sampling import NegativeSampler

AT_ONCE = 16
"""Steps whose clicks are taken in one go."""


class RankingTask:
    """Trains a recommender on clicks and ranks the catalogue for validation.

    Args:
        recommender: the model, with its fusion inside, on the device.
        interactions: clicks; only train and validation are read here.
        features: features of all N items on the device, or None for ID-only recommenders.
        select: the validation metric that early stopping follows.
        balancer: of the modalities; default: none.
        worlds: where the model is judged on other features than it is trained on.
        round_items: the distinct items of a step are padded to a multiple of this, with items that
            have nothing.
        augment: what is changed of the items that a step trains on; default: nothing.
    """

    def __init__(
        self,
        recommender: Recommender,
        interactions: Interactions,
        features: ItemFeatures | None,
        training: Training,
        judging: Judging,
        select: str,
        device: torch.device | str,
        *,
        balancer: Balancer | None = None,
        worlds: Worlds | None = None,
        round_items: int = 1,
        augment: Augmented | None = None,
    ) -> None:
        self.balancer, self.round_items = balancer or NoBalancer(()), round_items
        if training.pool is not None:
            check_pooled(type(recommender), type(self.balancer))
        check_in_batch(training, type(self.balancer))
        self.augment = augment or Augmented({})
        self.model, self.features, self.worlds = recommender, features, worlds
        self.judged = features if worlds is None else worlds.test
        self.interactions = interactions
        self.training, self.device = training, device
        self.train = interactions.train
        self.ranking_loss: Loss = training.loss.build()
        self.metrics = judging.metrics or DEFAULT_METRICS
        self.cutoffs, self.sampled, self.cold = judging.cutoffs, judging.users, judging.cold
        self.select = select
        self.replay: Replay | None = None
        """Which clicks an epoch trains, where a trained model is tuned on some of them."""

    def prepare(self) -> None:
        """Set up what only training needs: the sampler, the buffers of a step, the balancer."""
        self.users = self.train.users.to(self.device)
        self.items = self.train.items.to(self.device)
        context = None if self.model.situation is None else self.train.context
        self.situations = None if context is None else context.to(self.device)
        if self.training.sampling == "in_batch":
            self.in_batch = InBatch(self.train, self.users, self.items)
        elif self.training.pool is None:
            self.sampler = NegativeSampler(self.train, self.device)
        else:
            self.pools = Pools(self.users, self.items, self.train.n_items, self.training.pool)
        self.distinct = Distinct(self.train.n_items).to(self.device)
        self.take = None if self.features is None else Taker(self.features)
        self.balancer.bind(self.model, len(self.items))

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """An epoch: negatives drawn for all clicks at once, then the clicks in random order.

        Each click once, unless `replay` or the balancer draws otherwise (`Balancer.draw`). With
        `training.pool` a pool of items at a time (`Pools`); with `training.sampling` in_batch
        negatives are other clicks of the step (`InBatch`).
        """
        count, size = self.training.negatives, self.training.batch_size
        drawn = (self.replay or self.balancer).draw(generator)
        if self.training.pool is not None:
            yield from self.pools.batches(size, count, generator, drawn)
            return
        if self.training.sampling == "in_batch":
            yield from self.in_batch.batches(size, count, generator, drawn)
            return
        users, items = self.users, self.items
        if drawn is not None:
            users, items = users[drawn], items[drawn]
        # Nothing else refers to the negatives, so they do not stand in memory twice.
        candidates = torch.cat([items[:, None], self.sampler.draw(users, count, generator)], 1)
        order = torch.randperm(len(items), generator=generator, device=self.device)
        for rows in order.split(AT_ONCE * size):
            clicks = rows if drawn is None else drawn[rows]
            some = Batch(users.index_select(0, rows), candidates.index_select(0, rows), clicks)
            yield from some.split(size)

    def step(self, batch: Batch, generator: torch.Generator) -> Step:
        """The ranking loss, plus the penalties of the strategy and of the recommender; and what the
        balancer's coalitions say of the same candidates."""
        if not self.model.uses_content:
            touched = self.model.touch(batch, None)
            return Step(self._joint(touched, None), examples=batch.clicks)
        assert self.model.fusion is not None
        if self.situations is not None:
            batch = replace(batch, situations=self.situations[batch.clicks])
        items, position = self.distinct(self.model.items_needed(batch))
        n = len(items)
        whole = self._taken(items)
        features = whole
        if self.training.modality_dropout:
            features = drop_modalities(whole, self.training.modality_dropout, generator)
        read = self.balancer.inputs(features, generator)
        fused = self.model.fuse(self.augment(read, self.model.fusion, generator))
        extra = None if fused.penalty is None else fused.penalty[:n].mean()
        touched = self.model.touch(batch, _views(fused, n, position))
        listen = listener(
            self.model.fusion,
            whole,
            lambda alone: self._said(self.model, batch, _views(alone, n, position), batch.clicks),
        )
        taught = heard_from_teachers(
            self.balancer,
            whole,
            lambda one, alone: self._said(one, batch, _views(alone, n, position), batch.clicks),
        )
        said = heard(self.balancer, listen)
        joint, loss = self._joint(touched, extra), self.ranking_loss
        right = torch.zeros_like(batch.clicks)
        return Step(
            joint,
            self.model.fusion,
            losses=lambda scores: loss(batch.corrected(scores)),
            confidence=lambda scores: loss.confidence(batch.corrected(scores)),
            said=said,
            taught=taught,
            right=right,
            examples=batch.clicks,
            listen=listen,
        )

    def _taken(self, items: Tensor) -> ItemFeatures:
        """Features of the distinct ``items`` (n,), padded with items that have nothing."""
        assert self.take is not None
        n, more = len(items), -len(items) % self.round_items
        found = self.take(F.pad(items, (0, more)))
        if not more:
            return found
        padding = torch.arange(n + more, device=items.device) >= n
        return found.masked(dict.fromkeys(found.modalities, padding))

    def _joint(self, touched: Touched, extra: Tensor | None) -> Tensor:
        if touched.items is not None and self.model.trains_by_view:
            total = self._loss_by_view(touched)
        else:
            scores = touched.batch.corrected(self.model.pair_scores(touched))
            total = self.ranking_loss(scores).mean()
        for term in (extra, self.model.penalty(touched)):
            total = total if term is None else total + term
        return total

    def _said(
        self, model: Recommender, batch: Batch, items: ItemViews, leave_out: Tensor | None
    ) -> Said:
        touched = model.touch_content(batch, items, leave_out)
        assert touched.items is not None
        others = replace(touched, batch=replace(batch, candidates=batch.candidates.roll(1, 0)))
        return Said(
            model.content_scores(touched),
            touched.present[:, 0].any(1),
            touched.items.at(touched.rows),
            touched.query,
            lambda: model.content_scores(others),
        )

    def _loss_by_view(self, touched: Touched) -> Tensor:
        """The sum over views of each one's own mean loss."""
        total = torch.zeros((), device=self.device)
        for scores, counted in self.model.scores_by_view(touched):
            losses = torch.where(counted, self.ranking_loss(touched.batch.corrected(scores)), 0)
            total = total + losses.sum() / counted.sum().clamp(min=1)
        return total

    def ranker(self, without: Collection[str] = (), features: ItemFeatures | None = None) -> Ranker:
        """The trained recommender over the whole catalogue, whose items lack some modalities.

        ``features`` of the catalogue: by default those that the model is judged on.
        """
        given = self.judged if features is None else features
        if given is not None and without:
            given = given.only(set(given.modalities) - set(without))
        return catalogue_ranker(self.model, given)

    def validate(self) -> dict[str, float]:
        """Metrics on the validation clicks."""
        return self.judge({"valid": self.interactions.valid}, cold=False)["valid"].means()

    @torch.no_grad()
    def validation_losses(self, coalitions: Sequence[Coalition]) -> dict[Coalition, float]:
        """The mean loss of each coalition over the validation clicks on items that have one of its
        modalities, beside always the same negatives; 0 if there is none."""
        assert self.judged is not None
        assert self.model.fusion is not None
        found = {}
        for coalition in coalitions:
            alone = self.judged.without_columns(set(self.judged.modalities) - coalition)
            items = catalogue_views(self.model.fusion, alone)
            total, count = 0.0, 0
            for batch in self.held_out.batches():
                said = self._said(self.model, batch, items, None)
                total += float(self.ranking_loss(said.scores)[said.counted].double().sum())
                count += int(said.counted.sum())
            found[coalition] = total / max(count, 1)
        return found

    @cached_property
    def held_out(self) -> HeldOut:
        """The validation clicks, of the sampled users if asked, and negatives."""
        valid = self.interactions.valid
        if self.sampled is not None:
            valid = valid.only(valid.some_users(self.sampled))
        return HeldOut(self.train, valid, self.training.negatives, self.device)

    def judge(
        self,
        relevant: Mapping[str, Clicks],
        without: Collection[str] = (),
        features: ItemFeatures | None = None,
        cold: bool | None = None,
    ) -> dict[str, Evaluation]:
        """Rank once (see `ranker`) and measure against each of the named splits, for a sample of
        users if asked; where clicks have situations, in each of them (`evaluate_situations`).

        ``cold``: items and users without train clicks apart; default: as it was set up. The sample
        depends neither on the model nor on the seed: rows of a table stay paired.
        """
        if self.sampled is not None:
            relevant = {
                name: clicks.only(clicks.some_users(self.sampled))
                for name, clicks in relevant.items()
            }
        ranker = self.ranker(without, features)
        situated = self.interactions.situations is not None
        judge = (
            partial(evaluate_situations, ranker.situated) if situated else partial(evaluate, ranker)
        )
        return judge(
            self.train,
            relevant,
            metrics=self.metrics,
            cutoffs=self.cutoffs,
            block=block_of(self.train.n_items * ranker.n_views),
            device=self.device,
            cold=self.cold if cold is None else cold,
        )


def _views(fused: FusedItems, n: int, position: Tensor) -> ItemViews:
    views, present = fused.views, fused.present
    if len(views) > n:  # a slice of all would have a gradient of its own, a copy
        views, present = views[:n], present[:n]
    return ItemViews(views, present, position)
