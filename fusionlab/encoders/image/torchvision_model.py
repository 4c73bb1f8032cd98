"""Any classification model of torchvision as an encoder of images."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from fusionlab.encoders.contract import ENCODERS
from fusionlab.encoders.image.base import ImageEncoder, Output
from fusionlab.encoders.image.steps import AS_TRAINED, ModelSteps, Steps
from fusionlab.encoders.sources import locate
from fusionlab.encoders.weights import building, load_weights
from fusionlab.errors import FusionlabError, one_of
from fusionlab.schema import Seed


@ENCODERS.register("image_torchvision")
class ImageTorchvision(ImageEncoder):
    """A classification model of torchvision without its last layer: what that reads, or a map.

    Pooled: (B, 1, d), what the last layer would read. Tokens: (B, h w, d), row by row, what the
    last module with more than one position gives; for a transformer its patch tokens.

    Options:
        model: a name of torchvision, such as resnet50
        weights: an entry of the model's enum (DEFAULT, IMAGENET1K_V2 ...), or a file, folder or
            package:NAME
        pretrained: false: random weights drawn with ``seed``, untrained
        seed: of random weights
        output: "pooled" or "tokens"
        steps: exif, background, color, size, resize, crop_from, interpolation, mean, std,
            max_pixels; what is not given is as the enum's entry says (DEFAULT for a file)

    Source: the torchvision maintainers and contributors 2016.
    """

    def __init__(
        self,
        *,
        model: str,
        weights: str = "DEFAULT",
        pretrained: bool = True,
        seed: Seed = 0,
        output: Output = "pooled",
        steps: Steps = AS_TRAINED,
    ) -> None:
        entries = _entries(model)
        entry = entries.get(weights.removeprefix(f"{type(entries['DEFAULT']).__name__}."))
        local = pretrained and entry is None
        if local and isinstance(locate(weights), str):
            listed = one_of(weights, entries)
            raise FusionlabError(f"weights: {listed}, or a file, a folder, package:NAME")
        own = _trained_with(entry or entries["DEFAULT"])
        super().__init__(steps.completed(own))
        with building(model, seed):
            network = _create(model, entry if pretrained else None)
        if local and hasattr(network, "transform_input"):
            raise FusionlabError(
                f"weights: whether a file of {model} wants its input transformed is not known, "
                + one_of(weights, entries)
            )
        if local:
            load_weights(network, weights)
        self.network = network.to(memory_format=torch.channels_last)
        self.output = output
        self.map = _last_map(network, own.size) if output == "tokens" else ""
        self.measure()

    def encoded(self, images: Tensor) -> Tensor:
        """Pooled features (B, 1, d) or tokens (B, T, d)."""
        if self.output == "pooled":
            return rearrange(self.network(images), "b d -> b 1 d")
        kept: list[Tensor] = []
        watched = self.network.get_submodule(self.map)
        with watched.register_forward_hook(lambda _module, _inputs, found: kept.append(found)):
            self.network(images)
        if kept[0].ndim == 4:
            return rearrange(kept[0], "b d h w -> b (h w) d")
        return kept[0][:, 1:]  # the first token of torchvision's transformers is the class's


def _entries(model: str) -> dict[str, Any]:
    """The published weights of a classification model, by name."""
    from torchvision import models

    names = models.list_models(module=models)
    if model not in names:
        raise FusionlabError(f"model: {one_of(model, names)}")
    return dict(models.get_model_weights(model).__members__)


def _create(model: str, entry: Any) -> Any:
    """The model without its last layer and without auxiliary classifiers."""
    from torchvision import models

    network: Any = models.get_model(model, weights=entry)
    if hasattr(network, "aux_logits"):
        network.aux_logits = False
    owners = [name for name, module in network.named_modules() if [*module.parameters(False)]]
    parent, _, last = owners[-1].rpartition(".")
    setattr(network.get_submodule(parent), last, nn.Identity())
    return network


def _trained_with(entry: Any) -> ModelSteps:
    """The steps that belong to published weights."""
    transforms = entry.transforms()
    return ModelSteps(
        size=transforms.crop_size[0],
        resize="shorter",
        crop_from=transforms.resize_size[0],
        interpolation=transforms.interpolation.value,
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
    )


def _last_map(network: nn.Module, size: int) -> str:
    """The module that is the last to give more than one position, for an image of ``size``.

    Pooling gives one position; what is behind it gives vectors.
    """
    found: list[str] = []

    def note(name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor):  # attention gives its weights too
            return
        if output.ndim == 3 or (output.ndim == 4 and output[0, 0].numel() > 1):
            found.append(name)

    with ExitStack() as hooks:
        for name, module in network.named_modules():
            if name:
                hooks.enter_context(module.register_forward_hook(partial(note, name)))
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, size, size))
    return found[-1]
