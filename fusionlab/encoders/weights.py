"""Models built and filled: random weights by seed, or those of a local file under any names."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fusionlab.encoders.sources import locate
from fusionlab.errors import FusionlabError

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
"""Files of weights, the first kind found in a folder first."""
_NESTED = ("state_dict", "model")
_CLASSIFIER = 2
"""Tensors of a linear classifier, which come last."""
_NUMBERS: list[Any] = [
    (np.int64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),  # as NumPy 1 called it
    np.dtype,
    type(np.dtype(np.int64)),
]
"""Numbers of NumPy that stand beside the tensors in some files; they execute nothing."""
_ONLY_WEIGHTS = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
"""While it is "1", torch opens no pickle, whatever the library that calls it asks for."""
_BUILDING = RLock()


@contextmanager
def building(model: str, seed: int) -> Iterator[None]:
    """Draw random weights from ``seed`` and leave the caller's generator as it was.

    Published weights are read as tensors only: torchvision would open a pickle in their file, and
    timm would where the first try ends in a `TypeError`. Raises `FusionlabError` where they cannot
    be fetched or are not the model's tensors. One thread at a time: the generator and the
    environment are the process's.
    """
    with _BUILDING, torch.random.fork_rng(devices=[]), _only_weights():
        torch.manual_seed(seed)
        try:
            yield
        except FusionlabError:
            raise
        except OSError as error:
            raise FusionlabError(
                f"model: the weights of {model!r} cannot be fetched: {error}\n"
                "Without a connection, give `weights`: a file, a folder or package:NAME."
            ) from None
        except Exception as error:  # torch fails on bad bytes in every way there is
            raise FusionlabError(
                f"model: the weights of {model!r} cannot be read: {why_unreadable(error)}; if they "
                f"were fetched before, remove them from {torch.hub.get_dir()} to fetch them again"
            ) from None


@contextmanager
def _only_weights() -> Iterator[None]:
    before = os.environ.get(_ONLY_WEIGHTS)
    os.environ[_ONLY_WEIGHTS] = "1"
    try:
        yield
    finally:
        del os.environ[_ONLY_WEIGHTS]
        if before is not None:
            os.environ[_ONLY_WEIGHTS] = before


def why_unreadable(error: Exception) -> str:
    """What is wrong with weights, in one line; of a pickle torch says how to open it anyway."""
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):
        return "found more than tensors, or none, expected tensors by their names"
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def load_weights(model: nn.Module, source: str, prefix: str = "") -> None:
    """Fill ``model``, which has no classifier, from a file, a folder or ``package:NAME``.

    Where names begin with ``prefix``, only those tensors are looked at.

    By name where every name of the model is in the file (what is left over is the classifier);
    otherwise in order, where every tensor has the same shape and the same kind of name (its last
    part: weight, bias, running_mean ...), and at most a linear classifier is left over. Raises
    `FusionlabError` otherwise: no weight stays as it was.
    """
    path = weights_file(source)
    found = _read(path)
    found = {name: x for name, x in found.items() if name.startswith(prefix)} or found
    model.load_state_dict(_renamed(found, model.state_dict(), path))


def weights_file(source: str) -> Path:
    """The one file of weights that ``source`` names."""
    found = locate(source)
    if isinstance(found, str):
        raise FusionlabError(
            f"weights: found {source!r}, expected a file, a folder or package:NAME"
        )
    if found.is_file():
        return found
    for suffix in SUFFIXES:
        files = sorted(found.glob(f"*{suffix}"))
        if len(files) > 1:
            names = ", ".join(file.name for file in files)
            raise FusionlabError(f"weights: {source!r} has several files, name one of: {names}")
        if files:
            return files[0]
    raise FusionlabError(f"weights: {source!r} has no file that ends in {', '.join(SUFFIXES)}")


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file; nothing of it is executed."""
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (OSError, ValueError, SafetensorError) as error:
            raise FusionlabError(f"weights: {path} cannot be read: {error}") from None
    try:
        with torch.serialization.safe_globals(_NUMBERS):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch fails on bad bytes in every way there is
        raise FusionlabError(f"weights: {path} cannot be read: {why_unreadable(error)}") from None
    if isinstance(loaded, tuple | list) and loaded:
        loaded = loaded[0]
    for key in _NESTED:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(x, Tensor) for x in loaded.values()):
        raise FusionlabError(
            f"weights: {path}: found {type(loaded).__name__}, expected tensors by their names"
        )
    return dict(loaded)


def _renamed(
    weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path
) -> dict[str, Tensor]:
    """``weights`` under the names of ``wanted``."""
    if wanted.keys() <= weights.keys():
        pairs = [(name, name) for name in wanted]
    else:
        over = len(weights) - len(wanted)
        if not 0 <= over <= _CLASSIFIER:
            raise FusionlabError(
                f"weights: {path} has {len(weights)} tensors under other names than the model's "
                f"{len(wanted)}: they are of another model"
            )
        pairs = list(zip(wanted, weights, strict=False))
    for name, found in pairs:
        alike = name.rpartition(".")[2] == found.rpartition(".")[2]
        if not alike or wanted[name].shape != weights[found].shape:
            raise FusionlabError(
                f"weights: {path} has {found} {tuple(weights[found].shape)} where the model has "
                f"{name} {tuple(wanted[name].shape)}"
            )
    return {name: weights[found] for name, found in pairs}
