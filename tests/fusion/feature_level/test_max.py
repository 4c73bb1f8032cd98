"""max: the elementwise maximum of W_m x_m + b_m over the modalities present."""

import numpy as np
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
        parts = [affine(state, f"project.{name}", x[name]) for name in x]
        return np.array([max(part[k] for part in parts) for k in range(len(parts[0]))])

    assert_equals_formula("max", modalities, formula)


def test_an_absent_modality_is_not_a_zero():
    """With only negative projections, a zero in place of the absent one would win."""
    fusion, items = build("max", 3), random_items(3)
    for linear in fusion.project.values():
        torch.nn.init.zeros_(linear.weight)
        torch.nn.init.constant_(linear.bias, -1.0)
    fused = fusion(items)
    assert (fused.views[fused.present] == -1).all()
    assert (fused.views[~fused.present] == 0).all()


def test_another_modality_can_only_raise_a_view():
    fusion, items = build("max", 4), random_items(4)
    whole = fusion(items).views
    for name in items.modalities:
        rows = items.present(name)
        assert (whole[rows] >= fusion(items.only([name])).views[rows]).all()


def test_learns_what_two_modalities_know_together():
    assert parity_accuracy("max", 2) > 0.95
