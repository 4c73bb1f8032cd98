"""What is a modality worth? Masked, retrained without it, and Shapley, where the answer is known.

v(S), the NDCG of a subset S, is told by one model whose other modalities are masked, trained with
modality dropout or without, and by one retrained on S alone. Beside the Shapley values of both, as
shares of what all find, stand the bits of each atom, split evenly.

    python experiments/ablate_modalities.py [--runs runs] [key.sub=value ...]
"""

import argparse
from itertools import chain, combinations
from pathlib import Path

import torch
from rich.table import Table

from fusionlab import terminal
from fusionlab.config import load_experiment
from fusionlab.evaluation.contribution import metric_game
from fusionlab.evaluation.shapley import remembered, shapley
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained

CONFIG = Path(__file__).parents[1] / "configs" / "experiments" / "ablate_modalities.yaml"
METRIC = "ndcg@20"


def games(experiment, store):
    """The truth; v(S) by masking, of every user, and by retraining, the mean over users."""
    _, dataset, task = load_trained(run_experiment(experiment, store).id, store)
    masked = remembered(metric_game(task, dataset.interactions.valid, METRIC))

    def retrained(some):
        changes = {"inputs.modalities": sorted(some)}
        record = run_experiment(experiment.varied(changes), store) if some else None
        return torch.tensor(record.metrics["valid"][METRIC]) if record else masked(some)

    return dataset.truth, {"masked": masked, "retrained": remembered(retrained)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options, changes = parser.parse_known_args()
    for how in ("training.modality_dropout=0", "training.modality_dropout=0.3"):
        truth, told = games(load_experiment(CONFIG, [*changes, how]), RunStore(options.runs))
        values = Table(METRIC, *told, title=how, box=None)
        shares = Table("Shapley share", *truth.modalities, "distance", box=None)
        for some in chain(*(combinations(truth.modalities, size) for size in range(4))):
            means = (f"{v(frozenset(some)).mean():.4f}" for v in told.values())
            values.add_row(", ".join(some) or "nothing", *means)
        known = torch.tensor([*truth.shapley().values()]) / sum(truth.shapley().values())
        for label, game in told.items():
            worth = [x.mean() for x in shapley(truth.modalities, game).values.values()]
            found = torch.stack(worth) / sum(worth)
            shares.add_row(label, *(f"{x:.3f}" for x in (*found, (found - known).abs().sum() / 2)))
        shares.add_row("closed form", *(f"{x:.3f}" for x in known))
        terminal.show(values, shares)
