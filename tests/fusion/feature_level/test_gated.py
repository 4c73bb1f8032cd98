"""gated: sum_m gate(sum_j G_j h_j + c)_m * tanh(h_m)."""

import numpy as np
import pytest
import torch
from feature_reference import (
    MODALITIES,
    affine,
    assert_computes,
    assert_equals_formula,
    build,
    parity_accuracy,
    random_items,
)


@pytest.mark.parametrize("modalities", MODALITIES)
@pytest.mark.parametrize("gate", ["softmax", "sigmoid"])
@pytest.mark.parametrize("reads", ["projections", "inputs"])
def test_equals_the_formula(modalities, gate, reads):
    names = list(random_items(modalities).modalities)

    def formula(state, x):
        h = {name: affine(state, f"project.{name}", x[name]) for name in x}
        width = len(next(iter(h.values())))
        logits = state["gate_bias"].copy()
        for name, read in (h if reads == "projections" else x).items():
            logits += (state[f"gates.{name}.weight"] @ read).reshape(len(names), width)
        view = np.zeros(width)
        for k in range(width):
            here = {name: logits[names.index(name), k] for name in h}
            total = sum(np.exp(value) for value in here.values())
            for name, value in here.items():
                z = np.exp(value) / total if gate == "softmax" else 1 / (1 + np.exp(-value))
                view[k] += z * np.tanh(h[name][k])
        return view

    assert_equals_formula({"name": "gated", "gate": gate, "reads": reads}, modalities, formula)


def test_two_modalities_are_the_papers_bimodal_unit():
    """h_m = tanh(W_m x_m), z = sigma(W_z [x_v, x_t]), h = z * h_v + (1 - z) * h_t."""
    fusion = build({"name": "gated", "reads": "inputs"}, 2)
    for bias in (fusion.gate_bias, *(linear.bias for linear in fusion.project.values())):
        torch.nn.init.zeros_(bias)

    def paper(state, x):
        if len(x) < 2:  # the paper has no missing modality; the softmax then is one
            return np.tanh(sum(state[f"project.{name}.weight"] @ x[name] for name in x))
        both = np.concatenate([x["text"], x["image"]])
        w = np.concatenate([state[f"gates.{name}.weight"] for name in ("text", "image")], 1)
        w_z = w[: fusion.dim] - w[fusion.dim :]
        h_v, h_t = (np.tanh(state[f"project.{name}.weight"] @ x[name]) for name in x)
        z = 1 / (1 + np.exp(-(w_z @ both)))
        return z * h_v + (1 - z) * h_t

    assert_computes(fusion, random_items(2), paper)


def test_a_softmax_gate_keeps_views_within_one():
    assert build("gated", 4)(random_items(4)).views.abs().max() <= 1


def test_learns_what_no_modality_knows_alone():
    assert parity_accuracy("gated", 3) > 0.95
