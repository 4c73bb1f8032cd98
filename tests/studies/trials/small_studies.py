"""A tuned study that runs in seconds, and what is asked of it again and again."""

from fusionlab.config import load_study
from fusionlab.studies.executor import execute
from fusionlab.studies.study import plan
from fusionlab.studies.trials.tune import tune

STUDY = """
title: tuned
experiment:
  dataset: {name: synthetic, users: 60, items: 40, clicks: 12, nuisance: 0}
  dim: 8
  training: {epochs: 4, batch_size: 128, learning_rate: 0.01, signals_every: 0}
  evaluation: {cutoffs: [5]}
axes: {fusion: [concat, lowrank_tensor]}
seeds: [0, 1]
controls: [popularity, best_single_modality]
tune: {trials: 9}
"""


def planned(file, *overrides):
    return plan(load_study(file, list(overrides)))


def tried(searches, store):
    """By row: what each trial tried and found, without its times."""
    return {
        search.label: [
            (one.number, one.variant, one.changes, one.outcome, one.value)
            for one in search.finished(store)
        ]
        for search in searches
    }


def run_study(file, store, *overrides, workers=1):
    """Tune, then run; the finished rows."""
    study = load_study(file, list(overrides))
    first = plan(study)
    tune(first.searches, store, storage=study.tune.storage, workers=workers)
    second = first.tuned(store)
    execute(second.runs, store, workers=workers, on_run=lambda run: None)
    return second.collect(store)
