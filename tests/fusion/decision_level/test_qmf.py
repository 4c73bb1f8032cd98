"""qmf: sum_m (alpha_m E_m + beta_m) s_m, E_m = -T log sum_k exp(s_mk / T), alpha_m < 0."""

from math import exp, log

import pytest
import torch
from decision_reference import MODALITIES, assert_combines, build, by_modality


@pytest.mark.parametrize("modalities", MODALITIES)
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_equals_the_formula(modalities, temperature):
    def lines(state, scores):
        found = {}
        for m, values in by_modality(scores).items():
            energy = -temperature * log(sum(exp(x / temperature) for x in values))
            found[m] = -exp(state[f"log_slope.{m}"]) * energy + state[f"offset.{m}"]
        return found

    def formula(state, query, scores):
        w = lines(state, scores)
        return [sum(w[m] * s[m] for m in s) for s in scores]

    def shares(state, query, scores):
        w = {m: abs(x) for m, x in lines(state, scores).items()}
        return [{m: w[m] / sum(w[other] for other in s) for m in s} for s in scores]

    assert_combines({"name": "qmf", "temperature": temperature}, modalities, formula, shares)


def test_a_negative_weight_is_shared_by_its_size():
    """Two candidates of score 0: E = -log 2, so weights log 2 + beta: here log 2 and -3 log 2."""
    fusion = build("qmf", 2)
    for p in (*fusion.log_slope.values(), *fusion.offset.values()):
        p.data.zero_()
    fusion.offset["image"].data.fill_(-4 * log(2))
    scores = torch.zeros(2, 2, dtype=torch.float64)
    weights = fusion.view_weights(scores, None, torch.ones_like(scores, dtype=torch.bool))
    assert weights.tolist() == [pytest.approx([1 / 4, 3 / 4])] * 2


def test_worked_example():
    """Scores (0, 0) and (log 3, 0): E = -log 2 and -log 4, so weights log 2 and 2 log 2."""
    fusion = build("qmf", 2)
    for p in (*fusion.log_slope.values(), *fusion.offset.values()):
        p.data.zero_()
    scores = torch.tensor([[0.0, log(3)], [0.0, 0.0]], dtype=torch.float64)
    present = torch.ones_like(scores, dtype=torch.bool)
    combined = fusion.combine(scores, None, present)
    assert combined.tolist() == pytest.approx([2 * log(2) * log(3), 0])
    weights = fusion.view_weights(scores, None, present)
    assert weights.tolist() == [pytest.approx([1 / 3, 2 / 3])] * 2
