"""Low-rank changes: nothing at the start, trained beside a frozen model, held by the strategy."""

import io
import sys

import pytest
import torch
from small_models import draw, ids

from fusionlab.data.features import ItemFeatures
from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import FUSIONS
from fusionlab.llm.lora import add_lora
from fusionlab.llm.model import load

pytest.importorskip("peft", reason="pip install 'fusionlab-recsys[lora]'")


def items(n=12):
    on = torch.ones(n, 1, dtype=torch.bool)
    values = {"text": ids(n, 4)[..., None].int(), "image": draw(n, 1, 5).float()}
    return ItemFeatures(values, {"text": on.expand(-1, 4), "image": on}, {"text": 257})


def build(model, rank=2, seed=0):
    torch.manual_seed(seed)
    part = {"name": "llm_prefix", "model": model, "prompt": "Item:", "lora_rank": rank}
    return FUSIONS.parse(part).build(items().specs, 8)


def weights(llm):
    return {n: p.clone() for n, p in llm.base.named_parameters() if "lora" not in n}


def test_it_changes_nothing_at_the_start(model):
    tokens, mask = draw(2, 5, 32).float(), torch.ones(2, 5, dtype=torch.bool)
    plain, changed = load(model), load(model)
    found = add_lora(changed, 2)
    assert all(p.requires_grad and p.dtype is torch.float32 for p in found.values())
    assert torch.equal(plain.states(tokens, mask), changed.states(tokens, mask))


def test_reading_all_equals_reading_after_what_is_kept(model):
    frozen, trained = build(model, 0), build(model)
    trained.load_state_dict(frozen.state_dict(), strict=False)
    assert torch.allclose(frozen(items()).views, trained(items()).views, atol=1e-5)


def test_it_learns_and_the_rest_of_the_model_does_not(model):
    fusion = build(model)
    before, base = fusion(items()).views.detach(), weights(fusion.llm)
    own = {name: p.detach().clone() for name, p in fusion.lora.items()}
    optimizer = torch.optim.SGD(fusion.parameters(), lr=0.1)
    for _ in range(2):  # A moves once B is not zero
        optimizer.zero_grad()
        fusion(items()).views.square().sum().backward()
        optimizer.step()
    assert all(not torch.equal(p, own[name]) for name, p in fusion.lora.items())
    assert all(torch.equal(p, base[name]) for name, p in weights(fusion.llm).items())
    assert not torch.allclose(fusion(items()).views, before)


def test_the_fingerprint_is_that_of_the_rest(model):
    llm = load(model)
    before = llm.fingerprint()
    found = add_lora(llm, 2)
    assert llm.fingerprint() == before
    for p in found.parameters():
        torch.nn.init.normal_(p)
    assert llm.fingerprint() == before
    with torch.no_grad():
        next(p for p in llm.causal.parameters() if not p.requires_grad).view(-1)[7] += 1e-6
    assert llm.fingerprint() != before


def test_the_state_holds_it_and_not_the_model(model):
    fusion, other = build(model), build(model, seed=1)
    for p in fusion.lora.parameters():
        torch.nn.init.normal_(p, std=0.1)
    file = io.BytesIO()
    torch.save(fusion.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(fusion(items()).views, other(items()).views)
    fitted = {"text.mean", "text.deviation"}
    assert fusion.state_dict().keys() - fitted == dict(fusion.named_parameters()).keys()
    names = [name for name in fusion.state_dict() if name.startswith("lora.")]
    assert names
    assert all("lora_A" in name or "lora_B" in name for name in names)


def test_two_strategies_share_nothing(model):
    first, second = build(model), build(model)
    for p in first.lora.parameters():
        torch.nn.init.normal_(p)
    assert torch.equal(second(items()).views, build(model)(items()).views)


def test_without_peft_it_is_said_how_to_get_it(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    said = r"fusion\.lora_rank: found 2, .*pip install .*\[lora\]', or fusion\.lora_rank=0"
    with pytest.raises(FusionlabError, match=said):
        build(model)
