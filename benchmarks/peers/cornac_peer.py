"""Cornac (Salah et al., 2020): its Cython BPR, its VBPR and its evaluation.

Its BPR updates after every click (SGD, no batches, no Adam) and skips a click whose negative turns
out to be clicked: compare the seconds, not the steps. Fitting prepares data before the first epoch;
what is timed is the epoch alone. Its Recall and NDCG are defined as here, one user at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from peer_case import BATCH, CUTOFFS, DIM, Case, Work

NAME = "Cornac"
PACKAGES = ("cornac",)


def missing(case: Case) -> str:
    """Nothing: it is a package."""
    return ""


def method(case: Case, judged: str, **modalities: Any) -> Any:
    """Train clicks, and a split to judge on."""
    from cornac.eval_methods import BaseMethod

    triples = {
        split: [(user, item, 1.0) for user, item in case.pairs[split].tolist()]
        for split in ("train", judged)
    }
    return BaseMethod.from_splits(
        train_data=triples["train"],
        test_data=triples[judged],
        exclude_unknowns=True,
        seed=0,
        **modalities,
    )


def bpr(case: Case) -> Work:
    """An epoch of SGD over as many drawn clicks as there are."""
    from cornac.models import BPR

    class Timed(BPR):
        """Keeps the seconds of its latest epoch."""

        seconds = 0.0

        def _fit_sgd(self, *parts: Any) -> Any:
            started = time.perf_counter()
            counted = super()._fit_sgd(*parts)
            self.seconds = time.perf_counter() - started
            return counted

    train = method(case, "test").train_set

    def run() -> float:
        model = Timed(k=DIM, max_iter=1, num_threads=case.threads, verbose=False, seed=0)
        model.fit(train)
        return model.seconds

    return Work(run, timed=True, silent=True)


def vbpr(case: Case) -> Work:
    """An epoch on image and text features side by side, at our batch size."""
    import torch
    from cornac.data import ImageModality
    from cornac.models import VBPR

    torch.set_num_threads(case.threads)
    stored = [np.load(case.path / f"{name}_feat.npy") for name in ("image", "text")]
    ids = list(range(case.items))
    image = ImageModality(features=np.concatenate(stored, 1), ids=ids, normalized=False)
    train = method(case, "test", item_image=image).train_set
    seconds, drawn = [0.0], train.uij_iter

    def timed(*args: Any, **options: Any) -> Iterator[Any]:
        """The epoch lies between the first batch asked for and the end of the last step."""
        started = time.perf_counter()
        yield from drawn(*args, **options)
        seconds[0] = time.perf_counter() - started

    train.uij_iter = timed

    def run() -> float:
        sizes = {"k": DIM, "k2": DIM, "batch_size": BATCH, "n_epochs": 1}
        VBPR(**sizes, learning_rate=0.001, verbose=False, seed=0).fit(train)
        return seconds[0]

    return Work(run, timed=True, silent=True)


def evaluation(case: Case) -> Work:
    """Validation, then test."""
    from cornac.eval_methods.base_method import ranking_eval
    from cornac.metrics import NDCG, Recall
    from cornac.models import BPR

    wanted = [kind(k=k) for kind in (Recall, NDCG) for k in CUTOFFS]
    methods = {split: method(case, split) for split in ("valid", "test")}
    models = {split: _with_factors(BPR, one.train_set, case) for split, one in methods.items()}

    def judge() -> dict[str, Any]:
        return {
            split: ranking_eval(models[split], wanted, one.train_set, one.test_set)[0]
            for split, one in methods.items()
        }

    def figures() -> dict[str, float]:
        return {
            f"{split} {metric.name.lower()}": float(value)
            for split, values in judge().items()
            for metric, value in zip(wanted, values, strict=True)
        }

    return Work(judge, figures)


def _with_factors(kind: Any, train: Any, case: Case) -> Any:
    """A model that is nothing but the shared factors, in the order of its own ids."""
    users, items = case.factors
    values = {
        "U": users[list(train.uid_map)],
        "V": items[list(train.iid_map)],
        "Bi": np.zeros(case.items, np.float32),
    }
    return kind(k=DIM, trainable=False, init_params=values, verbose=False).fit(train)


WORKS: dict[str, Callable[[Case], Work]] = {"bpr": bpr, "vbpr": vbpr, "evaluation": evaluation}
