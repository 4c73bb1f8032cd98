"""What a model of a rich catalogue is worth on a poor one of the same world, over seeds."""

import pytest
import torch

from fusionlab.config import Experiment
from fusionlab.schema import validate
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore

SPLIT = {"name": "ratio", "valid": 0.25, "test": 0.5}
WRITING = {"dim": 8, "nuisance": 0, "noise": 0.1, "world": 0}
POOR = {"users": 300, "items": 300, "clicks": 12, "split": SPLIT, "seed": 1, **WRITING}
RICH = {"users": 600, "items": 600, "clicks": 30, "split": None, "seed": 2}
SEEDS = (0, 1, 2)
T_95 = 4.303
"""Of Student's t with two degrees of freedom, two-sided."""
ROWS = {
    "from scratch": {},
    "zero-shot": {"transfer": {"source": {"dataset": RICH}}},
    "fine-tuned": {"transfer": {"source": {"dataset": RICH}, "tune": True}},
    "another world": {"transfer": {"source": {"dataset": {**RICH, "world": 2}}}},
    "popularity": {"recommender": "popularity"},
    "random": {"recommender": "random"},
}


def surely_above(first, second):
    """The lower end of the 95% interval of the mean difference over seeds."""
    by_seed = torch.tensor(first) - torch.tensor(second)
    return float(by_seed.mean() - T_95 * by_seed.std() / len(by_seed) ** 0.5)


@pytest.mark.slow
def test_where_clicks_are_few_content_learned_elsewhere_is_worth_more(tmp_path):
    """The strategy finds a synergy of modalities, for which three train clicks a user are too
    few; where the same columns mean something else it is worth less than learning anew."""
    base = {
        "dataset": {"name": "synthetic", **POOR},
        "fusion": "lowrank_tensor",
        "dim": 32,
        "training": {"epochs": 60, "batch_size": 512, "learning_rate": 0.01, "patience": 8},
        "evaluation": {"cutoffs": [20]},
    }
    store = RunStore(tmp_path)

    def scores(changes):
        found = []
        for seed in SEEDS:
            wanted = validate(Experiment, {**base, **changes, "seed": seed})
            found.append(run_experiment(wanted, store).metrics["test"]["ndcg@20"])
        return found

    score = {row: scores(changes) for row, changes in ROWS.items()}
    for control in ("popularity", "random"):
        assert surely_above(score["zero-shot"], [2 * x for x in score[control]]) > 0
    assert surely_above(score["zero-shot"], score["from scratch"]) > 0
    assert surely_above(score["fine-tuned"], score["from scratch"]) > 0
    assert surely_above(score["zero-shot"], score["another world"]) > 0
    assert sum(score["another world"]) < sum(score["from scratch"])
