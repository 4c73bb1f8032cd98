"""Options of the synthetic catalogue in which its modalities may differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fusionlab.data.features import FUSED, is_modality_name
from fusionlab.data.synthetic.lift import Writing
from fusionlab.errors import FusionlabError, one_of

STANDARD = Writing(dim=16, nuisance=16, noise=0.3, difficulty=0, scale=1.0, tokens=1)


def checked_names(modalities: Sequence[str]) -> tuple[str, ...]:
    """The names of modalities; FusionlabError if two are equal or one cannot be a name."""
    names = tuple(modalities)
    for name in names:
        if not (name.isidentifier() and is_modality_name(name)) or names.count(name) > 1:
            raise FusionlabError(
                f"modalities: found {name!r} in {names}, expected different names made of "
                f"letters, digits and underscores, none of them {FUSED!r}"
            )
    return names


def by_modality(
    names: Sequence[str], option: str, value: float | Mapping[str, float], default: float
) -> dict[str, float]:
    """One number a modality: ``value`` for all, or that of its name in it, or ``default``."""
    if not isinstance(value, Mapping):
        return dict.fromkeys(names, value)
    for name in value:
        if name not in names:
            raise FusionlabError(f"{option}: {one_of(name, names)}")
    return {name: value.get(name, default) for name in names}


def writings(names: Sequence[str], **options: float | Mapping[str, float]) -> dict[str, Writing]:
    """How each modality writes its code, from all options of `Writing`."""
    numbers: dict[str, dict[str, Any]] = {
        option: by_modality(names, option, value, getattr(STANDARD, option))
        for option, value in options.items()
    }
    return {
        name: Writing(**{option: values[name] for option, values in numbers.items()})
        for name in names
    }


def check_unused(writings: Mapping[str, Writing]) -> None:
    """Refuse options of measured features where none are measured."""
    for name, writing in writings.items():
        for option, usual in asdict(STANDARD).items():
            found = getattr(writing, option)
            if found != usual:
                raise FusionlabError(
                    f"{option}: found {found:g} for {name!r}, which shapes measured features; "
                    "expected none where features are 'rendered'"
                )
