"""Robustness curves: what is left where modalities are missing or noisy?

A line a row over the rates that its trained models were judged at, with 95 % intervals over users.
The study must have measured curves (evaluation.curves).

    python paper_figures/robustness.py SOURCE [--metric M] [--runs runs] [--out figures]
        [study overrides: key.sub=value ...]

SOURCE is a study's file, or the folder of a report or of an export; nothing is run.
"""

from fusionlab.paper import asked_results, script_parser
from fusionlab.reporting.robustness import robustness
from fusionlab.reporting.style import SINGLE_WIDTH, save

if __name__ == "__main__":
    parser = script_parser(__doc__)
    parser.add_argument("--metric", help="default: the study's main one")
    found, chosen = asked_results(parser)
    metric = chosen.metric or found.main
    figure = robustness(found.rows, metric, split=found.split, width=SINGLE_WIDTH)
    for file in save(figure, chosen.out / "robustness"):
        print(f"wrote {file}")
