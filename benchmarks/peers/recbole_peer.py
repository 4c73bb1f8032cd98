"""RecBole (Zhao et al., 2021), with its own trainer and its default sizes of evaluation batches.

It never ranks the validation items of a user in the test, so its test figures are another quantity
than those of toolkits that leave out train items alone; they are named so.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import old_names
import torch
from peer_case import BATCH, CUTOFFS, DIM, LAYERS, SPLITS, Case, Ints, Work
from peer_losses import TABLE, losses

NAME = "RecBole"
PACKAGES = ("recbole",)


def missing(case: Case) -> str:
    """Nothing: it is a package."""
    return ""


def settings(case: Case) -> dict[str, Any]:
    """What differs from its defaults: the data and the cut-offs."""
    old_names.restore()
    folder = Path(tempfile.mkdtemp(dir=case.folder))
    os.chdir(folder)  # it writes logs where it stands
    (folder / "data" / case.name).mkdir(parents=True)
    for split in SPLITS:
        file = folder / "data" / case.name / f"{case.name}.{split}.inter"
        header = "user_id:token\titem_id:token"
        np.savetxt(file, case.pairs[split], "%d", "\t", header=header, comments="")
    return {
        "data_path": str(folder / "data"),
        "checkpoint_dir": str(folder / "saved"),
        "benchmark_filename": list(SPLITS),
        "load_col": {"inter": ["user_id", "item_id"]},
        "use_gpu": False,
        "embedding_size": DIM,
        "n_layers": LAYERS,
        "train_batch_size": BATCH,
        "metrics": ["Recall", "NDCG"],
        "topk": list(CUTOFFS),
        "valid_metric": f"NDCG@{max(CUTOFFS)}",
        "metric_decimal_place": 12,
        "show_progress": False,
    }


class Session:
    """Its own way to a trainer, as `run_recbole` goes it."""

    def __init__(self, case: Case, model: str) -> None:
        wanted = settings(case)
        from recbole.config import Config
        from recbole.data import create_dataset, data_preparation
        from recbole.utils import get_model, get_trainer, init_seed

        config = Config(model=model, dataset=case.name, config_dict=wanted)
        init_seed(config["seed"], config["reproducibility"])
        self.data = create_dataset(config)
        self.loader, *self.held_out = data_preparation(config, self.data)
        self.model = get_model(config["model"])(config, self.loader._dataset)
        self.trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, self.model)

    def rows(self, field: str) -> Ints:
        """Ours of its rows, but for its row 0, which is padding."""
        found: Ints = self.data.field2id_token[field][1:].astype(np.int64)
        return found


def epochs(model: str) -> Callable[[Case], Work]:
    """An epoch as `Trainer.fit` trains it."""

    def ready(case: Case) -> Work:
        session = Session(case, model)

        def run() -> None:
            session.trainer._train_epoch(session.loader, 0)

        return Work(run, partial(step, session, case))

    return ready


def step(session: Session, case: Case) -> dict[str, float]:
    """The loss of the step that all take, without the penalty."""
    model = session.model
    tables = {
        "user_id": (model.user_embedding, "users"),
        "item_id": (model.item_embedding, "items"),
    }
    placed, ids = [], {}
    for field, (table, name) in tables.items():
        rows = session.rows(field)
        placed.append((table.weight, np.pad(case.weights[name][rows], [(1, 0), (0, 0)]), TABLE))
        ids[field] = torch.from_numpy(1 + rows.argsort())
    users, clicked, others = torch.from_numpy(case.step)
    batch = {"user_id": ids["user_id"][users]}
    batch |= {"item_id": ids["item_id"][clicked], "neg_item_id": ids["item_id"][others]}
    with patch.object(model, "reg_weight", 0.0, create=True):
        return losses(lambda: model.calculate_loss(batch), placed)


def sampling(case: Case) -> Work:
    """Negatives for all clicks of an epoch, a batch at a time."""
    session = Session(case, "BPR")
    clicks = session.loader._dataset.inter_feat
    pairs = clicks["user_id"].numpy(), clicks["item_id"].numpy()
    cuts = range(BATCH, len(pairs[0]), BATCH)
    batches = list(zip(*(np.split(column, cuts) for column in pairs), strict=True))

    def run() -> None:
        for users, items in batches:
            session.loader._sampler.sample_by_user_ids(users, items, 1)

    return Work(run)


def evaluation(case: Case) -> Work:
    """Validation, then test; its default evaluation batch holds one user of 7,050 items."""
    session = Session(case, "BPR")
    tables = session.model.user_embedding.weight.data, session.model.item_embedding.weight.data
    for table, field, values in zip(tables, ("user_id", "item_id"), case.factors, strict=True):
        table[1:] = torch.from_numpy(values)[session.rows(field)]

    def judge() -> list[dict[str, Any]]:
        return [session.trainer.evaluate(part, load_best_model=False) for part in session.held_out]

    def figures() -> dict[str, float]:
        names = "valid", "test without validation items"
        judged = zip(names, judge(), strict=True)
        return {f"{split} {key}": float(v) for split, all_ in judged for key, v in all_.items()}

    return Work(judge, figures)


WORKS: dict[str, Callable[[Case], Work]] = {
    "sampling": sampling,
    "bpr": epochs("BPR"),
    "lightgcn": epochs("LightGCN"),
    "evaluation": evaluation,
}
