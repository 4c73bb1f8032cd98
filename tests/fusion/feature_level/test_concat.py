"""concat: W [x_1; ...; x_M] + b."""

from math import erf

import numpy as np
import pytest
import torch
from feature_reference import (
    MODALITIES,
    affine,
    assert_equals_formula,
    build,
    mean_tokens,
    random_items,
)

from fusionlab.data.features import FeatureSpec
from fusionlab.fusion.contract import FUSIONS


@pytest.mark.parametrize("modalities", MODALITIES)
def test_equals_the_formula(modalities):
    def formula(state, x):
        return sum(state[f"project.{name}.weight"] @ x[name] for name in x) + state["bias"]

    assert_equals_formula("concat", modalities, formula)


@pytest.mark.parametrize("modalities", MODALITIES)
def test_with_hidden_layers_it_concatenates_networks_of_single_modalities(modalities):
    def formula(state, x):
        inner = {name: affine(state, f"inner.{name}", x[name]) for name in x}
        after = {name: [z * (1 + erf(z / 2**0.5)) / 2 for z in h] for name, h in inner.items()}
        return sum(state[f"project.{name}.weight"] @ after[name] for name in x) + state["bias"]

    assert_equals_formula({"name": "concat", "hidden": 5}, modalities, formula)


def test_is_one_matrix_on_the_concatenated_vector_with_zeros_for_what_is_absent():
    fusion, items = build("concat", 3), random_items(3)
    weight = torch.cat([linear.weight for linear in fusion.project.values()], 1).detach().numpy()
    views = fusion(items).views.detach()
    for row in range(1, len(items)):
        x = mean_tokens(items, row)
        whole = np.concatenate([x.get(n, np.zeros(s.dim)) for n, s in fusion.specs.items()])
        if x:
            expected = weight @ whole + fusion.bias.detach().numpy()
            np.testing.assert_allclose(views[row, 0], expected, atol=1e-9)


def test_starts_as_a_linear_layer_on_the_whole_would():
    fusion = FUSIONS.parse("concat").build({"a": FeatureSpec(300), "b": FeatureSpec(100)}, 64)
    for linear in fusion.project.values():
        assert linear.weight.abs().max() <= 400**-0.5
        assert linear.weight.std().item() == pytest.approx(400**-0.5 / 3**0.5, rel=0.05)
