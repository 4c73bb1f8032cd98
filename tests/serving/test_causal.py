"""A causal language model: loaded with its output layer, and what it has read stays as it is."""

import pytest
import torch
from tiny_causal import NAMES, tiny

from fusionlab.errors import FusionlabError
from fusionlab.serving.causal import load_causal_lm


@pytest.mark.parametrize("name", NAMES)
def test_what_was_read_is_never_changed(name):
    lm = tiny(name)
    read = lm.read(lm.embed(lm.tokens("the red dog", start=True)))
    before = [(layer.keys, layer.values) for layer in read.cache.layers]
    copies = [(keys.clone(), values.clone()) for keys, values in before]
    texts = [lm.tokens("the blue bird sleeps over a house"), lm.tokens("a cat")]
    first, again = (lm.log_likelihoods(read, texts) for _ in range(2))
    assert torch.equal(first, again)
    for layer, kept, copied in zip(read.cache.layers, before, copies, strict=True):
        assert layer.keys is kept[0]
        assert layer.values is kept[1]
        assert torch.equal(kept[0], copied[0])
        assert torch.equal(kept[1], copied[1])


def test_models_that_are_not_there_or_have_no_weights_are_refused(tmp_path):
    with pytest.raises(FusionlabError, match=r"^model: found '.*nothing', which is no folder"):
        load_causal_lm(str(tmp_path / "nothing"))
    lm = tiny("llama")
    lm.tokenizer.save_pretrained(tmp_path)
    lm.causal.config.save_pretrained(tmp_path)
    with pytest.raises(FusionlabError, match="cannot be loaded"):
        load_causal_lm(str(tmp_path))


def test_a_saved_model_is_loaded_with_its_output_layer(tmp_path):
    lm = tiny("llama")
    lm.tokenizer.save_pretrained(tmp_path)
    lm.causal.save_pretrained(tmp_path)
    loaded = load_causal_lm(str(tmp_path))
    assert not any(weight.requires_grad for weight in loaded.causal.parameters())
    found, expected = (
        one.log_likelihoods(
            one.read(one.embed(one.tokens("the red dog", start=True))),
            [one.tokens("barks over the house"), one.tokens("a cat")],
        )
        for one in (loaded, lm)
    )
    torch.testing.assert_close(found, expected)
