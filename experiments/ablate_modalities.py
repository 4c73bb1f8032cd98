"""What is a modality worth? Masked, retrained without it, and Shapley, where the answer is known.

v(S), the NDCG of a subset S of the modalities, is told twice: by one model whose other modalities
are masked, trained with modality dropout or without, and by a model retrained on S alone. Beside
the Shapley values of both games, as shares of what all find, stands the closed form: the bits of
each atom split evenly over its modalities.

    python experiments/ablate_modalities.py [key.sub=value ...]
"""

import itertools
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from fusionlab.config import load_experiment
from fusionlab.evaluation.contribution import metric_game
from fusionlab.evaluation.shapley import remembered, shapley
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained

CONFIG = Path(__file__).parents[1] / "configs" / "experiments" / "ablate_modalities.yaml"
METRIC, STORE, SHOW = "ndcg@20", RunStore(Path("runs")), Console().print


def games(experiment):
    """The truth, and v(S) by masking and by retraining."""
    _, dataset, task = load_trained(run_experiment(experiment, STORE).id, STORE)
    masked = remembered(metric_game(task, dataset.interactions.valid, METRIC))

    def retrained(coalition):
        if not coalition:
            return masked(coalition)
        some = experiment.varied({"inputs.modalities": sorted(coalition)})
        frame = run_experiment(some, STORE).per_user()
        return torch.tensor(frame.filter(frame["split"] == "valid")[METRIC].to_numpy())

    return dataset.truth, {"masked": masked, "retrained": remembered(retrained)}


for dropout in (0.0, 0.3):
    changes = [*sys.argv[1:], f"training.modality_dropout={dropout}"]
    truth, told = games(load_experiment(CONFIG, changes))
    values = Table(METRIC, *told, title=f"modality dropout {dropout}", box=None)
    names = truth.modalities
    for some in itertools.chain(*(itertools.combinations(names, size) for size in range(4))):
        figures = [f"{v(frozenset(some)).mean():.4f}" for v in told.values()]
        values.add_row(", ".join(some) or "nothing", *figures)
    shares = Table("Shapley share", *names, "distance", box=None)
    known = torch.tensor([*truth.shapley().values()]) / sum(truth.shapley().values())
    for label, game in told.items():
        found = torch.stack([x.mean() for x in shapley(names, game).values.values()])
        found, distance = found / found.sum(), (found / found.sum() - known).abs().sum() / 2
        shares.add_row(label, *(f"{x:.3f}" for x in found), f"{distance:.3f}")
    shares.add_row("closed form", *(f"{x:.3f}" for x in known))
    SHOW(values, shares, "")
