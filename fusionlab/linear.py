"""Large linear maps, by the library that is fast on this CPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGE = 50_000_000
"""Multiplications above which a kernel compiled for one shape is worth compiling."""

ROWS = 64
"""oneDNN keeps such a kernel for each shape, .7 MB large, and a step has any number of distinct
items: multiples of this are few shapes. PyTorch multiplies the rows that are left."""


class Linear(nn.Linear):
    """`nn.Linear` by `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """x W^T + b."""
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear`: x W^T + b of (..., K), (M, K) and (M,), as (..., M).

    PyTorch multiplies float32 by MKL, which uses half the width of an AMD CPU's AVX-512; there
    large matrices go to oneDNN, which took less than half the time where it was measured
    (docs/performance.md).
    """
    if not is_for_onednn(x, weight):
        return F.linear(x, weight, bias)
    whole = len(x) - len(x) % ROWS
    found: Tensor = _ByOneDnn.apply(x[:whole], weight)
    if whole < len(x):
        found = torch.cat([found, F.linear(x[whole:], weight)])
    return found if bias is None else found + bias


@cache
def mkl_is_narrow() -> bool:
    """Has the CPU wider instructions than MKL uses of it? No, where PyTorch does not tell."""
    ask = getattr(torch.cpu, "get_capabilities", None)  # not in the oldest that we support
    known: Mapping[str, Any] = {} if ask is None else ask()
    wide = "AMD" in known.get("cpu_name", "") and known.get("avx512_f", False)
    return wide and torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()


def is_for_onednn(x: Tensor, weight: Tensor) -> bool:
    """Is it a large product of float32 matrices, none that PyTorch traces, transforms or casts, on
    a CPU of which MKL uses half?"""
    return (
        not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
        and x.ndim == weight.ndim == 2
        and x.shape[1] == weight.shape[1]
        and len(x) >= ROWS
        and x.numel() * len(weight) >= LARGE
        and x.dtype == weight.dtype == torch.float32
        and x.device.type == weight.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and bool(torch.backends.mkldnn.enabled)
        and mkl_is_narrow()
    )


def flops_of_onednn() -> dict[Any, Callable[..., int]]:
    """What torch's counter does not know: the operations of oneDNN's products, by their shapes."""

    def count(x: Sequence[int], weight: Sequence[int], *_: Any, **__: Any) -> int:
        return 2 * math.prod(x) * weight[0]

    available = torch.backends.mkldnn.is_available()
    return {torch.ops.mkldnn._linear_pointwise: count} if available else {}


class _ByOneDnn(torch.autograd.Function):
    """x W^T, (N, K) and (M, K) to (N, M); its gradients are such products again."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor) -> Tensor:
        multiply = torch.ops.mkldnn._linear_pointwise
        found: Tensor = multiply(x.contiguous(), weight, None, "none", [], "")
        return found

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight = ctx.needs_input_grad
        return (
            _ByOneDnn.apply(grad, weight.T) if of_x else None,
            _ByOneDnn.apply(grad.T, x.T) if of_weight else None,
        )
