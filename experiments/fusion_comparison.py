"""Does a strategy find what theory says it can? The whole family on four dialled catalogues.

Every modality of a synthetic catalogue holds a known part of the answer: all of them the same
(redundancy), each its own (uniqueness), none anything alone (synergy), or a bit of each (mix).
An additive strategy can find the first two and must miss the third. Items are recommended from
clicks, and classified, from the same atoms.

    python experiments/fusion_comparison.py [--dial synergy --dial mix] [--task recommendation]
        [--seeds 1] [--workers 2] [study overrides: key.sub=value ...]
"""

import argparse
import subprocess
import sys
from pathlib import Path

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

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--dial", action="append", choices=DIALS, help="synergy if not given")
parser.add_argument("--task", action="append", choices=TASKS, help="recommendation if not given")
parser.add_argument("--seeds", type=int, default=1)
parser.add_argument("--workers", type=int, default=2)
arguments, overrides = parser.parse_known_args()

for task in arguments.task or ["recommendation"]:
    for dial in arguments.dial or ["synergy"]:
        weights = [f"experiment.dataset.{atom}={w}" for atom, w in DIALS[dial].items()]
        command = [sys.executable, "-m", "fusionlab", "study", str(STUDY), f"title={dial}, {task}"]
        command += [*weights, *TASKS[task], f"seeds={[*range(arguments.seeds)]}", *overrides]
        command += ["--workers", str(arguments.workers)]
        command += ["--out", f"reports/fusion_family/{task}-{dial}"]
        if failed := subprocess.run(command).returncode:
            sys.exit(failed)
