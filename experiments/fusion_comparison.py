"""Does a strategy find what theory says it can? The whole family on four dialled catalogues.

Every modality of a synthetic catalogue holds a known part of the answer: all of them the same
(redundancy), each its own (uniqueness), none anything alone (synergy), or a bit of each (mix).
An additive strategy can find the first two and must miss the third. Items are recommended from
clicks, and classified, from the same atoms.

    python experiments/fusion_comparison.py [--dial synergy --dial mix] [--task recommendation]
        [--seeds 1] [--workers 2] [study overrides: key.sub=value ...]
"""

from itertools import product
from pathlib import Path

from fusionlab.config import load_study
from fusionlab.paper import run_study, script_parser

STUDY = Path(__file__).parents[1] / "configs" / "tables" / "fusion_family.yaml"
DIALS = {
    "redundancy": {"redundancy": 1, "uniqueness": 0, "synergy": 0},
    "uniqueness": {"redundancy": 0, "uniqueness": 1, "synergy": 0},
    "synergy": {"redundancy": 0, "uniqueness": 0, "synergy": 1.5},
    "mix": {"redundancy": 1, "uniqueness": 1, "synergy": 1.5},
}
TASKS = {
    "recommendation": [],
    "classification": [
        "experiment.task=classification",
        "experiment.dataset.task=classification",
        "experiment.dataset.items=4000",
        "experiment.dataset.classes=2",
        "experiment.evaluation.select=accuracy",
        "controls=[best_single_modality, shuffled_features, achievable, achievable_additive]",
    ],
}

if __name__ == "__main__":
    parser = script_parser(__doc__)
    parser.add_argument("--dial", action="append", choices=DIALS, help="synergy if not given")
    parser.add_argument("--task", action="append", choices=TASKS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options, overrides = parser.parse_known_args()
    for task, dial in product(options.task or ["recommendation"], options.dial or ["synergy"]):
        how = [
            f"title={dial}, {task}",
            f"seeds={[*range(options.seeds)]}",
            *(f"experiment.dataset.{atom}={weight}" for atom, weight in DIALS[dial].items()),
        ]
        study = load_study(STUDY, [*how, *TASKS[task], *overrides])
        folder = Path("reports", "fusion_family", f"{task}-{dial}")
        run_study(study, folder, runs=options.runs, workers=options.workers)
