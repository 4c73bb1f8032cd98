"""What `llm_prefix` trains: gradients, checkpointing, LoRA's rate, and alignment beforehand."""

import pytest
import torch
from tiny_prefix import LORA, VOCABULARY, build, catalogue

from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.alignment import info_nce
from fusionlab.training.optimizer import parameter_groups


def test_gradients_reach_projectors_and_never_the_model():
    items, fusion = catalogue(), build(read_out="query").train()
    before = fusion.llm.fingerprint()
    optimizer = torch.optim.SGD(fusion.parameters(), lr=0.5)
    for _ in range(3):
        fusion(items).views.square().sum().backward()
        optimizer.step()
    for name, p in fusion.named_parameters():
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
        assert p.grad.abs().max() > 0, name
    assert all(p.grad is None for p in fusion.llm.causal.parameters())
    assert not any(module.training for module in fusion.llm.causal.modules())
    assert fusion.llm.fingerprint() == before


@pytest.mark.parametrize(
    "rank",
    [
        0,
        pytest.param(
            2, marks=pytest.mark.skipif(not LORA, reason="pip install 'fusionlab-recsys[lora]'")
        ),
    ],
)
def test_checkpointing_changes_nothing(rank):
    grads = []
    for checkpointing in (False, True):
        fusion = build(checkpointing=checkpointing, lora_rank=rank, batch=3).train()
        views = fusion(catalogue()).views
        views.square().sum().backward()
        grads.append([views.detach(), *(p.grad for p in fusion.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


@pytest.mark.skipif(not LORA, reason="pip install 'fusionlab-recsys[lora]'")
def test_what_lora_trains_has_a_learning_rate_of_its_own():
    fusion = build(lora_rank=2, lora_learning_rate=3e-5)
    common, own = parameter_groups(fusion)
    assert own["lr"] == 3e-5
    assert {id(p) for p in own["params"]} == {id(p) for p in fusion.lora.parameters()}
    assert len(common["params"]) + len(own["params"]) == len([*fusion.parameters()])
    assert [*build().own_rates()] == []


def test_checkpointing_keeps_less_for_the_backward_pass():
    held = {}
    for checkpointing in (False, True):
        fusion, sizes = build(checkpointing=checkpointing), []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, sizes=sizes: sizes.append(x.nbytes) or x, lambda x: x
        ):
            fusion(catalogue())
        held[checkpointing] = sum(sizes)
    assert held[True] < held[False] / 10


def aligned(epochs):
    """Items whose picture says which of eight texts they have, and how often the text is found."""
    draw = torch.Generator().manual_seed(0)
    kinds = torch.arange(64) % 8
    texts = torch.randint(0, 250, (8, 6, 1), generator=draw, dtype=torch.int32)
    values = {"text": texts[kinds], "image": torch.randn(8, 1, 5, generator=draw)[kinds]}
    mask = {name: torch.ones(x.shape[:2], dtype=torch.bool) for name, x in values.items()}
    items = ItemFeatures(values, mask, {"text": VOCABULARY})
    fusion = build(items, align_epochs=epochs)
    fusion.fit(items)
    with torch.no_grad():
        target = fusion.states(items.without_columns(["image"]))[:8, 0]
        found = fusion.states(items.without_columns(["text"]))[:8, 1]
    middle = target.mean(0)
    similar = torch.cosine_similarity((found - middle)[:, None], (target - middle)[None], dim=-1)
    return (similar.argmax(1) == torch.arange(8)).float().mean().item()


def test_alignment_makes_soft_tokens_say_what_the_text_says():
    assert aligned(0) < 0.5
    assert aligned(60) == 1.0


@pytest.mark.parametrize(
    "rank",
    [
        0,
        pytest.param(
            2, marks=pytest.mark.skipif(not LORA, reason="pip install 'fusionlab-recsys[lora]'")
        ),
    ],
)
def test_alignment_trains_what_stands_before_the_model_and_says_how_it_went(rank):
    fusion = build(read_out="query", align_epochs=8, lora_rank=rank)
    before = {name: p.detach().clone() for name, p in fusion.named_parameters()}
    assert fusion.alignment_losses == []
    fusion.fit(catalogue(40))
    moved = {n for n, p in fusion.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {n for n in before if n == "query" or n.startswith("soft.")}
    touched = {n for n, p in fusion.named_parameters() if p.grad is not None}
    assert touched <= moved
    assert len(fusion.alignment_losses) == 8
    assert fusion.alignment_losses[-1] < fusion.alignment_losses[0]


def test_alignment_needs_text_and_something_else():
    for names in (["text"], ["image"]):
        items = catalogue()
        items = items.without_columns([n for n in items.modalities if n not in names])
        fusion = build(items, align_epochs=2)
        before = [p.clone() for p in fusion.parameters()]
        fusion.fit(items)
        assert all(torch.equal(a, b) for a, b in zip(before, fusion.parameters(), strict=True))


def test_equal_texts_are_no_negatives():
    targets = torch.nn.functional.normalize(torch.randn(3, 6), dim=1)
    doubled = targets[[0, 0, 1, 2]]
    found = doubled.clone()
    assert info_nce(found, doubled) < info_nce(found, targets[[0, 1, 1, 2]])
    alone = info_nce(targets[:1].expand(2, -1), targets[:1].expand(2, -1))
    assert alone == 0
