"""Learning speed: which modality is learned first, and which is left behind?

A panel a row, a line a modality: the loss of the modality alone by epoch and how fast it falls,
mean over seeds and one standard deviation. Many rows go to several pages.

    python paper_figures/learning_speed.py SOURCE [--row LABEL ...] [--runs runs] [--out figures]
        [study overrides: key.sub=value ...]

SOURCE is a study's file, or the folder of a report or of an export; nothing is run.
"""

from fusionlab.paper import asked_results, script_parser
from fusionlab.reporting.dynamics import learning_speed
from fusionlab.reporting.style import SINGLE_WIDTH, save

if __name__ == "__main__":
    parser = script_parser(__doc__)
    parser.add_argument("--row", action="append", help="only this one; may be given again")
    found, chosen = asked_results(parser)
    rows = [row for row in found.rows if not chosen.row or row.label in chosen.row]
    pages = learning_speed(rows, width=SINGLE_WIDTH)
    if not pages:
        parser.error("no run of these rows tells of two modalities (training.signals_every)")
    for number, page in enumerate(pages, 1):
        stem = "learning_speed" if len(pages) == 1 else f"learning_speed_{number}"
        for file in save(page, chosen.out / stem):
            print(f"wrote {file}")
