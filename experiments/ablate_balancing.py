"""When does joint training leave a modality behind, and which balancer brings it back?

One modality of the catalogue is hard to read and holds as much as each of the others. Every regime
changes one thing about that: how hard it is, how wide the networks that read it are, how patient
early stopping is, how much the others already tell, whether training has seen the items to be
ranked. In each, every balancer is trained on the same clicks and judged with all modalities (NDCG)
and with one of them missing from all items (NDCG one missing, the mean over modalities). Both are
tested against no balancer, over users, and stand in a report of their own.

    python experiments/ablate_balancing.py [--regime cold_items] [--seeds 1]
        [--workers 2] [--runs runs] [study overrides: key.sub=value ...]
"""

from pathlib import Path

from fusionlab.config import load_study
from fusionlab.paper import run_study, script_parser

STUDY = Path(__file__).parents[1] / "configs" / "tables" / "balancing.yaml"
# Where items are not known, a few dozen steps are enough: at the study's rate they are one epoch.
COLD = (
    "experiment.training.learning_rate=0.0003",
    "experiment.dataset.items=400",
    "experiment.dataset.split={name: cold_items, valid: 0.2, test: 0.2}",
)
REGIMES = {
    "study": (),
    "balanced": ("experiment.dataset.difficulty=0",),
    "very_hard": ("experiment.dataset.difficulty={audio: 4}",),
    "narrow": ("experiment.fusion.hidden=16",),
    "wide": ("experiment.fusion.hidden=256",),
    "impatient": ("experiment.training.patience=3",),
    "redundant": ("experiment.dataset.redundancy=3",),
    "cold_items": COLD,
    "cold_lone": (
        *COLD,
        "experiment.dataset.difficulty={audio: 1}",
        "experiment.dataset.uniqueness={text: 0, image: 0, audio: 1}",
    ),
}

if __name__ == "__main__":
    parser = script_parser(__doc__)
    parser.add_argument("--regime", action="append", choices=list(REGIMES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options, overrides = parser.parse_known_args()
    for regime in options.regime or ["cold_items"]:
        how = [*REGIMES[regime], f"title=Balancing ({regime})", f"seeds={[*range(options.seeds)]}"]
        for main in ("ndcg@20", "ndcg@20 one missing"):
            study = load_study(STUDY, [*how, f"report.main={main}", *overrides])
            folder = Path("reports", "balancing", regime, main.replace(" ", "_"))
            run_study(study, folder, runs=options.runs, workers=options.workers)
