"""Features that tell nothing of their item, and how well features tell one another."""

import pytest
import torch

from fusionlab.data.features import ItemFeatures
from fusionlab.evaluation.knockouts import KNOCKOUTS
from fusionlab.evaluation.predictability import predictability


def items(n=400):
    torch.manual_seed(0)
    x = 3 + 2 * torch.randn(n, 2, 3)
    mask = torch.rand(n, 2) < 0.7
    x[~mask] = torch.nan
    return ItemFeatures({"a": x, "b": torch.randn(n, 1, 2)}, {"a": mask, "b": torch.ones(n, 1) > 0})


def draw():
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("how", KNOCKOUTS)
def test_the_other_modality_stays_and_nothing_is_read_behind_a_mask(how):
    before = items()
    after = KNOCKOUTS[how](before, "a", draw())
    assert torch.equal(after.values["b"], before.values["b"])
    assert after.mask["a"].shape == before.mask["a"].shape
    assert not after.values["a"][after.mask["a"]].isnan().any()
    assert torch.equal(after.present("a").sort().values, before.present("a").sort().values), (
        "as many items have it as before"
    )
    if how != "shuffled":
        assert torch.equal(after.present("a"), before.present("a"))


def test_what_each_puts_in():
    before = items(20_000)
    known = before.values["a"][before.mask["a"]]
    found = {how: KNOCKOUTS[how](before, "a", draw()) for how in KNOCKOUTS}
    dealt = found["shuffled"].values["a"][found["shuffled"].mask["a"]]
    torch.testing.assert_close(dealt.sort(0).values, known.sort(0).values)
    noise = found["noise"].values["a"][before.mask["a"]]
    torch.testing.assert_close(noise.mean(0), known.mean(0), atol=0.05, rtol=0)
    torch.testing.assert_close(noise.std(0), known.std(0), atol=0.05, rtol=0)
    assert (noise - known).abs().mean() > 1
    shown = found["constant"]
    rows = shown.values["a"][shown.present("a")].nan_to_num()
    assert (rows == rows[0]).all()
    mean = found["mean"].values["a"][before.mask["a"]]
    torch.testing.assert_close(mean, known.mean(0).expand_as(mean))


def test_token_ids_have_no_mean():
    ids = ItemFeatures({"t": torch.arange(9).view(9, 1, 1)}, {"t": torch.ones(9, 1) > 0}, {"t": 50})
    found = {how: KNOCKOUTS[how](ids, "t", draw()) for how in KNOCKOUTS}
    assert found["noise"] is None
    assert found["mean"] is None
    assert found["shuffled"].values["t"].sort(0).values.flatten().tolist() == list(range(9))
    assert len(found["constant"].values["t"].unique()) == 1


def test_one_modality_tells_another_as_far_as_it_is_linear():
    torch.manual_seed(0)
    a = torch.randn(600, 100)
    b = a[:, :3] @ torch.randn(3, 5)
    half = torch.cat([b, torch.randn(600, 5) * b.std()], 1)
    values = {"a": a, "b": b, "half": half, "noise": torch.randn(600, 4)}
    features = ItemFeatures(
        {name: x[:, None] for name, x in values.items()} | {"ids": torch.zeros(600, 1, 1).long()},
        {name: torch.ones(600, 1) > 0 for name in [*values, "ids"]},
    )
    found = predictability(features)
    assert "ids" not in found
    assert found["half"]["b"] > 0.99
    assert 0.4 < found["b"]["half"] < 0.6
    assert abs(found["noise"]["b"]) < 0.05
    assert abs(found["a"]["noise"]) < 0.1


def test_a_pair_that_few_items_have_is_left_out():
    features = items()
    off = torch.arange(400) >= 10
    assert predictability(features.masked({"b": off})) == {"a": {}, "b": {}}
