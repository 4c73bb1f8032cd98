"""Classes of the synthetic catalogue: a vote of the atoms, by weight."""

import pytest
import torch

from fusionlab.data.formats.synthetic import Synthetic
from fusionlab.data.synthetic.streams import stream
from fusionlab.seal import Openings


def test_classification_labels_are_the_class_of_the_flipped_atoms():
    data = Synthetic(items=500, flip=0.2, task="classification", classes=3).load()
    assert data.interactions is None
    assert data.labels.names == ["class 0", "class 1", "class 2"]
    test = data.labels.test.open(Openings(), "test of the generator")
    parts = [data.labels.train, data.labels.valid, test]
    assert [len(part.items) for part in parts] == [400, 50, 50]
    items = torch.cat([part.items for part in parts])
    assert torch.equal(items.sort().values, torch.arange(500))
    classes = torch.cat([part.classes for part in parts])
    assert torch.equal(classes, data.truth.class_of[tuple(data.truth.observed[items].T)])
    assert data.truth.class_of.flatten().bincount().tolist() == [11, 11, 10]


def test_classes_are_an_argmax_of_a_sum_over_atoms_with_a_bias():
    """Cyclic monotonicity: no swap of two combinations between classes raises the total score."""
    truth = Synthetic(items=50, task="classification", classes=3, seed=4).load().truth
    scores = torch.zeros(*truth.class_of.shape, 3)
    for axis, atom in enumerate(truth.atoms):
        theta = stream(4, "class", atom.name).standard_normal((2, 3))
        theta = theta - theta.mean(0) - theta.mean(1, keepdims=True) + theta.mean()
        theta = torch.from_numpy(atom.weight * theta / (theta**2).mean() ** 0.5).float()
        scores += theta.view(*(2 if i == axis else 1 for i in range(5)), 3)
    flat, chosen = scores.view(-1, 3), truth.class_of.flatten()
    own = flat[range(32), chosen]
    swapped = flat[:, chosen] + flat[:, chosen].T
    assert (swapped <= own[:, None] + own + 1e-5).all()


@pytest.mark.parametrize("seed", range(5))
def test_an_atom_counts_by_its_weight_for_classes_whatever_was_drawn(seed):
    """Two classes are a weighted vote of the atoms: equal weights count alike, a light one not."""
    options = {"items": 50, "task": "classification", "classes": 2, "seed": seed}
    vote = Synthetic(**options).load().truth.class_of
    tilted = Synthetic(**options, redundancy=5).load().truth.class_of
    for axis in range(5):
        influence = [
            float((of.flip(axis) != of).double().mean()) for of in (vote, tilted)
        ]  # in how many combinations the label of the atom decides: 6 of 16 others tie 2 to 2
        assert influence == [6 / 16, float(axis == 0)]
