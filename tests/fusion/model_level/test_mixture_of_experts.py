import math

import numpy as np
import pytest
import torch
from model_reference import (
    DIM,
    MODALITIES,
    Net,
    build,
    mean,
    random_items,
    softmax,
    softplus,
    tokens_of,
)

from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import FUSIONS

E, BALANCE = 4, 0.5
ROUTERS = [None, 1, 3]


def part(top_k=None, **options):
    return {
        "name": "mixture_of_experts",
        "experts": E,
        "top_k": top_k,
        "balance": BALANCE,
        **options,
    }


def by_hand(fusion, items, top_k):
    """Routes, views and chosen experts, an item and an expert at a time."""
    net, routes, views, chosen = Net(fusion), [], [], []
    for row in range(len(items)):
        tokens = tokens_of(items, row)
        if not tokens:
            routes.append(None), views.append({}), chosen.append([])
            continue
        x = sum(net.linear(f"project.{name}", mean(xs)) for name, xs in tokens.items())
        p = softmax([net["router.weight"][k] @ x for k in range(E)])
        best = sorted(range(E), key=lambda k: -p[k])[: top_k or E]
        routes.append(p), chosen.append(best)
        views.append({k: len(best) * p[k] * net.feed_forward(f"experts.{k}", x) for k in best})
    return routes, views, chosen


@pytest.mark.parametrize("top_k", ROUTERS)
@pytest.mark.parametrize("modalities", MODALITIES)
@pytest.mark.parametrize("pooled", [False, True])
def test_equals_the_formula(modalities, top_k, pooled):
    items = random_items(modalities, pooled=pooled)
    fusion = build(part(top_k), items)
    fused = fusion(items)
    _, views, chosen = by_hand(fusion, items, top_k)
    for row in range(len(items)):
        assert fused.present[row].nonzero().flatten().tolist() == sorted(chosen[row])
        for k in range(E):
            expected = views[row].get(k, np.zeros(DIM))
            np.testing.assert_allclose(fused.views[row, k].detach(), expected, atol=1e-9)


@pytest.mark.parametrize("top_k", ROUTERS)
def test_scores_are_routed_by_item_and_user(top_k):
    items = random_items(3)
    fusion = build(part(top_k), items)
    fused, users = fusion(items), torch.randn(5, E, DIM, dtype=torch.float64)
    scores = torch.einsum("bkd,nkd->bnk", users, fused.views)
    combined = fusion.combine(scores, users, fused.present.expand(scores.shape)).detach()
    net = Net(fusion)
    _, views, chosen = by_hand(fusion, items, top_k)
    for u, q in enumerate(users.numpy()):
        for row, best in enumerate(chosen):
            a = softmax([net["user_router"][k] @ q[k] for k in best]) if best else []
            expected = sum(w * (q[k] @ views[row][k]) for w, k in zip(a, best, strict=True))
            np.testing.assert_allclose(combined[u, row], expected, atol=1e-9)


def test_the_chosen_gate_is_the_papers_softmax_of_the_top_logits():
    """Shazeer: G = softmax(KeepTopK(x W_g, k)), what is not kept being minus infinity."""
    items = random_items(3)
    fusion = build(part(2, gate="chosen"), items)
    views, net = fusion(items).views.detach() / 2, Net(fusion)  # C has two, their mean is scored
    for row in range(len(items)):
        tokens = tokens_of(items, row)
        if not tokens:
            continue
        x = sum(net.linear(f"project.{name}", mean(xs)) for name, xs in tokens.items())
        logits = net["router.weight"] @ x
        kept = np.where(logits >= np.sort(logits)[-2], logits, -np.inf)
        for k, gate in enumerate(softmax(kept)):
            np.testing.assert_allclose(
                views[row, k], gate * net.feed_forward(f"experts.{k}", x), atol=1e-9
            )


def test_a_gate_over_one_expert_is_refused():
    with pytest.raises(FusionlabError, match=r"fusion\.gate: found 'chosen' with top_k = 1"):
        build(part(1, gate="chosen"), random_items(2))


@pytest.mark.parametrize("top_k", [None, 1])
def test_one_query_without_preference_meets_the_layers_of_the_papers(top_k):
    """Shazeer: y = sum_i G(x)_i E_i(x), G = softmax(x W_g). Fedus: y = p_i E_i(x) of the best i."""
    items = random_items(3)
    fusion = build(part(top_k), items)
    torch.nn.init.zeros_(fusion.user_router)
    fused, q = fusion(items), torch.randn(DIM, dtype=torch.float64)
    scores = fused.views @ q
    users = q.expand(E, DIM)
    combined = fusion.combine(scores, users, fused.present).detach()
    net = Net(fusion)
    for row in range(len(items)):
        tokens = tokens_of(items, row)
        if not tokens:
            continue
        x = sum(net.linear(f"project.{name}", mean(xs)) for name, xs in tokens.items())
        gate = softmax(net["router.weight"] @ x)
        experts = range(E) if top_k is None else [gate.argmax()]
        y = sum(gate[i] * net.feed_forward(f"experts.{i}", x) for i in experts)
        np.testing.assert_allclose(combined[row], q.numpy() @ y, atol=1e-9)


def test_a_user_without_preference_leaves_the_choice_to_the_item():
    items = random_items(3, gaps=False)
    fusion = build(part(), items)
    torch.nn.init.zeros_(fusion.user_router)
    users = torch.randn(5, E, DIM, dtype=torch.float64)
    views = fusion(items).views
    scores = torch.einsum("bkd,nkd->bnk", users, views)
    combined = fusion.combine(scores, users, torch.ones_like(scores, dtype=torch.bool))
    torch.testing.assert_close(combined, scores.mean(-1))


def test_a_hot_headed_user_chooses_among_the_experts_that_are_there():
    fusion = build(part(2), random_items(2))
    with torch.no_grad():
        fusion.user_router.fill_(1e3)
    users = torch.arange(E, dtype=torch.float64)[None, :, None].expand(1, E, DIM)
    present = torch.tensor([[[True, True, False, False], [False] * 4]])
    weights = fusion.view_weights(torch.zeros(1, 2, E).double(), users, present)
    assert weights.tolist() == [[[0, 1, 0, 0], [0, 0, 0, 0]]]


@pytest.mark.parametrize("top_k", ROUTERS)
def test_the_penalty_is_the_papers(top_k):
    items = random_items(3)
    fusion = build(part(top_k), items)
    penalty = fusion(items).penalty.detach()
    routes, _, chosen = by_hand(fusion, items, top_k)
    there = [row for row, p in enumerate(routes) if p is not None]
    importance = mean([routes[row] for row in there])
    if top_k is None:  # Shazeer: the squared coefficient of variation of the importance
        expected = 1 + importance.var() / importance.mean() ** 2
    else:  # Fedus: E sum_k f_k P_k, f the share of slots that were given to k
        slots = [k for row in there for k in chosen[row]]
        f = [slots.count(k) / len(slots) for k in range(E)]
        expected = E * sum(f[k] * importance[k] for k in range(E))
    np.testing.assert_allclose(penalty[there].mean(), BALANCE * expected)
    assert penalty[0] == 0, "an item with nothing in it is routed nowhere"


def test_a_router_that_is_even_pays_the_least():
    items = random_items(3, gaps=False)
    fusion = build(part(), items)
    torch.nn.init.zeros_(fusion.router.weight)
    penalty = fusion(items).penalty
    torch.testing.assert_close(penalty, torch.full_like(penalty, BALANCE))


def test_views_are_experts_and_say_so():
    fusion = build(part(), random_items(2))
    assert fusion.view_names == ("expert 1", "expert 2", "expert 3", "expert 4")
    assert fusion.n_views == E
    assert fusion.fold(torch.ones(3, E, dtype=torch.bool)) is None


def test_more_chosen_than_there_are_is_refused():
    with pytest.raises(FusionlabError, match=r"top_k: found 5, expected at most experts = 4"):
        build(part(5), random_items(2))


def noisy_routes(fusion, items, drawn):
    """Shazeer's H = x W_g + StandardNormal() Softplus(x W_noise), and what it is made of."""
    net, routes = Net(fusion), []
    for row in range(len(items)):
        tokens = tokens_of(items, row)
        if not tokens:
            routes.append(None)
            continue
        x = sum(net.linear(f"project.{name}", mean(xs)) for name, xs in tokens.items())
        clean = [net["router.weight"][k] @ x for k in range(E)]
        sigma = [softplus(net["noise.weight"][k] @ x) + 0.01 for k in range(E)]
        noisy = [clean[k] + drawn[row][k] * sigma[k] for k in range(E)]
        routes.append((x, clean, sigma, noisy))
    return routes


def squared_variation(totals):
    centre = sum(totals) / len(totals)
    return sum((x - centre) ** 2 for x in totals) / len(totals) / centre**2


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("top_k", [2, 3])
def test_noise_and_losses_are_those_of_the_noisy_top_k_gate(top_k, training):
    items = random_items(3)
    fusion = build(part(top_k, gate="chosen", noise=True), items).train(training)
    torch.manual_seed(11)
    fused = fusion(items)
    torch.manual_seed(11)
    drawn = torch.randn(len(items), E, dtype=torch.float64) * training
    importance, load = [0.0] * E, [0.0] * E
    for row, route in enumerate(noisy_routes(fusion, items, drawn.tolist())):
        if route is None:
            assert fused.penalty[row] == 0
            continue
        x, clean, sigma, noisy = route
        best = sorted(range(E), key=lambda k: -noisy[k])[:top_k]
        gates = softmax([noisy[k] for k in best])
        for k, gate in zip(best, gates, strict=True):
            importance[k] += gate
            expected = top_k * gate * Net(fusion).feed_forward(f"experts.{k}", x)
            np.testing.assert_allclose(fused.views[row, k].detach(), expected, atol=1e-9)
        assert fused.present[row].nonzero().flatten().tolist() == sorted(best)
        for k in range(E):
            excluding = sorted((noisy[j] for j in range(E) if j != k), reverse=True)[top_k - 1]
            load[k] += (1 + math.erf((clean[k] - excluding) / sigma[k] / 2**0.5)) / 2
    expected = BALANCE * (squared_variation(importance) + squared_variation(load))
    there = fused.present.any(1)
    np.testing.assert_allclose(fused.penalty[there].detach(), expected, rtol=1e-9)


@torch.no_grad()
def test_the_load_is_how_often_an_expert_is_chosen_when_its_noise_is_drawn_again():
    fusion, draws = build(part(2, noise=True), random_items(2)), 20_000
    clean, sigma = torch.randn(2, 1, E, dtype=torch.float64)
    sigma = sigma.exp()
    h = clean + torch.randn(1, E).double() * sigma
    for k in range(E):
        again = h.repeat(draws, 1)
        again[:, k] = clean[0, k] + torch.randn(draws).double() * sigma[0, k]
        often = (again.topk(2).indices == k).any(1).double().mean()
        assert fusion._load(clean, h, sigma)[0, k].item() == pytest.approx(often.item(), abs=0.02)


def test_noise_starts_without_a_preference_and_needs_a_choice():
    fusion = FUSIONS.parse(part(2, noise=True)).build(random_items(2).specs, DIM)
    assert not fusion.noise.weight.any()
    for top_k in (None, E):
        with pytest.raises(
            FusionlabError, match=rf"fusion\.noise: found true with top_k = {top_k}"
        ):
            build(part(top_k, noise=True), random_items(2))
