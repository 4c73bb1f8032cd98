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

import argparse
from pathlib import Path

from fusionlab import terminal
from fusionlab.config import load_study
from fusionlab.fusion.imputers.contract import IMPUTERS
from fusionlab.reporting.render import to_terminal
from fusionlab.reporting.report import write_report
from fusionlab.studies.executor import execute
from fusionlab.studies.store import RunStore
from fusionlab.studies.study import plan

STUDY = Path(__file__).parents[1] / "configs" / "studies" / "missing.yaml"

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--dropout", type=float, default=0.3)
    parser.add_argument("--imputer", action="append", choices=IMPUTERS.names())
    options, overrides = parser.parse_known_args()
    for imputer in options.imputer or ["none"]:
        how = [
            f"title=Missing and noisy modalities (imputer {imputer})",
            f"seeds={list(range(options.seeds))}",
            f"experiment.training.modality_dropout={options.dropout}",
            f"experiment.inputs.imputer={imputer}",
        ]
        study, store = load_study(STUDY, how + overrides), RunStore(options.runs)
        planned = plan(study)
        with terminal.runs(study.title, len(planned.runs)) as on_run:
            execute(planned.runs, store, workers=options.workers, on_run=on_run)
        rows, folder = planned.collect(store), Path("reports", "missing", imputer)
        asked = {"metrics": planned.metrics, "main": planned.main}
        report = write_report(rows, folder, study.title, **asked)
        terminal.show(to_terminal(report.tables["quality"]))
        terminal.say(*(f"wrote {file}" for file in report.files))
