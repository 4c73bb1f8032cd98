"""Pretrained transformers over sound: wav2vec 2.0, HuBERT, WavLM, the encoder of Whisper."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from fusionlab.data.features import FeatureSpec
from fusionlab.data.fingerprint import fingerprint
from fusionlab.data.media import Medium, Raw
from fusionlab.encoders.audio import pooling
from fusionlab.encoders.audio.frames import AUDIO_STEPS, Steps, token_spec
from fusionlab.encoders.audio.steps import AudioSteps
from fusionlab.encoders.contract import ENCODERS, Batch, Encoder, Sample
from fusionlab.encoders.sources import locate
from fusionlab.encoders.weights import why_unreadable
from fusionlab.errors import ConfigError, FusionlabError

NOT_IN_FEATURES = ("_name_or_path", "transformers_version", "dtype", "torch_dtype")
UNUSED = "masked_spec_embed"
"""Stands for frames hidden in pretraining: some checkpoints lack it, and nothing here reads it."""


@dataclass(frozen=True)
class PrepareWave:
    """A sound file to what the model's own feature extractor makes of it, time first."""

    steps: AudioSteps
    extractor: Any
    shortest: int

    def __call__(self, raw: Raw) -> Sample:
        """The sample {input: (samples,) or (frames, bands), length: (1,)}; raises `BadMedia`."""
        rate = self.extractor.sampling_rate
        wave = self.steps(raw, rate).numpy()
        found = self.extractor(
            wave, sampling_rate=rate, return_tensors="pt", return_attention_mask=True
        )
        heard = found[self.extractor.model_input_names[0]][0]
        length = max(int(found["attention_mask"].sum()), self.shortest)
        if heard.ndim == 2:
            return {"input": heard.T.contiguous(), "length": torch.tensor([length])}
        heard = F.pad(heard, (0, length - len(heard)))
        return {"input": heard, "length": torch.tensor([length])}


class MaskedGroupNorm(nn.GroupNorm):
    """Normalises each channel over the frames of the clip, and not over the padding behind it.

    wav2vec 2.0 base and its kin normalise over time, so that with a plain norm a clip's features
    depend on how long its neighbours in the batch are.
    """

    lengths: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Normalised frames (B, C, T), of which the first ``lengths`` (B,) count."""
        mask = pooling.on(self.lengths, x.shape[2])[:, None]
        count = self.lengths[:, None, None]
        full = x.float()
        mean = torch.where(mask, full, 0).sum(2, keepdim=True) / count
        centred = full - mean
        variance = torch.where(mask, centred, 0).square().sum(2, keepdim=True) / count
        found = centred * torch.rsqrt(variance + self.eps)
        return (found * self.weight[:, None] + self.bias[:, None]).to(x.dtype)


@ENCODERS.register("audio_transformer")
class AudioTransformer(Encoder):
    """A pretrained transformer over sound: wav2vec 2.0, HuBERT, WavLM, or the encoder of Whisper.

    Pooled: the mean of the hidden states of the clip's own frames. Tokens: the means of every
    ``stride`` frames (a frame is 20 ms in all of these).

    A clip's features do not depend on its batch: attention is masked, and where a model's
    convolutions normalise over time they do so over the clip's own frames. (Whisper pads every clip
    to 30 s, as in its training, and is pooled over the clip's own part.)

    Options:
        model: a name on the hub, a folder, or package:NAME
        pool: "mean" or "tokens"
        stride: frames a token stands for
        layer: whose hidden states, from 0 (before the first) on; default: the output
        steps: preprocessing: seconds, longer, mono, trim, denoise, loudness

    Source: Baevski et al. 2020, wav2vec 2.0; Hsu et al. 2021, HuBERT; Radford et al. 2023, Robust
        speech recognition via large-scale weak supervision (Whisper).
    """

    medium = Medium.AUDIO
    prepare: PrepareWave

    def __init__(
        self,
        *,
        model: str,
        pool: Literal["mean", "tokens"] = "mean",
        stride: PositiveInt = 25,
        layer: int | None = None,
        steps: Steps = AUDIO_STEPS,
    ) -> None:
        super().__init__()
        self.network, extractor = _load(model)
        config = self.network.config
        self.from_waves = not config.is_encoder_decoder
        if layer is not None and not 0 <= layer <= config.num_hidden_layers:
            problem = f"found {layer}, expected 0 to {config.num_hidden_layers}"
            raise ConfigError([(("layer",), problem)])
        self.pool, self.stride, self.layer = pool, stride, layer
        shortest = _samples_of_one_frame(config) if self.from_waves else 1
        self.prepare = PrepareWave(steps, extractor, shortest)
        width = config.hidden_size
        tokens = token_spec(width, self._most_frames(), stride)
        self.spec = tokens if pool == "tokens" else FeatureSpec(width)

    def source_id(self) -> str:
        """Hash of the model's configuration and of its feature extractor's."""
        told = [self.network.config.to_dict(), self.prepare.extractor.to_dict()]
        for one in told:
            for key in NOT_IN_FEATURES:
                one.pop(key, None)
        return fingerprint([json.dumps(told, sort_keys=True, default=str)])

    def size(self, sample: Sample) -> int:
        """Samples, or frames, of the clip itself."""
        return int(sample["length"])

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Inputs (B, T) or (B, T, bands) with zeros behind the shorter clips, and lengths (B,)."""
        inputs, _ = pooling.pad([sample["input"] for sample in samples])
        return {"input": inputs, "lengths": torch.cat([sample["length"] for sample in samples])}

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A vector a clip (B, 1, d), or means of ``stride`` frames (B, T, d)."""
        lengths = batch["lengths"]
        states = self._states(batch["input"], lengths)
        mask = pooling.on(self._frames(lengths), states.shape[1])
        if self.pool == "tokens":
            most = self.spec.tokens * self.stride
            return pooling.tokens(states[:, :most], mask[:, :most], self.stride)
        return pooling.pooled(pooling.mean(states, mask))

    def _frames(self, lengths: Tensor) -> Tensor:
        """The model's frames (B,) of inputs of such lengths (B,)."""
        found: Tensor = self.network._get_feat_extract_output_lengths(lengths)
        return found

    def _most_frames(self) -> int:
        """The most frames that a clip can have."""
        steps, extractor = self.prepare.steps, self.prepare.extractor
        most = max(self.prepare.shortest, steps.samples(extractor.sampling_rate))
        if not self.from_waves:
            if most > extractor.n_samples:
                problem = f"found {steps.seconds}, but the model hears {extractor.chunk_length} s"
                raise ConfigError([(("steps", "seconds"), problem)])
            most = -(-most // extractor.hop_length)
        return int(self._frames(torch.tensor([most])))

    def _states(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        more = {"output_hidden_states": True} if self.layer is not None else {}
        if self.from_waves:
            _tell_norm(self.network, lengths)
            mask = pooling.on(lengths, inputs.shape[1]).long()
            found = self.network(inputs, attention_mask=mask, **more)
        else:
            found = self.network(inputs.transpose(1, 2), **more)
        states: Tensor = found.last_hidden_state
        return states if self.layer is None else found.hidden_states[self.layer]


def _load(model: str) -> tuple[Any, Any]:
    """The encoder, in evaluation mode, and its feature extractor."""
    from transformers import AutoFeatureExtractor, AutoModel

    place = str(locate(model))
    try:
        with torch.random.fork_rng(devices=[]):  # what a checkpoint lacks is drawn
            torch.manual_seed(0)
            network, told = AutoModel.from_pretrained(
                place, dtype=torch.float32, output_loading_info=True, trust_remote_code=False
            )
        extractor = AutoFeatureExtractor.from_pretrained(place, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise FusionlabError(f"model: {model!r} cannot be loaded: {error}") from None
    except Exception as error:  # torch fails on bad bytes in every way there is
        problem = f"model: the weights of {model!r} cannot be read: {why_unreadable(error)}"
        raise FusionlabError(problem) from None
    kind = network.config.model_type
    if not hasattr(network, "_get_feat_extract_output_lengths"):
        raise FusionlabError(
            f"model: {model!r} is of type {kind!r}, expected a model of waveforms (wav2vec2, "
            "hubert, wavlm ...) or whisper"
        )
    missing = [k for k in told["missing_keys"] if not k.startswith("decoder.") and k != UNUSED]
    if missing:
        raise FusionlabError(
            f"model: {model!r} lacks weights that would be random, such as "
            f"{', '.join(sorted(missing)[:3])}; expected a file with all of them"
        )
    network.config.apply_spec_augment = False  # fails on clips shorter than what it hides
    if hasattr(network, UNUSED):
        getattr(network, UNUSED).requires_grad_(False)
    if network.config.is_encoder_decoder:
        network = network.get_encoder()
    else:
        _mask_norm(network)
    return network.eval(), extractor


def _mask_norm(network: Any) -> None:
    """Put a `MaskedGroupNorm` where the first convolution normalises over time."""
    first = network.feature_extractor.conv_layers[0]
    plain = getattr(first, "layer_norm", None)
    if isinstance(plain, nn.GroupNorm):
        first.layer_norm = MaskedGroupNorm(plain.num_groups, plain.num_channels, plain.eps)
        first.layer_norm.load_state_dict(plain.state_dict())


def _tell_norm(network: Any, lengths: Tensor) -> None:
    """Tell the `MaskedGroupNorm`, if there is one, how long the clips (B,) of the batch are."""
    norm = getattr(network.feature_extractor.conv_layers[0], "layer_norm", None)
    if isinstance(norm, MaskedGroupNorm):
        config = network.config
        norm.lengths = (lengths - config.conv_kernel[0]) // config.conv_stride[0] + 1


def _samples_of_one_frame(config: Any) -> int:
    """How many samples the convolutions need to make one frame."""
    needed = 1
    for kernel, stride in zip(
        reversed(config.conv_kernel), reversed(config.conv_stride), strict=True
    ):
        needed = (needed - 1) * stride + kernel
    return needed
