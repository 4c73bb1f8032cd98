"""Runs that train in seconds, to be served from."""

import random

from fusionlab.config import experiment_from
from fusionlab.seal import Openings
from fusionlab.serving.events import Event
from fusionlab.serving.run_feedback import open_feedback
from fusionlab.studies.fine_tuning import FineTuning
from fusionlab.studies.run import run_experiment
from fusionlab.studies.trained import load_trained

GOOD = FineTuning(epochs=40, learning_rate=5.0)
BAD = FineTuning(epochs=5, learning_rate=1000.0)
SMALL = {
    "dataset": {"name": "synthetic", "users": 60, "items": 40, "clicks": 12},
    "dim": 8,
    "training": {"epochs": 2, "batch_size": 128, "learning_rate": 0.01},
    "evaluation": {"cutoffs": [5]},
}
CLASSES = {
    "task": "classification",
    "dataset": {"name": "synthetic", "items": 60, "task": "classification"},
    "evaluation": {},
}
RENDERED = {
    "dataset": {**SMALL["dataset"], "features": "rendered"},
    "encoders": {
        "text": {"of": "text", "encoder": {"name": "tfidf", "width": 8, "min_items": 1}},
        "image": {"of": "image", "encoder": {"name": "pixels", "side": 4}, "store": "fp16"},
        "audio": {"of": "audio", "encoder": {"name": "audio_mfcc"}},
    },
}


def trained_run(store, **changes):
    """A finished run of `SMALL` with some keys changed."""
    return load_trained(run_experiment(experiment_from({**SMALL, **changes}), store).id, store)


def bpr(store):
    """A finished run of matrix factorisation."""
    return trained_run(store, recommender="bpr_mf")


def log_test_clicks(trained, store, seed=0):
    """Three quarters of the test split is clicked, and one train click disliked."""
    clicks = trained.dataset.interactions
    test = clicks.test.open(Openings(), "feedback to come")
    users = [str(one) for one in clicks.user_ids]
    items = [str(one) for one in trained.dataset.item_ids]
    pairs = [*zip(test.users.tolist(), test.items.tolist(), strict=True)]
    random.Random(seed).shuffle(pairs)
    pairs = pairs[: len(pairs) // 4 * 3]
    events = [
        Event("click", users[user], items[item], float(n)) for n, (user, item) in enumerate(pairs)
    ]
    first = items[int(clicks.train.items[0])]
    with open_feedback(trained.record.id, store) as log:
        log.add(
            *events, Event("dislike", users[0], first, 1e6), Event("impression", users[1], "i0")
        )
    return len(pairs)
