"""What is each fusion strategy worth where modalities are missing, or their features noisy?

Every strategy is trained once a seed on the same catalogue, whose right answer is known, with each
modality dropped from an item of a step with some chance. The trained model is then judged where 0,
25, 50, 75 and 100 % of the items lack each modality, drawn for each modality apart, and where noise
of 0, 0.5, 1 and 2 standard deviations is added to all. It is the same items and the same noise for
every strategy and seed. The area under a curve, a weighted mean of its points, is one number a user:
rows are tested by it like by any metric. With several imputers each gets a table of its own.

    python experiments/ablate_missing.py [--seeds 1] [--workers 2] [--dropout 0.3]
        [--imputer none --imputer neighbours] [study overrides: key.sub=value ...]
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


def study_of(imputer, options, overrides):
    """The rows of one table: all strategies, and the controls, with one imputer."""
    how = f"{options.dropout:g} dropped in training, imputer {imputer}"
    return load_study(
        STUDY,
        [
            f"title=Missing and noisy modalities ({how})",
            f"seeds={list(range(options.seeds))}",
            f"experiment.training.modality_dropout={options.dropout}",
            f"experiment.inputs.imputer={imputer}",
            *overrides,
        ],
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--dropout", type=float, default=0.3)
    parser.add_argument("--imputer", action="append", choices=IMPUTERS.names())
    options, overrides = parser.parse_known_args()
    store = RunStore(Path("runs"))
    for imputer in options.imputer or ["none"]:
        study = study_of(imputer, options, overrides)
        planned = plan(study)
        with terminal.runs(study.title, len(planned.runs)) as on_run:
            execute(planned.runs, store, workers=options.workers, on_run=on_run)
        folder = Path("reports", "missing", f"{imputer}-{options.dropout:g}")
        report = write_report(
            planned.collect(store), folder, study.title, metrics=planned.metrics, main=planned.main
        )
        terminal.show(to_terminal(report.tables["quality"]))
        terminal.say(*(f"wrote {file}" for file in report.files))
