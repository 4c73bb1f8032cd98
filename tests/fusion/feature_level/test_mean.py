"""mean: the mean of W_m x_m + b_m over the modalities present."""

import pytest
import torch
from feature_reference import MODALITIES, affine, assert_equals_formula, build, random_items


@pytest.mark.parametrize("modalities", MODALITIES)
def test_equals_the_formula(modalities):
    def formula(state, x):
        return sum(affine(state, f"project.{name}", x[name]) for name in x) / len(x)

    assert_equals_formula("mean", modalities, formula)


def test_a_lone_modality_counts_in_full():
    mean, sum_ = build("mean", 4), build("sum", 4)
    sum_.load_state_dict(mean.state_dict())
    items = random_items(4)
    for name in items.modalities:
        alone = items.only([name])
        assert torch.equal(mean(alone).views, sum_(alone).views)
