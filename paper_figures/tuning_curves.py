"""Tuning curves: how much time went into each row until its best options were found?

A panel a row: the best value on validation so far by the seconds that its trials took; the dashed
line is the row as it is written. Many rows go to several pages.

    python paper_figures/tuning_curves.py SOURCE [--runs runs] [--out figures]
        [study overrides: key.sub=value ...]

SOURCE is a study's file, or the folder of a report or of an export; nothing is run.
"""

from fusionlab.paper import asked_results, script_parser
from fusionlab.reporting.style import SINGLE_WIDTH, save
from fusionlab.reporting.tuning_curves import tuning_curves

if __name__ == "__main__":
    parser = script_parser(__doc__)
    found, chosen = asked_results(parser)
    pages = tuning_curves(found.rows, width=SINGLE_WIDTH)
    if not pages:
        parser.error("no row of this study was tuned (tune.trials)")
    for number, page in enumerate(pages, 1):
        name = "tuning_curves" if len(pages) == 1 else f"tuning_curves_{number}"
        for file in save(page, chosen.out / name):
            print(f"wrote {file}")
