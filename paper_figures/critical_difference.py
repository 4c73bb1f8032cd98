"""Critical difference: which rows differ over several data sets?

The mean rank of every row that all studies have, best at the left; bars join rows that Nemenyi's
test does not tell apart.

    python paper_figures/critical_difference.py SOURCE SOURCE [SOURCE ...] [--metric M]
        [--runs runs] [--out figures]

A SOURCE is a study's file, or the folder of a report or of an export; nothing is run.
"""

from pathlib import Path

from fusionlab.paper import script_parser
from fusionlab.reporting.ranks import critical_difference, rank_studies
from fusionlab.reporting.results import read_results
from fusionlab.reporting.style import SINGLE_WIDTH, save

if __name__ == "__main__":
    parser = script_parser(__doc__)
    parser.add_argument("source", nargs="+", type=Path)
    parser.add_argument("--metric", help="default: the main one of each study")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("figures"))
    chosen = parser.parse_args()
    studies = [read_results(source, chosen.runs) for source in chosen.source]
    figure = critical_difference(rank_studies(studies, metric=chosen.metric), width=SINGLE_WIDTH)
    for file in save(figure, chosen.out / "critical_difference"):
        print(f"wrote {file}")
