"""attention_pooling: sum_m softmax(W [x_1; ...; x_M] + c)_m (P_m x_m + b_m)."""

from math import exp

import numpy as np
import pytest
import torch
from feature_reference import MODALITIES, affine, assert_equals_formula, build, random_items

from fusionlab.data.features import FeatureSpec
from fusionlab.fusion.contract import FUSIONS


@pytest.mark.parametrize("modalities", MODALITIES)
def test_equals_the_formula(modalities):
    names = list(random_items(modalities).modalities)

    def formula(state, x):
        logits = state["attend_bias"].copy()
        for name in x:
            logits += state[f"attend.{name}.weight"] @ x[name]
        energy = {name: exp(logits[names.index(name)]) for name in x}
        parts = [energy[name] * affine(state, f"project.{name}", x[name]) for name in x]
        return sum(parts) / sum(energy.values())

    assert_equals_formula("attention_pooling", modalities, formula)


@pytest.mark.parametrize("modalities", MODALITIES)
def test_additive_scores_are_the_papers(modalities):
    """e_m = w . tanh(V_m x_m + c_m), each modality for itself."""

    def paper(state, x):
        w = state["score.weight"][0]
        e = {name: w @ np.tanh(affine(state, f"attend.{name}", x[name])) for name in x}
        total = sum(exp(value) for value in e.values())
        return sum(exp(e[name]) / total * affine(state, f"project.{name}", x[name]) for name in x)

    assert_equals_formula({"name": "attention_pooling", "scores": "additive"}, modalities, paper)


def test_votes_start_as_a_linear_layer_on_the_whole_would():
    """Uniform within 1 / sqrt(sum of widths), whatever the width of a modality."""
    specs = {"a": FeatureSpec(3900), "b": FeatureSpec(100)}
    fusion = FUSIONS.parse("attention_pooling").build(specs, 64)
    for linear in fusion.attend.values():
        assert linear.weight.abs().max() <= 4000**-0.5
        assert linear.weight.std().item() == pytest.approx(4000**-0.5 / 3**0.5, rel=0.15)


def test_equal_votes_give_the_mean():
    attention, mean = build("attention_pooling", 4), build("mean", 4)
    for linear in attention.attend.values():
        torch.nn.init.zeros_(linear.weight)
    torch.nn.init.zeros_(attention.attend_bias)
    mean.project.load_state_dict(attention.project.state_dict())
    items = random_items(4)
    assert torch.allclose(attention(items).views, mean(items).views, atol=1e-12)


def test_a_large_vote_chooses_one_modality_and_the_rest_where_it_is_absent():
    fusion, items = build("attention_pooling", 3), random_items(3)
    with torch.no_grad():
        fusion.attend_bias[1] = 1000.0
    views, present = fusion(items).views, items.present("image")
    assert torch.allclose(views[present], fusion(items.only(["image"])).views[present], atol=1e-9)
    assert (views[~present] == fusion(items.only(["text", "audio"])).views[~present]).all()
