"""Worlds in which modalities are missing or noisy."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fusionlab.data.features import ItemFeatures
from fusionlab.data.worlds import World, Worlds
from fusionlab.sections import Missing, Noise

N = 400
TRAIN = torch.arange(0, N, 2)
CLICKS = torch.arange(N) % 40


def catalogue(widths=(("text", 5), ("image", 3)), scale=1.0):
    draw = torch.Generator().manual_seed(1)
    values = {name: scale * torch.randn(N, 1, width, generator=draw) for name, width in widths}
    return ItemFeatures(values, {name: torch.ones(N, 1, dtype=torch.bool) for name in values})


def worlds(features=None, missing=None, noise=None):
    missing, noise = Missing(**missing or {}), Noise(**noise or {})
    return Worlds(features or catalogue(), TRAIN, missing, noise, CLICKS)


def lost(items, modality="text"):
    return ~items.present(modality)


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=4).map(sorted),
    st.sampled_from(["random", "unpopular", "popular"]),
)
def test_shares_are_exact_and_nested(shares, among):
    of = worlds()
    found = [lost(of.of(World(share, None, among))) for share in shares]
    assert [int(one.sum()) for one in found] == [round(share * N) for share in shares]
    for fewer, more in pairwise(found):
        assert (fewer <= more).all()


def test_modalities_are_drawn_apart_and_by_name_alone():
    both = worlds(missing={"train": 0.5}).train
    assert not torch.equal(lost(both), lost(both, "image"))
    turned = catalogue((("audio", 2), ("image", 3), ("text", 5)))
    other = worlds(turned, missing={"train": 0.5}).train
    assert torch.equal(lost(both), lost(other))
    seeded = worlds(missing={"train": 0.5, "seed": 1}).train
    assert not torch.equal(lost(both), lost(seeded))


def test_by_popularity_all_modalities_go_from_the_same_items_first():
    few, many = (
        worlds(missing={"test": 0.25, "among": one}).test for one in ("unpopular", "popular")
    )
    assert CLICKS[lost(few)].max() <= CLICKS[~lost(few)].min()
    assert CLICKS[lost(many)].min() >= CLICKS[~lost(many)].max()
    # ten items share each count, so a share of .25 has no ties: every modality goes at once
    assert torch.equal(lost(few), lost(few, "image"))


def test_the_two_worlds_differ_and_share_what_they_can():
    of = worlds(missing={"train": 0.5, "modalities": ["image"]})
    assert lost(of.train, "image").sum() == N / 2
    assert not lost(of.train).any()
    assert of.test is of.features
    for name in of.features.values:
        assert of.train.values[name] is of.features.values[name]
    same = worlds(missing={"train": 0.5, "test": 0.5}, noise={"train": 1.0, "test": 1.0})
    assert same.train is same.test


def test_what_was_never_there_stays_away():
    features = catalogue().masked({"text": torch.arange(N) < 100})
    assert lost(worlds(features).of(World(0.5)))[:100].all()


def test_noise_is_in_standard_deviations_of_train_items():
    features = catalogue(scale=7.0)
    features.values["text"][1::2] *= 100  # no train item
    before = {name: x.clone() for name, x in features.values.items()}
    of = worlds(features, noise={"seed": 3})
    one, two = of.of(World(level=1.0)), of.of(World(level=2.0))
    for name, x in before.items():
        added = one.values[name] - x
        sigma = x[TRAIN].std()
        assert added[TRAIN].std() == pytest.approx(sigma.item(), rel=0.05)
        assert added[TRAIN].mean().abs() < 0.1 * sigma
        torch.testing.assert_close(
            two.values[name][TRAIN] - x[TRAIN], 2 * added[TRAIN], atol=1e-4, rtol=1e-4
        )
        assert torch.equal(features.values[name], x)
        assert one.mask[name] is features.mask[name]


def test_no_noise_is_the_very_same_tensor():
    of = worlds(noise={"train": 1.0, "modalities": ["image"]})
    assert of.train.values["text"] is of.features.values["text"]
    assert of.train.values["image"] is not of.features.values["image"]
    assert of.test is of.features


def test_noise_behind_a_mask_stays_behind_it():
    features = catalogue().masked({"text": torch.arange(N) < 9})
    features.values["text"][:9] = torch.nan
    found = worlds(features).of(World(level=0.5))
    assert found.values["text"][9:].isfinite().all()
    assert not found.mask["text"][:9].any()


def test_noise_keeps_the_type():
    features = catalogue().to(dtype=torch.bfloat16)
    assert worlds(features).of(World(level=0.5)).values["text"].dtype == torch.bfloat16


def test_worlds_that_change_nothing_are_one():
    assert World(0.0, ("text",), "popular", 0.0, ("image",)) == World()
    assert World(0.5, ("text",)) != World(0.5)
