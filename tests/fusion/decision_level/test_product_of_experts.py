"""product_of_experts: the product of the modalities' probabilities against the uniform expert."""

from math import exp, log

import pytest
import torch
from decision_reference import MODALITIES, assert_combines, by_modality, case


@pytest.mark.parametrize("modalities", MODALITIES)
def test_softmax_experts_equal_the_formula(modalities):
    def formula(state, query, scores):
        lists = by_modality(scores)
        found = []
        for s in scores:
            product = 1.0
            for m in s:
                probability = exp(s[m]) / sum(exp(x) for x in lists[m])
                product *= probability / (1 / len(lists[m]))
            found.append(log(product))
        return found

    def weights(state, query, scores):
        return [{m: 1 / len(s) for m in s} for s in scores]

    assert_combines("product_of_experts", modalities, formula, weights)


@pytest.mark.parametrize("modalities", MODALITIES)
def test_bernoulli_experts_equal_the_formula(modalities):
    def formula(state, query, scores):
        found = []
        for s in scores:
            product = 1.0
            for m in s:
                product *= (1 / (1 + exp(-s[m]))) / 0.5
            found.append(log(product))
        return found

    def weights(state, query, scores):
        rejections = [{m: 1 / (1 + exp(s[m])) for m in s} for s in scores]
        return [{m: r[m] / sum(r.values()) for m in r} for r in rejections]

    part = {"name": "product_of_experts", "expert": "bernoulli"}
    assert_combines(part, modalities, formula, weights)


def test_with_everything_present_softmax_of_the_scores_is_the_normalised_product():
    found = case("product_of_experts", 3)
    everything = torch.ones_like(found.present)
    combined = found.fusion.combine(found.given, found.query, everything)
    product = found.given.softmax(1).prod(-1)
    assert torch.allclose(combined.softmax(1), product / product.sum(1, keepdim=True))
    assert torch.allclose(combined.softmax(1), found.given.sum(-1).softmax(1))


def test_an_item_that_lacks_a_modality_stands_where_the_average_candidate_does():
    found = case("product_of_experts", 2)
    scores = torch.tensor([[0.0, 1.0], [0.0, -2.0], [0.0, 0.0]], dtype=torch.float64)
    present = torch.tensor([[True, True], [True, True], [True, False]])
    good, bad, unknown = found.fusion.combine(scores + 7.0, None, present).tolist()
    assert bad < unknown < good
    assert unknown == pytest.approx(0, abs=1e-12)


def test_a_bernoulli_expert_can_veto_what_a_sum_would_let_pass():
    fusion = case({"name": "product_of_experts", "expert": "bernoulli"}, 2).fusion
    scores = torch.tensor([[9.0, -5.0], [1.0, 1.0]], dtype=torch.float64)
    everything = torch.ones_like(scores, dtype=torch.bool)
    one_objects, both_agree = fusion.combine(scores, None, everything).tolist()
    assert scores.sum(1)[0] > scores.sum(1)[1]
    assert one_objects < both_agree
    assert fusion.view_weights(scores, None, everything)[0, 1] > 0.99
