"""gated: sum_m gate(sum_j G_j h_j + c)_m * tanh(h_m)."""

import numpy as np
import pytest
from feature_reference import (
    MODALITIES,
    affine,
    assert_equals_formula,
    build,
    parity_accuracy,
    random_items,
)


@pytest.mark.parametrize("modalities", MODALITIES)
@pytest.mark.parametrize("gate", ["softmax", "sigmoid"])
def test_equals_the_formula(modalities, gate):
    names = list(random_items(modalities).modalities)

    def formula(state, x):
        h = {name: affine(state, f"project.{name}", x[name]) for name in x}
        width = len(next(iter(h.values())))
        logits = state["gate_bias"].copy()
        for name in h:
            logits += (state[f"gates.{name}.weight"] @ h[name]).reshape(len(names), width)
        view = np.zeros(width)
        for k in range(width):
            here = {name: logits[names.index(name), k] for name in h}
            total = sum(np.exp(value) for value in here.values())
            for name, value in here.items():
                z = np.exp(value) / total if gate == "softmax" else 1 / (1 + np.exp(-value))
                view[k] += z * np.tanh(h[name][k])
        return view

    assert_equals_formula({"name": "gated", "gate": gate}, modalities, formula)


def test_a_softmax_gate_keeps_views_within_one():
    assert build("gated", 4)(random_items(4)).views.abs().max() <= 1


def test_learns_what_no_modality_knows_alone():
    assert parity_accuracy("gated", 3) > 0.95
