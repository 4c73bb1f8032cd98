"""What encoded features hold of a known answer: linear probes of a synthetic catalogue's atoms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fusionlab.data.dataset import Dataset
from fusionlab.errors import FusionlabError


@dataclass(frozen=True)
class Probe:
    """How well one atom is read off the features of one modality.

    Attributes:
        modality: whose features are read.
        atom: what of, as in `Truth.atoms`.
        accuracy: share of validation items whose part of the atom is told.
        bayes: the accuracy of one who reads the modality without error: 1 - e for a label that
            is flipped with rate e, 1 for a share of a parity, which nothing flips.
        chance: the accuracy of one who guesses.
    """

    modality: str
    atom: str
    accuracy: float
    bayes: float
    chance: float


def probe_atoms(dataset: Dataset) -> Iterator[Probe]:
    """A linear probe for every atom that a modality holds, fitted on train items.

    Raises:
        FusionlabError: the answer of the data set is not known, or its items have no labels.

    Source: Alain and Bengio 2017, Understanding intermediate layers using linear classifier probes.
    """
    truth = dataset.truth
    if truth is None or dataset.labels is None:
        raise FusionlabError(
            f"{dataset.name}: expected a synthetic catalogue with task classification, "
            "found one whose atoms or whose split of items is not known"
        )
    train, valid = dataset.labels.train.items, dataset.labels.valid.items
    for name, values in dataset.require_features("probes of atoms").values.items():
        x = values.flatten(1).numpy()
        held = [atom for atom in truth.atoms if name in atom.over]
        for part, atom in enumerate(held):
            copy = atom.kind == "copy"
            y = truth.observed[:, truth.atoms.index(atom)] if copy else truth.codes[name][:, part]
            probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
            probe.fit(x[train], y[train])
            bayes = 1 - atom.flip if copy else 1.0
            accuracy = float(probe.score(x[valid], y[valid]))
            yield Probe(name, atom.name, accuracy, bayes, 1 / truth.alphabet)
