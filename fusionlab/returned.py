"""What a method of a part returned, where the package takes it over: a tensor of the shape that its
contract states, or one error. Shapes and types alone are looked at, so nothing leaves the device.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fusionlab.errors import FusionlabError
from fusionlab.plugins import place


def check_returned(
    part: object,
    method: str,
    what: str,
    found: Any,
    shape: Sequence[int],
    letters: str,
    dtype: torch.dtype | None = None,
) -> None:
    """FusionlabError unless ``found`` is a tensor of ``shape`` and of ``dtype`` (None: any floating
    point). ``what`` it is and the ``letters`` of its shape are for the reader."""
    if isinstance(found, Tensor) and found.shape == tuple(shape):
        right = found.is_floating_point() if dtype is None else found.dtype is dtype
        if right:
            return
    kind = "floating-point numbers" if dtype is None else str(dtype).removeprefix("torch.")
    expected = f"a tensor of {kind}, {letters}, here {tuple(shape)}"
    raise refusal(part, method, f"found {what}: {told(found)}, expected {expected}")


def pair_returned(part: object, method: str, found: Any) -> tuple[Tensor, Tensor]:
    """Features and their mask, as ``method`` of a part returned them; FusionlabError otherwise."""
    if isinstance(found, tuple) and len(found) == 2 and all(isinstance(x, Tensor) for x in found):
        return found
    raise refusal(part, method, f"found {told(found)}, expected features and mask, two tensors")


def tensors_returned(part: object, method: str, found: Any) -> dict[str, Tensor]:
    """Tensors by name, as ``method`` of a part returned them; FusionlabError otherwise."""
    if isinstance(found, dict) and all(isinstance(x, Tensor) for x in found.values()):
        return found
    raise refusal(part, method, f"found {told(found)}, expected a dict of tensors by name")


def refusal(part: object, method: str, why: str) -> FusionlabError:
    """The error about what ``method`` of a part, or a function, returned."""
    its = place(part) if inspect.isroutine(part) else f"{place(type(part))}.{method}"
    return FusionlabError(f"{its}: {why}")


def told(found: Any) -> str:
    """A value as errors name it: a tensor by shape and type, anything else by its type."""
    if isinstance(found, Tensor):
        return f"a tensor {tuple(found.shape)} of {str(found.dtype).removeprefix('torch.')}"
    if isinstance(found, tuple):
        return f"a tuple of {len(found)}"
    if isinstance(found, dict):
        return f"a dict of {', '.join(sorted({told(one) for one in found.values()})) or 'nothing'}"
    return "None" if found is None else f"a value of type {type(found).__name__}"
