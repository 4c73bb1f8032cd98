"""LensKit (Ekstrand, 2020): BPR and LightGCN of its FlexMF, and its metrics.

Two definitions differ from ours. Recall@K is hits over min(positives, K), so it is named so. NDCG
discounts the first two ranks alike unless its rank weight gets ``offset=1``, as it does here. Its
models are compiled with `torch.compile` before the first (unmeasured) epoch, as is its default.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from peer_case import BATCH, CUTOFFS, DIM, LAYERS, Case, Ints, Work

NAME = "LensKit"
PACKAGES = ("lenskit",)


def missing(case: Case) -> str:
    """Nothing: it is a package."""
    return ""


def epochs(preset: str, **options: Any) -> Callable[[Case], Work]:
    """An epoch of its trainer."""

    def ready(case: Case) -> Work:
        import pandas as pd
        import torch
        from lenskit.data import from_interactions_df
        from lenskit.flexmf import FlexMFImplicitScorer
        from lenskit.training import TrainingOptions

        torch.set_num_threads(case.threads)
        data = from_interactions_df(pd.DataFrame(case.pairs["train"], columns=_COLUMNS))
        sizes = {"embedding_size": DIM, "batch_size": BATCH, "learning_rate": 0.001}
        scorer = FlexMFImplicitScorer(preset=preset, **sizes, **options)
        trainer = scorer.create_trainer(data, TrainingOptions(device="cpu", rng=0))
        return Work(trainer.train_epoch, silent=True)

    return ready


def metrics(case: Case) -> Work:
    """Its run analysis of given lists."""
    from lenskit.data import ItemList, ItemListCollection
    from lenskit.metrics import NDCG, Recall, RunAnalysis
    from lenskit.metrics.ranking import LogRankWeight

    def collected(lists: dict[int, Ints], **options: Any) -> Any:
        return ItemListCollection.from_dict(
            {user: ItemList(item_ids=items, **options) for user, items in lists.items()}, "user_id"
        )

    relevant = case.grouped("test")
    test = collected(relevant)
    shown = collected({user: case.lists[user] for user in relevant}, ordered=True)
    labels: dict[str, str] = {}
    analysis = RunAnalysis()
    for k in CUTOFFS:
        labels |= {f"R{k}": f"recall over min(positives, K)@{k}", f"N{k}": f"ndcg@{k}"}
        analysis.add_metric(Recall(n=k), f"R{k}")
        analysis.add_metric(NDCG(n=k, weight=LogRankWeight(offset=1)), f"N{k}")

    def judge() -> Any:
        return analysis.measure(shown, test).list_metrics()[list(labels)].mean()

    def figures() -> dict[str, float]:
        found = judge()
        return {name: float(np.float64(found[label])) for label, name in labels.items()}

    return Work(judge, figures)


_COLUMNS = ["user_id", "item_id"]

WORKS: dict[str, Callable[[Case], Work]] = {
    "bpr": epochs("bpr"),
    "lightgcn": epochs("lightgcn", convolution_layers=LAYERS),
    "metrics": metrics,
}
