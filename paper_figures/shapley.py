"""Shapley bars: what did each modality contribute to a trained model?

Of each run a figure: bars with 95 % intervals over users of the Shapley value, and of what the
metric loses with the modality masked or dealt to other items. A model that never saw subsets in
training shows the last alone.

    python paper_figures/shapley.py RUN [RUN ...] [--split valid] [--runs runs] [--out figures]

RUN is the beginning of a run's id; its trained model and its data must be there.
"""

import argparse
from pathlib import Path

from fusionlab.reporting.contribution_figure import contribution_figure
from fusionlab.reporting.style import save
from fusionlab.studies.audit import audit
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="+")
    parser.add_argument("--split", choices=["valid", "test"], default="valid")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("figures"))
    chosen = parser.parse_args()
    store = RunStore(chosen.runs)
    for run in chosen.run:
        found = audit(load_trained(run, store), store, split=chosen.split)
        for file in save(contribution_figure(found), chosen.out / f"shapley_{found.run[:12]}"):
            print(f"wrote {file}")
