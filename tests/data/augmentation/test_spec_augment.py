"""SpecAugment: which places are hidden, by what, and in what kinds of samples."""

import torch
from scipy.stats import chisquare

from fusionlab.data.augmentation.contract import AUGMENTATIONS
from fusionlab.data.augmentation.spec_augment import hidden


def build(**options):
    return AUGMENTATIONS.parse({"name": "spec_augment", **options}).build()


def frames(*shape):
    """No entry is the mean."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)) + 5


def test_masks_are_runs_of_uniform_size_anywhere():
    found = hidden(40_000, 20, 0.25, 1, torch.Generator().manual_seed(0))
    sizes = found.sum(1)
    assert chisquare(sizes.bincount()).pvalue > 0.001
    assert (found.long().diff(dim=1).abs().sum(1) <= 2).all()  # one run each
    first = found[sizes == 5].long().argmax(1).bincount()
    assert len(first) == 16
    assert chisquare(first).pvalue > 0.001


def test_hidden_are_whole_bands_and_whole_frames():
    x = frames(50, 30)
    part = build(frequency=0.3, time=0.2, frequency_masks=1, time_masks=1)
    for seed in range(20):
        found = part.sample({"frames": x}, torch.Generator().manual_seed(seed))["frames"]
        off = found != x
        bands, times = off.all(0), off.all(1)
        assert torch.equal(off, bands[None] | times[:, None])
        assert bands.sum() <= 9
        assert times.sum() <= 10
        assert torch.equal(found[off], x.mean().expand(int(off.sum())))


def test_windows_share_their_bands_and_not_their_frames():
    x = frames(4, 40, 30)
    part = build(frequency=1.0, time=0.2, frequency_masks=1, time_masks=1)
    different = False
    for seed in range(10):
        off = part.sample({"windows": x}, torch.Generator().manual_seed(seed))["windows"] != x
        bands, times = off.all(1), off.all(2)
        assert (bands == bands[0]).all()
        different |= not bool((times == times[0]).all())
    assert different


def test_padding_behind_a_clip_is_left_alone():
    x = frames(40, 12)
    x[25:] = -9
    sample = {"input": x, "length": torch.tensor([25])}
    found = build(time=1.0, frequency=1.0).sample(sample, torch.Generator().manual_seed(2))["input"]
    assert torch.equal(found[25:], x[25:])
    assert not torch.equal(found[:25], x[:25])
    changed = found[found != x]
    torch.testing.assert_close(changed, x[:25].mean().expand(len(changed)))


def test_waveforms_and_other_media_are_refused():
    cls = AUGMENTATIONS["spec_augment"]
    assert "waveforms" in cls.unfit(None, {"input": torch.zeros(9), "length": torch.tensor([9])})
    assert "spectrograms" in cls.unfit(None, {"image": torch.zeros(3, 2, 2)})
    assert "trained: true" in cls.unfit(None, None)
