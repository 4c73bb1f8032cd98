"""Runs that train in seconds, to be served from."""

from fusionlab.config import experiment_from
from fusionlab.studies.run import run_experiment
from fusionlab.studies.trained import load_trained

SMALL = {
    "dataset": {"name": "synthetic", "users": 60, "items": 40, "clicks": 12},
    "dim": 8,
    "training": {"epochs": 2, "batch_size": 128, "learning_rate": 0.01},
    "evaluation": {"cutoffs": [5]},
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
