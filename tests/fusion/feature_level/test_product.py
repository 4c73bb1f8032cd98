"""product: the elementwise product of W_m x_m + b_m over the modalities present."""

import numpy as np
import pytest
import torch
from feature_reference import MODALITIES, affine, assert_equals_formula, parity_accuracy

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS


@pytest.mark.parametrize("modalities", MODALITIES)
def test_equals_the_formula(modalities):
    def formula(state, x):
        return np.prod([affine(state, f"factors.{name}", x[name]) for name in x], axis=0)

    assert_equals_formula("product", modalities, formula)


@pytest.mark.parametrize("modalities", [1, 2, 4, 6])
@pytest.mark.parametrize("width", [5, 200])
def test_starts_with_a_mean_square_of_one_whatever_the_modalities(modalities, width):
    torch.manual_seed(0)
    names = [f"m{m}" for m in range(modalities)]
    fusion = FUSIONS.parse("product").build({name: FeatureSpec(width) for name in names}, 256)
    items = ItemFeatures(
        {name: torch.randn(500, 1, width) for name in names},
        {name: torch.ones(500, 1, dtype=torch.bool) for name in names},
    )
    assert fusion(items).views.square().mean().item() == pytest.approx(1, rel=0.5)


@pytest.mark.parametrize("modalities", [2, 3, 4])
def test_learns_what_no_modality_knows_alone(modalities):
    assert parity_accuracy("product", modalities) > 0.95
