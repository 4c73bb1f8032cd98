"""concat_mlp: W_2 gelu(W_1 [x_1; ...; x_M] + b_1) + b_2."""

from math import erf

import numpy as np
import pytest
from feature_reference import MODALITIES, affine, assert_equals_formula, parity_accuracy

from fusionlab.data.features import FeatureSpec
from fusionlab.fusion.contract import FUSIONS


@pytest.mark.parametrize("modalities", MODALITIES)
@pytest.mark.parametrize("hidden", [None, 5])
def test_equals_the_formula(modalities, hidden):
    def formula(state, x):
        before = sum(state[f"project.{name}.weight"] @ x[name] for name in x) + state["bias"]
        after = np.array([z * (1 + erf(z / 2**0.5)) / 2 for z in before])
        return affine(state, "out", after)

    assert_equals_formula({"name": "concat_mlp", "hidden": hidden}, modalities, formula)


def test_hidden_is_twice_the_width_unless_told():
    specs = {"a": FeatureSpec(3)}
    assert FUSIONS.parse("concat_mlp").build(specs, 10).out.in_features == 20
    assert FUSIONS.parse({"name": "concat_mlp", "hidden": 7}).build(specs, 10).out.in_features == 7


def test_learns_what_no_modality_knows_alone():
    assert parity_accuracy("concat_mlp", 3) > 0.95
