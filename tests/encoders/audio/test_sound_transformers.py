"""Tiny random models of each kind, saved to a folder: no network, no weights."""

import pickle
import shutil

import pytest
import torch

from fusionlab.encoders.contract import ENCODERS
from fusionlab.errors import ConfigError, FusionlabError
from tests.encoders.audio.sounds import RATE, encoded, noise

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": (16, 16, 16),
    "conv_kernel": (10, 8, 4),
    "conv_stride": (5, 8, 8),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
LAYER_NORM = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
KINDS = ["wav2vec2", "wav2vec2_large", "hubert", "wavlm", "whisper"]


def tiny(kind):
    import transformers as hf

    if kind == "whisper":
        config = hf.WhisperConfig(
            d_model=32,
            encoder_layers=2,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=48,
            decoder_ffn_dim=48,
            max_source_positions=100,
            vocab_size=50,
            **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 0),
            decoder_start_token_id=0,
        )
        return hf.WhisperModel(config), hf.WhisperFeatureExtractor(chunk_length=2)
    extractor = hf.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False)
    if kind == "hubert":
        return hf.HubertModel(hf.HubertConfig(**SMALL)), extractor
    if kind == "wavlm":
        return hf.WavLMModel(hf.WavLMConfig(**SMALL)), extractor
    more = LAYER_NORM if kind == "wav2vec2_large" else {}
    return hf.Wav2Vec2Model(hf.Wav2Vec2Config(**SMALL, **more)), extractor


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    found = {}
    for kind in KINDS:
        torch.manual_seed(0)
        found[kind] = tmp_path_factory.mktemp(kind)
        for part in tiny(kind):
            part.save_pretrained(found[kind])
    return found


def build(folder, seconds=2, **options):
    options = {"model": str(folder), "steps": {"seconds": seconds}, **options}
    return ENCODERS.parse({"name": "audio_transformer", **options}).build().eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"pool": "tokens", "stride": 3}, {"layer": 1}])
@torch.no_grad()
def test_neighbours_and_padding_change_nothing(folders, clips, kind, options):
    encoder = build(folders[kind], **options)
    samples = [encoder.prepare(clip) for clip in clips]
    values, mask = encoder(encoder.collate(samples))
    assert values.shape[2] == encoder.spec.dim == 32
    for sample, value, on in zip(samples, values, mask, strict=True):
        alone, all_on = encoder(encoder.collate([sample]))
        assert on.sum() == all_on.sum() <= encoder.spec.tokens
        assert value[on].allclose(alone[0][all_on[0]], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS[:4])
@torch.no_grad()
def test_a_clip_alone_is_what_the_model_says(folders, clips, kind):
    from transformers import AutoModel

    encoder, model = build(folders[kind]), AutoModel.from_pretrained(folders[kind]).eval()
    for clip in clips[:4]:
        sample = encoder.prepare(clip)
        found, _ = encoder(encoder.collate([sample]))
        wave = sample["input"]
        assert abs(float(wave.mean())) < 1e-3
        assert float(wave.std()) == pytest.approx(1, abs=1e-2)
        expected = model(wave[None]).last_hidden_state[0].mean(0)
        assert found[0, 0].allclose(expected, atol=1e-5)


@torch.no_grad()
def test_whisper_is_pooled_over_the_clips_own_frames(folders):
    from transformers import WhisperFeatureExtractor, WhisperModel

    encoder = build(folders["whisper"])
    wave = noise(0.7)
    found, _ = encoder(encoder.collate([encoder.prepare(encoded(wave))]))
    bands = WhisperFeatureExtractor.from_pretrained(folders["whisper"])(
        wave, sampling_rate=RATE, return_tensors="pt"
    ).input_features
    model = WhisperModel.from_pretrained(folders["whisper"]).eval()
    states = model.encoder(bands).last_hidden_state
    assert states.shape[1] == 100
    assert found[0, 0].allclose(states[0, :35].mean(0), atol=1e-5)
    assert not any(name.startswith("network.decoder") for name in encoder.state_dict())


@torch.no_grad()
def test_tokens_stand_for_frames_and_are_as_many_as_promised(folders):
    encoder = build(folders["wav2vec2"], seconds=1, pool="tokens", stride=4)
    full, mask = encoder(encoder.collate([encoder.prepare(encoded(noise(3.0)))]))
    assert full.shape[1] == encoder.spec.tokens
    assert mask.all()


@pytest.mark.parametrize("kind", ["wav2vec2", "whisper"])
def test_it_can_be_trained_on_short_clips_too(folders, clips, kind):
    encoder = build(folders[kind]).train()
    values, _ = encoder(encoder.collate([encoder.prepare(clip) for clip in clips]))
    values.square().sum().backward()
    gradients = [p.grad for p in encoder.parameters() if p.grad is not None]
    assert len(gradients) > 10
    assert all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("kind", ["wav2vec2", "whisper"])
def test_prepare_is_picklable_and_holds_no_model(folders, clips, kind):
    encoder = build(folders[kind])
    again = pickle.loads(pickle.dumps(encoder.prepare))
    assert torch.equal(again(clips[0])["input"], encoder.prepare(clips[0])["input"])
    assert len(pickle.dumps(encoder.prepare)) < 300_000
    assert encoder.size(again(clips[0])) > encoder.size(again(clips[1]))


def test_the_source_is_the_configuration_not_the_place(folders, tmp_path):
    first = build(folders["wav2vec2"])
    for part in tiny("wav2vec2"):
        part.save_pretrained(tmp_path)
    assert build(tmp_path).source_id() == first.source_id()
    model, extractor = tiny("wav2vec2")
    extractor.do_normalize = False
    model.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    assert build(tmp_path).source_id() != first.source_id()


def test_loading_leaves_the_callers_seed_alone_and_state_is_the_same(folders):
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    states = [build(folders["wav2vec2"]).state_dict() for _ in range(2)]
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_what_cannot_be_used_is_refused(folders, tmp_path):
    with pytest.raises(ConfigError, match=r"steps\.seconds: found 30\.0, but the model hears 2 s"):
        build(folders["whisper"], seconds=30)
    with pytest.raises(ConfigError, match="layer: found 3, expected 0 to 2"):
        build(folders["wav2vec2"], layer=3)
    with pytest.raises(FusionlabError, match="cannot be loaded"):
        build(tmp_path)
    import transformers as hf

    config = hf.BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9
    )
    hf.BertModel(config).save_pretrained(tmp_path)
    hf.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(FusionlabError, match="of type 'bert'"):
        build(tmp_path)


def test_a_checkpoint_without_its_encoder_is_refused(folders, tmp_path):
    model, extractor = tiny("wav2vec2")
    state = {k: x for k, x in model.state_dict().items() if "layers.1" not in k}
    model.save_pretrained(tmp_path, state_dict=state)
    extractor.save_pretrained(tmp_path)
    with pytest.raises(
        FusionlabError, match=r"lacks weights that would be random, such as encoder\.layers\.1"
    ):
        build(tmp_path)


def test_weights_that_run_code_are_refused(folders, tmp_path):
    shutil.copytree(folders["wav2vec2"], tmp_path / "evil")
    (tmp_path / "evil" / "model.safetensors").unlink()
    torch.save({"more": torch.nn.Linear(1, 1)}, tmp_path / "evil" / "pytorch_model.bin")
    with pytest.raises(FusionlabError, match=r"cannot be read: found more than tensors"):
        build(tmp_path / "evil")
