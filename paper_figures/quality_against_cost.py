"""Quality against cost: what does a better strategy take?

A point a strategy, the mean over seeds with its 95 % interval over users against the median seconds
of an epoch; controls and ceilings are lines.

    python paper_figures/quality_against_cost.py SOURCE [--metric M] [--runs runs] [--out figures]
        [study overrides: key.sub=value ...]

SOURCE is a study's file, or the folder of a report or of an export; nothing is run.
"""

from fusionlab.paper import asked_results, script_parser
from fusionlab.reporting.quality_against_cost import quality_against_cost
from fusionlab.reporting.style import SINGLE_WIDTH, save

if __name__ == "__main__":
    parser = script_parser(__doc__)
    parser.add_argument("--metric", help="default: the study's main one")
    found, chosen = asked_results(parser)
    metric = chosen.metric or found.main
    figure = quality_against_cost(found.rows, metric, split=found.split, width=SINGLE_WIDTH)
    for file in save(figure, chosen.out / "quality_against_cost"):
        print(f"wrote {file}")
