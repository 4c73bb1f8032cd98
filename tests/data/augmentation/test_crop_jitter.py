"""Crops and colours of prepared pictures."""

import torch

from fusionlab.data.augmentation.contract import AUGMENTATIONS


def build(**options):
    return AUGMENTATIONS.parse({"name": "crop_jitter", **options}).build()


def test_a_crop_is_a_part_of_the_picture():
    """Of a slope of brightness, a crop is a gentler slope."""
    slope = torch.arange(64).expand(3, 64, 64).to(torch.uint8) * 3
    part = build(scale=0.3, brightness=0, contrast=0, saturation=0)
    shares = []
    for seed in range(60):
        found = part.sample({"image": slope}, torch.Generator().manual_seed(seed))["image"]
        row = found[0, 32].float()
        assert (row.diff() >= 0).all()
        assert (found.float().std(1) <= 1).all()  # rows are alike
        shares.append(((row[-1] - row[0]) / 189).item())
    assert min(shares) < 0.6
    assert max(shares) > 0.9
    assert min(shares) > (0.3 * 0.75) ** 0.5 - 0.1


def test_colours_move_as_far_as_they_may():
    grey = torch.full((3, 8, 8), 100, dtype=torch.uint8)
    part = build(scale=1.0, brightness=0.2, contrast=0, saturation=0)
    levels = {
        part.sample({"image": grey}, torch.Generator().manual_seed(s))["image"]
        .float()
        .mean()
        .item()
        for s in range(80)
    }
    assert 79 <= min(levels) < 85
    assert 115 < max(levels) <= 121


def test_grey_pictures_too():
    one = {"image": torch.full((1, 8, 8), 7, dtype=torch.uint8)}
    assert build().sample(one, torch.Generator())["image"].shape == (1, 8, 8)
