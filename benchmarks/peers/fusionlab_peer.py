"""This framework, run as users run it: an experiment through `run_experiment`."""

from __future__ import annotations

import queue
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peer_case import CUTOFFS, LAYERS, WIDTHS, Case, Work
from peer_losses import PROJECTION, TABLE, losses
from start_peer import METRICS, VBPR, written

from fusionlab.config import Experiment, experiment_from
from fusionlab.data.features import multiplied
from fusionlab.data.interactions import Clicks
from fusionlab.evaluation.full_ranking import evaluate
from fusionlab.evaluation.metrics import hits_of, list_metrics
from fusionlab.recommenders.step import Batch
from fusionlab.seal import Openings
from fusionlab.studies.build import build_task
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.run import configure, run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.training.ranking import RankingTask
from fusionlab.training.sampling import NegativeSampler

NAME = "fusionlab"
PACKAGES: tuple[str, ...] = ()
STARTER = "start_peer"
IS_MULTIPLIED = multiplied(torch.empty(0, dtype=torch.bfloat16)) == torch.bfloat16
BF16 = {"features": "bf16", "precision": "bf16" if IS_MULTIPLIED else "fp32"}


def missing(case: Case) -> str:
    """Nothing: it runs in the project's own environment."""
    return ""


def experiment(case: Case, *, runtime: dict[str, Any] | None = None, **parts: Any) -> Experiment:
    """The configuration file that a user would write."""
    return experiment_from(written(case, runtime=runtime, **parts))


class Epochs:
    """`run_experiment` in a thread, held after each epoch until the next one is asked for."""

    def __init__(self, wanted: Experiment) -> None:
        self.experiment = wanted
        self.go: queue.Queue[None] = queue.Queue()
        self.done: queue.Queue[float | BaseException] = queue.Queue()
        self.thread = threading.Thread(target=self._train, daemon=True)

    def __call__(self) -> float:
        """Train one epoch: its seconds, as the run records them."""
        if self.thread.ident is None:
            self.thread.start()
        else:
            self.go.put(None)
        seconds = self.done.get()
        if isinstance(seconds, BaseException):
            raise seconds
        return seconds

    def _train(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            try:
                run_experiment(self.experiment, RunStore(Path(folder)), on_epoch=self._on_epoch)
            except BaseException as error:  # it is raised again where the epoch was asked for
                self.done.put(error)

    def _on_epoch(self, entry: dict[str, float]) -> None:
        self.done.put(entry["seconds"])
        self.go.get()


def epochs(*, runtime: dict[str, Any] | None = None, **parts: Any) -> Callable[[Case], Work]:
    """An epoch of the experiment with these parts."""
    return lambda case: Work(Epochs(experiment(case, runtime=runtime, **parts)), timed=True)


def compared_epochs(**parts: Any) -> Callable[[Case], Work]:
    """The same, of maths that a peer has too."""

    def figures(case: Case) -> dict[str, float]:
        # OpenMP's threads belong to the thread that they work for, and end with it: of this one
        # none are left to stand in the way of the thread that trains.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(step, case, parts).result()

    return lambda case: replace(epochs(**parts)(case), figures=partial(figures, case))


def step(case: Case, parts: dict[str, Any]) -> dict[str, float]:
    """The loss of the step that all take, in fp32, without the penalty and of unscaled features."""
    inputs = {**parts.get("inputs", {}), "scaling": "none"}
    recommender = {**parts["recommender"], "l2": 0}
    wanted = experiment(case, **{**parts, "inputs": inputs, "recommender": recommender})
    configure(wanted.runtime, wanted.seed)
    task = build_task(wanted, load_dataset(wanted))
    assert isinstance(task, RankingTask)
    task.prepare()
    image = WIDTHS["image"]
    values = {
        "users.weight": (case.weights["users"], TABLE),
        "items.weight": (case.weights["items"], TABLE),
        "tastes.weight": (case.weights["tastes"], TABLE),
        "fusion.project.image.weight": (case.weights["project"][:, :image], PROJECTION),
        "fusion.project.text.weight": (case.weights["project"][:, image:], PROJECTION),
    }
    named = {name.removeprefix("ids."): one for name, one in task.model.named_parameters()}
    placed = [(named[name], *given) for name, given in values.items() if name in named]
    users, *candidates = torch.from_numpy(case.step)
    batch = Batch(users, torch.stack(candidates, 1), torch.arange(len(users)))
    return losses(lambda: task.step(batch, torch.Generator()).joint, placed)


def sampling(case: Case) -> Work:
    """Negatives for all clicks of an epoch."""
    torch.set_num_threads(case.threads)
    train = clicks(case, "train")
    sampler, generator = NegativeSampler(train), torch.Generator().manual_seed(0)
    users = train.users

    def run() -> None:
        sampler.draw(users, 1, generator)

    return Work(run)


def evaluation(case: Case) -> Work:
    """Rank the catalogue for all users and judge validation and test."""
    wanted = experiment(case, recommender="bpr_mf")
    configure(wanted.runtime, wanted.seed)
    dataset = load_dataset(wanted)
    task = build_task(wanted, dataset)
    assert isinstance(task, RankingTask)
    _load_factors(task.model, case)
    assert dataset.interactions is not None
    test = dataset.interactions.test.open(Openings(), "a speed comparison")
    relevant = {"valid": dataset.interactions.valid, "test": test}

    @torch.no_grad()
    def run() -> None:
        task.judge(relevant)

    @torch.no_grad()
    def figures() -> dict[str, float]:
        judged = task.judge(relevant)
        found = {f"{split} {k}": v for split, r in judged.items() for k, v in r.means().items()}
        left_out = evaluate(
            task.ranker(),
            clicks(case, "train", "valid"),
            {"test": test},
            metrics=METRICS,
            cutoffs=CUTOFFS,
        )["test"].means()
        return found | {f"test without validation items {k}": v for k, v in left_out.items()}

    return Work(run, figures)


def _load_factors(model: Any, case: Case) -> None:
    users, items = (torch.from_numpy(table) for table in case.factors)
    model.load_state_dict(
        {
            "ids.users.weight": users,
            "ids.items.weight": items,
            "ids.bias.weight": torch.zeros(case.items, 1),
        }
    )
    model.eval()


def metrics(case: Case) -> Work:
    """Recall and NDCG of given lists."""
    torch.set_num_threads(case.threads)
    relevant = clicks(case, "test")
    users = (relevant.counts > 0).nonzero()[:, 0]
    lists = torch.from_numpy(case.lists)[users]
    positives = relevant.counts[users]

    def judge() -> dict[str, torch.Tensor]:
        return list_metrics(METRICS, CUTOFFS, hits_of(lists, relevant, users), positives)

    def run() -> None:
        for values in judge().values():
            values.mean()

    def figures() -> dict[str, float]:
        found = {name: float(values.mean()) for name, values in judge().items()}
        hits = hits_of(lists, relevant, users)
        for k in CUTOFFS:
            most = positives.clamp(max=k)
            found[f"recall over min(positives, K)@{k}"] = float((hits[:, :k].sum(1) / most).mean())
        return found

    return Work(run, figures)


def clicks(case: Case, *splits: str) -> Clicks:
    """The clicks of some splits."""
    pairs = np.concatenate([case.pairs[split] for split in splits])
    return Clicks.from_pairs(pairs[:, 0], pairs[:, 1], case.users, case.items)


WORKS: dict[str, Callable[[Case], Work]] = {
    "sampling": sampling,
    "bpr": compared_epochs(recommender={"name": "bpr_mf"}),
    "vbpr": compared_epochs(**VBPR),
    "vbpr_bf16": epochs(**VBPR, runtime=BF16),
    "gated_3": epochs(recommender="hybrid", fusion="gated"),
    "gated_3_bf16": epochs(recommender="hybrid", fusion="gated", runtime=BF16),
    "lightgcn": compared_epochs(recommender={"name": "lightgcn_id", "layers": LAYERS}),
    "evaluation": evaluation,
    "metrics": metrics,
}
