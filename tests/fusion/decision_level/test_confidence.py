"""confidence: weights softmax(a_m c_m + b_m), c_m the negative energy of m's centred scores."""

from math import cosh, exp, log

import pytest
import torch
from decision_reference import (
    MODALITIES,
    assert_combines,
    build,
    by_modality,
    case,
    log_mean_exp,
    softmax,
)


@pytest.mark.parametrize("modalities", MODALITIES)
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_equals_the_formula(modalities, temperature):
    def formula(state, query, scores):
        logits = {}
        for m, values in by_modality(scores).items():
            mean = sum(values) / len(values)
            c = temperature * log_mean_exp([(x - mean) / temperature for x in values])
            logits[m] = exp(state[f"log_slope.{m}"]) * c + state[f"offset.{m}"]
        weights = [softmax({m: logits[m] for m in s}) for s in scores]
        return [sum(w[m] * s[m] for m in s) for w, s in zip(weights, scores, strict=True)]

    assert_combines({"name": "confidence", "temperature": temperature}, modalities, formula)


def test_confidence_is_the_papers_energy_up_to_the_mean_and_the_number_of_candidates():
    found = case({"name": "confidence", "temperature": 2.0}, 3)
    scores = found.given[:, :7]
    everything = torch.ones_like(scores, dtype=torch.bool)
    energy = -2.0 * (scores / 2.0).exp().sum(1).log()
    expected = -energy - scores.mean(1) - 2.0 * log(7)
    assert torch.allclose(found.fusion.confidences(scores, everything)[:, 0], expected)


def two_modalities(*columns):
    scores = torch.tensor(columns, dtype=torch.float64).T
    return scores, torch.ones_like(scores, dtype=torch.bool)


def test_flat_scores_have_no_confidence_and_two_candidates_log_cosh():
    fusion = build("confidence", 2)
    scores, present = two_modalities([3.0, 3.0], [1.0, 5.0])
    flat, sharp = fusion.confidences(scores, present)[0].tolist()
    assert flat == pytest.approx(0, abs=1e-12)
    assert sharp == pytest.approx(log(cosh(2.0)))


def test_the_level_of_a_modality_says_nothing():
    fusion = build("confidence", 2)
    scores, present = two_modalities([0.3, -0.7, 2.0], [0.1, 0.2, 0.3])
    shifted = scores + torch.tensor([100.0, 0.0], dtype=torch.float64)
    first, second = (fusion.view_weights(s, None, present) for s in (scores, shifted))
    assert torch.allclose(first, second)


def test_the_confident_modality_decides_where_a_plain_sum_is_tied():
    """Of confidences that are computed and then forgotten, the two candidates would be equal."""
    fusion = build("confidence", 2)
    for p in (*fusion.log_slope.values(), *fusion.offset.values()):
        p.data.zero_()
    # Text is sure of candidate 0; image spreads as much against it, but evenly over the others.
    scores, present = two_modalities([4.0, 0.0, 0.0, 0.0], [0.0, 4.0, 3.9, 3.8])
    assert scores.sum(1)[0] == scores.sum(1)[1]
    combined = fusion.combine(scores, None, present)
    assert combined[0] > combined[1] + 0.5
    weights = fusion.view_weights(scores, None, present)
    assert torch.allclose(combined, (weights * scores).sum(-1))
