"""Every augmentation: what it may not touch, and that its draws are the generator's."""

import pytest
import torch

from fusionlab.data.augmentation.contract import AUGMENTATIONS
from fusionlab.data.features import FeatureSpec

NAMES = AUGMENTATIONS.names()
B, T, D = 9, 6, 4


def features(seed=0):
    draw = torch.Generator().manual_seed(seed)
    mask = torch.rand(B, T, generator=draw) < 0.6
    mask[3] = False
    mask[4] = True
    values = torch.randn(B, T, D, generator=draw)
    return torch.where(mask[..., None], values, torch.nan), mask


def samples():
    draw = torch.Generator().manual_seed(1)
    return [
        {"tokens": torch.arange(5)},
        {"image": torch.randint(256, (3, 16, 16), generator=draw).to(torch.uint8)},
        {"frames": torch.randn(40, 12, generator=draw)},
        {"windows": torch.randn(3, 20, 12, generator=draw)},
        {"input": torch.randn(40, 12, generator=draw), "length": torch.tensor([25])},
        {"input": torch.randn(400, generator=draw), "length": torch.tensor([250])},
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_modality_stays(name):
    part, (values, mask) = AUGMENTATIONS.parse(name).build(), features()
    before = values.clone(), mask.clone()
    found, on = part.features(values, mask, torch.Generator().manual_seed(0))
    assert torch.equal(mask, before[1])
    assert torch.equal(values.nan_to_num(9), before[0].nan_to_num(9))  # nothing is written to
    assert found.shape == values.shape
    assert found.dtype == values.dtype
    assert (on & ~mask).sum() == 0
    assert torch.equal(on.any(1), mask.any(1))
    assert found[on].isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_draws_are_the_generators(name):
    part, (values, mask) = AUGMENTATIONS.parse(name).build(), features()
    state = torch.get_rng_state()

    def drawn(seed):
        generator = torch.Generator().manual_seed(seed)
        found = [x.nan_to_num(9.0) for x in part.features(values, mask, generator)]
        for sample in samples():
            if not part.unfit(FeatureSpec(D, T), sample):
                found += part.sample(sample, generator).values()
        return found

    one, again, other = drawn(0), drawn(0), drawn(1)
    assert all(torch.equal(*pair) for pair in zip(one, again, strict=True))
    assert not all(torch.equal(*pair) for pair in zip(one, other, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sample", samples(), ids=lambda sample: "+".join(sample))
def test_a_sample_keeps_its_shape(name, sample):
    part = AUGMENTATIONS.parse(name).build()
    if part.unfit(FeatureSpec(D, T), sample):
        return
    before = {key: x.clone() for key, x in sample.items()}
    found = part.sample(sample, torch.Generator().manual_seed(0))
    assert found.keys() == sample.keys()
    for key, x in sample.items():
        assert torch.equal(x, before[key])
        assert found[key].shape == x.shape
        assert found[key].dtype == x.dtype


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_stays(name):
    part, (values, mask) = AUGMENTATIONS.parse(name).build(), features()
    found, _ = part.features(values.bfloat16(), mask, torch.Generator().manual_seed(0))
    assert found.dtype is torch.bfloat16


@pytest.mark.parametrize("name", NAMES)
def test_no_item_has_the_modality(name):
    part, (values, mask) = AUGMENTATIONS.parse(name).build(), features()
    _, on = part.features(values, mask & False, torch.Generator().manual_seed(0))
    assert not on.any()


def test_each_says_what_it_cannot_serve():
    serves = {
        "token_dropout": {"tokens", "ids"},
        "feature_mixup": {"tokens", "pooled"},
        "feature_noise": {"tokens", "pooled"},
        "crop_jitter": set(),
        "spec_augment": set(),
    }
    specs = {
        "tokens": FeatureSpec(D, T),
        "pooled": FeatureSpec(D),
        "ids": FeatureSpec(1, T, 100),
    }
    assert serves.keys() == {*NAMES}
    for name in NAMES:
        cls = AUGMENTATIONS[name]
        assert {kind for kind, spec in specs.items() if not cls.unfit(spec, None)} == serves[name]
        for kind in specs.keys() - serves[name]:
            assert "expected" in cls.unfit(specs[kind], None)
