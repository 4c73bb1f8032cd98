"""What is each fusion strategy worth where modalities are missing, or their features noisy?

Every strategy is trained once a seed on the same catalogue, whose right answer is known; items of a
step lose each modality with some chance. The trained model is then judged where 0, 25, 50, 75 and
100 % of the items lack each modality, drawn apart for each, and where noise of 0, 0.5, 1 and 2
standard deviations is added to all: the same items and the same noise for every strategy and seed.
The area under a curve is a weighted mean of its points, one number a user, so rows are tested by
it like by any metric. Each imputer gets a table of its own.

    python experiments/ablate_missing.py [--seeds 1] [--workers 2] [--dropout 0.3]
        [--imputer none --imputer neighbours] [--runs runs] [study overrides: key.sub=value ...]
"""

from pathlib import Path

from fusionlab.config import load_study
from fusionlab.fusion.imputers.contract import IMPUTERS
from fusionlab.paper import run_study, script_parser

STUDY = Path(__file__).parents[1] / "configs" / "studies" / "missing.yaml"

if __name__ == "__main__":
    parser = script_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--dropout", type=float, default=0.3)
    parser.add_argument("--imputer", action="append", choices=IMPUTERS.names())
    options, overrides = parser.parse_known_args()
    for imputer in options.imputer or ["none"]:
        how = [
            f"title=Missing and noisy modalities (imputer {imputer})",
            f"seeds={[*range(options.seeds)]}",
            f"experiment.training.modality_dropout={options.dropout}",
            f"experiment.inputs.imputer={imputer}",
        ]
        folder = Path("reports", "missing", imputer)
        study = load_study(STUDY, [*how, *overrides])
        run_study(study, folder, runs=options.runs, workers=options.workers)
