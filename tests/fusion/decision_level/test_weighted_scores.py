"""weighted_scores: s = sum_m a_m s_m, a = softmax(alpha) over the modalities the item has."""

import pytest
import torch
from decision_reference import MODALITIES, assert_combines, case, softmax


@pytest.mark.parametrize("modalities", MODALITIES)
def test_equals_the_formula(modalities):
    def formula(state, query, scores):
        weights = [softmax({m: state[f"alpha.{m}"] for m in s}) for s in scores]
        return [sum(w[m] * s[m] for m in s) for w, s in zip(weights, scores, strict=True)]

    assert_combines("weighted_scores", modalities, formula)


def test_a_modality_of_vanishing_weight_still_speaks_alone():
    found = case("weighted_scores", 2, torch.float32)
    found.fusion.alpha["text"].data.fill_(-200.0)
    only_text = found.present[..., 0] & ~found.present[..., 1]
    assert only_text.any()
    combined = torch.from_numpy(found.combined())
    assert torch.equal(combined[only_text], found.given[..., 0][only_text])
