"""film: each modality scaled and shifted by a network that reads the mean of the others."""

from math import erf

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

from fusionlab.fusion.checks import CHECKS, hold
from fusionlab.fusion.contract import FUSIONS


@pytest.mark.parametrize("modalities", MODALITIES)
def test_equals_the_formula(modalities):
    def formula(state, x):
        h = {name: affine(state, f"project.{name}", x[name]) for name in x}
        total = 0
        for name in h:
            gamma = beta = 0
            others = [h[other] for other in h if other != name]
            if others:
                hidden = affine(state, f"generators.{name}.0", sum(others) / len(others))
                hidden = np.array([z * (1 + erf(z / 2**0.5)) / 2 for z in hidden])
                gamma, beta = np.split(affine(state, f"generators.{name}.2", hidden), 2)
            total = total + (1 + gamma) * h[name] + beta
        return total / len(h)

    assert_equals_formula("film", modalities, formula)


@pytest.mark.parametrize("modalities", MODALITIES)
def test_one_modality_modulated_by_the_others_is_the_papers(modalities):
    """FiLM(h) = (1 + gamma(c)) * h + beta(c), the conditioning c what the others say."""

    def paper(state, x):
        h = {name: affine(state, f"project.{name}", x[name]) for name in x}
        target = h.pop("text", np.zeros(16))
        if not h:
            return target
        c = sum(h.values()) / len(h)
        hidden = affine(state, "generators.text.0", c)
        hidden = np.array([z * (1 + erf(z / 2**0.5)) / 2 for z in hidden])
        delta, beta = np.split(affine(state, "generators.text.2", hidden), 2)
        return (1 + delta) * target + beta

    assert_equals_formula({"name": "film", "modulated": "text"}, modalities, paper)


@torch.no_grad()
def test_a_world_without_the_modulated_modality_is_one_whose_items_lack_it():
    film, items = build({"name": "film", "modulated": "text"}, 3), random_items(3)
    others = items.without_columns(["text"])
    without = FUSIONS.parse({"name": "film", "modulated": "text"}).build(others.specs, 16).double()
    state = {key: x for key, x in film.state_dict().items() if "project.text" not in key}
    for kind in ("weight", "bias"):  # the scales have nothing to scale
        state[f"generators.text.2.{kind}"] = state[f"generators.text.2.{kind}"].chunk(2)[1]
    without.load_state_dict(state)
    found, wanted = without(others), film(items.only(["image", "audio"]))
    assert torch.allclose(found.views, wanted.views, atol=1e-12)
    assert torch.equal(found.present, wanted.present)
    assert found.views[found.present].std() > 0.1


def test_a_lone_modality_is_not_modulated():
    film, mean = build("film", 3), build("mean", 3)
    projections = {k: v for k, v in film.state_dict().items() if k.startswith("project.")}
    mean.load_state_dict(projections)
    alone = random_items(3).only(["image"])
    assert torch.equal(film(alone).views, mean(alone).views)


def test_one_modality_has_no_generator():
    assert {name.split(".")[0] for name in build("film", 1).state_dict()} == {"project"}


@pytest.mark.parametrize("modalities", [2, 3])
def test_learns_what_no_modality_knows_alone(modalities):
    """With three, the parity needs a generator that is not linear."""
    assert parity_accuracy("film", modalities, steps=300) > 0.95


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("modulated", ["text", "smell"])
def test_the_contract_holds_for_one_modulated_modality(check, modulated):
    """One of the inputs, or one that is left out of them."""
    hold(check, FUSIONS.parse({"name": "film", "modulated": modulated}))
