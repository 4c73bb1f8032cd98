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
items: multiples of this are few shapes."""

PIECE = 2**21
"""Numbers of bfloat16 multiplied in one go: 512 rows of 4,096 columns at a time took a sixth less
time than all rows at once."""


class Linear(nn.Linear):
    """`nn.Linear` by `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """x W^T + b."""
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear`: x W^T + b of (..., K), (M, K) and (M,), as (..., M).

    PyTorch multiplies float32 by MKL, which uses half the width of an AMD CPU's AVX-512; there
    large matrices go to oneDNN, which took less than half the time where it was measured, and
    without AVX-512 those that no gradient is asked of (docs/performance.md). bfloat16, cast so or
    not, it multiplies by oneDNN on any CPU, which compiles a kernel for every number of rows: there
    rows are multiplied in few shapes.
    """
    if _is_in_bf16(x, weight):
        return _InBf16.apply(
            x.bfloat16(), weight.bfloat16(), None if bias is None else bias.bfloat16()
        )
    if not is_for_onednn(x, weight):
        return F.linear(x, weight, bias)
    whole = len(x) - len(x) % ROWS
    found = _ByOneDnn.apply(x[:whole], weight)
    if whole < len(x):  # PyTorch multiplies the rows that are left
        found = torch.cat([found, F.linear(x[whole:], weight)])
    return found if bias is None else found + bias


@cache
def onednn_is_faster(*, trained: bool) -> bool:
    """Does oneDNN multiply float32 faster than MKL does? On AMD CPUs: with AVX-512 any product, on
    others those that are not ``trained``. No, where PyTorch does not tell the CPU."""
    ask = getattr(torch.cpu, "get_capabilities", None)  # not in the oldest that we support
    known: Mapping[str, Any] = {} if ask is None else ask()
    faster = "AMD" in known.get("cpu_name", "") and (not trained or known.get("avx512_f", False))
    return faster and torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()


@cache
def bf16_is_multiplied() -> bool:
    """Has the CPU instructions for bfloat16 that oneDNN uses?"""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def is_for_onednn(x: Tensor, weight: Tensor) -> bool:
    """Is it a large product of float32 matrices, none that PyTorch traces, transforms or casts,
    that oneDNN multiplies faster?"""
    trained = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    return (
        _is_plain(x, weight)
        and x.numel() * len(weight) >= LARGE
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and onednn_is_faster(trained=trained)
    )


def _is_in_bf16(x: Tensor, weight: Tensor) -> bool:
    """Is it a product that PyTorch multiplies in bfloat16, on a CPU that does?"""
    known = {torch.bfloat16}
    if torch.is_autocast_enabled("cpu"):
        cast = torch.get_autocast_dtype("cpu") == torch.bfloat16
        known = {torch.float32, torch.bfloat16} if cast else set()
    return (
        x.dtype in known and weight.dtype in known and _is_plain(x, weight) and bf16_is_multiplied()
    )


def _is_plain(x: Tensor, weight: Tensor) -> bool:
    """Are they matrices on the CPU that fit, which PyTorch neither traces nor transforms, and may
    oneDNN multiply them?"""
    return (
        not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
        and x.ndim == weight.ndim == 2
        and x.shape[1] == weight.shape[1]
        and len(x) >= ROWS
        and x.device.type == weight.device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and bool(torch.backends.mkldnn.enabled)
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


class _InBf16(torch.autograd.Function):
    """x W^T + b of (N, K), (M, K) and (M,) as (N, M), rounded once, by products of few shapes:
    pieces of about `PIECE` numbers, then what is left in multiples of `ROWS`, then `ROWS` whose
    last are zero."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        whole, rest = _in_blocks(x)
        rows = max(PIECE // max(x.shape[1], 1) // ROWS, 1) * ROWS
        parts = [F.linear(piece, weight, bias) for piece in whole.split(rows)]
        if rest is not None:
            parts.append(F.linear(rest, weight, bias))
        return torch.cat(parts)[: len(x)]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            _InBf16.apply(grad, weight.T, None) if of_x else None,
            _summed_over_rows(grad, x) if of_weight else None,
            grad.sum(0) if of_bias else None,
        )


def _summed_over_rows(left: Tensor, right: Tensor) -> Tensor:
    """L^T R of (N, M) and (N, K) as (M, K)."""
    (left, more_left), (right, more_right) = _in_blocks(left), _in_blocks(right)
    found = torch.mm(left.T, right)
    if more_left is None or more_right is None:
        return found
    return torch.addmm(found, more_left.T, more_right)


def _in_blocks(x: Tensor) -> tuple[Tensor, Tensor | None]:
    """The rows that make whole blocks of `ROWS`, and the others with zeros to make one more."""
    whole = len(x) - len(x) % ROWS
    rest = F.pad(x[whole:], (0, 0, 0, whole + ROWS - len(x))) if whole < len(x) else None
    return x[:whole], rest
