"""Does reranking help? A recommender's lists before and after it, judged on the same users."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fusionlab.data.interactions import Clicks
from fusionlab.data.media import Medium
from fusionlab.errors import FusionlabError, one_of
from fusionlab.evaluation.metrics import hits_of, list_metrics
from fusionlab.evaluation.ranking import NOTHING, top_k
from fusionlab.fusion.model_level.llm_prefix import LlmPrefix
from fusionlab.serving.causal import CausalLm
from fusionlab.serving.llm_rerank import LlmReranker, mixed
from fusionlab.studies.trained import Trained
from fusionlab.training.ranking import RankingTask

CUTOFF = 10
METRICS = (f"ndcg@{CUTOFF}", f"recall@{CUTOFF}")
Judged = dict[str, Tensor]
"""Of each of `METRICS` a value a user (n,)."""


@dataclass(frozen=True)
class Trial:
    """What the lists of the same users are worth ``before`` and, by order, ``after`` reranking;
    ``seconds`` of a user by what the reranker read."""

    before: Judged
    after: dict[str, Judged]
    seconds: dict[str, float]


def rerank_trial(
    trained: Trained,
    relevant: Clicks,
    lm: CausalLm,
    *,
    column: str = "text",
    users: int = 100,
    k: int = 20,
    history: int = 10,
    max_tokens: int = 48,
    weights: Sequence[float] = (0.25, 0.5, 1.0),
) -> Trial:
    """Rerank what a trained model recommends by each likelihood that `LlmReranker` knows.

    Args:
        trained: the recommender; soft tokens are told where it fuses by `LlmPrefix`.
        relevant: what lists are judged by.
        lm: the language model; soft tokens need the one that they were trained for.
        column: of the raw media, whose texts are told.
        users, k: so many users at most, and lists so long.
        history, max_tokens: as of `LlmReranker`.
        weights: of the language model beside the recommender (1: it alone decides).

    Raises:
        FusionlabError: no such column, or as of `LlmReranker`.
    """
    _, dataset, task = trained
    assert isinstance(task, RankingTask)
    assert dataset.interactions is not None
    told = [name for name, column in dataset.media.items() if column.medium is Medium.TEXT]
    if column not in told:
        raise FusionlabError(f"column of texts: {one_of(column, told)}")
    known = Candidates.of(task, dataset.interactions.train, relevant, users, k)
    kinds: dict[str, dict[str, Any]] = {"likelihood": {}, "surprise": {"surprise": True}}
    if isinstance(task.model.fusion, LlmPrefix) and task.features is not None:
        kinds["soft tokens"] = {"soft": task.model.fusion.soft_tokens(task.features)}
    after: dict[str, Judged] = {}
    seconds: dict[str, float] = {}
    texts = [None if one is None else str(one) for one in dataset.media[column].entries]
    for kind, how in kinds.items():
        reranker = LlmReranker(lm, texts, history=history, max_tokens=max_tokens, **how)
        lists, seconds[kind] = known.reranked(reranker, weights)
        after |= {f"{kind} {weight:g}": known.judged(one) for weight, one in lists.items()}
    return Trial(known.judged(known.lists), after, seconds)


@dataclass(frozen=True)
class Candidates:
    """The recommender's ``lists`` (n, k) of some users with its ``scores`` (n, k), best first.

    ``train`` is what the users are known by, ``relevant`` what their lists are judged by.
    """

    users: Tensor
    lists: Tensor
    scores: Tensor
    train: Clicks
    relevant: Clicks

    @classmethod
    @torch.no_grad()
    def of(cls, task: RankingTask, train: Clicks, relevant: Clicks, n: int, k: int) -> Candidates:
        """Lists of ``k`` of at most ``n`` random users that have something relevant."""
        users = relevant.some_users(n)
        lists, scores = top_k(task.ranker(), train, users, k)
        return cls(users, lists, scores, train, relevant)

    def judged(self, lists: Tensor) -> Judged:
        """What these lists are worth."""
        lists = F.pad(lists, (0, max(0, CUTOFF - lists.shape[1])), value=NOTHING)
        counts = self.relevant.counts[self.users]
        hits = hits_of(lists, self.relevant, self.users)
        values = list_metrics(("ndcg", "recall"), (CUTOFF,), hits, counts)
        return {name: values[name] for name in METRICS}

    def reranked(
        self, reranker: LlmReranker, weights: Sequence[float]
    ) -> tuple[dict[float, Tensor], float]:
        """By the reranker's weight beside the recommender the lists in their new order, and the
        seconds that a user took. Both scores are standardised over the list."""
        found = {weight: self.lists.clone() for weight in weights}
        started = time.perf_counter()
        for row, user in enumerate(self.users.tolist()):
            items = self.lists[row][self.lists[row] != NOTHING]
            first, last = self.train.indptr[user : user + 2].tolist()
            history = self.train.items[first:last].tolist()
            likely = reranker.log_likelihoods(history, items.tolist())
            own = self.scores[row, : len(items)].float()
            for weight, lists in found.items():
                order = mixed(likely, own, weight).argsort(descending=True, stable=True)
                lists[row, : len(items)] = items[order]
        return found, (time.perf_counter() - started) / max(len(self.users), 1)
