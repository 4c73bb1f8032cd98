"""Build a strategy for the modalities of a dataset."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import nn

from fusionlab.data.features import FeatureSpec
from fusionlab.errors import ConfigError, FusionlabError, one_of
from fusionlab.fusion.contract import MODALITY, Fusion
from fusionlab.registry import Part

ATTRIBUTES = {*dir(nn.ModuleDict()), *dir(nn.ParameterDict())}


def build_fusion(part: Part, specs: Mapping[str, FeatureSpec], dim: int) -> Fusion:
    """The strategy; FusionlabError if it keeps a modality where torch refuses its name.

    Torch's dictionaries of modules and parameters take no key that has a dot or is called as one of
    their attributes (some they take, and break when the model is set to train).
    """
    refused = [name for name in specs if "." in name or name in ATTRIBUTES]
    try:
        fusion: Fusion = part.build(specs, dim)
    except (KeyError, TypeError) as error:
        if not refused:
            raise
        raise _refusal(part, refused) from error
    for module in fusion.modules():
        if isinstance(module, nn.ModuleDict | nn.ParameterDict) and {*refused} & {*module}:
            raise _refusal(part, refused)
    return fusion


def check_named_modalities(part: Part, modalities: Collection[str]) -> None:
    """ConfigError if an option marked `MODALITY` names, itself or as the keys of a mapping, what is
    none of the dataset's ``modalities``."""
    for option, field in type(part).model_fields.items():
        named = (getattr(part, option) if MODALITY in field.metadata else None) or ()
        for name in [named] if isinstance(named, str) else named:
            if name not in modalities:
                path = part.registry.family, option
                raise ConfigError([(path, one_of(name, modalities))])


def _refusal(part: Part, names: list[str]) -> FusionlabError:
    return FusionlabError(
        f"fusion {part.name!r}: found a modality named {' or '.join(map(repr, names))}, which "
        "nn.ModuleDict and nn.ParameterDict refuse; expected parts of modalities in "
        "fusionlab.data.by_name.ByName"
    )
