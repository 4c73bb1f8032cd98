"""A shop of which one user is forgotten, runs on it, and what is found of them afterwards."""

import random

import numpy as np
import polars as pl

from fusionlab.config import experiment_from
from fusionlab.serving.events import Event
from fusionlab.serving.run_feedback import open_feedback
from fusionlab.studies.run import run_experiment

GONE = "gone.person@home"
PRIVATE = [b"gone.person", b"their-list", b"said-in-private"]


def rows():
    draw = random.Random(3)
    users = [f"user{n}@home" for n in range(24)]
    found = [(user, f"i{item:02d}") for user in users for item in draw.sample(range(30), 9)]
    theirs = [(GONE, f"i{item:02d}") for item in (1, 5, 9, 12, 20, 28, 77, 78)]
    return found[:100] + theirs[:5] + found[100:] + theirs[5:]  # 77 and 78 nobody else clicked


def shop(folder, clicks, *, features):
    folder.mkdir()
    frame = pl.DataFrame(clicks, schema=["user", "item"], orient="row")
    frame.write_csv(folder / "interactions.csv")
    if features:
        items = [f"i{item:02d}" for item in [*range(30), 77, 78]]
        (folder / "features").mkdir()
        draw = np.random.default_rng(0)
        for name, width in (("text", 6), ("image", 4)):
            x = draw.normal(size=(len(items), width)).astype(np.float32)
            x[-2:] *= 50  # scales that know of them would be others
            np.save(folder / "features" / f"{name}.npy", x)
            (folder / "features" / f"{name}.ids.txt").write_text("\n".join(items))
    return {"name": "folder", "path": str(folder)}


def run(store, dataset, recommender):
    experiment = experiment_from(
        {
            "dataset": dataset,
            "recommender": recommender,
            "fusion": "gated",
            "dim": 8,
            "training": {"epochs": 3, "batch_size": 64, "learning_rate": 0.01},
            "evaluation": {"cutoffs": [5]},
        }
    )
    return run_experiment(experiment, store)


def log(record, store, users, *, gone=True):
    with open_feedback(record.id, store) as log:
        for n, user in enumerate(users):
            log.add(Event("click", user, f"i{n % 30:02d}", float(n)))
            log.add(Event("dislike", user, f"i{(n + 3) % 30:02d}", 100.0 + n))
        if gone:
            told = {"words": "said-in-private"}
            log.add(
                *(
                    Event("click", GONE, f"i{n}", 5.0, list="their-list", context=told)
                    for n in (10, 11, 14)
                )
            )


def everything(root):
    """All bytes under a folder: raw, and as what reads the files sees them."""
    for file in sorted(root.rglob("*")):
        if file.is_file():
            yield str(file.relative_to(root)).encode()
            yield file.read_bytes()
            if file.suffix == ".parquet":
                yield pl.read_parquet(file).write_csv().encode()


def found_in(root, words):
    whole = b"\n".join(everything(root))
    return [word for word in words if word in whole]


OTHERS = [f"user{n}@home" for n in range(24)]


COMER = "new.comer@home"
JOINED = [b"new.comer", b"joined-list"]


def log_newcomer(record, store):
    """Clicks of somebody whom the dataset does not have, before and between those of others."""
    with open_feedback(record.id, store, new_users=True) as log:
        times = (-1.0, 2.5, 7.5, 11.5)
        log.add(
            *(
                Event("click", COMER, f"i{2 * n:02d}", t, list="joined-list")
                for n, t in enumerate(times)
            )
        )
