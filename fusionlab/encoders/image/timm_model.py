"""Any model of timm as an encoder of images."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from fusionlab.encoders.contract import ENCODERS
from fusionlab.encoders.image.base import ImageEncoder, Output
from fusionlab.encoders.image.steps import AS_TRAINED, ImageSteps, ModelSteps, Resize, Steps
from fusionlab.encoders.sources import locate
from fusionlab.encoders.weights import building, load_weights
from fusionlab.errors import FusionlabError, nearest
from fusionlab.schema import Seed


@ENCODERS.register("image_timm")
class ImageTimm(ImageEncoder):
    """A model of timm without its classifier: what it pools, or its map as tokens.

    Pooled: (B, 1, d), what the classifier would read. Tokens: (B, h w, d), the last spatial map row
    by row, or the patch tokens of a transformer (class and register tokens are left out).

    Options:
        model: a name of timm, ``owner/name`` on the hub, or a folder with a hub model's files
        weights: a file, folder or package:NAME instead of the hub's weights
        pretrained: false: random weights drawn with ``seed``, untrained
        seed: of random weights
        output: "pooled" or "tokens"
        steps: exif, background, color, size, resize, crop_from, interpolation, mean, std,
            max_pixels; what is not given is as in the model's own data configuration

    Source: Wightman 2019, PyTorch image models.
    """

    def __init__(
        self,
        *,
        model: str,
        weights: str | None = None,
        pretrained: bool = True,
        seed: Seed = 0,
        output: Output = "pooled",
        steps: Steps = AS_TRAINED,
    ) -> None:
        with building(model, seed):
            network = _create(model, pretrained and weights is None)
        if weights is not None:
            load_weights(network, weights)
        super().__init__(steps.completed(_trained_with(network, steps)))
        _accept(network, self.prepare.size)
        self.network = network.to(memory_format=torch.channels_last)
        self.output = output
        self.measure()

    def encoded(self, images: Tensor) -> Tensor:
        """Pooled features (B, 1, d) or tokens (B, T, d)."""
        if self.output == "pooled":
            return rearrange(self.network(images), "b d -> b 1 d")
        return self._tokens(self.network.forward_features(images))

    def _tokens(self, found: Tensor) -> Tensor:
        if found.ndim == 4:
            last = getattr(self.network, "output_fmt", "NCHW") == "NHWC"
            return rearrange(found, "b h w d -> b (h w) d" if last else "b d h w -> b (h w) d")
        return found[:, getattr(self.network, "num_prefix_tokens", 0) :]


def _create(model: str, pretrained: bool) -> Any:
    import timm

    found = locate(model)
    if isinstance(found, Path):
        name = f"local-dir:{found}"
    elif "/" in found:
        name = f"hf-hub:{found}"
    elif timm.is_model(found):
        name = found
    else:
        near = nearest(found, timm.list_models())
        raise FusionlabError(f"model: found {model!r}, which timm does not have{near}")
    return timm.create_model(name, pretrained=pretrained, num_classes=0)


def _trained_with(network: nn.Module, steps: ImageSteps) -> ModelSteps:
    """The model's own data configuration."""
    from timm.data.config import resolve_data_config

    config = resolve_data_config(model=network)
    _, height, width = config["input_size"]
    modes: dict[str, Resize] = {"center": "shorter", "squash": "exact"}
    resize = modes.get(config["crop_mode"], steps.resize)
    if height != width or resize is None:
        raise FusionlabError(
            f"model: it was trained on {height} x {width} with crop mode {config['crop_mode']!r}; "
            "there are steps for squares only, cropped or squashed"
            + ("" if height != width else ": say which with `steps.resize`")
        )
    return ModelSteps(
        size=height,
        resize=resize,
        crop_from=math.floor(height / config["crop_pct"]),
        interpolation=config["interpolation"],
        mean=config["mean"],
        std=config["std"],
    )


def _accept(network: Any, size: int) -> None:
    """Make a model of one fixed size take ``size`` (position embeddings are resampled)."""
    config = network.pretrained_cfg
    fixed = config.get("fixed_input_size") and config["input_size"][1] != size
    if fixed and hasattr(network, "set_input_size"):
        network.set_input_size(img_size=(size, size))
