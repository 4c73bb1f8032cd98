"""Does each encoder find what its modality is known to hold? Rendered text, pictures and sounds.

A linear probe, fitted on the features of train items, reads every atom that a modality holds off
validation items. Beside its accuracy stands the Bayes value: 1 - e for a label that is flipped with
rate e, 1 for a share of a parity, which nothing flips.

    python experiments/recovered_atoms.py [--pretrained] [--runs runs] [key.sub=value ...]
"""

import argparse
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fusionlab.config import load_experiment
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.store import RunStore

CONFIGS = Path(__file__).parents[1] / "configs" / "experiments"


def recovered(dataset):
    """Modality, atom, accuracy and Bayes value of each part of each code."""
    truth, labels = dataset.truth, dataset.labels
    train, valid = labels.train.items, labels.valid.items
    for name, values in dataset.features.values.items():
        x = values.flatten(1).numpy()
        held = [atom for atom in truth.atoms if name in atom.over]
        for part, atom in enumerate(held):
            copy = atom.kind == "copy"
            place = truth.atoms.index(atom)
            y = truth.observed[:, place] if copy else truth.codes[name][:, part]
            probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
            probe.fit(x[train], y[train])
            yield name, atom.name, probe.score(x[valid], y[valid]), 1 - atom.flip if copy else 1.0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pretrained", action="store_true", help="MiniLM, EfficientNet, voices")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options, overrides = parser.parse_known_args()
    torch.manual_seed(0)
    config = "recovered_atoms_pretrained.yaml" if options.pretrained else "recovered_atoms.yaml"
    experiment = load_experiment(CONFIGS / config, overrides)
    dataset = load_dataset(experiment, RunStore(options.runs).features)
    table = Table("modality", "encoder", "atom", "accuracy", "Bayes", box=None)
    for name, atom, accuracy, bayes in recovered(dataset):
        encoder = experiment.encodings[name].encoder.name
        table.add_row(name, encoder, atom, f"{accuracy:.3f}", f"{bayes:.3f}")
    Console().print(table)
