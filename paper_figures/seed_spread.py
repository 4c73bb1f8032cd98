"""Seed spread: would another seed turn the order of the rows?

A dot a seed beside the mean over seeds with its 95 % interval over users.

    python paper_figures/seed_spread.py SOURCE [--metric M] [--runs runs] [--out figures]
        [study overrides: key.sub=value ...]

SOURCE is a study's file, or the folder of a report or of an export; nothing is run.
"""

from fusionlab.paper import asked_results, script_parser
from fusionlab.reporting.seed_spread import seed_spread
from fusionlab.reporting.style import SINGLE_WIDTH, save

if __name__ == "__main__":
    parser = script_parser(__doc__)
    parser.add_argument("--metric", help="default: the study's main one")
    found, chosen = asked_results(parser)
    metric = chosen.metric or found.main
    figure = seed_spread(found.rows, metric, split=found.split, width=SINGLE_WIDTH)
    for file in save(figure, chosen.out / "seed_spread"):
        print(f"wrote {file}")
