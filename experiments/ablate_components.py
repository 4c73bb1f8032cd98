"""Which component of a configuration is it that helps? One change of the base a row.

The base is a gated fusion inside a hybrid recommender. Each component is switched off alone (the
gate, ID factors, coalition dropout, scaling, a modality), and each axis is varied alone around the
base: the strategy, the recommender, the balancer, the width, what is missing and what is noisy
where the model is judged. Every row is tested against the base, paired over users averaged over
seeds, Holm-corrected. What one change at a time cannot see, interactions, is asked of the full grid
of strategies and widths (--design grid), each row against the strongest control.

    python experiments/ablate_components.py [--design one_at_a_time --design grid] [--seeds 3]
        [--workers 2] [--runs runs] [study overrides: key.sub=value ...]
"""

from pathlib import Path

from fusionlab.config import load_study
from fusionlab.paper import run_study, script_parser

STUDIES = Path(__file__).parents[1] / "configs" / "studies"
DESIGNS = {"one_at_a_time": "components.yaml", "grid": "strategies_and_widths.yaml"}

if __name__ == "__main__":
    parser = script_parser(__doc__)
    parser.add_argument("--design", action="append", choices=list(DESIGNS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options, overrides = parser.parse_known_args()
    for design in options.design or ["one_at_a_time"]:
        how = [f"seeds={[*range(options.seeds)]}", *overrides]
        study = load_study(STUDIES / DESIGNS[design], how)
        folder = Path("reports", "components", design)
        run_study(study, folder, runs=options.runs, workers=options.workers)
