from unittest.mock import patch

import numpy as np
import pytest
import torch
from model_reference import (
    DIM,
    MODALITIES,
    Net,
    build,
    gelu,
    mean,
    random_items,
    softplus,
    tokens_of,
)
from torch.distributions import Normal, kl_divergence

from fusionlab.data.features import ItemFeatures

BETA, LAMBDA = 0.3, 0.7
PART = {"name": "variational_experts", "beta": BETA, "reconstruction": LAMBDA}


def in_training(fusion, items):
    """A training step whose sample of the latent is its mean."""
    with patch.object(torch, "randn_like", torch.zeros_like):
        return fusion.train()(items)


def posterior(net, tokens):
    """Mean and precision of the product of the prior and the opinions of those there."""
    natural, precision = np.zeros(DIM), np.ones(DIM)
    for name, xs in tokens.items():
        h = net.linear(f"project.{name}", mean(xs))
        both = net.linear(f"opinions.{name}.1", gelu(h))
        mu, tau = both[:DIM], softplus(both[DIM:])
        natural, precision = natural + tau * mu, precision + tau
    return natural / precision, precision


def statistics(items):
    """The mean of each modality's pooled features, and the root of their mean variance."""
    found = {}
    for name in items.modalities:
        rows = [tokens_of(items, row).get(name) for row in range(len(items))]
        x = np.stack([mean(tokens) for tokens in rows if tokens])
        found[name] = x.mean(0), np.sqrt(np.mean([x[:, j].var() for j in range(x.shape[1])]))
    return found


@pytest.mark.parametrize("modalities", MODALITIES)
@pytest.mark.parametrize("pooled", [False, True])
def test_equals_the_formula(modalities, pooled):
    items = random_items(modalities, pooled=pooled)
    fusion = build(PART, items)
    fusion.fit(items)
    net, fused, spread = Net(fusion), in_training(fusion, items), statistics(items)
    for row in range(len(items)):
        tokens = tokens_of(items, row)
        mu, tau = posterior(net, tokens)
        assert fused.present[row].tolist() == [bool(tokens)]
        np.testing.assert_allclose(fused.views[row, 0].detach(), mu, atol=1e-9)
        latent = Normal(torch.tensor(mu), torch.tensor(tau**-0.5))
        prior = Normal(torch.zeros(DIM).double(), torch.ones(DIM).double())
        penalty = BETA * kl_divergence(latent, prior).sum().item()
        for name, xs in tokens.items():
            x, (center, scale) = mean(xs), spread[name]
            read = net.feed_forward(f"decoders.{name}.network", mu)
            penalty += LAMBDA * sum(((x - center) / scale - read) ** 2) / (2 * len(x))
        np.testing.assert_allclose(fused.penalty[row].item(), penalty, atol=1e-9)


def test_two_opinions_and_the_prior_meet_in_the_middle():
    items = random_items(2, gaps=False)
    fusion = build(PART, items)
    one = float(np.log(np.e - 1))  # softplus of it is a precision of one
    for name, opinion in (("text", 3.0), ("image", 6.0)):
        torch.nn.init.zeros_(fusion.opinions[name][1].weight)
        fusion.opinions[name][1].bias.data[:DIM] = opinion
        fusion.opinions[name][1].bias.data[DIM:] = one
    alone = fusion(items.only(["text"])).views
    torch.testing.assert_close(alone, torch.full_like(alone, 1.5))
    together = fusion(items).views
    torch.testing.assert_close(together, torch.full_like(together, 3.0))


def test_the_penalty_is_the_negative_elbo():
    items = random_items(3, gaps=False, n=4)
    fusion = build({**PART, "beta": 1.0}, items)
    fusion.fit(items)
    net, fused = Net(fusion), in_training(fusion, items)
    differences = []
    for row in range(len(items)):
        mu, tau = posterior(net, tokens_of(items, row))
        latent = Normal(torch.tensor(mu), torch.tensor(tau**-0.5))
        elbo = -kl_divergence(latent, Normal(torch.zeros(DIM).double(), 1.0)).sum().item()
        for name, xs in tokens_of(items, row).items():
            center, scale = net[f"decoders.{name}.center"], net[f"decoders.{name}.scale"]
            x = torch.tensor((mean(xs) - center) / scale)
            likelihood = Normal(torch.tensor(net.feed_forward(f"decoders.{name}.network", mu)), 1.0)
            elbo += LAMBDA / len(x) * likelihood.log_prob(x).sum().item()
        differences.append(fused.penalty[row].item() + elbo)
    np.testing.assert_allclose(differences, differences[0])  # the normal density's constant


def test_training_samples_from_the_posterior():
    items = random_items(2, gaps=False, n=1)
    fusion = build(PART, items)
    mu, tau = posterior(Net(fusion), tokens_of(items, 0))
    many = items.take(torch.zeros(4000, dtype=torch.long))
    fusion.train()
    torch.manual_seed(5)
    sample = fusion(many).views[:, 0].detach()
    torch.manual_seed(5)
    assert torch.equal(sample, fusion(many).views[:, 0])
    assert not torch.equal(sample, fusion(many).views[:, 0])
    spread = np.sqrt(1 / tau)
    np.testing.assert_array_less(np.abs(sample.numpy().mean(0) - mu), 5 * spread / np.sqrt(4000))
    np.testing.assert_allclose(sample.numpy().std(0), spread, rtol=0.06)
    fusion.eval()
    assert torch.equal(fusion(many).views, fusion(many).views)


def test_reconstruction_does_not_depend_on_the_scale_of_the_features():
    items = random_items(2)
    large = ItemFeatures({name: 1000 * x + 7 for name, x in items.values.items()}, items.mask)
    errors = []
    for given in (items, large):
        fusion = build({**PART, "beta": 0.0}, items)
        fusion.fit(given)
        for head in fusion.opinions.values():  # the same latent for both
            torch.nn.init.zeros_(head[1].weight)
        errors.append(in_training(fusion, given).penalty)
    torch.testing.assert_close(errors[0], errors[1])


def test_features_that_do_not_vary_or_are_not_there_can_be_fitted():
    items = random_items(2, gaps=False)
    same = {"text": torch.ones_like(items.values["text"]), "image": items.values["image"]}
    mask = {"text": items.mask["text"], "image": torch.zeros_like(items.mask["image"])}
    fusion = build(PART, items)
    fusion.fit(ItemFeatures(same, mask))
    never = build(PART, items)
    never.fit(ItemFeatures(same, mask).without_columns(["image"]))
    penalty = in_training(fusion, items).penalty
    assert torch.equal(penalty, in_training(never, items).penalty)
    assert penalty.isfinite().all()


def test_without_reconstruction_there_are_no_decoders():
    items = random_items(2)
    fusion = build({**PART, "reconstruction": 0.0}, items)
    assert not any(name.startswith("decoders") for name, _ in fusion.named_parameters())
    nothing = fusion(items).penalty[0]
    assert nothing == 0, "an item with nothing in it is the prior itself"


def test_evaluation_leaves_out_the_decoders():
    items = random_items(3)
    fusion, without = build(PART, items), build({**PART, "reconstruction": 0.0}, items)
    without.load_state_dict(fusion.state_dict(), strict=False)
    for decoder in fusion.decoders.values():
        decoder.register_forward_hook(lambda *_: pytest.fail("a decoder ran"))
    assert torch.equal(fusion(items).penalty, without(items).penalty)
    assert torch.equal(fusion(items).views, without(items).views)


def test_nothing_behind_the_mask_reaches_a_gradient_in_training():
    items = random_items(3)
    assert any(x.isnan().any() for x in items.values.values())
    fusion = build(PART, items)
    in_training(fusion, items).penalty.sum().backward()
    for name, parameter in fusion.named_parameters():
        assert parameter.grad.isfinite().all(), name
