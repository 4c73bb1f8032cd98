"""Does each encoder find what its modality is known to hold? Rendered text, pictures and sounds.

A linear probe, fitted on the features of train items, reads every atom that a modality holds off
validation items. Beside its accuracy stands the Bayes value: 1 - e for a label that is flipped with
rate e, 1 for a share of a parity, which nothing flips.

    python experiments/recovered_atoms.py [--pretrained] [--runs runs] [key.sub=value ...]
"""

from pathlib import Path

from rich.table import Table

from fusionlab import terminal
from fusionlab.config import load_experiment
from fusionlab.evaluation.atom_probes import probe_atoms
from fusionlab.paper import script_parser
from fusionlab.reporting.probes_figure import probes_figure
from fusionlab.reporting.style import save
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.store import RunStore

CONFIGS = Path(__file__).parents[1] / "configs" / "experiments"

if __name__ == "__main__":
    parser = script_parser(__doc__)
    parser.add_argument("--pretrained", action="store_true", help="MiniLM, EfficientNet, voices")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options, overrides = parser.parse_known_args()
    config = "recovered_atoms_pretrained" if options.pretrained else "recovered_atoms"
    experiment = load_experiment(CONFIGS / f"{config}.yaml", overrides)
    probes = [*probe_atoms(load_dataset(experiment, RunStore(options.runs).features))]
    table = Table("modality", "encoder", "atom", "accuracy", "Bayes", box=None)
    for one in probes:
        encoder = experiment.encodings[one.modality].encoder.name
        accuracies = (f"{value:.3f}" for value in (one.accuracy, one.bayes))
        table.add_row(one.modality, encoder, one.atom, *accuracies)
    terminal.show(table)
    for file in save(probes_figure(probes), Path("reports", "recovered_atoms", config)):
        terminal.say(f"wrote {file}")
