"""evidential: Dirichlet opinions of the modalities under Dempster's rule of combination."""

from functools import reduce
from itertools import permutations
from math import exp, log, log1p

import pytest
import torch
from decision_reference import MODALITIES, assert_combines, build, case
from hypothesis import given, settings
from hypothesis import strategies as st

THETA = "the whole frame"


def dempster(first, second):
    """Dempster's rule for masses {focal set: mass}; the sets are single classes and THETA."""
    combined, conflict = {}, 0.0
    for a, mass_a in first.items():
        for b, mass_b in second.items():
            if THETA in (a, b) or a == b:
                meet = b if a == THETA else a
                combined[meet] = combined.get(meet, 0.0) + mass_a * mass_b
            else:
                conflict += mass_a * mass_b
    return {focal: mass / (1 - conflict) for focal, mass in combined.items()}


def opinion(evidence, prior):
    """Masses of a Dirichlet with this evidence for each class."""
    strength = sum(evidence) + prior
    return {k: e / strength for k, e in enumerate(evidence)} | {THETA: prior / strength}


def softplus(x):
    return log1p(exp(x))


def log_probabilities(masses, candidates, prior):
    """Log of the expected probabilities: S = W / u, e = b S, p = (e + W / N) / S."""
    strength = prior / masses[THETA]
    return [
        log((masses.get(k, 0.0) * strength + prior / candidates) / strength)
        for k in range(candidates)
    ]


def relu(modalities):
    """A strategy whose scores are the evidence."""
    return build({"name": "evidential", "evidence": "relu"}, modalities)


def opinions(*evidence):
    """Evidence of each modality (M lists over N classes) as scores (N, M), all present."""
    scores = torch.tensor(evidence, dtype=torch.float64).T
    return scores, torch.ones_like(scores, dtype=torch.bool)


@pytest.mark.parametrize("modalities", MODALITIES)
@pytest.mark.parametrize("prior", [None, 2.0])
@pytest.mark.parametrize("evidence", ["softplus", "relu"])
def test_equals_dempsters_rule_applied_pair_by_pair(modalities, prior, evidence):
    activation = softplus if evidence == "softplus" else (lambda x: max(x, 0.0))

    def evidence_by_modality(scores):
        names = {m for s in scores for m in s}
        return {m: [activation(s[m]) if m in s else 0.0 for s in scores] for m in names}

    def formula(state, query, scores):
        weight = prior or len(scores)
        found = evidence_by_modality(scores)
        masses = reduce(dempster, (opinion(e, weight) for e in found.values()))
        return log_probabilities(masses, len(scores), weight)

    def weights(state, query, scores):
        weight = prior or len(scores)
        found = evidence_by_modality(scores)
        result = []
        for i, s in enumerate(scores):
            support = {m: log(1 + found[m][i] / weight) for m in s}
            total = sum(support.values())
            result.append({m: x / total if total else 1 / len(s) for m, x in support.items()})
        return result

    part = {"name": "evidential", "evidence": evidence, "prior": prior}
    assert_combines(part, modalities, formula, weights)


def test_worked_example_by_hand():
    """Evidence (2, 0) and (0, 2): b = (1/2, 0) and (0, 1/2), u = 1/2, conflict 1/4.

    Beliefs 1/4 / (3/4) = 1/3 each, uncertainty 1/4 / (3/4) = 1/3; S = 6, probabilities 1/2.
    Evidence (2, 0) twice: no conflict, b = (3/4, 0), u = 1/4; S = 8, probabilities 7/8 and 1/8.
    """
    fusion = relu(2)
    belief, uncertainty = fusion.opinion(*opinions([2.0, 0.0], [0.0, 2.0]))
    assert belief.tolist() == pytest.approx([1 / 3, 1 / 3])
    assert uncertainty.item() == pytest.approx(1 / 3)
    scores, present = opinions([2.0, 0.0], [2.0, 0.0])
    belief, uncertainty = fusion.opinion(scores, present)
    assert belief.tolist() == pytest.approx([3 / 4, 0])
    assert uncertainty.item() == pytest.approx(1 / 4)
    assert fusion.combine(scores, None, present).exp().tolist() == pytest.approx([7 / 8, 1 / 8])


def added_over_ordered_pairs(opinions_of, classes):
    """What MultiBench++ does instead (`DS_Combin` of its TMC), as read in its code.

    It goes over all ordered pairs i != j of modalities, combines each by Dempster's rule, adds up
    the beliefs and multiplies the uncertainties, and returns alpha = b K / u + 1 of those two
    totals, K classes. The uncertainty that this alpha holds is K / sum alpha.
    """
    belief, uncertainty = [0.0] * classes, 1.0
    for i, first in enumerate(opinions_of):
        for j, second in enumerate(opinions_of):
            if i != j:
                pair = dempster(first, second)
                belief = [b + pair[k] for k, b in enumerate(belief)]
                uncertainty *= pair[THETA]
    alpha = [b * classes / uncertainty + 1 for b in belief]
    return classes / sum(alpha)


@pytest.mark.parametrize(
    "logits",
    [
        ((0.0, 0.0, 0.0), (1.0, 2.0, 2.0)),
        # In conflict: first rows of two draws of 3 randn(4, 3), seed 0.
        ((4.6230, -0.8803, -6.5364), (-2.5700, 3.3018, -3.2136)),
    ],
)
def test_combined_uncertainty_where_ordered_pairs_go_wrong(logits):
    """Two modalities, three classes, softplus evidence: uncertainty .251, and not .041.

    Dempster's rule leaves u = .251. Added over the ordered pairs (1, 2) and (2, 1) the beliefs
    double and the uncertainty is squared: u^2 / (2 (1 - u) + u^2) = .041. So with two modalities
    .041 follows from u = .2514 whatever the logits; these are examples that have it (the logits of
    the published pair of numbers are not known).
    """
    fusion = build("evidential", 2)
    belief, uncertainty = fusion.opinion(*opinions(*logits))
    masses = [opinion([softplus(x) for x in view], 3) for view in logits]
    combined = dempster(*masses)
    u = uncertainty.item()
    assert u == pytest.approx(combined[THETA], abs=1e-12)
    assert belief.tolist() == pytest.approx([combined[k] for k in range(3)], abs=1e-12)
    assert round(u, 3) == 0.251
    wrong = added_over_ordered_pairs(masses, 3)
    assert wrong == pytest.approx(u**2 / (2 * (1 - u) + u**2))
    assert round(wrong, 3) == 0.041


EVIDENCE = st.floats(0, 1e3, allow_subnormal=False)


@st.composite
def several_opinions(draw):
    candidates = draw(st.integers(2, 6))
    opinion_of = st.lists(EVIDENCE, min_size=candidates, max_size=candidates)
    return draw(st.lists(opinion_of, min_size=2, max_size=4))


@settings(max_examples=60, deadline=None)
@given(several_opinions())
def test_any_order_and_any_grouping_give_the_same(evidence):
    candidates = len(evidence[0])
    fusions = {m: relu(m) for m in (2, len(evidence))}
    belief, uncertainty = fusions[len(evidence)].opinion(*opinions(*evidence))
    assert (belief.sum() + uncertainty).item() == pytest.approx(1)
    for order in permutations(evidence):
        masses = reduce(dempster, (opinion(e, candidates) for e in order))
        assert belief.tolist() == pytest.approx([masses[k] for k in range(candidates)], abs=1e-9)
        # One opinion after the other, each result handed on as evidence b W / u.
        so_far = list(order[0])
        for following in order[1:]:
            b, u = fusions[2].opinion(*opinions(so_far, following))
            so_far = (b * candidates / u).tolist()
        assert (b.tolist(), u.item()) == (
            pytest.approx(belief.tolist(), rel=1e-6, abs=1e-9),
            pytest.approx(uncertainty.item(), rel=1e-6),
        )


def test_an_absent_modality_is_the_vacuous_opinion():
    scores, present = opinions([3.0, 1.0, 0.5], [9.0, 9.0, 0.0])
    present[:, 1] = False
    two, alone = build("evidential", 2), build("evidential", 1)
    found = two.combine(scores, None, present)
    assert torch.allclose(found, alone.combine(scores[:, :1], None, present[:, :1]))
    nothing = torch.zeros_like(present)
    assert two.opinion(scores, nothing)[1].item() == pytest.approx(1)
    assert two.combine(scores, None, nothing).exp().tolist() == pytest.approx([1 / 3] * 3)


def test_conflict_keeps_more_uncertainty_than_agreement():
    fusion = relu(2)
    agree = fusion.opinion(*opinions([8.0, 0.0, 0.0], [8.0, 0.0, 0.0]))[1]
    conflict = fusion.opinion(*opinions([8.0, 0.0, 0.0], [0.0, 8.0, 0.0]))[1]
    assert agree < conflict


@pytest.mark.parametrize("candidates", [2, 20_000])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3, 1e12])
def test_stable_from_two_to_thousands_of_candidates(candidates, scale):
    fusion = build("evidential", 4).float()
    draw = torch.Generator().manual_seed(0)
    scores = scale * torch.randn(2, candidates, 4, generator=draw)
    present = torch.rand(scores.shape, generator=draw) < 0.8
    given = scores.clone().requires_grad_()
    found = fusion.combine(given, None, present)
    found.square().mean().backward()
    assert given.grad.isfinite().all()
    exact = fusion.double().combine(scores.double(), None, present)
    assert torch.allclose(found.double(), exact, atol=1e-4, rtol=1e-5)
    assert torch.allclose(exact.exp().sum(-1), torch.ones(2, dtype=torch.float64))


def test_one_sum_over_modalities_orders_the_candidates():
    """log(1 + e / W) added up ranks as the rule does: products, yes, but no parity."""
    found = case("evidential", 3)
    order = found.fusion.support(found.given, found.present).sum(-1).argsort(dim=-1)
    combined = found.fusion.combine(found.given, None, found.present)
    assert (combined.gather(-1, order).diff(dim=-1) >= -1e-12).all()
    assert (combined.gather(-1, order).diff(dim=-1)[1:] > 0).any()


def test_a_fixed_prior_orders_two_candidates_as_the_whole_list_does():
    """The paper's prior does not: the products count for less, the longer the list."""
    scores, present = opinions([9.0, 4.0, *[0.0] * 98], [0.0, 4.5, *[0.0] * 98])
    orders = {}
    for prior in (None, 2.0):
        fusion = build({"name": "evidential", "evidence": "relu", "prior": prior}, 2)
        whole = fusion.combine(scores, None, present)[:2]
        pair = fusion.combine(scores[:2], None, present[:2])
        orders[prior] = (whole.argmax().item(), pair.argmax().item())
    assert orders == {None: (0, 1), 2.0: (1, 1)}
