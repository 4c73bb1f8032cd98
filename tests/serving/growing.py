"""A shop with some of a synthetic catalogue's people and items, and the feedback of the others."""

import json

import numpy as np
import polars as pl
import torch
from scipy.stats import spearmanr
from small_runs import trained_run

from fusionlab.data.formats.synthetic import Synthetic
from fusionlab.seal import Openings
from fusionlab.serving.events import Event
from fusionlab.serving.run_feedback import open_feedback

USERS, NEW_USERS, ITEMS, NEW_ITEMS = 60, 90, 120, 20
TOLD = 15
"""Clicks that each newcomer gives."""


class Shop:
    """``USERS`` of the people on ``ITEMS`` of the items, in a folder; the rest is yet to come."""

    def __init__(self, folder, seed=0):
        self.folder, self.file = folder, folder / "new.jsonl"
        self.whole = Synthetic(
            users=USERS + NEW_USERS, items=ITEMS + NEW_ITEMS, clicks=40, nuisance=0, seed=seed
        ).load()
        clicks = self.whole.interactions
        parts = [clicks.train, clicks.valid, clicks.test.open(Openings(), "a world")]
        pairs = [zip(p.users.tolist(), p.items.tolist(), strict=True) for p in parts]
        self.pairs = sorted(pair for part in pairs for pair in part)
        kept = [(f"u{u}", f"i{i}") for u, i in self.pairs if u < USERS and i < ITEMS]
        (folder / "features").mkdir(parents=True)
        frame = pl.DataFrame(kept, schema=["user", "item"], orient="row")
        frame.write_csv(folder / "interactions.csv")
        pl.DataFrame({"item": [f"i{i}" for i in range(ITEMS)]}).write_csv(folder / "items.csv")
        vectors = {name: x[:, 0] for name, x in self.whole.features.values.items()}
        for name, x in vectors.items():
            np.save(folder / "features" / f"{name}.npy", x[:ITEMS].numpy())
        rows = range(ITEMS, ITEMS + NEW_ITEMS)
        lines = [{"item": f"i{i}"} | {n: x[i].tolist() for n, x in vectors.items()} for i in rows]
        self.file.write_text("\n".join(map(json.dumps, lines)))

    def run(self, store, **changes):
        """A run on the shop as it is now."""
        training = {"epochs": 6, "batch_size": 256, "learning_rate": 0.01}
        dataset = {"name": "folder", "path": str(self.folder)}
        base = {"dataset": dataset, "training": training, "fusion": "sum", "dim": 16}
        return trained_run(store, **{**base, **changes})

    def tell(self, trained, store, users=range(USERS, USERS + NEW_USERS), *, items=ITEMS):
        """Newcomers click the first ``TOLD`` of what they like among the first ``items``; in every
        store the same person at the same time."""
        with open_feedback(trained.record.id, store, new_users=True, new_items=self.file) as log:
            for user in users:
                liked = [i for u, i in self.pairs if u == user and i < items]
                told = np.random.default_rng(user).permutation(liked)[:TOLD]
                times = 1000.0 * np.arange(len(told)) + user
                log.add(
                    *(
                        Event("click", f"u{user}", f"i{i}", time)
                        for i, time in zip(told.tolist(), times.tolist(), strict=True)
                    )
                )

    def agreement(self, service, users, items=range(ITEMS), of=None):
        """Mean rank correlation of lists with the true utilities of what is in them; those ``of``
        others, if they are given."""
        names = {f"i{i}": i for i in items}
        truth = self.whole.truth.utility(torch.tensor([*(of or users)]))
        found = []
        for utility, one in zip(
            truth, service.recommend([f"u{u}" for u in users], k=len(service.item_ids)), strict=True
        ):
            rows = [names[item.item] for item in one.items if item.item in names]
            found.append(spearmanr(-np.arange(len(rows)), utility[rows].numpy()).statistic)
        return float(np.mean(found))
