"""tensor: a linear map of the outer product of [1; P_m x_m + b_m]."""

from itertools import product

import numpy as np
import pytest
import torch
from feature_reference import MODALITIES, affine, assert_equals_formula, parity_accuracy

from fusionlab.data.features import FeatureSpec
from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import FUSIONS


def build(modalities, dim=64, **options):
    specs = {f"m{m}": FeatureSpec(3) for m in range(modalities)}
    return FUSIONS.parse({"name": "tensor", **options}).build(specs, dim)


@pytest.mark.parametrize("modalities", MODALITIES)
@pytest.mark.parametrize("width", [1, 3])
def test_equals_the_formula(modalities, width):
    names = ["text", "image", "audio", "touch"][:modalities]

    def formula(state, x):
        extended = [
            [1.0, *(affine(state, f"project.{name}", x[name]) if name in x else np.zeros(width))]
            for name in names
        ]
        view = state["out.bias"].copy()
        for entry, index in enumerate(product(*(range(width + 1) for _ in names))):
            z = np.prod([part[i] for part, i in zip(extended, index, strict=True)])
            view += state["out.weight"][:, entry] * z
        return view

    assert_equals_formula({"name": "tensor", "width": width}, modalities, formula)


@pytest.mark.parametrize(
    ("modalities", "width"), [(1, 64), (2, 31), (3, 9), (4, 4), (5, 3), (10, 1), (16, 1)]
)
def test_the_usual_width_keeps_the_product_small(modalities, width):
    fusion = build(modalities)
    assert fusion.width == width
    assert fusion.out.in_features == (width + 1) ** modalities


def test_the_usual_width_does_not_exceed_that_of_the_view():
    assert build(2, dim=8).width == 8


def test_a_product_that_is_too_big_is_refused_with_the_widest_that_is_not():
    with pytest.raises(FusionlabError, match=r"fusion.width: found 16, expected at most 15 with 4"):
        build(4, width=16)
    assert build(4, width=15).out.in_features == 65_536


def test_too_many_modalities_are_referred_to_the_low_rank_form():
    with pytest.raises(FusionlabError, match=r"17 modalities.*lowrank_tensor"):
        build(17)


@pytest.mark.parametrize(("modalities", "width"), [(1, 64), (3, 9)])
def test_standardised_inputs_start_with_unit_variance(modalities, width):
    torch.manual_seed(0)
    specs = {f"m{m}": FeatureSpec(100 + 300 * m) for m in range(modalities)}
    fusion = FUSIONS.parse({"name": "tensor", "width": width}).build(specs, 64)
    for name, linear in fusion.project.items():
        h = linear(torch.randn(4000, specs[name].dim)) - linear.bias
        assert h.var().item() == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize("modalities", [2, 3, 4])
def test_learns_what_no_modality_knows_alone(modalities):
    assert parity_accuracy("tensor", modalities) > 0.95
