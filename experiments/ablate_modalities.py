"""What is a modality worth? Masked, retrained without it, and Shapley, where the answer is known.

v(S), the NDCG of a subset S, is told by one model whose other modalities are masked, trained with
modality dropout or without, and by one retrained on S alone. Beside the Shapley values of both, as
shares of what all find, stand the bits of each atom, split evenly; a figure shows those by masking.

    python experiments/ablate_modalities.py [--runs runs] [key.sub=value ...]
"""

from itertools import chain, combinations
from pathlib import Path

import torch
from rich.table import Table

from fusionlab import terminal
from fusionlab.config import load_experiment
from fusionlab.evaluation.contribution import metric_game
from fusionlab.evaluation.shapley import remembered, shapley
from fusionlab.paper import script_parser
from fusionlab.reporting.contribution_figure import contribution_figure
from fusionlab.reporting.style import save
from fusionlab.studies.audit import audit
from fusionlab.studies.retrained import retrained_game
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained

CONFIG = Path(__file__).parents[1] / "configs" / "experiments" / "ablate_modalities.yaml"
METRIC = "ndcg@20"

if __name__ == "__main__":
    parser = script_parser(__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options, changes = parser.parse_known_args()
    store = RunStore(options.runs)
    for rate in (0, 0.3):
        experiment = load_experiment(CONFIG, [*changes, f"training.modality_dropout={rate}"])
        trained = load_trained(run_experiment(experiment, store).id, store)
        truth, valid = trained.dataset.truth, trained.dataset.interactions.valid
        masked = remembered(metric_game(trained.task, valid, METRIC))
        own = retrained_game(experiment, store, METRIC, nothing=masked(frozenset()))
        told = {"masked": masked, "retrained": remembered(own)}
        values = Table(METRIC, *told, title=f"modality dropout {rate}", box=None)
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
        figure = contribution_figure(
            audit(trained, store, metric=METRIC, untrained_coalitions=True)
        )
        save(figure, Path("reports", "modalities", f"shapley_dropout_{rate}"))
