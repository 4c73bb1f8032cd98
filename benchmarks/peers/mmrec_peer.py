"""MMRec (Zhou, 2023), from a checkout: it is not a package.

Its evaluation rounds to four decimals, with Python's `round`; here its module gets a `round` that
does not, so that figures compare. Its Recall and NDCG are defined as here.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import old_names
import torch
from peer_case import BATCH, CUTOFFS, DIM, LAYERS, WIDTHS, Case, Work
from peer_losses import PROJECTION, TABLE, losses

NAME = "MMRec"
PACKAGES = ("lmdb", "pandas", "torchvision")


def missing(case: Case) -> str:
    """Without a checkout there is nothing to run."""
    if not case.mmrec:
        return "no checkout: give --mmrec PATH"
    return "" if (Path(case.mmrec) / "src" / "configs").is_dir() else f"no MMRec in {case.mmrec}"


def enter(case: Case) -> None:
    """Make its modules importable, from a folder of ours: it reads configs/ and writes log/."""
    old_names.restore()
    source = Path(case.mmrec).resolve() / "src"
    sys.path.insert(0, str(source))
    folder = tempfile.mkdtemp(dir=case.folder)
    (Path(folder) / "configs").symlink_to(source / "configs")
    os.chdir(folder)


def settings(case: Case) -> dict[str, Any]:
    """What differs from its defaults: the data, the cut-offs, one value for each list to search."""
    return {
        "data_path": f"{case.path.parent}/",
        "inter_file_name": f"{case.name}.inter",
        "vision_feature_file": "image_feat.npy",
        "text_feature_file": "text_feat.npy",
        "USER_ID_FIELD": "userID",
        "ITEM_ID_FIELD": "itemID",
        "use_gpu": False,
        "embedding_size": DIM,
        "train_batch_size": BATCH,
        "metrics": ["Recall", "NDCG"],
        "topk": list(CUTOFFS),
        "reg_weight": [0.01],
        "n_layers": [LAYERS],
        "seed": [0],
    }


class Session:
    """Its own way to a trainer, as `quick_start` goes it for one combination of settings."""

    def __init__(self, case: Case, model: str) -> None:
        enter(case)
        utils = importlib.import_module("utils.utils")
        loaders = importlib.import_module("utils.dataloader")
        config = importlib.import_module("utils.configurator").Config(
            model, case.name, settings(case)
        )
        data = importlib.import_module("utils.dataset").RecDataset(config)
        str(data)  # it counts the clicks here, and needs the count
        parts = data.split()
        for part in parts:
            str(part)
        train, *held_out = parts
        self.loader = loaders.TrainDataLoader(config, train, batch_size=BATCH, shuffle=True)
        size = config["eval_batch_size"]
        self.held_out = [
            loaders.EvalDataLoader(config, part, additional_dataset=train, batch_size=size)
            for part in held_out
        ]
        for name in config["hyper_parameters"]:
            config[name] = config[name][0]
        utils.init_seed(config["seed"])
        self.loader.pretrain_setup()
        self.config = config
        self.model = utils.get_model(model)(config, self.loader)
        self.trainer = utils.get_trainer()(config, self.model)


def epochs(model: str) -> Callable[[Case], Work]:
    """An epoch as `Trainer.fit` trains it."""

    def ready(case: Case) -> Work:
        session = Session(case, model)

        def run() -> None:
            session.model.pre_epoch_processing()
            session.trainer._train_epoch(session.loader, 0)

        return Work(run, partial(step, session.model, case))

    return ready


def step(model: Any, case: Case) -> dict[str, float]:
    """The loss of the step that all take, without the penalty."""
    weights = case.weights
    users, items, projections = weights["users"], weights["items"], []
    if hasattr(model, "item_linear"):  # its text stands before the image, its tastes beside IDs
        project = np.roll(weights["project"], WIDTHS["text"], 1)
        users = np.concatenate([users, weights["tastes"]], 1)
        tables = model.u_embedding, model.i_embedding
        projections = [(model.item_linear.weight, project, PROJECTION)]
    elif hasattr(model, "embedding_dict"):
        tables = model.embedding_dict["user_emb"], model.embedding_dict["item_emb"]
    else:
        tables = model.user_embedding.weight, model.item_embedding.weight
    placed = [(tables[0], users, TABLE), (tables[1], items, TABLE), *projections]
    with patch.object(model, "reg_weight", 0.0):
        return losses(lambda: model.calculate_loss(torch.from_numpy(case.step)), placed)


def start(case: Case) -> None:
    """Run VBPR from nothing."""
    enter(case)
    run = importlib.import_module("utils.quick_start").quick_start
    run("VBPR", case.name, settings(case), save_model=False)


def sampling(case: Case) -> Work:
    """Negatives for all clicks of an epoch, a batch at a time."""
    loader = Session(case, "BPR").loader
    users = loader.dataset.df["userID"]
    batches = [users[at : at + BATCH] for at in range(0, len(users), BATCH)]

    def run() -> None:
        for batch in batches:
            loader._sample_neg_ids(batch)

    return Work(run)


def evaluation(case: Case) -> Work:
    """Validation, then test."""
    session = Session(case, "BPR")
    unrounded()
    users, items = (torch.from_numpy(table) for table in case.factors)
    session.model.load_state_dict({"user_embedding.weight": users, "item_embedding.weight": items})

    def run() -> None:
        for part in session.held_out:
            session.trainer.evaluate(part)

    def figures() -> dict[str, float]:
        judged = zip(
            ("valid", "test"), map(session.trainer.evaluate, session.held_out), strict=True
        )
        return {f"{split} {key}": float(v) for split, all_ in judged for key, v in all_.items()}

    return Work(run, figures)


def metrics(case: Case) -> Work:
    """Its evaluator on given lists."""
    session = Session(case, "BPR")
    unrounded()
    test = session.held_out[1]
    lists = [torch.from_numpy(case.lists)[test.get_eval_users()]]

    def figures() -> dict[str, float]:
        judged = session.trainer.evaluator.evaluate(lists, test)
        return {key: float(value) for key, value in judged.items()}

    return Work(figures, figures)


def unrounded() -> None:
    """Let its evaluator keep all digits."""
    vars(importlib.import_module("utils.topk_evaluator"))["round"] = lambda value, _digits: value


WORKS: dict[str, Callable[[Case], Work]] = {
    "sampling": sampling,
    "bpr": epochs("BPR"),
    "vbpr": epochs("VBPR"),
    "lightgcn": epochs("LightGCN"),
    "evaluation": evaluation,
    "metrics": metrics,
}
