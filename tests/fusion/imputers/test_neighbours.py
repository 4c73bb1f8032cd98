"""Imputing by the nearest train items."""

import pytest
import torch

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.data.formats.synthetic import Synthetic
from fusionlab.data.scaling import rescale
from fusionlab.fusion.imputers.contract import IMPUTERS

SPECS = {"text": FeatureSpec(2), "image": FeatureSpec(1)}


def items(text, image, there=None):
    text, image = torch.tensor(text)[:, None], torch.tensor(image)[:, None, None]
    on = torch.ones(len(text), 1, dtype=torch.bool)
    there = on if there is None else torch.tensor(there)[:, None]
    return ItemFeatures({"text": text, "image": image}, {"text": on, "image": there})


def nearest(train, **options):
    imputer = IMPUTERS.parse({"name": "neighbours", **options}).build(SPECS)
    imputer.fit(train)
    return imputer


def test_the_mean_of_the_k_nearest_by_cosine():
    train = items([[9.0, 1.0], [1.0, 0.2], [0.0, 1.0], [-1.0, 0.0]], [10.0, 20.0, 70.0, 90.0])
    asked = items([[1.0, 0.0], [-1.0, -1.0]], [0.0, 0.0], [False, False])
    assert nearest(train, k=2)(asked).values["image"].flatten().tolist() == [15.0, 80.0]
    assert nearest(train, k=1)(asked).values["image"].flatten().tolist() == [10.0, 90.0]
    assert nearest(train, k=9)(asked).values["image"].flatten().tolist() == [47.5, 47.5]


def test_neighbours_that_lack_the_modality_are_none():
    train = items([[1.0, 0.0], [0.0, 1.0]], [10.0, 20.0], [False, True])
    asked = items([[1.0, 0.1]], [0.0], [False])
    assert nearest(train, k=1)(asked).values["image"].item() == 20.0


def test_an_item_is_not_its_own_neighbour():
    train = items([[1.0, 0.0], [1.0, 0.2], [0.0, 1.0]], [10.0, 20.0, 30.0])
    asked = train.masked({"image": torch.tensor([True, True, True])})
    assert nearest(train, k=1)(asked).values["image"].flatten().tolist() == [20.0, 10.0, 20.0]


def test_who_shares_nothing_with_the_bank_gets_nothing():
    train = items([[1.0, 0.0]], [10.0]).only(["image"])
    asked = items([[1.0, 0.0]], [0.0], [False])
    assert not nearest(train)(asked).mask["image"].any()


def test_the_bank_is_bounded_and_always_the_same():
    text = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).tolist()
    train = items(text, list(map(float, range(50))))
    torch.manual_seed(1)
    one = nearest(train, bank=7)
    torch.manual_seed(2)
    other = nearest(train, bank=7)
    assert one.bank["text"].values.shape == (7, 1, 2)
    assert torch.equal(one.bank["image"].values, other.bank["image"].values)


def unexplained(imputer, features, train, rest):
    """The share of what the images hold that the imputed ones, from text and sound, miss."""
    imputer.fit(features.take(train))
    asked = features.take(rest)
    found = imputer(asked.only(["text", "audio"])).values["image"]
    truth = asked.values["image"]
    return ((found - truth).square().mean() / truth.var()).item()


@pytest.mark.parametrize("seed", range(5))
def test_of_a_redundant_atom_neighbours_know_more_than_the_mean(seed):
    dataset = Synthetic(
        users=20, items=600, clicks=5, uniqueness=0, synergy=0, nuisance=2, noise=0.1, seed=seed
    ).load()
    train, rest = torch.arange(400), torch.arange(400, 600)
    features = rescale(dataset.features, train, "modality")
    errors = {
        name: unexplained(IMPUTERS.parse(name).build(features.specs), features, train, rest)
        for name in ("mean", "neighbours")
    }
    assert errors["mean"] == pytest.approx(1, abs=0.05)
    assert errors["neighbours"] < errors["mean"] - 0.1
