"""Shapley bars: what did each modality contribute to a trained model?

Of each audit a figure: bars with 95 % intervals over users of the Shapley value, and of what the
metric loses with the modality masked or dealt to other items. A model that never saw subsets in
training shows the last alone.

    fusionlab audit RUN --json audit.json
    python paper_figures/shapley.py audit.json [...] [--out figures]

Nothing is judged here: the audit has it all.
"""

from pathlib import Path

from fusionlab.paper import script_parser
from fusionlab.reporting.contribution_figure import contribution_figure
from fusionlab.reporting.style import save
from fusionlab.studies.audited import Audit

if __name__ == "__main__":
    parser = script_parser(__doc__)
    parser.add_argument("audit", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("figures"))
    chosen = parser.parse_args()
    for found in [Audit.read(file) for file in chosen.audit]:
        for file in save(contribution_figure(found), chosen.out / f"shapley_{found.run[:12]}"):
            print(f"wrote {file}")
