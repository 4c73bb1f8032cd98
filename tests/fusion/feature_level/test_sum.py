"""sum: sum_m (W_m x_m + b_m)."""

import pytest
import torch
from feature_reference import (
    MODALITIES,
    affine,
    assert_equals_formula,
    build,
    parity_accuracy,
    random_items,
)


@pytest.mark.parametrize("modalities", MODALITIES)
def test_equals_the_formula(modalities):
    def formula(state, x):
        return sum(affine(state, f"project.{name}", x[name]) for name in x)

    assert_equals_formula("sum", modalities, formula)


def test_the_whole_is_the_sum_of_the_views_of_single_modalities():
    fusion, items = build("sum", 4), random_items(4)
    alone = sum(fusion(items.only([name])).views for name in items.modalities)
    assert torch.allclose(fusion(items).views, alone, atol=1e-9)


def test_cannot_learn_what_no_modality_knows_alone():
    assert parity_accuracy("sum", 3) < 0.65
